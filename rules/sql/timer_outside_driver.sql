-- rule: timer_outside_driver
-- severity: high
-- confidence: 80
-- attack: T1014
-- title: A kernel timer calls {address}, {where}
SELECT NULL AS process_id, t.routine AS address, 1 AS length,
       CASE WHEN d.driver_id IS NULL THEN 'where no driver is loaded' ELSE 'in the unlinked driver ' || coalesce(d.name, '(without a name)') END AS "where",
       json_object('timer', printf('0x%x', t.address), 'dpc', printf('0x%x', t.dpc), 'due_time', t.due_time, 'period', t.period,
                   'processor', t.processor, 'context', printf('0x%x', t.context), 'driver', d.name) AS detail
FROM timers t
LEFT JOIN drivers d ON d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= t.routine ORDER BY n.base DESC LIMIT 64) AND t.routine < d.base + d.size
WHERE t.dump_id = :dump_id AND t.routine IS NOT NULL
  -- the kernel's half: the upper one; addresses of 32-bit machines aren't extended
  AND (t.routine < 0 OR (t.routine >= 0x80000000 AND (SELECT architecture FROM dumps WHERE dump_id = :dump_id) LIKE 'x86%')) AND (d.driver_id IS NULL OR d.in_loaded_list = 0)
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
ORDER BY t.rowid;
