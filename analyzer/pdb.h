/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Microsoft's program databases (PDB 7 in an MSF container), read strictly: any part that
 * isn't what it should be is an error that names it.
 *
 * Format: Microsoft's published sources (microsoft-pdb) and LLVM's "The PDB File Format". Read are
 * the identity, the types (TPI stream) and the public symbols with what turns
 * segment and offset into an RVA (section headers; OMAP where the linker's output was
 * rearranged afterwards).
 */
#ifndef MEMSIEVE_PDB_H
#define MEMSIEVE_PDB_H
#include <glib.h>
#include "bytes.h"
#include "error.h"

struct pdb;

/* The file is read whole; *error says what is wrong with it. */
struct pdb *pdb_open(const char *path, GError **error);
/* The same of bytes in hand, which are copied as needed; `name` is for messages. */
struct pdb *pdb_open_bytes(const void *data, size_t length, const char *name, GError **error);
void pdb_close(struct pdb *pdb);
DEFINE_AUTO(pdb, pdb_close)

/* 32 hex digits and the age, upper case, as in a symbol path and in the image's RSDS record. */
const char *pdb_guid_age(const struct pdb *pdb);
/* 4 or 8, by the machine the DBI stream names. */
unsigned pdb_pointer_size(const struct pdb *pdb);

/* Types. Indices are those of the file. */
enum pdb_kind { PDB_STRUCT, PDB_UNION, PDB_ENUM, PDB_OTHER };
/* The definition (no forward reference) of that name; 0: none. */
uint32_t pdb_find_type(const struct pdb *pdb, const char *name);
enum pdb_kind pdb_type_kind(const struct pdb *pdb, uint32_t type);
/* Size in bytes; false: the type has none that can be told (or the file lies). */
bool pdb_type_size(const struct pdb *pdb, uint32_t type, uint64_t *size);
/* A user-defined type's name, or NULL; lives as long as the pdb. */
const char *pdb_type_name(const struct pdb *pdb, uint32_t type);

struct pdb_member {
	const char *name;
	uint32_t type;		/* of a bit field: the integer's */
	uint64_t offset;
	uint8_t bit, bits;	/* bits 0: no bit field */
};
/* Visit the data members of a struct or union in the file's order, without those of base classes; false
 * and *error: the record is damaged. */
typedef void (*pdb_member_fn)(void *user, const struct pdb_member *member);
bool pdb_each_member(const struct pdb *pdb, uint32_t type, pdb_member_fn visit, void *user, GError **error);
/* One member by name, members of unnamed members included, whose offset is then the whole. */
bool pdb_find_member(const struct pdb *pdb, uint32_t type, const char *name, struct pdb_member *out, GError **error);
/* All definitions. */
typedef void (*pdb_type_fn)(void *user, uint32_t type);
void pdb_each_type(const struct pdb *pdb, pdb_type_fn visit, void *user);

/* A public symbol's RVA; false: none, or its place was removed from the image. */
bool pdb_find_symbol(const struct pdb *pdb, const char *name, uint64_t *rva);
typedef void (*pdb_symbol_fn)(void *user, const char *name, uint64_t rva);
void pdb_each_symbol(const struct pdb *pdb, pdb_symbol_fn visit, void *user);
#endif
