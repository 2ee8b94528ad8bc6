/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hibernation files of Windows 8 to 11 (hiberfil.sys).
 *
 * PO_MEMORY_IMAGE, on the first page, names two restoration sets: the boot loader
 * restores the first, the kernel the second. A restoration set is a chain of
 * compression sets of up to 16 pages:
 *
 *   u32      descriptors (8 bits), size of the data (22), method (2)
 *   descriptors: page frame number << 4 | pages - 1, as wide as a pointer
 *   data: Xpress (method 0, 1) or Xpress-Huffman (2, 3); stored when as large as the pages
 *
 * Sources: Sylve, Marziale and Richard, "Modern Windows hibernation file analysis";
 * public symbols for the header's lengths and offsets. Free pages aren't saved. No
 * public field tells a fast startup (no user is logged on) from a hibernation.
 */
#include <string.h>
#include "format.h"
#include "xpress.h"
#include "limit.h"

#define SET_PAGES 16u
#define SET_SIZE (SET_PAGES * PAGE_SIZE)
#define RESUME_SETS 4u		/* that must follow each other there */
#define MAX_RUNS limit32(hibernation_runs)
#define MAX_PFN (G_GUINT64_CONSTANT(1) << 40)
#define MAX_PAGES (G_GUINT64_CONSTANT(1) << 33)	/* 32 TiB: no Windows has more memory */
#define SLOT_BITS 10u
#define CACHE_SLOTS (1u << SLOT_BITS)	/* decompressed sets kept: 64 MiB; page tables and pool are read again and again */

/* Offsets in PO_MEMORY_IMAGE by its LengthSelf. */
struct layout {
	uint16_t length, first_boot, first_kernel, loader_pages, kernel_pages;
	bool is_64bit;
	const char *builds;
};

static const struct layout layouts[] = {
	{ 0x4d8, 0x68, 0x70, 0x58, 0x230, true, "26100" },
	{ 0x448, 0x68, 0x70, 0x58, 0x230, true, "20348-22631" },
	{ 0x3e0, 0x68, 0x70, 0x58, 0x230, true, "17763-19045" },
	{ 0x3d8, 0x68, 0x70, 0x58, 0x230, true, "15063-17134" },
	{ 0x3c8, 0x68, 0x70, 0x58, 0x220, true, "14393" },
	{ 0x3b0, 0x68, 0x70, 0x58, 0x218, true, "10240-10586" },
	{ 0x360, 0x60, 0x68, 0x58, 0x1c8, true, "9200-9600" },
	{ 0x340, 0x50, 0x54, 0x48, 0x210, false, "17763-19045" },
	{ 0x338, 0x50, 0x54, 0x48, 0x210, false, "15063-17134" },
	{ 0x328, 0x50, 0x54, 0x48, 0x200, false, "14393" },
	{ 0x310, 0x50, 0x54, 0x48, 0x1f8, false, "10240-10586" },
	{ 0x2c8, 0x50, 0x54, 0x48, 0x1b0, false, "9200-9600" },
	/* For lengths nobody has described: the start of the header changed last with build 10240. */
	{ 0, 0x68, 0x70, 0x58, 0, true, "unknown" },
	{ 0, 0x50, 0x54, 0x48, 0, false, "unknown" },
};

struct set { uint64_t offset; uint32_t size; uint16_t pages, method; };
/* Pages that follow each other, within one set. */
struct run { uint64_t pfn; uint32_t set; uint16_t pages, first; };

struct slot { uint32_t set; uint8_t *data; };	/* set + 1; 0 empty */

struct hibernation {
	struct image *image;
	unsigned word;
	uint64_t starts[3];	/* of restoration sets: the boot loader's, the kernel's, that of secure memory; 0: none */
	GArray *sets, *runs;
	GMutex lock;		/* of the cache */
	struct slot cache[CACHE_SLOTS];
};

/* Windows zeroes the header page of a file that is used up; then only the name tells what it was. */
static bool is_wiped_by_name(const struct file *file)
{
	g_autofree char *name = g_path_get_basename(file->path);

	return !g_ascii_strncasecmp(name, "hiberfil.sys", 12) && file->size >= PAGE_SIZE && bytes_are_zero(file->map, PAGE_SIZE);
}

