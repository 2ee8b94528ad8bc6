/* SPDX-License-Identifier: Apache-2.0 */
#include "evidence.h"
#include <stdio.h>
#include <string.h>
#include "limit.h"
#include "pe_space.h"

#define PROCESSES_MAX 96u	/* enough to be sure of an offset; of more the first and last ones are taken */
#define LIST_MAX 4096u
/* Kernels have 3 to 6 MB of data. What a hostile image has beyond these isn't looked at. */
#define DATA_MAX (12u << 20)
#define HEADS_MAX 32768u
/* Looks that it takes to find out whether the entries of a list are processes. */
#define TRY_LOOKS 65536u
#define REACH 0xc00u		/* an _EPROCESS's list entry lies at most so far from its start, its name and pid */
/* KLDR_DATA_TABLE_ENTRY of every Windows (ntldr.h), in pointers. */
#define LOADER_BASE 6u
#define LOADER_SIZE 8u

static const char SYSTEM[] = "System\0\0\0\0\0\0\0\0\0";	/* ImageFileName has 15 bytes, and one that is 0 */

static bool kernel_pointer(const struct space *space, uint64_t va)
{
	if (space_pointer_size(space) == 4)
		return va >= space->system_start && va < 0xfffff000u;
	return evidence_kernel_pointer(va);
}

bool evidence_pointer(const struct evidence *e, uint64_t va)
{
	return kernel_pointer(e->space, va);
}

uint64_t evidence_kdbg(const struct evidence *e, unsigned offset)
{
	uint64_t value = kdbg_value(&e->kdbg, offset, 8);

	return e->width == 4 ? (uint32_t)value : value;
}

static void instance_clear(gpointer data)
{
	g_free(((struct instance *)data)->bytes);
}

GArray *instances_create(void)
{
	GArray *instances = g_array_new(FALSE, FALSE, sizeof(struct instance));

	g_array_set_clear_func(instances, instance_clear);
	return instances;
}

bool instances_add(GArray *instances, struct space *space, uint64_t va, unsigned process)
{
	struct instance instance = { va, NULL, process };
	struct page page;

	if (!kernel_pointer(space, va) || space_page(space, (va_t){ va }, &page) || !page_resident(&page))
		return false;
	instance.bytes = g_malloc0(INSTANCE_SIZE);
	space_read_sparse(space, (va_t){ va }, instance.bytes, INSTANCE_SIZE);
	g_array_append_val(instances, instance);
	return true;
}

static uint64_t load(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = width; i--; )
		v = v << 8 | p[i];
	return v;
}

uint64_t instance_value(const struct instance *instance, unsigned offset, unsigned width)
{
	return offset <= INSTANCE_SIZE && width <= INSTANCE_SIZE - offset ? load(instance->bytes + offset, width) : 0;
}

uint64_t evidence_image(const struct evidence *e, uint64_t rva, unsigned width)
{
	return rva < e->size && width <= e->size - rva ? load(e->image + rva, width) : 0;
}

uint32_t evidence_rva(const struct evidence *e, uint64_t va)
{
	uint64_t base = e->kernel->base.v;

	return va > base && va - base < e->size ? (uint32_t)(va - base) : 0;
}

bool evidence_kernel_pointer(uint64_t va)
{
	/* With five levels of tables the kernel's half begins lower; reading tells where nothing is. */
	return va >= UINT64_C(0xff00000000000000) && va < UINT64_C(0xfffffffffffff000);
}

bool evidence_user_pointer(uint64_t va)
{
	return va >= 0x10000 && va < UINT64_C(0x7ffffffff000);
}

bool evidence_in_module(const struct evidence *e, uint64_t va)
{
	if (evidence_rva(e, va))
		return true;
	for (guint i = 0; i < e->modules->len; i++) {
		const struct range *r = &g_array_index(e->modules, struct range, i);
		if (va >= r->start && va - r->start < r->length)
			return true;
	}
	return false;
}

bool evidence_time(const struct evidence *e, uint64_t t)
{
	/* 2001, Windows XP; and a day's doubt about the end. */
	uint64_t end = e->kernel->system_time ? e->kernel->system_time + UINT64_C(864000000000) : UINT64_C(0x02a0000000000000);

	return t > UINT64_C(126227808000000000) && t < end;
}

