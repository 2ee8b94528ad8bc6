/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel stack of the thread that crashed, read for what it says of the way there: values that lie in a loaded
 * kernel module. Without unwind information (a small dump has no images) nobody can tell return addresses from what
 * else was left on the stack, so all are kept, in order, with what speaks for each.
 */
#include "limit.h"
#include "processor.h"
#include "symbolize.h"

enum { DUMP, POSITION, ADDRESS, VALUE, MODULE, OFFSET, SYMBOL, AFTER_CALL };

static const struct table crash_stack = {
	.name = "crash_stack", .doc = "where the thread that crashed was, and values on its kernel stack that lie in kernel modules",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[POSITION] = { "position", COL_INT, "0: the instruction pointer; then from the top of the stack down to its base" },
		[ADDRESS] = { "address", COL_ADDRESS, "on the stack" },
		[VALUE] = { "value", COL_ADDRESS, "" },
		[MODULE] = { "module", COL_TEXT, "kernel module it lies in; NULL: in none, or by the dump's list in none" },
		[OFFSET] = { "offset", COL_INT, "from the module's base" },
		[SYMBOL] = { "symbol", COL_TEXT, "nearest export, where the image is in the dump" },
		[AFTER_CALL] = { "after_call", COL_BOOL, "the instruction before it is a call: a return address; NULL: its code is not in the dump" },
	},
};

/* Is what ends right before a return address a call? Intel's SDM: E8 rel32; FF /2 with any form of operand. Arm ARM: BL, BLR. */
static bool ends_in_call(const struct kernel *kernel, const uint8_t code[7])
{
	if (kernel_architecture(kernel) == ARCH_ARM64) {
		struct bytes b = { code, 7, false };
		uint32_t word = (uint32_t)bytes_at(&b, 3, 4);
		return word >> 26 == 0x25 || (word & 0xfffffc1fu) == 0xd63f0000u;
	}
	if (code[2] == 0xe8)
		return true;
	for (unsigned length = 2; length <= 7; length++) {
		const uint8_t *at = code + 7 - length;
		unsigned mode = length > 1 ? at[1] >> 6 : 0, rm = at[1] & 7, operand = 0;
		if (at[0] != 0xff || (at[1] >> 3 & 7) != 2)
			continue;
		if (mode != 3) {
			bool sib = rm == 4;
			operand = sib + (mode == 1 ? 1 : mode == 2 || (mode == 0 && rm == 5) ? 4 : 0);
			if (sib && mode == 0 && length > 2 && (at[2] & 7) == 5)
				operand += 4;
		}
		if (length == 2 + operand)
			return true;
	}
	return false;
}

static void put(struct context *c, struct symbolizer *symbolizer, unsigned position, va_t at, va_t value)
{
	struct row *row = row_new(c, &crash_stack);
	uint64_t base = 0, size = 0;
	uint8_t code[7];

	row_int(row, POSITION, position);
	if (at.v)
		row_address(row, ADDRESS, at.v);
	row_address(row, VALUE, value.v);
	row_text(row, MODULE, context_driver_at(c, value));
	if (context_driver_image(c, value, &base, &size))
		row_int(row, OFFSET, (int64_t)(value.v - base));
	g_autofree char *symbol = symbolizer_name(symbolizer, value);
	row_text(row, SYMBOL, symbol);
	if (at.v && !space_read(c->space, (va_t){ value.v - sizeof(code) }, code, sizeof(code), NULL))
		row_int(row, AFTER_CALL, ends_in_call(c->kernel, code));
}

/* Where the stack ends: as the small dump says, or the thread that runs on it; 0: nothing tells. */
static uint64_t stack_end(struct context *c, va_t at)
{
	const struct image_triage *triage = c->image->triage;
	uint64_t base = 0;

	if (triage)
		return triage->call_stack.length ? at.v + triage->call_stack.length : 0;
	if (!c->kernel->layout)
		return 0;
	struct object tcb = object_at(c->space, processor_thread(c, at.v, NULL).v);	/* why not the plugin `crash` says */
	return tcb.va.v && !READ(tcb, kthread.StackBase, &base) ? base : 0;
}

static bool run(struct context *c, GError **error)
{
	const struct image_facts *facts = &c->image->facts;
	const struct image_triage *triage = c->image->triage;
	enum architecture machine = kernel_architecture(c->kernel);
	unsigned width = machine == ARCH_X86 || machine == ARCH_X86_PAE ? 4 : 8, position = 0;

	(void)error;
	if (!facts->is_crash || !facts->instruction_pointer)
		return true;
	AUTO(symbolizer) symbolizer = symbolizer_create(c, "crash_stack");
	put(c, symbolizer, position++, (va_t){ 0 }, (va_t){ facts->instruction_pointer });
	/* A small dump says where its part of the stack begins; the handler's own frames lie below the context's. */
	va_t at = { triage && triage->call_stack.va ? triage->call_stack.va : facts->stack_pointer };
	const uint64_t first = at.v, last = stack_end(c, at), most = at.v + limit(crash_stack), end = last ? MIN(last, most) : most;
	bool told = false;
	if (at.v % width || !(width == 8 ? at.v >> 63 : at.v >> 31) || end < at.v)
		return true;
	while (at.v < end && !context_cancelled(c)) {
		uint64_t value = 0;
		enum fault fault = space_read(c->space, at, &value, width, NULL);
		if (!fault && context_driver_at(c, (va_t){ value }))
			put(c, symbolizer, position++, at, (va_t){ value });
		/* Behind the stack's base there is nothing. */
		if (fault && !told && (last || at.v == first))
			context_note(c, fault, at, "crash_stack", at.v == first ? "the stack of the thread that crashed can't be read" :
				     "the stack of the thread that crashed has a page that can't be read");
		told |= fault != FAULT_NONE;
		uint64_t next = fault ? (at.v | PAGE_MASK) + 1 : at.v + width;
		if ((fault && !last) || next < at.v)
			break;
		at.v = next;
	}
	if (at.v >= end && (!last || last > most))
		context_note(c, FAULT_LIMIT, at, "crash_stack", "the stack goes on behind %" G_GUINT64_FORMAT " bytes: the rest is left out", limit(crash_stack));
	return true;
}

const struct plugin plugin_crash_stack = {
	.name = "crash_stack",
	.doc = "where the thread that crashed was, and what its kernel stack says of the way there",
	.fills = { &crash_stack },
	.needs = { "drivers" },
	.kinds = DUMP_OF_MACHINE | DUMP_TRIAGE,
	.run = run,
};
