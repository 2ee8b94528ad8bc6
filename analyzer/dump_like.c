/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_like.h"
#include <string.h>
#include "format.h"

/* Raw images have no signature: they are known by their names alone. */
static const char *const raw_extensions[] = { ".raw", ".mem", ".ram", ".dump", ".memdump", ".img", ".bin", ".dd" };
#define RAW_MIN (1u << 20)
#define HEAD (64u << 10)	/* of a packed dump, enough for every signature */

/* What is asked of a dump's first bytes. */
static bool has_signature(const struct file *file)
{
	if (file->size < PAGE_SIZE)
		return false;
	/* a stream of makedumpfile's, which is put in order when it is read */
	if (!memcmp(file->map, "makedumpfile", sizeof("makedumpfile")))
		return true;
	for (const struct format *const *f = formats; *f; f++) {
		if (!strcmp((*f)->name, "raw") || !(*f)->match(file))
			continue;
		/* Programs are ELF files too: ET_CORE alone is a dump. */
		return strcmp((*f)->name, "elf") != 0 || (file->map[16] == 4 && !file->map[17]);
	}
	return false;
}

static bool has_raw_name(const struct file *file)
{
	if (file->size < RAW_MIN)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(raw_extensions); i++) {
		size_t n = strlen(file->path), m = strlen(raw_extensions[i]);
		if (n > m && !g_ascii_strcasecmp(file->path + n - m, raw_extensions[i]))
			for (const struct format *const *f = formats; *f; f++)
				if (!strcmp((*f)->name, "raw"))
					return (*f)->match(file);
	}
	return false;
}

bool dump_like(const struct file *file)
{
	return has_signature(file) || has_raw_name(file);
}

bool dump_like_member(struct packed *p, struct archive_entry *entry, const char *name)
{
	g_autofree uint8_t *head = g_malloc(HEAD);
	const char *member = p->zip ? archive_entry_pathname(entry) : NULL;

	if (archive_entry_filetype(entry) != AE_IFREG)
		return false;
	la_ssize_t n = archive_read_data(p->archive, head, HEAD);
	struct file file = { .path = (char *)(member ? member : name), .fd = -1, .map = head, .size = n > 0 ? (uint64_t)n : 0 };
	if (has_signature(&file))
		return true;
	/* Its size isn't known before it is unpacked, but what fills the buffer may well be large. */
	file.size = n == HEAD ? RAW_MIN : 0;
	return has_raw_name(&file);
}
