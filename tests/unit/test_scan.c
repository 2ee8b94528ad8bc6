/* SPDX-License-Identifier: Apache-2.0 */
/* YARA: rule files, regions with holes, limits, and that each shipped rule finds what it says. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <glib/gstdio.h>
#include "scan.h"

/* ---- rules from text */

static char *folder;

static void make_folder(void)
{
	folder = g_dir_make_tmp("scan-XXXXXX", NULL);
	ck_assert_ptr_nonnull(folder);
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);

	for (const char *name; dir && (name = g_dir_read_name(dir)); ) {
		g_autofree char *full = g_build_filename(path, name, NULL);
		if (g_file_test(full, G_FILE_TEST_IS_DIR))
			remove_tree(full);
		else
			g_unlink(full);
	}
	g_rmdir(path);
}

static void remove_folder(void)
{
	remove_tree(folder);
	g_clear_pointer(&folder, g_free);
}

static void put_file(const char *name, const char *text, gssize length)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *parent = g_path_get_dirname(path);

	ck_assert_int_eq(g_mkdir_with_parents(parent, 0700), 0);
	ck_assert(g_file_set_contents(path, text, length, NULL));
}

static struct scan_rules *compile(GPtrArray *problems)
{
	char *paths[] = { folder, NULL };
	struct options options = { .yara = paths, .no_builtin_rules = TRUE };
	GError *error = NULL;
	struct scan_rules *rules = scan_rules_create(&options, problems, &error);

	ck_assert_msg(rules, "%s", error ? error->message : "");
	return rules;
}

static struct scan_rules *compile_one(const char *text)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

	put_file("one.yar", text, -1);
	struct scan_rules *rules = compile(problems);
	ck_assert_msg(!problems->len, "%s", problems->len ? (char *)problems->pdata[0] : "");
	return rules;
}

/* ---- what was told */

struct told {
	char rule[64], ns[64], identifier[64], tags[128], meta[512];
	uint64_t address, length;
	uint8_t data[SCAN_DATA_MAX];
	size_t data_length;
};

static struct told told[8192];
static unsigned n_told;

static void remember(void *user, const struct scan_match *m)
{
	ck_assert_ptr_eq(user, told);
	ck_assert_uint_lt(n_told, G_N_ELEMENTS(told));
	ck_assert_uint_le(m->data_length, SCAN_DATA_MAX);
	struct told *t = &told[n_told++];
	g_strlcpy(t->rule, m->rule, sizeof(t->rule));
	g_strlcpy(t->ns, m->ns, sizeof(t->ns));
	g_strlcpy(t->identifier, m->identifier, sizeof(t->identifier));
	g_strlcpy(t->tags, m->tags, sizeof(t->tags));
	g_strlcpy(t->meta, m->meta, sizeof(t->meta));
	t->address = m->address;
	t->length = m->length;
	t->data_length = m->data_length;
	if (m->data_length)
		memcpy(t->data, m->data, m->data_length);
}

static struct scanner *begin(const struct scan_rules *rules, uint64_t base)
{
	struct scanner *s = scanner_create(rules);

	ck_assert_ptr_nonnull(s);
	n_told = 0;
	scanner_begin(s, base, remember, told);
	return s;
}

static bool was_told(const char *rule, uint64_t address)
{
	for (unsigned i = 0; i < n_told; i++)
		if (!strcmp(told[i].rule, rule) && told[i].address == address)
			return true;
	return false;
}

/* A page of `fill` with text at `at`; valid until the next call but one. */
static const uint8_t *page(uint8_t fill, size_t at, const char *text)
{
	static uint8_t pages[2][PAGE_SIZE];
	static unsigned turn;
	uint8_t *p = pages[turn++ & 1];

	memset(p, fill, PAGE_SIZE);
	memcpy(p + at, text, MIN(strlen(text), PAGE_SIZE - at));
	return p;
}

/* ---- rule files */

