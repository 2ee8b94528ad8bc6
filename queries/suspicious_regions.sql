-- query: suspicious_regions
-- about: memory that runs code no file accounts for: what its bytes look like, which threads start there, what YARA found
-- parameter: zeros 0: 1 shows regions too that hold nothing but zeros
WITH
hit AS MATERIALIZED (SELECT process_id, region_base, group_concat(DISTINCT rule) AS rules FROM yara_matches GROUP BY process_id, region_base),
hit_vad AS MATERIALIZED (SELECT vad_id, group_concat(DISTINCT rule) AS rules FROM yara_matches WHERE vad_id IS NOT NULL GROUP BY vad_id),
start AS MATERIALIZED (SELECT t.process_id, t.win32_start_address AS at, count(*) AS n,
  (SELECT max(x.address) FROM code_regions x WHERE x.process_id = t.process_id AND x.address <= t.win32_start_address) AS region
  FROM threads t WHERE t.exit_time IS NULL GROUP BY 1, 2)
SELECT p.name AS process, p.pid, printf('0x%x', c.address) AS address, c.length, v.protection AS made_as, v.type, c.writable,
       round(c.entropy, 2) AS entropy, c.pe_header, c.functions, c.peb_access, c.getpc, c.syscalls,
       coalesce((SELECT sum(s.n) FROM start s WHERE s.process_id = c.process_id AND s.region = c.address AND s.at < c.address + c.length), 0) AS threads,
       coalesce((SELECT h.rules FROM hit h WHERE h.process_id = c.process_id AND h.region_base = c.address), (SELECT h.rules FROM hit_vad h WHERE h.vad_id = c.vad_id)) AS yara,
       v.file_path AS file, coalesce(d.computer_name, d.path) AS machine, d.path AS dump, c.process_id, c.vad_id
FROM code_regions c JOIN processes p USING (process_id) JOIN dumps d USING (dump_id) LEFT JOIN vads v USING (vad_id)
WHERE (:dump_id IS NULL OR p.dump_id = :dump_id) AND (coalesce(:zeros, 0) OR c.all_zero IS NOT 1)
ORDER BY c.peb_access + c.getpc + c.syscalls > 0 DESC, yara IS NOT NULL DESC, threads DESC, p.dump_id, p.process_id, c.address;
