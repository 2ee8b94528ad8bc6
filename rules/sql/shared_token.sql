-- rule: shared_token
-- severity: critical
-- confidence: 90
-- attack: T1134.001
-- title: {name} ({pid}) acts with the token of {owner} ({owner_pid}): {user}
-- The kernel makes each process a token object of its own, a copy of its creator's at least. Two that name the same one had it written into
-- kernel memory; the one that was there first owns it. Processes without user memory are the kernel's own, and share what they like.
WITH held AS (
  SELECT process_id, first_value(process_id) OVER (PARTITION BY token ORDER BY pid <> 4, create_time, process_id) AS owner_id
  FROM processes WHERE dump_id = :dump_id AND token IS NOT NULL AND exit_time IS NULL)
SELECT p.process_id, p.name, p.pid, o.name AS owner, o.pid AS owner_pid, coalesce(p.user_sid, 'a user that can''t be read') AS user, p.eprocess AS address, 1 AS length,
       json_object('token', printf('0x%x', p.token), 'owner', o.name, 'owner_pid', o.pid, 'user_sid', p.user_sid, 'integrity_level', p.integrity_level,
                   'session_id', p.session_id, 'image_path', p.image_path, 'command_line', p.command_line, 'create_time', p.create_time) AS detail
FROM held h JOIN processes p ON p.process_id = h.process_id JOIN processes o ON o.process_id = h.owner_id
WHERE h.owner_id <> h.process_id AND p.peb <> 0
ORDER BY p.process_id;
