/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What executable memory that is no image holds: facts from its bytes, by disassembly.
 *
 * A just-in-time compiler and an implant both own executable memory, private or shared through the page file; what
 * they put there differs. Compiled functions come one after the other, each with an
 * end; position-independent code looks for the PEB, its own address or the kernel.
 */
#include <capstone.h>
#include <string.h>
#include "limit.h"
#include "pe.h"
#include "plugin.h"

#define SAMPLE_LIMIT ((unsigned)FIXED_code_sample)
#define FIRST_BYTES 64u

enum {
	PROCESS, VAD, ADDRESS, LENGTH, SAMPLED, WRITABLE, ALL_ZERO, ENTROPY, INSTRUCTIONS, INVALID, FUNCTIONS, PEB_ACCESS, GETPC, SYSCALLS,
	BREAKPOINTS, PE_HEADER, BYTES, CALLS, IMAGE_JUMPS, OTHER_JUMPS, STUBS,
};

static const char *const indices[] = { "process_id, address", NULL };

static const struct table code_regions = {
	.name = "code_regions", .doc = "executable pages of private memory, and of mappings that are no image, run by run, and what their bytes look like",
	.indices = indices,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[VAD] = { "vad_id", COL_REF, "NULL: no VAD describes it", "vads" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the first page of the run" },
		[LENGTH] = { "length", COL_INT, "bytes of adjacent resident executable pages" },
		[SAMPLED] = { "sampled", COL_INT, "bytes looked at, from the first that is not zero" },
		[WRITABLE] = { "writable", COL_BOOL, "by the page-table entries" },
		[ALL_ZERO] = { "all_zero", COL_BOOL, "nothing but zeros; NULL: nothing else could be read, and not all" },
		[ENTROPY] = { "entropy", COL_REAL, "bits a byte, of the sample" },
		[INSTRUCTIONS] = { "instructions", COL_INT, "decoded" },
		[INVALID] = { "invalid", COL_INT, "bytes that are no instruction" },
		[FUNCTIONS] = { "functions", COL_INT, "returns or jumps followed by padding or a function's usual beginning" },
		[PEB_ACCESS] = { "peb_access", COL_INT, "instructions that read the PEB's address (gs:[60h], also in a 32-bit process, fs:[30h], [x18, #0x60])" },
		[GETPC] = { "getpc", COL_INT, "calls to the next instructions, or FPU state stored, to learn where the code is" },
		[SYSCALLS] = { "syscalls", COL_INT, "syscall, sysenter, int 2Eh and svc" },
		[BREAKPOINTS] = { "breakpoints", COL_INT, "int3 (brk) between instructions" },
		[PE_HEADER] = { "pe_header", COL_BOOL, "begins with MZ and a PE signature" },
		[BYTES] = { "first_bytes", COL_BLOB, "of the sample" },
		[CALLS] = { "calls", COL_INT, "calls of anything; NULL, as the next three: not looked for (ARM64)" },
		[IMAGE_JUMPS] = { "image_jumps", COL_INT, "jumps that lead to mapped images: what else a page of hooks' trampolines holds is little" },
		[OTHER_JUMPS] = { "other_jumps", COL_INT, "jumps that lead to other memory than images and this run, or that can't be followed" },
		[STUBS] = { "stubs", COL_INT, "bytes of the sample that are the same short jump or call over and over, with other operands each, as runtimes make for what isn't compiled yet" },
	},
};

struct shape {
	unsigned instructions, invalid, functions, peb_access, getpc, syscalls, breakpoints, calls, image_jumps, other_jumps;
};

enum { SLOTS = 64 };

/* What jumps are followed with. */
struct follower {
	const struct context *c;
	unsigned width;			/* of an address */
	uint64_t start, end;		/* of the run */
	unsigned reg;			/* the register that was loaded with a number last */
	uint64_t value;
	uint64_t slots[SLOTS];		/* addresses in the run that jumps read theirs from: data */
	unsigned n;
};

