/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMSIEVE_SAMPLES_CRASH_WRITERS_H
#define MEMSIEVE_SAMPLES_CRASH_WRITERS_H
#include "writers.h"

#define CRASH_HEADER_SIZE 0x2000u

#define CRASH_HEADER32_SIZE 0x1000u

/* DUMP_HEADER64, or a 32-bit machine's DUMP_HEADER, of that DumpType; required: RequiredDumpSpace. Returns its size. */
unsigned crash_header(struct output *output, unsigned type, uint64_t required, uint8_t header[CRASH_HEADER_SIZE]);
#endif
