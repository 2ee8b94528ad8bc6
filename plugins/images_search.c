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
	GArray *bases, *ends;		/* uint64_t: of the images found by header in the region at hand */
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
	/* The signatures are what is taken first: then machine, size and magic of the optional header tell. */
	for (unsigned at = 0x40; at < 0x400; at += 8) {
		uint64_t magic = bytes_at(&b, at + 24, 2), machine = bytes_at(&b, at + 4, 2), size = bytes_at(&b, at + 20, 2);
		if (magic != 0x10b && magic != 0x20b)
			continue;
		if (bytes_at(&b, at, 4) == 0x4550 || ((machine == PE_MACHINE_AMD64 || machine == PE_MACHINE_ARM64) && magic == 0x20b && size >= 0x60 && size <= 0x200) ||
		    (machine == PE_MACHINE_I386 && magic == 0x10b && size >= 0x60 && size <= 0x200))
			return true;
	}
	return false;
}

/* A closer look, which takes a thousand times as long as the first: one page can be mapped a million times. */
static bool is_header(struct search *s, uint64_t base, uint32_t size_limit, uint32_t *size)
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

	if (!pe->has_file_header || !pe->has_optional_header || pe->header_state > PE_HEADER_PARTIAL)
		return false;
	unsigned headers = pe->damage & (PE_DAMAGE_FILE_HEADER | PE_DAMAGE_OPTIONAL_HEADER);
	/* Either of both may be damaged where all that is around it is as it should be. */
	*size = pe->size_of_image;
	return !headers || (headers == pe->damage && headers != (PE_DAMAGE_FILE_HEADER | PE_DAMAGE_OPTIONAL_HEADER) && pe->sections->len && pe->size_of_image);
}

static const uint8_t *resident_bytes(const struct search *s, const struct page *page, uint8_t *scratch)
{
	if (!page_readable(page) || page->size != PAGE_SIZE)
		return NULL;
	return image_page(s->c->image, page->pa, scratch);
}

/* Images whose headers are gone, anywhere in a region, beside those that were found by their headers. */
static void search_remains(struct search *s, const struct vad *vad)
{
	guint known = s->bases->len;

	image_remains_bases(s->c->user, vad->start.v, vad->end.v, s->bases, s->ends);
	for (guint i = known; i < s->bases->len; i++) {
		struct remains r = { .base = g_array_index(s->bases, uint64_t, i) };
		r.limit = (uint32_t)MIN(g_array_index(s->ends, uint64_t, i) - r.base, UINT32_MAX & ~PAGE_MASK);
		if (image_remains_find(s->c->user, r.base, r.limit, &r.parts) && !limit_reached(s)) {
			s->found++;
			s->each(s->user, &r);
		}
		image_remains_clear(&r.parts);
	}
}

/* ---- */

static void search_range(struct search *s, uint64_t start, uint64_t end, bool executable_only)
{
	va_t cursor = { start };
	struct page page;
	uint8_t scratch[PAGE_SIZE];

	g_array_set_size(s->bases, 0);
	g_array_set_size(s->ends, 0);
	while (cursor.v >= start && cursor.v <= end && space_next_page(s->c->user, &cursor, (va_t){ end }, &page)) {
		if (context_cancelled(s->c))
			break;
		if (executable_only && !page.executable)
			continue;
		const uint8_t *bytes = resident_bytes(s, &page, scratch);
		if (!bytes || !header_like(bytes))
			continue;
		uint32_t limit = (uint32_t)MIN(end - page.va.v + 1, UINT32_MAX & ~PAGE_MASK), size;
		if (!is_header(s, page.va.v, limit, &size) || limit_reached(s))
			continue;
		s->found++;
		uint64_t image_end = page.va.v + MAX(MIN(size, limit), PAGE_SIZE);
		g_array_append_val(s->bases, page.va.v);
		g_array_append_val(s->ends, image_end);
		struct remains r = { .base = page.va.v, .limit = limit, .has_header = true };
		s->each(s->user, &r);
	}
}

void search_images(struct context *c, found_image_fn each, void *user)
{
	g_autoptr(GArray) bases = g_array_new(FALSE, FALSE, sizeof(uint64_t)), ends = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	struct search s = { c, each, user, 0, 0, bases, ends };
	const GArray *vads = c->process->vads.vads;
	uint64_t at = 0x10000;

	for (guint i = 0; i < vads->len; i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		if (vad->start.v > at)
			search_range(&s, at, vad->start.v - 1, true);
		at = MAX(at, vad->end.v + 1);
		bool executable = vad->pages_executable || protection_executable(vad->protection);
		if (image_vad(vad) || vad->type == VAD_DEVICE_PHYSICAL_MEMORY || (vad->counted && !executable))
			continue;
		/* Where nobody counted, what is executable comes out page by page. */
		search_range(&s, vad->start.v, vad->end.v, !executable);
		if (vad->pages_present > 1)
			search_remains(&s, vad);
	}
	/* What the process can reach above its last VAD. */
	uint64_t top = c->kernel->paging == PAGING_X64_LA57 ? UINT64_C(0x00fffffffffeffff) : UINT64_C(0x7fffffffefff);
	if (vads->len && at < top && space_pointer_size(c->user) == 8)
		search_range(&s, at, top, true);
}
