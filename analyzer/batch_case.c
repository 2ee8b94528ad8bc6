/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch does with cases. A case was written by a worker who had read a dump that may be hostile, so whoever reads
 * it may be its prey: each time it is a process of its own, confined, that answers in bytes which can say nothing else.
 */
#include "batch.h"
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "limit.h"
#include "sandbox.h"

#define MAX_WORDS 4096		/* of an error */
#define MAX_ANSWER (1 << 26)	/* all of it: a byte a dump, and an error */
#define SAYS_DONE '.'		/* the last byte */
#define SAYS_WHY '!'		/* and the error's code and message behind it */

/* In the child. What it answers it writes to `to`. */
typedef bool (*case_work)(const struct batch *batch, void *data, FILE *to, GError **error);

struct question {
	const struct batch *batch;
	struct sandbox_files files;
	uint64_t seconds;	/* of processor time, at most */
	case_work work;
	void *data;
};

static void answer(void *question, FILE *to)
{
	const struct question *q = question;
	g_autoptr(GError) error = NULL;
	struct rlimit now;

	/* Ctrl-C is for the batch, which waits for what was begun. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (!getrlimit(RLIMIT_CPU, &now) && now.rlim_cur > q->seconds)
		(void)setrlimit(RLIMIT_CPU, &(struct rlimit){ q->seconds, now.rlim_max });
	(void)sandbox_confine(&q->files, false);
	if (q->work(q->batch, q->data, to, &error))
		fputc(SAYS_DONE, to);
	else
		fprintf(to, "%c%d %s", SAYS_WHY, error ? error->code : MEMSIEVE_ERROR_STORE, error ? error->message : "?");
}

/* A case can be made that takes for ever: each row that is no dump's is looked for among those that are there. */
static uint64_t seconds_for(const char *path)
{
	struct stat st;
	const uint64_t size = path && !stat(path, &st) && st.st_size > 0 ? (uint64_t)st.st_size : 0;

	return limit_for(merge_seconds, size);
}

enum end { DONE, TOLD, ENDED };

/* What was answered before the end, and which it was: it is done, *error says why it can't be, or the process just ended, and *error says so. */
static GString *ask(struct question *q, enum end *end, GError **error)
{
	int status;
	GString *said = batch_ask(answer, q, MAX_ANSWER, &status, error);

	*end = TOLD;
	if (!said)
		return g_string_new(NULL);
	char *told = memchr(said->str, SAYS_WHY, said->len), *words = NULL;
	if (said->len && said->str[said->len - 1] == SAYS_DONE) {
		*end = DONE;
		g_string_truncate(said, said->len - 1);
	} else if (told) {
		gint64 code = g_ascii_strtoll(told + 1, &words, 10);
		g_autofree char *valid = g_utf8_make_valid(words, (gssize)MIN(strlen(words), MAX_WORDS));
		g_set_error(error, MEMSIEVE_ERROR, CLAMP(code, 0, MEMSIEVE_ERROR_TIMEOUT), "%s", g_strstrip(valid));
		g_string_truncate(said, (gsize)(told - said->str));
	} else {
		*end = ENDED;
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "the process that read its case ended: %s%s",
			    WIFSIGNALED(status) ? g_strsignal(WTERMSIG(status)) : "without a word",
			    WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU ? " (merge_seconds, merge_seconds_gib)" : "");
	}
	return said;
}

/* ---- what is done already */

/* Where a finished run of a dump was found, and how it ended. */
enum answers { NOWHERE = '-', IN_CASE = 'c', IN_OWN = 'o', IN_PART = 'p', PARTIAL_IN_CASE = 'C', PARTIAL_IN_OWN = 'O', PARTIAL_IN_PART = 'P' };

