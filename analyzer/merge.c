/* SPDX-License-Identifier: Apache-2.0 */
#include "merge.h"
#include <string.h>
#include "limit.h"
#include "plugin.h"

/* How many references a row may be away from its dump. */
#define MAX_DEPTH 4
/* A condition that is longer than this comes from no sane set of tables. */
#define MAX_CONDITION 65536
/* A column's type as we write it. SQLite says types without their quotes: "INTEGER CHECK(0)" would be SQL. */
#define TYPE "iif(upper(type) IN ('INTEGER', 'TEXT', 'REAL', 'BLOB'), upper(type), 'ANY')"

struct foreign_key { char *column, *table; };

struct merged_table {
	char *name;		/* as ours is spelt */
	bool ours;		/* it is in our case already */
	GPtrArray *columns;	/* char *: of both, the input's and ours */
	GPtrArray *keys;	/* struct foreign_key * */
	char *key;		/* the column that is the row's id, or NULL */
	int64_t first, end;	/* the input's ids */
	int64_t last;		/* of our own: what is beyond was copied */
	int64_t offset;		/* added to ids */
};

struct merge {
	struct store *out;
	GPtrArray *tables;	/* struct merged_table *, diagnostics last */
	const char *only;	/* the path of all that the input may hold, or NULL: anything */
	bool all;		/* no dump of the input is skipped */
	int64_t lost;		/* see merge_result */
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
	if (!error_pass(error, &failed))
		return NULL;
	return g_steal_pointer(&list);
}

static char *between(const char *quote, const char *text)
{
	g_autofree char *twice = g_strconcat(quote, quote, NULL);
	g_auto(GStrv) parts = g_strsplit(text, quote, -1);
	g_autofree char *inner = g_strjoinv(twice, parts);

	return g_strconcat(quote, inner, quote, NULL);
}

static char *quoted(const char *name)
{
	return between("\"", name);
}

/* ---- what there is */

static void add_key(struct merged_table *t, const char *column, const char *table)
{
	struct foreign_key *k;

	for (guint i = 0; i < t->keys->len; i++)
		if (!g_ascii_strcasecmp(((struct foreign_key *)t->keys->pdata[i])->column, column))
			return;
	k = g_new0(struct foreign_key, 1);
	k->column = g_strdup(column);
	k->table = g_strdup(table);
	g_ptr_array_add(t->keys, k);
}

static bool add_keys(struct merge *m, struct merged_table *t, const char *schema, GError **error)
{
	g_autofree char *sql = g_strdup_printf("SELECT \"from\", \"table\" FROM pragma_foreign_key_list(:name, '%s') ORDER BY id", schema);
	AUTO(cursor) cursor = cursor_open(m->out, sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	cursor_bind_text(cursor, "name", t->name);
	while (cursor_next(cursor, &failed))
		add_key(t, cursor_text(cursor, 0), cursor_text(cursor, 1));
	return error_pass(error, &failed);
}

static bool look_at_table(struct merge *m, const char *name, GError **error)
{
	struct merged_table *t = g_new0(struct merged_table, 1);

	t->name = store_value(m->out, "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", name, NULL);
	t->ours = t->name != NULL;
	if (!t->ours)
		t->name = g_strdup(name);
	t->keys = g_ptr_array_new_with_free_func(foreign_key_free);
	g_ptr_array_add(m->tables, t);
	t->columns = texts(m->out, "SELECT name FROM pragma_table_info(:name, 'input') ORDER BY cid", name, error);
	if (!t->columns) {
		t->columns = g_ptr_array_new_with_free_func(g_free);
		return false;
	}
	for (guint i = 0; i < t->columns->len; i++)
		if (!g_ascii_strcasecmp(g_ptr_array_index(t->columns, i), "rowid")) {	/* it would stand for the row's number */
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "the table %s has a column named rowid", name);
			return false;
		}
	g_autofree char *sql = g_strdup_printf("SELECT name FROM pragma_table_info(:name, '%1$s') WHERE pk AND upper(type) = 'INTEGER' AND"
					       " (SELECT count(*) FROM pragma_table_info(:name, '%1$s') WHERE pk) = 1", t->ours ? "main" : "input");
	g_autoptr(GPtrArray) key = texts(m->out, sql, name, error);
	if (!key)
		return false;
	t->key = key->len ? g_strdup(g_ptr_array_index(key, 0)) : NULL;
	/* Ours are the newer ones: a column that came to the input's case later may have no reference there. */
	if (!add_keys(m, t, "main", error))
		return false;
	/* Whose a row is is called the same in all tables, whatever the input declares: no row may say that it is a dump's of ours. */
	for (guint i = 0; i < t->columns->len; i++) {
		const char *column = g_ptr_array_index(t->columns, i);
		if (!g_ascii_strcasecmp(column, "dump_id") && strcmp(t->name, "dumps"))
			add_key(t, column, "dumps");
		else if (!g_ascii_strcasecmp(column, "process_id") && strcmp(t->name, "processes"))
			add_key(t, column, "processes");
	}
	return add_keys(m, t, "input", error);
}

