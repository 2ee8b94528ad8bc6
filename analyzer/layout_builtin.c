/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in tables: the files of layouts/, each a family of kernels with the
 * same structures, compiled in as a GResource. A lookup searches them for its
 * kernel's line, and parses only that file: they are not packed, or each start of the program
 * would unpack them all.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memmem */
#endif
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
	const char *line = memmem(*at, (size_t)(end - *at), KERNEL_LINE, strlen(KERNEL_LINE));
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

/*
 * For trying what happens with a kernel nobody has symbols of: MEMSIEVE_HIDE_LAYOUTS names kernels
 * (GUID and age) and families (how their names begin, "10.0.19041") as if they were not built in.
 */
static bool hidden(const char *name)
{
	const char *list = g_getenv("MEMSIEVE_HIDE_LAYOUTS");
	g_auto(GStrv) words = g_strsplit_set(list ? list : "", ", ", -1);

	for (char **word = words; *word; word++)
		if (**word && g_str_has_prefix(name, *word))
			return true;
	return false;
}

struct layout *layout_builtin(const char *guid_age)
{
	g_auto(GStrv) names = files();
	g_autofree char *upper = g_ascii_strup(guid_age, -1), *needle = g_strconcat(KERNEL_LINE, upper, " ", NULL);

	if (!*upper || hidden(upper) || upper[strspn(upper, "0123456789ABCDEF")])
		return NULL;
	for (char **name = names; *name; name++) {
		g_autoptr(GBytes) text = hidden(*name) ? NULL : file_text(*name);
		const char *data;
		gsize length;

		data = text ? g_bytes_get_data(text, &length) : NULL;
		if (data && memmem(data, length, needle, strlen(needle)))
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
	/* Vista's second service pack has the structures of its first; since its updates of 2019 (KB4489887) it says 6003. */
	return build == 18363 ? 18362 : build == 22631 ? 22621 : build == 26200 ? 26100 : build == 6002 || build == 6003 ? 6001 : build;
}

/* How likely a family is that of a kernel. */
struct likelihood {
	char *name;		/* without ".txt" */
	unsigned builds, revisions;	/* how far away */
	unsigned kernels;	/* how many it has */
	bool by_revision;
};

static int by_likelihood(gconstpointer a, gconstpointer b)
{
	const struct likelihood *l = a, *r = b;

	if (l->builds != r->builds)
		return l->builds < r->builds ? -1 : 1;
	if (l->by_revision && l->revisions != r->revisions)
		return l->revisions < r->revisions ? -1 : 1;
	if (l->kernels != r->kernels)	/* not knowing the revision, the likeliest has the most */
		return l->kernels > r->kernels ? -1 : 1;
	return strcmp(l->name, r->name);
}

static enum layout_machine machine_of(const char *file)
{
	return g_str_has_suffix(file, "-x86.txt") ? LAYOUT_X86 : g_str_has_suffix(file, "-arm64.txt") ? LAYOUT_ARM64 : LAYOUT_X64;
}

char **layout_families(unsigned build, unsigned revision, enum layout_machine machine)
{
	g_auto(GStrv) names = files();
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct likelihood));
	GStrvBuilder *out = g_strv_builder_new();
	char **result;

	build = kernel_build(build);
	for (char **name = names; *name; name++) {
		bool wanted = g_str_has_suffix(*name, ".txt") && (machine == LAYOUT_ANY || machine_of(*name) == machine) && !hidden(*name);
		g_autoptr(GBytes) text = wanted ? file_text(*name) : NULL;
		unsigned own = kernel_build(version_of(*name).build);
		unsigned named = version_of(*name).revision;
		struct likelihood one = { .by_revision = revision != 0 };
		char guid_age[41], version[32];
		const char *data, *end;
		gsize length;

		if (!text || !own)
			continue;
		one.builds = own > build ? own - build : build - own;
		one.revisions = named > revision ? named - revision : revision - named;
		data = g_bytes_get_data(text, &length);
		end = data + length;
		while (next_kernel(&data, end, guid_age, version)) {
			unsigned r = version_of(version).revision;

			one.revisions = MIN(one.revisions, r > revision ? r - revision : revision - r);
			one.kernels++;
		}
		one.name = g_strndup(*name, strlen(*name) - 4);
		g_array_append_val(all, one);
	}
	g_array_sort(all, by_likelihood);
	for (guint i = 0; i < all->len; i++) {
		struct likelihood *one = &g_array_index(all, struct likelihood, i);

		g_strv_builder_add(out, one->name);
		g_free(one->name);
	}
	result = g_strv_builder_end(out);
	g_strv_builder_unref(out);
	return result;
}

bool layout_has_kernels(const char *name)
{
	g_autofree char *file = g_strconcat(name, ".txt", NULL);
	g_autoptr(GBytes) text = file_text(file);
	gsize length = 0;
	const char *data = text ? g_bytes_get_data(text, &length) : NULL;

	return data && memmem(data, length, KERNEL_LINE, strlen(KERNEL_LINE));
}

struct layout *layout_family_named(const char *name)
{
	g_autofree char *file = g_strconcat(name, ".txt", NULL);
	g_autoptr(GBytes) text = file_text(file);

	return text ? parse_file(file, text, "") : NULL;
}

struct layout *layout_family(unsigned build, unsigned revision, enum layout_machine machine)
{
	g_auto(GStrv) names = layout_families(build, revision, machine);

	if (!build || !*names || kernel_build(version_of(*names).build) != kernel_build(build))
		return NULL;
	return layout_family_named(*names);
}
