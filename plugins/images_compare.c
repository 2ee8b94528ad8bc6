/* SPDX-License-Identifier: Apache-2.0 */
/* What of an image is in memory, and where a process's private pages differ from the section's. */
#include <string.h>
#include "bytes.h"
#include "images.h"

enum {
	GAP = 7,		/* equal bytes between two differences that are one patch; system-call stubs have 8 between them */
	STOMPED = 256,		/* bytes of one difference that make it more than a patch */
	OTHERS = FIXED_original_mappings,	/* looked at for an original … */
	SEARCHES = FIXED_original_pages,	/* … of so many pages of an image */
	MAX_INSTRUCTION = 15,	/* bytes, of x86 */
	LOWEST = 0x10000,	/* the lowest address of user memory */
	ROOM_BEFORE = 16,	/* bytes before a function that compilers leave for hot patches */
};

/* ---- the original of a page ---- */

static bool page_bytes(const struct subject *s, const struct page *page, uint8_t *bytes)
{
	return page_resident(page) && !image_read(s->c->image, page->pa, bytes, PAGE_SIZE);
}

enum original { ORIGINAL_NONE, ORIGINAL_FOUND, ORIGINAL_IS_OWN };

/* The space of the i-th mapping, kept while the image is at hand. */
static struct space *other_space(struct subject *s, guint i)
{
	if (!s->others)
		s->others = g_ptr_array_new_with_free_func((GDestroyNotify)space_destroy);
	if (s->others->len <= i)
		g_ptr_array_set_size(s->others, (gint)i + 1);
	if (!s->others->pdata[i])
		s->others->pdata[i] = process_space(g_array_index(s->content->mappings, struct mapping, i).process, s->c->kernel, s->c->space);
	return s->others->pdata[i];
}

/*
 * Where the prototype PTE leads to no page: a page that another process maps by its prototype, or
 * two others have in common, is the section's.
 */
static enum original other_original(struct subject *s, uint32_t index, const struct page *own, uint8_t *bytes)
{
	const GArray *mappings = s->content ? s->content->mappings : NULL;
	uint64_t seen[OTHERS];
	guint n = 0;

	if (s->searched++ >= SEARCHES) {
		s->search_cut = mappings && mappings->len > 1;
		return ORIGINAL_NONE;
	}
	for (guint i = 0; mappings && i < MIN(mappings->len, OTHERS); i++) {
		const struct mapping *m = &g_array_index(mappings, struct mapping, i);
		if (m->process == s->c->process)
			continue;
		struct view view = { other_space(s, i), &g_array_index(m->process->vads.vads, struct vad, m->vad) };
		struct page page, section;
		if (index >= view_pages(&view))
			continue;
		enum view_page what = view_page(&view, index, &page, &section);
		if (what != VIEW_SHARED && what != VIEW_UNKNOWN)
			continue;
		if (page.pa.v == own->pa.v)
			return ORIGINAL_IS_OWN;
		bool shared = what == VIEW_SHARED;
		for (guint k = 0; k < n; k++)
			shared |= seen[k] == page.pa.v;
		if (shared)
			return page_bytes(s, &page, bytes) ? ORIGINAL_FOUND : ORIGINAL_NONE;
		seen[n++] = page.pa.v;
	}
	/* That there are more mappings is no loss to tell of: where all processes have written, the original has often left memory. */
	return ORIGINAL_NONE;
}

/* ---- patches ---- */

static void patch_clear(void *data)
{
	struct found_patch *p = data;

	if (p->original)
		g_byte_array_unref(p->original);
	if (p->current)
		g_byte_array_unref(p->current);
	g_free(p->export);
	if (p->hashes)
		g_byte_array_unref(p->hashes);
}

static void append_bytes(GByteArray *to, const uint8_t *bytes, uint32_t length)
{
	g_byte_array_append(to, bytes, MIN(length, PATCH_BYTES - MIN(to->len, PATCH_BYTES)));
}

static uint32_t changed_bits(const uint8_t *a, const uint8_t *b, uint32_t length)
{
	uint32_t n = 0;

	for (uint32_t i = 0; a && i < length; i++)
		n += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
	return n;
}

