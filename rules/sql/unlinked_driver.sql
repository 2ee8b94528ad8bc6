-- rule: unlinked_driver
-- severity: high
-- confidence: 85
-- attack: T1014
-- title: The driver {name} at {address} is loaded but not in the kernel's list of modules
SELECT NULL AS process_id, coalesce(d.name, 'of ' || d.pdb_name, '(without a name)') AS name, d.base AS address, d.size AS length,
       -- in the gap of a list that has one it may be listed
       iif(d.in_loaded_list = 0, 'high', 'low') AS severity, iif(d.in_loaded_list = 0, 85, 30) AS confidence,
       json_object('base', printf('0x%x', d.base), 'size', d.size, 'path', d.path, 'entry_point', printf('0x%x', d.entry_point),
                   'in_pool_scan', d.in_pool_scan, 'in_debug_scan', d.in_debug_scan, 'pdb_name', d.pdb_name, 'list_damage', b.damage,
                   'driver_objects', (SELECT json_group_array(json_object('address', printf('0x%x', o.address), 'name', o.name, 'service', o.service))
                                      FROM driver_objects o WHERE o.dump_id = d.dump_id AND o.start BETWEEN d.base AND d.base + d.size - 1)) AS detail
FROM drivers d
LEFT JOIN (SELECT dump_id, min(message) AS damage FROM diagnostics
           WHERE table_name = 'drivers' AND message LIKE 'the list % is broken before%' GROUP BY dump_id) b USING (dump_id)
WHERE d.dump_id = :dump_id AND (d.in_loaded_list = 0 OR (d.in_loaded_list IS NULL AND b.damage IS NOT NULL))
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
ORDER BY d.driver_id;
