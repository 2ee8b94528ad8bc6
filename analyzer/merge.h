/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cases into one.
 *
 * Nothing here knows the tables by name, a few that every case has aside: what belongs to which dump, and which columns
 * hold ids, is read from the foreign keys, so that tables of loaded plugins and of other versions go along. An input may
 * have been made to do harm: its rows are taken as values, nothing of its schema is run, and no row of it refers to one
 * that didn't come with it.
 */
#ifndef MEMSIEVE_MERGE_H
#define MEMSIEVE_MERGE_H
#include "store.h"

struct merge_result { int64_t dumps, skipped, lost; };	/* lost: rows of an older case of which nothing says whose they are */
/* A case to merge into, made unless it is there, with every table this version knows. */
struct store *merge_open(const char *path, GError **error);
/*
 * Add the dumps of one case; those there already (by SHA-256) are skipped. All of it or nothing: on failure *error, and
 * nothing was added. Runs of `out` that did not finish make room for one of the same file that did.
 */
bool merge_add(struct store *out, const char *path, struct merge_result *result, GError **error);
/* The same of a case that holds that one dump; one that holds others is refused. `replace`: what there is of the same path
 * makes room, in the same transaction. */
bool merge_add_one(struct store *out, const char *path, const char *only, bool replace, struct merge_result *result, GError **error);
/* Do all references in the case lead somewhere? */
bool merge_check(struct store *out, GError **error);
#endif
