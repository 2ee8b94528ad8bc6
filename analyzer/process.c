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

struct process *process_create(void)
{
	struct process *process = g_new0(struct process, 1);

	process->vads.vads = g_array_new(FALSE, TRUE, sizeof(struct vad));
	g_array_set_clear_func(process->vads.vads, vad_clear);
	process->modules = g_array_new(FALSE, TRUE, sizeof(struct module));
	g_array_set_clear_func(process->modules, module_clear);
	process->bases = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
	return process;
}

struct process *process_twin(const struct process *process, bool no_vads, bool no_modules)
{
	struct process *fresh = process_create(), *twin = g_memdup2(process, sizeof(*process));

	if (no_vads)
		twin->vads = fresh->vads;
	if (no_modules)
		twin->modules = fresh->modules;
	return twin;
}

void process_destroy(struct process *process)
{
	if (!process)
		return;
	g_array_free(process->vads.vads, TRUE);
	g_array_free(process->modules, TRUE);
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
