/* SPDX-License-Identifier: Apache-2.0 */
/* Merging cases made by hand: references of every kind, ids at the ends of their range, inputs that lie. */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include "merge.h"

static char *folder;

static char *path_of(const char *name)
{
	return g_build_filename(folder, name, NULL);
}

static void make(const char *name, const char *const *statements)
{
	g_autofree char *path = path_of(name);
	g_autoptr(GError) error = NULL;

	g_unlink(path);
	struct store *store = merge_open(path, &error);
	ck_assert_msg(store != NULL, "%s", error ? error->message : "");
	for (; *statements; statements++)
		ck_assert_msg(store_exec(store, &error, *statements, NULL), "%s: %s", *statements, error ? error->message : "");
	store_close(store);
}

static char *value(struct store *store, const char *sql)
{
	char *v = store_value(store, sql, NULL);

	return v ? v : g_strdup("(none)");
}

#define ck_value(store, sql, expected) do { \
		g_autofree char *v = value((store), (sql)); \
		ck_assert_str_eq(v, (expected)); \
	} while (0)

static bool add(struct store *out, const char *name, struct merge_result *result, GError **error)
{
	g_autofree char *path = path_of(name);

	return merge_add(out, path, result, error);
}

static struct store *begin(const char *name)
{
	g_autofree char *path = path_of(name);
	g_autoptr(GError) error = NULL;

	g_unlink(path);
	struct store *store = merge_open(path, &error);
	ck_assert(store != NULL);
	return store;
}

/* Two dumps; a process of each, with ids that have gaps; a tree of own rows; a row that has only a reference to a VAD. */
static const char *const two[] = {
	"INSERT INTO dumps(dump_id, path, size, sha256) VALUES (5, 'a', 10, 'aa'), (9, 'b', 20, 'bb')",
	"INSERT INTO processes(process_id, dump_id, pid, name) VALUES (7, 5, 4, 'System'), (70, 9, 4, 'System')",
	"INSERT INTO vads(vad_id, process_id, start_address) VALUES (3, 7, 4096), (30, 70, 8192)",
	"INSERT INTO images(image_id, dump_id, process_id, same_as, base) VALUES (2, 5, 7, NULL, 1), (4, 5, 7, 2, 2), (8, 9, 70, NULL, 3), (16, 9, NULL, 8, 4)",
	"INSERT INTO regions(process_id, vad_id, base_address) VALUES (7, 3, 1), (NULL, 30, 2), (70, NULL, 3)",
	"INSERT INTO diagnostics(dump_id, table_name, row_id, message) VALUES (5, 'vads', 3, 'x'), (9, 'vads', 30, 'y'), (9, NULL, NULL, 'z'), (9, 'nowhere', 77, 'n')",
	"INSERT INTO findings(dump_id, process_id, title) VALUES (9, 70, 'f')",
	NULL
};

START_TEST(references)
{
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	static const char *const first[] = {
		"INSERT INTO dumps(path, size, sha256) VALUES ('c', 1, 'cc')", "INSERT INTO processes(dump_id, pid) VALUES (1, 4), (1, 8)",
		"INSERT INTO vads(process_id, start_address) VALUES (2, 1)", NULL
	};

	make("first.db", first);
	make("two.db", two);
	struct store *out = begin("out.db");
	ck_assert(add(out, "first.db", &r, &error) && r.dumps == 1 && r.skipped == 0);
	ck_assert(add(out, "two.db", &r, &error) && r.dumps == 2);
	ck_assert(merge_check(out, &error));
	ck_value(out, "SELECT group_concat(dump_id) FROM dumps", "1,2,6");	/* without a gap to ours; theirs stay */
	ck_value(out, "SELECT group_concat(d.sha256 || p.pid || v.start_address) FROM vads v JOIN processes p USING (process_id) JOIN dumps d USING (dump_id)"
		 " WHERE d.sha256 <> 'cc'", "aa44096,bb48192");
	ck_value(out, "SELECT group_concat(a.base || '-' || b.base) FROM images a JOIN images b ON b.image_id = a.same_as", "2-1,4-3");
	ck_value(out, "SELECT group_concat(g.message) FROM diagnostics g JOIN vads v ON v.vad_id = g.row_id AND g.table_name = 'vads' JOIN processes p"
		 " ON p.process_id = v.process_id WHERE p.dump_id = g.dump_id", "x,y");
	ck_value(out, "SELECT row_id FROM diagnostics WHERE table_name = 'nowhere'", "77");
	ck_value(out, "SELECT count(*) FROM regions", "3");
	store_close(out);
}
END_TEST

/* One of the two is there: the other comes with all that is its own, by whatever reference, and nothing else. */
START_TEST(one_of_two)
{
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	static const char *const there[] = { "INSERT INTO dumps(path, size, sha256) VALUES ('elsewhere', 10, 'aa')", NULL };

	make("there.db", there);
	make("two.db", two);
	struct store *out = begin("part.db");
	ck_assert(add(out, "there.db", &r, &error));
	ck_assert(add(out, "two.db", &r, &error) && r.dumps == 1 && r.skipped == 1);
	ck_assert(merge_check(out, &error));
	ck_value(out, "SELECT group_concat(sha256) FROM dumps", "aa,bb");
	ck_value(out, "SELECT count(*) || ' ' || (SELECT count(*) FROM vads) || ' ' || (SELECT count(*) FROM images) FROM processes", "1 1 2");
	ck_value(out, "SELECT group_concat(base_address) FROM regions", "2,3");
	ck_value(out, "SELECT group_concat(message) FROM diagnostics", "y,z,n");
	ck_assert(add(out, "two.db", &r, &error) && r.dumps == 0 && r.skipped == 2);
	ck_value(out, "SELECT count(*) FROM processes", "1");
	store_close(out);
}
END_TEST

