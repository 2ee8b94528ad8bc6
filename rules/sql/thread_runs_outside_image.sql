-- rule: thread_runs_outside_image
-- severity: high
-- confidence: 80
-- attack: T1055.003
-- title: A thread of {name} ({pid}) was at {address} when it left user mode, {where}
-- Threads enter the kernel from ntdll or win32u, wherever they were started. One that came from memory of no image runs what was put there: it
-- was hijacked, or its code calls the kernel by itself. The functions of a just-in-time compiler are interrupted there, too, and a program that
-- redirects system calls to itself, as the sandbox of browsers does, waits in its copy of the stub.
WITH
-- the system calls whose stubs lead to the program the process was made from: it has copies of those stubs to call itself, as the sandbox of
-- browsers has. A program that users needn't ask to have installed may do so to evade others (trusted 0).
redirected AS MATERIALIZED (
  SELECT i.process_id, s.number, max(substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Program Files%' OR substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Windows\%') AS trusted
  FROM system_call_stubs s JOIN images i USING (image_id) JOIN processes p USING (process_id) JOIN vads v ON v.process_id = p.process_id AND v.start_address = p.section_base
  WHERE p.dump_id = :dump_id AND s.hooked AND v.type = 'image' AND s.target BETWEEN v.start_address AND v.end_address GROUP BY i.process_id, s.number)
SELECT *, iif(severity = 'low', 30, 80) AS confidence FROM (
SELECT p.process_id, p.name, p.pid, t.thread_id, t.instruction_pointer AS address, 1 AS length,
       CASE WHEN v.vad_id IS NULL THEN 'where no VAD describes memory' ELSE 'in ' || v.type || ' memory' END AS "where",
       iif(c.compiled OR EXISTS (SELECT 1 FROM direct_system_calls d JOIN redirected r ON r.process_id = d.process_id AND r.number = d.number AND r.trusted
                                 -- behind the instruction that entered: two bytes, four on ARM64
                                 WHERE d.process_id = t.process_id AND d.address IN (t.instruction_pointer - 2, t.instruction_pointer - 4) AND d.copied), 'low', 'high') AS severity,
       json_object('tid', t.tid, 'instruction_pointer', printf('0x%x', t.instruction_pointer), 'stack_pointer', printf('0x%x', t.stack_pointer),
                   'win32_start_address', printf('0x%x', t.win32_start_address), 'state', t.state, 'wait_reason', t.wait_reason, 'region', printf('0x%x', v.start_address),
                   'protection', v.protection, 'pages_executable', v.pages_executable, 'compiled_functions', c.functions) AS detail
FROM threads t JOIN processes p USING (process_id)
-- the nearest that begin before it: a process may have 100,000 regions, and as many threads, to keep this from its end
LEFT JOIN vads v ON v.vad_id IN (SELECT x.vad_id FROM vads x WHERE x.process_id = t.process_id AND x.start_address <= t.instruction_pointer ORDER BY x.start_address DESC LIMIT 16) AND t.instruction_pointer <= v.end_address
LEFT JOIN (SELECT *, rowid AS id, functions >= 4 AND invalid * 20 <= sampled AND entropy < 7 AND peb_access + syscalls + getpc = 0 AS compiled FROM code_regions) c
  ON c.id = (SELECT x.rowid FROM code_regions x WHERE x.process_id = t.process_id AND x.address <= t.instruction_pointer ORDER BY x.address DESC LIMIT 1) AND t.instruction_pointer < c.address + c.length
WHERE p.dump_id = :dump_id AND t.instruction_pointer > 0xffff AND t.teb <> 0 AND p.exit_time IS NULL AND t.exit_time IS NULL
  AND (v.vad_id IS NULL OR (v.type <> 'image' AND (v.pages_executable > 0 OR v.protection LIKE '%EXECUTE%')))
  AND EXISTS (SELECT 1 FROM vads x WHERE x.process_id = p.process_id AND x.type = 'image')
  AND NOT (v.vad_id IS NULL AND EXISTS (SELECT 1 FROM diagnostics d WHERE d.process_id = p.process_id AND d.table_name = 'vads' AND d.row_id IS NULL)))
ORDER BY thread_id;
