/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A saved state of Hyper-V: a store of keys (HyperVStorage 4.0) with two headers, a table of objects and a second one behind it that
 * names the table of keys, and the memory as blocks of 1 MiB: as they are, or page by page, filled or packed with Xpress.
 */
#include <string.h>
#include <zlib.h>
#include "writers.h"

#define TABLE 4096u			/* bytes of a table of objects or keys */
#define BLOCK_PAGES 256u
#define INLINE 2048u			/* larger values stand in an object of their own */

enum { OBJECT_TABLE = 1, KEY_TABLE, FILE_OBJECT, FREE_OBJECT };
enum { KEY_FREE = 1, KEY_INT = 3, KEY_ARRAY = 7, KEY_NODE = 9 };

struct store {
	GByteArray *file, *keys;
	uint32_t objects, more;		/* where the two tables of objects stand */
	unsigned n;			/* objects in the first */
};

static void append(GByteArray *a, uint64_t value, unsigned width)
{
	uint8_t raw[8];

	put_le(raw, value, width);
	g_byte_array_append(a, raw, width);
}

static uint32_t reserve(GByteArray *file, size_t size)
{
	const guint at = file->len;

	g_byte_array_set_size(file, at + (guint)((size + TABLE - 1) / TABLE * TABLE));
	memset(file->data + at, 0, file->len - at);
	return at;
}

/* Checksums are CRC-32 over a structure in which they are zero. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
	return (uint32_t)crc32(0, bytes, (uInt)size);
}

static void put_object(struct store *s, uint32_t table, unsigned n, unsigned type, uint64_t offset, size_t size)
{
	uint8_t *e = s->file->data + table + 8 + n * 18;

	e[0] = (uint8_t)type;
	put_le(e + 5, offset, 8);
	put_le(e + 13, (size + TABLE - 1) / TABLE * TABLE, 4);
	put_le(e + 1, checksum(e, 18), 4);
}

/* A key under a node of table 1 (0: under the root); where it stands in its table. */
static uint32_t put_key(struct store *s, unsigned type, uint32_t parent, const char *name, const uint8_t *value, size_t size, bool pointer)
{
	const guint at = s->keys->len;
	const size_t symbols = strlen(name) + 1, length = type == KEY_ARRAY && !pointer ? 4 + size : size;

	append(s->keys, type, 1);
	append(s->keys, pointer, 1);
	append(s->keys, 21 + symbols + length, 4);
	append(s->keys, parent != 0, 2);
	append(s->keys, parent, 4);
	append(s->keys, 0, 4);
	append(s->keys, at, 4);		/* in the order in which they were put in */
	append(s->keys, symbols, 1);
	g_byte_array_append(s->keys, (const uint8_t *)name, (guint)symbols);
	if (type == KEY_ARRAY && !pointer)
		append(s->keys, size, 4);
	g_byte_array_append(s->keys, value, (guint)size);
	put_le(s->keys->data + at + 12, checksum(s->keys->data + at, s->keys->len - at), 4);
	return at;
}

static void put_array(struct store *s, uint32_t parent, const char *name, const uint8_t *value, size_t size)
{
	uint8_t pointer[12];

	if (size < INLINE) {
		put_key(s, KEY_ARRAY, parent, name, value, size, false);
		return;
	}
	const uint32_t at = reserve(s->file, size);
	memcpy(s->file->data + at, value, size);
	put_object(s, s->objects, s->n++, FILE_OBJECT, at, size);
	put_le(pointer, size, 4);
	put_le(pointer + 4, at, 8);
	put_key(s, KEY_ARRAY, parent, name, pointer, sizeof(pointer), true);
}

/* Plain Xpress: literals, and matches where a byte repeats. */
static void put_xpress(GByteArray *a, const uint8_t *bytes, size_t size)
{
	guint flags_at = 0, half_at = 0;
	unsigned left = 0;
	uint32_t flags = 0;

	for (size_t at = 0, run; at < size; at += run ? run : 1) {
		run = 0;
		while (at && at + run < size && bytes[at + run] == bytes[at - 1])
			run++;
		if (run < 3)
			run = 0;
		if (!left) {
			flags_at = a->len;
			append(a, 0, 4);
			flags = 0;
			left = 32;
		}
		left--;
		flags |= (uint32_t)(run != 0) << left;
		put_le(a->data + flags_at, flags, 4);
		if (!run) {
			append(a, bytes[at], 1);
			continue;
		}
		const size_t n = run - 3;
		append(a, n < 7 ? n : 7, 2);	/* one byte back */
		if (n < 7)
			continue;
		const unsigned half = (unsigned)MIN(n - 7, 15);
		if (half_at) {
			a->data[half_at] |= (uint8_t)(half << 4);
			half_at = 0;
		} else {
			half_at = a->len;
			append(a, half, 1);
		}
		if (half < 15)
			continue;
		append(a, MIN(n - 22, 255), 1);
		if (n - 22 >= 255)
			append(a, n, 2);
	}
}

