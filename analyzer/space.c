/* SPDX-License-Identifier: Apache-2.0 */
#include "space.h"
#include <string.h>
#include "limit.h"
#include "page_file.h"
#include "paging.h"
#include "rescue.h"
#include "vad.h"

/* Of a 32-bit machine that isn't asked to give its programs more; of Windows up to XP. */
#define DEFAULT_SYSTEM_START 0x80000000u
#define DEFAULT_PAGED_POOL 0xe1000000u
/* MM_SHARED_USER_DATA_VA */
#define SHARED_USER_DATA 0x7ffe0000u

void space_refill(struct space *space)
{
	uint64_t pages = space->image->bytes_filled / PAGE_SIZE;

	space->steps = limit(walk_steps) + limit(walk_steps_page) * pages;
	space->exhausted = false;
}

struct space *space_create(struct image *image, const struct layout *layout, enum paging paging, pa_t dtb)
{
	struct space *space = g_new0(struct space, 1);

	space->image = image;
	space->layout = layout;
	space->paging = paging;
	space_refill(space);
	space->dtb = paging_dtb(paging, dtb.v);
	space->system_start = DEFAULT_SYSTEM_START;
	space->paged_pool.v = DEFAULT_PAGED_POOL;
	space->without_nx = paging == PAGING_X86;
	return space;
}

static void copy_machine(struct space *to, const struct space *from)
{
	to->invalid_pte_mask = from->invalid_pte_mask;
	to->system_start = from->system_start;
	to->paged_pool = from->paged_pool;
	to->without_nx = from->without_nx;
}

struct space *space_of_process(struct space *kernel, enum paging paging, pa_t dtb)
{
	struct space *space = space_create(kernel->image, kernel->layout, paging, dtb);

	copy_machine(space, kernel);
	space->kernel = kernel;
	return space;
}

struct space *space_clone(const struct space *from)
{
	struct space *space = space_create(from->image, from->layout, from->paging, from->dtb);

	copy_machine(space, from);
	space->kernel = from->kernel;
	space->rescue = from->rescue;
	space->vads = from->vads;
	return space;
}

void space_destroy(struct space *space)
{
	if (!space)
		return;
	for (int i = 0; i < SPACE_CACHE_SLOTS; i++)
		g_free(space->slots[i].buffer);
	g_free(space);
}

unsigned space_pointer_size(const struct space *space)
{
	if (space->layout)
		return space->layout->pointer_size;
	return paging_is_32bit(space->paging) ? 4 : 8;
}

bool space_canonical(const struct space *space, va_t va)
{
	switch (space->paging) {
	case PAGING_X86: case PAGING_X86_PAE:
		return va.v <= UINT32_MAX;
	case PAGING_X64_LA57:
		return (uint64_t)((int64_t)(va.v << 7) >> 7) == va.v;
	case PAGING_NONE:
		return true;
	default:
		return (uint64_t)((int64_t)(va.v << 16) >> 16) == va.v;
	}
}

va_t space_user_end(const struct space *space)
{
	if (paging_is_32bit(space->paging))
		return (va_t){ space->system_start - 1 };
	return (va_t){ space->paging == PAGING_X64_LA57 ? UINT64_C(0x00ffffffffffffff) : UINT64_C(0x00007fffffffffff) };
}

bool space_is_kernel(const struct space *space, va_t va)
{
	if (paging_is_32bit(space->paging))
		return va.v >= space->system_start;
	return va.v >> 63;
}

/*
 * The PFN bits of an entry that isn't valid. Where SwizzleBit is clear, Windows has
 * set InvalidPteMask in it, so that a processor that speculates past the valid bit
 * (L1TF) reads no memory; where it is set the entry stands as it is.
 */
static uint64_t unswizzle(const struct space *space, uint64_t pte)
{
	if (!space->invalid_pte_mask || (pte >> 4 & 1))
		return pte;
	return pte & ~space->invalid_pte_mask;
}

#define PTE_VALID (UINT64_C(1) << 0)
#define PTE_PROTOTYPE (UINT64_C(1) << 10)
#define PTE_TRANSITION (UINT64_C(1) << 11)
#define PTE_PFN UINT64_C(0x0000fffffffff000)

