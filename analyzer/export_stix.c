/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A STIX 2.1 bundle: machines, their dumps, the processes that findings are of, techniques, and for each finding of medium or above
 * an indicator where it speaks against the program itself, else a sighting of its technique, or a note.
 *
 * The hash of an image as rebuilt from memory is no file's hash, so none is given as one; the dumps' are.
 */
#include <string.h>
#include "attack.h"
#include "export.h"

struct stix {
	struct export *x;
	GHashTable *written;	/* ids */
	const char *comma;
	char now[32];
};

/* The standard's namespace is for those that follow its rules of what observables are named by, which leave processes without a name. */
static char *id_of(const char *type, const char *name)
{
	char uuid[37];

	export_uuid(EXPORT_NAMESPACE, name, uuid);
	return g_strdup_printf("%s--%s", type, uuid);
}

/* 2024-03-01T09:15:27.123Z */
static char *stix_time(const char *time)
{
	return time && strlen(time) >= 23 && time[19] == '.' ? g_strdup_printf("%.23sZ", time) : NULL;
}

/* A new object with its id; NULL when it was written before. */
static json_t *begin(struct stix *s, const char *type, const char *id)
{
	if (!g_hash_table_add(s->written, g_strdup(id)))
		return NULL;
	json_t *o = json_object();
	export_put(o, "type", type);
	export_put(o, "spec_version", "2.1");
	export_put(o, "id", id);
	return o;
}

static json_t *begin_domain(struct stix *s, const char *type, const char *id)
{
	json_t *o = begin(s, type, id);

	if (o) {
		export_put(o, "created", s->now);
		export_put(o, "modified", s->now);
	}
	return o;
}

static void write_object(struct stix *s, json_t *o)
{
	fputs(s->comma, s->x->to);
	s->comma = ",\n";
	export_write(s->x, o, "");
}

static void relate(struct stix *s, const char *from, const char *type, const char *to)
{
	g_autofree char *name = g_strdup_printf("%s %s %s", from, type, to), *id = id_of("relationship", name);
	json_t *o = begin_domain(s, "relationship", id);

	if (!o)
		return;
	export_put(o, "relationship_type", type);
	export_put(o, "source_ref", from);
	export_put(o, "target_ref", to);
	write_object(s, o);
}

static char *machine(struct stix *s, const struct cursor *cursor)
{
	const char *name = export_text(cursor, "computer_name"), *path = export_text(cursor, "dump_path");
	/* Any number of machines are called DESKTOP. */
	g_autofree char *key = g_strdup_printf("machine %s %s", name ? name : "", export_text(cursor, "dump_key"));
	char *id = id_of("identity", key);
	json_t *o = begin_domain(s, "identity", id);

	if (o) {
		g_autofree char *about = g_strdup_printf("Windows %s, %s", export_text(cursor, "os_build") ? export_text(cursor, "os_build") : "of unknown build",
							 export_text(cursor, "architecture") ? export_text(cursor, "architecture") : "");
		export_put(o, "name", name ? name : path);
		export_put(o, "identity_class", "system");
		export_put(o, "description", about);
		write_object(s, o);
	}
	return id;
}

/* A file by its path; `hash` and size of the file itself, or NULL and -1. */
static char *file(struct stix *s, const char *path, const char *hash, int64_t size)
{
	g_autofree char *key = g_strdup_printf("file %s %s %" G_GINT64_FORMAT, path, hash ? hash : "", size);
	const char *slash = strrchr(path, '\\'), *other = strrchr(path, '/'), *name = slash > other ? slash + 1 : other ? other + 1 : path;
	char *id;

	if (!*name)
		return NULL;
	id = id_of("file", key);
	json_t *o = begin(s, "file", id);
	if (!o)
		return id;
	export_put(o, "name", name);
	if (hash)
		json_object_set_new(o, "hashes", json_pack("{s:s}", "SHA-256", hash));
	if (size >= 0)
		json_object_set_new(o, "size", json_integer(size));
	if (name > path + 1) {
		g_autofree char *folder = g_strndup(path, (gsize)(name - path - 1)), *folder_id = id_of("directory", folder);
		json_t *d = begin(s, "directory", folder_id);
		if (d) {
			export_put(d, "path", folder);
			write_object(s, d);
		}
		export_put(o, "parent_directory_ref", folder_id);
	}
	write_object(s, o);
	return id;
}

