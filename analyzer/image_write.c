/* SPDX-License-Identifier: Apache-2.0 */
/* An image in memory written back as a file. */
#include <string.h>
#include "bytes.h"
#include "image_rebuild.h"

enum {
	PAGE = 4096,
	MARGIN = 8,			/* a relocated value may begin on the page before */
	HEADERS_MAX = 16 * PAGE,
	SECTION_ENTRY = 40,
	DESCRIPTOR = 20,		/* IMAGE_IMPORT_DESCRIPTOR */
	DESCRIPTORS = 4096,
	SECTOR = 0x200,
};

/* What an import slot had in the file. */
struct thunk { uint32_t rva; uint64_t value; };

struct writer {
	struct pe *pe, *headers;
	FILE *to;
	struct image_budget *budget;
	GArray *missing;
	struct image_fixups *fixups;
	uint64_t image_base;		/* of the file */
	uint64_t delta;			/* that relocation added */
	GArray *thunks;			/* struct thunk by rva, one of each */
};

static void note_missing(GArray *missing, uint32_t rva, uint32_t length)
{
	struct image_span *last = missing->len ? &g_array_index(missing, struct image_span, missing->len - 1) : NULL;
	struct image_span span = { rva, length };

	if (last && last->rva + last->length == rva)
		last->length += length;
	else
		g_array_append_val(missing, span);
}

static int compare_thunks(const void *a, const void *b)
{
	const struct thunk *x = a, *y = b;

	return (x->rva > y->rva) - (x->rva < y->rva);
}

/* Did the loader leave the slot as the file has it? */
static bool as_in_file(const struct writer *w, uint32_t slot)
{
	uint64_t flag = w->headers->is_64bit ? UINT64_C(1) << 63 : UINT64_C(1) << 31, value = 0;
	uint32_t size = w->pe->size_limit ? w->pe->size_limit : w->headers->size_of_image;

	return !pe_read(w->pe, slot, &value, pe_slot_size(w->headers)) &&
	       (value < size || value - w->pe->base < size || (value & flag && (value & ~flag) <= UINT16_MAX));
}

/* One DLL's: the name table says what the slots held. */
static void collect_dll(struct writer *w, uint32_t names, uint32_t slots)
{
	unsigned width = pe_slot_size(w->headers);

	while (names <= UINT32_MAX - width && slots <= UINT32_MAX - width) {
		struct thunk thunk = { slots, 0 };
		if (!w->budget->slots) {
			w->budget->cut = "extract_slots";
			break;
		}
		w->budget->slots--;
		if (pe_read(w->pe, names, &thunk.value, width) || !thunk.value)
			break;
		if (!as_in_file(w, slots))
			g_array_append_val(w->thunks, thunk);
		names += width;
		slots += width;
	}
}

static void collect_thunks(struct writer *w)
{
	uint32_t at = w->headers->directories[PE_DIRECTORY_IMPORT].rva;

	for (unsigned i = 0; at && i < DESCRIPTORS && at <= UINT32_MAX - DESCRIPTOR; i++, at += DESCRIPTOR) {
		uint8_t raw[DESCRIPTOR];
		struct bytes b = { raw, sizeof(raw), false };
		if (pe_read(w->pe, at, raw, sizeof(raw)))
			break;
		uint32_t names = (uint32_t)bytes_at(&b, 0, 4), bound = (uint32_t)bytes_at(&b, 4, 4), slots = (uint32_t)bytes_at(&b, 16, 4);
		if (!slots)
			break;
		if (names && !bound)
			collect_dll(w, names, slots);
	}
	g_array_sort(w->thunks, compare_thunks);
	image_first_of_each(w->thunks);	/* descriptors may share a table: sectors are written often, and each writes the slots within it */
}

/* As the file had them: bytes stand at rva. */
static void restore_thunks(const struct writer *w, uint32_t rva, uint8_t *bytes, uint32_t length)
{
	unsigned width = pe_slot_size(w->headers);
	guint low = 0, high = w->thunks->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if ((uint64_t)g_array_index(w->thunks, struct thunk, mid).rva + width > rva)
			high = mid;
		else
			low = mid + 1;
	}
	for (; low < w->thunks->len; low++) {
		const struct thunk *t = &g_array_index(w->thunks, struct thunk, low);
		if (t->rva >= (uint64_t)rva + length)
			break;
		for (unsigned i = 0; i < width; i++)
			if (t->rva + i >= rva && t->rva + i - rva < length)
				bytes[t->rva + i - rva] = (uint8_t)(t->value >> 8 * i);
	}
}

