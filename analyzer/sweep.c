/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep.h"
#include "format.h"
#include "limit.h"
#include <stdlib.h>
#include <string.h>
#include "hash.h"

/* A thread takes this much at a time: enough to read in sequence, little enough to share out evenly. */
#define CHUNK (UINT64_C(4) << 20)
/* Pool allocations are multiples of a header's size, and headers are aligned to it: 16 bytes, 8 on 32 bits. */
#define UNIT_MAX 16u
#define FILTER_BITS 12
/* Bytes asked at once whether they may hold a tag. */
#define GROUP 128u
/* Mappings kept at most; more of one page are not needed. */
#define MAX_MAPPINGS limit32(sweep_mappings)

struct target {
	const struct sweep_pattern *pattern;
	uint32_t tag;
	volatile gint full;		/* SWEEP_MAX_HITS reached: later chunks needn't look */
	GArray *hits;			/* struct sweep_hit */
};

struct mapping {
	uint64_t frame;
	uint64_t va;
};

struct chunk {
	uint64_t start, length;
	GArray **hits;			/* by target, NULL where there are none */
	uint64_t unread, first_unread;	/* pages that the dump has and that can't be read */
	bool done;
};

struct sweep {
	struct image *image;
	GArray *targets;		/* struct target */
	GArray *chunks;			/* struct chunk */
	bool pool;			/* pool headers can be read */
	unsigned unit;			/* size and alignment of a pool header */
	struct field block_size, pool_type, pool_tag;
	uint8_t filter[1 << FILTER_BITS];	/* may this dword be one of the tags? */
	uint32_t tag_bits[4], tag_want[4];	/* the bits that all tags have in common, where headers have them; words elsewhere never match */
	guint next, collected;		/* chunks: the next to take; how many have been merged, in order */
	guint window;			/* none is taken that is farther ahead: what was found waits in memory */
	GMutex lock;
	GCond merged;
	struct hasher *hasher;		/* NULL: nobody to keep up with */
	const volatile int *cancel;
	uint64_t total;
	uint64_t unread, first_unread;
	GArray *mappings;		/* struct mapping, sorted; NULL: not mapped yet */
};

/* Windows 7 and before mark tags of protected allocations with the top bit. */
static uint32_t plain_tag(uint32_t tag)
{
	return tag & 0x7fffffff;
}

static inline unsigned filter_slot(uint32_t tag)
{
	return tag * 0x9e3779b1u >> (32 - FILTER_BITS);
}

static uint32_t header_field(const uint8_t *header, struct field field)
{
	uint32_t value = 0;

	memcpy(&value, header + field.offset, field.size);
	if (field.bits && field.bits < 32)
		value = value >> field.bit & ((UINT32_C(1) << field.bits) - 1);
	return value;
}

static void add_hit(struct chunk *chunk, const struct sweep *s, guint target, const struct sweep_hit *hit)
{
	if (g_atomic_int_get(&g_array_index(s->targets, struct target, target).full))
		return;
	if (!chunk->hits)
		chunk->hits = g_new0(GArray *, s->targets->len);
	if (!chunk->hits[target])
		chunk->hits[target] = g_array_new(FALSE, FALSE, sizeof(struct sweep_hit));
	g_array_append_val(chunk->hits[target], *hit);
}

static void check_header(const struct sweep *s, struct chunk *chunk, const uint8_t *page, unsigned offset, uint64_t pa)
{
	const uint8_t *header = page + offset;
	uint32_t tag = plain_tag(header_field(header, s->pool_tag));
	uint32_t size = header_field(header, s->block_size) * s->unit;

	/* A block with a header never leaves its page but in the segment heap, where it may cross into the next. */
	if (!size || size > PAGE_SIZE)
		return;
	for (guint i = 0; i < s->targets->len; i++) {
		const struct target *t = &g_array_index(s->targets, struct target, i);
		const struct sweep_pattern *p = t->pattern;
		if (p->kind != SWEEP_POOL || t->tag != tag || size < p->minimum * s->unit / UNIT_MAX || (p->maximum && size > p->maximum))
			continue;
		struct sweep_hit hit = { { pa + offset }, size, header_field(header, s->pool_type) == 0 };
		add_hit(chunk, s, i, &hit);
	}
}

static void sweep_signature(const struct sweep *s, struct chunk *chunk, guint target, const uint8_t *page, uint64_t pa)
{
	const uint32_t tag = g_array_index(s->targets, struct target, target).tag;
	uint32_t value;

	if (G_LIKELY(!sweep_has_word(page, PAGE_SIZE, UINT32_MAX, tag)))
		return;
	for (unsigned at = 0; at < PAGE_SIZE; at += sizeof(value)) {
		struct sweep_hit hit = { { pa + at }, sizeof(value), false };
		memcpy(&value, page + at, sizeof(value));
		if (value == tag)
			add_hit(chunk, s, target, &hit);
	}
}

