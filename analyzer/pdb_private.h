/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMSIEVE_PDB_PRIVATE_H
#define MEMSIEVE_PDB_PRIVATE_H
#include "pdb.h"

#define PDB_NO_STREAM 0xffffu

struct pdb_symbol { const char *name; uint32_t offset; uint16_t segment; };

struct pdb {
	char *name;
	uint8_t *file;		/* the container */
	size_t size;
	uint32_t block_size, blocks;
	GArray *streams;	/* struct bytes: sizes and where their block numbers are */
	GByteArray *directory;
	char *guid_age;
	uint32_t age;
	uint16_t machine;
	/* types */
	GByteArray *tpi;
	uint32_t first_type;
	GArray *types;		/* uint32_t: offset of each record in tpi */
	GHashTable *by_name;	/* name → type */
	GHashTable *by_unique_name;	/* the same by the decorated name */
	/* symbols */
	GByteArray *records;
	GArray *sections;	/* struct range of RVAs, of what segments refer to */
	GArray *omap;		/* uint32_t pairs: RVA before, RVA after; sorted */
	GHashTable *symbols;	/* name → struct pdb_symbol * */
};

/* A whole stream; NULL and *error when it is damaged. An absent one is empty. */
GByteArray *pdb_stream(const struct pdb *pdb, uint32_t number, GError **error);
void pdb_fail(const struct pdb *pdb, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);
bool pdb_load_types(struct pdb *pdb, GError **error);
bool pdb_load_symbols(struct pdb *pdb, GError **error);
#endif