static bool uniform(const uint8_t *page)
{
	return !memcmp(page, page + 8, PAGE_SIZE - 8);
}

/* The pages from pfn on as one block. */
static void put_block(GByteArray *a, const struct output *o, uint64_t pfn, uint64_t pages)
{
	const uint8_t *memory = o->sample->memory->bytes + pfn * PAGE_SIZE;

	for (uint64_t i = 0, n; i < pages; i += n) {
		const uint8_t *page = memory + i * PAGE_SIZE;
		for (n = 1; uniform(page) && i + n < pages && !memcmp(page, page + n * PAGE_SIZE, PAGE_SIZE); n++)
			;
		if (uniform(page)) {
			append(a, n > 1 ? 0xfffffffd : 0xfffffffe, 4);
			g_byte_array_append(a, page, 8);
			if (n > 1)
				append(a, n, 4);
			continue;
		}
		g_autoptr(GByteArray) packed = g_byte_array_new();
		put_xpress(packed, page, PAGE_SIZE);
		const bool smaller = packed->len < PAGE_SIZE;
		append(a, smaller ? packed->len : PAGE_SIZE, 4);
		g_byte_array_append(a, smaller ? packed->data : page, smaller ? packed->len : PAGE_SIZE);
	}
	append(a, 0xffffffff, 4);
	if (a->len < BLOCK_PAGES * PAGE_SIZE)
		return;
	g_byte_array_set_size(a, 0);		/* packed it would not be smaller */
	g_byte_array_append(a, memory, (guint)(pages * PAGE_SIZE));
	g_byte_array_set_size(a, BLOCK_PAGES * PAGE_SIZE);
}

static void put_memory(struct store *s, const struct output *o, uint32_t parent)
{
	uint64_t pages, blocks = 0;
	unsigned ranges = 0;

	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages) {
		uint8_t map[48] = { 3 };
		g_autofree char *map_name = g_strdup_printf("RamMemoryBlock%u", ranges++);
		put_le(map + 8, pages, 8);
		put_le(map + 16, blocks * BLOCK_PAGES, 8);
		put_le(map + 24, pfn, 8);
		put_array(s, parent, map_name, map, sizeof(map));
		for (uint64_t done = 0; done < pages; done += BLOCK_PAGES) {
			g_autoptr(GByteArray) block = g_byte_array_new();
			g_autofree char *name = g_strdup_printf("RamBlock%" G_GUINT64_FORMAT, blocks++);
			put_block(block, o, pfn + done, MIN(BLOCK_PAGES, pages - done));
			put_array(s, parent, name, block->data, block->len);
		}
	}
}

static void write_vmrs(struct output *o)
{
	struct store s = { .file = g_byte_array_new(), .keys = g_byte_array_new() };
	uint8_t version[8] = { 0, 10 }, node[12] = { 0 };

	reserve(s.file, 2 * TABLE);
	s.objects = reserve(s.file, TABLE);
	s.more = reserve(s.file, TABLE);
	const uint32_t log = reserve(s.file, TABLE);
	append(s.keys, 2, 2);
	append(s.keys, 1, 2);
	append(s.keys, 1, 2);
	append(s.keys, 0, 4);
	put_le(s.keys->data + 6, checksum(s.keys->data, 10), 4);
	const uint32_t saved = put_key(&s, KEY_NODE, 0, "savedstate", node, sizeof(node), false);
	put_key(&s, KEY_INT, saved, "VmVersion", version, sizeof(version), false);
	put_memory(&s, o, saved);
	if (s.keys->len + 22 > TABLE || s.n > 225)
		item_fail(o->item, "the machine's memory is more than the tables of this writer have room for");
	const uint8_t nothing[TABLE] = { 0 };
	put_key(&s, KEY_FREE, 0, "", nothing, TABLE - s.keys->len - 22, false);
	const uint32_t keys = reserve(s.file, TABLE);
	memcpy(s.file->data + keys, s.keys->data, TABLE);
	put_object(&s, s.objects, 226, OBJECT_TABLE, s.more, TABLE);
	put_object(&s, s.more, 0, KEY_TABLE, keys, TABLE);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *header = s.file->data + i * TABLE, *table = s.file->data + (i ? s.more : s.objects);
		put_le(table, 0x01110001, 4);
		put_le(table + 4, 227, 4);
		put_le(header, 0x01282014, 4);
		put_le(header + 8, output_lie(o, "sequence", 7 + i), 2);
		put_le(header + 10, 0x400, 4);
		put_le(header + 22, TABLE, 4);
		put_le(header + 26, log, 8);
		put_le(header + 34, TABLE, 8);
		put_le(header + 42, TABLE, 4);
		put_le(header + 4, checksum(header, 46), 4);
	}
	output_bytes(o, s.file->data, s.file->len);
	g_byte_array_unref(s.file);
	g_byte_array_unref(s.keys);
}

const struct writer vmrs_writers[] = { { "vmrs", write_vmrs }, { NULL, NULL } };
