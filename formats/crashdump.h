/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the crash dump reader share. */
#ifndef MEMSIEVE_CRASHDUMP_H
#define MEMSIEVE_CRASHDUMP_H
#include "format.h"

/* DUMP_HEADER.DumpType: 1-7 as the kernel writes them, 8-10 as newer debuggers do (.dump /k, /ka, /f). */
enum dump_type {
	DUMP_FULL = 1, DUMP_SUMMARY, DUMP_HEADER_ONLY, DUMP_TRIAGE, DUMP_BITMAP_FULL, DUMP_BITMAP_KERNEL, DUMP_AUTOMATIC,
	DUMP_KERNEL, DUMP_KERNEL_USER, DUMP_COMPLETE,
};

/* DUMP_FILE_ATTRIBUTES */
#define DUMP_ATTRIBUTE_FILTER 0x40u	/* FilterDumpFile: an "active memory dump", free and guest pages left out */
#define DUMP_ATTRIBUTE_ENCRYPTED 0x100u	/* EncryptedDumpData */

struct crashdump {
	struct image *image;
	struct bytes header;
	bool is_64bit;
	uint32_t header_size;		/* 0x2000, 0x1000 for 32-bit machines */
	uint64_t required_space;	/* RequiredDumpSpace, 0 unset */
	uint64_t expected;		/* bytes the header and the pages it lists take, 0 unknown */
	uint64_t end;			/* where the pages end in the file */
};

/* The run list of the header (full dumps). */
bool crashdump_runs(struct crashdump *dump, GError **error);
/* The bitmap behind the header (SDMP, FDMP), or the range table there (RDMP). */
bool crashdump_bitmap(struct crashdump *dump, GError **error);
bool crashdump_range_table(struct crashdump *dump, GError **error);
bool crashdump_is_bitmap(struct crashdump *dump);
bool crashdump_is_range_table(const struct crashdump *dump);

bool crashdump_triage(struct crashdump *dump, GError **error);
/* Does the header that follows name the mark that Windows writes last? */
bool crashdump_is_triage(const struct crashdump *dump);

/* Secondary data blobs at or after `offset`: facts.secondary_data. Where they end, or `offset`. */
uint64_t crashdump_secondary_data(struct crashdump *dump, uint64_t offset);

/* Are user pages in the dump? -1: the page tables give no evidence. */
int crashdump_user_memory(struct image *image);
#endif
