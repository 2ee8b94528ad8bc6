/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: the list of each process, and what each says of itself. */
#include "cid.h"
#include "plugin.h"
#include "pool.h"
#include "walk.h"

enum {
	PROCESS, ETHREAD, TID, START, WIN32_START, TEB, TEB32, CREATE, EXIT, EXIT_STATUS, STATE, WAIT_REASON, KERNEL_STACK, KERNEL_STACK_LIMIT,
	USER_STACK, USER_LIMIT, IN_PROCESS, IN_CID, IN_POOL,
	DERIVED,
};

static const char *const threads_rest_on[] = {
	"_ETHREAD.Cid", "_ETHREAD.CreateTime", "_ETHREAD.StartAddress", "_ETHREAD.Win32StartAddress",
	"_ETHREAD.ThreadListEntry", "_KTHREAD.Process", "_KTHREAD.Teb", NULL
};

static const struct table threads = {
	.name = "threads", .key = "thread_id", .doc = "thread objects",
	.rests_on = threads_rest_on,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[ETHREAD] = { "ethread", COL_ADDRESS, "of the _ETHREAD" },
		[TID] = { "tid", COL_INT, "" },
		[START] = { "start_address", COL_ADDRESS, "as the kernel started it" },
		[WIN32_START] = { "win32_start_address", COL_ADDRESS, "as the creator asked; the thread can change it" },
		[TEB] = { "teb", COL_ADDRESS, "" },
		[TEB32] = { "teb32", COL_ADDRESS, "of a 32-bit process's thread" },
		[CREATE] = { "create_time", COL_TIME, "" },
		[EXIT] = { "exit_time", COL_TIME, "NULL while it lives" },
		[EXIT_STATUS] = { "exit_status", COL_INT, "" },
		[STATE] = { "state", COL_TEXT, "Running, Waiting, Terminated …" },
		[WAIT_REASON] = { "wait_reason", COL_TEXT, "of a waiting thread" },
		[KERNEL_STACK] = { "kernel_stack_base", COL_ADDRESS, "" },
		[KERNEL_STACK_LIMIT] = { "kernel_stack_limit", COL_ADDRESS, "" },
		[USER_STACK] = { "user_stack_base", COL_ADDRESS, "" },
		[USER_LIMIT] = { "user_stack_limit", COL_ADDRESS, "" },
		[IN_PROCESS] = { "in_process_list", COL_BOOL, "linked from its process" },
		[IN_CID] = { "in_cid_table", COL_BOOL, "in PspCidTable" },
		[IN_POOL] = { "in_pool_scan", COL_BOOL, "found by its pool block" },
		[DERIVED] = COLUMN_DERIVED,
	},
};

/* KTHREAD_STATE and KWAIT_REASON (ntddk.h / wdm.h). */
static const char *const states[] = {
	"Initialized", "Ready", "Running", "Standby", "Terminated", "Waiting", "Transition", "DeferredReady", "GateWait",
	"WaitingForProcessInSwap",
};
static const char *const wait_reasons[] = {
	"Executive", "FreePage", "PageIn", "PoolAllocation", "DelayExecution", "Suspended", "UserRequest", "WrExecutive",
	"WrFreePage", "WrPageIn", "WrPoolAllocation", "WrDelayExecution", "WrSuspended", "WrUserRequest", "WrEventPair",
	"WrQueue", "WrLpcReceive", "WrLpcReply", "WrVirtualMemory", "WrPageOut", "WrRendezvous", "WrKeyedEvent", "WrTerminated",
	"WrProcessInSwap", "WrCpuRateControl", "WrCalloutStack", "WrKernel", "WrResource", "WrPushLock", "WrMutex",
	"WrQuantumEnd", "WrDispatchInt", "WrPreempted", "WrYieldExecution", "WrFastMutex", "WrGuardedMutex", "WrRundown",
	"WrAlertByThreadId", "WrDeferredPreempt", "WrPhysicalFault",
};

static void put_name(struct row *row, int column, const char *const *names, unsigned n, unsigned value)
{
	g_autofree char *number = value < n ? NULL : g_strdup_printf("%u", value);

	row_text(row, column, number ? number : names[value]);
}

static void put_teb(struct context *c, struct row *row, uint64_t teb)
{
	struct object block = object_at(c->user, teb), tib = MEMBER(block, teb.NtTib);
	int32_t offset;

	PUT(row, USER_STACK, tib, nt_tib.StackBase);
	PUT(row, USER_LIMIT, tib, nt_tib.StackLimit);
	if (!c->process->wow64)
		return;
	/* A 32-bit TEB follows the 64-bit one, or lies where WowTebOffset (Windows 10) says. */
	if (READ(block, teb.WowTebOffset, &offset) || offset <= 0 || offset > 0x10000)
		offset = 0x2000;
	row_address(row, TEB32, teb + (uint64_t)offset);
}

/* What one dump's calls share: PspCidTable, and its threads by the process they belong to. */
struct shared {
	GArray *cid;
	GHashTable *in_pool;		/* ETHREAD of whole objects in pool */
	GHashTable *by_process;		/* EPROCESS → GArray of ETHREAD addresses, of both */
};

