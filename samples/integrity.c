/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs in the kernel without a process of its own: timers, interrupt and segment descriptors, APCs, tracing
 * sessions, minifilters; the service table of 32-bit kernels, and the kernel's table of large pool allocations. Each is
 * there only where the description names it.
 *
 * Sources: the kernels' public symbols for _KTIMER, _KDPC, _KTIMER_TABLE, _KAPC, _WMI_LOGGER_CONTEXT, _ETW_SILODRIVERSTATE
 * and _POOL_TRACKER_BIG_PAGES; those of fltmgr for _FLT_FILTER; Intel's SDM, volume 3, for descriptors.
 */
#include <string.h>
#include "sample.h"

#define X G_GINT64_MODIFIER "x"
#define U G_GUINT64_FORMAT

static uint64_t address(struct sample *s, struct item *item, const char *key, const char *otherwise)
{
	return sample_address(s, item, item_text(item, key, otherwise));
}

/* What an address lies in, and where there, as the truth says it. */
static char *place(const struct sample *s, uint64_t va)
{
	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		if (va - d->base < d->size)
			return g_strdup_printf("%s+0x%" X, d->name, va - d->base);
	}
	return g_strdup_printf("0x%" X, va);
}

static void need(struct item *item, bool there, const char *what)
{
	if (!there)
		item_fail(item, "this build's symbols tell nothing of %s", what);
}

/* ---- timers */

/* KTIMER.Dpc of 64-bit kernels is hidden since Windows 7: what KiWaitAlways and KiWaitNever, drawn at boot, and its own address make of it. */
static uint64_t encode_dpc(const struct sample *s, uint64_t dpc, uint64_t timer)
{
	if (s->width == 4)
		return dpc;
	uint64_t never = random_of(s->seed, "never", 0), always = random_of(s->seed, "always", 0);
	uint64_t value = GUINT64_SWAP_LE_BE(dpc ^ always) ^ timer;
	unsigned turn = never & 63;

	return (turn ? value >> turn | value << (64 - turn) : value) ^ never;
}

static void timers(struct sample *s)
{
	uint64_t table = 0;
	unsigned entry_size = s->layout->ktimer_table_entry.size_;

	EACH_ITEM(s, item, "timer") {
		if (!table) {
			need(item, HAS_FIELD(s, kprcb.TimerTable) && (s->width == 4 || s->layout->symbol.KiWaitNever), "timers");
			if (s->width == 8) {
				SET_GLOBAL(s, KiWaitNever, random_of(s->seed, "never", 0), 8);
				SET_GLOBAL(s, KiWaitAlways, random_of(s->seed, "always", 0), 8);
			}
			table = s->prcb + OFFSET(s, kprcb.TimerTable) + OFFSET(s, ktimer_table.TimerEntries);
			for (unsigned n = 0; n < s->layout->ktimer_table.TimerEntries.size / entry_size; n++)
				list_init(s, ROOT(s), table + n * entry_size + OFFSET(s, ktimer_table_entry.Entry));
		}
		uint64_t due = s->time - s->boot_time + item_number(item, "after", 1) * 10000000;
		uint64_t timer = pool_alloc(s, s->layout->ktimer.size_, "TiMr", false), dpc = 0;
		SET(s, timer + OFFSET(s, ktimer.Header), dispatcher_header.Type, 8);
		list_init(s, ROOT(s), timer + OFFSET(s, ktimer.Header) + OFFSET(s, dispatcher_header.WaitListHead));
		SET(s, timer, ktimer.DueTime, due);
		SET(s, timer, ktimer.Period, item_number(item, "period", 0));
		if (item_has(item, "routine")) {
			dpc = pool_alloc(s, s->layout->kdpc.size_, "TiMr", false);
			SET(s, dpc, kdpc.Type, 19);		/* DpcObject */
			SET(s, dpc, kdpc.DeferredRoutine, address(s, item, "routine", ""));
			SET(s, dpc, kdpc.DeferredContext, item_number(item, "context", 0));
		}
		SET(s, timer, ktimer.Dpc, encode_dpc(s, dpc, timer));
		/* Lists go by bits 18 to 25 of the time at which they are due. */
		list_append(s, ROOT(s), table + (due >> 18 & 255) * entry_size + OFFSET(s, ktimer_table_entry.Entry), timer + OFFSET(s, ktimer.TimerListEntry));
	}
}

