-- rule: process_without_id
-- severity: high
-- confidence: 75
-- attack: T1014
-- title: {name} ({pid}) runs, but the kernel's table of process ids does not have it
-- Nobody can open it by its id then. The entry is made before the process is put on the list of active ones, and goes when it has exited.
-- Where the table is damaged, that something isn't in it means little: pages of it can't be read (in a raw image: are zeros), so that it lacks
-- threads of processes that it has, or processes in numbers.
SELECT p.process_id, p.name, p.pid, p.eprocess AS address, 1 AS length,
       iif(coalesce(d.damage, h.damage) IS NULL, 'high', 'low') AS severity, iif(coalesce(d.damage, h.damage) IS NULL, 75, 30) AS confidence,
       json_object('eprocess', printf('0x%x', p.eprocess), 'ppid', p.ppid, 'create_time', p.create_time, 'image_path', p.image_path, 'command_line', p.command_line,
                   'in_active_list', p.in_active_list, 'in_pool_scan', p.in_pool_scan, 'in_thread_scan', p.in_thread_scan, 'in_session_list', p.in_session_list,
                   'table_damage', coalesce(d.damage, h.damage)) AS detail
FROM processes p
LEFT JOIN (SELECT dump_id, min(message) AS damage FROM diagnostics WHERE table_name = 'processes' AND row_id IS NULL AND message LIKE '%PspCidTable can''t be read' GROUP BY dump_id) d USING (dump_id)
LEFT JOIN (SELECT dump_id, printf('%d %s are not in it', count(*), what) AS damage
           FROM (SELECT o.dump_id, 'threads of other processes' AS what FROM threads t JOIN processes o USING (process_id)
                 WHERE t.in_cid_table = 0 AND o.in_cid_table = 1 AND t.in_process_list = 1 AND t.exit_time IS NULL AND t.state <> 'Terminated'
                 UNION ALL SELECT dump_id, 'processes' FROM processes WHERE in_cid_table = 0 AND in_active_list = 1 AND exit_time IS NULL)
           GROUP BY dump_id, what HAVING count(*) > 3) h USING (dump_id)
WHERE p.dump_id = :dump_id AND p.in_active_list = 1 AND (p.in_cid_table = 0 OR (p.in_cid_table IS NULL AND d.damage IS NOT NULL)) AND p.exit_time IS NULL AND p.pid > 4 AND p.active_threads > 0
  AND (SELECT count(*) FROM processes x WHERE x.dump_id = :dump_id AND x.in_cid_table = 1) > (SELECT count(*) FROM processes x WHERE x.dump_id = :dump_id AND x.in_cid_table IS NOT 1 AND x.exit_time IS NULL)
GROUP BY p.process_id
ORDER BY p.process_id;
