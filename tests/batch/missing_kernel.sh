#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is missing, or leads nowhere, is told, and the rest is there: one machine, whole and then with a thing at a time taken from it.
. "$(dirname "$0")/common.sh"
needs sqlite3 python3
[ -x "$mksample" ] || { echo "mksample is not built"; exit 77; }
cd "$work" || exit 1

# machine NAME LINE…: it, analysed into NAME.db
machine() {
	local name=$1
	shift
	cat >"$name.txt" <<-'END'
		# Whole.
		machine build=10.0.19041.1466 ram=6M computer=MISSING frames
		driver name=a.sys
		driver name=lost.sys
		driver name=last.sys
		descriptors
		timer routine=a.sys+0x1080 period=1000 after=5
		timer routine=a.sys+0x10c0 period=2000 after=7
		minifilter name=scanner altitude=328010.7 driver=a.sys operations=0:a.sys+0x1040:a.sys+0x1080,4:a.sys+0x10c0:
		process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare
		 handle type=Mutant name=Marked
		process name=csrss.exe pid=1100 ppid=300 session=1 path=C:\Windows\System32\csrss.exe bare
		 handle type=Process pid=1200
		process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\Windows\System32\notepad.exe
		 thread tid=1204 rip=ntdll.dll+0x1000
		process name=last.exe pid=1300 ppid=300 session=1 path=C:\Windows\System32\last.exe bare
		output format=full
	END
	printf '%s\n' "$@" >>"$name.txt"
	"$mksample" "$name.txt" "$name.dmp" || die "sample $name"
	analyse "$name"
}

# told NAME TABLE FAULT WORDS
told() {
	[ "$(sql "$1" "SELECT count(*) > 0 FROM diagnostics WHERE table_name = '$2' AND fault = '$3' AND message LIKE '%$4%'")" = 1 ]
}

machine whole
ok "nothing is missing from the whole" [ "$(sql whole "SELECT status FROM runs")" = complete ]
"$memsieve" symbols show whole.dmp >layout || die "symbols show"
field() { awk -v "name=$1" '$1 == name { print $2 }' layout; }
global() { printf '0x%x' $(($(sql whole "SELECT kernel_base FROM dumps") + $(field "$1"))); }
nowhere=0xfffff00000001000
at() { printf '0x%x' $(($(sql whole "$1") + ${2:-0})); }

machine timer "defect kind=poke va=$(at 'SELECT address FROM timers WHERE period = 1000') value=0x55 width=1"
ok "an entry that is no timer" told timer timers implausible 'is no timer'
ok "and the timers beside it" [ "$(sql timer 'SELECT group_concat(period) FROM timers')" = 2000 ]

# Forwards the list ends behind smss.exe, backwards at last.exe, which leads to itself: what lies between is in a gap, not taken out.
links() { at "SELECT eprocess FROM processes WHERE pid = $1" "$(field _EPROCESS.ActiveProcessLinks)+${2:-0}"; }
machine gap "defect kind=poke va=$(links 300) value=$nowhere" "defect kind=poke va=$(links 1300 8) value=$(links 1300)"
ok "processes in a gap of their list aren't hidden" [ "$(sql gap "SELECT count(*) FROM findings WHERE rule = 'hidden_process'")" = 0 ]
ok "and it isn't told that they are in no list" [ "$(sql gap 'SELECT group_concat(pid) FROM processes WHERE in_active_list IS NULL')" = '1100,1200' ]

machine block "defect kind=poke va=$(global KiProcessorBlock) value=0"
ok "a processor's block that is nowhere" told block timers implausible 'processor 0 is no kernel address'
ok "is missed by all that need it" told block idt implausible 'processor 0 is no kernel address'

# _OBJECT_HEADER_NAME_INFO, the last of the headers before the _OBJECT_HEADER: its Name.Buffer
machine mutant "defect kind=poke va=$(at "SELECT address FROM mutants WHERE name = 'Marked'" "-$(field _OBJECT_HEADER.Body)-0x10") value=$nowhere"
ok "a mutant whose name can't be read" [ "$(sql mutant "SELECT count(*), sum(name IS NULL), sum(directory LIKE '%BaseNamedObjects') FROM mutants")" = '1|1|1' ]
ok "why" told mutant mutants unmapped "the object%s name"

