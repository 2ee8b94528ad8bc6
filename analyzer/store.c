/* SPDX-License-Identifier: Apache-2.0 */
#include "store_private.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "core_tables.h"
#include "limit.h"
#include "pipeline.h"

/* How long a case that others may read waits for them. */
#define SHARED_BUSY_MS 60000

bool store_fail(struct store *store, const char *what, GError **error)
{
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s: %s", store->path, what, sqlite3_errmsg(store->db));
	return false;
}

bool store_script(struct store *store, const char *sql, GError **error)
{
	char *message = NULL;

	if (sqlite3_exec(store->db, sql, NULL, NULL, &message) == SQLITE_OK)
		return true;
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s", store->path, message ? message : sqlite3_errmsg(store->db));
	sqlite3_free(message);
	return false;
}

static struct store *open_db(const char *path, int flags, GError **error)
{
	/* SQLite has names that mean no file (none, ":memory:") or not the one of that name ("file:…"): an analysis would be lost in them. */
	g_autofree char *file = g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(".", path, NULL);
	const char *what = g_file_test(path, G_FILE_TEST_IS_DIR) ? "is a directory, a case is a file" : !*path ? "a case has a name" :
		/* A pipe would be waited for. */
		g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR) ? "is no regular file, a case is one" : NULL;

	if (what) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s", *path ? path : "''", what);
		return NULL;
	}
	if (!store_check_beside(path, error))
		return NULL;
	struct store *store = g_new0(struct store, 1);
	store->path = g_strdup(path);
	store->tables = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, store_table_free);
	store->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	store->repeats = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, store_repeat_free);
	if (sqlite3_open_v2(file, &store->db, flags, NULL) != SQLITE_OK) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: can't be opened as a case: %s", path,
			    store->db ? sqlite3_errmsg(store->db) : "no memory");
		store_close(store);
		return NULL;
	}
	sqlite3_busy_timeout(store->db, 2000);
	sqlite3_extended_result_codes(store->db, 1);
	/* A case may come from elsewhere: its views get no function that does more than compute, and triggers, of which we make none, don't run. */
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return store;
}

/* A case of ours, or an empty file that may become one? */
static bool check_case(struct store *store, bool *empty, GError **error)
{
	g_autofree char *id = store_value(store, "SELECT application_id FROM pragma_application_id", NULL);
	g_autofree char *version = store_value(store, "SELECT user_version FROM pragma_user_version", NULL);
	g_autofree char *any = store_value(store, "SELECT count(*) FROM sqlite_schema", NULL);

	if (!id || !version || !any) {
		int code = sqlite3_errcode(store->db);
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s%s", store->path,
			    code == SQLITE_BUSY ? "is being written by another program: " : code == SQLITE_NOTADB ? "is no case file: " :
			    "can't be read as a case: ", sqlite3_errmsg(store->db));
		return false;
	}
	*empty = !strcmp(any, "0") && !strcmp(id, "0");
	if (*empty)
		return true;
	if (g_ascii_strtoll(id, NULL, 10) != STORE_APPLICATION_ID) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: is a database, but no memsieve case", store->path);
		return false;
	}
	if (g_ascii_strtoll(version, NULL, 10) > STORE_VERSION) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: was made by a newer memsieve (schema %s, this one knows %d)",
			    store->path, version, STORE_VERSION);
		return false;
	}
	return true;
}

/* Hostile tables make sorts and texts large: the library fails such a query before it takes much memory. */
static void bound_memory(struct store *store)
{
	sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, 64 << 20);
	sqlite3_hard_heap_limit64((sqlite3_int64)limit(query_memory));
}

static bool bound(struct store *store, GError **error)
{
	g_autofree char *page = store_value(store, "SELECT page_size FROM pragma_page_size", NULL);
	gint64 size = page ? MAX(g_ascii_strtoll(page, NULL, 10), 512) : 4096;
	g_autofree char *sql = g_strdup_printf("PRAGMA max_page_count=%" G_GUINT64_FORMAT,
					       CLAMP(limit(case_bytes) / (guint64)size, 1, 4294967294u));

	bound_memory(store);
	return store_script(store, sql, error);
}

