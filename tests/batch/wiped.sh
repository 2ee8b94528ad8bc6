#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# samples/tiny/wiped-19041, and the same on other builds: every image in private memory is found at its base with its imports, whatever its headers
# lack, and nothing is found where none begins. The processes' names say where that is.
. "$(dirname "$0")/common.sh"
set -e
needs sqlite3

for build in 6.1.7601.24540 6.3.9600.20144 10.0.19041.1466 10.0.22000.1219 6.1.7601.17514-x86; do
	sed "s/build=[^ ]*/build=$build/" "$srcdir/samples/tiny/wiped-19041.txt" >"$work/description"
	case $build in *-x86) sed -i 's/content=pe:/content=pe32:/' "$work/description" ;; esac
	"$mksample" "$work/description" "$work/dump"
	"$memsieve" analyze -q -o "$work/case.db" "$work/dump" || [ $? = 3 ]	# 3: a page is missing
	sqlite3 "$work/case.db" >"$work/found" <<'END'
WITH RECURSIVE want(process_id, pid, at, rest) AS (
  SELECT process_id, pid, NULL, substr(replace(name, '.exe', ''), 2) || '-' FROM processes WHERE pid >= 1000
  UNION ALL SELECT process_id, pid, substr(rest, 1, instr(rest, '-') - 1), substr(rest, instr(rest, '-') + 1) FROM want WHERE rest <> ''),
found AS (SELECT process_id, printf('%x', base - 0x30000000) AS at, i.* FROM images i WHERE base BETWEEN 0x30000000 AND 0x3fffffff)
SELECT 'missing', w.pid, w.at FROM want w WHERE w.at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM found f WHERE f.process_id = w.process_id AND f.at = w.at
   AND EXISTS (SELECT 1 FROM findings g WHERE g.process_id = w.process_id AND g.rule IN ('wiped_header', 'pe_in_private_memory') AND g.severity = 'high' AND g.address = f.base)
   AND 2 = (SELECT count(*) FROM image_imports m WHERE m.image_id = f.image_id))
UNION ALL SELECT 'extra', p.pid, f.at FROM found f JOIN processes p USING (process_id) WHERE NOT EXISTS (SELECT 1 FROM want w WHERE w.process_id = f.process_id AND w.at = f.at);
SELECT count(*) FROM images WHERE base BETWEEN 0x30000000 AND 0x3fffffff;
END
	echo 70 >"$work/expected"
	diff -u "$work/expected" "$work/found" || { echo "FAIL build $build"; exit 1; }
	rm -f "$work/case.db" "$work/dump"
done
