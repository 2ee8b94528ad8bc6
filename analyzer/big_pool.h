/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool allocations of a page and more. They have no pool header, in the classic pool and in the segment heap of 19041 and later
 * alike: the kernel keeps their tags in a table (PoolBigPageTable, _POOL_TRACKER_BIG_PAGES), hashed by address.
 */
#ifndef MEMSIEVE_BIG_POOL_H
#define MEMSIEVE_BIG_POOL_H
#include "plugin.h"

struct big_allocation {
	va_t va;
	uint64_t size;			/* bytes */
	char tag[5];			/* the protected bit is taken off; not always text */
	uint32_t pool_type;		/* POOL_TYPE; 0 where the table doesn't say */
	bool freed;			/* the entry is left of one that was given back */
};

/* struct big_allocation by address; NULL and *fault: there is no such table that can be read. Entries whose page is not
 * in the dump are skipped, *missing says that there were some. `tag`: these alone; NULL: all. */
GArray *big_pool_list(const struct context *context, const char *tag, enum fault *fault, va_t *at, bool *missing);
#endif