/* Has a unit of these GROUP bytes, at the place of a pool header's tag, the bits that all tags looked for have in common? */
static inline bool may_have_tag(const struct sweep *s, const uint8_t *group)
{
	sweep_words bits, want, some[GROUP / sizeof(bits)], found = { 0 };
	uint64_t any[2];

	memcpy(&bits, s->tag_bits, sizeof(bits));
	memcpy(&want, s->tag_want, sizeof(want));
	memcpy(some, group, sizeof(some));
	for (unsigned i = 0; i < G_N_ELEMENTS(some); i++)
		found |= (sweep_words)((some[i] & bits) == want);
	memcpy(any, &found, sizeof(any));
	return any[0] | any[1];
}

static void sweep_headers(const struct sweep *s, struct chunk *chunk, const uint8_t *page, unsigned group, uint64_t pa)
{
	for (unsigned offset = group; offset < group + GROUP; offset += s->unit) {
		uint32_t tag;
		memcpy(&tag, page + offset + s->pool_tag.offset, sizeof(tag));
		if (G_UNLIKELY(s->filter[filter_slot(plain_tag(tag))]))
			check_header(s, chunk, page, offset, pa);
	}
}

static void sweep_page(const struct sweep *s, struct chunk *chunk, const uint8_t *page, uint64_t pa)
{
	for (guint i = 0; i < s->targets->len; i++) {
		const struct sweep_pattern *p = g_array_index(s->targets, struct target, i).pattern;
		if (p->kind == SWEEP_PAGE && p->page(page, pa)) {
			struct sweep_hit hit = { { pa }, PAGE_SIZE, false };
			add_hit(chunk, s, i, &hit);
		} else if (p->kind == SWEEP_SIGNATURE) {
			sweep_signature(s, chunk, i, page, pa);
		}
	}
	if (!s->pool)
		return;
	for (unsigned at = 0; at < PAGE_SIZE; at += GROUP) {
		/* Processors don't look ahead past the end of a page: the next is asked for while this one is looked at. */
		__builtin_prefetch(page + PAGE_SIZE + at);
		__builtin_prefetch(page + PAGE_SIZE + at + GROUP / 2);
		if (may_have_tag(s, page + at))
			sweep_headers(s, chunk, page, at, pa);
	}
}

/* Merge what is done into the targets, in order of addresses. The lock is held. */
static void collect(struct sweep *s)
{
	for (; s->collected < s->chunks->len; s->collected++) {
		struct chunk *chunk = &g_array_index(s->chunks, struct chunk, s->collected);
		if (!chunk->done)
			return;
		if (!s->unread)
			s->first_unread = chunk->first_unread;
		s->unread += chunk->unread;
		for (guint i = 0; chunk->hits && i < s->targets->len; i++) {
			struct target *t = &g_array_index(s->targets, struct target, i);
			GArray *found = chunk->hits[i];
			if (!found)
				continue;
			guint n = MIN(found->len, SWEEP_MAX_HITS - t->hits->len);
			g_array_append_vals(t->hits, found->data, n);
			if (n < found->len)
				g_atomic_int_set(&t->full, 1);
			s->total += n;
			g_array_free(found, TRUE);
		}
		g_clear_pointer(&chunk->hits, g_free);
	}
}

/* A file that is no larger than the page cache is read in any order; of others the hash must find the pages there still. */
static void keep_pace(const struct sweep *s, const struct chunk *chunk)
{
	const struct file *file = s->image->container;
	const uint8_t *page = s->hasher ? image_page(s->image, (pa_t){ chunk->start }, NULL) : NULL;

	if (page && page >= file->map && (uint64_t)(page - file->map) < file->size)
		hasher_wait(s->hasher, (uint64_t)(page - file->map), 0, s->cancel);
}

static void *sweep_thread(void *data)
{
	struct sweep *s = data;
	g_autofree uint8_t *scratch = g_malloc(PAGE_SIZE);

	g_mutex_lock(&s->lock);
	for (;;) {
		while (s->next < s->chunks->len && s->next >= s->collected + s->window)
			g_cond_wait(&s->merged, &s->lock);
		if (s->next >= s->chunks->len || (s->cancel && *s->cancel))
			break;
		struct chunk *chunk = &g_array_index(s->chunks, struct chunk, s->next++);
		g_mutex_unlock(&s->lock);
		keep_pace(s, chunk);
		for (uint64_t at = 0; at < chunk->length; at += PAGE_SIZE) {
			const uint8_t *page = image_page(s->image, (pa_t){ chunk->start + at }, scratch);
			if (page)
				sweep_page(s, chunk, page, chunk->start + at);
			else if (s->image->format->read_page && !chunk->unread++)
				chunk->first_unread = chunk->start + at;
		}
		g_mutex_lock(&s->lock);
		chunk->done = true;
		collect(s);
		g_cond_broadcast(&s->merged);
	}
	g_cond_broadcast(&s->merged);
	g_mutex_unlock(&s->lock);
	return NULL;
}

