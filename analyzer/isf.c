/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volatility 3's symbol files ("intermediate symbol format"): JSON, mostly packed
 * with xz. Format: Volatility's schemas (schema-6.x.json) and what its PDB
 * converter writes.
 *
 * We look up what layout.def names and nothing else, so a file costs its parsing.
 * A symbol file is the user's, but may come from anywhere: sizes are bounded
 * before they cost memory and each value's type is checked.
 */
#include <errno.h>
#include <jansson.h>
#include <lzma.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>
#include "error.h"
#include "layout.h"
#include "limit.h"

/* The kernels' files have 6 to 16 MB and under a million values. Jansson needs up to
 * about 120 bytes a value, so these bound its memory, too. */
#define TEXT_MAX ((guint)limit(symbol_file))
#define VALUES_MAX ((guint)limit(symbol_values))
#define UNPACK_MEMORY_MAX limit(unpack_memory)
/* How deep array types and anonymous members may nest; one load may look at so many
 * anonymous members in all. */

struct isf {
	const char *path;
	json_t *base_types, *user_types, *enums, *symbols;
	unsigned pointer_size;
	unsigned anonymous;	/* anonymous members looked at */
	struct layout *layout;
	GError *error;		/* the first; later values are left alone */
};

static void G_GNUC_PRINTF(2, 3) fail(struct isf *isf, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list args;

	if (isf->error)
		return;
	va_start(args, format);
	reason = g_strdup_vprintf(format, args);
	va_end(args);
	isf->error = g_error_new(MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "symbol file %s: %s", isf->path, reason);
}

/* Unpacking ---------------------------------------------------------------- */

static const char *grow(GByteArray *out, uint8_t **next, size_t *room)
{
	guint used = out->len, more = MIN(MAX(used, 1u << 20), TEXT_MAX + 1 - used);

	if (!more)
		return "larger than 64 MiB when unpacked";
	g_byte_array_set_size(out, used + more);
	*next = out->data + used;
	*room = more;
	return NULL;
}

static const char *unpack_xz(const uint8_t *in, size_t length, GByteArray *out)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	const char *reason = NULL;
	lzma_ret ret = LZMA_OK;

	if (lzma_stream_decoder(&stream, UNPACK_MEMORY_MAX, LZMA_CONCATENATED) != LZMA_OK)
		return "no memory";
	stream.next_in = in;
	stream.avail_in = length;
	while (ret == LZMA_OK && !reason) {
		if (!stream.avail_out)
			reason = grow(out, &stream.next_out, &stream.avail_out);
		if (!reason)
			ret = lzma_code(&stream, LZMA_FINISH);
	}
	g_byte_array_set_size(out, out->len - (guint)stream.avail_out);
	lzma_end(&stream);
	return reason ? reason : ret != LZMA_STREAM_END ? "damaged xz data" : NULL;
}

static const char *unpack_gz(const uint8_t *in, size_t length, GByteArray *out)
{
	z_stream stream = { .next_in = (uint8_t *)in, .avail_in = (uInt)length };
	const char *reason = NULL;
	int ret = Z_OK;

	if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
		return "no memory";
	while (ret == Z_OK && !reason) {
		size_t room = stream.avail_out;

		if (!room)
			reason = grow(out, &stream.next_out, &room);
		stream.avail_out = (uInt)room;
		if (!reason)
			ret = inflate(&stream, Z_NO_FLUSH);
	}
	g_byte_array_set_size(out, out->len - stream.avail_out);
	inflateEnd(&stream);
	return reason ? reason : ret != Z_STREAM_END ? "damaged gzip data" : NULL;
}

