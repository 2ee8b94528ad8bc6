/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saved states and checkpoints of Hyper-V (.vmrs, since Windows 10 and Server 2016): a store of keys and values (HyperVStorage), in which
 * RamBlockN holds the N-th MiB of what was saved and RamMemoryBlockN says which guest pages that is. Microsoft describes store and
 * keys beside OpenVMM; the codes within a block that is smaller than a MiB are known from public readers.
 *
 * A block is never unpacked whole: to reach one of its 256 pages the lengths of those before it are stepped over, which costs less
 * than unpacking the page.
 */
#include <string.h>
#include "format.h"
#include "limit.h"
#include "xpress.h"

#define SIGNATURE 0x01282014u
#define OBJECT_TABLE_SIGNATURE 0x01110001u
#define KEY_TABLE_SIGNATURE 2u
#define HEADERS 2u			/* of the file, a page each; the object table follows */
#define OBJECT_TABLE_HEADER 8u
#define OBJECT_ENTRY 18u
#define KEY_TABLE_HEADER 10u
#define KEY_HEADER 21u
#define BLOCK_SIZE 0x100000u
#define BLOCK_PAGES (BLOCK_SIZE / PAGE_SIZE)
#define TABLE_MOST 0x10000u		/* bytes of a table: the greatest alignment; Hyper-V's have 4 KiB */
#define PIECES_MOST (4 * BLOCK_PAGES)	/* in a block: one a page, but for those that are no whole page */
#define SLOT_BITS 12u
#define CACHE_SLOTS (1u << SLOT_BITS)	/* pages kept unpacked: 16 MiB */

enum { OBJECT_TABLES = 1, OBJECT_KEYS = 2 };		/* types of objects */
enum { KEY_ARRAY = 7, KEY_IN_FILE_OBJECT = 1 };		/* type and flag of keys */
enum { PAGES_END = 0xffffffffu, PAGES_FILL = 0xfffffffeu, PAGES_FILL_MANY = 0xfffffffdu, PAGES_PART = 0xfffffffcu };

/* RamBlockN: where its value stands in the file, all of it. */
struct ram_block { uint64_t number, offset; uint32_t size; };
/* RamMemoryBlockN: `pages` of the guest from `pfn` on are those from `first` on of all that was saved. */
struct memory_block { uint64_t number, pages, first, pfn; };
struct key_table { uint16_t index, sequence; uint64_t offset; uint32_t size; };

struct vmrs {
	struct image *image;
	GArray *tables;			/* struct key_table */
	GArray *blocks;			/* struct ram_block, by number in the end */
	GArray *memory;			/* struct memory_block, by number in the end */
	GMutex lock;			/* of the cache */
	struct { uint64_t number; uint8_t *page; } cache[CACHE_SLOTS];		/* of saved pages, from 1; 0 empty */
	uint64_t objects, maps, ranges;	/* tables, of objects and of keys, and maps of memory that were met, ranges that were added */
	uint64_t block_bytes, left_out;	/* of all blocks: in the file each has its own; blocks for which there were none */
};

static uint32_t header_signature(const struct file *file, unsigned n)
{
	struct bytes b = file_slice(file, n * PAGE_SIZE, 4);

	return bytes_u32(&b);
}

static bool vmrs_match(const struct file *file)
{
	return header_signature(file, 0) == SIGNATURE || (file->size > PAGE_SIZE && header_signature(file, 1) == SIGNATURE);
}

/* One more table; false: there were as many as are read. */
static bool count_table(struct vmrs *v)
{
	if (v->objects++ < limit(vmrs_objects))
		return true;
	if (v->objects == limit(vmrs_objects) + 1)
		image_note(v->image, FAULT_LIMIT, 0, "saved state: more than %" G_GUINT64_FORMAT " tables: the rest is not read", limit(vmrs_objects));
	return false;
}

