/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory from a fuzzer's bytes. Pointers and page-table entries that lead somewhere are rare
 * among random bytes, so the input is a list of writes into zeroed memory, and some
 * of them write an address within it. Mutations then change one link or one count each.
 */
#ifndef FUZZ_MEMORY_H
#define FUZZ_MEMORY_H
#include <string.h>
#include "format.h"
#include "image.h"

#define FUZZ_PAGES 32u
#define FUZZ_SIZE (FUZZ_PAGES * PAGE_SIZE)
#define FUZZ_BASE UINT64_C(0xffff800000000000)	/* where it lies as kernel memory */
#define FUZZ_USER UINT64_C(0x10000)		/* and as user memory */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input { const uint8_t *p; size_t n; };

static inline unsigned fuzz_take(struct fuzz_input *in, unsigned bytes)
{
	unsigned v = 0;

	for (unsigned i = 0; i < bytes && in->n; i++, in->p++, in->n--)
		v |= (unsigned)*in->p << 8 * i;
	return v;
}

/* Each write is an offset, a kind and a value: five bytes. */
static inline void fuzz_fill(uint8_t *memory, struct fuzz_input *in)
{
	static const uint64_t odd[] = {
		UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT32_MAX, INT32_MAX, FUZZ_BASE - 1, FUZZ_BASE + FUZZ_SIZE, 0x7fffffff0000,
	};

	while (in->n >= 5) {
		unsigned at = (fuzz_take(in, 2) * 4) % (FUZZ_SIZE - 16), kind = fuzz_take(in, 1), value = fuzz_take(in, 2);
		uint64_t v = value;
		unsigned width = 8;
		switch (kind % 10) {
		case 0: width = 1; break;
		case 1: width = 2; break;
		case 2: width = 4; break;
		case 3: v = FUZZ_BASE + value * 2 % FUZZ_SIZE; break;		/* a kernel pointer */
		case 4: v = FUZZ_USER + value * 2 % FUZZ_SIZE; break;		/* a user pointer */
		case 5: v = (uint64_t)(value % FUZZ_PAGES) << 12 | (value >> 5 << 1 & 0xfff) | 1; break;	/* an entry that is valid */
		case 6: v = (uint64_t)value << 12 | (value & 0xc00); break;	/* one that isn't */
		case 7: v = odd[value % 8]; break;
		case 8: v = FUZZ_BASE + at + (value & 1 ? 0 : 8); break;	/* itself */
		case 9:	/* the same entry all over the page */
			v = (uint64_t)(value % FUZZ_PAGES) << 12 | 0x67;
			for (unsigned i = at & ~PAGE_MASK; i < (at | PAGE_MASK); i += 8)
				memcpy(memory + i, &v, 8);
			break;
		}
		memcpy(memory + at, &v, width);
	}
}

static inline void fuzz_note_free(void *note)
{
	g_free(((struct image_note *)note)->message);
	g_free(note);
}

/* An image over it; physical memory, or virtual at FUZZ_BASE and FUZZ_USER. Nothing is owned by it but the arrays. */
static inline void fuzz_image(struct image *image, struct file *file, const uint8_t *memory, bool is_virtual)
{
	extern const struct format format_raw;

	*file = (struct file){ .path = (char *)"fuzz", .fd = -1, .map = memory, .size = FUZZ_SIZE };
	*image = (struct image){ .file = file, .container = file, .format = &format_raw, .bytes_present = FUZZ_SIZE };
	image->segments = g_array_new(FALSE, FALSE, sizeof(struct segment));
	image->notes = g_ptr_array_new_with_free_func(fuzz_note_free);
	struct segment physical = { 0, FUZZ_SIZE, 0 }, user = { FUZZ_USER, FUZZ_SIZE, 0 }, kernel = { FUZZ_BASE, FUZZ_SIZE, 0 };
	if (is_virtual) {
		image->virtual_segments = g_array_new(FALSE, FALSE, sizeof(struct segment));
		g_array_append_val(image->virtual_segments, user);
		g_array_append_val(image->virtual_segments, kernel);
	} else {
		g_array_append_val(image->segments, physical);
	}
}

static inline void fuzz_image_clear(struct image *image)
{
	g_array_free(image->segments, TRUE);
	if (image->virtual_segments)
		g_array_free(image->virtual_segments, TRUE);
	g_ptr_array_free(image->notes, TRUE);
}

static inline void fuzz_text(const char *text)
{
	if (text && !g_utf8_validate(text, -1, NULL))
		g_error("text that is not UTF-8");
}
#endif
