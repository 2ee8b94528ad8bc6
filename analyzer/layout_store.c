/* SPDX-License-Identifier: Apache-2.0 */
#include "layout_store.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SUFFIX ".txt"

char *layout_store_directory(void)
{
	return g_build_filename(g_get_user_data_dir(), "memsieve", "layouts", NULL);
}

static bool valid(const char *guid_age)
{
	size_t n = strspn(guid_age, "0123456789ABCDEF");

	return n > 32 && n <= 40 && !guid_age[n];
}

/* "# from isf ntkrnlmp.json" on the first line. */
static void read_origin(struct layout *layout, const char *text, const char *path)
{
	layout->source = g_str_has_prefix(text, "# from pdb ") ? LAYOUT_PDB : LAYOUT_ISF;
	g_free(layout->origin);
	layout->origin = g_strdup(path);
}

struct layout *layout_load(const char *path, GError **error)
{
	static const char msf[] = "Microsoft C/C++ MSF 7.00";
	char head[32] = "";
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(head, 1, sizeof(head) - 1, f) : 0;

	if (f)
		fclose(f);
	if (n >= sizeof(msf) - 1 && !memcmp(head, msf, sizeof(msf) - 1))
		return layout_load_pdb(path, error);
	if (!g_str_has_prefix(head, "family ") && !g_str_has_prefix(head, "pointer ") && *head != '#')
		return layout_load_isf(path, error);
	g_autofree char *text = NULL;
	gsize length;
	if (!g_file_get_contents(path, &text, &length, error))
		return NULL;
	struct layout *layout = layout_parse_text(text, length, path, error);
	if (layout)
		read_origin(layout, text, path);
	return layout;
}

struct layout *layout_store_find(const char *guid_age, GError **error)
{
	g_autofree char *directory = layout_store_directory(), *upper = g_ascii_strup(guid_age, -1);
	g_autofree char *file = g_strconcat(upper, SUFFIX, NULL), *path = g_build_filename(directory, file, NULL);

	if (!valid(upper) || !g_file_test(path, G_FILE_TEST_IS_REGULAR))
		return NULL;
	struct layout *layout = layout_load(path, error);
	if (layout && (!layout->guid_age || strcmp(layout->guid_age, upper))) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "layout %s: is not that of %s", path, upper);
		g_clear_pointer(&layout, layout_destroy);
	}
	return layout;
}

bool layout_store_add(const struct layout *layout, char **path, GError **error)
{
	g_autofree char *directory = layout_store_directory(), *text = layout_write_text(layout), *file = NULL, *whole = NULL;
	g_autofree char *from = g_path_get_basename(layout->origin ? layout->origin : "?");

	if (!layout->guid_age || !valid(layout->guid_age)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "%s: has no GUID to be found by", from);
		return false;
	}
	if (g_mkdir_with_parents(directory, 0777)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: %s", directory, g_strerror(errno));
		return false;
	}
	file = g_strconcat(layout->guid_age, SUFFIX, NULL);
	*path = g_build_filename(directory, file, NULL);
	g_strcanon(from, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", '_');
	whole = g_strdup_printf("# from %s %s\n%s", layout->source == LAYOUT_PDB ? "pdb" : "isf", from, text);
	return g_file_set_contents(*path, whole, -1, error);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **layout_store_list(void)
{
	g_autofree char *directory = layout_store_directory();
	GPtrArray *out = g_ptr_array_new();
	GDir *dir = g_dir_open(directory, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *guid_age = g_str_has_suffix(name, SUFFIX) ? g_strndup(name, strlen(name) - strlen(SUFFIX)) : NULL;
		if (guid_age && valid(guid_age))
			g_ptr_array_add(out, guid_age);
		else
			g_free(guid_age);
	}
	if (dir)
		g_dir_close(dir);
	g_ptr_array_sort(out, by_text);
	g_ptr_array_add(out, NULL);
	return (char **)g_ptr_array_free(out, FALSE);
}
