/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin that makes trouble, as TROUBLE says; only tests build it.
 *
 *	shrink		cut the file TROUBLE_FILE to half while it is read
 *	replace		put another file in its place
 *	sleep		for TROUBLE_SECONDS
 *	spin		never end, whatever one is told
 *	wait		end when one is told to
 *	spin-one	the same two, in the work on one process
 *	wait-one
 *	stop		do nothing more, nor does any other thread of the program
 *	flood		say more to whoever started the program than it reads, until one is told to end
 *	hangup		say nothing more to it
 *	rows		make rows without end
 *	rows-one
 *	lose		loaded before the program (LD_PRELOAD): the page of TROUBLE_FILE at TROUBLE_AT can't be read, as of a disk that fails
 *	powercut	lose the power at the TROUBLE_AT-th write to the case: what was written after a file's last sync may be lost or not
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "crew.h"
#include "plugin.h"

/* ---- the power cut: an SQLite VFS that knows how to undo what wasn't synced */

struct undo {
	char *path;
	sqlite3_int64 offset, size;	/* what the file had before the write, and how long it was */
	unsigned char *old;
	int length;
	struct undo *next;
};

struct cut_file {
	sqlite3_file base;
	char *path;
	sqlite3_file *real;
};

static sqlite3_vfs *real_vfs, cut_vfs;
static sqlite3_io_methods cut_methods;
static struct undo *undos;		/* newest first */
static long writes, cut_at = -1;
static unsigned seed;

/* Each unsynced write is lost or kept, as a disk that reorders does; a lost one is undone byte by byte, newest first. */
static void cut_power(void)
{
	bool all = rand_r(&seed) % 3 == 0;	/* sometimes nothing unsynced survives */

	for (struct undo *u = undos; u; u = u->next) {
		int fd = open(u->path, O_WRONLY);
		if (fd < 0 || (!all && rand_r(&seed) % 2))
			continue;
		if (u->length && pwrite(fd, u->old, (size_t)u->length, u->offset) < 0)
			_exit(98);
		if (all && ftruncate(fd, u->size) < 0)
			_exit(98);
		close(fd);
	}
	_exit(99);
}

static void remember(struct cut_file *f, sqlite3_int64 offset, int length)
{
	struct undo *u = calloc(1, sizeof(*u));

	u->path = strdup(f->path);
	u->offset = offset;
	f->real->pMethods->xFileSize(f->real, &u->size);
	if (offset < u->size) {
		u->length = (int)(u->size - offset < length ? u->size - offset : length);
		u->old = malloc((size_t)u->length);
		f->real->pMethods->xRead(f->real, u->old, u->length, offset);
	}
	u->next = undos;
	undos = u;
	if (++writes == cut_at)
		cut_power();
}

static struct cut_file *cut(sqlite3_file *file)
{
	return (struct cut_file *)(void *)file;
}

static int cut_close(sqlite3_file *file)
{
	int rc = cut(file)->real->pMethods ? cut(file)->real->pMethods->xClose(cut(file)->real) : SQLITE_OK;

	free(cut(file)->real);
	free(cut(file)->path);
	return rc;
}

static int cut_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	return cut(file)->real->pMethods->xRead(cut(file)->real, to, n, at);
}

static int cut_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	remember(cut(file), at, n);
	return cut(file)->real->pMethods->xWrite(cut(file)->real, from, n, at);
}

static int cut_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	sqlite3_int64 now = 0;

	cut(file)->real->pMethods->xFileSize(cut(file)->real, &now);
	if (size < now)
		remember(cut(file), size, (int)(now - size));
	return cut(file)->real->pMethods->xTruncate(cut(file)->real, size);
}

static int cut_sync(sqlite3_file *file, int flags)
{
	(void)flags;
	for (struct undo **u = &undos; *u; ) {
		struct undo *gone = *u;
		if (strcmp(gone->path, cut(file)->path)) {
			u = &gone->next;
			continue;
		}
		*u = gone->next;
		free(gone->old);
		free(gone->path);
		free(gone);
	}
	return SQLITE_OK;	/* no need to wait for the real disk */
}

static int cut_size(sqlite3_file *file, sqlite3_int64 *size)
{
	return cut(file)->real->pMethods->xFileSize(cut(file)->real, size);
}

static int cut_lock(sqlite3_file *file, int level)
{
	return cut(file)->real->pMethods->xLock(cut(file)->real, level);
}

static int cut_unlock(sqlite3_file *file, int level)
{
	return cut(file)->real->pMethods->xUnlock(cut(file)->real, level);
}

static int cut_reserved(sqlite3_file *file, int *out)
{
	return cut(file)->real->pMethods->xCheckReservedLock(cut(file)->real, out);
}

static int cut_control(sqlite3_file *file, int op, void *arg)
{
	return op == SQLITE_FCNTL_MMAP_SIZE ? SQLITE_NOTFOUND : cut(file)->real->pMethods->xFileControl(cut(file)->real, op, arg);
}

static int cut_sector(sqlite3_file *file)
{
	(void)file;
	return 4096;
}

static int cut_characteristics(sqlite3_file *file)
{
	(void)file;
	return 0;	/* nothing is atomic, nothing is in order */
}

static int cut_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out)
{
	struct cut_file *f = cut(file);

	(void)vfs;
	f->real = calloc(1, (size_t)real_vfs->szOsFile);
	f->path = strdup(path ? path : "");
	int rc = real_vfs->xOpen(real_vfs, path, f->real, flags, out);
	f->base.pMethods = rc == SQLITE_OK ? &cut_methods : NULL;
	return rc;
}

