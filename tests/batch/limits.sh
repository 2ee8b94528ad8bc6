#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A limit that bites says so: each of these, at its least, takes something away, and the case and the exit status tell it.
. "$(dirname "$0")/common.sh"
needs sqlite3

make_samples attacks-19041
dump=$work/dumps/attacks-19041.raw
printf -- '-- rule: each\n-- severity: low\n-- title: {pid}\nSELECT dump_id, process_id, pid FROM processes WHERE dump_id = :dump_id\n' >"$work/each.sql"
mkdir "$work/rules" && mv "$work/each.sql" "$work/rules"
ok "nothing bites by itself" status 0 "$memsieve" analyze -q --rules "$work/rules" -o "$work/whole.db" "$dump"
ask() { sqlite3 "$work/$1.db" "$2"; }
told="SELECT count(*) > 0 FROM diagnostics WHERE fault IN ('limit', 'timeout')"
[ "$(ask whole "$told")" = 0 ] || die "a limit bites in an honest dump"

bites() {
	rm -f "$work/bitten.db"
	status 3 "$memsieve" analyze -q --rules "$work/rules" -o "$work/bitten.db" --limit "$1=1" "$dump" && [ "$(ask bitten "$told")" = 1 ]
}
for name in list_entries vad_nodes regions module_entries module_search handle_entries image_mappings exports_kept environment_bytes code_bytes \
	text_bytes directory_entries token_groups drivers sweep_hits sweep_mappings rows_process rows_plugin row_bytes_process row_bytes_plugin findings_rule \
	findings_bytes finding_text; do
	ok "$name" bites $name
done

# Images that are not kept are on the loader's lists all the same.
listed() {
	local query="SELECT count(*), sum(in_load_order = 0) FROM modules"
	rm -f "$work/bitten.db"
	status 3 "$memsieve" analyze -q --rules "$work/rules" -o "$work/bitten.db" --limit module_bytes=2000 "$dump" && [ "$(ask bitten "$told")" = 1 ] &&
		[ "$(ask bitten "$query")" = "$(ask whole "$query")" ]
}
ok "module_bytes" listed

# What has too many exports takes no others' place.
make_samples hooks-19041
small_fit() {
	status 3 "$memsieve" analyze -q -o "$work/small.db" --limit exports_kept=8 "$work/dumps/hooks-19041.raw" &&
		[ "$(ask small "SELECT count(*) > 0 AND min((SELECT count(*) FROM image_exports e JOIN images i USING (image_id) WHERE i.base = d.address)) > 8
			FROM diagnostics d WHERE fault = 'limit'")" = 1 ]
}
ok "exports_kept is for those that fit" small_fit

# Findings that are cut are whole JSON still, and none is lost where they are written rule by rule.
cut_short() { bites finding_text && [ "$(ask bitten "SELECT count(*) > 0 AND count(*) = sum(json_valid(coalesce(detail, '{}'))) FROM findings")" = 1 ]; }
ok "findings that are cut" cut_short
same_findings() {
	status 0 "$memsieve" analyze -q --rules "$work/rules" -o "$work/parts.db" --limit row_bytes_waiting=1 "$dump" &&
		cmp <(ask whole "SELECT * FROM findings") <(ask parts "SELECT * FROM findings")
}
ok "findings in parts" same_findings
# A reference to a row that is left out leads nowhere, not to what stands in its place: another process's.
own_rows() {
	local kept
	for kept in 2000 4000 8000 16000; do
		rm -f "$work/some.db"
		status 3 "$memsieve" analyze -q -o "$work/some.db" --limit row_bytes_process=$kept "$dump" || return 1
		[ "$(ask some "SELECT count(*) FROM (SELECT process_id, vad_id FROM modules UNION ALL SELECT process_id, vad_id FROM images UNION ALL SELECT process_id, vad_id FROM regions)
			r JOIN vads v USING (vad_id) WHERE v.process_id <> r.process_id")" = 0 ] || return 1
	done
}
ok "references to rows left out" own_rows

