/* SPDX-License-Identifier: Apache-2.0 */
/* Declared tables, rows, references, diagnostics; the order of plugins; text; SQL rules. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "limit.h"
#include "pipeline.h"
#include "rules.h"
#include "text.h"

enum { A_DUMP, A_NAME, A_WHERE, A_WHEN };
static const struct table alphas = {
	.name = "alphas", .key = "alpha_id", .doc = "made for the test",
	.columns = {
		[A_DUMP] = { "dump_id", COL_DUMP, "" }, [A_NAME] = { "name", COL_TEXT, "" }, [A_WHERE] = { "address", COL_ADDRESS, "" },
		[A_WHEN] = { "at", COL_TIME, "" },
	},
};
enum { B_ALPHA, B_VALUE };
static const struct table betas = {
	.name = "betas", .doc = "refers to alphas",
	.columns = { [B_ALPHA] = { "alpha_id", COL_REF, "", "alphas" }, [B_VALUE] = { "value", COL_INT, "" } },
};

/* Core tables refer to it; a plugin owns it. */
static const struct table processes = {
	.name = "processes", .key = "process_id", .doc = "",
	.columns = { { "dump_id", COL_DUMP, "" }, { "pid", COL_INT, "" }, { "name", COL_TEXT, "" } },
};

static char *case_path;
static struct store *store;

static void setup(void)
{
	GError *error = NULL;

	case_path = g_strdup_printf("%s/memsieve-test-%d.db", g_get_tmp_dir(), (int)getpid());
	unlink(case_path);
	store = store_open(case_path, NULL, &error);
	ck_assert_msg(store != NULL, "%s", error ? error->message : "");
	ck_assert(store_declare(store, &processes, NULL) && store_declare(store, &alphas, NULL) && store_declare(store, &betas, NULL));
	ck_assert(store_exec(store, NULL, "INSERT INTO dumps(dump_id, path) VALUES (1, 'x.raw')", NULL));
	store_set_dump(store, 1);
}

static void teardown(void)
{
	store_close(store);
	unlink(case_path);
	g_free(case_path);
}

static void ck_value(const char *sql, const char *expected)
{
	g_autofree char *value = store_value(store, sql, NULL);

	if (expected)
		ck_assert_str_eq(value ? value : "(null)", expected);
	else
		ck_assert_ptr_null(value);
}

static void write_rows(void)
{
	struct rows *rows = rows_create();
	int64_t written = 0, faults[FAULTS] = { 0 };

	store_mark_base(store, &alphas);
	for (int i = 0; i < 20; i++) {
		struct row *row = rows_add(rows, &alphas, NULL);
		row_text(row, A_NAME, i ? "na\xffme" : NULL);
		row_address(row, A_WHERE, UINT64_C(0xfffff80012345000));
		row_time(row, A_WHEN, i ? UINT64_C(133511515429337618) : 0);
		row_fault(row, A_NAME, FAULT_PAGED_OUT, (va_t){ 0x1000 }, "_X.Name");
		struct row *other = rows_add(rows, &betas, NULL);
		row_ref(other, B_ALPHA, row_ordinal(row));
		row_int(other, B_VALUE, i);
	}
	ck_assert(store_write(store, rows, "test", &written, faults, NULL));
	ck_assert(store_end_plugin(store, "test", NULL));
	ck_assert_int_eq(written, 40);
	ck_assert_int_eq(faults[FAULT_PAGED_OUT], 20);
	ck_value("SELECT count(*) FROM betas JOIN alphas USING (alpha_id) WHERE dump_id = 1", "20");
	ck_value("SELECT address FROM v_alphas LIMIT 1", "0xfffff80012345000");
	ck_value("SELECT at FROM alphas WHERE alpha_id = 2", "2024-01-31T05:12:22.9337618Z");
	ck_value("SELECT at FROM alphas WHERE alpha_id = 1", NULL);
	/* The first few one by one, the rest counted. */
	ck_value("SELECT count(*) FROM diagnostics WHERE row_id IS NOT NULL", "9");
	ck_value("SELECT sum(occurrences) FROM diagnostics", "20");
	ck_value("SELECT fault FROM diagnostics LIMIT 1", "paged_out");
	ck_value("SELECT dump_path FROM v_betas LIMIT 1", "x.raw");
	rows_destroy(rows);
}

START_TEST(test_rows)
{
	write_rows();
}
END_TEST

/* A case that comes from elsewhere may have triggers. */
START_TEST(test_triggers)
{
	ck_assert(store_exec(store, NULL, "CREATE TRIGGER gone AFTER INSERT ON alphas BEGIN DELETE FROM dumps; END", NULL));
	ck_assert(store_exec(store, NULL, "INSERT INTO alphas(dump_id, name) VALUES (1, 'a')", NULL));
	ck_value("SELECT count(*) FROM dumps", "1");
}
END_TEST

