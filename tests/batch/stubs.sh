#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# System-call stubs in each of their forms, of 32-bit machines, below WoW64, and of ARM64: all are known with their numbers, and those that
# were hooked or given another number are told, with where they lead.
. "$(dirname "$0")/common.sh"
set -e
needs sqlite3

# form, build, path of ntdll, the process's attribute, the patch's attribute, jump to 0x20000040, another number (5)
check() {
	cat >"$work/description" <<END
# Stubs.
machine build=$2 ram=6M
file path=$3 stubs=$1
process name=clean.exe pid=1000 ppid=4 path=C:\\Windows\\clean.exe $4
process name=hooked.exe pid=1100 ppid=4 path=C:\\Windows\\hooked.exe $4 $5=NtClose:$6,NtWriteFile:$7
 vad start=0x20000000 pages=1 protect=PAGE_EXECUTE_READ content=random valid=1
END
	"$mksample" "$work/description" "$work/dump"
	rm -f "$work/case.db"
	"$memsieve" analyze -q -o "$work/case.db" "$work/dump"
	sqlite3 "$work/case.db" >"$work/found" <<'END'
SELECT 'all', p.name, count(*), min(number), max(number), count(DISTINCT number), sum(hooked) FROM system_call_stubs c JOIN images i USING (image_id) JOIN processes p USING (process_id)
	WHERE NOT (p.wow64 AND i.is_64bit) GROUP BY p.process_id;
SELECT 'hooked', p.name, c.name, number, number_from, current_number, printf('0x%x', target) FROM system_call_stubs c JOIN images i USING (image_id) JOIN processes p USING (process_id)
	WHERE hooked ORDER BY c.rowid;
SELECT DISTINCT 'finding', p.name, rule, severity FROM findings f JOIN processes p USING (process_id) WHERE rule IN ('modified_image_code', 'system_call_stub_hooked')
	ORDER BY 2, 3, 4;
END
	diff -u "$work/expected" "$work/found" || { echo "FAIL $1"; exit 1; }
}

cat >"$work/expected" <<'END'
all|clean.exe|10|3|12|10|0
all|hooked.exe|2|4|11|2|2
hooked|hooked.exe|NtClose|4|original||0x20000040
hooked|hooked.exe|NtWriteFile|11|original|5|0x0
finding|hooked.exe|modified_image_code|high
finding|hooked.exe|modified_image_code|medium
finding|hooked.exe|system_call_stub_hooked|high
finding|hooked.exe|system_call_stub_hooked|info
END
push=6840000020c3 number=b805000000
check int2e 5.1.2600.5512-x86 'C:\Windows\System32\ntdll.dll' '' ntdll-patch $push $number
check sysenter 6.1.7601.17514-x86 'C:\Windows\System32\ntdll.dll' '' ntdll-patch $push $number
check call 10.0.19041.928-x86 'C:\Windows\System32\ntdll.dll' '' ntdll-patch $push $number
check wow64-7 6.1.7601.24540 'C:\Windows\SysWOW64\ntdll.dll' wow64 ntdll32-patch $push $number
check wow64-8 6.3.9600.20144 'C:\Windows\SysWOW64\ntdll.dll' wow64 ntdll32-patch $push $number
check wow64-10 10.0.19041.1466 'C:\Windows\SysWOW64\ntdll.dll' wow64 ntdll32-patch $push $number
# movz x16, 0x40; movk x16, 0x2000, lsl 16; br x16
check svc 10.0.22000.194-arm64 'C:\Windows\System32\ntdll.dll' '' ntdll-patch 100880d21000a4f200021fd6 a10000d4
