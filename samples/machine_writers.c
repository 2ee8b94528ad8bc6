/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that machines and hypervisors write around memory: VMware's state with its memory inside or beside it, kdump-compressed
 * dumps whole and split, hibernation files, AVML's compressed images, VirtualBox's ELF cores.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include "writers.h"

static void put_bytes(GByteArray *a, const void *bytes, size_t n)
{
	g_byte_array_append(a, bytes, (guint)n);
}

static void put_number(GByteArray *a, uint64_t value, unsigned width)
{
	uint8_t raw[8];

	put_le(raw, value, width);
	put_bytes(a, raw, width);
}

static const uint8_t *page_of(const struct output *o, uint64_t pfn)
{
	return o->sample->memory->bytes + pfn * PAGE_SIZE;
}

/* A second file of the same dump, named by exchanging the end of the first one's. */
static FILE *open_beside(const struct output *o, const char *ends, const char *with)
{
	if (!g_str_has_suffix(o->path, ends))
		item_fail(o->item, "the file of this format must be called …%s", ends);
	g_autofree char *stem = g_strndup(o->path, strlen(o->path) - strlen(ends)), *path = g_strconcat(stem, with, NULL);
	FILE *file = fopen(path, "wb");

	if (!file)
		item_fail(o->item, "%s: %s", path, g_strerror(errno));
	return file;
}

/* ---- VMware */

static void put_tag(GByteArray *a, const char *name, unsigned indices, const uint32_t *index, uint64_t value, unsigned width)
{
	put_number(a, indices << 6 | width, 1);
	put_number(a, strlen(name), 1);
	put_bytes(a, name, strlen(name));
	for (unsigned i = 0; i < indices; i++)
		put_number(a, index[i], 4);
	if (width < 62)
		put_number(a, value, width);
}

/* The machine's memory run after run: what regions tell of. */
static void put_runs(const struct output *o, GByteArray *a)
{
	for (uint64_t pfn = 0, pages; output_run(o, false, &pfn, &pages); pfn += pages)
		put_bytes(a, page_of(o, pfn), pages * PAGE_SIZE);
}

static void write_state(struct output *o, const GByteArray *memory)
{
	g_autoptr(GByteArray) a = g_byte_array_new();
	const uint32_t cr3[] = { 0, 3 };
	uint64_t file_page = 0, pages, lie = output_lie(o, "ppn", 0);
	uint32_t regions = 0;
	guint group;

	put_number(a, output_lie(o, "signature", 0xbed3bed3), 4);
	put_number(a, 8, 4);
	put_number(a, output_lie(o, "groups", 2), 4);
	g_byte_array_set_size(a, 12 + 2 * 80);
	memset(a->data + 12, 0, 2 * 80);
	memcpy(a->data + 12, "cpu", 3);
	memcpy(a->data + 12 + 80, "memory", 6);
	put_le(a->data + 12 + 64, a->len, 8);
	put_tag(a, "CR64", 2, cr3, o->sample->memory->system_root, 8);
	put_number(a, 0, 2);
	group = a->len;
	put_le(a->data + 12 + 80 + 64, group, 8);
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages, regions++)
		;
	put_tag(a, "regionsCount", 0, NULL, output_lie(o, "regions", regions), 4);
	regions = 0;
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages, regions++) {
		put_tag(a, "regionPPN", 1, &regions, pfn + lie, 4);
		put_tag(a, "regionPageNum", 1, &regions, file_page, 4);
		put_tag(a, "regionSize", 1, &regions, pages, 4);
		file_page += pages;
	}
	if (memory) {
		const uint32_t index[] = { 0, 0 };
		put_tag(a, "Memory", 2, index, 0, 63);
		put_number(a, memory->len, 8);
		put_number(a, memory->len, 8);
		put_number(a, 0, 2);
		put_bytes(a, memory->data, memory->len);
	}
	put_number(a, 0, 2);
	output_bytes(o, a->data, a->len);
}

