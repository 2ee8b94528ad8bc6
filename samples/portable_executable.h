/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executables as the loader maps them, made up from a few words: headers, code,
 * exports, imports, a CodeView record, a version resource. Their code does nothing.
 */
#ifndef MEMSIEVE_SAMPLES_PORTABLE_EXECUTABLE_H
#define MEMSIEVE_SAMPLES_PORTABLE_EXECUTABLE_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct executable_section {
	const char *name;
	uint32_t rva, size;		/* size in whole pages, as mapped */
	uint32_t characteristics;
	uint8_t protection;		/* MM_…, as the loader maps it */
};

struct executable_import { uint32_t rva; char *dll, *name; };

struct executable {
	uint8_t *bytes;			/* size bytes, as mapped at base, imports not yet bound */
	uint32_t size, timestamp, checksum, entry_point, import_table, import_table_size;
	uint64_t base;
	bool is_64bit, arm64, dll;
	bool loaded;			/* from a file: all of it is resident, its imports are as the file has them */
	struct executable_section *sections;
	unsigned section_count;
	GPtrArray *exports;		/* char *, sorted; function n is at export_rva */
	GHashTable *forwarders;		/* of exports: name → "DLL.function"; NULL: none */
	GArray *imports;		/* struct executable_import: its slot in the import address table */
};

struct executable_spec {
	const char *name;		/* of the file */
	const char *pdb;		/* NULL: the name with .pdb */
	const char *guid_age;		/* 32 hex digits and the age; NULL: drawn */
	const char *const *exports;	/* NULL-terminated or NULL; "Name>DLL.function" is forwarded */
	const char *const *imports;	/* "kernel32.dll!CreateFileW" */
	const char *company, *product, *version;	/* "10.0.19041.1466" */
	uint64_t base, seed;
	uint32_t timestamp;		/* 0: drawn */
	bool reproducible;		/* a debug record says that it is a hash */
	uint32_t text_pages;		/* 0: 2 */
	/* The kernel's: where it ends, where its code and data begin, and where in what is read-only
	 * there is room for two pages of what this file writes. */
	uint32_t size, code, data, tables;
	uint32_t pointer;		/* where an address of the first function stands, relocated; 0: nowhere */
	uint32_t guard;			/* where two guard pointers stand, with a load config before them that names them; 0: nowhere */
	bool is_64bit, arm64, dll, native;
	uint64_t tls;			/* a TLS callback's address, in a directory at the end of .rdata; 0: none */
	uint32_t entry;			/* RVA of the entry point; 0: where code begins */
	const char *code_name;		/* of its section of code; NULL: .text */
	bool code_writable;
	const char *stubs;		/* how its Nt… functions enter the kernel, see stub_forms; NULL: as x64 does */
	struct { const char *name; uint32_t rva; } data_exports[1];	/* names of variables; rva 0: none */
};

struct executable *executable_create(const struct executable_spec *spec);
void executable_destroy(struct executable *executable);
/* A file laid out at base as the memory manager maps it. NULL and *why: Windows wouldn't. */
struct executable *executable_load(const char *path, uint64_t base, const char **why);
/* The same of a file that Windows refuses: its bytes as they are, in one piece. */
struct executable *executable_load_flat(const char *path, uint64_t base, const char **why);
/*
 * Take what tells that it is an image: "dos" (MZ), "lfanew", "pe" (PE\0\0), "machine", "optional" (the magic), "sections" (the table), "directories",
 * "header" (all of the page), "noise" (the same, random); more than one with + between.
 */
void executable_wipe(struct executable *executable, const char *what, uint64_t seed);
/* RVA of an export, 0: it has none of that name. */
uint32_t executable_export(const struct executable *executable, const char *name);
/* The section that the page at rva lies in; NULL: the headers. */
const struct executable_section *executable_section_at(const struct executable *executable, uint32_t rva);
#endif
