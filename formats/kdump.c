/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kdump-compressed dumps (makedumpfile's format, also QEMU's and libvirt's kdump-zlib, -lzo, -snappy, zstd): a header, two bitmaps, a
 * descriptor for each page that is there, in the order of the bitmap, and pages that are packed one by one. The layout is that of
 * makedumpfile's IMPLEMENTATION and of QEMU's include/sysemu/dump.h. Pages of the file are blocks of its own: for AArch64 guests QEMU
 * takes the largest that the processor could have, 64 KiB (target/arm/arch_dump.c), of which the guest's pages are parts.
 *
 * libkdumpfile reads them, too, and tests hold this reader against it. Here it can't be used: 0.5.1 writes to memory that it has freed whenever
 * a dump is closed, reads what it has freed where a header is refused, believes notes that guests write (VMCOREINFO's PAGESIZE makes its
 * buffers smaller than the pages it reads into them) and takes memory for each run of pages in each of its contexts.
 *
 * Flattened streams were rearranged before this reader sees them (unpack.h).
 */
#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "cpu_notes.h"
#include "format.h"
#include "limit.h"

#define BLOCK 4096u
#define BLOCK_AARCH64 65536u
#define SLOT_BITS 14u
#define SLOTS (1u << SLOT_BITS)	/* pages kept unpacked, of those that are read a second time: 64 MiB; libraries' are in every process. Of larger blocks so many fewer */
#define MAX_SET FIXED_kdump_files		/* files of a split dump */
#define MAX_RANGES limit32(kdump_ranges)
#define DESCRIPTOR_SIZE 24u
#define RANK_BYTES 32u		/* of a bitmap, between counts of what came before */

#define RANK_BITS (8 * RANK_BYTES)

enum { PACKED_ZLIB = 0x01, PACKED_LZO = 0x02, PACKED_SNAPPY = 0x04, PACKED_ZSTD = 0x20 };	/* page_desc's flags */

struct slot { uint64_t page; uint8_t *data; };	/* page + 1; 0 empty */

/* A file of a split dump, or the only one. */
struct part {
	struct file *file;
	struct bytes map;		/* which pages of the machine's have a descriptor */
	GArray *ranks;			/* uint64_t: descriptors before each RANK_BYTES of the map, from that of `first` on */
	uint64_t table, first, end;	/* where the descriptors stand; they are of these pages */
	uint32_t block;
};

struct kdump {
	uint64_t max_pfn;		/* of blocks, as all numbers of the file's are */
	uint32_t block;
	unsigned slot_bits;
	struct part parts[MAX_SET];
	unsigned files;
	uint64_t zeros;			/* the descriptor, as one number, of a page of zeros: QEMU's dumps have one for all. 0: not seen yet */
	uint64_t read[SLOTS];		/* the page + 1 that was read last of those whose slot it is: exchanged without the lock */
	struct slot cache[SLOTS];
	GMutex lock;			/* of the cache */
};

/* page_desc */
struct descriptor { uint64_t offset; uint32_t size, flags; bool bad; };

/* disk_dump_header, whose struct timeval depends on the word size of the machine that wrote it. */
struct kdump_header {
	int32_t version;
	bool is_64bit;
	uint32_t block;
	uint32_t sub_blocks, bitmap_blocks;
	uint64_t max_pfn;
	bool split;
	uint64_t start_pfn, end_pfn;	/* of a split dump's part: what its descriptors are of */
	uint64_t notes, notes_size;
};

static bool kdump_match(const struct file *file)
{
	return file->size >= 8 && (!memcmp(file->map, "KDUMP   ", 8) || !memcmp(file->map, "DISKDUMP", 8));
}

static bool header_error(GError **error, const char *field, uint64_t at, uint64_t value, uint64_t bound)
{
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
		    "kdump header: %s at 0x%" G_GINT64_MODIFIER "x is %" G_GUINT64_FORMAT
		    ", not within 0-%" G_GUINT64_FORMAT,
		    field, at, value, bound);
	return false;
}