# A sparse file: what lies in its holes is neither searched nor, where there is too much of it, hashed; nothing else is missing.
cp "$dump" "$work/sparse.raw"
truncate -s +64M "$work/sparse.raw"
whole_rows=$(ask whole "SELECT count(*) FROM regions")
sparse() {
	rm -f "$work/sparse.db"
	status "$1" "$memsieve" analyze -q --rules "$work/rules" -o "$work/sparse.db" "${@:2}" "$work/sparse.raw" && [ "$(ask sparse "SELECT count(*) FROM regions")" = "$whole_rows" ]
}
hashed() {
	sparse 0 && [ "$(ask sparse "SELECT sha256 FROM dumps")" = "$(sha256sum <"$work/sparse.raw" | cut -d' ' -f1)" ]
}
not_hashed() {
	sparse 3 "$@" && [ "$(ask sparse "SELECT sha256 IS NULL FROM dumps")" = 1 ] && ask sparse "SELECT message FROM diagnostics WHERE fault = 'limit'" | grep -q hash_holes
}
ok "a sparse file is hashed" hashed
ok "hash_holes" not_hashed --limit hash_holes=1
if truncate -s 4T "$work/sparse.raw"; then
	ok "terabytes of holes" not_hashed
fi
# Where so little is read that no kernel is found, or the search for it ends, the limit is what is told.
make_samples changed-19041 hidden-19041 defect-truncated-full defect-truncated-tables format-avml format-bitmap-full format-complete format-kdump format-lime format-hibernation format-vmrs format-elf format-triage format-vmss
needs python3
# "slow" is a dump and millions of streams that hold next to nothing, which pack to next to nothing.
(cd "$work/dumps" && python3 -c 'import bz2, gzip, struct, zipfile
with open("format-avml.raw", "rb") as f, open("lies.raw", "wb") as out:
    out.write(f.read() + 3 * (struct.pack("<IIQQQ", 0x4c4d5641, 2, 1 << 40, (1 << 40) + 4095, 0) + struct.pack("<IQ", 2, 0)))
with zipfile.ZipFile("zipped.raw", "w") as z:
    z.writestr("note", "text")
    z.write("format-lime.raw")
with zipfile.ZipFile("crowded.raw", "w") as z:
    z.write("format-lime.raw")
    for n in range(3000):
        z.writestr("note %d" % n, "")
with zipfile.ZipFile("two.raw", "w", zipfile.ZIP_DEFLATED) as z:
    z.write("format-lime.raw", "host1.lime")
    z.write("format-kdump.raw", "host2")
    z.writestr("large.txt", 200000 * "text")
    z.writestr("other.mem", bytes(1 << 20))
with zipfile.ZipFile("one.raw", "w", zipfile.ZIP_DEFLATED) as z:
    z.write("attacks-19041.raw", "a.vmem")
    z.write("format-vmss.raw", "a.vmss")
    z.writestr("pagefile.sys", bytes(3 << 20))
    z.writestr("large.txt", 200000 * "text")
with gzip.open("slow.raw", "wb", 1) as g:
    g.write(bz2.compress(open("format-lime.raw", "rb").read()))
    for n in range(100):
        g.write(bz2.compress(b"a") * 30000)')
told_why() {	# told_why LIMIT SAMPLE WORDS
	rm -f "$work/bitten.db"
	"$memsieve" analyze -q -o "$work/bitten.db" --limit "$1=1" "$work/dumps/$2.raw" >"$work/out" 2>"$work/err"
	case $? in
	1) grep -q "$3" "$work/err" ;;
	3) [ "$(ask bitten "SELECT count(*) FROM diagnostics WHERE fault = 'limit' AND message LIKE '%$3%'")" = 1 ] ;;
	*) return 1 ;;
	esac
}
while read -r name sample words; do
	ok "$name of $sample" told_why "$name" "$sample" "$words"
done <<-end
	lime_ranges format-avml more than 1 ranges
	avml_chunks format-avml more than 1 chunks
	image_notes lies 2 of them on what could not be read (image_notes)
	crashdump_bitmap format-bitmap-full crashdump_bitmap
	crashdump_ranges format-bitmap-full more than 1 ranges
	crashdump_ranges format-complete more than 1 ranges
	kdump_ranges format-kdump more than 1 ranges
	kdump_bitmap format-kdump kdump_bitmap
	lime_ranges format-lime more than 1 ranges
	hibernation_runs format-hibernation more than 1 runs
	vmrs_objects format-vmrs more than 1 tables
	vmrs_ranges format-vmrs more than 1 ranges
	elf_segments format-elf program headers, above 1
	note_bytes format-elf note_bytes
	kernel_search attacks-19041 kernel_search
	kernel_search_all attacks-19041 kernel_search
	kernel_search format-lime kernel_search
	kernel_looks changed-19041 kernel_looks
	crash_stack format-triage the stack goes on
	kernel_directories attacks-19041 kernel_directories
	rescue_tables defect-truncated-full page tables of processes
	rescue_tables defect-truncated-tables page tables of the kernel that
	rescue_pages defect-truncated-full page tables of processes
	rescue_pages defect-truncated-tables page tables of the kernel that
	list_entries hidden-19041 or more roots than are taken
	archive_members zipped more than 1 files
	archive_members crowded directory is longer than that of 1 files (archive_members)
	unpack_seconds slow (unpack_seconds, unpack_seconds_gib)
