/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pages of a crash dump stand: the header's run list, the bitmap
 * (SDMPDUMP, FDMPDUMP) that Windows puts behind the header, or the range table
 * (RDMP) of dumps that newer debuggers write.
 */
#include <stdlib.h>
#include <string.h>
#include "crashdump.h"
#include "limit.h"

#define MAX_PFN (G_GUINT64_CONSTANT(1) << 40)	/* 52 bits of physical address */
#define RUNS_SIZE 700				/* PhysicalMemoryBlockBuffer */
#define MAX_SLOTS 88				/* runs that fit into it, of 32-bit dumps */

static const uint64_t filler = G_GUINT64_CONSTANT(0x4547415045474150);	/* "PAGEPAGE": unset */

struct run { uint64_t base, pages; };

static struct run run_at(struct crashdump *dump, unsigned i)
{
	struct run run;

	if (dump->is_64bit) {
		run.base = bytes_at(&dump->header, 0x98 + 16 * i, 8);
		run.pages = bytes_at(&dump->header, 0xa0 + 16 * i, 8);
	} else {
		run.base = bytes_at(&dump->header, 0x6c + 8 * i, 4);
		run.pages = bytes_at(&dump->header, 0x70 + 8 * i, 4);
	}
	return run;
}

static bool run_plausible(struct run run)
{
	return run.pages && run.base < MAX_PFN && run.pages < MAX_PFN && run.base != (uint32_t)filler &&
	       run.pages != (uint32_t)filler;
}

/* Every run the header has room for, up to one after which nothing has a known place. */
struct runs {
	struct run run[MAX_SLOTS];
	uint64_t offset[MAX_SLOTS + 1], pages[MAX_SLOTS + 1];	/* of the runs before: where they end in the file, how many pages they have */
	unsigned slots;		/* of the header */
	unsigned n;
};

static void read_runs(struct crashdump *dump, struct runs *r)
{
	r->slots = dump->is_64bit ? (RUNS_SIZE - 16) / 16 : (RUNS_SIZE - 8) / 8;
	r->offset[0] = dump->header_size;
	r->pages[0] = 0;
	for (r->n = 0; r->n < r->slots; r->n++) {
		struct run run = run_at(dump, r->n);
		if (run.pages >= MAX_PFN || run.pages == (uint32_t)filler)
			break;
		r->run[r->n] = run;
		r->offset[r->n + 1] = r->offset[r->n] + run.pages * PAGE_SIZE;
		r->pages[r->n + 1] = r->pages[r->n] + run.pages;
	}
}

/* Do the pages end here: with the file, or before secondary data? */
static bool pages_end(const struct crashdump *dump, uint64_t offset)
{
	struct bytes after = file_slice(dump->image->file, offset, 8);

	return offset == dump->image->file->size || (!after.bad && !memcmp(after.p, "DumpBlob", 8));
}

/* A total that the header says against what its tables name. If the file holds that many, those that are not named are memory that is lost, and what
 * stands behind them has wrong addresses. */
static void compare_pages(struct crashdump *dump, uint64_t first, const char *what, uint64_t said, const char *by, uint64_t named)
{
	const uint64_t size = dump->image->file->size, room = first < size ? (size - first) / PAGE_SIZE : 0;

	if (said > named && said <= room)
		image_note(dump->image, FAULT_NOT_IN_DUMP, 0, "crash dump %s is %" G_GUINT64_FORMAT ", %s %" G_GUINT64_FORMAT ", and the file holds as many: %" G_GUINT64_FORMAT
			   " pages are left out, and what lies behind them may be at wrong addresses", what, said, by, named, said - named);
	else if (said != named)
		image_remark(dump->image, 0, "crash dump %s is %" G_GUINT64_FORMAT ", %s %" G_GUINT64_FORMAT, what, said, by, named);
}

/*
 * How many of the runs to use. NumberOfRuns lies both ways: too many run into filler or the record behind the list,
 * too few leave out pages. What must agree with it are NumberOfPages and the size of the file; where all three differ
 * it is believed.
 */
