/* SPDX-License-Identifier: Apache-2.0 */
/* What the rescue of the kernel's and of processes' page tables share. */
#ifndef MEMSIEVE_RESCUE_PRIVATE_H
#define MEMSIEVE_RESCUE_PRIVATE_H
#include <string.h>
#include "rescue.h"

#define ENTRIES 512u
#define FRAME(entry) ((entry) >> 12 & UINT64_C(0xfffffffff))	/* 48 bits of physical address, as in paging.c */
#define PRESENT 1u
#define LARGE 0x80u
#define NOWHERE UINT64_C(0x8000fffffffff063)
#define MAX_VOTES 16		/* addresses that one page is believed to speak for at once */
#define FILTER_BITS 20

/* A frame and what it is: of a page its address >> 12, of a table the address of what it maps >> 21, 30, 39. */
struct known { uint64_t frame, number; };

struct vote { uint64_t number; unsigned count; };

static inline uint64_t load(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, 8);
	return v;
}

static inline void add_vote(struct vote *votes, unsigned *n, uint64_t number)
{
	for (unsigned i = 0; i < *n; i++)
		if (votes[i].number == number) {
			votes[i].count++;
			return;
		}
	if (*n < MAX_VOTES)
		votes[(*n)++] = (struct vote){ number, 1 };
}

static inline const struct vote *most(const struct vote *votes, unsigned n)
{
	const struct vote *best = NULL;

	for (unsigned i = 0; i < n; i++)
		if (!best || votes[i].count > best->count)
			best = &votes[i];
	return best;
}

/* Printable ASCII as UTF-16. */
static inline bool is_text(const uint8_t *at, unsigned length)
{
	for (unsigned i = 0; i < length; i += 2)
		if (at[i + 1] || at[i] < 0x20 || at[i] > 0x7e)
			return false;
	return true;
}

static inline int compare_frames(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return (x->frame > y->frame) - (x->frame < y->frame);
}

/* Of structures that begin with a struct known, sorted by frame, the one of this frame; NULL: none. */
static inline void *known_at(const GArray *known, uint64_t frame)
{
	const struct known wanted = { .frame = frame };
	guint n;

	return g_array_binary_search((GArray *)known, &wanted, compare_frames, &n) ? known->data + n * g_array_get_element_size((GArray *)known) : NULL;
}

/* Most frames that an entry may name are in none of the lists: one bit tells of most of them. */
static inline uint8_t *filter_create(const GArray *known)
{
	uint8_t *filter = g_malloc0((1u << FILTER_BITS) / 8);
	const size_t size = g_array_get_element_size((GArray *)known);

	for (guint i = 0; i < known->len; i++) {
		uint64_t slot = ((const struct known *)(const void *)(known->data + i * size))->frame & ((1u << FILTER_BITS) - 1);
		filter[slot / 8] |= (uint8_t)(1u << (slot & 7));
	}
	return filter;
}

static inline bool filter_has(const uint8_t *filter, uint64_t frame)
{
	uint64_t slot = frame & ((1u << FILTER_BITS) - 1);

	return filter[slot / 8] >> (slot & 7) & 1;
}

/* Without any spans. */
struct rescue *rescue_empty(void);
/* The spans in their order. */
void rescue_sort(struct rescue *rescue);
#endif