/* What isn't a plain table, a view say, computes its rows when they are read: of our tables' names there may be none such. */
#define PLAIN_TABLE "(i.type = 'table' AND i.sql LIKE 'CREATE TABLE %')"

static bool check_schema(struct store *out, GError **error)
{
	g_autoptr(GPtrArray) names = texts(out, "SELECT i.name FROM input.sqlite_schema i JOIN main.sqlite_schema o ON o.name = i.name COLLATE NOCASE"
					   " WHERE o.type = 'table' AND i.type IN ('table', 'view') AND NOT " PLAIN_TABLE, NULL, error);

	if (names && names->len)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s is no table there", (char *)g_ptr_array_index(names, 0));
	return names && !names->len;
}

static bool look_at_tables(struct merge *m, GError **error)
{
	g_autoptr(GPtrArray) names = texts(m->out, "SELECT i.name FROM input.sqlite_schema i WHERE i.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND " PLAIN_TABLE
					   " ORDER BY i.name = 'diagnostics' COLLATE NOCASE, i.rowid", NULL, error);

	for (guint i = 0; names && i < names->len; i++)
		if (!look_at_table(m, g_ptr_array_index(names, i), error))
			return false;
	return names != NULL;
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

static bool has_column(const struct merged_table *t, const char *column)
{
	for (guint i = 0; i < t->columns->len; i++)
		if (!g_ascii_strcasecmp(g_ptr_array_index(t->columns, i), column))
			return true;
	return false;
}

static bool is_key(const struct merged_table *t, const char *column)
{
	return t->key && !g_ascii_strcasecmp(t->key, column);
}

/* ---- what we lack: made as we make tables. Of the input's own SQL nothing is run: later analyses would be at its mercy. */

/* A table that we don't have, with an index for each reference. */
static bool adopt_table(struct merge *m, const struct merged_table *t, GError **error)
{
	g_autoptr(GPtrArray) types = texts(m->out, "SELECT " TYPE " FROM pragma_table_info(:name, 'input') ORDER BY cid", t->name, error);
	g_autoptr(GString) sql = g_string_new(NULL);
	g_autoptr(GPtrArray) indices = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *table = quoted(t->name);

	if (!types)
		return false;
	g_string_append_printf(sql, "CREATE TABLE main.%s(", table);
	for (guint i = 0; i < t->columns->len && i < types->len; i++) {
		const char *name = g_ptr_array_index(t->columns, i);
		const struct merged_table *parent = referred(m, t, name);
		g_autofree char *column = quoted(name);
		g_string_append_printf(sql, "%s%s ", i ? ", " : "", column);
		if (is_key(t, name))
			g_string_append(sql, "INTEGER PRIMARY KEY");
		else if (parent && parent->key) {
			g_autofree char *of = quoted(parent->name), *key = quoted(parent->key), *index = g_strdup_printf("i_%s_%s", t->name, name);
			g_autofree char *index_name = quoted(index);
			g_string_append_printf(sql, "INTEGER REFERENCES %s(%s) ON DELETE CASCADE", of, key);
			g_ptr_array_add(indices, g_strdup_printf("CREATE INDEX main.%s ON %s(%s)", index_name, table, column));
		} else
			g_string_append(sql, g_ptr_array_index(types, i));
	}
	g_string_append(sql, ") STRICT");
	if (!store_exec(m->out, error, sql->str, NULL))
		return false;
	for (guint i = 0; i < indices->len; i++)
		if (!store_exec(m->out, error, g_ptr_array_index(indices, i), NULL))
			return false;
	return true;
}

static bool refers(const struct merge *m, const struct merged_table *t, const char *column, const char *table)
{
	const struct merged_table *parent = referred(m, t, column);

	return parent && !strcmp(parent->name, table);
}

/* Its view, as the store makes them. Which columns are addresses the input's own view alone says. */
static bool adopt_view(struct merge *m, const struct merged_table *t, GError **error)
{
	g_autofree char *name = g_strconcat("v_", t->name, NULL), *view = quoted(name), *table = quoted(t->name);
	g_autofree char *shown = store_value(m->out, "SELECT sql FROM input.sqlite_schema WHERE type = 'view' AND name = ?", name, NULL);
	g_autoptr(GString) sql = g_string_new(NULL), joins = g_string_new(NULL);
	const char *process = refers(m, t, "process_id", "processes") ? "t.process_id" : NULL, *dump = refers(m, t, "dump_id", "dumps") ? "t.dump_id" : NULL;

	g_string_append_printf(sql, "CREATE VIEW IF NOT EXISTS main.%s AS SELECT ", view);
	for (guint i = 0; i < t->columns->len; i++) {
		g_autofree char *column = quoted(g_ptr_array_index(t->columns, i)), *address = g_strdup_printf("printf('0x%%x', t.%s)", column);
		if (shown && strstr(shown, address))
			g_string_append_printf(sql, "%siif(t.%s IS NULL, NULL, %s) AS %s", i ? ", " : "", column, address, column);
		else
			g_string_append_printf(sql, "%st.%s", i ? ", " : "", column);
	}
	for (guint i = 0; i < t->keys->len && !process && !dump; i++) {
		const struct foreign_key *k = g_ptr_array_index(t->keys, i);
		const struct merged_table *parent = table_of(m, k->table);
		if (!parent || parent == t || !parent->key)
			continue;
		process = refers(m, parent, "process_id", "processes") ? "r.process_id" : NULL;
		dump = refers(m, parent, "dump_id", "dumps") ? "r.dump_id" : NULL;
		if (process || dump) {
			g_autofree char *of = quoted(parent->name), *key = quoted(parent->key), *column = quoted(k->column);
			g_string_append_printf(joins, " LEFT JOIN %s r ON r.%s = t.%s", of, key, column);
		}
	}
	if (process) {
		g_string_append(sql, ", p.name AS process_name, p.pid AS process_pid");
		g_string_append_printf(joins, " LEFT JOIN processes p ON p.process_id = %s", process);
		dump = dump ? dump : "p.dump_id";
	}
	if (dump) {
		g_string_append(sql, ", d.path AS dump_path");
		g_string_append_printf(joins, " LEFT JOIN dumps d ON d.dump_id = %s", dump);
	}
	g_string_append_printf(sql, " FROM %s t%s", table, joins->str);
	return store_exec(m->out, error, sql->str, NULL);
}

/* Columns that the input has and we haven't. */
static bool adopt_columns(struct merge *m, const char *name, GError **error)
{
	g_autoptr(GPtrArray) missing = texts(m->out, "SELECT '\"' || replace(name, '\"', '\"\"') || '\" ' || " TYPE " FROM pragma_table_info(:name, 'input')"
					     " WHERE name COLLATE NOCASE NOT IN (SELECT name FROM pragma_table_info(:name, 'main')) ORDER BY cid", name, error);

	for (guint i = 0; missing && i < missing->len; i++) {
		g_autofree char *table = quoted(name);
		g_autofree char *sql = g_strdup_printf("ALTER TABLE main.%s ADD COLUMN %s", table, (char *)g_ptr_array_index(missing, i));
		if (!store_exec(m->out, error, sql, NULL))
			return false;
	}
	return missing != NULL;
}

static bool adopt(struct merge *m, GError **error)
{
	for (guint i = 0; i < m->tables->len; i++) {
		const struct merged_table *t = g_ptr_array_index(m->tables, i);
		if (t->ours ? !adopt_columns(m, t->name, error) : !adopt_table(m, t, error) || !adopt_view(m, t, error))
			return false;
	}
	return true;
}

/* ---- whose rows */

/* A condition on `t`, the table's alias: its row belongs to a dump that is taken. NULL: rows belong to no dump. */
static char *belongs(const struct merge *m, const struct merged_table *t, unsigned depth)
{
	g_autoptr(GString) any = g_string_new(NULL);

	if (!strcmp(t->name, "dumps"))
		return g_strdup("t.rowid IN (SELECT dump_id FROM temp.merge_dumps)");
	/* Straight to the dump where there is a way; else by any reference, as each may be NULL. */
	for (guint pass = 0; pass < 2 && !any->len && depth < MAX_DEPTH; pass++)
		for (guint i = 0; i < t->keys->len && any->len < MAX_CONDITION; i++) {
			const struct foreign_key *k = g_ptr_array_index(t->keys, i);
			const struct merged_table *parent = table_of(m, k->table);
			if (!parent || parent == t || !parent->key || (pass == 0) != !strcmp(parent->name, "dumps") || !has_column(t, k->column))
				continue;
			g_autofree char *of_parent = belongs(m, parent, depth + 1);
			if (!of_parent)
				continue;
			g_autofree char *column = quoted(k->column), *table = quoted(parent->name);
			g_string_append_printf(any, "%st.%s IN (SELECT t.rowid FROM input.%s t WHERE %s)", any->len ? " OR " : "", column, table,
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
	int64_t sum, span;

	if (!cursor)
		return false;
	if (!top) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "the table %s of the case to merge into can't be read, or has no rowid", t->name);
		return false;
	}
	t->last = g_ascii_strtoll(top, NULL, 10);
	t->first = 1;
	t->end = 0;
	if (cursor_next(cursor, &failed) && cursor_type(cursor, 0) == CURSOR_INT) {
		t->first = cursor_int(cursor, 0);
		t->end = cursor_int(cursor, 1);
	}
	if (!error_pass(error, &failed))
		return false;
	if (__builtin_sub_overflow(t->end, t->first, &span) || (span > 0 && (uint64_t)span > limit(merge_ids)) ||
	    __builtin_sub_overflow(t->last, t->first, &sum) || __builtin_add_overflow(sum, 1, &t->offset) ||
	    __builtin_add_overflow(t->end, t->offset, &sum)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "ids of the table %s are out of range (merge_ids)", t->name);
		return false;
	}
	return true;
}

