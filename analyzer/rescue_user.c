/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue_user.h"
#include "limit.h"
#include "rescue_private.h"

#define USER 4u
#define LEVELS 4u			/* page table, page directory, directory pointers, root */
/* _TEB and _PEB of all 64-bit builds (winternl.h and the public symbols). */
#define TEB_STACK_BASE 0x08u
#define TEB_STACK_LIMIT 0x10u
#define TEB_SELF 0x30u
#define TEB_PID 0x40u
#define TEB_PEB 0x60u
#define PEB_IMAGE_BASE 0x10u
#define PEB_LDR 0x18u
#define PEB_PARAMETERS 0x20u
#define PEB_HEAP 0x30u
#define ENOUGH 2u			/* votes for a page's address; a string has one, a list two */

/* A page that told its address; of a TEB, whose. */
struct told { struct known k; uint64_t pid, peb; int owner; bool in_table; };

/* A table: its frame, and the number of what it maps (address >> 21, 30, 39, 48). */
struct page_table { struct known k; guint group; };

/* A page that may be a PEB. */
struct block { uint64_t frame, image_base, ldr, parameters; };

struct user {
	const struct context *context;
	struct image *image;
	const GArray *owners;
	GArray *told, *blocks;		/* by frame */
	GPtrArray *numbers;		/* struct told * by address */
	GPtrArray *owned;		/* struct told * whose owner is known */
	uint64_t looks;			/* at tables, that are left */
	uint64_t tables;		/* that all processes to come may have together */
	bool cut;			/* a limit bit */
	GArray *levels[LEVELS];		/* struct page_table by frame */
	GArray *groups;			/* guint: a forest of groups of tables that name each other */
	GArray *group_owner;		/* int, -1: not known */
	uint8_t *scratch;
};

/* Each page, table and process asks. */
static bool is_over(const struct user *u)
{
	return context_half_over(u->context);
}

static bool has_room(struct user *u, const GArray *of, uint64_t most)
{
	u->cut |= of->len >= most;
	return of->len < most;
}

static bool user_address(uint64_t va)
{
	return va >= 0x10000 && va < UINT64_C(0x7fffffff0000);
}

/* ---- pages that say where they are */

static bool is_teb(const uint8_t *page, struct told *t)
{
	uint64_t self = load(page + TEB_SELF), base = load(page + TEB_STACK_BASE), low = load(page + TEB_STACK_LIMIT);

	t->pid = load(page + TEB_PID);
	t->peb = load(page + TEB_PEB);
	t->k.number = self >> 12;
	return !(self & PAGE_MASK) && user_address(self) && !(base & PAGE_MASK) && !(low & PAGE_MASK) && low < base && user_address(low) && user_address(base) &&
	       t->pid && !(t->pid & 3) && t->pid <= UINT32_MAX && user_address(t->peb) && !(t->peb & PAGE_MASK) && t->peb != self;
}

static bool own_text(const uint8_t *page, uint64_t head, uint64_t to)
{
	unsigned length = head & 0xffff, room = head >> 16 & 0xffff, at = to & PAGE_MASK;

	return !(head >> 32) && length >= 4 && !(length & 1) && length <= 520 && room >= length && room <= length + 2 && !(at & 1) && at + length <= PAGE_SIZE &&
	       is_text(page + at, length);
}

static bool tells_address(const uint8_t *page, struct told *t)
{
	struct vote votes[MAX_VOTES];
	unsigned n = 0;

	for (unsigned at = 0; at + 16 <= PAGE_SIZE; at += 8) {
		uint64_t value = load(page + at);
		unsigned to = value & PAGE_MASK;
		if (user_address(value) && !(to & 7) && to + 16 <= PAGE_SIZE && load(page + to + 8) == (value - to) + at) {
			add_vote(votes, &n, value >> 12);
			add_vote(votes, &n, value >> 12);
		}
		value = load(page + at + 8);
		if (user_address(value) && own_text(page, load(page + at), value))
			add_vote(votes, &n, value >> 12);
	}
	const struct vote *best = most(votes, n);
	if (!best || best->count < ENOUGH)
		return false;
	t->k.number = best->number;
	return true;
}

