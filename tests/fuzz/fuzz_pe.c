/* SPDX-License-Identifier: Apache-2.0 */
/* The input is an image as it lies in memory, and is tried as a file too. Every part is parsed. */
#include <string.h>
#include "image_rebuild.h"
#include "pe.h"

struct input { const uint8_t *data; size_t size; };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum fault read_input(void *user, uint32_t rva, void *buffer, size_t length)
{
	const struct input *input = user;

	if (rva > input->size || length > input->size - rva)
		return FAULT_UNMAPPED;
	memcpy(buffer, input->data + rva, length);
	return FAULT_NONE;
}

static void check_text(const char *text)
{
	if (text && !g_utf8_validate(text, -1, NULL))
		g_error("text that is not UTF-8");
}

/* What the loader changed is taken back before hashes are made. */
static void hash(struct pe *pe)
{
	struct image_fixups *fixups = image_fixups_create(pe);
	uint32_t at;
	enum fault fault;
	guint direct;
	GByteArray *pages = image_page_hashes(pe, fixups, pe->entry_point & ~0xfffu, 1 << 20, 4, &direct);

	g_free(image_sha256(pe, fixups, &fault, &at));
	if (pages)
		g_byte_array_unref(pages);
	image_fixups_destroy(fixups);
}

static void parse(const struct pe_source *source, uint64_t base, uint32_t size_limit)
{
	struct pe *pe = pe_open(source, base, size_limit);
	const GArray *array;
	struct pe_function function;
	double entropy;

	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);

		check_text(s->name);
		/* All of them would take time without showing more. */
		if (i < 4 && pe_entropy(pe, s->virtual_address, MIN(s->virtual_size, 1 << 20), &entropy) == FAULT_NONE &&
		    !(entropy >= 0 && entropy <= 8))
			g_error("entropy of %f", entropy);
	}
	array = pe_exports(pe, NULL);
	for (guint i = 0; i < array->len; i++) {
		check_text(g_array_index(array, struct pe_export, i).name);
		check_text(g_array_index(array, struct pe_export, i).forwarder);
	}
	check_text(pe_export_dll(pe));
	pe_nearest_export(pe, pe->entry_point);
	array = pe_imports(pe, NULL);
	for (guint i = 0; i < array->len; i++) {
		const struct pe_import *import = &g_array_index(array, struct pe_import, i);

		check_text(import->dll);
		if ((import->kind == PE_IMPORT_BY_NAME) != (import->name != NULL))
			g_error("import by name without a name");
	}
	pe_imphash(pe, NULL);
	pe_relocations(pe, NULL);
	pe_tls(pe, NULL);
	array = pe_debug(pe, NULL);
	for (guint i = 0; i < array->len; i++)
		check_text(g_array_index(array, struct pe_debug, i).pdb_name);
	pe_codeview(pe, NULL);
	pe_rich(pe, NULL);
	pe_load_config(pe, NULL);
	pe_functions(pe, NULL);
	pe_function_at(pe, pe->entry_point, &function);
	array = pe_dynamic_sites(pe, NULL);
	for (guint i = 0; array && i < array->len; i++)
		pe_dynamic_rewritten(pe, &g_array_index(array, struct pe_dynamic_site, i));
	pe_clr(pe, NULL);
	array = pe_resources(pe, NULL);
	for (guint i = 0; i < array->len; i++)
		check_text(g_array_index(array, struct pe_resource, i).name);
	pe_version_info(pe, NULL);
	/* Not of one at 0, where all zeros might be addresses in it: that takes seconds. */
	if (size_limit && base)
		hash(pe);
	pe_close(pe);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct pe_source source = { &input, read_input };
	struct pe_file *file;

	parse(&source, 0, 0);
	parse(&source, 0x7ff800000000, (uint32_t)size);
	file = pe_file_create(data, size);
	if (file) {
		source = pe_file_source(file);
		parse(&source, 0, pe_file_size_of_image(file));
		pe_file_destroy(file);
	}
	return 0;
}