/* The part of a page as the file had it; false: not readable. */
static bool file_bytes(struct writer *w, uint32_t rva, uint8_t *to, uint32_t length)
{
	uint8_t wide[MARGIN + PAGE + MARGIN] = { 0 };
	uint32_t before = MIN(rva, MARGIN);

	if (pe_read(w->pe, rva, wide + MARGIN, length))
		return false;
	if (before && pe_read(w->pe, rva - before, wide + MARGIN - before, before))
		memset(wide, 0, MARGIN);
	if (rva > UINT32_MAX - length - MARGIN || pe_read(w->pe, rva + length, wide + MARGIN + length, MARGIN))
		memset(wide + MARGIN + length, 0, MARGIN);
	if (w->delta)
		image_fixups_unrelocate(w->fixups, rva - before, wide + MARGIN - before, before + length + MARGIN, w->delta);
	memcpy(to, wide + MARGIN, length);
	restore_thunks(w, rva, to, length);
	return true;
}

static bool write_range(struct writer *w, uint64_t offset, uint32_t rva, uint32_t length)
{
	uint8_t page[PAGE];

	for (uint32_t done = 0; done < length; ) {
		uint32_t n = MIN(length - done, PAGE - (rva + done) % PAGE);
		if (rva + (uint64_t)done + n > UINT32_MAX)
			break;
		if (!image_budget_take(w->budget, n)) {
			note_missing(w->missing, rva + done, length - done);
			break;
		}
		if (!file_bytes(w, rva + done, page, n))
			note_missing(w->missing, rva + done, n);
		else if (fseeko(w->to, (off_t)(offset + done), SEEK_SET) || fwrite(page, 1, n, w->to) != n)
			return false;
		done += n;
	}
	return true;
}

static uint32_t section_size(const struct pe_section *s)
{
	return s->virtual_size ? s->virtual_size : s->raw_size;
}

/*
 * The bytes of the file that a section maps: from the start of a sector (the loader reads whole ones), no more than the section's
 * pages. A section at offset 0 has none.
 */
static void raw_range(const struct pe_section *s, uint64_t *offset, uint64_t *length)
{
	*offset = s->raw_offset & ~(uint32_t)(SECTOR - 1);
	*length = s->raw_offset ? MIN((uint64_t)s->raw_size + (s->raw_offset - (uint32_t)*offset), ((uint64_t)section_size(s) + PAGE - 1) & ~(uint64_t)(PAGE - 1)) : 0;
}

/* Do the file's bytes [at, at + length) come out the same from both sections? What can't be read contradicts nothing. */
static bool sections_agree(struct writer *w, const struct pe_section *a, const struct pe_section *b, uint64_t at, uint64_t length)
{
	uint64_t first = at - (a->raw_offset & ~(uint32_t)(SECTOR - 1)), second = at - (b->raw_offset & ~(uint32_t)(SECTOR - 1));
	uint8_t one[SECTOR], other[SECTOR];

	for (uint64_t done = 0; done < length; done += SECTOR) {
		uint32_t n = (uint32_t)MIN(length - done, SECTOR);
		uint64_t x = a->virtual_address + first + done, y = b->virtual_address + second + done;
		if (x > UINT32_MAX - SECTOR || y > UINT32_MAX - SECTOR)
			return false;
		if (file_bytes(w, (uint32_t)x, one, n) && file_bytes(w, (uint32_t)y, other, n) && memcmp(one, other, n))
			return false;
	}
	return true;
}

/* Could this raw layout be true for an image of that size? Where sections have the same bytes of the file, they must be the same here. */
static bool raw_layout_sane(struct writer *w, uint32_t size)
{
	const GArray *sections = w->headers->sections;
	uint64_t total = 0, most = (uint64_t)size + (16 << 20);

	for (guint i = 0; i < sections->len; i++) {
		const struct pe_section *s = &g_array_index(sections, struct pe_section, i);
		uint64_t offset, length;
		raw_range(s, &offset, &length);
		total += length;
		if (offset + length > most || total > most || (s->raw_size && !s->raw_offset))
			return false;
		for (guint k = 0; length && k < i; k++) {
			const struct pe_section *o = &g_array_index(sections, struct pe_section, k);
			uint64_t from, n;
			raw_range(o, &from, &n);
			if (!n || offset >= from + n || from >= offset + length)
				continue;
			uint64_t at = MAX(offset, from), end = MIN(offset + length, from + n);
			if (!image_budget_take(w->budget, end - at) || !sections_agree(w, s, o, at, end - at))
				return false;
		}
	}
	return sections->len > 0;
}

