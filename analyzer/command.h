/* SPDX-License-Identifier: Apache-2.0 */
/* Each command of the program is one file command_NAME.c with one descriptor. */
#ifndef MEMSIEVE_COMMAND_H
#define MEMSIEVE_COMMAND_H

struct command {
	const char *name, *usage, *doc;
	/* argv[0] is the command's name; returns the exit status (enum outcome). */
	int (*run)(int argc, char **argv);
};

extern const struct command command_analyze, command_info, command_limits, command_plugins, command_symbols, command_tables, command_query,
	command_merge, command_batch, command_report, command_export, command_extract;
#endif
