/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jumps and calls within a driver's code that lead to memory of no driver, or of one that was taken out of the kernel's list:
 * detours in the middle of functions, and trampolines in the room between them, which tables (system calls, callbacks, request
 * handlers) can be led through without leaving the driver.
 *
 * No original of a driver's code stays in memory. But an address of 64 bits that is jumped to is in no code that compilers
 * make for drivers, if it lies in the kernel's half and in no driver; and no relative jump leads to other memory that can be run, but
 * those to the retpolines that the memory manager maps behind each driver.
 */
#include <string.h>
#include "bytes.h"
#include "images.h"

enum {
	LONGEST = 32,		/* bytes of a sequence that is looked at */
	PADDING = 8,		/* equal bytes that compilers put between functions, at least */
	RETPOLINES = 0x100000,	/* bytes behind an image where its retpolines may be */
	KERNEL_BITS = 47,	/* above them all are set in the addresses of what drivers run, with five levels of page tables too */
};

struct jump {
	uint64_t target;
	uint32_t length;	/* of the sequence */
	bool chance;		/* short: other bytes could look like it */
	bool relative;
};

static uint64_t number(const uint8_t *p, unsigned width)
{
	struct bytes b = { p, width, false };

	return bytes_le(&b, width);
}

/* jmp reg, call reg, or push reg with ret, of the register that `code` loaded with 64 bits. */
static unsigned jumps_to_register(const uint8_t *code, const uint8_t *after)
{
	uint8_t reg = code[1] & 7;
	bool high = code[0] & 1;	/* REX.B */

	if (high && after[0] != 0x41)
		return 0;
	const uint8_t *p = after + high;
	if (p[0] == 0xff && (p[1] == (0xe0 | reg) || p[1] == (0xd0 | reg)))
		return 2 + high;
	return p[0] == (0x50 | reg) && p[1] == 0xc3 ? 2 + high : 0;
}

/* What the bytes at rva, LONGEST of them, could be; false: none of the forms of a detour. */
static bool decode(const struct subject *s, uint32_t rva, const uint8_t *code, struct jump *out)
{
	uint64_t va = s->base + rva;

	*out = (struct jump){ 0 };
	switch (code[0]) {
	case 0x48: case 0x49: {		/* mov reg, imm64; jmp reg */
		unsigned n = code[1] >= 0xb8 && code[1] <= 0xbf ? jumps_to_register(code, code + 10) : 0;
		out->target = number(code + 2, 8);
		out->length = 10 + n;
		return n != 0;
	}
	case 0xff:			/* jmp or call [rip + 0], the address behind it */
		if ((code[1] != 0x25 && code[1] != 0x15) || number(code + 2, 4) > 8)
			return false;
		out->target = number(code + 6 + number(code + 2, 4), 8);
		out->length = 14;
		return out->chance = true;
	case 0x68:			/* push low; mov [rsp + 4], high; ret */
		if (number(code + 5, 4) != 0x042444c7 || code[13] != 0xc3)
			return false;
		out->target = number(code + 1, 4) | number(code + 9, 4) << 32;
		out->length = 14;
		return true;
	case 0xe8: case 0xe9:
		out->target = va + 5 + (uint64_t)(int64_t)(int32_t)number(code + 1, 4);
		out->length = 5;
		return out->chance = out->relative = true;
	default:
		return false;
	}
}

/*
 * The kernel's, and of no driver that its list has. Import slots make calls of drivers that a broken list lost look like these: a function's
 * relative ones count where no driver is at all.
 */
static bool foreign(struct subject *s, const struct jump *j, bool in_function)
{
	struct page page;
	uint64_t end = s->base + s->size;
	bool driver = module_at(s->c, j->target) != NULL;

	if (driver && (!context_driver_unlisted(s->c, (va_t){ j->target }) || (j->chance && in_function)))
		return false;
	if (!j->chance || driver)
		return true;
	return !(j->relative && j->target >= end && j->target - end < RETPOLINES) && !space_page(s->space, (va_t){ j->target }, &page) &&
	       page_resident(&page) && page.executable;
}

static bool known(const struct subject *s, uint32_t rva)
{
	for (guint i = 0; i < s->patches->len; i++) {
		const struct found_patch *p = &g_array_index(s->patches, struct found_patch, i);
		if (rva >= p->rva && rva - p->rva < p->length)
			return true;
	}
	return false;
}

/* Does padding lie before it? Then it begins what was put into the room between functions. */
static bool after_padding(struct subject *s, uint32_t rva)
{
	uint8_t before[PADDING];

	if (rva < sizeof(before) || pe_read(s->pe, rva - (uint32_t)sizeof(before), before, sizeof(before)) ||
	    (before[0] != 0 && before[0] != 0x90 && before[0] != 0xcc))
		return false;
	return !memcmp(before, before + 1, sizeof(before) - 1);
}

