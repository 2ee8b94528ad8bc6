/* SPDX-License-Identifier: Apache-2.0 */
/* A process's memory: what its descriptors say, and what its page tables hold. */
#include <string.h>
#include "sample.h"

static const struct { const char *name; uint8_t mm; } protections[] = {
	{ "PAGE_NOACCESS", 0x18 }, { "PAGE_READONLY", MM_READONLY }, { "PAGE_EXECUTE", MM_EXECUTE },
	{ "PAGE_EXECUTE_READ", MM_EXECUTE_READ }, { "PAGE_READWRITE", MM_READWRITE }, { "PAGE_WRITECOPY", MM_WRITECOPY },
	{ "PAGE_EXECUTE_READWRITE", MM_EXECUTE_READWRITE }, { "PAGE_EXECUTE_WRITECOPY", MM_EXECUTE_WRITECOPY },
};

uint8_t protection_parse(struct item *item, const char *key, const char *otherwise)
{
	const char *text = item_text(item, key, otherwise);
	uint8_t guard = 0;
	g_autofree char *name = g_strdup(text);

	if (g_str_has_suffix(name, "|PAGE_GUARD")) {
		name[strlen(name) - strlen("|PAGE_GUARD")] = '\0';
		guard = MM_GUARD;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(protections); i++)
		if (!strcmp(protections[i].name, name))
			return protections[i].mm | guard;
	item_fail(item, "%s: \"%s\" is no protection like PAGE_READWRITE", key, text);
}

static bool executable(uint8_t mm)
{
	return mm == MM_EXECUTE || mm == MM_EXECUTE_READ || mm == MM_EXECUTE_READWRITE || mm == MM_EXECUTE_WRITECOPY;
}

uint64_t user_pte_bits(uint8_t mm)
{
	uint64_t bits = PTE_VALID | PTE_USER | PTE_ACCESSED | (executable(mm) ? 0 : PTE_NX);

	if (mm == MM_READWRITE || mm == MM_EXECUTE_READWRITE)
		bits |= PTE_WRITABLE | PTE_DIRTY | PTE_WRITE;
	if (mm == MM_WRITECOPY || mm == MM_EXECUTE_WRITECOPY)
		bits |= PTE_COPY_ON_WRITE;
	return bits;
}

struct sample_vad *vad_add(struct sample *s, struct sample_process *p, uint64_t start, uint64_t pages, uint8_t protection,
			   const struct sample_file *file)
{
	struct sample_vad vad = { .start = start, .end = start + pages * PAGE_SIZE - 1, .protection = protection, .file = file };

	vad.is_private = !file;
	vad.mem_commit = !file;
	vad.image = file && file->image;
	vad.commit = file ? 0 : pages;
	for (guint i = 0; i < p->vads->len; i++) {
		const struct sample_vad *other = &g_array_index(p->vads, struct sample_vad, i);
		if (vad.start <= other->end && other->start <= vad.end)
			item_fail(p->item, "two VADs overlap: 0x%" G_GINT64_MODIFIER "x and 0x%" G_GINT64_MODIFIER "x", vad.start, other->start);
	}
	(void)s;
	g_array_append_val(p->vads, vad);
	return &g_array_index(p->vads, struct sample_vad, p->vads->len - 1);
}

/* ---- images */

uint64_t software_protection(const struct sample *s, uint8_t mm)
{
	return (uint64_t)mm << (s->memory->paging == PAGING_ARM64 ? 1 : 5);
}

/* An address part of all ones. */
uint64_t lookup_needed_pte(const struct sample *s, uint8_t mm)
{
	return invalid_pte(s, (s->pte_width == 4 ? 0xfffff000u : UINT64_C(0xffffffff00000000)) | software_protection(s, mm) | PTE_PROTOTYPE);
}

/* _MMPTE_PROTOTYPE: 48 bits of address above 16, 32 above 32 (PAE), or the distance from the start of paged pool in two
 * pieces, without room for a protection (x86). */
uint64_t prototype_pte(const struct sample *s, uint64_t at, uint8_t mm)
{
	uint64_t distance = at - s->paged_start;

	if (s->pte_width == 4)
		return (distance >> 2 & 0x7f) << 1 | (distance >> 9) << 11 | PTE_PROTOTYPE;
	return invalid_pte(s, at << (s->width == 4 ? 32 : 16) | software_protection(s, mm) | PTE_PROTOTYPE);
}

