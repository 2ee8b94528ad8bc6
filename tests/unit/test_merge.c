/* SPDX-License-Identifier: Apache-2.0 */
/* Merging cases made by hand: references of every kind, ids at the ends of their range, inputs that lie. */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
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
	ck_value(out, "SELECT row_id FROM diagnostics WHERE table_name = 'nowhere'", "(none)");	/* no row of ours becomes it */
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

/* Whose holes are too large has no hash, and is finished all the same: nobody makes it go by claiming one. */
START_TEST(finished_stays)
{
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	static const char *const sparse[] = {
		"INSERT INTO dumps(path, size) VALUES ('b', 20)", "INSERT INTO processes(dump_id, pid) VALUES (1, 99)",
		"INSERT INTO runs(dump_id, finished_at) VALUES (1, NULL), (1, '2024-03-01T09:15:27Z')", NULL
	};

	make("sparse.db", sparse);
	make("two.db", two);
	struct store *out = begin("stays.db");
	ck_assert(add(out, "sparse.db", &r, &error) && r.dumps == 1);
	ck_assert(add(out, "two.db", &r, &error) && r.dumps == 1 && r.skipped == 1);
	ck_value(out, "SELECT group_concat(pid) FROM (SELECT pid FROM processes ORDER BY process_id)", "99,4");
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
	ck_assert(merge_add_one(out, path, "b", true, &r, &error) && r.dumps == 1 && r.skipped == 0);
	ck_assert(merge_check(out, &error));
	ck_value(out, "SELECT group_concat(path) FROM (SELECT path FROM dumps ORDER BY path)", "a,b");
	ck_value(out, "SELECT group_concat(pid) FROM (SELECT pid FROM processes ORDER BY pid)", "4,77,78");
	/* A successor that can't be taken leaves what there was. */
	ck_assert(!merge_add_one(out, bad, "b", true, &r, &error));
	ck_value(out, "SELECT group_concat(pid) FROM (SELECT pid FROM processes ORDER BY pid)", "4,77,78");
	store_close(out);
}
END_TEST

/* The case of one dump speaks of no other, whatever its columns take for equal. */
START_TEST(one_alone)
{
	static const char *const inputs[][4] = {
		{ "INSERT INTO dumps(path, size, sha256) VALUES ('c', 1, 'cc'), ('a', 10, 'a2')", NULL },
		{ "INSERT INTO dumps(path, size, sha256) VALUES ('a', 1, 'a2')", NULL },
		{ "INSERT INTO dumps(path, size, sha256) VALUES ('c', 1, 'cc'), (NULL, NULL, NULL)", NULL },
		{ "DROP TABLE dumps", "CREATE TABLE dumps(dump_id INTEGER PRIMARY KEY, path TEXT COLLATE NOCASE, size, sha256)",
		  "INSERT INTO dumps(path, size, sha256) VALUES ('C', 1, 'c2')", NULL },
	};
	static const char *const alone[] = {
		"INSERT INTO dumps(path, size, sha256) VALUES ('c', 1, 'cc')", "INSERT INTO failed_dumps(path, size) VALUES ('a', 10)", NULL
	};
	struct store *out = begin("alone.db");
	struct merge_result r;

	make("two.db", two);
	ck_assert(add(out, "two.db", &r, NULL) && r.dumps == 2);
	for (unsigned i = 0; i < G_N_ELEMENTS(inputs); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *name = g_strdup_printf("other%u.db", i), *path = path_of(name);
		make(name, inputs[i]);
		ck_assert_msg(!merge_add_one(out, path, "c", i % 2, &r, &error), "input %u", i);
		ck_assert_msg(strstr(error->message, "other dumps") != NULL, "%s", error->message);
		ck_value(out, "SELECT group_concat(sha256) FROM dumps", "aa,bb");
	}
	make("own.db", alone);
	g_autofree char *path = path_of("own.db");
	ck_assert(merge_add_one(out, path, "c", false, &r, NULL) && r.dumps == 1);
	ck_value(out, "SELECT count(*) FROM failed_dumps", "0");
	store_close(out);
}
END_TEST

