/* SPDX-License-Identifier: Apache-2.0 */
/* Page-table entries of each machine, written out by hand from the processors' manuals and the kernels' symbols. */
#include <check.h>
#include <stdlib.h>
#include "paging.h"

START_TEST(test_roots)
{
	ck_assert_uint_eq(paging_dtb(PAGING_X64, UINT64_C(0x80000000001aa002)).v, 0x1aa000);	/* no flush; PCID 2 */
	ck_assert_uint_eq(paging_dtb(PAGING_ARM64, UINT64_C(0x00a70000946aa000)).v, UINT64_C(0x946aa000));	/* ASID 0xa7 */
	ck_assert_uint_eq(paging_dtb(PAGING_X86, UINT64_C(0x123450000039f000)).v, 0x39f000);	/* an array of two */
	ck_assert_uint_eq(paging_dtb(PAGING_X86_PAE, UINT64_C(0x0ac00298)).v, 0x0ac00280);
	ck_assert(paging_is_32bit(PAGING_X86_PAE) && !paging_is_32bit(PAGING_ARM64));
}
END_TEST

START_TEST(test_large_pages)
{
	/* Two levels: any entry of the directory may map 4 MiB, which PSE-36 lets lie above 4 GiB. */
	ck_assert(paging_is_large(PAGING_X86, 0, 0x00c001e3));
	ck_assert_uint_eq(paging_large_pfn(PAGING_X86, 0x00c001e3, 4 << 20), 0x00c00000);
	ck_assert_uint_eq(paging_large_pfn(PAGING_X86, 0x00c041e3, 4 << 20), UINT64_C(0x200c00000));
	/* PAE: the directories', not the pointer table's. */
	ck_assert(!paging_is_large(PAGING_X86_PAE, 0, 0x1a5081) && paging_is_large(PAGING_X86_PAE, 1, 0x2001e3));
	ck_assert_uint_eq(paging_large_pfn(PAGING_X86_PAE, UINT64_C(0x80000001402001e3), 2 << 20), UINT64_C(0x140200000));
	/* x64: the directories and the tables of pointers to them (1 GiB), however many levels are above; bit 12 is then an attribute. */
	ck_assert(paging_is_large(PAGING_X64, 2, 0x2001e3) && paging_is_large(PAGING_X64, 1, 0x400001e3) && !paging_is_large(PAGING_X64, 0, 0x1a50e3));
	ck_assert(paging_is_large(PAGING_X64_LA57, 3, 0x2001e3) && paging_is_large(PAGING_X64_LA57, 2, 0x400001e3) &&
		  !paging_is_large(PAGING_X64_LA57, 1, 0x1a50e3) && !paging_is_large(PAGING_X64_LA57, 0, 0x1a50e3));
	ck_assert_uint_eq(paging_large_pfn(PAGING_X64_LA57, UINT64_C(0x80000123400011e3), UINT64_C(1) << 30), UINT64_C(0x12340000000));
	ck_assert_uint_eq(paging_large_pfn(PAGING_X64, UINT64_C(0x80000123402011e3), 2 << 20), UINT64_C(0x12340200000));
	/* ARM64: a block is what isn't a table, below the topmost level. */
	ck_assert(!paging_is_large(PAGING_ARM64, 0, 1) && paging_is_large(PAGING_ARM64, 2, 0x40200701) &&
		  !paging_is_large(PAGING_ARM64, 2, 0x40200703) && paging_is_large(PAGING_ARM64, 1, UINT64_C(0x0060000080000701)));
	ck_assert_uint_eq(paging_large_pfn(PAGING_ARM64, UINT64_C(0x0060000080000701), UINT64_C(1) << 30), UINT64_C(0x80000000));
	/* TTBR1 may name the upper half of the root that TTBR0 names. */
	ck_assert_uint_eq(paging_dtb(PAGING_ARM64, UINT64_C(0x946aa800)).v, UINT64_C(0x946aa000));
}
END_TEST