/* Forward or backward from head until it closes or breaks; true: closed. */
static bool follow(struct space *space, uint64_t head, bool backwards, unsigned limit, GHashTable *seen, GArray *out)
{
	unsigned width = space_pointer_size(space);
	uint64_t at = head, next, back;

	while (out->len < limit) {
		if (read_pointer(space, (va_t){ at + (backwards ? width : 0) }, &next))
			return false;
		if (next == head)
			return true;
		if (!kernel_pointer(space, next) || (next & (width - 1)) ||
		    read_pointer(space, (va_t){ next + (backwards ? 0 : width) }, &back))
			return false;
		if (back != at || g_hash_table_contains(seen, &next))
			return false;
		g_hash_table_add(seen, g_memdup2(&next, sizeof(next)));
		g_array_append_val(out, next);
		at = next;
	}
	return true;
}

GArray *evidence_list(struct space *space, uint64_t head, unsigned limit)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	if (!follow(space, head, false, limit, seen, out)) {
		guint broken = out->len;

		follow(space, head, true, limit, seen, out);
		for (guint i = broken, j = out->len; i + 1 < j; i++) {
			uint64_t *last = &g_array_index(out, uint64_t, --j), first = g_array_index(out, uint64_t, i);
			g_array_index(out, uint64_t, i) = *last;
			*last = first;
		}
	}
	return out;
}

/* The kernel's image ------------------------------------------------------- */

static void add_data(struct evidence *e, struct range r)
{
	uint64_t sum = 0;

	for (guint i = 0; i < e->data->len; i++)
		sum += g_array_index(e->data, struct range, i).length;
	r.length = MIN(r.length, DATA_MAX - MIN(sum, DATA_MAX));
	if (r.length)
		g_array_append_val(e->data, r);
}

static void read_image(struct evidence *e)
{
	struct kernel *k = e->kernel;
	struct pe_space at = { k->space, k->base };
	AUTO_PE pe = pe_space_open(&at, k->size);
	const GArray *exports;

	e->size = k->size;
	e->image = g_malloc0((gsize)e->size + 1);	/* it is there for a kernel without a size */
	space_read_sparse(k->space, k->base, e->image, e->size);
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		struct range r = { s->virtual_address & ~7u, s->virtual_size };

		if (r.start >= e->size)
			continue;
		r.length = MIN(r.length, e->size - r.start);
		if (s->characteristics & PE_SECTION_WRITE)
			add_data(e, r);
		else if (s->characteristics & PE_SECTION_EXECUTE)
			g_array_append_val(e->code, r);
	}
	if (!e->data->len) {
		struct range whole = { PAGE_SIZE, e->size > PAGE_SIZE ? e->size - PAGE_SIZE : 0 };
		add_data(e, whole);
		g_array_append_val(e->code, whole);
	}
	exports = pe_exports(pe, NULL);
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *x = &g_array_index(exports, struct pe_export, i);
		if (x->name && !x->forwarder && x->rva)
			g_hash_table_insert(e->exports, g_strdup(x->name), GUINT_TO_POINTER(x->rva));
	}
}

/* NtBuildLab: "19041.1.amd64fre.vb_release.191206-1406"; before Windows 10 its second number is the revision. */
static void find_build_lab(struct evidence *e)
{
	static const char *const marks[] = { ".amd64fre.", ".amd64chk.", ".x86fre.", ".arm64fre." };

	for (size_t m = 0; m < G_N_ELEMENTS(marks) && !e->build_lab; m++) {
		const uint8_t *from = e->image, *end = e->image + e->size, *hit;

		while ((hit = memmem(from, (size_t)(end - from), marks[m], strlen(marks[m])))) {
			const uint8_t *start = hit;
			unsigned build = 0, revision = 0;
			char text[64] = "";

			from = hit + 1;
			while (start > e->image && hit - start < 16 && (g_ascii_isdigit(start[-1]) || start[-1] == '.'))
				start--;
			if (start == hit)
				continue;
			/* A copy: sscanf looks for the end of the text first, and the image may be one. */
			for (unsigned i = 0; i < sizeof(text) - 1 && start + i < end && g_ascii_isgraph(start[i]); i++)
				text[i] = (char)start[i];
			if (sscanf(text, "%5u.%5u", &build, &revision) != 2 || build < 2600)
				continue;
			e->build_lab = g_strdup(text);
			e->build_lab_rva = (uint32_t)(start - e->image);
			e->build = build;
			e->revision = revision > 1 ? revision : 0;
			break;
		}
	}
	gpointer number = g_hash_table_lookup(e->exports, "NtBuildNumber");
	uint32_t value = number ? (uint32_t)evidence_image(e, GPOINTER_TO_UINT(number), 4) : 0;
	/* 0xf in the high bits: a free build, 0xc: a checked one. */
	if (value >> 28 >= 0xc && (value & 0xffff) >= 2600) {
		if (e->build != (value & 0xffff))
			e->revision = 0;
		e->build = value & 0xffff;
	} else if (!e->build) {
		e->build = e->kernel->build ? e->kernel->build : e->kernel->image->facts.os_build;
	}
}

