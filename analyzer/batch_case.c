/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a batch does with cases. A case was written by a worker who had read a dump that may be hostile, so whoever reads
 * it may be its prey: each time it is a process of its own, confined, that answers in bytes which can say nothing else.
 */
#include "ask.h"
#include "batch.h"
#include <string.h>
#include <sys/stat.h>
#include "limit.h"

#define TIME_LIMITS "merge_seconds, merge_seconds_gib"

/* A case can be made that takes for ever: each row that is no dump's is looked for among those that are there. */
static uint64_t seconds_for(const char *path)
{
	struct stat st;
	const uint64_t size = path && !stat(path, &st) && st.st_size > 0 ? (uint64_t)st.st_size : 0;

	return limit_for(merge_seconds, size);
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

struct look { const struct batch *batch; guint first, n; bool own_only; };

static bool look(void *data, FILE *to, GError **error)
{
	const struct look *l = data;
	const struct batch *batch = l->batch;
	struct store *store = NULL;
	struct stat st;

	/* An empty one is nobody's case yet: whoever made it was killed, or is mktemp. */
	if (!l->own_only && batch->case_path && !stat(batch->case_path, &st) && (st.st_size || !S_ISREG(st.st_mode))) {
		store = store_open_readonly(batch->case_path, error);
		if (!store)
			return false;
		store_unbounded(store);
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
static GPtrArray *cases_of(const struct look *l)
{
	const struct batch *batch = l->batch;
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
		g_autoptr(GPtrArray) paths = cases_of(&l);
		g_autoptr(GError) why = NULL;
		struct ask_case q = { { .cases = (char **)paths->pdata }, seconds_for(batch->case_path), TIME_LIMITS, look, &l };
		enum ask_end end;

		if (!q.files.cases[0])
			return true;
		GString *said = ask_case(&q, &end, &why);
		for (gsize k = 0; k < said->len && l.n; k++, l.first++, l.n--)
			take_answer(g_ptr_array_index(batch->items, l.first), said->str[k]);
		g_string_free(said, TRUE);
		if (end == ASK_TOLD)
			g_propagate_error(error, g_steal_pointer(&why));
		if (end != ASK_ENDED || !l.n)
			return end != ASK_TOLD;
	}
	return true;
}

bool batch_case_look(struct batch *batch, GError **error)
{
	return look_at(batch, (struct look){ batch, 0, batch->items->len, false }, error);
}

bool batch_case_look_again(struct batch *batch, struct batch_item *item)
{
	guint index;

	return g_ptr_array_find(batch->items, item, &index) && look_at(batch, (struct look){ batch, index, 1, true }, NULL) && item->found == FOUND_IN_OWN;
}

/* ---- the case of all */

/* What is written into it. */
static struct ask_case writing(const struct batch *batch, bool (*work)(void *data, FILE *to, GError **error), void *data, char *const *cases,
			       const char *folder)
{
	return (struct ask_case){ { .cases = cases, .write = folder, .owned = batch->case_path }, seconds_for(cases ? cases[0] : batch->case_path),
				  TIME_LIMITS, work, data };
}

struct merging { const struct batch *batch; char *own; const struct batch_item *item; };

static bool merge(void *data, FILE *to, GError **error)
{
	const struct merging *m = data;
	g_autofree char *path = g_utf8_make_valid(m->item->path, -1);	/* as cases have it */
	struct store *out = merge_open(m->batch->case_path, error);
	struct merge_result result = { 0 };

	if (!out)
		return false;
	fputc('o', to);		/* from now on it is the dump's own case that can't be merged */
	fflush(to);
	bool ok = merge_add_one(out, m->own, path, m->batch->replace, &result, error);
	store_close(out);
	if (ok)
		fputc(result.dumps ? 'm' : 'd', to);
	return ok;
}

enum batch_merge batch_case_merge(const struct batch *batch, const struct batch_item *item, GError **error)
{
	g_autofree char *own = batch_file(batch, item, ".db"), *folder = g_path_get_dirname(batch->case_path);
	char *const cases[] = { own, NULL };
	struct merging m = { batch, own, item };
	struct ask_case q = writing(batch, merge, &m, cases, folder);
	enum ask_end end;
	GString *said = ask_case(&q, &end, error);
	enum batch_merge merged = end == ASK_DONE ? !strcmp(said->str, "om") ? MERGE_MERGED : MERGE_DUPLICATE : said->len ? MERGE_REFUSED : MERGE_IMPOSSIBLE;

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

static bool finish(void *data, FILE *to, GError **error)
{
	const struct batch *batch = data;
	struct store *out = merge_open(batch->case_path, error);
	bool ok = out && store_begin(out, error) && keep_failures(batch, out, error) && store_commit(out, error) && merge_check(out, error);

	(void)to;
	store_close(out);
	return ok;
}

bool batch_case_finish(const struct batch *batch, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(batch->case_path);
	struct ask_case q = writing(batch, finish, (void *)batch, NULL, folder);
	enum ask_end end;

	g_string_free(ask_case(&q, &end, error), TRUE);
	return end == ASK_DONE;
}
