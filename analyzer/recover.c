/* SPDX-License-Identifier: Apache-2.0 */
#include "recover.h"
#include <stdio.h>
#include <string.h>
#include "builds.h"
#include "derive.h"
#include "globals.h"
#include "paging.h"

#define PRIORS_MAX 8u		/* families of the build that are tried */
#define FOREIGN_MAX 5u		/* of other builds, when there are none of it */
#define SIBLINGS_MAX 6u		/* kernels that are asked where they have a global */

struct siblings {
	const char *family;
	unsigned revision;
	GPtrArray *kernels;	/* struct sibling */
};

struct sibling {
	char *guid_age;
	unsigned distance;
};

static void sibling_free(gpointer data)
{
	struct sibling *s = data;

	g_free(s->guid_age);
	g_free(s);
}

static void add_sibling(void *user, const char *guid_age, const char *version, const char *family)
{
	struct siblings *all = user;
	unsigned revision = 0;

	if (strcmp(family, all->family))
		return;
	(void)!sscanf(version, "%*u.%*u.%*u.%5u", &revision);
	struct sibling *s = g_new0(struct sibling, 1);
	s->guid_age = g_strdup(guid_age);
	/* Not knowing the revision: the newest first, as likely as any. */
	s->distance = !all->revision ? G_MAXUINT - revision : revision > all->revision ? revision - all->revision : all->revision - revision;
	g_ptr_array_add(all->kernels, s);
}

static int by_distance(gconstpointer a, gconstpointer b)
{
	const struct sibling *l = *(struct sibling *const *)a, *r = *(struct sibling *const *)b;

	return l->distance != r->distance ? (l->distance < r->distance ? -1 : 1) : strcmp(l->guid_age, r->guid_age);
}

/* Layouts, with their symbols, of kernels of a family. */
static GPtrArray *load_siblings(const char *family, unsigned revision)
{
	GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)layout_destroy);
	struct siblings all = { family, revision, g_ptr_array_new_with_free_func(sibling_free) };

	layout_builtin_each(add_sibling, &all);
	g_ptr_array_sort(all.kernels, by_distance);
	for (guint i = 0; i < all.kernels->len && out->len < SIBLINGS_MAX; i++) {
		const struct sibling *s = g_ptr_array_index(all.kernels, i);
		struct layout *layout = layout_builtin(s->guid_age);
		if (layout)
			g_ptr_array_add(out, layout);
	}
	g_ptr_array_unref(all.kernels);
	return out;
}

static unsigned build_of(const char *family)
{
	unsigned build = 0;

	return sscanf(family, "%*u.%*u.%5u", &build) == 1 ? build : 0;
}

/* The families worth trying: all of the build, or those of the builds around it. */
static GPtrArray *load_priors(const struct evidence *e)
{
	g_auto(GStrv) names = layout_families(e->build, e->revision, paging_machine(e->kernel->paging));
	GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)layout_destroy);
	unsigned first = *names ? build_of(*names) : 0, last = 0;
	AUTO(layout) nearest = first ? layout_family(e->build, e->revision, paging_machine(e->kernel->paging)) : NULL;
	bool own = nearest != NULL;

	for (char **name = names; *name && out->len < (own ? PRIORS_MAX : FOREIGN_MAX); name++) {
		unsigned build = build_of(*name);
		if (own && build != first)
			break;
		if (!own && build == last)	/* one of each other build will do */
			continue;
		last = build;
		struct layout *layout = layout_family_named(*name);
		if (layout)
			g_ptr_array_add(out, layout);
	}
	return out;
}

/*
 * The points in which a dump can contradict a family: where processes are linked, named and
 * numbered, and what the debugger's data block states outright (since Windows 2003).
 */
static unsigned contradictions(const struct evidence *e, const struct layout *l)
{
	const struct { unsigned offset, expected; } stated[] = {
		{ KDBG_PROCESS_PEB, l->eprocess.Peb.offset }, { KDBG_PROCESS_PARENT, l->eprocess.InheritedFromUniqueProcessId.offset },
		{ KDBG_PROCESS_DTB, l->kprocess.DirectoryTableBase.offset },
	};
	unsigned n = (l->eprocess.ActiveProcessLinks.offset != e->links) + (l->eprocess.ImageFileName.offset != e->name) +
		     (l->eprocess.UniqueProcessId.offset != e->pid);

	for (size_t i = 0; i < G_N_ELEMENTS(stated); i++) {
		uint64_t found = kdbg_value(&e->kdbg, stated[i].offset, 2);
		n += found && found != stated[i].expected;
	}
	return n;
}