static char *process(struct stix *s, const struct cursor *cursor)
{
	const char *path = export_text(cursor, "image_path");
	g_autofree char *created = stix_time(export_text(cursor, "create_time")), *image = path && *path ? file(s, path, NULL, -1) : NULL;
	g_autofree char *key = export_process_key(cursor);
	char *id = id_of("process", key);
	json_t *o = begin(s, "process", id);

	if (!o)
		return id;
	export_put_int(o, "pid", cursor, "pid");
	export_put(o, "created_time", created);
	export_put(o, "cwd", export_text(cursor, "current_directory"));
	export_put(o, "command_line", export_text(cursor, "command_line"));
	export_put(o, "image_ref", image);
	if (json_object_size(o) > 3) {
		write_object(s, o);
		return id;
	}
	json_decref(o);		/* a process object must say something */
	g_hash_table_remove(s->written, id);
	g_free(id);
	return NULL;
}

static char *attack_pattern(struct stix *s, const char *attack)
{
	g_autofree char *key = g_strdup_printf("attack %s", attack), *under = g_strdup(attack);
	char *id = id_of("attack-pattern", key);
	json_t *o = begin_domain(s, "attack-pattern", id);

	if (o) {
		g_strdelimit(under, ".", '/');
		g_autofree char *url = g_strdup_printf("https://attack.mitre.org/techniques/%s", under);
		json_t *reference = json_object();
		export_put(o, "name", attack_name(attack) ? attack_name(attack) : attack);
		export_put(reference, "source_name", "mitre-attack");
		export_put(reference, "external_id", attack);
		export_put(reference, "url", url);
		json_object_set_new(o, "external_references", json_pack("[o]", reference));
		write_object(s, o);
	}
	return id;
}

/* A string in a pattern: quotes and backslashes escaped; NULL when it holds what a pattern can't (line breaks and the like). */
static char *pattern_string(const char *text)
{
	GString *q = g_string_new("'");

	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p < 0x20) {
			g_string_free(q, TRUE);
			return NULL;
		}
		if (*p == '\'' || *p == '\\')
			g_string_append_c(q, '\\');
		g_string_append_c(q, *p);
	}
	g_string_append_c(q, '\'');
	return g_string_free(q, FALSE);
}

/* What was seen, where, and when: its id, or NULL. */
static char *observe(struct stix *s, const struct cursor *cursor, const char *seen_in, const char *process_id, const char *by)
{
	g_autofree char *at = stix_time(export_text(cursor, "seen_at")), *key = NULL;
	char *id;

	if (!process_id)
		return NULL;
	key = g_strdup_printf("observed %s", process_id);
	id = id_of("observed-data", key);
	json_t *o = begin_domain(s, "observed-data", id);
	if (!o)
		return id;
	export_put(o, "created_by_ref", by);
	export_put(o, "first_observed", at ? at : s->now);
	export_put(o, "last_observed", at ? at : s->now);
	json_object_set_new(o, "number_observed", json_integer(1));
	json_object_set_new(o, "object_refs", seen_in ? json_pack("[s,s]", process_id, seen_in) : json_pack("[s]", process_id));
	write_object(s, o);
	return id;
}

/*
 * Rules that speak against the program that a process runs. What others find was done to the process, to which a healthy one looks
 * alike by all that a pattern can say: nothing to look for elsewhere.
 */
static const struct { const char *rule; bool misplaced; /* Windows has it elsewhere */ } against_program[] = {
	{ "hidden_process", false }, { "image_file_deleted", false }, { "masqueraded_process", true }, { "process_path_mismatch", false },
	{ "process_without_id", false }, { "renamed_process", false },
};

/* Does every machine have it there: in Windows' folder itself, in those of its programs, in the component store? */
static bool is_of_windows(const char *path)
{
	static const char *const folders[] = { "", "System32\\", "SysWOW64\\", "SysArm32\\", "SyChpe32\\", "System32\\wbem\\", "SysWOW64\\wbem\\" };
	const char *tail = export_behind_volume(path);

	if (g_ascii_strncasecmp(tail, "\\Windows\\", 9))
		return false;
	tail += 9;
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
		if (!g_ascii_strncasecmp(tail, folders[i], strlen(folders[i])) && !strchr(tail + strlen(folders[i]), '\\'))
			return true;
	return !g_ascii_strncasecmp(tail, "WinSxS\\", 7);
}

static bool speaks_against_program(const char *rule, const char *path)
{
	for (size_t i = 0; i < G_N_ELEMENTS(against_program); i++)
		if (!g_strcmp0(rule, against_program[i].rule))
			return against_program[i].misplaced || !is_of_windows(path);
	return false;
}

