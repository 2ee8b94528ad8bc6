/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "pe_made.h"

void put(struct made *m, uint32_t at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		m->bytes[at + i] = (uint8_t)(value >> 8 * i);
}

static void put_text(struct made *m, uint32_t at, const char *text)
{
	memcpy(m->bytes + at, text, strlen(text) + 1);
}

uint32_t optional_header(void) { return NT + 24; }
uint32_t directories(const struct made *m) { return optional_header() + (m->wide ? 112 : 96); }
uint32_t section_table(const struct made *m) { return directories(m) + 128; }
unsigned width(const struct made *m) { return m->wide ? 8 : 4; }

void put_directory(struct made *m, unsigned index, uint32_t rva, uint32_t size)
{
	put(m, directories(m) + 8 * index, 4, rva);
	put(m, directories(m) + 8 * index + 4, 4, size);
}

static void make_headers(struct made *m)
{
	static const char names[SECTIONS][9] = { ".text", ".edata", ".idata", ".data", "\377bad", ".rsrc", "8letters" };
	uint32_t o = optional_header();

	put(m, 0, 2, 0x5a4d);
	put(m, 0x3c, 4, NT);
	put(m, NT, 4, 0x4550);
	put(m, NT + 4, 2, m->wide ? PE_MACHINE_AMD64 : PE_MACHINE_I386);
	put(m, NT + 6, 2, SECTIONS);
	put(m, NT + 8, 4, 0x5f000001);
	put(m, NT + 20, 2, m->wide ? 240 : 224);
	put(m, NT + 22, 2, PE_FILE_EXECUTABLE_IMAGE | PE_FILE_DLL);
	put(m, o, 2, m->wide ? 0x20b : 0x10b);
	put(m, o + 16, 4, TEXT + 0x10);
	if (m->wide)
		put(m, o + 24, 8, m->base);
	else
		put(m, o + 28, 4, m->base);
	put(m, o + 32, 4, 4096);
	put(m, o + 36, 4, 512);
	put(m, o + 40, 2, 10);
	put(m, o + 48, 2, 6);
	put(m, o + 56, 4, IMAGE_SIZE);
	put(m, o + 60, 4, 0x400);
	put(m, o + 64, 4, 0xc4ec5);
	put(m, o + 68, 2, 3);
	put(m, o + 70, 2, 0x4160);
	put(m, directories(m) - 4, 4, 16);
	for (unsigned i = 0; i < SECTIONS; i++) {
		uint32_t at = section_table(m) + 40 * i;

		memcpy(m->bytes + at, names[i], 8);
		put(m, at + 8, 4, STEP - 0x10);
		put(m, at + 12, 4, (i + 1) * STEP);
		put(m, at + 16, 4, 0x200);
		put(m, at + 20, 4, 0x400 + 0x200 * i);
		put(m, at + 36, 4, i ? PE_SECTION_READ : PE_SECTION_READ | PE_SECTION_EXECUTE | PE_SECTION_CODE);
	}
	for (unsigned i = 0; i < 256; i++)
		m->bytes[TEXT + i] = (uint8_t)i;
}

/* Ordinals from 5: alpha, (none), by ordinal only, a forwarder "gamma". */
static void make_exports(struct made *m)
{
	const uint32_t functions[4] = { TEXT + 0x10, 0, TEXT + 0x40, EXPORTS + 0x90 };

	put_directory(m, PE_DIRECTORY_EXPORT, EXPORTS, 0x100);
	put(m, EXPORTS + 12, 4, EXPORTS + 0x80);
	put(m, EXPORTS + 16, 4, 5);
	put(m, EXPORTS + 20, 4, 4);
	put(m, EXPORTS + 24, 4, 2);
	put(m, EXPORTS + 28, 4, EXPORTS + 0x28);
	put(m, EXPORTS + 32, 4, EXPORTS + 0x38);
	put(m, EXPORTS + 36, 4, EXPORTS + 0x40);
	for (unsigned i = 0; i < 4; i++)
		put(m, EXPORTS + 0x28 + 4 * i, 4, functions[i]);
	put(m, EXPORTS + 0x38, 4, EXPORTS + 0xb0);
	put(m, EXPORTS + 0x3c, 4, EXPORTS + 0xc0);
	put(m, EXPORTS + 0x40, 2, 0);
	put(m, EXPORTS + 0x42, 2, 3);
	put_text(m, EXPORTS + 0x80, "made.dll");
	put_text(m, EXPORTS + 0x90, "NTDLL.RtlGamma");
	put_text(m, EXPORTS + 0xb0, "alpha");
	put_text(m, EXPORTS + 0xc0, "gamma");
}