START_TEST(bad_files_are_left_out_by_name_and_line)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

	put_file("a_good.yar", "rule good { strings: $a = \"needle\" condition: $a }", -1);
	put_file("b_bad.yar", "rule bad {\n\tcondition:\n\t\t$missing }\n", -1);
	put_file("c_includes.yar", "include \"a_good.yar\"\nrule inc { condition: true }", -1);
	put_file("d_binary.yar", "rule x { condition: true }\0junk", 31);
	put_file("sub/a_good.yara", "rule good { strings: $a = \"needle\" condition: $a }", -1);
	put_file("ignored.txt", "no rule", -1);
	AUTO(scan_rules) rules = compile(problems);
	ck_assert_uint_eq(scan_rules_count(rules), 2);
	ck_assert_uint_eq(problems->len, 3);
	bool bad = false, includes = false, binary = false;
	for (guint i = 0; i < problems->len; i++) {
		const char *p = problems->pdata[i];
		bad |= strstr(p, "b_bad.yar:3: ") && strstr(p, "$missing");
		includes |= strstr(p, "c_includes.yar:1: ") && strstr(p, "include");
		binary |= strstr(p, "d_binary.yar") != NULL;
	}
	ck_assert(bad && includes && binary);
	AUTO(scanner) s = begin(rules, 0x10000);
	scanner_add(s, 0x10000, page('.', 100, "needle"), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, 2);
	ck_assert_str_eq(told[0].ns, "a_good");
	ck_assert_str_eq(told[1].ns, "a_good_2");	/* the same name in another folder */
}
END_TEST

START_TEST(folders_that_are_too_deep_are_told)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);

	put_file("1/2/3/4/5/6/7/8/last.yar", "rule last { condition: true }", -1);
	put_file("1/2/3/4/5/6/7/8/9/below.yar", "rule below { condition: true }", -1);
	AUTO(scan_rules) rules = compile(problems);
	ck_assert_uint_eq(scan_rules_count(rules), 1);
	ck_assert_uint_eq(problems->len, 1);
	ck_assert(strstr(problems->pdata[0], "/8/9: ") && strstr(problems->pdata[0], " 8 deep"));
}
END_TEST

START_TEST(no_rules_at_all)
{
	struct options options = { .no_builtin_rules = TRUE };
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	AUTO(scan_rules) rules = scan_rules_create(&options, problems, NULL);

	ck_assert_ptr_nonnull(rules);
	ck_assert_uint_eq(scan_rules_count(rules), 0);
	AUTO(scanner) s = begin(rules, 0);
	ck_assert_int_eq(scanner_scan(s, 0, "abc", 3, remember, told), FAULT_NONE);
	ck_assert_uint_eq(n_told, 0);
}
END_TEST

START_TEST(tags_and_metadata_are_json)
{
	AUTO(scan_rules) rules = compile_one(
		"rule facts : one two { meta: s = \"a \\\"b\\\"\" n = 7 t = true twice = \"x\" twice = \"y\" bad = \"\\xff!\""
		" condition: true }");
	AUTO(scanner) s = begin(rules, 0x5000);
	scanner_add(s, 0x7000, "data", 4);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, 1);
	ck_assert_str_eq(told[0].tags, "[\"one\",\"two\"]");
	json_t *meta = json_loads(told[0].meta, 0, NULL);
	ck_assert_ptr_nonnull(meta);
	ck_assert_str_eq(json_string_value(json_object_get(meta, "s")), "a \"b\"");
	ck_assert_int_eq(json_integer_value(json_object_get(meta, "n")), 7);
	ck_assert(json_is_true(json_object_get(meta, "t")));
	ck_assert_uint_eq(json_array_size(json_object_get(meta, "twice")), 2);
	ck_assert_str_eq(json_string_value(json_object_get(meta, "bad")), "\xef\xbf\xbd!");
	json_decref(meta);
	/* Without a string there is no place but where the memory begins. */
	ck_assert_str_eq(told[0].identifier, "");
	ck_assert_uint_eq(told[0].address, 0x7000);
	ck_assert_uint_eq(told[0].length, 0);
	ck_assert_uint_eq(told[0].data_length, 0);
}
END_TEST

/* ---- regions */

START_TEST(string_across_two_pages)
{
	AUTO(scan_rules) rules = compile_one("rule r { strings: $mark = \"MARK-ACROSS\" condition: $mark }");
	AUTO(scanner) s = begin(rules, 0x20000);

	scanner_add(s, 0x20000, page('.', PAGE_SIZE - 5, "MARK-"), PAGE_SIZE);
	scanner_add(s, 0x21000, page('.', 0, "ACROSS"), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, 1);
	ck_assert_uint_eq(told[0].address, 0x20ffb);
	ck_assert_uint_eq(told[0].length, 11);
	ck_assert_uint_eq(told[0].data_length, 11);
	ck_assert_mem_eq(told[0].data, "MARK-ACROSS", 11);
	ck_assert_str_eq(told[0].identifier, "$mark");
}
END_TEST

