/* SPDX-License-Identifier: Apache-2.0 */
#include "process_set.h"
#include <stdlib.h>
#include <string.h>
#include "cid.h"
#include "handles.h"
#include "limit.h"
#include "page_frames.h"
#include "paging.h"
#include "walk.h"

const struct sweep_pattern *const process_set_sweeps[] = { &pool_process, &pool_thread, NULL };

/* KOBJECTS of ntddk.h. */
#define DISPATCHER_PROCESS 3

struct set {
	struct context *context;
	GArray *found;			/* struct process_found */
	GHashTable *at;			/* EPROCESS → index into found, plus one */
	struct object_types *types;
	bool cut;			/* there are more than are kept */
};

static struct process_found *find(const struct set *s, uint64_t va)
{
	guint n = GPOINTER_TO_UINT(g_hash_table_lookup(s->at, &va));

	return n ? &g_array_index(s->found, struct process_found, n - 1) : NULL;
}

static void add(struct set *s, uint64_t va, enum process_source source)
{
	struct process_found *known = find(s, va), found = { { va }, 1u << source, 0 };

	if (known) {
		known->in |= 1u << source;
		return;
	}
	s->cut |= s->found->len >= limit(list_entries);
	if (s->cut)
		return;
	g_array_append_val(s->found, found);
	g_hash_table_insert(s->at, g_memdup2(&va, sizeof(va)), GUINT_TO_POINTER(s->found->len));
}

/* A process object where only a pointer says that there is one? */
static bool plausible(const struct set *s, uint64_t va)
{
	struct object proc = object_at(s->context->space, va), pcb = MEMBER(proc, eprocess.Pcb);
	uint64_t pid, dtb;
	uint8_t type;

	return space_is_kernel(proc.space, proc.va) && !READ(proc, eprocess.UniqueProcessId, &pid) && !(pid & 3) && pid < UINT32_MAX &&
	       !READ(pcb, kprocess.DirectoryTableBase, &dtb) && dtb && !READ(pcb, dispatcher_header.Type, &type) &&
	       (type & 0x7f) == DISPATCHER_PROCESS;
}

static void add_if_plausible(struct set *s, uint64_t va, enum process_source source)
{
	if (va && (find(s, va) || plausible(s, va)))
		add(s, va, source);
}

/* Of a source that was not read as a whole it can be told only that a process was met in it. */
static void asked(struct set *s, enum process_source source, bool whole)
{
	for (guint i = 0; i < s->found->len; i++) {
		struct process_found *f = &g_array_index(s->found, struct process_found, i);
		if (whole || f->in & 1u << source)
			f->asked |= 1u << source;
	}
}

