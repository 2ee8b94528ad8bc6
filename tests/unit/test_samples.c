/* SPDX-License-Identifier: Apache-2.0 */
/* The sample builder: a test that rests on samples is worth what they are. */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "kernel.h"
#include "pe.h"
#include "../../samples/sample.h"

#define MACHINE "machine build=10.0.19041.1466 ram=3M time=2024-03-01T09:15:27.1234567Z\n"
#define PROCESS "process name=one.exe pid=300 ppid=4 path=C:\\Windows\\one.exe bare\n" \
	" vad start=0x10000000 pages=4 content=text:hello valid=2 transition=1\n" \
	" vad start=0x10010000 pages=300 content=random\n"

static struct description *parse(const char *text)
{
	GError *error = NULL;
	struct description *d = description_parse(text, "test", &error);

	ck_assert_msg(d != NULL, "%s", error ? error->message : "");
	return d;
}

START_TEST(description_words)
{
	struct description *d = parse("# comment\nmachine a=1 b=0x10 c=2K d='x y' e=\"it's\" flag # rest\n\n process x=y\n vad z=\n");
	struct item *machine = description_item(d, "machine"), *process = description_item(d, "process");

	ck_assert_uint_eq(item_number(machine, "a", 9), 1);
	ck_assert_uint_eq(item_number(machine, "b", 9), 16);
	ck_assert_uint_eq(item_number(machine, "c", 9), 2048);
	ck_assert_uint_eq(item_number(machine, "none", 9), 9);
	ck_assert_str_eq(item_text(machine, "d", ""), "x y");
	ck_assert_str_eq(item_text(machine, "e", ""), "it's");
	ck_assert(item_flag(machine, "flag"));
	ck_assert(!item_flag(machine, "rest"));
	ck_assert_uint_eq(process->children->len, 1);
	ck_assert_str_eq(item_text(process->children->pdata[0], "z", "?"), "");
	ck_assert_ptr_null(description_item(d, "driver"));
	description_destroy(d);
}
END_TEST

START_TEST(description_times)
{
	struct description *d = parse("machine a=1601-01-01T00:00:00Z b=1970-01-01T00:00:00Z c=2024-02-29T23:59:59.9999999Z\n");
	struct item *machine = description_item(d, "machine");

	ck_assert_uint_eq(item_time(machine, "a", 1), 0);
	ck_assert_uint_eq(item_time(machine, "b", 1), UINT64_C(116444736000000000));
	ck_assert_uint_eq(item_time(machine, "c", 1), UINT64_C(133537247999999999));
	description_destroy(d);
}
END_TEST

static const char *const wrong[] = {
	"machine a='open\n", "nothing a=1\n", " vad start=1\n", "machine a=1\n thread tid=4\n",
};

START_TEST(description_wrong)
{
	g_autoptr(GError) error = NULL;

	ck_assert_ptr_null(description_parse(wrong[_i], "test", &error));
	ck_assert_ptr_nonnull(error);
	ck_assert_msg(g_str_has_prefix(error->message, "test:"), "%s", error->message);
}
END_TEST

static const char *const refused[] = {
	"kernel base=1\n", "machine build=1.2.3\n", MACHINE "process name=x pid=5 path=C:\\x.exe\n", MACHINE "output format=floppy\n",
	"machine build=10.0.19041.1466 ram=3M colour=red\n", "machine build=10.0.19041.1466 ram=3M time=yesterday\n",
	MACHINE "process name=x pid=8 path=C:\\x.exe\n vad start=0x10000000 pages=1 protect=RWX\n",
	MACHINE "process name=x pid=8 path=C:\\x.exe\n vad start=0x10000000 pages=4\n vad start=0x10000000 pages=1\n",
	MACHINE "process name=x pid=8 path=C:\\x.exe\n thread start=nothing.dll!Export\n", MACHINE "defect kind=hole what=peb pid=99\n",
};

START_TEST(description_refused)	/* ends the program, with status 1 */
{
	struct sample *s = sample_create(parse(refused[_i]));
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;

	close(g_file_open_tmp("sample-XXXXXX", &path, NULL));
	bool written = sample_write(s, path, &error);
	g_unlink(path);
	if (written)
		description_check(s->description);
	exit(0);
}
END_TEST

/* Every two neighbouring pages that any page table maps, of any process and of the kernel. */
static unsigned check_table(const struct memory *m, uint64_t table, unsigned level, unsigned from, unsigned to)
{
	const uint64_t *entries = (const uint64_t *)(const void *)(m->bytes + table);
	unsigned pairs = 0;

	for (unsigned i = from; i < to; i++) {
		if (!(entries[i] & PTE_VALID) || (entries[i] & PTE_FRAME) == table || (level > 1 && (entries[i] & PTE_LARGE)))
			continue;
		if (level > 1) {
			pairs += check_table(m, entries[i] & PTE_FRAME, level - 1, 0, 512);
		} else if (i && (entries[i - 1] & PTE_VALID)) {
			int64_t distance = (int64_t)(entries[i] & PTE_FRAME) - (int64_t)(entries[i - 1] & PTE_FRAME);
			ck_assert_int_ne(distance, PAGE_SIZE);
			ck_assert_int_ne(distance, -(int64_t)PAGE_SIZE);
			pairs++;
		}
	}
	return pairs;
}

START_TEST(frames_are_scattered)
{
	struct description *d = parse(_i == 5 ? "machine build=10.0.22000.1219 ram=4M paging=5\n" PROCESS : MACHINE PROCESS);
	struct sample *s = sample_create(d);
	unsigned pairs = 0;

	for (guint i = 0; i < s->memory->roots->len; i++)
		pairs += check_table(s->memory, g_array_index(s->memory->roots, uint64_t, i), s->memory->levels, 0, 512);
	ck_assert_uint_gt(pairs, 300);
	sample_destroy(s);
	description_destroy(d);
}
END_TEST

