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
SELECT CASE WHEN e.wow64 THEN 'environment32' ELSE 'environment' END, pid, e.name, value FROM environment e JOIN processes USING (process_id);
SELECT 'crash', printf('0x%x', bugcheck_code), printf('0x%x', parameter1), printf('0x%x', parameter2), printf('0x%x', parameter3),
	printf('0x%x', parameter4) FROM crash;
SELECT 'crash_stack', position, CASE WHEN module IS NULL THEN printf('0x%x', value) ELSE printf('%s+0x%x', module, offset) END FROM crash_stack;
SELECT 'unloaded_drivers', name, printf('0x%x', start), printf('0x%x', end), unload_time FROM unloaded_drivers;
SELECT 'callbacks', type, CASE WHEN address IS NULL THEN NULL WHEN c.module IS NULL THEN printf('0x%x', address) ELSE printf('%s+0x%x', c.module, address - d.base) END
	FROM callbacks c LEFT JOIN drivers d ON d.name = c.module;
-- What only samples with these structures have rows of.
SELECT 'sources', pid, in_active_list, in_cid_table, in_pool_scan, in_thread_scan, in_session_list, in_handle_table_list, in_frame_database
	FROM processes WHERE in_frame_database IS NOT NULL;
SELECT 'thread_sources', tid, in_process_list, in_cid_table, in_pool_scan FROM threads
	WHERE EXISTS (SELECT 1 FROM processes WHERE in_frame_database IS NOT NULL);
SELECT 'driver_sources', name, in_loaded_list, in_pool_scan, in_driver_objects, in_image_scan, in_debug_scan FROM drivers
	WHERE EXISTS (SELECT 1 FROM processes WHERE in_frame_database IS NOT NULL);
SELECT 'remnants', type, coalesce(tid, pid), name, freed FROM remnants WHERE EXISTS (SELECT 1 FROM processes WHERE in_frame_database IS NOT NULL);
SELECT 'driver_objects', name, printf('0x%x', start) FROM driver_objects WHERE EXISTS (SELECT 1 FROM processes WHERE in_frame_database IS NOT NULL);
SELECT 'timers', CASE WHEN routine IS NULL THEN NULL WHEN t.module IS NULL THEN printf('0x%x', routine) ELSE printf('%s+0x%x', t.module, routine - d.base) END,
	period, printf('0x%x', coalesce(context, 0)), CAST(round((julianday(due_time) - julianday(system_time)) * 86400) AS INTEGER)
	FROM timers t JOIN dumps USING (dump_id) LEFT JOIN drivers d ON d.name = t.module;
SELECT 'idt', vector, CASE WHEN i.module IS NULL THEN printf('0x%x', address) ELSE printf('%s+0x%x', i.module, address - d.base) END, privilege, interrupt_stack
	FROM idt i LEFT JOIN drivers d ON d.name = i.module;
SELECT 'gdt', selector, printf('0x%x', base), segment_limit, type, system, privilege, long_mode FROM gdt;
SELECT 'apcs', pid, tid, mode, CASE WHEN a.kernel_module IS NULL THEN printf('0x%x', kernel_routine) ELSE printf('%s+0x%x', a.kernel_module, kernel_routine - d.base) END,
	printf('0x%x', normal_routine), printf('0x%x', normal_context)
	FROM apcs a JOIN processes USING (process_id) LEFT JOIN drivers d ON d.name = a.kernel_module;
SELECT 'etw_sessions', logger_id, name, log_file, mode, buffer_size, accepts_events FROM etw_sessions;
SELECT 'minifilters', name, altitude, driver, module FROM minifilters;
SELECT 'minifilter_operations', m.name, number,
	CASE WHEN pre_module IS NULL THEN printf('0x%x', pre_operation) ELSE printf('%s+0x%x', pre_module, pre_operation - a.base) END,
	CASE WHEN post_operation IS NULL THEN NULL WHEN post_module IS NULL THEN printf('0x%x', post_operation) ELSE printf('%s+0x%x', post_module, post_operation - b.base) END
	FROM minifilter_operations JOIN minifilters m USING (minifilter_id) LEFT JOIN drivers a ON a.name = pre_module LEFT JOIN drivers b ON b.name = post_module;
SELECT 'big_pool', printf('0x%x', address), size, tag, pool_type, freed FROM big_pool;
SELECT 'session_images', i.path, header_state, in_loaded_list, in_pool_scan, in_driver_objects, in_image_scan, pages_writable_executable
	FROM images i JOIN drivers d ON d.base = i.base WHERE process_id IS NULL AND i.path = 'win32k.sys';
