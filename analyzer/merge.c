/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include <string.h>
#include "plugin.h"

/* How many references a row may be away from its dump. */
#define MAX_DEPTH 4
/* A condition that is longer than this comes from no sane set of tables. */
#define MAX_CONDITION 65536

struct foreign_key { char *column, *table; };

struct merged_table {
	char *name;
	GPtrArray *columns;	/* char *: of both, the input's and ours */
	GPtrArray *keys;	/* struct foreign_key * */
	char *key;		/* the column that is the row's id, or NULL */
	int64_t offset;		/* added to ids */
};

struct merge {
	struct store *out;
	GPtrArray *tables;	/* struct merged_table * */
	bool all;		/* no dump of the input is skipped */
};

static void foreign_key_free(void *data)
{
	struct foreign_key *k = data;

	g_free(k->column);
	g_free(k->table);
	g_free(k);
}

static void merged_table_free(void *data)
{
	struct merged_table *t = data;

	g_free(t->name);
	g_free(t->key);
	g_ptr_array_unref(t->columns);
	g_ptr_array_unref(t->keys);
	g_free(t);
}

struct store *merge_open(const char *path, GError **error)
{
	struct store *store = store_open(path, NULL, error);
	bool ok = store != NULL;

	for (const struct plugin *const *p = plugins; ok && *p; p++)
		for (const struct table *const *t = (*p)->fills; ok && *t; t++)
			ok = store_declare(store, *t, error);
	if (ok && store_commit(store, error) && store_share(store, error))
		return store;
	store_close(store);
	return NULL;
}

static struct merged_table *table_of(const struct merge *m, const char *name)
{
	for (guint i = 0; i < m->tables->len; i++) {
		struct merged_table *t = g_ptr_array_index(m->tables, i);
		if (!g_ascii_strcasecmp(t->name, name))
			return t;
	}
	return NULL;
}

