/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual address descriptors with what the page tables say of their pages, and the same
 * as VirtualQuery would have printed it on the live system. */
#include <string.h>
#include "limit.h"
#include "plugin.h"
#include "vad_tree.h"

enum {
	PROCESS, NODE, TAG, START, END, TYPE, PROTECTION, PRIVATE, COMMIT, CONTROL_AREA, FILE_OBJECT, FILE_PATH, FILE_DELETE,
	PAGES, PRESENT, PAGED_OUT, EXECUTABLE, WRITABLE, WRITABLE_EXECUTABLE, PRIVATE_IMAGE, EXECUTABLE_PRIVATE_IMAGE, ZERO,
	DERIVED, IN_TREE,
};
enum {
	R_PROCESS, R_VAD, R_BASE, R_ALLOCATION_BASE, R_ALLOCATION_PROTECT, R_SIZE, R_STATE, R_PROTECT, R_TYPE, R_PRESENT,
};

static const char *const vads_rest_on[] = {
	"_EPROCESS.VadRoot", "_MMVAD_SHORT.StartingVpn", "_MMVAD_SHORT.EndingVpn", "_MMVAD_SHORT.u",
	"_MMVAD_FLAGS.Protection", "_MMVAD_FLAGS.VadType", "_MMVAD_FLAGS.PrivateMemory", "_MMVAD.Subsection",
	"_CONTROL_AREA.FilePointer", "_KPROCESS.DirectoryTableBase", NULL
};

static const struct table vads = {
	.name = "vads", .key = "vad_id", .doc = "virtual address descriptors: the memory of each process",
	.indices = (const char *const[]){ "process_id, start_address", NULL },
	.rests_on = vads_rest_on,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[NODE] = { "node", COL_ADDRESS, "of the descriptor" },
		[TAG] = { "tag", COL_TEXT, "pool tag of the descriptor: VadS, Vad, …" },
		[START] = { "start_address", COL_ADDRESS, "" },
		[END] = { "end_address", COL_ADDRESS, "the last byte" },
		[TYPE] = { "type", COL_TEXT, "private, mapped, image, awe, physical, large_pages, rotate" },
		[PROTECTION] = { "protection", COL_TEXT, "as it was made; the pages' own may differ" },
		[PRIVATE] = { "private_memory", COL_BOOL, "" },
		[COMMIT] = { "commit_charge", COL_INT, "pages" },
		[CONTROL_AREA] = { "control_area", COL_ADDRESS, "of the section mapped" },
		[FILE_OBJECT] = { "file_object", COL_ADDRESS, "" },
		[FILE_PATH] = { "file_path", COL_TEXT, "device and path of the file mapped" },
		[FILE_DELETE] = { "file_delete_pending", COL_BOOL, "the file goes when it is closed" },
		[PAGES] = { "pages", COL_INT, "with a page-table entry" },
		[PRESENT] = { "pages_present", COL_INT, "in physical memory" },
		[PAGED_OUT] = { "pages_paged_out", COL_INT, "in a page file" },
		[EXECUTABLE] = { "pages_executable", COL_INT, "" },
		[WRITABLE] = { "pages_writable", COL_INT, "copy-on-write aside" },
		[WRITABLE_EXECUTABLE] = { "pages_writable_executable", COL_INT, "" },
		[PRIVATE_IMAGE] = { "pages_private_image", COL_INT, "private copies of an image's or file's pages" },
		[EXECUTABLE_PRIVATE_IMAGE] = { "pages_executable_private_image", COL_INT, "" },
		[ZERO] = { "pages_zero", COL_INT, "present and all zero" },
		[DERIVED] = COLUMN_DERIVED,
		[IN_TREE] = { "in_tree", COL_BOOL, "the process's tree leads to it; 0: a broken tree lost it, and its pool block was found" },
	},
};