static uint64_t bits_of(uint64_t entry, struct field field)
{
	unsigned shift = field.offset * 8u + field.bit, bits = field.bits ? field.bits : field.size * 8u;

	if (!bits || shift >= 64 || bits >= 64)
		return 0;
	return entry >> shift & ((UINT64_C(1) << bits) - 1);
}

/* Where the page that an entry (neither valid nor prototype; swizzling undone) says is in a page file can be read, or 0. */
static pa_t in_page_file(const struct space *space, uint64_t entry)
{
	if (!space->image->page_files || !space->layout || !paging_page_file(space->paging, entry))
		return (pa_t){ 0 };
	struct field low = space->layout->mmpte_software.PageFileLow, high = space->layout->mmpte_software.PageFileHigh;
	/* What is known of 32-bit kernels up to Windows 7 are those without PAE, whose entries are half as wide. */
	if (space->paging == PAGING_X86_PAE && high.size == 4)
		high = (struct field){ .offset = 4, .size = 4 };
	return page_file_address(space->image, bits_of(entry, low), bits_of(entry, high));
}

/* Where the processor can't tell, a page is executable if its descriptor means it to be. */
static void executable_by_vad(struct space *space, struct page *page)
{
	const struct vad *vad = space->without_nx && space->vads ? vad_find(space->vads, page->va) : NULL;

	if (vad && vad->protection_known)
		page->executable = protection_executable(vad->protection);
	else if (space->without_nx && (page->va.v & ~(uint64_t)PAGE_MASK) == SHARED_USER_DATA)
		page->executable = false;	/* in every process, and in old ones under no descriptor */
}

static void software_protection(const struct space *space, struct page *page, uint64_t pte)
{
	unsigned mm;
	if (!paging_protection(space->paging, pte, &mm)) {
		page->by_vad = true;	/* the prototype PTE or the descriptor has it */
		return;
	}
	uint32_t protection = protection_from_mm(mm);

	page->protection = (uint8_t)mm;
	page->executable = protection_executable(protection);
	page->writable = protection_writable(protection);
	page->copy_on_write = protection & (PAGE_WRITECOPY | PAGE_EXECUTE_WRITECOPY);
}

/* Follow a prototype PTE: where is the page of a section that it stands for? */
static void follow_prototype(struct space *space, va_t at, struct page *page)
{
	struct space *kernel = space->kernel ? space->kernel : space;
	uint64_t pte = 0;
	unsigned width = paging_entry_size(space->paging);

	page->by_prototype = true;
	page->prototype_pte = at;
	page->state = PAGE_UNKNOWN;
	/* A prototype PTE that lies in memory which itself needs one is nobody's: hostile ones go round. */
	if (!space_is_kernel(space, at) || (at.v & (width - 1)) || kernel->following)
		return;
	kernel->following = true;
	enum fault fault = space_read(kernel, at, &pte, width, NULL);
	kernel->following = false;
	page->table_fault = (uint8_t)fault;
	if (fault)
		return;
	if (pte & PTE_VALID) {
		page->state = PAGE_VALID;
		page->pa.v = paging_pfn(space->paging, pte);
	} else if (pte & PTE_PROTOTYPE) {
		page->state = PAGE_IN_FILE;
	} else if (pte & PTE_TRANSITION) {
		page->state = PAGE_TRANSITION;
		page->pa.v = paging_pfn(space->paging, unswizzle(space, pte));
	} else if (paging_page_file(space->paging, unswizzle(space, pte))) {
		page->state = PAGE_PAGED_OUT;
		page->pa = in_page_file(space, unswizzle(space, pte));
	} else {
		page->state = pte ? PAGE_DEMAND_ZERO : PAGE_IN_FILE;
	}
	/* Only the entry in the process's table says what this process may do; a
	 * deferring one leaves it to the prototype's own. */
	if (page->by_vad && (pte & PTE_VALID)) {
		struct paging_rights rights = paging_leaf_rights(space->paging, pte);
		page->executable = rights.executable;
		page->writable = rights.writable;
		page->copy_on_write = rights.copy_on_write;
		executable_by_vad(space, page);
	} else if (page->by_vad) {
		software_protection(space, page, pte);
	}
}

