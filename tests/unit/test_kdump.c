/* SPDX-License-Identifier: Apache-2.0 */
/* kdump files: sound ones however their pages are packed, split ones, and those that lie. */
#include <fcntl.h>
#include <lzo/lzo1x.h>
#include <snappy-c.h>
#include <time.h>
#include <zlib.h>
#include <zstd.h>
#include "format_checks.h"
#include "limit.h"
#include "sweep.h"

static bool never(const uint8_t *page, uint64_t pa)
{
	(void)page;
	(void)pa;
	return false;
}

static const struct sweep_pattern nothing = { .kind = SWEEP_PAGE, .page = never };

static void check_kdump(struct image *image)
{
	ck_assert_str_eq(image->facts.format, "kdump");
	HAS_RANGES(image, 0, 2, 3, 1);
	has_page(image, 0, 0);
	has_page(image, 1, 1);
	has_page(image, 3, 3);
	lacks_page(image, 2);
	ck_assert_uint_eq(image->facts.cpus->len, 1);
	ck_assert_uint_eq(g_array_index(image->facts.cpus, struct image_cpu, 0).cr3, 0x1ad000);
	ck_assert_uint_eq(image->facts.memory_total, 8 * PAGE_SIZE);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);
}

/* With page 3 packed otherwise. Takes the data. */
static GByteArray *repacked(uint32_t flags, GByteArray *packed)
{
	GByteArray *a = sample_kdump();

	put_le(a, 4 * PAGE_SIZE + 48, a->len, 8);
	put_le(a, 4 * PAGE_SIZE + 56, packed->len, 4);
	put_le(a, 4 * PAGE_SIZE + 60, flags, 4);
	put(a, a->len, packed->data, packed->len);
	g_byte_array_unref(packed);
	return a;
}

static GByteArray *packed_by_snappy(void)
{
	GByteArray *out = g_byte_array_new();
	uint8_t page[PAGE_SIZE];
	size_t n = snappy_max_compressed_length(PAGE_SIZE);

	memset(page, 0x55, sizeof(page));
	g_byte_array_set_size(out, (guint)n);
	ck_assert(snappy_compress((const char *)page, PAGE_SIZE, (char *)out->data, &n) == SNAPPY_OK);
	g_byte_array_set_size(out, (guint)n);
	return out;
}

static GByteArray *packed_by_lzo(void)
{
	GByteArray *out = g_byte_array_new();
	g_autofree uint8_t *work = g_malloc(LZO1X_1_MEM_COMPRESS);
	uint8_t page[PAGE_SIZE];
	lzo_uint n = 2 * PAGE_SIZE;

	memset(page, 0x55, sizeof(page));
	g_byte_array_set_size(out, (guint)n);
	ck_assert(lzo1x_1_compress(page, PAGE_SIZE, out->data, &n, work) == LZO_E_OK);
	g_byte_array_set_size(out, (guint)n);
	return out;
}

