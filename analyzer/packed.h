/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A packed file as libarchive reads it: .gz .xz .zst .bz2 .lz4, of which one layer is taken off, or the members of a
 * .zip; in so much processor time, and without more of a zip's directory in memory than archive_members may need.
 */
#ifndef MEMSIEVE_PACKED_H
#define MEMSIEVE_PACKED_H
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include "image.h"

/* What ended it early: its time, more members than are looked at, a longer directory than so many have. */
enum packed_bound { PACKED_UNBOUND, PACKED_LATE, PACKED_MEMBERS, PACKED_DIRECTORY };

struct packed {
	struct archive *archive;
	bool zip;			/* else there is one member, without a name */
	enum packed_bound bound;
	/* packed.c's own */
	const struct file *file;
	uint64_t at, left, members;
	int64_t until;
	locale_t names;
};

/* By its first bytes. */
bool packed_is(const struct file *file);

/* Processor time of this thread, in microseconds. */
int64_t packed_clock(void);

/* `file`, which outlives it, until packed_clock() has come so far. False: not packed, or no memory. */
bool packed_open(struct packed *packed, const struct file *file, int64_t until);
void packed_close(struct packed *packed);
/* ARCHIVE_OK, ARCHIVE_EOF behind the last, or another of libarchive's words. */
int packed_next(struct packed *packed, struct archive_entry **entry);
/* archive_read_data_block(), in time; nothing has the length 0. */
int packed_data(struct packed *packed, const void **data, size_t *length, int64_t *at);
/* Why it ended, where libarchive says so. The caller frees. */
char *packed_error(const struct packed *packed);
#endif