/* A table of objects of `size` bytes, and those it leads to: its last entry names the next. */
static void read_objects(struct vmrs *v, uint64_t at, uint32_t size)
{
	const struct file *file = v->image->file;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	while (at && g_hash_table_add(seen, g_memdup2(&at, sizeof(at))) && count_table(v)) {
		struct bytes head = file_slice(file, at, OBJECT_TABLE_HEADER);
		uint32_t signature = bytes_u32(&head), count = bytes_u32(&head);
		const uint32_t room = (CLAMP(size, OBJECT_TABLE_HEADER, TABLE_MOST) - OBJECT_TABLE_HEADER) / OBJECT_ENTRY;
		uint64_t next = 0;
		if (head.bad || signature != OBJECT_TABLE_SIGNATURE) {
			image_note(v->image, FAULT_IMPLAUSIBLE, 0, "saved state: no table of objects at 0x%" G_GINT64_MODIFIER "x: the signature is 0x%x, not 0x%x", at,
				   signature, OBJECT_TABLE_SIGNATURE);
			return;
		}
		if (count > room) {
			image_remark(v->image, 0, "saved state: %u objects at 0x%" G_GINT64_MODIFIER "x: the table has room for %u", count, at, room);
			count = room;
		}
		for (uint32_t i = 0; i < count; i++) {
			struct bytes e = file_slice(file, at + OBJECT_TABLE_HEADER + (uint64_t)i * OBJECT_ENTRY, OBJECT_ENTRY);
			uint8_t type = bytes_u8(&e);
			struct key_table table = { .offset = bytes_at(&e, 4, 8), .size = (uint32_t)bytes_at(&e, 12, 4) };
			if (e.bad) {
				image_note(v->image, FAULT_NOT_IN_DUMP, 0, "saved state: %u objects at 0x%" G_GINT64_MODIFIER "x: the file ends at number %u", count, at, i);
				break;
			}
			if (type == OBJECT_TABLES) {
				next = table.offset;
				size = table.size;
			}
			if (type != OBJECT_KEYS)
				continue;
			if (!count_table(v))
				return;
			struct bytes keys = file_slice(file, table.offset, KEY_TABLE_HEADER);
			uint16_t mark = bytes_u16(&keys);
			table.index = bytes_u16(&keys);
			table.sequence = bytes_u16(&keys);
			if (keys.bad || mark != KEY_TABLE_SIGNATURE)
				image_note(v->image, keys.bad ? FAULT_NOT_IN_DUMP : FAULT_IMPLAUSIBLE, 0, "saved state: no table of keys at 0x%" G_GINT64_MODIFIER
					   "x: the signature is 0x%x, not 0x%x", table.offset, mark, KEY_TABLE_SIGNATURE);
			else
				g_array_append_val(v->tables, table);
		}
		at = next;
	}
}

/* The number behind a prefix, for a name like RamBlock12; false: it is another name. */
static bool numbered(const char *name, size_t length, const char *prefix, uint64_t *number)
{
	const size_t n = strlen(prefix);

	if (length <= n || length > n + 10 || memcmp(name, prefix, n))
		return false;
	*number = 0;
	for (size_t i = n; i < length; i++) {
		if (!g_ascii_isdigit(name[i]))
			return false;
		*number = *number * 10 + (uint64_t)(name[i] - '0');
	}
	return true;
}

