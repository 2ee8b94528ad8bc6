-- query: yara
-- about: YARA matches by process and region, with the rules' descriptions
SELECT y.rule, json_extract(y.meta, '$.description') AS description, p.name AS process, p.pid, printf('0x%x', y.region_base) AS region,
       printf('0x%x', min(y.address)) AS first_match, count(*) AS matches, group_concat(DISTINCT y.string_identifier) AS strings,
       v.type, v.protection, v.file_path AS file, coalesce(d.computer_name, d.path) AS machine, d.path AS dump
FROM yara_matches y JOIN dumps d USING (dump_id) LEFT JOIN processes p USING (process_id) LEFT JOIN vads v USING (vad_id)
WHERE :dump_id IS NULL OR y.dump_id = :dump_id
GROUP BY y.dump_id, y.process_id, y.region_base, y.rule
ORDER BY y.rule, y.dump_id, y.process_id, y.region_base;