static uint64_t prototype_form(const struct sample *s, const struct sample_file *f, uint64_t n, uint8_t mm)
{
	return prototype_pte(s, f->prototypes + s->pte_width * n, mm);
}

/* _MMPTE_SUBSECTION: the same; on x86 the distance down from the end of nonpaged pool, or up from its start. */
uint64_t subsection_pte(const struct sample *s, uint64_t at, uint8_t mm)
{
	uint64_t distance = (at - 0x80000000u) & 0x3fffffff;

	if (s->pte_width == 4)
		return (distance >> 3 & 0xf) << 1 | (distance >> 7) << 11 | software_protection(s, mm) | PTE_PROTOTYPE;
	return invalid_pte(s, at << (s->width == 4 ? 32 : 16) | software_protection(s, mm) | PTE_PROTOTYPE);
}

/* PageFileHigh: a place in the first page file. */
uint64_t page_file_pte(const struct sample *s, uint64_t page, uint8_t mm)
{
	return invalid_pte(s, page << (s->pte_width == 4 ? 12 : 32) | software_protection(s, mm));
}

/* An API set's host, by machine api-sets=SET:HOST,…; other names are their own. */
static const char *import_host(struct sample *s, const char *dll, char host[64])
{
	const char *text = item_text(s->machine, "api-sets", NULL);
	g_auto(GStrv) sets = text ? g_strsplit(text, ",", -1) : NULL;

	for (unsigned i = 0; sets && sets[i]; i++) {
		const char *colon = strchr(sets[i], ':');
		size_t n = colon ? (size_t)(colon - sets[i]) : 0;
		if (n && !g_ascii_strncasecmp(sets[i], dll, n) && !g_ascii_strcasecmp(dll + n, ".dll")) {
			g_strlcpy(host, colon + 1, 64);
			return host;
		}
	}
	return dll;
}

/* Where an import leads, forwarders followed; 0: nowhere. */
static uint64_t import_target(struct sample *s, bool is_64bit, const char *dll, const char *name, unsigned depth)
{
	char buffer[64];
	const char *host = import_host(s, dll, buffer);

	for (guint j = 0; j < s->files->len && depth < 4; j++) {
		const struct sample_file *f = s->files->pdata[j];
		if (!f->executable || f->executable->is_64bit != is_64bit || g_ascii_strcasecmp(strrchr(f->path, '\\') + 1, host))
			continue;
		const char *forwarder = f->executable->forwarders ? g_hash_table_lookup(f->executable->forwarders, name) : NULL;
		uint32_t rva = executable_export(f->executable, name);
		if (forwarder) {
			g_auto(GStrv) parts = g_strsplit(forwarder, ".", 2);
			g_autofree char *next = g_strconcat(parts[0], ".dll", NULL);
			return import_target(s, is_64bit, next, parts[1], depth + 1);
		}
		if (rva)
			return f->base + rva;
	}
	return 0;
}

static void bind_imports(struct sample *s, struct sample_process *p, const struct sample_vad *vad)
{
	const struct executable *x = vad->file->executable;

	for (guint i = 0; i < x->imports->len; i++) {
		const struct executable_import *import = &g_array_index(x->imports, struct executable_import, i);
		uint64_t target = import_target(s, x->is_64bit, import->dll, import->name, 0);
		if (target)
			memory_put(s->memory, p->root, vad->start + import->rva, target, x->is_64bit ? 8 : 4);
	}
}

/* Pages the loader wrote to, or that were patched, are the process's own copies. */
static void private_copy(struct sample *s, struct sample_process *p, const struct sample_vad *vad, uint64_t n, uint8_t mm)
{
	uint64_t bits = user_pte_bits(mm) | PTE_DIRTY;

	memory_map_new(s->memory, p->root, vad->start + n * PAGE_SIZE, bits);
	memory_write(s->memory, p->root, vad->start + n * PAGE_SIZE, vad->file->executable->bytes + n * PAGE_SIZE, PAGE_SIZE);
}

static bool holds_imports(const struct sample_file *f, uint64_t n)
{
	return f->executable->import_table && n == f->executable->import_table / PAGE_SIZE;
}

static bool is_private(const struct sample_file *f, const struct executable_section *section, uint64_t n)
{
	return holds_imports(f, n) || (section && !strcmp(section->name, ".data"));
}

