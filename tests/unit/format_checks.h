/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the readers share: a folder to put dumps into, and questions to an opened one. */
#ifndef MEMSIEVE_FORMAT_CHECKS_H
#define MEMSIEVE_FORMAT_CHECKS_H
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "format_samples.h"
#include "image.h"

static char *folder;

static char *path_of(const char *name)
{
	return g_build_filename(folder, name, NULL);
}

/* Takes the data. */
static void write_as(const char *name, GByteArray *data)
{
	g_autofree char *path = path_of(name);

	ck_assert(g_file_set_contents(path, (const char *)data->data, data->len, NULL));
	g_byte_array_unref(data);
}

static struct image *open_as(const char *name, GByteArray *data)
{
	g_autofree char *path = path_of(name);
	GError *error = NULL;

	write_as(name, data);
	struct image *image = image_open(path, false, &error);
	ck_assert_msg(image != NULL, "%s: %s", name, error ? error->message : "no message");
	ck_assert(!error);
	return image;
}

static struct image *opened(GByteArray *data)
{
	return open_as("dump", data);
}

static void refused(const char *name, GByteArray *data, const char *word)
{
	g_autofree char *path = path_of(name);
	g_autoptr(GError) error = NULL;

	write_as(name, data);
	struct image *image = image_open(path, false, &error);
	ck_assert_msg(!image && error, "%s was opened", name);
	ck_assert_msg(strstr(error->message, word) != NULL, "\"%s\" lacks \"%s\"", error->message, word);
}

static void has_page(struct image *image, uint64_t pfn, uint64_t value)
{
	uint8_t scratch[PAGE_SIZE];
	const uint8_t *page = image_page(image, (pa_t){ pfn * PAGE_SIZE + 5 }, scratch);
	uint64_t first, last, read;

	ck_assert_msg(page != NULL, "page 0x%lx is absent", (unsigned long)pfn);
	memcpy(&first, page, 8);
	memcpy(&last, page + PAGE_SIZE - 8, 8);
	ck_assert_uint_eq(first, value);
	ck_assert_uint_eq(last, value);
	ck_assert(!image_read(image, (pa_t){ pfn * PAGE_SIZE + 8 }, &read, 8));
	ck_assert_uint_eq(read, value);
}

static void lacks_page(struct image *image, uint64_t pfn)
{
	uint8_t scratch[PAGE_SIZE];

	ck_assert(!image_page(image, (pa_t){ pfn * PAGE_SIZE }, scratch));
	ck_assert(image_read(image, (pa_t){ pfn * PAGE_SIZE }, scratch, 1) == FAULT_NOT_IN_DUMP);
}

/* Are exactly these ranges there? Pairs of first page and pages. */
static void has_ranges(struct image *image, const uint64_t *pairs, unsigned n)
{
	struct range r;
	pa_t at = { 0 };
	uint64_t present = 0;

	for (unsigned i = 0; i < n; i++) {
		ck_assert(image_next_range(image, at, &r));
		ck_assert_uint_eq(r.start, pairs[2 * i] * PAGE_SIZE);
		ck_assert_uint_eq(r.length, pairs[2 * i + 1] * PAGE_SIZE);
		at.v = r.start + r.length;
		present += r.length;
	}
	ck_assert(!image_next_range(image, at, &r));
	ck_assert_uint_eq(image->bytes_present, present);
}
#define HAS_RANGES(image, ...) do { static const uint64_t p_[] = { __VA_ARGS__ }; \
	has_ranges(image, p_, G_N_ELEMENTS(p_) / 2); } while (0)

static bool noted(const struct image *image, const char *word)
{
	for (guint i = 0; i < image->notes->len; i++)
		if (strstr(((struct image_note *)g_ptr_array_index(image->notes, i))->message, word))
			return true;
	return false;
}

G_GNUC_UNUSED static bool all_harmless(const struct image *image)
{
	bool harmless = image->notes->len > 0;

	for (guint i = 0; i < image->notes->len; i++)
		harmless &= ((struct image_note *)g_ptr_array_index(image->notes, i))->harmless;
	return harmless;
}

/* Pages 1, 2 and 8, as the crash dump samples have them. */
G_GNUC_UNUSED static void has_128(struct image *image)
{
	HAS_RANGES(image, 1, 2, 8, 1);
	has_page(image, 1, 1);
	has_page(image, 2, 2);
	has_page(image, 8, 8);
	lacks_page(image, 0);
	lacks_page(image, 3);
	lacks_page(image, 9);
}

/* The most that this process has had of it so far, in bytes. */
G_GNUC_UNUSED static size_t most_memory(void)
{
	struct rusage usage;

	ck_assert(!getrusage(RUSAGE_SELF, &usage));
	return (size_t)usage.ru_maxrss * 1024;
}

struct test_case { const char *name; const TTest *test; };

/* Run the cases, each in a process of its own, in a new folder that is removed after. The exit status. */
static int run_cases(const char *suite_name, const struct test_case *cases, size_t n)
{
	folder = g_dir_make_tmp("memsieve-XXXXXX", NULL);
	if (!folder)
		return EXIT_FAILURE;
	Suite *suite = suite_create(suite_name);
	for (size_t i = 0; i < n; i++) {
		TCase *tcase = tcase_create(cases[i].name);
		tcase_set_timeout(tcase, 120);
		tcase_add_test(tcase, cases[i].test);
		suite_add_tcase(suite, tcase);
	}
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	GDir *dir = g_dir_open(folder, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir)); ) {
		g_autofree char *path = path_of(name);
		g_unlink(path);
	}
	if (dir)
		g_dir_close(dir);
	g_rmdir(folder);
	g_free(folder);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
#endif
