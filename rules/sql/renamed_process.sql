-- rule: renamed_process
-- severity: high
-- confidence: 80
-- attack: T1036.005
-- title: The kernel calls process {pid} {name}, but it was made from {image_path}
-- EPROCESS.ImageFileName is the first 14 or 15 characters of the file's name, written once. Another name was put there by who writes to kernel
-- memory. Characters that differ by damage alone leave most of the name as it was.
WITH named AS (
  SELECT p.*, json_extract('[' || replace(json_quote(p.image_path), '\\', '","') || ']', '$[#-1]') AS file FROM processes p
  WHERE p.dump_id = :dump_id AND p.exit_time IS NULL AND p.image_path LIKE '%\%' AND p.peb <> 0 AND p.name <> '')
SELECT process_id, pid, name, image_path, eprocess AS address, 1 AS length,
       json_object('name', name, 'image_path', image_path, 'peb_image_path', peb_image_path, 'command_line', command_line, 'create_time', create_time) AS detail
FROM named
WHERE lower(substr(name, 1, 3)) <> lower(substr(file, 1, 3)) AND lower(substr(name, 4, 3)) <> lower(substr(file, 4, 3))
  AND file NOT LIKE '%~%' AND file NOT GLOB '*[^ -~]*'
ORDER BY process_id;
