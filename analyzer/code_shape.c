/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What machine code of no image looks like: counts of what position-independent code, compiled functions and the
 * trampolines of hooks are made of.
 *
 * Bytes that are no code at all decode, too: a two-byte instruction stands by chance in one page of noise of sixteen. So none of what speaks
 * against code is a lone instruction: an address that was learnt is taken off the stack, the PEB's is read into a register, and the kernel
 * is entered with its arguments where it looks for them.
 */
#include <string.h>
#include "code_shape.h"

enum { SLOTS = 64 };

/* What the instructions before lead to expect: for how many more, 0: not at all. */
struct trail {
	unsigned called, stored;	/* a call of the next instruction, the FPU's state on the stack: an address may be taken from there */
	unsigned adjusted;		/* that call's address was changed on the stack: to be returned to */
	unsigned arguments;		/* the register that the kernel finds the arguments by was loaded */
	unsigned numbered;
	uint32_t number;		/* in eax */
	unsigned in_teb;
	int teb;			/* the register that holds the TEB's address */
};

enum { TAKES = 16, STORES = 16, LOADS = 32, NEAR = 16 /* bytes that a jump over garbage skips */ };

struct sweep {
	const struct code *code;
	struct code_shape *shape;
	GArray *calls;
	csh handle;
	unsigned width;			/* of an address */
	struct trail trail;
	unsigned reg;			/* the register that was loaded with a number last */
	uint64_t value;
	uint64_t slots[SLOTS];		/* addresses in the run that jumps read theirs from: data */
	unsigned n;
};

static const struct { x86_reg wide, narrow; } registers[] = {
	{ X86_REG_RAX, X86_REG_EAX }, { X86_REG_RCX, X86_REG_ECX }, { X86_REG_RDX, X86_REG_EDX }, { X86_REG_RBX, X86_REG_EBX },
	{ X86_REG_RSP, X86_REG_ESP }, { X86_REG_RBP, X86_REG_EBP }, { X86_REG_RSI, X86_REG_ESI }, { X86_REG_RDI, X86_REG_EDI },
	{ X86_REG_R8, X86_REG_R8D }, { X86_REG_R9, X86_REG_R9D }, { X86_REG_R10, X86_REG_R10D }, { X86_REG_R11, X86_REG_R11D },
	{ X86_REG_R12, X86_REG_R12D }, { X86_REG_R13, X86_REG_R13D }, { X86_REG_R14, X86_REG_R14D }, { X86_REG_R15, X86_REG_R15D },
};
enum { RAX = 0, RDX = 2, RSP = 4, R10 = 10 };

/* Of one that holds an address, or whose writing clears the rest of one; -1: another. */
static int number_of(x86_reg reg)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
		if (reg != X86_REG_INVALID && (reg == registers[i].wide || reg == registers[i].narrow))
			return (int)i;
	return -1;
}

/* A load of a whole address from segment:[disp] into a register, or onto the stack. */
static bool loads(const cs_insn *insn, x86_reg segment, int64_t disp, unsigned width)
{
	const cs_x86 *x = &insn->detail->x86;
	const cs_x86_op *from = x->op_count ? &x->operands[x->op_count - 1] : NULL;

	/* The displacement may be in a register: gs:[rdx+60h] with rdx 0 is a usual disguise. */
	return from && from->type == X86_OP_MEM && from->mem.segment == segment && from->mem.disp == disp && from->size == width &&
	       (x->op_count == 1 ? insn->id == X86_INS_PUSH : x->operands[0].type == X86_OP_REG);
}

static bool loads_peb(const cs_insn *insn, unsigned width)
{
	return width == 8 ? loads(insn, X86_REG_GS, 0x60, 8) : loads(insn, X86_REG_FS, 0x30, 4);
}

static bool loads_teb(const cs_insn *insn, unsigned width)
{
	return insn->id == X86_INS_MOV && (width == 8 ? loads(insn, X86_REG_GS, 0x30, 8) : loads(insn, X86_REG_FS, 0x18, 4));
}

