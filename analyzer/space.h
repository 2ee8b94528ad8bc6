/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual address space: one page-table root over one image.
 *
 * A space keeps a cache of page tables and is used by one thread at a time; it is
 * cheap, so each thread makes its own (space_create on the same root).
 *
 * Sources of the Windows facts: _MMPTE_HARDWARE, _MMPTE_SOFTWARE,
 * _MMPTE_TRANSITION, _MMPTE_PROTOTYPE and _MMPTE_SUBSECTION of the kernel's
 * public symbols; Intel SDM vol. 3 chapter 4 for the hardware's part.
 */
#ifndef MEMSIEVE_SPACE_H
#define MEMSIEVE_SPACE_H
#include "image.h"
#include "layout.h"

enum paging { PAGING_X64, PAGING_X64_LA57, PAGING_X86, PAGING_X86_PAE, PAGING_ARM64, PAGING_NONE };

enum page_state {
	PAGE_ABSENT,		/* no page-table entry: nothing was ever touched here */
	PAGE_VALID,		/* hardware maps it */
	PAGE_TRANSITION,	/* still in memory, on its way out */
	PAGE_PAGED_OUT,		/* in a page file */
	PAGE_DEMAND_ZERO,	/* reads as zeros */
	PAGE_IN_FILE,		/* file-backed, not in memory: a subsection says where */
	PAGE_UNKNOWN,		/* its prototype PTE can't be read */
};

/* What the page tables say of one page. */
struct page {
	va_t va;
	uint64_t size;		/* 4 KiB, 2 MiB (4 MiB), 1 GiB */
	uint64_t pte;		/* the entry in this space's own tables, 0 when none */
	enum page_state state;	/* after prototype PTEs were followed */
	pa_t pa;		/* where state is VALID or TRANSITION; of a page in a page file that was given (page_file.h), else 0 */
	va_t prototype_pte;	/* the prototype PTE that was followed, or 0 */
	bool by_prototype;	/* the entry itself is a prototype form, or the VAD's was used */
	bool by_vad;		/* no usable entry: the VAD's prototype PTEs were used */
	uint8_t table_fault;	/* enum fault, of PAGE_UNKNOWN: why the prototype PTE can't be read; FAULT_NONE: it isn't asked */
	bool writable, executable, user, dirty, copy_on_write;
	uint8_t protection;	/* software protection (MM_…, 5 bits) of an entry that isn't valid */
};

static inline bool page_resident(const struct page *page)
{
	return page->state == PAGE_VALID || page->state == PAGE_TRANSITION;
}

/* Are its bytes to be had at pa, in memory or in a page file? */
static inline bool page_readable(const struct page *page)
{
	return page_resident(page) || (page->state == PAGE_PAGED_OUT && page->pa.v);
}

struct vad_set;
struct rescue;

#define SPACE_CACHE_SLOTS 64

struct space_slot {
	uint64_t tag;			/* va >> 21, + 1 so that 0 is empty */
	const uint8_t *table;		/* PAGE_SIZE bytes of page table */
	uint8_t *buffer;		/* where the image can't be pointed into */
	bool writable, executable, user;
	bool sparse;			/* an entry that is 0 is not known (struct rescued) */
	uint8_t absent;			/* page_state of the missing table, when table is NULL */
};

struct space {
	struct image *image;
	const struct layout *layout;	/* may be NULL while the kernel is looked for */
	enum paging paging;
	pa_t dtb;
	uint64_t invalid_pte_mask;	/* MiState.Hardware.InvalidPteMask */
	uint64_t system_start;		/* of 32-bit machines: where the kernel's part begins (MmSystemRangeStart) */
	va_t paged_pool;		/* MmPagedPoolStart, which x86's prototype PTE addresses count from */
	bool without_nx;		/* no page can be kept from execution: descriptors tell what is meant to be run */
	struct space *kernel;		/* where prototype PTEs are read; NULL: here */
	const struct rescue *rescue;	/* what is known where the tables themselves are lost (rescue.h), or NULL */
	const struct vad_set *vads;	/* of the process, for entries that defer to the VAD */
	uint64_t steps;			/* of space_next_page and space_spend that are left */
	const volatile int *stop;	/* not 0: it has none any more, whoever reads it was told to end; or NULL */
	bool following;			/* a prototype PTE is being read */
	bool exhausted;			/* … and there were none: what was looked at is not all */
	struct space_slot slots[SPACE_CACHE_SLOTS];
};

