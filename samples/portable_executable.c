/* SPDX-License-Identifier: Apache-2.0 */
/* Structures as in the PE format specification (learn.microsoft.com, "PE Format"). */
#include "portable_executable.h"
#include <stdio.h>
#include <string.h>
#include "sample.h"

#define NT_HEADERS 0x80u
#define FUNCTION_SIZE 64u

enum { TEXT, RDATA, DATA, RSRC, RELOC, SECTIONS };

static void put(struct executable *x, uint32_t at, uint64_t value, unsigned width)
{
	value = GUINT64_TO_LE(value);
	if (at + width > x->size)
		g_error("builder: 0x%x is outside the image (0x%x bytes)", at, x->size);
	memcpy(x->bytes + at, &value, width);
}

static uint32_t put_text(struct executable *x, uint32_t at, const char *text)
{
	size_t n = strlen(text) + 1;

	if (at + n > x->size)
		g_error("builder: an image's strings need more room");
	memcpy(x->bytes + at, text, n);
	return at + (uint32_t)((n + 1) & ~(size_t)1);
}

/* ---- code: short functions that return a number, and stubs for system calls */

/* System-call stubs as the ntdll of each system has them; the number's place, and how many bits of it. */
static const struct stub_form { const char *name; unsigned length, operand; uint8_t code[24]; } stub_forms[] = {
	/* mov eax, n; lea edx, [esp+4]; int 2e; ret 18: NT */
	{ "int2e", 14, 1, { 0xb8, 0, 0, 0, 0, 0x8d, 0x54, 0x24, 0x04, 0xcd, 0x2e, 0xc2, 0x18, 0 } },
	/* mov eax, n; mov edx, SystemCallStub; call [edx]; ret 18: XP SP2 to 7 */
	{ "sysenter", 15, 1, { 0xb8, 0, 0, 0, 0, 0xba, 0x00, 0x03, 0xfe, 0x7f, 0xff, 0x12, 0xc2, 0x18, 0 } },
	/* mov eax, n; call next; ret 18; mov edx, esp; sysenter; ret: 8 and later */
	{ "call", 18, 1, { 0xb8, 0, 0, 0, 0, 0xe8, 0x03, 0, 0, 0, 0xc2, 0x18, 0, 0x8b, 0xd4, 0x0f, 0x34, 0xc3 } },
	/* mov eax, n; xor ecx, ecx; lea edx, [esp+4]; call fs:[c0]; add esp, 4; ret 18: below 7's WoW64 */
	{ "wow64-7", 24, 1, { 0xb8, 0, 0, 0, 0, 0x33, 0xc9, 0x8d, 0x54, 0x24, 0x04, 0x64, 0xff, 0x15, 0xc0, 0, 0, 0, 0x83, 0xc4, 0x04, 0xc2, 0x18, 0 } },
	/* mov eax, n; call fs:[c0]; ret 18: below 8's */
	{ "wow64-8", 15, 1, { 0xb8, 0, 0, 0, 0, 0x64, 0xff, 0x15, 0xc0, 0, 0, 0, 0xc2, 0x18, 0 } },
	/* mov eax, n; mov edx, Wow64SystemServiceCall; call edx; ret 18: below 10's */
	{ "wow64-10", 15, 1, { 0xb8, 0, 0, 0, 0, 0xba, 0x70, 0x8a, 0x2e, 0x77, 0xff, 0xd2, 0xc2, 0x18, 0 } },
	/* svc n; ret: ARM64 */
	{ "svc", 8, 0, { 0x01, 0, 0, 0xd4, 0xc0, 0x03, 0x5f, 0xd6 } },
};

static const struct stub_form *stub_form(const char *name)
{
	for (unsigned i = 0; name && i < G_N_ELEMENTS(stub_forms); i++)
		if (!strcmp(stub_forms[i].name, name))
			return &stub_forms[i];
	if (name)
		g_error("builder: stubs: \"%s\" is no form that is known", name);
	return NULL;
}

static bool is_call(const struct executable *x, const char *name)
{
	return name && x->dll && g_str_has_prefix(name, "Nt") && g_ascii_isupper(name[2]);
}

