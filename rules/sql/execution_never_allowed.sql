-- rule: execution_never_allowed
-- severity: high
-- confidence: 80
-- attack: T1055
-- title: {name} ({pid}) executes {pages} pages at {address}, in memory made as {protection}: {why}
-- The page tables make pages executable that were allocated without that right. VirtualProtect and a later commit leave the
-- VAD's own protection as it was, so this is what an unpacker or injector leaves, and also a just-in-time compiler that
-- reserves memory first or writes it before it runs it: what the pages hold decides.
WITH hooked AS (
  SELECT DISTINCT i.process_id FROM image_patches x JOIN images i USING (image_id)
  WHERE i.dump_id = :dump_id AND x.kind IN ('inline_hook', 'import_hook', 'export_hook', 'pointer_hook') AND x.target_module IS NOT NULL),
-- the system calls whose stubs lead to the program the process was made from: it has copies of those stubs to call itself, as the sandbox of
-- browsers has. A program that users needn't ask to have installed may do so to evade others (trusted 0).
redirected AS MATERIALIZED (
  SELECT i.process_id, s.number, max(substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Program Files%' OR substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Windows\%') AS trusted
  FROM system_call_stubs s JOIN images i USING (image_id) JOIN processes p USING (process_id) JOIN vads v ON v.process_id = p.process_id AND v.start_address = p.section_base
  WHERE p.dump_id = :dump_id AND s.hooked AND v.type = 'image' AND s.target BETWEEN v.start_address AND v.end_address GROUP BY i.process_id, s.number),
looked AS (
  SELECT c.*, coalesce(p.pico, 0) AS pico, iif(c.syscalls > 0, (SELECT count(*) FROM direct_system_calls d WHERE d.process_id = c.process_id AND d.address BETWEEN c.address AND c.address + c.length - 1
                               AND d.copied AND EXISTS (SELECT 1 FROM redirected r WHERE r.process_id = d.process_id AND r.number = d.number)), 0) AS copies, p.process_id IN (SELECT process_id FROM redirected WHERE trusted) AS trusted
  FROM code_regions c JOIN processes p USING (process_id) WHERE p.dump_id = :dump_id),
held AS (
  SELECT vad_id, max(pico) AS pico, sum(peb_access) AS peb_access, sum(syscalls - copies) AS syscalls, sum(getpc) AS getpc, sum(copies) AS copies, max(entropy) AS entropy, max(trusted) AS trusted,
         min((copies > 0 AND syscalls = copies AND copies * 128 >= sampled) OR (functions >= 4 AND invalid * 20 <= sampled AND entropy < 7) OR coalesce(stubs, 0) * 4 >= sampled * 3
             OR (coalesce(image_jumps > 0 AND other_jumps = 0 AND calls = 0, 0) AND process_id IN (SELECT process_id FROM hooked))) AS compiled
  FROM looked WHERE vad_id IS NOT NULL AND all_zero IS NOT 1 AND sampled IS NOT NULL GROUP BY vad_id),
judged AS (
  SELECT v.*, coalesce(NOT h.pico AND h.peb_access + h.syscalls + h.getpc > 0, 0) AS independent, h.compiled OR h.pico AS compiled, h.copies > 0 AND NOT h.trusted AS doubtful,
         CASE WHEN h.pico THEN 'code of another system''s program'
              WHEN h.peb_access > 0 THEN 'its code reads the PEB to find modules by itself'
              WHEN h.syscalls > 0 THEN 'its code calls the kernel directly'
              WHEN h.getpc > 0 THEN 'its code is position-independent'
              WHEN h.copies > 0 AND h.compiled THEN 'copies of system-call stubs that the program has redirected to itself, as sandboxes do'
              WHEN h.compiled THEN 'compiled functions, or stubs, as just-in-time compilers and hooks make them'
              WHEN v.protection LIKE 'PAGE_NOACCESS%' THEN 'it was reserved and made executable later'
              WHEN h.entropy > 7 THEN 'packed or encrypted data'
              ELSE 'it held data first' END AS why
  FROM vads v LEFT JOIN held h USING (vad_id)
  -- pages of zeros count where any page is one: those that may be executed and hold code do, however many others are zeros
  WHERE (v.pages_executable > coalesce(v.pages_zero, 0) OR h.vad_id IS NOT NULL) AND v.pages_executable > 0 AND v.protection NOT LIKE '%EXECUTE%' AND v.type IN ('private', 'mapped'))
SELECT p.process_id, p.name, p.pid, v.start_address AS address, v.end_address - v.start_address + 1 AS length,
       v.pages_executable AS pages, v.protection, v.why,
       CASE WHEN v.independent THEN 'high' WHEN v.compiled AND v.doubtful THEN 'medium' WHEN v.compiled THEN 'low' WHEN v.protection LIKE 'PAGE_NOACCESS%' THEN 'medium' ELSE 'high' END AS severity,
       CASE WHEN v.independent THEN 85 WHEN v.compiled AND v.doubtful THEN 60 WHEN v.compiled THEN 30 WHEN v.protection LIKE 'PAGE_NOACCESS%' THEN 50 ELSE 75 END AS confidence,
       json_object('protection', v.protection, 'type', v.type, 'pages_executable', v.pages_executable, 'pages_writable_executable',
                   v.pages_writable_executable, 'pages_zero', v.pages_zero, 'file', v.file_path, 'tag', v.tag,
                   'position_independent', v.independent, 'compiled_functions', v.compiled) AS detail
FROM judged v JOIN processes p USING (process_id)
WHERE p.dump_id = :dump_id
ORDER BY v.vad_id;
