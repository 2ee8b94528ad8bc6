/* SPDX-License-Identifier: Apache-2.0 */
/* The TPI stream: type records, each by its index. */
#include <string.h>
#include "pdb_private.h"
#include "limit.h"

#define STREAM_TPI 2u
/* Linkers of Windows XP's time wrote the first, with the same records. */
#define TPI_VERSION_70 19990903u
#define TPI_VERSION_80 20040203u
/* Of a type's properties: declared, defined elsewhere; a name of its own (the decorated one) stands behind the name. */
#define FORWARD 0x80u
#define UNIQUE_NAME 0x200u

enum leaf {
	LF_MODIFIER = 0x1001, LF_POINTER = 0x1002, LF_FIELDLIST = 0x1203, LF_BITFIELD = 0x1205, LF_BCLASS = 0x1400,
	LF_VBCLASS = 0x1401, LF_IVBCLASS = 0x1402, LF_INDEX = 0x1404, LF_VFUNCTAB = 0x1409, LF_ENUMERATE = 0x1502,
	LF_ARRAY = 0x1503, LF_CLASS = 0x1504, LF_STRUCTURE = 0x1505, LF_UNION = 0x1506, LF_ENUM = 0x1507, LF_MEMBER = 0x150d,
	LF_STMEMBER = 0x150e, LF_METHOD = 0x150f, LF_NESTTYPE = 0x1510, LF_ONEMETHOD = 0x1511, LF_INTERFACE = 0x1519,
	LF_CLASS2 = 0x1608, LF_STRUCTURE2 = 0x1609,
	/* Numbers of 0x8000 and more are given by a leaf of their own. */
	LF_CHAR = 0x8000, LF_SHORT = 0x8001, LF_USHORT = 0x8002, LF_LONG = 0x8003, LF_ULONG = 0x8004, LF_QUADWORD = 0x8009,
	LF_UQUADWORD = 0x800a,
};

/* A number; negative ones are no size and no offset: bad. */
static uint64_t number(struct bytes *b)
{
	uint16_t leaf = bytes_u16(b);
	uint64_t v;

	if (leaf < LF_CHAR)
		return leaf;
	switch (leaf) {
	case LF_CHAR: v = bytes_u8(b); break;
	case LF_SHORT: case LF_USHORT: v = bytes_u16(b); break;
	case LF_LONG: case LF_ULONG: v = bytes_u32(b); break;
	case LF_QUADWORD: case LF_UQUADWORD: v = bytes_u64(b); break;
	default: b->bad = true; return 0;
	}
	if ((leaf == LF_CHAR && v >> 7) || (leaf == LF_SHORT && v >> 15) || (leaf == LF_LONG && v >> 31) ||
	    (leaf == LF_QUADWORD && v >> 63))
		b->bad = true;
	return b->bad ? 0 : v;
}

/* An enumerator's value may be negative; nobody wants it. */
static void skip_number(struct bytes *b)
{
	uint16_t leaf = bytes_u16(b);

	if (leaf < LF_CHAR)
		return;
	switch (leaf) {
	case LF_CHAR: bytes_take(b, 1); break;
	case LF_SHORT: case LF_USHORT: bytes_take(b, 2); break;
	case LF_LONG: case LF_ULONG: bytes_take(b, 4); break;
	case LF_QUADWORD: case LF_UQUADWORD: bytes_take(b, 8); break;
	default: b->bad = true;
	}
}

static const char *text(struct bytes *b)
{
	const char *start = (const char *)b->p;
	const uint8_t *end = b->bad || !b->n ? NULL : memchr(b->p, 0, b->n);

	if (!end) {
		b->bad = true;
		return "";
	}
	bytes_take(b, (size_t)(end - b->p) + 1);
	return start;
}

/* A type's record behind its length; its leaf is taken. 0: no such type. */
static uint16_t open_record(const struct pdb *pdb, uint32_t type, struct bytes *out)
{
	uint32_t at;

	*out = (struct bytes){ NULL, 0, true };
	if (type < pdb->first_type || type - pdb->first_type >= pdb->types->len)
		return 0;
	at = g_array_index(pdb->types, uint32_t, type - pdb->first_type);
	*out = (struct bytes){ pdb->tpi->data + at, pdb->tpi->len - at, false };
	size_t length = bytes_u16(out);
	*out = bytes_slice(*out, 0, length);
	return bytes_u16(out);
}

