/* SPDX-License-Identifier: Apache-2.0 */
#include "image_rebuild.h"
#include <string.h>
#include <openssl/evp.h>
#include "bytes.h"

enum {
	PAGE = 4096,
	WIDEST = 8,		/* bytes of a relocated value */
	/* IMAGE_LOAD_CONFIG_DIRECTORY64: pointers the loader fills in, past those pe_load_config knows:
	 * GuardXFGCheckFunctionPointer up to GuardMemcpyFunctionPointer (winnt.h of the Windows 11 SDK). */
	XFG_FIRST = 0x118, XFG_END = 0x140,
};

/* ---- what the loader changes ---- */

static int compare_spans(const void *a, const void *b)
{
	const struct image_span *x = a, *y = b;

	return (x->rva > y->rva) - (x->rva < y->rva);
}

static int compare_relocations(const void *a, const void *b)
{
	const struct pe_relocation *x = a, *y = b;

	return x->rva != y->rva ? (x->rva > y->rva) - (x->rva < y->rva) : x->type - y->type;
}

static void add_slot(GArray *slots, uint32_t rva, unsigned width)
{
	struct image_span span = { rva, width };

	if (rva <= UINT32_MAX - width)
		g_array_append_val(slots, span);
}

/* Sort, and join what touches. */
static void tidy(GArray *spans)
{
	guint kept = 0;

	g_array_sort(spans, compare_spans);
	for (guint i = 0; i < spans->len; i++) {
		struct image_span s = g_array_index(spans, struct image_span, i);
		struct image_span *last = kept ? &g_array_index(spans, struct image_span, kept - 1) : NULL;
		if (last && s.rva <= last->rva + last->length)
			last->length = MAX(last->rva + last->length, s.rva + s.length) - last->rva;
		else
			g_array_index(spans, struct image_span, kept++) = s;
	}
	g_array_set_size(spans, kept);
}

static void guard_slots(struct pe *pe, struct image_fixups *f)
{
	enum fault fault;
	const struct pe_load_config *config = pe_load_config(pe, &fault);
	unsigned width = pe_slot_size(pe);
	uint32_t rva;

	if (fault && !f->slot_fault)
		f->slot_fault = fault;
	if (!config)
		return;
	f->dynamic = config->dynamic_relocation_table || config->dynamic_relocation_offset;
	if (config->guard_cf_check_pointer && pe_va_to_rva(pe, config->guard_cf_check_pointer, &rva))
		add_slot(f->slots, f->guards[0] = rva, width);
	if (config->guard_cf_dispatch_pointer && pe_va_to_rva(pe, config->guard_cf_dispatch_pointer, &rva))
		add_slot(f->slots, f->guards[1] = rva, width);
	for (unsigned at = XFG_FIRST; pe->is_64bit && at + 8 <= MIN(config->size, XFG_END); at += 8) {
		uint8_t pointer[8];
		struct bytes b = { pointer, sizeof pointer, false };
		uint32_t from = pe->directories[PE_DIRECTORY_LOAD_CONFIG].rva;
		if (from <= UINT32_MAX - at && !pe_read(pe, from + at, pointer, sizeof pointer) && pe_va_to_rva(pe, bytes_u64(&b), &rva) && rva)
			add_slot(f->slots, f->guards[2 + (at - XFG_FIRST) / 8] = rva, width);
	}
}

#define SEARCHES 64u	/* of a page that find what is no address */

/* Values in [base, end) within the bytes, which stand at rva; the last may reach over the page by less than a value's width. */
static void recognise_page(struct image_fixups *f, uint32_t rva, const uint8_t *bytes, size_t length, uint64_t base, uint64_t end)
{
	uint32_t high[2] = { GUINT32_TO_LE((uint32_t)(base >> 32)), GUINT32_TO_LE((uint32_t)((end - 1) >> 32)) };

	for (unsigned i = 0; i < (high[0] == high[1] ? 1u : 2u); i++) {
		const uint8_t *at = bytes + 4;
		unsigned misses = 0;	/* where there are many, of zeros say, each byte is looked at without a search */
		while (at + 4 <= bytes + length && (misses > SEARCHES || (at = memmem(at, (size_t)(bytes + length - at), &high[i], 4)))) {
			struct bytes b = { at - 4, 8, false };
			uint64_t value = bytes_u64(&b);
			struct pe_relocation r = { rva + (uint32_t)(at - 4 - bytes), PE_RELOCATION_DIR64 };
			if (value >= base && value < end && GUINT32_TO_LE((uint32_t)(value >> 32)) == high[i] && f->relocations->len < PE_MAX_RELOCATIONS) {
				g_array_append_val(f->relocations, r);
				at += 4;
			} else {
				at++;
				misses++;
			}
		}
	}
}

