/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sample's description: lines of text, each a keyword and attributes (README.md
 * beside this file is the reference). Items keep the line they came from, so that
 * whoever reads an attribute can say where it is wrong; attributes that nobody
 * asked for are mistakes too, and description_check() says so.
 */
#ifndef MEMSIEVE_SAMPLES_DESCRIPTION_H
#define MEMSIEVE_SAMPLES_DESCRIPTION_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct attribute {
	char *key;
	char *value;		/* NULL: a flag */
	bool used;
};

struct item {
	const char *file;
	unsigned line;
	char *kind;
	GArray *attributes;	/* struct attribute */
	GPtrArray *children;	/* struct item *: what belongs to a process */
};

struct description {
	char *name;
	GPtrArray *items;	/* struct item * */
};

struct description *description_parse(const char *text, const char *name, GError **error);
void description_destroy(struct description *description);
/* The first item of a kind, or NULL. */
struct item *description_item(const struct description *description, const char *kind);
/* The next one at or after *i, which moves past it; NULL: there is none. */
struct item *description_next(const struct description *description, guint *i, const char *kind);
/* Ends the program when an attribute was never read, naming it. */
void description_check(const struct description *description);

/* Reading attributes; ends the program with FILE:LINE when the value is none. Item may be NULL. */
bool item_is(const struct item *item, const char *kind);
bool item_flag(struct item *item, const char *key);
bool item_has(const struct item *item, const char *key);
const char *item_text(struct item *item, const char *key, const char *otherwise);
/* Decimal or 0x…, with K, M or G behind it. */
uint64_t item_number(struct item *item, const char *key, uint64_t otherwise);
/* 2024-03-01T09:15:27[.1234567]Z, as a FILETIME. */
uint64_t item_time(struct item *item, const char *key, uint64_t otherwise);
const char *item_required(struct item *item, const char *key);
void item_fail(const struct item *item, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
#endif
