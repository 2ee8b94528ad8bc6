-- rule: privilege_never_granted
-- severity: high
-- confidence: 85
-- attack: T1134
-- title: {name} ({pid}) has privileges that were written into its token: {privileges}
-- AdjustTokenPrivileges enables only what a token holds, and no token holds what does not exist: the bits were written into kernel memory. Exploits
-- set all of them (privileges are numbered from 2; the last in use is 36).
WITH written AS (
  SELECT r.*, coalesce(r.name, 'privilege ' || r.luid, 'a privilege') AS shown, coalesce(r.luid < 2 OR r.luid > 47, FALSE) AS no_such
  FROM privileges r JOIN processes p USING (process_id) WHERE p.dump_id = :dump_id),
held AS (
  SELECT process_id, group_concat(shown, ', ') FILTER (WHERE NOT no_such) AS granted, sum(no_such) AS no_such, json_group_array(shown) AS all_shown
  FROM written WHERE (enabled = 1 AND present = 0) OR (no_such AND (present OR enabled)) GROUP BY process_id)
SELECT p.process_id, p.name, p.pid, p.eprocess AS address,
       coalesce(h.granted, '') || iif(h.granted IS NOT NULL AND h.no_such, ', and ', '') || iif(h.no_such, h.no_such || ' that do not exist', '') AS privileges,
       json_object('privileges', json(h.all_shown), 'user_sid', p.user_sid, 'integrity_level', p.integrity_level) AS detail
FROM held h JOIN processes p USING (process_id)
ORDER BY p.process_id;
