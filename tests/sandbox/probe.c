/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that tries every door a taken-over analyzer would try, and writes down how each attempt ended. Only
 * tests build it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "plugin.h"

enum { DUMP, DOOR, ERROR, OPEN };

static const struct table probe = {
	.name = "probe", .doc = "attempts to get out",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[DOOR] = { "door", COL_TEXT, "what was tried" },
		[ERROR] = { "error", COL_TEXT, "how it failed" },
		[OPEN] = { "open", COL_BOOL, "it did not" },
	},
};

static int at_load = -1, at_load_error;

/* Shared objects run code while they are loaded. */
__attribute__((constructor)) static void on_load(void)
{
	at_load = open("/etc/passwd", O_RDONLY);
	at_load_error = errno;
}

static void put(struct context *c, const char *door, long result, int error)
{
	struct row *row = row_new(c, &probe);

	row_text(row, DOOR, door);
	row_int(row, OPEN, result >= 0);
	row_text(row, ERROR, result < 0 ? strerror(error) : NULL);
	if (result > 2)
		close((int)result);
}

#define TRY(door, expression) do { errno = 0; long result_ = (long)(expression); put(c, door, result_, errno); } while (0)

static long spawn(void)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	if (child > 0)
		waitpid(child, NULL, 0);
	return child;
}

/* A file is whose it was and has the mode it had, if this is possible at all. */
static long change_mode(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : fchmod(fd, st.st_mode & 07777);
}

static long change_owner(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? -1 : fchown(fd, st.st_uid, st.st_gid);
}

static long make_setuid(void)
{
	g_autofree char *file = g_build_filename(getenv("TMPDIR"), "setuid", NULL);
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 04755);

	if (fd >= 0)
		unlink(file);
	return fd;
}

/* Who reads the case after a kill needs its journal. */
static long owners_alike(void)
{
	const char *path = getenv("PROBE_CASE");
	g_autofree char *journal = g_strconcat(path, "-journal", NULL);
	struct stat a, b;

	if (stat(path, &a) || stat(journal, &b))
		return -1;
	errno = EINVAL;
	return a.st_uid == b.st_uid && a.st_gid == b.st_gid ? 0 : -1;
}

static bool run(struct context *c, GError **error)
{
	const char *outside = getenv("PROBE_OUTSIDE");	/* a folder that is nobody's business */
	g_autofree char *file = g_build_filename(outside, "written", NULL), *secret = g_build_filename(outside, "secret", NULL);
	g_autofree char *moved = g_build_filename(outside, "moved", NULL);
	char *const nothing[] = { NULL };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	char buffer[64];

	(void)error;
	put(c, "open /etc/passwd while loaded", at_load, at_load_error);
	TRY("open /etc/passwd", open("/etc/passwd", O_RDONLY));
	TRY("write a file outside", open(secret, O_WRONLY));
	TRY("make a file outside", open(file, O_WRONLY | O_CREAT, 0600));
	TRY("make a socket", socket(AF_INET, SOCK_STREAM, 0));
	TRY("fork", spawn());
	TRY("memfd", memfd_create("probe", 0));
	if (getenv("PROBE_HARMLESS"))	/* not confined: what follows would really happen */
		return true;
	TRY("what was left open", fcntl(9, F_GETFD) < 0 ? -1 : 0);
	TRY("open a file outside", open(secret, O_RDONLY));
	TRY("open a file outside through a link beside the dump", open(getenv("PROBE_LINK"), O_RDONLY));
	TRY("write the dump", open(getenv("PROBE_DUMP"), O_RDWR));
	TRY("truncate a file outside", truncate(secret, 0));
	TRY("remove a file outside", unlink(secret));
	TRY("rename a file outside", rename(secret, moved));
	TRY("link a file outside", link(secret, moved));
	TRY("make a folder", mkdir(file, 0700));
	TRY("chmod a file outside", chmod(secret, 0777));
	TRY("open /proc/self/mem", open("/proc/self/mem", O_RDWR));
	TRY("list a home folder", open("/root", O_RDONLY | O_DIRECTORY));
	TRY("connect", connect(-1, (struct sockaddr *)&address, sizeof(address)));
	TRY("make a local socket", socket(AF_UNIX, SOCK_STREAM, 0));
	TRY("make a raw socket", socket(AF_INET, SOCK_RAW, 1));
	TRY("exec", execve("/bin/true", nothing, nothing));
	TRY("execveat", syscall(SYS_execveat, AT_FDCWD, "/bin/true", nothing, nothing, 0));
	TRY("clone a process", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	TRY("new namespaces", unshare(CLONE_NEWUSER | CLONE_NEWNET));
	TRY("ptrace", ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
	TRY("be traced", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	TRY("read another process", syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
	TRY("kill another process", kill(getppid(), 0));
	TRY("kill a thread of another process", syscall(SYS_tgkill, getppid(), getppid(), 0));
	TRY("have another process signalled", fcntl(0, F_SETOWN, getppid()));
	TRY("be readable for other processes", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	TRY("mount", mount("none", outside, "tmpfs", 0, NULL));
	TRY("setuid", setuid(65534));
	TRY("raise limits", setrlimit(RLIMIT_DATA, &limit));
	TRY("load a BPF program", syscall(SYS_bpf, 0, NULL, 0));
	TRY("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
	TRY("keyring", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
	TRY("perf", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	TRY("symbolic link", symlink("/etc/passwd", file));
	int usr = open("/usr/bin/env", O_RDONLY);
	put(c, "allowed: read /usr", dup(usr), errno);
	TRY("change a mode", change_mode(usr));
	TRY("change an owner", change_owner(usr));
	close(usr);
	TRY("make a program that runs as its owner", make_setuid());
	TRY("another process's priority", syscall(SYS_sched_setattr, 1, NULL, 0));
	TRY("a thread in other namespaces", syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWNS, 0, 0, 0, 0));
	TRY("type into the terminal", syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x"));
	/* And what must still work. */
	int tmp = open(getenv("TMPDIR"), O_TMPFILE | O_RDWR, 0600);
	put(c, "allowed: a temporary file", tmp, errno);
	TRY("allowed: a journal of the case's owner", owners_alike());
	TRY("allowed: random numbers", syscall(SYS_getrandom, buffer, sizeof(buffer), 0));
	return true;
}

static const struct plugin plugin_probe = {
	.name = "probe",
	.doc = "tries to get out",
	.fills = { &probe },
	.kinds = DUMP_OF_MACHINE | DUMP_TRIAGE | DUMP_OF_PROCESS,
	.run = run,
};

MEMSIEVE_PLUGIN(plugin_probe);