/* Kernels before Vista don't say in the text what they are for: the debugger's data tells where it is. */
static void find_old_build_lab(struct evidence *e)
{
	uint32_t rva = e->build ? 0 : evidence_rva(e, evidence_kdbg(e, KDBG_BUILD_LAB));
	unsigned build = 0;
	char text[16] = "";

	for (unsigned i = 0; rva && i < sizeof(text) - 1; i++)
		text[i] = (char)evidence_image(e, rva + i, 1);
	if (sscanf(text, "%5u.", &build) == 1 && build >= 2600)
		e->build = build;
}

bool evidence_spend(struct evidence *e, uint64_t looks)
{
	if (looks > e->looks || image_search_ask(e->kernel->image)) {
		e->looks = 0;
		e->cut = true;
		return false;
	}
	e->looks -= looks;
	return true;
}

/* Lists -------------------------------------------------------------------- */

/* A list head: its neighbours point back at it. One of the two is enough, as the list may be smeared. */
static bool is_head(struct evidence *e, uint32_t rva, bool *empty)
{
	unsigned w = e->width;
	uint64_t va = e->kernel->base.v + rva, flink = evidence_image(e, rva, w), blink = evidence_image(e, rva + w, w), back;

	if (!evidence_pointer(e, flink) || !evidence_pointer(e, blink) || ((flink | blink) & (w - 1)))
		return false;
	*empty = flink == va;
	if (*empty)
		return blink == va;
	if (!evidence_spend(e, 1))
		return false;
	return (!read_pointer(e->space, (va_t){ flink + w }, &back) && back == va) ||
	       (!read_pointer(e->space, (va_t){ blink }, &back) && back == va);
}

static void find_heads(struct evidence *e)
{
	for (guint i = 0; i < e->data->len; i++) {
		const struct range *r = &g_array_index(e->data, struct range, i);

		for (uint32_t rva = (uint32_t)r->start; rva + 2 * e->width <= r->start + r->length && e->heads->len < HEADS_MAX; rva += e->width) {
			bool empty;
			if (is_head(e, rva, &empty))
				g_array_append_val(e->heads, rva);
		}
	}
}

static bool head_of_modules(struct evidence *e, uint32_t rva)
{
	g_autoptr(GArray) list = evidence_list(e->space, e->kernel->base.v + rva, 4);
	uint64_t base;

	for (guint i = 0; i < list->len; i++)
		if (!read_pointer(e->space, (va_t){ g_array_index(list, uint64_t, i) + LOADER_BASE * e->width }, &base) &&
		    base == e->kernel->base.v)
			return true;
	return false;
}

static void read_modules(struct evidence *e)
{
	g_autoptr(GArray) list = evidence_list(e->space, e->kernel->base.v + e->module_head, LIST_MAX);

	for (guint i = 0; i < list->len; i++) {
		uint64_t base, size = 0, entry = g_array_index(list, uint64_t, i);
		if (read_pointer(e->space, (va_t){ entry + LOADER_BASE * e->width }, &base) ||
		    space_read(e->space, (va_t){ entry + LOADER_SIZE * e->width }, &size, 4, NULL) || !base)
			continue;
		struct range r = { base, size };
		g_array_append_val(e->modules, r);
	}
}

static bool is_name(const uint8_t *p)
{
	unsigned n = 0;

	while (n < 15 && g_ascii_isprint(p[n]))
		n++;
	return n && (n == 15 || !p[n]);
}