/* Join with the patch before where both are the same in large: pages that were overwritten in a row. */
static bool extend(struct subject *s, uint32_t rva, uint32_t length, enum patch_kind kind, const struct pe_section *section,
		   const uint8_t *original, const uint8_t *current)
{
	struct found_patch *last = s->patches->len ? &g_array_index(s->patches, struct found_patch, s->patches->len - 1) : NULL;

	if (!last || last->kind != kind || last->section != section || (kind != PATCH_STOMPED && kind != PATCH_UNKNOWN && kind != PATCH_HEADER) ||
	    rva < last->rva + last->length || rva - (last->rva + last->length) > STOMPED ||
	    (rva - (last->rva + last->length) && last->current->len < PATCH_BYTES))
		return false;
	last->length = rva + length - last->rva;
	last->changed_bits += changed_bits(original, current, length);
	if (original && last->original)
		append_bytes(last->original, original, length);
	append_bytes(last->current, current, length);
	return true;
}

static struct found_patch *add_patch(struct subject *s, uint32_t rva, uint32_t length, enum patch_kind kind,
				     const struct pe_section *section, const uint8_t *original, const uint8_t *current)
{
	if (extend(s, rva, length, kind, section, original, current))
		return &g_array_index(s->patches, struct found_patch, s->patches->len - 1);
	if (s->patches->len >= limit(image_patches)) {
		s->patches_cut = true;
		return NULL;
	}
	struct found_patch p = { .rva = rva, .length = length, .kind = kind, .section = section, .current = g_byte_array_new() };

	p.changed_bits = changed_bits(original, current, length);
	append_bytes(p.current, current, length);
	if (original) {
		p.original = g_byte_array_new();
		append_bytes(p.original, original, length);
	}
	g_array_append_val(s->patches, p);
	return &g_array_index(s->patches, struct found_patch, s->patches->len - 1);
}

/* The section that a page belongs to; false: nobody minds that it is written to. */
static bool watched(const struct subject *s, uint32_t rva, const struct pe_section **section, bool *header)
{
	*section = pe_section_at(s->original, rva);
	*header = !*section && rva < MAX(s->original->size_of_headers, PAGE_SIZE);
	return *header || (*section && !((*section)->characteristics & PE_SECTION_WRITE));
}

/* A page that only another dump of the case may have the original of. */
static void add_unknown(struct subject *s, uint32_t rva, const struct pe_section *section, const uint8_t *current)
{
	struct found_patch *p = add_patch(s, rva, PAGE_SIZE, PATCH_UNKNOWN, section, NULL, current);
	guint direct;

	if (!p || !s->content)
		return;
	g_autoptr(GByteArray) hash = image_page_hashes(s->pe, s->content->fixups, rva, PAGE_SIZE, 1, &direct);
	if (!p->hashes)
		p->hashes = g_byte_array_new();
	g_byte_array_append(p->hashes, hash->data, hash->len);
}

static char *export_at(struct subject *s, uint32_t index)
{
	const GArray *exports = pe_exports(s->original, NULL);
	uint8_t raw[4];
	struct bytes b = { raw, sizeof(raw), false };
	uint32_t directory = s->original->directories[PE_DIRECTORY_EXPORT].rva;

	if (pe_read(s->original, directory + 0x10, raw, sizeof(raw)))	/* Base */
		return NULL;
	uint32_t ordinal = bytes_u32(&b) + index;
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		if (e->has_ordinal && e->ordinal == ordinal)
			return e->name ? g_strdup(e->name) : g_strdup_printf("#%u", ordinal);
	}
	return g_strdup_printf("#%u", ordinal);
}

/* Take from the differences those in the table of exported functions, each a patch of its own. */
static void take_exports(struct subject *s, uint32_t rva, const struct pe_section *section, const uint8_t *original, const uint8_t *current,
			 GArray *runs)
{
	uint64_t page_end = (uint64_t)rva + PAGE_SIZE;
	guint kept = 0;

	if (!export_table_find(s) || s->export_table >= page_end || s->export_table + 4 * (uint64_t)s->export_count <= rva)
		return;
	uint32_t last = UINT32_MAX;
	for (guint i = 0; i < runs->len; i++) {
		struct difference d = g_array_index(runs, struct difference, i);
		uint64_t from = (uint64_t)rva + d.offset, end = from + d.length;
		if (from < s->export_table || end > s->export_table + 4 * (uint64_t)s->export_count) {
			g_array_index(runs, struct difference, kept++) = d;
			continue;
		}
		for (uint32_t index = (uint32_t)(from - s->export_table) / 4; s->export_table + 4 * (uint64_t)index < end; index++) {
			uint32_t at = s->export_table + 4 * index;
			if (index == last || at < rva || at + 4 > page_end || !memcmp(original + (at - rva), current + (at - rva), 4))
				continue;
			struct found_patch *p = add_patch(s, at, 4, PATCH_EXPORT, section, original + (at - rva), current + (at - rva));
			struct bytes b = { current + (at - rva), 4, false };
			last = index;
			if (!p)
				break;
			p->export = export_at(s, index);
			p->has_target = true;
			p->target = s->base + bytes_u32(&b);
		}
	}
	g_array_set_size(runs, kept);
}

