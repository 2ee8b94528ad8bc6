/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Was anybody logged on? Fast startup logs the users off before it writes its hibernation file; no field of the
 * file's header tells it from a hibernation, the tokens of the processes do.
 */
#ifndef MEMSIEVE_LOGON_H
#define MEMSIEVE_LOGON_H
#include "kernel.h"

#define LOGON_USERS "users were logged on"
#define LOGON_NOBODY "nobody was logged on: as fast startup writes it"

/* One of the above, by the processes that PsActiveProcessHead leads to; NULL: their list or their tokens can't be read. */
const char *logon_words(const struct kernel *kernel);
#endif