/* kdump_sub_header. Its 32-bit form, as written on i386, aligns 64-bit numbers to 4 bytes. */
static bool read_sub_header(const struct image *image, struct kdump_header *h, GError **error)
{
	struct bytes sub = file_slice(image->file, h->block, BLOCK);
	const bool wide = h->is_64bit;

	h->split = h->version >= 2 && bytes_at(&sub, wide ? 0x0c : 0x08, 4) != 0;
	if (h->version >= 6)
		h->max_pfn = bytes_at(&sub, wide ? 0x60 : 0x48, 8);
	h->start_pfn = !h->split ? 0 : h->version >= 6 ? bytes_at(&sub, wide ? 0x50 : 0x38, 8) : bytes_at(&sub, wide ? 0x10 : 0x0c, wide ? 8 : 4);
	h->end_pfn = !h->split ? UINT64_MAX : h->version >= 6 ? bytes_at(&sub, wide ? 0x58 : 0x40, 8) : bytes_at(&sub, wide ? 0x18 : 0x10, wide ? 8 : 4);
	if (h->start_pfn > h->end_pfn)
		return header_error(error, "start_pfn", h->block, h->start_pfn, h->end_pfn);
	if (h->version >= 4) {
		h->notes = bytes_at(&sub, wide ? 0x30 : 0x20, 8);
		h->notes_size = bytes_at(&sub, wide ? 0x38 : 0x28, wide ? 8 : 4);
	}
	if (h->notes_size && (h->notes > image->file->size || h->notes_size > image->file->size - h->notes))
		return header_error(error, "size_note", h->block + (wide ? 0x38 : 0x28), h->notes_size,
				    h->notes < image->file->size ? image->file->size - h->notes : 0);
	if (h->max_pfn <= (uint64_t)h->bitmap_blocks * h->block * 8)
		return true;
	return h->version >= 6 ? header_error(error, "max_mapnr_64", h->block + (wide ? 0x60 : 0x48), h->max_pfn, (uint64_t)h->bitmap_blocks * h->block * 8)
		: header_error(error, "max_mapnr", wide ? 0x1b8 : 0x1ac, h->max_pfn, (uint64_t)h->bitmap_blocks * h->block * 8);
}

static bool read_header(const struct image *image, struct kdump_header *h, GError **error)
{
	struct bytes b = file_slice(image->file, 0, MIN(image->file->size, 2 * BLOCK));
	uint32_t wide = (uint32_t)bytes_at(&b, 0x1ac, 4), narrow = (uint32_t)bytes_at(&b, 0x1a0, 4);
	/* A 32-bit header has max_mapnr at 0x1ac: of a machine of 256 MiB that looks like the larger block. */
	const bool is_wide = wide == BLOCK || (wide == BLOCK_AARCH64 && narrow != BLOCK);
	unsigned at = is_wide ? 0x1ac : 0x1a0;

	h->is_64bit = is_wide;
	h->block = is_wide ? wide : BLOCK;
	const uint64_t blocks = image->file->size / h->block;
	h->sub_blocks = (uint32_t)bytes_at(&b, at + 4, 4);
	h->bitmap_blocks = (uint32_t)bytes_at(&b, at + 8, 4);
	h->max_pfn = (uint32_t)bytes_at(&b, at + 12, 4);
	if (b.bad || b.n < 2 * BLOCK) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "kdump: the file has %" G_GUINT64_FORMAT
			    " bytes, its headers alone have %u", image->file->size, 2 * BLOCK);
		return false;
	}
	if (is_wide == (narrow == BLOCK)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump header: block_size at 0x1ac is %u, and %u at 0x1a0, where a "
			    "32-bit one has it: one of them must be %u, or the first %u",
			    wide, narrow, BLOCK, BLOCK_AARCH64);
		return false;
	}
	if (!h->sub_blocks || !h->bitmap_blocks || 1 + (uint64_t)h->sub_blocks + h->bitmap_blocks > blocks) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump header: sub_hdr_size at 0x%x is %u and bitmap_blocks at 0x%x %u: not "
			    "within 1-%" G_GUINT64_FORMAT ", the blocks the file has",
			    at + 4, h->sub_blocks, at + 8, h->bitmap_blocks, blocks);
		return false;
	}
	h->version = (int32_t)bytes_at(&b, 8, 4);
	if (h->version < 0)
		return header_error(error, "header_version", 8, (uint32_t)h->version, G_MAXINT32);
	return read_sub_header(image, h, error);
}

