/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <glib/gstdio.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "error.h"
#include "layout.h"
#include "layout_text.h"

#define KERNEL "733830ECAFA1A3073FFA9CC3A38FE93C1"

/* A symbol file that has one of everything; the tests of hostile files change a part of it. */
#define ISF \
	"{\"base_types\": {\"pointer\": {\"size\": 8, \"kind\": \"int\"}, \"unsigned long\": {\"size\": 4}," \
	" \"char\": {\"size\": 1}, \"pointer32\": {\"size\": 4}}," \
	" \"enums\": {\"_KIND\": {\"size\": 2, \"base\": \"short\", \"constants\": {}}}," \
	" \"symbols\": {\"PsActiveProcessHead\": {\"address\": 12640416}, \"Other\": {\"address\": 1}}," \
	" \"metadata\": {\"windows\": {\"pdb\": {\"GUID\": \"733830ecafa1a3073ffa9cc3a38fe93c\", \"age\": 26}}}," \
	" \"user_types\": {" \
	"  \"_LIST_ENTRY\": {\"size\": 16, \"kind\": \"struct\", \"fields\": {}}," \
	"  \"_ROUND\": {\"size\": 8, \"kind\": \"union\", \"fields\": {" \
	"   \"a\": {\"offset\": 0, \"anonymous\": true, \"type\": {\"kind\": \"union\", \"name\": \"_ROUND\"}}," \
	"   \"b\": {\"offset\": 4, \"anonymous\": true, \"type\": {\"kind\": \"union\", \"name\": \"_INNER\"}}}}," \
	"  \"_INNER\": {\"size\": 4, \"kind\": \"struct\", \"fields\": {" \
	"   \"ExitStatus\": {\"offset\": 2, \"type\": {\"kind\": \"base\", \"name\": \"unsigned long\"}}}}," \
	"  \"_EPROCESS\": {\"size\": 2624, \"kind\": \"struct\", \"fields\": {" \
	"   \"u9\": {\"offset\": 256, \"anonymous\": true, \"type\": {\"kind\": \"union\", \"name\": \"_ROUND\"}}," \
	"   \"UniqueProcessId\": {\"offset\": 1088, \"type\": {\"kind\": \"pointer\", \"subtype\": {\"kind\": \"void\"}}}," \
	"   \"Peb\": {\"offset\": 1, \"type\": {\"kind\": \"pointer\", \"base\": \"pointer32\", \"subtype\": {}}}," \
	"   \"ActiveProcessLinks\": {\"offset\": 1096, \"type\": {\"kind\": \"struct\", \"name\": \"_LIST_ENTRY\"}}," \
	"   \"ImageFileName\": {\"offset\": 1448, \"type\": {\"kind\": \"array\", \"count\": 15," \
	"     \"subtype\": {\"kind\": \"base\", \"name\": \"char\"}}}," \
	"   \"Job\": {\"offset\": 8, \"type\": {\"kind\": \"array\", \"count\": 3, \"subtype\": {\"kind\": \"array\"," \
	"     \"count\": 2, \"subtype\": {\"kind\": \"pointer\", \"subtype\": {}}}}}," \
	"   \"Session\": {\"offset\": 9, \"type\": {\"kind\": \"array\", \"count\": 70000," \
	"     \"subtype\": {\"kind\": \"base\", \"name\": \"char\"}}}," \
	"   \"Cookie\": {\"offset\": 9, \"type\": {\"kind\": \"array\", \"count\": 0," \
	"     \"subtype\": {\"kind\": \"base\", \"name\": \"unsigned long\"}}}," \
	"   \"Token\": {\"offset\": 65536, \"type\": {\"kind\": \"base\", \"name\": \"char\"}}," \
	"   \"Protection\": {\"offset\": 10, \"type\": {\"kind\": \"enum\", \"name\": \"_KIND\"}}," \
	"   \"Minimal\": {\"offset\": 1120, \"type\": {\"kind\": \"bitfield\", \"bit_position\": 7, \"bit_length\": 5," \
	"     \"type\": {\"kind\": \"base\", \"name\": \"unsigned long\"}}}}}}}"

static char *directory;

static void setup(void)
{
	directory = g_dir_make_tmp("layout-XXXXXX", NULL);
	ck_assert_ptr_nonnull(directory);
}

static void teardown(void)
{
	const char *name;
	GDir *dir = g_dir_open(directory, 0, NULL);

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, name, NULL);

		g_remove(path);
	}
	g_dir_close(dir);
	g_rmdir(directory);
	g_clear_pointer(&directory, g_free);
}