/* All or nothing, whatever an input holds: nothing that would be said of rows that it didn't bring. */
START_TEST(lies)
{
#define DUMP(hash) "INSERT INTO dumps(dump_id, path, size, sha256) VALUES (1, 'a', 1, '" hash "')"
	static const struct { const char *statements[6], *refused; } inputs[] = {
		{ { "INSERT INTO dumps(dump_id, path, size, sha256) VALUES (9223372036854775807, 'a', 1, 'x1')", "INSERT INTO processes(process_id, dump_id)"
		    " VALUES (-9223372036854775807, 9223372036854775807), (9223372036854775807, 9223372036854775807)", NULL }, "merge_ids" },
		{ { DUMP("x2"), "INSERT INTO processes(process_id, dump_id) VALUES (1, 1), (2000000000000, 1)", NULL }, "merge_ids" },
		{ { DUMP("x3"), "INSERT INTO processes(dump_id) VALUES (2)", NULL }, "refers to a row" },
		{ { DUMP("x4"), "DROP VIEW v_processes", "DROP VIEW timeline", "DROP TABLE processes",
		    "CREATE TABLE processes(process_id INTEGER PRIMARY KEY, dump_id TEXT, pid TEXT)", NULL }, NULL },
		/* Keys that it doesn't declare: of the row before its first, and those before. */
		{ { DUMP("x5"), "DROP TABLE findings", "CREATE TABLE findings(finding_id INTEGER PRIMARY KEY, dump_id, process_id, title)",
		    "INSERT INTO findings VALUES (1, 0, NULL, 'planted')", NULL }, "refers to a row" },
		{ { DUMP("x6"), "DROP TABLE findings", "CREATE TABLE findings(finding_id INTEGER PRIMARY KEY, dump_id, process_id, title)",
		    "INSERT INTO findings VALUES (1, 1, -1, 'planted')", NULL }, "refers to a row" },
		{ { DUMP("x7"), "DROP TABLE findings", "CREATE TABLE findings(finding_id INTEGER PRIMARY KEY, dump_id, title)",
		    "INSERT INTO findings VALUES (1, '0 of them', 'planted')", NULL }, "refers to a row" },
		/* Not there at all; and rows that the next case might bring. */
		{ { DUMP("x8"), "DROP TABLE processes", "CREATE TABLE extra(process_id INTEGER REFERENCES processes)", "INSERT INTO extra VALUES (1)", NULL }, "refers to a row" },
		{ { DUMP("x9"), "DROP TABLE processes", "INSERT INTO modules(process_id) VALUES (1)", NULL }, "refers to a row" },
		{ { DUMP("xa"), "DROP TABLE modules", "CREATE TABLE modules(module_id INTEGER PRIMARY KEY, process_id)", "INSERT INTO modules VALUES (1, 2)", NULL }, "refers to a row" },
		/* In tables of others, too, whatever they declare. */
		{ { DUMP("xe"), "CREATE TABLE extra(process_id INTEGER, note)", "INSERT INTO extra VALUES (2, 'planted')", NULL }, "refers to a row" },
		{ { DUMP("xf"), "CREATE TABLE extra(DUMP_ID INTEGER REFERENCES extra, note)", "INSERT INTO extra VALUES (1, 'own')", "INSERT INTO extra VALUES (2, 'of the first row')", NULL }, "refers to a row" },
		/* Another column for the row's number. */
		{ { DUMP("xb"), "DROP TABLE findings", "CREATE TABLE findings(rowid TEXT, dump_id, title)", "INSERT INTO findings VALUES ('-1', 0, 'planted')", NULL }, "rowid" },
		{ { DUMP("xc"), "DROP TABLE findings", "CREATE VIEW findings AS SELECT 1 AS finding_id, 1 AS dump_id, 'planted' AS title", NULL }, "no table" },
		{ { DUMP("xd"), "ALTER TABLE dumps RENAME TO true_dumps", "CREATE VIEW DUMPS AS SELECT * FROM true_dumps", NULL }, "no table" },
	};
#undef DUMP
	struct store *out = begin("all.db");
	struct merge_result r;

	ck_assert(store_exec(out, NULL, "INSERT INTO dumps(path, size, sha256) VALUES ('own', 1, 'own')", NULL));
	ck_assert(store_exec(out, NULL, "INSERT INTO processes(dump_id, pid) VALUES (1, 1), (1, 2), (1, 3)", NULL));
	g_autofree char *schema = value(out, "SELECT group_concat(sql) FROM sqlite_schema");
	for (size_t i = 0; i < G_N_ELEMENTS(inputs); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *name = g_strdup_printf("lie%u.db", (unsigned)i);
		make(name, inputs[i].statements);
		bool ok = add(out, name, &r, &error);
		ck_assert_msg(ok == !inputs[i].refused, "input %u: %s", (unsigned)i, error ? error->message : "was merged");
		ck_assert_msg(ok || strstr(error->message, inputs[i].refused), "input %u: %s", (unsigned)i, error ? error->message : "");
		ck_assert(merge_check(out, NULL));
		ck_value(out, "SELECT count(*) FROM processes", "3");
		ck_value(out, "SELECT (SELECT count(*) FROM findings) + (SELECT count(*) FROM modules)", "0");
		ck_value(out, "SELECT group_concat(sql) FROM sqlite_schema", schema);
	}
	ck_value(out, "SELECT sha256 FROM dumps WHERE path = 'own'", "own");
	store_close(out);
}
END_TEST

