/* SPDX-License-Identifier: Apache-2.0 */
#include "format_samples.h"
#include <archive.h>
#include <archive_entry.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

void put(GByteArray *a, size_t at, const void *bytes, size_t n)
{
	if (a->len < at + n) {
		guint old = a->len;
		g_byte_array_set_size(a, (guint)(at + n));
		memset(a->data + old, 0, at + n - old);
	}
	if (n)
		memcpy(a->data + at, bytes, n);
}

void put_le(GByteArray *a, size_t at, uint64_t value, unsigned width)
{
	uint8_t raw[8];

	for (unsigned i = 0; i < width; i++)
		raw[i] = (uint8_t)(value >> 8 * i);
	put(a, at, raw, width);
}

void put_text(GByteArray *a, size_t at, const char *text)
{
	put(a, at, text, strlen(text));
}

void put_utf16(GByteArray *a, size_t at, const char *ascii)
{
	for (size_t i = 0; ascii[i]; i++)
		put_le(a, at + 2 * i, (uint8_t)ascii[i], 2);
}

void put_page(GByteArray *a, size_t at, uint64_t pfn)
{
	for (unsigned i = 0; i < SAMPLE_PAGE; i += 8)
		put_le(a, at + i, pfn, 8);
}

static GByteArray *crash_header(unsigned width, uint32_t machine, uint32_t type)
{
	GByteArray *a = g_byte_array_new();
	bool wide = width == 8;
	unsigned size = wide ? 0x2000 : 0x1000;

	for (unsigned i = 0; i < size; i += 4)
		put_text(a, i, "PAGE");
	put_text(a, 4, wide ? "DU64" : "DUMP");
	put_le(a, 0x08, 15, 4);
	put_le(a, 0x0c, 19041, 4);
	put_le(a, 0x10, 0x1ad002, width);
	put_le(a, wide ? 0x20 : 0x18, wide ? 0xfffff80000001000 : 0x80001000, width);
	put_le(a, wide ? 0x28 : 0x1c, wide ? 0xfffff80000002000 : 0x80002000, width);
	put_le(a, wide ? 0x30 : 0x20, machine, 4);
	put_le(a, wide ? 0x34 : 0x24, 2, 4);
	put_le(a, wide ? 0x38 : 0x28, 0xe2, 4);
	put_le(a, wide ? 0x40 : 0x2c, 0x11, width);
	put_le(a, wide ? 0x80 : 0x60, wide ? 0xfffff80000003000 : 0x80003000, width);
	put_le(a, wide ? 0xf98 : 0xf88, type, 4);
	put_le(a, wide ? 0xfa8 : 0xfc0, 133513449049337618, 8);
	put_le(a, wide ? 0x1030 : 0xfb8, 77, 8);
	put(a, wide ? 0xfb0 : 0x820, "a comment", 10);
	put_le(a, wide ? 0x348 + 0xf8 : 0x320 + 0xb8, 0x1234, width);
	return a;
}

static void put_runs(GByteArray *a, unsigned width)
{
	size_t at = width == 8 ? 0x88 : 0x64, run = at + 2 * width;
	static const uint64_t runs[] = { 1, 2, 8, 1 };

	put_le(a, at, 2, 4);
	put_le(a, at + width, 3, width);
	for (unsigned i = 0; i < 4; i++)
		put_le(a, run + i * width, runs[i], width);
}

static void append_pages(GByteArray *a)
{
	size_t at = a->len;

	put_page(a, at, 1);
	put_page(a, at + SAMPLE_PAGE, 2);
	put_page(a, at + 2 * SAMPLE_PAGE, 8);
}

GByteArray *sample_full64(void)
{
	GByteArray *a = crash_header(8, 0x8664, 1);

	put_runs(a, 8);
	put_le(a, 0xfa0, 0x2000 + 3 * SAMPLE_PAGE, 8);
	append_pages(a);
	return a;
}

GByteArray *sample_full32(void)
{
	GByteArray *a = crash_header(4, 0x14c, 1);

	put_le(a, 0x5c, 1, 1);
	put_runs(a, 4);
	put_le(a, 0xfa0, 0x1000 + 3 * SAMPLE_PAGE, 8);
	append_pages(a);
	return a;
}

