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

/* An address to damage: what= names it, with pid= (and start=) where it belongs to a process. */
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
	if (!strcmp(what, "eprocess"))
		return p->eprocess;
	if (!strcmp(what, "vad"))
		return vad_of(p, item)->node;
	*root = p->root;
	if (!strcmp(what, "peb"))
		return p->peb;
	if (!strcmp(what, "heap"))
		return p->heap;
	if (!strcmp(what, "memory"))
		return item_number(item, "start", 0);
	item_fail(item, "what: \"%s\" is none of eprocess, vad, peb, heap, memory", what);
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
	} else if (!strcmp(kind, "poke")) {		/* any bytes anywhere */
		uint64_t root, at = place(s, item, &root) + item_number(item, "offset", 0);
		memory_put(s->memory, root, at, item_number(item, "value", 0), (unsigned)item_number(item, "width", 8));
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