static void timer_lines(struct sample *s, GPtrArray *lines)
{
	EACH_ITEM(s, item, "timer") {
		g_autofree char *routine = item_has(item, "routine") ? place(s, address(s, item, "routine", "")) : g_strdup("");
		g_ptr_array_add(lines, g_strdup_printf("timers|%s|%" U "|0x%" X "|%" U, routine, item_number(item, "period", 0),
						       item_number(item, "context", 0), item_number(item, "after", 1)));
	}
}

/* ---- descriptors */

/* The exceptions of the processor that Windows has gates for, and its own software interrupts: those that programs may raise are
 * of ring 3, and those that need a stack of their own have one. */
static const struct { uint8_t vector, ring, stack; } gates[] = {
	{ 0, 0, 0 }, { 1, 0, 4 }, { 2, 0, 3 }, { 3, 3, 0 }, { 4, 3, 0 }, { 5, 0, 0 }, { 6, 0, 0 }, { 7, 0, 0 }, { 8, 0, 1 }, { 9, 0, 0 },
	{ 10, 0, 0 }, { 11, 0, 0 }, { 12, 0, 0 }, { 13, 0, 0 }, { 14, 0, 0 }, { 16, 0, 0 }, { 17, 0, 0 }, { 18, 0, 2 }, { 19, 0, 0 },
	{ 0x1f, 0, 0 }, { 0x29, 3, 0 }, { 0x2c, 3, 0 }, { 0x2d, 3, 0 }, { 0x2f, 0, 0 },
};

/* KGDT64_…: kernel code and data, programs' 32-bit code, data and 64-bit code. */
static const struct { unsigned selector; uint64_t descriptor; } segments[] = {
	{ 0x10, UINT64_C(0x00209b0000000000) }, { 0x18, UINT64_C(0x0040930000000000) }, { 0x20, UINT64_C(0x00cffb000000ffff) },
	{ 0x28, UINT64_C(0x00cff3000000ffff) }, { 0x30, UINT64_C(0x0020fb0000000000) }, { 0x50, UINT64_C(0x0040f30000003c00) },
};

#define TSS_SELECTOR 0x40u
#define TSS_SIZE 0x68u

/* KGDT_…: flat code and data of ring 0, and the task's state. */
static const struct { unsigned selector; uint64_t descriptor; } segments32[] = {
	{ 0x08, UINT64_C(0x00cf9b000000ffff) }, { 0x10, UINT64_C(0x00cf93000000ffff) }, { 0x28, UINT64_C(0x80008b04200020ab) },
};

/* A double fault changes to a task of its own. */
#define DOUBLE_FAULT 8u
#define TASK_GATE UINT64_C(0x0000850000500000)

static uint64_t default_handler(const struct sample *s, unsigned vector)
{
	return s->kernel_base + s->kernel->entry_point + 16 * vector;
}

/* Of 8 bytes on x86, of 16 on x64. */
static void put_gate(struct sample *s, uint64_t table, unsigned vector, uint64_t handler, unsigned ring, unsigned stack)
{
	uint64_t at = table + 2 * s->width * vector;

	if (s->width == 4) {
		memory_put(s->memory, ROOT(s), at, (handler & 0xffff) | UINT64_C(8) << 16 | (UINT64_C(0x8e) | ring << 5) << 40 | (handler >> 16) << 48, 8);
		return;
	}
	memory_put(s->memory, ROOT(s), at, handler & 0xffff, 2);
	memory_put(s->memory, ROOT(s), at + 2, 0x10, 2);
	memory_put(s->memory, ROOT(s), at + 4, stack | (0x8e | ring << 5) << 8, 2);
	memory_put(s->memory, ROOT(s), at + 6, handler >> 16, 6);
}

static void put_segments(struct sample *s, uint64_t gdt, uint64_t tss)
{
	for (size_t i = 0; s->width == 4 && i < G_N_ELEMENTS(segments32); i++)
		memory_put(s->memory, ROOT(s), gdt + segments32[i].selector, segments32[i].descriptor, 8);
	if (s->width == 4)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(segments); i++)
		memory_put(s->memory, ROOT(s), gdt + segments[i].selector, segments[i].descriptor, 8);
	/* A busy task state segment: 16 bytes. */
	memory_put(s->memory, ROOT(s), gdt + TSS_SELECTOR, (TSS_SIZE - 1) | (tss & 0xffffff) << 16 | UINT64_C(0x8b) << 40 | (tss >> 24 & 0xff) << 56, 8);
	memory_put(s->memory, ROOT(s), gdt + TSS_SELECTOR + 8, tss >> 32, 8);
	s->tss = tss;
}

