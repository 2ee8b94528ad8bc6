/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

char *text_from_utf16(const void *utf16, size_t bytes, gboolean stop_at_nul)
{
	const uint8_t *p = utf16;
	size_t n = bytes / 2;
	GString *s = g_string_sized_new(n + 1);

	for (size_t i = 0; i < n; i++) {
		gunichar c = p[2 * i] | (gunichar)p[2 * i + 1] << 8;
		if (c == 0) {
			if (stop_at_nul)
				break;
			c = 0xfffd;	/* TEXT in SQLite ends at a NUL for most readers */
		} else if (c >= 0xd800 && c < 0xdc00 && i + 1 < n) {
			gunichar d = p[2 * i + 2] | (gunichar)p[2 * i + 3] << 8;
			if (d >= 0xdc00 && d < 0xe000) {
				c = 0x10000 + ((c - 0xd800) << 10) + (d - 0xdc00);
				i++;
			} else {
				c = 0xfffd;
			}
		} else if (c >= 0xd800 && c < 0xe000) {
			c = 0xfffd;
		}
		g_string_append_unichar(s, c);
	}
	return g_string_free(s, FALSE);
}

char *text_from_bytes(const void *bytes, size_t length)
{
	return length ? g_utf8_make_valid(bytes, (gssize)strnlen(bytes, length)) : g_strdup("");
}

char *text_from_filetime(uint64_t filetime)
{
	const uint64_t second = 10000000, epoch = UINT64_C(11644473600);

	/* 9999-12-31T23:59:59 in seconds since 1601 */
	if (!filetime || filetime / second >= UINT64_C(265046774400))
		return NULL;
	g_autoptr(GDateTime) t = g_date_time_new_from_unix_utc((gint64)(filetime / second) - (gint64)epoch);
	if (!t)
		return NULL;
	return g_strdup_printf("%04d-%02d-%02dT%02d:%02d:%02d.%07uZ", g_date_time_get_year(t), g_date_time_get_month(t),
			       g_date_time_get_day_of_month(t), g_date_time_get_hour(t), g_date_time_get_minute(t),
			       g_date_time_get_second(t), (unsigned)(filetime % second));
}

/* What a terminal obeys, or what shows nothing and so makes two names look alike. */
static bool unseen(gunichar c)
{
	static const gunichar blank[] = { 0x34f, 0x115f, 0x1160, 0x17b4, 0x17b5, 0x2800, 0x3164, 0xffa0 };	/* letters and signs by their type */

	switch (g_unichar_type(c)) {
	case G_UNICODE_CONTROL: case G_UNICODE_FORMAT: case G_UNICODE_LINE_SEPARATOR: case G_UNICODE_PARAGRAPH_SEPARATOR:
		return true;
	default:
		for (size_t i = 0; i < G_N_ELEMENTS(blank); i++)
			if (c == blank[i])
				return true;
		return false;
	}
}

static char *escape(const char *text, bool lines)
{
	GString *s = g_string_new(NULL);

	for (const char *p = text; *p; ) {
		gunichar c = g_utf8_get_char_validated(p, -1);
		if (c >= 0x110000) {	/* no UTF-8: only this byte is known to be there */
			g_string_append_printf(s, "\\x%02x", (unsigned char)*p++);
			continue;
		}
		p = g_utf8_next_char(p);
		if ((lines && (c == '\n' || c == '\t')) || !unseen(c))
			g_string_append_unichar(s, c);
		else
			g_string_append_printf(s, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
	}
	return g_string_free(s, FALSE);
}

char *text_escape(const char *text)
{
	return escape(text, false);
}

char *text_escape_lines(const char *text)
{
	return escape(text, true);
}

void text_append_json(GString *json, gunichar c)
{
	if (!unseen(c))
		g_string_append_unichar(json, c);
	else if (c < 0x10000)
		g_string_append_printf(json, "\\u%04x", c);
	else
		g_string_append_printf(json, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
}

char *text_from_json(const json_t *json, size_t flags)
{
	char *serialised = json_dumps(json, flags);

	if (!serialised)
		return NULL;
	GString *s = g_string_new(NULL);
	for (const char *p = serialised; *p; p = g_utf8_next_char(p))
		if (*p == '\n')	/* between values: within strings it is escaped already */
			g_string_append_c(s, *p);
		else
			text_append_json(s, g_utf8_get_char(p));
	free(serialised);
	return g_string_free(s, FALSE);
}
