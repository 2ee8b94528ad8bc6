-- rule: executable_private_memory
-- severity: medium
-- confidence: 60
-- attack: T1055
-- title: {name} ({pid}) has executable private memory at {address}: {why}
-- Private memory that the page tables make executable and that holds something. What it holds decides
-- how much it means: code that looks for the PEB or its own address, or calls the kernel by itself, is
-- position-independent; compiled functions one after the other are what a just-in-time compiler leaves.
SELECT p.process_id, p.name, p.pid, c.address, c.length,
       CASE WHEN c.peb_access + c.syscalls + c.getpc > 0 THEN 'high'
            WHEN c.functions >= 4 AND c.invalid * 20 <= c.sampled AND c.entropy < 7 THEN 'low'
            ELSE 'medium' END AS severity,
       CASE WHEN c.peb_access + c.syscalls + c.getpc > 0 THEN 85
            WHEN c.functions >= 4 AND c.invalid * 20 <= c.sampled AND c.entropy < 7 THEN 30
            ELSE 60 END AS confidence,
       CASE WHEN c.peb_access > 0 THEN 'its code reads the PEB to find modules by itself'
            WHEN c.syscalls > 0 THEN 'its code calls the kernel directly'
            WHEN c.getpc > 0 THEN 'its code is position-independent'
            WHEN c.functions >= 4 AND c.invalid * 20 <= c.sampled AND c.entropy < 7 THEN 'compiled functions, as a just-in-time compiler makes them'
            ELSE 'what it holds is no row of compiled functions' END AS why,
       json_object('allocation', printf('0x%x', v.start_address), 'protection', v.protection, 'writable', c.writable, 'entropy', round(c.entropy, 2),
                   'instructions', c.instructions, 'invalid', c.invalid, 'functions', c.functions, 'peb_access', c.peb_access,
                   'getpc', c.getpc, 'syscalls', c.syscalls, 'pages_executable', v.pages_executable, 'tag', v.tag,
                   'first_bytes', lower(hex(c.first_bytes))) AS detail
FROM code_regions c JOIN processes p USING (process_id) LEFT JOIN vads v USING (vad_id)
WHERE p.dump_id = :dump_id AND NOT c.all_zero AND c.sampled IS NOT NULL AND c.vad_id IS NOT NULL
ORDER BY c.process_id, c.address;
