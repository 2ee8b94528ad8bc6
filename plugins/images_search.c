/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images in memory that no image mapping accounts for: written there by something other than
 * the memory manager. Their headers are looked for at every page of private and mapped memory
 * that is executable anywhere, and of executable pages in no VAD. Where the header was
 * removed, tables that only images have tell: a function table or relocation blocks, which
 * begin a section and so a page, and hold addresses relative to the image's base.
 */
#include <string.h>
#include "bytes.h"
#include "images.h"

enum {
	FUNCTIONS = 8,		/* entries that make a function table */
	RELOCATIONS = 16,	/* entries that make relocation blocks */
};

struct search {
	struct context *c;
	found_image_fn each;
	void *user;
	uint64_t found;
};

static bool limit_reached(struct search *s)
{
	if (s->found < limit(images_found))
		return false;
	if (s->found++ == limit(images_found))
		context_note(s->c, FAULT_LIMIT, (va_t){ 0 }, "images", "more than %" G_GUINT64_FORMAT " images in memory that is no image mapping",
			     limit(images_found));
	return true;
}

/* May a PE header begin here? */
static bool header_like(const uint8_t *bytes)
{
	struct bytes b = { bytes, PAGE_SIZE, false };

	if (bytes_at(&b, 0, 2) == 0x5a4d)	/* MZ */
		return true;
	for (unsigned at = 0x40; at < 0x400; at += 8)
		if (bytes_at(&b, at, 4) == 0x4550 && at + 26 < PAGE_SIZE) {	/* PE\0\0, magic of the optional header */
			uint64_t magic = bytes_at(&b, at + 24, 2);
			if (magic == 0x10b || magic == 0x20b)
				return true;
		}
	return false;
}

static bool is_header(struct search *s, uint64_t base, uint32_t limit)
{
	struct pe_space at = { s->c->user, { base } };
	AUTO_PE pe = pe_space_open(&at, limit);

	return pe->has_file_header && pe->has_optional_header &&
	       (pe->header_state == PE_HEADER_INTACT ||
		(pe->header_state == PE_HEADER_PARTIAL && !(pe->damage & (PE_DAMAGE_FILE_HEADER | PE_DAMAGE_OPTIONAL_HEADER))));
}

static const uint8_t *resident_bytes(const struct search *s, const struct page *page, uint8_t *scratch)
{
	if (!page_readable(page) || page->size != PAGE_SIZE)
		return NULL;
	return image_page(s->c->image, page->pa, scratch);
}

/* ---- images whose header is gone ---- */

/* IMAGE_RUNTIME_FUNCTION_ENTRY of x64: begin, end, unwind information; sorted. */
static uint32_t function_table(const uint8_t *bytes, uint32_t limit)
{
	struct bytes b = { bytes, PAGE_SIZE, false };
	uint32_t last = 0, n = 0;

	for (; n < PAGE_SIZE / 12; n++) {
		uint32_t begin = bytes_u32(&b), end = bytes_u32(&b), unwind = bytes_u32(&b);
		if (!begin || begin < last || end <= begin || end > limit || unwind >= limit || unwind < PAGE_SIZE)
			break;
		last = end;
	}
	return n >= FUNCTIONS ? n * 12 : 0;
}

/* Version 1 or 2, and flags that exist: of the first functions' unwind information. */
static bool unwinds(const struct search *s, uint64_t base, const uint8_t *table)
{
	struct bytes b = { table, PAGE_SIZE, false };

	for (unsigned i = 0; i < FUNCTIONS; i++) {
		uint8_t info;
		uint64_t at = bytes_at(&b, 12 * i + 8, 4) & ~UINT64_C(1);
		if (space_read(s->c->user, (va_t){ base + at }, &info, 1, NULL) || (info & 7) < 1 || (info & 7) > 2 || info >> 3 > 4)
			return false;
	}
	return true;
}

