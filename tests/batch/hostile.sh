#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Cases made to harm who reads them: nothing else is touched, whoever reads them comes to an end, and what is ours in them is a table.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
make_samples win10-19041
cd "$work" || exit 1
"$memsieve" analyze -q -o case.db dumps/win10-19041.raw || [ $? = 3 ] || die "analyze"

# made NAME SQL: a case of two dumps' rows and what the SQL makes.
made() {
	rm -f "$1"
	sqlite3 "$1" "PRAGMA application_id = 1834178147; PRAGMA user_version = 1;
		CREATE TABLE dumps(dump_id INTEGER PRIMARY KEY, path, size, sha256); $2"
}
# Who reads a case: each is to fail at that one, with these words.
refused() {	# CASE WORDS
	local command
	for command in query report "report -o $work/r.html" "export --format ecs" "export --format csv -o $work/csv" "merge $work/merged.db" "extract --pid 4 -o $work/taken" "batch --status" \
		"analyze $work/dumps/win10-19041.raw -o"; do
		status 1 timeout 20 "$memsieve" $command "$1" && grep -q -- "$2" "$work/err" || { echo "$command" >&2; return 1; }
	done
}

# A journal that is undone, then another file that it names deleted.
mkdir elsewhere here
journal() {	# CASE VICTIM
	python3 - "$1" "$2" <<-'end'
	import os, struct, sys
	case, victim = sys.argv[1], os.path.abspath(sys.argv[2]).encode()
	data = open(case, 'rb').read()
	page, = struct.unpack('>H', data[16:18])
	magic = bytes.fromhex('d9d505f920a163d7')
	head = (magic + struct.pack('>IIIII', 0, 0, len(data) // page, 512, page)).ljust(512, b'\0')
	open(case + '-journal', 'wb').write(head + struct.pack('>I', 0x40000000 // page + 1) + victim + struct.pack('>II', len(victim), sum(victim)) + magic)
	end
}
for victim in here/notes elsewhere/notes; do
	echo mine >$victim
	cp case.db here/evil.db
	journal here/evil.db $victim
	ok "a journal that names $victim" refused here/evil.db 'evil.db-journal: names another file'
	ok "which stays" [ "$(cat $victim)" = mine ]
done
(cd here && ln -s evil.db link.db && cd ../elsewhere && ln -s ../here/evil.db .)
ok "through a link" refused elsewhere/evil.db 'here/evil.db-journal: .*the case is not opened'
ok "it stays, too" [ "$(cat elsewhere/notes)" = mine ]
# The same proves that SQLite alone would have done it.
sqlite3 here/evil.db 'SELECT count(*) FROM dumps' >/dev/null
ok "but for that it would be gone" [ ! -e elsewhere/notes ]
for suffix in journal wal shm; do
	cp case.db here/evil.db
	rm -f here/evil.db-*
	ln -s "$work/case.db" here/evil.db-$suffix
	ok "a link in the place of a $suffix" refused here/evil.db "evil.db-$suffix: is no regular file"
done

# What is read is not computed.
endless='WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)'
made view.db "INSERT INTO dumps VALUES (1, 'e', 1, '00'); CREATE VIEW findings AS $endless SELECT i AS finding_id, 1 AS dump_id, 'high' AS severity FROM n"
ok "a view in the place of a table" refused view.db "'findings' is no table"
made virtual.db "INSERT INTO dumps VALUES (1, 'e', 1, '00'); CREATE VIRTUAL TABLE Findings USING rtree(finding_id, a, b)"
ok "a virtual table" refused virtual.db "'Findings' is no table"
made column.db "INSERT INTO dumps VALUES (1, 'e', 1, '00'); CREATE TABLE findings(finding_id, dump_id, title AS (hex(zeroblob(30000000))))"
ok "a computed column" refused column.db "'findings' has a computed column"
made views.db "INSERT INTO dumps VALUES (1, 'e', 1, '00'); CREATE TABLE odd(odd_id INTEGER PRIMARY KEY, dump_id, at, \"at that\"); INSERT INTO odd VALUES (7, 1, -1, 2);
	CREATE VIEW v_odd AS SELECT t.odd_id, iif(t.\"at\" IS NULL, NULL, printf('0x%x', t.\"at\")) AS \"at\", i FROM odd t, ($endless SELECT i FROM n);
	CREATE VIEW v_dumps AS $endless SELECT i FROM n; CREATE VIEW timeline AS $endless SELECT i FROM n"
ok "a case's own views are not looked at" status 0 timeout 20 "$memsieve" export --format csv -o csv views.db
ok "but for which of its columns are addresses" [ "$(tr -d '\r"' <csv/odd.csv)" = $'odd_id,dump_id,at,at that,dump_path\n7,1,0xffffffffffffffff,2,e' ]
ok "by queries neither" [ "$(timeout 20 "$memsieve" query -f jsonl views.db 'SELECT (SELECT count(*) FROM v_dumps) + (SELECT count(*) FROM v_odd) + (SELECT count(*) FROM timeline) AS n')" = '{"n": 2}' ]

# What a case names are files, and no more than one each.
ln -s "$work" everything
echo @list >list
made paths.db "INSERT INTO dumps VALUES (1, NULL, 1, '00'), (2, '$work/everything', 1, '00'), (3, '@$work/list', 1, '00'), (4, '', 1, '00'), (5, '/', 1, '00')"
"$memsieve" batch --status paths.db --json >out 2>err
ok "the dumps of a case are files" grep -q '"event": "status".*"dumps": 3,' out
ok "a list in a list" sh -c "! timeout 20 '$memsieve' batch --cases listed @list 2>err && grep -q 'a list in a list' err"

# What a hostile dump can make: many processes that each might be the other's parent, many findings in many regions, long texts.
cp case.db large.db
python3 - <<'end'
import sqlite3
db = sqlite3.connect('large.db')
new = db.execute('SELECT max(process_id) FROM processes').fetchone()[0] + 1
db.executemany("INSERT INTO processes(process_id, dump_id, pid, ppid, name) VALUES (?, 1, 77, 77, 'many')", [(new + i,) for i in range(16000)])
db.executemany('INSERT INTO code_regions(process_id, address, length, first_bytes) VALUES (?, ?, 4096, ?)', [(new, i << 12, b'\x90' * 8) for i in range(100000)])
db.executemany("INSERT INTO findings(dump_id, process_id, rule, severity, confidence, address, title, detail) VALUES (1, ?, 'many_hooks', 'low', 1, ?, 'many', '{}')", [(new, (i * 10 << 12) + 5) for i in range(10000)])
db.execute('INSERT INTO images(dump_id, process_id, image_id, base, size) VALUES (1, ?, 1000000, 0, 0x7fffffff)', (new,))
db.executemany('INSERT INTO image_patches(image_id, address, original, current) VALUES (1000000, ?, ?, ?)', [(i << 12 | 1, b'12', b'34') for i in range(1024)])
db.executemany("INSERT INTO findings(dump_id, process_id, rule, severity, confidence, address, title, detail) VALUES (1, ?, 'yara_hit', 'low', 1, 5, 'many', ?)",
               [(new, '{"rule":"r%d","region_base":"0x1000"}' % i) for i in range(10000)])
db.executemany("INSERT INTO yara_matches(dump_id, process_id, rule, region_base, address, data) VALUES (1, ?, 'r' || ?, 4096, 4096, x'90')", [(new, i % 10000) for i in range(50000)])
db.executemany('INSERT INTO modules(process_id, base, path) VALUES (?, ?, ?)', [(new, i << 16, 'C:\\' + 'x' * 16000) for i in range(5000)])
db.commit()
end
ok "the process tree of a hostile dump" sh -c "ulimit -t 30; '$memsieve' query large.db process_tree >out && [ \$(grep -c many out) = 16000 ]"
crowded() { (ulimit -t 60; status 3 "$memsieve" report large.db) && grep -q "modules: there was no room for more of its rows (report_bytes)" err; }
ok "its report" crowded
python3 - <<'end' || die "what the report has"
import base64, json, re, zlib
html = open('report.html', encoding='utf-8').read()
blocks = {i: json.loads(zlib.decompress(base64.b64decode(b))) for i, b in re.findall(r'<script type="text/plain" id="([^"]*)">([^<]*)</script>', html)}
dump = blocks['dump-1']
assert len(dump['evidence']['rows']) + dump['evidence']['more'] >= 10000 + 50000 + 2 * 16 * 10000, 'evidence is missing'
assert dump['processes']['more'] == 0 and 0 < dump['modules']['more'] < 5000
assert [n for b in blocks.values() for n, d in b.items() if isinstance(d, dict) and 'cut' in d] == ['modules']
end
ok "which is whole, but for texts without measure" true
ok "limits of reading can be set" sh -c "ulimit -t 60; '$memsieve' report -q --limit report_bytes=1G large.db -o larger.html"
ok "to very little, too" status 3 "$memsieve" report -q --limit report_bytes=1 case.db -o least.html
for command in query report "export --format csv -o never" "merge never.db" info "symbols check" "symbols import" "extract --pid 4 -o never"; do
	ok "${command%% -*} knows which there are" sh -c "'$memsieve' $command --limit no_such=1 case.db 2>err; [ \$? = 2 ] && grep -q 'there is no such limit' err"
done
cut() { (ulimit -f 2000; status 3 "$memsieve" report large.db -o cut.html) && grep -q "modules: .*can't be written" err && [ -s cut.html ]; }
ok "a table that takes too much is told, and the report made" cut
echo "$checks checks"