static int compare_addresses(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The active list ---------------------------------------------------------- */

/* What the head and all known processes link to, each other than to itself. */
static GHashTable *links_of_all(const struct set *s, const struct object *head)
{
	GHashTable *targets = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (guint i = 0; i <= s->found->len; i++) {
		struct object entry = *head;
		uint64_t to[2] = { 0, 0 };
		if (i)
			entry.va.v = g_array_index(s->found, struct process_found, i - 1).va.v + head->space->layout->eprocess.ActiveProcessLinks.offset;
		for (unsigned back = 0; back < 2; back++)
			if (!(back ? READ(entry, list_entry.Blink, &to[back]) : READ(entry, list_entry.Flink, &to[back])) && to[back] != entry.va.v)
				g_hash_table_add(targets, g_memdup2(&to[back], sizeof(to[back])));
	}
	return targets;
}

/*
 * Of a list that is whole, what the walk didn't meet is not in it. Of a broken one it may lie in the gap: only what
 * nobody links to and the neighbours are linked past was taken out.
 */
static void active_asked(struct set *s, const struct object *head, bool broken)
{
	g_autoptr(GHashTable) targets = broken ? links_of_all(s, head) : NULL;

	for (guint i = 0; i < s->found->len; i++) {
		struct process_found *f = &g_array_index(s->found, struct process_found, i);
		va_t links = { f->va.v + head->space->layout->eprocess.ActiveProcessLinks.offset };
		if (!broken || f->in & 1u << SOURCE_ACTIVE || (!g_hash_table_contains(targets, &links.v) && walk_passed_over(head->space, links)))
			f->asked |= 1u << SOURCE_ACTIVE;
	}
}

/* Sessions ----------------------------------------------------------------- */

/*
 * A session's space is mapped at one address in the page tables of all its processes, and in no others: so each
 * process is asked through its own, and one walk serves all that share the list.
 */
static void find_in_sessions(struct set *s)
{
	struct context *c = s->context;
	g_autoptr(GHashTable) walked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	const struct layout *l = c->kernel->layout;

	if (!l->mm_session_space.ProcessList.size || !l->eprocess.SessionProcessLinks.size)
		return;
	for (guint i = 0; i < s->found->len && !context_half_over(c); i++) {
		struct object proc = object_at(c->space, g_array_index(s->found, struct process_found, i).va.v), pcb = MEMBER(proc, eprocess.Pcb);
		uint64_t session = 0, dtb = 0, exit = 0;
		struct page page;
		if (READ(proc, eprocess.Session, &session) || !session || READ(pcb, kprocess.DirectoryTableBase, &dtb) || !dtb ||
		    READ(proc, eprocess.ExitTime, &exit) || exit)
			continue;
		AUTO(space) own = space_of_process(c->space, c->kernel->paging, (pa_t){ dtb });
		struct object space = object_at(own, session), head = MEMBER(space, mm_session_space.ProcessList), links = head;
		/* Each session has a page of its own at that address. */
		if (space_page(own, head.va, &page) || !page_resident(&page))
			continue;
		uint64_t pa = page.pa.v + (head.va.v - page.va.v), at = 0;
		if (READ(links, list_entry.Flink, &at) || !at)
			continue;
		g_array_index(s->found, struct process_found, i).asked |= 1u << SOURCE_SESSION;
		if (!g_hash_table_add(walked, g_memdup2(&pa, sizeof(pa))))
			continue;
		struct walk walk = { .context = c, .table = "processes", .what = "mm_session_space.ProcessList", .head = head,
				     .link = l->eprocess.SessionProcessLinks.offset, .at = head.va.v };
		struct object entry;
		while (walk_next(&walk, &entry))
			add_if_plausible(s, entry.va.v, SOURCE_SESSION);
		walk_clear(&walk);
	}
	asked(s, SOURCE_SESSION, false);
}

/* Handle tables ------------------------------------------------------------ */

/* The tables that the kernel links together tell their owners. False: they are not all known. */
static bool find_by_tables(struct set *s)
{
	struct object head = kernel_object(s->context->kernel, s->context->space, HandleTableListHead), table;
	struct field links = s->context->kernel->layout->handle_table.HandleTableList;
	struct walk walk = { .context = s->context, .table = "processes", .what = "handle_table.HandleTableList", .head = head,
			     .link = links.offset, .at = head.va.v };
	uint64_t next = 0;
	bool any = false, part = false;

	if (!head.va.v || !links.size || READ(head, list_entry.Flink, &next) || !next || next == head.va.v)
		return false;
	while (walk_next(&walk, &table)) {
		uint64_t owner = 0;
		any = true;
		part |= READ(table, handle_table.QuotaProcess, &owner) != FAULT_NONE;
		add_if_plausible(s, owner, SOURCE_TABLES);
	}
	part |= walk.broken;
	walk_clear(&walk);
	return any && !part;
}

static bool is_named(const struct set *s, va_t eprocess, const char *name)
{
	g_autofree char *text = NULL;

	return !read_image_file_name(s->context->space, eprocess, &text) && !g_ascii_strcasecmp(text, name);
}

/*
 * Which processes the handles of each lead to. Sets *csrss when the table of one of those could be read, and all of it. Where not all were
 * looked at, what was not met may yet be there: false.
 */
static bool find_by_handles(struct set *s, bool *csrss)
{
	struct context *c = s->context;
	g_autofree struct handle_walk *walk = g_new(struct handle_walk, 1);
	g_autoptr(GHashTable) walked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	struct field body = c->space->layout->object_header.Body;
	bool any = false, over = false, part = false, csrss_part = false;

	for (guint i = 0; i < s->found->len && body.size && object_types_have(s->types, "Process") && !(over = context_half_over(c)); i++) {
		struct object proc = object_at(c->space, g_array_index(s->found, struct process_found, i).va.v);
		struct handle_entry entry;
		uint64_t table = 0;
		memset(walk, 0, sizeof(*walk));
		bool unread = READ(proc, eprocess.ObjectTable, &table), is_csrss = is_named(s, proc.va, "csrss.exe");
		if (!unread && (!table || !g_hash_table_add(walked, g_memdup2(&table, sizeof(table)))))
			continue;
		if (unread || handle_walk_init(walk, c->space, (va_t){ table })) {
			part = true;
			csrss_part |= is_csrss;
			continue;
		}
		any = true;
		*csrss |= is_csrss;
		while (handle_walk_next(walk, &entry) && !context_half_over(c)) {
			va_t object = { entry.object.v + body.offset };
			if (object.v == proc.va.v || !object_is(s->types, c->space, object, "Process"))
				continue;
			add_if_plausible(s, object.v, SOURCE_HANDLES);
			if (is_csrss && find(s, object.v))
				add(s, object.v, SOURCE_CSRSS);
		}
		part |= walk->fault != FAULT_NONE;
		csrss_part |= is_csrss && walk->fault;
		handle_walk_deinit(walk);	/* what it could not read the plugin `handles` says */
	}
	over |= context_half_over(c);
	*csrss &= !over && !csrss_part;
	return any && !over && !part;
}

/* Threads ------------------------------------------------------------------ */

static void find_owners(struct set *s, const GArray *cid)
{
	g_autoptr(GArray) owners = g_array_new(FALSE, FALSE, sizeof(uint64_t)), threads = thread_candidates(s->context);

	for (guint i = 0; cid && i < cid->len; i++) {
		const struct cid_entry *e = &g_array_index(cid, struct cid_entry, i);
		struct object thread = object_at(s->context->space, e->object.v);
		uint64_t owner;
		if (e->kind == CID_THREAD && !read_thread_process(&thread, &owner))
			g_array_append_val(owners, owner);
	}
	for (guint i = 0; i < threads->len; i++) {
		const struct thread_candidate *t = &g_array_index(threads, struct thread_candidate, i);
		if (t->state != POOL_REMNANT)
			g_array_append_val(owners, t->process.v);
	}
	g_array_sort(owners, compare_addresses);
	for (guint i = 0; i < owners->len; i++)
		/* The idle process owns the idle threads; it is no entry of any list. */
		add_if_plausible(s, g_array_index(owners, uint64_t, i), SOURCE_THREADS);
}

/* Page-table roots --------------------------------------------------------- */

static bool root_of(const struct set *s, guint i, pa_t *root)
{
	struct object proc = object_at(s->context->space, g_array_index(s->found, struct process_found, i).va.v), pcb = MEMBER(proc, eprocess.Pcb);
	uint64_t dtb = 0;

	if (READ(pcb, kprocess.DirectoryTableBase, &dtb) || !dtb)
		return false;
	*root = paging_dtb(s->context->kernel->paging, dtb);
	return true;
}

/* How the database names processes, by those that are known already. */
static enum page_owner_form owner_form(const struct set *s, struct page_frames *frames)
{
	unsigned votes[OWNER_FORMS] = { 0 };

	for (guint i = 0; i < s->found->len; i++) {
		pa_t root;
		if (root_of(s, i, &root))
			page_frames_vote(frames, root, g_array_index(s->found, struct process_found, i).va, votes);
	}
	return page_owner_elected(votes);
}

static void find_by_frames(struct set *s)
{
	enum fault fault;
	va_t at;
	AUTO(page_frames) frames = page_frames_open(s->context, &fault, &at);	/* why not the plugin `address_spaces` says */
	enum page_owner_form form = frames ? owner_form(s, frames) : OWNER_FORMS;

	if (form == OWNER_FORMS)
		return;
	bool cut;	/* then who was not met may be in the rest; the plugin `address_spaces` says so */
	g_autoptr(GArray) roots = page_frames_roots(frames, &cut);
	for (guint i = 0; i < roots->len; i++)
		add_if_plausible(s, page_owner(g_array_index(roots, struct page_frame, i).u1, form).v, SOURCE_FRAMES);
	for (guint i = 0; i < s->found->len; i++) {
		struct process_found *f = &g_array_index(s->found, struct process_found, i);
		struct page_frame frame;
		pa_t root;
		/* The System process was there before the memory manager: whether its entry names it is no matter. */
		if (f->in & 1u << SOURCE_FRAMES ||
		    (!cut && f->va.v != s->context->kernel->system_process.v && root_of(s, i, &root) && !page_frames_at(frames, root, &frame)))
			f->asked |= 1u << SOURCE_FRAMES;
	}
}

GArray *process_set_find(struct context *c, const GArray *candidates)
{
	struct object head = kernel_object(c->kernel, c->space, PsActiveProcessHead), proc;
	struct set s = { c, g_array_new(FALSE, TRUE, sizeof(struct process_found)),
			 g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL), object_types_load(c->kernel, c->space) };
	bool cid_whole;
	g_autoptr(GArray) cid = cid_load(c, "processes", &cid_whole);
	struct walk walk = { .context = c, .table = "processes", .what = "eprocess.ActiveProcessLinks", .head = head,
			     .link = c->kernel->layout->eprocess.ActiveProcessLinks.offset, .at = head.va.v,
			     .done = !c->kernel->layout->eprocess.ActiveProcessLinks.size || !head.va.v };
	bool active = !walk.done, csrss = false;

	while (walk_next(&walk, &proc))
		add(&s, proc.va.v, SOURCE_ACTIVE);
	guint active_count = s.found->len;
	for (guint i = 0; cid && i < cid->len; i++) {
		const struct cid_entry *e = &g_array_index(cid, struct cid_entry, i);
		if (e->kind == CID_PROCESS)
			add(&s, e->object.v, SOURCE_CID);
	}
	find_owners(&s, cid);
	/* Whole objects in pool that nothing leads to; what lies in freed pool goes to `remnants`. */
	for (guint i = 0; i < candidates->len; i++) {
		const struct process_candidate *p = &g_array_index(candidates, struct process_candidate, i);
		if (p->state != POOL_REMNANT && p->object.va.v)
			add(&s, p->object.va.v, SOURCE_POOL);
	}
	find_by_frames(&s);
	bool tables = find_by_tables(&s);
	bool handles = find_by_handles(&s, &csrss);
	find_in_sessions(&s);
	/* System is always in it: an empty list is none. */
	if (active)
		active_asked(&s, &head, walk.broken || !active_count);
	asked(&s, SOURCE_CID, cid_whole);
	asked(&s, SOURCE_POOL, pool_scannable(c));
	asked(&s, SOURCE_THREADS, cid_whole || pool_scannable(c));
	asked(&s, SOURCE_TABLES, tables);
	asked(&s, SOURCE_HANDLES, handles);
	asked(&s, SOURCE_CSRSS, csrss);
	if (s.cut)
		context_note(c, FAULT_LIMIT, (va_t){ 0 }, "processes", "more than %" G_GUINT64_FORMAT " processes: the rest is left out (list_entries)",
			     limit(list_entries));
	walk_clear(&walk);
	object_types_destroy(s.types);
	g_hash_table_destroy(s.at);
	return s.found;
}