static void mark_derived(void *user, const char *type, const char *member, struct field *field)
{
	(void)type;
	(void)member;
	if (field->size)
		field->derived = *(const uint8_t *)user;
}

/*
 * 32-bit kernels are covered by families whole where one fits: every build of that width has its family. What fits, but is of
 * another build, is taken as derived; where none does, the one that needs least is corrected.
 */
static struct layout *choose_family(struct evidence *e, const GPtrArray *priors)
{
	for (guint i = 0; i < priors->len; i++) {
		const struct layout *prior = g_ptr_array_index(priors, i);
		if (!e->process_head || contradictions(e, prior) || !derive_narrow_fits(e, prior))
			continue;
		struct layout *layout = layout_copy(prior);
		layout->base = g_strdup(prior->origin);
		layout->confidence = 100;
		layout->source = LAYOUT_FAMILY;
		if (!derive_same_build(e, prior->origin)) {
			const uint8_t confidence = 60;
			layout->source = LAYOUT_DERIVED;
			layout->confidence = confidence;
			layout_visit_fields(layout, mark_derived, (void *)&confidence);
		}
		return layout;
	}
	if (!e->process_head || !e->processes->len)
		return NULL;
	return derive_narrow(e, (struct layout *const *)priors->pdata, priors->len);
}

/* Pages on their way out (transition) of so many processes are looked at, and so many of them. */
#define MASK_PROCESSES 48u
#define MASK_STEPS 200000u
#define MASK_PAGES 4096u

/*
 * InvalidPteMask, from what it does: Windows sets it in entries that aren't valid, so that they name memory which the machine
 * doesn't have. Where most pages in transition lie beyond the end of memory by the same bits, those are the mask.
 */
static uint64_t find_invalid_pte_mask(const struct evidence *e, const struct layout *layout)
{
	const struct field *root = &layout->kprocess.DirectoryTableBase;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	struct range range = { 0, 0 };
	uint64_t end = PAGE_SIZE, best = 0;
	unsigned pages = 0, most = 0;

	for (pa_t at = { 0 }; image_next_range(e->kernel->image, at, &range); at.v = range.start + range.length)
		while (end < range.start + range.length && end < UINT64_C(1) << 51)
			end <<= 1;
	for (guint i = 1; root->size && i < e->processes->len && i < MASK_PROCESSES && pages < MASK_PAGES; i++) {
		uint64_t dtb = instance_value(instance_at(e->processes, i), root->offset, e->width);
		AUTO(space) space = space_create(e->kernel->image, NULL, e->space->paging, (pa_t){ dtb });
		va_t cursor = { 0 }, last = { UINT64_C(0x7fffffffffff) };
		struct page page;

		space->kernel = e->space;
		space->steps = MASK_STEPS;
		while (pages < MASK_PAGES && space_next_page(space, &cursor, last, &page)) {
			if (page.state != PAGE_TRANSITION || page.by_prototype)
				continue;
			uint64_t high = page.pa.v & ~(end - 1);
			unsigned n = GPOINTER_TO_UINT(g_hash_table_lookup(seen, &high)) + 1;

			g_hash_table_insert(seen, g_memdup2(&high, sizeof(high)), GUINT_TO_POINTER(n));
			pages++;
			if (n > most) {
				most = n;
				best = high;
			}
		}
	}
	return most >= 4 && most * 2 > pages ? best : 0;
}

/* Where neither the kernel's text nor its number is in the dump: the last build of the Windows that KUSER_SHARED_DATA names. */
static unsigned likely_build(const struct kernel *kernel)
{
	static const struct { unsigned major, minor, build; } last[] = {
		{ 5, 1, 2600 }, { 5, 2, 3790 }, { 6, 0, 6001 }, { 6, 1, 7601 }, { 6, 2, 9200 }, { 6, 3, 9600 }, { 10, 0, 19041 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(last); i++)
		if (last[i].major == kernel->major && last[i].minor == kernel->minor)
			return last[i].build;
	return 0;
}

/* Entries of a list that look like processes by a layout: how many, and how many there are in all. */
static unsigned count_processes(const struct evidence *e, const struct layout *l, const GArray *list, GArray *processes)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
	unsigned good = 0;

	for (guint i = 0; i < list->len; i++) {
		uint64_t va = g_array_index(list, uint64_t, i) - l->eprocess.ActiveProcessLinks.offset;
		guint n = processes->len;

		if (!instances_add(processes, e->space, va, n))
			continue;
		const struct instance *s = instance_at(processes, n);
		uint64_t pid = instance_value(s, l->eprocess.UniqueProcessId.offset, e->width);
		const uint8_t *name = s->bytes + l->eprocess.ImageFileName.offset;
		unsigned length = 0;

		while (length < 15 && g_ascii_isprint(name[length]))
			length++;
		if (instance_value(s, 0, 1) == 3 && pid && !(pid & 3) && pid <= UINT32_MAX && length && (length == 15 || !name[length]) &&
		    g_hash_table_add(seen, GSIZE_TO_POINTER((gsize)pid)))
			good++;
		else
			g_array_set_size(processes, n);
	}
	return good;
}

