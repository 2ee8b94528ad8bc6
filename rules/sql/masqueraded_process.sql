-- rule: masqueraded_process
-- severity: high
-- confidence: 85
-- attack: T1036.005
-- title: {name} ({pid}) has the name of a Windows process but was started from {image_path}
-- Where each of these files lies is a property of Windows; the path is the kernel's own (the section's file), not the PEB's.
WITH home(name, folder) AS (VALUES
  ('smss.exe', '\system32'), ('csrss.exe', '\system32'), ('wininit.exe', '\system32'), ('winlogon.exe', '\system32'),
  ('services.exe', '\system32'), ('lsass.exe', '\system32'), ('lsaiso.exe', '\system32'), ('lsm.exe', '\system32'),
  ('svchost.exe', '\system32'), ('spoolsv.exe', '\system32'), ('taskhost.exe', '\system32'), ('taskhostw.exe', '\system32'),
  ('taskhostex.exe', '\system32'), ('dwm.exe', '\system32'), ('conhost.exe', '\system32'), ('dllhost.exe', '\system32'),
  ('rundll32.exe', '\system32'), ('runtimebroker.', '\system32'), ('sihost.exe', '\system32'), ('fontdrvhost.ex', '\system32'),
  ('logonui.exe', '\system32'), ('userinit.exe', '\system32'), ('ctfmon.exe', '\system32'), ('wermgr.exe', '\system32'),
  ('searchindexer.', '\system32'), ('audiodg.exe', '\system32'), ('explorer.exe', '')),
root(dump_id, path) AS (SELECT dump_id, lower(substr(coalesce(system_root, 'C:\Windows'), 3)) FROM dumps WHERE dump_id = :dump_id)
SELECT p.process_id, p.name, p.pid, p.image_path, p.image_base AS address,
       json_object('image_path', p.image_path, 'peb_image_path', p.peb_image_path, 'command_line', p.command_line, 'expected_folder', r.path || h.folder,
                   'ppid', p.ppid, 'create_time', p.create_time) AS detail
FROM (SELECT *, rtrim(lower(image_path), replace(lower(image_path), '\', '')) AS folder FROM processes) p JOIN root r USING (dump_id) JOIN home h ON substr(lower(p.name), 1, 14) = h.name
WHERE p.dump_id = :dump_id AND p.image_path IS NOT NULL
  -- in the folder itself: what lies further down is something else
  AND substr(p.folder, -length(r.path || h.folder || '\')) <> r.path || h.folder || '\'
  AND NOT (p.wow64 AND substr(p.folder, -length(r.path || '\syswow64\')) = r.path || '\syswow64\')
ORDER BY p.process_id;
