/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Was anybody logged on? Fast startup logs the users off before it writes its hibernation file; no field of the
 * file's header tells it from a hibernation, the tokens of the processes do.
 */
#ifndef MEMSIEVE_LOGON_H
#define MEMSIEVE_LOGON_H
#include "kernel.h"

/*
 * The format's detail, and of a hibernation file whether anybody was logged on, by the processes that PsActiveProcessHead leads to, where
 * their list and tokens can be read. NULL: there is none. kernel: NULL where none was found. The caller's.
 */
char *logon_detail(const struct image *image, const struct kernel *kernel);
#endif
