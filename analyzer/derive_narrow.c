/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit kernels whose structures no family has: processes and threads, by what the debugger's data block states and by
 * what the fields hold. What lies between fields that moved alike moved with them; structures that no probe looks into
 * keep the form they have in the nearest family, as less sure.
 */
#include <string.h>
#include "derive.h"
#include "paging.h"

#define W 4u			/* of a pointer */
#define THREADS_MAX 96u
#define PER_PROCESS 8u
#define OBJECT_THREAD 6u
#define STATUS_PENDING 0x103u
#define COUNTED_MAX 512u	/* threads of a process that are counted */

static uint32_t value(const struct instance *s, unsigned at)
{
	return (uint32_t)instance_value(s, at, W);
}

static bool read_word(struct derive *d, uint64_t va, uint32_t *out)
{
	return !(va & (W - 1)) && !space_read(d->e->space, (va_t){ va }, out, W, NULL);
}

static bool user_pointer(uint32_t va)
{
	return va >= 0x10000 && va < 0x7fff0000u;
}

static const struct instance *owner(const struct derive *d, const struct instance *s)
{
	return instance_at(d->e->processes, s->process);
}

/* What the debugger's data block says outright, where it has such values (since Windows 2003); -1: it doesn't. */
static int stated(const struct derive *d, unsigned offset, unsigned at)
{
	uint64_t found = kdbg_value(&d->e->kdbg, offset, 2);

	return found ? found == at : -1;
}

/* Processes -------------------------------------------------------------------- */

/* A root that leads to the kernel. The processes of a session may share a low part of it: it is compared whole. */
static int leads_to_kernel(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t root = value(s, at);
	char mz[2];

	if (!root || (root & 0x1f))
		return 0;
	AUTO(space) space = space_create(d->e->kernel->image, NULL, d->e->space->paging, paging_dtb(d->e->space->paging, root));
	return !space_read(space, d->e->kernel->base, mz, 2, NULL) && !memcmp(mz, "MZ", 2);
}

static float probe_dtb(struct derive *d, unsigned at)
{
	int said = stated(d, KDBG_PROCESS_DTB, at);

	return said >= 0 ? (float)said : derive_share_of(d, at, 2, leads_to_kernel);
}

static int is_create_time(struct derive *d, const struct instance *s, unsigned at)
{
	return evidence_time(d->e, instance_value(s, at, 8));
}

static float probe_create_time(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_create_time);
}

static float probe_exit_time(struct derive *d, unsigned at)
{
	unsigned zero = 0, times = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t t = instance_value(s, at, 8);

		if (t && !evidence_time(d->e, t))
			return 0;
		*(t ? &times : &zero) += 1;
	}
	return times && zero > times ? 1 : 0;
}

static int is_exit_status(struct derive *d, const struct instance *s, unsigned at)
{
	(void)d;
	return value(s, at) == STATUS_PENDING;
}

static float probe_exit_status(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_exit_status);
}

/* System has no parent; the others' is a number like a pid, and not their own. */
static int is_parent(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t v = value(s, at);

	if (s == instance_at(d->instances, 0))
		return !v;
	return v && !(v & 3) && v < 0x100000 && v != value(s, d->e->pid);
}

static float probe_parent(struct derive *d, unsigned at)
{
	int said = stated(d, KDBG_PROCESS_PARENT, at);

	return said >= 0 ? (float)said : derive_share_of(d, at, 2, is_parent);
}

/* PEBs have ImageBaseAddress at 8. What is paged out says nothing. */
static int is_peb(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t peb = value(s, at), base;
	struct space *user = derive_user(d, s->process);

	if (!peb)
		return -1;
	if (!user_pointer(peb) || (peb & PAGE_MASK))
		return 0;
	return !user || space_read(user, (va_t){ peb + 8 }, &base, W, NULL) ? -1 : user_pointer(base) && !(base & 0xffff);
}

static float probe_peb(struct derive *d, unsigned at)
{
	int said = stated(d, KDBG_PROCESS_PEB, at);

	return said >= 0 ? (float)said : derive_share_of(d, at, 2, is_peb);
}

static int is_section_base(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t base = value(s, at);
	struct space *user = derive_user(d, s->process);
	char mz[2];

	if (!base)
		return -1;
	if (!user_pointer(base) || (base & 0xffff))
		return 0;
	return !user || space_read(user, (va_t){ base }, mz, 2, NULL) ? -1 : !memcmp(mz, "MZ", 2);
}

static float probe_section_base(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_section_base);
}

/* A token begins with its source's name. */
static int is_token(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t token = value(s, at) & ~7u;
	char name[8];

	if (!evidence_pointer(d->e, token) || space_read(d->e->space, (va_t){ token }, name, 8, NULL))
		return 0;
	return s == instance_at(d->instances, 0) ? !memcmp(name, "*SYSTEM*", 8) : g_ascii_isalpha(name[0]) || name[0] == '*';
}