void vad_map_image(struct sample *s, struct sample_process *p, const struct sample_vad *vad)
{
	const struct sample_file *f = vad->file;

	for (uint64_t n = 0; n < f->pages; n++) {
		uint64_t va = vad->start + n * PAGE_SIZE;
		const struct executable_section *section = executable_section_at(f->executable, (uint32_t)(n * PAGE_SIZE));
		const char *name = section ? section->name : "";
		if (is_private(f, section, n))
			continue;
		if (!f->frames[n] && f->executable->loaded)
			continue;
		if (!strcmp(name, ".rsrc"))	/* trimmed from the working set: the prototype PTE knows */
			memory_map(s->memory, p->root, va, prototype_form(s, f, n, MM_READONLY));
		else if (!strcmp(name, ".reloc"))
			memory_map(s->memory, p->root, va, lookup_needed_pte(s, MM_READONLY));
		else
			memory_map(s->memory, p->root, va, f->frames[n] | user_pte_bits(section ? section->protection : MM_READONLY));
	}
	/* Now that the frames beside them are known. */
	for (uint64_t n = 0; n < f->pages; n++)
		if (is_private(f, executable_section_at(f->executable, (uint32_t)(n * PAGE_SIZE)), n))
			private_copy(s, p, vad, n, holds_imports(f, n) ? MM_READONLY : MM_READWRITE);
	if (!vad->unbound)
		bind_imports(s, p, vad);
}

/* ---- `vad` lines */

GByteArray *parse_hex(struct item *item, const char *text)
{
	GByteArray *bytes = g_byte_array_new();

	for (; text[0] && text[1]; text += 2) {
		if (!g_ascii_isxdigit(text[0]) || !g_ascii_isxdigit(text[1]))
			item_fail(item, "hex: two digits a byte, nothing else");
		uint8_t byte = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
		g_byte_array_append(bytes, &byte, 1);
	}
	return bytes;
}

/* What position-independent code begins with (find its own address, then the process's module
 * list) and nothing that would do harm: it ends in a breakpoint. */
static const uint8_t shellcode[] = {
	0xfc, 0x48, 0x83, 0xe4, 0xf0, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x5b, 0x65, 0x48, 0x8b, 0x04, 0x25, 0x60, 0x00, 0x00, 0x00,
	0x48, 0x8b, 0x40, 0x18, 0x48, 0x8b, 0x70, 0x20, 0x48, 0x31, 0xc9, 0xac, 0x41, 0xc1, 0xc9, 0x0d, 0x41, 0x01, 0xc1, 0xcc,
};

/* Images one after the other, as pe:A.dll+B.dll names them, each at a page, without the parts of the headers that wipe= takes. */
static void append_images(struct sample *s, struct item *item, const char *names, bool wide, uint64_t start, GByteArray *bytes)
{
	g_auto(GStrv) list = g_strsplit(names, "+", -1);

	for (unsigned i = 0; list[i]; i++) {
		const char *name = list[i];
		struct executable_spec spec = {
			.name = name, .is_64bit = wide, .dll = g_str_has_suffix(name, ".dll"), .base = start + bytes->len,
			.imports = (const char *const[]){ "kernel32.dll!VirtualAlloc", "kernel32.dll!WriteProcessMemory", NULL },
			.exports = g_str_has_suffix(name, ".dll") ? (const char *const[]){ "ReflectiveLoader", "Start", NULL } : NULL,
			.version = "1.0.0.0", .company = "", .product = "", .seed = s->seed,
		};
		struct executable *x = executable_create(&spec);
		executable_wipe(x, item_flag(item, "wiped") ? "header" : item_text(item, "wipe", ""), s->seed);
		g_byte_array_append(bytes, x->bytes, x->size);
		executable_destroy(x);
	}
}