/* The PEB's address by way of the TEB's, as NtCurrentTeb()->ProcessEnvironmentBlock is compiled. */
static bool loads_peb_of_teb(const struct trail *t, const cs_insn *insn, unsigned width)
{
	const cs_x86 *x = &insn->detail->x86;
	const cs_x86_op *from = x->op_count == 2 ? &x->operands[1] : NULL;

	return t->in_teb && from && from->type == X86_OP_MEM && from->mem.index == X86_REG_INVALID && from->mem.segment == X86_REG_INVALID &&
	       number_of(from->mem.base) == t->teb && from->mem.disp == (width == 8 ? 0x60 : 0x30) && from->size == width && x->operands[0].type == X86_OP_REG;
}

/* pop reg, or mov reg, [sp ± n] */
static bool takes_from_stack(const cs_insn *insn, unsigned width)
{
	const cs_x86 *x = &insn->detail->x86;

	if (insn->id == X86_INS_POP)
		return x->operands[0].type == X86_OP_REG && x->operands[0].size == width;
	return insn->id == X86_INS_MOV && x->op_count == 2 && x->operands[0].type == X86_OP_REG && x->operands[1].type == X86_OP_MEM &&
	       x->operands[1].size == width && number_of(x->operands[1].mem.base) == RSP && x->operands[1].mem.index == X86_REG_INVALID;
}

static bool is_on_stack(const cs_insn *insn)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	return op->type == X86_OP_MEM && number_of(op->mem.base) == RSP;
}

/* mov r10, rcx; mov eax, number; syscall; ret, as x64's ntdll has it since Windows 7; or, since 10 1511, with test byte ptr [7ffe0308h], 1; jne
 * before syscall and int 2eh; ret behind it. */
static bool is_copied_stub(const uint8_t *at, size_t before, size_t left)
{
	static const uint8_t begin[] = { 0x4c, 0x8b, 0xd1, 0xb8 }, test[] = { 0xf6, 0x04, 0x25, 0x08, 0x03, 0xfe, 0x7f, 0x01, 0x75, 0x03 };
	static const uint8_t enter[] = { 0x0f, 0x05, 0xc3 }, old[] = { 0xcd, 0x2e, 0xc3 };

	if (left >= sizeof(old) && !memcmp(at, old, sizeof(old)) && before >= sizeof(enter)) {
		at -= sizeof(enter);
		before -= sizeof(enter);
	}
	if (left < sizeof(enter) || memcmp(at, enter, sizeof(enter)))
		return false;
	if (before >= sizeof(test) && !memcmp(at - sizeof(test), test, sizeof(test))) {
		at -= sizeof(test);
		before -= sizeof(test);
	}
	return before >= 8 && !memcmp(at - 8, begin, sizeof(begin));
}

static void put_call(struct sweep *w, uint64_t address, bool numbered, uint32_t number, bool copied)
{
	struct system_call call = { .address = address, .number = number, .numbered = numbered, .copied = copied };

	w->shape->syscalls++;
	g_array_append_val(w->calls, call);
}

static void enter_kernel(struct sweep *w, const cs_insn *insn)
{
	size_t before = (size_t)(insn->address - w->code->address);

	if (w->trail.arguments)
		put_call(w, insn->address, w->trail.numbered != 0, w->trail.number, w->width == 8 && is_copied_stub(w->code->bytes + before, before, w->code->length - before));
}

static void count_down(struct trail *t)
{
	unsigned *const left[] = { &t->called, &t->stored, &t->adjusted, &t->arguments, &t->numbered, &t->in_teb };

	for (unsigned i = 0; i < G_N_ELEMENTS(left); i++)
		*left[i] -= *left[i] != 0;
}

