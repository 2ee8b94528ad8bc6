/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kdump-compressed dumps (makedumpfile's format, also QEMU's and libvirt's kdump-zlib,
 * -lzo, -snappy, zstd), through libkdumpfile. This is the only file that knows it.
 *
 * A Windows guest's dump has no vmcoreinfo and no OS the library knows, so only
 * machine physical addresses are read, and the ranges come from the page bitmap.
 * Flattened streams were rearranged before this reader sees them (unpack.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <libkdumpfile/kdumpfile.h>
#include <string.h>
#include <unistd.h>
#include "cpu_notes.h"
#include "format.h"
#include "limit.h"
#include "unpack.h"

#define BLOCK 4096u
#define CACHE_PAGES 4		/* the library's default, 1024, is searched linearly and 3 to 8 times slower */
#define SLOTS 16384u		/* pages kept by ourselves, of those that are read a second time: 64 MiB; libraries' are in every process */
#define MAX_SET FIXED_kdump_files		/* files of a split dump */
#define MAX_RANGES limit32(kdump_ranges)
#define DESCRIPTOR_SIZE 24u
#define MAX_PFN (G_GUINT64_CONSTANT(1) << 40)
#define MAX_FAILED 16
#define MANY_RUNS 65536		/* 1.5 MiB of each context */
#define HEADER_VERSION 8u	/* in disk_dump_header */
#define SYSTEM_NAME 12u		/* utsname.sysname */

struct slot { uint64_t page; uint8_t *data; };	/* page + 1; 0 empty */

struct kdump {
	kdump_ctx_t *original;	/* while it is opened */
	uint64_t read[SLOTS];	/* the page + 1 that was read last of those whose slot it is: exchanged without the lock */
	struct slot cache[SLOTS];
	GMutex cache_lock;
	kdump_ctx_t *ready;	/* the one used last, not used just now, or NULL: exchanged without the lock, which costs as much as a page of zeros */
	GMutex lock;		/* of idle and bad */
	GPtrArray *idle;	/* kdump_ctx_t *: opened for other threads, not used just now */
	GHashTable *bad;	/* pages that can't be read: each costs a context, so none is tried twice */
	gint has_bad;
	int set[MAX_SET];	/* what the library reads: the files of a split dump, or one */
	uint64_t runs;		/* of pages, in all of them */
	GMutex one;		/* where there are too many for several contexts */
	gint failed;		/* contexts for other threads that could not be opened */
	struct { uint64_t first, end; } pages[MAX_SET];	/* what each has of a split dump */
	unsigned files;
};

/* disk_dump_header, whose struct timeval depends on the word size of the machine that wrote it. */
struct kdump_header {
	int32_t version;
	bool is_64bit;
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

/*
 * kdump_sub_header. Its sizes are checked here because the library allocates what they
 * say. Its 32-bit form, as written on i386, aligns 64-bit numbers to 4 bytes.
 */
static bool read_sub_header(struct image *image, struct kdump_header *h, GError **error)
{
	const int32_t version = h->version;
	static const struct { const char *name; uint16_t at[2], size_at[2]; int32_t since; } parts[] = {
		{ "size_vmcoreinfo", { 0x14, 0x20 }, { 0x1c, 0x28 }, 3 },
		{ "size_note", { 0x20, 0x30 }, { 0x28, 0x38 }, 4 },
		{ "size_eraseinfo", { 0x2c, 0x40 }, { 0x34, 0x48 }, 5 },
	};
	struct bytes sub = file_slice(image->file, BLOCK, BLOCK);
	uint64_t size = image->file->size;
	bool wide = h->is_64bit;

	/* The library splits by any number but 0. */
	h->split = version >= 2 && bytes_at(&sub, wide ? 0x0c : 0x08, 4) != 0;
	if (version >= 6)
		h->max_pfn = bytes_at(&sub, wide ? 0x60 : 0x48, 8);
	h->start_pfn = !h->split ? 0 : version >= 6 ? bytes_at(&sub, wide ? 0x50 : 0x38, 8) : bytes_at(&sub, wide ? 0x10 : 0x0c, wide ? 8 : 4);
	h->end_pfn = !h->split ? UINT64_MAX : version >= 6 ? bytes_at(&sub, wide ? 0x58 : 0x40, 8) : bytes_at(&sub, wide ? 0x18 : 0x10, wide ? 8 : 4);
	if (h->start_pfn > h->end_pfn)
		return header_error(error, "start_pfn", BLOCK, h->start_pfn, h->end_pfn);
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
		uint64_t offset = bytes_at(&sub, parts[i].at[wide], 8),
			 length = bytes_at(&sub, parts[i].size_at[wide], wide ? 8 : 4);
		if (version < parts[i].since)
			continue;
		if (length && (offset > size || length > size - offset))
			return header_error(error, parts[i].name, BLOCK + parts[i].size_at[wide], length,
					    offset < size ? size - offset : 0);
		if (i == 1) {
			h->notes = offset;
			h->notes_size = length;
		}
	}
	if (h->max_pfn > (uint64_t)h->bitmap_blocks * BLOCK * 8)
		return header_error(error, "max_mapnr_64", BLOCK + (wide ? 0x60 : 0x48), h->max_pfn, (uint64_t)h->bitmap_blocks * BLOCK * 8);
	return true;
}

static bool page_size(uint32_t n)
{
	return n >= 256 && n <= 1u << 24 && !(n & (n - 1));
}

static bool read_header(struct image *image, struct kdump_header *h, GError **error)
{
	struct bytes b = file_slice(image->file, 0, MIN(image->file->size, 2 * BLOCK));
	uint32_t wide = (uint32_t)bytes_at(&b, 0x1ac, 4), narrow = (uint32_t)bytes_at(&b, 0x1a0, 4);
	uint64_t blocks = image->file->size / BLOCK;
	unsigned at = wide == BLOCK ? 0x1ac : 0x1a0;

	h->is_64bit = wide == BLOCK;
	h->sub_blocks = (uint32_t)bytes_at(&b, at + 4, 4);
	h->bitmap_blocks = (uint32_t)bytes_at(&b, at + 8, 4);
	h->max_pfn = (uint32_t)bytes_at(&b, at + 12, 4);
	if (b.bad || b.n < 2 * BLOCK) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "kdump: the file has %" G_GUINT64_FORMAT
			    " bytes, its headers alone have %u", image->file->size, 2 * BLOCK);
		return false;
	}
	if ((wide == BLOCK) == (narrow == BLOCK)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump header: block_size at 0x1ac is %u, and %u at 0x1a0, where a "
			    "32-bit one has it: one of them must be %u",
			    wide, narrow, BLOCK);
		return false;
	}
	/* libkdumpfile asks for the 32-bit header first and takes any power of two there, however much
	 * it then allocates; in a 64-bit header these bytes are the microseconds of its time. */
	if (h->is_64bit && narrow >= BLOCK && !(narrow & (narrow - 1)))
		return header_error(error, "timestamp.tv_usec (where a 32-bit header has block_size)", 0x1a0, narrow, 999999);
	/* The library tries the 32-bit form first, in either byte order, and takes any page size. */
	if (h->is_64bit && (page_size(narrow) || page_size(GUINT32_SWAP_LE_BE(narrow)))) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump header: block_size at 0x1ac is %u, and at 0x1a0, where a 32-bit one has it, stands a page size too", wide);
		return false;
	}
	if (!h->sub_blocks || !h->bitmap_blocks || 1 + (uint64_t)h->sub_blocks + h->bitmap_blocks > blocks) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump header: sub_hdr_size at 0x%x is %u and bitmap_blocks at 0x%x %u: not "
			    "within 1-%" G_GUINT64_FORMAT ", the blocks the file has",
			    at + 4, h->sub_blocks, at + 8, h->bitmap_blocks, blocks);
		return false;
	}
	/* The library asks this of the 32-bit field even where a 64-bit one follows. */
	if (h->max_pfn > (uint64_t)h->bitmap_blocks * BLOCK * 8)
		return header_error(error, "max_mapnr", at + 12, h->max_pfn, (uint64_t)h->bitmap_blocks * BLOCK * 8);
	h->version = (int32_t)bytes_at(&b, HEADER_VERSION, 4);
	if (h->version < 0)
		return header_error(error, "header_version", HEADER_VERSION, (uint32_t)h->version, G_MAXINT32);
	return read_sub_header(image, h, error);
}

