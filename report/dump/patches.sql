-- limit: 5000
SELECT i.process_id AS process, i.path, x.function, x.section, printf('0x%x', x.address) AS address, x.length, x.kind,
       iif(coalesce(x.target, 0) = 0, NULL, printf('0x%x', x.target)) AS target, x.target_module, substr(x.original, 1, 64) AS original, substr(x.current, 1, 64) AS current, x.disassembly
FROM image_patches x JOIN images i USING (image_id) WHERE i.dump_id = :dump_id ORDER BY i.process_id, x.address;