static char *write_file(const char *name, const void *data, size_t length)
{
	char *path = g_build_filename(directory, name, NULL);

	ck_assert(g_file_set_contents(path, data, (gssize)length, NULL));
	return path;
}

static struct layout *load(const char *text, GError **error)
{
	g_autofree char *path = write_file("test.json", text, strlen(text));

	return layout_load_isf(path, error);
}

static void assert_field(struct field field, unsigned offset, unsigned size, unsigned bit, unsigned bits)
{
	ck_assert_uint_eq(field.offset, offset);
	ck_assert_uint_eq(field.size, size);
	ck_assert_uint_eq(field.bit, bit);
	ck_assert_uint_eq(field.bits, bits);
	ck_assert_uint_eq(field.derived, 0);
}

/* Setting and visiting ----------------------------------------------------- */

static void number_field(void *user, const char *type, const char *member, struct field *field)
{
	unsigned *count = user;

	ck_assert_int_eq(type[0], '_');
	ck_assert_ptr_nonnull(member);
	++*count;
	*field = (struct field){ .offset = (uint16_t)*count, .size = 1, .derived = *count % 3 ? 0 : 50 };
	if (*count % 5 == 0)
		*field = (struct field){ .offset = 0xffff, .size = 8, .bit = (uint8_t)(*count % 60), .bits = 4 };
}

static void number_size(void *user, const char *type, uint32_t *size)
{
	unsigned *count = user;

	ck_assert_int_eq(type[0], '_');
	*size = ++*count * 0x1000;
}

static void number_symbol(void *user, const char *name, uint64_t *rva)
{
	unsigned *count = user;

	ck_assert_ptr_nonnull(name);
	*rva = 0xffffffff00000000 + ++*count;
}

/* A layout whose every value is set and different. */
static struct layout *numbered(void)
{
	struct layout *layout = layout_create();
	unsigned fields = 0, sizes = 0, symbols = 0;

	layout_visit_fields(layout, number_field, &fields);
	layout_visit_sizes(layout, number_size, &sizes);
	layout_visit_symbols(layout, number_symbol, &symbols);
	ck_assert_uint_gt(fields, 500);
	ck_assert_uint_gt(sizes, 90);
	ck_assert_uint_gt(symbols, 70);
	layout->pointer_size = 8;
	return layout;
}

struct pair {
	struct layout *from, *to;
};

static void copy_field(void *user, const char *type, const char *member, struct field *field)
{
	struct pair *pair = user;

	ck_assert(layout_set_field(pair->to, type, member, *field));
}

static void copy_size(void *user, const char *type, uint32_t *size)
{
	struct pair *pair = user;

	ck_assert(layout_set_size(pair->to, type, *size));
}

static void copy_symbol(void *user, const char *name, uint64_t *rva)
{
	struct pair *pair = user;

	ck_assert(layout_set_symbol(pair->to, name, *rva));
}

static void print_field(void *user, const char *type, const char *member, struct field *field)
{
	g_string_append_printf(user, "%s.%s %u %u %u %u %u\n", type, member, field->offset, field->size, field->bit,
			       field->bits, field->derived);
}

static void print_size(void *user, const char *type, uint32_t *size)
{
	g_string_append_printf(user, "%s %u\n", type, *size);
}

static void print_symbol(void *user, const char *name, uint64_t *rva)
{
	g_string_append_printf(user, "%s %" G_GUINT64_FORMAT "\n", name, *rva);
}

static char *print(struct layout *layout)
{
	GString *out = g_string_new(NULL);

	g_string_append_printf(out, "pointer %u\n", layout->pointer_size);
	layout_visit_fields(layout, print_field, out);
	layout_visit_sizes(layout, print_size, out);
	layout_visit_symbols(layout, print_symbol, out);
	return g_string_free(out, FALSE);
}

static void assert_same_values(struct layout *a, struct layout *b)
{
	g_autofree char *left = print(a), *right = print(b);

	ck_assert_str_eq(left, right);
}