/* `content=`: zero, random, code, text:…, hex:…, shellcode, pe:NAME, pe32:NAME. */
static GByteArray *content(struct sample *s, struct item *item, uint64_t start, uint64_t pages)
{
	const char *what = item_text(item, "content", "zero");
	GByteArray *bytes = g_byte_array_new();

	if (!strcmp(what, "zero"))
		return bytes;
	if (!strcmp(what, "random")) {
		uint64_t full = MIN(pages, item_number(item, "valid", pages));
		for (uint64_t i = 0; i < full * PAGE_SIZE / 8; i++) {
			uint64_t word = random_of(s->seed, "content", start + i);
			g_byte_array_append(bytes, (const uint8_t *)&word, 8);
		}
	} else if (!strcmp(what, "shellcode")) {
		g_byte_array_append(bytes, shellcode, sizeof(shellcode));
	} else if (g_str_has_prefix(what, "text:")) {
		g_byte_array_append(bytes, (const uint8_t *)what + 5, (guint)strlen(what + 5));
	} else if (g_str_has_prefix(what, "hex:")) {
		g_byte_array_unref(bytes);
		bytes = parse_hex(item, what + 4);
	} else if (g_str_has_prefix(what, "pe:") || g_str_has_prefix(what, "pe32:")) {
		append_images(s, item, strchr(what, ':') + 1, what[2] == ':', start + item_number(item, "at", 0), bytes);
	} else {
		item_fail(item, "content: \"%s\" is none of zero, random, text:…, hex:…, shellcode, pe:NAME, pe32:NAME", what);
	}
	uint64_t at = item_number(item, "at", 0);
	if (at) {
		GByteArray *moved = g_byte_array_new();
		g_byte_array_set_size(moved, (guint)at);
		memset(moved->data, 0, at);
		g_byte_array_append(moved, bytes->data, bytes->len);
		g_byte_array_unref(bytes);
		bytes = moved;
	}
	if (bytes->len > pages * PAGE_SIZE)
		item_fail(item, "content: 0x%x bytes don't fit in %" G_GUINT64_FORMAT " pages", bytes->len, pages);
	return bytes;
}

/*
 * Private memory: first the pages with content, or valid= of them; then transition=,
 * pagefile= and demand-zero= pages. What is left was never touched.
 */
static void fill_private(struct sample *s, struct sample_process *p, struct item *item, struct sample_vad *vad, GByteArray *bytes)
{
	uint64_t pages = (vad->end + 1 - vad->start) / PAGE_SIZE, used = (bytes->len + PAGE_MASK) / PAGE_SIZE, n = 0;
	uint64_t valid = item_number(item, "valid", used), transition = item_number(item, "transition", 0);
	uint64_t pagefile = item_number(item, "pagefile", 0), demand = item_number(item, "demand-zero", 0);
	uint8_t mm = item_has(item, "pte") ? protection_parse(item, "pte", NULL) : vad->protection;

	if (valid < used || valid + transition + pagefile + demand > pages)
		item_fail(item, "of %" G_GUINT64_FORMAT " pages, %" G_GUINT64_FORMAT " have content and %" G_GUINT64_FORMAT " more are described",
			  pages, used, valid + transition + pagefile + demand - MIN(valid, used));
	for (; n < valid + transition; n++) {
		uint64_t va = vad->start + n * PAGE_SIZE, frame = memory_map_new(s->memory, p->root, va, user_pte_bits(mm));
		uint64_t from = n * PAGE_SIZE;
		if (from < bytes->len)
			memcpy(s->memory->bytes + frame, bytes->data + from, MIN(PAGE_SIZE, bytes->len - from));
		else if (n >= valid)
			memset(s->memory->bytes + frame, 'T', 64);	/* something to be read back */
		if (n >= valid)
			memory_map(s->memory, p->root, va, invalid_pte(s, frame | software_protection(s, mm) | PTE_TRANSITION));
	}
	for (uint64_t end = n + pagefile; n < end; n++)
		memory_map(s->memory, p->root, vad->start + n * PAGE_SIZE, page_file_pte(s, 0x100 + n, mm));
	for (uint64_t end = n + demand; n < end; n++)
		memory_map(s->memory, p->root, vad->start + n * PAGE_SIZE, software_protection(s, mm));
}

/* SEC_RESERVE: from the page on nothing of the section is committed. */
static void reserve_section(struct sample *s, const struct sample_file *f, uint64_t from)
{
	for (uint64_t n = from; n < f->pages; n++)
		memory_put(s->memory, ROOT(s), f->prototypes + s->pte_width * n, 0, s->pte_width);
}

