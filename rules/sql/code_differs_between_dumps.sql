-- rule: code_differs_between_dumps
-- severity: medium
-- confidence: 50
-- attack: T1574
-- title: {where}: code of {module} differs from that of the same file in {other}: {pages} of {compared} pages
-- Where no original of a page is in the dump (private copies whose section's page is gone, and drivers), the same file in another dump of the case
-- has it: same path, time stamp, size, checksum and debug record. Pages are compared by their hashes, relocated to base 0; without relocations only
-- where the base is the same. Which of the two was changed is not told. The kernel patches itself and drivers with dynamic relocations
-- for the processor it runs on, so of those it says little. At most the eight dumps before this one are compared.
WITH RECURSIVE
others AS (SELECT dump_id, path FROM dumps WHERE dump_id < :dump_id AND (SELECT count(*) FROM dumps x WHERE x.dump_id < :dump_id AND x.dump_id > dumps.dump_id) < 8),
code AS (SELECT i.*, s.number, s.virtual_address, s.page_hashes FROM images i JOIN image_sections s USING (image_id) WHERE s.page_hashes IS NOT NULL),
-- whole sections, and private pages without an original
mine AS (
  SELECT dump_id, process_id, image_id, path, timestamp, size_of_image, checksum, pdb_guid_age, base, relocations_known, number, 0 AS first, page_hashes, 0 AS private
  FROM code WHERE dump_id = :dump_id
  UNION ALL
  SELECT i.dump_id, i.process_id, i.image_id, i.path, i.timestamp, i.size_of_image, i.checksum, i.pdb_guid_age, i.base, i.relocations_known, s.number,
         (x.address - i.base) / 4096 - s.virtual_address / 4096, x.page_hashes, 1
  FROM image_patches x JOIN images i USING (image_id) JOIN image_sections s ON s.image_id = i.image_id AND s.name = x.section AND x.address - i.base >= s.virtual_address
  WHERE i.dump_id = :dump_id AND x.page_hashes IS NOT NULL),
pairs AS MATERIALIZED (
  SELECT m.*, c.dump_id AS other_dump, o.path AS other, c.page_hashes AS theirs
  FROM others o JOIN code c ON c.dump_id = o.dump_id
  JOIN mine m ON m.timestamp = c.timestamp AND m.size_of_image = c.size_of_image AND m.checksum = c.checksum AND lower(m.path) = lower(c.path)
   AND m.pdb_guid_age IS c.pdb_guid_age AND m.number = c.number AND (m.process_id IS NULL) = (c.process_id IS NULL)
  WHERE m.page_hashes <> c.page_hashes AND (m.base = c.base OR (m.relocations_known AND c.relocations_known))),
page (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM page WHERE n + 1 < (SELECT max(length(page_hashes)) / 8 FROM pairs)),
compared AS (
  SELECT p.*, n, substr(p.page_hashes, 8 * n + 1, 8) <> substr(p.theirs, 8 * (n + p.first) + 1, 8) AS differs
  FROM pairs p JOIN page ON 8 * n < length(p.page_hashes) AND 8 * (n + p.first) < length(p.theirs)
  WHERE substr(p.page_hashes, 8 * n + 1, 8) <> x'0000000000000000' AND substr(p.theirs, 8 * (n + p.first) + 1, 8) <> x'0000000000000000'),
judged AS (
  SELECT c.*, s.virtual_address, sum(differs) AS pages, count(*) AS all_pages, min(iif(differs, n + first, NULL)) AS at,
         group_concat(iif(differs, printf('0x%x', c.base + (s.virtual_address & ~4095) + 4096 * (n + first)), NULL)) AS addresses
  FROM compared c JOIN image_sections s ON s.image_id = c.image_id AND s.number = c.number
  GROUP BY c.image_id, c.other_dump, c.number, c.private, c.first HAVING pages > 0)
SELECT j.process_id, coalesce(p.name || ' (' || p.pid || ')', 'kernel') AS "where", j.base + (j.virtual_address & ~4095) + 4096 * j.at AS address, 4096 AS length,
       coalesce(replace(j.path, rtrim(j.path, replace(j.path, '\', '')), ''), printf('0x%x', j.base)) AS module, j.other, j.pages, j.all_pages AS compared,
       CASE WHEN j.process_id IS NULL THEN 'low' WHEN j.private THEN 'medium' ELSE 'low' END AS severity,
       CASE WHEN j.process_id IS NULL THEN 20 WHEN j.private THEN 60 ELSE 30 END AS confidence,
       json_object('path', j.path, 'section', j.number, 'pages', j.addresses, 'other_dump', j.other_dump, 'private', j.private, 'base', printf('0x%x', j.base)) AS detail
FROM judged j LEFT JOIN processes p ON p.process_id = j.process_id
ORDER BY j.image_id, j.other_dump, j.number, j.first;
