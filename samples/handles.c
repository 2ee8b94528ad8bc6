/* SPDX-License-Identifier: Apache-2.0 */
/* Handle tables: one page of entries, or a page of pointers to such pages; encoded as
 * each build does. */
#include <string.h>
#include "sample.h"

#define ENTRY_SIZE(s) (2 * (s)->width)
#define PER_PAGE(s) (PAGE_SIZE / ENTRY_SIZE(s))

uint64_t handle_table_create(struct sample *s, uint64_t process, uint64_t pid)
{
	uint64_t table = pool_alloc(s, s->layout->handle_table.size_, "Obtb", true);
	uint64_t middle = pool_alloc(s, PAGE_SIZE, "Obtb", true);

	/* The low bits of TableCode are the levels above the entries. */
	SET(s, table, handle_table.TableCode, middle | 1);
	SET(s, table, handle_table.QuotaProcess, process);
	SET(s, table, handle_table.UniqueProcessId, pid);
	SET(s, table, handle_table.NextHandleNeedingPool, PER_PAGE(s) * 4);
	if (s->layout->symbol.HandleTableListHead && process)
		list_append(s, ROOT(s), GLOBAL(s, HandleTableListHead), table + OFFSET(s, handle_table.HandleTableList));
	else
		list_init(s, ROOT(s), table + OFFSET(s, handle_table.HandleTableList));
	return table;
}

void handle_table_put(struct sample *s, uint64_t table, uint64_t handle, uint64_t object, uint32_t access, bool cid)
{
	const struct layout *l = s->layout;
	uint64_t middle = GET(s, table, handle_table.TableCode) & ~UINT64_C(7), index = handle / 4;
	uint64_t slot = middle + s->width * (index / PER_PAGE(s)), leaf = memory_get(s->memory, ROOT(s), slot, s->width);
	/* PspCidTable names the objects themselves, the others their headers. */
	uint64_t target = cid ? object : sample_object_header(s, object);

	if (index >= PER_PAGE(s) * (PAGE_SIZE / s->width))
		g_error("builder: handle 0x%" G_GINT64_MODIFIER "x is too large", handle);
	if (!leaf) {
		leaf = pool_alloc(s, PAGE_SIZE, "Obtb", true);
		memory_put(s->memory, ROOT(s), slot, leaf, s->width);
		/* Tables are filled from the front: what a page of pointers skips would end a walk. */
		for (uint64_t i = 0; i < index / PER_PAGE(s); i++)
			if (!memory_get(s->memory, ROOT(s), middle + s->width * i, s->width))
				memory_put(s->memory, ROOT(s), middle + s->width * i, pool_alloc(s, PAGE_SIZE, "Obtb", true), s->width);
	}
	uint64_t entry = leaf + ENTRY_SIZE(s) * (index % PER_PAGE(s));
	if (l->handle_table_entry.ObjectPointerBits.size) {
		SET(s, entry, handle_table_entry.ObjectPointerBits, target >> (s->width == 4 ? 3 : 4));
		SET(s, entry, handle_table_entry.GrantedAccessBits, access);
		/* Unlocked, and a reference count that nobody counts down here. */
		SET(s, entry, handle_table_entry.LowValue, GET(s, entry, handle_table_entry.LowValue) | 1 | (s->width == 4 ? 0 : 0x7ff0 << 1));
	} else {
		SET(s, entry, handle_table_entry.Value, target | 1);
		SET(s, entry, handle_table_entry.GrantedAccess, access);
	}
	if (l->handle_table.HandleCount.size) {
		SET(s, table, handle_table.HandleCount, GET(s, table, handle_table.HandleCount) + 1);
	} else if (l->handle_table_free_list.HandleCount.size) {
		uint64_t list = table + OFFSET(s, handle_table.FreeLists);
		SET(s, list, handle_table_free_list.HandleCount, GET(s, list, handle_table_free_list.HandleCount) + 1);
	}
	if (cid)
		s->cid_count++;
}

static uint64_t object_for(struct sample *s, struct item *item)
{
	const char *type = item_required(item, "type"), *name = item_text(item, "name", NULL);
	if (!strcmp(type, "Process") || !strcmp(type, "Thread")) {
		uint64_t id = item_number(item, !strcmp(type, "Process") ? "pid" : "tid", 0);
		for (guint i = 0; i < s->processes->len; i++) {
			const struct sample_process *p = s->processes->pdata[i];
			if (!strcmp(type, "Process") && p->pid == id)
				return p->eprocess;
			for (guint t = 0; t < p->threads->len && strcmp(type, "Process"); t++)
				if (g_array_index(p->threads, struct sample_thread, t).tid == id)
					return g_array_index(p->threads, struct sample_thread, t).ethread;
		}
		item_fail(item, "there is no %s %" G_GUINT64_FORMAT, type, id);
	}
	if (!strcmp(type, "File")) {
		const char *path = item_required(item, "name");
		return file_get(s, path, false, false)->file_object;
	}
	if (!s->named_objects)
		s->named_objects = directory_alloc(s, "BaseNamedObjects", s->root_directory);
	const struct { const char *type; enum object_kind kind; size_t size; } plain[] = {
		{ "Event", OBJECT_EVENT, 0x18 }, { "Mutant", OBJECT_MUTANT, s->layout->kmutant.size_ }, { "Semaphore", OBJECT_SEMAPHORE, 0x20 },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(plain); i++)
		if (!strcmp(type, plain[i].type)) {
			uint64_t object = object_alloc(s, plain[i].kind, plain[i].size, name, name ? s->named_objects : 0);
			if (plain[i].kind == OBJECT_MUTANT)	/* MutantObject of KOBJECTS */
				SET(s, object, dispatcher_header.Type, 2);
			return object;
		}
	if (!strcmp(type, "Directory") && !strcmp(item_required(item, "name"), "BaseNamedObjects"))
		return s->named_objects;
	item_fail(item, "type: %s is none of Process, Thread, File, Event, Mutant, Semaphore, Directory", type);
}

void handles_add(struct sample *s, struct sample_process *p, uint64_t table)
{
	uint64_t next = 4;

	for (guint i = 0; p->item && i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		if (!item_is(item, "handle"))
			continue;
		uint64_t value = item_number(item, "value", next);
		handle_table_put(s, table, value, object_for(s, item), (uint32_t)item_number(item, "access", 0x1f0003), false);
		next = value + 4;
	}
}
