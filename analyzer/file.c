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

#define MAX_MAPPINGS 128
/* Of a sparse file: holes shorter than this are read, and so are longer ones where there are very many. */
#define HOLE_MIN (UINT64_C(64) << 10)
#define PARTS_MAX (1u << 22)	/* 64 MiB */

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

/* A part that begins close behind the last one belongs to it: what is looked at is no smaller than `least`. */
static void add_part(GArray *parts, struct range part, uint64_t least)
{
	struct range *last = parts->len ? &g_array_index(parts, struct range, parts->len - 1) : NULL;

	if (last && part.start - (last->start + last->length) < least)
		last->length = part.start + part.length - last->start;
	else
		g_array_append_val(parts, part);
}

static GArray *join_parts(GArray *parts, uint64_t least)
{
	GArray *joined = g_array_new(FALSE, FALSE, sizeof(struct range));

	for (guint i = 0; i < parts->len; i++)
		add_part(joined, g_array_index(parts, struct range, i), least);
	g_array_free(parts, TRUE);
	return joined;
}

static GArray *find_parts(int fd, uint64_t size)
{
	GArray *parts = g_array_new(FALSE, FALSE, sizeof(struct range));
	uint64_t least = HOLE_MIN, end;

	for (uint64_t at = 0; at < size; at = end) {
		off_t start = lseek(fd, (off_t)at, SEEK_DATA), hole = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
		if ((start < 0 && errno == ENXIO) || (start >= 0 && (uint64_t)start >= size))
			break;
		const bool known = hole > start;	/* else the file system has no word for it: all of it */
		const uint64_t from = known ? (uint64_t)start : at;
		end = known ? MIN((uint64_t)hole, size) : size;
		add_part(parts, (struct range){ from, end - from }, least);
		while (parts->len >= PARTS_MAX)
			parts = join_parts(parts, least *= 2);
	}
	return parts;
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
	void *map = mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: can't be mapped: %s", path, g_strerror(errno));
		close(fd);
		g_free(file->path);
		g_free(file);
		return NULL;
	}
	file->map = map;
	if ((uint64_t)st.st_blocks * 512 < file->size)	/* st_blocks counts those, whatever the file system's */
		file->parts = find_parts(fd, file->size);
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
	if (file->parts)
		g_array_free(file->parts, TRUE);
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
	guint low = 0, high = file->parts ? file->parts->len : 0;

	*out = (struct range){ at, file->size - at };
	if (!file->parts)
		return at < file->size;
	while (low < high) {	/* the first part that ends behind it */
		guint mid = low + (high - low) / 2;
		const struct range *part = &g_array_index(file->parts, struct range, mid);
		if (part->start + part->length <= at)
			low = mid + 1;
		else
			high = mid;
	}
	if (low >= file->parts->len)
		return false;
	*out = g_array_index(file->parts, struct range, low);
	if (out->start < at)
		*out = (struct range){ at, out->start + out->length - at };
	return true;
}

bool file_only_zeros(const struct file *file, uint64_t at)
{
	for (struct range part; file_next_filled(file, at, &part); at = part.start + part.length)
		if (!bytes_are_zero(file->map + part.start, part.length))
			return false;
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
