/* SPDX-License-Identifier: Apache-2.0 */
/* Hibernation files, what they pack their pages with, and packed dumps of other formats. */
#include "format_checks.h"
#include "limit.h"
#include "xpress.h"

START_TEST(hibernation)
{
	struct image *image = opened(sample_hibernation());
	GByteArray *a;

	HAS_RANGES(image, 1, 1, 16, 32);
	has_page(image, 1, 1);
	has_page(image, 16, 0x4242424242424242);
	has_page(image, 31, 0x4242424242424242);
	has_page(image, 32, 0x4141414141414141);
	has_page(image, 47, 0x4141414141414141);
	lacks_page(image, 48);
	ck_assert_str_eq(image->facts.format, "hibernation");
	ck_assert_uint_eq(image->facts.system_time, 133513449049337618);
	ck_assert_uint_eq(g_array_index(image->facts.cpus, struct image_cpu, 0).cr3, 0x1ad000);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	put_le(a = sample_hibernation(), 0x0c, 0x500, 4);	/* a build to come */
	image = opened(a);
	HAS_RANGES(image, 1, 1, 16, 32);
	ck_assert(noted(image, "LengthSelf"));
	image_close(image);

	a = sample_hibernation();		/* a damaged set: its pages fail, others don't */
	put_le(a, 4 * PAGE_SIZE + 4 + 16 + 5, 0xffff, 2);
	image = opened(a);
	uint8_t page[PAGE_SIZE];
	ck_assert(image_read(image, (pa_t){ 16 * PAGE_SIZE }, page, 8) == FAULT_IMPLAUSIBLE);
	has_page(image, 32, 0x4141414141414141);
	image_close(image);

	put_le(a = sample_hibernation(), 0x68, 1 << 30, 8);	/* the boot loader's set is nowhere */
	image = opened(a);
	HAS_RANGES(image, 16, 32);
	ck_assert_uint_eq(image->bytes_missing, PAGE_SIZE);
	ck_assert(noted(image, "FirstBootRestorePage") && !all_harmless(image));
	image_close(image);
	put_le(a = sample_hibernation(), 0x230, 0, 8);		/* no total: up to the end of the file, or to what may be a torn place */
	image = opened(a);
	HAS_RANGES(image, 1, 1, 16, 32);
	ck_assert(!noted(image, "how many pages"));
	image_close(image);
	put_le(a = sample_hibernation(), 0x230, 0, 8);
	g_byte_array_set_size(a, a->len - 1);
	image = opened(a);
	HAS_RANGES(image, 1, 1, 16, 16);
	ck_assert(noted(image, "ends within the compression set") && !all_harmless(image));
	image_close(image);
	put_le(a = sample_hibernation(), 0x230, 64, 8);		/* more pages than there are sets */
	image = opened(a);
	HAS_RANGES(image, 1, 1, 16, 32);
	ck_assert_uint_eq(image->bytes_missing, 32 * PAGE_SIZE);
	image_close(image);

	a = sample_hibernation();		/* a page saved twice */
	put_le(a, 4 * PAGE_SIZE + 4, 25 << 4 | 7, 8);
	put_le(a, 4 * PAGE_SIZE + 12, 18 << 4 | 7, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 1, 18, 30);
	ck_assert(noted(image, "twice"));
	image_close(image);

	g_autofree char *allowed = g_strdup_printf("unpack_free=%" G_GUINT64_FORMAT, limit(unpack_free));
	g_autofree char *ratio = g_strdup_printf("unpack_ratio=%" G_GUINT64_FORMAT, limit(unpack_ratio));
	ck_assert(limit_set("unpack_free=100K", NULL) && limit_set("unpack_ratio=1", NULL));
	image = opened(sample_hibernation());		/* more memory than a file of its size may have: 29 pages */
	HAS_RANGES(image, 1, 1, 16, 28);
	ck_assert(noted(image, "what lies above is left out"));
	image_close(image);
	ck_assert(limit_set(allowed, NULL) && limit_set(ratio, NULL));

	a = sample_hibernation();		/* the same 16 pages, a million times: 20 MB that took 300 of memory */
	put_le(a, 0x230, 16 + (16 << 20), 8);
	const guint first = 4 * PAGE_SIZE + 4 + 2 * 8 + 11;		/* behind the kernel's first set */
	g_byte_array_set_size(a, first);
	put_le(a, first, 1 | 1 << 8, 4);
	put_le(a, first + 4, 64 << 4 | 15, 8);
	put_le(a, first + 12, 0xff, 1);
	for (unsigned doubled = 0; doubled < 20; doubled++) {
		g_autofree uint8_t *again = g_memdup2(a->data + first, a->len - first);
		g_byte_array_append(a, again, a->len - first);
	}
	const size_t peak = most_memory();
	image = opened(a);
	ck_assert_uint_lt(most_memory() - peak, (size_t)200 << 20);
	HAS_RANGES(image, 1, 1, 16, 16, 64, 16);
	ck_assert(noted(image, "twice"));
	image_close(image);

	put_le(a = sample_hibernation(), 0x0c, 0xa8, 4);
	put_le(a, 0x70, 0, 8);
	refused("dump", a, "LengthSelf at 0xc");
	a = sample_hibernation();
	memset(a->data + PAGE_SIZE, 0, a->len - PAGE_SIZE);
	refused("dump", a, "wiped");
	a = sample_hibernation();
	memset(a->data, 0, a->len);
	refused("hiberfil.sys", a, "wiped");
	put_le(a = sample_hibernation(), 0x68, 1 << 30, 8);
	put_le(a, 0x70, 1 << 30, 8);
	refused("dump", a, "FirstKernelRestorePage at 0x70");
}
END_TEST