/*
 * diagnostics.row_id is the id of a row of the table that stands beside it: no declared reference can say that. They are
 * copied last; what none of the rows copied before has is no row's id.
 */
static char *diagnosed_row(const struct merge *m)
{
	GString *s = g_string_new("CASE t.table_name");

	for (guint i = 0; i < m->tables->len; i++) {
		const struct merged_table *t = g_ptr_array_index(m->tables, i);
		g_autofree char *text = between("'", t->name), *table = quoted(t->name);
		g_string_append_printf(s, " WHEN %s THEN (SELECT o.rowid FROM main.%s o WHERE o.rowid = t.row_id + %" G_GINT64_FORMAT
				       " AND o.rowid > %" G_GINT64_FORMAT ")", text, table, t->offset, t->last);
	}
	g_string_append(s, " ELSE NULL END");
	return g_string_free(s, FALSE);
}

/*
 * An older case, of a table that has got a column for its dump since: its rows' dump is that of their process, or the only one. NULL: it is no such
 * table.
 */
static char *dump_of(const struct merge *m, const struct merged_table *t, const char **column)
{
	const struct merged_table *dumps = table_of(m, "dumps");

	*column = NULL;
	for (guint i = 0; i < t->keys->len && dumps && !*column; i++) {	/* ours come first */
		const struct foreign_key *k = g_ptr_array_index(t->keys, i);
		if (!strcmp(k->table, "dumps"))
			*column = k->column;
	}
	if (!*column || has_column(t, *column) || !has_column(t, "process_id"))
		return NULL;
	return g_strdup_printf("coalesce((SELECT p.dump_id FROM input.processes p WHERE p.rowid = t.process_id), (SELECT max(i.dump_id) FROM temp.merge_dumps i"
			       " WHERE (SELECT count(*) FROM input.dumps) = 1)) + %" G_GINT64_FORMAT, dumps->offset);
}

