#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the dump lacks of code is not known, and is told: it is neither zeros nor as it was.
. "$(dirname "$0")/common.sh"
needs sqlite3
[ -x "$mksample" ] || { echo "mksample is not built"; exit 77; }

# case NAME: the description on standard input, analysed into NAME.db
case_of() {
	cat >"$work/$1.txt"
	"$mksample" "$work/$1.txt" "$work/$1.dump" || die "sample $1"
	"$memsieve" analyze -q -o "$work/$1.db" "$work/$1.dump" 2>/dev/null || [ $? = 3 ] || die "analysis of $1"
}

# says NAME EXPECTED QUERY: rows in one line
says() {
	local found
	found=$(sqlite3 "$work/$1.db" "$3" | tr '\n' ' ')
	[ "$found" = "$2" ] || { echo "found $found" >&2; return 1; }
}

ntdll='C:\Windows\System32\ntdll.dll'
case_of code <<END
machine build=10.0.19041.1466 ram=6M computer=MISSING
process name=gone.exe pid=1000 ppid=4 path=C:\Windows\gone.exe
 vad start=0x20000000 pages=1 protect=PAGE_EXECUTE_READ content=shellcode
process name=half.exe pid=1100 ppid=4 path=C:\Windows\half.exe
 vad start=0x20000000 pages=2 protect=PAGE_EXECUTE_READ content=random valid=2
process name=zero.exe pid=1200 ppid=4 path=C:\Windows\zero.exe
 vad start=0x20000000 pages=2 protect=PAGE_EXECUTE_READ content=zero valid=2
process name=tail.exe pid=1300 ppid=4 path=C:\Windows\tail.exe
 vad start=0x20000000 pages=2 protect=PAGE_EXECUTE_READ content=random valid=2
defect kind=hole what=memory pid=1000 start=0x20000000
defect kind=hole what=memory pid=1100 start=0x20000000
defect kind=hole va=0x20001000 pid=1300
output format=lime
END
ok "executable memory that is not in the dump is not known to be zeros" says code 'gone.exe|||not_in_dump half.exe|0||not_in_dump zero.exe|1|| tail.exe|0|0| ' \
	"SELECT p.name, all_zero, pe_header, fault FROM code_regions c JOIN processes p USING (process_id) LEFT JOIN diagnostics d
	ON d.table_name = 'code_regions' AND d.row_id = c.rowid AND column_name IS NOT NULL AND (column_name = 'pe_header' OR all_zero IS NULL)
	WHERE c.address = 0x20000000 ORDER BY pid"
ok "a sample with pages missing says so" says code 'tail.exe|not_in_dump|0x20001000 ' \
	"SELECT p.name, fault, printf('0x%x', d.address) FROM code_regions c JOIN processes p USING (process_id) JOIN diagnostics d ON d.table_name = 'code_regions' AND d.row_id = c.rowid
	WHERE column_name IS NULL"
ok "it is found all the same" says code '1000|1 1100|0 1300|0 ' \
	"SELECT pid, severity = 'low' FROM findings JOIN processes USING (process_id) WHERE rule = 'executable_private_memory' ORDER BY pid"

case_of images <<END
machine build=10.0.19041.1466 ram=6M computer=MISSING
file path=$ntdll base=0x7ffb00000000
process name=first.exe pid=1000 ppid=4 path=C:\Windows\first.exe ntdll-patch=NtClose:48b84000002000000000ffe0
process name=clean.exe pid=1100 ppid=4 path=C:\Windows\clean.exe
process name=second.exe pid=1200 ppid=4 path=C:\Windows\second.exe ntdll-patch=NtClose:48b84000002000000000ffe0
defect kind=hole va=0x7ffb00001000 pid=1000
defect kind=hole va=0x7ffb00001000 pid=1200
output format=lime
END
ok "private pages of code that are not in the dump are told, and the image has no hash" says images 'first.exe|0|1| clean.exe|0|0|1 second.exe|0|1| ' \
	"SELECT p.name, (SELECT count(*) FROM image_patches x WHERE x.image_id = i.image_id), (SELECT count(*) FROM diagnostics d WHERE d.process_id = p.process_id
	AND d.table_name = 'image_patches' AND fault = 'not_in_dump'), CASE WHEN sha256 IS NOT NULL THEN 1 END
	FROM images i JOIN processes p USING (process_id) WHERE i.path LIKE '%ntdll.dll' ORDER BY pid"