struct definition {
	enum pdb_kind kind;
	const char *name, *unique;	/* unique: NULL where it has none */
	uint32_t fields, properties;
	uint64_t size;
};

/* A struct, class, union or enum; false: something else, or damaged. */
static bool read_definition(const struct pdb *pdb, uint32_t type, struct definition *out)
{
	struct bytes b;
	uint16_t leaf = open_record(pdb, type, &b);

	*out = (struct definition){ PDB_OTHER, NULL, NULL, 0, 0, 0 };
	switch (leaf) {
	case LF_CLASS: case LF_STRUCTURE: case LF_INTERFACE:
		out->kind = PDB_STRUCT;
		bytes_u16(&b);
		out->properties = bytes_u16(&b);
		out->fields = bytes_u32(&b);
		bytes_take(&b, 8);	/* derived from, shape of virtual functions */
		out->size = number(&b);
		break;
	case LF_CLASS2: case LF_STRUCTURE2:	/* without a count, and with wider properties */
		out->kind = PDB_STRUCT;
		out->properties = bytes_u32(&b);
		out->fields = bytes_u32(&b);
		bytes_take(&b, 10);
		out->size = number(&b);
		break;
	case LF_UNION:
		out->kind = PDB_UNION;
		bytes_u16(&b);
		out->properties = bytes_u16(&b);
		out->fields = bytes_u32(&b);
		out->size = number(&b);
		break;
	case LF_ENUM:
		out->kind = PDB_ENUM;
		bytes_u16(&b);
		out->properties = bytes_u16(&b);
		bytes_u32(&b);
		out->fields = bytes_u32(&b);
		break;
	default:
		return false;
	}
	out->name = text(&b);
	if (out->properties & UNIQUE_NAME && !b.bad && b.n)
		out->unique = text(&b);
	return !b.bad;
}

bool pdb_load_types(struct pdb *pdb, GError **error)
{
	struct bytes b, header;
	uint32_t at, version, header_size, end, size;

	pdb->tpi = pdb_stream(pdb, STREAM_TPI, error);
	if (!pdb->tpi)
		return false;
	header = (struct bytes){ pdb->tpi->data, pdb->tpi->len, false };
	version = bytes_u32(&header);
	header_size = bytes_u32(&header);
	pdb->first_type = bytes_u32(&header);
	end = bytes_u32(&header);
	size = bytes_u32(&header);
	b = bytes_slice((struct bytes){ pdb->tpi->data, pdb->tpi->len, false }, header_size, size);
	if (header.bad || b.bad || (version != TPI_VERSION_70 && version != TPI_VERSION_80) || pdb->first_type != 0x1000 || end < pdb->first_type) {
		pdb_fail(pdb, error, "its type stream's header makes no sense");
		return false;
	}
	while (b.n) {
		at = (uint32_t)(b.p - pdb->tpi->data);
		size_t length = bytes_u16(&b);
		if (length < 2 || !bytes_take(&b, length)) {
			pdb_fail(pdb, error, "type 0x%x is damaged", pdb->first_type + pdb->types->len);
			return false;
		}
		g_array_append_val(pdb->types, at);
	}
	if (pdb->types->len != end - pdb->first_type) {
		pdb_fail(pdb, error, "it says %u types and has %u", end - pdb->first_type, pdb->types->len);
		return false;
	}
	for (uint32_t i = 0; i < pdb->types->len; i++) {
		struct definition d;

		if (!read_definition(pdb, pdb->first_type + i, &d)) {
			if (d.kind == PDB_OTHER)
				continue;
			pdb_fail(pdb, error, "type 0x%x is damaged", pdb->first_type + i);
			return false;
		}
		if (d.properties & FORWARD)
			continue;
		if (!g_hash_table_contains(pdb->by_name, d.name))
			g_hash_table_insert(pdb->by_name, (gpointer)d.name, GUINT_TO_POINTER(pdb->first_type + i));
		if (d.unique && !g_hash_table_contains(pdb->by_unique_name, d.unique))
			g_hash_table_insert(pdb->by_unique_name, (gpointer)d.unique, GUINT_TO_POINTER(pdb->first_type + i));
	}
	return true;
}

uint32_t pdb_find_type(const struct pdb *pdb, const char *name)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(pdb->by_name, name));
}

/* Of a declaration. Several types may share a name (those without one do); then the unique name tells which. 0: none. */
static uint32_t find_definition(const struct pdb *pdb, const struct definition *declared)
{
	if (declared->unique)
		return GPOINTER_TO_UINT(g_hash_table_lookup(pdb->by_unique_name, declared->unique));
	return pdb_find_type(pdb, declared->name);
}