/* One column of text of a query with one parameter. */
static GPtrArray *texts(struct store *store, const char *sql, const char *name, GError **error)
{
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
	AUTO(cursor) cursor = cursor_open(store, sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return NULL;
	if (name)
		cursor_bind_text(cursor, "name", name);
	while (cursor_next(cursor, &failed))
		g_ptr_array_add(list, g_strdup(cursor_text(cursor, 0)));
	if (failed) {
		g_propagate_error(error, g_steal_pointer(&failed));
		return NULL;
	}
	return g_steal_pointer(&list);
}

static char *quoted(const char *name)
{
	g_auto(GStrv) parts = g_strsplit(name, "\"", -1);
	g_autofree char *inner = g_strjoinv("\"\"", parts);

	return g_strdup_printf("\"%s\"", inner);
}

/* ---- what there is */

/* A table that we don't have: as the input has it, with its indices and view. */
static bool adopt_table(struct merge *m, const char *name, GError **error)
{
	g_autoptr(GPtrArray) sql = texts(m->out, "SELECT sql FROM input.sqlite_schema WHERE tbl_name = :name AND type IN ('table', 'index') AND sql IS NOT NULL"
					 " ORDER BY type = 'index', name", name, error);
	g_autofree char *view = g_strconcat("v_", name, NULL);
	g_autoptr(GPtrArray) views = texts(m->out, "SELECT sql FROM input.sqlite_schema WHERE type = 'view' AND name = :name", view, error);

	if (!sql || !views)
		return false;
	for (guint i = 0; i < sql->len; i++)
		if (!store_exec(m->out, error, g_ptr_array_index(sql, i), NULL))
			return false;
	for (guint i = 0; i < views->len; i++)
		if (!store_exec(m->out, error, g_ptr_array_index(views, i), NULL))
			return false;
	return true;
}

/* Columns that the input has and we haven't. */
static bool adopt_columns(struct merge *m, const char *name, GError **error)
{
	g_autoptr(GPtrArray) missing = texts(m->out, "SELECT '\"' || replace(name, '\"', '\"\"') || '\" ' || type FROM pragma_table_info(:name, 'input')"
					     " WHERE name COLLATE NOCASE NOT IN (SELECT name FROM pragma_table_info(:name, 'main')) ORDER BY cid", name, error);

	for (guint i = 0; missing && i < missing->len; i++) {
		g_autofree char *table = quoted(name);
		g_autofree char *sql = g_strdup_printf("ALTER TABLE main.%s ADD COLUMN %s", table, (char *)g_ptr_array_index(missing, i));
		if (!store_exec(m->out, error, sql, NULL))
			return false;
	}
	return missing != NULL;
}

static bool add_keys(struct merge *m, struct merged_table *t, const char *schema, GError **error)
{
	g_autofree char *sql = g_strdup_printf("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(:name, '%s') ORDER BY id", schema);
	AUTO(cursor) cursor = cursor_open(m->out, sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	cursor_bind_text(cursor, "name", t->name);
	while (cursor_next(cursor, &failed)) {
		bool known = false;
		for (guint i = 0; i < t->keys->len; i++)
			known |= !g_ascii_strcasecmp(((struct foreign_key *)t->keys->pdata[i])->column, cursor_text(cursor, 0));
		if (known)
			continue;
		struct foreign_key *k = g_new0(struct foreign_key, 1);
		k->column = g_strdup(cursor_text(cursor, 0));
		k->table = g_strdup(cursor_text(cursor, 1));
		g_ptr_array_add(t->keys, k);
	}
	if (failed)
		g_propagate_error(error, g_steal_pointer(&failed));
	return !failed;
}

static bool look_at_table(struct merge *m, const char *name, GError **error)
{
	struct merged_table *t = g_new0(struct merged_table, 1);

	t->name = g_strdup(name);
	t->keys = g_ptr_array_new_with_free_func(foreign_key_free);
	g_ptr_array_add(m->tables, t);
	t->columns = texts(m->out, "SELECT name FROM pragma_table_info(:name, 'input') ORDER BY cid", name, error);
	if (!t->columns) {
		t->columns = g_ptr_array_new_with_free_func(g_free);
		return false;
	}
	g_autoptr(GPtrArray) key = texts(m->out, "SELECT name FROM pragma_table_info(:name, 'main') WHERE pk AND upper(type) = 'INTEGER' AND"
					 " (SELECT count(*) FROM pragma_table_info(:name, 'main') WHERE pk) = 1", name, error);
	if (!key)
		return false;
	t->key = key->len ? g_strdup(g_ptr_array_index(key, 0)) : NULL;
	/* Ours are the newer ones: a column that came to the input's case later may have no reference there. */
	return add_keys(m, t, "main", error) && add_keys(m, t, "input", error);
}

static bool look_at_tables(struct merge *m, GError **error)
{
	g_autoptr(GPtrArray) names = texts(m->out, "SELECT name FROM input.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
					   " AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY rowid", NULL, error);

	for (guint i = 0; names && i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		g_autofree char *there = store_value(m->out, "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", name, NULL);
		if ((!there && !adopt_table(m, name, error)) || !adopt_columns(m, name, error) || !look_at_table(m, name, error))
			return false;
	}
	return names != NULL;
}

/* ---- whose rows */

/* A condition on `t`, the table's alias: its row belongs to a dump that is taken. NULL: rows belong to no dump. */
static char *belongs(const struct merge *m, const struct merged_table *t, unsigned depth)
{
	g_autoptr(GString) any = g_string_new(NULL);

	if (!strcmp(t->name, "dumps"))
		return g_strdup("t.dump_id IN (SELECT dump_id FROM temp.merge_dumps)");
	/* Straight to the dump where there is a way; else by any reference, as each may be NULL. */
	for (guint pass = 0; pass < 2 && !any->len && depth < MAX_DEPTH; pass++)
		for (guint i = 0; i < t->keys->len && any->len < MAX_CONDITION; i++) {
			const struct foreign_key *k = g_ptr_array_index(t->keys, i);
			const struct merged_table *parent = table_of(m, k->table);
			if (!parent || parent == t || !parent->key || (pass == 0) != !strcmp(parent->name, "dumps"))
				continue;
			g_autofree char *of_parent = belongs(m, parent, depth + 1);
			if (!of_parent)
				continue;
			g_autofree char *column = quoted(k->column), *table = quoted(parent->name), *key = quoted(parent->key);
			g_string_append_printf(any, "%st.%s IN (SELECT t.%s FROM input.%s t WHERE %s)", any->len ? " OR " : "", column, key, table,
					       of_parent);
		}
	return any->len ? g_strdup_printf("(%s)", any->str) : NULL;
}

/* New ids follow ours without a gap. */
static bool find_offset(struct merge *m, struct merged_table *t, GError **error)
{
	g_autofree char *table = quoted(t->name);
	g_autofree char *ours = g_strdup_printf("SELECT coalesce(max(rowid), 0) FROM main.%s", table);
	g_autofree char *theirs = g_strdup_printf("SELECT min(rowid), max(rowid) FROM input.%s", table);
	g_autofree char *top = store_value(m->out, ours, NULL);
	AUTO(cursor) cursor = cursor_open(m->out, theirs, error);
	g_autoptr(GError) failed = NULL;
	int64_t last, sum, first = 1, end = 0;

	if (!cursor || !top)
		return false;
	last = g_ascii_strtoll(top, NULL, 10);
	if (cursor_next(cursor, &failed) && cursor_type(cursor, 0) == CURSOR_INT) {
		first = cursor_int(cursor, 0);
		end = cursor_int(cursor, 1);
	}
	if (failed) {
		g_propagate_error(error, g_steal_pointer(&failed));
		return false;
	}
	if (__builtin_sub_overflow(last, first, &sum) || __builtin_add_overflow(sum, 1, &t->offset) ||
	    __builtin_add_overflow(end, t->offset, &sum)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "ids of the table %s are out of range", t->name);
		return false;
	}
	return true;
}

/* diagnostics.row_id is the id of a row of the table that stands beside it: no declared reference can say that. */
static char *diagnosed_row(const struct merge *m)
{
	GString *s = g_string_new("CASE t.table_name");

	for (guint i = 0; i < m->tables->len; i++) {
		const struct merged_table *t = g_ptr_array_index(m->tables, i);
		if (!strpbrk(t->name, "'\\"))
			g_string_append_printf(s, " WHEN '%s' THEN t.row_id + %" G_GINT64_FORMAT, t->name, t->offset);
	}
	g_string_append(s, " ELSE t.row_id END");
	return g_string_free(s, FALSE);
}

static const struct merged_table *referred(const struct merge *m, const struct merged_table *t, const char *column)
{
	for (guint i = 0; i < t->keys->len; i++) {
		const struct foreign_key *k = g_ptr_array_index(t->keys, i);
		if (!g_ascii_strcasecmp(k->column, column))
			return table_of(m, k->table);
	}
	return NULL;
}

static bool copy_table(struct merge *m, const struct merged_table *t, GError **error)
{
	g_autoptr(GString) sql = g_string_new(NULL), values = g_string_new(NULL), same = g_string_new(NULL);
	g_autofree char *table = quoted(t->name), *owner = belongs(m, t, 0);

	g_string_append_printf(sql, "INSERT INTO main.%s(rowid", table);
	for (guint i = 0; i < t->columns->len; i++) {
		const char *name = g_ptr_array_index(t->columns, i);
		const struct merged_table *parent = referred(m, t, name);
		g_autofree char *column = quoted(name);
		if (t->key && !g_ascii_strcasecmp(name, t->key))
			continue;	/* it is the rowid */
		g_string_append_printf(sql, ", %s", column);
		g_string_append_printf(same, " AND o.%s IS t.%s", column, column);
		if (parent)
			g_string_append_printf(values, ", t.%s + %" G_GINT64_FORMAT, column, parent->offset);
		else if (!strcmp(t->name, "diagnostics") && !strcmp(name, "row_id")) {
			g_autofree char *row = diagnosed_row(m);
			g_string_append_printf(values, ", %s", row);
		} else
			g_string_append_printf(values, ", t.%s", column);
	}
	g_string_append_printf(sql, ") SELECT t.rowid + %" G_GINT64_FORMAT "%s FROM input.%s t", t->offset, values->str, table);
	/* Rows of no dump (what a batch failed on): those that we don't have. */
	if (!owner)
		g_string_append_printf(sql, " WHERE NOT EXISTS (SELECT 1 FROM main.%s o WHERE 1%s)", table, same->str);
	else if (!m->all)
		g_string_append_printf(sql, " WHERE %s", owner);
	g_string_append(sql, " ORDER BY t.rowid");
	if (store_exec(m->out, error, sql->str, NULL))
		return true;
	g_prefix_error(error, "table %s: ", t->name);
	return false;
}

/* ---- dumps */

/* Runs of ours that did not finish make room for one that did, of the same file; with `replace` those that did, too. */
static bool make_room(struct merge *m, bool replace, GError **error)
{
	const char *sql = replace ? "SELECT DISTINCT o.dump_id FROM main.dumps o JOIN input.dumps i ON i.path = o.path"
		: "SELECT o.dump_id FROM main.dumps o JOIN input.dumps i ON i.path = o.path AND i.size = o.size"
		  " WHERE o.sha256 IS NULL AND i.sha256 IS NOT NULL";
	g_autoptr(GPtrArray) begun = texts(m->out, sql, NULL, error);

	for (guint i = 0; begun && i < begun->len; i++)
		if (!store_remove_dump(m->out, g_ascii_strtoll(g_ptr_array_index(begun, i), NULL, 10), error))
			return false;
	return begun != NULL;
}

static bool choose_dumps(struct merge *m, struct merge_result *result, GError **error)
{
	if (!store_exec(m->out, error, "CREATE TEMP TABLE IF NOT EXISTS merge_dumps(dump_id INTEGER PRIMARY KEY)", NULL) ||
	    !store_exec(m->out, error, "DELETE FROM temp.merge_dumps", NULL) ||
	    !store_exec(m->out, error, "INSERT INTO temp.merge_dumps SELECT i.dump_id FROM input.dumps i WHERE NOT EXISTS (SELECT 1 FROM main.dumps o"
			" WHERE o.sha256 = i.sha256 OR ((o.sha256 IS NULL OR i.sha256 IS NULL) AND o.path = i.path AND o.size = i.size))", NULL))
		return false;
	g_autofree char *taken = store_value(m->out, "SELECT count(*) FROM temp.merge_dumps", NULL);
	g_autofree char *there = store_value(m->out, "SELECT count(*) FROM input.dumps", NULL);
	if (!taken || !there) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "its table of dumps can't be read");
		return false;
	}
	result->dumps = g_ascii_strtoll(taken, NULL, 10);
	result->skipped = g_ascii_strtoll(there, NULL, 10) - result->dumps;
	m->all = !result->skipped;
	return true;
}

