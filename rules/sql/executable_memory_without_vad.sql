-- rule: executable_memory_without_vad
-- severity: high
-- confidence: 75
-- attack: T1014
-- title: {name} ({pid}) executes memory at {address}{more} that no VAD describes
-- Someone took the descriptor out of the tree, or put the pages there past the memory manager: one place or some. A page table that was freed and used for something else
-- while the machine's memory was copied (a smeared dump) looks as if hundreds of pages here and there could be executed: told once a gibibyte, and low.
WITH bare AS (
  SELECT c.*,
         count(*) OVER (PARTITION BY c.process_id, c.address >> 21) > 8 OR count(*) OVER (PARTITION BY c.process_id, c.address >> 30) > 16
           OR count(*) OVER (PARTITION BY c.process_id, c.address >> 39) > 32 AS scattered
  FROM code_regions c JOIN processes p USING (process_id)
  WHERE p.dump_id = :dump_id AND c.vad_id IS NULL AND c.all_zero IS NOT 1
    AND EXISTS (SELECT 1 FROM vads v WHERE v.process_id = p.process_id)
    -- where the tree is known to be broken, a missing descriptor means nothing
    AND NOT EXISTS (SELECT 1 FROM diagnostics d WHERE d.process_id = p.process_id AND d.table_name = 'vads' AND d.row_id IS NULL))
SELECT p.process_id, p.name, p.pid, min(c.address) AS address, c.length, iif(count(*) > 1, printf(' and in %d more places', count(*) - 1), '') AS more,
       iif(c.scattered, 'low', 'high') AS severity, iif(c.scattered, 30, 75) AS confidence,
       json_object('length', c.length, 'writable', c.writable, 'peb_access', c.peb_access, 'functions', c.functions,
                   'first_bytes', lower(hex(c.first_bytes)), 'places', count(*)) AS detail
FROM bare c JOIN processes p USING (process_id)
GROUP BY c.process_id, iif(c.scattered, c.address >> 30, c.address), c.scattered
ORDER BY c.process_id, min(c.address);
