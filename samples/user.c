/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's half of a process: what is mapped from the start, PEB and TEBs, stacks, the
 * process's parameters and environment, and the loader's lists, for 64-bit processes
 * and, in a second set below 4 GiB, for 32-bit ones.
 */
#include <string.h>
#include "sample.h"

#define SHARED_USER_DATA UINT64_C(0x7ffe0000)
#define HEAP_PAGES 16u
#define STACK_PAGES 64u
#define PEB_REGION_PAGES 0x200u

enum { LIST_LOAD = 1, LIST_MEMORY = 2, LIST_INIT = 4 };

struct user_module {
	struct item *item;		/* NULL: one that every process has */
	const struct sample_file *file;
	uint64_t base;
	uint32_t size;
	const char *name, *path;
	unsigned lists;
	bool wow64;
};

/* ---- memory */

static void touch(struct sample *s, struct sample_process *p, uint64_t at, size_t size)
{
	for (uint64_t va = at & ~(uint64_t)PAGE_MASK; va < at + size; va += PAGE_SIZE)
		if (!memory_mapped(s->memory, p->root, va))
			memory_map_new(s->memory, p->root, va, user_pte_bits(MM_READWRITE));
}

uint64_t user_alloc(struct sample *s, struct sample_process *p, size_t size, bool low)
{
	uint64_t *next = low ? &p->low_heap_next : &p->heap_next, at = *next;

	*next += (size + 0x1f) & ~(size_t)0xf;
	if (!low && *next > p->heap_end)
		item_fail(p->item, "the process's heap is too small for what it should hold");
	touch(s, p, at, size);
	return at;
}

static uint64_t user_text(struct sample *s, struct sample_process *p, const char *text, bool low, uint16_t *length)
{
	size_t bytes;
	g_autofree uint16_t *wide = utf16(text, &bytes);
	uint64_t at = user_alloc(s, p, bytes, low);

	memory_write(s->memory, p->root, at, wide, bytes);
	*length = (uint16_t)(bytes - 2);
	return at;
}

static void user_string(struct sample *s, struct sample_process *p, uint64_t at, const char *text)
{
	uint16_t length;
	uint64_t buffer = user_text(s, p, text, false, &length);

	SET_USER(s, p->root, at, unicode_string.Length, length);
	SET_USER(s, p->root, at, unicode_string.MaximumLength, length + 2);
	SET_USER(s, p->root, at, unicode_string.Buffer, buffer);
}

static void user_string32(struct sample *s, struct sample_process *p, uint64_t at, const char *text)
{
	uint16_t length;
	uint64_t buffer = user_text(s, p, text, true, &length);

	memory_put(s->memory, p->root, at, length, 2);
	memory_put(s->memory, p->root, at + 2, length + 2, 2);
	memory_put(s->memory, p->root, at + 4, buffer, 4);
}

