/* SPDX-License-Identifier: Apache-2.0 */
/* Which dumps a batch is of. */
#include <string.h>
#include <sys/stat.h>
#include "ask.h"
#include "batch.h"
#include "dump_like.h"
#include "limit.h"

/* What is said of a file; CUT: no dump was found in as many members of an archive as are looked at, LATE: nor in the time there is; SHUT: it can't be read. */
enum answer { NO = '0', YES = '1', CUT = '2', LATE = '3', SHUT = '4' };

/* A snapshot's or suspended machine's state beside its memory: the memory is the dump. */
static bool is_companion(const char *path)
{
	static const char *const states[] = { ".vmss", ".vmsn" };

	for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
		if (g_str_has_suffix(path, states[i])) {
			g_autofree char *memory = g_strdup_printf("%.*s.vmem", (int)(strlen(path) - strlen(states[i])), path);
			return g_file_test(memory, G_FILE_TEST_EXISTS);
		}
	return false;
}

/* Without its packer's extension; NULL when it has none. */
static char *packed_name(const char *path)
{
	static const char *const packers[] = { ".gz", ".xz", ".zst", ".bz2", ".lz4" };

	for (size_t i = 0; i < G_N_ELEMENTS(packers); i++)
		if (g_str_has_suffix(path, packers[i]))
			return g_strndup(path, strlen(path) - strlen(packers[i]));
	return g_str_has_suffix(path, ".zip") ? g_strdup(path) : NULL;
}

/* A packed dump: the first bytes of what is in it. */
static enum answer packed_dump(const struct file *packed)
{
	g_autofree char *name = packed_name(packed->path);
	struct archive_entry *entry;
	struct packed p;
	bool found = false;

	if (!name || !packed_open(&p, packed, packed_clock() + (int64_t)MIN(limit(look_seconds), 1u << 30) * G_USEC_PER_SEC))
		return NO;
	while (!found && packed_next(&p, &entry) == ARCHIVE_OK)
		found = dump_like_member(&p, entry, name);
	packed_close(&p);
	return found ? YES : p.bound == PACKED_LATE ? LATE : p.bound ? CUT : NO;
}

static enum answer look_at(const char *path)
{
	if (is_companion(path))
		return NO;
	g_autoptr(GError) error = NULL;
	struct file *file = file_open(path, &error);
	if (!file)
		return g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO) ? SHUT : NO;
	enum answer answer = dump_like(file) ? YES : packed_dump(file);
	file_close(file);
	return answer;
}

struct question { const GPtrArray *names; guint first; };

/* An answer for each file from `first` on: whoever wrote them may have written them for who looks. */
static void answer_all(void *question, FILE *to)
{
	const struct question *q = question;
	AUTO(sandbox) sandbox = sandbox_create();

	for (guint i = q->first; i < q->names->len; i++)
		sandbox_read(sandbox, g_ptr_array_index(q->names, i));
	(void)sandbox_enter(sandbox, false);
	for (guint i = q->first; i < q->names->len; i++) {
		fputc(look_at(g_ptr_array_index(q->names, i)), to);
		fflush(to);	/* what ends us now is the next file */
	}
}

void batch_add(struct batch *batch, const char *path)
{
	struct stat st = { .st_size = 0 };
	g_autofree char *absolute = g_canonicalize_filename(path, NULL), *base = g_path_get_basename(path);
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, absolute, -1);

	if (g_hash_table_contains(batch->paths, absolute))
		return;
	struct batch_item *item = g_new0(struct batch_item, 1);
	(void)stat(path, &st);
	item->path = g_steal_pointer(&absolute);
	item->size = (uint64_t)st.st_size;
	item->progress = item->log = -1;
	/* The file's name to be read, and its path's hash to tell those of one name apart. */
	for (char *p = base; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
			*p = '_';
	item->name = g_strdup_printf("%.80s-%.10s", base[0] == '.' ? base + 1 : base, sum);
	g_ptr_array_add(batch->items, item);
	g_hash_table_add(batch->paths, item->path);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void leave_out(struct batch *batch, const char *name, const char *why)
{
	g_printerr("memsieve: %s: %s: left out\n", name, why);
	batch->left_out = true;
}

static void take(struct batch *batch, const char *name, enum answer answer)
{
	/* Whoever may name one file must not keep all others from being analysed. */
	if (answer == YES && strchr(name, '\n'))
		leave_out(batch, name, "a path with a line break can't be in a batch's list");
	else if (answer == YES)
		batch_add(batch, name);
	else if (answer == CUT)
		leave_out(batch, name, "an archive of more files than are looked at (archive_members), the first ones no dumps");
	else if (answer == LATE)
		leave_out(batch, name, "looking for a dump in it takes too long (look_seconds)");
	else if (answer == SHUT)
		leave_out(batch, name, "it can't be read, and may be a dump");
}

/* Folders below, in order of their paths; links to folders are not followed. */
static bool search(struct batch *batch, const char *folder, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free), below = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(below, g_strdup(folder));
	for (guint i = 0; i < below->len; i++) {
		const char *path = g_ptr_array_index(below, i);
		g_autoptr(GDir) dir = g_dir_open(path, 0, i ? NULL : error);
		if (!dir && !i)
			return false;
		if (!dir)
			leave_out(batch, path, "a folder that can't be read");
		for (const char *name; dir && (name = g_dir_read_name(dir)); ) {
			g_autofree char *full = g_build_filename(path, name, NULL);
			if (g_file_test(full, G_FILE_TEST_IS_DIR)) {
				if (!g_file_test(full, G_FILE_TEST_IS_SYMLINK))
					g_ptr_array_add(below, g_steal_pointer(&full));
			} else if (g_file_test(full, G_FILE_TEST_IS_REGULAR)) {
				g_ptr_array_add(names, g_steal_pointer(&full));
			}
		}
	}
	g_ptr_array_sort(names, compare_strings);
	for (guint i = 0; i < names->len; i++) {	/* once, but for files that end the child */
		struct question question = { names, i };
		int status;
		bool silent;
		GString *said = ask(answer_all, &question, names->len - i, &status, &silent, error);
		if (!said)
			return false;
		for (gsize k = 0; k < said->len; k++)
			take(batch, g_ptr_array_index(names, i++), (enum answer)said->str[k]);
		g_string_free(said, TRUE);
		if (i < names->len)
			leave_out(batch, g_ptr_array_index(names, i), "the process that looked at it ended");
	}
	return true;
}

static bool find(struct batch *batch, const char *path, GError **error)
{
	if (g_file_test(path, G_FILE_TEST_IS_DIR))
		return search(batch, path, error);
	/* A file that is missing fails as a dump: the others go on. */
	batch_add(batch, path);
	return true;
}

static bool is_list(const char *argument)
{
	return argument[0] == '@' && !g_file_test(argument, G_FILE_TEST_EXISTS);
}

static bool find_listed(struct batch *batch, const char *line, GError **error)
{
	if (!is_list(line))
		return find(batch, line, error);
	/* They might name each other. */
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: a list in a list", line);
	return false;
}

static bool from_list(struct batch *batch, const char *list, GError **error)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(list, &text, NULL, error))
		return false;
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_strchomp(*line);
		if (**line && !find_listed(batch, *line, error)) {
			g_prefix_error(error, "%s: ", list);
			return false;
		}
	}
	return true;
}

bool batch_find(struct batch *batch, const char *argument, GError **error)
{
	return is_list(argument) ? from_list(batch, argument + 1, error) : find(batch, argument, error);
}
