/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SHA-256 of a dump. It goes through the file in order on a thread of its own, in one pass with the sweep: neither is
 * ever farther from the other than what stays in the page cache, so the file is read from its disk once.
 */
#ifndef MEMSIEVE_HASH_H
#define MEMSIEVE_HASH_H
#include "image.h"

struct hasher;
/* Has it no more holes than hash_holes allows? */
bool hash_bounded(const struct file *file);
/* NULL where it has. */
struct hasher *hasher_start(const struct file *file);
/* Wait; lower-case hex (the caller frees), NULL when cancelled or failed, or without a hasher. */
char *hasher_finish(struct hasher *hasher);
void hasher_cancel(struct hasher *hasher);
/*
 * Before another thread reads the file at `at`: waits while the hash is farther behind than `window` bytes (0: a quarter of
 * the machine's memory). Returns at once when it is finished or cancelled, and when *cancel is nonzero (may be NULL).
 */
void hasher_wait(struct hasher *hasher, uint64_t at, uint64_t window, const volatile int *cancel);
const char *hash_library_version(void);
/* Once, before threads: the library reads no configuration files of the machine. */
void hash_prepare(void);
#endif