/* KERNEL32: Sleep, ordinal 17. WS2_32 (bound): ordinal 115. Delay-loaded: ole32. The IAT
 * is as the loader leaves it: full of addresses. */
static void make_imports(struct made *m)
{
	unsigned w = width(m);
	uint64_t ordinal = m->wide ? UINT64_C(1) << 63 : UINT64_C(1) << 31;

	put_directory(m, PE_DIRECTORY_IMPORT, IMPORTS, 60);
	put(m, IMPORTS, 4, IMPORTS + 0x100);
	put(m, IMPORTS + 12, 4, IMPORTS + 0x200);
	put(m, IMPORTS + 16, 4, IAT);
	put(m, IMPORTS + 20, 4, IMPORTS + 0x140);
	put(m, IMPORTS + 24, 4, 0xffffffff);
	put(m, IMPORTS + 32, 4, IMPORTS + 0x220);
	put(m, IMPORTS + 36, 4, IAT + 0x40);
	put(m, IMPORTS + 0x100, w, IMPORTS + 0x240);
	put(m, IMPORTS + 0x100 + w, w, ordinal | 17);
	put(m, IMPORTS + 0x140, w, ordinal | 115);
	put_text(m, IMPORTS + 0x200, "KERNEL32.dll");
	put_text(m, IMPORTS + 0x220, "WS2_32.dll");
	put(m, IMPORTS + 0x240, 2, 1400);
	put_text(m, IMPORTS + 0x242, "Sleep");
	for (unsigned i = 0; i < 2; i++)
		put(m, IAT + w * i, w, m->wide ? 0xfffff80212345678u + i : 0x8abcdef0u + i);
	put(m, IAT + 0x40, w, m->wide ? 0x7ffabcd01234u : 0x77001234);

	put_directory(m, PE_DIRECTORY_DELAY_IMPORT, IMPORTS + 0x300, 64);
	put(m, IMPORTS + 0x300, 4, 1);
	put(m, IMPORTS + 0x304, 4, IMPORTS + 0x380);
	put(m, IMPORTS + 0x30c, 4, IAT + 0x80);
	put(m, IMPORTS + 0x310, 4, IMPORTS + 0x360);
	put(m, IMPORTS + 0x360, w, IMPORTS + 0x390);
	put(m, IAT + 0x80, w, m->base + TEXT + 0x20);
	put_text(m, IMPORTS + 0x380, "ole32.dll");
	put_text(m, IMPORTS + 0x392, "CoInitialize");
}

