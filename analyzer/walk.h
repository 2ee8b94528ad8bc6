/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Visit each structure on a circular doubly-linked list (_LIST_ENTRY).
 *
 * Each step must link back to the one before, so that a smeared list ends instead of
 * leading into garbage. Where the way forward ends early, the list is walked
 * backwards from its head for what lies beyond the break. Bounded, and no entry is
 * visited twice. Why it ended early goes into diagnostics.
 *
 *	WALK_LIST(context, "processes", proc, head, eprocess.ActiveProcessLinks) { … }
 */
#ifndef MEMSIEVE_WALK_H
#define MEMSIEVE_WALK_H
#include "plugin.h"

struct walk {
	struct context *context;
	const char *table, *what;
	struct object head;
	unsigned link;
	uint64_t at, last, beyond;	/* last: where the way forward ended; beyond: to where it would have gone on */
	bool backwards, done;
	bool broken;		/* set at the end: it has a gap, and what lies there was not met */
	GHashTable *seen;
};

bool walk_next(struct walk *walk, struct object *out);
void walk_clear(struct walk *walk);
/* Was this entry (its links) taken out of a list? Its neighbours are linked to each other past it, or it to itself alone. */
bool walk_passed_over(struct space *space, va_t entry);

/* head is the object of the _LIST_ENTRY head; obj is set to each containing structure. */
#define WALK_LIST(context_, table_, obj, head_, link_) \
	for (__attribute__((cleanup(walk_clear))) struct walk walk_ = { .context = (context_), .table = (table_), \
		.what = #link_, .head = (head_), .link = (head_).space->layout->link_.offset, .at = (head_).va.v, \
		.done = !(head_).space->layout->link_.size || !(head_).va.v }; walk_next(&walk_, &(obj)); )
#endif
