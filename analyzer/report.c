/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"
#include <errno.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#include "attack.h"
#include "limit.h"
#include "listing.h"

/* Made by glib-compile-resources from report/. */
GResource *memsieve_report_get_resource(void);
void memsieve_report_register_resource(void);

/* JavaScript's numbers are exact up to here; beyond, integers go as text. */
#define MAX_EXACT (G_GINT64_CONSTANT(1) << 53)

/* Of the time and of the room that are left a query may take a quarter: hostile ones leave some for the rest. */
#define SHARE 4

struct report {
	struct store *store;
	const struct report_options *options;
	FILE *to;
	bool all;		/* every process with its memory */
	gsize room;		/* bytes that the block at hand may still have */
	struct report_result *result;
};

/* ---- what is compiled in */

static GBytes *resource(const char *path, GError **error)
{
	static gsize registered;

	if (g_once_init_enter(&registered)) {
		memsieve_report_register_resource();
		g_once_init_leave(&registered, 1);
	}
	g_autofree char *full = g_strconcat("/memsieve/report/", path, NULL);
	return g_resource_lookup_data(memsieve_report_get_resource(), full, 0, error);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char **names_in(const char *folder)
{
	g_autofree char *path = g_strconcat("/memsieve/report/", folder, NULL);
	char **names = g_resource_enumerate_children(memsieve_report_get_resource(), path, 0, NULL);

	if (names)
		qsort(names, g_strv_length(names), sizeof(*names), compare_strings);
	return names;
}

/* All files of a folder, one after the other. */
static char *texts_in(const char *folder, GError **error)
{
	g_auto(GStrv) names = names_in(folder);
	GString *all = g_string_new(NULL);

	for (char **name = names; name && *name; name++) {
		g_autofree char *path = g_strdup_printf("%s/%s", folder, *name);
		g_autoptr(GBytes) bytes = resource(path, error);
		gsize n = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &n) : NULL;
		if (!bytes) {
			g_string_free(all, TRUE);
			return NULL;
		}
		g_string_append_len(all, text, (gssize)n);
	}
	return g_string_free(all, FALSE);
}

/* ---- rows as JSON */

static char *header(const char *sql, const char *key)
{
	g_autofree char *start = g_strdup_printf("-- %s:", key);
	const char *at = strstr(sql, start);

	if (!at)
		return NULL;
	at += strlen(start);
	return g_strstrip(g_strndup(at, strcspn(at, "\n")));
}

static int column_named(const struct cursor *cursor, const char *name)
{
	for (int i = 0; i < cursor_columns(cursor); i++)
		if (!strcmp(cursor_name(cursor, i), name))
			return i;
	return -1;
}

static void append_cell(GString *json, const struct cursor *cursor, int column)
{
	if (cursor_type(cursor, column) == CURSOR_INT && (cursor_int(cursor, column) > MAX_EXACT || cursor_int(cursor, column) < -MAX_EXACT))
		g_string_append_printf(json, "\"%" G_GINT64_FORMAT "\"", cursor_int(cursor, column));
	else
		json_append_cell(json, cursor, column);
}

/* In place of the machine's name: the row's bytes as its instructions. */
static void append_code(GString *json, const struct cursor *cursor, int machine)
{
	int at = column_named(cursor, "at"), bytes = column_named(cursor, "bytes");
	const char *name = cursor_text(cursor, machine);
	size_t length = 0;
	const uint8_t *data = bytes >= 0 ? cursor_blob(cursor, bytes, &length) : NULL;

	if (name && data && at >= 0)
		report_disassemble(json, name, (uint64_t)cursor_int(cursor, at), data, length);
	else
		g_string_append(json, "null");
}

/* Of what is hostile one query may take too much: the report is made without its rows, and says so. */
static void append_cut(GString *json, const struct report *r, const char *name, const GError *why)
{
	g_autofree char *text = g_strdup_printf("%s: %s", name, why->message);

	g_printerr("memsieve: %s\n", text);
	g_string_append(json, ", \"cut\": ");
	json_append_string(json, why->message);
	r->result->cut++;
}

static bool is_limit(const GError *error)
{
	return g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_TIMEOUT) || g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT);
}