static void make_data(struct made *m)
{
	static const uint8_t guid[16] = { 0x44, 0x33, 0x22, 0x11, 0x66, 0x55, 0x88, 0x77, 1, 2, 3, 4, 5, 6, 7, 8 };
	unsigned w = width(m);

	put_directory(m, PE_DIRECTORY_DEBUG, DATA, 3 * 28);
	put(m, DATA + 12, 4, PE_DEBUG_CODEVIEW);
	put(m, DATA + 16, 4, 24 + 8);
	put(m, DATA + 20, 4, DATA + 0x100);
	put(m, DATA + 28 + 12, 4, PE_DEBUG_POGO);
	put(m, DATA + 28 + 16, 4, 16);
	put(m, DATA + 28 + 20, 4, DATA + 0x140);
	put(m, DATA + 56 + 12, 4, PE_DEBUG_REPRO);
	put(m, DATA + 56 + 16, 4, 8);
	put(m, DATA + 56 + 20, 4, DATA + 0x150);
	memcpy(m->bytes + DATA + 0x100, "RSDS", 4);
	memcpy(m->bytes + DATA + 0x104, guid, 16);
	put(m, DATA + 0x114, 4, 0x1a);
	put_text(m, DATA + 0x118, "m\xc3\xa4.pdb");
	memcpy(m->bytes + DATA + 0x140, "GCTL", 4);
	put(m, DATA + 0x150, 4, 4);
	put(m, DATA + 0x154, 4, 0xddccbbaa);

	put_directory(m, PE_DIRECTORY_TLS, DATA + 0x200, m->wide ? 40 : 24);
	put(m, DATA + 0x200 + 2 * w, w, m->base + DATA + 0x280);
	put(m, DATA + 0x200 + 3 * w, w, m->base + DATA + 0x240);
	put(m, DATA + 0x240, w, m->base + TEXT + 0x20);
	put(m, DATA + 0x240 + w, w, m->base + TEXT + 0x30);

	put_directory(m, PE_DIRECTORY_LOAD_CONFIG, DATA + 0x300, 64);
	put(m, DATA + 0x300, 4, m->wide ? 148 : 92);
	put(m, DATA + 0x300 + (m->wide ? 88 : 60), w, m->base + DATA + 0x2f0);
	put(m, DATA + 0x300 + (m->wide ? 128 : 80), w, m->base + DATA + 0x400);
	put(m, DATA + 0x300 + (m->wide ? 136 : 84), w, 7);
	put(m, DATA + 0x300 + (m->wide ? 144 : 88), 4, 0x10500);
	put(m, DATA + 0x300 + (m->wide ? 264 : 164), w, 0x666);	/* past the size it claims */

	put_directory(m, PE_DIRECTORY_CLR, DATA + 0x500, 72);
	put(m, DATA + 0x500, 4, 72);
	put(m, DATA + 0x504, 2, 2);
	put(m, DATA + 0x506, 2, 5);
	put(m, DATA + 0x510, 4, 3);
}

static uint32_t put_utf16(struct made *m, uint32_t at, const char *text)
{
	do {
		put(m, at, 2, (uint8_t)*text);
		at += 2;
	} while (*text++);
	return at;
}

/* A block of VERSIONINFO; returns where its value or children start. */
static uint32_t open_block(struct made *m, uint32_t at, unsigned value_length, bool is_text, const char *key)
{
	put(m, at + 2, 2, value_length);
	put(m, at + 4, 2, is_text);
	return (put_utf16(m, at + 6, key) + 3) & ~3u;
}

static uint32_t put_string(struct made *m, uint32_t at, const char *key, const char *value)
{
	uint32_t end = put_utf16(m, open_block(m, at, (unsigned)strlen(value) + 1, true, key), value);

	put(m, at, 2, end - at);
	return (end + 3) & ~3u;
}

static uint32_t make_version(struct made *m, uint32_t start)
{
	uint32_t fixed = open_block(m, start, 52, false, "VS_VERSION_INFO"), info = fixed + 52, table, at;

	put(m, fixed, 4, 0xfeef04bd);
	put(m, fixed + 8, 4, 10 << 16 | 1);
	put(m, fixed + 12, 4, 19041 << 16 | 4648u);
	put(m, fixed + 16, 4, 10 << 16);
	put(m, fixed + 24, 4, 0x3f);
	put(m, fixed + 28, 4, 0xff01);
	table = open_block(m, info, 0, true, "StringFileInfo");
	at = open_block(m, table, 0, true, "040904B0");
	at = put_string(m, at, "CompanyName", "Makers");
	at = put_string(m, at, "OriginalFilename", "made.dll");
	put(m, at - 10, 2, 0xd800);	/* "made.|dll" becomes an unpaired surrogate within */
	put(m, table, 2, at - table);
	put(m, info, 2, at - info);
	put(m, start, 2, at - start);
	return at - start;
}