/*
 * The page bitmaps: the first has the pages of the machine, the second those of the
 * dump; dumps too small for two have one.
 */
static uint64_t bitmap_bytes(const struct kdump_header *h)
{
	const uint64_t bytes = (uint64_t)h->bitmap_blocks * h->block;

	return h->max_pfn <= bytes * 8 / 2 ? (uint64_t)h->bitmap_blocks / 2 * h->block : bytes;
}

static struct bytes bitmap(const struct image *image, const struct kdump_header *h, bool second)
{
	const uint64_t bytes = bitmap_bytes(h), before = second && bytes < (uint64_t)h->bitmap_blocks * h->block ? bytes : 0;

	return file_slice(image->file, (1 + (uint64_t)h->sub_blocks) * h->block + before, MIN(bytes, limit(kdump_bitmap)));
}

static uint64_t table_at(const struct kdump_header *h)
{
	return (1 + (uint64_t)h->sub_blocks + h->bitmap_blocks) * h->block;
}

static struct descriptor descriptor_at(const struct part *part, uint64_t i)
{
	const struct file *file = part->file;
	struct bytes b = file_slice(file, part->table + i * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE);
	struct descriptor d = { .offset = bytes_u64(&b), .size = bytes_u32(&b), .flags = bytes_u32(&b) };

	/* A page that doesn't get smaller is stored as it is. */
	d.bad = b.bad || !d.size || d.size > part->block || d.offset >= file->size || d.size > file->size - d.offset;
	return d;
}

/* `bits` bits of a bitmap from `bit` on, 64 at most, all in one of its words. */
static uint64_t bits_of(struct bytes map, uint64_t bit, unsigned bits)
{
	uint64_t word = 0;

	memcpy(&word, map.p + bit / 64 * 8, MIN(8, map.n - bit / 64 * 8));
	word = GUINT64_FROM_LE(word) >> (bit & 63);
	return bits < 64 ? word & ((UINT64_C(1) << bits) - 1) : word;
}

/* How many pages from `first` up to `pfn` are set; both within the map. */
static uint64_t count_between(struct bytes map, uint64_t first, uint64_t pfn)
{
	uint64_t n = 0;

	while (first < pfn) {
		const unsigned bits = (unsigned)MIN(64 - (first & 63), pfn - first);
		n += (uint64_t)__builtin_popcountll(bits_of(map, first, bits));
		first += bits;
	}
	return n;
}

static bool has_bit(struct bytes map, uint64_t pfn)
{
	return pfn / 8 < map.n && map.p[pfn / 8] >> (pfn & 7) & 1;
}

/* The map must stay as long as the part. */
static void add_part(struct kdump *k, struct file *file, struct bytes map, const struct kdump_header *h)
{
	struct part *part = &k->parts[k->files++];
	uint64_t n = 0;

	*part = (struct part){ file, map, g_array_new(FALSE, FALSE, sizeof(n)), table_at(h), h->start_pfn, MIN(h->end_pfn, (uint64_t)map.n * 8), h->block };
	for (uint64_t at = part->first; at < part->end; ) {
		const uint64_t next = MIN((at / RANK_BITS + 1) * RANK_BITS, part->end);
		g_array_append_val(part->ranks, n);
		n += count_between(map, at, next);
		at = next;
	}
}

