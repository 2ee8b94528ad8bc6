-- rule: system_call_redirected
-- severity: critical
-- confidence: 95
-- attack: T1014
-- title: The system call {call} of {table_name} leads to {address}, {where}
-- The kernel's own table holds nothing but the kernel's own routines; win32k's are spread over its drivers.
SELECT NULL AS process_id, s.table_name, s.address, 1 AS length, coalesce(s.function || ' (' || s.number || ')', CAST(s.number AS TEXT)) AS call,
       CASE WHEN d.driver_id IS NULL THEN 'where no driver is loaded' ELSE 'in ' || coalesce(d.name, 'a driver without a name') END AS "where",
       json_object('number', s.number, 'function', s.function, 'table', s.table_name, 'driver', d.name, 'in_loaded_list', d.in_loaded_list) AS detail
FROM ssdt s JOIN dumps u USING (dump_id)
LEFT JOIN drivers d ON d.driver_id IN (SELECT n.driver_id FROM drivers n WHERE n.dump_id = :dump_id AND n.base <= s.address ORDER BY n.base DESC LIMIT 64) AND s.address < d.base + d.size
WHERE s.dump_id = :dump_id AND s.address IS NOT NULL
  AND EXISTS (SELECT 1 FROM drivers k WHERE k.dump_id = :dump_id AND k.base = u.kernel_base)
  AND CASE WHEN s.table_name = 'KiServiceTable' THEN d.base IS NOT u.kernel_base
           ELSE d.driver_id IS NULL OR d.in_loaded_list = 0 END
ORDER BY s.rowid;