/* "NAME": {"columns": […], "rows": [[…] …], "more": rows left out, "cut": why there may be others} */
static bool append_query(GString *json, struct report *r, const char *name, const char *sql, int64_t dump_id, GError **error)
{
	AUTO(cursor) cursor = cursor_open(r->store, sql, error);
	g_autofree char *limit_text = header(sql, "limit");
	int64_t limit = limit_text ? g_ascii_strtoll(limit_text, NULL, 10) : INT64_MAX, rows = 0;
	bool full = false;
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	cursor_share(cursor, SHARE);
	if (dump_id)
		cursor_bind_int(cursor, "dump_id", dump_id);
	cursor_bind_int(cursor, "all", r->all);
	const gsize before = json->len, most = r->room / SHARE;
	int n = cursor_columns(cursor), machine = column_named(cursor, "disassemble");
	json_append_string(json, name);
	g_string_append(json, ": {\"columns\": [");
	for (int i = 0; i < n; i++) {
		g_string_append(json, i ? "," : "");
		json_append_string(json, cursor_name(cursor, i));
	}
	g_string_append(json, "], \"rows\": [");
	for (; cursor_next(cursor, &failed); rows++) {
		full |= rows < limit && json->len - before >= most;
		if (full)
			limit = MIN(limit, rows);
		if (rows >= limit)
			continue;
		g_string_append(json, rows ? ",\n[" : "[");
		for (int i = 0; i < n; i++) {
			if (i)
				g_string_append_c(json, ',');
			if (i == machine)
				append_code(json, cursor, machine);
			else
				append_cell(json, cursor, i);
		}
		g_string_append_c(json, ']');
	}
	g_string_append_printf(json, "], \"more\": %" G_GINT64_FORMAT, MAX(rows - limit, 0));
	if (failed && !is_limit(failed)) {
		g_propagate_error(error, g_steal_pointer(&failed));
		return false;
	}
	if (full && !failed)
		g_set_error(&failed, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT, "there was no room for more of its rows (report_bytes)");
	if (failed)
		append_cut(json, r, name, failed);
	g_string_append_c(json, '}');
	r->room -= MIN(r->room, json->len - before);
	if (!strcmp(name, "machines"))
		r->result->dumps = rows;
	else if (!strcmp(name, "findings"))
		r->result->findings = rows;
	return true;
}

/* All queries of a folder. */
static bool append_queries(GString *json, struct report *r, const char *folder, int64_t dump_id, GError **error)
{
	g_auto(GStrv) names = names_in(folder);
	bool first = true;

	r->room = limit(report_bytes);
	for (char **name = names; name && *name; name++) {
		g_autofree char *path = g_strdup_printf("%s/%s", folder, *name);
		g_autoptr(GBytes) bytes = resource(path, error);
		gsize n = 0;
		const char *data = bytes ? g_bytes_get_data(bytes, &n) : NULL;
		if (!bytes)
			return false;
		g_autofree char *sql = g_strndup(data, n), *needs = header(sql, "needs"), *key = g_strndup(*name, strcspn(*name, "."));
		if (needs && !store_has_table(r->store, needs))
			continue;
		g_string_append(json, first ? "" : ",\n");
		first = false;
		if (!append_query(json, r, key, sql, dump_id, error)) {
			g_prefix_error(error, "report/%s: ", path);
			return false;
		}
	}
	return true;
}

/* ---- the file */

/* Compressed, in base64: no byte of it is markup. */
static bool write_block(struct report *r, const char *id, const GString *json, GError **error)
{
	uLongf size = compressBound(json->len);
	g_autofree Bytef *packed = g_try_malloc(size);

	if (!packed || compress2(packed, &size, (const Bytef *)json->str, json->len, 6) != Z_OK) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "no memory to compress the report");
		return false;
	}
	g_autofree char *text = g_base64_encode(packed, size);
	fprintf(r->to, "<script type=\"text/plain\" id=\"%s\">%s</script>\n", id, text);
	return true;	/* whether all was written is asked at the end */
}

static char *csp_hash(const char *text)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize n = sizeof(digest);

	g_checksum_update(sum, (const guchar *)text, -1);
	g_checksum_get_digest(sum, digest, &n);
	g_autofree char *base64 = g_base64_encode(digest, n);
	return g_strdup_printf("'sha256-%s'", base64);
}

/* The names of the techniques that the case's findings speak of. */
static bool append_techniques(GString *json, struct report *r, GError **error)
{
	AUTO(cursor) cursor = cursor_open(r->store, "SELECT DISTINCT attack FROM findings WHERE attack IS NOT NULL ORDER BY 1", error);
	g_autoptr(GError) failed = NULL;
	const char *comma = "";

	if (!cursor)
		return false;
	cursor_share(cursor, SHARE);
	g_string_append(json, "\"techniques\": {");
	while (cursor_next(cursor, &failed)) {
		const char *name = attack_name(cursor_text(cursor, 0));
		if (!name)
			continue;
		g_string_append(json, comma);
		comma = ", ";
		json_append_string(json, cursor_text(cursor, 0));
		g_string_append(json, ": ");
		json_append_string(json, name);
	}
	g_string_append(json, "},\n");
	if (!failed || is_limit(failed))	/* the findings' own query says so */
		return true;
	g_propagate_error(error, g_steal_pointer(&failed));
	return false;
}

