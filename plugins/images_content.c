/* SPDX-License-Identifier: Apache-2.0 */
/* What the mappings of one image section have in common. */
#include <math.h>
#include <string.h>
#include "images.h"

bool image_vad(const struct vad *vad)
{
	return vad->type == VAD_IMAGE_MAP && !vad->is_private;
}

static void content_forget(struct content *content)
{
	g_clear_pointer(&content->pdb_name, g_free);
	g_clear_pointer(&content->pdb_guid_age, g_free);
	g_clear_pointer(&content->original_filename, g_free);
	g_clear_pointer(&content->company, g_free);
	g_clear_pointer(&content->product, g_free);
	g_clear_pointer(&content->file_version, g_free);
	g_clear_pointer(&content->description, g_free);
	g_clear_pointer(&content->import_hash, g_free);
	g_clear_pointer(&content->entropies, g_array_unref);
	g_clear_pointer(&content->fixups, image_fixups_destroy);
	g_clear_pointer(&content->hashes, g_hash_table_unref);
	g_clear_pointer(&content->hashes_of_pages, g_ptr_array_unref);
	g_clear_pointer(&content->targets, g_array_unref);
	library_clear(&content->library);
}

static void content_destroy(void *data)
{
	struct content *content = data;

	content_forget(content);
	g_mutex_clear(&content->lock);
	g_mutex_clear(&content->library.lock);
	g_array_free(content->mappings, TRUE);
	g_free(content);
}

static void add_mapping(struct images *images, const struct process *process, guint vad, int64_t ordinal)
{
	uint64_t area = g_array_index(process->vads.vads, struct vad, vad).control_area.v;
	struct mapping mapping = { process, vad, ordinal };

	if (!area)
		return;
	struct content *content = g_hash_table_lookup(images->contents, &area);
	if (!content) {
		content = g_new0(struct content, 1);
		g_mutex_init(&content->lock);
		g_mutex_init(&content->library.lock);
		content->mappings = g_array_new(FALSE, FALSE, sizeof(struct mapping));
		g_hash_table_insert(images->contents, g_memdup2(&area, sizeof(area)), content);
	}
	g_array_append_val(content->mappings, mapping);
	content->left++;
}

static void driver_clear(void *data)
{
	struct driver_image *d = data;

	library_clear(d->library);
	g_mutex_clear(&d->library->lock);
	g_free(d->library);
}

struct images *images_create(struct context *c)
{
	struct images *images = g_new0(struct images, 1);
	struct driver_image d = { 0 };

	images->exports_left = (gint)MIN(limit(exports_kept), G_MAXINT / 2);
	images->drivers = g_array_new(FALSE, FALSE, sizeof(struct driver_image));
	g_array_set_clear_func(images->drivers, driver_clear);
	for (guint i = 0; context_driver(c, i, &d.base, &d.size, &d.name); i++) {
		d.library = g_new0(struct library, 1);
		g_mutex_init(&d.library->lock);
		g_array_append_val(images->drivers, d);
	}
	images->api_sets = c->image->facts.no_user_memory ? NULL : api_sets_create(c);
	images->contents = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, content_destroy);
	for (guint i = 0; i < c->processes->len; i++) {
		const struct process *process = g_ptr_array_index(c->processes, i);
		int64_t ordinal = 0;
		if (c->image->facts.no_user_memory)
			continue;
		/* The order in which run_process makes their rows. */
		for (guint v = 0; v < process->vads.vads->len && (uint64_t)ordinal < limit(image_mappings); v++)
			if (image_vad(&g_array_index(process->vads.vads, struct vad, v)))
				add_mapping(images, process, v, ordinal++);
	}
	return images;
}

void images_destroy(void *data)
{
	struct images *images = data;

	g_hash_table_destroy(images->contents);
	g_array_free(images->drivers, TRUE);
	api_sets_destroy(images->api_sets);
	g_free(images);
}

struct content *images_content(const struct images *images, const struct process *process, const struct vad *vad)
{
	(void)process;
	return vad->control_area.v ? g_hash_table_lookup(images->contents, &vad->control_area.v) : NULL;
}

static void free_hashes(void *data)
{
	if (data)
		g_byte_array_unref(data);
}

GPtrArray *page_hashes(struct pe *pe, const struct image_fixups *fixups, guint *direct_calls)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(free_hashes);
	uint32_t left = pe->size_limit / PAGE_SIZE;	/* sections that claim the same pages over and over */

	*direct_calls = 0;
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		GByteArray *hashes = NULL;
		guint direct;
		if (s->characteristics & (PE_SECTION_EXECUTE | PE_SECTION_CODE) && !(s->characteristics & PE_SECTION_WRITE) && left) {
			hashes = image_page_hashes(pe, fixups, s->virtual_address, s->virtual_size ? s->virtual_size : s->raw_size, left, &direct);
			left -= MIN(left, hashes->len / PAGE_HASH_BYTES);
			*direct_calls += direct;
		}
		g_ptr_array_add(all, hashes);
	}
	return all;
}

