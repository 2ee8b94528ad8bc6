/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the plugin `images`. */
#include "images.h"

const struct table table_images = {
	.name = "images", .key = "image_id",
	.doc = "PE images in memory: of modules, drivers and image mappings, and headers found elsewhere. Exports, resources, debug "
	       "records and import names of one section are stored once, with the first image of it: that is same_as, or the image itself "
	       "where same_as is NULL (JOIN image_exports e ON e.image_id = coalesce(i.same_as, i.image_id))",
	.indices = (const char *const[]){ "base", "process_id, base", NULL },
	.columns = {
		[I_DUMP] = { "dump_id", COL_DUMP, "" },
		[I_PROCESS] = { "process_id", COL_PROCESS, "NULL in the kernel" },
		[I_VAD] = { "vad_id", COL_REF, "the memory it lies in", "vads" },
		[I_SAME_AS] = { "same_as", COL_REF, "the first image of the same section, if this isn't it", "images" },
		[I_BASE] = { "base", COL_ADDRESS, "" },
		[I_SIZE] = { "size", COL_INT, "bytes mapped" },
		[I_PATH] = { "path", COL_TEXT, "of the file mapped, else the loader's" },
		[I_FOUND_BY] = { "found_by", COL_TEXT, "loader, vad (mapped, but in no loader list), header (in private or mapped memory), "
				 "remains (the same, its header gone), driver" },
		[I_HEADER_STATE] = { "header_state", COL_TEXT, "intact, partial, wiped (readable, but no PE header), absent (not readable)" },
		[I_HEADER_DAMAGE] = { "header_damage", COL_TEXT, "which parts are damaged" },
		[I_REBUILT_FROM] = { "rebuilt_from", COL_TEXT, "what the headers lack was told from this: section_object (the memory manager's own of the file), functions, "
				     "relocations, imports, exports, protections of pages" },
		[I_MACHINE] = { "machine", COL_INT, "34404 x64, 332 x86, 43620 ARM64" },
		[I_IS_64BIT] = { "is_64bit", COL_BOOL, "PE32+" },
		[I_TIMESTAMP] = { "timestamp", COL_INT, "TimeDateStamp" },
		[I_REPRODUCIBLE] = { "reproducible", COL_BOOL, "its debug directory says that TimeDateStamp is a hash of what it was built of, and no time; NULL: "
				     "not all of that directory is in memory" },
		[I_PREFERRED_BASE] = { "preferred_base", COL_ADDRESS, "ImageBase of the header; Windows writes the actual one there" },
		[I_ENTRY] = { "entry_point", COL_ADDRESS, "NULL: none" },
		[I_SIZE_OF_IMAGE] = { "size_of_image", COL_INT, "" },
		[I_CHECKSUM] = { "checksum", COL_INT, "" },
		[I_SUBSYSTEM] = { "subsystem", COL_INT, "" },
		[I_CHARACTERISTICS] = { "characteristics", COL_INT, "" },
		[I_IS_DLL] = { "is_dll", COL_BOOL, "" },
		[I_IS_DOTNET] = { "is_dotnet", COL_BOOL, "it has a .NET header" },
		[I_PDB_NAME] = { "pdb_name", COL_TEXT, "" },
		[I_PDB_GUID_AGE] = { "pdb_guid_age", COL_TEXT, "as in a symbol path" },
		[I_ORIGINAL_FILENAME] = { "original_filename", COL_TEXT, "" },
		[I_COMPANY] = { "company_name", COL_TEXT, "" },
		[I_PRODUCT] = { "product_name", COL_TEXT, "" },
		[I_FILE_VERSION] = { "file_version", COL_TEXT, "" },
		[I_DESCRIPTION] = { "file_description", COL_TEXT, "" },
		[I_IMPORT_HASH] = { "import_hash", COL_TEXT, "imphash" },
		[I_SHA256] = { "sha256", COL_TEXT, "of headers and sections that are neither writable nor discardable, relocated to base 0, import "
			       "slots and guard pointers zeroed, of drivers calls of imports as the file has them; NULL unless every byte of it is in the dump" },
		[I_IMPORTS_BOUND] = { "imports_bound", COL_BOOL, "import slots hold addresses: it was loaded to run" },
		[I_RELOCATIONS_KNOWN] = { "relocations_known", COL_BOOL, "its relocations could be undone: hashes of pages are those of the file, wherever it "
					  "lies; else they are comparable where the base is the same" },
		[I_RELOCATIONS_FROM] = { "relocations_from", COL_TEXT, "table (its own), addresses (the table isn't in memory: all values in a 64-bit image that "
					 "are addresses within it); NULL: it has none, or they aren't known" },
		[I_DIRECT_CALLS] = { "direct_import_calls", COL_INT, "in executable sections: calls of imports that the kernel made direct when it loaded the driver "
				     "(import optimisation, retpolines); they are no modification" },
		[I_DYNAMIC_SITES] = { "dynamic_sites", COL_INT, "of a driver: places in its code that its dynamic relocation table names, which the kernel may rewrite "
				      "(imports, retpolines); NULL: no table, or it isn't in memory any more" },
		[I_DYNAMIC_REWRITTEN] = { "dynamic_sites_rewritten", COL_INT, "of those, the ones that are: they are no modification" },
		[I_PAGES] = { "pages", COL_INT, "mapped" },
		[I_PAGES_PRESENT] = { "pages_present", COL_INT, "in physical memory, of this process or of the section" },
		[I_PAGES_PRIVATE] = { "pages_private", COL_INT, "private copies" },
		[I_PAGES_MODIFIED] = { "pages_modified", COL_INT, "private copies of pages that nobody should write to, that differ from the original" },
	},
};

