/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded images of each process: the loader's three lists, of the 64-bit and the
 * 32-bit loader, and mapped images that no list has.
 */
#include <string.h>
#include "limit.h"
#include "plugin.h"
#include "room.h"
#include "text.h"

enum {
	PROCESS, BASE, SIZE, ENTRY, NAME, PATH, WOW64, LOAD_TIME, LOAD_REASON, IN_LOAD, IN_MEMORY, IN_INIT, VAD, MAPPED_PATH, FOUND_BY,
	DERIVED,
};

static const char *const modules_rest_on[] = {
	"_EPROCESS.Peb", "_KPROCESS.DirectoryTableBase", NULL
};

static const struct table modules = {
	.name = "modules", .key = "module_id", .doc = "loaded images, by the loader's lists and by the memory map",
	.indices = (const char *const[]){ "process_id, base", NULL },
	.rests_on = modules_rest_on,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[BASE] = { "base", COL_ADDRESS, "" },
		[SIZE] = { "size", COL_INT, "the loader's SizeOfImage, else the mapping's" },
		[ENTRY] = { "entry_point", COL_ADDRESS, "" },
		[NAME] = { "name", COL_TEXT, "as the loader has it" },
		[PATH] = { "path", COL_TEXT, "as the loader has it" },
		[WOW64] = { "wow64", COL_BOOL, "of the 32-bit loader" },
		[LOAD_TIME] = { "load_time", COL_TIME, "" },
		[LOAD_REASON] = { "load_reason", COL_INT, "" },
		[IN_LOAD] = { "in_load_order", COL_BOOL, "of the loader's lists; NULL: they can't be read" },
		[IN_MEMORY] = { "in_memory_order", COL_BOOL, "" },
		[IN_INIT] = { "in_init_order", COL_BOOL, "" },
		[VAD] = { "vad_id", COL_REF, "the mapping it lies in", "vads" },
		[MAPPED_PATH] = { "mapped_path", COL_TEXT, "the file object's name: of the mapping, or of the section the process was made from" },
		[FOUND_BY] = { "found_by", COL_TEXT, "loader (its lists), vad (no list has it), or memory (an entry no list leads to)" },
		[DERIVED] = COLUMN_DERIVED,
	},
};

/* One loader's shapes: native ones come from the layout, WoW64's never changed (ntdll's
 * 32-bit _PEB, _PEB_LDR_DATA and _LDR_DATA_TABLE_ENTRY from Windows XP to 11). */
struct loader {
	bool wow64;
	unsigned pointer;
	unsigned peb_ldr, head[3], link[3];
	unsigned base, entry, size, full_name, base_name, load_time, load_reason;
	unsigned span;		/* bytes of an entry that are read at once */
};

static const struct loader loader32 = {
	.wow64 = true, .pointer = 4, .peb_ldr = 0x0c, .head = { 0x0c, 0x14, 0x1c }, .link = { 0, 8, 0x10 },
	.base = 0x18, .entry = 0x1c, .size = 0x20, .full_name = 0x24, .base_name = 0x2c, .span = 0x34,
};

static bool native_loader(const struct layout *l, struct loader *out)
{
	*out = (struct loader){
		.pointer = l->pointer_size, .peb_ldr = l->peb.Ldr.offset,
		.head = { l->peb_ldr_data.InLoadOrderModuleList.offset, l->peb_ldr_data.InMemoryOrderModuleList.offset,
			  l->peb_ldr_data.InInitializationOrderModuleList.offset },
		.link = { l->ldr_data_table_entry.InLoadOrderLinks.offset, l->ldr_data_table_entry.InMemoryOrderLinks.offset,
			  l->ldr_data_table_entry.InInitializationOrderLinks.offset },
		.base = l->ldr_data_table_entry.DllBase.offset, .entry = l->ldr_data_table_entry.EntryPoint.offset,
		.size = l->ldr_data_table_entry.SizeOfImage.offset, .full_name = l->ldr_data_table_entry.FullDllName.offset,
		.base_name = l->ldr_data_table_entry.BaseDllName.offset, .load_time = l->ldr_data_table_entry.LoadTime.offset,
		.load_reason = l->ldr_data_table_entry.LoadReason.size ? l->ldr_data_table_entry.LoadReason.offset : 0,
	};
	out->span = out->base_name + 2 * out->pointer;
	return l->peb.Ldr.size && l->peb_ldr_data.InLoadOrderModuleList.size && l->ldr_data_table_entry.DllBase.size &&
	       l->ldr_data_table_entry.BaseDllName.size && out->span <= 256;
}

