/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the plugin `images` share; nobody else includes this. */
#ifndef MEMSIEVE_IMAGES_H
#define MEMSIEVE_IMAGES_H
#include "image_compare.h"
#include "image_rebuild.h"
#include "limit.h"
#include "patch.h"
#include "pe_space.h"
#include "plugin.h"

extern const struct table table_images, table_image_sections, table_image_imports, table_image_exports, table_image_tls_callbacks,
	table_image_patches, table_image_resources, table_image_debug;

enum {
	I_DUMP, I_PROCESS, I_VAD, I_SAME_AS, I_BASE, I_SIZE, I_PATH, I_FOUND_BY, I_HEADER_STATE, I_HEADER_DAMAGE, I_MACHINE, I_IS_64BIT,
	I_TIMESTAMP, I_PREFERRED_BASE, I_ENTRY, I_SIZE_OF_IMAGE, I_CHECKSUM, I_SUBSYSTEM, I_CHARACTERISTICS, I_IS_DLL, I_IS_DOTNET,
	I_PDB_NAME, I_PDB_GUID_AGE, I_ORIGINAL_FILENAME, I_COMPANY, I_PRODUCT, I_FILE_VERSION, I_DESCRIPTION, I_IMPORT_HASH, I_SHA256,
	I_IMPORTS_BOUND, I_PAGES, I_PAGES_PRESENT, I_PAGES_PRIVATE, I_PAGES_MODIFIED,
};
enum {
	S_IMAGE, S_NUMBER, S_NAME, S_ADDRESS, S_SIZE, S_RAW_OFFSET, S_RAW_SIZE, S_CHARACTERISTICS, S_ENTROPY, S_PRESENT, S_PRIVATE, S_MODIFIED,
};
enum { M_IMAGE, M_DLL, M_NAME, M_ORDINAL, M_DELAY, M_IAT, M_TARGET, M_TARGET_MODULE };
enum { E_IMAGE, E_ORDINAL, E_NAME, E_ADDRESS, E_RVA, E_FORWARDER };
enum { T_IMAGE, T_ADDRESS };
enum {
	P_IMAGE, P_ADDRESS, P_LENGTH, P_SECTION, P_FUNCTION, P_FUNCTION_OFFSET, P_ORIGINAL, P_CURRENT, P_CHANGED_BITS, P_FRAME_BITS,
	P_KIND, P_TARGET, P_TARGET_MODULE,
	P_DISASSEMBLY,
};
enum { R_IMAGE, R_TYPE, R_NAME, R_LANGUAGE, R_ADDRESS, R_SIZE };
enum { D_IMAGE, D_TYPE, D_TIMESTAMP, D_ADDRESS, D_SIZE, D_PDB_NAME, D_GUID_AGE, D_DETAIL };

/* One process's mapping of an image section. */
struct mapping {
	const struct process *process;
	guint vad;		/* index into its vads */
	int64_t ordinal;	/* of its row in images, among the process's */
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
	bool is_dotnet;
	GArray *entropies;	/* double by section number, NAN: none */
	struct image_fixups *fixups;
	GHashTable *hashes;	/* what is private and different → sha256 of the image */
	gint left;		/* mappings still to come: then the facts can go */
};

/* Kept while the plugin runs. */
struct images {
	GHashTable *contents;	/* control area → struct content */
};

enum { PAGE_FLAG_PRESENT = 1, PAGE_FLAG_PRIVATE = 2, PAGE_FLAG_MODIFIED = 4, PAGE_FLAG_EXECUTABLE = 8, PAGE_FLAG_READABLE = 16,
       PAGE_FLAG_ALONE = 32 };

/* A patch found, not yet a row. */
struct found_patch {
	uint32_t rva, length;
	enum patch_kind kind;
	const struct pe_section *section;	/* of subject->original, or NULL */
	uint32_t changed_bits, frame_bits;
	GByteArray *original, *current;		/* at most PATCH_BYTES of each; original may be NULL */
};

/* An image at hand. */
struct subject {
	struct context *c;
	struct space *space;
	uint64_t base;
	uint32_t size;			/* bytes mapped */
	const char *path, *found_by;
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
	GPtrArray *others;		/* struct space * of other mappings, NULL until one is needed */
	unsigned searched;		/* pages whose original was looked for there */
};

#define PATCH_BYTES 512u	/* kept of a patch */

/* ---- images_content.c */
struct images *images_create(const struct context *c);
void images_destroy(void *images);
struct content *images_content(const struct images *images, const struct process *process, const struct vad *vad);
bool image_vad(const struct vad *vad);
/* Find the facts unless they are known; returns with the lock free. */
void content_know(struct context *c, struct content *content);
/* One of its mappings is done. */
void content_leave(struct content *content);

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
/* -1: it has none, or can't be told; else whether the loader filled its import slots. */
int imports_bound(struct subject *s);

/* ---- images_search.c */
/* An image in memory that is no image mapping. */
struct remains {
	uint64_t base;
	uint32_t limit;			/* bytes that may belong to it */
	bool has_header;
	/* Without a header: what told that there is an image; rva 0: not found. */
	struct pe_directory functions, relocations;
};
typedef void (*found_image_fn)(void *user, const struct remains *remains);
void search_images(struct context *c, found_image_fn each, void *user);
#endif
