/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a query, printed: as a table to look at, as CSV, as JSON.
 *
 * All text may come from a dump: a table shows control characters escaped, CSV puts an apostrophe before text that a
 * spreadsheet would take for a formula.
 */
#ifndef MEMSIEVE_LISTING_H
#define MEMSIEVE_LISTING_H
#include <stdio.h>
#include "store.h"

enum listing { LISTING_TABLE, LISTING_CSV, LISTING_JSON, LISTING_JSONL };

bool listing_from_name(const char *name, enum listing *out);
/* Print all rows; the number of them in *rows. `width`: columns of the terminal, 0: none, nothing is shortened. */
bool listing_print(FILE *to, struct cursor *cursor, enum listing listing, unsigned width, int64_t *rows, GError **error);

/* Pieces that other writers use. A blob is shown in hex. */
void csv_append_cell(GString *line, const struct cursor *cursor, int column);
void json_append_string(GString *s, const char *text);
void json_append_cell(GString *s, const struct cursor *cursor, int column);
/* Text for a terminal: as it is when only backslashes would be escaped, so that paths can be copied. The caller frees. */
char *terminal_text(const char *text);
#endif
