-- rule: entry_point_outside_code
-- severity: info
-- confidence: 50
-- attack: T1027.002
-- title: {name} ({pid}): the entry point of {file} lies in no executable section
SELECT p.process_id, p.name, p.pid, i.entry_point AS address, 1 AS length,
       coalesce(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), printf('0x%x', i.base)) AS file,
       json_object('image', printf('0x%x', i.base), 'path', i.path, 'section', s.name, 'characteristics', printf('0x%x', s.characteristics)) AS detail
FROM images i JOIN processes p USING (process_id)
LEFT JOIN image_sections s ON s.image_id = i.image_id
 AND i.entry_point - i.base BETWEEN s.virtual_address AND s.virtual_address + max(s.virtual_size, s.raw_size) - 1
WHERE p.dump_id = :dump_id AND i.same_as IS NULL AND i.header_state = 'intact' AND NOT i.is_dotnet AND i.entry_point IS NOT NULL
  AND coalesce(s.characteristics & 0x20000020, 0) = 0
ORDER BY i.image_id;
