#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Named queries: each runs on any case, whatever it lacks, and prints in each format; nothing changes a case.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
make_samples win10-19041 format-triage
cd "$work" || exit 1
"$memsieve" analyze -q -o case.db dumps/win10-19041.raw dumps/format-triage.raw || [ $? = 3 ] || die "analyze"
sum=$(sha256sum <case.db)
queries=$("$memsieve" query --list | sed -n 's/^\([a-z_]*\) .*/\1/p')
ok "there are named queries" [ "$(echo "$queries" | wc -l)" -ge 12 ]

# A case that has nothing but the core's tables, and one of their columns less.
sqlite3 old.db <<-'EOF'
	PRAGMA application_id = 1834178147; PRAGMA user_version = 1;
	CREATE TABLE dumps(dump_id INTEGER PRIMARY KEY, path TEXT, size INTEGER, sha256 TEXT, format TEXT, system_time TEXT) STRICT;
	CREATE TABLE findings(finding_id INTEGER PRIMARY KEY, dump_id INTEGER, process_id INTEGER, rule TEXT, severity TEXT, confidence INTEGER, attack TEXT, address INTEGER, title TEXT, detail TEXT) STRICT;
	CREATE TABLE runs(run_id INTEGER PRIMARY KEY, dump_id INTEGER, status TEXT) STRICT;
	INSERT INTO dumps VALUES (1, 'a.raw', 1, 'x', 'raw', '2024-01-01T00:00:00.0000000Z');
	INSERT INTO findings VALUES (1, 1, NULL, 'r', 'high', 80, 'T1055', -1, char(27) || '[31m=1+1', '{}'), (2, 1, NULL, 'r', 'low', 80, NULL, NULL, '=1+1', '{}');
	INSERT INTO runs VALUES (1, 1, 'complete');
EOF
[ "$(sqlite3 case.db 'PRAGMA application_id')" = 1834178147 ] || die "the old case's application_id"
for q in $queries; do
	for format in table csv json jsonl; do
		ok "$q as $format" status 0 "$memsieve" query case.db "$q" --format $format
		[ -s out ] || [ $format = jsonl ] || die "$q printed nothing as $format"
		[ $format != json ] || python3 -c 'import json; json.load(open("out"))' || die "$q is no JSON"
		[ $format != csv ] || python3 -c 'import csv; assert len({len(r) for r in csv.reader(open("out", newline=""))}) <= 1' || die "$q is no CSV"
	done
	"$memsieve" query old.db "$q" >out 2>err
	got=$?
	ok "$q on an old case" [ $got = 0 -o $got = 3 ]
	[ $got = 0 ] || grep -q 'has no table' err || die "$q does not say what the old case lacks"
	"$memsieve" query case.db "$q" --dump 2 >/dev/null || die "$q of one dump"
done
# Whose a row is can't be told where there are no processes.
cp old.db older.db
sqlite3 older.db "ALTER TABLE findings DROP COLUMN dump_id"
ok "a table without dumps in a case without processes" [ "$("$memsieve" query older.db 'SELECT title, dump_id FROM findings WHERE severity = "low"' -f jsonl 2>/dev/null)" = '{"title": "=1+1", "dump_id": null}' ]
for sql in 'SELECT * FROM apcs' 'SELECT * FROM V_APCS' 'SELECT "a"."tid" FROM "Apcs" a'; do
	ok "what the old case lacks: $sql" sh -c "'$memsieve' query old.db '$sql' >out 2>err; [ \$? = 3 ] && grep -q 'has no table apcs' err"
done
for least in low Low high HIGH nonsense info; do
	ok "triage from $least" [ "$("$memsieve" query old.db triage --set least=$least -f jsonl | wc -l)" = "$(case $least in high|HIGH) echo 1;; *) echo 2;; esac)" ]
done
ok "no address is none" [ "$("$memsieve" query old.db triage -f jsonl | grep -c '"address": null')" = 1 ]
ok "text is escaped on a terminal" grep -qF '\x1b[31m=1+1' <("$memsieve" query old.db triage)
ok "and no formula in CSV" grep -qF "\"'=1+1\"" <("$memsieve" query old.db triage -f csv)
ok "the timeline is there in an old case" grep -q 'dump taken' <("$memsieve" query old.db timeline)
ok "free SQL" [ "$("$memsieve" query case.db 'SELECT count(*) AS n FROM dumps' -f jsonl)" = '{"n": 2}' ]
for sql in 'DELETE FROM dumps' 'SELECT 1; DELETE FROM dumps' 'PRAGMA user_version = 9' "ATTACH 'new.db' AS n" 'VACUUM'; do
	"$memsieve" query case.db "$sql" >/dev/null 2>&1 && [ "${sql%% *}" != ATTACH ] && die "$sql was run"