static void write_stub(struct executable *x, uint32_t at, const struct stub_form *form, uint32_t number)
{
	memset(x->bytes + at, 0xcc, FUNCTION_SIZE);
	memcpy(x->bytes + at, form->code, form->length);
	if (form->operand)
		put(x, at + form->operand, number, 2);
	else
		put(x, at, 0xd4000001u | number << 5, 4);
}

static void write_function(struct executable *x, uint32_t at, const char *name, uint32_t number)
{
	static const uint8_t plain64[] = { 0x48, 0x83, 0xec, 0x28, 0xb8, 0, 0, 0, 0, 0x48, 0x83, 0xc4, 0x28, 0xc3 };
	static const uint8_t plain32[] = { 0x8b, 0xff, 0x55, 0x8b, 0xec, 0xb8, 0, 0, 0, 0, 0x5d, 0xc3 };
	static const uint8_t call64[] = { 0x4c, 0x8b, 0xd1, 0xb8, 0, 0, 0, 0, 0xf6, 0x04, 0x25, 0x08, 0x03, 0xfe, 0x7f, 0x01,
					  0x75, 0x03, 0x0f, 0x05, 0xc3, 0xcd, 0x2e, 0xc3 };
	bool call = x->is_64bit && is_call(x, name);
	const uint8_t *code = call ? call64 : x->is_64bit ? plain64 : plain32;
	unsigned length = call ? sizeof(call64) : x->is_64bit ? sizeof(plain64) : sizeof(plain32);
	unsigned operand = call ? 4 : x->is_64bit ? 5 : 6;

	memset(x->bytes + at, 0xcc, FUNCTION_SIZE);
	memcpy(x->bytes + at, code, length);
	put(x, at + operand, number, 4);
}

static uint32_t function_rva(const struct executable *x, unsigned n)
{
	return x->sections[TEXT].rva + FUNCTION_SIZE * (n + 1);
}

static void write_code(struct executable *x, const struct executable_spec *spec)
{
	unsigned room = MIN(x->sections[TEXT].size, 0x10000) / FUNCTION_SIZE;

	if (x->exports->len + 1 > room)
		g_error("builder: %s: more exports than its code has room for", spec->name);
	const struct stub_form *form = stub_form(spec->stubs);
	for (unsigned i = 0; i < room; i++) {
		const char *name = i && i <= x->exports->len ? x->exports->pdata[i - 1] : NULL;
		uint32_t at = x->sections[TEXT].rva + FUNCTION_SIZE * i;
		if (form && is_call(x, name))
			write_stub(x, at, form, i);
		else
			write_function(x, at, name, i && i <= x->exports->len ? i : (uint32_t)(random_of(spec->seed, spec->name, i) & 0xffff));
	}
}

/* ---- headers */

static void write_directory(struct executable *x, unsigned index, uint32_t rva, uint32_t size)
{
	uint32_t at = NT_HEADERS + 0x18 + (x->is_64bit ? 0x70 : 0x60) + 8 * index;

	put(x, at, rva, 4);
	put(x, at + 4, size, 4);
}