struct found {
	uint64_t entry;		/* of the _LDR_DATA_TABLE_ENTRY */
	bool in[3];
};

struct walker {
	struct context *c;
	const struct loader *l;
	GArray *found;		/* struct found, in the order of discovery */
	GHashTable *by_entry;	/* entry → index + 1 */
	uint64_t *room;		/* bytes that may still be kept in this process */
	GHashTable *bases;	/* uint64_t: of all entries put, kept or not */
};

static enum fault read_pointer_at(const struct walker *w, uint64_t va, uint64_t *out)
{
	uint64_t value = 0;
	enum fault fault = space_read(w->c->user, (va_t){ va }, &value, w->l->pointer, NULL);

	*out = value;
	return fault;
}

static struct found *found_of(struct walker *w, uint64_t entry)
{
	guint at = GPOINTER_TO_UINT(g_hash_table_lookup(w->by_entry, &entry));

	if (!at) {
		struct found f = { .entry = entry };
		g_array_append_val(w->found, f);
		at = w->found->len;
		g_hash_table_insert(w->by_entry, g_memdup2(&entry, sizeof(entry)), GUINT_TO_POINTER(at));
	}
	return &g_array_index(w->found, struct found, at - 1);
}

/* One list in one direction; what comes after a break is tried from the other end. */
static bool walk(struct walker *w, uint64_t head, int list, bool backwards)
{
	static const char *const names[] = { "load order", "memory order", "initialization order" };
	uint64_t at = head;
	unsigned step = backwards ? w->l->pointer : 0;

	for (uint64_t n = 0; n < limit(module_entries); n++) {
		uint64_t next, back;
		enum fault fault = read_pointer_at(w, at + step, &next);
		if (!fault && next == head)
			return true;
		if (!fault)
			fault = read_pointer_at(w, next + (w->l->pointer - step), &back);
		if (!fault && back != at)
			fault = FAULT_IMPLAUSIBLE;
		struct found *f = fault ? NULL : found_of(w, next - w->l->link[list]);
		if (f && f->in[list]) {	/* seen on this list */
			if (backwards)
				return true;
			fault = FAULT_IMPLAUSIBLE;
		}
		if (fault) {
			if (fault == FAULT_UNMAPPED)	/* a link that leads nowhere is no link */
				fault = FAULT_IMPLAUSIBLE;
			if (!backwards)
				context_note(w->c, fault, (va_t){ at }, "modules", "the loader's %s list (%s) is broken after this entry",
					     names[list], w->l->wow64 ? "32-bit" : "native");
			return false;
		}
		f->in[list] = true;
		at = next;
	}
	context_note(w->c, FAULT_LIMIT, (va_t){ at }, "modules", "the loader's %s list has more than %" G_GUINT64_FORMAT " entries", names[list], limit(module_entries));
	return false;
}

static char *entry_string(const struct walker *w, const uint8_t *entry, unsigned offset, enum fault *fault)
{
	struct bytes b = { entry, w->l->span, false };
	uint16_t length = (uint16_t)bytes_at(&b, offset, 2);
	uint64_t buffer = bytes_at(&b, offset + w->l->pointer, w->l->pointer);
	uint8_t text[4096];

	*fault = FAULT_NONE;
	if (!length)
		return g_strdup("");
	if (length > sizeof(text)) {
		*fault = FAULT_IMPLAUSIBLE;
		return NULL;
	}
	*fault = space_read(w->c->user, (va_t){ buffer }, text, length, NULL);
	return *fault ? NULL : text_from_utf16(text, length, FALSE);
}

static int vad_index(const struct process *process, uint64_t va)
{
	const struct vad *vad = vad_find(&process->vads, (va_t){ va });

	return vad ? (int)(vad - (const struct vad *)(void *)process->vads.vads->data) : -1;
}

static void put_mapping(struct row *row, struct module *m, const struct process *process)
{
	m->vad = vad_index(process, m->base);
	if (m->vad >= 0) {
		const struct vad *vad = &g_array_index(process->vads.vads, struct vad, m->vad);
		row_ref(row, VAD, m->vad);
		m->mapped_path = vad->file_path;
	}
	/* The main image of a hollowed process lies in private memory; its section still has a name. */
	if (!m->mapped_path && m->base == process->image_base.v)
		m->mapped_path = process->image_path;
	row_text(row, MAPPED_PATH, m->mapped_path);
}

