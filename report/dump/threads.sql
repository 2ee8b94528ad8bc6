-- limit: 100000
SELECT t.process_id AS process, t.tid, iif(t.start_address IS NULL, NULL, printf('0x%x', t.start_address)) AS start,
       iif(t.win32_start_address IS NULL, NULL, printf('0x%x', t.win32_start_address)) AS win32_start, t.create_time, t.exit_time, t.state, t.wait_reason,
       t.in_process_list, t.in_cid_table
FROM threads t JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND (:all OR EXISTS (SELECT 1 FROM findings f WHERE f.process_id = p.process_id)) ORDER BY t.process_id, t.tid;
