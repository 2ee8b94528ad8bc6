/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces and list walks over a tiny raw image made here, with holes and smears. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "page_file.h"
#include "paging.h"
#include "rows.h"
#include "vad.h"
#include "walk.h"

#define PAGES 64
#define K UINT64_C(0xfffff80000000000)		/* kernel half: its page n is at K + n pages */
#define U UINT64_C(0x0000000000400000)		/* user half */

static uint8_t memory[PAGES][PAGE_SIZE];
static char path[] = "/tmp/memsieve-space-XXXXXX";
static struct image *image;
static struct layout *layout;
static struct space *space;

static void put(unsigned page, unsigned index, uint64_t value)
{
	memcpy(memory[page] + 8 * index, &value, 8);
}

#define PAGE_AT(n) ((uint64_t)(n) * PAGE_SIZE)
#define RW 0x803u	/* valid, writable by hardware and by Windows' software bit */
#define NX (UINT64_C(1) << 63)

static void setup(void)
{
	GError *error = NULL;
	int fd;

	memset(memory, 0, sizeof(memory));
	for (unsigned i = 16; i < PAGES; i++)
		memset(memory[i], (int)i, PAGE_SIZE);
	/* 1: PML4, 2-4: user tables, 5-7: kernel tables; every other virtual page lies elsewhere. */
	put(1, 0, PAGE_AT(2) | 7);
	put(2, 0, PAGE_AT(3) | 7);
	put(3, 2, PAGE_AT(4) | 7);
	put(1, 496, PAGE_AT(5) | 3);
	put(5, 0, PAGE_AT(6) | 3);
	put(6, 0, PAGE_AT(7) | 3);
	put(6, 1, 0 | 0x80 | RW);			/* a 2 MiB page over physical 0 */
	put(4, 0, PAGE_AT(40) | 7 | 0x800);		/* user read-write-execute */
	put(4, 1, PAGE_AT(20) | 5 | NX);		/* user read-only */
	put(4, 2, PAGE_AT(31) | 1 << 11 | 4 << 5);	/* transition, read-write */
	put(4, 3, UINT64_C(0x1234) << 32 | 6 << 5);	/* in the page file, execute-read-write */
	put(4, 4, 4 << 5);				/* demand zero, read-write */
	put(4, 5, (K + PAGE_AT(2)) << 16 | 1 << 10 | 3 << 5);	/* prototype PTE at K + 2 pages, execute-read */
	put(4, 6, (K + PAGE_AT(2) + 8) << 16 | 1 << 10 | 1 << 5);	/* its neighbour: in the file alone */
	put(4, 7, UINT64_C(0xffffffff) << 32 | 1 << 10 | 1 << 5);	/* ask the VAD */
	put(4, 8, UINT64_C(0x7fff000) | 7);		/* valid, but beyond the dump */
	put(4, 10, PAGE_AT(33) | 7);
	for (unsigned i = 0; i < 8; i++)
		put(7, i, PAGE_AT(48 + i) | RW | NX);
	memset(memory[50], 0, PAGE_SIZE);
	put(50, 0, PAGE_AT(22) | 1);			/* the prototype PTEs: resident, … */
	put(50, 1, UINT64_C(0x123456780000) | 1 << 10 | 3 << 5);	/* … a subsection's, … */
	put(50, 2, PAGE_AT(24) | 1 << 11 | 1 << 5);	/* … on its way out */

	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, memory, sizeof(memory)), (ssize_t)sizeof(memory));
	close(fd);
	image = image_open(path, false, &error);
	ck_assert_msg(image != NULL, "%s", error ? error->message : "");
	layout = layout_create();
	layout->pointer_size = 8;
	layout_set_field(layout, "_LIST_ENTRY", "Flink", (struct field){ .offset = 0, .size = 8 });
	layout_set_field(layout, "_LIST_ENTRY", "Blink", (struct field){ .offset = 8, .size = 8 });
	layout_set_field(layout, "_EPROCESS", "ActiveProcessLinks", (struct field){ .offset = 0x10, .size = 16 });
	layout_set_field(layout, "_EPROCESS", "UniqueProcessId", (struct field){ .offset = 0x08, .size = 8 });
	layout_set_field(layout, "_MMVAD_FLAGS", "Protection", (struct field){ .offset = 0, .size = 4, .bit = 3, .bits = 5 });
	space = space_create(image, layout, PAGING_X64, (pa_t){ PAGE_AT(1) });
}

