/* SPDX-License-Identifier: Apache-2.0 */
/* The debug directory: where the symbol file's name stands. */
#include <string.h>
#include "pe_private.h"

enum {
	DEBUG_ENTRY_SIZE = 28,
	RSDS_SIZE = 24,			/* signature, GUID, age; then the PDB's name */
	NB10_SIZE = 16,			/* signature, offset, timestamp, age; then the PDB's name */
	RSDS = 0x53445352,
	NB10 = 0x3031424e,
	REPRO_HASH_MAX = 64,
};

const char *pe_debug_type_name(uint32_t type)
{
	static const char *const names[] = {
		"unknown", "coff", "cv", "fpo", "misc", "exception", "fixup", "omap_to_src", "omap_from_src", "borland",
		"reserved10", "clsid", "feat", "pogo", "iltcg", "mpx", "repro", "embedded_pdb", "spgo", "pdb_checksum",
		"ex_dll_characteristics",
	};
	return type < G_N_ELEMENTS(names) ? names[type] : NULL;
}

static enum fault read_codeview(struct pe *pe, struct pe_debug *entry)
{
	uint8_t buffer[RSDS_SIZE];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault = pe_read(pe, entry->rva, buffer, NB10_SIZE);
	char text[48];
	uint32_t signature, name;

	if (fault != FAULT_NONE)
		return fault;
	signature = bytes_u32(&b);
	if (signature == RSDS) {
		uint32_t d1;
		uint16_t d2, d3;
		const uint8_t *d4;

		fault = pe_read(pe, entry->rva, buffer, RSDS_SIZE);
		if (fault != FAULT_NONE)
			return fault;
		d1 = bytes_u32(&b);
		d2 = bytes_u16(&b);
		d3 = bytes_u16(&b);
		d4 = bytes_take(&b, 8);
		g_snprintf(text, sizeof text, "%08X%04X%04X%02X%02X%02X%02X%02X%02X%02X%02X%X", d1, d2, d3, d4[0], d4[1],
			   d4[2], d4[3], d4[4], d4[5], d4[6], d4[7], bytes_u32(&b));
		name = RSDS_SIZE;
	} else if (signature == NB10) {
		uint32_t timestamp;

		bytes_take(&b, 4);
		timestamp = bytes_u32(&b);
		g_snprintf(text, sizeof text, "%08X%X", timestamp, bytes_u32(&b));
		name = NB10_SIZE;
	} else {
		return FAULT_IMPLAUSIBLE;
	}
	entry->guid_age = pe_keep_text(pe, text, strlen(text));
	if (entry->size <= name || !pe_element(entry->rva, name, 1, &name))
		return FAULT_IMPLAUSIBLE;
	return pe_read_text(pe, name, PE_MAX_SYMBOL, &entry->pdb_name);
}

static enum fault read_pogo(struct pe *pe, struct pe_debug *entry)
{
	uint8_t buffer[4];
	enum fault fault = pe_read(pe, entry->rva, buffer, sizeof buffer);
	char text[5] = "";

	if (fault != FAULT_NONE)
		return fault;
	/* A multi-character constant, stored little-endian: "LTCG" reads backwards. */
	for (int i = 3, n = 0; i >= 0; i--)
		if (buffer[i])
			text[n++] = (char)buffer[i];
	entry->detail = pe_keep_text(pe, text, strlen(text));
	return FAULT_NONE;
}

static enum fault read_repro(struct pe *pe, struct pe_debug *entry)
{
	uint8_t buffer[4 + REPRO_HASH_MAX];
	struct bytes b = { buffer, 4, false };
	enum fault fault = pe_read(pe, entry->rva, buffer, 4);
	char text[2 * REPRO_HASH_MAX + 1] = "";
	uint32_t length;

	if (fault != FAULT_NONE)
		return fault;
	length = bytes_u32(&b);
	if (length > REPRO_HASH_MAX || length > entry->size - 4)
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(pe, entry->rva, buffer, 4 + length);
	if (fault != FAULT_NONE)
		return fault;
	for (uint32_t i = 0; i < length; i++)
		g_snprintf(text + 2 * i, 3, "%02x", buffer[4 + i]);
	entry->detail = pe_keep_text(pe, text, strlen(text));
	return FAULT_NONE;
}

static enum fault parse_debug(struct pe *pe, const void **value)
{
	const struct pe_directory *directory = &pe->directories[PE_DIRECTORY_DEBUG];
	GArray *entries = pe_new_array(pe, sizeof(struct pe_debug));
	enum fault first = FAULT_NONE;

	*value = entries;
	if (!directory->rva)
		return FAULT_NONE;
	for (uint32_t i = 0; i < directory->size / DEBUG_ENTRY_SIZE; i++) {
		uint8_t buffer[DEBUG_ENTRY_SIZE];
		struct bytes b = { buffer, sizeof buffer, false };
		struct pe_debug entry = { 0 };
		enum fault fault = FAULT_IMPLAUSIBLE;
		uint32_t at;

		if (i == PE_MAX_DEBUG_ENTRIES) {
			pe_note(&first, FAULT_LIMIT);
			break;
		}
		if (pe_element(directory->rva, i, DEBUG_ENTRY_SIZE, &at))
			fault = pe_read(pe, at, buffer, sizeof buffer);
		if (fault != FAULT_NONE) {
			pe_note(&first, fault);
			break;
		}
		bytes_take(&b, 4);
		entry.timestamp = bytes_u32(&b);
		entry.major = bytes_u16(&b);
		entry.minor = bytes_u16(&b);
		entry.type = bytes_u32(&b);
		entry.size = bytes_u32(&b);
		entry.rva = bytes_u32(&b);
		entry.raw_offset = bytes_u32(&b);
		if (entry.rva && entry.type == PE_DEBUG_CODEVIEW)
			pe_note(&first, read_codeview(pe, &entry));
		else if (entry.rva && entry.type == PE_DEBUG_POGO && entry.size >= 4)
			pe_note(&first, read_pogo(pe, &entry));
		else if (entry.rva && entry.type == PE_DEBUG_REPRO && entry.size > 4)
			pe_note(&first, read_repro(pe, &entry));
		g_array_append_val(entries, entry);
	}
	return first;
}

const GArray *pe_debug(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_DEBUG, parse_debug, fault);
}

bool pe_reproducible(struct pe *pe, enum fault *fault)
{
	const struct pe_directory *directory = &pe->directories[PE_DIRECTORY_DEBUG];
	const GArray *entries = pe_debug(pe, fault);

	for (guint i = 0; i < entries->len; i++)
		if (g_array_index(entries, struct pe_debug, i).type == PE_DEBUG_REPRO) {
			*fault = FAULT_NONE;
			return true;
		}
	/* What an entry leads to may be missing, as long as all entries are there. */
	if (pe->has_optional_header && (!directory->rva || entries->len == directory->size / DEBUG_ENTRY_SIZE))
		*fault = FAULT_NONE;
	else if (*fault == FAULT_NONE)
		*fault = FAULT_IMPLAUSIBLE;
	return false;
}

const struct pe_debug *pe_codeview(struct pe *pe, enum fault *fault)
{
	const GArray *entries = pe_debug(pe, fault);

	for (guint i = 0; i < entries->len; i++) {
		const struct pe_debug *entry = &g_array_index(entries, struct pe_debug, i);

		if (entry->guid_age)
			return entry;
	}
	return NULL;
}