static const struct table regions = {
	.name = "regions", .doc = "what a VirtualQuery walk on the live system would have printed",
	.columns = {
		[R_PROCESS] = { "process_id", COL_PROCESS, "" },
		[R_VAD] = { "vad_id", COL_REF, "", "vads" },
		[R_BASE] = { "base_address", COL_ADDRESS, "" },
		[R_ALLOCATION_BASE] = { "allocation_base", COL_ADDRESS, "" },
		[R_ALLOCATION_PROTECT] = { "allocation_protect", COL_TEXT, "" },
		[R_SIZE] = { "region_size", COL_INT, "bytes" },
		[R_STATE] = { "state", COL_TEXT, "MEM_COMMIT, MEM_RESERVE; NULL: whether a page of a section is committed can't be read" },
		[R_PROTECT] = { "protect", COL_TEXT, "by the page-table entries; NULL when reserved, or where an entry can't be read" },
		[R_TYPE] = { "type", COL_TEXT, "MEM_PRIVATE, MEM_MAPPED, MEM_IMAGE" },
		[R_PRESENT] = { "pages_present", COL_INT, "in physical memory" },
	},
};

enum state { RESERVED, COMMITTED, UNKNOWN };

struct run {		/* pages alike, not yet a row */
	uint64_t start, end;	/* end: past the last byte */
	enum state state;
	uint32_t protect;	/* 0: not known */
	uint64_t present;
	enum fault fault;	/* why that, or the state, is not known */
};

/* Prototype PTEs of sections of the page file that may still be looked at; told: that there are more. */
struct section_budget { uint64_t left; bool told; };

struct walker {
	struct context *c;
	const struct vad *vad;
	int64_t vad_ordinal;
	char *protection;
	struct run run;
	unsigned *regions;	/* made so far in this process */
	struct section_budget *budget;	/* of the process */
	uint8_t scratch[PAGE_SIZE];
};

static bool all_zero(const uint8_t *page)
{
	/* A dump need not keep pages at aligned places of its file: memcpy, which costs nothing. */
	for (unsigned i = 0; i < PAGE_SIZE; i += 64) {
		uint64_t w[8];
		memcpy(w, page + i, sizeof(w));
		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			return false;
	}
	return true;
}

/* PAGE_… of a page as VirtualQuery tells it. */
static uint32_t page_protection(const struct page *page)
{
	if (page->state != PAGE_VALID || page->by_prototype)
		if (page->protection)
			return protection_from_mm(page->protection);
	if (page->copy_on_write)
		return page->executable ? PAGE_EXECUTE_WRITECOPY : PAGE_WRITECOPY;
	if (page->executable)
		return page->writable ? PAGE_EXECUTE_READWRITE : PAGE_EXECUTE_READ;
	return page->writable ? PAGE_READWRITE : PAGE_READONLY;
}

/* The same of a page of this VAD; 0: its prototype PTE can't be read, and an image's VAD says the same of all pages. */
static uint32_t protection_of(const struct walker *w, const struct page *page)
{
	if (page->state == PAGE_UNKNOWN && !page->protection)
		return w->vad->type == VAD_IMAGE_MAP ? 0 : w->vad->protection;
	return page_protection(page);
}

static void flush_run(struct walker *w)
{
	struct run *r = &w->run;

	if (r->end <= r->start)
		return;
	if (*w->regions >= limit(regions)) {
		if ((*w->regions)++ == limit(regions))
			context_note(w->c, FAULT_LIMIT, (va_t){ r->start }, "regions", "more than %" G_GUINT64_FORMAT " regions, the rest is left out",
				     limit(regions));
		return;
	}
	++*w->regions;
	struct row *row = row_new(w->c, &regions);
	row_ref(row, R_VAD, w->vad_ordinal);
	row_address(row, R_BASE, r->start);
	row_address(row, R_ALLOCATION_BASE, w->vad->start.v);
	row_text(row, R_ALLOCATION_PROTECT, w->protection);
	row_int(row, R_SIZE, (int64_t)(r->end - r->start));
	if (r->state == UNKNOWN)
		row_fault(row, R_STATE, r->fault, (va_t){ r->start }, "a prototype PTE");
	else
		row_text(row, R_STATE, r->state == COMMITTED ? "MEM_COMMIT" : "MEM_RESERVE");
	if (r->state == COMMITTED && r->protect) {
		g_autofree char *name = protection_name(r->protect);
		row_text(row, R_PROTECT, name);
	} else if (r->state == COMMITTED && r->fault) {
		row_fault(row, R_PROTECT, r->fault, (va_t){ r->start }, "a page-table entry");
	}
	row_text(row, R_TYPE, w->vad->type == VAD_IMAGE_MAP ? "MEM_IMAGE" : w->vad->is_private ? "MEM_PRIVATE" : "MEM_MAPPED");
	row_int(row, R_PRESENT, (int64_t)r->present);
}

