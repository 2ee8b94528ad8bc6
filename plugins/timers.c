/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's timers: what each processor is to call, and when. */
#include "processor.h"
#include "walk.h"
#include "limit.h"

enum { DUMP, ADDRESS, PROCESSOR, DUE_TIME, PERIOD, SIGNALED, DPC, ROUTINE, MODULE, CONTEXT, PLACEMENT };

static const char *const indices[] = { "routine", NULL };

static const struct table timers = {
	.name = "timers", .doc = "the kernel's timers", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the _KTIMER" },
		[PROCESSOR] = { "processor", COL_INT, "in whose table it is" },
		[DUE_TIME] = { "due_time", COL_TIME, "by the machine's clock" },
		[PERIOD] = { "period", COL_INT, "in milliseconds; 0: once" },
		[SIGNALED] = { "signaled", COL_BOOL, "" },
		[DPC] = { "dpc", COL_ADDRESS, "_KDPC, decoded; NULL: threads wait for it" },
		[ROUTINE] = { "routine", COL_ADDRESS, "what is called" },
		[MODULE] = { "module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[CONTEXT] = { "context", COL_ADDRESS, "what it is called with" },
		[PLACEMENT] = { "placement", COL_TEXT, "expected: in a kernel module; nowhere: in none" },
	},
};

/* KUSER_SHARED_DATA.InterruptTime, ntddk.h: timers count in it. */
#define INTERRUPT_TIME 8u
/* TimerNotificationObject and TimerSynchronizationObject of KOBJECTS. */
#define DISPATCHER_TIMER 8
#define MAX_TIMERS limit32(timers)

struct clock {
	uint64_t wait_never, wait_always;
	bool encoded;
	uint64_t interrupt_time, system_time;	/* both at the moment of the dump; 0: not known */
};

static struct clock read_clock(struct context *c)
{
	struct clock k = { .system_time = c->kernel->system_time };
	uint32_t time[2];
	va_t never = kernel_symbol(c->kernel, KiWaitNever), always = kernel_symbol(c->kernel, KiWaitAlways);

	/* 64-bit kernels alone encode them. */
	k.encoded = space_pointer_size(c->space) == 8 && never.v && always.v && !space_read(c->space, never, &k.wait_never, 8, NULL) &&
		!space_read(c->space, always, &k.wait_always, 8, NULL);
	if (!space_read(c->space, (va_t){ kernel_shared_data(c->kernel).v + INTERRUPT_TIME }, time, sizeof(time), NULL))
		k.interrupt_time = (uint64_t)time[1] << 32 | time[0];
	return k;
}

static void put_dpc(struct context *c, struct row *row, const struct object *timer, const struct clock *k)
{
	uint64_t raw = 0, at = 0, routine = 0;
	enum fault fault = READ(*timer, ktimer.Dpc, &raw);

	if (fault) {
		row_fault(row, DPC, fault, timer->va, "_KTIMER.Dpc");
		return;
	}
	at = k->encoded ? timer_decode_dpc(raw, timer->va, k->wait_never, k->wait_always) : raw;
	if (!at)
		return;
	/* Of a kernel without symbols: what nobody can decode is no address. */
	if (!k->encoded && space_pointer_size(c->space) == 8 && (!space_is_kernel(c->space, (va_t){ at }) || !space_canonical(c->space, (va_t){ at }) || at % 8)) {
		row_fault(row, DPC, FAULT_NO_FIELD, timer->va, "_KTIMER.Dpc, which KiWaitNever and KiWaitAlways decode");
		return;
	}
	row_address(row, DPC, at);
	if (!space_is_kernel(c->space, (va_t){ at })) {
		row_fault(row, ROUTINE, FAULT_IMPLAUSIBLE, (va_t){ at }, "_KTIMER.Dpc");
		return;
	}
	struct object dpc = object_at(c->space, at);
	if (PUT_READ(row, ROUTINE, dpc, kdpc.DeferredRoutine, &routine)) {
		row_text(row, MODULE, context_driver_at(c, (va_t){ routine }));
		row_text(row, PLACEMENT, context_placement(c, (va_t){ routine }, (va_t){ 0 }));
	}
	PUT(row, CONTEXT, dpc, kdpc.DeferredContext);
}