static bool copy_table(struct merge *m, const struct merged_table *t, GError **error)
{
	const char *dump_column;
	g_autofree char *dump = dump_of(m, t, &dump_column);
	g_autoptr(GString) sql = g_string_new(NULL), values = g_string_new(NULL), same = g_string_new(NULL);
	g_autofree char *table = quoted(t->name), *owner = belongs(m, t, 0);

	if (m->only && !strcmp(t->name, "failed_dumps"))	/* of others: its own dump didn't */
		return true;
	g_string_append_printf(sql, "INSERT INTO main.%s(rowid", table);
	for (guint i = 0; i < t->columns->len; i++) {
		const char *name = g_ptr_array_index(t->columns, i);
		const struct merged_table *parent = referred(m, t, name);
		g_autofree char *column = quoted(name);
		if (is_key(t, name))
			continue;	/* it is the rowid */
		g_string_append_printf(sql, ", %s", column);
		g_string_append_printf(same, " AND o.%s IS t.%s", column, column);
		if (parent)
			g_string_append_printf(values, ", t.%s + %" G_GINT64_FORMAT, column, parent->offset);
		else if (!strcmp(t->name, "diagnostics") && !g_ascii_strcasecmp(name, "row_id")) {
			g_autofree char *row = diagnosed_row(m);
			g_string_append_printf(values, ", %s", row);
		} else
			g_string_append_printf(values, ", t.%s", column);
	}
	if (dump) {
		g_autofree char *column = quoted(dump_column);
		g_string_append_printf(sql, ", %s", column);
		g_string_append_printf(values, ", %s", dump);
	}
	/* In a file made for it a row may have an id beyond what the first and the last have: it is refused as one that is there twice. */
	g_string_append_printf(sql, ") SELECT max(min(t.rowid, %" G_GINT64_FORMAT "), %" G_GINT64_FORMAT ") + %" G_GINT64_FORMAT "%s FROM input.%s t",
			       t->end, t->first, t->offset, values->str, table);
	/* Rows of no dump (what a batch failed on): those that we don't have. */
	if (!owner)
		g_string_append_printf(sql, " WHERE NOT EXISTS (SELECT 1 FROM main.%s o WHERE 1%s)", table, same->str);
	else if (!m->all)
		g_string_append_printf(sql, " WHERE %s", owner);
	else if (dump) {
		g_autofree char *count = g_strdup_printf("SELECT count(*) FROM input.%s t WHERE %s IS NULL", table, dump), *lost = store_value(m->out, count, NULL);
		g_string_append_printf(sql, " WHERE %s IS NOT NULL", dump);
		m->lost += lost ? g_ascii_strtoll(lost, NULL, 10) : 0;
	}
	g_string_append(sql, " ORDER BY t.rowid");
	if (store_exec(m->out, error, sql->str, NULL))
		return true;
	g_prefix_error(error, "table %s: ", t->name);
	return false;
}

