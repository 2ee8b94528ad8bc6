/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve query: a named query or any SELECT on a case. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "command.h"
#include "listing.h"
#include "pipeline.h"
#include "queries.h"
#include "sandbox.h"

struct query_options {
	char *format;
	char **folders, **set;
	gint64 dump_id;
	gboolean list, json, no_sandbox;
};

static void options_clear(struct query_options *o)
{
	g_free(o->format);
	g_strfreev(o->folders);
	g_strfreev(o->set);
}

static int usage_error(const char *message)
{
	g_printerr("memsieve query: %s (see `memsieve query --help`)\n", message);
	return OUTCOME_USAGE;
}

static void list(const GPtrArray *queries)
{
	for (guint i = 0; i < queries->len; i++) {
		const struct named_query *q = g_ptr_array_index(queries, i);
		printf("%-20s %s\n", q->name, q->about ? q->about : "");
		for (guint j = 0; j < q->parameters->len; j++) {
			const struct query_parameter *p = g_ptr_array_index(q->parameters, j);
			printf("%-20s   --set %s=%s: %s\n", "", p->name, p->value, p->about);
		}
	}
	puts("\n--dump ID keeps any of them to one dump. The .sql files are commented; --queries DIR adds yours.");
}

static bool bind_settings(struct cursor *cursor, char **set, GError **error)
{
	for (; set && *set; set++) {
		const char *equals = strchr(*set, '=');
		g_autofree char *name = g_strndup(*set, equals ? (gsize)(equals - *set) : strlen(*set));
		char *end = NULL;
		bool ok = false;
		if (equals) {
			gint64 number = g_ascii_strtoll(equals + 1, &end, 10);
			ok = equals[1] && !*end ? cursor_bind_int(cursor, name, number) : cursor_bind_text(cursor, name, equals + 1);
		}
		if (!ok) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, equals ? "the query has no parameter '%s'" :
				    "--set is NAME=VALUE, not '%s'", name);
			return false;
		}
	}
	return true;
}

static bool is_word(char c)
{
	return g_ascii_isalnum(c) || c == '_';
}

/* Is the table's name, or its view's, a word of the query? */
static bool mentions(const char *sql, const char *table)
{
	size_t length = strlen(table);

	for (const char *p = sql; *p; p++) {
		const char *name = p;
		if (p != sql && is_word(p[-1]))
			continue;
		if (!g_ascii_strncasecmp(name, "v_", 2))
			name += 2;
		if (!g_ascii_strncasecmp(name, table, length) && !is_word(name[length]))
			return true;
	}
	return false;
}

static unsigned terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

static int query(const char *path, const char *what, const GPtrArray *queries, const struct query_options *o, enum listing listing)
{
	const struct named_query *named = queries_find(queries, what);
	g_autoptr(GPtrArray) absent = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	int outcome = OUTCOME_COMPLETE;
	int64_t rows;

	if (!named && !strpbrk(what, " \t\n")) {
		g_autofree char *message = g_strdup_printf("there is no query '%s'; --list names them", what);
		return usage_error(message);
	}
	const char *sql = named ? named->sql : what;
	struct store *store = case_open(path, absent, &error);
	if (!store) {
		g_printerr("memsieve: %s\n", error->message);
		return OUTCOME_FAILED;
	}
	struct cursor *cursor = cursor_open(store, sql, &error);
	if (cursor && !cursor_readonly(cursor))
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "a case is evidence: only queries that change nothing are run");
	for (guint i = 0; i < absent->len && cursor; i++)
		if (mentions(sql, g_ptr_array_index(absent, i))) {
			g_printerr("memsieve: the case has no table %s (an older memsieve made it); it counts as empty here\n",
				   (char *)g_ptr_array_index(absent, i));
			outcome = OUTCOME_PARTIAL;
		}
	if (cursor && !error) {
		if (named)
			query_bind_defaults(named, cursor);
		else
			cursor_share(cursor, 0);
		if (o->dump_id && !cursor_bind_int(cursor, "dump_id", o->dump_id))
			g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "the query has no parameter 'dump_id' for --dump");
		if (!error && bind_settings(cursor, o->set, &error))
			listing_print(stdout, cursor, listing, terminal_width(), &rows, &error);
	}
	cursor_close(cursor);
	store_close(store);
	if (!error && !stream_end(stdout))
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "can't write the result: %s", g_strerror(errno));
	if (error) {
		g_printerr("memsieve: %s%s%s\n", named ? named->file : "", named ? ": " : "", error->message);
		return g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE) ? OUTCOME_USAGE : OUTCOME_FAILED;
	}
	return outcome;
}

static int run(int argc, char **argv)
{
	struct query_options o = { .format = NULL };
	const GOptionEntry entries[] = {
		{ "format", 'f', 0, G_OPTION_ARG_STRING, &o.format, "table (default), csv, json or jsonl", "FORMAT" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &o.json, "as --format=json", NULL },
		{ "dump", 'd', 0, G_OPTION_ARG_INT64, &o.dump_id, "of this dump alone", "ID" },
		{ "set", 's', 0, G_OPTION_ARG_STRING_ARRAY, &o.set, "value of a query's parameter", "NAME=VALUE" },
		{ "queries", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o.folders, "folder of more named queries (*.sql)", "DIR" },
		{ "list", 'l', 0, G_OPTION_ARG_NONE, &o.list, "the named queries and what they show", NULL },
		COMMAND_LIMIT,
		{ "no-sandbox", 0, 0, G_OPTION_ARG_NONE, &o.no_sandbox, "keep all the user's rights while reading the case", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("CASE.db NAME | 'SELECT …'");
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	enum listing listing = LISTING_TABLE;
	int status = OUTCOME_COMPLETE;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, "Ask a case. Without a name: triage.");
	if (!g_option_context_parse(context, &argc, &argv, &error))
		status = usage_error(error->message);
	else if (o.format && !listing_from_name(o.format, &listing))
		status = usage_error("--format is table, csv, json or jsonl");
	else if (!o.list && (argc < 2 || argc > 3))
		status = usage_error(argc < 2 ? "no case given" : "one query at a time: quote the SELECT");
	if (o.json)
		listing = LISTING_JSON;
	if (status == OUTCOME_COMPLETE) {
		g_autoptr(GPtrArray) queries = queries_load(o.folders, problems);
		for (guint i = 0; i < problems->len; i++)
			g_printerr("memsieve: query left out: %s\n", (char *)g_ptr_array_index(problems, i));
		char *cases[] = { argc > 1 ? argv[1] : NULL, NULL };
		if (!o.list && !o.no_sandbox)
			(void)sandbox_confine(&(struct sandbox_files){ .cases = cases }, false);
		if (o.list)
			list(queries);
		else
			status = query(argv[1], argc > 2 ? argv[2] : "triage", queries, &o, listing);
	}
	options_clear(&o);
	return status;
}

const struct command command_query = {
	.name = "query",
	.usage = "query CASE.db [NAME | 'SELECT …']",
	.doc = "ask a case: named queries (--list) or SQL",
	.run = run,
};
