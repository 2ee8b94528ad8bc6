/* SPDX-License-Identifier: Apache-2.0 */
#include "kdbg.h"
#include <string.h>

#define TAG UINT64_C(0x4742444b)	/* "KDBG" */
/* Windows XP's block has 0x290 bytes, that of Windows 11 0x3a8. */
#define SIZE_MIN 0x208u

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return GUINT64_FROM_LE(v);
}

static uint64_t rotate_left(uint64_t v, unsigned n)
{
	return n ? v << n | v >> (64 - n) : v;
}

/* The tag and a size that may be. */
static bool plausible(uint64_t tag_and_size)
{
	uint64_t size = tag_and_size >> 32;

	return (tag_and_size & UINT32_MAX) == TAG && size >= SIZE_MIN && size <= KDBG_MAX;
}

static void store(struct kdbg *out, const uint8_t *block, size_t room, uint64_t key, unsigned rotation)
{
	for (size_t i = 0; i + 8 <= MIN(room, KDBG_MAX); i += 8) {
		uint64_t v = load(block + i);

		if (out->encoded)
			v = GUINT64_SWAP_LE_BE(rotate_left(v ^ key, rotation));
		v = GUINT64_TO_LE(v);
		memcpy(out->bytes + i, &v, 8);
	}
	out->size = (uint32_t)MIN(kdbg_value(out, KDBG_SIZE, 4), room);
	memset(out->bytes + out->size, 0, KDBG_MAX - out->size);
}

bool kdbg_find(const uint8_t *image, size_t size, uint64_t base, struct range part, struct kdbg *out)
{
	size_t end = (size_t)MIN(size, part.start + part.length);

	*out = (struct kdbg){ 0 };
	for (size_t at = (size_t)part.start; at < end && size - at >= SIZE_MIN; at += 8) {
		uint64_t tag = load(image + at + KDBG_TAG), kernel = load(image + at + KDBG_KERNEL_BASE), mixed = tag ^ kernel;

		if (!mixed || !tag || !kernel)
			continue;
		if (plausible(tag) && kernel == base) {
			out->rva = (uint32_t)at;
			out->size = KDBG_MAX;
			store(out, image + at, size - at, 0, 0);
			return true;
		}
		/* What is the same for all quadwords cancels out in the exclusive or of two. */
		for (unsigned r = 0; r < 64; r++) {
			if (!plausible(GUINT64_SWAP_LE_BE(rotate_left(mixed, r)) ^ base))
				continue;
			uint64_t swapped = GUINT64_SWAP_LE_BE(base);
			uint64_t key = kernel ^ rotate_left(swapped, (64 - r) % 64);
			/* List leads to the kernel's half: to itself, where the block is alone, or to a neighbour. */
			uint64_t link = GUINT64_SWAP_LE_BE(rotate_left(load(image + at) ^ key, r));
			bool narrow = base >> 32 == UINT32_MAX;
			if (narrow ? (link & UINT64_C(0x8000000380000003)) != UINT64_C(0x8000000080000000) : link >> 47 != 0x1ffff || (link & 7))
				continue;
			out->rva = (uint32_t)at;
			out->encoded = true;
			out->size = KDBG_MAX;
			store(out, image + at, size - at, key, r);
			return true;
		}
	}
	return false;
}

uint64_t kdbg_value(const struct kdbg *kdbg, unsigned offset, unsigned width)
{
	uint64_t v = 0;

	if (offset + width > kdbg->size)
		return 0;
	for (unsigned i = width; i--; )
		v = v << 8 | kdbg->bytes[offset + i];
	return v;
}
