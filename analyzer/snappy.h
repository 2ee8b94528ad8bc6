/* SPDX-License-Identifier: Apache-2.0 */
/* Snappy, as google/snappy's format_description.txt and framing_format.txt describe it. */
#ifndef MEMSIEVE_SNAPPY_H
#define MEMSIEVE_SNAPPY_H
#include "bytes.h"

/* The length that a block says it has uncompressed; false: it says none within 32 bits. */
bool snappy_length(struct bytes block, uint64_t *length);
/* Decompress a whole block into exactly `size` bytes; false: it gives another length, or points out of what there is. */
bool snappy_decompress(struct bytes block, uint8_t *to, size_t size);
#endif
