-- rule: request_handler_outside_driver
-- severity: high
-- confidence: 85
-- attack: T1014
-- title: {driver} answers {functions} at {address}, {where}
-- Drivers answer requests themselves, or leave them all to the kernel or to a driver that does it for many (a port or class driver, the driver
-- framework). One that answers most by itself and a few in another driver had those taken over.
WITH handlers AS (
  SELECT driver_object_id, number, function, address FROM driver_irps WHERE dump_id = :dump_id
  UNION ALL SELECT driver_object_id, 100, 'StartIo', start_io FROM driver_objects WHERE dump_id = :dump_id
  UNION ALL SELECT driver_object_id, 101, 'unloading', unload FROM driver_objects WHERE dump_id = :dump_id),
placed AS (
  SELECT h.*, o.name, o.service, o.address AS object, o.start, d.driver_id, d.name AS other, d.in_loaded_list,
         d.base IS o.start AS own, d.base IS (SELECT kernel_base FROM dumps WHERE dump_id = :dump_id) AS kernel
  FROM handlers h JOIN driver_objects o USING (driver_object_id)
  LEFT JOIN drivers d ON d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= h.address ORDER BY n.base DESC LIMIT 64) AND h.address < d.base + d.size
  WHERE h.address IS NOT NULL AND h.address <> 0),
counted AS (
  SELECT *, sum(own) OVER (PARTITION BY driver_object_id) AS by_itself, count(*) OVER (PARTITION BY driver_object_id, driver_id) AS there FROM placed)
SELECT NULL AS process_id, coalesce(name, 'A driver without a name') AS driver, address, 1 AS length, group_concat(function, ', ') AS functions,
       CASE WHEN driver_id IS NULL THEN 'where no driver is loaded' WHEN in_loaded_list = 0 THEN 'in the unlinked driver ' || coalesce(other, '(without a name)')
            ELSE 'in ' || coalesce(other, 'a driver without a name') || ', and others by itself' END AS "where",
       iif(driver_id IS NULL OR in_loaded_list = 0, 'high', 'medium') AS severity, iif(driver_id IS NULL OR in_loaded_list = 0, 85, 55) AS confidence,
       json_object('driver_object', printf('0x%x', object), 'driver', name, 'service', service, 'start', printf('0x%x', start), 'other', other,
                   'functions', json_group_array(function), 'answered_by_itself', by_itself, 'answered_there', there) AS detail
FROM counted
WHERE (driver_id IS NULL OR (NOT own AND (in_loaded_list = 0 OR (NOT kernel AND number < 100 AND there <= 3 AND by_itself >= 2 * there
       AND NOT EXISTS (SELECT 1 FROM images i JOIN image_imports m USING (image_id) WHERE i.dump_id = :dump_id AND i.process_id IS NULL AND i.base = counted.start
                       AND lower(m.dll) = lower(counted.other))))))
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
GROUP BY driver_object_id, address
ORDER BY driver_object_id, min(number);
