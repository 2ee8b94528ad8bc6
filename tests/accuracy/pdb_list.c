/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pdb_list FILE: all that our reader finds in a PDB, for tests/accuracy/pdb. Parts of a line are divided by tabs.
 *
 *	identity	GUID and age	size of a pointer
 *	type	index	struct|union|enum	name	size (- : unknown)
 *	member	name	offset	first bit	bits	size of its type (- : unknown)		of the type before it
 *	symbol	name	RVA
 */
#include <stdio.h>
#include "pdb.h"

struct listing { const struct pdb *pdb; GError *error; };

static void print_size(const struct pdb *pdb, uint32_t type)
{
	uint64_t size;

	if (pdb_type_size(pdb, type, &size))
		printf("\t%" G_GUINT64_FORMAT "\n", size);
	else
		puts("\t-");
}

static void print_member(void *user, const struct pdb_member *m)
{
	const struct listing *l = user;

	printf("member\t%s\t%" G_GUINT64_FORMAT "\t%u\t%u", m->name, m->offset, m->bit, m->bits);
	print_size(l->pdb, m->type);
}

static void print_type(void *user, uint32_t type)
{
	static const char *const kinds[] = { [PDB_STRUCT] = "struct", [PDB_UNION] = "union", [PDB_ENUM] = "enum", [PDB_OTHER] = "other" };
	struct listing *l = user;

	printf("type\t%u\t%s\t%s", type, kinds[pdb_type_kind(l->pdb, type)], pdb_type_name(l->pdb, type));
	print_size(l->pdb, type);
	if (!l->error)
		pdb_each_member(l->pdb, type, print_member, l, &l->error);
}

static void print_symbol(void *user, const char *name, uint64_t rva)
{
	(void)user;
	printf("symbol\t%s\t%" G_GUINT64_FORMAT "\n", name, rva);
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	AUTO(pdb) pdb = argc == 2 ? pdb_open(argv[1], &error) : NULL;
	struct listing l = { pdb, NULL };

	if (!pdb) {
		fprintf(stderr, "%s\n", error ? error->message : "usage: pdb_list FILE");
		return error ? 1 : 2;
	}
	printf("identity\t%s\t%u\n", pdb_guid_age(pdb), pdb_pointer_size(pdb));
	pdb_each_type(pdb, print_type, &l);
	pdb_each_symbol(pdb, print_symbol, NULL);
	if (l.error) {
		fprintf(stderr, "%s\n", l.error->message);
		g_error_free(l.error);
		return 1;
	}
	return 0;
}
