/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline.h"
#include "logon.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include "core_tables.h"
#include "crew.h"
#include "hash.h"
#include "limit.h"
#include "page_file.h"
#include "progress.h"
#include "rules.h"
#include "scan.h"

volatile int pipeline_interrupted;

/* Commit at least this often, so that little is lost when the run is killed. */
#define COMMIT_US 2000000

struct driver {
	uint64_t base, size;
	char *name;
	bool unlisted;
};

struct kept {
	void *data;
	GDestroyNotify destroy;
};

struct pipeline {
	const struct options *options;
	const struct plugin *const *plugins;
	struct image *image;
	struct kernel *kernel;
	struct sweep *sweep;	/* NULL: nobody looks for anything */
	struct store *store;
	GPtrArray *processes;	/* struct process * */
	GArray *drivers;	/* struct driver, sorted by base once looked up */
	bool drivers_sorted;
	const struct plugin *plugin;	/* the one running */
	struct kept kept;
	int64_t dump_id, run_id;
	GArray *replaced;	/* dump ids (int64_t): earlier analyses of this dump, which go when this one is whole */
	int64_t rows;
	uint64_t bytes;		/* of them */
	int64_t faults[FAULTS];	/* of the plugin that runs */
	bool partial;
	bool too_many;		/* the plugin made more rows than are taken */
	gint64 committed;
	gint64 begun;		/* the first plugin, or the sweep before it */
	GError *store_error;	/* the case can't be written: everything stops */
};

static void driver_clear(void *data)
{
	g_free(((struct driver *)data)->name);
}

bool context_cancelled(const struct context *context)
{
	return pipeline_interrupted || context->stop || context_overdue(context);
}

bool context_half_over(const struct context *context)
{
	return context_cancelled(context) || (context->half && g_get_monotonic_time() > context->half);
}

void context_note(struct context *context, enum fault fault, va_t at, const char *table, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	rows_note(context->rows, fault, at, context->process, table, g_strdup_vprintf(format, ap));
	va_end(ap);
}

void context_add_process(struct context *context, struct process *process, struct row *row)
{
	struct pipeline *p = context->pipeline;

	int64_t pending = 0;	/* rows of this table not yet written, this one included */

	row->process = process;
	if (!crew_enter(context))
		return;
	for (guint i = 0; i < context->rows->rows->len; i++)
		if (((struct row *)g_ptr_array_index(context->rows->rows, i))->table == row->table)
			pending++;
	process->id = store_next_id(p->store, row->table) + pending - 1;
	g_ptr_array_add(p->processes, process);
	crew_leave(context);
}

static void add_driver(struct context *context, struct driver d)
{
	if (!crew_enter(context))
		return;
	d.name = g_strdup(d.name);
	g_array_append_val(context->pipeline->drivers, d);
	context->pipeline->drivers_sorted = false;
	crew_leave(context);
}

void context_add_driver(struct context *context, uint64_t base, uint64_t size, const char *name)
{
	add_driver(context, (struct driver){ base, size, (char *)name, false });
}

void context_add_unlisted_driver(struct context *context, uint64_t base, uint64_t size, const char *name)
{
	add_driver(context, (struct driver){ base, size, (char *)name, true });
}

static int compare_drivers(const void *a, const void *b)
{
	const struct driver *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

static const struct driver *driver_at(const struct context *context, va_t va)
{
	const GArray *drivers = context->drivers;
	guint low = 0, high = drivers->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		const struct driver *d = &g_array_index(drivers, struct driver, mid);
		if (va.v < d->base)
			high = mid;
		else if (va.v - d->base >= d->size)
			low = mid + 1;
		else
			return d;
	}
	return NULL;
}

const char *context_driver_at(const struct context *context, va_t va)
{
	const struct driver *d = driver_at(context, va);

	return !d ? NULL : d->name ? d->name : "";
}

bool context_driver_unlisted(const struct context *context, va_t va)
{
	const struct driver *d = driver_at(context, va);

	return d && d->unlisted;
}

bool context_driver_image(const struct context *context, va_t va, uint64_t *base, uint64_t *size)
{
	const struct driver *d = driver_at(context, va);

	if (!d)
		return false;
	*base = d->base;
	*size = d->size;
	return true;
}