START_TEST(a_gap_is_no_bridge_and_no_zeros)
{
	AUTO(scan_rules) rules = compile_one(
		"rule bridge { strings: $a = \"MARK-ACROSS\" condition: $a }"
		"rule zeros { strings: $a = { 4D 41 52 4B 2D 00 } condition: $a }"
		"rule both { strings: $a = \"MARK-\" $b = \"ACROSS\" condition: $a and $b }"
		/* YARA searches the ends of a long jump by themselves: they must not meet over a gap. The
		 * second is as far into its pages as if it followed the first. */
		"rule jump { strings: $a = { 4D 41 52 4B 2D [300-8000] 41 43 52 4F 53 53 } condition: $a }");
	AUTO(scanner) s = begin(rules, 0x20000);

	scanner_add(s, 0x20000, page('.', PAGE_SIZE - 5, "MARK-"), PAGE_SIZE);
	scanner_add(s, 0x22000, page('.', 0, "ACROSS"), PAGE_SIZE);
	scanner_add(s, 0x23000, page('.', 2000, "ACROSS"), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, 3);
	ck_assert(was_told("both", 0x20ffb));
	ck_assert(was_told("both", 0x22000));
	ck_assert(was_told("both", 0x237d0));

	scanner_begin(s, 0x20000, remember, told);
	n_told = 0;
	scanner_add(s, 0x20000, page('.', PAGE_SIZE - 5, "MARK-"), PAGE_SIZE);
	scanner_add(s, 0x21000, page('.', 2000, "ACROSS"), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert(was_told("jump", 0x20ffb));
}
END_TEST

START_TEST(offsets_count_from_the_region)
{
	AUTO(scan_rules) rules = compile_one(
		"rule first { condition: uint32(0) == 0x21444e41 and uint16(0x3ffe) == 0x5a5a }"
		"rule last { strings: $a = \"ZZ\" condition: $a at 0x3ffe and filesize == 0x4000 }");
	/* The last pages there are: addresses must not wrap. */
	uint64_t base = UINT64_MAX - 0x3fff;
	AUTO(scanner) s = begin(rules, base);

	scanner_add(s, base, page('.', 0, "AND!"), PAGE_SIZE);
	scanner_add(s, base + 0x3000, page('.', PAGE_SIZE - 2, "ZZ"), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert(was_told("first", base));
	ck_assert(was_told("last", base + 0x3ffe));
	ck_assert_uint_eq(n_told, 2);
}
END_TEST

START_TEST(zeros_that_nothing_adjoins_are_skipped)
{
	AUTO(scan_rules) rules = compile_one(
		"rule always { condition: true } rule z { strings: $a = { 00 00 00 00 00 00 00 41 } condition: $a }");
	AUTO(scanner) s = begin(rules, 0x1000);

	scanner_add(s, 0x1000, page(0, 0, ""), PAGE_SIZE);
	scanner_add(s, 0x2000, page(0, 0, ""), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, 0);
	scanner_begin(s, 0x1000, remember, told);
	scanner_add(s, 0x1000, page(0, 0, ""), PAGE_SIZE);
	scanner_add(s, 0x3000, page(0, 0, ""), PAGE_SIZE);
	scanner_add(s, 0x4000, page('A', 0, ""), PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, 2);
	ck_assert(was_told("z", 0x3ff9));	/* zeros beside something count */
	ck_assert(was_told("always", 0x3000));
}
END_TEST

START_TEST(a_scanner_forgets_the_region_before)
{
	AUTO(scan_rules) rules = compile_one(
		"rule two { strings: $a = \"FIRST\" $b = \"SECOND\" condition: all of them }"
		"rule entry { condition: entrypoint >= 0 }");
	AUTO(scanner) s = begin(rules, 0);

	ck_assert_int_eq(scanner_scan(s, 0x1000, "FIRST", 5, remember, told), FAULT_NONE);
	ck_assert_int_eq(scanner_scan(s, 0x1000, "SECOND", 6, remember, told), FAULT_NONE);
	ck_assert_uint_eq(n_told, 0);
}
END_TEST

/* ---- limits */

START_TEST(parts_overlap_and_tell_once)
{
	AUTO(scan_rules) rules = compile_one("rule r { strings: $a = /MARK-[0-9]{4}/ condition: $a }");
	AUTO(scanner) s = begin(rules, 0x100000);
	uint64_t size = (uint64_t)SCAN_PART * 2 + 0x10000, base = 0x100000;
	/* In the middle, over the ends of the parts, in what they have in common, at its start, at the very end. */
	uint64_t second_end = SCAN_PART + (SCAN_PART - SCAN_OVERLAP);
	uint64_t at[] = { 0x345, SCAN_PART - SCAN_OVERLAP - 4, SCAN_PART - SCAN_OVERLAP + 5, SCAN_PART - 100, SCAN_PART - 9,
			  SCAN_PART + 3, second_end - 3, second_end + 50, size - 9 };
	g_autofree char *memory = g_malloc(size);

	memset(memory, '.', size);
	for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
		char mark[16];
		g_snprintf(mark, sizeof(mark), "MARK-%04u", i);
		memcpy(memory + at[i], mark, 9);
	}
	for (uint64_t o = 0; o < size; o += PAGE_SIZE)
		scanner_add(s, base + o, memory + o, PAGE_SIZE);
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, G_N_ELEMENTS(at));
	for (unsigned i = 0; i < n_told; i++) {
		ck_assert_uint_eq(told[i].address, base + at[i]);
		ck_assert_mem_eq(told[i].data, memory + at[i], 9);
	}
	/* All at once is the same. */
	n_told = 0;
	ck_assert_int_eq(scanner_scan(s, base, memory, size, remember, told), FAULT_NONE);
	ck_assert_uint_eq(n_told, G_N_ELEMENTS(at));
}
END_TEST

