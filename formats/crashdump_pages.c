/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the pages of a crash dump stand: the header's run list, the bitmap
 * (SDMPDUMP, FDMPDUMP) that Windows puts behind the header, or the range table
 * (RDMP) of dumps that newer debuggers write.
 */
#include <string.h>
#include "crashdump.h"

#define MAX_PFN (G_GUINT64_CONSTANT(1) << 40)	/* 52 bits of physical address */
#define RUNS_SIZE 700				/* PhysicalMemoryBlockBuffer */

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

/*
 * How many of the slots to use. Headers lie about it both ways: too many run into
 * filler or the record behind the list, too few leave out pages that
 * NumberOfPages counts.
 */
static unsigned count_runs(struct crashdump *dump, uint32_t listed, unsigned slots, uint64_t total)
{
	const char *where = dump->is_64bit ? "0x88" : "0x64";
	uint64_t sum = 0, offset = dump->header_size;
	unsigned n = MIN(listed, slots);

	if (listed > slots)
		image_note(dump->image, FAULT_IMPLAUSIBLE, 0,
			   "crash dump header: PhysicalMemoryBlock.NumberOfRuns at %s is %u, "
			   "the header has room for %u: those are used",
			   where, listed, slots);
	for (unsigned i = 0; i < n; i++) {
		struct run run = run_at(dump, i);
		if (total && sum == total && (!run_plausible(run) || offset >= dump->image->file->size)) {
			image_note(dump->image, FAULT_IMPLAUSIBLE, 0,
				   "crash dump header: PhysicalMemoryBlock.NumberOfRuns at %s is %u, "
				   "the first %u make up all of NumberOfPages, %" G_GUINT64_FORMAT
				   ": the rest is left out",
				   where, listed, i, total);
			return i;
		}
		if (run.pages >= MAX_PFN)
			return n;
		sum += run.pages;
		offset += run.pages * PAGE_SIZE;
	}
	unsigned more = n;
	while (more < slots && total && sum < total && offset < dump->image->file->size) {
		struct run run = run_at(dump, more);
		if (!run_plausible(run) || run.pages > total - sum)
			break;
		sum += run.pages;
		offset += run.pages * PAGE_SIZE;
		more++;
	}
	if (more > n)
		image_note(dump->image, FAULT_IMPLAUSIBLE, 0,
			   "crash dump header: PhysicalMemoryBlock.NumberOfRuns at %s is %u, but "
			   "NumberOfPages, %" G_GUINT64_FORMAT ", needs more and %u more are there: they are used too",
			   where, listed, total, more - n);
	return more;
}

bool crashdump_runs(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	unsigned slots = dump->is_64bit ? (RUNS_SIZE - 16) / 16 : (RUNS_SIZE - 8) / 8;
	uint32_t listed = (uint32_t)bytes_at(&dump->header, dump->is_64bit ? 0x88 : 0x64, 4);
	uint64_t total = image->facts.memory_total / PAGE_SIZE, offset = dump->header_size, sum = 0;
	unsigned runs = count_runs(dump, listed == (uint32_t)filler ? 0 : listed, slots, total);
	unsigned used = 0, empty = 0;

	for (unsigned i = 0; i < runs; i++) {
		struct run run = run_at(dump, i);
		if (!run.base && !run.pages) {
			empty++;
		} else if (!run_plausible(run)) {
			image_note(image, FAULT_IMPLAUSIBLE, 0,
				   "crash dump header: run %u at 0x%x: base page 0x%" G_GINT64_MODIFIER
				   "x, 0x%" G_GINT64_MODIFIER "x pages: not within 1-0x%" G_GINT64_MODIFIER
				   "x, left out",
				   i, dump->is_64bit ? 0x98 + 16 * i : 0x6c + 8 * i, run.base, run.pages, MAX_PFN - 1);
			if (run.pages >= MAX_PFN || run.pages == (uint32_t)filler)
				break;	/* what follows stands at an unknown offset */
		} else {
			image_add_range(image, (pa_t){ run.base * PAGE_SIZE }, run.pages * PAGE_SIZE, offset);
			used++;
		}
		offset += run.pages * PAGE_SIZE;
		sum += run.pages;
	}
	if (empty)
		image_note(image, FAULT_IMPLAUSIBLE, 0, "crash dump header: %u of %u runs are empty", empty, listed);
	if (!used) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump header: PhysicalMemoryBlock.NumberOfRuns at 0x%x is %u, within 1-%u none is usable",
			    dump->is_64bit ? 0x88 : 0x64, listed, slots);
		return false;
	}
	if (total && sum != total)
		image_note(image, FAULT_IMPLAUSIBLE, 0, "crash dump header: PhysicalMemoryBlock.NumberOfPages at 0x%x is %"
			   G_GUINT64_FORMAT ", the runs have %" G_GUINT64_FORMAT, dump->is_64bit ? 0x90 : 0x68, total, sum);
	if (!total)
		image->facts.memory_total = sum * PAGE_SIZE;
	dump->expected = dump->end = offset;
	return true;
}

