#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What differs from one kernel to the next, or between processes of 32 and 64 bits, is told as it is there.
. "$(dirname "$0")/common.sh"
needs sqlite3 python3
[ -x "$mksample" ] || { echo "mksample is not built"; exit 77; }
cd "$work" || exit 1

# machine NAME LINE…: it, analysed into NAME.db
machine() {
	local name=$1
	shift
	printf '%s\n' '# A machine.' "$@" 'process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe user=S-1-5-18 bare' >"$name.txt"
	"$mksample" "$name.txt" "$name.dmp" || die "sample $name"
	analyse "$name"
}

# ---- drivers in memory that may be run anyway

# driver_file file|image WIDTH SLOT…: a driver of a code section and import slots, as its file has it or as it is mapped, in hexadecimal.
driver_file() {
	python3 - "$@" <<-'END'
		import struct, sys
		image, width, slots = sys.argv[1] == 'image', int(sys.argv[2]), [int(s, 0) for s in sys.argv[3:]]
		d = bytearray(0x3000 if image else 0x1600)
		struct.pack_into('<2s58xI', d, 0, b'MZ', 0x80)
		wide = width == 8
		struct.pack_into('<4sHHIIIHH', d, 0x80, b'PE\0\0', 0x8664 if wide else 0x14c, 2, 0x4d000000, 0, 0, 0xf0 if wide else 0xe0, 0x22)
		struct.pack_into('<HBBIIIII', d, 0x98, 0x20b if wide else 0x10b, 8, 0, 0x1000, 0x200, 0, 0x1000, 0x1000)
		struct.pack_into('<QII' if wide else '<III', d, 0x98 + (24 if wide else 28), 0x10000, 0x1000, 0x200)
		struct.pack_into('<HHHHHHIIIIHH', d, 0x98 + 40, 6, 1, 6, 1, 6, 1, 0, 0x3000, 0x400, 0, 1, 0)
		directories = 0x98 + (112 if wide else 96)
		struct.pack_into('<I', d, directories - 4, 16)
		struct.pack_into('<II', d, directories + 8 * 12, 0x2000, width * len(slots))
		for n, (name, rva, raw, flags) in enumerate(((b'.text', 0x1000, 0x400, 0x68000020), (b'.rdata', 0x2000, 0x1400, 0x48000040))):
		    struct.pack_into('<8sIIII12xI', d, directories + 128 + 40 * n, name, 0x1000 if rva == 0x1000 else 0x200, rva, 0x1000 if rva == 0x1000 else 0x200, raw, flags)
		code = 0x1000 if image else 0x400
		d[code:code + 0x1000] = b'\xcc' * 0x1000
		for n, slot in enumerate(slots):
		    struct.pack_into('<Q' if wide else '<I', d, (0x2000 if image else 0x1400) + n * width, slot % (1 << 8 * width))
		print(d.hex())
	END
}

unlinked() {	# NAME
	sql "$1" "SELECT count(*) FROM findings WHERE rule = 'unlinked_driver'"
}

for kernel in 6.1.7601.24540:8: 5.1.2600.5512-x86:4:paging=x86 10.0.19041.1466:8:; do
	IFS=: read -r build width paging <<<"$kernel"
	pool() { machine "$1" "machine build=$build $paging ram=6M big-pool" 'driver name=example.sys' "pool tag=CcFi size=0x4000 executable hex=$2"; }
	pool file "$(driver_file file "$width" 0x2200)"
	ok "$build: a driver's file that was read into pool that may be run isn't loaded" [ "$(unlinked file)" = 0 ]
	function=$(sql file "SELECT base + 0x1000 FROM drivers WHERE name = 'example.sys'")
	pool mapped "$(driver_file image "$width" "$function")"
	ok "$build: a driver that was mapped there is" [ "$(unlinked mapped)" = 1 ]
	pool poked "$(driver_file image "$width" "$function" "$function" 0x1234)"
	ok "$build: and stays one when it changes a slot" [ "$(unlinked poked)" = 1 ]
done

# ---- APCs of 32-bit processes, which are encoded

machine apcs 'machine build=10.0.19041.1466 ram=8M' \
	'process name=narrow.exe pid=1200 ppid=4 session=1 path=C:\narrow.exe wow64' ' thread tid=1204' \
	' vad start=0x10000000 pages=2 protect=PAGE_EXECUTE_READWRITE content=shellcode' ' apc tid=1204 normal=0x10000000 context=0x1234' \
	' apc tid=1204 normal=ntdll.dll!RtlUserThreadStart context=0x5678'
