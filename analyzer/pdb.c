/* SPDX-License-Identifier: Apache-2.0 */
/* The MSF container, the identity, and the DBI stream with the symbols. */
#include "pdb_private.h"
#include <string.h>
#include "image.h"
#include "pe.h"
#include "limit.h"

/* ntkrnlmp.pdb has 10 to 20 MB; Chromium's would have gigabytes, and is nobody's kernel. */
#define FILE_MAX limit(pdb_file)
#define STREAMS_MAX limit32(pdb_streams)
#define STREAM_INFO 1u
#define STREAM_DBI 3u

/* Places in the DBI's list of debug streams. */
enum { DEBUG_OMAP_FROM_SOURCE = 4, DEBUG_SECTIONS = 5, DEBUG_ORIGINAL_SECTIONS = 10 };
/* Kinds of symbol records. */
enum { S_LDATA32 = 0x110c, S_GDATA32 = 0x110d, S_PUB32 = 0x110e };

static const char MAGIC[32] = "Microsoft C/C++ MSF 7.00\r\n\x1a" "DS\0\0";

void pdb_fail(const struct pdb *pdb, GError **error, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list args;

	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "PDB file %s: %s", pdb->name, reason);
}

/* The container ------------------------------------------------------------ */

/* A stream's size, and its block numbers as they stand in the directory. */
struct stream {
	uint32_t size;
	struct bytes blocks;
};

static uint32_t blocks_of(const struct pdb *pdb, uint32_t size)
{
	return size / pdb->block_size + (size % pdb->block_size != 0);
}

/* Put the blocks that `numbers` (of block_size bytes each but the last) names in a row. */
static GByteArray *gather(const struct pdb *pdb, struct bytes numbers, uint32_t size, const char *what, GError **error)
{
	g_autoptr(GByteArray) out = NULL;

	/* No stream is larger than its file, so a small file can't cost much memory. */
	if (size > pdb->size) {
		pdb_fail(pdb, error, "%s is larger than the file", what);
		return NULL;
	}
	out = g_byte_array_sized_new(size);
	while (out->len < size) {
		uint32_t number = bytes_u32(&numbers), n = MIN(pdb->block_size, size - out->len);

		if (numbers.bad || number >= pdb->blocks || (uint64_t)number * pdb->block_size + n > pdb->size) {
			pdb_fail(pdb, error, "%s has a block outside the file", what);
			return NULL;
		}
		g_byte_array_append(out, pdb->file + (size_t)number * pdb->block_size, n);
	}
	return g_steal_pointer(&out);
}

static bool read_container(struct pdb *pdb, GError **error)
{
	struct bytes b = { pdb->file, pdb->size, false }, map;
	uint32_t directory_size, map_block, count;

	if (pdb->size < sizeof(MAGIC) || memcmp(bytes_take(&b, sizeof(MAGIC)), MAGIC, sizeof(MAGIC))) {
		pdb_fail(pdb, error, "not an MSF 7 container");
		return false;
	}
	pdb->block_size = bytes_u32(&b);
	bytes_u32(&b);		/* the free block map's number */
	pdb->blocks = bytes_u32(&b);
	directory_size = bytes_u32(&b);
	bytes_u32(&b);
	map_block = bytes_u32(&b);
	if (b.bad || pdb->block_size < 512 || pdb->block_size > 0x10000 || (pdb->block_size & (pdb->block_size - 1)) ||
	    !pdb->blocks || !directory_size) {
		pdb_fail(pdb, error, "its header makes no sense");
		return false;
	}
	map = bytes_slice((struct bytes){ pdb->file, pdb->size, false }, (uint64_t)map_block * pdb->block_size,
			  4 * (uint64_t)blocks_of(pdb, directory_size));
	pdb->directory = gather(pdb, map, directory_size, "the stream directory", error);
	if (!pdb->directory)
		return false;

	b = (struct bytes){ pdb->directory->data, pdb->directory->len, false };
	count = bytes_u32(&b);
	if (b.bad || count > STREAMS_MAX || count > b.n / 4) {
		pdb_fail(pdb, error, "the stream directory is damaged");
		return false;
	}
	struct bytes sizes = bytes_slice(b, 0, 4 * (uint64_t)count);
	bytes_take(&b, 4 * (size_t)count);
	for (uint32_t i = 0; i < count; i++) {
		struct stream stream = { bytes_u32(&sizes), { NULL, 0, false } };

		if (stream.size == UINT32_MAX)	/* there is none of this number */
			stream.size = 0;
		stream.blocks.n = 4 * (size_t)blocks_of(pdb, stream.size);
		stream.blocks.p = bytes_take(&b, stream.blocks.n);
		g_array_append_val(pdb->streams, stream);
	}
	if (b.bad) {
		pdb_fail(pdb, error, "the stream directory ends early");
		return false;
	}
	return true;
}

