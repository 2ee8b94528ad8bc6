/* SPDX-License-Identifier: Apache-2.0 */
/* YARA: the only place that knows libyara. Rules are compiled once and scanned by many threads. */
#ifndef MEMSIEVE_SCAN_H
#define MEMSIEVE_SCAN_H
#include "options.h"
#include "space.h"

struct scan_rules;	/* compiled; shared by threads */
struct scanner;		/* one thread's */

struct scan_match {
	const char *rule, *ns, *tags, *meta;	/* tags and meta: JSON */
	const char *identifier;			/* of the string, "" for a rule that matched without one */
	uint64_t address;
	uint64_t length;
	const uint8_t *data;			/* at most 256 bytes */
	size_t data_length;
};
typedef void (*scan_match_fn)(void *user, const struct scan_match *match);

/* The built-in rules, --rules and --yara. A file that doesn't compile is left out and said in problems. */
struct scan_rules *scan_rules_create(const struct options *options, GPtrArray *problems, GError **error);
void scan_rules_destroy(struct scan_rules *rules);
struct scanner *scanner_create(const struct scan_rules *rules);
void scanner_destroy(struct scanner *scanner);
/*
 * Scan `length` bytes that lie contiguously at `address`. FAULT_TIMEOUT or FAULT_LIMIT
 * when it ended early; matches up to then were given.
 */
enum fault scanner_scan(struct scanner *scanner, uint64_t address, const void *data, size_t length, scan_match_fn each, void *user);
const char *scan_library_version(void);
#endif
