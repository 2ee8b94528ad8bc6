-- rule: apc_loads_library
-- severity: medium
-- confidence: 65
-- attack: T1055.004
-- title: An APC waits to load a library in {name} ({pid}) with {function}
-- The path is the argument: what another process wrote there is loaded as soon as the thread waits.
SELECT p.process_id, p.name, p.pid, a.normal_routine AS address, 1 AS length, e.name AS function,
       json_object('apc', printf('0x%x', a.address), 'tid', a.tid, 'normal_routine', printf('0x%x', a.normal_routine), 'normal_context', printf('0x%x', a.normal_context),
                   'system_argument1', printf('0x%x', a.system_argument1), 'kernel_routine', printf('0x%x', a.kernel_routine)) AS detail
FROM apcs a JOIN processes p USING (process_id)
JOIN images i ON i.process_id = a.process_id
 AND (a.normal_routine BETWEEN i.base AND i.base + i.size - 1 OR a.normal_context BETWEEN i.base AND i.base + i.size - 1)
JOIN image_exports e ON e.image_id = coalesce(i.same_as, i.image_id) AND (e.rva = a.normal_routine - i.base OR e.rva = a.normal_context - i.base)
WHERE p.dump_id = :dump_id AND a.mode = 'user' AND e.name IN ('LoadLibraryA', 'LoadLibraryW', 'LoadLibraryExA', 'LoadLibraryExW', 'LdrLoadDll')
GROUP BY a.address
ORDER BY a.address;
