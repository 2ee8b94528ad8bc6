-- rule: wrong_parent
-- severity: high
-- confidence: 70
-- attack: T1036.009
-- title: {name} ({pid}) is a child of {parent} ({ppid}); Windows starts it from {expected}
-- The + has the parent looked up by its id: among thousands of planted processes, all of the dump are not gone through for each.
-- A parent counts only when it is the process that had the id when the child was made: ids are used again.
WITH expected(name, parents) AS (VALUES
  ('svchost.exe', '/services.exe/msmpeng.exe/mrt.exe/ngen.exe/rpcnet.exe/tiworker.exe/'), ('services.exe', '/wininit.exe/winlogon.exe/'), ('lsass.exe', '/wininit.exe/winlogon.exe/'),
  ('lsaiso.exe', '/wininit.exe/'), ('lsm.exe', '/wininit.exe/services.exe/'), ('wininit.exe', '/smss.exe/'), ('winlogon.exe', '/smss.exe/'),
  ('csrss.exe', '/smss.exe/svchost.exe/'), ('smss.exe', '/system/smss.exe/'), ('spoolsv.exe', '/services.exe/'), ('searchindexer.', '/services.exe/'),
  ('taskhostw.exe', '/svchost.exe/services.exe/'), ('taskhostex.exe', '/svchost.exe/services.exe/'), ('runtimebroker.', '/svchost.exe/'), ('dwm.exe', '/winlogon.exe/svchost.exe/'))
SELECT p.process_id, p.name, p.pid, p.ppid, q.name AS parent, replace(trim(e.parents, '/'), '/', ' or ') AS expected, p.image_base AS address,
       json_object('parent', q.name, 'parent_path', q.image_path, 'expected', trim(e.parents, '/'), 'create_time', p.create_time,
                   'parent_create_time', q.create_time, 'image_path', p.image_path, 'command_line', p.command_line) AS detail
FROM processes p JOIN expected e ON substr(lower(p.name), 1, 14) = e.name
JOIN processes q ON +q.dump_id = p.dump_id AND q.pid = p.ppid AND q.create_time <= p.create_time
 AND (q.exit_time IS NULL OR q.exit_time >= p.create_time)
WHERE p.dump_id = :dump_id AND instr(e.parents, '/' || lower(q.name) || '/') = 0
ORDER BY p.process_id;
