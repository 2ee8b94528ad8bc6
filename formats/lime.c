/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LiME: each range of physical memory behind a header of its own (magic 0x4c694d45,
 * version, first and last address, 8 reserved bytes).
 */
#include <string.h>
#include "format.h"
#include "limit.h"

#define HEADER_SIZE 32
#define MAX_RANGES limit32(lime_ranges)

static bool lime_match(const struct file *file)
{
	return file->size >= 4 && !memcmp(file->map, "EMiL", 4);
}

static bool lime_open(struct image *image, GError **error)
{
	const struct file *file = image->file;
	uint64_t at = 0;
	uint32_t versions = 0, n;

	image->facts.format = "lime";
	for (n = 0; at < file->size && n < MAX_RANGES; n++) {
		struct bytes b = file_slice(file, at, HEADER_SIZE);
		uint32_t magic = bytes_u32(&b), version = bytes_u32(&b);
		uint64_t first = bytes_u64(&b), last = bytes_u64(&b);
		const char *what = b.bad ? "the file ends within it" : magic != 0x4c694d45 ? "its magic is not 0x4c694d45" :
				   last < first ? "its last address is below its first" : NULL;
		if (what && n == 0) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
				    "LiME header at 0x0 (0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER
				    "x, version %u): %s",
				    first, last, version, what);
			return false;
		}
		if (what) {
			image_note(image, FAULT_IMPLAUSIBLE, 0,
				   "LiME header %u at 0x%" G_GINT64_MODIFIER "x: %s (magic 0x%x, 0x%" G_GINT64_MODIFIER
				   "x-0x%" G_GINT64_MODIFIER "x): the ranges before it are used",
				   n, at, what, magic, first, last);
			break;
		}
		if (version > 1 && !(versions & 1u << MIN(version, 31)))
			image_note(image, FAULT_IMPLAUSIBLE, 0,
				   "LiME header at 0x%" G_GINT64_MODIFIER "x: version %u, not 1: read as 1", at,
				   version);
		versions |= 1u << MIN(version, 31);
		at += HEADER_SIZE;
		uint64_t length = last - first == UINT64_MAX ? UINT64_MAX : last - first + 1;
		image_add_range(image, (pa_t){ first }, length, at);
		if (length > file->size - at)
			break;
		at += length;
	}
	if (n == MAX_RANGES)
		image_note(image, FAULT_LIMIT, 0, "LiME: more than %u ranges", MAX_RANGES);
	image->facts.detail =
		g_strdup_printf("version %u", versions & 2 || !versions ? 1 : (unsigned)g_bit_nth_lsf(versions, -1));
	return true;
}

const struct format format_lime = {
	.name = "lime",
	.doc = "a LiME image",
	.match = lime_match,
	.open = lime_open,
};
