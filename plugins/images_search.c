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

struct search {
	struct context *c;
	found_image_fn each;
	void *user;
	uint64_t found, looked;		/* images, and pages that began like one's header */
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

/* A closer look, which takes a thousand times as long as the first: one page can be mapped a million times. */
static bool is_header(struct search *s, uint64_t base, uint32_t size_limit)
{
	if (s->looked > limit(image_headers))
		return false;
	if (s->looked++ == limit(image_headers)) {
		context_note(s->c, FAULT_LIMIT, (va_t){ base }, "images", "more than %" G_GUINT64_FORMAT " pages that begin like an image",
			     limit(image_headers));
		return false;
	}
	struct pe_space at = { s->c->user, { base } };
	AUTO_PE pe = pe_space_open(&at, size_limit);

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

/* An image whose header is gone, at the start of a region. */
static void search_remains(struct search *s, const struct vad *vad)
{
	struct remains r = { .base = vad->start.v, .limit = (uint32_t)MIN(vad->end.v - vad->start.v + 1, UINT32_MAX & ~PAGE_MASK) };

	if (image_remains_find(s->c->user, r.base, r.limit, &r.parts) && !limit_reached(s)) {
		s->found++;
		s->each(s->user, &r);
	}
	image_remains_clear(&r.parts);
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
	struct search s = { c, each, user, 0, 0 };
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
