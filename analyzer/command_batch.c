/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve batch: many dumps, in parallel, one worker process a dump. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "batch.h"
#include "command.h"
#include "limit.h"

/* A worker's share of memory when nothing is said: what a dump of some gigabytes needs, with room. */
#define WORKER_MEMORY (G_GUINT64_CONSTANT(1) << 30)
#define MIN_MEMORY (G_GUINT64_CONSTANT(128) << 20)

struct batch_options {
	char *case_path, *cases, *log_folder, *memory, *format, *status;
	char *partition, *slurm_memory, *slurm_time;
	char **analyze, **rules, **yara, **symbols, **limits;
	int jobs, array_max;
	gboolean resume, replace, merge_only, slurm, dry_run, json, quiet;
};

static void on_signal(int signal_number)
{
	if (pipeline_interrupted)	/* the second time they mean it; workers die with us */
		_exit(128 + signal_number);
	pipeline_interrupted = 1;
}

static int usage_error(const char *message)
{
	g_printerr("memsieve batch: %s (see `memsieve batch --help`)\n", message);
	return OUTCOME_USAGE;
}

/* 4G, 512M, or bytes; 0: no size. */
static uint64_t parse_size(const char *text)
{
	char *end = NULL;
	guint64 n = g_ascii_strtoull(text, &end, 10);
	unsigned shift = 0;

	if (end == text || *text == '-')
		return 0;
	if (*end) {
		const char *at = strchr("KMGT", g_ascii_toupper(*end));
		if (!at || (end[1] && g_ascii_strcasecmp(end + 1, "iB") && g_ascii_strcasecmp(end + 1, "B")))
			return 0;
		shift = 10 * (unsigned)(at - "KMGT" + 1);
	}
	return n > (UINT64_MAX >> shift) ? 0 : n << shift;
}

/* MemAvailable, or what a container leaves us; 0: not known. */
static uint64_t available_memory(void)
{
	g_autofree char *info = NULL, *limit = NULL;
	uint64_t available = 0, most = 0;

	if (g_file_get_contents("/proc/meminfo", &info, NULL, NULL)) {
		const char *line = strstr(info, "MemAvailable:");
		available = line ? g_ascii_strtoull(line + strlen("MemAvailable:"), NULL, 10) << 10 : 0;
	}
	if (g_file_get_contents("/sys/fs/cgroup/memory.max", &limit, NULL, NULL))
		most = g_ascii_strtoull(limit, NULL, 10);
	return most && (!available || most < available) ? most : available;
}

static bool settle_jobs(struct batch *batch, const struct batch_options *o, GError **error)
{
	uint64_t memory = o->memory ? parse_size(o->memory) : available_memory(), share = o->memory ? MIN_MEMORY : WORKER_MEMORY;

	if (o->jobs < 0 || o->jobs > 1024 || (o->memory && memory < MIN_MEMORY)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, o->memory && memory < MIN_MEMORY ?
			    "--memory-limit is a size of at least 128M, such as 8G" : "--jobs is a number of workers, 1 to 1024");
		return false;
	}
	batch->jobs = o->jobs ? (unsigned)o->jobs : g_get_num_processors();
	if (memory && (!o->jobs || o->memory))
		batch->jobs = (unsigned)CLAMP(memory / share, 1, batch->jobs);
	batch->memory_limit = o->memory ? memory : 0;
	return true;
}

static void pass_on(struct batch *batch, const char *option, char **values)
{
	for (; values && *values; values++) {
		g_autofree char *absolute = g_canonicalize_filename(*values, NULL);
		g_ptr_array_add(batch->analyze_options, g_strdup_printf("%s=%s", option, absolute));
	}
}

static bool set_up(struct batch *batch, const struct batch_options *o, GError **error)
{
	batch->case_path = g_strdup(o->case_path);
	batch->keep_cases = o->cases != NULL;
	batch->folder = o->cases ? g_strdup(o->cases) : g_strconcat(o->case_path, ".parts", NULL);
	batch->log_folder = g_strdup(o->log_folder);
	batch->resume = o->resume || o->merge_only;
	batch->replace = o->replace;
	batch->merge_only = o->merge_only;
	pass_on(batch, "--rules", o->rules);
	pass_on(batch, "--yara", o->yara);
	pass_on(batch, "--symbols", o->symbols);
	for (char **a = o->analyze; a && *a; a++)
		g_ptr_array_add(batch->analyze_options, g_strdup(*a));
	for (char **l = o->limits; l && *l; l++) {
		if (!limit_set(*l, error))
			return false;
		g_ptr_array_add(batch->analyze_options, g_strconcat("--limit=", *l, NULL));
	}
	return settle_jobs(batch, o, error);
}