/* The return address as a call left it is changed, and taken by a return: push and pop in other words. */
static bool changes_stack(const cs_insn *insn)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	return insn->detail->x86.op_count == 2 && op->type == X86_OP_MEM && op->access & CS_AC_WRITE && number_of(op->mem.base) == RSP && op->mem.index == X86_REG_INVALID &&
	       (op->mem.disp == 0 || op->mem.disp == 4 || op->mem.disp == 8);
}

static bool jumps_near(const cs_insn *insn)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];

	return op->type == X86_OP_IMM && (uint64_t)op->imm - insn->address - insn->size <= NEAR;
}

/* What this instruction is by those before it, then what it leads to expect. */
static void follow_trail(struct sweep *w, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;
	struct trail *t = &w->trail;
	int arguments = w->width == 8 ? R10 : RDX;	/* syscall overwrites rcx; sysenter and int 2eh have them where edx points */

	if ((t->called || t->stored) && takes_from_stack(insn, w->width)) {
		w->shape->getpc++;
		t->called = t->stored = t->adjusted = 0;
	}
	bool returns = insn->id == X86_INS_RET || insn->id == X86_INS_RETF || insn->id == X86_INS_RETFQ;
	if (t->adjusted && returns) {
		w->shape->getpc++;
		t->adjusted = 0;
	}
	w->shape->peb_access += loads_peb(insn, w->width) || loads_peb_of_teb(t, insn, w->width);
	if (insn->id == X86_INS_SYSCALL || insn->id == X86_INS_SYSENTER || (insn->id == X86_INS_INT && x->operands[0].imm == 0x2e))
		enter_kernel(w, insn);

	if (insn->id != X86_INS_NOP)
		count_down(t);
	if (t->called && changes_stack(insn))
		t->adjusted = TAKES;
	for (unsigned i = 0; i < x->op_count; i++) {
		int reg = x->operands[i].type == X86_OP_REG && x->operands[i].access & CS_AC_WRITE ? number_of(x->operands[i].reg) : -1;
		if (reg == arguments)
			t->arguments = LOADS;
		if (reg == RAX)
			t->numbered = 0;
		if (reg == t->teb)
			t->in_teb = 0;
	}
	if (loads_teb(insn, w->width)) {
		t->in_teb = LOADS;
		t->teb = number_of(x->operands[0].reg);
	}
	if (insn->id == X86_INS_MOV && x->op_count == 2 && x->operands[0].type == X86_OP_REG && number_of(x->operands[0].reg) == RAX && x->operands[1].type == X86_OP_IMM) {
		t->numbered = LOADS;
		t->number = (uint32_t)x->operands[1].imm;
	}
	if (insn->id == X86_INS_FNSTENV && is_on_stack(insn))
		t->stored = STORES;
	if (returns || insn->id == X86_INS_CALL || (insn->id == X86_INS_JMP && !jumps_near(insn)))
		t->called = t->adjusted = 0;
	if (insn->id == X86_INS_CALL && x->operands[0].type == X86_OP_IMM && (uint64_t)x->operands[0].imm == insn->address + insn->size)
		t->called = TAKES;
}

/* What ends a function, followed by what begins or pads one. */
static bool ends_function(const uint8_t *after, size_t left)
{
	if (!left)
		return true;
	switch (after[0]) {
	case 0x90: case 0xcc: case 0x55: case 0x53: case 0x57: case 0x56:
		return true;
	case 0x00:
		return left < 2 || !after[1];
	case 0x0f:
		return left > 1 && after[1] == 0x1f;
	case 0x40: case 0x41: case 0x48: case 0x4c: case 0x66:
		return true;
	default:
		return false;
	}
}

