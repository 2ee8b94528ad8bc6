/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve merge: several cases into one. */
#include <stdio.h>
#include <sys/stat.h>
#include "command.h"
#include "merge.h"
#include "pipeline.h"
#include "sandbox.h"

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int merge(const char *output, char **inputs, int n, bool quiet)
{
	g_autoptr(GError) error = NULL;
	struct merge_result total = { 0 };
	int failed = 0;

	for (int i = 0; i < n; i++)
		if (same_file(output, inputs[i])) {
			g_printerr("memsieve merge: %s is the case to merge into\n", inputs[i]);
			return OUTCOME_USAGE;
		}
	struct store *out = merge_open(output, &error);
	if (!out) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	for (int i = 0; i < n; i++) {
		g_autoptr(GError) why = NULL;
		struct merge_result result;
		if (!merge_add(out, inputs[i], &result, &why)) {
			g_printerr("memsieve: %s\n", why->message);
			failed++;
			continue;
		}
		total.dumps += result.dumps;
		total.skipped += result.skipped;
		total.lost += result.lost;
		if (result.lost)
			g_printerr("memsieve: %s: %" G_GINT64_FORMAT " rows of threads without a process, of which an older memsieve didn't say whose of its dumps they are, are left out\n",
				   inputs[i], result.lost);
		if (result.skipped && !quiet)
			g_print("%s: %" G_GINT64_FORMAT " of its dumps are in %s already\n", inputs[i], result.skipped, output);
	}
	if (!merge_check(out, &error)) {
		g_printerr("memsieve: %s: %s\n", output, error->message);
		failed++;
	}
	store_close(out);
	if (!quiet)
		g_print("%" G_GINT64_FORMAT " dumps of %d cases merged into %s, %" G_GINT64_FORMAT " skipped, %d cases failed\n", total.dumps, n - failed,
		       output, total.skipped, failed);
	return failed ? OUTCOME_FAILED : total.lost ? OUTCOME_PARTIAL : OUTCOME_COMPLETE;
}

static int run(int argc, char **argv)
{
	gboolean quiet = FALSE, no_sandbox = FALSE;
	const GOptionEntry entries[] = {
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &quiet, "say nothing but errors", NULL },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "keep all the user's rights while reading cases", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("OUT.db IN.db…");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, "Add the dumps of cases to a case, which is made unless it is there. Dumps it has already are skipped.");
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc < 3) {
		g_printerr("memsieve merge: %s (see `memsieve merge --help`)\n", error ? error->message : "OUT.db and at least one IN.db are needed");
		return OUTCOME_USAGE;
	}
	g_autofree char *folder = g_path_get_dirname(argv[1]);
	if (!no_sandbox)
		(void)sandbox_confine(&(struct sandbox_files){ .cases = argv + 2, .write = folder, .owned = argv[1] }, false);
	return merge(argv[1], argv + 2, argc - 2, quiet);
}

const struct command command_merge = {
	.name = "merge",
	.usage = "merge OUT.db IN.db…",
	.doc = "several cases into one",
	.run = run,
};