const char *context_placement(const struct context *context, va_t pointer, va_t expected)
{
	const struct driver *d = driver_at(context, pointer);

	if (!d)
		return "nowhere";
	return !expected.v || d->base == context->kernel->base.v || expected.v - d->base < d->size ? "expected" : "other";
}

const struct table *context_table(const struct context *context, const char *name)
{
	for (const struct plugin *const *p = context->pipeline->plugins; *p; p++)
		for (const struct table *const *t = (*p)->fills; *t; t++)
			if (!strcmp((*t)->name, name))
				return *t;
	return NULL;
}

enum dump_kind image_kind(const struct image *image)
{
	return image->minidump ? DUMP_OF_PROCESS : image->triage ? DUMP_TRIAGE : DUMP_OF_MACHINE;
}

bool context_driver(const struct context *context, guint n, uint64_t *base, uint64_t *size, const char **name)
{
	const GArray *drivers = context->drivers;

	if (n >= drivers->len)
		return false;
	const struct driver *d = &g_array_index(drivers, struct driver, n);
	*base = d->base;
	*size = d->size;
	*name = d->name;
	return true;
}

void context_keep(struct context *context, void *data, GDestroyNotify destroy)
{
	context->kept = data;
	if (!crew_enter(context))
		return;
	context->pipeline->kept = (struct kept){ data, destroy };
	crew_leave(context);
}

void *context_kept(const struct context *context)
{
	return context->kept;
}

static bool write_rows(struct pipeline *p, struct rows *rows)
{
	if (p->store_error)
		return false;
	bool ok = store_write(p->store, rows, p->plugin ? p->plugin->name : "memsieve", &p->rows, p->faults, &p->store_error);
	if (ok && g_get_monotonic_time() - p->committed > COMMIT_US) {
		ok = store_commit(p->store, &p->store_error) && store_begin(p->store, &p->store_error);
		p->committed = g_get_monotonic_time();
	}
	return ok;
}

/*
 * Did something that the dump should hold fail to be read? What the machine itself did not have in memory (paged
 * out, never mapped), what this Windows build has no field for, and what this kind of dump leaves out are
 * in diagnostics, but nothing of the dump was lost by them.
 */
static bool lost_anything(const struct pipeline *p)
{
	bool sparse = p->image->facts.no_user_memory || image_kind(p->image) != DUMP_OF_MACHINE;

	return p->faults[FAULT_IMPLAUSIBLE] || p->faults[FAULT_LIMIT] || p->faults[FAULT_TIMEOUT] ||
	       (p->faults[FAULT_NOT_IN_DUMP] && !sparse);
}

static void begin_counting(struct pipeline *p)
{
	p->rows = 0;
	p->bytes = 0;
	memset(p->faults, 0, sizeof(p->faults));
	p->too_many = false;
}

/* ---- what a crew needs of us */

static struct context make_context(void *user)
{
	struct pipeline *p = user;

	return (struct context){
		.image = p->image, .kernel = p->kernel, .space = space_clone(p->kernel->space), .processes = p->processes,
		.sweep = p->sweep, .options = p->options, .pipeline = p, .kept = p->kept.data, .drivers = p->drivers,
	};
}

static bool take_rows(void *user, struct rows *rows)
{
	struct pipeline *p = user;

	p->bytes += rows->bytes;
	if (p->too_many || !write_rows(p, rows))
		return false;
	p->too_many = p->rows > (int64_t)limit(rows_plugin) || p->bytes > limit(row_bytes_plugin);
	return !p->too_many;
}

/*
 * How long (microseconds) the next plugin may take: plugin_seconds, but no more than a quarter of what is left of run_seconds, so that
 * there is some for those after it; the last ones, which read the kernel's lists, need little and get it in any case.
 */
static gint64 time_for_plugin(const struct pipeline *p)
{
	uint64_t size = p->image->bytes_filled;
	double spent = (double)(g_get_monotonic_time() - p->begun) / G_USEC_PER_SEC, share = ((double)limit_for(run_seconds, size) - spent) / 4;

	const double seconds = MIN((double)limit_for(plugin_seconds, size), MAX(share, (double)limit(plugin_seconds_late)));

	return (gint64)(MIN(seconds, 0x1p40) * G_USEC_PER_SEC);
}

static struct crew_task crew_task(struct pipeline *p)
{
	return (struct crew_task){
		.plugin = p->plugin, .processes = p->processes, .jobs = p->options->jobs, .size = p->image->bytes_filled, .most = time_for_plugin(p),
		.context = make_context, .write = take_rows, .user = p,
	};
}