ok "stubs on such a page have the original's number, and may be hooked" says images 'first.exe|10|10|0|original ' \
	"SELECT p.name, count(*), count(DISTINCT number), count(hooked), group_concat(DISTINCT number_from) FROM system_call_stubs c JOIN images i USING (image_id)
	JOIN processes p USING (process_id) GROUP BY p.process_id"

# A minidump of a process that made memory executable after it had written it: a region of one page within an allocation of two.
needs python3
python3 - "$work/process.dmp" <<'END'
import struct, sys
def stream(kind, data, at):
    return struct.pack('<III', kind, len(data), at), data
code = bytes.fromhex('65488b042560000000488b4018488b4020c3') + b'changed-to-be-run'
pages = bytes(4096) + code.ljust(4096, b'\x90')
region = lambda base, protect: struct.pack('<QQIIQIIII', base, 0x10000, 4, 0, 0x1000, 0x1000, protect, 0x20000, 0)
parts = [(7, struct.pack('<HHHBBIII', 9, 0, 0, 1, 1, 10, 0, 19041).ljust(56, b'\0')), (15, struct.pack('<IIIIII', 24, 3, 4242, 0, 0, 0)),
    (16, struct.pack('<IIQ', 16, 48, 2) + region(0x10000, 4) + region(0x11000, 0x20))]
at, entries, body = 32 + 12 * 4, b'', b''
for kind, data in parts:
    entries += struct.pack('<III', kind, len(data), at + len(body))
    body += data
list64 = at + len(body)
entries += struct.pack('<III', 9, 32, list64)
body += struct.pack('<QQQQ', 1, list64 + 32, 0x10000, 0x2000) + pages
open(sys.argv[1], 'wb').write(b'MDMP' + struct.pack('<IIIIIQ', 0xa793, 4, 32, 0, 1700000000, 2) + entries + body)
END
echo 'rule changed { strings: $a = "changed-to-be-run" condition: $a }' >"$work/changed.yar"
"$memsieve" analyze -q --rules "$work/changed.yar" -o "$work/process.db" "$work/process.dmp" 2>/dev/null || [ $? = 3 ] || die "analysis of the minidump"
ok "memory of a minidump that was made executable later is executable" says process '0x11000|4096|1|0 ' "SELECT printf('0x%x', address), length, peb_access, writable FROM code_regions"
ok "and is scanned" says process '1 ' "SELECT count(*) FROM yara_matches WHERE rule = 'changed'"

# Directories that lead to a page that is not in the dump: debug records, TLS, .NET.
case_of parts <<END
machine build=10.0.19041.1466 ram=6M computer=MISSING
file path=C:\Windows\System32\parts.dll exports=Alpha,Beta base=0x7ffb10000000
process name=first.exe pid=1000 ppid=4 path=C:\Windows\first.exe
 image file=C:\Windows\System32\parts.dll
defect kind=poke va=0x7ffb10000138 pid=1000 value=0x1c00001000
defect kind=poke va=0x7ffb10000150 pid=1000 value=0x2800001000
defect kind=poke va=0x7ffb10000178 pid=1000 value=0x4800001000
defect kind=hole va=0x7ffb10001000 pid=1000
output format=lime
END
ok "parts of an image that are not in the dump are told" says parts 'image_debug|not_in_dump image_tls_callbacks|not_in_dump images|not_in_dump ' \
	"SELECT d.table_name, fault FROM diagnostics d WHERE fault = 'not_in_dump' AND table_name IN ('image_debug', 'image_tls_callbacks') OR column_name = 'is_dotnet' ORDER BY 1"
ok "whether it is a .NET image is not known, of others it is" says parts '1|1 0|3 ' \
	"SELECT path LIKE '%parts.dll', count(*) FROM images WHERE process_id IS NOT NULL AND (is_dotnet IS NULL) = (path LIKE '%parts.dll') GROUP BY 1 ORDER BY 1 DESC"

