/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named queries: one commented SELECT a file, with a header.
 *
 *	-- query: rare_images
 *	-- about: images that few dumps of the case have
 *	-- parameter: dumps 2: show what fewer dumps than this have
 *	SELECT … :dumps … ;
 *
 * Every query may use :dump_id, NULL unless one dump is asked for.
 */
#ifndef MEMSIEVE_QUERIES_H
#define MEMSIEVE_QUERIES_H
#include "store.h"

struct query_parameter { char *name, *value, *about; };

struct named_query {
	char *name, *about, *sql, *file;
	GPtrArray *parameters;	/* struct query_parameter * */
};

/* The built-in queries, then those of the folders (NULL-terminated, or NULL), by name; one of the same name replaces. What
 * can't be used is told in problems (char *). */
GPtrArray *queries_load(char **folders, GPtrArray *problems);
const struct named_query *queries_find(const GPtrArray *queries, const char *name);
/* The query's own values for its parameters. */
void query_bind_defaults(const struct named_query *query, struct cursor *cursor);

/* A case for reading. What this version knows and the case hasn't is empty; `absent` (may be NULL) takes the names of
 * tables that are (char *). */
struct store *case_open(const char *path, GPtrArray *absent, GError **error);
#endif
