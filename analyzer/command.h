/* SPDX-License-Identifier: Apache-2.0 */
/* Each command of the program is one file command_NAME.c with one descriptor. */
#ifndef MEMSIEVE_COMMAND_H
#define MEMSIEVE_COMMAND_H
#include <stdbool.h>
#include "limit.h"

struct command {
	const char *name, *usage, *doc;
	/* argv[0] is the command's name; returns the exit status (enum outcome). */
	int (*run)(int argc, char **argv);
	bool prints;	/* what it prints is what it is for: it fails when nobody gets it */
};

/* --limit, an entry of the options of each command that reads what may be hostile. */
#define COMMAND_LIMIT { "limit", 0, 0, G_OPTION_ARG_CALLBACK, (void *)limit_option, "override a limit (see `memsieve limits`)", "NAME=VALUE" }

/* For the commands that list what there is: --json, --help and the options of `more` (GOptionEntry, or NULL); the arguments are left.
 * False: *status says how to end. */
bool command_listing_options(int *argc, char ***argv, const char *arguments, const char *summary, const void *more, bool *json, int *status);
/* Print JSON, readable, and free it. Returns the exit status given, or failed when it can't be written. */
struct json_t;
int command_print_json(struct json_t *root, int status);

extern const struct command command_analyze, command_info, command_limits, command_plugins, command_symbols, command_tables, command_query,
	command_merge, command_batch, command_report, command_export, command_extract;
#endif
