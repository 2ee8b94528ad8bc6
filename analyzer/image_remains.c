/* SPDX-License-Identifier: Apache-2.0 */
#include "image_remains.h"
#include <string.h>
#include "bytes.h"

enum {
	FUNCTIONS = 8,		/* entries that make a function table */
	RELOCATIONS = 16,	/* entries that make relocation blocks */
	NAMES = 2,		/* imported functions that make a table of imports … */
	THUNKS = 32,		/* … of so many looked at */
	DESCRIPTOR = 20,	/* IMAGE_IMPORT_DESCRIPTOR */
	DESCRIPTORS = 1024,
	DIRECTORY = 40,		/* IMAGE_EXPORT_DIRECTORY */
	NAME_MAX_ = 64,
	ANCHORS = 64,		/* tables that are looked at to tell where images begin */
	ON_PAGE = 16,		/* of them on one page */
	CANDIDATES = 4096,	/* pages before a table where its image may begin */
	CANDIDATE_STEPS = 2,	/* of the space, that looking at one costs, */
	SEARCH_STEPS = 7,	/* and looking for a table at each place of a page */
	SLOTS = 4,		/* relocated addresses that must lead into the image */
};

struct search { struct space *space; uint64_t base; uint32_t limit; struct image_remains *out; };

static bool read_at(const struct search *s, uint64_t rva, void *to, size_t length)
{
	return rva < s->limit && length <= s->limit - rva && !space_read(s->space, (va_t){ s->base + rva }, to, length, NULL);
}

/* Printable text of 1 to NAME_MAX_ characters, NUL-terminated or up to memory that isn't there. */
static bool read_name(const struct search *s, uint64_t rva, char name[NAME_MAX_ + 1])
{
	size_t n = 0;

	if (rva >= s->limit)
		return false;
	memset(name, 0, NAME_MAX_ + 1);
	space_read_sparse(s->space, (va_t){ s->base + rva }, name, MIN(NAME_MAX_ + 1u, s->limit - rva));
	while (n <= NAME_MAX_ && name[n] > ' ' && name[n] < 0x7f)
		n++;
	return n && n <= NAME_MAX_ && !name[n];
}

static bool read_library_name(const struct search *s, uint64_t rva)
{
	char name[NAME_MAX_ + 1];
	const char *dot = rva >= PAGE_SIZE && read_name(s, rva, name) ? strrchr(name, '.') : NULL;

	return dot && dot > name && (!g_ascii_strcasecmp(dot, ".dll") || !g_ascii_strcasecmp(dot, ".exe") || !g_ascii_strcasecmp(dot, ".drv") ||
				     !g_ascii_strcasecmp(dot, ".sys") || !g_ascii_strcasecmp(dot, ".ocx") || !g_ascii_strcasecmp(dot, ".cpl"));
}

/* ---- functions and relocations: tables that begin a section, and so a page */

/* IMAGE_RUNTIME_FUNCTION_ENTRY of x64: begin, end, unwind information; sorted. */
static uint32_t function_table(const uint8_t *bytes, uint32_t limit)
{
	struct bytes b = { bytes, PAGE_SIZE, false };
	uint32_t last = 0, n = 0;

	for (; n < PAGE_SIZE / 12; n++) {
		uint32_t begin = bytes_u32(&b), end = bytes_u32(&b), unwind = bytes_u32(&b);
		if (!begin || begin < last || end <= begin || end > limit || unwind >= limit || unwind < PAGE_SIZE)
			break;
		last = end;
	}
	return n >= FUNCTIONS ? n * 12 : 0;
}

/* Version 1 or 2, and flags that exist: of the first functions' unwind information. */
static bool unwinds(const struct search *s, const uint8_t *table)
{
	struct bytes b = { table, PAGE_SIZE, false };

	for (unsigned i = 0; i < FUNCTIONS; i++) {
		uint8_t info;
		if (!read_at(s, bytes_at(&b, 12 * i + 8, 4) & ~UINT64_C(1), &info, 1) || (info & 7) < 1 || (info & 7) > 2 || info >> 3 > 4)
			return false;
	}
	return true;
}

