/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line of `analyze` says. */
#ifndef MEMSIEVE_OPTIONS_H
#define MEMSIEVE_OPTIONS_H
#include <glib.h>
#include <stdbool.h>

enum yara_scope { YARA_SUSPICIOUS, YARA_EXECUTABLE, YARA_PROCESS, YARA_KERNEL, YARA_ALL };

struct options {
	char *output;			/* -o */
	int jobs;			/* -j, at least 1 */
	char **rules;			/* --rules: folders of SQL rules (*.sql) and YARA rules (*.yar) */
	char **yara;			/* --yara: files or folders */
	char **symbols;			/* --symbols */
	char *layout;			/* --layout */
	char **plugins;			/* --plugin */
	char **page_files;		/* --pagefile, in Windows' order */
	gboolean plain;			/* --raw */
	enum yara_scope yara_scope;
	gboolean replace, quiet, verbose, no_builtin_rules;
	char *command_line;		/* for runs.command_line */
	gboolean no_sandbox;		/* --no-sandbox */
	const char *sandbox;		/* for runs.sandbox: static */
};
#endif
