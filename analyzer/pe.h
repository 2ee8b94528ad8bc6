/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PE image as it lies in memory: everything is addressed by RVA and read through
 * a callback, because any page may be absent. Structures are those of the PE format
 * specification (learn.microsoft.com, "PE Format") and winnt.h.
 *
 * pe_open reads the headers alone (one page, seldom two). Each other part is parsed
 * when first asked for and kept; asking again is free. Arrays and strings belong to
 * the struct pe and live until pe_close. Text is valid UTF-8.
 *
 * The functions that parse a part give what could be had, and *fault (may be NULL)
 * says what kept them from giving all: FAULT_NONE with an empty array means that the
 * image has no such part. Trouble in one part never touches another.
 *
 * A struct pe is used by one thread at a time.
 */
#ifndef MEMSIEVE_PE_H
#define MEMSIEVE_PE_H
#include <glib.h>
#include "error.h"
#include "limit.h"

/* Where the bytes of an image come from. */
struct pe_source {
	void *user;
	/* Read exactly length bytes at rva; a fault when any of it can't be read. */
	enum fault (*read)(void *user, uint32_t rva, void *buffer, size_t length);
};

/* Our own limits; beyond them FAULT_LIMIT. */
enum {
	PE_MAX_SECTIONS = 96,
	PE_MAX_EXPORTS = 65536,
	PE_MAX_IMPORT_DLLS = 4096,
	PE_MAX_IMPORTS = 65536,
	PE_MAX_RELOCATIONS = 1 << 20,	/* padding included */
	PE_MAX_TLS_CALLBACKS = 256,
	PE_MAX_DEBUG_ENTRIES = 64,
	PE_MAX_RESOURCES = 65536,
	PE_MAX_FUNCTIONS = 1 << 18,
	PE_MAX_RICH_ENTRIES = 256,
	PE_MAX_VERSION_BYTES = 65536,
	PE_MAX_VERSION_STRINGS = 256,
	PE_MAX_NAME = FIXED_pe_name,		/* bytes: DLL names, resource names */
	PE_MAX_SYMBOL = 4096,		/* bytes: function names, forwarders, PDB paths */
	PE_MAX_TEXT = 16 << 20,		/* bytes: all strings of one image */
	PE_MAX_ENTROPY = 1 << 29,	/* bytes: looked at by all pe_entropy of one image */
};

/* images.header_state. */
enum pe_header_state {
	PE_HEADER_INTACT,	/* DOS, PE and optional header and section table are sane */
	PE_HEADER_PARTIAL,	/* part of that is damaged or not readable: see damage */
	PE_HEADER_WIPED,	/* the first page is readable and has no PE header */
	PE_HEADER_ABSENT,	/* the first page is not readable */
};
const char *pe_header_state_name(enum pe_header_state state);

/* What is wrong with the headers. */
enum pe_damage {
	PE_DAMAGE_DOS_SIGNATURE = 1 << 0,	/* no MZ */
	PE_DAMAGE_E_LFANEW = 1 << 1,		/* doesn't lead to the PE header; that was found by searching */
	PE_DAMAGE_NT_SIGNATURE = 1 << 2,	/* no PE\0\0 */
	PE_DAMAGE_FILE_HEADER = 1 << 3,		/* unreadable, or no machine we know */
	PE_DAMAGE_OPTIONAL_HEADER = 1 << 4,	/* unreadable, too short, or its sizes and alignments make no sense */
	PE_DAMAGE_SECTION_TABLE = 1 << 5,	/* unreadable, out of order, outside the image, or too long */
};

enum pe_machine {
	PE_MACHINE_I386 = 0x14c,
	PE_MACHINE_ARMNT = 0x1c4,
	PE_MACHINE_AMD64 = 0x8664,
	PE_MACHINE_ARM64 = 0xaa64,
};

enum {
	PE_FILE_RELOCS_STRIPPED = 0x0001,	/* of characteristics */
	PE_FILE_EXECUTABLE_IMAGE = 0x0002,
	PE_FILE_DLL = 0x2000,

	PE_SECTION_CODE = 0x00000020,		/* of pe_section.characteristics */
	PE_SECTION_DISCARDABLE = 0x02000000,
	PE_SECTION_EXECUTE = 0x20000000,
	PE_SECTION_READ = 0x40000000,
	PE_SECTION_WRITE = 0x80000000,
};

