-- rule: tls_callback_outside_image
-- severity: high
-- confidence: 75
-- attack: T1055.005
-- title: {name} ({pid}): a TLS callback of {file} at {address} lies outside of the image
SELECT p.process_id, p.name, p.pid, t.address, 1 AS length, coalesce(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), printf('0x%x', i.base)) AS file,
       iif(m.module_id IS NULL, 'high', 'medium') AS severity,
       json_object('image', printf('0x%x', i.base), 'path', i.path, 'module', m.name, 'module_path', m.path) AS detail
FROM image_tls_callbacks t JOIN images i USING (image_id) JOIN processes p USING (process_id)
LEFT JOIN modules m ON m.module_id IN (SELECT x.module_id FROM modules x WHERE x.process_id = i.process_id AND x.base <= t.address ORDER BY x.base DESC LIMIT 64) AND t.address < m.base + m.size
WHERE p.dump_id = :dump_id AND i.header_state = 'intact'
  AND t.address NOT BETWEEN i.base AND i.base + i.size - 1
  AND t.address NOT BETWEEN i.preferred_base AND i.preferred_base + i.size_of_image - 1
ORDER BY t.rowid;