/* Where a process keeps what: at fixed places until Windows 8.1, drawn for each process since. */
static void place(struct sample *s, struct sample_process *p)
{
	uint64_t random = random_of(s->seed, "user", p->pid);
	bool old = s->build < 10240;

	if (s->width == 4) {
		p->heap = 0x00900000;
		p->stacks = 0x00080000;
		p->peb = s->build < 6000 ? 0x7ffdf000u : 0x7ffd0000u + (random & 7) * PAGE_SIZE;
		p->tebs = 0x7ffdf000;	/* downwards, from below the PEB where that is on top */
		vad_add(s, p, p->peb, 1, MM_READWRITE, NULL);
	} else if (old) {
		p->heap = p->wow64 ? 0x00a00000 : 0x00300000;
		p->stacks = 0x00080000 + (p->wow64 ? 0x100000 : 0);
		p->peb = p->wow64 ? 0x7efdf000 : s->build < 9600 ? UINT64_C(0x7fffffdf000) : UINT64_C(0x7ff5fffdf000);
		p->tebs = p->wow64 ? 0x7efde000 : p->peb - 0x1000;
		vad_add(s, p, p->peb, 1, MM_READWRITE, NULL);
		if (p->wow64) {
			p->peb32 = p->peb - PAGE_SIZE;
			vad_add(s, p, p->peb32, 1, MM_READWRITE, NULL);
		}
	} else {
		uint64_t region = p->wow64 ? 0x00a00000 : (0x10 + random % 0xe0) << 32 | (random >> 16 & 0x7f) << 21;
		p->heap = p->wow64 ? 0x01200000 : (0x200 + (random >> 32 & 0xff)) << 32 | (random >> 40 & 0x7fff) << 16;
		p->peb = region + (random >> 56 & 0x3f) * PAGE_SIZE;
		p->tebs = p->peb + (p->wow64 ? 2 : 1) * PAGE_SIZE;
		p->stacks = region + PEB_REGION_PAGES * PAGE_SIZE;
		vad_add(s, p, region, PEB_REGION_PAGES, MM_READWRITE, NULL)->commit = 8;
		p->peb32 = p->wow64 ? p->peb + PAGE_SIZE : 0;
	}
	vad_add(s, p, p->heap, HEAP_PAGES, MM_READWRITE, NULL);
	p->heap_next = p->heap + 0x800;
	p->heap_end = p->heap + HEAP_PAGES * PAGE_SIZE;
	if (p->wow64) {
		p->low_heap_next = p->heap + 0x100000;
		vad_add(s, p, p->low_heap_next, HEAP_PAGES, MM_READWRITE, NULL);
	}
	touch(s, p, p->peb, PAGE_SIZE);
	if (p->wow64)
		touch(s, p, p->peb32, PAGE_SIZE);
	/* The page shared with the kernel: the same frame, read-only. */
	vad_add(s, p, SHARED_USER_DATA, 1, MM_READONLY, NULL);
	memory_map(s->memory, p->root, SHARED_USER_DATA, s->shared_data | user_pte_bits(MM_READONLY));
}

void user_stack(struct sample *s, struct sample_process *p, uint64_t *base, uint64_t *limit, uint64_t *allocation)
{
	*allocation = p->stacks;
	*base = p->stacks + STACK_PAGES * PAGE_SIZE;
	*limit = *base - 2 * PAGE_SIZE;
	p->stacks = *base;
	vad_add(s, p, *allocation, STACK_PAGES, MM_READWRITE, NULL)->commit = 3;
	touch(s, p, *limit, 2 * PAGE_SIZE);
	/* The guard page was never touched. */
	memory_map(s->memory, p->root, *limit - PAGE_SIZE, software_protection(s, MM_READWRITE | MM_GUARD));
}

uint64_t user_teb(struct sample *s, struct sample_process *p, uint64_t tid)
{
	unsigned pages = p->wow64 ? 3 : s->width == 4 ? 1 : 2;
	uint64_t base, limit, allocation, teb = p->tebs;

	if (s->build < 10240 || s->width == 4) {	/* each with its descriptor, downwards */
		teb = p->tebs - pages * PAGE_SIZE;
		vad_add(s, p, teb, pages, MM_READWRITE, NULL);
		p->tebs = teb;
	} else {
		p->tebs += pages * PAGE_SIZE;
	}
	touch(s, p, teb, pages * PAGE_SIZE);
	user_stack(s, p, &base, &limit, &allocation);
	uint64_t tib = teb + OFFSET(s, teb.NtTib);
	SET_USER(s, p->root, tib, nt_tib.StackBase, base);
	SET_USER(s, p->root, tib, nt_tib.StackLimit, limit);
	SET_USER(s, p->root, tib, nt_tib.Self, teb);
	SET_USER(s, p->root, teb + OFFSET(s, teb.ClientId), client_id.UniqueProcess, p->pid);
	SET_USER(s, p->root, teb + OFFSET(s, teb.ClientId), client_id.UniqueThread, tid);
	SET_USER(s, p->root, teb, teb.ProcessEnvironmentBlock, p->peb);
	SET_USER(s, p->root, teb, teb.DeallocationStack, allocation);
	if (p->wow64) {		/* the 32-bit TEB, 8 KiB above: TIB, ids at 0x20, PEB at 0x30 */
		uint64_t teb32 = teb + 0x2000;
		user_stack(s, p, &base, &limit, &allocation);
		SET_USER(s, p->root, teb, teb.WowTebOffset, 0x2000);
		SET_USER(s, p->root, tib, nt_tib.ExceptionList, teb32);
		const struct { unsigned at; uint64_t value; } words[] = {
			{ 4, base }, { 8, limit }, { 0x18, teb32 }, { 0x20, p->pid }, { 0x24, tid }, { 0x30, p->peb32 }, { 0xe0c, allocation },
		};
		for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
			memory_put(s->memory, p->root, teb32 + words[i].at, words[i].value, 4);
	}
	return teb;
}

