/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that look random and are not: each depends on the seed, a label and an index
 * alone, so that adding something to a sample doesn't move the rest of it. */
#ifndef MEMSIEVE_SAMPLES_RANDOM_H
#define MEMSIEVE_SAMPLES_RANDOM_H
#include <stdint.h>
#include <stdlib.h>

/* FNV-1a of the label, then the finaliser of SplitMix64. */
static inline uint64_t random_of(uint64_t seed, const char *label, uint64_t index)
{
	uint64_t x = UINT64_C(0xcbf29ce484222325);

	for (; *label; label++)
		x = (x ^ (uint8_t)*label) * UINT64_C(0x100000001b3);
	x ^= seed * UINT64_C(0x9e3779b97f4a7c15) + index * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}
#endif
