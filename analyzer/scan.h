/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YARA: the only place that knows libyara. Rules are compiled once and scanned by many threads.
 *
 * What is scanned is a region: memory of one address space in ascending order, with gaps
 * where nothing is. A condition looks at the whole region (or, of a large one, at each part), so that strings
 * on both sides of a page that is paged out count together; a string never reaches over a gap. Offsets
 * in rules (`at 0`, `uint16(0)`) count from the region's start, as in a file.
 */
#ifndef MEMSIEVE_SCAN_H
#define MEMSIEVE_SCAN_H
#include "options.h"
#include "space.h"
#include "limit.h"

/* The limits. Where one bites, the scan says FAULT_LIMIT. */
#define SCAN_DATA_MAX ((unsigned)FIXED_yara_match_data)		/* bytes of a match that are kept */
#define SCAN_PART ((unsigned)FIXED_yara_part)		/* bytes held at once: a region with more is scanned in parts … */
#define SCAN_PART_RUNS ((unsigned)FIXED_yara_part_runs)		/* … and so is one in more pieces */
#define SCAN_OVERLAP (64u << 10)	/* bytes that parts have in common, where memory goes on */
#define SCAN_STRING_MATCHES limit32(yara_string_matches)	/* matches of one string told in one part */
#define SCAN_PART_MATCHES limit32(yara_part_matches)		/* matches told in one part */
#define SCAN_TIMEOUT ((int)MIN(limit(yara_part_seconds), 1u << 20))			/* seconds for one part */

struct scan_rules;	/* compiled; shared by threads */
struct scanner;		/* one thread's */

struct scan_match {
	const char *rule, *ns, *tags, *meta;	/* tags and meta: JSON */
	const char *identifier;			/* of the string, "" for a rule that matched without one */
	uint64_t address;
	uint64_t length;
	const uint8_t *data;			/* at most SCAN_DATA_MAX bytes */
	size_t data_length;
};
typedef void (*scan_match_fn)(void *user, const struct scan_match *match);

/*
 * The built-in rules, --rules and --yara. A file is a namespace: its name without folder and
 * extension (numbered from the second of a name on). One that doesn't compile is left out and
 * said in problems (char *), with its line. NULL and *error only when libyara can't work at all.
 */
struct scan_rules *scan_rules_create(const struct options *options, GPtrArray *problems, GError **error);
void scan_rules_destroy(struct scan_rules *rules);
DEFINE_AUTO(scan_rules, scan_rules_destroy)
unsigned scan_rules_count(const struct scan_rules *rules);

/* NULL when memory is short. */
struct scanner *scanner_create(const struct scan_rules *rules);
void scanner_destroy(struct scanner *scanner);
DEFINE_AUTO(scanner, scanner_destroy)

/* A region begins at `base`; its matches are told to `each` while memory is added and at the end. */
void scanner_begin(struct scanner *scanner, uint64_t base, scan_match_fn each, void *user);
/* Memory at `address`, at or above all that was added: copied. What is all zero is skipped where nothing adjoins it. */
void scanner_add(struct scanner *scanner, uint64_t address, const void *data, size_t length);
/* FAULT_TIMEOUT: the matches of a part were lost. FAULT_LIMIT: some matches were not told. */
enum fault scanner_end(struct scanner *scanner);
/* Of the region that ended, if it was scanned in parts: a rule that matched in none of them, though some of its strings were found behind
 * the first. In the whole of it it may match. NULL: there is none. */
const char *scanner_undecided(const struct scanner *scanner);
/* All three for `length` bytes that lie contiguously at `address`. */
enum fault scanner_scan(struct scanner *scanner, uint64_t address, const void *data, size_t length,
			scan_match_fn each, void *user);

const char *scan_library_version(void);
#endif
