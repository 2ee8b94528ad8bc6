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
	/* What kept either from being complete; NONE with an empty array: the image has none. */
	enum fault relocation_fault, slot_fault;
	bool dynamic;		/* it has dynamic relocations, which rewrite its code on some processors */
};

struct image_fixups *image_fixups_create(struct pe *pe);
void image_fixups_destroy(struct image_fixups *fixups);

/* Zero what lies of the slots within bytes, which stand at rva. */
void image_fixups_mask(const struct image_fixups *fixups, uint32_t rva, uint8_t *bytes, uint32_t length);
/* Is any of [rva, rva + length) in a slot? */
bool image_fixups_touches(const struct image_fixups *fixups, uint32_t rva, uint32_t length);
/*
 * Subtract delta from each relocated value in bytes, which stand at rva. Of a value that
 * is cut off by an end, and of the 16-bit kinds, the part within is zeroed.
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

/*
 * Write the image as a file. mapped: the bytes as they lie in memory. Otherwise the raw layout
 * of its headers, with relocations undone where the header still has another ImageBase, import
 * slots restored from the import names, and alignments that a loader takes. Bytes
 * that can't be read are zeros, and told in `missing` (struct image_span, RVAs). size: of the
 * mapping, where the headers don't tell. False: writing failed (errno).
 */
bool image_write(struct pe *pe, uint32_t size, bool mapped, FILE *to, GArray *missing);
#endif
