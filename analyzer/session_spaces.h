/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Session space: a part of the kernel's half that is mapped in the page tables of a session's processes alone, each session's its own.
 * win32k's images lie there. What is read of it is read through the first process that has it.
 */
#ifndef MEMSIEVE_SESSION_SPACES_H
#define MEMSIEVE_SESSION_SPACES_H
#include "plugin.h"

struct session_spaces;

/* Of some of the processes known so far; made when it is first asked. Belongs to the context's thread. */
struct session_spaces *session_spaces_create(const struct context *context);
void session_spaces_destroy(struct session_spaces *sessions);
DEFINE_AUTO(session_spaces, session_spaces_destroy)
/* The address space to read the image at `base` through: the kernel's own where it has it, or nobody does. */
struct space *session_spaces_find(struct session_spaces *sessions, va_t base);
#endif