static void put_u32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* Make raw addresses equal to virtual ones in a copy of the headers. */
static void virtual_layout(const struct writer *w, uint8_t *headers, uint32_t length)
{
	const struct pe *pe = w->headers;
	struct bytes b = { headers, length, false };
	uint32_t optional = pe->nt_offset + 24, optional_size = (uint32_t)bytes_at(&b, pe->nt_offset + 20, 2);
	uint32_t alignment = MAX(pe->section_alignment, 0x200);

	if (optional + 40 <= length)
		put_u32(headers + optional + 36, alignment);	/* FileAlignment */
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint64_t at = (uint64_t)optional + optional_size + (uint64_t)s->number * SECTION_ENTRY;
		if (at + SECTION_ENTRY > length)
			break;
		put_u32(headers + at + 16, (section_size(s) + alignment - 1) & ~(alignment - 1));
		put_u32(headers + at + 20, s->virtual_address);
	}
}

/* Headers for an image that has none, or not all: what is known of it. */
static bool make_headers(struct writer *w, uint32_t size)
{
	enum { NT = 0x80, OPTIONAL = NT + 24 };
	const struct pe *pe = w->headers;
	uint32_t directories = OPTIONAL + (pe->is_64bit ? 112 : 96), table = directories + 8 * PE_DIRECTORIES, width = pe->is_64bit ? 8 : 4;
	uint32_t count = MIN(pe->sections->len, (PAGE - table) / SECTION_ENTRY);
	uint8_t h[PAGE] = { 'M', 'Z', [0x3c] = NT, [NT] = 'P', 'E' };

	if (!image_budget_take(w->budget, PAGE)) {
		note_missing(w->missing, 0, PAGE);
		return true;
	}
	put_u32(h + NT + 4, (uint32_t)pe->machine | count << 16);
	put_u32(h + NT + 8, pe->timestamp);
	put_u32(h + OPTIONAL + 16, pe->entry_point);
	put_u32(h + NT + 20, (table - OPTIONAL) | (PE_FILE_EXECUTABLE_IMAGE | (pe->directories[PE_DIRECTORY_EXPORT].rva ? PE_FILE_DLL : 0u)) << 16);
	put_u32(h + OPTIONAL, pe->is_64bit ? 0x20b : 0x10b);
	for (uint32_t i = 0; i < width; i++)
		h[OPTIONAL + (pe->is_64bit ? 24 : 28) + i] = (uint8_t)(w->image_base >> 8 * i);
	put_u32(h + OPTIONAL + 32, PAGE);	/* SectionAlignment, FileAlignment */
	put_u32(h + OPTIONAL + 36, PAGE);
	put_u32(h + OPTIONAL + 48, 6);		/* MajorSubsystemVersion */
	put_u32(h + OPTIONAL + 56, size);
	put_u32(h + OPTIONAL + 60, PAGE);
	put_u32(h + OPTIONAL + 68, pe->subsystem ? pe->subsystem : 3u);	/* console */
	put_u32(h + directories - 4, PE_DIRECTORIES);
	for (uint32_t i = 0; i < PE_DIRECTORIES; i++) {
		put_u32(h + directories + 8 * i, pe->directories[i].rva);
		put_u32(h + directories + 8 * i + 4, pe->directories[i].size);
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint8_t *at = h + table + SECTION_ENTRY * i;
		if (s->name)
			memcpy(at, s->name, strnlen(s->name, 8));
		put_u32(at + 8, section_size(s));
		put_u32(at + 12, s->virtual_address);
		put_u32(at + 16, (section_size(s) + PAGE - 1) & ~(uint32_t)(PAGE - 1));
		put_u32(at + 20, s->virtual_address);
		put_u32(at + 36, s->characteristics);
	}
	return fwrite(h, 1, sizeof(h), w->to) == sizeof(h);
}

