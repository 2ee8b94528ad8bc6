/* SPDX-License-Identifier: Apache-2.0 */
/* A MISP event: a process object for each process with findings of medium or above, and what speaks against it. */
#include <string.h>
#include "attack.h"
#include "export.h"
#include "text.h"

/* misp-objects: process and file. */
#define PROCESS_TEMPLATE "02aeef94-ac23-455c-addb-731757ceafb5"
#define PROCESS_VERSION "10"
#define FILE_TEMPLATE "688c46fb-5edb-40a3-8273-1af7923e2215"
#define FILE_VERSION "25"

struct misp {
	json_t *event, *objects, *tags;
	GHashTable *known;	/* key → json_t *, of this event */
	/* The event's. What is in two events has an id in each: MISP takes each id once. */
	char uuid[37];
};

static void uuid_within(const struct misp *m, const char *key, char out[37])
{
	g_autofree char *name = g_strdup_printf("%s %s", m->uuid, key);

	export_uuid(EXPORT_NAMESPACE, name, out);
}

static json_t *new_object(struct misp *m, const char *key, const char *name, const char *template, const char *version, const char *category)
{
	char uuid[37];
	json_t *o = json_object();

	uuid_within(m, key, uuid);
	export_put(o, "uuid", uuid);
	export_put(o, "name", name);
	export_put(o, "meta-category", category);
	export_put(o, "template_uuid", template);
	export_put(o, "template_version", version);
	export_put(o, "distribution", "5");
	json_object_set_new(o, "Attribute", json_array());
	json_array_append_new(m->objects, o);
	g_hash_table_insert(m->known, g_strdup(key), o);
	return o;
}

static void attribute(json_t *object, const char *relation, const char *type, const char *category, const char *value)
{
	json_t *a, *list = json_object_get(object, "Attribute");
	char uuid[37];

	if (!value || !*value)
		return;
	g_autofree char *key = g_strdup_printf("%s %s %" G_GSIZE_FORMAT " %s", json_string_value(json_object_get(object, "uuid")), relation,
					       json_array_size(list), value);
	export_uuid(EXPORT_NAMESPACE, key, uuid);
	a = json_object();
	export_put(a, "uuid", uuid);
	export_put(a, "object_relation", relation);
	export_put(a, "type", type);
	export_put(a, "category", category);
	json_object_set_new(a, "to_ids", json_false());
	export_put(a, "value", value);
	json_array_append_new(list, a);
}

static void add_tag(struct misp *m, const char *name)
{
	g_autofree char *key = g_strconcat("tag ", name, NULL);

	if (!g_hash_table_contains(m->known, key)) {
		g_hash_table_insert(m->known, g_steal_pointer(&key), NULL);
		json_array_append_new(m->tags, json_pack("{s:s}", "name", name));
	}
}

static void dump_object(struct misp *m, const struct cursor *cursor)
{
	const char *path = export_text(cursor, "dump_path"), *hash = export_text(cursor, "dump_sha256");
	g_autofree char *key = g_strdup_printf("dump %s %s", export_text(cursor, "dump_key"), path), *size = g_strdup_printf("%" G_GINT64_FORMAT, export_int(cursor, "dump_size"));
	g_autofree char *base = g_path_get_basename(path);

	if (g_hash_table_contains(m->known, key))
		return;
	json_t *o = new_object(m, key, "file", FILE_TEMPLATE, FILE_VERSION, "file");
	export_put(o, "comment", "memory dump");
	attribute(o, "filename", "filename", "External analysis", base);
	attribute(o, "sha256", "sha256", "External analysis", hash);
	attribute(o, "size-in-bytes", "size-in-bytes", "Other", size);
}

static json_t *process_object(struct misp *m, const struct cursor *cursor)
{
	const char *path = export_text(cursor, "image_path"), *machine = export_text(cursor, "computer_name");
	g_autofree char *key = export_process_key(cursor), *pid = g_strdup_printf("%" G_GINT64_FORMAT, export_int(cursor, "pid")), *ppid = g_strdup_printf("%" G_GINT64_FORMAT, export_int(cursor, "ppid"));
	g_autofree char *born = NULL;
	json_t *o = g_hash_table_lookup(m->known, key);

	if (o)
		return o;
	o = new_object(m, key, "process", PROCESS_TEMPLATE, PROCESS_VERSION, "misc");
	g_autofree char *comment = g_strdup_printf("on %s", machine ? machine : export_text(cursor, "dump_path"));
	export_put(o, "comment", comment);
	if (export_text(cursor, "create_time"))
		born = g_strdup_printf("%.26s+00:00", export_text(cursor, "create_time"));
	attribute(o, "name", "text", "Other", export_text(cursor, "process_name"));
	if (export_int(cursor, "pid") >= 0)
		attribute(o, "pid", "text", "Other", pid);
	if (export_int(cursor, "ppid") >= 0)
		attribute(o, "parent-pid", "text", "Other", ppid);
	attribute(o, "image", "filename", "Artifacts dropped", path);
	attribute(o, "command-line", "text", "Other", export_text(cursor, "command_line"));
	attribute(o, "current-directory", "text", "Other", export_text(cursor, "current_directory"));
	attribute(o, "creation-time", "datetime", "Other", born);
	attribute(o, "user-process", "text", "Other", export_text(cursor, "user_sid"));
	return o;
}

