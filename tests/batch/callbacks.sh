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

# global NAME: where the global is in the machine
global() {
	local rva
	rva=$("$memsieve" symbols show machine.dmp | awk -v name="$1" '$1 == name { print $2 }')
	[ "$rva" ] || die "$1 is not known"
	echo $(($(sqlite3 case.db "SELECT base FROM drivers WHERE name = 'ntoskrnl.exe'") + rva))
}

data=0xfffff80510002000	# of example.sys
example='driver name=example.sys base=0xfffff80510000000 text=3'
kernel='machine build=10.0.19041.1466 ram=3M'
machine "$kernel" "$example"
head=$(global RtlpDebugPrintCallbackList)
mapfile -t record < <(pokes $head $((data + 0x18)) $((data + 0x18)); pokes $data 0 0 0xfffff80510001040 $head $head 0x624d6c4602040000)
machine "$kernel" "$example" "${record[@]}"
ok "who listens to debug prints: the record ends with its links" [ "$(rows debug_print)" = example.sys+4160 ]
ok "no driver is blamed for what follows it" [ "$(sqlite3 case.db "SELECT count(*) FROM findings WHERE rule = 'callback_outside_driver'")" = 0 ]

# Of one machine: with a second setting that is the first, with another one, with none.
head=$(global PopRegisteredPowerSettingCallbacks)
tag=0x74655350 first=0x2222222211111111 second=0x4444444433333333
low() { printf '0x%08x00000000' $(($1 & 0xffffffff)); }
mid() { printf '0x%08x%08x' $(($2 & 0xffffffff)) $(($1 >> 32 & 0xffffffff)); }
# power NEXT PREVIOUS SETTINGS FUNCTION: the numbers of a registration
power() {
	echo "$1 $2 $tag 0 $(low $first) $(mid $first $second)"
	case $3 in
	same) echo "$(mid $second $first) $(mid $first $second) $((second >> 32)) 0" ;;
	other) echo "$(mid $second $second) $(mid $second $first) $((first >> 32)) 0" ;;
	none) echo "$((second >> 32)) 0" ;;
	esac
	echo "$4 0x1234 0 0"
}
one=$data two=$((data + 0x100)) three=$((data + 0x200))
mapfile -t record < <(pokes $head $one $three; pokes $one $(power $two $head same 0xfffff80510001040)
	pokes $two $(power $three $one other 0xfffff80510001080); pokes $three $(power $head $two none 0xfffff805100010c0))
machine "$kernel" "$example" "${record[@]}"
ok "who listens to power settings, whatever form that has" [ "$(rows power_setting)" = 'example.sys+4160 0x1234,example.sys+4224 0x1234,example.sys+4288 0x1234' ]
ok "to the same setting all" [ "$(sqlite3 case.db "SELECT group_concat(DISTINCT json_extract(detail, '\$.setting')) FROM callbacks WHERE type = 'power_setting'")" = 11111111-2222-2222-3333-333344444444 ]
echo "$checks checks"
