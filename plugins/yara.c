/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YARA over the memory of each process: by default the memory that may run but should
 * not be there or should not be like that; with --yara-scope more of it, or the kernel's.
 */
#include <string.h>
#include "limit.h"
#include "paging.h"
#include "plugin.h"
#include "scan.h"

enum { DUMP, PROCESS, VAD, REGION, ADDRESS, LENGTH, RULE, NAMESPACE, TAGS, META, IDENTIFIER, DATA };

static const char *const indices[] = { "rule", NULL };

static const struct table yara_matches = {
	.name = "yara_matches", .key = "match_id", .doc = "where YARA rules matched in memory", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[PROCESS] = { "process_id", COL_PROCESS, "NULL: in the kernel" },
		[VAD] = { "vad_id", COL_REF, "NULL: in memory that no VAD describes, or in the kernel", "vads" },
		[REGION] = { "region_base", COL_ADDRESS, "start of the VAD, else of the driver or of the pages that adjoin" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the match" },
		[LENGTH] = { "length", COL_INT, "bytes; 0: the rule matched without a string" },
		[RULE] = { "rule", COL_TEXT, "" },
		[NAMESPACE] = { "namespace", COL_TEXT, "the rule's file" },
		[TAGS] = { "tags", COL_JSON, "list of the rule's tags" },
		[META] = { "meta", COL_JSON, "the rule's metadata" },
		[IDENTIFIER] = { "string_identifier", COL_TEXT, "e.g. $a; empty: the rule matched without a string" },
		[DATA] = { "data", COL_BLOB, "what matched, at most 256 bytes" },
	},
};

/* ---- what the calls for one dump share */

struct shared {
	struct scan_rules *rules;
	GMutex lock;
	GPtrArray *idle;	/* struct scanner *: one a thread comes to be made */
	uint64_t pages;		/* scanned by the jobs that are through */
};

static void shared_destroy(void *data)
{
	struct shared *shared = data;

	g_ptr_array_free(shared->idle, TRUE);
	scan_rules_destroy(shared->rules);
	g_mutex_clear(&shared->lock);
	g_free(shared);
}

static struct scanner *take_scanner(struct shared *shared)
{
	struct scanner *scanner = NULL;

	g_mutex_lock(&shared->lock);
	if (shared->idle->len)
		scanner = g_ptr_array_steal_index_fast(shared->idle, shared->idle->len - 1);
	g_mutex_unlock(&shared->lock);
	return scanner ? scanner : scanner_create(shared->rules);
}

static void give_scanner_back(struct shared *shared, struct scanner *scanner)
{
	g_mutex_lock(&shared->lock);
	g_ptr_array_add(shared->idle, scanner);
	g_mutex_unlock(&shared->lock);
}

/* ---- one process's scan, or the kernel's */

struct job {
	struct context *c;
	struct space *space;
	struct scanner *scanner;
	uint64_t pages, pages_left;	/* scanned, and how many more may be */
	unsigned matches;
	uint64_t not_in_dump;		/* pages that should be in memory but aren't in the dump */
	uint64_t first_not_in_dump;
	unsigned undecided;		/* regions in which a rule may match that was asked of their parts alone: the first of both */
	uint64_t first_undecided;
	const char *undecided_rule;
	/* the region at hand */
	bool open;
	uint64_t base, end;		/* end: past the last page added */
	int64_t vad;			/* its ordinal, -1: none */
	uint8_t scratch[PAGE_SIZE];
};

static void on_match(void *user, const struct scan_match *match)
{
	struct job *job = user;

	if (job->matches++ >= limit(yara_matches))
		return;
	struct row *row = row_new(job->c, &yara_matches);
	if (job->vad >= 0)
		row_ref(row, VAD, job->vad);
	row_address(row, REGION, job->base);
	row_address(row, ADDRESS, match->address);
	row_int(row, LENGTH, (int64_t)match->length);
	row_text(row, RULE, match->rule);
	row_text(row, NAMESPACE, match->ns);
	row_text(row, TAGS, match->tags);
	row_text(row, META, match->meta);
	row_text(row, IDENTIFIER, match->identifier);
	row_blob(row, DATA, match->data_length ? match->data : (const uint8_t *)"", match->data_length);
}

