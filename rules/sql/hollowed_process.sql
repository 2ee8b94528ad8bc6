-- rule: hollowed_process
-- severity: critical
-- confidence: 90
-- attack: T1055.012
-- title: {name} ({pid}) does not run the image it was made from: {what}
-- The base in the PEB, the section the process was made from, and the memory at that base tell the same story in every process that was
-- started as usual. A 32-bit process has two PEBs, and its code looks at the second.
WITH told AS (
  SELECT process_id, image_base, FALSE AS second FROM processes WHERE dump_id = :dump_id
  UNION ALL SELECT process_id, image_base32, TRUE FROM processes WHERE dump_id = :dump_id AND wow64 AND image_base32 IS NOT image_base),
facts AS (
  SELECT p.process_id, p.name, p.pid, t.image_base, t.second, p.section_base, p.image_path, p.peb_image_path, p.command_line,
         v.vad_id, v.type, v.file_path, v.protection, v.start_address, v.end_address, i.header_state, i.size_of_image,
         t.image_base <> p.section_base AS moved,
         -- the memory manager's own account of the process, whole, has no image where its section was mapped
         NOT EXISTS (SELECT 1 FROM vads s WHERE s.process_id = p.process_id AND p.section_base BETWEEN s.start_address AND s.end_address)
           AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.process_id = p.process_id AND g.table_name = 'vads' AND g.row_id IS NULL) AS unmapped,
         instr(lower(v.file_path), r.root) > 0 AS file_in_windows, instr(lower(p.image_path), r.root) > 0 AS image_in_windows,
         -- one file under two names (hard links) has one control area, which knows the name it was opened by first
         coalesce(v.control_area = p.section_control_area, FALSE) AS same_section
  FROM told t JOIN processes p USING (process_id)
  JOIN (SELECT dump_id, lower(substr(coalesce(system_root, 'C:\Windows'), 3)) || '\' AS root FROM dumps) r USING (dump_id)
  LEFT JOIN vads v ON v.process_id = p.process_id AND t.image_base BETWEEN v.start_address AND v.end_address
  LEFT JOIN images i ON i.process_id = p.process_id AND i.base = t.image_base
  WHERE p.exit_time IS NULL AND t.image_base <> 0 AND p.section_base <> 0
    AND EXISTS (SELECT 1 FROM vads x WHERE x.process_id = p.process_id))
SELECT process_id, name, pid, image_base AS address, end_address - image_base + 1 AS length,
       -- a base that leads to no memory at all, while the image is in its place, is damage, or a field written over
       CASE WHEN vad_id IS NULL AND unmapped THEN 'high' WHEN vad_id IS NULL THEN 'low' ELSE 'critical' END AS severity,
       CASE WHEN vad_id IS NULL AND unmapped THEN 80 WHEN vad_id IS NULL THEN 30 ELSE 90 END AS confidence,
       CASE WHEN vad_id IS NULL AND unmapped THEN 'it was unmapped'
            WHEN vad_id IS NULL THEN 'its PEB names an image base where no memory is'
            WHEN type <> 'image' THEN 'its image base lies in ' || type || ' memory'
            WHEN moved THEN 'its PEB names another image base than its section''s'
            ELSE 'another file is mapped at its image base' END AS what,
       json_object('image_base', printf('0x%x', image_base), 'of_peb32', second, 'section_base', printf('0x%x', section_base), 'image_path', image_path,
                   'peb_image_path', peb_image_path, 'type', type, 'file', file_path, 'protection', protection, 'header_state', header_state,
                   'size_of_image', size_of_image, 'command_line', command_line) AS detail
FROM facts
-- files of Windows have several names (hard links into the component store), so the folder alone says nothing unless it is another's than Windows'
WHERE moved OR type <> 'image' OR (vad_id IS NULL AND unmapped) OR (NOT same_section AND file_path <> '' AND image_path <> '' AND file_in_windows <> image_in_windows)
  OR (NOT same_section AND file_path <> '' AND image_path <> ''
  AND lower(json_extract('[' || replace(json_quote(file_path), '\\', '","') || ']', '$[#-1]')) <> lower(json_extract('[' || replace(json_quote(image_path), '\\', '","') || ']', '$[#-1]')))
ORDER BY process_id, second;