static void teardown(void)
{
	space_destroy(space);
	layout_destroy(layout);
	image_close(image);
	unlink(path);
	strcpy(path + strlen(path) - 6, "XXXXXX");
}

START_TEST(test_translation)
{
	struct page page;
	uint8_t two[2];
	va_t bad;

	ck_assert_int_eq(space_page(space, (va_t){ U + 5 }, &page), FAULT_NONE);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(40));
	ck_assert(page.writable && page.executable && page.user);
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(1) }, &page), FAULT_NONE);
	ck_assert(!page.writable && !page.executable && page.user);
	/* Across two virtual pages that are physically far apart. */
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_SIZE - 1 }, two, 2, NULL), FAULT_NONE);
	ck_assert_uint_eq(two[0], 40);
	ck_assert_uint_eq(two[1], 20);
	/* A large page: writable, but not for the user. */
	ck_assert_int_eq(space_page(space, (va_t){ K + (2 << 20) + PAGE_AT(17) + 3 }, &page), FAULT_NONE);
	ck_assert_uint_eq(page.size, 2 << 20);
	ck_assert(page.writable && !page.user);
	ck_assert_int_eq(space_read(space, (va_t){ K + (2 << 20) + PAGE_AT(17) }, two, 2, NULL), FAULT_NONE);
	ck_assert_uint_eq(two[0], 17);
	/* No entry, outside the dump, no canonical address, and one that wraps. */
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(9) }, two, 1, &bad), FAULT_UNMAPPED);
	ck_assert_uint_eq(bad.v, U + PAGE_AT(9));
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(8) }, two, 1, NULL), FAULT_NOT_IN_DUMP);
	ck_assert_int_eq(space_read(space, (va_t){ UINT64_C(0x0000800000000000) }, two, 1, NULL), FAULT_UNMAPPED);
	ck_assert_int_eq(space_read(space, (va_t){ UINT64_MAX }, two, 2, NULL), FAULT_UNMAPPED);
}
END_TEST

START_TEST(test_software_entries)
{
	struct page page;
	uint8_t byte;

	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(2) }, &page), FAULT_NONE);
	ck_assert_int_eq(page.state, PAGE_TRANSITION);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(31));
	ck_assert(page.writable && !page.executable);
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(3) }, &page), FAULT_PAGED_OUT);
	ck_assert(page.writable && page.executable);
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(4) }, &byte, 1, NULL), FAULT_NONE);
	ck_assert_uint_eq(byte, 0);
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(5) }, &page), FAULT_NONE);
	ck_assert(page.by_prototype && page.executable && !page.writable);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(22));
	ck_assert_uint_eq(page.prototype_pte.v, K + PAGE_AT(2));
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(6) }, &page), FAULT_PAGED_OUT);
	ck_assert_int_eq(page.state, PAGE_IN_FILE);
	/* Deferring to a VAD that nobody gave: not known. */
	ck_assert_int_ne(space_page(space, (va_t){ U + PAGE_AT(7) }, &page), FAULT_NONE);
}
END_TEST

START_TEST(test_vad_prototypes)
{
	struct vad_set set = { g_array_new(FALSE, TRUE, sizeof(struct vad)) };
	struct vad vad = {
		.start = { U + PAGE_AT(7) }, .end = { U + PAGE_AT(9) + PAGE_MASK }, .protection = PAGE_EXECUTE_READ, .protection_known = true,
		.first_prototype_pte = { K + PAGE_AT(2) }, .last_prototype_pte = { K + PAGE_AT(2) + 16 },
	};
	struct vad reserved = { .start = { U + PAGE_AT(11) }, .end = { U + PAGE_AT(12) + PAGE_MASK }, .is_private = true };
	struct page page;

	g_array_append_val(set.vads, vad);
	g_array_append_val(set.vads, reserved);
	space->vads = &set;
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(7) }, &page), FAULT_NONE);
	ck_assert(page.by_vad && page.executable);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(22));
	/* No entry at all: the third prototype PTE is in transition. */
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(9) }, &page), FAULT_NONE);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(24));
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(11) }, &page), FAULT_UNMAPPED);
	g_array_index(set.vads, struct vad, 1).mem_commit = true;
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(11) }, &page), FAULT_NONE);
	ck_assert_int_eq(page.state, PAGE_DEMAND_ZERO);
	g_array_free(set.vads, TRUE);
	space->vads = NULL;
}
END_TEST

