/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PE images made here byte by byte: whole ones, then the same with a page missing, a
 * header wiped, a count or an offset that lies.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "pe.h"

enum {
	STEP = 0x1000,		/* one section a page */
	TEXT = 1 * STEP, EXPORTS = 2 * STEP, IMPORTS = 3 * STEP, DATA = 4 * STEP, IAT = 5 * STEP,
	RESOURCES = 6 * STEP, TABLES = 7 * STEP, IMAGE_SIZE = 8 * STEP,
	NT = 0x100,		/* e_lfanew */
	SECTIONS = 7,
};
#define PREFERRED UINT64_C(0x180000000)
#define PREFERRED32 UINT64_C(0x10000000)
#define LOADED UINT64_C(0x7ff812340000)
#define LOADED32 UINT64_C(0x76540000)

struct made {
	uint8_t bytes[IMAGE_SIZE];
	bool wide;
	uint64_t base;			/* where it "lies" */
	size_t size;			/* bytes there are at all */
	unsigned holes;			/* bit n: page n is absent */
	unsigned reads;
};

static void put(struct made *m, uint32_t at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		m->bytes[at + i] = (uint8_t)(value >> 8 * i);
}

static void put_text(struct made *m, uint32_t at, const char *text)
{
	memcpy(m->bytes + at, text, strlen(text) + 1);
}

static uint32_t optional_header(void) { return NT + 24; }
static uint32_t directories(const struct made *m) { return optional_header() + (m->wide ? 112 : 96); }
static uint32_t section_table(const struct made *m) { return directories(m) + 128; }
static unsigned width(const struct made *m) { return m->wide ? 8 : 4; }

static void put_directory(struct made *m, unsigned index, uint32_t rva, uint32_t size)
{
	put(m, directories(m) + 8 * index, 4, rva);
	put(m, directories(m) + 8 * index + 4, 4, size);
}

