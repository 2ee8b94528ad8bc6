/* SPDX-License-Identifier: Apache-2.0 */
#include "page_file.h"
#include "packed.h"

/* Page-table entries name 52 bits of physical address; PageFileHigh has 32 bits of page number. */
#define BASE (UINT64_C(1) << 56)
#define NUMBER_SHIFT 44

bool page_file_add(struct image *image, const char *path, GError **error)
{
	if (!image->segments->len) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: a page file goes with a dump of physical memory, which %s is not",
			    path, image->container->path);
		return false;
	}
	if (!image->page_files)
		image->page_files = g_ptr_array_new();
	if (image->page_files->len == PAGE_FILES_MAX) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: Windows has at most %u page files", path, PAGE_FILES_MAX);
		return false;
	}
	struct file *file = file_open(path, error);
	if (!file)
		return false;
	/* Windows keeps nothing in the first page, which no entry can name. */
	if (packed_is(file)) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "%s: is packed: unpack the page file first", path);
		file_close(file);
		return false;
	}
	image_add_file(image, file);
	g_ptr_array_add(image->page_files, file);
	return true;
}

bool page_file_holds(const struct image *image, pa_t pa)
{
	return image->page_files && pa.v >= BASE && pa.v - BASE < (uint64_t)image->page_files->len << NUMBER_SHIFT;
}

const uint8_t *page_file_bytes(const struct image *image, pa_t pa)
{
	if (!page_file_holds(image, pa))
		return NULL;
	const struct file *file = g_ptr_array_index(image->page_files, (pa.v - BASE) >> NUMBER_SHIFT);
	uint64_t at = (pa.v - BASE) & ((UINT64_C(1) << NUMBER_SHIFT) - 1);
	return (at | PAGE_MASK) < file->size ? file->map + at : NULL;
}

pa_t page_file_address(const struct image *image, uint64_t number, uint64_t page)
{
	pa_t pa = { BASE + (number << NUMBER_SHIFT) + page * PAGE_SIZE };

	if (number >= PAGE_FILES_MAX || page > UINT32_MAX || !page_file_bytes(image, pa))
		pa.v = 0;
	return pa;
}