/* Looks that an entry of a list takes that may be a process. */
#define ENTRY_LOOKS 16u

static void mark_unconfirmed(void *user, const char *type, const char *member, struct field *field)
{
	(void)user;
	(void)type;
	(void)member;
	if (field->size)
		field->derived = 40;
}

/*
 * Without System's object nothing can be derived. The structures of the build are taken as they are where a list is
 * one of processes by them; that no more was confirmed, all of its rows say.
 */
static struct layout *unconfirmed(struct evidence *e)
{
	AUTO(layout) layout = layout_family(e->build, e->revision, paging_machine(e->kernel->paging));

	for (guint i = 0; layout && i < e->heads->len; i++) {
		uint32_t rva = g_array_index(e->heads, uint32_t, i);
		g_autoptr(GArray) list = evidence_list(e->space, e->kernel->base.v + rva, 4096), found = instances_create();
		unsigned good = list->len < 2 || !evidence_spend(e, ENTRY_LOOKS * list->len) ? 0 : count_processes(e, layout, list, found);

		if (good < 2 || good * 10 < list->len * 7)
			continue;
		e->process_head = rva;
		e->links = layout->eprocess.ActiveProcessLinks.offset;
		e->pid = layout->eprocess.UniqueProcessId.offset;
		e->name = layout->eprocess.ImageFileName.offset;
		g_array_unref(e->processes);
		e->processes = g_steal_pointer(&found);
		layout_visit_fields(layout, mark_unconfirmed, NULL);
		layout->source = LAYOUT_DERIVED;
		layout->confidence = 40;
		layout->base = g_strdup(layout->origin);
		g_free(layout->origin);
		layout->origin = g_strdup_printf("family %s, not confirmed: the System process is not in the dump", layout->base);
		return g_steal_pointer(&layout);
	}
	return NULL;
}

static struct layout *layout_of(struct kernel *kernel, struct evidence *e)
{
	g_autoptr(GPtrArray) priors = NULL, siblings = NULL;
	struct build exact;
	bool known = build_find(kernel->timestamp, kernel->size, &exact);

	if (known) {
		e->build = exact.build;
		e->revision = exact.revision;
	}
	if (!e->build)
		e->build = likely_build(kernel);
	if (!e->build)
		return NULL;
	priors = load_priors(e);
	struct layout *layout = e->width == 4 ? choose_family(e, priors) :
				derive_layout(e, (struct layout *const *)priors->pdata, priors->len);
	if (!layout)
		layout = unconfirmed(e);
	if (!layout)
		return NULL;
	g_free(layout->guid_age);
	layout->guid_age = g_strdup(kernel->guid_age);
	g_free(layout->version);
	layout->version = known ? g_strdup_printf("%u.%u.%u.%u", exact.major, exact.minor, exact.build, exact.revision) : NULL;
	/* Kernels of another build have their globals anywhere. */
	siblings = derive_same_build(e, layout->base) ? load_siblings(layout->base, e->revision) : g_ptr_array_new();
	globals_recover(e, layout, (struct layout *const *)siblings->pdata, siblings->len);
	/* What the kernel's own text says, where its globals can't be found. */
	if (!kernel->build && e->build_lab)
		kernel->build = e->build;
	if (!layout->symbol.NtBuildLab)
		layout->symbol.NtBuildLab = e->build_lab_rva;
	kernel->invalid_pte_mask = find_invalid_pte_mask(e, layout);
	return layout;
}

struct layout *recover_layout(struct kernel *kernel)
{
	AUTO(evidence) e = evidence_create(kernel);
	struct layout *layout = layout_of(kernel, e);

	if (e->cut || image_search_over(kernel->image))
		image_note(kernel->image, FAULT_LIMIT, kernel->base.v, "what the kernel's data leads to was not all looked at for its structures and "
			   "globals (kernel_looks or kernel_seconds)");
	return layout;
}