/* A file's text, unpacked by what its first bytes say rather than its name. */
static GByteArray *read_text(struct isf *isf)
{
	static const uint8_t xz[] = { 0xfd, '7', 'z', 'X', 'Z', 0 }, gz[] = { 0x1f, 0x8b };
	g_autoptr(GByteArray) out = g_byte_array_new();
	g_autofree char *data = NULL;
	g_autoptr(GError) error = NULL;
	const char *reason = NULL;
	struct stat st;
	gsize length;

	if (stat(isf->path, &st)) {
		isf->error = g_error_new(MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "symbol file %s: %s", isf->path,
					 g_strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode))
		reason = "not a regular file";
	else if (st.st_size > TEXT_MAX)
		reason = "larger than 64 MiB";
	if (reason) {
		fail(isf, "%s", reason);
		return NULL;
	}
	if (!g_file_get_contents(isf->path, &data, &length, &error)) {
		isf->error = g_error_new(MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "symbol file: %s", error->message);
		return NULL;
	}
	if (length > TEXT_MAX)
		reason = "larger than 64 MiB";
	else if (length >= sizeof(xz) && !memcmp(data, xz, sizeof(xz)))
		reason = unpack_xz((uint8_t *)data, length, out);
	else if (length >= sizeof(gz) && !memcmp(data, gz, sizeof(gz)))
		reason = unpack_gz((uint8_t *)data, length, out);
	else
		g_byte_array_append(out, (uint8_t *)data, (guint)length);
	if (!reason && out->len > TEXT_MAX)
		reason = "larger than 64 MiB when unpacked";
	if (reason) {
		fail(isf, "%s", reason);
		return NULL;
	}
	return g_steal_pointer(&out);
}

static json_t *read_json(struct isf *isf)
{
	g_autoptr(GByteArray) text = read_text(isf);
	unsigned values = 0;
	json_error_t error;
	json_t *root;

	if (!text)
		return NULL;
	/* Every value but the first follows one of these. */
	for (guint i = 0; i < text->len; i++)
		values += text->data[i] == ',' || text->data[i] == '[' || text->data[i] == '{';
	if (values > VALUES_MAX) {
		fail(isf, "more than %u values", VALUES_MAX);
		return NULL;
	}
	root = json_loadb((const char *)text->data, text->len, 0, &error);
	if (!root)
		fail(isf, "line %d: %s", error.line, error.text);
	return root;
}

/* Values ------------------------------------------------------------------- */

static json_t *get_object(struct isf *isf, json_t *parent, const char *key)
{
	json_t *value = json_object_get(parent, key);

	if (!json_is_object(value))
		fail(isf, "no object \"%s\"", key);
	return json_is_object(value) ? value : NULL;
}

