/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of the kernel that no process needs, made where a description has `kernel tables`: system services (of families whose
 * kernels nobody has; others have them anyway), interrupt and segment descriptors of the processor, its timers, large allocations.
 */
#include <string.h>
#include "sample.h"

/* More than ntdll has stubs for: a table of fewer would be taken for none. */
#define SERVICES 0xa0u
#define BIG_ENTRIES 64u
#define KERNEL_CODE 8u		/* KGDT_R0_CODE, and 0x10 on x64 */

bool tables_wanted(const struct sample *s)
{
	return item_flag(description_item(s->description, "kernel"), "tables");
}

/* Before the kernel's image is made: it is as large as its globals ask for. */
void tables_place(struct sample *s)
{
	static const char *const names[] = { "KeServiceDescriptorTable", "KiServiceTable", "PoolBigPageTable", "KiServiceLimit" };
	uint64_t rva = 0x124000;

	if (!s->of_family || !tables_wanted(s))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++, rva += 0x800)
		layout_set_symbol(s->layout, names[i], rva);
	layout_set_symbol(s->layout, "PoolBigPageTableSize", s->layout->symbol.PoolBigPageTable + s->width);
}

/* Each entry is a routine's address; those that ntdll has a stub for are the kernel's exports. */
static void services_32(struct sample *s)
{
	const uint64_t table = s->layout->symbol.KiServiceTable, descriptor = s->layout->symbol.KeServiceDescriptorTable;
	bool known = true;

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

/* One gate: of 8 bytes on x86, of 16 on x64 (Intel SDM volume 3, 6.11 and 6.14.1). */
static void put_gate(struct sample *s, uint64_t table, unsigned vector, uint64_t handler, unsigned type)
{
	unsigned size = s->width == 4 ? 8 : 16;
	uint64_t at = table + vector * size;

	memory_put(s->memory, ROOT(s), at, handler & 0xffff, 2);
	memory_put(s->memory, ROOT(s), at + 2, s->width == 4 ? KERNEL_CODE : 2 * KERNEL_CODE, 2);
	memory_put(s->memory, ROOT(s), at + 5, 0x80 | type, 1);
	memory_put(s->memory, ROOT(s), at + 6, handler >> 16 & 0xffff, 2);
	if (size == 16)
		memory_put(s->memory, ROOT(s), at + 8, handler >> 32, 4);
}

static void descriptors(struct sample *s)
{
	uint64_t gates = kernel_pages(s, 1), segments = kernel_pages(s, 1);
	struct field block = s->layout->kpcr.PrcbData.size ? s->layout->kpcr.PrcbData : s->layout->kpcr.Prcb;
	uint64_t pcr = s->prcb - (s->width == 4 ? 0x120 : block.offset);

	for (unsigned vector = 0; vector < 0x30; vector++)
		put_gate(s, gates, vector, s->kernel_base + s->kernel->entry_point + 32 * vector, vector == 3 || vector == 4 ? 0x6e : 0xe);
	if (s->width == 4)	/* a double fault changes to a task of its own */
		put_gate(s, gates, 8, 0, 5);
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (item_is(item, "gate"))
			put_gate(s, gates, (unsigned)item_number(item, "vector", 0), sample_function(s, item), 0xe);
	}
	/* Flat code and data of ring 0; on x86 the task's state behind them. */
	memory_put(s->memory, ROOT(s), segments + (s->width == 4 ? 8 : 0x10), s->width == 4 ? UINT64_C(0x00cf9b000000ffff) : UINT64_C(0x00209b0000000000), 8);
	memory_put(s->memory, ROOT(s), segments + (s->width == 4 ? 0x10 : 0x18), UINT64_C(0x00cf93000000ffff), 8);
	if (s->width == 4) {
		memory_put(s->memory, ROOT(s), segments + 0x28, UINT64_C(0x80008b04200020ab), 8);
		SET(s, pcr, kpcr.IDT, gates);
		SET(s, pcr, kpcr.GDT, segments);
	} else {
		SET(s, pcr, kpcr.IdtBase, gates);
		SET(s, pcr, kpcr.GdtBase, segments);
	}
}