static void add_targets(struct sweep *s, const struct sweep_pattern *const *patterns)
{
	for (; *patterns; patterns++) {
		struct target t = { .pattern = *patterns };
		bool known = false;
		for (guint i = 0; i < s->targets->len && !known; i++)
			known = g_array_index(s->targets, struct target, i).pattern == *patterns;
		if (known)
			continue;
		if (t.pattern->kind == SWEEP_POOL) {
			memcpy(&t.tag, t.pattern->tag, sizeof(t.tag));
			t.tag = plain_tag(t.tag);
			s->filter[filter_slot(t.tag)] = 1;
		} else if (t.pattern->kind == SWEEP_SIGNATURE) {
			memcpy(&t.tag, t.pattern->tag, sizeof(t.tag));
		}
		t.hits = g_array_new(FALSE, FALSE, sizeof(struct sweep_hit));
		g_array_append_val(s->targets, t);
	}
}

/* What tells most groups of bytes to have no tag: tags are letters, so some bits are the same in all. */
static void set_tag_bits(struct sweep *s)
{
	uint32_t ones = 0x7fffffff, zeros = 0x7fffffff;

	for (guint i = 0; i < s->targets->len; i++) {
		const struct target *t = &g_array_index(s->targets, struct target, i);
		if (t->pattern->kind == SWEEP_POOL) {
			ones &= t->tag;
			zeros &= ~t->tag;
		}
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(s->tag_bits); i++) {
		bool tag = i * sizeof(uint32_t) % s->unit == s->pool_tag.offset;
		s->tag_bits[i] = tag ? ones | zeros : 0;
		s->tag_want[i] = tag ? ones : 1;
	}
}

static void add_chunks(struct sweep *s)
{
	struct range range;

	for (pa_t at = { 0 }; image_next_filled(s->image, at, &range); at.v = range.start + range.length)
		for (uint64_t from = range.start, end = from + range.length; from < end; ) {
			struct chunk chunk = { .start = from, .length = MIN(CHUNK - (from & (CHUNK - 1)), end - from) };
			g_array_append_val(s->chunks, chunk);
			from += chunk.length;
		}
}

struct sweep *sweep_run(struct image *image, const struct layout *layout, const struct sweep_pattern *const *patterns,
			int threads, struct hasher *hasher, const volatile int *cancel)
{
	struct sweep *s = g_new0(struct sweep, 1);

	s->hasher = hasher;
	s->image = image;
	s->cancel = cancel;
	s->targets = g_array_new(FALSE, TRUE, sizeof(struct target));
	s->chunks = g_array_new(FALSE, TRUE, sizeof(struct chunk));
	g_mutex_init(&s->lock);
	g_cond_init(&s->merged);
	add_targets(s, patterns);
	if (layout) {
		s->block_size = layout->pool_header.BlockSize;
		s->pool_type = layout->pool_header.PoolType;
		s->pool_tag = layout->pool_header.PoolTag;
		const unsigned unit = s->unit = layout->pool_header.size_;
		s->pool = unit == 2 * layout->pointer_size && s->pool_tag.size == 4 && s->pool_tag.offset <= unit - 4 &&
			s->block_size.size && s->block_size.size <= 4 && s->block_size.offset <= unit - 4 &&
			s->pool_type.size && s->pool_type.size <= 4 && s->pool_type.offset <= unit - 4;
	}
	if (s->pool)
		set_tag_bits(s);
	if (s->targets->len)
		add_chunks(s);
	guint n = MIN((guint)MAX(threads, 1), s->chunks->len);
	s->window = 8 * n;
	g_autofree GThread **crew = g_new0(GThread *, n + 1);
	guint made = 0;
	while (made < n && (crew[made] = g_thread_try_new("sweep", sweep_thread, s, NULL)))
		made++;
	if (!made)	/* not even one may be started here */
		sweep_thread(s);
	for (guint i = 0; i < made; i++)
		g_thread_join(crew[i]);
	return s;
}

void sweep_destroy(struct sweep *s)
{
	if (!s)
		return;
	for (guint i = s->collected; i < s->chunks->len; i++) {	/* cancelled before they could be merged */
		struct chunk *chunk = &g_array_index(s->chunks, struct chunk, i);
		for (guint t = 0; chunk->hits && t < s->targets->len; t++)
			if (chunk->hits[t])
				g_array_free(chunk->hits[t], TRUE);
		g_free(chunk->hits);
	}
	for (guint i = 0; i < s->targets->len; i++)
		g_array_free(g_array_index(s->targets, struct target, i).hits, TRUE);
	g_array_free(s->targets, TRUE);
	g_array_free(s->chunks, TRUE);
	if (s->mappings)
		g_array_free(s->mappings, TRUE);
	g_mutex_clear(&s->lock);
	g_cond_clear(&s->merged);
	g_free(s);
}

