/* SPDX-License-Identifier: Apache-2.0 */
/* Physical memory in which a kernel is looked for: low stubs, self-mapping tables, an image that claims to be ntoskrnl. */
#include "fuzz_memory.h"
#include "kernel.h"
#include "limit.h"

/* The least that is taken for the kernel: headers, an RSDS record. */
static void put_image(uint8_t *page)
{
	static const struct { uint16_t at; uint32_t value; } words[] = {
		{ 0, 0x5a4d }, { 0x3c, 0x80 }, { 0x80, 0x4550 }, { 0x84, 0x18664 }, { 0x94, 0xf0 << 0 }, { 0x98, 0x20b }, { 0xb8, 0x1000 }, { 0xbc, 0x200 },
		{ 0xd0, 0x800000 }, { 0xd4, 0x400 }, { 0x104, 16 }, { 0x138, 0x400 }, { 0x13c, 28 }, { 0x40c, 2 }, { 0x410, 0x40 }, { 0x414, 0x500 },
		{ 0x418, 0x500 }, { 0x500, 0x53445352 }, { 0x514, 1 },
		/* 733830EC-AFA1-A307-3FFA-9CC3A38FE93C: a build whose layout is built in */
		{ 0x504, 0x733830ec }, { 0x508, 0xa307afa1 }, { 0x50c, 0xc39cfa3f }, { 0x510, 0x3ce98fa3 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		memcpy(page + words[i].at, &words[i].value, 4);
	memcpy(page + 0x518, "ntkrnlmp.pdb", 13);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t memory[FUZZ_SIZE];
	struct fuzz_input in = { data, size };
	unsigned how = fuzz_take(&in, 1), dtb = fuzz_take(&in, 1), hint = fuzz_take(&in, 2);
	struct image image;
	struct file file;
	GError *error = NULL;

	memset(memory, 0, sizeof(memory));
	if (how & 1) {	/* a stub that leads to tables in pages 2 to 5, these to an image in page 6 */
		uint64_t stub[3] = { UINT64_C(0x00000001000600e9), UINT64_C(0xfffff80000000000) + hint * PAGE_SIZE, 2 * PAGE_SIZE };
		memcpy(memory + PAGE_SIZE, &stub[0], 8);
		memcpy(memory + PAGE_SIZE + 0x70, &stub[1], 8);
		memcpy(memory + PAGE_SIZE + 0xa0, &stub[2], 8);
	}
	if (how & 2)
		for (unsigned level = 0; level < 4; level++) {
			uint64_t entry = (3 + level) * PAGE_SIZE | 0x63;
			memcpy(memory + (2 + level) * PAGE_SIZE + (level ? 0 : 496 * 8), &entry, 8);
		}
	if (how & 4)
		put_image(memory + 6 * PAGE_SIZE);
	fuzz_fill(memory, &in);
	fuzz_image(&image, &file, memory, false);
	if (how & 8) {
		image.facts.dtb.v = (uint64_t)dtb << 12;
		image.facts.loaded_module_list.v = UINT64_C(0xfffff80000000000) + hint * 16;
	}
	image.facts.is_crash = how & 16;
	limit_values[LIMIT_kernel_search] = 4096;
	limit_values[LIMIT_kernel_search_all] = 16384;
	limit_values[LIMIT_walk_steps] = 1024;
	struct kernel *kernel = kernel_find(&image, NULL, &error);
	if (!kernel && !error)
		g_error("no kernel and no word why");
	if (kernel) {
		fuzz_text(kernel->pdb_name);
		fuzz_text(kernel->guid_age);
		fuzz_text(kernel->build_lab);
		fuzz_text(kernel->system_root);
	}
	kernel_destroy(kernel);
	g_clear_error(&error);
	fuzz_image_clear(&image);
	return 0;
}