/* Does an instruction begin there, and is it what it looks like? */
static bool confirmed(struct subject *s, uint32_t rva, const struct jump *j, uint32_t start)
{
	struct patch_source source = subject_source(s);
	struct patch_code out;

	patch_decode(&source, s->facts->machine, s->base + start, s->base + rva, j->length, &out);
	g_free(out.text);
	return out.kind == PATCH_HOOK && out.start == s->base + rva && out.has_target;
}

typedef uint8_t lanes __attribute__((vector_size(16)));

/*
 * Where a detour could begin among so many bytes: 0xff for each in `out`. Every byte of every driver is asked, so as many as
 * a register holds are at once, each with the next.
 */
static inline void mark_begins(const uint8_t *code, uint64_t out[2])
{
	lanes first, second;

	memcpy(&first, code, sizeof(first));
	memcpy(&second, code + 1, sizeof(second));
	const lanes even = first & 0xfe;
	const lanes found = (lanes)(even == 0xe8) | (lanes)(first == 0x68) | ((lanes)(even == 0x48) & (lanes)((second & 0xf8) == 0xb8)) |
			    ((lanes)(first == 0xff) & ((lanes)(second == 0x15) | (lanes)(second == 0x25)));
	memcpy(out, &found, sizeof(found));
}

/* Calls and jumps within the driver, which nearly all of these are, stay out of it. */
static inline bool leads_out(const struct subject *s, uint32_t rva, const uint8_t *code)
{
	uint32_t distance;

	memcpy(&distance, code + 1, sizeof(distance));
	return (code[0] & 0xfe) != 0xe8 || rva + 5 + GUINT32_FROM_LE(distance) >= s->size;
}

static void look(struct subject *s, const struct pe_section *section, uint32_t rva, const uint8_t *code)
{
	struct jump j;
	struct pe_function function;

	if (!decode(s, rva, code, &j) || j.target - s->base < s->size || j.target >> KERNEL_BITS != UINT64_MAX >> KERNEL_BITS)
		return;
	bool in_function = pe_function_at(s->facts, rva, &function) && function.begin <= rva;
	const uint32_t start = in_function ? function.begin : rva;
	/* What stands before it in the function is decoded, too. */
	if (!foreign(s, &j, in_function) || known(s, rva) || (!in_function && j.chance && !after_padding(s, rva)) ||
	    !affordable(s, 1 + (rva - start) / 16) || !confirmed(s, rva, &j, start))
		return;
	if (s->patches->len >= limit(image_patches)) {
		s->patches_cut = true;
		return;
	}
	struct found_patch p = { .rva = rva, .length = j.length, .kind = PATCH_OTHER, .section = section, .current = g_byte_array_new() };
	g_byte_array_append(p.current, code, j.length);
	g_array_append_val(s->patches, p);
}

/* n bytes of code at `rva`; behind them the buffer has LONGEST more. */
static void look_through(struct subject *s, const struct pe_section *section, uint32_t rva, const uint8_t *bytes, uint32_t n)
{
	for (uint32_t at = 0; at < n && !s->patches_cut; at += sizeof(lanes)) {
		uint64_t marks[2];

		mark_begins(bytes + at, marks);
		for (uint32_t half = 0; half < 2; half++)
			for (uint64_t left = GUINT64_FROM_LE(marks[half]); left; left -= 0xff * (left & -left)) {
				uint32_t i = at + 8 * half + (uint32_t)__builtin_ctzll(left) / 8;
				if (i < n && leads_out(s, rva + i, bytes + i))
					look(s, section, rva + i, bytes + i);
			}
	}
}

void put_jumps_out(struct subject *s)
{
	if (!s->space || !s->pages || s->c->process || s->facts->machine != PE_MACHINE_AMD64)
		return;
	for (guint i = 0; i < s->facts->sections->len && !context_cancelled(s->c); i++) {
		const struct pe_section *section = &g_array_index(s->facts->sections, struct pe_section, i);
		uint32_t length = MIN(section->virtual_size ? section->virtual_size : section->raw_size, s->size), at = section->virtual_address;
		if (!(section->characteristics & PE_SECTION_EXECUTE) || section->characteristics & PE_SECTION_DISCARDABLE || at >= s->size)
			continue;
		for (uint32_t end = at + MIN(length, s->size - at); at < end && !s->patches_cut && affordable(s, 1); at += PAGE_SIZE - at % PAGE_SIZE) {
			uint8_t bytes[PAGE_SIZE + LONGEST];
			uint32_t n = MIN(end - at, PAGE_SIZE - at % PAGE_SIZE);
			if (!(s->pages[at / PAGE_SIZE] & PAGE_FLAG_PRESENT) || pe_read(s->pe, at, bytes, n))
				continue;
			memset(bytes + n, 0, LONGEST);
			if (at + n < end)	/* a sequence may go on on the next page */
				(void)!pe_read(s->pe, at + n, bytes + n, MIN(end - (at + n), LONGEST));
			look_through(s, section, at, bytes, n);
		}
	}
}
