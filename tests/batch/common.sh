# SPDX-License-Identifier: Apache-2.0
# For the tests in this folder: where things are, sample dumps, and what makes two cases the same.
set -u
builddir=$(cd "${builddir:-.}" && pwd)
srcdir=$(cd "${srcdir:-.}" && pwd)
memsieve=${MEMSIEVE:-$builddir/memsieve} mksample=${MKSAMPLE:-$builddir/mksample}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
checks=0

die() {
	echo "FAILED: $*" >&2
	exit 1
}

# ok DESCRIPTION COMMAND…
ok() {
	local what=$1
	shift
	checks=$((checks + 1))
	"$@" || die "$what"
	echo "ok $checks $what"
}

# status EXPECTED COMMAND…: what it prints goes to $work/out and $work/err.
status() {
	local expected=$1 got=0
	shift
	"$@" >"$work/out" 2>"$work/err" || got=$?
	if [ "$got" != "$expected" ]; then
		echo "exit status $got instead of $expected: $*" >&2
		tail -n 20 "$work/out" "$work/err" >&2
		return 1
	fi
}

# analyse NAME: NAME.dmp into NAME.db; whether something is missing is the caller's question.
analyse() {
	rm -f "$1.db"
	"$memsieve" analyze -q -o "$1.db" "$1.dmp" >out 2>err || [ $? = 3 ] || die "analyze $1"
}

sql() {	# NAME QUERY
	sqlite3 "$1.db" "$2"
}

needs() {
	for program; do
		command -v "$program" >/dev/null || { echo "$program is not installed"; exit 77; }
	done
}

# make_samples NAME…: small dumps from their descriptions, into $work/dumps.
make_samples() {
	mkdir -p "$work/dumps"
	[ -x "$mksample" ] || { echo "mksample is not built"; exit 77; }
	for name; do
		"$mksample" "$srcdir/samples/tiny/$name.txt" "$work/dumps/$name.raw" || die "sample $name"
	done
}

# All rows of a case as text: ids as ranks, what differs from run to run (clock times, command lines) left out.
case_text() {
	python3 - "$1" <<-'EOF'
	import sqlite3, sys
	db = sqlite3.connect('file:%s?mode=ro' % sys.argv[1].replace('?', '%3f').replace('#', '%23'), uri=True)
	volatile = {'runs': ('command_line', 'started_at', 'finished_at'), 'plugin_runs': ('seconds',), 'failed_dumps': ('failed_at',)}
	tables = [r[0] for r in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")]
	rank = {t: {r[0]: n for n, r in enumerate(db.execute('SELECT rowid FROM "%s" ORDER BY rowid' % t), 1)} for t in tables}
	for t in tables:
	    info = db.execute('SELECT name, pk FROM pragma_table_info(?)', (t,)).fetchall()
	    refs = dict(db.execute('SELECT "from", "table" FROM pragma_foreign_key_list(?)', (t,)))
	    names = [n for n, pk in info if not pk and n not in volatile.get(t, ())]
	    for row in db.execute('SELECT %s FROM "%s" ORDER BY rowid' % (', '.join('"%s"' % n for n in names), t)):
	        row = dict(zip(names, row))
	        for n in names:
	            if row[n] is not None and n in refs:
	                row[n] = rank[refs[n]][row[n]]
	        if t == 'diagnostics' and row['row_id'] is not None:
	            row['row_id'] = rank[row['table_name']][row['row_id']]
	        print(t, row)
	bad = db.execute('PRAGMA foreign_key_check').fetchall()
	if bad:
	    print('broken references', bad)
	EOF
}

# Equal row for row, ids aside?
same_case() {
	case_text "$1" >"$work/first.txt" && case_text "$2" >"$work/second.txt" && [ -s "$work/first.txt" ] &&
		diff "$work/first.txt" "$work/second.txt" >"$work/diff.txt" && return 0
	head -n 20 "$work/diff.txt" >&2
	return 1
}
