/* SPDX-License-Identifier: Apache-2.0 */
/* The globals of a kernel, recognised by what they hold. */
#ifndef MEMSIEVE_GLOBALS_H
#define MEMSIEVE_GLOBALS_H
#include "evidence.h"

/* Fill layout->symbol (emptied before): siblings are layouts of kernels of the same family, nearest
 * first, with their symbols; n may be 0. */
void globals_recover(struct evidence *e, struct layout *layout, struct layout *const *siblings, size_t n);

struct globals {
	struct evidence *e;
	struct layout *layout;
	uint64_t process, pid;		/* the first process object that is there: System, pid 4, unless its page is missing */
	int process_type;		/* index of the object type Process, -1: not known */
	int cookie;			/* ObHeaderCookie's value, -1: none or not known */
};

/* What a place in the image says about a global being there. */
enum verdict { CONTRADICTED = -1, SILENT, CONFIRMED };
typedef enum verdict (*verdict_fn)(struct globals *g, uint32_t rva);

struct global {
	const char *name;
	verdict_fn verdict;
	uint8_t step;		/* alignment to search with, 0: too weak to search for, only to confirm */
	uint16_t kdbg;		/* its place in the debugger data block, 0: none */
	bool common;		/* other globals look the same: most siblings must agree on the place */
};
/* In the order of the search: each may use those before. */
extern const struct global globals[];
extern const size_t globals_count;
/* The arrays of callbacks on processes, threads and images. */
void globals_callbacks(struct globals *g, struct layout *const *siblings, size_t n);
#endif
