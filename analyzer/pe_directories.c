/* SPDX-License-Identifier: Apache-2.0 */
/* The smaller directories: relocations, TLS, load config, .NET header, exception table. */
#include <stdlib.h>
#include <string.h>
#include "pe_private.h"
#include "limit.h"

/* ---- base relocations ---- */

enum {
	RELOCATION_ABSOLUTE = 0,	/* padding */
	RELOCATION_HIGHADJ = 4,		/* takes the next word as its operand */
	RELOCATION_BLOCKS_MAX = FIXED_pe_relocation_blocks,
};

/* The entries of one block; they cover [at, at + size). *visited counts padding too, of
 * which a block may consist. */
static enum fault read_relocation_block(struct pe *pe, uint32_t page, uint32_t at, uint32_t size, uint32_t *visited,
					GArray *relocations)
{
	bool operand = false;

	for (uint32_t i = 0; i + 2 <= size; i += 2) {
		uint8_t buffer[2];
		struct bytes b = { buffer, sizeof buffer, false };
		struct pe_relocation relocation;
		enum fault fault;
		uint16_t entry;
		uint32_t entry_at;

		if ((*visited)++ == PE_MAX_RELOCATIONS)
			return FAULT_LIMIT;
		if (!pe_element(at, i, 1, &entry_at))
			return FAULT_IMPLAUSIBLE;
		fault = pe_read(pe, entry_at, buffer, sizeof buffer);
		if (fault != FAULT_NONE)
			return fault;
		entry = bytes_u16(&b);
		relocation.type = entry >> 12;
		if (operand || relocation.type == RELOCATION_ABSOLUTE) {
			operand = false;
			continue;
		}
		operand = relocation.type == RELOCATION_HIGHADJ;
		if (!pe_element(page, entry & 0xfff, 1, &relocation.rva))
			return FAULT_IMPLAUSIBLE;
		g_array_append_val(relocations, relocation);
	}
	return FAULT_NONE;
}

static enum fault parse_relocations(struct pe *pe, const void **value)
{
	const struct pe_directory *directory = &pe->directories[PE_DIRECTORY_RELOCATION];
	GArray *relocations = pe_new_array(pe, sizeof(struct pe_relocation));
	enum fault first = FAULT_NONE;
	uint32_t visited = 0;
	uint64_t offset = 0;

	*value = relocations;
	if (!directory->rva)
		return FAULT_NONE;
	for (unsigned blocks = 0; offset + 8 <= directory->size; blocks++) {
		uint8_t buffer[8];
		struct bytes b = { buffer, sizeof buffer, false };
		enum fault fault = FAULT_IMPLAUSIBLE;
		uint32_t at, page, size;

		if (blocks == RELOCATION_BLOCKS_MAX) {
			pe_note(&first, FAULT_LIMIT);
			break;
		}
		if (pe_element(directory->rva, offset, 1, &at))
			fault = pe_read(pe, at, buffer, sizeof buffer);
		if (fault != FAULT_NONE) {
			pe_note(&first, fault);
			break;
		}
		page = bytes_u32(&b);
		size = bytes_u32(&b);
		if (!page && !size)	/* padding up to the directory's size */
			break;
		if (size < 8 || size > directory->size - offset) {
			pe_note(&first, FAULT_IMPLAUSIBLE);
			break;
		}
		fault = pe_element(at, 8, 1, &at) ? read_relocation_block(pe, page, at, size - 8, &visited, relocations)
						  : FAULT_IMPLAUSIBLE;
		pe_note(&first, fault);
		if (fault == FAULT_LIMIT)
			break;
		offset += size;
	}
	return first;
}

const GArray *pe_relocations(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_RELOCATIONS, parse_relocations, fault);
}

/* ---- TLS ---- */

static enum fault read_tls_callbacks(struct pe *pe, struct pe_tls *tls)
{
	unsigned width = pe->is_64bit ? 8 : 4;
	uint32_t table;

	if (!tls->callback_table)
		return FAULT_NONE;
	if (!pe_va_to_rva(pe, tls->callback_table, &table))
		return FAULT_IMPLAUSIBLE;
	for (uint32_t i = 0; ; i++) {
		uint8_t buffer[8];
		struct bytes b = { buffer, width, false };
		enum fault fault = FAULT_IMPLAUSIBLE;
		uint64_t callback;
		uint32_t at;

		if (pe_element(table, i, width, &at))
			fault = pe_read(pe, at, buffer, width);
		if (fault != FAULT_NONE)
			return fault;
		callback = bytes_le(&b, width);
		if (!callback)
			return FAULT_NONE;
		if (i == PE_MAX_TLS_CALLBACKS)
			return FAULT_LIMIT;
		g_array_append_val(tls->callbacks, callback);
	}
}