START_TEST(set_and_visit)
{
	AUTO(layout) from = numbered();
	AUTO(layout) to = layout_create();
	AUTO(layout) copy = NULL;
	struct pair pair = { from, to };

	to->pointer_size = 8;
	layout_visit_fields(from, copy_field, &pair);
	layout_visit_sizes(from, copy_size, &pair);
	layout_visit_symbols(from, copy_symbol, &pair);
	assert_same_values(from, to);

	ck_assert(layout_set_field(to, "_EPROCESS", "UniqueProcessId", (struct field){ 1088, 8, 0, 0, 0 }));
	assert_field(to->eprocess.UniqueProcessId, 1088, 8, 0, 0);
	ck_assert(layout_set_size(to, "_KTHREAD", 77));
	ck_assert_uint_eq(to->kthread.size_, 77);
	ck_assert(layout_set_symbol(to, "PspCidTable", 99));
	ck_assert_uint_eq(to->symbol.PspCidTable, 99);

	ck_assert(!layout_set_field(to, "_EPROCESS", "Nothing", (struct field){ 1, 1, 0, 0, 0 }));
	ck_assert(!layout_set_field(to, "_NOTHING", "UniqueProcessId", (struct field){ 1, 1, 0, 0, 0 }));
	ck_assert(!layout_set_size(to, "EPROCESS", 1));
	ck_assert(!layout_set_symbol(to, "Nothing", 1));

	to->guid_age = g_strdup(KERNEL);
	to->origin = g_strdup("here");
	copy = layout_copy(to);
	assert_same_values(copy, to);
	ck_assert_str_eq(copy->guid_age, KERNEL);
	ck_assert_ptr_ne(copy->guid_age, to->guid_age);
	ck_assert_ptr_null(copy->version);
}
END_TEST

/* Symbol files ------------------------------------------------------------- */

static void assert_isf(const struct layout *layout)
{
	ck_assert_int_eq(layout->source, LAYOUT_ISF);
	ck_assert_str_eq(layout->guid_age, "733830ECAFA1A3073FFA9CC3A38FE93C1A");
	ck_assert_uint_eq(layout->pointer_size, 8);
	ck_assert_uint_eq(layout->eprocess.size_, 2624);
	ck_assert_uint_eq(layout->list_entry.size_, 16);
	ck_assert_uint_eq(layout->kthread.size_, 0);
	ck_assert_uint_eq(layout->symbol.PsActiveProcessHead, 12640416);
	ck_assert_uint_eq(layout->symbol.PsLoadedModuleList, 0);
	assert_field(layout->eprocess.UniqueProcessId, 1088, 8, 0, 0);
	assert_field(layout->eprocess.Peb, 1, 4, 0, 0);
	assert_field(layout->eprocess.ActiveProcessLinks, 1096, 16, 0, 0);
	assert_field(layout->eprocess.ImageFileName, 1448, 15, 0, 0);
	assert_field(layout->eprocess.Job, 8, 48, 0, 0);
	assert_field(layout->eprocess.Session, 9, 0xffff, 0, 0);
	assert_field(layout->eprocess.Cookie, 9, 4, 0, 0);
	assert_field(layout->eprocess.Protection, 10, 2, 0, 0);
	assert_field(layout->eprocess.Minimal, 1120, 4, 7, 5);
	/* Out of a field's reach, and through a circle of anonymous members. */
	assert_field(layout->eprocess.Token, 0, 0, 0, 0);
	ck_assert_uint_eq(layout->eprocess.ExitStatus.size, 4);
	ck_assert_uint_eq(layout->eprocess.ExitStatus.offset, 256 + 4 + 2);
	assert_field(layout->eprocess.CreateTime, 0, 0, 0, 0);
}

START_TEST(isf_plain)
{
	g_autoptr(GError) error = NULL;
	AUTO(layout) layout = load(ISF, &error);

	ck_assert_msg(layout != NULL, "%s", error ? error->message : "");
	assert_isf(layout);
	ck_assert(g_str_has_suffix(layout->origin, "test.json"));
}
END_TEST

