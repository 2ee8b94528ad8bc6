/* SPDX-License-Identifier: Apache-2.0 */
#include "page_frames.h"
#include <string.h>
#include "limit.h"

#define MAX_ENTRY 0x100u	/* bytes of a _MMPFN; all have 0x30 */
/* PteFrame has 36 bits, or more in newer builds: no machine has as many frames. */
#define FRAME_BITS ((UINT64_C(1) << 36) - 1)
/* _MI_ACTIVE_PFN.PageTable.NonPagedBuddy */
#define BUDDY_SHIFT 17
#define BUDDY_BITS ((UINT64_C(1) << 43) - 1)

struct page_frames {
	const struct context *context;
	struct space *space;
	va_t base;
	uint32_t size;			/* of an entry */
	uint32_t u1, u3, u4;		/* offsets */
};

/* VALID on x64, and a table on ARM64. */
#define ENTRY_VALID 1u
#define ENTRY_FRAME UINT64_C(0x0000fffffffff000)

static bool maps_itself(const uint8_t *page, uint64_t pa)
{
	const uint64_t mask = ENTRY_FRAME | ENTRY_VALID;
	bool found = false;

	/* The lower half of such an entry is a word that few pages have. */
	if (G_LIKELY(!sweep_has_word(page + PAGE_SIZE / 2, PAGE_SIZE / 2, (uint32_t)mask, (uint32_t)pa | ENTRY_VALID)))
		return false;
	for (unsigned at = PAGE_SIZE / 2; at < PAGE_SIZE && !found; at += sizeof(uint64_t)) {
		uint64_t entry;
		memcpy(&entry, page + at, sizeof(entry));
		found = (entry & mask) == (pa | ENTRY_VALID);
	}
	return found && pa;
}

const struct sweep_pattern page_roots = { SWEEP_PAGE, "", 0, 0, maps_itself };

static bool within(struct field field, uint32_t size, uint32_t entry)
{
	return field.size && (uint32_t)field.offset + size <= entry;
}

struct page_frames *page_frames_open(const struct context *c, enum fault *fault, va_t *at)
{
	const struct layout *l = c->kernel->layout;
	uint64_t base = 0;

	*at = l ? kernel_symbol(c->kernel, MmPfnDatabase) : (va_t){ 0 };
	*fault = FAULT_NO_FIELD;
	if (!at->v || space_pointer_size(c->space) != 8 || l->mmpfn.size_ < 0x18 || l->mmpfn.size_ > MAX_ENTRY ||
	    !within(l->mmpfn.u1, 8, l->mmpfn.size_) || !within(l->mmpfn.u3, 4, l->mmpfn.size_) || !within(l->mmpfn.u4, 8, l->mmpfn.size_))
		return NULL;
	if ((*fault = read_pointer(c->space, *at, &base)))
		return NULL;
	*at = (va_t){ base };
	*fault = FAULT_IMPLAUSIBLE;
	if (!space_is_kernel(c->space, *at) || (base & 7))
		return NULL;
	struct page_frames *f = g_new0(struct page_frames, 1);
	f->context = c;
	f->space = space_clone(c->space);	/* it has steps of its own */
	f->base.v = base;
	f->size = l->mmpfn.size_;
	f->u1 = l->mmpfn.u1.offset;
	f->u3 = l->mmpfn.u3.offset;
	f->u4 = l->mmpfn.u4.offset;
	/* Its beginning is always there: the first MiB has frames in use. */
	uint8_t entry[MAX_ENTRY];
	if (!(*fault = space_read(f->space, f->base, entry, f->size, NULL)))
		return f;
	page_frames_close(f);
	return NULL;
}

void page_frames_close(struct page_frames *f)
{
	if (f)
		space_destroy(f->space);
	g_free(f);
}

static struct page_frame parse(const struct page_frames *f, const uint8_t *entry, uint64_t number)
{
	struct page_frame out = { .number = number };
	uint64_t u4;

	memcpy(&out.u1, entry + f->u1, sizeof(out.u1));
	memcpy(&u4, entry + f->u4, sizeof(u4));
	out.is_root = number && (u4 & FRAME_BITS) == number;
	/* u3.e1 follows the reference count; PageLocation are its lowest bits in all builds. */
	out.active = (entry[f->u3 + 2] & 7) == FRAME_ACTIVE_AND_VALID;
	return out;
}