/* A condition is asked of each part: what it can't be told of the whole is said, and what the parts have in common is lost of neither. */
START_TEST(conditions_over_parts)
{
	AUTO(scan_rules) rules = compile_one("rule r { strings: $a = \"FIRST\" $b = \"SECOND\" condition: $a and $b }");
	AUTO(scanner) s = begin(rules, 0x100000);
	const uint64_t size = (uint64_t)SCAN_PART + (4u << 20), base = 0x100000, common = SCAN_PART - 100;
	g_autofree char *memory = g_malloc(size);
	const struct { uint64_t a, b; unsigned told; bool undecided; } cases[] = {
		{ common, size - 100, 2, false }, { common, 100, 2, false }, { 100, 200, 2, false }, { size - 100, size - 200, 2, false },
		{ 100, common, 2, false }, { 100, UINT64_MAX, 0, false }, { common, UINT64_MAX, 0, false }, { UINT64_MAX, size - 100, 0, false },
		{ 100, size - 100, 0, true },	/* what no part has together; one string alone was asked for where it is */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		memset(memory, '.', size);
		memcpy(memory + cases[i].a % size, cases[i].a < size ? "FIRST" : ".....", 5);
		memcpy(memory + cases[i].b % size, cases[i].b < size ? "SECOND" : "......", 6);
		n_told = 0;
		ck_assert_int_eq(scanner_scan(s, base, memory, size, remember, told), FAULT_NONE);
		ck_assert_msg(n_told == cases[i].told, "case %u: %u told", i, n_told);
		ck_assert(!n_told || (was_told("r", base + cases[i].a) && was_told("r", base + cases[i].b)));
		ck_assert_msg((scanner_undecided(s) != NULL) == cases[i].undecided, "case %u", i);
	}
	/* It isn't known any more in the next region. */
	ck_assert_ptr_nonnull(scanner_undecided(s));
	ck_assert_int_eq(scanner_scan(s, base, "SECOND", 6, remember, told), FAULT_NONE);
	ck_assert_ptr_null(scanner_undecided(s));
}
END_TEST

START_TEST(many_pieces)
{
	AUTO(scan_rules) rules = compile_one("rule r { strings: $a = \"PIECE\" condition: $a }");
	AUTO(scanner) s = begin(rules, 0);
	unsigned n = 3 * SCAN_PART_RUNS + 7, every = 37, found = 0;

	for (unsigned i = 0; i < n; i++) {
		scanner_add(s, (uint64_t)i * 2 * PAGE_SIZE, page('.', 8, i % every ? "x" : "PIECE"), PAGE_SIZE);
		found += !(i % every);
	}
	ck_assert_int_eq(scanner_end(s), FAULT_NONE);
	ck_assert_uint_eq(n_told, found);
	for (unsigned i = 0; i < n_told; i++)
		ck_assert_uint_eq(told[i].address, (uint64_t)i * every * 2 * PAGE_SIZE + 8);
}
END_TEST

