-- query: suspicious_regions
-- about: memory that runs code no file accounts for: what its bytes look like, which threads start there, what YARA found
-- parameter: zeros 0: 1 shows regions too that hold nothing but zeros
WITH
hit AS MATERIALIZED (SELECT process_id, vad_id, region_base, group_concat(DISTINCT rule) AS rules FROM yara_matches GROUP BY process_id, vad_id, region_base),
start AS MATERIALIZED (SELECT t.process_id, t.win32_start_address AS address FROM threads t WHERE t.exit_time IS NULL)
SELECT p.name AS process, p.pid, printf('0x%x', c.address) AS address, c.length, v.protection AS made_as, v.type, c.writable,
       round(c.entropy, 2) AS entropy, c.pe_header, c.functions, c.peb_access, c.getpc, c.syscalls,
       (SELECT count(*) FROM start s WHERE s.process_id = c.process_id AND s.address BETWEEN c.address AND c.address + c.length - 1) AS threads,
       (SELECT h.rules FROM hit h WHERE h.process_id = c.process_id AND (h.vad_id = c.vad_id OR h.region_base = c.address) LIMIT 1) AS yara,
       v.file_path AS file, coalesce(d.computer_name, d.path) AS machine, d.path AS dump, c.process_id, c.vad_id
FROM code_regions c JOIN processes p USING (process_id) JOIN dumps d USING (dump_id) LEFT JOIN vads v USING (vad_id)
WHERE (:dump_id IS NULL OR p.dump_id = :dump_id) AND (coalesce(:zeros, 0) OR NOT coalesce(c.all_zero, 0))
ORDER BY c.peb_access + c.getpc + c.syscalls > 0 DESC, yara IS NOT NULL DESC, threads DESC, p.dump_id, p.process_id, c.address;