/*
 * The library believes the notes of the machine and of Linux (0.5.1): VMCOREINFO's PAGESIZE makes its buffers smaller than the pages
 * that it reads into them, the length of its lines is taken from the stack, Xen's notes are read beyond their end. Guests write these
 * notes (QEMU's vmcoreinfo device), and Windows needs none of them: where there are any the library isn't shown them.
 */
static bool harmless(const struct file *file, const struct kdump_header *h)
{
	struct bytes notes = file_slice(file, h->notes, h->version >= 4 ? h->notes_size : 0);

	/* Of machines that ran something else than Linux no other notes count; version 3 has VMCOREINFO in place of notes. */
	return h->version != 3 && memcmp(file->map + SYSTEM_NAME, "Linux", 6) &&
	       (notes.bad || !notes.n || !memmem(notes.p, notes.n, "VMCOREINFO", strlen("VMCOREINFO")));
}

static bool library_failed(struct kdump *k, const char *what, GError **error)
{
	const char *why = kdump_get_err(k->original);

	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "kdump: %s: %s", what, why ? why : "no reason given");
	return false;
}

/*
 * The page bitmaps: the first has the pages of the machine, the second those of the
 * dump; dumps too small for two have one. (The library tells the first too, as
 * memory.pagemap, but leaks.)
 */