/* IMAGE_BASE_RELOCATION blocks: a page's RVA, the block's size, 16-bit entries. */
static uint32_t relocation_blocks(const uint8_t *bytes, uint32_t limit)
{
	struct bytes b = { bytes, PAGE_SIZE, false };
	uint32_t entries = 0, at = 0, last = 0;

	while (at + 8 <= PAGE_SIZE) {
		uint32_t page = (uint32_t)bytes_at(&b, at, 4), size = (uint32_t)bytes_at(&b, at + 4, 4);
		if (!page || page % PAGE_SIZE || page <= last || page >= limit || size < 10 || size % 4 || size > 8 + 2 * PAGE_SIZE)
			break;
		for (uint32_t i = 8; i + 2 <= MIN(size, PAGE_SIZE - at); i += 2, entries++) {
			unsigned type = (unsigned)bytes_at(&b, at + i, 2) >> 12;
			if (type != 0 && type != 3 && type != 10)
				return 0;
		}
		last = page;
		at += size;
	}
	return entries >= RELOCATIONS ? MIN(at, PAGE_SIZE) : 0;
}

static void search_remains(struct search *s, const struct vad *vad)
{
	struct remains r = { .base = vad->start.v, .limit = (uint32_t)MIN(vad->end.v - vad->start.v + 1, UINT32_MAX & ~PAGE_MASK) };
	va_t cursor = { vad->start.v + PAGE_SIZE };
	uint8_t scratch[PAGE_SIZE];
	struct page page;

	while (cursor.v <= vad->end.v && space_next_page(s->c->user, &cursor, vad->end, &page)) {
		const uint8_t *bytes = resident_bytes(s, &page, scratch);
		uint32_t rva = (uint32_t)(page.va.v - r.base), size;
		if (!bytes || page.va.v - r.base > r.limit)
			continue;
		if (!r.functions.rva && (size = function_table(bytes, r.limit)) && unwinds(s, r.base, bytes))
			r.functions = (struct pe_directory){ rva, size };
		else if (!r.relocations.rva && (size = relocation_blocks(bytes, r.limit)))
			r.relocations = (struct pe_directory){ rva, size };
	}
	if ((r.functions.rva || r.relocations.rva) && !limit_reached(s)) {
		s->found++;
		s->each(s->user, &r);
	}
}

/* ---- */

static uint64_t search_range(struct search *s, uint64_t start, uint64_t end, bool executable_only)
{
	va_t cursor = { start };
	struct page page;
	uint8_t scratch[PAGE_SIZE];
	uint64_t before = s->found;

	while (cursor.v >= start && cursor.v <= end && space_next_page(s->c->user, &cursor, (va_t){ end }, &page)) {
		if (context_cancelled(s->c))
			break;
		if (executable_only && !page.executable)
			continue;
		const uint8_t *bytes = resident_bytes(s, &page, scratch);
		if (!bytes || !header_like(bytes))
			continue;
		uint32_t limit = (uint32_t)MIN(end - page.va.v + 1, UINT32_MAX & ~PAGE_MASK);
		if (!is_header(s, page.va.v, limit) || limit_reached(s))
			continue;
		s->found++;
		struct remains r = { .base = page.va.v, .limit = limit, .has_header = true };
		s->each(s->user, &r);
	}
	return s->found - before;
}

void search_images(struct context *c, found_image_fn each, void *user)
{
	struct search s = { c, each, user, 0 };
	const GArray *vads = c->process->vads.vads;
	uint64_t at = 0x10000;

	for (guint i = 0; i < vads->len; i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		if (vad->start.v > at)
			search_range(&s, at, vad->start.v - 1, true);
		at = MAX(at, vad->end.v + 1);
		if (image_vad(vad) || vad->type == VAD_DEVICE_PHYSICAL_MEMORY ||
		    (!vad->pages_executable && !protection_executable(vad->protection)))
			continue;
		if (!search_range(&s, vad->start.v, vad->end.v, false) && vad->is_private && vad->pages_present > 1)
			search_remains(&s, vad);
	}
	/* What the process can reach above its last VAD. */
	uint64_t top = c->kernel->paging == PAGING_X64_LA57 ? UINT64_C(0x00fffffffffeffff) : UINT64_C(0x7fffffffefff);
	if (vads->len && at < top && space_pointer_size(c->user) == 8)
		search_range(&s, at, top, true);
}
