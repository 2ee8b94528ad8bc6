/* SPDX-License-Identifier: Apache-2.0 */
/* A PE file's bytes as a loader would lay them out. */
#include <string.h>
#include "pe_private.h"

enum { SECTOR = 512 };		/* the loader rounds file offsets down to it */

struct pe_file {
	struct bytes data;
	struct pe *headers;
	uint64_t extent;	/* bytes mapped, whole pages */
	bool flat;		/* section alignment below a page: mapped as it is */
};

static uint64_t round_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static enum fault read_flat(void *user, uint32_t offset, void *buffer, size_t length)
{
	const struct bytes *data = user;
	size_t have = offset < data->n ? MIN(data->n - offset, length) : 0;

	/* The rest of a file's last page is mapped as zeros. */
	if (offset > round_up(data->n, PE_PAGE) || length > round_up(data->n, PE_PAGE) - offset)
		return FAULT_UNMAPPED;
	if (have)
		memcpy(buffer, data->p + offset, have);
	memset((uint8_t *)buffer + have, 0, length - have);
	return FAULT_NONE;
}

/* Which bytes of the file stand at rva, from *offset on; *length 0: zeros stand there. */
static void locate(const struct pe_file *file, uint32_t rva, uint64_t *offset, uint64_t *length)
{
	const struct pe *pe = file->headers;

	*length = 0;
	if (file->flat || rva < pe->size_of_headers) {
		*offset = rva;
		*length = file->flat ? file->data.n : pe->size_of_headers;
		*length = MIN(*length, file->data.n);
		*length = rva < *length ? *length - rva : 0;
		return;
	}
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *s = &g_array_index(pe->sections, struct pe_section, i);
		uint64_t start = s->raw_offset, size = round_up(s->raw_size, SECTOR), delta = rva - s->virtual_address;
		uint64_t virtual_size = round_up(s->virtual_size ? s->virtual_size : s->raw_size, PE_PAGE);

		if (rva < s->virtual_address || delta >= virtual_size)
			continue;
		start -= start % SECTOR;
		size = MIN(size, virtual_size);
		size = s->raw_offset && start < file->data.n ? MIN(size, file->data.n - start) : 0;
		*offset = start + delta;
		*length = delta < size ? size - delta : 0;
		return;
	}
}

static enum fault read_mapped(void *user, uint32_t rva, void *buffer, size_t length)
{
	const struct pe_file *file = user;
	uint8_t *out = buffer;

	if (rva > file->extent || length > file->extent - rva)
		return FAULT_UNMAPPED;
	memset(out, 0, length);
	while (length) {
		size_t n = MIN(length, PE_PAGE - rva % PE_PAGE);
		uint64_t offset = 0, have;

		locate(file, rva, &offset, &have);
		if (have)
			memcpy(out, file->data.p + offset, (size_t)MIN(have, n));
		out += n;
		rva += (uint32_t)n;
		length -= n;
	}
	return FAULT_NONE;
}

struct pe_file *pe_file_create(const void *data, size_t length)
{
	struct pe_file *file = g_new0(struct pe_file, 1);
	struct pe_source source = { &file->data, read_flat };

	file->data = (struct bytes){ data, length, false };
	file->headers = pe_open(&source, 0, 0);
	if (!file->headers->has_section_table) {
		pe_file_destroy(file);
		return NULL;
	}
	file->flat = file->headers->section_alignment < PE_PAGE;
	file->extent = file->headers->size_of_image;
	if (!file->extent && file->headers->sections->len) {
		const struct pe_section *last = &g_array_index(file->headers->sections, struct pe_section,
							       file->headers->sections->len - 1);

		file->extent = (uint64_t)last->virtual_address + MAX(last->virtual_size, last->raw_size);
	}
	file->extent = MIN(round_up(file->extent, PE_PAGE), UINT32_MAX - PE_PAGE + 1);
	return file;
}

void pe_file_destroy(struct pe_file *file)
{
	if (!file)
		return;
	pe_close(file->headers);
	g_free(file);
}

struct pe_source pe_file_source(struct pe_file *file)
{
	return (struct pe_source){ file, read_mapped };
}

uint32_t pe_file_size_of_image(const struct pe_file *file)
{
	return (uint32_t)file->extent;
}
