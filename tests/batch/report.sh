#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The report: one file that asks for nothing else, whose text is text whatever it says; in a headless Chromium where there is one.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
make_samples win10-19041 win7-7601 format-triage
cd "$work" || exit 1
"$memsieve" analyze -q -o case.db dumps/*.raw || [ $? = 3 ] || die "analyze"

# A disk that is full, as a limit on the size of files has it.
full() {
	(trap '' XFSZ; ulimit -f 4; status 1 "$memsieve" report case.db -o full.html) && grep -q 'full.html: .' err && [ ! -e full.html -a ! -e full.html.part ]
}
ok "a report that can't be written" full

# The same programs on a volume of another number.
sqlite3 case.db "UPDATE processes SET image_path = replace(image_path, 'HarddiskVolume3', 'HarddiskVolume12') WHERE dump_id = 2"
# Names as an attacker would choose them.
sqlite3 case.db <<-'EOF'
	UPDATE processes SET name = '<img src=x onerror=alert(1)>', command_line = '</script><script>document.title = "taken"</script>' || char(0x202e) || 'gpj.exe' || char(7)
		WHERE process_id = (SELECT min(process_id) FROM processes WHERE pid > 4);
	INSERT INTO findings(dump_id, process_id, rule, severity, confidence, attack, address, title, detail)
		SELECT dump_id, process_id, '"><script>alert(2)</script>', 'critical', 99, 'T1055.012', 65536, '<b>bold</b> ' || char(0x202e) || 'desrever', '{"a":"<script>alert(3)</script>"}'
		FROM processes WHERE name LIKE '<img%';
	INSERT INTO findings(dump_id, process_id, rule, severity, confidence, title, detail)
		SELECT p.dump_id, p.process_id, 'rule' || (value % 7), 'high', 50, 'finding number ' || value, 'no JSON' FROM generate_series(1, 400), processes p
		WHERE p.process_id = (SELECT max(process_id) FROM processes);
EOF
ok "a report" status 0 "$memsieve" report case.db -o report.html
ok "says what is in it" grep -q '3 dumps, 4[0-9][0-9] findings' out
python3 - <<-'EOF' || die "the file"
	import base64, hashlib, json, re, zlib
	html = open('report.html', encoding='utf-8').read()
	csp = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
	assert "default-src 'none'" in csp and 'unsafe' not in csp, csp
	script = re.search(r'<script>(.*)</script>\s*</body>', html, re.S).group(1)
	style = re.search(r'<style>(.*?)</style>', html, re.S).group(1)
	for text in (script, style):
	    assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in csp
	rest = html.replace(script, '').replace(style, '')
	assert not re.search(r'\b(src|href)="(?!#)', rest), 'it refers to something else'
	assert 'onerror' not in html and 'desrever' not in html, 'text of the dump stands in the page as it is'
	assert 'innerHTML' not in script and 'insertAdjacent' not in script and 'document.write' not in script and 'eval(' not in script
	blocks = {i: json.loads(zlib.decompress(base64.b64decode(b))) for i, b in re.findall(r'<script type="text/plain" id="([^"]*)">([^<]*)</script>', html)}
	assert set(blocks) == {'case', 'dump-1', 'dump-2', 'dump-3'}, blocks.keys()
	import sqlite3
	db = sqlite3.connect('case.db')
	one = lambda sql: db.execute(sql).fetchone()[0]
	stack = blocks['case']['stack_processes']
	of = {r[stack['columns'].index('program')].split('\\')[-1]: r[stack['columns'].index('dumps')] for r in stack['rows']}
	assert of['smss.exe'] == 2, of
	assert len(blocks['case']['findings']['rows']) == one('SELECT count(*) FROM findings')
	assert sum(len(blocks['dump-%d' % n]['processes']['rows']) for n in (1, 2, 3)) == one('SELECT count(*) FROM processes'), 'a process is missing from the trees'
	assert sum(len(blocks['dump-%d' % n]['vads']['rows']) for n in (1, 2, 3)) == one('SELECT count(*) FROM vads')
EOF
ok "it is one file with everything in it" true
ok "one dump alone" status 0 "$memsieve" report case.db --dump 2 -o one.html
ok "a report of an old case" sh -c "sqlite3 case.db 'DROP VIEW timeline; DROP TABLE image_patches; DROP TABLE yara_matches' && '$memsieve' report -q case.db -o old.html"
ok "no case, no report" sh -c "! '$memsieve' report missing.db -o none.html 2>/dev/null && [ ! -e none.html ]"
ok "into a pipe" sh -c "'$memsieve' report -q case.db -o /dev/stdout | grep -q '</html>'"
ok "through a link, which stays" sh -c "ln -s through.html link.html && : >through.html && '$memsieve' report -q case.db -o link.html && [ -L link.html ] && [ -s through.html ]"
mkfifo pipe
timeout 20 cat pipe >piped.html &
ok "into a named pipe, which stays" sh -c "'$memsieve' report -q case.db -o pipe && [ -p pipe ]"
wait
ok "whole" grep -q '</html>' piped.html

# What of a dump is left out is said where its rows are shown by process or finding.
if command -v node >/dev/null; then
	cat "$srcdir"/report/js/[1-8]*.js - >pages.js <<-'EOF'
	el = (tag, attributes, ...children) => children.flat(Infinity).filter(c => c).join('');
	const parts = ['vads', 'threads', 'modules', 'yara', 'patches', 'evidence', 'processes', 'details', 'drivers'];
	const process = {id: 7, dump: 1, name: 'a.exe', pid: 9, depth: 0, vads: 3};
	const finding = {id: 5, dump: 1, process: 7, title: 'it', severity: 'high', machine: {id: 1, label: 'm'}};
	async function said(page, id, more) {
		const dump = {accounts: new Map(), process: new Map([[7, process]]), detail: new Map(), evidence_of: new Map()};
		for (const name of parts)
			dump[name] = Object.assign([], {more: more[name] || 0}), dump[name + '_of'] = new Map();
		dump.processes.push(process);
		Object.assign(state, {techniques: {}, findings: [finding], finding: new Map([[5, finding]]), machine: new Map([[1, finding.machine]]), by_process: new Map(), by_dump: new Map()});
		unpacked.set(1, dump);
		return (page === 'process' ? await process_page(1, id) : await finding_page(id)).flat(Infinity).filter(Boolean).join('');
	}
	(async () => {
		const expect = async (page, id, more, text, there) => {
			if ((await said(page, id, more)).includes(text) !== there)
				throw new Error(`${page} ${JSON.stringify(more)}: '${text}'`);
		};
		for (const name of ['vads', 'threads', 'modules', 'yara', 'patches'])
			await expect('process', 7, {[name]: 1234}, `Not whole here: ${name} (1,234 rows of the dump left out)`, true);
		await expect('process', 7, {vads: 1234}, 'as it has no findings', false);
		await expect('process', 7, {}, 'as it has no findings', true);
		for (const name of ['evidence', 'vads', 'processes'])
			await expect('finding', 5, {[name]: 1}, `Not whole here: ${name} (1 row of the dump left out)`, true);
		for (const page of ['process', 'finding'])
			await expect(page, page === 'process' ? 7 : 5, {drivers: 1}, 'Not whole', false);
		/* One value that wasn't read, in a run that is complete, is something missing. */
		table = (columns, rows) => rows.map(r => r.label).join();
		for (const [status, not_read] of [['complete', null], ['complete', 0], ['complete', 2], ['partial', 0]]) {
			Object.assign(state, {name: 'x', machines: [{id: 1, label: 'mine', status, not_read, counts: tally([])}], findings: [], failed: [], suspects: [], absent: [], not_read: []});
			const text = page => page().flat(Infinity).filter(Boolean).join(''), whole = status === 'complete' && !not_read;
			if (text(overview).includes('All dumps were read completely') !== whole || text(unread_page).includes('mine') === whole)
				throw new Error(`read completely: ${status}, ${not_read}`);
		}
	})().catch(error => { console.error(error); globalThis.process.exitCode = 1; });
	EOF
	sed -i '1i globalThis.window = globalThis; globalThis.document = {}; globalThis.addEventListener = () => 0; globalThis.ResizeObserver = class { observe() {} };' pages.js
	ok "pages say what of their dump is left out" node pages.js
