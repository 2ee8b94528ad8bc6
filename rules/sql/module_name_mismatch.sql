-- rule: module_name_mismatch
-- severity: high
-- confidence: 85
-- attack: T1036.005
-- title: {name} ({pid}): the loader calls the image at {address} {shown}, but the file mapped there is {mapped_path}
-- The path in the loader's entry can be written by anyone in the process, that of the section's file object can't. Short (8.3) names,
-- links and substituted drives make the folder differ, not the name; and a path that is damaged still has the base name beside it. A file that is
-- the process's program by its control area may be known by another name: hard links have one.
WITH paths AS (
  SELECT m.*, p.name AS process_name, p.pid, p.dump_id,
         CASE WHEN m.path LIKE '\SystemRoot\%' THEN substr(coalesce(d.system_root, 'C:\Windows'), 3) || substr(m.path, 12)
              WHEN m.path LIKE '\??\_:%' OR m.path LIKE '\\?\_:%' THEN substr(m.path, 7)
              WHEN m.path LIKE '_:\%' THEN substr(m.path, 3)
              WHEN m.path LIKE '\\%' THEN substr(m.path, 2) ELSE m.path END AS tail,
         json_extract('[' || replace(json_quote(m.path), '\\', '","') || ']', '$[#-1]') AS shown_file,
         json_extract('[' || replace(json_quote(m.mapped_path), '\\', '","') || ']', '$[#-1]') AS mapped_file,
         p.image_path, p.section_base, p.section_control_area, m.vad_id AS vad,
         lower(substr(coalesce(d.system_root, 'C:\Windows'), 3)) || '\' AS root
  FROM modules m JOIN processes p USING (process_id) JOIN dumps d USING (dump_id)
  WHERE p.dump_id = :dump_id AND m.path <> '' AND m.mapped_path <> ''),
different AS (SELECT * FROM paths WHERE substr(lower(mapped_path), -length(tail)) <> lower(tail) OR substr(lower(tail), 1, length(root)) = root),
-- the machine's ntdll is directly on its volume; a process that has another is in a container, whose files lie in folders
ntdll AS MATERIALIZED (
  SELECT v.process_id, max(lower(v.file_path) LIKE '\device\%' AND instr(substr(lower(v.file_path), 9), '\') + 8 = length(v.file_path) - length(ending) + 1) AS of_machine
  FROM vads v JOIN processes p USING (process_id) JOIN (SELECT dump_id, lower(substr(coalesce(system_root, 'C:\Windows'), 3)) || '\system32\ntdll.dll' AS ending FROM dumps) USING (dump_id)
  WHERE p.dump_id = :dump_id AND v.type = 'image' AND substr(lower(v.file_path), -length(ending)) = ending GROUP BY v.process_id),
placed AS (
  SELECT different.*, replace(replace(lower(mapped_path), '\sysarm32\', '\syswow64\'), '\sychpe32\', '\syswow64\') AS mapped,
         instr(lower(mapped_path), root) > 0 AND (instr(lower(mapped_path), root) = 1 OR (lower(mapped_path) LIKE '\device\%' AND instr(substr(lower(mapped_path), 9), '\') + 8 = instr(lower(mapped_path), root)) OR n.of_machine IS NOT TRUE) AS in_windows
  FROM different LEFT JOIN ntdll n USING (process_id))
SELECT process_id, process_name AS name, pid, base AS address, size AS length, path AS shown, mapped_path, iif(doubtful, 'low', 'high') AS severity,
       iif(doubtful, 30, 85) AS confidence,
       json_object('path', path, 'name', judged.name, 'mapped_path', mapped_path, 'wow64', wow64, 'in_load_order', in_load_order) AS detail
FROM (SELECT *, shown_file LIKE '%~%' OR (lower(mapped_file) IN (lower(shown_file), lower(coalesce(placed.name, '')))
               -- what is shown as Windows' own file lies outside of Windows' folder
               AND NOT (lower(mapped_file) = lower(shown_file) AND substr(lower(tail), 1, length(root)) = root AND NOT in_windows)) AS doubtful FROM placed) AS judged
WHERE NOT (substr(lower(mapped_path), -length(tail)) = lower(tail) AND (in_windows OR substr(lower(tail), 1, length(root)) <> root))
  AND NOT (wow64 AND in_windows AND substr(mapped, -length(replace(lower(tail), '\system32\', '\syswow64\'))) = replace(lower(tail), '\system32\', '\syswow64\'))
  -- the component store has the files of Windows under a second name (hard links)
  AND NOT (lower(shown_file) = lower(mapped_file) AND in_windows AND mapped_path LIKE '%\WinSxS\%')
  AND NOT coalesce(base = section_base AND substr(lower(image_path), -length(tail)) = lower(tail) AND section_control_area = (SELECT v.control_area FROM vads v WHERE v.vad_id = vad), FALSE)
ORDER BY module_id;
