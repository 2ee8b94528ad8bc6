/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a pool block is in use, by the segment heap it lies in (Windows 10 1809 and later; from 19041 on all pool is one).
 * It leaves a freed block's pool header as it was, so that the header alone can't tell a live object from what is left of one.
 *
 * Sources: the kernels' public symbols for _RTLP_HP_HEAP_GLOBALS, _HEAP_VS_CHUNK_HEADER, _HEAP_PAGE_SEGMENT, _HEAP_PAGE_RANGE_DESCRIPTOR
 * and _HEAP_LFH_SUBSEGMENT, whose offsets are the same from 17763 to 22000; public write-ups on the kernel's pool (Bayet
 * and Fariello, "Scoop the Windows 10 pool!", 2020) and on the segment heap for how they are encoded.
 */
#ifndef MEMSIEVE_SEGMENT_HEAP_H
#define MEMSIEVE_SEGMENT_HEAP_H
#include "kernel.h"

enum block_state { BLOCK_UNKNOWN, BLOCK_USED, BLOCK_FREE };

struct segment_heap {
	bool known;		/* this kernel has one, and its keys could be read */
	uint64_t heap_key, lfh_key;
};

void segment_heap_init(struct segment_heap *heap, const struct kernel *kernel, struct space *space);
/* Of the block whose pool header is at `header`; `size`: its bytes with that header. Unknown: it lies in no such heap, or can't be read. */
enum block_state segment_heap_state(const struct segment_heap *heap, struct space *space, va_t header, uint32_t size);
#endif