uint32_t put_directory_entry(struct made *m, uint32_t directory, unsigned index, uint32_t name, uint32_t target)
{
	uint32_t at = RESOURCES + directory + 16 + 8 * index;

	put(m, RESOURCES + directory + 14, 2, index + 1);
	put(m, at, 4, name);
	put(m, at + 4, 4, target);
	return at;
}

/* "AB" / 7 / 0, and version 1 / 1033. */
static void make_resources(struct made *m)
{
	uint32_t size = make_version(m, RESOURCES + 0x200);

	put_directory(m, PE_DIRECTORY_RESOURCE, RESOURCES, 0x800);
	put_directory_entry(m, 0, 0, 0x80000000 | 0x180, 0x80000000 | 0x40);
	put_directory_entry(m, 0, 1, PE_RESOURCE_VERSION, 0x80000000 | 0x80);
	put_directory_entry(m, 0x40, 0, 7, 0x80000000 | 0x60);
	put_directory_entry(m, 0x60, 0, 0, 0x140);
	put_directory_entry(m, 0x80, 0, 1, 0x80000000 | 0xa0);
	put_directory_entry(m, 0xa0, 0, 1033, 0x150);
	put(m, RESOURCES + 0x140, 4, TEXT);
	put(m, RESOURCES + 0x144, 4, 5);
	put(m, RESOURCES + 0x150, 4, RESOURCES + 0x200);
	put(m, RESOURCES + 0x154, 4, size);
	put(m, RESOURCES + 0x180, 2, 2);
	put_utf16(m, RESOURCES + 0x182, "AB");
}

/* Relocations, and runtime functions: [0x10,0x30), its continuation [0x50,0x60), [0x40,0x50) last but sorted. */
static void make_tables(struct made *m)
{
	const uint32_t functions[3][3] = {
		{ TEXT + 0x10, TEXT + 0x30, TABLES + 0x200 },
		{ TEXT + 0x40, TEXT + 0x50, TABLES + 0x200 },
		{ TEXT + 0x50, TEXT + 0x60, TABLES + 0x210 },
	};

	put_directory(m, PE_DIRECTORY_RELOCATION, TABLES, 12 + 12);
	put(m, TABLES, 4, DATA);
	put(m, TABLES + 4, 4, 12);
	put(m, TABLES + 8, 2, (m->wide ? PE_RELOCATION_DIR64 : PE_RELOCATION_HIGHLOW) << 12 | 0x240);
	put(m, TABLES + 12, 4, IAT);
	put(m, TABLES + 16, 4, 12);
	put(m, TABLES + 20, 2, 3 << 12 | 0x008);
	put(m, TABLES + 22, 2, 3 << 12 | 0xfff);
	put_directory(m, PE_DIRECTORY_EXCEPTION, TABLES + 0x100, 36);
	for (unsigned i = 0; i < 9; i++)
		put(m, TABLES + 0x100 + 4 * i, 4, functions[i / 3][i % 3]);
	put(m, TABLES + 0x200, 1, 1);
	/* Chained: three codes take the room of four, then the primary function's entry. */
	put(m, TABLES + 0x210, 1, 4 << 3 | 1);
	put(m, TABLES + 0x212, 1, 3);
	for (unsigned i = 0; i < 3; i++)
		put(m, TABLES + 0x210 + 12 + 4 * i, 4, functions[0][i]);
}

struct made *make(bool wide)
{
	struct made *m = calloc(1, sizeof *m);

	m->wide = wide;
	m->size = IMAGE_SIZE;
	m->base = wide ? LOADED : LOADED32;
	make_headers(m);
	make_exports(m);
	make_imports(m);
	make_data(m);
	make_resources(m);
	make_tables(m);
	return m;
}

enum fault read_made(void *user, uint32_t rva, void *buffer, size_t length)
{
	struct made *m = user;

	m->reads++;
	if (rva > m->size || length > m->size - rva)
		return FAULT_UNMAPPED;
	for (uint32_t page = rva / STEP; length && page <= (rva + length - 1) / STEP; page++)
		if (m->holes & 1u << page)
			return FAULT_PAGED_OUT;
	memcpy(buffer, m->bytes + rva, length);
	return FAULT_NONE;
}

