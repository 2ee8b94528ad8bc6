/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables of any content in every paging mode: walked, looked up, read through. */
#include "fuzz_memory.h"
#include "limit.h"
#include "space.h"
#include "vad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t memory[FUZZ_SIZE], buffer[3 * PAGE_SIZE];
	struct fuzz_input in = { data, size };
	unsigned mode = fuzz_take(&in, 1), root = fuzz_take(&in, 1), mask = fuzz_take(&in, 1);
	uint64_t start = (uint64_t)fuzz_take(&in, 2) << (fuzz_take(&in, 1) % 49), last = UINT64_MAX;
	struct image image;
	struct file file;
	struct page page;
	va_t bad;

	memset(memory, 0, sizeof(memory));
	fuzz_fill(memory, &in);
	fuzz_image(&image, &file, memory, false);
	limit_values[LIMIT_walk_steps] = 4096;
	struct space *space = space_create(&image, NULL, (enum paging)(mode % PAGING_NONE), (pa_t){ (uint64_t)(root % FUZZ_PAGES) << 12 });
	space->invalid_pte_mask = mask & 1 ? UINT64_C(1) << 40 : 0;
	struct vad vad = { .end = { UINT64_MAX >> 17 }, .first_prototype_pte = { UINT64_C(0xffff800000000000) }, .type = VAD_IMAGE_MAP };
	struct vad_set vads = { g_array_new(FALSE, FALSE, sizeof(vad)) };
	g_array_append_val(vads.vads, vad);
	space->vads = mask & 2 ? &vads : NULL;

	va_t cursor = { start };
	uint64_t before = 0, n = 0;
	for (bool any = false; space_next_page(space, &cursor, (va_t){ last }, &page); any = true) {
		if (any && page.va.v < before)
			g_error("pages go backwards");
		before = page.va.v;
		if (++n > 200000)
			g_error("pages without end");
		if (n % 64 == 0 && page_resident(&page) && !space_read(space, page.va, buffer, 16, &bad) && page.pa.v >= FUZZ_SIZE)
			g_error("bytes of a page that is not there");
		if (cursor.v == 0)
			break;
	}
	for (unsigned i = 0; i < 64; i++) {
		va_t va = { i < 32 ? (uint64_t)i << 36 : UINT64_MAX - ((uint64_t)(i - 32) << 36) - 100 };
		bad.v = 1;
		(void)!space_page(space, va, &page);
		(void)!space_read(space, va, buffer, sizeof(buffer), &bad);
		(void)space_read_sparse(space, va, buffer, 300);
		(void)!space_prototype(space, va, &page);
	}
	space_destroy(space);
	g_array_free(vads.vads, TRUE);
	fuzz_image_clear(&image);
	return 0;
}
