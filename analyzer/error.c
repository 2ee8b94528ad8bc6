/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"
#include <errno.h>

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
