-- rule: privilege_never_granted
-- severity: high
-- confidence: 85
-- attack: T1134
-- title: {name} ({pid}) uses {privileges} that its token does not hold
-- AdjustTokenPrivileges enables only what a token holds: the bits were written into kernel memory.
SELECT p.process_id, p.name, p.pid, p.eprocess AS address, group_concat(coalesce(r.name, 'privilege ' || r.luid), ', ') AS privileges,
       json_object('privileges', json_group_array(coalesce(r.name, 'privilege ' || r.luid)), 'user_sid', p.user_sid, 'integrity_level', p.integrity_level) AS detail
FROM privileges r JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND r.enabled = 1 AND r.present = 0
GROUP BY p.process_id ORDER BY p.process_id;
