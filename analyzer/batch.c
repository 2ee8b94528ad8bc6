/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "limit.h"

/* A worker that dies of a signal is tried once more: it may have been somebody else's memory that ran out. */
#define MAX_ATTEMPTS 2
#define TICK_MS 250
#define END_MS 10		/* a worker that has hung up is about to end */
#define MAX_READS 64		/* of what one worker says, before the others are heard */
#define LOG_END 65536		/* of a log, its last words */
#define MAX_MESSAGE 4096

const char *batch_state_name(enum batch_state state)
{
	static const char *const names[] = { "waiting", "running", "complete", "partial", "failed" };

	return names[state];
}

static void item_free(void *data)
{
	struct batch_item *item = data;

	if (item->progress >= 0)
		close(item->progress);
	if (item->log >= 0)
		close(item->log);
	g_free(item->path);
	g_free(item->name);
	g_free(item->message);
	g_free(item);
}

struct batch *batch_create(void)
{
	struct batch *batch = g_new0(struct batch, 1);

	batch->items = g_ptr_array_new_with_free_func(item_free);
	batch->paths = g_hash_table_new(g_str_hash, g_str_equal);
	batch->analyze_options = g_ptr_array_new_with_free_func(g_free);
	batch->started = g_get_monotonic_time();
	return batch;
}

void batch_destroy(struct batch *batch)
{
	g_hash_table_destroy(batch->paths);
	g_ptr_array_unref(batch->items);
	g_ptr_array_unref(batch->analyze_options);
	g_free(batch->case_path);
	g_free(batch->folder);
	g_free(batch->log_folder);
	g_free(batch->view);
	g_free(batch);
}

char *batch_file(const struct batch *batch, const struct batch_item *item, const char *suffix)
{
	g_autofree char *name = g_strconcat(item->name, suffix, NULL);

	return g_build_filename(!strcmp(suffix, ".log") && batch->log_folder ? batch->log_folder : batch->folder, name, NULL);
}

struct batch_counts batch_count(const struct batch *batch)
{
	struct batch_counts n = { 0 };

	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		n.complete += item->state == BATCH_COMPLETE;
		n.partial += item->state == BATCH_PARTIAL;
		n.failed += item->state == BATCH_FAILED;
		n.running += item->state == BATCH_RUNNING;
		n.waiting += item->state == BATCH_WAITING;
		n.before += item->before;
		if (!item->before)
			n.bytes += item->size;
		if (item->state >= BATCH_COMPLETE && !item->before)
			n.bytes_done += item->size;
	}
	n.done = n.complete + n.partial + n.failed;
	return n;
}

enum outcome batch_outcome(const struct batch *batch)
{
	struct batch_counts n = batch_count(batch);

	return n.failed ? OUTCOME_FAILED : batch->left_out || n.partial || n.running || n.waiting ? OUTCOME_PARTIAL : OUTCOME_COMPLETE;
}

static void fail_item(struct batch_item *item, const char *message)
{
	item->state = BATCH_FAILED;
	g_free(item->message);
	item->message = g_strdup(message);
}

/* ---- what is done already */

/* What SQLite would take for a part of that case. */
static void remove_beside(const struct batch *batch, const struct batch_item *item, const char *suffix)
{
	static const char *const beside[] = { "-journal", "-wal", "-shm" };

	for (size_t i = 0; i < G_N_ELEMENTS(beside); i++) {
		g_autofree char *ending = g_strconcat(suffix, beside[i], NULL), *path = batch_file(batch, item, ending);
		g_unlink(path);
	}
}

static void remove_part(const struct batch *batch, const struct batch_item *item)
{
	g_autofree char *part = batch_file(batch, item, ".part");

	g_unlink(part);
	remove_beside(batch, item, ".part");
}

/* What a worker has finished is the dump's own case. One that was killed after it had committed left a journal, of which nothing counts. */
static bool take_part(const struct batch *batch, const struct batch_item *item)
{
	g_autofree char *part = batch_file(batch, item, ".part"), *own = batch_file(batch, item, ".db");

	/* Whoever took over a worker may have left some where the case is to lie: nobody else makes them. */
	remove_beside(batch, item, ".db");
	if (g_rename(part, own))
		return false;
	remove_part(batch, item);
	return true;
}