static void note_too_many(struct pipeline *p, GString *message)
{
	struct rows *note = rows_create();

	g_string_printf(message, "more than %" G_GUINT64_FORMAT " rows, or %" G_GUINT64_FORMAT " bytes of them: the rest is left out",
			limit(rows_plugin), limit(row_bytes_plugin));
	rows_note(note, FAULT_LIMIT, (va_t){ 0 }, NULL, NULL, g_strdup(message->str));
	(void)write_rows(p, note);
	rows_destroy(note);
}

static bool run_parts(struct pipeline *p, const struct plugin *plugin, GString *message)
{
	struct crew_task task = crew_task(p);
	const unsigned left = crew_left_behind;
	bool ok = true;

	if (plugin->begin)
		ok = crew_run_once(&task, plugin->begin, message);
	const bool begun = crew_left_behind == left;	/* else what it was to keep may be half done */
	if (ok && plugin->run_process)
		ok = crew_run_processes(&task, message);
	else if (ok)
		ok = crew_run_once(&task, plugin->run, message);
	if (plugin->end && begun)
		ok = crew_run_once(&task, plugin->end, message) && ok;
	if (p->too_many)
		note_too_many(p, message);
	return ok && !p->too_many;
}

/* Why a plugin can't do anything here; NULL: it can. */
static const char *why_skip(const struct pipeline *p, const struct plugin *plugin)
{
	if (plugin->needs_layout && !p->kernel->layout && image_kind(p->image) == DUMP_OF_MACHINE)
		return "the kernel's layout is not known";
	if (plugin->needs_user_memory && p->image->facts.no_user_memory)
		return "user memory not in dump";
	return NULL;
}

static bool note_plugin_run(struct pipeline *p, const char *plugin, const char *status, gint64 started, const char *message)
{
	g_autofree char *run = g_strdup_printf("%" G_GINT64_FORMAT, p->run_id), *count = g_strdup_printf("%" G_GINT64_FORMAT, p->rows);
	char seconds[G_ASCII_DTOSTR_BUF_SIZE];

	g_ascii_formatd(seconds, sizeof(seconds), "%.6f", (double)(g_get_monotonic_time() - started) / 1e6);
	return store_exec(p->store, &p->store_error,
			  "INSERT INTO plugin_runs(run_id, plugin, status, row_count, seconds, message) VALUES "
			  "(CAST(? AS INTEGER), ?, ?, CAST(? AS INTEGER), CAST(? AS REAL), nullif(?, ''))",
			  run, plugin, status, count, seconds, message ? message : "", NULL);
}

/*
 * A thread that was left behind keeps what it has, and looks at it for as long as it likes: what the next plugin is to change is made anew. Processes
 * whose rows it took along are none.
 */
static void part_from_left_behind(struct pipeline *p, const struct plugin *plugin)
{
	GPtrArray *processes = g_ptr_array_new();
	int64_t next = INT64_MAX;

	for (const struct table *const *t = plugin->fills; *t; t++)
		if (!strcmp((*t)->name, "processes"))
			next = store_next_id(p->store, *t);
	for (guint i = 0; i < p->processes->len; i++) {
		struct process *process = g_ptr_array_index(p->processes, i);
		if (process->id < next)
			g_ptr_array_add(processes, process);
	}
	p->drivers = g_array_copy(p->drivers);
	p->processes = processes;
}

static bool run_plugin(struct pipeline *p, const struct plugin *plugin)
{
	gint64 started = g_get_monotonic_time();
	g_autoptr(GString) message = g_string_new(NULL);
	const char *skip = why_skip(p, plugin), *status = "ok";
	bool ok = true;

	if (!((plugin->kinds ? plugin->kinds : DUMP_OF_MACHINE) & image_kind(p->image)))
		return true;	/* not for this kind of dump: nothing was left out */

	p->plugin = plugin;
	begin_counting(p);
	progress_stage(plugin->name);
	for (const struct table *const *t = plugin->fills; *t; t++)
		store_mark_base(p->store, *t);
	if (skip) {
		status = "skipped";
		g_string_printf(message, "skipped: %s", skip);
		p->partial |= plugin->needs_layout && !p->kernel->layout;
	} else {
		const unsigned left = crew_left_behind;
		ok = run_parts(p, plugin, message);
		if (p->kept.destroy && crew_left_behind == left)
			p->kept.destroy(p->kept.data);
		p->kept = (struct kept){ NULL, NULL };
		if (crew_left_behind != left)
			part_from_left_behind(p, plugin);
		if (!p->drivers_sorted) {
			g_array_sort(p->drivers, compare_drivers);
			p->drivers_sorted = true;
		}
		if (!ok)
			status = p->rows ? "partial" : "failed";
		else if (lost_anything(p))
			status = "partial";
	}
	p->partial |= !ok || lost_anything(p);
	return !p->store_error && store_end_plugin(p->store, plugin->name, &p->store_error) &&
	       note_plugin_run(p, plugin->name, status, started, message->str);
}

