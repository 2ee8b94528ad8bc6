/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a case: queries row by row, and what an older case lacks made good for them. */
#include "store_private.h"
#include <string.h>
#include "core_tables.h"
#include "limit.h"
#include "plugin.h"

struct cursor {
	struct store *store;
	gint64 end;		/* by store_processor_time() */
	sqlite3_stmt *stmt;
};

struct cursor *cursor_open(struct store *store, const char *sql, GError **error)
{
	struct cursor *cursor = g_new0(struct cursor, 1);
	const char *rest = NULL;

	cursor->store = store;
	cursor->end = store->step_end = store->read_end;
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

void cursor_share(struct cursor *cursor, unsigned share)
{
	const gint64 now = store_processor_time();

	cursor->end = share ? now + (cursor->store->read_end - now) / (gint64)share : G_MAXINT64;
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
	struct store *store = cursor->store;

	store->step_end = cursor->end;
	int rc = sqlite3_step(cursor->stmt);
	if ((rc & 0xff) == SQLITE_INTERRUPT)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_TIMEOUT, "takes more time than there is for it (" STORE_READ_LIMITS ")");
	else if ((rc & 0xff) == SQLITE_NOMEM)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT, "takes more than the %" G_GUINT64_FORMAT " bytes of memory that there are for it"
			    " (query_memory)", limit(query_memory));
	else if (store->read_end && (rc == SQLITE_IOERR_WRITE || rc == SQLITE_FULL))	/* all that a reader writes is what it sorts */
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT, "what is sorted for it can't be written: more than may be (read_bytes,"
			    " read_bytes_ratio), or there is no room for it");
	else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		store_fail(store, "query", error);
	store->step_end = store->read_end;
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
	g_autofree char *there = store_value(store, "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?", name, NULL);

	return there != NULL;
}

bool store_has_column(struct store *store, const char *table, const char *column)
{
	g_autofree char *there = store_value(store, "SELECT 1 FROM pragma_table_info(?, 'main') WHERE name = ?", table, column, NULL);

	return there != NULL;
}

static bool is_ours(const char *name)
{
	for (const struct table *const *t = core_tables; *t; t++)
		if (!g_ascii_strcasecmp((*t)->name, name))
			return true;
	for (const struct plugin *const *p = plugins; *p; p++)
		for (const struct table *const *t = (*p)->fills; *t; t++)
			if (!g_ascii_strcasecmp((*t)->name, name))
				return true;
	return false;
}

/* Are none of the names that a query tells ours? */
static bool none_is_ours(struct store *store, const char *sql, const char *what, GError **error)
{
	AUTO(cursor) cursor = cursor_open(store, sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	while (cursor_next(cursor, &failed)) {
		const char *name = cursor_text(cursor, 0);
		if (name && is_ours(name)) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: is no memsieve case: '%s' %s", store->path, name, what);
			return false;
		}
	}
	return error_pass(error, &failed);
}

bool store_check_schema(struct store *store, GError **error)
{
	/* SQLite writes the beginning itself; a virtual table is another. */
	return none_is_ours(store, "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') AND sql NOT GLOB 'CREATE TABLE *'", "is no table", error) &&
	       none_is_ours(store, "SELECT DISTINCT s.name FROM main.sqlite_schema s JOIN pragma_table_xinfo(s.name, 'main') c"
			    " WHERE s.sql GLOB 'CREATE TABLE *' AND c.hidden > 1", "has a computed column", error);
}

/* CREATE TEMP TABLE, or a TEMP VIEW with NULLs where columns are missing, or whose the row's process is: temp goes before main when a
 * name is looked up. */
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
		if (store_has_column(store, table->name, c->name))
			continue;
		g_autofree char *of_row = c->type == COL_DUMP ? store_dump_of_row(store, table) : NULL;
		g_string_append_printf(sql, ", %s AS \"%s\"", of_row ? of_row : "NULL", c->name);
		missing++;
	}
	if (there && !missing)
		return true;
	if (there)
		g_string_append_printf(sql, " FROM main.\"%s\" t", table->name);
	else
		g_string_append_c(sql, ')');
	return store_script(store, sql->str, error);
}