START_TEST(same_again)
{
	struct description *a = parse(MACHINE PROCESS), *b = parse(MACHINE PROCESS);
	struct sample *x = sample_create(a), *y = sample_create(b);

	ck_assert_mem_eq(x->memory->bytes, y->memory->bytes, x->memory->size);
	sample_destroy(x);
	sample_destroy(y);
	description_destroy(a);
	description_destroy(b);
}
END_TEST

/* What the analyzer reads by the page tables is what was put there. */
START_TEST(read_back)
{
	static const char *const machines[] = {
		"machine build=6.1.7601.24540 ram=3M\n", "machine build=10.0.17763.379 ram=4M kvas invalid-pte-mask=0x200000000000\n", MACHINE,
		"machine build=10.0.22000.1219 ram=4M paging=5\n",
	};
	g_autofree char *text = g_strconcat(machines[_i], PROCESS, NULL), *path = NULL;
	struct description *d = parse(text);
	struct sample *s = sample_create(d);
	const struct sample_process *p = s->processes->pdata[1];
	GError *error = NULL;
	char word[5];
	int fd = g_file_open_tmp("sample-XXXXXX", &path, NULL);

	ck_assert_int_ge(fd, 0);
	ck_assert(sample_write(s, path, &error));
	{
		AUTO(image) image = image_open(path, false, &error);
		ck_assert_ptr_nonnull(image);
		AUTO(kernel) kernel = kernel_find(image, NULL, &error);
		ck_assert_ptr_nonnull(kernel);
		ck_assert_uint_eq(kernel->base.v, s->kernel_base);
		ck_assert_uint_eq(kernel->dtb.v, s->memory->system_root);
		ck_assert_str_eq(kernel->guid_age, s->layout->guid_age);
		ck_assert_uint_eq(kernel->build, s->build);
		AUTO(space) space = space_create(image, kernel->layout, kernel->paging, (pa_t){ p->root });
		space->invalid_pte_mask = kernel->space->invalid_pte_mask;
		ck_assert(!space_read(space, (va_t){ 0x10000000 }, word, 5, NULL));
		ck_assert_mem_eq(word, "hello", 5);
		ck_assert(!space_read(space, (va_t){ 0x10002000 }, word, 5, NULL));	/* in transition */
		ck_assert_mem_eq(word, "TTTTT", 5);
		ck_assert(space_read(space, (va_t){ 0x10003000 }, word, 5, NULL));
	}
	close(fd);
	g_unlink(path);
	sample_destroy(s);
	description_destroy(d);
}
END_TEST

static enum fault read_executable(void *user, uint32_t rva, void *buffer, size_t length)
{
	const struct executable *x = user;

	if (rva > x->size || length > x->size - rva)
		return FAULT_UNMAPPED;
	memcpy(buffer, x->bytes + rva, length);
	return FAULT_NONE;
}

START_TEST(executables)
{
	bool wide = _i;
	struct executable_spec spec = {
		.name = "some.dll", .is_64bit = wide, .dll = true, .base = 0x10000000, .seed = 7, .version = "1.2.3.4", .company = "Somebody",
		.guid_age = "00112233445566778899AABBCCDDEEFF2", .exports = (const char *const[]){ "Zeta", "Alpha", NULL },
		.imports = (const char *const[]){ "a.dll!One", "a.dll!Two", "b.dll!Three", NULL },
	};
	struct executable *x = executable_create(&spec);
	struct pe_source source = { x, read_executable };
	struct pe *pe = pe_open(&source, 0x10000000, 0);
	enum fault fault;

	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert_uint_eq(pe->damage, 0);
	ck_assert_int_eq(pe->is_64bit, wide);
	ck_assert_uint_eq(pe->size_of_image, x->size);
	ck_assert_uint_eq(pe->timestamp, x->timestamp);
	const GArray *exports = pe_exports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(exports->len, 2);
	ck_assert_str_eq(g_array_index(exports, struct pe_export, 0).name, "Alpha");
	ck_assert_uint_eq(g_array_index(exports, struct pe_export, 1).rva, executable_export(x, "Zeta"));
	ck_assert_uint_eq(executable_export(x, "Beta"), 0);
	const struct pe_debug *debug = pe_codeview(pe, &fault);
	ck_assert_ptr_nonnull(debug);
	ck_assert_str_eq(debug->guid_age, spec.guid_age);
	ck_assert_str_eq(debug->pdb_name, "some.pdb");
	ck_assert_uint_eq(x->imports->len, 3);
	ck_assert_uint_eq(x->import_table_size, 5 * (wide ? 8u : 4u));
	pe_close(pe);
	executable_destroy(x);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("samples");
	TCase *description = tcase_create("description"), *machine = tcase_create("machine");

	tcase_add_test(description, description_words);
	tcase_add_test(description, description_times);
	tcase_add_loop_test(description, description_wrong, 0, G_N_ELEMENTS(wrong));
	tcase_add_loop_exit_test(description, description_refused, 1, 0, G_N_ELEMENTS(refused));
	tcase_add_loop_test(machine, frames_are_scattered, 4, 6);
	tcase_add_test(machine, same_again);
	tcase_add_loop_test(machine, read_back, 0, 4);
	tcase_add_loop_test(machine, executables, 0, 2);
	suite_add_tcase(suite, description);
	suite_add_tcase(suite, machine);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