/* False: what the list leads to is no timer, or can't be read. */
static bool put_timer(struct context *c, const struct object *timer, unsigned processor, const struct clock *k)
{
	struct object header = MEMBER(*timer, ktimer.Header);
	uint64_t due = 0, period = 0;
	uint32_t signal = 0;
	uint8_t type = 0;

	enum fault fault = READ(header, dispatcher_header.Type, &type);
	if (fault || ((type & 0x7f) | 1) != (DISPATCHER_TIMER | 1)) {
		context_note(c, fault ? fault : FAULT_IMPLAUSIBLE, timer->va, "timers", "an entry of a list of timers is no timer");
		return false;
	}
	struct row *row = row_new(c, &timers);
	row_address(row, ADDRESS, timer->va.v);
	row_int(row, PROCESSOR, processor);
	if (!READ(*timer, ktimer.DueTime, &due) && k->interrupt_time && k->system_time && due < (UINT64_C(1) << 62))
		row_time(row, DUE_TIME, k->system_time + due - k->interrupt_time);
	if (!READ(*timer, ktimer.Period, &period))
		row_int(row, PERIOD, (int64_t)period);
	if (!READ(header, dispatcher_header.SignalState, &signal))
		row_int(row, SIGNALED, signal != 0);
	put_dpc(c, row, timer, k);
	return true;
}

static bool run(struct context *c, GError **error)
{
	const struct layout *l = c->kernel->layout;
	g_autoptr(GArray) processors = processors_list(c, "timers");
	struct clock k = read_clock(c);
	uint32_t entry_size = l->ktimer_table_entry.size_;
	/* 256 lists, and since 19041 as many again. */
	unsigned lists = entry_size ? l->ktimer_table.TimerEntries.size / entry_size : 0, made = 0;

	(void)error;
	if (!lists || !l->kprcb.TimerTable.size)
		context_note(c, FAULT_NO_FIELD, c->kernel->base, "timers", "how this build keeps its timers is not known");
	for (guint i = 0; i < processors->len; i++) {
		const struct processor *p = &g_array_index(processors, struct processor, i);
		struct object prcb = object_at(c->space, p->prcb.v), table = MEMBER(prcb, kprcb.TimerTable);
		struct object entries = MEMBER(table, ktimer_table.TimerEntries);
		unsigned unread = 0;
		enum fault why = FAULT_NONE;
		va_t first = { 0 };
		for (unsigned n = 0; entries.va.v && n < lists && made < MAX_TIMERS && !context_cancelled(c); n++) {
			struct object entry = object_at(c->space, entries.va.v + n * entry_size), timer;
			struct object head = MEMBER(entry, ktimer_table_entry.Entry);
			uint64_t next = 0;
			enum fault fault = READ(head, list_entry.Flink, &next);
			if (fault && !unread++) {
				why = fault;
				first = head.va;
			}
			if (fault || !next || next == head.va.v)	/* 0: it was never initialised */
				continue;
			WALK_LIST(c, "timers", timer, head, ktimer.TimerListEntry)
				made += put_timer(c, &timer, p->number, &k);
		}
		if (unread)
			context_note(c, why, first, "timers", "%u lists of timers of processor %u can't be read", unread, p->number);
	}
	if (made >= MAX_TIMERS)
		context_note(c, FAULT_LIMIT, (va_t){ 0 }, "timers", "more than %u timers: the rest is left out", MAX_TIMERS);
	return true;
}

const struct plugin plugin_timers = {
	.name = "timers",
	.doc = "what processors are to call, and when",
	.fills = { &timers },
	.needs = { "drivers" },
	.needs_layout = true,
	.run = run,
};
