/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One dump through all plugins into the case.
 *
 * Plugins run one after the other, in an order that follows from the tables they
 * need; those that work process by process run on all cores. The dump's hash is
 * computed beside them.
 */
#ifndef MEMSIEVE_PIPELINE_H
#define MEMSIEVE_PIPELINE_H
#include "options.h"
#include "plugin.h"
#include "store.h"

enum outcome { OUTCOME_COMPLETE = 0, OUTCOME_FAILED = 1, OUTCOME_USAGE = 2, OUTCOME_PARTIAL = 3 };

/* What a run came to, for the summary. */
struct result {
	enum outcome outcome;
	int64_t dump_id;
};

/* All plugins, the built-in ones and those loaded, sorted so that each follows those it needs. Error on a
 * cycle, an unknown table, or a table with two owners. */
const struct plugin **plugin_order(const struct plugin *const *in, size_t n, GError **error);
/* Built-in plugins and those of --plugin, sorted; the caller frees the array (not the plugins). */
const struct plugin **plugin_load(char **files, GError **error);

/* Analyse one dump into the case at options->output. On failure *error. */
bool pipeline_analyze(const struct options *options, const struct plugin *const *sorted, const char *path,
		      struct result *result, GError **error);

/* Set by the signal handler: stop soon, leave a valid case. */
extern volatile int pipeline_interrupted;
#endif
