-- rule: callback_table_outside_image
-- severity: high
-- confidence: 85
-- attack: T1574.013
-- title: {name} ({pid}): the table of functions that win32k calls lies at {address}, {where}
-- It is user32's, in its read-only data. A copy elsewhere has a function of its own in it, which the next window message runs.
SELECT p.process_id, p.name, p.pid, p.kernel_callback_table AS address, 8 AS length,
       coalesce('in ' || v.type || ' memory', 'where no VAD describes memory') AS "where", iif(v.vad_id IS NULL, 'low', 'high') AS severity, iif(v.vad_id IS NULL, 30, 85) AS confidence,
       json_object('kernel_callback_table', printf('0x%x', p.kernel_callback_table), 'type', v.type, 'region', printf('0x%x', v.start_address), 'protection', v.protection,
                   'file', v.file_path) AS detail
FROM processes p LEFT JOIN vads v ON v.process_id = p.process_id AND p.kernel_callback_table BETWEEN v.start_address AND v.end_address
WHERE p.dump_id = :dump_id AND p.exit_time IS NULL AND p.kernel_callback_table IS NOT NULL AND coalesce(v.type, '') <> 'image'
  AND EXISTS (SELECT 1 FROM vads x WHERE x.process_id = p.process_id AND x.type = 'image')
ORDER BY p.process_id;
