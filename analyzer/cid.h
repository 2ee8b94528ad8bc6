/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PspCidTable: the kernel's own table of every process and thread by its id. What hides from
 * the lists usually stays here, as nothing with an id can be opened without it.
 */
#ifndef MEMSIEVE_CID_H
#define MEMSIEVE_CID_H
#include "plugin.h"

enum cid_kind { CID_OTHER, CID_PROCESS, CID_THREAD };

struct cid_entry {
	va_t object;			/* _EPROCESS or _ETHREAD */
	uint64_t id;			/* as the table has it */
	enum cid_kind kind;
};

/*
 *	g_autoptr(GArray) cid = cid_load(c, "processes", &whole);
 *	const struct cid_entry *e = cid_find(cid, eprocess);	in_cid_table = e && e->kind == CID_PROCESS
 *
 * All entries (struct cid_entry), sorted by object. NULL when the table can't be read at all: the in_cid_table
 * columns stay NULL then. Not *whole: of what is not there it can't be told, either. Why, and which parts were missing, goes into
 * diagnostics under `table`.
 */
GArray *cid_load(struct context *context, const char *table, bool *whole);
/* NULL: not there (or cid is NULL). */
const struct cid_entry *cid_find(const GArray *cid, va_t object);
#endif
