/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"
#include <string.h>
#include "big_pool.h"
#include "limit.h"
#include "paging.h"
#include "segment_heap.h"

/* Tags of ob\…\type.c and mm, as pooltag.txt of the debugger's tools lists them. The sizes bound what an x64 object of
 * the kind with its headers can measure. */
const struct sweep_pattern pool_process = { SWEEP_POOL, "Proc", 0x300, 0, NULL };
const struct sweep_pattern pool_thread = { SWEEP_POOL, "Thre", 0x300, 0, NULL };
const struct sweep_pattern pool_driver = { SWEEP_POOL, "Driv", 0x190, 0, NULL };
const struct sweep_pattern pool_device = { SWEEP_POOL, "Devi", 0x180, 0, NULL };
const struct sweep_pattern pool_file = { SWEEP_POOL, "File", 0x100, 0, NULL };
const struct sweep_pattern pool_mutant = { SWEEP_POOL, "Muta", 0x70, 0, NULL };
const struct sweep_pattern pool_symbolic_link = { SWEEP_POOL, "Symb", 0x60, 0, NULL };
const struct sweep_pattern pool_loader_entry = { SWEEP_POOL, "MmLd", 0xa0, 0, NULL };

/* The optional headers and the quota block's padding never take more than this. */
#define MAX_HEADERS 0x100
#define MAX_ADDRESSES FIXED_frame_addresses
/* FILETIME of 1990 and of 2100: what a process of Windows can have been started at. */
#define EARLIEST UINT64_C(122746752000000000)
#define LATEST UINT64_C(157469184000000000)

struct pool_bytes pool_read(const struct context *c, const struct pool_object *object, size_t size)
{
	struct pool_bytes bytes = { g_malloc0(size), size, 0 };

	if (object->va.v) {
		if (!space_read(c->space, object->va, bytes.data, size, NULL))
			bytes.have = size;
		else	/* the page it starts in is there: a hit lies in it */
			size = MIN(size, PAGE_SIZE - (object->va.v & PAGE_MASK));
	} else {
		/* Where the block goes on, nobody knows any more. */
		size = MIN(size, PAGE_SIZE - (object->pa.v & PAGE_MASK));
	}
	if (!bytes.have && !image_read(c->image, object->pa, bytes.data, size))
		bytes.have = size;
	return bytes;
}

void pool_bytes_clear(struct pool_bytes *bytes)
{
	g_free(bytes->data);
	*bytes = (struct pool_bytes){ NULL, 0, 0 };
}

bool pool_field(const struct pool_bytes *bytes, uint32_t base, struct field field, uint64_t *out)
{
	uint64_t at = (uint64_t)base + field.offset, value = 0;

	if (!field.size || field.size > 8 || at + field.size > bytes->have)
		return false;
	memcpy(&value, bytes->data + at, field.size);
	if (field.bits && field.bits < 64)
		value = value >> field.bit & ((UINT64_C(1) << field.bits) - 1);
	*out = value;
	return true;
}

/* Bytes of the optional headers that InfoMask tells of. */
static uint32_t optional_size(const struct layout *l, uint8_t mask)
{
	const uint32_t other = 2 * l->pointer_size;
	const uint32_t sizes[8] = {
		l->object_header_creator_info.size_, l->object_header_name_info.size_, l->object_header_handle_info.size_,
		l->object_header_quota_info.size_, l->object_header_process_info.size_, other, other, other,
	};
	uint32_t total = 0;

	for (int i = 0; i < 8; i++)
		total += mask >> i & 1 ? sizes[i] : 0;
	return total;
}

/* Does a block that has an object's header `before` bytes from its start begin with the farthest of its optional ones? */
static bool headers_fit(const struct layout *l, const uint8_t *header, uint32_t before)
{
	if (!l->object_header.NameInfoOffset.size)
		return optional_size(l, header[l->object_header.InfoMask.offset]) == before;
	uint8_t name = header[l->object_header.NameInfoOffset.offset], handle = header[l->object_header.HandleInfoOffset.offset],
		quota = header[l->object_header.QuotaInfoOffset.offset], farthest = MAX(MAX(name, handle), quota);
	/* The creator's, the nearest, has no distance of its own. */
	return before == farthest || (!farthest && before == l->object_header_creator_info.size_);
}