static void read_key(struct vmrs *v, struct bytes entry, uint8_t flags)
{
	const size_t symbols = (size_t)bytes_at(&entry, KEY_HEADER - 1, 1), length = symbols ? symbols - 1 : 0;	/* the NUL is counted */
	const char *name = (const char *)entry.p + KEY_HEADER;
	struct bytes data = bytes_slice(entry, KEY_HEADER + symbols, entry.n - MIN(entry.n, KEY_HEADER + symbols));
	uint32_t size = bytes_u32(&data);
	uint64_t number, offset = flags & KEY_IN_FILE_OBJECT ? bytes_u64(&data) : (uint64_t)(data.p - v->image->file->map);

	if (data.bad || (!(flags & KEY_IN_FILE_OBJECT) && size > data.n))
		return;
	if (numbered(name, length, "RamBlock", &number)) {
		struct ram_block block = { number, offset, size };
		if (size > BLOCK_SIZE || file_slice(v->image->file, offset, size).bad)
			return;		/* as if it were not listed: its pages are missing */
		if (size > v->image->file->size - v->block_bytes) {
			v->left_out++;
			return;
		}
		v->block_bytes += size;
		if (v->blocks->len < limit32(vmrs_blocks))
			g_array_append_val(v->blocks, block);
	} else if (numbered(name, length, "RamMemoryBlock", &number) && v->maps++ < limit(vmrs_memory)) {
		struct bytes value = file_slice(v->image->file, offset, MIN(size, 48));
		struct memory_block memory = { number, bytes_at(&value, 8, 8), bytes_at(&value, 16, 8), bytes_at(&value, 24, 8) };
		if (value.bad || size < 32 || memory.pfn >> 40 || memory.first >> 40 || memory.pages >> 40)
			image_note(v->image, FAULT_IMPLAUSIBLE, 0, "saved state: RamMemoryBlock%" G_GUINT64_FORMAT " at 0x%" G_GINT64_MODIFIER "x (%u bytes): page 0x%"
				   G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER "x pages, saved as 0x%" G_GINT64_MODIFIER "x: not within 2^40", number, offset, size,
				   memory.pfn, memory.pages, memory.first);
		else
			g_array_append_val(v->memory, memory);
	}
}

static void read_keys(struct vmrs *v, const struct key_table *table)
{
	const struct file *file = v->image->file;
	const uint64_t room = MIN(TABLE_MOST, file->size - table->offset);
	struct bytes keys = file_slice(file, table->offset, MIN(table->size, room));

	if (table->size > room)
		image_note(v->image, room < TABLE_MOST ? FAULT_NOT_IN_DUMP : FAULT_IMPLAUSIBLE, 0, "saved state: the table of keys %u at 0x%" G_GINT64_MODIFIER
			   "x has %u bytes: %" G_GUINT64_FORMAT " are read", table->index, table->offset, table->size, room);
	for (size_t at = KEY_TABLE_HEADER; at + KEY_HEADER <= keys.n; ) {
		struct bytes head = bytes_slice(keys, at, KEY_HEADER);
		uint8_t type = bytes_u8(&head), flags = bytes_u8(&head);
		uint32_t size = bytes_u32(&head), name = (uint32_t)bytes_at(&keys, at + KEY_HEADER - 1, 1);
		if (!type)		/* nothing was written from here on */
			return;
		if (size < KEY_HEADER + name || size > keys.n - at) {
			image_note(v->image, FAULT_IMPLAUSIBLE, 0, "saved state: the key at 0x%" G_GINT64_MODIFIER "x says it has %u bytes, not within %u-%" G_GSIZE_FORMAT
				   ": the rest of its table is left out", table->offset + at, size, KEY_HEADER + name, keys.n - at);
			return;
		}
		if (type == KEY_ARRAY)
			read_key(v, bytes_slice(keys, at, size), flags);
		at += size;
	}
}

/* Of tables that have one index, the newest first. */
static int compare_tables(const void *x, const void *y)
{
	const struct key_table *a = x, *b = y;

	return a->index != b->index ? (a->index > b->index) - (a->index < b->index) : (b->sequence > a->sequence) - (b->sequence < a->sequence);
}

static int compare_blocks(const void *x, const void *y)
{
	const struct ram_block *a = x, *b = y;

	return (a->number > b->number) - (a->number < b->number);
}

static int compare_memory(const void *x, const void *y)
{
	const struct memory_block *a = x, *b = y;

	return a->number != b->number ? (a->number > b->number) - (a->number < b->number) : (a->pfn > b->pfn) - (a->pfn < b->pfn);
}

