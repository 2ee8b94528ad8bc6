-- rule: masqueraded_process
-- severity: high
-- confidence: 85
-- attack: T1036.005
-- title: {name} ({pid}) has the name of a Windows process but was started from {image_path}
-- Where each of these files lies is a property of Windows; the path is the kernel's own (the section's file), not the PEB's. A folder like
-- C:\Users\Public\Windows is another: the path begins with the volume of ntdll, which the kernel maps into each process itself. In a container
-- ntdll is the container's, and files are in its layers.
WITH home(name, folder) AS (VALUES
  ('smss.exe', '\system32'), ('csrss.exe', '\system32'), ('wininit.exe', '\system32'), ('winlogon.exe', '\system32'),
  ('services.exe', '\system32'), ('lsass.exe', '\system32'), ('lsaiso.exe', '\system32'), ('lsm.exe', '\system32'),
  ('svchost.exe', '\system32'), ('spoolsv.exe', '\system32'), ('taskhost.exe', '\system32'), ('taskhostw.exe', '\system32'),
  ('taskhostex.exe', '\system32'), ('dwm.exe', '\system32'), ('conhost.exe', '\system32'), ('dllhost.exe', '\system32'),
  ('rundll32.exe', '\system32'), ('runtimebroker.', '\system32'), ('sihost.exe', '\system32'), ('fontdrvhost.ex', '\system32'),
  ('logonui.exe', '\system32'), ('userinit.exe', '\system32'), ('ctfmon.exe', '\system32'), ('wermgr.exe', '\system32'), ('werfault.exe', '\system32'), ('werfaultsecure', '\system32'),
  ('searchindexer.', '\system32'), ('audiodg.exe', '\system32'), ('explorer.exe', '')),
root(dump_id, path) AS (SELECT dump_id, lower(substr(coalesce(system_root, 'C:\Windows'), 3)) FROM dumps WHERE dump_id = :dump_id),
ntdll AS MATERIALIZED (
  SELECT DISTINCT v.process_id, substr(lower(v.file_path), 1, length(v.file_path) - length(r.path || '\system32\ntdll.dll')) AS volume
  FROM vads v JOIN processes p USING (process_id) JOIN root r USING (dump_id)
  WHERE v.type = 'image' AND substr(lower(v.file_path), -length(r.path || '\system32\ntdll.dll')) = r.path || '\system32\ntdll.dll'),
-- a device, nothing below it: not a container's folder, and not nothing (a device object that isn't in the dump)
machine AS MATERIALIZED (
  SELECT volume FROM ntdll WHERE volume LIKE '\device\%' AND instr(substr(volume, 9), '\') = 0 GROUP BY volume ORDER BY count(*) DESC, volume LIMIT 1),
-- where 32-bit programs are, those for ARM and for x86 on ARM64 too
wow64(folder) AS (VALUES ('\syswow64'), ('\sysarm32'), ('\sychpe32')),
named AS (
  SELECT p.*, r.path AS root, r.path || home.folder AS expected, lower(p.image_path) AS path,
         '\' || lower(json_extract('[' || replace(json_quote(p.image_path), '\\', '","') || ']', '$[#-1]')) AS file
  FROM processes p JOIN root r USING (dump_id) CROSS JOIN home ON home.name = substr(lower(p.name), 1, 14) WHERE p.image_path IS NOT NULL),
placed AS (
  SELECT *, CASE WHEN substr(path, -length(expected || file)) = expected || file THEN substr(path, 1, length(path) - length(expected || file))
                 WHEN wow64 THEN (SELECT substr(path, 1, length(path) - length(root || w.folder || file)) FROM wow64 w WHERE substr(path, -length(root || w.folder || file)) = root || w.folder || file) END AS volume
  FROM named)
SELECT p.process_id, p.name, p.pid, p.image_path, p.image_base AS address,
       iif(p.volume IS NULL OR n.volume IS NOT NULL, 'high', 'low') AS severity, iif(p.volume IS NULL OR n.volume IS NOT NULL, 85, 30) AS confidence,
       json_object('image_path', p.image_path, 'peb_image_path', p.peb_image_path, 'command_line', p.command_line, 'expected_folder', p.expected,
                   'expected_volume', m.volume, 'ppid', p.ppid, 'create_time', p.create_time) AS detail
FROM placed p
LEFT JOIN machine m
LEFT JOIN ntdll n ON n.process_id = p.process_id AND n.volume = m.volume
WHERE p.volume IS NULL
   -- below a folder of that volume; or on another, of a process that has the machine's ntdll (volumes of mirrored disks have a longer name, too)
   OR (substr(p.volume, 1, length(m.volume) + 1) = m.volume || '\' AND (n.volume IS NOT NULL OR NOT EXISTS (SELECT 1 FROM ntdll x WHERE x.process_id = p.process_id)))
   OR (n.volume IS NOT NULL AND p.volume <> '' AND p.volume <> m.volume AND substr(p.volume, -length(m.volume) + 7) <> substr(m.volume, 8))
ORDER BY p.process_id;