/* ---- findings */

static const struct plugin findings_plugin = { .name = "findings", .doc = "judgements by SQL rules" };

static void rule_left_out(const struct pipeline *p, struct rows *rows, enum fault fault, const char *problem)
{
	rows_note(rows, fault, (va_t){ 0 }, NULL, "findings", g_strdup(problem));
	if (!p->options->quiet)
		g_printerr("memsieve: rule left out: %s\n", problem);
}

static bool make_findings(struct pipeline *p)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) rules = rules_load(p->options, problems);
	gint64 started = g_get_monotonic_time();
	gint64 all = time_for_plugin(p);
	g_autoptr(GString) message = g_string_new(NULL);
	struct rows *rows = rows_create();
	bool ok = true;

	p->plugin = &findings_plugin;
	begin_counting(p);
	progress_stage("findings");
	for (guint i = 0; i < problems->len; i++)
		rule_left_out(p, rows, FAULT_IMPLAUSIBLE, problems->pdata[i]);
	for (guint i = 0; i < rules->len && ok && !pipeline_interrupted; i++) {
		g_autoptr(GError) error = NULL;
		/* A quarter of what is left, so that there is some for the next, however many tables are hostile. */
		store_query_most(p->store, (started + all - g_get_monotonic_time()) / 4);
		if (!rules_run(g_ptr_array_index(rules, i), p->store, p->dump_id, p->kernel ? p->kernel->layout : NULL, rows, &error)) {
			rule_left_out(p, rows, error->code == MEMSIEVE_ERROR_TIMEOUT ? FAULT_TIMEOUT :
				      error->code == MEMSIEVE_ERROR_LIMIT ? FAULT_LIMIT : FAULT_IMPLAUSIBLE, error->message);
			g_ptr_array_add(problems, g_strdup(error->message));
		}
		/* Not after each rule: the next one commits what was written, and the disk is waited for. */
		if (rows->bytes > limit(row_bytes_waiting))
			ok = take_rows(p, rows);
		progress_step(i + 1, rules->len);
	}
	if (ok)
		(void)take_rows(p, rows);
	if (problems->len)
		g_string_assign(message, problems->pdata[0]);
	if (p->too_many)
		note_too_many(p, message);
	/* Problems are faults, and so is a rule that found more than is taken. */
	bool lost = lost_anything(p);
	ok = !p->store_error && store_end_plugin(p->store, "findings", &p->store_error) &&
	     note_plugin_run(p, "findings", lost ? "partial" : "ok", started, message->str);
	p->partial |= lost;
	rows_destroy(rows);
	return ok;
}

/* ---- the core's own tables */

static char *now(void)
{
	g_autoptr(GDateTime) t = g_date_time_new_now_utc();

	g_autofree char *head = g_date_time_format(t, "%Y-%m-%dT%H:%M:%S");
	return g_strdup_printf("%s.%06d0Z", head, g_date_time_get_microsecond(t));
}

static char *library_versions(void)
{
	json_t *o = json_object();

	g_autofree char *glib = g_strdup_printf("%u.%u.%u", glib_major_version, glib_minor_version, glib_micro_version);
	json_object_set_new(o, "sqlite3", json_string(store_library_version()));
	json_object_set_new(o, "yara", json_string(scan_library_version()));
	json_object_set_new(o, "glib", json_string(glib));
	json_object_set_new(o, "jansson", json_string(JANSSON_VERSION));
	json_object_set_new(o, "libcrypto", json_string(hash_library_version()));
	char *text = json_dumps(o, JSON_SORT_KEYS), *copy = g_strdup(text);
	json_decref(o);
	free(text);
	return copy;
}

