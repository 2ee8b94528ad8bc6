/* SPDX-License-Identifier: Apache-2.0 */
#include "builds.h"
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#define LINE_LENGTH_MAX 95u

/* Made by glib-compile-resources --manual-register --c-name memsieve_builds. */
void memsieve_builds_register_resource(void);
GResource *memsieve_builds_get_resource(void);

/* One line; false: it is of another kernel, or a comment. */
static bool parse(const char *line, uint32_t timestamp, uint32_t size, struct build *out)
{
	unsigned found_timestamp, found_size;
	char architecture[16];

	if (sscanf(line, "%8x %8x %5u.%5u.%5u.%5u %15s", &found_timestamp, &found_size, &out->major, &out->minor, &out->build,
		   &out->revision, architecture) != 7)
		return false;
	out->architecture = g_intern_string(architecture);
	return found_timestamp == timestamp && found_size == size;
}

bool build_find(uint32_t timestamp, uint32_t size, struct build *out)
{
	g_autofree char *needle = g_strdup_printf("\n%08x %x ", timestamp, size);
	g_autoptr(GBytes) text = NULL;
	const char *data, *line;
	char copy[LINE_LENGTH_MAX + 1] = "";
	gsize length;

	memsieve_builds_register_resource();
	text = g_resource_lookup_data(memsieve_builds_get_resource(), "/memsieve/builds/kernels.txt",
				      G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
	data = text ? g_bytes_get_data(text, &length) : NULL;
	line = data ? g_strstr_len(data, (gssize)length, needle) : NULL;
	if (!line)
		return false;
	line++;
	memcpy(copy, line, MIN((gsize)(data + length - line), LINE_LENGTH_MAX));
	return parse(copy, timestamp, size, out);
}
