-- rule: pe_in_private_memory
-- severity: high
-- confidence: 90
-- attack: T1620
-- title: {name} ({pid}) has a PE image at {address} in {type} memory, which no loader put there
-- The memory manager maps images; a header in private or data-mapped memory was written by something else: to be run, where pages are executable; a program may
-- also read a file, and .NET load an assembly, into memory of its own. Of one whose
-- header is not in the dump the rest tells.
SELECT p.process_id, p.name, p.pid, i.base AS address, i.size AS length,
       coalesce(v.type, 'undescribed') AS type,
       CASE WHEN v.vad_id IS NULL OR v.pages_executable > 0 THEN 'high' ELSE 'medium' END AS severity,
       CASE WHEN v.vad_id IS NULL OR v.pages_executable > 0 THEN 90 ELSE 60 END AS confidence,
       json_object('found_by', i.found_by, 'header_state', i.header_state, 'header_damage', i.header_damage, 'machine', i.machine, 'size_of_image', i.size_of_image,
                   'timestamp', i.timestamp, 'entry_point', printf('0x%x', i.entry_point), 'import_hash', i.import_hash, 'imports_bound', i.imports_bound,
                   'pdb_name', i.pdb_name, 'original_filename', i.original_filename, 'allocation', printf('0x%x', v.start_address),
                   'protection', v.protection, 'pages_executable', v.pages_executable, 'file', v.file_path) AS detail
FROM images i JOIN processes p USING (process_id) LEFT JOIN vads v USING (vad_id)
WHERE p.dump_id = :dump_id AND coalesce(v.type, '') <> 'image' AND (i.header_state IN ('intact', 'partial') OR (i.header_state = 'absent' AND i.found_by = 'remains'))
  AND (i.found_by = 'header' OR (i.found_by = 'remains' AND i.header_state = 'absent') OR (i.found_by = 'loader' AND v.vad_id IS NOT NULL AND i.base IS NOT p.image_base))
ORDER BY i.image_id;