/* A dump that is taken, with a row that refers to a process of one that isn't. */
START_TEST(skipped)
{
	static const char *const there[] = { "INSERT INTO dumps(path, size, sha256) VALUES ('elsewhere', 20, 'bb')", NULL };
	static const char *const leans[] = {
		"INSERT INTO dumps(dump_id, path, size, sha256) VALUES (5, 'a', 10, 'aa'), (9, 'b', 20, 'bb')",
		"INSERT INTO processes(process_id, dump_id, pid) VALUES (7, 5, 4), (8, 9, 4)",
		"INSERT INTO findings(dump_id, process_id, title) VALUES (5, 8, 'f')", NULL
	};
	static const char *const points[] = {
		"INSERT INTO dumps(dump_id, path, size, sha256) VALUES (5, 'a', 10, 'aa'), (9, 'b', 20, 'bb')",
		"INSERT INTO processes(process_id, dump_id, pid) VALUES (7, 5, 4), (8, 9, 4)",
		"INSERT INTO diagnostics(dump_id, table_name, row_id) VALUES (5, 'processes', 8), (5, 'processes', 0), (5, 'dumps', 4), (5, 'processes', 7)", NULL
	};
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	struct store *out = begin("skipped.db");

	make("there.db", there);
	make("leans.db", leans);
	make("points.db", points);
	ck_assert(add(out, "there.db", &r, NULL) && r.dumps == 1);
	ck_assert(!add(out, "leans.db", &r, &error));
	ck_assert_msg(strstr(error->message, "row 1 of findings") != NULL, "%s", error->message);
	ck_value(out, "SELECT (SELECT count(*) FROM dumps) || ' ' || (SELECT count(*) FROM processes)", "1 0");
	/* What no declared reference says, it is only not believed. */
	ck_assert(add(out, "points.db", &r, NULL) && r.dumps == 1 && r.skipped == 1);
	ck_value(out, "SELECT count(*) || ' ' || group_concat(row_id) || ' ' || (SELECT process_id FROM processes) FROM diagnostics", "4 1 1");
	store_close(out);
}
END_TEST

