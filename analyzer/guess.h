/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which Windows it is, by its process objects alone: for memory in which neither the kernel's image nor its name is left, such as
 * the first part of a raw image.
 *
 * A process object is known by the empty list at its start (KPROCESS.ProfileListHead, right behind the dispatcher header in every
 * build), which tells its address too; the structures are those of the family under which the most objects make sense.
 */
#ifndef MEMSIEVE_GUESS_H
#define MEMSIEVE_GUESS_H
#include "layout.h"
#include "space.h"

struct guess {
	struct layout *layout;		/* every field marked as derived; the caller's */
	enum paging paging;		/* of the processes */
	unsigned processes;		/* objects that it fits */
};

/* False: there is no process object, or none that a family fits. Reads all of the image once. */
bool guess_layout(struct image *image, struct guess *guess);
#endif