START_TEST(test_invalid_mask)
{
	struct page page;

	/* InvalidPteMask set in the entry, SwizzleBit clear: it is taken out again. */
	put(4, 2, PAGE_AT(31) | UINT64_C(0x200000000000) | 1 << 11 | 4 << 5);
	FILE *f = fopen(path, "r+b");
	fseek(f, PAGE_AT(4), SEEK_SET);
	ck_assert_uint_eq(fwrite(memory[4], PAGE_SIZE, 1, f), 1);
	fclose(f);
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(2) }, &page), FAULT_NONE);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(31) | UINT64_C(0x200000000000));
	space->invalid_pte_mask = UINT64_C(0x200000000000);
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(2) }, &page), FAULT_NONE);
	ck_assert_uint_eq(page.pa.v, PAGE_AT(31));
}
END_TEST

START_TEST(test_next_page)
{
	va_t cursor = { 0 }, last = { UINT64_C(0x00007fffffffffff) };
	struct page page;
	unsigned n = 0;
	uint64_t before = 0;

	while (space_next_page(space, &cursor, last, &page)) {
		ck_assert(!n || page.va.v > before);
		before = page.va.v;
		n++;
		ck_assert_uint_lt(n, 100);
	}
	ck_assert_uint_eq(n, 10);	/* entries 0-8 and 10 */
	cursor.v = U + PAGE_AT(5);
	ck_assert(space_next_page(space, &cursor, (va_t){ U + PAGE_AT(5) }, &page));
	ck_assert(!space_next_page(space, &cursor, (va_t){ U + PAGE_AT(5) }, &page));
	/* The last address of all is an end like any other. */
	cursor.v = K;
	for (n = 0; space_next_page(space, &cursor, (va_t){ UINT64_MAX }, &page); n++)
		ck_assert_uint_lt(n, 100);
	ck_assert_uint_eq(n, 9);
	/* A search whose time is over looks at no more tables. */
	image->search_until = 1;
	cursor.v = K;
	ck_assert(!space_next_page(space, &cursor, (va_t){ UINT64_MAX }, &page) && space->exhausted);
}
END_TEST

START_TEST(test_read_fields)
{
	struct object o = object_at(space, U);
	uint32_t bits;
	uint8_t narrow;
	uint64_t pid;

	ck_assert_int_eq(READ(o, mmvad_flags.Protection, &bits), FAULT_NONE);
	ck_assert_uint_eq(bits, (40 >> 3 & 0x1f));
	ck_assert_int_eq(READ(o, eprocess.UniqueProcessId, &pid), FAULT_NONE);
	ck_assert_uint_eq(pid, UINT64_C(0x2828282828282828));
	ck_assert_int_eq(READ(o, eprocess.UniqueProcessId, &narrow), FAULT_NO_FIELD);
	ck_assert_int_eq(READ(o, eprocess.Peb, &pid), FAULT_NO_FIELD);
	ck_assert_uint_eq(MEMBER(o, eprocess.Peb).va.v, 0);
}
END_TEST

/* A list in the kernel page K + 4 pages (physical 52): head at 0x10, entries 0x100 apart. */
static void make_list(unsigned n)
{
	uint64_t base = K + PAGE_AT(4), head = base + 0x10;

	for (unsigned i = 0; i <= n; i++) {
		uint64_t at = i ? base + 0x100 * i + 0x10 : head;
		uint64_t next = i == n ? head : base + 0x100 * (i + 1) + 0x10, back = i == 0 ? base + 0x100 * n + 0x10 : i == 1 ? head : base + 0x100 * (i - 1) + 0x10;
		put(52, (unsigned)(at - base) / 8, next);
		put(52, (unsigned)(at - base) / 8 + 1, back);
	}
}

static void rewrite(unsigned page)
{
	FILE *f = fopen(path, "r+b");

	fseek(f, (long)PAGE_AT(page), SEEK_SET);
	ck_assert_uint_eq(fwrite(memory[page], PAGE_SIZE, 1, f), 1);
	fclose(f);
}