/* The bytes of the block in which a saved page is; bad: there are none. */
static struct bytes block_of(const struct vmrs *v, uint64_t saved)
{
	const struct ram_block sought = { .number = saved / BLOCK_PAGES };
	guint i;

	if (!g_array_binary_search(v->blocks, &sought, compare_blocks, &i))
		return (struct bytes){ .bad = true };
	const struct ram_block *b = &g_array_index(v->blocks, struct ram_block, i);
	return file_slice(v->image->file, b->offset, b->size);
}

/* Pages of a map that are in no block. */
static void add_missing(struct vmrs *v, uint64_t pfn, uint64_t pages)
{
	struct image *image = v->image;

	image_add_missing(image, pfn * PAGE_SIZE, pages * PAGE_SIZE);
	image->missing_why = "blocks of the memory that the saved state tells of are not in the file";
}

/* Pages of a map that are in blocks; false: there were as many such ranges as are taken. */
static bool add_present(struct vmrs *v, uint64_t pfn, uint64_t pages)
{
	if (!pages)
		return true;
	if (v->ranges++ >= limit(vmrs_ranges)) {
		image_note(v->image, FAULT_LIMIT, pfn * PAGE_SIZE, "saved state: the blocks that are there make more than %" G_GUINT64_FORMAT " ranges: the rest is left out",
			   limit(vmrs_ranges));
		return false;
	}
	image_add_range(v->image, (pa_t){ pfn * PAGE_SIZE }, pages * PAGE_SIZE, pfn * PAGE_SIZE);
	return true;
}

static bool add_memory(struct vmrs *v, const struct memory_block *m)
{
	uint64_t begin = 0, end = 0;		/* of the range so far, in pages of the map */

	for (guint i = 0; i < v->blocks->len; i++) {
		const uint64_t start = g_array_index(v->blocks, struct ram_block, i).number * BLOCK_PAGES, stop = start + BLOCK_PAGES;
		const uint64_t from = start > m->first ? start - m->first : 0, to = stop > m->first ? MIN(stop - m->first, m->pages) : 0;
		if (from >= m->pages)
			break;
		if (to <= end)
			continue;
		if (from > end) {
			if (!add_present(v, m->pfn + begin, end - begin))
				return false;
			add_missing(v, m->pfn + end, from - end);
			begin = from;
		}
		end = to;
	}
	if (end < m->pages)
		add_missing(v, m->pfn + end, m->pages - end);
	return add_present(v, m->pfn + begin, end - begin);
}

/* Blocks that the maps that are left don't have: where their memory lies is not known. */
static void tell_unmapped(struct vmrs *v)
{
	guint unmapped = 0;

	for (guint i = 0; i < v->blocks->len; i++) {
		const uint64_t start = g_array_index(v->blocks, struct ram_block, i).number * BLOCK_PAGES;
		bool mapped = false;
		for (guint k = 0; k < v->memory->len && !mapped; k++) {
			const struct memory_block *m = &g_array_index(v->memory, struct memory_block, k);
			mapped = start + BLOCK_PAGES > m->first && (start <= m->first || start - m->first < m->pages);
		}
		unmapped += !mapped;
	}
	if (unmapped)
		image_note(v->image, FAULT_NOT_IN_DUMP, 0, "saved state: of %u blocks of memory %u are in no RamMemoryBlock: where they lie is not known, they are left out",
			   v->blocks->len, unmapped);
}

/* Which of the two headers holds: the file is written so that one of them always does. Objects are of whole `alignment`s. */
static uint32_t format_version(struct image *image, uint32_t *alignment)
{
	uint32_t version = 0;
	uint16_t newest = 0;

	*alignment = 0;
	for (unsigned n = 0; n < HEADERS; n++) {
		struct bytes b = file_slice(image->file, n * PAGE_SIZE, 26);
		uint16_t sequence = (uint16_t)bytes_at(&b, 8, 2);
		if (header_signature(image->file, n) != SIGNATURE)
			image_remark(image, 0, "saved state: header %u at 0x%x: the signature is 0x%x, not 0x%x: the other is used", n, n * PAGE_SIZE,
				     header_signature(image->file, n), SIGNATURE);
		else if (!version || (int16_t)(sequence - newest) > 0) {
			version = (uint32_t)bytes_at(&b, 10, 4);
			*alignment = (uint32_t)bytes_at(&b, 22, 4);
			newest = sequence;
		}
	}
	return version;
}

