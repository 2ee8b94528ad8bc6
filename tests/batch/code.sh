#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What executable memory of no image holds, and what is made of it: runtimes, sandboxes, other systems' programs and noise aren't position-independent
# code; what learns its own address, finds the PEB or enters the kernel by itself is.
. "$(dirname "$0")/common.sh"
needs sqlite3 python3
cd "$work" || exit 1

# machine BUILD LINE…: a description, in $work/description.
machine() {
	local build=$1
	shift
	{
		echo "machine build=$build ram=8M"
		echo "driver name=example.sys"
		echo "process name=smss.exe pid=300 ppid=4 path=C:\\Windows\\System32\\smss.exe bare"
		printf '%s\n' "$@"
	} >description
}
analyse() {
	"$mksample" description dump || die "sample"
	rm -f case.db
	"$memsieve" analyze -q -o case.db dump || die "analyze"
}
asked() {	# asked EXPECTED SQL
	local got
	got=$(sqlite3 case.db "$2") && [ "$got" = "$1" ] || { printf 'got %s\n' "$got" >&2; return 1; }
}
# Of one process, by its name: severity and why of a rule's findings.
found() { asked "$3" "SELECT f.severity || ': ' || substr(title, instr(title, iif(rule = 'thread_runs_outside_image', 'user mode, ', ': ')) + iif(rule = 'thread_runs_outside_image', 11, 2)) FROM findings f JOIN processes p USING (process_id) WHERE p.name = '$1' AND rule = '$2'"; }
counts() { asked "$2" "SELECT sum(peb_access), sum(getpc), sum(syscalls) FROM code_regions c JOIN processes p USING (process_id) WHERE p.name = '$1'"; }

