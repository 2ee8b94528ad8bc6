/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A triage ("small") dump: TRIAGE_DUMP64 (of 32-bit machines TRIAGE_DUMP32) behind the header names what was copied of
 * the crash: the current process, thread and processor, the debugger's data, the drivers
 * and some pages of the kernel's virtual memory.
 */
#include "crash_writers.h"
#include <string.h>

enum {
	SERVICE_PACK = 0x00, SIZE = 0x04, VALID = 0x08, CONTEXT = 0x0c, EXCEPTION = 0x10, UNLOADED = 0x18, PRCB = 0x1c, PROCESS = 0x20,
	THREAD = 0x24, CALL_STACK = 0x28, CALL_STACK_SIZE = 0x2c, DRIVERS = 0x30, DRIVER_COUNT = 0x34, STRINGS = 0x38,
	STRINGS_SIZE = 0x3c, TOP_OF_STACK = 0x48,
};

/* What stands elsewhere in each. */
struct shape {
	unsigned header_size, context, exception, size;
	unsigned debugger_data, debugger_data_size, blocks, block_count;
	unsigned driver_entry;		/* an offset of the name, then, at the next pointer's place, a KLDR_DATA_TABLE_ENTRY */
	unsigned base, entry_point, image_size, checksum, timestamp;	/* in that */
};

static const struct shape narrow = { CRASH_HEADER32_SIZE, 0x320, 0x7d0, 0x68, 0x58, 0x5c, 0x60, 0x64, 0x4c, 0x18, 0x1c, 0x20, 0x40, 0x44 };
static const struct shape wide = { CRASH_HEADER_SIZE, 0x348, 0xf00, 0x80, 0x70, 0x74, 0x78, 0x7c, 0x90, 0x30, 0x38, 0x40, 0x78, 0x80 };

struct triage {
	struct sample *sample;
	const struct shape *shape;
	GByteArray *bytes;
};

static uint32_t add(struct triage *t, const void *bytes, size_t length)
{
	static const uint8_t zeros[8];
	GByteArray *dump = t->bytes;
	guint at = dump->len;

	g_byte_array_append(dump, bytes, (guint)length);
	g_byte_array_append(dump, zeros, (8 - dump->len % 8) % 8);	/* as in the dumps of Windows */
	return at;
}

static uint32_t add_memory(struct triage *t, uint64_t va, size_t length)
{
	struct sample *s = t->sample;
	g_autofree uint8_t *bytes = g_malloc(length);

	memory_read(s->memory, ROOT(s), va, bytes, length);
	return add(t, bytes, length);
}

static void set(struct triage *t, unsigned field, uint64_t value, unsigned width)
{
	put_le(t->bytes->data + t->shape->header_size + field, value, width);
}

static void add_drivers(struct triage *t)
{
	const struct sample *s = t->sample;
	const struct shape *shape = t->shape;
	const guint length = s->drivers->len * shape->driver_entry, list_at = t->bytes->len, strings_at = list_at + length;
	g_autofree uint8_t *list = g_malloc0(length);
	g_autoptr(GByteArray) strings = g_byte_array_new();

	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		const struct executable *x = d->executable ? d->executable : s->kernel;
		uint8_t *name = list + (size_t)i * shape->driver_entry, *entry = name + s->width, count[4];
		size_t bytes;
		g_autofree uint16_t *text = utf16(d->name, &bytes);
		put_le(name, strings_at + strings->len, 4);
		put_le(entry + shape->base, d->base, s->width);
		put_le(entry + shape->entry_point, d->base + x->entry_point, s->width);
		put_le(entry + shape->image_size, d->size, 4);
		put_le(entry + shape->checksum, x->checksum, 4);
		put_le(entry + shape->timestamp, x->timestamp, 4);
		put_le(count, bytes / 2 - 1, 4);
		g_byte_array_append(strings, count, 4);
		g_byte_array_append(strings, (const uint8_t *)text, (guint)bytes);
		while (strings->len % 8)
			g_byte_array_append(strings, (const uint8_t *)"", 1);
	}
	set(t, DRIVERS, list_at, 4);
	set(t, DRIVER_COUNT, s->drivers->len, 4);
	set(t, STRINGS, strings_at, 4);
	set(t, STRINGS_SIZE, strings->len, 4);
	g_byte_array_append(t->bytes, list, length);
	add(t, strings->data, strings->len);
}