START_TEST(isf_packed)
{
	const char *const *directories = (const char *const[]){ "/nonexistent", directory, NULL };
	g_autofree char *xz_path = NULL, *gz_path = NULL;
	AUTO(layout) xz = NULL;
	AUTO(layout) gz = NULL;
	AUTO(layout) found = NULL;
	g_autoptr(GError) error = NULL;
	uint8_t packed[16384];
	size_t length = 0;
	gzFile file;

	ck_assert_int_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, (const uint8_t *)ISF, strlen(ISF), packed,
						 &length, sizeof(packed)), LZMA_OK);
	xz_path = write_file("733830ECAFA1A3073FFA9CC3A38FE93C-26.json.xz", packed, length);
	xz = layout_load_isf(xz_path, &error);
	ck_assert_ptr_nonnull(xz);
	assert_isf(xz);
	/* The age is hexadecimal here and decimal in the file's name. */
	found = layout_find_isf(directories, "733830ecafa1a3073ffa9cc3a38fe93c1a", &error);
	ck_assert_ptr_nonnull(found);
	assert_isf(found);
	ck_assert_ptr_null(layout_find_isf(directories, KERNEL, &error));
	ck_assert_ptr_null(layout_find_isf(directories, "../../../../etc/passwd", &error));
	ck_assert_ptr_null(layout_find_isf(directories, "", &error));
	ck_assert_ptr_null(error);
	/* A file of another kernel than its name says. */
	g_free(write_file("733830ECAFA1A3073FFA9CC3A38FE93C-1.json.xz", packed, length));
	ck_assert_ptr_null(layout_find_isf(directories, KERNEL, &error));
	ck_assert(g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS));
	g_clear_error(&error);
	/* Cut off. */
	g_free(write_file("cut.json.xz", packed, length / 2));
	g_free(g_steal_pointer(&xz_path));
	xz_path = g_build_filename(directory, "cut.json.xz", NULL);
	ck_assert_ptr_null(layout_load_isf(xz_path, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "damaged xz data"));
	g_clear_error(&error);

	gz_path = g_build_filename(directory, "test.json.gz", NULL);
	file = gzopen(gz_path, "wb");
	ck_assert_int_eq(gzwrite(file, ISF, strlen(ISF)), (int)strlen(ISF));
	gzclose(file);
	gz = layout_load_isf(gz_path, &error);
	ck_assert_ptr_nonnull(gz);
	assert_isf(gz);
	ck_assert_int_eq(truncate(gz_path, 100), 0);
	ck_assert_ptr_null(layout_load_isf(gz_path, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "damaged gzip data"));
}
END_TEST

START_TEST(isf_bomb)
{
	g_autofree char *path = g_build_filename(directory, "bomb.json.gz", NULL);
	g_autofree char *spaces = g_malloc(1 << 20);
	g_autoptr(GError) error = NULL;
	gzFile file = gzopen(path, "wb1");

	memset(spaces, ' ', 1 << 20);
	for (unsigned i = 0; i < 70; i++)
		ck_assert_int_eq(gzwrite(file, spaces, 1 << 20), 1 << 20);
	gzclose(file);
	ck_assert_ptr_null(layout_load_isf(path, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "larger than 64 MiB when unpacked"));
	g_clear_error(&error);

	g_free(g_steal_pointer(&spaces));
	spaces = g_malloc(5 << 20);
	memset(spaces, ',', 5 << 20);
	g_free(g_steal_pointer(&path));
	path = write_file("values.json", spaces, 5 << 20);
	ck_assert_ptr_null(layout_load_isf(path, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "values"));
}
END_TEST