/* ---- images */

static unsigned parse_lists(struct item *item)
{
	const char *text = item_text(item, "list", "load,memory,init");
	g_auto(GStrv) names = g_strsplit(text, ",", -1);
	unsigned lists = 0;

	for (unsigned i = 0; names[i]; i++) {
		if (!strcmp(names[i], "load"))
			lists |= LIST_LOAD;
		else if (!strcmp(names[i], "memory"))
			lists |= LIST_MEMORY;
		else if (!strcmp(names[i], "init"))
			lists |= LIST_INIT;
		else if (strcmp(names[i], "none"))
			item_fail(item, "list: \"%s\" is none of load, memory, init, none", names[i]);
	}
	return item_flag(item, "unlisted") ? 0 : lists;
}

/* One EXPORT:HEX or OFFSET:HEX. copied: the page that is a private copy already, 0: none. */
static uint64_t patch_one(struct sample *s, struct sample_process *p, const struct user_module *m, const char *text, uint64_t copied)
{
	const char *colon = strchr(text, ':');

	if (!colon)
		item_fail(m->item, "patch: EXPORT:HEX");
	g_autofree char *where = g_strndup(text, (gsize)(colon - text));
	uint32_t rva = g_str_has_prefix(where, "0x") ? (uint32_t)g_ascii_strtoull(where, NULL, 0) : executable_export(m->file->executable, where);
	if ((!rva && strcmp(where, "0x0")) || rva >= m->file->executable->size)
		item_fail(m->item, "patch: %s is no export and no offset within the image", where);
	uint64_t page = m->base + (rva & ~PAGE_MASK);
	if (page != copied) {
		memory_map_new(s->memory, p->root, page, user_pte_bits(MM_EXECUTE_READ) | PTE_DIRTY);
		memory_write(s->memory, p->root, page, m->file->executable->bytes + (rva & ~PAGE_MASK), PAGE_SIZE);
	}
	for (unsigned i = 0; colon[1 + 2 * i] && colon[2 + 2 * i]; i++)
		memory_put(s->memory, p->root, m->base + rva + i,
			   (uint64_t)g_ascii_xdigit_value(colon[1 + 2 * i]) << 4 | (uint64_t)g_ascii_xdigit_value(colon[2 + 2 * i]), 1);
	return page;
}

/* patch=EXPORT:HEX,OFFSET:HEX…: bytes written over an image, on private copies of its pages. */
static void patch(struct sample *s, struct sample_process *p, const struct user_module *m, const char *text)
{
	g_auto(GStrv) patches = text ? g_strsplit(text, ",", -1) : NULL;
	uint64_t copied = 0;

	for (unsigned i = 0; patches && patches[i]; i++)
		copied = patch_one(s, p, m, patches[i], copied);
}

/* bind=DLL!FUNCTION:ADDRESS: an import slot that was written over. */
static void rebind(struct sample *s, struct sample_process *p, const struct user_module *m)
{
	const char *text = item_text(m->item, "bind", NULL), *colon = text ? strrchr(text, ':') : NULL;
	const GArray *imports = m->file->executable->imports;

	for (guint i = 0; text && colon && i < imports->len; i++) {
		const struct executable_import *import = &g_array_index(imports, struct executable_import, i);
		g_autofree char *name = g_strconcat(import->dll, "!", import->name, NULL);
		if (strlen(name) == (size_t)(colon - text) && !strncmp(name, text, strlen(name))) {
			memory_put(s->memory, p->root, m->base + import->rva, g_ascii_strtoull(colon + 1, NULL, 0), m->file->executable->is_64bit ? 8 : 4);
			return;
		}
	}
	if (text)
		item_fail(m->item, "bind: DLL!FUNCTION:ADDRESS, of an import that it has");
}