bool store_fill_in(struct store *store, const struct table *table, bool *absent, GError **error)
{
	bool there = store_has_table(store, table->name);

	*absent = !there;
	g_hash_table_insert(store->by_name, (void *)table->name, (void *)table);
	return fill_in(store, table, there, error);
}

/* The view of a table that we don't know is made anew, too: of the case's own, which may be anything, counts which columns it shows as addresses. */
static bool make_unknown_view(struct store *store, const char *name, const char *said, GError **error)
{
	AUTO(cursor) cursor = cursor_open(store, "SELECT c.name, c.pk, (SELECT f.\"table\" FROM pragma_foreign_key_list(:name, 'main') f WHERE f.\"from\" = c.name)"
					  " FROM pragma_table_info(:name, 'main') c ORDER BY c.cid", error);
	g_autofree struct table *table = g_new0(struct table, 1);
	g_autoptr(GStringChunk) names = g_string_chunk_new(1024);
	g_autoptr(GError) failed = NULL;
	unsigned n = 0;
	bool fits = !strchr(name, '"');

	if (!cursor)
		return false;
	cursor_bind_text(cursor, "name", name);
	table->name = name;
	while (cursor_next(cursor, &failed)) {
		const char *column = g_string_chunk_insert(names, cursor_text(cursor, 0));
		g_autofree char *address = g_strdup_printf(STORE_ADDRESS_AS_TEXT, column, column, column);
		fits = fits && n + 1 < TABLE_MAX_COLUMNS && !strchr(column, '"');
		if (!fits)
			break;
		const struct table *parent = cursor_type(cursor, 2) == CURSOR_TEXT ? g_hash_table_lookup(store->by_name, cursor_text(cursor, 2)) : NULL;
		if (cursor_int(cursor, 1) && !table->key && g_str_has_suffix(column, "_id"))
			table->key = column;
		else
			table->columns[n++] = (struct column){ column, !strcmp(column, "dump_id") ? COL_DUMP : !strcmp(column, "process_id") ? COL_PROCESS :
							       parent && parent->key ? COL_REF : strstr(said, address) ? COL_ADDRESS : COL_INT, "",
							       parent && parent->key ? parent->name : NULL };
	}
	if (!error_pass(error, &failed))
		return false;
	return !fits || store_make_view(store, table, true, error);
}

bool store_fill_in_views(struct store *store, GError **error)
{
	AUTO(cursor) unknown = cursor_open(store, "SELECT t.name, v.sql FROM main.sqlite_schema t JOIN main.sqlite_schema v ON v.type = 'view' AND v.name = 'v_' || t.name"
					   " WHERE t.sql GLOB 'CREATE TABLE *'", error);
	g_autoptr(GError) failed = NULL;
	GHashTableIter iter;
	gpointer table;

	if (!unknown)
		return false;
	g_hash_table_iter_init(&iter, store->by_name);
	while (g_hash_table_iter_next(&iter, NULL, &table))
		if (!store_make_view(store, table, true, error))
			return false;
	while (cursor_next(unknown, &failed))
		if (!is_ours(cursor_text(unknown, 0)) && !make_unknown_view(store, cursor_text(unknown, 0), cursor_text(unknown, 1), error))
			return false;
	if (!error_pass(error, &failed))
		return false;
	g_autofree char *timeline = store_timeline_sql(store, "CREATE TEMP VIEW timeline");
	return store_script(store, timeline, error);
}

bool store_has_view(struct store *store, const char *name)
{
	g_autofree char *there = store_value(store, "SELECT 1 FROM temp.sqlite_schema WHERE type = 'view' AND name = ?", name, NULL);

	return there != NULL;
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
