/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"
#include <string.h>
#include "limit.h"
#include "pipeline.h"
#include "progress.h"
#include "rows.h"

unsigned crew_left_behind;

#define TICK_US 100000

/* One thread and what it is at. */
struct worker {
	struct crew *crew;
	struct context context;
	guint at;		/* the process at hand … */
	gint64 since;		/* … and when it began, 0: idle */
	gint64 told;		/* when it was told to end, 0: it wasn't */
	bool over, left;
};

/* Owned by its threads and the caller: who goes last frees it. */
struct crew {
	struct crew_task task;
	GMutex lock;
	GCond worked, wrote;
	guint next, written, n;
	struct rows **finished;		/* by process, NULL until done */
	GError **errors;
	uint64_t waiting;		/* bytes in `finished` */
	uint64_t walked;		/* pages of page tables, by what is finished */
	bool stop;			/* no more processes */
	/* of crew_run_once */
	bool (*run)(struct context *, GError **);
	bool ok;
	guint n_workers;
	struct worker workers[];
};

static gint64 seconds_us(uint64_t seconds)
{
	return (gint64)MIN(seconds, (uint64_t)1 << 40) * G_USEC_PER_SEC;
}

static struct crew *crew_create(const struct crew_task *task, guint n, guint workers)
{
	struct crew *crew = g_malloc0(sizeof(*crew) + workers * sizeof(struct worker));

	crew->task = *task;
	crew->n = n;
	crew->n_workers = workers;
	crew->finished = g_new0(struct rows *, n + 1);
	crew->errors = g_new0(GError *, n + 1);
	g_mutex_init(&crew->lock);
	g_cond_init(&crew->worked);
	g_cond_init(&crew->wrote);
	for (guint i = 0; i < workers; i++) {
		crew->workers[i].crew = crew;
		struct context *c = &crew->workers[i].context;
		*c = task->context(task->user);
		c->worker = &crew->workers[i];
		if (c->space)
			c->space->stop = &c->stop;
	}
	return crew;
}

static void crew_destroy(struct crew *crew)
{
	for (guint i = 0; i < crew->n_workers; i++)
		space_destroy(crew->workers[i].context.space);
	for (guint i = 0; i <= crew->n; i++) {
		rows_destroy(crew->finished[i]);
		g_clear_error(&crew->errors[i]);
	}
	g_free(crew->finished);
	g_free(crew->errors);
	g_mutex_clear(&crew->lock);
	g_cond_clear(&crew->worked);
	g_cond_clear(&crew->wrote);
	g_free(crew);
}

/*
 * A thread for each worker, as far as the system gives any; who gets none has nothing to do. Returns how many: 0 leaves the work to
 * the caller, which nobody watches then: what it runs looks at the clock itself.
 */
static guint start(struct crew *crew, GThread **threads, GThreadFunc work)
{
	guint n = 0;

	while (n < crew->n_workers && (threads[n] = g_thread_try_new(crew->task.plugin->name, work, &crew->workers[n], NULL)))
		n++;
	g_mutex_lock(&crew->lock);
	for (guint i = n; i < crew->n_workers; i++)
		crew->workers[i].over = true;
	g_mutex_unlock(&crew->lock);
	return n;
}

/* With the lock held. */
static void tell(struct worker *w, gint64 now)
{
	if (w->told)
		return;
	w->told = now;
	w->context.stop = 1;
}

/* ---- on the worker's thread */

bool crew_enter(const struct context *context)
{
	struct worker *w = context->worker;

	if (!w)
		return true;
	g_mutex_lock(&w->crew->lock);
	if (w->left)
		g_mutex_unlock(&w->crew->lock);
	return !w->left;
}

void crew_leave(const struct context *context)
{
	if (context->worker)
		g_mutex_unlock(&context->worker->crew->lock);
}

