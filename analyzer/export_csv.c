/* SPDX-License-Identifier: Apache-2.0 */
/* Each table as a CSV file in a folder: what its view shows, addresses as text and the process's name beside them. */
#include <errno.h>
#include <string.h>
#include <glib/gstdio.h>
#include "export.h"
#include "listing.h"

/* A condition: what a row refers to is one dump's, by its dump or its process. NULL: the table has no such reference. */
static char *by_parent(struct store *store, const char *table)
{
#define QUOTED(name) "'\"' || replace(" name ", '\"', '\"\"') || '\"'"
	return store_value(store, "SELECT " QUOTED("f.\"from\"") " || ' IN (SELECT ' || " QUOTED("f.\"to\"") " || ' FROM main.' || " QUOTED("f.\"table\"")
			   " || iif(c.name = 'dump_id', ' WHERE dump_id = :dump_id)', ' WHERE process_id IN (SELECT process_id FROM processes WHERE dump_id = :dump_id))')"
			   " FROM pragma_foreign_key_list(?, 'main') f JOIN pragma_table_info(f.\"table\", 'main') c ON c.name IN ('dump_id', 'process_id')"
			   " WHERE f.\"to\" IS NOT NULL ORDER BY c.name, f.id DESC LIMIT 1", table, NULL);
#undef QUOTED
}

/* Rows of one dump: by the dump, or by the process, that the view has, or that what a row refers to has. */
static char *select_of(struct store *store, const char *table, const char *view, bool one_dump)
{
	g_autofree char *by_dump = store_value(store, "SELECT 1 FROM pragma_table_info(?) WHERE name = 'dump_id'", view, NULL);
	g_autofree char *by_process = store_value(store, "SELECT 1 FROM pragma_table_info(?) WHERE name = 'process_id'", view, NULL);
	g_autofree char *reference = by_parent(store, table);
	g_autofree char *by_owner = store_value(store, "SELECT 1 FROM pragma_table_info(?) WHERE name = 'owner_dump_id'", view, NULL);
	const char *where = !one_dump ? NULL : by_dump ? "dump_id = :dump_id" : by_owner ? "owner_dump_id = :dump_id" :
			    by_process ? "process_id IN (SELECT process_id FROM processes WHERE dump_id = :dump_id)" : reference;

	return g_strdup_printf("SELECT * FROM \"%s\"%s%s", view, where ? " WHERE " : "", where ? where : "");
}

static bool write_table(struct export *x, const char *table, GError **error)
{
	g_autofree char *view = g_strconcat("v_", table, NULL);
	bool has_view = store_has_view(x->store, view);
	g_autofree char *sql = select_of(x->store, table, has_view ? view : table, x->dump_id != 0), *name = g_strconcat(table, ".csv", NULL);
	g_autofree char *path = g_build_filename(x->folder, name, NULL);
	AUTO(cursor) cursor = export_query(x, sql, error);
	int64_t rows = 0;

	if (!cursor)
		return false;
	FILE *to = whole_begin(path);
	if (!to) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		return false;
	}
	bool ok = listing_print(to, cursor, LISTING_CSV, 0, &rows, error);
	if (!whole_end(to, path, ok) && ok) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		ok = false;
	}
	x->records += rows;
	return ok;
}

static bool write_csv(struct export *x, GError **error)
{
	AUTO(cursor) cursor = cursor_open(x->store, "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND sql GLOB 'CREATE TABLE *'"
					  " AND name NOT GLOB 'sqlite_*' UNION SELECT 'timeline' ORDER BY name", error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	while (cursor_next(cursor, &failed)) {
		const char *table = cursor_text(cursor, 0);
		/* A case may come from elsewhere: a name is no path. */
		if (strpbrk(table, "/\\\"\n") || table[0] == '.') {
			g_printerr("memsieve: the table '%s' has no name for a file, and is left out\n", table);
			continue;
		}
		if (!write_table(x, table, error))
			return false;
	}
	return error_pass(error, &failed);
}

const struct export_format export_csv = { "csv", "a folder with each table as CSV", write_csv };
