/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form of layouts, for what makes and reads the built-in tables; others
 * use layout_parse_text() and layout_write_text(). The form itself: layouts/README.
 */
#ifndef MEMSIEVE_LAYOUT_TEXT_H
#define MEMSIEVE_LAYOUT_TEXT_H
#include "layout.h"

/*
 * The layout of one kernel of a text: the first when guid_age is NULL, none (structures
 * without symbols) when it is "". The whole text is checked whichever is asked for;
 * *error names the line.
 */
struct layout *layout_text_parse(const char *text, gsize length, const char *name, const char *guid_age,
				 GError **error);

/* Pointer size, structure sizes and fields; then one kernel's symbols. */
void layout_text_write_structures(GString *out, const struct layout *layout);
void layout_text_write_kernel(GString *out, const struct layout *layout);
#endif