static char *layout_source(const struct layout *layout)
{
	static const char *const names[] = {
		[LAYOUT_BUILTIN] = "builtin", [LAYOUT_FAMILY] = "family", [LAYOUT_ISF] = "isf",
		[LAYOUT_PDB] = "pdb", [LAYOUT_DERIVED] = "derived",
	};

	return layout ? g_strdup_printf("%s:%s", names[layout->source], layout->origin ? layout->origin : "") : NULL;
}

static void note_hash(struct pipeline *p, struct rows *rows, const struct file *file, const char *table)
{
	if (hash_bounded(file))
		return;
	p->partial = true;
	rows_note(rows, FAULT_LIMIT, (va_t){ 0 }, NULL, table,
		  g_strdup_printf("%s has %" G_GUINT64_FORMAT " bytes of holes: it is not hashed (limit hash_holes)", file->path, file->size - file_filled(file)));
}

static bool begin_run(struct pipeline *p, const char *path)
{
	const struct image_facts *facts = &p->image->facts;
	const struct kernel *k = p->kernel;
	struct rows *rows = rows_create();
	struct row *row = rows_add(rows, &table_dumps, NULL);
	g_autofree char *version = kernel_version(k), *detail = logon_detail(p->image, k);

	p->dump_id = store_next_id(p->store, &table_dumps);
	p->run_id = store_next_id(p->store, &table_runs);
	store_set_dump(p->store, p->dump_id);
	store_mark_base(p->store, &table_runs);
	store_mark_base(p->store, &table_findings);
	row_text(row, DUMPS_PATH, path);
	row_int(row, DUMPS_SIZE, (int64_t)p->image->container->size);
	row_text(row, DUMPS_FORMAT, facts->format);
	row_text(row, DUMPS_FORMAT_DETAIL, detail);
	row_text(row, DUMPS_ARCHITECTURE, architecture_name(kernel_architecture(k)));
	row_int(row, DUMPS_PHYSICAL_MEMORY, (int64_t)p->image->bytes_present);
	row_text(row, DUMPS_OS_BUILD, version);
	row_text(row, DUMPS_OS_BUILD_LAB, k->build_lab);
	row_time(row, DUMPS_SYSTEM_TIME, facts->system_time ? facts->system_time : k->system_time);
	if (k->base.v)
		row_address(row, DUMPS_KERNEL_BASE, k->base.v);
	row_text(row, DUMPS_KERNEL_GUID_AGE, k->guid_age);
	if (k->dtb.v)
		row_address(row, DUMPS_DTB, k->dtb.v);
	g_autofree char *source = layout_source(k->layout);
	row_text(row, DUMPS_LAYOUT_SOURCE, source);
	row_text(row, DUMPS_KERNEL_FOUND_BY, k->found_by);
	row_text(row, DUMPS_SYSTEM_ROOT, k->system_root);
	if (kernel_memory_total(k))
		row_int(row, DUMPS_MEMORY_TOTAL, (int64_t)kernel_memory_total(k));
	row_int(row, DUMPS_USER_MEMORY, !facts->no_user_memory);
	if (facts->processors)
		row_int(row, DUMPS_PROCESSORS, facts->processors);
	if (kernel_product(k)) {
		row_text(row, DUMPS_PRODUCT_TYPE, kernel_product(k));
		row_int(row, DUMPS_SUITE_MASK, k->suite_mask);
	}

	struct range range = { 0, 0 };
	guint ranges = 0;
	for (pa_t at = { 0 }; image_next_range(p->image, at, &range); at.v = range.start + range.length) {
		if (ranges++ >= limit(ranges)) {
			rows_note(rows, FAULT_LIMIT, (va_t){ range.start }, NULL, "memory_ranges",
				  g_strdup_printf("the dump has more than %" G_GUINT64_FORMAT " ranges, the rest is not listed", limit(ranges)));
			break;
		}
		row = rows_add(rows, &table_memory_ranges, NULL);
		row_address(row, RANGES_START, range.start);
		row_int(row, RANGES_LENGTH, (int64_t)range.length);
	}
	for (guint i = 0; p->image->page_files && i < p->image->page_files->len; i++) {
		const struct file *file = g_ptr_array_index(p->image->page_files, i);
		row = rows_add(rows, &table_page_files, NULL);
		row_int(row, PAGE_FILES_NUMBER, i);
		row_text(row, PAGE_FILES_PATH, file->path);
		row_int(row, PAGE_FILES_SIZE, (int64_t)file->size);
	}
	row = rows_add(rows, &table_runs, NULL);
	g_autofree char *time = now(), *versions = library_versions(), *rules = rules_sha256(p->options);
	row_text(row, RUNS_TOOL_VERSION, PACKAGE_VERSION);
	row_text(row, RUNS_COMMAND_LINE, p->options->command_line);
	row_text(row, RUNS_SANDBOX, p->options->sandbox);
	row_text(row, RUNS_STARTED_AT, time);
	/* What stands here if this run is killed. */
	row_text(row, RUNS_STATUS, "failed");
	row_text(row, RUNS_MESSAGE, "the run did not finish");
	row_text(row, RUNS_RULES_SHA256, rules);
	row_text(row, RUNS_LIBRARY_VERSIONS, versions);
	for (guint i = 0; i < p->image->notes->len; i++) {
		const struct image_note *n = g_ptr_array_index(p->image->notes, i);
		rows_note(rows, n->fault, (va_t){ n->address }, NULL, "memory_ranges", g_strdup(n->message));
		p->partial |= image_note_harms(n);
	}
	note_hash(p, rows, p->image->container, "dumps");
	for (guint i = 0; p->image->page_files && i < p->image->page_files->len; i++)
		note_hash(p, rows, g_ptr_array_index(p->image->page_files, i), "page_files");
	if (!k->layout && image_kind(p->image) == DUMP_OF_MACHINE) {
		p->partial = true;
		rows_note(rows, FAULT_NO_FIELD, k->base, NULL, "dumps",
			  g_strdup_printf("no layout for kernel %s %s: give its symbol file with --symbols or --layout",
					  k->pdb_name ? k->pdb_name : "(name not readable)", k->guid_age ? k->guid_age : ""));
	}
	bool ok = write_rows(p, rows) && store_end_plugin(p->store, "memsieve", &p->store_error) &&
		  store_commit(p->store, &p->store_error) && store_begin(p->store, &p->store_error);
	p->committed = g_get_monotonic_time();
	rows_destroy(rows);
	return ok;
}

