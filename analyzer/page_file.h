/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's page files, taken with the dump: what a page-table entry says is in a page file can then be read.
 *
 * Their pages have addresses like physical memory has, beyond any that a page-table entry can name, so that
 * whoever reads pages of an image reads these too. Windows numbers its page files in the order it opened them
 * (_MMPTE_SOFTWARE.PageFileLow): pagefile.sys is 0, swapfile.sys (since Windows 8) 1.
 */
#ifndef MEMSIEVE_PAGE_FILE_H
#define MEMSIEVE_PAGE_FILE_H
#include "image.h"

#define PAGE_FILES_MAX 16u	/* PageFileLow has four bits */

/* The next page file of the machine; false and *error when it can't be read, or the dump has no page tables to lead there. */
bool page_file_add(struct image *image, const char *path, GError **error);
/* Where a page of page file `number` is; 0 when that file was not given, or is shorter. */
pa_t page_file_address(const struct image *image, uint64_t number, uint64_t page);
/* Is it such an address? */
bool page_file_holds(const struct image *image, pa_t pa);
/* From pa to the end of its page; NULL when there is no such page. */
const uint8_t *page_file_bytes(const struct image *image, pa_t pa);
#endif
