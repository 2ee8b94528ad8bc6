/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LiME: each range of physical memory behind a header of its own (magic 0x4c694d45,
 * version, first and last address, 8 reserved bytes).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memmem */
#endif
#include <string.h>
#include "format.h"
#include "limit.h"

#define MAGIC 0x4c694d45u
#define HEADER_SIZE 32
#define MAX_RANGES limit32(lime_ranges)
#define LOOK_COST 256u	/* bytes that are searched while one place that begins like a header is looked at */

static bool lime_match(const struct file *file)
{
	return file->size >= 4 && !memcmp(file->map, "EMiL", 4);
}

struct header { uint32_t magic, version; uint64_t first, last; bool there; };

static struct header read_header(const struct file *file, uint64_t at)
{
	struct bytes b = file_slice(file, at, HEADER_SIZE);
	struct header h = { .magic = bytes_u32(&b), .version = bytes_u32(&b), .first = bytes_u64(&b), .last = bytes_u64(&b) };

	h.there = !b.bad;
	return h;
}

static const char *what_is_wrong(const struct header *h)
{
	return !h->there ? "the file ends within it" : h->magic != MAGIC ? "its magic is not 0x4c694d45" :
	       h->last < h->first ? "its last address is below its first" : NULL;
}

/* For headers. What broken ones make it look through again and again is bounded, too. */
struct search { const struct file *file; uint64_t left; };

/* The next header that could be one, behind `at`; the end of the file when there is none. Memory may hold such bytes
 * too: so this is asked only where a header is known to lie. */
static uint64_t next_header(struct search *search, uint64_t at)
{
	const struct file *file = search->file;
	struct range part;

	while (search->left && file_next_filled(file, at, &part)) {
		const uint8_t *from = file->map + part.start, *found = memmem(from, MIN(part.length, search->left), "EMiL", 4);
		const uint64_t done = found ? (uint64_t)(found - from) + 1 : part.length;
		search->left -= MIN(done + (found ? LOOK_COST : 0), search->left);
		at = part.start + done;
		if (!found)
			continue;
		struct header h = read_header(file, at - 1);
		if (!what_is_wrong(&h) && h.version <= 2 && !(h.first & PAGE_MASK) && (h.last & PAGE_MASK) == PAGE_MASK && !(h.first >> 52))
			return at - 1;
	}
	return file->size;
}

static uint64_t length_of(const struct header *h)
{
	return h->last - h->first == UINT64_MAX ? UINT64_MAX : h->last - h->first + 1;
}

/* Does a range end where no header stands, not even one without its magic, though another header follows? Then an address of its own is wrong. */
static bool ends_nowhere(struct search *search, uint64_t at, uint64_t length)
{
	const uint64_t end = at + HEADER_SIZE + length;
	const struct header behind = read_header(search->file, end);

	if (!behind.there || behind.magic == MAGIC)
		return false;
	uint64_t next = next_header(search, at + 4);
	if (next == search->file->size)
		return false;
	const bool within = next < end;
	next = within ? next_header(search, end + 4) : next;
	const uint64_t rest = next - end - HEADER_SIZE;
	/* None within, and whole pages up to the next one: it stood there, and is lost. */
	return length_of(&behind) != rest && (within || rest & PAGE_MASK);
}

static bool fits(uint64_t start, uint64_t length, uint64_t before, uint64_t after)
{
	return start >= before && start <= after && length <= after - start;
}

/* Where `length` bytes of memory begin whose header has a wrong address: at its first, or so that they end with its last; UINT64_MAX: neither
 * can be. Where both can: that which lies between the ranges around it. */
static uint64_t start_of(const struct header *h, uint64_t length, uint64_t before, uint64_t after)
{
	const bool first = !(h->first & PAGE_MASK) && !(h->first >> 52);
	const uint64_t by_last = h->last - length + 1;

	if (h->magic != MAGIC || h->last < length - 1 || by_last & PAGE_MASK || h->last >> 52)
		return first ? h->first : UINT64_MAX;
	return first && (fits(h->first, length, before, after) || !fits(by_last, length, before, after)) ? h->first : by_last;
}