static void add_module(struct sample *s, struct sample_process *p, struct item *item, const char *path, bool wow64, unsigned lists)
{
	struct sample_file *f = file_get(s, path, true, wow64);
	struct user_module m = { .item = item, .file = f, .wow64 = wow64, .lists = lists, .size = f->executable->size };
	const char *base = strrchr(f->path, '\\') + 1;

	m.base = item_number(item, "base", f->base);
	m.path = g_intern_string(item_text(item, "as", path));
	m.name = g_intern_string(item_text(item, "name", strrchr(m.path, '\\') ? strrchr(m.path, '\\') + 1 : base));
	if (!item_flag(item, "unmapped")) {
		struct sample_vad *vad = vad_add(s, p, m.base, f->pages, MM_EXECUTE_WRITECOPY, f);
		vad->commit = 2;
		vad->unbound = item && item_flag(item, "unbound");
		vad_map_image(s, p, vad);
		if (item) {
			patch(s, p, &m, item_text(item, "patch", NULL));
			rebind(s, p, &m);
		}
	}
	/* Every process has this one, so no line of its own is needed. */
	if (!item && !g_ascii_strcasecmp(base, "ntdll.dll")) {
		m.item = p->item;
		patch(s, p, &m, item_text(p->item, wow64 ? "ntdll32-patch" : "ntdll-patch", NULL));
		m.item = NULL;
	}
	if (!item || !item_flag(item, "unbound"))	/* the loader knows nothing of those */
		g_array_append_val(p->modules, m);
}

/* What every process maps: its program, ntdll and kernel32; a 32-bit one also the layer between. */
static void add_images(struct sample *s, struct sample_process *p)
{
	const char *path = item_required(p->item, "path");
	bool bare = item_flag(p->item, "bare"), hollow = item_flag(p->item, "hollowed");
	struct sample_file *main_image = p->main_image = file_get(s, path, true, p->wow64);

	p->section_base = main_image->base;
	p->image_base = item_number(p->item, "image-base", main_image->base);
	struct user_module m = { .file = main_image, .base = p->image_base, .size = main_image->executable->size, .name = NULL,
				 .wow64 = false, .lists = LIST_LOAD | LIST_MEMORY };
	m.path = g_intern_string(item_text(p->item, "peb-path", path));
	m.name = g_intern_string(strrchr(m.path, '\\') ? strrchr(m.path, '\\') + 1 : m.path);
	if (!hollow) {
		/* mapped=FILE: another image in its place */
		const char *other = item_text(p->item, "mapped", NULL);
		struct sample_file *mapped = other ? file_get(s, other, true, p->wow64) : main_image;
		struct sample_vad *vad = vad_add(s, p, main_image->base, mapped->pages, MM_EXECUTE_WRITECOPY, mapped);
		vad->commit = 2;
		vad_map_image(s, p, vad);
		m.item = p->item;
		patch(s, p, &m, item_text(p->item, "image-patch", NULL));
		m.item = NULL;
	}
	g_array_append_val(p->modules, m);
	if (p->wow64) {
		m.wow64 = true;
		g_array_append_val(p->modules, m);
	}
	add_module(s, p, NULL, "C:\\Windows\\System32\\ntdll.dll", false, LIST_LOAD | LIST_MEMORY | LIST_INIT);
	if (p->wow64) {
		add_module(s, p, NULL, "C:\\Windows\\System32\\wow64.dll", false, LIST_LOAD | LIST_MEMORY | LIST_INIT);
		add_module(s, p, NULL, "C:\\Windows\\SysWOW64\\ntdll.dll", true, LIST_LOAD | LIST_MEMORY | LIST_INIT);
		add_module(s, p, NULL, "C:\\Windows\\SysWOW64\\kernel32.dll", true, LIST_LOAD | LIST_MEMORY | LIST_INIT);
	} else if (!bare) {
		add_module(s, p, NULL, "C:\\Windows\\System32\\kernel32.dll", false, LIST_LOAD | LIST_MEMORY | LIST_INIT);
	}
	for (guint i = 0; i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		if (item_is(item, "image"))
			add_module(s, p, item, item_required(item, "file"), item_flag(item, "wow64"), parse_lists(item));
	}
}

