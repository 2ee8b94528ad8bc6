#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The same file in two dumps of a case: code that differs is found on its page, code that doesn't isn't.
. "$(dirname "$0")/common.sh"
set -e
needs sqlite3

cat >"$work/first.txt" <<'END'
# A machine.
machine build=10.0.19041.1466 ram=3M
driver name=example.sys text=2 timestamp=0x5f000000 exports=One,Two base=0xfffff80312340000
driver name=other.sys timestamp=0x5f000001 pointer=0x1f04 discarded base=0xfffff80345670000
process name=smss.exe pid=300 ppid=4 path=C:\Windows\System32\smss.exe bare
END
# One driver has other code on its second page.
sed 's/0xfffff80312340000/0xfffff80312340000 patch=0x2104:90/' "$work/first.txt" >"$work/second.txt"
# The same as the first but for where drivers lie. Their relocations were discarded: addresses within the image, one of them in code, are
# recognised, and they don't differ; nor does their hash.
sed 's/0xfffff80312340000/0xfffff80399990000/; s/0xfffff80345670000/0xfffff803abc50000/' "$work/first.txt" >"$work/third.txt"
for n in first second third; do
	"$mksample" "$work/$n.txt" "$work/$n.raw"
	"$memsieve" analyze -q -o "$work/case.db" "$work/$n.raw"
done
"$memsieve" query "$work/case.db" changed_code --format csv >"$work/rows"
cut -d, -f1-6 "$work/rows" | tr -d '"\r' | tail -n +2 >"$work/found"
# The files lie on volumes of other numbers.
sqlite3 "$work/case.db" "UPDATE images SET path = '\Device\HarddiskVolume' || (dump_id + 1) || '\' || substr(path, -11) WHERE path LIKE '%example.sys'"
"$memsieve" query "$work/case.db" changed_code --format csv | cut -d, -f1-6 | cmp - <(cut -d, -f1-6 "$work/rows")
grep -q 'second.raw' "$work/rows"
cat >"$work/expected" <<'END'
example.sys,kernel,,0xfffff80312342000,1,2
END
diff -u "$work/expected" "$work/found"
[ "$(sqlite3 "$work/case.db" "SELECT count(*) FROM image_sections WHERE page_hashes IS NOT NULL")" -gt 6 ]
[ "$(sqlite3 "$work/case.db" "SELECT count(*) || '|' || count(DISTINCT base) || '|' || count(DISTINCT sha256) || '|' || min(relocations_from) || '|' || min(relocations_known)
	FROM images WHERE path LIKE '%other.sys'")" = '3|2|1|addresses|1' ]