/* ---- dumps */

/* The input's dumps, as values: its columns may compare as it likes (COLLATE). */
static bool read_dumps(struct merge *m, GError **error)
{
	if (!store_exec(m->out, error, "CREATE TEMP TABLE IF NOT EXISTS merge_dumps(dump_id INTEGER PRIMARY KEY, path TEXT, size INTEGER, sha256 TEXT)", NULL) ||
	    !store_exec(m->out, error, "DELETE FROM temp.merge_dumps", NULL) ||
	    !store_exec(m->out, error, "INSERT INTO temp.merge_dumps SELECT t.rowid, t.path, t.size, t.sha256 FROM input.dumps t", NULL))
		return false;
	if (!m->only)
		return true;
	g_autofree char *alone = store_value(m->out, "SELECT count(*) = 1 AND sum(path IS ?) = 1 FROM temp.merge_dumps",
					     m->only, NULL);
	if (!g_strcmp0(alone, "1"))
		return true;
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "it holds other dumps than %s alone", m->only);
	return false;
}

/* Runs of ours that did not finish make room for one that did, of the same file; with `replace` those that did, too. */
static bool make_room(struct merge *m, bool replace, GError **error)
{
	/* Not each dump that was analysed has a hash: see hash_holes. */
	const char *sql = replace ? "SELECT DISTINCT o.dump_id FROM main.dumps o JOIN temp.merge_dumps i ON i.path = o.path"
		: "SELECT DISTINCT o.dump_id FROM main.dumps o JOIN temp.merge_dumps i ON i.path = o.path AND i.size = o.size"
		  " WHERE o.sha256 IS NULL AND i.sha256 IS NOT NULL"
		  " AND NOT EXISTS (SELECT 1 FROM main.runs r WHERE r.dump_id = o.dump_id AND r.finished_at IS NOT NULL)";
	g_autoptr(GPtrArray) begun = texts(m->out, sql, NULL, error);

	for (guint i = 0; begun && i < begun->len; i++)
		if (!store_remove_dump(m->out, g_ascii_strtoll(g_ptr_array_index(begun, i), NULL, 10), error))
			return false;
	return begun != NULL;
}