START_TEST(unfinished_makes_room)
{
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	static const char *const begun[] = { "INSERT INTO dumps(path, size) VALUES ('b', 20)", "INSERT INTO processes(dump_id, pid) VALUES (1, 99)", NULL };

	make("begun.db", begun);
	make("two.db", two);
	struct store *out = begin("room.db");
	ck_assert(add(out, "begun.db", &r, &error) && r.dumps == 1);
	ck_assert(add(out, "two.db", &r, &error) && r.dumps == 2);
	ck_value(out, "SELECT group_concat(pid) FROM processes", "4,4");
	/* and never the other way round */
	ck_assert(add(out, "begun.db", &r, &error) && r.dumps == 0 && r.skipped == 1);
	store_close(out);
}
END_TEST

/* What is there of the same path goes in the transaction in which its successor comes, or stays with it. */
START_TEST(replaced)
{
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	static const char *const again[] = {
		"INSERT INTO dumps(dump_id, path, size, sha256) VALUES (3, 'b', 20, 'bb')",
		"INSERT INTO processes(dump_id, pid) VALUES (3, 77)", "INSERT INTO processes(dump_id, pid) VALUES (3, 78)", NULL
	};
	static const char *const torn[] = {
		"INSERT INTO dumps(dump_id, path, size, sha256) VALUES (1, 'b', 20, 'bb')", "PRAGMA foreign_keys=OFF",
		"INSERT INTO processes(dump_id, pid) VALUES (4711, 1)", NULL
	};

	make("two.db", two);
	make("again.db", again);
	make("torn.db", torn);
	struct store *out = begin("replaced.db");
	ck_assert(add(out, "two.db", &r, &error) && r.dumps == 2);
	g_autofree char *path = path_of("again.db"), *bad = path_of("torn.db");
	ck_assert(merge_replace(out, path, &r, &error) && r.dumps == 1 && r.skipped == 0);
	ck_assert(merge_check(out, &error));
	ck_value(out, "SELECT group_concat(path) FROM (SELECT path FROM dumps ORDER BY path)", "a,b");
	ck_value(out, "SELECT group_concat(pid) FROM (SELECT pid FROM processes ORDER BY pid)", "4,77,78");
	/* A successor that can't be taken leaves what there was. */
	ck_assert(!merge_replace(out, bad, &r, &error));
	ck_value(out, "SELECT group_concat(pid) FROM (SELECT pid FROM processes ORDER BY pid)", "4,77,78");
	store_close(out);
}
END_TEST

/* All or nothing, whatever an input holds. */
START_TEST(lies)
{
	static const char *const inputs[][6] = {
		{ "INSERT INTO dumps(dump_id, path, size, sha256) VALUES (9223372036854775807, 'a', 1, 'x1')", "INSERT INTO processes(process_id, dump_id)"
		  " VALUES (-9223372036854775807, 9223372036854775807), (9223372036854775807, 9223372036854775807)", NULL },
		{ "INSERT INTO dumps(path, size, sha256) VALUES ('a', 1, 'x2')", "INSERT INTO processes(dump_id) VALUES (2)", NULL },
		{ "INSERT INTO dumps(path, size, sha256) VALUES ('a', 1, 'x3')", "DROP VIEW v_processes", "DROP VIEW timeline", "DROP TABLE processes",
		  "CREATE TABLE processes(process_id INTEGER PRIMARY KEY, dump_id TEXT, pid TEXT); ", NULL },
	};
	struct store *out = begin("all.db");
	struct merge_result r;

	ck_assert(store_exec(out, NULL, "INSERT INTO dumps(path, size, sha256) VALUES ('own', 1, 'own')", NULL));
	for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *name = g_strdup_printf("lie%u.db", (unsigned)i);
		make(name, inputs[i]);
		bool ok = add(out, name, &r, &error);
		ck_assert_msg(ok == (error == NULL), "input %u", (unsigned)i);
		ck_assert_msg(i == 2 || !ok, "input %u was merged", (unsigned)i);
		ck_assert(merge_check(out, NULL));
		ck_value(out, "SELECT count(*) FROM processes", "0");
	}
	ck_value(out, "SELECT sha256 FROM dumps WHERE path = 'own'", "own");
	store_close(out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("merge");
	TCase *tests = tcase_create("merge");

	folder = g_dir_make_tmp("memsieve-merge-XXXXXX", NULL);
	tcase_add_test(tests, references);
	tcase_add_test(tests, one_of_two);
	tcase_add_test(tests, unfinished_makes_room);
	tcase_add_test(tests, replaced);
	tcase_add_test(tests, lies);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir)); ) {
		g_autofree char *path = path_of(name);
		g_unlink(path);
	}
	g_rmdir(folder);
	g_free(folder);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