/* What to look for elsewhere: a process of this file, by its whole path, in which the volume's number is this machine's. */
static char *pattern(const struct cursor *cursor)
{
	const char *path = export_program(cursor), *tail = path ? export_behind_volume(path) : "", *name = strrchr(tail, '\\');
	/* C:\, but C:\Users */
	int length = name && name > tail ? (int)(name - tail) + (name[-1] == ':') : 0;
	g_autofree char *folder = length ? g_strdup_printf("%s%.*s", path == tail ? "" : "%", length, tail) : name ? g_strdup("_:\\") : NULL;
	g_autofree char *file = name && name[1] ? pattern_string(name + 1) : NULL, *in = folder ? pattern_string(folder) : NULL;

	return file && in ? g_strdup_printf("[process:image_ref.name = %s AND process:image_ref.parent_directory_ref.path %s %s]", file,
					    path == tail ? "=" : "LIKE", in) : NULL;
}

/* False where there is nothing to look for. */
static bool indicate(struct stix *s, const struct cursor *cursor, const char *finding, const char *attack, const char *seen)
{
	const char *path = export_text(cursor, "image_path");
	g_autofree char *what = path && speaks_against_program(export_text(cursor, "rule"), path) ? pattern(cursor) : NULL;
	g_autofree char *from = stix_time(export_text(cursor, "create_time"));
	g_autofree char *id = id_of("indicator", finding);
	json_t *o = what ? begin_domain(s, "indicator", id) : NULL;

	if (!o)
		return what;
	export_put(o, "name", export_text(cursor, "rule"));
	export_put(o, "description", export_text(cursor, "title"));
	json_object_set_new(o, "indicator_types", json_pack("[s]", "malicious-activity"));
	export_put(o, "pattern", what);
	export_put(o, "pattern_type", "stix");
	export_put(o, "valid_from", from ? from : s->now);
	export_put_int(o, "confidence", cursor, "confidence");
	json_object_set_new(o, "labels", json_pack("[s]", export_text(cursor, "severity")));
	write_object(s, o);
	if (attack)
		relate(s, id, "indicates", attack);
	if (seen)
		relate(s, id, "based-on", seen);
	return true;
}

/* A finding: its technique was seen, on this machine, by what was observed. A rule without a technique leaves a note on that. */
static void tell(struct stix *s, const struct cursor *cursor, const char *finding, const char *attack, const char *observed, const char *on)
{
	const char *rule = export_text(cursor, "rule"), *type = attack ? "sighting" : "note";
	g_autofree char *at = stix_time(export_text(cursor, "seen_at"));
	g_autofree char *id = id_of(type, finding);
	json_t *o = begin_domain(s, type, id);

	if (!o)
		return;
	export_put(o, attack ? "description" : "content", export_text(cursor, "title"));
	export_put_int(o, "confidence", cursor, "confidence");
	json_object_set_new(o, "labels", json_pack("[s,o]", export_text(cursor, "severity"), export_string(rule ? rule : "")));
	if (attack) {
		export_put(o, "first_seen", at);
		export_put(o, "last_seen", at);
		export_put(o, "sighting_of_ref", attack);
		if (observed)
			json_object_set_new(o, "observed_data_refs", json_pack("[s]", observed));
		json_object_set_new(o, "where_sighted_refs", json_pack("[s]", on));
	} else {
		json_object_set_new(o, "object_refs", json_pack("[s]", observed ? observed : on));
	}
	write_object(s, o);
}

static bool write_stix(struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, export_findings_sql, error);
	struct stix s = { .x = x, .comma = "", .written = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.000Z"), *id = g_uuid_string_random();
	g_autoptr(GError) failed = NULL;

	g_strlcpy(s.now, time, sizeof(s.now));
	fprintf(x->to, "{\"type\": \"bundle\", \"id\": \"bundle--%s\", \"objects\": [\n", id);
	while (cursor && cursor_next(cursor, &failed)) {
		const char *attack = export_text(cursor, "attack"), *path = export_text(cursor, "dump_path");
		g_autofree char *on = machine(&s, cursor), *in = path ? file(&s, path, export_text(cursor, "dump_sha256"), export_int(cursor, "dump_size")) : NULL;
		g_autofree char *technique = attack && *attack ? attack_pattern(&s, attack) : NULL;
		g_autofree char *seen = export_int(cursor, "process_id") >= 0 ? process(&s, cursor) : NULL;
		g_autofree char *observed = observe(&s, cursor, in, seen, on);
		if (technique)
			relate(&s, technique, "targets", on);
		g_autofree char *finding = export_finding_key(x, cursor);
		if (export_severe(cursor) && !indicate(&s, cursor, finding, technique, observed))
			tell(&s, cursor, finding, technique, observed, on);
	}
	fputs("\n]}\n", x->to);
	g_hash_table_destroy(s.written);
	return error_pass(error, &failed) && cursor;
}

const struct export_format export_stix = { "stix", "a STIX 2.1 bundle: processes and files with findings, techniques, sightings, indicators", write_stix };
