/* SPDX-License-Identifier: Apache-2.0 */
/* The crash dump reader against tiny dumps of every type, whole and with each lie. */
#include "format_checks.h"
#include "limit.h"

START_TEST(full_dump)
{
	struct image *image = opened(sample_full64());
	const struct image_facts *f = &image->facts;
	uint64_t across[2];

	has_128(image);
	ck_assert_uint_eq(image->notes->len, 0);
	ck_assert_str_eq(f->format, "windows-full");
	ck_assert_int_eq(f->architecture, ARCH_X64);
	ck_assert_uint_eq(f->os_build, 19041);
	ck_assert_uint_eq(f->dtb.v, 0x1ad000);	/* without the PCID */
	ck_assert_uint_eq(f->kdbg.v, 0xfffff80000003000);
	ck_assert_uint_eq(f->bugcheck_code, 0xe2);
	ck_assert_uint_eq(f->bugcheck_parameters[0], 0x11);
	ck_assert_uint_eq(f->bugcheck_parameters[1], 0);	/* "PAGE" filler */
	ck_assert_uint_eq(f->instruction_pointer, 0x1234);
	ck_assert_uint_eq(f->uptime, 77);
	ck_assert_uint_eq(f->memory_total, 3 * PAGE_SIZE);
	ck_assert_str_eq(f->comment, "a comment");
	ck_assert(!f->no_user_memory);
	ck_assert(image->container == image->file);
	ck_assert(!image_read(image, (pa_t){ 2 * PAGE_SIZE - 8 }, across, 16));
	ck_assert_uint_eq(across[0], 1);
	ck_assert_uint_eq(across[1], 2);
	ck_assert(image_read(image, (pa_t){ 3 * PAGE_SIZE - 8 }, across, 16) == FAULT_NOT_IN_DUMP);
	image_close(image);

	image = opened(sample_full32());
	has_128(image);
	ck_assert_int_eq(image->facts.architecture, ARCH_X86_PAE);
	ck_assert_uint_eq(image->facts.kdbg.v, 0x80003000);
	ck_assert_uint_eq(image->facts.dtb.v, 0x1ad000);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);
}
END_TEST

/* Page `pfn`, at an offset, becomes a page-table root that maps itself, and the header's. */
static void put_root(GByteArray *a, size_t at, uint64_t pfn)
{
	put_le(a, at + 8 * 300, pfn * PAGE_SIZE | 0x63, 8);
	put_le(a, 0x10, pfn * PAGE_SIZE, 8);
}