static bool write_case(struct report *r, GError **error)
{
	g_autoptr(GString) json = g_string_new("{\"case\": ");
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ"), *name = g_path_get_basename(r->options->case_path);
	g_autofree char *valid = g_utf8_make_valid(name, -1);
	const GPtrArray *absent = r->options->absent;

	json_append_string(json, valid);
	g_string_append(json, ", \"generated\": ");
	json_append_string(json, time);
	g_string_append(json, ", \"version\": ");
	json_append_string(json, PACKAGE_VERSION);
	g_string_append_printf(json, ", \"whole\": %s, \"absent\": [", r->all ? "true" : "false");
	for (guint i = 0; absent && i < absent->len; i++) {
		g_string_append(json, i ? "," : "");
		json_append_string(json, g_ptr_array_index(absent, i));
	}
	g_string_append(json, "],\n");
	if (!append_techniques(json, r, error) || !append_queries(json, r, "case", r->options->dump_id, error))
		return false;
	g_string_append(json, "}");
	return write_block(r, "case", json, error);
}

static bool write_dumps(struct report *r, GError **error)
{
	AUTO(cursor) cursor = cursor_open(r->store, "SELECT dump_id FROM dumps WHERE :dump_id IS NULL OR dump_id = :dump_id ORDER BY dump_id", error);
	g_autoptr(GString) json = g_string_new(NULL);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	if (r->options->dump_id)
		cursor_bind_int(cursor, "dump_id", r->options->dump_id);
	while (cursor_next(cursor, &failed)) {
		int64_t id = cursor_int(cursor, 0);
		g_autofree char *block = g_strdup_printf("dump-%" G_GINT64_FORMAT, id);
		g_string_assign(json, "{");
		if (!append_queries(json, r, "dump", id, error))
			return false;
		g_string_append_c(json, '}');
		if (!write_block(r, block, json, error))
			return false;
	}
	return error_pass(error, &failed);
}

static bool write_page(struct report *r, GError **error)
{
	g_autofree char *script = NULL, *style = NULL;
	g_autoptr(GBytes) page = resource("report.html", error);
	g_autoptr(GBytes) css = page ? resource("report.css", error) : NULL;
	gsize n = 0;

	if (!css || !(script = texts_in("js", error)))
		return false;
	const char *data = g_bytes_get_data(css, &n);
	style = g_strndup(data, n);
	data = g_bytes_get_data(page, &n);
	g_autofree char *html = g_strndup(data, n), *script_hash = csp_hash(script), *style_hash = csp_hash(style);
	/* Pieces of the page in turn: what stands between @…@ is filled in. */
	g_auto(GStrv) parts = g_strsplit(html, "@", -1);
	for (guint i = 0; parts[i]; i++) {
		if (!strcmp(parts[i], "SCRIPT"))
			fputs(script, r->to);
		else if (!strcmp(parts[i], "STYLE"))
			fputs(style, r->to);
		else if (!strcmp(parts[i], "CSP"))
			fprintf(r->to, "default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'", script_hash, style_hash);
		else if (!strcmp(parts[i], "DATA")) {
			if (!write_case(r, error) || !write_dumps(r, error))
				return false;
		} else
			fputs(parts[i], r->to);
	}
	return true;
}

/* May every process come with its memory, or those with findings alone? */
static bool fits(struct store *store, int64_t dump_id)
{
	g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, dump_id);
	g_autofree char *n = store_value(store, "SELECT count(*) FROM vads v JOIN processes p USING (process_id) WHERE ?1 = '0' OR p.dump_id ="
					 " CAST(?1 AS INTEGER)", id, NULL);

	return n && g_ascii_strtoll(n, NULL, 10) <= FIXED_report_vads;
}

bool report_write(struct store *store, const struct report_options *options, const char *path, struct report_result *result, GError **error)
{
	struct report r = { .store = store, .options = options, .result = result };

	*result = (struct report_result){ 0 };
	r.all = options->dump_id || fits(store, options->dump_id);
	r.to = whole_begin(path);
	if (!r.to) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		return false;
	}
	bool ok = write_page(&r, error);
	result->bytes = ftell(r.to);
	if (!whole_end(r.to, path, ok) && ok) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		ok = false;
	}
	return ok;
}