static void add_to_run(struct walker *w, uint64_t start, uint64_t end, enum state state, uint32_t protect, uint64_t present, enum fault fault)
{
	struct run *r = &w->run;

	if (state != COMMITTED)
		protect = 0;
	if (r->end != start || r->state != state || r->protect != protect) {
		flush_run(w);
		*r = (struct run){ start, start, state, protect, 0, state != RESERVED && !protect ? fault : FAULT_NONE };
	}
	r->end = end;
	r->present += present;
}

#define LOOK_ENTRIES 64u	/* a look at where none can be read takes the time of so many */

/*
 * Pages without an entry of their own where a section of the page file is mapped: one is committed if its prototype PTE is not zero, as VirtualQuery
 * tells it (Windows Research Kernel, queryvm.c); those of SEC_RESERVE are zero until somebody commits them.
 */
static void section_gap(struct walker *w, uint64_t start, uint64_t end)
{
	static const uint8_t zeros[8];
	const struct vad *vad = w->vad;
	const unsigned width = w->c->kernel->paging == PAGING_X86 ? 4 : 8;
	uint8_t entries[PAGE_SIZE];

	for (uint64_t va = start, n; va < end && *w->regions <= limit(regions); va += n * PAGE_SIZE) {
		const va_t at = { vad->first_prototype_pte.v + (va - vad->start.v) / PAGE_SIZE * width };
		/* Nothing says where the tables of further subsections are. */
		const bool bounded = vad->last_prototype_pte.v >= vad->first_prototype_pte.v, beyond = bounded && at.v > vad->last_prototype_pte.v;
		n = MIN((end - va + PAGE_MASK) / PAGE_SIZE, MAX((PAGE_SIZE - (at.v & PAGE_MASK)) / width, 1));
		n = bounded && !beyond ? MIN(n, (vad->last_prototype_pte.v - at.v) / width + 1) : n;
		/* Not of the steps of page-table walking: what is mapped matters more than what could be. */
		const uint64_t cost = MAX(n, LOOK_ENTRIES);
		if (beyond || w->budget->left < cost) {
			if (!beyond && !w->budget->told) {
				context_note(w->c, FAULT_LIMIT, (va_t){ va }, "regions", "sections of the page file have more prototype PTEs than are looked at (section_entries)");
				*w->budget = (struct section_budget){ 0, true };
			}
			add_to_run(w, va, end, UNKNOWN, 0, 0, beyond ? FAULT_NO_FIELD : FAULT_LIMIT);
			return;
		}
		w->budget->left -= cost;
		enum fault fault = space_read(w->c->space, at, entries, n * width, NULL);
		if (fault) {
			add_to_run(w, va, va + n * PAGE_SIZE, UNKNOWN, 0, 0, fault);
			continue;
		}
		for (uint64_t i = 0; i < n; i++)
			add_to_run(w, va + i * PAGE_SIZE, va + (i + 1) * PAGE_SIZE, memcmp(entries + i * width, zeros, width) ? COMMITTED : RESERVED,
				   vad->protection, 0, FAULT_NONE);
	}
}

/* Pages without an entry of their own: what the VAD, or its prototype PTEs, say. */
static void gap(struct walker *w, uint64_t start, uint64_t end)
{
	const struct vad *vad = w->vad;

	if (start >= end)
		return;
	if (vad->type == VAD_NONE && !vad->is_private && !vad->file_object.v && !vad->file_fault && vad->first_prototype_pte.v) {
		section_gap(w, start, end);
		return;
	}
	if (vad->type != VAD_IMAGE_MAP || !vad->first_prototype_pte.v) {
		bool commit = !vad->is_private || vad->mem_commit;
		add_to_run(w, start, end, commit ? COMMITTED : RESERVED, vad->protection, 0, FAULT_NONE);
		return;
	}
	for (uint64_t va = start; va < end; va += PAGE_SIZE) {
		struct page page;
		if (!space_spend(w->c->user, 1))
			return;
		enum fault fault = space_page(w->c->user, (va_t){ va }, &page);
		add_to_run(w, va, va + PAGE_SIZE, COMMITTED, page.by_prototype || page.state == PAGE_UNKNOWN ? protection_of(w, &page) : vad->protection, 0, fault);
		if (*w->regions > limit(regions))
			return;
	}
}

