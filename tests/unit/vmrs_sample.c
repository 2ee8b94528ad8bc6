/* SPDX-License-Identifier: Apache-2.0 */
/* A saved state of Hyper-V with two blocks, in each form that pages have in them. */
#include "format_samples.h"
#include <string.h>

/* An array's key in a store of Hyper-V; a value of more than 200 bytes stands elsewhere. */
static size_t vmrs_key(GByteArray *a, size_t at, const char *name, const GByteArray *value, size_t elsewhere)
{
	const size_t symbols = strlen(name) + 1, size = 21 + symbols + (elsewhere ? 12 : 4 + value->len);

	put_le(a, at, 7, 1);
	put_le(a, at + 1, elsewhere != 0, 1);
	put_le(a, at + 2, size, 4);
	put_le(a, at + 20, symbols, 1);
	put(a, at + 21, name, symbols);
	put_le(a, at + 21 + symbols, value->len, 4);
	if (elsewhere)
		put_le(a, at + 25 + symbols, elsewhere, 8);
	put(a, elsewhere ? elsewhere : at + 25 + symbols, value->data, value->len);
	return at + size;
}

GByteArray *sample_vmrs(void)
{
	GByteArray *a = g_byte_array_new();
	size_t at = SAMPLE_VMRS_KEYS + 10;

	for (unsigned n = 0; n < 2; n++) {
		put_le(a, n * 0x1000, 0x01282014, 4);
		put_le(a, n * 0x1000 + 8, 0xffff + n, 2);	/* it wraps around */
		put_le(a, n * 0x1000 + 10, 0x300 + 0x100 * n, 4);
	}
	put_le(a, 0x2000, 0x01110001, 4);
	put_le(a, 0x2004, 3, 4);
	put_le(a, 0x2008, 2, 1);
	put_le(a, 0x2008 + 5, SAMPLE_VMRS_KEYS, 8);
	put_le(a, 0x2008 + 13, 0x1000, 4);
	put_le(a, SAMPLE_VMRS_KEYS, 2, 2);
	put_le(a, SAMPLE_VMRS_KEYS + 2, 1, 2);
	for (unsigned n = 0; n < 2; n++) {
		GByteArray *map = g_byte_array_new(), *block = g_byte_array_new();
		put_le(map, 0, 3, 8);
		put_le(map, 8, n ? 1 : 2, 8);
		put_le(map, 16, n * 256, 8);
		put_le(map, 24, n ? 8 : 1, 8);
		put_le(map, 40, 0, 8);
		if (n) {		/* in two parts: 16 bytes, and all others packed */
			put_le(block, 0, 0xfffffffc, 4);
			put_le(block, 4, 16, 4);
			put_le(block, 8, 16, 4);
			put_le(block, 12, 8, 8);
			put_le(block, 20, 8, 8);
			put_le(block, 28, 0xfffffffc, 4);
			put_le(block, 32, SAMPLE_PAGE - 16, 4);
			put_le(block, 36, 18, 4);
			put_le(block, 40, 0x00800000, 4);	/* eight bytes, then a match that repeats them */
			put_le(block, 44, 8, 8);
			put_le(block, 52, 7 << 3 | 7, 2);
			put_le(block, 54, 0xff0f, 2);
			put_le(block, 56, SAMPLE_PAGE - 16 - 8 - 3, 2);
		} else {
			put_le(block, 0, 0xfffffffd, 4);
			put_le(block, 4, 1, 8);
			put_le(block, 12, 1, 4);
			put_le(block, 16, SAMPLE_PAGE, 4);
			put_page(block, 20, 2);
		}
		put_le(block, block->len, 0xffffffff, 4);
		at = vmrs_key(a, at, n ? "RamMemoryBlock1" : "RamMemoryBlock0", map, 0);
		at = vmrs_key(a, at, n ? "RamBlock1" : "RamBlock0", block, n ? 0 : SAMPLE_VMRS_BLOCK);
		g_byte_array_unref(map);
		g_byte_array_unref(block);
	}
	return a;
}