/* Is that memory of the process that code runs in? */
static bool leads_to_code(const struct subject *s, uint64_t va)
{
	const struct vad *vad = va >= LOWEST && s->c->process ? vad_find(&s->c->process->vads, (va_t){ va }) : NULL;

	return vad && (vad->pages_executable || image_vad(vad) || protection_executable(vad->protection));
}

/*
 * Take from the differences in read-only data the addresses that led into the image, or to another module, and lead to other code
 * now (tables of methods and of callbacks), each a patch of its own. A run goes when all that differs in it is such.
 */
static void take_pointers(struct subject *s, uint32_t rva, const struct pe_section *section, const uint8_t *original, const uint8_t *current, GArray *runs)
{
	unsigned width = pe_slot_size(s->original);
	uint64_t home = s->original->image_base;
	guint kept = 0;

	for (guint i = 0; i < runs->len; i++) {
		struct difference d = g_array_index(runs, struct difference, i);
		bool all = true;
		for (uint32_t at = d.offset & ~(width - 1); at < d.offset + d.length && at + width <= PAGE_SIZE; at += width) {
			struct bytes before = { original + at, width, false }, after = { current + at, width, false };
			uint64_t was = bytes_le(&before, width), is = bytes_le(&after, width);
			if (was == is)
				continue;
			if (!(was - home < s->size || was - s->base < s->size || module_at(s->c, was)) || !leads_to_code(s, is)) {
				all = false;
				continue;
			}
			struct found_patch *p = add_patch(s, rva + at, width, PATCH_POINTER, section, original + at, current + at);
			if (!p)
				break;
			p->has_target = true;
			p->target = is;
		}
		if (!all)
			g_array_index(runs, struct difference, kept++) = d;
	}
	g_array_set_size(runs, kept);
}

static void miss(struct subject *s, uint32_t index, enum view_page what, const struct page *page)
{
	s->pages[index] &= (uint8_t)~PAGE_FLAG_READABLE;
	if (what == VIEW_PRIVATE && page->executable && !s->missing++)
		s->first_missing = index * PAGE_SIZE;
}