/* The descriptor of a page; bad: it has none. */
static struct descriptor descriptor_of(const struct part *part, uint64_t pfn)
{
	if (pfn < part->first || pfn >= part->end || !has_bit(part->map, pfn))
		return (struct descriptor){ .bad = true };
	const uint64_t block = pfn / RANK_BITS, before = g_array_index(part->ranks, uint64_t, block - part->first / RANK_BITS);
	return descriptor_at(part, before + count_between(part->map, MAX(block * RANK_BITS, part->first), pfn));
}

/* Is the file another one of the same split dump: the same machine at the same time, other pages? */
static bool fits(const struct image *other, const struct image *image, const struct kdump *k, const struct kdump_header *h, struct kdump_header *theirs)
{
	g_autoptr(GError) error = NULL;

	if (!read_header(other, theirs, &error) || memcmp(other->file->map, image->file->map, 0x1a8) || !theirs->split ||
	    theirs->is_64bit != h->is_64bit || theirs->block != h->block || theirs->sub_blocks != h->sub_blocks || theirs->bitmap_blocks != h->bitmap_blocks || theirs->max_pfn != h->max_pfn)
		return false;
	for (unsigned i = 0; i < k->files; i++)
		if (theirs->start_pfn < k->parts[i].end && k->parts[i].first < theirs->end_pfn)
			return false;
	return true;
}

/* The other files of a split dump lie beside it and differ in a number within the name. */
static void find_set(struct image *image, struct kdump *k, const struct kdump_header *h)
{
	const char *path = image->container->path;
	g_autofree char *folder = g_path_get_dirname(path), *name = g_path_get_basename(path);
	size_t end = strlen(name);

	while (end && !g_ascii_isdigit(name[end - 1]))
		end--;
	size_t start = end;
	while (start && g_ascii_isdigit(name[start - 1]))
		start--;
	GDir *dir = start < end ? g_dir_open(folder, 0, NULL) : NULL;
	const char *other;
	while (dir && (other = g_dir_read_name(dir))) {
		size_t n = start;
		if (strncmp(other, name, start) || !strcmp(other, name))
			continue;
		while (g_ascii_isdigit(other[n]))
			n++;
		if (n == start || strcmp(other + n, name + end))
			continue;
		if (k->files == MAX_SET) {
			image_note(image, FAULT_LIMIT, 0, "kdump: more than %d files of a split dump: the others are left out", MAX_SET);
			break;
		}
		g_autofree char *full = g_build_filename(folder, other, NULL);
		struct file *file = file_open(full, NULL);
		struct image part = { .file = file };
		struct kdump_header theirs = { 0 };
		if (file && fits(&part, image, k, h, &theirs)) {
			image_add_file(image, file);
			add_part(k, file, bitmap(&part, &theirs, true), &theirs);
		} else {
			file_close(file);
		}
	}
	if (dir)
		g_dir_close(dir);
	if (k->files == 1)
		image_note(image, FAULT_NOT_IN_DUMP, 0,
			   "one file of a split dump, and the others were not found beside it: their "
			   "pages are missing");
	image->facts.detail = g_strdup_printf("split into %u files", k->files);
}

static uint64_t block_of(const struct image *image)
{
	return ((const struct kdump *)image->format_data)->block;
}

/* False: that is one range more than are taken. */
static bool add_pages(struct image *image, uint64_t pfn, uint64_t pages)
{
	const uint64_t block = block_of(image);

	image_add_range(image, (pa_t){ pfn * block }, pages * block, pfn * block);
	if (image->segments->len <= MAX_RANGES)
		return true;
	g_array_set_size(image->segments, MAX_RANGES);
	image_note(image, FAULT_LIMIT, pfn * block, "kdump: more than %u ranges: the rest is left out", MAX_RANGES);
	return false;
}

static void count_missing(struct image *image, struct bytes map, uint64_t first, uint64_t end)
{
	const uint64_t n = count_between(map, first, end);

	if (!n)
		return;
	while (!has_bit(map, first))
		first = (map.p[first / 8] ? first : first | 7) + 1;
	image_add_missing(image, first * block_of(image), n * block_of(image));
}

