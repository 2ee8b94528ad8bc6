/* SPDX-License-Identifier: Apache-2.0 */
#include "segment_heap.h"
#include "bytes.h"

#define UNIT 16u

/* _HEAP_VS_CHUNK_HEADER, before the pool's header: Sizes, hidden by its address and the key. */
enum { CHUNK_HEADER = 16, CHUNK_SIZE_BIT = 16, CHUNK_ALLOCATED_BIT = 48 };

/* _HEAP_PAGE_SEGMENT: 256 pages with a descriptor each, of which the first overlap its own header. */
#define SEGMENT_SIZE UINT64_C(0x100000)
#define SEGMENT_SIGNATURE UINT64_C(0xa2e64eada2e64ead)
enum { SEGMENT_SIGNATURE_AT = 0x10, DESCRIPTOR_SIZE = 0x20, RANGE_FLAGS_AT = 0x18, UNIT_OFFSET_AT = 0x1f };
enum { RANGE_LFH = 1, RANGE_ALLOCATED = 4, RANGE_FIRST = 8 };

/* _HEAP_LFH_SUBSEGMENT: two bits a block in its bitmap, the first of them says that it is in use. */
enum { LFH_BLOCK_COUNT_AT = 0x22, LFH_OFFSETS_AT = 0x28, LFH_BITMAP_AT = 0x30 };

void segment_heap_init(struct segment_heap *heap, const struct kernel *k, struct space *space)
{
	va_t at = kernel_symbol(k, RtlpHpHeapGlobals);
	uint64_t keys[2];

	*heap = (struct segment_heap){ false, 0, 0 };
	if (!at.v || space_pointer_size(space) != 8 || space_read(space, at, keys, sizeof(keys), NULL))
		return;
	*heap = (struct segment_heap){ keys[0] != 0, keys[0], keys[1] };
}

/* A chunk of variable size: larger blocks, and those of sizes that are rare. */
static enum block_state chunk_state(const struct segment_heap *heap, struct space *space, va_t header, uint32_t size)
{
	va_t at = { header.v - CHUNK_HEADER };
	uint64_t bits;

	if (space_read(space, at, &bits, sizeof(bits), NULL))
		return BLOCK_UNKNOWN;
	bits ^= at.v ^ heap->heap_key;
	uint32_t chunk = (uint32_t)(bits >> CHUNK_SIZE_BIT & 0xffff) * UNIT;
	uint64_t allocated = bits >> CHUNK_ALLOCATED_BIT;

	/* The block fills its chunk but for what is left of a page or too small to be one; freed chunks grow together. */
	if (allocated > 1 || chunk < size + CHUNK_HEADER || (allocated && chunk > size + CHUNK_HEADER + 2 * UNIT))
		return BLOCK_UNKNOWN;
	return allocated ? BLOCK_USED : BLOCK_FREE;
}

/* A block of the low-fragmentation heap: its page's descriptor leads to the subsegment, which has all of one size. */
static enum block_state bucket_state(const struct segment_heap *heap, struct space *space, va_t header, uint32_t size)
{
	uint64_t segment = header.v & ~(SEGMENT_SIZE - 1), page = (header.v - segment) / PAGE_SIZE, signature, word;
	uint8_t descriptor[DESCRIPTOR_SIZE], lfh[LFH_BITMAP_AT];
	struct bytes b = { lfh, sizeof(lfh), false };

	if (space_read(space, (va_t){ segment + SEGMENT_SIGNATURE_AT }, &signature, sizeof(signature), NULL))
		return BLOCK_UNKNOWN;
	/* What is left over is the address of the heap's context of segments. */
	signature ^= segment ^ heap->heap_key ^ SEGMENT_SIGNATURE;
	if (!space_is_kernel(space, (va_t){ signature }) || (signature & 7) ||
	    space_read(space, (va_t){ segment + page * DESCRIPTOR_SIZE }, descriptor, sizeof(descriptor), NULL))
		return BLOCK_UNKNOWN;
	if (!(descriptor[RANGE_FLAGS_AT] & RANGE_FIRST)) {
		if (!descriptor[UNIT_OFFSET_AT] || descriptor[UNIT_OFFSET_AT] > page)
			return BLOCK_UNKNOWN;
		page -= descriptor[UNIT_OFFSET_AT];
		if (space_read(space, (va_t){ segment + page * DESCRIPTOR_SIZE }, descriptor, sizeof(descriptor), NULL))
			return BLOCK_UNKNOWN;
	}
	const unsigned wanted = RANGE_FIRST | RANGE_ALLOCATED | RANGE_LFH;
	uint64_t subsegment = segment + page * PAGE_SIZE;
	if ((descriptor[RANGE_FLAGS_AT] & wanted) != wanted || space_read(space, (va_t){ subsegment }, lfh, sizeof(lfh), NULL))
		return BLOCK_UNKNOWN;
	uint32_t offsets = (uint32_t)bytes_at(&b, LFH_OFFSETS_AT, 4) ^ (uint32_t)heap->lfh_key ^ (uint32_t)(subsegment >> 12);
	uint32_t block = offsets & 0xffff, first = offsets >> 16, count = (uint32_t)bytes_at(&b, LFH_BLOCK_COUNT_AT, 2);
	uint64_t from = header.v - subsegment;
	if (!block || block % UNIT || block < size || from < first || (from - first) % block || (from - first) / block >= count)
		return BLOCK_UNKNOWN;
	uint64_t bit = 2 * ((from - first) / block);
	if (space_read(space, (va_t){ subsegment + LFH_BITMAP_AT + bit / 64 * 8 }, &word, sizeof(word), NULL))
		return BLOCK_UNKNOWN;
	return word >> (bit & 63) & 1 ? BLOCK_USED : BLOCK_FREE;
}

enum block_state segment_heap_state(const struct segment_heap *heap, struct space *space, va_t header, uint32_t size)
{
	if (!heap->known || !header.v)
		return BLOCK_UNKNOWN;
	/* The page's descriptor is surer than the header of a chunk, but only the second kind of page has a bitmap. */
	enum block_state state = bucket_state(heap, space, header, size);
	return state != BLOCK_UNKNOWN ? state : chunk_state(heap, space, header, size);
}