/* machine api-sets=SET:HOST,…: the map of API sets, in the form that the build has; at PEB.ApiSetMap of every process. */
static void api_sets(struct sample *s, struct sample_process *p)
{
	const char *text = item_text(s->machine, "api-sets", NULL);
	g_auto(GStrv) sets = text ? g_strsplit(text, ",", -1) : NULL;
	unsigned count = sets ? g_strv_length(sets) : 0, version = s->build < 9600 ? 2 : s->build < 10240 ? 4 : 6;
	unsigned header = version == 6 ? 28 : version == 4 ? 16 : 8, entry_size = version == 2 ? 12 : 24;
	uint64_t at = UINT64_C(0x7ff00000), names = header + count * entry_size, size;

	if (!text)
		return;
	vad_add(s, p, at, 1, MM_READONLY, NULL);
	memory_map_new(s->memory, p->root, at, user_pte_bits(MM_READONLY));
	SET_USER(s, p->root, p->peb, peb.ApiSetMap, at);
	for (unsigned i = 0; i < count; i++) {
		g_auto(GStrv) pair = g_strsplit(sets[i], ":", 2);
		const char *name = version == 6 || !g_str_has_prefix(pair[0], "api-") ? pair[0] : pair[0] + 4;
		size_t name_bytes, host_bytes;
		g_autofree uint16_t *wide_name = utf16(name, &name_bytes), *wide_host = utf16(pair[1], &host_bytes);
		uint64_t entry = at + header + i * entry_size, name_at = names, host_at = name_at + name_bytes, value = (host_at + host_bytes + 3) & ~UINT64_C(3);
		unsigned n = version == 2 ? 0 : 4;
		memory_write(s->memory, p->root, at + name_at, wide_name, name_bytes);
		memory_write(s->memory, p->root, at + host_at, wide_host, host_bytes);
		memory_put(s->memory, p->root, entry + n, name_at, 4);
		memory_put(s->memory, p->root, entry + n + 4, name_bytes - 2, 4);
		memory_put(s->memory, p->root, entry + (version == 2 ? 8 : version == 4 ? 20 : 16), value, 4);
		if (version == 6)
			memory_put(s->memory, p->root, entry + 20, 1, 4);
		else	/* a count before the values, in version 4 after flags */
			memory_put(s->memory, p->root, at + value + (version == 4 ? 4 : 0), 1, 4);
		uint64_t first = at + value + (version == 2 ? 4 : version == 4 ? 8 : 0);
		memory_put(s->memory, p->root, first + (version == 2 ? 8 : 12), host_at, 4);
		memory_put(s->memory, p->root, first + (version == 2 ? 12 : 16), host_bytes - 2, 4);
		names = value + 32;
	}
	size = names;
	if (size > PAGE_SIZE)
		item_fail(s->machine, "api-sets: more than fit on a page");
	memory_put(s->memory, p->root, at, version, 4);
	memory_put(s->memory, p->root, at + 4, version == 2 ? count : size, 4);
	if (version != 2)
		memory_put(s->memory, p->root, at + 12, count, 4);
	if (version == 6)
		memory_put(s->memory, p->root, at + 16, header, 4);
}

void user_init(struct sample *s, struct sample_process *p)
{
	p->modules = g_array_new(FALSE, TRUE, sizeof(struct user_module));
	place(s, p);
	api_sets(s, p);
	add_images(s, p);
	vads_from_items(s, p);
	p->section = section_object(s, p->main_image);
	SET(s, p->eprocess, eprocess.Peb, p->peb);
	SET(s, p->eprocess, eprocess.SectionObject, p->section);
	SET(s, p->eprocess, eprocess.SectionBaseAddress, p->section_base);
	SET(s, p->eprocess, eprocess.ImageFilePointer, p->main_image->file_object);
	if (p->wow64) {
		/* From Vista to 8.1 the 32-bit PEB itself; before and since a structure that names it, of Windows XP and 2003 _WOW64_PROCESS. */
		uint64_t named = s->build < 6000 ? pool_alloc(s, s->width, "Wow6", false) : p->peb32;
		if (named != p->peb32)
			memory_put(s->memory, ROOT(s), named, p->peb32, s->width);
		SET(s, p->eprocess, eprocess.Wow64Process, named);
		if (HAS_FIELD(s, eprocess.WoW64Process)) {
			uint64_t wow = s->layout->ewow64process.size_ ? pool_alloc(s, s->layout->ewow64process.size_, "Wow6", false) : p->peb32;
			if (wow != p->peb32) {
				SET(s, wow, ewow64process.Peb, p->peb32);
				SET(s, wow, ewow64process.Machine, 0x14c);
			}
			SET(s, p->eprocess, eprocess.WoW64Process, wow);
		}
	}
}

