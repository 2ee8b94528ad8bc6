#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds each small sample, compares its hash with samples/MANIFEST, analyses it and compares the case's rows with
# NAME.expected.
#
# What is expected comes from the sample's description (mksample's third argument), not from the analysis. UPDATE=1
# rewrites it, and the manifest: from the description again; for samples whose outcome no description tells (those
# with defects, those without page tables), from the analysis: read the difference before it is believed.
# Arguments: names of samples; none: all. VERBOSE=1 tells those that pass.
set -u
srcdir=${srcdir:-.}
mksample=${MKSAMPLE:-./mksample} memsieve=${MEMSIEVE:-./memsieve}
golden=$srcdir/tests/golden manifest=$srcdir/samples/MANIFEST
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
LC_ALL=C
export LC_ALL

command -v sqlite3 >/dev/null || { echo "sqlite3 is not installed"; exit 77; }

# Is the outcome known by the analysis alone?
observed() {
	case $1 in
	defect-*|format-triage*|format-header*) return 0 ;;
	esac
	return 1
}

rows() {
	cat "$golden/rows.sql"
	case $1 in
	format-kernel*|format-bitmap-kernel*|format-automatic*|format-debugger-kernel*) cat "$golden/vads-kernel.sql" ;;
	*) cat "$golden/vads.sql" ;;
	esac
	case $1 in
	*-hibernation*) echo "SELECT 'detail', format_detail FROM dumps;" ;;
	esac
	if observed "$1"; then cat "$golden/diagnostics.sql"; fi
}

# Findings: all that are expected must be there; others only of processes that some finding is expected of.
findings() {
	sqlite3 "$work/case.db" <"$golden/findings.sql" | awk -F'|' 'NR == FNR { if ($1 == "findings") { want[$0]; of[$3] } next }
		($0 in want) || !($3 in of)' "$work/truth" -
}

failed=0 total=0
for description in "$srcdir"/samples/tiny/*.txt "$srcdir"/samples/realistic.txt; do
	name=$(basename "$description" .txt)
	case " $* " in "  "|*" $name "*) ;; *) continue ;; esac
	total=$((total + 1))
	case $name in	# formats of several files know each other by their names
	format-vmem|format-vmss) dump=$work/dump.vmss ;;
	format-kdump-split) dump=$work/dump-1.kdump ;;
	*) dump=$work/dump ;;
	esac
	expected=$golden/$name.expected
	if ! "$mksample" "$description" "$dump" "$work/truth"; then
		echo "FAIL $name: not built"
		failed=$((failed + 1))
		continue
	fi
	echo "$name ${description#"$srcdir/"} $(sha256sum "$dump" | cut -d' ' -f1) $(sed -n '1s/^# //p' "$description")" >"$work/line"
	rm -f "$work/case.db"
	"$memsieve" analyze -q -o "$work/case.db" "$dump" >"$work/messages" 2>&1
	echo "exit|$?" >"$work/found"
	if [ -f "$work/case.db" ]; then
		rows "$name" | sqlite3 "$work/case.db" >>"$work/found" 2>&1
		if grep -q '^findings|' "$work/truth"; then findings >>"$work/found"; fi
	fi
	sort -o "$work/found" "$work/found"
	if [ -n "${UPDATE:-}" ]; then
		if observed "$name"; then
			cp "$work/found" "$expected"
		else
			{ grep -q '^exit|' "$work/truth" || echo "exit|0"; cat "$work/truth"; } | sort >"$expected"
		fi
		{ grep -sv "^$name " "$manifest"; cat "$work/line"; } | sort >"$work/manifest"
		cp "$work/manifest" "$manifest"
	fi
	if ! grep -qxF "$(cat "$work/line")" "$manifest"; then
		echo "FAIL $name: another dump than samples/MANIFEST says:"
		cat "$work/line"
		failed=$((failed + 1))
	elif cmp -s "$expected" "$work/found"; then
		[ -z "${VERBOSE:-}" ] || echo "ok $name"
	else
		echo "FAIL $name"
		diff -u "$expected" "$work/found" | head -40
		cat "$work/messages"
		failed=$((failed + 1))
	fi
	rm -f "$work"/dump*
done
echo "$total samples, $failed failed"
[ "$failed" = 0 ] && [ "$total" != 0 ]