/*
 * Where in the block the object's body starts; 0: nowhere. Its header says how many
 * optional ones stand before it, so the header is where that sum comes out; the type
 * index, which takes the address to decode, settles it.
 */
static uint32_t find_body(const struct context *c, const struct object_types *types, const char *type, uint32_t first, uint32_t mask,
			  const uint8_t *block, size_t have, uint32_t start_at, va_t va, bool *typed)
{
	const struct layout *l = c->kernel->layout;
	uint32_t body = l->object_header.Body.offset, untyped = 0;

	*typed = false;
	for (uint32_t at = start_at; at <= MAX_HEADERS && at + body + 4 <= have; at += l->pool_header.size_) {
		const uint8_t *header = block + at;
		const struct field field = types->by_address ? l->object_header.Type : l->object_header.TypeIndex;
		uint64_t type_field = 0;
		uint32_t start;
		memcpy(&start, header + body, sizeof(start));
		if (!headers_fit(l, header, at - start_at) || ((start ^ first) & mask))
			continue;
		memcpy(&type_field, header + field.offset, field.size);
		uint8_t index = object_type_index(types, (va_t){ va.v + at }, type_field);
		const char *name = va.v || types->by_address ? types->name[index] : NULL;
		if (name && !strcmp(name, type)) {
			*typed = true;
			return at + body;
		}
		if (!untyped && mask)
			untyped = at + body;
	}
	return untyped;
}

/* Blocks of the segment heap may cross into the next page, whose frame is another: what lies there the address tells. */
static size_t read_block(const struct context *c, const struct sweep_hit *hit, va_t va, uint8_t *block, size_t size)
{
	size_t here = MIN(size, PAGE_SIZE - (hit->pa.v & PAGE_MASK));

	if (here < size && va.v && !space_read(c->space, va, block, size, NULL))
		return size;
	return image_read(c->image, hit->pa, block, here) ? 0 : here;
}

static void resolve(const struct context *c, const struct sweep_hit *hit, const struct object_types *types, const char *type,
		    uint32_t first, uint32_t mask, const struct segment_heap *heap, GArray *out)
{
	uint8_t block[MAX_HEADERS + 0x80];
	size_t size = MIN(sizeof(block), hit->size), have;
	uint32_t start = c->kernel->layout->pool_header.size_;
	struct pool_object best = { .header = hit->pa, .block = hit->size, .freed = hit->freed };
	uint32_t at = 0;
	va_t va[MAX_ADDRESSES];
	unsigned n = sweep_addresses(c->sweep, hit->pa, va, G_N_ELEMENTS(va));

	/* A frame may be mapped more than once: the object's own address is the one its type index fits. */
	for (unsigned i = 0; i < n && !best.typed; i++) {
		have = read_block(c, hit, va[i], block, size);
		uint32_t here = find_body(c, types, type, first, mask, block, have, start, va[i], &best.typed);
		if (here && (best.typed || !at)) {
			at = here;
			best.va.v = va[i].v + here;
			best.freed = hit->freed || segment_heap_state(heap, c->space, va[i], hit->size) == BLOCK_FREE;
		}
	}
	if (!n) {
		have = read_block(c, hit, (va_t){ 0 }, block, size);
		at = find_body(c, types, type, first, mask, block, have, start, (va_t){ 0 }, &best.typed);
	}
	if (!at)
		return;
	best.pa.v = hit->pa.v + at;
	g_array_append_val(out, best);
}