/* Each replaces a part of the good file, and must be refused for the reason given. */
static const struct {
	const char *part, *by, *reason;
} hostile[] = {
	{ "{\"base_types\"", "[\"base_types\"", "line 1" },
	{ "\"base_types\": {", "\"base\": {", "base_types" },
	{ "\"enums\": {\"_KIND\": {\"size\": 2,", "\"enums\": {\"_KIND\": {\"size\": -2,", "_EPROCESS.Protection" },
	{ "\"enums\": {\"_KIND\"", "\"enums\": {\"_OTHER\"", "_EPROCESS.Protection" },
	{ "\"size\": 8, \"kind\": \"int\"", "\"size\": 5, \"kind\": \"int\"", "pointer" },
	{ "\"size\": 8, \"kind\": \"int\"", "\"size\": \"8\", \"kind\": \"int\"", "pointer" },
	{ "\"address\": 12640416", "\"address\": \"12640416\"", "PsActiveProcessHead" },
	{ "\"address\": 12640416", "\"address\": -1", "PsActiveProcessHead" },
	{ "{\"address\": 12640416}", "17", "PsActiveProcessHead" },
	{ "\"windows\"", "\"linux\"", "windows" },
	{ "{\"pdb\": {", "{\"pdb\": [{}], \"p\": {", "pdb" },
	{ "733830ecafa1a3073ffa9cc3a38fe93c", "../../733830ecafa1a3073ffa9cc3a3", "GUID" },
	{ "\"733830ecafa1a3073ffa9cc3a38fe93c\"", "[1]", "GUID" },
	{ "\"age\": 26", "\"age\": 4294967296", "age" },
	{ "\"age\": 26", "\"age\": 1.5", "age" },
	{ "\"_EPROCESS\"", "\"_PROCESS\"", "_EPROCESS" },
	{ "\"size\": 2624", "\"size\": 4294967296", "_EPROCESS" },
	{ "\"size\": 2624", "\"size\": null", "_EPROCESS" },
	{ "\"size\": 16, \"kind\": \"struct\", \"fields\": {}", "\"size\": 16, \"fields\": []", "_LIST_ENTRY" },
	{ "\"size\": 16, \"kind\": \"struct\", \"fields\": {}", "\"kind\": \"struct\"", "_LIST_ENTRY" },
	{ "{\"offset\": 1088", "{\"offset\": -1088", "_EPROCESS.UniqueProcessId" },
	{ "{\"offset\": 1088", "{\"offset\": 99999999999999999999", "line 1" },
	{ "{\"offset\": 256", "{\"offset\": true", "_EPROCESS.u9" },
	{ "\"count\": 15", "\"count\": -15", "_EPROCESS.ImageFileName" },
	{ "\"kind\": \"array\", \"count\": 15", "\"kind\": 15, \"count\": 15", "_EPROCESS.ImageFileName" },
	{ "\"kind\": \"array\", \"count\": 15", "\"kind\": \"function\", \"count\": 15", "_EPROCESS.ImageFileName" },
	{ "\"bit_position\": 7", "\"bit_position\": 28", "_EPROCESS.Minimal" },
	{ "\"bit_position\": 7", "\"bit_position\": 9223372036854775807", "_EPROCESS.Minimal" },
	{ "\"bit_length\": 5", "\"bit_length\": 0", "_EPROCESS.Minimal" },
	{ "\"bit_length\": 5", "\"length\": 5", "_EPROCESS.Minimal" },
	{ "\"kind\": \"enum\", \"name\": \"_KIND\"", "\"kind\": \"enum\", \"name\": {}", "_EPROCESS.Protection" },
	{ "\"base\": \"pointer32\"", "\"base\": 32", "_EPROCESS.Peb" },
};

START_TEST(isf_hostile)
{
	const char *at = strstr(ISF, hostile[_i].part);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;

	ck_assert_msg(at != NULL, "%s is not part of the file", hostile[_i].part);
	text = g_strdup_printf("%.*s%s%s", (int)(at - ISF), ISF, hostile[_i].by, at + strlen(hostile[_i].part));
	ck_assert_msg(!load(text, &error), "%s was accepted", hostile[_i].by);
	ck_assert_ptr_nonnull(error);
	ck_assert_ptr_nonnull(strstr(error->message, "test.json"));
	ck_assert_msg(strstr(error->message, hostile[_i].reason) != NULL, "%s: %s", hostile[_i].by, error->message);
}
END_TEST

/* Anonymous members that all refer to each other: every path through them would take ages. */
START_TEST(isf_anonymous_maze)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const char *at = strstr(ISF, "\"_ROUND\": {");
	g_autoptr(GError) error = NULL;
	gint64 start = g_get_monotonic_time();

	g_string_append_printf(text, "%.*s", (int)(at - ISF), ISF);
	g_string_append(text, "\"_ROUND\": {\"size\": 8, \"fields\": {");
	for (unsigned i = 0; i < 50; i++)
		g_string_append_printf(text, "%s\"%u\": {\"offset\": 4294967295, \"anonymous\": true, \"type\": "
				       "{\"kind\": \"union\", \"name\": \"_ROUND\"}}", i ? "," : "", i);
	g_string_append(text, "}},");
	g_string_append(text, strstr(at, "\"_INNER\": {"));
	ck_assert_ptr_null(load(text->str, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "anonymous"));
	ck_assert_int_lt(g_get_monotonic_time() - start, 2 * G_USEC_PER_SEC);
}
END_TEST

START_TEST(isf_nested)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autoptr(GError) error = NULL;

	for (unsigned i = 0; i < 100000; i++)
		g_string_append(text, "[");
	ck_assert_ptr_null(load(text->str, &error));
	ck_assert_ptr_nonnull(error);
	g_clear_error(&error);
	ck_assert_ptr_null(load("", &error));
	ck_assert_ptr_nonnull(error);
	g_clear_error(&error);
	ck_assert_ptr_null(layout_load_isf(directory, &error));
	ck_assert_ptr_nonnull(strstr(error->message, "not a regular file"));
	g_clear_error(&error);
	ck_assert_ptr_null(layout_load_isf("/nonexistent", &error));
	ck_assert(g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO));
}
END_TEST

