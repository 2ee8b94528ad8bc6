/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the memory manager keeps of an image file in the section object that is made of it: where its sections lie in memory and in the file (the
 * subsections), and what its headers said (SECTION_IMAGE_INFORMATION). It is the kernel's own, and stays when a process wipes its headers
 * or their page leaves memory.
 */
#ifndef MEMSIEVE_IMAGE_SECTION_H
#define MEMSIEVE_IMAGE_SECTION_H
#include "image_compare.h"

struct image_section {
	uint16_t machine, characteristics;	/* machine 0: its information can't be read */
	uint32_t checksum, entry_point;		/* entry_point: RVA, 0: none */
	GArray *sections;			/* struct pe_section, without names */
};

/* Of the image that view->vad maps; view->space is one that sees the kernel. False: nothing can be had. To be cleared either way. */
bool image_section_read(const struct view *view, struct image_section *out);
void image_section_clear(struct image_section *section);
/* Give an image that was opened what its headers lack; false: they lack nothing of it. */
bool image_section_apply(const struct image_section *section, struct pe *pe);
#endif
