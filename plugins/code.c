/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What executable memory that is no image holds: facts from its bytes, by disassembly.
 *
 * A just-in-time compiler and an implant both own executable memory, private or shared through the page file; what
 * they put there differs. Compiled functions come one after the other, each with an
 * end; position-independent code looks for the PEB, its own address or the kernel. On ARM64, programs for x86 and x64 run what the emulator
 * made of them, ARM64 code in memory of their own, and have what they mean to run beside it: each is looked at as what it is.
 */
#include <string.h>
#include "code_shape.h"
#include "limit.h"
#include "pe.h"
#include "plugin.h"

#define SAMPLE_LIMIT ((unsigned)FIXED_code_sample)
#define FIRST_BYTES 64u

enum {
	PROCESS, VAD, ADDRESS, LENGTH, SAMPLED, WRITABLE, ALL_ZERO, ENTROPY, INSTRUCTIONS, INVALID, FUNCTIONS, PEB_ACCESS, GETPC, SYSCALLS,
	BREAKPOINTS, PE_HEADER, BYTES, CALLS, IMAGE_JUMPS, OTHER_JUMPS, STUBS, SAMPLE_ADDRESS, MACHINE,
};
enum { D_PROCESS, D_VAD, D_ADDRESS, D_NUMBER, D_COPIED };

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
		[PEB_ACCESS] = { "peb_access", COL_INT, "instructions that read the PEB's address (gs:[60h], also in a 32-bit process, fs:[30h], the same by way of the TEB's, [x18, #0x60])" },
		[GETPC] = { "getpc", COL_INT, "calls to the next instruction, or FPU state stored, whose address is taken off the stack: the code learns where it is" },
		[SYSCALLS] = { "syscalls", COL_INT, "syscall, sysenter, int 2Eh and svc, with the arguments where the kernel looks for them" },
		[BREAKPOINTS] = { "breakpoints", COL_INT, "int3 (brk) between instructions" },
		[PE_HEADER] = { "pe_header", COL_BOOL, "begins with MZ and a PE signature" },
		[BYTES] = { "first_bytes", COL_BLOB, "of the sample" },
		[CALLS] = { "calls", COL_INT, "calls of anything; NULL, as the next three: not looked for (ARM64)" },
		[IMAGE_JUMPS] = { "image_jumps", COL_INT, "jumps that lead to mapped images: what else a page of hooks' trampolines holds is little" },
		[OTHER_JUMPS] = { "other_jumps", COL_INT, "jumps that lead to other memory than images and this run, or that can't be followed" },
		[STUBS] = { "stubs", COL_INT, "bytes of the sample that are the same short jump or call over and over, with other operands each, as runtimes make for what isn't compiled yet" },
		[SAMPLE_ADDRESS] = { "sample_address", COL_ADDRESS, "of first_bytes and of what was looked at: pages of zeros may come before" },
		[MACHINE] = { "machine", COL_TEXT, "x86, x64 or arm64: what it was disassembled as; on ARM64 what programs for others run is of either" },
	},
};

static const char *const call_indices[] = { "process_id, address", NULL };

static const struct table direct_system_calls = {
	.name = "direct_system_calls", .doc = "instructions in memory of no image that enter the kernel: what code_regions.syscalls counts",
	.indices = call_indices,
	.columns = {
		[D_PROCESS] = { "process_id", COL_PROCESS, "" },
		[D_VAD] = { "vad_id", COL_REF, "NULL: no VAD describes it", "vads" },
		[D_ADDRESS] = { "address", COL_ADDRESS, "of the instruction" },
		[D_NUMBER] = { "number", COL_INT, "of the function: system_call_stubs.number; NULL: it isn't a constant" },
		[D_COPIED] = { "copied", COL_BOOL, "it stands in a stub as ntdll has them, byte for byte: a copy" },
	},
};

struct run {
	uint64_t start, length;
	bool writable;
};

