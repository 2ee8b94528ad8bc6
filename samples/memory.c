/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"
#include <string.h>
#include <sys/mman.h>
#include "paging.h"
#include "random.h"

#define LARGE_SIZE (UINT64_C(2) << 20)

#define SELF_MAP_X86 0x300u	/* page tables at 0xc0000000 */
#define PAE_DIRECTORIES 4u

static bool is_kernel(const struct memory *m, uint64_t va)
{
	return paging_is_32bit(m->paging) ? va >= 0x80000000 : va >> 63;
}

static bool beside(uint64_t frame, uint64_t pa)
{
	uint64_t other = pa / PAGE_SIZE;

	return pa && (frame == other || frame + 1 == other || frame == other + 1);
}

uint64_t memory_frame(struct memory *m, uint64_t not_beside, uint64_t nor_beside, bool user)
{
	for (uint32_t i = m->taken; i < m->free; i++) {
		uint32_t frame = m->order[i];
		if ((m->frames[frame] & FRAME_USED) || beside(frame, not_beside) || beside(frame, nor_beside))
			continue;
		m->order[i] = m->order[m->taken];
		m->order[m->taken++] = frame;
		m->frames[frame] |= FRAME_USED | (user ? FRAME_USER : 0);
		return (uint64_t)frame * PAGE_SIZE;
	}
	g_printerr("the machine has too little memory for what is described: more ram=\n");
	exit(1);
}

void memory_take(struct memory *m, uint64_t pa)
{
	m->frames[pa / PAGE_SIZE] |= FRAME_USED;
}

uint64_t memory_large_frame(struct memory *m)
{
	const uint64_t pages = LARGE_SIZE / PAGE_SIZE;

	for (uint64_t pa = LARGE_SIZE; pa + LARGE_SIZE <= m->size; pa += LARGE_SIZE) {
		uint64_t n = 0;
		while (n < pages && m->frames[pa / PAGE_SIZE + n] == FRAME_RAM)
			n++;
		if (n < pages)
			continue;
		for (n = 0; n < pages; n++)
			m->frames[pa / PAGE_SIZE + n] |= FRAME_USED;
		return pa;
	}
	return 0;
}

static uint8_t *table_at(struct memory *m, uint64_t pa)
{
	return m->bytes + pa;
}

/* A valid VMSAv8-64 descriptor: bit 1 says page or table, not block, 10 accessed, 8-9 shareable; 7 read-only, 6 for users, 53 and
 * 54 no execution by the kernel and by users, 55 and 56 Windows' writable and copy-on-write. */
static uint64_t arm64_entry(uint64_t entry)
{
	bool user = entry & PTE_USER, nx = entry & PTE_NX, write = entry & PTE_WRITABLE;

	return (entry & PTE_FRAME) | (entry & PTE_LARGE ? 1 : 3) | 1 << 10 | 3 << 8 | (write ? 0 : 1 << 7) | (user ? 1 << 6 | 1 << 11 : 0) |
	       (uint64_t)(nx || user) << 53 | (uint64_t)(nx || !user) << 54 | (uint64_t)(write || (entry & PTE_WRITE)) << 55 |
	       (uint64_t)((entry & PTE_COPY_ON_WRITE) != 0) << 56;
}

static uint64_t arm64_plain(uint64_t entry)
{
	bool user = entry >> 6 & 1;

	return (entry & PTE_FRAME) | PTE_VALID | (entry & 2 ? 0 : PTE_LARGE) | (user ? PTE_USER : 0) | (entry >> 7 & 1 ? 0 : PTE_WRITABLE) |
	       (entry >> 55 & 1 ? PTE_WRITE : 0) | (entry >> (user ? 54 : 53) & 1 ? PTE_NX : 0) | (entry >> 56 & 1 ? PTE_COPY_ON_WRITE : 0);
}

static uint64_t get_entry(struct memory *m, uint64_t table, uint64_t index)
{
	unsigned width = paging_entry_size(m->paging);
	uint64_t entry = 0;

	memcpy(&entry, table_at(m, table) + index * width, width);
	return m->paging == PAGING_ARM64 && (entry & PTE_VALID) ? arm64_plain(entry) : entry;
}

uint64_t memory_encode(const struct memory *m, uint64_t entry)
{
	return m->paging == PAGING_ARM64 && (entry & PTE_VALID) ? arm64_entry(entry) : entry;
}

static void set_entry(struct memory *m, uint64_t table, uint64_t index, uint64_t entry)
{
	unsigned width = paging_entry_size(m->paging);

	entry = memory_encode(m, entry);
	memcpy(table_at(m, table) + index * width, &entry, width);
}

/* The system's root is made by the loader, at about the same place on every machine; there other readers
 * look for it first. The others come from anywhere. */
static uint64_t first_root(struct memory *m, uint64_t seed)
{
	uint64_t root = 0x1a0000 + random_of(seed, "root", 0) % 16 * PAGE_SIZE;

	while (m->frames[root / PAGE_SIZE] != FRAME_RAM)
		root += PAGE_SIZE;
	memory_take(m, root);
	return root;
}

