/* SPDX-License-Identifier: Apache-2.0 */
/* Where the fields of _KPROCESS and _EPROCESS are: by what they hold in the processes of the active list. */
#include <string.h>
#include "derive.h"

#define SYSTEM_PID 4u
#define STATUS_PENDING 0x103u

static bool is_system(const struct derive *d, const struct instance *s)
{
	return s == instance_at(d->instances, 0);
}

/* _KPROCESS ---------------------------------------------------------------- */

/* A page-table root of its own that leads to the kernel. */
static float probe_dtb(struct derive *d, unsigned at)
{
	struct space *kernel = d->e->space;
	unsigned good = 0, bad = 0;
	const struct instance *s;
	uint64_t last = 0;
	char mz[2];

	FOR_INSTANCES(d, s) {
		uint64_t root = instance_value(s, at, 8);
		bool ok = false;

		/* The low bits hold a PCID; an exited process has none left. */
		if (good + bad > 24)
			break;
		if (root && !(root & UINT64_C(0xfff0000000000ff0)) && root >> 12 && root != last) {
			struct space *space = space_create(kernel->image, NULL, kernel->paging, (pa_t){ root });
			ok = !space_read(space, d->e->kernel->base, mz, 2, NULL) && !memcmp(mz, "MZ", 2);
			space_destroy(space);
		}
		last = root;
		*(ok ? &good : &bad) += 1;
		if (bad > 3 && bad > good)
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* The root that user code runs on where the kernel is shadowed: its user half is the other root's. */
static float probe_user_dtb(struct derive *d, unsigned at)
{
	const struct field *root = &d->layout->kprocess.DirectoryTableBase;
	unsigned good = 0, bad = 0;
	const struct instance *s;

	if (at == root->offset || !root->size)
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t user = instance_value(s, at, 8) & UINT64_C(0x000ffffffffff000), own = instance_value(s, root->offset, 8), mine[256], its[256];

		own &= UINT64_C(0x000ffffffffff000);
		/* 1: this process runs with the kernel's own root. */
		if (!user || user == own || good + bad > 24)
			continue;
		bool ok = instance_value(s, at, 8) >> 52 == 0 && !image_read(d->e->kernel->image, (pa_t){ own }, mine, sizeof(mine)) &&
			  !image_read(d->e->kernel->image, (pa_t){ user }, its, sizeof(its));
		unsigned same = 0;
		for (unsigned i = 0; ok && i < 256; i++) {
			ok = !((mine[i] ^ its[i]) & UINT64_C(0x000ffffffffff000));
			same += (mine[i] & 1) != 0;
		}
		*(ok && same ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 3);
}

/* The head of a list of threads, whose objects have a dispatcher header of type thread (6). */
static bool thread_list(struct derive *d, uint64_t head)
{
	uint64_t flink, back;

	if (!derive_read(d, head, &flink) || flink == head)
		return false;
	return derive_read(d, flink + 8, &back) && back == head;
}

static float probe_threads(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, distance = 0;
	const struct instance *s;
	uint8_t type;

	FOR_INSTANCES(d, s) {
		uint64_t head = s->va + at, flink = instance_value(s, at, 8);

		if (flink == head)	/* no threads left */
			continue;
		if (!thread_list(d, head)) {
			bad++;
		} else {
			/* All entries stand at one distance from a dispatcher header. */
			for (unsigned k = 0x80; !distance && k < 0x1000; k += 8)
				if (!((flink - k) & 15) && !space_read(d->e->space, (va_t){ flink - k }, &type, 1, NULL) && type == 6) {
					uint64_t waiters, back;
					if (derive_read(d, flink - k + 8, &waiters) && derive_read(d, waiters + 8, &back) && back == flink - k + 8)
						distance = k;
				}
			bool ok = distance && !space_read(d->e->space, (va_t){ flink - distance }, &type, 1, NULL) && type == 6;
			*(ok ? &good : &bad) += 1;
		}
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* An empty list, in nearly every process. */
static float probe_empty_list(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	/* The header before has a list of waiters. */
	if (at < d->layout->dispatcher_header.size_)
		return 0;
	FOR_INSTANCES(d, s) {
		*(instance_value(s, at, 8) == s->va + at && instance_value(s, at + 8, 8) == s->va + at ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* _EPROCESS ---------------------------------------------------------------- */

static bool known_pid(struct derive *d, uint64_t pid)
{
	const struct instance *s;

	FOR_INSTANCES(d, s)
		if (instance_value(s, d->e->pid, 8) == pid)
			return true;
	return false;
}

/* The parent's pid: System has none, many have a parent that still lives, none is its own. */
static float probe_parent(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, alive = 0;
	uint64_t first = 0, value;
	const struct instance *s;
	bool differ = false;

	if (at == d->e->pid || instance_value(instance_at(d->instances, 0), at, 8))
		return 0;
	FOR_INSTANCES(d, s) {
		if (is_system(d, s))
			continue;
		value = instance_value(s, at, 8);
		bool ok = value && !(value & 3) && value < 0x10000000 && value != instance_value(s, d->e->pid, 8);
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
		alive += ok && known_pid(d, value);
		differ |= first && value != first;
		first = value;
	}
	return (d->instances->len < 6 || differ) && alive * 3 >= good ? derive_share(good, bad, 1) : 0;
}

static float probe_create_time(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;
	uint64_t before = 0;

	FOR_INSTANCES(d, s) {
		uint64_t t = instance_value(s, at, 8);
		/* The list is in the order of creation, nearly. */
		bool ok = evidence_time(d->e, t) && t + UINT64_C(600000000) >= before;
		*(ok ? &good : &bad) += 1;
		if (ok)
			before = t;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* Zero while a process lives: only the exited ones tell, and there must be one. */
static float probe_exit_time(struct derive *d, unsigned at)
{
	unsigned zero = 0, times = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t t = instance_value(s, at, 8);

		if (!t)
			zero++;
		else if (evidence_time(d->e, t))
			times++;
		else
			return 0;
	}
	return times && zero > times ? 1 : 0;
}

/* A PEB: in user memory, and it names a mapped image and the loader's data. */
static float probe_peb(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t peb = instance_value(s, at, 8), base;
		struct space *user;
		char mz[2];

		if (!peb || is_system(d, s)) {
			if (peb && is_system(d, s))
				return 0;
			continue;
		}
		if (!evidence_user_pointer(peb) || (peb & PAGE_MASK)) {
			bad++;
		} else if ((user = derive_user(d, s->process))) {
			/* What is paged out says nothing. ImageBaseAddress is at 0x10 in every 64-bit PEB. */
			if (!space_read(user, (va_t){ peb + 0x10 }, &base, 8, NULL)) {
				bool ok = evidence_user_pointer(base) && !(base & 0xffff);
				if (ok && !space_read(user, (va_t){ base }, mz, 2, NULL))
					ok = !memcmp(mz, "MZ", 2) || !mz[0];
				*(ok ? &good : &bad) += 1;
			}
		}
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, d->instances->len / 4);
}

/* Where the program is mapped: mostly what its PEB says. */
static float probe_section_base(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t base = instance_value(s, at, 8);
		struct space *user;
		uint16_t magic;

		if (!base || is_system(d, s))
			continue;
		/* Anything but zero or a base is a sign against it. */
		if (!evidence_user_pointer(base) || (base & 0xffff)) {
			bad++;
		} else if ((user = derive_user(d, s->process)) && !space_read(user, (va_t){ base }, &magic, 2, NULL)) {
			*(magic == 0x5a4d || !magic ? &good : &bad) += 1;
		}
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, d->instances->len / 4);
}

/* Pointers into the pool, System's and all others': to what, `check` says. */
static float pointers(struct derive *d, unsigned at, uint64_t mask, bool (*check)(struct derive *, const struct instance *, uint64_t))
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t p = instance_value(s, at, 8) & ~mask;

		if (!p)
			continue;
		*(evidence_kernel_pointer(p) && !(p & 7) && check(d, s, p) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, MAX(2, d->instances->len / 4));
}

/* A token begins with its source's name, "*SYSTEM*" or "User32 " or "Advapi  ", and a LUID. */
static bool is_token(struct derive *d, const struct instance *s, uint64_t p)
{
	char name[8];

	if ((p & 15) || space_read(d->e->space, (va_t){ p }, name, 8, NULL))
		return false;
	if (is_system(d, s))
		return !memcmp(name, "*SYSTEM*", 8);
	for (unsigned i = 0; i < 8; i++)
		if (!g_ascii_isprint(name[i]) && !(i > 2 && !name[i]))
			return false;
	return g_ascii_isalpha(name[0]) || name[0] == '*';
}

static float probe_token(struct derive *d, unsigned at)
{
	return pointers(d, at, 15, is_token);
}

/* A handle table names its process, by pointer and by pid. */
static bool is_handle_table(struct derive *d, const struct instance *s, uint64_t p)
{
	uint8_t bytes[0x80];
	bool owner = false;
	uint64_t v;

	if (space_read(d->e->space, (va_t){ p }, bytes, sizeof(bytes), NULL))
		return false;
	for (unsigned i = 0; i < sizeof(bytes) && !owner; i += 8) {
		memcpy(&v, bytes + i, 8);
		owner = v == s->va;
	}
	/* System's has no process to charge. */
	for (unsigned i = 0; i < sizeof(bytes) && (!owner || is_system(d, s)); i += 4) {
		memcpy(&v, bytes + i, 4);
		if (i < sizeof(bytes) - 4 && (v & UINT32_MAX) == instance_value(s, d->e->pid, 4))
			owner = true;
	}
	return owner;
}

static float probe_object_table(struct derive *d, unsigned at)
{
	return pointers(d, at, 0, is_handle_table);
}

static bool is_file_object(struct derive *d, const struct instance *s, uint64_t p)
{
	uint16_t head[2];

	(void)s;
	return !space_read(d->e->space, (va_t){ p }, head, 4, NULL) && derive_is_file(head);
}

static float probe_image_file(struct derive *d, unsigned at)
{
	return pointers(d, at, 15, is_file_object);
}

/* A _UNICODE_STRING with a path of a device. */
static bool is_device_path(struct derive *d, const struct instance *s, uint64_t p)
{
	struct { uint16_t length, room; uint32_t pad; uint64_t buffer; } string;
	uint16_t text[8];

	(void)s;
	if (space_read(d->e->space, (va_t){ p }, &string, 16, NULL) || string.length > string.room || (string.length & 1))
		return false;
	if (!string.length)
		return string.room < 0x1000;
	return evidence_kernel_pointer(string.buffer) && !space_read(d->e->space, (va_t){ string.buffer }, text, 16, NULL) &&
	       text[0] == '\\' && text[1] == 'D' && text[2] == 'e' && text[3] == 'v';
}

static float probe_audit_name(struct derive *d, unsigned at)
{
	return pointers(d, at, 0, is_device_path);
}

/* The session's space: shared by several processes, with a small number at its SessionId. */
static float probe_session(struct derive *d, unsigned at)
{
	unsigned session_at = d->layout->mm_session_space.SessionId.offset, good = 0, bad = 0, shared = 0;
	const struct instance *s;
	uint64_t last = 0;

	if (instance_value(instance_at(d->instances, 0), at, 8))
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t p = instance_value(s, at, 8);
		uint32_t id;

		if (!p)
			continue;
		bool ok = evidence_kernel_pointer(p) && !(p & PAGE_MASK) &&
			  !space_read(d->e->space, (va_t){ p + session_at }, &id, 4, NULL) && id < 1024;
		*(ok ? &good : &bad) += 1;
		shared += p == last;
		last = p;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return shared ? derive_share(good, bad, d->instances->len / 3) : 0;
}

#define WOW64_MOST 0x40u		/* _EWOW64PROCESS has 0x10 bytes, the PEB's address first */

/* Is that the 32-bit PEB of the process? That has ImageBaseAddress at 8; what is paged out says nothing (-1). */
static int is_peb32(struct derive *d, const struct instance *s, uint64_t peb)
{
	struct space *user = derive_user(d, s->process);
	uint32_t base;

	if (!peb || peb >= UINT64_C(0x100000000) || (peb & PAGE_MASK))
		return 0;
	return !user || space_read(user, (va_t){ peb + 8 }, &base, 4, NULL) ? -1 : base && !(base & 0xffff);
}

/* What an _EWOW64PROCESS holds: the PEB's place in it, which is `*at` if that will do. */
static int leads_to_peb32(struct derive *d, const struct instance *s, uint64_t p, unsigned *at)
{
	uint64_t peb;

	if (derive_read(d, p + *at, &peb) && is_peb32(d, s, peb))
		return is_peb32(d, s, peb);
	for (unsigned other = 0; other < WOW64_MOST; other += 8)
		if (derive_read(d, p + other, &peb) && is_peb32(d, s, peb) > 0) {
			*at = other;
			return 1;
		}
	return 0;
}

/* Zero but in 32-bit processes, where it leads to the 32-bit PEB. */
static float probe_wow64(struct derive *d, unsigned at)
{
	unsigned zero = 0, good = 0, peb_at = d->layout->ewow64process.Peb.offset;
	const struct instance *s;

	if (instance_value(instance_at(d->instances, 0), at, 8))
		return 0;

	FOR_INSTANCES(d, s) {
		uint64_t p = instance_value(s, at, 8);

		if (!p) {
			zero++;
			continue;
		}
		/* From Vista to 8.1 it is the PEB's address itself. */
		int ok = p < UINT64_C(0x100000000) ? is_peb32(d, s, p) : leads_to_peb32(d, s, p, &peb_at);
		if (!ok)
			return 0;
		good += ok > 0;
	}
	return good && zero ? 1 : 0;
}

/*
 * Which of the forms it has; the field's name changed with the last. Windows XP and 2003 have a structure, too (_WOW64_PROCESS, which has no
 * members but the PEB's address; Windows Research Kernel, ps.h): where the address comes first, who reads the field by its first name takes both.
 */
static void derive_wow64(struct derive *d)
{
	struct field *before = &d->layout->eprocess.Wow64Process, *since = &d->layout->eprocess.WoW64Process;
	struct field *peb = &d->layout->ewow64process.Peb;
	const struct field f = since->size ? *since : *before;
	const struct instance *s;
	unsigned at = peb->offset;

	if (!f.size || probe_wow64(d, f.offset) < 0.9f)
		return;
	FOR_INSTANCES(d, s) {
		uint64_t p = instance_value(s, f.offset, 8);

		if (!p)
			continue;
		bool direct = p < UINT64_C(0x100000000);
		/* What is paged out doesn't tell where the address is. */
		if (!direct && leads_to_peb32(d, s, p, &at) <= 0)
			continue;
		const bool fits = since->size ? !direct && (!peb->size || at == peb->offset) : direct || !at;
		if (d->checking)
			d->misfits += fits ? 0 : 4;
		if (d->checking || (fits && !since->size))
			return;
		*(direct ? since : before) = (struct field){ 0 };
		*(direct ? before : since) = f;
		if (direct)
			*peb = (struct field){ 0 };
		else if (!peb->size || at != peb->offset)
			*peb = (struct field){ .offset = (uint16_t)at, .size = 8, .derived = 90 };
		return;
	}
}

static float probe_exit_status(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s)
		*(instance_value(s, at, 4) == STATUS_PENDING ? &good : &bad) += 1;
	return derive_share(good, bad, 2);
}

/* The part of _EPROCESS that isn't its _KPROCESS has a list of its own. */
static float probe_process_threads(struct derive *d, unsigned at)
{
	return at == d->layout->kprocess.ThreadListHead.offset ? 0 : probe_threads(d, at);
}

static unsigned count_threads(struct derive *d, const struct instance *s)
{
	const struct field *head = &d->layout->kprocess.ThreadListHead;
	g_autoptr(GArray) list = head->size ? evidence_list(d->e->space, s->va + head->offset, 4096) : NULL;

	return list ? list->len : 0;
}

static float probe_active_threads(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, first = 0;
	const struct instance *s;
	bool differ = false;

	FOR_INSTANCES(d, s) {
		uint64_t n = instance_value(s, at, 4);
		if (!n || n > 4096) {
			bad++;
		} else {
			unsigned count = good + bad < 24 ? count_threads(d, s) : 0;
			if (!count)
				continue;
			*(n == count ? &good : &bad) += 1;
			differ |= first && n != first;
			first = (unsigned)n;
		}
		if (derive_hopeless(good, bad))
			return 0;
	}
	return differ ? derive_share(good, bad, 3) : 0;
}

/* System is protected (0x72: a protected process of WinSystem), most others are not (PS_PROTECTION). */
static float probe_protection(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	if (instance_value(instance_at(d->instances, 0), at, 1) != 0x72)
		return 0;
	FOR_INSTANCES(d, s) {
		uint8_t v = (uint8_t)instance_value(s, at, 1);
		*((!v || ((v & 7) <= 2 && (v & 7) && v >> 4 && v >> 4 <= 8)) ? &good : &bad) += 1;
	}
	return derive_share(good, bad, 2);
}

/* Links to processes only: the neighbours are another's same field, or a head. */
static float probe_process_links(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, own = 0;
	const struct instance *s, *t;

	if (at <= d->e->links)	/* KPROCESS.ProcessListEntry looks the same */
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t flink = instance_value(s, at, 8), back;
		bool ok;

		if (!flink)
			continue;
		ok = derive_read(d, flink + 8, &back) && back == s->va + at && flink != s->va + at;
		for (guint j = 0; ok && j < d->instances->len && good + bad < 24; j++) {
			t = instance_at(d->instances, j);
			own += t->va + at == flink;
		}
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return own >= 2 ? derive_share(good, bad, 3) : 0;
}

static float probe_mm_links(struct derive *d, unsigned at)
{
	/* System is in it; it belongs to no session. */
	return evidence_kernel_pointer(instance_value(instance_at(d->instances, 0), at, 8)) ? probe_process_links(d, at) : 0;
}

static float probe_session_links(struct derive *d, unsigned at)
{
	return evidence_kernel_pointer(instance_value(instance_at(d->instances, 0), at, 8)) ? 0 : probe_process_links(d, at);
}

/* Of 64-bit processes, of such as can't use more than 2 GiB or 4 GiB, and 8 TiB before Windows 8.1. */
static bool is_user_limit(uint64_t v)
{
	static const uint64_t limits[] = {
		UINT64_C(0x7fffffff0000), UINT64_C(0x7ffffffeffff), 0x7fff0000, 0x7ffeffff, 0xffff0000, 0xfffeffff,
		UINT64_C(0x7fffffeffff), UINT64_C(0x7ffffff0000),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
		if (v == limits[i])
			return true;
	return false;
}

static float probe_highest_user(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t v = instance_value(s, at, 8);
		if (!v)
			continue;
		*(is_user_limit(v) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, d->instances->len / 3);
}

/* The root of the tree of VADs ---------------------------------------------- */

/* Windows 8.1 and later: a node's parent pointer (its low bits balance the tree) leads back. */
static bool is_avl_node(struct derive *d, uint64_t node, uint64_t parent)
{
	uint64_t link[3], back;

	if (space_read(d->e->space, (va_t){ node }, link, sizeof(link), NULL) || (link[2] & ~UINT64_C(7)) != parent)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (link[i] && (link[i] == node || !derive_read(d, link[i] + 16, &back) || (back & ~UINT64_C(7)) != node))
			return false;
	return link[0] || link[1];
}

static bool is_vad_root(struct derive *d, const struct instance *s, uint64_t p)
{
	(void)s;
	return !(p & 15) && is_avl_node(d, p, 0);
}

/* Before: a table whose first part is a node, the tree on its right. */
static float probe_vad_table(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t right = instance_value(s, at + 16, 8), parent;

		if (is_system(d, s) || (!right && !instance_value(s, at + 8, 8)))
			continue;
		*(evidence_kernel_pointer(right) && derive_read(d, right, &parent) && (parent & ~UINT64_C(3)) == s->va + at ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, MAX(2, d->instances->len / 4));
}

static float probe_vad_root(struct derive *d, unsigned at)
{
	const struct instance *s;
	unsigned back;

	if (d->layout->eprocess.VadRoot.size > 8)
		return probe_vad_table(d, at);
	/* VadHint, behind it, may be the root as well. */
	for (back = 8; back <= 0x18 && back <= at; back += 8) {
		bool same = true;
		FOR_INSTANCES(d, s)
			same &= instance_value(s, at, 8) == instance_value(s, at - back, 8);
		if (same)
			return 0;
	}
	return pointers(d, at, 0, is_vad_root);
}

void derive_processes(struct derive *d)
{
	static const struct probe kernel_part[] = {
		{ FIELD_OF(kprocess.DirectoryTableBase), probe_dtb, 8, 4, 0.6f },
		{ FIELD_OF(kprocess.ProfileListHead), probe_empty_list, 8, 1, 0.8f },
		{ FIELD_OF(kprocess.ThreadListHead), probe_threads, 8, 3, 0.7f },
		{ FIELD_OF(kprocess.UserDirectoryTableBase), probe_user_dtb, 8, 3, 0.9f },
	};
	static const struct probe first[] = {
		{ FIELD_OF(eprocess.UniqueProcessId), derive_probe_pid, 8, 8, 0.9f },
		{ FIELD_OF(eprocess.ActiveProcessLinks), derive_probe_links, 8, 8, 0.9f },
		{ FIELD_OF(eprocess.ImageFileName), derive_probe_name, 1, 8, 0.9f },
		{ FIELD_OF(eprocess.CreateTime), probe_create_time, 8, 3, 0.8f },
		{ FIELD_OF(eprocess.ExitTime), probe_exit_time, 8, 2, 0.9f },
		{ FIELD_OF(eprocess.InheritedFromUniqueProcessId), probe_parent, 8, 4, 0.7f },
		{ FIELD_OF(eprocess.Peb), probe_peb, 8, 4, 0.7f },
		{ FIELD_OF(eprocess.SectionBaseAddress), probe_section_base, 8, 4, 0.8f },
		{ FIELD_OF(eprocess.Token), probe_token, 8, 4, 0.8f },
		{ FIELD_OF(eprocess.ObjectTable), probe_object_table, 8, 4, 0.7f },
		{ FIELD_OF(eprocess.ImageFilePointer), probe_image_file, 8, 4, 0.8f },
		{ FIELD_OF(eprocess.SeAuditProcessCreationInfo), probe_audit_name, 8, 4, 0.7f },
		{ FIELD_OF(eprocess.Session), probe_session, 8, 3, 0.8f },
		{ FIELD_OF(eprocess.Wow64Process), probe_wow64, 8, 3, 0.9f },
		{ FIELD_OF(eprocess.WoW64Process), probe_wow64, 8, 3, 0.9f },
		{ FIELD_OF(eprocess.ExitStatus), probe_exit_status, 4, 3, 0.7f },
		{ FIELD_OF(eprocess.ThreadListHead), probe_process_threads, 8, 3, 0.7f },
		{ FIELD_OF(eprocess.ActiveThreads), probe_active_threads, 4, 3, 0.6f },
		{ FIELD_OF(eprocess.Protection), probe_protection, 1, 2, 0.9f },
		{ FIELD_OF(eprocess.SessionProcessLinks), probe_session_links, 8, 2, 0.7f },
		{ FIELD_OF(eprocess.MmProcessLinks), probe_mm_links, 8, 2, 0.8f },
		{ FIELD_OF(eprocess.HighestUserAddress), probe_highest_user, 8, 2, 0.8f },
		{ FIELD_OF(eprocess.VadRoot), probe_vad_root, 8, 4, 0.7f },
	};
	struct evidence *e = d->e;

	/* The _KPROCESS is the first part of it and ends before the pid, so that moves as its end does. */
	derive_expect_size(d, d->layout->eprocess.UniqueProcessId.offset, e->pid);
	derive_fit(d, "_KPROCESS", e->processes, MIN(e->pid, 0x800), kernel_part, G_N_ELEMENTS(kernel_part));
	uint64_t size = kdbg_value(&e->kdbg, KDBG_PROCESS_SIZE, 2);
	derive_expect_size(d, d->layout->eprocess.size_, size);
	/* Nothing lies behind the end, where the debugger's data tells it. */
	unsigned limit = d->end.known && size > e->links ? (unsigned)size : MAX(d->layout->eprocess.size_, e->links) + 0x200;
	derive_fit(d, "_EPROCESS", e->processes, limit, first, G_N_ELEMENTS(first));
	derive_wow64(d);
}
