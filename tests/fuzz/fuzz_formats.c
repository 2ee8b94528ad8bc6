/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a dump of one format: opened, what it says looked at, some pages read. Built once for each format, with
 * FUZZ_FORMAT its name; an input that is none of its dumps gets the signature that makes it one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memfd_create */
#endif
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "image.h"

#define MAX_RANGES 64
#define MAX_PAGES 16		/* of each range */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* Bytes that a dump of the format has at an offset: of each group (what stands at the same offset) one is enough. */
static const struct signature { const char *format; unsigned at; const char *bytes; unsigned length; } signatures[] = {
	{ "crashdump", 0, "PAGEDU64", 8 }, { "crashdump", 0, "PAGEDUMP", 8 },
	{ "triage", 0, "PAGEDU64", 8 }, { "triage", 0, "PAGEDUMP", 8 }, { "triage", 0xf88, "\4\0\0", 4 }, { "triage", 0xf98, "\4\0\0", 4 },
	{ "elf", 0, "\177ELF\2\1\1", 7 }, { "elf", 0, "\177ELF\1\1\1", 7 },
	{ "kdump", 0, "KDUMP   ", 8 }, { "kdump", 0, "DISKDUMP", 8 },
	{ "vmware", 0, "\xd3\xbe\xd3\xbe", 4 }, { "vmware", 0, "\xd2\xbe\xd2\xbe", 4 }, { "vmware", 0, "\xd0\xbe\xd2\xbe", 4 }, { "vmware", 0, "\xd1\xba\xd1\xba", 4 },
	{ "lime", 0, "EMiL", 4 },
	{ "avml", 0, "AVML", 4 },
	{ "vmrs", 0, "\x14\x20\x28\x01", 4 }, { "vmrs", 0x2000, "\1\0\x11\1", 4 },
	{ "hibernation", 0, "HIBR", 4 }, { "hibernation", 0, "WAKE", 4 }, { "hibernation", 0, "RSTR", 4 }, { "hibernation", 0, "HORM", 4 },
	{ "minidump", 0, "MDMP", 4 },
	{ "packed", 0, "\x1f\x8b\x08", 3 }, { "packed", 0, "\xfd" "7zXZ\0", 6 }, { "packed", 0, "\x28\xb5\x2f\xfd", 4 },
	{ "packed", 0, "\x04\x22\x4d\x18", 4 }, { "packed", 0, "BZh", 3 }, { "packed", 0, "PK\x03\x04", 4 },
	{ "packed", 0, "makedumpfile\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1", 32 },
};

static bool is_format(const char *name)
{
	return !strcmp(FUZZ_FORMAT, name);
}

static void sign(uint8_t *data, size_t size)
{
	for (size_t i = 0; i < G_N_ELEMENTS(signatures); ) {
		const struct signature *first = &signatures[i];
		size_t n = 0;
		bool signed_already = false;
		for (; i + n < G_N_ELEMENTS(signatures) && first[n].at == first->at && !strcmp(first[n].format, first->format); n++)
			signed_already |= size >= first[n].at + first[n].length && !memcmp(data + first[n].at, first[n].bytes, first[n].length);
		i += n;
		if (!is_format(first->format) || signed_already || size <= first->at)
			continue;
		const struct signature *chosen = &first[data[first->at] % n];
		memcpy(data + chosen->at, chosen->bytes, MIN(chosen->length, size - chosen->at));
	}
}

static void look_at(const char *path)
{
	GError *error = NULL;
	struct image *image = image_open(path, false, &error);

	if (!image != !!error)
		__builtin_trap();
	if (image) {
		check_text(image->facts.comment);
		check_text(image->facts.detail);
		check_text(image->facts.secondary_data);
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
}

static char *folder;

static void remove_folder(void)
{
	static const char *const names[] = { "memory.vmem", "memory.vmss" };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *path = g_build_filename(folder, names[i], NULL);
		g_unlink(path);
	}
	g_rmdir(folder);
	g_free(folder);
}

/* A state file is found by its name, beside a .vmem of four pages; it is opened by itself too. */
static void look_at_vmware(const uint8_t *data, size_t size)
{
	static const uint8_t pages[4 * PAGE_SIZE] = { 1 };

	if (!folder) {
		folder = g_dir_make_tmp("memsieve-fuzz-XXXXXX", NULL);
		g_autofree char *vmem = g_build_filename(folder, "memory.vmem", NULL);
		if (!g_file_set_contents(vmem, (const char *)pages, sizeof(pages), NULL))
			__builtin_trap();
		atexit(remove_folder);
	}
	g_autofree char *vmem = g_build_filename(folder, "memory.vmem", NULL), *state = g_build_filename(folder, "memory.vmss", NULL);
	FILE *out = fopen(state, "we");
	if (!out || fwrite(data, 1, size, out) != size || fclose(out))
		__builtin_trap();
	look_at(vmem);
	look_at(state);
}

static void look_at_bytes(const uint8_t *data, size_t size)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	char path[32];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		__builtin_trap();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	look_at(path);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree uint8_t *copy = g_malloc(size);

	if (size)
		memcpy(copy, data, size);
	sign(copy, size);
	(is_format("vmware") ? look_at_vmware : look_at_bytes)(copy, size);
	return 0;
}
