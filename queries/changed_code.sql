-- query: changed_code
-- about: code that differs from that of the same file elsewhere in the case, page by page
-- Where no original of a page is in the dump (private copies whose section's page is gone, and drivers), the same file in another dump
-- has it: same path (but for the volume's number, which is the machine's own), time stamp, size, checksum and debug record. Pages are compared by their hashes, relocated to base 0; without
-- relocations only where the base is the same. What most dumps have is taken for the original: which of the two was changed is not
-- told. The kernel patches itself and drivers with dynamic relocations for the processor it runs on, so of those it says little.
-- It is a question to a case, no finding of a dump: the answer depends on the dumps that are there.
WITH RECURSIVE
code AS MATERIALIZED (
  SELECT i.dump_id, i.process_id, i.image_id, i.path, i.base, s.number, s.name, s.virtual_address, s.page_hashes,
         printf('%s|%d|%d|%d|%s|%d|%d|%d',
                lower(iif(i.path LIKE '\Device\HarddiskVolume%', ltrim(substr(i.path, 23), '0123456789'), i.path)), i.timestamp, i.size_of_image, i.checksum, i.pdb_guid_age, i.process_id IS NULL,
                iif(i.relocations_known, 0, i.base), s.number) AS file
  FROM images i JOIN image_sections s USING (image_id) WHERE s.page_hashes IS NOT NULL),
variants AS MATERIALIZED (SELECT file, page_hashes, min(image_id) AS image_id, count(DISTINCT dump_id) AS dumps, min(dump_id) AS dump_id FROM code GROUP BY file, page_hashes),
originals AS MATERIALIZED (
  SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY file ORDER BY dumps DESC, image_id) AS n, count(*) OVER (PARTITION BY file) AS all_variants FROM variants)
  WHERE n = 1),
-- whole sections, and private pages without an original
pairs AS MATERIALIZED (
  SELECT v.image_id, v.file, 0 AS first, v.page_hashes, 0 AS private, o.image_id AS other_image, o.page_hashes AS theirs
  FROM originals o JOIN variants v ON v.file = o.file AND v.image_id <> o.image_id WHERE o.all_variants > 1
  UNION ALL
  SELECT c.image_id, c.file, (x.address - c.base) / 4096 - c.virtual_address / 4096, x.page_hashes, 1, o.image_id, o.page_hashes
  FROM image_patches x JOIN code c ON c.image_id = x.image_id AND c.name = x.section AND x.address - c.base >= c.virtual_address
  JOIN variants o ON o.file = c.file AND o.dump_id <> c.dump_id WHERE x.page_hashes IS NOT NULL),
-- a section's hashes in pieces of 64 pages: of one that is megabytes long each page would cost a copy of all
piece (b) AS (SELECT 0 UNION ALL SELECT b + 1 FROM piece WHERE b + 1 < (SELECT max(length(page_hashes)) + 511 FROM pairs) / 512),
pieces AS MATERIALIZED (
  SELECT image_id, file, first, private, other_image, b, substr(page_hashes, 512 * b + 1, 512) AS ours, substr(theirs, 512 * b + 8 * first + 1, 512) AS theirs
  FROM pairs JOIN piece ON 512 * b < length(page_hashes) AND 512 * b + 8 * first < length(theirs)),
page (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM page WHERE n < 63),
compared AS (
  SELECT p.*, 64 * b + n AS n, substr(p.ours, 8 * n + 1, 8) <> substr(p.theirs, 8 * n + 1, 8) AS differs
  FROM pieces p JOIN page ON 8 * n < length(p.ours) AND 8 * n < length(p.theirs)
  WHERE substr(p.ours, 8 * n + 1, 8) <> x'0000000000000000' AND substr(p.theirs, 8 * n + 1, 8) <> x'0000000000000000'),
judged AS (
  SELECT image_id, file, private, other_image, sum(differs) AS pages, count(*) AS all_pages,
         group_concat(iif(differs, n + first, NULL)) AS numbers, min(iif(differs, n + first, NULL)) AS at
  FROM compared GROUP BY image_id, file, private, first, other_image HAVING pages > 0)
SELECT json_extract('[' || replace(json_quote(c.path), '\\', '","') || ']', '$[#-1]') AS module, coalesce(p.name, 'kernel') AS process, p.pid,
       printf('0x%x', c.base + (c.virtual_address & ~4095) + 4096 * j.at) AS first_page, j.pages, j.all_pages AS compared, j.private,
       coalesce(e.computer_name, e.path) AS original_in, coalesce(d.computer_name, d.path) AS machine, d.path AS dump, c.path, c.image_id
FROM judged j JOIN code c ON c.image_id = j.image_id AND c.file = j.file JOIN dumps d ON d.dump_id = c.dump_id
LEFT JOIN processes p ON p.process_id = c.process_id JOIN images o ON o.image_id = j.other_image JOIN dumps e ON e.dump_id = o.dump_id
WHERE :dump_id IS NULL OR c.dump_id = :dump_id
ORDER BY j.private DESC, c.process_id IS NULL, c.image_id, j.at;
