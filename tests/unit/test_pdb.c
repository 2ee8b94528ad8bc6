/* SPDX-License-Identifier: Apache-2.0 */
/* The PDB reader, on files made here. */
#include <check.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "layout_store.h"
#include "limit.h"
#include "pdb.h"

/* Making a PDB ---------------------------------------------------------------- */

#define BLOCK 512u
enum { STREAM_INFO = 1, STREAM_TPI, STREAM_DBI, STREAM_RECORDS, STREAM_SECTIONS, STREAM_ORIGINAL, STREAM_OMAP, STREAMS };

static void put(GByteArray *to, uint64_t v, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		uint8_t byte = i < 8 ? (uint8_t)(v >> 8 * i) : 0;
		g_byte_array_append(to, &byte, 1);
	}
}

static void put_text(GByteArray *to, const char *text)
{
	g_byte_array_append(to, (const uint8_t *)text, (guint)strlen(text) + 1);
}

/* Each record is padded to four bytes and knows its length. */
struct types { GByteArray *records; uint32_t next; };

static uint32_t add_type(struct types *t, uint16_t leaf, GByteArray *body)
{
	uint32_t padding = (4 - (body->len + 4) % 4) % 4;

	put(t->records, body->len + 2 + padding, 2);
	put(t->records, leaf, 2);
	g_byte_array_append(t->records, body->data, body->len);
	for (uint32_t i = padding; i; i--)
		put(t->records, 0xf0 + i, 1);
	g_byte_array_unref(body);
	return t->next++;
}

static void add_member(GByteArray *list, uint32_t type, uint64_t offset, const char *name)
{
	put(list, 0x150d, 2);
	put(list, 3, 2);
	put(list, type, 4);
	if (offset >= 0x8000)
		put(list, 0x8004, 2);
	put(list, offset, offset >= 0x8000 ? 4 : 2);
	put_text(list, name);
	while (list->len % 4)
		put(list, 0xf0 + (4 - list->len % 4), 1);
}

/* `unique` may be NULL. */
static uint32_t add_unique_struct(struct types *t, uint16_t leaf, uint16_t properties, uint32_t fields, uint64_t size, const char *name, const char *unique)
{
	GByteArray *b = g_byte_array_new();

	put(b, 0, 2);
	put(b, properties | (unique ? 0x200 : 0), 2);
	put(b, fields, 4);
	if (leaf != 0x1506)	/* a union isn't derived from anything */
		put(b, 0, 8);
	put(b, size, 2);
	put_text(b, name);
	if (unique)
		put_text(b, unique);
	return add_type(t, leaf, b);
}

static uint32_t add_struct(struct types *t, uint16_t leaf, uint16_t properties, uint32_t fields, uint64_t size, const char *name)
{
	return add_unique_struct(t, leaf, properties, fields, size, name, NULL);
}

static uint32_t add_bits(struct types *t, uint32_t of, unsigned bits, unsigned bit)
{
	GByteArray *b = g_byte_array_new();

	put(b, of, 4);
	put(b, bits, 1);
	put(b, bit, 1);
	return add_type(t, 0x1205, b);
}

static uint32_t add_array(struct types *t, uint32_t of, uint64_t size)
{
	GByteArray *b = g_byte_array_new();

	put(b, of, 4);
	put(b, 0x22, 4);
	put(b, size, 2);
	put_text(b, "");
	return add_type(t, 0x1503, b);
}