START_TEST(full_dump_lies)
{
	GByteArray *a = sample_full64();
	struct image *image;

	put_le(a, 0x88, 5000, 4);		/* more runs than the header has room for */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "NumberOfRuns"));
	image_close(image);

	put_le(a = sample_full64(), 0x88, 20, 4);	/* more than there are; the rest of the list is empty */
	put_le(a, 0x90, 0, 8);
	for (unsigned i = 0xb8; i < 0x344; i += 4)
		put_le(a, i, 0, 4);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "NumberOfRuns at 0x88 has, 20, 18 are empty"));
	ck_assert_uint_eq(image->bytes_missing, 0);
	image_close(image);

	put_le(a = sample_full64(), 0x88, 1, 4);	/* fewer than NumberOfPages needs */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "NumberOfRuns"));
	image_close(image);

	a = sample_full64();			/* unsorted */
	put_le(a, 0x98, 8, 8);
	put_le(a, 0xa8, 1, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 1, 8, 2);
	has_page(image, 8, 1);
	has_page(image, 9, 2);
	has_page(image, 1, 8);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	a = sample_full64();			/* unsorted in the header, sorted in the file: the page-table root shows it */
	put_le(a, 0x98, 8, 8);
	put_le(a, 0xa0, 1, 8);
	put_le(a, 0xa8, 1, 8);
	put_le(a, 0xb0, 2, 8);
	put_root(a, 0x2000 + PAGE_SIZE, 2);
	image = opened(a);
	HAS_RANGES(image, 1, 2, 8, 1);
	has_page(image, 1, 1);
	has_page(image, 8, 8);
	ck_assert(noted(image, "out of order"));
	ck_assert(all_harmless(image));
	image_close(image);

	put_le(a = sample_full64(), 0x88, 1, 4);	/* NumberOfRuns and NumberOfPages lie: the file's size tells */
	put_le(a, 0x90, 77, 8);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "whose pages end with the file"));
	ck_assert(all_harmless(image));
	image_close(image);

	put_text(a = sample_full64(), 0, "PAGEDUMP");
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "the signature is PAGEDUMP"));
	image_close(image);

	put_le(a = sample_full64(), 0xa8, 2, 8);	/* overlap: what is listed first wins */
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	has_page(image, 2, 2);
	ck_assert(noted(image, "more than once"));
	ck_assert_uint_eq(image->facts.memory_total, 2 * PAGE_SIZE);	/* a page listed twice is one page of the machine's */
	image_close(image);

	a = sample_full64();			/* trailing bytes, a wrong RequiredDumpSpace, unsorted runs, all at once */
	put_text(a, a->len, "trailing");
	put_le(a, 0xfa0, 77, 8);
	put_le(a, 0x98, 8, 8);
	put_le(a, 0xa8, 1, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 1, 8, 2);
	ck_assert(noted(image, "RequiredDumpSpace"));
	ck_assert(noted(image, "8 bytes"));
	image_close(image);

	put_le(a = sample_full64(), 0x90, 4, 8);	/* NumberOfPages that the runs don't make up */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "NumberOfPages"));
	image_close(image);

	a = sample_full64();			/* cut off within page 2 */
	g_byte_array_set_size(a, 0x2000 + PAGE_SIZE + 100);
	image = opened(a);
	ck_assert_uint_eq(image->bytes_present, PAGE_SIZE + 100);
	ck_assert_uint_eq(image->bytes_missing, 2 * PAGE_SIZE - 100);
	ck_assert(noted(image, "too short"));
	has_page(image, 1, 1);
	image_close(image);

	put_le(a = sample_full64(), 0xf98, 99, 4);	/* no such DumpType */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "DumpType"));
	image_close(image);

	put_le(a = sample_full64(), 0x30, 0x4547, 4);
	image = opened(a);
	ck_assert_int_eq(image->facts.architecture, ARCH_X64);
	ck_assert(noted(image, "MachineImageType"));
	image_close(image);

	a = sample_full64();			/* no run that could be */
	put_le(a, 0x98, UINT64_MAX, 8);
	put_le(a, 0xa0, UINT64_MAX, 8);
	refused("dump", a, "NumberOfRuns at 0x88");
	g_byte_array_set_size(a = sample_full64(), 0x1000);
	refused("dump", a, "header alone");
	put_le(a = sample_full64(), 0x1050, 0x100, 4);
	refused("dump", a, "encrypted");
}
END_TEST