/* PAE: four directories behind a table of pointers to them; the third is the kernel's and everybody's, the fourth
 * too but for the four entries that name the directories. The system's lie in the frames behind its table, as
 * the loader makes them; there other readers look for them. */
static uint64_t make_pae_root(struct memory *m)
{
	uint64_t root = m->pointer_tables + 8 * PAE_DIRECTORIES * m->pointer_tables_used++, last = 0;

	if (m->pointer_tables_used > PAGE_SIZE / (8 * PAE_DIRECTORIES))
		g_error("builder: too many processes for one page of page directory pointer tables");
	for (unsigned i = 0; i < PAE_DIRECTORIES; i++) {
		bool shared = i == 2 && m->system_root;
		if (!m->system_root) {
			last = m->pointer_tables + (i + 1) * PAGE_SIZE;
			if (m->frames[last / PAGE_SIZE] != FRAME_RAM)
				g_error("builder: the system's page directories lie in a gap of memory");
			memory_take(m, last);
		} else {
			last = shared ? get_entry(m, m->system_root, i) & PTE_FRAME : memory_frame(m, 0, 0, false);
		}
		set_entry(m, root, i, last | PTE_VALID);
	}
	if (m->system_root)
		memcpy(table_at(m, last), table_at(m, get_entry(m, m->system_root, 3) & PTE_FRAME), PAGE_SIZE);
	for (unsigned i = 0; i < PAE_DIRECTORIES; i++)
		set_entry(m, last, i, (get_entry(m, root, i) & PTE_FRAME) | PTE_TABLE | PTE_NX);
	return root;
}

static uint64_t make_root(struct memory *m, uint64_t root)
{
	uint64_t self = m->paging == PAGING_X86 ? SELF_MAP_X86 : m->self_map;

	if (m->paging == PAGING_X86_PAE) {
		root = make_pae_root(m);
	} else {
		if (m->system_root)	/* the kernel's half */
			memcpy(table_at(m, root) + PAGE_SIZE / 2, table_at(m, m->system_root) + PAGE_SIZE / 2, PAGE_SIZE / 2);
		set_entry(m, root, self, root | PTE_TABLE | PTE_NX);
	}
	g_array_append_val(m->roots, root);
	return root;
}

uint64_t memory_new_root(struct memory *m)
{
	return make_root(m, m->paging == PAGING_X86_PAE ? 0 : memory_frame(m, 0, 0, false));
}

struct memory *memory_create(uint64_t size, enum paging paging, unsigned self_map, uint64_t seed, uint64_t gap_start, uint64_t gap_end)
{
	struct memory *m = g_new0(struct memory, 1);
	uint64_t pages = size / PAGE_SIZE;

	m->size = size;
	m->paging = paging;
	m->levels = paging_modes[paging].levels + 1;
	m->self_map = self_map;
	m->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->bytes == MAP_FAILED)
		g_error("%" G_GUINT64_FORMAT " bytes of memory for the sample: none", size);
	m->frames = g_malloc0(pages);
	m->order = g_new(uint32_t, pages);
	/* As the firmware of a PC leaves it: the first page, video memory and ROMs are not RAM. */
	for (uint64_t i = 1; i < pages; i++) {
		uint64_t pa = i * PAGE_SIZE;
		if ((pa >= 0x9f000 && pa < 0x100000) || (pa >= gap_start && pa < gap_end))
			continue;
		m->frames[i] = FRAME_RAM;
		if (pa >= 0x100000)
			m->order[m->free++] = (uint32_t)i;
	}
	for (uint32_t i = m->free; i > 1; i--) {
		uint32_t j = (uint32_t)(random_of(seed, "frame", i) % i), swap = m->order[i - 1];
		m->order[i - 1] = m->order[j];
		m->order[j] = swap;
	}
	m->roots = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	m->pointer_tables = first_root(m, seed);
	m->system_root = make_root(m, m->pointer_tables);
	return m;
}

void memory_destroy(struct memory *m)
{
	munmap(m->bytes, m->size);
	g_free(m->frames);
	g_free(m->order);
	g_array_free(m->roots, TRUE);
	g_free(m);
}

/* The page table for va; 0: there is none, or a large page. */
static uint64_t page_table(struct memory *m, uint64_t root, uint64_t va, bool create)
{
	const struct paging_mode *mode = &paging_modes[m->paging];
	uint64_t user = is_kernel(m, va) ? 0 : PTE_USER, table = is_kernel(m, va) ? m->system_root : root;

	for (unsigned level = 0; level < mode->levels; level++) {
		uint64_t index = va >> mode->shift[level] & mode->mask[level], entry = get_entry(m, table, index);
		/* The kernel's half is everybody's: what its topmost tables gain, all get. */
		bool top = level == (m->paging == PAGING_X86_PAE);
		if (!(entry & PTE_VALID)) {
			if (!create)
				return 0;
			entry = memory_frame(m, 0, 0, false) | PTE_TABLE | user;
			set_entry(m, table, index, entry);
			for (guint i = 0; top && is_kernel(m, va) && i < m->roots->len; i++) {
				uint64_t other = g_array_index(m->roots, uint64_t, i);
				if (m->paging == PAGING_X86_PAE)
					other = get_entry(m, other, va >> 30 & 3) & PTE_FRAME;
				set_entry(m, other, index, entry);
			}
		}
		if (level == mode->levels - 1 && (entry & PTE_LARGE))
			return 0;
		table = entry & PTE_FRAME;
	}
	return table;
}

