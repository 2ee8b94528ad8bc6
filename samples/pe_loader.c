/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PE file from this machine's disk laid out as the memory manager maps it: each section at its
 * address, relocated to where it goes. What Windows refuses to map is refused here, for the reasons it has (the checks
 * of section creation as the PE format specification and public write-ups of malformed files tell of them).
 */
#include <string.h>
#include "bytes.h"
#include "sample.h"

enum {
	SECTOR = 0x200,
	IMAGE_MAX = 48 << 20,	/* what fits into a sample's memory */
	SECTIONS_MAX = 2048,
};

struct headers {
	uint32_t nt, optional, optional_size, table, sections;
	uint32_t section_alignment, file_alignment, size_of_image, size_of_headers, entry_point;
	uint64_t image_base;
	uint32_t relocations, relocations_size;
	uint16_t machine, characteristics;
	bool is_64bit;
};

static const char *read_headers(const uint8_t *data, size_t length, struct headers *h)
{
	struct bytes b = { data, length, false };

	if (bytes_at(&b, 0, 2) != 0x5a4d)
		return "no MZ";
	h->nt = (uint32_t)bytes_at(&b, 0x3c, 4);
	if (h->nt % 4 || bytes_at(&b, h->nt, 4) != 0x4550)
		return "no PE header";
	h->machine = (uint16_t)bytes_at(&b, h->nt + 4, 2);
	h->sections = (uint32_t)bytes_at(&b, h->nt + 6, 2);
	h->optional_size = (uint32_t)bytes_at(&b, h->nt + 20, 2);
	h->characteristics = (uint16_t)bytes_at(&b, h->nt + 22, 2);
	h->optional = h->nt + 24;
	h->table = h->optional + h->optional_size;
	unsigned magic = (unsigned)bytes_at(&b, h->optional, 2);
	h->is_64bit = magic == 0x20b;
	if (magic != 0x10b && magic != 0x20b)
		return "no optional header";
	h->entry_point = (uint32_t)bytes_at(&b, h->optional + 16, 4);
	h->image_base = bytes_at(&b, h->optional + (h->is_64bit ? 24 : 28), h->is_64bit ? 8 : 4);
	h->section_alignment = (uint32_t)bytes_at(&b, h->optional + 32, 4);
	h->file_alignment = (uint32_t)bytes_at(&b, h->optional + 36, 4);
	h->size_of_image = (uint32_t)bytes_at(&b, h->optional + 56, 4);
	h->size_of_headers = (uint32_t)bytes_at(&b, h->optional + 60, 4);
	if (b.bad)
		return "cut short";
	uint32_t directories = h->optional + (h->is_64bit ? 112 : 96), count = (uint32_t)bytes_at(&b, directories - 4, 4);
	if (!b.bad && count > 5) {
		h->relocations = (uint32_t)bytes_at(&b, directories + 8 * 5, 4);
		h->relocations_size = (uint32_t)bytes_at(&b, directories + 8 * 5 + 4, 4);
	}
	if (!(h->characteristics & 2))
		return "not marked as executable";
	if (h->machine != 0x14c && h->machine != 0x8664 && h->machine != 0xaa64 && h->machine != 0x1c4)
		return "another processor's";
	if ((h->is_64bit) != (h->machine == 0x8664 || h->machine == 0xaa64))
		return "processor and optional header disagree";
	if (!h->file_alignment || h->file_alignment & (h->file_alignment - 1) || !h->section_alignment ||
	    h->section_alignment & (h->section_alignment - 1) || h->section_alignment < h->file_alignment)
		return "alignments make no sense";
	if (!h->size_of_image || h->size_of_headers > h->size_of_image)
		return "sizes make no sense";
	return h->size_of_image > IMAGE_MAX ? "too large for a sample" : NULL;
}

/* As Windows does for a header on its page: what the file has, up to the size of the headers. */
static void map_headers(struct executable *x, const struct headers *h, const uint8_t *data, size_t length)
{
	uint32_t size = (uint32_t)MIN(MIN(MAX(h->size_of_headers, PAGE_SIZE), length), x->size);

	memcpy(x->bytes, data, size);
}

static uint8_t protection_of(uint32_t characteristics)
{
	bool execute = characteristics & 0x20000000, write = characteristics & 0x80000000;

	return execute ? write ? MM_EXECUTE_WRITECOPY : MM_EXECUTE_READ : write ? MM_WRITECOPY : MM_READONLY;
}

