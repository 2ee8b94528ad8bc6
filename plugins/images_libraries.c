/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where imports lead: what the loaded DLLs export, forwarders and API sets followed. This is what the loader
 * does when it fills import slots; a slot that holds something else was written by somebody else.
 */
#include <stdlib.h>
#include <string.h>
#include "images.h"
#include "session_spaces.h"

enum {
	FORWARDS = 8,		/* forwarders to forwarders; Windows has three */
	NAMESAKES = 16,		/* DLLs of one name that are looked at; side by side there are two or three */
};

struct library_export {
	uint64_t key;		/* of its name, and once more of its ordinal as "#n" */
	uint32_t rva;
	uint32_t forwarder;	/* index + 1; 0: none */
};

struct neighbour {
	uint64_t base, size;
	struct content *content;	/* NULL: a driver */
	struct library *library;
};

struct neighbours {
	GArray *all;		/* struct neighbour, by base */
	GHashTable *names;	/* lower-case base name → GArray of guint */
	GHashTable *bases;	/* struct content → index + 1 */
};

/* FNV-1a of 64 bits: names are looked for, never shown. */
static uint64_t key_of(const char *name)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325);

	for (; *name; name++)
		key = (key ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return key;
}

static uint64_t key_of_ordinal(uint32_t ordinal)
{
	char text[16];

	g_snprintf(text, sizeof(text), "#%u", ordinal);
	return key_of(text);
}

static int compare_exports(const void *a, const void *b)
{
	const struct library_export *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->rva > y->rva) - (x->rva < y->rva);
}

void library_clear(struct library *l)
{
	g_clear_pointer(&l->exports, g_array_unref);
	g_clear_pointer(&l->forwarders, g_ptr_array_unref);
	l->known = false;
}

static void learn_exports(struct context *c, struct images *images, struct library *l, struct pe *pe)
{
	const GArray *exports = pe_exports(pe, NULL);

	l->is_64bit = pe->is_64bit;
	if (!exports)
		return;
	gint left;
	do	/* one that doesn't fit takes nothing from another thread's */
		left = g_atomic_int_get(&images->exports_left);
	while (left >= (gint)exports->len && !g_atomic_int_compare_and_exchange(&images->exports_left, left, left - (gint)exports->len));
	if (left < (gint)exports->len) {
		context_note(c, FAULT_LIMIT, (va_t){ pe->base }, "image_patches", "more than %" G_GUINT64_FORMAT " exports: imports of this image are not checked",
			     limit(exports_kept));
		return;
	}
	l->exports = g_array_sized_new(FALSE, FALSE, sizeof(struct library_export), 2 * exports->len);
	l->forwarders = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		struct library_export mine = { .rva = e->rva };
		if (!e->rva)
			continue;
		if (e->forwarder) {
			g_ptr_array_add(l->forwarders, g_strdup(e->forwarder));
			mine.forwarder = l->forwarders->len;
		}
		if (e->name) {
			mine.key = key_of(e->name);
			g_array_append_val(l->exports, mine);
		}
		mine.key = key_of_ordinal(e->ordinal);
		g_array_append_val(l->exports, mine);
	}
	g_array_sort(l->exports, compare_exports);
}

static void library_know(struct context *c, struct images *images, const struct neighbour *n)
{
	struct library *l = n->library;

	g_mutex_lock(&l->lock);
	if (!l->known && n->content) {
		AUTO(space) space = NULL;
		struct view view;
		AUTO_PE pe = content_open(c, n->content, &view, &space);
		learn_exports(c, images, l, pe);
	} else if (!l->known) {
		AUTO(session_spaces) sessions = session_spaces_create(c);
		struct pe_space at = { session_spaces_find(sessions, (va_t){ n->base }), { n->base } };
		AUTO_PE pe = pe_space_open(&at, (uint32_t)MIN(n->size, UINT32_MAX & ~PAGE_MASK));
		learn_exports(c, images, l, pe);
	}
	l->known = true;
	g_mutex_unlock(&l->lock);
}

/* ---- who is loaded */

