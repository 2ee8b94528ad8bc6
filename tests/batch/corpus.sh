#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many dumps of the corpus beside the checkout: merging their cases equals analysing them into one; a batch of them that is killed
# with kill -9 twice, and one of its workers once, ends in the same case as one that is not; a case of a hundred dumps answers every
# named query within a second, and a report of four hundred is written and says all it leaves out.
#
#     tests/batch/corpus.sh MEMSIEVE
#
# FULL=1: 60 dumps of the whole corpus instead of ten small ones, and how much faster two workers are than one. KEEP=DIR: the dumps
# are made there and stay. Exit 77: no corpus.
MEMSIEVE=$(realpath "${1:?MEMSIEVE}")
corpus=${MEMSIEVE_SHARED:-$(dirname "$0")/../../../shared}/corpus
[ -d "$corpus" ] || { echo "no corpus beside the checkout"; exit 77; }
corpus=$(realpath "$corpus")
TMPDIR=${TMPDIR:-/var/tmp}	# sparse files of gigabytes
export TMPDIR
. "$(dirname "$0")/common.sh"
needs python3 sqlite3 zstd
cd "$work" || exit 1
dumps=${KEEP:-$work/in}

# The dumps, then the same under other names and damaged, each by other bytes.
if [ ! -d "$dumps" ]; then
	mkdir -p "$dumps" once
	if [ -n "${FULL:-}" ]; then
		list=$(ls -d "$corpus"/forged/*/memory*.zst "$corpus"/formats/*/*.zst "$corpus"/qemu/*.zst "$corpus"/real/*.dmp.zst | grep -v 'truth.json\|pagefile\|10-win11')
		total=60
	else
		list=$(ls "$corpus"/forged/06*/memory-kernel.dmp.zst "$corpus"/formats/24*/hiberfil.sys.zst "$corpus"/qemu/06.kdump-zlib.zst "$corpus"/real/*-1c7-*.dmp.zst "$corpus"/real/*-50-*.dmp.zst)
		total=10
	fi
	for packed in $list; do
		name=$(basename "$(dirname "$packed")")-$(basename "$packed" .zst)
		zstd -dqf --sparse "$packed" -o "once/$name" || die "$packed"
	done
	# A state file keeps the name of its memory.
	python3 - "$dumps" "$total" <<-'EOF' || die "the dumps"
		import os, random, shutil, subprocess, sys
		out, total = sys.argv[1], int(sys.argv[2])
		names = sorted(n for n in os.listdir('once') if not n.endswith(('.vmsn', '.vmss')))
		for n in range(total):
		    name, turn = names[n % len(names)], n // len(names)
		    stem, end = os.path.splitext(name)
		    path = '%s/%02d-%s%s' % (out, n, stem, end if end in ('.raw', '.vmem') else '.xyz')
		    subprocess.run(['cp', '--sparse=always', 'once/' + name, path], check=True)
		    for state in '.vmsn', '.vmss':
		        if os.path.exists('once/' + stem + state):
		            shutil.copy('once/' + stem + state, path[:-5] + state)
		    size, r = os.path.getsize(path), random.Random(n)
		    with open(path, 'r+b') as f:
		        for _ in range(turn * 200):
		            at = r.randrange(8192, size)
		            f.seek(at)
		            byte = f.read(1)[0]
		            f.seek(at)
		            f.write(bytes([byte ^ 1 << r.randrange(8)]))
		        if turn and n % 7 == 0:
		            f.truncate(size * 2 // 3 & ~4095)
	EOF
	rm -rf once
fi
total=$(find "$dumps" -type f ! -name '*.vmsn' ! -name '*.vmss' | wc -l)
echo "$total dumps"

batch() { "$memsieve" batch --format json "$@"; local got=$?; [ $got != 2 ] || die "usage: $*"; return $got; }
count() { grep -c "\"event\": \"$2\"" "$1" 2>/dev/null; }
wait_for() {	# LOG EVENT COUNT
	for _ in $(seq 12000); do
		[ "$(count "$1" "$2")" -ge "$3" ] && return 0
		sleep 0.05
	done
	die "no $3 times $2 in $1"
}

start=$(date +%s%N)
batch --case whole.db --jobs 2 "$dumps" >whole.log
first=$?
two=$((($(date +%s%N) - start) / 1000000))
ok "$total dumps are found" grep -q "\"event\": \"found\".*\"dumps\": $total," whole.log
ok "and each ends" grep -q "\"event\": \"end\".*\"done\": $total," whole.log
if [ -n "${FULL:-}" ]; then
	start=$(date +%s%N)
	# On one processor: a worker by itself uses more, since the hash is computed beside the rest.
	taskset -c 0 "$memsieve" batch --format json --case one.db --jobs 1 --analyze=--jobs=1 "$dumps" >one.log
	one=$((($(date +%s%N) - start) / 1000000))
	echo "two workers $two ms, one on one processor $one ms: $(python3 -c "print('%.2f' % ($one / $two))") times as fast"
	ok "one worker makes the same case" same_case whole.db one.db
fi

# kill -9: the batch, a worker, the batch
"$memsieve" batch --format json --case broken.db --jobs 2 "$dumps" >1.log & parent=$!
wait_for 1.log 'done' $((total / 4))
kill -9 $parent
wait $parent 2>/dev/null
"$memsieve" batch --format json --resume --case broken.db --jobs 2 "$dumps" >2.log & parent=$!
killed=
for _ in $(seq 200); do
	worker=$(grep '"event": "start"' 2.log 2>/dev/null | tail -n 1 | sed 's/.*"pid": \([0-9]*\).*/\1/')
	[ -n "$worker" ] && kill -STOP "$worker" 2>/dev/null && grep -q '^State:	T' "/proc/$worker/status" 2>/dev/null &&
		kill -9 "$worker" && killed=1 && break
	sleep 0.02
done
ok "a worker is killed" [ -n "$killed" ]
wait_for 2.log retry 1
wait_for 2.log 'done' $((total / 4))
kill -9 $parent
wait $parent 2>/dev/null
ok "both were killed before their ends" [ "$(cat 1.log 2.log | grep -c '"event": "end"')" = 0 ]
batch --resume --case broken.db --jobs 2 "$dumps" >3.log
ok "the resumed batch ends as the other" [ $? = "$first" ]
ok "and in the same case" same_case whole.db broken.db
ok "without doing anything twice that was done" [ "$(cat 1.log 2.log 3.log | grep -c '"event": "done"')" -le "$total" ]

# Merging equals analysing into one case.
batch --cases cases --jobs 2 "$dumps" >4.log
mapfile -t names < <(sed -n 's/.*"event": "done".*"name": "\([^"]*\)".*/\1/p' 4.log | sort | awk '{ print "cases/" $0 ".db" }')
[ "${#names[@]}" = "$(count whole.log "done")" ] || die "cases"
ok "their cases are merged" status 0 "$memsieve" merge merged.db "${names[@]}"
for case in "${names[@]}"; do sqlite3 "$case" 'SELECT path FROM dumps'; done >order
mapfile -t paths <order
"$memsieve" analyze -q -o single.db "${paths[@]}" || [ $? = 3 ] || die "analyze"
ok "and equal one case of all dumps" same_case single.db merged.db

# A hundred dumps, by giving copies other hashes.
cp merged.db hundred.db
while [ "$(sqlite3 hundred.db 'SELECT count(*) FROM dumps')" -lt 100 ]; do
	n=$((${n:-0} + 1))
	cp merged.db copy.db
	sqlite3 copy.db "UPDATE dumps SET sha256 = substr('$n' || sha256, 1, 64), path = '/$n' || path"
	"$memsieve" merge -q hundred.db copy.db || die "merge"
done
slow=
for q in $("$memsieve" query --list | sed -n 's/^\([a-z_]*\) .*/\1/p'); do
	TIMEFORMAT='%U %S'
	seconds=$( { time "$memsieve" query hundred.db "$q" -f jsonl >/dev/null; } 2>&1 | awk '{ print $1 + $2 }')
	echo "    $q: $seconds s"
	awk "BEGIN { exit !($seconds < 1) }" || slow="$slow $q"
done
ok "each named query of $(sqlite3 hundred.db 'SELECT count(*) FROM dumps') dumps takes less than a second (of a processor)" [ -z "$slow" ]
ok "a report of them" status 0 "$memsieve" report hundred.db -o report.html
echo "$checks checks"