/* Two may come at once: one of them makes it. */
static bool make(const char *path)
{
	int fd = *path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

struct store *store_open(const char *path, bool *created, GError **error)
{
	if (!store_check_beside(path, error))	/* before anything is made there */
		return NULL;
	bool made = make(path), empty = false, locked = false;
	/* URIs are for store_attach(): no path of open_db's is one. */
	struct store *store = open_db(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_URI, error);

	if (!store)
		return NULL;
	g_autofree char *setup = g_strdup_printf("PRAGMA application_id=%d; PRAGMA user_version=%d;",
						 STORE_APPLICATION_ID, STORE_VERSION);
	/* EXCLUSIVE: one run a case; it also spares a file lock round each statement. */
	bool ok = store_script(store, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA foreign_keys=OFF; PRAGMA synchronous=NORMAL;"
		       "PRAGMA cache_size=-16000; PRAGMA temp_store=MEMORY;", error) &&
		  bound(store, error) &&
		  check_case(store, &empty, error) && (empty || store_check_schema(store, error)) &&
		  /* One transaction up to the run's own row: who is killed before it leaves no half-made case. */
		  store_begin(store, error) && (locked = true) && (!empty || store_script(store, setup, error));
	for (const struct table *const *t = core_tables; ok && *t; t++)
		ok = store_declare(store, *t, error);
	if (!ok) {
		store_rollback(store);
		/* While it is locked: unlocked it may be somebody else's at once. */
		if (made && locked)
			unlink(path);
		store_close(store);
		return NULL;
	}
	if (created)
		*created = made;
	return store;
}

gint64 store_processor_time(void)
{
	struct timespec now = { 0 };

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (gint64)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static uint64_t size_of(const char *path)
{
	struct stat st;

	return !stat(path, &st) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

uint64_t store_read_seconds(const char *path)
{
	return limit_for(read_seconds, size_of(path));
}

uint64_t store_read_bytes(const char *path)
{
	const uint64_t size = MAX(size_of(path), 1);

	return limit(read_bytes) + MIN(limit(read_bytes_ratio), INT64_MAX / size) * size;
}

static int read_over(void *user)
{
	const struct store *store = user;

	return pipeline_interrupted || store_processor_time() > store->step_end;
}

/* Who wrote the case may have made tables of it that never end. */
static void watch(struct store *store)
{
	if (store->read_end)
		sqlite3_progress_handler(store->db, 10000, read_over, store);
	else
		sqlite3_progress_handler(store->db, 0, NULL, NULL);
}

void store_unbounded(struct store *store)
{
	store->read_end = store->step_end = G_MAXINT64;
}

static struct store *open_to_read(const char *path, GError **error)
{
	struct store *store = open_db(path, SQLITE_OPEN_READONLY, error);

	if (store) {
		bound_memory(store);
		store->read_end = store->step_end = store_processor_time() + (gint64)MIN(store_read_seconds(path), 1u << 30) * G_USEC_PER_SEC;
		watch(store);
	}
	return store;
}

/* Whoever wrote the case was killed within a transaction: SQLite undoes it for the first that may write. */
static void undo_what_was_killed(const char *path)
{
	struct store *store = open_db(path, SQLITE_OPEN_READWRITE, NULL);

	if (store)
		g_free(store_value(store, "SELECT count(*) FROM sqlite_schema", NULL));
	store_close(store);
}

struct store *store_open_readonly(const char *path, GError **error)
{
	bool empty = false;
	struct store *store = open_to_read(path, error);

	if (store) {
		g_free(store_value(store, "SELECT count(*) FROM sqlite_schema", NULL));
		if (sqlite3_extended_errcode(store->db) == SQLITE_READONLY_ROLLBACK) {
			store_close(store);
			undo_what_was_killed(path);
			store = open_to_read(path, error);
		}
	}
	if (store && (!check_case(store, &empty, error) || empty || !store_check_schema(store, error))) {
		if (empty)
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: is an empty file, no case", path);
		store_close(store);
		return NULL;
	}
	return store;
}

bool store_share(struct store *store, GError **error)
{
	sqlite3_busy_timeout(store->db, SHARED_BUSY_MS);
	return store_script(store, "PRAGMA locking_mode=NORMAL", error);
}

void store_close(struct store *store)
{
	if (!store)
		return;
	sqlite3_finalize(store->diagnose);
	g_hash_table_destroy(store->tables);
	g_hash_table_destroy(store->by_name);
	g_hash_table_destroy(store->repeats);
	sqlite3_close(store->db);
	g_free(store->path);
	g_free(store);
}

static const char *sql_type(enum column_type type)
{
	switch (type) {
	case COL_TIME: case COL_TEXT: case COL_JSON:
		return "TEXT";
	case COL_BLOB:
		return "BLOB";
	case COL_REAL:
		return "REAL";
	default:
		return "INTEGER";
	}
}

static const struct column *find_type(const struct table *table, enum column_type type)
{
	for (const struct column *c = table->columns; c->type != COL_END; c++)
		if (c->type == type)
			return c;
	return NULL;
}

/* A column's definition; `fresh`: of a table being made, else added to one that has rows. */
static void append_column(struct store *store, GString *sql, const struct column *c, bool fresh)
{
	const struct table *ref = c->ref ? g_hash_table_lookup(store->by_name, c->ref) : NULL;

	g_string_append_printf(sql, "\"%s\" %s", c->name, sql_type(c->type));
	if (c->type == COL_DUMP)
		g_string_append_printf(sql, "%s REFERENCES dumps(dump_id) ON DELETE CASCADE", fresh ? " NOT NULL" : "");
	else if (c->type == COL_PROCESS)
		g_string_append(sql, " REFERENCES processes(process_id) ON DELETE CASCADE");
	else if (c->type == COL_REF && ref)
		g_string_append_printf(sql, " REFERENCES \"%s\"(%s) ON DELETE CASCADE", ref->name, ref->key);
}

static bool create_table(struct store *store, const struct table *table, GError **error)
{
	g_autoptr(GString) sql = g_string_new(NULL);
	const char *comma = "";

	g_string_append_printf(sql, "CREATE TABLE IF NOT EXISTS \"%s\"(", table->name);
	if (table->key) {
		g_string_append_printf(sql, "%s INTEGER PRIMARY KEY", table->key);
		comma = ", ";
	}
	for (const struct column *c = table->columns; c->type != COL_END; c++, comma = ", ") {
		g_string_append(sql, comma);
		append_column(store, sql, c, true);
	}
	g_string_append(sql, ") STRICT;");
	return store_script(store, sql->str, error);
}

static bool create_indices(struct store *store, const struct table *table, GError **error)
{
	g_autoptr(GString) sql = g_string_new(NULL);

	for (const struct column *c = table->columns; c->type != COL_END; c++)
		if (c->type == COL_DUMP || c->type == COL_PROCESS || c->type == COL_REF)
			g_string_append_printf(sql, "CREATE INDEX IF NOT EXISTS \"i_%s_%s\" ON \"%s\"(\"%s\");", table->name,
					       c->name, table->name, c->name);
	for (const char *const *i = table->indices; i && *i; i++) {
		g_autofree char *name = g_strdelimit(g_strdup(*i), ", ", '_');
		g_string_append_printf(sql, "CREATE INDEX IF NOT EXISTS \"i_%s_%s\" ON \"%s\"(%s);", table->name, name,
				       table->name, *i);
	}
	return store_script(store, sql->str, error);
}

/* v_<table>: addresses as 0x… text, with the process's name and pid and the dump's path. */
bool store_make_view(struct store *store, const struct table *table, bool temporary, GError **error)
{
	g_autoptr(GString) sql = g_string_new(NULL), joins = g_string_new(NULL);
	const struct column *process = find_type(table, COL_PROCESS), *dump = find_type(table, COL_DUMP), *ref = NULL;
	const struct table *parent = NULL;
	const char *comma = "", *process_of = NULL;
	g_autofree char *dump_of = dump ? g_strconcat("t.", dump->name, NULL) : NULL;

	if (process)
		process_of = "t.process_id";
	if (!process && !dump)
		for (const struct column *c = table->columns; c->type != COL_END && !parent; c++)
			if (c->type == COL_REF) {
				ref = c;
				parent = g_hash_table_lookup(store->by_name, c->ref);
			}
	g_string_append_printf(sql, "CREATE %sVIEW IF NOT EXISTS \"v_%s\" AS SELECT ", temporary ? "TEMP " : "", table->name);
	if (table->key) {
		g_string_append_printf(sql, "t.%s", table->key);
		comma = ", ";
	}
	for (const struct column *c = table->columns; c->type != COL_END; c++, comma = ", ")
		if (c->type == COL_ADDRESS)
			g_string_append_printf(sql, "%s" STORE_ADDRESS_AS_TEXT, comma, c->name, c->name, c->name);
		else
			g_string_append_printf(sql, "%st.\"%s\"", comma, c->name);
	if (parent) {
		g_string_append_printf(joins, " LEFT JOIN \"%s\" r ON r.%s = t.\"%s\"", parent->name, parent->key, ref->name);
		process_of = find_type(parent, COL_PROCESS) ? "r.process_id" : NULL;
		dump = find_type(parent, COL_DUMP);
		dump_of = dump ? g_strconcat("r.", dump->name, NULL) : NULL;
	}
	if (process_of) {
		g_string_append(sql, ", p.name AS process_name, p.pid AS process_pid");
		g_string_append_printf(joins, " LEFT JOIN processes p ON p.process_id = %s", process_of);
		if (!dump_of)
			dump_of = g_strdup("p.dump_id");
	}
	if (dump_of && strcmp(table->name, "dumps")) {
		g_string_append(sql, ", d.path AS dump_path");
		g_string_append_printf(joins, " LEFT JOIN dumps d ON d.dump_id = %s", dump_of);
	}
	g_string_append_printf(sql, " FROM \"%s\" t%s", table->name, joins->str);
	return store_script(store, sql->str, error);
}

char *store_dump_of_row(struct store *store, const struct table *table)
{
	const struct column *process = find_type(table, COL_PROCESS);

	if (!process || !store_has_column(store, table->name, process->name) || !store_has_column(store, "processes", "process_id") ||
	    !store_has_column(store, "processes", "dump_id"))
		return NULL;
	return g_strdup_printf("coalesce((SELECT p.dump_id FROM main.processes p WHERE p.process_id = t.\"%s\"), (SELECT max(dump_id) FROM main.dumps"
			       " WHERE (SELECT count(*) FROM main.dumps) = 1))", process->name);
}

static bool fill_dump(struct store *store, const struct table *table, const struct column *dump, GError **error)
{
	g_autofree char *of_row = store_dump_of_row(store, table);
	g_autofree char *sql = of_row ? g_strdup_printf("UPDATE \"%s\" AS t SET \"%s\" = %s", table->name, dump->name, of_row) : NULL;

	return !sql || store_script(store, sql, error);
}

/* A case made by an older memsieve may lack columns that came since. */
static bool add_columns(struct store *store, const struct table *table, GError **error)
{
	for (const struct column *c = table->columns; c->type != COL_END; c++) {
		g_autofree char *known = store_value(store, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", table->name, c->name, NULL);
		if (known)
			continue;
		g_autoptr(GString) sql = g_string_new(NULL);
		g_string_append_printf(sql, "DROP VIEW IF EXISTS \"v_%s\"; ALTER TABLE \"%s\" ADD COLUMN ", table->name, table->name);
		append_column(store, sql, c, false);
		if (!store_script(store, sql->str, error) || (c->type == COL_DUMP && !fill_dump(store, table, c, error)))
			return false;
	}
	return true;
}

bool store_declare(struct store *store, const struct table *table, GError **error)
{
	if (g_hash_table_contains(store->tables, table))
		return true;
	g_hash_table_insert(store->by_name, (void *)table->name, (void *)table);
	g_hash_table_insert(store->tables, (void *)table, store_table_new());
	store->timeline_stale = true;
	return create_table(store, table, error) && add_columns(store, table, error) && create_indices(store, table, error) &&
	       store_make_view(store, table, false, error);
}

bool store_begin(struct store *store, GError **error)
{
	return sqlite3_get_autocommit(store->db) ? store_script(store, "BEGIN IMMEDIATE", error) : true;
}

/* Foreign keys are looked at only while dumps are removed: all other rows are made to fit. Outside a transaction. */
static bool cascade(struct store *store, bool on, GError **error)
{
	if (store->cascades == on)
		return true;
	store->cascades = on;
	return store_script(store, on ? "PRAGMA foreign_keys=ON" : "PRAGMA foreign_keys=OFF", error);
}

bool store_commit(struct store *store, GError **error)
{
	if (sqlite3_get_autocommit(store->db))
		return true;
	return (!store->timeline_stale || store_make_timeline(store, error)) && store_script(store, "COMMIT", error) &&
	       cascade(store, false, error);
}

void store_rollback(struct store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	(void)cascade(store, false, NULL);
}

static sqlite3_stmt *prepare(struct store *store, const char *sql, va_list ap)
{
	sqlite3_stmt *stmt = NULL;
	const char *value;

	if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return NULL;
	for (int i = 1; (value = va_arg(ap, const char *)); i++)
		sqlite3_bind_text(stmt, i, value, -1, SQLITE_TRANSIENT);
	return stmt;
}

bool store_exec(struct store *store, GError **error, const char *sql, ...)
{
	va_list ap;

	va_start(ap, sql);
	sqlite3_stmt *stmt = prepare(store, sql, ap);
	va_end(ap);
	int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
	bool ok = rc == SQLITE_DONE || rc == SQLITE_ROW || store_fail(store, "can't write", error);
	sqlite3_finalize(stmt);
	return ok;
}

char *store_value(struct store *store, const char *sql, ...)
{
	va_list ap;
	char *value = NULL;

	va_start(ap, sql);
	sqlite3_stmt *stmt = prepare(store, sql, ap);
	va_end(ap);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		value = g_strdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	return value;
}

/* A query looks at tables and computes: it ends no transaction, attaches no file, sets nothing. */
static int authorize(void *user, int action, const char *a, const char *b, const char *database, const char *trigger)
{
	(void)user, (void)a, (void)database, (void)trigger;
	if (action == SQLITE_FUNCTION)
		return b && !sqlite3_stricmp(b, "load_extension") ? SQLITE_DENY : SQLITE_OK;
	return action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE ? SQLITE_OK : SQLITE_DENY;
}

static sqlite3_stmt *prepare_query(struct store *store, const char *sql, GError **error)
{
	sqlite3_stmt *stmt = NULL, *more = NULL;
	const char *rest = NULL;

	sqlite3_set_authorizer(store->db, authorize, NULL);
	int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, &rest);
	if (rc == SQLITE_OK && stmt && !sqlite3_column_count(stmt)) {	/* VACUUM, which asks no authorizer */
		sqlite3_finalize(stmt);
		stmt = NULL;
	}
	if (rc == SQLITE_OK && stmt && sqlite3_prepare_v2(store->db, rest, -1, &more, NULL) == SQLITE_OK && !more) {
		sqlite3_set_authorizer(store->db, NULL, NULL);
		return stmt;
	}
	if (rc == SQLITE_AUTH)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "only a SELECT is allowed");
	else if (rc == SQLITE_OK)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, stmt ? "one SELECT is allowed, more follows it" : "there is no SELECT");
	else
		store_fail(store, "query", error);
	sqlite3_set_authorizer(store->db, NULL, NULL);
	sqlite3_finalize(stmt);
	sqlite3_finalize(more);
	return NULL;
}

/* Not zero: the query has taken too long, or the user wants to end. */
static int query_over(void *user)
{
	const struct store *store = user;

	return pipeline_interrupted || g_get_monotonic_time() > store->query_deadline;
}

void store_query_most(struct store *store, gint64 most)
{
	store->query_most = MAX(most, 1);
}

bool store_query(struct store *store, const char *sql, int64_t dump_id, store_row_fn each, void *user, GError **error)
{
	sqlite3_stmt *stmt = NULL;
	bool inside = !sqlite3_get_autocommit(store->db);
	gint64 most = (gint64)MIN(limit(rule_seconds), 1u << 30) * G_USEC_PER_SEC;

	/* SQLite undoes a transaction in which a query, even one that only reads, runs out of memory. */
	if (inside && (!store_commit(store, error) || !store_begin(store, error)))
		return false;
	if (!(stmt = prepare_query(store, sql, error)))
		return false;
	if (store->query_most)
		most = MIN(most, store->query_most);
	store->query_deadline = g_get_monotonic_time() + most;
	/* Often: a step may compute with texts of 100 KiB. */
	sqlite3_progress_handler(store->db, 1000, query_over, store);
	int parameter = sqlite3_bind_parameter_index(stmt, ":dump_id");
	if (parameter)
		sqlite3_bind_int64(stmt, parameter, dump_id);
	int n = sqlite3_column_count(stmt), rc;
	g_autofree const char **names = g_new0(const char *, n), **values = g_new0(const char *, n);
	for (int i = 0; i < n; i++)
		names[i] = sqlite3_column_name(stmt, i);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (int i = 0; i < n; i++)
			values[i] = (const char *)sqlite3_column_text(stmt, i);
		if (!each(user, n, names, values)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	bool ok = rc == SQLITE_DONE;
	if ((rc & 0xff) == SQLITE_INTERRUPT && !pipeline_interrupted)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_TIMEOUT, "takes more than %.3g s", (double)most / G_USEC_PER_SEC);
	else if ((rc & 0xff) == SQLITE_NOMEM)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT, "takes more than the %" G_GUINT64_FORMAT " bytes of memory that there are for it",
			    limit(query_memory));
	else if (!ok)
		store_fail(store, "query", error);
	watch(store);
	sqlite3_finalize(stmt);
	if (inside && !store_begin(store, ok ? error : NULL))
		return false;
	return ok;
}

int64_t store_find_dump(struct store *store, uint64_t size, const char *sha256)
{
	sqlite3_stmt *stmt = NULL;
	int64_t id = 0;

	if (sqlite3_prepare_v2(store->db, "SELECT dump_id FROM dumps WHERE (?1 = 0 OR size = ?1) AND (?2 IS NULL OR sha256 = ?2)"
			       " ORDER BY dump_id", -1, &stmt, NULL) != SQLITE_OK)
		return 0;
	sqlite3_bind_int64(stmt, 1, (int64_t)size);
	if (sha256)
		sqlite3_bind_text(stmt, 2, sha256, -1, SQLITE_TRANSIENT);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		id = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return id;
}

bool store_remove_dump(struct store *store, int64_t dump_id, GError **error)
{
	g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, dump_id);

	/* Foreign keys cascade, so that tables this version doesn't know go too. What is added with it may come in any order. */
	if (!store->cascades && (!store_commit(store, error) || !cascade(store, true, error)))
		return false;
	return store_begin(store, error) && store_script(store, "PRAGMA defer_foreign_keys=ON", error) &&
	       store_exec(store, error, "DELETE FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id, NULL);
}

const char *store_library_version(void)
{
	return sqlite3_libversion();
}
