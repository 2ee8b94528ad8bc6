-- rule: section_writable_executable
-- severity: info
-- confidence: 50
-- attack: T1027.002
-- title: {name} ({pid}): {file} has sections that are writable and executable: {sections}
-- Packers and protectors write to their own code, and say so in their section table.
SELECT p.process_id, p.name, p.pid, i.base + min(s.virtual_address) AS address,
       max(s.virtual_address + s.virtual_size) - min(s.virtual_address) AS length, group_concat(s.name, ', ') AS sections,
       coalesce(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), printf('0x%x', i.base)) AS file,
       json_object('image', printf('0x%x', i.base), 'path', i.path, 'found_by', i.found_by, 'entropy', max(s.entropy), 'pages_private', i.pages_private) AS detail
FROM images i JOIN processes p USING (process_id) JOIN image_sections s USING (image_id)
WHERE p.dump_id = :dump_id AND i.same_as IS NULL AND i.rebuilt_from IS NULL AND s.characteristics & 0xa0000000 = 0xa0000000
GROUP BY i.image_id
ORDER BY i.image_id;