static bool hibernation_match(const struct file *file)
{
	static const char signatures[][5] = { "HIBR", "WAKE", "RSTR", "HORM" };

	for (size_t i = 0; file->size >= 4 && i < G_N_ELEMENTS(signatures); i++)
		if (!g_ascii_strncasecmp((const char *)file->map, signatures[i], 4))
			return true;
	return is_wiped_by_name(file);
}

/* The compression set at `at`, and where its descriptors begin; false when there is none. */
static bool read_set(const struct hibernation *h, uint64_t at, struct set *set, struct bytes *descriptors)
{
	struct bytes b = file_slice(h->image->file, at, 4);
	uint32_t head = bytes_u32(&b);
	unsigned count = head & 0xff;

	*set = (struct set){ .size = head >> 8 & 0x3fffff, .method = (uint16_t)(head >> 30) };
	*descriptors = file_slice(h->image->file, at + 4, (uint64_t)count * h->word);
	set->offset = at + 4 + (uint64_t)count * h->word;
	if (b.bad || !count || count > SET_PAGES || !set->size || descriptors->bad)
		return false;
	struct bytes d = *descriptors;
	for (unsigned i = 0; i < count; i++) {
		uint64_t descriptor = bytes_le(&d, h->word);
		if ((descriptor >> 4) + (descriptor & 15) >= MAX_PFN)
			return false;
		set->pages += (descriptor & 15) + 1;
	}
	return set->pages <= SET_PAGES && set->size <= set->pages * PAGE_SIZE;
}

/* The next place where sets follow each other, behind a broken one; 0: none nearby. */
static uint64_t resume(const struct hibernation *h, uint64_t at)
{
	const struct file *file = h->image->file;

	for (uint64_t end = at + limit(resume_bytes); ++at < end && at < file->size;) {
		uint64_t next = at;
		unsigned n = 0;
		for (; n < RESUME_SETS; n++) {
			struct bytes descriptors;
			struct set set;
			if (!read_set(h, next, &set, &descriptors) || set.size > file->size - set.offset || (set.size >> 2) < set.pages)
				break;
			next = set.offset + set.size;
		}
		if (n == RESUME_SETS)
			return at;
	}
	return 0;
}

/* The pages of a set into `to`, SET_SIZE bytes. A set that doesn't give all its pages is damaged. */
static bool decompress(const struct hibernation *h, const struct set *set, uint8_t *to)
{
	struct bytes data = file_slice(h->image->file, set->offset, set->size);
	size_t size = set->pages * PAGE_SIZE;

	if (data.bad)
		return false;
	if (set->size == size) {
		memcpy(to, data.p, size);
		return true;
	}
	return set->method & 2 ? xpress_huffman_decompress(data, to, size) : xpress_decompress(data, to, size);
}

/* Does a set begin here, whose pages come out of it? */
static bool goes_on(const struct hibernation *h, uint64_t at)
{
	struct bytes descriptors;
	struct set set;

	if (!read_set(h, at, &set, &descriptors) || set.size > h->image->file->size - set.offset)
		return false;
	g_autofree uint8_t *pages = g_malloc(SET_SIZE);
	return decompress(h, &set, pages);
}

/* Where nobody says how many pages a set has, it ends with what is no set of compressed pages: unless it is torn there. */
static void tell_end(struct hibernation *h, const char *name, uint64_t at, uint64_t pages, bool is_set, uint64_t stop)
{
	uint64_t next = is_set ? 0 : resume(h, at);

	if (is_set)
		image_note(h->image, FAULT_NOT_IN_DUMP, 0, "hibernation file: %s set: the file ends within the compression set at 0x%" G_GINT64_MODIFIER "x, after %" G_GUINT64_FORMAT
			   " pages", name, at, pages);
	else if (next && next < stop)
		image_remark(h->image, 0, "hibernation file: %s set: how many pages it has isn't said: it ends at 0x%" G_GINT64_MODIFIER "x, after %" G_GUINT64_FORMAT
			   "; others begin at 0x%" G_GINT64_MODIFIER "x: it may be torn, or they are of an earlier hibernation: left out", name, at, pages, next);
}