enum fault space_prototype(struct space *space, va_t at, struct page *page)
{
	*page = (struct page){ .size = PAGE_SIZE };
	follow_prototype(space, at, page);
	return page->state == PAGE_UNKNOWN ? page_fault(page) : FAULT_NONE;
}

/* The VAD's own prototype PTE for a page, where the page table has none. */
static bool follow_vad(struct space *space, struct page *page)
{
	const struct vad *vad = space->vads ? vad_find(space->vads, page->va) : NULL;

	if (!vad)
		return false;
	page->by_vad = true;
	if (vad->is_private) {
		if (!vad->mem_commit && !page->pte)
			return false;
		page->state = PAGE_DEMAND_ZERO;
		return true;
	}
	if (!vad->first_prototype_pte.v)
		return false;
	uint64_t index = (page->va.v - vad->start.v) / PAGE_SIZE, width = paging_entry_size(space->paging);
	va_t at = { vad->first_prototype_pte.v + index * width };
	if (vad->last_prototype_pte.v >= vad->first_prototype_pte.v && at.v > vad->last_prototype_pte.v) {
		page->state = PAGE_UNKNOWN;	/* in a later subsection, whose table is elsewhere */
		page->by_prototype = true;
		return true;
	}
	follow_prototype(space, at, page);
	/* The VAD of an image says EXECUTE_WRITECOPY of all its pages: the prototypes know better. */
	if (vad->protection_known && vad->type != VAD_IMAGE_MAP) {
		page->executable = protection_executable(vad->protection);
		page->writable = protection_writable(vad->protection);
		page->copy_on_write = vad->protection & (PAGE_WRITECOPY | PAGE_EXECUTE_WRITECOPY);
	}
	return true;
}

/* Turn a leaf entry into a page; `slot` carries the rights of the levels above. */
static void leaf(struct space *space, const struct space_slot *slot, uint64_t pte, struct page *page)
{
	page->pte = pte;
	page->user = slot->user;
	if (paging_valid(space->paging, pte)) {
		struct paging_rights rights = paging_leaf_rights(space->paging, pte);
		page->state = PAGE_VALID;
		page->pa.v = paging_pfn(space->paging, pte);
		page->executable = slot->executable && rights.executable;
		page->writable = slot->writable && rights.writable;
		page->user = slot->user && rights.user;
		page->dirty = rights.dirty;
		page->copy_on_write = rights.copy_on_write;
		executable_by_vad(space, page);
		return;
	}
	if (!pte) {
		page->state = PAGE_ABSENT;
		return;
	}
	if (pte & PTE_PROTOTYPE) {
		va_t at = { 0 };
		software_protection(space, page, pte);
		if (paging_prototype(space->paging, unswizzle(space, pte), space->paged_pool, &at)) {
			follow_prototype(space, at, page);
		} else {	/* the entry says: ask the VAD */
			page->by_prototype = true;
			if (!follow_vad(space, page))
				page->state = PAGE_UNKNOWN;
		}
	} else if (pte & PTE_TRANSITION) {
		software_protection(space, page, pte);
		page->state = PAGE_TRANSITION;
		page->pa.v = paging_pfn(space->paging, unswizzle(space, pte));
	} else {
		software_protection(space, page, pte);
		page->state = paging_page_file(space->paging, unswizzle(space, pte)) ? PAGE_PAGED_OUT : PAGE_DEMAND_ZERO;
		if (page->state == PAGE_PAGED_OUT)
			page->pa = in_page_file(space, unswizzle(space, pte));
	}
}

/* Where the run of zero entries ends that the one at `index` begins, within its table. */
static uint64_t after_zeros(struct space *space, pa_t table, uint64_t index, uint64_t mask, uint64_t span, va_t va)
{
	const struct paging_mode *mode = &paging_modes[space->paging];
	const uint8_t *entries = image_page(space->image, table, NULL);
	uint64_t n = 1, at = table.v & PAGE_MASK;	/* PAE's top table is no whole page */

	while (entries && index + n <= mask && at + (index + n + 1) * mode->entry_size <= PAGE_SIZE) {
		uint64_t entry = 0;
		memcpy(&entry, entries + at + (index + n) * mode->entry_size, mode->entry_size);
		if (entry)
			break;
		n++;
	}
	return (va.v & ~(span - 1)) + n * span;
}