static float probe_token(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_token);
}

/* A handle table names its process; System's has none to charge, and its pid alone. */
static int is_object_table(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t table = value(s, at), words[16];

	if (!table)
		return -1;
	if (!evidence_pointer(d->e, table) || (table & 7) || space_read(d->e->space, (va_t){ table }, words, sizeof(words), NULL))
		return 0;
	bool pid = false, process = s == instance_at(d->instances, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
		pid |= words[i] == value(s, d->e->pid);
		process |= words[i] == (uint32_t)s->va;
	}
	return pid && process;
}

static float probe_object_table(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_object_table);
}

/* The session's space, on pages of its own: a small number is at its SessionId. System is in none. */
static int is_session(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t session = value(s, at), id;

	if (!session)
		return -1;
	if (s == instance_at(d->instances, 0) || !evidence_pointer(d->e, session) || (session & PAGE_MASK))
		return 0;
	return !space_read(d->e->space, (va_t){ session + d->layout->mm_session_space.SessionId.offset }, &id, W, NULL) && id < 1024;
}

static float probe_session(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_session);
}

/* A node whose parent (word 2; the low bits balance the tree) is `parent` and whose children, two words from `first` on, name it. */
static bool is_node(struct derive *d, uint32_t node, uint32_t parent, unsigned up, unsigned first)
{
	uint32_t words[5], back;
	unsigned children = 0;

	if ((node & 7) || !evidence_pointer(d->e, node) || space_read(d->e->space, (va_t){ node }, words, sizeof(words), NULL) ||
	    (words[up] & ~7u) != parent)
		return false;
	for (unsigned i = first; i < first + 2; i++) {
		if (!words[i])
			continue;
		if (words[i] == node || !evidence_pointer(d->e, words[i]) || !read_word(d, words[i] + W * up, &back) || (back & ~7u) != node)
			return false;
		children++;
	}
	return children != 0;
}

/* Since Windows 8.1 a pointer to a node that begins with its children; in Windows XP to one whose parent is the third word, the
 * children behind it; between, a table that is a node itself, the tree on its right. */
static int is_vad_root(struct derive *d, const struct instance *s, unsigned at)
{
	if (d->layout->eprocess.VadRoot.size > W) {
		uint32_t right = value(s, at + 2 * W), back = 0;
		return !right ? -1 : evidence_pointer(d->e, right) && read_word(d, right, &back) && (back & ~3u) == (uint32_t)s->va + at;
	}
	uint32_t root = value(s, at);
	return !root ? -1 : is_node(d, root, 0, 2, 0) || is_node(d, root, 0, 2, 3);
}

static float probe_vad_root(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_vad_root);
}

/* The head of a list of threads: its first entry stands at one distance behind a dispatcher header of type thread. */
static unsigned thread_distance(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t flink = value(s, at), back;
	uint8_t type;

	if (flink == (uint32_t)s->va + at || !evidence_pointer(d->e, flink) || !read_word(d, flink + W, &back) || back != (uint32_t)s->va + at)
		return 0;
	for (unsigned k = 0x40; k < 0x600; k += W) {
		uint32_t waiters;
		if (!((flink - k) & 7) && !space_read(d->e->space, (va_t){ flink - k }, &type, 1, NULL) && type == OBJECT_THREAD &&
		    read_word(d, flink - k + 8, &waiters) && read_word(d, waiters + W, &back) && back == flink - k + 8)
			return k;
	}
	return 0;
}

static int is_thread_list(struct derive *d, const struct instance *s, unsigned at)
{
	return value(s, at) == (uint32_t)s->va + at ? -1 : thread_distance(d, s, at) != 0;
}

static float probe_threads(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_thread_list);
}

static float probe_process_threads(struct derive *d, unsigned at)
{
	return at == d->layout->kprocess.ThreadListHead.offset ? 0 : probe_threads(d, at);
}

/* As many threads as the list has. */
static int is_thread_count(struct derive *d, const struct instance *s, unsigned at)
{
	const struct field *head = &d->layout->kprocess.ThreadListHead;
	uint32_t n = value(s, at);

	if (!n || n > COUNTED_MAX)
		return n ? -1 : 0;
	/* Asked at every place of every process: the list is followed no farther than the number. */
	g_autoptr(GArray) list = head->size ? evidence_list(d->e->space, s->va + head->offset, n + 1) : NULL;
	return !list || !list->len ? -1 : n == list->len;
}