static void write_headers(struct executable *x, const struct executable_spec *spec)
{
	static const char stub[] = "\x0e\x1f\xba\x0e\x00\xb4\x09\xcd\x21\xb8\x01\x4c\xcd\x21This program cannot be run in DOS mode.\r\r\n$";
	uint32_t optional = NT_HEADERS + 0x18, optional_size = x->is_64bit ? 0xf0 : 0xe0, raw = 0x400, w = x->is_64bit ? 8 : 4;
	uint32_t table = optional + optional_size;

	put(x, 0, 0x5a4d, 2);
	put(x, 2, 0x90, 2);
	put(x, 4, 3, 2);
	put(x, 8, 4, 2);
	put(x, 0xc, 0xffff, 2);
	put(x, 0x10, 0xb8, 2);
	put(x, 0x18, 0x40, 2);
	put(x, 0x3c, NT_HEADERS, 4);
	memcpy(x->bytes + 0x40, stub, sizeof(stub) - 1);
	put(x, NT_HEADERS, 0x4550, 4);
	put(x, NT_HEADERS + 4, x->arm64 ? 0xaa64 : x->is_64bit ? 0x8664 : 0x14c, 2);
	put(x, NT_HEADERS + 6, x->section_count, 2);
	put(x, NT_HEADERS + 8, x->timestamp, 4);
	put(x, NT_HEADERS + 0x14, optional_size, 2);
	put(x, NT_HEADERS + 0x16, 0x22 | (x->dll ? 0x2000 : 0) | (x->is_64bit ? 0 : 0x100), 2);
	put(x, optional, x->is_64bit ? 0x20b : 0x10b, 2);
	put(x, optional + 2, 14, 1);
	put(x, optional + 4, x->sections[TEXT].size, 4);
	put(x, optional + 8, x->size - x->sections[TEXT].size - 0x1000, 4);
	put(x, optional + 0x10, x->entry_point, 4);
	put(x, optional + 0x14, x->sections[TEXT].rva, 4);
	if (!x->is_64bit)
		put(x, optional + 0x18, x->sections[DATA].rva, 4);
	put(x, optional + (x->is_64bit ? 0x18 : 0x1c), x->base, w);
	put(x, optional + 0x20, 0x1000, 4);
	put(x, optional + 0x24, 0x200, 4);
	put(x, optional + 0x28, spec->native ? 10 : 6, 2);
	put(x, optional + 0x2c, spec->native ? 10 : 6, 2);
	put(x, optional + 0x30, spec->native ? 10 : 6, 2);
	put(x, optional + 0x38, x->size, 4);
	put(x, optional + 0x3c, 0x400, 4);
	put(x, optional + 0x40, x->checksum, 4);
	put(x, optional + 0x44, spec->native ? 1 : 3, 2);	/* Subsystem: native, or console */
	put(x, optional + 0x46, 0x4160, 2);
	put(x, optional + 0x48, 0x100000, w);
	put(x, optional + 0x48 + w, 0x1000, w);
	put(x, optional + 0x48 + 2 * w, 0x100000, w);
	put(x, optional + 0x48 + 3 * w, 0x1000, w);
	put(x, optional + 0x48 + 4 * w + 4, 16, 4);
	for (unsigned i = 0; i < x->section_count; i++, table += 0x28) {
		/* By address: the kernel's .rdata comes first. */
		static const uint8_t kernel_order[SECTIONS] = { RDATA, TEXT, DATA, RSRC, RELOC };
		const struct executable_section *section = &x->sections[spec->size ? kernel_order[i] : i];
		memcpy(x->bytes + table, section->name, strlen(section->name));
		put(x, table + 8, section->size - 0x10, 4);
		put(x, table + 0xc, section->rva, 4);
		put(x, table + 0x10, section->size, 4);
		put(x, table + 0x14, raw, 4);
		put(x, table + 0x24, section->characteristics, 4);
		raw += section->size;
	}
}

/* ---- what .rdata holds: imports first, so that the address table is on its first page */

static uint32_t tables(const struct executable *x, const struct executable_spec *spec)
{
	return spec->size ? spec->tables : x->sections[RDATA].rva;
}

static uint32_t write_imports(struct executable *x, const struct executable_spec *spec)
{
	unsigned count = spec->imports ? g_strv_length((char **)spec->imports) : 0, w = x->is_64bit ? 8 : 4;
	uint32_t at = tables(x, spec), slots = at, lookups, descriptors, names;
	unsigned dlls = 0;

	if (!count)
		return at;
	/* A table of slots for each DLL, ended by a zero; the same again as lookup tables; then the descriptors. */
	for (unsigned i = 0; i < count; i++) {
		size_t n = strcspn(spec->imports[i], "!") + 1;
		dlls += !i || strncmp(spec->imports[i], spec->imports[i - 1], n);
	}
	lookups = slots + (count + dlls) * w;
	descriptors = (lookups + (count + dlls) * w + 3) & ~3u;
	names = descriptors + 20 * (dlls + 1);
	x->import_table = slots;
	x->import_table_size = (count + dlls) * w;
	write_directory(x, 1, descriptors, 20 * (dlls + 1));
	write_directory(x, 12, slots, x->import_table_size);
	for (unsigned i = 0; i < count; i++) {
		g_auto(GStrv) parts = g_strsplit(spec->imports[i], "!", 2);
		struct executable_import import = { slots, g_strdup(parts[0]), g_strdup(parts[1]) };
		if (!i || strncmp(spec->imports[i], spec->imports[i - 1], strlen(parts[0]) + 1)) {
			if (i) {
				slots += w;
				lookups += w;
				import.rva = slots;
			}
			put(x, descriptors, lookups, 4);
			put(x, descriptors + 0xc, names, 4);
			put(x, descriptors + 0x10, slots, 4);
			descriptors += 20;
			names = put_text(x, names, parts[0]);
		}
		put(x, slots, names, w);
		put(x, lookups, names, w);
		put(x, names, i, 2);
		names = put_text(x, names + 2, parts[1]);
		slots += w;
		lookups += w;
		g_array_append_val(x->imports, import);
	}
	return (names + 15) & ~15u;
}