/* Single bytes in every build (the type's address before Windows 7): what isn't so was derived wrongly. */
static bool readable_headers(const struct layout *l, bool by_address)
{
	const struct field bytes[] = {
		by_address ? l->object_header.NameInfoOffset : l->object_header.InfoMask,
		by_address ? l->object_header.HandleInfoOffset : l->object_header.TypeIndex,
		by_address ? l->object_header.QuotaInfoOffset : l->object_header.TypeIndex,
	};
	bool readable = l->object_header.Body.size && l->object_header.Body.offset <= 0x60 && l->pool_header.size_ >= 8;

	for (size_t i = 0; i < G_N_ELEMENTS(bytes); i++)
		readable = readable && bytes[i].size == 1 && bytes[i].offset < 0x60;
	return readable && (!by_address || (l->object_header.Type.size == l->pointer_size && l->object_header.Type.offset < 0x58));
}

bool pool_scannable(const struct context *c)
{
	const struct layout *l = c->kernel->layout;

	return c->sweep && l && readable_headers(l, l->object_header.Type.size && !l->object_header.TypeIndex.size);
}

/* Of a page and more (with the verifier's special pool, any size): without a pool header, and their address is known. */
static void add_big(const struct context *c, const struct sweep_pattern *pattern, const struct object_types *types, const char *type,
		    uint32_t first, uint32_t mask, GArray *out)
{
	enum fault fault;
	va_t at;
	bool missing;
	g_autoptr(GArray) list = big_pool_list(c, pattern->tag, &fault, &at, &missing);	/* what is missing the plugin `big_pool` says */

	for (guint i = 0; list && i < list->len; i++) {
		const struct big_allocation *b = &g_array_index(list, struct big_allocation, i);
		struct page page;
		uint8_t block[MAX_HEADERS + 0x80];
		if (b->freed || space_page(c->space, b->va, &page) || !page_resident(&page) ||
		    space_read(c->space, b->va, block, sizeof(block), NULL))
			continue;
		struct pool_object object = { .block = (uint32_t)MIN(b->size, UINT32_MAX) };
		uint32_t body = find_body(c, types, type, first, mask, block, sizeof(block), 0, b->va, &object.typed);
		if (!body)
			continue;
		object.header.v = page.pa.v + (b->va.v - page.va.v);
		object.pa.v = object.header.v + body;
		object.va.v = b->va.v + body;
		g_array_append_val(out, object);
	}
}

GArray *pool_objects(const struct context *c, const struct sweep_pattern *pattern, const struct object_types *types,
		     const char *type, uint32_t first, uint32_t mask)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct pool_object));
	const struct layout *l = c->kernel->layout;
	const GArray *hits = c->sweep && l ? sweep_hits(c->sweep, pattern) : NULL;
	struct segment_heap heap;

	if (!hits || !pool_scannable(c))
		return out;
	segment_heap_init(&heap, c->kernel, c->space);
	for (guint i = 0; i < hits->len && !context_cancelled(c); i++)
		resolve(c, &g_array_index(hits, struct sweep_hit, i), types, type, first, mask, &heap, out);
	add_big(c, pattern, types, type, first, mask, out);
	return out;
}

GArray *pool_blocks(const struct context *c, const struct sweep_pattern *pattern)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct pool_object));
	const struct layout *l = c->kernel->layout;
	const GArray *hits = c->sweep && l ? sweep_hits(c->sweep, pattern) : NULL;
	struct segment_heap heap = { .known = false };

	if (hits)
		segment_heap_init(&heap, c->kernel, c->space);
	for (guint i = 0; hits && i < hits->len; i++) {
		const struct sweep_hit *hit = &g_array_index(hits, struct sweep_hit, i);
		va_t va = { 0 };
		unsigned n = sweep_addresses(c->sweep, hit->pa, &va, 1);
		struct pool_object object = { hit->pa, { hit->pa.v + l->pool_header.size_ }, { n ? va.v + l->pool_header.size_ : 0 },
			hit->size, hit->freed || segment_heap_state(&heap, c->space, va, hit->size) == BLOCK_FREE, false };
		g_array_append_val(out, object);
	}
	enum fault fault;
	va_t at;
	bool missing;
	g_autoptr(GArray) list = l ? big_pool_list(c, pattern->tag, &fault, &at, &missing) : NULL;
	for (guint i = 0; list && i < list->len; i++) {
		const struct big_allocation *b = &g_array_index(list, struct big_allocation, i);
		struct page page;
		if (b->freed || space_page(c->space, b->va, &page) || !page_resident(&page))
			continue;
		pa_t pa = { page.pa.v + (b->va.v - page.va.v) };
		struct pool_object object = { pa, pa, b->va, (uint32_t)MIN(b->size, UINT32_MAX), false, false };
		g_array_append_val(out, object);
	}
	return out;
}