static float probe_active_threads(struct derive *d, unsigned at)
{
	const struct instance *s;
	bool differ = false;

	/* What is the same of all is no count of threads. */
	FOR_INSTANCES(d, s)
		differ |= value(s, at) && value(s, at) != value(instance_at(d->instances, 0), at);
	return differ ? derive_share_of(d, at, 3, is_thread_count) : 0;
}

/* A _UNICODE_STRING with the path of a device, or an empty one. */
static int names_device_path(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t string = value(s, at);
	struct { uint16_t length, room; uint32_t buffer; } text;
	uint16_t first[4];

	if (!string)
		return -1;
	if (!evidence_pointer(d->e, string) || (string & 3) || space_read(d->e->space, (va_t){ string }, &text, sizeof(text), NULL) ||
	    text.length > text.room || (text.length & 1))
		return false;
	if (!text.length)
		return text.room < 0x1000 ? -1 : 0;
	return evidence_pointer(d->e, text.buffer) && !space_read(d->e->space, (va_t){ text.buffer }, first, sizeof(first), NULL) &&
	       first[0] == '\\' && first[1] == 'D' && first[2] == 'e' && first[3] == 'v';
}

static float probe_audit_name(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_device_path);
}

/* Threads ---------------------------------------------------------------------- */

static void collect(struct derive *d)
{
	const struct field *head = &d->layout->eprocess.ThreadListHead;

	d->anchor = 0;
	for (guint i = 0; head->size && i < d->e->processes->len && d->threads->len < THREADS_MAX; i++) {
		const struct instance *s = instance_at(d->e->processes, i);
		g_autoptr(GArray) list = evidence_list(d->e->space, s->va + head->offset, PER_PROCESS);

		if (!d->anchor)
			d->anchor = thread_distance(d, s, head->offset);
		for (guint j = 0; d->anchor && j < list->len; j++)
			instances_add(d->threads, d->e->space, g_array_index(list, uint64_t, j) - d->anchor, i);
	}
}

static float probe_entry(struct derive *d, unsigned at)
{
	return d->anchor && at == d->anchor;
}

/* Where the entry of the scheduler's list is in a thread; 0: no process has such a list. */
static unsigned kernel_entry(struct derive *d)
{
	const struct field *head = &d->layout->kprocess.ThreadListHead;
	unsigned distance = 0;

	for (guint i = 0; head->size && i < d->e->processes->len && !distance; i++)
		distance = thread_distance(d, instance_at(d->e->processes, i), head->offset);
	return distance;
}

static int is_cid(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t tid = value(s, at + W);

	return value(s, at) == value(owner(d, s), d->e->pid) && tid && !(tid & 3) && tid < 0x1000000;
}

static float probe_cid(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_cid);
}

static int is_owner(struct derive *d, const struct instance *s, unsigned at)
{
	return value(s, at) == (uint32_t)owner(d, s)->va;
}

static float probe_owner(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_owner);
}

/* NT_TIB.Self is at 0x18. */
static int is_teb(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t teb = value(s, at), self;
	struct space *user = derive_user(d, s->process);

	if (!teb)	/* as of the System process's threads: but so is much else */
		return -1;
	if (!s->process || !user_pointer(teb) || (teb & PAGE_MASK))
		return 0;
	return !user || space_read(user, (va_t){ teb + 0x18 }, &self, W, NULL) ? -1 : self == teb;
}

static float probe_teb(struct derive *d, unsigned at)
{
	int said = stated(d, KDBG_THREAD_TEB, at);

	return said >= 0 ? (float)said : derive_share_of(d, at, 3, is_teb);
}

/* Where threads start: the kernel's in a module. */
static int is_start(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t v = value(s, at);

	return s->process ? user_pointer(v) && v != value(s, d->layout->kthread.Teb.offset) : v && evidence_in_module(d->e, v);
}

static float probe_start(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_start);
}

static void mark(void *user, const char *type, const char *member, struct field *f)
{
	const bool *foreign = user;

	(void)type;
	(void)member;
	if (f->size && !f->derived)
		f->derived = *foreign ? 40 : 55;
}