ok "where an encoded APC leads" [ "$(sql apcs "SELECT normal_routine = 0x10000000 FROM apcs WHERE normal_context = 0x1234")" = 1 ]
ok "is told where that is outside of images" [ "$(sql apcs "SELECT severity FROM findings WHERE rule = 'apc_outside_image'")" = high ]
ok "one of 64-bit code in the same process isn't decoded" [ "$(sql apcs "SELECT normal_module FROM apcs WHERE normal_context = 0x5678")" = ntdll.dll ]

# ---- minidumps of 32-bit processes, by tools of both widths

# minidump ARCHITECTURE MODULE…: of a process with these modules; its processes.wow64.
minidump() {
	python3 - process.dmp "$@" <<-'END'
		import struct, sys
		streams, body, at = [], b'', 32 + 12 * 2
		def add(data):
		    global body
		    body += data
		    return at + len(body) - len(data)
		names = [add(struct.pack('<I', 2 * len(n)) + n.encode('utf-16-le') + b'\0\0') for n in sys.argv[3:]]
		system = struct.pack('<HHHBBIII', int(sys.argv[2]), 0, 0, 1, 1, 10, 0, 19041).ljust(56, b'\0')
		modules = b''.join(struct.pack('<QIIII', 0x400000 * (n + 1), 0x5000, 0, 0x5f000000, name).ljust(108, b'\0') for n, name in enumerate(names))
		for kind, data in ((7, system), (4, struct.pack('<I', len(names)) + modules)):
		    streams.append(struct.pack('<III', kind, len(data), add(data)))
		open(sys.argv[1], 'wb').write(b'MDMP' + struct.pack('<IIIIIQ', 0xa793, len(streams), 32, 0, 1700000000, 2) + b''.join(streams) + body)
	END
	analyse process
	sql process "SELECT coalesce(wow64, 'unknown') FROM processes"
}

ok "a 64-bit tool's dump of a 32-bit process" [ "$(minidump 9 'C:\a.exe' 'C:\Windows\System32\ntdll.dll' 'C:\Windows\System32\wow64.dll')" = 1 ]
ok "of a 64-bit process" [ "$(minidump 9 'C:\a.exe' 'C:\Windows\System32\ntdll.dll')" = 0 ]
ok "a 32-bit tool's dump doesn't tell which Windows it was" [ "$(minidump 0 'C:\a.exe' 'C:\Windows\System32\ntdll.dll')" = unknown ]
ok "but by what 32-bit Windows has not" [ "$(minidump 0 'C:\a.exe' 'C:\Windows\SysWOW64\ntdll.dll')" = 1 ]

# ---- who was logged on in a hibernated machine: not a service, whoever's account it has

logged_on() {	# SESSION
	machine hibernation 'machine build=10.0.19041.1466 ram=8M' \
		"process name=sqlservr.exe pid=1200 ppid=4 session=$1 path=C:\\sql\\sqlservr.exe user=S-1-5-21-1-2-3-1105 groups=S-1-5-6,S-1-5-11" 'output format=hibernation'
	sql hibernation "SELECT substr(format_detail, instr(format_detail, '0x0, ') + 5, 18) FROM dumps"
}

ok "a service of a user's account" [ "$(logged_on 0)" = 'nobody was logged ' ]
ok "a user's process" [ "$(logged_on 1)" = 'users were logged ' ]

# ---- callbacks

# with_symbols NAME SYMBOLS LINE…: a kernel with these globals (NAME:RVA,…), analysed with symbols that say so.
with_symbols() {
	local name=$1 symbols=$2 file
	shift 2
	machine "$name" "$@" "kernel symbols=$symbols"
	"$memsieve" symbols show "$name.dmp" >"$name.layout" || die "$name: symbols show"
	tr , '\n' <<<"$symbols" | sed 's/^/ /; s/:/ /' >>"$name.layout"
	file=$(python3 "$srcdir/tests/batch/make_isf.py" "$name.layout" .) || die "$name: no symbol file made"
	rm "$name.db"
	"$memsieve" analyze -q --layout "$file" -o "$name.db" "$name.dmp" >out 2>err || [ $? = 3 ] || die "analyze $name with symbols"
}

