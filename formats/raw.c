/* SPDX-License-Identifier: Apache-2.0 */
/* Raw images: byte n of the file is byte n of physical memory. They have no
 * header, so this reader takes what no other claims; whether a Windows kernel
 * lies in it is for the analysis to find. */
#include <string.h>
#include "format.h"

/* Signatures of files that are certainly something else: a clear word now is
 * better than a search through gigabytes that finds nothing. */
static const struct { const char *bytes; unsigned length; } others[] = {
	{ "\xff\xd8\xff", 3 },			/* JPEG */
	{ "\x89PNG\r\n\x1a\n", 8 },
	{ "%PDF-", 5 },
	{ "SQLite format 3", 16 },
	{ "MZ", 2 },				/* an executable */
	{ "\x1f\x8b\x08", 3 },			/* gzip */
	{ "\xfd" "7zXZ", 6 },
	{ "\x28\xb5\x2f\xfd", 4 },		/* zstd */
	{ "PK\x03\x04", 4 },
	{ "\x7f" "ELF", 4 },
	{ "KDUMP   ", 8 },
	{ "DISKDUMP", 8 },
	{ "makedumpfile", 12 },
	{ "PAGEDU", 6 },
	{ "MDMP", 4 },
	{ "EMiL", 4 },
};

static bool raw_match(const struct file *file)
{
	if (file->size < PAGE_SIZE)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (!memcmp(file->map, others[i].bytes, others[i].length))
			return false;
	return true;
}

static bool raw_open(struct image *image, GError **error)
{
	(void)error;
	image->facts.format = "raw";
	image_add_range(image, (pa_t){ 0 }, image->file->size & ~(uint64_t)PAGE_MASK, 0);
	if (image->file->size & PAGE_MASK)
		image_note(image, FAULT_IMPLAUSIBLE, image->file->size & ~(uint64_t)PAGE_MASK,
			   "the file is no whole number of pages: its last %u bytes are left out",
			   (unsigned)(image->file->size & PAGE_MASK));
	return true;
}

const struct format format_raw = {
	.name = "raw",
	.doc = "a raw memory image",
	.match = raw_match,
	.open = raw_open,
};