static void rewrite_all(void)
{
	FILE *f = fopen(path, "r+b");

	ck_assert_uint_eq(fwrite(memory, sizeof(memory), 1, f), 1);
	fclose(f);
}

static unsigned walk_all(unsigned *notes)
{
	struct context c = { .image = image, .space = space, .rows = rows_create() };
	struct object head = object_at(space, K + PAGE_AT(4) + 0x10), proc;
	unsigned n = 0;

	WALK_LIST(&c, "processes", proc, head, eprocess.ActiveProcessLinks) {
		ck_assert_uint_eq((proc.va.v - K - PAGE_AT(4)) % 0x100, 0);
		n++;
	}
	*notes = c.rows->notes->len;
	rows_destroy(c.rows);
	return n;
}

START_TEST(test_page_file)
{
	/* Page 0x1234 of page file 1, whose file ends two pages later; a page table lies in the last of them. */
	static char file_path[] = "/tmp/memsieve-page-file-XXXXXX";
	int fd = mkstemp(file_path);
	uint64_t entry = PAGE_AT(41) | 7;
	uint8_t bytes[PAGE_SIZE];
	struct page page;
	GError *error = NULL;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)PAGE_AT(0x1236)), 0);
	ck_assert_int_eq(pwrite(fd, "swapped", 7, (off_t)PAGE_AT(0x1234)), 7);
	ck_assert_int_eq(pwrite(fd, &entry, 8, (off_t)PAGE_AT(0x1235)), 8);
	close(fd);
	layout_set_field(layout, "_MMPTE_SOFTWARE", "PageFileLow", (struct field){ .size = 8, .bit = 12, .bits = 4 });
	layout_set_field(layout, "_MMPTE_SOFTWARE", "PageFileHigh", (struct field){ .size = 8, .bit = 32, .bits = 32 });
	/* Pages of U: 3 is there, 12 beyond the file's end, 13 in a file nobody gave. */
	put(4, 3, UINT64_C(0x1234) << 32 | 1 << 12 | 6 << 5);
	put(4, 12, UINT64_C(0x1236) << 32 | 1 << 12 | 4 << 5);
	put(4, 13, UINT64_C(0x1234) << 32 | 2 << 12 | 4 << 5);
	put(3, 3, UINT64_C(0x1235) << 32 | 1 << 12 | 4 << 5);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, memory, sizeof(memory), 0), (ssize_t)sizeof(memory));
	close(fd);

	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(3) }, bytes, 7, NULL), FAULT_PAGED_OUT);
	static const uint8_t packed[] = { 0x1f, 0x8b, 0x08 };	/* gzip's, where no page of Windows' is */
	fd = open(file_path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, packed, 3, 0), 3);
	ck_assert(!page_file_add(image, file_path, &error));
	ck_assert(g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE));
	g_clear_error(&error);
	ck_assert_int_eq(pwrite(fd, "\0\0\0", 3, 0), 3);
	close(fd);
	for (int i = 0; i < 2; i++)
		ck_assert_msg(page_file_add(image, file_path, &error), "%s", error ? error->message : "");
	space_destroy(space);	/* it keeps page tables */
	space = space_create(image, layout, PAGING_X64, (pa_t){ PAGE_AT(1) });
	ck_assert_int_eq(space_page(space, (va_t){ U + PAGE_AT(3) }, &page), FAULT_NONE);
	ck_assert_int_eq(page.state, PAGE_PAGED_OUT);	/* it still is, and is counted so */
	ck_assert(page_readable(&page) && !page_resident(&page) && page.executable && page.writable);
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(3) }, bytes, 8, NULL), FAULT_NONE);
	ck_assert_str_eq((char *)bytes, "swapped");
	ck_assert_mem_eq(image_page(image, page.pa, NULL), "swapped", 7);
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(12) }, bytes, 1, NULL), FAULT_PAGED_OUT);
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(13) }, bytes, 1, NULL), FAULT_PAGED_OUT);
	ck_assert_int_eq(space_read(space, (va_t){ U + PAGE_AT(512) }, bytes, PAGE_SIZE, NULL), FAULT_NONE);
	ck_assert_int_eq(bytes[9], 41);
	/* A page-table entry can't name a page file's pages as if they were memory. */
	ck_assert_uint_gt(page.pa.v, UINT64_C(0x000fffffffffffff));
	unlink(file_path);
}
END_TEST