uint64_t memory_pte(struct memory *m, uint64_t root, uint64_t va)
{
	uint64_t table = page_table(m, root, va, false);

	return table ? get_entry(m, table, va >> 12 & paging_modes[m->paging].table_mask) : 0;
}

void memory_map(struct memory *m, uint64_t root, uint64_t va, uint64_t entry)
{
	set_entry(m, page_table(m, root, va, true), va >> 12 & paging_modes[m->paging].table_mask, entry);
}

static uint64_t frame_of(struct memory *m, uint64_t root, uint64_t va)
{
	uint64_t pte = memory_pte(m, root, va);

	return (pte & PTE_VALID) || (pte & (PTE_TRANSITION | PTE_PROTOTYPE)) == PTE_TRANSITION ? pte & PTE_FRAME : 0;
}

uint64_t memory_map_new(struct memory *m, uint64_t root, uint64_t va, uint64_t bits)
{
	uint64_t frame = memory_frame(m, frame_of(m, root, va - PAGE_SIZE), frame_of(m, root, va + PAGE_SIZE), bits & PTE_USER);

	memory_map(m, root, va, frame | bits);
	return frame;
}

void memory_map_large(struct memory *m, uint64_t va, uint64_t pa, uint64_t bits)
{
	const struct paging_mode *mode = &paging_modes[m->paging];
	uint64_t table = m->system_root;

	if (mode->table_shift != 21)
		g_error("builder: large pages of x86 without PAE are not made");
	/* The tables down to the page directory are made by asking for the neighbour's page table, which
	 * the large entry then replaces. */
	(void)page_table(m, table, va, true);
	for (unsigned level = 0; level + 1 < mode->levels; level++)
		table = get_entry(m, table, va >> mode->shift[level] & mode->mask[level]) & PTE_FRAME;
	set_entry(m, table, va >> 21 & 511, pa | bits | PTE_LARGE);
}

static bool translate(struct memory *m, uint64_t root, uint64_t va, uint64_t *pa)
{
	const struct paging_mode *mode = &paging_modes[m->paging];
	uint64_t table = is_kernel(m, va) ? m->system_root : root;

	for (unsigned level = 0; ; level++) {
		bool last = level == mode->levels;
		unsigned shift = last ? 12 : mode->shift[level];
		uint64_t entry = get_entry(m, table, va >> shift & (last ? mode->table_mask : mode->mask[level]));
		uint64_t mask = (UINT64_C(1) << shift) - 1;
		if (!(entry & PTE_VALID))
			return false;
		if (last || (level == mode->levels - 1 && (entry & PTE_LARGE))) {
			*pa = (entry & PTE_FRAME & ~mask) | (va & mask);
			return true;
		}
		table = entry & PTE_FRAME;
	}
}

bool memory_mapped(struct memory *m, uint64_t root, uint64_t va)
{
	uint64_t pa;
	return translate(m, root, va, &pa);
}

uint64_t memory_translate(struct memory *m, uint64_t root, uint64_t va)
{
	uint64_t pa = 0;

	if (!translate(m, root, va, &pa))
		g_error("builder: 0x%" G_GINT64_MODIFIER "x is not mapped", va);
	return pa;
}

void memory_write(struct memory *m, uint64_t root, uint64_t va, const void *from, size_t length)
{
	const uint8_t *p = from;

	while (length) {
		size_t n = MIN(length, PAGE_SIZE - (size_t)(va & PAGE_MASK));
		memcpy(m->bytes + memory_translate(m, root, va), p, n);
		p += n;
		va += n;
		length -= n;
	}
}

void memory_read(struct memory *m, uint64_t root, uint64_t va, void *to, size_t length)
{
	uint8_t *p = to;

	while (length) {
		size_t n = MIN(length, PAGE_SIZE - (size_t)(va & PAGE_MASK));
		memcpy(p, m->bytes + memory_translate(m, root, va), n);
		p += n;
		va += n;
		length -= n;
	}
}

void memory_put(struct memory *m, uint64_t root, uint64_t va, uint64_t value, unsigned width)
{
	value = GUINT64_TO_LE(value);
	memory_write(m, root, va, &value, MIN(width, 8));
}

uint64_t memory_get(struct memory *m, uint64_t root, uint64_t va, unsigned width)
{
	uint64_t value = 0;

	memory_read(m, root, va, &value, MIN(width, 8));
	return GUINT64_FROM_LE(value);
}
