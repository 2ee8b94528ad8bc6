/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoders of patches share; nobody else includes this. */
#ifndef MEMSIEVE_PATCH_PRIVATE_H
#define MEMSIEVE_PATCH_PRIVATE_H
#include "patch.h"

enum { PATCH_LOWEST = 0x10000 };	/* the lowest address of user memory: what leads below it was no pointer */

/* How a run of instructions ends. */
enum patch_ending { ENDS_OPEN, ENDS_TRANSFER, ENDS_UNKNOWN_TRANSFER, ENDS_RETURN, ENDS_BREAKPOINT };

/* As patch_decode and patch_follow. */
void patch_decode_arm64(const struct patch_source *source, uint64_t va, uint32_t length, struct patch_code *out);
uint64_t patch_follow_arm64(const struct patch_source *source, uint64_t va);
#endif
