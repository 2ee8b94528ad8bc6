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
       json_object('image_path', p.image_path, 'peb_image_path', p.peb_image_path, 'command_line', p.command_line, 'expected_folder', r.path || p.folder,
                   'ppid', p.ppid, 'create_time', p.create_time) AS detail
FROM (SELECT q.*, folder, '\' || lower(json_extract('[' || replace(json_quote(image_path), '\\', '","') || ']', '$[#-1]')) AS file
      FROM processes q CROSS JOIN home ON home.name = substr(lower(q.name), 1, 14) WHERE q.dump_id = :dump_id AND image_path IS NOT NULL) p JOIN root r USING (dump_id)
WHERE substr(lower(p.image_path), -length(r.path || p.folder || p.file)) <> r.path || p.folder || p.file
  AND NOT (p.wow64 AND substr(lower(p.image_path), -length(r.path || '\syswow64' || p.file)) = r.path || '\syswow64' || p.file)
ORDER BY p.process_id;
