#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where a machine stopped: registers, the thread and process that ran, and which values on its stack stand behind a call, in all the
# forms that calls have.
. "$(dirname "$0")/common.sh"
needs sqlite3 python3
[ -x "$mksample" ] || { echo "mksample is not built"; exit 77; }
cd "$work" || exit 1

# call rel32; call rax; call r8; call [rax+8]; call [rax+disp32]; call [rip+disp32]; call [rsp+8]; call [rax*1+disp32]; jmp [rip+disp32]; push [rax]
forms=e801000000,ffd0,41ffd0,ff5008,ff9011223344,ff1511223344,ff542408,ff140511223344,ff2511223344,ff30
code= calls=
for form in ${forms//,/ }; do
	code+=$form
	calls+=,$(printf 'example.sys+0x%x' $((0x1100 + ${#code} / 2)))
	code+=9090909090909090
done
cat >crash.txt <<END
# A crash.
machine build=10.0.19041.1466 ram=6M
crash code=0xd1 p1=0x28
driver name=example.sys text=2 patch=0x1100:$code
process name=smss.exe pid=300 ppid=4 path=C:\\Windows\\System32\\smss.exe bare
process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\\Windows\\System32\\notepad.exe
 thread tid=1204 current calls=${calls#,}
output format=full
END
"$mksample" crash.txt crash.dmp || die "sample"
# As kernels write it, whatever led to the bugcheck: a breakpoint without parameters.
status 0 "$memsieve" analyze -q -o none.db crash.dmp || die "analyze"
ok "a breakpoint of every bugcheck is no exception" [ "$(sqlite3 none.db 'SELECT count(exception_code) + count(exception_address), count(instruction_pointer) FROM crash')" = '0|1' ]
# The parameters of some codes say what was raised before. CODE AND PARAMETERS; address, information: what is expected
raised() {
	sed "s/^crash .*/crash $1/" crash.txt >raised.txt
	"$mksample" raised.txt raised.dmp && rm -f raised.db && status 0 "$memsieve" analyze -q -o raised.db raised.dmp &&
		[ "$(sqlite3 raised.db "SELECT printf('%x %x ', exception_code, exception_address) || ifnull(exception_information, '-') || live FROM crash")" = "$2" ]
}
ok "an access violation before it" raised 'code=0x1e p1=0xffffffffc0000005 p2=0xfffff80000012345 p3=1 p4=0x289' 'c0000005 fffff80000012345 ["0x1","0x289"]0'
ok "another exception, of a thread" raised 'code=0x1000007e p1=0xffffffffc000001d p2=0xfffff80000012345 p3=1 p4=2' 'c000001d fffff80000012345 -0'
ok "none of other codes" raised 'code=0xd1 p1=0xffffffffc0000005 p2=2 p3=1 p4=2' '0 0 -0'
ok "what DumpIt writes is no crash" raised 'code=0x5454414d p1=0x4e4f4f4d' '0 0 -1'
# EXCEPTION_RECORD64: NumberParameters and two words of ExceptionInformation
put() { printf "$2" | dd of=crash.dmp bs=1 seek=$(($1)) conv=notrunc status=none; }
put 0xf18 '\2' && put 0xf20 '\1' && put 0xf28 '\50' || die "exception record"
status 0 "$memsieve" analyze -q -o case.db crash.dmp || die "analyze"
sql() { sqlite3 case.db "$1"; }
ok "each return address once" [ "$(sql 'SELECT count(*) FROM crash_stack WHERE position > 0')" = 10 ]
ok "calls in every form, and what is none" [ "$(sql 'SELECT group_concat(after_call, "") FROM (SELECT after_call FROM crash_stack WHERE position > 0 ORDER BY position)')" = 1111111100 ]
ok "in the driver" [ "$(sql "SELECT group_concat(DISTINCT module) FROM crash_stack WHERE position > 0")" = example.sys ]
ok "the thread and the process that ran" [ "$(sql 'SELECT p.name, t.tid FROM crash c JOIN processes p USING (process_id) JOIN threads t ON t.ethread = c.thread')" = 'notepad.exe|1204' ]
ok "the instruction pointer is that of the registers" [ "$(sql "SELECT json_extract(registers, '\$.rip') = printf('0x%x', instruction_pointer) FROM crash")" = 1 ]
ok "the stack is where they say" [ "$(sql "SELECT min(address) > kernel_stack_limit AND max(address) < kernel_stack_base FROM crash_stack, crash c JOIN threads t ON t.ethread = c.thread WHERE position > 0")" = 1 ]
ok "the exception record" [ "$(sql "SELECT exception_information || (exception_address = instruction_pointer) FROM crash")" = '["0x1","0x28"]1' ]
ok "the edition and the processors" [ "$(sql 'SELECT product_type, suite_mask, processors FROM dumps')" = 'workstation|272|1' ]
ok "info says so too" sh -c "'$memsieve' info crash.dmp | grep -q 'x64, 1 processor, workstation, suite mask 0x110'"
ok "the query names the driver" sh -c "'$memsieve' query case.db crashes | grep -q 'DRIVER_IRQL_NOT_LESS_OR_EQUAL.*notepad.exe.*example.sys'"

# A page of the stack is missing: the upper of two, where the stack pointer (CONTEXT.Rsp, in the header) lies in the lower.
base=$(sql "SELECT kernel_stack_base FROM crash c JOIN threads t ON t.ethread = c.thread")
{ cat crash.txt; echo "defect kind=hole va=$(printf '0x%x' $((base - 0x1000)))"; } >hole.txt
"$mksample" hole.txt hole.dmp || die "sample with a hole"
for ((i = 0; i < 8; i++)); do
	printf "\\x$(printf %02x $((base - 0x1800 >> 8 * i & 255)))"
done | dd of=hole.dmp bs=1 seek=$((0x348 + 0x98)) conv=notrunc status=none
status 3 "$memsieve" analyze -q -o hole.db hole.dmp || die "analyze the one with a hole"
ok "a hole in the stack is told" [ "$(sqlite3 hole.db "SELECT count(*) FROM diagnostics WHERE table_name = 'crash_stack' AND fault = 'not_in_dump' AND message LIKE '%has a page%'")" = 1 ]
ok "but not the end of a whole one" [ "$(sql "SELECT count(*) FROM diagnostics WHERE table_name = 'crash_stack'")" = 0 ]

# Windows XP, whose threads name their process elsewhere.
cat >xp.txt <<END
machine build=5.1.2600.5512-x86 ram=6M
crash code=0xd1 p1=0x28
process name=smss.exe pid=300 ppid=4 path=C:\\Windows\\System32\\smss.exe bare
process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\\Windows\\System32\\notepad.exe
 thread tid=1204 current
output format=full
END
"$mksample" xp.txt xp.dmp || die "sample of Windows XP"
status 0 "$memsieve" analyze -q -o xp.db xp.dmp || die "analyze Windows XP"
ok "the process that ran on Windows XP" [ "$(sqlite3 xp.db 'SELECT p.name, t.tid FROM crash c JOIN threads t ON t.ethread = c.thread LEFT JOIN processes p ON p.process_id = c.process_id')" = 'notepad.exe|1204' ]
# Live dumps, by their header and by their code; and a header that a tool wrote, which has none. The machine went on.
for output in 'bitmap-kernel live=0xd1' 'triage=0x193' 'full=0x161' 'full=0x117' 'full=0x0' 'full=0xd1'; do
	sed "s/code=0xd1/code=${output#*=}/; s/format=full/format=${output%=*}/" xp.txt | sed 's/build=.*/build=10.0.19041.1466 ram=6M time=2024-03-01T09:15:27.1234567Z/; /current/d' >live.txt
	rm -f live.db
	"$mksample" live.txt live.dmp && { "$memsieve" analyze -q -o live.db live.dmp || [ $? = 3 ]; } || die "$output"
	stops=$([ "$output" = full=0xd1 ]; echo $((!$?)))
	ok "$output: in the timeline" [ "$(sqlite3 live.db "SELECT count(*) || '|' || (SELECT count(*) FROM timeline WHERE event = 'crash') FROM crash")" = "1|$stops" ]
	ok "among the crashes" [ "$("$memsieve" query live.db crashes -f jsonl | wc -l)" = "$stops" ]
	"$memsieve" report -q live.db -o live.html || die "report of $output"
	ok "in a report" [ "$(python3 - <<-'EOF'
	import base64, json, re, zlib
	blocks = {i: json.loads(zlib.decompress(base64.b64decode(b))) for i, b in re.findall(r'<script type="text/plain" id="([^"]*)">([^<]*)</script>', open('live.html').read())}
	value = lambda t, name: t['rows'][0][t['columns'].index(name)]
	print(value(blocks['case']['machines'], 'bugcheck') is not None, value(blocks['dump-1']['crash'], 'live'))
EOF
	)" = "$(case $output in full=0xd1) echo True 0;; full=0x0) echo False 0;; *) echo False 1;; esac)" ]
done
# A case of before the column.
sqlite3 live.db "DROP VIEW timeline; DROP VIEW v_crash; ALTER TABLE crash DROP COLUMN live"
ok "a crash of an older case" [ "$("$memsieve" query live.db timeline -s event=crash -f jsonl | wc -l)" = 1 ]
sqlite3 live.db "UPDATE dumps SET format = 'windows-live'"
ok "and its live dump" [ "$("$memsieve" query live.db timeline -s event=crash -f jsonl | wc -l)" = 0 ]

# A thread that was attached to another process: the same process is named by a whole dump and a small one, and the thread is nobody's there.
for build in 10.0.19041.1466 6.1.7601.17514-x86; do
	for format in full triage; do
		cat >attached.txt <<-END
			machine build=$build ram=6M
			crash code=0xd1 p1=0x28
			process name=smss.exe pid=300 ppid=4 path=C:\\Windows\\System32\\smss.exe bare
			process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\\Windows\\System32\\notepad.exe
			 thread tid=1204 current attached=300
			output format=$format
		END
		"$mksample" attached.txt attached.dmp || die "sample of an attached thread"
		rm -f attached.db
		"$memsieve" analyze -q -o attached.db attached.dmp >out 2>err || [ $? = 3 ] || die "analyze an attached thread"
		ok "$build, $format: whose memory an attached thread had" [ "$(sqlite3 attached.db 'SELECT p.name FROM crash JOIN processes p USING (process_id)')" = smss.exe ]
		ok "$build, $format: and whose it is" [ "$(sqlite3 attached.db 'SELECT t.owner_pid, p.pid FROM threads t LEFT JOIN processes p USING (process_id) WHERE t.tid = 1204')" = \
			"1200|$([ $format = triage ] || echo 1200)" ]
	done
done

# A small dump has no memory of processes.
ok "nothing of a small dump is suspicious, and nothing is missed" [ "$("$memsieve" extract -o extracted --all-suspicious attached.db 2>&1)" = '0 files in extracted, 0 of them with missing pages' ]
echo "$checks checks"
