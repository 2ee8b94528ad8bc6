-- rule: minifilter_outside_driver
-- severity: high
-- confidence: 80
-- attack: T1014
-- title: The minifilter {name} sees {operation} with {address}, where no driver is loaded
SELECT NULL AS process_id, m.name, o.operation, o.address, 1 AS length,
       json_object('minifilter', m.name, 'altitude', m.altitude, 'driver', m.driver, 'operation', o.operation, 'called', o.called) AS detail
FROM minifilters m
JOIN (SELECT minifilter_id, operation, pre_operation AS address, 'before' AS called FROM minifilter_operations
      UNION ALL SELECT minifilter_id, operation, post_operation, 'after' FROM minifilter_operations) o USING (minifilter_id)
WHERE m.dump_id = :dump_id AND o.address IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM drivers d WHERE d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= o.address ORDER BY n.base DESC LIMIT 64)
              AND o.address < d.base + d.size)
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
ORDER BY m.minifilter_id, o.operation, o.called;
