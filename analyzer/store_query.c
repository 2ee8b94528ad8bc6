/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a case: queries row by row, and what an older case lacks made good for them. */
#include "store_private.h"
#include <string.h>

struct cursor {
	struct store *store;
	sqlite3_stmt *stmt;
};

struct cursor *cursor_open(struct store *store, const char *sql, GError **error)
{
	struct cursor *cursor = g_new0(struct cursor, 1);
	const char *rest = NULL;

	cursor->store = store;
	if (sqlite3_prepare_v2(store->db, sql, -1, &cursor->stmt, &rest) != SQLITE_OK || !cursor->stmt) {
		if (sqlite3_errcode(store->db) == SQLITE_OK)
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "an empty query");
		else
			store_fail(store, "query", error);
		cursor_close(cursor);
		return NULL;
	}
	sqlite3_stmt *more = NULL;
	if (*rest && (sqlite3_prepare_v2(store->db, rest, -1, &more, NULL) != SQLITE_OK || more)) {
		sqlite3_finalize(more);
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "one statement at a time");
		cursor_close(cursor);
		return NULL;
	}
	return cursor;
}

void cursor_close(struct cursor *cursor)
{
	if (!cursor)
		return;
	sqlite3_finalize(cursor->stmt);
	g_free(cursor);
}

bool cursor_readonly(const struct cursor *cursor)
{
	return sqlite3_stmt_readonly(cursor->stmt);
}

const char *cursor_parameter(const struct cursor *cursor, int n)
{
	const char *name = n < sqlite3_bind_parameter_count(cursor->stmt) ? sqlite3_bind_parameter_name(cursor->stmt, n + 1) : NULL;

	return name ? name + 1 : NULL;
}

static int parameter(struct cursor *cursor, const char *name)
{
	g_autofree char *full = g_strconcat(":", name, NULL);

	return sqlite3_bind_parameter_index(cursor->stmt, full);
}

bool cursor_bind_int(struct cursor *cursor, const char *name, int64_t value)
{
	int n = parameter(cursor, name);

	return n && sqlite3_bind_int64(cursor->stmt, n, value) == SQLITE_OK;
}

bool cursor_bind_text(struct cursor *cursor, const char *name, const char *value)
{
	int n = parameter(cursor, name);

	return n && sqlite3_bind_text(cursor->stmt, n, value, -1, SQLITE_TRANSIENT) == SQLITE_OK;
}

bool cursor_next(struct cursor *cursor, GError **error)
{
	int rc = sqlite3_step(cursor->stmt);

	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		store_fail(cursor->store, "query", error);
	return rc == SQLITE_ROW;
}

void cursor_rewind(struct cursor *cursor)
{
	sqlite3_reset(cursor->stmt);
}

int cursor_columns(const struct cursor *cursor)
{
	return sqlite3_column_count(cursor->stmt);
}

const char *cursor_name(const struct cursor *cursor, int column)
{
	return sqlite3_column_name(cursor->stmt, column);
}

enum cursor_type cursor_type(const struct cursor *cursor, int column)
{
	switch (sqlite3_column_type(cursor->stmt, column)) {
	case SQLITE_INTEGER:
		return CURSOR_INT;
	case SQLITE_FLOAT:
		return CURSOR_REAL;
	case SQLITE_TEXT:
		return CURSOR_TEXT;
	case SQLITE_BLOB:
		return CURSOR_BLOB;
	default:
		return CURSOR_NULL;
	}
}

int64_t cursor_int(const struct cursor *cursor, int column)
{
	return sqlite3_column_int64(cursor->stmt, column);
}

double cursor_real(const struct cursor *cursor, int column)
{
	return sqlite3_column_double(cursor->stmt, column);
}

const char *cursor_text(const struct cursor *cursor, int column)
{
	return (const char *)sqlite3_column_text(cursor->stmt, column);
}

const void *cursor_blob(const struct cursor *cursor, int column, size_t *length)
{
	const void *data = sqlite3_column_blob(cursor->stmt, column);

	*length = (size_t)sqlite3_column_bytes(cursor->stmt, column);
	return data;
}

bool store_has_table(struct store *store, const char *name)
{
	g_autofree char *there = store_value(store, "SELECT 1 FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name = ?", name, NULL);

	return there != NULL;
}

/* CREATE TEMP TABLE, or a TEMP VIEW with NULLs where columns are missing: temp goes before main when a name is looked up. */
static bool fill_in(struct store *store, const struct table *table, bool there, GError **error)
{
	g_autoptr(GString) sql = g_string_new(NULL);
	unsigned missing = 0;

	if (there)
		g_string_append_printf(sql, "CREATE TEMP VIEW \"%s\" AS SELECT *", table->name);
	else
		g_string_append_printf(sql, "CREATE TEMP TABLE \"%s\"(%s%s", table->name, table->key ? table->key : "",
				       table->key ? " INTEGER PRIMARY KEY" : "");
	for (const struct column *c = table->columns; c->type != COL_END; c++) {
		if (!there) {
			g_string_append_printf(sql, "%s\"%s\"", c != table->columns || table->key ? ", " : "", c->name);
			continue;
		}
		g_autofree char *has = store_value(store, "SELECT 1 FROM pragma_table_info(?, 'main') WHERE name = ?", table->name, c->name, NULL);
		if (has)
			continue;
		g_string_append_printf(sql, ", NULL AS \"%s\"", c->name);
		missing++;
	}
	if (there && !missing)
		return true;
	if (there)
		g_string_append_printf(sql, " FROM main.\"%s\"", table->name);
	else
		g_string_append_c(sql, ')');
	return store_script(store, sql->str, error);
}

bool store_fill_in(struct store *store, const struct table *table, bool *absent, GError **error)
{
	bool there = store_has_table(store, table->name);

	*absent = !there;
	return fill_in(store, table, there, error);
}

bool store_fill_in_timeline(struct store *store, GError **error)
{
	if (store_has_table(store, "timeline"))
		return true;
	g_autofree char *sql = store_timeline_sql(store, "CREATE TEMP VIEW timeline");
	return store_script(store, sql, error);
}

bool store_attach(struct store *store, const char *path, GError **error)
{
	g_autofree char *absolute = g_canonicalize_filename(path, NULL), *escaped = g_uri_escape_string(absolute, "/", FALSE);
	g_autofree char *uri = g_strdup_printf("file:%s?mode=ro", escaped);

	if (!g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: no such file", path);
		return false;
	}
	/* Opened alone first: that says whether it is a case, and undoes what whoever wrote it was killed in. */
	struct store *alone = store_open_readonly(path, error);
	if (!alone)
		return false;
	store_close(alone);
	if (!store_exec(store, error, "ATTACH ? AS input", uri, NULL)) {
		g_prefix_error(error, "%s: ", path);
		return false;
	}
	return true;
}

void store_detach(struct store *store)
{
	sqlite3_exec(store->db, "DETACH input", NULL, NULL, NULL);
}