static struct bytes bitmap(const struct image *image, const struct kdump_header *h, bool second)
{
	uint64_t blocks = h->bitmap_blocks, start = 1 + (uint64_t)h->sub_blocks;

	if (h->max_pfn <= blocks * BLOCK * 8 / 2) {
		start += second ? blocks / 2 : 0;
		blocks /= 2;
	}
	return file_slice(image->file, start * BLOCK, blocks * BLOCK);
}

/*
 * Where in the bitmap, in bytes, the runs of pages end that are taken; its size: all are. Each run takes 24 bytes of every context of the
 * library's, which a bitmap of ones and zeros in turn would make gigabytes.
 */
static size_t count_runs(struct bytes map, uint64_t *runs)
{
	unsigned last = 0;

	*runs = 0;
	for (size_t i = 0; i < map.n; i++) {
		const unsigned byte = map.p[i];
		*runs += (uint64_t)__builtin_popcount(byte & ~(byte << 1 | last));
		last = byte >> 7;
		if (*runs > MAX_RANGES)
			return i + 1;
	}
	return map.n;
}

static bool write_zeros(int fd, uint64_t at, uint64_t length)
{
	static const uint8_t zeros[1 << 16];

	while (length) {
		ssize_t n = pwrite(fd, zeros, MIN(length, sizeof(zeros)), (off_t)at);
		if (n <= 0)
			return false;
		at += (uint64_t)n;
		length -= (uint64_t)n;
	}
	return true;
}

static bool hide_notes(int fd, const struct kdump_header *h)
{
	static const uint8_t version[4] = { 2 };
	const unsigned at = BLOCK + (h->is_64bit ? 0x38 : 0x28), length = h->is_64bit ? 8 : 4;	/* size_note */

	return write_zeros(fd, SYSTEM_NAME, 1) && (h->version < 4 || write_zeros(fd, at, length)) &&
	       (h->version != 3 || pwrite(fd, version, sizeof(version), HEADER_VERSION) == (ssize_t)sizeof(version));
}

