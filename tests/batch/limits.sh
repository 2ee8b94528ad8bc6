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
	text_bytes directory_entries token_groups drivers sweep_hits sweep_mappings rows_process rows_plugin row_bytes_process row_bytes_plugin findings_rule; do
	ok "$name" bites $name
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
cheap() { (ulimit -t 5; printf '.parameter set :dump_id 1\n.read %s\n' "$1" | sqlite3 "$work/whole.db" >/dev/null); }
for rule in "$srcdir"/rules/sql/*.sql; do
	ok "$(basename "$rule") among planted processes" cheap "$rule"
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
most=$("$memsieve" limits --json | sed -n 's/.*"name": "\(.*\)".*/--limit \1=9223372036854775807/p')
ok "as much as numbers go" status 0 "$memsieve" analyze -q -o "$work/most.db" $most "$dump"
echo "$checks checks"
