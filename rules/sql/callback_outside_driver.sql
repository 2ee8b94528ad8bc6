-- rule: callback_outside_driver
-- severity: high
-- confidence: 90
-- attack: T1014
-- title: The kernel calls {address} on {type} events, {where}
SELECT NULL AS process_id, c.type, c.address, 1 AS length,
       CASE WHEN d.driver_id IS NULL THEN 'where no driver is loaded' ELSE 'in the unlinked driver ' || coalesce(d.name, '(without a name)') END AS "where",
       json_object('type', c.type, 'registration', json(c.detail), 'driver', d.name, 'driver_base', printf('0x%x', d.base)) AS detail
FROM callbacks c
LEFT JOIN drivers d ON d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= c.address ORDER BY n.base DESC LIMIT 64) AND c.address < d.base + d.size
WHERE c.dump_id = :dump_id AND c.address IS NOT NULL AND (d.driver_id IS NULL OR d.in_loaded_list = 0)
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  -- a list of drivers that ends early says nothing of what it lacks
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
ORDER BY c.rowid;