/* ---- parameters and environment */

static GByteArray *environment(struct sample *s, struct sample_process *p)
{
	g_autofree char *computer = g_strconcat("COMPUTERNAME=", item_text(s->machine, "computer", "SAMPLE"), NULL);
	const char *const common[] = { computer, "OS=Windows_NT", "Path=C:\\Windows\\system32;C:\\Windows", "SystemRoot=C:\\Windows" };
	GByteArray *block = g_byte_array_new();
	size_t bytes;

	for (size_t i = 0; i < G_N_ELEMENTS(common); i++) {
		g_autofree uint16_t *wide = utf16(common[i], &bytes);
		g_byte_array_append(block, (const uint8_t *)wide, (guint)bytes);
	}
	for (guint i = 0; i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		for (guint j = 0; item_is(item, "env") && j < item->attributes->len; j++) {
			struct attribute *a = &g_array_index(item->attributes, struct attribute, j);
			g_autofree char *line = g_strconcat(a->key, "=", a->value, NULL);
			g_autofree uint16_t *wide = utf16(line, &bytes);
			a->used = true;
			g_byte_array_append(block, (const uint8_t *)wide, (guint)bytes);
		}
	}
	g_byte_array_append(block, (const uint8_t *)"\0\0", 2);
	return block;
}

static void parameters(struct sample *s, struct sample_process *p)
{
	const char *path = item_text(p->item, "peb-path", item_required(p->item, "path"));
	const char *command = item_text(p->item, "cmdline", path), *directory = item_text(p->item, "cwd", "C:\\Windows\\system32\\");
	uint64_t at = user_alloc(s, p, s->layout->rtl_user_process_parameters.size_, false);
	g_autoptr(GByteArray) block = environment(s, p);
	uint64_t env = user_alloc(s, p, block->len, false);

	SET_USER(s, p->root, p->peb, peb.ProcessParameters, at);
	memory_put(s->memory, p->root, at, s->layout->rtl_user_process_parameters.size_, 4);	/* MaximumLength, Length */
	memory_put(s->memory, p->root, at + 4, s->layout->rtl_user_process_parameters.size_, 4);
	memory_put(s->memory, p->root, at + 8, 1, 4);		/* Flags: normalised */
	user_string(s, p, at + OFFSET(s, rtl_user_process_parameters.ImagePathName), path);
	user_string(s, p, at + OFFSET(s, rtl_user_process_parameters.CommandLine), command);
	user_string(s, p, at + OFFSET(s, rtl_user_process_parameters.CurrentDirectory) + OFFSET(s, curdir.DosPath), directory);
	user_string(s, p, at + OFFSET(s, rtl_user_process_parameters.WindowTitle), path);
	user_string(s, p, at + OFFSET(s, rtl_user_process_parameters.DesktopInfo), "WinSta0\\Default");
	memory_write(s->memory, p->root, env, block->data, block->len);
	SET_USER(s, p->root, at, rtl_user_process_parameters.Environment, env);
	SET_USER(s, p->root, at, rtl_user_process_parameters.EnvironmentSize, block->len);
	if (!p->wow64)
		return;
	/* RTL_USER_PROCESS_PARAMETERS of a 32-bit process. */
	at = user_alloc(s, p, 0x2a4, true);
	env = user_alloc(s, p, block->len, true);
	memory_put(s->memory, p->root, p->peb32 + 0x10, at, 4);
	memory_put(s->memory, p->root, at, 0x2a4, 4);
	memory_put(s->memory, p->root, at + 4, 0x2a4, 4);
	memory_put(s->memory, p->root, at + 8, 1, 4);
	user_string32(s, p, at + 0x24, directory);
	user_string32(s, p, at + 0x38, item_text(p->item, "peb32-path", path));
	user_string32(s, p, at + 0x40, command);
	memory_write(s->memory, p->root, env, block->data, block->len);
	memory_put(s->memory, p->root, at + 0x48, env, 4);
	if (s->build >= 6000)
		memory_put(s->memory, p->root, at + 0x290, block->len, 4);
}