static bool write_headers(struct writer *w, uint32_t size, bool raw)
{
	const struct pe *pe = w->headers;
	uint32_t length = MIN(pe->size_of_headers ? pe->size_of_headers : PAGE, HEADERS_MAX);
	g_autofree uint8_t *headers = g_malloc0(HEADERS_MAX);

	length = MIN(length, size);
	if (!image_budget_take(w->budget, length)) {
		note_missing(w->missing, 0, length);
		return true;
	}
	for (uint32_t at = 0; at < length; at += PAGE) {
		uint32_t n = MIN(length - at, PAGE);
		if (pe_read(w->headers, at, headers + at, n)) {
			memset(headers + at, 0, n);
			note_missing(w->missing, at, n);
		}
	}
	if (w->delta)
		image_fixups_unrelocate(w->fixups, 0, headers, length, w->delta);
	if (!raw)
		virtual_layout(w, headers, length);
	uint32_t base_at = pe->nt_offset + 24 + (pe->is_64bit ? 24 : 28), width = pe->is_64bit ? 8 : 4;
	for (unsigned i = 0; i < width && base_at + i < length; i++)
		headers[base_at + i] = (uint8_t)(w->image_base >> 8 * i);
	return !fseeko(w->to, 0, SEEK_SET) && fwrite(headers, 1, length, w->to) == length;
}

static bool write_sections(struct writer *w, uint32_t size, bool raw)
{
	uint64_t left = 2 * (uint64_t)size, end = 0;

	for (guint i = 0; i < w->headers->sections->len; i++) {
		const struct pe_section *s = &g_array_index(w->headers->sections, struct pe_section, i);
		uint64_t offset = s->virtual_address, length = section_size(s);
		if (raw)
			raw_range(s, &offset, &length);
		if (s->virtual_address >= size || !length)
			continue;
		length = MIN(MIN(length, size - s->virtual_address), left);
		left -= length;
		if (!write_range(w, offset, s->virtual_address, (uint32_t)length))
			return false;
		end = MAX(end, offset + (raw && s->raw_offset && s->raw_size <= size ? s->raw_size : length));
	}
	/* Up to where the section table says, whatever is missing. */
	fflush(w->to);
	if (fseeko(w->to, 0, SEEK_END))
		return false;
	if ((uint64_t)ftello(w->to) < end)
		return !fseeko(w->to, (off_t)(end - 1), SEEK_SET) && fputc(0, w->to) != EOF;
	return true;
}

bool image_write_file(struct pe *pe, struct pe *headers, const uint64_t *image_base, FILE *to, struct image_budget *budget, GArray *missing, enum image_layout *layout)
{
	uint32_t size = pe->size_limit ? pe->size_limit : headers->size_of_image;
	struct writer w = { .pe = pe, .headers = headers, .to = to, .budget = budget, .missing = missing };

	*layout = IMAGE_LAYOUT_NONE;
	/* Below a page, sections aren't mapped apart: the image is the file. */
	bool flat = headers->section_alignment && headers->section_alignment < PAGE;
	bool made = (headers->rebuilt || !headers->has_file_header) && headers->machine && headers->sections->len;
	if (!made && (!headers->has_file_header || !headers->has_optional_header || (!headers->sections->len && !flat)))
		return true;
	if (!size)
		return true;
	w.image_base = image_base ? *image_base : made ? pe->base : headers->image_base;
	w.delta = pe->base - w.image_base;
	w.fixups = image_fixups_create(headers);
	w.fixups->keep_unknown = true;
	w.thunks = g_array_new(FALSE, FALSE, sizeof(struct thunk));
	collect_thunks(&w);
	bool raw = flat || (!made && raw_layout_sane(&w, size));
	*layout = raw ? IMAGE_LAYOUT_RAW : IMAGE_LAYOUT_VIRTUAL;
	bool ok = flat ? write_range(&w, 0, 0, size) && write_headers(&w, size, raw) :
		  (made ? make_headers(&w, size) : write_headers(&w, size, raw)) && write_sections(&w, size, raw);
	g_array_free(w.thunks, TRUE);
	image_fixups_destroy(w.fixups);
	return ok && !fflush(to);
}

bool image_write_mapped(struct pe *pe, uint32_t size, FILE *to, struct image_budget *budget, GArray *missing)
{
	uint8_t page[PAGE];

	for (uint64_t at = 0; at < size; at += PAGE) {
		uint32_t n = (uint32_t)MIN(size - at, PAGE);
		if (!image_budget_take(budget, n)) {
			note_missing(missing, (uint32_t)at, size - (uint32_t)at);
			break;
		}
		if (pe_read(pe, (uint32_t)at, page, n)) {
			note_missing(missing, (uint32_t)at, n);
			memset(page, 0, n);
			if (at + n < size)
				continue;	/* a hole */
		}
		if (fseeko(to, (off_t)at, SEEK_SET) || fwrite(page, 1, n, to) != n)
			return false;
	}
	return !fflush(to);
}
