-- query: hidden_processes
-- about: live processes that a source which should know them does not know
-- A process that has exited leaves the lists before its object is freed: those are left out here, and are in `processes`.
SELECT p.name, p.pid, p.ppid, p.image_path, p.create_time, p.in_active_list, p.in_cid_table, p.in_pool_scan, p.in_thread_scan, p.in_session_list, p.in_frame_database,
       p.active_threads, printf('0x%x', p.eprocess) AS eprocess, coalesce(d.computer_name, d.path) AS machine, d.path AS dump, p.process_id
FROM processes p JOIN dumps d USING (dump_id)
WHERE (:dump_id IS NULL OR p.dump_id = :dump_id) AND p.exit_time IS NULL
  AND (p.in_active_list = 0 OR p.in_cid_table = 0 OR (p.in_session_list = 0 AND p.session_id IS NOT NULL AND p.active_threads > 0))
ORDER BY p.in_active_list, p.in_cid_table, p.dump_id, p.process_id;