/* In the records as they were at Windows XP's time (`old`) a pointer doesn't tell its size. */
static GByteArray *make_types(bool old)
{
	struct types t = { g_byte_array_new(), 0x1000 };
	GByteArray *b, *tpi = g_byte_array_new();

	uint32_t forward = add_struct(&t, 0x1505, 0x80, 0, 0, "_LIST_ENTRY");	/* declared before it is defined */
	b = g_byte_array_new();
	put(b, forward, 4);
	put(b, old ? 0xc : 0x1000c, 4);	/* of 64 bits; 8 bytes */
	uint32_t pointer = add_type(&t, 0x1002, b);
	b = g_byte_array_new();
	add_member(b, pointer, 0, "Flink");
	add_member(b, pointer, 8, "Blink");
	uint32_t fields = add_type(&t, 0x1203, b);
	uint32_t list = add_struct(&t, 0x1505, 0, fields, 16, "_LIST_ENTRY");
	uint32_t low = add_bits(&t, 0x22, 3, 4), high = add_bits(&t, 0x23, 44, 20);
	uint32_t name = add_array(&t, 0x20, 15);
	b = g_byte_array_new();
	add_member(b, 0x75, 0, "InUnion");
	add_member(b, low, 4, "BitInUnion");
	fields = add_type(&t, 0x1203, b);
	uint32_t onion = add_unique_struct(&t, 0x1506, 0, fields, 8, "<unnamed-tag>", "first@");
	/* Another one without a name, declared before it is defined: the unique name tells which it is. */
	uint32_t declared = add_unique_struct(&t, 0x1505, 0x80, 0, 0, "<unnamed-tag>", "second@");
	b = g_byte_array_new();
	add_member(b, 0x75, 0, "InSecond");
	add_member(b, 0x23, 8, "LaterInSecond");
	fields = add_type(&t, 0x1203, b);
	add_unique_struct(&t, 0x1505, 0, fields, 16, "<unnamed-tag>", "second@");
	b = g_byte_array_new();
	add_member(b, 0x11, 0, "second");	/* in a second record of the same list */
	add_member(b, 0x23, 0x9000, "Far");
	uint32_t rest = add_type(&t, 0x1203, b);
	b = g_byte_array_new();
	add_member(b, forward, 0x448, "ActiveProcessLinks");
	add_member(b, 0x603, 0x440, "UniqueProcessId");	/* void *, 64 bits */
	add_member(b, name, 0x5a8, "ImageFileName");
	add_member(b, low, 0x464, "ProcessDelete");
	add_member(b, high, 0x468, "Wide");
	add_member(b, onion, 0x500, "");
	add_member(b, declared, 0x510, "");
	add_member(b, declared, 0x520, "Second");
	put(b, 0x1502, 2);	/* an enumerator has no place in it; read over all the same */
	put(b, 3, 2);
	put(b, 0x8001, 2);
	put(b, 0xffff, 2);
	put_text(b, "minus");
	while (b->len % 4)
		put(b, 0xf0 + (4 - b->len % 4), 1);
	put(b, 0x1404, 2);
	put(b, 0, 2);
	put(b, rest, 4);
	fields = add_type(&t, 0x1203, b);
	add_struct(&t, 0x1505, 0, fields, 0xa40, "_EPROCESS");
	(void)list;

	put(tpi, old ? 19990903 : 20040203, 4);
	put(tpi, 56, 4);
	put(tpi, 0x1000, 4);
	put(tpi, t.next, 4);
	put(tpi, t.records->len, 4);
	put(tpi, 0, 36);
	while (tpi->len < 56)
		put(tpi, 0, 1);
	g_byte_array_append(tpi, t.records->data, t.records->len);
	g_byte_array_unref(t.records);
	return tpi;
}

static void add_public(GByteArray *to, const char *name, uint16_t segment, uint32_t offset)
{
	uint32_t length = 12 + (uint32_t)strlen(name) + 1, padded = (length + 2 + 3) / 4 * 4 - 2;

	put(to, padded, 2);
	put(to, 0x110e, 2);
	put(to, 0, 4);
	put(to, offset, 4);
	put(to, segment, 2);
	put_text(to, name);
	for (; length < padded; length++)
		put(to, 0, 1);
}

static void add_section(GByteArray *to, uint32_t va, uint32_t size)
{
	g_byte_array_append(to, (const uint8_t *)".data\0\0\0", 8);
	put(to, size, 4);
	put(to, va, 4);
	while (to->len % 40)
		put(to, 0, 1);
}

static GByteArray *make_dbi(bool rearranged)
{
	GByteArray *dbi = g_byte_array_new();

	put(dbi, UINT32_MAX, 4);
	put(dbi, 19990903, 4);
	put(dbi, 10, 4);		/* age */
	put(dbi, 0, 8);
	put(dbi, STREAM_RECORDS, 2);
	put(dbi, 0, 2);
	put(dbi, 4, 4);			/* of modules */
	for (unsigned i = 0; i < 4; i++)
		put(dbi, 0, 4);
	put(dbi, 0, 4);
	put(dbi, 22, 4);		/* debug streams */
	put(dbi, 0, 4);
	put(dbi, 0, 2);
	put(dbi, 0x8664, 2);
	put(dbi, 0, 4);
	put(dbi, 0x12345678, 4);	/* the modules */
	for (unsigned i = 0; i < 11; i++)
		put(dbi, i == 5 ? STREAM_SECTIONS : rearranged && i == 4 ? STREAM_OMAP : rearranged && i == 10 ? STREAM_ORIGINAL : 0xffff, 2);
	return dbi;
}

