/* SPDX-License-Identifier: Apache-2.0 */
#include "walk.h"
#include "limit.h"

void walk_clear(struct walk *walk)
{
	if (walk->seen)
		g_hash_table_destroy(walk->seen);
	walk->seen = NULL;
}

/* One step in the walk's direction: the neighbour of w->at, checked to point back. */
static enum fault step(struct walk *w, uint64_t *out)
{
	struct object entry = object_at(w->head.space, w->at);
	uint64_t next = 0, back = 0;
	enum fault fault = w->backwards ? READ(entry, list_entry.Blink, &next) : READ(entry, list_entry.Flink, &next);

	if (fault)
		return fault;
	*out = next;
	/* The head, too, must link back: else the way leads past entries that it knows of. */
	entry.va.v = next;
	fault = w->backwards ? READ(entry, list_entry.Flink, &back) : READ(entry, list_entry.Blink, &back);
	if (fault)
		return fault;
	return back == w->at ? FAULT_NONE : FAULT_IMPLAUSIBLE;
}

/* What the last entry that was seen going forward names as the one before it; 0: none was seen. */
static uint64_t before_last(const struct walk *w)
{
	struct object entry = object_at(w->head.space, w->last);
	uint64_t before = 0;

	return w->last == w->head.va.v || READ(entry, list_entry.Blink, &before) ? 0 : before;
}

bool walk_next(struct walk *w, struct object *out)
{
	if (w->done)
		return false;
	if (!w->seen)
		w->seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	for (;;) {
		uint64_t next = 0;
		enum fault fault = step(w, &next);
		if (!fault && next == w->head.va.v)
			break;
		if (fault && next == w->head.va.v && w->backwards) {
			w->broken = true;	/* that was said when the way forward ended */
			break;
		}
		if (g_hash_table_contains(w->seen, &next)) {
			/* Going back we meet the last entry that was seen going forward, whose own link is the broken one: nothing was missed. Nor where that
			 * one is being taken out, so that its neighbours lead past it. Any other is the wrong way. */
			if (w->backwards && (next == w->last || next == before_last(w)))
				break;
			fault = fault ? fault : FAULT_IMPLAUSIBLE;
		}
		if (!fault && g_hash_table_size(w->seen) >= limit(list_entries)) {
			context_note(w->context, FAULT_LIMIT, (va_t){ w->at }, w->table,
				     "the list %s has more than %" G_GUINT64_FORMAT " entries", w->what, limit(list_entries));
			w->broken = true;
			break;
		}
		if (fault) {
			if (fault == FAULT_UNMAPPED)	/* a link that leads nowhere is no link */
				fault = FAULT_IMPLAUSIBLE;
			/* The other side of the break alone is wrong: nothing lies between. A head that contradicts itself has no other side. */
			if (w->backwards && w->at == w->beyond && w->last != w->head.va.v)
				break;
			context_note(w->context, fault, (va_t){ w->at }, w->table, "the list %s is broken %s this entry",
				     w->what, w->backwards ? "before" : "after");
			if (w->backwards) {
				w->broken = true;
				break;
			}
			w->backwards = true;
			w->last = w->at;
			w->beyond = next;
			w->at = w->head.va.v;
			continue;
		}
		uint64_t *key = g_new(uint64_t, 1);
		*key = next;
		g_hash_table_add(w->seen, key);
		w->at = next;
		*out = object_at(w->head.space, next - w->link);
		return true;
	}
	w->done = true;
	return false;
}

bool walk_passed_over(struct space *space, va_t entry)
{
	struct object at = object_at(space, entry.v), next, previous;
	uint64_t flink = 0, blink = 0, over = 0, back = 0;

	if (READ(at, list_entry.Flink, &flink) || READ(at, list_entry.Blink, &blink))
		return false;
	next = object_at(space, flink);
	previous = object_at(space, blink);
	return (flink == entry.v && blink == entry.v) ||
	       (!READ(next, list_entry.Blink, &back) && !READ(previous, list_entry.Flink, &over) && back == blink && over == flink);
}