static int status(const struct batch_options *o, bool json)
{
	AUTO(batch) batch = batch_create();
	g_autoptr(GError) error = NULL;

	batch->folder = g_str_has_suffix(o->status, ".db") ? g_strconcat(o->status, ".parts", NULL) : g_strdup(o->status);
	batch->case_path = g_str_has_suffix(o->status, ".db") ? g_strdup(o->status) : NULL;
	batch->log_folder = g_strdup(o->log_folder);
	if (!batch_read_list(batch, &error) || !batch_look(batch, &error)) {
		g_printerr("memsieve: %s\n", error->message);
		return g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE) ? OUTCOME_USAGE : OUTCOME_FAILED;
	}
	batch_view_status(batch, json);
	return (int)batch_outcome(batch);
}

static int run_batch(const struct batch_options *o, char **arguments, int n, bool json)
{
	AUTO(batch) batch = batch_create();
	struct slurm_options slurm = { o->partition, o->slurm_memory, o->slurm_time, o->array_max, o->dry_run };
	g_autoptr(GError) error = NULL;
	bool ok = set_up(batch, o, &error);

	for (int i = 0; i < n && ok; i++)
		ok = batch_find(batch, arguments[i], &error);
	if (ok && !batch->items->len) {
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "no dump found: in folders they are known by their content, raw images by"
			    " extensions (.raw .mem .dd .img .bin …), else name them");
		ok = false;
	}
	if (ok && o->slurm) {
		ok = batch_slurm(batch, &slurm, &error);
	} else if (ok) {
		struct sigaction action = { .sa_handler = on_signal };
		sigemptyset(&action.sa_mask);
		sigaction(SIGINT, &action, NULL);
		sigaction(SIGTERM, &action, NULL);
		signal(SIGPIPE, SIG_IGN);
		if (!o->quiet)
			batch_view_begin(batch, json);
		ok = batch_run(batch, &error);
		if (o->quiet)
			batch_say_failed(batch);
		if (ok || !g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE))
			batch_view_end(batch);
	}
	if (!ok) {
		g_printerr("memsieve: %s\n", error->message);
		return g_error_matches(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE) ? OUTCOME_USAGE : OUTCOME_FAILED;
	}
	if (pipeline_interrupted) {
		g_printerr("memsieve: interrupted; the same command with --resume goes on from here\n");
		return OUTCOME_FAILED;
	}
	return !o->slurm ? (int)batch_outcome(batch) : batch->left_out ? OUTCOME_PARTIAL : OUTCOME_COMPLETE;
}