START_TEST(kdump)
{
	GByteArray *a, *b;
	struct image *image;

	check_kdump(opened(sample_kdump()));
	check_kdump(opened(sample_flattened()));

	static const uint8_t zstd[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x60, 0x00, 0x0f, 0x03, 0x80, 0x00, 0x55 };	/* a page of 0x55, as one run */
	image = opened(repacked(0x20, g_byte_array_append(g_byte_array_new(), zstd, sizeof(zstd))));
	has_page(image, 3, 0x5555555555555555);
	image_close(image);
	a = repacked(0x04, packed_by_snappy());
	image = opened(a);
	has_page(image, 3, 0x5555555555555555);
	image_close(image);
	a = repacked(0x02, packed_by_lzo());
	image = opened(a);
	has_page(image, 3, 0x5555555555555555);
	image_close(image);
	for (unsigned flag = 1; flag <= 0x20; flag *= flag == 4 ? 8 : 2) {	/* what can't be unpacked is told page by page */
		image = opened(repacked(flag, g_byte_array_append(g_byte_array_new(), (const guint8 *)"\x11no page", 8)));
		has_page(image, 1, 1);
		ck_assert(image_read(image, (pa_t){ 3 * PAGE_SIZE }, &(uint8_t){ 0 }, 1) == FAULT_IMPLAUSIBLE);
		AUTO(sweep) sweep = sweep_run(image, NULL, (const struct sweep_pattern *const []){ &nothing, NULL }, 2, NULL, NULL);
		pa_t first;
		ck_assert_uint_eq(sweep_unread(sweep, &first), 1);	/* whoever else would need it */
		ck_assert_uint_eq(first.v, 3 * PAGE_SIZE);
		image_close(image);
	}

	a = sample_kdump();			/* cut off within the last page */
	g_byte_array_set_size(a, a->len - 100);
	image = opened(a);
	HAS_RANGES(image, 0, 2);
	ck_assert_uint_eq(image->bytes_missing, PAGE_SIZE);
	image_close(image);

	a = sample_flattened();			/* the same in a stream */
	g_byte_array_set_size(a, a->len - 16 - 5);
	image = opened(a);
	ck_assert(noted(image, "within a record"));
	image_close(image);

	put_le(a = sample_kdump(), 0x1ac, 16384, 4);
	refused("dump", a, "block_size at 0x1ac");
	put_le(a = sample_kdump(), 0x1b4, 1 << 30, 4);
	refused("dump", a, "bitmap_blocks");
	put_le(a = sample_flattened(), 4096, UINT64_C(0xfe), 1);
	refused("dump", a, "negative");

	a = sample_kdump();			/* split in two: each file has its part of the pages */
	b = sample_kdump();
	put_le(a, 0x1000 + 0x0c, 1, 4);
	put_le(b, 0x1000 + 0x0c, 1, 4);
	put_le(a, 0x1000 + 0x50, 0, 8);
	put_le(a, 0x1000 + 0x58, 2, 8);
	put_le(b, 0x1000 + 0x50, 2, 8);
	put_le(b, 0x1000 + 0x58, 8, 8);
	put(b, 4 * PAGE_SIZE, b->data + 4 * PAGE_SIZE + 48, 24);	/* its only descriptor is page 3's */
	write_as("part-2.kdump", b);
	image = open_as("part-1.kdump", a);
	ck_assert_str_eq(image->facts.detail, "split into 2 files");
	HAS_RANGES(image, 0, 2, 3, 1);
	has_page(image, 1, 1);
	has_page(image, 3, 3);
	image_close(image);

	a = sample_kdump();			/* a file that has pages of the other's is none of its set */
	put_le(a, 0x1000 + 0x0c, 1, 4);
	put_le(a, 0x1000 + 0x58, 2, 8);
	b = sample_kdump();
	put_le(b, 0x1000 + 0x0c, 1, 4);
	put_le(b, 0x1000 + 0x50, 1, 8);
	put_le(b, 0x1000 + 0x58, 8, 8);
	write_as("part-2.kdump", b);
	image = open_as("part-1.kdump", a);
	ck_assert(noted(image, "one file of a split dump"));
	HAS_RANGES(image, 0, 2);
	image_close(image);
}
END_TEST

static GByteArray *packed_block(unsigned flag, const GByteArray *block)
{
	GByteArray *out = g_byte_array_new();
	size_t n = 2 * block->len;
	uLongf zlib_size = n;
	lzo_uint lzo_size = n;
	g_autofree uint8_t *work = g_malloc(LZO1X_1_MEM_COMPRESS);

	g_byte_array_set_size(out, (guint)n);
	switch (flag) {
	case 0x01:
		ck_assert(compress2(out->data, &zlib_size, block->data, block->len, 1) == Z_OK);
		n = zlib_size;
		break;
	case 0x02:
		ck_assert(lzo1x_1_compress(block->data, block->len, out->data, &lzo_size, work) == LZO_E_OK);
		n = lzo_size;
		break;
	case 0x04:
		ck_assert(snappy_compress((const char *)block->data, block->len, (char *)out->data, &n) == SNAPPY_OK);
		break;
	case 0x20:
		n = ZSTD_compress(out->data, n, block->data, block->len, 1);
		ck_assert(!ZSTD_isError(n));
		break;
	default:
		memcpy(out->data, block->data, n = block->len);
	}
	g_byte_array_set_size(out, (guint)n);
	return out;
}

#define WIDE_BLOCK 65536u

