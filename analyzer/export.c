/* SPDX-License-Identifier: Apache-2.0 */
#include "export.h"
#include <string.h>
#include "text.h"

const struct export_format *const export_formats[] = {
	&export_timesketch, &export_bodyfile, &export_ecs, &export_stix, &export_misp, &export_csv, NULL
};

/* Names of a dump and a process that mean the same in every case: row ids are this case's own. */
#define DUMP_KEY "coalesce(d.sha256, printf('%s %d %s %d %d %s', d.path, d.size, d.system_time, d.kernel_base, d.dtb, d.computer_name))"
#define PROCESS_KEY "printf('%d %d %d %s', p.eprocess, p.physical_address, p.pid, p.create_time)"
#define PROCESS_COLUMNS \
	" p.process_id, p.name AS process_name, p.pid, p.ppid, p.image_path, p.peb_image_path, p.command_line, p.current_directory," \
	" p.create_time, p.exit_time, p.exit_status, p.user_sid, p.session_id, p.wow64," \
	" " PROCESS_KEY " AS process_key"
#define DUMP_COLUMNS \
	" d.dump_id, d.computer_name, d.path AS dump_path, d.sha256 AS dump_sha256, d.size AS dump_size, d.system_time, d.os_build, d.architecture, " DUMP_KEY " AS dump_key," \
	" coalesce(d.system_time, (SELECT max(r.started_at) FROM runs r WHERE r.dump_id = d.dump_id)) AS seen_at"

const char export_findings_sql[] =
	"SELECT f.finding_id, f.rule, f.severity, f.confidence, f.attack, f.title, f.detail,"
	" iif(f.address IS NULL, NULL, printf('0x%x', f.address)) AS address, f.length," PROCESS_COLUMNS "," DUMP_COLUMNS
	" FROM findings f JOIN dumps d USING (dump_id) LEFT JOIN processes p USING (process_id)"
	" WHERE :dump_id IS NULL OR f.dump_id = :dump_id ORDER BY f.finding_id";

const char export_processes_sql[] =
	"SELECT" PROCESS_COLUMNS "," DUMP_COLUMNS " FROM processes p JOIN dumps d USING (dump_id)"
	" WHERE :dump_id IS NULL OR p.dump_id = :dump_id ORDER BY p.process_id";

const char export_dumps_sql[] =
	"SELECT DISTINCT " DUMP_KEY " AS dump_key FROM dumps d WHERE :dump_id IS NULL OR d.dump_id = :dump_id ORDER BY 1";

const struct export_format *export_find(const char *name)
{
	for (const struct export_format *const *f = export_formats; *f; f++)
		if (!strcmp((*f)->name, name))
			return *f;
	return NULL;
}

struct cursor *export_query(const struct export *x, const char *sql, GError **error)
{
	struct cursor *cursor = cursor_open(x->store, sql, error);

	if (cursor && x->dump_id)
		cursor_bind_int(cursor, "dump_id", x->dump_id);
	return cursor;
}

static int column_of(const struct cursor *cursor, const char *name)
{
	for (int i = 0; i < cursor_columns(cursor); i++)
		if (!strcmp(cursor_name(cursor, i), name))
			return i;
	return -1;
}

const char *export_text(const struct cursor *cursor, const char *name)
{
	int i = column_of(cursor, name);

	return i >= 0 ? cursor_text(cursor, i) : NULL;
}

int64_t export_int(const struct cursor *cursor, const char *name)
{
	int i = column_of(cursor, name);

	return i >= 0 && cursor_type(cursor, i) == CURSOR_INT ? cursor_int(cursor, i) : -1;
}

char *export_process_key(const struct cursor *cursor)
{
	return g_strdup_printf("process %s %s", export_text(cursor, "dump_key"), export_text(cursor, "process_key"));
}

char *export_finding_key(struct export *x, const struct cursor *cursor)
{
	const char *address = export_text(cursor, "address");
	bool of_process = export_int(cursor, "process_id") >= 0;
	g_autofree char *key = g_strdup_printf("finding %s %s %s %s %s", export_text(cursor, "dump_key"), export_text(cursor, "rule"),
					       of_process ? export_text(cursor, "process_key") : "", address ? address : "", export_text(cursor, "title"));
	g_autofree char *here = g_strdup_printf("%" G_GINT64_FORMAT " %s", export_int(cursor, "dump_id"), key);
	char uuid[37];

	export_uuid(EXPORT_NAMESPACE, here, uuid);
	unsigned nth = GPOINTER_TO_UINT(g_hash_table_lookup(x->told, uuid));
	g_hash_table_replace(x->told, g_strdup(uuid), GUINT_TO_POINTER(nth + 1));
	return nth ? g_strdup_printf("%s #%u", key, nth + 1) : g_steal_pointer(&key);
}

bool export_severe(const struct cursor *cursor)
{
	const char *severity = export_text(cursor, "severity");

	return !g_strcmp0(severity, "critical") || !g_strcmp0(severity, "high") || !g_strcmp0(severity, "medium");
}

const char *export_behind_volume(const char *path)
{
	const char *behind = g_ascii_strncasecmp(path, "\\Device\\", 8) ? NULL : strchr(path + 8, '\\');

	return behind ? behind : path;
}

const char *export_program(const struct cursor *cursor)
{
	const char *kernel = export_text(cursor, "image_path"), *said = export_text(cursor, "peb_image_path");

	if (said && g_str_has_prefix(said, "\\??\\"))
		said += 4;
	if (!kernel || !*kernel)	/* a minidump's: nobody else says it */
		return said;
	return said && g_ascii_isalpha(said[0]) && said[1] == ':' && said[2] == '\\' &&
	       !g_ascii_strcasecmp(said + 2, export_behind_volume(kernel)) ? said : kernel;
}

json_t *export_string(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	return json_string(valid);
}

void export_put(json_t *object, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(object, name, export_string(text));
}

void export_put_int(json_t *object, const char *name, const struct cursor *cursor, const char *column)
{
	int i = column_of(cursor, column);

	if (i >= 0 && cursor_type(cursor, i) == CURSOR_INT)
		json_object_set_new(object, name, json_integer(cursor_int(cursor, i)));
}

void export_put_object(json_t *object, const char *name, json_t *member)
{
	if (json_is_object(member) ? json_object_size(member) : json_array_size(member))
		json_object_set_new(object, name, member);
	else
		json_decref(member);
}

void export_write(struct export *x, json_t *object, const char *after)
{
	g_autofree char *text = text_from_json(object, JSON_COMPACT | JSON_REAL_PRECISION(6));

	json_decref(object);
	if (text) {
		fputs(text, x->to);
		fputs(after, x->to);
		x->records++;
	}
}

void export_uuid(const char *name_space, const char *name, char out[37])
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);
	guint8 b[20], ns[16];
	gsize n = sizeof(b), at = 0;

	for (const char *p = name_space; *p && at < sizeof(ns); p++)
		if (*p != '-') {
			ns[at++] = (guint8)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
			p++;
		}
	g_checksum_update(sum, ns, sizeof(ns));
	g_checksum_update(sum, (const guchar *)name, -1);
	g_checksum_get_digest(sum, b, &n);
	b[6] = (b[6] & 0x0f) | 0x50;
	b[8] = (b[8] & 0x3f) | 0x80;
	g_snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8],
		   b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}
