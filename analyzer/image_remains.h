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
	GArray *sections;	/* struct pe_section without names: pages of one protection; what functions cover where all have one */
	bool by_protection;
};

/*
 * Look at the resident pages of [base, base + limit). False: nothing there tells of an image whose base this is.
 * Spends the space's steps. To be cleared either way.
 */
bool image_remains_find(struct space *space, uint64_t base, uint32_t limit, struct image_remains *out);
void image_remains_clear(struct image_remains *remains);
/* Give them to an image that was opened and has no headers. */
void image_remains_apply(const struct image_remains *remains, struct pe *pe);
/* "functions,relocations,imports,exports,protections"; the caller frees. */
char *image_remains_text(const struct image_remains *remains);
#endif
