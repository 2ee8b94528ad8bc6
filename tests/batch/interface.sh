#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What scripts and people meet: help, manual pages and completion that know every command and option, JSON, exit statuses, and clear
# words for what is no dump. The tables' reference is held against the declarations.
. "$(dirname "$0")/common.sh"
needs python3
make_samples win10-19041
cd "$work" || exit 1

"$memsieve" --help >help || die "--help"
ok "--help fits a screen" [ "$(wc -l <help)" -le 24 -a "$(wc -L <help)" -le 80 ]
ok "without a command it is shown, as an error" status 2 "$memsieve"
commands=$(sed -n 's/^  \([a-z]*\)  .*/\1/p' help)
ok "it lists the commands" [ "$(echo "$commands" | wc -l)" -ge 12 ]
ok "the tables' reference is as declared (else: make tables-reference)" diff "$srcdir/docs/tables.md" <("$memsieve" tables --markdown)

PATH=$(dirname "$memsieve"):$PATH
# shellcheck disable=SC1091
. "$srcdir/data/memsieve.bash"
compopt() { :; }
complete_line() {	# words; the last is what stands before the cursor
	COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	_memsieve
}
complete_line memsieve ''
ok "completion knows the commands" [ "$(printf '%s\n' "${COMPREPLY[@]}" | grep -v -- -- | sort)" = "$(echo "$commands" | sort)" ]
letters=$(for c in $commands; do "$memsieve" "$c" --help; done | sed -n 's/^  -\([a-z]\), --[a-z-]*=.*/\1/p' | sort -u | tr -d '\n')
for c in $commands; do
	"$memsieve" "$c" --help >help 2>err || die "memsieve $c --help"
	grep -q "memsieve $c" help || die "memsieve $c --help does not name it"
	page=$srcdir/man/memsieve-$c.1
	[ -s "$page" ] || die "no manual page of $c"
	grep -q '^\.so' "$page" && page=$srcdir/man/memsieve.1
	complete_line memsieve "$c" --
	for option in $(sed -n 's/^  -[a-z], \(--[a-z-]*\).*/\1/p; s/^  \(--[a-z-]*\).*/\1/p' help); do
		[ "$option" = --help ] || sed 's/\\-/-/g' "$page" | grep -q -e "$option\\b" || die "the manual page of $c has no $option"
		printf '%s\n' "${COMPREPLY[@]}" | grep -qx -e "$option" || die "completion of $c has no $option"
	done
	ok "$c: help, manual page, completion" true
	"$memsieve" "$c" --no-such-option >out 2>err
	[ $? = 2 ] && [ -s err ] && [ ! -s out ] || die "$c: an unknown option is no usage error"
