/* SPDX-License-Identifier: Apache-2.0 */
#include "patch_private.h"
#include <string.h>
#include <capstone.h>
#include <glib.h>
#include "pe.h"

enum {
	WINDOW = 128,		/* bytes decoded in one place */
	RESYNC = 4096,		/* a function is decoded from its start over this much at most */
	INSTRUCTIONS = 24,	/* in one place */
	SHOWN = 8,		/* instructions in the text */
	HOPS = 8,		/* jumps that lead to jumps */
	REGISTERS = 4,		/* whose values are remembered */
};

const char *patch_kind_name(enum patch_kind kind)
{
	static const char *const names[] = {
		[PATCH_OTHER] = "patch", [PATCH_HOOK] = "inline_hook", [PATCH_RETURN] = "return",
		[PATCH_BREAKPOINT] = "breakpoint", [PATCH_NOP] = "nop", [PATCH_STOMPED] = "stomped",
		[PATCH_DATA] = "data", [PATCH_HEADER] = "header", [PATCH_UNKNOWN] = "unknown",
		[PATCH_IMPORT] = "import_hook", [PATCH_EXPORT] = "export_hook",
		[PATCH_POINTER] = "pointer_hook",
	};

	return (unsigned)kind < G_N_ELEMENTS(names) ? names[kind] : NULL;
}

/* What is known while instructions are followed. */
struct tracer {
	csh engine;
	const struct patch_source *source;
	bool wide;		/* 64-bit */
	struct { unsigned reg; uint64_t value; } known[REGISTERS];
	unsigned next;
	bool pushed;
	uint64_t top;		/* what was pushed last */
};

static bool leaves(const struct tracer *t, uint64_t va)
{
	return va < t->source->start || va >= t->source->end;
}

/* eax and rax are one. */
static unsigned whole_register(unsigned reg)
{
	static const struct { unsigned narrow, wide; } pairs[] = {
		{ X86_REG_EAX, X86_REG_RAX }, { X86_REG_EBX, X86_REG_RBX }, { X86_REG_ECX, X86_REG_RCX }, { X86_REG_EDX, X86_REG_RDX },
		{ X86_REG_ESI, X86_REG_RSI }, { X86_REG_EDI, X86_REG_RDI }, { X86_REG_EBP, X86_REG_RBP }, { X86_REG_ESP, X86_REG_RSP },
		{ X86_REG_R8D, X86_REG_R8 }, { X86_REG_R9D, X86_REG_R9 }, { X86_REG_R10D, X86_REG_R10 }, { X86_REG_R11D, X86_REG_R11 },
		{ X86_REG_R12D, X86_REG_R12 }, { X86_REG_R13D, X86_REG_R13 }, { X86_REG_R14D, X86_REG_R14 }, { X86_REG_R15D, X86_REG_R15 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++)
		if (pairs[i].narrow == reg)
			return pairs[i].wide;
	return reg;
}

static void learn(struct tracer *t, unsigned reg, uint64_t value)
{
	t->known[t->next].reg = whole_register(reg);
	t->known[t->next].value = value;
	t->next = (t->next + 1) % REGISTERS;
}

static void forget(struct tracer *t, unsigned reg)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		if (t->known[i].reg == whole_register(reg))
			t->known[i].reg = X86_REG_INVALID;
}

static bool recall(const struct tracer *t, unsigned reg, uint64_t *value)
{
	for (unsigned i = 0; i < REGISTERS; i++)
		if (t->known[i].reg && t->known[i].reg == whole_register(reg)) {
			*value = t->known[i].value;
			return true;
		}
	return false;
}

static bool read_value(const struct tracer *t, uint64_t va, uint64_t *value)
{
	unsigned width = t->wide ? 8 : 4;

	*value = 0;
	return t->source->read(t->source->user, va, value, width) == width;
}

/* The address of a memory operand that needs no register but the instruction's own. */
static bool effective(const struct tracer *t, const cs_insn *insn, const x86_op_mem *mem, uint64_t *va)
{
	uint64_t base = 0;

	if (mem->index != X86_REG_INVALID || (mem->segment != X86_REG_INVALID && mem->segment != X86_REG_DS && mem->segment != X86_REG_CS))
		return false;
	if (mem->base == X86_REG_RIP || mem->base == X86_REG_EIP)
		base = insn->address + insn->size;
	else if (mem->base != X86_REG_INVALID && !recall(t, mem->base, &base))
		return false;
	*va = base + (uint64_t)mem->disp;
	if (!t->wide)
		*va &= UINT32_MAX;
	return true;
}