/* IMAGE_BASE_RELOCATION blocks: a page's RVA, the block's size, 16-bit entries. */
static uint32_t relocation_blocks(const uint8_t *bytes, uint32_t limit, bool *is_64bit)
{
	struct bytes b = { bytes, PAGE_SIZE, false };
	uint32_t entries = 0, at = 0, last = 0;

	while (at + 8 <= PAGE_SIZE) {
		uint32_t page = (uint32_t)bytes_at(&b, at, 4), size = (uint32_t)bytes_at(&b, at + 4, 4);
		if (!page || page % PAGE_SIZE || page <= last || page >= limit || size < 10 || size % 4 || size > 8 + 2 * PAGE_SIZE)
			break;
		for (uint32_t i = 8; i + 2 <= MIN(size, PAGE_SIZE - at); i += 2, entries++) {
			unsigned type = (unsigned)bytes_at(&b, at + i, 2) >> 12;
			if (type != 0 && type != PE_RELOCATION_HIGHLOW && type != PE_RELOCATION_DIR64)
				return 0;
			*is_64bit |= type == PE_RELOCATION_DIR64;
		}
		last = page;
		at += size;
	}
	return entries >= RELOCATIONS ? MIN(at, PAGE_SIZE) : 0;
}

/* ---- imports and exports: anywhere */

/*
 * Does a name table of imports begin at rva? Its entries lead to a hint and a name; in 64-bit images they have 8 bytes. One name and the
 * zero after it look the same in both: *is_64bit unless a table of 8-byte entries would reach into another one that begins at `next`.
 */
static bool name_table(const struct search *s, uint64_t rva, uint32_t next, bool *is_64bit)
{
	uint64_t first;
	unsigned names = 0, width = 4;

	if (!read_at(s, rva, &first, sizeof(first)))
		return false;
	*is_64bit = space_pointer_size(s->space) == 8 && (first < s->limit || first >> 63);
	if (*is_64bit && next == rva + 8 && !(first >> 63))
		*is_64bit = false;
	if (*is_64bit)
		width = 8;
	for (unsigned i = 0; i < THUNKS; i++, rva += width) {
		uint64_t value = 0;
		char name[NAME_MAX_ + 1];
		if (!space_spend(s->space, 1) || !read_at(s, rva, &value, width))
			return false;
		if (!value)
			return i && names >= MIN(i, NAMES);
		if (value >> (8 * width - 1))
			names += (value & UINT32_MAX >> 1) <= UINT16_MAX;
		else if (value < PAGE_SIZE || !read_name(s, value + 2, name))
			return false;
		else
			names++;
	}
	return true;
}

static bool descriptor(const struct search *s, const uint8_t *raw, uint32_t next, bool *is_64bit)
{
	struct bytes b = { raw, DESCRIPTOR, false };
	uint32_t names = bytes_u32(&b), stamp = bytes_u32(&b), chain = bytes_u32(&b), name = bytes_u32(&b), slots = bytes_u32(&b);

	return names >= PAGE_SIZE && names < s->limit && names % 4 == 0 && slots >= PAGE_SIZE && slots < s->limit && slots % 4 == 0 && name < s->limit &&
	       (!stamp || stamp == UINT32_MAX) && (!chain || chain == UINT32_MAX) && space_spend(s->space, 1) && read_library_name(s, name) &&
	       name_table(s, names, next, is_64bit);
}

/* The size of the table that begins at rva; 0: none does. *good: descriptors before the one that isn't, at which a table that begins at any of them ends as well. */
static uint32_t import_table(const struct search *s, uint32_t rva, bool *is_64bit, uint32_t *good)
{
	static const uint8_t zeros[DESCRIPTOR];
	uint8_t raw[DESCRIPTOR];
	uint32_t n = 0;
	bool narrow = false;

	while (n < DESCRIPTORS && read_at(s, rva + (uint64_t)n * DESCRIPTOR, raw, sizeof(raw)) && memcmp(raw, zeros, sizeof(raw))) {
		uint32_t next = 0;
		bool wide;
		(void)!read_at(s, rva + (uint64_t)(n + 1) * DESCRIPTOR, &next, sizeof(next));
		if (!descriptor(s, raw, GUINT32_FROM_LE(next), &wide)) {
			*good = n;
			return 0;
		}
		narrow |= !wide;
		n++;
	}
	*is_64bit = !narrow;
	return n ? (n + 1) * DESCRIPTOR : 0;
}