static bool finish_run(struct pipeline *p, const char *sha256, const char *status, const char *message, GError **error)
{
	g_autofree char *time = now(), *run = g_strdup_printf("%" G_GINT64_FORMAT, p->run_id);
	g_autofree char *dump = g_strdup_printf("%" G_GINT64_FORMAT, p->dump_id);

	/* Until here an earlier analysis stood beside this one: killed before, that one is what is left. */
	for (guint i = 0; i < p->replaced->len && strcmp(status, "failed"); i++)
		if (!store_remove_dump(p->store, g_array_index(p->replaced, int64_t, i), error))
			return false;
	return (!sha256 || store_exec(p->store, error, "UPDATE dumps SET sha256 = ? WHERE dump_id = CAST(? AS INTEGER)", sha256, dump, NULL)) &&
	       store_exec(p->store, error, "UPDATE dumps SET computer_name = (SELECT value FROM (SELECT value FROM environment e JOIN processes p USING (process_id)"
			  " WHERE p.dump_id = dumps.dump_id AND upper(e.name) = 'COMPUTERNAME' AND length(value) <= 255 LIMIT 65536) GROUP BY value ORDER BY count(*) DESC, value LIMIT 1)"
			  " WHERE dump_id = CAST(? AS INTEGER)", dump, NULL) &&
	       store_exec(p->store, error, "UPDATE runs SET finished_at = ?, status = ?, message = nullif(?, '') WHERE run_id = CAST(? AS INTEGER)",
			  time, status, message ? message : "", run, NULL) &&
	       store_commit(p->store, error);
}

/* A page file is evidence like the dump. */
static bool hash_page_files(struct pipeline *p, GError **error)
{
	bool ok = true;

	for (guint i = 0; ok && p->image->page_files && i < p->image->page_files->len && !pipeline_interrupted; i++) {
		g_autofree char *sha256 = hasher_finish(hasher_start(g_ptr_array_index(p->image->page_files, i)));
		g_autofree char *dump = g_strdup_printf("%" G_GINT64_FORMAT, p->dump_id), *number = g_strdup_printf("%u", i);
		ok = !sha256 || store_exec(p->store, error, "UPDATE page_files SET sha256 = ? WHERE dump_id = CAST(? AS INTEGER) AND number = CAST(? AS INTEGER)",
					   sha256, dump, number, NULL);
	}
	return ok;
}

