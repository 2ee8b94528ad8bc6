/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: by all that know of them, and what each says of itself. */
#include <string.h>
#include <stdlib.h>
#include "thread_set.h"
#include "token.h"
#include "walk.h"

enum {
	PROCESS, ETHREAD, TID, START, WIN32_START, TEB, TEB32, CREATE, EXIT, EXIT_STATUS, STATE, WAIT_REASON, KERNEL_STACK, KERNEL_STACK_LIMIT,
	USER_STACK, USER_LIMIT, IN_PROCESS, IN_CID, IN_POOL,
	DERIVED,
	IN_SCHEDULER, IN_HANDLES, INSTRUCTION, INSTRUCTION_MODULE, STACK_POINTER, IMPERSONATES, IMPERSONATION_LEVEL, OWNER_PID,
	DUMP,
};

static const char *const threads_rest_on[] = {
	"_ETHREAD.Cid", "_ETHREAD.CreateTime", "_ETHREAD.StartAddress", "_ETHREAD.Win32StartAddress",
	"_ETHREAD.ThreadListEntry", "_KTHREAD.Process", "_KTHREAD.Teb", NULL
};

static const struct table threads = {
	.name = "threads", .key = "thread_id", .doc = "thread objects",
	.rests_on = threads_rest_on,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "NULL: its process object is not in the dump, or is none any more" },
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
		[IN_SCHEDULER] = { "in_scheduler_list", COL_BOOL, "in the list that the scheduler keeps of its process (KPROCESS.ThreadListHead)" },
		[IN_HANDLES] = { "in_handle_tables", COL_BOOL, "a process has a handle to it" },
		[INSTRUCTION] = { "instruction_pointer", COL_ADDRESS, "where it left user mode, from its trap frame" },
		[INSTRUCTION_MODULE] = { "instruction_module", COL_TEXT, "module that lies in; NULL: in none" },
		[STACK_POINTER] = { "stack_pointer", COL_ADDRESS, "of user mode, from its trap frame" },
		[IMPERSONATES] = { "impersonated_user", COL_TEXT, "SID of the user of the token it impersonates with; NULL: it doesn't" },
		[IMPERSONATION_LEVEL] = { "impersonation_level", COL_TEXT, "anonymous, identification, impersonation or delegation" },
		[OWNER_PID] = { "owner_pid", COL_INT, "of its CLIENT_ID: whose it is, where the process object is not in the dump" },
		/* Rows of no known process are the dump's all the same. Not dump_id: who joins processes says that alone. */
		[DUMP] = { "owner_dump_id", COL_DUMP, "the dump, also of a thread whose process is not known" },
	},
};

/* KTHREAD_STATE and KWAIT_REASON (ntddk.h / wdm.h). */
#define TERMINATED 4
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
	"WrAlertByThreadId", "WrDeferredPreempt", "WrPhysicalFault", "WrIoRing", "WrMdlCache", "WrRcu",
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

/* SECURITY_IMPERSONATION_LEVEL of winnt.h. */
static const char *const impersonation_levels[] = { "anonymous", "identification", "impersonation", "delegation" };

/* Both of user mode's; false: the frame is kernel mode's (an interrupt's), and says nothing of that. */
static bool read_frame(const struct object *frame, uint64_t *instruction, uint64_t *stack, enum fault *fault)
{
	uint32_t eip = 0, esp = 0, selector = 0;

	if ((*fault = READ(*frame, ktrap_frame.SegCs, &selector)) || (selector & 3) != 3)
		return false;
	if (!HAS(*frame, ktrap_frame.Eip))
		return !(*fault = READ(*frame, ktrap_frame.Rip, instruction)) && !(*fault = READ(*frame, ktrap_frame.Rsp, stack));
	/* Of 32-bit kernels. */
	if ((*fault = READ(*frame, ktrap_frame.Eip, &eip)) || (*fault = READ(*frame, ktrap_frame.HardwareEsp, &esp)))
		return false;
	*instruction = eip;
	*stack = esp;
	return true;
}

/* Where the thread was in user mode. */
static void put_registers(struct context *c, struct row *row, const struct object *tcb, bool ended)
{
	uint64_t at = 0, instruction = 0, stack = 0;
	enum fault fault;

	if (READ(*tcb, kthread.TrapFrame, &at) || !at || !space_is_kernel(c->space, (va_t){ at }))
		return;
	struct object frame = object_at(c->space, at);
	if (!read_frame(&frame, &instruction, &stack, &fault)) {
		/* The stack of a thread that ended, with the frame, is another's by now, or nobody's. */
		if (fault && fault != FAULT_NO_FIELD && !ended)
			row_fault(row, INSTRUCTION, fault, frame.va, "_KTHREAD.TrapFrame");
		return;
	}
	row_address(row, INSTRUCTION, instruction);
	row_address(row, STACK_POINTER, stack);
	const struct module *m = c->process ? process_module_at(c->process, (va_t){ instruction }) : NULL;
	if (m)
		row_text(row, INSTRUCTION_MODULE, m->name ? m->name : m->mapped_path);
}

