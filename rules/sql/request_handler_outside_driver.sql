-- rule: request_handler_outside_driver
-- severity: high
-- confidence: 85
-- attack: T1014
-- title: {driver} answers {functions} at {address}, where no driver is loaded
SELECT NULL AS process_id, coalesce(o.name, 'A driver without a name') AS driver, i.address, 1 AS length, group_concat(i.function, ', ') AS functions,
       json_object('driver_object', printf('0x%x', o.address), 'driver', o.name, 'service', o.service, 'start', printf('0x%x', o.start),
                   'functions', json_group_array(i.function)) AS detail
FROM driver_irps i JOIN driver_objects o USING (driver_object_id)
WHERE o.dump_id = :dump_id AND i.address IS NOT NULL AND i.address <> 0
  AND NOT EXISTS (SELECT 1 FROM drivers d WHERE d.dump_id = o.dump_id AND i.address BETWEEN d.base AND d.base + d.size - 1)
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = o.dump_id AND x.in_loaded_list = 1)
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = o.dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
GROUP BY o.driver_object_id, i.address
ORDER BY o.driver_object_id, min(i.number);