static void add_name(struct neighbours *n, const char *path, guint index)
{
	const char *slash = path ? strrchr(path, '\\') : NULL;
	g_autofree char *name = path ? g_ascii_strdown(slash ? slash + 1 : path, -1) : NULL;
	GArray *indices = name ? g_hash_table_lookup(n->names, name) : NULL;

	if (!name || !*name)
		return;
	if (!indices) {
		indices = g_array_new(FALSE, FALSE, sizeof(guint));
		g_hash_table_insert(n->names, g_steal_pointer(&name), indices);
	}
	if (!indices->len || g_array_index(indices, guint, indices->len - 1) != index)
		g_array_append_val(indices, index);
}

static const struct neighbour *neighbour_at(const struct neighbours *n, uint64_t va)
{
	guint low = 0, high = n->all->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		const struct neighbour *at = &g_array_index(n->all, struct neighbour, mid);
		if (va - at->base < at->size)
			return at;
		if (at->base < va)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void add_drivers(struct context *c, const struct images *images, struct neighbours *n)
{
	for (guint i = 0; i < images->drivers->len; i++) {
		const struct driver_image *d = &g_array_index(images->drivers, struct driver_image, i);
		struct neighbour neighbour = { d->base, d->size, NULL, d->library };
		g_array_append_val(n->all, neighbour);
		add_name(n, d->name, i);
		/* Whatever file the kernel is made from, drivers import from this. */
		if (d->base == c->kernel->base.v)
			add_name(n, "ntoskrnl.exe", i);
	}
}

struct neighbours *neighbours_create(struct context *c, const struct images *images, const struct process *process)
{
	struct neighbours *n = g_new0(struct neighbours, 1);
	const GArray *vads = process ? process->vads.vads : NULL;

	n->all = g_array_new(FALSE, FALSE, sizeof(struct neighbour));
	n->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_array_unref);
	n->bases = g_hash_table_new(NULL, NULL);
	if (!process) {
		add_drivers(c, images, n);
		return n;
	}
	for (guint i = 0; i < vads->len && n->all->len < limit(image_mappings); i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		struct content *content = image_vad(vad) ? images_content(images, process, vad) : NULL;
		guint index = n->all->len;
		if (!content)
			continue;
		struct neighbour neighbour = { vad->start.v, vad->end.v - vad->start.v + 1, content, &content->library };
		g_array_append_val(n->all, neighbour);
		add_name(n, vad->file_path, index);
		if (!g_hash_table_contains(n->bases, content))
			g_hash_table_insert(n->bases, content, GUINT_TO_POINTER(index + 1));
	}
	/* The loader may know it by another name than its file's. */
	for (guint i = 0; i < process->modules->len; i++) {
		const struct module *m = &g_array_index(process->modules, struct module, i);
		const struct neighbour *at = neighbour_at(n, m->base);
		if (at && at->base == m->base)
			add_name(n, m->name, (guint)(at - (const struct neighbour *)(void *)n->all->data));
	}
	return n;
}

void neighbours_destroy(struct neighbours *n)
{
	if (!n)
		return;
	g_array_free(n->all, TRUE);
	g_hash_table_destroy(n->names);
	g_hash_table_destroy(n->bases);
	g_free(n);
}

bool neighbour_base(const struct neighbours *n, const struct content *content, uint64_t *base)
{
	guint index = GPOINTER_TO_UINT(g_hash_table_lookup(n->bases, content));

	if (index)
		*base = g_array_index(n->all, struct neighbour, index - 1).base;
	return index != 0;
}

/* ---- resolution */

