/* SPDX-License-Identifier: Apache-2.0 */
/* Whether page tables of the kernel are missing from a dump. */
#include "rescue.h"
#include "bytes.h"
#include "limit.h"

/* Of the kernel's page tables each so many-th is looked at, up to so many, for whether it was filled with zeros. */
#define BLANK_EACH 4u
#define BLANK_SAMPLE 256u

/* Was the page filled with zeros, for want of what it had? */
static bool is_blank(struct image *image, uint64_t pa)
{
	uint8_t scratch[PAGE_SIZE];
	const uint8_t *page = image_page(image, (pa_t){ pa }, scratch);

	return page && bytes_are_zero(page, PAGE_SIZE);
}

/* Of the tables that the kernel's half of a root leads to. */
struct table_count { uint64_t there, missing, looked, blank; };

static void count_tables(struct image *image, pa_t dtb, const uint64_t root[512], struct table_count *c)
{
	uint64_t pointers[512], directory[512];
	unsigned directories = 0;

	for (unsigned i = 256; i < 512; i++) {
		uint64_t at = root[i] & UINT64_C(0x0000fffffffff000);
		if (!(root[i] & 1) || at == dtb.v)
			continue;
		if (image_read(image, (pa_t){ at }, pointers, sizeof(pointers))) {
			c->missing += 512;
			continue;
		}
		for (unsigned j = 0; j < 512; j++) {
			if (!(pointers[j] & 1) || pointers[j] & 0x80)
				continue;
			if (++directories > limit(kernel_directories)) {	/* they name each other */
				image_note(image, FAULT_LIMIT, 0, "the kernel has more page directories than are looked at for missing page tables (kernel_directories)");
				return;
			}
			if (image_read(image, (pa_t){ pointers[j] & UINT64_C(0x0000fffffffff000) }, directory, sizeof(directory))) {
				c->missing += 512;
				continue;
			}
			for (unsigned n = 0; n < 512; n++) {
				uint64_t table = directory[n] & UINT64_C(0x0000fffffffff000);
				if (!(directory[n] & 1) || directory[n] & 0x80)
					continue;
				bool in = image_has(image, (pa_t){ table });
				c->there += in;
				c->missing += !in;
				/* To look at each would read far more than to ask where it is. */
				if (in && c->looked < BLANK_SAMPLE && !(c->there % BLANK_EACH)) {
					c->looked++;
					c->blank += is_blank(image, table);
				}
			}
		}
	}
}

bool rescue_needed(struct image *image, enum paging paging, pa_t dtb)
{
	struct table_count c = { 0 };
	uint64_t root[512];

	if (paging != PAGING_X64 || image_read(image, dtb, root, sizeof(root)))
		return paging == PAGING_X64;
	count_tables(image, dtb, root, &c);
	return c.missing > c.there / 256 || c.blank > c.looked / 16;
}