done
if command -v man >/dev/null; then
	for page in "$srcdir"/man/*.1; do
		! grep -q '^\.so' "$page" || continue	# a link to another
		(cd "$srcdir/man" && MANROFFSEQ='' LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | grep .) && die "$page"
	done
	ok "the manual pages are well-formed" true
fi
if command -v zsh >/dev/null; then
	ok "zsh's completion is zsh" zsh -n "$srcdir/data/_memsieve"
fi

# JSON
json() { "$memsieve" "$@" >out 2>err; local got=$?; [ $got = 0 -o $got = 3 ] && python3 -c 'import json, sys; d = json.load(open("out")); sys.exit(not d)'; }
dump=dumps/win10-19041.raw
for c in "info --json $dump" "symbols check --json $dump" "plugins --json" "tables --json" "limits --json"; do
	# shellcheck disable=SC2086
	ok "$c" json $c
done
"$memsieve" info "$dump" >text
ok "info says the same both ways" [ "$("$memsieve" info --json "$dump" | python3 -c 'import json, sys; print(json.load(sys.stdin)["kernel"]["guid_age"])')" = "$(sed -n 's/^PDB .* //p' text)" ]
"$memsieve" analyze -q -o case.db "$dump" || [ $? = 3 ] || die "analyze"
ok "-j2 and -oFILE, as others have it" sh -c "'$memsieve' analyze -q -j2 -oattached.db '$dump'; [ \$? = 0 -o \$? = 3 ] && [ -s attached.db ]"
named() { status 1 "$memsieve" analyze -q -o none.db -- -j2 && grep -q '^memsieve: -j2: ' err; }
ok "what stands after -- is a name" named
ok "so do all options with a value" [ "$letters" = "$(sed -n 's/^#define WITH_VALUE "\(.*\)"$/\1/p' "$srcdir/analyzer/main.c")" ]
ok "query --json" json query --json case.db triage
ok "batch --status --json" sh -c "'$memsieve' batch -q --json --case b.db '$dump' >/dev/null 2>&1; '$memsieve' batch --json --case b.db --resume '$dump' >/dev/null; '$memsieve' batch --status b.db --json | python3 -c 'import json, sys; [json.loads(l) for l in sys.stdin]'"

# What is no dump.
printf '\377\330\377\340' >photo.jpg && head -c 9000 /dev/urandom >>photo.jpg
: >empty
mkdir folder
head -c 3000000 /dev/zero >zeros.raw
head -c 100 /dev/urandom >short
says() { "$memsieve" analyze -o none.db "$1" >out 2>err; [ $? = 1 ] && grep -q "$2" err && [ "$(wc -l <err)" = 1 ] && [ ! -s out ]; }
ok "a photograph" says photo.jpg 'photo.jpg: no memory dump, but a JPEG image'
ok "an empty file" says empty 'empty: is an empty file'
ok "a folder" says folder 'folder: is a directory'
ok "no such file" says missing 'missing: No such file'
ok "memory of something else" says zeros.raw 'no Windows kernel in it'
ok "too short" says short '100 bytes are less than a page'
ok "a case" says case.db 'memsieve query'
mkfifo pipe
ok "a pipe is not waited for" sh -c "timeout 20 '$memsieve' extract --all-suspicious -o extracted pipe 2>err; [ \$? = 1 ] && grep -q 'no regular file' err"
ok "a program" says "$memsieve" 'a program or library, no core'
if [ "$(id -u)" != 0 ]; then
	cp "$dump" secret.raw && chmod 0 secret.raw
	ok "what may not be read" says secret.raw 'Permission denied'
fi
ok "and none of them leaves a case" [ ! -e none.db ]
ok "nor does a pipe" sh -c "timeout 20 '$memsieve' query pipe triage 2>err; [ \$? = 1 ] && grep -q 'no regular file' err"
for name in :memory: file:here.db?mode=memory; do
	ok "a case of the name $name is a file" sh -c "'$memsieve' analyze -q -o '$name' '$dump' && [ -s './$name' ] && '$memsieve' query '$name' triage >out"
done
ok "a case without a name" sh -c "'$memsieve' analyze -q -o '' '$dump' 2>err; [ \$? = 1 ] && [ -s err ]"
ok "a case that is a folder" sh -c "! '$memsieve' query folder triage 2>err && grep -q 'is a directory' err"

# -q, -v, and what is said of a run
"$memsieve" analyze -q -o quiet.db "$dump" >out 2>err
ok "-q says nothing" [ ! -s out -a ! -s err ]
"$memsieve" analyze -o said.db "$dump" >out 2>err
ok "the summary names machine, facts, findings" [ "$(grep -c '^  \(machine\|facts\|findings\)' out)" = 3 ]
ok "and no progress is drawn where nobody looks" sh -c "! grep -q '\\r' err"
for command in "info $dump" limits plugins tables "symbols check $dump" 'query said.db triage'; do
	ok "nobody gets what '$command' says" sh -c "'$memsieve' $command >/dev/full 2>err; [ \$? = 1 ] && [ -s err ]"
	ok "or it is closed" sh -c "'$memsieve' $command >&- 2>err; [ \$? = 1 ] && [ -s err ]"
done
gzip -k "$dump"
ok "with all streams closed" sh -c "'$memsieve' analyze -o closed.db '$dump.gz' >&- 2>&- <&-; [ \$? = 0 ] && '$memsieve' query closed.db triage | grep -q ."
"$memsieve" analyze "$dump" -o said.db >out 2>err
ok "again is refused or told" [ -s out -o -s err ]
# Interrupted after a dump and before the next: while the summary waits for a full pipe.
cp "$dump" next.raw
printf x >>next.raw
python3 - "$memsieve" "$dump" <<-'EOF' || die "interrupted between two dumps"
	import os, sqlite3, subprocess, sys, time
	r, w = os.pipe()
	os.set_blocking(w, False)
	try:
	    while True:
	        os.write(w, bytes(4096))
	except BlockingIOError:
	    os.set_blocking(w, True)
	p = subprocess.Popen([sys.argv[1], 'analyze', '-o', 'between.db', sys.argv[2], 'next.raw'], stdout=w, stderr=subprocess.PIPE, text=True)
	os.close(w)
	for _ in range(600):
	    time.sleep(0.1)
	    try:
	        if sqlite3.connect('file:between.db?mode=ro', uri=True).execute('SELECT count(finished_at) FROM runs').fetchone()[0]:
	            break
	    except sqlite3.Error:
	        pass		# locked
	time.sleep(0.5)
	p.terminate()
	time.sleep(0.1)
	while os.read(r, 65536):
	    pass
	err = p.communicate()[1]
	status = [s for s, in sqlite3.connect('between.db').execute('SELECT status FROM runs')]
	assert p.returncode == 1 and 'next.raw: not analysed' in err and len(status) == 1 and status[0] != 'failed', (p.returncode, err, status)
EOF
ok "interrupted between two dumps it fails, and says what is left" true
echo "$checks checks"
