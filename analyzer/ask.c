/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "limit.h"
#include "pipeline.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORDS 4096		/* of an error */
#define MAX_ANSWER (1 << 26)	/* about cases, all of it */
#define SAYS_DONE '.'		/* the last byte */
#define SAYS_WHY '!'		/* and the error's code and message behind it, and a line's end */

static G_NORETURN void child(ask_answer answer, void *question, int fd)
{
	g_autofree char *kept = g_strdup_printf("--progress-fd=%d", fd);
	FILE *to = fdopen(fd, "w");

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sandbox_close_inherited((char *const []){ kept, NULL });
	if (to)
		answer(question, to);
	_exit(!to || fclose(to) ? 1 : 0);
}

/* Is there more to read, or the end, within worker_seconds? */
static bool answers(int fd)
{
	const gint64 end = g_get_monotonic_time() + (gint64)MIN(limit(worker_seconds), 1u << 30) * G_USEC_PER_SEC;
	struct pollfd from = { .fd = fd, .events = POLLIN };

	for (gint64 left; (left = (end - g_get_monotonic_time()) / 1000) > 0; ) {
		int n = poll(&from, 1, (int)MIN(left, INT_MAX));
		if (n > 0 || (n < 0 && errno != EINTR))
			return true;
	}
	return false;
}

GString *ask(ask_answer answer, void *question, gsize most, int *status, bool *silent, GError **error)
{
	int pipes[2] = { -1, -1 };
	char buffer[4096];
	ssize_t n;
	pid_t pid;

	*silent = false;
	fflush(NULL);
	pid = pipe2(pipes, O_CLOEXEC) ? -1 : fork();
	if (!pid)
		child(answer, question, pipes[1]);
	if (pid < 0) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "no process to read files that may be hostile: %s", g_strerror(errno));
		for (int i = 0; i < 2 && pipes[i] >= 0; i++)
			close(pipes[i]);
		return NULL;
	}
	close(pipes[1]);
	GString *said = g_string_new(NULL);
	while (said->len < most && !(*silent = !answers(pipes[0])) &&
	       ((n = read(pipes[0], buffer, MIN(sizeof(buffer), most - said->len))) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			g_string_append_len(said, buffer, n);
	close(pipes[0]);
	kill(pid, SIGKILL);	/* it has answered, or never will */
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return said;
}

/* ---- cases */

static void answer_case(void *question, FILE *to)
{
	const struct ask_case *q = question;
	g_autoptr(GError) error = NULL;
	struct rlimit now;

	/* Ctrl-C is for who asks, who waits for what was begun. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	pipeline_interrupted = 0;
	if (!getrlimit(RLIMIT_CPU, &now) && now.rlim_cur > q->seconds)
		(void)setrlimit(RLIMIT_CPU, &(struct rlimit){ q->seconds, now.rlim_max });
	(void)sandbox_confine(&q->files, false);
	if (q->work(q->data, to, &error))
		fputc(SAYS_DONE, to);
	else
		fprintf(to, "%c%d %s\n", SAYS_WHY, error ? error->code : MEMSIEVE_ERROR_STORE, error ? error->message : "?");
}

GString *ask_case(const struct ask_case *question, enum ask_end *end, GError **error)
{
	struct ask_case q = *question;
	int status;
	bool silent;
	GString *said = ask(answer_case, &q, MAX_ANSWER, &status, &silent, error);

	*end = ASK_TOLD;
	if (!said)
		return g_string_new(NULL);
	char *told = memchr(said->str, SAYS_WHY, said->len), *words = NULL;
	if (said->len && said->str[said->len - 1] == SAYS_DONE) {
		*end = ASK_DONE;
		g_string_truncate(said, said->len - 1);
	} else if (told) {
		gint64 code = g_ascii_strtoll(told + 1, &words, 10);
		g_autofree char *valid = g_utf8_make_valid(words, (gssize)MIN(strlen(words), MAX_WORDS));
		g_set_error(error, MEMSIEVE_ERROR, CLAMP(code, 0, MEMSIEVE_ERROR_TIMEOUT), "%s", g_strstrip(valid));
		g_string_truncate(said, (gsize)(told - said->str));
	} else {
		*end = ASK_ENDED;
		bool late = silent || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "the process that read its case ended: %s%s%s%s",
			    WIFSIGNALED(status) ? g_strsignal(WTERMSIG(status)) : "without a word",
			    late ? " (" : "", silent ? "worker_seconds" : late ? question->limits : "", late ? ")" : "");
	}
	return said;
}