static void region_end(struct job *job)
{
	if (!job->open)
		return;
	job->open = false;
	enum fault fault = scanner_end(job->scanner);
	if (fault == FAULT_TIMEOUT)
		context_note(job->c, fault, (va_t){ job->base }, "yara_matches",
			     "a part of the region took longer than %d s to scan: its matches are missing", SCAN_TIMEOUT);
	else if (fault)
		context_note(job->c, fault, (va_t){ job->base }, "yara_matches",
			     "more matches in the region than are kept (%u of a string, %u in %u MiB)",
			     SCAN_STRING_MATCHES, SCAN_PART_MATCHES, SCAN_PART >> 20);
	const char *rule = scanner_undecided(job->scanner);
	if (rule && !job->undecided++) {
		job->first_undecided = job->base;
		job->undecided_rule = rule;
	}
}

static void region_begin(struct job *job, uint64_t base, int64_t vad)
{
	region_end(job);
	job->open = true;
	job->base = job->end = base;
	job->vad = vad;
	scanner_begin(job->scanner, base, on_match, job);
}

static bool goes_on(const struct job *job)
{
	return job->pages_left && !context_cancelled(job->c);
}

/* From start to last (its last byte) of a page that is to be had. */
static void add_page(struct job *job, const struct page *page, uint64_t start, uint64_t last)
{
	for (uint64_t n = (last - start) / PAGE_SIZE + 1, va = start; n && goes_on(job); n--, va += PAGE_SIZE) {
		job->pages++;
		job->pages_left--;
		const uint8_t *bytes = image_page(job->c->image, (pa_t){ page->pa.v + (va - page->va.v) }, job->scratch);
		if (bytes)
			scanner_add(job->scanner, va, bytes, PAGE_SIZE);
		else if (!job->not_in_dump++)
			job->first_not_in_dump = va;
		job->end = va + PAGE_SIZE;
	}
}

/*
 * How much one job may scan. Page tables can name one frame a million times; honest ones map little of it more
 * than once. When all jobs together have scanned several times the dump, those to come get a small share each: a
 * hostile process doesn't take the others' place.
 */
static uint64_t pages_allowed(const struct context *c)
{
	struct shared *shared = context_kept(c);
	uint64_t present = c->image->bytes_filled;

	g_mutex_lock(&shared->lock);
	bool spent = shared->pages > (limit(yara_bytes) + limit(yara_bytes_ratio) * present) / PAGE_SIZE;
	g_mutex_unlock(&shared->lock);
	return (limit(yara_bytes_process) + (spent ? 0 : limit(yara_bytes_process_ratio) * present)) / PAGE_SIZE;
}

static void job_init(struct job *job, struct context *c, struct space *space)
{
	*job = (struct job){
		.c = c, .space = space, .scanner = take_scanner(context_kept(c)), .vad = -1, .pages_left = pages_allowed(c),
	};
}

static void job_finish(struct job *job)
{
	if (!job->scanner)
		return;
	region_end(job);
	struct shared *shared = context_kept(job->c);
	give_scanner_back(shared, job->scanner);
	g_mutex_lock(&shared->lock);
	shared->pages += job->pages;
	g_mutex_unlock(&shared->lock);
	if (job->not_in_dump)
		context_note(job->c, FAULT_NOT_IN_DUMP, (va_t){ job->first_not_in_dump }, "yara_matches",
			     "%" G_GUINT64_FORMAT " pages in memory are not in the dump: not scanned", job->not_in_dump);
	if (job->undecided)
		context_note(job->c, FAULT_LIMIT, (va_t){ job->first_undecided }, "yara_matches", "%u regions have more than %u MiB or %u pieces and were scanned in parts "
			     "(yara_part, yara_part_runs): rules that matched in none of them may match in the whole, as their strings are there; the first is %s",
			     job->undecided, SCAN_PART >> 20, SCAN_PART_RUNS, job->undecided_rule);
	if (job->matches > limit(yara_matches))
		context_note(job->c, FAULT_LIMIT, (va_t){ 0 }, "yara_matches", "%u matches, %" G_GUINT64_FORMAT " are kept", job->matches,
			     limit(yara_matches));
	if (!job->pages_left)
		context_note(job->c, FAULT_LIMIT, (va_t){ job->end }, "yara_matches",
			     "its page tables name far more memory than the machine has: %" G_GUINT64_FORMAT " MiB of it were scanned, the rest is not",
			     job->pages * PAGE_SIZE >> 20);
}

