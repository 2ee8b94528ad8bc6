/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image whose headers are gone, told and put together from what stays: tables that only images have (functions with
 * their unwind information, relocations, imports, exports), which hold addresses relative to the base, and what
 * the page tables allow.
 */
#ifndef MEMSIEVE_IMAGE_REMAINS_H
#define MEMSIEVE_IMAGE_REMAINS_H
#include "pe.h"
#include "space.h"

struct image_remains {
	/* rva 0: not found. */
	struct pe_directory functions, relocations, imports, exports;
	bool is_64bit;
	uint16_t machine;	/* 0: can't be told */
	GArray *sections;	/* struct pe_section without names: pages of one protection; what functions cover where all have one */
	bool by_protection;
};

/*
 * Look at the resident pages of [base, base + limit). False: nothing there tells of an image whose base this is.
 * Spends the space's steps. To be cleared either way.
 */
bool image_remains_find(struct space *space, uint64_t base, uint32_t limit, struct image_remains *out);
/*
 * Where images without headers may begin in [start, end] (end: its last byte), told by the same tables, each of which fits one base alone. bases
 * (uint64_t): those that were known before, with their images' ends (exclusive) in ends; what is found is added to both, the end of each where the next begins.
 * A table within a known image tells of no other. Spends the space's steps.
 */
void image_remains_bases(struct space *space, uint64_t start, uint64_t end, GArray *bases, GArray *ends);
void image_remains_clear(struct image_remains *remains);
/* Does an image that was opened lack headers, sections or all directories? */
bool image_remains_wanted(const struct pe *pe);
/* Give it what it lacks of them. */
void image_remains_apply(const struct image_remains *remains, struct pe *pe);
/* "functions,relocations,imports,exports,protections"; the caller frees. */
char *image_remains_text(const struct image_remains *remains);
#endif
