/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over untrusted bytes already in memory. The first overrun makes it
 * sticky-bad: later takes return 0, so a parser reads a whole header and checks
 * `bad` once, before it believes any of it. All integers are little-endian.
 */
#ifndef MEMSIEVE_BYTES_H
#define MEMSIEVE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *p;
	size_t n;
	bool bad;
};

/* Nothing but zeros? Of none that is so. */
static inline bool bytes_are_zero(const uint8_t *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	if (b->bad || n > b->n) {
		b->bad = true;
		return NULL;
	}
	const uint8_t *p = b->p;
	if (n)	/* what is empty may be nowhere */
		b->p += n;
	b->n -= n;
	return p;
}

static inline uint64_t bytes_le(struct bytes *b, unsigned width)
{
	const uint8_t *p = bytes_take(b, width);
	uint64_t v = 0;

	for (unsigned i = width; p && i--; )
		v = v << 8 | p[i];
	return v;
}

static inline uint8_t bytes_u8(struct bytes *b) { return (uint8_t)bytes_le(b, 1); }
static inline uint16_t bytes_u16(struct bytes *b) { return (uint16_t)bytes_le(b, 2); }
static inline uint32_t bytes_u32(struct bytes *b) { return (uint32_t)bytes_le(b, 4); }
static inline uint64_t bytes_u64(struct bytes *b) { return bytes_le(b, 8); }

/* The part of b that offset and length name; bad if it is not within. */
static inline struct bytes bytes_slice(struct bytes b, uint64_t offset, uint64_t n)
{
	if (b.bad || offset > b.n || n > b.n - offset)
		return (struct bytes){ .bad = true };
	return (struct bytes){ offset ? b.p + offset : b.p, (size_t)n, false };
}

/* One integer at an offset; 0 when it is not within, and b becomes bad. */
static inline uint64_t bytes_at(struct bytes *b, uint64_t offset, unsigned width)
{
	struct bytes s = bytes_slice(*b, offset, width);
	uint64_t v = bytes_le(&s, width);

	b->bad |= s.bad;
	return v;
}
#endif
