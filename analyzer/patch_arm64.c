/* SPDX-License-Identifier: Apache-2.0 */
/* ARM64: instructions of four bytes, as the Arm Architecture Reference Manual (C4.1) encodes them; those that hooks are made of. */
#include <string.h>
#include <capstone.h>
#include <glib.h>
#include "bytes.h"
#include "patch_private.h"

enum { WIDTH = 4, INSTRUCTIONS = 24, SHOWN = 8, AHEAD = 3, HOPS = 8, TRAMPOLINE = 6 };

struct registers { bool known[32]; uint64_t value[32]; };

static bool read_code(const struct patch_source *source, uint64_t va, void *to, size_t length)
{
	return source->read(source->user, va, to, length) == length;
}

static bool read_word(const struct patch_source *source, uint64_t va, uint32_t *word)
{
	uint8_t raw[WIDTH];
	struct bytes b = { raw, sizeof(raw), false };

	if (!read_code(source, va, raw, sizeof(raw)))
		return false;
	*word = bytes_u32(&b);
	return true;
}

static void load(const struct patch_source *source, struct registers *r, unsigned reg, uint64_t from)
{
	uint8_t raw[8];
	struct bytes b = { raw, sizeof(raw), false };

	r->known[reg] = read_code(source, from, raw, sizeof(raw));
	r->value[reg] = r->known[reg] ? bytes_u64(&b) : 0;
}

static uint64_t sign_extend(uint64_t value, unsigned bits)
{
	return (value ^ (UINT64_C(1) << (bits - 1))) - (UINT64_C(1) << (bits - 1));
}

static void set(struct registers *r, unsigned reg, uint64_t value)
{
	r->known[reg] = true;
	r->value[reg] = value;
}

/* Follow one instruction at pc. plain: it only computes an address. */
static enum patch_ending step(const struct patch_source *source, struct registers *r, uint64_t pc, uint32_t w, uint64_t *target, bool *plain)
{
	unsigned d = w & 31, n = w >> 5 & 31, shift = 16 * (w >> 21 & 3);
	uint64_t immediate = (uint64_t)(w >> 5 & 0xffff) << shift;

	*plain = true;
	if ((w & 0x7c000000) == 0x14000000) {		/* b, bl */
		*target = pc + sign_extend((uint64_t)(w & 0x3ffffff) << 2, 28);
		*plain = !(w >> 31);
		return ENDS_TRANSFER;
	}
	if ((w & 0xff9ffc1f) == 0xd61f0000) {		/* br, blr, ret */
		unsigned kind = w >> 21 & 3;
		*plain = kind == 0;
		*target = r->value[n];
		return r->known[n] && n != 31 ? ENDS_TRANSFER : kind == 2 && n == 30 ? ENDS_RETURN : ENDS_UNKNOWN_TRANSFER;
	}
	if ((w & 0xffe0001f) == 0xd4200000)		/* brk */
		return ENDS_BREAKPOINT;
	if (w == 0xd503201f)				/* nop */
		return ENDS_OPEN;
	if ((w & 0x7f800000) == 0x52800000)		/* movz */
		set(r, d, immediate);
	else if ((w & 0x7f800000) == 0x12800000)	/* movn */
		set(r, d, w >> 31 ? ~immediate : ~immediate & UINT32_MAX);
	else if ((w & 0x7f800000) == 0x72800000)	/* movk */
		r->value[d] = (r->value[d] & ~(UINT64_C(0xffff) << shift)) | immediate;
	else if ((w & 0x1f000000) == 0x10000000)	/* adr, adrp */
		set(r, d, w >> 31 ? (pc & ~UINT64_C(0xfff)) + sign_extend((uint64_t)(w >> 5 & 0x7ffff) << 14 | (uint64_t)(w >> 29 & 3) << 12, 33) :
				    pc + sign_extend((uint64_t)(w >> 5 & 0x7ffff) << 2 | (w >> 29 & 3), 21));
	else if ((w & 0xff000000) == 0x58000000)	/* ldr, from where the program counter says */
		load(source, r, d, pc + sign_extend((uint64_t)(w >> 5 & 0x7ffff) << 2, 21));
	else if ((w & 0xffc00000) == 0xf9400000 && r->known[n])	/* ldr [register, offset] */
		load(source, r, d, r->value[n] + 8 * (uint64_t)(w >> 10 & 0xfff));
	else if ((w & 0xff800000) == 0x91000000 && r->known[n])	/* add */
		set(r, d, r->value[n] + ((uint64_t)(w >> 10 & 0xfff) << (w >> 22 & 1 ? 12 : 0)));
	else
		r->known[d] = *plain = false;
	return ENDS_OPEN;
}

