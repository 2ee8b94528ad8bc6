-- query: unbacked_threads
-- about: live threads whose start address lies in no image
SELECT p.name AS process, p.pid, t.tid, printf('0x%x', t.win32_start_address) AS win32_start, printf('0x%x', t.start_address) AS start, v.type, v.protection,
       t.create_time, t.state, coalesce(d.computer_name, d.path) AS machine, d.path AS dump
FROM threads t JOIN processes p USING (process_id) JOIN dumps d USING (dump_id)
LEFT JOIN vads v ON v.vad_id IN (SELECT x.vad_id FROM vads x WHERE x.process_id = t.process_id AND x.start_address <= t.win32_start_address ORDER BY x.start_address DESC LIMIT 16) AND t.win32_start_address <= v.end_address
WHERE (:dump_id IS NULL OR p.dump_id = :dump_id) AND t.exit_time IS NULL AND t.win32_start_address > 0
  AND NOT (t.teb = 0 AND t.win32_start_address >= 0x80000000 AND d.architecture LIKE 'x86%') AND coalesce(v.type, '') <> 'image'
  AND EXISTS (SELECT 1 FROM vads x WHERE x.process_id = t.process_id)
ORDER BY p.dump_id, p.process_id, t.tid;