/* ---- the pages of a VAD: those its process has entries for, and those only the section has in memory */

struct pages {
	struct job *job;
	const struct vad *vad;
	va_t cursor;
	struct page own, shared;
	bool have_own, own_over, have_shared, shared_over;
	/* The section's prototype PTEs: [at, last] are still to be read, entries are the piece at hand. */
	uint64_t at, last;
	unsigned width, index, count;
	uint64_t entries_va;		/* the page that entries[0] stands for */
	uint8_t entries[PAGE_SIZE];
};

static void pages_init(struct pages *p, struct job *job, const struct vad *vad, bool sections)
{
	uint64_t first = vad->first_prototype_pte.v;

	*p = (struct pages){ .job = job, .vad = vad, .cursor = vad->start, .shared_over = true };
	p->width = paging_entry_size(job->space->paging);
	uint64_t length = ((vad->end.v - vad->start.v) / PAGE_SIZE + 1) * p->width;
	if (!sections || vad->is_private || !first || (first & (p->width - 1)) || first > UINT64_MAX - length)
		return;
	p->shared_over = false;
	p->at = first;
	p->last = first + length - 1;
	if (vad->last_prototype_pte.v >= first)
		p->last = MIN(p->last, vad->last_prototype_pte.v + p->width - 1);
}

/* Read the next piece of the prototype table, over spans of it that are not there. */
static bool next_entries(struct pages *p)
{
	va_t cursor = { p->at };
	struct page page;

	while (p->at <= p->last && goes_on(p->job) && space_next_page(p->job->c->space, &cursor, (va_t){ p->last }, &page)) {
		uint64_t start = MAX(p->at, page.va.v), end = MIN(start | PAGE_MASK, p->last);
		size_t n = (size_t)(end - start + 1);
		p->at = cursor.v = end + 1;
		if (!page_readable(&page) ||
		    image_read(p->job->c->image, (pa_t){ page.pa.v + (start - page.va.v) }, p->entries, n))
			continue;
		p->entries_va = p->vad->start.v + (start - p->vad->first_prototype_pte.v) / p->width * PAGE_SIZE;
		p->index = 0;
		p->count = (unsigned)n / p->width;
		return true;
	}
	return false;
}

static bool next_shared(struct pages *p)
{
	do {
		for (; p->index < p->count; p->index++) {
			uint64_t entry = 0;
			memcpy(&entry, p->entries + p->index * p->width, p->width);
			if (!entry)
				continue;
			if (!goes_on(p->job) || !space_spend(p->job->space, 1))
				return false;
			va_t va = { p->entries_va + (uint64_t)p->index * PAGE_SIZE };
			if (!space_page(p->job->space, va, &p->shared) && page_readable(&p->shared)) {
				p->index++;
				return true;
			}
		}
	} while (next_entries(p));
	return false;
}

/* Pages in ascending order; those of the process's own come whatever their state. */
static bool pages_next(struct pages *p, struct page *page)
{
	if (!p->have_own && !p->own_over)
		p->have_own = goes_on(p->job) && space_next_page(p->job->space, &p->cursor, p->vad->end, &p->own);
	if (!p->have_shared && !p->shared_over)
		p->have_shared = next_shared(p);
	p->own_over = !p->have_own;
	p->shared_over = !p->have_shared;
	if (!p->have_own && !p->have_shared)
		return false;
	if (p->have_own && (!p->have_shared || p->own.va.v <= p->shared.va.v)) {
		*page = p->own;
		p->have_own = false;
		if (p->have_shared && p->shared.va.v - p->own.va.v < p->own.size)
			p->have_shared = false;
	} else {
		*page = p->shared;
		p->have_shared = false;
	}
	return true;
}

/* ---- what to look at */

enum take { TAKE_NOTHING, TAKE_ALL, TAKE_EXECUTABLE, TAKE_EXECUTABLE_COPIES };

static enum take suspicious(const struct vad *vad)
{
	bool writable_executable = vad->protection_known && (vad->protection & PAGE_EXECUTE_READWRITE);

