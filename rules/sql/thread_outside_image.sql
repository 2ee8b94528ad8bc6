-- rule: thread_outside_image
-- severity: high
-- confidence: 80
-- attack: T1055.003
-- title: A thread of {name} ({pid}) starts at {address}, {where}
-- What the creator asked for is the thread's own to change; where the kernel started it is not, and that is ntdll otherwise.
WITH starts AS (
  SELECT *, win32_start_address AS start FROM threads
  UNION ALL SELECT *, start_address FROM threads WHERE start_address IS NOT win32_start_address)
SELECT p.process_id, p.name, p.pid, t.start AS address, 1 AS length,
       CASE WHEN v.vad_id IS NULL THEN 'where no VAD describes memory' ELSE 'in ' || v.type || ' memory' END AS "where",
       json_object('tid', t.tid, 'start_address', printf('0x%x', t.start_address), 'win32_start_address', printf('0x%x', t.win32_start_address),
                   'create_time', t.create_time, 'state', t.state, 'region', printf('0x%x', v.start_address), 'protection', v.protection,
                   'pages_executable', v.pages_executable, 'file', v.file_path) AS detail
FROM starts t JOIN processes p USING (process_id)
-- the nearest that begin before it: a process may have 100,000 regions, and as many threads, to keep this from its end
LEFT JOIN vads v ON v.vad_id IN (SELECT x.vad_id FROM vads x WHERE x.process_id = t.process_id AND x.start_address <= t.start ORDER BY x.start_address DESC LIMIT 16) AND t.start <= v.end_address
WHERE p.dump_id = :dump_id AND t.start > 0
  -- a kernel thread of a 32-bit machine, whose addresses aren't extended
  AND NOT (t.teb = 0 AND t.start >= 0x80000000 AND (SELECT architecture FROM dumps WHERE dump_id = :dump_id) LIKE 'x86%') AND p.exit_time IS NULL AND t.exit_time IS NULL
  AND (v.vad_id IS NULL OR v.type <> 'image')
  -- a thread that waits in the loader's thread pool may keep a value of its own here: only code counts
  AND (v.vad_id IS NULL OR v.pages_executable > 0 OR v.protection LIKE '%EXECUTE%')
  AND EXISTS (SELECT 1 FROM vads x WHERE x.process_id = p.process_id AND x.type = 'image')
  AND NOT (v.vad_id IS NULL AND EXISTS (SELECT 1 FROM diagnostics d WHERE d.process_id = p.process_id AND d.table_name = 'vads' AND d.row_id IS NULL))
ORDER BY t.thread_id, t.start;