static bool vmrs_open(struct image *image, GError **error)
{
	struct vmrs *v = image->format_data = g_new0(struct vmrs, 1);
	uint32_t alignment;
	const uint32_t version = format_version(image, &alignment);

	v->image = image;
	g_mutex_init(&v->lock);
	v->tables = g_array_new(FALSE, FALSE, sizeof(struct key_table));
	v->blocks = g_array_new(FALSE, FALSE, sizeof(struct ram_block));
	v->memory = g_array_new(FALSE, FALSE, sizeof(struct memory_block));
	image->facts.format = "hyperv";
	image->facts.detail = g_strdup_printf("saved state, store version %u.%u", version >> 8, version & 0xff);
	read_objects(v, HEADERS * PAGE_SIZE, CLAMP(alignment, PAGE_SIZE, TABLE_MOST));
	g_array_sort(v->tables, compare_tables);
	for (guint i = 0; i < v->tables->len; i++) {
		const struct key_table *table = &g_array_index(v->tables, struct key_table, i);
		if (!i || table[-1].index != table->index)
			read_keys(v, table);
	}
	if (v->blocks->len >= limit32(vmrs_blocks) || v->maps > limit(vmrs_memory))
		image_note(image, FAULT_LIMIT, 0, "saved state: %u blocks of memory, %" G_GUINT64_FORMAT " maps of them: more are not read", v->blocks->len, v->maps);
	if (v->left_out)	/* a small file could be terabytes of memory otherwise, each MiB the same */
		image_note(image, FAULT_IMPLAUSIBLE, 0, "saved state: %" G_GUINT64_FORMAT " blocks can't have bytes of their own, of the %" G_GUINT64_FORMAT
			   " of the file: they are left out", v->left_out, image->file->size);
	g_array_sort(v->blocks, compare_blocks);
	g_array_sort(v->memory, compare_memory);
	for (guint i = 0; i < v->memory->len && add_memory(v, &g_array_index(v->memory, struct memory_block, i)); i++)
		;
	tell_unmapped(v);
	if (image->segments->len)
		return true;
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "saved state of Hyper-V (store version %u.%u): of %u tables of keys none names memory that is in the file "
		    "(%u RamMemoryBlock, %u RamBlock): a machine that was off, or its configuration (.vmcx)", version >> 8, version & 0xff, v->tables->len,
		    v->memory->len, v->blocks->len);
	return false;
}

static void vmrs_close(struct image *image)
{
	struct vmrs *v = image->format_data;

	if (!v)
		return;
	g_array_free(v->tables, TRUE);
	g_array_free(v->blocks, TRUE);
	g_array_free(v->memory, TRUE);
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		g_free(v->cache[i].page);
	g_mutex_clear(&v->lock);
	g_free(v);
}

/* A pattern of eight bytes, from its `phase`-th on. */
static void fill(uint8_t *to, uint64_t pattern, uint64_t phase, size_t size)
{
	const unsigned shift = 8 * (unsigned)(phase & 7);
	const uint64_t turned = GUINT64_TO_LE(shift ? pattern >> shift | pattern << (64 - shift) : pattern);

	for (size_t i = 0; i < size; i += 8)
		memcpy(to + i, &turned, MIN(8, size - i));
}

/* The n-th page of a block: pieces, each behind a number that says how long it is or what it is. */
static enum fault unpack_page(struct bytes block, unsigned n, uint8_t page[PAGE_SIZE])
{
	const uint64_t from = (uint64_t)n * PAGE_SIZE, end = from + PAGE_SIZE;
	uint64_t at = 0, done = from;		/* of what is unpacked: where the next piece goes, how far the page is made */
	uint8_t piece[PAGE_SIZE];

