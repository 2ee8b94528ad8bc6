/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VERSIONINFO: blocks within blocks, each with length, value length, type, a UTF-16 key,
 * and value and children at multiples of 4 (learn.microsoft.com, "VS_VERSIONINFO").
 */
#include <string.h>
#include "pe_private.h"
#include "limit.h"

enum { FIXED_SIGNATURE = (int)0xfeef04bd, FIXED_SIZE = 52, BLOCK_HEADER = 6, BLOCKS_MAX = FIXED_pe_version_blocks };

/* A block of the resource's bytes; offsets count from the resource's begin. */
struct block { uint32_t key, key_length, value, value_length, end; };

struct version_reader {
	struct pe *pe;
	struct bytes data;
	struct pe_version_info *info;
	unsigned blocks;
	enum fault first;
};

static uint32_t align4(uint32_t n)
{
	return (n + 3) & ~UINT32_C(3);
}

/* Length in bytes of the UTF-16 text at `at` without its NUL, which must come before `end`
 * or be `end` itself. */
static uint32_t utf16_length(const struct bytes *data, uint32_t at, uint32_t end)
{
	struct bytes b = *data;
	uint32_t n = 0;

	while (at + n + 2 <= end && bytes_at(&b, at + n, 2))
		n += 2;
	return n;
}

/* The block at *at, which lies within [*at, end); *at moves to the one after. */
static bool next_block(struct version_reader *r, uint32_t *at, uint32_t end, struct block *block)
{
	uint32_t start = align4(*at), length;

	if (start >= end || end - start < BLOCK_HEADER)
		return false;
	length = (uint32_t)bytes_at(&r->data, start, 2);
	if (length < BLOCK_HEADER)	/* padding */
		return false;
	if (r->blocks++ == BLOCKS_MAX) {
		pe_note(&r->first, FAULT_LIMIT);
		return false;
	}
	block->end = start + MIN(length, end - start);
	block->value_length = (uint32_t)bytes_at(&r->data, start + 2, 2);
	block->key = start + BLOCK_HEADER;
	block->key_length = utf16_length(&r->data, block->key, block->end);
	block->value = MIN(align4(block->key + block->key_length + 2), block->end);
	*at = block->end;
	return true;
}

static const char *text_at(struct version_reader *r, uint32_t at, uint32_t length)
{
	struct bytes text = bytes_slice(r->data, at, length);
	const char *kept = text.bad ? NULL : pe_keep_utf16(r->pe, text.p, text.n);

	if (!kept)
		pe_note(&r->first, FAULT_LIMIT);
	return kept;
}

static void read_string(struct version_reader *r, const char *language, const struct block *block, bool first_table)
{
	struct pe_version_info *info = r->info;
	const struct { const char *key; const char **member; } members[] = {
		{ "OriginalFilename", &info->original_filename }, { "CompanyName", &info->company_name },
		{ "ProductName", &info->product_name }, { "FileDescription", &info->file_description },
		{ "InternalName", &info->internal_name }, { "LegalCopyright", &info->legal_copyright },
		{ "FileVersion", &info->file_version_text }, { "ProductVersion", &info->product_version_text },
	};
	struct pe_version_string string = { .language = language };

	string.key = text_at(r, block->key, block->key_length);
	/* value_length counts characters, but with some compilers bytes: the NUL is better evidence. */
	string.value = text_at(r, block->value, utf16_length(&r->data, block->value, block->end));
	if (!string.key || !string.value)
		return;
	if (info->strings->len == PE_MAX_VERSION_STRINGS) {
		pe_note(&r->first, FAULT_LIMIT);
		return;
	}
	g_array_append_val(info->strings, string);
	for (size_t i = 0; first_table && i < G_N_ELEMENTS(members); i++)
		if (!strcmp(string.key, members[i].key) && !*members[i].member)
			*members[i].member = string.value;
}

static void read_string_tables(struct version_reader *r, const struct block *file_info)
{
	uint32_t at = file_info->value;
	struct block table, string;
	bool first = true;

	while (next_block(r, &at, file_info->end, &table)) {
		uint32_t string_at = table.value;
		const char *language = text_at(r, table.key, table.key_length);

		while (next_block(r, &string_at, table.end, &string))
			read_string(r, language, &string, first);
		first = false;
	}
}

static const char *version_text(struct pe *pe, uint32_t high, uint32_t low)
{
	char text[32];

	g_snprintf(text, sizeof text, "%u.%u.%u.%u", high >> 16, high & 0xffff, low >> 16, low & 0xffff);
	return pe_keep_text(pe, text, strlen(text));
}

static void read_fixed(struct version_reader *r, struct bytes fixed)
{
	uint32_t words[FIXED_SIZE / 4];

	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
		words[i] = bytes_u32(&fixed);
	if (fixed.bad || words[0] != (uint32_t)FIXED_SIGNATURE) {
		pe_note(&r->first, FAULT_IMPLAUSIBLE);
		return;
	}
	r->info->file_version = version_text(r->pe, words[2], words[3]);
	r->info->product_version = version_text(r->pe, words[4], words[5]);
	r->info->file_flags = words[7] & words[6];	/* under their mask */
	r->info->file_os = words[8];
	r->info->file_type = words[9];
}

static void read_version(struct version_reader *r)
{
	struct block root, child;
	uint32_t at = 0;

	if (!next_block(r, &at, (uint32_t)r->data.n, &root)) {
		pe_note(&r->first, FAULT_IMPLAUSIBLE);
		return;
	}
	if (root.value_length) {
		uint32_t length = MIN(root.value_length, root.end - root.value);

		read_fixed(r, bytes_slice(r->data, root.value, length));
		at = root.value + length;
	} else {
		at = root.value;
	}
	while (next_block(r, &at, root.end, &child)) {
		const char *key = text_at(r, child.key, child.key_length);

		if (key && !strcmp(key, "StringFileInfo"))
			read_string_tables(r, &child);
	}
}

static enum fault parse_version(struct pe *pe, const void **value)
{
	struct version_reader r = { .pe = pe };
	g_autofree uint8_t *buffer = NULL;
	struct pe_resource resource;
	uint32_t size;

	if (!pe_first_resource(pe, PE_RESOURCE_VERSION, &resource, &r.first))
		return r.first;
	size = MIN(resource.size, PE_MAX_VERSION_BYTES);
	if (size < resource.size)
		pe_note(&r.first, FAULT_LIMIT);
	buffer = g_malloc(size + 1);
	pe_note(&r.first, pe_read_holes(pe, resource.rva, buffer, size));
	r.data = (struct bytes){ buffer, size, false };
	r.info = pe_new_block(pe, sizeof *r.info);
	r.info->strings = pe_new_array(pe, sizeof(struct pe_version_string));
	read_version(&r);
	/* The first page missing: nothing was read at all. */
	if (r.info->file_version || r.info->strings->len)
		*value = r.info;
	return r.first;
}

const struct pe_version_info *pe_version_info(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_VERSION, parse_version, fault);
}
