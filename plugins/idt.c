/* SPDX-License-Identifier: Apache-2.0 */
/* Each processor's interrupt and segment descriptor tables. The formats are Intel's (SDM volume 3, chapters 3 and 6). */
#include "processor.h"

enum { DUMP, PROCESSOR, VECTOR, ADDRESS, MODULE, SELECTOR, STACK, TYPE, PRIVILEGE, PLACEMENT };
enum { GDT_DUMP, GDT_PROCESSOR, GDT_SELECTOR, GDT_BASE, GDT_LIMIT, GDT_TYPE, GDT_SYSTEM, GDT_PRIVILEGE, GDT_LONG };

static const char *const indices[] = { "address", NULL };

static const struct table idt = {
	.name = "idt", .doc = "interrupt descriptor tables, gates in use", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[PROCESSOR] = { "processor", COL_INT, "" },
		[VECTOR] = { "vector", COL_INT, "" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the handler" },
		[MODULE] = { "module", COL_TEXT, "kernel module it lies in; NULL: in none (before Windows 10 14393, and on 32 bits, device interrupts enter in pool)" },
		[SELECTOR] = { "selector", COL_INT, "code segment" },
		[STACK] = { "interrupt_stack", COL_INT, "number of its own stack, 0: none; NULL: 32-bit processors have no such numbers" },
		[TYPE] = { "type", COL_TEXT, "interrupt, trap, or (32 bits) task" },
		[PRIVILEGE] = { "privilege", COL_INT, "least privileged ring that may raise it" },
		[PLACEMENT] = { "placement", COL_TEXT, "expected: in the kernel; other: in a driver; nowhere: in no module" },
	},
};

static const struct table gdt = {
	.name = "gdt", .doc = "global descriptor tables, segments in use",
	.columns = {
		[GDT_DUMP] = { "dump_id", COL_DUMP, "" },
		[GDT_PROCESSOR] = { "processor", COL_INT, "" },
		[GDT_SELECTOR] = { "selector", COL_INT, "" },
		[GDT_BASE] = { "base", COL_ADDRESS, "" },
		[GDT_LIMIT] = { "segment_limit", COL_INT, "last byte" },
		[GDT_TYPE] = { "type", COL_INT, "the descriptor's four bits of type" },
		[GDT_SYSTEM] = { "system", COL_BOOL, "no code or data: a task state, a gate" },
		[GDT_PRIVILEGE] = { "privilege", COL_INT, "ring" },
		[GDT_LONG] = { "long_mode", COL_BOOL, "64-bit code" },
	},
};

#define VECTORS 256u
#define GATE_SIZE 16u		/* half of it on 32 bits */
#define TASK_GATE 5
/* KGDT64_…: where nothing tells, 0x58 bytes since Vista (the limit in dumps of Windows 7 to 11 is 0x57), 0x80 at most; on x86 0x400. */
#define GDT_BYTES 0x80u
#define GDT_BYTES_VISTA 0x58u
#define GDT_BYTES_32 0x400u
#define VISTA 6000u

/*
 * The size of the table at `base` by its register, as the processor's state has it ({limit, base} at the end of a KDESCRIPTOR), `most` at
 * most. 0: the layout doesn't say where that is, or the state is of another table.
 */
static unsigned table_bytes(const struct object *descriptor, unsigned most, uint64_t base)
{
	const unsigned width = space_pointer_size(descriptor->space);
	uint8_t raw[2 + 8];
	struct bytes b = { raw, 2 + width, false };

	if (!descriptor->va.v || space_read(descriptor->space, (va_t){ descriptor->va.v + width - 2 }, raw, b.n, NULL) || bytes_at(&b, 2, width) != (width == 8 ? base : base & UINT32_MAX))
		return 0;
	const unsigned limit = (unsigned)bytes_at(&b, 0, 2);
	return limit ? MIN(limit + 1, most) : 0;
}

static struct object special_registers(struct context *c, const struct processor *p)
{
	struct object prcb = object_at(c->space, p->prcb.v), state = MEMBER(prcb, kprcb.ProcessorState);

	return MEMBER(state, kprocessor_state.SpecialRegisters);
}