START_TEST(xpress)
{
	/* All 256 letters with codes of 8 bits: the stream is the text, two bytes swapped at a time. */
	uint8_t in[256 + 8] = { 0 }, out[6];

	memset(in, 0x88, 128);
	memcpy(in + 256, "elpmds\0\0", 8);
	ck_assert(xpress_huffman_decompress((struct bytes){ in, sizeof(in), false }, out, 6));
	ck_assert_mem_eq(out, "lempsd", 6);
	/* The words that are looked at beyond the last that is needed may be missing, no others. */
	ck_assert(xpress_huffman_decompress((struct bytes){ in, 256 + 6, false }, out, 6));
	for (size_t n = 256; n < 256 + 6; n++)
		ck_assert(!xpress_huffman_decompress((struct bytes){ in, n, false }, out, 6));
	in[0] = 0x11;				/* more codes than bits can tell apart */
	ck_assert(!xpress_huffman_decompress((struct bytes){ in, sizeof(in), false }, out, 6));
	ck_assert(!xpress_huffman_decompress((struct bytes){ in, 100, false }, out, 6));
	/* Plain: abc, then six bytes from three back; the same from further back than there is. */
	static const uint8_t plain[] = { 0, 0, 0, 0x10, 'a', 'b', 'c', 2 << 3 | 3, 0 }, far[] = { 0, 0, 0, 0x10, 'a', 'b', 'c', 3 << 3 | 3, 0 };
	uint8_t nine[9];
	ck_assert(xpress_decompress((struct bytes){ plain, sizeof(plain), false }, nine, 9));
	ck_assert_mem_eq(nine, "abcabcabc", 9);
	ck_assert(!xpress_decompress((struct bytes){ far, sizeof(far), false }, nine, 9));
	ck_assert(!xpress_decompress((struct bytes){ plain, sizeof(plain) - 1, false }, nine, 9));
	ck_assert(!xpress_decompress((struct bytes){ plain, sizeof(plain), false }, nine, 8));
}
END_TEST

static guint last_of(const GByteArray *a, const char *signature)
{
	guint at = a->len - 4;

	while (at && memcmp(a->data + at, signature, 4))
		at--;
	return at;
}

