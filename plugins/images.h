/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the plugin `images` share; nobody else includes this. */
#ifndef MEMSIEVE_IMAGES_H
#define MEMSIEVE_IMAGES_H
#include "image_compare.h"
#include "image_rebuild.h"
#include "image_remains.h"
#include "image_section.h"
#include "limit.h"
#include "patch.h"
#include "pe_space.h"
#include "plugin.h"

extern const struct table table_images, table_image_sections, table_image_imports, table_image_exports, table_image_tls_callbacks,
	table_image_patches, table_image_resources, table_image_debug, table_system_call_stubs;

enum {
	I_DUMP, I_PROCESS, I_VAD, I_SAME_AS, I_BASE, I_SIZE, I_PATH, I_FOUND_BY, I_HEADER_STATE, I_HEADER_DAMAGE, I_REBUILT_FROM, I_MACHINE, I_IS_64BIT,
	I_TIMESTAMP, I_REPRODUCIBLE, I_PREFERRED_BASE, I_ENTRY, I_SIZE_OF_IMAGE, I_CHECKSUM, I_SUBSYSTEM, I_CHARACTERISTICS, I_IS_DLL, I_IS_DOTNET,
	I_PDB_NAME, I_PDB_GUID_AGE, I_ORIGINAL_FILENAME, I_COMPANY, I_PRODUCT, I_FILE_VERSION, I_DESCRIPTION, I_IMPORT_HASH, I_SHA256,
	I_IMPORTS_BOUND, I_RELOCATIONS_KNOWN, I_RELOCATIONS_FROM, I_DIRECT_CALLS, I_DYNAMIC_SITES, I_DYNAMIC_REWRITTEN, I_PAGES, I_PAGES_PRESENT, I_PAGES_PRIVATE, I_PAGES_MODIFIED,
};
enum {
	S_IMAGE, S_NUMBER, S_NAME, S_ADDRESS, S_SIZE, S_RAW_OFFSET, S_RAW_SIZE, S_CHARACTERISTICS, S_ENTROPY, S_PRESENT, S_PRIVATE, S_MODIFIED, S_HASHES,
};
enum { M_IMAGE, M_DLL, M_NAME, M_ORDINAL, M_DELAY, M_IAT, M_TARGET, M_TARGET_MODULE };
enum { E_IMAGE, E_ORDINAL, E_NAME, E_ADDRESS, E_RVA, E_FORWARDER };
enum { T_IMAGE, T_ADDRESS };
enum {
	P_IMAGE, P_ADDRESS, P_LENGTH, P_SECTION, P_FUNCTION, P_FUNCTION_OFFSET, P_ORIGINAL, P_CURRENT, P_CHANGED_BITS, P_FRAME_BITS,
	P_KIND, P_TARGET, P_TARGET_MODULE,
	P_DISASSEMBLY, P_HASHES,
};
enum { R_IMAGE, R_TYPE, R_NAME, R_LANGUAGE, R_ADDRESS, R_SIZE };
enum { D_IMAGE, D_TYPE, D_TIMESTAMP, D_ADDRESS, D_SIZE, D_PDB_NAME, D_GUID_AGE, D_DETAIL };

enum {
	C_IMAGE, C_NAME, C_NUMBER, C_NUMBER_FROM, C_PLACE, C_ADDRESS, C_HOOKED, C_CHANGED_BITS, C_CURRENT_NUMBER, C_CURRENT, C_TARGET, C_TARGET_MODULE,
};

/* One process's mapping of an image section. */
struct mapping {
	const struct process *process;
	guint vad;		/* index into its vads */
	int64_t ordinal;	/* of its row in images, among the process's */
};

/* What a DLL exports, to tell where an import of it should lead; see images_libraries.c. */
struct library {
	GMutex lock;		/* over what follows */
	bool known;
	bool is_64bit;
	GArray *exports;	/* struct library_export by key; NULL: not known, or too many */
	GPtrArray *forwarders;	/* char * */
};

/* Where an import slot of an image leads unless somebody changed it. */
struct slot_target {
	uint32_t iat_rva, rva;	/* of the slot; within the image it leads to */
	struct content *content;	/* that image; NULL: not known */
};

/*
 * What all mappings of one image section have in common, by its control area. Made before the
 * processes are looked at; the facts are found by whichever thread needs them first, always
 * from the first mapping, so that they don't depend on the threads.
 */