/* A count, then { UNICODE_STRING, WCHAR[12], start, end }. */
static void add_unloaded(struct triage *t)
{
	const struct sample *s = t->sample;
	g_autoptr(GByteArray) list = g_byte_array_new();
	const unsigned w = s->width;
	uint8_t count[8] = { 0 };
	unsigned n = 0;

	g_byte_array_append(list, count, w);
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		uint8_t entry[0x38] = { 0 };
		size_t bytes;
		if (!item_is(item, "unloaded"))
			continue;
		g_autofree uint16_t *text = utf16(item_required(item, "name"), &bytes);
		bytes = MIN(bytes - 2, 24);
		put_le(entry, bytes, 2);
		put_le(entry + 2, bytes, 2);
		memcpy(entry + 2 * w, text, bytes);
		put_le(entry + 2 * w + 24, item_number(item, "start", 0), w);
		put_le(entry + 3 * w + 24, item_number(item, "start", 0) + item_number(item, "size", 0x9000), w);
		g_byte_array_append(list, entry, 4 * w + 24);
		n++;
	}
	put_le(list->data, n, 4);
	set(t, UNLOADED, add(t, list->data, list->len), 4);
}

/* Kernel memory that the analysis of a crash follows: the lists' heads, the processor block. */
static void add_blocks(struct triage *t)
{
	struct sample *s = t->sample;
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
		uint32_t at = add_memory(t, va, PAGE_SIZE);
		put_le(table + 16 * n, s->width == 4 ? (uint64_t)(int32_t)va : va, 8);	/* sign-extended, as Windows does */
		put_le(table + 16 * n + 8, at, 4);
		put_le(table + 16 * n++ + 12, PAGE_SIZE, 4);
	}
	set(t, t->shape->blocks, add(t, table, 16 * n), 4);
	set(t, t->shape->block_count, n, 4);
}

static void write_triage(struct output *o)
{
	struct sample *s = o->sample;
	const struct shape *shape = s->width == 4 ? &narrow : &wide;
	g_autoptr(GByteArray) dump = g_byte_array_new();
	struct triage t = { s, shape, dump };
	uint8_t header[CRASH_HEADER_SIZE];
	uint64_t stack = GET(s, s->current_thread, kthread.KernelStack), stack_base = GET(s, s->current_thread, kthread.StackBase);

	g_byte_array_append(dump, header, crash_header(o, 4, 0, header));
	g_byte_array_set_size(dump, shape->header_size + shape->size);
	memset(dump->data + shape->header_size, 0, shape->size);
	set(&t, CONTEXT, shape->context, 4);
	set(&t, EXCEPTION, shape->exception, 4);
	set(&t, PRCB, add_memory(&t, s->prcb, s->prcb_size), 4);
	set(&t, PROCESS, add_memory(&t, s->current_process, s->layout->eprocess.size_), 4);
	set(&t, THREAD, add_memory(&t, s->current_thread, s->layout->ethread.size_), 4);
	set(&t, CALL_STACK, add_memory(&t, stack, stack_base - stack), 4);
	set(&t, CALL_STACK_SIZE, stack_base - stack, 4);
	set(&t, TOP_OF_STACK, stack, s->width);
	if (s->kdbg) {
		unsigned size = (unsigned)memory_get(s->memory, ROOT(s), s->kdbg + 0x14, 4);
		set(&t, shape->debugger_data, add_memory(&t, s->kdbg, size), 4);
		set(&t, shape->debugger_data_size, size, 4);
	}
	add_drivers(&t);
	add_unloaded(&t);
	add_blocks(&t);
	set(&t, VALID, dump->len, 4);
	g_byte_array_append(dump, (const uint8_t *)"TRGD", 4);
	set(&t, SIZE, dump->len, 4);
	put_le(dump->data + 0xfa0, output_lie(o, "required", dump->len), 8);
	output_bytes(o, dump->data, dump->len);
}

const struct writer triage_writers[] = { { "triage", write_triage }, { NULL, NULL } };
