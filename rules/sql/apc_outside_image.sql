-- rule: apc_outside_image
-- severity: high
-- confidence: 75
-- attack: T1055.004
-- title: An APC waits to run {address} in {name} ({pid}), in {type} memory
-- QueueUserAPC has ntdll call the function: that is the context then. A context is usually data, so only executable memory counts; the functions of
-- a just-in-time compiler may be called in this way.
WITH called AS (
  SELECT *, normal_routine AS target, 0 AS dispatched FROM apcs WHERE mode = 'user'
  UNION ALL SELECT *, normal_context, 1 FROM apcs WHERE mode = 'user' AND normal_module IS NOT NULL)
SELECT p.process_id, p.name, p.pid, a.target AS address, 1 AS length, v.type,
       iif(a.dispatched AND c.functions >= 4 AND c.invalid * 20 <= c.sampled AND c.entropy < 7 AND c.peb_access + c.syscalls + c.getpc = 0, 'low', 'high') AS severity,
       json_object('apc', printf('0x%x', a.address), 'tid', a.tid, 'normal_routine', printf('0x%x', a.normal_routine), 'normal_module', a.normal_module,
                   'normal_context', printf('0x%x', a.normal_context), 'kernel_routine', printf('0x%x', a.kernel_routine), 'region', printf('0x%x', v.start_address),
                   'protection', v.protection, 'pages_executable', v.pages_executable, 'file', v.file_path) AS detail
FROM called a JOIN processes p USING (process_id)
-- the nearest that begin before it: see thread_outside_image
JOIN vads v ON v.vad_id IN (SELECT x.vad_id FROM vads x WHERE x.process_id = a.process_id AND x.start_address <= a.target ORDER BY x.start_address DESC LIMIT 16) AND a.target <= v.end_address
LEFT JOIN code_regions c ON c.rowid = (SELECT x.rowid FROM code_regions x WHERE x.process_id = a.process_id AND x.address <= a.target ORDER BY x.address DESC LIMIT 1)
 AND a.target < c.address + c.length
WHERE p.dump_id = :dump_id AND v.type <> 'image' AND (v.pages_executable > 0 OR v.protection LIKE '%EXECUTE%')
  AND (NOT a.dispatched OR c.address IS NOT NULL OR v.type = 'mapped')
ORDER BY a.address, a.dispatched;
