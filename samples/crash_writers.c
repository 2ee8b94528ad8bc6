/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows crash dumps: DUMP_HEADER64 (of 32-bit machines DUMP_HEADER), then the run list's pages (1), a
 * bitmap and its pages (2, 5, 6, 7), or a table of ranges and theirs (8, 9, 0xA).
 * `defect kind=header` makes the header say what isn't so.
 */
#include "writers.h"
#include <string.h>
#include "crash_writers.h"

#define ATTRIBUTE_LIVE 0x10u
#define ATTRIBUTE_FILTER 0x40u
#define MAX_RUNS 42u		/* what fits in PhysicalMemoryBlockBuffer */

struct run { uint64_t first, pages; };

/* ---- the header */

static uint32_t attributes(const struct output *o)
{
	return (item_flag(o->item, "live") ? ATTRIBUTE_LIVE : 0) | (item_flag(o->item, "active") ? ATTRIBUTE_FILTER : 0);
}

/* DUMP_HEADER of 32-bit machines: the fields of the same names elsewhere. */
static void crash_header32(struct output *o, unsigned type, uint64_t required, uint8_t header[CRASH_HEADER32_SIZE])
{
	struct sample *s = o->sample;
	struct item *crash = description_item(s->description, "crash");
	uint64_t pages = 0, first, n, eip = item_number(crash, "rip", s->kernel_base + s->kernel->entry_point);
	unsigned runs = 0;

	for (unsigned i = 0; i < CRASH_HEADER32_SIZE; i += 4)
		memcpy(header + i, "PAGE", 4);
	memcpy(header, "PAGEDUMP", 8);
	for (first = 0; output_run(o, false, &first, &n); first += n, runs++, pages += n) {
		if (runs == MAX_RUNS)
			item_fail(o->item, "the machine's memory is in more pieces than a run list has room for");
		put_le(header + 0x6c + 8 * runs, first, 4);
		put_le(header + 0x70 + 8 * runs, n, 4);
	}
	const struct { unsigned at, width; uint64_t value; } fields[] = {
		{ 0x08, 4, 15 }, { 0x0c, 4, s->build }, { 0x10, 4, s->memory->system_root }, { 0x14, 4, 0x83800000u },
		{ 0x18, 4, GLOBAL(s, PsLoadedModuleList) }, { 0x1c, 4, GLOBAL(s, PsActiveProcessHead) }, { 0x20, 4, 0x14c }, { 0x24, 4, 1 },
		{ 0x28, 4, item_number(crash, "code", 0xe2) }, { 0x2c, 4, item_number(crash, "p1", 0) }, { 0x30, 4, item_number(crash, "p2", 0) },
		{ 0x34, 4, item_number(crash, "p3", 0) }, { 0x38, 4, item_number(crash, "p4", 0) },
		{ 0x5c, 1, s->memory->paging == PAGING_X86_PAE }, { 0x60, 4, s->kdbg }, { 0x64, 4, output_lie(o, "runs", runs) },
		{ 0x68, 4, output_lie(o, "pages", pages) }, { 0xf88, 4, output_lie(o, "type", type) }, { 0xf94, 4, 1 }, { 0xf98, 4, 0x110 },
		{ 0xfa0, 8, output_lie(o, "required", required) }, { 0xfb8, 8, s->time - s->boot_time },
		{ 0xfc0, 8, s->time }, { 0x8a0, 4, attributes(o) },
	};
	memset(header + 0x320, 0, 0x2cc);	/* CONTEXT: Eip, Esp */
	put_le(header + 0x320 + 0xb8, eip, 4);
	put_le(header + 0x320 + 0xc4, GET(s, s->current_thread, kthread.KernelStack), 4);
	memset(header + 0x7d0, 0, 0x50);
	put_le(header + 0x7d0, item_number(crash, "exception", 0x80000003), 4);
	put_le(header + 0x7dc, eip, 4);
	memset(header + 0x820, 0, 128);
	g_strlcpy((char *)header + 0x820, item_text(crash, "comment", ""), 128);
	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		put_le(header + fields[i].at, fields[i].value, fields[i].width);
}

