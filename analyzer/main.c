/* SPDX-License-Identifier: Apache-2.0 */
/* The program: which command, and its --help. Commands parse their own options. */
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "pipeline.h"

static const struct command *const commands[] = {
	&command_analyze, &command_batch, &command_info, &command_query, &command_report, &command_export, &command_extract, &command_merge,
	&command_symbols, &command_tables, &command_plugins, &command_limits,
};

static void usage(FILE *to)
{
	fputs("memsieve " PACKAGE_VERSION ": Windows memory dumps into one SQLite case\n\n"
	      "usage: memsieve COMMAND [OPTION...] ...\n\n", to);
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->doc);
	fputs("\nTo begin: memsieve analyze -o case.db memory.raw && memsieve query case.db\n"
	      "`memsieve COMMAND --help` lists its options, `man memsieve` explains them.\n"
	      "Exit status: 0 complete, 3 partial (the case's diagnostics say what is missing),\n"
	      "1 failed, 2 usage.\n", to);
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
		if (!strcmp(argv[1], commands[i]->name)) {
			g_autofree char *name = g_strconcat("memsieve ", commands[i]->name, NULL);
			g_set_prgname(name);
			return commands[i]->run(argc - 1, argv + 1);
		}
	g_printerr("memsieve: no command '%s'; `memsieve --help` lists them\n", argv[1]);
	return OUTCOME_USAGE;
}