const struct table table_image_sections = {
	.name = "image_sections", .doc = "sections of images",
	.columns = {
		[S_IMAGE] = { "image_id", COL_REF, "", "images" },
		[S_NUMBER] = { "number", COL_INT, "from 0" },
		[S_NAME] = { "name", COL_TEXT, "" },
		[S_ADDRESS] = { "virtual_address", COL_ADDRESS, "relative to the base" },
		[S_SIZE] = { "virtual_size", COL_INT, "" },
		[S_RAW_OFFSET] = { "raw_offset", COL_INT, "" },
		[S_RAW_SIZE] = { "raw_size", COL_INT, "" },
		[S_CHARACTERISTICS] = { "characteristics", COL_INT, "" },
		[S_ENTROPY] = { "entropy", COL_REAL, "bits a byte, of the section's original pages in memory" },
		[S_PRESENT] = { "pages_present", COL_INT, "in physical memory" },
		[S_PRIVATE] = { "pages_private", COL_INT, "private copies" },
		[S_MODIFIED] = { "pages_modified", COL_INT, "private copies that differ from the original; 0 for writable sections" },
		[S_HASHES] = { "page_hashes", COL_BLOB, "of executable sections that aren't writable: for each page the first 8 bytes of the SHA-1 of its bytes, "
			       "relocated to base 0, import slots zeroed; zeros: not in the dump. Of the first image of a section, and of drivers" },
	},
};

const struct table table_image_imports = {
	.name = "image_imports",
	.doc = "import slots: all of the first image of a section; of its other images those alone whose value differs from the first one's "
	       "(or can't be compared, and leads to no module)",
	.columns = {
		[M_IMAGE] = { "image_id", COL_REF, "", "images" },
		[M_DLL] = { "dll", COL_TEXT, "as the image spells it" },
		[M_NAME] = { "name", COL_TEXT, "NULL: by ordinal, or not known" },
		[M_ORDINAL] = { "ordinal", COL_INT, "" },
		[M_DELAY] = { "delay", COL_BOOL, "bound when first called" },
		[M_IAT] = { "iat_address", COL_ADDRESS, "of the slot" },
		[M_TARGET] = { "target", COL_ADDRESS, "what the slot holds" },
		[M_TARGET_MODULE] = { "target_module", COL_TEXT, "where that lies; NULL: in none" },
	},
};

const struct table table_image_exports = {
	.name = "image_exports", .doc = "exports, once for each section: see images.same_as",
	.columns = {
		[E_IMAGE] = { "image_id", COL_REF, "", "images" },
		[E_ORDINAL] = { "ordinal", COL_INT, "" },
		[E_NAME] = { "name", COL_TEXT, "NULL: by ordinal alone" },
		[E_ADDRESS] = { "address", COL_ADDRESS, "in this image; NULL: forwarded" },
		[E_RVA] = { "rva", COL_ADDRESS, "relative to the base" },
		[E_FORWARDER] = { "forwarder", COL_TEXT, "DLL.function" },
	},
};

const struct table table_image_tls_callbacks = {
	.name = "image_tls_callbacks", .doc = "functions that run before the entry point",
	.columns = {
		[T_IMAGE] = { "image_id", COL_REF, "", "images" },
		[T_ADDRESS] = { "address", COL_ADDRESS, "" },
	},
};

