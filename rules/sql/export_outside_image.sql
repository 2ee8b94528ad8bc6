-- rule: export_outside_image
-- severity: medium
-- confidence: 60
-- attack: T1056.004
-- title: {where}: {function} of {module} is exported from outside of the image, at {address}
-- No linker makes such an entry. Where there is no original to compare the table with (drivers above all), this is how a
-- changed one shows.
SELECT i.process_id, coalesce(p.name || ' (' || p.pid || ')', 'kernel') AS "where", i.base + e.rva AS address, 1 AS length,
       coalesce(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), printf('0x%x', i.base)) AS module, coalesce(e.name, '#' || e.ordinal) AS function,
       iif(i.process_id IS NULL AND d.driver_id IS NULL, 'high', 'medium') AS severity, iif(i.process_id IS NULL AND d.driver_id IS NULL, 85, 60) AS confidence,
       json_object('rva', printf('0x%x', e.rva), 'size_of_image', i.size_of_image, 'base', printf('0x%x', i.base), 'driver', d.name) AS detail
FROM image_exports e JOIN images i USING (image_id) LEFT JOIN processes p ON p.process_id = i.process_id
LEFT JOIN drivers d ON i.process_id IS NULL AND d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= i.base + e.rva ORDER BY n.base DESC LIMIT 64) AND i.base + e.rva < d.base + d.size
WHERE i.dump_id = :dump_id AND i.header_state = 'intact' AND i.found_by IN ('loader', 'vad', 'driver') AND e.forwarder IS NULL
  AND e.rva >= max(i.size_of_image, i.size)
  AND NOT EXISTS (SELECT 1 FROM image_patches x WHERE x.image_id = i.image_id AND x.kind = 'export_hook' AND x.target = i.base + e.rva)
ORDER BY e.rowid;