	/* What the process can write and run, and what it runs though no image is there:
	 * the rest of the region (data, strings) belongs to it. */
	if (writable_executable || (vad->type != VAD_IMAGE_MAP && vad->pages_executable))
		return TAKE_ALL;
	/* Whose pages were not counted: what is executable comes out page by page. */
	if (!vad->counted && vad->type != VAD_IMAGE_MAP)
		return TAKE_EXECUTABLE;
	return vad->pages_executable_private_image || !vad->counted ? TAKE_EXECUTABLE_COPIES : TAKE_NOTHING;
}

static enum take what_to_take(enum yara_scope scope, const struct vad *vad)
{
	enum take take = suspicious(vad);

	if (scope == YARA_PROCESS || scope == YARA_ALL)
		return TAKE_ALL;
	return scope == YARA_EXECUTABLE && take != TAKE_ALL ? TAKE_EXECUTABLE : take;
}

/* Is a page of a section the process's own by now? Where the section's can't be read, it is not said to be. */
static bool private_copy(struct job *job, const struct vad *vad, const struct page *page)
{
	uint64_t first = vad->first_prototype_pte.v, last = vad->last_prototype_pte.v;
	va_t at = { first + (page->va.v - vad->start.v) / PAGE_SIZE * paging_entry_size(job->space->paging) };
	struct page section;

	if (page->by_prototype || page->size != PAGE_SIZE || !first || (last >= first && at.v > last) ||
	    space_prototype(job->space, at, &section))
		return false;
	return !page_readable(&section) || section.pa.v != page->pa.v;
}

static void scan_vad(struct job *job, const struct vad *vad, int64_t ordinal, enum take take)
{
	struct pages pages;
	struct page page;

	pages_init(&pages, job, vad, take != TAKE_EXECUTABLE_COPIES);
	region_begin(job, vad->start.v, ordinal);
	while (pages_next(&pages, &page)) {
		if (!page_readable(&page) || (take != TAKE_ALL && !page.executable) ||
		    (take == TAKE_EXECUTABLE_COPIES && !private_copy(job, vad, &page)))
			continue;
		/* A large page may reach past the VAD's ends. */
		add_page(job, &page, MAX(page.va.v, vad->start.v), MIN(page.va.v + page.size - 1, vad->end.v));
	}
	region_end(job);
}

/* Memory between VADs: where the page tables map something there, nothing of Windows knows of it. */
static void scan_between(struct job *job, uint64_t first, uint64_t last, bool all)
{
	va_t cursor = { first };
	struct page page;

	while (goes_on(job) && space_next_page(job->space, &cursor, (va_t){ last }, &page)) {
		uint64_t start = MAX(page.va.v, first);
		if (!page_readable(&page) || !(all || page.executable))
			continue;
		if (!job->open || job->end != start)
			region_begin(job, start, -1);
		add_page(job, &page, start, MIN(page.va.v + page.size - 1, last));
	}
	region_end(job);
}

static void scan_process(struct job *job, const GArray *vads, enum yara_scope scope)
{
	uint64_t at = 0, top = space_pointer_size(job->space) == 8 ? INT64_MAX : space_user_end(job->space).v;
	bool all = scope == YARA_PROCESS || scope == YARA_ALL;

	for (guint i = 0; i < vads->len && !context_cancelled(job->c); i++) {
		const struct vad *vad = &g_array_index(vads, struct vad, i);
		if (vad->end.v < vad->start.v || vad->start.v < at || vad->end.v > top)
			continue;	/* no honest tree has such; the pages are looked at as undescribed */
		if (vad->start.v > at)
			scan_between(job, at, vad->start.v - 1, all);
		at = vad->end.v + 1;
		enum take take = what_to_take(scope, vad);
		if (take != TAKE_NOTHING)
			scan_vad(job, vad, i, take);
	}
	if (at <= top)
		scan_between(job, at, top, all);
}

/* ---- the kernel: its modules, and whatever else it may execute */

