/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a case: rows and their ids, and what could not be had of them. */
#include "store_private.h"
#include "limit.h"

struct table_state {
	sqlite3_stmt *insert;
	int64_t next, base;
	unsigned batch;		/* the store's when the two below were set */
	int64_t first, end;	/* id of ordinal 0, and past the last row, of the rows at hand */
};

struct repeat {
	guint order;		/* of the first of them */
	int64_t seen;
	char *table, *column, *message;
	enum fault fault;
	int64_t process_id, row_id;	/* row_id: of the last */
	uint64_t at;
};

void *store_table_new(void)
{
	return g_new0(struct table_state, 1);
}

void store_table_free(void *data)
{
	struct table_state *state = data;

	sqlite3_finalize(state->insert);
	g_free(state);
}

void store_repeat_free(void *data)
{
	struct repeat *r = data;

	g_free(r->table);
	g_free(r->column);
	g_free(r->message);
	g_free(r);
}

void store_set_dump(struct store *store, int64_t dump_id)
{
	store->dump_id = dump_id;
}

static struct table_state *state_of(struct store *store, const struct table *table)
{
	struct table_state *state = g_hash_table_lookup(store->tables, table);

	g_assert(state);
	if (table->key && !state->next) {
		g_autofree char *sql = g_strdup_printf("SELECT coalesce(max(%s), 0) + 1 FROM \"%s\"", table->key, table->name);
		g_autofree char *next = store_value(store, sql, NULL);
		state->next = next ? g_ascii_strtoll(next, NULL, 10) : 1;
		state->base = state->next;
	}
	return state;
}

int64_t store_next_id(struct store *store, const struct table *table)
{
	return state_of(store, table)->next;
}

void store_mark_base(struct store *store, const struct table *table)
{
	struct table_state *state = state_of(store, table);

	state->base = state->next;
}

static sqlite3_stmt *insert_statement(struct store *store, const struct table *table, struct table_state *state)
{
	if (!state->insert) {
		g_autoptr(GString) sql = g_string_new(NULL);
		unsigned n = table_columns(table) + (table->key ? 1 : 0);
		g_string_append_printf(sql, "INSERT INTO \"%s\"(", table->name);
		if (table->key)
			g_string_append(sql, table->key);
		for (unsigned i = 0; i < table_columns(table); i++)
			g_string_append_printf(sql, "%s\"%s\"", i || table->key ? ", " : "", table->columns[i].name);
		g_string_append(sql, ") VALUES (");
		for (unsigned i = 0; i < n; i++)
			g_string_append_printf(sql, "%s?%u", i ? ", " : "", i + 1);
		g_string_append(sql, ")");
		sqlite3_prepare_v3(store->db, sql->str, -1, SQLITE_PREPARE_PERSISTENT, &state->insert, NULL);
	}
	return state->insert;
}

/* The id of the row that a reference means; 0: no such row is written. */
static int64_t target_of(struct store *store, const struct process *process, const char *table, int64_t ordinal)
{
	const struct table *t = g_hash_table_lookup(store->by_name, table);

	if (!t || ordinal < 0)
		return 0;
	const struct table_state *state = state_of(store, t);
	if (process && process->bases) {	/* none of it: its rows were lost with the plugin that was to make them */
		const struct row_base *own = g_hash_table_lookup(process->bases, t->name);
		return own && ordinal < own->count ? own->first + ordinal : 0;
	}
	int64_t end = state->batch == store->batch ? state->end : state->next;
	return ordinal < end - state->base ? state->base + ordinal : 0;
}