static void crash_header64(struct output *o, unsigned type, uint64_t required, uint8_t header[CRASH_HEADER_SIZE])
{
	struct sample *s = o->sample;
	struct item *crash = description_item(s->description, "crash");
	bool live = item_flag(o->item, "live");
	uint64_t pages = 0, first = 0, n;
	unsigned runs = 0;

	for (unsigned i = 0; i < CRASH_HEADER_SIZE; i += 4)
		memcpy(header + i, "PAGE", 4);
	memcpy(header, "PAGEDU64", 8);
	const struct { unsigned at, width; uint64_t value; } fields[] = {
		{ 0x08, 4, 15 }, { 0x0c, 4, s->build }, { 0x10, 8, s->memory->system_root },
		{ 0x18, 8, s->build < 9600 ? UINT64_C(0xfffffa8000000000) : UINT64_C(0xffffaa8000000000) },
		{ 0x20, 8, GLOBAL(s, PsLoadedModuleList) }, { 0x28, 8, GLOBAL(s, PsActiveProcessHead) },
		{ 0x30, 4, s->memory->paging == PAGING_ARM64 ? 0xaa64 : 0x8664 },
		{ 0x34, 4, 1 }, { 0x38, 4, item_number(crash, "code", live ? 0x161 : 0xe2) }, { 0x3c, 4, 0 },
		{ 0x40, 8, item_number(crash, "p1", 0) }, { 0x48, 8, item_number(crash, "p2", 0) },
		{ 0x50, 8, item_number(crash, "p3", 0) }, { 0x58, 8, item_number(crash, "p4", 0) }, { 0x80, 8, s->kdbg },
		{ 0xf98, 4, output_lie(o, "type", type) }, { 0xfa0, 8, output_lie(o, "required", required) }, { 0xfa8, 8, s->time },
		{ 0x1030, 8, s->time - s->boot_time }, { 0x1040, 4, s->build == 14393 || s->build == 20348 ? 3 : 1 }, { 0x1044, 4, 0x110 },
		{ 0x1050, 4, attributes(o) },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(fields); i++)
		put_le(header + fields[i].at, fields[i].value, fields[i].width);

	/* The whole machine's memory, whatever the dump holds of it. */
	for (first = 0; output_run(o, false, &first, &n); first += n) {
		if (runs < MAX_RUNS) {
			put_le(header + 0x98 + 16 * runs, first, 8);
			put_le(header + 0xa0 + 16 * runs, n, 8);
		}
		runs++;
		pages += n;
	}
	if (runs > MAX_RUNS)
		item_fail(o->item, "the machine's memory is in more pieces than a run list has room for");
	put_le(header + 0x88, output_lie(o, "runs", runs), 4);
	put_le(header + 0x8c, 0, 4);
	put_le(header + 0x90, output_lie(o, "pages", pages), 8);

	/* CONTEXT: flags, rsp, rip; EXCEPTION_RECORD64: code, flags, record, address. */
	uint64_t rip = item_number(crash, "rip", s->kernel_base + s->kernel->entry_point);
	memset(header + 0x348, 0, 0x4d0);
	bool arm64 = s->memory->paging == PAGING_ARM64;
	put_le(header + 0x348 + (arm64 ? 0 : 0x30), arm64 ? 0x400007 : 0x10000f, 4);
	put_le(header + 0x348 + (arm64 ? 0x100 : 0x98), GET(s, s->current_thread, kthread.KernelStack), 8);
	put_le(header + 0x348 + (arm64 ? 0x108 : 0xf8), rip, 8);
	memset(header + 0xf00, 0, 0x98);
	put_le(header + 0xf00, item_number(crash, "exception", 0x80000003), 4);
	put_le(header + 0xf10, rip, 8);
	memset(header + 0xfb0, 0, 128);
	g_strlcpy((char *)header + 0xfb0, item_text(crash, "comment", ""), 128);
}

unsigned crash_header(struct output *o, unsigned type, uint64_t required, uint8_t header[CRASH_HEADER_SIZE])
{
	if (o->sample->width == 4) {
		crash_header32(o, type, required, header);
		return CRASH_HEADER32_SIZE;
	}
	crash_header64(o, type, required, header);
	return CRASH_HEADER_SIZE;
}

