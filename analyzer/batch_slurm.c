/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch on a cluster: Slurm schedules, we write its scripts.
 *
 * Each task writes cases of its own, never two the same file, so that the folder may lie on a shared file system; a
 * task that is run again finds what is done.
 */
#include <stdio.h>
#include <string.h>
#include "ask.h"
#include "batch.h"
#include "limit.h"

/* Slurm's default MaxArraySize is 1001: beyond it a task takes several dumps. */
#define MAX_TASKS 1000

static char *list_path(const struct batch *batch)
{
	return g_build_filename(batch->folder, "batch.list", NULL);
}

static char *case_note(const struct batch *batch)
{
	return g_build_filename(batch->folder, "batch.case", NULL);
}

bool batch_write_list(const struct batch *batch, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *path = list_path(batch), *note = case_note(batch), *absolute = NULL;

	/* A task of a cluster knows its own dumps alone: the list is its batch's. */
	if (batch->resume && batch->keep_cases && g_file_test(path, G_FILE_TEST_EXISTS))
		return true;
	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (strchr(item->path, '\n')) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "a path with a line break can't be in a list: %s", item->path);
			return false;
		}
		g_string_append_printf(text, "%s\n", item->path);
	}
	if (batch->case_path)
		absolute = g_canonicalize_filename(batch->case_path, NULL);
	return g_file_set_contents(path, text->str, (gssize)text->len, error) &&
	       (!absolute || g_file_set_contents(note, absolute, -1, error));
}

/* In a process of its own: each path, and a zero. */
static bool tell_paths(void *data, FILE *to, GError **error)
{
	const char *path = data;
	AUTO(store) store = store_open_readonly(path, error);
	AUTO(cursor) cursor = store ? cursor_open(store, "SELECT path FROM dumps WHERE path IS NOT NULL ORDER BY dump_id", error) : NULL;
	g_autoptr(GString) paths = g_string_new(NULL);
	g_autoptr(GError) failed = NULL;

	for (uint64_t n = 0; cursor && cursor_next(cursor, &failed); n++) {
		if (n == limit(case_dumps)) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_LIMIT, "%s: holds more than %" G_GUINT64_FORMAT " dumps (case_dumps)", path, n);
			return false;
		}
		g_string_append_printf(paths, "%s%c", cursor_text(cursor, 0), 0);
	}
	if (failed)
		g_propagate_error(error, g_steal_pointer(&failed));
	else if (cursor)
		return fwrite(paths->str, 1, paths->len, to) == paths->len;
	return false;
}

/* Who wrote the case may not have been us: what it names is dumps, neither folders nor lists. */
static bool from_case(struct batch *batch, GError **error)
{
	char *const cases[] = { batch->case_path, NULL };
	struct ask_case q = { { .cases = cases }, store_read_seconds(batch->case_path) + ASK_GRACE, STORE_READ_LIMITS, tell_paths, batch->case_path };
	enum ask_end end;
	GString *said = ask_case(&q, &end, error);

	for (gsize i = 0; end == ASK_DONE && i < said->len; i += strlen(said->str + i) + 1)
		if (said->str[i])
			batch_add(batch, said->str + i);
	g_string_free(said, TRUE);
	return end == ASK_DONE;
}

/* One path a line, as batch_write_list() wrote it. */
static bool from_list(struct batch *batch, const char *path, GError **error)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, error))
		return false;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (**line)
			batch_add(batch, *line);
	return true;
}

bool batch_read_list(struct batch *batch, GError **error)
{
	g_autofree char *path = list_path(batch), *note = case_note(batch);

	if (!g_file_test(path, G_FILE_TEST_EXISTS) && batch->case_path && g_file_test(batch->case_path, G_FILE_TEST_EXISTS))
		return from_case(batch, error);		/* over, and its folder is gone */
	if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: no batch has worked here", batch->folder);
		return false;
	}
	if (!batch->case_path)
		(void)g_file_get_contents(note, &batch->case_path, NULL, NULL);
	return from_list(batch, path, error);
}

static void append_options(GString *s, const struct batch *batch)
{
	for (guint i = 0; i < batch->analyze_options->len; i++) {
		g_autofree char *quoted = g_shell_quote(g_ptr_array_index(batch->analyze_options, i));
		g_string_append_printf(s, " \\\n\t\t--analyze %s", quoted);
	}
	if (batch->log_folder) {
		g_autofree char *quoted = g_shell_quote(batch->log_folder);
		g_string_append_printf(s, " \\\n\t\t--log-dir %s", quoted);
	}
	if (batch->memory_limit)
		g_string_append_printf(s, " \\\n\t\t--memory-limit %" G_GUINT64_FORMAT, batch->memory_limit);
}

static GString *head(const struct slurm_options *o, const char *name, const char *folder)
{
	GString *s = g_string_new("#!/bin/bash\n");

	g_string_append_printf(s, "#SBATCH --job-name=%s\n#SBATCH --cpus-per-task=1\n#SBATCH --requeue\n#SBATCH --open-mode=append\n", name);
	if (o->partition)
		g_string_append_printf(s, "#SBATCH --partition=%s\n", o->partition);
	if (o->memory)
		g_string_append_printf(s, "#SBATCH --mem=%s\n", o->memory);
	if (o->time)
		g_string_append_printf(s, "#SBATCH --time=%s\n", o->time);
	g_string_append_printf(s, "#SBATCH --chdir=%s\n", folder);
	return s;
}

