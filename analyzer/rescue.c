/* SPDX-License-Identifier: Apache-2.0 */
#include "rescue_private.h"
#include "limit.h"

#define LARGE_WITNESSES 3	/* pages that must agree on a large page; of an image's header one is enough */

/* The loader writes an image's address into its header: ImageBase. 0: no header of an image in the kernel. */
static uint64_t image_base(const uint8_t *page)
{
	uint32_t nt;

	memcpy(&nt, page + 0x3c, sizeof(nt));
	if (memcmp(page, "MZ", 2) || nt > PAGE_SIZE - 0x40 || nt < 0x40 || memcmp(page + nt, "PE\0\0\x64\x86", 6) || page[nt + 24] != 0x0b || page[nt + 25] != 2)
		return 0;
	uint64_t base = load(page + nt + 24 + 24);
	return base >> 47 == 0x1ffff && !(base & PAGE_MASK) ? base : 0;
}

/* Pages of the kernel that say where they are, by frame. *cut: a limit bit, as below. */
static GArray *find_lists(struct image *image, uint8_t *scratch, bool *cut)
{
	GArray *known = g_array_new(FALSE, FALSE, sizeof(struct known));

	EACH_PAGE(image, scratch, page, pa) {
		struct vote votes[MAX_VOTES];
		unsigned n = 0;
		uint64_t base = image_base(page);
		for (unsigned at = 0; at + 16 <= PAGE_SIZE && !base; at += 8) {
			uint64_t value = load(page + at);
			if (value >> 47 == 0x1ffff && (value & PAGE_MASK) == at && load(page + at + 8) == value)
				add_vote(votes, &n, value >> 12);
		}
		if (base)
			add_vote(votes, &n, base >> 12);
		const struct vote *best = most(votes, n);
		if (!best)
			continue;
		if (known->len >= limit(rescue_pages)) {
			*cut = true;
			return known;
		}
		struct known k = { pa >> 12, best->number };
		g_array_append_val(known, k);
	}
	return known;
}

static int compare_numbers(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return (x->frame > y->frame) - (x->frame < y->frame);
}

/*
 * The tables that name what is known, each at its place: by frame, with the number of what they map. Of two that claim the same
 * place the one with more witnesses is taken; a table that was freed still names a few.
 */
static GArray *find_tables(struct image *image, const GArray *known, bool above, uint8_t *scratch, bool *cut)
{
	g_autofree uint8_t *filter = filter_create(known);
	g_autoptr(GHashTable) best = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	struct claim { uint64_t number, frame; unsigned count; } *claim;
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct known));
	GHashTableIter iter;

	EACH_PAGE(image, scratch, page, pa) {
		struct vote votes[MAX_VOTES];
		unsigned n = 0;
		for (unsigned i = 0; i < ENTRIES; i++) {
			uint64_t entry = load(page + 8 * i);
			if (!(entry & PRESENT) || (above && (entry & LARGE)) || !filter_has(filter, FRAME(entry)))
				continue;
			const struct known *k = known_at(known, FRAME(entry));
			if (k && (k->number & (ENTRIES - 1)) == i)
				add_vote(votes, &n, k->number >> 9);
		}
		const struct vote *vote = most(votes, n);
		if (!vote)
			continue;
		claim = g_hash_table_lookup(best, &vote->number);
		if (!claim && g_hash_table_size(best) >= limit(rescue_tables)) {
			*cut = true;
			continue;
		}
		if (!claim) {
			claim = g_new0(struct claim, 1);
			claim->number = vote->number;
			g_hash_table_insert(best, &claim->number, claim);
		}
		if (vote->count > claim->count) {
			claim->frame = pa >> 12;
			claim->count = vote->count;
		}
	}
	g_hash_table_iter_init(&iter, best);
	while (g_hash_table_iter_next(&iter, NULL, (gpointer *)&claim)) {
		struct known k = { claim->frame, claim->number };
		g_array_append_val(out, k);
	}
	g_array_sort(out, compare_frames);
	return out;
}

/* ---- what is known of each 2 MiB */

struct builder {
	struct image *image;
	struct rescue *rescue;
	GHashTable *tags;		/* of the spans, with their numbers + 1: each is settled once */
	uint8_t *scratch;
};

static bool is_full(struct builder *b)
{
	bool full = b->rescue->spans->len >= limit(rescue_tables);

	b->rescue->cut |= full;
	return full;
}

