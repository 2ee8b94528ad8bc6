/* SPDX-License-Identifier: Apache-2.0 */
/* What is left in memory of processes and threads that are gone: they belong to nobody now, and tell what ran. */
#include "pool.h"

enum { DUMP, TYPE, PHYSICAL, ADDRESS, FREED, PID, TID, PPID, NAME, CREATE_TIME, EXIT_TIME, STATE };

static const char *const indices[] = { "pid", NULL };

static const struct table remnants = {
	.name = "remnants", .doc = "what is left of processes and threads whose memory was given back", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[TYPE] = { "type", COL_TEXT, "process or thread" },
		[PHYSICAL] = { "physical_address", COL_ADDRESS, "of the object" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the object; NULL: the kernel maps the page no more" },
		[FREED] = { "freed", COL_BOOL, "its pool block is marked free" },
		[PID] = { "pid", COL_INT, "" },
		[TID] = { "tid", COL_INT, "of a thread" },
		[PPID] = { "ppid", COL_INT, "of a process" },
		[NAME] = { "name", COL_TEXT, "ImageFileName of a process" },
		[CREATE_TIME] = { "create_time", COL_TIME, "" },
		[EXIT_TIME] = { "exit_time", COL_TIME, "" },
		[STATE] = { "state", COL_TEXT, "remnant: it belongs to nobody" },
	},
};

static const struct sweep_pattern *const sweeps[] = { &pool_process, &pool_thread, NULL };

static struct row *put(struct context *c, const char *type, const struct pool_object *object, uint64_t pid,
		       uint64_t created, uint64_t exited)
{
	struct row *row = row_new(c, &remnants);

	row_text(row, TYPE, type);
	row_address(row, PHYSICAL, object->pa.v);
	if (object->va.v)
		row_address(row, ADDRESS, object->va.v);
	row_int(row, FREED, object->freed);
	row_int(row, PID, (int64_t)pid);
	row_time(row, CREATE_TIME, created);
	row_time(row, EXIT_TIME, exited);
	row_text(row, STATE, "remnant");
	return row;
}

/* What another source shows to be an object is none, however its pool block looks. */
static GHashTable *known_processes(const struct context *c)
{
	GHashTable *known = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = 0; i < c->processes->len; i++)
		g_hash_table_add(known, &((struct process *)g_ptr_array_index(c->processes, i))->eprocess.v);
	return known;
}

static bool run(struct context *c, GError **error)
{
	g_autoptr(GArray) processes = process_candidates(c), threads = thread_candidates(c);
	g_autoptr(GHashTable) known = known_processes(c);
	/* Without the kernel's page tables nothing is mapped, which says nothing then: a freed block does. */
	bool unmapped = c->kernel->physical_only;

	(void)error;
	for (guint i = 0; i < processes->len; i++) {
		const struct process_candidate *p = &g_array_index(processes, struct process_candidate, i);
		if (p->state != POOL_REMNANT || (unmapped && !p->object.freed) || (p->object.va.v && g_hash_table_contains(known, &p->object.va.v)))
			continue;
		struct row *row = put(c, "process", &p->object, p->pid, p->create_time, p->exit_time);
		row_int(row, PPID, (int64_t)p->ppid);
		row_text(row, NAME, p->name);
	}
	for (guint i = 0; i < threads->len; i++) {
		const struct thread_candidate *t = &g_array_index(threads, struct thread_candidate, i);
		if (t->state != POOL_REMNANT || (unmapped && !t->object.freed))
			continue;
		struct row *row = put(c, "thread", &t->object, t->pid, t->create_time, t->exit_time);
		row_int(row, TID, (int64_t)t->tid);
	}
	return true;
}

const struct plugin plugin_remnants = {
	.name = "remnants",
	.doc = "what is left of processes and threads that are gone",
	.fills = { &remnants },
	.needs = { "processes" },
	.sweeps = sweeps,
	.needs_layout = true,
	.run = run,
};
