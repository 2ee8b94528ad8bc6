/* SPDX-License-Identifier: Apache-2.0 */
/* Containers that hold memory as it is: raw, LiME, ELF core as QEMU writes it. */
#include "writers.h"
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void put_le(uint8_t *to, uint64_t value, unsigned width)
{
	value = GUINT64_TO_LE(value);
	memcpy(to, &value, width);
}

void output_bytes(struct output *o, const void *bytes, size_t length)
{
	if (fseeko(o->file, (off_t)o->at, SEEK_SET) == 0)
		(void)!fwrite(bytes, 1, length, o->file);	/* errors stay with the stream: sample_write looks */
	o->at += length;
}

void output_zeros(struct output *o, uint64_t length)
{
	o->at += length;
}

void output_page(struct output *o, uint64_t pfn)
{
	static const uint8_t zeros[PAGE_SIZE];
	const uint8_t *page = o->sample->memory->bytes + pfn * PAGE_SIZE;

	if (memcmp(page, zeros, PAGE_SIZE))
		output_bytes(o, page, PAGE_SIZE);
	else
		output_zeros(o, PAGE_SIZE);
}

bool output_holds(const struct output *o, uint64_t pfn, bool kernel_only)
{
	const struct memory *m = o->sample->memory;

	if (pfn >= m->size / PAGE_SIZE || !(m->frames[pfn] & FRAME_RAM) || (m->frames[pfn] & FRAME_LOST))
		return false;
	return !kernel_only || ((m->frames[pfn] & FRAME_USED) && !(m->frames[pfn] & FRAME_USER));
}

bool output_run(const struct output *o, bool kernel_only, uint64_t *pfn, uint64_t *pages)
{
	uint64_t end = o->sample->memory->size / PAGE_SIZE;

	while (*pfn < end && !output_holds(o, *pfn, kernel_only))
		(*pfn)++;
	for (*pages = 0; *pfn + *pages < end && output_holds(o, *pfn + *pages, kernel_only); (*pages)++)
		;
	return *pages > 0;
}

uint64_t output_lie(const struct output *o, const char *key, uint64_t otherwise)
{
	const GPtrArray *items = o->sample->description->items;

	for (guint i = 0; i < items->len; i++) {
		struct item *item = items->pdata[i];
		if (item_is(item, "defect") && !strcmp(item_text(item, "kind", ""), "header") && item_has(item, key))
			return item_number(item, key, otherwise);
	}
	return otherwise;
}

/* ---- raw: physical address and file offset are one */

static void write_raw(struct output *o)
{
	for (uint64_t pfn = 0; pfn < o->sample->memory->size / PAGE_SIZE; pfn++)
		if (output_holds(o, pfn, false))
			output_page(o, pfn);
		else
			output_zeros(o, PAGE_SIZE);
}

/* ---- LiME: magic, version, first and last byte, 8 reserved; then the range */

static void write_lime(struct output *o)
{
	for (uint64_t pfn = 0, pages; output_run(o, false, &pfn, &pages); pfn += pages) {
		uint8_t header[32] = { 0 };
		put_le(header, 0x4c694d45, 4);
		put_le(header + 4, 1, 4);
		put_le(header + 8, pfn * PAGE_SIZE, 8);
		put_le(header + 16, (pfn + pages) * PAGE_SIZE - 1, 8);
		output_bytes(o, header, sizeof(header));
		for (uint64_t i = 0; i < pages; i++)
			output_page(o, pfn + i);
	}
}

/* ---- ELF, with QEMU's note of the processor's registers */

/* QEMUCPUState of x86: version, size, 18 registers from rax, rip at 16, rflags at 17, then ten segments of
 * 24 bytes, and CR0-CR4. */
#define CPU_STATE_SIZE 440u

static void cpu_note(struct output *o, uint8_t *note)
{
	static const char name[8] = "QEMU";
	uint8_t *state = note + 12 + 8;

	put_le(note, 5, 4);
	put_le(note + 4, CPU_STATE_SIZE, 4);
	put_le(note + 8, 0, 4);
	memcpy(note + 12, name, 8);
	put_le(state, 1, 4);
	put_le(state + 4, CPU_STATE_SIZE, 4);
	put_le(state + 8 + 8 * 16, o->sample->kernel_base + o->sample->kernel->entry_point, 8);
	put_le(state + 8 + 8 * 17, 0x246, 8);
	put_le(state + 392, 0x80050033, 8);
	put_le(state + 392 + 24, o->sample->memory->system_root, 8);
	put_le(state + 392 + 32, 0x6f8, 8);
}

static void write_elf(struct output *o)
{
	Elf64_Ehdr header = { .e_type = ET_CORE, .e_machine = o->sample->width == 4 ? EM_386 : EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(Elf64_Ehdr),
			      .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr) };
	uint8_t note[20 + CPU_STATE_SIZE] = { 0 };
	uint64_t runs = 0, pages;

	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages)
		runs++;
	memcpy(header.e_ident, (const uint8_t[]){ 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, 7);
	header.e_phnum = (uint16_t)(runs + 1);
	uint64_t offset = sizeof(header) + (runs + 1) * sizeof(Elf64_Phdr);
	Elf64_Phdr segment = { .p_type = PT_NOTE, .p_offset = offset, .p_filesz = sizeof(note), .p_memsz = sizeof(note) };
	output_bytes(o, &header, sizeof(header));
	output_bytes(o, &segment, sizeof(segment));
	offset += sizeof(note);
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages) {
		segment = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offset, .p_paddr = pfn * PAGE_SIZE,
					.p_filesz = pages * PAGE_SIZE, .p_memsz = pages * PAGE_SIZE };
		output_bytes(o, &segment, sizeof(segment));
		offset += pages * PAGE_SIZE;
	}
	cpu_note(o, note);
	output_bytes(o, note, sizeof(note));
	for (uint64_t pfn = 0; output_run(o, false, &pfn, &pages); pfn += pages)
		for (uint64_t i = 0; i < pages; i++)
			output_page(o, pfn + i);
}

const struct writer raw_writers[] = {
	{ "raw", write_raw }, { "lime", write_lime }, { "elf", write_elf }, { NULL, NULL }
};

/* ---- */

static const struct writer *find_writer(const char *format)
{
	const struct writer *const tables[] = { raw_writers, crash_writers, triage_writers, machine_writers, vmrs_writers };

	for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
		for (const struct writer *w = tables[i]; w->format; w++)
			if (!strcmp(w->format, format))
				return w;
	return NULL;
}

/* `defect kind=truncate`: by bytes= (what is left) or cut= (what is missing). */
static uint64_t truncated(const struct sample *s, uint64_t size)
{
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (!item_is(item, "defect") || strcmp(item_text(item, "kind", ""), "truncate"))
			continue;
		uint64_t left = item_number(item, "bytes", size - MIN(size, item_number(item, "cut", 0)));
		return MIN(left, size);
	}
	return size;
}

bool sample_write(struct sample *s, const char *path, GError **error)
{
	struct output o = { .sample = s, .item = description_item(s->description, "output") };
	const struct writer *writer;

	o.path = path;
	o.format = item_text(o.item, "format", "raw");
	writer = find_writer(o.format);
	if (!writer)
		item_fail(o.item, "format: there is none called \"%s\"", o.format);
	o.file = fopen(path, "wb");
	if (o.file) {
		writer->write(&o);
		bool bad = ferror(o.file) || fflush(o.file) || ftruncate(fileno(o.file), (off_t)truncated(s, o.at));
		if (!fclose(o.file) && !bad)
			return true;
	}
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: %s", path, g_strerror(errno));
	return false;
}