/* Is somebody at work on it? */
static bool is_running(const struct batch *batch, const struct batch_item *item)
{
	g_autofree char *log = batch_file(batch, item, ".log");
	int fd = open(log, O_RDONLY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return locked;
}

bool batch_look(struct batch *batch, GError **error)
{
	for (guint i = 0; i < batch->items->len; i++) {
		struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (is_running(batch, item))
			item->state = BATCH_RUNNING;
	}
	if (!batch_case_look(batch, error))
		return false;
	for (guint i = 0; i < batch->items->len; i++) {
		struct batch_item *item = g_ptr_array_index(batch->items, i);
		g_autofree char *failed = batch_file(batch, item, ".failed"), *message = NULL;
		item->before = item->found == FOUND_IN_PART ? take_part(batch, item) /* its batch ended before it saw that */
			: item->found != FOUND_NOWHERE;
		item->merged = item->found == FOUND_IN_CASE;
		if (item->found == FOUND_NOWHERE && item->state != BATCH_RUNNING && g_file_get_contents(failed, &message, NULL, NULL))
			fail_item(item, g_strchomp(message));
	}
	return true;
}

/* ---- workers */

static void let_log_go(struct batch_item *item)
{
	if (item->log >= 0)
		close(item->log);
	item->log = -1;
}

static bool lock_log(struct batch *batch, struct batch_item *item, GError **error)
{
	g_autofree char *path = batch_file(batch, item, ".log");

	item->log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (item->log < 0) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		return false;
	}
	/* The worker inherits the lock with its standard output: it lasts as long as one of us lives. One of a batch that was
	 * killed a moment ago may not be gone yet. */
	for (int i = 0; flock(item->log, LOCK_EX | LOCK_NB) < 0; i++) {
		if (i == 20) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "another batch is at work on it");
			let_log_go(item);
			return false;
		}
		g_usleep(100000);
	}
	return ftruncate(item->log, 0) == 0;
}

static char **worker_command(const struct batch *batch, const struct batch_item *item, int progress)
{
	g_autofree char *part = batch_file(batch, item, ".part");
	unsigned threads = MAX(1, g_get_num_processors() / batch->jobs);
	GPtrArray *argv = g_ptr_array_new();

	g_ptr_array_add(argv, g_strdup("memsieve"));
	g_ptr_array_add(argv, g_strdup("analyze"));
	g_ptr_array_add(argv, g_strdup("--quiet"));
	g_ptr_array_add(argv, g_strdup_printf("--jobs=%u", threads));
	g_ptr_array_add(argv, g_strdup_printf("--progress-fd=%d", progress));
	g_ptr_array_add(argv, g_strdup_printf("--output=%s", part));
	for (guint i = 0; i < batch->analyze_options->len; i++)
		g_ptr_array_add(argv, g_strdup(g_ptr_array_index(batch->analyze_options, i)));
	g_ptr_array_add(argv, g_strdup("--"));
	g_ptr_array_add(argv, g_strdup(item->path));
	g_ptr_array_add(argv, NULL);
	return (char **)g_ptr_array_free(argv, FALSE);
}

/* In the child: async-signal-safe calls alone. */
static void become_worker(char **argv, int log, int progress, uint64_t memory, pid_t parent)
{
	struct rlimit limit = { .rlim_cur = memory, .rlim_max = memory };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	/* Private memory; what is mapped of the dump doesn't count. */
	if (memory)
		setrlimit(RLIMIT_DATA, &limit);
	setpgid(0, 0);		/* Ctrl-C is for the batch, which tells its workers */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fcntl(progress, F_SETFD, 0);
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(1);
	execv("/proc/self/exe", argv);
	_exit(127);
}