/* How many descriptors from the rank-th on lie where the file has nothing: in a hole, whose zeros are none, or past its end. */
static uint64_t descriptors_absent(const struct part *part, uint64_t rank)
{
	const uint64_t at = part->table + rank * DESCRIPTOR_SIZE;
	struct range filled;

	return file_next_filled(part->file, at, &filled) ? (filled.start - at) / DESCRIPTOR_SIZE : UINT64_MAX;
}

/* Of the dump's pages below `end` those whose descriptors are in this file. False: more ranges than are taken. */
static bool add_part_ranges(struct image *image, struct bytes map, const struct part *part, uint64_t end)
{
	uint64_t rank = 0;

	for (uint64_t pfn = part->first; pfn < end; pfn = (pfn | 63) + 1) {
		const unsigned bits = (unsigned)MIN(64 - (pfn & 63), end - pfn);
		const uint64_t pages = bits_of(map, pfn, bits), own = bits_of(part->map, pfn, bits), n = (uint64_t)__builtin_popcountll(own);
		if (!pages || descriptors_absent(part, rank) >= n) {
			count_missing(image, map, pfn, pfn + bits);
			rank += n;
			continue;
		}
		for (uint64_t rest = pages | own; rest; rest &= rest - 1) {
			const uint64_t bit = rest & -rest, at = pfn + (unsigned)__builtin_ctzll(rest);
			const bool there = own & bit && !descriptor_at(part, rank++).bad;
			if (!(pages & bit))
				continue;
			if (!there)
				count_missing(image, map, at, at + 1);
			else if (!add_pages(image, at, 1))
				return false;
		}
	}
	return true;
}

/* The file with the first pages that are not below pfn. NULL: none has such. */
static const struct part *next_part(const struct kdump *k, uint64_t pfn)
{
	const struct part *next = NULL;

	for (unsigned i = 0; i < k->files; i++) {
		const struct part *part = &k->parts[i];
		if (part->first < part->end && part->first >= pfn && (!next || part->first < next->first))
			next = part;
	}
	return next;
}

/* Of the pages that the dump has, those whose descriptors are in files that are there, as ranges. */
static void add_ranges(struct image *image, const struct kdump *k, const struct kdump_header *h)
{
	const struct bytes map = k->parts[0].map;
	const uint64_t all = (uint64_t)map.n * 8;
	uint64_t pfn = 0;

	if (h->split)
		image->missing_why = "not all files of the split dump lie beside this one";
	for (const struct part *part; pfn < all && (part = next_part(k, pfn)); pfn = part->end) {
		count_missing(image, map, pfn, MIN(part->first, all));
		if (!add_part_ranges(image, map, part, MIN(part->end, all)))
			return;
	}
	count_missing(image, map, pfn, all);
}

/* Pages at and above max_mapnr are none of the machine's. */
static void note_pages_beyond(struct image *image, const struct kdump_header *h)
{
	struct bytes map = bitmap(image, h, true);
	const uint64_t pages = count_between(map, h->max_pfn, (uint64_t)map.n * 8);

	if (!pages)
		return;
	while (!map.p[map.n - 1])
		map.n--;
	const uint64_t last = (uint64_t)map.n * 8 - 8 + (unsigned)g_bit_nth_msf(map.p[map.n - 1], -1);
	image_note(image, FAULT_NOT_IN_DUMP, h->max_pfn * h->block, "kdump header: max_mapnr is %" G_GUINT64_FORMAT ", and the page bitmap has %" G_GUINT64_FORMAT
		   " pages above it, up to %" G_GUINT64_FORMAT ": they can't be read", h->max_pfn, pages, last);
}