static void put_thread(struct context *c, const struct shared *s, const struct object *thread, bool in_list)
{
	struct row *row = row_new(c, &threads);
	struct object tcb = MEMBER(*thread, ethread.Tcb), cid = MEMBER(*thread, ethread.Cid);
	uint64_t teb = 0;
	uint8_t state, reason;

	row_address(row, ETHREAD, thread->va.v);
	PUT(row, TID, cid, client_id.UniqueThread);
	PUT(row, START, *thread, ethread.StartAddress);
	PUT(row, WIN32_START, *thread, ethread.Win32StartAddress);
	PUT(row, CREATE, *thread, ethread.CreateTime);
	if (!READ(tcb, kthread.State, &state)) {
		put_name(row, STATE, states, G_N_ELEMENTS(states), state);
		/* ExitTime shares its place with a list head until the thread ends. */
		if (state == 4) {
			PUT(row, EXIT, *thread, ethread.ExitTime);
			PUT(row, EXIT_STATUS, *thread, ethread.ExitStatus);
		}
		if (state == 5 && !READ(tcb, kthread.WaitReason, &reason))
			put_name(row, WAIT_REASON, wait_reasons, G_N_ELEMENTS(wait_reasons), reason);
	}
	PUT(row, KERNEL_STACK, tcb, kthread.StackBase);
	PUT(row, KERNEL_STACK_LIMIT, tcb, kthread.StackLimit);
	if (PUT_READ(row, TEB, tcb, kthread.Teb, &teb) && teb && c->user && !c->image->facts.no_user_memory)
		put_teb(c, row, teb);
	row_int(row, IN_PROCESS, in_list);
	if (pool_scannable(c))
		row_int(row, IN_POOL, g_hash_table_contains(s->in_pool, &thread->va.v));
	if (s->cid) {
		const struct cid_entry *e = cid_find(s->cid, thread->va);
		row_int(row, IN_CID, e && e->kind == CID_THREAD);
	}
}

static void shared_free(void *data)
{
	struct shared *s = data;

	if (s->cid)
		g_array_unref(s->cid);
	g_hash_table_destroy(s->in_pool);
	g_hash_table_destroy(s->by_process);
	g_free(s);
}

static void array_free(void *data)
{
	g_array_unref(data);
}

static void belongs(struct shared *s, uint64_t owner, uint64_t thread)
{
	GArray *own = g_hash_table_lookup(s->by_process, &owner);

	if (!own) {
		own = g_array_new(FALSE, FALSE, sizeof(uint64_t));
		g_hash_table_insert(s->by_process, g_memdup2(&owner, sizeof(owner)), own);
	}
	g_array_append_val(own, thread);
}

static bool begin(struct context *c, GError **error)
{
	struct shared *s = g_new0(struct shared, 1);

	(void)error;
	s->cid = cid_load(c, "threads");
	s->in_pool = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	s->by_process = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, array_free);
	for (guint i = 0; s->cid && i < s->cid->len; i++) {
		const struct cid_entry *e = &g_array_index(s->cid, struct cid_entry, i);
		struct object thread = object_at(c->space, e->object.v), tcb = MEMBER(thread, ethread.Tcb);
		uint64_t owner;
		if (e->kind == CID_THREAD && !READ(tcb, kthread.Process, &owner))
			belongs(s, owner, thread.va.v);
	}
	g_autoptr(GArray) pool = thread_candidates(c);
	for (guint i = 0; i < pool->len; i++) {
		const struct thread_candidate *t = &g_array_index(pool, struct thread_candidate, i);
		if (t->state == POOL_REMNANT || !t->object.va.v)
			continue;
		g_hash_table_add(s->in_pool, g_memdup2(&t->object.va.v, sizeof(uint64_t)));
		belongs(s, t->process.v, t->object.va.v);
	}
	context_keep(c, s, shared_free);
	return true;
}

static bool run_process(struct context *c, GError **error)
{
	const struct shared *s = context_kept(c);
	struct object proc = object_at(c->space, c->process->eprocess.v), thread;
	struct object head = MEMBER(proc, eprocess.ThreadListHead);
	g_autoptr(GHashTable) done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	const GArray *own = g_hash_table_lookup(s->by_process, &c->process->eprocess.v);

	(void)error;
	WALK_LIST(c, "threads", thread, head, ethread.ThreadListEntry) {
		g_hash_table_add(done, g_memdup2(&thread.va.v, sizeof(uint64_t)));
		put_thread(c, s, &thread, true);
	}
	for (guint i = 0; own && i < own->len; i++) {
		thread = object_at(c->space, g_array_index(own, uint64_t, i));
		if (g_hash_table_contains(done, &thread.va.v))
			continue;
		g_hash_table_add(done, g_memdup2(&thread.va.v, sizeof(uint64_t)));
		put_thread(c, s, &thread, false);
	}
	return true;
}

static const struct sweep_pattern *const sweeps[] = { &pool_thread, NULL };

const struct plugin plugin_threads = {
	.name = "threads",
	.doc = "threads of each process",
	.fills = { &threads },
	.needs = { "processes", "vads" },
	.sweeps = sweeps,
	.needs_layout = true,
	.begin = begin,
	.run_process = run_process,
};