struct space *space_create(struct image *image, const struct layout *layout, enum paging paging, pa_t dtb);
void space_destroy(struct space *space);
DEFINE_AUTO(space, space_destroy)
/* The same address space for another thread. */
struct space *space_clone(const struct space *space);
/* That of a process, by its own root; what kernel memory is needed for it is read through `kernel`, which outlives it. */
struct space *space_of_process(struct space *kernel, enum paging paging, pa_t dtb);

unsigned space_pointer_size(const struct space *space);
/* Sign-extended (64 bits; 32-bit addresses are kept zero-extended) and within what the paging mode can translate? */
bool space_canonical(const struct space *space, va_t va);
bool space_is_kernel(const struct space *space, va_t va);
/* The last address that programs may have. */
va_t space_user_end(const struct space *space);

/* What is at va; state PAGE_ABSENT and a fault when nothing. */
enum fault space_page(struct space *space, va_t va, struct page *page);
/*
 * The next page at or after *cursor and up to `last` (inclusive) that has a
 * page-table entry; false at the end. Moves *cursor past it, to SPACE_END where it was
 * the last of all. Costs nothing for spans without tables.
 *
 * Page tables that name themselves have endless pages: a space has steps for several
 * times the pages that the machine has. When they are spent it is exhausted and this
 * returns false (the pipeline says so in `diagnostics`).
 */
#define SPACE_END UINT64_MAX
bool space_next_page(struct space *space, va_t *cursor, va_t last, struct page *page);

/* Spend steps on looking at pages one by one without space_next_page; false: none are left. */
bool space_spend(struct space *space, uint64_t steps);
/* As many steps as a new space has: for the next process's walk. */
void space_refill(struct space *space);

/* What a prototype PTE at that kernel address stands for; a fault (page_fault's) when it can't be read. */
enum fault space_prototype(struct space *space, va_t prototype_pte, struct page *page);

/*
 * Read exactly length bytes. On a fault nothing in buffer counts and *bad (may be
 * NULL) is the first unreadable address. Any va and length are allowed, wrapping
 * ones too: they fault.
 */
enum fault space_read(struct space *space, va_t va, void *buffer, size_t length, va_t *bad)
	G_GNUC_WARN_UNUSED_RESULT;
/* Read what is there, zeros elsewhere; returns the bytes that were there. */
size_t space_read_sparse(struct space *space, va_t va, void *buffer, size_t length);
/* The fault that describes a page without bytes. */
enum fault page_fault(const struct page *page);

/* Windows' software protection (MM_…, 5 bits) as PAGE_… constants, and their names
 * ("PAGE_EXECUTE_READWRITE", with "|PAGE_GUARD" and the like). */
uint32_t protection_from_mm(unsigned mm);
char *protection_name(uint32_t page_protection);
bool protection_executable(uint32_t page_protection);
bool protection_writable(uint32_t page_protection);

#define PAGE_NOACCESS 0x01u
#define PAGE_READONLY 0x02u
#define PAGE_READWRITE 0x04u
#define PAGE_WRITECOPY 0x08u
#define PAGE_EXECUTE 0x10u
#define PAGE_EXECUTE_READ 0x20u
#define PAGE_EXECUTE_READWRITE 0x40u
#define PAGE_EXECUTE_WRITECOPY 0x80u
#define PAGE_GUARD 0x100u
#define PAGE_NOCACHE 0x200u
#define PAGE_WRITECOMBINE 0x400u
#endif