static void note_limits(const struct context *c, bool told)
{
	bool user = c->user && c->user->exhausted;

	if ((user || c->space->exhausted) && !told)
		rows_note(c->rows, FAULT_LIMIT, (va_t){ 0 }, c->process, NULL,
			  g_strdup_printf("the %s page tables name far more pages than the machine has: not all were looked at",
					  user ? "process's" : "kernel's"));
	if (told && !pipeline_interrupted)
		rows_note(c->rows, FAULT_TIMEOUT, (va_t){ 0 }, c->process, NULL, g_strdup("took too long: the rest is left out"));
	rows_note_dropped(c->rows, c->process);
}

/*
 * Steps of walking page tables for the process at hand; returns how many. When all together have walked many times
 * the machine's memory, there are few for each that is to come.
 */
static uint64_t grant_steps(struct worker *w)
{
	struct context *c = &w->context;
	uint64_t all = limit(walk_steps_all) + limit(walk_steps_all_page) * (c->image->bytes_filled / PAGE_SIZE);

	g_mutex_lock(&w->crew->lock);
	bool spent = w->crew->walked > all;
	g_mutex_unlock(&w->crew->lock);
	space_refill(c->space);
	if (spent) {
		c->space->steps = MIN(c->space->steps, limit(walk_steps_late));
		if (c->user)
			c->user->steps = MIN(c->user->steps, limit(walk_steps_late));
	}
	return c->space->steps + (c->user ? c->user->steps : 0);
}

static void work_on(struct worker *w, guint i)
{
	struct context *c = &w->context;
	struct process *process = g_ptr_array_index(w->crew->task.processes, i);
	GError *error = NULL;

	c->process = process;
	c->rows = rows_create();
	c->rows->limit = (int64_t)limit(rows_process);
	c->rows->byte_limit = limit(row_bytes_process);
	c->user = process->user_readable ? process_space(process, c->kernel, c->space) : NULL;
	uint64_t steps = grant_steps(w);
	if (c->user)
		c->user->stop = &c->stop;
	if (!w->crew->task.plugin->run_process(c, &error) && !error)
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "failed without saying why");
	g_mutex_lock(&w->crew->lock);
	bool told = w->told || context_overdue(c);
	g_mutex_unlock(&w->crew->lock);
	note_limits(c, told);
	steps -= c->space->steps + (c->user ? c->user->steps : 0);
	space_destroy(c->user);
	c->user = NULL;
	g_mutex_lock(&w->crew->lock);
	w->crew->walked += steps;
	w->crew->errors[i] = error;
	w->crew->finished[i] = c->rows;
	w->crew->waiting += c->rows->bytes;
	w->since = w->told = 0;
	c->stop = 0;
	g_cond_signal(&w->crew->worked);
	g_mutex_unlock(&w->crew->lock);
}

/* Not too far ahead of the writer: finished rows wait in memory. */
static bool too_far(const struct crew *crew)
{
	guint ahead = crew->next - crew->written;

	return ahead >= 4 * crew->n_workers + 4 || (ahead && crew->waiting > limit(row_bytes_waiting));
}

static void *work_on_processes(void *data)
{
	struct worker *w = data;
	struct crew *crew = w->crew;

	for (;;) {
		g_mutex_lock(&crew->lock);
		while (!crew->stop && !w->left && crew->next < crew->n && too_far(crew))
			g_cond_wait(&crew->wrote, &crew->lock);
		w->over = crew->stop || w->left || crew->next >= crew->n || pipeline_interrupted;
		guint i = crew->next;
		if (w->over) {	/* the writer waits for nothing that won't come */
			g_cond_signal(&crew->worked);
			g_mutex_unlock(&crew->lock);
			return NULL;
		}
		crew->next++;
		w->at = i;
		w->since = g_get_monotonic_time();
		g_mutex_unlock(&crew->lock);
		work_on(w, i);
	}
}

static void overflow_once(struct rows *rows, void *data)
{
	struct worker *w = data;

	g_mutex_lock(&w->crew->lock);
	if (w->left || !w->crew->task.write(w->crew->task.user, rows)) {
		rows_clear(rows);
		tell(w, g_get_monotonic_time());
	}
	g_mutex_unlock(&w->crew->lock);
}

