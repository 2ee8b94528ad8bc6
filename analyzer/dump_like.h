/* SPDX-License-Identifier: Apache-2.0 */
/* Is a file a dump, by its first bytes and its name? For those nobody named: a folder's, an archive's members. */
#ifndef MEMSIEVE_DUMP_LIKE_H
#define MEMSIEVE_DUMP_LIKE_H
#include "packed.h"

/* It begins as a dump does; or, as raw images begin with anything, it has a raw image's name and at least a MiB. */
bool dump_like(const struct file *file);
/* The member at hand, of which something is read. `name`: where it has none of its own. */
bool dump_like_member(struct packed *packed, struct archive_entry *entry, const char *name);
#endif
