/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve export: a case in the formats that other tools take. */
#include <errno.h>
#include <string.h>
#include "command.h"
#include "export.h"
#include "pipeline.h"
#include "queries.h"
#include "sandbox.h"

static int export(const char *case_path, const struct export_format *format, gint64 dump_id, const char *output)
{
	g_autoptr(GError) error = NULL;
	bool folder = format == &export_csv;
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct export x = { .dump_id = dump_id, .folder = output, .to = stdout, .told = told };

	x.store = case_open(case_path, NULL, &error);
	bool ok = x.store != NULL;
	if (ok && output && !folder && !(x.to = whole_begin(output))) {
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", output, g_strerror(errno));
		ok = false;
	}
	ok = ok && format && format->write(&x, &error);
	bool written = !x.to || (x.to == stdout ? stream_end(x.to) : whole_end(x.to, output, ok));
	if (!written && ok) {
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", output ? output : "standard output", g_strerror(errno));
		ok = false;
	}
	store_close(x.store);
	if (!ok) {
		g_printerr("memsieve: %s\n", error ? error->message : "failed");
		return OUTCOME_FAILED;
	}
	if (output)
		g_print("%s: %" G_GINT64_FORMAT " records\n", output, x.records);
	return OUTCOME_COMPLETE;
}

static char *names(void)
{
	GString *s = g_string_new(NULL);

	for (const struct export_format *const *f = export_formats; *f; f++)
		g_string_append_printf(s, "  %-12s %s\n", (*f)->name, (*f)->doc);
	return g_string_free(s, FALSE);
}

static int run(int argc, char **argv)
{
	g_autofree char *format_name = NULL, *output = NULL, *list = names();
	gint64 dump_id = 0;
	gboolean no_sandbox = FALSE;
	const GOptionEntry entries[] = {
		{ "format", 'f', 0, G_OPTION_ARG_STRING, &format_name, "one of those above", "FORMAT" },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "the file (default: standard output); of csv the folder", "FILE|DIR" },
		{ "dump", 'd', 0, G_OPTION_ARG_INT64, &dump_id, "of this dump alone", "ID" },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &no_sandbox, "keep all the user's rights while reading the case", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("CASE.db --format FORMAT");
	g_autofree char *summary = g_strconcat("Write a case in a format that other tools take:\n", list, NULL);
	g_autoptr(GError) error = NULL;
	const struct export_format *format = NULL;
	const char *wrong = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, summary);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		wrong = error->message;
	else if (argc != 2)
		wrong = "one case is needed";
	else if (!format_name || !(format = export_find(format_name)))
		wrong = "--format is timesketch, bodyfile, ecs, stix, misp or csv";
	else if (format == &export_csv && (!output || !strcmp(output, "-")))
		wrong = "csv needs a folder: -o DIR";
	if (wrong) {
		g_printerr("memsieve export: %s (see `memsieve export --help`)\n", wrong);
		return OUTCOME_USAGE;
	}
	/* No case, no folder; one that can't be made is missed by the first file. */
	g_autofree char *path = output && strcmp(output, "-") ? whole_path(output) : NULL, *folder = !path ? NULL : format == &export_csv ? g_strdup(path) : g_path_get_dirname(path);
	if (format == &export_csv && g_file_test(argv[1], G_FILE_TEST_EXISTS))
		(void)g_mkdir_with_parents(folder, 0755);
	if (!no_sandbox)
		(void)sandbox_confine(&(struct sandbox_files){ .cases = argv + 1, .write = folder, .renames = true,
							.file_bytes = store_read_bytes(argv[1]) }, false);
	return export(argv[1], format, dump_id, path);
}

const struct command command_export = {
	.name = "export",
	.usage = "export CASE.db --format FORMAT",
	.doc = "for Timesketch, mactime, Elastic, STIX, MISP, CSV",
	.run = run,
};