/* The first export of that name whose RVA is not below the one given; NULL: there is none. */
static const struct library_export *find_export(const struct library *l, const char *name, uint32_t rva)
{
	const struct library_export wanted = { .key = key_of(name), .rva = rva };
	guint low = 0, high = l->exports ? l->exports->len : 0;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (compare_exports(&g_array_index(l->exports, struct library_export, mid), &wanted) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	const struct library_export *e = l->exports && low < l->exports->len ? &g_array_index(l->exports, struct library_export, low) : NULL;
	return e && e->key == wanted.key ? e : NULL;
}

struct resolution {
	struct context *c;
	struct images *images;
	const struct neighbours *neighbours;
	bool is_64bit;
	const char *importer;
	struct import_candidates *out;
	unsigned left;		/* DLLs that may still be looked at: forwarders of several namesakes lead to several each */
};

static void resolve(struct resolution *r, const char *dll, const char *name, unsigned depth);

/* "DLL.function" or "DLL.#ordinal"; the DLL's name has no extension, and may hold dots. */
static void follow(struct resolution *r, const char *forwarder, unsigned depth)
{
	/* The HAL's lead to the kernel, which is no DLL. */
	static const char *const endings[] = { ".dll", ".exe", ".sys" };
	const char *dot = strrchr(forwarder, '.');

	if (!dot || dot == forwarder || !dot[1] || depth >= FORWARDS)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(endings); i++) {
		g_autofree char *name = g_strdup_printf("%.*s%s", (int)(dot - forwarder), forwarder, endings[i]);
		g_autofree char *lower = g_ascii_strdown(name, -1);
		if (is_api_set(name) || g_hash_table_contains(r->neighbours->names, lower)) {
			resolve(r, name, dot + 1, depth + 1);
			return;
		}
	}
}

static void resolve_in(struct resolution *r, const struct neighbour *n, const char *name, unsigned depth)
{
	library_know(r->c, r->images, n);
	if (n->library->is_64bit != r->is_64bit)
		return;
	r->out->loaded |= !depth;
	/* A name that is exported twice is found once, as by the loader. */
	const struct library_export *e = find_export(n->library, name, 0);
	if (e && e->forwarder) {
		follow(r, n->library->forwarders->pdata[e->forwarder - 1], depth);
	} else if (e && r->out->n < IMPORT_CANDIDATES) {
		r->out->at[r->out->n].va = n->base + e->rva;
		r->out->at[r->out->n].rva = e->rva;
		r->out->at[r->out->n++].content = n->content;
	}
}

static void resolve(struct resolution *r, const char *dll, const char *name, unsigned depth)
{
	const char *host = is_api_set(dll) ? api_set_host(r->images->api_sets, dll, r->importer) : NULL;
	const char *slash = strrchr(host ? host : dll, '\\');
	g_autofree char *lower = g_ascii_strdown(slash ? slash + 1 : host ? host : dll, -1);
	const GArray *indices = g_hash_table_lookup(r->neighbours->names, lower);

	if (!indices && !strchr(lower, '.')) {
		g_autofree char *full = g_strconcat(lower, ".dll", NULL);
		indices = g_hash_table_lookup(r->neighbours->names, full);
	}
	for (guint i = 0; indices && i < MIN(indices->len, NAMESAKES); i++) {
		if (!r->left || context_cancelled(r->c)) {
			r->out->cut = true;
			return;
		}
		r->left--;
		resolve_in(r, &g_array_index(r->neighbours->all, struct neighbour, g_array_index(indices, guint, i)), name, depth);
	}
}

void import_resolve(struct context *c, const struct images *images, const struct neighbours *neighbours, bool is_64bit, const char *importer,
		    const char *dll, const char *name, struct import_candidates *out)
{
	/* The budget of exports is what changes. */
	struct resolution r = { c, (struct images *)images, neighbours, is_64bit, importer, out, FIXED_import_looks };

	*out = (struct import_candidates){ 0 };
	resolve(&r, dll, name, 0);
}

bool exported_at(struct context *c, const struct images *images, const struct neighbours *neighbours, uint64_t va, const char *name)
{
	const struct neighbour *n = neighbour_at(neighbours, va);

	if (!n || va - n->base > UINT32_MAX)
		return false;
	library_know(c, (struct images *)images, n);
	uint32_t rva = (uint32_t)(va - n->base);
	const struct library_export *e = find_export(n->library, name, rva);
	return e && !e->forwarder && e->rva == rva;
}

char *import_name(const struct pe_import *import)
{
	if (import->kind == PE_IMPORT_BY_ORDINAL)
		return g_strdup_printf("#%u", import->ordinal);
	return import->kind == PE_IMPORT_BY_NAME ? g_strdup(import->name) : NULL;
}
