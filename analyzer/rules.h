/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL rules: a finding is one SELECT with a header of metadata.
 *
 *	-- rule: executable_private_memory
 *	-- severity: high
 *	-- confidence: 80
 *	-- attack: T1055
 *	-- title: {name} ({pid}) executes private memory at {address}
 *	SELECT process_id, start_address AS address, … AS length, json_object(…) AS detail … ;
 *
 * The SELECT is given :dump_id. Columns it may return: process_id, address, length,
 * detail (JSON); severity, confidence, attack and rule to override the header's. {x} in
 * the title is the column x; {address} is shown in hex.
 */
#ifndef MEMSIEVE_RULES_H
#define MEMSIEVE_RULES_H
#include <gio/gio.h>
#include "options.h"
#include "rows.h"
#include "store.h"

struct sql_rule {
	char *name, *severity, *attack, *title, *sql, *file;
	int confidence;
};

/* The built-in rules, then those of --rules folders (a rule of the same name replaces). */
GPtrArray *rules_load(const struct options *options, GPtrArray *problems);
/* Findings of one rule into rows; false and *error when it can't be run. */
bool rules_run(const struct sql_rule *rule, struct store *store, int64_t dump_id, struct layout *layout, struct rows *rows,
	       GError **error);
/* Each rule file in use, the built-in ones and the user's, by extension (".sql", ".yar"): name and text. */
typedef void (*rule_file_fn)(void *user, const char *name, const char *text, gsize length);
void rule_files_each(const struct options *options, const char *extension, rule_file_fn each, void *user, GPtrArray *problems);
/* SHA-256 over every rule used. */
char *rules_sha256(const struct options *options);
#endif
