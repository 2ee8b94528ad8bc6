-- query: not_read
-- about: what could not be read or was left out, and why: dumps, runs, plugins, then values by fault
SELECT 'dump' AS what, 'failed' AS status, NULL AS table_name, NULL AS column_name, 1 AS times, x.message, x.path AS machine, x.path AS dump
FROM failed_dumps x WHERE :dump_id IS NULL
UNION ALL
SELECT 'run', r.status, NULL, NULL, 1, coalesce(r.message, ''), coalesce(d.computer_name, d.path), d.path
FROM runs r JOIN dumps d USING (dump_id)
WHERE r.status <> 'complete' AND (:dump_id IS NULL OR r.dump_id = :dump_id)
UNION ALL
SELECT 'plugin ' || x.plugin, x.status, NULL, NULL, 1, coalesce(x.message, ''), coalesce(d.computer_name, d.path), d.path
FROM plugin_runs x JOIN runs r USING (run_id) JOIN dumps d USING (dump_id)
WHERE x.status <> 'ok' AND (:dump_id IS NULL OR r.dump_id = :dump_id)
UNION ALL
SELECT 'values of ' || g.plugin, g.fault, g.table_name, g.column_name, sum(g.occurrences), max(g.message), coalesce(d.computer_name, d.path), d.path
FROM diagnostics g JOIN dumps d USING (dump_id)
WHERE :dump_id IS NULL OR g.dump_id = :dump_id
GROUP BY g.dump_id, g.plugin, g.fault, g.table_name, g.column_name;
