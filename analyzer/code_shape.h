/* SPDX-License-Identifier: Apache-2.0 */
/* What machine code of no image looks like, by disassembly: see code_shape.c. */
#ifndef MEMSIEVE_CODE_SHAPE_H
#define MEMSIEVE_CODE_SHAPE_H
#include <capstone.h>
#include "plugin.h"

struct code_shape {
	unsigned instructions;
	unsigned invalid;		/* bytes that are no instruction */
	unsigned functions;		/* returns or jumps followed by padding or a function's usual beginning */
	unsigned peb_access, getpc, syscalls, breakpoints;
	unsigned calls, image_jumps, other_jumps;	/* x86 alone */
	size_t stubs;			/* bytes that are one stub over and over; x86 alone */
};

/* An instruction that enters the kernel. */
struct system_call {
	uint64_t address;
	uint32_t number;
	bool numbered;		/* the number is known */
	bool copied;		/* it stands in a stub as ntdll has them, byte for byte */
};

/* What is looked at. */
struct code {
	const struct context *c;
	enum architecture architecture;
	const uint8_t *bytes;
	size_t length;
	uint64_t address;		/* of the first byte */
	uint64_t start, end;		/* of the run of executable pages that it is of */
};

/* A disassembler for that code; false: none can be had. The caller closes it. */
bool code_engine(enum architecture architecture, csh *handle);

/* Fills in shape, and calls, an empty array of struct system_call. */
void code_look(csh handle, const struct code *code, struct code_shape *shape, GArray *calls);

#endif