/*
 * Drivers lose their table of relocations once they run, and that of a DLL is seldom in memory. Of a 64-bit image what it
 * would say is there to be seen: among 2^64 values, those within the image are its addresses.
 */
static void recognise(struct pe *pe, struct image_fixups *f)
{
	uint32_t size = pe->size_limit ? pe->size_limit : pe->size_of_image;
	uint64_t left = 2 * (uint64_t)size;

	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint64_t end = MIN((uint64_t)s->virtual_address + (s->virtual_size ? s->virtual_size : s->raw_size), size);
		for (uint64_t at = s->virtual_address; at < end && left >= PAGE; at = (at | (PAGE - 1)) + 1, left -= PAGE) {
			uint8_t bytes[PAGE + WIDEST] = { 0 };
			size_t n = (size_t)MIN(end - at, PAGE - at % PAGE), more = (size_t)MIN(end - at - n, WIDEST - 1);
			if (pe_read(pe, (uint32_t)at, bytes, n))
				continue;
			if (more && pe_read(pe, (uint32_t)(at + n), bytes + n, more))
				more = 0;
			recognise_page(f, (uint32_t)at, bytes, n + more, pe->base, pe->base + size);
		}
	}
	f->recognised = true;
	f->relocation_fault = FAULT_NONE;
}

void image_first_of_each(GArray *by_rva)
{
	gsize size = g_array_get_element_size(by_rva);
	guint kept = 0;

	for (guint i = 0; i < by_rva->len; i++)
		if (!kept || memcmp(by_rva->data + i * size, by_rva->data + (kept - 1) * size, sizeof(uint32_t)))
			memmove(by_rva->data + kept++ * size, by_rva->data + i * size, size);
	g_array_set_size(by_rva, kept);
}

struct image_fixups *image_fixups_create(struct pe *pe)
{
	struct image_fixups *f = g_new0(struct image_fixups, 1);
	const GArray *relocations = pe_relocations(pe, &f->relocation_fault), *imports = pe_imports(pe, &f->slot_fault);

	/* The loader leaves an image alone that says it has none. */
	if (pe->has_file_header && pe->characteristics & PE_FILE_RELOCS_STRIPPED) {
		relocations = NULL;
		f->relocation_fault = FAULT_NONE;
	}
	f->is_64bit = pe->is_64bit;
	f->relocations = g_array_sized_new(FALSE, FALSE, sizeof(struct pe_relocation), relocations ? relocations->len : 0);
	if (relocations && relocations->len)
		g_array_append_vals(f->relocations, relocations->data, relocations->len);
	/* Below 4 GiB too much else looks like an address. */
	if (f->relocation_fault && pe->is_64bit && pe->base >> 32)
		recognise(pe, f);
	g_array_sort(f->relocations, compare_relocations);
	if (f->recognised)	/* what was read and what was recognised may say the same */
		image_first_of_each(f->relocations);
	f->slots = g_array_new(FALSE, FALSE, sizeof(struct image_span));
	for (guint i = 0; imports && i < imports->len; i++)
		add_slot(f->slots, g_array_index(imports, struct pe_import, i).iat_rva, pe_slot_size(pe));
	guard_slots(pe, f);
	tidy(f->slots);
	return f;
}

void image_fixups_destroy(struct image_fixups *f)
{
	if (!f)
		return;
	g_array_free(f->relocations, TRUE);
	g_array_free(f->slots, TRUE);
	g_free(f);
}

