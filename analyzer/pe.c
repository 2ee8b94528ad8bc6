/* SPDX-License-Identifier: Apache-2.0 */
/* Headers, and what all parts of the PE parser use: reading, text, the parts kept. */
#include <math.h>
#include <string.h>
#include "pe_private.h"

enum {
	DOS_HEADER_SIZE = 64,
	E_LFANEW = 0x3c,
	FILE_HEADER_SIZE = 20,
	SECTION_SIZE = 40,
	OPTIONAL_HEADER_MAX = 112 + PE_DIRECTORIES * 8,	/* PE32+; PE32 is shorter */
	MAGIC_PE32 = 0x10b,
	MAGIC_PE32_PLUS = 0x20b,
};
static const uint32_t nt_signature = 0x00004550;	/* PE\0\0 */

const char *pe_header_state_name(enum pe_header_state state)
{
	static const char *const names[] = {
		[PE_HEADER_INTACT] = "intact", [PE_HEADER_PARTIAL] = "partial",
		[PE_HEADER_WIPED] = "wiped", [PE_HEADER_ABSENT] = "absent",
	};
	return (unsigned)state < G_N_ELEMENTS(names) ? names[state] : NULL;
}

/* ---- reading ---- */

static const uint8_t *cached_page(struct pe *pe, uint32_t number)
{
	/* Tables that are walked in step often lie a power of two apart. */
	unsigned slot = (number ^ number >> 4) % PE_CACHED_PAGES;
	__typeof__(&pe->private->pages[0]) page = &pe->private->pages[slot];

	if (!page->valid || page->number != number) {
		page->fault = pe->private->source.read(pe->private->source.user, number * PE_PAGE, page->bytes, PE_PAGE);
		page->number = number;
		page->valid = true;
	}
	return page->fault == FAULT_NONE ? page->bytes : NULL;
}

enum fault pe_read(struct pe *pe, uint32_t rva, void *buffer, size_t length)
{
	uint64_t limit = pe->size_limit ? pe->size_limit : UINT64_C(1) << 32;
	uint8_t *out = buffer;

	if (rva > limit || length > limit - rva)
		return FAULT_IMPLAUSIBLE;
	while (length) {
		size_t n = MIN(length, PE_PAGE - rva % PE_PAGE);
		const uint8_t *page = cached_page(pe, rva / PE_PAGE);

		if (page) {
			memcpy(out, page + rva % PE_PAGE, n);
		} else {
			/* The source may end within this page. */
			enum fault fault = pe->private->source.read(pe->private->source.user, rva, out, n);

			if (fault != FAULT_NONE)
				return fault;
		}
		out += n;
		rva += (uint32_t)n;
		length -= n;
	}
	return FAULT_NONE;
}

enum fault pe_read_holes(struct pe *pe, uint32_t rva, void *buffer, size_t length)
{
	enum fault first = FAULT_NONE;
	uint8_t *out = buffer;

	for (uint64_t at = rva, end = at + length; at < end; ) {
		size_t n = (size_t)MIN(end - at, PE_PAGE - at % PE_PAGE);
		enum fault fault = at > UINT32_MAX ? FAULT_IMPLAUSIBLE : pe_read(pe, (uint32_t)at, out, n);

		if (fault != FAULT_NONE) {
			memset(out, 0, n);
			pe_note(&first, fault);
		}
		out += n;
		at += n;
	}
	return first;
}

uint32_t pe_extent(const struct pe *pe)
{
	if (pe->size_limit)
		return pe->size_limit;
	return pe->size_of_image ? pe->size_of_image : INT32_MAX;
}

bool pe_va_to_rva(const struct pe *pe, uint64_t va, uint32_t *rva)
{
	uint32_t extent = pe_extent(pe);

	/* A page that was not relocated yet holds addresses of the preferred base. */
	if (va >= pe->base && va - pe->base < extent)
		*rva = (uint32_t)(va - pe->base);
	else if (va >= pe->image_base && va - pe->image_base < extent)
		*rva = (uint32_t)(va - pe->image_base);
	else
		return false;
	return true;
}

/* ---- memory and text of the parts ---- */

const void *pe_part(struct pe *pe, enum pe_part part, pe_parser parse, enum fault *fault)
{
	__typeof__(&pe->private->parts[0]) p = &pe->private->parts[part];

	if (!p->done) {
		p->fault = parse(pe, &p->value);
		p->done = true;
	}
	if (fault)
		*fault = p->fault;
	return p->value;
}