static bool operand(const struct tracer *t, const cs_insn *insn, const cs_x86_op *op, uint64_t *value)
{
	uint64_t va;

	switch (op->type) {
	case X86_OP_IMM:
		*value = (uint64_t)op->imm;
		if (!t->wide)
			*value &= UINT32_MAX;
		return true;
	case X86_OP_REG:
		return recall(t, op->reg, value);
	case X86_OP_MEM:
		return effective(t, insn, &op->mem, &va) && read_value(t, va, value);
	default:
		return false;
	}
}

/* mov and lea into a register, and writes to the stack's top. */
static void track_move(struct tracer *t, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;
	uint64_t value;

	if (x->op_count != 2)
		return;
	const cs_x86_op *to = &x->operands[0], *from = &x->operands[1];
	if (to->type == X86_OP_MEM && to->mem.base == X86_REG_RSP && to->mem.disp == 4 && to->size == 4 && t->pushed &&
	    from->type == X86_OP_IMM) {
		t->top = (t->top & UINT32_MAX) | (uint64_t)from->imm << 32;	/* push low; mov [rsp+4], high; ret */
		return;
	}
	bool top = to->type == X86_OP_MEM && (to->mem.base == X86_REG_RSP || to->mem.base == X86_REG_ESP) && !to->mem.disp;
	if (top && operand(t, insn, from, &value)) {
		t->top = value;
		t->pushed = true;
		return;
	}
	if (to->type != X86_OP_REG)
		return;
	bool known = insn->id == X86_INS_LEA ? from->type == X86_OP_MEM && effective(t, insn, &from->mem, &value) : operand(t, insn, from, &value);
	forget(t, to->reg);
	if (known && (to->size == 8 || to->size == 4))
		learn(t, to->reg, to->size == 4 ? value & UINT32_MAX : value);
}

/* Arithmetic on what is known: addresses are hidden that way. */
static void track_arithmetic(struct tracer *t, const cs_insn *insn)
{
	const cs_x86_op *to = &insn->detail->x86.operands[0], *from = &insn->detail->x86.operands[1];
	bool two = insn->detail->x86.op_count == 2;
	uint64_t a = 0, b = 0;
	bool known = to->type == X86_OP_REG && (to->size == 8 || to->size == 4) && recall(t, to->reg, &a) && (!two || operand(t, insn, from, &b));

	switch (insn->id) {
	case X86_INS_ADD: a += b; break;
	case X86_INS_SUB: a -= b; break;
	case X86_INS_XOR: a ^= b; break;
	case X86_INS_AND: a &= b; break;
	case X86_INS_OR: a |= b; break;
	case X86_INS_NOT: a = ~a; break;
	case X86_INS_NEG: a = 0 - a; break;
	case X86_INS_INC: a++; break;
	case X86_INS_DEC: a--; break;
	default: known = false;
	}
	if (to->type != X86_OP_REG)
		return;
	bool zeroed = two && from->type == X86_OP_REG && from->reg == to->reg && (insn->id == X86_INS_XOR || insn->id == X86_INS_SUB);
	forget(t, to->reg);
	if (known || zeroed)
		learn(t, to->reg, zeroed ? 0 : to->size == 4 ? a & UINT32_MAX : a);
}

/* With the stack's top, as in push rax; mov rax, X; xchg rax, [rsp]; ret. */
static void track_exchange(struct tracer *t, const cs_insn *insn)
{
	const cs_x86_op *a = &insn->detail->x86.operands[0], *b = &insn->detail->x86.operands[1];
	const cs_x86_op *memory = a->type == X86_OP_MEM ? a : b, *reg = a->type == X86_OP_MEM ? b : a;
	uint64_t value, top = t->top;
	bool on_top = memory->type == X86_OP_MEM && (memory->mem.base == X86_REG_RSP || memory->mem.base == X86_REG_ESP) &&
		      memory->mem.index == X86_REG_INVALID && !memory->mem.disp, had = t->pushed;

	if (on_top) {
		t->pushed = recall(t, reg->reg, &value);
		t->top = value;
	}
	for (unsigned i = 0; i < 2; i++)
		if (insn->detail->x86.operands[i].type == X86_OP_REG)
			forget(t, insn->detail->x86.operands[i].reg);
	if (on_top && had)
		learn(t, reg->reg, top);
}

static bool is_conditional(unsigned id)
{
	return (id >= X86_INS_JAE && id <= X86_INS_JS && id != X86_INS_JMP) || id == X86_INS_LOOP || id == X86_INS_LOOPE || id == X86_INS_LOOPNE;
}

/* Follow one instruction. */
static enum patch_ending step(struct tracer *t, const cs_insn *insn, uint64_t *target)
{
	const cs_x86 *x = &insn->detail->x86;

