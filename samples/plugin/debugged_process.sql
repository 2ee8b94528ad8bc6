-- rule: debugged_process
-- severity: info
-- confidence: 50
-- attack: T1622
-- title: {name} ({pid}) is being debugged
-- Developers debug; so does who unpacks, injects or dumps credentials through the debugging interface.
SELECT p.process_id, p.name, p.pid, d.peb AS address,
       json_object('being_debugged', d.being_debugged, 'global_flag', printf('0x%x', d.global_flag)) AS detail
FROM debugging d JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND d.being_debugged
ORDER BY p.process_id;