/* Of an AArch64 guest: blocks 0, which has the pages 0 to 15, and 3 of 8, from 48 on. */
static GByteArray *sample_wide_kdump(unsigned flag)
{
	GByteArray *a = sample_kdump();
	uint64_t data = 5 * WIDE_BLOCK;

	put_text(a, 12 + 4 * 65, "aarch64");
	put_le(a, 0x1ac, WIDE_BLOCK, 4);
	g_autofree uint8_t *sub = g_memdup2(a->data + 0x1000, 0x1000);
	g_byte_array_set_size(a, 0x1000);
	put(a, WIDE_BLOCK, sub, 0x1000);
	put_le(a, WIDE_BLOCK + 0x30, WIDE_BLOCK + 0x200, 8);
	put_le(a, 2 * WIDE_BLOCK, 0xff, 1);
	put_le(a, 3 * WIDE_BLOCK, 1 << 0 | 1 << 3, 1);
	for (unsigned i = 0; i < 2; i++) {
		g_autoptr(GByteArray) block = g_byte_array_new();
		for (unsigned page = 0; page < 16; page++)
			put_page(block, page * PAGE_SIZE, 48 * i + page);
		g_autoptr(GByteArray) packed = packed_block(flag, block);
		put_le(a, 4 * WIDE_BLOCK + 24 * i, data, 8);
		put_le(a, 4 * WIDE_BLOCK + 24 * i + 8, packed->len, 4);
		put_le(a, 4 * WIDE_BLOCK + 24 * i + 12, flag, 4);
		put(a, data, packed->data, packed->len);
		data += packed->len;
	}
	return a;
}

START_TEST(kdump_blocks)
{
	static const unsigned flags[] = { 0, 0x01, 0x02, 0x04, 0x20 };
	struct image *image;
	GByteArray *a;

	for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
		image = opened(sample_wide_kdump(flags[i]));
		ck_assert_int_eq(image->facts.architecture, ARCH_ARM64);
		HAS_RANGES(image, 0, 16, 48, 16);
		for (unsigned twice = 0; twice < 2; twice++)
			for (unsigned page = 0; page < 16; page++) {
				has_page(image, page, page);
				has_page(image, 48 + page, 48 + page);
			}
		lacks_page(image, 16);
		lacks_page(image, 47);
		lacks_page(image, 64);
		ck_assert_uint_eq(image->facts.memory_total, 8 * WIDE_BLOCK);
		ck_assert_uint_eq(image->notes->len, 0);
		image_close(image);
	}

	a = sample_wide_kdump(0);		/* cut off within the last block */
	g_byte_array_set_size(a, a->len - 100);
	image = opened(a);
	HAS_RANGES(image, 0, 16);
	ck_assert_uint_eq(image->first_missing, 48 * PAGE_SIZE);
	ck_assert_uint_eq(image->bytes_missing, WIDE_BLOCK);
	image_close(image);

	a = sample_wide_kdump(0x01);		/* a block that unpacks to a page alone */
	put_le(a, 4 * WIDE_BLOCK, a->len, 8);
	g_autoptr(GByteArray) page = g_byte_array_new();
	put_page(page, 0, 0);
	g_autoptr(GByteArray) packed = packed_block(0x01, page);
	put_le(a, 4 * WIDE_BLOCK + 8, packed->len, 4);
	put(a, a->len, packed->data, packed->len);
	image = opened(a);
	ck_assert(image_read(image, (pa_t){ 0 }, &(uint8_t){ 0 }, 1) == FAULT_IMPLAUSIBLE);
	has_page(image, 63, 63);
	image_close(image);

	put_le(a = sample_wide_kdump(0), 4 * WIDE_BLOCK + 8, WIDE_BLOCK + 1, 4);
	image = opened(a);
	HAS_RANGES(image, 48, 16);
	image_close(image);
}
END_TEST

/* With a note behind what there is. */
static GByteArray *with_note(GByteArray *a, const char *name, const char *text, size_t length)
{
	const uint64_t at = GUINT64_FROM_LE(*(uint64_t *)(void *)(a->data + 0x1000 + 0x30)), size = GUINT64_FROM_LE(*(uint64_t *)(void *)(a->data + 0x1000 + 0x38));
	const guint start = (a->len + 7) & ~7u, names = (guint)(strlen(name) + 4) & ~3u;
	g_autofree uint8_t *old = g_memdup2(a->data + at, size);

	put(a, start, old, size);
	put_le(a, start + (guint)size, strlen(name) + 1, 4);
	put_le(a, start + (guint)size + 4, length, 4);
	put_le(a, start + (guint)size + 8, 0, 4);
	put(a, start + (guint)size + 12, name, strlen(name) + 1);
	put(a, start + (guint)size + 12 + names, text, length);
	put_le(a, 0x1000 + 0x30, start, 8);
	put_le(a, 0x1000 + 0x38, a->len - start, 8);
	return a;
}