GByteArray *sample_bitmap64(void)
{
	GByteArray *a = crash_header(8, 0x8664, 5);

	put_runs(a, 8);
	put_text(a, 0x2000, "FDMPDUMP");
	put_le(a, 0x2008, 0, 8);
	put_le(a, 0x2020, 0x3000, 8);
	put_le(a, 0x2028, 3, 8);
	put_le(a, 0x2030, 64, 8);
	put_le(a, 0x2038, 1 << 1 | 1 << 2 | 1 << 8, 8);
	put_le(a, 0x2fff, 0, 1);
	append_pages(a);
	return a;
}

static GByteArray *summary(unsigned width, unsigned map)
{
	GByteArray *a = crash_header(width, width == 8 ? 0x8664 : 0x14c, 2);
	size_t at = a->len;

	put_text(a, at, "SDMPDUMP");
	put_le(a, at + 0x08, 1, 4);
	put_le(a, at + 0x0c, at + 0x1000, 4);
	put_le(a, at + 0x10, 64, 4);
	put_le(a, at + 0x14, 3, 4);
	put_le(a, at + 0x18, 64, 4);
	put_le(a, at + map, 1 << 1 | 1 << 2 | 1 << 8, 8);
	put_le(a, at + 0xfff, 0, 1);
	append_pages(a);
	return a;
}

GByteArray *sample_summary64(void)
{
	return summary(8, 0x28);
}

GByteArray *sample_summary32(void)
{
	return summary(4, 0x20);
}

GByteArray *sample_rdmp(void)
{
	GByteArray *a = crash_header(8, 0x8664, 10);
	static const uint64_t ranges[] = { 1, 2, 8, 1 };

	put_le(a, 0x2000, 0x40, 4);
	put_text(a, 0x2004, "RDMPDUMP");
	put_le(a, 0x2010, 0xfe0, 8);
	put_le(a, 0x2018, 0x3000, 8);
	put_le(a, 0x2020, 2, 4);
	put_le(a, 0x2028, 3, 8);
	for (unsigned i = 0; i < 4; i++)
		put_le(a, 0x2030 + 8 * i, ranges[i], 8);
	put_le(a, 0x2fff, 0, 1);
	append_pages(a);
	return a;
}

/*
 * A triage dump: two drivers, an unloaded one, a KDBG block, a PRCB, a thread and its
 * process, a call stack, one data block. w is the width of a pointer.
 */
