/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical memory of a sample machine and its page tables.
 *
 * Frames are handed out in a shuffled order, and never so that two neighbouring
 * virtual pages lie in neighbouring frames: a reader that forgets to translate
 * page by page reads nonsense here. The shuffle depends on the seed alone.
 */
#ifndef MEMSIEVE_SAMPLES_MEMORY_H
#define MEMSIEVE_SAMPLES_MEMORY_H
#include "space.h"

/*
 * Page-table entries are given and returned in the form of x64's: its hardware bits, and Windows' own: 9 copy-on-write,
 * 10 prototype, 11 write (valid) or transition. What other machines have instead is made of them here.
 */
#define PTE_VALID (UINT64_C(1) << 0)
#define PTE_WRITABLE (UINT64_C(1) << 1)
#define PTE_USER (UINT64_C(1) << 2)
#define PTE_ACCESSED (UINT64_C(1) << 5)
#define PTE_DIRTY (UINT64_C(1) << 6)
#define PTE_LARGE (UINT64_C(1) << 7)
#define PTE_GLOBAL (UINT64_C(1) << 8)
#define PTE_COPY_ON_WRITE (UINT64_C(1) << 9)
#define PTE_PROTOTYPE (UINT64_C(1) << 10)
#define PTE_WRITE (UINT64_C(1) << 11)
#define PTE_TRANSITION (UINT64_C(1) << 11)
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_FRAME UINT64_C(0x0000fffffffff000)

#define PTE_KERNEL_DATA (PTE_VALID | PTE_WRITABLE | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL | PTE_WRITE | PTE_NX)
#define PTE_KERNEL_CODE (PTE_VALID | PTE_ACCESSED | PTE_GLOBAL)
#define PTE_TABLE (PTE_VALID | PTE_WRITABLE | PTE_ACCESSED | PTE_DIRTY)

enum { FRAME_RAM = 1, FRAME_USED = 2, FRAME_USER = 4, FRAME_LOST = 8 };

struct memory {
	uint8_t *bytes;
	uint64_t size;			/* of physical address space, the gaps in it included */
	uint8_t *frames;		/* FRAME_… of each */
	uint32_t *order, free, taken;	/* shuffled free frames */
	enum paging paging;
	unsigned levels;		/* of tables: 2 to 5 */
	unsigned self_map;		/* index of the root's entry that names itself (x64, ARM64) */
	uint64_t pointer_tables;	/* PAE: the page with the roots, and how many there are */
	unsigned pointer_tables_used;
	uint64_t system_root;
	GArray *roots;			/* uint64_t: every address space's, the system's first */
};

struct memory *memory_create(uint64_t size, enum paging paging, unsigned self_map, uint64_t seed, uint64_t gap_start, uint64_t gap_end);
void memory_destroy(struct memory *memory);

/* A zeroed frame that is no neighbour of those two (0: any). FRAME_USER marks what kernel dumps leave out. */
uint64_t memory_frame(struct memory *memory, uint64_t not_beside, uint64_t nor_beside, bool user);
/* A given frame, not yet used. */
void memory_take(struct memory *memory, uint64_t pa);
/* 2 MiB in one piece; 0: there is none. */
uint64_t memory_large_frame(struct memory *memory);

/* A new address space: its own lower half, the kernel's upper half. */
uint64_t memory_new_root(struct memory *memory);
/* Entry of the page table for va; 0: it has none. */
uint64_t memory_pte(struct memory *memory, uint64_t root, uint64_t va);
void memory_map(struct memory *memory, uint64_t root, uint64_t va, uint64_t entry);
/* An entry as this machine has it, for what lies in no page table: prototype PTEs. */
uint64_t memory_encode(const struct memory *memory, uint64_t entry);
/* Map a fresh frame; returns its address. */
uint64_t memory_map_new(struct memory *memory, uint64_t root, uint64_t va, uint64_t bits);
void memory_map_large(struct memory *memory, uint64_t va, uint64_t pa, uint64_t bits);

bool memory_mapped(struct memory *memory, uint64_t root, uint64_t va);
/* Physical address; ends the program when va isn't mapped: the builder itself is wrong then. */
uint64_t memory_translate(struct memory *memory, uint64_t root, uint64_t va);
void memory_write(struct memory *memory, uint64_t root, uint64_t va, const void *from, size_t length);
void memory_read(struct memory *memory, uint64_t root, uint64_t va, void *to, size_t length);
void memory_put(struct memory *memory, uint64_t root, uint64_t va, uint64_t value, unsigned width);
uint64_t memory_get(struct memory *memory, uint64_t root, uint64_t va, unsigned width);
#endif
