/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PE images in memory, whole: of every module, driver and image mapping, and those found where no
 * mapping accounts for them; their parts; and what of them isn't as their file was.
 *
 * Three hundred processes map the same hundred DLLs. What all mappings of one image section
 * have in common (names, versions, exports, relocations) is found once, from its first mapping.
 */
#include <string.h>
#include "images.h"
#include "session_spaces.h"

static bool listed(const struct module *m)
{
	return m && (m->in_load_order || m->in_memory_order || m->in_init_order);
}

static uint32_t clamp_size(uint64_t size)
{
	return (uint32_t)MIN(size, UINT32_MAX & ~(uint64_t)PAGE_MASK);
}

/* A process (or the kernel) at hand. */
struct owner {
	struct context *c;
	const struct images *images;
	struct neighbours *neighbours;
	struct session_spaces *sessions;	/* the kernel's */
	GHashTable *modules;	/* base → the process's first struct module there */
};

static GHashTable *modules_by_base(const struct process *process)
{
	GHashTable *modules = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = process->modules->len; i-- > 0; ) {
		struct module *m = &g_array_index(process->modules, struct module, i);
		g_hash_table_replace(modules, &m->base, m);
	}
	return modules;
}

static const struct module *module_of(const struct owner *o, uint64_t base)
{
	return g_hash_table_lookup(o->modules, &base);
}

/* An image mapping. */
static void put_mapped(const struct owner *o, guint i)
{
	struct context *c = o->c;
	const struct vad *vad = &g_array_index(c->process->vads.vads, struct vad, i);
	const struct module *m = module_of(o, vad->start.v);
	struct subject s = {
		.c = c, .images = o->images, .neighbours = o->neighbours, .space = c->user, .base = vad->start.v,
		.size = clamp_size(vad->end.v - vad->start.v + 1), .vad = vad, .vad_index = (int)i,
		.path = vad->file_path ? vad->file_path : m ? m->path : NULL, .found_by = listed(m) ? "loader" : "vad",
		.content = images_content(o->images, c->process, vad), .first = true,
	};

	if (s.content) {
		const struct mapping *first = &g_array_index(s.content->mappings, struct mapping, 0);
		s.first = first->process == c->process && first->vad == i;
	}
	put_image(&s);
}

/* Memory of the process that an image lies in, but that is no image mapping. */
static struct subject other_subject(const struct owner *o, uint64_t base, uint64_t size, const char *found_by)
{
	struct context *c = o->c;
	const struct vad *vad = vad_find(&c->process->vads, (va_t){ base });
	struct subject s = {
		.c = c, .images = o->images, .neighbours = o->neighbours, .space = c->user, .base = base, .vad = vad, .vad_index = -1,
		.found_by = found_by, .first = true,
	};

	if (vad) {
		s.vad_index = (int)(vad - (const struct vad *)(const void *)c->process->vads.vads->data);
		s.path = vad->file_path;
		size = MIN(size, vad->end.v - base + 1);
	}
	s.size = clamp_size(size);
	return s;
}

/* The size of an image by its header, within what there is. */
static uint32_t size_by_header(struct context *c, uint64_t base, uint32_t limit)
{
	struct pe_space at = { c->user, { base } };
	AUTO_PE pe = pe_space_open(&at, limit);
	uint64_t size = ((uint64_t)pe->size_of_image + PAGE_MASK) & ~(uint64_t)PAGE_MASK;

	return size ? (uint32_t)MIN(size, limit) : limit;
}

static void put_found(void *user, const struct remains *r)
{
	const struct owner *o = user;
	struct context *c = o->c;
	struct subject s = other_subject(o, r->base, r->limit, r->has_header ? "header" : "remains");

	/* A module's own row is there already. */
	if (module_of(o, r->base))
		return;
	if (r->has_header) {
		s.size = size_by_header(c, r->base, s.size);
	} else {
		s.at = (struct pe_space){ s.space, { s.base } };
		s.pe = pe_space_open(&s.at, s.size);
		s.pe->base = s.base;
		image_remains_apply(&r->parts, s.pe);
		s.rebuilt_from = image_remains_text(&r->parts);
	}
	put_image(&s);
}

