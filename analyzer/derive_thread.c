/* SPDX-License-Identifier: Apache-2.0 */
/* Where the fields of _KTHREAD and _ETHREAD are. */
#include "derive.h"

#define THREADS_MAX 192u
#define PER_PROCESS 12u
#define OBJECT_THREAD 6u

static const struct instance *owner(const struct derive *d, const struct instance *s)
{
	return instance_at(d->e->processes, s->process);
}

static bool in_system(const struct instance *s)
{
	return !s->process;
}

/* The distance of a list's entries from the start of their threads, the same for all; 0: none. */
static unsigned entry_distance(struct derive *d, unsigned head_at)
{
	for (unsigned k = 0x80; k < 0x1000; k += 8) {
		unsigned good = 0, bad = 0;

		for (guint i = 0; i < d->e->processes->len && i < 24 && bad < 3; i++) {
			const struct instance *s = instance_at(d->e->processes, i);
			uint64_t flink = instance_value(s, head_at, 8), waiters, back;
			uint8_t type = 0;

			if (flink == s->va + head_at || !evidence_kernel_pointer(flink))
				continue;
			bool ok = !((flink - k) & 15) && !space_read(d->e->space, (va_t){ flink - k }, &type, 1, NULL) &&
				  type == OBJECT_THREAD && derive_read(d, flink - k + 8, &waiters) &&
				  derive_read(d, waiters + 8, &back) && back == flink - k + 8;
			*(ok ? &good : &bad) += 1;
		}
		if (good >= 2 && good > 4 * bad)
			return k;
	}
	return 0;
}

static void collect(struct derive *d, unsigned head_at, unsigned distance)
{
	for (guint i = 0; i < d->e->processes->len && d->threads->len < THREADS_MAX; i++) {
		uint64_t head = instance_at(d->e->processes, i)->va + head_at;
		g_autoptr(GArray) list = evidence_list(d->e->space, head, PER_PROCESS);

		for (guint j = 0; j < list->len && d->threads->len < THREADS_MAX; j++)
			instances_add(d->threads, d->e->space, g_array_index(list, uint64_t, j) - distance, i);
	}
}

/* Probes ------------------------------------------------------------------- */