START_TEST(too_many_matches_are_said)
{
	AUTO(scan_rules) rules = compile_one(
		"rule many { strings: $a = \"ABCD\" condition: $a } rule other { strings: $b = \"other\" condition: $b }");
	AUTO(scanner) s = begin(rules, 0);
	g_autoptr(GString) text = g_string_new(NULL);

	for (unsigned i = 0; i < SCAN_STRING_MATCHES; i++)
		g_string_append(text, "ABCD");
	ck_assert_int_eq(scanner_scan(s, 0, text->str, text->len, remember, told), FAULT_NONE);
	ck_assert_uint_eq(n_told, SCAN_STRING_MATCHES);
	g_string_append(text, "ABCD other");
	n_told = 0;
	ck_assert_int_eq(scanner_scan(s, 0, text->str, text->len, remember, told), FAULT_LIMIT);
	ck_assert_uint_eq(n_told, SCAN_STRING_MATCHES + 1);
	ck_assert_str_eq(told[n_told - 1].rule, "other");
	/* The next region starts afresh. */
	ck_assert_int_eq(scanner_scan(s, 0, "ABCD", 4, remember, told), FAULT_NONE);
}
END_TEST

START_TEST(matches_of_a_part_are_bounded)
{
	g_autoptr(GString) text = g_string_new("rule r { strings: "), memory = g_string_new(NULL);
	unsigned strings = SCAN_PART_MATCHES / SCAN_STRING_MATCHES + 2;

	for (unsigned i = 0; i < strings; i++)
		g_string_append_printf(text, "$s%u = \"STR%03u\" ", i, i);
	g_string_append(text, "condition: any of them }");
	for (unsigned j = 0; j < SCAN_STRING_MATCHES; j++)
		for (unsigned i = 0; i < strings; i++)
			g_string_append_printf(memory, "STR%03u", i);
	AUTO(scan_rules) rules = compile_one(text->str);
	AUTO(scanner) s = begin(rules, 0);
	ck_assert_int_eq(scanner_scan(s, 0, memory->str, memory->len, remember, told), FAULT_LIMIT);
	ck_assert_uint_eq(n_told, SCAN_PART_MATCHES);
}
END_TEST

START_TEST(long_matches_keep_their_head)
{
	AUTO(scan_rules) rules = compile_one("rule r { strings: $a = /HEAD[x]{600}TAIL/ condition: $a }");
	AUTO(scanner) s = begin(rules, 0);
	char memory[1000];

	memset(memory, 'x', sizeof(memory));
	memcpy(memory + 100, "HEAD", 4);
	memcpy(memory + 704, "TAIL", 4);
	ck_assert_int_eq(scanner_scan(s, 0x40, memory, sizeof(memory), remember, told), FAULT_NONE);
	ck_assert_uint_eq(n_told, 1);
	ck_assert_uint_eq(told[0].length, 608);
	ck_assert_uint_eq(told[0].data_length, SCAN_DATA_MAX);
	ck_assert_mem_eq(told[0].data, memory + 100, SCAN_DATA_MAX);
}
END_TEST

struct counted {
	const struct scan_rules *rules;
	uint64_t expected;
	unsigned right, wrong;
};

static void count_match(void *user, const struct scan_match *m)
{
	struct counted *c = user;

	if (m->address == c->expected && m->data_length == 6 && !memcmp(m->data, "THREAD", 6))
		c->right++;
	else
		c->wrong++;
}

static void *scan_in_thread(void *data)
{
	struct counted *c = data;
	AUTO(scanner) s = scanner_create(c->rules);

	for (unsigned i = 0; s && i < 300; i++) {
		uint8_t memory[PAGE_SIZE];
		memset(memory, (int)('a' + i % 20), sizeof(memory));
		memcpy(memory + i, "THREAD", 6);
		c->expected = 0x1000 * i + i;
		if (scanner_scan(s, 0x1000 * i, memory, sizeof(memory), count_match, c))
			c->wrong++;
	}
	return NULL;
}

START_TEST(threads_share_rules)
{
	AUTO(scan_rules) rules = compile_one("rule r { strings: $a = /THR[E]AD/ condition: $a }");
	struct counted counted[4];
	GThread *threads[4];

	for (unsigned i = 0; i < 4; i++) {
		counted[i] = (struct counted){ .rules = rules };
		threads[i] = g_thread_new("scan", scan_in_thread, &counted[i]);
	}
	for (unsigned i = 0; i < 4; i++) {
		g_thread_join(threads[i]);
		ck_assert_uint_eq(counted[i].right, 300);
		ck_assert_uint_eq(counted[i].wrong, 0);
	}
}
END_TEST

/* ---- the rules that come with memsieve */

static struct scan_rules *shipped(void)
{
	struct options options = { .output = NULL };
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	struct scan_rules *rules = scan_rules_create(&options, problems, NULL);

	ck_assert_ptr_nonnull(rules);
	ck_assert_msg(!problems->len, "%s", problems->len ? (char *)problems->pdata[0] : "");
	return rules;
}

