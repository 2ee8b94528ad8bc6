/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table is declared once, beside the code that fills it: CREATE TABLE, INSERT, the
 * view with addresses as text, `memsieve tables` and the documentation come from it.
 */
#ifndef MEMSIEVE_TABLE_H
#define MEMSIEVE_TABLE_H
#include "object.h"

enum column_type {
	COL_END,
	COL_INT,	/* INTEGER; sizes in bytes */
	COL_BOOL,	/* INTEGER 0/1 */
	COL_ADDRESS,	/* INTEGER, two's complement; 0x… text in the view */
	COL_TIME,	/* TEXT, ISO 8601; put as FILETIME */
	COL_TEXT,
	COL_JSON,	/* TEXT */
	COL_BLOB,
	COL_REAL,
	COL_DUMP,	/* dump_id, filled by the pipeline */
	COL_PROCESS,	/* process_id, filled by the pipeline from the row's process */
	COL_REF,	/* id of a row of the table that `ref` names; put as an ordinal */
};

#define TABLE_MAX_COLUMNS 48

struct column {
	const char *name;
	enum column_type type;
	const char *doc;
	const char *ref;	/* COL_REF: the table */
};

/* The column that says so, of tables that have rests_on. */
#define COLUMN_DERIVED { "derived", COL_INT, \
	"what the row rests on was found in the dump itself, and how sure the weakest of it is, 1-100; NULL: from symbols" }

struct table {
	const char *name, *doc;
	const char *key;	/* INTEGER PRIMARY KEY column, e.g. "vad_id"; NULL: none */
	const char *const *indices;	/* NULL-terminated column lists to index besides ids, or NULL */
	/* The fields ("_EPROCESS.Peb", NULL-terminated) without which a row would be another: where one was derived from the
	 * dump, the column "derived" of each row says how sure the weakest is. NULL: none. */
	const char *const *rests_on;
	struct column columns[TABLE_MAX_COLUMNS];	/* ends with COL_END */
};

unsigned table_columns(const struct table *table);

struct process;
struct context;
struct row;

/*
 * One INSERT in the making: what isn't put stays NULL. Rows belong to the context
 * and are written in order; text and blobs are copied.
 */
struct row *row_new(struct context *context, const struct table *table);
/* The number of this row among those of its table that this context made, from 0: for row_ref. */
int64_t row_ordinal(const struct row *row);
void row_int(struct row *row, int column, int64_t value);
void row_address(struct row *row, int column, uint64_t value);
void row_time(struct row *row, int column, uint64_t filetime);
void row_text(struct row *row, int column, const char *text);
void row_blob(struct row *row, int column, const void *data, size_t length);
/* Into a column by its name, for tables that another plugin declares. */
void row_int_named(struct row *row, const char *column, int64_t value);
void row_text_named(struct row *row, const char *column, const char *text);
void row_null(struct row *row, int column);
void row_real(struct row *row, int column, double value);
/* The row of the referred table with that ordinal, of the same process (or of the same dump). */
void row_ref(struct row *row, int column, int64_t ordinal);
/* The same of another process, whose rows there come earlier. */
void row_ref_of(struct row *row, int column, const struct process *process, int64_t ordinal);
/* The row belongs to this process instead of the context's. */
void row_process(struct row *row, const struct process *process);
/* NULL, and why: a row in diagnostics. `what` says what could not be read, e.g. "_EPROCESS.Token". */
void row_fault(struct row *row, int column, enum fault fault, va_t at, const char *what);
/* Anything odd about a row that is no missing column. */
void row_note(struct row *row, enum fault fault, va_t at, const char *what);

/* READ one integer field into a column, or record why it could not be had. */
#define PUT(row, column, obj, field) \
	row_field((row), (column), &(obj), (obj).space->layout->field, #field)
void row_field(struct row *row, int column, const struct object *object, struct field field, const char *what);
/* The same into a variable as well; true when it could be read. */
#define PUT_READ(row, column, obj, field, out) \
	(row_or_fault((row), (column), &(obj), (obj).space->layout->field, #field, (out), sizeof(*(out))))
bool row_or_fault(struct row *row, int column, const struct object *object, struct field field, const char *what,
		  void *out, size_t size);
#endif