struct content {
	GArray *mappings;	/* struct mapping, in the order of the processes; the first one's image has the shared rows */
	GMutex lock;		/* over what follows */
	bool known;
	char *pdb_name, *pdb_guid_age, *original_filename, *company, *product, *file_version, *description, *import_hash;
	bool is_dotnet, reproducible;
	enum fault reproducible_fault;
	enum fault dotnet_fault;	/* why that can't be told */
	GArray *entropies;	/* double by section number, NAN: none */
	GPtrArray *hashes_of_pages;	/* GByteArray * by section number, NULL: none */
	guint direct_calls;
	struct image_fixups *fixups;
	GHashTable *hashes;	/* what is private and different → sha256 of the image */
	GArray *targets;	/* struct slot_target in the order of its imports, as of the first mapping; NULL: not found out */
	gint left;		/* mappings still to come: then the facts can go */
	struct library library;
};

/* Host DLLs of API sets, of the first process whose map can be read; see images_apisets.c. */
struct api_sets;

/* Kept while the plugin runs. */
struct images {
	GHashTable *contents;	/* control area → struct content */
	GArray *drivers;	/* struct driver_image by base */
	struct api_sets *api_sets;
	gint exports_left;	/* of limit(library_exports) */
};

struct driver_image { uint64_t base, size; const char *name; struct library *library; };

enum { PAGE_FLAG_PRESENT = 1, PAGE_FLAG_PRIVATE = 2, PAGE_FLAG_MODIFIED = 4, PAGE_FLAG_EXECUTABLE = 8, PAGE_FLAG_READABLE = 16,
       PAGE_FLAG_ALONE = 32 };

/* A patch found, not yet a row. */
struct found_patch {
	uint32_t rva, length;
	enum patch_kind kind;
	const struct pe_section *section;	/* of subject->original, or NULL */
	uint32_t changed_bits, frame_bits;
	GByteArray *original, *current;		/* at most PATCH_BYTES of each; original may be NULL */
	char *export;		/* PATCH_EXPORT: which; of guard pointers: their name; or NULL */
	bool has_target;	/* PATCH_EXPORT and pointers: where it leads now */
	uint64_t target;
	GByteArray *hashes;	/* PATCH_UNKNOWN: of its pages, as image_page_hashes makes them; or NULL */
};

/* An image at hand. */
struct subject {
	struct context *c;
	const struct images *images;
	struct space *space;
	uint64_t base;
	uint32_t size;			/* bytes mapped */
	const char *path, *found_by;
	char *rebuilt_from;		/* image_remains_text where there are no headers to go by, or NULL */
	const struct vad *vad;
	int vad_index;			/* -1: none */
	struct content *content;	/* NULL: of no section */
	bool first;			/* its rows stand for all mappings of the content (or it has no content) */
	struct pe_space at;
	struct pe *pe;			/* as the process has it */
	struct view view;
	struct pe *original;		/* as the section has it; pe where there is no section */
	struct pe *facts;		/* the one of both whose headers are better */
	int64_t ordinal;		/* of its row */
	uint8_t *pages;			/* PAGE_FLAG_… by page, NULL: unknown */
	uint32_t n;
	GArray *patches;		/* struct found_patch */
	bool patches_cut;
	unsigned missing;		/* private pages of code whose bytes aren't in the dump … */
	uint32_t first_missing;		/* … the first one's RVA */
	GPtrArray *others;		/* struct space * of other mappings, NULL until one is needed */
	unsigned searched;		/* pages whose original was looked for there */
	bool search_cut;		/* for more it was not looked */
	const struct neighbours *neighbours;	/* of the process, or the kernel's drivers */
	uint32_t export_table, export_count;	/* functions of original's export directory: RVA of the table, entries; after export_table_find */
	bool export_table_known;
	GPtrArray *hashes_of_pages;	/* of a driver: as content's */
	guint direct_calls;
};

#define PATCH_BYTES limit32(patch_bytes)

/* ---- images_content.c */
struct images *images_create(struct context *c);
void images_destroy(void *images);
struct content *images_content(const struct images *images, const struct process *process, const struct vad *vad);
bool image_vad(const struct vad *vad);
/* Find the facts unless they are known; returns with the lock free. */
void content_know(struct context *c, const struct images *images, struct content *content);
/* The image of the section, by its first mapping; `view` and `space` are the caller's storage, to go after the pe. */
struct pe *content_open(struct context *c, const struct content *content, struct view *view, struct space **space);
/* One of its mappings is done. */
void content_leave(struct content *content);