struct pe *open_made(struct made *m)
{
	struct pe_source source = { m, read_made };

	return pe_open(&source, m->base, IMAGE_SIZE);
}

void check_exports(struct pe *pe)
{
	enum fault fault;
	const GArray *exports = pe_exports(pe, &fault);

	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(exports->len, 3);
	ck_assert_str_eq(ROW(exports, pe_export, 0)->name, "alpha");
	ck_assert_uint_eq(ROW(exports, pe_export, 0)->ordinal, 5);
	ck_assert_uint_eq(ROW(exports, pe_export, 0)->rva, TEXT + 0x10);
	ck_assert_ptr_null(ROW(exports, pe_export, 0)->forwarder);
	ck_assert_str_eq(ROW(exports, pe_export, 1)->name, "gamma");
	ck_assert_uint_eq(ROW(exports, pe_export, 1)->ordinal, 8);
	ck_assert_str_eq(ROW(exports, pe_export, 1)->forwarder, "NTDLL.RtlGamma");
	ck_assert_ptr_null(ROW(exports, pe_export, 2)->name);
	ck_assert_uint_eq(ROW(exports, pe_export, 2)->ordinal, 7);
	ck_assert_str_eq(pe_export_dll(pe), "made.dll");
	ck_assert_ptr_null(pe_nearest_export(pe, TEXT + 0xf));
	ck_assert_str_eq(pe_nearest_export(pe, TEXT + 0x3f)->name, "alpha");
	ck_assert_uint_eq(pe_nearest_export(pe, EXPORTS + 0x200)->ordinal, 7);
}

void check_imports(struct pe *pe)
{
	enum fault fault;
	const GArray *imports = pe_imports(pe, &fault);
	const struct pe_import *i = ROW(imports, pe_import, 0);
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_MD5,
		"kernel32.sleep,kernel32.ord17,ws2_32.wsastartup", -1);

	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(imports->len, 4);
	ck_assert_str_eq(i[0].dll, "KERNEL32.dll");
	ck_assert_int_eq(i[0].kind, PE_IMPORT_BY_NAME);
	ck_assert_str_eq(i[0].name, "Sleep");
	ck_assert_uint_eq(i[0].hint, 1400);
	ck_assert_uint_eq(i[0].iat_rva, IAT);
	ck_assert(!i[0].bound && !i[0].delay);
	ck_assert_int_eq(i[1].kind, PE_IMPORT_BY_ORDINAL);
	ck_assert_uint_eq(i[1].ordinal, 17);
	ck_assert_uint_eq(i[1].iat_rva, IAT + pe_slot_size(pe));
	ck_assert(i[2].bound);
	ck_assert_uint_eq(i[2].ordinal, 115);
	ck_assert(i[3].delay);
	ck_assert_str_eq(i[3].dll, "ole32.dll");
	ck_assert_str_eq(i[3].name, "CoInitialize");
	ck_assert_uint_eq(i[3].iat_rva, IAT + 0x80);
	ck_assert_str_eq(pe_imphash(pe, &fault), hash);
	ck_assert_int_eq(fault, FAULT_NONE);
}

void check_version(struct pe *pe)
{
	enum fault fault;
	const struct pe_version_info *v = pe_version_info(pe, &fault);

	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_ptr_nonnull(v);
	ck_assert_str_eq(v->file_version, "10.1.19041.4648");
	ck_assert_str_eq(v->product_version, "10.0.0.0");
	ck_assert_uint_eq(v->file_flags, 0x01);
	ck_assert_str_eq(v->company_name, "Makers");
	ck_assert_str_eq(v->original_filename, "made.\xef\xbf\xbdll");
	ck_assert_ptr_null(v->product_name);
	ck_assert_uint_eq(v->strings->len, 2);
	ck_assert_str_eq(ROW(v->strings, pe_version_string, 0)->language, "040904B0");
	ck_assert_str_eq(ROW(v->strings, pe_version_string, 0)->key, "CompanyName");
}