/* Notes that a guest or whoever wrote the file leads readers astray with: the dump is read as without them. */
START_TEST(kdump_notes)
{
	static const char *const texts[] = { "PAGESIZE=256\n", "PAGESIZE=1073741824\n", "\n\n=x\n=", "OSRELEASE=5\nSYMBOL(a.b)=1\n" };
	g_autofree char *line = g_strnfill(9 << 20, 'A');
	GByteArray *a;

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		check_kdump(opened(with_note(sample_kdump(), "VMCOREINFO", texts[i], strlen(texts[i]))));
	check_kdump(opened(with_note(sample_kdump(), "VMCOREINFO", line, 9 << 20)));
	check_kdump(opened(with_note(sample_kdump(), "VMCOREINFO_XEN", line, 16)));

	a = with_note(sample_kdump(), ".note.Xen", "", 0);	/* a machine whose notes count */
	put(a, 0x0c, "Linux", 6);
	for (unsigned i = 2; i < 5; i++)
		put(a, 0x0c + 65 * i, "x86_64", 7);
	check_kdump(opened(a));

	put_le(a = sample_kdump(), 8, 3, 4);	/* VMCOREINFO in place of notes */
	struct image *image = opened(a);
	has_page(image, 3, 3);
	image_close(image);
	put_le(a = sample_kdump(), 8, UINT32_MAX, 4);
	refused("dump", a, "header_version");
}
END_TEST

/* Every other page, of 128 GiB: each run of pages takes memory. */
START_TEST(kdump_runs)
{
	const unsigned blocks = 1024;		/* of each of two bitmaps */
	GByteArray *a = sample_kdump();

	put_le(a, 0x1b4, 2 * blocks, 4);
	put_le(a, 0x1b8, blocks * PAGE_SIZE * 8, 4);
	put_le(a, 0x1000 + 0x60, blocks * PAGE_SIZE * 8, 8);
	g_byte_array_set_size(a, (2 + 2 * blocks) * PAGE_SIZE);
	memset(a->data + 2 * PAGE_SIZE, 0x55, 2 * blocks * PAGE_SIZE);
	for (unsigned i = 0; i < 4; i++) {		/* the descriptors of the first pages; the others are cut off */
		put_le(a, (2 + 2 * blocks) * PAGE_SIZE + 24 * i, (3 + 2 * blocks) * PAGE_SIZE, 8);
		put_le(a, (2 + 2 * blocks) * PAGE_SIZE + 24 * i + 8, PAGE_SIZE, 4);
	}
	put_page(a, (3 + 2 * blocks) * PAGE_SIZE, 7);
	const size_t peak = most_memory();
	struct image *image = opened(a);
	has_page(image, 6, 7);
	lacks_page(image, 5);
	ck_assert_uint_lt(most_memory() - peak, (size_t)250 << 20);
	image_close(image);
}
END_TEST

