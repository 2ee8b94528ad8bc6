/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A triage ("small") dump: TRIAGE_DUMP64 behind the header names what was copied of
 * the crash: the current process, thread and processor, the debugger's data, the drivers
 * and some pages of the kernel's virtual memory.
 */
#include "crash_writers.h"
#include <string.h>

enum {
	SERVICE_PACK = 0x00, SIZE = 0x04, VALID = 0x08, CONTEXT = 0x0c, EXCEPTION = 0x10, UNLOADED = 0x18, PRCB = 0x1c, PROCESS = 0x20,
	THREAD = 0x24, CALL_STACK = 0x28, CALL_STACK_SIZE = 0x2c, DRIVERS = 0x30, DRIVER_COUNT = 0x34, STRINGS = 0x38,
	STRINGS_SIZE = 0x3c, TOP_OF_STACK = 0x48, DEBUGGER_DATA = 0x70, DEBUGGER_DATA_SIZE = 0x74, BLOCKS = 0x78, BLOCK_COUNT = 0x7c,
	TRIAGE_SIZE = 0x80,
};

#define DRIVER_ENTRY 0x90u	/* an offset of the name, then a KLDR_DATA_TABLE_ENTRY */

static uint32_t add(GByteArray *dump, const void *bytes, size_t length)
{
	static const uint8_t zeros[16];
	guint at = dump->len;

	g_byte_array_append(dump, bytes, (guint)length);
	g_byte_array_append(dump, zeros, (16 - dump->len % 16) % 16);
	return at;
}

static uint32_t add_memory(struct sample *s, GByteArray *dump, uint64_t va, size_t length)
{
	g_autofree uint8_t *bytes = g_malloc(length);

	memory_read(s->memory, ROOT(s), va, bytes, length);
	return add(dump, bytes, length);
}

static void set(GByteArray *dump, unsigned field, uint64_t value, unsigned width)
{
	put_le(dump->data + CRASH_HEADER_SIZE + field, value, width);
}

static void add_drivers(struct sample *s, GByteArray *dump)
{
	g_autofree uint8_t *list = g_malloc0((size_t)s->drivers->len * DRIVER_ENTRY);
	g_autoptr(GByteArray) strings = g_byte_array_new();
	guint list_at = dump->len, strings_at = list_at + s->drivers->len * DRIVER_ENTRY;

	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		const struct executable *x = d->executable ? d->executable : s->kernel;
		uint8_t *entry = list + (size_t)i * DRIVER_ENTRY, count[4];
		size_t bytes;
		g_autofree uint16_t *wide = utf16(d->name, &bytes);
		put_le(entry, strings_at + strings->len, 4);
		put_le(entry + 8 + 0x30, d->base, 8);
		put_le(entry + 8 + 0x38, d->base + x->entry_point, 8);
		put_le(entry + 8 + 0x40, d->size, 4);
		put_le(entry + 8 + 0x78, x->checksum, 4);
		put_le(entry + 8 + 0x80, x->timestamp, 4);
		put_le(count, bytes / 2 - 1, 4);
		g_byte_array_append(strings, count, 4);
		g_byte_array_append(strings, (const uint8_t *)wide, (guint)bytes);
		while (strings->len % 8)
			g_byte_array_append(strings, (const uint8_t *)"", 1);
	}
	set(dump, DRIVERS, list_at, 4);
	set(dump, DRIVER_COUNT, s->drivers->len, 4);
	set(dump, STRINGS, strings_at, 4);
	set(dump, STRINGS_SIZE, strings->len, 4);
	g_byte_array_append(dump, list, s->drivers->len * DRIVER_ENTRY);
	add(dump, strings->data, strings->len);
}