static bool has_name(struct evidence *e, uint64_t entry)
{
	uint8_t bytes[2 * REACH];

	space_read_sparse(e->space, (va_t){ entry - REACH }, bytes, sizeof(bytes));
	return memmem(bytes, sizeof(bytes), SYSTEM, sizeof(SYSTEM) - 1);
}

/* What lies around each entry of a list: REACH bytes before it and after it. */
static GArray *surroundings(struct evidence *e, const GArray *list)
{
	GArray *out = instances_create();

	for (guint i = 0; i < list->len && i < PROCESSES_MAX; i++) {
		struct instance s = { g_array_index(list, uint64_t, i), g_malloc0(INSTANCE_SIZE), i };
		space_read_sparse(e->space, (va_t){ s.va - REACH }, s.bytes, INSTANCE_SIZE);
		g_array_append_val(out, s);
	}
	return out;
}

/* The distance at which each entry has a name, System's the first; 0: none. */
static unsigned find_names(const GArray *around)
{
	const uint8_t *first = instance_at(around, 0)->bytes, *from = first, *hit;

	while ((hit = memmem(from, (size_t)(first + INSTANCE_SIZE - from), SYSTEM, sizeof(SYSTEM) - 1))) {
		unsigned at = (unsigned)(hit - first), good = 0;

		for (guint i = 0; i < around->len && at + 16 <= INSTANCE_SIZE; i++)
			good += is_name(instance_at(around, i)->bytes + at);
		if (around->len > 1 && good * 10 >= around->len * 9)
			return at;
		from = hit + 1;
	}
	return 0;
}

/* Where each entry has a process id of its own, System's being 4: the place nearest before the entry, as
 * UniqueProcessId stands right before ActiveProcessLinks unless something was put between. */
static unsigned find_pids(const GArray *around, unsigned w)
{
	for (unsigned d = w; d < 2 * REACH; d += w) {
		unsigned at = d < REACH ? REACH - d : d, good = 0;
		g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);

		if (instance_value(instance_at(around, 0), at, w) != 4)
			continue;
		for (guint i = 0; i < around->len; i++) {
			uint64_t pid = instance_value(instance_at(around, i), at, w);
			good += pid && !(pid & 3) && pid < UINT64_C(1) << 32 && g_hash_table_add(seen, GSIZE_TO_POINTER((gsize)pid));
		}
		if (good * 10 >= around->len * 9)
			return at;
	}
	return 0;
}

/* Where the objects begin: a dispatcher header of type process (3) before each entry, with the size the
 * first has, and the list of waiters empty or sound. */
static unsigned find_objects(struct evidence *e, const GArray *around)
{
	unsigned w = e->width;

	for (unsigned at = 0; at < REACH; at += w) {
		const struct instance *first = instance_at(around, 0);
		uint64_t va = first->va - REACH + at, flink, back = 0;
		unsigned good = 0;

		if ((va & (2 * w - 1)) || instance_value(first, at, 1) != 3)
			continue;
		flink = instance_value(first, at + 8, w);
		if (!evidence_pointer(e, flink) || read_pointer(e->space, (va_t){ flink + w }, &back) || back != va + 8)
			continue;
		for (guint i = 0; i < around->len; i++)
			good += instance_value(instance_at(around, i), at, 1) == 3 &&
				instance_value(instance_at(around, i), at + 2, 1) == instance_value(first, at + 2, 1);
		if (good * 10 >= around->len * 9)
			return REACH - at;
	}
	return 0;
}

/* How far an entry stands behind a pid; before it is farthest. */
static unsigned distance(unsigned pid, unsigned links)
{
	return links > pid ? links - pid : G_MAXUINT - (pid - links);
}

/* Is this the list of processes? There are other lists with all of them (KPROCESS.ProcessListEntry,
 * MmProcessLinks): that of ActiveProcessLinks is linked right behind the pid. */
