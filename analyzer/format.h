/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dump format is one file in formats/, ending in one descriptor. "Not mine" is
 * different from "mine but broken": match() says whose it is by its signature,
 * open() then either succeeds or names the field, its value, offset and bound.
 */
#ifndef MEMSIEVE_FORMAT_H
#define MEMSIEVE_FORMAT_H
#include "image.h"

struct format {
	const char *name;	/* of the reader, e.g. "crashdump" */
	const char *doc;	/* one line; also what "looked for" lists */
	/* Is this file one of ours? Looks at the signature only. */
	bool (*match)(const struct file *file);
	bool plain;		/* Of every file --raw makes this: no header, byte n is byte n of memory. */
	/* What a file is that is certainly no dump, in words ("a JPEG image"); NULL: not known. May be NULL. */
	const char *(*other)(const struct file *file);
	/* Fill image->facts, add ranges. On failure *error; close() is still called. */
	bool (*open)(struct image *image, GError **error);
	/* NULL: nothing to free. */
	void (*close)(struct image *image);
	/*
	 * For formats whose pages are encoded; NULL: pages are mapped from the file.
	 * Called by several threads at once, only for pages inside added ranges.
	 */
	enum fault (*read_page)(struct image *image, uint64_t pfn, void *page);
	/* The kernel was found elsewhere than the header said: facts->dtb and ->active_process_head are right now. NULL: nothing rests on them. */
	void (*kernel_found)(struct image *image);
};

/* NULL-terminated, in the order they are asked; raw last, as it takes anything.
 * Generated from FORMATS in Makefile.am. */
extern const struct format *const formats[];
#endif
