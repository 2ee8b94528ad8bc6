/* SPDX-License-Identifier: Apache-2.0 */
/* What attacks on the core have found, each kept from coming back; and the limits. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "limit.h"
#include "rules.h"
#include "space.h"
#include "store.h"
#include "text.h"

#define PAGES 16
#define K UINT64_C(0xffff800000000000)

static uint8_t memory[PAGES][PAGE_SIZE];
static struct image image;
static struct file file;

static void put(unsigned page, unsigned index, uint64_t value)
{
	memcpy(memory[page] + 8 * index, &value, 8);
}

static void setup(void)
{
	extern const struct format format_raw;
	struct segment all = { 0, sizeof(memory), 0 };

	memset(memory, 0, sizeof(memory));
	file = (struct file){ .path = (char *)"memory", .fd = -1, .map = memory[0], .size = sizeof(memory) };
	image = (struct image){ .file = &file, .container = &file, .format = &format_raw, .bytes_present = sizeof(memory) };
	image.segments = g_array_new(FALSE, FALSE, sizeof(struct segment));
	g_array_append_val(image.segments, all);
}

static void teardown(void)
{
	g_array_free(image.segments, TRUE);
}

/* A prototype PTE that lies on the page whose entry names it sent one reader into the next without end. */
START_TEST(prototype_in_itself)
{
	AUTO(space) space = space_create(&image, NULL, PAGING_X64, (pa_t){ PAGE_SIZE });
	struct page page;
	uint64_t value;

	put(1, 256, 2 * PAGE_SIZE | 3);
	put(2, 0, 3 * PAGE_SIZE | 3);
	put(3, 0, 4 * PAGE_SIZE | 3);
	put(4, 0, K << 16 | 1 << 10);			/* the prototype PTE is at K … */
	put(4, 1, (K + PAGE_SIZE) << 16 | 1 << 10);
	ck_assert_int_ne(space_page(space, (va_t){ K }, &page), FAULT_NONE);	/* … where this very entry leads */
	ck_assert_int_eq(page.state, PAGE_UNKNOWN);
	ck_assert_int_ne(space_read(space, (va_t){ K + PAGE_SIZE }, &value, 8, NULL), FAULT_NONE);
	ck_assert(!space->following);
}
END_TEST

/* One page table that names itself at every level has 2^36 pages. */
START_TEST(endless_pages)
{
	AUTO(space) space = space_create(&image, NULL, PAGING_X64, (pa_t){ PAGE_SIZE });
	va_t cursor = { 0 }, last = { UINT64_MAX };
	struct page page;
	uint64_t n = 0;

	for (unsigned i = 0; i < 512; i++)
		put(1, i, PAGE_SIZE | 0x67);
	while (space_next_page(space, &cursor, last, &page))
		ck_assert_uint_lt(++n, 2 * limit(walk_steps));
	ck_assert(space->exhausted);
	ck_assert_uint_gt(n, limit(walk_steps) / 2);
	space_refill(space);
	ck_assert(space_next_page(space, &(va_t){ 0 }, last, &page));
	int stop = 1;	/* told to end: there is no next one */
	space->stop = &stop;
	ck_assert(!space_next_page(space, &(va_t){ 0 }, last, &page));
	ck_assert(space->exhausted);
}
END_TEST

/* Tables upon tables without a page in them, and large pages that claim all there is. */
START_TEST(endless_tables)
{
	AUTO(space) space = space_create(&image, NULL, PAGING_X64, (pa_t){ PAGE_SIZE });
	va_t cursor = { 0 };
	struct page page;

	for (unsigned i = 0; i < 512; i++) {
		put(1, i, 2 * PAGE_SIZE | 0x67);
		put(2, i, 3 * PAGE_SIZE | 0x67);
		put(3, i, 4 * PAGE_SIZE | 0x67);
	}
	ck_assert(!space_next_page(space, &cursor, (va_t){ UINT64_MAX }, &page));
	ck_assert(space->exhausted);
	for (unsigned i = 0; i < 512; i++)
		put(2, i, (uint64_t)i << 30 | 0xe7);	/* 1 GiB each */
	space_refill(space);
	uint64_t n = 0;
	for (cursor.v = 0; space_next_page(space, &cursor, (va_t){ UINT64_MAX }, &page); n++)
		ck_assert_uint_eq(page.size, UINT64_C(1) << 30);
	ck_assert_uint_le(n, 2);	/* a GiB counts as its 262144 pages */
	ck_assert(!space_spend(space, 1));
}
END_TEST