START_TEST(test_remove_dump)
{
	write_rows();
	ck_assert(store_remove_dump(store, 1, NULL));
	/* Together with what follows, or not at all. */
	store_rollback(store);
	ck_value("SELECT count(*) FROM alphas", "20");
	ck_assert(store_begin(store, NULL) && store_remove_dump(store, 1, NULL));
	ck_assert(store_exec(store, NULL, "INSERT INTO dumps(dump_id, path) VALUES (2, 'y.raw')", NULL) && store_commit(store, NULL));
	ck_value("SELECT dump_id FROM dumps", "2");
	ck_assert(store_begin(store, NULL) && store_remove_dump(store, 2, NULL) && store_commit(store, NULL));
	ck_value("SELECT (SELECT count(*) FROM alphas) + (SELECT count(*) FROM betas) + (SELECT count(*) FROM diagnostics) + (SELECT count(*) FROM dumps)", "0");
}
END_TEST

START_TEST(test_not_a_case)
{
	g_autofree char *other = g_strconcat(case_path, ".txt", NULL);
	GError *error = NULL;

	ck_assert(g_file_set_contents(other, "no database at all, but long enough to be one", -1, NULL));
	ck_assert_ptr_null(store_open(other, NULL, &error));
	ck_assert_ptr_nonnull(error);
	g_clear_error(&error);
	g_autofree char *left = NULL;
	ck_assert(g_file_get_contents(other, &left, NULL, NULL));
	ck_assert_str_eq(left, "no database at all, but long enough to be one");
	unlink(other);
}
END_TEST

START_TEST(test_read_only_queries)
{
	GError *error = NULL;

	ck_assert(!store_query(store, "DELETE FROM dumps", 1, NULL, NULL, &error));
	ck_assert_ptr_nonnull(error);
	g_clear_error(&error);
	ck_value("SELECT count(*) FROM dumps", "1");
}
END_TEST

static bool run_nothing(struct context *c, GError **error)
{
	(void)c;
	(void)error;
	return true;
}

START_TEST(test_plugin_order)
{
	static const struct table t1 = { .name = "t1" }, t2 = { .name = "t2" };
	static const struct plugin last = { .name = "last", .needs = { "t1", "t2" }, .run = run_nothing },
		second = { .name = "second", .fills = { &t2 }, .needs = { "t1", "dumps" }, .run = run_nothing },
		first = { .name = "first", .fills = { &t1 }, .run = run_nothing },
		adder = { .name = "adder", .adds_to = { "t1" }, .run = run_nothing },
		cycle = { .name = "cycle", .fills = { &t1 }, .needs = { "t2" }, .run = run_nothing },
		unknown = { .name = "unknown", .needs = { "zzz" }, .run = run_nothing },
		neither = { .name = "neither", .fills = { &t1 } };
	const struct plugin *good[] = { &last, &second, &adder, &first }, *circle[] = { &cycle, &second }, *two[] = { &first, &cycle, &second },
		*missing[] = { &unknown }, *empty[] = { &neither };
	GError *error = NULL;

	g_autofree const struct plugin **sorted = plugin_order(good, 4, &error);
	ck_assert_ptr_nonnull(sorted);
	ck_assert_ptr_eq(sorted[3], &last);
	guint at_second = 0, at_first = 0, at_adder = 0;
	for (guint i = 0; i < 4; i++) {
		at_second = sorted[i] == &second ? i : at_second;
		at_first = sorted[i] == &first ? i : at_first;
		at_adder = sorted[i] == &adder ? i : at_adder;
	}
	ck_assert_uint_gt(at_second, at_first);
	ck_assert_uint_gt(at_second, at_adder);
	struct { const struct plugin **list; size_t n; const char *word; } bad[] = {
		{ circle, 2, "circle" }, { two, 3, "filled by" }, { missing, 1, "zzz" }, { empty, 1, "exactly one" },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		ck_assert_ptr_null(plugin_order(bad[i].list, bad[i].n, &error));
		ck_assert_ptr_nonnull(strstr(error->message, bad[i].word));
		g_clear_error(&error);
	}
}
END_TEST

START_TEST(test_text)
{
	static const uint8_t pair[] = { 0x3d, 0xd8, 0x00, 0xde, 'a', 0 }, lone[] = { 0x3d, 0xd8, 'b', 0, 0, 0, 'c', 0, 'd' };
	g_autofree char *a = text_from_utf16(pair, sizeof(pair), FALSE), *b = text_from_utf16(lone, sizeof(lone), FALSE),
		*c = text_from_utf16(lone, sizeof(lone), TRUE), *d = text_escape("a\x1b[31m\xe2\x80\xae\n"), *e = text_from_filetime(UINT64_MAX);

	ck_assert_str_eq(a, "\xf0\x9f\x98\x80" "a");
	ck_assert_str_eq(b, "\xef\xbf\xbd" "b\xef\xbf\xbd" "c");
	ck_assert_str_eq(c, "\xef\xbf\xbd" "b");
	ck_assert_str_eq(d, "a\\x1b[31m\\u202e\\x0a");
	ck_assert_ptr_null(e);
}
END_TEST

