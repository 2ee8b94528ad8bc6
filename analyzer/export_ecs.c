/* SPDX-License-Identifier: Apache-2.0 */
/* Elastic Common Schema 8: one JSON document a line, findings as alerts and processes as events. */
#include <string.h>
#include "attack.h"
#include "export.h"

#define ECS_VERSION "8.11.0"

/* event.severity and risk score; the words are ours. */
static int score(const char *severity)
{
	static const struct { const char *name; int score; } scores[] = {
		{ "critical", 99 }, { "high", 73 }, { "medium", 47 }, { "low", 21 }, { "info", 1 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(scores); i++)
		if (!g_strcmp0(severity, scores[i].name))
			return scores[i].score;
	return 0;
}

static const char *last_part(const char *path)
{
	const char *slash = path ? strrchr(path, '\\') : NULL;

	return slash ? slash + 1 : path;
}

/* ECS's dates have at most nanoseconds; ours are 100 ns, and fit. */
static json_t *host(const struct cursor *cursor)
{
	json_t *h = json_object(), *os = json_object();
	const char *name = export_text(cursor, "computer_name"), *architecture = export_text(cursor, "architecture");

	export_put(h, "name", name);
	export_put(h, "hostname", name);
	if (architecture)
		export_put(h, "architecture", !strcmp(architecture, "x64") ? "x86_64" : architecture);
	export_put(os, "type", "windows");
	export_put(os, "family", "windows");
	export_put(os, "version", export_text(cursor, "os_build"));
	export_put_object(h, "os", os);
	return h;
}

static json_t *process(const struct cursor *cursor)
{
	json_t *p = json_object(), *parent, *user;
	const char *kernel = export_text(cursor, "image_path");
	char entity[37];

	if (export_int(cursor, "process_id") < 0)
		return p;
	parent = json_object();
	user = json_object();
	g_autofree char *key = export_process_key(cursor);
	export_uuid(EXPORT_NAMESPACE, key, entity);
	export_put(p, "entity_id", entity);
	export_put_int(p, "pid", cursor, "pid");
	/* EPROCESS keeps 15 characters; the path has all. */
	const char *name = export_text(cursor, "process_name"), *full = last_part(kernel);
	export_put(p, "name", name && full && g_str_has_prefix(full, name) ? full : name);
	export_put(p, "executable", export_program(cursor));
	export_put(p, "command_line", export_text(cursor, "command_line"));
	export_put(p, "working_directory", export_text(cursor, "current_directory"));
	export_put(p, "start", export_text(cursor, "create_time"));
	export_put(p, "end", export_text(cursor, "exit_time"));
	if (export_text(cursor, "exit_time"))
		export_put_int(p, "exit_code", cursor, "exit_status");
	export_put_int(parent, "pid", cursor, "ppid");
	export_put_object(p, "parent", parent);
	export_put(user, "id", export_text(cursor, "user_sid"));
	export_put_object(p, "user", user);
	return p;
}

/* T1055.012: its technique, and under it the subtechnique. */
static json_t *threat(const char *attack)
{
	json_t *t = json_object(), *technique = json_object(), *sub = json_object();
	g_autofree char *id = attack ? g_strndup(attack, strcspn(attack, ".")) : NULL;

	if (attack) {
		export_put(t, "framework", "MITRE ATT&CK");
		json_object_set_new(technique, "id", json_pack("[s]", id));
		if (attack_name(id))
			json_object_set_new(technique, "name", json_pack("[s]", attack_name(id)));
		if (strchr(attack, '.')) {
			json_object_set_new(sub, "id", json_pack("[o]", export_string(attack)));
			if (attack_name(attack))
				json_object_set_new(sub, "name", json_pack("[s]", attack_name(attack)));
		}
	}
	export_put_object(technique, "subtechnique", sub);
	export_put_object(t, "technique", technique);
	return t;
}

static json_t *document(const struct cursor *cursor, const char *kind, const char *dataset)
{
	json_t *o = json_object(), *event = json_object(), *own = json_object(), *dump = json_object();
	const char *born = export_text(cursor, "create_time"), *seen = export_text(cursor, "seen_at");

	export_put(o, "@timestamp", !strcmp(kind, "event") && born ? born : seen);
	json_object_set_new(o, "ecs", json_pack("{s:s}", "version", ECS_VERSION));
	export_put(event, "kind", kind);
	export_put(event, "module", "memsieve");
	export_put(event, "dataset", dataset);
	export_put(event, "provider", "memsieve");
	json_object_set_new(o, "event", event);
	export_put_object(o, "host", host(cursor));
	export_put_object(o, "process", process(cursor));
	/* What ECS has no field for stands under our name: its `file` would be what the alert is about. */
	export_put(dump, "path", export_text(cursor, "dump_path"));
	export_put_int(dump, "size", cursor, "dump_size");
	export_put(dump, "sha256", export_text(cursor, "dump_sha256"));
	export_put_object(own, "dump", dump);
	if (export_int(cursor, "process_id") >= 0)
		export_put(own, "peb_image_path", export_text(cursor, "peb_image_path"));
	json_object_set_new(o, "memsieve", own);
	return o;
}

static bool write_findings(struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, export_findings_sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	while (cursor_next(cursor, &failed)) {
		json_t *o = document(cursor, "alert", "memsieve.findings"), *event = json_object_get(o, "event"), *rule = json_object(), *own = json_object_get(o, "memsieve");
		g_autofree char *key = export_finding_key(x, cursor);
		char id[37];
		export_uuid(EXPORT_NAMESPACE, key, id);
		const char *severity = export_text(cursor, "severity"), *title = export_text(cursor, "title");
		export_put(event, "id", id);
		json_object_set_new(event, "category", json_pack("[s]", export_int(cursor, "process_id") < 0 ? "driver" : "malware"));
		json_object_set_new(event, "type", json_pack("[s]", "info"));
		json_object_set_new(event, "severity", json_integer(score(severity)));
		json_object_set_new(event, "risk_score", json_real((double)score(severity) * (double)MAX(export_int(cursor, "confidence"), 0) / 100));
		export_put(event, "reason", title);
		export_put(o, "message", title);
		export_put(rule, "name", export_text(cursor, "rule"));
		export_put(rule, "ruleset", "memsieve");
		export_put_object(o, "rule", rule);
		export_put_object(o, "threat", threat(export_text(cursor, "attack")));
		export_put(own, "severity", severity);
		export_put_int(own, "confidence", cursor, "confidence");
		export_put(own, "address", export_text(cursor, "address"));
		export_put_int(own, "length", cursor, "length");
		export_put(own, "detail", export_text(cursor, "detail"));
		export_write(x, o, "\n");
	}
	return error_pass(error, &failed);
}

static bool write_processes(struct export *x, GError **error)
{
	AUTO(cursor) cursor = export_query(x, export_processes_sql, error);
	g_autoptr(GError) failed = NULL;

	if (!cursor)
		return false;
	while (cursor_next(cursor, &failed)) {
		json_t *o = document(cursor, "event", "memsieve.processes"), *event = json_object_get(o, "event");
		const char *name = export_text(cursor, "process_name");
		g_autofree char *key = export_process_key(cursor);
		char id[37];
		export_uuid(EXPORT_NAMESPACE, key, id);
		export_put(event, "id", id);
		g_autofree char *message = g_strdup_printf("process %s (%" G_GINT64_FORMAT ")", name ? name : "?", export_int(cursor, "pid"));
		json_object_set_new(event, "category", json_pack("[s]", "process"));
		json_object_set_new(event, "type", json_pack("[s]", "start"));
		export_put(o, "message", message);
		export_write(x, o, "\n");
	}
	return error_pass(error, &failed);
}

static bool write_ecs(struct export *x, GError **error)
{
	return write_findings(x, error) && write_processes(x, error);
}

const struct export_format export_ecs = { "ecs", "Elastic Common Schema " ECS_VERSION ", JSON lines: findings as alerts, processes", write_ecs };