enum pdb_kind pdb_type_kind(const struct pdb *pdb, uint32_t type)
{
	struct definition d;

	return read_definition(pdb, type, &d) ? d.kind : PDB_OTHER;
}

const char *pdb_type_name(const struct pdb *pdb, uint32_t type)
{
	struct definition d;

	return read_definition(pdb, type, &d) ? d.name : NULL;
}

/* Types below 0x1000 are the compiler's own: a kind, and whether it is a pointer to that. */
static bool simple_size(uint32_t type, uint64_t *size)
{
	static const struct { uint8_t kind, size; } kinds[] = {
		{ 0x03, 0 }, { 0x08, 4 }, { 0x10, 1 }, { 0x11, 2 }, { 0x12, 4 }, { 0x13, 8 }, { 0x14, 16 }, { 0x20, 1 }, { 0x21, 2 },
		{ 0x22, 4 }, { 0x23, 8 }, { 0x24, 16 }, { 0x30, 1 }, { 0x31, 2 }, { 0x32, 4 }, { 0x33, 8 }, { 0x40, 4 }, { 0x41, 8 },
		{ 0x42, 10 }, { 0x43, 16 }, { 0x44, 6 }, { 0x46, 2 }, { 0x68, 1 }, { 0x69, 1 }, { 0x70, 1 }, { 0x71, 2 }, { 0x72, 2 },
		{ 0x73, 2 }, { 0x74, 4 }, { 0x75, 4 }, { 0x76, 8 }, { 0x77, 8 }, { 0x78, 16 }, { 0x79, 16 }, { 0x7a, 2 }, { 0x7b, 4 },
		{ 0x7c, 1 },
	};

	switch (type >> 8) {
	case 0: break;
	case 4: *size = 4; return true;
	case 6: *size = 8; return true;
	case 7: *size = 16; return true;
	default: return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (kinds[i].kind == (type & 0xff)) {
			*size = kinds[i].size;
			return true;
		}
	return false;
}

/* By a pointer's attributes; old ones don't tell its size (0), but whether it is near (0x0a) or of 64 bits (0x0c). */
static unsigned pointer_size(uint32_t attributes)
{
	unsigned size = attributes >> 13 & 0x3f, kind = attributes & 0x1f;

	return size ? size : kind == 0x0a ? 4 : kind == 0x0c ? 8 : 0;
}

bool pdb_type_size(const struct pdb *pdb, uint32_t type, uint64_t *size)
{
	struct definition d;
	struct bytes b;
	uint32_t found;

	for (unsigned depth = 0; depth < FIXED_pdb_depth; depth++) {
		if (type < pdb->first_type)
			return simple_size(type, size);
		if (read_definition(pdb, type, &d) && d.kind != PDB_ENUM) {
			if (!(d.properties & FORWARD)) {
				*size = d.size;
				return true;
			}
			found = find_definition(pdb, &d);
			if (!found || found == type)
				return false;
			type = found;
			continue;
		}
		switch (open_record(pdb, type, &b)) {
		case LF_MODIFIER: case LF_BITFIELD:
			type = bytes_u32(&b);
			break;
		case LF_ENUM:
			bytes_take(&b, 4);
			type = bytes_u32(&b);
			break;
		case LF_POINTER:
			bytes_u32(&b);
			*size = pointer_size(bytes_u32(&b));
			return !b.bad && *size;
		case LF_ARRAY:
			bytes_take(&b, 8);
			*size = number(&b);
			return !b.bad;
		default:
			return false;
		}
		if (b.bad)
			return false;
	}
	return false;
}

/* Members ---------------------------------------------------------------------- */

/* Bits of a bit field's record; the member's type is then the integer. */
static void read_bits(const struct pdb *pdb, struct pdb_member *m, struct bytes *list)
{
	struct bytes b;

	if (open_record(pdb, m->type, &b) != LF_BITFIELD)
		return;
	m->type = bytes_u32(&b);
	m->bits = bytes_u8(&b);
	m->bit = bytes_u8(&b);
	if (b.bad || !m->bits)
		list->bad = true;
}

/* One member of a list; false: the list is damaged. *next: the list that this one goes on in. */
static bool take_member(const struct pdb *pdb, struct bytes *b, struct pdb_member *m, bool *data, uint32_t *next)
{
	uint16_t leaf = bytes_u16(b), attributes = bytes_u16(b);

	*data = false;
	switch (leaf) {
	case LF_MEMBER:
		m->type = bytes_u32(b);
		m->offset = number(b);
		m->name = text(b);
		*data = true;
		read_bits(pdb, m, b);
		break;
	case LF_ENUMERATE:
		skip_number(b);
		text(b);
		break;
	case LF_STMEMBER: case LF_METHOD: case LF_NESTTYPE:
		bytes_u32(b);
		text(b);
		break;
	case LF_ONEMETHOD:
		bytes_u32(b);
		/* Those that introduce a virtual function say where its slot is. */
		if ((attributes >> 2 & 7) == 4 || (attributes >> 2 & 7) == 6)
			bytes_u32(b);
		text(b);
		break;
	case LF_BCLASS:
		bytes_u32(b);
		number(b);
		break;
	case LF_VBCLASS: case LF_IVBCLASS:
		bytes_take(b, 8);
		number(b);
		number(b);
		break;
	case LF_VFUNCTAB:
		bytes_u32(b);
		break;
	case LF_INDEX:
		*next = bytes_u32(b);
		break;
	default:
		b->bad = true;
	}
	/* Padding says in its low half how far the next member is. */
	while (!b->bad && b->n && *b->p > 0xf0)
		bytes_take(b, MIN(*b->p & 0x0fu, b->n));
	return !b->bad;
}

bool pdb_each_member(const struct pdb *pdb, uint32_t type, pdb_member_fn visit, void *user, GError **error)
{
	struct definition d;
	uint32_t list, next;
	struct bytes b;

	if (!read_definition(pdb, type, &d) || d.kind == PDB_ENUM)
		return true;
	list = d.fields;
	for (unsigned lists = 0; list; lists++, list = next) {
		next = 0;
		if (lists == FIXED_pdb_lists || open_record(pdb, list, &b) != LF_FIELDLIST) {
			pdb_fail(pdb, error, "the members of %s are damaged", d.name);
			return false;
		}
		while (b.n) {
			struct pdb_member m = { NULL, 0, 0, 0, 0 };
			bool data;

			if (!take_member(pdb, &b, &m, &data, &next)) {
				pdb_fail(pdb, error, "a member of %s is damaged", d.name);
				return false;
			}
			if (data)
				visit(user, &m);
		}
	}
	return true;
}

struct finder {
	const struct pdb *pdb;
	const char *name;
	struct pdb_member *out;
	GArray *unnamed;	/* struct pdb_member */
	bool found;
};

static void match(void *user, const struct pdb_member *m)
{
	struct finder *f = user;

	if (!f->found && !strcmp(m->name, f->name)) {
		*f->out = *m;
		f->found = true;
	} else if (!*m->name || !strcmp(m->name, "<unnamed-tag>") || !strcmp(m->name, "__unnamed")) {
		g_array_append_val(f->unnamed, *m);
	}
}

/* Breadth first; one record may be looked at from several places, hence the limit. */
bool pdb_find_member(const struct pdb *pdb, uint32_t type, const char *name, struct pdb_member *out, GError **error)
{
	g_autoptr(GArray) unnamed = g_array_new(FALSE, FALSE, sizeof(struct pdb_member));
	struct finder f = { pdb, name, out, unnamed, false };

	if (!pdb_each_member(pdb, type, match, &f, error) || f.found)
		return f.found;
	for (guint i = 0; i < unnamed->len && i < 64; i++) {
		struct pdb_member inner = g_array_index(unnamed, struct pdb_member, i);
		guint before = unnamed->len;
		struct definition d;
		uint32_t definition = inner.type;

		if (read_definition(pdb, inner.type, &d) && (d.properties & FORWARD))
			definition = find_definition(pdb, &d);
		if (!pdb_each_member(pdb, definition, match, &f, error))
			return false;
		for (guint j = before; j < unnamed->len; j++)
			g_array_index(unnamed, struct pdb_member, j).offset += inner.offset;
		if (f.found) {
			out->offset += inner.offset;
			return true;
		}
	}
	return false;
}

void pdb_each_type(const struct pdb *pdb, pdb_type_fn visit, void *user)
{
	for (uint32_t i = 0; i < pdb->types->len; i++) {
		struct definition d;

		if (read_definition(pdb, pdb->first_type + i, &d) && !(d.properties & FORWARD))
			visit(user, pdb->first_type + i);
	}
}