static void find_told(struct user *u)
{
	EACH_PAGE(u->image, u->scratch, page, pa) {
		if (is_over(u))
			return;
		struct told t = { .owner = -1 };
		struct block b = { pa >> 12, load(page + PEB_IMAGE_BASE), load(page + PEB_LDR), load(page + PEB_PARAMETERS) };
		if (!is_teb(page, &t)) {
			t.pid = t.peb = 0;
			if (user_address(b.image_base) && !(b.image_base & 0xffff) && user_address(b.ldr) && !(b.ldr & 7) && user_address(b.parameters) &&
			    !(b.parameters & 7) && user_address(load(page + PEB_HEAP)) && !(load(page + PEB_HEAP) & PAGE_MASK) && has_room(u, u->blocks, limit(rescue_tables)))
				g_array_append_val(u->blocks, b);
			if (!tells_address(page, &t))
				continue;
		}
		t.k.frame = pa >> 12;
		if (has_room(u, u->told, limit(rescue_pages)))
			g_array_append_val(u->told, t);
	}
}

static struct told *told_at(const struct user *u, uint64_t frame)
{
	return known_at(u->told, frame);
}

/* ---- tables, by what they name */

/* Each look halves the way there: hostile tables could make it long. */
static guint group_of(const struct user *u, guint n)
{
	guint *groups = &g_array_index(u->groups, guint, 0);

	while (groups[n] != n)
		n = groups[n] = groups[groups[n]];
	return n;
}

/* Pages that name entries of `below` (a struct that begins with a struct known, by frame) each at its place. */
static GArray *find_naming(struct user *u, const GArray *below, bool above)
{
	g_autofree uint8_t *filter = filter_create(below);
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct page_table));

	EACH_PAGE(u->image, u->scratch, page, pa) {
		if (is_over(u))
			return out;
		struct vote votes[MAX_VOTES];
		unsigned n = 0;
		for (unsigned i = 0; i < ENTRIES; i++) {
			uint64_t entry = load(page + 8 * i);
			if ((entry & (PRESENT | USER)) != (PRESENT | USER) || (above && (entry & LARGE)) || !filter_has(filter, FRAME(entry)))
				continue;
			const struct known *k = known_at(below, FRAME(entry));
			if (k && (k->number & (ENTRIES - 1)) == i)
				add_vote(votes, &n, k->number >> 9);
		}
		const struct vote *vote = most(votes, n);
		struct page_table t = { { pa >> 12, vote ? vote->number : 0 }, u->groups->len };
		if (vote && has_room(u, out, limit(rescue_tables))) {
			const int nobody = -1;
			g_array_append_val(u->groups, t.group);
			g_array_append_val(u->group_owner, nobody);
			g_array_append_val(out, t);
		}
	}
	return out;
}

/* Tables that name each other are one process's. */
static void join(struct user *u, unsigned level)
{
	uint64_t entries[ENTRIES];

	for (guint i = 0; i < u->levels[level]->len && !is_over(u); i++) {
		const struct page_table *t = &g_array_index(u->levels[level], struct page_table, i);
		if (image_read(u->image, (pa_t){ t->k.frame << 12 }, entries, sizeof(entries)))
			continue;
		for (unsigned n = 0; n < ENTRIES; n++) {
			uint64_t entry = GUINT64_FROM_LE(entries[n]);
			const struct page_table *below = entry & PRESENT ? known_at(u->levels[level - 1], FRAME(entry)) : NULL;
			if (below && below->k.number == (t->k.number << 9 | n))
				g_array_index(u->groups, guint, group_of(u, below->group)) = group_of(u, t->group);
		}
	}
}

/* ---- whose they are */

static int owner_of_teb(const struct user *u, const struct told *t)
{
	for (guint i = 0; t->pid && i < u->owners->len; i++) {
		const struct rescue_owner *o = &g_array_index(u->owners, struct rescue_owner, i);
		if (o->pid == t->pid && (!o->peb.v || o->peb.v == t->peb))
			return (int)i;
	}
	return -1;
}

static void own(struct user *u, const struct page_table *t, int owner)
{
	if (owner >= 0)
		g_array_index(u->group_owner, int, group_of(u, t->group)) = owner;
}