static void free_array(void *array)
{
	g_array_unref(array);
}

GArray *pe_new_array(struct pe *pe, size_t element_size)
{
	GArray *array = g_array_new(FALSE, TRUE, (guint)element_size);

	g_ptr_array_add(pe->private->arrays, array);
	return array;
}

void *pe_new_block(struct pe *pe, size_t size)
{
	void *block = g_malloc0(size);

	g_ptr_array_add(pe->private->blocks, block);
	return block;
}

const char *pe_keep_text(struct pe *pe, const char *bytes, size_t length)
{
	g_autofree char *valid = g_utf8_make_valid(bytes, (gssize)length);
	size_t cost = strlen(valid) + 1;

	if (cost > pe->private->text_left)
		return NULL;
	pe->private->text_left -= cost;
	return g_string_chunk_insert_const(pe->private->text, valid);
}

const char *pe_keep_utf16(struct pe *pe, const uint8_t *bytes, size_t length)
{
	g_autoptr(GString) text = g_string_new(NULL);
	struct bytes b = { bytes, length & ~(size_t)1, false };

	while (b.n) {
		uint32_t c = bytes_u16(&b);

		if (!c)
			break;
		if (c >= 0xd800 && c < 0xdc00 && b.n >= 2) {
			struct bytes ahead = b;
			uint32_t low = bytes_u16(&ahead);

			if (low >= 0xdc00 && low < 0xe000) {
				b = ahead;
				c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			}
		}
		g_string_append_unichar(text, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	}
	return pe_keep_text(pe, text->str, text->len);
}

enum fault pe_read_text(struct pe *pe, uint32_t rva, size_t limit, const char **text)
{
	char buffer[PE_MAX_SYMBOL];
	size_t used = 0;
	const char *end = NULL;

	*text = NULL;
	limit = MIN(limit, sizeof buffer);
	while (!end && used < limit) {
		/* Short steps, for most names are; and no step over a page's end. */
		size_t n = MIN(limit - used, 64 - (rva + used) % 64);
		uint32_t at;
		enum fault fault;

		if (!pe_element(rva, used, 1, &at))
			return FAULT_IMPLAUSIBLE;
		if (pe->size_limit && at < pe->size_limit)
			n = MIN(n, pe->size_limit - at);
		fault = pe_read(pe, at, buffer + used, n);
		/* The source may end just after the terminator. */
		if (fault != FAULT_NONE && n > 1) {
			n = 1;
			fault = pe_read(pe, at, buffer + used, n);
		}
		if (fault != FAULT_NONE)
			return fault;
		end = memchr(buffer + used, 0, n);
		used += n;
	}
	*text = pe_keep_text(pe, buffer, end ? (size_t)(end - buffer) : used);
	return end && *text ? FAULT_NONE : FAULT_LIMIT;
}

/* ---- headers ---- */

static bool machine_known(uint16_t machine)
{
	static const uint16_t machines[] = {
		PE_MACHINE_I386, PE_MACHINE_AMD64, PE_MACHINE_ARM64, PE_MACHINE_ARMNT,
		0x1c0, 0x1c2, 0x200, 0xebc, 0xa641, 0xa64e,	/* ARM, Thumb, IA64, EFI byte code, ARM64EC, ARM64X */
	};

	for (size_t i = 0; i < G_N_ELEMENTS(machines); i++)
		if (machines[i] == machine)
			return true;
	return false;
}

static bool machine_is_64bit(uint16_t machine)
{
	return machine == PE_MACHINE_AMD64 || machine == PE_MACHINE_ARM64 || machine == 0x200 || machine == 0xa641 ||
	       machine == 0xa64e;
}

/* What a PE header without regard to its signature would have to look like. */
static bool nt_plausible(struct bytes nt)
{
	uint16_t machine, sections, optional_size, characteristics, magic;

	bytes_take(&nt, 4);
	machine = bytes_u16(&nt);
	sections = bytes_u16(&nt);
	bytes_take(&nt, 12);
	optional_size = bytes_u16(&nt);
	characteristics = bytes_u16(&nt);
	magic = bytes_u16(&nt);
	return !nt.bad && machine_known(machine) && sections >= 1 && sections <= PE_MAX_SECTIONS &&
	       optional_size >= 0x60 && optional_size <= 0x200 && characteristics & PE_FILE_EXECUTABLE_IMAGE &&
	       magic == (machine_is_64bit(machine) ? MAGIC_PE32_PLUS : MAGIC_PE32);
}

/*
 * Set nt_offset. False: there is no PE header to be seen; pe->fault if the place it should
 * be at is not readable. Malware clears the signatures, or e_lfanew with them.
 */
static bool find_nt_header(struct pe *pe, uint32_t e_lfanew)
{
	uint8_t nt[4 + FILE_HEADER_SIZE + 2], page[PE_PAGE];
	size_t readable = PE_PAGE;
	enum fault fault = pe_read(pe, e_lfanew, nt, sizeof nt);

	if (fault == FAULT_NONE) {
		struct bytes b = { nt, sizeof nt, false };
		bool signature = bytes_at(&b, 0, 4) == nt_signature;

		if (signature || nt_plausible(b)) {
			pe->nt_offset = e_lfanew;
			pe->damage |= signature ? 0 : PE_DAMAGE_NT_SIGNATURE;
			return true;
		}
	}
	while (readable >= DOS_HEADER_SIZE && pe_read(pe, 0, page, readable) != FAULT_NONE)
		readable /= 2;
	for (size_t at = 0; at + sizeof nt <= readable; at += 4) {
		struct bytes b = { page + at, readable - at, false };
		bool signature = bytes_at(&b, 0, 4) == nt_signature;

		if (nt_plausible(b) || (signature && machine_known((uint16_t)bytes_at(&b, 4, 2)))) {
			pe->nt_offset = (uint32_t)at;
			pe->damage |= PE_DAMAGE_E_LFANEW | (signature ? 0 : PE_DAMAGE_NT_SIGNATURE);
			return true;
		}
	}
	/* Outside of the image it is just wrong, not missing. */
	if (fault != FAULT_IMPLAUSIBLE && e_lfanew < PE_PAGE * 16)
		pe->fault = fault;
	return false;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static void read_optional_header(struct pe *pe, uint32_t offset)
{
	uint8_t buffer[OPTIONAL_HEADER_MAX];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault = pe_read_holes(pe, offset, buffer, sizeof buffer);
	uint32_t count;
	uint16_t magic;
	unsigned width;

	magic = bytes_u16(&b);
	if (fault != FAULT_NONE && !magic) {
		pe_note(&pe->fault, fault);
		pe->damage |= PE_DAMAGE_OPTIONAL_HEADER;
		return;
	}
	pe->has_optional_header = true;
	if (magic == MAGIC_PE32 || magic == MAGIC_PE32_PLUS)
		pe->is_64bit = magic == MAGIC_PE32_PLUS;
	else
		pe->damage |= PE_DAMAGE_OPTIONAL_HEADER;
	width = pe->is_64bit ? 8 : 4;
	bytes_take(&b, 14);			/* linker version; sizes of code, data, uninitialised data */
	pe->entry_point = bytes_u32(&b);
	bytes_take(&b, pe->is_64bit ? 4 : 8);	/* base of code; PE32: base of data */
	pe->image_base = bytes_le(&b, width);
	pe->section_alignment = bytes_u32(&b);
	pe->file_alignment = bytes_u32(&b);
	pe->os_major = bytes_u16(&b);
	pe->os_minor = bytes_u16(&b);
	bytes_take(&b, 4);			/* image version */
	pe->subsystem_major = bytes_u16(&b);
	pe->subsystem_minor = bytes_u16(&b);
	bytes_take(&b, 4);			/* reserved */
	pe->size_of_image = bytes_u32(&b);
	pe->size_of_headers = bytes_u32(&b);
	pe->checksum = bytes_u32(&b);
	pe->subsystem = bytes_u16(&b);
	pe->dll_characteristics = bytes_u16(&b);
	bytes_take(&b, 4 * width + 4);		/* stack and heap sizes, loader flags */
	count = bytes_u32(&b);
	for (uint32_t i = 0; i < MIN(count, PE_DIRECTORIES); i++) {
		pe->directories[i].rva = bytes_u32(&b);
		pe->directories[i].size = bytes_u32(&b);
	}
	if (!power_of_two(pe->section_alignment) || !power_of_two(pe->file_alignment) ||
	    pe->section_alignment < pe->file_alignment || !pe->size_of_image ||
	    pe->size_of_headers > pe->size_of_image || !pe->size_of_headers || pe->entry_point >= pe->size_of_image) {
		pe->damage |= PE_DAMAGE_OPTIONAL_HEADER;
	}
	/* A flat source may end within the directories: then those are absent, not wrong. */
	if (fault != FAULT_NONE && pe_read(pe, offset, buffer, sizeof buffer - b.n) != FAULT_NONE) {
		pe_note(&pe->fault, fault);
		pe->damage |= PE_DAMAGE_OPTIONAL_HEADER;
	}
}

/* Would the loader have accepted this section after one that ends at `end`? Low-alignment
 * images are mapped as one piece whatever their sections say. */
static bool section_sane(const struct pe *pe, const struct pe_section *section, uint64_t end)
{
	uint64_t size = section->virtual_size ? section->virtual_size : section->raw_size;
	uint64_t image = ((uint64_t)pe->size_of_image + PE_PAGE - 1) & ~(uint64_t)(PE_PAGE - 1);

	if (pe->section_alignment < PE_PAGE)
		return true;
	return section->virtual_address && size && section->virtual_address >= end && section->virtual_address % pe->section_alignment == 0 &&
	       (!pe->size_of_image || section->virtual_address + size <= image);
}

static void read_section_table(struct pe *pe, uint32_t offset, unsigned count)
{
	uint64_t end = 0;

	pe->has_section_table = true;
	if (count > PE_MAX_SECTIONS) {
		pe->damage |= PE_DAMAGE_SECTION_TABLE;
		pe_note(&pe->fault, FAULT_LIMIT);
		count = PE_MAX_SECTIONS;
	}
	for (unsigned i = 0; i < count; i++) {
		uint8_t buffer[SECTION_SIZE];
		struct bytes b = { buffer, sizeof buffer, false };
		struct pe_section section = { .number = i };
		uint32_t at;
		enum fault fault = pe_element(offset, i, SECTION_SIZE, &at) ? pe_read(pe, at, buffer, sizeof buffer)
									     : FAULT_IMPLAUSIBLE;
		const char *name;

		if (fault != FAULT_NONE) {
			pe->damage |= PE_DAMAGE_SECTION_TABLE;
			pe_note(&pe->fault, fault);
			pe->has_section_table = i > 0;
			return;
		}
		name = (const char *)bytes_take(&b, 8);
		section.name = pe_keep_text(pe, name, strnlen(name, 8));
		section.virtual_size = bytes_u32(&b);
		section.virtual_address = bytes_u32(&b);
		section.raw_size = bytes_u32(&b);
		section.raw_offset = bytes_u32(&b);
		bytes_take(&b, 12);		/* relocations and line numbers, of object files */
		section.characteristics = bytes_u32(&b);
		if (!section_sane(pe, &section, end))
			pe->damage |= PE_DAMAGE_SECTION_TABLE;
		end = (uint64_t)section.virtual_address + MAX(section.virtual_size, 1);
		g_array_append_val(pe->sections, section);
	}
}

static void read_headers(struct pe *pe)
{
	uint8_t dos[DOS_HEADER_SIZE], buffer[FILE_HEADER_SIZE];
	struct bytes b = { dos, sizeof dos, false }, f = { buffer, sizeof buffer, false };
	uint32_t file_header, optional_header, sections_at;
	uint16_t sections, optional_size;
	enum fault fault;

	fault = pe_read(pe, 0, dos, sizeof dos);
	if (fault != FAULT_NONE) {
		pe->fault = fault;
		pe->header_state = PE_HEADER_ABSENT;
		return;
	}
	if (bytes_at(&b, 0, 2) != 0x5a4d)	/* MZ */
		pe->damage |= PE_DAMAGE_DOS_SIGNATURE;
	if (!find_nt_header(pe, (uint32_t)bytes_at(&b, E_LFANEW, 4))) {
		bool missing = pe->fault != FAULT_NONE && !(pe->damage & PE_DAMAGE_DOS_SIGNATURE);

		pe->damage |= PE_DAMAGE_NT_SIGNATURE;
		pe->header_state = missing ? PE_HEADER_PARTIAL : PE_HEADER_WIPED;
		return;
	}
	if (!pe_element(pe->nt_offset, 1, 4, &file_header) ||
	    !pe_element(file_header, 1, FILE_HEADER_SIZE, &optional_header) ||
	    pe_read(pe, file_header, buffer, sizeof buffer) != FAULT_NONE) {
		/* find_nt_header has read it: only a source that changes its mind gets here. */
		pe->damage |= PE_DAMAGE_FILE_HEADER;
		return;
	}
	pe->has_file_header = true;
	pe->machine = bytes_u16(&f);
	sections = bytes_u16(&f);
	pe->timestamp = bytes_u32(&f);
	bytes_take(&f, 8);			/* COFF symbols */
	optional_size = bytes_u16(&f);
	pe->characteristics = bytes_u16(&f);
	pe->is_64bit = machine_is_64bit(pe->machine);
	if (!machine_known(pe->machine))
		pe->damage |= PE_DAMAGE_FILE_HEADER;
	read_optional_header(pe, optional_header);
	/* Without an optional header nothing says how far the image reaches, and a
	 * section table at its place would be believed on no ground. */
	if (pe_element(optional_header, optional_size, 1, &sections_at))
		read_section_table(pe, sections_at, sections);
	else
		pe->damage |= PE_DAMAGE_SECTION_TABLE;
}

struct pe *pe_open(const struct pe_source *source, uint64_t base, uint32_t size_limit)
{
	struct pe *pe = g_new0(struct pe, 1);

	pe->private = g_new0(struct pe_private, 1);
	pe->private->source = *source;
	pe->private->arrays = g_ptr_array_new_with_free_func(free_array);
	pe->private->blocks = g_ptr_array_new_with_free_func(g_free);
	pe->private->text = g_string_chunk_new(1024);
	pe->private->text_left = PE_MAX_TEXT;
	pe->private->entropy_left = PE_MAX_ENTROPY;
	pe->sections = pe_new_array(pe, sizeof(struct pe_section));
	pe->size_limit = size_limit;
	pe->header_state = PE_HEADER_INTACT;
	read_headers(pe);
	if (pe->header_state == PE_HEADER_INTACT && (pe->damage || pe->fault != FAULT_NONE))
		pe->header_state = PE_HEADER_PARTIAL;
	pe->base = base ? base : pe->image_base;
	return pe;
}

void pe_close(struct pe *pe)
{
	if (!pe)
		return;
	g_ptr_array_unref(pe->private->arrays);
	g_ptr_array_unref(pe->private->blocks);
	g_string_chunk_free(pe->private->text);
	g_free(pe->private);
	g_free(pe);
}

const struct pe_section *pe_section_at(const struct pe *pe, uint32_t rva)
{
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint32_t size = s->virtual_size ? s->virtual_size : s->raw_size;

		if (rva >= s->virtual_address && rva - s->virtual_address < size)
			return s;
	}
	return NULL;
}

bool pe_has_sections(const struct pe *pe)
{
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		if (s->virtual_address && (s->virtual_size || s->raw_size))
			return true;
	}
	return false;
}