/* A finished run of this very file in a case? */
static int find_run(struct store *store, const struct batch_item *item, int complete, int partial)
{
	g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, item->size);
	g_autofree char *status = !store ? NULL : store_value(store, "SELECT r.status FROM dumps d JOIN runs r USING (dump_id) WHERE d.path = ?"
		" AND d.size = CAST(? AS INTEGER) AND r.finished_at IS NOT NULL ORDER BY r.run_id DESC LIMIT 1", item->path, size, NULL);

	return !g_strcmp0(status, "complete") ? complete : !g_strcmp0(status, "partial") ? partial : NOWHERE;
}

static int find_run_in(const char *path, const struct batch_item *item, int complete, int partial)
{
	struct store *store = g_file_test(path, G_FILE_TEST_EXISTS) ? store_open_readonly(path, NULL) : NULL;
	int found = find_run(store, item, complete, partial);

	store_close(store);
	return found;
}

struct look { guint first, n; bool own_only; };

static bool look(const struct batch *batch, void *data, FILE *to, GError **error)
{
	const struct look *l = data;
	struct store *store = NULL;
	struct stat st;

	/* An empty one is nobody's case yet: whoever made it was killed, or is mktemp. */
	if (!l->own_only && batch->case_path && !stat(batch->case_path, &st) && (st.st_size || !S_ISREG(st.st_mode))) {
		store = store_open_readonly(batch->case_path, error);
		if (!store)
			return false;
	}
	for (guint i = l->first; i < l->first + l->n; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		g_autofree char *own = batch_file(batch, item, ".db"), *part = batch_file(batch, item, ".part");
		int found = find_run(store, item, IN_CASE, PARTIAL_IN_CASE);
		if (found == NOWHERE)
			found = find_run_in(own, item, IN_OWN, PARTIAL_IN_OWN);
		if (found == NOWHERE && !l->own_only && item->state != BATCH_RUNNING)
			found = find_run_in(part, item, IN_PART, PARTIAL_IN_PART);
		fputc(found, to);
		fflush(to);	/* what ends us now is the next one's case */
	}
	store_close(store);
	return true;
}

static void add_case(GPtrArray *paths, char *path)
{
	if (g_file_test(path, G_FILE_TEST_EXISTS))
		g_ptr_array_add(paths, path);
	else
		g_free(path);
}

/* Those that are there. */
static GPtrArray *cases_of(const struct batch *batch, const struct look *l)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);

	if (!l->own_only && batch->case_path)
		add_case(paths, g_strdup(batch->case_path));
	for (guint i = l->first; i < l->first + l->n; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		add_case(paths, batch_file(batch, item, ".db"));
		if (!l->own_only)
			add_case(paths, batch_file(batch, item, ".part"));
	}
	g_ptr_array_add(paths, NULL);
	return paths;
}

static void take_answer(struct batch_item *item, char said)
{
	const char where = g_ascii_tolower(said);

	item->found = where == IN_CASE ? FOUND_IN_CASE : where == IN_OWN ? FOUND_IN_OWN : where == IN_PART ? FOUND_IN_PART : FOUND_NOWHERE;
	if (item->found != FOUND_NOWHERE)
		item->state = g_ascii_isupper(said) ? BATCH_PARTIAL : BATCH_COMPLETE;
}

static bool look_at(struct batch *batch, struct look l, GError **error)
{
	for (guint i = 0; i < l.n; i++)
		((struct batch_item *)g_ptr_array_index(batch->items, l.first + i))->found = FOUND_NOWHERE;
	for (; l.n; l.first++, l.n--) {		/* once, but for cases that end who reads them */
		g_autoptr(GPtrArray) paths = cases_of(batch, &l);
		g_autoptr(GError) why = NULL;
		struct question q = { batch, { .cases = (char **)paths->pdata }, seconds_for(batch->case_path), look, &l };
		enum end end;

		if (!q.files.cases[0])
			return true;
		GString *said = ask(&q, &end, &why);
		for (gsize k = 0; k < said->len && l.n; k++, l.first++, l.n--)
			take_answer(g_ptr_array_index(batch->items, l.first), said->str[k]);
		g_string_free(said, TRUE);
		if (end == TOLD)
			g_propagate_error(error, g_steal_pointer(&why));
		if (end != ENDED || !l.n)
			return end != TOLD;
	}
	return true;
}