static bool duplicate(struct pipeline *p, const char *path, int64_t id, GError **error)
{
	const char *output = p->options->output;

	if (id)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_DUPLICATE,
			    "%s: is in %s already, as dump %" G_GINT64_FORMAT " (same SHA-256): give --replace to analyse it anew", path, output, id);
	else
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_DUPLICATE,
			    "%s: is in %s already, from a run that did not finish: give --replace to analyse it anew", path, output);
	return false;
}

/* What is in the case of this dump already? Before anything is written. */
static bool find_earlier(struct pipeline *p, const char *path, struct hasher **hasher, char **sha256, GError **error)
{
	if (!store_find_dump(p->store, p->image->container->size, NULL))
		return true;	/* none of that size: certainly another */
	*sha256 = hasher_finish(*hasher);
	*hasher = NULL;
	int64_t same = *sha256 ? store_find_dump(p->store, 0, *sha256) : 0;
	if (same && !p->options->replace)
		return duplicate(p, path, same, error);
	/* An unfinished run has no hash yet: the same path and size is the same dump begun. */
	AUTO(cursor) cursor = cursor_open(p->store, "SELECT dump_id FROM dumps WHERE sha256 = :sha256 OR"
					  " (sha256 IS NULL AND path = :path AND size = :size)", error);
	if (!cursor)
		return false;
	cursor_bind_text(cursor, "sha256", *sha256);
	cursor_bind_text(cursor, "path", path);
	cursor_bind_int(cursor, "size", (int64_t)p->image->container->size);
	g_autoptr(GError) failed = NULL;
	for (int64_t id; cursor_next(cursor, &failed); g_array_append_val(p->replaced, id))
		id = cursor_int(cursor, 0);
	if (!error_pass(error, &failed))
		return false;
	return !p->replaced->len || p->options->replace || duplicate(p, path, 0, error);
}

/* One pass over physical memory for all plugins that look for something there. */
static bool sweep_memory(struct pipeline *p, struct hasher *hasher)
{
	g_autoptr(GPtrArray) patterns = g_ptr_array_new();
	gint64 started = g_get_monotonic_time();
	const char *message = NULL;

	for (const struct plugin *const *plugin = p->plugins; *plugin; plugin++)
		for (const struct sweep_pattern *const *s = (*plugin)->sweeps; s && *s; s++)
			g_ptr_array_add(patterns, (void *)*s);
	g_ptr_array_add(patterns, NULL);
	progress_stage("sweep");
	p->sweep = sweep_run(p->image, p->kernel->layout, (const struct sweep_pattern *const *)patterns->pdata, p->options->jobs,
			     hasher, &pipeline_interrupted);
	p->rows = (int64_t)sweep_total(p->sweep);
	if (!sweep_map(p->sweep, p->kernel->space, &pipeline_interrupted))
		message = "the kernel's page tables lead on and on: not everything found has an address";
	else if (sweep_cut_short(p->sweep))
		message = "more was found than is kept";
	struct rows *notes = rows_create();
	pa_t first;
	const uint64_t unread = sweep_unread(p->sweep, &first);
	if (message)
		rows_note(notes, FAULT_LIMIT, (va_t){ 0 }, NULL, NULL, g_strdup(message));
	if (unread)	/* who needs one of them says so, but nobody knows whose the others were */
		rows_note(notes, FAULT_NOT_IN_DUMP, (va_t){ first.v }, NULL, "memory_ranges",
			  g_strdup_printf("%" G_GUINT64_FORMAT " pages of the dump are damaged: they can't be unpacked, the first at 0x%" G_GINT64_MODIFIER "x of physical memory", unread, first.v));
	p->partial |= message || unread;
	(void)write_rows(p, notes);
	rows_destroy(notes);
	return !p->store_error && note_plugin_run(p, "sweep", message ? "partial" : "ok", started, message);
}