START_TEST(bitmap_dump)
{
	struct image *image = opened(sample_bitmap64());
	GByteArray *a;

	has_128(image);
	ck_assert_str_eq(image->facts.format, "windows-bitmap-full");
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	image = opened(sample_summary64());
	has_128(image);
	ck_assert_str_eq(image->facts.format, "windows-kernel");
	ck_assert(image->facts.no_user_memory);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);
	image = opened(sample_summary32());
	has_128(image);
	image_close(image);

	put_le(a = sample_bitmap64(), 0xf98, 6, 4);
	put_text(a, 0x2000, "SDMP");
	put_le(a, 0x90, 64, 8);
	image = opened(a);
	has_128(image);
	ck_assert_str_eq(image->facts.format, "windows-bitmap-kernel");
	ck_assert(image->facts.no_user_memory);
	image_close(image);
	put_le(a = sample_bitmap64(), 0xf98, 6, 4);	/* all of the machine's memory */
	image = opened(a);
	ck_assert_str_eq(image->facts.format, "windows-active");
	ck_assert(!image->facts.no_user_memory);
	image_close(image);

	put_le(a = sample_bitmap64(), 0xf98, 6, 4);
	put_le(a, 0x1050, 0x10, 4);		/* LiveDumpGeneratedDump, and no evidence against user memory */
	image = opened(a);
	ck_assert_str_eq(image->facts.format, "windows-live");
	ck_assert(!image->facts.no_user_memory);
	image_close(image);

	put_le(a = sample_bitmap64(), 0x2030, 1 << 20, 8);	/* a bitmap longer than its room */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "BitmapSize at 0x2030"));
	image_close(image);

	put_le(a = sample_bitmap64(), 0x2020, 0, 8);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "FirstPage at 0x2020"));
	image_close(image);

	put_le(a = sample_bitmap64(), 0x2028, 7, 8);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "bits set"));
	ck_assert(all_harmless(image));		/* the file has no seven */
	image_close(image);

	put_le(a = sample_bitmap64(), 0x2038, 1 << 1 | 1 << 8, 8);	/* pages of the file that the tables lost: a bit, a range, a part of a run */
	image = opened(a);
	ck_assert(noted(image, "is 3, bits set in the bitmap: 2, and the file holds as many"));
	ck_assert(!all_harmless(image));
	image_close(image);
	put_le(a = sample_rdmp(), 0x2030 + 16, 0, 8);
	put_le(a, 0x2030 + 24, 0, 8);
	image = opened(a);
	ck_assert(noted(image, "is 3, the ranges have 2, and the file holds as many"));
	ck_assert(!all_harmless(image));
	image_close(image);
	put_le(a = sample_rdmp(), 0xf98, 8, 4);		/* a kernel dump says no total */
	put_le(a, 0x2030 + 32, 16, 8);
	put_le(a, 0x2030 + 40, 1, 8);
	put_le(a, 0x2030 + 16, 0, 8);
	put_le(a, 0x2030 + 24, 0, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "range 1 is none, others follow"));
	ck_assert(!all_harmless(image));
	image_close(image);
	put_le(a = sample_full64(), 0xa0, 1, 8);
	image = opened(a);
	ck_assert(noted(image, "is 3, the runs have 2, and the file holds as many"));
	ck_assert(!all_harmless(image));
	image_close(image);

	g_byte_array_set_size(a = sample_bitmap64(), 0x3000 + 2 * PAGE_SIZE);
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert_uint_eq(image->bytes_missing, PAGE_SIZE);
	ck_assert_uint_eq(image->first_missing, 8 * PAGE_SIZE);
	image_close(image);

	put_text(a = sample_bitmap64(), 0x2000, "XDMP");	/* no signature, but counts that agree; and none at all */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "neither SDMPDUMP nor FDMPDUMP"));
	image_close(image);
	put_text(a = sample_bitmap64(), 0x2000, "XDMP");
	put_le(a, 0x2028, 9, 8);
	g_byte_array_set_size(a, 0x3000 + PAGE_SIZE);
	refused("dump", a, "no bitmap");

	a = sample_bitmap64();			/* counts that lie, and a page-table root that shows it */
	put_root(a, 0x3000 + PAGE_SIZE, 2);
	put_le(a, 0x2020, 0x3000 + PAGE_SIZE, 8);
	put_le(a, 0x2030, 0, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 2, 8, 1);
	has_page(image, 8, 8);
	ck_assert(noted(image, "FirstPage at 0x2020"));
	ck_assert(all_harmless(image));
	image_close(image);
	put_le(a = sample_bitmap64(), 0x2030, 4, 8);	/* a map that is cut short, though the file has its pages */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "BitmapSize at 0x2030"));
	ck_assert(all_harmless(image));
	image_close(image);
	put_le(a = sample_full64(), 0xf98, 6, 4);	/* a full dump that says it is a kernel one, and the reverse */
	image = opened(a);
	has_128(image);
	ck_assert_str_eq(image->facts.format, "windows-full");
	ck_assert(!image->facts.no_user_memory);
	ck_assert(noted(image, "DumpType"));
	image_close(image);
	put_le(a = sample_bitmap64(), 0xf98, 1, 4);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "DumpType"));
	image_close(image);
	put_le(a = sample_bitmap64(), 0x2038, 0, 8);
	refused("dump", a, "names no page");
}
END_TEST