/* Where the page tables show themselves: their pages are nobody's memory. */
static void self_map(struct space *space, uint64_t *start, uint64_t *size)
{
	bool la57 = space->paging == PAGING_X64_LA57;

	*start = *size = 0;
	if (space->paging == PAGING_X86 || space->paging == PAGING_X86_PAE) {
		*start = 0xc0000000;
		*size = space->paging == PAGING_X86 ? 4u << 20 : 8u << 20;
	}
	if (space->paging != PAGING_X64 && space->paging != PAGING_ARM64 && !la57)
		return;
	for (unsigned i = 256; i < 512; i++) {
		uint64_t entry = 0;
		if (image_read(space->image, (pa_t){ space->dtb.v + i * 8 }, &entry, 8) || !paging_valid(space->paging, entry) ||
		    paging_pfn(space->paging, entry) != space->dtb.v)
			continue;
		*size = UINT64_C(1) << (la57 ? 48 : 39);
		*start = i * *size | (la57 ? 0 : UINT64_C(0xffff000000000000));
		return;
	}
}

static void scan_kernel(struct job *job)
{
	bool wide = space_pointer_size(job->space) == 8;
	va_t cursor = { wide ? UINT64_C(1) << 63 : 0x80000000u }, last = { wide ? UINT64_MAX : UINT32_MAX };
	uint64_t skip, skip_size;
	const char *owner = NULL;
	struct page page;

	self_map(job->space, &skip, &skip_size);
	for (uint64_t before = 0; cursor.v > before && goes_on(job) && space_next_page(job->space, &cursor, last, &page); ) {
		before = page.va.v;
		if (page.va.v - skip < skip_size) {
			cursor.v = skip + skip_size;
			continue;
		}
		if (!page_readable(&page))
			continue;
		for (uint64_t i = 0; i < page.size && goes_on(job); i += PAGE_SIZE) {
			va_t va = { page.va.v + i };
			const char *driver = context_driver_at(job->c, va);
			if (!driver && !page.executable)
				continue;
			/* A driver is one region, holes and all; a region of nobody's ends where its pages do. */
			if (!job->open || driver != owner || (job->end != va.v && (!driver || !*driver)))
				region_begin(job, va.v, -1);
			owner = driver;
			add_page(job, &page, va.v, va.v + PAGE_MASK);
		}
	}
}

/* ---- the plugin */

static bool begin(struct context *c, GError **error)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	enum yara_scope scope = c->options->yara_scope;
	AUTO(scan_rules) rules = scan_rules_create(c->options, problems, error);

	for (guint i = 0; i < problems->len; i++) {
		const char *problem = g_ptr_array_index(problems, i);
		context_note(c, FAULT_IMPLAUSIBLE, (va_t){ 0 }, "yara_matches", "rule file left out: %s", problem);
		if (!c->options->quiet)
			g_printerr("memsieve: rule file left out: %s\n", problem);
	}
	if (!rules)
		return false;
	if (c->image->facts.no_user_memory && scope != YARA_KERNEL)
		context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "yara_matches", "skipped: user memory not in dump");
	if (!scan_rules_count(rules))
		return true;
	struct shared *shared = g_new0(struct shared, 1);
	shared->rules = g_steal_pointer(&rules);
	g_mutex_init(&shared->lock);
	shared->idle = g_ptr_array_new_with_free_func((GDestroyNotify)scanner_destroy);
	context_keep(c, shared, shared_destroy);
	return true;
}

static bool no_scanner(GError **error)
{
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "no memory for a YARA scanner");
	return false;
}

static bool run_process(struct context *c, GError **error)
{
	struct job job;

	if (!context_kept(c) || !c->user || c->image->facts.no_user_memory || c->options->yara_scope == YARA_KERNEL)
		return true;
	job_init(&job, c, c->user);
	if (!job.scanner)
		return no_scanner(error);
	scan_process(&job, c->process->vads.vads, c->options->yara_scope);
	job_finish(&job);
	return true;
}

static bool end(struct context *c, GError **error)
{
	struct job job;

	if (!context_kept(c) || (c->options->yara_scope != YARA_KERNEL && c->options->yara_scope != YARA_ALL))
		return true;
	job_init(&job, c, c->space);
	if (!job.scanner)
		return no_scanner(error);
	scan_kernel(&job);
	job_finish(&job);
	return true;
}

const struct plugin plugin_yara = {
	.name = "yara",
	.doc = "where YARA rules match in memory",
	.fills = { &yara_matches },
	.needs = { "processes", "vads", "drivers" },
	.needs_layout = true,
	.kinds = DUMP_OF_MACHINE | DUMP_OF_PROCESS,
	.begin = begin,
	.run_process = run_process,
	.end = end,
};
