/* SPDX-License-Identifier: Apache-2.0 */
/* Xpress as Windows compresses memory with it ([MS-XCA]): plain LZ77 and LZ77 with Huffman codes.
 * (libfwnt 20181227 refuses the long matches that Windows writes for uniform pages.) */
#ifndef MEMSIEVE_XPRESS_H
#define MEMSIEVE_XPRESS_H
#include "bytes.h"

/* Decompress exactly `size` bytes; false when the data ends early or can't be Xpress. `to` may be written in part then. */
bool xpress_decompress(struct bytes data, uint8_t *to, size_t size);
bool xpress_huffman_decompress(struct bytes data, uint8_t *to, size_t size);
#endif