static void make_headers(struct made *m)
{
	static const char names[SECTIONS][9] = { ".text", ".edata", ".idata", ".data", "\xff" "bad", ".rsrc", "8letters" };
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

static uint32_t put_directory_entry(struct made *m, uint32_t directory, unsigned index, uint32_t name, uint32_t target)
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

static struct made *make(bool wide)
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

static enum fault read_made(void *user, uint32_t rva, void *buffer, size_t length)
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

static struct pe *open_made(struct made *m)
{
	struct pe_source source = { m, read_made };

	return pe_open(&source, m->base, IMAGE_SIZE);
}

#define ROW(array, type, i) (&g_array_index((array), struct type, (i)))

static void check_exports(struct pe *pe)
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

static void check_imports(struct pe *pe)
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

static void check_version(struct pe *pe)
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

static void check_resources(struct pe *pe)
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

static void check_data(struct pe *pe, const struct made *m)
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

static void check_tables(struct pe *pe, const struct made *m)
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

START_TEST(test_whole)
{
	struct made *m = make(_i);
	struct pe *pe = open_made(m);
	const struct pe_section *s = (void *)pe->sections->data;

	ck_assert_uint_le(m->reads, 1);
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert_str_eq(pe_header_state_name(pe->header_state), "intact");
	ck_assert_int_eq(pe->is_64bit, _i);
	ck_assert_uint_eq(pe->machine, _i ? PE_MACHINE_AMD64 : PE_MACHINE_I386);
	ck_assert_uint_eq(pe->timestamp, 0x5f000001);
	ck_assert_uint_eq(pe->entry_point, TEXT + 0x10);
	ck_assert_uint_eq(pe->size_of_image, IMAGE_SIZE);
	ck_assert_uint_eq(pe->size_of_headers, 0x400);
	ck_assert_uint_eq(pe->image_base, m->base);
	ck_assert_uint_eq(pe->checksum, 0xc4ec5);
	ck_assert_uint_eq(pe->subsystem, 3);
	ck_assert_uint_eq(pe->dll_characteristics, 0x4160);
	ck_assert_uint_eq(pe->characteristics, PE_FILE_EXECUTABLE_IMAGE | PE_FILE_DLL);
	ck_assert_uint_eq(pe->sections->len, SECTIONS);
	ck_assert_str_eq(s[0].name, ".text");
	ck_assert_str_eq(s[4].name, "\xef\xbf\xbd" "bad");
	ck_assert_str_eq(s[6].name, "8letters");
	ck_assert_uint_eq(s[2].virtual_address, IMPORTS);
	ck_assert_uint_eq(s[2].raw_offset, 0x800);
	ck_assert_ptr_eq(pe_section_at(pe, DATA + 5), &s[3]);
	ck_assert_ptr_null(pe_section_at(pe, DATA - 1));
	check_exports(pe);
	check_imports(pe);
	check_data(pe, m);
	check_resources(pe);
	check_version(pe);
	check_tables(pe, m);
	ck_assert_ptr_null(pe_rich(pe, NULL));
	m->holes = ~0u;		/* asked again, nothing is read again */
	check_exports(pe);
	check_imports(pe);
	pe_close(pe);
	free(m);
}
END_TEST

/* With page _i absent, only the parts that lie on it suffer. */
START_TEST(test_hole)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	m->holes = 1u << _i;
	pe = open_made(m);
	if (_i == 0) {
		ck_assert_int_eq(pe->header_state, PE_HEADER_ABSENT);
		ck_assert_int_eq(pe->fault, FAULT_PAGED_OUT);
		ck_assert_uint_eq(pe->sections->len, 0);
		ck_assert(!pe->has_file_header && !pe->has_optional_header && !pe->has_section_table);
	} else {
		ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
		_i == EXPORTS / STEP ? (void)0 : check_exports(pe);
		_i == IMPORTS / STEP ? (void)0 : check_imports(pe);
		_i == DATA / STEP ? (void)0 : check_data(pe, m);
		_i == RESOURCES / STEP ? (void)0 : check_resources(pe);
		_i == RESOURCES / STEP ? (void)0 : check_version(pe);
		_i == TABLES / STEP ? (void)0 : check_tables(pe, m);
	}
	if (_i == EXPORTS / STEP) {
		ck_assert_uint_eq(pe_exports(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == IMPORTS / STEP) {
		ck_assert_uint_eq(pe_imports(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_imphash(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == DATA / STEP) {
		ck_assert_uint_eq(pe_debug(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_tls(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_load_config(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == RESOURCES / STEP) {
		ck_assert_uint_eq(pe_resources(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_ptr_null(pe_version_info(pe, &fault));
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	} else if (_i == TABLES / STEP) {
		ck_assert_uint_eq(pe_relocations(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
		ck_assert_uint_eq(pe_functions(pe, &fault)->len, 0);
		ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	}
	pe_close(pe);
	free(m);
}
END_TEST

/* Where only names lie on the absent page, the rest of each row stays. */
START_TEST(test_names_absent)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;
	const struct pe_import *i;
	const GArray *exports;

	put(m, EXPORTS + 0x38, 4, TEXT + 0x800);	/* alpha's name */
	put(m, IMPORTS + 0x100, 8, TEXT + 0x800);	/* Sleep's */
	put(m, IMPORTS + 20, 4, TEXT + 0x900);		/* WS2_32's name table */
	m->holes = 1u << (TEXT / STEP);
	pe = open_made(m);
	exports = pe_exports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	ck_assert_uint_eq(exports->len, 3);
	ck_assert_ptr_null(ROW(exports, pe_export, 0)->name);
	ck_assert_uint_eq(ROW(exports, pe_export, 0)->rva, TEXT + 0x10);
	i = ROW(pe_imports(pe, &fault), pe_import, 0);
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	ck_assert_uint_eq(pe_imports(pe, NULL)->len, 4);
	ck_assert_int_eq(i[0].kind, PE_IMPORT_UNKNOWN);
	ck_assert_uint_eq(i[0].iat_rva, IAT);
	ck_assert_int_eq(i[1].kind, PE_IMPORT_BY_ORDINAL);
	ck_assert_int_eq(i[2].kind, PE_IMPORT_UNKNOWN);
	ck_assert_str_eq(i[2].dll, "WS2_32.dll");
	ck_assert_uint_eq(i[2].iat_rva, IAT + 0x40);
	ck_assert_ptr_null(pe_imphash(pe, &fault));
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	pe_close(pe);
	free(m);
}
END_TEST

/* No import name table: the loader has written over the names. Addresses of the kernel
 * have the ordinal's bit set, and are none. */
START_TEST(test_no_name_table)
{
	struct made *m = make(_i);
	struct pe *pe;
	enum fault fault;
	const struct pe_import *i;

	put(m, IMPORTS, 4, 0);
	put(m, IAT + 2 * width(m), width(m), IMPORTS + 0x240);	/* a slot not yet resolved */
	pe = open_made(m);
	i = ROW(pe_imports(pe, &fault), pe_import, 0);
	ck_assert_int_eq(fault, FAULT_NONE);
	ck_assert_uint_eq(pe_imports(pe, NULL)->len, 5);
	ck_assert_int_eq(i[0].kind, PE_IMPORT_UNKNOWN);
	ck_assert_int_eq(i[1].kind, PE_IMPORT_UNKNOWN);
	ck_assert_str_eq(i[1].dll, "KERNEL32.dll");
	ck_assert_str_eq(i[2].name, "Sleep");
	ck_assert_int_eq(i[3].kind, PE_IMPORT_BY_ORDINAL);
	ck_assert_ptr_null(pe_imphash(pe, &fault));
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_old_delay_descriptor)
{
	struct made *m = make(false);
	struct pe *pe;
	const struct pe_import *i;

	put(m, IMPORTS + 0x300, 4, 0);	/* VAs */
	put(m, IMPORTS + 0x304, 4, m->base + IMPORTS + 0x380);
	put(m, IMPORTS + 0x30c, 4, m->base + IAT + 0x80);
	put(m, IMPORTS + 0x310, 4, m->base + IMPORTS + 0x360);
	put(m, IMPORTS + 0x360, 4, m->base + IMPORTS + 0x390);
	pe = open_made(m);
	i = ROW(pe_imports(pe, NULL), pe_import, 3);
	ck_assert_str_eq(i->dll, "ole32.dll");
	ck_assert_str_eq(i->name, "CoInitialize");
	ck_assert_uint_eq(i->iat_rva, IAT + 0x80);
	pe_close(pe);
	free(m);
}
END_TEST

/* An address in a page that was not relocated refers to the preferred base. */
START_TEST(test_bases)
{
	struct made *m = make(true);
	struct pe *pe;
	uint32_t rva = 0;

	put(m, optional_header() + 24, 8, PREFERRED);
	put(m, DATA + 0x218, 8, PREFERRED + DATA + 0x240);
	pe = open_made(m);
	ck_assert(pe_va_to_rva(pe, LOADED + 0x1234, &rva));
	ck_assert_uint_eq(rva, 0x1234);
	ck_assert(pe_va_to_rva(pe, PREFERRED + 0x4321, &rva));
	ck_assert_uint_eq(rva, 0x4321);
	ck_assert(!pe_va_to_rva(pe, LOADED + IMAGE_SIZE, &rva));
	ck_assert(!pe_va_to_rva(pe, LOADED - 1, &rva));
	ck_assert_uint_eq(pe_tls(pe, NULL)->callbacks->len, 2);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_arm64)
{
	struct made *m = make(true);
	struct pe *pe;
	struct pe_function f;

	put(m, NT + 4, 2, PE_MACHINE_ARM64);
	put_directory(m, PE_DIRECTORY_EXCEPTION, TABLES + 0x100, 16);
	put(m, TABLES + 0x100, 4, TEXT + 0x10);
	put(m, TABLES + 0x104, 4, 5 << 2 | 1);		/* packed: five instructions */
	put(m, TABLES + 0x108, 4, TEXT + 0x40);
	put(m, TABLES + 0x10c, 4, TABLES + 0x200);
	put(m, TABLES + 0x200, 4, 0xfffc0000 | 3);	/* .xdata: three */
	pe = open_made(m);
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert(pe_function_at(pe, TEXT + 0x23, &f));
	ck_assert_uint_eq(f.begin, TEXT + 0x10);
	ck_assert_uint_eq(f.end, TEXT + 0x24);
	ck_assert(!pe_function_at(pe, TEXT + 0x24, &f));
	ck_assert(pe_function_at(pe, TEXT + 0x4b, &f));
	ck_assert(!pe_function_at(pe, TEXT + 0x4c, &f));
	pe_close(pe);
	free(m);
}
END_TEST

/* The key is a checksum of what lies before it, reckoned by hand: a rotation by its offset of each
 * byte other than 0 and not in e_lfanew (M at 0, Z at 1), and each product by its count. */
START_TEST(test_rich)
{
	struct made *m = make(true);
	const uint32_t product = 259u << 16 | 30148;
	uint32_t key = 0x80 + 'M' + ('Z' << 1) + (product << 3);
	struct pe *pe;
	const struct pe_rich *rich;

	put(m, 0x80, 4, 0x536e6144 ^ key);
	put(m, 0x84, 4, key);
	put(m, 0x88, 4, key);
	put(m, 0x8c, 4, key);
	put(m, 0x90, 4, product ^ key);
	put(m, 0x94, 4, 3 ^ key);
	put(m, 0x98, 4, 0x68636952);
	put(m, 0x9c, 4, key + (uint32_t)_i);
	if (_i)
		for (unsigned at = 0x80; at < 0x98; at += 4)
			put(m, at, 4, (m->bytes[at] | m->bytes[at + 1] << 8 | m->bytes[at + 2] << 16 |
				       (uint32_t)m->bytes[at + 3] << 24) ^ key ^ (key + 1));
	pe = open_made(m);
	rich = pe_rich(pe, NULL);
	ck_assert_ptr_nonnull(rich);
	ck_assert_uint_eq(rich->offset, 0x80);
	ck_assert_uint_eq(rich->size, 0x20);
	ck_assert_uint_eq(rich->entries->len, 1);
	ck_assert_uint_eq(ROW(rich->entries, pe_rich_entry, 0)->product, 259);
	ck_assert_uint_eq(ROW(rich->entries, pe_rich_entry, 0)->build, 30148);
	ck_assert_uint_eq(ROW(rich->entries, pe_rich_entry, 0)->count, 3);
	ck_assert_int_eq(rich->checksum_ok, !_i);
	pe_close(pe);
	free(m);
}
END_TEST

/* ---- damaged headers ---- */

static const struct damage {
	const char *what;
	struct { uint32_t at, length; uint8_t byte; } wipe[2];
	enum pe_header_state state;
	unsigned damage;
	bool parts;		/* the directories are still found */
} damages[] = {
	{ "no MZ", { { 0, 2, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_DOS_SIGNATURE, true },
	{ "no PE", { { NT, 4, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_NT_SIGNATURE, true },
	{ "no DOS header", { { 0, 0x80, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_E_LFANEW, true },
	{ "neither DOS header nor PE", { { 0, 0x80, 0xcc }, { NT, 4, 0xcc } }, PE_HEADER_PARTIAL,
	  PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_E_LFANEW | PE_DAMAGE_NT_SIGNATURE, true },
	{ "e_lfanew beyond all", { { 0x3c, 4, 0xff } }, PE_HEADER_PARTIAL, PE_DAMAGE_E_LFANEW, true },
	{ "e_lfanew at the end", { { 0x3d, 1, 0x7f }, { 0x3c, 1, 0xfe } }, PE_HEADER_PARTIAL, PE_DAMAGE_E_LFANEW, true },
	{ "machine", { { NT + 4, 2, 0xee } }, PE_HEADER_PARTIAL, PE_DAMAGE_FILE_HEADER, true },
	{ "size of image", { { NT + 24 + 56, 4, 0 } }, PE_HEADER_PARTIAL, PE_DAMAGE_OPTIONAL_HEADER, true },
	{ "alignment", { { NT + 24 + 32, 1, 3 } }, PE_HEADER_PARTIAL,
	  PE_DAMAGE_OPTIONAL_HEADER | PE_DAMAGE_SECTION_TABLE, true },
	{ "a section", { { NT + 24 + 240 + 40 + 12, 4, 0xff } }, PE_HEADER_PARTIAL, PE_DAMAGE_SECTION_TABLE, true },
	{ "zeroed", { { 0, STEP, 0 } }, PE_HEADER_WIPED, PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_NT_SIGNATURE, false },
	{ "overwritten", { { 0, STEP, 0x90 } }, PE_HEADER_WIPED, PE_DAMAGE_DOS_SIGNATURE | PE_DAMAGE_NT_SIGNATURE, false },
	{ "all but MZ", { { 2, STEP - 2, 0 } }, PE_HEADER_WIPED, PE_DAMAGE_NT_SIGNATURE, false },
};

START_TEST(test_damage)
{
	const struct damage *d = &damages[_i];
	struct made *m = make(true);
	struct pe *pe;

	for (unsigned i = 0; i < 2; i++)
		memset(m->bytes + d->wipe[i].at, d->wipe[i].byte, d->wipe[i].length);
	pe = open_made(m);
	ck_assert_msg(pe->header_state == d->state, "%s: %s", d->what, pe_header_state_name(pe->header_state));
	ck_assert_msg(pe->damage == d->damage, "%s: damage %x", d->what, pe->damage);
	if (d->parts) {
		check_exports(pe);
		check_imports(pe);
	} else {
		ck_assert_uint_eq(pe_exports(pe, NULL)->len, 0);
		ck_assert_uint_eq(pe_imports(pe, NULL)->len, 0);
	}
	pe_close(pe);
	free(m);
}
END_TEST

/* The caller knows from elsewhere what a wiped header would have said. */
START_TEST(test_wiped_but_known)
{
	struct made *m = make(true);
	struct pe *pe;

	memset(m->bytes, 0, STEP);
	pe = open_made(m);
	pe->machine = PE_MACHINE_AMD64;
	pe->is_64bit = true;
	pe->directories[PE_DIRECTORY_EXPORT] = (struct pe_directory){ EXPORTS, 0x100 };
	pe->directories[PE_DIRECTORY_EXCEPTION] = (struct pe_directory){ TABLES + 0x100, 36 };
	check_exports(pe);
	ck_assert_uint_eq(pe_functions(pe, NULL)->len, 3);
	pe_close(pe);
	free(m);
}
END_TEST

/* A source that ends anywhere in the headers. */
START_TEST(test_truncated)
{
	struct made *m = make(true);

	for (m->size = 0; m->size < 0x400; m->size++) {
		struct pe *pe = open_made(m);
		uint32_t end = section_table(m) + 40 * SECTIONS;

		ck_assert_int_eq(pe->header_state, m->size < 64 ? PE_HEADER_ABSENT :
				 m->size < end ? PE_HEADER_PARTIAL : PE_HEADER_INTACT);
		if (m->size < end)
			ck_assert_int_ne(pe->fault, FAULT_NONE);
		pe_exports(pe, NULL);
		pe_imports(pe, NULL);
		pe_close(pe);
	}
	free(m);
}
END_TEST

START_TEST(test_header_crosses_hole)
{
	struct made *m = make(true);
	struct pe *pe;

	put(m, 0x3c, 4, TEXT + 0x10);	/* the PE header would be on an absent page */
	memset(m->bytes + 0x40, 0, STEP - 0x40);
	m->holes = 1u << (TEXT / STEP);
	pe = open_made(m);
	ck_assert_int_eq(pe->header_state, PE_HEADER_PARTIAL);
	ck_assert_int_eq(pe->fault, FAULT_PAGED_OUT);
	pe_close(pe);
	free(m);
}
END_TEST

/* ---- lies ---- */

START_TEST(test_many_sections)
{
	struct made *m = make(true);
	struct pe *pe;

	put(m, NT + 6, 2, 0xffff);
	pe = open_made(m);
	ck_assert_int_eq(pe->header_state, PE_HEADER_PARTIAL);
	ck_assert_int_eq(pe->fault, FAULT_LIMIT);
	ck_assert_uint_eq(pe->sections->len, PE_MAX_SECTIONS);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_huge_exports)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put(m, EXPORTS + 20, 4, 0xffffffff);
	put(m, EXPORTS + 24, 4, 0xffffffff);
	pe = open_made(m);
	ck_assert_uint_le(pe_exports(pe, &fault)->len, 2 * PE_MAX_EXPORTS);
	ck_assert_int_eq(fault, FAULT_LIMIT);
	pe_close(pe);

	put(m, EXPORTS + 32, 4, 0xfffffff0);	/* name table at the end of all RVAs */
	put(m, EXPORTS + 36, 4, 0xfffffffe);
	pe = open_made(m);
	pe_exports(pe, &fault);
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_long_names)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;
	const GArray *exports;

	memset(m->bytes + DATA, 'a', 2 * STEP);
	put(m, EXPORTS + 0x38, 4, DATA);
	put(m, EXPORTS + 12, 4, DATA);
	pe = open_made(m);
	exports = pe_exports(pe, &fault);
	ck_assert_int_eq(fault, FAULT_LIMIT);
	ck_assert_uint_eq(strlen(ROW(exports, pe_export, 0)->name), PE_MAX_SYMBOL);
	ck_assert_uint_eq(strlen(pe_export_dll(pe)), PE_MAX_NAME);
	ck_assert_str_eq(ROW(exports, pe_export, 1)->name, "gamma");
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_endless_imports)
{
	struct made *m = make(true);
	struct pe_source source = { m, read_made };
	struct pe *pe;
	enum fault fault;

	/* Descriptors without end, each with the same two slots. */
	for (uint32_t at = DATA; at + 20 <= IMAGE_SIZE; at += 20)
		memcpy(m->bytes + at, m->bytes + IMPORTS, 20);
	put_directory(m, PE_DIRECTORY_IMPORT, DATA, 60);
	pe = open_made(m);
	ck_assert_uint_gt(pe_imports(pe, &fault)->len, 1000);
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);

	/* Slots without end, and no size limit that would stop them. */
	memset(m->bytes + DATA, 0x41, 4 * STEP);
	put_directory(m, PE_DIRECTORY_IMPORT, IMPORTS, 60);
	put(m, IMPORTS, 4, DATA);
	pe = pe_open(&source, m->base, 0);
	ck_assert_uint_le(pe_imports(pe, &fault)->len, PE_MAX_IMPORTS);
	ck_assert_int_ne(fault, FAULT_NONE);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_bad_relocations)
{
	const struct { uint32_t size; uint32_t directory; enum fault fault; guint found; } cases[] = {
		{ 0, 24, FAULT_IMPLAUSIBLE, 0 },	/* would stay in place */
		{ 7, 24, FAULT_IMPLAUSIBLE, 0 },
		{ 0xffffffff, 24, FAULT_IMPLAUSIBLE, 0 },	/* would wrap */
		{ 28, 24, FAULT_IMPLAUSIBLE, 0 },	/* longer than the directory */
		{ 12, 0xffffffff, FAULT_NONE, 3 },	/* zeros end it */
		{ 0xfffffff0, 0xffffffff, FAULT_IMPLAUSIBLE, 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct made *m = make(true);
		struct pe *pe;
		enum fault fault;

		put(m, TABLES + 4, 4, cases[i].size);
		put_directory(m, PE_DIRECTORY_RELOCATION, TABLES, cases[i].directory);
		pe = open_made(m);
		if (cases[i].found)
			ck_assert_uint_eq(pe_relocations(pe, &fault)->len, cases[i].found);
		else
			pe_relocations(pe, &fault);
		ck_assert_msg(fault == cases[i].fault, "case %zu: fault %d", i, fault);
		pe_close(pe);
		free(m);
	}
}
END_TEST

START_TEST(test_bad_tls)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put(m, DATA + 0x218, 8, 0x4141414141414141);
	pe = open_made(m);
	ck_assert_uint_eq(pe_tls(pe, &fault)->callbacks->len, 0);
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);

	memset(m->bytes + RESOURCES, 0x41, STEP);
	put(m, DATA + 0x218, 8, m->base + RESOURCES);
	pe = open_made(m);
	ck_assert_uint_eq(pe_tls(pe, &fault)->callbacks->len, PE_MAX_TLS_CALLBACKS);
	ck_assert_int_eq(fault, FAULT_LIMIT);
	pe_close(pe);
	free(m);
}
END_TEST

/* Directories that lead back to themselves or their parents, and claim 131070 entries. */
START_TEST(test_cyclic_resources)
{
	struct made *m = make(true);
	struct pe *pe;
	enum fault fault;

	put_directory_entry(m, 0x40, 0, 7, 0x80000000);		/* the name leads to the root */
	pe = open_made(m);
	ck_assert_uint_eq(pe_resources(pe, &fault)->len, 1);
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	check_version(pe);
	pe_close(pe);

	put_directory_entry(m, 0, 1, PE_RESOURCE_VERSION, 0x80000000);
	pe = open_made(m);
	ck_assert_ptr_null(pe_version_info(pe, &fault));
	ck_assert_int_eq(fault, FAULT_IMPLAUSIBLE);
	pe_close(pe);

	/* All levels the same directory of one million entries. */
	put(m, RESOURCES + 12, 4, 0xffffffff);
	pe = open_made(m);
	ck_assert_uint_le(pe_resources(pe, &fault)->len, PE_MAX_RESOURCES);
	ck_assert_int_ne(fault, FAULT_NONE);
	ck_assert_uint_lt(m->reads, 200);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_bad_version)
{
	struct made *m = make(true);
	uint32_t start = RESOURCES + 0x200;

	/* Every length of every block, one after another, made too short, too long, zero. */
	for (uint32_t at = start; at < start + 0x160; at += 2) {
		for (unsigned i = 0; i < 3; i++) {
			static const uint16_t values[] = { 0, 1, 0xffff };
			uint8_t saved[2] = { m->bytes[at], m->bytes[at + 1] };
			struct pe *pe;
			const struct pe_version_info *v;

			put(m, at, 2, values[i]);
			pe = open_made(m);
			v = pe_version_info(pe, NULL);
			if (at >= start + 0x30 && at < start + 0x34)	/* inside VS_FIXEDFILEINFO */
				ck_assert_ptr_nonnull(v);
			if (v && v->company_name)
				ck_assert(g_utf8_validate(v->company_name, -1, NULL));
			pe_close(pe);
			memcpy(m->bytes + at, saved, 2);
		}
	}
	put(m, RESOURCES + 0x154, 4, 0xffffffff);
	struct pe *pe = open_made(m);
	enum fault fault;
	const struct pe_version_info *v = pe_version_info(pe, &fault);

	ck_assert_int_eq(fault, FAULT_LIMIT);
	ck_assert_str_eq(v->company_name, "Makers");
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_directory_outside)
{
	for (unsigned i = 0; i < PE_DIRECTORIES; i++) {
		struct made *m = make(true);
		struct pe *pe;
		enum fault fault[8];

		put_directory(m, i, 0xfffffff8, 0xffffffff);
		pe = open_made(m);
		pe_exports(pe, &fault[0]);
		pe_imports(pe, &fault[1]);
		pe_resources(pe, &fault[2]);
		pe_functions(pe, &fault[3]);
		pe_relocations(pe, &fault[4]);
		pe_debug(pe, &fault[5]);
		pe_tls(pe, &fault[6]);
		pe_load_config(pe, &fault[7]);
		ck_assert_int_eq(fault[0] != FAULT_NONE, i == PE_DIRECTORY_EXPORT);
		ck_assert_int_eq(fault[1] != FAULT_NONE, i == PE_DIRECTORY_IMPORT || i == PE_DIRECTORY_DELAY_IMPORT);
		ck_assert_int_eq(fault[2] != FAULT_NONE, i == PE_DIRECTORY_RESOURCE);
		ck_assert_int_eq(fault[3] != FAULT_NONE, i == PE_DIRECTORY_EXCEPTION);
		ck_assert_int_eq(fault[4] != FAULT_NONE, i == PE_DIRECTORY_RELOCATION);
		ck_assert_int_eq(fault[5] != FAULT_NONE, i == PE_DIRECTORY_DEBUG);
		ck_assert_int_eq(fault[6] != FAULT_NONE, i == PE_DIRECTORY_TLS);
		ck_assert_int_eq(fault[7] != FAULT_NONE, i == PE_DIRECTORY_LOAD_CONFIG);
		pe_close(pe);
		free(m);
	}
}
END_TEST

/* ---- the rest ---- */

START_TEST(test_read_bounds)
{
	struct made *m = make(true);
	struct pe *pe = open_made(m);
	uint8_t buffer[2 * STEP];

	ck_assert_int_eq(pe_read(pe, IMAGE_SIZE - 4, buffer, 4), FAULT_NONE);
	ck_assert_int_eq(pe_read(pe, IMAGE_SIZE - 4, buffer, 5), FAULT_IMPLAUSIBLE);
	ck_assert_int_eq(pe_read(pe, 0xffffffff, buffer, 1), FAULT_IMPLAUSIBLE);
	ck_assert_int_eq(pe_read(pe, 0, buffer, SIZE_MAX), FAULT_IMPLAUSIBLE);
	ck_assert_int_eq(pe_read(pe, TEXT - 0x10, buffer, sizeof buffer), FAULT_NONE);
	ck_assert_mem_eq(buffer, m->bytes + TEXT - 0x10, sizeof buffer);
	pe_close(pe);
	free(m);
}
END_TEST

START_TEST(test_entropy)
{
	struct made *m = make(true);
	struct pe *pe;
	double entropy = -1;

	memset(m->bytes + DATA, 0, STEP);
	m->holes = 1u << (EXPORTS / STEP);
	pe = open_made(m);
	ck_assert_double_eq_tol(byte_entropy(m->bytes + TEXT, 256), 8, 1e-9);
	ck_assert_double_eq_tol(byte_entropy("aabb", 4), 1, 1e-9);
	ck_assert_double_eq_tol(byte_entropy("", 0), 0, 0);
	ck_assert_int_eq(pe_entropy(pe, DATA, STEP, &entropy), FAULT_NONE);
	ck_assert_double_eq_tol(entropy, 0, 0);
	ck_assert_int_eq(pe_entropy(pe, TEXT, 256, &entropy), FAULT_NONE);
	ck_assert_double_eq_tol(entropy, 8, 1e-9);
	entropy = -1;
	ck_assert_int_eq(pe_entropy(pe, EXPORTS, STEP, &entropy), FAULT_PAGED_OUT);
	ck_assert_int_eq(pe_entropy(pe, IMAGE_SIZE, 1, &entropy), FAULT_IMPLAUSIBLE);
	ck_assert_double_eq_tol(entropy, -1, 0);
	/* A hole is left out, and so is what lies past the end. */
	ck_assert_int_eq(pe_entropy(pe, EXPORTS, 0xffffffff, &entropy), FAULT_NONE);
	ck_assert_double_gt(entropy, 0);
	pe_close(pe);
	free(m);
}
END_TEST

/* The same image as a file: sections at their raw offsets, the rest of each page zero. */
START_TEST(test_file)
{
	static uint8_t bytes[0x400 + SECTIONS * 0x200];
	struct made *m = make(true);
	struct pe_file *file;
	struct pe_source source;
	struct pe *pe;
	uint8_t page[STEP];

	memcpy(bytes, m->bytes, 0x400);
	for (unsigned i = 0; i < SECTIONS; i++)
		memcpy(bytes + 0x400 + 0x200 * i, m->bytes + (i + 1) * STEP, 0x200);
	file = pe_file_create(bytes, sizeof bytes);
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(pe_file_size_of_image(file), IMAGE_SIZE);
	source = pe_file_source(file);
	ck_assert_int_eq(source.read(source.user, EXPORTS, page, STEP), FAULT_NONE);
	ck_assert_mem_eq(page, m->bytes + EXPORTS, 0x200);
	memset(m->bytes, 0, STEP);
	ck_assert_mem_eq(page + 0x200, m->bytes, STEP - 0x200);
	ck_assert_int_eq(source.read(source.user, IMAGE_SIZE - 1, page, 2), FAULT_UNMAPPED);
	pe = pe_open(&source, 0, pe_file_size_of_image(file));
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	ck_assert_uint_eq(pe->base, LOADED);
	check_exports(pe);
	pe_close(pe);
	pe_file_destroy(file);

	/* Cut off within the third section. */
	file = pe_file_create(bytes, 0x900);
	source = pe_file_source(file);
	ck_assert_int_eq(source.read(source.user, IMPORTS, page, STEP), FAULT_NONE);
	ck_assert_mem_eq(page, bytes + 0x800, 0x100);
	ck_assert_int_eq(page[0x100], 0);
	pe_file_destroy(file);
	ck_assert_ptr_null(pe_file_create("MZ", 2));
	ck_assert_ptr_null(pe_file_create("", 0));
	free(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pe");
	TCase *tc = tcase_create("pe");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, test_whole, 0, 2);
	tcase_add_loop_test(tc, test_hole, 0, IMAGE_SIZE / STEP);
	tcase_add_test(tc, test_names_absent);
	tcase_add_loop_test(tc, test_no_name_table, 0, 2);
	tcase_add_test(tc, test_old_delay_descriptor);
	tcase_add_test(tc, test_bases);
	tcase_add_test(tc, test_arm64);
	tcase_add_loop_test(tc, test_rich, 0, 2);
	tcase_add_loop_test(tc, test_damage, 0, G_N_ELEMENTS(damages));
	tcase_add_test(tc, test_wiped_but_known);
	tcase_add_test(tc, test_truncated);
	tcase_add_test(tc, test_header_crosses_hole);
	tcase_add_test(tc, test_many_sections);
	tcase_add_test(tc, test_huge_exports);
	tcase_add_test(tc, test_long_names);
	tcase_add_test(tc, test_endless_imports);
	tcase_add_test(tc, test_bad_relocations);
	tcase_add_test(tc, test_bad_tls);
	tcase_add_test(tc, test_cyclic_resources);
	tcase_add_test(tc, test_bad_version);
	tcase_add_test(tc, test_directory_outside);
	tcase_add_test(tc, test_read_bounds);
	tcase_add_test(tc, test_entropy);
	tcase_add_test(tc, test_file);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