/* A count, then { UNICODE_STRING, WCHAR[12], start, end }. */
static void add_unloaded(struct sample *s, GByteArray *dump)
{
	g_autoptr(GByteArray) list = g_byte_array_new();
	uint8_t count[8] = { 0 };
	unsigned n = 0;

	g_byte_array_append(list, count, 8);
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		uint8_t entry[0x38] = { 0 };
		size_t bytes;
		if (!item_is(item, "unloaded"))
			continue;
		g_autofree uint16_t *wide = utf16(item_required(item, "name"), &bytes);
		bytes = MIN(bytes - 2, 24);
		put_le(entry, bytes, 2);
		put_le(entry + 2, bytes, 2);
		memcpy(entry + 0x10, wide, bytes);
		put_le(entry + 0x28, item_number(item, "start", 0), 8);
		put_le(entry + 0x30, item_number(item, "start", 0) + item_number(item, "size", 0x9000), 8);
		g_byte_array_append(list, entry, sizeof(entry));
		n++;
	}
	put_le(list->data, n, 4);
	set(dump, UNLOADED, add(dump, list->data, list->len), 4);
}

/* Kernel memory that the analysis of a crash follows: the lists' heads, the processor block. */
static void add_blocks(struct sample *s, GByteArray *dump)
{
	const uint64_t pages[] = {
		GLOBAL(s, KiProcessorBlock), GLOBAL(s, PsLoadedModuleList), GLOBAL(s, NtBuildLab), s->kernel_base,
	};
	uint8_t table[G_N_ELEMENTS(pages) * 16];
	unsigned n = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
		uint64_t va = pages[i] & ~(uint64_t)PAGE_MASK;
		bool again = false;
		for (size_t j = 0; j < i; j++)
			again |= va == (pages[j] & ~(uint64_t)PAGE_MASK);
		if (!pages[i] || again)
			continue;
		uint32_t at = add_memory(s, dump, va, PAGE_SIZE);
		put_le(table + 16 * n, va, 8);
		put_le(table + 16 * n + 8, at, 4);
		put_le(table + 16 * n++ + 12, PAGE_SIZE, 4);
	}
	set(dump, BLOCKS, add(dump, table, 16 * n), 4);
	set(dump, BLOCK_COUNT, n, 4);
}

static void write_triage(struct output *o)
{
	struct sample *s = o->sample;
	g_autoptr(GByteArray) dump = g_byte_array_new();
	uint8_t header[CRASH_HEADER_SIZE], triage[TRIAGE_SIZE] = { 0 };
	uint64_t stack = GET(s, s->current_thread, kthread.KernelStack), stack_base = GET(s, s->current_thread, kthread.StackBase);

	crash_header(o, 4, 0, header);
	g_byte_array_append(dump, header, sizeof(header));
	g_byte_array_append(dump, triage, sizeof(triage));
	set(dump, CONTEXT, 0x348, 4);
	set(dump, EXCEPTION, 0xf00, 4);
	set(dump, PRCB, add_memory(s, dump, s->prcb, s->layout->kprcb.size_), 4);
	set(dump, PROCESS, add_memory(s, dump, s->current_process, s->layout->eprocess.size_), 4);
	set(dump, THREAD, add_memory(s, dump, s->current_thread, s->layout->ethread.size_), 4);
	set(dump, CALL_STACK, add_memory(s, dump, stack, stack_base - stack), 4);
	set(dump, CALL_STACK_SIZE, stack_base - stack, 4);
	set(dump, TOP_OF_STACK, stack, 8);
	if (s->kdbg) {
		unsigned size = (unsigned)memory_get(s->memory, ROOT(s), s->kdbg + 0x14, 4);
		set(dump, DEBUGGER_DATA, add_memory(s, dump, s->kdbg, size), 4);
		set(dump, DEBUGGER_DATA_SIZE, size, 4);
	}
	add_drivers(s, dump);
	add_unloaded(s, dump);
	add_blocks(s, dump);
	set(dump, VALID, dump->len, 4);
	g_byte_array_append(dump, (const uint8_t *)"TRGD", 4);
	set(dump, SIZE, dump->len, 4);
	put_le(dump->data + 0xfa0, output_lie(o, "required", dump->len), 8);
	output_bytes(o, dump->data, dump->len);
}

const struct writer triage_writers[] = { { "triage", write_triage }, { NULL, NULL } };