/* Bits without end whose descriptors are in no file, and descriptors that are in a hole. */
START_TEST(kdump_absent)
{
	const uint64_t blocks = 4096, bits = blocks * PAGE_SIZE * 8, table = (2 + 2 * blocks) * PAGE_SIZE, data = table + (8 << 20);
	g_autofree char *path = path_of("dump");
	GByteArray *a = sample_kdump();

	put_le(a, 0x1b4, 2 * blocks, 4);
	put_le(a, 0x1b8, bits, 4);
	put_le(a, 0x1000 + 0x60, bits, 8);
	put_le(a, 0x1000 + 0x38, 0, 8);
	g_byte_array_set_size(a, (guint)table);
	memset(a->data + 2 * PAGE_SIZE, 0xff, 2 * blocks * PAGE_SIZE);
	a->data[(2 + blocks) * PAGE_SIZE] = 0xfe;	/* without page 0 */
	const uint64_t there[] = { 0, 1, 100000, 300000 };	/* descriptors; the table goes on until the file ends */
	for (size_t i = 0; i < G_N_ELEMENTS(there); i++) {
		put_le(a, table + 24 * there[i], data, 8);
		put_le(a, table + 24 * there[i] + 8, PAGE_SIZE, 4);
	}
	put_page(a, data, UINT64_MAX);		/* no descriptors */
	g_autofree uint8_t *bytes = g_memdup2(a->data, a->len);
	const guint size = a->len;
	for (unsigned sparse = 0; sparse < 2; sparse++) {
		struct image *image;
		const clock_t before = clock();
		if (sparse) {
			int fd = g_open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
			ck_assert(fd >= 0 && !ftruncate(fd, size));
			ck_assert(pwrite(fd, bytes, table, 0) == (ssize_t)table);
			for (size_t i = 0; i < G_N_ELEMENTS(there); i++)
				ck_assert(pwrite(fd, bytes + table + 24 * there[i], 24, (off_t)(table + 24 * there[i])) == 24);
			ck_assert(pwrite(fd, bytes + data, PAGE_SIZE, (off_t)data) == PAGE_SIZE);
			close(fd);
			image = image_open(path, false, NULL);
			ck_assert(image && image->file->parts);
		} else {
			image = opened(a);
		}
		HAS_RANGES(image, 1, 2, 100001, 1, 300001, 1);
		has_page(image, 300001, UINT64_MAX);
		ck_assert_uint_eq(image->first_missing, 3 * PAGE_SIZE);
		ck_assert_uint_eq(image->bytes_missing, (bits - 5) * PAGE_SIZE);
		ck_assert_uint_lt(clock() - before, 2 * CLOCKS_PER_SEC);
		image_close(image);
	}

	a = g_byte_array_append(g_byte_array_new(), bytes, size);	/* the first two pages alone are of the machine; the maps have half as many bits */
	put_le(a, 0x1b4, blocks, 4);
	put_le(a, 0x1b8, 2, 4);
	put_le(a, 0x1000 + 0x60, 2, 8);
	put_le(a, (2 + blocks) * PAGE_SIZE - 1, 0x40, 1);
	put_le(a, (2 + blocks) * PAGE_SIZE, data, 8);
	put_le(a, (2 + blocks) * PAGE_SIZE + 8, PAGE_SIZE, 8);
	struct image *image = opened(a);
	g_autofree char *words = g_strdup_printf("has %" G_GUINT64_FORMAT " pages above it, up to %" G_GUINT64_FORMAT, bits / 2 - 9, bits / 2 - 2);
	ck_assert(noted(image, words));
	has_page(image, 0, UINT64_MAX);
	image_close(image);
}
END_TEST

/* A file of holes whose bitmap would be of petabytes: what is counted within it takes memory, too. */
START_TEST(kdump_sparse)
{
	const uint64_t blocks = UINT64_C(1) << 24;		/* 64 GiB */
	GByteArray *a = sample_kdump();
	g_autofree char *path = path_of("sparse.kdump");
	GError *error = NULL;

	put_le(a, 0x1b4, blocks, 4);
	put_le(a, 0x1000 + 0x60, blocks * PAGE_SIZE * 4, 8);
	g_byte_array_set_size(a, 2 * PAGE_SIZE);
	write_as("sparse.kdump", a);
	ck_assert(!truncate(path, (off_t)(blocks + 16) * PAGE_SIZE));
	ck_assert(limit_set("kdump_bitmap=16777216", NULL));
	const size_t peak = most_memory();
	ck_assert(!image_open(path, false, &error));
	ck_assert(strstr(error->message, "kdump_bitmap"));
	ck_assert_uint_lt(most_memory() - peak, (size_t)100 << 20);
	g_error_free(error);
}
END_TEST

int main(void)
{
	const struct test_case cases[] = {
		{ "kdump", kdump }, { "kdump blocks", kdump_blocks }, { "kdump notes", kdump_notes }, { "kdump runs", kdump_runs }, { "kdump sparse", kdump_sparse },
		{ "kdump absent", kdump_absent },
	};

	return run_cases("kdump", cases, G_N_ELEMENTS(cases));
}
