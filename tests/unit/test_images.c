/* SPDX-License-Identifier: Apache-2.0 */
/* Images in memory: compared with their section, patches decoded, loading undone, written back. */
#include <check.h>
#include <stdlib.h>
#include "image_compare.h"
#include "image_rebuild.h"
#include "image_remains.h"
#include "mapped_memory.h"
#include "patch.h"

/* ---- differences ---- */

START_TEST(test_differences)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(struct difference));
	const struct difference *d;

	differences(a, b, 64, 8, out);
	ck_assert_uint_eq(out->len, 0);
	b[0] = b[3] = 1;	/* within the gap: one */
	b[12] = 1;		/* eight equal bytes between: still one */
	b[22] = 1;		/* nine: another */
	b[63] = 1;
	differences(a, b, 64, 8, out);
	d = (const struct difference *)(void *)out->data;
	ck_assert_uint_eq(out->len, 3);
	ck_assert_uint_eq(d[0].offset, 0);
	ck_assert_uint_eq(d[0].length, 13);
	ck_assert_uint_eq(d[1].offset, 22);
	ck_assert_uint_eq(d[1].length, 1);
	ck_assert_uint_eq(d[2].offset, 63);
}
END_TEST

/* ---- patches ---- */

#define CODE UINT64_C(0x7ff600001000)

struct code { uint64_t base; uint8_t bytes[512]; };

static size_t read_code(void *user, uint64_t va, void *buffer, size_t length)
{
	const struct code *code = user;

	if (va < code->base || va - code->base >= sizeof(code->bytes))
		return 0;
	length = MIN(length, sizeof(code->bytes) - (size_t)(va - code->base));
	memcpy(buffer, code->bytes + (va - code->base), length);
	return length;
}

static const struct patch_case {
	const char *what;
	bool wide;
	unsigned function, at, length;	/* offsets of the function and of the changed bytes */
	uint8_t bytes[32];		/* from `function` on */
	enum patch_kind kind;
	bool has_target;
	uint64_t target;
} patch_cases[] = {
	{ "jmp rel32", true, 0, 0, 5, { 0xe9, 0xfb, 0x0f, 0, 0 }, PATCH_HOOK, true, CODE + 0x1000 },
	{ "jmp [rip+0]", true, 0, 0, 14, { 0xff, 0x25, 0, 0, 0, 0, 0x20, 0x10, 0, 0, 1 }, PATCH_HOOK, true, UINT64_C(0x100001020) },
	{ "mov rax; jmp rax", true, 0, 0, 12, { 0x48, 0xb8, 0x20, 0, 0x13, 0xc8, 0x7a, 1, 0, 0, 0xff, 0xe0 }, PATCH_HOOK, true, UINT64_C(0x17ac8130020) },
	{ "mov eax; jmp rax", true, 0, 0, 7, { 0xb8, 0x20, 0, 0x13, 0x80, 0xff, 0xe0 }, PATCH_HOOK, true, 0x80130020 },
	{ "only the address in mov rax; jmp rax", true, 0, 4, 3, { 0x48, 0xb8, 0x20, 0, 0x13, 0xc8, 0x7a, 1, 0, 0, 0xff, 0xe0 }, PATCH_HOOK, true,
	  UINT64_C(0x17ac8130020) },
	{ "push; mov [rsp+4]; ret", true, 0, 0, 14, { 0x68, 0x78, 0x56, 0x34, 0x12, 0xc7, 0x44, 0x24, 4, 0x11, 0x22, 0, 0, 0xc3 }, PATCH_HOOK, true,
	  UINT64_C(0x221112345678) },
	{ "push; ret in 32 bits", false, 0, 0, 6, { 0x68, 0x78, 0x56, 0x34, 0x92, 0xc3 }, PATCH_HOOK, true, 0x92345678 },
	{ "call rel32", true, 0, 0, 5, { 0xe8, 0xfb, 0x0f, 0, 0 }, PATCH_HOOK, true, CODE + 0x1000 },
	{ "jmp of what nobody knows", true, 0, 0, 2, { 0xff, 0xe1 }, PATCH_HOOK, false, 0 },
	{ "a register written over is not known", true, 0, 0, 14, { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 0, 0, 0x31, 0xc0, 0xff, 0xe0 }, PATCH_HOOK, false, 0 },
	{ "xor eax, eax; ret", true, 0, 0, 3, { 0x33, 0xc0, 0xc3 }, PATCH_RETURN, false, 0 },
	{ "mov eax; ret", true, 0, 0, 6, { 0xb8, 0x57, 0, 7, 0x80, 0xc3 }, PATCH_RETURN, false, 0 },
	{ "ret 0x18", false, 0, 0, 3, { 0xc2, 0x18, 0 }, PATCH_RETURN, false, 0 },
	{ "int3", true, 0, 0, 1, { 0xcc, 0x48 }, PATCH_BREAKPOINT, false, 0 },
	{ "nop", true, 0, 0, 2, { 0x90, 0x90, 0xc3 }, PATCH_NOP, false, 0 },
	{ "jump after the patch is the function's own", true, 0, 0, 3, { 0x48, 0x31, 0xd2, 0xe9, 0, 1, 0, 0 }, PATCH_OTHER, false, 0 },
	{ "within an instruction, from the function's start", true, 0, 4, 4, { 0x48, 0x89, 0xc8, 0xe9, 0xf8, 0x0f, 0, 0 }, PATCH_HOOK, true, CODE + 0x1000 },
	{ "an address computed", true, 0, 0, 18, { 0x48, 0xb8, 0, 0, 0, 0x20, 0, 0, 0, 0, 0x48, 0x05, 0x30, 1, 0, 0, 0xff, 0xe0 }, PATCH_HOOK, true, 0x20000130 },
	{ "xchg with the stack's top", true, 0, 0, 16, { 0x50, 0x48, 0xb8, 0, 0xb, 0, 0x20, 0, 0, 0, 0, 0x48, 0x87, 0x04, 0x24, 0xc3 }, PATCH_HOOK, true, 0x20000b00 },
	{ "call next; pop; add; jmp", true, 0, 0, 14, { 0xe8, 0, 0, 0, 0, 0x58, 0x48, 0x05, 0, 0x10, 0, 0, 0xff, 0xe0 }, PATCH_HOOK, true, CODE + 0x1005 },
	{ "a far jump", false, 0, 0, 7, { 0xea, 0, 0xa, 0, 0x21, 0x33, 0 }, PATCH_HOOK, true, 0x21000a00 },
	{ "the register jumped through isn't what was changed", false, 0, 1, 1, { 0xb8, 5, 0, 0, 0, 0xba, 0x70, 0x8a, 0x2e, 0x77, 0xff, 0xd2 }, PATCH_OTHER, false, 0 },
	{ "no pointer", true, 0, 0, 6, { 0xff, 0x25, 2, 0, 0, 0, 0xcc, 0xcc, 0, 0, 0, 0, 0, 0, 0, 0 }, PATCH_HOOK, false, 0 },
	{ "no instruction", true, 0, 0, 2, { 0x06, 0x06 }, PATCH_OTHER, false, 0 },
};