/* Walk a restoration set; returns where it ends. `total` 0: up to what is no set, or where another one begins. */
static uint64_t read_restoration_set(struct hibernation *h, const char *name, uint64_t at, uint64_t total)
{
	const struct file *file = h->image->file;
	uint64_t pages = 0, stop = UINT64_MAX;
	unsigned resumed = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(h->starts); i++)
		if (h->starts[i] > at)
			stop = MIN(stop, h->starts[i]);
	if (total >= MAX_PAGES) {
		image_remark(h->image, 0, "hibernation file: %s set: its header has 0x%" G_GINT64_MODIFIER "x pages, above 0x%" G_GINT64_MODIFIER
			     "x: read up to what is no set", name, total, MAX_PAGES);
		total = 0;
	}
	while (h->runs->len < MAX_RUNS && (pages < total || at < stop)) {
		struct bytes descriptors;
		struct set set;
		if (total && pages >= total) {	/* unless it goes on: then the header has too few */
			if (!goes_on(h, at))
				break;
			image_remark(h->image, 0, "hibernation file: %s set: its header has %" G_GUINT64_FORMAT " pages, and sets go on at 0x%" G_GINT64_MODIFIER
				     "x: read up to what is no set", name, total, at);
			total = 0;
		}
		const bool is_set = read_set(h, at, &set, &descriptors);
		if (!is_set || set.size > file->size - set.offset) {
			if (!total && pages && at < file->size)
				tell_end(h, name, at, pages, is_set, stop);
			uint64_t next = total && at < file->size && resumed++ < limit(resumed) ? resume(h, at) : 0;
			if (total && at < file->size)
				image_note(h->image, FAULT_IMPLAUSIBLE, 0,
					   "hibernation file: %s set: no compression set at 0x%" G_GINT64_MODIFIER
					   "x, after %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " pages: %s 0x%" G_GINT64_MODIFIER "x",
					   name, at, pages, total, next ? "the next ones are at" : "the rest is left out from", next ? next : at);
			if (!next && total && at < file->size && (resumed > limit(resumed) || limit(resume_bytes) < file->size - at))
				image_note(h->image, FAULT_LIMIT, 0, "hibernation file: %s set: the next compression set was looked for %" G_GUINT64_FORMAT
					   " times at most (resumed), in %" G_GUINT64_FORMAT " bytes (resume_bytes)", name, limit(resumed), limit(resume_bytes));
			if (!next)
				break;
			at = next;
			continue;
		}
		unsigned first = 0;
		while (descriptors.n) {
			uint64_t d = bytes_le(&descriptors, h->word);
			struct run run = { d >> 4, h->sets->len, (uint16_t)((d & 15) + 1), (uint16_t)first };
			g_array_append_val(h->runs, run);
			first += run.pages;
		}
		g_array_append_val(h->sets, set);
		pages += set.pages;
		at = set.offset + set.size;
	}
	if (h->runs->len >= MAX_RUNS && (!total || pages < total))
		image_note(h->image, FAULT_LIMIT, 0, "hibernation file: %s set: more than %u runs: the rest is left out", name, MAX_RUNS);
	if (pages < total)
		image_add_missing(h->image, 0, MIN(total - pages, UINT64_MAX / PAGE_SIZE) * PAGE_SIZE);
	return at;
}

static int compare_runs(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->pfn != y->pfn)
		return (x->pfn > y->pfn) - (x->pfn < y->pfn);
	return x->set != y->set ? (x->set > y->set) - (x->set < y->set) : (int)x->first - (int)y->first;
}

/* The run whose set comes first has the page, as nothing says which is newer. */
static bool goes_before(const struct run *a, const struct run *b)
{
	return a->set != b->set ? a->set < b->set : a->first < b->first;
}

/* Pages that were saved twice, at and above the run that is looked at: no run has more pages than there are places. */
struct owners { const struct run *of[SET_PAGES]; GArray *out; uint64_t twice, at; };

/* The page goes to its owner, as a run or as the last run's next page. */
static void settle_page(struct owners *o, uint64_t pfn)
{
	const struct run *owner = o->of[pfn % SET_PAGES];
	struct run *last = o->out->len ? &g_array_index(o->out, struct run, o->out->len - 1) : NULL;

	o->of[pfn % SET_PAGES] = NULL;
	if (!owner)
		return;
	struct run run = { pfn, owner->set, 1, (uint16_t)(owner->first + (pfn - owner->pfn)) };
	if (last && last->set == run.set && last->pfn + last->pages == pfn && last->first + last->pages == run.first)
		last->pages++;
	else if (o->out->len < MAX_RUNS)
		g_array_append_val(o->out, run);
}

