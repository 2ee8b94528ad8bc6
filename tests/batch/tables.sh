#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Service tables, descriptor tables, timers and large allocations, of 32-bit machines too: each made entry is one row.
. "$(dirname "$0")/common.sh"
needs sqlite3
[ -x "$builddir/mksample" ] || { echo "mksample is not built"; exit 77; }
cd "$work" || exit 1

check_timers() {
	ok "$1: timers" [ "$(sql $1 "SELECT period, coalesce(module, 'none'), placement, round((julianday(due_time) - julianday((SELECT system_time FROM dumps))) * 86400) FROM timers ORDER BY period" | tr '\n' ',')" = \
		'0|none|nowhere|7.0,1000|a.sys|expected|5.0,' ]
}

nowhere=0x80001000
# machine NAME MACHINE: a machine, analysed into NAME.db
machine() {
	local services= timers= gates=descriptors$'\n'"interrupt vector=0x2e handler=a.sys+0x1040"$'\n'"interrupt vector=0x30 handler=$nowhere"
	# Processors have tables of their timers since Windows 7.
	case $2 in
	*-x86*) services='kernel services' ;;
	esac
	case $1 in
	win*) timers="timer routine=a.sys+0x1080 period=1000 after=5"$'\n'"timer routine=$nowhere after=7" ;;
	arm64) gates= ;;
	esac
	cat >"$1.txt" <<-END
		machine $2 ram=8M computer=TABLES big-pool
		$services
		driver name=a.sys
		$gates
		$timers
		pool tag=BigA size=0x3000
		pool tag=BigB size=0x2000 freed
		process name=smss.exe pid=300 ppid=4 path=C:\\Windows\\System32\\smss.exe bare
		process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\\Windows\\System32\\notepad.exe
	END
	"$builddir/mksample" "$1.txt" "$1.raw" || die "sample $1"
	status 0 "$memsieve" analyze -q -o "$1.db" "$1.raw" || die "analyze $1"
}

for kind in xp-2600:5.1.2600.5512-x86:x86 xp-2600-pae:5.1.2600.5512-x86:pae 2003-3790:5.2.3790.3959-x86:pae vista-6001:6.0.6001.18000-x86:x86 \
	win7-7601:6.1.7601.17514-x86:pae win8-9200:6.2.9200.16384-x86:pae win10-19041:10.0.19041.264-x86:pae; do
	IFS=: read -r name build paging <<<"$kind"
	machine "$name" "build=$build paging=$paging"
	ok "$name: services" [ "$(sql $name "SELECT count(*), min(number), max(number), sum(placement = 'expected') FROM ssdt")" = '160|0|159|160' ]
	ok "$name: their names" [ "$(sql $name "SELECT module FROM ssdt WHERE function = 'NtClose'")" = ntoskrnl.exe ]
	ok "$name: gates" [ "$(sql $name "SELECT printf('%d %s %s %d', vector, type, module, address IS NULL) FROM idt WHERE vector IN (0, 3, 8, 46) ORDER BY vector" | tr '\n' ',')" = \
		'0 interrupt ntoskrnl.exe 0,3 interrupt ntoskrnl.exe 0,8 task  1,46 interrupt a.sys 0,' ]
	ok "$name: and one that leads nowhere" [ "$(sql $name "SELECT placement, printf('0x%x', address) FROM idt WHERE vector = 48")" = "nowhere|$nowhere" ]
	ok "$name: segments" [ "$(sql $name "SELECT printf('%d %d %d %d', selector, segment_limit, system, privilege) FROM gdt ORDER BY selector" | tr '\n' ',')" = '8 4294967295 0 0,16 4294967295 0 0,40 8363 1 0,' ]
	ok "$name: large allocations" [ "$(sql $name "SELECT tag, size, freed FROM big_pool WHERE tag LIKE 'Big_' ORDER BY tag" | tr '\n' ',')" = 'BigA|12288|0,BigB|8192|1,' ]
	case $name in
	win*) check_timers $name ;;
	esac
done
nowhere=0xfffff80000001000
for kind in win7-x64:6.1.7601.24540 win10-x64:10.0.19041.1466; do
	IFS=: read -r name build <<<"$kind"
	machine "$name" "build=$build"
	check_timers $name
	ok "$name: gates" [ "$(sql $name "SELECT printf('%d %s %s', vector, type, module) FROM idt WHERE vector IN (0, 46) ORDER BY vector" | tr '\n' ',')" = \
		'0 interrupt ntoskrnl.exe,46 interrupt a.sys,' ]
	ok "$name: large allocations" [ "$(sql $name "SELECT tag, size, freed FROM big_pool WHERE tag LIKE 'Big_' ORDER BY tag" | tr '\n' ',')" = 'BigA|12288|0,BigB|8192|1,' ]
done
machine arm64 'build=10.0.22000.194-arm64'
ok "ARM64: large allocations" [ "$(sql arm64 "SELECT tag, size, freed FROM big_pool WHERE tag LIKE 'Big_' ORDER BY tag" | tr '\n' ',')" = 'BigA|12288|0,BigB|8192|1,' ]
ok "ARM64: has no interrupt descriptors, and says nothing of them" [ "$(sql arm64 "SELECT count(*) FROM diagnostics WHERE table_name = 'idt'")" = 0 ]