static GByteArray *triage(unsigned w)
{
	GByteArray *a = crash_header(w, w == 8 ? 0x8664 : 0x14c, 4);
	size_t h = a->len, stride = w == 8 ? 0x90 : 0x4c, entry;
	uint64_t kernel = w == 8 ? 0xfffff80000000000 : 0x80000000;
	enum { UNLOADED = 0x2800, PRCB = 0x2900, PROCESS = 0x2a00, THREAD = 0x2e00, STACK = 0x3000, DRIVERS = 0x3100, POOL = 0x3300,
	       KDBG = 0x3400, BLOCKS = 0x3800, DATA = 0x3900, END = 0x3a00 };

	static const struct { uint32_t at, value; } both[] = {
		{ 0x04, END }, { 0x08, END - 4 }, { 0x18, UNLOADED }, { 0x1c, PRCB }, { 0x20, PROCESS }, { 0x24, THREAD },
		{ 0x28, STACK }, { 0x2c, 0x40 }, { 0x30, DRIVERS }, { 0x34, 2 },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(both); i++)
		put_le(a, h + both[i].at, both[i].value, 4);
	put_le(a, h + 0x38, DRIVERS + 2 * stride, 4);
	put_le(a, h + 0x3c, POOL + 0x80 - (DRIVERS + 2 * stride), 4);
	put_le(a, h + 0x48, kernel + 0x7000, w);
	put_le(a, h + (w == 8 ? 0x70 : 0x58), KDBG, 4);
	put_le(a, h + (w == 8 ? 0x74 : 0x5c), 0x380, 4);
	put_le(a, h + (w == 8 ? 0x78 : 0x60), BLOCKS, 4);
	put_le(a, h + (w == 8 ? 0x7c : 0x64), 1, 4);

	put_le(a, UNLOADED, 1, w);
	put_le(a, UNLOADED + w, 14, 2);
	put_utf16(a, UNLOADED + 3 * w, "old.sys");
	put_le(a, UNLOADED + 3 * w + 24, kernel + 0x100000, w);
	put_le(a, UNLOADED + 3 * w + 24 + w, kernel + 0x108000, w);

	for (unsigned i = 0; i < 2; i++) {
		size_t name = POOL + 0x40 * i;
		entry = DRIVERS + i * stride;
		put_le(a, entry, name, 4);
		put_le(a, entry + w + (w == 8 ? 0x30 : 0x18), kernel + 0x200000 * (i + 1), w);
		put_le(a, entry + w + (w == 8 ? 0x40 : 0x20), 0x1000 * (i + 1), 4);
		put_le(a, entry + w + (w == 8 ? 0x78 : 0x40), 0xc0 + i, 4);
		put_le(a, entry + w + (w == 8 ? 0x80 : 0x44), 0x60000000 + i, 4);
		put_le(a, name, 9, 4);
		put_utf16(a, name + 4, i ? "driver.sy" : "ntoskrnl.");
	}
	put_le(a, POOL + 0x40 + 4 + 16, 0xd800, 2);	/* an unpaired surrogate ends the second name */

	put_le(a, KDBG + 0x10, 0x4742444b, 4);
	put_le(a, KDBG + 0x14, 0x380, 4);
	put_le(a, KDBG + 0x18, kernel + 0x200000, 8);
	put_le(a, KDBG + 0x218, kernel + 0x9000, 8);
	static const struct { uint32_t at, value; } offsets[] = {
		{ 0x2a0, 0x40 }, { 0x2a8, 0x200 }, { 0x2aa, 0x108 }, { 0x2ac, 0x100 }, { 0x2ae, 0x28 }, { 0x2b0, 0x80 }, { 0x2b4, 8 },
		{ 0x2be, 0x20 }, { 0x2c0, 0x100 },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++)
		put_le(a, KDBG + offsets[i].at, offsets[i].value, 2);
	put_le(a, PRCB + 8, kernel + 0xb000, w);	/* CurrentThread */
	put_le(a, THREAD + 0x40, kernel + 0xa000, w);	/* ApcState.Process */
	put_le(a, THREAD + 0x80, 1234, w);		/* Cid */
	put_le(a, THREAD + 0x80 + w, 5678 & ~3u, w);
	put_le(a, PROCESS + 0x28, 0x1ad000, w);
	put_le(a, PROCESS + 0x80, 1232, w);		/* no id: the thread doesn't have it */
	put_le(a, PROCESS + 0x80 + w, kernel, w);
	put_le(a, PROCESS + 0x80 + 2 * w, kernel, w);
	put_le(a, PROCESS + 0xc0, 1236, w);
	put_le(a, PROCESS + 0xc0 + w, kernel + 0x10, w);
	put_le(a, PROCESS + 0xc0 + 2 * w, kernel + 0x20, w);
	put_le(a, THREAD + 0x80, 1236, w);
	put_le(a, PROCESS + 0x100, 400, w);		/* the parent */
	put(a, PROCESS + 0x148, "sample.exe", 11);
	put_le(a, STACK + 0x3f, 0x5a, 1);

	put_le(a, BLOCKS, w == 8 ? kernel + 0x9000 : 0xffffffff00000000 | (kernel + 0x9000), 8);
	put_le(a, BLOCKS + 8, DATA, 4);
	put_le(a, BLOCKS + 12, 0x80, 4);
	put_le(a, DATA, kernel + 0xc000, w);		/* KiProcessorBlock[0] */
	put_text(a, END - 4, "TRGD");
	put_text(a, END, "DumpBlob");
	put_le(a, END + 8, 16, 4);
	put_le(a, END + 12, 19041, 4);
	put_le(a, END + 16, 32, 4);
	put_le(a, END + 20, 0x33221100, 4);
	put_le(a, END + 36, 5, 4);
	put_text(a, END + 48, "bytes");
	return a;
}

GByteArray *sample_triage64(void)
{
	return triage(8);
}

GByteArray *sample_triage32(void)
{
	return triage(4);
}

