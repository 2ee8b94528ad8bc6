/* SPDX-License-Identifier: Apache-2.0 */
/* A process of its own for what must not be believed: it reads, and all it can do is answer. */
#include "batch.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "sandbox.h"

static G_NORETURN void child(batch_answer answer, void *question, int fd)
{
	g_autofree char *kept = g_strdup_printf("--progress-fd=%d", fd);
	FILE *to = fdopen(fd, "w");

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sandbox_close_inherited((char *const []){ kept, NULL });
	if (to)
		answer(question, to);
	_exit(!to || fclose(to) ? 1 : 0);
}

GString *batch_ask(batch_answer answer, void *question, gsize most, int *status, GError **error)
{
	int pipes[2] = { -1, -1 };
	char buffer[4096];
	ssize_t n;
	pid_t pid;

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
	while (said->len < most && ((n = read(pipes[0], buffer, MIN(sizeof(buffer), most - said->len))) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			g_string_append_len(said, buffer, n);
	close(pipes[0]);
	kill(pid, SIGKILL);	/* it has answered, or never will */
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return said;
}
