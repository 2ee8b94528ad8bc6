/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Imports and imphash. In memory the loader has written the IAT over with addresses, so
 * names come from the import name table (OriginalFirstThunk) if the image has one.
 */
#include <string.h>
#include "pe_private.h"

enum { IMPORT_DESCRIPTOR_SIZE = 20, DELAY_DESCRIPTOR_SIZE = 32, JUNK = 256 };

/* One DLL's slots: what they have in common. */
struct thunks {
	const char *dll;
	uint32_t names;		/* RVA of the import name table, 0: none */
	uint32_t slots;		/* RVA of the IAT */
	bool bound, delay;
	bool names_are_va;	/* of old delay-load descriptors */
};

/*
 * Note a fault; of the import directory also apart from garbage, which is part of the image: what hides something may come
 * after it.
 */
static void note_import(struct pe *pe, bool delay, enum fault *first, enum fault fault)
{
	pe_note(first, fault);
	if (!delay && fault != FAULT_IMPLAUSIBLE)
		pe_note(&pe->private->import_fault, fault);
}

/* Names that linkers and compilers make; a resolved address seldom leads to one. */
static bool name_plausible(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++)
		if ((unsigned char)*name <= ' ' || (unsigned char)*name >= 0x7f)
			return false;
	return true;
}

static enum fault read_hint_and_name(struct pe *pe, uint32_t rva, struct pe_import *import)
{
	uint8_t hint[2];
	struct bytes b = { hint, sizeof hint, false };
	enum fault fault = pe_read(pe, rva, hint, sizeof hint);
	const char *name;

	if (fault == FAULT_NONE)
		fault = rva <= UINT32_MAX - 2 ? pe_read_text(pe, rva + 2, PE_MAX_SYMBOL, &name) : FAULT_IMPLAUSIBLE;
	if (fault != FAULT_NONE)
		return fault;
	if (!name_plausible(name))
		return FAULT_IMPLAUSIBLE;
	import->kind = PE_IMPORT_BY_NAME;
	import->hint = bytes_u16(&b);
	import->name = name;
	return FAULT_NONE;
}

/*
 * What a thunk says of its import. In the IAT a value may as well be the address that
 * was resolved: of the kernel's, the top bit is set too, so ordinals must be small.
 */
static enum fault read_thunk(struct pe *pe, const struct thunks *t, uint64_t value, bool from_slots,
			     struct pe_import *import)
{
	uint64_t flag = pe->is_64bit ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
	uint32_t rva = (uint32_t)value;

	if (value & flag && !(from_slots && (value & ~flag) > UINT16_MAX)) {
		import->kind = PE_IMPORT_BY_ORDINAL;
		import->ordinal = (uint16_t)value;
		return FAULT_NONE;
	}
	if (t->names_are_va && !from_slots)
		pe_va_to_rva(pe, value, &rva);
	else if (value >= pe_extent(pe))
		return FAULT_IMPLAUSIBLE;
	return read_hint_and_name(pe, rva, import);
}

static enum fault read_thunks(struct pe *pe, const struct thunks *t, GArray *imports)
{
	unsigned width = pe_slot_size(pe);
	enum fault first = FAULT_NONE;
	uint32_t table = t->names ? t->names : t->slots, junk = 0;

