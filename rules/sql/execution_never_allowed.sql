-- rule: execution_never_allowed
-- severity: high
-- confidence: 85
-- attack: T1055
-- title: {name} ({pid}) executes {pages} pages at {address}, in memory made as {protection}
-- The page tables make pages executable that were allocated without that right, and nothing changed it on record:
-- VirtualProtect leaves the VAD's own protection as it was, so this is what an unpacker or injector leaves.
SELECT p.process_id, p.name, p.pid, v.start_address AS address, v.end_address - v.start_address + 1 AS length,
       v.pages_executable AS pages, v.protection,
       json_object('protection', v.protection, 'type', v.type, 'pages_executable', v.pages_executable, 'pages_writable_executable',
                   v.pages_writable_executable, 'pages_zero', v.pages_zero, 'file', v.file_path, 'tag', v.tag) AS detail
FROM vads v JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND v.pages_executable > coalesce(v.pages_zero, 0) AND v.protection NOT LIKE '%EXECUTE%'
  AND v.type IN ('private', 'mapped')
ORDER BY v.vad_id;