GByteArray *sample_lime(void)
{
	GByteArray *a = g_byte_array_new();
	static const uint64_t ranges[][2] = { { 1, 2 }, { 8, 1 } };

	for (unsigned i = 0; i < 2; i++) {
		size_t at = a->len;
		put_text(a, at, "EMiL");
		put_le(a, at + 4, 1, 4);
		put_le(a, at + 8, ranges[i][0] * SAMPLE_PAGE, 8);
		put_le(a, at + 16, (ranges[i][0] + ranges[i][1]) * SAMPLE_PAGE - 1, 8);
		put_le(a, at + 24, 0, 8);
		for (uint64_t p = 0; p < ranges[i][1]; p++)
			put_page(a, a->len, ranges[i][0] + p);
	}
	return a;
}

GByteArray *sample_vmem(void)
{
	GByteArray *a = g_byte_array_new();

	put_page(a, 0, 0);
	put_page(a, SAMPLE_PAGE, 1);
	put_page(a, 2 * SAMPLE_PAGE, 16);
	return a;
}

static void put_tag(GByteArray *a, const char *name, const uint32_t *index, unsigned indices, uint64_t value, unsigned width)
{
	uint8_t head[2] = { (uint8_t)(indices << 6 | width), (uint8_t)strlen(name) };

	put(a, a->len, head, 2);
	put_text(a, a->len, name);
	for (unsigned i = 0; i < indices; i++)
		put_le(a, a->len, index[i], 4);
	if (width <= 8)
		put_le(a, a->len, value, width);
}

static GByteArray *vmware_state(bool inline_memory)
{
	GByteArray *a = g_byte_array_new();
	static const char *const names[] = { "regionPPN", "regionPageNum", "regionSize" };
	static const uint64_t regions[2][3] = { { 0, 0, 2 }, { 16, 2, 1 } };

	put_le(a, 0, 0xbed3bed3, 4);
	put_le(a, 4, 8, 4);
	put_le(a, 8, 2, 4);
	put_text(a, 12, "cpu");
	put_text(a, 12 + 80, "memory");
	put_le(a, 12 + 64, 200, 8);
	put_le(a, 199, 0, 1);
	for (uint32_t cpu = 0; cpu < 2; cpu++)
		put_tag(a, "CR64", (const uint32_t[]){ cpu, 3 }, 2, 0x1ad000 + cpu, 8);
	put_le(a, a->len, 0, 2);
	put_le(a, 12 + 80 + 64, a->len, 8);
	put_tag(a, "regionsCount", NULL, 0, 2, 4);
	for (uint32_t r = 0; r < 2; r++)
		for (unsigned i = 0; i < 3; i++)
			put_tag(a, names[i], &r, 1, regions[r][i], 4);
	if (inline_memory) {
		GByteArray *memory = sample_vmem();
		put_tag(a, "Memory", (const uint32_t[]){ 0, 0 }, 2, 0, 63);
		put_le(a, a->len, memory->len, 8);
		put_le(a, a->len, memory->len, 8);
		put_le(a, a->len, 5, 2);
		put(a, a->len, "xxxxx", 5);
		put(a, a->len, memory->data, memory->len);
		g_byte_array_unref(memory);
	}
	put_le(a, a->len, 0, 2);
	return a;
}

/* A range's header; its stream follows, and how long that is. */
static void avml_header(GByteArray *a, uint64_t first, uint64_t pages)
{
	size_t at = a->len;

	put_text(a, at, "AVML");
	put_le(a, at + 4, 2, 4);
	put_le(a, at + 8, first * SAMPLE_PAGE, 8);
	put_le(a, at + 16, (first + pages) * SAMPLE_PAGE - 1, 8);
	put_le(a, at + 31, 0, 1);
	put(a, a->len, "\xff\6\0\0sNaPpY", 10);
}

GByteArray *sample_avml(void)
{
	GByteArray *a = g_byte_array_new(), *block = g_byte_array_new();
	size_t begin = 32;

	put_le(block, 0, 0x4080, 2);		/* 8192, seven bits a byte */
	for (unsigned page = 1; page <= 2; page++) {
		put_le(block, block->len, 7 << 2, 1);	/* a literal of 8 bytes, then copies from 8 back */
		put_le(block, block->len, page, 8);
		for (unsigned left = SAMPLE_PAGE - 8; left; left -= MIN(left, 64)) {
			put_le(block, block->len, (MIN(left, 64) - 1) << 2 | 2, 1);
			put_le(block, block->len, 8, 2);
		}
	}
	avml_header(a, 1, 2);
	put_le(a, a->len, 0 | (block->len + 4) << 8, 4);
	put_le(a, a->len, SAMPLE_AVML_CHECKSUM, 4);
	put(a, a->len, block->data, block->len);
	put_le(a, a->len, a->len - begin, 8);
	g_byte_array_unref(block);
	begin = a->len + 32;
	avml_header(a, 8, 1);
	put_le(a, a->len, 1 | (SAMPLE_PAGE + 4) << 8, 4);
	put_le(a, a->len, 0, 4);
	put_page(a, a->len, 8);
	put_le(a, a->len, a->len - begin, 8);
	return a;
}

