/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handle table (_HANDLE_TABLE) entry by entry: a process's, or PspCidTable.
 *
 * TableCode's low three bits tell the levels above the entries; pages of 4 KiB hold
 * either 256 entries or 512 pointers. A handle's value is four times the number of
 * its entry.
 */
#ifndef MEMSIEVE_HANDLES_H
#define MEMSIEVE_HANDLES_H
#include "object.h"

struct handle_entry {
	uint64_t value;			/* of the handle, or the id in PspCidTable */
	va_t object;			/* what the entry points to: an _OBJECT_HEADER in a process's table, a body in PspCidTable */
	uint32_t granted_access;
};

struct handle_walk {
	struct space *space;
	unsigned level;
	uint64_t base;			/* of the top page */
	uint64_t page;			/* number of the page of entries at hand */
	unsigned entry;			/* next one there */
	uint64_t visited;
	bool loaded;
	uint64_t middle_at;		/* whose pointers `middle` holds, 0 none */
	uint8_t entries[PAGE_SIZE], top[PAGE_SIZE], middle[PAGE_SIZE];
	GHashTable *seen;		/* pages of entries: none is visited twice */
	/* Pages that could not be had, for diagnostics. */
	uint64_t bad_pages;
	va_t first_bad;
	enum fault fault;		/* of the first; FAULT_LIMIT when the walk was cut short */
};

/* A fault when there is nothing to walk. */
enum fault handle_walk_init(struct handle_walk *walk, struct space *space, va_t table) G_GNUC_WARN_UNUSED_RESULT;
/* The next entry in use; false at the end. */
bool handle_walk_next(struct handle_walk *walk, struct handle_entry *out);
void handle_walk_deinit(struct handle_walk *walk);
#endif