/* _PS_CLIENT_SECURITY_CONTEXT: the token, its level in the two lowest bits, EffectiveOnly in the third. */
static void put_impersonation(struct context *c, struct row *row, const struct object *thread)
{
	g_autofree char *user = NULL;
	uint64_t value = 0;
	uint32_t active = 0;

	if (READ(*thread, ethread.ActiveImpersonationInfo, &active) || !active || READ(*thread, ethread.ClientSecurity, &value) ||
	    !(value & ~UINT64_C(7)))
		return;
	va_t token = { value & ~UINT64_C(7) };
	enum fault fault = token_user(c->space, token, &user);
	if (fault && fault != FAULT_NO_FIELD)
		row_fault(row, IMPERSONATES, fault, token, "the user of the token");
	row_text(row, IMPERSONATES, user);
	row_text(row, IMPERSONATION_LEVEL, impersonation_levels[value & 3]);
}

/* An answer of -1: that source can't tell. */
static struct row *put_thread(struct context *c, const struct thread_set *s, const struct object *thread, int in_list, int in_scheduler)
{
	struct row *row = row_new(c, &threads);
	struct object tcb = MEMBER(*thread, ethread.Tcb), cid = MEMBER(*thread, ethread.Cid);
	uint64_t teb = 0, created = 0;
	uint8_t state = 0, reason;
	uint32_t lpc = 0;
	enum fault fault;

	row_address(row, ETHREAD, thread->va.v);
	PUT(row, TID, cid, client_id.UniqueThread);
	PUT(row, OWNER_PID, cid, client_id.UniqueProcess);
	PUT(row, START, *thread, ethread.StartAddress);
	/* In Windows XP and 2003 a server of LPC has the id of the message it received there until it replies (their _ETHREAD: a union with
	 * LpcReceivedMessageId, which bit 0 of SameThreadApcFlags calls valid). */
	if (READ(*thread, ethread.LpcReceivedMsgIdValid, &lpc) || !lpc)
		PUT(row, WIN32_START, *thread, ethread.Win32StartAddress);
	else
		row_fault(row, WIN32_START, FAULT_NO_FIELD, thread->va, "_ETHREAD.Win32StartAddress: the id of a message of LPC stands there");
	fault = read_thread_create_time(thread, &created);
	if (fault)
		row_fault(row, CREATE, fault, thread->va, "_ETHREAD.CreateTime");
	else
		row_time(row, CREATE, created);
	if (!READ(tcb, kthread.State, &state)) {
		put_name(row, STATE, states, G_N_ELEMENTS(states), state);
		/* ExitTime shares its place with a list head until the thread ends. */
		if (state == TERMINATED) {
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
	put_registers(c, row, &tcb, state == TERMINATED);
	put_impersonation(c, row, thread);
	if (in_list >= 0)
		row_int(row, IN_PROCESS, in_list);
	if (in_scheduler >= 0)
		row_int(row, IN_SCHEDULER, in_scheduler);
	bool in_handles = s->in_handles && g_hash_table_contains(s->in_handles, &thread->va.v);
	if (in_handles || (s->in_handles && s->handles_whole))
		row_int(row, IN_HANDLES, in_handles);
	if (pool_scannable(c))
		row_int(row, IN_POOL, g_hash_table_contains(s->in_pool, &thread->va.v));
	const struct cid_entry *e = cid_find(s->cid, thread->va);
	if (e || s->cid_whole)
		row_int(row, IN_CID, e && e->kind == CID_THREAD);
	return row;
}

static bool begin(struct context *c, GError **error)
{
	(void)error;
	if (c->image->facts.no_user_memory)
		context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "threads", "skipped: user memory not in dump: stacks and what else a TEB says");
	context_keep(c, thread_set_find(c, "threads"), thread_set_destroy);
	return true;
}

/* The threads (ETHREAD) of one of a process's two lists, in its order; NULL: there is none. *broken: it has a gap. */
static GArray *list_threads(struct context *c, const struct object *head, struct field links, const char *what, bool *broken)
{
	struct walk walk = { .context = c, .table = "threads", .what = what, .head = *head, .link = links.offset, .at = head->va.v };
	struct object thread;
	uint64_t next = 0;

	/* A head that was never initialised leads nowhere. */
	if (!head->va.v || !links.size || (!READ(*head, list_entry.Flink, &next) && !next))
		return NULL;
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	while (walk_next(&walk, &thread))
		g_array_append_val(out, thread.va.v);
	*broken = walk.broken;
	walk_clear(&walk);
	return out;
}

/* 1: in it, 0: not, -1: it can't be told. */
static int in_list(const GHashTable *list, bool broken, uint64_t thread)
{
	if (!list)
		return -1;
	return g_hash_table_contains((GHashTable *)list, &thread) ? 1 : broken ? -1 : 0;
}

static GHashTable *address_set(const GArray *addresses)
{
	GHashTable *set = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = 0; addresses && i < addresses->len; i++)
		g_hash_table_add(set, &g_array_index(addresses, uint64_t, i));
	return set;
}

