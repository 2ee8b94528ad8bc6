-- rule: executable_private_memory
-- severity: medium
-- confidence: 60
-- attack: T1055
-- title: {name} ({pid}) has executable {kind} memory at {address}: {why}
-- Memory, private or of a section without a file, that the page tables make executable and that holds something. What it holds decides
-- how much it means: code that looks for the PEB or its own address, or calls the kernel by itself, is
-- position-independent; compiled functions one after the other are what a just-in-time compiler leaves, rows of one stub a
-- runtime; and jumps to loaded images with nothing else are the trampolines of hooks, where the process has hooks that lead to such.
-- Where its bytes can't be read (all_zero is NULL) it may be any of these.
WITH hooked AS (
  SELECT DISTINCT i.process_id FROM image_patches x JOIN images i USING (image_id)
  WHERE i.dump_id = :dump_id AND x.kind IN ('inline_hook', 'import_hook', 'export_hook', 'pointer_hook') AND x.target_module IS NOT NULL),
seen AS (
  SELECT *, peb_access + syscalls + getpc > 0 AS independent, functions >= 4 AND invalid * 20 <= sampled AND entropy < 7 AS compiled,
         coalesce(stubs, 0) * 4 >= sampled * 3 AS runtime, coalesce(image_jumps > 0 AND other_jumps = 0 AND calls = 0, 0) AND process_id IN (SELECT process_id FROM hooked) AS trampolines
  FROM code_regions WHERE all_zero IS NOT 1 AND (sampled IS NOT NULL OR all_zero IS NULL) AND vad_id IS NOT NULL)
SELECT p.process_id, p.name, p.pid, c.address, c.length,
       coalesce(v.type, 'private') AS kind,
       CASE WHEN c.independent THEN 'high' WHEN v.file_object IS NOT NULL OR c.all_zero IS NULL OR c.compiled OR c.runtime OR c.trampolines THEN 'low' ELSE 'medium' END AS severity,
       CASE WHEN c.independent THEN 85 WHEN v.file_object IS NOT NULL OR c.all_zero IS NULL OR c.compiled OR c.runtime OR c.trampolines THEN 30 ELSE 60 END AS confidence,
       CASE WHEN c.all_zero IS NULL THEN 'what it holds can''t be read'
            WHEN c.peb_access > 0 THEN 'its code reads the PEB to find modules by itself'
            WHEN c.syscalls > 0 THEN 'its code calls the kernel directly'
            WHEN c.getpc > 0 THEN 'its code is position-independent'
            WHEN c.compiled THEN 'compiled functions, as a just-in-time compiler makes them'
            WHEN c.runtime THEN 'rows of one stub, as a runtime makes them'
            WHEN c.trampolines THEN 'jumps to loaded images, as hooks have them'
            ELSE 'what it holds is no row of compiled functions' END AS why,
       json_object('allocation', printf('0x%x', v.start_address), 'protection', v.protection, 'file', v.file_path, 'writable', c.writable, 'entropy', round(c.entropy, 2),
                   'instructions', c.instructions, 'invalid', c.invalid, 'functions', c.functions, 'peb_access', c.peb_access,
                   'getpc', c.getpc, 'syscalls', c.syscalls, 'calls', c.calls, 'image_jumps', c.image_jumps, 'other_jumps', c.other_jumps, 'stubs', c.stubs,
                   'pages_executable', v.pages_executable, 'tag', v.tag, 'first_bytes', lower(hex(c.first_bytes))) AS detail
FROM seen c JOIN processes p USING (process_id) LEFT JOIN vads v USING (vad_id)
WHERE p.dump_id = :dump_id
ORDER BY c.process_id, c.address;
