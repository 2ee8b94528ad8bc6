/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory manager's book of physical memory, MmPfnDatabase: one _MMPFN a frame (`machine frames`). Each frame that
 * page tables lead to names its page-table entry and the table it stands in; a root is its own. Who owns a root is in u1: a
 * pointer until 15063, since then 43 bits of it behind the counts of a page table (_MI_ACTIVE_PFN of the public symbols).
 */
#include <string.h>
#include "paging.h"
#include "sample.h"

enum { LOCATION_FREE = 1, LOCATION_ACTIVE = 6 };

struct frames { struct sample *s; uint64_t base; };

static uint64_t entry_at(const struct frames *f, uint64_t pa)
{
	return f->base + pa / PAGE_SIZE * f->s->layout->mmpfn.size_;
}

static void put_frame(const struct frames *f, uint64_t pa, uint64_t pte_address, uint64_t table, uint64_t u1, unsigned location)
{
	struct sample *s = f->s;
	uint64_t at = entry_at(f, pa), u3 = at + OFFSET(s, mmpfn.u3);

	memory_put(s->memory, ROOT(s), at + OFFSET(s, mmpfn.u1), u1, 8);
	memory_put(s->memory, ROOT(s), at + OFFSET(s, mmpfn.u2), location == LOCATION_ACTIVE, 8);
	memory_put(s->memory, ROOT(s), at + OFFSET(s, mmpfn.PteAddress), pte_address, 8);
	memory_put(s->memory, ROOT(s), u3, location == LOCATION_ACTIVE, 2);
	memory_put(s->memory, ROOT(s), u3 + 2, location | 1 << 6, 1);	/* cached */
	memory_put(s->memory, ROOT(s), at + OFFSET(s, mmpfn.u4), table / PAGE_SIZE | UINT64_C(1) << (s->build < 20348 ? 53 : 54), 8);
}

static uint64_t owner_word(const struct sample *s, uint64_t eprocess)
{
	return s->build < 16299 ? eprocess : (eprocess >> 4 & ((UINT64_C(1) << 43) - 1)) << 17;
}

/* The address at which the entry for va is seen through the root's own, `level` tables above the page (0: its page-table entry). */
static uint64_t seen_at(const struct sample *s, uint64_t va, unsigned level)
{
	unsigned bits = 12 + 9 * s->memory->levels;
	uint64_t mask = (UINT64_C(1) << bits) - 1, self = s->memory->self_map;

	va &= mask;
	for (unsigned i = 0; i <= level; i++)
		va = self << (bits - 9) | (va >> 9 & ~UINT64_C(7) & (mask >> 9));
	return va | ~mask;
}

static void walk_table(const struct frames *f, uint64_t table, unsigned level, uint64_t va)
{
	const struct memory *m = f->s->memory;

	for (unsigned i = 0; i < 512; i++) {
		uint64_t entry, at = va | (uint64_t)i << (12 + 9 * level);
		memcpy(&entry, m->bytes + table + 8 * i, sizeof(entry));
		if (!(entry & PTE_VALID) || (level == m->levels - 1 && i == m->self_map))
			continue;
		uint64_t pa = entry & PTE_FRAME, pages = level == 1 && (entry & PTE_LARGE) ? 512 : 1;
		for (uint64_t n = 0; n < pages && pa + n * PAGE_SIZE < m->size; n++)
			put_frame(f, pa + n * PAGE_SIZE, seen_at(f->s, at, level), table, 1, LOCATION_ACTIVE);
		if (level && pages == 1)
			walk_table(f, pa, level - 1, at);
	}
}

void frames_init(struct sample *s)
{
	struct memory *m = s->memory;
	struct frames f = { s, 0 };

	if (!item_flag(s->machine, "frames"))
		return;
	if ((m->paging != PAGING_X64 && m->paging != PAGING_X64_LA57) || !HAS_FIELD(s, mmpfn.u4) || !s->layout->symbol.MmPfnDatabase)
		item_fail(s->machine, "frames: of x64 kernels with symbols");
	f.base = memory_get(m, ROOT(s), GLOBAL(s, MmPfnDatabase), 8);
	for (uint64_t at = f.base & ~(uint64_t)PAGE_MASK; at < entry_at(&f, m->size); at += PAGE_SIZE)
		memory_map_new(m, ROOT(s), at, PTE_KERNEL_DATA);
	for (uint64_t pa = 0; pa < m->size; pa += PAGE_SIZE)
		if (m->frames[pa / PAGE_SIZE] & FRAME_RAM)
			put_frame(&f, pa, 0, 0, 0, LOCATION_FREE);
	for (guint i = 0; i < m->roots->len; i++) {
		uint64_t root = g_array_index(m->roots, uint64_t, i), owner = 0, self = 0;
		for (guint p = 0; p < s->processes->len; p++) {
			const struct sample_process *process = s->processes->pdata[p];
			if (process->root == root)
				owner = process->eprocess;
		}
		walk_table(&f, root, m->levels - 1, 0);
		/* The root's entry for itself, as seen through itself at every level. */
		for (unsigned level = 0; level < m->levels; level++)
			self |= (uint64_t)m->self_map << (12 + 9 * level);
		self |= (uint64_t)m->self_map * 8 | ~((UINT64_C(1) << (12 + 9 * m->levels)) - 1);
		put_frame(&f, root, self, root, owner_word(s, owner), owner ? LOCATION_ACTIVE : LOCATION_FREE);
	}
}