static void *work_once(void *data)
{
	struct worker *w = data;
	struct crew *crew = w->crew;
	struct context *c = &w->context;
	GError *error = NULL;

	bool ok = crew->run(c, &error);
	if (!ok && !error)
		g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_PLUGIN, "failed without saying why");
	g_mutex_lock(&crew->lock);
	note_limits(c, w->told || context_overdue(c));
	crew->ok = ok;
	crew->errors[0] = error;
	w->over = true;
	g_cond_signal(&crew->worked);
	g_mutex_unlock(&crew->lock);
	return NULL;
}

/* ---- on the caller's thread, with the lock held */

/* Who takes too long is told to end; who still goes on is left behind. Returns whether somebody was. */
static bool watch(struct crew *crew, gint64 begun, uint64_t each)
{
	gint64 now = g_get_monotonic_time();
	bool whole = now - begun > crew->task.most, left = false;

	crew->stop |= whole;
	for (guint i = 0; i < crew->n_workers; i++) {
		struct worker *w = &crew->workers[i];
		if (!w->since || w->over || w->left)
			continue;
		if (whole || (each && now - w->since > seconds_us(each)))
			tell(w, now);
		if (w->told && now - w->told > seconds_us(limit(grace_seconds))) {
			left = w->left = true;
			crew_left_behind++;
		}
	}
	if (whole)
		g_cond_broadcast(&crew->wrote);
	return left;
}

static bool all_over(const struct crew *crew)
{
	for (guint i = 0; i < crew->n_workers; i++)
		if (!crew->workers[i].over && !crew->workers[i].left)
			return false;
	return true;
}

static bool any_left(const struct crew *crew)
{
	for (guint i = 0; i < crew->n_workers; i++)
		if (crew->workers[i].left)
			return true;
	return false;
}

/* Is somebody at work on process i, who may still finish? */
static bool to_come(const struct crew *crew, guint i)
{
	if (crew->next <= i)
		return !all_over(crew);
	for (guint k = 0; k < crew->n_workers; k++) {
		const struct worker *w = &crew->workers[k];
		if (w->since && !w->left && w->at == i)
			return true;
	}
	return false;
}

static void wait_a_tick(struct crew *crew)
{
	g_cond_wait_until(&crew->worked, &crew->lock, g_get_monotonic_time() + TICK_US);
}

static bool fills(const struct plugin *plugin, const char *table)
{
	for (const struct table *const *t = plugin->fills; *t; t++)
		if (!strcmp((*t)->name, table))
			return true;
	return false;
}

/* Who was left behind may go on changing what the plugin fills of the process at hand: the next plugins get another. */
static void part_from(const struct crew *crew, const struct worker *w)
{
	const bool vads = fills(crew->task.plugin, "vads"), modules = fills(crew->task.plugin, "modules");

	if (w->at < crew->n && (vads || modules))
		crew->task.processes->pdata[w->at] = process_twin(crew->task.processes->pdata[w->at], vads, modules);
}

/* Join the threads that are through; a crew with somebody left behind stays as it is. */
static void finish(struct crew *crew, GThread **threads, gint64 begun)
{
	g_mutex_lock(&crew->lock);
	crew->stop = true;
	g_cond_broadcast(&crew->wrote);
	while (!all_over(crew)) {
		wait_a_tick(crew);
		watch(crew, begun, 0);
	}
	bool left = any_left(crew);
	g_mutex_unlock(&crew->lock);
	for (guint i = 0; i < crew->n_workers; i++)
		if (crew->workers[i].left) {
			g_thread_unref(threads[i]);
			part_from(crew, &crew->workers[i]);
		} else if (threads[i]) {
			g_thread_join(threads[i]);
		}
	if (!left)
		crew_destroy(crew);
}

static void set_message(GString *message, const char *text)
{
	if (!message->len)
		g_string_assign(message, text);
}

/* Without any thread. */
static void work_here(struct crew *crew, guint i, gint64 end, uint64_t each)
{
	struct worker *w = &crew->workers[0];
	gint64 now = g_get_monotonic_time();

	if (now > end || pipeline_interrupted)
		return;
	w->context.deadline = MIN(end, now + seconds_us(each));
	w->at = i;
	crew->next = i + 1;
	work_on(w, i);
}

