/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every process object of a dump and who knows of it. What hides from one list stays in others: the kernel
 * can't run, schedule, open or account for a process that it has nowhere.
 */
#ifndef MEMSIEVE_PROCESS_SET_H
#define MEMSIEVE_PROCESS_SET_H
#include "pool.h"

enum process_source {
	SOURCE_ACTIVE,		/* linked from PsActiveProcessHead */
	SOURCE_CID,		/* in PspCidTable */
	SOURCE_POOL,		/* a whole object in a pool block */
	SOURCE_THREADS,		/* owner of a thread, of PspCidTable or in a pool block */
	SOURCE_SESSION,		/* in its session's list (_MM_SESSION_SPACE.ProcessList) */
	SOURCE_TABLES,		/* owner of a handle table that is linked from HandleTableListHead */
	SOURCE_CSRSS,		/* a csrss.exe, which has one to each process of its session, holds a handle to it */
	SOURCE_HANDLES,		/* another process holds a handle to it */
	SOURCE_FRAMES,		/* owner of a page-table root, by the page frame database (page_frames.h) */
	PROCESS_SOURCES
};

struct process_found {
	va_t va;		/* of the _EPROCESS */
	unsigned in;		/* 1 << enum process_source: these know it */
	unsigned asked;		/* of these it can be told: the others could not be read */
};

/* Patterns to name in the plugin's sweeps. */
extern const struct sweep_pattern *const process_set_sweeps[];

/*
 * struct process_found, each object once: in the order of the active list, then PspCidTable's, then by address
 * within each source. No remnants. Why a source ended early goes into diagnostics of `processes`.
 */
GArray *process_set_find(struct context *context, const GArray *candidates);
#endif
