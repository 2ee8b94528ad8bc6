-- rule: executable_memory_without_vad
-- severity: high
-- confidence: 75
-- attack: T1014
-- title: {name} ({pid}) executes memory at {address} that no VAD describes
SELECT p.process_id, p.name, p.pid, c.address, c.length,
       json_object('length', c.length, 'writable', c.writable, 'peb_access', c.peb_access, 'functions', c.functions,
                   'first_bytes', lower(hex(c.first_bytes))) AS detail
FROM code_regions c JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND c.vad_id IS NULL AND c.all_zero IS NOT 1
  AND EXISTS (SELECT 1 FROM vads v WHERE v.process_id = p.process_id)
  -- where the tree is known to be broken, a missing descriptor means nothing
  AND NOT EXISTS (SELECT 1 FROM diagnostics d WHERE d.process_id = p.process_id AND d.table_name = 'vads' AND d.row_id IS NULL)
ORDER BY c.process_id, c.address;
