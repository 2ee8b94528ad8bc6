#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Merging cases equals analysing the dumps into one case, row for row.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
make_samples win10-19041 win7-7601 format-triage srv2022-20348 defect-hole-vad format-lime
cd "$work/dumps" || exit 1

analyze() {	# CASE DUMP…: complete and partial are both fine here
	"$memsieve" analyze -q -o "$@" || [ $? = 3 ] || die "analyze $*"
}

for d in *.raw; do
	analyze "$work/$d.db" "$d"
done
analyze "$work/all.db" *.raw

ok "six cases into one" status 0 "$memsieve" merge "$work/merged.db" "$work"/*.raw.db
ok "equals one case of all dumps" same_case "$work/all.db" "$work/merged.db"
cp "$work/merged.db" "$work/before.db"
ok "merging again" status 0 "$memsieve" merge "$work/merged.db" "$work/win7-7601.raw.db" "$work/all.db"
ok "says what is skipped" grep -q '0 dumps of 2 cases merged.* 7 skipped' "$work/out"
ok "and changes nothing" same_case "$work/before.db" "$work/merged.db"

# The input has some dumps that are there and some that are not.
analyze "$work/order.db" srv2022-20348.raw defect-hole-vad.raw format-lime.raw format-triage.raw win10-19041.raw win7-7601.raw
ok "one of six is there" status 0 "$memsieve" merge "$work/part.db" "$work/srv2022-20348.raw.db" "$work/all.db"
ok "the five others come" same_case "$work/order.db" "$work/part.db"

# A table that nobody here knows, with a reference.
for n in 1 2; do
	cp "$work/$([ $n = 1 ] && echo win7-7601 || echo format-lime).raw.db" "$work/extra$n.db"
	sqlite3 "$work/extra$n.db" "CREATE TABLE \"odd 'name\"(odd_id INTEGER PRIMARY KEY, process_id INTEGER REFERENCES processes(process_id), \"a \"\"b\" TEXT) STRICT;
		INSERT INTO \"odd 'name\" SELECT process_id * 7, process_id, name FROM processes ORDER BY 1"
done
ok "tables of others come along" status 0 "$memsieve" merge "$work/extra.db" "$work/extra1.db" "$work/extra2.db"
ok "with their references" [ "$(sqlite3 "$work/extra.db" "SELECT count(*), sum(o.\"a \"\"b\" = p.name) = count(*), (SELECT count(*) FROM processes) FROM \"odd 'name\" o JOIN processes p USING (process_id)")" = \
	"$(sqlite3 "$work/extra.db" "SELECT count(*), 1, count(*) FROM processes")" ]
ok "no broken references" [ -z "$(sqlite3 "$work/extra.db" 'PRAGMA foreign_key_check')" ]

# An older case, without a table and without a column.
cp "$work/win7-7601.raw.db" "$work/old.db"
sqlite3 "$work/old.db" "DROP VIEW timeline; DROP VIEW v_threads; DROP VIEW v_environment; DROP TABLE environment; ALTER TABLE threads DROP COLUMN wait_reason"
ok "a case of an older version" status 0 "$memsieve" merge "$work/newer.db" "$work/old.db"
ok "gets what it lacks" [ "$(sqlite3 "$work/newer.db" "SELECT count(wait_reason) = 0 AND count(*) > 0 FROM threads; SELECT count(*) FROM environment")" = $'1\n0' ]

# A thread whose process object is not in the dump is its dump's all the same.
make_samples defect-hole-eprocess
lost="SELECT count(*) FROM threads t JOIN dumps d ON d.dump_id = t.owner_dump_id WHERE t.process_id IS NULL AND d.path = 'defect-hole-eprocess.raw'"
analyze "$work/hole.db" win7-7601.raw defect-hole-eprocess.raw
ok "a thread without a process" [ "$(sqlite3 "$work/hole.db" "$lost")" = 1 ]
cp "$work/win7-7601.raw.db" "$work/seven.db"
ok "goes where a part of the dumps goes" status 0 "$memsieve" merge "$work/seven.db" "$work/hole.db"
ok "with its dump" [ "$(sqlite3 "$work/seven.db" "$lost")" = 1 ]
"$memsieve" export -f csv -d 2 -o "$work/hole.csv" "$work/hole.db" >"$work/out" 2>&1 && "$memsieve" export -f csv -d 1 -o "$work/other.csv" "$work/hole.db" >"$work/out" 2>&1 || die "export"
ok "is exported with its dump, and no other" [ "$(cat "$work/hole.csv/threads.csv" "$work/other.csv/threads.csv" | wc -l)" = "$(sqlite3 "$work/hole.db" "SELECT 2 + count(*) FROM threads")" ]
analyze "$work/hole.db" --replace defect-hole-eprocess.raw
ok "and goes with it" [ "$(sqlite3 "$work/hole.db" "SELECT count(*) FROM threads WHERE process_id IS NULL")" = 1 ]
# Of older cases, where threads had no dump.
old() {		# CASE
	sqlite3 "$1" "DROP VIEW timeline; DROP VIEW v_threads; DROP INDEX i_threads_owner_dump_id; ALTER TABLE threads DROP COLUMN owner_dump_id"
}
analyze "$work/alone.db" defect-hole-eprocess.raw
old "$work/alone.db"
cp "$work/alone.db" "$work/grown.db"
whose="SELECT count(*), count(t.process_id), count(t.owner_dump_id), sum(t.owner_dump_id IS p.dump_id) FROM threads t LEFT JOIN processes p USING (process_id)"
all=$(sqlite3 "$work/alone.db" "SELECT count(*) FROM threads")
ok "an older case says whose they are when it is read" [ "$("$memsieve" query -f csv "$work/alone.db" "$whose" | tail -n 1 | tr -d "\r")" = "$all,$((all - 1)),$all,$((all - 1))" ]
ok "is merged" status 0 "$memsieve" merge "$work/newest.db" "$work/alone.db"
ok "with whose they are" [ "$(sqlite3 "$work/newest.db" "$lost; $whose")" = "1
$all|$((all - 1))|$all|$((all - 1))" ]
analyze "$work/grown.db" win7-7601.raw
ok "and when a dump comes to it" [ "$(sqlite3 "$work/grown.db" "$lost; SELECT count(*) FROM threads WHERE owner_dump_id IS NULL")" = $'1\n0' ]
old "$work/hole.db"
ok "one of several dumps is merged, too" status 3 "$memsieve" merge "$work/last.db" "$work/hole.db"
ok "what is left out is told" grep -q 'hole.db: 1 rows of threads .* are left out' "$work/err"
ok "but for those that are nobody's" [ "$(sqlite3 "$work/last.db" "SELECT count(*) FROM threads")" = "$(sqlite3 "$work/hole.db" "SELECT count(process_id) FROM threads")" ]

# A table whose rows have no numbers takes none of another's.
cp "$work/win10-19041.raw.db" "$work/numbered.db"
sqlite3 "$work/seven.db" "CREATE TABLE own(a INTEGER PRIMARY KEY) WITHOUT ROWID"
sqlite3 "$work/numbered.db" "CREATE TABLE own(a INTEGER PRIMARY KEY)"
ok "a table without rowids is merged into by nobody" status 1 "$memsieve" merge "$work/seven.db" "$work/numbered.db"
ok "and told" grep -q 'the table own ' "$work/err"

# What is no case, or a broken one, costs only itself.
echo "no case at all" >"$work/text.db"
cp "$work/format-lime.raw.db" "$work/broken.db"
sqlite3 "$work/broken.db" "UPDATE vads SET process_id = 99999 WHERE vad_id = 1"
sqlite3 "$work/other.db" "CREATE TABLE t(x)"
head -c 20000 "$work/format-lime.raw.db" >"$work/short.db"
ok "bad inputs fail" status 1 "$memsieve" merge "$work/some.db" "$work/text.db" "$work/win7-7601.raw.db" "$work/broken.db" "$work/other.db" \
	"$work/short.db" "$work/missing.db" "$work/win10-19041.raw.db"
ok "and are named" [ "$(grep -c 'text.db\|broken.db\|other.db\|short.db\|missing.db' "$work/err")" = 5 ]
analyze "$work/two.db" win7-7601.raw win10-19041.raw
ok "the others are merged" same_case "$work/two.db" "$work/some.db"
ok "no case is made of its own input" status 2 "$memsieve" merge "$work/some.db" "$work/some.db"
ok "the inputs are as they were" [ -z "$(ls "$work" | grep -e '-journal$' -e '-wal$')" ]
echo "$checks checks"