START_TEST(packed)
{
	static const char *const with[] = { "gzip", "xz", "zstd", "zip" };
	GByteArray *a;

	for (size_t i = 0; i < G_N_ELEMENTS(with); i++) {
		a = sample_packed(sample_full64(), with[i]);
		uint64_t size = a->len;
		struct image *image = opened(a);
		has_128(image);
		ck_assert_uint_eq(image->notes->len, 0);
		ck_assert(image->container != image->file);
		ck_assert_uint_eq(image->container->size, size);
		ck_assert_uint_eq(image->file->size, 0x2000 + 3 * PAGE_SIZE);
		ck_assert_str_eq(image->file->path, image->container->path);
		image_close(image);
	}
	struct image *image = opened(sample_packed(sample_packed(sample_flattened(), "xz"), "gzip"));
	ck_assert_str_eq(image->facts.format, "kdump");
	HAS_RANGES(image, 0, 2, 3, 1);
	has_page(image, 3, 3);
	image_close(image);

	a = sample_full64();			/* cut off: what came out is used, if anything did */
	for (uint32_t i = 0, x = 1; i < 1 << 18; i++, x = x * 1664525 + 1013904223)
		put_le(a, a->len, x >> 24, 1);
	a = sample_packed(a, "gzip");
	g_byte_array_set_size(a, a->len - 20);
	image = opened(a);
	ck_assert(noted(image, "damaged"));
	image_close(image);
	a = sample_packed(sample_full64(), "gzip");
	a->data[a->len - 8] ^= 1;		/* a wrong checksum */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "its checksum is") && !all_harmless(image));
	image_close(image);
	for (unsigned what = 0; what < 3; what++) {	/* behind it another stream, one that is damaged where it begins, zeros */
		a = sample_packed(sample_full64(), "gzip");
		GByteArray *more = sample_packed(sample_full64(), "gzip");
		if (what)
			memset(more->data, what == 1 ? 0xff : 0, what == 1 ? 1 : more->len);
		g_byte_array_append(a, more->data, more->len);
		g_byte_array_unref(more);
		image = opened(a);
		has_page(image, 8, 8);
		ck_assert_int_eq(noted(image, "are no packed data"), what == 1);
		image_close(image);
	}
	a = sample_full64();
	for (int i = 0; i < 6; i++)
		a = sample_packed(a, "gzip");
	refused("dump", a, "times over");
	g_byte_array_set_size(a = sample_packed(sample_full64(), "xz"), 20);
	refused("dump", a, "damaged");
	a = sample_packed(sample_full64(), "zip");	/* a wrong checksum takes nothing away */
	put_le(a, last_of(a, "PK\1\2") + 16, 1, 4);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "bad CRC"));
	image_close(image);
	a = sample_packed(sample_full64(), "zip");	/* what can't be found may have been the dump */
	put_le(a, last_of(a, "PK\3\4"), 0, 4);
	refused("dump", a, "damaged behind");
	g_setenv("TMPDIR", "/nonexistent", TRUE);
	refused("dump", sample_packed(sample_full64(), "zstd"), "TMPDIR");
	g_unsetenv("TMPDIR");
}
END_TEST

/* What a flattened stream begins with, behind all that is there. */
static void put_flattened(GByteArray *a)
{
	const guint at = a->len;

	put_text(a, at, "makedumpfile");
	put_le(a, at + 16, UINT64_C(1) << 56, 8);
	put_le(a, at + 24, UINT64_C(1) << 56, 8);
	put_le(a, at + PAGE_SIZE - 1, 0, 1);
}

static void refused_in_little_memory(GByteArray *a, const char *word)
{
	struct rusage before, after;

	getrusage(RUSAGE_SELF, &before);
	refused("dump", a, word);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 256 << 10);
}

/*
 * In a flattened stream of two records a zip without a directory and, behind a hole of a gibibyte, its end: the library looks for the next member
 * in all of it. Found by fuzz_packed, with four gibibytes in memory: each page of the hole that is read where it is mapped is made there, for good
 * where temporary files are kept in memory.
 */
START_TEST(hole)
{
	static const uint8_t member[] = "PK\3\4\24\0\0\0\0\0\0\0\0\0\203\26\334\214\1\0\0\0\1\0\0\0\1\0\0\0ax";
	GByteArray *a = g_byte_array_new();

	put_flattened(a);
	put_be64(a, 0);
	put_be64(a, sizeof(member) - 1);
	put(a, a->len, member, sizeof(member) - 1);
	put_be64(a, 1 << 30);
	put_be64(a, sizeof(member) - 1);
	put(a, a->len, member, sizeof(member) - 1);
	put_be64(a, UINT64_MAX);
	put_be64(a, UINT64_MAX);
	refused_in_little_memory(a, "less than a page");
}
END_TEST

/* The same of a flattened stream in a flattened stream, whose hole was read as 64 million records of nothing, each with a question for the time. */
START_TEST(records_of_nothing)
{
	GByteArray *a = g_byte_array_new();

	put_flattened(a);
	put_be64(a, 0);
	put_be64(a, PAGE_SIZE);
	put_flattened(a);
	put_be64(a, 1 << 30);
	put_be64(a, 16);
	put_be64(a, UINT64_MAX);
	put_be64(a, UINT64_MAX);
	put_be64(a, UINT64_MAX);
	put_be64(a, UINT64_MAX);
	refused_in_little_memory(a, "nothing is packed in it");
}
END_TEST

int main(void)
{
	const struct test_case cases[] = {
		{ "hibernation", hibernation }, { "xpress", xpress }, { "packed", packed }, { "hole", hole }, { "records_of_nothing", records_of_nothing },
	};

	return run_cases("packed", cases, G_N_ELEMENTS(cases));
}
