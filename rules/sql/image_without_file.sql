-- rule: image_without_file
-- severity: high
-- confidence: 75
-- attack: T1055.013
-- title: {name} ({pid}) has an image mapped at {address} whose section has no file
-- Sections of images are made of files, and keep them. One that lost its own was made of a file that is no more (a transaction rolled back, a
-- ghost), or its record was wiped.
SELECT p.process_id, p.name, p.pid, v.start_address AS address, v.end_address - v.start_address + 1 AS length,
       json_object('control_area', printf('0x%x', v.control_area), 'image_path', p.image_path, 'peb_image_path', p.peb_image_path, 'protection', v.protection,
                   'main_image', v.start_address IN (p.image_base, p.section_base)) AS detail
FROM vads v JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND v.type = 'image' AND v.control_area IS NOT NULL AND v.file_object IS NULL AND p.exit_time IS NULL
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'vads' AND g.row_id = v.vad_id)
  -- beyond the first few of a process they are counted: any of its VADs may be among them
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.process_id = p.process_id AND g.table_name = 'vads' AND g.column_name = 'file_path' AND g.occurrences > 1)
  AND EXISTS (SELECT 1 FROM vads x WHERE x.process_id = p.process_id AND x.type = 'image' AND x.file_object IS NOT NULL)
ORDER BY v.vad_id;