static void options_clear(struct batch_options *o)
{
	char *texts[] = { o->case_path, o->cases, o->log_folder, o->memory, o->format, o->status, o->partition, o->slurm_memory, o->slurm_time };
	char **lists[] = { o->analyze, o->rules, o->yara, o->symbols, o->limits };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_free(texts[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		g_strfreev(lists[i]);
}

static const char *misuse(const struct batch_options *o, int argc)
{
	if (o->format && strcmp(o->format, "table") && strcmp(o->format, "json"))
		return "--format is table or json";
	if (o->status)
		return argc > 1 ? "--status takes no dumps" : NULL;
	if (argc < 2)
		return "no dumps given";
	if (!o->case_path && !o->cases)
		return "give --case CASE.db, --cases DIR, or both";
	if (o->resume && o->replace)
		return "--resume and --replace are opposites";
	if (o->merge_only && (!o->case_path || !o->cases))
		return "--merge-only needs --cases and --case";
	if (o->slurm && !o->cases)
		return "--slurm needs --cases, a folder that all nodes see";
	if (o->slurm && o->replace)
		return "--slurm goes without --replace: its tasks may be run again at any time, and leave what is done";
	if (o->array_max < 0)
		return "--array-max is a number of tasks";
	return NULL;
}

static int run(int argc, char **argv)
{
	struct batch_options o = { .jobs = 0 };
	const GOptionEntry entries[] = {
		{ "case", 'c', 0, G_OPTION_ARG_FILENAME, &o.case_path, "all dumps into one case", "CASE.db" },
		{ "output", 'o', G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME, &o.case_path, "--case, as analyze calls it", "CASE.db" },
		{ "cases", 0, 0, G_OPTION_ARG_FILENAME, &o.cases, "a case for each dump, in this folder", "DIR" },
		{ "jobs", 'j', 0, G_OPTION_ARG_INT, &o.jobs, "workers (default: one a core, as far as memory goes)", "N" },
		{ "memory-limit", 'm', 0, G_OPTION_ARG_STRING, &o.memory, "memory of all workers together, e.g. 8G", "M" },
		{ "resume", 0, 0, G_OPTION_ARG_NONE, &o.resume, "what is done stays, the rest is done", NULL },
		{ "replace", 0, 0, G_OPTION_ARG_NONE, &o.replace, "what is done is done anew", NULL },
		{ "merge-only", 0, 0, G_OPTION_ARG_NONE, &o.merge_only, "analyse nothing, merge what is done", NULL },
		{ "log-dir", 0, 0, G_OPTION_ARG_FILENAME, &o.log_folder, "where the workers' logs go", "DIR" },
		{ "rules", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o.rules, "as of analyze", "DIR" },
		{ "yara", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o.yara, "as of analyze", "FILE|DIR" },
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &o.symbols, "as of analyze", "DIR" },
		{ "limit", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.limits, "as of analyze; of merging, too", "NAME=VALUE" },
		{ "analyze", 0, 0, G_OPTION_ARG_STRING_ARRAY, &o.analyze, "any other option of analyze, e.g. --analyze=--yara-scope=all", "OPTION" },
		{ "format", 'f', 0, G_OPTION_ARG_STRING, &o.format, "table, or json: an object a line (default when piped)", "FORMAT" },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &o.json, "as --format=json", NULL },
		{ "quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "say nothing but which dumps failed, and why", NULL },
		{ "status", 0, 0, G_OPTION_ARG_FILENAME, &o.status, "where a batch stands", "DIR|CASE.db" },
		{ "slurm", 0, 0, G_OPTION_ARG_NONE, &o.slurm, "write job scripts into --cases and submit them", NULL },
		{ "partition", 0, 0, G_OPTION_ARG_STRING, &o.partition, "Slurm's partition", "P" },
		{ "array-max", 0, 0, G_OPTION_ARG_INT, &o.array_max, "Slurm tasks at a time", "N" },
		{ "slurm-mem", 0, 0, G_OPTION_ARG_STRING, &o.slurm_memory, "memory of a Slurm task", "M" },
		{ "slurm-time", 0, 0, G_OPTION_ARG_STRING, &o.slurm_time, "time limit of a Slurm job", "T" },
		{ "dry-run", 0, 0, G_OPTION_ARG_NONE, &o.dry_run, "with --slurm: write the scripts, submit nothing", NULL },
		{ NULL }
	};
	g_autoptr(GOptionContext) context = g_option_context_new("DUMP|DIR|@LIST…");
	g_autoptr(GError) error = NULL;
	int outcome;

	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_summary(context, "Analyse many dumps, one worker process each.");
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		outcome = usage_error(error->message);
	} else {
		/* GOption leaves the -- that ended the options. */
		int first = argc > 1 && !strcmp(argv[1], "--") ? 2 : 1;
		const char *wrong = misuse(&o, argc - first + 1);
		bool json = o.json || (o.format ? !strcmp(o.format, "json") : !isatty(STDOUT_FILENO));
		outcome = wrong ? usage_error(wrong) : o.status ? status(&o, json) : run_batch(&o, argv + first, argc - first, json);
	}
	options_clear(&o);
	return outcome;
}

const struct command command_batch = {
	.name = "batch",
	.usage = "batch --case CASE.db DUMP|DIR|@LIST…",
	.doc = "many dumps in parallel, resumable; clusters",
	.run = run,
};