const GArray *sweep_hits(const struct sweep *s, const struct sweep_pattern *pattern)
{
	for (guint i = 0; i < s->targets->len; i++) {
		const struct target *t = &g_array_index(s->targets, struct target, i);
		if (t->pattern == pattern)
			return t->hits;
	}
	g_assert_not_reached();	/* the plugin didn't name it in its sweeps */
}

uint64_t sweep_unread(const struct sweep *s, pa_t *first)
{
	first->v = s->first_unread;
	return s->unread;
}

bool sweep_cut_short(const struct sweep *s)
{
	bool cut = false;

	for (guint i = 0; i < s->targets->len; i++)
		cut |= g_array_index(s->targets, struct target, i).full;
	return cut;
}

uint64_t sweep_total(const struct sweep *s)
{
	return s->total;
}

/* ---- from frames to kernel addresses */

static int compare_frames(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int compare_mappings(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return (x->va > y->va) - (x->va < y->va);
}

/* The frames that hits lie in: sorted, each once. */
static GArray *hit_frames(const struct sweep *s)
{
	GArray *frames = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	guint kept = 0;

	for (guint i = 0; i < s->targets->len; i++) {
		const GArray *hits = g_array_index(s->targets, struct target, i).hits;
		for (guint h = 0; h < hits->len; h++) {
			uint64_t frame = g_array_index(hits, struct sweep_hit, h).pa.v / PAGE_SIZE;
			g_array_append_val(frames, frame);
		}
	}
	g_array_sort(frames, compare_frames);
	for (guint i = 0; i < frames->len; i++) {
		uint64_t frame = g_array_index(frames, uint64_t, i);
		if (!kept || g_array_index(frames, uint64_t, kept - 1) != frame)
			g_array_index(frames, uint64_t, kept++) = frame;
	}
	g_array_set_size(frames, kept);
	return frames;
}

/* Index of the first frame at or above `frame`. */
static guint first_frame(const GArray *frames, uint64_t frame)
{
	guint low = 0, high = frames->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(frames, uint64_t, mid) < frame)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool sweep_map(struct sweep *s, struct space *kernel, const volatile int *cancel)
{
	g_autoptr(GArray) frames = hit_frames(s);
	AUTO(space) space = space_clone(kernel);	/* it has a budget of steps of its own */
	unsigned pages = 0;
	va_t cursor = { UINT64_C(0xffff800000000000) }, last = { UINT64_MAX };
	struct page page;

	if (s->mappings)
		return true;
	s->mappings = g_array_new(FALSE, FALSE, sizeof(struct mapping));
	if (kernel->paging == PAGING_X64_LA57)
		cursor.v = UINT64_C(0xff00000000000000);
	else if (kernel->paging != PAGING_X64)
		cursor.v = space_pointer_size(kernel) == 4 ? 0x80000000u : cursor.v;
	while (frames->len && space_next_page(space, &cursor, last, &page)) {
		if ((++pages & 0xfff) == 0 && cancel && *cancel)
			break;
		if (page_resident(&page)) {
			uint64_t first = page.pa.v / PAGE_SIZE, count = page.size / PAGE_SIZE;
			for (guint i = first_frame(frames, first); i < frames->len && s->mappings->len < MAX_MAPPINGS; i++) {
				uint64_t frame = g_array_index(frames, uint64_t, i);
				if (frame - first >= count)
					break;
				struct mapping m = { frame, page.va.v + (frame - first) * PAGE_SIZE };
				g_array_append_val(s->mappings, m);
			}
		}
	}
	g_array_sort(s->mappings, compare_mappings);
	return !space->exhausted && s->mappings->len < MAX_MAPPINGS;
}

unsigned sweep_addresses(const struct sweep *s, pa_t pa, va_t *out, unsigned max)
{
	guint low = 0, high = s->mappings ? s->mappings->len : 0;
	uint64_t frame = pa.v / PAGE_SIZE;
	unsigned n = 0;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(s->mappings, struct mapping, mid).frame < frame)
			low = mid + 1;
		else
			high = mid;
	}
	for (; n < max && s->mappings && low < s->mappings->len; low++) {
		const struct mapping *m = &g_array_index(s->mappings, struct mapping, low);
		if (m->frame != frame)
			break;
		out[n++].v = m->va + (pa.v & PAGE_MASK);
	}
	return n;
}