/* ---- entropy ---- */

static double entropy_of(const uint64_t counts[256], uint64_t total)
{
	double sum = 0;

	for (int i = 0; i < 256; i++) {
		if (counts[i]) {
			double p = (double)counts[i] / (double)total;

			sum -= p * log2(p);
		}
	}
	return sum > 0 ? sum : 0;
}

/* Four counters for each byte: one would be waited for wherever a byte repeats. */
struct histogram { uint64_t counts[4][256]; };

static void count_bytes(struct histogram *h, const uint8_t *p, size_t length)
{
	size_t i = 0;

	for (; i + 4 <= length; i += 4) {
		h->counts[0][p[i]]++;
		h->counts[1][p[i + 1]]++;
		h->counts[2][p[i + 2]]++;
		h->counts[3][p[i + 3]]++;
	}
	for (; i < length; i++)
		h->counts[0][p[i]]++;
}

static double histogram_entropy(struct histogram *h, uint64_t total)
{
	for (int i = 0; i < 256; i++)
		h->counts[0][i] += h->counts[1][i] + h->counts[2][i] + h->counts[3][i];
	return entropy_of(h->counts[0], total);
}

double byte_entropy(const void *data, size_t length)
{
	struct histogram h = { 0 };

	count_bytes(&h, data, length);
	return histogram_entropy(&h, length);
}