rows() {	# NAME TYPE
	sql "$1" "SELECT group_concat(coalesce(c.module || '+' || (c.address - d.base), '?') || coalesce(' ' || json_extract(detail, '\$.altitude'), ''))
		FROM callbacks c LEFT JOIN drivers d ON d.name = c.module WHERE c.type = '$2'"
}

# Their entries have members of 32 and 64 bits between pointers of both widths, and the registry's of Vista's x64 a pointer more.
registered=('driver name=example.sys' 'callback type=object function=example.sys+0x1100 altitude=4321'
	'callback type=registry function=example.sys+0x1040 altitude=1234.5' 'callback type=registry function=example.sys+0x1080')
for kernel in 6.0.6001.18000-x86 6.0.6001.18000 6.1.7601.17514-x86 6.1.7601.17514 10.0.19041.264-x86 10.0.22000.194-arm64; do
	with_symbols callbacks CallbackListHead:0x125000 "machine build=$kernel ram=6M" "${registered[@]}"
	ok "$kernel: whom the registry calls" [ "$(rows callbacks registry)" = 'example.sys+4160 1234.5,example.sys+4224 320000' ]
	ok "$kernel: whom processes' handles do" [ "$(rows callbacks object)" = 'example.sys+4352 4321' ]
	ok "$kernel: all by drivers" [ "$(sql callbacks "SELECT count(*) FROM findings WHERE rule = 'callback_outside_driver'")" = 0 ]
done

# Until Vista each array has 8 slots, behind which other things lie, and the registry's is an array, too.
vector() { printf "PspCreateProcessNotifyRoutine:0x125000,PspCreateThreadNotifyRoutine:0x%x,PspLoadImageNotifyRoutine:0x%x,CmpCallBackVector:0x%x" $((0x125000 + 8 * $1)) $((0x125000 + 16 * $1)) $((0x125000 + 24 * $1)); }
for kernel in 5.1.2600.5512-x86 5.2.3790.3959-x86 5.2.3790.3959; do
	case $kernel in *-x86) width=4 ;; *) width=8 ;; esac
	with_symbols arrays "$(vector $width)" "machine build=$kernel ram=6M" 'driver name=example.sys' \
		'callback type=process function=example.sys+0x1040' 'callback type=thread function=example.sys+0x1080' 'callback type=image function=example.sys+0x10c0' \
		'callback type=registry function=example.sys+0x1100' 'callback type=registry function=example.sys+0x1140'
	ok "$kernel: each array's own" [ "$(rows arrays process) $(rows arrays thread) $(rows arrays image)" = 'example.sys+4160 example.sys+4224 example.sys+4288' ]
	ok "$kernel: the registry's" [ "$(rows arrays registry)" = 'example.sys+4352,example.sys+4416' ]
	machine unknown "machine build=$kernel ram=6M" 'driver name=example.sys'
	ok "$kernel: or that it can't be found" [ "$(sql unknown "SELECT count(*) FROM diagnostics WHERE table_name = 'callbacks' AND message LIKE '%CmpCallBackVector%'")" = 1 ]
done

# numbers WIDTH ADDRESS NUMBER…: one after the other
numbers() {
	local width=$1 at=$2 mask=$(($1 == 4 ? 0xffffffff : -1))
	shift 2
	for value; do
		printf 'defect kind=poke va=0x%x width=%d value=0x%x\n' $((at & mask)) "$width" $((value & mask))
		at=$((at + width))
	done
}

# one_entry KERNEL SYMBOL WIDTH LINKS NUMBER…: a machine whose global leads to an entry of one link or two, and these numbers behind them
one_entry() {
	local kernel=$1 symbol=$2 width=$3 links=$4 base lines
	shift 4
	with_symbols entry "$symbol:0x125000" "machine build=$kernel ram=6M" 'driver name=example.sys'
	base=$(($(sql entry "SELECT base FROM drivers WHERE name = 'ntoskrnl.exe'") + 0x125000))
	function=$(($(sql entry "SELECT base FROM drivers WHERE name = 'example.sys'") + 0x1040))
	# Of a list its head is the entry before and behind.
	if [ "$links" = 2 ]; then set -- $((base + 0x20)) $((base + 0x20)) $base $base "$@"; else set -- $((base + 0x20)) 0 "$@"; fi
	mapfile -t lines < <(numbers "$width" $base "${@:1:links}"; numbers "$width" $((base + 0x20)) $(sed "s/function/$function/" <<<"${*:links + 1}"))
	with_symbols entry "$symbol:0x125000" "machine build=$kernel ram=6M" 'driver name=example.sys' "${lines[@]}"
}

