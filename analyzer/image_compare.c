/* SPDX-License-Identifier: Apache-2.0 */
#include "image_compare.h"
#include <string.h>
#include "paging.h"

uint32_t view_pages(const struct view *view)
{
	uint64_t n = (view->vad->end.v - view->vad->start.v) / PAGE_SIZE + 1;

	return (uint32_t)MIN(n, UINT32_MAX / PAGE_SIZE);
}

enum fault view_section_page(const struct view *view, uint32_t index, struct page *section)
{
	const struct vad *vad = view->vad;
	va_t at = { vad->first_prototype_pte.v + (uint64_t)index * paging_entry_size(view->space->paging) };

	*section = (struct page){ .size = PAGE_SIZE, .state = PAGE_UNKNOWN };
	if (!vad->first_prototype_pte.v || index >= view_pages(view) ||
	    (vad->last_prototype_pte.v >= vad->first_prototype_pte.v && at.v > vad->last_prototype_pte.v))
		return FAULT_NOT_IN_DUMP;
	return space_prototype(view->space, at, section);
}

enum view_page view_page(const struct view *view, uint32_t index, struct page *page, struct page *section)
{
	va_t va = { view->vad->start.v + (uint64_t)index * PAGE_SIZE };
	enum fault fault = space_page(view->space, va, page);

	*section = (struct page){ .size = PAGE_SIZE, .state = PAGE_UNKNOWN };
	if (page->size > PAGE_SIZE) {	/* a large page: the part that is meant */
		page->pa.v += va.v - page->va.v;
		page->va = va;
		page->size = PAGE_SIZE;
	}
	if (!page_resident(page))
		return !fault && page->state == PAGE_DEMAND_ZERO ? VIEW_ZERO : VIEW_ABSENT;
	if (page->by_prototype) {
		*section = *page;
		return VIEW_SHARED;
	}
	if (view_section_page(view, index, section))
		return VIEW_UNKNOWN;
	return page_resident(section) && section->pa.v == page->pa.v ? VIEW_SHARED : VIEW_PRIVATE;
}

static enum fault read_within(const struct view *view, uint32_t rva, void *to, size_t length)
{
	struct page section;
	enum fault fault = view_section_page(view, rva / PAGE_SIZE, &section);

	if (!fault && page_resident(&section))
		fault = image_read(view->space->image, (pa_t){ section.pa.v + rva % PAGE_SIZE }, to, length);
	else if (!fault)
		fault = page_fault(&section);
	if (!fault && section.state == PAGE_DEMAND_ZERO)
		memset(to, 0, length);
	if (!fault || !view->space->vads)
		return fault;
	return space_read(view->space, (va_t){ view->vad->start.v + rva }, to, length, NULL);
}

static enum fault read_section(void *user, uint32_t rva, void *buffer, size_t length)
{
	const struct view *view = user;
	uint8_t *to = buffer;

	if (length > (uint64_t)view_pages(view) * PAGE_SIZE - MIN(rva, (uint64_t)view_pages(view) * PAGE_SIZE))
		return FAULT_UNMAPPED;
	while (length) {
		size_t n = MIN(length, PAGE_SIZE - rva % PAGE_SIZE);
		enum fault fault = read_within(view, rva, to, n);
		if (fault)
			return fault;
		to += n;
		rva += (uint32_t)n;
		length -= n;
	}
	return FAULT_NONE;
}

struct pe_source view_section_source(struct view *view)
{
	return (struct pe_source){ view, read_section };
}

void differences(const uint8_t *a, const uint8_t *b, uint32_t length, uint32_t gap, GArray *out)
{
	struct difference *last = NULL;

	for (uint32_t i = 0; i < length; i++) {
		if (a[i] == b[i])
			continue;
		if (last && i - (last->offset + last->length) <= gap) {
			last->length = i + 1 - last->offset;
			continue;
		}
		struct difference d = { i, 1 };
		g_array_append_val(out, d);
		last = &g_array_index(out, struct difference, out->len - 1);
	}
}

/* The relocations of both undone: what differs then was not relocation. */
static void moved_differences(const struct image_fixups *fixups, uint32_t rva, const uint8_t *original, uint64_t original_base,
			      const uint8_t *current, uint64_t base, uint32_t gap, GArray *out)
{
	uint8_t a[PAGE_SIZE], b[PAGE_SIZE];

	memcpy(a, original, PAGE_SIZE);
	memcpy(b, current, PAGE_SIZE);
	image_fixups_unrelocate(fixups, rva, a, PAGE_SIZE, original_base);
	image_fixups_unrelocate(fixups, rva, b, PAGE_SIZE, base);
	differences(a, b, PAGE_SIZE, gap, out);
}

void image_page_differences(const struct image_fixups *fixups, uint32_t rva, uint8_t original[PAGE_SIZE], uint64_t original_base,
			    const uint8_t current[PAGE_SIZE], uint64_t base, uint32_t gap, GArray *out)
{
	guint before = out->len;

	/* Zeroed in the bits that differ, the slots have the same in both. */
	for (uint32_t i = 0; fixups && i < PAGE_SIZE; i++)
		original[i] ^= current[i];
	if (fixups)
		image_fixups_mask(fixups, rva, original, PAGE_SIZE);
	for (uint32_t i = 0; fixups && i < PAGE_SIZE; i++)
		original[i] ^= current[i];
	differences(original, current, PAGE_SIZE, gap, out);
	if (!fixups || out->len == before || base == original_base)
		return;
	g_autoptr(GArray) moved = g_array_new(FALSE, FALSE, sizeof(struct difference));
	moved_differences(fixups, rva, original, original_base, current, base, gap, moved);
	if (moved->len >= out->len - before)
		return;		/* no relocation, then */
	g_array_set_size(out, before);
	if (moved->len)
		g_array_append_vals(out, moved->data, moved->len);
}
