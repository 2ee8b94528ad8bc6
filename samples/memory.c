/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"
#include <string.h>
#include <sys/mman.h>
#include "random.h"

#define LARGE_SIZE (UINT64_C(2) << 20)

static bool is_kernel(uint64_t va)
{
	return va >> 63;
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

static uint64_t *table_at(struct memory *m, uint64_t pa)
{
	return (uint64_t *)(void *)(m->bytes + (pa & PTE_FRAME));
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

static uint64_t make_root(struct memory *m, uint64_t root)
{
	uint64_t *table = table_at(m, root);

	if (m->system_root)
		memcpy(table + 256, table_at(m, m->system_root) + 256, 256 * 8);
	table[m->self_map] = root | PTE_TABLE | PTE_NX;
	g_array_append_val(m->roots, root);
	return root;
}

uint64_t memory_new_root(struct memory *m)
{
	return make_root(m, memory_frame(m, 0, 0, false));
}

struct memory *memory_create(uint64_t size, unsigned levels, unsigned self_map, uint64_t seed, uint64_t gap_start, uint64_t gap_end)
{
	struct memory *m = g_new0(struct memory, 1);
	uint64_t pages = size / PAGE_SIZE;

	m->size = size;
	m->levels = levels;
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
	m->system_root = make_root(m, first_root(m, seed));
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

uint64_t *memory_pte(struct memory *m, uint64_t root, uint64_t va, bool create)
{
	uint64_t user = is_kernel(va) ? 0 : PTE_USER, table = is_kernel(va) ? m->system_root : root;

	for (unsigned level = m->levels; level > 1; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t *entry = &table_at(m, table)[va >> shift & 511];
		if (!(*entry & PTE_VALID)) {
			if (!create)
				return NULL;
			*entry = memory_frame(m, 0, 0, false) | PTE_TABLE | user;
			/* The kernel's half is everybody's. */
			for (guint i = 0; level == m->levels && is_kernel(va) && i < m->roots->len; i++)
				table_at(m, g_array_index(m->roots, uint64_t, i))[va >> shift & 511] = *entry;
		}
		if (level == 2 && (*entry & PTE_LARGE))
			return NULL;
		table = *entry & PTE_FRAME;
	}
	return &table_at(m, table)[va >> 12 & 511];
}

void memory_map(struct memory *m, uint64_t root, uint64_t va, uint64_t entry)
{
	*memory_pte(m, root, va, true) = entry;
}

static uint64_t frame_of(struct memory *m, uint64_t root, uint64_t va)
{
	uint64_t *pte = memory_pte(m, root, va, false);

	return pte && ((*pte & PTE_VALID) || (*pte & (PTE_TRANSITION | PTE_PROTOTYPE)) == PTE_TRANSITION) ? *pte & PTE_FRAME : 0;
}

uint64_t memory_map_new(struct memory *m, uint64_t root, uint64_t va, uint64_t bits)
{
	uint64_t frame = memory_frame(m, frame_of(m, root, va - PAGE_SIZE), frame_of(m, root, va + PAGE_SIZE), bits & PTE_USER);

	memory_map(m, root, va, frame | bits);
	return frame;
}

void memory_map_large(struct memory *m, uint64_t va, uint64_t pa, uint64_t bits)
{
	uint64_t table = m->system_root;

	/* The tables down to the page directory are made by asking for the neighbour's page table, which
	 * the large entry then replaces. */
	(void)memory_pte(m, table, va, true);
	for (unsigned level = m->levels; level > 2; level--)
		table = table_at(m, table)[va >> (12 + 9 * (level - 1)) & 511] & PTE_FRAME;
	table_at(m, table)[va >> 21 & 511] = pa | bits | PTE_LARGE;
}

static bool translate(struct memory *m, uint64_t root, uint64_t va, uint64_t *pa)
{
	uint64_t table = is_kernel(va) ? m->system_root : root;

	for (unsigned level = m->levels; ; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		uint64_t entry = table_at(m, table)[va >> shift & 511], mask = (UINT64_C(1) << shift) - 1;
		if (!(entry & PTE_VALID))
			return false;
		if (level == 1 || (level == 2 && (entry & PTE_LARGE))) {
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