static unsigned count_runs(struct crashdump *dump, const struct runs *r, uint32_t listed, uint64_t total)
{
	struct image *image = dump->image;
	unsigned n = MIN(listed, r->n), by_total = 0, by_file = 0, leading = 0;

	if (n == listed && n && (r->pages[n] == total || pages_end(dump, r->offset[n])))
		return n;
	for (unsigned i = 1; i <= r->n; i++) {
		if (!r->run[i - 1].pages)
			continue;
		if (total && r->pages[i] == total && !by_total)
			by_total = i;
		if (pages_end(dump, r->offset[i]) && !by_file)
			by_file = i;
		if (leading == i - 1 && run_plausible(r->run[i - 1]) && r->offset[i - 1] < image->file->size)
			leading = i;
	}
	/* Fewer than listed only where the file has nothing for the rest. */
	unsigned found = by_file ? by_file : by_total && (by_total > n || r->offset[by_total] >= image->file->size) ? by_total : n ? n : leading;
	if (found == listed)
		return found;
	image_remark(image, 0,
		     "crash dump header: PhysicalMemoryBlock.NumberOfRuns at %s is %u, the header has room for %u: %u are used%s",
		     dump->is_64bit ? "0x88" : "0x64", listed, r->slots, found,
		     found && found == by_file ? ", whose pages end with the file" : found && found == by_total ? ", which make up all of NumberOfPages" : "");
	return found;
}

/* Is the page at `offset` the page-table root that the header names? Windows' map themselves, on x64 and ARM64. */
static bool root_at(const struct crashdump *dump, uint64_t offset)
{
	struct bytes page = file_slice(dump->image->file, offset, PAGE_SIZE);
	uint64_t dtb = dump->image->facts.dtb.v;

	if (!dump->is_64bit || !dtb || page.bad)
		return false;
	for (unsigned i = 256; i < 512; i++) {
		uint64_t entry = bytes_at(&page, 8 * i, 8);
		if ((entry & 1) && (entry & G_GUINT64_CONSTANT(0x0000fffffffff000)) == dtb)
			return true;
	}
	return false;
}

static int compare_bases(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

/* Where a page stands when the runs' pages follow each other; what is listed first wins. 0: in none. */
static uint64_t offset_of(const struct crashdump *dump, const struct run *runs, unsigned n, uint64_t pfn)
{
	uint64_t offset = dump->header_size;

	for (unsigned i = 0; i < n; offset += runs[i++].pages * PAGE_SIZE)
		if (pfn >= runs[i].base && pfn - runs[i].base < runs[i].pages)
			return offset + (pfn - runs[i].base) * PAGE_SIZE;
	return 0;
}

/* The pages stand in the order of the runs, but for headers whose list alone was shuffled: the page-table root tells. */
static void settle_order(struct crashdump *dump, struct run *runs, unsigned n)
{
	struct run sorted[MAX_SLOTS];
	uint64_t root = dump->image->facts.dtb.v / PAGE_SIZE;

	memcpy(sorted, runs, n * sizeof(*runs));
	qsort(sorted, n, sizeof(*sorted), compare_bases);
	if (!memcmp(sorted, runs, n * sizeof(*runs)))
		return;
	if (root_at(dump, offset_of(dump, runs, n, root)) || !root_at(dump, offset_of(dump, sorted, n, root)))
		return;
	memcpy(runs, sorted, n * sizeof(*runs));
	image_remark(dump->image, 0, "crash dump header: the runs at 0x%x are out of order, the pages are not: DirectoryTableBase leads to a "
		     "page-table root where runs sorted by address put it", dump->is_64bit ? 0x98 : 0x6c);
}

/* False: that is one range more than are taken. */
static bool add_pages(struct crashdump *dump, uint64_t pfn, uint64_t pages, uint64_t offset)
{
	struct image *image = dump->image;

	image_add_range(image, (pa_t){ pfn * PAGE_SIZE }, pages * PAGE_SIZE, offset);
	if (image->segments->len <= limit32(crashdump_ranges))
		return true;
	g_array_set_size(image->segments, limit32(crashdump_ranges));
	image_note(image, FAULT_LIMIT, pfn * PAGE_SIZE, "crash dump: more than %u ranges: the rest is left out", limit32(crashdump_ranges));
	return false;
}

/* How many pages the runs have, those that several have counted once. */
static uint64_t distinct_pages(const struct run *runs, unsigned n)
{
	struct run sorted[MAX_SLOTS];
	uint64_t pages = 0, end = 0;

	memcpy(sorted, runs, n * sizeof(*runs));
	qsort(sorted, n, sizeof(*sorted), compare_bases);
	for (unsigned i = 0; i < n; i++) {
		if (!run_plausible(sorted[i]))
			continue;
		uint64_t from = MAX(sorted[i].base, end);
		end = MAX(end, sorted[i].base + sorted[i].pages);
		pages += end - from;
	}
	return pages;
}

bool crashdump_runs(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	uint32_t listed = (uint32_t)bytes_at(&dump->header, dump->is_64bit ? 0x88 : 0x64, 4);
	uint64_t total = image->facts.memory_total / PAGE_SIZE, offset = dump->header_size;
	struct runs r;

	read_runs(dump, &r);
	unsigned runs = count_runs(dump, &r, listed, total), used = 0, empty = 0;
	settle_order(dump, r.run, runs);
	for (unsigned i = 0; i < runs; i++) {
		struct run run = r.run[i];
		if (!run.pages) {
			empty++;
		} else if (!run_plausible(run)) {
			image_note(image, FAULT_IMPLAUSIBLE, 0,
				   "crash dump header: run %u at 0x%x: base page 0x%" G_GINT64_MODIFIER
				   "x, 0x%" G_GINT64_MODIFIER "x pages: not within 1-0x%" G_GINT64_MODIFIER
				   "x, left out",
				   i, dump->is_64bit ? 0x98 + 16 * i : 0x6c + 8 * i, run.base, run.pages, MAX_PFN - 1);
		} else {
			image_add_range(image, (pa_t){ run.base * PAGE_SIZE }, run.pages * PAGE_SIZE, offset);
			used++;
		}
		offset += run.pages * PAGE_SIZE;
	}
	if (empty)
		image_remark(image, 0, "crash dump header: of the runs that PhysicalMemoryBlock.NumberOfRuns at %s has, %u, %u are empty",
			     dump->is_64bit ? "0x88" : "0x64", listed, empty);
	if (!used) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump header: PhysicalMemoryBlock.NumberOfRuns at 0x%x is %u, within 1-%u none is usable",
			    dump->is_64bit ? 0x88 : 0x64, listed, r.slots);
		return false;
	}
	g_autofree char *where = g_strdup_printf("header: PhysicalMemoryBlock.NumberOfPages at 0x%x", dump->is_64bit ? 0x90 : 0x68);
	if (total)
		compare_pages(dump, dump->header_size, where, total, "the runs have", r.pages[runs]);
	image->facts.memory_total = distinct_pages(r.run, runs) * PAGE_SIZE;
	dump->expected = dump->end = offset;
	return true;
}