static void write_vmss(struct output *o)
{
	g_autoptr(GByteArray) memory = g_byte_array_new();

	put_runs(o, memory);
	write_state(o, memory);
}

static void write_vmem(struct output *o)
{
	g_autoptr(GByteArray) memory = g_byte_array_new();
	FILE *file = open_beside(o, ".vmss", ".vmem");

	put_runs(o, memory);
	if (fwrite(memory->data, 1, memory->len, file) != memory->len || fclose(file))
		item_fail(o->item, "the memory can't be written");
	write_state(o, NULL);
}

/* ---- kdump: header, sub header, two bitmaps, a descriptor a page, pages by zlib where that makes them smaller */

#define KDUMP_BLOCK PAGE_SIZE

static void write_kdump_part(struct output *o, FILE *other, uint64_t from, uint64_t to, bool split)
{
	uint64_t frames = o->sample->memory->size / PAGE_SIZE, n = 0, bitmap = ((frames + 7) / 8 + KDUMP_BLOCK - 1) / KDUMP_BLOCK;
	uint64_t table = (2 + 2 * bitmap) * KDUMP_BLOCK, at;
	g_autoptr(GByteArray) a = g_byte_array_new(), data = g_byte_array_new();

	g_byte_array_set_size(a, (guint)table);
	memset(a->data, 0, a->len);
	memcpy(a->data, "KDUMP   ", 8);
	put_le(a->data + 8, 6, 4);
	memcpy(a->data + 0x0c, "Linux", 5);
	memcpy(a->data + 0x0c + 4 * 65, "x86_64", 6);
	put_le(a->data + 0x1ac, output_lie(o, "block", KDUMP_BLOCK), 4);
	put_le(a->data + 0x1b0, 1, 4);
	put_le(a->data + 0x1b4, 2 * bitmap, 4);
	put_le(a->data + 0x1b8, frames, 4);
	put_le(a->data + KDUMP_BLOCK + 0x0c, split, 4);
	put_le(a->data + KDUMP_BLOCK + 0x50, from, 8);
	put_le(a->data + KDUMP_BLOCK + 0x58, to, 8);
	put_le(a->data + KDUMP_BLOCK + 0x60, frames, 8);
	for (uint64_t pfn = 0; pfn < frames; pfn++)
		if (output_holds(o, pfn, false)) {
			a->data[2 * KDUMP_BLOCK + pfn / 8] |= (uint8_t)(1u << (pfn & 7));
			a->data[(2 + bitmap) * KDUMP_BLOCK + pfn / 8] |= (uint8_t)(1u << (pfn & 7));
			n += pfn >= from && pfn < to;
		}
	at = table + n * 24;
	for (uint64_t pfn = from; pfn < MIN(to, frames); pfn++) {
		uint8_t packed[2 * PAGE_SIZE];
		uLongf length = sizeof(packed);
		if (!output_holds(o, pfn, false))
			continue;
		bool smaller = compress2(packed, &length, page_of(o, pfn), PAGE_SIZE, 6) == Z_OK && length < PAGE_SIZE;
		length = smaller ? length : PAGE_SIZE;
		put_number(a, at + data->len, 8);
		put_number(a, length, 4);
		put_number(a, smaller, 4);	/* DUMP_DH_COMPRESSED_ZLIB */
		put_number(a, 0, 8);
		put_bytes(data, smaller ? packed : page_of(o, pfn), length);
	}
	put_bytes(a, data->data, data->len);
	if (!other)
		output_bytes(o, a->data, a->len);
	else if (fwrite(a->data, 1, a->len, other) != a->len || fclose(other))
		item_fail(o->item, "the other part can't be written");
}

/* `split`: into two files, NAME-1.kdump and NAME-2.kdump. */
static void write_kdump(struct output *o)
{
	uint64_t frames = o->sample->memory->size / PAGE_SIZE;

	if (!item_flag(o->item, "split")) {
		write_kdump_part(o, NULL, 0, frames, false);
		return;
	}
	write_kdump_part(o, open_beside(o, "-1.kdump", "-2.kdump"), frames / 2, frames, true);
	write_kdump_part(o, NULL, 0, frames / 2, true);
}