START_TEST(test_rights)
{
	/* Only PAE's tables have entries without rights, and only they and x64's can forbid execution. */
	struct paging_rights r = paging_table_rights(PAGING_X86_PAE, 0x1a5001);
	ck_assert(r.writable && r.user && r.executable);
	r = paging_leaf_rights(PAGING_X86_PAE, UINT64_C(0x8000000000039867));
	ck_assert(r.writable && r.user && !r.executable && r.dirty);
	r = paging_leaf_rights(PAGING_X86, 0x39025);
	ck_assert(!r.writable && r.user && r.executable && !r.copy_on_write);
	/* ARM64: a user's code (PXN alone), a user's data that is clean (read-only, but Writable), the kernel's code (UXN alone). */
	r = paging_leaf_rights(PAGING_ARM64, UINT64_C(0x0020000040001fc3));
	ck_assert(r.user && r.executable && !r.writable && !r.dirty);
	r = paging_leaf_rights(PAGING_ARM64, UINT64_C(0x00e0000040001fc3));
	ck_assert(r.user && !r.executable && r.writable && !r.dirty);
	r = paging_leaf_rights(PAGING_ARM64, UINT64_C(0x0040000040001783));
	ck_assert(!r.user && r.executable && !r.writable);
	r = paging_leaf_rights(PAGING_ARM64, UINT64_C(0x0160000040001f43));
	ck_assert(r.copy_on_write && r.dirty);
}
END_TEST

START_TEST(test_software)
{
	va_t at = { 0 }, pool = { 0xe1000000u };
	unsigned mm = 0;

	/* _MMPTE_PROTOTYPE of x86: seven bits at 1, 21 at 11, in units of four bytes from the start of paged pool. */
	ck_assert(paging_prototype(PAGING_X86, (0x12345 >> 7) << 11 | (0x12345 & 0x7f) << 1 | 1 << 10, pool, &at));
	ck_assert_uint_eq(at.v, 0xe1000000u + 0x12345 * 4);
	ck_assert(!paging_protection(PAGING_X86, (0x12345 >> 7) << 11 | (0x12345 & 0x7f) << 1 | 1 << 10, &mm));
	/* PageFileHigh all ones: the descriptor has the prototype PTE; then there is a protection. */
	ck_assert(!paging_prototype(PAGING_X86, 0xfffff000u | 1 << 10 | 3 << 5, pool, &at));
	ck_assert(paging_protection(PAGING_X86, 0xfffff000u | 1 << 10 | 3 << 5, &mm));
	ck_assert_uint_eq(mm, 3);
	ck_assert(paging_prototype(PAGING_X86_PAE, UINT64_C(0xe2345678) << 32 | 1 << 10 | 3 << 5, pool, &at));
	ck_assert_uint_eq(at.v, 0xe2345678u);
	ck_assert(!paging_prototype(PAGING_X86_PAE, UINT64_C(0xffffffff) << 32 | 1 << 10, pool, &at));
	ck_assert(paging_prototype(PAGING_ARM64, UINT64_C(0xffffb28012345678) << 16 | 1 << 10, pool, &at));
	ck_assert_uint_eq(at.v, UINT64_C(0xffffb28012345678));
	ck_assert(paging_protection(PAGING_ARM64, UINT64_C(0x4000) << 32 | 6 << 1, &mm));
	ck_assert_uint_eq(mm, 6);
	/* In the page file or of zeros. */
	ck_assert(paging_page_file(PAGING_X86, 0x123 << 12 | 4 << 5) && !paging_page_file(PAGING_X86, 4 << 5));
	ck_assert(paging_page_file(PAGING_X86_PAE, UINT64_C(1) << 32) && !paging_page_file(PAGING_X86_PAE, 0x123 << 12));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("paging");
	TCase *t = tcase_create("paging");

	tcase_add_test(t, test_roots);
	tcase_add_test(t, test_large_pages);
	tcase_add_test(t, test_rights);
	tcase_add_test(t, test_software);
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
