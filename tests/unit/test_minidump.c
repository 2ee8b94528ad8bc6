/* SPDX-License-Identifier: Apache-2.0 */
/* User-mode minidumps. */
#include "format_checks.h"
#include "limit.h"

START_TEST(minidump_names)
{
	uint64_t *most = &limit_values[LIMIT_minidump_names], before = *most;

	*most = 1;
	struct image *image = opened(sample_minidump());
	*most = before;
	ck_assert(image_limit_note(image) && strstr(image_limit_note(image), "names"));
	const struct minidump_module *module = &g_array_index(image->minidump->modules, struct minidump_module, 0);
	ck_assert(module->name && !module->pdb_name);
	image_close(image);
}
END_TEST

START_TEST(minidump)
{
	struct image *image = opened(sample_minidump());
	const struct image_minidump *m = image->minidump;
	uint64_t value;
	GByteArray *a;

	ck_assert(m != NULL);
	ck_assert_str_eq(image->facts.format, "minidump");
	ck_assert_uint_eq(image->notes->len, 0);
	ck_assert_int_eq(image->facts.architecture, ARCH_X64);
	ck_assert_uint_eq(image->facts.os_build, 19041);
	ck_assert_uint_eq(image->facts.exception_code, 0xc0000005);
	ck_assert_uint_eq(image->facts.instruction_pointer, 0x7ff612345678);
	ck_assert_uint_eq(m->pid, 4242);
	ck_assert_uint_eq(m->exception_tid, 4300);
	ck_assert_uint_eq(m->modules->len, 1);
	const struct minidump_module *module = &g_array_index(m->modules, struct minidump_module, 0);
	ck_assert_str_eq(module->name, "C:\\a.exe");
	ck_assert_uint_eq(module->base, 0x7ff600000000);
	ck_assert_uint_eq(module->file_version, UINT64_C(10) << 48 | 19041u << 16 | 5);
	ck_assert_str_eq(module->pdb_guid_age, "00112233445566778899AABBCCDDEEFF2");
	ck_assert_str_eq(module->pdb_name, "a.pdb");
	ck_assert_uint_eq(m->threads->len, 1);
	const struct minidump_thread *thread = &g_array_index(m->threads, struct minidump_thread, 0);
	ck_assert_uint_eq(thread->tid, 4300);
	ck_assert_uint_eq(thread->instruction_pointer, 0x7ff612345678);
	ck_assert_uint_eq(thread->stack_pointer, 0x1000ff8);
	ck_assert(thread->has_info);
	ck_assert_uint_eq(thread->start_address, 0x7ff600001000);
	ck_assert_uint_eq(m->regions->len, 1);
	const struct minidump_region *region = &g_array_index(m->regions, struct minidump_region, 0);
	ck_assert_uint_eq(region->size, 0x2000);
	ck_assert_uint_eq(region->protect, 0x40);
	ck_assert_uint_eq(m->handles->len, 1);
	const struct minidump_handle *handle = &g_array_index(m->handles, struct minidump_handle, 0);
	ck_assert_str_eq(handle->type, "File");
	ck_assert_str_eq(handle->name, "C:\\a.exe");
	ck_assert_uint_eq(handle->granted_access, 0x120089);
	ck_assert(!image_read_virtual(image, (va_t){ 0x11ff8 }, &value, 8));
	ck_assert_uint_eq(value, 0x11);
	ck_assert(!image_read_virtual(image, (va_t){ 0x30000 }, &value, 8));
	ck_assert_uint_eq(value, 0x30);
	ck_assert(image_read_virtual(image, (va_t){ 0x12000 }, &value, 8) == FAULT_NOT_IN_DUMP);
	image_close(image);

	a = sample_minidump();
	g_byte_array_set_size(a, a->len - PAGE_SIZE - 10);
	image = opened(a);
	ck_assert_uint_eq(image->bytes_missing, PAGE_SIZE + 10);
	image_close(image);
	put_le(a = sample_minidump(), 8, UINT32_MAX, 4);
	image = opened(a);
	ck_assert(noted(image, "NumberOfStreams"));
	ck_assert_uint_eq(image->minidump->modules->len, 1);
	image_close(image);
	put_le(a = sample_minidump(), 8, 1, 4);
	put_le(a, 32, 99, 4);	/* a stream of a type that nobody knows */
	image = opened(a);
	ck_assert(noted(image, "on what machine"));
	image_close(image);
	put_le(a = sample_minidump(), 4, 1, 4);
	refused("dump", a, "version at 0x4");
	put_le(a = sample_minidump(), 12, UINT32_MAX, 4);
	refused("dump", a, "StreamDirectoryRva at 0xc");

	a = sample_minidump();			/* of a 32-bit process: addresses are sign-extended */
	struct bytes all = { a->data, a->len, false };
	put_le(a, bytes_at(&all, 32 + 8, 4), 0, 2);
	for (size_t at = 0; at + 8 <= a->len; at++)
		if (bytes_at(&all, at, 8) == 0x7ff600000000)
			put_le(a, at, UINT64_C(0xffffffff90000000), 8);
	image = opened(a);
	ck_assert_int_eq(image->facts.architecture, ARCH_X86);
	ck_assert_uint_eq(g_array_index(image->minidump->modules, struct minidump_module, 0).base, 0x90000000);
	image_close(image);
}
END_TEST

/* What follows in the file is the minidump's stream of that type from now on. */
static void put_stream(GByteArray *a, uint32_t type, size_t from)
{
	for (size_t at = 32; at < 32 + 12 * 16; at += 12)
		if (a->data[at] == type) {
			put_le(a, at + 4, a->len - from, 4);
			put_le(a, at + 8, from, 4);
		}
}

/* What is said of threads, in an order that isn't theirs. */
START_TEST(minidump_threads)
{
	enum { THREADS = 200 };
	GByteArray *a = sample_minidump();
	size_t at = a->len;

	put_le(a, at, THREADS, 4);
	put_le(a, at + 4 + THREADS * 48 - 1, 0, 1);
	for (unsigned i = 0; i < THREADS; i++)
		put_le(a, at + 4 + i * 48, 1000 + 4 * i, 4);
	put_stream(a, 3, at);
	at = a->len;
	put_le(a, at, 12, 4);
	put_le(a, at + 4, 64, 4);
	put_le(a, at + 8, THREADS, 4);
	put_le(a, at + 12 + THREADS * 64 - 1, 0, 1);
	for (unsigned i = 0; i < THREADS; i++) {
		put_le(a, at + 12 + i * 64, 1000 + 4 * (THREADS - 1 - i), 4);
		put_le(a, at + 12 + i * 64 + 0x30, 0x10000 + (THREADS - 1 - i), 8);
	}
	put_stream(a, 17, at);
	struct image *image = opened(a);
	ck_assert_uint_eq(image->minidump->threads->len, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		const struct minidump_thread *thread = &g_array_index(image->minidump->threads, struct minidump_thread, i);
		ck_assert_uint_eq(thread->tid, 1000 + 4 * i);
		ck_assert(thread->has_info);
		ck_assert_uint_eq(thread->start_address, 0x10000 + i);
	}
	image_close(image);
}
END_TEST

int main(void)
{
	const struct test_case cases[] = {
		{ "minidump", minidump }, { "minidump names", minidump_names }, { "minidump threads", minidump_threads },
	};

	return run_cases("minidump", cases, G_N_ELEMENTS(cases));
}