START_TEST(test_patch)
{
	const struct patch_case *c = &patch_cases[_i];
	struct code code = { .base = c->wide ? CODE : 0x401000 };
	struct patch_source source = { .user = &code, .read = read_code };
	struct patch_code out;

	memset(code.bytes, 0xcc, sizeof(code.bytes));
	memcpy(code.bytes + c->function, c->bytes, sizeof(c->bytes));
	patch_decode(&source, c->wide ? PE_MACHINE_AMD64 : PE_MACHINE_I386, code.base + c->function, code.base + c->at, c->length, &out);
	ck_assert_msg(out.kind == c->kind, "%s: %s (%s)", c->what, patch_kind_name(out.kind), out.text ? out.text : "");
	ck_assert_msg(out.has_target == c->has_target, "%s: target %d", c->what, out.has_target);
	ck_assert_msg(!c->has_target || out.target == c->target, "%s: 0x%" G_GINT64_MODIFIER "x", c->what, out.target);
	g_free(out.text);
}
END_TEST

/* Of instructions; the first `length` bytes are the patch. */
static const struct arm64_case {
	const char *what;
	unsigned at, length;
	uint32_t words[6];
	enum patch_kind kind;
	uint64_t target;	/* 0: none */
} arm64_cases[] = {
	{ "b", 0, 4, { 0x14000400 }, PATCH_HOOK, CODE + 0x1000 },
	{ "bl", 0, 4, { 0x94000400 }, PATCH_HOOK, CODE + 0x1000 },
	{ "ldr x16, 8; br x16", 0, 16, { 0x58000050, 0xd61f0200, 0x00001000, 0x00000123 }, PATCH_HOOK, UINT64_C(0x12300001000) },
	{ "movz; movk; br", 0, 12, { 0xd2800810, 0xf2a40010, 0xd61f0200 }, PATCH_HOOK, 0x20000040 },
	{ "adrp; add; br", 0, 12, { 0xb0000010, 0x91008210, 0xd61f0200 }, PATCH_HOOK, CODE + 0x1020 },
	{ "only the address in movz; movk; br", 1, 2, { 0xd2800810, 0xf2a40010, 0xd61f0200 }, PATCH_HOOK, 0x20000040 },
	{ "a branch to where nobody knows", 0, 4, { 0xd61f0200 }, PATCH_HOOK, 0 },
	{ "a branch to a branch", 0, 4, { 0x14000003, 0, 0, 0x14000400 }, PATCH_HOOK, CODE + 0x100c },
	{ "mov w0, 0; ret", 0, 8, { 0x52800000, 0xd65f03c0 }, PATCH_RETURN, 0 },
	{ "brk", 0, 4, { 0xd4200000 }, PATCH_BREAKPOINT, 0 },
	{ "nop", 0, 4, { 0xd503201f, 0xd65f03c0 }, PATCH_NOP, 0 },
	{ "another number", 0, 4, { 0xd40000a1, 0xd65f03c0 }, PATCH_OTHER, 0 },
};

START_TEST(test_patch_arm64)
{
	const struct arm64_case *c = &arm64_cases[_i];
	struct code code = { .base = CODE };
	struct patch_source source = { .user = &code, .read = read_code };
	struct patch_code out;

	for (size_t i = 0; i < G_N_ELEMENTS(c->words); i++)
		for (unsigned b = 0; b < 4; b++)
			code.bytes[4 * i + b] = (uint8_t)(c->words[i] >> 8 * b);
	patch_decode(&source, PE_MACHINE_ARM64, CODE, CODE + c->at, c->length, &out);
	ck_assert_msg(out.kind == c->kind, "%s: %s (%s)", c->what, patch_kind_name(out.kind), out.text ? out.text : "");
	ck_assert_msg(out.has_target == (c->target != 0), "%s: target %d", c->what, out.has_target);
	ck_assert_msg(!c->target || out.target == c->target, "%s: 0x%" G_GINT64_MODIFIER "x", c->what, out.target);
	ck_assert_uint_eq(out.start, CODE);
	g_free(out.text);
}
END_TEST

/* Jumps to jumps are followed, and those that go round are left. */
START_TEST(test_trampolines)
{
	struct code code = { .base = CODE };
	struct patch_source source = { .user = &code, .read = read_code };
	struct patch_code out;

	memset(code.bytes, 0xcc, sizeof(code.bytes));
	memcpy(code.bytes, "\xe9\xfb\x00\x00\x00", 5);			/* → 0x100 */
	memcpy(code.bytes + 0x100, "\xeb\x0e", 2);			/* → 0x110 */
	memcpy(code.bytes + 0x110, "\x48\xb8\0\0\0\0\x34\x12\0\0\xff\xe0", 12);
	patch_decode(&source, PE_MACHINE_AMD64, CODE, CODE, 5, &out);
	ck_assert(out.kind == PATCH_HOOK && out.has_target);
	ck_assert_uint_eq(out.target, UINT64_C(0x123400000000));
	g_free(out.text);
	memcpy(code.bytes + 0x110, "\xeb\xee", 2);			/* → 0x100 again */
	patch_decode(&source, PE_MACHINE_AMD64, CODE, CODE, 5, &out);
	ck_assert(out.has_target && out.target >= CODE + 0x100 && out.target <= CODE + 0x110);
	g_free(out.text);
	/* Code we can't decode is no error. */
	patch_decode(&source, PE_MACHINE_ARMNT, CODE, CODE, 4, &out);
	ck_assert(out.kind == PATCH_OTHER && !out.text);
	patch_decode(&source, PE_MACHINE_AMD64, 0, 0, 4, &out);
	ck_assert(out.kind == PATCH_OTHER && !out.text);
}
END_TEST