GByteArray *sample_vmss(void)
{
	return vmware_state(false);
}

GByteArray *sample_vmsn(void)
{
	return vmware_state(true);
}

/* The note QEMU writes of a processor; 0x1b8 bytes of state. */
static void put_qemu_note(GByteArray *a, size_t at)
{
	put_le(a, at, 5, 4);
	put_le(a, at + 4, 0x1b8, 4);
	put_le(a, at + 8, 0, 4);
	put(a, at + 12, "QEMU\0\0\0", 8);
	put_le(a, at + 20, 1, 4);
	put_le(a, at + 24, 0x1b8, 4);
	put_le(a, at + 20 + 56, 0x5555, 8);
	put_le(a, at + 20 + 136, 0x6666, 8);
	put_le(a, at + 20 + 416, 0x1ad000, 8);
	put_le(a, at + 20 + 0x1b7, 0, 1);
}

GByteArray *sample_elf(void)
{
	GByteArray *a = g_byte_array_new();
	static const uint64_t loads[][3] = { { 0x400, 1, 2 }, { 0x2400, 8, 1 }, { 0x1400, 2, 1 } };	/* the last as with paging */

	put(a, 0, "\x7f" "ELF\2\1\1", 7);
	put_le(a, 16, 4, 2);
	put_le(a, 18, 62, 2);
	put_le(a, 20, 1, 4);
	put_le(a, 32, 64, 8);
	put_le(a, 52, 64, 2);
	put_le(a, 54, 56, 2);
	put_le(a, 56, 4, 2);
	put_le(a, 64, 4, 4);		/* PT_NOTE */
	put_le(a, 64 + 8, 0x120, 8);
	put_le(a, 64 + 32, 0x1cc, 8);
	for (unsigned i = 0; i < 3; i++) {
		size_t at = 64 + 56 * (i + 1);
		put_le(a, at, 1, 4);
		put_le(a, at + 8, loads[i][0], 8);
		put_le(a, at + 24, loads[i][1] * SAMPLE_PAGE, 8);
		put_le(a, at + 32, loads[i][2] * SAMPLE_PAGE, 8);
		put_le(a, at + 40, loads[i][2] * SAMPLE_PAGE, 8);
	}
	put_qemu_note(a, 0x120);
	put_le(a, 0x3ff, 0, 1);
	append_pages(a);
	return a;
}

GByteArray *sample_kdump(void)
{
	GByteArray *a = g_byte_array_new(), *page = g_byte_array_new();
	uint8_t packed[SAMPLE_PAGE];
	uLongf packed_size = sizeof(packed);
	size_t table = 4 * SAMPLE_PAGE, data = 5 * SAMPLE_PAGE;

	put_text(a, 0, "KDUMP   ");
	put_le(a, 8, 6, 4);
	put_text(a, 12 + 4 * 65, "x86_64");
	put_le(a, 0x1a8, 1, 4);
	put_le(a, 0x1ac, SAMPLE_PAGE, 4);
	put_le(a, 0x1b0, 1, 4);
	put_le(a, 0x1b4, 2, 4);
	put_le(a, 0x1b8, 8, 4);
	put_le(a, 0x1cc, 1, 4);
	put_le(a, 0x1000 + 0x30, 0x1200, 8);
	put_le(a, 0x1000 + 0x38, 0x1cc, 8);
	put_le(a, 0x1000 + 0x60, 8, 8);
	put_qemu_note(a, 0x1200);
	put_le(a, 2 * SAMPLE_PAGE, 0xff, 1);			/* the machine's pages */
	put_le(a, 3 * SAMPLE_PAGE, 1 << 0 | 1 << 1 | 1 << 3, 1);	/* the dump's */
	put_page(page, 0, 1);
	compress2(packed, &packed_size, page->data, page->len, 9);
	put_le(a, table, data, 8);
	put_le(a, table + 8, SAMPLE_PAGE, 4);
	put_page(a, data, 0);
	data += SAMPLE_PAGE;
	put_le(a, table + 24, data, 8);
	put_le(a, table + 32, packed_size, 4);
	put_le(a, table + 36, 1, 4);				/* DUMP_DH_COMPRESSED_ZLIB */
	put(a, data, packed, packed_size);
	data += packed_size;
	put_le(a, table + 48, data, 8);
	put_le(a, table + 56, SAMPLE_PAGE, 4);
	put_page(a, data, 3);
	g_byte_array_unref(page);
	return a;
}

