/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file mapped for reading that may shrink or fail under us.
 *
 * A lost page of a mapping raises SIGBUS. The handler puts a page of zeros there
 * and counts it, so that every reader goes on and the run can tell afterwards;
 * a SIGBUS elsewhere is a bug and stays deadly, unless a library has the file mapped too.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "image.h"

#define MAX_MAPPINGS 64

static struct file *volatile mapped[MAX_MAPPINGS];
static GMutex mapped_lock;
static uintptr_t system_page;

/* A lost page becomes one of zeros. */
static bool replace(uintptr_t at, struct file *file)
{
	void *page = (void *)(at & ~(system_page - 1));

	if (mmap(page, system_page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
		return false;
	__atomic_add_fetch(&file->lost, 1, __ATOMIC_RELAXED);
	return true;
}

static void on_sigbus(int signal_number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)context;
	for (int i = 0; i < MAX_MAPPINGS; i++) {
		struct file *file = mapped[i];
		if (file && at - (uintptr_t)file->map < file->size && replace(at, file))
			return;
	}
	/* A library that maps the file itself (libkdumpfile) loses pages of its own mappings. */
	for (int i = 0; i < MAX_MAPPINGS; i++)
		if (mapped[i] && mapped[i]->mapped_elsewhere && replace(at, mapped[i]))
			return;
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static bool watch(struct file *file)
{
	static bool installed;
	bool found = false;

	g_mutex_lock(&mapped_lock);
	if (!installed) {
		struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
		system_page = (uintptr_t)sysconf(_SC_PAGESIZE);
		sigemptyset(&action.sa_mask);
		installed = !sigaction(SIGBUS, &action, NULL);
	}
	for (int i = 0; i < MAX_MAPPINGS && !found; i++)
		if (!mapped[i]) {
			mapped[i] = file;
			found = true;
		}
	g_mutex_unlock(&mapped_lock);
	return found;
}

static void unwatch(struct file *file)
{
	g_mutex_lock(&mapped_lock);
	for (int i = 0; i < MAX_MAPPINGS; i++)
		if (mapped[i] == file)
			mapped[i] = NULL;
	g_mutex_unlock(&mapped_lock);
}

struct file *file_open(const char *path, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		return NULL;
	}
	return file_adopt(fd, path, error);
}

struct file *file_adopt(int fd, const char *path, GError **error)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", path, g_strerror(errno));
		close(fd);
		return NULL;
	}
	const char *what = S_ISDIR(st.st_mode) ? "a directory" : S_ISREG(st.st_mode) ? NULL : "no regular file";
	if (!what && st.st_size == 0)
		what = "an empty file";
	if (what) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "%s: is %s, a memory dump was looked for", path, what);
		close(fd);
		return NULL;
	}
	struct file *file = g_new0(struct file, 1);
	file->path = g_strdup(path);
	file->fd = fd;
	file->size = (uint64_t)st.st_size;
	file->sparse = (uint64_t)st.st_blocks * 512 < file->size;	/* st_blocks counts those, whatever the file system's */
	void *map = mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: can't be mapped: %s", path, g_strerror(errno));
		close(fd);
		g_free(file->path);
		g_free(file);
		return NULL;
	}
	file->map = map;
	if (!watch(file)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: more than %d files are open at once", path, MAX_MAPPINGS);
		file_close(file);
		return NULL;
	}
	return file;
}

void file_close(struct file *file)
{
	if (!file)
		return;
	unwatch(file);
	munmap((void *)file->map, file->size);
	close(file->fd);
	g_free(file->path);
	g_free(file);
}

struct bytes file_bytes(const struct file *file)
{
	return (struct bytes){ file->map, file->size, false };
}

bool file_next_filled(const struct file *file, uint64_t at, struct range *out)
{
	*out = (struct range){ at, file->size - at };
	if (at >= file->size || !file->sparse)
		return at < file->size;
	/* The offset that lseek moves is nobody's: the file is read through its mapping. */
	off_t start = lseek(file->fd, (off_t)at, SEEK_DATA), end = start < 0 ? -1 : lseek(file->fd, start, SEEK_HOLE);
	if (start < 0)
		return errno != ENXIO;	/* a file system that doesn't know: all of it */
	if ((uint64_t)start >= file->size)	/* it has grown */
		return false;
	*out = (struct range){ (uint64_t)start, (end > start ? MIN((uint64_t)end, file->size) : file->size) - (uint64_t)start };
	return true;
}

uint64_t file_filled(const struct file *file)
{
	struct range range;
	uint64_t bytes = 0;

	for (uint64_t at = 0; file_next_filled(file, at, &range); at = range.start + range.length)
		bytes += range.length;
	return bytes;
}

struct bytes file_slice(const struct file *file, uint64_t offset, uint64_t length)
{
	return bytes_slice(file_bytes(file), offset, length);
}
