/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole machines, analysed whole. The input is a description of samples/: `mksample` makes a dump of it, so that what was
 * changed stands behind right checksums, headers and pointers, and lies where a walk comes by: handle tables, pool
 * objects, tokens, VAD trees, page tables, texts, in every container. Mutations are changes of the description.
 *
 * The builder is another process (a description that makes no sense ends it): beside this program's build
 * directory, or $MKSAMPLE.
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "limit.h"
#include "pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

static char *folder, *builder, *description_path, *dump_path, *case_path;
static const struct plugin **sorted;

static void remove_folder(void)
{
	(void)g_unlink(description_path);
	(void)g_unlink(dump_path);
	(void)g_unlink(case_path);
	(void)g_rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const struct { enum limit limit; uint64_t value; } small[] = {	/* so that a hostile machine takes no longer than another */
		{ LIMIT_process_seconds, 5 }, { LIMIT_plugin_seconds, 10 }, { LIMIT_kernel_search, 4096 }, { LIMIT_kernel_search_all, 16384 },
		{ LIMIT_walk_steps, 4096 }, { LIMIT_walk_steps_all, 65536 }, { LIMIT_yara_bytes_process, 1 << 20 }, { LIMIT_yara_bytes, 8 << 20 },
		{ LIMIT_handle_entries, 16384 }, { LIMIT_vad_nodes, 4096 }, { LIMIT_list_entries, 1024 }, { LIMIT_image_headers, 64 },
		{ LIMIT_module_search, 1 << 20 },
	};
	const char *shared = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm" : g_get_tmp_dir(), *named = g_getenv("MKSAMPLE");
	g_autofree char *here = g_path_get_dirname((*argv)[0]), *template = g_strdup_printf("%s/fuzz-sample-XXXXXX", shared);

	(void)argc;
	folder = g_strdup(g_mkdtemp(template));
	builder = named ? g_strdup(named) : g_build_filename(here, "..", "..", "mksample", NULL);
	if (!folder || !g_file_test(builder, G_FILE_TEST_IS_EXECUTABLE))
		g_error("%s: no builder, or no folder for what it makes", builder);
	description_path = g_build_filename(folder, "description", NULL);
	dump_path = g_build_filename(folder, "dump", NULL);
	case_path = g_build_filename(folder, "case.db", NULL);
	atexit(remove_folder);
	for (size_t i = 0; i < G_N_ELEMENTS(small); i++)
		limit_values[small[i].limit] = small[i].value;
	g_setenv("ASAN_OPTIONS", "detect_leaks=0", TRUE);	/* of the builder: its mistakes are nobody's harm */
	sorted = plugin_load(NULL, NULL);
	return 0;
}

static void bound_builder(void *user)
{
	struct rlimit cpu = { 5, 5 }, file = { 64 << 20, 64 << 20 }, none = { 0, 0 };

	(void)user;
	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_FSIZE, &file);
	setrlimit(RLIMIT_CORE, &none);
}

static bool build(const uint8_t *data, size_t size)
{
	char *argv[] = { builder, description_path, dump_path, NULL };
	int status = 0;

	(void)g_unlink(dump_path);
	return g_file_set_contents(description_path, (const char *)data, (gssize)size, NULL) &&
	       g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, bound_builder, NULL, NULL, NULL, &status, NULL) &&
	       !status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options options = { .output = case_path, .jobs = 1, .quiet = TRUE, .command_line = (char *)"fuzz", .sandbox = "none" };
	struct result result;
	GError *error = NULL;

	/* Machines of gigabytes would only be slow. */
	if (g_strstr_len((const char *)data, (gssize)size, "ram=") && !build(data, size))
		return -1;
	if (!g_file_test(dump_path, G_FILE_TEST_EXISTS))
		return -1;
	(void)g_unlink(case_path);
	bool ok = pipeline_analyze(&options, sorted, dump_path, &result, &error);
	if (!ok && !error)
		g_error("failed without a word");
	if (error && !g_utf8_validate(error->message, -1, NULL))
		g_error("a message that is not UTF-8");
	if (ok && result.outcome != OUTCOME_COMPLETE && result.outcome != OUTCOME_PARTIAL)
		g_error("outcome %d", result.outcome);
	g_clear_error(&error);
	(void)g_unlink(dump_path);
	return 0;
}

/* ---- descriptions that differ a little */

static unsigned state;

static unsigned pick(unsigned n)
{
	state = state * 1103515245u + 12345u;
	return n ? (state >> 8) % n : 0;
}

#define PICK(list) ((list)[pick(G_N_ELEMENTS(list))])

static const char *const whats[] = {
	"eprocess", "eprocess", "vad", "vad", "thread", "handle-table", "handle-entries", "handle-entries", "token", "driver", "file", "section", "directory",
	"peb",
};