/* The streams in a container; each block of a stream is followed by one of nobody, so that none lie in a row. */
static GByteArray *make_aged(bool rearranged, bool old)
{
	static const uint8_t guid[16] = { 0x30, 0x71, 0x9e, 0xe5, 0x71, 0x24, 0xdf, 0x76, 0xe3, 0x28, 0x3e, 0x5a, 0xbb, 0x4b, 0x30, 0xc6 };
	GByteArray *streams[STREAMS], *directory = g_byte_array_new(), *out = g_byte_array_new(), *map = g_byte_array_new();
	uint32_t block = 4;

	for (unsigned i = 0; i < STREAMS; i++)
		streams[i] = g_byte_array_new();
	put(streams[STREAM_INFO], 20000404, 4);
	put(streams[STREAM_INFO], 0x65e19f07, 4);
	put(streams[STREAM_INFO], 2, 4);
	g_byte_array_append(streams[STREAM_INFO], guid, 16);
	g_byte_array_unref(streams[STREAM_TPI]);
	streams[STREAM_TPI] = make_types(old);
	g_byte_array_unref(streams[STREAM_DBI]);
	streams[STREAM_DBI] = make_dbi(rearranged);
	add_public(streams[STREAM_RECORDS], "PsActiveProcessHead", 2, 0x60);
	add_public(streams[STREAM_RECORDS], "PsLoadedModuleList", 2, 0x160);
	add_public(streams[STREAM_RECORDS], "Absolute", 9, 0x60);
	add_public(streams[STREAM_RECORDS], "PspCidTable", 1, 0x10);
	add_section(streams[STREAM_SECTIONS], 0x1000, 0x1000);
	add_section(streams[STREAM_SECTIONS], 0xc1e000, 0x1000);
	add_section(streams[STREAM_ORIGINAL], 0x1000, 0x1000);
	add_section(streams[STREAM_ORIGINAL], 0x5000, 0x1000);
	for (unsigned i = 0; i < 3; i++) {
		static const uint32_t pairs[3][2] = { { 0x1000, 0x2000 }, { 0x5000, 0x8000 }, { 0x5100, 0 } };
		put(streams[STREAM_OMAP], pairs[i][0], 4);
		put(streams[STREAM_OMAP], pairs[i][1], 4);
	}

	put(directory, STREAMS, 4);
	for (unsigned i = 0; i < STREAMS; i++)
		put(directory, i ? streams[i]->len : UINT32_MAX, 4);
	g_byte_array_set_size(out, 4 * BLOCK);
	memset(out->data, 0, out->len);
	for (unsigned i = 1; i < STREAMS; i++)
		for (uint32_t at = 0; at < streams[i]->len; at += BLOCK, block += 2) {
			uint32_t n = MIN(BLOCK, streams[i]->len - at);
			put(directory, block, 4);
			g_byte_array_append(out, streams[i]->data + at, n);
			for (uint32_t pad = n; pad < 2 * BLOCK; pad++)
				put(out, 0xcc, 1);
		}
	uint32_t first = out->len / BLOCK;
	for (uint32_t at = 0; at < directory->len; at += BLOCK)
		put(map, first + at / BLOCK, 4);
	g_byte_array_append(out, directory->data, directory->len);
	while (out->len % BLOCK)
		put(out, 0, 1);
	uint32_t map_block = out->len / BLOCK;
	g_byte_array_append(out, map->data, map->len);
	while (out->len % BLOCK)
		put(out, 0, 1);

	GByteArray *head = g_byte_array_new();
	g_byte_array_append(head, (const uint8_t *)"Microsoft C/C++ MSF 7.00\r\n\x1a" "DS\0\0", 32);
	put(head, BLOCK, 4);
	put(head, 1, 4);
	put(head, out->len / BLOCK, 4);
	put(head, directory->len, 4);
	put(head, 0, 4);
	put(head, map_block, 4);
	memcpy(out->data, head->data, head->len);
	g_byte_array_unref(head);
	g_byte_array_unref(map);
	g_byte_array_unref(directory);
	for (unsigned i = 0; i < STREAMS; i++)
		g_byte_array_unref(streams[i]);
	return out;
}

static GByteArray *make(bool rearranged)
{
	return make_aged(rearranged, false);
}

static struct pdb *open_aged(bool rearranged, bool old)
{
	g_autoptr(GByteArray) file = make_aged(rearranged, old);
	GError *error = NULL;
	struct pdb *pdb = pdb_open_bytes(file->data, file->len, "made", &error);