uint64_t patch_follow_arm64(const struct patch_source *source, uint64_t va)
{
	for (unsigned hop = 0; hop < HOPS; hop++) {
		struct registers r = { .known = { false } };
		uint64_t target = va;
		enum patch_ending ending = ENDS_OPEN;
		bool plain = true;
		uint32_t w;
		for (unsigned i = 0; i < TRAMPOLINE && ending == ENDS_OPEN && plain && read_word(source, va + WIDTH * i, &w); i++)
			ending = step(source, &r, va + WIDTH * i, w, &target, &plain);
		if (ending != ENDS_TRANSFER || !plain || target == va)
			break;
		va = target;
	}
	return va;
}

static char *disassemble(const struct patch_source *source, uint64_t va, size_t count)
{
	uint8_t code[SHOWN * WIDTH];
	g_autoptr(GString) text = g_string_new(NULL);
	cs_insn *insns = NULL;
	csh engine;
	size_t n;

	count = MIN(count, SHOWN);
	if (!read_code(source, va, code, count * WIDTH) || cs_open(CS_ARCH_ARM64, CS_MODE_ARM, &engine) != CS_ERR_OK)
		return NULL;
	n = cs_disasm(engine, code, count * WIDTH, va, count, &insns);
	for (size_t i = 0; i < n; i++)
		g_string_append_printf(text, "%s%s%s%s", text->len ? "; " : "", insns[i].mnemonic, insns[i].op_str[0] ? " " : "", insns[i].op_str);
	if (insns)
		cs_free(insns, n);
	cs_close(&engine);
	return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

void patch_decode_arm64(const struct patch_source *source, uint64_t va, uint32_t length, struct patch_code *out)
{
	struct registers r = { .known = { false } };
	enum patch_ending ending = ENDS_OPEN;
	uint64_t start = va & ~(uint64_t)(WIDTH - 1), end = va + length;
	unsigned touched = 0, nops = 0;
	bool plain;
	uint32_t w;

	out->start = start;
	for (; touched < INSTRUCTIONS && start + WIDTH * touched < end && ending == ENDS_OPEN && read_word(source, start + WIDTH * touched, &w); touched++) {
		nops += w == 0xd503201f;
		ending = step(source, &r, start + WIDTH * touched, w, &out->target, &plain);
	}
	/* Only the address may have been changed: the branch through the register stands behind it. */
	const struct registers changed = r;
	for (unsigned i = touched; touched && i < touched + AHEAD && ending == ENDS_OPEN && read_word(source, start + WIDTH * i, &w); i++) {
		bool through = (w & 0xff9ffc1f) == 0xd61f0000 && changed.known[w >> 5 & 31];
		enum patch_ending next = step(source, &r, start + WIDTH * i, w, &out->target, &plain);
		if (next == ENDS_TRANSFER && through)
			ending = next;
		else if (next != ENDS_OPEN || !plain)
			break;
	}
	if (!touched)
		return;
	out->text = disassemble(source, start, touched);
	out->kind = ending == ENDS_TRANSFER || ending == ENDS_UNKNOWN_TRANSFER ? PATCH_HOOK : ending == ENDS_RETURN ? PATCH_RETURN :
		    ending == ENDS_BREAKPOINT && touched == 1 ? PATCH_BREAKPOINT : nops == touched ? PATCH_NOP : PATCH_OTHER;
	if (ending == ENDS_TRANSFER && out->target >= PATCH_LOWEST) {
		out->target = patch_follow_arm64(source, out->target);
		out->has_target = true;
	}
}
