/* SPDX-License-Identifier: Apache-2.0 */
#include "paging.h"

const struct paging_mode paging_modes[] = {
	[PAGING_X64] = { 3, { 39, 30, 21 }, { 0x1ff, 0x1ff, 0x1ff }, 21, 0x1ff, 8 },
	[PAGING_X64_LA57] = { 4, { 48, 39, 30, 21 }, { 0x1ff, 0x1ff, 0x1ff, 0x1ff }, 21, 0x1ff, 8 },
	[PAGING_X86] = { 1, { 22 }, { 0x3ff }, 22, 0x3ff, 4 },
	[PAGING_X86_PAE] = { 2, { 30, 21 }, { 0x3, 0x1ff }, 21, 0x1ff, 8 },
	[PAGING_ARM64] = { 3, { 39, 30, 21 }, { 0x1ff, 0x1ff, 0x1ff }, 21, 0x1ff, 8 },
	[PAGING_NONE] = { 0 },
};

unsigned paging_entry_size(enum paging paging)
{
	return paging == PAGING_X86 ? 4 : 8;
}

pa_t paging_dtb(enum paging paging, uint64_t value)
{
	switch (paging) {
	case PAGING_X86:	/* an array of two in Windows XP and 2003, of which this is the first */
		return (pa_t){ value & 0xfffff000u };
	case PAGING_X86_PAE:	/* the page directory pointer table has 32 bytes, below 4 GiB */
		return (pa_t){ value & 0xffffffe0u };
	case PAGING_ARM64:
		return (pa_t){ value & UINT64_C(0x0000fffffffff000) };
	default:
		return (pa_t){ value & UINT64_C(0x000ffffffffff000) };
	}
}

enum layout_machine paging_machine(enum paging paging)
{
	return paging_is_32bit(paging) ? LAYOUT_X86 : paging == PAGING_ARM64 ? LAYOUT_ARM64 : LAYOUT_X64;
}

bool paging_is_32bit(enum paging paging)
{
	return paging == PAGING_X86 || paging == PAGING_X86_PAE;
}

bool paging_valid(enum paging paging, uint64_t entry)
{
	(void)paging;
	return entry & 1;
}

bool paging_is_large(enum paging paging, unsigned level, uint64_t entry)
{
	switch (paging) {
	case PAGING_X64: case PAGING_X64_LA57:
		/* PS in a PML4E or PML5E is reserved: such an entry is no table of ours. */
		return level + 2 >= paging_modes[paging].levels && (entry & 0x80);
	case PAGING_X86:
		return entry & 0x80;
	case PAGING_X86_PAE:
		return level == 1 && (entry & 0x80);
	case PAGING_ARM64:
		return level >= 1 && !(entry & 2);
	default:
		return false;
	}
}

uint64_t paging_pfn(enum paging paging, uint64_t entry)
{
	if (paging == PAGING_X86)
		return entry & 0xfffff000u;
	return entry & UINT64_C(0x0000fffffffff000);
}

uint64_t paging_large_pfn(enum paging paging, uint64_t entry, uint64_t size)
{
	/* PSE-36: bits 13 to 20 of a 4 MiB page's entry are 32 to 39 of its address. */
	if (paging == PAGING_X86)
		return (entry & 0xffc00000u) | (entry >> 13 & 0xff) << 32;
	return paging_pfn(paging, entry) & ~(size - 1);
}

struct paging_rights paging_table_rights(enum paging paging, uint64_t entry)
{
	if (paging == PAGING_ARM64)	/* APTable, XNTable */
		return (struct paging_rights){ .writable = !(entry >> 62 & 1), .executable = !(entry >> 60 & 1), .user = !(entry >> 61 & 1) };
	/* PAE's top entries have no rights: bits 1 and 2 are reserved there and read 0. */
	bool none = paging == PAGING_X86_PAE && !(entry & 6);
	return (struct paging_rights){
		.writable = none || (entry & 2),
		.user = none || (entry & 4),
		.executable = paging == PAGING_X86 || !(entry >> 63),
	};
}

/* Windows keeps "may be written" in a software bit (Write, 11), since a clean page is mapped
 * read-only until the first write marks it dirty. */
struct paging_rights paging_leaf_rights(enum paging paging, uint64_t entry)
{
	/* AP[2] is NotDirty, AP[1] Owner; Writable (55) and CopyOnWrite (56) are Windows' own. What users may run is
	 * never privileged code (PXN, 53), and the other way round (UXN, 54). */
	if (paging == PAGING_ARM64)
		return (struct paging_rights){
			.writable = !(entry >> 7 & 1) || (entry >> 55 & 1),
			.user = entry >> 6 & 1,
			.executable = !(entry >> 54 & 1) || !(entry >> 53 & 1),
			.dirty = !(entry >> 7 & 1),
			.copy_on_write = entry >> 56 & 1,
		};
	return (struct paging_rights){
		.writable = (entry & 2) || (entry >> 11 & 1),
		.user = entry >> 2 & 1,
		.executable = paging == PAGING_X86 || !(entry >> 63),
		.dirty = entry >> 6 & 1,
		.copy_on_write = entry >> 9 & 1,
	};
}

bool paging_page_file(enum paging paging, uint64_t entry)
{
	return paging == PAGING_X86 ? entry >> 12 != 0 : entry >> 32 != 0;
}

/* MI_PTE_LOOKUP_NEEDED of x86: PageFileHigh is all ones. */
#define LOOKUP_NEEDED_X86 0xfffffu

bool paging_protection(enum paging paging, uint64_t entry, unsigned *mm)
{
	*mm = entry >> (paging == PAGING_ARM64 ? 1 : 5) & 0x1f;
	return paging != PAGING_X86 || !(entry >> 10 & 1) || entry >> 12 == LOOKUP_NEEDED_X86;
}

/* MI_PTE_LOOKUP_NEEDED: an address part of all ones (its low half on x64) defers to the VAD. */
bool paging_prototype(enum paging paging, uint64_t entry, va_t base, va_t *at)
{
	switch (paging) {
	case PAGING_X86:
		if (entry >> 12 == LOOKUP_NEEDED_X86)
			return false;
		/* ProtoAddressLow (7 bits at 1) and ProtoAddressHigh (21 bits at 11), in units of 4. */
		at->v = (base.v + ((entry >> 1 & 0x7f) << 2) + ((entry >> 11 & 0x1fffff) << 9)) & UINT32_MAX;
		return true;
	case PAGING_X86_PAE:
		at->v = entry >> 32;
		return at->v != UINT32_MAX;
	default:
		at->v = (uint64_t)((int64_t)entry >> 16);
		return entry >> 32 != UINT32_MAX && (at->v & UINT64_C(0xffffffff)) != UINT64_C(0xffff0000);
	}
}
