-- rule: executable_private_memory
-- severity: medium
-- confidence: 60
-- attack: T1055
-- title: {name} ({pid}) has executable {kind} memory at {address}: {why}
-- Memory, private or of a section without a file, that the page tables make executable and that holds something. What it holds decides
-- how much it means: code that looks for the PEB or its own address, or calls the kernel by itself, is
-- position-independent; compiled functions one after the other are what a just-in-time compiler leaves, rows of one stub a
-- runtime; and jumps to loaded images with nothing else are the trampolines of hooks, where the process has hooks that lead to such.
-- Programs of WSL 1 (pico processes) call the kernel by themselves, as Linux has it.
-- Where its bytes can't be read (all_zero is NULL) it may be any of these.
WITH hooked AS (
  SELECT DISTINCT i.process_id FROM image_patches x JOIN images i USING (image_id)
  WHERE i.dump_id = :dump_id AND x.kind IN ('inline_hook', 'import_hook', 'export_hook', 'pointer_hook') AND x.target_module IS NOT NULL),
-- the system calls whose stubs lead to the program the process was made from: it has copies of those stubs to call itself, as the sandbox of
-- browsers has. A program that users needn't ask to have installed may do so to evade others (trusted 0).
redirected AS MATERIALIZED (
  SELECT i.process_id, s.number, max(substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Program Files%' OR substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Windows\%') AS trusted
  FROM system_call_stubs s JOIN images i USING (image_id) JOIN processes p USING (process_id) JOIN vads v ON v.process_id = p.process_id AND v.start_address = p.section_base
  WHERE p.dump_id = :dump_id AND s.hooked AND v.type = 'image' AND s.target BETWEEN v.start_address AND v.end_address GROUP BY i.process_id, s.number),
named AS MATERIALIZED (SELECT s.number, min(s.name) AS name FROM system_call_stubs s JOIN images i USING (image_id) WHERE i.dump_id = :dump_id GROUP BY s.number),
looked AS (
  SELECT c.*, p.name, p.pid, coalesce(p.pico, 0) AS pico, iif(c.syscalls > 0, (SELECT count(*) FROM direct_system_calls d WHERE d.process_id = c.process_id AND d.address BETWEEN c.address AND c.address + c.length - 1
                               AND d.copied AND EXISTS (SELECT 1 FROM redirected r WHERE r.process_id = d.process_id AND r.number = d.number)), 0) AS copies, p.process_id IN (SELECT process_id FROM redirected WHERE trusted) AS trusted
  FROM code_regions c JOIN processes p USING (process_id) WHERE p.dump_id = :dump_id),
seen AS (
  SELECT *, NOT pico AND peb_access + getpc + syscalls > copies AS independent, copies > 0 AND copies * 128 >= sampled AS redirected, functions >= 4 AND invalid * 20 <= sampled AND entropy < 7 AS compiled,
         coalesce(stubs, 0) * 4 >= sampled * 3 AS runtime, coalesce(image_jumps > 0 AND other_jumps = 0 AND calls = 0, 0) AND process_id IN (SELECT process_id FROM hooked) AS trampolines
  FROM looked WHERE all_zero IS NOT 1 AND (sampled IS NOT NULL OR all_zero IS NULL) AND vad_id IS NOT NULL)
SELECT c.process_id, c.name, c.pid, c.address, c.length,
       coalesce(v.type, 'private') AS kind,
       CASE WHEN c.independent THEN 'high' WHEN v.file_object IS NOT NULL OR c.all_zero IS NULL OR c.pico OR (c.redirected AND c.trusted) THEN 'low' WHEN c.redirected THEN 'medium' WHEN c.compiled OR c.runtime OR c.trampolines THEN 'low' ELSE 'medium' END AS severity,
       CASE WHEN c.independent THEN 85 WHEN v.file_object IS NOT NULL OR c.all_zero IS NULL OR c.pico OR (c.redirected AND c.trusted) THEN 30 WHEN c.redirected THEN 60 WHEN c.compiled OR c.runtime OR c.trampolines THEN 30 ELSE 60 END AS confidence,
       CASE WHEN c.all_zero IS NULL THEN 'what it holds can''t be read'
            WHEN c.pico THEN 'code of another system''s program'
            WHEN c.peb_access > 0 THEN 'its code reads the PEB to find modules by itself'
            WHEN c.syscalls > c.copies THEN 'its code calls the kernel directly'
              || coalesce(': ' || (SELECT group_concat(name, ', ') FROM (SELECT DISTINCT n.name FROM direct_system_calls d JOIN named n ON n.number = d.number
                                   WHERE d.process_id = c.process_id AND d.address BETWEEN c.address AND c.address + c.length - 1 ORDER BY d.address LIMIT 6)), '')
            WHEN c.getpc > 0 THEN 'its code is position-independent'
            WHEN c.redirected THEN 'copies of system-call stubs that the program has redirected to itself, as sandboxes do'
            WHEN c.compiled THEN 'compiled functions, as a just-in-time compiler makes them'
            WHEN c.runtime THEN 'rows of one stub, as a runtime makes them'
            WHEN c.trampolines THEN 'jumps to loaded images, as hooks have them'
            WHEN c.entropy > 7 THEN 'packed or encrypted data'
            ELSE 'what it holds is no row of compiled functions' END AS why,
       json_object('allocation', printf('0x%x', v.start_address), 'protection', v.protection, 'file', v.file_path, 'writable', c.writable, 'entropy', round(c.entropy, 2),
                   'instructions', c.instructions, 'invalid', c.invalid, 'functions', c.functions, 'peb_access', c.peb_access,
                   'getpc', c.getpc, 'syscalls', c.syscalls, 'redirected', c.copies, 'calls', c.calls, 'image_jumps', c.image_jumps, 'other_jumps', c.other_jumps, 'stubs', c.stubs,
                   'pages_executable', v.pages_executable, 'tag', v.tag, 'first_bytes', lower(hex(c.first_bytes))) AS detail
FROM seen c LEFT JOIN vads v USING (vad_id)
ORDER BY c.process_id, c.address;