/* The same pages as runs that don't overlap. A list of single pages would be 16 times as long. */
static void part_runs(struct hibernation *h)
{
	struct owners o = { .out = g_array_new(FALSE, FALSE, sizeof(struct run)) };
	uint64_t pfn = 0;

	for (guint i = 0; i < h->runs->len; i++) {
		const struct run *run = &g_array_index(h->runs, struct run, i);
		for (uint64_t end = MIN(pfn + SET_PAGES, run->pfn); pfn < end; pfn++)
			settle_page(&o, pfn);
		pfn = run->pfn;
		for (unsigned n = 0; n < run->pages; n++) {
			const struct run **owner = &o.of[(pfn + n) % SET_PAGES];
			if (*owner)
				o.at = o.twice++ ? o.at : pfn + n;
			if (!*owner || goes_before(run, *owner))
				*owner = run;
		}
	}
	for (uint64_t end = pfn + SET_PAGES; pfn < end; pfn++)
		settle_page(&o, pfn);
	g_array_free(h->runs, TRUE);
	h->runs = o.out;
	image_note(h->image, FAULT_IMPLAUSIBLE, o.at * PAGE_SIZE, "hibernation file: %" G_GUINT64_FORMAT
		   " pages are in it twice: what comes first is used", o.twice);
	if (h->runs->len >= MAX_RUNS)
		image_note(h->image, FAULT_LIMIT, 0, "hibernation file: without what is in it twice it has more than %u runs: the rest is left out", MAX_RUNS);
}

/* Sort the runs by page; a page saved twice is taken from the set that comes first. */
static void settle_runs(struct hibernation *h)
{
	bool overlap = false;

	g_array_sort(h->runs, compare_runs);
	for (guint i = 1; i < h->runs->len && !overlap; i++) {
		const struct run *a = &g_array_index(h->runs, struct run, i - 1);
		overlap = a->pfn + a->pages > a[1].pfn;
	}
	if (overlap)
		part_runs(h);
	for (guint i = 0; i < h->runs->len; i++) {
		const struct run *run = &g_array_index(h->runs, struct run, i);
		image_add_range(h->image, (pa_t){ run->pfn * PAGE_SIZE }, (uint64_t)run->pages * PAGE_SIZE,
				run->pfn * PAGE_SIZE);
	}
}

static uint64_t header_page(const struct hibernation *h, unsigned offset)
{
	struct bytes b = file_slice(h->image->file, offset, h->word);

	return bytes_le(&b, h->word);
}

/* The layout of the header's length; else the first of the unknown ones under which a set begins where it says. */
static const struct layout *find_layout(struct hibernation *h, uint32_t length)
{
	struct bytes descriptors;
	struct set set;

	for (size_t i = 0; i < G_N_ELEMENTS(layouts); i++) {
		h->word = layouts[i].is_64bit ? 8 : 4;
		if (layouts[i].length && layouts[i].length == length)
			return &layouts[i];
		uint64_t page = header_page(h, layouts[i].first_kernel);
		if (!layouts[i].length && page && page <= h->image->file->size / PAGE_SIZE &&
		    read_set(h, page * PAGE_SIZE, &set, &descriptors))
			return &layouts[i];
	}
	return NULL;
}

/* KPROCESSOR_STATE on the page after the header, where Windows fills it: SpecialRegisters.Cr0 at 0, .Cr3 at 0x10. */
static void read_processor(struct hibernation *h)
{
	struct bytes b = file_slice(h->image->file, PAGE_SIZE, 32);
	uint64_t cr0 = bytes_at(&b, 0, 8);
	struct image_cpu cpu = { .cr3 = bytes_at(&b, 0x10, 8) };

	if (b.bad || h->word != 8 || (cr0 & 0x80000001u) != 0x80000001u || cr0 >> 32 || !cpu.cr3 || cpu.cr3 >> 52)
		return;
	h->image->facts.cpus = g_array_new(FALSE, FALSE, sizeof(struct image_cpu));
	g_array_append_val(h->image->facts.cpus, cpu);
}

