/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve plugins, memsieve tables: what there is, from the plugins' own declarations. */
#include <stdio.h>
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

static int run_plugins(int argc, char **argv)
{
	g_autofree const struct plugin **sorted = load(argc, argv);

	if (!sorted)
		return OUTCOME_FAILED;
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

static void print_table(const struct table *t)
{
	static const char *const types[] = {
		[COL_INT] = "integer", [COL_BOOL] = "0/1", [COL_ADDRESS] = "address", [COL_TIME] = "time", [COL_TEXT] = "text",
		[COL_JSON] = "json", [COL_BLOB] = "blob", [COL_REAL] = "real", [COL_DUMP] = "id", [COL_PROCESS] = "id", [COL_REF] = "id",
	};

	printf("%s: %s\n", t->name, t->doc);
	if (t->key)
		printf("  %-32s %-8s primary key\n", t->key, "id");
	for (const struct column *c = t->columns; c->type != COL_END; c++) {
		const char *ref = c->type == COL_DUMP ? "dumps" : c->type == COL_PROCESS ? "processes" : c->ref;
		printf("  %-32s %-8s %s%s%s%s\n", c->name, types[c->type], ref ? "of " : "", ref ? ref : "",
		       ref && c->doc && *c->doc ? ": " : "", c->doc ? c->doc : "");
	}
	putchar('\n');
}

static int run_tables(int argc, char **argv)
{
	g_autofree const struct plugin **sorted = load(argc, argv);

	if (!sorted)
		return OUTCOME_FAILED;
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
};
const struct command command_tables = {
	.name = "tables", .usage = "tables [FILE.so…]", .doc = "the tables of a case, column by column", .run = run_tables,
};