static void compare_page(struct subject *s, uint32_t index, enum view_page what, const struct page *page, const struct page *section_page)
{
	uint32_t rva = index * PAGE_SIZE;
	const struct pe_section *section;
	uint8_t current[PAGE_SIZE], original[PAGE_SIZE];
	bool header;

	if (!watched(s, rva, &section, &header))
		return;
	if (!page_bytes(s, page, current)) {
		miss(s, index, what, page);
		return;
	}
	/* Where the prototype PTE says that the section's page has left memory, no other process has it. */
	enum original found = page_bytes(s, section_page, original) ? ORIGINAL_FOUND :
			      what == VIEW_UNKNOWN || page_resident(section_page) ? other_original(s, index, page, original) : ORIGINAL_NONE;
	/* What an acquisition can't read is zeros in a raw image: no code that replaces other code. (Nor any that was replaced, but there are pages of zeros
	 * to hide code in.) */
	if (found == ORIGINAL_FOUND && page->executable && bytes_are_zero(current, PAGE_SIZE) && !bytes_are_zero(original, PAGE_SIZE)) {
		miss(s, index, what, page);
		return;
	}
	if (found != ORIGINAL_FOUND) {
		/* A page that may as well be the section's own is no modification. */
		s->pages[index] |= what == VIEW_PRIVATE ? PAGE_FLAG_ALONE : 0;
		if (what == VIEW_PRIVATE && page->executable)
			add_unknown(s, rva, section, current);
		return;
	}
	g_autoptr(GArray) runs = g_array_new(FALSE, FALSE, sizeof(struct difference));
	image_page_differences(s->content ? s->content->fixups : NULL, rva, original, s->original->image_base, current, s->base, GAP, runs);
	if (!runs->len)
		return;
	s->pages[index] |= PAGE_FLAG_MODIFIED;
	take_exports(s, rva, section, original, current, runs);
	if (!runs->len)
		return;
	bool code = section && section->characteristics & (PE_SECTION_EXECUTE | PE_SECTION_CODE), large = false;
	if (section && !code)
		take_pointers(s, rva, section, original, current, runs);
	if (!runs->len)
		return;
	for (guint i = 0; i < runs->len; i++)
		large |= g_array_index(runs, struct difference, i).length >= STOMPED;
	if (large || !code || runs->len > 256) {	/* one patch from the first to the last */
		const struct difference *first = &g_array_index(runs, struct difference, 0);
		const struct difference *last = &g_array_index(runs, struct difference, runs->len - 1);
		uint32_t from = first->offset, length = last->offset + last->length - from;
		enum patch_kind kind = header ? PATCH_HEADER : code ? PATCH_STOMPED : PATCH_DATA;
		struct found_patch *p = add_patch(s, rva + from, length, kind, section, original + from, current + from);
		/* A damaged entry leads to a page that has nothing in common with this one; of a copy that was changed few bytes differ, wherever it lies. */
		if (p && page_resident(section_page))
			p->frame_bits = MAX(p->frame_bits, (uint32_t)__builtin_popcountll(page->pa.v ^ section_page->pa.v));
		return;
	}
	for (guint i = 0; i < runs->len; i++) {
		const struct difference *d = &g_array_index(runs, struct difference, i);
		add_patch(s, rva + d->offset, d->length, PATCH_OTHER, section, original + d->offset, current + d->offset);
	}
}

void subject_compare(struct subject *s)
{
	s->n = (s->size + PAGE_SIZE - 1) / PAGE_SIZE;
	s->pages = g_try_malloc0(s->n + 1);
	s->patches = g_array_new(FALSE, TRUE, sizeof(struct found_patch));
	g_array_set_clear_func(s->patches, patch_clear);
	if (!s->pages || !s->space)
		return;
	/* A mapping may claim gigabytes, and there may be thousands of them. */
	if (!space_spend(s->space, s->n)) {
		g_clear_pointer(&s->pages, g_free);
		return;
	}
	bool mapped = s->vad && image_vad(s->vad);
	for (uint32_t i = 0; i < s->n && !context_cancelled(s->c); i++) {
		struct page page, section;
		if (!mapped) {
			enum fault fault = space_page(s->space, (va_t){ s->base + (uint64_t)i * PAGE_SIZE }, &page);
			s->pages[i] = page_resident(&page) ? PAGE_FLAG_PRESENT | PAGE_FLAG_READABLE : fault ? 0 : PAGE_FLAG_READABLE;
			s->pages[i] |= page.executable ? PAGE_FLAG_EXECUTABLE : 0;
			continue;
		}
		enum view_page what = view_page(&s->view, i, &page, &section);
		s->pages[i] = what == VIEW_ABSENT ? 0 : what == VIEW_ZERO ? PAGE_FLAG_READABLE : PAGE_FLAG_PRESENT | PAGE_FLAG_READABLE;
		s->pages[i] |= page.executable ? PAGE_FLAG_EXECUTABLE : 0;
		if (what == VIEW_PRIVATE)
			s->pages[i] |= PAGE_FLAG_PRIVATE;
		if (what == VIEW_PRIVATE || what == VIEW_UNKNOWN)
			compare_page(s, i, what, &page, &section);
	}
}

/* ---- rows ---- */

/* Name the function that rva lies in; *start is where it begins, or rva. */
static char *function_at(struct subject *s, uint32_t rva, uint32_t *start)
{
	const struct pe_export *export = pe_nearest_export(s->original, rva);
	struct pe_function function;
	bool known = pe_function_at(s->original, rva, &function);

	*start = rva;
	if (export && (!known || function.begin <= export->rva)) {
		*start = export->rva;
		return export->name ? g_strdup(export->name) : g_strdup_printf("#%u", export->ordinal);
	}
	if (!known)
		return NULL;
	*start = function.begin;
	return g_strdup_printf("sub_%x", function.begin);
}

/*
 * A patch of the room before a function and of its start, as hot patches are made: name the function, whose offset is negative then.
 * The code is read from the patch's first byte.
 */