static int bind_cell(struct store *store, sqlite3_stmt *stmt, int at, const struct row *row, unsigned i)
{
	const struct cell *c = &row->cells[i];
	enum column_type type = row->table->columns[i].type;

	if (c->kind == CELL_NULL && type == COL_DUMP)
		return sqlite3_bind_int64(stmt, at, store->dump_id);
	if (c->kind == CELL_NULL && type == COL_PROCESS && row->process)
		return sqlite3_bind_int64(stmt, at, row->process->id);
	switch (c->kind) {
	case CELL_INT:
		return sqlite3_bind_int64(stmt, at, c->i);
	case CELL_REAL:
		return sqlite3_bind_double(stmt, at, c->real);
	case CELL_TEXT:
		return sqlite3_bind_text(stmt, at, c->text, -1, SQLITE_STATIC);
	case CELL_BLOB:
		return sqlite3_bind_blob(stmt, at, g_bytes_get_data(c->blob, NULL), (int)g_bytes_get_size(c->blob), SQLITE_STATIC);
	case CELL_REF: {
		int64_t id = target_of(store, c->of ? c->of : row->process, row->table->columns[i].ref, c->i);
		return id ? sqlite3_bind_int64(stmt, at, id) : sqlite3_bind_null(stmt, at);
	}
	default:
		return sqlite3_bind_null(stmt, at);
	}
}

static bool write_row(struct store *store, const struct row *row, int64_t *id, GError **error)
{
	struct table_state *state = state_of(store, row->table);
	sqlite3_stmt *stmt = insert_statement(store, row->table, state);
	int at = 1, rc = stmt ? SQLITE_OK : SQLITE_ERROR;

	if (stmt && row->table->key)
		rc = sqlite3_bind_int64(stmt, at++, state->next++);
	for (unsigned i = 0; i < row->n && rc == SQLITE_OK; i++)
		rc = bind_cell(store, stmt, at++, row, i);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	bool ok = rc == SQLITE_DONE || store_fail(store, row->table->name, error);
	*id = sqlite3_last_insert_rowid(store->db);
	sqlite3_reset(stmt);
	return ok;
}

static bool diagnose(struct store *store, const char *plugin, const char *table, int64_t row_id, const char *column,
		     enum fault fault, uint64_t at, const struct process *process, const char *message,
		     int64_t occurrences, int64_t process_id, GError **error)
{
	if (!store->diagnose &&
	    sqlite3_prepare_v3(store->db, "INSERT INTO diagnostics(dump_id, plugin, table_name, row_id, column_name, fault, "
			       "address, process_id, message, occurrences) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)", -1,
			       SQLITE_PREPARE_PERSISTENT, &store->diagnose, NULL) != SQLITE_OK)
		return store_fail(store, "diagnostics", error);
	sqlite3_stmt *s = store->diagnose;
	sqlite3_clear_bindings(s);
	sqlite3_bind_int64(s, 1, store->dump_id);
	sqlite3_bind_text(s, 2, plugin, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 3, table, -1, SQLITE_STATIC);
	if (row_id)
		sqlite3_bind_int64(s, 4, row_id);
	sqlite3_bind_text(s, 5, column, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 6, fault_name(fault), -1, SQLITE_STATIC);
	if (at)
		sqlite3_bind_int64(s, 7, (int64_t)at);
	if (process || process_id)
		sqlite3_bind_int64(s, 8, process ? process->id : process_id);
	sqlite3_bind_text(s, 9, message, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 10, occurrences);
	int rc = sqlite3_step(s);
	sqlite3_reset(s);
	return rc == SQLITE_DONE || store_fail(store, "diagnostics", error);
}

/* Count a diagnostic; true when it is to be written on its own. */
static bool first_few(struct store *store, const char *table, int64_t row_id, const char *column, enum fault fault, uint64_t at,
		      const struct process *process, const char *message)
{
	g_autofree char *key = g_strdup_printf("%s|%s|%d|%" G_GINT64_FORMAT "|%s", table ? table : "", column ? column : "",
					       fault, process ? process->id : 0, column ? "" : message);
	struct repeat *r = g_hash_table_lookup(store->repeats, key);

	if (!r) {
		r = g_new0(struct repeat, 1);
		r->order = g_hash_table_size(store->repeats);
		r->table = g_strdup(table);
		r->column = g_strdup(column);
		r->message = g_strdup(message);
		r->fault = fault;
		r->process_id = process ? process->id : 0;
		g_hash_table_insert(store->repeats, g_steal_pointer(&key), r);
	}
	r->at = at;
	r->row_id = row_id;
	return r->seen++ < (int64_t)limit(diagnostics_alike);
}