f=554889e54883ec20b8010000004883c4205dc3cccccc		# a function, as compilers make it
functions=$f$f$f$f$f$f
vad() { echo " vad start=$1 pages=2 protect=${3:-PAGE_EXECUTE_READWRITE} content=hex:$2 valid=1"; }
copies=4c8bd1b804000000f604250803fe7f0175030f05c3cd2ec30000000000000000		# ntdll's own stub of NtClose
calls=4c8bd1b8030000000f05c34c8bd1b80c0000000f05c3
edge() {	# edge TARGET [FOLDER]: NtClose of ntdll leads there
	machine 10.0.19041.1466 \
		'process name=java.exe pid=1000 ppid=300 path=C:\java.exe' \
		"$(vad 0x20000000 "${functions}e80000000048832c2405e900100000")" \
		'process name=pop.exe pid=1100 ppid=300 path=C:\pop.exe' \
		"$(vad 0x20000000 "${functions}e8000000005b")" \
		'process name=garbage.exe pid=1120 ppid=300 path=C:\garbage.exe' \
		"$(vad 0x20000000 "${functions}e8000000009090909090eb0106e900000000585bc3")" \
		'process name=gate.exe pid=1140 ppid=300 path=C:\gate.exe wow64' \
		"$(vad 0x20000000 "${functions//48/}6a33e80000000083042405cb4831c0c3")" \
		'process name=hidden.exe pid=1160 ppid=300 path=C:\hidden.exe' \
		"$(vad 0x20000000 "${functions}4c8bd1b803000000eb01060f05c3")" \
		'process name=fpu.exe pid=1200 ppid=300 path=C:\fpu.exe' \
		"$(vad 0x20000000 "${functions}d9eed97424f4b9100000005b")" \
		'process name=noise.exe pid=1300 ppid=300 path=C:\noise.exe' \
		$' vad start=0x20000000 pages=2 protect=PAGE_EXECUTE_READWRITE content=random valid=2\n vad start=0x20100000 pages=2 protect=PAGE_EXECUTE_READWRITE content=random valid=2\n vad start=0x20200000 pages=2 protect=PAGE_EXECUTE_READWRITE content=random valid=2\n vad start=0x20300000 pages=2 protect=PAGE_EXECUTE_READWRITE content=random valid=2' \
		'process name=teb.exe pid=1400 ppid=300 path=C:\teb.exe' \
		"$(vad 0x20000000 "65488b042530000000488b4060488b4018c3cccccc$functions")" \
		'process name=direct.exe pid=1500 ppid=300 path=C:\direct.exe' \
		"$(vad 0x20000000 "$calls")" \
		'process name=late.exe pid=1600 ppid=300 path=C:\late.exe' \
		"$(vad 0x20000000 "$calls" PAGE_READWRITE) pte=PAGE_EXECUTE_READWRITE" \
		"process name=msedge.exe pid=1700 ppid=300 path=\"C:\\${2-Program Files}\\msedge.exe\" ntdll-patch=NtClose:48b8$(printf '%016x' "$1" | fold -w2 | tac | tr -d '\n')ffe0" \
		"$(vad 0x20000000 "$copies" PAGE_NOACCESS) pte=PAGE_EXECUTE_READ" \
		' thread tid=1704 rip=0x20000014' \
		'process name=bash pid=1800 ppid=300 pico' \
		"$(vad 0x20000000 f30f1efab80c0000004989ca0f05c3 PAGE_EXECUTE_READ)"
	analyse
}
edge 0x20000040
ok "HotSpot's deoptimisation handler" counts java.exe '0|0|0'
ok "functions of a runtime" found java.exe executable_private_memory 'low: compiled functions, as a just-in-time compiler makes them'
ok "call and pop" counts pop.exe '0|1|0'
ok "it outranks functions" found pop.exe executable_private_memory 'high: its code is position-independent'
ok "with garbage between" counts garbage.exe '0|1|0'
ok "a far return to what the call left" counts gate.exe '0|1|0'
ok "a system call behind garbage" found hidden.exe executable_private_memory 'high: its code calls the kernel directly: NtAllocateVirtualMemory'
ok "fnstenv and pop" counts fpu.exe '0|1|0'
ok "noise" counts noise.exe '0|0|0'
ok "what noise may be" found noise.exe executable_private_memory "$(printf 'medium: packed or encrypted data\n%.0s' 1 2 3 4)"
ok "the PEB by way of the TEB" found teb.exe executable_private_memory 'high: its code reads the PEB to find modules by itself'
ok "system calls by name" found direct.exe executable_private_memory 'high: its code calls the kernel directly: NtAllocateVirtualMemory, NtWriteVirtualMemory'
ok "their numbers" asked '3|1
12|1' "SELECT number, copied FROM direct_system_calls d JOIN processes p USING (process_id) WHERE p.name = 'direct.exe' ORDER BY address"
ok "in memory made for data" found late.exe execution_never_allowed 'high: its code calls the kernel directly'
ok "copies of stubs that lead elsewhere" found msedge.exe executable_private_memory 'high: its code calls the kernel directly: NtClose'
ok "YARA's word on it" asked 1 "SELECT count(*) FROM findings f JOIN processes p USING (process_id) WHERE p.name = 'msedge.exe' AND rule = 'yara_hit'"
ok "a thread there" found msedge.exe thread_runs_outside_image 'high: in private memory'
ok "a program of WSL 1" found bash executable_private_memory "low: code of another system's program"
edge "$(sqlite3 case.db "SELECT image_base + 0x1000 FROM processes WHERE name = 'msedge.exe'")"
few() { status 3 "$memsieve" analyze -q --limit code_calls=1 -o few.db dump && [ "$(sqlite3 few.db "SELECT (SELECT count(*) FROM direct_system_calls JOIN processes USING (process_id) WHERE name = 'direct.exe'),
	(SELECT sum(syscalls) FROM code_regions JOIN processes USING (process_id) WHERE name = 'direct.exe'), (SELECT count(*) FROM diagnostics WHERE message LIKE '%code_calls%')")" = '1|2|3' ]; }
ok "calls that are counted, not listed" few
redirected='copies of system-call stubs that the program has redirected to itself, as sandboxes do'
ok "copies of stubs that lead to the program" found msedge.exe executable_private_memory "low: $redirected"
ok "in memory reserved first" found msedge.exe execution_never_allowed "low: $redirected"
ok "nor has YARA a word on it" asked 0 "SELECT count(*) FROM findings f JOIN processes p USING (process_id) WHERE p.name = 'msedge.exe' AND rule = 'yara_hit'"
ok "a thread that waits in one" found msedge.exe thread_runs_outside_image 'low: in private memory'
edge "$(sqlite3 case.db "SELECT image_base + 0x1000 FROM processes WHERE name = 'msedge.exe'")" 'Users\Public'
ok "of a program that anybody may have put there" found msedge.exe executable_private_memory "medium: $redirected"
ok "which YARA speaks of" asked 1 "SELECT count(*) FROM findings f JOIN processes p USING (process_id) WHERE p.name = 'msedge.exe' AND rule = 'yara_hit'"

# Where the sample's bytes begin.
machine 10.0.19041.1466 'process name=wiped.exe pid=1000 ppid=300 path=C:\wiped.exe' \
	' vad start=0x20000000 pages=4 protect=PAGE_EXECUTE_READWRITE content=shellcode at=4096 valid=4'
analyse
ok "bytes behind a page of zeros" asked '20000000|20001000|FC4883E4' \
	"SELECT printf('%x', c.address), printf('%x', sample_address), hex(substr(first_bytes, 1, 4)) FROM code_regions c JOIN processes p USING (process_id) WHERE p.name = 'wiped.exe'"

# ARM64: what the emulator made of a program for x86, and what that program runs itself.
arm=fd7bbfa9fd030091200080d2fd7bc1a8c0035fd6
machine 10.0.22000.194-arm64 'process name=old.exe pid=1000 ppid=300 path=C:\old.exe wow64' "$(vad 0x20000000 $arm$arm$arm$arm$arm$arm)" "$(vad 0x21000000 "${functions//48/}e8000000005b31c0648b5030")" \
	"$(vad 0x22000000 "31c9648b41308b400c909090$(printf '1f2003d5%.0s' {1..80})")"
analyse
ok "code of both kinds" asked 'arm64|low
x86|high
arm64|high' "SELECT machine, severity FROM code_regions c JOIN findings f ON f.process_id = c.process_id AND f.address = c.address WHERE f.rule = 'executable_private_memory' ORDER BY c.address"

# Windows XP: a server of LPC.
machine 5.1.2600.5512-x86 'process name=lsass.exe pid=600 ppid=300 path=C:\Windows\System32\lsass.exe' ' thread tid=1204' ' thread tid=1208 lpc=0x1a3f' ' thread tid=1212 start=0x2b10'
analyse
ok "the id of a message is no address" asked '1208||0
1212|11024|1' "SELECT tid, win32_start_address, (SELECT count(*) FROM findings f WHERE f.rule = 'thread_outside_image' AND json_extract(detail, '\$.tid') = tid) FROM threads WHERE tid IN (1208, 1212) ORDER BY tid"
echo "$checks checks"