static void prepare_powercut(void)
{
	const char *at = getenv("TROUBLE_AT");

	cut_at = at ? atol(at) : -1;
	seed = (unsigned)cut_at;
	real_vfs = sqlite3_vfs_find(NULL);
	cut_vfs = *real_vfs;
	cut_vfs.zName = "powercut";
	cut_vfs.szOsFile = sizeof(struct cut_file);
	cut_vfs.xOpen = cut_open;
	cut_methods = (sqlite3_io_methods){
		.iVersion = 1, .xClose = cut_close, .xRead = cut_read, .xWrite = cut_write, .xTruncate = cut_truncate, .xSync = cut_sync,
		.xFileSize = cut_size, .xLock = cut_lock, .xUnlock = cut_unlock, .xCheckReservedLock = cut_reserved, .xFileControl = cut_control,
		.xSectorSize = cut_sector, .xDeviceCharacteristics = cut_characteristics,
	};
	sqlite3_vfs_register(&cut_vfs, 1);
}

/* ---- other trouble */

static const char *trouble(void)
{
	const char *kind = getenv("TROUBLE");

	return kind ? kind : "";
}

static struct stat losing;	/* of the file whose page is lost */

/* A page behind the end of the file in that one's place. */
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	long map = syscall(SYS_mmap, at, length, protection, flags, fd, offset);
	struct stat st;

	if (map != -1 && fd >= 0 && losing.st_ino && !fstat(fd, &st) && st.st_dev == losing.st_dev && st.st_ino == losing.st_ino &&
	    syscall(SYS_mmap, map + atol(getenv("TROUBLE_AT")), 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, (st.st_size + 4096) & ~4095) == -1)
		abort();
	return (void *)map;
}

__attribute__((constructor)) static void on_load(void)
{
	if (!strcmp(trouble(), "lose") && stat(getenv("TROUBLE_FILE"), &losing))
		abort();
	if (!strcmp(trouble(), "powercut"))
		prepare_powercut();
}

/* How many writes a whole run makes. */
__attribute__((destructor)) static void on_unload(void)
{
	if (!strcmp(trouble(), "powercut") && getenv("TROUBLE_COUNT"))
		fprintf(stderr, "%ld\n", writes);
}

static const struct table troubles = {
	.name = "troubles", .doc = "trouble that was made",
	.columns = { { "dump_id", COL_DUMP, "" }, { "number", COL_INT, "" } },
};
static const struct table troubles_of_processes = {
	.name = "troubles_of_processes", .doc = "trouble that was made in processes",
	.columns = { { "process_id", COL_PROCESS, "" }, { "number", COL_INT, "" } },
};

static volatile unsigned long turns;

static void make(struct context *c, const struct table *table, const char *kind, size_t length)
{
	if (!strncmp(kind, "spin", length))
		for (;;)
			turns++;
	if (!strncmp(kind, "wait", length))
		while (!context_cancelled(c))
			g_usleep(1000);
	if (!strncmp(kind, "give", length)) {	/* left behind, it goes on where others are at work */
		while (!crew_left_behind)
			g_usleep(1000);
		for (uint64_t i = 0; ; i++) {
			context_add_unlisted_driver(c, UINT64_C(0xffff800000000000) + (i << 12), 4096, "given");
			context_keep(c, NULL, NULL);
		}
	}
	if (!strncmp(kind, "rows", length))
		for (int64_t i = 0; !context_cancelled(c); i++)
			row_int(row_new(c, table), 1, i);
}

/* What batch hears of a worker comes through a pipe. */
static void trouble_pipes(struct context *c, bool flood)
{
	static char lines[4096];
	struct stat st;

	memset(lines, '\n', sizeof(lines));
	do {
		for (int fd = 3; fd < 64; fd++)
			if (!fstat(fd, &st) && S_ISFIFO(st.st_mode) && (flood ? write(fd, lines, sizeof(lines)) < 0 && errno == EPIPE : close(fd)))
				abort();
	} while (flood && !context_cancelled(c));
}

static bool run(struct context *c, GError **error)
{
	const char *kind = trouble(), *file = getenv("TROUBLE_FILE"), *seconds = getenv("TROUBLE_SECONDS");
	struct stat st;

	(void)error;
	row_int(row_new(c, &troubles), 1, 1);
	if (!strcmp(kind, "shrink") && (stat(file, &st) || truncate(file, st.st_size / 2)))
		abort();
	if (!strcmp(kind, "replace") && rename(getenv("TROUBLE_OTHER"), file))
		abort();
	if (!strcmp(kind, "sleep"))
		sleep((unsigned)atoi(seconds));
	if (!strcmp(kind, "stop"))
		raise(SIGSTOP);
	if (!strcmp(kind, "flood") || !strcmp(kind, "hangup"))
		trouble_pipes(c, *kind == 'f');
	if (!strchr(kind, '-'))
		make(c, &troubles, kind, 4);
	return true;
}

static bool run_process(struct context *c, GError **error)
{
	const char *kind = trouble();

	(void)error;
	row_int(row_new(c, &troubles_of_processes), 1, 1);
	if (strchr(kind, '-') && (c->process->pid == 4 || !strcmp(kind, "rows-all")))
		make(c, &troubles_of_processes, kind, 4);
	return true;
}

static const struct plugin plugin_trouble = {
	.name = "trouble",
	.doc = "makes trouble",
	.fills = { &troubles, &troubles_of_processes },
	.needs = { "processes", "drivers" },
	.begin = run,
	.run_process = run_process,
};

MEMSIEVE_PLUGIN(plugin_trouble);
