-- rule: import_table_hooked
-- severity: high
-- confidence: 85
-- attack: T1056.004
-- title: {name} ({pid}): {what} of {module} {leads} to {target}
-- The loader fills import slots with what they name; API sets, forwarders and several DLLs of one name were followed. Slots that lead into a
-- loaded module are what compatibility layers and security products make (told once for each pair of modules); those that lead to no module, or to
-- one that the loader's lists don't have, are an implant's, unless the image itself is of a kind that writes its own code (packers keep their
-- imports in private memory). Where the DLL that a slot names isn't known, it still leads to none if it leads to private code.
WITH hooks AS (
  SELECT x.*, i.process_id, coalesce(nullif(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), ''), printf('the image at 0x%x', i.base)) AS module, v.type AS target_type, v.vad_id AS target_vad,
         EXISTS (SELECT 1 FROM image_sections s WHERE s.image_id = i.image_id AND s.characteristics & 0xa0000000 = 0xa0000000) AS self_modifying,
         EXISTS (SELECT 1 FROM modules u WHERE u.module_id IN (SELECT m.module_id FROM modules m WHERE m.process_id = i.process_id AND m.base <= x.target ORDER BY m.base DESC LIMIT 64)
                 AND x.target < u.base + u.size AND u.in_load_order = 0 AND u.in_memory_order = 0) AS to_unlisted,
         v.type <> 'image' AND v.pages_executable > 0 AS to_code
  FROM image_patches x JOIN images i USING (image_id)
  LEFT JOIN vads v ON v.vad_id IN (SELECT n.vad_id FROM vads n WHERE n.process_id = i.process_id AND n.start_address <= x.target ORDER BY n.start_address DESC LIMIT 16) AND x.target <= v.end_address
  WHERE i.dump_id = :dump_id AND i.process_id IS NOT NULL AND x.kind = 'import_hook'),
judged AS (
  SELECT *, CASE WHEN changed_bits = 1 OR (target_module IS NOT NULL AND NOT to_unlisted) OR target_vad IS NULL OR self_modifying THEN 'low'
                 WHEN original IS NULL THEN iif(to_code, 'medium', 'low') ELSE 'high' END AS severity
  FROM hooks)
SELECT p.process_id, p.name, p.pid, j.module, min(j.address) AS address, max(j.address + j.length) - min(j.address) AS length, j.severity,
       CASE j.severity WHEN 'high' THEN 85 WHEN 'medium' THEN 60 ELSE 30 END AS confidence,
       iif(count(*) = 1, 'the import ' || j.function, printf('%d imports (%s …)', count(*), min(j.function))) AS what, iif(count(*) = 1, 'leads', 'lead') AS leads,
       CASE WHEN j.target_module IS NOT NULL THEN j.target_module || iif(j.to_unlisted, ', which the loader does not know', '')
            WHEN j.target_vad IS NULL THEN 'memory that isn''t there'
            ELSE printf('0x%x', min(j.target)) || ', in ' || j.target_type || ' memory' END AS target,
       json_object('functions', json_group_array(j.function), 'targets', json_group_array(DISTINCT printf('0x%x', j.target)), 'target_module', j.target_module,
                   'original', lower(hex(j.original)), 'current', lower(hex(j.current)), 'changed_bits', min(j.changed_bits),
                   'self_modifying', j.self_modifying, 'target_unlisted', j.to_unlisted, 'places', count(*)) AS detail
FROM judged j JOIN processes p USING (process_id)
GROUP BY j.image_id, j.severity, coalesce(j.target_module, j.target_type, '')
ORDER BY j.image_id, min(j.address);