static int owner_of(const struct user *u, const struct page_table *t)
{
	return g_array_index(u->group_owner, int, group_of(u, t->group));
}

/* Pages that a page table of the group names at their places: fn for each. */
static void mark_told(struct user *u)
{
	uint64_t entries[ENTRIES];

	for (guint i = 0; i < u->levels[0]->len && !is_over(u); i++) {
		const struct page_table *t = &g_array_index(u->levels[0], struct page_table, i);
		if (image_read(u->image, (pa_t){ t->k.frame << 12 }, entries, sizeof(entries)))
			continue;
		for (unsigned n = 0; n < ENTRIES; n++) {
			struct told *page = entries[n] & PRESENT ? told_at(u, FRAME(GUINT64_FROM_LE(entries[n]))) : NULL;
			if (!page || page->k.number != (t->k.number << 9 | n))
				continue;
			page->in_table = true;
			own(u, t, page->owner);
		}
	}
}

static void own_by_roots(struct user *u)
{
	for (guint i = 0; i < u->levels[3]->len && !is_over(u); i++)
		for (guint n = 0; n < u->owners->len; n++) {
			const struct page_table *t = &g_array_index(u->levels[3], struct page_table, i);
			if (g_array_index(u->owners, struct rescue_owner, n).dtb.v >> 12 == t->k.frame)
				own(u, t, (int)n);
		}
}

static int compare_told(const void *a, const void *b)
{
	const struct told *const *x = a, *const *y = b;

	return (*x)->k.number != (*y)->k.number ? ((*x)->k.number > (*y)->k.number) - ((*x)->k.number < (*y)->k.number) : compare_frames(*x, *y);
}

/* The first page that told this number, and how many did. */
static struct told *told_number(const struct user *u, uint64_t number, guint *count)
{
	guint low = 0, high = u->numbers->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (((const struct told *)g_ptr_array_index(u->numbers, mid))->k.number < number)
			low = mid + 1;
		else
			high = mid;
	}
	for (*count = 0; low + *count < u->numbers->len && ((const struct told *)g_ptr_array_index(u->numbers, low + *count))->k.number == number; )
		++*count;
	return *count ? g_ptr_array_index(u->numbers, low) : NULL;
}

/* The pages that told something, ready to be asked for by number. */
static void settle_told(struct user *u)
{
	g_array_sort(u->told, compare_frames);
	g_ptr_array_set_size(u->numbers, 0);
	g_ptr_array_set_size(u->owned, 0);
	for (guint i = 0; i < u->told->len; i++) {
		struct told *t = &g_array_index(u->told, struct told, i);
		g_ptr_array_add(u->numbers, t);
		if (t->owner >= 0)
			g_ptr_array_add(u->owned, t);
	}
	g_ptr_array_sort(u->numbers, compare_told);
}

/* What a PEB points to is its process's: the only told page or table at that address, if it is nobody's yet. */
static void own_by_pointer(struct user *u, uint64_t va, int owner)
{
	const struct page_table *table = NULL;
	unsigned tables = 0;
	guint pages;
	struct told *page = told_number(u, va >> 12, &pages);

	for (guint i = 0; i < u->levels[0]->len; i++) {
		const struct page_table *t = &g_array_index(u->levels[0], struct page_table, i);
		if (t->k.number == va >> 21) {
			table = t;
			tables++;
		}
	}
	if (pages == 1 && page->owner < 0) {
		page->owner = owner;
		g_ptr_array_add(u->owned, page);
	}
	if (tables == 1 && owner_of(u, table) < 0)
		own(u, table, owner);
}

/* ---- what each process gets */

struct span_builder { struct user *user; struct rescue *rescue; GHashTable *tags; uint64_t most; };

static void add_table(struct span_builder *b, uint64_t tag, const uint8_t *table, bool sparse)
{
	if (g_hash_table_contains(b->tags, &tag))
		return;
	if (b->rescue->spans->len >= b->most) {
		b->user->cut = true;
		return;
	}
	g_hash_table_add(b->tags, g_memdup2(&tag, sizeof(tag)));
	struct rescued span = { .tag = tag, .table = g_memdup2(table, PAGE_SIZE), .sparse = sparse };
	g_ptr_array_add(b->rescue->tables, (void *)span.table);
	g_array_append_val(b->rescue->spans, span);
}

