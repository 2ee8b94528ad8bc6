/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the built-in tables of layouts/ from Volatility-3 symbol files, and checks
 * them against such files. How to run it: layouts/README.
 */
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include "layout_text.h"

/* Kernels of one build whose structures are the same, so far as we read them. */
struct family {
	char *structures;	/* their text, from "pointer" on */
	GPtrArray *kernels;	/* struct layout *, by version once sorted */
};

static void G_GNUC_NORETURN die(const char *context, GError *error)
{
	fprintf(stderr, "mklayouts: %s%s\n", context, error ? error->message : "");
	exit(1);
}

/* Versions by GUID and age from any text whose lines hold both (the table in the
 * collection's README is one). */
static GHashTable *read_versions(const char *path)
{
	GHashTable *versions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	g_autoptr(GRegex) regex = g_regex_new("(\\d+\\.\\d+\\.\\d+\\.\\d+)\\W+([0-9a-f]{33,40})\\b", G_REGEX_CASELESS, 0,
					      NULL);
	g_autoptr(GMatchInfo) match = NULL;
	g_autofree char *text = NULL;
	GError *error = NULL;

	if (!path)
		return versions;
	if (!g_file_get_contents(path, &text, NULL, &error))
		die("", error);
	g_regex_match(regex, text, 0, &match);
	for (; g_match_info_matches(match); g_match_info_next(match, NULL)) {
		g_autofree char *guid_age = g_match_info_fetch(match, 2);

		g_hash_table_replace(versions, g_ascii_strup(guid_age, -1), g_match_info_fetch(match, 1));
	}
	return versions;
}

static bool parse_version(const char *version, unsigned parts[4])
{
	return version && sscanf(version, "%9u.%9u.%9u.%9u", &parts[0], &parts[1], &parts[2], &parts[3]) == 4;
}

static int by_version(gconstpointer a, gconstpointer b)
{
	const struct layout *left = *(struct layout *const *)a, *right = *(struct layout *const *)b;
	unsigned l[4] = { 0 }, r[4] = { 0 };

	parse_version(left->version, l);
	parse_version(right->version, r);
	for (int i = 0; i < 4; i++)
		if (l[i] != r[i])
			return l[i] < r[i] ? -1 : 1;
	return strcmp(left->guid_age, right->guid_age);
}

/* Families never span builds, so that a family's name tells its build. */
static void add(GPtrArray *families, GHashTable *index, struct layout *kernel)
{
	g_autoptr(GString) structures = g_string_new(NULL);
	g_autofree char *key = NULL;
	struct family *family;
	unsigned version[4] = { 0 };

	parse_version(kernel->version, version);
	layout_text_write_structures(structures, kernel);
	key = g_strdup_printf("%u\n%s", version[2], structures->str);
	family = g_hash_table_lookup(index, key);
	if (!family) {
		family = g_new0(struct family, 1);
		family->structures = g_strdup(structures->str);
		family->kernels = g_ptr_array_new_with_free_func((GDestroyNotify)layout_destroy);
		g_ptr_array_add(families, family);
		g_hash_table_insert(index, g_steal_pointer(&key), family);
	}
	g_ptr_array_add(family->kernels, kernel);
}

static void write_file(const char *directory, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(directory, file, NULL);
	GError *error = NULL;

	if (!g_file_set_contents(path, text, -1, &error))
		die("", error);
}

/* What the name ends in, as layout_families() knows it again. A trap frame has the registers of its machine. */
static const char *machine_suffix(const struct layout *kernel)
{
	return kernel->pointer_size == 4 ? "-x86" : kernel->ktrap_frame.Rip.size ? "" : "-arm64";
}

static void write_family(const struct family *family, const char *directory, GHashTable *names, GString *list)
{
	const struct layout *first = g_ptr_array_index(family->kernels, 0);
	g_autoptr(GString) text = g_string_new(NULL);
	const char *version = first->version ? first->version : "unknown", *suffix = machine_suffix(first);
	g_autofree char *name = NULL, *file = NULL;

	name = g_strconcat(version, suffix, NULL);
	if (g_hash_table_contains(names, name)) {
		g_free(name);
		name = g_strdup_printf("%s-%.8s%s", version, first->guid_age, suffix);
	}
	g_string_append_printf(text, "# Made by mklayouts; see README.\nfamily %s\n%s", name, family->structures);
	for (guint i = 0; i < family->kernels->len; i++)
		layout_text_write_kernel(text, g_ptr_array_index(family->kernels, i));
	file = g_strconcat(name, ".txt", NULL);
	write_file(directory, file, text->str);
	g_string_append_printf(list, "\t\t<file>%s</file>\n", file);
	g_hash_table_add(names, g_steal_pointer(&name));
}

