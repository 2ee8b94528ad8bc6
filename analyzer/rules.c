/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"
#include <string.h>
#include "core_tables.h"
#include "limit.h"
#include "plugin.h"

/* Made by glib-compile-resources from rules/. */
GResource *memsieve_rules_get_resource(void);
void memsieve_rules_register_resource(void);

/* Of folders within a folder of rules. */
#define MAX_DEPTH 8

static void sql_rule_free(void *data)
{
	struct sql_rule *r = data;

	g_free(r->name);
	g_free(r->severity);
	g_free(r->attack);
	g_free(r->title);
	g_free(r->sql);
	g_free(r->file);
	g_free(r);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void one_file(const char *path, const char *extension, rule_file_fn each, void *user, GPtrArray *problems)
{
	g_autofree char *text = NULL;
	gsize length = 0;
	g_autoptr(GError) error = NULL;

	if (!g_str_has_suffix(path, extension) && !(g_str_equal(extension, ".yar") && g_str_has_suffix(path, ".yara")))
		return;
	if (!g_file_get_contents(path, &text, &length, &error) || length > limit(rule_file)) {
		g_ptr_array_add(problems, g_strdup_printf("%s: %s", path, error ? error->message : "too large for a rule file"));
		return;
	}
	each(user, path, text, length);
}

static void folder(const char *path, const char *extension, unsigned depth, rule_file_fn each, void *user, GPtrArray *problems)
{
	g_autoptr(GError) error = NULL;

	if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
		if (g_file_test(path, G_FILE_TEST_EXISTS))
			one_file(path, extension, each, user, problems);
		else
			g_ptr_array_add(problems, g_strdup_printf("%s: no such rule file or folder", path));
		return;
	}
	g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
	if (!dir) {
		g_ptr_array_add(problems, g_strdup(error->message));
		return;
	}
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	for (const char *name; (name = g_dir_read_name(dir)); )
		if (name[0] != '.')
			g_ptr_array_add(names, g_build_filename(path, name, NULL));
	g_ptr_array_sort(names, compare_strings);
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);
		if (g_file_test(name, G_FILE_TEST_IS_DIR)) {
			if (depth < MAX_DEPTH)
				folder(name, extension, depth + 1, each, user, problems);
			else	/* a link back to a folder above, say */
				g_ptr_array_add(problems, g_strdup_printf("%s: folders of rules are searched %d deep", name, MAX_DEPTH));
		} else {
			one_file(name, extension, each, user, problems);
		}
	}
}

static void builtin(const char *extension, rule_file_fn each, void *user)
{
	const char *path = g_str_equal(extension, ".sql") ? "/memsieve/rules/sql/" : "/memsieve/rules/yara/";
	static gsize registered;

	if (g_once_init_enter(&registered)) {
		memsieve_rules_register_resource();
		g_once_init_leave(&registered, 1);
	}
	GResource *resource = memsieve_rules_get_resource();
	g_auto(GStrv) names = g_resource_enumerate_children(resource, path, 0, NULL);
	guint n = names ? g_strv_length(names) : 0;

	if (n)
		qsort(names, n, sizeof(*names), compare_strings);
	for (guint i = 0; i < n; i++) {
		g_autofree char *full = g_strconcat(path, names[i], NULL);
		g_autoptr(GBytes) bytes = g_resource_lookup_data(resource, full, 0, NULL);
		gsize length = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &length) : NULL;
		g_autofree char *copy = g_strndup(text, length);
		g_autofree char *name = g_strconcat("builtin:", names[i], NULL);
		each(user, name, copy, length);
	}
}

void rule_files_each(const struct options *options, const char *extension, rule_file_fn each, void *user, GPtrArray *problems)
{
	if (!options->no_builtin_rules)
		builtin(extension, each, user);
	for (char **d = options->rules; d && *d; d++)
		folder(*d, extension, 0, each, user, problems);
	if (g_str_equal(extension, ".yar"))
		for (char **d = options->yara; d && *d; d++)
			folder(*d, extension, 0, each, user, problems);
}

static void hash_file(void *user, const char *name, const char *text, gsize length)
{
	(void)name;
	g_checksum_update(user, (const guchar *)text, (gssize)length);
	g_checksum_update(user, (const guchar *)"", 1);
}

char *rules_sha256(const struct options *options)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);

	rule_files_each(options, ".sql", hash_file, checksum, problems);
	rule_files_each(options, ".yar", hash_file, checksum, problems);
	return g_strdup(g_checksum_get_string(checksum));
}

struct loading {
	GPtrArray *rules, *problems;
};

static bool known_severity(const char *s)
{
	static const char *const all[] = { "info", "low", "medium", "high", "critical", NULL };

	return s && g_strv_contains(all, s);
}

