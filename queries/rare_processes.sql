-- query: rare_processes
-- about: programs that few dumps of the case run, by the path of their file (stacking)
-- parameter: dumps 2: show what fewer dumps than this have
-- A volume's number (\Device\HarddiskVolume3) is the machine's own: the same program has another elsewhere.
SELECT count(DISTINCT p.dump_id) AS dumps, count(*) AS processes, coalesce(p.image_path, p.name) AS program, min(p.create_time) AS first_created,
       group_concat(DISTINCT coalesce(d.computer_name, d.path)) AS machines, max(p.command_line) AS command_line
FROM processes p JOIN dumps d USING (dump_id)
GROUP BY lower(coalesce(iif(p.image_path LIKE '\Device\HarddiskVolume%', ltrim(substr(p.image_path, 23), '0123456789'), p.image_path), p.name))
HAVING count(DISTINCT p.dump_id) < coalesce(:dumps, 2)
  AND (:dump_id IS NULL OR max(p.dump_id = :dump_id)) -- of one dump: what it runs, as rare as it is in all of them
ORDER BY 1, 3;
