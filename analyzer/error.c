/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

G_DEFINE_QUARK(memsieve-error, memsieve_error)

const char *fault_name(enum fault fault)
{
	static const char *const names[] = {
		[FAULT_NONE] = "none",
		[FAULT_UNMAPPED] = "unmapped",
		[FAULT_PAGED_OUT] = "paged_out",
		[FAULT_NOT_IN_DUMP] = "not_in_dump",
		[FAULT_NO_FIELD] = "no_field",
		[FAULT_IMPLAUSIBLE] = "implausible",
		[FAULT_LIMIT] = "limit",
		[FAULT_TIMEOUT] = "timeout",
	};

	return (unsigned)fault < G_N_ELEMENTS(names) ? names[fault] : "none";
}

bool stream_end(FILE *to)
{
	/* A failed write may have left an empty buffer, which closes well. */
	bool failed = ferror(to);

	errno = 0;
	failed = (to == stdout ? fflush(to) : fclose(to)) || failed;
	if (failed && !errno)
		errno = EIO;
	return !failed;
}

/* NULL: it is no regular file, which nothing takes the place of. */
static char *part_of(const char *path)
{
	if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR))
		return NULL;
	return g_strconcat(path, ".part", NULL);
}

char *whole_path(const char *path)
{
	char *real = realpath(path, NULL), *copy = g_strdup(real ? real : path);

	free(real);
	return copy;
}

FILE *whole_begin(const char *path)
{
	g_autofree char *part = part_of(path);

	return fopen(part ? part : path, "w");
}

bool whole_end(FILE *to, const char *path, bool ok)
{
	g_autofree char *part = part_of(path);

	ok = stream_end(to) && ok;
	if (!part || (ok && !rename(part, path)))
		return ok;
	int why = errno;
	unlink(part);
	errno = why;
	return false;
}