/* The file, as the library may see it. -1 and *error: it can't be shown. The caller closes it. */
static int shown(const struct image *image, const struct kdump_header *h, uint64_t *runs, GError **error)
{
	const struct file *file = image->file;
	const struct bytes map = bitmap(image, h, true);
	const size_t end = count_runs(map, runs);
	const bool as_it_is = harmless(file, h) && end == map.n, ours = image->container && file != image->container;
	int fd = as_it_is || ours ? fcntl(file->fd, F_DUPFD_CLOEXEC, 0) : unpack_copy(file, error);

	if (fd >= 0 && (as_it_is || (hide_notes(fd, h) && write_zeros(fd, (uint64_t)(map.p - file->map) + end, map.n - end))))
		return fd;
	if (error && !*error)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "kdump: a copy that can be read: %s", g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static uint64_t count_bits(struct bytes map)
{
	uint64_t n = 0;

	for (; map.n; map.p++, map.n--)
		n += (uint64_t)__builtin_popcount(*map.p);
	return n;
}

/*
 * page_desc: offset, size, flags, page_flags. Is the page it tells of within the file?
 * The library (0.5.1) reads `size` bytes into a buffer of one page, whatever it says: one above a
 * page must never get there.
 */
static bool descriptor_within(const struct image *image, uint64_t table, uint64_t i)
{
	struct bytes d = file_slice(image->file, table + i * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE);
	uint64_t offset = bytes_u64(&d), size = bytes_u32(&d);

	return !d.bad && size && size <= BLOCK && offset < image->file->size && size <= image->file->size - offset;
}

static uint64_t table_at(const struct kdump_header *h)
{
	return (1 + (uint64_t)h->sub_blocks + h->bitmap_blocks) * BLOCK;
}

/* The file of a dump that isn't split. */
static bool add_only(const struct image *image, const struct kdump_header *h, struct kdump *k, GError **error)
{
	uint64_t runs;
	int fd = shown(image, h, &runs, error);

	k->runs += runs;
	if (fd >= 0)
		k->set[k->files++] = fd;
	return fd >= 0;
}

/* One file of a split dump, if all its descriptors are within bounds: the library keeps count of them by itself. */
static bool add_part(int fd, const struct kdump_header *h, struct kdump *k)
{
	g_autoptr(GError) error = NULL;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct file *file = own >= 0 ? file_adopt(own, "part", &error) : NULL;
	struct image part = { .file = file };
	struct kdump_header theirs = { 0 };
	bool safe = file && read_header(&part, &theirs, &error) && theirs.is_64bit == h->is_64bit &&
		    theirs.sub_blocks == h->sub_blocks && theirs.bitmap_blocks == h->bitmap_blocks && theirs.max_pfn == h->max_pfn && theirs.split;
	struct bytes map = safe ? bitmap(&part, &theirs, true) : (struct bytes){ .bad = true };
	uint64_t i = 0;

	for (uint64_t pfn = theirs.start_pfn; safe && pfn < theirs.end_pfn && pfn / 8 < map.n; pfn++) {
		if (!(map.p[pfn / 8] >> (pfn & 7) & 1))
			continue;
		struct bytes d = file_slice(file, table_at(&theirs) + i++ * DESCRIPTOR_SIZE + 8, 4);
		safe = bytes_u32(&d) <= BLOCK;
	}
	safe = safe && !map.bad && add_only(&part, &theirs, k, NULL);
	if (safe) {
		k->pages[k->files - 1].first = theirs.start_pfn;
		k->pages[k->files - 1].end = theirs.end_pfn;
	}
	file_close(file);
	return safe;
}

/* Is the file one of the same split dump: the same machine at the same time? */
static bool same_dump(int fd, const struct image *image)
{
	uint8_t head[0x1a8];

	return pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) && !memcmp(head, image->file->map, sizeof(head));
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
		int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 && same_dump(fd, image))
			(void)add_part(fd, h, k);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		g_dir_close(dir);
	if (k->files == 1)
		image_note(image, FAULT_NOT_IN_DUMP, 0,
			   "one file of a split dump, and the others were not found beside it: their "
			   "pages are missing");
	image->facts.detail = g_strdup_printf("split into %u files", k->files);
}

/* False: that is one range more than are taken. */
static bool add_pages(struct image *image, uint64_t pfn, uint64_t pages)
{
	image_add_range(image, (pa_t){ pfn * PAGE_SIZE }, pages * PAGE_SIZE, pfn * PAGE_SIZE);
	if (image->segments->len <= MAX_RANGES)
		return true;
	g_array_set_size(image->segments, MAX_RANGES);
	image_note(image, FAULT_LIMIT, pfn * PAGE_SIZE, "kdump: more than %u ranges: the rest is left out", MAX_RANGES);
	return false;
}