/* What the bitmap header says, whichever of its layouts it has. */
struct bitmap {
	uint64_t start;		/* of the bits, in the file */
	uint64_t bits, pages, first;
	unsigned first_field, bits_field;	/* where the fields stand, for messages */
};

static uint64_t count_bits(struct bytes bytes)
{
	uint64_t n = 0, word;

	for (; bytes.n >= 8; bytes.p += 8, bytes.n -= 8) {
		memcpy(&word, bytes.p, 8);
		n += (uint64_t)__builtin_popcountll(word);
	}
	for (; bytes.n; bytes.p++, bytes.n--)
		n += (uint64_t)__builtin_popcount(*bytes.p);
	return n;
}

static uint64_t bytes_for(uint64_t bits)
{
	return bits / 8 + !!(bits & 7);
}

/* As much of a bitmap of so many bits as is read. */
static struct bytes map_of(const struct crashdump *dump, uint64_t start, uint64_t bits)
{
	return file_slice(dump->image->file, start, MIN(bytes_for(bits), limit(crashdump_bitmap)));
}

/*
 * Windows 8 and later write 64-bit fields (_SUMMARY_DUMP: FirstPage 0x20, Pages
 * 0x28, bits 0x30, the map at 0x38), on 32-bit machines too. Before, DumpType 2 had
 * 32-bit ones (HeaderSize 0xc, BitmapSize 0x10, Pages 0x14, then an RTL_BITMAP,
 * whose pointer takes 8 bytes in 64-bit dumps, with or without padding).
 */
static struct bitmap bitmap_header(struct crashdump *dump)
{
	struct bytes head = file_slice(dump->image->file, dump->header_size, 0x38);
	struct bitmap b = { 0 };

