/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a dump: opened, what it says looked at, some pages read. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memfd_create */
#endif
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "image.h"

#define MAX_RANGES 64
#define MAX_PAGES 16		/* of each range */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* libkdumpfile keeps some of what it allocates. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libkdumpfile";
}

static volatile uint8_t sink;

static void read_ranges(struct image *image)
{
	uint8_t scratch[PAGE_SIZE];
	struct range r;
	pa_t at = { 0 };

	for (int i = 0; i < MAX_RANGES && image_next_range(image, at, &r); i++) {
		if (!r.length)
			__builtin_trap();	/* ranges are never empty, or no walk over them would end */
		for (uint64_t n = 0; n < MAX_PAGES && n * PAGE_SIZE < r.length; n++) {
			const uint8_t *page = image_page(image, (pa_t){ r.start + n * PAGE_SIZE }, scratch);
			if (page)
				sink = (uint8_t)(page[0] + page[PAGE_SIZE - 1]);
		}
		if (!image_read(image, (pa_t){ r.start + r.length - 1 }, scratch, 1))
			sink = scratch[0];
		at.v = r.start + r.length;
		if (at.v <= r.start)
			break;
	}
}

static void read_virtual(struct image *image)
{
	uint8_t scratch[PAGE_SIZE];

	for (guint i = 0; image->virtual_segments && i < MIN(image->virtual_segments->len, MAX_RANGES); i++) {
		const struct segment *s = &g_array_index(image->virtual_segments, struct segment, i);
		for (uint64_t n = 0; n < MAX_PAGES && n * PAGE_SIZE < s->length; n++)
			if (!image_read_virtual(image, (va_t){ s->start + n * PAGE_SIZE }, scratch,
						(size_t)MIN(PAGE_SIZE, s->length - n * PAGE_SIZE)))
				sink = scratch[0];
	}
}

static void check_text(const char *text)
{
	if (text && !g_utf8_validate(text, -1, NULL))
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	char path[32];
	GError *error = NULL;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		__builtin_trap();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct image *image = image_open(path, &error);
	if (!image != !!error)
		__builtin_trap();
	if (image) {
		check_text(image->facts.comment);
		for (guint i = 0; i < image->notes->len; i++)
			check_text(((struct image_note *)g_ptr_array_index(image->notes, i))->message);
		for (guint i = 0; image->triage && i < image->triage->drivers->len; i++)
			check_text(g_array_index(image->triage->drivers, struct image_driver, i).name);
		for (guint i = 0; image->minidump && i < image->minidump->modules->len; i++)
			check_text(g_array_index(image->minidump->modules, struct minidump_module, i).name);
		read_ranges(image);
		read_virtual(image);
	}
	image_close(image);
	g_clear_error(&error);
	close(fd);
	return 0;
}
