/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a loader changes in an image, and undoing it: so that the same file loaded
 * elsewhere, or with other neighbours, gives the same bytes.
 */
#ifndef MEMSIEVE_IMAGE_REBUILD_H
#define MEMSIEVE_IMAGE_REBUILD_H
#include <stdio.h>
#include "pe.h"

struct image_span { uint32_t rva, length; };

struct image_fixups {
	bool is_64bit;
	GArray *relocations;	/* struct pe_relocation, by rva */
	GArray *slots;		/* struct image_span, by rva, disjoint: import slots and guard pointers */
	/* RVAs of the guard pointers that calls through addresses go through, 0: none. First those of CFG (check, dispatch), then XFG's. */
	uint32_t guards[2 + 5];
	/* What kept either from being complete; NONE with an empty array: the image has none. */
	enum fault relocation_fault, slot_fault;
	bool recognised;	/* relocations of a 64-bit image whose table can't be read: every address within the image that stands in it is one */
	bool keep_unknown;	/* leave values of relocations whose kind isn't known, rather than zero them */
	bool driver;		/* calls of imports may have been made direct: image_sha256 undoes that too */
	bool dynamic;		/* it has dynamic relocations, which rewrite its code on some processors */
};

struct image_fixups *image_fixups_create(struct pe *pe);
void image_fixups_destroy(struct image_fixups *fixups);

/* Of elements that begin with their RVA (uint32_t) and are sorted by it, the first at each. */
void image_first_of_each(GArray *by_rva);
/* Zero what lies of the slots within bytes, which stand at rva. */
void image_fixups_mask(const struct image_fixups *fixups, uint32_t rva, uint8_t *bytes, uint32_t length);
/* Is any of [rva, rva + length) in a slot? */
bool image_fixups_touches(const struct image_fixups *fixups, uint32_t rva, uint32_t length);
/*
 * Subtract delta from each relocated value in bytes, which stand at rva. Of a value that
 * is cut off by an end, and of kinds that nobody uses (HIGHADJ, other processors'), the part within is zeroed.
 */
void image_fixups_unrelocate(const struct image_fixups *fixups, uint32_t rva, uint8_t *bytes, uint32_t length, uint64_t delta);

/*
 * The SHA-256 of an image made independent of its base and its neighbours: the headers
 * (ImageBase as 0), then each section that is neither writable nor discardable, in the table's
 * order, over its virtual size; relocated values as if the base were 0, import slots
 * and guard pointers as 0. Lower-case hex, the caller frees. NULL and *fault, *at (RVA) when
 * a byte of that can't be read or the fix-ups aren't known completely.
 */
char *image_sha256(struct pe *pe, const struct image_fixups *fixups, enum fault *fault, uint32_t *at);

enum { PAGE_HASH_BYTES = 8 };
/*
 * A hash of each page of [rva, rva + length): the first bytes of the SHA-1 of the page as image_sha256 takes it, so that
 * one image has the same anywhere, in other processes and dumps; zeros: it can't be read. Import calls that the kernel
 * made direct when it loaded a driver (import optimisation and retpolines: mov r10, [slot]; call) count as the calls through
 * the slot that they were, and into *direct_calls. At most most_pages.
 */
GByteArray *image_page_hashes(struct pe *pe, const struct image_fixups *fixups, uint32_t rva, uint32_t length, uint32_t most_pages, guint *direct_calls);

/*
 * What may be spent on writing, and what is left of it afterwards: page tables make gigabytes of one page, and import descriptors
 * a million slots of one table. What there is none left for is left out, and `cut` names the limit.
 */
struct image_budget {
	uint64_t bytes;		/* pages that are looked at, whether they are there or not */
	uint64_t slots;		/* import slots that are looked at */
	const char *cut;
};
/* False: so many are not left. */
static inline bool image_budget_take(struct image_budget *budget, uint64_t bytes)
{
	if (bytes > budget->bytes) {
		budget->cut = "extract_bytes";
		return false;
	}
	budget->bytes -= bytes;
	return true;
}

/*
 * Write the image as it lies in memory: `size` bytes from its base. Bytes that can't be read are
 * holes, and told in missing (struct image_span), like those that the budget has no room for. False: writing failed (errno).
 */
bool image_write_mapped(struct pe *pe, uint32_t size, FILE *to, struct image_budget *budget, GArray *missing);

/* How image_write_file made the file's layout. */
enum image_layout {
	IMAGE_LAYOUT_RAW,	/* as the headers have it */
	IMAGE_LAYOUT_VIRTUAL,	/* raw addresses made equal to virtual ones, as the headers' own can't be true */
	IMAGE_LAYOUT_NONE,	/* no headers to go by: nothing was written */
};
/*
 * Write the image as a file that other tools load: `headers` (pe itself, or its section's original where
 * pe's are gone) say how; bytes are pe's. It is relocated to *image_base; NULL: to the ImageBase of the
 * headers, where Windows has written the actual one. Headers without a file header but with sections (see image_remains.h) are made. Import slots get back what the import name table
 * holds, unless the image was bound. Missing bytes are told as RVAs. False: writing failed (errno).
 */
bool image_write_file(struct pe *pe, struct pe *headers, const uint64_t *image_base, FILE *to, struct image_budget *budget, GArray *missing, enum image_layout *layout);
#endif