context() { sql entry "SELECT json_extract(detail, '\$.list') || ' ' || json_extract(detail, '\$.context') FROM callbacks WHERE type = 'logon_session'"; }
one_entry 10.0.22000.194-arm64 SeFileSystemNotifyRoutinesExHead 8 1 function 0x4711
ok "who is called when a session ends" [ "$(rows entry logon_session)" = example.sys+4160 ]
ok "and with what" [ "$(context)" = 'SeFileSystemNotifyRoutinesExHead 0x4711' ]
power='0x74655350 0 0 0x11111111 0x22222222 0x33333333 0x44444444'
one_entry 6.1.7601.17514-x86 PopRegisteredPowerSettingCallbacks 4 2 $power 0 function 0x4711 0
ok "who is for a power setting, on 32 bits" [ "$(rows entry power_setting)" = example.sys+4160 ]
one_entry 10.0.19041.264-x86 PopRegisteredPowerSettingCallbacks 4 2 $power ${power#* 0 0 } 0 function 0x4711 0
ok "or that its form isn't known" [ "$(sql entry "SELECT count(*) FROM diagnostics WHERE message LIKE '%form of 32-bit Windows 10%'")" = 1 ]
ok "and no other function is named" [ "$(rows entry power_setting)" = '' ]

# ---- system services of 64-bit Windows XP and 2003: addresses, not offsets

with_symbols services KiServiceTable:0x125000,KiServiceLimit:0x127000,KeServiceDescriptorTable:0x127040 'machine build=5.2.3790.3959 ram=6M' \
	'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe'
ok "each in the kernel" [ "$(sql services "SELECT count(*) > 10, group_concat(DISTINCT module), sum(placement = 'expected') = count(*) FROM ssdt")" = '1|ntoskrnl.exe|1' ]
ok "of the names that the kernel exports" [ "$(sql services "SELECT count(DISTINCT address) = count(*) FROM ssdt WHERE function IS NOT NULL")" = 1 ]
ok "none redirected" [ "$(sql services "SELECT count(*) FROM findings WHERE rule = 'system_call_redirected'")" = 0 ]

# ---- images that were unloaded: a ring of 16, of entries that grew with Vista, found by the code of each machine

# trace WIDTH VERSIONS: 17 entries in hexadecimal
trace() {
	python3 - "$@" <<-'END'
		import struct, sys
		width, versions = int(sys.argv[1]), int(sys.argv[2])
		for i in range(17):
		    entry = struct.pack('<QQ' if width == 8 else '<II', 0x60000000 + 0x10000 * i, 0x8000) + struct.pack('<3I', i, 0x5f000000, 0x1234)
		    entry += f'gone{i}.dll'.encode('utf-16le').ljust(64, b'\0') + bytes(8 * versions)
		    print((entry + bytes(-len(entry) % width)).hex(), end='')
	END
}

# unloaded KERNEL WIDTH VERSIONS CODE: of a trace at 0x2000 of an image whose function at 0x1040 is the code
unloaded() {
	machine unloaded "machine build=$1 ram=6M" 'file path=C:\other\ntdll.dll exports=RtlGetUnloadEventTrace text=4' \
		'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe' \
		" image file=C:\\other\\ntdll.dll base=0x50000000 patch=RtlGetUnloadEventTrace:$4,0x2000:$(trace "$2" "$3")"
	sql unloaded "SELECT count(*), min(name), max(sequence), sum(size = 32768), sum(base = 0x60000000 + 65536 * sequence) FROM unloaded_modules"
}

every='16|gone0.dll|15|16|16'
ok "unloaded by x64" [ "$(unloaded 10.0.19041.1466 8 1 488d05b90f0000c3)" = "$every" ]
ok "unloaded by 64-bit Windows 2003" [ "$(unloaded 5.2.3790.3959 8 0 488d05b90f0000c3)" = "$every" ]
ok "unloaded by x86" [ "$(unloaded 6.1.7601.17514-x86 4 1 b800200050c3)" = "$every" ]
ok "unloaded by 32-bit Windows XP" [ "$(unloaded 5.1.2600.5512-x86 4 0 b800200050c3)" = "$every" ]
ok "unloaded by ARM64" [ "$(unloaded 10.0.22000.194-arm64 8 1 000000b000000091c0035fd6)" = "$every" ]
ok "or by code that isn't known" [ "$(unloaded 10.0.19041.1466 8 1 9090c3)" = '0||||' ]
ok "which is said" [ "$(sql unloaded "SELECT count(*) FROM diagnostics WHERE fault = 'no_field' AND message LIKE 'in 1 processes RtlGetUnloadEventTrace %'")" = 1 ]

# ---- an image without headers is for the machine's processor, where nothing in it tells

wiped() {	# KERNEL CONTENT
	machine wiped "machine build=$1 ram=6M" 'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe' \
		" vad start=0x20000000 pages=16 protect=PAGE_EXECUTE_READWRITE content=$2:evil.dll wiped"
	sql wiped "SELECT coalesce(machine, 'unknown'), is_64bit, rebuilt_from FROM images WHERE base = 0x20000000"
}

ok "of x64" [ "$(wiped 10.0.19041.1466 pe)" = '34404|1|imports,exports' ]
ok "of ARM64" [ "$(wiped 10.0.22000.194-arm64 pe)" = '43620|1|imports,exports' ]
ok "of 32 bits on x64" [ "$(wiped 10.0.19041.1466 pe32)" = '332|0|imports,exports' ]
ok "of 32 bits on ARM64, which has two such" [ "$(wiped 10.0.22000.194-arm64 pe32)" = 'unknown|0|imports,exports' ]

# ---- the 32-bit PEB of 64-bit Windows XP and 2003 stands in a structure, of Vista to 8.1 in the process

for kernel in 5.2.3790.3959 6.1.7601.24540 10.0.19041.1466; do
	machine narrow "machine build=$kernel symbols=6.1.7601.24540 ram=8M" 'kernel guid=0C1E6A80F2B44C3D8E9F00112233AA551' 'driver name=a.sys' \
		'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe' 'process name=b.exe pid=1300 ppid=4 session=1 path=C:\b.exe wow64'
	ok "$kernel: which processes are narrow" [ "$(sql narrow "SELECT group_concat(pid) FROM processes WHERE wow64 AND peb32 BETWEEN 1 AND 0xffffffff")" = 1300 ]
	ok "$kernel: what they loaded" [ "$(sql narrow "SELECT count(*) FROM modules WHERE wow64")" = 3 ]
	field=_EPROCESS.Wow64Process
	case $kernel in 10.*) field=_EPROCESS.WoW64Process ;; esac
	ok "$kernel: by the name it has there" [ "$("$memsieve" symbols show narrow.dmp | grep -o '_EPROCESS.Wo[wW]64Process')" = $field ]