START_TEST(test_walk)
{
	unsigned notes;

	make_list(6);
	rewrite(52);
	ck_assert_uint_eq(walk_all(&notes), 6);
	ck_assert_uint_eq(notes, 0);
	/* The third entry's forward link is smeared: the rest is found from the other end. */
	put(52, (0x300 + 0x10) / 8, UINT64_C(0xffffa00012345678));
	rewrite(52);
	ck_assert_uint_eq(walk_all(&notes), 6);
	ck_assert_uint_ge(notes, 1);
	/* A loop within the list ends it, too. */
	make_list(6);
	put(52, (0x400 + 0x10) / 8, K + PAGE_AT(4) + 0x210);
	rewrite(52);
	ck_assert_uint_eq(walk_all(&notes), 6);
	ck_assert_uint_ge(notes, 1);
	/* An empty list. */
	make_list(0);
	put(52, 2, K + PAGE_AT(4) + 0x10);
	put(52, 3, K + PAGE_AT(4) + 0x10);
	rewrite(52);
	ck_assert_uint_eq(walk_all(&notes), 0);
	ck_assert_uint_eq(notes, 0);
}
END_TEST

/*
 * Each form an entry can have, in each paging mode, of a program's page and of the kernel's (on ARM64 TTBR0's half and
 * TTBR1's), read through tables of that mode.
 */
static const struct mode {
	enum paging paging;
	uint64_t user, kernel, pool;	/* two pages next to each other, and the kernel's where prototype PTEs stand */
	bool bare;			/* the top level's entries have no rights */
} modes[] = {
	{ PAGING_X64, UINT64_C(0x7ff612340000), UINT64_C(0xffffa80112340000), UINT64_C(0xffffb28012345000), false },
	/* 57 bits of address, of which a prototype PTE's keeps 48. */
	{ PAGING_X64_LA57, UINT64_C(0x00ab7ff612340000), UINT64_C(0xff12a80112340000), UINT64_C(0xffffb28012345000), false },
	{ PAGING_X86, 0x00410000, 0x85e10000u, 0xe1001000u, false },
	{ PAGING_X86_PAE, 0x00410000, 0x85e10000u, 0xe1001000u, true },
	{ PAGING_ARM64, UINT64_C(0x7ff612340000), UINT64_C(0xffffa80112340000), UINT64_C(0xffffb28012345000), false },
};

#define ROOT_PAGE 1u
#define CONTENT_PAGE 40u	/* and the next ones hold what is looked for */
#define POOL_PAGE 39u
#define POOL_BASE 0xe1000000u

static void put_entry(const struct mode *m, uint64_t pa, uint64_t index, uint64_t value)
{
	unsigned size = paging_modes[m->paging].entry_size;

	memcpy((uint8_t *)memory + pa + index * size, &value, size);
}

static uint64_t get_entry(const struct mode *m, uint64_t pa, uint64_t index)
{
	uint64_t value = 0;

	memcpy(&value, (uint8_t *)memory + pa + index * paging_modes[m->paging].entry_size, paging_modes[m->paging].entry_size);
	return value;
}

/* An entry that makes va's page what `pte` says, with the tables it takes. */
static void map(const struct mode *m, unsigned *free_page, uint64_t va, uint64_t pte)
{
	const struct paging_mode *mode = &paging_modes[m->paging];
	uint64_t table = PAGE_AT(ROOT_PAGE);

	for (unsigned level = 0; level < mode->levels; level++) {
		uint64_t index = va >> mode->shift[level] & mode->mask[level], entry = get_entry(m, table, index);
		if (!entry) {
			entry = PAGE_AT((*free_page)++) | (m->paging == PAGING_ARM64 ? 3 : m->bare && !level ? 1 : 7);
			put_entry(m, table, index, entry);
		}
		table = paging_pfn(m->paging, entry);
	}
	put_entry(m, table, va >> 12 & (mode->entry_size == 4 ? 0x3ff : 0x1ff), pte);
}

static uint64_t valid_entry(const struct mode *m, unsigned page)
{
	return PAGE_AT(page) | (m->paging == PAGING_ARM64 ? 0x743 : 7);
}