static bool lime_open(struct image *image, GError **error)
{
	const struct file *file = image->file;
	const uint64_t filled = file_filled(file);
	struct search search = { file, filled < UINT64_MAX / limit(lime_search) ? filled * limit(lime_search) : UINT64_MAX };
	uint64_t at = 0, before = 0;
	uint32_t versions = 0, n, resumed = 0;

	image->facts.format = "lime";
	for (n = 0; at < file->size && n < MAX_RANGES; n++) {
		struct header h = read_header(file, at);
		const char *what = what_is_wrong(&h);
		uint64_t length = length_of(&h), room = at + HEADER_SIZE < file->size ? file->size - at - HEADER_SIZE : 0;
		if (!what && length > room)
			what = "its range is longer than what is left of the file";
		if (!what && resumed < limit(resumed) && ends_nowhere(&search, at, length))
			what = "behind its range stands no header";
		if (what && h.there) {
			/* What lies up to the next header is this one's, if one of its addresses can be right. */
			uint64_t next = resumed++ < limit(resumed) ? next_header(&search, at + 4) : file->size, length_there = next > at + HEADER_SIZE ? next - at - HEADER_SIZE : 0;
			uint64_t start = length_there ? start_of(&h, length_there, before, next < file->size ? read_header(file, next).first : UINT64_MAX) : UINT64_MAX;
			bool usable = start != UINT64_MAX && (h.magic == MAGIC ? next < file->size || h.last < h.first : length == length_there);
			if (usable || next < file->size) {
				if (usable)
					image_remark(image, start, "LiME header %u at 0x%" G_GINT64_MODIFIER "x: %s (magic 0x%x, 0x%" G_GINT64_MODIFIER "x-0x%"
						     G_GINT64_MODIFIER "x): its %s address is used, and its length is that up to the next at 0x%" G_GINT64_MODIFIER "x",
						     n, at, what, h.magic, h.first, h.last, start == h.first ? "first" : "last", next);
				else
					image_note(image, FAULT_NOT_IN_DUMP, h.first, "LiME header %u at 0x%" G_GINT64_MODIFIER "x: %s (magic 0x%x, 0x%" G_GINT64_MODIFIER
						   "x-0x%" G_GINT64_MODIFIER "x): its range is left out, the next header is at 0x%" G_GINT64_MODIFIER "x",
						   n, at, what, h.magic, h.first, h.last, next);
				if (usable)
					image_add_range(image, (pa_t){ start }, length_there, at + HEADER_SIZE);
				before = usable ? start + length_there : before;
				at = next;
				continue;
			}
		}
		if (what && (h.magic != MAGIC || h.last < h.first || !h.there)) {
			if (n == 0) {
				g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
					    "LiME header at 0x0 (0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x, version %u): %s",
					    h.first, h.last, h.version, what);
				return false;
			}
			const char *words = "LiME header %u at 0x%" G_GINT64_MODIFIER "x: %s (magic 0x%x, 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER
					    "x): the ranges before it are used";
			/* Whatever follows, no range: but for one whose header is lost, as pages of the file are: zeros, and then memory. */
			const struct bytes raw = file_slice(file, at, HEADER_SIZE);
			if (h.there && h.magic != MAGIC && (room < PAGE_SIZE || raw.bad || !bytes_are_zero(raw.p, raw.n) || file_only_zeros(file, at)))
				image_remark(image, 0, words, n, at, what, h.magic, h.first, h.last);
			else
				image_note(image, FAULT_NOT_IN_DUMP, 0, words, n, at, what, h.magic, h.first, h.last);
			break;
		}
		if (h.version > 1 && !(versions & 1u << MIN(h.version, 31)))
			image_remark(image, 0, "LiME header at 0x%" G_GINT64_MODIFIER "x: version %u, not 1: read as 1", at, h.version);
		versions |= 1u << MIN(h.version, 31);
		at += HEADER_SIZE;
		image_add_range(image, (pa_t){ h.first }, length, at);
		before = h.first + length;
		if (length > file->size - at)
			break;
		at += length;
	}
	if (n == MAX_RANGES && at < file->size)
		image_note(image, FAULT_LIMIT, 0, "LiME: more than %u ranges: the rest is left out", MAX_RANGES);
	if (resumed > limit(resumed))
		image_note(image, FAULT_LIMIT, 0, "LiME: more than %" G_GUINT64_FORMAT " broken headers: behind the last no next one was looked for", limit(resumed));
	if (!search.left)
		image_note(image, FAULT_LIMIT, 0, "LiME: headers behind broken ones were looked for in %" G_GUINT64_FORMAT
			   " times the bytes of the file: no more are (lime_search)", limit(lime_search));
	if (!image->segments->len) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "LiME: %u headers, none has a range that is in the file", n);
		return false;
	}
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
