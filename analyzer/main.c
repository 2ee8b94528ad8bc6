/* SPDX-License-Identifier: Apache-2.0 */
/* The program: which command, and its --help. Commands parse their own options. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "pipeline.h"

static const struct command *const commands[] = {
	&command_analyze, &command_info, &command_limits, &command_plugins, &command_tables, &command_symbols, &command_query, &command_merge, &command_batch, &command_report, &command_export, &command_extract,
};

static void usage(FILE *to)
{
	fputs("memsieve " PACKAGE_VERSION ": Windows memory dumps into one SQLite case\n\n", to);
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		fprintf(to, "  memsieve %-44s %s\n", commands[i]->usage, commands[i]->doc);
	fputs("\n`memsieve COMMAND --help` lists a command's options; `man memsieve` explains them.\n"
	      "Exit status: 0 complete, 3 partial (the table diagnostics says what is missing), 1 failed, 2 usage.\n", to);
}

int main(int argc, char **argv)
{
	setlocale(LC_ALL, "");
	if (argc < 2) {
		usage(stderr);
		return OUTCOME_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return OUTCOME_COMPLETE;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("memsieve " PACKAGE_VERSION);
		return OUTCOME_COMPLETE;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (!strcmp(argv[1], commands[i]->name))
			return commands[i]->run(argc - 1, argv + 1);
	g_printerr("memsieve: no command '%s'; `memsieve --help` lists them\n", argv[1]);
	return OUTCOME_USAGE;
}