	if (head.bad || !bytes_at(&head, 0xc, 4)) {
		b.first = bytes_at(&head, 0x20, 8);
		b.pages = bytes_at(&head, 0x28, 8);
		b.bits = bytes_at(&head, 0x30, 8);
		b.start = dump->header_size + 0x38;
		b.first_field = dump->header_size + 0x20;
		b.bits_field = dump->header_size + 0x30;
		return b;
	}
	b.first = bytes_at(&head, 0xc, 4);
	b.bits = bytes_at(&head, 0x10, 4);
	b.pages = bytes_at(&head, 0x14, 4);
	b.start = dump->header_size + (dump->is_64bit ? 0x28 : 0x20);
	if (dump->is_64bit) {
		struct bytes packed = map_of(dump, dump->header_size + 0x24, b.bits);
		struct bytes aligned = map_of(dump, b.start, b.bits);
		if (!packed.bad && count_bits(packed) == b.pages && (aligned.bad || count_bits(aligned) != b.pages))
			b.start = dump->header_size + 0x24;
	}
	b.first_field = dump->header_size + 0xc;
	b.bits_field = dump->header_size + 0x10;
	return b;
}

/* Has the header neither SDMPDUMP nor FDMPDUMP, but otherwise all that belongs behind it? */
static bool unsigned_bitmap(struct crashdump *dump)
{
	struct bitmap b = bitmap_header(dump);
	uint64_t size = dump->image->file->size;

	if (b.first <= b.start || b.first >= size || b.first & PAGE_MASK || !b.bits || b.bits > (b.first - b.start) * 8)
		return false;
	return b.pages && count_bits(map_of(dump, b.start, b.bits)) == b.pages;
}

static bool signed_bitmap(struct crashdump *dump)
{
	struct bytes b = file_slice(dump->image->file, dump->header_size, 8);

	return !b.bad && (!memcmp(b.p, "SDMPDUMP", 8) || !memcmp(b.p, "FDMPDUMP", 8));
}

bool crashdump_is_bitmap(struct crashdump *dump)
{
	return signed_bitmap(dump) || unsigned_bitmap(dump);
}

/* Does the root of the page tables stand where a bitmap of so many bits and a first page put it? */
static bool shows_root(struct crashdump *dump, uint64_t start, uint64_t bits, uint64_t first)
{
	uint64_t root = dump->image->facts.dtb.v / PAGE_SIZE;
	struct bytes map = map_of(dump, start, root + 1);

	if (!root || map.bad || root / 8 >= map.n || root >= bits || root / 8 >= first - MIN(start, first) || !(map.p[root / 8] >> (root & 7) & 1))
		return false;
	uint64_t before = count_bits((struct bytes){ map.p, root / 8, false }) +
			  (uint64_t)__builtin_popcount(map.p[root / 8] & ((1u << (root & 7)) - 1));
	return root_at(dump, first + before * PAGE_SIZE);
}

/* The page after the last that the header's run list has: bitmap dumps have one too. 0: there is none. */
static uint64_t end_of_runs(struct crashdump *dump)
{
	uint64_t end = 0;
	struct runs r;

	read_runs(dump, &r);
	for (unsigned i = 0; i < r.n; i++)
		if (run_plausible(r.run[i]))
			end = MAX(end, r.run[i].base + r.run[i].pages);
	return end;
}

/*
 * Where the pages begin, when the header's own figures don't put a page-table root where DirectoryTableBase says that
 * there is one: behind the bitmap, or as far before the end as there are pages. Without a root to be seen: where the bitmap's
 * pages end with the file. Nothing changes without either proof.
 */
static void settle_first(struct crashdump *dump, struct bitmap *b)
{
	const uint64_t size = dump->image->file->size, sizes[] = { b->bits, end_of_runs(dump) };
	uint64_t first = 0, bits = 0;
	bool by_root = false;

	if (shows_root(dump, b->start, b->bits, b->first))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(sizes) && !by_root; i++) {
		if (!sizes[i] || sizes[i] / 8 >= size - b->start)
			continue;
		uint64_t pages = count_bits(map_of(dump, b->start, sizes[i]));
		uint64_t ends[] = { b->first, (b->start + sizes[i] / 8 + PAGE_MASK) & ~(uint64_t)PAGE_MASK, size - MIN(pages, size / PAGE_SIZE) * PAGE_SIZE };
		for (size_t k = 0; k < G_N_ELEMENTS(ends) && !by_root; k++) {
			by_root = shows_root(dump, b->start, sizes[i], ends[k]);
			/* The last of them ends with the file whatever the bitmap says. */
			if (!by_root && (first || !pages || k == 2 || !pages_end(dump, ends[k] + pages * PAGE_SIZE)))
				continue;
			first = ends[k];
			bits = sizes[i];
		}
	}
	if (!first || (first == b->first && bits == b->bits))
		return;
	image_remark(dump->image, 0,
		     "crash dump bitmap header: FirstPage at 0x%x is 0x%" G_GINT64_MODIFIER "x, BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER
		     "x; with 0x%" G_GINT64_MODIFIER "x and 0x%" G_GINT64_MODIFIER "x %s",
		     b->first_field, b->first, b->bits_field, b->bits, first, bits,
		     by_root ? "DirectoryTableBase leads to a page-table root" : "the pages end with the file");
	b->first = first;
	b->bits = bits;
}