/* A finding: on its process, or of the event itself when it is of the kernel. */
static void finding(struct misp *m, const struct cursor *cursor, const char *key)
{
	const char *attack = export_text(cursor, "attack"), *severity = export_text(cursor, "severity");
	g_autofree char *value = g_strdup_printf("%s (%s, confidence %" G_GINT64_FORMAT ")", export_text(cursor, "title"), severity, export_int(cursor, "confidence"));
	char uuid[37];

	if (!g_hash_table_insert(m->known, g_strdup(key), NULL))	/* a case may have a dump twice */
		return;
	json_t *a = json_object();
	dump_object(m, cursor);
	if (export_int(cursor, "process_id") >= 0)
		process_object(m, cursor);
	uuid_within(m, key, uuid);
	export_put(a, "uuid", uuid);
	export_put(a, "type", "text");
	export_put(a, "category", "External analysis");
	export_put(a, "value", value);
	export_put(a, "comment", export_text(cursor, "rule"));
	json_object_set_new(a, "to_ids", json_false());
	if (attack && attack_name(attack)) {
		g_autofree char *tag = g_strdup_printf("misp-galaxy:mitre-attack-pattern=\"%s - %s\"", attack_name(attack), attack);
		json_object_set_new(a, "Tag", json_pack("[{s:s}]", "name", tag));
		add_tag(m, tag);
	}
	json_array_append_new(json_object_get(m->event, "Attribute"), a);
}

/* The event is what was found in these dumps: exported again it is the same, of others it is another. */
static bool name_event(struct misp *m, const struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, export_dumps_sql, error);
	g_autoptr(GChecksum) dumps = g_checksum_new(G_CHECKSUM_SHA256);
	g_autoptr(GError) failed = NULL;

	while (cursor && cursor_next(cursor, &failed)) {
		const char *key = export_text(cursor, "dump_key");
		g_checksum_update(dumps, (const guchar *)key, (gssize)strlen(key) + 1);
	}
	g_autofree char *name = g_strdup_printf("event %s", g_checksum_get_string(dumps));
	export_uuid(EXPORT_NAMESPACE, name, m->uuid);
	return error_pass(error, &failed) && cursor;
}

static bool write_misp(struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, export_findings_sql, error);
	struct misp m = { json_object(), json_array(), json_array(), g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL), "" };
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *date = g_date_time_format(now, "%Y-%m-%d"), *stamp = g_date_time_format(now, "%s");
	g_autoptr(GError) failed = NULL;
	bool critical = false, named = name_event(&m, x, &failed);

	export_put(m.event, "uuid", m.uuid);
	export_put(m.event, "info", "Windows memory analysis");
	export_put(m.event, "date", date);
	export_put(m.event, "timestamp", stamp);
	export_put(m.event, "analysis", "0");
	export_put(m.event, "distribution", "0");	/* your organisation only */
	json_object_set_new(m.event, "Attribute", json_array());
	while (cursor && named && cursor_next(cursor, &failed)) {
		g_autofree char *key = export_finding_key(x, cursor);
		if (!export_severe(cursor))
			continue;
		critical |= !strcmp(export_text(cursor, "severity"), "critical");
		finding(&m, cursor, key);
	}
	export_put(m.event, "threat_level_id", critical ? "1" : json_array_size(m.objects) ? "2" : "4");
	x->records += (int64_t)json_array_size(m.objects) + (int64_t)json_array_size(json_object_get(m.event, "Attribute"));
	json_object_set_new(m.event, "Object", m.objects);
	json_object_set_new(m.event, "Tag", m.tags);
	json_t *all = json_pack("{s:o}", "Event", m.event);
	g_autofree char *text = text_from_json(all, JSON_INDENT(1));
	if (!text && !failed)
		g_set_error(&failed, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "the event can't be written");
	fprintf(x->to, "%s\n", text ? text : "");
	json_decref(all);
	g_hash_table_destroy(m.known);
	return error_pass(error, &failed) && cursor;
}

const struct export_format export_misp = { "misp", "a MISP event: process and file objects, findings of medium and above", write_misp };
