-- rule: unlinked_module
-- severity: high
-- confidence: 80
-- attack: T1574
-- title: {name} ({pid}) has {file} mapped as an image at {address}, which the loader's lists don't have
-- Images are also mapped to read their resources or (.NET) by a loader of their own: then nobody fills their import slots. One
-- whose slots are filled was loaded to run, and one whose entry still lies in the heap was unlinked. Where the lists can't be
-- read or are broken, that an image isn't in them says nothing.
SELECT p.process_id, p.name, p.pid, i.base AS address, i.size AS length,
       json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]') AS file,
       CASE WHEN broken.n > 0 THEN 'low' WHEN m.found_by = 'memory' OR i.imports_bound THEN 'high' ELSE 'low' END AS severity,
       CASE WHEN broken.n > 0 THEN 30 WHEN m.found_by = 'memory' THEN 90 WHEN i.imports_bound THEN 80 ELSE 30 END AS confidence,
       json_object('path', i.path, 'entry_in_memory', m.found_by = 'memory', 'entry_name', m.name, 'imports_bound', i.imports_bound, 'is_dotnet', i.is_dotnet,
                   'is_dll', i.is_dll, 'pages_executable', v.pages_executable, 'lists_damaged', broken.n > 0) AS detail
FROM images i JOIN processes p USING (process_id) JOIN vads v USING (vad_id)
LEFT JOIN modules m ON m.process_id = i.process_id AND m.base = i.base
JOIN (SELECT q.process_id, (SELECT count(*) FROM diagnostics d WHERE d.process_id = q.process_id AND d.table_name = 'modules' AND d.row_id IS NULL) AS n
      FROM processes q WHERE q.dump_id = :dump_id) broken ON broken.process_id = p.process_id
WHERE p.dump_id = :dump_id AND i.found_by = 'vad' AND p.exit_time IS NULL
  -- what has no code can't run: resources, and the table of API sets
  AND (NOT EXISTS (SELECT 1 FROM image_sections s WHERE s.image_id = i.image_id)
       OR EXISTS (SELECT 1 FROM image_sections s WHERE s.image_id = i.image_id AND s.characteristics & 0x20000020))
  -- the lists of the loader that would have it were read (where it isn't known whether the process has another, they weren't)
  AND EXISTS (SELECT 1 FROM modules l WHERE l.process_id = i.process_id AND l.in_load_order
              AND (i.is_64bit IS NULL OR l.wow64 <> i.is_64bit OR NOT p.wow64))
ORDER BY i.image_id;