static bool run_process(struct context *c, GError **error)
{
	const struct thread_set *s = context_kept(c);
	const struct layout *l = c->space->layout;
	struct object proc = object_at(c->space, c->process->eprocess.v), pcb = MEMBER(proc, eprocess.Pcb);
	struct object head = MEMBER(proc, eprocess.ThreadListHead), scheduler_head = MEMBER(pcb, kprocess.ThreadListHead);
	struct field links = l->ethread.ThreadListEntry, scheduler_links = l->kthread.ThreadListEntry;
	bool broken = false, scheduler_broken = false;

	(void)error;
	g_autoptr(GArray) list = list_threads(c, &head, links, "ethread.ThreadListEntry", &broken);
	g_autoptr(GArray) scheduler = list_threads(c, &scheduler_head, scheduler_links, "kthread.ThreadListEntry", &scheduler_broken);
	const GArray *sources[] = { list, scheduler, g_hash_table_lookup(s->by_process, &c->process->eprocess.v) };
	g_autoptr(GHashTable) listed = address_set(list), scheduled = address_set(scheduler), done = g_hash_table_new(g_int64_hash, g_int64_equal);
	for (size_t n = 0; n < G_N_ELEMENTS(sources); n++)
		for (guint i = 0; sources[n] && i < sources[n]->len && !context_cancelled(c); i++) {
			uint64_t *at = &g_array_index(sources[n], uint64_t, i);
			struct object thread = object_at(c->space, *at);
			if (g_hash_table_add(done, at))
				put_thread(c, s, &thread, in_list(list ? listed : NULL, broken, *at),
					   in_list(scheduler ? scheduled : NULL, scheduler_broken, *at));
		}
	return true;
}

static int compare_addresses(const void *a, const void *b)
{
	uint64_t x = **(const uint64_t *const *)a, y = **(const uint64_t *const *)b;

	return (x > y) - (x < y);
}

/* The idle process is in no list, but it is there. Where the kernel's own word on it is missing: its threads have no ids. */
static bool is_idle(struct context *c, uint64_t owner, const struct object *thread)
{
	va_t pointer = kernel_symbol(c->kernel, PsIdleProcess);
	struct object cid = MEMBER(*thread, ethread.Cid);
	uint64_t idle = 0, pid;

	if (pointer.v && !read_pointer(c->space, pointer, &idle) && idle)
		return owner == idle;
	return !READ(cid, client_id.UniqueProcess, &pid) && !pid;
}

/* Threads of what is no process that is known: its object is not in the dump, or is there (as zeros, in a raw image) and is none. */
static bool end(struct context *c, GError **error)
{
	const struct thread_set *s = context_kept(c);
	guint n = 0;

	(void)error;
	for (guint i = 0; i < c->processes->len; i++) {
		const struct process *process = g_ptr_array_index(c->processes, i);
		g_hash_table_remove(s->by_process, &process->eprocess.v);
	}
	g_autofree uint64_t **owners = (uint64_t **)g_hash_table_get_keys_as_array(s->by_process, &n);
	qsort(owners, n, sizeof(*owners), compare_addresses);
	for (guint i = 0; i < n && !context_cancelled(c); i++) {
		const GArray *own = g_hash_table_lookup(s->by_process, owners[i]);
		g_autoptr(GHashTable) done = g_hash_table_new(g_int64_hash, g_int64_equal);
		uint8_t byte;
		enum fault fault = space_read(c->space, (va_t){ *owners[i] }, &byte, 1, NULL);
		for (guint t = 0; t < own->len && !context_cancelled(c); t++) {
			uint64_t *at = &g_array_index(own, uint64_t, t);
			struct object thread = object_at(c->space, *at);
			if (g_hash_table_add(done, at) && !is_idle(c, *owners[i], &thread))
				row_fault(put_thread(c, s, &thread, -1, -1), PROCESS, fault ? fault : FAULT_IMPLAUSIBLE, (va_t){ *owners[i] },
					  "the process object");
		}
	}
	return true;
}

const struct plugin plugin_threads = {
	.name = "threads",
	.doc = "threads of each process",
	.fills = { &threads },
	.needs = { "processes", "vads", "modules" },
	.sweeps = thread_set_sweeps,
	.needs_layout = true,
	.begin = begin,
	.run_process = run_process,
	.end = end,
};