static bool kdump_open(struct image *image, GError **error)
{
	struct kdump_header header = { 0 };
	struct kdump *k = image->format_data = g_new0(struct kdump, 1);
	char machine[65];

	g_mutex_init(&k->lock);
	image->facts.format = "kdump";
	if (!read_header(image, &header, error))
		return false;
	memcpy(machine, image->file->map + 0x0c + 4 * 65, sizeof(machine));
	machine[64] = 0;
	image->facts.architecture = !strcmp(machine, "x86_64")	? ARCH_X64 :
				    !strcmp(machine, "aarch64") ? ARCH_ARM64 :
								  ARCH_UNKNOWN;
	k->max_pfn = header.max_pfn;
	k->block = header.block;
	k->slot_bits = SLOT_BITS - (unsigned)g_bit_nth_msf(k->block / BLOCK, -1);
	add_part(k, image->file, bitmap(image, &header, true), &header);
	if (header.split)
		find_set(image, k, &header);
	add_ranges(image, k, &header);
	const bool cut = bitmap_bytes(&header) > limit(kdump_bitmap);
	if (!image->segments->len) {
		g_autofree char *part = header.split ? g_strdup_printf(" from start_pfn %" G_GUINT64_FORMAT " up to end_pfn %" G_GUINT64_FORMAT
								       ", which a split dump's part (split is not 0) has", header.start_pfn, header.end_pfn) : NULL;
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump: the page bitmap (%u blocks%s) names no page%s%s", header.bitmap_blocks, cut ? ", more than are read: kdump_bitmap" : "",
			    image->bytes_missing ? " whose descriptor and data are in the file" : "", part ? part : "");
		return false;
	}
	note_pages_beyond(image, &header);
	if (cut)
		image_note(image, FAULT_LIMIT, (uint64_t)k->parts[0].map.n * 8 * header.block, "kdump header: bitmap_blocks is %u: more than the first %" G_GSIZE_FORMAT
			   " bytes of the page bitmap are not read (kdump_bitmap)", header.bitmap_blocks, k->parts[0].map.n);
	const struct bytes all = bitmap(image, &header, false);
	image->facts.memory_total = count_between(all, 0, (uint64_t)all.n * 8) * header.block;
	if (header.notes_size)
		cpu_notes_read(&(struct cpu_notes){ .image = image }, file_slice(image->file, header.notes, header.notes_size));
	if (image->facts.cpus)
		image->facts.processors = image->facts.cpus->len;
	return true;
}

static void kdump_close(struct image *image)
{
	struct kdump *k = image->format_data;

	if (!k)
		return;
	for (unsigned i = 0; i < k->files; i++)
		g_array_free(k->parts[i].ranks, TRUE);
	for (unsigned i = 0; i < SLOTS; i++)
		g_free(k->cache[i].data);
	g_mutex_clear(&k->lock);
	g_free(k);
}

/* Of the block `number` the guest's page at `offset`. */
static bool take_cached(struct kdump *k, const struct slot *slot, uint64_t number, uint32_t offset, void *page)
{
	g_mutex_lock(&k->lock);
	bool cached = slot->page == number + 1;
	if (cached)
		memcpy(page, slot->data + offset, PAGE_SIZE);
	g_mutex_unlock(&k->lock);
	return cached;
}

static void keep(struct kdump *k, struct slot *slot, uint64_t number, const void *block)
{
	g_mutex_lock(&k->lock);
	slot->data = slot->data ? slot->data : g_malloc(k->block);
	memcpy(slot->data, block, k->block);
	slot->page = number + 1;
	g_mutex_unlock(&k->lock);
}

/* A thread's own, which is made once: zlib's takes as long to be made as a page to be unpacked. */
static void free_inflate(void *data)
{
	inflateEnd(data);
	g_free(data);
}

static void free_zstd(void *data)
{
	ZSTD_freeDCtx(data);
}

static GPrivate inflate_of_thread = G_PRIVATE_INIT(free_inflate), zstd_of_thread = G_PRIVATE_INIT(free_zstd);

static bool unzip(struct bytes packed, uint8_t *block, uint32_t length)
{
	z_stream *z = g_private_get(&inflate_of_thread);

	if (!z) {
		z = g_new0(z_stream, 1);
		if (inflateInit(z) != Z_OK) {
			g_free(z);
			return false;
		}
		g_private_set(&inflate_of_thread, z);
	} else if (inflateReset(z) != Z_OK) {
		return false;
	}
	z->next_in = (Bytef *)packed.p;
	z->avail_in = (uInt)packed.n;
	z->next_out = block;
	z->avail_out = length;
	return inflate(z, Z_FINISH) == Z_STREAM_END && !z->avail_out;
}

