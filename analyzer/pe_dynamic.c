/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IMAGE_DYNAMIC_RELOCATION_TABLE (winnt.h): where the kernel may rewrite a driver's code when it loads it, by what the processor needs: calls of
 * imports made direct, and retpolines for calls and jumps through registers. Only version 1 is in use.
 */
#include "pe_private.h"

enum { TABLE_HEADER = 8, BLOCK_HEADER = 8 };

/* The entries of one kind: blocks as those of base relocations, with entries of two or (imports) four bytes whose low twelve bits are the offset. */
static enum fault read_blocks(struct pe *pe, uint32_t at, uint32_t size, uint64_t symbol, GArray *sites)
{
	unsigned width = symbol == PE_DYNAMIC_IMPORT ? 4 : 2;
	uint32_t done = 0;

	while (size - done >= BLOCK_HEADER) {
		uint8_t raw[BLOCK_HEADER];
		struct bytes b = { raw, sizeof raw, false };
		uint32_t where;
		enum fault fault = pe_element(at, done, 1, &where) ? pe_read(pe, where, raw, sizeof raw) : FAULT_IMPLAUSIBLE;

		if (fault != FAULT_NONE)
			return fault;
		uint32_t page = bytes_u32(&b), block = bytes_u32(&b);
		if (block < BLOCK_HEADER || block > size - done)
			return FAULT_IMPLAUSIBLE;
		for (uint32_t i = BLOCK_HEADER; i + width <= block; i += width) {
			uint8_t entry[4];
			struct bytes e = { entry, width, false };
			struct pe_dynamic_site site = { .symbol = symbol };
			uint32_t entry_at;

			if (sites->len >= PE_MAX_RELOCATIONS)
				return FAULT_LIMIT;
			fault = pe_element(where, i, 1, &entry_at) ? pe_read(pe, entry_at, entry, width) : FAULT_IMPLAUSIBLE;
			if (fault != FAULT_NONE)
				return fault;
			uint32_t value = (uint32_t)bytes_le(&e, width);
			if (!value)	/* padding */
				continue;
			if (!pe_element(page, value & 0xfff, 1, &site.rva))
				return FAULT_IMPLAUSIBLE;
			g_array_append_val(sites, site);
		}
		done += block;
	}
	return FAULT_NONE;
}

static bool table_at(struct pe *pe, uint32_t *at)
{
	const struct pe_load_config *config = pe_load_config(pe, NULL);

	if (!config)
		return false;
	if (config->dynamic_relocation_section && config->dynamic_relocation_section <= pe->sections->len) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, config->dynamic_relocation_section - 1u);
		return pe_element(s->virtual_address, config->dynamic_relocation_offset, 1, at);
	}
	return config->dynamic_relocation_table && pe_va_to_rva(pe, config->dynamic_relocation_table, at);
}

static enum fault parse_dynamic(struct pe *pe, const void **value)
{
	unsigned width = pe_slot_size(pe), header = width + 4;
	uint8_t raw[12];
	struct bytes b = { raw, TABLE_HEADER, false };
	uint32_t at, done = 0;

	if (!table_at(pe, &at))
		return FAULT_NONE;
	enum fault fault = pe_read(pe, at, raw, TABLE_HEADER);
	if (fault != FAULT_NONE)
		return fault;
	uint32_t version = bytes_u32(&b), size = bytes_u32(&b);
	if (version != 1 || size > pe_extent(pe))
		return FAULT_IMPLAUSIBLE;
	GArray *sites = pe_new_array(pe, sizeof(struct pe_dynamic_site));
	*value = sites;
	while (size - done >= header) {
		uint32_t entry;
		b = (struct bytes){ raw, header, false };
		fault = pe_element(at, TABLE_HEADER + (uint64_t)done, 1, &entry) ? pe_read(pe, entry, raw, header) : FAULT_IMPLAUSIBLE;
		if (fault != FAULT_NONE)
			return fault;
		uint64_t symbol = bytes_le(&b, width);
		uint32_t length = bytes_u32(&b);
		if (length > size - done - header)
			return FAULT_IMPLAUSIBLE;
		if (symbol == PE_DYNAMIC_IMPORT || symbol == PE_DYNAMIC_INDIRECT || symbol == PE_DYNAMIC_SWITCH)
			fault = read_blocks(pe, entry + header, length, symbol, sites);
		if (fault != FAULT_NONE)
			return fault;
		done += header + length;
	}
	return FAULT_NONE;
}

const GArray *pe_dynamic_sites(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_DYNAMIC, parse_dynamic, fault);
}

bool pe_dynamic_rewritten(struct pe *pe, const struct pe_dynamic_site *site)
{
	uint8_t code[3];

	if (pe_read(pe, site->rva, code, sizeof code) != FAULT_NONE)
		return false;
	/* mov r10, [slot]; call or jmp where it was call or jmp through the slot; else a call or jmp of a retpoline, where one through a register was. */
	if (site->symbol == PE_DYNAMIC_IMPORT)
		return code[0] == 0x4c && code[1] == 0x8b && code[2] == 0x15;
	return code[0] == 0xe8 || code[0] == 0xe9;
}