static void try_processes(struct evidence *e, uint32_t rva)
{
	g_autoptr(GArray) list = NULL, around = NULL;
	unsigned name, pid, object;
	uint64_t first;

	if (!evidence_spend(e, 1) || read_pointer(e->space, (va_t){ e->kernel->base.v + rva }, &first) || !has_name(e, first))
		return;
	list = evidence_list(e->space, e->kernel->base.v + rva, LIST_MAX);
	if (list->len < 2 || !evidence_spend(e, TRY_LOOKS))
		return;
	if (list->len > PROCESSES_MAX)
		g_array_remove_range(list, PROCESSES_MAX / 2, list->len - PROCESSES_MAX);
	around = surroundings(e, list);
	name = find_names(around);
	if (!name)
		return;
	pid = find_pids(around, e->width);
	object = pid ? find_objects(e, around) : 0;
	if (!object || name + object < REACH || pid + object < REACH)
		return;
	if (e->process_head && distance(pid, REACH) >= distance(e->pid, e->links))
		return;
	e->process_head = rva;
	e->links = object;
	e->name = name + object - REACH;
	e->pid = pid + object - REACH;
	g_array_set_size(e->processes, 0);
	for (guint i = 0; i < list->len; i++)
		instances_add(e->processes, e->space, g_array_index(list, uint64_t, i) - object, e->processes->len);
}

#define BEHIND_PID 0x100u	/* ActiveProcessLinks is so near */

/*
 * The head of the active list may be on a page that is missing: then the processes were found by another list
 * (KPROCESS.ProcessListEntry). Where they are linked right behind the pid, that is the active list, and the one of its
 * neighbours that lies in the kernel's data is its head.
 */
static void find_links(struct evidence *e)
{
	unsigned w = e->width;

	if (!e->processes->len || e->links > e->pid)
		return;
	e->process_head = 0;
	e->links = 0;
	for (unsigned at = e->pid + w; at < e->pid + BEHIND_PID && !e->links; at += w) {
		unsigned good = 0, bad = 0;
		uint32_t head = 0;

		for (guint i = 0; i < e->processes->len; i++) {
			const struct instance *s = instance_at(e->processes, i);
			uint64_t link[2] = { instance_value(s, at, w), instance_value(s, at + w, w) }, back = 0;

			for (unsigned n = 0; n < 2 && !head; n++)
				head = evidence_rva(e, link[n]);
			bool ok = evidence_pointer(e, link[0]) && (evidence_rva(e, link[0]) ||
				  (!read_pointer(e->space, (va_t){ link[0] + w }, &back) && back == s->va + at));
			*(ok ? &good : &bad) += 1;
		}
		if (good > 1 && good >= 4 * bad) {
			e->links = at;
			e->process_head = head;
		}
	}
}

static void find_lists(struct evidence *e)
{
	for (guint i = 0; i < e->heads->len; i++) {
		uint32_t rva = g_array_index(e->heads, uint32_t, i);
		uint64_t flink = evidence_image(e, rva, e->width);

		if (flink == e->kernel->base.v + rva)
			continue;
		if (!e->module_head && head_of_modules(e, rva))
			e->module_head = rva;
		else
			try_processes(e, rva);
	}
	find_links(e);
}

struct evidence *evidence_create(struct kernel *kernel)
{
	struct evidence *e = g_new0(struct evidence, 1);

	e->kernel = kernel;
	e->space = kernel->space;
	e->looks = limit(kernel_looks);
	e->width = space_pointer_size(kernel->space);
	e->data = g_array_new(FALSE, FALSE, sizeof(struct range));
	e->code = g_array_new(FALSE, FALSE, sizeof(struct range));
	e->modules = g_array_new(FALSE, FALSE, sizeof(struct range));
	e->heads = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	e->processes = instances_create();
	e->exports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	read_image(e);
	find_build_lab(e);
	for (guint i = 0; i < e->data->len && !e->kdbg.rva; i++)
		kdbg_find(e->image, e->size, e->width == 4 ? (uint64_t)(int32_t)kernel->base.v : kernel->base.v, g_array_index(e->data, struct range, i), &e->kdbg);
	find_old_build_lab(e);
	find_heads(e);
	find_lists(e);
	if (e->module_head)
		read_modules(e);
	return e;
}

void evidence_destroy(struct evidence *e)
{
	if (!e)
		return;
	g_free(e->image);
	g_array_unref(e->data);
	g_array_unref(e->code);
	g_array_unref(e->modules);
	g_array_unref(e->heads);
	g_array_unref(e->processes);
	g_hash_table_destroy(e->exports);
	g_free(e->build_lab);
	g_free(e);
}
