/* SPDX-License-Identifier: Apache-2.0 */
/* Images as they should be, whole and with pages missing. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "pe_made.h"

/* The table of places that the kernel may rewrite, each kind with its entries. */
START_TEST(test_dynamic_sites)
{
	struct made *m = make(true);
	uint32_t config = DATA + 0x300, table = TABLES + 0xe00;
	enum fault fault;

	put(m, config, 4, 0xe8);
	put(m, config + 0xc0, 8, 0);
	put(m, config + 0xe0, 4, 0xe00);	/* DynamicValueRelocTableOffset, and the section, from 1 */
	put(m, config + 0xe4, 2, TABLES / STEP);
	put(m, table, 4, 1);
	put(m, table + 4, 4, 3 * 12 + 16 + 12 + 12);
	put(m, table + 8, 8, PE_DYNAMIC_IMPORT);
	put(m, table + 16, 4, 16);
	put(m, table + 20, 4, TEXT);
	put(m, table + 24, 4, 16);
	put(m, table + 28, 4, 0x100 | 1 << 12 | 3 << 13);
	put(m, table + 32, 4, 0x120 | 1 << 12 | 4 << 13);
	put(m, table + 36, 8, 7);		/* a kind we don't read */
	put(m, table + 44, 4, 12);
	put(m, table + 60, 8, PE_DYNAMIC_SWITCH);
	put(m, table + 68, 4, 12);
	put(m, table + 72, 4, TEXT);
	put(m, table + 76, 4, 12);
	put(m, table + 80, 2, 0x140 | 1 << 12);
	put(m, table + 82, 2, 0);		/* padding */
	put(m, TEXT + 0x100, 4, 0x00158b4c);	/* rewritten */
	put(m, TEXT + 0x120, 4, 0x0015ff48);
	put(m, TEXT + 0x140, 4, 0xe9);
	struct pe *pe = open_made(m);
	const GArray *sites = pe_dynamic_sites(pe, &fault);
	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_ptr_nonnull(sites);
	ck_assert_uint_eq(sites->len, 3);
	ck_assert_uint_eq(ROW(sites, pe_dynamic_site, 1)->rva, TEXT + 0x120);
	ck_assert(pe_dynamic_rewritten(pe, ROW(sites, pe_dynamic_site, 0)));
	ck_assert(!pe_dynamic_rewritten(pe, ROW(sites, pe_dynamic_site, 1)));
	ck_assert(pe_dynamic_rewritten(pe, ROW(sites, pe_dynamic_site, 2)));
	ck_assert_uint_eq(ROW(sites, pe_dynamic_site, 2)->symbol, PE_DYNAMIC_SWITCH);
	pe_close(pe);
	/* Lengths that lie, and a table that isn't there. */
	put(m, table + 16, 4, 0xfffffff0);
	pe = open_made(m);
	pe_dynamic_sites(pe, &fault);
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);
	m->holes = 1u << TABLES / STEP;
	pe = open_made(m);
	ck_assert_ptr_null(pe_dynamic_sites(pe, &fault));
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_whole)
{
	struct made *m = make(_i);
	struct pe *pe = open_made(m);
	const struct pe_section *s = (void *)pe->sections->data;

	ck_assert_uint_le(m->reads, 1);
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert_str_eq(pe_header_state_name(pe->header_state), "intact");
	ck_assert_int_eq(pe->is_64bit, _i);
	ck_assert_uint_eq(pe->machine, _i ? PE_MACHINE_AMD64 : PE_MACHINE_I386);
	ck_assert_uint_eq(pe->timestamp, 0x5f000001);
	ck_assert_uint_eq(pe->entry_point, TEXT + 0x10);
	ck_assert_uint_eq(pe->size_of_image, IMAGE_SIZE);
	ck_assert_uint_eq(pe->size_of_headers, 0x400);
	ck_assert_uint_eq(pe->image_base, m->base);
	ck_assert_uint_eq(pe->checksum, 0xc4ec5);
	ck_assert_uint_eq(pe->subsystem, 3);
	ck_assert_uint_eq(pe->dll_characteristics, 0x4160);
	ck_assert_uint_eq(pe->characteristics, PE_FILE_EXECUTABLE_IMAGE | PE_FILE_DLL);
	ck_assert_uint_eq(pe->sections->len, SECTIONS);
	ck_assert_str_eq(s[0].name, ".text");
	ck_assert_str_eq(s[4].name, "\xef\xbf\xbd" "bad");
	ck_assert_str_eq(s[6].name, "8letters");
	ck_assert_uint_eq(s[2].virtual_address, IMPORTS);
	ck_assert_uint_eq(s[2].raw_offset, 0x800);
	ck_assert_ptr_eq(pe_section_at(pe, DATA + 5), &s[3]);
	ck_assert_ptr_null(pe_section_at(pe, DATA - 1));
	check_exports(pe);
	check_imports(pe);
	check_data(pe, m);
	check_resources(pe);
	check_version(pe);
	check_tables(pe, m);
	ck_assert_ptr_null(pe_rich(pe, NULL));
	m->holes = ~0u;		/* asked again, nothing is read again */
	check_exports(pe);
	check_imports(pe);
	pe_close(pe);
	free(m);
}
END_TEST