static bool plausible_time(uint64_t time)
{
	return !time || (time > EARLIEST && time < LATEST);
}

/*
 * Does the list head at `offset` of a structure at va belong to it? An empty one points to
 * itself, else the entry after it points back. What is left of an object fails this: its
 * links are of another time. An entry that is not in the dump proves nothing.
 */
static bool list_belongs(struct space *space, va_t va, uint32_t offset)
{
	struct object head = object_at(space, va.v + offset);
	uint64_t next = 0, back = 0;

	if (READ(head, list_entry.Flink, &next))
		return false;
	if (next == head.va.v)
		return true;
	struct object entry = object_at(space, next);
	if (!space_is_kernel(space, entry.va))
		return false;
	enum fault fault = READ(entry, list_entry.Blink, &back);
	return fault ? fault == FAULT_NOT_IN_DUMP : back == head.va.v;
}

/* What a derived layout doesn't know of tells nothing against an object. */
static bool known_field(const struct pool_bytes *b, uint32_t at, struct field field, uint64_t *out)
{
	return !field.size || pool_field(b, at, field, out);
}

static bool read_process(const struct context *c, struct process_candidate *p)
{
	const struct layout *l = c->kernel->layout;
	struct pool_bytes b = pool_read(c, &p->object, l->eprocess.size_);
	struct field name = l->eprocess.ImageFileName;
	uint64_t dtb = 0;
	bool ok = pool_field(&b, 0, l->eprocess.UniqueProcessId, &p->pid) &&
		pool_field(&b, l->eprocess.Pcb.offset, l->kprocess.DirectoryTableBase, &dtb) &&
		known_field(&b, 0, l->eprocess.CreateTime, &p->create_time) && known_field(&b, 0, l->eprocess.ExitTime, &p->exit_time) &&
		!(p->pid & 3) && p->pid <= UINT32_MAX && plausible_time(p->create_time) && plausible_time(p->exit_time);

	pool_field(&b, 0, l->eprocess.InheritedFromUniqueProcessId, &p->ppid);
	p->dtb = paging_dtb(c->kernel->paging, dtb);
	ok = ok && name.size && name.size <= 16 && (size_t)name.offset + name.size <= b.have;
	if (ok) {
		memcpy(p->name, b.data + name.offset, MIN(name.size, sizeof(p->name) - 1));
		ok = *p->name != '\0';
		for (char *at = p->name; *at && ok; at++)
			ok = g_ascii_isprint(*at);
	}
	pool_bytes_clear(&b);
	return ok;
}

static bool read_thread(const struct context *c, struct thread_candidate *t)
{
	const struct layout *l = c->kernel->layout;
	struct pool_bytes b = pool_read(c, &t->object, l->ethread.size_);
	uint64_t process = 0;
	uint32_t cid = l->ethread.Cid.offset;
	bool ok = l->ethread.Cid.size && pool_field(&b, cid, l->client_id.UniqueThread, &t->tid) &&
		pool_field(&b, cid, l->client_id.UniqueProcess, &t->pid) &&
		(l->kthread.Process.size ? pool_field(&b, l->ethread.Tcb.offset, l->kthread.Process, &process) :
					   pool_field(&b, 0, l->ethread.ThreadsProcess, &process)) &&
		pool_field(&b, 0, l->ethread.CreateTime, &t->create_time) &&
		!(t->tid & 3) && !(t->pid & 3) && t->tid && t->tid <= UINT32_MAX &&
		t->pid <= UINT32_MAX && plausible_time(t->create_time = thread_create_time(l, t->create_time)) && space_is_kernel(c->space, (va_t){ process });

	/* ExitTime shares its place with a list until the thread ends. */
	if (!pool_field(&b, 0, l->ethread.ExitTime, &t->exit_time) || t->exit_time < EARLIEST || t->exit_time > LATEST)
		t->exit_time = 0;
	t->process.v = process;
	pool_bytes_clear(&b);
	return ok;
}

