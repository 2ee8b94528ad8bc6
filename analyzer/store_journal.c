/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies beside a case and SQLite takes for a part of it. Who may put a file there chooses what is done with it: a journal can
 * name a "super-journal" (SQLite's file format, 3, of transactions over several files), which is deleted, wherever it
 * is, once the journal is undone. No transaction of memsieve's has one.
 */
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* At a journal's end: a name was written before it. */
static const uint8_t super_magic[8] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };

/* SQLite looks beside the file that a link leads to. */
static char *beside(const char *path, const char *suffix)
{
	char *real = realpath(path, NULL), *name = g_strconcat(real ? real : path, suffix, NULL);

	free(real);
	return name;
}

char *store_journal(const char *path)
{
	return beside(path, "-journal");
}

/* Why a journal is none of memsieve's; NULL: it may be. */
static const char *odd(const char *journal)
{
	int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
	uint8_t end[sizeof(super_magic)] = { 0 };
	struct stat st = { 0 };

	if (fd < 0)	/* its writer is done with it */
		return errno == ENOENT ? NULL : "can't be read";
	/* Less is read where its writer cuts it off: no name is in it then. */
	bool failed = fstat(fd, &st) || (st.st_size >= (off_t)sizeof(end) && pread(fd, end, sizeof(end), st.st_size - (off_t)sizeof(end)) < 0);
	close(fd);
	return failed ? "can't be read" : memcmp(end, super_magic, sizeof(end)) ? NULL :
	       "names another file, which SQLite would delete; memsieve leaves no such journal";
}

bool store_check_beside(const char *path, GError **error)
{
	static const char *const suffixes[] = { "-journal", "-wal", "-shm" };

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *name = beside(path, suffixes[i]);
		struct stat st;
		if (lstat(name, &st))
			continue;
		const char *wrong = !S_ISREG(st.st_mode) ? "is no regular file, and none of memsieve's" : i ? NULL : odd(name);
		if (wrong) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_STORE, "%s: %s: the case is not opened", name, wrong);
			return false;
		}
	}
	return true;
}

/* Has somebody turned the case to write-ahead logging? Its readers then share files beside it (SQLite's file format, 1.3.3). */
static bool in_wal_mode(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	uint8_t versions[2] = { 0 };	/* to write and to read it */
	bool is = fd >= 0 && pread(fd, versions, sizeof(versions), 18) == sizeof(versions) && versions[1] == 2;

	if (fd >= 0)
		close(fd);
	return is;
}

char *store_writes_to(const char *path)
{
	g_autofree char *journal = store_journal(path);

	return store_check_beside(path, NULL) && (g_file_test(journal, G_FILE_TEST_EXISTS) || in_wal_mode(path)) ? g_path_get_dirname(journal) : NULL;
}
