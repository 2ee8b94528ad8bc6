/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes text of the database: UTF-16, bytes, times, and what is shown of it; and SQL rules of any content, which
 * may read what is there and change nothing.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_tables.h"
#include "limit.h"
#include "rules.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void texts(const uint8_t *data, size_t size)
{
	g_autofree char *wide = text_from_utf16(data, size, FALSE), *stopped = text_from_utf16(data, size, TRUE);
	g_autofree char *bytes = text_from_bytes(data, size), *any = g_strndup((const char *)data, size);
	g_autofree char *shown = text_escape(wide), *shown_raw = text_escape(any);
	const char *all[] = { wide, stopped, bytes, shown, shown_raw };
	uint64_t time = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		if (!g_utf8_validate(all[i], -1, NULL))
			g_error("text %zu is not UTF-8", i);
	for (const char *p = shown_raw; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			g_error("a control character is shown");
	memcpy(&time, data, MIN(size, sizeof(time)));
	g_autofree char *when = text_from_filetime(time);
	if (when && strlen(when) != 28)
		g_error("time %s", when);
}

static struct store *the_store(void)
{
	static struct store *store;

	if (!store) {
		g_autofree char *folder = g_dir_make_tmp("fuzz-rows-XXXXXX", NULL), *path = g_build_filename(folder, "case.db", NULL);
		store = store_open(path, NULL, NULL);
		if (!store || !store_exec(store, NULL, "INSERT INTO dumps(dump_id, path) VALUES (1, 'here')", NULL))
			abort();
	}
	return store;
}

static void as_rule(const uint8_t *data, size_t size)
{
	static char *path;
	struct options options = { .no_builtin_rules = TRUE };
	char *rules[] = { NULL, NULL };

	if (!path) {
		g_autofree char *folder = g_dir_make_tmp("fuzz-rules-XXXXXX", NULL);
		path = g_build_filename(folder, "rule.sql", NULL);
	}
	if (!g_file_set_contents_full(path, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL))
		abort();
	rules[0] = path;
	options.rules = rules;
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free), loaded = rules_load(&options, problems);
	if (!loaded->len && !problems->len)
		g_error("no rule and no word why");
	for (guint i = 0; i < loaded->len; i++) {
		struct rows *rows = rows_create();
		g_autoptr(GError) error = NULL;
		if (!rules_run(g_ptr_array_index(loaded, i), the_store(), 1, NULL, rows, &error) && !error)
			g_error("a rule that fails without a word");
		for (guint r = 0; r < rows->rows->len; r++) {
			const struct row *row = g_ptr_array_index(rows->rows, r);
			for (unsigned c = 0; c < row->n; c++)
				if (row->cells[c].kind == CELL_TEXT && !g_utf8_validate(row->cells[c].text, -1, NULL))
					g_error("a finding that is not UTF-8");
		}
		rows_destroy(rows);
		g_autofree char *dumps = store_value(the_store(), "SELECT count(*) FROM dumps", NULL);
		if (g_strcmp0(dumps, "1"))
			g_error("a rule changed the case");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	limit_values[LIMIT_rule_seconds] = 1;
	limit_values[LIMIT_findings_rule] = 100;
	limit_values[LIMIT_finding_text] = 64;
	limit_values[LIMIT_query_memory] = 32 << 20;
	if (!size)
		return 0;
	texts(data, size);
	as_rule(data, size);
	return 0;
}