static char *function_within(struct subject *s, const struct found_patch *p, int64_t *offset)
{
	const struct pe_export *export = p->kind == PATCH_OTHER ? pe_nearest_export(s->original, p->rva + p->length - 1) : NULL;

	if (!export || !export->name || export->rva <= p->rva || export->rva - p->rva > ROOM_BEFORE)
		return NULL;
	*offset = (int64_t)p->rva - export->rva;
	return g_strdup(export->name);
}

/* Where the changed bytes begin within an instruction, the patch is the whole of it: those before are the same in both. */
static void widen(struct subject *s, struct found_patch *p, uint32_t by)
{
	uint8_t before[MAX_INSTRUCTION];

	if (!by || by > sizeof(before) || pe_read(s->pe, p->rva - by, before, by))
		return;
	p->rva -= by;
	p->length += by;
	g_byte_array_prepend(p->current, before, by);
	if (p->original)
		g_byte_array_prepend(p->original, before, by);
}

static void decode_patch(struct subject *s, struct found_patch *p, uint32_t start, struct patch_code *code)
{
	struct patch_source source = subject_source(s);

	patch_decode(&source, s->original->machine, s->base + start, s->base + p->rva, p->length, code);
	if (code->start < s->base + p->rva)
		widen(s, p, (uint32_t)(s->base + p->rva - code->start));
	p->kind = code->kind;
}

void put_patches(struct subject *s)
{
	for (guint i = 0; i < s->patches->len; i++) {
		struct found_patch *p = &g_array_index(s->patches, struct found_patch, i);
		struct row *row = row_new(s->c, &table_image_patches);
		bool code = p->kind != PATCH_EXPORT && p->kind != PATCH_POINTER && p->section && p->section->characteristics & (PE_SECTION_EXECUTE | PE_SECTION_CODE);
		uint32_t start = p->rva;
		int64_t offset = 0;
		g_autofree char *function = code ? function_within(s, p, &offset) : NULL;
		if (code && !function)
			function = function_at(s, p->rva, &start);
		struct patch_code decoded = { 0 };
		if (code && p->kind == PATCH_OTHER)
			decode_patch(s, p, start, &decoded);
		row_ref(row, P_IMAGE, s->ordinal);
		row_address(row, P_ADDRESS, s->base + p->rva);
		row_int(row, P_LENGTH, p->length);
		row_text(row, P_SECTION, p->section ? p->section->name : NULL);
		if (function) {
			row_text(row, P_FUNCTION, function);
			row_int(row, P_FUNCTION_OFFSET, offset ? offset : p->rva - start);
		}
		row_text(row, P_DISASSEMBLY, decoded.text);
		if (decoded.has_target) {
			row_address(row, P_TARGET, decoded.target);
			row_text(row, P_TARGET_MODULE, module_at(s->c, decoded.target));
		}
		g_free(decoded.text);
		if (p->export)
			row_text(row, P_FUNCTION, p->export);
		if (p->has_target) {
			row_address(row, P_TARGET, p->target);
			row_text(row, P_TARGET_MODULE, module_at(s->c, p->target));
		}
		if (p->original) {
			row_blob(row, P_ORIGINAL, p->original->data, p->original->len);
			row_int(row, P_CHANGED_BITS, p->changed_bits);
			if (p->frame_bits)
				row_int(row, P_FRAME_BITS, p->frame_bits);
		}
		if (p->hashes)
			row_blob(row, P_HASHES, p->hashes->data, p->hashes->len);
		row_blob(row, P_CURRENT, p->current->data, p->current->len);
		row_text(row, P_KIND, patch_kind_name(p->kind));
	}
	if (s->missing)
		context_note(s->c, FAULT_NOT_IN_DUMP, (va_t){ s->base + s->first_missing }, "image_patches",
			     "%u private pages of the image's code are not in the dump: whether they were changed is not known", s->missing);
	if (s->search_cut)
		context_note(s->c, FAULT_LIMIT, (va_t){ s->base }, "image_patches",
			     "more than %d pages whose original is not at hand (original_pages): whether others were changed is not known", SEARCHES);
	if (s->patches_cut)
		context_note(s->c, FAULT_LIMIT, (va_t){ s->base }, "image_patches", "more than %" G_GUINT64_FORMAT " patches in one image",
			     limit(image_patches));
}
