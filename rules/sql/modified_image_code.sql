-- rule: modified_image_code
-- severity: medium
-- confidence: 70
-- attack: T1574
-- title: {name} ({pid}): code of {module} was changed in memory: {what}
-- A private copy of a code page that differs from the section's. Where the new code leads decides: to no module (an implant), or to
-- another loaded one (security products do that in many functions: told once for each pair of modules), unless what stands there was
-- changed itself or the loader's lists don't have it. Functions that report to event tracing, to the malware scan interface or to the lockdown policy are patched to be blind. What is longer than a hook
-- needs is other code. Breakpoints at the start of the system's own functions are caught by an exception handler; elsewhere a debugger sets them, and where one is attached all of them. One single bit that differs may be a memory error.
WITH landed AS (	-- hooks that lead to other changed code
  SELECT DISTINCT x.rowid AS id
  FROM image_patches x JOIN images i USING (image_id)
  JOIN images k ON k.image_id IN (SELECT n.image_id FROM images n WHERE n.process_id = i.process_id AND n.base <= x.target ORDER BY n.base DESC LIMIT 64) AND x.target < k.base + k.size
  JOIN image_patches y ON y.rowid = (SELECT n.rowid FROM image_patches n WHERE n.image_id = k.image_id AND n.address <= x.target AND n.rowid <> x.rowid ORDER BY n.address DESC LIMIT 1)
   AND x.target < y.address + y.length
  WHERE i.dump_id = :dump_id AND x.kind = 'inline_hook' AND x.target_module IS NOT NULL),
code AS (
  SELECT x.*, x.rowid IN (SELECT id FROM landed) AS to_changed,
         EXISTS (SELECT 1 FROM modules u WHERE u.module_id IN (SELECT m.module_id FROM modules m WHERE m.process_id = i.process_id AND m.base <= x.target ORDER BY m.base DESC LIMIT 64)
                 AND x.target < u.base + u.size AND u.in_load_order = 0 AND u.in_memory_order = 0) AS to_unlisted, x.target BETWEEN i.base AND i.base + i.size - 1 AS to_itself,
         EXISTS (SELECT 1 FROM processes d WHERE d.process_id = i.process_id AND d.debug_port IS NOT NULL) AS debugged, i.path LIKE '%\Windows\%' AS system, i.process_id, coalesce(nullif(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), ''), printf('the image at 0x%x', i.base)) AS module,
         CASE WHEN x.function LIKE 'Etw%' OR x.function LIKE 'NtTrace%' OR x.function LIKE 'ZwTrace%' OR x.function LIKE 'EventWrite%' THEN 'T1562.006'
              WHEN x.function LIKE 'Amsi%' OR x.function LIKE 'Wldp%' THEN 'T1562.001'
              WHEN x.length >= 64 AND x.kind <> 'unknown' THEN 'T1055'
              WHEN x.kind = 'inline_hook' THEN 'T1056.004' END AS technique
  FROM image_patches x JOIN images i USING (image_id)
  WHERE i.dump_id = :dump_id AND i.process_id IS NOT NULL AND x.kind IN ('inline_hook', 'return', 'breakpoint', 'nop', 'patch', 'unknown')),
judged AS (
  SELECT code.*,
         CASE WHEN changed_bits = 1 THEN iif(technique LIKE 'T1562%' AND kind <> 'unknown', 'medium', 'low')	-- one bit inverts a jump
              WHEN kind = 'unknown' OR (kind = 'breakpoint' AND (debugged OR coalesce(function_offset, 1) > 0 OR NOT system)) THEN 'low'
              WHEN kind = 'breakpoint' THEN 'medium'
              WHEN technique LIKE 'T1562%' OR technique = 'T1055' THEN 'high'
              WHEN kind = 'inline_hook' AND target IS NOT NULL AND (target_module IS NULL OR to_changed OR to_unlisted) THEN 'high'
              WHEN kind = 'inline_hook' AND target_module IS NOT NULL AND (NOT to_itself OR function_offset < 0) THEN 'low'	-- a hot patch uses the room before the function
              ELSE 'medium' END AS severity,
         CASE WHEN kind = 'inline_hook' AND target_module IS NOT NULL AND NOT to_itself AND NOT to_changed AND NOT to_unlisted AND technique = 'T1056.004' THEN target_module
              WHEN kind = 'unknown' THEN '' ELSE address END AS together
  FROM code)
SELECT p.process_id, p.name, p.pid, j.module, min(j.address) AS address, iif(count(*) = 1, j.length, max(j.address + j.length) - min(j.address)) AS length,
       j.severity, j.technique AS attack,
       CASE j.severity WHEN 'high' THEN 90 WHEN 'low' THEN 30 ELSE 70 END AS confidence,
       CASE iif(j.technique = 'T1055', '', j.kind) WHEN 'inline_hook' THEN coalesce(j.function, 'code') || iif(count(*) > 1, printf(' and %d more places lead', count(*) - 1), ' leads')
                     || ' to ' || CASE WHEN j.target IS NULL THEN 'where can''t be told' WHEN j.target_module IS NULL THEN printf('0x%x, in no module', j.target)
                                       WHEN j.to_changed THEN j.target_module || ', where other code was put' WHEN j.to_unlisted THEN j.target_module || ', which the loader does not know' ELSE j.target_module END
                   WHEN 'return' THEN coalesce(j.function, 'a function') || ' returns at once'
                   WHEN 'unknown' THEN printf('%d private executable places, with no original to compare to', count(*))
                   ELSE iif(j.technique = 'T1055', printf('%d bytes of other code', j.length), j.kind) || ' in ' || coalesce(j.function, j.section, 'no section') || iif(j.changed_bits = 1, ', a single bit', '') END AS what,
       json_object('kind', j.kind, 'functions', json_group_array(j.function), 'length', j.length, 'original', lower(hex(j.original)),
                   'current', lower(hex(substr(j.current, 1, 64))), 'disassembly', j.disassembly, 'changed_bits', j.changed_bits, 'section', j.section,
                   'target', iif(j.target IS NULL, NULL, printf('0x%x', j.target)), 'target_module', j.target_module, 'places', count(*)) AS detail
FROM judged j JOIN processes p USING (process_id)
GROUP BY j.image_id, j.kind, j.severity, j.technique, j.together
ORDER BY j.image_id, min(j.address);