/* The last byte of a text that promises more led past its end. */
START_TEST(text_cut_short)
{
	static const char *const cut[] = { "\xf0", "a\xe2\x80", "\xc3", "\xf0\x9f\x98", "ok\xff" };

	for (size_t i = 0; i < G_N_ELEMENTS(cut); i++) {
		g_autofree char *tight = g_strdup(cut[i]), *shown = text_escape(tight);
		ck_assert(g_utf8_validate(shown, -1, NULL));
		ck_assert(g_str_has_suffix(shown, cut[i][strlen(cut[i]) - 1] == '\xff' ? "ff" : "") && strstr(shown, "\\x"));
	}
	g_autofree char *nothing = text_from_bytes(NULL, 0), *lines = text_escape_lines("a\tb\n\x1b[2J\xe2\x80\xae");
	ck_assert_str_eq(nothing, "");
	ck_assert_str_eq(lines, "a\tb\n\\x1b[2J\\u202e");
	g_autofree char *plain = text_escape("\x1b]0;x\x07 \xe2\x80\xae" "exe \xd8\x9c caf\xc3\xa9");
	ck_assert_str_eq(plain, "\\x1b]0;x\\x07 \\u202eexe \\u061c caf\xc3\xa9");
}
END_TEST

/* ---- the case */

enum { P_DUMP, P_PID };
static const struct table processes = {
	.name = "processes", .key = "process_id", .doc = "", .columns = { { "dump_id", COL_DUMP, "" }, { "pid", COL_INT, "" }, },
};
static const struct table parents = {
	.name = "parents", .key = "parent_id", .doc = "", .columns = { { "process_id", COL_PROCESS, "" }, { "value", COL_INT, "" } },
};
static const struct table texts = {
	.name = "texts", .doc = "made for the test", .columns = { { "text", COL_TEXT, "" } },
};
static const struct table children = {
	.name = "children", .doc = "",
	.columns = { { "process_id", COL_PROCESS, "" }, { "parent_id", COL_REF, "", "parents" }, { "value", COL_INT, "" } },
};

static char *store_path(void)
{
	return g_strdup_printf("%s/memsieve-hostile-%d.db", g_get_tmp_dir(), (int)getpid());
}

static void close_store(struct store *store)
{
	g_autofree char *path = store_path();

	store_close(store);
	(void)unlink(path);
}

static struct store *open_store(void)
{
	g_autofree char *path = store_path();
	struct store *store = store_open(path, NULL, NULL);

	ck_assert(store && store_declare(store, &processes, NULL) && store_declare(store, &parents, NULL) && store_declare(store, &children, NULL));
	ck_assert(store_exec(store, NULL, "INSERT INTO dumps(dump_id, path) VALUES (1, 'x')", NULL) &&
		  store_exec(store, NULL, "INSERT INTO processes(process_id, dump_id) VALUES (1, 1), (2, 1)", NULL));
	store_set_dump(store, 1);
	return store;
}

static void ck_value(struct store *store, const char *sql, const char *expected)
{
	g_autofree char *value = store_value(store, sql, NULL);

	ck_assert_str_eq(value ? value : "(null)", expected);
}

static void write_family(struct store *store, struct process *process, int64_t limit_rows, int64_t n)
{
	struct rows *rows = rows_create();
	int64_t written = 0, faults[FAULTS] = { 0 };

	rows->limit = limit_rows;
	/* As regions come before the VAD that they refer to. */
	for (int64_t i = 0; i < n; i++) {
		struct row *child = rows_add(rows, &children, process);
		row_ref(child, 1, i);
		row_int(child, 2, 100 * process->id + i);
		row_int(rows_add(rows, &parents, process), 1, 100 * process->id + i);
	}
	rows_note_dropped(rows, process);
	ck_assert(store_write(store, rows, "test", &written, faults, NULL));
	ck_assert_int_eq(faults[FAULT_LIMIT], limit_rows && limit_rows < n);
	rows_destroy(rows);
}

/* A reference may be written before its row; the first of each process led to another process's row. */
START_TEST(references_ahead)
{
	struct store *store = open_store();
	struct process *a = process_create(), *b = process_create();

	a->id = 1;
	b->id = 2;
	write_family(store, a, 0, 3);
	write_family(store, b, 0, 2);
	ck_value(store, "SELECT count(*) FROM children c JOIN parents p USING (parent_id) WHERE c.value = p.value AND c.process_id = p.process_id", "5");
	process_destroy(a);
	process_destroy(b);
	close_store(store);
}
END_TEST

