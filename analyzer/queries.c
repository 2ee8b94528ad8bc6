/* SPDX-License-Identifier: Apache-2.0 */
#include "queries.h"
#include <gio/gio.h>
#include <string.h>
#include "core_tables.h"
#include "plugin.h"

/* Made by glib-compile-resources from queries/. */
GResource *memsieve_queries_get_resource(void);
void memsieve_queries_register_resource(void);

#define MAX_QUERY_FILE (1u << 20)

static void parameter_free(void *data)
{
	struct query_parameter *p = data;

	g_free(p->name);
	g_free(p->value);
	g_free(p->about);
	g_free(p);
}

static void query_free(void *data)
{
	struct named_query *q = data;

	g_free(q->name);
	g_free(q->about);
	g_free(q->sql);
	g_free(q->file);
	g_ptr_array_unref(q->parameters);
	g_free(q);
}

static char *header_value(const char *line, const char *key)
{
	g_autofree char *start = g_strdup_printf("-- %s:", key);

	return g_str_has_prefix(line, start) ? g_strstrip(g_strdup(line + strlen(start))) : NULL;
}

/* "dumps 2: show what …" */
static struct query_parameter *parse_parameter(const char *text)
{
	const char *space = strchr(text, ' '), *colon = space ? strchr(space, ':') : NULL;

	if (!colon)
		return NULL;
	struct query_parameter *p = g_new0(struct query_parameter, 1);
	p->name = g_strndup(text, (gsize)(space - text));
	p->value = g_strstrip(g_strndup(space, (gsize)(colon - space)));
	p->about = g_strstrip(g_strdup(colon + 1));
	return p;
}

static void parse(GPtrArray *queries, const char *file, const char *text, GPtrArray *problems)
{
	struct named_query *q = g_new0(struct named_query, 1);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	q->file = g_strdup(file);
	q->sql = g_strdup(text);
	q->parameters = g_ptr_array_new_with_free_func(parameter_free);
	for (char **line = lines; *line && g_str_has_prefix(*line, "--"); line++) {
		char *name = header_value(*line, "query"), *about = header_value(*line, "about");
		g_autofree char *text_of = header_value(*line, "parameter");
		struct query_parameter *parameter = text_of ? parse_parameter(text_of) : NULL;
		if (name) {
			g_free(q->name);
			q->name = name;
		}
		if (about) {
			g_free(q->about);
			q->about = about;
		}
		if (parameter)
			g_ptr_array_add(q->parameters, parameter);
		else if (text_of)
			g_ptr_array_add(problems, g_strdup_printf("%s: '-- parameter: NAME VALUE: what it does' is meant, not '%s'", file, text_of));
	}
	if (!q->name || !*q->name || strpbrk(q->name, " \t;")) {
		g_ptr_array_add(problems, g_strdup_printf("%s: its header has no '-- query: NAME'", file));
		query_free(q);
		return;
	}
	for (guint i = 0; i < queries->len; i++)
		if (!strcmp(((struct named_query *)queries->pdata[i])->name, q->name)) {
			query_free(queries->pdata[i]);
			queries->pdata[i] = q;
			return;
		}
	g_ptr_array_add(queries, q);
}

static void load_builtin(GPtrArray *queries, GPtrArray *problems)
{
	static gsize registered;

	if (g_once_init_enter(&registered)) {
		memsieve_queries_register_resource();
		g_once_init_leave(&registered, 1);
	}
	GResource *resource = memsieve_queries_get_resource();
	g_auto(GStrv) names = g_resource_enumerate_children(resource, "/memsieve/queries", 0, NULL);
	for (char **name = names; name && *name; name++) {
		g_autofree char *path = g_strconcat("/memsieve/queries/", *name, NULL), *file = g_strconcat("builtin:", *name, NULL);
		g_autoptr(GBytes) bytes = g_resource_lookup_data(resource, path, 0, NULL);
		gsize length = 0;
		const char *data = bytes ? g_bytes_get_data(bytes, &length) : "";
		g_autofree char *text = g_strndup(data, length);
		parse(queries, file, text, problems);
	}
}

static void load_folder(GPtrArray *queries, const char *folder, GPtrArray *problems)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, &error);

	if (!dir) {
		g_ptr_array_add(problems, g_strdup(error->message));
		return;
	}
	for (const char *name; (name = g_dir_read_name(dir)); ) {
		g_autofree char *path = g_build_filename(folder, name, NULL), *text = NULL;
		g_autoptr(GError) why = NULL;
		gsize length = 0;
		if (name[0] == '.' || !g_str_has_suffix(name, ".sql"))
			continue;
		if (!g_file_get_contents(path, &text, &length, &why) || length > MAX_QUERY_FILE)
			g_ptr_array_add(problems, g_strdup_printf("%s: %s", path, why ? why->message : "too large for a query"));
		else
			parse(queries, path, text, problems);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(struct named_query *const *)a)->name, (*(struct named_query *const *)b)->name);
}

GPtrArray *queries_load(char **folders, GPtrArray *problems)
{
	GPtrArray *queries = g_ptr_array_new_with_free_func(query_free);

	load_builtin(queries, problems);
	for (; folders && *folders; folders++)
		load_folder(queries, *folders, problems);
	g_ptr_array_sort(queries, compare_names);
	return queries;
}

const struct named_query *queries_find(const GPtrArray *queries, const char *name)
{
	for (guint i = 0; i < queries->len; i++)
		if (!strcmp(((struct named_query *)queries->pdata[i])->name, name))
			return queries->pdata[i];
	return NULL;
}

void query_bind_defaults(const struct named_query *query, struct cursor *cursor)
{
	for (guint i = 0; i < query->parameters->len; i++) {
		const struct query_parameter *p = g_ptr_array_index(query->parameters, i);
		char *end = NULL;
		gint64 number = g_ascii_strtoll(p->value, &end, 10);
		if (*p->value && !*end)
			cursor_bind_int(cursor, p->name, number);
		else
			cursor_bind_text(cursor, p->name, p->value);
	}
}

static bool fill_in(struct store *store, const struct table *table, GPtrArray *absent, GError **error)
{
	bool missing = false;

	if (!store_fill_in(store, table, &missing, error))
		return false;
	if (missing && absent)
		g_ptr_array_add(absent, g_strdup(table->name));
	return true;
}

struct store *case_open(const char *path, GPtrArray *absent, GError **error)
{
	struct store *store = store_open_readonly(path, error);
	bool ok = store != NULL;

	for (const struct table *const *t = core_tables; ok && *t; t++)
		ok = fill_in(store, *t, absent, error);
	for (const struct plugin *const *p = plugins; ok && *p; p++)
		for (const struct table *const *t = (*p)->fills; ok && *t; t++)
			ok = fill_in(store, *t, absent, error);
	if (!ok || !store_fill_in_views(store, error)) {
		store_close(store);
		return NULL;
	}
	return store;
}
