/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A case as one HTML file that needs nothing else: no network, no server, no other file.
 *
 * The page is report/report.html with its style and scripts; what it shows comes from the queries in report/case
 * (once) and report/dump (for each dump). Each dump's rows are a compressed block of their own, which the page unpacks when
 * it is looked at, so that a case of hundreds opens at once. The page makes all text with DOM functions, never as markup.
 */
#ifndef MEMSIEVE_REPORT_H
#define MEMSIEVE_REPORT_H
#include "store.h"

struct report_options {
	int64_t dump_id;	/* 0: all */
	const char *case_path;
	GPtrArray *absent;	/* char *: tables the case lacks */
};

struct report_result { int64_t dumps, findings, bytes; unsigned cut; /* tables that took too much, and are not whole */ };

bool report_write(struct store *store, const struct report_options *options, const char *path, struct report_result *result, GError **error);

/* report_code.c: bytes as instructions, a JSON array of [address, bytes in hex, text]; "null" when they are none. */
void report_disassemble(GString *json, const char *machine, uint64_t address, const uint8_t *bytes, size_t length);
#endif
