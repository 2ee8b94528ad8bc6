-- What could not be read, over all dumps.
-- limit: 2000
SELECT g.plugin, g.fault, g.table_name, g.column_name, count(DISTINCT g.dump_id) AS dumps, sum(g.occurrences) AS times, max(g.message) AS example
FROM diagnostics g WHERE :dump_id IS NULL OR g.dump_id = :dump_id
GROUP BY g.plugin, g.fault, g.table_name, g.column_name ORDER BY times DESC, 1, 2, 3, 4;
