/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve plugins, memsieve tables: what there is, from the plugins' own declarations. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "command.h"
#include "core_tables.h"
#include "pipeline.h"

static const struct plugin **load(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	const struct plugin **sorted = plugin_load(argc > 1 ? argv + 1 : NULL, &error);

	if (!sorted)
		g_printerr("memsieve: %s\n", error->message);
	return sorted;
}

static json_t *names_json(const char *const *names)
{
	json_t *list = json_array();

	for (; *names; names++)
		json_array_append_new(list, json_string(*names));
	return list;
}

static json_t *plugins_json(const struct plugin **sorted)
{
	json_t *list = json_array();

	for (const struct plugin **p = sorted; *p; p++) {
		json_t *fills = json_array();
		for (const struct table *const *t = (*p)->fills; *t; t++)
			json_array_append_new(fills, json_string((*t)->name));
		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "name", (*p)->name, "doc", (*p)->doc, "fills", fills,
						      "needs", names_json((*p)->needs)));
	}
	return list;
}

static int run_plugins(int argc, char **argv)
{
	bool json;
	int status;

	if (!command_listing_options(&argc, &argv, "[FILE.so…]", "The plugins in the order they run: what they fill and need.", NULL, &json, &status))
		return status;
	g_autofree const struct plugin **sorted = load(argc, argv);
	if (!sorted)
		return OUTCOME_FAILED;
	if (json)
		return command_print_json(plugins_json(sorted), OUTCOME_COMPLETE);
	for (const struct plugin **p = sorted; *p; p++) {
		printf("%-14s %s\n", (*p)->name, (*p)->doc);
		printf("%-14s fills:", "");
		for (const struct table *const *t = (*p)->fills; *t; t++)
			printf(" %s", (*t)->name);
		for (const char *const *n = (*p)->needs; *n; n++)
			printf("%s %s", n == (*p)->needs ? "  needs:" : "", *n);
		putchar('\n');
	}
	return OUTCOME_COMPLETE;
}

static const char *const types[] = {
	[COL_INT] = "integer", [COL_BOOL] = "0/1", [COL_ADDRESS] = "address", [COL_TIME] = "time", [COL_TEXT] = "text",
	[COL_JSON] = "json", [COL_BLOB] = "blob", [COL_REAL] = "real", [COL_DUMP] = "id", [COL_PROCESS] = "id", [COL_REF] = "id",
};

static const char *reference(const struct column *c)
{
	return c->type == COL_DUMP ? "dumps" : c->type == COL_PROCESS ? "processes" : c->ref;
}

static json_t *table_json(const struct table *t, const char *plugin)
{
	json_t *columns = json_array();

	if (t->key)
		json_array_append_new(columns, json_pack("{s:s, s:s, s:b}", "name", t->key, "type", "id", "primary_key", 1));
	for (const struct column *c = t->columns; c->type != COL_END; c++) {
		json_t *column = json_pack("{s:s, s:s, s:s}", "name", c->name, "type", types[c->type], "doc", c->doc ? c->doc : "");
		if (reference(c))
			json_object_set_new(column, "of", json_string(reference(c)));
		json_array_append_new(columns, column);
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "name", t->name, "doc", t->doc, "plugin", plugin, "columns", columns);
}

static void print_table(const struct table *t)
{
	printf("%s: %s\n", t->name, t->doc);
	if (t->key)
		printf("  %-32s %-8s primary key\n", t->key, "id");
	for (const struct column *c = t->columns; c->type != COL_END; c++) {
		const char *ref = reference(c);
		printf("  %-32s %-8s %s%s%s%s\n", c->name, types[c->type], ref ? "of " : "", ref ? ref : "",
		       ref && c->doc && *c->doc ? ": " : "", c->doc ? c->doc : "");
	}
	putchar('\n');
}

static json_t *tables_json(const struct plugin **sorted)
{
	json_t *list = json_array();

	for (const struct table *const *t = core_tables; *t; t++)
		json_array_append_new(list, table_json(*t, "memsieve"));
	for (const struct plugin **p = sorted; *p; p++)
		for (const struct table *const *t = (*p)->fills; *t; t++)
			json_array_append_new(list, table_json(*t, (*p)->name));
	return list;
}

/* What Markdown would take for its own. */
static void print_escaped(const char *text)
{
	for (; *text; text++)
		printf(strchr("|<*`\\[", *text) ? "\\%c" : "%c", *text);
}

static void markdown_table(const struct table *t)
{
	printf("\n### %s\n\n", t->name);
	print_escaped(t->doc);
	puts("\n\n| column | type | |\n|---|---|---|");
	if (t->key)
		printf("| `%s` | id | primary key |\n", t->key);
	for (const struct column *c = t->columns; c->type != COL_END; c++) {
		printf("| `%s` | %s | ", c->name, types[c->type]);
		if (reference(c))
			printf("of `%s`%s", reference(c), c->doc && *c->doc ? ": " : "");
		print_escaped(c->doc ? c->doc : "");
		puts(" |");
	}
}

static void markdown_reference(const struct plugin **sorted)
{
	puts("# The tables of a case\n\n"
	     "Made by `memsieve tables --markdown` from the declarations of the code that fills them; `make tables-reference` writes it anew.\n\n"
	     "Types: *address* is an INTEGER, the 64-bit value as two's complement (the view `v_<table>` shows it as `0x…` text); *time* is text, ISO 8601 in UTC;\n"
	     "*0/1* an INTEGER; *id* an INTEGER that is, or refers to, a row's primary key. A value that could not be had is NULL, and `diagnostics` says why.\n\n"
	     "## The dumps and what became of them");
	for (const struct table *const *t = core_tables; *t; t++)
		markdown_table(*t);
	for (const struct plugin **p = sorted; *p; p++) {
		if (!*(*p)->fills)
			continue;
		printf("\n## %s: ", (*p)->name);
		print_escaped((*p)->doc);
		putchar('\n');
		for (const struct table *const *t = (*p)->fills; *t; t++)
			markdown_table(*t);
	}
}

static int run_tables(int argc, char **argv)
{
	gboolean markdown = FALSE;
	const GOptionEntry more[] = {
		{ "markdown", 0, 0, G_OPTION_ARG_NONE, &markdown, "as the reference in docs/tables.md", NULL },
		{ NULL }
	};
	bool json;
	int status;

	if (!command_listing_options(&argc, &argv, "[FILE.so…]", "The tables of a case, column by column, from the plugins' declarations.", more, &json, &status))
		return status;
	g_autofree const struct plugin **sorted = load(argc, argv);
	if (!sorted)
		return OUTCOME_FAILED;
	if (json)
		return command_print_json(tables_json(sorted), OUTCOME_COMPLETE);
	if (markdown) {
		markdown_reference(sorted);
		return OUTCOME_COMPLETE;
	}
	for (const struct table *const *t = core_tables; *t; t++)
		print_table(*t);
	for (const struct plugin **p = sorted; *p; p++)
		for (const struct table *const *t = (*p)->fills; *t; t++)
			print_table(*t);
	puts("Each table has a view v_<table> that shows addresses as 0x… text, with the process's name and pid and the dump's path.");
	return OUTCOME_COMPLETE;
}

const struct command command_plugins = {
	.name = "plugins", .usage = "plugins [FILE.so…]", .doc = "the plugins: what they fill and need", .run = run_plugins,
	.prints = true,
};
const struct command command_tables = {
	.name = "tables", .usage = "tables [FILE.so…]", .doc = "the tables of a case, column by column", .run = run_tables,
	.prints = true,
};
