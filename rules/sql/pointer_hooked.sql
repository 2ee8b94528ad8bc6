-- rule: pointer_hooked
-- severity: high
-- confidence: 85
-- attack: T1056.004
-- title: {name} ({pid}): {what} of {module} {leads} to {target}
-- Addresses in data that nobody writes to once it is loaded: tables of methods, of callbacks, and the pointers that guarded calls go through. Those that
-- lead to a loaded module are what compatibility layers and security products make.
SELECT p.process_id, p.name, p.pid, min(x.address) AS address, max(x.address + x.length) - min(x.address) AS length,
       coalesce(nullif(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), ''), printf('the image at 0x%x', i.base)) AS module,
       iif(x.target_module IS NULL AND coalesce(x.changed_bits, 2) > 1, 'high', 'low') AS severity,
       iif(x.target_module IS NULL AND coalesce(x.changed_bits, 2) > 1, 85, 30) AS confidence,
       iif(count(*) = 1, coalesce('the guard pointer ' || x.function, 'a pointer in ' || x.section), printf('%d pointers in %s', count(*), x.section)) AS what,
       iif(count(*) = 1, 'leads', 'lead') AS leads, coalesce(x.target_module, printf('0x%x, in no module', min(x.target))) AS target,
       json_object('function', x.function, 'section', x.section, 'targets', json_group_array(DISTINCT printf('0x%x', x.target)), 'target_module', x.target_module,
                   'original', lower(hex(x.original)), 'current', lower(hex(x.current)), 'changed_bits', min(x.changed_bits), 'places', count(*)) AS detail
FROM image_patches x JOIN images i USING (image_id) JOIN processes p USING (process_id)
WHERE i.dump_id = :dump_id AND x.kind = 'pointer_hook'
GROUP BY i.image_id, x.section, x.target_module, x.changed_bits = 1
ORDER BY i.image_id, min(x.address);