/* One number of one structure, or a pointer to another one. */
static char *new_poke(char *const *lines)
{
	static const uint64_t values[] = {
		0, 1, 2, 7, 0x7f, 0xff, 0xfff, 0xffff, 0x7fffffff, 0x80000000, UINT32_MAX, UINT64_C(1) << 32, INT64_MAX, UINT64_MAX, UINT64_MAX - 7,
		UINT64_C(0xffff800000000000), UINT64_C(0x7fffffff0000), UINT64_C(0xfffff78000000000), 0x67, 0xe7, 0x63,
	};
	static const unsigned reach[] = { 0x40, 0x80, 0x100, 0x600, 0xc00 }, widths[] = { 1, 2, 4, 8, 8, 8 };
	g_autoptr(GPtrArray) pids = g_ptr_array_new();

	for (char *const *line = lines; *line; line++) {
		const char *pid = g_str_has_prefix(*line, "process ") ? strstr(*line, " pid=") : NULL;
		if (pid)
			g_ptr_array_add(pids, (void *)(pid + 5));
	}
	unsigned pid = pids->len && pick(8) ? (unsigned)g_ascii_strtoull(g_ptr_array_index(pids, pick(pids->len)), NULL, 10) : 4;
	if (!pick(6))
		return g_strdup_printf("defect kind=poke table=%u pid=%u index=%u offset=%u value=0x%" G_GINT64_MODIFIER "x", pick(4), pid, pick(512),
				       pick(512) * 8, pick(2) ? PICK(values) : ((uint64_t)pick(768) << 12 | 0x67));
	const char *what = PICK(whats);
	unsigned offset = pick(PICK(reach)) & ~3u;
	if (pick(3) == 0)
		return g_strdup_printf("defect kind=poke what=%s pid=%u n=%u offset=%u to=%s value=%u", what, pid, pick(16), offset & ~7u, PICK(whats),
				       pick(3) ? pick(0x80) * 8 : 0);
	return g_strdup_printf("defect kind=poke what=%s pid=%u n=%u offset=%u value=0x%" G_GINT64_MODIFIER "x width=%u", what, pid, pick(16), offset,
			       pick(4) ? PICK(values) : pick(0x10000), PICK(widths));
}

static char *new_output(void)
{
	static const char *const formats[] = {
		"raw", "lime", "elf", "full", "full unsorted", "kernel", "triage", "bitmap-full", "bitmap-kernel", "bitmap-kernel live", "automatic", "complete",
	};

	return g_strdup_printf("output format=%s", PICK(formats));
}

/* A text of the line becomes a hostile one. */
static char *hostile_text(const char *line)
{
	static const char *const texts[] = {
		"'; DROP TABLE processes;--", "=cmd|x", "../../../../etc/passwd", "%s%n%d{name}", "\x1b]0;owned\x07", "\xe2\x80\xaegpj.exe", "\\", "A",
		"\xf0\x9f\x92\xa9", "\xef\xbf\xbf",
	};
	static const char *const keys[] = { " name=", " path=", " cmdline=", " file=" };
	const char *key = PICK(keys), *at = strstr(line, key);

	if (!at)
		return g_strdup(line);
	const char *end = at + strlen(key) + strcspn(at + strlen(key), " ");
	bool bracket = strchr("'\"", at[strlen(key)]) != NULL && at[strlen(key)];
	if (bracket)
		return g_strdup(line);
	return g_strdup_printf("%.*s%s\"%s\"%s", (int)(at - line), line, key, PICK(texts), end);
}

static void mutate(GPtrArray *lines)
{
	unsigned how = pick(10), at = pick(lines->len);
	char *line = lines->len ? g_ptr_array_index(lines, at) : NULL;

	if (how < 5 || !line) {
		g_ptr_array_add(lines, NULL);
		char *poke = new_poke((char *const *)lines->pdata);
		g_ptr_array_set_size(lines, (int)lines->len - 1);
		g_ptr_array_add(lines, poke);
	} else if (how == 5) {
		g_ptr_array_remove_index(lines, at);
	} else if (how == 6 && !strstr(line, "machine") && !strstr(line, "process")) {
		g_ptr_array_insert(lines, (int)at, g_strdup(line));
	} else if (how == 7) {
		for (guint i = lines->len; i--; )
			if (g_str_has_prefix(g_ptr_array_index(lines, i), "output "))
				g_ptr_array_remove_index(lines, i);
		g_ptr_array_add(lines, new_output());
	} else if (how == 8) {
		lines->pdata[at] = hostile_text(line);
		g_free(line);
	} else {	/* two defects change places */
		unsigned other = pick(lines->len);
		lines->pdata[at] = lines->pdata[other];
		lines->pdata[other] = line;
	}
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_auto(GStrv) split = g_strsplit(text, "\n", 500);
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);

	state = seed;
	for (char **line = split; *line; line++)
		if (**line && **line != '#' && !g_str_has_prefix(*line, "expect"))
			g_ptr_array_add(lines, g_strdup(*line));
	for (unsigned n = 1 + pick(3); n; n--)
		mutate(lines);
	g_ptr_array_add(lines, NULL);
	g_autofree char *out = g_strjoinv("\n", (char **)lines->pdata);
	size_t length = strlen(out);
	if (length + 1 > max_size)
		return size;
	memcpy(data, out, length);
	data[length] = '\n';
	return length + 1;
}