/* A KDESCRIPTOR ends with limit and base. */
static void put_register(struct sample *s, unsigned offset, uint64_t base, unsigned limit)
{
	uint64_t at = s->prcb + OFFSET(s, kprcb.ProcessorState) + OFFSET(s, kprocessor_state.SpecialRegisters) + offset;

	memory_put(s->memory, ROOT(s), at + s->width - 2, limit, 2);
	memory_put(s->memory, ROOT(s), at + s->width, base, s->width);
}

static void descriptors(struct sample *s)
{
	struct item *item = description_item(s->description, "descriptors");
	struct field block = s->layout->kpcr.PrcbData.size ? s->layout->kpcr.PrcbData : s->layout->kpcr.Prcb;

	if (!item)
		return;
	need(item, s->width == 4 ? HAS_FIELD(s, kpcr.IDT) : HAS_FIELD(s, kpcr.IdtBase), "descriptor tables");
	uint64_t pcr = s->prcb - (s->width == 4 ? 0x120 : block.offset), tables = kernel_pages(s, 3), gdt = tables + PAGE_SIZE;
	for (size_t i = 0; i < G_N_ELEMENTS(gates); i++)
		put_gate(s, tables, gates[i].vector, default_handler(s, gates[i].vector), gates[i].ring, gates[i].stack);
	if (s->width == 4)
		memory_put(s->memory, ROOT(s), tables + 8 * DOUBLE_FAULT, TASK_GATE, 8);
	EACH_ITEM(s, gate, "interrupt")
		put_gate(s, tables, (unsigned)item_number(gate, "vector", 0) & 255, address(s, gate, "handler", ""), (unsigned)item_number(gate, "ring", 0) & 3,
			 (unsigned)item_number(gate, "stack", 0) & 7);
	put_segments(s, gdt, tables + 2 * PAGE_SIZE);
	if (s->width == 4) {
		SET(s, pcr, kpcr.IDT, tables);
		SET(s, pcr, kpcr.GDT, gdt);
	} else {
		SET(s, pcr, kpcr.IdtBase, tables);
		SET(s, pcr, kpcr.GdtBase, gdt);
	}
	put_register(s, OFFSET(s, kspecial_registers.Idtr), tables, 256 * 2 * s->width - 1);
	put_register(s, OFFSET(s, kspecial_registers.Gdtr), gdt, s->width == 4 ? 0x3ff : 0x57);
}

static void gate_line(const struct sample *s, GPtrArray *lines, unsigned vector, uint64_t handler, unsigned ring, unsigned stack)
{
	g_autofree char *text = place(s, handler);

	if (s->width == 8)
		g_ptr_array_add(lines, g_strdup_printf("idt|%u|%s|%u|%u", vector, text, ring, stack));
	else	/* no stacks by number, and no address in a task's gate */
		g_ptr_array_add(lines, g_strdup_printf("idt|%u|%s|%u|", vector, vector == DOUBLE_FAULT ? "" : text, ring));
}

static void descriptor_lines(struct sample *s, GPtrArray *lines)
{
	bool set[256] = { false };

	if (!description_item(s->description, "descriptors"))
		return;
	EACH_ITEM(s, gate, "interrupt") {
		unsigned vector = (unsigned)item_number(gate, "vector", 0) & 255;
		set[vector] = true;
		gate_line(s, lines, vector, address(s, gate, "handler", ""), (unsigned)item_number(gate, "ring", 0), (unsigned)item_number(gate, "stack", 0));
	}
	for (size_t i = 0; i < G_N_ELEMENTS(gates); i++)
		if (!set[gates[i].vector])
			gate_line(s, lines, gates[i].vector, default_handler(s, gates[i].vector), gates[i].ring, gates[i].stack);
	/* selector, base, last byte, type, system, ring, 64-bit code: as the manual reads the words above. */
	static const char *const plain[] = {
		"gdt|16|0x0|0|11|0|0|1", "gdt|24|0x0|0|3|0|0|0", "gdt|32|0x0|4294967295|11|0|3|0", "gdt|40|0x0|4294967295|3|0|3|0",
		"gdt|48|0x0|0|11|0|3|1", "gdt|80|0x0|15360|3|0|3|0",
	};
	static const char *const plain32[] = { "gdt|8|0x0|4294967295|11|0|0|0", "gdt|16|0x0|4294967295|3|0|0|0", "gdt|40|0x80042000|8363|11|1|0|0" };
	for (size_t i = 0; s->width == 4 && i < G_N_ELEMENTS(plain32); i++)
		g_ptr_array_add(lines, g_strdup(plain32[i]));
	if (s->width == 4)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(plain); i++)
		g_ptr_array_add(lines, g_strdup(plain[i]));
	g_ptr_array_add(lines, g_strdup_printf("gdt|64|0x%" X "|%u|11|1|0|0", s->tss, TSS_SIZE - 1));
}