/* Where a jump leads; false: that can't be told. */
static bool jump_target(struct sweep *w, const cs_insn *insn, uint64_t *target)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];
	uint8_t raw[8];
	struct bytes b = { raw, w->width, false };

	if (op->type == X86_OP_IMM) {
		*target = (uint64_t)op->imm;
		return true;
	}
	if (op->type == X86_OP_REG) {
		*target = w->value;
		return w->reg && op->reg == w->reg;
	}
	if (op->type != X86_OP_MEM || op->mem.index != X86_REG_INVALID || (op->mem.base != X86_REG_RIP && op->mem.base != X86_REG_INVALID))
		return false;
	uint64_t slot = (uint64_t)op->mem.disp + (op->mem.base == X86_REG_RIP ? insn->address + insn->size : 0);
	if (w->width == 4)
		slot = (uint32_t)slot;
	if (slot >= w->code->start && slot < w->code->end && w->n < SLOTS)
		w->slots[w->n++] = slot;
	if (space_read(w->code->c->user, (va_t){ slot }, raw, w->width, NULL))
		return false;
	*target = bytes_le(&b, w->width);
	return true;
}

static void follow_jump(struct sweep *w, const cs_insn *insn)
{
	uint64_t target = 0;
	bool known = jump_target(w, insn, &target);
	const struct vad *vad = known ? vad_find(&w->code->c->process->vads, (va_t){ target }) : NULL;

	if (vad && vad->type == VAD_IMAGE_MAP && !vad->is_private)
		w->shape->image_jumps++;
	else if (!known || target < w->code->start || target >= w->code->end)
		w->shape->other_jumps++;
}

/* mov register, number */
static void remember(struct sweep *w, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;

	if (x->op_count == 2 && x->operands[0].type == X86_OP_REG && x->operands[1].type == X86_OP_IMM) {
		w->reg = x->operands[0].reg;
		w->value = (uint64_t)x->operands[1].imm;
	}
}

static bool is_slot(const struct sweep *w, uint64_t va)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->slots[i] == va)
			return true;
	return false;
}

static bool jumps(uint8_t byte)
{
	return byte == 0xe8 || byte == 0xe9 || byte == 0xeb || byte == 0xff;
}

/* Is that rows of `size` bytes, nearly all of which agree with the first in some places, a jump's or call's among them, but not in all? */
static bool rows_agree(const uint8_t *p, size_t n, unsigned size)
{
	size_t rows = n / size;
	unsigned same = 0, opcodes = 0;

	for (unsigned column = 0; column < size; column++) {
		size_t equal = 0;
		for (size_t row = 0; row < rows; row++)
			equal += p[row * size + column] == p[column];
		if (equal * 10 >= rows * 9) {
			same++;
			opcodes += jumps(p[column]);
		}
	}
	return opcodes && same < size && same * 4 >= size;
}

/* Bytes that are one stub over and over. */
static size_t stub_bytes(const uint8_t *p, size_t n)
{
	enum { ROWS = 6 };
	static const uint8_t sizes[] = { 8, 12, 16, 24, 32 };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
		if (n >= (size_t)ROWS * sizes[i] && rows_agree(p, n, sizes[i]))
			return n;
	return 0;
}

static void look_x86(struct sweep *w)
{
	struct code_shape *s = w->shape;
	cs_insn *insn = cs_malloc(w->handle);
	const uint8_t *at = w->code->bytes;
	size_t left = w->code->length;
	uint64_t va = w->code->address;

	while (left) {
		if (w->n && left >= w->width && is_slot(w, va)) {
			at += w->width;
			left -= w->width;
			va += w->width;
			continue;
		}
		if (!cs_disasm_iter(w->handle, &at, &left, &va, insn)) {
			count_down(&w->trail);
			s->invalid++;
			at++;
			left--;
			va++;
			continue;
		}
		s->instructions++;
		switch (insn->id) {
		case X86_INS_RET: case X86_INS_JMP:
			s->functions += ends_function(at, left);
			if (insn->id == X86_INS_JMP)
				follow_jump(w, insn);
			break;
		case X86_INS_MOV: case X86_INS_MOVABS:
			remember(w, insn);
			break;
		case X86_INS_CALL:
			s->calls++;
			break;
		case X86_INS_INT3:
			s->breakpoints++;
			break;
		default:
			break;
		}
		follow_trail(w, insn);
	}
	cs_free(insn, 1);
}

