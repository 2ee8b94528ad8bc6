-- rule: process_path_mismatch
-- severity: high
-- confidence: 85
-- attack: T1055
-- title: {name} ({pid}) says it runs {shown}, but was made from {image_path}
-- What the PEB says is the process's to write; the section's file is the kernel's. They differ after herpaderping, and when the PEB was
-- written over. A path that differs in its folder alone may be a link, a substituted drive or a short name.
WITH paths AS (
  SELECT p.*,
         CASE WHEN p.peb_image_path LIKE '\SystemRoot\%' THEN substr(coalesce(d.system_root, 'C:\Windows'), 3) || substr(p.peb_image_path, 12)
              WHEN p.peb_image_path LIKE '\??\_:%' OR p.peb_image_path LIKE '\\?\_:%' THEN substr(p.peb_image_path, 7)
              WHEN p.peb_image_path LIKE '_:\%' THEN substr(p.peb_image_path, 3)
              WHEN p.peb_image_path LIKE '\\%' THEN substr(p.peb_image_path, 2) ELSE p.peb_image_path END AS tail,
         replace(p.peb_image_path, rtrim(p.peb_image_path, replace(p.peb_image_path, '\', '')), '') AS shown_file,
         replace(p.image_path, rtrim(p.image_path, replace(p.image_path, '\', '')), '') AS real_file,
         lower(substr(coalesce(d.system_root, 'C:\Windows'), 3)) || '\' AS root
  FROM processes p JOIN dumps d USING (dump_id)
  WHERE p.dump_id = :dump_id AND p.peb_image_path <> '' AND p.image_path <> '' AND p.exit_time IS NULL),
judged AS (
  SELECT *, CASE WHEN shown_file LIKE '%~%' THEN 'low' WHEN lower(shown_file) <> lower(real_file) THEN 'high'
                 WHEN substr(lower(tail), 1, length(root)) = root AND instr(lower(image_path), root) = 0 THEN 'high' ELSE 'low' END AS judgement
  FROM paths)
SELECT process_id, name, pid, coalesce(section_base, image_base) AS address, peb_image_path AS shown, image_path, judgement AS severity,
       (SELECT v.end_address - v.start_address + 1 FROM vads v WHERE v.process_id = judged.process_id AND v.start_address = judged.section_base) AS length,
       iif(judgement = 'high', 85, 30) AS confidence,
       json_object('peb_image_path', peb_image_path, 'image_path', image_path, 'command_line', command_line, 'create_time', create_time) AS detail
FROM judged
WHERE substr(lower(image_path), -length(tail)) <> lower(tail)
  AND NOT (wow64 AND substr(lower(image_path), -length(replace(lower(tail), '\system32\', '\syswow64\'))) = replace(lower(tail), '\system32\', '\syswow64\'))
  -- the component store has the files of Windows under a second name (hard links)
  AND NOT (lower(shown_file) = lower(real_file) AND image_path LIKE '%\WinSxS\%' AND substr(lower(tail), 1, length(root)) = root)
ORDER BY process_id;