static bool is_peb_operand(const cs_insn *insn, bool is_64bit)
{
	const cs_x86 *x = &insn->detail->x86;

	for (unsigned i = 0; i < x->op_count; i++) {
		const cs_x86_op *op = &x->operands[i];
		if (op->type != X86_OP_MEM)
			continue;
		/* The displacement may be in a register: gs:[rdx+60h] with rdx 0 is a usual disguise. */
		if (is_64bit && op->mem.segment == X86_REG_GS && op->mem.disp == 0x60)
			return true;
		if (!is_64bit && op->mem.segment == X86_REG_FS && op->mem.disp == 0x30)
			return true;
	}
	return false;
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
static bool jump_target(struct follower *f, const cs_insn *insn, uint64_t *target)
{
	const cs_x86_op *op = &insn->detail->x86.operands[0];
	uint8_t raw[8];
	struct bytes b = { raw, f->width, false };

	if (op->type == X86_OP_IMM) {
		*target = (uint64_t)op->imm;
		return true;
	}
	if (op->type == X86_OP_REG) {
		*target = f->value;
		return f->reg && op->reg == f->reg;
	}
	if (op->type != X86_OP_MEM || op->mem.index != X86_REG_INVALID || (op->mem.base != X86_REG_RIP && op->mem.base != X86_REG_INVALID))
		return false;
	uint64_t slot = (uint64_t)op->mem.disp + (op->mem.base == X86_REG_RIP ? insn->address + insn->size : 0);
	if (f->width == 4)
		slot = (uint32_t)slot;
	if (slot >= f->start && slot < f->end && f->n < SLOTS)
		f->slots[f->n++] = slot;
	if (space_read(f->c->user, (va_t){ slot }, raw, f->width, NULL))
		return false;
	*target = bytes_le(&b, f->width);
	return true;
}

static void follow_jump(struct shape *s, struct follower *f, const cs_insn *insn)
{
	uint64_t target = 0;
	bool known = jump_target(f, insn, &target);
	const struct vad *vad = known ? vad_find(&f->c->process->vads, (va_t){ target }) : NULL;

	if (vad && vad->type == VAD_IMAGE_MAP && !vad->is_private)
		s->image_jumps++;
	else if (!known || target < f->start || target >= f->end)
		s->other_jumps++;
}

/* mov register, number */
static void remember(struct follower *f, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;

	if (x->op_count == 2 && x->operands[0].type == X86_OP_REG && x->operands[1].type == X86_OP_IMM) {
		f->reg = x->operands[0].reg;
		f->value = (uint64_t)x->operands[1].imm;
	}
}

static bool is_slot(const struct follower *f, uint64_t va)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->slots[i] == va)
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

