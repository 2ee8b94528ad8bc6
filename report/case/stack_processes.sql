-- Programs by how many dumps run them, the rarest first. A volume's number is the machine's own: see queries/rare_processes.sql.
-- limit: 2000
SELECT count(DISTINCT p.dump_id) AS dumps, count(*) AS processes, min(coalesce(p.image_path, p.name)) AS program, min(p.create_time) AS first,
       max(p.command_line) AS command_line, min(p.dump_id) AS dump, min(p.process_id) AS process
FROM processes p GROUP BY lower(coalesce(iif(p.image_path LIKE '\Device\HarddiskVolume%', ltrim(substr(p.image_path, 23), '0123456789'), p.image_path), p.name)) ORDER BY 1, 3;
