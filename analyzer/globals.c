/* SPDX-License-Identifier: Apache-2.0 */
#include "globals.h"
#include <string.h>

/* How far a sibling's hint may be off for a search to prefer what is near it. */
#define HINT_REACH 0x8000u

static void collect(void *user, const char *name, uint64_t *rva)
{
	g_hash_table_insert(user, (gpointer)name, rva);
}

static GHashTable *symbols_of(struct layout *layout)
{
	GHashTable *out = g_hash_table_new(g_str_hash, g_str_equal);

	layout_visit_symbols(layout, collect, out);
	return out;
}

static uint64_t symbol(GHashTable *symbols, const char *name)
{
	const uint64_t *rva = g_hash_table_lookup(symbols, name);

	return rva ? *rva : 0;
}

struct search {
	struct globals g;
	GHashTable *found;	/* name → uint64_t * in the layout */
	GPtrArray *siblings;	/* GHashTable * as `found` */
};

/*
 * Where a sibling says it is: as far from the nearest global that is certain as in the
 * sibling. 0: no such hint.
 */
static uint32_t hint(struct search *s, GHashTable *sibling, const char *name)
{
	uint64_t own = symbol(sibling, name), best = G_MAXUINT64;
	int64_t shift = 0;
	GHashTableIter iter;
	gpointer key, value;

	if (!own)
		return 0;
	g_hash_table_iter_init(&iter, s->found);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		uint64_t here = *(const uint64_t *)value, there = symbol(sibling, key), distance;

		if (!here || !there)
			continue;
		distance = own > there ? own - there : there - own;
		if (distance < best) {
			best = distance;
			shift = (int64_t)(here - there);
		}
	}
	if (best == G_MAXUINT64 || (int64_t)own + shift <= 0)
		return 0;
	return (uint32_t)((int64_t)own + shift);
}

/* All data for the place that is confirmed and nearest to the hint; any when there is no hint. */
static uint32_t search_data(struct search *s, const struct global *global, uint32_t near)
{
	uint32_t best = 0, best_distance = G_MAXUINT32;

	for (guint i = 0; i < s->g.e->data->len; i++) {
		const struct range *r = &g_array_index(s->g.e->data, struct range, i);

		for (uint32_t rva = (uint32_t)r->start; rva + 8 <= r->start + r->length; rva += MIN(global->step, s->g.e->width)) {
			uint32_t distance = rva > near ? rva - near : near - rva;

			if (near && distance >= best_distance)
				continue;
			if (global->verdict(&s->g, rva) != CONFIRMED)
				continue;
			if (!near)
				return rva;
			best = rva;
			best_distance = distance;
		}
	}
	return best;
}

static unsigned votes(struct search *s, const struct global *global, uint32_t rva)
{
	unsigned n = 0;

	for (guint i = 0; i < s->siblings->len; i++)
		n += hint(s, g_ptr_array_index(s->siblings, i), global->name) == rva;
	return n;
}

static uint32_t locate(struct search *s, const struct global *global)
{
	gpointer exported = g_hash_table_lookup(s->g.e->exports, global->name);
	uint32_t rva = GPOINTER_TO_UINT(exported), first = 0;

	if (rva && global->verdict(&s->g, rva) != CONTRADICTED)
		return rva;
	rva = global->kdbg ? evidence_rva(s->g.e, evidence_kdbg(s->g.e, global->kdbg)) : 0;
	if (rva && global->verdict(&s->g, rva) != CONTRADICTED)
		return rva;
	for (guint i = 0; i < s->siblings->len; i++) {
		rva = hint(s, g_ptr_array_index(s->siblings, i), global->name);
		if (rva && global->verdict(&s->g, rva) == CONFIRMED && (!global->common || 2 * votes(s, global, rva) > s->siblings->len))
			return rva;
		if (!first)
			first = rva;
	}
	/* A kernel of the family that lacks the symbol is a sign that this one does, too. */
	if (!global->step || (s->siblings->len && !first))
		return 0;
	rva = search_data(s, global, first);
	return rva && first && (rva > first ? rva - first : first - rva) > HINT_REACH * 16 ? 0 : rva;
}

/* The byte that makes System's header say Process (object headers of Windows 10 and later). */
static void find_cookie(struct globals *g)
{
	const struct layout *l = g->layout;
	uint64_t header = g->process - l->object_header.Body.offset;
	uint8_t raw;

	if (g->process_type < 0 || g->e->build < 10000 || !l->object_header.TypeIndex.size ||
	    space_read(g->e->space, (va_t){ header + l->object_header.TypeIndex.offset }, &raw, 1, NULL))
		return;
	g->cookie = raw ^ (uint8_t)(header >> 8) ^ g->process_type;
}

/* The descriptor names the table and says its length, which in some builds stands behind the table, too. */
static void find_services(struct globals *g)
{
	uint64_t at = g->layout->symbol.KeServiceDescriptorTable;

	if (!at)
		at = g->layout->symbol.KeServiceDescriptorTableShadow;
	const unsigned w = g->e->width;
	uint32_t table = at ? evidence_rva(g->e, evidence_image(g->e, at, w)) : 0;
	uint32_t n = at ? (uint32_t)evidence_image(g->e, at + 2 * w, 4) : 0;
	g->layout->symbol.KiServiceTable = table;
	if (table)
		g->layout->symbol.KiServiceLimit = evidence_image(g->e, table + 4 * n, 4) == n ? table + 4 * n : at + 2 * w;
}

void globals_recover(struct evidence *e, struct layout *layout, struct layout *const *siblings, size_t n)
{
	struct search s = { .g = { .e = e, .layout = layout, .process_type = -1, .cookie = -1 } };

	if (e->processes->len) {
		s.g.process = instance_at(e->processes, 0)->va;
		s.g.pid = instance_value(instance_at(e->processes, 0), e->pid, e->width);
	}
	s.found = symbols_of(layout);
	s.siblings = g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_destroy);
	for (size_t i = 0; i < n; i++)
		g_ptr_array_add(s.siblings, symbols_of(siblings[i]));
	for (size_t i = 0; i < globals_count; i++) {
		uint64_t *rva = g_hash_table_lookup(s.found, globals[i].name);

		if (rva && !*rva)
			*rva = locate(&s, &globals[i]);
		if (s.g.cookie < 0)
			find_cookie(&s.g);
	}
	find_services(&s.g);
	globals_callbacks(&s.g, siblings, n);
	g_ptr_array_unref(s.siblings);
	g_hash_table_destroy(s.found);
}