/* What is missing, as nobody else can say it any more. */
static G_GNUC_PRINTF(2, 3) void note_lost(const struct crew_task *task, const char *format, ...)
{
	struct rows *rows = rows_create();
	va_list ap;

	va_start(ap, format);
	rows_note(rows, FAULT_TIMEOUT, (va_t){ 0 }, NULL, NULL, g_strdup_vprintf(format, ap));
	va_end(ap);
	(void)task->write(task->user, rows);
	rows_destroy(rows);
}

bool crew_run_processes(const struct crew_task *task, GString *message)
{
	guint n = task->processes->len, workers = MIN((guint)task->jobs, n);
	struct crew *crew = crew_create(task, n, workers);
	g_autofree GThread **threads = g_new0(GThread *, workers + 1);
	uint64_t each = limit_for(process_seconds, task->size);
	gint64 begun = g_get_monotonic_time();
	bool ok = true, wrote = true;

	bool alone = !start(crew, threads, work_on_processes);
	for (guint i = 0; i < n; i++) {
		struct process *process = g_ptr_array_index(task->processes, i);
		if (alone)
			work_here(crew, i, begun + task->most, each);
		g_mutex_lock(&crew->lock);
		watch(crew, begun, each);	/* also where rows come faster than they are written */
		while (!crew->finished[i] && to_come(crew, i)) {
			wait_a_tick(crew);
			watch(crew, begun, each);
		}
		struct rows *rows = g_steal_pointer(&crew->finished[i]);
		bool lost = !rows && crew->next > i;
		if (rows || lost)
			crew->written = i + 1;
		crew->waiting -= rows ? rows->bytes : 0;
		g_autoptr(GError) error = g_steal_pointer(&crew->errors[i]);
		g_cond_broadcast(&crew->wrote);
		g_mutex_unlock(&crew->lock);
		if (!rows && !lost)
			break;		/* interrupted, or the plugin's time is over */
		if (lost) {
			rows = rows_create();
			rows_note(rows, FAULT_TIMEOUT, process->eprocess, process, NULL, g_strdup("the plugin made no progress and was left behind"));
			set_message(message, "made no progress and was left behind");
			ok = false;
		} else if (error) {
			rows_note(rows, FAULT_IMPLAUSIBLE, process->eprocess, process, NULL, g_strdup(error->message));
			set_message(message, error->message);
			ok = false;
		}
		wrote = task->write(task->user, rows);
		rows_destroy(rows);
		if (!wrote)
			break;
		progress_step(i + 1, n);
	}
	if (wrote && crew->written < n && !pipeline_interrupted) {
		note_lost(task, "took too long: %u of %u processes were not looked at", n - crew->written, n);
		set_message(message, "took too long: not all processes were looked at");
		ok = false;
	}
	finish(crew, threads, begun);
	return ok;
}

bool crew_run_once(const struct crew_task *task, bool (*run)(struct context *, GError **), GString *message)
{
	struct crew *crew = crew_create(task, 0, 1);
	struct worker *w = &crew->workers[0];
	struct rows *rows = rows_create();
	GThread *thread = NULL;
	gint64 begun = g_get_monotonic_time();

	rows->overflow = overflow_once;
	rows->user = w;
	w->context.rows = rows;
	w->context.half = begun + task->most / 2;
	w->since = begun;
	crew->run = run;
	if (!start(crew, &thread, work_once)) {
		w->context.deadline = begun + task->most;
		work_once(w);
	}
	g_mutex_lock(&crew->lock);
	while (!all_over(crew)) {
		wait_a_tick(crew);
		watch(crew, begun, 0);
	}
	bool left = w->left, ok = crew->ok && !left;
	if (left) {
		set_message(message, "made no progress and was left behind");
		note_lost(task, "made no progress and was left behind");
	} else if (crew->errors[0]) {
		set_message(message, crew->errors[0]->message);
	}
	if (!left)
		(void)task->write(task->user, rows);
	g_mutex_unlock(&crew->lock);
	finish(crew, &thread, begun);
	if (!left)
		rows_destroy(rows);
	return ok;
}