	switch (insn->id) {
	case X86_INS_CALL:
		/* To the next instruction: that only asks where it is. */
		if (x->op_count && x->operands[0].type == X86_OP_IMM && operand(t, insn, &x->operands[0], target) && *target == insn->address + insn->size) {
			t->pushed = true;
			t->top = *target;
			return ENDS_OPEN;
		}
		/* fall through */
	case X86_INS_JMP:
		return x->op_count && operand(t, insn, &x->operands[0], target) ? ENDS_TRANSFER : ENDS_UNKNOWN_TRANSFER;
	case X86_INS_LJMP: case X86_INS_LCALL:	/* selector:offset */
		return x->op_count == 2 && x->operands[1].type == X86_OP_IMM && operand(t, insn, &x->operands[1], target) ? ENDS_TRANSFER : ENDS_UNKNOWN_TRANSFER;
	case X86_INS_RET: case X86_INS_RETF: case X86_INS_RETFQ:
		*target = t->top;
		return t->pushed ? ENDS_TRANSFER : ENDS_RETURN;
	case X86_INS_INT3:
		return ENDS_BREAKPOINT;
	case X86_INS_PUSH:
		t->pushed = x->op_count && operand(t, insn, &x->operands[0], &t->top);
		break;
	case X86_INS_POP:
		if (x->op_count && x->operands[0].type == X86_OP_REG) {
			forget(t, x->operands[0].reg);
			if (t->pushed)
				learn(t, x->operands[0].reg, t->top);
		}
		t->pushed = false;
		break;
	case X86_INS_MOV: case X86_INS_MOVABS: case X86_INS_LEA:
		track_move(t, insn);
		break;
	case X86_INS_ADD: case X86_INS_SUB: case X86_INS_XOR: case X86_INS_AND: case X86_INS_OR: case X86_INS_NOT: case X86_INS_NEG: case X86_INS_INC:
	case X86_INS_DEC:
		track_arithmetic(t, insn);
		break;
	case X86_INS_XCHG:
		track_exchange(t, insn);
		break;
	case X86_INS_NOP:
		break;
	default:
		/* Compilers keep conditional jumps within the image. */
		if (is_conditional(insn->id))
			return t->source->end && operand(t, insn, &x->operands[0], target) && leaves(t, *target) ? ENDS_TRANSFER : ENDS_OPEN;
		for (unsigned i = 0; i < x->op_count; i++)
			if (x->operands[i].type == X86_OP_REG && x->operands[i].access & CS_AC_WRITE)
				forget(t, x->operands[i].reg);
	}
	return ENDS_OPEN;
}

static void reset(struct tracer *t)
{
	memset(t->known, 0, sizeof(t->known));
	t->next = 0;
	t->pushed = false;
}

static size_t decode(const struct tracer *t, uint64_t va, size_t count, cs_insn **insns)
{
	uint8_t code[WINDOW];
	size_t n = t->source->read(t->source->user, va, code, sizeof(code));

	*insns = NULL;
	return n ? cs_disasm(t->engine, code, n, va, count, insns) : 0;
}

/* Does control that arrives at va only pass on? Then to where. */
static bool passes_on(struct tracer *t, uint64_t va, uint64_t *target)
{
	cs_insn *insns;
	size_t n = decode(t, va, REGISTERS, &insns);
	bool on = false;

	reset(t);
	for (size_t i = 0; i < n; i++) {
		bool plain = insns[i].id == X86_INS_MOV || insns[i].id == X86_INS_MOVABS || insns[i].id == X86_INS_LEA ||
			     insns[i].id == X86_INS_PUSH || insns[i].id == X86_INS_NOP || insns[i].id == X86_INS_ENDBR64;
		enum patch_ending ending = insns[i].id == X86_INS_CALL ? ENDS_UNKNOWN_TRANSFER : step(t, &insns[i], target);
		on = ending == ENDS_TRANSFER;
		if (ending != ENDS_OPEN || !plain)
			break;
	}
	if (insns)
		cs_free(insns, n);
	return on;
}

static uint64_t final_target(struct tracer *t, uint64_t target)
{
	uint64_t seen[HOPS] = { 0 }, next;

	for (unsigned hop = 0; hop < HOPS && passes_on(t, target, &next); hop++) {
		seen[hop] = target;
		for (unsigned i = 0; i <= hop; i++)
			if (seen[i] == next)
				return target;
		target = next;
	}
	return target;
}

/* The instruction that holds va, by decoding from the function's start. */
static uint64_t instruction_start(const struct tracer *t, uint64_t function, uint64_t va)
{
	uint8_t code[RESYNC];

	if (function >= va || va - function > sizeof(code) - 16)
		return va;
	size_t n = t->source->read(t->source->user, function, code, (size_t)(va - function) + 16);
	const uint8_t *at = code;
	uint64_t address = function, start = va;
	cs_insn *insn = cs_malloc(t->engine);
	while (insn && address <= va && cs_disasm_iter(t->engine, &at, &n, &address, insn))
		if (address > va) {
			start = insn->address;
			break;
		}
	if (insn)
		cs_free(insn, 1);
	return start;
}