bool batch_case_look(struct batch *batch, GError **error)
{
	return look_at(batch, (struct look){ 0, batch->items->len, false }, error);
}

bool batch_case_look_again(struct batch *batch, struct batch_item *item)
{
	guint index;

	return g_ptr_array_find(batch->items, item, &index) && look_at(batch, (struct look){ index, 1, true }, NULL) && item->found == FOUND_IN_OWN;
}

/* ---- the case of all */

/* What is written into it. */
static struct question writing(const struct batch *batch, case_work work, void *data, char *const *cases, const char *folder)
{
	return (struct question){ batch, { .cases = cases, .write = folder, .owned = batch->case_path }, seconds_for(cases ? cases[0] : batch->case_path),
				  work, data };
}

struct merging { char *own; const struct batch_item *item; };

static bool merge(const struct batch *batch, void *data, FILE *to, GError **error)
{
	const struct merging *merging = data;
	g_autofree char *path = g_utf8_make_valid(merging->item->path, -1);	/* as cases have it */
	const struct merge_dump only = { path, merging->item->size };
	struct store *out = merge_open(batch->case_path, error);
	struct merge_result result = { 0, 0 };

	if (!out)
		return false;
	fputc('o', to);		/* from now on it is the dump's own case that can't be merged */
	fflush(to);
	bool ok = merge_add_one(out, merging->own, &only, batch->replace, &result, error);
	store_close(out);
	if (ok)
		fputc(result.dumps ? 'm' : 'd', to);
	return ok;
}

enum batch_merge batch_case_merge(const struct batch *batch, const struct batch_item *item, GError **error)
{
	g_autofree char *own = batch_file(batch, item, ".db"), *folder = g_path_get_dirname(batch->case_path);
	char *const cases[] = { own, NULL };
	struct merging merging = { own, item };
	struct question q = writing(batch, merge, &merging, cases, folder);
	enum end end;
	GString *said = ask(&q, &end, error);
	enum batch_merge merged = end == DONE ? !strcmp(said->str, "om") ? MERGE_MERGED : MERGE_DUPLICATE : said->len ? MERGE_REFUSED : MERGE_IMPOSSIBLE;

	g_string_free(said, TRUE);
	return merged;
}

static bool keep_failures(const struct batch *batch, struct store *out, GError **error)
{
	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		g_autofree char *size = g_strdup_printf("%" G_GUINT64_FORMAT, item->size);
		if (item->state == BATCH_FAILED &&
		    (!store_exec(out, error, "DELETE FROM failed_dumps WHERE path = ?", item->path, NULL) ||
		     !store_exec(out, error, "INSERT INTO failed_dumps(path, size, message, failed_at) VALUES (?, CAST(? AS INTEGER), ?,"
				 " strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))", item->path, size, item->message ? item->message : "", NULL)))
			return false;
		if (item->merged && !store_exec(out, error, "DELETE FROM failed_dumps WHERE path = ?", item->path, NULL))
			return false;
	}
	return true;
}

static bool finish(const struct batch *batch, void *data, FILE *to, GError **error)
{
	struct store *out = merge_open(batch->case_path, error);
	bool ok = out && store_begin(out, error) && keep_failures(batch, out, error) && store_commit(out, error) && merge_check(out, error);

	(void)data, (void)to;
	store_close(out);
	return ok;
}

bool batch_case_finish(const struct batch *batch, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(batch->case_path);
	struct question q = writing(batch, finish, NULL, NULL, folder);
	enum end end;

	g_string_free(ask(&q, &end, error), TRUE);
	return end == DONE;
}