static enum fault parse_tls(struct pe *pe, const void **value)
{
	uint32_t rva = pe->directories[PE_DIRECTORY_TLS].rva;
	unsigned width = pe->is_64bit ? 8 : 4;
	uint8_t buffer[4 * 8 + 8];
	struct bytes b = { buffer, 4 * width + 8, false };
	struct pe_tls *tls;
	enum fault fault;

	if (!rva)
		return FAULT_NONE;
	fault = pe_read(pe, rva, buffer, b.n);
	if (fault != FAULT_NONE)
		return fault;
	tls = pe_new_block(pe, sizeof *tls);
	tls->callbacks = pe_new_array(pe, sizeof(uint64_t));
	tls->raw_data_start = bytes_le(&b, width);
	tls->raw_data_end = bytes_le(&b, width);
	tls->index = bytes_le(&b, width);
	tls->callback_table = bytes_le(&b, width);
	tls->zero_fill = bytes_u32(&b);
	tls->characteristics = bytes_u32(&b);
	*value = tls;
	return read_tls_callbacks(pe, tls);
}

const struct pe_tls *pe_tls(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_TLS, parse_tls, fault);
}

/* ---- load config ---- */

/* Offsets in IMAGE_LOAD_CONFIG_DIRECTORY32 and 64, winnt.h of SDK 10.0.22621. */
static enum fault parse_load_config(struct pe *pe, const void **value)
{
	const struct pe_directory *directory = &pe->directories[PE_DIRECTORY_LOAD_CONFIG];
	uint8_t buffer[320] = { 0 };
	struct bytes b = { buffer, sizeof buffer, false };
	unsigned width = pe->is_64bit ? 8 : 4;
	bool wide = pe->is_64bit;
	struct pe_load_config *config;
	enum fault fault;
	uint32_t size;

	if (!directory->rva)
		return FAULT_NONE;
	fault = pe_read(pe, directory->rva, buffer, 4);
	if (fault != FAULT_NONE)
		return fault;
	/* The loader goes by the structure's own size; x86 directories say 64 for XP's sake. */
	size = bytes_u32(&b);
	if (size < 8)
		return FAULT_IMPLAUSIBLE;
	fault = pe_read_holes(pe, directory->rva, buffer, MIN(size, sizeof buffer));
	config = pe_new_block(pe, sizeof *config);
	config->size = size;
	config->timestamp = bytes_u32(&b);
	bytes_take(&b, wide ? 80 : 52);
	config->security_cookie = bytes_le(&b, width);
	config->seh_table = bytes_le(&b, width);
	config->seh_count = bytes_le(&b, width);
	config->guard_cf_check_pointer = bytes_le(&b, width);
	config->guard_cf_dispatch_pointer = bytes_le(&b, width);
	config->guard_cf_table = bytes_le(&b, width);
	config->guard_cf_count = bytes_le(&b, width);
	config->guard_flags = bytes_u32(&b);
	bytes_take(&b, 12);		/* code integrity */
	config->guard_iat_table = bytes_le(&b, width);
	config->guard_iat_count = bytes_le(&b, width);
	config->guard_long_jump_table = bytes_le(&b, width);
	config->guard_long_jump_count = bytes_le(&b, width);
	config->dynamic_relocation_table = bytes_le(&b, width);
	config->chpe_metadata = bytes_le(&b, width);
	bytes_take(&b, 2 * width);	/* return-flow guard */
	config->dynamic_relocation_offset = bytes_u32(&b);
	config->dynamic_relocation_section = bytes_u16(&b);
	bytes_take(&b, 2 + width + 8 + 2 * width);	/* return-flow guard, hot patch, enclave, volatile metadata */
	config->guard_eh_table = bytes_le(&b, width);
	config->guard_eh_count = bytes_le(&b, width);
	*value = config;
	return fault;
}

const struct pe_load_config *pe_load_config(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_LOAD_CONFIG, parse_load_config, fault);
}

/* ---- .NET ---- */

static enum fault parse_clr(struct pe *pe, const void **value)
{
	uint32_t rva = pe->directories[PE_DIRECTORY_CLR].rva;
	uint8_t buffer[24];
	struct bytes b = { buffer, sizeof buffer, false };
	struct pe_clr *clr;
	enum fault fault;

	if (!rva)
		return FAULT_NONE;
	fault = pe_read(pe, rva, buffer, sizeof buffer);
	if (fault != FAULT_NONE)
		return fault;
	clr = pe_new_block(pe, sizeof *clr);
	bytes_take(&b, 4);		/* size */
	clr->runtime_major = bytes_u16(&b);
	clr->runtime_minor = bytes_u16(&b);
	clr->metadata.rva = bytes_u32(&b);
	clr->metadata.size = bytes_u32(&b);
	clr->flags = bytes_u32(&b);
	clr->entry_point = bytes_u32(&b);
	*value = clr;
	return FAULT_NONE;
}

const struct pe_clr *pe_clr(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_CLR, parse_clr, fault);
}

/* ---- runtime functions ---- */

