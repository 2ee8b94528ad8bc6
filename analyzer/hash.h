/* SPDX-License-Identifier: Apache-2.0 */
/* The SHA-256 of a dump, computed on a thread of its own beside the analysis. */
#ifndef MEMSIEVE_HASH_H
#define MEMSIEVE_HASH_H
#include "image.h"

struct hasher;
struct hasher *hasher_start(const struct file *file);
/* Wait; lower-case hex (the caller frees), NULL when cancelled or failed. */
char *hasher_finish(struct hasher *hasher);
void hasher_cancel(struct hasher *hasher);
const char *hash_library_version(void);
/* Once, before threads: the library reads no configuration files of the machine. */
void hash_prepare(void);
#endif
