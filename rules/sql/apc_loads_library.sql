-- rule: apc_loads_library
-- severity: medium
-- confidence: 65
-- attack: T1055.004
-- title: An APC waits to load a library in {name} ({pid}) with {function}
-- The path is the argument: what another process wrote there is loaded as soon as the thread waits.
WITH waits AS MATERIALIZED (SELECT DISTINCT process_id FROM apcs JOIN processes USING (process_id) WHERE dump_id = :dump_id AND mode = 'user'),
named AS MATERIALIZED (	-- a DLL's exports stand with its first image alone: a process may map it thousands of times
  SELECT e.image_id, e.rva, e.name FROM images o JOIN image_exports e USING (image_id)
  WHERE o.dump_id = :dump_id AND EXISTS (SELECT 1 FROM waits) AND e.name IN ('LoadLibraryA', 'LoadLibraryW', 'LoadLibraryExA', 'LoadLibraryExW', 'LdrLoadDll')),
loads AS MATERIALIZED (	-- where those functions are, in the processes in which APCs wait
  SELECT i.process_id, i.base + e.rva AS address, e.name FROM waits JOIN images i USING (process_id) JOIN named e ON e.image_id = coalesce(i.same_as, i.image_id)),
called AS (
  SELECT *, normal_routine AS target FROM apcs WHERE mode = 'user'
  UNION ALL SELECT *, normal_context FROM apcs WHERE mode = 'user')
SELECT p.process_id, p.name, p.pid, a.normal_routine AS address, 1 AS length, min(l.name) AS function,
       json_object('apc', printf('0x%x', a.address), 'tid', a.tid, 'normal_routine', printf('0x%x', a.normal_routine), 'normal_context', printf('0x%x', a.normal_context),
                   'system_argument1', printf('0x%x', a.system_argument1), 'kernel_routine', printf('0x%x', a.kernel_routine)) AS detail
FROM called a JOIN processes p USING (process_id) JOIN loads l ON l.process_id = a.process_id AND l.address = a.target
WHERE p.dump_id = :dump_id
GROUP BY p.process_id, a.address
ORDER BY a.address;
