-- query: crashes
-- about: why machines stopped: the bugcheck, what ran, which modules its parameters name, and the modules on the stack, the kernel left out
-- Live dumps have a code too, but nothing stopped.
WITH named AS (
  SELECT c.dump_id, d.name, p.n
  FROM crash c JOIN (SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) p
  JOIN drivers d ON d.dump_id = c.dump_id
   AND CASE p.n WHEN 1 THEN c.parameter1 WHEN 2 THEN c.parameter2 WHEN 3 THEN c.parameter3 ELSE c.parameter4 END BETWEEN d.base AND d.base + d.size - 1
), walked AS (
  SELECT dump_id, module, min(position) AS first
  FROM crash_stack
  WHERE position > 0 AND after_call IS NOT 0 AND module NOT LIKE '%ntoskrnl.exe' AND module NOT LIKE '%ntkrnl%'
  GROUP BY dump_id, module
)
SELECT coalesce(c.bugcheck_name, printf('0x%x', c.bugcheck_code)) AS bugcheck, printf('0x%x', c.parameter1) AS parameter1,
       printf('0x%x', c.parameter2) AS parameter2, printf('0x%x', c.parameter3) AS parameter3, printf('0x%x', c.parameter4) AS parameter4,
       p.name AS process, p.pid,
       (SELECT group_concat(n || ': ' || json_extract('[' || replace(json_quote(name), '\\', '","') || ']', '$[#-1]'), ', ') FROM named WHERE dump_id = c.dump_id) AS parameters_name,
       (SELECT module || '+' || printf('0x%x', offset) FROM crash_stack WHERE dump_id = c.dump_id AND position = 0) AS stopped_at,
       (SELECT group_concat(module, ', ') FROM (SELECT json_extract('[' || replace(json_quote(module), '\\', '","') || ']', '$[#-1]') AS module FROM walked
        WHERE dump_id = c.dump_id ORDER BY first LIMIT 8)) AS on_stack,
       c.uptime, coalesce(d.computer_name, d.path) AS machine, d.system_time, d.path AS dump
FROM crash c JOIN dumps d USING (dump_id) LEFT JOIN processes p ON p.process_id = c.process_id
WHERE (:dump_id IS NULL OR c.dump_id = :dump_id) AND c.bugcheck_code <> 0
  AND coalesce(c.live, d.format = 'windows-live') IS NOT 1
ORDER BY d.system_time, c.dump_id;