START_TEST(test_rules)
{
	g_autofree char *folder = g_dir_make_tmp("memsieve-rules-XXXXXX", NULL), *good = g_build_filename(folder, "good.sql", NULL),
		*bad = g_build_filename(folder, "bad.sql", NULL), *headless = g_build_filename(folder, "headless.sql", NULL);
	char *folders[] = { folder, NULL };
	struct options options = { .rules = folders, .no_builtin_rules = TRUE };
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	struct rows *rows = rows_create();
	GError *error = NULL;

	ck_assert(g_file_set_contents(good, "-- rule: good\n-- severity: low\n-- confidence: 7\n-- title: {name} at {address}\n"
		"SELECT 'n' AS name, 4096 AS address, 'high' AS severity, json_object('a', 1) AS detail", -1, NULL));
	ck_assert(g_file_set_contents(bad, "-- rule: bad\n-- severity: low\n-- title: t\nSELECT nothing FROM nowhere", -1, NULL));
	ck_assert(g_file_set_contents(headless, "SELECT 1", -1, NULL));
	g_autoptr(GPtrArray) rules = rules_load(&options, problems);
	ck_assert_uint_eq(rules->len, 2);
	ck_assert_uint_eq(problems->len, 1);
	ck_assert_ptr_nonnull(strstr(g_ptr_array_index(problems, 0), "headless.sql"));
	ck_assert(!rules_run(g_ptr_array_index(rules, 0), store, 1, NULL, rows, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "bad.sql"));
	g_clear_error(&error);
	ck_assert(rules_run(g_ptr_array_index(rules, 1), store, 1, NULL, rows, &error));
	int64_t written = 0, faults[FAULTS] = { 0 };
	ck_assert(store_write(store, rows, "findings", &written, faults, NULL));
	ck_value("SELECT title || severity || confidence FROM findings", "n at 0x1000high7");
	rows_destroy(rows);
	unlink(good);
	unlink(bad);
	unlink(headless);
	rmdir(folder);
}
END_TEST

/* The longest paths of a dump: the title is cut between characters, the detail stays JSON. */
START_TEST(test_finding_text)
{
	g_autofree char *file = g_strconcat(case_path, ".sql", NULL);
	char *files[] = { file, NULL };
	struct options options = { .rules = files, .no_builtin_rules = TRUE };
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	struct rows *rows = rows_create();
	int64_t written = 0, faults[FAULTS] = { 0 };

	limit_values[LIMIT_finding_text] = 64;
	ck_assert(g_file_set_contents(file, "-- rule: long\n-- severity: low\n-- title: {name}\n"
		"SELECT 1 AS address, printf('%63c', 'x') || 'éé' AS name, json_object('a', '\"},{', 'path', printf('%99c', '\\'), 'b', json_array(1, json_object('c', '[\\'))) AS detail "
		"UNION ALL SELECT 2, printf('%64c', 'x'), json_object('a', printf('%56c', 'y')) UNION ALL SELECT 3, 'x', json_array(printf('%64c', 'y'))", -1, NULL));
	g_autoptr(GPtrArray) rules = rules_load(&options, problems);
	ck_assert_uint_eq(rules->len, 1);
	ck_assert(rules_run(g_ptr_array_index(rules, 0), store, 1, NULL, rows, NULL));
	ck_assert(store_write(store, rows, "findings", &written, faults, NULL));
	ck_value("SELECT title = printf('%63c', 'x') || '…' FROM findings WHERE address = 1", "1");
	ck_value("SELECT detail FROM findings WHERE address = 1", "{\"a\":\"\\\"},{\",\"b\":[1,{\"c\":\"[\\\\\"}]}");
	ck_value("SELECT title = printf('%64c', 'x') AND length(detail) = 64 FROM findings WHERE address = 2", "1");
	ck_value("SELECT detail FROM findings WHERE address = 3", "{}");
	ck_value("SELECT count(*) FROM findings WHERE json_valid(detail)", "3");
	ck_value("SELECT count(*) FROM diagnostics d JOIN findings f ON f.finding_id = d.row_id WHERE d.fault = 'limit' AND d.message LIKE '%finding_text%'", "3");
	rows_destroy(rows);
	unlink(file);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store");
	TCase *t = tcase_create("store");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_rows);
	tcase_add_test(t, test_triggers);
	tcase_add_test(t, test_remove_dump);
	tcase_add_test(t, test_not_a_case);
	tcase_add_test(t, test_read_only_queries);
	tcase_add_test(t, test_plugin_order);
	tcase_add_test(t, test_text);
	tcase_add_test(t, test_rules);
	tcase_add_test(t, test_finding_text);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