enum { UNWIND_CHAINED = 4, UNWIND_CHAIN_MAX = FIXED_pe_unwind_chain };

/* x64: begin, end, unwind information. */
static enum fault read_function_x64(struct pe *pe, uint32_t at, struct pe_function *function)
{
	uint8_t buffer[12];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault = pe_read(pe, at, buffer, sizeof buffer);

	if (fault != FAULT_NONE)
		return fault;
	function->begin = bytes_u32(&b);
	function->end = bytes_u32(&b);
	function->unwind = bytes_u32(&b);
	return FAULT_NONE;
}

/* ARM64: begin, and the length packed with the unwind codes or in .xdata. */
static enum fault read_function_arm64(struct pe *pe, uint32_t at, struct pe_function *function)
{
	uint8_t buffer[8];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault = pe_read(pe, at, buffer, sizeof buffer);
	uint32_t words;

	if (fault != FAULT_NONE)
		return fault;
	function->begin = bytes_u32(&b);
	function->unwind = bytes_u32(&b);
	if (!function->begin)
		return FAULT_NONE;
	if (function->unwind & 3) {
		words = function->unwind >> 2 & 0x7ff;
	} else {
		b = (struct bytes){ buffer, 4, false };
		fault = pe_read(pe, function->unwind, buffer, 4);
		words = fault == FAULT_NONE ? bytes_u32(&b) & 0x3ffff : 0;
	}
	if (!pe_element(function->begin, words, 4, &function->end))
		return FAULT_IMPLAUSIBLE;
	return fault;
}

static enum fault parse_functions(struct pe *pe, const void **value)
{
	const struct pe_directory *directory = &pe->directories[PE_DIRECTORY_EXCEPTION];
	GArray *functions = pe_new_array(pe, sizeof(struct pe_function));
	bool x64 = pe->machine == PE_MACHINE_AMD64;
	unsigned width = x64 ? 12 : 8;
	uint32_t count = directory->size / width, last = 0;
	enum fault first = FAULT_NONE;

	*value = functions;
	pe->private->functions_sorted = true;
	if (!directory->rva || (!x64 && pe->machine != PE_MACHINE_ARM64))
		return FAULT_NONE;
	if (count > PE_MAX_FUNCTIONS) {
		count = PE_MAX_FUNCTIONS;
		pe_note(&first, FAULT_LIMIT);
	}
	for (uint32_t i = 0; i < count; i++) {
		struct pe_function function = { 0 };
		enum fault fault = FAULT_IMPLAUSIBLE;
		uint32_t at;

		if (pe_element(directory->rva, i, width, &at))
			fault = x64 ? read_function_x64(pe, at, &function) : read_function_arm64(pe, at, &function);
		pe_note(&first, fault);
		if (fault == FAULT_IMPLAUSIBLE)
			break;
		if (!function.begin)	/* not readable, or padding */
			continue;
		if (function.begin < last)
			pe->private->functions_sorted = false;
		last = function.begin;
		g_array_append_val(functions, function);
	}
	return first;
}

const GArray *pe_functions(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_FUNCTIONS, parse_functions, fault);
}

static int compare_function(const void *key, const void *element)
{
	uint32_t rva = *(const uint32_t *)key;
	const struct pe_function *function = element;

	return rva < function->begin ? -1 : rva >= function->end ? 1 : 0;
}

/* Follow chained unwind information to the primary part; unchanged where it can't be read. */
static uint32_t primary_begin(struct pe *pe, struct pe_function function)
{
	for (int i = 0; i < UNWIND_CHAIN_MAX; i++) {
		uint8_t header[4];
		uint32_t at = function.unwind & ~UINT32_C(1);

		/* Bit 0: not unwind information but another runtime function. */
		if (!(function.unwind & 1)) {
			if (pe_read(pe, at, header, sizeof header) != FAULT_NONE || !(header[0] >> 3 & UNWIND_CHAINED) ||
			    !pe_element(at, 4 + 2 * ((header[2] + 1u) & ~1u), 1, &at))
				break;
		}
		if (read_function_x64(pe, at, &function) != FAULT_NONE)
			break;
	}
	return function.begin;
}

bool pe_function_at(struct pe *pe, uint32_t rva, struct pe_function *function)
{
	const GArray *functions = pe_functions(pe, NULL);
	const struct pe_function *found = NULL;

	if (!functions->len)
		return false;
	if (pe->private->functions_sorted)
		found = bsearch(&rva, functions->data, functions->len, sizeof *found, compare_function);
	for (guint i = 0; !pe->private->functions_sorted && !found && i < functions->len; i++) {
		const struct pe_function *f = &g_array_index(functions, struct pe_function, i);

		if (compare_function(&rva, f) == 0)
			found = f;
	}
	if (!found)
		return false;
	*function = *found;
	if (pe->machine == PE_MACHINE_AMD64) {
		uint32_t begin = primary_begin(pe, *found);

		if (begin)
			function->begin = begin;
	}
	return true;
}