/* A million handles of one object with the longest name: few rows by number, gigabytes by size. */
START_TEST(rows_of_long_texts)
{
	struct rows *rows = rows_create();
	g_autofree char *text = g_strnfill(65535, 'x');
	unsigned made = 0;

	rows->byte_limit = 1 << 20;
	for (int i = 0; i < 1000; i++)
		row_text(rows_add(rows, &texts, NULL), 0, text);
	for (int i = 0; i < 1000; i++)
		rows_note(rows, FAULT_PAGED_OUT, (va_t){ 0 }, NULL, "texts", g_strdup("more of it"));
	for (guint i = 0; i < rows->rows->len; i++)
		made += strlen(((struct row *)g_ptr_array_index(rows->rows, i))->cells[0].text) == 65535;
	ck_assert_uint_eq(made, rows->rows->len);
	ck_assert_uint_ge(made, 15);
	ck_assert_uint_le(made, 17);
	ck_assert_uint_eq(rows->notes->len, 0);
	rows_note_dropped(rows, NULL);
	ck_assert_uint_eq(rows->notes->len, 1);
	ck_assert_int_eq(((struct note *)g_ptr_array_index(rows->notes, 0))->fault, FAULT_LIMIT);
	rows_clear(rows);
	ck_assert_uint_eq(rows->bytes, 0);
	rows_destroy(rows);
}
END_TEST

/* Rows above the limit are dropped; what refers to them says nothing instead of something wrong. */
START_TEST(rows_dropped)
{
	struct store *store = open_store();
	struct process *a = process_create();

	a->id = 1;
	write_family(store, a, 2, 5);
	ck_value(store, "SELECT count(*) FROM parents", "2");
	ck_value(store, "SELECT count(*) FROM children", "2");
	struct rows *rows = rows_create();
	int64_t written = 0, faults[FAULTS] = { 0 };
	row_ref(rows_add(rows, &children, a), 1, 4);
	struct process *none = process_create();	/* whose own rows were lost */
	none->id = 2;
	row_ref(rows_add(rows, &children, none), 1, 0);
	ck_assert(store_write(store, rows, "test", &written, faults, NULL));
	rows_destroy(rows);
	ck_value(store, "SELECT count(*) FROM children WHERE parent_id IS NULL", "2");
	ck_value(store, "SELECT count(*) FROM pragma_foreign_key_check", "0");
	/* Another process's rows, where the dropped ones would have been, are not its. */
	struct process *b = process_create();
	b->id = 2;
	write_family(store, b, 0, 4);
	rows = rows_create();
	row_ref(rows_add(rows, &children, a), 1, 4);
	row_ref_of(rows_add(rows, &children, b), 1, a, 2);
	row_ref_of(rows_add(rows, &children, b), 1, a, 1);
	ck_assert(store_write(store, rows, "test", &written, faults, NULL));
	rows_destroy(rows);
	ck_value(store, "SELECT count(*) FROM children WHERE parent_id IS NULL", "4");
	ck_value(store, "SELECT p.value FROM children c JOIN parents p USING (parent_id) WHERE c.process_id <> p.process_id", "101");
	process_destroy(a);
	process_destroy(b);
	process_destroy(none);
	close_store(store);
}
END_TEST

static bool take_row(void *user, int n, const char *const *names, const char *const *values)
{
	(void)n, (void)names, (void)values;
	++*(unsigned *)user;
	return true;
}

