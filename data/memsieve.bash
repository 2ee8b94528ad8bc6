# SPDX-License-Identifier: Apache-2.0
# bash completion for memsieve; the options come from each command's --help.

_memsieve_options() {
	[ "$1" != symbols ] || set -- symbols check
	memsieve "$@" --help 2>/dev/null | sed -n 's/^  -[a-z], \(--[a-z-]*\).*/\1/p; s/^  \(--[a-z-]*\).*/\1/p'
}

_memsieve() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
	# bash takes = for a word of its own
	[ "$cur" = = ] && cur=
	[ "$prev" = = ] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "$(memsieve --help 2>/dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p') --help --version" -- "$cur"))
		return
	fi
	case $command:$prev in
	query:--format|query:-f) COMPREPLY=($(compgen -W "table csv json jsonl" -- "$cur")) ;;
	export:--format|export:-f) COMPREPLY=($(compgen -W "timesketch bodyfile ecs stix misp csv" -- "$cur")) ;;
	batch:--format|batch:-f) COMPREPLY=($(compgen -W "table json" -- "$cur")) ;;
	*:--pagefile|*:--yara|*:--layout|*:--plugin) compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")) ;;
	*:--yara-scope) COMPREPLY=($(compgen -W "suspicious executable process kernel all" -- "$cur")) ;;
	*:--rules|*:--symbols|*:--queries|*:--cases|*:--log-dir|*:--status) compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")) ;;
	symbols:symbols) COMPREPLY=($(compgen -W "check show list import" -- "$cur")) ;;
	*)
		if [[ $cur == -* ]]; then
			COMPREPLY=($(compgen -W "$(_memsieve_options "$command")" -- "$cur"))
		else
			compopt -o filenames
			COMPREPLY=($(compgen -f -- "$cur"))
			# after the case, the names of queries
			[ "$command" = query ] && [ "$COMP_CWORD" -gt 2 ] &&
				COMPREPLY+=($(compgen -W "$(memsieve query --list 2>/dev/null | sed -n 's/^\([a-z_][a-z_]*\) .*/\1/p')" -- "$cur"))
		fi ;;
	esac
}
complete -F _memsieve memsieve
