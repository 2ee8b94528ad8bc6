-- rule: process_path_mismatch
-- severity: high
-- confidence: 85
-- attack: T1055
-- title: {name} ({pid}) says it runs {shown}, but was made from {image_path}
-- What the PEB says is the process's to write; the section's file is the kernel's. They differ when the PEB was written over, and where a section
-- of one file was made a process with the parameters of another. A path that differs in its folder alone may be a link, a substituted drive or a
-- short name. A 32-bit process has two PEBs.
WITH told AS (
  SELECT process_id, peb_image_path AS shown FROM processes WHERE dump_id = :dump_id
  UNION SELECT process_id, peb32_image_path FROM processes WHERE dump_id = :dump_id AND wow64),
paths AS (
  SELECT p.*, t.shown,
         CASE WHEN t.shown LIKE '\SystemRoot\%' THEN substr(coalesce(d.system_root, 'C:\Windows'), 3) || substr(t.shown, 12)
              WHEN t.shown LIKE '\??\_:%' OR t.shown LIKE '\\?\_:%' THEN substr(t.shown, 7)
              WHEN t.shown LIKE '_:\%' THEN substr(t.shown, 3)
              WHEN t.shown LIKE '\\%' THEN substr(t.shown, 2) ELSE t.shown END AS tail,
         json_extract('[' || replace(json_quote(t.shown), '\\', '","') || ']', '$[#-1]') AS shown_file,
         json_extract('[' || replace(json_quote(p.image_path), '\\', '","') || ']', '$[#-1]') AS real_file,
         lower(substr(coalesce(d.system_root, 'C:\Windows'), 3)) || '\' AS root
  FROM told t JOIN processes p USING (process_id) JOIN dumps d USING (dump_id)
  WHERE t.shown <> '' AND p.image_path <> '' AND p.exit_time IS NULL),
-- the machine's ntdll is directly on its volume; a process that has another is in a container, whose files lie in folders
ntdll AS MATERIALIZED (
  SELECT v.process_id, max(lower(v.file_path) LIKE '\device\%' AND instr(substr(lower(v.file_path), 9), '\') + 8 = length(v.file_path) - length(ending) + 1) AS of_machine
  FROM vads v JOIN processes p USING (process_id) JOIN (SELECT dump_id, lower(substr(coalesce(system_root, 'C:\Windows'), 3)) || '\system32\ntdll.dll' AS ending FROM dumps) USING (dump_id)
  WHERE p.dump_id = :dump_id AND v.type = 'image' AND substr(lower(v.file_path), -length(ending)) = ending GROUP BY v.process_id),
placed AS (
  SELECT paths.*, replace(replace(lower(image_path), '\sysarm32\', '\syswow64\'), '\sychpe32\', '\syswow64\') AS path,
         instr(lower(image_path), root) > 0 AND (instr(lower(image_path), root) = 1 OR (lower(image_path) LIKE '\device\%' AND instr(substr(lower(image_path), 9), '\') + 8 = instr(lower(image_path), root)) OR n.of_machine IS NOT TRUE) AS in_windows
  FROM paths LEFT JOIN ntdll n USING (process_id)),
judged AS (
  SELECT *, CASE WHEN shown_file LIKE '%~%' THEN 'low' WHEN lower(shown_file) <> lower(real_file) THEN 'high'
                 WHEN substr(lower(tail), 1, length(root)) = root AND NOT in_windows THEN 'high' ELSE 'low' END AS judgement
  FROM placed)
SELECT process_id, name, pid, coalesce(section_base, image_base) AS address, shown, image_path, min(judgement) AS severity,
       (SELECT v.end_address - v.start_address + 1 FROM vads v WHERE v.process_id = judged.process_id AND v.start_address = judged.section_base) AS length,
       iif(judgement = 'high', 85, 30) AS confidence,
       json_object('peb_image_path', peb_image_path, 'peb32_image_path', peb32_image_path, 'image_path', image_path, 'command_line', command_line, 'create_time', create_time) AS detail
FROM judged
WHERE NOT (substr(lower(image_path), -length(tail)) = lower(tail) AND (in_windows OR substr(lower(tail), 1, length(root)) <> root))
  AND NOT (wow64 AND in_windows AND substr(path, -length(replace(lower(tail), '\system32\', '\syswow64\'))) = replace(lower(tail), '\system32\', '\syswow64\'))
  -- the component store has the files of Windows under a second name (hard links)
  AND NOT (lower(shown_file) = lower(real_file) AND in_windows AND image_path LIKE '%\WinSxS\%' AND substr(lower(tail), 1, length(root)) = root)
GROUP BY process_id
ORDER BY process_id;
