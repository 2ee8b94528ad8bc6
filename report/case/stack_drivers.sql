-- Kernel modules by how many dumps have them, the rarest first.
-- limit: 2000
SELECT count(DISTINCT v.dump_id) AS dumps, min(v.name) AS driver, v.size, min(v.path) AS path, min(v.in_loaded_list) AS listed, min(v.dump_id) AS dump
FROM drivers v GROUP BY lower(v.name), v.size ORDER BY coalesce(min(v.in_loaded_list), 1), 1, 2;
