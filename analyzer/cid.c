/* SPDX-License-Identifier: Apache-2.0 */
#include "cid.h"
#include <string.h>
#include "handles.h"
#include "kobject.h"

/* _DISPATCHER_HEADER.Type of the two (KOBJECTS in ntddk.h): says what an object is where its header doesn't. */
#define DISPATCHER_PROCESS 3
#define DISPATCHER_THREAD 6

static enum cid_kind kind_of(const struct object_types *types, struct space *space, va_t object)
{
	const char *name = object_type_of(types, space, object, NULL);
	struct object header = object_at(space, object.v);
	uint8_t type = 0;

	if (name && !strcmp(name, "Process"))
		return CID_PROCESS;
	if (name && !strcmp(name, "Thread"))
		return CID_THREAD;
	if (READ(header, dispatcher_header.Type, &type))
		return CID_OTHER;
	type &= 0x7f;
	return type == DISPATCHER_PROCESS ? CID_PROCESS : type == DISPATCHER_THREAD ? CID_THREAD : CID_OTHER;
}

static int compare(const void *a, const void *b)
{
	const struct cid_entry *x = a, *y = b;

	if (x->object.v != y->object.v)
		return x->object.v < y->object.v ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

GArray *cid_load(struct context *c, const char *table, bool *whole)
{
	g_autofree struct handle_walk *walk = g_new0(struct handle_walk, 1);
	AUTO(object_types) types = object_types_load(c->kernel, c->space);
	va_t symbol = kernel_symbol(c->kernel, PspCidTable);
	struct handle_entry entry;
	uint64_t at = 0;
	enum fault fault = symbol.v ? read_pointer(c->space, symbol, &at) : FAULT_NO_FIELD;

	if (!fault)
		fault = handle_walk_init(walk, c->space, (va_t){ at });
	*whole = false;
	if (fault) {
		context_note(c, fault, symbol, table, "PspCidTable can't be read");
		return NULL;
	}
	GArray *cid = g_array_new(FALSE, FALSE, sizeof(struct cid_entry));
	while (handle_walk_next(walk, &entry)) {
		struct cid_entry e = { entry.object, entry.value, kind_of(types, c->space, entry.object) };
		g_array_append_val(cid, e);
	}
	*whole = !walk->fault;
	if (walk->fault)
		context_note(c, walk->fault, walk->first_bad, table, "%" G_GUINT64_FORMAT " pages of PspCidTable can't be read",
			     walk->bad_pages);
	handle_walk_deinit(walk);
	g_array_sort(cid, compare);
	return cid;
}

const struct cid_entry *cid_find(const GArray *cid, va_t object)
{
	guint low = 0, high = cid ? cid->len : 0;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		const struct cid_entry *e = &g_array_index(cid, struct cid_entry, mid);
		if (object.v < e->object.v)
			high = mid;
		else if (object.v > e->object.v)
			low = mid + 1;
		else
			return e;
	}
	return NULL;
}
