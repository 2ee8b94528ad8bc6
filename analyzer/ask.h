/* SPDX-License-Identifier: Apache-2.0 */
/* What is in files that may be hostile is asked of processes of their own: they read, and all they can do is answer. */
#ifndef MEMSIEVE_ASK_H
#define MEMSIEVE_ASK_H
#include <stdio.h>
#include "sandbox.h"

/* In the child, which is to confine itself before it reads: what it answers it writes to `to`. */
typedef void (*ask_answer)(void *question, FILE *to);
/* What it answered until it ended, of which a part may be missing then, had said `most` bytes, or was *silent for worker_seconds; *status is
 * waitpid()'s. The caller frees. NULL and *error: there is no process. */
GString *ask(ask_answer answer, void *question, gsize most, int *status, bool *silent, GError **error);

/* Seconds by which the process ends after what bounds its work from within. */
#define ASK_GRACE 30

/* A question about cases. */
struct ask_case {
	struct sandbox_files files;	/* what the child may reach */
	uint64_t seconds;		/* of processor time, at most */
	const char *limits;		/* that is, for who wonders */
	bool (*work)(void *data, FILE *to, GError **error);	/* in the child */
	void *data;
};
/* It is done; *error says why it can't be; or the process just ended, and *error says so. */
enum ask_end { ASK_DONE, ASK_TOLD, ASK_ENDED };
/* What was answered before the end. The caller frees. */
GString *ask_case(const struct ask_case *question, enum ask_end *end, GError **error);
#endif