static bool export_directory(const struct search *s, const uint8_t *raw)
{
	struct bytes b = { raw, DIRECTORY, false };
	char name[NAME_MAX_ + 1];
	uint32_t first;

	uint32_t flags = bytes_u32(&b);
	bytes_take(&b, 8);
	uint32_t library = bytes_u32(&b), base = bytes_u32(&b), functions = bytes_u32(&b), names = bytes_u32(&b);
	uint32_t table = bytes_u32(&b), name_list = bytes_u32(&b), ordinals = bytes_u32(&b);
	if (flags || base > UINT16_MAX || !functions || functions > PE_MAX_EXPORTS || names > functions || table < PAGE_SIZE || table >= s->limit ||
	    name_list >= s->limit || ordinals >= s->limit || library >= s->limit || !space_spend(s->space, 1) || !read_library_name(s, library))
		return false;
	return !names || (read_at(s, name_list, &first, 4) && read_name(s, GUINT32_FROM_LE(first), name));
}

/* The first of each that stand on the page. */
static void search_tables(const struct search *s, uint32_t rva, const uint8_t *bytes)
{
	struct image_remains *r = s->out;

	for (uint32_t at = 0; at + DIRECTORY <= PAGE_SIZE && (!r->imports.rva || !r->exports.rva); at += 4) {
		struct bytes b = { bytes + at, DIRECTORY, false };
		bool wide = false;
		/* The name of a DLL, which both have in the same place. */
		uint64_t name = bytes_at(&b, 12, 4);
		if (name < PAGE_SIZE || name >= s->limit)
			continue;
		if (!r->imports.rva && bytes_at(&b, 0, 4)) {
			uint32_t good = 0;
			if ((r->imports.size = import_table(s, rva + at, &wide, &good))) {
				r->imports.rva = rva + at;
				r->is_64bit |= wide;
			} else if (good) {
				at += good * DESCRIPTOR - 4;
			}
		} else if (!r->exports.rva && !bytes_at(&b, 0, 4) && export_directory(s, bytes + at)) {
			r->exports = (struct pe_directory){ rva + at, DIRECTORY };
		}
	}
}

/* ---- sections */

static void add_section(GArray *sections, uint32_t from, uint32_t end, uint32_t characteristics)
{
	struct pe_section section = {
		.number = sections->len, .virtual_address = from, .virtual_size = end - from, .raw_offset = from, .raw_size = end - from,
		.characteristics = characteristics,
	};

	if (end > from && sections->len < PE_MAX_SECTIONS)
		g_array_append_val(sections, section);
}

static uint32_t characteristics_of(const struct page *page)
{
	return PE_SECTION_READ | (page->executable ? PE_SECTION_EXECUTE | PE_SECTION_CODE : 0) |
	       (page->writable || page->copy_on_write ? PE_SECTION_WRITE : 0);
}

/* All pages allow the same: then the functions tell where code is. */
static void split_by_functions(const struct search *s)
{
	struct image_remains *r = s->out;
	uint32_t begin = UINT32_MAX, end = 0, characteristics = g_array_index(r->sections, struct pe_section, 0).characteristics;

	for (uint32_t at = 0; at + 12 <= r->functions.size; at += 12) {
		uint8_t entry[8];
		struct bytes b = { entry, sizeof(entry), false };
		if (!read_at(s, r->functions.rva + (uint64_t)at, entry, sizeof(entry)))
			break;
		uint32_t from = bytes_u32(&b), to = bytes_u32(&b);
		begin = MIN(begin, from);
		end = MAX(end, to);
	}
	if (begin >= end)
		return;
	begin = MAX(begin & ~PAGE_MASK, PAGE_SIZE);
	end = (uint32_t)MIN(((uint64_t)end + PAGE_MASK) & ~(uint64_t)PAGE_MASK, s->limit);
	g_array_set_size(r->sections, 0);
	add_section(r->sections, PAGE_SIZE, begin, characteristics & ~PE_SECTION_CODE);
	add_section(r->sections, begin, end, characteristics);
	add_section(r->sections, end, s->limit, characteristics & ~PE_SECTION_CODE);
}

