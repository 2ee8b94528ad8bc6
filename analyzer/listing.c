/* SPDX-License-Identifier: Apache-2.0 */
#include "listing.h"
#include <math.h>
#include <string.h>
#include "text.h"

/* Widths of a table's columns come from so many rows; those after are printed as they come. */
#define SAMPLE_ROWS 2000
/* On a terminal no cell is wider than this. */
#define MAX_CELL 100
/* Nor is a wider column made narrower than this to fit. */
#define MIN_CELL 40u

bool listing_from_name(const char *name, enum listing *out)
{
	static const char *const names[] = { "table", "csv", "json", "jsonl" };

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(name, names[i])) {
			*out = (enum listing)i;
			return true;
		}
	return false;
}

static void append_hex(GString *s, const struct cursor *cursor, int column)
{
	size_t length = 0;
	const uint8_t *data = cursor_blob(cursor, column, &length);

	for (size_t i = 0; i < length; i++)
		g_string_append_printf(s, "%02x", data[i]);
}

static void append_real(GString *s, double value)
{
	char buffer[G_ASCII_DTOSTR_BUF_SIZE];

	/* the shortest that reads back as the same value: 5.44, not 5.4400000000000004 */
	if (g_ascii_strtod(g_ascii_formatd(buffer, sizeof(buffer), "%.15g", value), NULL) != value)
		g_ascii_dtostr(buffer, sizeof(buffer), value);
	g_string_append(s, buffer);
}

/* ---- CSV (RFC 4180) */

static void csv_append_text(GString *line, const char *raw)
{
	/* Where Japanese is written, spreadsheets take the wide forms for the same. */
	static const char *const wide[] = { "＝", "＋", "－", "＠" };
	g_autofree char *text = text_escape_lines(raw);
	bool formula = *text && strchr("=+-@\t\n", *text);

	for (size_t i = 0; i < G_N_ELEMENTS(wide); i++)
		formula = formula || g_str_has_prefix(text, wide[i]);
	if (!formula && !strpbrk(text, ",\"\n")) {
		g_string_append(line, text);
		return;
	}
	g_string_append_c(line, '"');
	if (formula)
		g_string_append_c(line, '\'');
	for (const char *p = text; *p; p++) {
		if (*p == '"')
			g_string_append_c(line, '"');
		g_string_append_c(line, *p);
	}
	g_string_append_c(line, '"');
}

void csv_append_cell(GString *line, const struct cursor *cursor, int column)
{
	enum cursor_type type = cursor_type(cursor, column);

	if (type == CURSOR_INT)
		g_string_append_printf(line, "%" G_GINT64_FORMAT, cursor_int(cursor, column));
	else if (type == CURSOR_REAL)
		append_real(line, cursor_real(cursor, column));
	else if (type == CURSOR_BLOB)
		append_hex(line, cursor, column);
	else if (type == CURSOR_TEXT)
		csv_append_text(line, cursor_text(cursor, column));
}

static bool print_csv(FILE *to, struct cursor *cursor, int64_t *rows, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	g_autoptr(GError) failed = NULL;
	int n = cursor_columns(cursor);

	for (int i = 0; i < n; i++) {
		g_string_append(line, i ? "," : "");
		csv_append_text(line, cursor_name(cursor, i));
	}
	fprintf(to, "%s\r\n", line->str);
	for (; cursor_next(cursor, &failed); ++*rows) {
		g_string_truncate(line, 0);
		for (int i = 0; i < n; i++) {
			if (i)
				g_string_append_c(line, ',');
			csv_append_cell(line, cursor, i);
		}
		g_string_append(line, "\r\n");
		fputs(line->str, to);
	}
	return error_pass(error, &failed);
}

/* ---- JSON */

void json_append_string(GString *s, const char *text)
{
	g_string_append_c(s, '"');
	for (const char *p = text; *p; ) {
		gunichar c = g_utf8_get_char_validated(p, -1);
		bool valid = c < 0x110000;
		if (c == '"' || c == '\\')
			g_string_append_c(s, '\\');
		text_append_json(s, valid ? c : 0xfffd);
		p = valid ? g_utf8_next_char(p) : p + 1;
	}
	g_string_append_c(s, '"');
}