static bool add_span(struct builder *b, uint64_t tag, const uint8_t *table, uint64_t large)
{
	if (g_hash_table_contains(b->tags, &tag) || is_full(b))
		return false;
	struct rescued span = { .tag = tag, .large = { large } };
	if (table) {
		span.table = g_memdup2(table, PAGE_SIZE);
		g_ptr_array_add(b->rescue->tables, (void *)span.table);
	}
	g_array_append_val(b->rescue->spans, span);
	g_hash_table_insert(b->tags, g_memdup2(&tag, sizeof(tag)), GUINT_TO_POINTER(b->rescue->spans->len));
	return true;
}

static void add_table(struct builder *b, uint64_t tag, uint64_t frame)
{
	const uint8_t *page = g_hash_table_contains(b->tags, &tag) ? NULL : image_search_page(b->image, (pa_t){ frame << 12 }, b->scratch);

	if (page && add_span(b, tag, page, 0))
		b->rescue->found++;
}

/* All that a page directory knows. */
static void add_directory(struct builder *b, uint64_t number, uint64_t frame)
{
	uint64_t entries[ENTRIES];

	if (image_read(b->image, (pa_t){ frame << 12 }, entries, sizeof(entries)))
		return;
	for (unsigned i = 0; i < ENTRIES && !image_search_ask(b->image); i++) {
		uint64_t entry = GUINT64_FROM_LE(entries[i]), tag = number << 9 | i;
		if (!(entry & PRESENT))
			continue;
		if (is_full(b))
			return;
		if (entry & LARGE)
			b->rescue->found += add_span(b, tag, NULL, FRAME(entry) << 12 & ~UINT64_C(0x1fffff));
		else
			add_table(b, tag, FRAME(entry));
	}
}

static void add_directory_pointers(struct builder *b, uint64_t number, uint64_t frame)
{
	uint64_t entries[ENTRIES];

	if (image_read(b->image, (pa_t){ frame << 12 }, entries, sizeof(entries)))
		return;
	for (unsigned i = 0; i < ENTRIES && !image_search_ask(b->image); i++) {
		uint64_t entry = GUINT64_FROM_LE(entries[i]);
		if (!(entry & PRESENT) || (entry & LARGE))
			continue;
		if (is_full(b))
			return;
		add_directory(b, number << 9 | i, FRAME(entry));
	}
}

/* What a table leaves out (a blank one everything) and the pages themselves know. */
static void fill_in(const struct rescued *span, const uint64_t *told)
{
	uint8_t *table = (uint8_t *)span->table;	/* our own copy */

	for (unsigned i = 0; table && i < ENTRIES; i++)
		if (GUINT64_FROM_LE(told[i]) != NOWHERE && !load(table + 8 * i))
			memcpy(table + 8 * i, &told[i], 8);
}

/* Pages whose page table is lost, by what they told themselves. `lists` is sorted by address here. */
static void add_lists(struct builder *b, const GArray *lists)
{
	uint64_t table[ENTRIES];
	guint end;

	for (guint i = 0; i < lists->len; i = end) {
		const struct known *first = &g_array_index(lists, struct known, i);
		uint64_t tag = first->number >> 9;
		struct vote votes[MAX_VOTES];
		unsigned n = 0;
		for (unsigned e = 0; e < ENTRIES; e++)	/* what isn't known may be anything: a page that is in no dump */
			table[e] = GUINT64_TO_LE(NOWHERE);
		for (end = i; end < lists->len && g_array_index(lists, struct known, end).number >> 9 == tag; end++) {
			const struct known *k = &g_array_index(lists, struct known, end);
			table[k->number & (ENTRIES - 1)] = GUINT64_TO_LE(k->frame << 12 | (UINT64_C(1) << 63) | 0x63);
			if ((k->number & (ENTRIES - 1)) == (k->frame & (ENTRIES - 1)))
				add_vote(votes, &n, k->frame >> 9);
		}
		/* A large page's parts lie as their addresses do; of small pages one in 512 does by chance. */
		const struct vote *large = most(votes, n);
		const uint8_t *header = image_search_page(b->image, (pa_t){ first->frame << 12 }, b->scratch);
		bool is_image = header && image_base(header) == first->number << 12;
		if (large && large->count == end - i && (large->count >= LARGE_WITNESSES || is_image))
			b->rescue->found += add_span(b, tag, NULL, large->number << 21);
		else if (add_span(b, tag, (const uint8_t *)table, 0))
			b->rescue->single++;
		else if (g_hash_table_contains(b->tags, &tag))
			fill_in(&g_array_index(b->rescue->spans, struct rescued, GPOINTER_TO_UINT(g_hash_table_lookup(b->tags, &tag)) - 1), table);
	}
}

