-- rule: driver_hooked
-- severity: high
-- confidence: 85
-- attack: T1014
-- title: The driver {module}: {what} {leads} to {target}
-- No original of a driver's code stays in memory, so these are told by what compilers and the loader never do: a jump out of its image to
-- where no driver is, at a function's beginning to another driver too, an import slot that doesn't hold what it names, a pointer that was relocated and now lies in no driver. Calls of imports that the kernel made direct, and
-- those that go through its retpolines, lead to what the slot holds. Targets in another driver are what hot patches,
-- verifiers and security products make.
WITH patches AS (
  SELECT x.*, d.driver_id IS NOT NULL AS to_unlisted,
         (x.target_module IS NULL OR d.driver_id IS NOT NULL) AND x.target IS NOT NULL AND coalesce(x.changed_bits, 2) > 1 AND (x.kind <> 'import_hook' OR x.original IS NOT NULL) AS bad
  FROM image_patches x
  -- a list of drivers that ends early says nothing of what it lacks
  LEFT JOIN drivers d ON d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= x.target ORDER BY n.base DESC LIMIT 64)
   AND x.target < d.base + d.size AND d.in_loaded_list = 0
   AND EXISTS (SELECT 1 FROM drivers l WHERE l.dump_id = :dump_id AND l.in_loaded_list = 1)
   AND NOT EXISTS (SELECT 1 FROM diagnostics g WHERE g.dump_id = :dump_id AND g.table_name = 'drivers' AND g.message LIKE 'the list % is broken before%'))
SELECT NULL AS process_id, min(x.address) AS address, max(x.address + x.length) - min(x.address) AS length,
       coalesce(i.path, printf('0x%x', i.base)) AS module,
       CASE WHEN x.bad THEN 'high' ELSE 'low' END AS severity,
       CASE WHEN x.bad THEN 85 ELSE 30 END AS confidence,
       iif(count(*) = 1, coalesce(x.function, iif(x.kind = 'data', 'a pointer', 'its code')), iif(min(x.function) IS NULL, printf('%d places in its code', count(*)), printf('%d functions (%s …)', count(*), min(x.function)))) || iif(x.kind = 'import_hook', ', imported,', '') AS what,
       iif(count(*) = 1, 'leads', 'lead') AS leads, iif(x.to_unlisted, 'the unlinked driver ', '') || coalesce(x.target_module, printf('0x%x', min(x.target)) || ', where no driver is loaded') AS target,
       json_object('kind', x.kind, 'functions', json_group_array(x.function), 'targets', json_group_array(DISTINCT printf('0x%x', x.target)),
                   'target_module', x.target_module, 'original', lower(hex(x.original)), 'current', lower(hex(x.current)), 'disassembly', x.disassembly) AS detail
FROM patches x JOIN images i USING (image_id)
WHERE i.dump_id = :dump_id AND i.process_id IS NULL AND (x.kind IN ('import_hook', 'inline_hook') OR (x.kind = 'data' AND x.target IS NOT NULL))
GROUP BY i.image_id, x.kind, coalesce(x.target_module, x.target)
ORDER BY i.image_id, min(x.address);
