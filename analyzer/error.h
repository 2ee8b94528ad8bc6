/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two kinds of trouble, two types.
 *
 * GError      the analysis cannot go on: no memory, case file not writable,
 *             input is no dump. Carries context; callers prefix theirs.
 * enum fault  one value could not be had from the dump. Normal: the column stays
 *             NULL and `diagnostics` says why.
 */
#ifndef MEMSIEVE_ERROR_H
#define MEMSIEVE_ERROR_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* AUTO(image) image = image_open(…): closed when it goes out of scope. */
#define DEFINE_AUTO(type, destroy) \
	static inline void auto_##type(struct type **p) { if (*p) destroy(*p); }
#define AUTO(type) __attribute__((cleanup(auto_##type))) struct type *

#define MEMSIEVE_ERROR (memsieve_error_quark())
GQuark memsieve_error_quark(void);

enum memsieve_error {
	MEMSIEVE_ERROR_USAGE,		/* the command line */
	MEMSIEVE_ERROR_IO,		/* the operating system said no */
	MEMSIEVE_ERROR_FORMAT,		/* the input is not what it claims, or nothing we know */
	MEMSIEVE_ERROR_STORE,		/* the case file */
	MEMSIEVE_ERROR_DUPLICATE,	/* this dump is in the case already */
	MEMSIEVE_ERROR_SYMBOLS,		/* a symbol or layout file */
	MEMSIEVE_ERROR_PLUGIN,		/* a plugin's declaration or its failure */
	MEMSIEVE_ERROR_CANCELLED,	/* the user interrupted */
	MEMSIEVE_ERROR_LIMIT,		/* a query took more memory than it may, or a file is larger … */
	MEMSIEVE_ERROR_TIMEOUT,		/* … or more time */
};

/* *from, if there is one, is the caller's from now on: false then. What ends a loop over rows, say. */
static inline bool error_pass(GError **error, GError **from)
{
	if (!*from)
		return true;
	g_propagate_error(error, *from);
	*from = NULL;
	return false;
}

enum fault {
	FAULT_NONE,
	FAULT_UNMAPPED,		/* no page-table entry */
	FAULT_PAGED_OUT,	/* the page is in a page file, or still only in its file */
	FAULT_NOT_IN_DUMP,	/* the physical page was not acquired */
	FAULT_NO_FIELD,		/* this Windows build has no such field, or we don't know it */
	FAULT_IMPLAUSIBLE,	/* read, but cannot be what it should be */
	FAULT_LIMIT,		/* one of our own limits bit */
	FAULT_TIMEOUT,		/* it took too long */
	FAULTS,			/* how many there are */
};

/* The word used in diagnostics.fault, e.g. "paged_out". */
const char *fault_name(enum fault fault);

/* Closes what was written, or only flushes standard output. False, with errno set: some of it could not be written, now or before. */
bool stream_end(FILE *to);

/*
 * A file that is there whole or not at all: until whole_end() it is PATH.part, and what was there before stays. A pipe or a device is
 * written to as it is. NULL and false, with errno set: it can't be written.
 */
FILE *whole_begin(const char *path);
/* Not `ok`: it goes. */
bool whole_end(FILE *to, const char *path, bool ok);
/* The path for both: what a link leads to is replaced, not the link. The caller frees. */
char *whole_path(const char *path);
#endif
