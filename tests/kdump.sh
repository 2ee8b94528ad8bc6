#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kdump files are read as libkdumpfile reads them: as many bytes, and the same. Beside a sample those that QEMU wrote, if the corpus is there.
dir=${builddir:-.} top=${srcdir:-.}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit 99
"$dir/mksample" "$top/samples/tiny/format-kdump.txt" "$work/sample.kdump" || exit 99
for packed in "${MEMSIEVE_SHARED:-$top/../shared}"/corpus/qemu/06.kdump-zlib.zst "${MEMSIEVE_SHARED:-$top/../shared}"/corpus/qemu/06.kdump-snappy.zst; do
	[ ! -e "$packed" ] || zstd -dq "$packed" -o "$work/$(basename "$packed" .zst)" || exit 99
done
for dump in "$work"/*; do
	ours=$("$dir/tests/bench/read" -j 1 "$dump" | awk '{ print $1, $4 }') theirs=$("$dir/tests/bench/kdump_loop" 16 "$dump" | awk '{ print $1, $3 }')
	echo "$(basename "$dump"): $ours"
	[ -n "$ours" ] && [ "$ours" = "$theirs" ] || { echo "libkdumpfile: $theirs"; exit 1; }
done