void put_be64(GByteArray *a, uint64_t value)
{
	put_le(a, a->len, GUINT64_SWAP_LE_BE(value), 8);
}

/* The second half first, and a record that writes zeros over what the next makes right again. */
GByteArray *sample_flattened(void)
{
	GByteArray *a = g_byte_array_new(), *whole = sample_kdump();
	uint64_t half = whole->len / 2;
	static const uint8_t zeros[256];

	put_text(a, 0, "makedumpfile");
	put_le(a, 16, UINT64_C(1) << 56, 8);
	put_le(a, 24, UINT64_C(1) << 56, 8);
	put_le(a, SAMPLE_PAGE - 1, 0, 1);
	put_be64(a, half);
	put_be64(a, whole->len - half);
	put(a, a->len, whole->data + half, whole->len - half);
	put_be64(a, 0);
	put_be64(a, 512);
	put(a, a->len, whole->data + 4096, 512);
	put_be64(a, 0);
	put_be64(a, sizeof(zeros));
	put(a, a->len, zeros, sizeof(zeros));
	put_be64(a, 0);
	put_be64(a, half);
	put(a, a->len, whole->data, half);
	put_be64(a, UINT64_MAX);
	put_be64(a, UINT64_MAX);
	g_byte_array_unref(whole);
	return a;
}

static void put_set(GByteArray *a, unsigned method, const uint64_t *runs, unsigned count, const void *data, size_t size)
{
	put_le(a, a->len, count | size << 8 | (uint64_t)method << 30, 4);
	for (unsigned i = 0; i < count; i++)
		put_le(a, a->len, runs[2 * i] << 4 | (runs[2 * i + 1] - 1), 8);
	put(a, a->len, data, size);
}

/* Plain: the letter B, then a match of 65535 bytes, whose length takes the 16-bit form. */
static const uint8_t plain_set[] = { 0, 0, 0, 0x40, 'B', 7, 0, 0x0f, 0xff, 0xfc, 0xff };

GByteArray *sample_hibernation(void)
{
	GByteArray *a = g_byte_array_new(), *page = g_byte_array_new();
	/* Huffman: two symbols of one bit each, the letter A and a match one byte back whose length follows. */
	uint8_t huffman_set[256 + 7] = { ['A' / 2] = 0x10, [271 / 2] = 0x10, [257] = 0x40, [260] = 0xff, [261] = 0xfc, [262] = 0xff };

	put_text(a, 0, "HIBR");
	put_le(a, 0x0c, 0x3e0, 4);
	put_le(a, 0x18, SAMPLE_PAGE, 4);
	put_le(a, 0x20, 133513449049337618, 8);
	put_le(a, 0x58, 1, 8);		/* NumPagesForLoader */
	put_le(a, 0x68, 2, 8);		/* FirstBootRestorePage */
	put_le(a, 0x70, 4, 8);		/* FirstKernelRestorePage */
	put_le(a, 0x230, 32, 8);	/* KernelPagesProcessed */
	put_le(a, 2 * SAMPLE_PAGE - 1, 0, 1);
	put_le(a, SAMPLE_PAGE, 0x80050033, 8);
	put_le(a, SAMPLE_PAGE + 0x10, 0x1ad000, 8);
	put_page(page, 0, 1);
	put_set(a, 0, (const uint64_t[]){ 1, 1 }, 1, page->data, page->len);
	put_le(a, 4 * SAMPLE_PAGE - 1, 0, 1);
	put_set(a, 0, (const uint64_t[]){ 24, 8, 16, 8 }, 2, plain_set, sizeof(plain_set));
	put_set(a, 2, (const uint64_t[]){ 32, 16 }, 1, huffman_set, sizeof(huffman_set));
	g_byte_array_unref(page);
	return a;
}

