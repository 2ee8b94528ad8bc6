/* SPDX-License-Identifier: Apache-2.0 */
#include "processor.h"
#include "limit.h"

/* MAXIMUM_PROCESSORS of the largest Windows, ntddk.h. */
#define MAX_PROCESSORS limit32(processors)
#define WINDOWS_7 7600u

GArray *processors_list(struct context *c, const char *table)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct processor));
	va_t blocks = kernel_symbol(c->kernel, KiProcessorBlock), number = kernel_symbol(c->kernel, KeNumberProcessors);
	/* 32-bit kernels have the pointer under the name that the block itself has elsewhere. */
	const struct layout *l = c->kernel->layout;
	struct field prcb = l->kpcr.PrcbData.size ? l->kpcr.PrcbData : l->kpcr.Prcb;
	uint32_t count = 0, known;

	if (!blocks.v || !prcb.size) {
		if (table)
			context_note(c, FAULT_NO_FIELD, c->kernel->base, table, "where the processors' blocks are is not known");
		return out;
	}
	if (!number.v || space_read(c->space, number, &count, sizeof(count), NULL))
		count = 0;
	if (c->kernel->build < WINDOWS_7)	/* a CCHAR by ntddk.h: what follows is another's */
		count &= 0xff;
	if (count > MAX_PROCESSORS)
		count = 0;
	known = MAX(count, 1);	/* there is one at least */
	count = count ? count : MAX_PROCESSORS;		/* the array ends with its first hole then */
	for (unsigned i = 0; i < count; i++) {
		struct processor p = { i, { 0 }, { 0 } };
		va_t at = { blocks.v + i * space_pointer_size(c->space) };
		enum fault fault = read_pointer(c->space, at, &p.prcb.v);
		if (fault && table)
			context_note(c, fault, at, table, "the block of processor %u can't be read", i);
		else if (table && i < known && !space_is_kernel(c->space, p.prcb))
			context_note(c, FAULT_IMPLAUSIBLE, at, table, "what should lead to the block of processor %u is no kernel address", i);
		if (fault || !space_is_kernel(c->space, p.prcb))
			break;
		p.pcr.v = p.prcb.v - prcb.offset;
		g_array_append_val(out, p);
	}
	return out;
}

va_t processor_thread(struct context *c, uint64_t stack_pointer, const char *table)
{
	g_autoptr(GArray) processors = processors_list(c, table);

	for (guint i = 0; i < processors->len; i++) {
		uint64_t thread = 0, base = 0, limit = 0;
		struct object prcb = object_at(c->space, g_array_index(processors, struct processor, i).prcb.v);
		if (READ(prcb, kprcb.CurrentThread, &thread))
			continue;
		struct object tcb = object_at(c->space, thread);
		if (!READ(tcb, kthread.StackBase, &base) && !READ(tcb, kthread.StackLimit, &limit) && limit <= stack_pointer && stack_pointer < base)
			return (va_t){ thread };
	}
	return (va_t){ 0 };
}

uint64_t timer_decode_dpc(uint64_t raw, va_t timer, uint64_t wait_never, uint64_t wait_always)
{
	unsigned turn = wait_never & 63;
	uint64_t value = raw ^ wait_never;

	value = turn ? value << turn | value >> (64 - turn) : value;
	return GUINT64_SWAP_LE_BE(value ^ (timer.v | UINT64_C(0xffff000000000000))) ^ wait_always;
}
