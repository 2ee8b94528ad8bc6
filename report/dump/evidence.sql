-- Bytes that findings rest on. Where `disassemble` names a machine, the bytes are shown as its instructions too.
-- limit: 50000
WITH
f AS MATERIALIZED (SELECT * FROM findings WHERE dump_id = :dump_id AND address IS NOT NULL),
machine AS MATERIALIZED (SELECT CASE WHEN architecture = 'arm64' THEN 'arm64' WHEN architecture = 'x64' THEN 'x64' ELSE 'x86' END AS name FROM dumps WHERE dump_id = :dump_id),
-- What runs below 4 GiB in 32-bit processes: x86, but that ARM64 has programs for 32-bit ARM, too, which nobody disassembles here.
narrow AS MATERIALIZED (
  SELECT p.process_id, CASE WHEN m.name = 'arm64' AND EXISTS (SELECT 1 FROM images i WHERE i.process_id = p.process_id AND i.machine = 452) THEN NULL ELSE 'x86' END AS name
  FROM processes p, machine m WHERE p.wow64 = 1 AND p.process_id IN (SELECT process_id FROM f)),
-- Each is looked for once, not in all that a hostile dump has of the same process or image.
wanted AS MATERIALIZED (
  SELECT finding_id, process_id, CAST(json_extract(detail, '$.rule') AS TEXT) AS rule, json_extract(detail, '$.region_base') AS region FROM f WHERE rule = 'yara_hit'),
hit AS (
  SELECT w.finding_id, y.*, row_number() OVER (PARTITION BY w.finding_id ORDER BY y.address) AS n
  FROM yara_matches y CROSS JOIN wanted w ON w.process_id IS y.process_id AND w.rule = y.rule AND w.region = printf('0x%x', y.region_base)
  WHERE y.dump_id = :dump_id AND y.data IS NOT NULL AND length(y.data) > 0),
-- `own`: the image is patched at the finding's own places; where its address is the module's, or the page's, all patches count
place AS MATERIALIZED (
  SELECT f.finding_id, f.address, f.address + coalesce(f.length, 1) - 1 AS last, i.image_id, i.process_id,
         EXISTS (SELECT 1 FROM image_patches o WHERE o.image_id = i.image_id AND o.address BETWEEN f.address AND f.address + coalesce(f.length, 1) - 1) AS own
  FROM f JOIN images i ON i.dump_id = f.dump_id AND i.process_id IS f.process_id AND f.address BETWEEN i.base AND i.base + coalesce(i.size, i.size_of_image, 0) - 1
  WHERE f.rule LIKE 'module_stomp%' OR f.rule LIKE 'modified_%' OR f.rule LIKE '%patch%' OR f.rule LIKE '%hook%'),
patch AS (
  SELECT place.finding_id, place.process_id, x.*, row_number() OVER (PARTITION BY place.finding_id ORDER BY x.address <> place.address, x.address) AS n
  FROM place CROSS JOIN image_patches x ON x.image_id = place.image_id AND x.address IN (
       SELECT address FROM (SELECT o.address, o.address <> place.address AS elsewhere FROM image_patches o WHERE o.image_id = place.image_id
       AND (NOT place.own OR o.address BETWEEN place.address AND place.last)) ORDER BY elsewhere, address LIMIT 16))
SELECT f.finding_id AS finding, 'code' AS kind, printf('0x%x', coalesce(c.sample_address, c.address)) AS address, 'the region''s first bytes that are not zero' AS label, c.first_bytes AS bytes,
       -- a PE header is no code
       CASE WHEN hex(substr(c.first_bytes, 1, 2)) = '4D5A' THEN NULL WHEN c.machine IS NOT NULL THEN c.machine WHEN p.wow64 = 1 AND c.address < 4294967296 THEN (SELECT n.name FROM narrow n WHERE n.process_id = p.process_id) ELSE m.name END AS disassemble, coalesce(c.sample_address, c.address) AS at
FROM f JOIN code_regions c ON c.process_id = f.process_id AND f.address < c.address + c.length
       AND c.address = (SELECT max(o.address) FROM code_regions o WHERE o.process_id = f.process_id AND o.address <= f.address) JOIN processes p ON p.process_id = f.process_id, machine m
WHERE f.rule <> 'yara_hit' AND c.first_bytes IS NOT NULL
UNION ALL
SELECT h.finding_id, 'match', printf('0x%x', h.address), coalesce(nullif(h.string_identifier, ''), h.rule), h.data,
       iif(p.wow64 = 1 AND h.address BETWEEN 0 AND 4294967295, (SELECT n.name FROM narrow n WHERE n.process_id = p.process_id), m.name), h.address
FROM hit h LEFT JOIN processes p USING (process_id), machine m WHERE h.n <= 8
UNION ALL
SELECT x.finding_id, 'before', printf('0x%x', x.address), coalesce(x.function || iif(x.function_offset, printf('+0x%x', x.function_offset), ''), x.section, ''), x.original,
       iif(p.wow64 = 1 AND x.address < 4294967296, (SELECT n.name FROM narrow n WHERE n.process_id = p.process_id), m.name), x.address
FROM patch x LEFT JOIN processes p USING (process_id), machine m WHERE x.n <= 16
UNION ALL
SELECT x.finding_id, 'after', printf('0x%x', x.address), x.kind || coalesce(', leads to ' || nullif(printf('0x%x', x.target), '0x0') || coalesce(' in ' || x.target_module, ''), ''), x.current,
       iif(p.wow64 = 1 AND x.address < 4294967296, (SELECT n.name FROM narrow n WHERE n.process_id = p.process_id), m.name), x.address
FROM patch x LEFT JOIN processes p USING (process_id), machine m WHERE x.n <= 16
ORDER BY 1, 7, 2 DESC;
