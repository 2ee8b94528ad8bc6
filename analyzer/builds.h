/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which version a kernel's image is, by its header: TimeDateStamp and SizeOfImage. The table is
 * builds/kernels.txt (see builds/README).
 */
#ifndef MEMSIEVE_BUILDS_H
#define MEMSIEVE_BUILDS_H
#include <stdbool.h>
#include <stdint.h>

struct build {
	unsigned major, minor, build, revision;
	const char *architecture;	/* "amd64", "arm64"; static */
};

/* False: not in the table. */
bool build_find(uint32_t timestamp, uint32_t size_of_image, struct build *out);
#endif