enum fault pe_entropy(struct pe *pe, uint32_t rva, uint32_t length, double *entropy)
{
	struct histogram h = { 0 };
	uint64_t total = 0;
	enum fault first = FAULT_NONE;
	uint8_t page[PE_PAGE];

	for (uint64_t at = rva, end = at + length; at < end; ) {
		size_t n = (size_t)MIN(end - at, PE_PAGE - at % PE_PAGE);
		enum fault fault = at > UINT32_MAX ? FAULT_IMPLAUSIBLE : pe_read(pe, (uint32_t)at, page, n);

		/* Sections may claim gigabytes, and all the same ones. */
		if (pe->private->entropy_left < n)
			return FAULT_LIMIT;
		pe->private->entropy_left -= n;
		if (fault == FAULT_NONE) {
			count_bytes(&h, page, n);
			total += n;
		} else {
			pe_note(&first, fault);
			if (fault == FAULT_IMPLAUSIBLE)	/* nor is there anything beyond */
				break;
		}
		at += n;
	}
	if (!total)
		return first != FAULT_NONE ? first : FAULT_IMPLAUSIBLE;
	*entropy = histogram_entropy(&h, total);
	return FAULT_NONE;
}

/* ---- Rich header ---- */

static uint32_t rotate_left(uint32_t value, unsigned count)
{
	count &= 31;
	return count ? value << count | value >> (32 - count) : value;
}

