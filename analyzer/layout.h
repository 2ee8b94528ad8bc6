/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One Windows kernel's structure offsets and global addresses.
 *
 * layout.def is the one list of what we read. It is included for the struct
 * below, for the names, and so for every loader: a misspelt field doesn't compile.
 *
 *	layout->eprocess.UniqueProcessId	a struct field
 *	layout->eprocess.size_			sizeof(_EPROCESS)
 *	layout->symbol.PsActiveProcessHead	RVA from the kernel's base; 0: unknown
 */
#ifndef MEMSIEVE_LAYOUT_H
#define MEMSIEVE_LAYOUT_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include "error.h"

/* size == 0: this build has no such field, or we don't know it. For a bit field,
 * size is that of the integer it lies in and bits > 0. */
struct field {
	uint16_t offset;
	uint16_t size;		/* bytes; 0xffff when larger than that */
	uint8_t bit, bits;
	uint8_t derived;	/* confidence 1-100 when recovered from the dump, 0: from symbols */
};

/* Whose code a kernel is: families are of one machine each (their names end in -x86 or -arm64, those of x64 in neither). */
enum layout_machine { LAYOUT_ANY, LAYOUT_X64, LAYOUT_X86, LAYOUT_ARM64 };

enum layout_source { LAYOUT_BUILTIN, LAYOUT_FAMILY, LAYOUT_ISF, LAYOUT_PDB, LAYOUT_DERIVED };

struct layout {
	enum layout_source source;
	char *origin;			/* what follows the ':' in dumps.layout_source, owned */
	char *guid_age;			/* 32 hex digits + age, upper case, owned */
	char *version;			/* "10.0.19041.1466" where known, owned */
	unsigned pointer_size;		/* 4 or 8 */
	unsigned confidence;		/* 1-100 of a layout that was checked against or derived from a dump, else 0 */
	char *base;			/* of such a layout: the family it began with, owned */
#define FIELD(f) struct field f;
#define STRUCT(s, nt, ...) struct { uint32_t size_; __VA_ARGS__ } s;
#define SYMBOL(s)
#include "layout.def"
#undef STRUCT
#undef FIELD
#undef SYMBOL
	struct {
#define STRUCT(s, nt, ...)
#define SYMBOL(s) uint64_t s;
#include "layout.def"
#undef STRUCT
#undef SYMBOL
	} symbol;
};

struct layout *layout_create(void);
struct layout *layout_copy(const struct layout *layout);
void layout_destroy(struct layout *layout);
DEFINE_AUTO(layout, layout_destroy)

/* Set by the Windows names ("_EPROCESS", "UniqueProcessId"); false: not one we read. */
bool layout_set_field(struct layout *layout, const char *type, const char *member, struct field field);
bool layout_set_size(struct layout *layout, const char *type, uint32_t size);
bool layout_set_symbol(struct layout *layout, const char *name, uint64_t rva);

/* Visit everything layout.def names, in its order: for writers, checks and derivation. */
typedef void (*layout_visit_fn)(void *user, const char *type, const char *member, struct field *field);
void layout_visit_fields(struct layout *layout, layout_visit_fn visit, void *user);
typedef void (*layout_visit_size_fn)(void *user, const char *type, uint32_t *size);
void layout_visit_sizes(struct layout *layout, layout_visit_size_fn visit, void *user);
typedef void (*layout_visit_symbol_fn)(void *user, const char *name, uint64_t *rva);
void layout_visit_symbols(struct layout *layout, layout_visit_symbol_fn visit, void *user);

/* For loaders, in the end: what is an array in some builds, and a number in others, is the first element then
 * (_KPROCESS.DirectoryTableBase until 2003, whose second is hyperspace's); and the routines of a _KAPC, which symbols
 * since Windows 11 22H2, and wdm.h, call Reserved[3]. */
void layout_finish(struct layout *layout);

/* Of these fields ("_EPROCESS.Peb", NULL-terminated) that are known, the least confidence of a derived one; 0: none is derived. */
unsigned layout_confidence(struct layout *layout, const char *const *fields);

/* Built-in table of an exact kernel by GUID and age; NULL when there is none. */
struct layout *layout_builtin(const char *guid_age);
/* Every built-in kernel, in a stable order. */
typedef void (*layout_builtin_fn)(void *user, const char *guid_age, const char *version, const char *family);
void layout_builtin_each(layout_builtin_fn visit, void *user);
/*
 * The built-in family nearest to a build number (e.g. 19041, and the revision
 * after it, 0 when unknown), of a machine: structure offsets only, no symbols. NULL: no such build.
 */
struct layout *layout_family(unsigned build, unsigned revision, enum layout_machine machine);
/* The names of all families, the likeliest for such a kernel first: its build's, then those of the
 * nearest builds (g_strfreev). */
char **layout_families(unsigned build, unsigned revision, enum layout_machine machine);
struct layout *layout_family_named(const char *name);
/* Has the family kernels with symbols, or is it structures alone? */
bool layout_has_kernels(const char *name);

/* A Volatility-3 symbol file (.json, .json.xz, .json.gz). */
struct layout *layout_load_isf(const char *path, GError **error);
/* By GUID and age from directories laid out as Volatility's symbols/ (also searched
 * below "windows/" and "windows/ntkrnlmp.pdb/"), or flat; NULL without error: not there. */
struct layout *layout_find_isf(const char *const *directories, const char *guid_age, GError **error);

/* A kernel's PDB. */
struct layout *layout_load_pdb(const char *path, GError **error);
/* By the kernel's GUID and age from directories laid out as a symbol server's store
 * (NAME/GUIDAGE/NAME) or flat; NULL without error: not there. *unread, where none is found: why the first flat
 * one that bears a kernel's name can't be read. It may be this kernel's. */
struct layout *layout_find_pdb(const char *const *directories, const char *pdb_name, const char *guid_age, GError **unread, GError **error);
/* Any of these and our text form, by what the file begins with. */
struct layout *layout_load(const char *path, GError **error);

/* Our own diffable text form (see layouts/README): parse and write. */
struct layout *layout_parse_text(const char *text, gsize length, const char *name, GError **error);
char *layout_write_text(const struct layout *layout);
#endif