/* ---- hibernation file: PO_MEMORY_IMAGE of 17763-19045, the processor's state, one restoration set */

#define SET_PAGES 16u

/* Xpress: a zero byte, then one match that repeats it. */
static void put_zeros_packed(GByteArray *a, size_t size)
{
	put_number(a, 0x40000000u, 4);
	put_number(a, 0, 1);
	put_number(a, 7, 2);
	put_number(a, 15, 1);
	put_number(a, 255, 1);
	put_number(a, size - 1 - 3, 2);
}

static void write_hibernation(struct output *o)
{
	static const uint8_t zeros[PAGE_SIZE];
	g_autoptr(GByteArray) a = g_byte_array_new();
	uint64_t pages, total = 0;

	g_byte_array_set_size(a, 3 * PAGE_SIZE);
	memset(a->data, 0, a->len);
	memcpy(a->data, item_text(o->item, "signature", "HIBR"), 4);
	put_le(a->data + 0x0c, output_lie(o, "length", 0x3e0), 4);
	put_le(a->data + 0x20, o->sample->time, 8);
	put_le(a->data + 0x70, output_lie(o, "first", 3), 8);
	put_le(a->data + PAGE_SIZE, 0x80050033, 8);
	put_le(a->data + PAGE_SIZE + 0x10, o->sample->memory->system_root, 8);
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages)
		for (uint64_t done = 0, n; done < pages; done += n) {
			bool blank = !memcmp(page_of(o, pfn + done), zeros, PAGE_SIZE);
			for (n = 1; n < MIN(SET_PAGES, pages - done) && !memcmp(page_of(o, pfn + done + n), zeros, PAGE_SIZE) == blank; n++)
				;
			guint head = a->len;
			put_number(a, 0, 4);
			put_number(a, (pfn + done) << 4 | (n - 1), 8);
			guint begin = a->len;
			if (blank)
				put_zeros_packed(a, n * PAGE_SIZE);
			else
				put_bytes(a, page_of(o, pfn + done), n * PAGE_SIZE);
			put_le(a->data + head, 1 | (uint64_t)(a->len - begin) << 8, 4);
			total += n;
		}
	put_le(a->data + 0x230, output_lie(o, "pages", total), 8);
	output_bytes(o, a->data, a->len);
}

/* ---- AVML: snappy's frame stream behind LiME's header */

