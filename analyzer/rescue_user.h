/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address spaces of processes where their page tables are lost in part, as in a dump that was cut short.
 *
 * Pages tell their own addresses: a TEB points to itself, an empty list too, two neighbours of a list in one page to each other, a
 * counted string to its text. Page tables are known by the pages they name that told theirs, upper tables by those; what names each
 * other belongs to one process, which its root, the process's id in a TEB, or a pointer of its PEB tells. x64 with four levels.
 */
#ifndef MEMSIEVE_RESCUE_USER_H
#define MEMSIEVE_RESCUE_USER_H
#include "plugin.h"
#include "rescue.h"

/* What the process's object says. */
struct rescue_owner { pa_t dtb; va_t peb, section_base; uint64_t pid; };

/*
 * For each of the owners (struct rescue_owner) a struct rescue *, to be destroyed, or NULL: nothing was found. *cut: a limit bit. Reads all
 * of the image five times; ends where half of the plugin's time is over, with what it has by then. */
GPtrArray *rescue_user(struct context *context, const GArray *owners, bool *cut);
#endif