done

# ---- gates of devices lie in pool before 14393, and on 32 bits

gates() {	# KERNEL ADDRESS
	machine gates "machine build=$1 ram=6M" descriptors "interrupt vector=0x81 handler=$2"
	sql gates "SELECT count(*) FROM findings WHERE rule = 'interrupt_outside_kernel'"
}

ok "an interrupt object of 10586" [ "$(gates 10.0.10586.0 0xffffa90012345000)" = 0 ]
ok "no such thing of 14393" [ "$(gates 10.0.14393.4583 0xffffa90012345000)" = 1 ]
ok "one of 32 bits" [ "$(gates 10.0.19041.264-x86 0x90012340)" = 0 ]

# ---- segments end where the table does

gdt() {	# KERNEL LIMIT: of the table's register; - leaves the sample's
	machine segments "machine build=$1 ram=6M" descriptors
	local base=$(($(sql segments "SELECT max(base) FROM gdt WHERE system AND base NOT IN (0, 0x2000)") - 4096)) description=segments.txt register
	register=$(python3 - segments.dmp "$base" <<-'END'
		import struct, sys
		data, base = open(sys.argv[1], 'rb').read(), struct.pack('<q', int(sys.argv[2]))
		print([at for at in range(0, len(data) - 16, 8) if data[at:at + 8] == base and data[at - 2:at] == b'\x57\0'][0] - 2)
	END
	)
	printf 'defect kind=poke va=%d value=0x00cff3000000ffff\ndefect kind=poke va=%d value=0x00cff3000000ffff\n' $((base + 0x58)) $((base + 0x60)) >>$description
	[ "$2" = - ] || printf 'defect kind=poke pa=%d width=2 value=%s\n' "$register" "$2" >>$description
	"$mksample" $description segments.dmp || die "sample of segments"
	analyse segments
	sql segments "SELECT group_concat(selector) FROM gdt"
}