void json_append_cell(GString *s, const struct cursor *cursor, int column)
{
	switch (cursor_type(cursor, column)) {
	case CURSOR_INT:
		g_string_append_printf(s, "%" G_GINT64_FORMAT, cursor_int(cursor, column));
		break;
	case CURSOR_REAL:
		if (isfinite(cursor_real(cursor, column)))
			append_real(s, cursor_real(cursor, column));
		else
			g_string_append(s, "null");
		break;
	case CURSOR_TEXT: {
		g_autofree char *valid = g_utf8_make_valid(cursor_text(cursor, column), -1);
		json_append_string(s, valid);
		break;
	}
	case CURSOR_BLOB:
		g_string_append_c(s, '"');
		append_hex(s, cursor, column);
		g_string_append_c(s, '"');
		break;
	default:
		g_string_append(s, "null");
	}
}

static bool print_json(FILE *to, struct cursor *cursor, bool lines, int64_t *rows, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	g_autoptr(GError) failed = NULL;
	int n = cursor_columns(cursor);

	for (; cursor_next(cursor, &failed); ++*rows) {
		g_string_assign(line, lines ? "{" : *rows ? ",\n {" : "[\n {");
		for (int i = 0; i < n; i++) {
			if (i)
				g_string_append(line, ", ");
			json_append_string(line, cursor_name(cursor, i));
			g_string_append(line, ": ");
			json_append_cell(line, cursor, i);
		}
		g_string_append(line, lines ? "}\n" : "}");
		fputs(line->str, to);
	}
	if (!lines)
		fputs(*rows ? "\n]\n" : "[]\n", to);
	return error_pass(error, &failed);
}

/* ---- a table to look at */

char *terminal_text(const char *text)
{
	char *escaped = text_escape(text);
	size_t backslashes = 0;

	for (const char *p = text; *p; p++)
		backslashes += *p == '\\';
	if (strlen(escaped) != strlen(text) + backslashes)
		return escaped;
	g_free(escaped);
	return g_strdup(text);
}

static unsigned width_of(const char *text)
{
	unsigned width = 0;

	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
	}
	return width;
}

/* Cut to a width, with … for what is gone; takes and gives ownership. */
static char *shorten(char *text, unsigned width)
{
	unsigned used = 0;
	char *p = text;

	if (width_of(text) <= width)
		return text;
	for (; *p; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);
		used += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
		if (used >= width)
			break;
	}
	char *cut = g_strdup_printf("%.*s…", (int)(p - text), text);
	g_free(text);
	return cut;
}

static char *cell_text(const struct cursor *cursor, int column)
{
	g_autoptr(GString) s = g_string_new(NULL);
	enum cursor_type type = cursor_type(cursor, column);

	if (type == CURSOR_INT)
		g_string_append_printf(s, "%" G_GINT64_FORMAT, cursor_int(cursor, column));
	else if (type == CURSOR_REAL)
		append_real(s, cursor_real(cursor, column));
	else if (type == CURSOR_BLOB)
		append_hex(s, cursor, column);
	return type == CURSOR_TEXT ? terminal_text(cursor_text(cursor, column)) : g_strdup(s->str);
}

/* Narrow the widest columns of text until the row fits; false, and nothing changed, when it can't without becoming illegible. */
static bool fit(unsigned *widths, const bool *right, int n, unsigned width)
{
	unsigned all = 2 * (unsigned)(n - 1), least = all;

	for (int i = 0; i < n; i++) {
		all += widths[i];
		least += right[i] ? widths[i] : MIN(widths[i], MIN_CELL);
	}
	while (least <= width && all > width) {
		int widest = -1;
		for (int i = 0; i < n; i++)
			if (!right[i] && widths[i] > MIN_CELL && (widest < 0 || widths[i] > widths[widest]))
				widest = i;
		if (widest < 0)
			break;
		widths[widest]--;
		all--;
	}
	return all <= width;
}