/* The function table goes on over pages. */
static void measure_functions(const struct search *s)
{
	struct pe_directory *f = &s->out->functions;
	uint32_t last = 0;

	f->size = 0;
	for (uint32_t n = 0; n < PE_MAX_FUNCTIONS; n++) {
		uint8_t entry[12];
		struct bytes b = { entry, sizeof(entry), false };
		if (!read_at(s, f->rva + (uint64_t)f->size, entry, sizeof(entry)))
			return;
		uint32_t begin = bytes_u32(&b), end = bytes_u32(&b), unwind = bytes_u32(&b);
		if (!begin || begin < last || end <= begin || end > s->limit || unwind >= s->limit || unwind < PAGE_SIZE)
			return;
		last = end;
		f->size += 12;
	}
}

/*
 * Only x64 has a function table of this form; what imports and relocations are for isn't told: for the machine's own processor. On
 * ARM64 those of 32 bits are of x86 or ARM: 0.
 */
static uint16_t machine_of(const struct search *s)
{
	if (s->out->functions.rva)
		return PE_MACHINE_AMD64;
	if (s->space->paging == PAGING_ARM64)
		return s->out->is_64bit ? PE_MACHINE_ARM64 : 0;
	return s->out->is_64bit ? PE_MACHINE_AMD64 : PE_MACHINE_I386;
}

bool image_remains_find(struct space *space, uint64_t base, uint32_t limit, struct image_remains *out)
{
	struct search s = { space, base, limit, out };
	uint8_t scratch[PAGE_SIZE];
	uint32_t run = PAGE_SIZE, kind = 0;
	va_t cursor = { base + PAGE_SIZE };
	struct page page;

	*out = (struct image_remains){ .sections = g_array_new(FALSE, TRUE, sizeof(struct pe_section)) };
	if (limit <= PAGE_SIZE || base > UINT64_MAX - limit)
		return false;
	while (space_next_page(space, &cursor, (va_t){ base + limit - 1 }, &page)) {
		const uint8_t *bytes = page_resident(&page) && page.size == PAGE_SIZE ? image_page(space->image, page.pa, scratch) : NULL;
		uint32_t rva = (uint32_t)(page.va.v - base), size, allows = characteristics_of(&page);
		bool wide = false;
		if (!bytes)
			continue;
		if (kind && allows != kind) {
			add_section(out->sections, run, rva, kind);
			run = rva;
		}
		kind = allows;
		if (!out->functions.rva && (size = function_table(bytes, limit)) && unwinds(&s, bytes)) {
			out->functions = (struct pe_directory){ rva, size };
			out->is_64bit = true;
		} else if (!out->relocations.rva && (size = relocation_blocks(bytes, limit, &wide))) {
			out->relocations = (struct pe_directory){ rva, size };
			out->is_64bit |= wide;
		} else if (!space_spend(space, SEARCH_STEPS)) {
			break;
		} else {
			search_tables(&s, rva, bytes);
		}
	}
	add_section(out->sections, run, limit, kind);
	if (out->functions.rva)
		measure_functions(&s);
	out->by_protection = out->sections->len > 1;
	if (out->sections->len == 1 && out->functions.rva)
		split_by_functions(&s);
	out->machine = machine_of(&s);
	return out->functions.rva || out->relocations.rva || out->imports.rva;
}

/* ---- where images begin */

/* A table that tells where its image begins. */
struct anchor { enum { ANCHOR_FUNCTIONS, ANCHOR_RELOCATIONS, ANCHOR_IMPORTS, ANCHOR_EXPORTS } kind; uint64_t va; };

