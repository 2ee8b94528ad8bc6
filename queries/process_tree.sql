-- query: process_tree
-- about: processes under the processes that started them, with their findings and the sources that do not see them
-- A pid is used again after its process is gone: a parent is the latest process of that pid that is older than the
-- child, unless it had exited before the child was made. Who has no such parent stands at the left. Both meet in the order in which they were made (`met`): a hostile dump's
-- processes may all have one pid, and each pair of them would take hours.
WITH RECURSIVE
p AS MATERIALIZED (SELECT *, coalesce(create_time, '') AS born FROM processes WHERE :dump_id IS NULL OR dump_id = :dump_id),
met AS (
  SELECT process_id, born, child, max(iif(child, NULL, born || printf('%012d', process_id))) OVER (PARTITION BY dump_id, number ORDER BY born, process_id, child DESC) AS latest
  FROM (SELECT process_id, dump_id, born, pid AS number, 0 AS child FROM p UNION ALL SELECT process_id, dump_id, born, ppid, 1 FROM p) WHERE number IS NOT NULL),
pair AS MATERIALIZED (
  SELECT m.process_id AS child, q.process_id AS parent FROM met m CROSS JOIN processes q ON q.process_id = CAST(substr(m.latest, -12) AS INTEGER)
  WHERE m.child AND m.latest IS NOT NULL AND coalesce(q.exit_time >= m.born, 1)),
seen AS MATERIALIZED (
  SELECT process_id, count(*) AS findings, max(CASE severity WHEN 'critical' THEN 4 WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 ELSE 0 END) AS worst
  FROM findings WHERE process_id IS NOT NULL GROUP BY process_id),
tree(process_id, dump_id, depth, born) AS (
  SELECT process_id, dump_id, 0, born FROM p WHERE process_id NOT IN (SELECT child FROM pair)
  UNION ALL
  SELECT p.process_id, p.dump_id, tree.depth + 1, p.born FROM tree JOIN pair ON pair.parent = tree.process_id JOIN p ON p.process_id = pair.child
  ORDER BY 2, 3 DESC, 4, 1),
ordered AS MATERIALIZED (SELECT *, row_number() OVER () AS line FROM tree)
SELECT substr('                                                                                ', 1, 2 * min(t.depth, 40)) || coalesce(p.name, '?') AS process, p.pid, p.ppid,
       s.findings, CASE s.worst WHEN 4 THEN 'critical' WHEN 3 THEN 'high' WHEN 2 THEN 'medium' WHEN 1 THEN 'low' WHEN 0 THEN 'info' END AS worst,
       rtrim(iif(p.in_active_list = 0, 'active list, ', '') || iif(p.in_cid_table = 0, 'CID table, ', '') || iif(p.in_pool_scan = 0, 'pool, ', '')
             || iif(p.in_thread_scan = 0, 'threads, ', '') || iif(p.in_session_list = 0, 'session list, ', ''), ', ') AS not_seen_by,
       p.create_time, p.exit_time, p.session_id AS session, p.user_sid AS user,
       p.command_line, coalesce(d.computer_name, d.path) AS machine, t.dump_id
FROM ordered t JOIN p USING (process_id) JOIN dumps d ON d.dump_id = t.dump_id LEFT JOIN seen s USING (process_id)
ORDER BY t.line;