enum fault page_frames_at(struct page_frames *f, pa_t pa, struct page_frame *out)
{
	uint64_t number = pa.v / PAGE_SIZE;
	uint8_t entry[MAX_ENTRY];

	if (number > FRAME_BITS || number * f->size > UINT64_MAX - f->base.v)
		return FAULT_IMPLAUSIBLE;
	enum fault fault = space_read(f->space, (va_t){ f->base.v + number * f->size }, entry, f->size, NULL);
	if (!fault)
		*out = parse(f, entry, number);
	return fault;
}

/* The entries that begin in PAGE_SIZE bytes at va. */
static void look_at(struct page_frames *f, va_t va, uint64_t frames, GArray *out, bool *cut)
{
	uint64_t first = (va.v - f->base.v + f->size - 1) / f->size, end = (va.v - f->base.v + PAGE_SIZE + f->size - 1) / f->size;
	uint8_t bytes[PAGE_SIZE + 2 * MAX_ENTRY];

	end = MIN(end, frames);
	if (va.v < f->base.v)
		first = 0;
	if (first >= end)
		return;
	/* The last may go on in a page that is not there. */
	if (space_read(f->space, (va_t){ f->base.v + first * f->size }, bytes, (size_t)(end - first) * f->size, NULL) &&
	    (--end <= first || space_read(f->space, (va_t){ f->base.v + first * f->size }, bytes, (size_t)(end - first) * f->size, NULL)))
		return;
	for (uint64_t n = first; n < end && !*cut; n++) {
		struct page_frame frame = parse(f, bytes + (n - first) * f->size, n);
		if (!frame.is_root || !frame.active)
			continue;
		*cut = out->len >= limit(list_entries);
		if (!*cut)
			g_array_append_val(out, frame);
	}
}

GArray *page_frames_roots(struct page_frames *f, bool *cut)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct page_frame));
	struct range range = { 0, 0 };
	uint64_t end = 0;

	for (pa_t at = { 0 }; image_next_range(f->context->image, at, &range); at.v = end) {
		if (range.start + range.length <= at.v)
			break;
		end = range.start + range.length;
	}
	uint64_t frames = MIN(end / PAGE_SIZE, FRAME_BITS);
	va_t cursor = f->base, last = { f->base.v + (frames * f->size - 1) };
	/* An entry for each frame that is there, and some room for those that are not in the dump. */
	uint64_t budget = 4 * (f->context->image->bytes_filled / PAGE_SIZE * f->size / PAGE_SIZE) + 4096;
	struct page page;
	*cut = false;
	if (!frames || last.v < f->base.v)
		return out;
	/* What of it has no memory behind it, for there are holes in physical memory, is not mapped. */
	while (cursor.v >= f->base.v && cursor.v <= last.v && space_next_page(f->space, &cursor, last, &page)) {
		for (uint64_t at = 0; page_resident(&page) && at < page.size && !context_cancelled(f->context); at += PAGE_SIZE) {
			va_t va = { page.va.v + at };
			if (va.v + PAGE_MASK < f->base.v || va.v > last.v)
				continue;
			*cut = !budget--;
			if (!*cut)
				look_at(f, va, frames, out, cut);
			if (*cut)
				return out;
		}
	}
	return out;
}

va_t page_owner(uint64_t u1, enum page_owner_form form)
{
	if (form == OWNER_POINTER)
		return (va_t){ u1 };
	return (va_t){ UINT64_C(0xffff800000000000) | (u1 >> BUDDY_SHIFT & BUDDY_BITS) << 4 };
}

void page_frames_vote(struct page_frames *f, pa_t root, va_t process, unsigned votes[OWNER_FORMS])
{
	struct page_frame frame;

	if (page_frames_at(f, root, &frame) || !frame.is_root)
		return;
	for (unsigned form = 0; form < OWNER_FORMS; form++)
		votes[form] += page_owner(frame.u1, form).v == process.v;
}

enum page_owner_form page_owner_elected(const unsigned votes[OWNER_FORMS])
{
	if (!votes[OWNER_POINTER] && !votes[OWNER_BUDDY])
		return OWNER_FORMS;
	return votes[OWNER_POINTER] > votes[OWNER_BUDDY] ? OWNER_POINTER : OWNER_BUDDY;
}