/* ---- images_libraries.c */
void library_clear(struct library *library);
/* The images that a process (NULL: the kernel) can import from, by name. */
struct neighbours *neighbours_create(struct context *c, const struct images *images, const struct process *process);
void neighbours_destroy(struct neighbours *neighbours);
/* Where an import leads, by what is loaded; see import_resolve. */
enum { IMPORT_CANDIDATES = 8 };
struct import_candidates {
	struct { uint64_t va; struct content *content; uint32_t rva; } at[IMPORT_CANDIDATES];
	unsigned n;
	bool loaded;		/* the DLL it names is */
	bool cut;		/* its forwarders lead to more DLLs than were looked at: import_looks, or the time is over */
};
/*
 * All places where an import may lead: there may be several DLLs of one name. name: "function" or "#ordinal".
 * importer: the base name of the image that imports, for API sets that depend on it.
 */
void import_resolve(struct context *c, const struct images *images, const struct neighbours *neighbours, bool is_64bit, const char *importer,
		    const char *dll, const char *name, struct import_candidates *out);
/* Does the image that va lies in export it by that name? */
bool exported_at(struct context *c, const struct images *images, const struct neighbours *neighbours, uint64_t va, const char *name);
/* The base of the process's first mapping of a section; false: it has none. */
bool neighbour_base(const struct neighbours *neighbours, const struct content *content, uint64_t *base);
/* "function", or "#ordinal"; NULL: not known. The caller frees. */
char *import_name(const struct pe_import *import);

/* ---- images_apisets.c */
/* NULL: no process's map can be read, or it is of a form we don't know. */
struct api_sets *api_sets_create(const struct context *c);
void api_sets_destroy(struct api_sets *sets);
/* The DLL that stands behind an API set's name; NULL: none. importer: see import_resolve. */
const char *api_set_host(const struct api_sets *sets, const char *dll, const char *importer);
bool is_api_set(const char *dll);

/* ---- images_hooks.c */
void put_import_hooks(struct subject *s);
/*
 * Where there is no original to compare with: functions that begin with a jump out of the image, to no module; of a driver also to other
 * drivers, and pointers that lead out of all drivers.
 */
void put_entry_hooks(struct subject *s);
/* Guard pointers of a process's image, which the loader sets, that lead to no module. */
void put_guard_hooks(struct subject *s);
/* Is the function table of original's export directory known? Then it is in export_table. */
bool export_table_find(struct subject *s);
/* Read at most length bytes of the process; for patch_source. */
size_t subject_read(void *subject, uint64_t va, void *buffer, size_t length);
static inline struct patch_source subject_source(struct subject *s)
{
	return (struct patch_source){ s, subject_read, s->base, s->base + s->size };
}

/* ---- images_jumps.c */
/* Of a driver: jumps and calls anywhere in its code that lead to memory of no driver. */
void put_jumps_out(struct subject *s);

/* ---- images_stubs.c */
/* Is none of its executable pages changed, or without an original? */
bool untouched(const struct subject *s);
void put_stubs(struct subject *s);

/* The hashes of its executable sections' pages: GByteArray * by section number. */
GPtrArray *page_hashes(struct pe *pe, const struct image_fixups *fixups, guint *direct_calls);

/* ---- images_compare.c */
/* Find what is there and what was modified: fills pages and patches. */
void subject_compare(struct subject *s);
void put_patches(struct subject *s);

/* ---- images_rows.c */
/* The image's row and all that hang on it. */
void put_image(struct subject *s);
/* The module an address of this process lies in, NULL: none. */
const char *module_at(const struct context *c, uint64_t va);

/* May so many more rows be made? A step of the space for each, so that a dump of images that all claim the limit ends. */
static inline bool affordable(const struct subject *s, guint rows)
{
	return space_spend(s->space ? s->space : s->c->space, rows);
}

/* ---- images_imports.c */
void put_imports(struct subject *s);
/* Is what a slot holds an address that the loader (or a bind) put there, and not one within the image? */
bool slot_is_address(const struct subject *s, uint64_t value);
/* -1: it has none, or can't be told; else whether the loader filled its import slots. */
int imports_bound(struct subject *s);

/* ---- images_search.c */
/* An image in memory that is no image mapping. */
struct remains {
	uint64_t base;
	uint32_t limit;			/* bytes that may belong to it */
	bool has_header;
	struct image_remains parts;	/* without a header: what told that there is an image */
};
typedef void (*found_image_fn)(void *user, const struct remains *remains);
void search_images(struct context *c, found_image_fn each, void *user);
#endif
