.mode list
SELECT 'vads', pid, printf('0x%x', start_address), printf('0x%x', end_address), type, v.protection, private_memory, commit_charge,
	file_path FROM vads v JOIN processes USING (process_id);
-- What needs user memory says so, once a plugin and never once a process.
SELECT 'skipped', plugin, count(*) FROM (SELECT plugin FROM plugin_runs WHERE message LIKE 'skipped: user memory not in dump%'
	UNION ALL SELECT plugin FROM diagnostics WHERE message LIKE 'skipped: user memory not in dump%') GROUP BY plugin;
