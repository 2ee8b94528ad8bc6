-- rule: wrong_parent
-- severity: high
-- confidence: 70
-- attack: T1036.009
-- title: {name} ({pid}) is a child of {parent} ({ppid}); Windows starts it from {expected}
-- The + has the parent looked up by its id: among thousands of planted processes, all of the dump are not gone through for each.
-- What else starts one is believed by its folder, not by its name.
-- A parent counts only when it is the process that had the id when the child was made: ids are used again.
WITH expected(name, parents) AS (VALUES
  ('svchost.exe', '/services.exe/'), ('services.exe', '/wininit.exe/winlogon.exe/'), ('lsass.exe', '/wininit.exe/winlogon.exe/'),
  ('lsaiso.exe', '/wininit.exe/'), ('lsm.exe', '/wininit.exe/services.exe/'), ('wininit.exe', '/smss.exe/'), ('winlogon.exe', '/smss.exe/'),
  ('csrss.exe', '/smss.exe/'), ('smss.exe', '/system/smss.exe/'), ('spoolsv.exe', '/services.exe/'), ('searchindexer.', '/services.exe/'),
  ('taskhostw.exe', '/svchost.exe/services.exe/'), ('taskhostex.exe', '/svchost.exe/services.exe/'), ('runtimebroker.', '/svchost.exe/'), ('dwm.exe', '/winlogon.exe/svchost.exe/')),
others(name, parent, folder) AS (VALUES
  ('svchost.exe', 'msmpeng.exe', '\programdata\microsoft\windows defender\%'), ('svchost.exe', 'msmpeng.exe', '\program files\windows defender\%'),
  ('svchost.exe', 'msmpeng.exe', '\program files\microsoft security client\%'), ('svchost.exe', 'mrt.exe', '\windows\system32\%'),
  ('svchost.exe', 'ngen.exe', '\windows\microsoft.net\%'), ('svchost.exe', 'tiworker.exe', '\windows\winsxs\%'),
  ('svchost.exe', 'rpcnet.exe', '\windows\system32\%'), ('svchost.exe', 'rpcnet.exe', '\windows\syswow64\%'), ('csrss.exe', 'svchost.exe', '\windows\system32\%'))
SELECT p.process_id, p.name, p.pid, p.ppid, q.name AS parent, replace(trim(e.parents, '/'), '/', ' or ') AS expected, p.image_base AS address,
       json_object('parent', q.name, 'parent_path', q.image_path, 'expected', trim(e.parents, '/'), 'create_time', p.create_time,
                   'parent_create_time', q.create_time, 'image_path', p.image_path, 'command_line', p.command_line) AS detail
FROM processes p JOIN expected e ON substr(lower(p.name), 1, 14) = e.name
JOIN processes q ON +q.dump_id = p.dump_id AND q.pid = p.ppid AND q.create_time <= p.create_time
 AND (q.exit_time IS NULL OR q.exit_time >= p.create_time)
WHERE p.dump_id = :dump_id AND instr(e.parents, '/' || lower(q.name) || '/') = 0
  AND NOT EXISTS (SELECT 1 FROM others o WHERE o.name = e.name AND o.parent = lower(q.name) AND lower(q.image_path) LIKE '\device\%'
                  AND substr(lower(q.image_path), 8 + instr(substr(q.image_path, 9), '\')) LIKE o.folder)
ORDER BY p.process_id;
