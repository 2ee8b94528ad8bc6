/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"
#include "kernel.h"
#include "rescue.h"

static void vad_clear(void *data)
{
	g_free(((struct vad *)data)->file_path);
}

static void module_clear(void *data)
{
	struct module *m = data;

	g_free(m->name);
	g_free(m->path);
}

/* Addresses from here to the next span are of that module: index + 1; 0: of none. */
struct module_span { uint64_t start; guint module; };

static void create_vads(struct process *process)
{
	process->vads.vads = g_array_new(FALSE, TRUE, sizeof(struct vad));
	g_array_set_clear_func(process->vads.vads, vad_clear);
}

static void create_modules(struct process *process)
{
	process->modules = g_array_new(FALSE, TRUE, sizeof(struct module));
	g_array_set_clear_func(process->modules, module_clear);
	process->module_spans = g_array_new(FALSE, FALSE, sizeof(struct module_span));
}

struct process *process_create(void)
{
	struct process *process = g_new0(struct process, 1);

	create_vads(process);
	create_modules(process);
	process->bases = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	return process;
}

struct process *process_twin(const struct process *process, bool no_vads, bool no_modules)
{
	struct process *twin = g_memdup2(process, sizeof(*process));

	if (no_vads)
		create_vads(twin);
	if (no_modules)
		create_modules(twin);
	return twin;
}

void process_destroy(struct process *process)
{
	if (!process)
		return;
	g_array_free(process->vads.vads, TRUE);
	g_array_free(process->modules, TRUE);
	g_array_free(process->module_spans, TRUE);
	g_hash_table_destroy(process->bases);
	rescue_destroy(process->rescue);
	g_free(process->name);
	g_free(process->image_path);
	g_free(process);
}

struct space *process_space(const struct process *process, const struct kernel *kernel, struct space *kernel_space)
{
	struct space *space = space_of_process(kernel_space, kernel->paging, process->dtb);

	space->vads = &process->vads;
	space->rescue = process->rescue;
	return space;
}

/* ---- modules by address */

static int compare_modules(const void *a, const void *b, void *user)
{
	const GArray *modules = user;
	guint x = *(const guint *)a, y = *(const guint *)b;
	uint64_t base_x = g_array_index(modules, struct module, x).base, base_y = g_array_index(modules, struct module, y).base;

	/* The first listed last, as it goes before the others. */
	return base_x != base_y ? (base_x > base_y) - (base_x < base_y) : (x < y) - (x > y);
}

static uint64_t last_address(const GArray *modules, guint index)
{
	const struct module *m = &g_array_index(modules, struct module, index);

	return m->size - 1 > UINT64_MAX - m->base ? UINT64_MAX : m->base + m->size - 1;
}

static void begin_span(GArray *spans, uint64_t start, guint module)
{
	struct module_span span = { start, module };

	if (spans->len && g_array_index(spans, struct module_span, spans->len - 1).start == start)
		g_array_set_size(spans, spans->len - 1);
	g_array_append_val(spans, span);
}

/* End those of the modules that lie around each other, innermost last, that end before an address: those around them go on. */
static void end_spans(GArray *spans, const GArray *modules, GArray *around, uint64_t before)
{
	while (around->len && last_address(modules, g_array_index(around, guint, around->len - 1)) < before) {
		uint64_t last = last_address(modules, g_array_index(around, guint, around->len - 1));
		while (around->len && last_address(modules, g_array_index(around, guint, around->len - 1)) <= last)
			g_array_set_size(around, around->len - 1);
		begin_span(spans, last + 1, around->len ? g_array_index(around, guint, around->len - 1) + 1 : 0);
	}
}

void process_sort_modules(struct process *process)
{
	const GArray *modules = process->modules;
	g_autoptr(GArray) order = g_array_new(FALSE, FALSE, sizeof(guint)), around = g_array_new(FALSE, FALSE, sizeof(guint));

	for (guint i = 0; i < modules->len; i++)
		if (g_array_index(modules, struct module, i).size)
			g_array_append_val(order, i);
	g_array_sort_with_data(order, compare_modules, process->modules);
	g_array_set_size(process->module_spans, 0);
	for (guint i = 0; i < order->len; i++) {
		guint index = g_array_index(order, guint, i);
		uint64_t base = g_array_index(modules, struct module, index).base;
		end_spans(process->module_spans, modules, around, base);
		begin_span(process->module_spans, base, index + 1);
		g_array_append_val(around, index);
	}
	end_spans(process->module_spans, modules, around, UINT64_MAX);
}

const struct module *process_module_at(const struct process *process, va_t va)
{
	guint low = 0, high = process->module_spans->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(process->module_spans, struct module_span, mid).start <= va.v)
			low = mid + 1;
		else
			high = mid;
	}
	guint module = low ? g_array_index(process->module_spans, struct module_span, low - 1).module : 0;
	return module ? &g_array_index(process->modules, struct module, module - 1) : NULL;
}

/* ---- VADs */

const struct vad *vad_find(const struct vad_set *set, va_t va)
{
	guint low = 0, high = set->vads ? set->vads->len : 0;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		const struct vad *v = &g_array_index(set->vads, struct vad, mid);
		if (va.v < v->start.v)
			high = mid;
		else if (va.v > v->end.v)
			low = mid + 1;
		else
			return v;
	}
	return NULL;
}

const char *vad_type_name(const struct vad *vad)
{
	switch (vad->type) {
	case VAD_DEVICE_PHYSICAL_MEMORY:
		return "physical";
	case VAD_IMAGE_MAP:
		return "image";
	case VAD_AWE:
		return "awe";
	case VAD_LARGE_PAGES: case VAD_LARGE_PAGE_SECTION:
		return "large_pages";
	case VAD_ROTATE_PHYSICAL:
		return "rotate";
	default:
		return vad->is_private ? "private" : "mapped";
	}
}
