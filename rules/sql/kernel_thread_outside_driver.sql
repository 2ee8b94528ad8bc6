-- rule: kernel_thread_outside_driver
-- severity: high
-- confidence: 75
-- attack: T1014
-- title: A kernel thread of {name} ({pid}) starts at {address}, in no loaded driver
SELECT p.process_id, p.name, p.pid, t.start_address AS address, 1 AS length,
       json_object('tid', t.tid, 'ethread', printf('0x%x', t.ethread), 'create_time', t.create_time, 'state', t.state) AS detail
FROM threads t JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id
  -- the kernel's half: the upper one; of 32-bit machines, whose addresses aren't extended, what threads without a TEB run
  AND (t.start_address < 0 OR (t.teb = 0 AND t.start_address >= 0x80000000 AND (SELECT architecture FROM dumps WHERE dump_id = :dump_id) LIKE 'x86%')) AND t.exit_time IS NULL
  AND NOT EXISTS (SELECT 1 FROM drivers d WHERE d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= t.start_address ORDER BY n.base DESC LIMIT 64)
              AND t.start_address < d.base + d.size)
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  -- a list of drivers that ends early says nothing of what it lacks
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
ORDER BY t.thread_id;
