/* SPDX-License-Identifier: Apache-2.0 */
/* One line on a terminal that says how far we are; silent when stderr is no terminal. */
#ifndef MEMSIEVE_PROGRESS_H
#define MEMSIEVE_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>

void progress_begin(bool enabled, uint64_t total_bytes);
void progress_stage(const char *stage);
void progress_step(uint64_t done, uint64_t total);
/* Bytes of the dump gone through so far, from any thread. */
void progress_bytes(uint64_t done);
void progress_end(void);
/* Say it to whoever started us instead: a line "STAGE PERCENT" now and then. */
void progress_report(int fd);
#endif