enum pe_directory_index {
	PE_DIRECTORY_EXPORT,
	PE_DIRECTORY_IMPORT,
	PE_DIRECTORY_RESOURCE,
	PE_DIRECTORY_EXCEPTION,
	PE_DIRECTORY_SECURITY,		/* certificates: a file offset, never in memory */
	PE_DIRECTORY_RELOCATION,
	PE_DIRECTORY_DEBUG,
	PE_DIRECTORY_ARCHITECTURE,
	PE_DIRECTORY_GLOBAL_POINTER,
	PE_DIRECTORY_TLS,
	PE_DIRECTORY_LOAD_CONFIG,
	PE_DIRECTORY_BOUND_IMPORT,
	PE_DIRECTORY_IAT,
	PE_DIRECTORY_DELAY_IMPORT,
	PE_DIRECTORY_CLR,
	PE_DIRECTORY_RESERVED,
	PE_DIRECTORIES,
};

struct pe_directory { uint32_t rva, size; };

struct pe_section {
	unsigned number;		/* its place in the table, from 0 */
	const char *name;
	uint32_t virtual_address, virtual_size;
	uint32_t raw_offset, raw_size;
	uint32_t characteristics;
};

struct pe_private;

/*
 * The headers. What could not be read is 0; has_* tells that from a true 0. A caller
 * that knows better (the loader's entry for a wiped header, say) may set fields
 * after pe_open and before it asks for other parts.
 */
struct pe {
	enum pe_header_state header_state;
	unsigned damage;		/* enum pe_damage, or-ed */
	enum fault fault;		/* why headers could not be read, if they could not */
	bool has_file_header, has_optional_header, has_section_table;
	bool is_64bit;			/* PE32+ */
	bool rebuilt;			/* what the headers lack was put in from elsewhere: see image_remains.h */

	uint64_t base;			/* where the image lies: VAs in it refer to this */
	uint32_t size_limit;		/* bytes known to be mapped, 0: unknown */

	uint32_t nt_offset;		/* of PE\0\0 */
	uint16_t machine;
	uint32_t timestamp;
	uint16_t characteristics;
	uint64_t image_base;		/* Windows writes the actual base here when it relocates */
	uint32_t entry_point;		/* RVA, 0: none */
	uint32_t section_alignment, file_alignment;
	uint32_t size_of_image, size_of_headers;
	uint32_t checksum;
	uint16_t subsystem, dll_characteristics;
	uint16_t os_major, os_minor, subsystem_major, subsystem_minor;
	struct pe_directory directories[PE_DIRECTORIES];
	GArray *sections;		/* struct pe_section */

	struct pe_private *private;
};

/*
 * The image whose bytes `source` (copied) gives, lying at `base` (0: its preferred
 * base), of which size_limit bytes are mapped (0: unknown). Never fails: what is wrong
 * stands in header_state, damage and fault.
 */
struct pe *pe_open(const struct pe_source *source, uint64_t base, uint32_t size_limit);
void pe_close(struct pe *pe);

/* Read exactly length bytes, through the image's small page cache. FAULT_IMPLAUSIBLE
 * when that isn't within the image; buffer's contents are undefined after a fault. */
enum fault pe_read(struct pe *pe, uint32_t rva, void *buffer, size_t length) G_GNUC_WARN_UNUSED_RESULT;
/* The RVA of an address within the image, by its base, else by its preferred base. */
bool pe_va_to_rva(const struct pe *pe, uint64_t va, uint32_t *rva);
/* The section an RVA lies in, or NULL. */
const struct pe_section *pe_section_at(const struct pe *pe, uint32_t rva);
/* Does any of its sections have a place? */
bool pe_has_sections(const struct pe *pe);
/* Shannon entropy, in bits per byte, of those pages of the range that can be read; a
 * fault, and *entropy untouched, when none can. */
enum fault pe_entropy(struct pe *pe, uint32_t rva, uint32_t length, double *entropy);
/* The same of bytes in hand. */
double byte_entropy(const void *data, size_t length);

struct pe_rich_entry { uint16_t product, build; uint32_t count; };
/* What linkers leave before the PE header. NULL: there is none. */
struct pe_rich {
	uint32_t offset, size;		/* of "DanS" through the key after "Rich" */
	uint32_t key;
	bool checksum_ok;		/* the key is the checksum of DOS header, stub and entries */
	GArray *entries;		/* struct pe_rich_entry */
};
const struct pe_rich *pe_rich(struct pe *pe, enum fault *fault);

