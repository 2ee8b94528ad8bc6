-- rule: system_call_stub_hooked
-- severity: info
-- confidence: 60
-- attack: T1056.004
-- title: {name} ({pid}): system-call stubs of {module} were changed: {functions}
-- The change itself is what modified_image_code tells of. A stub that now enters the kernel with another number is no product's
-- hook; and where no original of the code is in the dump, a stub that leads to no module is found here alone.
WITH hooked AS (
  SELECT c.*, i.process_id, coalesce(nullif(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), ''), printf('the image at 0x%x', i.base)) AS module,
         CASE WHEN c.changed_bits = 1 THEN 'info'
              WHEN c.current_number IS NOT NULL AND c.current_number <> c.number THEN 'high'
              WHEN c.changed_bits IS NULL AND c.target IS NOT NULL AND c.target_module IS NULL THEN 'high' ELSE 'info' END AS severity
  FROM system_call_stubs c JOIN images i USING (image_id)
  WHERE i.dump_id = :dump_id AND c.hooked AND i.process_id IS NOT NULL)
SELECT p.process_id, p.name, p.pid, h.module, min(h.address) AS address, max(h.address) + 16 - min(h.address) AS length, h.severity,
       iif(h.severity = 'high', 85, 60) AS confidence, group_concat(h.name, ', ') AS functions,
       json_object('functions', json_group_array(h.name), 'numbers', json_group_array(h.number), 'current_numbers', json_group_array(h.current_number),
                   'targets', json_group_array(DISTINCT printf('0x%x', h.target)), 'target_modules', json_group_array(DISTINCT h.target_module)) AS detail
FROM hooked h JOIN processes p USING (process_id)
GROUP BY h.image_id, h.severity
ORDER BY h.image_id, min(h.address);
