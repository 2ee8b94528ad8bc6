/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces by their roots: each maps itself and shares the kernel's half, so no list is needed to find them. What
 * runs without any process that owns it has an address space all the same.
 */
#include "page_frames.h"
#include "paging.h"

enum { DUMP, PROCESS, ROOT, OWNER, KERNEL_HALF, USER_ENTRIES, IN_SWEEP, IN_FRAMES, IN_USE };

static const char *const indices[] = { "root", NULL };

static const struct table address_spaces = {
	.name = "address_spaces", .doc = "page-table roots found in physical memory and in the memory manager's own book of it", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[PROCESS] = { "process_id", COL_PROCESS, "whose root it is; NULL: no known process's" },
		[ROOT] = { "root", COL_ADDRESS, "physical address of the top page table" },
		[OWNER] = { "owner", COL_ADDRESS, "_EPROCESS that the page frame database names" },
		[KERNEL_HALF] = { "kernel_half", COL_BOOL, "it leads to the kernel by the same table as the System process's" },
		[USER_ENTRIES] = { "user_entries", COL_INT, "entries in use of the half that programs have" },
		[IN_SWEEP] = { "in_page_scan", COL_BOOL, "the page maps itself, as roots do" },
		[IN_FRAMES] = { "in_frame_database", COL_BOOL, "MmPfnDatabase has it as a root; NULL: it can't be read there" },
		[IN_USE] = { "in_use", COL_BOOL, "the frame is in use; 0: what is left of an address space; NULL: not known" },
	},
};

static const struct sweep_pattern *const sweeps[] = { &page_roots, NULL };

struct root { uint64_t pa; bool swept; };

static int compare_roots(const void *a, const void *b)
{
	const struct root *x = a, *y = b;

	if (x->pa != y->pa)
		return x->pa < y->pa ? -1 : 1;
	return (int)y->swept - (int)x->swept;
}

/* Processes by their roots; of several with the same the first. */
static GHashTable *processes_by_root(const struct context *c)
{
	GHashTable *out = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = c->processes->len; i-- > 0; ) {
		struct process *p = g_ptr_array_index(c->processes, i);
		g_hash_table_replace(out, &p->dtb.v, p);
	}
	return out;
}

/* The entry of a root that leads to the kernel's image. */
static unsigned kernel_index(const struct kernel *k)
{
	return (unsigned)(k->base.v >> (k->paging == PAGING_X64_LA57 ? 48 : 39)) & 511;
}

static enum page_owner_form form_of(const struct context *c, struct page_frames *frames)
{
	unsigned votes[OWNER_FORMS] = { 0 };

	for (guint i = 0; i < c->processes->len; i++) {
		const struct process *p = g_ptr_array_index(c->processes, i);
		page_frames_vote(frames, p->dtb, p->eprocess, votes);
	}
	return page_owner_elected(votes);
}

static void put(struct context *c, const struct root *root, GHashTable *by_root, struct page_frames *frames, enum page_owner_form form,
		const uint64_t *kernel)
{
	const struct process *process = g_hash_table_lookup(by_root, &root->pa);
	uint64_t table[512];
	struct page_frame frame;
	bool readable = !image_read(c->image, (pa_t){ root->pa }, table, sizeof(table));
	unsigned entries = 0, at = kernel_index(c->kernel);
	bool shares = readable && kernel && (kernel[at] & 1) && paging_pfn(c->kernel->paging, table[at]) == paging_pfn(c->kernel->paging, kernel[at]) &&
		(table[at] & 1);

	/* A page that names its own frame may be of any other system, or of a guest of this one. */
	if (!process && readable && !shares)
		return;
	struct row *row = row_new(c, &address_spaces);
	if (process)
		row_process(row, process);
	row_address(row, ROOT, root->pa);
	row_int(row, IN_SWEEP, root->swept);
	for (unsigned i = 0; i < 256 && readable; i++)
		entries += table[i] & 1;
	if (readable) {
		row_int(row, KERNEL_HALF, shares);
		row_int(row, USER_ENTRIES, entries);
	}
	if (!frames || page_frames_at(frames, (pa_t){ root->pa }, &frame))
		return;
	row_int(row, IN_FRAMES, frame.is_root && frame.active);
	row_int(row, IN_USE, frame.active);
	if (form < OWNER_FORMS && frame.is_root && frame.active && space_is_kernel(c->space, page_owner(frame.u1, form)) && frame.u1 >> 1)
		row_address(row, OWNER, page_owner(frame.u1, form).v);
}

static bool run(struct context *c, GError **error)
{
	const GArray *swept = sweep_hits(c->sweep, &page_roots);
	g_autoptr(GArray) roots = g_array_new(FALSE, FALSE, sizeof(struct root));
	uint64_t kernel[512];
	enum fault fault;
	va_t at;

	(void)error;
	if (space_pointer_size(c->space) != 8 || c->kernel->physical_only) {
		context_note(c, FAULT_NO_FIELD, (va_t){ 0 }, "address_spaces", "roots are told from other pages on 64-bit machines whose page tables are there");
		return true;
	}
	AUTO(page_frames) frames = page_frames_open(c, &fault, &at);
	if (!frames)
		context_note(c, fault, at, "address_spaces", "MmPfnDatabase can't be read: which roots are in use, and whose, is not known");
	bool have = !image_read(c->image, c->kernel->dtb, kernel, sizeof(kernel));
	for (guint i = 0; i < swept->len; i++) {
		struct root root = { g_array_index(swept, struct sweep_hit, i).pa.v, true };
		g_array_append_val(roots, root);
	}
	bool cut = false;
	g_autoptr(GArray) known = frames ? page_frames_roots(frames, &cut) : NULL;
	if (cut)
		context_note(c, FAULT_LIMIT, at, "address_spaces", "MmPfnDatabase has many times the entries that this memory needs, or more roots than are taken "
			     "(list_entries): the rest is left out");
	g_autoptr(GHashTable) by_root = processes_by_root(c);
	for (guint i = 0; known && i < known->len; i++) {
		struct root root = { g_array_index(known, struct page_frame, i).number * PAGE_SIZE, false };
		g_array_append_val(roots, root);
	}
	g_array_sort(roots, compare_roots);
	enum page_owner_form form = frames ? form_of(c, frames) : OWNER_POINTER;
	for (guint i = 0; i < roots->len && !context_cancelled(c); i++) {
		const struct root *root = &g_array_index(roots, struct root, i);
		if (!i || root[-1].pa != root->pa)
			put(c, root, by_root, frames, form, have ? kernel : NULL);
	}
	return true;
}

const struct plugin plugin_address_spaces = {
	.name = "address_spaces",
	.doc = "page-table roots, and whose they are",
	.fills = { &address_spaces },
	.needs = { "processes" },
	.sweeps = sweeps,
	.needs_layout = true,
	.run = run,
};