/* ---- an image file, and a loader for it ---- */

enum {
	HEADERS = 0x400, NT = 0x80, OPTIONAL = NT + 24, TABLE = OPTIONAL + 240,
	TEXT = 0x1000, RDATA = 0x3000, DATA = 0x4000, RELOC = 0x5000, IMAGE = 0x6000,
	RAW_TEXT = 0x400, RAW_RDATA = 0x1a00, RAW_DATA = 0x2000, RAW_RELOC = 0x2200, FILE_SIZE = 0x2400,
	NAMES = RDATA + 0x100, IAT = RDATA + 0x200, POINTER = RDATA + 0x300, STRADDLER = TEXT + 0xffc,
};
#define PREFERRED UINT64_C(0x180000000)

struct loaded {
	uint8_t file[FILE_SIZE], bytes[IMAGE];
	uint64_t base;
	unsigned holes;		/* bit n: page n can't be read */
};

static void put(uint8_t *at, unsigned width, uint64_t value)
{
	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void put_section(uint8_t *file, unsigned i, const char *name, uint32_t size, uint32_t rva, uint32_t raw_size, uint32_t raw, uint32_t flags)
{
	uint8_t *at = file + TABLE + 40 * i;

	memcpy(at, name, strlen(name));
	put(at + 8, 4, size);
	put(at + 12, 4, rva);
	put(at + 16, 4, raw_size);
	put(at + 20, 4, raw);
	put(at + 36, 4, flags);
}

static uint8_t *in_file(struct loaded *l, uint32_t rva)
{
	uint32_t at = rva < TEXT ? rva : rva < RDATA ? RAW_TEXT + rva - TEXT : rva < DATA ? RAW_RDATA + rva - RDATA :
		      rva < RELOC ? RAW_DATA + rva - DATA : RAW_RELOC + rva - RELOC;

	return l->file + at;
}

static void make_file(struct loaded *l)
{
	memset(l, 0, sizeof(*l));
	put(l->file, 2, 0x5a4d);
	put(l->file + 0x3c, 4, NT);
	put(l->file + NT, 4, 0x4550);
	put(l->file + NT + 4, 2, PE_MACHINE_AMD64);
	put(l->file + NT + 6, 2, 4);
	put(l->file + NT + 20, 2, 240);
	put(l->file + NT + 22, 2, PE_FILE_EXECUTABLE_IMAGE | PE_FILE_DLL);
	put(l->file + OPTIONAL, 2, 0x20b);
	put(l->file + OPTIONAL + 16, 4, TEXT);
	put(l->file + OPTIONAL + 24, 8, PREFERRED);
	put(l->file + OPTIONAL + 32, 4, 0x1000);
	put(l->file + OPTIONAL + 36, 4, 0x200);
	put(l->file + OPTIONAL + 56, 4, IMAGE);
	put(l->file + OPTIONAL + 60, 4, HEADERS);
	put(l->file + OPTIONAL + 108, 4, 16);
	put(l->file + OPTIONAL + 112 + 8 * PE_DIRECTORY_IMPORT, 4, RDATA);
	put(l->file + OPTIONAL + 116 + 8 * PE_DIRECTORY_IMPORT, 4, 40);
	put(l->file + OPTIONAL + 112 + 8 * PE_DIRECTORY_RELOCATION, 4, RELOC);
	put(l->file + OPTIONAL + 116 + 8 * PE_DIRECTORY_RELOCATION, 4, 12 + 12);
	put_section(l->file, 0, ".text", 0x1600, TEXT, 0x1600, RAW_TEXT, PE_SECTION_READ | PE_SECTION_EXECUTE | PE_SECTION_CODE);
	put_section(l->file, 1, ".rdata", 0x600, RDATA, 0x600, RAW_RDATA, PE_SECTION_READ);
	put_section(l->file, 2, ".data", 0x200, DATA, 0x200, RAW_DATA, PE_SECTION_READ | PE_SECTION_WRITE);
	put_section(l->file, 3, ".reloc", 24, RELOC, 0x200, RAW_RELOC, PE_SECTION_READ | PE_SECTION_DISCARDABLE);
	for (unsigned i = 0; i < 0x1600; i++)
		l->file[RAW_TEXT + i] = (uint8_t)(i * 7 + (i >> 8));
	put(in_file(l, RDATA), 4, NAMES);
	put(in_file(l, RDATA + 12), 4, RDATA + 0x180);
	put(in_file(l, RDATA + 16), 4, IAT);
	put(in_file(l, NAMES), 8, RDATA + 0x190);
	put(in_file(l, NAMES + 8), 8, UINT64_C(1) << 63 | 17);
	put(in_file(l, IAT), 8, RDATA + 0x190);
	put(in_file(l, IAT + 8), 8, UINT64_C(1) << 63 | 17);
	memcpy(in_file(l, RDATA + 0x180), "KERNEL32.dll", 13);
	memcpy(in_file(l, RDATA + 0x192), "Sleep", 6);
	put(in_file(l, POINTER), 8, PREFERRED + TEXT + 0x20);
	put(in_file(l, STRADDLER), 8, PREFERRED + DATA);	/* half of it lies on the next page */
	put(in_file(l, RELOC), 4, TEXT);
	put(in_file(l, RELOC + 4), 4, 12);
	put(in_file(l, RELOC + 8), 2, PE_RELOCATION_DIR64 << 12 | (STRADDLER - TEXT));
	put(in_file(l, RELOC + 12), 4, RDATA);
	put(in_file(l, RELOC + 16), 4, 12);
	put(in_file(l, RELOC + 20), 2, PE_RELOCATION_DIR64 << 12 | (POINTER - RDATA));
}

/* As the memory manager and the loader do: ImageBase in the header is the actual one. */
static void load(struct loaded *l, uint64_t base, uint64_t import)
{
	make_file(l);
	l->base = base;
	memcpy(l->bytes, l->file, HEADERS);
	memcpy(l->bytes + TEXT, l->file + RAW_TEXT, 0x1600);
	memcpy(l->bytes + RDATA, l->file + RAW_RDATA, 0x600);
	memcpy(l->bytes + DATA, l->file + RAW_DATA, 0x200);
	memcpy(l->bytes + RELOC, l->file + RAW_RELOC, 0x200);
	put(l->bytes + OPTIONAL + 24, 8, base);
	put(l->bytes + POINTER, 8, base + TEXT + 0x20);
	put(l->bytes + STRADDLER, 8, base + DATA);
	put(l->bytes + IAT, 8, import);
	put(l->bytes + IAT + 8, 8, import + 0x100);
	l->bytes[DATA + 5] ^= 0xff;	/* the program wrote to its data */
}

static enum fault read_loaded(void *user, uint32_t rva, void *buffer, size_t length)
{
	const struct loaded *l = user;

	if (rva > IMAGE || length > IMAGE - rva)
		return FAULT_UNMAPPED;
	for (uint32_t page = rva / 4096; length && page <= (rva + length - 1) / 4096; page++)
		if (l->holes & 1u << page)
			return FAULT_PAGED_OUT;
	memcpy(buffer, l->bytes + rva, length);
	return FAULT_NONE;
}

static struct pe *open_loaded(struct loaded *l)
{
	struct pe_source source = { l, read_loaded };

	return pe_open(&source, l->base, IMAGE);
}

static char *hash_of(struct loaded *l, enum fault *fault, uint32_t *at)
{
	struct pe *pe = open_loaded(l);
	struct image_fixups *fixups = image_fixups_create(pe);
	char *hash = image_sha256(pe, fixups, fault, at);

	image_fixups_destroy(fixups);
	pe_close(pe);
	return hash;
}

START_TEST(test_hash)
{
	enum { LOOK_ALIKES = 100 };
	static struct loaded here, there;
	enum fault fault;
	uint32_t at;

	load(&here, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	load(&there, UINT64_C(0x7ffb12340000), UINT64_C(0x7ffc00005000));
	there.bytes[DATA + 9] = 1;
	g_autofree char *a = hash_of(&here, &fault, &at), *b = hash_of(&there, &fault, &at);
	ck_assert_ptr_nonnull(a);
	ck_assert_str_eq(a, b);
	ck_assert_uint_eq(strlen(a), 64);
	there.bytes[TEXT + 100] ^= 1;
	g_autofree char *changed = hash_of(&there, &fault, &at);
	ck_assert_str_ne(a, changed);
	/* Its relocations gone, the addresses in it tell the same: in both places, and as the table would. */
	here.holes = there.holes = 1 << 5;
	g_autofree char *recognised = hash_of(&there, &fault, &at), *there_too = hash_of(&here, &fault, &at);
	ck_assert_str_eq(recognised, changed);
	ck_assert_str_eq(there_too, a);
	/* Among many values that look like it in part, too. */
	static struct loaded crowded;
	load(&crowded, UINT64_C(0x7ffb12340000), UINT64_C(0x7ffc00005000));
	crowded.holes = 1 << 5;
	const uint32_t first = TEXT + 0x100, last = first + 8 * LOOK_ALIKES + 3;
	for (unsigned i = 0; i < LOOK_ALIKES; i++)
		memcpy(crowded.bytes + first + 8 * i, &(uint64_t){ UINT64_C(0x7ffb99990000) + i }, 8);
	memcpy(crowded.bytes + last, &(uint64_t){ UINT64_C(0x7ffb12340010) }, 8);
	struct pe *pe = open_loaded(&crowded);
	struct image_fixups *found = image_fixups_create(pe);
	bool is_there = false;
	for (guint i = 0; i < found->relocations->len; i++) {
		const uint32_t rva = g_array_index(found->relocations, struct pe_relocation, i).rva;
		is_there |= rva == last;
		ck_assert(rva < first || rva >= last);
	}
	ck_assert(is_there);
	image_fixups_destroy(found);
	pe_close(pe);
	/* Not in 32 bits, where other values look like addresses: no hash, and that is said. */
	struct pe *narrow = open_loaded(&there);
	narrow->is_64bit = false;
	struct image_fixups *none = image_fixups_create(narrow);
	ck_assert_int_eq(none->relocation_fault, FAULT_PAGED_OUT);
	ck_assert_ptr_null(image_sha256(narrow, none, &fault, &at));
	ck_assert_int_eq(fault, FAULT_PAGED_OUT);
	image_fixups_destroy(none);
	pe_close(narrow);
	/* Nor without a page of its code. */
	there.holes = 1 << 2;
	ck_assert_ptr_null(hash_of(&there, &fault, &at));
	ck_assert_uint_eq(at, TEXT + 0x1000);
	/* Sections that claim the same bytes again and again. */
	there.holes = 0;
	for (unsigned i = 0; i < 3; i++)
		put(there.bytes + TABLE + 40 * i + 8, 4, IMAGE - TEXT), put(there.bytes + TABLE + 40 * i + 12, 4, TEXT);
	free(hash_of(&there, &fault, &at));
}
END_TEST

/* Pages of code hash alike wherever they lie, and whether the kernel calls imports through their slots or not. */
START_TEST(test_page_hashes)
{
	static struct loaded here, there;
	static const uint8_t call[] = { 0x48, 0xff, 0x15, 0, 0, 0, 0, 0x0f, 0x1f, 0x44, 0, 0 }, direct[] = { 0x4c, 0x8b, 0x15, 0, 0, 0, 0, 0xe8, 1, 2, 3, 4 };
	static const uint8_t jump[] = { 0x48, 0xff, 0x25, 0, 0, 0, 0, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc }, direct_jump[] = { 0x4c, 0x8b, 0x15, 0, 0, 0, 0, 0xe9, 5, 6, 7, 8 };
	const uint32_t calls[] = { TEXT + 0x100, TEXT + 0x15f0, DATA - 6 };	/* the last over the border of two pages */
	guint n, m;

	load(&here, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	load(&there, UINT64_C(0x7ffb12340000), UINT64_C(0x7ffc00005000));
	for (size_t i = 0; i < G_N_ELEMENTS(calls); i++) {
		memcpy(here.bytes + calls[i], i ? call : jump, sizeof(call));
		memcpy(there.bytes + calls[i], i ? direct : direct_jump, sizeof(direct));
		put(here.bytes + calls[i] + 3, 4, IAT - (calls[i] + 7));
		put(there.bytes + calls[i] + 3, 4, IAT - (calls[i] + 7));
	}
	struct pe *a = open_loaded(&here), *b = open_loaded(&there);
	struct image_fixups *f = image_fixups_create(a), *g = image_fixups_create(b);
	g_autoptr(GByteArray) x = image_page_hashes(a, f, TEXT, 0x1600, 16, &n), y = image_page_hashes(b, g, TEXT, 0x1600, 16, &m);
	ck_assert_uint_eq(x->len, 2 * PAGE_HASH_BYTES);
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(m, 2);
	ck_assert_mem_eq(x->data, y->data, 2 * PAGE_HASH_BYTES);
	g_autoptr(GByteArray) border = image_page_hashes(a, f, RDATA, 0x1100, 16, &n), border2 = image_page_hashes(b, g, RDATA, 0x1100, 16, &m);
	ck_assert_uint_eq(border->len, 2 * PAGE_HASH_BYTES);
	ck_assert_mem_eq(border->data, border2->data, PAGE_HASH_BYTES);
	ck_assert_mem_eq(border->data + PAGE_HASH_BYTES, border2->data + PAGE_HASH_BYTES, PAGE_HASH_BYTES);
	there.bytes[TEXT + 0x1100] ^= 1;
	pe_close(b);
	b = open_loaded(&there);
	g_autoptr(GByteArray) z = image_page_hashes(b, g, TEXT, 0x1600, 16, &m);
	ck_assert(memcmp(y->data + PAGE_HASH_BYTES, z->data + PAGE_HASH_BYTES, PAGE_HASH_BYTES));
	/* The call that goes through no slot of the image stays what it is. */
	put(there.bytes + calls[0] + 3, 4, 0x10);
	pe_close(b);
	b = open_loaded(&there);
	g_autoptr(GByteArray) other = image_page_hashes(b, g, TEXT, 0x1600, 16, &m);
	ck_assert_uint_eq(m, 1);
	ck_assert(memcmp(y->data, other->data, PAGE_HASH_BYTES));
	/* A page that isn't there has none; and no more are made than are asked for. */
	there.holes = 1 << 1;
	pe_close(b);
	b = open_loaded(&there);
	g_autoptr(GByteArray) hole = image_page_hashes(b, g, TEXT, 0x1600, 1, &m);
	ck_assert_uint_eq(hole->len, PAGE_HASH_BYTES);
	ck_assert_mem_eq(hole->data, "\0\0\0\0\0\0\0\0", PAGE_HASH_BYTES);
	image_fixups_destroy(f);
	image_fixups_destroy(g);
	pe_close(a);
	pe_close(b);
}
END_TEST

START_TEST(test_fixups)
{
	static struct loaded l;
	uint8_t page[4096];

	load(&l, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	struct pe *pe = open_loaded(&l);
	struct image_fixups *f = image_fixups_create(pe);
	ck_assert_uint_eq(f->slots->len, 1);
	ck_assert_uint_eq(g_array_index(f->slots, struct image_span, 0).length, 16);
	ck_assert(image_fixups_touches(f, IAT + 15, 1) && !image_fixups_touches(f, IAT + 16, 100) && !image_fixups_touches(f, 0, IAT));
	/* A slot that is cut by the end of what is looked at. */
	memset(page, 0xaa, sizeof(page));
	image_fixups_mask(f, IAT + 12, page, 16);
	ck_assert(page[3] == 0 && page[4] == 0xaa);
	/* Values within are made relative, those that are cut are blanked. */
	memcpy(page, l.bytes + RDATA, sizeof(page));
	image_fixups_unrelocate(f, RDATA, page, sizeof(page), l.base - PREFERRED);
	ck_assert(!memcmp(page + 0x300, in_file(&l, POINTER), 8));
	memcpy(page, l.bytes + TEXT, sizeof(page));
	image_fixups_unrelocate(f, TEXT, page, sizeof(page), l.base - PREFERRED);
	ck_assert(!memcmp(page, l.file + RAW_TEXT, 0xffc) && !page[0xffc] && !page[0xfff]);
	memcpy(page, l.bytes + TEXT + 0x1000, sizeof(page));
	image_fixups_unrelocate(f, TEXT + 0x1000, page, 0x600, l.base - PREFERRED);
	ck_assert(!page[0] && !page[3] && !memcmp(page + 4, l.file + RAW_TEXT + 0x1004, 0x5fc));
	image_fixups_destroy(f);
	pe_close(pe);
}
END_TEST

/* A process's page against the section's: neither what the loader fills in nor another base is a change. */
START_TEST(test_page_differences)
{
	static struct loaded section, process;
	g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(struct difference));
	uint8_t original[PAGE_SIZE];

	load(&section, UINT64_C(0x7ff800000000), 0);
	load(&process, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	struct pe *pe = open_loaded(&section);
	struct image_fixups *f = image_fixups_create(pe);
	memcpy(original, section.bytes + RDATA, PAGE_SIZE);
	image_page_differences(f, RDATA, original, section.base, process.bytes + RDATA, process.base, 8, runs);
	ck_assert_uint_eq(runs->len, 0);
	ck_assert(!memcmp(original + 0x200, process.bytes + IAT, 16));
	/* Without the fix-ups known, everything counts. */
	memcpy(original, section.bytes + RDATA, PAGE_SIZE);
	image_page_differences(NULL, RDATA, original, section.base, process.bytes + RDATA, process.base, 8, runs);
	ck_assert_uint_eq(runs->len, 1);
	/* Relocated once more, and one byte changed besides. */
	load(&process, UINT64_C(0x7ff9abcd0000), UINT64_C(0x7ffa00001000));
	for (uint32_t rva = TEXT; rva <= RDATA; rva += PAGE_SIZE) {
		g_array_set_size(runs, 0);
		memcpy(original, section.bytes + rva, PAGE_SIZE);
		image_page_differences(f, rva, original, section.base, process.bytes + rva, process.base, 8, runs);
		ck_assert_uint_eq(runs->len, 0);
		process.bytes[rva + 0x400] ^= 1;
		memcpy(original, section.bytes + rva, PAGE_SIZE);
		image_page_differences(f, rva, original, section.base, process.bytes + rva, process.base, 8, runs);
		ck_assert_uint_eq(runs->len, 1);
		ck_assert_uint_eq(g_array_index(runs, struct difference, 0).offset, 0x400);
	}
	image_fixups_destroy(f);
	pe_close(pe);
}
END_TEST

static const struct image_budget plenty = { .bytes = 1 << 20, .slots = 1 << 10 };

static size_t write_within(struct loaded *l, uint64_t image_base, uint8_t *out, size_t room, struct image_budget *budget, GArray *missing, enum image_layout *layout)
{
	struct pe *pe = open_loaded(l);
	FILE *file = tmpfile();

	ck_assert(image_write_file(pe, pe, image_base ? &image_base : NULL, file, budget, missing, layout));
	rewind(file);
	size_t n = fread(out, 1, room, file);
	fclose(file);
	pe_close(pe);
	return n;
}

static size_t write_back(struct loaded *l, uint64_t image_base, uint8_t *out, size_t room, GArray *missing, enum image_layout *layout)
{
	struct image_budget budget = plenty;
	size_t n = write_within(l, image_base, out, room, &budget, missing, layout);

	ck_assert(!budget.cut);
	return n;
}

START_TEST(test_write_file)
{
	static struct loaded l;
	static uint8_t out[4 * IMAGE];
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	enum image_layout layout;

	load(&l, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	l.bytes[DATA + 5] ^= 0xff;	/* data as the file has it */
	ck_assert_uint_eq(write_back(&l, PREFERRED, out, sizeof(out), missing, &layout), FILE_SIZE);
	ck_assert_int_eq(layout, IMAGE_LAYOUT_RAW);
	ck_assert_uint_eq(missing->len, 0);
	for (unsigned i = 0; i < FILE_SIZE; i++)
		ck_assert_msg(out[i] == l.file[i], "byte 0x%x is 0x%x, was 0x%x in the file", i, out[i], l.file[i]);
	/* Nothing said: the base of the header, so relocations stay as they are. */
	write_back(&l, 0, out, sizeof(out), missing, &layout);
	ck_assert(!memcmp(out + RAW_TEXT, l.bytes + TEXT, 0x1600) && !memcmp(out + OPTIONAL + 24, l.bytes + OPTIONAL + 24, 8));
	/* A page that is gone is zeros, told, and costs its neighbours nothing. */
	l.holes = 1 << 3;
	ck_assert_uint_eq(write_back(&l, PREFERRED, out, sizeof(out), missing, &layout), FILE_SIZE);
	ck_assert_uint_eq(missing->len, 1);
	ck_assert_uint_eq(g_array_index(missing, struct image_span, 0).rva, RDATA);
	ck_assert_uint_eq(g_array_index(missing, struct image_span, 0).length, 0x600);
	ck_assert(!memcmp(out + RAW_TEXT, l.file + RAW_TEXT, 0x1600) && !out[RAW_RDATA] && !memcmp(out + RAW_DATA, l.file + RAW_DATA, 0x200));
}
END_TEST

/* Raw addresses that no linker wrote: the file is laid out as memory is, and says so in its headers. */
START_TEST(test_write_virtual)
{
	static struct loaded l;
	static uint8_t out[4 * IMAGE];
	static const uint32_t raw_offsets[] = { 0xfffffe00, 0, RAW_RDATA };
	enum image_layout layout;

	for (unsigned i = 0; i < G_N_ELEMENTS(raw_offsets); i++) {
		g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
		load(&l, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
		put(l.bytes + TABLE + 20, 4, raw_offsets[i]);
		size_t n = write_back(&l, PREFERRED, out, sizeof(out), missing, &layout);
		ck_assert_int_eq(layout, IMAGE_LAYOUT_VIRTUAL);
		ck_assert_uint_le(n, IMAGE);
		ck_assert(!memcmp(out + TEXT, l.file + RAW_TEXT, 0x1600));
		struct bytes { uint8_t raw[4]; } at;
		memcpy(&at, out + TABLE + 20, 4);
		ck_assert_uint_eq(at.raw[0] | at.raw[1] << 8, TEXT);
	}
	/* Two sections of the same bytes of the file are no lie where both have them: the file comes out as it was. */
	g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	load(&l, UINT64_C(0x7ff800000000), 0);
	memcpy(l.bytes + DATA, l.bytes + TEXT + 0x200, 0x200);
	put(l.bytes + TABLE + 2 * 40 + 20, 4, RAW_TEXT + 0x200);
	write_back(&l, PREFERRED, out, sizeof(out), none, &layout);
	ck_assert_int_eq(layout, IMAGE_LAYOUT_RAW);
	ck_assert(!memcmp(out + RAW_TEXT, l.file + RAW_TEXT, 0x1600));
	/* A wiped header leads to no file at all. */
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	load(&l, UINT64_C(0x7ff800000000), 0);
	memset(l.bytes, 0, 4096);
	ck_assert_uint_eq(write_back(&l, 0, out, sizeof(out), missing, &layout), 0);
	ck_assert_int_eq(layout, IMAGE_LAYOUT_NONE);
}
END_TEST

/* What it takes is enough; a byte or a slot less, and what is left out is told. */
START_TEST(test_write_budget)
{
	enum { DESCRIPTORS = 12, LOOKS = 3 };	/* all on one table of two slots and an end */
	static struct loaded l;
	static uint8_t out[4 * IMAGE];
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	enum image_layout layout;

	load(&l, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	put(l.bytes + OPTIONAL + 112 + 8 * PE_DIRECTORY_IMPORT, 4, DATA);
	for (unsigned i = 0; i < DESCRIPTORS; i++) {
		put(l.bytes + DATA + 20 * i, 4, NAMES);
		put(l.bytes + DATA + 20 * i + 4, 4, 0);
		put(l.bytes + DATA + 20 * i + 16, 4, IAT);
	}
	struct image_budget spent = plenty;
	write_within(&l, PREFERRED, out, sizeof(out), &spent, missing, &layout);
	ck_assert(!spent.cut && !missing->len && !memcmp(out + RAW_RDATA + 0x200, l.file + RAW_RDATA + 0x200, 16));
	ck_assert_uint_eq(plenty.slots - spent.slots, DESCRIPTORS * LOOKS);
	ck_assert_uint_le(plenty.bytes - spent.bytes, IMAGE);
	struct image_budget budget = { plenty.bytes - spent.bytes, DESCRIPTORS * LOOKS, NULL };
	write_within(&l, PREFERRED, out, sizeof(out), &budget, missing, &layout);
	ck_assert(!budget.cut && !budget.bytes && !budget.slots && !missing->len);
	budget = (struct image_budget){ plenty.bytes, DESCRIPTORS * LOOKS - 1, NULL };
	write_within(&l, PREFERRED, out, sizeof(out), &budget, missing, &layout);
	ck_assert_str_eq(budget.cut, "extract_slots");
	ck_assert(!missing->len);
	budget = (struct image_budget){ plenty.bytes - spent.bytes - 1, plenty.slots, NULL };
	write_within(&l, PREFERRED, out, sizeof(out), &budget, missing, &layout);
	ck_assert_str_eq(budget.cut, "extract_bytes");
	ck_assert_uint_eq(missing->len, 1);
	/* As it lies in memory. */
	struct pe *pe = open_loaded(&l);
	FILE *file = tmpfile();
	budget = (struct image_budget){ 3 * PAGE_SIZE, 0, NULL };
	g_array_set_size(missing, 0);
	ck_assert(image_write_mapped(pe, IMAGE, file, &budget, missing));
	ck_assert_str_eq(budget.cut, "extract_bytes");
	ck_assert_int_eq(ftell(file), 3 * PAGE_SIZE);
	ck_assert_uint_eq(missing->len, 1);
	ck_assert_uint_eq(g_array_index(missing, struct image_span, 0).rva, 3 * PAGE_SIZE);
	ck_assert_uint_eq(g_array_index(missing, struct image_span, 0).length, IMAGE - 3 * PAGE_SIZE);
	fclose(file);
	pe_close(pe);
}
END_TEST

START_TEST(test_write_mapped)
{
	struct image_budget budget = plenty;
	static struct loaded l;
	static uint8_t out[IMAGE + 1];
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	FILE *file = tmpfile();

	load(&l, UINT64_C(0x7ff800000000), UINT64_C(0x7ffa00001000));
	l.holes = 1 << 2 | 1 << 5;
	struct pe *pe = open_loaded(&l);
	ck_assert(image_write_mapped(pe, IMAGE, file, &budget, missing));
	rewind(file);
	ck_assert_uint_eq(fread(out, 1, sizeof(out), file), IMAGE);
	ck_assert_uint_eq(missing->len, 2);
	ck_assert(!memcmp(out, l.bytes, 0x2000) && !memcmp(out + RDATA, l.bytes + RDATA, 0x2000) && !out[0x2004]);
	fclose(file);
	pe_close(pe);
}
END_TEST

/* ---- a section and a process that maps it ---- */

#define PROTOTYPES UINT64_C(0xffffa80000001000)
#define MAPPED UINT64_C(0x7ff612340000)

START_TEST(test_view)
{
	struct mapped_memory m;
	struct vad vad = { .start = { MAPPED }, .end = { MAPPED + 6 * PAGE_SIZE - 1 }, .type = VAD_IMAGE_MAP,
			   .first_prototype_pte = { PROTOTYPES }, .last_prototype_pte = { PROTOTYPES + 4 * 8 } };
	struct page page, section;
	uint8_t byte;

	memory_init(&m, 19041);
	uint64_t prototypes = memory_map_new(&m, PROTOTYPES);
	uint64_t shared = memory_page(&m), original = memory_page(&m), private_page = memory_page(&m);
	memset(m.bytes + original, 0x11, PAGE_SIZE);
	memset(m.bytes + private_page, 0x22, PAGE_SIZE);
	memory_put(&m, prototypes, shared | 1, 8);
	memory_put(&m, prototypes + 8, original | 1, 8);
	memory_put(&m, prototypes + 16, original | 1 << 11, 8);	/* on its way out */
	memory_map(&m, MAPPED, shared);
	memory_map(&m, MAPPED + PAGE_SIZE, private_page);
	memory_map(&m, MAPPED + 2 * PAGE_SIZE, private_page);
	memory_put(&m, memory_entry(&m, MAPPED + 3 * PAGE_SIZE, 12), 4 << 5, 8);	/* demand zero */
	memory_map(&m, MAPPED + 5 * PAGE_SIZE, private_page);		/* beyond the prototype PTEs */
	memory_open(&m);
	struct view view = { m.space, &vad };
	ck_assert_uint_eq(view_pages(&view), 6);
	ck_assert_int_eq(view_page(&view, 0, &page, &section), VIEW_SHARED);
	ck_assert_int_eq(view_page(&view, 1, &page, &section), VIEW_PRIVATE);
	ck_assert_uint_eq(section.pa.v, original);
	ck_assert_int_eq(view_page(&view, 2, &page, &section), VIEW_PRIVATE);
	ck_assert_uint_eq(section.pa.v, original);
	ck_assert_int_eq(view_page(&view, 3, &page, &section), VIEW_ZERO);
	ck_assert_int_eq(view_page(&view, 4, &page, &section), VIEW_ABSENT);
	ck_assert_int_eq(view_page(&view, 5, &page, &section), VIEW_UNKNOWN);
	/* The section's own bytes, whatever the process wrote; its neighbours across a page. */
	struct pe_source source = view_section_source(&view);
	uint8_t two[2];
	ck_assert_int_eq(source.read(source.user, PAGE_SIZE, &byte, 1), FAULT_NONE);
	ck_assert_uint_eq(byte, 0x11);
	ck_assert_int_eq(source.read(source.user, PAGE_SIZE - 1, two, 2), FAULT_NONE);
	ck_assert(two[0] == 0 && two[1] == 0x11);
	ck_assert_int_ne(source.read(source.user, 4 * PAGE_SIZE, &byte, 1), FAULT_NONE);
	ck_assert_int_ne(source.read(source.user, 6 * PAGE_SIZE - 1, two, 2), FAULT_NONE);
	ck_assert_int_ne(source.read(source.user, UINT32_MAX, two, 2), FAULT_NONE);
	/* Where the section's page is nowhere, the process's own. */
	struct vad_set vads = { g_array_new(FALSE, FALSE, sizeof(struct vad)) };
	g_array_append_val(vads.vads, vad);
	m.space->vads = &vads;
	ck_assert_int_eq(source.read(source.user, 5 * PAGE_SIZE, &byte, 1), FAULT_NONE);
	ck_assert_uint_eq(byte, 0x22);
	g_array_free(vads.vads, TRUE);
	memory_clear(&m);
}
END_TEST

/* ---- an image without headers ---- */

START_TEST(test_remains)
{
	struct mapped_memory m;
	static struct loaded l;
	struct image_remains r;
	const uint64_t base = UINT64_C(0x1e0000000);

	load(&l, base, UINT64_C(0x7ffa00001000));
	memset(l.bytes, 0, PAGE_SIZE);
	memory_init(&m, 19041);
	for (uint32_t rva = 0; rva < IMAGE; rva += PAGE_SIZE) {
		uint64_t pa = memory_map_new(&m, base + rva);
		memcpy(m.bytes + pa, l.bytes + rva, PAGE_SIZE);
		if (rva >= RDATA)	/* not executable; .data alone writable */
			memory_put(&m, memory_entry(&m, base + rva, 12), pa | (rva == DATA ? 3 : 1) | UINT64_C(1) << 63, 8);
		else
			memory_put(&m, memory_entry(&m, base + rva, 12), pa | 1, 8);
	}
	memory_open(&m);
	ck_assert(image_remains_find(m.space, base, IMAGE, &r));
	ck_assert_uint_eq(r.imports.rva, RDATA);
	ck_assert_uint_eq(r.imports.size, 40);
	ck_assert(r.is_64bit && !r.exports.rva && !r.functions.rva && r.by_protection);
	g_autofree char *text = image_remains_text(&r);
	ck_assert_str_eq(text, "imports,protections");
	ck_assert_uint_eq(r.sections->len, 4);
	const struct pe_section *s = (const struct pe_section *)(void *)r.sections->data;
	ck_assert(s[0].virtual_address == TEXT && s[0].virtual_size == RDATA - TEXT && s[0].characteristics & PE_SECTION_EXECUTE);
	ck_assert(s[2].virtual_address == DATA && s[2].characteristics & PE_SECTION_WRITE && !(s[1].characteristics & PE_SECTION_WRITE));
	/* Written with headers that are made, it is an image again. */
	struct pe *pe = open_loaded(&l);
	ck_assert_int_eq(pe->header_state, PE_HEADER_WIPED);
	image_remains_apply(&r, pe);
	g_autoptr(GArray) missing = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	enum image_layout layout;
	static uint8_t out[IMAGE + 1];
	FILE *file = tmpfile();
	struct image_budget budget = plenty;
	ck_assert(image_write_file(pe, pe, NULL, file, &budget, missing, &layout));
	ck_assert_int_eq(layout, IMAGE_LAYOUT_VIRTUAL);
	rewind(file);
	ck_assert_uint_eq(fread(out, 1, sizeof(out), file), IMAGE);
	fclose(file);
	pe_close(pe);
	struct pe_file *again = pe_file_create(out, IMAGE);
	ck_assert_ptr_nonnull(again);
	struct pe_source source = pe_file_source(again);
	pe = pe_open(&source, base, IMAGE);
	ck_assert_int_eq(pe->header_state, PE_HEADER_INTACT);
	const GArray *imports = pe_imports(pe, NULL);
	ck_assert_uint_eq(imports->len, 2);
	ck_assert_str_eq(g_array_index(imports, struct pe_import, 0).name, "Sleep");
	pe_close(pe);
	pe_file_destroy(again);
	image_remains_clear(&r);
	/* At another base nothing fits. */
	ck_assert(!image_remains_find(m.space, base + PAGE_SIZE, IMAGE - PAGE_SIZE, &r));
	image_remains_clear(&r);
	ck_assert(!image_remains_find(m.space, UINT64_MAX - 0x1000, IMAGE, &r));
	image_remains_clear(&r);
	memory_clear(&m);
}
END_TEST

/* A thousand descriptors of imports that each are good, with names as long as they may be, but for the last: no place of theirs begins a table. What is
 * behind them is found; that it takes no longer than that is for the test's own time limit. */
START_TEST(test_remains_hostile)
{
	enum { PAGES = 16, GOOD = 1000, FIRST = 0x1000, NAME = 0x8000, THUNKS = 0x9000, HINT = 0xa000, SLOTS = 0xb000, BAD = FIRST + 20 * GOOD, BEHIND = BAD + 28 };
	struct mapped_memory m;
	struct image_remains r;
	const uint64_t base = UINT64_C(0x1e0000000), hint = HINT;
	static uint8_t image[PAGES * PAGE_SIZE];
	uint32_t descriptor[5] = { THUNKS, 0, 0, NAME, SLOTS };

	for (unsigned i = 0; i < GOOD; i++)
		memcpy(image + FIRST + 20 * i, descriptor, 20);
	memcpy(image + BEHIND, descriptor, 20);
	descriptor[1] = 5;
	memcpy(image + BAD, descriptor, 20);
	memset(image + NAME, 'a', 60);
	memcpy(image + NAME + 60, ".dll", 4);
	for (unsigned i = 0; i < 33; i++)
		memcpy(image + THUNKS + 8 * i, &hint, 8);
	memset(image + HINT + 2, 'f', 64);
	memory_init(&m, 19041);
	for (uint32_t rva = 0; rva < sizeof(image); rva += PAGE_SIZE)
		memcpy(m.bytes + memory_map_new(&m, base + rva), image + rva, PAGE_SIZE);
	memory_open(&m);
	uint64_t steps = m.space->steps;
	ck_assert(image_remains_find(m.space, base, sizeof(image), &r));
	ck_assert_uint_eq(r.imports.rva, BEHIND);
	ck_assert_uint_eq(r.imports.size, 40);
	/* A step for each name that was read, and no name is read for more than the pages that it goes on over. */
	ck_assert_uint_gt(steps - m.space->steps, GOOD * 33);
	ck_assert_uint_lt(steps - m.space->steps, GOOD * 33 * 5);
	image_remains_clear(&r);
	/* Where there are fewer steps, it ends. */
	m.space->steps = 1000;
	ck_assert(!image_remains_find(m.space, base, sizeof(image), &r));
	ck_assert(m.space->exhausted);
	image_remains_clear(&r);
	memory_clear(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("images");
	TCase *tests = tcase_create("images");

	tcase_add_test(tests, test_differences);
	tcase_add_loop_test(tests, test_patch, 0, G_N_ELEMENTS(patch_cases));
	tcase_add_loop_test(tests, test_patch_arm64, 0, G_N_ELEMENTS(arm64_cases));
	tcase_add_test(tests, test_trampolines);
	tcase_add_test(tests, test_hash);
	tcase_add_test(tests, test_page_hashes);
	tcase_add_test(tests, test_fixups);
	tcase_add_test(tests, test_page_differences);
	tcase_add_test(tests, test_write_file);
	tcase_add_test(tests, test_write_virtual);
	tcase_add_test(tests, test_write_budget);
	tcase_add_test(tests, test_write_mapped);
	tcase_add_test(tests, test_view);
	tcase_add_test(tests, test_remains);
	tcase_add_test(tests, test_remains_hostile);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
