/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads by those that know of them besides the lists of their processes: PspCidTable, pool, and handles. What is taken out of
 * its process's lists stays in these.
 */
#ifndef MEMSIEVE_THREAD_SET_H
#define MEMSIEVE_THREAD_SET_H
#include "cid.h"
#include "pool.h"

struct thread_set {
	GArray *cid;			/* struct cid_entry; NULL: PspCidTable can't be read */
	GHashTable *in_handles;		/* ETHREAD that handles lead to; NULL: no handle table could be read */
	bool cid_whole, handles_whole;	/* all of the two could be read: else what is not met may be in the rest */
	GHashTable *in_pool;		/* ETHREAD of whole objects in pool */
	GHashTable *by_process;		/* EPROCESS → GArray of ETHREAD addresses, of all three: in that order, one may come twice */
};

/* Patterns to name in the plugin's sweeps. */
extern const struct sweep_pattern *const thread_set_sweeps[];

/* Needs the processes. Why PspCidTable ended early goes into diagnostics under `table`. */
struct thread_set *thread_set_find(struct context *context, const char *table);
void thread_set_destroy(void *set);
#endif
