/* SPDX-License-Identifier: Apache-2.0 */
/* Rows in the making, between a plugin that puts them and the store that writes them. */
#ifndef MEMSIEVE_ROWS_H
#define MEMSIEVE_ROWS_H
#include "process.h"
#include "table.h"

enum cell_kind { CELL_NULL, CELL_INT, CELL_REAL, CELL_TEXT, CELL_BLOB, CELL_REF };

struct cell {
	enum cell_kind kind;
	const struct process *of;	/* CELL_REF: whose row it is; NULL: of the row's own process */
	union {
		int64_t i;		/* CELL_INT, and CELL_REF's ordinal */
		double real;
		char *text;
		GBytes *blob;
	};
};

struct row_fault {
	int column;			/* -1: no one column */
	enum fault fault;
	va_t at;
	char *what;
};

struct row {
	struct rows *rows;		/* that it is one of; NULL: it is not kept */
	const struct table *table;
	const struct process *process;
	int64_t ordinal;
	GArray *faults;			/* struct row_fault, or NULL */
	unsigned n;
	struct cell cells[];
};

/* Something missing that is no row's. */
struct note {
	enum fault fault;
	va_t at;
	const struct process *process;
	char *table, *message;
};

struct rows {
	GPtrArray *rows;		/* struct row *, in order */
	GPtrArray *notes;		/* struct note * */
	GHashTable *counts;		/* table → rows made so far (int64_t *) */
	GHashTable *derived;		/* table → what its column "derived" says, or NULL */
	uint64_t bytes;			/* what rows and notes take, about */
	int64_t limit;			/* rows of one table that are kept, 0: all */
	uint64_t byte_limit;		/* and how large they may be together, 0: as they like */
	struct row *dropped;		/* the last row that was not kept, or NULL */
	bool full;			/* some were not kept because of byte_limit */
	/* Called when many rows have piled up; NULL: they are kept. */
	void (*overflow)(struct rows *rows, void *user);
	void *user;
};

struct rows *rows_create(void);
void rows_destroy(struct rows *rows);
/* Forget the rows and notes, keep the counts. */
void rows_clear(struct rows *rows);
struct row *rows_add(struct rows *rows, const struct table *table, const struct process *process);
/* Notes it when rows were dropped. */
void rows_note_dropped(struct rows *rows, const struct process *process);
void rows_note(struct rows *rows, enum fault fault, va_t at, const struct process *process, const char *table, char *message);
#endif