/* ---- APCs */

static void apcs(struct sample *s, struct sample_process *p)
{
	for (guint i = 0; p->item && i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		uint64_t tid = item_is(item, "apc") ? item_number(item, "tid", 0) : 0, thread = 0;
		bool user = item_is(item, "apc") && !strcmp(item_text(item, "mode", "user"), "user");
		if (!item_is(item, "apc"))
			continue;
		for (guint t = 0; t < p->threads->len; t++)
			if (g_array_index(p->threads, struct sample_thread, t).tid == tid)
				thread = g_array_index(p->threads, struct sample_thread, t).ethread;
		if (!thread)
			item_fail(item, "tid: the process has no such thread");
		uint64_t at = pool_alloc(s, s->layout->kapc.size_, "kapc", false);
		SET(s, at, kapc.Type, 18);		/* ApcObject */
		SET(s, at, kapc.Thread, thread);
		SET(s, at, kapc.KernelRoutine, address(s, item, "kernel", "ntoskrnl.exe+0x101080"));
		uint64_t normal = process_address(s, p, item, item_text(item, "normal", "0x0"));
		SET(s, at, kapc.NormalRoutine, user && p->wow64 && !(normal >> 32) ? (0 - normal) << 2 : normal);	/* Wow64EncodeApcRoutine */
		SET(s, at, kapc.NormalContext, process_address(s, p, item, item_text(item, "context", "0x0")));
		SET(s, at, kapc.ApcMode, user);
		SET(s, at, kapc.Inserted, 1);
		list_append(s, ROOT(s), thread + OFFSET(s, kthread.ApcState) + OFFSET(s, kapc_state.ApcListHead) + 2 * s->width * user,
			    at + OFFSET(s, kapc.ApcListEntry));
	}
}

static void apc_lines(struct sample *s, const struct sample_process *p, GPtrArray *lines)
{
	for (guint i = 0; p->item && i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		if (!item_is(item, "apc"))
			continue;
		g_autofree char *kernel = place(s, address(s, item, "kernel", "ntoskrnl.exe+0x101080"));
		g_ptr_array_add(lines, g_strdup_printf("apcs|%" U "|%" U "|%s|%s|0x%" X "|0x%" X, p->pid, item_number(item, "tid", 0),
						       item_text(item, "mode", "user"), kernel, process_address(s, p, item, item_text(item, "normal", "0x0")),
						       process_address(s, p, item, item_text(item, "context", "0x0"))));
	}
}

/* ---- tracing sessions */

#define LOGGERS 64u

/* Where the pointers to sessions are: a global before Windows 10, then in what EtwpHostSiloState leads to, itself or by another pointer. */
static uint64_t loggers(struct sample *s, struct item *item)
{
	if (!s->layout->symbol.EtwpHostSiloState) {
		need(item, s->layout->symbol.WmipLoggerContext, "tracing sessions");
		(void)kernel_global(s, s->layout->symbol.WmipLoggerContext + LOGGERS * s->width);	/* it may reach into a second page */
		return GLOBAL(s, WmipLoggerContext);
	}
	uint64_t state = pool_alloc(s, MAX(s->layout->etw_silodriverstate.size_, 0x1000), "EtwS", false);
	POINT_GLOBAL(s, EtwpHostSiloState, state);
	SET(s, state, etw_silodriverstate.MaxLoggers, LOGGERS);
	if (HAS_FIELD(s, etw_silodriverstate.WmipLoggerContext))
		return state + OFFSET(s, etw_silodriverstate.WmipLoggerContext);
	need(item, HAS_FIELD(s, etw_silodriverstate.EtwpLoggerContext), "tracing sessions");
	uint64_t array = pool_alloc(s, LOGGERS * s->width, "EtwL", false);
	SET(s, state, etw_silodriverstate.EtwpLoggerContext, array);
	return array;
}