static bool unpack(struct bytes packed, uint32_t flags, uint8_t *block, uint32_t length)
{
	lzo_uint lzo_size = length;
	size_t size = length;

	if (flags & PACKED_ZLIB)
		return unzip(packed, block, length);
	if (flags & PACKED_LZO)
		return lzo1x_decompress_safe((lzo_bytep)packed.p, packed.n, block, &lzo_size, NULL) == LZO_E_OK && lzo_size == length;
	if (flags & PACKED_SNAPPY)
		return snappy_uncompress((const char *)packed.p, packed.n, (char *)block, &size) == SNAPPY_OK && size == length;
	if (flags & PACKED_ZSTD) {
		ZSTD_DCtx *z = g_private_get(&zstd_of_thread);
		if (!z)
			g_private_set(&zstd_of_thread, z = ZSTD_createDCtx());
		return z && ZSTD_decompressDCtx(z, block, length, packed.p, packed.n) == length;
	}
	if (packed.n == length)
		memcpy(block, packed.p, length);
	return packed.n == length;
}

static enum fault read_described(struct kdump *k, const struct file *file, const struct descriptor *d, uint8_t *block)
{
	const unsigned flags = d->flags & (PACKED_ZLIB | PACKED_LZO | PACKED_SNAPPY | PACKED_ZSTD);
	const uint64_t packing = (flags & 7) | (flags & PACKED_ZSTD) >> 2;	/* four bits */
	const uint64_t whole = file == k->parts[0].file && d->offset < UINT64_C(1) << 43 ? d->offset << 21 | packing << 17 | d->size : 0;

	if (whole && whole == __atomic_load_n(&k->zeros, __ATOMIC_RELAXED)) {
		memset(block, 0, k->block);
		return FAULT_NONE;
	}
	if (!unpack(file_slice(file, d->offset, d->size), flags, block, k->block))
		return FAULT_IMPLAUSIBLE;
	if (whole && !block[0] && !memcmp(block, block + 1, k->block - 1))
		__atomic_store_n(&k->zeros, whole, __ATOMIC_RELAXED);
	return FAULT_NONE;
}

static enum fault kdump_read_page(struct image *image, uint64_t pfn, void *page)
{
	struct kdump *k = image->format_data;
	const uint64_t number = pfn / (k->block / PAGE_SIZE);
	const uint32_t offset = (uint32_t)(pfn % (k->block / PAGE_SIZE)) * PAGE_SIZE;
	const unsigned slot = image_slot(image, number, k->slot_bits);
	/* Of a block of several pages the next one is asked for soon. */
	const bool several = k->block > PAGE_SIZE, again = __atomic_exchange_n(&k->read[slot], number + 1, __ATOMIC_RELAXED) == number + 1 || several;
	g_autofree uint8_t *unpacked = NULL;

	if (number >= k->max_pfn)
		return FAULT_NOT_IN_DUMP;
	if (again && take_cached(k, &k->cache[slot], number, offset, page))
		return FAULT_NONE;
	for (unsigned i = 0; i < k->files; i++) {
		const struct descriptor d = descriptor_of(&k->parts[i], number);
		if (d.bad)
			continue;
		uint8_t *block = several ? unpacked = g_malloc(k->block) : page;
		const enum fault fault = read_described(k, k->parts[i].file, &d, block);
		if (!fault && again)
			keep(k, &k->cache[slot], number, block);
		if (!fault && several)
			memcpy(page, block + offset, PAGE_SIZE);
		return fault;
	}
	return FAULT_NOT_IN_DUMP;
}

const struct format format_kdump = {
	.name = "kdump",
	.doc = "a kdump-compressed dump",
	.match = kdump_match,
	.open = kdump_open,
	.close = kdump_close,
	.read_page = kdump_read_page,
};
