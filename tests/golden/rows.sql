-- The rows of a case as lines, in the form of samples/truth.c. Columns that depend on the
-- run, or on what rules judge, are not here; see findings.sql and diagnostics.sql.
.mode list
SELECT 'dumps', CAST(substr(os_build, length(rtrim(os_build, '0123456789')) + 1) AS INTEGER), system_time, printf('0x%x', kernel_base), kernel_guid_age, printf('0x%x', dtb) FROM dumps;
SELECT 'drivers', name, printf('0x%x', base), size, path FROM drivers;
SELECT 'processes', pid, ppid, name, image_path, peb_image_path, command_line, session_id, wow64, create_time, exit_time,
	active_threads, user_sid, integrity_level, in_active_list FROM processes;
SELECT 'threads', pid, tid, printf('0x%x', start_address), printf('0x%x', win32_start_address),
	CASE WHEN teb THEN printf('0x%x', teb) END FROM threads t JOIN processes USING (process_id);
SELECT 'handles', pid, handle, type, printf('0x%x', granted_access) FROM handles JOIN processes USING (process_id);
SELECT 'modules', pid, printf('0x%x', base), size, m.name, path, m.wow64, in_load_order, in_memory_order, in_init_order, mapped_path
	FROM modules m JOIN processes USING (process_id);
SELECT 'environment', pid, e.name, value FROM environment e JOIN processes USING (process_id);
SELECT 'crash', printf('0x%x', bugcheck_code), printf('0x%x', parameter1), printf('0x%x', parameter2), printf('0x%x', parameter3),
	printf('0x%x', parameter4) FROM crash;
SELECT 'crash_stack', position, CASE WHEN module IS NULL THEN printf('0x%x', value) ELSE printf('%s+0x%x', module, offset) END FROM crash_stack;
SELECT 'unloaded_drivers', name, printf('0x%x', start), printf('0x%x', end), unload_time FROM unloaded_drivers;
SELECT 'callbacks', type, CASE WHEN c.module IS NULL THEN printf('0x%x', address) ELSE printf('%s+0x%x', c.module, address - d.base) END
	FROM callbacks c LEFT JOIN drivers d ON d.name = c.module;
