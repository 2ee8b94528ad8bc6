-- rule: unexpected_child
-- severity: high
-- confidence: 65
-- attack: T1134.004
-- title: {name} ({pid}) is a child of {parent} ({ppid}), which starts no such process
-- The + is for speed, as in wrong_parent.
-- These processes start nothing, or only what is listed, and what reports their crashes (Windows Error Reporting runs as their child): another child means a spoofed parent or code run inside them. Others start whatever
-- they are told to, but no shell and no interpreter of scripts.
WITH core(name, children) AS (VALUES
  ('lsass.exe', '/lsass.exe/efsui.exe/lsaiso.exe/'), ('csrss.exe', '/conhost.exe/csrss.exe/'), ('lsaiso.exe', '//'), ('lsm.exe', '//'),
  ('wininit.exe', '/services.exe/lsass.exe/lsm.exe/lsaiso.exe/fontdrvhost.exe/fontdrvhost.ex/logonui.exe/'),
  ('dwm.exe', '//'), ('memcompression', '//'), ('registry', '//'), ('fontdrvhost.ex', '//'), ('audiodg.exe', '//'), ('logonui.exe', '//'),
  ('services.exe', NULL), ('winlogon.exe', NULL), ('spoolsv.exe', NULL), ('searchindexer.', NULL), ('msmpeng.exe', NULL), ('taskhostw.exe', NULL)),
shells(name) AS (VALUES ('cmd.exe'), ('powershell.exe'), ('pwsh.exe'), ('powershell_ise'), ('wscript.exe'), ('cscript.exe'), ('mshta.exe'))
SELECT p.process_id, p.name, p.pid, p.ppid, q.name AS parent, p.image_base AS address,
       iif(c.children IS NULL, 'medium', 'high') AS severity, iif(c.children IS NULL, 55, 65) AS confidence,
       json_object('parent', q.name, 'parent_path', q.image_path, 'image_path', p.image_path, 'command_line', p.command_line, 'create_time', p.create_time,
                   'session_id', p.session_id, 'parent_session_id', q.session_id) AS detail
FROM processes p
JOIN processes q ON +q.dump_id = p.dump_id AND q.pid = p.ppid AND q.create_time <= p.create_time
 AND (q.exit_time IS NULL OR q.exit_time >= p.create_time)
JOIN core c ON substr(lower(q.name), 1, 14) = c.name
WHERE p.dump_id = :dump_id AND CASE WHEN c.children IS NULL THEN substr(lower(p.name), 1, 14) IN (SELECT name FROM shells) ELSE instr(c.children || '/werfault.exe/werfaultsecure/', '/' || substr(lower(p.name), 1, 14) || '/') = 0 END
ORDER BY p.process_id;