struct looker {
	struct context *c;
	csh engines[3];		/* x86, x64, ARM64: opened when there is something to look at; 0 before */
	size_t budget;
	bool spent, failed;
	uint64_t listed;	/* direct system calls */
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

static void put_call(struct looker *l, const struct system_call *call)
{
	if (l->listed >= limit(code_calls)) {
		if (l->listed++ == limit(code_calls))
			context_note(l->c, FAULT_LIMIT, (va_t){ call->address }, "direct_system_calls", "more than %" G_GUINT64_FORMAT " direct system calls (code_calls): the others are counted alone",
				     limit(code_calls));
		return;
	}
	l->listed++;
	struct row *row = row_new(l->c, &direct_system_calls);
	if (l->vad)
		row_ref(row, D_VAD, l->vad_index);
	row_address(row, D_ADDRESS, call->address);
	if (call->numbered)
		row_int(row, D_NUMBER, call->number);
	row_int(row, D_COPIED, call->copied);
}

static bool look_as(struct looker *l, struct code *code, enum architecture as, struct code_shape *shape, GArray *calls)
{
	csh *engine = &l->engines[as == ARCH_X86 ? 0 : as == ARCH_X64 ? 1 : 2];

	code->architecture = as;
	g_array_set_size(calls, 0);
	if (!*engine && !code_engine(as, engine))
		return false;
	code_look(*engine, code, shape, calls);
	return true;
}

/*
 * As what it is: seven words in ten of code for x86, and of noise, are no instructions of ARM64, while x86 makes something of nearly all. What is
 * seen by the other that noise doesn't have counts all the same: no padding hides it.
 */
static bool look(struct looker *l, struct code *code, struct code_shape *shape, GArray *calls)
{
	enum architecture kernel = kernel_architecture(l->c->kernel);
	enum architecture theirs = l->c->process->wow64 || kernel == ARCH_X86 || kernel == ARCH_X86_PAE ? ARCH_X86 : ARCH_X64;

	if (kernel == ARCH_ARM64) {
		if (!look_as(l, code, ARCH_ARM64, shape, calls))
			return false;
		if ((size_t)shape->invalid * 4 <= code->length) {
			struct code as_theirs = *code;
			struct code_shape seen;
			g_autoptr(GArray) none = g_array_new(FALSE, FALSE, sizeof(struct system_call));
			if (!look_as(l, &as_theirs, theirs, &seen, none))
				return false;
			shape->peb_access += seen.peb_access;
			shape->getpc += seen.getpc;
			return true;
		}
	}
	return look_as(l, code, theirs, shape, calls);
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
	struct code_shape s;
	struct code code = { .c = l->c, .bytes = sample, .length = used, .address = at, .start = r->start, .end = end };
	g_autoptr(GArray) calls = g_array_new(FALSE, FALSE, sizeof(struct system_call));
	row_address(row, SAMPLE_ADDRESS, at);
	if (!look(l, &code, &s, calls)) {
		l->failed = true;
		return;
	}
	row_text(row, MACHINE, code.architecture == ARCH_X86 ? "x86" : code.architecture == ARCH_X64 ? "x64" : "arm64");
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
	if (code.architecture != ARCH_ARM64) {
		row_int(row, CALLS, s.calls);
		row_int(row, IMAGE_JUMPS, s.image_jumps);
		row_int(row, OTHER_JUMPS, s.other_jumps);
		row_int(row, STUBS, (int64_t)s.stubs);
	}
	for (guint i = 0; i < calls->len; i++)
		put_call(l, &g_array_index(calls, struct system_call, i));
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
	for (unsigned i = 0; i < G_N_ELEMENTS(l.engines); i++)
		if (l.engines[i])
			cs_close(&l.engines[i]);
	if (l.failed)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "capstone can't be opened");
	return !l.failed;
}

const struct plugin plugin_code = {
	.name = "code",
	.doc = "what executable memory that is no image holds",
	.fills = { &code_regions, &direct_system_calls },
	.needs = { "vads" },
	.needs_layout = true,
	.kinds = DUMP_OF_MACHINE | DUMP_OF_PROCESS,
	.needs_user_memory = true,
	.run_process = run_process,
};
