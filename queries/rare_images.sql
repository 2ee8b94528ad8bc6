-- query: rare_images
-- about: images that few dumps of the case have, by the hash of what they were loaded from (stacking)
-- parameter: dumps 2: show what fewer dumps than this have
WITH stack AS MATERIALIZED (
  -- of one dump: its own first, as rare as it is in all of them
  SELECT sha256, count(DISTINCT dump_id) AS dumps, count(*) AS images, min(iif(:dump_id IS NULL OR dump_id = :dump_id, image_id, NULL)) AS first
  FROM images WHERE sha256 IS NOT NULL
  GROUP BY sha256 HAVING count(DISTINCT dump_id) < coalesce(:dumps, 2))
SELECT s.dumps, s.images, i.path, i.original_filename, i.company_name, i.file_version, i.header_state, i.found_by, p.name AS process, p.pid, i.sha256,
       coalesce(d.computer_name, d.path) AS machine, d.path AS dump, i.image_id
FROM stack s JOIN images i ON i.image_id = s.first JOIN dumps d USING (dump_id) LEFT JOIN processes p USING (process_id)
ORDER BY s.dumps, i.company_name LIKE 'Microsoft%', i.path, i.image_id;
