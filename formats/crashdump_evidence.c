/* SPDX-License-Identifier: Apache-2.0 */
/* What no header field of a crash dump says: whether user pages are in it, and which
 * blobs of secondary data follow the pages. */
#include <string.h>
#include "crashdump.h"
#include "limit.h"

#define MAX_PROCESSES 64
#define MAX_LEAVES 512		/* user pages looked at in one process */
#define PRESENT 1u
#define LARGE 0x80u
#define USER 4u

static uint64_t frame(uint64_t entry)
{
	return entry & G_GUINT64_CONSTANT(0x000ffffffffff000);
}

static uint64_t entry_at(struct image *image, uint64_t table, unsigned i)
{
	uint8_t raw[8];
	uint64_t entry;

	if (image_read(image, (pa_t){ table + 8 * i }, raw, 8))
		return 0;
	memcpy(&entry, raw, 8);
	return GUINT64_FROM_LE(entry);
}

/* x64, of four or five levels: enough to follow a list of kernel objects; large pages included. */
struct tables { struct image *image; uint64_t root; unsigned levels; };

static bool translate(const struct tables *t, uint64_t va, uint64_t *pa)
{
	uint64_t table = t->root;

	for (unsigned shift = 3 + 9 * t->levels; ; shift -= 9) {
		uint64_t entry = entry_at(t->image, table, va >> shift & 511), mask = (G_GUINT64_CONSTANT(1) << shift) - 1;
		if (!(entry & PRESENT))
			return false;
		if (shift == 12 || (shift < 39 && entry & LARGE)) {
			*pa = (frame(entry) & ~mask) | (va & mask);
			return true;
		}
		table = frame(entry);
	}
}

static uint64_t read_u64(const struct tables *t, uint64_t va)
{
	uint64_t pa;
	return va & 7 || !translate(t, va, &pa) ? 0 : entry_at(t->image, pa, 0);
}

/* Of the pages that user-mode entries name, how many the dump holds. */
static void count_user_pages(const struct tables *t, uint64_t root, uint64_t *there, uint64_t *absent)
{
	uint64_t tables[5] = { root };
	unsigned at[5] = { 0 }, level = 0, last = t->levels - 1, seen = 0, steps = 0;

	while (seen < MAX_LEAVES && steps++ < 1u << 16) {
		if (at[level] == (level ? 512 : 256)) {
			if (!level)
				return;
			level--;
			continue;
		}
		uint64_t entry = entry_at(t->image, tables[level], at[level]++);
		if (!(entry & PRESENT) || !(entry & USER))
			continue;
		if (level == last || (level + 2 >= last && entry & LARGE)) {
			bool in = image_has(t->image, (pa_t){ frame(entry) });
			*there += in;
			*absent += !in;
			seen++;
			continue;
		}
		tables[++level] = frame(entry);
		at[level] = 0;
	}
}

/* The index of the entry by which a top-level table maps itself, which Windows draws at boot; 0: none. */
static unsigned self_map(struct image *image, uint64_t dtb)
{
	for (unsigned i = 256; i < 512; i++) {
		uint64_t entry = entry_at(image, dtb, i);
		if (entry & PRESENT && frame(entry) == dtb)
			return i;
	}
	return 0;
}

/*
 * PsActiveProcessHead is in the header, the offset of the links within _EPROCESS is
 * not, but _KPROCESS.DirectoryTableBase is at 0x28 of all 64-bit builds, and a table
 * that maps itself at the system's index is certainly one: so the offset is tried.
 */
int crashdump_user_memory(struct image *image)
{
	const struct image_facts *facts = &image->facts;
	uint64_t head = facts->active_process_head.v, links = 0, there = 0, absent = 0, pa;
	struct tables system = { image, facts->dtb.v, 4 };
	unsigned self;

	if (facts->architecture != ARCH_X64 || !(self = self_map(image, system.root)))
		return -1;
	if (head && !translate(&system, head, &pa))
		system.levels = 5;
	count_user_pages(&system, system.root, &there, &absent);
	uint64_t at = head ? read_u64(&system, head) : 0;
	for (unsigned n = 0; at && at != head && n < MAX_PROCESSES; n++, at = read_u64(&system, at)) {
		uint64_t table = 0;
		for (uint64_t offset = links ? links : 0x100; offset <= (links ? links : 0x800); offset += 8) {
			table = frame(read_u64(&system, at - offset + 0x28));
			if (table && frame(entry_at(image, table, self)) == table) {
				links = offset;
				break;
			}
			table = 0;
		}
		if (table)
			count_user_pages(&system, table, &there, &absent);
	}
	if (there + absent < 16)
		return -1;
	return there > absent;	/* kernel dumps hold a few: KUSER_SHARED_DATA, locked buffers */
}

/*
 * _DUMP_BLOB_FILE_HEADER ("Dump", "Blob", HeaderSize, BuildNumber), then for each blob
 * _DUMP_BLOB_HEADER (HeaderSize, Tag, DataSize, PrePad, PostPad) and the data.
 */
uint64_t crashdump_secondary_data(struct crashdump *dump, uint64_t offset)
{
	const struct file *file = dump->image->file;
	struct bytes head = file_slice(file, offset, 16);

	if (head.bad || memcmp(head.p, "DumpBlob", 8))
		return offset;
	uint64_t at = offset + MAX(16, bytes_at(&head, 8, 4));
	g_autoptr(GString) json = g_string_new("[");
	for (unsigned n = 0; at < file->size; n++) {
		if (n == limit(secondary_data)) {
			image_note(dump->image, FAULT_LIMIT, 0, "secondary data: more than %u blobs", n);
			break;
		}
		struct bytes b = file_slice(file, at, 32);
		uint32_t header = bytes_u32(&b);
		const uint8_t *guid = bytes_take(&b, 16);
		uint64_t size = bytes_u32(&b), before = bytes_u32(&b), after = bytes_u32(&b);
		if (b.bad || header < 32 || header > PAGE_SIZE || header + before + size + after > file->size - at) {
			if (!b.bad && header >= 32 && header <= PAGE_SIZE)	/* else no blob */
				image_note(dump->image, FAULT_NOT_IN_DUMP, 0,
					   "secondary data: blob %u at 0x%" G_GINT64_MODIFIER "x: header %u, "
					   "%" G_GUINT64_FORMAT " bytes of data: past the end of the file",
					   n, at, header, size);
			break;
		}
		g_string_append_printf(
			json,
			"%s{\"guid\":\"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\","
			"\"offset\":%" G_GUINT64_FORMAT ",\"size\":%" G_GUINT64_FORMAT "}",
			n ? "," : "", guid[3], guid[2], guid[1], guid[0], guid[5], guid[4], guid[7], guid[6], guid[8],
			guid[9], guid[10], guid[11], guid[12], guid[13], guid[14], guid[15], at + header + before,
			size);
		at += header + before + size + after;
	}
	g_string_append_c(json, ']');
	g_free(dump->image->facts.secondary_data);
	dump->image->facts.secondary_data = g_strdup(json->str);
	return at;
}