/* Hex digits and spaces, or text after a '\''. */
static GByteArray *bytes_of(const char *sample)
{
	GByteArray *out = g_byte_array_new();

	if (sample[0] == '\'') {
		g_byte_array_append(out, (const guint8 *)sample + 1, (guint)strlen(sample + 1));
		return out;
	}
	for (const char *p = sample; *p; p++) {
		if (*p == ' ')
			continue;
		guint8 byte = (guint8)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
		g_byte_array_append(out, &byte, 1);
		p++;
	}
	return out;
}

static const struct {
	const char *rule, *sample;
} samples[] = {
	{ "executable_dos_header", "4d5a4152554889e5 4881ec20000000" },
	{ "executable_dos_header", "4d5a e800000000 5b 52 45" },
	{ "executable_dos_header", "4d5a5245 e800000000 5b" },
	{ "reflective_loader_hashes", "3d8e4e0eec 7400 3daafc0d7c 7400 3d54caaf91 7400 3d5bbc4a6a" },
	{ "reflective_loader_export", "'loader.x64.dll\0ReflectiveLoader" },
	{ "srdi_bootstrap", "e800000000 59 4989c8 ba11223344 4981c055667788 41b900100000" },
	{ "srdi_bootstrap", "e800000000 59 4989c8 4881c123100000 ba11223344 4981c055667788 41b900100000" },
	{ "donut_loader", "e8c0120000 59 31c0 48 0f88a0010000" },
	{ "api_resolver_by_hash", "fc 4883e4f0 e8cc000000 4151 4150 52 51 56 4831d2 65488b5260" },
	{ "api_resolver_by_hash", "fc e882000000 60 89e5 31c0 648b5030" },
	{ "api_resolver_by_hash", "fc e88f000000 60 89e5 31d2 648b5230" },
	{ "api_resolver_by_hash", "ac 3c61 7c02 2c20 c1cf0d 01c7" },
	{ "api_resolver_by_hash", "60 8b6c2424 8b453c 8b540578 01ea" },
	{ "api_hash_calls", "41ba4c772607 ffd5" },
	{ "api_hash_calls", "6833320000 68 7773325f 54 684c772607 ffd5" },
	{ "peb_module_walk", "65488b042560000000 488b4018 488b4820" },
	{ "peb_module_walk", "654c8b042560000000 4d8b4018 4d8b4010" },
	{ "peb_module_walk", "31c9 65488b4160 488b4018 488b7020" },
	{ "peb_module_walk", "64a130000000 8b400c 8b4014" },
	{ "peb_module_walk", "31d2 648b5230 8b520c 8b5214" },
	{ "position_by_fpu", "dac1 d97424f4 5b 29c9 b156 83c304 315312" },
	{ "position_by_fpu", "33c9 b148 d9c5 d97424f4 5f" },
	{ "decoder_by_call_pop", "e8ffffffff c0 5e 81760e11223344" },
	{ "decoder_by_call_pop", "4831c9 4881e9f6ffffff 488d05efffffff 48bb1122334455667788 48315827 482df8ffffff e2f4" },
	{ "egg_hunter", "6681caff0f 42 52 6a02 58 cd2e 3c05 5a 74ef b877303074" },
	{ "heavens_gate", "6a33 e800000000 83042405 cb" },
	{ "direct_system_call", "4c8bd1 b818000000 0f05 c3" },
	{ "direct_system_call", "4989ca b850000000 0f05 c3" },
	{ "direct_system_call", "4c8bd1 b818000000 f604250803fe7f01 7503 0f05 c3" },
	{ "direct_system_call", "4c8bd1 8b0500112200 0f05 c3" },
	{ "indirect_system_call", "4c8bd1 b818000000 41ffe3" },
	{ "cobalt_strike_beacon_configuration", "0001000100020008 00020001000201bb 0003000200040000ea60" },
	{ "cobalt_strike_beacon_configuration", "2e2f2e2f2e2c2e26 2e2c2e2f2e2c2f95 2e2d2e2c2e2a2e2e" },
	{ "cobalt_strike_beacon_configuration", "69686968696b6961 696b6968696b68d2 696a696b696d6969" },
	{ "cobalt_strike_beacon_strings", "'could not spawn %s: %d..Started service %s on %s..beacon.x64.dll" },
	{ "cobalt_strike_default_pipes", "'\\\\.\\pipe\\MSSE-4712-server" },
	{ "meterpreter", "'stdapi_fs_ls..core_channel_open" },
	{ "meterpreter", "'metsrv.x64.dll" },
	{ "sliver", "'github.com/bishopfox/sliver/implant/sliver/runner" },
	{ "havoc_demon", "b85317e670 b9436a459e baecb883f7 bb8828e950" },
	{ "brute_ratel_badger", "'bYXJm/3#M?:XyMBF" },
	{ "covenant_grunt", "'GruntStager..ExecuteStager..CovenantCertHash" },
	{ "mimikatz", "'sekurlsa::logonpasswords..gentilkiwi..kuhl_m_sekurlsa_enum" },
	{ "rubeus", "'Rubeus.Commands" },
	{ "lsass_dumper", "'SeDebugPrivilege lsass.exe MiniDumpWriteDump" },
	{ "amsi_patch", "b857000780 c3" },
	{ "amsi_patcher", "'AmsiScanBuffer\xb8W" },
	{ "etw_patch", "cccc 4833c0 c3" },
};