/* A non-negative integer; false and no error recorded otherwise. */
static bool get_uint(json_t *parent, const char *key, uint64_t *out)
{
	json_t *value = json_object_get(parent, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*out = (uint64_t)json_integer_value(value);
	return true;
}

static const char *get_string(json_t *parent, const char *key)
{
	const char *s = json_string_value(json_object_get(parent, key));

	return s ? s : "";
}

/*
 * Size in bytes of a field's type. An array without elements, as at a structure's
 * open end, has the size of one: size 0 would say that there's no such field.
 */
static bool type_size(struct isf *isf, json_t *type, uint64_t *size)
{
	uint64_t factor = 1, count;
	json_t *found;

	for (unsigned depth = 0; depth < FIXED_symbol_depth; depth++) {
		const char *kind = get_string(type, "kind"), *name = get_string(type, "name");

		if (!strcmp(kind, "array")) {
			if (!get_uint(type, "count", &count))
				return false;
			/* Saturated: what is larger than 0xffff is all the same to a struct field. */
			factor = MIN(factor * CLAMP(count, 1, 0x10000), 0x10000);
			type = json_object_get(type, "subtype");
			continue;
		}
		if (!strcmp(kind, "pointer")) {
			found = json_object_get(type, "base");
			if (!found) {
				*size = factor * isf->pointer_size;
				return true;
			}
			found = json_object_get(isf->base_types, json_is_string(found) ? json_string_value(found) : "");
		} else if (!strcmp(kind, "base")) {
			found = json_object_get(isf->base_types, name);
		} else if (!strcmp(kind, "enum")) {
			found = json_object_get(isf->enums, name);
		} else if (!strcmp(kind, "struct") || !strcmp(kind, "union") || !strcmp(kind, "class")) {
			found = json_object_get(isf->user_types, name);
		} else {
			return false;
		}
		if (!get_uint(found, "size", size))
			return false;
		*size = MIN(*size, 0x10000) * factor;
		return true;
	}
	return false;
}

/*
 * A member by name, those of anonymous unions and structures included; *offset
 * grows by where it lies. NULL: none. Jansson lets no JSON nest deep enough to matter, but
 * the types refer to each other by name, even in a circle: hence depth and count.
 */
static json_t *find_member(struct isf *isf, const char *type, const char *member, unsigned depth, uint64_t *offset)
{
	json_t *fields = json_object_get(json_object_get(isf->user_types, type), "fields");
	json_t *found = json_object_get(fields, member), *field;
	const char *key;
	uint64_t own;

	if (found) {
		if (!get_uint(found, "offset", &own))
			fail(isf, "%s.%s: no offset", type, member);
		else
			*offset += MIN(own, UINT32_MAX);
		return found;
	}
	if (depth == FIXED_symbol_depth)
		return NULL;
	json_object_foreach(fields, key, field) {
		json_t *inner = json_object_get(field, "type");
		uint64_t before = *offset;

		if (!json_is_true(json_object_get(field, "anonymous")))
			continue;
		if (++isf->anonymous > limit(symbol_anonymous)) {
			fail(isf, "too many anonymous members");
			return NULL;
		}
		if (!get_uint(field, "offset", &own)) {
			fail(isf, "%s.%s: no offset", type, key);
			return NULL;
		}
		*offset += MIN(own, UINT32_MAX);
		found = find_member(isf, get_string(inner, "name"), member, depth + 1, offset);
		if (found || isf->error)
			return found;
		*offset = before;
	}
	return NULL;
}

static void load_field(void *user, const char *type, const char *member, struct field *field)
{
	uint64_t offset = 0, size, bit = 0, bits = 0;
	struct isf *isf = user;
	json_t *found, *of;

	if (isf->error)
		return;
	found = find_member(isf, type, member, 0, &offset);
	if (!found || isf->error)
		return;
	of = json_object_get(found, "type");
	if (!strcmp(get_string(of, "kind"), "bitfield")) {
		if (!get_uint(of, "bit_position", &bit) || !get_uint(of, "bit_length", &bits)) {
			fail(isf, "%s.%s: bit field without bit_position or bit_length", type, member);
			return;
		}
		of = json_object_get(of, "type");
		if (!type_size(isf, of, &size) || size > 8 || bits < 1 || bits > 64 || bit > 63 ||
		    bit + bits > size * 8) {
			fail(isf, "%s.%s: impossible bit field", type, member);
			return;
		}
	} else if (!type_size(isf, of, &size)) {
		fail(isf, "%s.%s: no known size", type, member);
		return;
	}
	/* None of ours lies that far. */
	if (offset > UINT16_MAX)
		return;
	*field = (struct field){ .offset = (uint16_t)offset, .size = (uint16_t)MIN(size, UINT16_MAX),
				 .bit = (uint8_t)bit, .bits = (uint8_t)bits };
}

static void load_size(void *user, const char *type, uint32_t *size)
{
	struct isf *isf = user;
	json_t *found = json_object_get(isf->user_types, type);
	uint64_t value;

	if (!found || isf->error)
		return;
	if (!get_uint(found, "size", &value) || value > UINT32_MAX)
		fail(isf, "%s: no size", type);
	else if (!json_is_object(json_object_get(found, "fields")))
		fail(isf, "%s: no fields", type);
	else
		*size = (uint32_t)value;
}

static void load_symbol(void *user, const char *name, uint64_t *rva)
{
	struct isf *isf = user;
	json_t *found = json_object_get(isf->symbols, name);

	if (found && !isf->error && !get_uint(found, "address", rva))
		fail(isf, "symbol %s: no address", name);
}

/* 32 hex digits and an age that fits in 32 bits. */
static bool valid_guid_age(const char *guid_age)
{
	size_t digits = strspn(guid_age, "0123456789ABCDEFabcdef");

	return digits > 32 && digits <= 40 && !guid_age[digits];
}

static void load_identity(struct isf *isf, json_t *metadata)
{
	json_t *windows = get_object(isf, metadata, "windows");
	json_t *pdb = get_object(isf, windows, "pdb");
	g_autofree char *guid = NULL;
	uint64_t age;

	if (!pdb)
		return;
	guid = g_ascii_strup(get_string(pdb, "GUID"), -1);
	if (strlen(guid) != 32 || strspn(guid, "0123456789ABCDEF") != 32)
		fail(isf, "metadata: no valid GUID");
	else if (!get_uint(pdb, "age", &age) || age > UINT32_MAX)
		fail(isf, "metadata: no valid age");
	else
		isf->layout->guid_age = g_strdup_printf("%s%X", guid, (unsigned)age);
}

static void load(struct isf *isf, json_t *root)
{
	uint64_t pointer;

	if (!json_is_object(root)) {
		fail(isf, "not a JSON object");
		return;
	}
	isf->base_types = get_object(isf, root, "base_types");
	isf->user_types = get_object(isf, root, "user_types");
	isf->enums = get_object(isf, root, "enums");
	isf->symbols = get_object(isf, root, "symbols");
	load_identity(isf, get_object(isf, root, "metadata"));
	if (isf->error)
		return;
	if (!get_uint(json_object_get(isf->base_types, "pointer"), "size", &pointer) || (pointer != 4 && pointer != 8)) {
		fail(isf, "no base type \"pointer\" of 4 or 8 bytes");
		return;
	}
	isf->layout->pointer_size = isf->pointer_size = (unsigned)pointer;
	layout_visit_sizes(isf->layout, load_size, isf);
	layout_visit_fields(isf->layout, load_field, isf);
	layout_visit_symbols(isf->layout, load_symbol, isf);
	if (!isf->layout->eprocess.size_)
		fail(isf, "no _EPROCESS: not a kernel's symbols");
}

struct layout *layout_load_isf(const char *path, GError **error)
{
	AUTO(layout) layout = layout_create();
	struct isf isf = { .path = path, .layout = layout };
	json_t *root = read_json(&isf);

	if (root)
		load(&isf, root);
	json_decref(root);
	if (isf.error) {
		g_propagate_error(error, isf.error);
		return NULL;
	}
	layout_finish(layout);
	layout->source = LAYOUT_ISF;
	layout->origin = g_strdup(path);
	return g_steal_pointer(&layout);
}

static struct layout *load_found(const char *path, const char *guid_age, GError **error)
{
	AUTO(layout) layout = layout_load_isf(path, error);

	if (layout && g_ascii_strcasecmp(layout->guid_age, guid_age)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "symbol file %s: is that of %s", path,
			    layout->guid_age);
		return NULL;
	}
	return g_steal_pointer(&layout);
}

