/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin's code at work on threads of its own, under a watchdog.
 *
 * The calling thread writes rows and watches the clock. Work that takes longer than the limits allow is told to end
 * (context_cancelled() becomes true); a thread that doesn't is left behind with what it holds, its rows are
 * lost, and the plugin has failed.
 */
#ifndef MEMSIEVE_CREW_H
#define MEMSIEVE_CREW_H
#include "plugin.h"

struct crew_task {
	const struct plugin *plugin;
	const GPtrArray *processes;
	int jobs;
	uint64_t size;			/* of the dump: larger ones may take longer */
	gint64 most;			/* microseconds until the plugin is told to end */
	struct context (*context)(void *user);			/* one for a thread, with its own space and no rows */
	/* In process order, one at a time. False: the case can't be written, or enough was. */
	bool (*write)(void *user, struct rows *rows);
	void *user;
};

/* run_process on every process. False: it failed on at least one; *message is why. */
bool crew_run_processes(const struct crew_task *task, GString *message);
/* `run` once. False: it failed; *message is why. */
bool crew_run_once(const struct crew_task *task, bool (*run)(struct context *, GError **), GString *message);

/* Without a watchdog (no thread could be made): has its time run out? */
static inline bool context_overdue(const struct context *context)
{
	return context->deadline && g_get_monotonic_time() > context->deadline;
}

/* How many threads were left behind: nothing that they may use must be freed, or changed. */
extern unsigned crew_left_behind;

/* Before what all plugins share is changed by one. False: it was left behind and must not any more; else crew_leave() comes next. */
bool crew_enter(const struct context *context);
void crew_leave(const struct context *context);
#endif