static bool choose_dumps(struct merge *m, struct merge_result *result, GError **error)
{
	g_autofree char *there = store_value(m->out, "SELECT count(*) FROM temp.merge_dumps", NULL);

	if (!store_exec(m->out, error, "DELETE FROM temp.merge_dumps AS i WHERE EXISTS (SELECT 1 FROM main.dumps o"
			" WHERE o.sha256 = i.sha256 OR ((o.sha256 IS NULL OR i.sha256 IS NULL) AND o.path = i.path AND o.size = i.size))", NULL))
		return false;
	g_autofree char *taken = store_value(m->out, "SELECT count(*) FROM temp.merge_dumps", NULL);
	if (!taken || !there) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "its table of dumps can't be read");
		return false;
	}
	result->dumps = g_ascii_strtoll(taken, NULL, 10);
	result->skipped = g_ascii_strtoll(there, NULL, 10) - result->dumps;
	m->all = !result->skipped;
	return true;
}

/* ---- references */

/* What was copied refers to what was copied with it, or to nothing: any other id would be that of a row of another case, or of one to come. */
static bool check_copied(struct merge *m, const struct merged_table *t, GError **error)
{
	g_autoptr(GString) sql = g_string_new(NULL);
	g_autofree char *table = quoted(t->name);
	g_autoptr(GError) failed = NULL;

	g_string_append_printf(sql, "SELECT t.rowid - %" G_GINT64_FORMAT " FROM main.%s t WHERE t.rowid > %" G_GINT64_FORMAT " AND (0", t->offset, table, t->last);
	for (guint i = 0; i < t->keys->len; i++) {
		const struct foreign_key *k = g_ptr_array_index(t->keys, i);
		const struct merged_table *parent = table_of(m, k->table);
		g_autofree char *column = quoted(k->column), *of = quoted(k->table);
		g_string_append_printf(sql, " OR (t.%s IS NOT NULL", column);
		if (parent)
			g_string_append_printf(sql, " AND NOT EXISTS (SELECT 1 FROM main.%s o WHERE o.rowid = t.%s AND o.rowid > %" G_GINT64_FORMAT ")", of, column,
					       parent->last);
		g_string_append_c(sql, ')');
	}
	g_string_append(sql, ") LIMIT 1");
	AUTO(cursor) cursor = cursor_open(m->out, sql->str, error);
	if (!cursor)
		return false;
	if (cursor_next(cursor, &failed))
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "row %" G_GINT64_FORMAT " of %s refers to a row that is not there, or not of a dump that is merged",
			    cursor_int(cursor, 0), t->name);
	else if (failed)
		g_propagate_error(error, g_steal_pointer(&failed));
	else
		return true;
	return false;
}

bool merge_check(struct store *out, GError **error)
{
	AUTO(cursor) cursor = cursor_open(out, "PRAGMA main.foreign_key_check", error);
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

static bool copy_all(struct merge *m, GError **error)
{
	for (guint i = 0; i < m->tables->len; i++)
		if (!find_offset(m, g_ptr_array_index(m->tables, i), error))
			return false;
	for (guint i = 0; i < m->tables->len; i++)
		if (!copy_table(m, g_ptr_array_index(m->tables, i), error))
			return false;
	for (guint i = 0; i < m->tables->len; i++)
		if (!check_copied(m, g_ptr_array_index(m->tables, i), error))
			return false;
	return true;
}

static bool add(struct store *out, const char *path, const char *only, bool replace, struct merge_result *result, GError **error)
{
	struct merge m = { .out = out, .tables = g_ptr_array_new_with_free_func(merged_table_free), .only = only };
	bool ok;

	*result = (struct merge_result){ 0 };
	if (!store_attach(out, path, error)) {
		g_ptr_array_unref(m.tables);
		return false;
	}
	ok = check_schema(out, error) && read_dumps(&m, error) && make_room(&m, replace, error) && store_begin(out, error);
	ok = ok && choose_dumps(&m, result, error) && look_at_tables(&m, error) && adopt(&m, error) && copy_all(&m, error) && store_commit(out, error);
	if (!ok)
		store_rollback(out);
	result->lost = m.lost;
	g_ptr_array_unref(m.tables);
	store_detach(out);
	if (!ok)
		g_prefix_error(error, "%s: ", path);
	return ok;
}

bool merge_add(struct store *out, const char *path, struct merge_result *result, GError **error)
{
	return add(out, path, NULL, false, result, error);
}

bool merge_add_one(struct store *out, const char *path, const char *only, bool replace, struct merge_result *result, GError **error)
{
	return add(out, path, only, replace, result, error);
}