struct pe_export {
	const char *name;		/* NULL: by ordinal alone, or its name is not readable */
	bool has_ordinal;		/* false: its entry in the table of ordinals is not readable; nor is rva then */
	uint32_t ordinal;
	uint32_t rva;			/* of the function, or of the forwarder's text; 0: not readable */
	const char *forwarder;		/* "DLL.function" or "DLL.#ordinal", else NULL; "": a forwarder, text not readable */
};
/* struct pe_export: by name in the name table's order, then those without by ordinal. */
const GArray *pe_exports(struct pe *pe, enum fault *fault);
/* The DLL's own name for itself in its export directory; NULL: none. */
const char *pe_export_dll(struct pe *pe);
/* The export with the greatest RVA at or below rva that is no forwarder, or NULL. */
const struct pe_export *pe_nearest_export(struct pe *pe, uint32_t rva);

enum pe_import_kind {
	PE_IMPORT_BY_NAME,
	PE_IMPORT_BY_ORDINAL,
	/* A slot is all that is known: the image has no separate name table (its
	 * OriginalFirstThunk is 0) and the loader wrote over the IAT, or the names
	 * are not readable. */
	PE_IMPORT_UNKNOWN,
};
struct pe_import {
	const char *dll;		/* as spelt in the image; NULL: not readable */
	const char *name;		/* of PE_IMPORT_BY_NAME */
	enum pe_import_kind kind;
	uint16_t ordinal;		/* of PE_IMPORT_BY_ORDINAL */
	uint16_t hint;			/* of PE_IMPORT_BY_NAME */
	uint32_t iat_rva;		/* the slot: 8 bytes when is_64bit, else 4; its value is the caller's to read */
	bool bound;			/* the linker's bind put addresses into the file */
	bool delay;			/* from the delay-load directory */
};
/* struct pe_import: descriptors in their order, then delay-loaded ones. */
const GArray *pe_imports(struct pe *pe, enum fault *fault);
/* Size of an IAT slot in bytes. */
static inline unsigned pe_slot_size(const struct pe *pe) { return pe->is_64bit ? 8 : 4; }
/*
 * The MD5 of the imports in lower-case hex, as pefile computes imphash. NULL without
 * imports, and (with a fault) when a name could not be had, since the hash would be another.
 */
const char *pe_imphash(struct pe *pe, enum fault *fault);
/* The name of an export known by ordinal (ws2_32, wsock32, oleaut32), or NULL. */
const char *pe_ordinal_name(const char *dll, uint16_t ordinal);

enum { PE_RELOCATION_HIGH = 1, PE_RELOCATION_LOW = 2, PE_RELOCATION_HIGHLOW = 3, PE_RELOCATION_DIR64 = 10 };
struct pe_relocation { uint32_t rva; uint16_t type; };
/* struct pe_relocation, padding (type 0) left out, in the directory's order. */
const GArray *pe_relocations(struct pe *pe, enum fault *fault);

/* All addresses are VAs, as the directory has them. */
struct pe_tls {
	uint64_t raw_data_start, raw_data_end;
	uint64_t index;
	uint64_t callback_table;
	uint32_t zero_fill, characteristics;
	GArray *callbacks;		/* uint64_t, up to the terminating 0 */
};
/* NULL: no TLS directory, or (with a fault) not readable. */
const struct pe_tls *pe_tls(struct pe *pe, enum fault *fault);

enum { PE_DEBUG_CODEVIEW = 2, PE_DEBUG_POGO = 13, PE_DEBUG_REPRO = 16, PE_DEBUG_EX_DLL_CHARACTERISTICS = 20 };
struct pe_debug {
	uint32_t type, timestamp;
	uint16_t major, minor;
	uint32_t rva, size, raw_offset;	/* rva 0: the data is in the file alone */
	const char *pdb_name;		/* CodeView */
	/* CodeView: GUID (32 digits) and age in upper-case hex, as in a symbol path; of the old
	 * NB10 form, timestamp (8 digits) and age. */
	const char *guid_age;
	/* POGO: its signature, "LTCG", "PGU" …; REPRO: the hash in lower-case hex. */
	const char *detail;
};
const GArray *pe_debug(struct pe *pe, enum fault *fault);
/* The first CodeView record that could be read, or NULL. */
const struct pe_debug *pe_codeview(struct pe *pe, enum fault *fault);
/* Is TimeDateStamp a hash of what the linker wrote, and no time (link /Brepro)? With a fault that can't be told. */
bool pe_reproducible(struct pe *pe, enum fault *fault);
/* The name of a debug type as dumpbin has it ("cv", "pogo" …), or NULL. */
const char *pe_debug_type_name(uint32_t type);