known=16,24,32,40,48,64,80
ok "what follows it is none" [ "$(gdt 10.0.19041.1466 -)" = $known ]
ok "not where its size isn't known, either" [ "$(gdt 10.0.19041.1466 0)" = $known ]
ok "what is in it is" [ "$(gdt 10.0.19041.1466 0x5f)" = $known,88 ]

# ---- wait reasons of Windows 11

machine waits 'machine build=10.0.22621.382 ram=8M' 'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe' \
	' thread tid=1204 wait=40' ' thread tid=1208 wait=41' ' thread tid=1212 wait=42' ' thread tid=1216 wait=43'
ok "have names" [ "$(sql waits "SELECT group_concat(wait_reason) FROM (SELECT wait_reason FROM threads WHERE tid BETWEEN 1204 AND 1216 ORDER BY tid)")" = WrIoRing,WrMdlCache,WrRcu,43 ]

# ---- sections of the page file that are reserved, and committed bit by bit

for kernel in 10.0.19041.1466 '5.1.2600.5512-x86 paging=x86'; do
	machine sections "machine build=$kernel ram=8M" 'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe' \
		' vad start=0x10000000 pages=0x400 type=mapped protect=PAGE_READWRITE reserve commit=5' ' vad start=0x20000000 pages=16 type=mapped protect=PAGE_READWRITE content=text:all'
	ok "${kernel%% *}: what isn't committed is reserved" [ "$(sql sections "SELECT group_concat(state || ' ' || (region_size / 4096) || ' ' || coalesce(protect, 'none'))
		FROM (SELECT * FROM regions WHERE allocation_base = 0x10000000 ORDER BY base_address)")" = 'MEM_COMMIT 5 PAGE_READWRITE,MEM_RESERVE 1019 none' ]
	ok "${kernel%% *}: a section that is, is" [ "$(sql sections "SELECT group_concat(DISTINCT state) FROM regions WHERE allocation_base = 0x20000000")" = MEM_COMMIT ]
done
# One view may be larger than all memory: what is mapped behind it is counted.
machine large 'machine build=10.0.19041.1466 ram=4M' 'process name=a.exe pid=1200 ppid=4 session=1 path=C:\a.exe' \
	' vad start=0x10030000 pages=8 type=mapped protect=PAGE_READWRITE reserve commit=2' \
	' vad start=0x30000100000 pages=2 protect=PAGE_READWRITE pte=PAGE_EXECUTE_READ content=shellcode valid=1' \
	'defect kind=poke what=vad pid=1200 start=0x10030000 offset=0x1c value=0x201002f width=4' 'defect kind=poke what=vad pid=1200 start=0x10030000 offset=0x58 value=0xfffffffffffffffc width=8'
ok "a section's view of 128 GiB takes nothing from the others" [ "$(sql large "SELECT pages_executable, (SELECT count(*) FROM findings WHERE rule = 'execution_never_allowed') FROM vads WHERE start_address = 0x30000100000")" = '1|1' ]
ok "and is told where it isn't looked at" [ "$(sql large "SELECT count(*) > 0 FROM diagnostics WHERE message LIKE '%section_entries%'")" = 1 ]

# ---- kernels that nobody knows

lines=('process name=System pid=4' ' thread tid=8' ' thread tid=12')
for pid in 400 500 600 700; do
	lines+=("process name=p$pid.exe pid=$pid ppid=300 path=C:\\p$pid.exe" " thread tid=$((pid + 4))")
done
machine moved 'machine build=5.1.2600.5512-x86 paging=x86 ram=8M' 'kernel guid=C5A3E6FB173CD6268F09F53203E832021' 'remove type=_KTHREAD at=0x170 bytes=24' "${lines[@]}"
ok "the scheduler's list is followed where a changed structure has its entry" [ "$(sql moved 'SELECT count(*), sum(in_process_list), sum(in_scheduler_list) FROM threads')" = '7|7|7' ]
echo "$checks checks"
