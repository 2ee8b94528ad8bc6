/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel's PDB as a layout. */
#include <string.h>
#include "layout.h"
#include "pdb.h"

struct loader {
	struct pdb *pdb;
	const char *path;
	GError *error;
};

static void load_size(void *user, const char *type, uint32_t *size)
{
	struct loader *l = user;
	uint32_t found = pdb_find_type(l->pdb, type);
	uint64_t value;

	if (found && pdb_type_size(l->pdb, found, &value) && value <= UINT32_MAX)
		*size = (uint32_t)value;
}

static void load_field(void *user, const char *type, const char *member, struct field *field)
{
	struct loader *l = user;
	uint32_t found = pdb_find_type(l->pdb, type);
	struct pdb_member m;
	uint64_t size;

	if (l->error || !found || !pdb_find_member(l->pdb, found, member, &m, &l->error))
		return;
	if (!pdb_type_size(l->pdb, m.type, &size)) {
		l->error = g_error_new(MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "PDB file %s: %s.%s has no known size", l->path, type, member);
		return;
	}
	if (m.bits && (size > 8 || m.bit + m.bits > size * 8)) {
		l->error = g_error_new(MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "PDB file %s: %s.%s: impossible bit field", l->path, type,
				       member);
		return;
	}
	if (m.offset > UINT16_MAX)	/* none of ours lies that far */
		return;
	/* An open-ended array has the size of one: 0 would say that there's no such field. */
	*field = (struct field){ .offset = (uint16_t)m.offset, .size = (uint16_t)CLAMP(size, 1, UINT16_MAX), .bit = m.bit, .bits = m.bits };
}

static void load_symbol(void *user, const char *name, uint64_t *rva)
{
	struct loader *l = user;
	g_autofree char *decorated = NULL;

	/* On x86 a C name has an underscore before it. */
	if (!pdb_find_symbol(l->pdb, name, rva) && pdb_pointer_size(l->pdb) == 4) {
		decorated = g_strconcat("_", name, NULL);
		pdb_find_symbol(l->pdb, decorated, rva);
	}
}

struct layout *layout_load_pdb(const char *path, GError **error)
{
	AUTO(pdb) pdb = pdb_open(path, error);
	AUTO(layout) layout = layout_create();
	struct loader l = { pdb, path, NULL };

	if (!pdb)
		return NULL;
	layout->pointer_size = pdb_pointer_size(pdb);
	layout->guid_age = g_strdup(pdb_guid_age(pdb));
	layout->source = LAYOUT_PDB;
	layout->origin = g_strdup(path);
	layout_visit_sizes(layout, load_size, &l);
	layout_visit_fields(layout, load_field, &l);
	layout_visit_symbols(layout, load_symbol, &l);
	layout_finish(layout);
	/* ntdll's has the types as well. */
	if (!l.error && (!layout->eprocess.size_ || !layout->symbol.PsActiveProcessHead))
		l.error = g_error_new(MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS,
				      "PDB file %s: no _EPROCESS and PsActiveProcessHead: not a kernel's symbols", path);
	if (l.error) {
		g_propagate_error(error, l.error);
		return NULL;
	}
	return g_steal_pointer(&layout);
}

struct layout *layout_find_pdb(const char *const *directories, const char *pdb_name, const char *guid_age, GError **unread, GError **error)
{
	static const char *const kernels[] = { "ntkrnlmp.pdb", "ntoskrnl.pdb", "ntkrpamp.pdb", "ntkrnlpa.pdb" };

	for (; *directories; directories++) {
		for (size_t i = 0; i <= G_N_ELEMENTS(kernels); i++) {
			const char *name = i ? kernels[i - 1] : pdb_name;
			g_autofree char *served = NULL, *flat = NULL;

			/* The name is the dump's: one that leads elsewhere is none. */
			if (!name || !*name || strchr(name, '/') || name[0] == '.')
				continue;
			served = g_build_filename(*directories, name, guid_age, name, NULL);
			if (g_file_test(served, G_FILE_TEST_IS_REGULAR)) {
				struct layout *layout = layout_load_pdb(served, error);
				if (layout && g_ascii_strcasecmp(layout->guid_age, guid_age)) {
					g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_SYMBOLS, "PDB file %s: is that of %s", served,
						    layout->guid_age);
					g_clear_pointer(&layout, layout_destroy);
				}
				g_clear_error(unread);
				return layout;
			}
			flat = g_build_filename(*directories, name, NULL);
			if (g_file_test(flat, G_FILE_TEST_IS_REGULAR)) {
				struct layout *layout = layout_load_pdb(flat, *unread ? NULL : unread);
				if (layout && !g_ascii_strcasecmp(layout->guid_age, guid_age)) {
					g_clear_error(unread);
					return layout;
				}
				layout_destroy(layout);	/* another kernel's, that lies there */
			}
		}
	}
	return NULL;
}