static int by_first_kernel(gconstpointer a, gconstpointer b)
{
	const struct family *left = *(struct family *const *)a, *right = *(struct family *const *)b;

	return by_version(&left->kernels->pdata[0], &right->kernels->pdata[0]);
}

static void family_free(gpointer user)
{
	struct family *family = user;

	g_free(family->structures);
	g_ptr_array_unref(family->kernels);
	g_free(family);
}

static void make(char **paths, const char *versions_path, const char *directory)
{
	g_autoptr(GHashTable) versions = read_versions(versions_path);
	g_autoptr(GHashTable) index = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) families = g_ptr_array_new_with_free_func(family_free);
	g_autoptr(GString) list = g_string_new("<?xml version=\"1.0\"?>\n<gresources>\n"
					       "\t<gresource prefix=\"/memsieve/layouts\">\n");
	unsigned kernels = 0;

	for (; *paths; paths++, kernels++) {
		GError *error = NULL;
		struct layout *kernel = layout_load_isf(*paths, &error);

		if (!kernel)
			die("", error);
		kernel->version = g_strdup(g_hash_table_lookup(versions, kernel->guid_age));
		if (!kernel->version)
			fprintf(stderr, "mklayouts: %s: version unknown\n", kernel->guid_age);
		add(families, index, kernel);
	}
	for (guint i = 0; i < families->len; i++)
		g_ptr_array_sort(((struct family *)g_ptr_array_index(families, i))->kernels, by_version);
	g_ptr_array_sort(families, by_first_kernel);
	for (guint i = 0; i < families->len; i++)
		write_family(g_ptr_array_index(families, i), directory, names, list);
	g_string_append(list, "\t</gresource>\n</gresources>\n");
	write_file(directory, "layouts.gresource.xml", list->str);
	printf("%u kernels, %u families\n", kernels, families->len);
}

/* Every kernel's built-in layout is what its symbol file says. */
static void check(char **paths)
{
	unsigned kernels = 0, bad = 0;

	for (; *paths; paths++, kernels++) {
		GError *error = NULL;
		AUTO(layout) isf = layout_load_isf(*paths, &error);
		AUTO(layout) builtin = NULL;
		g_autofree char *expected = NULL, *found = NULL;

		if (!isf)
			die("", error);
		builtin = layout_builtin(isf->guid_age);
		if (builtin)
			isf->version = g_strdup(builtin->version);
		expected = layout_write_text(isf);
		found = builtin ? layout_write_text(builtin) : g_strdup("");
		if (strcmp(expected, found)) {
			printf("%s: %s\n", isf->guid_age, builtin ? "differs" : "not built in");
			bad++;
		}
	}
	printf("%u kernels checked, %u wrong\n", kernels, bad);
	if (bad)
		exit(1);
}

int main(int argc, char **argv)
{
	g_autofree char *versions = NULL, *output = NULL;
	g_auto(GStrv) paths = NULL;
	gboolean checking = FALSE;
	GError *error = NULL;
	const GOptionEntry options[] = {
		{ "versions", 'v', 0, G_OPTION_ARG_FILENAME, &versions, "Text with a version and a GUID a line", "FILE" },
		{ "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "Write the tables into this directory", "DIR" },
		{ "check", 'c', 0, G_OPTION_ARG_NONE, &checking, "Compare the built-in tables to the files", NULL },
		{ G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &paths, NULL, "SYMBOL-FILE…" },
		{ NULL, 0, 0, G_OPTION_ARG_NONE, NULL, NULL, NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error))
		die("", error);
	if (!paths || !output == !checking)
		die("either --output DIR or --check, and symbol files, are needed", NULL);
	if (checking)
		check(paths);
	else
		make(paths, versions, output);
	return 0;
}