/* A file of holes whose bitmap would be of petabytes, and a range for every other page. */
START_TEST(bitmap_sparse)
{
	const uint64_t bytes = UINT64_C(1) << 36;		/* 64 GiB */
	GByteArray *a = sample_bitmap64();
	g_autofree char *path = path_of("sparse.dmp");

	put_le(a, 0x2020, 0x3000 + bytes, 8);
	put_le(a, 0x2030, bytes * 8, 8);
	put_le(a, 0x203f, 0x80, 1);		/* page 63 */
	g_byte_array_set_size(a, 0x3000);
	write_as("sparse.dmp", a);
	ck_assert(!truncate(path, (off_t)(0x3000 + bytes + 16 * PAGE_SIZE)));
	ck_assert(limit_set("crashdump_bitmap=16777216", NULL));
	struct image *image = image_open(path, false, NULL);
	HAS_RANGES(image, 1, 2, 8, 1, 63, 1);
	ck_assert(noted(image, "crashdump_bitmap"));
	image_close(image);

	ck_assert(limit_set("crashdump_bitmap=7", NULL));	/* no further than that, though the rest of the last bits are set */
	image = image_open(path, false, NULL);
	HAS_RANGES(image, 1, 2, 8, 1);
	ck_assert(noted(image, "crashdump_bitmap"));
	image_close(image);

	ck_assert(limit_set("crashdump_ranges=1", NULL));
	image = opened(sample_bitmap64());
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "more than 1 ranges"));
	ck_assert_uint_eq(image->bytes_missing, 0);
	image_close(image);
	image = opened(sample_rdmp());
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "more than 1 ranges"));
	image_close(image);
}
END_TEST

START_TEST(range_table_dump)
{
	struct image *image = opened(sample_rdmp());
	GByteArray *a;

	has_128(image);
	ck_assert_str_eq(image->facts.format, "windows-complete");
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	put_le(a = sample_rdmp(), 0xf98, 8, 4);
	put_le(a, 0x90, 64, 8);
	image = opened(a);
	has_128(image);
	ck_assert_str_eq(image->facts.format, "windows-kernel");
	ck_assert(image->facts.no_user_memory);
	image_close(image);

	put_le(a = sample_rdmp(), 0x2018, 0x10, 8);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "FirstPageOffset at 0x2018"));
	image_close(image);

	put_le(a = sample_rdmp(), 0x2040, UINT64_MAX, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "range 1"));
	image_close(image);
}
END_TEST

static void check_triage(struct image *image, uint64_t kernel, const char *blob)
{
	const struct image_triage *t = image->triage;
	const struct image_driver *d;
	uint8_t byte;

	ck_assert(t != NULL);
	ck_assert_str_eq(image->facts.format, "windows-triage");
	ck_assert_uint_eq(image->notes->len, 0);
	ck_assert_uint_eq(t->drivers->len, 2);
	d = &g_array_index(t->drivers, struct image_driver, 1);
	ck_assert_str_eq(d->name, "driver.s\xef\xbf\xbd");
	ck_assert_uint_eq(d->base, kernel + 0x400000);
	ck_assert_uint_eq(d->size, 0x2000);
	ck_assert_uint_eq(d->timestamp, 0x60000001);
	ck_assert_uint_eq(d->checksum, 0xc1);
	ck_assert_uint_eq(t->unloaded_drivers->len, 1);
	const struct image_unloaded_driver *u = &g_array_index(t->unloaded_drivers, struct image_unloaded_driver, 0);
	ck_assert_str_eq(u->name, "old.sys");
	ck_assert_uint_eq(u->start, kernel + 0x100000);
	ck_assert_uint_eq(u->end, kernel + 0x108000);
	ck_assert_uint_eq(image->facts.kernel_base.v, kernel + 0x200000);
	ck_assert_uint_eq(t->thread.va, kernel + 0xb000);
	ck_assert_uint_eq(t->process.va, kernel + 0xa000);
	ck_assert_uint_eq(t->prcb.va, kernel + 0xc000);
	ck_assert(t->identified);
	ck_assert_uint_eq(t->pid, 1236);
	ck_assert_uint_eq(t->ppid, 400);
	ck_assert_uint_eq(t->tid, 5676);
	ck_assert_str_eq(t->process_name, "sample.exe");
	ck_assert_uint_eq(t->process_dtb.v, 0x1ad000);
	ck_assert(!image_read_virtual(image, (va_t){ kernel + 0x703f }, &byte, 1));	/* the call stack */
	ck_assert_uint_eq(byte, 0x5a);
	ck_assert(image_read_virtual(image, (va_t){ kernel + 0x7040 }, &byte, 1) == FAULT_NOT_IN_DUMP);
	ck_assert(!image_read_virtual(image, (va_t){ kernel + 0xa148 }, &byte, 1));	/* the process */
	ck_assert_uint_eq(byte, 's');
	ck_assert_str_eq(image->facts.secondary_data, blob);
	image_close(image);
}

