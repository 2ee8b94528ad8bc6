/* SPDX-License-Identifier: Apache-2.0 */
/* A case in the formats that other tools take. */
#ifndef MEMSIEVE_EXPORT_H
#define MEMSIEVE_EXPORT_H
#include <jansson.h>
#include <stdio.h>
#include "store.h"

struct export {
	struct store *store;
	int64_t dump_id;	/* 0: all */
	const char *folder;	/* csv: where its files go */
	FILE *to;		/* the others: the file */
	int64_t records;	/* written so far */
	GHashTable *told;	/* of export_finding_key */
};

struct export_format {
	const char *name, *doc;
	bool (*write)(struct export *x, GError **error);
};

/* NULL-terminated. */
extern const struct export_format *const export_formats[];
const struct export_format *export_find(const char *name);

/* ---- for the formats */

extern const struct export_format export_timesketch, export_bodyfile, export_ecs, export_stix, export_misp, export_csv;

/* Open a query and bind :dump_id. */
struct cursor *export_query(const struct export *x, const char *sql, GError **error);
/* A column by its name: NULL or -1 when it is NULL or not there. */
const char *export_text(const struct cursor *cursor, const char *name);
int64_t export_int(const struct cursor *cursor, const char *name);
/*
 * What a process and a finding are called, in every case that has the dump. Of findings that are the same by all that tells them
 * apart the later ones have a number, in their order: to be asked for once each.
 */
char *export_process_key(const struct cursor *cursor);
char *export_finding_key(struct export *x, const struct cursor *cursor);
/* A finding of medium or above. */
bool export_severe(const struct cursor *cursor);
/*
 * The file that a process was made from. The kernel names it by its device (\Device\HarddiskVolume3\Windows), the process itself by
 * its drive, as users do: that is taken where the rest is the same, as the process can say what it likes. NULL: the kernel's isn't known.
 */
const char *export_program(const struct cursor *cursor);
/* What follows the device in such a path (\Windows); the path where there is none. */
const char *export_behind_volume(const char *path);
/* Members; what is NULL or empty is left out. Text is made valid UTF-8. */
void export_put(json_t *object, const char *name, const char *text);
void export_put_int(json_t *object, const char *name, const struct cursor *cursor, const char *column);
/* The object if it has members, else it is dropped. */
void export_put_object(json_t *object, const char *name, json_t *member);
json_t *export_string(const char *text);
/* One compact JSON object; frees it. */
void export_write(struct export *x, json_t *object, const char *after);
/* The UUID of version 5 of a name, in the caller's 37 bytes. */
void export_uuid(const char *name_space, const char *name, char out[37]);
/* A namespace of our own for export_uuid. */
#define EXPORT_NAMESPACE "5a7c0c8e-2f1b-5d0e-9a43-6d656d736965"

/* All findings with their process and dump; the columns that formats use. */
extern const char export_findings_sql[], export_processes_sql[];
/* The dumps that are exported, each by what it is called everywhere. */
extern const char export_dumps_sql[];
#endif