static void look(struct shape *s, csh handle, struct follower *f, bool is_64bit, const uint8_t *code, size_t length, uint64_t address)
{
	cs_insn *insn = cs_malloc(handle);
	const uint8_t *at = code;
	size_t left = length;
	uint64_t va = address;

	while (left) {
		if (f->n && left >= f->width && is_slot(f, va)) {
			at += f->width;
			left -= f->width;
			va += f->width;
			continue;
		}
		if (!cs_disasm_iter(handle, &at, &left, &va, insn)) {
			s->invalid++;
			at++;
			left--;
			va++;
			continue;
		}
		s->instructions++;
		s->peb_access += is_peb_operand(insn, is_64bit);
		switch (insn->id) {
		case X86_INS_RET: case X86_INS_JMP:
			s->functions += ends_function(at, left);
			if (insn->id == X86_INS_JMP)
				follow_jump(s, f, insn);
			break;
		case X86_INS_MOV: case X86_INS_MOVABS:
			remember(f, insn);
			break;
		case X86_INS_CALL: {
			const cs_x86_op *op = &insn->detail->x86.operands[0];
			s->calls++;
			/* call $+5, and the jump ahead whose target calls back */
			if (op->type == X86_OP_IMM && (uint64_t)op->imm == insn->address + insn->size)
				s->getpc++;
			break;
		}
		case X86_INS_FNSTENV:
			s->getpc++;
			break;
		case X86_INS_SYSCALL: case X86_INS_SYSENTER:
			s->syscalls++;
			break;
		case X86_INS_INT:
			s->syscalls += insn->detail->x86.operands[0].imm == 0x2e;
			break;
		case X86_INS_INT3:
			s->breakpoints++;
			break;
		default:
			break;
		}
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

static void look_arm64(struct shape *s, csh handle, const uint8_t *code, size_t length, uint64_t address)
{
	cs_insn *insn = cs_malloc(handle);
	struct bytes b = { code, length, false };

	for (size_t i = 0; i + 4 <= length; i += 4) {
		uint32_t word = (uint32_t)bytes_at(&b, i, 4), next = i + 8 <= length ? (uint32_t)bytes_at(&b, i + 4, 4) : 0;
		const uint8_t *at = code + i;
		size_t left = 4;
		uint64_t va = address + i;

		if (!cs_disasm_iter(handle, &at, &left, &va, insn)) {
			s->invalid += 4;
			continue;
		}
		s->instructions++;
		s->functions += ((word & 0xfffffc1fu) == 0xd65f0000u || word >> 26 == 5) && begins_function_arm64(next);	/* ret, b */
		s->peb_access += (word & 0xffffffe0u) == 0xf9403240u;	/* ldr x?, [x18, #0x60] */
		s->syscalls += (word & 0xffe0001fu) == 0xd4000001u;	/* svc */
		s->breakpoints += (word & 0xffe0001fu) == 0xd4200000u;	/* brk */
	}
	cs_free(insn, 1);
}

/* What a 32-bit process has of 64-bit code by itself came in through a far jump: does it look for the 64-bit PEB? */
static unsigned wide_peb_access(const uint8_t *code, size_t length, uint64_t address)
{
	cs_insn *insn;
	csh handle;
	unsigned n = 0;

	if (cs_open(CS_ARCH_X86, CS_MODE_64, &handle) != CS_ERR_OK)
		return 0;
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	insn = cs_malloc(handle);
	for (size_t i = 0; i + 4 < length; i++) {
		const uint8_t *at = code + i;
		size_t left = length - i;
		uint64_t va = address + i;
		/* gs, REX.W, mov */
		if (at[0] == 0x65 && (at[1] & 0xf8) == 0x48 && at[2] == 0x8b && cs_disasm_iter(handle, &at, &left, &va, insn))
			n += is_peb_operand(insn, true);
	}
	cs_free(insn, 1);
	cs_close(&handle);
	return n;
}

/* Whose code a process runs. Those of another width than the kernel's are x86, on ARM64 too. */
static enum architecture code_of(const struct context *c)
{
	enum architecture kernel = kernel_architecture(c->kernel);

	return c->process->wow64 || kernel == ARCH_X86 || kernel == ARCH_X86_PAE ? ARCH_X86 : kernel;
}

static bool open_engine(csh *handle, enum architecture code)
{
	return cs_open(code == ARCH_ARM64 ? CS_ARCH_ARM64 : CS_ARCH_X86,
		       code == ARCH_ARM64 ? CS_MODE_LITTLE_ENDIAN : code == ARCH_X86 ? CS_MODE_32 : CS_MODE_64, handle) == CS_ERR_OK;
}

struct run {
	uint64_t start, length;
	bool writable;
};

struct looker {
	struct context *c;
	csh handle;		/* opened when there is something to look at; 0 before */
	size_t budget;
	bool spent, failed;
	const struct vad *vad;
	int vad_index;
};

static bool has_pe_header(const uint8_t *p, size_t n)
{
	struct bytes b = { p, n, false };

	if (n < 0x40 || p[0] != 'M' || p[1] != 'Z')
		return false;
	uint64_t nt = bytes_at(&b, 0x3c, 4);
	return bytes_at(&b, nt, 4) == 0x4550 && !b.bad;
}

static void put_run(struct looker *l, const struct run *r)
{
	uint8_t sample[SAMPLE_LIMIT];
	size_t n = 0;
	uint64_t at = r->start, end = r->start + r->length;
	enum fault fault = FAULT_NONE;
	va_t missing = { 0 };

	/* Start where the bytes start: an implant may leave a zeroed page before its code. */
	for (; at < end; at += PAGE_SIZE) {
		enum fault here = space_read(l->c->user, (va_t){ at }, sample, PAGE_SIZE, NULL);
		if (!here && !bytes_are_zero(sample, PAGE_SIZE))
			break;
		if (here && !fault) {
			fault = here;
			missing.v = at;
		}
	}
	struct row *row = row_new(l->c, &code_regions);
	if (l->vad)
		row_ref(row, VAD, l->vad_index);
	row_address(row, ADDRESS, r->start);
	row_int(row, LENGTH, (int64_t)r->length);
	row_int(row, WRITABLE, r->writable);
	if (at >= end && fault) {
		row_fault(row, ALL_ZERO, fault, missing, "executable memory");
		return;
	}
	row_int(row, ALL_ZERO, at >= end);
	if (at >= end)
		return;
	n = (size_t)MIN((uint64_t)SAMPLE_LIMIT, end - at);
	if (n > (uint64_t)l->budget) {
		if (!l->spent)
			context_note(l->c, FAULT_LIMIT, (va_t){ at }, "code_regions", "more than %" G_GUINT64_FORMAT " bytes of executable memory that is no image: the rest is not disassembled",
				     limit(code_bytes));
		l->spent = true;
		if (!(n = (size_t)l->budget))
			return;
	}
	l->budget -= n;
	va_t hole;
	enum fault cut = space_read(l->c->user, (va_t){ at }, sample, n, &hole);
	if (cut) {
		row_note(row, cut, hole, "pages of the sample can't be read: zeros stand for them");
		(void)space_read_sparse(l->c->user, (va_t){ at }, sample, n);
	}
	size_t used = n;
	while (used > 1 && !sample[used - 1])
		used--;
	struct shape s = { 0 };
	enum architecture code = code_of(l->c);
	if (!l->handle && !open_engine(&l->handle, code)) {
		l->failed = true;
		return;
	}
	if (code == ARCH_ARM64) {
		look_arm64(&s, l->handle, sample, used & ~(size_t)3, at);
	} else {
		struct follower f = { .c = l->c, .width = code == ARCH_X64 ? 8 : 4, .start = r->start, .end = end };
		cs_option(l->handle, CS_OPT_DETAIL, CS_OPT_ON);
		look(&s, l->handle, &f, code == ARCH_X64, sample, used, at);
	}
	if (code == ARCH_X86 && l->c->process->wow64 && kernel_architecture(l->c->kernel) == ARCH_X64)
		s.peb_access += wide_peb_access(sample, used, at);
	row_int(row, SAMPLED, (int64_t)used);
	row_real(row, ENTROPY, byte_entropy(sample, used));
	row_int(row, INSTRUCTIONS, s.instructions);
	row_int(row, INVALID, s.invalid);
	row_int(row, FUNCTIONS, s.functions);
	row_int(row, PEB_ACCESS, s.peb_access);
	row_int(row, GETPC, s.getpc);
	row_int(row, SYSCALLS, s.syscalls);
	row_int(row, BREAKPOINTS, s.breakpoints);
	/* The header would have been in the first page. */
	if (fault && missing.v == r->start)
		row_fault(row, PE_HEADER, fault, missing, "executable memory");
	else
		row_int(row, PE_HEADER, has_pe_header(sample, n));
	row_blob(row, BYTES, sample, MIN(used, FIRST_BYTES));
	if (code == ARCH_ARM64)
		return;
	row_int(row, CALLS, s.calls);
	row_int(row, IMAGE_JUMPS, s.image_jumps);
	row_int(row, OTHER_JUMPS, s.other_jumps);
	row_int(row, STUBS, (int64_t)stub_bytes(sample, used));
}

/* shared: the section's own pages count, too. */
static void look_between(struct looker *l, va_t first, va_t last, bool shared)
{
	va_t cursor = first;
	struct run run = { 0, 0, false };
	struct page page;

	while (space_next_page(l->c->user, &cursor, last, &page) && !context_cancelled(l->c)) {
		if (!page.executable || !page_readable(&page) || (page.by_prototype && !shared))
			continue;
		uint64_t start = MAX(page.va.v, first.v), end = MIN(page.va.v + page.size - 1, last.v) + 1;
		if (run.length && run.start + run.length == start && run.writable == page.writable) {
			run.length += end - start;
			continue;
		}
		if (run.length)
			put_run(l, &run);
		run = (struct run){ start, end - start, page.writable };
	}
	if (run.length)
		put_run(l, &run);
}

static bool run_process(struct context *c, GError **error)
{
	const GArray *vads = c->process->vads.vads;
	struct looker l = { .c = c, .budget = limit(code_bytes), .vad_index = -1 };
	uint64_t at = 0;

	if (!c->user)
		return true;
	va_t user_end = space_user_end(c->user);
	for (guint i = 0; i < vads->len && !context_cancelled(c); i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		l.vad = NULL;
		if (vad->start.v > at)
			look_between(&l, (va_t){ at }, (va_t){ vad->start.v - 1 }, false);
		l.vad = vad;
		l.vad_index = (int)i;
		/* Where page tables were counted they have said already whether anything is executable. */
		if ((vad->is_private || vad->type == VAD_NONE) && (!vad->counted || vad->pages_executable))
			look_between(&l, vad->start, vad->end, !vad->is_private);
		at = MAX(at, vad->end.v + 1);
	}
	l.vad = NULL;
	if (at <= user_end.v && vads->len)
		look_between(&l, (va_t){ at }, user_end, false);
	if (l.handle)
		cs_close(&l.handle);
	if (l.failed)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "capstone can't be opened");
	return !l.failed;
}

const struct plugin plugin_code = {
	.name = "code",
	.doc = "what executable memory that is no image holds",
	.fills = { &code_regions },
	.needs = { "vads" },
	.needs_layout = true,
	.kinds = DUMP_OF_MACHINE | DUMP_OF_PROCESS,
	.needs_user_memory = true,
	.run_process = run_process,
};