	ck_assert_msg(pdb != NULL, "%s", error ? error->message : "");
	return pdb;
}

static struct pdb *open_made(bool rearranged)
{
	return open_aged(rearranged, false);
}

/* Reading it ------------------------------------------------------------------- */

START_TEST(identity)
{
	AUTO(pdb) pdb = open_made(false);

	/* The age is the DBI stream's. */
	ck_assert_str_eq(pdb_guid_age(pdb), "E59E7130247176DFE3283E5ABB4B30C6A");
	ck_assert_uint_eq(pdb_pointer_size(pdb), 8);
}
END_TEST

static const struct { const char *type, *name; uint64_t offset, size; unsigned bit, bits; } members[] = {
	{ "_LIST_ENTRY", "Flink", 0, 8, 0, 0 },
	{ "_LIST_ENTRY", "Blink", 8, 8, 0, 0 },
	{ "_EPROCESS", "ActiveProcessLinks", 0x448, 16, 0, 0 },	/* by a forward reference */
	{ "_EPROCESS", "UniqueProcessId", 0x440, 8, 0, 0 },
	{ "_EPROCESS", "ImageFileName", 0x5a8, 15, 0, 0 },
	{ "_EPROCESS", "ProcessDelete", 0x464, 4, 4, 3 },
	{ "_EPROCESS", "Wide", 0x468, 8, 20, 44 },
	{ "_EPROCESS", "InUnion", 0x500, 4, 0, 0 },
	{ "_EPROCESS", "BitInUnion", 0x504, 4, 4, 3 },
	{ "_EPROCESS", "InSecond", 0x510, 4, 0, 0 },	/* by a forward reference, among several of that name */
	{ "_EPROCESS", "LaterInSecond", 0x518, 8, 0, 0 },
	{ "_EPROCESS", "Second", 0x520, 16, 0, 0 },
	{ "_EPROCESS", "second", 0, 2, 0, 0 },
	{ "_EPROCESS", "Far", 0x9000, 8, 0, 0 },
};

START_TEST(member)
{
	const unsigned i = (unsigned)_i / 2;
	AUTO(pdb) pdb = open_aged(false, _i % 2);
	uint32_t type = pdb_find_type(pdb, members[i].type);
	GError *error = NULL;
	struct pdb_member m;
	uint64_t size;

	ck_assert_uint_ne(type, 0);
	ck_assert_msg(pdb_find_member(pdb, type, members[i].name, &m, &error), "%s", error ? error->message : members[i].name);
	ck_assert_uint_eq(m.offset, members[i].offset);
	ck_assert(pdb_type_size(pdb, m.type, &size));
	ck_assert_uint_eq(size, members[i].size);
	ck_assert_uint_eq(m.bit, members[i].bit);
	ck_assert_uint_eq(m.bits, members[i].bits);
	ck_assert(!pdb_find_member(pdb, type, "minus", &m, &error));
	ck_assert_ptr_null(error);
}
END_TEST

START_TEST(types)
{
	AUTO(pdb) pdb = open_made(false);
	uint64_t size;

	ck_assert_uint_eq(pdb_find_type(pdb, "_KPROCESS"), 0);
	ck_assert(pdb_type_size(pdb, pdb_find_type(pdb, "_EPROCESS"), &size));
	ck_assert_uint_eq(size, 0xa40);
	ck_assert_int_eq(pdb_type_kind(pdb, pdb_find_type(pdb, "_EPROCESS")), PDB_STRUCT);
	ck_assert_int_eq(pdb_type_kind(pdb, pdb_find_type(pdb, "<unnamed-tag>")), PDB_UNION);
	ck_assert(!pdb_type_size(pdb, 0x2000, &size));
	ck_assert(!pdb_type_size(pdb, 0x0fff, &size));
	ck_assert(pdb_type_size(pdb, 0x0603, &size));
	ck_assert_uint_eq(size, 8);
}
END_TEST

START_TEST(symbols)
{
	AUTO(pdb) pdb = open_made(false);
	AUTO(pdb) moved = open_made(true);
	uint64_t rva;

	ck_assert(pdb_find_symbol(pdb, "PsActiveProcessHead", &rva));
	ck_assert_uint_eq(rva, 0xc1e060);
	ck_assert(pdb_find_symbol(pdb, "PspCidTable", &rva));
	ck_assert_uint_eq(rva, 0x1010);
	ck_assert(!pdb_find_symbol(pdb, "Absolute", &rva));	/* in no section */
	ck_assert(!pdb_find_symbol(pdb, "None", &rva));
	ck_assert(pdb_find_symbol(moved, "PsActiveProcessHead", &rva));
	ck_assert_uint_eq(rva, 0x8060);
	ck_assert(pdb_find_symbol(moved, "PspCidTable", &rva));
	ck_assert_uint_eq(rva, 0x2010);
	ck_assert(!pdb_find_symbol(moved, "PsLoadedModuleList", &rva));	/* taken out */
}
END_TEST

