/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels that nobody has symbols of: members put into the structures of a known one (`insert`), taken out (`remove`) or
 * in another order (`swap`), globals moved
 * (`kernel globals=SEED`), a family of which only the structures are known (`machine build=FAMILY symbols=VERSION`).
 * All of it changes the layout before the machine is built with it, so the truth knows of it.
 */
#include "sample.h"
#include <string.h>

/* Structures that begin another: what is put into the first moves the fields of the second. */
static const struct { const char *inner, *outer, *member; } nested[] = {
	{ "_KPROCESS", "_EPROCESS", "Pcb" }, { "_KTHREAD", "_ETHREAD", "Tcb" }, { "_MMVAD_SHORT", "_MMVAD", "Core" },
};

/* bytes < 0: so many are taken out from `at` on, and no field that is known may lie there. */
struct insertion { const char *type, *member; unsigned at; int bytes; struct item *item; bool known; uint32_t size; };

static void move_field(void *user, const char *type, const char *member, struct field *f)
{
	struct insertion *i = user;

	if (strcmp(type, i->type) || !f->size)
		return;
	if (i->member && !strcmp(member, i->member) && !f->offset) {
		f->size = (uint16_t)(f->size + i->bytes);
		return;
	}
	if (f->offset < i->at && f->offset + f->size > i->at && !f->bits)
		item_fail(i->item, "at: %s.%s lies across it", type, member);
	if (i->bytes < 0 && f->offset >= i->at && f->offset < i->at + (unsigned)-i->bytes)
		item_fail(i->item, "at: %s.%s lies there", type, member);
	if (f->offset >= i->at)
		f->offset = (uint16_t)(f->offset + i->bytes);
}

static void grow(void *user, const char *type, uint32_t *size)
{
	struct insertion *i = user;

	if (strcmp(type, i->type))
		return;
	i->known = *size != 0;
	i->size = *size;
	*size = (uint32_t)((int)*size + i->bytes);
}

static bool insert(struct sample *s, struct insertion i)
{
	layout_visit_sizes(s->layout, grow, &i);
	if (!i.known)
		return false;
	if (i.at > i.size || (i.bytes < 0 && i.at + (unsigned)-i.bytes > i.size))
		item_fail(i.item, "at: %s ends at 0x%x", i.type, i.size);
	layout_visit_fields(s->layout, move_field, &i);
	for (size_t n = 0; n < G_N_ELEMENTS(nested); n++)
		/* Windows 7's _MMVAD has the fields itself. */
		if (!strcmp(nested[n].inner, i.type) && (strcmp(nested[n].outer, "_MMVAD") || s->layout->mmvad.Core.size))
			/* What is taken out of the end of the inner one is taken out of the outer one before what follows it. */
			insert(s, (struct insertion){ nested[n].outer, nested[n].member, i.bytes < 0 ? i.size - (unsigned)-i.bytes : i.size, i.bytes,
						      i.item, false, 0 });
	return true;
}

struct exchange { const char *type; const char *name[2]; struct field *field[2]; };

static void find_field(void *user, const char *type, const char *member, struct field *f)
{
	struct exchange *x = user;

	for (unsigned i = 0; i < 2; i++)
		if (!strcmp(type, x->type) && !strcmp(member, x->name[i]) && f->size)
			x->field[i] = f;
}

/* Two members of a size change places. */
static void swap(struct sample *s, struct item *item)
{
	struct exchange x = { item_required(item, "type"), { item_required(item, "a"), item_required(item, "b") }, { NULL, NULL } };

	layout_visit_fields(s->layout, find_field, &x);
	if (!x.field[0] || !x.field[1] || x.field[0]->size != x.field[1]->size || x.field[0]->bits || x.field[1]->bits)
		item_fail(item, "a, b: two members of one size");
	uint16_t offset = x.field[0]->offset;
	x.field[0]->offset = x.field[1]->offset;
	x.field[1]->offset = offset;
}

static int by_rva(gconstpointer a, gconstpointer b)
{
	const uint64_t *l = *(uint64_t *const *)a, *r = *(uint64_t *const *)b;

	return (*l > *r) - (*l < *r);
}

static void collect_symbol(void *user, const char *name, uint64_t *rva)
{
	(void)name;
	if (*rva)
		g_ptr_array_add(user, rva);
}

/* Each a bit farther from the one before it than it was: what is in between grew. */
static void move_globals(struct sample *s, uint64_t seed)
{
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	uint64_t shift = 0, before = 0;

	layout_visit_symbols(s->layout, collect_symbol, all);
	g_ptr_array_sort(all, by_rva);
	for (guint i = 0; i < all->len; i++) {
		uint64_t *rva = all->pdata[i], old = *rva;

		/* By whole pages, as some reach to their page's end and the next isn't mapped; what is near may be one thing. */
		if (old - before > 0x80)
			shift += random_of(seed, "global", i) % 3 * PAGE_SIZE;
		*rva = old + shift;
		before = old;
	}
}

void changes_apply(struct sample *s)
{
	struct item *kernel = description_item(s->description, "kernel");
	uint64_t seed = item_number(kernel, "globals", 0);
	const char *guid = item_text(kernel, "guid", NULL);

	for (guint n = 0; n < s->description->items->len; n++) {
		struct item *item = s->description->items->pdata[n];
		bool out = item_is(item, "remove");
		if (item_is(item, "swap"))
			swap(s, item);
		if (!item_is(item, "insert") && !out)
			continue;
		struct insertion i = { item_required(item, "type"), NULL, (unsigned)item_number(item, "at", 0), (int)item_number(item, "bytes", 8),
				       item, false, 0 };
		if (i.bytes <= 0 || i.bytes > 0x400 || i.bytes % 4)
			item_fail(item, "bytes: at most 0x400, and a multiple of 4");
		if (out)
			i.bytes = -i.bytes;
		if (!insert(s, i))
			item_fail(item, "type: this build has no %s", i.type);
	}
	if (seed)
		move_globals(s, seed);
	if (guid) {
		g_free(s->layout->guid_age);
		s->layout->guid_age = g_strconcat(guid, strlen(guid) > 32 ? NULL : "0", NULL);
	}
}