/* A rule reads and computes: it ends no transaction, opens no file, and takes no longer than it may. */
START_TEST(rules_only_look)
{
	static const char *const bad[] = {
		"DELETE FROM dumps", "COMMIT", "ROLLBACK", "ATTACH 'x.db' AS x", "PRAGMA application_id = 1", "SELECT load_extension('x')",
		"SELECT 1; DROP TABLE dumps", "VACUUM INTO 'x.db'", "CREATE TEMP TABLE t(a)", "", "SELECT", "-- nothing", "EXPLAIN SELECT 1; COMMIT",
	};
	struct store *store = open_store();
	unsigned rows = 0;

	ck_assert(store_begin(store, NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		ck_assert_msg(!store_query(store, bad[i], 1, take_row, &rows, &error) && error, "'%s' is run", bad[i]);
	}
	ck_assert_uint_eq(rows, 0);
	ck_value(store, "SELECT count(*) FROM dumps", "1");
	ck_assert(store_query(store, "WITH x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x WHERE a < 5) SELECT upper(a) FROM x; -- end", 1, take_row, &rows, NULL));
	ck_assert_uint_eq(rows, 5);
	g_autoptr(GError) error = NULL;
	uint64_t usual = limit(rule_seconds);
	gint64 begun = g_get_monotonic_time();
	ck_assert(limit_set("rule_seconds=1", NULL));
	ck_assert(!store_query(store, "WITH x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x) SELECT count(*) FROM x", 1, take_row, &rows, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "more than 1 s"));
	ck_assert_int_lt(g_get_monotonic_time() - begun, 10 * G_USEC_PER_SEC);
	limit_values[LIMIT_rule_seconds] = usual;
	/* One that runs out of memory takes nothing along of what was written before it. */
	ck_assert(store_exec(store, NULL, "INSERT INTO failed_dumps(path) VALUES ('x')", NULL));
	ck_assert(!store_query(store, "SELECT hex(zeroblob(400000000))", 1, take_row, &rows, NULL));
	ck_assert(store_commit(store, NULL));
	ck_value(store, "SELECT count(*) FROM failed_dumps", "1");
	close_store(store);
}
END_TEST

/* Modules that lie within each other, share bases or have no size, against a look at each of them. */
START_TEST(modules_by_address)
{
	struct process *process = process_create();
	guint32 seed = 1;

	ck_assert_ptr_null(process_module_at(process, (va_t){ 0 }));
	for (unsigned round = 0; round < 200; round++) {
		g_array_set_size(process->modules, 0);
		for (unsigned i = 0; i < round % 24; i++) {
			uint64_t base = (seed = seed * 1664525 + 1013904223) >> 26, size = (seed = seed * 1664525 + 1013904223) >> 27;
			struct module m = { .base = round % 5 ? base : UINT64_MAX - base, .size = i == 7 ? UINT64_MAX : size };
			g_array_append_val(process->modules, m);
		}
		process_sort_modules(process);
		for (int at = -100; at < 120; at++) {
			uint64_t va = (uint64_t)(int64_t)at;
			const struct module *expected = NULL;
			for (guint i = 0; i < process->modules->len; i++) {
				const struct module *m = &g_array_index(process->modules, struct module, i);
				if (va >= m->base && va - m->base < m->size && (!expected || m->base > expected->base))
					expected = m;
			}
			ck_assert_ptr_eq(process_module_at(process, (va_t){ va }), expected);
		}
	}
	process_destroy(process);
}
END_TEST

START_TEST(limits)
{
	static const char *const bad[] = {
		"", "=", "vad_nodes", "vad_nodes=", "vad_nodes=0", "vad_nodes=-1", "vad_nodes=1x", "vad_nodes=1KK", "vad_node=1", "vad_nodess=1",
		"vad_nodes= 1", "vad_nodes=99999999999999999999", "vad_nodes=9000000000G",
	};
	uint64_t usual = limit(vad_nodes);

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		ck_assert_msg(!limit_set(bad[i], &error) && error, "'%s' is taken", bad[i]);
	}
	ck_assert_uint_eq(limit(vad_nodes), usual);
	ck_assert(limit_set("vad_nodes=3", NULL));
	ck_assert_uint_eq(limit(vad_nodes), 3);
	ck_assert(limit_set("vad_nodes=2K", NULL));
	ck_assert_uint_eq(limit(vad_nodes), 2048);
	limit_values[LIMIT_vad_nodes] = usual;
	for (unsigned i = 0; i < LIMITS; i++) {
		ck_assert_uint_eq(limit_infos[i].value, limit_values[i]);
		ck_assert(limit_infos[i].value && *limit_infos[i].unit && *limit_infos[i].what && *limit_infos[i].reason);
	}
	ck_assert_uint_eq(limit_for(plugin_seconds, UINT64_C(2) << 30), limit(plugin_seconds) + 2 * limit(plugin_seconds_gib));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hostile");
	TCase *memory_case = tcase_create("memory"), *case_case = tcase_create("case");

	tcase_add_checked_fixture(memory_case, setup, teardown);
	tcase_add_test(memory_case, prototype_in_itself);
	tcase_add_test(memory_case, endless_pages);
	tcase_add_test(memory_case, endless_tables);
	tcase_add_test(case_case, text_cut_short);
	tcase_add_test(case_case, references_ahead);
	tcase_add_test(case_case, rows_dropped);
	tcase_add_test(case_case, rows_of_long_texts);
	tcase_add_test(case_case, rules_only_look);
	tcase_add_test(case_case, limits);
	tcase_add_test(case_case, modules_by_address);
	tcase_set_timeout(memory_case, 60);
	tcase_set_timeout(case_case, 60);
	suite_add_tcase(suite, memory_case);
	suite_add_tcase(suite, case_case);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
