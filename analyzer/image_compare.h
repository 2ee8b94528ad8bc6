/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mapped image against its section: which pages a process shares with everyone, which
 * are private copies, and where the bytes differ.
 *
 * The section's own pages (those its prototype PTEs stand for) are the original: what
 * the memory manager read from the file and relocated once for all processes. A
 * process that writes to one gets a copy of its own.
 */
#ifndef MEMSIEVE_IMAGE_COMPARE_H
#define MEMSIEVE_IMAGE_COMPARE_H
#include "image_rebuild.h"
#include "vad.h"

/* One process's mapping of an image. */
struct view {
	struct space *space;	/* of the process, or the kernel's where only the section's own pages are looked at */
	const struct vad *vad;
};

enum view_page {
	VIEW_ABSENT,		/* no bytes of it in the dump */
	VIEW_ZERO,		/* not touched yet: reads as zeros */
	VIEW_SHARED,		/* the section's own */
	VIEW_PRIVATE,		/* a copy of this process */
	VIEW_UNKNOWN,		/* there, but its prototype PTE can't be read */
};

/* Pages of the mapping, at most UINT32_MAX / PAGE_SIZE. */
uint32_t view_pages(const struct view *view);
/* What the index-th page is; *section is the section's own one as far as it could be found. */
enum view_page view_page(const struct view *view, uint32_t index, struct page *page, struct page *section);
/* The section's own index-th page; a fault when its prototype PTE can't be read. */
enum fault view_section_page(const struct view *view, uint32_t index, struct page *section);

/*
 * The image as its section has it: the section's own pages, and where those are not in
 * memory the process's. For pe_open; the view must outlive the struct pe.
 */
struct pe_source view_section_source(struct view *view);

/* Bytes [offset, offset + length) differ. */
struct difference { uint32_t offset, length; };
/*
 * Where a page of a process differs from its section's page: what the loader filled in (fixups' slots; NULL: none are
 * known) is no difference, and `original` gets it. Where the section's base was taken in the process,
 * its pages were relocated once more from original_base to base; then they are compared without that.
 */
void image_page_differences(const struct image_fixups *fixups, uint32_t rva, uint8_t original[PAGE_SIZE], uint64_t original_base,
			    const uint8_t current[PAGE_SIZE], uint64_t base, uint32_t gap, GArray *out);
/* Append where a and b differ to out (struct difference), runs at most `gap` equal bytes apart as one. */
void differences(const uint8_t *a, const uint8_t *b, uint32_t length, uint32_t gap, GArray *out);
#endif
