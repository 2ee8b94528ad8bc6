/* SPDX-License-Identifier: Apache-2.0 */
/* What code that was written over other code does, by disassembly. */
#ifndef MEMSIEVE_PATCH_H
#define MEMSIEVE_PATCH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum patch_kind {
	PATCH_OTHER,		/* "patch": none of the others */
	PATCH_HOOK,		/* "inline_hook": control goes elsewhere by jump, call or push and return */
	PATCH_RETURN,		/* "return": the function ends here now */
	PATCH_BREAKPOINT,	/* "breakpoint": int3 */
	PATCH_NOP,		/* "nop" */
	PATCH_STOMPED,		/* "stomped": a large part of the page is other code */
	PATCH_DATA,		/* "data": in a section without code */
	PATCH_HEADER,		/* "header" */
	PATCH_UNKNOWN,		/* "unknown": a private executable copy, with nothing to compare it to */
	PATCH_IMPORT,		/* "import_hook": an import slot that leads elsewhere */
	PATCH_EXPORT,		/* "export_hook": an entry of an export table that leads elsewhere */
	PATCH_POINTER,		/* "pointer_hook": an address in data that nobody writes to leads to other code */
};
const char *patch_kind_name(enum patch_kind kind);	/* as image_patches.kind */

/* Where the code stands. */
struct patch_source {
	void *user;
	/* Read at most length bytes at va, up to the first that can't be read; returns how many. */
	size_t (*read)(void *user, uint64_t va, void *buffer, size_t length);
	/* The image that the code is part of, [start, end): jumps out of it matter more than those within. Both 0: not known. */
	uint64_t start, end;
};

struct patch_code {
	enum patch_kind kind;	/* OTHER, HOOK, RETURN, BREAKPOINT, NOP */
	uint64_t start;		/* of the first instruction that the patch touches: va, or before it where its first bytes are as they were */
	bool has_target;
	uint64_t target;	/* where control ends up, jumps that only lead on followed */
	char *text;		/* the instructions that the patch touches, "; " between them; owned, NULL: no code we know */
};

/*
 * Decode the patch [va, va + length). function: an address at or below va where an instruction
 * is known to begin (a function's first byte), or va. machine: as in PE headers.
 */
void patch_decode(const struct patch_source *source, uint16_t machine, uint64_t function, uint64_t va, uint32_t length,
		  struct patch_code *out);
/* Where control that arrives at va ends up: jumps that only lead on followed. va itself where it doesn't, or for code we don't know. */
uint64_t patch_follow(const struct patch_source *source, uint16_t machine, uint64_t va);
#endif