GByteArray *pdb_stream(const struct pdb *pdb, uint32_t number, GError **error)
{
	g_autofree char *what = g_strdup_printf("stream %u", number);

	if (number == PDB_NO_STREAM)
		return g_byte_array_new();
	if (number >= pdb->streams->len) {
		pdb_fail(pdb, error, "there is no %s", what);
		return NULL;
	}
	const struct stream *s = &g_array_index(pdb->streams, struct stream, number);
	return gather(pdb, s->blocks, s->size, what, error);
}

/* Identity ------------------------------------------------------------------- */

static bool read_identity(struct pdb *pdb, GError **error)
{
	g_autoptr(GByteArray) info = pdb_stream(pdb, STREAM_INFO, error);
	struct bytes b;
	const uint8_t *guid;

	if (!info)
		return false;
	b = (struct bytes){ info->data, info->len, false };
	uint32_t version = bytes_u32(&b);
	bytes_u32(&b);		/* a time */
	uint32_t age = bytes_u32(&b);
	guid = bytes_take(&b, 16);
	if (!guid || version < 20000404) {
		pdb_fail(pdb, error, "its information stream isn't that of PDB 7");
		return false;
	}
	/* The image's record has the DBI stream's age, where there is one. */
	if (!pdb->age)
		pdb->age = age;
	struct bytes g = { guid, 16, false };
	uint32_t first = bytes_u32(&g);
	uint16_t second = bytes_u16(&g), third = bytes_u16(&g);
	GString *text = g_string_new(NULL);
	g_string_append_printf(text, "%08X%04X%04X", first, second, third);
	for (unsigned i = 8; i < 16; i++)
		g_string_append_printf(text, "%02X", guid[i]);
	g_string_append_printf(text, "%X", pdb->age);
	pdb->guid_age = g_string_free(text, FALSE);
	return true;
}

/* DBI and symbols -------------------------------------------------------------- */

struct dbi { uint32_t records, sections, original_sections, omap; };

static bool read_dbi(struct pdb *pdb, struct dbi *out, GError **error)
{
	g_autoptr(GByteArray) dbi = pdb_stream(pdb, STREAM_DBI, error);
	struct bytes b, debug;
	uint64_t before = 0;
	uint32_t debug_size, ec_size;

	*out = (struct dbi){ PDB_NO_STREAM, PDB_NO_STREAM, PDB_NO_STREAM, PDB_NO_STREAM };
	if (!dbi)
		return false;
	if (!dbi->len)	/* types alone, as for a compiler's */
		return true;
	b = (struct bytes){ dbi->data, dbi->len, false };
	uint32_t signature = bytes_u32(&b), version = bytes_u32(&b);
	pdb->age = bytes_u32(&b);
	bytes_take(&b, 8);	/* globals, build, publics, and the DLL's version */
	out->records = bytes_u16(&b);
	bytes_u16(&b);
	for (unsigned i = 0; i < 5; i++)	/* modules, contributions, map, sources, type servers */
		before += bytes_u32(&b);
	bytes_u32(&b);
	debug_size = bytes_u32(&b);
	ec_size = bytes_u32(&b);
	bytes_u16(&b);
	pdb->machine = bytes_u16(&b);
	bytes_u32(&b);
	if (b.bad || signature != UINT32_MAX || version < 19990903) {
		pdb_fail(pdb, error, "its DBI stream isn't that of PDB 7");
		return false;
	}
	debug = bytes_slice(b, before + ec_size, debug_size);
	if (debug.bad) {
		pdb_fail(pdb, error, "its DBI stream ends early");
		return false;
	}
	for (unsigned i = 0; debug.n >= 2; i++) {
		uint16_t stream = bytes_u16(&debug);

		if (i == DEBUG_OMAP_FROM_SOURCE)
			out->omap = stream;
		else if (i == DEBUG_SECTIONS)
			out->sections = stream;
		else if (i == DEBUG_ORIGINAL_SECTIONS)
			out->original_sections = stream;
	}
	return true;
}

