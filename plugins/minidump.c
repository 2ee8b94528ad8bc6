/* SPDX-License-Identifier: Apache-2.0 */
/* User-mode minidumps: one process as MiniDumpWriteDump saw it. */
#include <string.h>
#include "plugin.h"

/* MEM_… of MEMORY_BASIC_INFORMATION. */
#define MEM_COMMIT 0x1000u
#define MEM_FREE 0x10000u
#define MEM_PRIVATE 0x20000u
#define MEM_MAPPED 0x40000u
#define MEM_IMAGE 0x1000000u

/* time_t as FILETIME; 0 stays 0. */
static uint64_t filetime(uint32_t seconds)
{
	return seconds ? ((uint64_t)seconds + UINT64_C(11644473600)) * 10000000 : 0;
}

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '\\') : NULL;

	return slash ? slash + 1 : path;
}

static const char *module_path_at(const struct image_minidump *m, uint64_t va)
{
	for (guint i = 0; i < m->modules->len; i++) {
		const struct minidump_module *module = &g_array_index(m->modules, struct minidump_module, i);
		if (va - module->base < module->size)
			return module->name;
	}
	return NULL;
}

/* One allocation is what a VAD is: the regions that share an allocation base. */
static void put_memory(struct context *c, const struct image_minidump *m, struct process *process)
{
	const struct table *v = context_table(c, "vads"), *r = context_table(c, "regions");
	GArray *vads = process->vads.vads;

	for (guint i = 0; i < m->regions->len; i++) {
		const struct minidump_region *region = &g_array_index(m->regions, struct minidump_region, i);
		struct vad *last = vads->len ? &g_array_index(vads, struct vad, vads->len - 1) : NULL;
		/* What was made executable later is as executable as what was made so. */
		uint64_t executable = region->state == MEM_COMMIT && protection_executable(region->protect) ? region->size / PAGE_SIZE : 0;
		if (region->state == MEM_FREE || !region->size || region->size - 1 > UINT64_MAX - region->base)
			continue;
		if (last && last->start.v == region->allocation_base && region->base > last->end.v) {
			last->end.v = region->base + region->size - 1;
			last->pages_executable += executable;
			continue;
		}
		if (last && region->base <= last->end.v) {
			context_note(c, FAULT_IMPLAUSIBLE, (va_t){ region->base }, "regions", "memory regions overlap or are out of order");
			continue;
		}
		struct vad vad = {
			.start = { region->base }, .end = { region->base + region->size - 1 }, .protection = region->allocation_protect & 0x7ff,
			.protection_known = true, .is_private = region->type == MEM_PRIVATE,
			.type = region->type == MEM_IMAGE ? VAD_IMAGE_MAP : VAD_NONE, .pages_executable = executable,
		};
		if (!vad.is_private)
			vad.file_path = g_strdup(module_path_at(m, region->base));
		g_array_append_val(vads, vad);
	}
	for (guint i = 0; i < vads->len; i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		struct row *row = row_new(c, v);
		g_autofree char *protection = protection_name(vad->protection);
		row_process(row, process);
		row_int_named(row, "start_address", (int64_t)vad->start.v);
		row_int_named(row, "end_address", (int64_t)vad->end.v);
		row_text_named(row, "type", vad_type_name(vad));
		row_text_named(row, "protection", protection);
		row_int_named(row, "private_memory", vad->is_private);
		row_text_named(row, "file_path", vad->file_path);
	}
	for (guint i = 0; i < m->regions->len; i++) {
		const struct minidump_region *region = &g_array_index(m->regions, struct minidump_region, i);
		const struct vad *vad = vad_find(&process->vads, (va_t){ region->base });
		if (region->state == MEM_FREE || !vad)
			continue;
		struct row *row = row_new(c, r);
		g_autofree char *allocated = protection_name(region->allocation_protect & 0x7ff), *now = protection_name(region->protect & 0x7ff);
		row_process(row, process);
		row_ref(row, table_column(r, "vad_id"), vad - (const struct vad *)(void *)vads->data);
		row_int_named(row, "base_address", (int64_t)region->base);
		row_int_named(row, "allocation_base", (int64_t)region->allocation_base);
		row_text_named(row, "allocation_protect", allocated);
		row_int_named(row, "region_size", (int64_t)region->size);
		row_text_named(row, "state", region->state == MEM_COMMIT ? "MEM_COMMIT" : "MEM_RESERVE");
		if (region->state == MEM_COMMIT)
			row_text_named(row, "protect", now);
		row_text_named(row, "type", region->type == MEM_IMAGE ? "MEM_IMAGE" : region->type == MEM_MAPPED ? "MEM_MAPPED" : "MEM_PRIVATE");
	}
}

