/* SPDX-License-Identifier: Apache-2.0 */
/* A sample machine's memory as a file of some format. */
#ifndef MEMSIEVE_SAMPLES_WRITERS_H
#define MEMSIEVE_SAMPLES_WRITERS_H
#include <stdio.h>
#include "sample.h"

struct output {
	struct sample *sample;
	struct item *item;		/* the `output` line, or NULL: raw */
	const char *format;
	const char *path;		/* of the file, for formats that have others beside it */
	FILE *file;
	uint64_t at;			/* bytes written so far; zero pages become holes of the file */
};

struct writer {
	const char *format;		/* as the output line names it */
	void (*write)(struct output *output);
};

extern const struct writer raw_writers[], crash_writers[], triage_writers[], machine_writers[], vmrs_writers[];

void output_bytes(struct output *output, const void *bytes, size_t length);
void output_zeros(struct output *output, uint64_t length);
void output_page(struct output *output, uint64_t pfn);
/* Is this page in a dump of the whole memory, or of the kernel's alone? */
bool output_holds(const struct output *output, uint64_t pfn, bool kernel_only);

/* The next run of such pages at or after *pfn; false: none. */
bool output_run(const struct output *output, bool kernel_only, uint64_t *pfn, uint64_t *pages);
/* The attribute of a `defect kind=header` line, or otherwise. */
uint64_t output_lie(const struct output *output, const char *key, uint64_t otherwise);
void put_le(uint8_t *to, uint64_t value, unsigned width);
#endif
