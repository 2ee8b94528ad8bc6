/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the PE parser share; nobody else includes this. */
#ifndef MEMSIEVE_PE_PRIVATE_H
#define MEMSIEVE_PE_PRIVATE_H
#include "bytes.h"
#include "pe.h"

enum { PE_PAGE = 4096, PE_CACHED_PAGES = 16 };

/* A part is parsed once; what came of it, and the fault, stay. */
enum pe_part {
	PE_PART_RICH, PE_PART_EXPORTS, PE_PART_IMPORTS, PE_PART_IMPHASH, PE_PART_RELOCATIONS, PE_PART_TLS,
	PE_PART_DEBUG, PE_PART_LOAD_CONFIG, PE_PART_FUNCTIONS, PE_PART_CLR, PE_PART_RESOURCES, PE_PART_VERSION, PE_PART_DYNAMIC,
	PE_PARTS,
};

struct pe_private {
	struct pe_source source;
	struct { bool valid; enum fault fault; uint32_t number; uint8_t bytes[PE_PAGE]; } pages[PE_CACHED_PAGES];
	struct { bool done; enum fault fault; const void *value; } parts[PE_PARTS];
	GPtrArray *arrays, *blocks;	/* GArray *, and plain memory, that pe_close frees */
	GStringChunk *text;
	size_t text_left;		/* of PE_MAX_TEXT */
	enum fault import_fault;	/* the first of the import directory without the delay-load one that is no FAULT_IMPLAUSIBLE */
	bool names_lost;		/* a slot of the import directory has no name any more */
	const char *export_dll;
	uint64_t entropy_left;		/* of PE_MAX_ENTROPY */
	bool functions_sorted;
};

/* Parse a part into *value (NULL stays for "there is none"); the first fault met. */
typedef enum fault (*pe_parser)(struct pe *pe, const void **value);
const void *pe_part(struct pe *pe, enum pe_part part, pe_parser parse, enum fault *fault);

GArray *pe_new_array(struct pe *pe, size_t element_size);
void *pe_new_block(struct pe *pe, size_t size);		/* zeroed */

/* Keep text, made valid UTF-8; NULL when the image's strings exceed PE_MAX_TEXT. */
const char *pe_keep_text(struct pe *pe, const char *bytes, size_t length);
/* The same of length bytes of UTF-16LE; it ends at a NUL. */
const char *pe_keep_utf16(struct pe *pe, const uint8_t *bytes, size_t length);
/*
 * The NUL-terminated text at rva, at most limit (<= PE_MAX_SYMBOL) bytes: longer text
 * is cut, with FAULT_LIMIT. NULL after any other fault.
 */
enum fault pe_read_text(struct pe *pe, uint32_t rva, size_t limit, const char **text);
/* Read a range as far as it goes: pages that can't be read become 0. The first fault. */
enum fault pe_read_holes(struct pe *pe, uint32_t rva, void *buffer, size_t length);
/* The first resource of a type given by number; false: none, or (with a fault) not readable. */
bool pe_first_resource(struct pe *pe, uint32_t type, struct pe_resource *resource, enum fault *fault);
/* How far RVAs can reach: the mapped size, or what the header claims. */
uint32_t pe_extent(const struct pe *pe);

/* Note a fault in *first if it is the first. */
static inline void pe_note(enum fault *first, enum fault fault)
{
	if (*first == FAULT_NONE)
		*first = fault;
}

/* True: rva + index * width is still an RVA, and *at is it. */
static inline bool pe_element(uint32_t rva, uint64_t index, unsigned width, uint32_t *at)
{
	uint64_t sum = rva + index * width;

	*at = (uint32_t)sum;
	return sum <= UINT32_MAX;
}
#endif
