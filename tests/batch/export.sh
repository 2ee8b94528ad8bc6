#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Exports: each is what its consumers read, with whatever text a dump holds; mactime reads the body file where there is one.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
make_samples win10-19041 format-triage
cd "$work" || exit 1
"$memsieve" analyze -q -o case.db dumps/*.raw || [ $? = 3 ] || die "analyze"
# The same dump in two cases, and its twin: another machine of the same name.
"$mksample" "$srcdir/samples/tiny/win7-7601.txt" other.raw || die "sample"
"$memsieve" analyze -q -o both.db other.raw dumps/win10-19041.raw || [ $? = 3 ] || die "analyze"
"$memsieve" analyze -q -o alone.db dumps/win10-19041.raw || [ $? = 3 ] || die "analyze"
sqlite3 alone.db "VACUUM INTO 'twin.db'"
sqlite3 twin.db "UPDATE dumps SET sha256 = 'twin'"
for case in both alone twin; do
	for format in ecs stix misp; do
		"$memsieve" export $case.db --format $format -o $case.$format >out || die "$format of $case"
	done
done
sqlite3 case.db <<-'EOF'
	UPDATE processes SET name = 'a|b' || char(10) || '''c\', command_line = '=cmd' || char(10) || '"x"' WHERE process_id = (SELECT max(process_id) FROM processes WHERE pid > 4);
	INSERT INTO findings(dump_id, process_id, rule, severity, confidence, attack, address, title, detail)
		SELECT dump_id, process_id, 'test', 'high', 80, 'T1055.012', -4096, 'a "quoted" | title' || char(10), '{"x":1}' FROM processes;
	INSERT INTO findings(dump_id, process_id, rule, severity, confidence, title) SELECT dump_id, NULL, 'kernel', 'critical', 90, 'in the kernel' FROM dumps;
	-- The same again, as a rule may find it.
	INSERT INTO findings(dump_id, process_id, rule, severity, confidence, attack, address, title, detail)
		SELECT dump_id, process_id, rule, severity, confidence, attack, address, title, detail FROM findings WHERE rule = 'test' ORDER BY finding_id LIMIT 1;
	-- What speaks against the program itself; one that says it is another; Windows' own, which every machine has.
	CREATE TEMP TABLE of AS SELECT process_id, dump_id, row_number() OVER (ORDER BY process_id) AS n FROM processes WHERE pid > 4 AND dump_id = 2 AND image_path NOT LIKE '%hidden.exe' LIMIT 3;
	UPDATE processes SET image_path = '\Device\HarddiskVolume3\Users\it''s\svchost.exe', peb_image_path = 'C:\USERS\it''s\svchost.exe' WHERE process_id = (SELECT process_id FROM of WHERE n = 1);
	UPDATE processes SET image_path = '\Device\HarddiskVolume3\x\System32\evil.exe', peb_image_path = 'C:\System32\evil.exe' WHERE process_id = (SELECT process_id FROM of WHERE n = 2);
	UPDATE processes SET image_path = '\Device\HarddiskVolume3\Windows\notepad.exe', peb_image_path = NULL WHERE process_id = (SELECT process_id FROM of WHERE n = 3);
	INSERT INTO findings(dump_id, process_id, rule, severity, confidence, title)
		SELECT dump_id, process_id, CASE n WHEN 1 THEN 'masqueraded_process' WHEN 2 THEN 'process_path_mismatch' ELSE 'hidden_process' END, 'high', 80, 'not what it seems' FROM of;
EOF
"$memsieve" export alone.db --format misp | diff <(grep -v '"timestamp"\|"date"' alone.misp) <(grep -v '"timestamp"\|"date"' /dev/stdin) || die "MISP again"
for format in timesketch bodyfile ecs stix misp; do
	ok "$format" status 0 "$memsieve" export case.db --format $format -o case.$format
	"$memsieve" export case.db --format $format --dump 1 >one.$format || die "$format of one dump"
done
# Not all below Windows' folder is Windows'; and a program may lie in no folder.
indicators() { "$memsieve" export "$1" --format stix | grep -c '"type": *"indicator"'; }
sqlite3 case.db "VACUUM INTO 'temporary.db'"
named() { sqlite3 temporary.db "UPDATE processes SET image_path = '\Device\HarddiskVolume3$1' WHERE process_id = (SELECT process_id FROM findings WHERE rule = 'process_path_mismatch' AND title = 'not what it seems')"; }
named '\Windows\System32\evil.exe'
ok "a program of Windows" [ "$(indicators temporary.db)" = $(($(indicators case.db) - 1)) ]
named '\Windows\Temp\evil.exe'
ok "one in a folder for what is temporary" [ "$(indicators temporary.db)" = "$(indicators case.db)" ]
named '\evil.exe'
ok "one in none" [ "$(indicators temporary.db)" = "$(indicators case.db)" ]
sqlite3 temporary.db "UPDATE processes SET image_path = NULL, peb_image_path = 'C:\a\b.exe' WHERE process_id = 1"
ok "a program that is known by its own word alone" [ "$("$memsieve" export temporary.db --format ecs | grep -c '"executable": *"C:\\\\a\\\\b.exe"')" -gt 0 ]
ok "csv" status 0 "$memsieve" export case.db --format csv -o csv
# Two dumps of one path, as of two machines: what belongs to one by its image or its run alone.
sqlite3 case.db "VACUUM INTO 'alike.db'"
sqlite3 alike.db "UPDATE dumps SET path = 'memory.dmp'"
ok "csv of each of two dumps of one path" sh -c "'$memsieve' export alike.db --format csv -d 1 -o alike1 >out 2>&1 && '$memsieve' export alike.db --format csv -d 2 -o alike2 >out 2>&1"
# Findings of a dump without a time, and an event whose time is none.
sqlite3 case.db "VACUUM INTO 'untimed.db'"
sqlite3 untimed.db "UPDATE dumps SET system_time = NULL; UPDATE modules SET load_time = 'never' WHERE module_id = 1"
for format in timesketch bodyfile; do
	"$memsieve" export untimed.db --format $format -o untimed.$format >out 2>&1 || die "$format without a time"
done
# A disk that is full, as a limit on the size of files has it: what was there before stays, nothing half written is left.
small() { (trap '' XFSZ; ulimit -f 4; status 1 "$@"); }
full() {
	echo before >full.json && mkdir -p full && echo before >full/processes.csv &&
		small "$memsieve" export case.db --format timesketch -o full.json && grep -q 'full.json: .' err && [ "$(cat full.json)" = before ] &&
		small "$memsieve" export case.db --format csv -o full && grep -q '\.csv: .' err && [ "$(cat full/processes.csv)" = before ] &&
		[ -z "$(find . -name '*.part')" ] && [ -z "$(find full -size +4k)" ]
}
ok "an export that can't be written" full
# A case of which a page of findings is lost, in the middle of what is exported: no half a file that looks whole.
sqlite3 case.db "VACUUM INTO 'lost.db'"
python3 - <<-'EOF' || die "a page of findings"
	import sqlite3
	db = sqlite3.connect('lost.db')
	db.executemany("INSERT INTO findings(dump_id, rule, severity, confidence, title) VALUES (1, 'many', 'high', 50, ?)", [('x' * 200,)] * 100)
	db.commit()
	pages = db.execute("SELECT pageno, pgsize FROM dbstat WHERE name = 'findings' AND pagetype = 'leaf' ORDER BY path DESC").fetchall()
	db.close()
	assert len(pages) > 1
	number, size = pages[0]
	with open('lost.db', 'r+b') as f:
	    f.seek((number - 1) * size)
	    f.write(b'\xff' * size)
EOF
lost() {
	local to=lost.$1
	[ $1 != csv ] || to=lost
	status 1 "$memsieve" export lost.db --format $1 -o $to && grep -q malformed err && [ ! -e lost.$1 ] && [ ! -e lost/findings.csv ] &&
		{ [ $1 = csv ] || status 1 "$memsieve" export lost.db --format $1; }
}
for format in timesketch bodyfile ecs stix misp csv; do
	ok "$format of a case with a page lost" lost $format
done
ok "its report" sh -c "! '$memsieve' report lost.db -o lost.html 2>err && [ ! -e lost.html ] && grep -q malformed err"
ok "a query of it" sh -c "! '$memsieve' query lost.db 'SELECT * FROM findings' >out 2>err && grep -q malformed err"
full_extract() {
	local pid=$(sqlite3 case.db "SELECT pid FROM images JOIN processes USING (process_id) WHERE size > 8192 LIMIT 1")
	small "$memsieve" extract --pid "$pid" -o taken case.db --dump 2 && grep -q 'can.t be written: File too large' err &&
		for file in taken/*.pe taken/*.bin; do [ ! -e "$file" ] || [ -s "$file.json" ] || return 1; done && [ -z "$(find taken -size +4k)" ]
}
ok "an extraction that can't be written" full_extract
# A pid that is used again, by the same program: two processes, with ntdll at the same base.
sqlite3 case.db "VACUUM INTO 'twins.db'"
sqlite3 twins.db "UPDATE processes SET pid = 7777, name = 'twin.exe' WHERE process_id IN (SELECT process_id FROM images WHERE dump_id = 2 AND path LIKE '%ntdll.dll' ORDER BY image_id LIMIT 2)"
base=$(sqlite3 twins.db "SELECT i.base FROM images i JOIN processes p USING (process_id) WHERE p.pid = 7777 AND i.path LIKE '%ntdll.dll' GROUP BY i.base HAVING count(*) = 2")
"$memsieve" extract -q --dump 2 --pid 7777 --base "$base" -o twins twins.db >out 2>&1 || [ $? = 3 ] || die "extract of two processes"
ok "what has the same name in two processes is two files" [ "$(cat twins/*.json | grep '"eprocess"' | sort -u | wc -l)" = 2 -a "$(ls twins/*.pe | wc -l)" = 2 ]
# What the analysis missed can't be extracted: that is no success.
make_samples defect-broken-flink
ok "of a dump that is read in part" status 3 "$memsieve" extract --all-suspicious -o nothing dumps/defect-broken-flink.raw
ok "and why" grep -q 'its analysis is partial' err
ok "csv is a folder" status 2 "$memsieve" export case.db --format csv -o -
ok "no case, no folder" sh -c "! '$memsieve' export missing.db --format csv -o never 2>/dev/null && [ ! -e never ]"
ok "to a pipe" sh -c "'$memsieve' export case.db --format ecs -o /dev/fd/3 3>&1 >/dev/null | grep -q ecs"

python3 - <<-'EOF' || die "what was written"
	import csv, datetime, json, re, sqlite3, uuid
	db = sqlite3.connect('case.db')
	one = lambda sql: db.execute(sql).fetchone()[0]
	findings, timed = one('SELECT count(*) FROM findings'), one('SELECT count(*) FROM findings JOIN dumps USING (dump_id) WHERE system_time IS NOT NULL')
	events = one('SELECT count(*) FROM timeline') + timed
	lines = [json.loads(l) for l in open('case.timesketch')]
	assert len(lines) == events
	for l in lines:
	    assert l['message'] and l['timestamp_desc'] and datetime.datetime.fromisoformat(l['datetime']).tzinfo
	untimed = sqlite3.connect('untimed.db').execute('SELECT (SELECT count(*) FROM timeline) + (SELECT count(*) FROM findings)').fetchone()[0]
	lines = [json.loads(l) for l in open('untimed.timesketch')]
	elsewhere = [l for l in lines if 'its own is not known' in l['timestamp_desc']]
	assert len(lines) == untimed and len(elsewhere) == findings + 1 and all(datetime.datetime.fromisoformat(l['datetime']).year > 2024 for l in elsewhere)
	body = open('untimed.bodyfile').read().splitlines()
	assert len(body) == untimed and len([l for l in body if 'its own is not known' in l]) == findings + 1 and not any(l.endswith('|0') for l in body)
	body = open('case.bodyfile').read().splitlines()
	assert len(body) == events and all(len(l.split('|')) == 11 and l.split('|')[7].isdigit() for l in body)
	ecs = [json.loads(l) for l in open('case.ecs')]
	assert len(ecs) == findings + one('SELECT count(*) FROM processes')
	for d in ecs:
	    assert d['@timestamp'] and d['ecs']['version'].startswith('8.') and d['event']['kind'] in ('alert', 'event') and isinstance(d['event']['category'], list)
	assert len({d['event']['id'] for d in ecs}) == len(ecs)
	# The program is the kernel's, by its drive where the process says nothing else; the dump is no file that an alert is about.
	runs = {d['rule']['name']: d for d in ecs if d.get('rule', {}).get('name') in ('masqueraded_process', 'process_path_mismatch')}
	assert runs['masqueraded_process']['process']['executable'] == "C:\\USERS\\it's\\svchost.exe"
	assert runs['process_path_mismatch']['process']['executable'] == '\\Device\\HarddiskVolume3\\x\\System32\\evil.exe'
	assert runs['process_path_mismatch']['memsieve']['peb_image_path'] == 'C:\\System32\\evil.exe'
	assert all('file' not in d and d['memsieve']['dump']['path'] for d in ecs)
	t = [d for d in ecs if d.get('rule', {}).get('name') == 'test'][0]['threat']['technique']
	assert t['id'] == ['T1055'] and t['subtechnique']['id'] == ['T1055.012']
	bundle = json.load(open('case.stix'))
	assert bundle['type'] == 'bundle'
	ids = [o['id'] for o in bundle['objects']]
	assert len(ids) == len(set(ids)) and {'process', 'indicator', 'sighting', 'note', 'attack-pattern', 'file', 'identity', 'relationship', 'observed-data'} == {o['type'] for o in bundle['objects']} - {'directory'}
	for o in bundle['objects']:
	    assert o['id'].startswith(o['type'] + '--') and uuid.UUID(o['id'].split('--')[1]) and o['spec_version'] == '2.1'
	    for k, v in o.items():
	        for ref in [v] if k.endswith('_ref') else v if k.endswith('_refs') else []:
	            assert ref in ids, (o['id'], k)
	        if k in ('created', 'modified', 'valid_from', 'first_observed'):
	            assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', v), v
	# Only what tells a program from a healthy process is looked for elsewhere; all else that was found is what was seen, with its technique.
	folder = 'process:image_ref.parent_directory_ref.path'
	patterns = {o['name']: o['pattern'] for o in bundle['objects'] if o['type'] == 'indicator'}
	assert patterns == {'hidden_process': r"[process:image_ref.name = 'hidden.exe' AND %s = 'C:\\Users\\user']" % folder,
	                    'masqueraded_process': r"[process:image_ref.name = 'svchost.exe' AND %s = 'C:\\USERS\\it\'s']" % folder,
	                    'process_path_mismatch': r"[process:image_ref.name = 'evil.exe' AND %s LIKE '%%\\x\\System32']" % folder}, patterns
	told = {kind: [o for o in bundle['objects'] if o['type'] == kind] for kind in ('sighting', 'note')}
	severe = one("SELECT count(*) FROM findings WHERE severity IN ('critical', 'high', 'medium')")
	assert len(told['sighting']) + len(told['note']) == severe - len(patterns) and len(told['note']) == one('SELECT count(*) FROM dumps')
	assert all(o['sighting_of_ref'].startswith('attack-pattern') and o['where_sighted_refs'] for o in told['sighting'])
	assert any('observed_data_refs' in o for o in told['sighting']) and all(o['object_refs'][0].startswith('identity') for o in told['note'])
	# An id is the same thing in every case, and of no other thing. What was written when isn't part of it.
	def objects(case):
	    of_run = ('created', 'modified')
	    return {o['id']: {k: v for k, v in o.items() if k not in of_run} for o in json.load(open(case + '.stix'))['objects']}
	both, alone, twin = objects('both'), objects('alone'), objects('twin')
	assert len(alone) > 10 and all(both.get(k) == v for k, v in alone.items())
	assert {twin[k]['type'] for k in twin if k in alone} <= {'attack-pattern', 'file', 'directory'} and all(twin[k] == alone[k] for k in twin if k in alone)
	ids = lambda case: [(d['event'].get('id'), d['process'].get('entity_id') if 'process' in d else None, d['message']) for d in map(json.loads, open(case + '.ecs'))]
	assert set(ids('alone')) < set(ids('both')) and len({i[0] for i in ids('both')}) == len(ids('both'))
	assert not {i[0] for i in ids('twin')} & {i[0] for i in ids('alone')} and not {i[1] for i in ids('twin')} & {i[1] for i in ids('alone')} - {None}
	def uuids_of(case):
	    e = json.load(open(case + '.misp'))['Event']
	    return [e['uuid']] + [a['uuid'] for a in e['Attribute']] + [o['uuid'] for o in e['Object']] + [a['uuid'] for o in e['Object'] for a in o['Attribute']]
	assert not set(uuids_of('both')) & set(uuids_of('alone')) and not set(uuids_of('twin')) & set(uuids_of('alone'))
	event = json.load(open('case.misp'))['Event']
	uuids = [event['uuid']] + [a['uuid'] for a in event['Attribute']] + [o['uuid'] for o in event['Object']] + [a['uuid'] for o in event['Object'] for a in o['Attribute']]
	assert len(uuids) == len(set(uuids)) and event['info'] and event['date'] and event['threat_level_id'] == '1'
	assert {o['name'] for o in event['Object']} == {'process', 'file'}
	for table, of_dump in (('plugin_runs', 'runs USING (run_id)'), ('image_sections', 'images USING (image_id)'), ('image_imports', 'images USING (image_id)')):
	    for dump in (1, 2):
	        rows = len(list(csv.reader(open('alike%d/%s.csv' % (dump, table), newline='')))) - 1
	        assert rows == one('SELECT count(*) FROM %s JOIN %s WHERE dump_id = %d' % (table, of_dump, dump)), (table, dump, rows)
	assert len(list(csv.reader(open('alike1/plugin_runs.csv', newline='')))) > 1
	for table in ('processes', 'vads', 'findings'):
	    rows = list(csv.reader(open('csv/%s.csv' % table, newline='')))
	    assert len(rows) == 1 + one('SELECT count(*) FROM ' + table) and len({len(r) for r in rows}) == 1, table
	    assert not any(re.match(r'[=+@\t\r]', c) for r in rows for c in r), 'a formula'
	assert any(c.startswith('0x') for c in rows[1])
EOF
ok "each is what it should be" true
if command -v mactime >/dev/null; then
	ok "mactime reads the body file" [ "$(TZ=UTC mactime -b case.bodyfile -d -y | cut -d, -f8- | sort -u | wc -l)" -gt "$(cut -d"|" -f2 case.bodyfile | sort -u | wc -l)" ]
fi
# The published schemas, where EXPORT_SCHEMAS has them (see validate.js) and node has ajv.
NODE_PATH=${NODE_PATH:-$(npm root -g 2>/dev/null)}
export NODE_PATH
if [ -n "${EXPORT_SCHEMAS:-}" ] && node -e 'require("ajv-formats")' 2>/dev/null; then
	ok "the published schemas accept them" node "$srcdir/tests/batch/validate.js" "$work" "$EXPORT_SCHEMAS"
fi
ok "an unknown format" status 2 "$memsieve" export case.db --format xml
ok "csv without a folder" status 2 "$memsieve" export case.db --format csv
ok "no case" status 1 "$memsieve" export missing.db --format ecs
echo "$checks checks"