/* Is it in a list, so that the entry after it points back? */
static bool entry_belongs(struct space *space, va_t va, uint32_t offset)
{
	struct object entry = object_at(space, va.v + offset);
	uint64_t next = 0;

	return !READ(entry, list_entry.Flink, &next) && next != entry.va.v && list_belongs(space, va, offset);
}

/*
 * Does anything in it know where it is? A copy of an object (someone planted it, or it was copied with its pool) has the
 * links of another: none of its lists belongs to it. One is enough, for lists may be smeared. A field that the build lacks is passed over.
 */
static bool is_itself(const struct context *c, va_t va, bool process)
{
	const struct layout *l = c->kernel->layout;
	const uint32_t pcb = l->eprocess.Pcb.offset, tcb = l->ethread.Tcb.offset;
	const struct { struct field field; uint32_t base; bool entry; } of_process[] = {
		{ l->eprocess.ThreadListHead, 0, false }, { l->kprocess.ThreadListHead, pcb, false }, { l->kprocess.ProfileListHead, pcb, false },
		{ l->dispatcher_header.WaitListHead, pcb + l->kprocess.Header.offset, false }, { l->eprocess.ActiveProcessLinks, 0, true },
	}, of_thread[] = {
		{ l->kapc_state.ApcListHead, tcb + l->kthread.ApcState.offset, false },
		{ l->dispatcher_header.WaitListHead, tcb + l->kthread.Header.offset, false },
		{ l->kthread.ThreadListEntry, tcb, true }, { l->ethread.ThreadListEntry, 0, true },
	};

	for (size_t i = 0; i < (process ? G_N_ELEMENTS(of_process) : G_N_ELEMENTS(of_thread)); i++) {
		struct field field = process ? of_process[i].field : of_thread[i].field;
		uint32_t offset = (process ? of_process[i].base : of_thread[i].base) + field.offset;
		bool entry = process ? of_process[i].entry : of_thread[i].entry;
		if (field.size && (entry ? entry_belongs(c->space, va, offset) : list_belongs(c->space, va, offset)))
			return true;
	}
	return false;
}

/*
 * Every mapped, allocated block whose header has the right type is an object, so long as somebody refers to it (a freed
 * one's index is 1, that of no type) and it is no copy; without types (an unknown build) the links tell.
 */
static enum pool_state state_of(const struct context *c, const struct pool_object *o, const struct object_types *types,
				const char *type, uint32_t list, bool exited)
{
	bool known = object_types_have(types, type);	/* else an unknown build, or the type itself is not in the dump */
	struct object header = object_header_of(c->space, o->va);
	int64_t pointers = 1, handles = 1;

	if (o->freed || !o->va.v || (known && !o->typed) || (!known && list && !list_belongs(c->space, o->va, list)) ||
	    !is_itself(c, o->va, !strcmp(type, "Process")))
		return POOL_REMNANT;
	if (!READ(header, object_header.PointerCount, &pointers) && !READ(header, object_header.HandleCount, &handles) && !pointers && !handles)
		return POOL_REMNANT;
	return exited ? POOL_EXITED : POOL_LIVE;
}

/* KOBJECTS of ntddk.h, the first byte of a dispatcher object. */
#define DISPATCHER_PROCESS 3
#define DISPATCHER_THREAD 6

/* Both kinds of candidate begin with their struct pool_object. */
static gint compare_candidates(gconstpointer a, gconstpointer b)
{
	const struct pool_object *x = a, *y = b;

	if (x->va.v != y->va.v)
		return x->va.v < y->va.v ? -1 : 1;
	return (x->pa.v > y->pa.v) - (x->pa.v < y->pa.v);
}

