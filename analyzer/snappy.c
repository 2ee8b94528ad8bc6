/* SPDX-License-Identifier: Apache-2.0 */
#include "snappy.h"
#include <string.h>

/* The length comes first, seven bits a byte, the lowest first. */
static bool take_length(struct bytes *block, uint64_t *length)
{
	*length = 0;
	for (unsigned shift = 0; shift < 35; shift += 7) {
		uint8_t byte = bytes_u8(block);
		*length |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return !block->bad && *length <= UINT32_MAX;
	}
	return false;
}

bool snappy_length(struct bytes block, uint64_t *length)
{
	return take_length(&block, length);
}

bool snappy_decompress(struct bytes block, uint8_t *to, size_t size)
{
	uint64_t total;
	size_t at = 0;

	if (!take_length(&block, &total) || total != size)
		return false;
	while (block.n && !block.bad) {
		uint8_t tag = bytes_u8(&block);
		uint64_t length = (tag >> 2) + 1u, offset;
		if (!(tag & 3)) {		/* a literal; 60 to 63 say how many bytes its length takes */
			if (length > 60)
				length = bytes_le(&block, (unsigned)length - 60) + 1;
			const uint8_t *literal = length <= size - at ? bytes_take(&block, (size_t)length) : NULL;
			if (!literal)
				return false;
			memcpy(to + at, literal, (size_t)length);
			at += (size_t)length;
			continue;
		}
		if ((tag & 3) == 1) {		/* a copy: 4 to 11 bytes, 11 bits back */
			length = (tag >> 2 & 7) + 4u;
			offset = (uint64_t)(tag >> 5) << 8 | bytes_u8(&block);
		} else {
			offset = bytes_le(&block, (tag & 3) == 2 ? 2 : 4);
		}
		if (block.bad || !offset || offset > at || length > size - at)
			return false;
		for (uint64_t i = 0; i < length; i++, at++)	/* they may overlap: that repeats */
			to[at] = to[at - offset];
	}
	return !block.bad && at == size;
}