/* Views of data: the first page is mapped, the others are told by prototype PTEs in both ways or not yet at all. */
static void fill_mapped(struct sample *s, struct sample_process *p, const struct sample_vad *vad, GByteArray *bytes)
{
	struct sample_file *f = (struct sample_file *)vad->file;	/* resident pages appear in it */
	uint64_t pages = (vad->end + 1 - vad->start) / PAGE_SIZE;

	for (uint64_t n = 0; n < pages; n++) {
		uint64_t va = vad->start + n * PAGE_SIZE;
		if (!f->path && n * PAGE_SIZE < bytes->len) {
			f->frames[n] = memory_frame(s->memory, n ? f->frames[n - 1] : 0, 0, true);
			memcpy(s->memory->bytes + f->frames[n], bytes->data + n * PAGE_SIZE, MIN(PAGE_SIZE, bytes->len - n * PAGE_SIZE));
			memory_put(s->memory, ROOT(s), f->prototypes + s->pte_width * n,
				   memory_encode(s->memory, (f->frames[n] | user_pte_bits(vad->protection)) & ~PTE_USER), s->pte_width);
		}
		if (f->frames[n] && n < 2)
			memory_map(s->memory, p->root, va, f->frames[n] | user_pte_bits(vad->protection));
		else if (n == 2)
			memory_map(s->memory, p->root, va, prototype_form(s, f, n, vad->protection));
		else if (n == 3)
			memory_map(s->memory, p->root, va, lookup_needed_pte(s, vad->protection));
	}
}

static void vad_from_item(struct sample *s, struct sample_process *p, struct item *item)
{
	const char *type = item_text(item, "type", "private"), *path = item_text(item, "file", NULL);
	uint64_t start = item_number(item, "start", 0), pages = item_number(item, "pages", 1);
	uint8_t protection = protection_parse(item, "protect", strcmp(type, "private") ? "PAGE_READONLY" : "PAGE_READWRITE");
	struct sample_file *file = NULL;

	if (!start || (start & 0xffff))
		item_fail(item, "start: VADs begin at whole 64 KiB");
	if (!strcmp(type, "mapped"))
		file = path ? file_get(s, path, false, false) : section_of_page_file(s, pages, protection);
	else if (strcmp(type, "private"))
		item_fail(item, "type: \"%s\" is neither private nor mapped (an image has a line of its own)", type);
	if (file && pages > file->pages)
		item_fail(item, "pages: the file has %" G_GUINT64_FORMAT, file->pages);
	struct sample_vad *vad = vad_add(s, p, start, pages, protection, file);
	g_autoptr(GByteArray) bytes = content(s, item, start, pages);
	if (file) {
		if (!path && item_flag(item, "reserve"))
			reserve_section(s, file, item_number(item, "commit", 0));
		else
			fill_mapped(s, p, vad, bytes);
		return;
	}
	vad->mem_commit = !item_flag(item, "reserve");
	vad->commit = item_number(item, "commit", vad->mem_commit ? pages : 0);
	fill_private(s, p, item, vad, bytes);
}

void vads_from_items(struct sample *s, struct sample_process *p)
{
	for (guint i = 0; i < p->item->children->len; i++)
		if (item_is(p->item->children->pdata[i], "vad"))
			vad_from_item(s, p, p->item->children->pdata[i]);
}

/* ---- descriptors */

static void write_flags(struct sample *s, const struct sample_vad *vad)
{
	uint64_t flags = vad->node + OFFSET(s, mmvad_short.u), flags1 = vad->node + OFFSET(s, mmvad_short.u1);

	SET(s, flags, mmvad_flags.VadType, vad->image ? 2 : 0);
	SET(s, flags, mmvad_flags.ImageMap, vad->image);	/* Windows XP */
	SET(s, flags, mmvad_flags.Protection, vad->image ? MM_EXECUTE_WRITECOPY : vad->protection);
	SET(s, flags, mmvad_flags.PrivateMemory, vad->is_private);
	if (HAS_FIELD(s, mmvad_flags.CommitCharge)) {	/* Windows 7 keeps all in one word */
		SET(s, flags, mmvad_flags.CommitCharge, vad->commit);
		SET(s, flags, mmvad_flags.MemCommit, vad->mem_commit);
	} else {
		SET(s, flags1, mmvad_flags1.CommitCharge, vad->commit);
		SET(s, flags1, mmvad_flags1.MemCommit, vad->mem_commit);
	}
}

