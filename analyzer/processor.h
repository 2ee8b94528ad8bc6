/* SPDX-License-Identifier: Apache-2.0 */
/* The processors of the machine, by the kernel's blocks for each. */
#ifndef MEMSIEVE_PROCESSOR_H
#define MEMSIEVE_PROCESSOR_H
#include "plugin.h"

struct processor {
	unsigned number;
	va_t prcb, pcr;			/* _KPRCB, and the _KPCR it lies in */
};

/* struct processor in order of their numbers; never NULL. Why it is empty goes into diagnostics under `table`; NULL: another plugin
 * says it. */
GArray *processors_list(struct context *context, const char *table);

/*
 * The thread (_ETHREAD) whose kernel stack a stack pointer lies in: one of those that run, as each processor's block names them; 0: none.
 */
va_t processor_thread(struct context *context, uint64_t stack_pointer, const char *table);

/*
 * Where a timer's DPC really is. Since Windows 7 x64 the pointer in a _KTIMER is encoded with KiWaitNever and
 * KiWaitAlways, as public write-ups describe it.
 */
uint64_t timer_decode_dpc(uint64_t raw, va_t timer, uint64_t wait_never, uint64_t wait_always);
#endif
