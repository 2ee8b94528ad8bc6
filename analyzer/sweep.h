/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sequential pass over physical memory for everybody who looks for something in it.
 *
 * Plugins name their patterns (struct plugin.sweeps); the pass runs once, before the
 * first plugin, on all cores. What it found comes sorted by physical address, whatever the
 * number of threads: sweep_hits().
 *
 * Before it can run, the kernel must be known: pool headers are not the same in every build. So the search for a kernel
 * that neither header nor low stub tells of (kernel.c; it ends at the first that is one), and for one whose page tables
 * or image are missing (rescue.c, remains.c; each pass needs what the one before it found), read memory by themselves.
 */
#ifndef MEMSIEVE_SWEEP_H
#define MEMSIEVE_SWEEP_H
#include <string.h>
#include "image.h"
#include "limit.h"
#include "space.h"

enum sweep_kind {
	SWEEP_END,
	SWEEP_POOL,	/* a pool header with this tag and a block of this size */
	SWEEP_PAGE,	/* a page that `page` says yes to */
	SWEEP_SIGNATURE,	/* these four bytes, at a multiple of four */
};

/* Static: hits are kept by its address. */
struct sweep_pattern {
	enum sweep_kind kind;
	char tag[5];				/* the protected bit of tags is ignored; SWEEP_SIGNATURE: the bytes */
	uint32_t minimum, maximum;		/* SWEEP_POOL: bytes of the block with its header; maximum 0: any */
	bool (*page)(const uint8_t *page, uint64_t pa);	/* SWEEP_PAGE: asked for each page, so quick to say no */
};

struct sweep_hit {
	pa_t pa;		/* of the pool header, of the page, or of the signature */
	uint32_t size;		/* SWEEP_POOL: bytes of the block with its header */
	bool freed;		/* SWEEP_POOL: the header says the block is free */
};

typedef uint32_t sweep_words __attribute__((vector_size(16)));

/*
 * Is any of the 32-bit words of `length` bytes (a multiple of 64) equal to `word` in the bits of `mask`? Asked of every page: four are
 * compared at once, which every machine has registers for, and four of these go on side by side.
 */
static inline bool sweep_has_word(const uint8_t *bytes, size_t length, uint32_t mask, uint32_t word)
{
	const uint32_t wanted = word & mask;
	const sweep_words bits = { mask, mask, mask, mask }, want = { wanted, wanted, wanted, wanted };
	sweep_words found[4] = { { 0 } }, some[4];
	uint64_t any[2];

	for (size_t at = 0; at < length; at += sizeof(some)) {
		memcpy(some, bytes + at, sizeof(some));
		found[0] |= (sweep_words)((some[0] & bits) == want);
		found[1] |= (sweep_words)((some[1] & bits) == want);
		found[2] |= (sweep_words)((some[2] & bits) == want);
		found[3] |= (sweep_words)((some[3] & bits) == want);
	}
	found[0] |= found[1] | found[2] | found[3];
	memcpy(any, &found[0], sizeof(any));
	return any[0] | any[1];
}

struct sweep;
struct hasher;

/* Of one pattern, the first so many hits are kept, and sweep_cut_short tells. */
#define SWEEP_MAX_HITS ((guint)limit(sweep_hits))

/* patterns is NULL-terminated; equal ones are swept for once. NULL layout: pool patterns find nothing.
 * `hasher`, of the image's file, or NULL: the sweep goes no farther ahead of it than hash.h says.
 * *cancel may become nonzero meanwhile; NULL: it can't be stopped. */
struct sweep *sweep_run(struct image *image, const struct layout *layout, const struct sweep_pattern *const *patterns,
			int threads, struct hasher *hasher, const volatile int *cancel);
void sweep_destroy(struct sweep *sweep);
DEFINE_AUTO(sweep, sweep_destroy)
/* struct sweep_hit by physical address; never NULL. */
const GArray *sweep_hits(const struct sweep *sweep, const struct sweep_pattern *pattern);
/* Was there more than was kept? */
bool sweep_cut_short(const struct sweep *sweep);
uint64_t sweep_total(const struct sweep *sweep);
/* Pages that the dump has and that don't unpack: damaged ones. *first: the first of them, if there is one. */
uint64_t sweep_unread(const struct sweep *sweep, pa_t *first);

/*
 * Where the kernel maps the pages that hits lie in. Walks the kernel half of the page tables
 * once; false when they lead on and on and the walk was cut short.
 */
bool sweep_map(struct sweep *sweep, struct space *kernel, const volatile int *cancel);
/* The kernel addresses of pa, at most `max` of them (lowest first); 0: none. Only for pages with hits. */
unsigned sweep_addresses(const struct sweep *sweep, pa_t pa, va_t *out, unsigned max);
#endif