START_TEST(triage_dump)
{
	GByteArray *a;
	const char *blob = "[{\"guid\":\"33221100-0000-0000-0000-000000000000\",\"offset\":14896,\"size\":5}]";

	check_triage(opened(sample_triage64()), 0xfffff80000000000, blob);
	check_triage(opened(sample_triage32()), 0x80000000, blob);

	g_byte_array_set_size(a = sample_triage64(), 0x3150);	/* within the driver list */
	struct image *image = opened(a);
	ck_assert_uint_eq(image->triage->drivers->len, 0);
	ck_assert(noted(image, "drivers"));
	ck_assert(image->bytes_missing > 0);
	image_close(image);

	put_le(a = sample_triage64(), 0x2034, UINT32_MAX, 4);
	image = opened(a);
	ck_assert(noted(image, "DriverCount"));
	image_close(image);
	put_le(a = sample_triage64(), 0x2034, 20, 4);	/* the list ends where the names do */
	image = opened(a);
	ck_assert_uint_eq(image->triage->drivers->len, 2);
	ck_assert(all_harmless(image));
	image_close(image);
	put_le(a = sample_triage64(), 0x2070, 1 << 30, 4);	/* the debugger data block by its tag */
	image = opened(a);
	ck_assert_uint_eq(image->triage->pid, 1236);
	ck_assert(all_harmless(image));
	image_close(image);
	put_le(a = sample_triage64(), 0x2070, 1 << 30, 4);	/* unless more say that they are it than are looked at */
	put_text(a, 0x2500, "KDBGKDBG");
	ck_assert(limit_set("triage_tags=2", NULL));
	image = opened(a);
	ck_assert_uint_eq(image->triage->kdbg.length, 0);
	ck_assert(noted(image, "triage_tags"));
	image_close(image);
	put_le(a = sample_triage64(), 0xf98, 1, 4);	/* what its own mark says, and a full dump that says it is small */
	image = opened(a);
	ck_assert_str_eq(image->facts.format, "windows-triage");
	ck_assert(all_harmless(image));
	image_close(image);
	put_le(a = sample_full64(), 0xf98, 4, 4);
	image = opened(a);
	has_128(image);
	ck_assert(all_harmless(image));
	image_close(image);
	put_le(a = sample_triage64(), 0x207c, UINT32_MAX, 4);
	image = opened(a);
	ck_assert(noted(image, "DataBlocksCount"));
	image_close(image);
	put_le(a = sample_triage64(), 0x3300, UINT32_MAX, 4);
	image = opened(a);
	ck_assert_str_eq(g_array_index(image->triage->drivers, struct image_driver, 0).name, "");
	image_close(image);
	g_byte_array_set_size(a = sample_triage64(), 0x2040);
	refused("dump", a, "headers alone");
}
END_TEST

int main(void)
{
	const struct test_case cases[] = {
		{ "full dump", full_dump }, { "full dump lies", full_dump_lies }, { "bitmap dump", bitmap_dump }, { "bitmap sparse", bitmap_sparse },
		{ "range table dump", range_table_dump }, { "triage dump", triage_dump },
	};

	return run_cases("crashdump", cases, G_N_ELEMENTS(cases));
}
