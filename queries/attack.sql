-- query: attack
-- about: findings by ATT&CK technique and rule: on how many machines, how severe
SELECT coalesce(f.attack, '-') AS attack, f.rule, count(DISTINCT f.dump_id) AS dumps, count(*) AS findings, max(f.confidence) AS confidence,
       sum(f.severity = 'critical') AS critical, sum(f.severity = 'high') AS high, sum(f.severity = 'medium') AS medium, sum(f.severity = 'low') AS low,
       min(f.title) AS example
FROM findings f WHERE :dump_id IS NULL OR f.dump_id = :dump_id
GROUP BY f.attack, f.rule ORDER BY critical DESC, high DESC, medium DESC, findings DESC, f.rule;
