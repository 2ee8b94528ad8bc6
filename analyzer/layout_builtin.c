/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in tables: the files of layouts/, each a family of kernels with the
 * same structures, compiled in as a GResource. A lookup unpacks them until it finds
 * its kernel's line, and parses only that file.
 */
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include "layout_text.h"

#define FOLDER "/memsieve/layouts/"
#define KERNEL_LINE "\nkernel "

/* Made by glib-compile-resources --manual-register --c-name memsieve_layouts. */
void memsieve_layouts_register_resource(void);
GResource *memsieve_layouts_get_resource(void);

static GResource *resource(void)
{
	static gsize registered;

	if (g_once_init_enter(&registered)) {
		memsieve_layouts_register_resource();
		g_once_init_leave(&registered, 1);
	}
	return memsieve_layouts_get_resource();
}

struct version {
	unsigned major, minor, build, revision;
};

/* Of a version or a family's name; what is missing is 0. */
static struct version version_of(const char *text)
{
	struct version v = { 0 };

	if (sscanf(text, "%9u.%9u.%9u.%9u", &v.major, &v.minor, &v.build, &v.revision) < 4)
		return (struct version){ 0 };
	return v;
}

static int by_version(gconstpointer a, gconstpointer b)
{
	const char *const *left = a, *const *right = b;
	struct version l = version_of(*left), r = version_of(*right);

	if (l.build != r.build)
		return l.build < r.build ? -1 : 1;
	if (l.revision != r.revision)
		return l.revision < r.revision ? -1 : 1;
	return strcmp(*left, *right);
}

/* File names, oldest Windows first. */
static char **files(void)
{
	char **names = g_resource_enumerate_children(resource(), FOLDER, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);

	if (!names)
		return g_new0(char *, 1);
	qsort(names, g_strv_length(names), sizeof(*names), by_version);
	return names;
}

static GBytes *file_text(const char *file)
{
	g_autofree char *path = g_strconcat(FOLDER, file, NULL);

	return g_resource_lookup_data(resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
}

/* Our own tables parse (a test sees to it), so a failure is a fault of the build. */
static struct layout *parse_file(const char *file, GBytes *text, const char *guid_age)
{
	g_autoptr(GError) error = NULL;
	struct layout *layout;
	const char *data;
	gsize length;

	data = g_bytes_get_data(text, &length);
	layout = layout_text_parse(data, length, file, guid_age, &error);
	if (!layout)
		g_critical("built-in %s", error->message);
	return layout;
}

/*
 * Kernel lines of a text: *at begins at its start; NULL text in *at: no more.
 * Fills guid_age (41 bytes) and version (32 bytes).
 */
static bool next_kernel(const char **at, const char *end, char *guid_age, char *version)
{
	const char *line = g_strstr_len(*at, end - *at, KERNEL_LINE);
	char copy[96];
	size_t n;

	if (!line)
		return false;
	line += strlen(KERNEL_LINE);
	*at = line;
	n = MIN((size_t)(end - line), sizeof(copy) - 1);
	memcpy(copy, line, n);
	copy[n] = 0;
	return sscanf(copy, "%40s %31s", guid_age, version) == 2;
}

struct layout *layout_builtin(const char *guid_age)
{
	g_auto(GStrv) names = files();
	g_autofree char *upper = g_ascii_strup(guid_age, -1), *needle = g_strconcat(KERNEL_LINE, upper, " ", NULL);

	if (!*upper || upper[strspn(upper, "0123456789ABCDEF")])
		return NULL;
	for (char **name = names; *name; name++) {
		g_autoptr(GBytes) text = file_text(*name);
		const char *data;
		gsize length;

		data = text ? g_bytes_get_data(text, &length) : NULL;
		if (data && g_strstr_len(data, (gssize)length, needle))
			return parse_file(*name, text, upper);
	}
	return NULL;
}

void layout_builtin_each(layout_builtin_fn visit, void *user)
{
	g_auto(GStrv) names = files();

	for (char **name = names; *name; name++) {
		g_autoptr(GBytes) text = file_text(*name);
		char guid_age[41], version[32];
		const char *data, *end;
		gsize length;

		data = text ? g_bytes_get_data(text, &length) : NULL;
		end = data ? data + length : NULL;
		if (g_str_has_suffix(*name, ".txt"))
			(*name)[strlen(*name) - 4] = 0;
		while (data && next_kernel(&data, end, guid_age, version))
			visit(user, guid_age, version, *name);
	}
}

/*
 * Feature updates that are switched on in the kernel of the release before them:
 * they report a build number of their own, their kernel's file version doesn't.
 */
static unsigned kernel_build(unsigned build)
{
	if (build >= 19042 && build <= 19045)
		return 19041;
	return build == 18363 ? 18362 : build;
}

struct layout *layout_family(unsigned build, unsigned revision)
{
	g_auto(GStrv) names = files();
	g_autoptr(GBytes) best = NULL;
	unsigned best_distance = 0, best_kernels = 0;
	const char *best_name = NULL;

	build = kernel_build(build);
	for (char **name = names; *name; name++) {
		unsigned distance = G_MAXUINT, kernels = 0;
		g_autoptr(GBytes) text = NULL;
		char guid_age[41], version[32];
		const char *data, *end;
		gsize length;

		if (version_of(*name).build != build || !(text = file_text(*name)))
			continue;
		data = g_bytes_get_data(text, &length);
		end = data + length;
		while (next_kernel(&data, end, guid_age, version)) {
			unsigned r = version_of(version).revision;

			distance = MIN(distance, r > revision ? r - revision : revision - r);
			kernels++;
		}
		/* Not knowing the revision, the likeliest is the family with the most kernels. */
		if (best && (revision ? distance >= best_distance : kernels <= best_kernels))
			continue;
		g_clear_pointer(&best, g_bytes_unref);
		best = g_bytes_ref(text);
		best_name = *name;
		best_distance = distance;
		best_kernels = kernels;
	}
	return best && build ? parse_file(best_name, best, "") : NULL;
}