START_TEST(as_layout)
{
	g_autoptr(GByteArray) file = make(false);
	g_autofree char *directory = g_dir_make_tmp("pdb-XXXXXX", NULL), *path = g_build_filename(directory, "ntkrnlmp.pdb", NULL);
	const char *const directories[] = { directory, NULL };
	GError *error = NULL, *unread = NULL;

	ck_assert(g_file_set_contents(path, (const char *)file->data, file->len, NULL));
	AUTO(layout) l = layout_load(path, &error);
	ck_assert_msg(l != NULL, "%s", error ? error->message : "");
	ck_assert_int_eq(l->source, LAYOUT_PDB);
	ck_assert_uint_eq(l->pointer_size, 8);
	ck_assert_uint_eq(l->eprocess.size_, 0xa40);
	ck_assert_uint_eq(l->eprocess.ActiveProcessLinks.offset, 0x448);
	ck_assert_uint_eq(l->eprocess.ProcessDelete.bits, 3);
	ck_assert_uint_eq(l->eprocess.Peb.size, 0);
	ck_assert_uint_eq(l->symbol.PsActiveProcessHead, 0xc1e060);
	AUTO(layout) found = layout_find_pdb(directories, "ntkrnlmp.pdb", "E59E7130247176DFE3283E5ABB4B30C6A", &unread, &error);
	ck_assert_ptr_nonnull(found);
	ck_assert_ptr_null(layout_find_pdb(directories, "../ntkrnlmp.pdb", "00000000000000000000000000000000A", &unread, &error));
	ck_assert_ptr_null(error);
	ck_assert_ptr_null(unread);	/* another kernel's */
	/* Imported, it is found from then on, by its GUID alone. */
	g_autofree char *stored = NULL;
	ck_assert_ptr_null(layout_store_find(l->guid_age, &error));
	ck_assert_ptr_null(error);
	ck_assert_msg(layout_store_add(l, &stored, &error), "%s", error ? error->message : "");
	AUTO(layout) again = layout_store_find("e59e7130247176dfe3283e5abb4b30c6a", &error);
	ck_assert_msg(again != NULL, "%s", error ? error->message : "");
	ck_assert_int_eq(again->source, LAYOUT_PDB);
	ck_assert_str_eq(again->origin, stored);
	ck_assert_uint_eq(again->symbol.PsActiveProcessHead, 0xc1e060);
	g_auto(GStrv) list = layout_store_list();
	ck_assert_uint_eq(g_strv_length(list), 1);
	ck_assert_str_eq(list[0], l->guid_age);
	ck_assert_ptr_null(layout_store_find("../../etc/passwd", &error));
	ck_assert_ptr_null(error);
	g_unlink(stored);
	g_unlink(path);
	g_rmdir(directory);
}
END_TEST

/* Damage ------------------------------------------------------------------------ */

/* A loose file that can't be read may be the one that is wanted: that is told unless another is. */
START_TEST(loose_file)
{
	g_autoptr(GByteArray) file = make(false);
	g_autofree char *damaged = g_dir_make_tmp("pdb-XXXXXX", NULL), *whole = g_dir_make_tmp("pdb-XXXXXX", NULL);
	g_autofree char *first = g_build_filename(damaged, "ntkrnlmp.pdb", NULL), *second = g_build_filename(whole, "ntkrnlmp.pdb", NULL);
	const char *const both[] = { damaged, whole, NULL }, *const one[] = { damaged, NULL };
	GError *error = NULL, *unread = NULL;

	ck_assert(g_file_set_contents(first, (const char *)file->data, file->len - BLOCK - 1, NULL));
	ck_assert(g_file_set_contents(second, (const char *)file->data, file->len, NULL));
	ck_assert_ptr_null(layout_find_pdb(one, "ntkrnlmp.pdb", "E59E7130247176DFE3283E5ABB4B30C6A", &unread, &error));
	ck_assert_ptr_null(error);
	ck_assert_ptr_nonnull(unread);
	ck_assert_ptr_nonnull(strstr(unread->message, first));
	g_clear_error(&unread);
	AUTO(layout) found = layout_find_pdb(both, "ntkrnlmp.pdb", "E59E7130247176DFE3283E5ABB4B30C6A", &unread, &error);
	ck_assert_ptr_nonnull(found);
	ck_assert_ptr_null(unread);
	const uint64_t before = limit(pdb_file);
	limit(pdb_file) = 1000;
	ck_assert_ptr_null(layout_find_pdb(both, "ntkrnlmp.pdb", "E59E7130247176DFE3283E5ABB4B30C6A", &unread, &error));
	limit(pdb_file) = before;
	ck_assert(g_error_matches(unread, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT));
	g_clear_error(&unread);
	g_unlink(first);
	g_unlink(second);
	g_rmdir(damaged);
	g_rmdir(whole);
}
END_TEST

