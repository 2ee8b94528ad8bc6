-- limit: 100000
SELECT m.process_id AS process, printf('0x%x', m.base) AS base, m.size, m.name, m.path, m.mapped_path, m.load_time, m.in_load_order, m.in_memory_order, m.in_init_order
FROM modules m JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND (:all OR EXISTS (SELECT 1 FROM findings f WHERE f.process_id = p.process_id)) ORDER BY m.process_id, m.module_id;