static uint32_t write_exports(struct executable *x, const struct executable_spec *spec, uint32_t at)
{
	unsigned n = x->exports->len;
	uint32_t functions = at + 0x28, names = functions + 4 * n, ordinals = names + 4 * n, text = ordinals + 2 * n;

	if (!n)
		return at;
	put(x, at + 4, x->timestamp, 4);
	put(x, at + 0xc, text, 4);
	put(x, at + 0x10, 1, 4);
	put(x, at + 0x14, n, 4);
	put(x, at + 0x18, n, 4);
	put(x, at + 0x1c, functions, 4);
	put(x, at + 0x20, names, 4);
	put(x, at + 0x24, ordinals, 4);
	text = put_text(x, text, spec->name);
	for (unsigned i = 0; i < n; i++) {
		const char *forwarder = x->forwarders ? g_hash_table_lookup(x->forwarders, x->exports->pdata[i]) : NULL;
		uint32_t rva = forwarder ? text : function_rva(x, i);
		for (unsigned d = 0; d < G_N_ELEMENTS(spec->data_exports); d++)
			if (spec->data_exports[d].rva && !strcmp(spec->data_exports[d].name, x->exports->pdata[i]))
				rva = spec->data_exports[d].rva;
		put(x, functions + 4 * i, rva, 4);
		if (forwarder)
			text = put_text(x, text, forwarder);
		put(x, names + 4 * i, text, 4);
		put(x, ordinals + 2 * i, i, 2);
		text = put_text(x, text, x->exports->pdata[i]);
	}
	write_directory(x, 0, at, text - at);
	return (text + 15) & ~15u;
}

/* The order of a GUID's bytes as its text has it: the first three groups are little-endian numbers. */
static void write_guid(struct executable *x, uint32_t at, const char *text)
{
	static const uint8_t order[] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

	for (unsigned i = 0; i < 16; i++)
		put(x, at + i, (unsigned)g_ascii_xdigit_value(text[2 * order[i]]) << 4 |
		    (unsigned)g_ascii_xdigit_value(text[2 * order[i] + 1]), 1);
}

static uint32_t write_debug(struct executable *x, const struct executable_spec *spec, uint32_t at)
{
	g_autofree char *drawn = g_strdup_printf("%016" G_GINT64_MODIFIER "X%016" G_GINT64_MODIFIER "X1",
						 random_of(spec->seed, spec->name, 1001), random_of(spec->seed, spec->name, 1002));
	const char *guid_age = spec->guid_age ? spec->guid_age : drawn, *dot = strrchr(spec->name, '.');
	g_autofree char *pdb = spec->pdb ? g_strdup(spec->pdb) :
			       g_strdup_printf("%.*s.pdb", dot ? (int)(dot - spec->name) : (int)strlen(spec->name), spec->name);
	uint32_t size = spec->reproducible ? 2 * 0x1c : 0x1c, record = at + size;

	write_directory(x, 6, at, size);
	if (spec->reproducible) {
		put(x, at + 0x1c + 4, x->timestamp, 4);
		put(x, at + 0x1c + 0xc, 16, 4);	/* IMAGE_DEBUG_TYPE_REPRO */
	}
	put(x, at + 4, x->timestamp, 4);
	put(x, at + 0xc, 2, 4);		/* IMAGE_DEBUG_TYPE_CODEVIEW */
	put(x, at + 0x10, 0x18 + strlen(pdb) + 1, 4);
	put(x, at + 0x14, record, 4);
	put(x, at + 0x18, 0x400 + record - 0x1000, 4);
	memcpy(x->bytes + record, "RSDS", 4);
	write_guid(x, record + 4, guid_age);
	put(x, record + 0x14, g_ascii_strtoull(guid_age + 32, NULL, 16), 4);
	return put_text(x, record + 0x18, pdb);
}