for part in 'name:0x40:|328010.7' 'altitude:0x50:scanner|'; do
	IFS=: read -r column offset rest <<<"$part"
	machine "$column" "defect kind=poke va=$(at 'SELECT address FROM minifilters' "$offset") value=$nowhere"
	ok "a minifilter whose $column can't be read" [ "$(sql "$column" 'SELECT name, altitude FROM minifilters')" = "$rest" ]
	ok "its operations" [ "$(sql "$column" 'SELECT count(*) FROM minifilter_operations JOIN minifilters USING (minifilter_id)')" = 2 ]
	ok "why" told "$column" minifilters unmapped _FLT_FILTER
done
many=$(printf ',0:a.sys+0x1040:%.0s' {1..65})
machine many "minifilter name=many altitude=1000 driver=a.sys operations=${many#,}"
ok "operations up to the limit" [ "$(sql many "SELECT count(*) FROM minifilter_operations JOIN minifilters USING (minifilter_id) WHERE name = 'many'")" = 64 ]
ok "that there are more" told many minifilter_operations limit 'go on'

cat >narrow.txt <<-'END'
	# 32 bits.
	machine build=10.0.19041.264-x86 ram=6M
	driver name=a.sys
	minifilter name=scanner altitude=328010 driver=a.sys operations=0:a.sys+0x1040:a.sys+0x1080,4:a.sys+0x10c0:
	process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare
	process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\Windows\System32\notepad.exe
END
"$mksample" narrow.txt narrow.dmp || die "sample narrow"
analyse narrow
ok "minifilters of 32-bit Windows" [ "$(sql narrow 'SELECT m.name, altitude, driver, number, pre_module, post_module FROM minifilter_operations JOIN minifilters m USING (minifilter_id)' | tr '\n' ',')" = \
	'scanner|328010|\Driver\a|0|a.sys|a.sys,scanner|328010|\Driver\a|4|a.sys|,' ]

# Sources that were read in part: what was met is there, of the rest nothing is said.
ok "all sources of the whole" [ "$(sql whole "SELECT sum(in_cid_table = 0), sum(in_handle_table_list = 0), sum(in_handle_tables = 1) > 0, sum(in_csrss_handles = 1) FROM processes")" = '0|0|1|1' ]
ok "and of its threads" [ "$(sql whole "SELECT sum(in_cid_table = 0), count(in_handle_tables) = count(*) FROM threads")" = '0|1' ]
machine cid "defect kind=poke what=cid-table pid=300 offset=$(field _HANDLE_TABLE.TableCode) value=$nowhere"
ok "a page of PspCidTable" told cid processes unmapped 'pages of PspCidTable'
ok "of processes" [ "$(sql cid "SELECT count(*) - count(in_cid_table), count(in_thread_scan) FROM processes WHERE pid IN (300, 1200)")" = '2|2' ]
ok "of threads" [ "$(sql cid "SELECT count(in_cid_table) FROM threads WHERE tid = 1204")" = 0 ]

machine handles "defect kind=poke what=handle-table pid=1100 offset=$(field _HANDLE_TABLE.TableCode) value=$nowhere"
ok "a page of handles" told handles handles unmapped 'pages of the handle table'
ok "who has a handle to a process isn't known then" [ "$(sql handles "SELECT count(in_handle_tables), count(in_csrss_handles) FROM processes WHERE pid = 1200")" = '0|0' ]
ok "nor to a thread" [ "$(sql handles "SELECT sum(in_handle_tables = 0) FROM threads")" = "" ]

list=$(field _HANDLE_TABLE.HandleTableList)
machine tables "defect kind=poke what=handle-table pid=300 offset=$list value=$nowhere" "defect kind=poke what=handle-table pid=1300 offset=$((list + 8)) value=$nowhere"
ok "a broken list of handle tables" told tables processes implausible 'HandleTableList is broken before'
ok "what lies in its gap isn't known" [ "$(sql tables "SELECT coalesce(in_handle_table_list, 'none') FROM processes WHERE pid IN (1200, 1300) ORDER BY pid" | tr '\n' ',')" = none,1, ]

