/* SPDX-License-Identifier: Apache-2.0 */
/* The program: which command, and its --help. Commands parse their own options. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "error.h"
#include "pipeline.h"
#include "sandbox.h"
#include "text.h"

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

/* What g_print and g_printerr say may hold a dump's own words, and a terminal obeys some of those. */
static void show(const char *text, FILE *to)
{
	g_autofree char *safe = text_escape_lines(text);

	fputs(safe, to);
	fflush(to);
}

static void on_print(const char *text)
{
	show(text, stdout);
}

static void on_printerr(const char *text)
{
	show(text, stderr);
}

/* The one-letter options of all commands that take a value. */
#define WITH_VALUE "bcdfjmops"

/* `-j4` as users of make write it: GLib's parser knows `-j 4` alone. A vector as long as the program lives. */
static char **detach_values(int *argc, char **argv)
{
	static GPtrArray *out;

	out = g_ptr_array_new();
	for (int i = 0; i < *argc; i++) {
		const char *word = argv[i];
		bool option = i && word[0] == '-' && word[1] && strchr(WITH_VALUE, word[1]);
		if (option && word[2]) {
			const char letter[] = { '-', word[1], 0 };
			g_ptr_array_add(out, (void *)g_intern_string(letter));
			g_ptr_array_add(out, argv[i] + 2);
			continue;
		}
		g_ptr_array_add(out, argv[i]);
		if (option && i + 1 < *argc)
			g_ptr_array_add(out, argv[++i]);	/* its value, whatever it looks like */
		else if (!strcmp(word, "--"))
			while (i + 1 < *argc)
				g_ptr_array_add(out, argv[++i]);
	}
	*argc = (int)out->len;
	g_ptr_array_add(out, NULL);
	return (char **)out->pdata;
}

/* A standard stream that is closed would be the next file that is opened: what is printed would go there. Writing to it fails as before. */
static void hold_standard_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

int main(int argc, char **argv)
{
	hold_standard_streams();
	sandbox_close_inherited(argv + MIN(argc, 1));
	setlocale(LC_ALL, "");
	g_set_print_handler(on_print);
	g_set_printerr_handler(on_printerr);
	signal(SIGXFSZ, SIG_IGN);	/* a write that is too large fails, and its maker says why */
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
			int words = argc - 1;
			char **list = detach_values(&words, argv + 1);
			int outcome = commands[i]->run(words, list);
			if (commands[i]->prints && !stream_end(stdout) && outcome != OUTCOME_USAGE) {
				g_printerr("memsieve: standard output: %s\n", g_strerror(errno));
				outcome = OUTCOME_FAILED;
			}
			return outcome;
		}
	g_printerr("memsieve: no command '%s'; `memsieve --help` lists them\n", argv[1]);
	return OUTCOME_USAGE;
}