static uint32_t crc32c_masked(const uint8_t *bytes, size_t n)
{
	uint32_t crc = UINT32_MAX;

	while (n--) {
		crc ^= *bytes++;
		for (unsigned i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	crc = ~crc;
	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* A block of snappy: literals, and copies where a byte repeats. The library would compress otherwise from version to version. */
static void put_snappy(GByteArray *a, const uint8_t *bytes, size_t size)
{
	size_t literal = 0;

	for (uint64_t n = size; ; n >>= 7) {
		put_number(a, (n & 0x7f) | (n > 0x7f ? 0x80 : 0), 1);
		if (n <= 0x7f)
			break;
	}
	for (size_t at = 0; at <= size; ) {
		size_t run = 0;
		while (at && at + run < size && run < 64 && bytes[at + run] == bytes[at - 1])
			run++;
		if (run < 8 && at < size) {
			at++;
			continue;
		}
		for (; literal < at; literal += MIN(at - literal, 256)) {
			size_t n = MIN(at - literal, 256);
			put_number(a, n <= 60 ? (n - 1) << 2 : 60 << 2, 1);
			if (n > 60)
				put_number(a, n - 1, 1);
			put_bytes(a, bytes + literal, n);
		}
		if (at >= size)
			break;
		put_number(a, (run - 1) << 2 | 2, 1);
		put_number(a, 1, 2);
		at += run;
		literal = at;
	}
}

static void write_avml(struct output *o)
{
	for (uint64_t pfn = 0, pages; output_run(o, false, &pfn, &pages); pfn += pages) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		uint8_t header[32] = { 0 }, tail[8];
		put_le(header, 0x4c4d5641, 4);
		put_le(header + 4, output_lie(o, "version", 2), 4);
		put_le(header + 8, pfn * PAGE_SIZE, 8);
		put_le(header + 16, (pfn + pages) * PAGE_SIZE - 1, 8);
		put_bytes(a, "\xff\6\0\0sNaPpY", 10);
		for (uint64_t done = 0, n; done < pages; done += n) {
			g_autoptr(GByteArray) block = g_byte_array_new();
			n = MIN(16, pages - done);
			put_snappy(block, page_of(o, pfn + done), n * PAGE_SIZE);
			bool smaller = block->len < n * PAGE_SIZE;
			put_number(a, !smaller, 1);
			put_number(a, 4 + (smaller ? block->len : n * PAGE_SIZE), 3);
			put_number(a, crc32c_masked(page_of(o, pfn + done), n * PAGE_SIZE), 4);
			put_bytes(a, smaller ? block->data : page_of(o, pfn + done), smaller ? block->len : n * PAGE_SIZE);
		}
		put_le(tail, a->len, 8);
		output_bytes(o, header, sizeof(header));
		output_bytes(o, a->data, a->len);
		output_bytes(o, tail, sizeof(tail));
	}
}

/* ---- VirtualBox's ELF core: a note of its own (DBGFCOREDESCRIPTOR) and one a processor (DBGFCORECPU) */

static void put_note(GByteArray *a, const char *name, uint32_t type, const uint8_t *data, uint32_t n)
{
	put_number(a, strlen(name) + 1, 4);
	put_number(a, n, 4);
	put_number(a, type, 4);
	put_bytes(a, name, strlen(name) + 1);
	while (a->len % 4)
		put_number(a, 0, 1);
	put_bytes(a, data, n);
}

static void write_virtualbox(struct output *o)
{
	g_autoptr(GByteArray) notes = g_byte_array_new();
	uint8_t core[24] = { 0 }, cpu[0x400] = { 0 };
	uint64_t runs = 0, pages;

	put_le(core, 0xc01ac0de, 4);
	put_le(core + 4, 0x00010006, 4);
	put_le(core + 8, sizeof(core), 4);
	put_le(core + 20, 1, 4);
	put_le(cpu + 8 * 14, o->sample->kernel_base + o->sample->kernel->entry_point, 8);
	put_le(cpu + 288, 0x80050033, 8);
	put_le(cpu + 304, o->sample->memory->system_root, 8);
	put_note(notes, "VBCORE", 0xb00, core, sizeof(core));
	put_note(notes, "VBCPU", 0xb01, cpu, sizeof(cpu));
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages)
		runs++;
	Elf64_Ehdr header = { .e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(Elf64_Ehdr),
			      .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = (uint16_t)(runs + 1) };
	memcpy(header.e_ident, (const uint8_t[]){ 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, 7);
	uint64_t offset = sizeof(header) + (runs + 1) * sizeof(Elf64_Phdr);
	Elf64_Phdr segment = { .p_type = PT_NOTE, .p_offset = offset, .p_filesz = notes->len };
	output_bytes(o, &header, sizeof(header));
	output_bytes(o, &segment, sizeof(segment));
	offset += notes->len;
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages) {
		segment = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offset, .p_paddr = pfn * PAGE_SIZE, .p_filesz = pages * PAGE_SIZE,
					.p_memsz = pages * PAGE_SIZE, .p_flags = PF_R | PF_W | PF_X };
		output_bytes(o, &segment, sizeof(segment));
		offset += pages * PAGE_SIZE;
	}
	output_bytes(o, notes->data, notes->len);
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages)
		for (uint64_t i = 0; i < pages; i++)
			output_page(o, pfn + i);
}

const struct writer machine_writers[] = {
	{ "vmss", write_vmss }, { "vmem", write_vmem }, { "kdump", write_kdump }, { "hibernation", write_hibernation }, { "avml", write_avml },
	{ "elf-virtualbox", write_virtualbox }, { NULL, NULL }
};