done
ok "a case is never changed" [ "$sum" = "$(sha256sum <case.db)" ]
ok "nor anything made" [ ! -e new.db ]
mkdir mine
printf -- '-- query: mine\n-- about: a test\n-- parameter: n 3: a number\nSELECT :n AS n;\n' >mine/a.sql
echo 'SELECT 1' >mine/nameless.sql
ok "own queries" [ "$("$memsieve" query case.db mine --queries mine -f jsonl 2>/dev/null)" = '{"n": 3}' ]
ok "with settings" [ "$("$memsieve" query case.db mine --queries mine -f jsonl --set n=4 2>/dev/null)" = '{"n": 4}' ]
ok "one without a name is left out, and said to be" grep -q 'nameless.sql' <("$memsieve" query --list --queries mine 2>&1)
ok "an unknown query is a usage error" status 2 "$memsieve" query case.db nonsense
ok "so is --dump of one that has all dumps" status 2 "$memsieve" query case.db --dump 2 'SELECT * FROM processes'
ok "one dump of free SQL" [ "$("$memsieve" query case.db --dump 2 'SELECT path FROM dumps WHERE dump_id = :dump_id' -f jsonl)" = '{"path": "dumps/format-triage.raw"}' ]
# Of one dump what is rare in all of them: a program and an image of both, and of either.
sqlite3 case.db "VACUUM INTO 'stack.db'"
sqlite3 stack.db <<-'EOF'
	DELETE FROM processes;
	INSERT INTO processes(process_id, dump_id, pid, name) VALUES (1, 1, 1, 'one'), (2, 2, 1, 'two'), (3, 1, 2, 'both'), (4, 2, 2, 'both');
	DELETE FROM images;
	INSERT INTO images(image_id, dump_id, sha256, path) VALUES (1, 1, 'a', 'one'), (2, 2, 'b', 'two'), (3, 1, 'c', 'both'), (4, 2, 'c', 'both');
	DELETE FROM modules; DELETE FROM drivers;
	INSERT INTO image_patches(image_id, address, kind) VALUES (1, 4096, 'data');
EOF
of_each() {	# QUERY COLUMN: of all dumps, of either
	for dump in '' '-d 1' '-d 2'; do
		"$memsieve" query stack.db $1 $dump --json ${3:-} | python3 -c "import json, sys; print(*sorted('%s %s' % (r['$2'], r.get('dump', r['dumps'])) for r in json.load(sys.stdin)), sep=',', end=';')"
	done
}
ok "rare processes" [ "$(of_each rare_processes program '-s dumps=3')" = 'both 2,one 1,two 1;both 2,one 1;both 2,two 1;' ]
ok "rare images" [ "$(of_each rare_images path '-s dumps=3')" = 'both dumps/win10-19041.raw,one dumps/win10-19041.raw,two dumps/format-triage.raw;both dumps/win10-19041.raw,one dumps/win10-19041.raw;both dumps/format-triage.raw,two dumps/format-triage.raw;' ]
ok "names" [ "$(of_each name_persistence name)" = 'both 2,one 1,two 1;both 2,one 1;both 2,two 1;' ]
# A parent that had exited before is none: its pid was another's by then.
sqlite3 case.db "VACUUM INTO 'tree.db'"
sqlite3 tree.db <<-'EOF'
	DELETE FROM processes;
	INSERT INTO processes(process_id, dump_id, pid, ppid, name, create_time, exit_time) VALUES (1, 1, 8, 4, 'gone', '2024-03-01T05:00:00.0000000Z', '2024-03-01T06:00:00.0000000Z'),
		(2, 1, 12, 8, 'then', '2024-03-01T05:30:00.0000000Z', NULL), (3, 1, 16, 8, 'later', '2024-03-01T08:00:00.0000000Z', NULL), (4, 1, 20, 16, 'under', '2024-03-01T09:00:00.0000000Z', NULL);
EOF
ok "no child of a process that was gone" [ "$("$memsieve" query tree.db process_tree -f csv | cut -d, -f1 | paste -sd,)" = 'process,gone,  then,later,  under' ]
"$memsieve" report -q tree.db -d 1 -o tree.html || die "a report"
python3 - >out <<-'EOF'
	import base64, json, re, zlib
	t = json.loads(zlib.decompress(base64.b64decode(re.search(r'id="dump-1">([^<]*)', open('tree.html').read()).group(1))))['processes']
	print(*('%s %s' % (r[t['columns'].index('name')], r[t['columns'].index('depth')]) for r in t['rows']), sep=',')
EOF
ok "nor in a report" [ "$(cat out)" = 'gone 0,then 1,later 0,under 1' ]
# The volume's number is the machine's own.
sqlite3 stack.db "UPDATE processes SET image_path = '\\Device\\HarddiskVolume' || (dump_id + 9) || '\\' || name || '.exe' WHERE name = 'both'"
ok "rare processes of other volumes" [ "$(of_each rare_processes program '-s dumps=2')" = 'one 1,two 1;one 1;two 1;' ]
ok "names on them" [ "$("$memsieve" query stack.db name_persistence -s name=%.exe -f csv | cut -d, -f1-3 | sed -n 2p)" = 'process,\both.exe,2' ]
ok "a change that leads nowhere" [ "$("$memsieve" query stack.db hooks -f jsonl | grep 'patched data' | grep -c '"address": "0x1000", "leads_to": null')" = 1 ]
ok "an unknown parameter too" status 2 "$memsieve" query case.db triage --set nonsense=1
ok "what is no case fails" status 1 "$memsieve" query mine/a.sql triage
ok "so does what is not there" status 1 "$memsieve" query missing.db triage
ok "and bad SQL" status 1 "$memsieve" query case.db 'SELECT FROM WHERE'
echo "$checks checks"
