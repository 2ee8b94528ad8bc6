/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a text of offsets, and as a symbol file (plain, gzip or xz). What is taken is written and read back. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memfd_create */
#endif
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct layout *layout)
{
	if (!layout)
		return;
	g_autofree char *text = layout_write_text(layout);
	struct layout *again = layout_parse_text(text, strlen(text), "again", NULL);
	/* Names of kernels in symbol files needn't fit our form. */
	if (again) {
		g_autofree char *same = layout_write_text(again);
		if (strcmp(text, same) && layout->source != LAYOUT_ISF)
			g_error("a layout that changes when it is written");
	}
	layout_destroy(again);
	layout_destroy(layout);
}

static void as_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("symbols", 0);
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(layout_load_isf(path, NULL));
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	GError *error = NULL;
	struct layout *layout = layout_parse_text((const char *)data, size, "fuzz", &error);

	if (!layout && !error)
		g_error("no layout and no word why");
	g_clear_error(&error);
	check(layout);
	as_file(data, size);
	return 0;
}
