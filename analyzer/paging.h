/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between the paging modes: levels, entry forms, rights.
 * Hardware: Intel SDM vol. 3 ch. 4; ARM ARM D5 (VMSAv8-64, 4 KiB granule).
 * Software forms: the _MMPTE_… structures of each kernel's symbols.
 */
#ifndef MEMSIEVE_PAGING_H
#define MEMSIEVE_PAGING_H
#include "space.h"

struct paging_mode {
	unsigned levels;		/* above the page table itself */
	unsigned shift[4];
	uint64_t mask[4];
	unsigned table_shift;		/* bits of va below one page table */
	uint64_t table_mask;
	unsigned entry_size;
};

extern const struct paging_mode paging_modes[];

struct paging_rights { bool writable, executable, user, dirty, copy_on_write; };

unsigned paging_entry_size(enum paging paging);
/* The root that a CR3, a TTBR or a DirectoryTableBase names: without a PCID (x64), an ASID (ARM64), flags. */
pa_t paging_dtb(enum paging paging, uint64_t value);
enum layout_machine paging_machine(enum paging paging);
/* Four-byte pointers? */
bool paging_is_32bit(enum paging paging);
bool paging_valid(enum paging paging, uint64_t entry);
bool paging_is_large(enum paging paging, unsigned level, uint64_t entry);
uint64_t paging_pfn(enum paging paging, uint64_t entry);	/* as a physical address */
/* The same of an entry that maps a large page of `size` bytes. */
uint64_t paging_large_pfn(enum paging paging, uint64_t entry, uint64_t size);
struct paging_rights paging_table_rights(enum paging paging, uint64_t entry);
struct paging_rights paging_leaf_rights(enum paging paging, uint64_t entry);
/* Does an entry that is neither valid, prototype nor transition name a page file's page? */
bool paging_page_file(enum paging paging, uint64_t entry);
/* Where the software forms keep the five bits of protection; false: this one has none (x86's prototype form). */
bool paging_protection(enum paging paging, uint64_t entry, unsigned *mm);
/*
 * The address of the prototype PTE an entry names; false: it defers to the VAD. x86 without PAE
 * has room for the distance from the start of paged pool (`base`) alone.
 */
bool paging_prototype(enum paging paging, uint64_t entry, va_t base, va_t *at);
#endif
