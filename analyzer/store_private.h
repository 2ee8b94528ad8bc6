/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the store share; for analyzer/store*.c alone. */
#ifndef MEMSIEVE_STORE_PRIVATE_H
#define MEMSIEVE_STORE_PRIVATE_H
#include <sqlite3.h>
#include "store.h"

struct store {
	sqlite3 *db;
	char *path;
	int64_t dump_id;
	GHashTable *tables;	/* const struct table * → struct table_state * */
	GHashTable *by_name;	/* name → const struct table * */
	GHashTable *repeats;	/* key → struct repeat * */
	sqlite3_stmt *diagnose;
	gint64 query_deadline, query_most;	/* most: 0: rule_seconds alone */
	gint64 read_end, step_end;	/* of a case opened for reading: when it and the step at hand must be over, by store_processor_time() */
	unsigned batch;		/* number of store_write calls */
	bool cascades;		/* foreign keys are enforced: a dump is being removed */
	bool timeline_stale;	/* tables were declared since the view was made */
};

/* *error from SQLite's own message; always false. */
bool store_fail(struct store *store, const char *what, GError **error);
/* Has a table of the case itself that column? */
bool store_has_column(struct store *store, const char *table, const char *column);
/* Before a table had a column for its dump, a row's process told whose it is; one of no process is the dump's if the case has only one: that as an
 * expression of a row `t`. The caller frees. NULL: nothing tells. */
char *store_dump_of_row(struct store *store, const struct table *table);
/* Run one statement or several. */
bool store_script(struct store *store, const char *sql, GError **error);
/* What store.tables and store.repeats hold: store_rows.c. */
void *store_table_new(void);
void store_table_free(void *state);
void store_repeat_free(void *repeat);
/* Microseconds that this process has computed. */
gint64 store_processor_time(void);
/* The view v_NAME of a table that is there. */
bool store_make_view(struct store *store, const struct table *table, bool temporary, GError **error);
/* How it shows an address, for printf; the column's name three times. */
#define STORE_ADDRESS_AS_TEXT "iif(t.\"%s\" IS NULL, NULL, printf('0x%%x', t.\"%s\")) AS \"%s\""
/* Is all that bears a name of ours a table, with values in its columns? Else whoever made it has it computed what is read. */
bool store_check_schema(struct store *store, GError **error);
/* The view `timeline` over the tables that are there: store_timeline.c. */
char *store_timeline_sql(struct store *store, const char *create);
bool store_make_timeline(struct store *store, GError **error);
#endif