/* A bitmap that ends too soon leaves pages that the file has without a number. */
static void settle_bits(struct crashdump *dump, struct bitmap *b)
{
	uint64_t room = (b->first - b->start) * 8, end = end_of_runs(dump);

	if (b->bits >= room)
		return;
	if (end > b->bits && end <= room) {
		image_remark(dump->image, 0, "crash dump bitmap header: BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER "x, the header's runs end at page 0x%"
			     G_GINT64_MODIFIER "x: so many bits are read", b->bits_field, b->bits, end);
		b->bits = end;
	}
	uint64_t pages = count_bits(map_of(dump, b->start, b->bits));
	uint64_t more = count_bits(map_of(dump, b->start, room));
	if (more == pages || (more != b->pages && !pages_end(dump, b->first + more * PAGE_SIZE)) || pages_end(dump, b->first + pages * PAGE_SIZE))
		return;
	image_remark(dump->image, 0, "crash dump bitmap header: BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER "x, up to the first page 0x%" G_GINT64_MODIFIER
		     "x bits are there, and the file has the pages of all that are set", b->bits_field, b->bits, room);
	b->bits = room;
}

/* Make the bitmap header agree with the file, with a note on each thing that did not. */
static bool check_bitmap(struct crashdump *dump, struct bitmap *b, GError **error)
{
	struct image *image = dump->image;
	uint64_t size = image->file->size;

	if (b->start >= size) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump bitmap header: the bitmap starts at 0x%" G_GINT64_MODIFIER "x, the file ends at 0x%"
			    G_GINT64_MODIFIER "x", b->start, size);
		return false;
	}
	settle_first(dump, b);
	if (!b->bits && b->first > b->start) {
		uint64_t bits = (MIN(b->first, size) - b->start) * 8;
		image_remark(image, 0,
			     "crash dump bitmap header: BitmapSize at 0x%x is 0: 0x%" G_GINT64_MODIFIER
			     "x bits up to the first page are used",
			     b->bits_field, bits);
		b->bits = bits;
	}
	if (b->first <= b->start || b->first >= size || b->first & PAGE_MASK) {
		const uint64_t end = end_of_runs(dump), bytes = MAX(b->bits, end / 8 < size - b->start ? end : 0) / 8 + 1;
		uint64_t first = bytes < size - b->start ? (b->start + bytes - 1 + PAGE_MASK) & ~(uint64_t)PAGE_MASK : size;
		if (!b->bits || first >= size) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
				    "crash dump bitmap header: FirstPage at 0x%x is 0x%" G_GINT64_MODIFIER
				    "x, not within the file (0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER
				    "x); BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER "x",
				    b->first_field, b->first, b->start + 1, size, b->bits_field, b->bits);
			return false;
		}
		image_note(image, FAULT_IMPLAUSIBLE, 0,
			   "crash dump bitmap header: FirstPage at 0x%x is 0x%" G_GINT64_MODIFIER
			   "x, no page within the file: 0x%" G_GINT64_MODIFIER "x, the page after the bitmap, is taken",
			   b->first_field, b->first, first);
		b->first = first;
	}
	settle_bits(dump, b);
	uint64_t room = (b->first - b->start) * 8, end = end_of_runs(dump);
	if (b->bits > room) {
		/* Where the run list says that memory ends earlier, nothing is missing. */
		if (end && end <= room)
			image_remark(image, 0, "crash dump bitmap header: BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER
				     "x, up to the first page there is room for 0x%" G_GINT64_MODIFIER "x, enough for the runs of the header",
				     b->bits_field, b->bits, room);
		else
			image_note(image, FAULT_NOT_IN_DUMP, room * PAGE_SIZE,
				   "crash dump bitmap header: BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER
				   "x, up to the first page there is room for 0x%" G_GINT64_MODIFIER "x",
				   b->bits_field, b->bits, room);
		b->bits = room;
	}
	if (bytes_for(b->bits) > limit(crashdump_bitmap)) {
		image_note(image, FAULT_LIMIT, limit(crashdump_bitmap) * 8 * PAGE_SIZE,
			   "crash dump bitmap header: BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER "x: bits beyond the first %" G_GUINT64_FORMAT
			   " bytes are not read (crashdump_bitmap)", b->bits_field, b->bits, limit(crashdump_bitmap));
		b->bits = limit(crashdump_bitmap) * 8;
	}
	b->bits = MIN(b->bits, MAX_PFN);
	return true;
}

