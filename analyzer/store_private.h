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
	unsigned batch;		/* number of store_write calls */
	bool cascades;		/* foreign keys are enforced: a dump is being removed */
	bool timeline_stale;	/* tables were declared since the view was made */
};

/* *error from SQLite's own message; always false. */
bool store_fail(struct store *store, const char *what, GError **error);
/* Run one statement or several. */
bool store_script(struct store *store, const char *sql, GError **error);
/* The view `timeline` over the tables that are there: store_timeline.c. */
char *store_timeline_sql(struct store *store, const char *create);
bool store_make_timeline(struct store *store, GError **error);
#endif