static void parse_rule(void *user, const char *name, const char *text, gsize length)
{
	struct loading *loading = user;
	struct sql_rule *rule = g_new0(struct sql_rule, 1);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	(void)length;
	rule->file = g_strdup(name);
	rule->confidence = 50;
	for (char **line = lines; *line; line++) {
		const char *l = *line;
		if (!g_str_has_prefix(l, "--"))
			continue;
		const char *colon = strchr(l, ':');
		if (!colon)
			continue;
		g_autofree char *key = g_strstrip(g_strndup(l + 2, (gsize)(colon - l - 2)));
		g_autofree char *value = g_strstrip(g_strdup(colon + 1));
		char **field = !strcmp(key, "rule") ? &rule->name : !strcmp(key, "severity") ? &rule->severity :
			       !strcmp(key, "attack") ? &rule->attack : !strcmp(key, "title") ? &rule->title : NULL;
		if (field && !*field)
			*field = g_steal_pointer(&value);
		else if (!strcmp(key, "confidence"))
			rule->confidence = (int)CLAMP(g_ascii_strtoll(value, NULL, 10), 0, 100);
	}
	rule->sql = g_strdup(text);
	const char *missing = !rule->name ? "rule" : !known_severity(rule->severity) ? "severity" : !rule->title ? "title" : NULL;
	if (missing) {
		g_ptr_array_add(loading->problems, g_strdup_printf("%s: its header has no valid '-- %s: …'", name, missing));
		sql_rule_free(rule);
		return;
	}
	for (guint i = 0; i < loading->rules->len; i++) {
		struct sql_rule *other = g_ptr_array_index(loading->rules, i);
		if (!strcmp(other->name, rule->name)) {
			sql_rule_free(other);
			loading->rules->pdata[i] = rule;
			return;
		}
	}
	g_ptr_array_add(loading->rules, rule);
}

GPtrArray *rules_load(const struct options *options, GPtrArray *problems)
{
	struct loading loading = { g_ptr_array_new_with_free_func(sql_rule_free), problems };

	rule_files_each(options, ".sql", parse_rule, &loading, problems);
	return loading.rules;
}

struct running {
	const struct sql_rule *rule;
	unsigned certainty;	/* how sure what the rule looks at was derived, 1-100; 0: it wasn't derived */
	struct rows *rows;
	uint64_t count, begun;	/* begun: the bytes of rows when the rule began */
};

static const char *value_of(int n, const char *const *names, const char *const *values, const char *name, size_t length)
{
	for (int i = 0; i < n; i++)
		if (strlen(names[i]) == length && !strncmp(names[i], name, length))
			return values[i] ? values[i] : "";
	return NULL;
}

static char *fill_title(const char *title, int n, const char *const *names, const char *const *values)
{
	GString *s = g_string_new(NULL);

	for (const char *p = title; *p && s->len <= limit(finding_text); p++) {
		const char *end = *p == '{' ? strchr(p, '}') : NULL;
		const char *value = end ? value_of(n, names, values, p + 1, (size_t)(end - p - 1)) : NULL;
		if (!value) {
			g_string_append_c(s, *p);
			continue;
		}
		if (!strncmp(p, "{address}", 9) && *value)
			g_string_append_printf(s, "0x%" G_GINT64_MODIFIER "x", g_ascii_strtoll(value, NULL, 10));
		else
			g_string_append(s, value);
		p = end;
	}
	return g_string_free(s, FALSE);
}

static void put_title(struct row *row, char *title)
{
	size_t most = limit(finding_text);

	if (strlen(title) <= most) {
		row_text(row, FINDINGS_TITLE, title);
		return;
	}
	while (most && ((unsigned char)title[most] & 0xc0) == 0x80)	/* within a character */
		most--;
	g_autofree char *cut = g_strdup_printf("%.*s…", (int)MIN(most, G_MAXINT), title);
	row_fault(row, FINDINGS_TITLE, FAULT_LIMIT, (va_t){ 0 }, "the title is cut (limit finding_text)");
	row_text(row, FINDINGS_TITLE, cut);
}

/* Below this a derived field may well be another: what it says raises no alarm. */
#define SURE 60u

/* What rests on derived fields is no surer than they are. */
static void put_judgement(struct row *row, const struct running *r, const char *severity, int64_t confidence)
{
	bool weak = r->certainty && r->certainty < SURE;

	row_text(row, FINDINGS_SEVERITY, weak && (!strcmp(severity, "high") || !strcmp(severity, "critical")) ? "medium" : severity);
	row_int(row, FINDINGS_CONFIDENCE, r->certainty ? MIN(confidence, r->certainty) : confidence);
}

/* The end of a member of a JSON object: its comma, or the brace that ends the object. */
static const char *member_end(const char *at)
{
	unsigned depth = 0;
	bool text = false;

	for (; *at; at++)
		if (text && *at == '\\' && at[1])
			at++;
		else if (*at == '"')
			text = !text;
		else if (!text && !depth && (*at == ',' || *at == '}'))
			return at;
		else if (!text && (*at == '{' || *at == '['))
			depth++;
		else if (!text && depth && (*at == '}' || *at == ']'))
			depth--;
	return at;
}

