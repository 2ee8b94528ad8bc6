-- query: hooks
-- about: code that was led elsewhere: patched functions, callbacks, system calls and driver functions that lead to no loaded module
WITH
-- where nearly all of a system call table's services lie
usual AS MATERIALIZED (
  SELECT dump_id, table_name, module FROM (
    SELECT dump_id, table_name, module, row_number() OVER (PARTITION BY dump_id, table_name ORDER BY count(*) DESC) AS n FROM ssdt GROUP BY dump_id, table_name, module)
  WHERE n = 1)
SELECT 'patched ' || coalesce(i.kind, 'code') AS what, coalesce(i.function, i.section) AS place, printf('0x%x', i.address) AS address,
       iif(i.target IS NULL, NULL, printf('0x%x', i.target)) AS leads_to, i.target_module AS module, m.path AS image, p.name AS process, p.pid,
       lower(hex(substr(i.original, 1, 24))) AS original, lower(hex(substr(i.current, 1, 24))) AS current, coalesce(d.computer_name, d.path) AS machine, m.dump_id
FROM image_patches i JOIN images m USING (image_id) JOIN dumps d USING (dump_id) LEFT JOIN processes p USING (process_id)
WHERE :dump_id IS NULL OR m.dump_id = :dump_id
UNION ALL
SELECT 'callback', c.type || coalesce(', ' || c.symbol, ''), printf('0x%x', c.address), printf('0x%x', c.address), c.module, NULL, NULL, NULL, NULL, NULL,
       coalesce(d.computer_name, d.path), c.dump_id
FROM callbacks c JOIN dumps d USING (dump_id)
WHERE c.module IS NULL AND c.address IS NOT NULL AND (:dump_id IS NULL OR c.dump_id = :dump_id)
UNION ALL
SELECT 'system call', s.table_name || ' ' || s.number || coalesce(', ' || s.function, ''), NULL, printf('0x%x', s.address), s.module, NULL, NULL, NULL, NULL, NULL,
       coalesce(d.computer_name, d.path), s.dump_id
FROM ssdt s JOIN dumps d USING (dump_id) JOIN usual u ON u.dump_id = s.dump_id AND u.table_name = s.table_name
WHERE (:dump_id IS NULL OR s.dump_id = :dump_id) AND s.address IS NOT NULL
  AND s.module IS NOT u.module
UNION ALL
SELECT 'driver function', o.name || ' ' || coalesce(r.function, r.number), NULL, printf('0x%x', r.address), r.module, NULL, NULL, NULL, NULL, NULL,
       coalesce(d.computer_name, d.path), r.dump_id
FROM driver_irps r JOIN driver_objects o USING (driver_object_id) JOIN dumps d ON d.dump_id = r.dump_id
WHERE r.module IS NULL AND r.address IS NOT NULL AND (:dump_id IS NULL OR r.dump_id = :dump_id)
ORDER BY 12, 1, 3;