static struct space_slot *walk_tables(struct space *space, va_t va, struct page *large, uint64_t *next)
{
	const struct paging_mode *mode = &paging_modes[space->paging];
	uint64_t tag = (va.v >> mode->table_shift) + 1;
	struct space_slot *slot = &space->slots[tag % SPACE_CACHE_SLOTS];

	large->size = 0;
	*next = 0;
	if (slot->tag == tag && slot->table)
		return slot;
	slot->tag = 0;
	slot->table = NULL;
	slot->absent = PAGE_ABSENT;
	slot->writable = slot->executable = slot->user = true;
	slot->sparse = false;
	pa_t table = space->dtb;
	for (unsigned level = 0; level < mode->levels; level++) {
		unsigned shift = mode->shift[level];
		uint64_t index = va.v >> shift & mode->mask[level], entry = 0;
		uint64_t span = UINT64_C(1) << shift;
		*next = (va.v & ~(span - 1)) + span;
		if (image_read(space->image, (pa_t){ table.v + index * mode->entry_size }, &entry, mode->entry_size)) {
			slot->absent = PAGE_UNKNOWN;
			return slot;
		}
		if (!paging_valid(space->paging, entry)) {
			/* A page table on its way out is still there. */
			if ((entry & PTE_TRANSITION) && !(entry & PTE_PROTOTYPE)) {
				table.v = paging_pfn(space->paging, unswizzle(space, entry));
				continue;
			}
			pa_t paged_out = entry & PTE_PROTOTYPE ? (pa_t){ 0 } : in_page_file(space, unswizzle(space, entry));
			if (paged_out.v) {
				table = paged_out;
				continue;
			}
			slot->absent = entry ? PAGE_PAGED_OUT : PAGE_ABSENT;
			if (!entry)
				*next = after_zeros(space, table, index, mode->mask[level], span, va);
			return slot;
		}
		struct paging_rights rights = paging_table_rights(space->paging, entry);
		bool is_leaf = paging_is_large(space->paging, level, entry);
		if (is_leaf) {
			rights = paging_leaf_rights(space->paging, entry);
			large->size = span;
			large->pte = entry;
			large->state = PAGE_VALID;
			large->pa.v = paging_large_pfn(space->paging, entry, span);
			large->executable = slot->executable && rights.executable;
			large->writable = slot->writable && rights.writable;
			large->user = slot->user && rights.user;
			large->dirty = rights.dirty;
			large->copy_on_write = rights.copy_on_write;
			executable_by_vad(space, large);
			return slot;
		}
		slot->executable &= rights.executable;
		slot->writable &= rights.writable;
		slot->user &= rights.user;
		table.v = paging_pfn(space->paging, entry);
	}
	slot->table = image_page(space->image, table, NULL);
	if (!slot->table) {	/* encoded, or not in the dump */
		if (!slot->buffer)
			slot->buffer = g_malloc(PAGE_SIZE);
		slot->table = image_page(space->image, table, slot->buffer);
	}
	/* Where parts of a dump were lost they may have been filled with zeros; no table that is in use is empty. */
	if (space->rescue && slot->table && bytes_are_zero(slot->table, PAGE_SIZE))
		slot->table = NULL;
	if (!slot->table)
		slot->absent = PAGE_UNKNOWN;
	else
		slot->tag = tag;
	return slot;
}

/*
 * Fill the slot of the 2 MiB that va lies in: the page table, or a large page
 * (returned in *large). Where there is neither, *next is the first address beyond that may have one (0: none).
 */
static struct space_slot *fill(struct space *space, va_t va, struct page *large, uint64_t *next)
{
	struct space_slot *slot = walk_tables(space, va, large, next);
	uint64_t tag = va.v >> 21, following;

	if (G_LIKELY(!space->rescue || slot->table || large->size))
		return slot;
	const struct rescued *known = rescue_at(space->rescue, tag, &following);
	if (known && known->table) {
		slot->table = known->table;
		slot->tag = tag + 1;
		slot->user = !space_is_kernel(space, va);
		slot->sparse = known->sparse;
	} else if (known) {
		*large = (struct page){ .va = va, .size = 1u << 21, .state = PAGE_VALID, .pa = known->large, .pte = known->large.v | 0xe3,
					.executable = true, .writable = true };
	} else if (following != UINT64_MAX && (!*next || following << 21 < *next)) {
		*next = following << 21;
	}
	return slot;
}