static bool run_all(struct pipeline *p, struct hasher *hasher, GError **error)
{
	p->begun = g_get_monotonic_time();
	bool ok = image_kind(p->image) != DUMP_OF_MACHINE || sweep_memory(p, hasher);

	for (const struct plugin *const *plugin = p->plugins; *plugin && ok && !pipeline_interrupted; plugin++)
		ok = run_plugin(p, *plugin);
	if (ok && !pipeline_interrupted)
		ok = make_findings(p);
	if (!ok)
		g_propagate_error(error, g_steal_pointer(&p->store_error));
	return ok;
}

static void pipeline_destroy(struct pipeline *p)
{
	g_clear_error(&p->store_error);
	store_close(p->store);
	g_array_unref(p->replaced);
	if (crew_left_behind)	/* a thread that nothing ends may still look at the rest */
		return;
	if (p->processes)
		g_ptr_array_free(p->processes, TRUE);
	if (p->drivers)
		g_array_free(p->drivers, TRUE);
	sweep_destroy(p->sweep);
	kernel_destroy(p->kernel);
	image_close(p->image);
	g_free(p);
}

bool pipeline_analyze(const struct options *options, const struct plugin *const *sorted, const char *path,
		      struct result *result, GError **error)
{
	struct pipeline *p = g_new0(struct pipeline, 1);
	struct layout_options layouts = { (const char *const *)options->symbols, options->layout };
	struct hasher *hasher = NULL;
	g_autofree char *sha256 = NULL, *message = NULL;
	g_autoptr(GError) lost = NULL;
	const char *status = "complete";
	bool created = false, begun = false, ok;

	*result = (struct result){ .outcome = OUTCOME_FAILED };
	*p = (struct pipeline){ .options = options, .plugins = sorted, .drivers_sorted = true };
	p->processes = g_ptr_array_new_with_free_func((GDestroyNotify)process_destroy);
	p->replaced = g_array_new(FALSE, FALSE, sizeof(int64_t));
	p->drivers = g_array_new(FALSE, TRUE, sizeof(struct driver));
	g_array_set_clear_func(p->drivers, driver_clear);
	p->image = image_open(path, options->plain, error);
	if (!p->image)
		goto out;
	for (char **file = options->page_files; file && *file; file++)
		if (!page_file_add(p->image, *file, error))
			goto out;
	progress_begin(!options->quiet, p->image->container->size);
	progress_stage("kernel");
	hasher = hasher_start(p->image->container);
	p->kernel = kernel_find(p->image, &layouts, error);
	if (!p->kernel)
		goto out;
	p->store = store_open(options->output, &created, error);
	if (!p->store)
		goto out;
	ok = store_begin(p->store, error);
	for (const struct plugin *const *plugin = sorted; ok && *plugin; plugin++)
		for (const struct table *const *t = (*plugin)->fills; ok && *t; t++)
			ok = store_declare(p->store, *t, error);
	if (!ok || !find_earlier(p, path, &hasher, &sha256, error) || !store_begin(p->store, error))
		goto out;
	begun = begin_run(p, path);
	if (!begun) {
		g_propagate_error(error, g_steal_pointer(&p->store_error));
		goto out;
	}
	ok = run_all(p, hasher, error);
	if (hasher && pipeline_interrupted)
		hasher_cancel(hasher);
	progress_stage("sha256");
	if (hasher)
		sha256 = hasher_finish(hasher);
	hasher = NULL;
	if (!ok || !hash_page_files(p, error))
		goto out;
	if (pipeline_interrupted) {
		status = "failed";
		message = g_strdup("interrupted");
	} else if (image_lost(p->image, &lost)) {
		status = "partial";
		message = g_strdup(lost->message);
	} else if (p->partial) {
		status = "partial";
	}
	if (!finish_run(p, sha256, status, message, error))
		goto out;
	result->outcome = !strcmp(status, "complete") ? OUTCOME_COMPLETE : !strcmp(status, "partial") ? OUTCOME_PARTIAL : OUTCOME_FAILED;
	result->dump_id = p->dump_id;
	if (pipeline_interrupted) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_CANCELLED, "%s: interrupted; %s is valid and holds what was found so far",
			    path, options->output);
		result->outcome = OUTCOME_FAILED;
	}
	progress_end();
	pipeline_destroy(p);
	return !pipeline_interrupted;
out:
	progress_end();
	if (hasher) {
		hasher_cancel(hasher);
		g_free(hasher_finish(hasher));
	}
	if (p->store)
		store_rollback(p->store);
	if (created && !begun)		/* while it is locked */
		unlink(options->output);
	pipeline_destroy(p);
	return false;
}
