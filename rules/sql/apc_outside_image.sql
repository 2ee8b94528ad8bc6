-- rule: apc_outside_image
-- severity: high
-- confidence: 75
-- attack: T1055.004
-- title: An APC waits to run {address} in {name} ({pid}), in {type} memory
-- User APCs of a 32-bit process have their routine encoded: it points into no VAD, and is left alone.
SELECT p.process_id, p.name, p.pid, a.normal_routine AS address, 1 AS length, v.type,
       json_object('apc', printf('0x%x', a.address), 'tid', a.tid, 'normal_context', printf('0x%x', a.normal_context),
                   'kernel_routine', printf('0x%x', a.kernel_routine), 'region', printf('0x%x', v.start_address), 'protection', v.protection,
                   'pages_executable', v.pages_executable, 'file', v.file_path) AS detail
FROM apcs a JOIN processes p USING (process_id)
JOIN vads v ON v.process_id = a.process_id AND a.normal_routine BETWEEN v.start_address AND v.end_address
WHERE p.dump_id = :dump_id AND a.mode = 'user' AND v.type <> 'image' AND (v.pages_executable > 0 OR v.protection LIKE '%EXECUTE%')
ORDER BY a.rowid;