static void sessions(struct sample *s)
{
	uint64_t array = 0;

	EACH_ITEM(s, item, "etw") {
		if (!array) {
			array = loggers(s, item);
			for (unsigned i = 0; i < LOGGERS; i++)	/* free */
				memory_put(s->memory, ROOT(s), array + s->width * i, 1, s->width);
		}
		uint64_t id = item_number(item, "id", 2), at = pool_alloc(s, s->layout->wmi_logger_context.size_, "EtwC", false);
		if (id >= LOGGERS)
			item_fail(item, "id: less than %u", LOGGERS);
		SET(s, at, wmi_logger_context.LoggerId, id);
		SET(s, at, wmi_logger_context.BufferSize, item_number(item, "buffer", 0x10000));
		SET(s, at, wmi_logger_context.LoggerMode, item_number(item, "mode", 0x100));
		SET(s, at, wmi_logger_context.AcceptNewEvents, !item_flag(item, "stopped"));
		SET(s, at, wmi_logger_context.LoggerThread, s->current_thread);
		SET(s, at, wmi_logger_context.StartTime, item_time(item, "start", s->boot_time));
		put_string(s, at + OFFSET(s, wmi_logger_context.LoggerName), item_required(item, "name"));
		if (item_has(item, "file"))
			put_string(s, at + OFFSET(s, wmi_logger_context.LogFileName), item_text(item, "file", ""));
		memory_put(s->memory, ROOT(s), array + s->width * id, at, s->width);
	}
}

static void session_lines(struct sample *s, GPtrArray *lines)
{
	EACH_ITEM(s, item, "etw")
		g_ptr_array_add(lines, g_strdup_printf("etw_sessions|%" U "|%s|%s|%" U "|%" U "|%d", item_number(item, "id", 2), item_text(item, "name", ""),
						       item_text(item, "file", ""), item_number(item, "mode", 0x100),
						       item_number(item, "buffer", 0x10000), !item_flag(item, "stopped")));
}

/* ---- minifilters */

/* _FLT_FILTER of fltmgr's symbols for 64-bit Windows 10 and later. On 32 bits all but its flags is half as wide. */
enum {
	FILTER_FRAME = 0x30, FILTER_NAME = 0x38, FILTER_ALTITUDE = 0x48, FILTER_FLAGS = 0x58, FILTER_DRIVER = 0x60, FILTER_OPERATIONS = 0x1a8,
	FILTER_SIZE = 0x2b0,
};

static uint64_t driver_object_of(struct sample *s, struct item *item)
{
	const char *name = item_required(item, "driver");

	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		if (!g_ascii_strcasecmp(d->name, name) && d->object)
			return d->object;
	}
	item_fail(item, "driver: \"%s\" is none, or has no object", name);
}

/* MAJOR:PRE:POST of each; PRE and POST may be left empty. */
static GPtrArray *operations(struct item *item)
{
	g_auto(GStrv) list = g_strsplit(item_text(item, "operations", ""), ",", -1);
	GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);

	for (unsigned i = 0; list[i] && *list[i]; i++) {
		char **parts = g_strsplit(list[i], ":", 3);
		if (g_strv_length(parts) != 3)
			item_fail(item, "operations: MAJOR:PRE:POST,…");
		g_ptr_array_add(out, parts);
	}
	return out;
}

static uint64_t function_of(struct sample *s, struct item *item, const char *where)
{
	return *where ? sample_address(s, item, where) : 0;
}

