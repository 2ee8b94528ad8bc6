-- rule: hidden_process
-- severity: high
-- confidence: 90
-- attack: T1014
-- title: {name} ({pid}) runs but is not in the list of active processes
-- A list that is broken in both directions (a smeared dump) has a gap: what it lacks means little then.
SELECT p.process_id, p.name, p.pid, p.eprocess AS address,
       CASE WHEN b.damage IS NULL THEN 'high' ELSE 'low' END AS severity, CASE WHEN b.damage IS NULL THEN 90 ELSE 30 END AS confidence,
       json_object('eprocess', printf('0x%x', p.eprocess), 'ppid', p.ppid, 'create_time', p.create_time, 'image_path', p.image_path,
                   'command_line', p.command_line, 'in_cid_table', p.in_cid_table, 'in_pool_scan', p.in_pool_scan, 'in_thread_scan', p.in_thread_scan,
                   'in_session_list', p.in_session_list, 'in_frame_database', p.in_frame_database, 'active_threads', p.active_threads, 'list_damage', b.damage) AS detail
FROM processes p
LEFT JOIN (SELECT dump_id, min(message) AS damage FROM diagnostics
           WHERE table_name = 'processes' AND message LIKE 'the list eprocess.ActiveProcessLinks is broken before%' GROUP BY dump_id) b USING (dump_id)
WHERE p.dump_id = :dump_id AND p.in_active_list = 0 AND p.exit_time IS NULL AND p.pid > 0
  AND (p.in_cid_table = 1 OR p.in_thread_scan = 1 OR p.in_pool_scan = 1 OR p.in_session_list = 1
       OR p.in_frame_database = 1)
  AND EXISTS (SELECT 1 FROM processes x WHERE x.dump_id = p.dump_id AND x.in_active_list = 1)
ORDER BY p.process_id;
