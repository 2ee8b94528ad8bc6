#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Symbol files of each kind of machine: nothing of the build is built in, the layout comes from a Volatility-3 file in a folder
# (--symbols), from one file (--layout), or was imported; the rows are those of tests/golden. What can't be read there is told.
. "$(dirname "$0")/common.sh"
needs python3 sqlite3
samples="winxp-2600 winxp-2600-pae vista-6001-x86 win7-7601-x86 win10-19041-x86 arm64-22000 win10-19041"
make_samples $samples
cd "$work" || exit 1

rows() {	# CASE NAME
	cat "$srcdir/tests/golden/rows.sql" "$srcdir/tests/golden/vads.sql" | sqlite3 "$1" | sort
}

# All but what depends on a rule, or on the status.
expected() {
	grep -v '^findings|\|^exit|' "$srcdir/tests/golden/$1.expected" | sort
}

for name in $samples; do
	export XDG_DATA_HOME=$work/data-$name
	mkdir -p "symbols-$name/windows/ntkrnlmp.pdb"
	"$memsieve" symbols show "dumps/$name.raw" >"$name.txt" || die "$name: symbols show"
	file=$(python3 "$srcdir/tests/batch/make_isf.py" "$name.txt" "symbols-$name/windows/ntkrnlmp.pdb") || die "$name: no symbol file made"
	# Of no build is anything built in.
	export MEMSIEVE_HIDE_LAYOUTS="$("$memsieve" symbols list | awk '$1 != "imported" { print $1 }' | tr '\n' ' ') $(sed -n 's/^kernel \([0-9A-F]*\).*/\1/p' "$name.txt")"
	ok "$name: not covered without" status 1 "$memsieve" symbols check "dumps/$name.raw"
	ok "$name: --symbols" status 0 "$memsieve" analyze -q -o "$name-folder.db" --symbols "symbols-$name" "dumps/$name.raw"
	ok "$name: and its rows" diff <(expected "$name") <(rows "$name-folder.db")
	ok "$name: where they come from" [ "$(sqlite3 "$name-folder.db" 'SELECT layout_source FROM dumps')" = "isf:symbols-$name/windows/ntkrnlmp.pdb/$file" ]
	ok "$name: --layout" status 0 "$memsieve" analyze -q -o "$name-file.db" --layout "symbols-$name/windows/ntkrnlmp.pdb/$file" "dumps/$name.raw"
	ok "$name: and its rows" diff <(expected "$name") <(rows "$name-file.db")
	ok "$name: import" status 0 "$memsieve" symbols import "symbols-$name/windows/ntkrnlmp.pdb/$file"
	ok "$name: covered since" status 0 "$memsieve" symbols check "dumps/$name.raw"
	ok "$name: exactly" grep -q '^covered      exactly, by isf' out
	unset MEMSIEVE_HIDE_LAYOUTS
done

# A folder that isn't there, and what is none.
make_samples changed-19041 format-triage
dump=dumps/changed-19041.raw
: >file
for folder in nowhere file; do
	for command in info "symbols check" "symbols show" "analyze -q -o unread.db" "extract -q -o images --pid 300"; do
		ok "$command --symbols $folder" status 1 "$memsieve" $command --symbols "$folder" "$dump"
		ok "and why" grep -q "looked for in $folder: No" err
	done
done
ok "a small dump, too" status 1 "$memsieve" info --symbols nowhere dumps/format-triage.raw

# A loose PDB that can't be read may be this kernel's.
mkdir loose
printf 'Microsoft C/C++ MSF 7.00\r\n\032DS\0\0\0' >loose/ntkrnlmp.pdb
told() {	# told WORDS COMMAND…
	"${@:2}" >out 2>&1
	grep -q "$1" out
}
ok "analyze, without" status 0 "$memsieve" analyze -q -o whole.db "$dump"
for why in "header makes no sense" pdb_file; do
	rm -rf unread.db images
	[ "$why" = pdb_file ] && few="--limit pdb_file=10" || few=
	ok "analyze: $why" status 3 "$memsieve" analyze -q -o unread.db --symbols loose $few "$dump"
	ok "and its row" [ "$(sqlite3 unread.db "SELECT count(*) FROM diagnostics WHERE message LIKE '%loose/ntkrnlmp.pdb: %$why: it may be%' AND fault = '$([ "$few" ] && echo limit || echo implausible)'")" = 1 ]
	for command in info "info --json" "symbols check" "symbols check --json" "symbols show" "extract -q -o images --pid 300"; do
		ok "$command: $why" told "loose/ntkrnlmp.pdb: .*$why: it may be" "$memsieve" $command --symbols loose $few "$dump"
	done
done

# Families are named by the machine last of all, which is what they are found by.
if [ -x "$builddir/mklayouts" ]; then
	mkdir made
	ok "mklayouts" status 0 "$builddir/mklayouts" -o made symbols-{vista-6001-x86,win7-7601-x86,arm64-22000,win10-19041}/windows/ntkrnlmp.pdb/*.json.xz
	ok "and its names" [ "$(cd made && ls ./*.txt | sed 's/-[0-9A-F]\{8\}/-GUID/' | tr '\n' ' ')" = "./unknown-GUID-x86.txt ./unknown-arm64.txt ./unknown-x86.txt ./unknown.txt " ]
fi
