/* SPDX-License-Identifier: Apache-2.0 */
/* Text and times as a dump has them: UTF-16, bytes, FILETIMEs; and what is shown of them obeys no terminal and no spreadsheet. */
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing that a terminal acts on, nothing that turns text round. */
static void check_shown(const char *text, gboolean lines)
{
	if (!g_utf8_validate(text, -1, NULL))
		g_error("shown text is not UTF-8");
	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		if (lines && (c == '\n' || c == '\t'))
			continue;
		if (g_unichar_iscntrl(c) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f)
			g_error("U+%04X is shown as it is", c);
	}
}

static void check(char *text)
{
	if (!g_utf8_validate(text, -1, NULL))
		g_error("text that is not UTF-8");
	g_autofree char *one = text_escape(text), *many = text_escape_lines(text);
	check_shown(one, FALSE);
	check_shown(many, TRUE);
	g_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of its own, so that a read past the end is seen. */
	g_autofree uint8_t *copy = g_memdup2(data, size);
	uint64_t time = 0;

	check(text_from_utf16(copy, size, FALSE));
	check(text_from_utf16(copy, size, TRUE));
	check(text_from_bytes(copy, size));
	g_autofree char *raw = g_strndup((const char *)data, size), *shown = text_escape(raw);
	check_shown(shown, FALSE);
	memcpy(&time, data, MIN(size, sizeof(time)));
	g_autofree char *when = text_from_filetime(time);
	if (when && (strlen(when) != 28 || when[27] != 'Z'))
		g_error("%s is no time", when);
	return 0;
}
