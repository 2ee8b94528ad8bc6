/* SPDX-License-Identifier: Apache-2.0 */
#include "pe_private.h"

enum { EXPORT_DIRECTORY_SIZE = 40 };

struct export_directory {
	struct pe_directory self;
	uint32_t ordinal_base;
	uint32_t functions, names;			/* counts, capped */
	uint32_t function_table, name_table, ordinal_table;	/* RVAs of uint32_t, uint32_t, uint16_t */
};

static enum fault read_element(struct pe *pe, uint32_t table, uint32_t index, unsigned width, uint32_t *value)
{
	uint8_t buffer[4];
	struct bytes b = { buffer, width, false };
	enum fault fault;
	uint32_t at;

	*value = 0;
	if (!pe_element(table, index, width, &at))
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(pe, at, buffer, width);
	if (fault == FAULT_NONE)
		*value = (uint32_t)bytes_le(&b, width);
	return fault;
}

/* What an address in the function table means: an RVA within the directory is a forwarder's text. */
static enum fault read_forwarder(struct pe *pe, const struct export_directory *d, struct pe_export *e)
{
	enum fault fault;

	if (e->rva < d->self.rva || e->rva - d->self.rva >= d->self.size)
		return FAULT_NONE;
	fault = pe_read_text(pe, e->rva, PE_MAX_SYMBOL, &e->forwarder);
	if (!e->forwarder)
		e->forwarder = "";
	return fault;
}

static enum fault read_named(struct pe *pe, const struct export_directory *d, GArray *exports, uint8_t *is_named)
{
	enum fault first = FAULT_NONE;

	for (uint32_t i = 0; i < d->names; i++) {
		struct pe_export e = { 0 };
		uint32_t index, name;
		enum fault fault = read_element(pe, d->ordinal_table, i, 2, &index);

		if (fault == FAULT_NONE && index >= d->functions)
			fault = FAULT_IMPLAUSIBLE;
		if (fault != FAULT_NONE) {
			pe_note(&first, fault);
			if (fault == FAULT_IMPLAUSIBLE)
				continue;
			index = UINT32_MAX;	/* its name may still be had */
		}
		if (index != UINT32_MAX) {
			fault = read_element(pe, d->function_table, index, 4, &e.rva);
			pe_note(&first, fault);
			is_named[index] = 1;
			if (fault == FAULT_NONE && !e.rva)
				continue;
			e.has_ordinal = true;
			e.ordinal = d->ordinal_base + index;
			pe_note(&first, read_forwarder(pe, d, &e));
		}
		fault = read_element(pe, d->name_table, i, 4, &name);
		if (fault == FAULT_NONE)
			fault = pe_read_text(pe, name, PE_MAX_SYMBOL, &e.name);
		pe_note(&first, fault);
		if (e.name || e.rva)
			g_array_append_val(exports, e);
	}
	return first;
}

static enum fault read_unnamed(struct pe *pe, const struct export_directory *d, GArray *exports,
			       const uint8_t *is_named)
{
	enum fault first = FAULT_NONE;

	for (uint32_t i = 0; i < d->functions; i++) {
		struct pe_export e = { .has_ordinal = true, .ordinal = d->ordinal_base + i };

		if (is_named[i])
			continue;
		pe_note(&first, read_element(pe, d->function_table, i, 4, &e.rva));
		if (!e.rva)
			continue;
		if (exports->len >= PE_MAX_EXPORTS)
			return first == FAULT_NONE ? FAULT_LIMIT : first;
		pe_note(&first, read_forwarder(pe, d, &e));
		g_array_append_val(exports, e);
	}
	return first;
}

static enum fault parse_exports(struct pe *pe, const void **value)
{
	GArray *exports = pe_new_array(pe, sizeof(struct pe_export));
	struct export_directory d = { .self = pe->directories[PE_DIRECTORY_EXPORT] };
	uint8_t buffer[EXPORT_DIRECTORY_SIZE];
	struct bytes b = { buffer, sizeof buffer, false };
	g_autofree uint8_t *is_named = NULL;
	enum fault first = FAULT_NONE;
	uint32_t dll;

	*value = exports;
	if (!d.self.rva)
		return FAULT_NONE;
	first = pe_read(pe, d.self.rva, buffer, sizeof buffer);
	if (first != FAULT_NONE)
		return first;
	bytes_take(&b, 12);		/* flags, timestamp, version */
	dll = bytes_u32(&b);
	d.ordinal_base = bytes_u32(&b);
	d.functions = bytes_u32(&b);
	d.names = bytes_u32(&b);
	d.function_table = bytes_u32(&b);
	d.name_table = bytes_u32(&b);
	d.ordinal_table = bytes_u32(&b);
	if (dll)
		pe_note(&first, pe_read_text(pe, dll, PE_MAX_NAME, &pe->private->export_dll));
	if (d.functions > PE_MAX_EXPORTS || d.names > PE_MAX_EXPORTS)
		pe_note(&first, FAULT_LIMIT);
	d.functions = MIN(d.functions, PE_MAX_EXPORTS);
	d.names = MIN(d.names, PE_MAX_EXPORTS);
	is_named = g_malloc0(d.functions + 1);
	pe_note(&first, read_named(pe, &d, exports, is_named));
	pe_note(&first, read_unnamed(pe, &d, exports, is_named));
	return first;
}

const GArray *pe_exports(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_EXPORTS, parse_exports, fault);
}

const char *pe_export_dll(struct pe *pe)
{
	pe_exports(pe, NULL);
	return pe->private->export_dll;
}

const struct pe_export *pe_nearest_export(struct pe *pe, uint32_t rva)
{
	const GArray *exports = pe_exports(pe, NULL);
	const struct pe_export *nearest = NULL;

	for (guint i = 0; i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);

		if (e->rva && e->rva <= rva && !e->forwarder && (!nearest || e->rva > nearest->rva))
			nearest = e;
	}
	return nearest;
}
