/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize.h"
#include "pe_space.h"

/* An export farther below says nothing of the function at hand. */
#define NEAR 0x1000u

struct symbolizer {
	struct context *context;
	GHashTable *images;	/* base → struct image_at */
};

struct image_at {
	struct pe_space at;
	struct pe *pe;
};

static void image_free(gpointer data)
{
	struct image_at *image = data;

	pe_close(image->pe);
	g_free(image);
}

struct symbolizer *symbolizer_create(struct context *context)
{
	struct symbolizer *s = g_new0(struct symbolizer, 1);

	s->context = context;
	s->images = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, image_free);
	return s;
}

void symbolizer_destroy(struct symbolizer *s)
{
	if (!s)
		return;
	g_hash_table_destroy(s->images);
	g_free(s);
}

char *symbolizer_name(struct symbolizer *s, va_t address)
{
	uint64_t base = 0, size = 0;
	struct image_at *image;

	if (!context_driver_image(s->context, address, &base, &size))
		return NULL;
	image = g_hash_table_lookup(s->images, &base);
	if (!image) {
		image = g_new0(struct image_at, 1);
		image->at = (struct pe_space){ s->context->space, { base } };
		image->pe = pe_space_open(&image->at, (uint32_t)MIN(size, UINT32_MAX & ~PAGE_MASK));
		g_hash_table_insert(s->images, g_memdup2(&base, sizeof(base)), image);
	}
	uint32_t rva = (uint32_t)(address.v - base);
	const struct pe_export *e = pe_nearest_export(image->pe, rva);
	if (!e || !e->name || !e->rva || rva - e->rva >= NEAR)
		return NULL;
	return rva == e->rva ? g_strdup(e->name) : g_strdup_printf("%s+0x%x", e->name, rva - e->rva);
}