/* ---- paged pool: nothing there tells where it is, but counted strings elsewhere tell of text there */

struct string { uint64_t tag; uint16_t index, offset, length; };

#define STRING_WITNESSES 6u

static int compare_strings(const void *a, const void *b)
{
	const struct string *x = a, *y = b;

	return (x->tag > y->tag) - (x->tag < y->tag);
}

/* UNICODE_STRINGs in a page whose text lies where nothing is known; one more than are asked tells that there are. */
static void find_strings(struct builder *b, const uint8_t *page, GArray *out)
{
	for (unsigned at = 0; at + 16 <= PAGE_SIZE && out->len <= FIXED_rescue_strings; at += 8) {
		uint64_t head = load(page + at), to = load(page + at + 8), tag = to >> 21;
		unsigned length = head & 0xffff, room = head >> 16 & 0xffff;
		if (to >> 47 != 0x1ffff || head >> 32 || length < 4 || length & 1 || length > 520 || room < length || room > length + 64 || to & 1 ||
		    (to & PAGE_MASK) + length > PAGE_SIZE || g_hash_table_contains(b->tags, &tag))
			continue;
		struct string s = { tag, (uint16_t)(to >> 12 & (ENTRIES - 1)), (uint16_t)(to & PAGE_MASK), (uint16_t)length };
		g_array_append_val(out, s);
	}
}

/* Frames of pages that may be page tables of the kernel. */
static GArray *find_candidates(struct image *image, uint8_t *scratch, bool *cut)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	EACH_PAGE(image, scratch, page, pa) {
		unsigned valid = 0, other = 0;
		for (unsigned i = 0; i < ENTRIES && other <= valid + 8; i++) {
			uint64_t entry = load(page + 8 * i);
			valid += (entry & 5) == PRESENT && !(entry >> 48 & 0x7fff);
			other += entry && (entry & 5) != PRESENT;
		}
		if (valid < STRING_WITNESSES || other > valid + 8)
			continue;
		if (out->len >= FIXED_rescue_candidates) {
			*cut = true;
			return out;
		}
		uint64_t frame = pa >> 12;
		g_array_append_val(out, frame);
	}
	return out;
}

/* Does the table lead from strings to text? How much better than not; 0: it doesn't. Each look takes one off *budget. */
static unsigned reads_well(struct builder *b, const uint64_t *table, const struct string *strings, guint n, uint64_t *budget)
{
	unsigned good = 0, bad = 0;
	uint8_t text[520];

	for (guint i = 0; i < n && bad <= good / 8 + 2 && *budget && !image_search_ask(b->image); i++, --*budget) {
		uint64_t entry = GUINT64_FROM_LE(table[strings[i].index]);
		if (!(entry & PRESENT))
			bad++;
		else if (!image_read(b->image, (pa_t){ (FRAME(entry) << 12) + strings[i].offset }, text, strings[i].length))
			*(is_text(text, strings[i].length) ? &good : &bad) += 1;
	}
	return good >= STRING_WITNESSES && bad <= good / 8 + 2 && good > bad ? good - bad : 0;
}

