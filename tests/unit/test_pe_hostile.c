/* SPDX-License-Identifier: Apache-2.0 */
/* Headers wiped or damaged; counts and offsets that lie. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "pe_made.h"

/* ---- damaged headers ---- */

static const struct damage {
	const char *what;
	struct { uint32_t at, length; uint8_t byte; } wipe[2];
	enum pe_header_state state;
	unsigned damage;
	bool parts;		/* the directories are still found */
} damages[] = {
	{ "no MZ", { { 0, 2, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_DOS_SIGNATURE, true },
	{ "no PE", { { NT, 4, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_NT_SIGNATURE, true },
	{ "no DOS header", { { 0, 0x80, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_E_LFANEW, true },
	{ "neither DOS header nor PE", { { 0, 0x80, 0xcc }, { NT, 4, 0xcc } }, PE_HEADER_PARTIAL,
	  PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_E_LFANEW | PE_DAMAGE_NT_SIGNATURE, true },
	{ "e_lfanew beyond all", { { 0x3c, 4, 0xff } }, PE_HEADER_PARTIAL, PE_DAMAGE_E_LFANEW, true },
	{ "e_lfanew at the end", { { 0x3d, 1, 0x7f }, { 0x3c, 1, 0xfe } }, PE_HEADER_PARTIAL, PE_DAMAGE_E_LFANEW, true },
	{ "machine", { { NT + 4, 2, 0xee } }, PE_HEADER_PARTIAL, PE_DAMAGE_FILE_HEADER, true },
	{ "size of image", { { NT + 24 + 56, 4, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_OPTIONAL_HEADER, true },
	{ "alignment", { { NT + 24 + 32, 1, 3 } }, PE_HEADER_PARTIAL,
	  PE_DAMAGE_OPTIONAL_HEADER | PE_DAMAGE_SECTION_TABLE, true },
	{ "a section", { { NT + 24 + 240 + 40 + 12, 4, 0xff } }, PE_HEADER_PARTIAL, PE_DAMAGE_SECTION_TABLE, true },
	{ "zeroed", { { 0, STEP, 0 } }, PE_HEADER_WIPED, PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_NT_SIGNATURE, false },
	{ "overwritten", { { 0, STEP, 0x90 } }, PE_HEADER_WIPED, PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_NT_SIGNATURE, false },
	{ "all but MZ", { { 2, STEP - 2, 0 } }, PE_HEADER_WIPED, PE_DAMAGE_NT_SIGNATURE, false },
};

START_TEST(test_damage)
{
	const struct damage *d = &damages[_i];
	struct made *m = make(true);
	struct pe *pe;

	for (unsigned i = 0; i < 2; i++)
		memset(m->bytes + d->wipe[i].at, d->wipe[i].byte, d->wipe[i].length);
	pe = open_made(m);
	ck_assert_msg(pe->header_state == d->state, "%s: %s", d->what, pe_header_state_name(pe->header_state));
	ck_assert_msg(pe->damage == d->damage, "%s: damage %x", d->what, pe->damage);
	if (d->parts) {
		check_exports(pe);
		check_imports(pe);
	} else {
		ck_assert_uint_eq(pe_exports(pe, NULL)->len, 0);
		ck_assert_uint_eq(pe_imports(pe, NULL)->len, 0);
	}
	pe_close(pe);
	free(m);
}
END_TEST

/* The caller knows from elsewhere what a wiped header would have said. */
START_TEST(test_wiped_but_known)
{
	struct made *m = make(true);
	struct pe *pe;

	memset(m->bytes, 0, STEP);
	pe = open_made(m);
	pe->machine = PE_MACHINE_AMD64;
	pe->is_64bit = true;
	pe->directories[PE_DIRECTORY_EXPORT] = (struct pe_directory){ EXPORTS, 0x100 };
	pe->directories[PE_DIRECTORY_EXCEPTION] = (struct pe_directory){ TABLES + 0x100, 36 };
	check_exports(pe);
	ck_assert_uint_eq(pe_functions(pe, NULL)->len, 3);
	pe_close(pe);
	free(m);
}
END_TEST

/* A source that ends anywhere in the headers. */
START_TEST(test_truncated)
{
	struct made *m = make(true);

	for (m->size = 0; m->size < 0x400; m->size++) {
		struct pe *pe = open_made(m);
		uint32_t end = section_table(m) + 40 * SECTIONS;

		ck_assert_int_eq(pe->header_state, m->size < 64 ? PE_HEADER_ABSENT :
				 m->size < end ? PE_HEADER_PARTIAL : PE_HEADER_INTACT);
		if (m->size < end)
			ck_assert_int_ne(pe->fault, FAULT_NONE);
		pe_exports(pe, NULL);
		pe_imports(pe, NULL);
		pe_close(pe);
	}
	free(m);
}
END_TEST

START_TEST(test_header_crosses_hole)
{
	struct made *m = make(true);
	struct pe *pe;

	put(m, 0x3c, 4, TEXT + 0x10);	/* the PE header would be on an absent page */
	memset(m->bytes + 0x40, 0, STEP - 0x40);
	m->holes = 1u << (TEXT / STEP);
	pe = open_made(m);
	ck_assert_int_eq(pe->header_state, PE_HEADER_PARTIAL);
	ck_assert_int_eq(pe->fault, FAULT_PAGED_OUT);
	pe_close(pe);
	free(m);
}
END_TEST

/* ---- lies ---- */

START_TEST(test_many_sections)
{
	struct made *m = make(true);
	struct pe *pe;

	put(m, NT + 6, 2, 0xffff);
	pe = open_made(m);
	ck_assert_int_eq(pe->header_state, PE_HEADER_PARTIAL);
	ck_assert_int_eq(pe->fault, FAULT_LIMIT);
	ck_assert_uint_eq(pe->sections->len, PE_MAX_SECTIONS);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_huge_exports)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put(m, EXPORTS + 20, 4, 0xffffffff);
	put(m, EXPORTS + 24, 4, 0xffffffff);
	pe = open_made(m);
	ck_assert_uint_le(pe_exports(pe, &fault)->len, PE_MAX_EXPORTS);
	ck_assert_int_eq(fault, FAULT_LIMIT);
	pe_close(pe);

	put(m, EXPORTS + 32, 4, 0xfffffff0);	/* name table at the end of all RVAs */
	put(m, EXPORTS + 36, 4, 0xfffffffe);
	pe = open_made(m);
	pe_exports(pe, &fault);
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_long_names)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;
	const GArray *exports;

	memset(m->bytes + DATA, 'a', 2 * STEP);
	put(m, EXPORTS + 0x38, 4, DATA);
	put(m, EXPORTS + 12, 4, DATA);
	pe = open_made(m);
	exports = pe_exports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_LIMIT);
	ck_assert_uint_eq(strlen(ROW(exports, pe_export, 0)->name), PE_MAX_SYMBOL);
	ck_assert_uint_eq(strlen(pe_export_dll(pe)), PE_MAX_NAME);
	ck_assert_str_eq(ROW(exports, pe_export, 1)->name, "gamma");
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_endless_imports)
{
	struct made *m = make(true);
	struct pe_source source = { m, read_made };
	struct pe *pe;
	enum fault fault;

	/* Descriptors without end, each with the same two slots. */
	for (uint32_t at = DATA; at + 20 <= IMAGE_SIZE; at += 20)
		memcpy(m->bytes + at, m->bytes + IMPORTS, 20);
	put_directory(m, PE_DIRECTORY_IMPORT, DATA, 60);
	pe = open_made(m);
	ck_assert_uint_gt(pe_imports(pe, &fault)->len, 1000);
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);

	/* Slots without end, and no size limit that would stop them. */
	memset(m->bytes + DATA, 0x41, 4 * STEP);
	put_directory(m, PE_DIRECTORY_IMPORT, IMPORTS, 60);
	put(m, IMPORTS, 4, DATA);
	pe = pe_open(&source, m->base, 0);
	ck_assert_uint_le(pe_imports(pe, &fault)->len, PE_MAX_IMPORTS);
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_bad_relocations)
{
	const struct { uint32_t size; uint32_t directory; enum fault fault; guint found; } cases[] = {
		{ 0, 24, FAULT_IMPLAUSIBLE, 0 },	/* would stay in place */
		{ 7, 24, FAULT_IMPLAUSIBLE, 0 },
		{ 0xffffffff, 24, FAULT_IMPLAUSIBLE, 0 },	/* would wrap */
		{ 28, 24, FAULT_IMPLAUSIBLE, 0 },	/* longer than the directory */
		{ 12, 0xffffffff, FAULT_NONE, 3 },	/* zeros end it */
		{ 0xfffffff0, 0xffffffff, FAULT_IMPLAUSIBLE, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct made *m = make(true);
		struct pe *pe;
		enum fault fault;

		put(m, TABLES + 4, 4, cases[i].size);
		put_directory(m, PE_DIRECTORY_RELOCATION, TABLES, cases[i].directory);
		pe = open_made(m);
		if (cases[i].found)
			ck_assert_uint_eq(pe_relocations(pe, &fault)->len, cases[i].found);
		else
			pe_relocations(pe, &fault);
		ck_assert_msg(fault == cases[i].fault, "case %zu: fault %d", i, fault);
		pe_close(pe);
		free(m);
	}
}
END_TEST

START_TEST(test_bad_tls)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put(m, DATA + 0x218, 8, 0x4141414141414141);
	pe = open_made(m);
	ck_assert_uint_eq(pe_tls(pe, &fault)->callbacks->len, 0);
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);

	memset(m->bytes + RESOURCES, 0x41, STEP);
	put(m, DATA + 0x218, 8, m->base + RESOURCES);
	pe = open_made(m);
	ck_assert_uint_eq(pe_tls(pe, &fault)->callbacks->len, PE_MAX_TLS_CALLBACKS);
	ck_assert_int_eq(fault, FAULT_LIMIT);
	pe_close(pe);
	free(m);
}
END_TEST

/* Directories that lead back to themselves or their parents, and claim 131070 entries. */
START_TEST(test_cyclic_resources)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put_directory_entry(m, 0x40, 0, 7, 0x80000000);		/* the name leads to the root */
	pe = open_made(m);
	ck_assert_uint_eq(pe_resources(pe, &fault)->len, 1);
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	check_version(pe);
	pe_close(pe);

	put_directory_entry(m, 0, 1, PE_RESOURCE_VERSION, 0x80000000);
	pe = open_made(m);
	ck_assert_ptr_null(pe_version_info(pe, &fault));
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);

	/* All levels the same directory of one million entries. */
	put(m, RESOURCES + 12, 4, 0xffffffff);
	pe = open_made(m);
	ck_assert_uint_le(pe_resources(pe, &fault)->len, PE_MAX_RESOURCES);
	ck_assert_int_ne(fault, FAULT_NONE);
	ck_assert_uint_lt(m->reads, 200);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_bad_version)
{
	struct made *m = make(true);
	uint32_t start = RESOURCES + 0x200;

	/* Every length of every block, one after another, made too short, too long, zero. */
	for (uint32_t at = start; at < start + 0x160; at += 2) {
		for (unsigned i = 0; i < 3; i++) {
			static const uint16_t values[] = { 0, 1, 0xffff };
			uint8_t saved[2] = { m->bytes[at], m->bytes[at + 1] };
			struct pe *pe;
			const struct pe_version_info *v;

			put(m, at, 2, values[i]);
			pe = open_made(m);
			v = pe_version_info(pe, NULL);
			if (at >= start + 0x30 && at < start + 0x34)	/* inside VS_FIXEDFILEINFO */
				ck_assert_ptr_nonnull(v);
			if (v && v->company_name)
				ck_assert(g_utf8_validate(v->company_name, -1, NULL));
			pe_close(pe);
			memcpy(m->bytes + at, saved, 2);
		}
	}
	put(m, RESOURCES + 0x154, 4, 0xffffffff);
	struct pe *pe = open_made(m);
	enum fault fault;
	const struct pe_version_info *v = pe_version_info(pe, &fault);

	ck_assert_int_eq(fault, FAULT_LIMIT);
	ck_assert_str_eq(v->company_name, "Makers");
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_directory_outside)
{
	for (unsigned i = 0; i < PE_DIRECTORIES; i++) {
		struct made *m = make(true);
		struct pe *pe;
		enum fault fault[8];

		put_directory(m, i, 0xfffffff8, 0xffffffff);
		pe = open_made(m);
		pe_exports(pe, &fault[0]);
		pe_imports(pe, &fault[1]);
		pe_resources(pe, &fault[2]);
		pe_functions(pe, &fault[3]);
		pe_relocations(pe, &fault[4]);
		pe_debug(pe, &fault[5]);
		pe_reproducible(pe, &fault[5]);
		pe_tls(pe, &fault[6]);
		pe_load_config(pe, &fault[7]);
		ck_assert_int_eq(fault[0] != FAULT_NONE, i == PE_DIRECTORY_EXPORT);
		ck_assert_int_eq(fault[1] != FAULT_NONE, i == PE_DIRECTORY_IMPORT || i == PE_DIRECTORY_DELAY_IMPORT);
		ck_assert_int_eq(fault[2] != FAULT_NONE, i == PE_DIRECTORY_RESOURCE);
		ck_assert_int_eq(fault[3] != FAULT_NONE, i == PE_DIRECTORY_EXCEPTION);
		ck_assert_int_eq(fault[4] != FAULT_NONE, i == PE_DIRECTORY_RELOCATION);
		ck_assert_int_eq(fault[5] != FAULT_NONE, i == PE_DIRECTORY_DEBUG);
		ck_assert_int_eq(fault[6] != FAULT_NONE, i == PE_DIRECTORY_TLS);
		ck_assert_int_eq(fault[7] != FAULT_NONE, i == PE_DIRECTORY_LOAD_CONFIG);
		pe_close(pe);
		free(m);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pe_hostile");
	TCase *tc = tcase_create("pe_hostile");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_damage, 0, G_N_ELEMENTS(damages));
	tcase_add_test(tc, test_wiped_but_known);
	tcase_add_test(tc, test_truncated);
	tcase_add_test(tc, test_header_crosses_hole);
	tcase_add_test(tc, test_many_sections);
	tcase_add_test(tc, test_huge_exports);
	tcase_add_test(tc, test_long_names);
	tcase_add_test(tc, test_endless_imports);
	tcase_add_test(tc, test_bad_relocations);
	tcase_add_test(tc, test_bad_tls);
	tcase_add_test(tc, test_cyclic_resources);
	tcase_add_test(tc, test_bad_version);
	tcase_add_test(tc, test_directory_outside);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
