/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve analyze: dumps into a case. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "command.h"
#include "crew.h"
#include "limit.h"
#include "pipeline.h"
#include "sandbox.h"
#include "progress.h"
#include "summary.h"

static void on_signal(int signal_number)
{
	if (pipeline_interrupted)	/* the second time they mean it */
		_exit(128 + signal_number);
	pipeline_interrupted = 1;
}

static gboolean parse_scope(const char *name, const char *value, void *data, GError **error)
{
	static const char *const names[] = { "suspicious", "executable", "process", "kernel", "all" };
	struct options *options = data;

	(void)name;
	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(value, names[i])) {
			options->yara_scope = (enum yara_scope)i;
			return TRUE;
		}
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
		    "--yara-scope is suspicious, executable, process, kernel or all, not '%s'", value);
	return FALSE;
}

static void options_clear(struct options *o)
{
	g_free(o->output);
	g_free(o->layout);
	g_free(o->command_line);
	g_strfreev(o->rules);
	g_strfreev(o->yara);
	g_strfreev(o->symbols);
	g_strfreev(o->plugins);
	g_strfreev(o->page_files);
}

static bool parse(int *argc, char ***argv, struct options *o, GError **error)
{
	int progress = 0;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &o->output, "the case file (default: memsieve.db)", "CASE.db" },
		{ "jobs", 'j', 0, G_OPTION_ARG_INT, &o->jobs, "threads (default: one a core)", "N" },
		{ "replace", 0, 0, G_OPTION_ARG_NONE, &o->replace, "analyse a dump anew that is in the case already", NULL },
		{ "rules", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->rules, "folder of more SQL (.sql) and YARA (.yar) rules", "DIR" },
		{ "yara", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->yara, "more YARA rules", "FILE|DIR" },
		{ "yara-scope", 0, 0, G_OPTION_ARG_CALLBACK, (void *)parse_scope,
		  "what YARA looks at: suspicious (default), executable, process, kernel, all", "SCOPE" },
		{ "no-builtin-rules", 0, 0, G_OPTION_ARG_NONE, &o->no_builtin_rules, "use only the rules given", NULL },
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->symbols, "folder of Volatility-3 symbol files", "DIR" },
		{ "layout", 0, 0, G_OPTION_ARG_FILENAME, &o->layout, "this symbol file, whatever the kernel's GUID", "FILE" },
		{ "raw", 0, 0, G_OPTION_ARG_NONE, &o->plain, "the file is plain memory, whatever it begins with", NULL },
		{ "pagefile", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->page_files, "the machine's page file; more of them in Windows' order", "FILE" },
		{ "plugin", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o->plugins, "load a plugin", "FILE.so" },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &o->no_sandbox, "keep all the user's rights while reading the dump", NULL },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &o->quiet, "no progress, no summary", NULL },
		{ "progress-fd", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_INT, &progress, "for `memsieve batch`", NULL },
		{ "verbose", 'v', 0, G_OPTION_ARG_NONE, &o->verbose, "say more: the worst findings, what is missing and why, the plugins", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("DUMP…");
	GOptionGroup *group = g_option_group_new("analyze", "", "", o, NULL);

	g_option_group_add_entries(group, entries);
	g_option_context_set_main_group(context, group);
	g_option_context_set_summary(context, "Analyse Windows memory dumps into an SQLite case.");
	if (!g_option_context_parse(context, argc, argv, error))
		return false;
	if (progress > 0)
		progress_report(progress);
	if (o->jobs < 0 || o->jobs > 1024) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "-j is a number of threads, 1 to 1024");
		return false;
	}
	if (*argc < 2) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "no dump given");
		return false;
	}
	if (o->page_files && *argc > 2) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "--pagefile goes with one dump: page files are one machine's at one time");
		return false;
	}
	if (!o->jobs)
		o->jobs = (int)g_get_num_processors();
	if (!o->output)
		o->output = g_strdup("memsieve.db");
	return true;
}

/* Several dumps: the worst outcome tells, failed above partial above complete. */
static enum outcome worse(enum outcome a, enum outcome b)
{
	if (a == OUTCOME_FAILED || b == OUTCOME_FAILED)
		return OUTCOME_FAILED;
	return a == OUTCOME_PARTIAL ? a : b;
}

/* From here on only what the user named can be read, and nothing but the case and unpacked dumps written. */
static const char *confine(const struct options *o, char **dumps)
{
	g_autofree char *folder = g_path_get_dirname(o->output);
	struct sandbox_files files = { dumps, NULL, { o->rules, o->yara, o->symbols, o->plugins, o->page_files }, o->layout, folder, o->output, false };

	return sandbox_confine(&files, !o->quiet);
}

static int run(int argc, char **argv)
{
	struct options o = { .jobs = 0 };
	g_autoptr(GError) error = NULL;
	enum outcome outcome = OUTCOME_COMPLETE;

	o.command_line = g_strjoinv(" ", argv);
	if (!parse(&argc, &argv, &o, &error)) {
		g_printerr("memsieve analyze: %s (see `memsieve analyze --help`)\n", error->message);
		options_clear(&o);
		return OUTCOME_USAGE;
	}
	struct sigaction action = { .sa_handler = on_signal };
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGXCPU, &action, NULL);
	o.sandbox = o.no_sandbox ? "none" : confine(&o, argv + 1);
	g_autofree const struct plugin **plugins_sorted = plugin_load(o.plugins, &error);
	if (!plugins_sorted) {
		g_printerr("memsieve: %s\n", error->message);
		options_clear(&o);
		return OUTCOME_FAILED;
	}
	int i;
	for (i = 1; i < argc && !pipeline_interrupted; i++) {
		struct result result;
		g_autoptr(GError) why = NULL;
		if (!pipeline_analyze(&o, plugins_sorted, argv[i], &result, &why)) {
			progress_end();
			g_printerr("memsieve: %s\n", why ? why->message : "failed");
			outcome = OUTCOME_FAILED;
			continue;
		}
		outcome = worse(outcome, result.outcome);
		if (!o.quiet)
			summary_print(o.output, &result, o.verbose);
	}
	for (; i < argc; i++) {		/* where it came between two of them, none failed by it */
		g_printerr("memsieve: %s: not analysed: interrupted\n", argv[i]);
		outcome = OUTCOME_FAILED;
	}
	if (crew_left_behind) {	/* a thread still runs: no destructor is safe */
		fflush(NULL);
		_exit((int)outcome);
	}
	options_clear(&o);
	return (int)outcome;
}

const struct command command_analyze = {
	.name = "analyze",
	.usage = "analyze [-o CASE.db] DUMP…",
	.doc = "the whole pipeline: facts and findings into a case",
	.run = run,
};
