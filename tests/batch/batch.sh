#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A batch of sixty dumps: uninterrupted; killed twice with kill -9, and a worker once, and resumed: the same case. Dumps
# are found by what is in them; what fails costs only itself.
. "$(dirname "$0")/common.sh"
needs python3 gzip flock
make_samples win7-7601 win81-9600 win10-14393 win10-17763 win10-19041 srv2022-20348 win11-22000 format-full format-live format-lime format-elf format-triage
cd "$work" || exit 1

# Sixty in folders, most damaged, each by other bytes; names say nothing but for the raw ones.
python3 - <<-'EOF'
	import os, random, shutil
	names = sorted(os.listdir('dumps'))
	for n in range(60):
	    name = names[n % len(names)]
	    kind = 'raw' if name.startswith(('win', 'srv')) else 'xyz'
	    path = 'in/%d/%02d-%s.%s' % (n // 16, n, name[:-4], kind)
	    os.makedirs(os.path.dirname(path), exist_ok=True)
	    data = bytearray(open('dumps/' + name, 'rb').read())
	    r = random.Random(n)
	    for _ in range(n // len(names) * 40):
	        data[r.randrange(8192, len(data))] ^= 1 << r.randrange(8)
	    if n == 59:
	        data = data[:len(data) // 2]
	    open(path, 'wb').write(data)
	open('in/notes.txt', 'w').write('wake up: no dump here\n')
	open('in/0/photo.raw', 'wb').write(b'\xff\xd8\xff' + bytes(2 << 20))
	shutil.copy('/bin/true', 'in/1/program')
EOF
gzip -k in/0/00-* && mv in/0/00-*.gz in/2/

wait_for() {	# FILE PATTERN COUNT
	for _ in $(seq 1200); do
		[ "$(grep -c "$2" "$1" 2>/dev/null)" -ge "$3" ] && return 0
		sleep 0.05
	done
	die "no $3 times $2 in $1"
}
run() {		# batch, any outcome but usage
	"$memsieve" batch --format json "$@"
	local got=$?
	[ $got != 2 ] || die "usage: $*"
	return $got
}

run --case whole.db --jobs 2 in >whole.log
first=$?
ok "61 dumps were found" grep -q '"event": "found".*"dumps": 61,' whole.log
ok "its status fits what it says" [ "$first" = "$(grep -q '"event": "failed"' whole.log && echo 1 || { grep -q '"status": "partial"' whole.log && echo 3; } || echo 0)" ]

# Two interruptions of the batch, and one of a worker.
"$memsieve" batch --format json --case broken.db --jobs 2 in >1.log & parent=$!
wait_for 1.log '"event": "merged"' 7
"$memsieve" batch --status broken.db --format json >0.log
ok "where it stands is known while it runs" grep -q '"event": "status".*"dumps": 61' 0.log
kill -9 $parent
wait $parent 2>/dev/null
for try in $(seq 30); do
	pgrep -f "memsieve analyze .*$work/broken" >/dev/null || break
	sleep 0.1
done
ok "no worker outlives its batch" [ -z "$(pgrep -f "memsieve analyze .*$work/broken")" ]
ok "a batch is not begun over by accident" status 2 "$memsieve" batch --case broken.db in
"$memsieve" batch --format json --resume --case broken.db --jobs 2 in >2.log & parent=$!
wait_for 2.log '"event": "start"' 9
# Of a worker that is stopped it is sure that it had not ended by itself when it was killed.
killed=0
for try in $(seq 20); do
	worker=$(grep '"event": "start"' 2.log | tail -n 1 | sed 's/.*"pid": \([0-9]*\).*/\1/')
	kill -STOP "$worker" 2>/dev/null
	sleep 0.05
	if grep -q '^State:	T' "/proc/$worker/status" 2>/dev/null; then
		kill -9 "$worker" && killed=1
		break
	fi
done
[ $killed = 0 ] || wait_for 2.log '"event": "retry"' 1
wait_for 2.log '"event": "done"' 12
kill -9 $parent
wait $parent 2>/dev/null
[ $killed = 0 ] || ok "a killed worker is started once more" grep -q '"event": "retry"' 2.log
for try in $(seq 50); do
	pgrep -f "memsieve analyze .*$work/broken" >/dev/null || break
	sleep 0.1
done
ok "it was killed before its end" [ -z "$(grep '"event": "end"' 2.log)" ]
status_of() {
	"$memsieve" batch --status "$1" --format json >"$2"
	[ $? != 1 ] || grep -q '"status": "failed"' "$2" || { cat "$2"; die "no status of $1"; }
}
status_of broken.db status.log
# What had begun when it was killed may have ended or not; all else stands as the logs say.
python3 - <<-'EOF' || die "the status in between"
	import json
	says = {}
	for log in '1.log', '2.log':
	    for line in open(log):
	        try:
	            e = json.loads(line)
	        except ValueError:
	            break		# cut off by the kill
	        if 'name' in e:
	            says[e['name']] = 'begun' if e['event'] in ('start', 'retry') else 'done'
	rows = [json.loads(l) for l in open('status.log')]
	total, dumps = rows[-1], rows[:-1]
	assert total['event'] == 'status' and total['dumps'] == len(dumps) == 61 and total['running'] == 0, total
	for d in dumps:
	    ended = d['status'] in ('complete', 'partial', 'failed')
	    assert ended or d['status'] == 'waiting', d
	    wanted = says.get(d['name'])
	    assert wanted == 'begun' or ended == (wanted == 'done'), (wanted, d)
	assert total['done'] == sum(d['status'] != 'waiting' for d in dumps) and total['waiting'] == 61 - total['done']
	assert 12 <= total['done'] < 61, total
EOF
ok "the status in between" true
run --resume --case broken.db --jobs 2 in >3.log
ok "the resumed batch ends alike" [ $? = "$first" ]
# What a killed batch had running, two at a time, is run again.
starts=$(cat 1.log 2.log 3.log | grep '"event": "start"' | sed 's/.*"name": "\([^"]*\)".*/\1/' | sort | uniq -c | awk '$1 > 1' | wc -l)
ok "what was done was not done again ($starts dumps were begun twice)" [ "$starts" -le 6 ]
ok "the same case" same_case whole.db broken.db
ok "nothing is left behind" [ -z "$(ls -d ./*.parts 2>/dev/null)" -o "$first" = 1 ]

# A writer that was killed within a transaction leaves a journal: the case can be read all the same.
cp whole.db torn.db
python3 - <<-'EOF'
	import os, signal, sqlite3
	db = sqlite3.connect('torn.db', isolation_level=None)
	db.execute('PRAGMA cache_size = 1')
	db.execute('BEGIN')
	db.execute('DELETE FROM vads')
	os._exit(0)
EOF
[ -s torn.db-journal ] || die "the journal of a killed writer"
ok "a case whose writer was killed is read" status 0 "$memsieve" query torn.db machines
ok "as it was before" same_case whole.db torn.db
run --resume --case broken.db --jobs 2 in >4.log
ok "resuming what is done starts nothing" [ "$(grep -c '"event": "start"' 4.log)" -le "$(grep -c '"event": "failed"' whole.log)" ]

# One case a dump, merged afterwards.
run --cases cases --jobs 2 in >5.log
ok "a case for each" [ "$(ls cases/*.db | wc -l)" = "$(grep -c '"event": "done"' 5.log)" ]
run --merge-only --cases cases --case late.db in >6.log
ok "merged afterwards they are the same" same_case whole.db late.db
# A case that can't be merged costs only itself, and is not lost.
cp -r cases lies
liar=$(ls lies/*.db | sed -n 3p)
python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("UPDATE vads SET process_id = 99999 WHERE vad_id = 1"); d.commit()' "$liar"
more=$(ls lies/*.db | sed -n 2p)
python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("INSERT INTO dumps(path, size) VALUES (?, 1)", (sys.argv[2],)); d.commit()' "$more" "$work/in/0/00-x"
run --merge-only --cases lies --case others.db in >8.log
ok "a case that lies is refused" [ $? = 1 -a "$(grep -c '"event": "failed".*refers to a row' 8.log)" = 1 ]
ok "and one that speaks of another dump" [ "$(grep -c '"event": "failed".*other dumps' 8.log)" = 1 ]
ok "the others are merged" [ "$(grep -c '"event": "merged"' 8.log)" = $(($(grep -c '"event": "merged"' 6.log) - 2)) ]
cp "cases/${liar#lies/}" "$liar"
cp "cases/${more#lies/}" "$more"
run --merge-only --cases lies --case others.db in >9.log
ok "once they are mended they are merged, too" [ "$(grep -c '"event": "merged"' 9.log)" = 2 ]
# So does one that takes for ever: each of its rows of no dump is looked for among those that another brought.
for case in "$more" "$liar"; do
	python3 -c 'import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute("CREATE TABLE slow(a)"); d.execute("INSERT INTO slow WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 60000) SELECT i FROM n"); d.commit()' "$case"
done
run --limit merge_seconds=2 --limit merge_seconds_gib=1 --merge-only --cases lies --case slow.db in >11.log
ok "a case that takes for ever is refused" [ $? = 1 -a "$(grep -c '"event": "failed".*merge_seconds' 11.log)" = 1 ]
ok "the others are merged all the same" [ "$(grep -c '"event": "merged"' 11.log)" = $(($(grep -c '"event": "merged"' 6.log) - 1)) ]
# What is no case in the place of one is analysed anew.
head -c 5000 /dev/urandom >"$liar"
run --resume --cases lies --jobs 2 in >10.log
ok "what is no case is made anew" [ "$(grep -c '"event": "done"' 10.log)" = 1 ]
# A worker that was killed, with its batch, between its last commit and its end.
done_one=$(ls cases/*.db | head -n 1)
mv "$done_one" "${done_one%.db}.part"
head -c 512 /dev/zero >"${done_one%.db}.part-journal"
run --resume --cases cases --jobs 2 in >7.log
ok "what a killed worker had finished is taken" [ -s "$done_one" -a -z "$(ls cases/*.part* 2>/dev/null)" ]
ok "and not done again" [ "$(grep -c '"event": "start"' 7.log)" -le "$(grep -c '"event": "failed"' whole.log)" ]

# Failures.
mkdir bad
cp dumps/win7-7601.raw bad/good.raw
head -c 300000 /dev/urandom >bad/noise.raw
cp "$(echo in/3/59-*)" bad/	# half a dump: analysed as far as it goes
run --case bad.db bad bad/noise.raw bad/missing.raw >bad.log
ok "a failed dump fails the batch" [ $? = 1 ]
ok "and no other" grep -q '"event": "end".*"dumps": 4,.*"failed": 2,' bad.log
ok "half of one is partial" grep -q '"event": "done".*59-.*"status": "partial"' bad.log
ok "with a reason" grep -q '"event": "failed".*missing.raw.*"message": "[^"]*No such file' bad.log
ok "which the case keeps" [ "$(python3 -c "import sqlite3; print(sqlite3.connect('bad.db').execute('SELECT count(*) FROM failed_dumps WHERE message <> \"\"').fetchone()[0])")" = 2 ]
"$memsieve" batch -q -o quiet.db bad/good.raw bad/missing.raw >quiet.log 2>quiet.err
ok "when quiet, what failed is said alone" [ $? = 1 -a ! -s quiet.log -a "$(cat quiet.err)" = "memsieve: $work/bad/missing.raw: No such file or directory" ]
cp dumps/win10-19041.raw bad/missing.raw
run --resume --case bad.db bad bad/noise.raw >bad2.log
ok "what failed is tried again" grep -q '"event": "merged".*missing.raw' bad2.log
cp dumps/win10-19041.raw bad/$'no text \xff.raw'
printf '%s\n' "$work/bad/good.raw" "$work/bad/"$'no text \xff.raw' >list
ok "a list of dumps" status 0 "$memsieve" batch --case list.db @list
: >empty.db
ok "an empty file becomes the case" status 0 "$memsieve" batch --case empty.db @list
ok "memory is limited per worker" status 1 "$memsieve" batch --case tight.db --memory-limit 128M --jobs 1 --analyze=--no-such-option @list

# Archives: names that are no text, and others for which the locale has no letters; members that cost to skip, since their sizes stand
# behind them: 256 of 64 MiB in 17 MB.
python3 - <<-'EOF'
	import os, struct, zipfile, zlib
	os.mkdir('zips')
	with zipfile.ZipFile('zips/named.zip', 'w', zipfile.ZIP_DEFLATED) as z:
	    z.writestr('notes.txt', bytes(8192))
	    z.writestr('\u00e4.txt', 'none')
	    z.write('dumps/win10-19041.raw', 'sp\u00e4t.raw')
	named = open('zips/named.zip', 'rb').read()
	open('zips/named.zip', 'wb').write(named.replace('\u00e4.txt'.encode(), b'\xff\xfe.txt'))
	with zipfile.ZipFile('zips/alone.zip', 'w', zipfile.ZIP_DEFLATED) as z:
	    z.write('dumps/win7-7601.raw', 'sp\u00e4t.raw')
	c = zlib.compressobj(9, wbits=-15)
	zeros = c.compress(bytes(64 << 20)) + c.flush()
	with open('zips/slow.zip', 'wb') as f:
	    for n in range(256):
	        f.write(b'PK\3\4' + struct.pack('<HHHHHIIIHH', 20, 8, 8, 0, 0, 0, 0, 0, 1, 0) + b'a' + zeros +
	                b'PK\7\10' + struct.pack('<III', 0, len(zeros), 64 << 20))
EOF
LC_ALL=C run --limit look_seconds=1 --jobs 2 --case zips.db zips >zips.log 2>zips.err
ok "what takes too long to look into is left out" [ $? = 3 ]
ok "and told" grep -q 'slow.zip.*look_seconds' zips.err
ok "of a cluster's batch too" status 3 "$memsieve" batch --limit look_seconds=1 --slurm --dry-run --cases dry zips
ok "whose scripts replace nothing" status 2 "$memsieve" batch --slurm --dry-run --replace --cases dry dumps
run --jobs 2 --case plain.db dumps/win10-19041.raw dumps/win7-7601.raw >plain.log
facts() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*), sum(pid), (SELECT count(*) FROM diagnostics) FROM processes").fetchone())' "$1"; }
ok "dumps are found in archives whatever their names" [ "$(facts zips.db)" = "$(facts plain.db)" ]

# Workers that were taken over, as a plugin makes them (see trouble.c): the batch comes to its end, and says what became of them.
if grep -q __asan_init "$memsieve"; then
	echo "not for sanitizer builds: workers that were taken over"
else
	troubled() {	# KIND [OPTION...]
		local kind=$1
		shift
		TROUBLE=$kind timeout 60 "$memsieve" batch --format json --jobs 2 --case "$kind.db" --analyze=--plugin="$builddir/tests/durability/trouble.so" \
			--limit plugin_seconds=1 --limit plugin_seconds_gib=1 "$@" dumps/win10-19041.raw dumps/win7-7601.raw >"$kind.log" 2>"$kind.err"
	}
	troubled stop --limit worker_seconds=3 --limit worker_seconds_gib=1
	ok "workers that do nothing more fail the batch" [ $? = 1 ]
	ok "each with a reason, once" [ "$(grep -c '"event": "failed".*came to no end in 3 s (worker_seconds' stop.log)" = 2 -a "$(grep -c '"event": "start"' stop.log)" = 2 ]
	for kind in flood hangup; do
		troubled $kind --limit worker_seconds=50
		ok "workers that $kind don't hold it up" [ $? = 0 -o $? = 3 ]
		ok "and are merged" [ "$(grep -c '"event": "merged"' $kind.log)" = 2 ]
	done
fi

# What another batch has done while this one waited for it takes no worker's place: the rest is analysed all the same.
mkdir two two.db.parts
cp dumps/win10-19041.raw two/a.raw
cp dumps/win7-7601.raw two/b.raw
run --cases two.own two/a.raw >two.own.log
first_of_two=$(basename two.own/*.db .db)
exec 9>>"two.db.parts/$first_of_two.log"
flock 9
"$memsieve" batch --format json --case two.db --jobs 1 two >two.log 2>two.err 9>&- & parent=$!
wait_for two.log '"event": "found"' 1
mv "two.own/$first_of_two.db" two.db.parts/
exec 9>&-
wait $parent
ok "a batch that finds a dump done by another goes on" [ $? != 1 ]
ok "with the next" [ "$(grep -c '"event": "start"' two.log)" = 1 -a "$(grep -c '"event": "merged"' two.log)" = 2 ]
ok "and has nothing left to do" grep -q '"event": "end".*"dumps": 2, "done": 2,' two.log

# What can't be read may be a dump: it is told. Root can read everything.
mkdir -p shut/folder
cp dumps/win7-7601.raw shut/open.raw
cp dumps/win7-7601.raw shut/shut.raw
chmod 0 shut/shut.raw shut/folder
as_anyone=
if [ "$(id -u)" = 0 ]; then
	as_anyone="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all"
	chmod 755 "$work"
	chmod 1777 shut
fi
if $as_anyone test -x "$memsieve" -a -r shut/open.raw; then
	$as_anyone "$memsieve" batch --format json --case shut/shut.db shut >shut.log 2>shut.err
	ok "a dump that can't be read makes it partial" [ $? = 3 ]
	ok "and is told" grep -q 'shut/shut.raw: it can.t be read' shut.err
	ok "a folder too" grep -q 'shut/folder: a folder that can.t be read' shut.err
	ok "the others are done" grep -q '"event": "end".*"dumps": 1,' shut.log
	# Where no process can be had, each dump fails once, and nothing is waited for or signalled instead of its worker.
	(ulimit -u 1 -t 30 && exec $as_anyone "$memsieve" batch --format json --cases shut/few shut/open.raw dumps/win10-19041.raw) >few.log 2>few.err
	ok "no process for a worker fails the batch" [ $? = 1 ]
	ok "each dump once, with the reason" [ "$(grep -c '"event": "failed".*no worker process' few.log)" = 2 -a "$(grep -c '"event": "failed"' few.log)" = 2 ]
	ok "which is kept" [ "$(cat shut/few/*.failed | grep -c 'no worker process')" = 2 ]
else
	echo "not as somebody who may not read everything: the program is where others can't run it"
fi
mkdir nothing
ok "no dumps is a usage error" status 2 "$memsieve" batch --case none.db nothing
ok "so is no case" status 2 "$memsieve" batch in
echo "$checks checks"