/* Both lists: an entry whose neighbours link back, and the head of the owner's list is among what it leads to. */
static float list_entry(struct derive *d, unsigned at, unsigned head_at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t blink = instance_value(s, at + 8, 8), back;
		bool ok = derive_read(d, blink, &back) && back == s->va + at;

		/* The first of a list follows the head itself. */
		if (ok && (i_ == 0 || instance_at(d->instances, i_ - 1)->process != s->process))
			ok = blink == owner(d, s)->va + head_at;
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_kernel_entry(struct derive *d, unsigned at)
{
	return list_entry(d, at, d->layout->kprocess.ThreadListHead.offset);
}

static float probe_entry(struct derive *d, unsigned at)
{
	return list_entry(d, at, d->layout->eprocess.ThreadListHead.offset);
}

/* The owner's pid, and a thread id of its own behind it. */
static float probe_cid(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;
	uint64_t before = 0;

	FOR_INSTANCES(d, s) {
		uint64_t pid = instance_value(s, at, 8), tid = instance_value(s, at + 8, 8);
		bool ok = pid == instance_value(owner(d, s), d->e->pid, 8) && tid && !(tid & 3) && tid < UINT32_MAX && tid != before;

		before = tid;
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_process(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		*(instance_value(s, at, 8) == owner(d, s)->va ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* _KAPC_STATE begins with two lists, then names the process. */
static float probe_apc_state(struct derive *d, unsigned at)
{
	unsigned process = d->layout->kapc_state.Process.offset, good = 0, bad = 0;
	const struct instance *s;

	if (probe_process(d, at + process) < 0.7f)
		return 0;
	FOR_INSTANCES(d, s)
		*(evidence_kernel_pointer(instance_value(s, at, 8)) ? &good : &bad) += 1;
	/* Without lists, KTHREAD.Process would look the same. */
	return good ? derive_share(good, bad, 2) : 0;
}

/* A user's pointer to a block whose NT_TIB.Self (0x30) is its address. */
static float probe_teb(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t teb = instance_value(s, at, 8), self;
		struct space *user;

		if (in_system(s)) {
			if (teb)
				bad++;
			continue;
		}
		if (!teb)
			continue;
		if (!evidence_user_pointer(teb) || (teb & PAGE_MASK))
			bad++;
		else if ((user = derive_user(d, s->process)) && !space_read(user, (va_t){ teb + 0x30 }, &self, 8, NULL))
			*(self == teb ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 3);
}

#define STACK_MAX 0x20000u

/* Another pointer among the first of the structure, at a distance of low to high below this one (above, when
 * they are negative), in every thread: at which offset? 0: none. */
static bool stack_partner(struct derive *d, unsigned at, int64_t low, int64_t high)
{
	for (unsigned other = 0x18; other < 0x100; other += 8) {
		unsigned good = 0, bad = 0;
		const struct instance *s;

		if (other == at)
			continue;
		FOR_INSTANCES(d, s) {
			uint64_t a = instance_value(s, at, 8), b = instance_value(s, other, 8);
			int64_t distance = (int64_t)(a - b);

			*(evidence_kernel_pointer(b) && !(b & PAGE_MASK) && distance >= low && distance <= high ? &good : &bad) += 1;
			if (bad > 3 && bad > good)
				break;
		}
		if (derive_share(good, bad, 2) > 0.7f)
			return true;
	}
	return false;
}

static float kernel_page_pointers(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t v = instance_value(s, at, 8);

		*(evidence_kernel_pointer(v) && !(v & PAGE_MASK) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_stack_base(struct derive *d, unsigned at)
{
	float score = kernel_page_pointers(d, at);

	return score > 0.7f && stack_partner(d, at, PAGE_SIZE, STACK_MAX) ? score : 0;
}

static float probe_stack_limit(struct derive *d, unsigned at)
{
	float score = kernel_page_pointers(d, at);

	return score > 0.7f && stack_partner(d, at, -(int64_t)STACK_MAX, -(int64_t)PAGE_SIZE) ? score : 0;
}

/* A pointer into the stack: within `reach` below its base. */
static float in_stack(struct derive *d, unsigned at, unsigned reach, bool may_be_zero)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t v = instance_value(s, at, 8), top = instance_value(s, d->anchor, 8);

		if (!v && may_be_zero)
			continue;
		*(v < top && top - v <= reach ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_initial_stack(struct derive *d, unsigned at)
{
	return in_stack(d, at, 0x1000, false);
}

static float probe_kernel_stack(struct derive *d, unsigned at)
{
	return in_stack(d, at, STACK_MAX, false);
}

static float probe_trap_frame(struct derive *d, unsigned at)
{
	return in_stack(d, at, 0x4000, true);
}

/* KTHREAD_STATE: most threads wait (5), some run (2). */
static float probe_state(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, waiting = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint8_t v = (uint8_t)instance_value(s, at, 1);
		*(v && v <= 9 ? &good : &bad) += 1;
		waiting += v == 5;
	}
	return waiting * 10 >= good * 6 ? derive_share(good, bad, 2) : 0;
}

static float probe_create_time(struct derive *d, unsigned at)
{
	unsigned created = d->layout->eprocess.CreateTime.offset, good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t t = instance_value(s, at, 8);
		bool ok = evidence_time(d->e, t);

		if (ok && d->layout->eprocess.CreateTime.size)
			ok = t + 10000000 >= instance_value(owner(d, s), created, 8);
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* Where threads start: the kernel's in a module, the others' in user memory. */
static bool may_start(const struct derive *d, const struct instance *s, uint64_t va)
{
	return in_system(s) ? evidence_in_module(d->e, va) : evidence_user_pointer(va) && va != instance_value(s, d->layout->kthread.Teb.offset, 8);
}

/* How many different values user threads have there, and how many of these threads there are. */
static unsigned differing(struct derive *d, unsigned at, unsigned *users)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
	const struct instance *s;

	*users = 0;
	FOR_INSTANCES(d, s) {
		uint64_t v = instance_value(s, at, 8);

		if (in_system(s) || !v || !may_start(d, s, v))
			continue;
		++*users;
		g_hash_table_add(seen, GSIZE_TO_POINTER((gsize)v));
	}
	return g_hash_table_size(seen);
}

/* The kernel's view: user threads all begin in ntdll, so few addresses serve many threads. */
static float start_address(struct derive *d, unsigned at, bool alike)
{
	unsigned good = 0, bad = 0, users = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t v = instance_value(s, at, 8);

		*(v && may_start(d, s, v) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	bool few = differing(d, at, &users) * 3 <= users;
	return users < 6 || few == alike ? derive_share(good, bad, 2) : derive_share(good, bad, 2) * 0.9f;
}

static float probe_start(struct derive *d, unsigned at)
{
	return start_address(d, at, true);
}

static float probe_win32_start(struct derive *d, unsigned at)
{
	return start_address(d, at, false);
}

/* Where the two have changed places: what differs from thread to thread is the program's own address. */
static void tell_starts_apart(struct derive *d)
{
	struct field *kernel = &d->layout->ethread.StartAddress, *user = &d->layout->ethread.Win32StartAddress;
	unsigned users, others;

	d->instances = d->threads;
	if (!kernel->size || !user->size || differing(d, kernel->offset, &users) <= 2 * differing(d, user->offset, &others) || users < 6 || others < 6)
		return;
	d->misfits += 3;
	if (d->checking)
		return;
	const struct field before = *kernel;
	*kernel = *user;
	*user = before;
	kernel->derived = user->derived = 80;
	d->moved += 2;
}

void derive_threads(struct derive *d)
{
	static const struct probe base = { FIELD_OF(kthread.StackBase), probe_stack_base, 8, 4, 0.7f };
	static const struct probe inner_part[] = {
		{ FIELD_OF(kthread.StackLimit), probe_stack_limit, 8, 4, 0.7f },
		{ FIELD_OF(kthread.StackBase), probe_stack_base, 8, 4, 0.7f },
		{ FIELD_OF(kthread.Teb), probe_teb, 8, 4, 0.7f },
		{ FIELD_OF(kthread.Process), probe_process, 8, 4, 0.8f },
		{ FIELD_OF(kthread.ApcState), probe_apc_state, 8, 3, 0.6f },
		{ FIELD_OF(kthread.ThreadListEntry), probe_kernel_entry, 8, 4, 0.7f },
		{ FIELD_OF(kthread.State), probe_state, 1, 1, 0.9f },
		{ FIELD_OF(kthread.InitialStack), probe_initial_stack, 8, 2, 0.8f },
		{ FIELD_OF(kthread.KernelStack), probe_kernel_stack, 8, 2, 0.8f },
		{ FIELD_OF(kthread.TrapFrame), probe_trap_frame, 8, 1, 0.9f },
	};
	static const struct probe outer[] = {
		{ FIELD_OF(ethread.CreateTime), probe_create_time, 8, 3, 0.8f },
		{ FIELD_OF(ethread.StartAddress), probe_start, 8, 3, 0.8f },
		{ FIELD_OF(ethread.Win32StartAddress), probe_win32_start, 8, 3, 0.8f },
		{ FIELD_OF(ethread.Cid), probe_cid, 8, 4, 0.8f },
		{ FIELD_OF(ethread.ThreadListEntry), probe_entry, 8, 4, 0.7f },
		{ FIELD_OF(ethread.ThreadsProcess), probe_process, 8, 3, 0.8f },
	};
	const struct field *inner = &d->layout->kprocess.ThreadListHead, *head = &d->layout->eprocess.ThreadListHead;
	unsigned distance = head->size ? entry_distance(d, head->offset) : 0, at = head->offset;

	if (!distance && inner->size) {
		at = inner->offset;
		distance = entry_distance(d, at);
	}
	if (!distance) {
		d->misfits += 4;
		return;
	}
	collect(d, at, distance);
	/* _KTHREAD ends before the first field of its own that _ETHREAD has. */
	derive_expect_size(d, d->layout->ethread.CreateTime.offset, d->checking ? d->layout->ethread.CreateTime.offset :
			   derive_find(d, d->threads, 0x1000, &outer[0]));
	d->anchor = d->checking ? d->layout->kthread.StackBase.offset : derive_find(d, d->threads, 0x100, &base);
	derive_fit(d, "_KTHREAD", d->threads, 0x800, inner_part, G_N_ELEMENTS(inner_part));
	derive_expect_size(d, d->layout->ethread.size_, kdbg_value(&d->e->kdbg, KDBG_THREAD_SIZE, 2));
	derive_fit(d, "_ETHREAD", d->threads, 0x1000, outer, G_N_ELEMENTS(outer));
	tell_starts_apart(d);
}