static void read_all_members(void *user, uint32_t type)
{
	struct pdb *pdb = user;
	struct pdb_member m;
	uint64_t size;

	pdb_type_size(pdb, type, &size);
	pdb_find_member(pdb, type, "nothing", &m, NULL);
}

/* Cut anywhere, it is refused, or what is left is read without harm. */
START_TEST(cut_short)
{
	g_autoptr(GByteArray) file = make(true);

	for (guint n = 0; n + BLOCK < file->len; n += 61) {
		g_autofree uint8_t *copy = g_memdup2(file->data, n);
		GError *error = NULL;
		AUTO(pdb) pdb = pdb_open_bytes(copy, n, "cut", &error);

		/* The directory is at the end. */
		ck_assert_ptr_null(pdb);
		ck_assert_ptr_nonnull(error);
		g_error_free(error);
	}
}
END_TEST

START_TEST(each_byte_changed)
{
	g_autoptr(GByteArray) file = make(true);
	static const uint8_t values[] = { 0, 1, 0x7f, 0xff };

	for (guint at = 0; at < file->len; at++) {
		uint8_t was = file->data[at];
		for (size_t v = 0; v < G_N_ELEMENTS(values); v++) {
			file->data[at] = values[v];
			AUTO(pdb) pdb = pdb_open_bytes(file->data, file->len, "changed", NULL);
			if (pdb)
				pdb_each_type(pdb, read_all_members, pdb);
		}
		file->data[at] = was;
	}
}
END_TEST

/* A list of members that goes on in itself. */
START_TEST(endless_list)
{
	g_autoptr(GByteArray) file = make(false);
	g_autoptr(GError) error = NULL;
	struct pdb_member m;
	bool changed = false;

	/* LF_INDEX, padding, and the number of the list that goes on. */
	for (guint i = 0; i + 8 <= file->len && !changed; i += 4)
		if (file->data[i] == 0x04 && file->data[i + 1] == 0x14 && !file->data[i + 2] && !file->data[i + 3] && file->data[i + 5] == 0x10) {
			file->data[i + 4]++;	/* the next type is this list */
			changed = true;
		}
	ck_assert(changed);
	AUTO(pdb) pdb = pdb_open_bytes(file->data, file->len, "endless", &error);
	ck_assert_ptr_nonnull(pdb);
	ck_assert(!pdb_find_member(pdb, pdb_find_type(pdb, "_EPROCESS"), "nothing", &m, &error));
	ck_assert_ptr_nonnull(error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pdb");
	TCase *reading = tcase_create("reading"), *damage = tcase_create("damage");
	SRunner *runner = srunner_create(suite);
	g_autofree char *data = g_dir_make_tmp("pdb-data-XXXXXX", NULL);
	int failed;

	g_setenv("XDG_DATA_HOME", data, TRUE);
	tcase_add_test(reading, identity);
	tcase_add_loop_test(reading, member, 0, (int)2 * G_N_ELEMENTS(members));
	tcase_add_test(reading, types);
	tcase_add_test(reading, symbols);
	tcase_add_test(reading, as_layout);
	suite_add_tcase(suite, reading);
	tcase_set_timeout(damage, 120);
	tcase_add_test(damage, loose_file);
	tcase_add_test(damage, cut_short);
	tcase_add_test(damage, each_byte_changed);
	tcase_add_test(damage, endless_list);
	suite_add_tcase(suite, damage);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	g_autofree char *inner = g_build_filename(data, "memsieve", NULL), *layouts = g_build_filename(inner, "layouts", NULL);
	g_rmdir(layouts);
	g_rmdir(inner);
	g_rmdir(data);
	return failed != 0;
}