static void minifilters(struct sample *s)
{
	EACH_ITEM(s, item, "minifilter") {
		g_autoptr(GPtrArray) list = operations(item);
		if (s->build < 10240)
			item_fail(item, "minifilters: of Windows 10 and later");
		const unsigned w = s->width, operation_size = 8 + 3 * w, half = 8 / w;
		/* The registration is copied behind the filter. */
		uint64_t at = pool_alloc(s, FILTER_SIZE / half + (list->len + 1) * operation_size, "FMfl", false), operation = at + FILTER_SIZE / half;
		memory_put(s->memory, ROOT(s), at, 0x2000000, 4);
		memory_put(s->memory, ROOT(s), at + 4, 1, 4);
		list_init(s, ROOT(s), at + 0x10 / half);
		memory_put(s->memory, ROOT(s), at + FILTER_FRAME / half, s->volume, w);
		put_string(s, at + FILTER_NAME / half, item_required(item, "name"));
		put_string(s, at + FILTER_ALTITUDE / half, item_required(item, "altitude"));
		memory_put(s->memory, ROOT(s), at + FILTER_FLAGS / half, 2, 4);
		memory_put(s->memory, ROOT(s), at + FILTER_DRIVER / half, driver_object_of(s, item), w);
		memory_put(s->memory, ROOT(s), at + FILTER_OPERATIONS / half, operation, w);
		for (guint i = 0; i < list->len; i++, operation += operation_size) {
			char **parts = list->pdata[i];
			memory_put(s->memory, ROOT(s), operation, g_ascii_strtoull(parts[0], NULL, 0), 1);
			memory_put(s->memory, ROOT(s), operation + 8, function_of(s, item, parts[1]), w);
			memory_put(s->memory, ROOT(s), operation + 8 + w, function_of(s, item, parts[2]), w);
		}
		memory_put(s->memory, ROOT(s), operation, 0x80, 1);	/* IRP_MJ_OPERATION_END */
	}
}

static void minifilter_lines(struct sample *s, GPtrArray *lines)
{
	EACH_ITEM(s, item, "minifilter") {
		g_autoptr(GPtrArray) list = operations(item);
		const char *driver = item_text(item, "driver", ""), *name = item_text(item, "name", "");
		g_ptr_array_add(lines, g_strdup_printf("minifilters|%s|%s|\\Driver\\%.*s|%s", name, item_text(item, "altitude", ""),
						       (int)strcspn(driver, "."), driver, driver));
		for (guint i = 0; i < list->len; i++) {
			char **parts = list->pdata[i];
			uint64_t functions[2] = { function_of(s, item, parts[1]), function_of(s, item, parts[2]) };
			g_autofree char *pre = functions[0] ? place(s, functions[0]) : g_strdup(""), *post = functions[1] ? place(s, functions[1]) : g_strdup("");
			g_ptr_array_add(lines, g_strdup_printf("minifilter_operations|%s|%s|%s|%s", name, parts[0], pre, post));
		}
	}
}

/* ---- large pool allocations */

static void big_pool(struct sample *s)
{
	const unsigned size = s->layout->pool_tracker_big_pages.size_;
	unsigned slots = 64;

	if (!item_flag(s->machine, "big-pool"))
		return;
	need(s->machine, s->layout->symbol.PoolBigPageTable && size, "large pool allocations");
	EACH_ITEM(s, item, "pool") {
		uint64_t bytes = item_number(item, "size", 0x2000);
		uint64_t at = pool_alloc(s, bytes, item_required(item, "tag"), item_flag(item, "paged"));
		struct sample_block *block = &g_array_index(s->big, struct sample_block, s->big->len - 1);
		if (block->va != at)
			item_fail(item, "size: more than a page");
		block->freed = item_flag(item, "freed");
		if (item_has(item, "hex")) {
			g_autoptr(GByteArray) content = parse_hex(item, item_text(item, "hex", ""));
			if (content->len > block->size)
				item_fail(item, "hex: more than the block has");
			memory_write(s->memory, ROOT(s), at, content->data, content->len);
		}
		for (uint64_t n = 0; item_flag(item, "executable") && n < block->size; n += PAGE_SIZE)
			memory_map(s->memory, ROOT(s), at + n, memory_pte(s->memory, ROOT(s), at + n) & ~PTE_NX);
	}
	while (slots < 2 * s->big->len)		/* it doubles when it is half full */
		slots *= 2;
	uint64_t table = kernel_pages(s, (slots * size + PAGE_MASK) / PAGE_SIZE);
	for (guint i = 0; i < s->big->len; i++) {
		const struct sample_block *b = &g_array_index(s->big, struct sample_block, i);
		unsigned slot = (unsigned)(b->va >> 12 ^ b->va >> 27) % slots;
		while (GET(s, table + slot * size, pool_tracker_big_pages.Va))
			slot = (slot + 1) % slots;
		uint64_t at = table + slot * size;
		uint32_t key;
		memcpy(&key, b->tag, 4);
		SET(s, at, pool_tracker_big_pages.Va, b->va | b->freed);
		SET(s, at, pool_tracker_big_pages.Key, GUINT32_FROM_LE(key));
		SET(s, at, pool_tracker_big_pages.NumberOfBytes, b->size);
		SET(s, at, pool_tracker_big_pages.NumberOfPages, b->size / PAGE_SIZE);	/* the same, until Vista */
		SET(s, at, pool_tracker_big_pages.PoolType, b->paged);
	}
	POINT_GLOBAL(s, PoolBigPageTable, table);
	SET_GLOBAL(s, PoolBigPageTableSize, slots, s->width);
}

