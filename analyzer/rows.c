/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"
#include <string.h>
#include "plugin.h"
#include "text.h"

#define OVERFLOW_ROWS 8192
#define OVERFLOW_BYTES (16u << 20)

unsigned table_columns(const struct table *table)
{
	unsigned n = 0;

	while (n < TABLE_MAX_COLUMNS && table->columns[n].type != COL_END)
		n++;
	return n;
}

int table_column(const struct table *table, const char *name)
{
	for (int i = 0; table && i < TABLE_MAX_COLUMNS && table->columns[i].type != COL_END; i++)
		if (!strcmp(table->columns[i].name, name))
			return i;
	return -1;
}

static void row_free(void *data)
{
	struct row *row = data;

	for (unsigned i = 0; i < row->n; i++) {
		if (row->cells[i].kind == CELL_TEXT)
			g_free(row->cells[i].text);
		else if (row->cells[i].kind == CELL_BLOB)
			g_bytes_unref(row->cells[i].blob);
	}
	for (guint i = 0; row->faults && i < row->faults->len; i++)
		g_free(g_array_index(row->faults, struct row_fault, i).what);
	if (row->faults)
		g_array_free(row->faults, TRUE);
	g_free(row);
}

static void note_free(void *data)
{
	struct note *note = data;

	g_free(note->table);
	g_free(note->message);
	g_free(note);
}

struct rows *rows_create(void)
{
	struct rows *rows = g_new0(struct rows, 1);

	rows->rows = g_ptr_array_new_with_free_func(row_free);
	rows->notes = g_ptr_array_new_with_free_func(note_free);
	rows->counts = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
	return rows;
}

void rows_destroy(struct rows *rows)
{
	if (!rows)
		return;
	g_ptr_array_free(rows->rows, TRUE);
	g_ptr_array_free(rows->notes, TRUE);
	g_hash_table_destroy(rows->counts);
	if (rows->derived)
		g_hash_table_destroy(rows->derived);
	if (rows->dropped)
		row_free(rows->dropped);
	g_free(rows);
}

void rows_clear(struct rows *rows)
{
	g_ptr_array_set_size(rows->rows, 0);
	g_ptr_array_set_size(rows->notes, 0);
	rows->bytes = 0;
}

/* All rows may name the same long text of the dump: a million handles of one object. */
static bool full(struct rows *rows)
{
	rows->full |= rows->byte_limit && rows->bytes > rows->byte_limit;
	return rows->full;
}

static void grow(struct row *row, size_t bytes)
{
	if (row->rows)
		row->rows->bytes += bytes;
}

struct row *rows_add(struct rows *rows, const struct table *table, const struct process *process)
{
	if (rows->overflow && (rows->rows->len >= OVERFLOW_ROWS || rows->bytes >= OVERFLOW_BYTES))
		rows->overflow(rows, rows->user);
	unsigned n = table_columns(table);
	struct row *row = g_malloc0(sizeof(*row) + n * sizeof(struct cell));
	int64_t *count = g_hash_table_lookup(rows->counts, table);
	if (!count) {
		count = g_new0(int64_t, 1);
		g_hash_table_insert(rows->counts, (void *)table, count);
	}
	row->table = table;
	row->process = process;
	row->n = n;
	row->ordinal = (*count)++;
	if ((rows->limit && row->ordinal >= rows->limit) || full(rows)) {
		if (rows->dropped)
			row_free(rows->dropped);
		rows->dropped = row;
		return row;
	}
	row->rows = rows;
	rows->bytes += sizeof(*row) + n * sizeof(struct cell);
	g_ptr_array_add(rows->rows, row);
	return row;
}

static void add_note(struct rows *rows, enum fault fault, va_t at, const struct process *process, const char *table, char *message)
{
	struct note *note = g_new0(struct note, 1);

	*note = (struct note){ fault, at, process, g_strdup(table), message };
	rows->bytes += sizeof(*note) + strlen(message);
	g_ptr_array_add(rows->notes, note);
}

void rows_note(struct rows *rows, enum fault fault, va_t at, const struct process *process, const char *table, char *message)
{
	if (full(rows))
		g_free(message);
	else
		add_note(rows, fault, at, process, table, message);
}

void rows_note_dropped(struct rows *rows, const struct process *process)
{
	if (rows->full)
		add_note(rows, FAULT_LIMIT, (va_t){ 0 }, process, rows->dropped ? rows->dropped->table->name : NULL,
			 g_strdup_printf("more than %" G_GUINT64_FORMAT " bytes of rows: the rest is left out", rows->byte_limit));
	else if (rows->dropped)
		add_note(rows, FAULT_LIMIT, (va_t){ 0 }, process, rows->dropped->table->name,
			 g_strdup_printf("more than %" G_GINT64_FORMAT " rows: the rest is left out", rows->limit));
}

