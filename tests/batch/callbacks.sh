#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whom the kernel calls, by lists whose structures are in no symbols: each function is the one that is called.
. "$(dirname "$0")/common.sh"
needs sqlite3
[ -x "$mksample" ] || { echo "mksample is not built"; exit 77; }
cd "$work" || exit 1

# machine LINE…: it, analysed into case.db
machine() {
	printf '%s\n' '# A machine.' "$@" 'process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare' >machine.txt
	"$mksample" machine.txt machine.dmp || die "sample"
	rm -f case.db
	"$memsieve" analyze -q -o case.db machine.dmp >out 2>err || [ $? = 3 ] || die "analyze"
}

# pokes ADDRESS VALUE…: one number after the other
pokes() {
	local at=$1
	shift
	for value; do
		printf 'defect kind=poke va=0x%x value=%s\n' "$at" "$value"
		at=$((at + 8))
	done
}

# rows TYPE: their functions
rows() {
	sqlite3 case.db "SELECT group_concat(module || '+' || (address - (SELECT base FROM drivers WHERE name = callbacks.module)) || coalesce(' ' || json_extract(detail, '\$.context'), ''))
		FROM callbacks WHERE type = '$1'"
}

base=0xfffff80591000000	# of the kernel
data=0xfffff80510002000	# of example.sys
head=$((base + 0xa02b20))	# RtlpDebugPrintCallbackList
mapfile -t record < <(pokes $head $((data + 0x18)) $((data + 0x18)); pokes $data 0 0 0xfffff80510001040 $head $head 0x624d6c4602040000)
machine 'machine build=10.0.19041.1466 ram=3M' 'driver name=example.sys base=0xfffff80510000000 text=3' "${record[@]}"
ok "who listens to debug prints: the record ends with its links" [ "$(rows debug_print)" = example.sys+4160 ]
ok "no driver is blamed for what follows it" [ "$(sqlite3 case.db "SELECT count(*) FROM findings WHERE rule = 'callback_outside_driver'")" = 0 ]
echo "$checks checks"
