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
	{ "makedumpfile", 12 },			/* flattened, of a type or version that isn't known */
	{ "PAGEDU", 6 },			/* a crash dump of another machine */
	{ "AVML", 4 },				/* Linux memory, compressed */
	{ "7z\xbc\xaf\x27\x1c", 6 },
	{ "Rar!", 4 },
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
