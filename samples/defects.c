/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes wrong in real dumps and in hostile ones, done on purpose to the finished
 * machine: pages that are missing, lists and trees that lead astray.
 */
#include <string.h>
#include "sample.h"

static struct sample_process *process_of(struct sample *s, struct item *item)
{
	uint64_t pid = item_number(item, "pid", 0);

	for (guint i = 0; i < s->processes->len; i++)
		if (((struct sample_process *)s->processes->pdata[i])->pid == pid)
			return s->processes->pdata[i];
	item_fail(item, "pid: there is no process %" G_GUINT64_FORMAT, pid);
}

static struct sample_vad *vad_of(struct sample_process *p, struct item *item)
{
	uint64_t start = item_number(item, "start", 0);

	for (guint i = 0; i < p->vads->len; i++) {
		struct sample_vad *v = &g_array_index(p->vads, struct sample_vad, i);
		if (v->start == start)
			return v;
	}
	item_fail(item, "start: process %" G_GUINT64_FORMAT " has no VAD there", p->pid);
}

/* Structures by name, of a process or (drivers) of the machine; n= counts them. 0: there is none. */
static uint64_t structure(struct sample *s, struct item *item, const char *what, struct sample_process *p)
{
	uint64_t n = item_number(item, "n", 0), table = GET(s, p->eprocess, eprocess.ObjectTable);

	if (!strcmp(what, "eprocess"))
		return p->eprocess;
	if (!strcmp(what, "vad"))
		return item_has(item, "n") ? (p->vads->len ? g_array_index(p->vads, struct sample_vad, n % p->vads->len).node : 0) : vad_of(p, item)->node;
	if (!strcmp(what, "thread"))
		return p->threads->len ? g_array_index(p->threads, struct sample_thread, n % p->threads->len).ethread : 0;
	if (!strcmp(what, "handle-table"))
		return table;
	if (!strcmp(what, "handle-entries"))
		return table ? GET(s, table, handle_table.TableCode) & ~UINT64_C(7) : 0;
	if (!strcmp(what, "cid-table"))
		return memory_get(s->memory, ROOT(s), GLOBAL(s, PspCidTable), s->width);
	if (!strcmp(what, "token"))
		return GET(s, p->eprocess, eprocess.Token) & ~UINT64_C(15);
	if (!strcmp(what, "driver"))
		return s->drivers->len ? ((struct sample_driver *)s->drivers->pdata[n % s->drivers->len])->entry : 0;
	if (!strcmp(what, "file"))
		return s->files->len ? ((struct sample_file *)s->files->pdata[n % s->files->len])->file_object : 0;
	if (!strcmp(what, "section"))
		return s->files->len ? ((struct sample_file *)s->files->pdata[n % s->files->len])->control_area : 0;
	if (!strcmp(what, "callback"))		/* of processes */
		return memory_get(s->memory, ROOT(s), GLOBAL(s, PspCreateProcessNotifyRoutine) + s->width * n, s->width) & ~UINT64_C(15);
	if (!strcmp(what, "directory"))
		return s->root_directory;
	if (!strcmp(what, "peb"))
		return p->peb;
	if (!strcmp(what, "heap"))
		return p->heap;
	if (!strcmp(what, "memory"))
		return item_number(item, "start", 0);
	item_fail(item, "what: \"%s\" is none of eprocess, vad, thread, handle-table, handle-entries, cid-table, token, driver, file, section, callback, directory, peb, heap, "
		  "memory", what);
}

/* An address to damage: what= names it, with pid= (and start= or n=) where it belongs to a process. */
static uint64_t place(struct sample *s, struct item *item, uint64_t *root)
{
	const char *what = item_text(item, "what", NULL);

	*root = ROOT(s);
	if (!what) {
		if (item_has(item, "pid"))
			*root = process_of(s, item)->root;
		return item_number(item, "va", 0);
	}
	struct sample_process *p = process_of(s, item);
	if (!strcmp(what, "peb") || !strcmp(what, "heap") || !strcmp(what, "memory"))
		*root = p->root;
	uint64_t at = structure(s, item, what, p);
	if (!at)
		item_fail(item, "what: process %" G_GUINT64_FORMAT " has no %s", p->pid, what);
	return at;
}

/* Any bytes anywhere: a number, or with to= the address of another structure of the process; with pa=, or table=DEPTH of the
 * process's page tables (each reached through entry `index` of the one above), in physical memory. */
