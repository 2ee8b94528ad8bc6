/* SPDX-License-Identifier: Apache-2.0 */
/* What several commands do alike. */
#include "command.h"
#include <jansson.h>
#include <stdio.h>
#include "pipeline.h"
#include "text.h"

bool command_listing_options(int *argc, char ***argv, const char *arguments, const char *summary, const void *more, bool *json, int *status)
{
	gboolean wanted = FALSE;
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &wanted, "as JSON", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new(arguments);
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (more)
		g_option_context_add_main_entries(context, more, NULL);
	g_option_context_set_summary(context, summary);
	bool ok = g_option_context_parse(context, argc, argv, &error) && (arguments || *argc == 1);
	*json = wanted;
	if (!ok) {
		g_printerr("%s: %s (see `%s --help`)\n", g_get_prgname(), error ? error->message : "it takes no arguments", g_get_prgname());
		*status = OUTCOME_USAGE;
	}
	return ok;
}

int command_print_json(json_t *root, int status)
{
	g_autofree char *text = text_from_json(root, JSON_INDENT(2));
	bool ok = text && puts(text) != EOF && fflush(stdout) == 0;

	json_decref(root);
	if (!ok)
		g_printerr("memsieve: the JSON can't be written\n");
	return ok ? status : OUTCOME_FAILED;
}
