-- rule: module_stomping
-- severity: high
-- confidence: 85
-- attack: T1055
-- title: {name} ({pid}): {bytes} bytes of code of {module} were replaced at {address}
-- Whole stretches of a mapped file's code that are other code in this process. Where the page-table entry names a frame that differs in
-- a single bit from the original's, the entry itself may be damaged; where the original is nothing but zeros, as far as it is kept (512 bytes), it may be what the dump lacks. Where the program's own headers were replaced too, another program
-- was put in its place.
SELECT p.process_id, p.name, p.pid, min(x.address) AS address, max(x.address + x.length) - min(x.address) AS length, sum(x.length) AS bytes,
       coalesce(nullif(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), ''), printf('the image at 0x%x', i.base)) AS module,
       iif(i.base IN (p.image_base, p.section_base) AND EXISTS (SELECT 1 FROM image_patches h WHERE h.image_id = i.image_id AND h.kind = 'header'), 'T1055.012', 'T1055') AS attack,
       CASE WHEN max(x.frame_bits) = 1 THEN 'low' WHEN min(trim(hex(coalesce(x.original, x'01')), '0') = '') THEN 'medium' ELSE 'high' END AS severity,
       CASE WHEN max(x.frame_bits) = 1 THEN 30 WHEN min(trim(hex(coalesce(x.original, x'01')), '0') = '') THEN 50 ELSE 85 END AS confidence,
       json_object('path', i.path, 'section', x.section, 'function', x.function, 'changed_bits', sum(x.changed_bits), 'frame_bits', max(x.frame_bits), 'places', count(*),
                   'pages_modified', i.pages_modified, 'current', lower(hex(substr(x.current, 1, 64)))) AS detail
FROM image_patches x JOIN images i USING (image_id) JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND x.kind = 'stomped'
GROUP BY x.image_id
ORDER BY x.image_id;
