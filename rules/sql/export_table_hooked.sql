-- rule: export_table_hooked
-- severity: high
-- confidence: 90
-- attack: T1056.004
-- title: {name} ({pid}): the export table of {module} was changed in memory: {function} leads to {target}
-- Whoever asks for the function later gets the other one. The table holds addresses relative to the module, so the target lies within 4 GiB of it.
SELECT p.process_id, p.name, p.pid, x.address, x.length, coalesce(nullif(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), ''), printf('the image at 0x%x', i.base)) AS module,
       coalesce(x.function, 'an export') AS function, coalesce(x.target_module, printf('0x%x', x.target) || ', in no module') AS target,
       CASE WHEN x.changed_bits = 1 THEN 'low' WHEN x.target_module IS NULL THEN 'high' ELSE 'medium' END AS severity,
       CASE WHEN x.changed_bits = 1 THEN 30 WHEN x.target_module IS NULL THEN 90 ELSE 60 END AS confidence,
       json_object('function', x.function, 'original', lower(hex(x.original)), 'current', lower(hex(x.current)), 'target', printf('0x%x', x.target),
                   'target_module', x.target_module, 'changed_bits', x.changed_bits) AS detail
FROM image_patches x JOIN images i USING (image_id) JOIN processes p USING (process_id)
WHERE i.dump_id = :dump_id AND x.kind = 'export_hook'
ORDER BY x.rowid;