static size_t put_string(GByteArray *a, const char *text)
{
	size_t at = a->len;

	put_le(a, at, 2 * strlen(text), 4);
	put_utf16(a, at + 4, text);
	put_le(a, a->len, 0, 2);
	return at;
}

/* One stream into the directory; the caller has put its bytes from `from` to the end. */
static void close_stream(GByteArray *a, unsigned *streams, uint32_t type, size_t from)
{
	size_t entry = 32 + 12 * (*streams)++;

	put_le(a, entry, type, 4);
	put_le(a, entry + 4, a->len - from, 4);
	put_le(a, entry + 8, from, 4);
	put_le(a, 8, *streams, 4);
}

GByteArray *sample_minidump(void)
{
	GByteArray *a = g_byte_array_new();
	unsigned streams = 0;
	size_t at, name, type, context, cv;

	put_text(a, 0, "MDMP");
	put_le(a, 4, 0xa793, 4);
	put_le(a, 12, 32, 4);
	put_le(a, 20, 1700000000, 4);
	put_le(a, 24, 6, 8);
	put_le(a, 32 + 12 * 16 - 1, 0, 1);
	name = put_string(a, "C:\\a.exe");
	type = put_string(a, "File");
	context = a->len;
	put_le(a, context + 0xf8, 0x7ff612345678, 8);
	put_le(a, context + 0x98, 0x1000ff8, 8);
	put_le(a, context + 0x4cf, 0, 1);
	cv = a->len;
	put(a, cv, "RSDS\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff\2\0\0\0a.pdb", 30);

	at = a->len;			/* SystemInfo */
	put_le(a, at, 9, 2);
	put_le(a, at + 6, 4, 1);
	put_le(a, at + 7, 1, 1);
	put_le(a, at + 8, 10, 4);
	put_le(a, at + 0x10, 19041, 4);
	put_le(a, at + 0x37, 0, 1);
	close_stream(a, &streams, 7, at);
	at = a->len;			/* MiscInfo */
	put_le(a, at, 24, 4);
	put_le(a, at + 4, 3, 4);
	put_le(a, at + 8, 4242, 4);
	put_le(a, at + 12, 1699999999, 4);
	put_le(a, at + 23, 0, 1);
	close_stream(a, &streams, 15, at);
	at = a->len;			/* ModuleList */
	put_le(a, at, 1, 4);
	put_le(a, at + 4, 0x7ff600000000, 8);
	put_le(a, at + 12, 0x5000, 4);
	put_le(a, at + 16, 0xabc, 4);
	put_le(a, at + 20, 0x60000000, 4);
	put_le(a, at + 24, name, 4);
	put_le(a, at + 28, 0xfeef04bd, 4);
	put_le(a, at + 36, 10 << 16, 4);
	put_le(a, at + 40, 19041u << 16 | 5, 4);
	put_le(a, at + 4 + 0x4c, 30, 4);
	put_le(a, at + 4 + 0x50, cv, 4);
	put_le(a, at + 4 + 107, 0, 1);
	close_stream(a, &streams, 4, at);
	at = a->len;			/* ThreadList */
	put_le(a, at, 1, 4);
	put_le(a, at + 4, 4300, 4);
	put_le(a, at + 4 + 0x10, 0x2000, 8);
	put_le(a, at + 4 + 0x28, 0x4d0, 4);
	put_le(a, at + 4 + 0x2c, context, 4);
	close_stream(a, &streams, 3, at);
	at = a->len;			/* ThreadInfoList */
	put_le(a, at, 12, 4);
	put_le(a, at + 4, 64, 4);
	put_le(a, at + 8, 1, 4);
	put_le(a, at + 12, 4300, 4);
	put_le(a, at + 12 + 0x10, 133513449049337618, 8);
	put_le(a, at + 12 + 0x30, 0x7ff600001000, 8);
	put_le(a, at + 12 + 63, 0, 1);
	close_stream(a, &streams, 17, at);
	at = a->len;			/* MemoryInfoList */
	put_le(a, at, 16, 4);
	put_le(a, at + 4, 48, 4);
	put_le(a, at + 8, 1, 8);
	put_le(a, at + 16, 0x10000, 8);
	put_le(a, at + 24, 0x10000, 8);
	put_le(a, at + 32, 4, 4);
	put_le(a, at + 40, 0x2000, 8);
	put_le(a, at + 48, 0x1000, 4);
	put_le(a, at + 52, 0x40, 4);
	put_le(a, at + 56, 0x20000, 4);
	put_le(a, at + 60, 0, 4);
	close_stream(a, &streams, 16, at);
	at = a->len;			/* HandleData */
	put_le(a, at, 16, 4);
	put_le(a, at + 4, 32, 4);
	put_le(a, at + 8, 1, 4);
	put_le(a, at + 16, 0x44, 8);
	put_le(a, at + 24, type, 4);
	put_le(a, at + 28, name, 4);
	put_le(a, at + 36, 0x120089, 4);
	put_le(a, at + 47, 0, 1);
	close_stream(a, &streams, 12, at);
	at = a->len;			/* Exception */
	put_le(a, at, 4300, 4);
	put_le(a, at + 8, 0xc0000005, 4);
	put_le(a, at + 0x18, 0x7ff612345678, 8);
	put_le(a, at + 0xa7, 0, 1);
	put_le(a, at + 0xa0, 0x4d0, 4);
	put_le(a, at + 0xa4, context, 4);
	close_stream(a, &streams, 6, at);
	at = a->len;			/* Memory64List: 0x10000-0x12000, 0x30000-0x31000 */
	put_le(a, at, 2, 8);
	put_le(a, at + 8, at + 48, 8);
	put_le(a, at + 16, 0x10000, 8);
	put_le(a, at + 24, 0x2000, 8);
	put_le(a, at + 32, 0x30000, 8);
	put_le(a, at + 40, 0x1000, 8);
	close_stream(a, &streams, 9, at);
	put_page(a, a->len, 0x10);
	put_page(a, a->len, 0x11);
	put_page(a, a->len, 0x30);
	return a;
}