/* Text --------------------------------------------------------------------- */

START_TEST(text_round_trip)
{
	AUTO(layout) layout = numbered();
	AUTO(layout) back = NULL;
	AUTO(layout) again = NULL;
	g_autofree char *text = NULL, *second = NULL;
	g_autoptr(GError) error = NULL;

	layout->source = LAYOUT_ISF;
	layout->guid_age = g_strdup(KERNEL);
	layout->version = g_strdup("10.0.19041.1466");
	text = layout_write_text(layout);
	back = layout_parse_text(text, strlen(text), "test", &error);
	ck_assert_msg(back != NULL, "%s", error ? error->message : "");
	assert_same_values(layout, back);
	ck_assert_str_eq(back->guid_age, KERNEL);
	ck_assert_str_eq(back->version, "10.0.19041.1466");
	second = layout_write_text(back);
	ck_assert_str_eq(text, second);

	/* Neither GUID nor version: as when derived from a dump. */
	g_clear_pointer(&layout->guid_age, g_free);
	g_clear_pointer(&layout->version, g_free);
	g_clear_pointer(&text, g_free);
	layout->source = LAYOUT_DERIVED;
	text = layout_write_text(layout);
	again = layout_parse_text(text, strlen(text), "test", &error);
	ck_assert_ptr_nonnull(again);
	assert_same_values(layout, again);
	ck_assert_ptr_null(again->guid_age);
	ck_assert_ptr_null(again->version);
}
END_TEST

#define OTHER "00000000000000000000000000000000FF"
#define FAMILY \
	"# comment\nfamily one\npointer 4\n\n_EPROCESS 0x10\n_EPROCESS.Peb 0x8 4 bits 3 2\n" \
	"kernel " KERNEL " 1.2.3.4\n PspCidTable 0x10\n" \
	"kernel " OTHER " -\n PspCidTable 32\n PsIdleProcess 0x1\n"

START_TEST(text_kernels)
{
	AUTO(layout) first = layout_parse_text(FAMILY, strlen(FAMILY), "test", NULL);
	AUTO(layout) other = layout_text_parse(FAMILY, strlen(FAMILY), "test", OTHER, NULL);
	AUTO(layout) none = layout_text_parse(FAMILY, strlen(FAMILY), "test", "", NULL);
	g_autoptr(GError) error = NULL;

	ck_assert_uint_eq(first->symbol.PspCidTable, 16);
	ck_assert_uint_eq(first->symbol.PsIdleProcess, 0);
	ck_assert_str_eq(first->version, "1.2.3.4");
	ck_assert_uint_eq(first->pointer_size, 4);
	assert_field(first->eprocess.Peb, 8, 4, 3, 2);
	ck_assert_str_eq(other->guid_age, OTHER);
	ck_assert_ptr_null(other->version);
	ck_assert_uint_eq(other->symbol.PspCidTable, 32);
	ck_assert_uint_eq(other->symbol.PsIdleProcess, 1);
	ck_assert_uint_eq(other->eprocess.size_, 16);
	ck_assert_int_eq(none->source, LAYOUT_FAMILY);
	ck_assert_str_eq(none->origin, "one");
	ck_assert_ptr_null(none->guid_age);
	ck_assert_uint_eq(none->symbol.PspCidTable, 0);
	ck_assert_ptr_null(layout_text_parse(FAMILY, strlen(FAMILY), "test", "00", &error));
	ck_assert_ptr_nonnull(strstr(error->message, "no such kernel"));
}
END_TEST

static const char *const bad_lines[] = {
	"_NOTHING 0x10", "_EPROCESS", "_EPROCESS 0", "_EPROCESS 0x100000000", "_EPROCESS x", "_EPROCESS -1",
	"_EPROCESS 1 2", "_EPROCESS.Nothing 0x1 4", "_EPROCESS.Peb 0x1", "_EPROCESS.Peb 0x10000 4",
	"_EPROCESS.Peb 0x1 0", "_EPROCESS.Peb 0x1 65536", "_EPROCESS.Peb 0x1 4 bits 3", "_EPROCESS.Peb 0x1 4 bits 30 3",
	"_EPROCESS.Peb 0x1 4 bits 0 0", "_EPROCESS.Peb 0x1 9 bits 0 1", "_EPROCESS.Peb 0x1 4 bits 64 1",
	"_EPROCESS.Peb 0x1 4 derived 101", "_EPROCESS.Peb 0x1 4 derived 0", "_EPROCESS.Peb 0x1 4 other 1",
	"_EPROCESS.Peb 0x1 4 bits 0 1 derived 4 more", "_EPROCESS.Peb 0x 4", ". 1 2", " PspCidTable 1", "pointer 8",
	"family a b", "kernel", "kernel " KERNEL, "kernel 733830 1.2.3.4", "kernel " KERNEL " 1.2.3.x",
	"kernel 733830ecafa1a3073ffa9cc3a38fe93c1 1.2.3.4", "1 2 3 4 5 6 7 8 9 10", "\t",
	"kernel - -\n PspCidTable", "kernel - -\n Nothing 0x1", "kernel - -\n PspCidTable 0x10000000000000000",
	"kernel - -\n_EPROCESS 0x10", "kernel - -\nkernel - -\n Nothing 1",
};