static void poke(struct sample *s, struct item *item)
{
	const char *to = item_text(item, "to", NULL);
	uint64_t value = item_number(item, "value", 0), offset = item_number(item, "offset", 0), root;
	unsigned width = (unsigned)item_number(item, "width", 8);

	if (to)
		value += structure(s, item, to, process_of(s, item));
	if (!item_has(item, "pa") && !item_has(item, "table")) {
		uint64_t at = place(s, item, &root) + offset;
		memory_put(s->memory, root, at, value, MIN(width, 8));
		return;
	}
	uint64_t pa = item_has(item, "pa") ? item_number(item, "pa", 0) : process_of(s, item)->root;
	for (uint64_t depth = item_number(item, "table", 0); depth; depth--) {
		uint64_t entry = 0, index = item_number(item, "index", 0) % 512;
		for (unsigned tries = 0; tries < 512 && !(entry & 1) && pa + PAGE_SIZE <= s->memory->size; tries++)
			memcpy(&entry, s->memory->bytes + pa + (index + tries) % 512 * 8, 8);
		pa = entry & 0xffffffffff000;
	}
	if (pa + offset >= s->memory->size || s->memory->size - pa - offset < 8)
		item_fail(item, "pa: beyond memory");
	memcpy(s->memory->bytes + pa + offset, &value, MIN(width, 8));
}

/* Physical pages that the dump leaves out (and a raw image, which can't, fills with zeros). */
static void hole(struct sample *s, struct item *item)
{
	uint64_t pages = item_number(item, "pages", 1), root = 0, pa, va = 0;

	if (!item_has(item, "pa"))
		va = place(s, item, &root);
	for (uint64_t i = 0; i < pages; i++) {
		if (item_has(item, "pa"))
			pa = item_number(item, "pa", 0) + i * PAGE_SIZE;
		else
			pa = memory_translate(s->memory, root, va + i * PAGE_SIZE);
		if (pa >= s->memory->size)
			item_fail(item, "pa: beyond memory");
		memset(s->memory->bytes + (pa & PTE_FRAME), 0, PAGE_SIZE);
		s->memory->frames[pa / PAGE_SIZE] |= FRAME_LOST;
	}
}

/* The acquisition caught two lists at different times: the neighbours say that a process is gone, it says it isn't. */
static void smear(struct sample *s, struct item *item)
{
	struct sample_process *p = process_of(s, item);
	uint64_t links = p->eprocess + OFFSET(s, eprocess.ActiveProcessLinks);
	uint64_t next = get_field(s, ROOT(s), links, s->layout->list_entry.Flink);

	/* The one after it was written back already: its Blink goes to where the list's entry before was. */
	SET(s, next, list_entry.Blink, get_field(s, ROOT(s), links, s->layout->list_entry.Blink));
	SET(s, links, list_entry.Flink, next + 0x40);
}

static void defect(struct sample *s, struct item *item)
{
	const char *kind = item_required(item, "kind");

	if (!strcmp(kind, "hole")) {
		hole(s, item);
	} else if (!strcmp(kind, "smear")) {
		smear(s, item);
	} else if (!strcmp(kind, "broken-flink")) {
		SET(s, process_of(s, item)->eprocess + OFFSET(s, eprocess.ActiveProcessLinks), list_entry.Flink, UINT64_C(0xffffdeadbeef0008));
	} else if (!strcmp(kind, "loop-list")) {	/* its successor is itself */
		uint64_t links = process_of(s, item)->eprocess + OFFSET(s, eprocess.ActiveProcessLinks);
		SET(s, links, list_entry.Flink, links);
		SET(s, links, list_entry.Blink, links);
	} else if (!strcmp(kind, "loop-vad")) {		/* a leaf whose children are the tree's root */
		struct sample_process *p = process_of(s, item);
		uint64_t root = g_array_index(p->vads, struct sample_vad, p->vads->len / 2).node, node = vad_of(p, item)->node;
		if (HAS_FIELD(s, mmvad_short.LeftChild)) {
			SET(s, node, mmvad_short.LeftChild, root);
			SET(s, node, mmvad_short.RightChild, root);
		} else {
			SET(s, node, rtl_balanced_node.Left, root);
			SET(s, node, rtl_balanced_node.Right, root);
		}
	} else if (!strcmp(kind, "wild-vad")) {		/* a child that points to nowhere */
		uint64_t node = vad_of(process_of(s, item), item)->node;
		if (HAS_FIELD(s, mmvad_short.LeftChild))
			SET(s, node, mmvad_short.LeftChild, UINT64_C(0xfffff00041414140));
		else
			SET(s, node, rtl_balanced_node.Left, UINT64_C(0xfffff00041414140));
	} else if (!strcmp(kind, "poke")) {
		poke(s, item);
	} else if (strcmp(kind, "truncate") && strcmp(kind, "header")) {	/* those two are the writers' */
		item_fail(item, "kind: \"%s\" is none of hole, smear, broken-flink, loop-list, loop-vad, wild-vad, poke, truncate, header", kind);
	}
}

void defects_apply(struct sample *s)
{
	for (guint i = 0; i < s->description->items->len; i++)
		if (item_is(s->description->items->pdata[i], "defect"))
			defect(s, s->description->items->pdata[i]);
}