/*
 * No two processes have the same page tables. Of two that say so, who has threads is one; what has none, and claims to live, is
 * made up, however well.
 */
static void refuse_copies(const struct context *c, GArray *candidates)
{
	g_autoptr(GHashTable) owned = g_hash_table_new(g_int64_hash, g_int64_equal);
	const uint32_t list = c->kernel->layout->eprocess.ThreadListHead.offset;

	for (guint i = 0; i < candidates->len; i++) {
		struct process_candidate *p = &g_array_index(candidates, struct process_candidate, i);
		if (p->state == POOL_LIVE && entry_belongs(c->space, p->object.va, list))
			g_hash_table_add(owned, &p->dtb.v);
	}
	for (guint i = 0; i < candidates->len; i++) {
		struct process_candidate *p = &g_array_index(candidates, struct process_candidate, i);
		if (p->state == POOL_LIVE && g_hash_table_contains(owned, &p->dtb.v) && !entry_belongs(c->space, p->object.va, list))
			p->state = POOL_REMNANT;
	}
}

GArray *process_candidates(const struct context *c)
{
	AUTO(object_types) types = object_types_load(c->kernel, c->space);
	g_autoptr(GArray) objects = pool_objects(c, &pool_process, types, "Process", DISPATCHER_PROCESS, 0x7f);
	GArray *out = g_array_new(FALSE, TRUE, sizeof(struct process_candidate));

	for (guint i = 0; i < objects->len; i++) {
		struct process_candidate p = { .object = g_array_index(objects, struct pool_object, i) };
		if (!read_process(c, &p))
			continue;
		p.state = state_of(c, &p.object, types, "Process", c->kernel->layout->eprocess.ThreadListHead.offset, p.exit_time != 0);
		if (!p.dtb.v)	/* its page tables were given back with it */
			p.state = POOL_REMNANT;
		g_array_append_val(out, p);
	}
	refuse_copies(c, out);
	g_array_sort(out, compare_candidates);
	return out;
}

GArray *thread_candidates(const struct context *c)
{
	AUTO(object_types) types = object_types_load(c->kernel, c->space);
	g_autoptr(GArray) objects = pool_objects(c, &pool_thread, types, "Thread", DISPATCHER_THREAD, 0x7f);
	GArray *out = g_array_new(FALSE, TRUE, sizeof(struct thread_candidate));

	for (guint i = 0; i < objects->len; i++) {
		struct thread_candidate t = { .object = g_array_index(objects, struct pool_object, i) };
		if (!read_thread(c, &t))
			continue;
		t.state = state_of(c, &t.object, types, "Thread", 0, t.exit_time != 0);
		g_array_append_val(out, t);
	}
	g_array_sort(out, compare_candidates);
	return out;
}

/* Index of the first candidate at or above va. */
static guint first_candidate(const GArray *candidates, va_t va)
{
	guint low = 0, high = candidates->len, size = g_array_get_element_size((GArray *)candidates);

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (((const struct pool_object *)(const void *)(candidates->data + (gsize)mid * size))->va.v < va.v)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct process_candidate *process_candidate_at(const GArray *candidates, va_t eprocess)
{
	for (guint i = first_candidate(candidates, eprocess); i < candidates->len; i++) {
		const struct process_candidate *p = &g_array_index(candidates, struct process_candidate, i);
		if (p->object.va.v != eprocess.v)
			break;
		if (p->state != POOL_REMNANT)
			return p;
	}
	return NULL;
}

const struct thread_candidate *thread_candidate_at(const GArray *candidates, va_t ethread)
{
	for (guint i = first_candidate(candidates, ethread); i < candidates->len; i++) {
		const struct thread_candidate *t = &g_array_index(candidates, struct thread_candidate, i);
		if (t->object.va.v != ethread.v)
			break;
		if (t->state != POOL_REMNANT)
			return t;
	}
	return NULL;
}
