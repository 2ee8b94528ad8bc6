#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A third party's plugin builds against nothing but what is installed, and runs: the one in samples/plugin, as it says.
set -u
: "${builddir:=.}" "${srcdir:=.}"
[ -x "$builddir/mksample" ] || { echo "no mksample"; exit 77; }
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
failed=0
say() { echo "$*"; failed=1; }

make -s -C "$builddir" install-pkgincludeHEADERS DESTDIR="$work/root" includedir=/include >/dev/null || { echo "headers are not installed"; exit 1; }
# As a stranger: no folder of the source tree, and all warnings.
${CC:-cc} -std=gnu11 -Wall -Wextra -Wno-missing-field-initializers -Werror -fPIC -shared -I"$work/root/include" \
	$(pkg-config --cflags glib-2.0) -o "$work/debugging.so" "$srcdir/samples/plugin/debugging.c" || { echo "the plugin does not build"; exit 1; }
"$builddir/memsieve" plugins "$work/debugging.so" | grep -q '^debugging' || say "memsieve plugins does not list it"
"$builddir/memsieve" tables "$work/debugging.so" | grep -q 'being_debugged' || say "memsieve tables does not list its table"

# A machine where one process is debugged: PEB.BeingDebugged is its third byte.
sed 's/^defect .*//' "$srcdir/samples/tiny/win10-19041.txt" >"$work/a.txt"
pid=$(sed -n 's/^process .* pid=\([0-9]*\).*path=.*/\1/p' "$work/a.txt" | head -n 1)
echo "defect kind=poke what=peb pid=$pid offset=2 value=1 width=1" >>"$work/a.txt"
"$builddir/mksample" "$work/a.txt" "$work/a.raw" || { echo "no sample"; exit 1; }
"$builddir/memsieve" analyze -q -o "$work/case.db" --plugin "$work/debugging.so" --rules "$srcdir/samples/plugin" "$work/a.raw" || say "analyze: exit status $?"
ask() { sqlite3 "$work/case.db" "$1"; }
[ "$(ask "SELECT group_concat(p.pid) FROM debugging JOIN processes p USING (process_id) WHERE being_debugged")" = "$pid" ] ||
	say "debugged: '$(ask 'SELECT * FROM v_debugging')', not $pid"
[ "$(ask "SELECT count(*) > 1 FROM debugging")" = 1 ] || say "one row or none"
[ "$(ask "SELECT group_concat(p.pid) FROM findings JOIN processes p USING (process_id) WHERE rule = 'debugged_process'")" = "$pid" ] ||
	say "the rule beside it found something else"
# Its table and view go along into another case, though nobody there has the plugin.
"$builddir/memsieve" merge -q "$work/merged.db" "$work/case.db" || say "merge: exit status $?"
ask "SELECT * FROM v_debugging; SELECT type, name, tbl_name FROM sqlite_schema WHERE tbl_name LIKE '%debugging' ORDER BY 1, 2" >"$work/shown"
sqlite3 "$work/merged.db" "SELECT * FROM v_debugging; SELECT type, name, tbl_name FROM sqlite_schema WHERE tbl_name LIKE '%debugging' ORDER BY 1, 2" |
	diff "$work/shown" - || say "merged it looks otherwise"
exit $failed
