/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many dumps, each analysed by a worker process of its own.
 *
 * The folder of a batch holds for each dump NAME.db (its case, there once it is whole), NAME.part (while a worker
 * writes it), NAME.log (what the worker said; locked while it runs) and NAME.failed (why there is no case). NAME follows
 * from the dump's path, so that whoever comes later, another batch or a task on another machine, finds what is done.
 */
#ifndef MEMSIEVE_BATCH_H
#define MEMSIEVE_BATCH_H
#include <sys/types.h>
#include "merge.h"
#include "pipeline.h"

enum batch_state { BATCH_WAITING, BATCH_RUNNING, BATCH_COMPLETE, BATCH_PARTIAL, BATCH_FAILED };
const char *batch_state_name(enum batch_state state);

/* Where a finished run of it is. */
enum batch_found { FOUND_NOWHERE, FOUND_IN_CASE, FOUND_IN_OWN, FOUND_IN_PART };

struct batch_item {
	char *path, *name;
	uint64_t size;
	enum batch_state state;
	enum batch_found found;		/* as was seen last */
	bool before;			/* done by an earlier batch */
	bool merged;
	char *message;			/* why it failed */
	/* while a worker runs */
	pid_t pid;
	int progress, log;		/* descriptors, -1: none */
	bool late;			/* its worker was killed for that */
	char stage[64];
	unsigned attempts;
	gint64 started;
	double seconds;
};

struct batch {
	GPtrArray *items;		/* struct batch_item *, in the order they are merged */
	GHashTable *paths;		/* theirs */
	bool left_out;			/* a dump that was found can't be in it */
	char *case_path;		/* NULL: none is made */
	char *folder;			/* of the cases, one a dump */
	char *log_folder;
	bool keep_cases;		/* the folder was asked for; else its cases go once merged */
	unsigned jobs;
	uint64_t memory_limit;		/* of all workers, bytes; 0: none */
	bool resume, replace, merge_only;
	GPtrArray *analyze_options;	/* char *: passed on to `memsieve analyze` */
	guint next_merge;
	gint64 started;
	void *view;			/* batch_progress.c's */
};

struct batch_counts { unsigned done, complete, partial, failed, running, waiting, before; uint64_t bytes_done, bytes; };

struct batch *batch_create(void);
void batch_destroy(struct batch *batch);
DEFINE_AUTO(batch, batch_destroy)
/* What the folder and the case say of each item: done, failed, waiting. */
bool batch_look(struct batch *batch, GError **error);
/* Analyse what isn't done, merge what is. False and *error when the batch itself can't go on; dumps that fail are in the items. */
bool batch_run(struct batch *batch, GError **error);
struct batch_counts batch_count(const struct batch *batch);
enum outcome batch_outcome(const struct batch *batch);
/* A file of the batch's folder: NAME and a suffix. The caller frees. */
char *batch_file(const struct batch *batch, const struct batch_item *item, const char *suffix);

/* ---- batch_case.c: cases are read and written by processes of their own, confined */

/* Find each item's finished run: `found`, and `state` where there is one. Where an item is BATCH_RUNNING, what its worker writes isn't looked at. */
bool batch_case_look(struct batch *batch, GError **error);
/* Is there a case of its own by now? */
bool batch_case_look_again(struct batch *batch, struct batch_item *item);
/* Add a dump's own case to the case of all. MERGE_REFUSED: *error says why this one can't be, MERGE_IMPOSSIBLE: why none can. */
enum batch_merge { MERGE_MERGED, MERGE_DUPLICATE, MERGE_REFUSED, MERGE_IMPOSSIBLE };
enum batch_merge batch_case_merge(const struct batch *batch, const struct batch_item *item, GError **error);
/* Which dumps failed, and a last check. */
bool batch_case_finish(const struct batch *batch, GError **error);

/* ---- batch_find.c */

/* Add one dump, unless it is there. */
void batch_add(struct batch *batch, const char *path);
/* Add the dumps that an argument names: a file, whatever it is; a folder, searched for files whose content is a dump's (and
 * raw images by their extension); @LIST, a file of paths of such, but of no lists. */
bool batch_find(struct batch *batch, const char *argument, GError **error);

/* ---- batch_progress.c: a table on a terminal, or one JSON object a line */

void batch_view_begin(struct batch *batch, bool json);
void batch_view_event(struct batch *batch, const char *event, const struct batch_item *item);
/* Something may have changed; `now`: show it at once. */
void batch_view_refresh(struct batch *batch, bool now);
void batch_view_end(struct batch *batch);
/* Which dumps failed, and why, on standard error: for who wants to see nothing else. */
void batch_say_failed(const struct batch *batch);
/* Where a batch stands, for --status. */
void batch_view_status(const struct batch *batch, bool json);

/* ---- batch_slurm.c */

struct slurm_options { const char *partition, *memory, *time; int array_max; bool dry_run; };
/* Write the job scripts into the batch's folder and submit them. */
bool batch_slurm(const struct batch *batch, const struct slurm_options *options, GError **error);
/* The list of dumps in the folder, one path a line, and the case they go into. */
bool batch_write_list(const struct batch *batch, GError **error);
bool batch_read_list(struct batch *batch, GError **error);
#endif