/* All that is below a table of some level. */
static void add_below(struct span_builder *b, unsigned level, uint64_t number, uint64_t frame)
{
	uint64_t entries[ENTRIES];

	b->user->cut |= !b->user->looks;
	if (is_over(b->user) || !b->user->looks || !--b->user->looks || image_read(b->user->image, (pa_t){ frame << 12 }, entries, sizeof(entries)))
		return;
	if (!level) {
		add_table(b, number, (const uint8_t *)entries, false);
		return;
	}
	for (unsigned i = 0; i < (level == 3 ? ENTRIES / 2 : ENTRIES); i++) {
		uint64_t entry = GUINT64_FROM_LE(entries[i]);
		if ((entry & (PRESENT | USER)) == (PRESENT | USER) && !(entry & LARGE))
			add_below(b, level - 1, number << 9 | i, FRAME(entry));
	}
}

/* Pages that told where they are and whose table is lost. */
static void add_pages(struct span_builder *b, int owner)
{
	g_autoptr(GPtrArray) mine = g_ptr_array_new();
	uint64_t table[ENTRIES];
	guint end;

	for (guint i = 0; i < b->user->owned->len; i++) {
		struct told *t = g_ptr_array_index(b->user->owned, i);
		if (t->owner == owner && !t->in_table)
			g_ptr_array_add(mine, t);
	}
	g_ptr_array_sort(mine, compare_told);
	for (guint i = 0; i < mine->len; i = end) {
		uint64_t tag = ((const struct told *)g_ptr_array_index(mine, i))->k.number >> 9;
		memset(table, 0, sizeof(table));
		for (end = i; end < mine->len && ((const struct told *)g_ptr_array_index(mine, end))->k.number >> 9 == tag; end++) {
			const struct told *t = g_ptr_array_index(mine, end);
			table[t->k.number & (ENTRIES - 1)] = GUINT64_TO_LE(t->k.frame << 12 | (UINT64_C(1) << 63) | 0x67);
		}
		b->rescue->single++;
		add_table(b, tag, (const uint8_t *)table, true);
	}
}

static struct rescue *build(struct user *u, int owner)
{
	struct rescue *rescue = rescue_empty();
	struct span_builder b = { u, rescue, g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL), (u->tables + 7) / 8 };

	for (unsigned level = LEVELS; level--; )
		for (guint i = 0; i < u->levels[level]->len; i++) {
			const struct page_table *t = &g_array_index(u->levels[level], struct page_table, i);
			if (owner_of(u, t) == owner && (level < 3 || t->k.frame == g_array_index(u->owners, struct rescue_owner, owner).dtb.v >> 12))
				add_below(&b, level, level == 3 ? 0 : t->k.number, t->k.frame);
		}
	rescue->found = rescue->spans->len;
	add_pages(&b, owner);
	u->tables -= rescue->spans->len;
	g_hash_table_destroy(b.tags);
	rescue_sort(rescue);
	return rescue;
}

/* Frame of a page of the process; 0: not known. */
static uint64_t frame_at(const struct rescue *rescue, uint64_t va)
{
	uint64_t next, entry;
	const struct rescued *span = rescue_at(rescue, va >> 21, &next);

	if (!span || !span->table)
		return 0;
	entry = load(span->table + (va >> 12 & (ENTRIES - 1)) * 8);
	return entry & PRESENT ? FRAME(entry) : 0;
}

/*
 * A PEB whose page table is lost: of the pages that look like one, the one that names the process's image, points to pages that told
 * where they are, and is no other process's. Where several processes run one program nothing tells them apart.
 */
