-- Processes with findings that matter, for the case's timeline.
-- limit: 20000
SELECT p.process_id AS process, p.dump_id AS dump, p.name, p.pid, p.create_time AS time, count(*) AS findings,
       min(CASE f.severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END) AS worst
FROM findings f JOIN processes p USING (process_id)
WHERE f.severity IN ('critical', 'high', 'medium') AND (:dump_id IS NULL OR f.dump_id = :dump_id)
GROUP BY p.process_id ORDER BY p.create_time;
