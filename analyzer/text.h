/* SPDX-License-Identifier: Apache-2.0 */
/* Text and times of a dump as the database wants them: valid UTF-8, ISO 8601. */
#ifndef MEMSIEVE_TEXT_H
#define MEMSIEVE_TEXT_H
#include <glib.h>
#include <stdint.h>

/* UTF-16LE of `bytes` bytes (an odd last one is dropped), up to the first NUL when
 * stop_at_nul. Unpaired surrogates become U+FFFD. The caller frees. */
char *text_from_utf16(const void *utf16, size_t bytes, gboolean stop_at_nul);
/* Bytes up to the first NUL; what is no UTF-8 becomes U+FFFD. The caller frees. */
char *text_from_bytes(const void *bytes, size_t length);
/* FILETIME (100 ns since 1601, UTC) as 2024-03-01T09:15:27.1234567Z; NULL for zero and
 * for what lies past year 9999. The caller frees. */
char *text_from_filetime(uint64_t filetime);
/* For showing on a terminal: control characters, invisible ones and bidirectional overrides escaped. The caller frees. */
char *text_escape(const char *text);
/* The same for text of several lines: line ends and tabs stay. */
char *text_escape_lines(const char *text);
/* Of a JSON string, the same characters as \uXXXX, which loses nothing. */
void text_append_json(GString *json, gunichar c);
/* The same for JSON, serialised by jansson's flags; NULL: it can't be. The caller's. */
struct json_t;
char *text_from_json(const struct json_t *json, size_t flags);
#endif
