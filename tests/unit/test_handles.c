/* SPDX-License-Identifier: Apache-2.0 */
/* Handle tables of each number of levels and each encoding, whole and damaged. */
#include <check.h>
#include <stdlib.h>
#include "handles.h"
#include "mapped_memory.h"

#define BASE UINT64_C(0xffffa00000000000)
#define TABLE BASE
#define OBJECT UINT64_C(0xffffbd0012345670)

static struct mapped_memory m;
static uint64_t table;		/* physical, of the _HANDLE_TABLE */
static unsigned pages;		/* mapped so far */

static void setup(unsigned build)
{
	memory_init(&m, build);
	table = memory_map_new(&m, TABLE);
	pages = 1;
}

/* A page for the table at the next address; *va is where. */
static uint64_t page(uint64_t *va)
{
	*va = BASE + PAGE_SIZE * pages++;
	return memory_map_new(&m, *va);
}

static void set_code(uint64_t code)
{
	memory_put(&m, table + m.layout->handle_table.TableCode.offset, code, 8);
}

/* As Windows 8.1 and later encode it. */
static void put_entry(uint64_t pa, unsigned index, uint64_t object, uint32_t access)
{
	uint64_t bits = (object & UINT64_C(0xffffffffffff)) >> 4;

	memory_put(&m, pa + 16 * index, bits << 20 | 0x10001, 8);
	memory_put(&m, pa + 16 * index + 8, access, 4);
}

static unsigned count(struct handle_walk *w, struct handle_entry *last)
{
	struct handle_entry entry;
	unsigned n = 0;

	while (handle_walk_next(w, &entry)) {
		*last = entry;
		n++;
	}
	return n;
}

START_TEST(one_level)
{
	struct handle_walk w;
	struct handle_entry entry;
	uint64_t va;

	setup(19041);
	uint64_t entries = page(&va);
	put_entry(entries, 0, OBJECT, 0x1f);		/* no handle is 0 */
	put_entry(entries, 1, OBJECT, 0x1f0003);
	put_entry(entries, 7, OBJECT + 0x10, 0x1fffff);
	memory_put(&m, entries + 16 * 9 + 8, 40, 4);	/* free: only a next */
	set_code(va);
	memory_open(&m);
	ck_assert_int_eq(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_NONE);
	ck_assert(handle_walk_next(&w, &entry));
	ck_assert_uint_eq(entry.value, 4);
	ck_assert_uint_eq(entry.object.v, OBJECT);
	ck_assert_uint_eq(entry.granted_access, 0x1f0003);
	ck_assert(handle_walk_next(&w, &entry));
	ck_assert_uint_eq(entry.value, 28);
	ck_assert_uint_eq(entry.object.v, OBJECT + 0x10);
	ck_assert_uint_eq(entry.granted_access, 0x1fffff);
	ck_assert(!handle_walk_next(&w, &entry));
	ck_assert_int_eq(w.fault, FAULT_NONE);
	handle_walk_deinit(&w);
	memory_clear(&m);
}
END_TEST

START_TEST(windows_7)
{
	struct handle_walk w;
	struct handle_entry entry;
	uint64_t va;

	setup(7601);
	uint64_t entries = page(&va);
	memory_put(&m, entries + 16, OBJECT | 1, 8);		/* unlocked */
	memory_put(&m, entries + 16 + 8, 0x1f0001, 4);
	memory_put(&m, entries + 32 + 8, 0x1234, 4);		/* free */
	set_code(va);
	memory_open(&m);
	ck_assert_int_eq(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_NONE);
	ck_assert(handle_walk_next(&w, &entry));
	ck_assert_uint_eq(entry.object.v, OBJECT & ~UINT64_C(7));
	ck_assert_uint_eq(entry.granted_access, 0x1f0001);
	ck_assert(!handle_walk_next(&w, &entry));
	handle_walk_deinit(&w);
	memory_clear(&m);
}
END_TEST