n=$(sql whole "SELECT group_concat(name) FROM (SELECT name FROM drivers ORDER BY driver_id)" | tr , '\n' | awk '$1 == "a.sys" { print NR - 1 }')
machine drivers "defect kind=poke what=driver pid=300 n=$n offset=0 value=$nowhere" "defect kind=poke what=driver pid=300 n=$((n + 2)) offset=8 value=$nowhere"
ok "a broken list of drivers" told drivers drivers implausible 'InLoadOrderLinks is broken before'
ok "what lies in its gap isn't unlinked" [ "$(sql drivers "SELECT name, coalesce(in_loaded_list, 'none') FROM drivers WHERE name IN ('lost.sys', 'last.sys') ORDER BY name" | tr '\n' ',')" = 'last.sys|1,lost.sys|none,' ]
ok "and is little held against it" [ "$(sql drivers "SELECT DISTINCT severity FROM findings WHERE rule = 'unlinked_driver'")" = low ]
machine link "defect kind=poke what=driver pid=300 n=$n offset=8 value=$nowhere"
ok "one link backwards that is wrong leaves no gap" [ "$(sql link "SELECT count(*) FROM drivers WHERE in_loaded_list IS NULL")" = 0 ]
ok "and isn't told as one" [ "$(sql link "SELECT count(*) FROM diagnostics WHERE table_name = 'drivers' AND message LIKE '%broken before%'")" = 0 ]

machine shadow "defect kind=hole va=$(($(global KeServiceDescriptorTableShadow) & ~0xfff))"
ok "the shadow service table" told shadow ssdt not_in_dump 'KeServiceDescriptorTableShadow can_t be read'

machine frame "defect kind=poke what=thread pid=1200 n=0 offset=$(field _KTHREAD.TrapFrame) value=$nowhere" "defect kind=poke what=thread pid=1200 n=1 offset=$(field _KTHREAD.TrapFrame) value=$nowhere"
ok "a trap frame" told frame threads unmapped TrapFrame

# The environment's terminator, and all behind it on its page, is overwritten.
python3 - whole.dmp open.dmp <<-'END'
	import sys
	data = bytearray(open(sys.argv[1], 'rb').read())
	mark = 'SystemRoot=C:\\Windows\0'.encode('utf-16-le')
	at = data.find(mark)
	assert at > 0
	while at > 0:
	    end = at + len(mark)
	    page = (end + 4095) & ~4095
	    data[end:page] = 'A\0'.encode('ascii') * ((page - end) // 2)
	    at = data.find(mark, page)
	open(sys.argv[2], 'wb').write(data)
END
analyse open
ok "an environment without an end" told open environment implausible 'ends early'

# What a limit leaves out.
status 3 "$memsieve" analyze -q -o limits.db --limit directory_depth=1 --limit drivers=1 whole.dmp || die "analyze with limits"
ok "directories of a handle's object" told limits handles limit 'the directory that its name stands in'
ok "and of a mutant" told limits mutants limit 'the directory that its name stands in'
ok "driver objects in pool, where the directories have enough" told limits driver_objects limit 'driver objects: the rest is left out'

# Pages in transition name memory that isn't there, by a mask that no symbol tells: it is found through the tables of each process, many of whose
# roots share a page on PAE.
cat >mask.txt <<-'END'
	# PAE.
	machine build=10.0.19041.264-x86 paging=pae ram=6M invalid-pte-mask=0x200000000000
	process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare
	process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\Windows\System32\notepad.exe
	 vad start=0x10000000 pages=16 content=text:hello valid=4 transition=8
	process name=last.exe pid=1300 ppid=300 session=1 path=C:\Windows\System32\last.exe bare
END
"$mksample" mask.txt mask.dmp || die "sample mask"
ok "nothing is missing where InvalidPteMask is found" status 0 "$memsieve" analyze -q -o mask.db mask.dmp

# A third of a machine of Windows 7, and the page tables with it, are cut off: what its shared data say is there, though no build.
cat >shared.txt <<-'END'
	# Cut.
	machine build=6.1.7601.24540 seed=8 ram=3M time=2024-03-01T09:15:27.1234567Z
	process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare
	process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\Windows\System32\notepad.exe
	 vad start=0x10000000 pages=4 content=text:hello valid=2
	 vad start=0x10010000 pages=2
	process name=last.exe pid=1300 ppid=300 session=1 path=C:\Windows\System32\last.exe bare
	defect kind=truncate cut=1M
END
"$mksample" shared.txt shared.dmp || die "sample shared"
analyse shared
ok "shared data of before Windows 10 without page tables" [ "$(sql shared 'SELECT system_root, system_time, os_build FROM dumps')" = 'C:\Windows|2024-03-01T09:15:27.1234567Z|6.1.7601' ]
echo "$checks checks"