static bool check_references(struct store *store, const char *schema, GError **error)
{
	g_autofree char *sql = g_strdup_printf("PRAGMA %s.foreign_key_check", schema);
	AUTO(cursor) cursor = cursor_open(store, sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	if (cursor_next(cursor, &failed))
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "row %" G_GINT64_FORMAT " of %s refers to a row of %s that is not there",
			    cursor_int(cursor, 1), cursor_text(cursor, 0), cursor_text(cursor, 2));
	else if (failed)
		g_propagate_error(error, g_steal_pointer(&failed));
	else
		return true;
	return false;
}

bool merge_check(struct store *out, GError **error)
{
	return check_references(out, "main", error);
}

static bool copy_all(struct merge *m, GError **error)
{
	for (guint i = 0; i < m->tables->len; i++)
		if (!find_offset(m, g_ptr_array_index(m->tables, i), error))
			return false;
	for (guint i = 0; i < m->tables->len; i++)
		if (!copy_table(m, g_ptr_array_index(m->tables, i), error))
			return false;
	return true;
}

static bool add(struct store *out, const char *path, bool replace, struct merge_result *result, GError **error)
{
	struct merge m = { .out = out, .tables = g_ptr_array_new_with_free_func(merged_table_free) };
	bool ok;

	*result = (struct merge_result){ 0, 0 };
	if (!store_attach(out, path, error)) {
		g_ptr_array_unref(m.tables);
		return false;
	}
	ok = check_references(out, "input", error) && make_room(&m, replace, error) && store_begin(out, error);
	ok = ok && choose_dumps(&m, result, error) && look_at_tables(&m, error) && copy_all(&m, error) && store_commit(out, error);
	if (!ok)
		store_rollback(out);
	g_ptr_array_unref(m.tables);
	store_detach(out);
	if (!ok)
		g_prefix_error(error, "%s: ", path);
	return ok;
}

bool merge_add(struct store *out, const char *path, struct merge_result *result, GError **error)
{
	return add(out, path, false, result, error);
}

bool merge_replace(struct store *out, const char *path, struct merge_result *result, GError **error)
{
	return add(out, path, true, result, error);
}