void check_resources(struct pe *pe)
{
	enum fault fault;
	const GArray *resources = pe_resources(pe, &fault);
	const struct pe_resource *r = ROW(resources, pe_resource, 0);

	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(resources->len, 2);
	ck_assert_str_eq(r[0].type_name, "AB");
	ck_assert_uint_eq(r[0].id, 7);
	ck_assert_uint_eq(r[0].rva, TEXT);
	ck_assert_uint_eq(r[0].size, 5);
	ck_assert_ptr_null(r[1].type_name);
	ck_assert_uint_eq(r[1].type, PE_RESOURCE_VERSION);
	ck_assert_uint_eq(r[1].id, 1);
	ck_assert_uint_eq(r[1].language, 1033);
}

void check_data(struct pe *pe, const struct made *m)
{
	enum fault fault;
	const GArray *debug = pe_debug(pe, &fault);
	const struct pe_tls *tls;
	const struct pe_load_config *config;
	const struct pe_clr *clr;

	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(debug->len, 3);
	ck_assert_str_eq(ROW(debug, pe_debug, 0)->guid_age, "112233445566778801020304050607081A");
	ck_assert_str_eq(ROW(debug, pe_debug, 0)->pdb_name, "m\xc3\xa4.pdb");
	ck_assert_str_eq(ROW(debug, pe_debug, 1)->detail, "LTCG");
	ck_assert_str_eq(ROW(debug, pe_debug, 2)->detail, "aabbccdd");
	ck_assert_ptr_eq(pe_codeview(pe, NULL), ROW(debug, pe_debug, 0));
	ck_assert(pe_reproducible(pe, &fault) && fault == FAULT_NONE);
	tls = pe_tls(pe, &fault);
	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(tls->index, m->base + DATA + 0x280);
	ck_assert_uint_eq(tls->callbacks->len, 2);
	ck_assert_uint_eq(g_array_index(tls->callbacks, uint64_t, 1), m->base + TEXT + 0x30);
	config = pe_load_config(pe, &fault);
	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(config->security_cookie, m->base + DATA + 0x2f0);
	ck_assert_uint_eq(config->guard_cf_table, m->base + DATA + 0x400);
	ck_assert_uint_eq(config->guard_cf_count, 7);
	ck_assert_uint_eq(config->guard_flags, 0x10500);
	ck_assert_uint_eq(config->guard_eh_table, 0);
	clr = pe_clr(pe, &fault);
	ck_assert_uint_eq(clr->runtime_minor, 5);
	ck_assert_uint_eq(clr->flags, 3);
}

void check_tables(struct pe *pe, const struct made *m)
{
	enum fault fault;
	const GArray *relocations = pe_relocations(pe, &fault);
	struct pe_function f;

	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(relocations->len, 3);
	ck_assert_uint_eq(ROW(relocations, pe_relocation, 0)->rva, DATA + 0x240);
	ck_assert_uint_eq(ROW(relocations, pe_relocation, 0)->type,
			  m->wide ? PE_RELOCATION_DIR64 : PE_RELOCATION_HIGHLOW);
	ck_assert_uint_eq(ROW(relocations, pe_relocation, 2)->rva, IAT + 0xfff);
	ck_assert_uint_eq(pe_functions(pe, &fault)->len, m->wide ? 3 : 0);
	ck_assert_int_eq(fault, FAULT_NONE);
	if (!m->wide)
		return;
	ck_assert(!pe_function_at(pe, TEXT + 0xf, &f));
	ck_assert(pe_function_at(pe, TEXT + 0x10, &f));
	ck_assert_uint_eq(f.end, TEXT + 0x30);
	ck_assert(!pe_function_at(pe, TEXT + 0x30, &f));
	ck_assert(pe_function_at(pe, TEXT + 0x5f, &f));
	ck_assert_uint_eq(f.begin, TEXT + 0x10);
	ck_assert_uint_eq(f.end, TEXT + 0x60);
}