START_TEST(text_bad)
{
	g_autofree char *text = g_strdup_printf("pointer 8\n%s\n", bad_lines[_i]);
	g_autofree char *where = NULL;
	g_autoptr(GError) error = NULL;
	unsigned line = 2;

	for (const char *c = bad_lines[_i]; *c; c++)
		line += *c == '\n';
	ck_assert_msg(!layout_parse_text(text, strlen(text), "test", &error), "accepted: %s", bad_lines[_i]);
	where = g_strdup_printf("layout test line %u: ", line);
	ck_assert_msg(g_str_has_prefix(error->message, where), "%s: %s", bad_lines[_i], error->message);
}
END_TEST

START_TEST(text_broken)
{
	g_autoptr(GError) error = NULL;
	char text[400];

	ck_assert_ptr_null(layout_parse_text("", 0, "test", &error));
	ck_assert_ptr_nonnull(strstr(error->message, "no pointer size"));
	g_clear_error(&error);
	ck_assert_ptr_null(layout_parse_text("pointer 8\n\0", 11, "test", &error));
	ck_assert_ptr_nonnull(strstr(error->message, "not text"));
	g_clear_error(&error);
	memset(text, '#', sizeof(text));
	ck_assert_ptr_null(layout_parse_text(text, sizeof(text), "test", &error));
	ck_assert_ptr_nonnull(strstr(error->message, "too long"));
}
END_TEST

/* Built-in tables ---------------------------------------------------------- */

/* Expected values: the kernel's public symbols, read by hand. */
START_TEST(builtin_kernel)
{
	AUTO(layout) layout = layout_builtin(KERNEL);
	AUTO(layout) lower = NULL;
	g_autofree char *small = g_ascii_strdown(KERNEL, -1);
	gint64 start;

	ck_assert_ptr_nonnull(layout);
	ck_assert_int_eq(layout->source, LAYOUT_BUILTIN);
	ck_assert_str_eq(layout->origin, KERNEL);
	ck_assert_str_eq(layout->guid_age, KERNEL);
	ck_assert_str_eq(layout->version, "10.0.19041.1466");
	ck_assert_uint_eq(layout->pointer_size, 8);
	ck_assert_uint_eq(layout->eprocess.size_, 0xa40);
	assert_field(layout->eprocess.UniqueProcessId, 0x440, 8, 0, 0);
	assert_field(layout->eprocess.ActiveProcessLinks, 0x448, 16, 0, 0);
	assert_field(layout->eprocess.ImageFileName, 0x5a8, 15, 0, 0);
	assert_field(layout->kprocess.DirectoryTableBase, 0x28, 8, 0, 0);
	assert_field(layout->mmvad_flags.Protection, 0, 4, 7, 5);
	assert_field(layout->handle_table_entry.ObjectPointerBits, 0, 8, 20, 44);
	assert_field(layout->mm_avl_table.BalancedRoot, 0, 0, 0, 0);
	ck_assert_uint_eq(layout->symbol.PsActiveProcessHead, 0xc1df60);
	ck_assert_uint_eq(layout->symbol.PsLoadedModuleList, 0xc2a2b0);

	start = g_get_monotonic_time();
	lower = layout_builtin(small);
	ck_assert_int_lt(g_get_monotonic_time() - start, G_USEC_PER_SEC / 5);
	ck_assert_ptr_nonnull(lower);
	assert_same_values(layout, lower);

	ck_assert_ptr_null(layout_builtin("00000000000000000000000000000000" "1"));
	ck_assert_ptr_null(layout_builtin("733830ECAFA1A3073FFA9CC3A38FE93C"));
	ck_assert_ptr_null(layout_builtin(KERNEL "1"));
	ck_assert_ptr_null(layout_builtin(""));
	ck_assert_ptr_null(layout_builtin("-"));
}
END_TEST

