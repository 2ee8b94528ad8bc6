SELECT x.plugin, x.status, x.row_count, round(x.seconds, 3) AS seconds, x.message FROM plugin_runs x JOIN runs r USING (run_id)
WHERE r.dump_id = :dump_id AND r.run_id = (SELECT max(run_id) FROM runs WHERE dump_id = :dump_id) ORDER BY x.rowid;