/* A transfer to a place within the image is believed only where none leads out of it. */
static bool settles(const struct tracer *t, enum patch_ending ending, uint64_t target)
{
	return ending == ENDS_RETURN || ending == ENDS_BREAKPOINT || (ending == ENDS_TRANSFER && (!t->source->end || leaves(t, target)));
}

static void decode_x86(struct tracer *t, uint64_t start, uint64_t va, uint32_t length, struct patch_code *out)
{
	cs_insn *insns;
	size_t n = decode(t, start, INSTRUCTIONS, &insns);
	enum patch_ending ending = ENDS_OPEN;
	unsigned nops = 0, touched = 0, shown = 0;
	g_autoptr(GString) text = g_string_new(NULL);

	out->start = start;
	reset(t);
	for (size_t i = 0; i < n && insns[i].address < va + length && !settles(t, ending, out->target); i++) {
		uint64_t target = 0;
		uint8_t there;
		touched++;
		nops += insns[i].id == X86_INS_NOP;
		enum patch_ending next = step(t, &insns[i], &target);
		/* What stands behind a jump may be no code: only a jump that leads to memory outside of the image counts there. */
		if (ending != ENDS_OPEN && !(next == ENDS_TRANSFER && settles(t, next, target) && t->source->read(t->source->user, target, &there, 1)))
			continue;
		if (shown++ < SHOWN)
			g_string_append_printf(text, "%s%s%s%s", text->len ? "; " : "", insns[i].mnemonic, insns[i].op_str[0] ? " " : "", insns[i].op_str);
		if (next != ENDS_OPEN) {
			ending = next;
			out->target = target;
		}
	}
	/* Only the address may have been changed: the jump through the register it went to stands behind it. */
	const struct tracer changed = *t;
	for (size_t i = touched; i < n && i < touched + 2 && touched && ending == ENDS_OPEN; i++) {
		const cs_x86 *x = &insns[i].detail->x86;
		uint64_t value;
		bool through = insns[i].id == X86_INS_RET || (x->op_count == 1 && x->operands[0].type == X86_OP_REG && recall(&changed, x->operands[0].reg, &value));
		ending = step(t, &insns[i], &out->target);
		if (ending != ENDS_OPEN && (ending != ENDS_TRANSFER || !through))
			ending = ENDS_OPEN, i = n;
	}
	if (insns)
		cs_free(insns, n);
	if (!touched)
		return;
	out->text = g_string_free(g_steal_pointer(&text), FALSE);
	if (ending == ENDS_TRANSFER || ending == ENDS_UNKNOWN_TRANSFER)
		out->kind = PATCH_HOOK;
	else if (ending == ENDS_RETURN)
		out->kind = PATCH_RETURN;
	else if (ending == ENDS_BREAKPOINT && touched == 1)
		out->kind = PATCH_BREAKPOINT;
	else if (nops == touched)
		out->kind = PATCH_NOP;
	if (ending == ENDS_TRANSFER && out->target >= PATCH_LOWEST) {
		out->target = final_target(t, out->target);
		out->has_target = true;
	}
}

static bool open_engine(struct tracer *t, uint16_t machine)
{
	t->wide = machine == PE_MACHINE_AMD64;
	if ((machine != PE_MACHINE_AMD64 && machine != PE_MACHINE_I386) ||
	    cs_open(CS_ARCH_X86, t->wide ? CS_MODE_64 : CS_MODE_32, &t->engine) != CS_ERR_OK)
		return false;
	cs_option(t->engine, CS_OPT_DETAIL, CS_OPT_ON);
	return true;
}

uint64_t patch_follow(const struct patch_source *source, uint16_t machine, uint64_t va)
{
	struct tracer t = { .source = source };

	if (machine == PE_MACHINE_ARM64)
		return patch_follow_arm64(source, va);
	if (!open_engine(&t, machine))
		return va;
	va = final_target(&t, va);
	cs_close(&t.engine);
	return va;
}

void patch_decode(const struct patch_source *source, uint16_t machine, uint64_t function, uint64_t va, uint32_t length,
		  struct patch_code *out)
{
	struct tracer t = { .source = source };

	*out = (struct patch_code){ .kind = PATCH_OTHER, .start = va };
	if (machine == PE_MACHINE_ARM64)
		patch_decode_arm64(source, va, length, out);
	if (!open_engine(&t, machine))
		return;
	decode_x86(&t, instruction_start(&t, function, va), va, length, out);
	cs_close(&t.engine);
}