/* Software forms: MM_READWRITE (4) where the mode keeps the protection. */
static uint64_t software(const struct mode *m, uint64_t rest)
{
	return rest | UINT64_C(4) << (m->paging == PAGING_ARM64 ? 1 : 5);
}

static uint64_t prototype_entry(const struct mode *m, uint64_t at)
{
	uint64_t distance = (at - POOL_BASE) / 4;

	switch (m->paging) {
	case PAGING_X86:
		return (distance >> 7) << 11 | (distance & 0x7f) << 1 | 1 << 10;
	case PAGING_X86_PAE:
		return software(m, at << 32 | 1 << 10);
	default:
		return software(m, at << 16 | 1 << 10);
	}
}

enum { VALID, TRANSITION, PAGED_OUT, DEMAND_ZERO, PROTOTYPE, PROTOTYPE_OUT, BY_VAD, ABSENT, FORMS };

static void put_forms(const struct mode *m, unsigned *free_page, uint64_t va)
{
	unsigned width = paging_modes[m->paging].entry_size;

	map(m, free_page, va + PAGE_AT(VALID), valid_entry(m, CONTENT_PAGE));
	map(m, free_page, va + PAGE_AT(TRANSITION), software(m, PAGE_AT(CONTENT_PAGE + 1) | 1 << 11));
	map(m, free_page, va + PAGE_AT(PAGED_OUT), software(m, width == 4 ? 0x123u << 12 : UINT64_C(0x1234) << 32));
	map(m, free_page, va + PAGE_AT(DEMAND_ZERO), software(m, 0));
	map(m, free_page, va + PAGE_AT(PROTOTYPE), prototype_entry(m, m->pool + 0x100));
	map(m, free_page, va + PAGE_AT(PROTOTYPE_OUT), prototype_entry(m, m->pool + 0x100 + 2 * width));
	map(m, free_page, va + PAGE_AT(BY_VAD), software(m, (width == 4 ? 0xfffff000u : UINT64_C(0xffffffff) << 32) | 1 << 10));
}

static struct space *mode_space(const struct mode *m)
{
	unsigned free_page = ROOT_PAGE + 1, width = paging_modes[m->paging].entry_size;

	memset(memory, 0, sizeof(memory));
	for (unsigned i = CONTENT_PAGE; i < PAGES; i++)
		memset(memory[i], (int)i, PAGE_SIZE);
	put_forms(m, &free_page, m->user);
	put_forms(m, &free_page, m->kernel);
	map(m, &free_page, m->pool, valid_entry(m, POOL_PAGE));
	ck_assert_uint_lt(free_page, POOL_PAGE);
	/* The prototype PTEs: valid, on its way out, in the page file. */
	put_entry(m, PAGE_AT(POOL_PAGE) + 0x100, 0, valid_entry(m, CONTENT_PAGE + 2));
	put_entry(m, PAGE_AT(POOL_PAGE) + 0x100, 1, software(m, PAGE_AT(CONTENT_PAGE + 3) | 1 << 11));
	put_entry(m, PAGE_AT(POOL_PAGE) + 0x100, 2, software(m, width == 4 ? 0x123u << 12 : UINT64_C(0x1234) << 32));
	rewrite_all();
	struct space *out = space_create(image, NULL, m->paging, (pa_t){ PAGE_AT(ROOT_PAGE) });
	out->paged_pool.v = POOL_BASE;
	return out;
}

static struct page form(struct space *of, uint64_t va, unsigned n)
{
	struct page page;

	(void)!space_page(of, (va_t){ va + PAGE_AT(n) }, &page);
	return page;
}

