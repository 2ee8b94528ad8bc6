/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize.h"
#include <string.h>
#include "limit.h"
#include "pe_space.h"
#include "room.h"

/* An export farther below says nothing of the function at hand. */
#define NEAR 0x1000u

struct symbolizer {
	struct context *context;
	const char *table;
	struct room *room;
	GHashTable *images;	/* base → struct image_exports */
};

struct exported {
	uint32_t rva;
	const char *name;	/* NULL: by ordinal alone */
};

/* Of the image what names addresses in it: the image itself would keep its tables and all its texts. */
struct image_exports {
	GArray *all;		/* struct exported by RVA, of several with one RVA the first in the image's order first */
	GStringChunk *names;
};

static void image_exports_free(gpointer data)
{
	struct image_exports *image = data;

	g_array_free(image->all, TRUE);
	g_string_chunk_free(image->names);
	g_free(image);
}

struct symbolizer *symbolizer_create(struct context *context, const char *table)
{
	struct symbolizer *s = g_new0(struct symbolizer, 1);

	s->context = context;
	s->table = table;
	s->room = room_create(limit(driver_exports));
	s->images = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, image_exports_free);
	return s;
}

void symbolizer_destroy(struct symbolizer *s)
{
	if (!s)
		return;
	g_hash_table_destroy(s->images);
	room_destroy(s->room);
	g_free(s);
}

static int compare_exported(const void *a, const void *b)
{
	const struct exported *x = a, *y = b;

	return (x->rva > y->rva) - (x->rva < y->rva);
}

/* One of each RVA: the first of those that share it. */
static void sort_exported(GArray *all)
{
	struct exported *e = (struct exported *)(void *)all->data;
	guint n = 0;

	g_array_sort(all, compare_exported);	/* which is stable */
	for (guint i = 0; i < all->len; i++)
		if (!n || e[i].rva != e[n - 1].rva)
			e[n++] = e[i];
	g_array_set_size(all, n);
}

static struct image_exports *image_exports_create(struct symbolizer *s, uint64_t base, uint64_t size)
{
	struct image_exports *image = g_new0(struct image_exports, 1);
	struct pe_space at = { s->context->space, { base } };
	AUTO_PE pe = pe_space_open(&at, (uint32_t)MIN(size, UINT32_MAX & ~PAGE_MASK));
	const GArray *exports = pe_exports(pe, NULL);
	uint64_t room = room_take(s->room), left = room;

	image->all = g_array_new(FALSE, FALSE, sizeof(struct exported));
	image->names = g_string_chunk_new(4096);
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		uint64_t bytes = sizeof(struct exported) + (e->name ? strlen(e->name) + 1 : 0);
		if (!e->rva || e->forwarder)
			continue;
		if (bytes > left) {
			context_note(s->context, FAULT_LIMIT, (va_t){ base }, s->table,
				     "a driver's exports take more memory than is left for them (driver_exports): nothing is named by them");
			g_array_set_size(image->all, 0);
			g_string_chunk_clear(image->names);
			left = room;
			break;
		}
		left -= bytes;
		struct exported kept = { e->rva, e->name ? g_string_chunk_insert(image->names, e->name) : NULL };
		g_array_append_val(image->all, kept);
	}
	room_give(s->room, left);
	sort_exported(image->all);
	return image;
}

/* The one with the greatest RVA at or below rva, or NULL. */
static const struct exported *nearest(const struct image_exports *image, uint32_t rva)
{
	guint low = 0, high = image->all->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(image->all, struct exported, mid).rva <= rva)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? &g_array_index(image->all, struct exported, low - 1) : NULL;
}

char *symbolizer_name(struct symbolizer *s, va_t address)
{
	uint64_t base = 0, size = 0;

	if (!context_driver_image(s->context, address, &base, &size))
		return NULL;
	struct image_exports *image = g_hash_table_lookup(s->images, &base);
	/* Hostile drivers have 65,536 exports each: who was told to end opens no more of them. */
	if (!image && context_cancelled(s->context))
		return NULL;
	if (!image) {
		image = image_exports_create(s, base, size);
		g_hash_table_insert(s->images, g_memdup2(&base, sizeof(base)), image);
	}
	uint32_t rva = (uint32_t)(address.v - base);
	const struct exported *e = nearest(image, rva);
	if (!e || !e->name || rva - e->rva >= NEAR)
		return NULL;
	return rva == e->rva ? g_strdup(e->name) : g_strdup_printf("%s+0x%x", e->name, rva - e->rva);
}