/* The first slot that ends after rva. */
static guint first_slot(const struct image_fixups *f, uint32_t rva)
{
	guint low = 0, high = f->slots->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		const struct image_span *s = &g_array_index(f->slots, struct image_span, mid);
		if (s->rva + s->length > rva)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

bool image_fixups_touches(const struct image_fixups *f, uint32_t rva, uint32_t length)
{
	guint i = first_slot(f, rva);

	return i < f->slots->len && g_array_index(f->slots, struct image_span, i).rva < (uint64_t)rva + length;
}

void image_fixups_mask(const struct image_fixups *f, uint32_t rva, uint8_t *bytes, uint32_t length)
{
	uint64_t end = (uint64_t)rva + length;

	for (guint i = first_slot(f, rva); i < f->slots->len; i++) {
		const struct image_span *s = &g_array_index(f->slots, struct image_span, i);
		if (s->rva >= end)
			break;
		uint32_t from = MAX(s->rva, rva), to = (uint32_t)MIN((uint64_t)s->rva + s->length, end);
		memset(bytes + (from - rva), 0, to - from);
	}
}

static guint first_relocation(const struct image_fixups *f, uint32_t rva)
{
	guint low = 0, high = f->relocations->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(f->relocations, struct pe_relocation, mid).rva >= rva)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void subtract(uint8_t *at, unsigned width, uint64_t delta)
{
	struct bytes b = { at, width, false };
	uint64_t value = bytes_le(&b, width) - delta;

	for (unsigned i = 0; i < width; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

void image_fixups_unrelocate(const struct image_fixups *f, uint32_t rva, uint8_t *bytes, uint32_t length, uint64_t delta)
{
	uint64_t end = (uint64_t)rva + length;

	for (guint i = first_relocation(f, rva >= WIDEST ? rva - (WIDEST - 1) : 0); i < f->relocations->len; i++) {
		const struct pe_relocation *r = &g_array_index(f->relocations, struct pe_relocation, i);
		unsigned width = r->type == PE_RELOCATION_DIR64 ? 8 : r->type == PE_RELOCATION_HIGHLOW ? 4 : 2;
		if (r->rva >= end)
			break;
		if ((uint64_t)r->rva + width <= rva)
			continue;
		bool known = width > 2 || r->type == PE_RELOCATION_HIGH || r->type == PE_RELOCATION_LOW;
		if (known && r->rva >= rva && r->rva + (uint64_t)width <= end) {
			subtract(bytes + (r->rva - rva), width, r->type == PE_RELOCATION_HIGH ? delta >> 16 : delta);
			continue;
		}
		if (!known && f->keep_unknown)
			continue;
		uint32_t from = MAX(r->rva, rva), to = (uint32_t)MIN((uint64_t)r->rva + width, end);
		memset(bytes + (from - rva), 0, to - from);
	}
}

/* ---- the normalised hash ---- */

/* Where ImageBase stands in the headers, and how wide it is. */
static uint32_t image_base_at(const struct pe *pe)
{
	return pe->nt_offset + 4 + 20 + (pe->is_64bit ? 24 : 28);
}

/* ---- pages ---- */

enum {
	CALL = 12,		/* bytes of a call through a slot, with the room that the linker leaves for what replaces it */
	AROUND = 16,		/* bytes of the pages before and after, for calls on the border */
};

/*
 * What the kernel makes of "call [slot]; nop" and "jmp [slot]; int3" where a driver's dynamic relocations say so
 * (IMAGE_IMPORT_CONTROL_TRANSFER_DYNAMIC_RELOCATION of winnt.h): mov r10, [slot]; call or jmp to the function
 * itself, or to the retpoline that goes there. The slot's distance stays where it was.
 */
static guint undo_direct_calls(const struct image_fixups *f, uint32_t rva, uint8_t *bytes, uint32_t length)
{
	static const uint8_t nop[5] = { 0x0f, 0x1f, 0x44, 0, 0 }, int3[5] = { 0xcc, 0xcc, 0xcc, 0xcc, 0xcc };
	guint n = 0;

	for (uint8_t *at = bytes; length >= CALL && (at = memchr(at, 0x4c, length - CALL + 1 - (size_t)(at - bytes))); at++) {
		if (at[1] == 0x8b && at[2] == 0x15 && (at[7] == 0xe8 || at[7] == 0xe9)) {
			struct bytes b = { at + 3, 4, false };
			uint32_t slot = rva + (uint32_t)(at - bytes) + 7 + bytes_u32(&b);
			if (image_fixups_touches(f, slot, WIDEST)) {
				bool jump = at[7] == 0xe9;
				at[0] = 0x48;
				at[1] = 0xff;
				at[2] = jump ? 0x25 : 0x15;
				memcpy(at + 7, jump ? int3 : nop, sizeof(nop));
				n++;
			}
		}
		if ((size_t)(at + 1 - bytes) > length - CALL)
			break;
	}
	return n;
}

/* A page without what loading did to it; bytes: AROUND + PAGE + AROUND, of which the middle is the page. */
static enum fault normal_page(struct pe *pe, const struct image_fixups *f, uint32_t from, bool direct, uint8_t *bytes, guint *direct_calls)
{
	uint32_t before = MIN(from, AROUND);
	enum fault fault = from > UINT32_MAX - PAGE - AROUND ? FAULT_IMPLAUSIBLE : pe_read(pe, from, bytes + AROUND, PAGE);

	if (fault)
		return fault;
	if (direct) {
		if (before && pe_read(pe, from - before, bytes + AROUND - before, before))
			memset(bytes, 0, AROUND);
		if (pe_read(pe, from + PAGE, bytes + AROUND + PAGE, AROUND))
			memset(bytes + AROUND + PAGE, 0, AROUND);
		*direct_calls += undo_direct_calls(f, from - before, bytes + AROUND - before, before + PAGE + AROUND);
	}
	image_fixups_mask(f, from, bytes + AROUND, PAGE);
	image_fixups_unrelocate(f, from, bytes + AROUND, PAGE, pe->base);
	return FAULT_NONE;
}

static enum fault hash_range(struct pe *pe, const struct image_fixups *f, EVP_MD_CTX *md, uint32_t rva, uint32_t length, uint32_t *at)
{
	uint64_t end = (uint64_t)rva + length;

	for (uint64_t from = rva; from < end; ) {
		uint8_t bytes[AROUND + PAGE + AROUND] = { 0 };
		uint32_t within = (uint32_t)(from % PAGE), n = (uint32_t)MIN(end - from, PAGE - within);
		guint direct = 0;
		enum fault fault = normal_page(pe, f, (uint32_t)(from - within), f->driver && pe->is_64bit, bytes, &direct);
		*at = (uint32_t)from;
		if (fault)
			return fault;
		EVP_DigestUpdate(md, bytes + AROUND + within, n);
		from += n;
	}
	return FAULT_NONE;
}

GByteArray *image_page_hashes(struct pe *pe, const struct image_fixups *f, uint32_t rva, uint32_t length, uint32_t most_pages, guint *direct_calls)
{
	GByteArray *hashes = g_byte_array_new();
	EVP_MD *sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);	/* half the time of SHA-256, for what is cut to 64 bits */
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint32_t from = rva & ~(uint32_t)(PAGE - 1), pages = (uint32_t)MIN(((uint64_t)rva + length + PAGE - 1 - from) / PAGE, most_pages);

	*direct_calls = 0;
	for (uint32_t i = 0; i < pages && from <= UINT32_MAX - PAGE - AROUND; i++, from += PAGE) {
		uint8_t bytes[AROUND + PAGE + AROUND] = { 0 }, digest[EVP_MAX_MD_SIZE] = { 0 };
		if (!normal_page(pe, f, from, pe->is_64bit, bytes, direct_calls)) {
			if (!EVP_DigestInit_ex(md, sha1, NULL) || !EVP_DigestUpdate(md, bytes + AROUND, PAGE) || !EVP_DigestFinal_ex(md, digest, NULL))
				memset(digest, 0, sizeof(digest));
		}
		g_byte_array_append(hashes, digest, PAGE_HASH_BYTES);
	}
	EVP_MD_CTX_free(md);
	EVP_MD_free(sha1);
	return hashes;
}

static enum fault hash_headers(struct pe *pe, EVP_MD_CTX *md, uint32_t *at)
{
	uint32_t base = image_base_at(pe);
	g_autofree uint8_t *headers = NULL;

	*at = 0;
	if (pe->size_of_headers > 16 * PAGE || base + 8 > pe->size_of_headers)
		return FAULT_IMPLAUSIBLE;
	headers = g_malloc(pe->size_of_headers);
	enum fault fault = pe_read(pe, 0, headers, pe->size_of_headers);
	if (fault)
		return fault;
	memset(headers + base, 0, pe->is_64bit ? 8 : 4);
	EVP_DigestUpdate(md, headers, pe->size_of_headers);
	return FAULT_NONE;
}

char *image_sha256(struct pe *pe, const struct image_fixups *f, enum fault *fault, uint32_t *at)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	*at = 0;
	*fault = f->relocation_fault ? f->relocation_fault : f->slot_fault;
	if (!*fault && pe->header_state != PE_HEADER_INTACT)
		*fault = FAULT_IMPLAUSIBLE;
	if (*fault)
		return NULL;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	*fault = hash_headers(pe, md, at);
	uint64_t left = 2 * (uint64_t)(pe->size_limit ? pe->size_limit : pe->size_of_image);
	for (guint i = 0; i < pe->sections->len && !*fault; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint32_t size = s->virtual_size ? s->virtual_size : s->raw_size;
		if (s->characteristics & (PE_SECTION_WRITE | PE_SECTION_DISCARDABLE))
			continue;
		*at = s->virtual_address;
		*fault = size > left ? FAULT_LIMIT : hash_range(pe, f, md, s->virtual_address, size, at);
		left -= MIN(size, left);
	}
	EVP_DigestFinal_ex(md, digest, &length);
	EVP_MD_CTX_free(md);
	if (*fault)
		return NULL;
	GString *hex = g_string_sized_new(64);
	for (unsigned i = 0; i < length; i++)
		g_string_append_printf(hex, "%02x", digest[i]);
	return g_string_free(hex, FALSE);
}
