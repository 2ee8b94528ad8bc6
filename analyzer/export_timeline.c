/* SPDX-License-Identifier: Apache-2.0 */
/* The timeline, and findings on it: Timesketch's JSON lines, and the body file that mactime reads. */
#include <string.h>
#include "export.h"
#include "text.h"

/* Findings have no time of their own: they stand where the dump was taken, or, where that isn't known, where it was analysed. */
static const char events_sql[] =
	"WITH d AS MATERIALIZED (SELECT dump_id, computer_name, path, system_time, coalesce(system_time, (SELECT max(r.started_at) FROM runs r"
	" WHERE r.dump_id = dumps.dump_id)) AS seen_at FROM dumps)"
	" SELECT coalesce(t.time, d.seen_at), t.time, d.seen_at, t.event, t.subject, t.detail, t.source, t.process_id, NULL AS rule, NULL AS severity,"
	" NULL AS attack, NULL AS confidence, p.name, p.pid, d.computer_name, d.path"
	" FROM timeline t JOIN d USING (dump_id) LEFT JOIN processes p USING (process_id) WHERE :dump_id IS NULL OR t.dump_id = :dump_id"
	" UNION ALL SELECT d.seen_at, d.system_time, d.seen_at, 'finding', f.title, f.detail, 'findings', f.process_id, f.rule, f.severity, f.attack, f.confidence,"
	" p.name, p.pid, d.computer_name, d.path FROM findings f JOIN d USING (dump_id) LEFT JOIN processes p USING (process_id)"
	" WHERE :dump_id IS NULL OR f.dump_id = :dump_id ORDER BY 1";

#define NOT_ITS_OWN ", at another time: its own is not known"

/* Where an event stands: nothing is left out for a time that is none. *own: it is the event's. */
static const char *stands_at(const struct cursor *cursor, gint64 *seconds, bool *own)
{
	static const char *const columns[] = { "time", "seen_at" };

	for (size_t i = 0; i < G_N_ELEMENTS(columns); i++) {
		const char *text = export_text(cursor, columns[i]);
		g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
		g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, utc) : NULL;
		*own = i == 0;
		if (time) {
			*seconds = g_date_time_to_unix(time);
			return text;
		}
	}
	*seconds = 0;
	return "1970-01-01T00:00:00.000000";
}

/* Timesketch wants message, datetime and timestamp_desc; what else there is becomes attributes. */
static bool write_timesketch(struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, events_sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	while (cursor_next(cursor, &failed)) {
		gint64 seconds;
		bool own;
		const char *time = stands_at(cursor, &seconds, &own), *event = export_text(cursor, "event"), *subject = export_text(cursor, "subject");
		const char *detail = export_text(cursor, "detail"), *rule = export_text(cursor, "rule");
		/* It counts in microseconds. */
		g_autofree char *datetime = g_strdup_printf("%.26s+00:00", time);
		g_autofree char *what = g_strconcat(rule ? own ? "finding in the memory of this time" : "finding" : event, own ? "" : NOT_ITS_OWN, NULL);
		g_autofree char *message = g_strdup_printf("%s: %s%s%s", event, subject ? subject : "", detail && !rule ? ", " : "", detail && !rule ? detail : "");
		json_t *o = json_object();
		export_put(o, "message", message);
		export_put(o, "datetime", datetime);
		export_put(o, "timestamp_desc", what);
		export_put(o, "data_type", rule ? "windows:memory:finding" : "windows:memory:event");
		export_put(o, "source", export_text(cursor, "source"));
		export_put(o, "computer_name", export_text(cursor, "computer_name"));
		export_put(o, "dump", export_text(cursor, "path"));
		export_put(o, "process_name", export_text(cursor, "name"));
		export_put_int(o, "pid", cursor, "pid");
		export_put(o, "rule", rule);
		export_put(o, "severity", export_text(cursor, "severity"));
		export_put_int(o, "confidence", cursor, "confidence");
		export_put(o, "attack_technique", export_text(cursor, "attack"));
		if (rule)
			export_put(o, "detail", detail);
		export_write(x, o, "\n");
	}
	return error_pass(error, &failed);
}

/* Fields end at '|', lines at line breaks: those of names are escaped (not with %, which mactime takes for a format). */
static char *field(const char *text)
{
	g_autofree char *safe = text_escape(text);
	g_auto(GStrv) parts = g_strsplit(safe, "|", -1);

	return g_strjoinv("\\x7c", parts);
}

/* MD5|name|inode|mode|UID|GID|size|atime|mtime|ctime|crtime, times in seconds since 1970. mactime lists each time by itself, unset ones too: all
 * four are the event's, for one line. */
static bool write_bodyfile(struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, events_sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	while (cursor_next(cursor, &failed)) {
		gint64 seconds;
		bool own;
		(void)stands_at(cursor, &seconds, &own);
		const char *event = export_text(cursor, "event"), *subject = export_text(cursor, "subject"), *detail = export_text(cursor, "detail");
		const char *machine = export_text(cursor, "computer_name"), *rule = export_text(cursor, "rule");
		g_autofree char *name = g_strdup_printf("[%s] %s%s%s%s (%s)", event, subject ? subject : "", detail && !rule ? ", " : "", detail && !rule ? detail : "",
							own ? "" : NOT_ITS_OWN, machine ? machine : export_text(cursor, "path"));
		g_autofree char *safe = field(name);
		fprintf(x->to, "0|%s|%" G_GINT64_FORMAT "|----------|0|0|0|%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT "|%" G_GINT64_FORMAT "\n", safe,
			MAX(export_int(cursor, "pid"), 0), seconds, seconds, seconds, seconds);
		x->records++;
	}
	return error_pass(error, &failed);
}

const struct export_format export_timesketch = { "timesketch", "JSON lines for Timesketch: the timeline and the findings", write_timesketch };
const struct export_format export_bodyfile = { "bodyfile", "the timeline and the findings for mactime", write_bodyfile };