bool crashdump_bitmap(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	struct bitmap b = bitmap_header(dump);

	if (!signed_bitmap(dump))
		image_remark(image, 0, "crash dump: neither SDMPDUMP nor FDMPDUMP at 0x%x, but a bitmap and its counts follow: read as that",
			     dump->header_size);
	if (!check_bitmap(dump, &b, error))
		return false;
	struct bytes map = map_of(dump, b.start, b.bits);
	uint64_t offset = b.first, i = 0;
	bool all = true;
	while (all && i < b.bits && offset < image->file->size) {
		uint64_t word = 0;
		if (!(i & 63) && b.bits - i >= 64)
			memcpy(&word, map.p + i / 8, 8);
		if (!(i & 63) && b.bits - i >= 64 && !word) {
			i += 64;
			continue;
		}
		if (!(map.p[i / 8] >> (i & 7) & 1)) {
			i++;
			continue;
		}
		uint64_t start = i;
		while (i < b.bits && map.p[i / 8] >> (i & 7) & 1)
			i += !(i & 7) && map.p[i / 8] == 0xff && b.bits - i >= 8 ? 8 : 1;
		all = add_pages(dump, start, i - start, offset);
		offset += (i - start) * PAGE_SIZE;
	}
	/* Past the end of the file nothing can be had: count what is missing, without ranges. Past the last range that is taken, what is there. */
	uint64_t missing = 0, first_missing = 0;
	for (; i < b.bits && i & 7; i++)
		if (map.p[i / 8] >> (i & 7) & 1 && !missing++)
			first_missing = i;
	if (i < b.bits) {
		uint64_t n = count_bits((struct bytes){ map.p + i / 8, map.n - i / 8, false });
		if (n && !missing)
			first_missing = i;
		missing += n;
	}
	if (!all) {
		offset += missing * PAGE_SIZE;
		missing = 0;
	} else if (missing) {
		image_add_missing(image, first_missing * PAGE_SIZE, missing * PAGE_SIZE);
	}
	uint64_t pages = (offset - b.first) / PAGE_SIZE + missing;
	compare_pages(dump, b.first, "bitmap header: Pages", b.pages, "bits set in the bitmap:", pages);
	dump->end = offset;
	dump->expected = offset + missing * PAGE_SIZE;
	if (!image->segments->len) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump: the bitmap at 0x%" G_GINT64_MODIFIER "x, 0x%" G_GINT64_MODIFIER
			    "x bits, names no page that the file holds (%" G_GUINT64_FORMAT " set)",
			    b.start, b.bits, pages);
		return false;
	}
	return true;
}

/* RDMP header: marker 0x40, "RDMP", "DUMP", MetadataSize at 0x10, FirstPageOffset at 0x18; in complete dumps
 * NumberOfRanges at 0x20 and the number of pages at 0x28; pairs of first page and page count from 0x30. */
bool crashdump_is_range_table(const struct crashdump *dump)
{
	struct bytes b = file_slice(dump->image->file, dump->header_size + 4, 8);

	return !b.bad && !memcmp(b.p, "RDMPDUMP", 8);
}

/*
 * Where the pages begin: where FirstPageOffset says, but for one that is not behind the table, or that puts no page-table root
 * where DirectoryTableBase says that there is one while another place does: that of MetadataSize, the page after the table's last
 * range, as far before the end as there are pages. 0: nowhere within the file.
 */