/* ---- the version resource */

static uint32_t put_wide(struct executable *x, uint32_t at, const char *text)
{
	size_t bytes;
	g_autofree uint16_t *wide = utf16(text, &bytes);

	memcpy(x->bytes + at, wide, bytes);
	return (at + (uint32_t)bytes + 3) & ~3u;
}

/* wLength, wValueLength, wType, szKey, padding; wLength is filled in by the caller. */
static uint32_t block(struct executable *x, uint32_t at, unsigned value_length, unsigned type, const char *key)
{
	put(x, at + 2, value_length, 2);
	put(x, at + 4, type, 2);
	return put_wide(x, at + 6, key);
}

static void write_version(struct executable *x, const struct executable_spec *spec)
{
	const char *const strings[][2] = {
		{ "CompanyName", spec->company ? spec->company : "Example Corporation" }, { "FileVersion", spec->version },
		{ "OriginalFilename", spec->name }, { "ProductName", spec->product ? spec->product : "Example Product" },
	};
	uint32_t rva = x->sections[RSRC].rva, info = rva + 0x60, at, file_info, table;
	unsigned v[4] = { 0 };

	/* Three levels of directory with one entry each: type 16 (version), name 1, language 0x409; then the data entry. */
	for (unsigned level = 0; level < 3; level++) {
		static const uint32_t ids[] = { 16, 1, 0x409 };
		put(x, rva + 0x18 * level + 0xe, 1, 2);
		put(x, rva + 0x18 * level + 0x10, ids[level], 4);
		put(x, rva + 0x18 * level + 0x14, (0x18 * (level + 1)) | (level < 2 ? 0x80000000u : 0), 4);
	}
	at = block(x, info, 0x34, 0, "VS_VERSION_INFO");
	if (sscanf(spec->version, "%u.%u.%u.%u", &v[0], &v[1], &v[2], &v[3]) < 1)
		g_error("builder: \"%s\" is no version", spec->version);
	put(x, at, 0xfeef04bd, 4);
	put(x, at + 4, 0x10000, 4);
	for (unsigned i = 0; i < 2; i++) {
		put(x, at + 8 + 8 * i, v[0] << 16 | v[1], 4);
		put(x, at + 12 + 8 * i, v[2] << 16 | v[3], 4);
	}
	put(x, at + 0x18, 0x3f, 4);
	put(x, at + 0x20, 0x40004, 4);
	put(x, at + 0x24, x->dll ? 2 : 1, 4);
	file_info = at + 0x34;
	table = block(x, file_info, 0, 1, "StringFileInfo");
	at = block(x, table, 0, 1, "040904B0");
	for (unsigned i = 0; i < G_N_ELEMENTS(strings); i++) {
		uint32_t start = at;
		at = block(x, start, (unsigned)strlen(strings[i][1]) + 1, 1, strings[i][0]);
		at = put_wide(x, at, strings[i][1]);
		put(x, start, at - start, 2);
	}
	put(x, table, at - table, 2);
	put(x, file_info, at - file_info, 2);
	put(x, info, at - info, 2);
	put(x, rva + 0x48, info, 4);
	put(x, rva + 0x4c, at - info, 4);
	write_directory(x, 2, rva, at - rva);
}

/* ---- the whole */