/*
 * The library gives zeros for some of what lies past the end of a file that was cut
 * off, and believes sizes. Where all descriptors are good: false; else the pages whose
 * descriptors are become ranges, and the library is asked for no other.
 */
static bool add_ranges_of_cut(struct image *image, const struct kdump_header *h)
{
	struct bytes map = bitmap(image, h, true);
	uint64_t table = table_at(h), pages = count_bits(map), i = 0;

	while (i < pages && descriptor_within(image, table, i))
		i++;
	if (i == pages)
		return false;
	i = 0;
	for (uint64_t pfn = 0; pfn / 8 < map.n; pfn++) {
		if (!(map.p[pfn / 8] >> (pfn & 7) & 1))
			continue;
		if (descriptor_within(image, table, i++)) {
			if (!add_pages(image, pfn, 1))
				break;
			continue;
		}
		if (!image->bytes_missing)
			image->first_missing = pfn * PAGE_SIZE;
		image->bytes_missing += PAGE_SIZE;
	}
	return true;
}

/* Of a split dump, those that the files which are there have. (The library's bitmap ends with the first file, 0.5.1.) */
static void add_ranges_of_set(struct image *image, const struct kdump *k, const struct kdump_header *h)
{
	struct bytes map = bitmap(image, h, true);

	image->missing_why = "not all files of the split dump lie beside this one";
	for (uint64_t pfn = 0; pfn / 8 < map.n; pfn++) {
		bool there = false;
		if (!(map.p[pfn / 8] >> (pfn & 7) & 1))
			continue;
		for (unsigned i = 0; i < k->files && !there; i++)
			there = pfn >= k->pages[i].first && pfn < k->pages[i].end;
		if (there) {
			if (!add_pages(image, pfn, 1))
				break;
			continue;
		}
		if (!image->bytes_missing)
			image->first_missing = pfn * PAGE_SIZE;
		image->bytes_missing += PAGE_SIZE;
	}
}

/* The pages of the dump, as ranges. */
static bool add_ranges(struct kdump *k, struct image *image)
{
	kdump_attr_t value = { .type = KDUMP_BITMAP };
	kdump_addr_t at = 0;

	if (kdump_get_typed_attr(k->original, KDUMP_ATTR_FILE_PAGEMAP, &value) != KDUMP_OK)
		return false;
	while (at < MAX_PFN && kdump_bmp_find_set(value.val.bitmap, &at) == KDUMP_OK && at < MAX_PFN) {
		kdump_addr_t end = at;
		if (kdump_bmp_find_clear(value.val.bitmap, &end) != KDUMP_OK || end > MAX_PFN)
			end = MAX_PFN;
		if (!add_pages(image, at, end - at))
			break;
		at = end;
	}
	return true;
}

/* Pages at and above max_mapnr are none to the library. */
static void note_pages_beyond(struct image *image, const struct kdump_header *h)
{
	struct bytes map = bitmap(image, h, true);
	uint64_t pages = 0, last = 0;

	for (uint64_t pfn = h->max_pfn; pfn / 8 < map.n; pfn++) {
		if (!map.p[pfn / 8]) {
			pfn |= 7;
		} else if (map.p[pfn / 8] >> (pfn & 7) & 1) {
			pages++;
			last = pfn;
		}
	}
	if (pages)
		image_note(image, FAULT_NOT_IN_DUMP, h->max_pfn * PAGE_SIZE, "kdump header: max_mapnr is %" G_GUINT64_FORMAT ", and the page bitmap has %"
			   G_GUINT64_FORMAT " pages above it, up to %" G_GUINT64_FORMAT ": they can't be read", h->max_pfn, pages, last);
}