static void write_node(struct sample *s, struct sample_process *p, struct sample_vad *vad)
{
	const struct layout *l = s->layout;
	uint64_t pages = (vad->end + 1 - vad->start) / PAGE_SIZE;

	vad->node = pool_alloc(s, vad->is_private ? l->mmvad_short.size_ : l->mmvad.size_, vad->is_private ? "VadS" : "Vad ", false);
	SET(s, vad->node, mmvad_short.StartingVpn, vad->start >> 12);
	SET(s, vad->node, mmvad_short.EndingVpn, vad->end >> 12);
	SET(s, vad->node, mmvad_short.StartingVpnHigh, vad->start >> 44);
	SET(s, vad->node, mmvad_short.EndingVpnHigh, vad->end >> 44);
	write_flags(s, vad);
	if (vad->is_private)
		return;
	SET(s, vad->node, mmvad.Subsection, vad->file->subsection);
	SET(s, vad->node, mmvad.ControlArea, vad->file->control_area);	/* before Vista */
	SET(s, vad->node, mmvad.FirstPrototypePte, vad->file->prototypes);
	SET(s, vad->node, mmvad.LastContiguousPte, vad->file->prototypes + s->pte_width * (pages - 1));
	SET(s, vad->node, mmvad.VadsProcess, p->eprocess);
	uint64_t area = vad->file->control_area;
	SET(s, area, control_area.NumberOfMappedViews, GET(s, area, control_area.NumberOfMappedViews) + 1);
	SET(s, area, control_area.NumberOfUserReferences, GET(s, area, control_area.NumberOfUserReferences) + 1);
}

/* A balanced tree over vads[from, to); its height in *height. */
static uint64_t link_nodes(struct sample *s, GArray *vads, guint from, guint to, uint64_t parent, unsigned *height)
{
	unsigned left_height = 0, right_height = 0;
	bool old = HAS_FIELD(s, mmvad_short.LeftChild);

	*height = 0;
	if (from >= to)
		return 0;
	guint middle = from + (to - from) / 2;
	uint64_t node = g_array_index(vads, struct sample_vad, middle).node;
	uint64_t left = link_nodes(s, vads, from, middle, node, &left_height);
	uint64_t right = link_nodes(s, vads, middle + 1, to, node, &right_height);
	uint64_t balance = left_height > right_height ? 3 : right_height > left_height ? 1 : 0;
	if (old) {
		SET(s, node, mmvad_short.LeftChild, left);
		SET(s, node, mmvad_short.RightChild, right);
		/* u1.Parent, u1.Balance; Windows XP's trees are balanced otherwise, and the parent stands before the children. */
		if (HAS_FIELD(s, mmvad_short.u1))
			SET(s, node, mmvad_short.u1, parent | balance);
		else
			memory_put(s->memory, ROOT(s), node + OFFSET(s, mmvad_short.LeftChild) - s->width, parent, s->width);
	} else if (HAS_FIELD(s, mm_avl_node.LeftChild)) {	/* Windows 8 */
		uint64_t tree = node + OFFSET(s, mmvad_short.VadNode);
		SET(s, tree, mm_avl_node.LeftChild, left);
		SET(s, tree, mm_avl_node.RightChild, right);
		SET(s, tree, mm_avl_node.u1, parent | balance);
	} else {
		uint64_t tree = node + OFFSET(s, mmvad_short.VadNode);
		SET(s, tree, rtl_balanced_node.Left, left);
		SET(s, tree, rtl_balanced_node.Right, right);
		SET(s, tree, rtl_balanced_node.ParentValue, parent | balance);
	}
	*height = 1 + MAX(left_height, right_height);
	return node;
}

static int compare_vads(const void *a, const void *b)
{
	const struct sample_vad *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void vads_finish(struct sample *s, struct sample_process *p)
{
	uint64_t root = p->eprocess + OFFSET(s, eprocess.VadRoot);
	unsigned height;

	g_array_sort(p->vads, compare_vads);
	for (guint i = 0; i < p->vads->len; i++)
		write_node(s, p, &g_array_index(p->vads, struct sample_vad, i));
	if (HAS_FIELD(s, mm_avl_table.BalancedRoot)) {
		/* The tree hangs on the right of the table's own node, which is its parent. */
		uint64_t top = root + OFFSET(s, mm_avl_table.BalancedRoot);
		uint64_t node = link_nodes(s, p->vads, 0, p->vads->len, top, &height);
		SET(s, top, mmaddress_node.RightChild, node);
		SET(s, top, mm_avl_node.RightChild, node);
		SET(s, root, mm_avl_table.NumberGenericTableElements, p->vads->len);
	} else {
		memory_put(s->memory, ROOT(s), root, link_nodes(s, p->vads, 0, p->vads->len, 0, &height), s->width);
	}
	SET(s, p->eprocess, eprocess.VadCount, p->vads->len);
}