static void place_sections(struct executable *x, const struct executable_spec *spec)
{
	static const struct executable_section kinds[SECTIONS] = {
		[TEXT] = { ".text", 0, 0, 0x60000020, MM_EXECUTE_READ },
		[RDATA] = { ".rdata", 0, 0x2000, 0x40000040, MM_READONLY },
		[DATA] = { ".data", 0, 0x1000, 0xc0000040, MM_WRITECOPY },
		[RSRC] = { ".rsrc", 0, 0x1000, 0x40000040, MM_READONLY },
		[RELOC] = { ".reloc", 0, 0x1000, 0x42000040, MM_READONLY },
	};
	uint32_t at = 0x1000;

	x->sections = g_memdup2(kinds, sizeof(kinds));
	x->section_count = SECTIONS;
	if (spec->code_name)
		x->sections[TEXT].name = g_intern_string(spec->code_name);
	if (spec->code_writable) {
		x->sections[TEXT].characteristics |= 0x80000000;
		x->sections[TEXT].protection = MM_EXECUTE_WRITECOPY;
	}
	x->sections[TEXT].size = (spec->text_pages ? spec->text_pages : 2) * 0x1000;
	if (spec->size) {
		/* Where the symbols say; resources and relocations behind them. */
		const uint32_t starts[SECTIONS] = { [RDATA] = 0x1000, [TEXT] = spec->code, [DATA] = spec->data,
							[RSRC] = spec->size - 0x2000, [RELOC] = spec->size - 0x1000 };
		const uint32_t ends[SECTIONS] = { [RDATA] = spec->code, [TEXT] = spec->data, [DATA] = spec->size - 0x2000,
						  [RSRC] = spec->size - 0x1000, [RELOC] = spec->size };
		for (unsigned i = 0; i < SECTIONS; i++) {
			x->sections[i].rva = starts[i];
			x->sections[i].size = ends[i] - starts[i];
		}
		x->size = spec->size;
		return;
	}
	for (unsigned i = 0; i < SECTIONS; i++) {
		x->sections[i].rva = at;
		at += x->sections[i].size;
	}
	x->size = at;
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void import_clear(void *data)
{
	struct executable_import *import = data;

	g_free(import->dll);
	g_free(import->name);
}

static void add_export(struct executable *x, const char *text)
{
	const char *forwarder = strchr(text, '>');
	char *name = forwarder ? g_strndup(text, (gsize)(forwarder - text)) : g_strdup(text);

	g_ptr_array_add(x->exports, name);
	if (!forwarder)
		return;
	if (!x->forwarders)
		x->forwarders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_hash_table_insert(x->forwarders, g_strdup(name), g_strdup(forwarder + 1));
}

struct executable *executable_create(const struct executable_spec *spec)
{
	struct executable *x = g_new0(struct executable, 1);
	uint32_t at;

	x->is_64bit = spec->is_64bit;
	x->arm64 = spec->arm64;
	x->dll = spec->dll;
	x->base = spec->base;
	x->timestamp = spec->timestamp ? spec->timestamp : 0x5c000000 + (uint32_t)(random_of(spec->seed, spec->name, 1003) & 0x3ffffff);
	x->checksum = (uint32_t)(random_of(spec->seed, spec->name, 1004) & 0xffffff);
	x->exports = g_ptr_array_new_with_free_func(g_free);
	x->imports = g_array_new(FALSE, TRUE, sizeof(struct executable_import));
	g_array_set_clear_func(x->imports, import_clear);
	for (unsigned i = 0; spec->exports && spec->exports[i]; i++)
		add_export(x, spec->exports[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(spec->data_exports); i++)
		if (spec->data_exports[i].rva)
			g_ptr_array_add(x->exports, g_strdup(spec->data_exports[i].name));
	g_ptr_array_sort(x->exports, compare_text);
	place_sections(x, spec);
	x->bytes = g_malloc0(x->size);
	x->entry_point = spec->entry ? spec->entry : x->sections[TEXT].rva;
	write_headers(x, spec);
	write_code(x, spec);
	at = write_imports(x, spec);
	at = write_exports(x, spec, at);
	at = write_debug(x, spec, at);
	if (at > tables(x, spec) + 0x2000)
		g_error("builder: %s: its imports and exports don't fit", spec->name);
	write_version(x, spec);
	/* One block of relocations, for the first page of code: none but padding. */
	put(x, x->sections[RELOC].rva, spec->pointer ? spec->pointer & ~0xfffu : x->sections[TEXT].rva, 4);
	put(x, x->sections[RELOC].rva + 4, 12, 4);
	if (spec->pointer) {
		put(x, x->sections[RELOC].rva + 8, (x->is_64bit ? 0xa000 : 0x3000) | (spec->pointer & 0xfff), 2);	/* DIR64, HIGHLOW */
		put(x, spec->pointer, x->base + function_rva(x, 0), x->is_64bit ? 8 : 4);
	}
	if (spec->tls) {	/* IMAGE_TLS_DIRECTORY, and its table of callbacks */
		unsigned w = x->is_64bit ? 8 : 4;
		uint32_t directory = x->sections[DATA].rva - 0x80, table = directory + 0x40;
		put(x, directory + 2 * w, x->base + x->sections[DATA].rva, w);
		put(x, directory + 3 * w, x->base + table, w);
		put(x, table, spec->tls, w);
		write_directory(x, 9, directory, 4 * w + 8);
	}
	if (spec->guard) {	/* IMAGE_LOAD_CONFIG_DIRECTORY up to GuardCFDispatchFunctionPointer */
		unsigned w = x->is_64bit ? 8 : 4;
		uint32_t size = x->is_64bit ? 0x80 : 0x50, config = spec->guard - size, pointers = config + (x->is_64bit ? 0x70 : 0x48);
		put(x, config, size, 4);
		write_directory(x, 10, config, size);
		for (unsigned i = 0; i < 2; i++) {
			put(x, pointers + w * i, x->base + spec->guard + w * i, w);
			put(x, spec->guard + w * i, x->base + function_rva(x, 0), w);
		}
	}
	write_directory(x, 5, x->sections[RELOC].rva, 12);
	for (uint32_t i = 0; i < x->sections[DATA].size && !spec->size; i += 8)
		put(x, x->sections[DATA].rva + i, random_of(spec->seed, spec->name, 2000 + i) & 0xffff, 4);
	return x;
}

void executable_destroy(struct executable *x)
{
	if (!x)
		return;
	g_ptr_array_free(x->exports, TRUE);
	g_array_free(x->imports, TRUE);
	if (x->forwarders)
		g_hash_table_destroy(x->forwarders);
	g_free(x->sections);
	g_free(x->bytes);
	g_free(x);
}

void executable_wipe(struct executable *x, const char *what, uint64_t seed)
{
	uint32_t optional = NT_HEADERS + 0x18, directories = optional + (x->is_64bit ? 0x70 : 0x60), table = directories + 0x80;
	const struct { const char *name; uint32_t from, end; } parts[] = {
		{ "dos", 0, 2 }, { "lfanew", 0x3c, 0x40 }, { "pe", NT_HEADERS, NT_HEADERS + 4 }, { "machine", NT_HEADERS + 4, NT_HEADERS + 6 },
		{ "optional", optional, optional + 2 }, { "directories", directories, table }, { "sections", table, table + 0x28 * x->section_count },
		{ "header", 0, 0x1000 },
	};
	g_auto(GStrv) names = g_strsplit(what, "+", -1);

	for (unsigned i = 0; names[i] && *names[i]; i++) {
		bool known = !strcmp(names[i], "noise");
		for (unsigned k = 0; k < 0x1000 && known; k++)
			x->bytes[k] = (uint8_t)random_of(seed, "noise", k);
		for (unsigned k = 0; k < G_N_ELEMENTS(parts) && !known; k++)
			if ((known = !strcmp(parts[k].name, names[i])))
				memset(x->bytes + parts[k].from, 0, parts[k].end - parts[k].from);
		if (!known)
			g_error("builder: wipe: \"%s\" is no part of the headers", names[i]);
	}
}

uint32_t executable_export(const struct executable *x, const char *name)
{
	for (unsigned i = 0; i < x->exports->len; i++)
		if (!strcmp(x->exports->pdata[i], name))
			return x->forwarders && g_hash_table_contains(x->forwarders, name) ? 0 : function_rva(x, i);
	return 0;
}

const struct executable_section *executable_section_at(const struct executable *x, uint32_t rva)
{
	for (unsigned i = 0; i < x->section_count; i++)
		if (rva >= x->sections[i].rva && rva - x->sections[i].rva < x->sections[i].size)
			return &x->sections[i];
	return NULL;
}