static void put_gates(struct context *c, const struct processor *p, va_t base)
{
	unsigned size = space_pointer_size(c->space) == 4 ? GATE_SIZE / 2 : GATE_SIZE;
	struct object special = special_registers(c, p), idtr = MEMBER(special, kspecial_registers.Idtr);
	const unsigned known = table_bytes(&idtr, VECTORS * size, base.v), bytes = known ? known : VECTORS * size;

	for (unsigned vector = 0; vector < bytes / size; vector++) {
		va_t at = { base.v + vector * size };
		uint8_t raw[GATE_SIZE] = { 0 };
		enum fault fault = space_read(c->space, at, raw, size, NULL);
		struct bytes b = { raw, sizeof(raw), false };
		if (fault) {
			context_note(c, fault, at, "idt", "the table of processor %u can't be read from vector %u on", p->number, vector);
			return;
		}
		if (!(raw[5] & 0x80))	/* not present */
			continue;
		uint64_t address = bytes_at(&b, 0, 2) | bytes_at(&b, 6, 2) << 16 | bytes_at(&b, 8, 4) << 32;
		bool task = size != GATE_SIZE && (raw[5] & 15) == TASK_GATE;
		struct row *row = row_new(c, &idt);
		row_int(row, PROCESSOR, p->number);
		row_int(row, VECTOR, vector);
		if (!task) {	/* the handler's address stands in the task's state */
			row_address(row, ADDRESS, address);
			row_text(row, MODULE, context_driver_at(c, (va_t){ address }));
			row_text(row, PLACEMENT, context_placement(c, (va_t){ address }, c->kernel->base));
		}
		row_int(row, SELECTOR, (int64_t)bytes_at(&b, 2, 2));
		if (size == GATE_SIZE)
			row_int(row, STACK, raw[4] & 7);
		row_text(row, TYPE, task ? "task" : (raw[5] & 15) == 15 ? "trap" : (raw[5] & 15) == 14 ? "interrupt" : NULL);
		row_int(row, PRIVILEGE, raw[5] >> 5 & 3);
	}
}

static void put_segments(struct context *c, const struct processor *p, va_t base)
{
	bool narrow = space_pointer_size(c->space) == 4;
	struct object special = special_registers(c, p), gdtr = MEMBER(special, kspecial_registers.Gdtr);
	const unsigned most = narrow ? GDT_BYTES_32 : GDT_BYTES, known = table_bytes(&gdtr, most, base.v);
	const unsigned size = known ? known : narrow || (c->kernel->build && c->kernel->build < VISTA) ? most : GDT_BYTES_VISTA;
	uint8_t raw[GDT_BYTES_32];
	enum fault fault = space_read(c->space, base, raw, size, NULL);
	struct bytes b = { raw, size, false };

	if (fault) {
		context_note(c, fault, base, "gdt", "the table of processor %u can't be read", p->number);
		return;
	}
	for (unsigned at = 8; at + 8 <= size; at += 8) {
		uint64_t d = bytes_at(&b, at, 8);
		if (!(d >> 47 & 1))	/* not present */
			continue;
		bool system = !(d >> 44 & 1), wide = system && !narrow && at + 16 <= size;
		uint64_t start = (d >> 16 & 0xffffff) | (d >> 56 & 0xff) << 24, limit = (d & 0xffff) | (d >> 48 & 15) << 16;
		if (wide)	/* 16 bytes in 64-bit mode */
			start |= bytes_at(&b, at + 8, 4) << 32;
		if (d >> 55 & 1)
			limit = limit << 12 | 0xfff;
		struct row *row = row_new(c, &gdt);
		row_int(row, GDT_PROCESSOR, p->number);
		row_int(row, GDT_SELECTOR, at);
		row_address(row, GDT_BASE, start);
		row_int(row, GDT_LIMIT, (int64_t)limit);
		row_int(row, GDT_TYPE, d >> 40 & 15);
		row_int(row, GDT_SYSTEM, system);
		row_int(row, GDT_PRIVILEGE, d >> 45 & 3);
		row_int(row, GDT_LONG, d >> 53 & 1);
		at += wide ? 8 : 0;
	}
}

static bool run(struct context *c, GError **error)
{

	(void)error;
	if (c->kernel->paging == PAGING_ARM64)	/* whose processors have none */
		return true;
	g_autoptr(GArray) processors = processors_list(c, "idt");
	for (guint i = 0; i < processors->len; i++) {
		const struct processor *p = &g_array_index(processors, struct processor, i);
		struct object pcr = object_at(c->space, p->pcr.v);
		uint64_t base = 0;
		/* 32-bit kernels have other names for the two. */
		bool narrow = HAS(pcr, kpcr.IDT) && !HAS(pcr, kpcr.IdtBase);
		enum fault fault = narrow ? READ(pcr, kpcr.IDT, &base) : READ(pcr, kpcr.IdtBase, &base);
		/* 0: a processor that was never started. */
		if (!fault && base)
			put_gates(c, p, (va_t){ base });
		if (!fault && !(fault = narrow ? READ(pcr, kpcr.GDT, &base) : READ(pcr, kpcr.GdtBase, &base)) && base)
			put_segments(c, p, (va_t){ base });
		if (fault)
			context_note(c, fault, pcr.va, "idt", "the control region of processor %u can't be read", p->number);
	}
	return true;
}

const struct plugin plugin_idt = {
	.name = "idt",
	.doc = "interrupt and segment descriptor tables",
	.fills = { &idt, &gdt },
	.needs = { "drivers" },
	.needs_layout = true,
	.run = run,
};
