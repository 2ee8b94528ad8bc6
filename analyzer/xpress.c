/* SPDX-License-Identifier: Apache-2.0 */
#include "xpress.h"
#include <glib.h>
#include <string.h>

#define SYMBOLS 512
#define CODE_BITS 15
#define BLOCK 65536u	/* output bytes that share one Huffman table */

/* Copy within the output. Where source and target overlap, that repeats a pattern: what is repeated so far is copied at once. */
static bool copy_match(uint8_t *to, size_t size, size_t *at, size_t offset, size_t length)
{
	if (offset > *at || length > size - *at)
		return false;
	uint8_t *target = to + *at;
	for (size_t done = 0, n; done < length; done += n) {
		n = MIN(offset + done, length - done);
		memcpy(target + done, target - offset, n);
	}
	*at += length;
	return true;
}

bool xpress_decompress(struct bytes data, uint8_t *to, size_t size)
{
	const uint8_t *half = NULL;	/* a byte whose upper half is the next length */
	uint32_t flags = 0;
	unsigned left = 0;
	size_t at = 0;

	while (at < size && !data.bad) {
		if (!left--) {
			flags = bytes_u32(&data);
			left = 31;
		}
		if (!(flags >> left & 1)) {
			to[at++] = bytes_u8(&data);
			continue;
		}
		uint16_t match = bytes_u16(&data);
		size_t length = match & 7, offset = (match >> 3) + 1u;
		if (length == 7) {
			if (half) {
				length = *half >> 4;
				half = NULL;
			} else {
				half = bytes_take(&data, 1);
				length = half ? *half & 15 : 0;
			}
			if (length == 15) {
				length = bytes_u8(&data);
				if (length == 255) {
					length = bytes_u16(&data);
					if (length == 0)
						length = bytes_u32(&data);
					if (length < 15 + 7)
						return false;
					length -= 15 + 7;
				}
				length += 15;
			}
			length += 7;
		}
		if (data.bad || !copy_match(to, size, &at, offset, length + 3))
			return false;
	}
	return !data.bad;
}

/* The code lengths of a block, 4 bits each, as a table from the next 15 bits to a symbol; SYMBOLS: no code. */
static bool build_table(const uint8_t *packed, uint8_t *lengths, uint16_t *table)
{
	size_t at = 0;

	for (unsigned i = 0; i < SYMBOLS; i++)
		lengths[i] = packed[i / 2] >> (i & 1 ? 4 : 0) & 15;
	for (unsigned bits = 1; bits <= CODE_BITS; bits++)
		for (unsigned i = 0; i < SYMBOLS; i++) {
			if (lengths[i] != bits)
				continue;
			size_t n = (size_t)1 << (CODE_BITS - bits);
			if (n > ((size_t)1 << CODE_BITS) - at)
				return false;
			while (n--)
				table[at++] = (uint16_t)i;
		}
	while (at < (size_t)1 << CODE_BITS)
		table[at++] = SYMBOLS;
	return true;
}

/* The bit stream comes in 16-bit words, with the bytes of long lengths between them. */
struct bits {
	struct bytes *data;
	uint32_t next;
	int extra;		/* bits beyond the 16 that are always there */
	int made_up;		/* bits, the last of these */
};

/* Past the end there are zeros: the last words are looked at before they are needed. */
static uint32_t word(struct bits *b)
{
	b->made_up += b->data->n >= 2 ? 0 : b->data->n ? 8 : 16;
	return b->data->n >= 2 ? bytes_u16(b->data) : b->data->n ? bytes_u8(b->data) : 0;
}

/* Was any of what is past the end needed? */
static bool past_end(const struct bits *b)
{
	return b->made_up > 16 + b->extra;
}

static void bits_take(struct bits *b, unsigned n)
{
	b->next <<= n;
	b->extra -= (int)n;
	if (b->extra < 0) {
		b->next |= word(b) << -b->extra;
		b->extra += 16;
	}
}

static bool huffman_block(struct bytes *data, const uint8_t *lengths, const uint16_t *table, uint8_t *to, size_t size,
			  size_t *at)
{
	struct bits b = { .data = data, .extra = 16 };
	size_t end = size - *at > BLOCK ? *at + BLOCK : size;

	b.next = word(&b) << 16;
	b.next |= word(&b);
	while (*at < end && !past_end(&b)) {
		unsigned symbol = table[b.next >> (32 - CODE_BITS)];
		if (symbol == SYMBOLS)
			return false;
		bits_take(&b, lengths[symbol]);
		if (symbol < 256) {
			to[(*at)++] = (uint8_t)symbol;
			continue;
		}
		size_t length = symbol & 15;
		unsigned offset_bits = (symbol - 256) >> 4;
		if (length == 15) {
			length = bytes_u8(data);
			if (length == 255) {
				length = bytes_u16(data);
				if (length == 0)
					length = bytes_u32(data);
				if (length < 15)
					return false;
				length -= 15;
			}
			length += 15;
		}
		size_t offset = (size_t)1 << offset_bits;
		if (offset_bits) {
			offset += b.next >> (32 - offset_bits);
			bits_take(&b, offset_bits);
		}
		if (data->bad || !copy_match(to, size, at, offset, length + 3))
			return false;
	}
	return !past_end(&b);
}

bool xpress_huffman_decompress(struct bytes data, uint8_t *to, size_t size)
{
	g_autofree uint16_t *table = g_new(uint16_t, (size_t)1 << CODE_BITS);
	uint8_t lengths[SYMBOLS];
	size_t at = 0;

	while (at < size) {
		const uint8_t *packed = bytes_take(&data, SYMBOLS / 2);
		if (!packed || !build_table(packed, lengths, table) ||
		    !huffman_block(&data, lengths, table, to, size, &at))
			return false;
	}
	return true;
}