/* With page _i absent, only the parts that lie on it suffer. */
START_TEST(test_hole)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	m->holes = 1u << _i;
	pe = open_made(m);
	if (_i == 0) {
		ck_assert_int_eq(pe->header_state, PE_HEADER_ABSENT);
		ck_assert_int_eq(pe->fault, FAULT_PAGED_OUT);
		ck_assert_uint_eq(pe->sections->len, 0);
		ck_assert(!pe->has_file_header && !pe->has_optional_header && !pe->has_section_table);
	} else {
		ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
		_i == EXPORTS / STEP ? (void)0 : check_exports(pe);
		_i == IMPORTS / STEP ? (void)0 : check_imports(pe);
		_i == DATA / STEP ? (void)0 : check_data(pe, m);
		_i == RESOURCES / STEP ? (void)0 : check_resources(pe);
		_i == RESOURCES / STEP ? (void)0 : check_version(pe);
		_i == TABLES / STEP ? (void)0 : check_tables(pe, m);
	}
	if (_i == EXPORTS / STEP) {
		ck_assert_uint_eq(pe_exports(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == IMPORTS / STEP) {
		ck_assert_uint_eq(pe_imports(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_imphash(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == DATA / STEP) {
		ck_assert_uint_eq(pe_debug(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert(!pe_reproducible(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_tls(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_load_config(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == RESOURCES / STEP) {
		ck_assert_uint_eq(pe_resources(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_version_info(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == TABLES / STEP) {
		ck_assert_uint_eq(pe_relocations(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_uint_eq(pe_functions(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	}
	pe_close(pe);
	free(m);
}
END_TEST

/* Where only names lie on the absent page, the rest of each row stays. */
START_TEST(test_names_absent)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;
	const struct pe_import *i;
	const GArray *exports;

	put(m, EXPORTS + 0x38, 4, TEXT + 0x800);	/* alpha's name */
	put(m, IMPORTS + 0x100, 8, TEXT + 0x800);	/* Sleep's */
	put(m, IMPORTS + 20, 4, TEXT + 0x900);		/* WS2_32's name table */
	m->holes = 1u << (TEXT / STEP);
	pe = open_made(m);
	exports = pe_exports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	ck_assert_uint_eq(exports->len, 3);
	ck_assert_ptr_null(ROW(exports, pe_export, 0)->name);
	ck_assert_uint_eq(ROW(exports, pe_export, 0)->rva, TEXT + 0x10);
	i = ROW(pe_imports(pe, &fault), pe_import, 0);
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	ck_assert_uint_eq(pe_imports(pe, NULL)->len, 4);
	ck_assert_int_eq(i[0].kind, PE_IMPORT_UNKNOWN);
	ck_assert_uint_eq(i[0].iat_rva, IAT);
	ck_assert_int_eq(i[1].kind, PE_IMPORT_BY_ORDINAL);
	ck_assert_int_eq(i[2].kind, PE_IMPORT_UNKNOWN);
	ck_assert_str_eq(i[2].dll, "WS2_32.dll");
	ck_assert_uint_eq(i[2].iat_rva, IAT + 0x40);
	ck_assert_ptr_null(pe_imphash(pe, &fault));
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	pe_close(pe);
	free(m);
}
END_TEST

/* An odd name before what can't be seen doesn't hide that. */
START_TEST(test_garbage_before_hole)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put(m, IMPORTS + 0x242, 1, 1);			/* Sleep's first letter */
	put(m, IMPORTS + 20, 4, TEXT + 0x900);		/* WS2_32's name table */
	pe = open_made(m);
	ck_assert_ptr_nonnull(pe_imphash(pe, &fault));
	ck_assert_int_eq(fault, FAULT_NONE);
	pe_close(pe);
	m->holes = 1u << (TEXT / STEP);
	pe = open_made(m);
	pe_imports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	ck_assert_ptr_null(pe_imphash(pe, &fault));
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	pe_close(pe);
	free(m);
}
END_TEST

/* Without the table of ordinals names have none, and functions that have no name then keep theirs. */
START_TEST(test_no_ordinals)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;
	const GArray *exports;

	put(m, EXPORTS + 36, 4, TEXT + 0x800);
	m->holes = 1u << (TEXT / STEP);
	pe = open_made(m);
	exports = pe_exports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	ck_assert_uint_eq(exports->len, 5);
	ck_assert_str_eq(ROW(exports, pe_export, 0)->name, "alpha");
	ck_assert(!ROW(exports, pe_export, 0)->has_ordinal);
	ck_assert_ptr_null(ROW(exports, pe_export, 2)->name);
	ck_assert(ROW(exports, pe_export, 2)->has_ordinal);
	ck_assert_uint_eq(ROW(exports, pe_export, 2)->ordinal, 5);
	pe_close(pe);
	free(m);
}
END_TEST

/* No import name table: the loader has written over the names. Addresses of the kernel
 * have the ordinal's bit set, and are none. */
START_TEST(test_no_name_table)
{
	struct made *m = make(_i);
	struct pe *pe;
	enum fault fault;
	const struct pe_import *i;

	put(m, IMPORTS, 4, 0);
	put(m, IAT + 2 * width(m), width(m), IMPORTS + 0x240);	/* a slot not yet resolved */
	pe = open_made(m);
	i = ROW(pe_imports(pe, &fault), pe_import, 0);
	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(pe_imports(pe, NULL)->len, 5);
	ck_assert_int_eq(i[0].kind, PE_IMPORT_UNKNOWN);
	ck_assert_int_eq(i[1].kind, PE_IMPORT_UNKNOWN);
	ck_assert_str_eq(i[1].dll, "KERNEL32.dll");
	ck_assert_str_eq(i[2].name, "Sleep");
	ck_assert_int_eq(i[3].kind, PE_IMPORT_BY_ORDINAL);
	ck_assert_ptr_null(pe_imphash(pe, &fault));
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_old_delay_descriptor)
{
	struct made *m = make(false);
	struct pe *pe;
	const struct pe_import *i;

	put(m, IMPORTS + 0x300, 4, 0);	/* VAs */
	put(m, IMPORTS + 0x304, 4, m->base + IMPORTS + 0x380);
	put(m, IMPORTS + 0x30c, 4, m->base + IAT + 0x80);
	put(m, IMPORTS + 0x310, 4, m->base + IMPORTS + 0x360);
	put(m, IMPORTS + 0x360, 4, m->base + IMPORTS + 0x390);
	pe = open_made(m);
	i = ROW(pe_imports(pe, NULL), pe_import, 3);
	ck_assert_str_eq(i->dll, "ole32.dll");
	ck_assert_str_eq(i->name, "CoInitialize");
	ck_assert_uint_eq(i->iat_rva, IAT + 0x80);
	pe_close(pe);
	free(m);
}
END_TEST

/* An address in a page that was not relocated refers to the preferred base. */
START_TEST(test_bases)
{
	struct made *m = make(true);
	struct pe *pe;
	uint32_t rva = 0;

	put(m, optional_header() + 24, 8, PREFERRED);
	put(m, DATA + 0x218, 8, PREFERRED + DATA + 0x240);
	pe = open_made(m);
	ck_assert(pe_va_to_rva(pe, LOADED + 0x1234, &rva));
	ck_assert_uint_eq(rva, 0x1234);
	ck_assert(pe_va_to_rva(pe, PREFERRED + 0x4321, &rva));
	ck_assert_uint_eq(rva, 0x4321);
	ck_assert(!pe_va_to_rva(pe, LOADED + IMAGE_SIZE, &rva));
	ck_assert(!pe_va_to_rva(pe, LOADED - 1, &rva));
	ck_assert_uint_eq(pe_tls(pe, NULL)->callbacks->len, 2);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_arm64)
{
	struct made *m = make(true);
	struct pe *pe;
	struct pe_function f;

	put(m, NT + 4, 2, PE_MACHINE_ARM64);
	put_directory(m, PE_DIRECTORY_EXCEPTION, TABLES + 0x100, 16);
	put(m, TABLES + 0x100, 4, TEXT + 0x10);
	put(m, TABLES + 0x104, 4, 5 << 2 | 1);		/* packed: five instructions */
	put(m, TABLES + 0x108, 4, TEXT + 0x40);
	put(m, TABLES + 0x10c, 4, TABLES + 0x200);
	put(m, TABLES + 0x200, 4, 0xfffc0000 | 3);	/* .xdata: three */
	pe = open_made(m);
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert(pe_function_at(pe, TEXT + 0x23, &f));
	ck_assert_uint_eq(f.begin, TEXT + 0x10);
	ck_assert_uint_eq(f.end, TEXT + 0x24);
	ck_assert(!pe_function_at(pe, TEXT + 0x24, &f));
	ck_assert(pe_function_at(pe, TEXT + 0x4b, &f));
	ck_assert(!pe_function_at(pe, TEXT + 0x4c, &f));
	pe_close(pe);
	free(m);
}
END_TEST

/* The key is a checksum of what lies before it, reckoned by hand: a rotation by its offset of each
 * byte other than 0 and not in e_lfanew (M at 0, Z at 1), and each product by its count. */
START_TEST(test_rich)
{
	struct made *m = make(true);
	const uint32_t product = 259u << 16 | 30148;
	uint32_t key = 0x80 + 'M' + ('Z' << 1) + (product << 3);
	struct pe *pe;
	const struct pe_rich *rich;

	put(m, 0x80, 4, 0x536e6144 ^ key);
	put(m, 0x84, 4, key);
	put(m, 0x88, 4, key);
	put(m, 0x8c, 4, key);
	put(m, 0x90, 4, product ^ key);
	put(m, 0x94, 4, 3 ^ key);
	put(m, 0x98, 4, 0x68636952);
	put(m, 0x9c, 4, key + (uint32_t)_i);
	if (_i)
		for (unsigned at = 0x80; at < 0x98; at += 4)
			put(m, at, 4, (m->bytes[at] | m->bytes[at + 1] << 8 | m->bytes[at + 2] << 16 |
				       (uint32_t)m->bytes[at + 3] << 24) ^ key ^ (key + 1));
	pe = open_made(m);
	rich = pe_rich(pe, NULL);
	ck_assert_ptr_nonnull(rich);
	ck_assert_uint_eq(rich->offset, 0x80);
	ck_assert_uint_eq(rich->size, 0x20);
	ck_assert_uint_eq(rich->entries->len, 1);
	ck_assert_uint_eq(ROW(rich->entries, pe_rich_entry, 0)->product, 259);
	ck_assert_uint_eq(ROW(rich->entries, pe_rich_entry, 0)->build, 30148);
	ck_assert_uint_eq(ROW(rich->entries, pe_rich_entry, 0)->count, 3);
	ck_assert_int_eq(rich->checksum_ok, !_i);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_read_bounds)
{
	struct made *m = make(true);
	struct pe *pe = open_made(m);
	uint8_t buffer[2 * STEP];

	ck_assert_int_eq(pe_read(pe, IMAGE_SIZE - 4, buffer, 4), FAULT_NONE);
	ck_assert_int_eq(pe_read(pe, IMAGE_SIZE - 4, buffer, 5), FAULT_IMPLAUSIBLE);
	ck_assert_int_eq(pe_read(pe, 0xffffffff, buffer, 1), FAULT_IMPLAUSIBLE);
	ck_assert_int_eq(pe_read(pe, 0, buffer, SIZE_MAX), FAULT_IMPLAUSIBLE);
	ck_assert_int_eq(pe_read(pe, TEXT - 0x10, buffer, sizeof buffer), FAULT_NONE);
	ck_assert_mem_eq(buffer, m->bytes + TEXT - 0x10, sizeof buffer);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_entropy)
{
	struct made *m = make(true);
	struct pe *pe;
	double entropy = -1;

	memset(m->bytes + DATA, 0, STEP);
	m->holes = 1u << (EXPORTS / STEP);
	pe = open_made(m);
	ck_assert_double_eq_tol(byte_entropy(m->bytes + TEXT, 256), 8, 1e-9);
	ck_assert_double_eq_tol(byte_entropy("aabb", 4), 1, 1e-9);
	ck_assert_double_eq_tol(byte_entropy("", 0), 0, 1e-9);
	ck_assert_int_eq(pe_entropy(pe, DATA, STEP, &entropy), FAULT_NONE);
	ck_assert_double_eq_tol(entropy, 0, 1e-9);
	ck_assert_int_eq(pe_entropy(pe, TEXT, 256, &entropy), FAULT_NONE);
	ck_assert_double_eq_tol(entropy, 8, 1e-9);
	entropy = -1;
	ck_assert_int_eq(pe_entropy(pe, EXPORTS, STEP, &entropy), FAULT_PAGED_OUT);
	ck_assert_int_eq(pe_entropy(pe, IMAGE_SIZE, 1, &entropy), FAULT_IMPLAUSIBLE);
	ck_assert_double_eq_tol(entropy, -1, 1e-9);
	/* A hole is left out, and so is what lies past the end. */
	ck_assert_int_eq(pe_entropy(pe, EXPORTS, 0xffffffff, &entropy), FAULT_NONE);
	ck_assert_double_gt(entropy, 0);
	pe_close(pe);
	free(m);
}
END_TEST

/* The same image as a file: sections at their raw offsets, the rest of each page zero. */
START_TEST(test_file)
{
	static uint8_t bytes[0x400 + SECTIONS * 0x200];
	struct made *m = make(true);
	struct pe_file *file;
	struct pe_source source;
	struct pe *pe;
	uint8_t page[STEP];

	memcpy(bytes, m->bytes, 0x400);
	for (unsigned i = 0; i < SECTIONS; i++)
		memcpy(bytes + 0x400 + 0x200 * i, m->bytes + (i + 1) * STEP, 0x200);
	file = pe_file_create(bytes, sizeof bytes);
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(pe_file_size_of_image(file), IMAGE_SIZE);
	source = pe_file_source(file);
	ck_assert_int_eq(source.read(source.user, EXPORTS, page, STEP), FAULT_NONE);
	ck_assert_mem_eq(page, m->bytes + EXPORTS, 0x200);
	memset(m->bytes, 0, STEP);
	ck_assert_mem_eq(page + 0x200, m->bytes, STEP - 0x200);
	ck_assert_int_eq(source.read(source.user, IMAGE_SIZE - 1, page, 2), FAULT_UNMAPPED);
	pe = pe_open(&source, 0, pe_file_size_of_image(file));
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert_uint_eq(pe->base, LOADED);
	check_exports(pe);
	pe_close(pe);
	pe_file_destroy(file);

	/* Cut off within the third section. */
	file = pe_file_create(bytes, 0x900);
	source = pe_file_source(file);
	ck_assert_int_eq(source.read(source.user, IMPORTS, page, STEP), FAULT_NONE);
	ck_assert_mem_eq(page, bytes + 0x800, 0x100);
	ck_assert_int_eq(page[0x100], 0);
	pe_file_destroy(file);
	ck_assert_ptr_null(pe_file_create("MZ", 2));
	ck_assert_ptr_null(pe_file_create("", 0));
	free(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pe");
	TCase *tc = tcase_create("pe");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_whole, 0, 2);
	tcase_add_loop_test(tc, test_hole, 0, IMAGE_SIZE / STEP);
	tcase_add_test(tc, test_dynamic_sites);
	tcase_add_test(tc, test_names_absent);
	tcase_add_test(tc, test_garbage_before_hole);
	tcase_add_test(tc, test_no_ordinals);
	tcase_add_loop_test(tc, test_no_name_table, 0, 2);
	tcase_add_test(tc, test_old_delay_descriptor);
	tcase_add_test(tc, test_bases);
	tcase_add_test(tc, test_arm64);
	tcase_add_loop_test(tc, test_rich, 0, 2);
	tcase_add_test(tc, test_read_bounds);
	tcase_add_test(tc, test_entropy);
	tcase_add_test(tc, test_file);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