static uint64_t settle_first_of_ranges(struct crashdump *dump, uint64_t start, uint64_t first, uint64_t metadata)
{
	const uint64_t size = dump->image->file->size, root = dump->image->facts.dtb.v / PAGE_SIZE;
	struct bytes table = file_slice(dump->image->file, start, (size - start) & ~(uint64_t)15);
	uint64_t pages = 0, before = UINT64_MAX, at = start;

	for (; table.n && pages < MAX_PFN; at += 16) {
		struct run run = { .base = bytes_u64(&table) };
		run.pages = bytes_u64(&table);
		if (!run_plausible(run) || (!run.base && at != start))
			break;
		if (before == UINT64_MAX && root >= run.base && root - run.base < run.pages)
			before = pages + root - run.base;
		pages += run.pages;
	}
	const uint64_t places[] = {
		first, metadata < size ? dump->header_size + 0x20 + metadata : 0, (at + PAGE_MASK) & ~(uint64_t)PAGE_MASK,
		pages < size / PAGE_SIZE ? size - pages * PAGE_SIZE : 0,
	};
	uint64_t usable = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
		if (places[i] <= start || places[i] >= size)
			continue;
		usable = usable ? usable : places[i];
		if (before != UINT64_MAX && root_at(dump, places[i] + before * PAGE_SIZE))
			return places[i];
	}
	return usable;
}

bool crashdump_range_table(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	struct bytes head = file_slice(image->file, dump->header_size, 0x30);
	uint64_t start = dump->header_size + 0x30, size = image->file->size;
	uint64_t metadata = bytes_at(&head, 0x10, 8), said = bytes_at(&head, 0x18, 8);
	uint64_t first = head.bad ? 0 : settle_first_of_ranges(dump, start, said, metadata);

	if (!first) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump range table: FirstPageOffset at 0x%x is 0x%" G_GINT64_MODIFIER
			    "x, not within 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x",
			    dump->header_size + 0x18, said, start + 1, size);
		return false;
	}
	if (first != said)
		image_remark(image, 0,
			   "crash dump range table: FirstPageOffset at 0x%x is 0x%" G_GINT64_MODIFIER
			   "x: 0x%" G_GINT64_MODIFIER "x, behind the table, is taken, the file has 0x%" G_GINT64_MODIFIER "x bytes",
			   dump->header_size + 0x18, said, first, size);
	struct bytes table = file_slice(image->file, start, (first - start) & ~(uint64_t)15);
	uint64_t offset = first, pages = 0, end = 0;
	bool all = true;
	for (unsigned i = 0; table.n; i++) {
		struct run run = { .base = bytes_u64(&table) };
		run.pages = bytes_u64(&table);
		if (!run.pages || (!run.base && i)) {
			const struct run next = { .base = bytes_at(&table, 0, 8), .pages = bytes_at(&table, 8, 8) };
			if (i && table.n >= 16 && next.base > end && run_plausible(next))
				image_note(image, FAULT_NOT_IN_DUMP, next.base * PAGE_SIZE, "crash dump range table: range %u is none, others follow: the table is read up to here, what "
					   "the others have is left out", i);
			break;
		}
		if (!run_plausible(run)) {
			image_note(image, FAULT_IMPLAUSIBLE, 0,
				   "crash dump range table: range %u: first page 0x%" G_GINT64_MODIFIER
				   "x, 0x%" G_GINT64_MODIFIER
				   "x pages: beyond physical memory, the table is read up to here",
				   i, run.base, run.pages);
			break;
		}
		if (all)	/* else only where they end */
			all = add_pages(dump, run.base, run.pages, offset);
		offset += run.pages * PAGE_SIZE;
		pages += run.pages;
		end = run.base + run.pages - 1;
		if (pages > MAX_PFN)
			break;
	}
	if (!image->segments->len) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump: the range table at 0x%" G_GINT64_MODIFIER
			    "x names no page that the file holds",
			    start);
		return false;
	}
	uint64_t total = bytes_at(&head, 0x28, 8);
	g_autofree char *where = g_strdup_printf("range table: the number of pages at 0x%x", dump->header_size + 0x28);
	if (image->facts.dump_type == DUMP_COMPLETE)
		compare_pages(dump, first, where, total, "the ranges have", pages);
	dump->expected = dump->end = offset;
	return true;
}