static uint64_t table_entry(const struct space *space, const struct space_slot *slot, va_t va)
{
	const struct paging_mode *mode = &paging_modes[space->paging];
	uint64_t index = va.v >> 12 & mode->table_mask, entry = 0;

	memcpy(&entry, slot->table + index * mode->entry_size, mode->entry_size);
	return entry;
}

enum fault page_fault(const struct page *page)
{
	switch (page->state) {
	case PAGE_VALID: case PAGE_TRANSITION: case PAGE_DEMAND_ZERO:
		return FAULT_NONE;
	case PAGE_PAGED_OUT:
		return page->pa.v ? FAULT_NONE : FAULT_PAGED_OUT;
	case PAGE_IN_FILE:
		return FAULT_PAGED_OUT;
	case PAGE_UNKNOWN:
		return page->table_fault ? (enum fault)page->table_fault : FAULT_NOT_IN_DUMP;
	default:
		return FAULT_UNMAPPED;
	}
}

bool space_spend(struct space *space, uint64_t steps)
{
	if (steps <= space->steps && !(space->stop && *space->stop) && !image_search_ask(space->image)) {
		space->steps -= steps;
		return true;
	}
	space->steps = 0;
	space->exhausted = true;
	return false;
}

/* The region of a minidump that va lies in; NULL: it tells of none there, or not in the order of their addresses. */
static const struct minidump_region *region_at(const struct image *image, uint64_t va)
{
	const GArray *regions = image->minidump ? image->minidump->regions : NULL;
	guint low = 0, high = regions ? regions->len : 0;

	while (low < high) {
		guint middle = low + (high - low) / 2;
		const struct minidump_region *region = &g_array_index(regions, struct minidump_region, middle);
		if (va - region->base < region->size)
			return region;
		if (va < region->base)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* In a dump of virtual memory a page is what the file has of it; the regions know its protection, else the VADs as what it was made. */
static bool direct_page(struct space *space, va_t va, struct page *page)
{
	const struct vad *vad = space->vads ? vad_find(space->vads, va) : NULL;
	pa_t there;

	*page = (struct page){ .va = { va.v & ~(uint64_t)PAGE_MASK }, .size = PAGE_SIZE };
	if (!image_next(space->image, (pa_t){ page->va.v }, &there) || there.v > (page->va.v | PAGE_MASK))
		return false;
	page->state = PAGE_VALID;
	page->pa.v = page->va.v;
	page->user = true;
	const struct minidump_region *region = region_at(space->image, va.v);
	uint32_t protection = region && region->protect ? region->protect : vad ? vad->protection : 0;
	page->executable = protection_executable(protection);
	page->writable = protection_writable(protection);
	return true;
}

/* Behind the last page of all there is no address: its last byte stands for it, at which no page begins. */
static va_t behind(const struct page *page)
{
	uint64_t end = page->va.v + page->size;

	return (va_t){ end ? end : SPACE_END };
}

static bool next_direct_page(struct space *space, va_t *cursor, va_t last, struct page *page)
{
	pa_t there;

	if (cursor->v > last.v || !image_next(space->image, (pa_t){ cursor->v }, &there) || there.v > last.v || !space_spend(space, 1))
		return false;
	if (!direct_page(space, (va_t){ there.v }, page))
		return false;
	*cursor = behind(page);
	return true;
}

enum fault space_page(struct space *space, va_t va, struct page *page)
{
	uint64_t next;

	*page = (struct page){ .va = { va.v & ~(uint64_t)PAGE_MASK }, .size = PAGE_SIZE };
	if (space->paging == PAGING_NONE)
		return direct_page(space, va, page) ? FAULT_NONE : FAULT_NOT_IN_DUMP;
	if (!space_canonical(space, va))
		return FAULT_UNMAPPED;
	struct page large = *page;
	struct space_slot *slot = fill(space, va, &large, &next);
	if (large.size) {
		*page = large;
		page->va.v = va.v & ~(large.size - 1);
		return FAULT_NONE;
	}
	uint64_t pte = slot->table ? table_entry(space, slot, page->va) : 0;
	if (slot->table && (pte || !slot->sparse))
		leaf(space, slot, pte, page);
	else
		page->state = slot->table ? PAGE_UNKNOWN : slot->absent;
	if (page->state == PAGE_ABSENT && !follow_vad(space, page))
		return FAULT_UNMAPPED;
	return page_fault(page);
}

bool space_next_page(struct space *space, va_t *cursor, va_t last, struct page *page)
{
	const struct paging_mode *mode = &paging_modes[space->paging];
	uint64_t at = cursor->v & ~(uint64_t)PAGE_MASK;

	if (cursor->v == SPACE_END)
		return false;
	if (space->paging == PAGING_NONE)
		return next_direct_page(space, cursor, last, page);
	while (at <= last.v && at >= (cursor->v & ~(uint64_t)PAGE_MASK)) {
		uint64_t next;
		if (!space_canonical(space, (va_t){ at })) {	/* jump over the hole */
			uint64_t top = space->paging == PAGING_X64_LA57 ? UINT64_C(0xff00000000000000) : UINT64_C(0xffff800000000000);
			if (paging_is_32bit(space->paging) || at >= top)
				return false;
			at = top;
			continue;
		}
		*page = (struct page){ .va = { at }, .size = PAGE_SIZE };
		struct page large = *page;
		struct space_slot *slot = fill(space, (va_t){ at }, &large, &next);
		if (!space_spend(space, MAX(large.size / PAGE_SIZE, 1)))
			return false;
		if (large.size) {
			*page = large;
			page->va.v = at & ~(large.size - 1);
			*cursor = behind(page);
			return true;
		}
		if (!slot->table) {
			if (next <= at)
				return false;
			at = next;
			continue;
		}
		/* Within one table: the next entry that isn't zero. */
		uint64_t end = at | ((UINT64_C(1) << mode->table_shift) - 1);
		for (; at <= last.v; at += PAGE_SIZE) {
			uint64_t pte = table_entry(space, slot, (va_t){ at });
			if (pte) {
				page->va.v = at;
				leaf(space, slot, pte, page);
				*cursor = behind(page);
				return true;
			}
			if (at == (end & ~(uint64_t)PAGE_MASK))
				break;
		}
		if (at > last.v || end == UINT64_MAX)
			return false;
		at = end + 1;
	}
	return false;
}

/* Bytes of one page into `to`; the caller has cut length to the page. */
static enum fault read_within(struct space *space, va_t va, void *to, size_t length)
{
	struct page page;

	if (space->paging == PAGING_NONE)	/* virtual memory by its address, or physical by its own */
		return image_read(space->image, (pa_t){ va.v }, to, length);
	enum fault fault = space_page(space, va, &page);
	if (fault)
		return fault;
	if (page.state == PAGE_DEMAND_ZERO) {
		memset(to, 0, length);
		return FAULT_NONE;
	}
	return image_read(space->image, (pa_t){ page.pa.v + (va.v - page.va.v) }, to, length);
}

enum fault space_read(struct space *space, va_t va, void *buffer, size_t length, va_t *bad)
{
	uint8_t *to = buffer;

	if (length && va.v > UINT64_MAX - (length - 1)) {
		if (bad)
			*bad = va;
		return FAULT_UNMAPPED;
	}
	while (length) {
		size_t n = MIN(length, PAGE_SIZE - (size_t)(va.v & PAGE_MASK));
		enum fault fault = read_within(space, va, to, n);
		if (fault) {
			if (bad)
				*bad = va;
			return fault;
		}
		to += n;
		va.v += n;
		length -= n;
	}
	return FAULT_NONE;
}

size_t space_read_sparse(struct space *space, va_t va, void *buffer, size_t length)
{
	uint8_t *to = buffer;
	size_t there = 0;

	while (length) {
		size_t n = MIN(length, PAGE_SIZE - (size_t)(va.v & PAGE_MASK));
		if (read_within(space, va, to, n))
			memset(to, 0, n);
		else
			there += n;
		to += n;
		if (va.v + n < va.v) {
			memset(to, 0, length - n);
			break;
		}
		va.v += n;
		length -= n;
	}
	return there;
}