/* A context that could not be opened must not be freed: the library (0.5.1) then looks into what it has freed. */
static void abandon(kdump_ctx_t *ctx)
{
	static GPtrArray *abandoned;
	static GMutex lock;

	g_mutex_lock(&lock);
	if (!abandoned)
		abandoned = g_ptr_array_new();
	g_ptr_array_add(abandoned, ctx);
	g_mutex_unlock(&lock);
}

static bool open_context(const struct kdump *k, kdump_ctx_t *ctx)
{
	return kdump_set_number_attr(ctx, "cache.size", CACHE_PAGES) == KDUMP_OK && kdump_open_fdset(ctx, k->files, k->set) == KDUMP_OK;
}

static bool kdump_open(struct image *image, GError **error)
{
	struct kdump_header header = { 0 };
	struct kdump *k = image->format_data = g_new0(struct kdump, 1);
	char machine[65];

	g_mutex_init(&k->lock);
	g_mutex_init(&k->cache_lock);
	g_mutex_init(&k->one);
	k->idle = g_ptr_array_new();
	k->bad = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	image->facts.format = "kdump";
	if (!read_header(image, &header, error))
		return false;
	memcpy(machine, image->file->map + 0x0c + 4 * 65, sizeof(machine));
	machine[64] = 0;
	image->facts.architecture = !strcmp(machine, "x86_64")	? ARCH_X64 :
				    !strcmp(machine, "aarch64") ? ARCH_ARM64 :
								  ARCH_UNKNOWN;

	if (!header.split) {
		if (!add_only(image, &header, k, error))
			return false;
	} else if (!add_part(image->file->fd, &header, k)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "kdump: a page descriptor tells of more than the %u bytes a page has", BLOCK);
		return false;
	}
	if (header.split)
		find_set(image, k, &header);
	k->original = kdump_new();
	if (!k->original) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "kdump: no memory for the reader");
		return false;
	}
	image->file->mapped_elsewhere = true;
	if (!open_context(k, k->original)) {
		(void)library_failed(k, "not readable", error);
		abandon(g_steal_pointer(&k->original));
		return false;
	}
	if (header.split)
		add_ranges_of_set(image, k, &header);
	else if (!add_ranges_of_cut(image, &header) && !add_ranges(k, image))
		return library_failed(k, "no page bitmap", error);
	if (!image->segments->len) {
		g_autofree char *part = header.split ? g_strdup_printf(" from start_pfn %" G_GUINT64_FORMAT " up to end_pfn %" G_GUINT64_FORMAT
								       ", which a split dump's part (split is not 0) has", header.start_pfn, header.end_pfn) : NULL;
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "kdump: the page bitmap (%u blocks) names no page%s", header.bitmap_blocks, part ? part : "");
		return false;
	}
	k->ready = g_steal_pointer(&k->original);
	note_pages_beyond(image, &header);
	image->facts.memory_total = count_bits(bitmap(image, &header, false)) * PAGE_SIZE;
	if (header.notes && header.notes_size) {
		uint64_t there = header.notes < image->file->size ? image->file->size - header.notes : 0;
		cpu_notes_read(image, file_slice(image->file, header.notes, MIN(header.notes_size, there)));
	}
	if (image->facts.cpus)
		image->facts.processors = image->facts.cpus->len;
	return true;
}

static void kdump_close(struct image *image)
{
	struct kdump *k = image->format_data;

	if (!k)
		return;
	if (k->ready)
		kdump_free(k->ready);
	for (guint i = 0; i < k->idle->len; i++)
		kdump_free(g_ptr_array_index(k->idle, i));
	g_ptr_array_free(k->idle, TRUE);
	g_hash_table_destroy(k->bad);
	if (k->original)
		kdump_free(k->original);
	for (unsigned i = 0; i < k->files; i++)
		close(k->set[i]);
	for (unsigned i = 0; i < SLOTS; i++)
		g_free(k->cache[i].data);
	g_mutex_clear(&k->cache_lock);
	g_mutex_clear(&k->one);
	g_mutex_clear(&k->lock);
	g_free(k);
}

/*
 * A context for this read, opened by itself: the library's clones share a cache, and a read that fails leaves it
 * (0.5.1) with an entry that has no memory, which the next reads write to.
 */
