/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layout for a kernel whose symbols nobody gave: structures of a family that is built
 * in, checked against the dump (derive.h), and the kernel's globals recovered from the dump.
 *
 * A global is looked for where the kernel's own export table and its debugger data block
 * say, where the kernels of the same family have it (relative to what is certain), and
 * in all the kernel's data; it is believed for what it holds.
 */
#ifndef MEMSIEVE_RECOVER_H
#define MEMSIEVE_RECOVER_H
#include "kernel.h"

/* NULL: the dump has too little evidence, or no family is near. */
struct layout *recover_layout(struct kernel *kernel);
#endif