/* A valid page of a mapping: is it the section's own page, or a private copy? */
static void compare_to_section(struct walker *w, struct vad *vad, const struct page *page)
{
	uint64_t index = (page->va.v - vad->start.v) / PAGE_SIZE;
	va_t at = { vad->first_prototype_pte.v + index * (w->c->kernel->paging == PAGING_X86 ? 4 : 8) };
	struct page section;

	if (page->by_prototype)
		return;		/* the entry itself says that it is the section's */
	/* Nothing says where the tables of further subsections are. */
	bool known = vad->first_prototype_pte.v && (vad->last_prototype_pte.v < vad->first_prototype_pte.v || at.v <= vad->last_prototype_pte.v);
	enum fault fault = known ? space_prototype(w->c->user, at, &section) : FAULT_NO_FIELD;
	if (fault) {
		/* Of all that is missing the dump's own want weighs most. */
		if (!vad->private_image_fault || fault == FAULT_NOT_IN_DUMP)
			vad->private_image_fault = fault;
		return;
	}
	if (page_resident(&section) && section.pa.v == page->pa.v)
		return;
	vad->pages_private_image++;
	vad->pages_executable_private_image += page->executable;
}

static void count(struct walker *w, struct vad *vad, const struct page *page)
{
	uint64_t n = page->size / PAGE_SIZE;
	bool exists = page->state != PAGE_ABSENT && !(page->state == PAGE_DEMAND_ZERO && (page->protection & 7) == 0);

	vad->pages += n;
	vad->pages_paged_out += page->state == PAGE_PAGED_OUT ? n : 0;
	if (!exists)
		return;
	bool writable = page->writable && !page->copy_on_write;
	vad->pages_executable += page->executable ? n : 0;
	vad->pages_writable += writable ? n : 0;
	vad->pages_writable_executable += writable && page->executable ? n : 0;
	if (!page_resident(page))
		return;
	vad->pages_present += n;
	if (!vad->is_private && vad->type != VAD_DEVICE_PHYSICAL_MEMORY && page->size == PAGE_SIZE)
		compare_to_section(w, vad, page);
	for (uint64_t i = 0; i < n; i++) {
		const uint8_t *bytes = image_page(w->c->image, (pa_t){ page->pa.v + i * PAGE_SIZE }, w->scratch);
		vad->pages_zero += bytes && all_zero(bytes);
	}
}

static void walk_pages(struct walker *w, struct vad *vad)
{
	va_t cursor = vad->start;
	uint64_t at = vad->start.v;
	struct page page;

	while (space_next_page(w->c->user, &cursor, vad->end, &page)) {
		/* A large page may reach past the VAD's ends: it is cut to them. */
		uint64_t start = MAX(page.va.v, vad->start.v), end = MIN(page.va.v + page.size - 1, vad->end.v) + 1;
		gap(w, at, start);
		page.va.v = start;
		page.pa.v += page.size > PAGE_SIZE ? start & (page.size - 1) : 0;
		page.size = end - start;
		count(w, vad, &page);
		bool decommitted = page.state == PAGE_DEMAND_ZERO && page.protection == 0x10;
		bool reserved = page.state == PAGE_DEMAND_ZERO && !page.protection && vad->is_private && !vad->mem_commit;
		add_to_run(w, start, end, decommitted || reserved ? RESERVED : COMMITTED, protection_of(w, &page), page_resident(&page) ? page.size / PAGE_SIZE : 0,
			   page_fault(&page));
		at = end;
		if (context_cancelled(w->c))	/* what comes after is no gap */
			return;
		if (cursor.v > vad->end.v)
			break;
	}
	/* Where the page tables went on and on, half of the numbers would be no help. */
	if (w->c->user->exhausted)
		return;
	gap(w, at, vad->end.v + 1);
	flush_run(w);
	vad->counted = !w->c->user->exhausted;
}

