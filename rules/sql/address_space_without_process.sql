-- rule: address_space_without_process
-- severity: high
-- confidence: 75
-- attack: T1014
-- title: The address space at {address} is in use, but no process is known that has it
-- Of an address space that was given up the page may be left; the memory manager's book tells that it is free.
SELECT NULL AS process_id, a.root AS address,
       json_object('root', printf('0x%x', a.root), 'owner', CASE WHEN a.owner THEN printf('0x%x', a.owner) END, 'user_entries', a.user_entries,
                   'in_page_scan', a.in_page_scan, 'in_frame_database', a.in_frame_database) AS detail
FROM address_spaces a
WHERE a.dump_id = :dump_id AND a.process_id IS NULL AND a.in_use = 1 AND a.in_frame_database = 1 AND a.kernel_half = 1 AND a.user_entries > 0
  -- that database speaks of this machine's processes
  AND EXISTS (SELECT 1 FROM address_spaces x JOIN processes p USING (process_id) WHERE x.dump_id = a.dump_id AND x.owner = p.eprocess)
ORDER BY a.root;