/* The linker's checksum: DOS header and stub without e_lfanew, then the entries. */
static uint32_t rich_checksum(const uint8_t *header, uint32_t offset, const GArray *entries)
{
	uint32_t sum = offset;

	for (uint32_t i = 0; i < offset; i++)
		if (i < E_LFANEW || i >= E_LFANEW + 4)
			sum += rotate_left(header[i], i);
	for (guint i = 0; i < entries->len; i++) {
		const struct pe_rich_entry *e = &g_array_index(entries, struct pe_rich_entry, i);

		sum += rotate_left((uint32_t)e->product << 16 | e->build, e->count);
	}
	return sum;
}

static enum fault parse_rich(struct pe *pe, const void **value)
{
	static const uint32_t rich_signature = 0x68636952, dans_signature = 0x536e6144;
	uint8_t header[PE_PAGE];
	struct bytes b = { header, MIN(pe->nt_offset, sizeof header), false };
	enum fault fault = pe_read(pe, 0, header, b.n);
	struct pe_rich *rich;
	uint32_t key, start;
	size_t end;

	if (fault != FAULT_NONE)
		return fault;
	for (end = b.n & ~(size_t)3; end >= DOS_HEADER_SIZE + 8; end -= 4)
		if (bytes_at(&b, end - 8, 4) == rich_signature)
			break;
	if (end < DOS_HEADER_SIZE + 8)
		return FAULT_NONE;
	key = (uint32_t)bytes_at(&b, end - 4, 4);
	for (start = (uint32_t)end - 12; start >= DOS_HEADER_SIZE; start -= 4)
		if ((bytes_at(&b, start, 4) ^ key) == dans_signature)
			break;
	if (start < DOS_HEADER_SIZE)
		return FAULT_IMPLAUSIBLE;
	rich = pe_new_block(pe, sizeof *rich);
	rich->entries = pe_new_array(pe, sizeof(struct pe_rich_entry));
	rich->offset = start;
	rich->size = (uint32_t)end - start;
	rich->key = key;
	*value = rich;
	/* After "DanS" three words of padding, each 0 before the key was applied. */
	for (uint32_t at = start + 16; at + 8 <= end - 8; at += 8) {
		uint32_t id = (uint32_t)bytes_at(&b, at, 4) ^ key;
		struct pe_rich_entry entry = { .product = (uint16_t)(id >> 16), .build = (uint16_t)id };

		entry.count = (uint32_t)bytes_at(&b, at + 4, 4) ^ key;
		if (rich->entries->len == PE_MAX_RICH_ENTRIES)
			return FAULT_LIMIT;
		g_array_append_val(rich->entries, entry);
	}
	rich->checksum_ok = rich_checksum(header, start, rich->entries) == key;
	return FAULT_NONE;
}

const struct pe_rich *pe_rich(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_RICH, parse_rich, fault);
}