static bool read_header(struct hibernation *h, GError **error)
{
	const struct file *file = h->image->file;
	struct bytes b = file_slice(file, 0, MIN(file->size, PAGE_SIZE));
	struct image_facts *facts = &h->image->facts;
	uint32_t length = (uint32_t)bytes_at(&b, 0xc, 4);
	char signature[5] = "";

	if (b.n < PAGE_SIZE) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "hibernation file: it has %" G_GUINT64_FORMAT
			    " bytes, its header alone has %u", file->size, PAGE_SIZE);
		return false;
	}
	if (bytes_are_zero(b.p, PAGE_SIZE)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "hibernation file: its header is wiped (zeros): Windows wipes "
			    "the file when it has resumed from it; no memory can be read");
		return false;
	}
	memcpy(signature, b.p, 4);
	const struct layout *layout = find_layout(h, length);
	if (!layout) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "hibernation file (%s): PO_MEMORY_IMAGE.LengthSelf at 0xc is 0x%x: no "
			    "layout of Windows 8 to 11 (0x2c8-0x4d8); older ones aren't read",
			    signature, length);
		return false;
	}
	h->word = layout->is_64bit ? 8 : 4;
	if (!layout->length)
		image_note(h->image, FAULT_NO_FIELD, 0,
			   "hibernation file: PO_MEMORY_IMAGE.LengthSelf at 0xc is 0x%x, of no known build: "
			   "read as its neighbours",
			   length);
	facts->architecture = layout->is_64bit ? ARCH_X64 : ARCH_X86_PAE;
	facts->system_time = bytes_at(&b, layout->is_64bit ? 0x20 : 0x18, 8);
	facts->detail = g_strdup_printf("signature %s, header of builds %s, HiberFlags 0x%x", signature, layout->builds,
					(unsigned)bytes_at(&b, layout->is_64bit ? 0x38 : 0x30, 1));

	uint64_t boot = header_page(h, layout->first_boot), kernel = header_page(h, layout->first_kernel);
	uint64_t loader_pages = bytes_at(&b, layout->loader_pages, 8);
	uint64_t kernel_pages = layout->kernel_pages ? bytes_at(&b, layout->kernel_pages, 8) : 0;
	uint64_t last = (file->size + PAGE_MASK) / PAGE_SIZE;	/* the first page that is not in the file */
	if ((!boot && !kernel) || (boot >= last && kernel >= last)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "hibernation file (%s): FirstBootRestorePage at 0x%x is %" G_GUINT64_FORMAT
			    ", FirstKernelRestorePage at 0x%x is %" G_GUINT64_FORMAT
			    ": none within 1-%" G_GUINT64_FORMAT,
			    signature, layout->first_boot, boot, layout->first_kernel, kernel, last - 1);
		return false;
	}
	/* FirstSecureRestorePage stands before FirstBootRestorePage since build 10240. */
	const uint64_t starts[] = { boot, kernel, layout->first_boot == 0x68 ? header_page(h, 0x60) : 0 };
	for (size_t i = 0; i < G_N_ELEMENTS(starts); i++)
		h->starts[i] = starts[i] < last ? starts[i] * PAGE_SIZE : 0;
	uint64_t end = h->starts[0] ? read_restoration_set(h, "boot", h->starts[0], loader_pages) : 0;
	if (!h->starts[0] && loader_pages && loader_pages < MAX_PAGES) {
		image_note(h->image, FAULT_NOT_IN_DUMP, 0, "hibernation file: FirstBootRestorePage at 0x%x is %" G_GUINT64_FORMAT ", not within 1-%" G_GUINT64_FORMAT ": the boot loader's %"
			   G_GUINT64_FORMAT " pages are missing", layout->first_boot, boot, last - 1, loader_pages);
		image_add_missing(h->image, 0, loader_pages * PAGE_SIZE);
	}
	if (h->starts[1]) {
		read_restoration_set(h, "kernel", h->starts[1], kernel_pages);
	} else {
		/* Sets begin with a page. */
		uint64_t behind = (end + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
		bool found = end && goes_on(h, behind);
		image_note(h->image, FAULT_NOT_IN_DUMP, 0,
			   "hibernation file: FirstKernelRestorePage at 0x%x is %" G_GUINT64_FORMAT
			   ", not within 1-%" G_GUINT64_FORMAT "%s",
			   layout->first_kernel, kernel, last - 1, found ? ": the sets behind the boot loader's are read" : "");
		if (found)
			read_restoration_set(h, "kernel", behind, kernel_pages);
	}
	uint64_t first = (kernel < last ? kernel : boot) * PAGE_SIZE;
	struct bytes at = file_slice(file, first, MIN(PAGE_SIZE, file->size - first));
	if (!h->runs->len) {
		bool zeros = !at.bad && bytes_are_zero(at.p, at.n);
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    zeros ? "hibernation file (%s): its memory is wiped (zeros at page %" G_GUINT64_FORMAT
				    "): Windows wipes it when it has resumed" :
				    "hibernation file (%s): no compression set at page %" G_GUINT64_FORMAT,
			    signature, kernel < last ? kernel : boot);
		return false;
	}
	if (!at.bad && bytes_are_zero(at.p, at.n))
		image_note(h->image, FAULT_NOT_IN_DUMP, 0,
			   "hibernation file: the kernel's pages are wiped (zeros at page %" G_GUINT64_FORMAT
			   "): Windows wipes them when it has resumed",
			   kernel);
	if (!strcmp(signature, "RSTR"))
		image_note(h->image, FAULT_IMPLAUSIBLE, 0,
			   "hibernation file: signature RSTR: Windows was resuming from it, parts may be wiped");
	read_processor(h);
	return true;
}