const struct table table_image_patches = {
	.name = "image_patches", .doc = "where a process's private copy of an image page differs from the section's page; and where import slots of images and drivers, and the "
	       "first bytes of drivers' functions, lead elsewhere than they should",
	.indices = (const char *const[]){ "image_id, address", NULL },
	.columns = {
		[P_IMAGE] = { "image_id", COL_REF, "", "images" },
		[P_ADDRESS] = { "address", COL_ADDRESS, "" },
		[P_LENGTH] = { "length", COL_INT, "bytes" },
		[P_SECTION] = { "section", COL_TEXT, "" },
		[P_FUNCTION] = { "function", COL_TEXT, "the export at or before it, or sub_ and the runtime function's RVA; of an import slot DLL!name" },
		[P_FUNCTION_OFFSET] = { "function_offset", COL_INT, "from that function's start; negative: the room before it was written to as well" },
		[P_ORIGINAL] = { "original", COL_BLOB, "at most 512 bytes; NULL: no original is in the dump" },
		[P_CURRENT] = { "current", COL_BLOB, "at most 512 bytes" },
		[P_CHANGED_BITS] = { "changed_bits", COL_INT, "how many bits differ: one may be a memory error" },
		[P_FRAME_BITS] = { "frame_bits", COL_INT, "where a large part differs, in how many bits the page's frame number differs from the original's: "
				   "one may be an error in the page table" },
		[P_KIND] = { "kind", COL_TEXT, "inline_hook, return, breakpoint, nop, patch, stomped (a large part is other code), data (no code there), "
			     "header, unknown (private and executable, with no original to compare to), import_hook (an import slot leads elsewhere than to "
			     "what it names: original is what the loader would put there, NULL if that isn't known), export_hook (an entry of the export "
			     "table leads elsewhere), pointer_hook (an address in read-only data, a table of methods or a guard pointer, leads elsewhere)" },
		[P_TARGET] = { "target", COL_ADDRESS, "where the new code leads, jumps to jumps followed" },
		[P_TARGET_MODULE] = { "target_module", COL_TEXT, "the module that lies in; NULL: none" },
		[P_DISASSEMBLY] = { "disassembly", COL_TEXT, "the new instructions" },
		[P_HASHES] = { "page_hashes", COL_BLOB, "where kind is unknown: as image_sections.page_hashes, to compare with other dumps" },
	},
};

const struct table table_system_call_stubs = {
	.name = "system_call_stubs",
	.doc = "functions that do nothing but enter the kernel (of ntdll, win32u and copies of them): all of the first image of a section; of its "
	       "other images those alone that were changed",
	.columns = {
		[C_IMAGE] = { "image_id", COL_REF, "", "images" },
		[C_NAME] = { "name", COL_TEXT, "Nt…" },
		[C_NUMBER] = { "number", COL_INT, "of the system call, as the original has it" },
		[C_NUMBER_FROM] = { "number_from", COL_TEXT, "stub (it is as it was), original (of the section), neighbours (no original is in the dump: "
				    "from the stubs before and after)" },
		[C_PLACE] = { "place", COL_INT, "in the order of addresses, from 0" },
		[C_ADDRESS] = { "address", COL_ADDRESS, "" },
		[C_HOOKED] = { "hooked", COL_BOOL, "its first bytes differ from the original, or (without one) are no stub's" },
		[C_CHANGED_BITS] = { "changed_bits", COL_INT, "how many bits differ: one may be a memory error" },
		[C_CURRENT_NUMBER] = { "current_number", COL_INT, "if it still is a stub" },
		[C_CURRENT] = { "current", COL_BLOB, "its first 16 bytes, if hooked" },
		[C_TARGET] = { "target", COL_ADDRESS, "where it leads" },
		[C_TARGET_MODULE] = { "target_module", COL_TEXT, "the module that lies in; NULL: none" },
	},
};

const struct table table_image_resources = {
	.name = "image_resources", .doc = "resources, once for each section: see images.same_as",
	.columns = {
		[R_IMAGE] = { "image_id", COL_REF, "", "images" },
		[R_TYPE] = { "type", COL_TEXT, "RT_… or the image's own name or number" },
		[R_NAME] = { "name", COL_TEXT, "name or number" },
		[R_LANGUAGE] = { "language", COL_INT, "" },
		[R_ADDRESS] = { "address", COL_ADDRESS, "" },
		[R_SIZE] = { "size", COL_INT, "" },
	},
};

const struct table table_image_debug = {
	.name = "image_debug", .doc = "debug directory, once for each section: see images.same_as",
	.columns = {
		[D_IMAGE] = { "image_id", COL_REF, "", "images" },
		[D_TYPE] = { "type", COL_TEXT, "" },
		[D_TIMESTAMP] = { "timestamp", COL_INT, "" },
		[D_ADDRESS] = { "address", COL_ADDRESS, "NULL: in the file alone" },
		[D_SIZE] = { "size", COL_INT, "" },
		[D_PDB_NAME] = { "pdb_name", COL_TEXT, "" },
		[D_GUID_AGE] = { "pdb_guid_age", COL_TEXT, "" },
		[D_DETAIL] = { "detail", COL_TEXT, "" },
	},
};