/* False: it has failed. Else it has a worker, or needs none. */
static bool start(struct batch *batch, struct batch_item *item, GError **error)
{
	int pipes[2];

	if (!lock_log(batch, item, error))
		return false;
	g_autofree char *failed = batch_file(batch, item, ".failed"), *own = batch_file(batch, item, ".db");
	if (g_file_test(own, G_FILE_TEST_EXISTS) && batch_case_look_again(batch, item)) {	/* while we waited, by another batch on the same folder */
		item->before = true;
		let_log_go(item);
		return true;
	}
	g_unlink(failed);
	remove_part(batch, item);
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "no pipe for a worker: %s", g_strerror(errno));
		return false;
	}
	g_auto(GStrv) argv = worker_command(batch, item, pipes[1]);
	pid_t parent = getpid();
	fflush(NULL);
	pid_t pid = fork();
	if (!pid)
		become_worker(argv, item->log, pipes[1], batch->memory_limit / batch->jobs, parent);
	if (pid < 0)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "no worker process: %s", g_strerror(errno));
	close(pipes[1]);
	if (pid < 0) {
		close(pipes[0]);
		return false;
	}
	item->pid = pid;	/* never -1, which to kill() and waitpid() is everybody */
	item->progress = pipes[0];
	item->state = BATCH_RUNNING;
	item->attempts++;
	item->late = false;
	item->started = g_get_monotonic_time();
	g_strlcpy(item->stage, "start", sizeof(item->stage));
	batch_view_event(batch, "start", item);
	return true;
}

/* The last line a worker wrote, which says why it failed. */
static char *last_words(const struct batch *batch, const struct batch_item *item)
{
	g_autofree char *path = batch_file(batch, item, ".log"), *text = g_malloc(LOG_END);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
	ssize_t length = end > 0 ? pread(fd, text, LOG_END, MAX(end - LOG_END, 0)) : -1;

	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return NULL;
	g_autofree char *valid = g_utf8_make_valid(text, length);
	g_strchomp(valid);
	const char *line = strrchr(valid, '\n');
	line = line ? line + 1 : valid;
	if (g_str_has_prefix(line, "memsieve: "))
		line += strlen("memsieve: ");
	/* which dump is said beside it */
	if (g_str_has_prefix(line, item->path) && g_str_has_prefix(line + strlen(item->path), ": "))
		line += strlen(item->path) + strlen(": ");
	return g_strndup(line, MAX_MESSAGE);
}

/* Only while we hold its log: else its files are another batch's. */
static void note_failure(struct batch *batch, struct batch_item *item, const char *message)
{
	g_autofree char *path = batch_file(batch, item, ".failed"), *line = g_strconcat(message, "\n", NULL);

	fail_item(item, message);
	if (item->log >= 0) {
		remove_part(batch, item);
		(void)g_file_set_contents(path, line, -1, NULL);
	}
	batch_view_event(batch, "failed", item);
}

static void hang_up(struct batch_item *item)
{
	if (item->progress >= 0)
		close(item->progress);
	item->progress = -1;
}

static void finished(struct batch *batch, struct batch_item *item, int status)
{
	g_autofree char *words = last_words(batch, item), *message = NULL;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	item->seconds = (double)(g_get_monotonic_time() - item->started) / 1e6;
	item->pid = 0;
	hang_up(item);
	if (code == OUTCOME_COMPLETE || code == OUTCOME_PARTIAL) {
		if (take_part(batch, item)) {
			item->state = code == OUTCOME_COMPLETE ? BATCH_COMPLETE : BATCH_PARTIAL;
			batch_view_event(batch, "done", item);
		} else {
			int why = errno;
			g_autofree char *own = batch_file(batch, item, ".db");
			message = g_strdup_printf("%s: %s", own, g_strerror(why));
		}
	} else if (item->late) {
		message = g_strdup_printf("its worker came to no end in %" G_GUINT64_FORMAT " s (worker_seconds, worker_seconds_gib)",
					  limit_for(worker_seconds, item->size));
	} else if (WIFSIGNALED(status)) {
		message = g_strdup_printf("its worker was killed by signal %d (%s)%s%s", WTERMSIG(status), g_strsignal(WTERMSIG(status)),
					  words ? ": " : "", words ? words : "");
		if (item->attempts < MAX_ATTEMPTS && !pipeline_interrupted) {
			item->state = BATCH_WAITING;
			g_clear_pointer(&message, g_free);
			batch_view_event(batch, "retry", item);
		}
	} else {
		message = words ? g_steal_pointer(&words) : g_strdup_printf("its worker ended with status %d", code);
	}
	if (message && pipeline_interrupted) {
		item->state = BATCH_WAITING;	/* for --resume */
		remove_part(batch, item);
	} else if (message) {
		note_failure(batch, item, message);
	}
	let_log_go(item);
}