static bool hibernation_open(struct image *image, GError **error)
{
	struct hibernation *h = image->format_data = g_new0(struct hibernation, 1);

	h->image = image;
	h->sets = g_array_new(FALSE, FALSE, sizeof(struct set));
	h->runs = g_array_new(FALSE, FALSE, sizeof(struct run));
	g_mutex_init(&h->lock);
	image->facts.format = "hibernation";
	if (!read_header(h, error))
		return false;
	settle_runs(h);
	return true;
}

static void hibernation_close(struct image *image)
{
	struct hibernation *h = image->format_data;

	if (!h)
		return;
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		g_free(h->cache[i].data);
	g_array_free(h->sets, TRUE);
	g_array_free(h->runs, TRUE);
	g_mutex_clear(&h->lock);
	g_free(h);
}

static enum fault hibernation_read_page(struct image *image, uint64_t pfn, void *page)
{
	struct hibernation *h = image->format_data;
	guint low = 0, high = h->runs->len;

	while (low < high) {	/* the last run that starts at or before pfn */
		guint mid = low + (high - low) / 2;
		if (g_array_index(h->runs, struct run, mid).pfn <= pfn)
			low = mid + 1;
		else
			high = mid;
	}
	const struct run *run = low ? &g_array_index(h->runs, struct run, low - 1) : NULL;
	if (!run || pfn - run->pfn >= run->pages)
		return FAULT_NOT_IN_DUMP;
	size_t in = (run->first + (size_t)(pfn - run->pfn)) * PAGE_SIZE;
	struct slot *slot = &h->cache[image_slot(image, run->set, SLOT_BITS)];

	g_mutex_lock(&h->lock);
	bool cached = slot->set == run->set + 1;
	if (cached)
		memcpy(page, slot->data + in, PAGE_SIZE);
	g_mutex_unlock(&h->lock);
	if (cached)
		return FAULT_NONE;

	/* Decompressed outside the lock: threads that want the same set do it twice, none waits. */
	uint8_t *data = g_malloc(SET_SIZE);
	if (!decompress(h, &g_array_index(h->sets, struct set, run->set), data)) {
		g_free(data);
		return FAULT_IMPLAUSIBLE;
	}
	memcpy(page, data + in, PAGE_SIZE);
	g_mutex_lock(&h->lock);
	uint8_t *old = slot->data;
	slot->data = data;
	slot->set = run->set + 1;
	g_mutex_unlock(&h->lock);
	g_free(old);
	return FAULT_NONE;
}

const struct format format_hibernation = {
	.name = "hibernation",
	.doc = "a Windows 8 to 11 hibernation file",
	.match = hibernation_match,
	.open = hibernation_open,
	.close = hibernation_close,
	.read_page = hibernation_read_page,
};
