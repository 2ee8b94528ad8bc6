-- rule: wiped_header
-- severity: high
-- confidence: 85
-- attack: T1620
-- title: {name} ({pid}) has an image at {address} whose PE header was removed
-- In private memory the rest of the image tells: a function table, relocation blocks or imports that fit. Of a mapped image, the header's
-- page is a private copy that has none; protectors do that to their own program, so it means less.
SELECT p.process_id, p.name, p.pid, i.base AS address, i.size AS length,
       CASE WHEN i.found_by = 'remains' OR v.type <> 'image' THEN 'high' ELSE 'medium' END AS severity,
       CASE WHEN i.found_by = 'remains' OR v.type <> 'image' THEN 85 ELSE 70 END AS confidence,
       json_object('found_by', i.found_by, 'header_damage', i.header_damage, 'path', i.path, 'type', v.type, 'protection', v.protection,
                   'allocation', printf('0x%x', v.start_address), 'pages_present', i.pages_present, 'pages_executable', v.pages_executable) AS detail
FROM images i JOIN processes p USING (process_id) LEFT JOIN vads v USING (vad_id)
WHERE p.dump_id = :dump_id AND i.header_state IN ('wiped', 'partial')
  AND (i.found_by = 'remains' OR (v.type <> 'image' AND i.header_state = 'wiped')
       OR EXISTS (SELECT 1 FROM image_patches x WHERE x.image_id = i.image_id AND x.kind = 'header' AND x.changed_bits > 4))
ORDER BY i.image_id;