struct census {
	unsigned kernels;
	GHashTable *seen;
};

/* Each table must parse, and be good enough to list processes and modules with. */
static void count_kernel(void *user, const char *guid_age, const char *version, const char *family)
{
	struct census *census = user;
	AUTO(layout) layout = layout_builtin(guid_age);

	census->kernels++;
	ck_assert_msg(g_hash_table_add(census->seen, g_strdup(guid_age)), "%s is there twice", guid_age);
	ck_assert_msg(layout != NULL, "%s of %s doesn't parse", guid_age, family);
	ck_assert_str_eq(layout->guid_age, guid_age);
	ck_assert_str_eq(layout->version, version);
	ck_assert_uint_eq(layout->pointer_size, 8);
	ck_assert_uint_ne(layout->symbol.PsActiveProcessHead, 0);
	ck_assert_uint_ne(layout->symbol.PsLoadedModuleList, 0);
	ck_assert_uint_eq(layout->eprocess.UniqueProcessId.size, 8);
	ck_assert_uint_eq(layout->eprocess.ActiveProcessLinks.size, 16);
}

START_TEST(builtin_all)
{
	struct census census = { 0, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };

	layout_builtin_each(count_kernel, &census);
	ck_assert_uint_ge(census.kernels, 213);
	g_hash_table_unref(census.seen);
}
END_TEST

START_TEST(family)
{
	AUTO(layout) exact = layout_family(19041, 1466, LAYOUT_X64);
	AUTO(layout) builtin = layout_builtin(KERNEL);
	AUTO(layout) old = layout_family(19041, 400, LAYOUT_X64);
	AUTO(layout) unknown = layout_family(19041, 0, LAYOUT_X64);
	AUTO(layout) update = layout_family(19045, 1466, LAYOUT_X64);
	AUTO(layout) vista = layout_family(6002, 18005, LAYOUT_X64);
	AUTO(layout) server = layout_family(6003, 20489, LAYOUT_X86);

	ck_assert_ptr_nonnull(exact);
	ck_assert_int_eq(exact->source, LAYOUT_FAMILY);
	ck_assert_str_eq(exact->origin, "10.0.19041.1466");
	ck_assert_ptr_null(exact->guid_age);
	ck_assert_ptr_null(exact->version);
	ck_assert_uint_eq(exact->symbol.PsActiveProcessHead, 0);
	memset(&builtin->symbol, 0, sizeof(builtin->symbol));
	assert_same_values(exact, builtin);

	ck_assert_str_eq(old->origin, "10.0.19041.329");
	ck_assert_ptr_nonnull(unknown);
	ck_assert_uint_eq(unknown->eprocess.UniqueProcessId.offset, 0x440);
	ck_assert_str_eq(update->origin, "10.0.19041.1466");
	ck_assert_str_eq(vista->origin, "6.0.6001.18000");
	ck_assert_ptr_nonnull(server);
	ck_assert_str_eq(server->origin, "6.0.6001.18000-x86");
	ck_assert_ptr_null(layout_family(19040, 1466, LAYOUT_X64));
	ck_assert_ptr_null(layout_family(0, 0, LAYOUT_X64));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("layout");
	TCase *files = tcase_create("symbol files"), *values = tcase_create("values"), *tables = tcase_create("tables");
	SRunner *runner;
	int failed;

	tcase_add_test(values, set_and_visit);
	tcase_add_test(values, text_round_trip);
	tcase_add_test(values, text_kernels);
	tcase_add_loop_test(values, text_bad, 0, G_N_ELEMENTS(bad_lines));
	tcase_add_test(values, text_broken);
	suite_add_tcase(suite, values);

	tcase_add_checked_fixture(files, setup, teardown);
	tcase_add_test(files, isf_plain);
	tcase_add_test(files, isf_packed);
	tcase_add_test(files, isf_bomb);
	tcase_add_loop_test(files, isf_hostile, 0, G_N_ELEMENTS(hostile));
	tcase_add_test(files, isf_anonymous_maze);
	tcase_add_test(files, isf_nested);
	tcase_set_timeout(files, 60);
	suite_add_tcase(suite, files);

	tcase_add_test(tables, builtin_kernel);
	tcase_add_test(tables, builtin_all);
	tcase_add_test(tables, family);
	tcase_set_timeout(tables, 60);
	suite_add_tcase(suite, tables);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