/* Rows that rest on derived fields say so. */
static void mark_derived(struct context *context, struct row *row)
{
	const struct table *table = row->table;
	struct layout *layout = context->kernel ? context->kernel->layout : NULL;
	struct rows *rows = context->rows;
	gpointer known;

	if (!table->rests_on || !layout || layout->source != LAYOUT_DERIVED)
		return;
	if (!rows->derived)
		rows->derived = g_hash_table_new(g_direct_hash, g_direct_equal);
	if (!g_hash_table_lookup_extended(rows->derived, table, NULL, &known)) {
		known = GUINT_TO_POINTER(layout_confidence(layout, table->rests_on));
		g_hash_table_insert(rows->derived, (void *)table, known);
	}
	if (known)
		row_int_named(row, "derived", GPOINTER_TO_UINT(known));
}

struct row *row_new(struct context *context, const struct table *table)
{
	struct row *row = rows_add(context->rows, table, context->process);

	mark_derived(context, row);
	return row;
}

int64_t row_ordinal(const struct row *row)
{
	return row->ordinal;
}

static struct cell *cell(struct row *row, int column)
{
	g_assert(column >= 0 && (unsigned)column < row->n);
	struct cell *c = &row->cells[column];
	if (c->kind == CELL_TEXT)
		g_free(c->text);
	else if (c->kind == CELL_BLOB)
		g_bytes_unref(c->blob);
	c->kind = CELL_NULL;
	return c;
}

void row_int(struct row *row, int column, int64_t value)
{
	struct cell *c = cell(row, column);

	c->kind = CELL_INT;
	c->i = value;
}

void row_address(struct row *row, int column, uint64_t value)
{
	row_int(row, column, (int64_t)value);
}

void row_time(struct row *row, int column, uint64_t filetime)
{
	char *text = text_from_filetime(filetime);
	struct cell *c = cell(row, column);

	if (text) {
		c->kind = CELL_TEXT;
		c->text = text;
	} else if (filetime) {
		row_fault(row, column, FAULT_IMPLAUSIBLE, (va_t){ 0 }, "time past year 9999");
	}
}

void row_text(struct row *row, int column, const char *text)
{
	struct cell *c = cell(row, column);

	if (text) {
		c->kind = CELL_TEXT;
		c->text = g_utf8_make_valid(text, -1);
		grow(row, strlen(c->text));
	}
}

void row_blob(struct row *row, int column, const void *data, size_t length)
{
	struct cell *c = cell(row, column);

	c->kind = CELL_BLOB;
	c->blob = g_bytes_new(data, length);
	grow(row, length);
}

void row_int_named(struct row *row, const char *column, int64_t value)
{
	row_int(row, table_column(row->table, column), value);
}

void row_text_named(struct row *row, const char *column, const char *text)
{
	row_text(row, table_column(row->table, column), text);
}

void row_null(struct row *row, int column)
{
	(void)cell(row, column);
}

void row_real(struct row *row, int column, double value)
{
	struct cell *c = cell(row, column);

	c->kind = CELL_REAL;
	c->real = value;
}

void row_ref(struct row *row, int column, int64_t ordinal)
{
	g_assert(row->table->columns[column].type == COL_REF);
	struct cell *c = cell(row, column);

	c->kind = CELL_REF;
	c->of = NULL;
	c->i = ordinal;
}

void row_ref_of(struct row *row, int column, const struct process *process, int64_t ordinal)
{
	row_ref(row, column, ordinal);
	row->cells[column].of = process;
}

void row_process(struct row *row, const struct process *process)
{
	row->process = process;
}

static void add_fault(struct row *row, int column, enum fault fault, va_t at, const char *what)
{
	struct row_fault f = { column, fault, at, g_strdup(what) };

	if (!row->faults)
		row->faults = g_array_new(FALSE, FALSE, sizeof(struct row_fault));
	g_array_append_val(row->faults, f);
	grow(row, sizeof(f) + (what ? strlen(what) : 0));
}

void row_fault(struct row *row, int column, enum fault fault, va_t at, const char *what)
{
	cell(row, column);
	add_fault(row, column, fault, at, what);
}

void row_note(struct row *row, enum fault fault, va_t at, const char *what)
{
	add_fault(row, -1, fault, at, what);
}

bool row_or_fault(struct row *row, int column, const struct object *object, struct field field, const char *what,
		  void *out, size_t size)
{
	uint64_t value = 0;
	enum fault fault = object_read(object, field, &value, sizeof(value));

	if (!fault && size < 8 && value >> (8 * size))
		fault = FAULT_NO_FIELD;
	if (fault) {
		/* A field this build never had is no loss to report. */
		if (fault != FAULT_NO_FIELD)
			row_fault(row, column, fault, (va_t){ object->va.v + field.offset }, what);
		return false;
	}
	memcpy(out, &value, MIN(size, sizeof(value)));
	if (row->table->columns[column].type == COL_TIME)
		row_time(row, column, value);
	else
		row_int(row, column, (int64_t)value);
	return true;
}

void row_field(struct row *row, int column, const struct object *object, struct field field, const char *what)
{
	uint64_t value;

	(void)row_or_fault(row, column, object, field, what, &value, sizeof(value));
}