fi

# What a finding's bytes are shown as: what they were found to be, else what programs of the process are for.
{
	echo 'machine build=10.0.22000.194-arm64 ram=8M'
	echo 'process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare'
	echo 'process name=old.exe pid=1000 ppid=300 path=C:\old.exe wow64'
	echo ' vad start=0x21000000 pages=2 protect=PAGE_EXECUTE_READWRITE content=shellcode valid=1'
} >narrow.txt
"$mksample" narrow.txt narrow.dmp || die "sample narrow"
"$memsieve" analyze -q -o narrow.db narrow.dmp || [ $? = 3 ] || die "analyze narrow"
shown_as() {	# SQL: after that change
	sqlite3 narrow.db "$1"
	printf '.mode list\n.parameter set :dump_id 1\n.read %s\n' "$srcdir/report/dump/evidence.sql" | sqlite3 narrow.db | awk -F'|' '$2 == "code" { print $6 }' | sort -u
}
ok "as it was found" [ "$(shown_as "UPDATE code_regions SET machine = 'arm64'")" = arm64 ]
ok "as the process's programs, where nothing was" [ "$(shown_as 'UPDATE code_regions SET machine = NULL')" = x86 ]
ok "as nothing in a process for 32-bit ARM" [ "$(shown_as "UPDATE images SET machine = 452 WHERE path LIKE '%SysWOW64%'")" = '' ]
ok "which an x64 kernel has none of" [ "$(shown_as "UPDATE dumps SET architecture = 'x64'")" = x86 ]

chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "$checks checks (no Chromium: pages were not looked at)"; exit 0; }
page() {	# FILE HASH: the page as it stands once it is drawn
	timeout 60 "$chromium" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" --virtual-time-budget=8000 --enable-logging=stderr --v=0 \
		--dump-dom "file://$work/$1#$2" >dom.html 2>console.txt
	! grep -E 'CONSOLE.*(Error|Refused|violat|Uncaught)' console.txt
}
for where in '/' '/findings' '/findings?severity=critical' '/machines' '/machine/1' '/stacking' '/unread' '/search/finding' '/process/1/1' '/nonsense' '/finding/999999'; do
	ok "page $where" page report.html "$where"
	! grep -q 'be shown</h1>' dom.html || die "$where could not be shown"
done
id=$(sqlite3 case.db "SELECT finding_id FROM findings WHERE rule LIKE '%script%'")
ok "a hostile finding" page report.html "/finding/$id"
ok "is text" grep -q '&lt;b&gt;bold&lt;/b&gt; ‹U+202E›desrever' dom.html
ok "and never markup" sh -c "! grep -q '<b>bold\\|<img\\|<title>taken' dom.html"
page report.html '/findings?severity=critical'
ok "filters filter" grep -q '>1 of 4[0-9][0-9] findings<' dom.html
page report.html '/findings'
ok "tables turn pages" grep -q '1–100 of 4[0-9][0-9]' dom.html
ok "an old case's page" page old.html '/'
ok "says what it has not" grep -q 'image_patches' dom.html

# Keys, filters, links, widths and paper want a driven browser.
NODE_PATH=${NODE_PATH:-$(npm root -g 2>/dev/null)}
export NODE_PATH
if node -e 'require("playwright-core")' 2>/dev/null; then
	ok "a driven browser" node "$srcdir/tests/batch/browser.js" "$(command -v "$chromium")" "$work/report.html" ${SHOTS:+"$SHOTS"}
else
	echo "(no playwright-core: keys and filters were not tried)"
fi
echo "$checks checks"