static void learn(struct content *content, struct pe *pe)
{
	const struct pe_debug *debug = pe_codeview(pe, NULL);
	const struct pe_version_info *version = pe_version_info(pe, NULL);

	if (debug) {
		content->pdb_name = g_strdup(debug->pdb_name);
		content->pdb_guid_age = g_strdup(debug->guid_age);
	}
	if (version) {
		content->original_filename = g_strdup(version->original_filename);
		content->company = g_strdup(version->company_name);
		content->product = g_strdup(version->product_name);
		content->file_version = g_strdup(version->file_version);
		content->description = g_strdup(version->file_description);
	}
	content->import_hash = g_strdup(pe_imphash(pe, NULL));
	content->reproducible = pe_reproducible(pe, &content->reproducible_fault);
	content->is_dotnet = pe_clr(pe, &content->dotnet_fault) != NULL;
	content->fixups = image_fixups_create(pe);
	content->hashes_of_pages = page_hashes(pe, content->fixups, &content->direct_calls);
	content->hashes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	content->entropies = g_array_new(FALSE, FALSE, sizeof(double));
	uint64_t left = 2 * (uint64_t)pe->size_limit;	/* sections that claim the same bytes over and over */
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint32_t size = s->virtual_size ? s->virtual_size : s->raw_size;
		double entropy = NAN;
		if (size <= left)
			(void)!pe_entropy(pe, s->virtual_address, size, &entropy);
		left -= MIN(size, left);
		g_array_append_val(content->entropies, entropy);
	}
}

/*
 * Where each import leads in the process that mapped the image first: the same place in the same DLL in every other,
 * but for those that have another DLL of the name. Forwarders and API sets are followed once for all.
 */
static void learn_targets(struct context *c, const struct images *images, struct content *content, struct pe *pe, struct space *space)
{
	const struct mapping *first = &g_array_index(content->mappings, struct mapping, 0);
	const struct vad *vad = &g_array_index(first->process->vads.vads, struct vad, first->vad);
	const GArray *imports = pe_imports(pe, NULL);
	const char *slash = vad->file_path ? strrchr(vad->file_path, '\\') : NULL, *importer = slash ? slash + 1 : vad->file_path;

	/* Not the asking process's steps: one that has spent its own would leave all others without. NULL: each looks for itself. */
	if (imports && !space_spend(space, imports->len))
		return;
	content->targets = g_array_sized_new(FALSE, FALSE, sizeof(struct slot_target), imports ? imports->len : 0);
	if (!imports || !imports->len)
		return;
	struct neighbours *neighbours = neighbours_create(c, images, first->process);
	for (guint i = 0; i < imports->len; i++) {
		const struct pe_import *import = &g_array_index(imports, struct pe_import, i);
		struct slot_target target = { .iat_rva = import->iat_rva };
		g_autofree char *name = import_name(import);
		struct import_candidates found = { 0 };
		/* What is not resolved here is where each process has it. */
		if (name && import->dll && !context_cancelled(c))
			import_resolve(c, images, neighbours, pe->is_64bit, importer, import->dll, name, &found);
		if (found.n) {
			target.content = found.at[0].content;
			target.rva = found.at[0].rva;
		}
		g_array_append_val(content->targets, target);
	}
	neighbours_destroy(neighbours);
}

struct pe *content_open(struct context *c, const struct content *content, struct view *view, struct space **space)
{
	const struct mapping *first = &g_array_index(content->mappings, struct mapping, 0);

	*space = first->process->user_readable ? process_space(first->process, c->kernel, c->space) : space_clone(c->space);
	*view = (struct view){ *space, &g_array_index(first->process->vads.vads, struct vad, first->vad) };
	struct pe_source source = view_section_source(view);
	return pe_open(&source, view->vad->start.v, view_pages(view) * PAGE_SIZE);
}

void content_know(struct context *c, const struct images *images, struct content *content)
{
	g_mutex_lock(&content->lock);
	if (!content->known) {
		AUTO(space) space = NULL;
		struct view view;
		AUTO_PE pe = content_open(c, content, &view, &space);
		learn(content, pe);
		learn_targets(c, images, content, pe, space);
		content->known = true;
	}
	g_mutex_unlock(&content->lock);
}

void content_leave(struct content *content)
{
	if (g_atomic_int_dec_and_test(&content->left))
		content_forget(content);
}