/* Which ids the rows will have: references to them may be written before them. */
static void number(struct store *store, const struct rows *rows)
{
	store->batch++;
	for (guint i = 0; i < rows->rows->len; i++) {
		const struct row *row = g_ptr_array_index(rows->rows, i);
		if (!row->table->key)
			continue;
		struct table_state *state = state_of(store, row->table);
		if (state->batch != store->batch) {
			state->batch = store->batch;
			state->end = state->next;
			state->first = state->next - row->ordinal;
		}
		state->end++;
		GHashTable *bases = row->process ? row->process->bases : NULL;
		if (!bases)
			continue;
		struct row_base *base = g_hash_table_lookup(bases, row->table->name);
		if (!base) {
			base = g_new(struct row_base, 1);
			base->first = state->first;
			g_hash_table_insert(bases, (void *)row->table->name, base);
		}
		base->count = state->end - base->first;
	}
}

bool store_write(struct store *store, struct rows *rows, const char *plugin, int64_t *written, int64_t faults[FAULTS], GError **error)
{
	number(store, rows);
	for (guint i = 0; i < rows->rows->len; i++) {
		const struct row *row = g_ptr_array_index(rows->rows, i);
		int64_t id;
		if (!write_row(store, row, &id, error))
			return false;
		for (guint f = 0; row->faults && f < row->faults->len; f++) {
			const struct row_fault *rf = &g_array_index(row->faults, struct row_fault, f);
			const char *column = rf->column >= 0 ? row->table->columns[rf->column].name : NULL;
			faults[rf->fault]++;
			if (first_few(store, row->table->name, id, column, rf->fault, rf->at.v, row->process, rf->what) &&
			    !diagnose(store, plugin, row->table->name, id, column, rf->fault, rf->at.v, row->process, rf->what, 1, 0, error))
				return false;
		}
		++*written;
	}
	for (guint i = 0; i < rows->notes->len; i++) {
		const struct note *note = g_ptr_array_index(rows->notes, i);
		faults[note->fault]++;
		if (first_few(store, note->table, 0, NULL, note->fault, note->at.v, note->process, note->message) &&
		    !diagnose(store, plugin, note->table, 0, NULL, note->fault, note->at.v, note->process, note->message, 1, 0, error))
			return false;
	}
	rows_clear(rows);
	return true;
}

static int compare_repeats(const void *a, const void *b)
{
	const struct repeat *x = *(const struct repeat *const *)a, *y = *(const struct repeat *const *)b;

	return (x->order > y->order) - (x->order < y->order);
}

bool store_end_plugin(struct store *store, const char *plugin, GError **error)
{
	g_autofree struct repeat **repeats = g_new(struct repeat *, g_hash_table_size(store->repeats) + 1);
	GHashTableIter iter;
	guint n = 0;
	bool ok = true;

	g_hash_table_iter_init(&iter, store->repeats);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&repeats[n]))
		n++;
	/* As they came: neither a hash's order nor one by process_id is the same in every case. */
	qsort(repeats, n, sizeof(*repeats), compare_repeats);
	for (guint i = 0; i < n && ok; i++) {
		const struct repeat *r = repeats[i];
		if (r->seen > (int64_t)limit(diagnostics_alike))
			ok = diagnose(store, plugin, r->table, r->row_id, r->column, r->fault, r->at, NULL, r->message,
				      r->seen - (int64_t)limit(diagnostics_alike), r->process_id, error);
	}
	g_hash_table_remove_all(store->repeats);
	return ok;
}
