/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's address space where its page tables are lost in part, as in a dump that was cut short.
 *
 * An empty list points to itself, so that a page with one in it tells its own address. A page table is known by the pages
 * it names that told theirs, a page directory by its page tables, and so on; what is known of an upper table tells of all
 * below it. Pages whose table is lost are still found where they said they are. x64 (four and five levels); needs no symbols.
 */
#ifndef MEMSIEVE_RESCUE_H
#define MEMSIEVE_RESCUE_H
#include "image.h"
#include "space.h"

/* What is known of 2 MiB of kernel addresses. */
struct rescued {
	uint64_t tag;			/* va >> 21 */
	const uint8_t *table;		/* its page table, or NULL: */
	pa_t large;			/* one large page */
	bool sparse;			/* of the table some entries alone are known: 0 is not known */
};

/* Read-only once made: threads share it. */
struct rescue {
	GArray *spans;			/* struct rescued, by tag */
	GPtrArray *tables;		/* what the spans point to */
	unsigned lists, found, single;	/* pages that told their address; page tables and large pages found; tables of such pages alone */
	bool cut;			/* a limit bit: there may be more */
};

/*
 * Have tables of the kernel's half gone missing? Their own pages are not looked at. One of hundreds is a smeared entry:
 * to put the rest together costs several passes over memory. x64 alone: false for others.
 */
bool rescue_needed(struct image *image, enum paging paging, pa_t dtb);
/* NULL when nothing tells anything. Reads all of the image a few times: for when page tables are known to be missing. */
struct rescue *rescue_tables(struct image *image);
void rescue_destroy(struct rescue *rescue);
/* NULL: nothing is known there. *next is the first tag from `tag` on that is known (UINT64_MAX: none). */
const struct rescued *rescue_at(const struct rescue *rescue, uint64_t tag, uint64_t *next);
#endif