/* Image mappings, as many as are looked into. */
static void put_mappings(const struct owner *o)
{
	struct context *c = o->c;
	const GArray *vads = c->process->vads.vads;
	uint64_t mapped = 0;

	for (guint i = 0; i < vads->len && mapped <= limit(image_mappings) && !context_cancelled(c); i++) {
		if (!image_vad(&g_array_index(vads, struct vad, i)))
			continue;
		if (mapped++ == limit(image_mappings))
			context_note(c, FAULT_LIMIT, g_array_index(vads, struct vad, i).start, "images", "more than %" G_GUINT64_FORMAT " image mappings",
				     limit(image_mappings));
		else
			put_mapped(o, i);
	}
	/* Not before: images import from those before them. */
	mapped = 0;
	for (guint i = 0; i < vads->len && mapped < limit(image_mappings) && !context_cancelled(c); i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		struct content *content = image_vad(vad) ? images_content(o->images, c->process, vad) : NULL;
		mapped += image_vad(vad);
		if (content)
			content_leave(content);
	}
}

/* Images that the loader lists where no image is mapped. */
static void put_loaded(const struct owner *o)
{
	struct context *c = o->c;

	for (guint i = 0; i < c->process->modules->len && !context_cancelled(c); i++) {
		const struct module *m = &g_array_index(c->process->modules, struct module, i);
		const struct vad *vad = vad_find(&c->process->vads, (va_t){ m->base });
		if ((vad && image_vad(vad) && vad->start.v == m->base) || module_of(o, m->base) != m)
			continue;
		struct subject s = other_subject(o, m->base, m->size, "loader");
		if (!s.path)
			s.path = m->mapped_path ? m->mapped_path : m->path;
		put_image(&s);
	}
}

static bool run_process(struct context *c, GError **error)
{
	struct owner o = { .c = c, .images = context_kept(c) };

	(void)error;
	if (c->image->facts.no_user_memory)
		return true;
	o.neighbours = neighbours_create(c, o.images, c->process);
	o.modules = modules_by_base(c->process);
	put_mappings(&o);
	if (c->user) {
		put_loaded(&o);
		search_images(c, put_found, &o);
	}
	g_hash_table_destroy(o.modules);
	neighbours_destroy(o.neighbours);
	return true;
}

static void put_driver(const struct owner *o, uint64_t base, uint64_t size, const char *name)
{
	struct subject s = {
		.c = o->c, .images = o->images, .neighbours = o->neighbours, .space = session_spaces_find(o->sessions, (va_t){ base }), .base = base, .size = clamp_size(size),
		.path = name, .vad_index = -1, .found_by = "driver", .first = true,
	};

	put_image(&s);
}

static bool begin(struct context *c, GError **error)
{
	struct images *images = images_create(c);
	struct owner o = { .c = c, .images = images, .neighbours = neighbours_create(c, images, NULL), .sessions = session_spaces_create(c) };
	uint64_t base, size;
	const char *name;

	(void)error;
	if (c->image->facts.no_user_memory)
		context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "images", "skipped: user memory not in dump: images of processes");
	context_keep(c, images, images_destroy);
	for (guint i = 0; context_driver(c, i, &base, &size, &name) && !context_cancelled(c); i++)
		put_driver(&o, base, size, name);
	neighbours_destroy(o.neighbours);
	session_spaces_destroy(o.sessions);
	return true;
}

const struct plugin plugin_images = {
	.name = "images",
	.doc = "PE images in memory, their parts, and what of them was modified",
	.fills = { &table_images, &table_image_sections, &table_image_imports, &table_image_exports, &table_image_tls_callbacks,
		   &table_image_patches, &table_image_resources, &table_image_debug, &table_system_call_stubs },
	.needs = { "vads", "modules", "drivers" },
	.needs_layout = true,
	.begin = begin,
	.run_process = run_process,
};