static void find_peb(struct user *u, int owner, GArray *out)
{
	const struct rescue_owner *o = &g_array_index(u->owners, struct rescue_owner, owner);
	const struct block *found = NULL;
	unsigned n = 0;

	for (guint i = 0; i < u->owners->len; i++)
		n += g_array_index(u->owners, struct rescue_owner, i).section_base.v == o->section_base.v;
	for (guint i = 0; o->section_base.v && n == 1 && i < u->blocks->len; i++) {
		const struct block *b = &g_array_index(u->blocks, struct block, i);
		guint ldr, parameters;
		(void)told_number(u, b->ldr >> 12, &ldr);
		(void)told_number(u, b->parameters >> 12, &parameters);
		if (b->image_base != o->section_base.v || !(ldr || parameters))
			continue;
		if (found)
			return;
		found = b;
	}
	struct told t = { { found ? found->frame : 0, o->peb.v >> 12 }, 0, 0, owner, false };
	if (found && o->peb.v && !told_at(u, found->frame))
		g_array_append_val(out, t);
}

static void own_by_pebs(struct user *u)
{
	uint64_t peb[8];

	for (guint i = 0; i < u->owners->len && !is_over(u); i++) {
		const struct rescue_owner *o = &g_array_index(u->owners, struct rescue_owner, i);
		struct rescue *rescue = build(u, (int)i);
		uint64_t frame = o->peb.v ? frame_at(rescue, o->peb.v) : 0;
		u->tables += rescue->spans->len;	/* it is but asked for the PEB */
		rescue_destroy(rescue);
		if (frame && !image_read(u->image, (pa_t){ frame << 12 }, peb, sizeof(peb))) {
			static const unsigned pointers[] = { PEB_LDR, PEB_PARAMETERS, PEB_HEAP };
			for (size_t n = 0; n < G_N_ELEMENTS(pointers); n++)
				own_by_pointer(u, GUINT64_FROM_LE(peb[pointers[n] / 8]), (int)i);
		}
	}
}

static void find_pebs(struct user *u)
{
	g_autoptr(GArray) pebs = g_array_new(FALSE, FALSE, sizeof(struct told));

	for (guint i = 0; i < u->owners->len && !is_over(u); i++)
		find_peb(u, (int)i, pebs);
	g_array_append_vals(u->told, pebs->data, pebs->len);
	settle_told(u);
}

GPtrArray *rescue_user(struct context *context, const GArray *owners, bool *cut)
{
	struct user u = { .context = context, .image = context->image, .owners = owners, .scratch = g_malloc(PAGE_SIZE), .looks = limit(rescue_looks), .tables = limit(rescue_tables) };
	GPtrArray *out = g_ptr_array_new();

	u.told = g_array_new(FALSE, FALSE, sizeof(struct told));
	u.blocks = g_array_new(FALSE, FALSE, sizeof(struct block));
	u.numbers = g_ptr_array_new();
	u.owned = g_ptr_array_new();
	u.groups = g_array_new(FALSE, FALSE, sizeof(guint));
	u.group_owner = g_array_new(FALSE, FALSE, sizeof(int));
	find_told(&u);
	for (guint i = 0; i < u.told->len && !is_over(&u); i++) {
		struct told *t = &g_array_index(u.told, struct told, i);
		t->owner = owner_of_teb(&u, t);
	}
	settle_told(&u);
	u.levels[0] = find_naming(&u, u.told, false);
	for (unsigned level = 1; level < LEVELS; level++)
		u.levels[level] = find_naming(&u, u.levels[level - 1], true);
	for (unsigned level = LEVELS - 1; level; level--)
		join(&u, level);
	mark_told(&u);
	own_by_roots(&u);
	own_by_pebs(&u);
	find_pebs(&u);
	own_by_pebs(&u);
	for (guint i = 0; i < owners->len; i++) {
		struct rescue *rescue = is_over(&u) ? NULL : build(&u, (int)i);
		if (rescue && !rescue->spans->len)
			g_clear_pointer(&rescue, rescue_destroy);
		g_ptr_array_add(out, rescue);
	}
	*cut = u.cut;
	g_array_unref(u.told);
	g_array_unref(u.blocks);
	g_ptr_array_unref(u.numbers);
	g_ptr_array_unref(u.owned);
	g_array_unref(u.groups);
	g_array_unref(u.group_owner);
	for (unsigned level = 0; level < LEVELS; level++)
		g_array_unref(u.levels[level]);
	g_free(u.scratch);
	return out;
}