GByteArray *sample_packed(GByteArray *data, const char *with)
{
	GByteArray *out = g_byte_array_new();
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();
	size_t used = 0;

	g_byte_array_set_size(out, data->len + 65536);
	if (!strcmp(with, "zip")) {
		archive_write_set_format_zip(a);
	} else {
		archive_write_set_format_raw(a);
		archive_write_add_filter_by_name(a, with);
	}
	archive_write_set_bytes_in_last_block(a, 1);
	archive_write_open_memory(a, out->data, out->len, &used);
	if (!strcmp(with, "zip")) {	/* a small file first: the dump is the largest */
		archive_entry_set_pathname(entry, "notes.txt");
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_size(entry, 5);
		archive_write_header(a, entry);
		archive_write_data(a, "notes", 5);
		archive_entry_clear(entry);
	}
	archive_entry_set_pathname(entry, "memory.dmp");
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_size(entry, data->len);
	archive_write_header(a, entry);
	archive_write_data(a, data->data, data->len);
	archive_write_close(a);
	archive_write_free(a);
	archive_entry_free(entry);
	g_byte_array_set_size(out, (guint)used);
	g_byte_array_unref(data);
	return out;
}

static GByteArray *packed_gzip(void) { return sample_packed(sample_full64(), "gzip"); }
static GByteArray *packed_xz(void) { return sample_packed(sample_lime(), "xz"); }
static GByteArray *packed_zstd(void) { return sample_packed(sample_flattened(), "zstd"); }
static GByteArray *packed_zip(void) { return sample_packed(sample_full64(), "zip"); }

const struct sample samples[] = {
	{ "full64", sample_full64 }, { "full32", sample_full32 }, { "bitmap64", sample_bitmap64 }, { "summary64", sample_summary64 },
	{ "summary32", sample_summary32 }, { "rdmp", sample_rdmp }, { "triage64", sample_triage64 }, { "triage32", sample_triage32 },
	{ "lime", sample_lime }, { "avml", sample_avml }, { "vmrs", sample_vmrs }, { "vmss", sample_vmss }, { "vmsn", sample_vmsn }, { "elf", sample_elf }, { "kdump", sample_kdump },
	{ "flattened", sample_flattened }, { "hibernation", sample_hibernation }, { "minidump", sample_minidump },
	{ "gzip", packed_gzip }, { "xz", packed_xz }, { "zstd", packed_zstd }, { "zip", packed_zip }, { NULL, NULL },
};