static char *analyze_script(const struct batch *batch, const struct slurm_options *o, const char *program, const char *folder)
{
	GString *s = head(o, "memsieve", folder);
	unsigned tasks = MIN(batch->items->len, MAX_TASKS);
	g_autofree char *quoted = g_shell_quote(program), *where = g_shell_quote(folder);

	g_string_append_printf(s, "#SBATCH --array=1-%u", tasks);
	if (o->array_max)
		g_string_append_printf(s, "%%%d", o->array_max);
	g_string_append_printf(s, "\n#SBATCH --output=slurm-%%A_%%a.out\n"
			       "# One dump a task (more when there are more than %u), each into a case file of its own in this folder. A task that\n"
			       "# failed, was killed or is requeued may be run again at any time: what is done is not done again.\n"
			       "worst=0\n"
			       "for ((line = SLURM_ARRAY_TASK_ID; line <= %u; line += %u)); do\n"
			       "\tdump=$(sed -n \"${line}p\" batch.list)\n"
			       "\t%s batch --resume --jobs 1 --format json --cases %s", MAX_TASKS, batch->items->len, tasks, quoted, where);
	append_options(s, batch);
	g_string_append(s, " -- \"$dump\"\n"
			"\tstatus=$?\n"
			"\t# 3: analysed, with something that could not be read; the case says what.\n"
			"\t[ $status = 0 ] || [ $status = 3 ] || worst=$status\n"
			"done\n"
			"exit $worst\n");
	return g_string_free(s, FALSE);
}

static char *merge_script(const struct batch *batch, const struct slurm_options *o, const char *program, const char *folder)
{
	GString *s = head(o, "memsieve-merge", folder);
	g_autofree char *quoted = g_shell_quote(program), *where = g_shell_quote(folder), *absolute = g_canonicalize_filename(batch->case_path, NULL);
	g_autofree char *out = g_shell_quote(absolute);

	g_string_append_printf(s, "#SBATCH --output=slurm-merge-%%j.out\n"
			       "# When all tasks are over: their cases into one. What failed is listed there, in the table failed_dumps.\n"
			       "%s batch --merge-only --resume --format json --cases %s --case %s", quoted, where, out);
	for (guint i = 0; i < batch->analyze_options->len; i++) {	/* merging has limits, too */
		const char *option = g_ptr_array_index(batch->analyze_options, i);
		g_autofree char *own = g_str_has_prefix(option, "--limit=") ? g_shell_quote(option) : NULL;
		if (own)
			g_string_append_printf(s, " %s", own);
	}
	g_string_append(s, " @batch.list\n"
			"status=$?\n"
			"[ $status = 3 ] || exit $status\n");
	return g_string_free(s, FALSE);
}

static char *submit(const char *script, const char *after, GError **error)
{
	g_autofree char *dependency = after ? g_strconcat("--dependency=afterany:", after, NULL) : NULL;
	const char *argv[] = { "sbatch", "--parsable", after ? dependency : script, after ? script : NULL, NULL };
	g_autofree char *out = NULL, *err = NULL;
	int status = 0;

	if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, error))
		return NULL;
	if (!g_spawn_check_wait_status(status, NULL)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "sbatch %s: %s", script, g_strstrip(err));
		return NULL;
	}
	g_strdelimit(out, ";\n", 0);	/* JOBID;CLUSTER */
	return g_steal_pointer(&out);
}

bool batch_slurm(const struct batch *batch, const struct slurm_options *o, GError **error)
{
	g_autofree char *folder = g_canonicalize_filename(batch->folder, NULL), *program = g_file_read_link("/proc/self/exe", error);
	g_autofree char *analyze = g_build_filename(folder, "analyze.sbatch", NULL), *merge = g_build_filename(folder, "merge.sbatch", NULL);

	if (strpbrk(folder, "\n\"'\\ ")) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: Slurm can't work in a folder with spaces or quotes in its name", folder);
		return false;
	}
	if (!program || g_mkdir_with_parents(folder, 0755) < 0 || !batch_write_list(batch, error)) {
		if (error && !*error)
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: can't be made", folder);
		return false;
	}
	g_autofree char *text = analyze_script(batch, o, program, folder);
	if (!g_file_set_contents_full(analyze, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, error))
		return false;
	if (batch->case_path) {
		g_autofree char *last = merge_script(batch, o, program, folder);
		if (!g_file_set_contents_full(merge, last, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, error))
			return false;
	}
	g_print("%u dumps, scripts in %s\n", batch->items->len, folder);
	if (o->dry_run) {
		printf("sbatch %s%s%s\n", analyze, batch->case_path ? "\nsbatch --dependency=afterany:JOB " : "", batch->case_path ? merge : "");
		return true;
	}
	g_autofree char *job = submit(analyze, NULL, error), *second = NULL;
	if (!job || (batch->case_path && !(second = submit(merge, job, error))))
		return false;
	printf("job %s analyses%s%s%s\nmemsieve batch --status %s\n", job, second ? ", job " : "", second ? second : "", second ? " merges" : "", folder);
	return true;
}
