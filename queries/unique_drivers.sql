-- query: unique_drivers
-- about: kernel modules that one dump of the case alone has, by name and size (stacking)
SELECT min(v.name) AS driver, v.size, min(v.path) AS path, printf('0x%x', min(v.base)) AS base, min(v.in_loaded_list) AS in_loaded_list,
       max(v.in_pool_scan) AS in_pool_scan, coalesce(d.computer_name, d.path) AS machine, d.os_build AS build, d.path AS dump
FROM drivers v JOIN dumps d USING (dump_id)
GROUP BY lower(v.name), v.size HAVING count(DISTINCT v.dump_id) = 1 AND (:dump_id IS NULL OR min(v.dump_id) = :dump_id)
ORDER BY in_loaded_list, driver;
