-- query: triage
-- about: every finding, the worst first, with its process, machine and where to look
-- parameter: least low: leave out what is less severe than this (info, low, medium, high, critical)
WITH level(severity, rank) AS (VALUES ('critical', 4), ('high', 3), ('medium', 2), ('low', 1), ('info', 0))
SELECT f.severity, f.confidence, f.attack, f.title, iif(f.address IS NULL, NULL, printf('0x%x', f.address)) AS address, f.length,
       p.name AS process, p.pid, coalesce(d.computer_name, d.path) AS machine, d.path AS dump, f.rule, f.finding_id
FROM findings f JOIN dumps d USING (dump_id) JOIN level l USING (severity) LEFT JOIN processes p USING (process_id)
WHERE (:dump_id IS NULL OR f.dump_id = :dump_id)
  -- of an unknown level: all
  AND l.rank >= coalesce((SELECT rank FROM level WHERE severity = lower(coalesce(:least, 'low'))), 0)
ORDER BY l.rank DESC, f.confidence DESC, f.dump_id, f.finding_id;