static bool read_sections(struct pdb *pdb, uint32_t stream, GError **error)
{
	g_autoptr(GByteArray) headers = pdb_stream(pdb, stream, error);
	struct bytes b;

	if (!headers)
		return false;
	if (headers->len % 40) {
		pdb_fail(pdb, error, "its section headers are damaged");
		return false;
	}
	b = (struct bytes){ headers->data, headers->len, false };
	while (b.n) {
		struct bytes section = bytes_slice(b, 0, 40);
		struct range r = { bytes_at(&section, 12, 4), bytes_at(&section, 8, 4) };

		bytes_take(&b, 40);
		g_array_append_val(pdb->sections, r);
	}
	return true;
}

static bool read_omap(struct pdb *pdb, uint32_t stream, GError **error)
{
	g_autoptr(GByteArray) omap = pdb_stream(pdb, stream, error);
	struct bytes b;
	uint32_t last = 0;

	if (!omap)
		return false;
	b = (struct bytes){ omap->data, omap->len, false };
	while (b.n) {
		uint32_t pair[2] = { bytes_u32(&b), bytes_u32(&b) };

		if (b.bad || pair[0] < last) {
			pdb_fail(pdb, error, "its OMAP is damaged");
			return false;
		}
		last = pair[0];
		g_array_append_vals(pdb->omap, pair, 2);
	}
	return true;
}

/* Where an RVA of the image as it was linked is in the image as it is. 0: removed. */
static uint64_t by_omap(const struct pdb *pdb, uint32_t rva)
{
	const uint32_t *pairs = (const uint32_t *)(const void *)pdb->omap->data;
	guint low = 0, high = pdb->omap->len / 2;

	if (!high)
		return rva;
	while (high - low > 1) {
		guint middle = low + (high - low) / 2;

		if (pairs[2 * middle] <= rva)
			low = middle;
		else
			high = middle;
	}
	if (pairs[2 * low] > rva || !pairs[2 * low + 1])
		return 0;
	return (uint64_t)pairs[2 * low + 1] + (rva - pairs[2 * low]);
}

static bool symbol_rva(const struct pdb *pdb, const struct pdb_symbol *s, uint64_t *rva)
{
	if (!s->segment || s->segment > pdb->sections->len)
		return false;
	const struct range *section = &g_array_index(pdb->sections, struct range, s->segment - 1);
	uint64_t linked = section->start + s->offset;
	if (linked > UINT32_MAX)
		return false;
	*rva = by_omap(pdb, (uint32_t)linked);
	return *rva != 0;
}

/* NUL-terminated text within a record; NULL: it has no end. */
static const char *record_name(struct bytes *b)
{
	const char *name = (const char *)b->p;

	return !b->bad && b->n && memchr(b->p, 0, b->n) ? name : NULL;
}

static bool index_symbols(struct pdb *pdb, GError **error)
{
	struct bytes b = { pdb->records->data, pdb->records->len, false };

	while (b.n) {
		struct bytes record = { NULL, 0, false };
		size_t length = bytes_u16(&b);

		record.n = length;
		record.p = bytes_take(&b, length);
		uint16_t kind = record.p ? bytes_u16(&record) : 0;
		if (b.bad || record.bad) {
			pdb_fail(pdb, error, "its symbol records are damaged");
			return false;
		}
		if (kind != S_PUB32 && kind != S_GDATA32 && kind != S_LDATA32)
			continue;
		bytes_u32(&record);	/* flags, or the type */
		struct pdb_symbol s = { NULL, bytes_u32(&record), 0 };
		s.segment = bytes_u16(&record);
		s.name = record_name(&record);
		if (!s.name) {
			pdb_fail(pdb, error, "a symbol's record is damaged");
			return false;
		}
		/* What is public goes before what is not. */
		if (kind == S_PUB32 || !g_hash_table_contains(pdb->symbols, s.name))
			g_hash_table_replace(pdb->symbols, (gpointer)s.name, g_memdup2(&s, sizeof(s)));
	}
	return true;
}

