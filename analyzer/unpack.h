/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dumps that come packed: .gz .xz .zst .bz2 .lz4, the largest member of a .zip, and
 * "flattened" makedumpfile streams. They are unpacked, packed again as may be, into a
 * sparse temporary file without a name, in $TMPDIR or else /var/tmp.
 *
 * Against bombs: at most UNPACK_MAX bytes, at most UNPACK_FREE + UNPACK_RATIO times
 * the packed size, UNPACK_DEPTH layers, unpack_seconds of processor time for all of them, and UNPACK_RESERVE
 * bytes of the disk stay free. Pages of zeros cost no disk.
 */
#ifndef MEMSIEVE_UNPACK_H
#define MEMSIEVE_UNPACK_H
#include "image.h"
#include "limit.h"

#define UNPACK_MAX limit(unpack_bytes)
#define UNPACK_FREE limit(unpack_free)
#define UNPACK_RATIO limit(unpack_ratio)
#define UNPACK_DEPTH limit(unpack_layers)
#define UNPACK_RESERVE limit(unpack_reserve)

/*
 * `packed` itself when it is not packed, else a new file of the same path. NULL and
 * *error: nothing came out, a bomb, no room. *damage (the caller frees) says when the packing ended early, *bound when not all of an
 * archive was looked at, or other dumps are in it, or its time was over.
 */
struct file *unpack(struct file *packed, char **damage, char **bound, GError **error);
/* The most bytes that may come out of so many packed ones. */
uint64_t unpack_bound(uint64_t packed_size);
#endif