/* ---- the loader's lists */

static void loader_entry(struct sample *s, struct sample_process *p, const struct user_module *m, uint64_t ldr)
{
	const struct layout *l = s->layout;
	const struct { unsigned list; struct field head, link; } lists[] = {
		{ LIST_LOAD, l->peb_ldr_data.InLoadOrderModuleList, l->ldr_data_table_entry.InLoadOrderLinks },
		{ LIST_MEMORY, l->peb_ldr_data.InMemoryOrderModuleList, l->ldr_data_table_entry.InMemoryOrderLinks },
		{ LIST_INIT, l->peb_ldr_data.InInitializationOrderModuleList, l->ldr_data_table_entry.InInitializationOrderLinks },
	};
	uint64_t at = user_alloc(s, p, l->ldr_data_table_entry.size_, false), r = p->root;

	SET_USER(s, r, at, ldr_data_table_entry.DllBase, m->base);
	SET_USER(s, r, at, ldr_data_table_entry.EntryPoint, m->base + m->file->executable->entry_point);
	SET_USER(s, r, at, ldr_data_table_entry.SizeOfImage, m->size);
	SET_USER(s, r, at, ldr_data_table_entry.TimeDateStamp, m->file->executable->timestamp);
	SET_USER(s, r, at, ldr_data_table_entry.LoadTime, GET(s, p->eprocess, eprocess.CreateTime) + 20000);
	SET_USER(s, r, at, ldr_data_table_entry.LoadReason, m->item ? 4 : 0);	/* dynamic, static dependency */
	user_string(s, p, at + OFFSET(s, ldr_data_table_entry.FullDllName), m->path);
	user_string(s, p, at + OFFSET(s, ldr_data_table_entry.BaseDllName), m->name);
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		if (m->lists & lists[i].list)
			list_append(s, r, ldr + lists[i].head.offset, at + lists[i].link.offset);
		else
			list_init(s, r, at + lists[i].link.offset);
}

static void list_init32(struct sample *s, uint64_t root, uint64_t head)
{
	memory_put(s->memory, root, head, head, 4);
	memory_put(s->memory, root, head + 4, head, 4);
}

static void list_append32(struct sample *s, uint64_t root, uint64_t head, uint64_t entry)
{
	uint64_t last = memory_get(s->memory, root, head + 4, 4);

	memory_put(s->memory, root, entry, head, 4);
	memory_put(s->memory, root, entry + 4, last, 4);
	memory_put(s->memory, root, last, entry, 4);
	memory_put(s->memory, root, head + 4, entry, 4);
}

/* LDR_DATA_TABLE_ENTRY of 32-bit processes: three links from 0, then what it says at 0x18. */
static void loader_entry32(struct sample *s, struct sample_process *p, const struct user_module *m, uint64_t ldr)
{
	uint64_t at = user_alloc(s, p, 0x80, true);
	static const unsigned bits[] = { LIST_LOAD, LIST_MEMORY, LIST_INIT };

	memory_put(s->memory, p->root, at + 0x18, m->base, 4);
	memory_put(s->memory, p->root, at + 0x1c, m->base + m->file->executable->entry_point, 4);
	memory_put(s->memory, p->root, at + 0x20, m->size, 4);
	user_string32(s, p, at + 0x24, m->path);
	user_string32(s, p, at + 0x2c, m->name);
	memory_put(s->memory, p->root, at + 0x44, m->file->executable->timestamp, 4);
	for (unsigned i = 0; i < 3; i++)
		if (m->lists & bits[i])
			list_append32(s, p->root, ldr + 0xc + 8 * i, at + 8 * i);
		else
			list_init32(s, p->root, at + 8 * i);
}