/* Do the first relocated values lead into an image that begins at the base? */
static bool relocations_fit(const struct search *s, uint64_t table)
{
	uint8_t raw[8 + 2 * SLOTS];
	struct bytes b = { raw, sizeof(raw), false };
	unsigned fit = 0, all = 0;

	if (!read_at(s, table - s->base, raw, sizeof(raw)))
		return false;
	uint32_t page = bytes_u32(&b), size = bytes_u32(&b);
	for (unsigned i = 0; i < SLOTS && 8 + 2 * i < size; i++) {
		unsigned entry = bytes_u16(&b), width = entry >> 12 == PE_RELOCATION_DIR64 ? 8 : entry >> 12 == PE_RELOCATION_HIGHLOW ? 4 : 0;
		uint64_t value = 0;
		if (!width)
			continue;
		all++;
		fit += read_at(s, (uint64_t)page + (entry & 0xfff), &value, width) && value - s->base < s->limit;
	}
	return all >= 2 && fit == all;
}

static bool anchor_fits(const struct search *s, const struct anchor *a)
{
	uint8_t raw[FUNCTIONS * 12];
	bool wide = false;

	if (a->kind == ANCHOR_RELOCATIONS)
		return relocations_fit(s, a->va);
	if (!read_at(s, a->va - s->base, raw, sizeof(raw)))
		return false;
	return a->kind == ANCHOR_FUNCTIONS ? unwinds(s, raw) : a->kind == ANCHOR_IMPORTS ? descriptor(s, raw, 0, &wide) : export_directory(s, raw);
}

/* What may be a descriptor of imports or an export directory, wherever the base is. */
static void collect_on_page(uint64_t va, const uint8_t *bytes, uint32_t limit, GArray *anchors)
{
	guint most = MIN(anchors->len + ON_PAGE, ANCHORS);

	for (uint32_t at = 0; at + DIRECTORY <= PAGE_SIZE && anchors->len < most; at += 4) {
		struct bytes b = { bytes + at, DIRECTORY, false };
		uint32_t first = bytes_u32(&b), second = bytes_u32(&b), third = bytes_u32(&b), name = bytes_u32(&b), fifth = bytes_u32(&b);
		uint32_t functions = bytes_u32(&b), names = bytes_u32(&b), table = bytes_u32(&b), name_list = bytes_u32(&b), ordinals = bytes_u32(&b);
		struct anchor a = { ANCHOR_IMPORTS, va + at };
		if (name < PAGE_SIZE || name >= limit)
			continue;
		if (first >= PAGE_SIZE && first < limit && first % 4 == 0 && fifth >= PAGE_SIZE && fifth < limit && fifth % 4 == 0 &&
		    (!second || second == UINT32_MAX) && (!third || third == UINT32_MAX)) {
			g_array_append_val(anchors, a);
			at += DESCRIPTOR - 4;
		} else if (!first && fifth <= UINT16_MAX && functions && functions <= PE_MAX_EXPORTS && names && names <= functions &&
			   table >= PAGE_SIZE && table < limit && name_list >= PAGE_SIZE && name_list < limit && ordinals >= PAGE_SIZE && ordinals < limit) {
			a.kind = ANCHOR_EXPORTS;
			g_array_append_val(anchors, a);
		}
	}
}

static bool within_known(const GArray *bases, const GArray *ends, uint64_t va)
{
	for (guint i = 0; i < bases->len; i++)
		if (va >= g_array_index(bases, uint64_t, i) && va < g_array_index(ends, uint64_t, i))
			return true;
	return false;
}

static GArray *collect_anchors(struct space *space, uint64_t start, uint64_t end, const GArray *bases, const GArray *ends)
{
	GArray *anchors = g_array_new(FALSE, FALSE, sizeof(struct anchor));
	uint32_t limit = (uint32_t)MIN(end - start + 1, UINT32_MAX & ~PAGE_MASK);
	uint8_t scratch[PAGE_SIZE];
	va_t cursor = { start };
	struct page page;

	while (anchors->len < ANCHORS && space_next_page(space, &cursor, (va_t){ end }, &page)) {
		const uint8_t *bytes = page_resident(&page) && page.size == PAGE_SIZE ? image_page(space->image, page.pa, scratch) : NULL;
		struct anchor a = { ANCHOR_FUNCTIONS, page.va.v };
		bool wide = false;
		if (!bytes || within_known(bases, ends, page.va.v))
			continue;
		if (!function_table(bytes, limit)) {
			a.kind = ANCHOR_RELOCATIONS;
			if (!relocation_blocks(bytes, limit, &wide)) {
				collect_on_page(page.va.v, bytes, limit, anchors);
				continue;
			}
		}
		g_array_append_val(anchors, a);
	}
	return anchors;
}