/* ---- the case of all */

static bool merge_item(struct batch *batch, struct batch_item *item, GError **error)
{
	g_autofree char *own = batch_file(batch, item, ".db"), *log = batch_file(batch, item, ".log");
	g_autoptr(GError) why = NULL;
	enum batch_merge merged = batch_case_merge(batch, item, &why);

	if (merged == MERGE_IMPOSSIBLE) {
		g_propagate_error(error, g_steal_pointer(&why));
		return false;
	}
	if (merged == MERGE_REFUSED) {		/* the others go on; its own case stays, to be merged with --resume */
		note_failure(batch, item, why->message);
		return true;
	}
	item->merged = true;
	batch_view_event(batch, merged == MERGE_MERGED ? "merged" : "duplicate", item);
	/* A copy of another dump leaves no path in the case: its own case says that it is done, until the end. */
	if (!batch->keep_cases && merged == MERGE_MERGED) {
		g_unlink(own);
		if (!batch->log_folder)
			g_unlink(log);
	}
	return true;
}

/* In the order of the list, so that the case is the same however long each takes. */
static bool merge_ready(struct batch *batch, GError **error)
{
	for (; batch->case_path && batch->next_merge < batch->items->len; batch->next_merge++) {
		struct batch_item *item = g_ptr_array_index(batch->items, batch->next_merge);
		if (item->state == BATCH_RUNNING || (item->state == BATCH_WAITING && !batch->merge_only))
			return true;
		if (item->merged || item->state == BATCH_FAILED || item->state == BATCH_WAITING)
			continue;
		if (!merge_item(batch, item, error))
			return false;
	}
	return true;
}

/* ---- all of it */

static void read_progress(struct batch *batch, struct batch_item *item)
{
	char buffer[4096];
	ssize_t n;

	for (unsigned i = 0; i < MAX_READS && (n = read(item->progress, buffer, sizeof(buffer) - 1)) > 0; i++) {
		buffer[n] = 0;
		g_strchomp(buffer);
		const char *last = strrchr(buffer, '\n');
		g_strlcpy(item->stage, last ? last + 1 : buffer, sizeof(item->stage));
	}
	batch_view_refresh(batch, false);
}

/* Its own watchdog is gone with a worker that was taken over or stopped, or waits for a disk as it does. */
static void end_if_late(struct batch_item *item)
{
	if (item->pid <= 0 || (uint64_t)(g_get_monotonic_time() - item->started) / G_USEC_PER_SEC < limit_for(worker_seconds, item->size))
		return;
	item->late = true;
	kill(item->pid, SIGKILL);
}

/* Wait for news of a worker, or a tick. */
static void wait_for_workers(struct batch *batch)
{
	g_autofree struct pollfd *polls = g_new(struct pollfd, batch->items->len + 1);
	g_autofree struct batch_item **who = g_new(struct batch_item *, batch->items->len + 1);
	int tick = TICK_MS;
	nfds_t n = 0;

	for (guint i = 0; i < batch->items->len; i++) {
		struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (item->pid <= 0)
			continue;
		if (item->progress < 0)
			tick = END_MS;
		who[n] = item;
		polls[n++] = (struct pollfd){ .fd = item->progress, .events = POLLIN };
	}
	if (poll(polls, n, tick) <= 0)
		for (nfds_t i = 0; i < n; i++)
			polls[i].revents = 0;
	for (nfds_t i = 0; i < n; i++) {
		int status;
		if (polls[i].revents & POLLIN)
			read_progress(batch, who[i]);
		/* Where all of the pipe's writers are gone, the worker is, too, or nearly. Nothing holds the others up if it isn't. */
		if (polls[i].revents & (POLLHUP | POLLERR))
			hang_up(who[i]);
		if (waitpid(who[i]->pid, &status, WNOHANG) == who[i]->pid)
			finished(batch, who[i], status);
		end_if_late(who[i]);
	}
	batch_view_refresh(batch, false);
}