/* Keep it, which takes its texts over, if there is room. */
static void keep(struct walker *w, struct module *m)
{
	uint64_t bytes = sizeof(*m) + (m->name ? strlen(m->name) + 1 : 0) + (m->path ? strlen(m->path) + 1 : 0);

	if (bytes > *w->room) {
		if (*w->room)
			context_note(w->c, FAULT_LIMIT, (va_t){ m->base }, "modules", "the loaded images take more memory than is left for them: %u are kept",
				     w->c->process->modules->len);
		*w->room = 0;	/* those that are kept are the first rows */
		g_free(m->name);
		g_free(m->path);
		return;
	}
	*w->room -= bytes;
	g_array_append_vals(w->c->process->modules, m, 1);
}

static void put_entry(struct walker *w, const struct found *f)
{
	struct context *c = w->c;
	uint8_t entry[256];
	va_t bad = { f->entry };
	enum fault fault = space_read(c->user, (va_t){ f->entry }, entry, w->l->span, &bad);

	if (fault) {
		context_note(c, fault, bad, "modules", "a loader entry can't be read");
		return;
	}
	struct bytes b = { entry, w->l->span, false };
	struct module m = {
		.base = bytes_at(&b, w->l->base, w->l->pointer), .size = bytes_at(&b, w->l->size, 4),
		.wow64 = w->l->wow64, .in_load_order = f->in[0], .in_memory_order = f->in[1], .in_init_order = f->in[2],
	};
	enum fault name_fault, path_fault;
	uint64_t time = 0;
	uint32_t reason;
	m.name = entry_string(w, entry, w->l->base_name, &name_fault);
	m.path = entry_string(w, entry, w->l->full_name, &path_fault);
	struct row *row = row_new(c, &modules);
	row_text(row, FOUND_BY, f->in[0] || f->in[1] || f->in[2] ? "loader" : "memory");
	g_hash_table_add(w->bases, g_memdup2(&m.base, sizeof(m.base)));
	row_address(row, BASE, m.base);
	row_int(row, SIZE, (int64_t)m.size);
	row_address(row, ENTRY, bytes_at(&b, w->l->entry, w->l->pointer));
	row_text(row, NAME, m.name);
	row_text(row, PATH, m.path);
	if (name_fault)
		row_fault(row, NAME, name_fault, (va_t){ f->entry }, "_LDR_DATA_TABLE_ENTRY.BaseDllName");
	if (path_fault)
		row_fault(row, PATH, path_fault, (va_t){ f->entry }, "_LDR_DATA_TABLE_ENTRY.FullDllName");
	row_int(row, WOW64, m.wow64);
	if (w->l->load_time && !space_read(c->user, (va_t){ f->entry + w->l->load_time }, &time, 8, NULL))
		row_time(row, LOAD_TIME, time);
	if (w->l->load_reason && !space_read(c->user, (va_t){ f->entry + w->l->load_reason }, &reason, 4, NULL))
		row_int(row, LOAD_REASON, (int32_t)reason);
	row_int(row, IN_LOAD, f->in[0]);
	row_int(row, IN_MEMORY, f->in[1]);
	row_int(row, IN_INIT, f->in[2]);
	put_mapping(row, &m, c->process);
	keep(w, &m);
}

/* False: whether there are lists can't be told. */
static bool walk_loader(struct context *c, uint64_t peb, const struct loader *l, uint64_t *room, GHashTable *bases)
{
	struct walker w = { c, l, g_array_new(FALSE, TRUE, sizeof(struct found)), NULL, room, bases };
	uint64_t ldr;
	enum fault fault = read_pointer_at(&w, peb + l->peb_ldr, &ldr);

	w.by_entry = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	if (fault || !ldr) {
		/* A process whose loader hasn't run yet has no list. */
		context_note(c, fault ? fault : FAULT_IMPLAUSIBLE, (va_t){ peb + l->peb_ldr }, "modules", "%s",
			     l->wow64 ? "no 32-bit loader lists: PEB32.Ldr is not readable or empty" : "no loader lists: PEB.Ldr is not readable or empty");
	} else {
		for (int list = 0; list < 3; list++)
			if (!walk(&w, ldr + l->head[list], list, false))
				(void)walk(&w, ldr + l->head[list], list, true);
		for (guint i = 0; i < w.found->len; i++)
			put_entry(&w, &g_array_index(w.found, struct found, i));
	}
	g_hash_table_destroy(w.by_entry);
	g_array_free(w.found, TRUE);
	return !fault;
}

