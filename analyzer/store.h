/* SPDX-License-Identifier: Apache-2.0 */
/* The case file: the only place that knows SQLite. */
#ifndef MEMSIEVE_STORE_H
#define MEMSIEVE_STORE_H
#include "rows.h"

struct store;

/* PRAGMA application_id: "mSVc"; user_version: of the schema. */
#define STORE_APPLICATION_ID 0x6d535663
#define STORE_VERSION 1

/* Open or make a case, and begin a transaction in it. A file that is there must be a case of ours. *created (may be NULL)
 * says whether it was made now. */
struct store *store_open(const char *path, bool *created, GError **error);
/* Its queries have store_read_seconds(path) together. */
struct store *store_open_readonly(const char *path, GError **error);
/* From now on they have no bound of time: another process has tried them, or ends when it is over. */
void store_unbounded(struct store *store);
void store_close(struct store *store);
DEFINE_AUTO(store, store_close)
/* How long reading a case may take, seconds of processor time, as `limits` says. */
uint64_t store_read_seconds(const char *path);
#define STORE_READ_LIMITS "read_seconds, read_seconds_gib"
/* How large a file may be that is made of a case, and what is sorted for it. */
uint64_t store_read_bytes(const char *path);
/* Are the files beside a case, of which SQLite makes use, such as memsieve leaves? Whoever opens a case asks first. */
bool store_check_beside(const char *path, GError **error);
/* Where a case's journal is, if there is one. The caller frees. */
char *store_journal(const char *path);
/* The folder that reading a case writes to, where its writer was killed or it is in write-ahead logging; else NULL. The caller frees. */
char *store_writes_to(const char *path);
/* Between its transactions others may read the case; it waits for them when it writes. Without it a case is its writer's alone. */
bool store_share(struct store *store, GError **error);
/* Make the table, its indices and its view unless there; once for each table of each plugin. */
bool store_declare(struct store *store, const struct table *table, GError **error);

bool store_begin(struct store *store, GError **error);
bool store_commit(struct store *store, GError **error);
void store_rollback(struct store *store);

/* Is a dump of that size, or with that hash, in the case? 0: no, else its dump_id. sha256 NULL: by size alone;
 * size 0: any. */
int64_t store_find_dump(struct store *store, uint64_t size, const char *sha256);
/* Remove a dump and everything that belongs to it. What was written before is committed first; the removal itself, and what is
 * written after it, is one transaction up to store_commit(): all of it happens, or none. */
bool store_remove_dump(struct store *store, int64_t dump_id, GError **error);

/* What follows is of this dump. */
void store_set_dump(struct store *store, int64_t dump_id);
/* The id the next row of a table with a key gets. */
int64_t store_next_id(struct store *store, const struct table *table);
/* Remember where this dump's rows of a table start: base of references to it. */
void store_mark_base(struct store *store, const struct table *table);
/* Write the rows and their faults; `process` bases are noted in the processes. Adds to *written and to faults[], by enum fault. */
bool store_write(struct store *store, struct rows *rows, const char *plugin, int64_t *written, int64_t faults[FAULTS], GError **error);
/* The diagnostics that were only counted, at the end of a plugin. */
bool store_end_plugin(struct store *store, const char *plugin, GError **error);

/* Run SQL that returns nothing; parameters are bound as text (NULL ends them). */
bool store_exec(struct store *store, GError **error, const char *sql, ...) G_GNUC_NULL_TERMINATED;
/* One value as text; NULL when there is no row (or on error). Parameters as above. */
char *store_value(struct store *store, const char *sql, ...) G_GNUC_NULL_TERMINATED;
/*
 * Each row of a query: n columns as text (NULL for NULL). Stops when `each` returns false. In a transaction: commits what it holds
 * and begins another one, so that a query that fails takes nothing of it along.
 */
typedef bool (*store_row_fn)(void *user, int n, const char *const *names, const char *const *values);
bool store_query(struct store *store, const char *sql, int64_t dump_id, store_row_fn each, void *user, GError **error);
/* No query may take longer than that from now on (microseconds), nor than rule_seconds. */
void store_query_most(struct store *store, gint64 most);

/* A query in progress: one statement, its rows one by one. What a row's functions give lasts until the next row. */
struct cursor;
enum cursor_type { CURSOR_NULL, CURSOR_INT, CURSOR_REAL, CURSOR_TEXT, CURSOR_BLOB };

struct cursor *cursor_open(struct store *store, const char *sql, GError **error);
void cursor_close(struct cursor *cursor);
DEFINE_AUTO(cursor, cursor_close)
/* In a case opened for reading it may take that share of the time that is left: 1: all of it, as it is at first; 4: a quarter; 0: as
 * long as it takes, for who waits for it. */
void cursor_share(struct cursor *cursor, unsigned share);
bool cursor_readonly(const struct cursor *cursor);
/* The n-th parameter's name, without its colon; NULL: no more. */
const char *cursor_parameter(const struct cursor *cursor, int n);
/* By name, without the colon; false when the query has no such parameter. Unbound ones are NULL. */
bool cursor_bind_int(struct cursor *cursor, const char *name, int64_t value);
bool cursor_bind_text(struct cursor *cursor, const char *name, const char *value);
/* False at the end, and on failure: then *error. */
bool cursor_next(struct cursor *cursor, GError **error);
/* Back to before the first row; parameters stay. */
void cursor_rewind(struct cursor *cursor);
int cursor_columns(const struct cursor *cursor);
const char *cursor_name(const struct cursor *cursor, int column);
enum cursor_type cursor_type(const struct cursor *cursor, int column);
int64_t cursor_int(const struct cursor *cursor, int column);
double cursor_real(const struct cursor *cursor, int column);
const char *cursor_text(const struct cursor *cursor, int column);	/* NULL for NULL */
const void *cursor_blob(const struct cursor *cursor, int column, size_t *length);

bool store_has_table(struct store *store, const char *name);
/* For a case opened for reading, made by an older memsieve: a table it lacks is there as an empty one (*absent says so), a
 * column it lacks as NULL. Nothing is written to the case. */
bool store_fill_in(struct store *store, const struct table *table, bool *absent, GError **error);
/* After that: the views, ours, whatever the case has in their place. */
bool store_fill_in_views(struct store *store, GError **error);
bool store_has_view(struct store *store, const char *name);

/* Another case, read-only, as the schema `input` beside this one's `main`; outside a transaction. */
bool store_attach(struct store *store, const char *path, GError **error);
void store_detach(struct store *store);

const char *store_library_version(void);
#endif
