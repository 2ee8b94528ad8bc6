/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve report: a case as one HTML file. */
#include <stdio.h>
#include "command.h"
#include "pipeline.h"
#include "queries.h"
#include "report.h"
#include "sandbox.h"

static int report(const char *case_path, gint64 dump_id, const char *output, bool quiet)
{
	g_autoptr(GPtrArray) absent = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	struct report_options options = { dump_id, case_path, absent };
	struct report_result result = { 0 };
	struct store *store = case_open(case_path, absent, &error);
	bool ok = store && report_write(store, &options, output, &result, &error);

	store_close(store);
	if (!ok) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	if (!quiet)
		g_print("%s: %" G_GINT64_FORMAT " dumps, %" G_GINT64_FORMAT " findings, %.1f MB\n", output, result.dumps, result.findings,
			(double)result.bytes / 1e6);
	return result.cut ? OUTCOME_PARTIAL : OUTCOME_COMPLETE;
}

static int run(int argc, char **argv)
{
	g_autofree char *output = NULL;
	gint64 dump_id = 0;
	gboolean quiet = FALSE, no_sandbox = FALSE;
	const GOptionEntry entries[] = {
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "the file to write (default: report.html)", "FILE.html" },
		{ "dump", 'd', 0, G_OPTION_ARG_INT64, &dump_id, "of this dump alone, with the memory of every process", "ID" },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "say nothing but errors", NULL },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "keep all the user's rights while reading the case", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("CASE.db");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, "Write a case as one HTML file that needs no network and no other file.");
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
		g_printerr("memsieve report: %s (see `memsieve report --help`)\n", error ? error->message : "one case is needed");
		return OUTCOME_USAGE;
	}
	g_autofree char *path = whole_path(output ? output : "report.html"), *folder = g_path_get_dirname(path);
	if (!no_sandbox)
		(void)sandbox_confine(&(struct sandbox_files){ .cases = argv + 1, .write = folder, .renames = true,
							.file_bytes = store_read_bytes(argv[1]) }, false);
	return report(argv[1], dump_id, path, quiet);
}

const struct command command_report = {
	.name = "report",
	.usage = "report CASE.db [-o FILE.html]",
	.doc = "one HTML file to look at",
	.run = run,
};