START_TEST(two_levels_with_a_hole)
{
	struct handle_walk w;
	struct handle_entry entry;
	uint64_t top_va, first_va, third_va;

	setup(19041);
	uint64_t top = page(&top_va), first = page(&first_va), third = page(&third_va);
	memory_put(&m, top, first_va, 8);
	memory_put(&m, top + 8, BASE + UINT64_C(0x10000000), 8);	/* not mapped */
	memory_put(&m, top + 16, third_va, 8);
	memory_put(&m, top + 24, first_va, 8);				/* leads back */
	put_entry(first, 1, OBJECT, 1);
	/* The first entry of a later page may be a handle; the kernel's own says -2. */
	put_entry(third, 0, OBJECT, UINT32_C(0xfffffffe));
	put_entry(third, 255, OBJECT + 0x20, 2);
	set_code(top_va | 1);
	memory_open(&m);
	ck_assert_int_eq(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_NONE);
	ck_assert_uint_eq(count(&w, &entry), 2);
	ck_assert_uint_eq(entry.value, (2 * 256 + 255) * 4);
	ck_assert_uint_eq(entry.object.v, OBJECT + 0x20);
	ck_assert_uint_eq(w.bad_pages, 2);
	ck_assert_int_eq(w.fault, FAULT_UNMAPPED);
	ck_assert_uint_eq(w.first_bad.v, BASE + UINT64_C(0x10000000));
	handle_walk_deinit(&w);
	memory_clear(&m);
}
END_TEST

START_TEST(three_levels)
{
	struct handle_walk w;
	struct handle_entry entry;
	uint64_t top_va, middle_va, entries_va;

	setup(22000);
	uint64_t top = page(&top_va), middle = page(&middle_va), entries = page(&entries_va);
	memory_put(&m, top + 8 * 3, middle_va, 8);
	memory_put(&m, top + 8 * 4, BASE + UINT64_C(0x20000000), 8);	/* a middle page that is gone */
	memory_put(&m, middle + 8 * 5, entries_va, 8);
	put_entry(entries, 6, OBJECT, 3);
	set_code(top_va | 2);
	memory_open(&m);
	ck_assert_int_eq(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_NONE);
	ck_assert_uint_eq(count(&w, &entry), 1);
	ck_assert_uint_eq(entry.value, ((3 * 512 + 5) * 256 + 6) * 4);
	ck_assert_uint_eq(w.bad_pages, 1);
	handle_walk_deinit(&w);
	memory_clear(&m);
}
END_TEST

/* Every pointer of every level leads to the same pages: nothing is visited twice. */
START_TEST(all_pointers_the_same)
{
	struct handle_walk w;
	struct handle_entry entry;
	uint64_t top_va, middle_va, entries_va;

	setup(19041);
	uint64_t top = page(&top_va), middle = page(&middle_va), entries = page(&entries_va);
	for (unsigned i = 0; i < 512; i++) {
		memory_put(&m, top + 8 * i, middle_va, 8);
		memory_put(&m, middle + 8 * i, entries_va, 8);
	}
	for (unsigned i = 0; i < 256; i++)
		put_entry(entries, i, OBJECT, 1);
	set_code(top_va | 2);
	memory_open(&m);
	ck_assert_int_eq(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_NONE);
	ck_assert_uint_eq(count(&w, &entry), 255);
	ck_assert_int_eq(w.fault, FAULT_IMPLAUSIBLE);
	handle_walk_deinit(&w);
	memory_clear(&m);
}
END_TEST

START_TEST(no_table)
{
	static const uint64_t codes[] = { 0, 3 | BASE, 7 | BASE, 0x7ff612340000 };
	struct handle_walk w;

	for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
		setup(19041);
		set_code(codes[i]);
		memory_open(&m);
		ck_assert_int_ne(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_NONE);
		memory_clear(&m);
	}
	setup(19041);
	set_code((BASE + UINT64_C(0x30000000)) | 1);	/* its top page is not there */
	memory_open(&m);
	ck_assert_int_eq(handle_walk_init(&w, m.space, (va_t){ TABLE }), FAULT_UNMAPPED);
	ck_assert_int_ne(handle_walk_init(&w, m.space, (va_t){ BASE + UINT64_C(0x30000000) }), FAULT_NONE);
	memory_clear(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handles");
	TCase *tests = tcase_create("handles");

	tcase_add_test(tests, one_level);
	tcase_add_test(tests, windows_7);
	tcase_add_test(tests, two_levels_with_a_hole);
	tcase_add_test(tests, three_levels);
	tcase_add_test(tests, all_pointers_the_same);
	tcase_add_test(tests, no_table);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