	for (unsigned pieces = 0; done < end; pieces++) {
		uint32_t code = bytes_u32(&block), size = code;
		uint64_t length = PAGE_SIZE, pattern = 0;
		bool filled = code == PAGES_FILL || code == PAGES_FILL_MANY;
		if (filled) {
			pattern = bytes_u64(&block);
			length = code == PAGES_FILL ? PAGE_SIZE : (uint64_t)bytes_u32(&block) * PAGE_SIZE;
		} else if (code == PAGES_PART) {
			length = bytes_u32(&block);
			size = bytes_u32(&block);
		}
		struct bytes data = { .n = size };
		if (!filled)
			data.p = bytes_take(&block, size);
		if (block.bad || code == PAGES_END || (!filled && !data.p))
			return FAULT_NOT_IN_DUMP;
		if (!length || length > BLOCK_SIZE || pieces >= PIECES_MOST || (!filled && (size > length || length > PAGE_SIZE)))
			return FAULT_IMPLAUSIBLE;
		if (at + length > from) {
			const uint64_t stop = MIN(at + length, end);
			if (data.p && size == length)
				memcpy(piece, data.p, size);
			else if (data.p && !xpress_decompress(data, piece, (size_t)length))
				return FAULT_IMPLAUSIBLE;
			if (filled)
				fill(page + (done - from), pattern, done - at, (size_t)(stop - done));
			else
				memcpy(page + (done - from), piece + (done - at), (size_t)(stop - done));
			done = stop;
		}
		at += length;
	}
	return FAULT_NONE;
}

/* Many small reads go to few pages. */
static enum fault cached_page(struct vmrs *v, struct bytes block, uint64_t saved, uint8_t *page)
{
	const unsigned i = image_slot(v->image, saved, SLOT_BITS);

	g_mutex_lock(&v->lock);
	const bool cached = v->cache[i].number == saved + 1;
	if (cached)
		memcpy(page, v->cache[i].page, PAGE_SIZE);
	g_mutex_unlock(&v->lock);
	if (cached)
		return FAULT_NONE;
	/* Outside the lock: threads that want the same page do it twice, none waits. */
	enum fault fault = unpack_page(block, (unsigned)(saved % BLOCK_PAGES), page);
	if (fault)
		return fault;
	g_mutex_lock(&v->lock);
	if (!v->cache[i].page)
		v->cache[i].page = g_malloc(PAGE_SIZE);
	memcpy(v->cache[i].page, page, PAGE_SIZE);
	v->cache[i].number = saved + 1;
	g_mutex_unlock(&v->lock);
	return FAULT_NONE;
}

static enum fault vmrs_read_page(struct image *image, uint64_t pfn, void *page)
{
	struct vmrs *v = image->format_data;

	for (guint i = 0; i < v->memory->len; i++) {
		const struct memory_block *m = &g_array_index(v->memory, struct memory_block, i);
		if (pfn < m->pfn || pfn - m->pfn >= m->pages)
			continue;
		const uint64_t saved = m->first + (pfn - m->pfn);
		const struct bytes data = block_of(v, saved);
		const unsigned n = (unsigned)(saved % BLOCK_PAGES);
		if (data.bad)
			continue;
		if (data.n != BLOCK_SIZE)
			return cached_page(v, data, saved, page);
		memcpy(page, data.p + (size_t)n * PAGE_SIZE, PAGE_SIZE);
		return FAULT_NONE;
	}
	return FAULT_NOT_IN_DUMP;
}

const struct format format_vmrs = {
	.name = "vmrs",
	.doc = "a saved state of Hyper-V (.vmrs)",
	.match = vmrs_match,
	.open = vmrs_open,
	.close = vmrs_close,
	.read_page = vmrs_read_page,
};