static bool read_symbols(struct pdb *pdb, const struct dbi *dbi, GError **error)
{
	bool rearranged = dbi->omap != PDB_NO_STREAM && dbi->original_sections != PDB_NO_STREAM;

	if (!read_sections(pdb, rearranged ? dbi->original_sections : dbi->sections, error))
		return false;
	if (rearranged && !read_omap(pdb, dbi->omap, error))
		return false;
	pdb->records = pdb_stream(pdb, dbi->records, error);
	return pdb->records && index_symbols(pdb, error);
}

bool pdb_find_symbol(const struct pdb *pdb, const char *name, uint64_t *rva)
{
	const struct pdb_symbol *s = g_hash_table_lookup(pdb->symbols, name);

	return s && symbol_rva(pdb, s, rva);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void pdb_each_symbol(const struct pdb *pdb, pdb_symbol_fn visit, void *user)
{
	guint n;
	g_autofree gpointer *names = g_hash_table_get_keys_as_array(pdb->symbols, &n);

	qsort(names, n, sizeof(*names), by_text);
	for (guint i = 0; i < n; i++) {
		uint64_t rva;
		if (pdb_find_symbol(pdb, names[i], &rva))
			visit(user, names[i], rva);
	}
}

/* Opening ---------------------------------------------------------------------- */

static bool load(struct pdb *pdb, GError **error)
{
	struct dbi dbi;

	return read_container(pdb, error) && read_dbi(pdb, &dbi, error) && read_identity(pdb, error) && pdb_load_types(pdb, error) &&
	       read_symbols(pdb, &dbi, error);
}

struct pdb *pdb_open_bytes(const void *data, size_t length, const char *name, GError **error)
{
	if (length > FILE_MAX) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT, "PDB file %s: larger than the limit pdb_file", name);
		return NULL;
	}
	AUTO(pdb) pdb = g_new0(struct pdb, 1);
	pdb->name = g_strdup(name);
	pdb->streams = g_array_new(FALSE, FALSE, sizeof(struct stream));
	pdb->types = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	pdb->sections = g_array_new(FALSE, FALSE, sizeof(struct range));
	pdb->omap = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	pdb->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	pdb->by_unique_name = g_hash_table_new(g_str_hash, g_str_equal);
	pdb->symbols = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	/* Everything needed is copied out of it while loading. */
	pdb->file = (uint8_t *)data;
	pdb->size = length;
	bool ok = load(pdb, error);
	pdb->file = NULL;
	return ok ? g_steal_pointer(&pdb) : NULL;
}

struct pdb *pdb_open(const char *path, GError **error)
{
	struct file *file = file_open(path, error);
	struct pdb *pdb;

	if (!file)
		return NULL;
	pdb = pdb_open_bytes(file->map, file->size, path, error);
	if (pdb && file->lost) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s changed or failed while it was read", path);
		pdb_close(pdb);
		pdb = NULL;
	}
	file_close(file);
	return pdb;
}

void pdb_close(struct pdb *pdb)
{
	if (!pdb)
		return;
	g_hash_table_destroy(pdb->symbols);
	g_hash_table_destroy(pdb->by_name);
	g_hash_table_destroy(pdb->by_unique_name);
	g_array_unref(pdb->streams);
	g_array_unref(pdb->types);
	g_array_unref(pdb->sections);
	g_array_unref(pdb->omap);
	g_clear_pointer(&pdb->directory, g_byte_array_unref);
	g_clear_pointer(&pdb->tpi, g_byte_array_unref);
	g_clear_pointer(&pdb->records, g_byte_array_unref);
	g_free(pdb->guid_age);
	g_free(pdb->name);
	g_free(pdb);
}

const char *pdb_guid_age(const struct pdb *pdb)
{
	return pdb->guid_age;
}

unsigned pdb_pointer_size(const struct pdb *pdb)
{
	return pdb->machine == PE_MACHINE_AMD64 || pdb->machine == PE_MACHINE_ARM64 ? 8 : 4;
}