START_TEST(test_modes)
{
	const struct mode *m = &modes[_i];
	struct space *of = mode_space(m);
	const uint64_t halves[] = { m->user, m->kernel };
	uint8_t byte = 1;

	for (size_t h = 0; h < G_N_ELEMENTS(halves); h++) {
		uint64_t va = halves[h];
		struct page page = form(of, va, VALID);

		ck_assert_int_eq(space_is_kernel(of, (va_t){ va }), h == 1);
		ck_assert(page.state == PAGE_VALID && page.pa.v == PAGE_AT(CONTENT_PAGE) && page.writable);
		ck_assert_int_eq(space_read(of, (va_t){ va + 5 }, &byte, 1, NULL), FAULT_NONE);
		ck_assert_uint_eq(byte, CONTENT_PAGE);
		page = form(of, va, TRANSITION);
		ck_assert(page.state == PAGE_TRANSITION && page.pa.v == PAGE_AT(CONTENT_PAGE + 1) && page.writable && !page.executable);
		page = form(of, va, PAGED_OUT);
		ck_assert(page.state == PAGE_PAGED_OUT && page.writable);
		ck_assert_int_eq(space_read(of, (va_t){ va + PAGE_AT(PAGED_OUT) }, &byte, 1, NULL), FAULT_PAGED_OUT);
		page = form(of, va, DEMAND_ZERO);
		ck_assert(page.state == PAGE_DEMAND_ZERO && page.writable);
		ck_assert_int_eq(space_read(of, (va_t){ va + PAGE_AT(DEMAND_ZERO) }, &byte, 1, NULL), FAULT_NONE);
		ck_assert_uint_eq(byte, 0);
		page = form(of, va, PROTOTYPE);
		ck_assert(page.state == PAGE_VALID && page.by_prototype && page.pa.v == PAGE_AT(CONTENT_PAGE + 2));
		ck_assert_uint_eq(page.prototype_pte.v, m->pool + 0x100);
		page = form(of, va, PROTOTYPE_OUT);
		ck_assert(page.state == PAGE_PAGED_OUT && page.by_prototype);
		ck_assert_int_eq(form(of, va, BY_VAD).state, PAGE_UNKNOWN);
		ck_assert_int_eq(form(of, va, ABSENT).state, PAGE_ABSENT);
	}
	/* What defers to a descriptor, or has no entry: its prototype PTEs one after the other. */
	struct vad_set set = { g_array_new(FALSE, TRUE, sizeof(struct vad)) };
	struct vad vad = {
		.start = { m->user + PAGE_AT(BY_VAD) }, .end = { m->user + PAGE_AT(ABSENT) + PAGE_MASK }, .protection = PAGE_READONLY, .protection_known = true,
		.first_prototype_pte = { m->pool + 0x100 }, .last_prototype_pte = { m->pool + 0x100 + 2 * paging_modes[m->paging].entry_size },
	};

	g_array_append_val(set.vads, vad);
	of->vads = &set;
	struct page page = form(of, m->user, BY_VAD);
	ck_assert(page.state == PAGE_VALID && page.by_vad && page.pa.v == PAGE_AT(CONTENT_PAGE + 2) && !page.writable);
	page = form(of, m->user, ABSENT);
	ck_assert(page.state == PAGE_TRANSITION && page.by_vad && page.pa.v == PAGE_AT(CONTENT_PAGE + 3));
	g_array_free(set.vads, TRUE);
	space_destroy(of);
}
END_TEST

/* Up to the last page there is: with a table for it and none, an entry for it and none. */
START_TEST(test_last_page)
{
	const struct mode *m = &modes[_i / 2];
	bool entry = _i % 2;
	uint64_t top = (paging_is_32bit(m->paging) ? UINT32_MAX : UINT64_MAX) - PAGE_MASK, before = 0;
	unsigned free_page = ROOT_PAGE + 1, n = 0;
	struct page page;
	va_t cursor = { top - PAGE_AT(16) };

	memset(memory, 0, sizeof(memory));
	map(m, &free_page, top - PAGE_AT(3), valid_entry(m, CONTENT_PAGE));
	if (entry)
		map(m, &free_page, top, valid_entry(m, CONTENT_PAGE + 1));
	rewrite_all();
	struct space *of = space_create(image, NULL, m->paging, (pa_t){ PAGE_AT(ROOT_PAGE) });
	for (; space_next_page(of, &cursor, (va_t){ UINT64_MAX }, &page); n++) {
		ck_assert_uint_gt(page.va.v, before);
		before = page.va.v;
		ck_assert_uint_lt(n, 2);
	}
	ck_assert_uint_eq(n, 1 + entry);
	ck_assert_uint_eq(before, entry ? top : top - PAGE_AT(3));
	ck_assert(!of->exhausted);
	ck_assert(!space_next_page(of, &cursor, (va_t){ UINT64_MAX }, &page));
	/* From the last one alone. */
	cursor.v = top;
	ck_assert_int_eq(space_next_page(of, &cursor, (va_t){ UINT64_MAX }, &page), entry);
	ck_assert(!space_next_page(of, &cursor, (va_t){ UINT64_MAX }, &page));
	space_destroy(of);
}
END_TEST