static void fit(struct derive *d)
{
	static const struct probe kernel_part[] = {
		{ FIELD_OF(kprocess.DirectoryTableBase), probe_dtb, 4, 4, 0.6f }, { FIELD_OF(kprocess.ThreadListHead), probe_threads, 4, 3, 0.7f },
	};
	static const struct probe process[] = {
		{ FIELD_OF(eprocess.UniqueProcessId), derive_probe_pid, 4, 8, 0.9f }, { FIELD_OF(eprocess.ActiveProcessLinks), derive_probe_links, 4, 8, 0.9f },
		{ FIELD_OF(eprocess.ImageFileName), derive_probe_name, 1, 8, 0.9f }, { FIELD_OF(eprocess.CreateTime), probe_create_time, 8, 3, 0.8f },
		{ FIELD_OF(eprocess.ExitTime), probe_exit_time, 8, 2, 0.9f },
		{ FIELD_OF(eprocess.InheritedFromUniqueProcessId), probe_parent, 4, 4, 0.8f }, { FIELD_OF(eprocess.Peb), probe_peb, 4, 4, 0.7f },
		{ FIELD_OF(eprocess.SectionBaseAddress), probe_section_base, 4, 4, 0.8f }, { FIELD_OF(eprocess.Token), probe_token, 4, 4, 0.8f },
		{ FIELD_OF(eprocess.ObjectTable), probe_object_table, 4, 4, 0.7f }, { FIELD_OF(eprocess.Session), probe_session, 4, 3, 0.8f }, { FIELD_OF(eprocess.VadRoot), probe_vad_root, 4, 4, 0.7f },
		{ FIELD_OF(eprocess.ExitStatus), probe_exit_status, 4, 3, 0.7f },
		{ FIELD_OF(eprocess.ThreadListHead), probe_process_threads, 4, 3, 0.7f },
		{ FIELD_OF(eprocess.ActiveThreads), probe_active_threads, 4, 3, 0.6f },
		{ FIELD_OF(eprocess.SeAuditProcessCreationInfo), probe_audit_name, 4, 4, 0.7f },
	};
	static const struct probe thread_part[] = {
		{ FIELD_OF(kthread.Teb), probe_teb, 4, 4, 0.7f }, { FIELD_OF(kthread.Process), probe_owner, 4, 3, 0.8f },
		{ FIELD_OF(kthread.ThreadListEntry), probe_entry, 4, 4, 0.9f },
	};
	static const struct probe thread[] = {
		{ FIELD_OF(ethread.Cid), probe_cid, 4, 4, 0.8f }, { FIELD_OF(ethread.ThreadListEntry), probe_entry, 4, 8, 0.9f },
		{ FIELD_OF(ethread.ThreadsProcess), probe_owner, 4, 3, 0.8f }, { FIELD_OF(ethread.StartAddress), probe_start, 4, 2, 0.9f },
		{ FIELD_OF(ethread.Win32StartAddress), probe_start, 4, 2, 0.9f },
	};
	const struct evidence *e = d->e;
	uint64_t size = kdbg_value(&e->kdbg, KDBG_PROCESS_SIZE, 2);

	derive_fit(d, "_KPROCESS", e->processes, MIN(e->pid, 0x200), kernel_part, G_N_ELEMENTS(kernel_part));
	derive_expect_size(d, d->layout->eprocess.size_, size);
	derive_fit(d, "_EPROCESS", e->processes, size ? (unsigned)size : MAX(d->layout->eprocess.size_, e->links) + 0x100, process, G_N_ELEMENTS(process));
	collect(d);
	const unsigned entry = d->anchor;
	d->anchor = kernel_entry(d);
	derive_fit(d, "_KTHREAD", d->threads, 0x400, thread_part, G_N_ELEMENTS(thread_part));
	d->anchor = entry;
	derive_expect_size(d, d->layout->ethread.size_, kdbg_value(&e->kdbg, KDBG_THREAD_SIZE, 2));
	derive_fit(d, "_ETHREAD", d->threads, 0x800, thread, G_N_ELEMENTS(thread));
}

static void subjects(struct derive *d)
{
	fit(d);
	derive_narrow_memory(d);
}

bool derive_narrow_fits(struct evidence *e, const struct layout *prior)
{
	AUTO(layout) layout = layout_copy(prior);
	struct derive d;

	derive_run(&d, e, layout, true, false, subjects);
	g_debug("prior %s: %u misfits", prior->origin, d.misfits);
	return !d.misfits;
}

struct layout *derive_narrow(struct evidence *e, struct layout *const *priors, size_t n)
{
	struct layout *layout = NULL;
	struct derive d, best = { .worth = -1 };

	for (size_t i = 0; i < n; i++) {
		AUTO(layout) copy = layout_copy(priors[i]);

		derive_run(&d, e, copy, false, !derive_same_build(e, copy->origin), subjects);
		g_debug("prior %s: worth %.1f", copy->origin, (double)d.worth);
		if (d.worth <= best.worth)
			continue;
		best = d;
		layout_destroy(layout);
		layout = g_steal_pointer(&copy);
	}
	if (!layout)
		return NULL;
	layout->source = LAYOUT_DERIVED;
	layout->base = layout->origin;
	layout_visit_fields(layout, mark, &best.foreign);
	layout->origin = g_strdup_printf("family %s, %u fields moved, %u unknown", layout->base, best.moved, best.lost);
	layout->confidence = best.foreign ? 50 : 70;
	return layout;
}
