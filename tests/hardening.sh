#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The program is built to resist: position-independent, relocations read-only, stacks guarded, calls of the C library checked.
# Uses builddir as `make check` sets it; 77 for sanitizer builds, which are built otherwise, and without readelf.
set -u
program=${builddir:-.}/memsieve
command -v readelf >/dev/null || { echo "no readelf"; exit 77; }
readelf -Ws "$program" | grep -q __asan_init && { echo "a sanitizer build"; exit 77; }
failed=0
check() {	# check WHAT COMMAND…
	what=$1
	shift
	"$@" || { echo "missing: $what"; failed=1; }
}
has() { readelf -W "$1" "$program" | grep -Eq "$2"; }
lacks() { ! has "$1" "$2"; }

check "position-independent executable" has -h 'Type: +DYN'
check "read-only relocations (RELRO)" has -l 'GNU_RELRO'
check "relocations at start (BIND_NOW)" has -d 'BIND_NOW|FLAGS_1.*NOW'
check "a stack that does not execute" has -l 'GNU_STACK .* RW +0x'
check "no segment both writable and executable" lacks -l 'LOAD .* RWE'
check "guarded stacks" has --dyn-syms '__stack_chk_fail'
check "checked calls of the C library" has --dyn-syms '__(memcpy|memset|printf|fprintf|snprintf|vsnprintf|read|pread|longjmp|realpath)_chk'
check "no runpath" lacks -d '(RPATH|RUNPATH)'
if grep -q 'fcf-protection' "${builddir:-.}/Makefile" && has -h 'X86-64'; then
	# The linker marks the program only where the C library's start-up files (crti.o and others) are marked too: ours all are.
	marked() { readelf -nW "${builddir:-.}/libmemsieve.a" | awk '/^File:/ { files++ } /IBT, SHSTK/ { marked++ } END { exit !files || marked != files }'; }
	check "all objects marked for branch targets and shadow stacks (CET)" marked
	targets() { objdump -d --disassemble=main "$program" | grep -q endbr64; }
	check "indirect branch targets marked (CET)" targets
fi
exit $failed