/* Two samples have a NUL, which their text above can't: they are put here whole. */
static void complete(const char *rule, GByteArray *bytes)
{
	static const guint8 export[] = "loader.x64.dll\0ReflectiveLoader", patch[] = { 0xb8, 0x57, 0x00, 0x07, 0x80, 0xc3 };

	if (!strcmp(rule, "reflective_loader_export")) {
		g_byte_array_set_size(bytes, 0);
		g_byte_array_append(bytes, export, sizeof(export));
	} else if (!strcmp(rule, "amsi_patcher")) {
		g_byte_array_append(bytes, patch, sizeof(patch));
	}
}

START_TEST(shipped_rules_find_what_they_say)
{
	AUTO(scan_rules) rules = shipped();
	AUTO(scanner) s = begin(rules, 0);

	for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++) {
		g_autoptr(GByteArray) bytes = bytes_of(samples[i].sample);
		complete(samples[i].rule, bytes);
		/* Over the end of a page, as code lies in memory. */
		uint8_t memory[2 * PAGE_SIZE];
		memset(memory, 0xcc, sizeof(memory));
		memcpy(memory + PAGE_SIZE - bytes->len / 2, bytes->data, bytes->len);
		n_told = 0;
		ck_assert_int_eq(scanner_scan(s, 0x10000, memory, sizeof(memory), remember, told), FAULT_NONE);
		bool found = false;
		for (unsigned t = 0; t < n_told; t++) {
			found |= !strcmp(told[t].rule, samples[i].rule);
			json_t *meta = json_loads(told[t].meta, 0, NULL);
			const char *severity = json_string_value(json_object_get(meta, "severity"));
			const char *attack = json_string_value(json_object_get(meta, "attack"));
			const char *reference = json_string_value(json_object_get(meta, "reference"));
			const char *memory_kind = json_string_value(json_object_get(meta, "memory"));
			const char *const severities[] = { "info", "low", "medium", "high", "critical", NULL };
			ck_assert(severity && g_strv_contains(severities, severity));
			ck_assert(attack && g_regex_match_simple("^T[0-9]{4}(\\.[0-9]{3})?$", attack, 0, 0));
			ck_assert(reference && g_str_has_prefix(reference, "https://"));
			ck_assert(json_string_length(json_object_get(meta, "description")) > 5);
			ck_assert(!memory_kind || !strcmp(memory_kind, "private") || !strcmp(memory_kind, "unshared"));
			json_decref(meta);
		}
		ck_assert_msg(found, "%s is not found in %s", samples[i].rule, samples[i].sample);
	}
}
END_TEST

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, 4);
}

START_TEST(shipped_rules_find_images)
{
	AUTO(scan_rules) rules = shipped();
	AUTO(scanner) s = begin(rules, 0);
	static uint8_t memory[4 * PAGE_SIZE];
	const char stub[] = "This program cannot be run in DOS mode";

	/* At the start, with no stub. */
	memcpy(memory, "MZ", 2);
	put32(memory + 0x3c, 0xe0);
	memcpy(memory + 0xe0, "PE\0", 4);
	ck_assert_int_eq(scanner_scan(s, 0x10000, memory, sizeof(memory), remember, told), FAULT_NONE);
	ck_assert(was_told("pe_image_in_private_memory", 0x10000));
	/* Somewhere, with a stub; the last of several stubs. */
	memset(memory, 0x90, sizeof(memory));
	for (unsigned i = 0; i < 4; i++)
		memcpy(memory + 0x200 * i, stub, sizeof(stub));
	memcpy(memory + 0x1800, "MZ", 2);
	put32(memory + 0x183c, 0x80);
	memcpy(memory + 0x184e, stub, sizeof(stub));
	memcpy(memory + 0x1880, "PE\0", 4);
	n_told = 0;
	ck_assert_int_eq(scanner_scan(s, 0x10000, memory, sizeof(memory), remember, told), FAULT_NONE);
	ck_assert(was_told("pe_image_in_private_memory", 0x1184e));
	/* The same with the header destroyed, and where the PE header should be there is none. */
	memory[0x1880] = 'X';
	n_told = 0;
	ck_assert_int_eq(scanner_scan(s, 0x10000, memory, sizeof(memory), remember, told), FAULT_NONE);
	ck_assert_uint_eq(n_told, 0);
}
END_TEST

