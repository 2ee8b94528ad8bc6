/* SPDX-License-Identifier: Apache-2.0 */
/* The input is a PDB; every definition, member and symbol of it is read. */
#include <string.h>
#include "pdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct visit {
	struct pdb *pdb;
	unsigned types, members;
};

static void visit_member(void *user, const struct pdb_member *member)
{
	struct visit *v = user;
	uint64_t bytes;

	if (strlen(member->name) > 0x10000)
		g_error("a name longer than a record");
	if (v->members++ < 20000)
		pdb_type_size(v->pdb, member->type, &bytes);
}

static void visit_type(void *user, uint32_t type)
{
	struct visit *v = user;
	struct pdb_member member;
	uint64_t bytes;

	/* Lists may be shared by many types: all of them would take time without showing more. */
	if (v->types++ > 300 || v->members > 20000)
		return;
	pdb_type_size(v->pdb, type, &bytes);
	pdb_type_kind(v->pdb, type);
	if (!pdb_type_name(v->pdb, type))
		g_error("a definition without a name");
	pdb_each_member(v->pdb, type, visit_member, v, NULL);
	pdb_find_member(v->pdb, type, "Flink", &member, NULL);
}

static void visit_symbol(void *user, const char *name, uint64_t rva)
{
	(void)user;
	if (!*name && rva == 1)
		g_debug("unnamed");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct visit v = { pdb_open_bytes(data, size, "input", NULL), 0, 0 };

	if (!v.pdb)
		return 0;
	if (strlen(pdb_guid_age(v.pdb)) < 33)
		g_error("no GUID");
	pdb_pointer_size(v.pdb);
	pdb_each_type(v.pdb, visit_type, &v);
	pdb_each_symbol(v.pdb, visit_symbol, NULL);
	pdb_close(v.pdb);
	return 0;
}