end
# Of an archive one dump is taken: others are left, which what only belongs to one is not.
of_archive() {	# of_archive STATUS ROWS ARCHIVE
	rm -f "$work/archive.db"
	status "$1" "$memsieve" analyze -q -o "$work/archive.db" "$work/dumps/$3.raw" &&
		[ "$(ask archive "SELECT count(*) FROM diagnostics WHERE message LIKE '%the largest is taken, host1.lime: 2 others look like dumps%the first is host2'")" = "$2" ]
}
ok "an archive of three dumps" of_archive 3 1 two
ok "one of a dump and what belongs to it" of_archive 0 0 one
# What processes have together: each may have an eighth of what is left. Three are found again without a limit.
together() {
	rm -f "$work/tables.db"
	status 3 "$memsieve" analyze -q -o "$work/tables.db" --limit rescue_tables=2 "$work/dumps/defect-truncated-full.raw" &&
		ask tables "SELECT message FROM diagnostics" | grep -q 'of 2 of 4 processes some were found again' && ask tables "SELECT message FROM diagnostics WHERE fault = 'limit'" | grep -q rescue_tables
}
ok "rescue_tables of all processes together" together
# What is extracted of a process, most of whose memory is one region.
cat >"$work/large.txt" <<'end'
machine build=10.0.19041.1466 ram=8M time=2024-03-01T09:15:27.1234567Z computer=LARGE
process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare
process name=notepad.exe pid=1200 ppid=300 session=1 path=C:\Windows\System32\notepad.exe
 vad start=0x10000000 pages=1400 content=text:hello valid=1400