/* What comes along of a schema is names and types: nothing in it is SQL that later analyses would run. */
START_TEST(schemas)
{
	static const char *const evil[] = {
		"DROP TABLE dumps",
		"CREATE TABLE dumps(dump_id INTEGER PRIMARY KEY, path, size, sha256, z \"INTEGER DEFAULT 1 REFERENCES dumps(dump_id) ON DELETE CASCADE\")",
		"INSERT INTO dumps(path, size, sha256) VALUES ('e', 1, 'ee')",
		"DROP TABLE runs",
		"CREATE TABLE runs(run_id INTEGER PRIMARY KEY, dump_id, newer VARCHAR, z \"INTEGER CHECK(dump_id < 2)\", text TEXT)",
		"CREATE TABLE x1(x1_id INTEGER PRIMARY KEY, a \"TEXT CHECK(0)\", b INTEGER DEFAULT (1 / 0) CHECK(b > 1), c AS (b + 1), d UNIQUE COLLATE NOCASE,"
		" process_id INTEGER REFERENCES processes(process_id), at INTEGER)",
		"CREATE INDEX i_x1 ON x1(hex(a)) WHERE a IS NOT NULL",
		"CREATE VIEW v_x1 AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x, iif(t.\"at\" IS NULL, NULL, printf('0x%x', t.\"at\")) AS \"at\" FROM c, x1 t",
		"CREATE VIEW v_other AS SELECT 1",
		"CREATE TRIGGER tr AFTER INSERT ON runs BEGIN DELETE FROM dumps; END",
		"INSERT INTO processes(dump_id, pid, name) VALUES (1, 44, 'p')",
		"INSERT INTO x1(x1_id, a, b, d, process_id, at) VALUES (9, 'a', 2, 'D', 1, -4096)", NULL
	};
	g_autoptr(GError) error = NULL;
	struct merge_result r;
	struct store *out = begin("schemas.db");
	g_autofree char *own = value(out, "SELECT count(*) FROM sqlite_schema");

	ck_assert(store_exec(out, NULL, "INSERT INTO dumps(path, size, sha256) VALUES ('own', 1, 'own')", NULL));
	make("evil.db", evil);
	ck_assert_msg(add(out, "evil.db", &r, &error) && r.dumps == 1, "%s", error ? error->message : "");
	ck_value(out, "SELECT group_concat(sql, '; ') FROM (SELECT sql FROM sqlite_schema WHERE name LIKE '%x1%' ORDER BY name)",
		 "CREATE INDEX \"i_x1_process_id\" ON \"x1\"(\"process_id\"); "
		 "CREATE VIEW \"v_x1\" AS SELECT t.\"x1_id\", t.\"a\", t.\"b\", t.\"d\", t.\"process_id\", iif(t.\"at\" IS NULL, NULL, printf('0x%x', t.\"at\")) AS \"at\","
		 " p.name AS process_name, p.pid AS process_pid, d.path AS dump_path FROM \"x1\" t LEFT JOIN processes p ON p.process_id = t.process_id"
		 " LEFT JOIN dumps d ON d.dump_id = p.dump_id; "
		 "CREATE TABLE \"x1\"(\"x1_id\" INTEGER PRIMARY KEY, \"a\" ANY, \"b\" INTEGER, \"d\" ANY,"
		 " \"process_id\" INTEGER REFERENCES \"processes\"(\"process_id\") ON DELETE CASCADE, \"at\" INTEGER) STRICT");
	g_autofree char *more = g_strdup_printf("SELECT count(*) - %s FROM sqlite_schema", own);
	ck_value(out, more, "3");
	ck_value(out, "SELECT group_concat(m.name || ' ' || c.name || ' ' || c.type) FROM sqlite_schema m, pragma_table_info(m.name) c"
		 " WHERE m.type = 'table' AND c.name IN ('z', 'newer', 'text')", "dumps z ANY,runs newer ANY,runs z ANY,runs text TEXT");
	ck_value(out, "SELECT at || ' ' || process_pid || ' ' || dump_path FROM v_x1", "0xfffffffffffff000 44 e");
	ck_assert(store_exec(out, NULL, "INSERT INTO runs(dump_id) VALUES (1), (2)", NULL));
	ck_assert(store_remove_dump(out, 2, NULL) && store_commit(out, NULL));
	ck_value(out, "SELECT group_concat(path) || (SELECT count(*) FROM runs) || (SELECT count(*) FROM x1) FROM dumps", "own10");
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
	tcase_add_test(tests, finished_stays);
	tcase_add_test(tests, replaced);
	tcase_add_test(tests, one_alone);
	tcase_add_test(tests, lies);
	tcase_add_test(tests, skipped);
	tcase_add_test(tests, schemas);
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
