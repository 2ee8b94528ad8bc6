-- The tree: a parent before its children. See queries/process_tree.sql for what makes a parent.
-- limit: 20000
WITH RECURSIVE
p AS MATERIALIZED (SELECT *, coalesce(create_time, '') AS born FROM processes WHERE dump_id = :dump_id),
met AS (
  SELECT process_id, born, child, max(iif(child, NULL, born || printf('%012d', process_id))) OVER (PARTITION BY number ORDER BY born, process_id, child DESC) AS latest
  FROM (SELECT process_id, born, pid AS number, 0 AS child FROM p UNION ALL SELECT process_id, born, ppid, 1 FROM p) WHERE number IS NOT NULL),
pair AS MATERIALIZED (
  SELECT m.process_id AS child, q.process_id AS parent FROM met m CROSS JOIN processes q ON q.process_id = CAST(substr(m.latest, -12) AS INTEGER)
  WHERE m.child AND m.latest IS NOT NULL AND coalesce(q.exit_time >= m.born, 1)),
tree(process_id, depth, born) AS (
  SELECT process_id, 0, born FROM p WHERE process_id NOT IN (SELECT child FROM pair)
  UNION ALL
  SELECT p.process_id, tree.depth + 1, p.born FROM tree JOIN pair ON pair.parent = tree.process_id JOIN p ON p.process_id = pair.child
  ORDER BY 2 DESC, 3, 1),
line AS MATERIALIZED (SELECT *, row_number() OVER () AS n FROM tree)
SELECT p.process_id AS id, line.depth, p.pid, p.ppid, p.name, p.image_path, p.peb_image_path, p.command_line, p.current_directory, p.create_time, p.exit_time,
       p.exit_status, p.session_id AS session, p.wow64, p.user_sid AS user,
       (SELECT e.value FROM environment e WHERE e.process_id = p.process_id AND e.name = 'USERNAME' COLLATE NOCASE LIMIT 1) AS username, p.integrity_level AS integrity, p.protection,
       printf('0x%x', p.eprocess) AS eprocess, iif(p.peb IS NULL, NULL, printf('0x%x', p.peb)) AS peb, printf('0x%x', p.dtb) AS dtb,
       iif(p.section_base IS NULL, NULL, printf('0x%x', p.section_base)) AS section_base, iif(p.image_base IS NULL, NULL, printf('0x%x', p.image_base)) AS image_base,
       p.active_threads, p.handle_count, p.in_active_list, p.in_cid_table, p.in_pool_scan, p.in_thread_scan, p.in_session_list,
       (SELECT count(*) FROM vads v WHERE v.process_id = p.process_id) AS vads, (SELECT count(*) FROM threads t WHERE t.process_id = p.process_id) AS threads,
       (SELECT count(*) FROM modules m WHERE m.process_id = p.process_id) AS modules, (SELECT count(*) FROM handles h WHERE h.process_id = p.process_id) AS handles
FROM line JOIN p USING (process_id) ORDER BY line.n;