/* Could a loader entry for this image lie at va? Its base is known to stand there. */
static bool plausible_entry(const struct walker *w, uint64_t va, const struct vad *vad)
{
	uint8_t raw[256];

	if (space_read(w->c->user, (va_t){ va }, raw, w->l->span, NULL))
		return false;
	struct bytes b = { raw, w->l->span, false };
	uint64_t size = bytes_at(&b, w->l->size, 4), entry = bytes_at(&b, w->l->entry, w->l->pointer);
	unsigned name = (unsigned)bytes_at(&b, w->l->base_name, 2), name_max = (unsigned)bytes_at(&b, w->l->base_name + 2, 2);
	uint64_t buffer = bytes_at(&b, w->l->base_name + w->l->pointer, w->l->pointer);
	bool entry_within = !entry || (entry >= vad->start.v && entry <= vad->end.v);
	return size && size <= vad->end.v - vad->start.v + 1 && entry_within && name && !(name & 1) && name <= name_max &&
	       name <= 520 && buffer && vad_find(&w->c->process->vads, (va_t){ buffer });
}

/*
 * An entry that was unlinked from the lists usually still lies in the process's heap: look
 * for the image's base where DllBase of a plausible entry would be. 0: none.
 */
static uint64_t search_entry(const struct walker *w, const struct vad *image)
{
	const GArray *vads = w->c->process->vads.vads;
	uint64_t searched = 0;

	for (guint i = 0; i < vads->len; i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		va_t cursor = vad->start;
		struct page page;
		if (!vad->is_private || !protection_writable(vad->protection))
			continue;
		while (searched < limit(module_search) && space_next_page(w->c->user, &cursor, vad->end, &page)) {
			uint8_t bytes[PAGE_SIZE];
			if (!page_readable(&page) || page.size != PAGE_SIZE || image_read(w->c->image, page.pa, bytes, PAGE_SIZE))
				continue;
			searched += PAGE_SIZE;
			for (unsigned at = 0; at + w->l->pointer <= PAGE_SIZE; at += w->l->pointer) {
				uint64_t value = 0;
				memcpy(&value, bytes + at, w->l->pointer);
				if (value == image->start.v && plausible_entry(w, page.va.v + at - w->l->base, image))
					return page.va.v + at - w->l->base;
			}
		}
	}
	if (searched >= limit(module_search))
		context_note(w->c, FAULT_LIMIT, image->start, "modules", "more memory than is searched for its loader entry: one beyond would not be found");
	return 0;
}

/* Images that are mapped though no loader list that was read has them. */
static void unlisted(struct context *c, const struct loader *l, bool lists_read, uint64_t *room, GHashTable *bases)
{
	struct process *process = c->process;
	struct walker w = { c, l, NULL, NULL, room, bases };

	for (guint i = 0; i < process->vads.vads->len && !context_cancelled(c); i++) {
		const struct vad *vad = &g_array_index(process->vads.vads, struct vad, i);
		if (vad->type != VAD_IMAGE_MAP || g_hash_table_contains(bases, &vad->start.v))
			continue;
		struct found f = { .entry = c->user && l && process->peb.v ? search_entry(&w, vad) : 0 };
		if (f.entry) {
			put_entry(&w, &f);
			continue;
		}
		struct module m = { .base = vad->start.v, .size = vad->end.v - vad->start.v + 1 };
		struct row *row = row_new(c, &modules);
		row_text(row, FOUND_BY, "vad");
		row_address(row, BASE, m.base);
		row_int(row, SIZE, (int64_t)m.size);
		for (int list = IN_LOAD; lists_read && list <= IN_INIT; list++)
			row_int(row, list, 0);
		put_mapping(row, &m, process);
		keep(&w, &m);
	}
}

static bool run_process(struct context *c, GError **error)
{
	struct loader native;
	bool known = native_loader(c->kernel->layout, &native), read = c->user && !c->process->peb.v;
	uint64_t room = room_take(context_kept(c));
	g_autoptr(GHashTable) bases = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	(void)error;
	if (c->user && c->process->peb.v) {
		if (known)
			read = walk_loader(c, c->process->peb.v, &native, &room, bases);
		if (c->process->peb32.v)
			read &= walk_loader(c, c->process->peb32.v, &loader32, &room, bases);
	}
	unlisted(c, known ? &native : NULL, read, &room, bases);
	room_give(context_kept(c), room);
	process_sort_modules(c->process);
	return true;
}

static bool begin(struct context *c, GError **error)
{
	(void)error;
	context_keep(c, room_create(limit(module_bytes)), (GDestroyNotify)room_destroy);
	return true;
}

const struct plugin plugin_modules = {
	.name = "modules",
	.doc = "loaded images of each process",
	.fills = { &modules },
	.needs = { "vads" },
	.needs_layout = true,
	.needs_user_memory = true,
	.begin = begin,
	.run_process = run_process,
};
