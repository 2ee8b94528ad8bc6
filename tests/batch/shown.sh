#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whatever a dump, a case or a file's name says, what is printed and exported has no character that a terminal obeys, that turns a line
# round or that isn't seen, and no cell that a spreadsheet takes for a formula.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
make_samples attacks-19041
cd "$work" || exit 1
"$memsieve" analyze -q -o case.db dumps/attacks-19041.raw || die "analyze"

python3 - <<'EOF'
import sqlite3
db = sqlite3.connect('case.db')
texts = ['\x1b[31mred\x1b]0;title\x07', '\u202egpj.exe\u2066x\u2069', 'a\nb\rc\td', '=HYPERLINK("http://e")', '\x9b31m\x85\u2028\u2029\ufeff\u200b\u061c', '+cmd', '-2+3',
         '@SUM(1)', '\t=x', '\r=1', '\n=1', '\uff1d1+1', 'a|b', '%0a', '"q",\'', '\U000e0041\U000e0042', 'svc\u00adhost\u034f\u115f\u3164\u2800\u180e\u2060\u206a', '\u7a0b\u5e8f.exe']
n = 0
for (table,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
    columns = [r[1] for r in db.execute('PRAGMA table_info("%s")' % table) if r[2] == 'TEXT' and not r[1].endswith(('_at', '_time')) and r[1] not in ('status', 'severity', 'attack', 'fault')]
    for (rowid,) in db.execute('SELECT rowid FROM "%s" LIMIT 40' % table).fetchall():
        for column in columns:
            db.execute('UPDATE "%s" SET "%s" = ? WHERE rowid = ?' % (table, column), (texts[n % len(texts)], rowid))
            n += 1
db.execute('CREATE TABLE notes("=a\x1b[31m\u202e,b")')
db.execute('INSERT INTO notes VALUES (1)')
db.commit()
EOF
cat >look.py <<'EOF'
import csv, io, json, re, sys, unicodedata
kind, text, ends = sys.argv[1], sys.stdin.buffer.read().decode(), {'csv': '\r\n\t', 'text': '\n\t'}.get(sys.argv[1], '\n')
if kind == 'drawn':  # our own: up some lines, and clear from there
    text = re.sub(r'\x1b\[(\d+A|J)', '', text)
bad = sorted({hex(ord(c)) for c in text if c not in ends and (unicodedata.category(c) in ('Cc', 'Cf', 'Zl', 'Zp') or c in '\u034f\u115f\u3164\u2800')})
if kind == 'csv':
    bad += [c for row in csv.reader(io.StringIO(text, newline='')) for c in row if c[:1] in tuple('=+@\t\r\n\uff1d') or (c[:1] == '-' and not c[1:].replace('.', '').isdigit())][:5]
if kind == 'json':
    said = json.dumps(json.loads(text), ensure_ascii=False)
    bad += [] if all(t in said for t in ('\u202egpj.exe', '\x9b31m', '\U000e0041')) else ['something was lost']
if bad or not text:
    sys.exit('%s' % (bad or 'nothing'))
EOF
clean() {
	local kind=$1
	shift
	"$@" >out 2>&1
	python3 look.py "$kind" <out
}
for name in $("$memsieve" query --list | sed -n 's/^\([a-z_]*\) .*/\1/p'); do
	ok "query $name" clean text "$memsieve" query case.db "$name"
done
all="SELECT p.name, p.command_line, f.title, f.rule FROM processes p LEFT JOIN findings f USING (process_id)"
for kind in csv json; do
	ok "query as $kind" clean $kind "$memsieve" query case.db -f $kind "$all"
done
ok "query as jsonl" clean text "$memsieve" query case.db -f jsonl "$all"
for kind in table csv jsonl; do
	ok "names of columns, as $kind" clean "$([ $kind = csv ] && echo csv || echo text)" "$memsieve" query case.db -f $kind "SELECT * FROM notes"
done
for format in timesketch bodyfile ecs stix misp; do
	"$memsieve" export case.db --format $format -o exported >/dev/null || die "export $format"
	ok "export $format" clean text cat exported
done
"$memsieve" export case.db --format csv -o folder >/dev/null || die "export csv"
ok "export csv" clean csv cat folder/*.csv
"$memsieve" report case.db -o report.html >/dev/null || die "report"
ok "report" clean text cat report.html

# Names of files, and words of the user, in messages.
name=$'e\x1b[31m\u202e\u009b\u00ad=x.raw' case=$'c\x1b[2J.db'
mkdir folder2
cp dumps/attacks-19041.raw "folder2/$name"
head -c 5000 /dev/zero >$'folder2/z\x1b[31m\u202e.raw'
for command in 'analyze -v -o' 'analyze -o'; do
	ok "$command" clean text "$memsieve" $command "$case" "folder2/$name"
done
for command in info 'info --json' 'symbols check' 'symbols check --json' 'symbols show'; do
	ok "$command" clean text "$memsieve" $command "folder2/$name"
	ok "$command: no dump" clean text "$memsieve" $command $'folder2/z\x1b[31m\u202e.raw'
done
ok "a query that is none" clean text "$memsieve" query "$case" $'SELECT \x1b[31m'
ok "report's words" clean text "$memsieve" report "$case" -o $'r\x1b[31m.html'
ok "export's words" clean text "$memsieve" export "$case" --format misp -o $'m\x1b[31m.json'
ok "merge's words" clean text "$memsieve" merge $'m\x1b[31m.db' "$case"
ok "merge's words, again" clean text "$memsieve" merge $'m\x1b[31m.db' "$case"
ok "extract's words" clean text "$memsieve" extract --all-suspicious -o $'x\x1b[31m' "$case"
ok "names of what is extracted" clean text find x* -mindepth 1 -printf '%f\n'
for format in table json; do
	ok "batch, as $format" clean drawn "$memsieve" batch -j 1 --format $format --replace --case $'b\x1b[31m.db' folder2
	ok "batch --status, as $format" clean text "$memsieve" batch --format $format --status $'b\x1b[31m.db'
done
ok "messages can be asked for by any name" clean text "$memsieve" $'\x1b[31m'

# One file's name doesn't keep the others from being analysed.
cp dumps/attacks-19041.raw $'folder2/line\nbreak.raw'
rm -f $'folder2/z\x1b[31m\u202e.raw'
ok "a name with a line break is left out of a batch" status 3 "$memsieve" batch -j 1 --case lines.db folder2
ok "and told" grep -q 'line break' err
ok "and the others are done" [ "$(sqlite3 lines.db 'SELECT count(*) FROM dumps')" = 1 ]
echo "$checks checks"
