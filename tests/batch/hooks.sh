#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# samples/tiny/hooks-19041: each change that was made to an image is one row, with what it was and where it leads; and nothing else is.
. "$(dirname "$0")/common.sh"
set -e
needs sqlite3

"$mksample" "$srcdir/samples/tiny/hooks-19041.txt" "$work/dump"
"$memsieve" analyze -q -o "$work/case.db" "$work/dump"
sqlite3 "$work/case.db" >"$work/found" <<'END'
SELECT coalesce(p.name, i.path), kind, x.section, function, function_offset, original IS NOT NULL, printf('0x%x', target), target_module
	FROM image_patches x JOIN images i USING (image_id) LEFT JOIN processes p ON p.process_id = i.process_id ORDER BY x.rowid;
SELECT 'stub', p.name, c.name, number, number_from, place, current_number, printf('0x%x', target) FROM system_call_stubs c JOIN images i USING (image_id)
	JOIN processes p USING (process_id) WHERE hooked ORDER BY c.rowid;
SELECT 'stubs', count(*), min(number), max(number), sum(hooked) FROM system_call_stubs WHERE NOT hooked;
SELECT severity, rule, count(*) FROM findings WHERE rule IN ('driver_hooked', 'import_table_hooked', 'export_table_hooked', 'system_call_stub_hooked', 'wiped_header',
	'export_outside_image', 'unusual_section_name') GROUP BY rule, severity ORDER BY rule, severity;
SELECT 'wiped', rebuilt_from, import_hash IS NOT NULL, is_64bit, (SELECT count(*) FROM image_exports e WHERE e.image_id = i.image_id),
	(SELECT count(*) FROM image_imports m WHERE m.image_id = i.image_id) FROM images i WHERE header_state = 'wiped';
END
cat >"$work/expected" <<'END'
hooked.sys|inline_hook|.text|HookedCall|0|0|0xffff800000001000|
import.sys|import_hook|.rdata|ntoskrnl.exe!NtClose||1|0xffff800000001000|
forward.sys|import_hook|.rdata|halext.sys!HalClose||1|0xffff800000001000|
table.sys|data|.rdata|||0|0xffff800000002000|
victim.exe|import_hook|.rdata|api-ms-win-core-file-l1-1-0.dll!CreateFileW||1|0x20000040|
victim.exe|export_hook|.rdata|Beta||1|0x7ffb20000000|
victim.exe|inline_hook|.text|NtClose|0|1|0x20000040|
victim.exe|patch|.text|NtWriteVirtualMemory|3|1|0x0|
shimmed.exe|import_hook|.rdata|kernel32.dll!ReadFile||1|0x7ffb10011040|apphelp.dll
stub|victim.exe|NtClose|4|original|1||0x20000040
stub|victim.exe|NtWriteVirtualMemory|12|original|9|5|0x0
stubs|10|3|12|0
high|driver_hooked|4
high|export_table_hooked|1
high|import_table_hooked|1
low|import_table_hooked|1
high|system_call_stub_hooked|1
info|system_call_stub_hooked|1
high|wiped_header|1
wiped|imports,exports|1|1|2|2
END
diff -u "$work/expected" "$work/found"

# Written back, the one without headers is an image that names what it imports.
"$memsieve" extract -q -o "$work/out" --pid 1300 --base 0x30000000 "$work/case.db" >/dev/null || [ $? = 3 ]	# 3: pages are missing
file=$(echo "$work"/out/*.pe)
[ "$(od -An -tx1 -N2 "$file" | tr -d ' ')" = 4d5a ]
grep -q WriteProcessMemory "$file"
# Files are named by what the dump says, and stay in the folder.
"$memsieve" extract -q -o "$work/all" --all-suspicious "$work/case.db" >/dev/null || [ $? = 3 ]	# 3: pages are missing
[ "$(find "$work/all" -type f | wc -l)" = "$(find "$work/all" -maxdepth 1 -type f -name '[0-9a-z]*' | wc -l)" ]
# Regions have their whole size: what is missing at their end is zeros as elsewhere.
for region in "$work"/all/*.bin; do
	[ "$(stat -c %s "$region")" = "$(sed -n 's/^  "size": \([0-9]*\),$/\1/p' "$region.json" | tail -n 1)" ]
done