bool crashdump_is_bitmap(const struct crashdump *dump)
{
	struct bytes b = file_slice(dump->image->file, dump->header_size, 8);

	return !b.bad && (!memcmp(b.p, "SDMPDUMP", 8) || !memcmp(b.p, "FDMPDUMP", 8));
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
		struct bytes packed = file_slice(dump->image->file, dump->header_size + 0x24, (b.bits + 7) / 8);
		struct bytes aligned = file_slice(dump->image->file, b.start, (b.bits + 7) / 8);
		if (!packed.bad && count_bits(packed) == b.pages && (aligned.bad || count_bits(aligned) != b.pages))
			b.start = dump->header_size + 0x24;
	}
	b.first_field = dump->header_size + 0xc;
	b.bits_field = dump->header_size + 0x10;
	return b;
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
	if (!b->bits && b->first > b->start) {
		uint64_t bits = (MIN(b->first, size) - b->start) * 8;
		image_note(image, FAULT_IMPLAUSIBLE, 0,
			   "crash dump bitmap header: BitmapSize at 0x%x is 0: 0x%" G_GINT64_MODIFIER
			   "x bits up to the first page are used",
			   b->bits_field, bits);
		b->bits = bits;
	}
	if (b->first <= b->start || b->first >= size) {
		uint64_t bytes = b->bits / 8 + 1;
		uint64_t first =
			bytes < size - b->start ? (b->start + b->bits / 8 + PAGE_MASK) & ~(uint64_t)PAGE_MASK : size;
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
			   "x, not within the file: 0x%" G_GINT64_MODIFIER "x, the page after the bitmap, is taken",
			   b->first_field, b->first, first);
		b->first = first;
	}
	uint64_t room = (b->first - b->start) * 8;
	if (b->bits > room) {
		image_note(image, FAULT_NOT_IN_DUMP, room * PAGE_SIZE,
			   "crash dump bitmap header: BitmapSize at 0x%x is 0x%" G_GINT64_MODIFIER
			   "x, up to the first page there is room for 0x%" G_GINT64_MODIFIER "x",
			   b->bits_field, b->bits, room);
		b->bits = room;
	}
	if (b->bits > MAX_PFN)
		b->bits = MAX_PFN;
	return true;
}

bool crashdump_bitmap(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	struct bitmap b = bitmap_header(dump);

	if (!check_bitmap(dump, &b, error))
		return false;
	struct bytes map = file_slice(image->file, b.start, (b.bits + 7) / 8);
	uint64_t offset = b.first, i = 0;
	while (i < b.bits && offset < image->file->size) {
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
		image_add_range(image, (pa_t){ start * PAGE_SIZE }, (i - start) * PAGE_SIZE, offset);
		offset += (i - start) * PAGE_SIZE;
	}
	/* Past the end of the file nothing can be had: count what is missing, without ranges. */
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
	if (missing) {
		if (!image->bytes_missing)
			image->first_missing = first_missing * PAGE_SIZE;
		image->bytes_missing += missing * PAGE_SIZE;
	}
	uint64_t pages = (offset - b.first) / PAGE_SIZE + missing;
	if (b.pages != pages)
		image_note(image, FAULT_IMPLAUSIBLE, 0, "crash dump bitmap header: Pages is %" G_GUINT64_FORMAT
			   ", the bitmap has %" G_GUINT64_FORMAT " bits set", b.pages, pages);
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

bool crashdump_range_table(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	struct bytes head = file_slice(image->file, dump->header_size, 0x30);
	uint64_t start = dump->header_size + 0x30, size = image->file->size;
	uint64_t metadata = bytes_at(&head, 0x10, 8), first = bytes_at(&head, 0x18, 8);

	if (head.bad || first <= start || first >= size) {
		uint64_t by_metadata = metadata < size ? dump->header_size + 0x20 + metadata : 0;
		if (head.bad || by_metadata <= start || by_metadata >= size) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
				    "crash dump range table: FirstPageOffset at 0x%x is 0x%" G_GINT64_MODIFIER
				    "x, not within 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER "x",
				    dump->header_size + 0x18, first, start + 1, size);
			return false;
		}
		image_note(image, FAULT_IMPLAUSIBLE, 0,
			   "crash dump range table: FirstPageOffset at 0x%x is 0x%" G_GINT64_MODIFIER
			   "x, not within the file: 0x%" G_GINT64_MODIFIER "x, after the table, is taken",
			   dump->header_size + 0x18, first, by_metadata);
		first = by_metadata;
	}
	struct bytes table = file_slice(image->file, start, (first - start) & ~(uint64_t)15);
	uint64_t offset = first, pages = 0;
	for (unsigned i = 0; table.n; i++) {
		struct run run = { .base = bytes_u64(&table) };
		run.pages = bytes_u64(&table);
		if (!run.pages || (!run.base && i))
			break;
		if (!run_plausible(run)) {
			image_note(image, FAULT_IMPLAUSIBLE, 0,
				   "crash dump range table: range %u: first page 0x%" G_GINT64_MODIFIER
				   "x, 0x%" G_GINT64_MODIFIER
				   "x pages: beyond physical memory, the table is read up to here",
				   i, run.base, run.pages);
			break;
		}
		image_add_range(image, (pa_t){ run.base * PAGE_SIZE }, run.pages * PAGE_SIZE, offset);
		offset += run.pages * PAGE_SIZE;
		pages += run.pages;
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
	if (image->facts.dump_type == DUMP_COMPLETE && total != pages)
		image_note(image, FAULT_IMPLAUSIBLE, 0,
			   "crash dump range table: the number of pages at 0x%x is %" G_GUINT64_FORMAT
			   ", the ranges have %" G_GUINT64_FORMAT,
			   dump->header_size + 0x28, total, pages);
	dump->expected = dump->end = offset;
	return true;
}
