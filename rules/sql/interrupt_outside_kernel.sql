-- rule: interrupt_outside_kernel
-- severity: high
-- confidence: 85
-- attack: T1014
-- title: Interrupt {vector} of processor {processor} is handled at {address}, {where}
-- Exceptions are the kernel's. So are the gates of devices since Windows 10 14393 on x64 (KiIsrThunk; codemachine.com, interrupt dispatching); before, and
-- on 32 bits, they lie in pool, in the interrupt object itself: those are left out.
SELECT NULL AS process_id, printf('0x%02x', i.vector) AS vector, i.processor, i.address, 1 AS length,
       iif(i.module IS NULL, 'where no driver is loaded', 'in ' || i.module) AS "where",
       json_object('vector', i.vector, 'processor', i.processor, 'module', i.module, 'type', i.type, 'privilege', i.privilege, 'selector', i.selector) AS detail
FROM idt i JOIN dumps d USING (dump_id)
WHERE i.dump_id = :dump_id AND i.address IS NOT NULL AND d.os_build LIKE '%.%'
  AND ((i.placement = 'nowhere' AND (i.vector < 0x30 OR (d.architecture = 'x64' AND d.os_build LIKE '10.0.%' AND CAST(substr(d.os_build, 6) AS INTEGER) >= 14393))) OR (i.placement = 'other' AND i.vector < 0x20 AND lower(i.module) NOT LIKE 'hal%.dll'))
  AND EXISTS (SELECT 1 FROM drivers x WHERE x.dump_id = :dump_id AND x.in_loaded_list = 1)
  AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%')
ORDER BY i.processor, i.vector;
