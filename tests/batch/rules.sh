#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# SQL rules on cases that were changed: what a process, or a kernel, that wants to keep a rule from its end or from its result can do.
. "$(dirname "$0")/common.sh"
needs sqlite3
make_samples attacks-19041 attacks-7601-x86 defect-blank-middle
cd "$work" || exit 1
for name in attacks-19041 attacks-7601-x86; do
	"$memsieve" analyze -q -o $name.db dumps/$name.raw || [ $? = 3 ] || die "analyze $name"
done
set -o pipefail
found() { printf '.parameter set :dump_id 1\n.read %s\n' "$srcdir/rules/sql/$2.sql" | sqlite3 "$1.db" | wc -l; }	# found CASE RULE: how many
finds() {
	local n
	n=$(found "$1" "$2") && [ "$n" = "$3" ] || { echo "$2 finds $n" >&2; return 1; }
}
changed() { cp "$1.db" changed.db && sqlite3 changed.db "$2"; }

# A folder is the folder itself.
path() { changed attacks-19041 "UPDATE processes SET image_path = '\\Device\\${3-HarddiskVolume3}\\Windows\\$2' WHERE name = '$1'"; }
before=$(found attacks-19041 masqueraded_process) many=$(sqlite3 attacks-19041.db "SELECT count(*) FROM processes WHERE name = 'svchost.exe'")
[ "$many" -gt 0 ] || die "no svchost.exe in the sample"
path svchost.exe 'System32\svchost.exe'
ok "Windows' own process" finds changed masqueraded_process "$before"
path svchost.exe 'System32\spool\drivers\color\svchost.exe'
ok "one in a folder below" finds changed masqueraded_process $((before + many))
path svchost.exe 'System32Evil\svchost.exe'
ok "one beside it" finds changed masqueraded_process $((before + many))
path svchost.exe 'System32\svchost.exe' 'HarddiskVolume3\Users\Public'
ok "one in a folder of the same name" finds changed masqueraded_process $((before + many))
path svchost.exe 'System32\svchost.exe' CdRom0
ok "one of another volume" finds changed masqueraded_process $((before + many))
sqlite3 changed.db "UPDATE vads SET file_path = '\\Device\\CdRom0\\Windows\\System32\\ntdll.dll' WHERE file_path LIKE '%System32\\ntdll.dll' AND process_id IN (SELECT process_id FROM processes WHERE name = 'svchost.exe')"
ok "one with an ntdll of its own, as in a container" finds changed masqueraded_process "$before"
path svchost.exe 'System32\svchost.exe' 'HarddiskVolume3\ProgramData\Docker\windowsfilter\A\Files'
sqlite3 changed.db "UPDATE vads SET file_path = '\\Device\\HarddiskVolume3\\ProgramData\\Docker\\windowsfilter\\B\\Files\\Windows\\System32\\ntdll.dll' WHERE file_path LIKE '%System32\\ntdll.dll' AND process_id IN (SELECT process_id FROM processes WHERE name = 'svchost.exe')"
ok "one of another layer of it" finds changed masqueraded_process "$before"
ok "and its other files" finds changed process_path_mismatch "$(found attacks-19041 process_path_mismatch)"
sqlite3 changed.db "UPDATE modules SET mapped_path = replace(mapped_path, 'HarddiskVolume3', 'HarddiskVolume3\\ProgramData\\Docker\\windowsfilter\\A\\Files') WHERE process_id IN (SELECT process_id FROM processes WHERE name = 'svchost.exe')"
ok "and its DLLs" finds changed module_name_mismatch "$(found attacks-19041 module_name_mismatch)"
changed attacks-19041 "UPDATE vads SET file_path = '\\Windows\\System32\\ntdll.dll' WHERE file_path LIKE '%System32\\ntdll.dll'"
ok "where ntdll's volume has no name" finds changed masqueraded_process "$before"
changed attacks-19041 "UPDATE processes SET image_path = replace(image_path, 'HarddiskVolume3', 'HarddiskDmVolumes\\PhysicalDmVolumes\\HarddiskVolume3')"
ok "where volumes have a longer name, too" finds changed masqueraded_process "$before"
path svchost.exe 'SysArm32\svchost.exe'
ok "one of 32 bits" finds changed masqueraded_process $((before + many))
sqlite3 changed.db "UPDATE processes SET wow64 = 1 WHERE name = 'svchost.exe'"
ok "32-bit ARM's" finds changed masqueraded_process "$before"