/* The object with those of its members that fit. They are taken as they are: read into memory they may need many times as much. */
static char *members_that_fit(const char *object, size_t most)
{
	GString *s = g_string_new("{");
	const char *member = *object == '{' ? object + 1 : "";

	while (*member) {
		const char *end = member_end(member);
		if (*end && s->len + (size_t)(end - member) + 2 <= most) {
			if (s->len > 1)
				g_string_append_c(s, ',');
			g_string_append_len(s, member, end - member);
		}
		member = *end == ',' ? end + 1 : "";
	}
	g_string_append_c(s, '}');
	return g_string_free(s, FALSE);
}

static void put_detail(struct row *row, const struct running *r, const char *detail)
{
	size_t n = strlen(detail);
	g_autofree char *fitting = n > limit(finding_text) ? members_that_fit(detail, limit(finding_text)) : NULL;

	if (fitting) {
		row_fault(row, FINDINGS_DETAIL, FAULT_LIMIT, (va_t){ 0 }, "the detail lacks what does not fit (limit finding_text)");
		detail = fitting;
		n = strlen(detail);
	}
	if (!r->certainty || n < 3 || detail[n - 1] != '}') {
		row_text(row, FINDINGS_DETAIL, detail);
		return;
	}
	g_autofree char *with = g_strdup_printf("%.*s,\"derived\":%u}", (int)MIN(n - 1, G_MAXINT), detail, r->certainty);
	row_text(row, FINDINGS_DETAIL, with);
}

static bool names_table(const char *sql, const char *table)
{
	size_t n = strlen(table);

	for (const char *at = sql; (at = strstr(at, table)); at += n)
		if ((at == sql || !(g_ascii_isalnum(at[-1]) || at[-1] == '_')) && !g_ascii_isalnum(at[n]) && at[n] != '_')
			return true;
	return false;
}

/* The weakest of what the tables that a rule names rest on. */
static unsigned certainty(const struct sql_rule *rule, struct layout *layout)
{
	unsigned least = 0;

	for (const struct plugin *const *p = plugins; layout && layout->source == LAYOUT_DERIVED && *p; p++)
		for (size_t i = 0; i < G_N_ELEMENTS((*p)->fills) && (*p)->fills[i]; i++) {
			const struct table *t = (*p)->fills[i];
			unsigned of = t->rests_on && names_table(rule->sql, t->name) ? layout_confidence(layout, t->rests_on) : 0;

			if (of && (!least || of < least))
				least = of;
		}
	return least;
}

/* A rule that goes on and on, or whose findings are large. */
static bool too_many(struct running *r)
{
	bool rows = r->count++ >= limit(findings_rule);

	if (!rows && r->rows->bytes - r->begun <= limit(findings_bytes))
		return false;
	rows_note(r->rows, FAULT_LIMIT, (va_t){ 0 }, NULL, "findings",
		  rows ? g_strdup_printf("the rule %s finds more than %" G_GUINT64_FORMAT " times: the rest is left out", r->rule->name, limit(findings_rule)) :
		  g_strdup_printf("what the rule %s finds has more than %" G_GUINT64_FORMAT " bytes: the rest is left out (limit findings_bytes)",
				  r->rule->name, limit(findings_bytes)));
	return true;
}

static bool one_finding(void *user, int n, const char *const *names, const char *const *values)
{
	struct running *r = user;

	if (too_many(r))
		return false;
	struct row *row = rows_add(r->rows, &table_findings, NULL);
	const char *v;

#define VALUE(column) ((v = value_of(n, names, values, column, strlen(column))) && *v)
	row_text(row, FINDINGS_RULE, VALUE("rule") ? v : r->rule->name);
	const char *severity = VALUE("severity") && known_severity(v) ? v : r->rule->severity;
	put_judgement(row, r, severity, VALUE("confidence") ? CLAMP(g_ascii_strtoll(v, NULL, 10), 0, 100) : r->rule->confidence);
	row_text(row, FINDINGS_ATTACK, VALUE("attack") ? v : r->rule->attack);
	if (VALUE("process_id"))
		row_int(row, FINDINGS_PROCESS, g_ascii_strtoll(v, NULL, 10));
	if (VALUE("address"))
		row_int(row, FINDINGS_ADDRESS, g_ascii_strtoll(v, NULL, 10));
	if (VALUE("length"))
		row_int(row, FINDINGS_LENGTH, g_ascii_strtoll(v, NULL, 10));
	if (VALUE("detail"))
		put_detail(row, r, v);
#undef VALUE
	g_autofree char *title = fill_title(r->rule->title, n, names, values);
	put_title(row, title);
	return true;
}

bool rules_run(const struct sql_rule *rule, struct store *store, int64_t dump_id, struct layout *layout, struct rows *rows,
	       GError **error)
{
	struct running running = { rule, certainty(rule, layout), rows, 0, rows->bytes };

	if (store_query(store, rule->sql, dump_id, one_finding, &running, error))
		return true;
	g_prefix_error(error, "%s: ", rule->file);
	return false;
}