output format=raw
end
"$mksample" "$work/large.txt" "$work/large.raw" >/dev/null && status 0 "$memsieve" analyze -q -o "$work/large.db" "$work/large.raw" || die "a sample of one large region"
extracted() {	# extracted STATUS LIMIT OPTION…: a description names the limit, or null
	rm -rf "$work/extracted"
	status "$1" "$memsieve" extract -o "$work/extracted" "${@:3}" "$work/large.db" && grep -qF "\"limit\": $2," "$work/extracted"/*.json
}
region="--pid 1200 --base 0x10000000"
most=$("$memsieve" limits | sed -n '/(fixed)$/!s/ .*/=9223372036854775807/p' | sed 's/^/--limit /')
ok "a region is whole" extracted 0 null $region
ok "as much as numbers go" extracted 0 null $region $most
cut_region() {
	extracted 3 '"extract_bytes"' $region --limit extract_bytes=1 --limit extract_bytes_ratio=1 && grep -q '(extract_bytes)' "$work/out" &&
		[ "$(stat -c %b "$work/extracted"/*.bin)" -lt 8000 ]
}
ok "extract_bytes" cut_region
ok "extract_slots" extracted 3 '"extract_slots"' --pid 1200 --limit extract_slots=1
ok "extract_slots_all" extracted 3 '"extract_slots"' --pid 1200 --limit extract_slots_all=1
# What is cut is the list alone: large kernel dumps have hundreds of thousands, and nothing of them is missed.
listed() { status 0 "$memsieve" analyze -q -o "$work/listed.db" --limit ranges=2 "$work/dumps/format-lime.raw" && [ "$(ask listed "$told")" = 1 -a "$(ask listed "SELECT status FROM runs")" = complete ]; }
ok "a list of ranges that is cut" listed
# One that is reached and not exceeded takes nothing away.
ok "as many ranges as there are" status 0 "$memsieve" analyze -q -o "$work/three.db" --limit lime_ranges=3 "$work/dumps/format-lime.raw"

# A region that is scanned in parts: what a rule needs stands 18 MiB apart.
cat >"$work/parts.txt" <<'end'
machine build=10.0.19041.1466 ram=40M time=2024-03-01T09:15:27.1234567Z computer=PARTS
process name=notepad.exe pid=1200 ppid=4 session=1 path=C:\Windows\System32\notepad.exe
 vad start=0x10000000 pages=5120 protect=PAGE_EXECUTE_READWRITE content=text:FIRSTONE valid=5120
defect kind=poke pid=1200 va=0x11200000 value=0x4e4f444e4f434553
output format=raw
end
"$mksample" "$work/parts.txt" "$work/parts.raw" >/dev/null || die "a sample of a region of 20 MiB"
in_parts() {	# in_parts ROWS CONDITION; so much code is cut short anyway (code_bytes)
	printf 'rule apart { strings: $a = "FIRSTONE" $b = "SECONDON" condition: %s }' "$2" >"$work/apart.yar"
	rm -f "$work/parts.db"
	status 3 "$memsieve" analyze -q -o "$work/parts.db" --no-builtin-rules --yara "$work/apart.yar" "$work/parts.raw" &&
		[ "$(ask parts "SELECT count(*) FROM diagnostics WHERE message LIKE '%(yara_part, yara_part_runs)%the first is apart'")" = "$1" ]
}
ok "a condition that parts can't meet" in_parts 1 '$a and $b'
ok "one that they can" in_parts 0 '$a or $b'

# A driver may have an eighth of what is left for the exports that name callbacks: one that has more than that leaves the other's as they are.
cat >"$work/description" <<'END'
machine build=10.0.19041.1466 ram=6M
driver name=named.sys exports=Alpha,Beta
driver name=other.sys exports=Gamma
callback type=process function=named.sys+0x1044
callback type=process function=named.sys+0x1080
callback type=process function=named.sys+0x2ff0
callback type=process function=other.sys+0x1040
process name=a.exe pid=1000 ppid=4 path=C:\Windows\System32\a.exe
END
"$mksample" "$work/description" "$work/named.raw" || die "named.raw"
named() {	# named STATUS EXPECTED OPTION…
	rm -f "$work/named.db"
	status "$1" "$memsieve" analyze -q -o "$work/named.db" "${@:3}" "$work/named.raw" &&
		[ "$(ask named "SELECT group_concat(coalesce(symbol, '-')) FROM (SELECT symbol FROM callbacks ORDER BY address)")" = "$2" ]
}
ok "callbacks are named" named 0 Alpha+0x4,Beta,-,Gamma
ok "driver_exports" named 3 -,-,-,Gamma --limit driver_exports=300
ok "driver_exports is told" [ "$(ask named "SELECT count(*) FROM diagnostics WHERE fault = 'limit' AND message LIKE '%driver_exports%'")" = 1 ]

# DLLs of one name, or drivers, whose one export is forwarded to all of them: 16 to the power of 8 ways. The processor time tells, as other work may run beside it.
namesakes() {
	local i
	echo "machine build=10.0.19041.1466 ram=10M"
	if [ "$1" = drivers ]; then
		for i in {1..16}; do echo "driver name=evil.sys exports=f>evil.f"; done
		echo 'driver name=user.sys imports=evil.sys!f patch=0x2000:001000000080ffff'
		echo 'process name=a.exe pid=1000 ppid=4 path=C:\Windows\System32\a.exe'
		return
	fi
	for i in {1..16}; do echo "file path=C:\\$i\\evil.dll exports=f>evil.f"; done
	echo 'file path=C:\Windows\System32\user.dll exports=g imports=evil.dll!f'
	echo 'process name=a.exe pid=1000 ppid=4 path=C:\Windows\System32\a.exe'
	for i in {1..16}; do echo " image file=C:\\$i\\evil.dll"; done
	echo ' image file=C:\Windows\System32\user.dll patch=0x3000:0000002000000000'
}
forwarded() {
	namesakes "$1" >"$work/description" && "$mksample" "$work/description" "$work/forwarded.raw" || return 1
	rm -f "$work/forwarded.db"
	(ulimit -t 10; status 3 "$memsieve" analyze -q -o "$work/forwarded.db" --limit run_seconds=4000 --limit plugin_seconds=1000 --limit process_seconds=1000 \
		"$work/forwarded.raw") || return 1
	[ "$(ask forwarded "SELECT group_concat(DISTINCT fault) FROM diagnostics WHERE fault IN ('limit', 'timeout')")" = limit ] &&
		ask forwarded "SELECT message FROM diagnostics WHERE fault = 'limit'" | grep -q import_looks
}
ok "forwarders of DLLs of one name" forwarded files
ok "forwarders of drivers of one name" forwarded drivers

# A process has its own ntdll, and there are two more of that name.
{
	echo 'machine build=10.0.19041.1466 ram=6M'
	for i in 1 2; do echo "file path=C:\\$i\\ntdll.dll exports=A"; done
	echo 'process name=a.exe pid=1000 ppid=4 path=C:\Windows\System32\a.exe'
	for i in 1 2; do echo " image file=C:\\$i\\ntdll.dll"; done
} >"$work/description"
"$mksample" "$work/description" "$work/dumps/ntdlls.raw" || die "ntdlls.raw"
ntdlls() {
	rm -f "$work/ntdlls.db"
	status 3 "$memsieve" analyze -q -o "$work/ntdlls.db" "$work/dumps/ntdlls.raw" &&
		[ "$(ask ntdlls "SELECT count(*) FROM diagnostics WHERE fault = 'limit' AND message LIKE '%(ntdlls)%'")" = 1 ]
}
ok "ntdlls" ntdlls

# A rule's limits are told as such, and the other rules go on.
mkdir "$work/endless"
rule() { printf -- "-- rule: $1\n-- severity: low\n-- title: endless\nWITH x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x) SELECT $2 AS address FROM x\n" >"$work/endless/$1.sql"; }
rule slow 'max(a)'
rule large 'length(hex(zeroblob(30000000)))'
fault_of() { ask endless "SELECT fault FROM diagnostics WHERE plugin = 'findings' AND message LIKE '%$1.sql%'"; }
endless() {
	status 3 "$memsieve" analyze -q --rules "$work/endless" -o "$work/endless.db" --limit rule_seconds=1 --limit query_memory=64M "$dump" &&
		[ "$(fault_of slow)" = timeout ] && [ "$(fault_of large)" = limit ] && [ "$(ask endless 'SELECT count(*) > 0 FROM findings')" = 1 ]
}
ok "a rule that takes too long, one that takes too much" endless
# Every path as long as Windows has them, and such that looking for each of its characters in all of it takes a second.
long_paths() {
	cp "$work/whole.db" "$work/long.db"
	sqlite3 "$work/long.db" "CREATE TEMP TABLE t AS SELECT 'C:\Windows\' || replace(printf('%16000s', ''), ' ', 'x') || replace(printf('%16000s', ''), ' ', 'y') AS path;
		UPDATE processes SET image_path = (SELECT path || 'z' FROM t), peb_image_path = (SELECT path FROM t);
		UPDATE vads SET file_path = (SELECT path FROM t); UPDATE images SET path = (SELECT path FROM t);
		UPDATE modules SET path = (SELECT path FROM t), mapped_path = (SELECT path || 'z' FROM t);"
}
cheap() { (ulimit -t "$2"; printf '.parameter set :dump_id 1\n.read %s\n' "$3" | sqlite3 "$work/$1.db" >/dev/null); }	# cheap CASE SECONDS RULE
ok "paths as long as they get" long_paths
for rule in "$srcdir"/rules/sql/*.sql; do
	ok "$(basename "$rule") with long paths" cheap long 1 "$rule"
done
# Thousands of planted processes, each with a diagnostic, cost a rule no more than their number: one that goes through all for each is
# ended, and finds nothing. Processor time, as other work may run beside it.
planted() {
	local doubled double="UPDATE t SET process_id = process_id + (SELECT max(process_id) FROM processes), pid = pid + (SELECT max(pid) FROM processes), in_cid_table = 0;
		INSERT INTO processes SELECT * FROM t; DELETE FROM t; INSERT INTO t SELECT * FROM processes WHERE pid > 4;
		INSERT INTO diagnostics SELECT * FROM diagnostics;"
	{
		echo "CREATE TEMP TABLE t AS SELECT * FROM processes WHERE pid > 4; BEGIN;"
		for doubled in 1 2 3 4 5 6 7 8 9 10; do echo "$double"; done
		echo "COMMIT;"
	} | sqlite3 "$work/whole.db"
	[ "$(ask whole 'SELECT count(*) > 20000 FROM processes')" = 1 ]
}
ok "processes are planted" planted
for rule in "$srcdir"/rules/sql/*.sql; do
	ok "$(basename "$rule") among planted processes" cheap whole 5 "$rule"
done

wrong() {
	status 2 "$memsieve" analyze -q -o "$work/never.db" --limit "$1" "$dump" && [ -s "$work/err" ] && [ ! -e "$work/never.db" ]
}
for value in 0 -1 18446744073709551616 9223372036854775808 text '' 1.5 1e9 ' 5' 0x10 5KK 9000000T; do
	ok "no number: '$value'" wrong "vad_nodes=$value"
done
ok "a limit without a value" wrong vad_nodes
ok "a limit there is not" wrong vad_node=5
ok "a limit that is fixed" wrong pe_name=5
ok "no memory at all" wrong memory_bytes=1
ok "too little memory" wrong memory_bytes=63M
listed() { [ "$("$memsieve" limits --json | grep -c '"fixed": true')" = "$("$memsieve" limits | grep -c '(fixed)$')" ]; }
ok "the fixed ones are in the JSON too" listed
ok "as much as numbers go" status 0 "$memsieve" analyze -q -o "$work/most.db" $most "$dump"
echo "$checks checks"