/* `cut`: what is wider than its column ends in …; else it pushes the rest aside. */
static void print_row(FILE *to, char **cells, const unsigned *widths, const bool *right, int n, bool cut)
{
	for (int i = 0; i < n; i++) {
		cells[i] = cut ? shorten(cells[i], widths[i]) : cells[i];
		unsigned width = width_of(cells[i]), pad = widths[i] > width ? widths[i] - width : 0;
		bool last = i == n - 1;
		fprintf(to, "%*s%s%*s", right[i] ? (int)pad : 0, "", cells[i], right[i] || last ? 0 : (int)pad, "");
		fputs(last ? "\n" : "  ", to);
	}
}

static char **take_row(const struct cursor *cursor, int n)
{
	char **cells = g_new0(char *, n + 1);

	for (int i = 0; i < n; i++)
		cells[i] = cell_text(cursor, i);
	return cells;
}

/* Columns that had no room: the last, which queries give to what matters least. */
static void tell_left_out(FILE *to, const struct cursor *cursor, int shown)
{
	for (int i = shown; i < cursor_columns(cursor); i++) {
		g_autofree char *name = terminal_text(cursor_name(cursor, i));
		fprintf(to, "%s%s", i == shown ? "(no room here for " : ", ", name);
	}
	if (shown < cursor_columns(cursor))
		fputs("; --format=jsonl and csv have all)\n", to);
}

static bool print_table(FILE *to, struct cursor *cursor, unsigned width, int64_t *rows, GError **error)
{
	int n = cursor_columns(cursor);
	g_autofree unsigned *widths = g_new0(unsigned, n);
	g_autofree bool *right = g_new(bool, n);
	g_autoptr(GPtrArray) sample = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_autoptr(GError) failed = NULL;
	bool more = false;

	char **head = g_new0(char *, n + 1);
	for (int i = 0; i < n; i++) {
		head[i] = terminal_text(cursor_name(cursor, i));
		widths[i] = width_of(head[i]);
		right[i] = true;
	}
	while (sample->len < SAMPLE_ROWS && (more = cursor_next(cursor, &failed))) {
		char **cells = take_row(cursor, n);
		for (int i = 0; i < n; i++) {
			enum cursor_type type = cursor_type(cursor, i);
			right[i] &= type == CURSOR_INT || type == CURSOR_REAL || type == CURSOR_NULL;
			widths[i] = MAX(widths[i], width ? MIN(width_of(cells[i]), MAX_CELL) : width_of(cells[i]));
		}
		g_ptr_array_add(sample, cells);
	}
	while (width && !fit(widths, right, n, width) && n > 1)
		n--;
	print_row(to, head, widths, right, n, width != 0);
	for (int i = 0; i < n; i++) {
		for (unsigned c = 0; c < widths[i]; c++)
			fputs("─", to);
		fputs(i == n - 1 ? "\n" : "  ", to);
	}
	g_strfreev(head);
	for (guint i = 0; i < sample->len; i++, ++*rows)
		print_row(to, g_ptr_array_index(sample, i), widths, right, n, width != 0);
	for (; more && cursor_next(cursor, &failed); ++*rows) {
		g_auto(GStrv) cells = take_row(cursor, n);
		print_row(to, cells, widths, right, n, width != 0);
	}
	tell_left_out(to, cursor, n);
	return error_pass(error, &failed);
}

bool listing_print(FILE *to, struct cursor *cursor, enum listing listing, unsigned width, int64_t *rows, GError **error)
{
	GError *failed = NULL;
	bool ok;

	*rows = 0;
	if (listing == LISTING_CSV)
		ok = print_csv(to, cursor, rows, &failed);
	else if (listing == LISTING_TABLE)
		ok = print_table(to, cursor, width, rows, &failed);
	else
		ok = print_json(to, cursor, listing == LISTING_JSONL, rows, &failed);
	if (!ok)
		g_propagate_error(error, failed);
	return ok;
}