# A file has the name it was opened by first: the control area tells whether it is the process's.
before=$(found attacks-19041 hollowed_process) names=$(found attacks-19041 module_name_mismatch)
changed attacks-19041 "UPDATE vads SET file_path = '\\Device\\HarddiskVolume3\\Users\\u\\rustup.exe' WHERE (process_id, start_address) IN (SELECT process_id, section_base FROM processes WHERE name = 'queued.exe');
	UPDATE modules SET mapped_path = '\\Device\\HarddiskVolume3\\Users\\u\\rustup.exe' WHERE (process_id, base) IN (SELECT process_id, section_base FROM processes WHERE name = 'queued.exe')"
ok "a program under two names" finds changed hollowed_process "$before"
ok "and to the loader" finds changed module_name_mismatch "$names"
sqlite3 changed.db "UPDATE vads SET control_area = control_area + 16 WHERE (process_id, start_address) IN (SELECT process_id, section_base FROM processes WHERE name = 'queued.exe')"
ok "another file" finds changed hollowed_process $((before + 1))
ok "and to the loader" finds changed module_name_mismatch $((names + 1))
sqlite3 changed.db "UPDATE processes SET section_control_area = NULL"
ok "where the section can't be read" finds changed module_name_mismatch $((names + 1))
changed attacks-19041 "UPDATE modules SET path = 'C:\\Windows\\System32\\ntdll.dll', mapped_path = '\\Device\\HarddiskVolume3\\Users\\Windows\\System32\\ntdll.dll'
	WHERE module_id = (SELECT module_id FROM modules JOIN processes USING (process_id) WHERE modules.name = 'ntdll.dll' AND processes.name = 'queued.exe')"
ok "a DLL of another Windows folder" finds changed module_name_mismatch $((names + 1))
changed attacks-19041 "UPDATE processes SET peb_image_path = 'C:\\Windows\\System32\\a.exe', image_path = '\\Device\\HarddiskVolume3\\Users\\Windows\\System32\\a.exe' WHERE name = 'queued.exe'"
ok "a program of one" finds changed process_path_mismatch $(($(found attacks-19041 process_path_mismatch) + 1))

# Parents and children.
child() {	# child NAME PARENT [FOLDER]
	changed attacks-19041 "UPDATE processes SET name = '$2', create_time = '2000-01-01T00:00:00.0000000Z', image_path = '\\Device\\HarddiskVolume3\\${3-Windows\\System32}\\$2' WHERE name = 'queued.exe';
	UPDATE processes SET name = '$1', ppid = (SELECT pid FROM processes WHERE name = '$2') WHERE name = 'hijacked.exe'"
}
parents=$(found attacks-19041 wrong_parent) children=$(found attacks-19041 unexpected_child)
child svchost.exe evil.exe
ok "svchost.exe of evil.exe" finds changed wrong_parent $((parents + 1))
child svchost.exe MsMpEng.exe 'ProgramData\Microsoft\Windows Defender\Platform\4.18'
ok "of Defender" finds changed wrong_parent "$parents"
child svchost.exe MsMpEng.exe 'Users\Public'
ok "of what has its name" finds changed wrong_parent $((parents + 1))
child csrss.exe svchost.exe
ok "csrss.exe of svchost.exe" finds changed wrong_parent "$parents"
child cmd.exe dwm.exe
ok "dwm.exe starts nothing" finds changed unexpected_child $((children + 1))
child WerFaultSecure dwm.exe
ok "but what reports its crash" finds changed unexpected_child "$children"

# Privileges that do not exist.
before=$(found attacks-19041 privilege_never_granted)
changed attacks-19041 "UPDATE privileges SET present = 1, enabled = 1; INSERT INTO privileges(process_id, luid, present, enabled) SELECT process_id, 63, 1, 1 FROM processes WHERE name = 'queued.exe'"
ok "all privileges at once" finds changed privilege_never_granted 1

# Kernel addresses of 32-bit machines aren't negative.
changed attacks-7601-x86 "INSERT INTO timers(dump_id, routine) SELECT 1, base + 16 FROM drivers WHERE in_loaded_list = 1 LIMIT 1"
ok "a timer of a driver" finds changed timer_outside_driver 0
sqlite3 changed.db "INSERT INTO timers(dump_id, routine) VALUES (1, 0x84f2a880), (1, 0x10000)"
ok "one outside of all" finds changed timer_outside_driver 1