static void put_modules(struct context *c, const struct image_minidump *m, struct process *process)
{
	const struct table *t = context_table(c, "modules");

	for (guint i = 0; i < m->modules->len; i++) {
		const struct minidump_module *module = &g_array_index(m->modules, struct minidump_module, i);
		const struct vad *vad = vad_find(&process->vads, (va_t){ module->base });
		struct row *row = row_new(c, t);
		row_process(row, process);
		row_int_named(row, "base", (int64_t)module->base);
		row_int_named(row, "size", (int64_t)module->size);
		row_text_named(row, "name", base_name(module->name));
		row_text_named(row, "path", module->name);
		row_text_named(row, "found_by", "loader");
		if (vad)
			row_ref(row, table_column(t, "vad_id"), vad - (const struct vad *)(void *)process->vads.vads->data);
	}
}

static void put_threads(struct context *c, const struct image_minidump *m, struct process *process)
{
	const struct table *t = context_table(c, "threads");

	for (guint i = 0; i < m->threads->len; i++) {
		const struct minidump_thread *thread = &g_array_index(m->threads, struct minidump_thread, i);
		struct row *row = row_new(c, t);
		row_process(row, process);
		row_int_named(row, "tid", thread->tid);
		row_int_named(row, "teb", (int64_t)thread->teb);
		row_int_named(row, "in_process_list", 1);
		if (!thread->has_info)
			continue;
		row_int_named(row, "win32_start_address", (int64_t)thread->start_address);
		row_time(row, table_column(t, "create_time"), thread->create_time);
		row_time(row, table_column(t, "exit_time"), thread->exit_time);
	}
}

static void put_handles(struct context *c, const struct image_minidump *m, struct process *process)
{
	const struct table *t = context_table(c, "handles");

	for (guint i = 0; i < m->handles->len; i++) {
		const struct minidump_handle *handle = &g_array_index(m->handles, struct minidump_handle, i);
		struct row *row = row_new(c, t);
		row_process(row, process);
		row_int_named(row, "handle", (int64_t)handle->handle);
		row_text_named(row, "type", handle->type);
		row_text_named(row, "name", handle->name);
		row_int_named(row, "granted_access", handle->granted_access);
	}
}

/*
 * 1: a 32-bit process on 64-bit Windows; -1: it can't be told. What a 64-bit tool dumps of one has the 64-bit modules that run it, wow64.dll among them; what a
 * 32-bit tool dumps looks the same on 32-bit Windows, which has no SysWOW64 (learn.microsoft.com, "File System Redirector").
 */
static int is_wow64(const struct image_minidump *m, enum architecture architecture)
{
	for (guint i = 0; i < m->modules->len; i++) {
		const char *path = g_array_index(m->modules, struct minidump_module, i).name, *name = base_name(path);
		g_autofree char *lower = path ? g_ascii_strdown(path, -1) : NULL;
		if (lower && (!g_ascii_strcasecmp(name, "wow64.dll") || (architecture == ARCH_X86 && strstr(lower, "\\syswow64\\"))))
			return 1;
	}
	/* Without a list of modules no dump tells. */
	return architecture == ARCH_X86 || !m->modules->len ? -1 : 0;
}

static bool run(struct context *c, GError **error)
{
	const struct image_minidump *m = c->image->minidump;
	const struct table *p = context_table(c, "processes");
	struct process *process = process_create();
	struct row *row = row_new(c, p);

	(void)error;
	process->pid = m->pid;
	const int wow64 = is_wow64(m, c->image->facts.architecture);
	process->wow64 = wow64 > 0;
	process->user_readable = true;
	context_add_process(c, process, row);
	if (m->pid)
		row_int_named(row, "pid", m->pid);
	/* The main image is the first module of the loader's list. */
	if (m->modules->len) {
		const struct minidump_module *first = &g_array_index(m->modules, struct minidump_module, 0);
		process->name = g_strdup(base_name(first->name));
		process->image_base.v = first->base;
		row_text_named(row, "name", process->name);
		row_text_named(row, "peb_image_path", first->name);
		row_int_named(row, "image_base", (int64_t)first->base);
	}
	if (wow64 >= 0)
		row_int_named(row, "wow64", wow64);
	row_time(row, table_column(p, "create_time"), filetime(m->create_time));
	put_memory(c, m, process);
	put_modules(c, m, process);
	put_threads(c, m, process);
	put_handles(c, m, process);
	return true;
}

const struct plugin plugin_minidump = {
	.name = "minidump",
	.doc = "the process of a user-mode minidump",
	.adds_to = { "processes", "vads", "regions", "modules", "threads", "handles" },
	.kinds = DUMP_OF_PROCESS,
	.run = run,
};