/* PEB, parameters and the loader's lists: after the threads, whose TEBs come from the same place. */
void user_modules(struct sample *s, struct sample_process *p)
{
	const struct layout *l = s->layout;
	uint64_t r = p->root, ldr = user_alloc(s, p, l->peb_ldr_data.size_, false), ldr32 = 0;
	unsigned session = (unsigned)item_number(p->item, "session", 0);

	SET_USER(s, r, p->peb, peb.ImageBaseAddress, p->image_base);
	SET_USER(s, r, p->peb, peb.Ldr, ldr);
	if (item_has(p->item, "callback-table"))	/* PEB.KernelCallbackTable */
		memory_put(s->memory, r, p->peb + (s->width == 4 ? 0x2c : 0x58), process_address(s, p, p->item, item_required(p->item, "callback-table")), s->width);
	SET_USER(s, r, p->peb, peb.SessionId, session);
	SET_USER(s, r, p->peb, peb.OSMajorVersion, s->build < 6000 ? 5 : s->build < 10240 ? 6 : 10);
	SET_USER(s, r, p->peb, peb.OSMinorVersion, s->build == 2600 || s->build == 7600 || s->build == 7601 ? 1 : s->build == 9200 ? 2 : s->build == 9600 ? 3 : 0);
	SET_USER(s, r, p->peb, peb.OSBuildNumber, s->build);
	parameters(s, p);
	memory_put(s->memory, r, ldr, l->peb_ldr_data.size_, 4);
	SET_USER(s, r, ldr, peb_ldr_data.Initialized, 1);
	list_init(s, r, ldr + OFFSET(s, peb_ldr_data.InLoadOrderModuleList));
	list_init(s, r, ldr + OFFSET(s, peb_ldr_data.InMemoryOrderModuleList));
	list_init(s, r, ldr + OFFSET(s, peb_ldr_data.InInitializationOrderModuleList));
	if (p->wow64) {
		ldr32 = user_alloc(s, p, 0x30, true);
		memory_put(s->memory, r, p->peb32 + 8, item_number(p->item, "image-base32", p->image_base), 4);
		memory_put(s->memory, r, p->peb32 + 0xc, ldr32, 4);
		memory_put(s->memory, r, p->peb32 + 0x1d4, session, 4);
		memory_put(s->memory, r, ldr32, 0x30, 4);
		memory_put(s->memory, r, ldr32 + 4, 1, 1);
		for (unsigned i = 0; i < 3; i++)
			list_init32(s, r, ldr32 + 0xc + 8 * i);
	}
	for (guint i = 0; i < p->modules->len; i++) {
		const struct user_module *m = &g_array_index(p->modules, struct user_module, i);
		if (!m->wow64)
			loader_entry(s, p, m, ldr);
		else
			loader_entry32(s, p, m, ldr32);
	}
}

/* An entry that is on no list still lies in the heap. */
void user_module_lines(const struct sample_process *p, GPtrArray *lines)
{
	for (guint i = 0; i < p->modules->len; i++) {
		const struct user_module *m = &g_array_index(p->modules, struct user_module, i);
		/* The program's own file is that of its section, whatever lies there now. */
		const char *mapped = m->base == p->image_base ? p->main_image->path : "";
		for (guint v = 0; v < p->vads->len; v++) {
			const struct sample_vad *vad = &g_array_index(p->vads, struct sample_vad, v);
			if (vad->start == m->base && vad->file && vad->file->path)
				mapped = vad->file->path;
		}
		g_ptr_array_add(lines, g_strdup_printf("modules|%" G_GUINT64_FORMAT "|0x%" G_GINT64_MODIFIER "x|%u|%s|%s|%d|%d|%d|%d|%s%s", p->pid,
						       m->base, m->size, m->name, m->path, m->wow64,
						       (m->lists & LIST_LOAD) != 0, (m->lists & LIST_MEMORY) != 0, (m->lists & LIST_INIT) != 0,
						       *mapped ? "\\Device\\HarddiskVolume3" : "", mapped));
	}
}