#define INVALID_MASK UINT64_C(0x200000000000)	/* InvalidPteMask of a machine with 46 bits of address */
#define SWIZZLE UINT64_C(0x10)

/* Software forms on processors with L1TF: the mask is in all that aren't valid, but for those whose own bits it is (SwizzleBit). */
START_TEST(test_swizzle)
{
	const struct mode *m = &modes[_i];
	struct space *of = mode_space(m);
	unsigned free_page = POOL_PAGE - 1;	/* none is taken: the tables are there */
	uint64_t va = m->user;

	map(m, &free_page, va + PAGE_AT(TRANSITION), software(m, PAGE_AT(CONTENT_PAGE + 1) | 1 << 11 | INVALID_MASK));
	map(m, &free_page, va + PAGE_AT(DEMAND_ZERO), software(m, INVALID_MASK));
	map(m, &free_page, va + PAGE_AT(PAGED_OUT), software(m, UINT64_C(0x1234) << 32 | INVALID_MASK));
	map(m, &free_page, va + PAGE_AT(PROTOTYPE), prototype_entry(m, m->pool + 0x100) | SWIZZLE);
	/* The memory is there by these bits themselves. */
	map(m, &free_page, va + PAGE_AT(ABSENT), software(m, PAGE_AT(CONTENT_PAGE + 1) | 1 << 11 | INVALID_MASK | SWIZZLE));
	put_entry(m, PAGE_AT(POOL_PAGE) + 0x100, 0, software(m, PAGE_AT(CONTENT_PAGE + 2) | 1 << 11 | INVALID_MASK));
	ck_assert_uint_eq(free_page, POOL_PAGE - 1);
	rewrite_all();
	of->invalid_pte_mask = INVALID_MASK;
	struct page page = form(of, va, TRANSITION);
	ck_assert(page.state == PAGE_TRANSITION && page.pa.v == PAGE_AT(CONTENT_PAGE + 1));
	ck_assert_int_eq(form(of, va, DEMAND_ZERO).state, PAGE_DEMAND_ZERO);
	ck_assert_int_eq(form(of, va, PAGED_OUT).state, PAGE_PAGED_OUT);
	page = form(of, va, PROTOTYPE);
	ck_assert_uint_eq(page.prototype_pte.v, m->pool + 0x100);
	ck_assert(page.state == PAGE_TRANSITION && page.pa.v == PAGE_AT(CONTENT_PAGE + 2));
	page = form(of, va, ABSENT);
	ck_assert(page.state == PAGE_TRANSITION && page.pa.v == (PAGE_AT(CONTENT_PAGE + 1) | INVALID_MASK));
	space_destroy(of);
}
END_TEST

START_TEST(test_protection)
{
	static const struct { unsigned mm; const char *name; } known[] = {
		{ 1, "PAGE_READONLY" }, { 2, "PAGE_EXECUTE" }, { 3, "PAGE_EXECUTE_READ" }, { 4, "PAGE_READWRITE" }, { 5, "PAGE_WRITECOPY" },
		{ 6, "PAGE_EXECUTE_READWRITE" }, { 7, "PAGE_EXECUTE_WRITECOPY" }, { 0x18, "PAGE_NOACCESS" }, { 0x14, "PAGE_READWRITE|PAGE_GUARD" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
		g_autofree char *name = protection_name(protection_from_mm(known[i].mm));
		ck_assert_str_eq(name, known[i].name);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("space");
	TCase *t = tcase_create("space");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_translation);
	tcase_add_test(t, test_software_entries);
	tcase_add_test(t, test_vad_prototypes);
	tcase_add_test(t, test_invalid_mask);
	tcase_add_loop_test(t, test_modes, 0, G_N_ELEMENTS(modes));
	tcase_add_loop_test(t, test_last_page, 0, 2 * G_N_ELEMENTS(modes));
	tcase_add_loop_test(t, test_swizzle, 0, 2);	/* x64's two */
	tcase_add_test(t, test_page_file);
	tcase_add_test(t, test_next_page);
	tcase_add_test(t, test_read_fields);
	tcase_add_test(t, test_walk);
	tcase_add_test(t, test_protection);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
