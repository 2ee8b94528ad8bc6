/* SPDX-License-Identifier: Apache-2.0 */
/* Triage (small) dumps: what the crash handler wrote down of the machine it stopped. */
#include "plugin.h"

static const struct table *table(struct context *c, const char *name)
{
	const struct table *t = context_table(c, name);

	g_assert(t);	/* adds_to was checked before anything ran */
	return t;
}

static void put_int(struct row *row, const struct table *t, const char *column, int64_t value)
{
	row_int(row, table_column(t, column), value);
}

static void put_text(struct row *row, const struct table *t, const char *column, const char *value)
{
	row_text(row, table_column(t, column), value);
}

static void put_drivers(struct context *c, const struct image_triage *triage)
{
	const struct table *t = table(c, "drivers"), *u = table(c, "unloaded_drivers");

	for (guint i = 0; i < triage->drivers->len; i++) {
		const struct image_driver *d = &g_array_index(triage->drivers, struct image_driver, i);
		struct row *row = row_new(c, t);
		put_int(row, t, "base", (int64_t)d->base);
		put_int(row, t, "size", (int64_t)d->size);
		put_int(row, t, "entry_point", (int64_t)d->entry_point);
		put_text(row, t, "name", d->name);
		put_int(row, t, "in_loaded_list", 1);
		put_int(row, t, "timestamp", d->timestamp);
		put_int(row, t, "checksum", d->checksum);
		context_add_driver(c, d->base, d->size, d->name);
	}
	for (guint i = 0; i < triage->unloaded_drivers->len; i++) {
		const struct image_unloaded_driver *d = &g_array_index(triage->unloaded_drivers, struct image_unloaded_driver, i);
		struct row *row = row_new(c, u);
		put_text(row, u, "name", d->name);
		put_int(row, u, "start", (int64_t)d->start);
		put_int(row, u, "end", (int64_t)d->end);
	}
}

static void put_process(struct context *c, const struct image_triage *triage)
{
	const struct table *p = table(c, "processes"), *t = table(c, "threads");

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
		put_int(row, p, "eprocess", (int64_t)triage->process.va);
	put_int(row, p, "pid", triage->pid);
	put_int(row, p, "ppid", triage->ppid);
	put_text(row, p, "name", triage->process_name);
	if (triage->process_dtb.v)
		put_int(row, p, "dtb", (int64_t)triage->process_dtb.v);
	if (!triage->thread.length)
		return;
	row = row_new(c, t);
	row_process(row, process);
	if (triage->thread.va)
		put_int(row, t, "ethread", (int64_t)triage->thread.va);
	if (triage->tid)
		put_int(row, t, "tid", triage->tid);
	put_text(row, t, "state", "Running");
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