/* 64-bit kernels keep a timer's DPC in a form that its address and two numbers of the machine undo. */
static uint64_t encode_dpc(struct sample *s, uint64_t dpc, uint64_t timer)
{
	uint64_t never = random_of(s->seed, "KiWaitNever", 0), always = random_of(s->seed, "KiWaitAlways", 0), value;
	unsigned turn = never & 63;

	if (s->width == 4 || !s->layout->symbol.KiWaitNever || !s->layout->symbol.KiWaitAlways)
		return dpc;
	SET_GLOBAL(s, KiWaitNever, never, 8);
	SET_GLOBAL(s, KiWaitAlways, always, 8);
	value = GUINT64_SWAP_LE_BE(dpc ^ always) ^ (timer | UINT64_C(0xffff000000000000));
	return (turn ? value >> turn | value << (64 - turn) : value) ^ never;
}

/* `timer function= period= due=SECONDS`: in the processor's table, since Windows 7. */
static void timers(struct sample *s)
{
	const struct layout *l = s->layout;
	unsigned lists = l->ktimer_table_entry.size_ ? l->ktimer_table.TimerEntries.size / l->ktimer_table_entry.size_ : 0, n = 0;
	uint64_t entries = s->prcb + l->kprcb.TimerTable.offset + l->ktimer_table.TimerEntries.offset;

	if (!lists || !l->kprcb.TimerTable.size)
		return;
	for (unsigned i = 0; i < lists; i++)
		list_init(s, ROOT(s), entries + i * l->ktimer_table_entry.size_ + l->ktimer_table_entry.Entry.offset);
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (!item_is(item, "timer"))
			continue;
		uint64_t timer = pool_alloc(s, l->ktimer.size_, "Time", false), dpc = pool_alloc(s, l->kdpc.size_, "Time", false);
		uint64_t list = entries + n++ * 7 % lists * l->ktimer_table_entry.size_ + l->ktimer_table_entry.Entry.offset;
		SET(s, timer, dispatcher_header.Type, 8);
		SET(s, timer, ktimer.DueTime, s->time - s->boot_time + item_number(item, "due", 1) * 10000000);
		SET(s, timer, ktimer.Period, item_number(item, "period", 0));
		SET(s, timer, ktimer.Dpc, encode_dpc(s, dpc, timer));
		SET(s, dpc, kdpc.Type, 0x13);
		SET(s, dpc, kdpc.DeferredRoutine, sample_function(s, item));
		SET(s, dpc, kdpc.DeferredContext, timer);
		list_append(s, ROOT(s), list, timer + OFFSET(s, ktimer.TimerListEntry));
	}
}

/* `big tag= pages=`: an allocation of whole pages, in the table of them. */
static void big_allocations(struct sample *s)
{
	const struct layout *l = s->layout;
	const unsigned size = l->pool_tracker_big_pages.size_;
	uint64_t table;
	unsigned n = 0;

	if (!size || !l->symbol.PoolBigPageTable)
		return;
	table = kernel_pages(s, (BIG_ENTRIES * size + PAGE_MASK) / PAGE_SIZE);
	for (guint i = 0; i < s->description->items->len && n < BIG_ENTRIES; i++) {
		struct item *item = s->description->items->pdata[i];
		if (!item_is(item, "big"))
			continue;
		const char *tag = item_required(item, "tag");
		unsigned pages = (unsigned)item_number(item, "pages", 1);
		uint64_t at = table + n++ * size;
		uint32_t key = 0;
		memcpy(&key, tag, MIN(strlen(tag), 4));
		SET(s, at, pool_tracker_big_pages.Va, kernel_pages(s, pages) | item_flag(item, "freed"));
		SET(s, at, pool_tracker_big_pages.Key, key);
		SET(s, at, pool_tracker_big_pages.NumberOfBytes, pages * PAGE_SIZE);
		SET(s, at, pool_tracker_big_pages.NumberOfPages, pages);
	}
	POINT_GLOBAL(s, PoolBigPageTable, table);
	kernel_set(s, l->symbol.PoolBigPageTableSize, BIG_ENTRIES, s->width);
}

void tables_init(struct sample *s)
{
	if (!tables_wanted(s))
		return;
	if (s->width == 4)
		services_32(s);
	if (s->memory->paging != PAGING_ARM64) {
		descriptors(s);
		timers(s);
	}
	big_allocations(s);
}
