/* SPDX-License-Identifier: Apache-2.0 */
/* Triage (small) dumps: what the crash handler wrote down of the machine it stopped. */
#include "plugin.h"

static void put_drivers(struct context *c, const struct image_triage *triage)
{
	const struct table *t = context_table(c, "drivers"), *u = context_table(c, "unloaded_drivers");

	for (guint i = 0; i < triage->drivers->len; i++) {
		const struct image_driver *d = &g_array_index(triage->drivers, struct image_driver, i);
		struct row *row = row_new(c, t);
		row_int_named(row, "base", (int64_t)d->base);
		row_int_named(row, "size", (int64_t)d->size);
		row_int_named(row, "entry_point", (int64_t)d->entry_point);
		row_text_named(row, "name", d->name);
		row_int_named(row, "in_loaded_list", 1);
		row_int_named(row, "timestamp", d->timestamp);
		row_int_named(row, "checksum", d->checksum);
		context_add_driver(c, d->base, d->size, d->name);
	}
	for (guint i = 0; i < triage->unloaded_drivers->len; i++) {
		const struct image_unloaded_driver *d = &g_array_index(triage->unloaded_drivers, struct image_unloaded_driver, i);
		struct row *row = row_new(c, u);
		row_text_named(row, "name", d->name);
		row_int_named(row, "start", (int64_t)d->start);
		row_int_named(row, "end", (int64_t)d->end);
	}
}

static void put_process(struct context *c, const struct image_triage *triage)
{
	const struct table *p = context_table(c, "processes"), *t = context_table(c, "threads");

	if (!triage->identified) {
		context_note(c, FAULT_NOT_IN_DUMP, (va_t){ triage->process.va }, "processes", "%s",
			     triage->process.length ? "the current process's fields can't be told in its copy" : "the dump has no copy of the current process");
		return;
	}
	struct process *process = process_create();
	struct row *row = row_new(c, p);
	process->eprocess.v = triage->process.va;
	process->pid = triage->pid;
	process->ppid = triage->ppid;
	process->name = g_strdup(triage->process_name);
	process->dtb = triage->process_dtb;
	context_add_process(c, process, row);
	if (triage->process.va)
		row_int_named(row, "eprocess", (int64_t)triage->process.va);
	row_int_named(row, "pid", triage->pid);
	row_int_named(row, "ppid", triage->ppid);
	row_text_named(row, "name", triage->process_name);
	if (triage->process_dtb.v)
		row_int_named(row, "dtb", (int64_t)triage->process_dtb.v);
	if (!triage->thread.length)
		return;
	row = row_new(c, t);
	if (triage->owner_pid == triage->pid)
		row_process(row, process);
	row_int_named(row, "owner_pid", triage->owner_pid);
	if (triage->thread.va)
		row_int_named(row, "ethread", (int64_t)triage->thread.va);
	if (triage->tid)
		row_int_named(row, "tid", triage->tid);
	row_text_named(row, "state", "Running");
}

static bool run(struct context *c, GError **error)
{
	const struct image_triage *triage = c->image->triage;

	(void)error;
	put_drivers(c, triage);
	put_process(c, triage);
	context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "processes", "a small dump holds the current process and thread alone, and no page tables");
	return true;
}

const struct plugin plugin_triage = {
	.name = "triage",
	.doc = "the current process and thread and the driver lists of a small dump",
	.adds_to = { "processes", "threads", "drivers", "unloaded_drivers" },
	.kinds = DUMP_TRIAGE,
	.run = run,
};