static const char *map_sections(struct executable *x, const struct headers *h, const uint8_t *data, size_t length)
{
	struct bytes b = { data, length, false };
	uint64_t next = (h->size_of_headers + (uint64_t)h->section_alignment - 1) & ~(uint64_t)(h->section_alignment - 1);
	for (uint32_t i = 0; i < h->sections; i++) {
		uint64_t at = h->table + 40 * (uint64_t)i;
		struct bytes entry = bytes_slice(b, at, 40);
		if (entry.bad)
			return "section table cut short";
		uint32_t virtual_size = (uint32_t)bytes_at(&entry, 8, 4), address = (uint32_t)bytes_at(&entry, 12, 4);
		uint32_t raw_size = (uint32_t)bytes_at(&entry, 16, 4), offset = (uint32_t)bytes_at(&entry, 20, 4);
		uint32_t characteristics = (uint32_t)bytes_at(&entry, 36, 4);
		uint32_t raw = offset & ~(SECTOR - 1);
		uint64_t size = virtual_size ? virtual_size : raw_size;
		if (address % PAGE_SIZE || address != next || !size || address + size > x->size)
			return "sections that don't follow each other";
		uint64_t pages = (size + PAGE_SIZE - 1) & ~(uint64_t)PAGE_MASK;
		next = address + ((size + h->section_alignment - 1) & ~(uint64_t)(h->section_alignment - 1));
		/* Whole sectors are read; the file may end within the last one. */
		uint64_t filled = MIN(((uint64_t)raw_size + SECTOR - 1) & ~(uint64_t)(SECTOR - 1), pages);
		if (!offset)
			filled = 0;
		if (filled && raw >= length)
			return "a section past the end of the file";
		filled = MIN(filled, length - MIN(raw, length));
		memcpy(x->bytes + address, data + raw, MIN(filled, x->size - address));
		x->sections[x->section_count++] = (struct executable_section){
			.name = "", .rva = address, .size = (uint32_t)MIN(pages, x->size - address), .characteristics = characteristics,
			.protection = protection_of(characteristics),
		};
	}
	return NULL;
}

static void add(struct executable *x, uint32_t at, unsigned width, uint64_t delta)
{
	uint64_t value = 0;

	if (at > x->size - width)
		return;
	memcpy(&value, x->bytes + at, width);
	value = GUINT64_TO_LE(GUINT64_FROM_LE(value) + delta);
	memcpy(x->bytes + at, &value, width);
}

static void relocate(struct executable *x, const struct headers *h, uint64_t base)
{
	struct bytes b = { x->bytes, x->size, false };
	uint64_t at = h->relocations, end = at + h->relocations_size, base_at = h->optional + (h->is_64bit ? 24 : 28);
	uint64_t delta = base - h->image_base;

	if (!delta || !h->relocations || h->characteristics & 1)
		return;
	while (at + 8 <= end) {
		uint32_t page = (uint32_t)bytes_at(&b, at, 4), size = (uint32_t)bytes_at(&b, at + 4, 4);
		if (b.bad || size < 8 || at + size > end)
			break;
		for (uint32_t i = 8; i + 2 <= size && !b.bad; i += 2) {
			unsigned entry = (unsigned)bytes_at(&b, at + i, 2), type = entry >> 12;
			uint64_t target = (uint64_t)page + (entry & 0xfff);
			if (target < x->size && (type == 3 || type == 10))
				add(x, (uint32_t)target, type == 3 ? 4 : 8, delta);
			else if (target < x->size && (type == 1 || type == 2))	/* the upper and the lower half of an address */
				add(x, (uint32_t)target, 2, type == 1 ? delta >> 16 : delta);
		}
		at += size;
	}
	add(x, (uint32_t)base_at, h->is_64bit ? 8 : 4, delta);
}

static struct executable *create(uint32_t size, uint32_t sections, uint64_t base)
{
	struct executable *x = g_new0(struct executable, 1);

	x->loaded = true;
	x->base = base;
	x->size = (size + PAGE_MASK) & ~PAGE_MASK;
	x->bytes = g_malloc0(x->size);
	x->sections = g_new0(struct executable_section, sections + 1);
	x->exports = g_ptr_array_new();
	x->imports = g_array_new(FALSE, TRUE, sizeof(struct executable_import));
	return x;
}

struct executable *executable_load_flat(const char *path, uint64_t base, const char **why)
{
	g_autofree char *data = NULL;
	size_t length;

	*why = "can't be read";
	if (!g_file_get_contents(path, &data, &length, NULL) || !length || length > IMAGE_MAX)
		return NULL;
	struct executable *x = create((uint32_t)length, 1, base);
	x->is_64bit = true;
	memcpy(x->bytes, data, length);
	x->sections[x->section_count++] = (struct executable_section){ .name = "", .size = x->size, .protection = MM_EXECUTE_WRITECOPY };
	return x;
}

struct executable *executable_load(const char *path, uint64_t base, const char **why)
{
	g_autofree char *data = NULL;
	struct headers h = { 0 };
	size_t length;

	*why = "can't be read";
	if (!g_file_get_contents(path, &data, &length, NULL) || (*why = read_headers((const uint8_t *)data, length, &h)))
		return NULL;
	struct executable *x = create(h.size_of_image, MIN(h.sections, SECTIONS_MAX), base);
	x->is_64bit = h.is_64bit;
	x->dll = h.characteristics & 0x2000;
	x->entry_point = h.entry_point;
	map_headers(x, &h, (const uint8_t *)data, length);
	if (h.sections > SECTIONS_MAX) {
		*why = "too many sections for a sample";
	} else if (h.section_alignment < PAGE_SIZE) {	/* the file as it is, in one piece */
		memcpy(x->bytes, data, MIN(length, x->size));
		x->sections[x->section_count++] = (struct executable_section){ .name = "", .rva = 0, .size = x->size, .protection = MM_EXECUTE_WRITECOPY };
	} else {
		*why = map_sections(x, &h, (const uint8_t *)data, length);
	}
	if (*why) {
		executable_destroy(x);
		return NULL;
	}
	relocate(x, &h, base);
	return x;
}
