/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layouts that the user imported: text files (layouts/README) by GUID and age in
 * ~/.local/share/memsieve/layouts, the first line of each saying what it was made from.
 */
#ifndef MEMSIEVE_LAYOUT_STORE_H
#define MEMSIEVE_LAYOUT_STORE_H
#include "layout.h"

/* The directory; the caller frees. It needn't exist. */
char *layout_store_directory(void);
/* NULL without error: not there. */
struct layout *layout_store_find(const char *guid_age, GError **error);
/* *path, which the caller frees, is where it is now. */
bool layout_store_add(const struct layout *layout, char **path, GError **error);
/* GUIDs with ages, sorted (g_strfreev). */
char **layout_store_list(void);
#endif