struct layout *layout_find_isf(const char *const *directories, const char *guid_age, GError **error)
{
	/* Names that Microsoft's linker gave the kernel's symbols: one or several processors, without or with PAE. */
	static const char *const places[] = {
		"", "ntkrnlmp.pdb", "ntkrpamp.pdb", "ntoskrnl.pdb", "ntkrnlpa.pdb", "windows", "windows/ntkrnlmp.pdb",
		"windows/ntkrpamp.pdb", "windows/ntoskrnl.pdb", "windows/ntkrnlpa.pdb",
	};
	static const char *const suffixes[] = { ".json.xz", ".json.gz", ".json" };
	g_autofree char *guid = NULL, *name = NULL;

	if (!valid_guid_age(guid_age))
		return NULL;
	guid = g_ascii_strup(guid_age, 32);
	/* Volatility writes the age in decimal. */
	name = g_strdup_printf("%s-%u", guid, (unsigned)g_ascii_strtoull(guid_age + 32, NULL, 16));
	for (; *directories; directories++) {
		for (size_t p = 0; p < G_N_ELEMENTS(places); p++) {
			for (size_t s = 0; s < G_N_ELEMENTS(suffixes); s++) {
				g_autofree char *file = g_strconcat(name, suffixes[s], NULL);
				g_autofree char *path = g_build_filename(*directories, places[p], file, NULL);

				if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
					return load_found(path, guid_age, error);
			}
		}
	}
	return NULL;
}
