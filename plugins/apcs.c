/* SPDX-License-Identifier: Apache-2.0 */
/* Asynchronous procedure calls that threads have yet to make. */
#include "thread_set.h"
#include "walk.h"

enum {
	PROCESS, ADDRESS, ETHREAD, TID, MODE, STATE, KERNEL_ROUTINE, KERNEL_MODULE, RUNDOWN_ROUTINE, NORMAL_ROUTINE, NORMAL_MODULE,
	NORMAL_CONTEXT, ARGUMENT1, ARGUMENT2,
};

static const char *const indices[] = { "normal_routine", NULL };

static const struct table apcs = {
	.name = "apcs", .doc = "asynchronous procedure calls queued to threads", .indices = indices,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "the thread's" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the _KAPC" },
		[ETHREAD] = { "ethread", COL_ADDRESS, "whose queue it is in" },
		[TID] = { "tid", COL_INT, "" },
		[MODE] = { "mode", COL_TEXT, "kernel or user" },
		[STATE] = { "queue", COL_TEXT, "current, or saved while the thread is attached to another process" },
		[KERNEL_ROUTINE] = { "kernel_routine", COL_ADDRESS, "" },
		[KERNEL_MODULE] = { "kernel_module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[RUNDOWN_ROUTINE] = { "rundown_routine", COL_ADDRESS, "" },
		[NORMAL_ROUTINE] = { "normal_routine", COL_ADDRESS, "what is called, in user mode for user APCs; of 32-bit code on 64-bit Windows, as it is decoded" },
		[NORMAL_MODULE] = { "normal_module", COL_TEXT, "module it lies in; NULL: in none" },
		[NORMAL_CONTEXT] = { "normal_context", COL_ADDRESS, "" },
		[ARGUMENT1] = { "system_argument1", COL_ADDRESS, "" },
		[ARGUMENT2] = { "system_argument2", COL_ADDRESS, "" },
	},
};

/* ApcObject of KOBJECTS. */
#define DISPATCHER_APC 18

static const char *module_at(const struct context *c, uint64_t va)
{
	if (space_is_kernel(c->space, (va_t){ va }))
		return context_driver_at(c, (va_t){ va });
	const struct module *m = process_module_at(c->process, (va_t){ va });
	return !m ? NULL : m->name ? m->name : m->mapped_path;
}

/*
 * User APCs of 32-bit code on 64-bit Windows have their routine encoded, which tells them from those of the 64-bit code in the same
 * process: as Wow64EncodeApcRoutine and RtlQueueApcWow64Thread do (phnt, ntpsapi.h), its negative shifted left by two.
 */
static uint64_t decode_routine(uint64_t routine)
{
	uint64_t address = 0 - (routine >> 2 | UINT64_C(3) << 62);

	return routine >> 63 && !(routine & 3) && address <= UINT32_MAX ? address : routine;
}

static void put_apc(struct context *c, const struct object *apc, const struct object *thread, bool user, bool saved)
{
	struct object cid = MEMBER(*thread, ethread.Cid);
	uint64_t routine = 0;
	uint8_t type = 0;

	if (READ(*apc, kapc.Type, &type) || type != DISPATCHER_APC) {
		context_note(c, FAULT_IMPLAUSIBLE, apc->va, "apcs", "an entry of a thread's queue is no APC");
		return;
	}
	struct row *row = row_new(c, &apcs);
	row_address(row, ADDRESS, apc->va.v);
	row_address(row, ETHREAD, thread->va.v);
	PUT(row, TID, cid, client_id.UniqueThread);
	row_text(row, MODE, user ? "user" : "kernel");
	row_text(row, STATE, saved ? "saved" : "current");
	if (PUT_READ(row, KERNEL_ROUTINE, *apc, kapc.KernelRoutine, &routine))
		row_text(row, KERNEL_MODULE, context_driver_at(c, (va_t){ routine }));
	PUT(row, RUNDOWN_ROUTINE, *apc, kapc.RundownRoutine);
	if (PUT_READ(row, NORMAL_ROUTINE, *apc, kapc.NormalRoutine, &routine) && routine) {
		if (user && c->process->wow64)
			row_address(row, NORMAL_ROUTINE, routine = decode_routine(routine));
		row_text(row, NORMAL_MODULE, module_at(c, routine));
	}
	PUT(row, NORMAL_CONTEXT, *apc, kapc.NormalContext);
	PUT(row, ARGUMENT1, *apc, kapc.SystemArgument1);
	PUT(row, ARGUMENT2, *apc, kapc.SystemArgument2);
}

/* _KAPC_STATE.ApcListHead: kernel mode's, then user mode's. */
static void walk_queues(struct context *c, const struct object *thread, const struct object *state, bool saved)
{
	struct object heads = MEMBER(*state, kapc_state.ApcListHead);

	for (unsigned user = 0; heads.va.v && user < 2; user++) {
		struct object head = object_at(c->space, heads.va.v + user * c->space->layout->list_entry.size_), apc;
		uint64_t next = 0;
		/* A head that was never initialised holds nothing. */
		if (READ(head, list_entry.Flink, &next) || !next || next == head.va.v)
			continue;
		WALK_LIST(c, "apcs", apc, head, kapc.ApcListEntry)
			put_apc(c, &apc, thread, user, saved);
	}
}

static bool begin(struct context *c, GError **error)
{
	(void)error;
	context_keep(c, thread_set_find(c, "apcs"), thread_set_destroy);
	return true;
}

/* Each thread once: those of the process's list first, then those that are in it no more. */
static bool run_process(struct context *c, GError **error)
{
	struct object process = object_at(c->space, c->process->eprocess.v), head = MEMBER(process, eprocess.ThreadListHead), thread;
	const GArray *others = g_hash_table_lookup(((const struct thread_set *)context_kept(c))->by_process, &c->process->eprocess.v);
	g_autoptr(GHashTable) done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GArray) threads = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	(void)error;
	if (c->process->exited)
		return true;
	WALK_LIST(c, "apcs", thread, head, ethread.ThreadListEntry)
		g_array_append_val(threads, thread.va.v);
	if (others)
		g_array_append_vals(threads, others->data, others->len);
	for (guint i = 0; i < threads->len && !context_cancelled(c); i++) {
		uint64_t at = g_array_index(threads, uint64_t, i);
		thread = object_at(c->space, at);
		struct object tcb = MEMBER(thread, ethread.Tcb), state = MEMBER(tcb, kthread.ApcState);
		struct object saved = MEMBER(tcb, kthread.SavedApcState);
		if (!g_hash_table_add(done, g_memdup2(&at, sizeof(at))))
			continue;
		walk_queues(c, &thread, &state, false);
		walk_queues(c, &thread, &saved, true);
	}
	return true;
}

const struct plugin plugin_apcs = {
	.name = "apcs",
	.doc = "asynchronous procedure calls queued to threads",
	.fills = { &apcs },
	.needs = { "drivers", "modules" },
	.needs_layout = true,
	.sweeps = thread_set_sweeps,
	.begin = begin,
	.run_process = run_process,
};