static const char *const benign[] = {
	/* what just-in-time compilers make: frames, constants, calls, aligned by nops */
	"554889e5488b7d10b80100000089c15dc3909090",
	"4883ec2848b811223344556677 88ffd04883c428c3 cccccccc",
	/* a hook's trampoline: the head of a system call stub, then back */
	"4c8bd1b818000000 ff2500000000 4044123456780000",
	/* a stub as ntdll has it, with no ret behind */
	"4c8bd1b850000000 e9a0ffffff",
	/* the thread's PEB, for its own sake (BeingDebugged), and TLS */
	"65488b042560000000 0fb64002 c3",
	"65488b042558000000 488b0cc8 c3",
	"64a118000000 8b4030 0fb64002 c3",
	/* get the address of code in 32-bit position-independent objects */
	"e800000000 5b 81c3f01f0000",
	/* SHA-256's rotations by 13 */
	"c1c802 c1c90d 33c1 c1ca16 33c2 03c3",
	/* returns of an error code and of nothing */
	"33c0c3 cccccc b805400080 c3",
	"'https://attack.mitre.org/ lsass.exe This program cannot be run in DOS mode Rich ReflectiveLoader",
	"'\\\\.\\pipe\\mojo.1234.5678.status",
	"'c:\\windows\\system32\\amsi.dll AmsiScanBuffer AmsiInitialize",
};

START_TEST(shipped_rules_leave_the_ordinary_alone)
{
	AUTO(scan_rules) rules = shipped();
	AUTO(scanner) s = begin(rules, 0);

	for (unsigned i = 0; i < G_N_ELEMENTS(benign); i++) {
		g_autoptr(GByteArray) bytes = bytes_of(benign[i]);
		uint8_t memory[4 * PAGE_SIZE] = { 0 };
		for (size_t at = 0; at + bytes->len <= sizeof(memory); at += bytes->len)
			memcpy(memory + at, bytes->data, bytes->len);
		n_told = 0;
		ck_assert_int_eq(scanner_scan(s, 0x10000, memory, sizeof(memory), remember, told), FAULT_NONE);
		ck_assert_msg(!n_told, "%s is told of %s", told[0].rule, benign[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scan");
	TCase *files = tcase_create("rule files"), *regions = tcase_create("regions"), *limits = tcase_create("limits"),
	      *rules = tcase_create("shipped rules");

	tcase_add_checked_fixture(files, make_folder, remove_folder);
	tcase_add_test(files, bad_files_are_left_out_by_name_and_line);
	tcase_add_test(files, folders_that_are_too_deep_are_told);
	tcase_add_test(files, no_rules_at_all);
	tcase_add_test(files, tags_and_metadata_are_json);
	tcase_add_checked_fixture(regions, make_folder, remove_folder);
	tcase_add_test(regions, string_across_two_pages);
	tcase_add_test(regions, a_gap_is_no_bridge_and_no_zeros);
	tcase_add_test(regions, offsets_count_from_the_region);
	tcase_add_test(regions, zeros_that_nothing_adjoins_are_skipped);
	tcase_add_test(regions, a_scanner_forgets_the_region_before);
	tcase_add_test(regions, threads_share_rules);
	tcase_add_checked_fixture(limits, make_folder, remove_folder);
	tcase_set_timeout(limits, 120);
	tcase_add_test(limits, parts_overlap_and_tell_once);
	tcase_add_test(limits, conditions_over_parts);
	tcase_add_test(limits, many_pieces);
	tcase_add_test(limits, too_many_matches_are_said);
	tcase_add_test(limits, matches_of_a_part_are_bounded);
	tcase_add_test(limits, long_matches_keep_their_head);
	tcase_add_test(rules, shipped_rules_find_what_they_say);
	tcase_add_test(rules, shipped_rules_find_images);
	tcase_add_test(rules, shipped_rules_leave_the_ordinary_alone);
	suite_add_tcase(suite, files);
	suite_add_tcase(suite, regions);
	suite_add_tcase(suite, limits);
	suite_add_tcase(suite, rules);

	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
