-- limit: 200000
SELECT v.process_id AS process, v.start_address AS start, v.end_address AS end, v.type, v.protection, v.commit_charge AS "commit", v.file_path AS file, v.tag,
       v.pages_present AS present, v.pages_executable AS executable, v.pages_writable_executable AS writable_executable,
       v.pages_executable_private_image AS private_code, v.pages_zero AS zero
FROM vads v JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id AND (:all OR EXISTS (SELECT 1 FROM findings f WHERE f.process_id = p.process_id)) ORDER BY v.process_id, v.start_address;