	for (uint32_t i = 0; ; i++) {
		struct pe_import import = {
			.dll = t->dll, .kind = PE_IMPORT_UNKNOWN, .bound = t->bound, .delay = t->delay,
		};
		uint8_t buffer[8];
		struct bytes b = { buffer, width, false };
		enum fault fault = FAULT_IMPLAUSIBLE;
		uint64_t value;
		uint32_t at;

		if (imports->len >= PE_MAX_IMPORTS)
			return FAULT_LIMIT;
		if (!pe_element(t->slots, i, width, &import.iat_rva))
			return first == FAULT_NONE ? FAULT_IMPLAUSIBLE : first;
		if (pe_element(table, i, width, &at))
			fault = pe_read(pe, at, buffer, width);
		if (fault != FAULT_NONE) {
			note_import(pe, t->delay, &first, fault);
			if (table == t->slots)
				return first;
			/* No names from here on, but the slots may be there. */
			table = t->slots;
			i--;
			continue;
		}
		value = bytes_le(&b, width);
		if (!value)
			return first;
		fault = read_thunk(pe, t, value, table == t->slots, &import);
		/* That a slot holds an address and no name is as it should be. */
		if (table != t->slots)
			note_import(pe, t->delay, &first, fault);
		else if (fault != FAULT_NONE && !t->delay && (value >= pe_extent(pe) || fault != FAULT_IMPLAUSIBLE))
			pe->private->names_lost = true;
		/* What leads nowhere from the start is no table. */
		junk += fault == FAULT_IMPLAUSIBLE && (table != t->slots || value < pe_extent(pe));
		if (junk == JUNK && junk == i + 1) {
			g_array_set_size(imports, imports->len - i);
			return FAULT_IMPLAUSIBLE;
		}
		g_array_append_val(imports, import);
	}
}

static enum fault parse_import_directory(struct pe *pe, GArray *imports)
{
	uint32_t directory = pe->directories[PE_DIRECTORY_IMPORT].rva;
	enum fault first = FAULT_NONE;

	if (!directory)
		return FAULT_NONE;
	for (uint32_t i = 0; i < PE_MAX_IMPORT_DLLS; i++) {
		uint8_t buffer[IMPORT_DESCRIPTOR_SIZE];
		struct bytes b = { buffer, sizeof buffer, false };
		struct thunks t = { 0 };
		uint32_t at, name, timestamp;
		enum fault fault = FAULT_IMPLAUSIBLE;

		if (pe_element(directory, i, sizeof buffer, &at))
			fault = pe_read(pe, at, buffer, sizeof buffer);
		if (fault != FAULT_NONE) {
			note_import(pe, false, &first, fault);
			return first;
		}
		t.names = bytes_u32(&b);
		timestamp = bytes_u32(&b);
		bytes_take(&b, 4);	/* forwarder chain */
		name = bytes_u32(&b);
		t.slots = bytes_u32(&b);
		if (!name || !t.slots)	/* where the loader stops */
			return first;
		/* The loader takes no name table from within the headers. */
		if (t.names < pe->size_of_headers)
			t.names = 0;
		t.bound = timestamp != 0;
		guint before = imports->len;
		enum fault name_fault = pe_read_text(pe, name, PE_MAX_NAME, &t.dll);
		fault = read_thunks(pe, &t, imports);
		/* The name of a DLL that nothing is imported from doesn't matter, to imphash neither. */
		if (imports->len > before || fault != FAULT_NONE)
			note_import(pe, false, &first, name_fault);
		note_import(pe, false, &first, fault);
		if (fault == FAULT_LIMIT && imports->len >= PE_MAX_IMPORTS)
			return first;
	}
	note_import(pe, false, &first, FAULT_LIMIT);
	return first;
}

static enum fault parse_delay_directory(struct pe *pe, GArray *imports)
{
	uint32_t directory = pe->directories[PE_DIRECTORY_DELAY_IMPORT].rva;
	enum fault first = FAULT_NONE;

