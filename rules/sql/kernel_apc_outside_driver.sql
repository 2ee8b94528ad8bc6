-- rule: kernel_apc_outside_driver
-- severity: high
-- confidence: 80
-- attack: T1055.004
-- title: An APC of a thread of {name} ({pid}) runs {address} in the kernel, {where}
-- An APC has a routine in the kernel to free it at least, and one for when its thread ends: drivers' code. A list of drivers that ends
-- early says nothing of what it lacks.
SELECT p.process_id, p.name, p.pid, a.target AS address, 1 AS length,
       CASE WHEN d.driver_id IS NULL THEN 'where no driver is loaded' ELSE 'in the unlinked driver ' || coalesce(d.name, '(without a name)') END AS "where",
       json_object('apc', printf('0x%x', a.address), 'tid', a.tid, 'mode', a.mode, 'routine', a.routine, 'normal_routine', printf('0x%x', a.normal_routine),
                   'kernel_routine', printf('0x%x', a.kernel_routine), 'driver', d.name) AS detail
FROM (SELECT *, kernel_routine AS target, 'kernel' AS routine FROM apcs
      UNION ALL SELECT *, normal_routine, 'normal' FROM apcs WHERE mode = 'kernel' AND normal_routine IS NOT kernel_routine
      UNION ALL SELECT *, rundown_routine, 'rundown' FROM apcs WHERE rundown_routine IS NOT kernel_routine) a JOIN processes p USING (process_id)
LEFT JOIN drivers d ON d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= a.target ORDER BY n.base DESC LIMIT 64) AND a.target < d.base + d.size
WHERE p.dump_id = :dump_id AND a.target IS NOT NULL AND a.target <> 0
  AND (d.driver_id IS NULL OR d.in_loaded_list = 0)
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
ORDER BY a.address, a.routine;