static void start_workers(struct batch *batch, unsigned running)
{
	for (guint i = 0; i < batch->items->len && running < batch->jobs && !pipeline_interrupted && !batch->merge_only; i++) {
		struct batch_item *item = g_ptr_array_index(batch->items, i);
		g_autoptr(GError) error = NULL;
		if (item->state != BATCH_WAITING)
			continue;
		if (start(batch, item, &error)) {
			running += item->pid > 0;	/* else another batch has done it: its place is free for the next */
			continue;
		}
		note_failure(batch, item, error ? error->message : "its log can't be written");
		let_log_go(item);
	}
}

static void stop_workers(struct batch *batch)
{
	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (item->pid > 0)
			kill(item->pid, SIGTERM);
	}
}

static unsigned running(const struct batch *batch)
{
	unsigned n = 0;

	for (guint i = 0; i < batch->items->len; i++)
		n += ((struct batch_item *)g_ptr_array_index(batch->items, i))->pid > 0;
	return n;
}

/* What an earlier batch left: done stays, the rest is done (again). */
static bool prepare(struct batch *batch, GError **error)
{
	unsigned left = 0;

	for (guint i = 0; i < batch->items->len; i++) {
		struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (item->state == BATCH_RUNNING && !batch->merge_only)
			item->state = BATCH_WAITING;	/* it is seen again when its turn comes */
		left += item->before;
		if (item->state == BATCH_FAILED && !batch->merge_only)
			item->state = BATCH_WAITING;
		if (item->before && batch->replace) {
			item->before = item->merged = false;
			item->state = BATCH_WAITING;
		}
	}
	if (!left || batch->resume || batch->replace)
		return true;
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%u of %u dumps are done already: --resume leaves them as they are, --replace"
		    " analyses them anew", left, batch->items->len);
	return false;
}

/* With --replace what was made before and not merged yet is not asked again; what is in the case stays until the new is merged. */
static void forget(struct batch *batch)
{
	for (guint i = 0; i < batch->items->len && batch->replace; i++) {
		g_autofree char *own = batch_file(batch, g_ptr_array_index(batch->items, i), ".db");
		g_unlink(own);
	}
}

/* Where nothing is left to resume: the folder was ours alone. */
static void clear_away(const struct batch *batch)
{
	static const char *const own[] = { "batch.list", "batch.case" };

	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		g_autofree char *db = batch_file(batch, item, ".db"), *log = batch_file(batch, item, ".log");
		g_unlink(db);
		if (!batch->log_folder)
			g_unlink(log);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(own); i++) {
		g_autofree char *path = g_build_filename(batch->folder, own[i], NULL);
		g_unlink(path);
	}
	g_rmdir(batch->folder);
}

bool batch_run(struct batch *batch, GError **error)
{
	bool ok, told = false;
	unsigned n;

	if (g_mkdir_with_parents(batch->folder, 0755) < 0 || (batch->log_folder && g_mkdir_with_parents(batch->log_folder, 0755) < 0)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", batch->folder, g_strerror(errno));
		return false;
	}
	if (!batch_look(batch, error) || !prepare(batch, error) || !batch_write_list(batch, error))
		return false;
	forget(batch);
	batch_view_event(batch, "found", NULL);
	ok = merge_ready(batch, error);
	while (ok) {
		start_workers(batch, running(batch));
		n = running(batch);
		if (!n)
			break;
		if (pipeline_interrupted && !told) {
			stop_workers(batch);
			told = true;
		}
		wait_for_workers(batch);
		ok = merge_ready(batch, error);
	}
	stop_workers(batch);
	while ((n = running(batch)))
		wait_for_workers(batch);
	ok = ok && merge_ready(batch, error) && (!batch->case_path || !batch_count(batch).done || batch_case_finish(batch, error));
	batch_view_refresh(batch, true);
	const struct batch_counts left = batch_count(batch);
	if (ok && !batch->keep_cases && !left.failed && !left.waiting && !left.running && !pipeline_interrupted)
		clear_away(batch);
	return ok;
}