# Images whose prototype PTEs, or whose sections, can't be reached; a process whose handle table is not in the dump.
case_of lost <<END
machine build=10.0.19041.1466 ram=6M computer=MISSING
file path=C:\Windows\System32\one.dll base=0x7fbfdfe00000
file path=C:\Windows\System32\two.dll base=0x7ffb20000000
process name=first.exe pid=1000 ppid=4 path=C:\Windows\first.exe
 image file=C:\Windows\System32\one.dll
 image file=C:\Windows\System32\two.dll
 handle value=4 type=Event name=\E
defect kind=poke what=vad pid=1000 start=0x7fbfdfe00000 offset=0x50 value=0xffffa90000001000
defect kind=poke pid=1000 table=3 index=255 offset=0x38 value=0
defect kind=poke what=vad pid=1000 start=0x7ffb20000000 offset=0x48 value=0x1000
defect kind=hole what=handle-table pid=1000
output format=lime
END
ok "what a page allows that has no entry, and no prototype PTE that can be read, is not known" says lost '1 unmapped ' \
	"SELECT count(*) FROM regions WHERE base_address = 0x7fbfdfe07000 AND state = 'MEM_COMMIT' AND protect IS NULL; SELECT fault FROM diagnostics WHERE column_name = 'protect'"
ok "nor which of its pages are private, and the fault says why" says lost 'unmapped ' "SELECT fault FROM diagnostics WHERE message LIKE 'some prototype PTEs%'"
ok "what leads to no section is not backed by the page file" says lost 'implausible ' "SELECT fault FROM diagnostics WHERE table_name = 'vads' AND column_name = 'file_path'"
ok "handles are not counted for what there is" says lost 'not_in_dump ' "SELECT fault FROM diagnostics WHERE column_name = 'handle_count'"

# More pages of code were changed than originals are looked for elsewhere, and the section's own are not in the dump.
changes=$(for page in $(seq 1 70); do printf '0x%x:90,' $((page * 4096 + 64)); done)
case_of originals <<END
machine build=10.0.19041.1466 ram=8M computer=MISSING
file path=C:\Windows\System32\large.dll exports=Alpha text=70 base=0x7ffb10000000
process name=clean.exe pid=1000 ppid=4 path=C:\Windows\clean.exe
 image file=C:\Windows\System32\large.dll
process name=changed.exe pid=1100 ppid=4 path=C:\Windows\changed.exe
 image file=C:\Windows\System32\large.dll patch=${changes%,}
defect kind=hole va=0x7ffb10001000 pid=1000 pages=70
output format=lime
END
ok "originals that were not looked for are told" says originals 'changed.exe|1 ' "SELECT p.name, count(*) FROM diagnostics d JOIN processes p USING (process_id)
	WHERE table_name = 'image_patches' AND fault = 'limit' GROUP BY 1"

# What an acquisition couldn't read is zeros in a raw image. A VAD at address 0 without children it isn't: not the root, not below.
whole() {
	cat <<-'END'
		# Zeros.
		machine build=10.0.19041.1466 ram=6M computer=MISSING
		process name=prog.exe pid=1000 ppid=4 path=C:\Windows\prog.exe
		 vad start=0x20000000 pages=1 protect=PAGE_EXECUTE_READ content=shellcode
		process name=other.exe pid=1100 ppid=4 path=C:\Windows\other.exe
	END
}
whole | case_of vads
for which in 'min(node)' 'max(node)'; do
	node=$(sqlite3 "$work/vads.db" "SELECT $which FROM vads JOIN processes USING (process_id) WHERE pid = 1000")
	{ whole; for ((at = 0; at < 0x40; at += 8)); do printf 'defect kind=poke va=0x%x value=0\n' $((node + at)); done; } | case_of blank
	ok "a blank node ($which) is no VAD, and is told" says blank '0|1 ' "SELECT count(*), (SELECT count(*) > 0 FROM diagnostics WHERE table_name = 'vads' AND message LIKE '%no sane range')
		FROM vads WHERE start_address = 0"
	ok "what it led to is no attack" says blank '0 ' "SELECT count(*) FROM findings WHERE rule IN ('executable_memory_without_vad', 'hollowed_process')"
done