# Pages of zeros beside it don't hide code that runs where it may not.
changed attacks-19041 "UPDATE vads SET protection = 'PAGE_READWRITE' WHERE vad_id IN (SELECT vad_id FROM code_regions JOIN processes USING (process_id) WHERE name = 'queued.exe')"
ok "code in memory of data" finds changed execution_never_allowed 1
sqlite3 changed.db "UPDATE vads SET pages_zero = pages_executable + 3"
ok "among pages of zeros" finds changed execution_never_allowed 1
sqlite3 changed.db "DELETE FROM code_regions"
ok "zeros alone" finds changed execution_never_allowed 0

# Diagnostics alike are counted, and stay those of rows.
"$memsieve" analyze -q -o counted.db --limit diagnostics_alike=1 dumps/defect-blank-middle.raw
of_rows() { [ "$(sqlite3 counted.db "SELECT count(*) > 0 FROM diagnostics WHERE occurrences > 1 AND column_name IS NOT NULL")" = 1 ] &&
	[ "$(sqlite3 counted.db "SELECT count(*) FROM diagnostics WHERE column_name IS NOT NULL AND row_id IS NULL")" = 0 ]; }
ok "what is counted names the last row" of_rows

# A process with 60,000 regions, and threads, images, hooks and APCs of its own making; then a kernel with thousands of drivers, and what they register.
crowd() {
	sqlite3 "$1.db" <<-'EOF'
	BEGIN;
	CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) SELECT i FROM n;
	CREATE TEMP TABLE v AS SELECT process_id AS p FROM processes WHERE name = 'hijacked.exe';
	INSERT INTO vads(process_id, start_address, end_address, type, protection, pages_executable) SELECT p, 0x10000000000 + i * 65536, 0x10000000fff + i * 65536, 'private', 'PAGE_READWRITE', 0 FROM n, v;
	INSERT INTO threads(owner_dump_id, process_id, tid, win32_start_address, start_address, teb, instruction_pointer)
		SELECT 1, p, i * 4, 0x10000000010 + i * 65536 * 20, 0x10000000020 + i * 65536 * 20, i * 4096, 0x10000000010 + i * 65536 * 20 FROM n, v WHERE i <= 3000;
	INSERT INTO modules(process_id, base, size, path, name, in_load_order, in_memory_order) SELECT p, 0x20000000000 + i * 65536, 65536, 'C:\x' || i, 'x' || i, i % 3 = 0, i % 2 FROM n, v WHERE i <= 16000;
	INSERT INTO images(image_id, dump_id, process_id, base, size, path, found_by, header_state, size_of_image, preferred_base)
		SELECT 1000000 + i, 1, p, 0x20000000000 + i * 65536, 65536, 'C:\x' || i, 'vad', 'intact', 65536, 0x180000000 FROM n, v WHERE i <= 9000;
	INSERT INTO image_patches(image_id, address, length, function, kind, target, target_module, original, current)
		SELECT 1000001 + i % 9000, 0x20000000000 + (i % 9000 + 1) * 65536 + 4096 + i / 9000 * 16, 5, 'f', iif(i % 2, 'inline_hook', 'import_hook'), 0x20000001000 + (i * 7) % 16000 * 65536, 'x', x'00', x'01' FROM n;
	INSERT INTO image_tls_callbacks SELECT 1000001 + i % 9000, 0x20000001000 + (i * 13 % 60000) * 65536 FROM n WHERE i <= 20000;
	INSERT INTO image_exports(image_id, ordinal, name, rva) SELECT 1000001 + i % 100, i, 'e' || i, i FROM n;
	INSERT INTO apcs(process_id, address, tid, mode, normal_routine, normal_module, normal_context, kernel_routine)
		SELECT p, -i, i, 'user', 0x10000000000 + i * 65536, iif(i % 2, NULL, 'ntdll.dll'), 0x10000000000 + i * 131072, -5 FROM n, v WHERE i <= 20000;
	INSERT INTO code_regions(process_id, address, length, functions, invalid, sampled, entropy, peb_access, syscalls, getpc) SELECT p, 0x10000000000 + i * 65536, 4096, 5, 0, 100, 6, 0, i % 2, 0 FROM n, v WHERE i <= 16000;
	INSERT INTO direct_system_calls(process_id, address, number, copied) SELECT p, 0x10000000002 + i * 65536 * 2, i % 500, 1 FROM n, v WHERE i <= 8000;
	INSERT INTO system_call_stubs(image_id, name, number, hooked, target_module) SELECT 1000001, 'Nt' || i, i, 1, 'hijacked.exe' FROM n WHERE i <= 400;
	COMMIT;
	EOF
}
crowd_kernel() {
	sqlite3 "$1.db" <<-'EOF'
	BEGIN;
	CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) SELECT i FROM n;
	INSERT INTO drivers(dump_id, base, size, name, in_loaded_list) SELECT 1, -100000000000000 + i * 65536, 65536, 'd' || i, i % 2 FROM n WHERE i <= 16000;
	INSERT INTO timers(dump_id, routine) SELECT 1, -100000000000000 + i * 16384 FROM n;
	INSERT INTO callbacks(dump_id, type, address, detail) SELECT 1, 'x', -100000000000000 + i * 65536, '{}' FROM n WHERE i <= 20000;
	INSERT INTO driver_objects(driver_object_id, dump_id, name, start) SELECT 1000000 + i, 1, 'd' || i, -100000000000000 + i * 65536 FROM n WHERE i <= 2000;
	INSERT INTO driver_irps(dump_id, driver_object_id, number, function, address) SELECT 1, 1000001 + i % 2000, i / 2000, 'f', -100000000000000 + i * 65536 FROM n;
	INSERT INTO threads(owner_dump_id, process_id, tid, start_address, teb) SELECT 1, (SELECT process_id FROM processes WHERE pid = 4), i, -100000000000000 + i * 65536, 0 FROM n WHERE i <= 20000;
	INSERT INTO apcs(process_id, address, mode, kernel_routine) SELECT (SELECT process_id FROM processes WHERE pid = 4), i, 'kernel', -100000000000000 + i * 65536 FROM n WHERE i <= 20000;
	COMMIT;
	EOF
}
cheap() { (ulimit -t 60; found "$1" "$2" >count) && [ -s count ]; }
cp attacks-19041.db user.db && crowd user || die "crowd"
cp attacks-19041.db kernel.db && crowd_kernel kernel || die "crowd_kernel"
for rule in "$srcdir"/rules/sql/*.sql; do
	rule=$(basename "$rule" .sql)
	ok "$rule of a crowded process" cheap user "$rule"
	ok "$rule of a crowded kernel" cheap kernel "$rule"
done
ok "and finds what it found" [ "$(found user thread_outside_image)" -ge "$(found attacks-19041 thread_outside_image)" ]

# The table of process ids: what takes a process out of it takes no threads of others.
severity() { printf '.parameter set :dump_id 1\n.read %s\n' "$srcdir/rules/sql/$2.sql" | sqlite3 -json "$1.db" | grep -o "\"name\":\"$3\".*" | grep -o '"severity":"[a-z]*"' | head -n 1; }
changed attacks-19041 "UPDATE processes SET in_cid_table = 0 WHERE name = 'queued.exe'; UPDATE threads SET in_cid_table = 0 WHERE process_id IN (SELECT process_id FROM processes WHERE name = 'queued.exe')"
ok "a process that was taken out of the table of ids" [ "$(severity changed process_without_id queued.exe)" = '"severity":"high"' ]
sqlite3 changed.db "UPDATE threads SET in_cid_table = 0"
ok "a table that lacks much" [ "$(severity changed process_without_id queued.exe)" = '"severity":"low"' ]

# Memory that no VAD describes: some places are an attack, hundreds in one page table a page that was used for something else.
bare() { changed attacks-19041 "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < $1)
	INSERT INTO code_regions(process_id, address, length) SELECT (SELECT process_id FROM processes WHERE name = 'queued.exe'), 0x500000000000 + i * 8192, 4096 FROM n"; }
bare 3
ok "three places without a VAD" [ "$(severity changed executable_memory_without_vad queued.exe)$(found changed executable_memory_without_vad)" = "\"severity\":\"high\"$(($(found attacks-19041 executable_memory_without_vad) + 3))" ]
bare 200
ok "two hundred" [ "$(severity changed executable_memory_without_vad queued.exe)$(found changed executable_memory_without_vad)" = "\"severity\":\"low\"$(($(found attacks-19041 executable_memory_without_vad) + 1))" ]
echo "$checks checks"