static void big_pool_lines(struct sample *s, GPtrArray *lines)
{
	for (guint i = 0; item_flag(s->machine, "big-pool") && i < s->big->len; i++) {
		const struct sample_block *b = &g_array_index(s->big, struct sample_block, i);
		g_autofree char *type = HAS_FIELD(s, pool_tracker_big_pages.PoolType) ? g_strdup_printf("%d", b->paged) : g_strdup("");
		g_ptr_array_add(lines, g_strdup_printf("big_pool|0x%" X "|%" U "|%.4s|%s|%d", b->va, b->size, b->tag, type, b->freed));
	}
}

/* ---- system services of 32-bit kernels */

/* More than ntdll has stubs for: a table of fewer would be taken for none. */
#define SERVICES 0xa0u

static bool services_wanted(const struct sample *s)
{
	return item_flag(description_item(s->description, "kernel"), "services");
}

/* Each entry is a routine's address; those that ntdll has a stub for are the kernel's exports. */
static void services(struct sample *s)
{
	const uint64_t table = s->layout->symbol.KiServiceTable, descriptor = s->layout->symbol.KeServiceDescriptorTable;
	bool known = true;

	if (!services_wanted(s))
		return;
	need(description_item(s->description, "kernel"), s->width == 4, "a table to be made: it is there anyway");
	for (unsigned i = 0; i < SERVICES; i++) {
		known = known && i && ntdll_exports[i - 1];
		uint32_t exported = known ? executable_export(s->kernel, ntdll_exports[i - 1]) : 0;
		kernel_set(s, table + 4 * i, s->kernel_base + (exported ? exported : s->kernel->entry_point + 16 * i + 4), 4);
		known |= !i;
	}
	kernel_set(s, s->layout->symbol.KiServiceLimit, SERVICES, 4);
	kernel_set(s, descriptor, s->kernel_base + table, 4);
	kernel_set(s, descriptor + 4, 0, 4);
	kernel_set(s, descriptor + 8, SERVICES, 4);
	kernel_set(s, descriptor + 12, s->kernel_base + table + 4 * SERVICES, 4);
}

/* Families whose kernels nobody has lack the globals for it. */
void integrity_place(struct sample *s)
{
	static const char *const names[] = { "KeServiceDescriptorTable", "KiServiceTable", "KiServiceLimit" };
	uint64_t rva = 0x124000;

	for (size_t i = 0; s->of_family && services_wanted(s) && i < G_N_ELEMENTS(names); i++, rva += 0x800)
		layout_set_symbol(s->layout, names[i], rva);
	if (s->of_family && item_flag(s->machine, "big-pool")) {
		layout_set_symbol(s->layout, "PoolBigPageTable", rva);
		layout_set_symbol(s->layout, "PoolBigPageTableSize", rva + s->width);
	}
}

void integrity_init(struct sample *s)
{
	services(s);
	timers(s);
	descriptors(s);
	for (guint i = 0; i < s->processes->len; i++)
		apcs(s, s->processes->pdata[i]);
	sessions(s);
	minifilters(s);
	big_pool(s);
}

void integrity_lines(struct sample *s, GPtrArray *lines)
{
	timer_lines(s, lines);
	descriptor_lines(s, lines);
	for (guint i = 0; i < s->processes->len; i++)
		apc_lines(s, s->processes->pdata[i], lines);
	session_lines(s, lines);
	minifilter_lines(s, lines);
	big_pool_lines(s, lines);
}
