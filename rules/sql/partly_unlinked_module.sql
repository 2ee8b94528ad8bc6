-- rule: partly_unlinked_module
-- severity: high
-- confidence: 75
-- attack: T1574
-- title: {name} ({pid}): {file} at {address} is in some lists of the loader, but was taken out of {missing}
-- The loader puts each image into the lists by load order and by place in memory at once, and takes it out of both. Where a list can't
-- be read or is broken, that an image isn't in it says nothing.
SELECT p.process_id, p.name, p.pid, m.base AS address, m.size AS length, coalesce(nullif(m.name, ''), m.mapped_path, 'an image without a name') AS file,
       CASE WHEN NOT m.in_load_order AND NOT m.in_memory_order THEN 'all but that of initialisation' WHEN NOT m.in_load_order THEN 'that of load order' ELSE 'that of memory order' END AS missing,
       iif(b.n > 0, 'low', 'high') AS severity, iif(b.n > 0, 30, 75) AS confidence,
       json_object('path', m.path, 'mapped_path', m.mapped_path, 'in_load_order', m.in_load_order, 'in_memory_order', m.in_memory_order, 'in_init_order', m.in_init_order,
                   'load_time', m.load_time, 'wow64', m.wow64, 'lists_damaged', b.n > 0) AS detail
FROM modules m JOIN processes p USING (process_id)
JOIN (SELECT q.process_id, (SELECT count(*) FROM diagnostics d WHERE d.process_id = q.process_id AND d.table_name = 'modules' AND d.row_id IS NULL) AS n
      FROM processes q WHERE q.dump_id = :dump_id) b ON b.process_id = p.process_id
WHERE p.dump_id = :dump_id AND p.exit_time IS NULL AND m.found_by = 'loader' AND (m.in_load_order = 0 OR m.in_memory_order = 0)
  AND (m.in_load_order = 1 OR m.in_memory_order = 1 OR m.in_init_order = 1)
  AND EXISTS (SELECT 1 FROM modules x WHERE x.process_id = m.process_id AND x.wow64 = m.wow64 AND x.in_load_order = 1 AND x.in_memory_order = 1)
ORDER BY m.module_id;