/* IMAGE_LOAD_CONFIG_DIRECTORY. Tables and pointers are VAs; fields past `size` are 0. */
struct pe_load_config {
	uint32_t size, timestamp;
	uint64_t security_cookie;
	uint64_t seh_table, seh_count;			/* x86: RVAs of handlers, 4 bytes each */
	uint64_t guard_cf_check_pointer, guard_cf_dispatch_pointer;
	uint64_t guard_cf_table, guard_cf_count;
	uint32_t guard_flags;				/* bits 28 to 31: bytes of a table entry past its RVA */
	uint64_t guard_iat_table, guard_iat_count;
	uint64_t guard_long_jump_table, guard_long_jump_count;
	uint64_t dynamic_relocation_table;
	uint32_t dynamic_relocation_offset;
	uint16_t dynamic_relocation_section;
	uint64_t chpe_metadata;
	uint64_t guard_eh_table, guard_eh_count;
};
/* NULL: none, or (with a fault) not readable. */
const struct pe_load_config *pe_load_config(struct pe *pe, enum fault *fault);

/* Sites of the dynamic relocation table (IMAGE_DYNAMIC_RELOCATION_GUARD_IMPORT_CONTROL_TRANSFER, …_INDIR_CONTROL_TRANSFER, …_SWITCHTABLE_BRANCH). */
enum { PE_DYNAMIC_IMPORT = 3, PE_DYNAMIC_INDIRECT = 4, PE_DYNAMIC_SWITCH = 5 };
struct pe_dynamic_site { uint32_t rva; uint64_t symbol; };
/* struct pe_dynamic_site of x64 code; NULL: no table, or (with a fault) none to be read: a running driver's is gone with its relocations. */
const GArray *pe_dynamic_sites(struct pe *pe, enum fault *fault);
/* Is the code at the site as the kernel rewrites it? */
bool pe_dynamic_rewritten(struct pe *pe, const struct pe_dynamic_site *site);

/* RVAs [begin, end). */
struct pe_function { uint32_t begin, end, unwind; };
/* struct pe_function from the exception directory (x64, ARM64), in its order. */
const GArray *pe_functions(struct pe *pe, enum fault *fault);
/* The runtime function that rva lies in; of one split in parts (x64 chained unwind
 * information), the primary part's begin with this part's end. */
bool pe_function_at(struct pe *pe, uint32_t rva, struct pe_function *function);

/* IMAGE_COR20_HEADER. */
struct pe_clr {
	uint16_t runtime_major, runtime_minor;
	struct pe_directory metadata;
	uint32_t flags, entry_point;
};
/* NULL: no .NET image, or (with a fault) not readable. */
const struct pe_clr *pe_clr(struct pe *pe, enum fault *fault);

enum { PE_RESOURCE_VERSION = 16, PE_RESOURCE_MANIFEST = 24 };
struct pe_resource {
	const char *type_name, *name;	/* NULL: by number */
	uint32_t type, id, language;
	uint32_t rva, size, code_page;
};
const GArray *pe_resources(struct pe *pe, enum fault *fault);
/* The name of a predefined resource type ("RT_VERSION" …), or NULL. */
const char *pe_resource_type_name(uint32_t type);

struct pe_version_string { const char *language, *key, *value; };	/* language: "040904B0" */
struct pe_version_info {
	const char *file_version, *product_version;	/* "a.b.c.d" of VS_FIXEDFILEINFO; NULL: none */
	uint32_t file_flags, file_os, file_type;
	/* Of the first string table; NULL: none. */
	const char *original_filename, *company_name, *product_name, *file_description, *internal_name;
	const char *legal_copyright, *file_version_text, *product_version_text;
	GArray *strings;				/* struct pe_version_string, all of them */
};
/* The first VERSIONINFO resource. NULL: none, or (with a fault) not readable. */
const struct pe_version_info *pe_version_info(struct pe *pe, enum fault *fault);

/*
 * A PE file's bytes laid out as a loader would: headers, then each section at its RVA,
 * zeros between. Nothing is relocated or bound. Bytes outside fault (FAULT_UNMAPPED).
 */
struct pe_file;
/* data stays the caller's and must outlive the pe_file. NULL: no section table could be read. */
struct pe_file *pe_file_create(const void *data, size_t length);
void pe_file_destroy(struct pe_file *file);
struct pe_source pe_file_source(struct pe_file *file);
uint32_t pe_file_size_of_image(const struct pe_file *file);
#endif
