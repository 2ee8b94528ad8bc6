-- Every finding, the worst first; details are with the dump.
SELECT f.finding_id AS id, f.dump_id AS dump, f.process_id AS process, f.rule, f.severity, f.confidence, f.attack, f.title,
       iif(f.address IS NULL, NULL, printf('0x%x', f.address)) AS address, f.length, p.name, p.pid
FROM findings f LEFT JOIN processes p USING (process_id)
WHERE :dump_id IS NULL OR f.dump_id = :dump_id
ORDER BY CASE f.severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 4 END, f.confidence DESC, f.finding_id;