	if (!directory)
		return FAULT_NONE;
	for (uint32_t i = 0; i < PE_MAX_IMPORT_DLLS; i++) {
		uint8_t buffer[DELAY_DESCRIPTOR_SIZE];
		struct bytes b = { buffer, sizeof buffer, false };
		struct thunks t = { .delay = true };
		uint32_t at, name;
		enum fault fault = FAULT_IMPLAUSIBLE;

		if (pe_element(directory, i, sizeof buffer, &at))
			fault = pe_read(pe, at, buffer, sizeof buffer);
		if (fault != FAULT_NONE) {
			pe_note(&first, fault);
			return first;
		}
		t.names_are_va = !(bytes_u32(&b) & 1);
		name = bytes_u32(&b);
		bytes_take(&b, 4);	/* module handle */
		t.slots = bytes_u32(&b);
		t.names = bytes_u32(&b);
		bytes_take(&b, 8);	/* bound and unload IAT */
		t.bound = bytes_u32(&b) != 0;
		if (!name || !t.slots)
			return first;
		if (t.names_are_va) {
			/* Before Visual C++ 7; what is no such address is taken for an RVA. */
			pe_va_to_rva(pe, name, &name);
			pe_va_to_rva(pe, t.slots, &t.slots);
			pe_va_to_rva(pe, t.names, &t.names);
		}
		pe_note(&first, pe_read_text(pe, name, PE_MAX_NAME, &t.dll));
		fault = read_thunks(pe, &t, imports);
		pe_note(&first, fault);
		if (fault == FAULT_LIMIT && imports->len >= PE_MAX_IMPORTS)
			return first;
	}
	pe_note(&first, FAULT_LIMIT);
	return first;
}

static enum fault parse_imports(struct pe *pe, const void **value)
{
	GArray *imports = pe_new_array(pe, sizeof(struct pe_import));
	enum fault fault = parse_import_directory(pe, imports);

	pe_note(&fault, parse_delay_directory(pe, imports));
	*value = imports;
	return fault;
}

const GArray *pe_imports(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_IMPORTS, parse_imports, fault);
}

/* ---- imphash ---- */

static bool made_of(const char *text, const char *others)
{
	for (; *text; text++)
		if (!g_ascii_isalnum(*text) && !strchr(others, *text))
			return false;
	return true;
}

/*
 * pefile's rules where names are odd: a DLL with characters that DOS file names can't
 * have counts as "*invalid*", a function with such names or ordinal 0 doesn't count.
 */
static void hash_import(GString *list, const struct pe_import *import)
{
	g_autofree char *dll = g_ascii_strdown(import->dll, -1);
	const char *name = import->name;
	char ordinal[16];
	char *dot;

	if (!made_of(dll, "!#$%&'()-@^_`{}~+,.;=[]\\/")) {
		g_free(dll);
		dll = g_strdup("*invalid*");
	}
	dot = strrchr(dll, '.');
	if (import->kind == PE_IMPORT_BY_ORDINAL) {
		name = pe_ordinal_name(dll, import->ordinal);
		if (!name && import->ordinal) {
			g_snprintf(ordinal, sizeof ordinal, "ord%u", import->ordinal);
			name = ordinal;
		}
	}
	if (!name || !made_of(name, "._?@$()<>"))
		return;
	if (dot && (!strcmp(dot, ".dll") || !strcmp(dot, ".ocx") || !strcmp(dot, ".sys")))
		*dot = '\0';
	g_string_append_printf(list, "%s%s.%s", list->len ? "," : "", dll, name);
}

static enum fault parse_imphash(struct pe *pe, const void **value)
{
	const GArray *imports = pe_imports(pe, NULL);
	g_autoptr(GString) list = g_string_new(NULL);
	g_autofree char *md5 = NULL;
	enum fault fault = pe->private->import_fault;

	/* What we could not see would change the hash. */
	if (fault != FAULT_NONE)
		return fault;
	if (pe->private->names_lost)
		return FAULT_IMPLAUSIBLE;
	for (guint i = 0; i < imports->len; i++) {
		const struct pe_import *import = &g_array_index(imports, struct pe_import, i);

		if (!import->delay && import->dll && *import->dll)
			hash_import(list, import);
		if (list->len > PE_MAX_TEXT)
			return FAULT_LIMIT;
	}
	if (!list->len)
		return FAULT_NONE;
	g_string_ascii_down(list);
	md5 = g_compute_checksum_for_string(G_CHECKSUM_MD5, list->str, (gssize)list->len);
	*value = pe_keep_text(pe, md5, strlen(md5));
	return *value ? FAULT_NONE : FAULT_LIMIT;
}

const char *pe_imphash(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_IMPHASH, parse_imphash, fault);
}
