-- rule: image_file_deleted
-- severity: high
-- confidence: 85
-- attack: T1055
-- title: {name} ({pid}) runs {file_path}, which goes when it is closed
-- A file that is about to be deleted can't be opened to be looked at any more: an image section made of it in time is a ghost.
SELECT p.process_id, p.name, p.pid, v.start_address AS address, v.end_address - v.start_address + 1 AS length, v.file_path,
       iif(v.start_address IN (p.image_base, p.section_base), 'high', 'medium') AS severity,
       iif(v.start_address IN (p.image_base, p.section_base), 85, 60) AS confidence,
       json_object('file', v.file_path, 'main_image', v.start_address IN (p.image_base, p.section_base), 'file_object', printf('0x%x', v.file_object),
                   'image_path', p.image_path, 'peb_image_path', p.peb_image_path, 'sha256', i.sha256) AS detail
FROM vads v JOIN processes p USING (process_id) LEFT JOIN images i ON i.vad_id = v.vad_id AND i.base = v.start_address
WHERE p.dump_id = :dump_id AND v.type = 'image' AND v.file_delete_pending = 1
ORDER BY v.vad_id;