/* ---- secondary data: `output secondary` appends one blob */

static void secondary_data(struct output *o)
{
	static const char text[] = "secondary data of a sample";
	uint8_t blob[16 + 32] = "DumpBlob";

	if (!item_flag(o->item, "secondary"))
		return;
	put_le(blob + 8, 16, 4);
	put_le(blob + 12, o->sample->build, 4);
	put_le(blob + 16, 32, 4);
	for (unsigned i = 0; i < 16; i++)
		blob[20 + i] = (uint8_t)(i * 0x11);
	put_le(blob + 36, sizeof(text), 4);
	output_bytes(o, blob, sizeof(blob));
	output_bytes(o, text, sizeof(text));
}

/* ---- full dumps */

static unsigned collect_runs(const struct output *o, bool kernel_only, GArray *runs)
{
	for (uint64_t first = 0, pages; output_run(o, kernel_only, &first, &pages); first += pages) {
		struct run run = { first, pages };
		g_array_append_val(runs, run);
	}
	return runs->len;
}

static void write_run_pages(struct output *o, const GArray *runs)
{
	for (guint i = 0; i < runs->len; i++) {
		const struct run *run = &g_array_index(runs, struct run, i);
		for (uint64_t p = 0; p < run->pages; p++)
			output_page(o, run->first + p);
	}
}

static uint64_t total(const GArray *runs)
{
	uint64_t pages = 0;

	for (guint i = 0; i < runs->len; i++)
		pages += g_array_index(runs, struct run, i).pages;
	return pages;
}

static void write_full(struct output *o)
{
	uint8_t header[CRASH_HEADER_SIZE];
	g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(struct run));
	unsigned n = collect_runs(o, false, runs);

	if (o->sample->width == 4) {
		output_bytes(o, header, crash_header(o, 1, CRASH_HEADER32_SIZE + total(runs) * PAGE_SIZE, header));
		write_run_pages(o, runs);
		return;
	}

	if (item_flag(o->item, "overlapping") && n > 1) {	/* the second run begins within the first */
		struct run *first = &g_array_index(runs, struct run, 0), *second = &g_array_index(runs, struct run, 1);
		uint64_t end = first->first + first->pages;
		first->pages += second->first - end + 1;
	}
	if (item_flag(o->item, "unsorted") && n > 1) {
		struct run swap = g_array_index(runs, struct run, 0);
		g_array_index(runs, struct run, 0) = g_array_index(runs, struct run, n - 1);
		g_array_index(runs, struct run, n - 1) = swap;
	}
	crash_header(o, 1, CRASH_HEADER_SIZE + total(runs) * PAGE_SIZE, header);
	for (guint i = 0; i < runs->len; i++) {
		put_le(header + 0x98 + 16 * i, g_array_index(runs, struct run, i).first, 8);
		put_le(header + 0xa0 + 16 * i, g_array_index(runs, struct run, i).pages, 8);
	}
	put_le(header + 0x90, output_lie(o, "pages", total(runs)), 8);
	output_bytes(o, header, sizeof(header));
	write_run_pages(o, runs);
	secondary_data(o);
}

/* ---- bitmaps */