static int compare_addresses(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

void image_remains_bases(struct space *space, uint64_t start, uint64_t end, GArray *bases, GArray *ends)
{
	g_autoptr(GArray) anchors = collect_anchors(space, start, end, bases, ends);
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	for (guint i = 0; i < anchors->len; i++) {
		const struct anchor *a = &g_array_index(anchors, struct anchor, i);
		/* The nearest that fits: of two images of one layout, a table of the second would fit the first as well. */
		uint64_t at = a->va & ~(uint64_t)PAGE_MASK;
		for (unsigned n = 0; n < CANDIDATES && at >= start && !within_known(bases, ends, at) && space_spend(space, CANDIDATE_STEPS); n++, at -= PAGE_SIZE) {
			struct search s = { space, at, (uint32_t)MIN(end - at + 1, UINT32_MAX & ~PAGE_MASK), NULL };
			bool known = false;
			if (anchor_fits(&s, a)) {
				for (guint k = 0; k < found->len && !known; k++)
					known = g_array_index(found, uint64_t, k) == at;
				if (!known)
					g_array_append_val(found, at);
				break;
			}
			if (at < PAGE_SIZE)
				break;
		}
	}
	g_array_sort(found, compare_addresses);
	for (guint i = 0; i < found->len; i++) {
		uint64_t next = i + 1 < found->len ? g_array_index(found, uint64_t, i + 1) : end + 1;
		g_array_append_val(bases, g_array_index(found, uint64_t, i));
		g_array_append_val(ends, next);
	}
}

void image_remains_clear(struct image_remains *r)
{
	g_clear_pointer(&r->sections, g_array_unref);
}

bool image_remains_wanted(const struct pe *pe)
{
	bool directories = false;

	for (unsigned i = 0; i < PE_DIRECTORIES; i++)
		directories |= pe->directories[i].rva != 0;
	/* Below a page, sections aren't mapped apart. */
	return !pe->has_file_header || (!pe_has_sections(pe) && pe->section_alignment >= PAGE_SIZE) || !directories;
}

void image_remains_apply(const struct image_remains *r, struct pe *pe)
{
	const struct { enum pe_directory_index index; const struct pe_directory *from; } parts[] = {
		{ PE_DIRECTORY_EXCEPTION, &r->functions }, { PE_DIRECTORY_RELOCATION, &r->relocations }, { PE_DIRECTORY_IMPORT, &r->imports },
		{ PE_DIRECTORY_EXPORT, &r->exports },
	};

	if (!pe->has_file_header && !pe->machine) {
		pe->is_64bit = r->is_64bit;
		pe->machine = r->machine;
	}
	if (!pe->size_of_image)
		pe->size_of_image = pe->size_limit;
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (!pe->directories[parts[i].index].rva)
			pe->directories[parts[i].index] = *parts[i].from;
	if (!pe_has_sections(pe)) {
		g_array_set_size(pe->sections, 0);
		if (r->sections->len)
			g_array_append_vals(pe->sections, r->sections->data, r->sections->len);
	}
	pe->rebuilt = true;
}

char *image_remains_text(const struct image_remains *r)
{
	GString *text = g_string_new(NULL);
	const struct { bool is; const char *name; } parts[] = {
		{ r->functions.rva, "functions" }, { r->relocations.rva, "relocations" }, { r->imports.rva, "imports" },
		{ r->exports.rva, "exports" }, { r->by_protection, "protections" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (parts[i].is)
			g_string_append_printf(text, "%s%s", text->len ? "," : "", parts[i].name);
	return g_string_free(text, FALSE);
}