static kdump_ctx_t *borrow(struct kdump *k, uint64_t pfn)
{
	kdump_ctx_t *ctx = __atomic_exchange_n(&k->ready, NULL, __ATOMIC_ACQ_REL);

	if (!ctx || g_atomic_int_get(&k->has_bad)) {
		g_mutex_lock(&k->lock);
		bool bad = g_hash_table_contains(k->bad, &pfn);
		if (bad && ctx)
			g_ptr_array_add(k->idle, g_steal_pointer(&ctx));
		else if (!bad && !ctx && k->idle->len)
			ctx = g_ptr_array_steal_index_fast(k->idle, k->idle->len - 1);
		g_mutex_unlock(&k->lock);
		if (bad)
			return NULL;
	}
	if (ctx || g_atomic_int_get(&k->failed) >= MAX_FAILED || !(ctx = kdump_new()) || open_context(k, ctx))
		return ctx;
	abandon(ctx);
	g_atomic_int_inc(&k->failed);
	return NULL;
}

static void give_back(struct kdump *k, kdump_ctx_t *ctx)
{
	kdump_ctx_t *other = __atomic_exchange_n(&k->ready, ctx, __ATOMIC_ACQ_REL);

	if (!other)
		return;
	g_mutex_lock(&k->lock);
	g_ptr_array_add(k->idle, other);
	g_mutex_unlock(&k->lock);
}

static bool take_cached(struct kdump *k, uint64_t pfn, void *page)
{
	const struct slot *slot = &k->cache[pfn % SLOTS];

	g_mutex_lock(&k->cache_lock);
	bool cached = slot->page == pfn + 1;
	if (cached)
		memcpy(page, slot->data, PAGE_SIZE);
	g_mutex_unlock(&k->cache_lock);
	return cached;
}

static void keep(struct kdump *k, uint64_t pfn, const void *page)
{
	struct slot *slot = &k->cache[pfn % SLOTS];

	g_mutex_lock(&k->cache_lock);
	slot->data = slot->data ? slot->data : g_malloc(PAGE_SIZE);
	memcpy(slot->data, page, PAGE_SIZE);
	slot->page = pfn + 1;
	g_mutex_unlock(&k->cache_lock);
}

static enum fault ask_library(struct kdump *k, uint64_t pfn, bool again, void *page)
{
	kdump_ctx_t *ctx = borrow(k, pfn);
	size_t length = PAGE_SIZE;

	if (!ctx)
		return FAULT_IMPLAUSIBLE;
	kdump_status status = kdump_read(ctx, KDUMP_MACHPHYSADDR, pfn * PAGE_SIZE, page, &length);
	if (status == KDUMP_OK) {
		give_back(k, ctx);
		if (again)
			keep(k, pfn, page);
		return FAULT_NONE;
	}
	kdump_free(ctx);	/* with its cache */
	g_mutex_lock(&k->lock);
	g_hash_table_add(k->bad, g_memdup2(&pfn, sizeof(pfn)));
	g_atomic_int_set(&k->has_bad, 1);
	g_mutex_unlock(&k->lock);
	return status == KDUMP_ERR_NODATA ? FAULT_NOT_IN_DUMP : FAULT_IMPLAUSIBLE;
}

/* What reads all of memory once comes by here as fast as the library. */
static enum fault kdump_read_page(struct image *image, uint64_t pfn, void *page)
{
	struct kdump *k = image->format_data;
	const bool again = __atomic_exchange_n(&k->read[pfn % SLOTS], pfn + 1, __ATOMIC_RELAXED) == pfn + 1;

	if (again && take_cached(k, pfn, page))
		return FAULT_NONE;
	if (k->runs <= MANY_RUNS)
		return ask_library(k, pfn, again, page);
	g_mutex_lock(&k->one);
	const enum fault fault = ask_library(k, pfn, again, page);
	g_mutex_unlock(&k->one);
	return fault;
}

const struct format format_kdump = {
	.name = "kdump",
	.doc = "a kdump-compressed dump",
	.match = kdump_match,
	.open = kdump_open,
	.close = kdump_close,
	.read_page = kdump_read_page,
};