/* What a function of ARM64 begins with, or is padded by: pacibsp, a pair of registers pushed, room made on the
 * stack; nop, brk, zeros. */
static bool begins_function_arm64(uint32_t word)
{
	return !word || word == 0xd503237fu || word == 0xd503201fu || (word & 0xffe0001fu) == 0xd4200000u ||
	       (word & 0xffc003e0u) == 0xa98003e0u || (word & 0xffc003ffu) == 0xd10003ffu;
}

static void look_arm64(struct sweep *w)
{
	struct code_shape *s = w->shape;
	cs_insn *insn = cs_malloc(w->handle);
	const uint8_t *code = w->code->bytes;
	size_t length = w->code->length & ~(size_t)3;
	struct bytes b = { code, length, false };

	for (size_t i = 0; i + 4 <= length; i += 4) {
		uint32_t word = (uint32_t)bytes_at(&b, i, 4), next = i + 8 <= length ? (uint32_t)bytes_at(&b, i + 4, 4) : 0;
		const uint8_t *at = code + i;
		size_t left = 4;
		uint64_t va = w->code->address + i;

		if (!cs_disasm_iter(w->handle, &at, &left, &va, insn)) {
			s->invalid += 4;
			continue;
		}
		s->instructions++;
		s->functions += ((word & 0xfffffc1fu) == 0xd65f0000u || word >> 26 == 5) && begins_function_arm64(next);	/* ret, b */
		s->peb_access += (word & 0xffffffe0u) == 0xf9403240u;	/* ldr x?, [x18, #0x60] */
		if ((word & 0xffe0001fu) == 0xd4000001u)	/* svc; ret behind it */
			put_call(w, w->code->address + i, true, word >> 5 & 0xffff, next == 0xd65f03c0u);
		s->breakpoints += (word & 0xffe0001fu) == 0xd4200000u;	/* brk */
	}
	cs_free(insn, 1);
}

/* What a 32-bit process has of 64-bit code by itself came in through a far jump: does it look for the 64-bit PEB? */
static unsigned wide_peb_access(const struct code *code)
{
	cs_insn *insn;
	csh handle;
	unsigned n = 0;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return 0;
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(handle);
	for (size_t i = 0; i + 4 < code->length; i++) {
		const uint8_t *at = code->bytes + i;
		size_t left = code->length - i;
		uint64_t va = code->address + i;
		/* gs, REX.W, mov */
		if (at[0] == 0x65 && (at[1] & 0xf8) == 0x48 && at[2] == 0x8b && cs_disasm_iter(handle, &at, &left, &va, insn))
			n += loads_peb(insn, 8);
	}
	cs_free(insn, 1);
	cs_close(&handle);
	return n;
}

bool code_engine(enum architecture architecture, csh *handle)
{
	if (cs_open(architecture == ARCH_ARM64 ? CS_ARCH_ARM64 : CS_ARCH_X86,
		    architecture == ARCH_ARM64 ? CS_MODE_LITTLE_ENDIAN : architecture == ARCH_X86 ? CS_MODE_32 : CS_MODE_64, handle) != CS_ERR_OK)
		return false;
	if (architecture != ARCH_ARM64)
		cs_option(*handle, CS_OPT_DETAIL, CS_OPT_ON);
	return true;
}

void code_look(csh handle, const struct code *code, struct code_shape *shape, GArray *calls)
{
	struct sweep w = { .code = code, .shape = shape, .calls = calls, .handle = handle, .width = code->architecture == ARCH_X64 ? 8 : 4 };

	*shape = (struct code_shape){ 0 };
	if (code->architecture == ARCH_ARM64) {
		look_arm64(&w);
		return;
	}
	look_x86(&w);
	shape->stubs = stub_bytes(code->bytes, code->length);
	if (code->architecture == ARCH_X86 && code->c->process->wow64 && kernel_architecture(code->c->kernel) == ARCH_X64)
		shape->peb_access += wide_peb_access(code);
}