static void write_bitmap(struct output *o, unsigned type, const char *signature, bool kernel_only)
{
	uint8_t header[CRASH_HEADER_SIZE], head[0x38] = { 0 };
	g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(struct run));
	uint64_t bits = o->sample->memory->size / PAGE_SIZE, bytes = (bits + 7) / 8;
	bool old = type == 2 && o->sample->build < 9600, narrow = o->sample->width == 4;
	unsigned size = !old ? 0x38 : narrow ? 0x20 : 0x28, header_size = narrow ? CRASH_HEADER32_SIZE : CRASH_HEADER_SIZE;
	uint64_t first = (header_size + size + bytes + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
	g_autofree uint8_t *map = g_malloc0(bytes);

	collect_runs(o, kernel_only, runs);
	crash_header(o, type, first + total(runs) * PAGE_SIZE, header);
	output_bytes(o, header, header_size);
	memcpy(head, signature, 8);
	if (old) {	/* 32-bit fields, then an RTL_BITMAP */
		put_le(head + 0xc, output_lie(o, "first", first), 4);
		put_le(head + 0x10, output_lie(o, "bits", bits), 4);
		put_le(head + 0x14, total(runs), 4);
		put_le(head + 0x18, bits, 4);
		if (narrow)
			put_le(head + 0x1c, 0x84001038, 4);
		else
			put_le(head + 0x20, UINT64_C(0xffff900000001038), 8);
	} else {
		put_le(head + 0x20, output_lie(o, "first", first), 8);
		put_le(head + 0x28, total(runs), 8);
		put_le(head + 0x30, output_lie(o, "bits", bits), 8);
	}
	for (guint i = 0; i < runs->len; i++) {
		const struct run *run = &g_array_index(runs, struct run, i);
		for (uint64_t p = run->first; p < run->first + run->pages; p++)
			map[p / 8] |= (uint8_t)(1u << (p & 7));
	}
	output_bytes(o, head, size);
	output_bytes(o, map, bytes);
	output_zeros(o, first - o->at);
	write_run_pages(o, runs);
	secondary_data(o);
}

static void write_bitmap_full(struct output *o)
{
	write_bitmap(o, 5, "FDMPDUMP", false);
}

static void write_kernel(struct output *o)
{
	write_bitmap(o, 2, "SDMPDUMP", true);
}

static void write_bitmap_kernel(struct output *o)
{
	write_bitmap(o, 6, "SDMPDUMP", !item_flag(o->item, "live") && !item_flag(o->item, "active"));
}

static void write_automatic(struct output *o)
{
	write_bitmap(o, 7, "SDMPDUMP", true);
}

/* ---- range tables */

static void write_ranges(struct output *o, unsigned type, bool kernel_only)
{
	uint8_t header[CRASH_HEADER_SIZE], head[0x30] = { 0 };
	g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(struct run));
	unsigned n = collect_runs(o, kernel_only, runs);
	uint64_t metadata = 0x10 + 16 * (uint64_t)n;
	uint64_t header_size = o->sample->width == 4 ? CRASH_HEADER32_SIZE : CRASH_HEADER_SIZE;
	uint64_t first = (header_size + 0x30 + 16 * (uint64_t)(n + 1) + PAGE_MASK) & ~(uint64_t)PAGE_MASK;

	output_bytes(o, header, crash_header(o, type, first + total(runs) * PAGE_SIZE, header));
	put_le(head, 0x40, 4);
	memcpy(head + 4, "RDMPDUMP", 8);
	put_le(head + 0x10, metadata, 8);
	put_le(head + 0x18, output_lie(o, "first", first), 8);
	if (type == 10) {
		put_le(head + 0x20, n, 8);
		put_le(head + 0x28, total(runs), 8);
	}
	output_bytes(o, head, sizeof(head));
	for (unsigned i = 0; i < n; i++) {
		uint8_t pair[16];
		put_le(pair, g_array_index(runs, struct run, i).first, 8);
		put_le(pair + 8, g_array_index(runs, struct run, i).pages, 8);
		output_bytes(o, pair, sizeof(pair));
	}
	output_zeros(o, first - o->at);
	write_run_pages(o, runs);
	secondary_data(o);
}

static void write_debugger_kernel(struct output *o)
{
	write_ranges(o, 8, true);
}

static void write_debugger_user(struct output *o)
{
	write_ranges(o, 9, false);
}

static void write_complete(struct output *o)
{
	write_ranges(o, 10, false);
}

static void write_header_only(struct output *o)
{
	uint8_t header[CRASH_HEADER_SIZE];

	output_bytes(o, header, crash_header(o, 3, o->sample->width == 4 ? CRASH_HEADER32_SIZE : CRASH_HEADER_SIZE, header));
}

const struct writer crash_writers[] = {
	{ "full", write_full }, { "kernel", write_kernel }, { "header", write_header_only }, { "bitmap-full", write_bitmap_full },
	{ "bitmap-kernel", write_bitmap_kernel }, { "automatic", write_automatic }, { "debugger-kernel", write_debugger_kernel },
	{ "debugger-user", write_debugger_user }, { "complete", write_complete }, { NULL, NULL }
};