static void put_vad(struct context *c, const struct vad *vad, const char *protection)
{
	struct row *row = row_new(c, &vads);

	row_address(row, NODE, vad->node.v);
	row_int(row, IN_TREE, !vad->orphan);
	if (vad->tag[0])
		row_text(row, TAG, vad->tag);
	row_address(row, START, vad->start.v);
	row_address(row, END, vad->end.v);
	if (vad->fault) {
		row_fault(row, PROTECTION, vad->fault, vad->node, "_MMVAD_FLAGS");
	} else {
		row_text(row, TYPE, vad_type_name(vad));
		row_text(row, PROTECTION, protection);
		row_int(row, PRIVATE, vad->is_private);
		if (vad->commit_known)
			row_int(row, COMMIT, (int64_t)vad->commit_charge);
	}
	if (vad->control_area.v)
		row_address(row, CONTROL_AREA, vad->control_area.v);
	if (vad->file_object.v) {
		row_address(row, FILE_OBJECT, vad->file_object.v);
		row_int(row, FILE_DELETE, vad->file_delete_pending);
	}
	row_text(row, FILE_PATH, vad->file_path);
	if (vad->file_fault)
		row_fault(row, FILE_PATH, vad->file_fault, vad->subsection, "the section's file object");
	if (!vad->counted)
		return;
	row_int(row, PAGES, (int64_t)vad->pages);
	row_int(row, PRESENT, (int64_t)vad->pages_present);
	row_int(row, PAGED_OUT, (int64_t)vad->pages_paged_out);
	row_int(row, EXECUTABLE, (int64_t)vad->pages_executable);
	row_int(row, WRITABLE, (int64_t)vad->pages_writable);
	row_int(row, WRITABLE_EXECUTABLE, (int64_t)vad->pages_writable_executable);
	row_int(row, PRIVATE_IMAGE, (int64_t)vad->pages_private_image);
	row_int(row, EXECUTABLE_PRIVATE_IMAGE, (int64_t)vad->pages_executable_private_image);
	row_int(row, ZERO, (int64_t)vad->pages_zero);
	if (vad->private_image_fault)
		row_note(row, vad->private_image_fault, vad->first_prototype_pte, "some prototype PTEs can't be read: which pages are private copies is not known for all");
}

static bool run_process(struct context *c, GError **error)
{
	struct process *process = c->process;
	GArray *set = process->vads.vads;
	unsigned made = 0;
	struct section_budget budget = { limit(section_entries) + limit(section_entries_page) * (c->image->bytes_present / PAGE_SIZE), false };
	bool user = c->user && !c->image->facts.no_user_memory;
	g_autoptr(GArray) lost = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	(void)error;
	if (!vad_tree_read(c, process, context_kept(c), lost))
		vad_tree_add_orphans(c, process, context_kept(c), lost);
	if (!c->user && set->len && !c->image->facts.no_user_memory)
		context_note(c, FAULT_NOT_IN_DUMP, process->eprocess, "vads", "the process's page tables are not readable: its pages are not counted");
	for (guint i = 0; i < set->len; i++) {
		struct vad *vad = &g_array_index(set, struct vad, i);
		g_autofree char *protection = vad->protection_known ? protection_name(vad->protection) : NULL;
		struct walker w = { .c = c, .vad = vad, .vad_ordinal = i, .protection = protection, .regions = &made, .budget = &budget };
		if (user)
			walk_pages(&w, vad);
		put_vad(c, vad, protection);
	}
	return true;
}

static bool begin(struct context *c, GError **error)
{
	(void)error;
	context_keep(c, vad_pool_create(), (GDestroyNotify)vad_pool_destroy);
	if (c->image->facts.no_user_memory)
		context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "regions", "skipped: user memory not in dump: pages are not counted");
	return true;
}

const struct plugin plugin_vads = {
	.name = "vads",
	.doc = "virtual address descriptors, page counts, and the VirtualQuery view",
	.fills = { &vads, &regions },
	.needs = { "processes" },
	.needs_layout = true,
	.sweeps = vad_tree_sweeps,
	.begin = begin,
	.run_process = run_process,
};
