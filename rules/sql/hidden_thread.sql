-- rule: hidden_thread
-- severity: high
-- confidence: 75
-- attack: T1014
-- title: Thread {tid} of {name} ({pid}) runs but is not in the list of its process's threads
-- A thread leaves the list when it ends; a list that is broken (a smeared dump) says nothing of what it lacks: in_process_list is NULL then.
SELECT p.process_id, p.name, p.pid, t.tid, t.ethread AS address, 1 AS length,
       json_object('ethread', printf('0x%x', t.ethread), 'start_address', printf('0x%x', t.start_address), 'win32_start_address',
                   printf('0x%x', t.win32_start_address), 'state', t.state, 'create_time', t.create_time, 'in_scheduler_list', t.in_scheduler_list,
                   'in_cid_table', t.in_cid_table, 'in_pool_scan', t.in_pool_scan, 'in_handle_tables', t.in_handle_tables) AS detail
FROM threads t JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND t.in_process_list = 0 AND t.exit_time IS NULL AND t.state <> 'Terminated' AND p.exit_time IS NULL
  AND (t.in_cid_table = 1 OR t.in_pool_scan = 1 OR t.in_handle_tables = 1 OR t.in_scheduler_list = 1)
  AND EXISTS (SELECT 1 FROM threads x JOIN processes y USING (process_id) WHERE y.dump_id = p.dump_id AND x.in_process_list = 1)
ORDER BY t.thread_id;