static void add_by_strings(struct builder *b)
{
	g_autoptr(GArray) strings = g_array_new(FALSE, FALSE, sizeof(struct string));
	uint64_t table[ENTRIES];
	guint known = b->rescue->spans->len, end;
	uint64_t budget = limit(rescue_looks);
	unsigned tags = 0;

	for (guint i = 0; i < known; i++) {
		const struct rescued *span = &g_array_index(b->rescue->spans, struct rescued, i);
		for (unsigned n = 0; n < ENTRIES; n++) {
			uint64_t entry = span->table ? load(span->table + 8 * n) : span->large.v + n * PAGE_SIZE + PRESENT;
			const uint8_t *page = entry & PRESENT ? image_search_page(b->image, (pa_t){ FRAME(entry) << 12 }, b->scratch) : NULL;
			if (page)
				find_strings(b, page, strings);
		}
	}
	if (strings->len < STRING_WITNESSES)
		return;
	if (strings->len > FIXED_rescue_strings) {
		g_array_set_size(strings, FIXED_rescue_strings);
		b->rescue->cut = true;
	}
	g_array_sort(strings, compare_strings);
	g_autoptr(GArray) candidates = find_candidates(b->image, b->scratch, &b->rescue->cut);
	for (guint i = 0; i < strings->len; i = end) {
		const struct string *first = &g_array_index(strings, struct string, i);
		unsigned best = 0;
		uint64_t frame = 0;
		for (end = i; end < strings->len && g_array_index(strings, struct string, end).tag == first->tag; end++)
			;
		if (end - i < STRING_WITNESSES)
			continue;
		if (++tags > FIXED_rescue_spans) {
			b->rescue->cut = true;
			break;
		}
		for (guint n = 0; n < candidates->len && budget && !image_search_ask(b->image); n++) {
			uint64_t at = g_array_index(candidates, uint64_t, n);
			if (image_read(b->image, (pa_t){ at << 12 }, table, sizeof(table)))
				continue;
			unsigned score = reads_well(b, table, first, end - i, &budget);
			if (score > best) {
				best = score;
				frame = at;
			}
		}
		if (best)
			add_table(b, first->tag, frame);
	}
	b->rescue->cut |= !budget;
}

static int compare_tags(const void *a, const void *b)
{
	const struct rescued *x = a, *y = b;

	return (x->tag > y->tag) - (x->tag < y->tag);
}

struct rescue *rescue_empty(void)
{
	struct rescue *rescue = g_new0(struct rescue, 1);

	rescue->spans = g_array_new(FALSE, FALSE, sizeof(struct rescued));
	rescue->tables = g_ptr_array_new_with_free_func(g_free);
	return rescue;
}

void rescue_sort(struct rescue *rescue)
{
	g_array_sort(rescue->spans, compare_tags);
}

struct rescue *rescue_tables(struct image *image)
{
	g_autofree uint8_t *scratch = g_malloc(PAGE_SIZE);
	bool cut = false;
	g_autoptr(GArray) lists = find_lists(image, scratch, &cut);

	if (!lists->len)
		return NULL;
	g_autoptr(GArray) tables = find_tables(image, lists, false, scratch, &cut);
	g_autoptr(GArray) directories = find_tables(image, tables, true, scratch, &cut);
	g_autoptr(GArray) pointers = find_tables(image, directories, true, scratch, &cut);
	struct rescue *rescue = rescue_empty();
	struct builder b = { image, rescue, g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL), scratch };

	rescue->lists = lists->len;
	rescue->cut = cut;
	/* The upper tables first: what they say is what the processor used; a table that was freed has witnesses too. */
	for (guint i = 0; i < pointers->len; i++)
		add_directory_pointers(&b, g_array_index(pointers, struct known, i).number, g_array_index(pointers, struct known, i).frame);
	for (guint i = 0; i < directories->len; i++)
		add_directory(&b, g_array_index(directories, struct known, i).number, g_array_index(directories, struct known, i).frame);
	for (guint i = 0; i < tables->len; i++)
		add_table(&b, g_array_index(tables, struct known, i).number, g_array_index(tables, struct known, i).frame);
	g_array_sort(lists, compare_numbers);
	add_lists(&b, lists);
	add_by_strings(&b);
	rescue_sort(rescue);
	g_hash_table_destroy(b.tags);
	return rescue;
}

void rescue_destroy(struct rescue *rescue)
{
	if (!rescue)
		return;
	g_array_free(rescue->spans, TRUE);
	g_ptr_array_free(rescue->tables, TRUE);
	g_free(rescue);
}

const struct rescued *rescue_at(const struct rescue *rescue, uint64_t tag, uint64_t *next)
{
	guint low = 0, high = rescue->spans->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(rescue->spans, struct rescued, mid).tag < tag)
			low = mid + 1;
		else
			high = mid;
	}
	const struct rescued *span = low < rescue->spans->len ? &g_array_index(rescue->spans, struct rescued, low) : NULL;
	*next = span ? span->tag : UINT64_MAX;
	return span && span->tag == tag ? span : NULL;
}
