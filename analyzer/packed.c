/* SPDX-License-Identifier: Apache-2.0 */
#include "packed.h"
#include <errno.h>
#include <string.h>
#include <time.h>
#include "limit.h"

/* So small that what comes out of one is soon looked at: streams of 14 bytes that hold nothing, or 64 MiB of zeros. */
#define BLOCK (64u << 10)
#define ENTRY 4096u	/* in a zip's directory: a name of 255 bytes in folders, comments, times */

static const struct kind { const char *bytes; unsigned length; int filter; } kinds[] = {
	{ "\x1f\x8b\x08", 3, ARCHIVE_FILTER_GZIP },
	{ "\xfd" "7zXZ\0", 6, ARCHIVE_FILTER_XZ },
	{ "\x28\xb5\x2f\xfd", 4, ARCHIVE_FILTER_ZSTD },
	{ "\x04\x22\x4d\x18", 4, ARCHIVE_FILTER_LZ4 },
	{ "BZh", 3, ARCHIVE_FILTER_BZIP2 },
	{ "PK\x03\x04", 4, ARCHIVE_FILTER_NONE },
};

static const struct kind *kind_of(const struct file *file)
{
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (file->size >= kinds[i].length && !memcmp(file->map, kinds[i].bytes, kinds[i].length))
			return &kinds[i];
	return NULL;
}

bool packed_is(const struct file *file)
{
	return kind_of(file);
}

int64_t packed_clock(void)
{
	struct timespec now = { 0, 0 };

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static bool in_time(struct packed *p)
{
	if (!p->bound && packed_clock() > p->until)
		p->bound = PACKED_LATE;
	return !p->bound;
}

static la_ssize_t on_read(struct archive *a, void *data, const void **buffer)
{
	static const uint8_t zeros[BLOCK];
	struct packed *p = data;
	struct range filled;
	/* Holes of what was unpacked before aren't touched: where temporary files are kept in memory they would be made there. */
	const bool more = file_next_filled(p->file, p->at, &filled), hole = !more || filled.start > p->at;
	uint64_t n = MIN((!more ? p->file->size : hole ? filled.start : filled.start + filled.length) - p->at, BLOCK);

	if (in_time(p) && n > p->left)
		p->bound = PACKED_DIRECTORY;
	if (p->bound) {
		archive_set_error(a, EFBIG, "a limit was reached");
		return ARCHIVE_FATAL;
	}
	*buffer = hole ? zeros : p->file->map + p->at;
	p->at += n;
	p->left -= n;
	return (la_ssize_t)n;
}

static la_int64_t on_skip(struct archive *a, void *data, la_int64_t length)
{
	struct packed *p = data;
	uint64_t n = MIN(p->file->size - p->at, (uint64_t)MAX(length, 0));

	(void)a;
	p->at += n;
	return (la_int64_t)n;
}

static la_int64_t on_seek(struct archive *a, void *data, la_int64_t offset, int whence)
{
	struct packed *p = data;
	uint64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? p->at : p->file->size;
	la_int64_t to;

	(void)a;
	if (__builtin_add_overflow((la_int64_t)from, offset, &to) || to < 0 || (uint64_t)to > p->file->size)
		return ARCHIVE_FAILED;
	p->at = (uint64_t)to;
	return to;
}

bool packed_open(struct packed *p, const struct file *file, int64_t until)
{
	const struct kind *kind = kind_of(file);

	*p = (struct packed){ .archive = kind ? archive_read_new() : NULL, .file = file, .left = UINT64_MAX, .until = until };
	if (!p->archive)
		return false;
	p->zip = kind->filter == ARCHIVE_FILTER_NONE;
	p->names = p->zip ? newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0) : (locale_t)0;
	/* One layer at a time: left to itself the library unwraps filters within filters, beyond our bounds. */
	archive_read_append_filter(p->archive, kind->filter);
	if (p->zip)
		archive_read_support_format_zip(p->archive);
	else
		archive_read_support_format_raw(p->archive);
	archive_read_set_read_callback(p->archive, on_read);
	archive_read_set_skip_callback(p->archive, on_skip);
	archive_read_set_seek_callback(p->archive, on_seek);
	archive_read_set_callback_data(p->archive, p);
	archive_read_open1(p->archive);		/* what fails here fails again below */
	return true;
}

void packed_close(struct packed *p)
{
	if (p->archive)
		archive_read_free(p->archive);
	if (p->names)
		freelocale(p->names);
	*p = (struct packed){ .bound = p->bound };
}

int packed_next(struct packed *p, struct archive_entry **entry)
{
	if (!in_time(p))
		return ARCHIVE_FATAL;
	/*
	 * Before a zip's first member the library reads its whole directory and keeps it, 160 bytes for each 46, whatever number
	 * of entries the archive says there are. Around it lie the blocks at the directory's and the first member's beginning.
	 */
	p->left = p->zip && !p->members ? MIN(limit(archive_members), 1u << 30) * ENTRY + 2 * BLOCK : UINT64_MAX;
	/* The library turns names into the locale's, and those of members may need more letters than a job without a terminal has. */
	locale_t before = p->names ? uselocale(p->names) : (locale_t)0;
	int r = archive_read_next_header(p->archive, entry);
	if (before)
		uselocale(before);
	p->left = UINT64_MAX;
	if (p->bound || r == ARCHIVE_EOF || r < ARCHIVE_FAILED)
		return p->bound ? ARCHIVE_FATAL : r;
	if (p->members++ == limit(archive_members)) {
		p->bound = PACKED_MEMBERS;
		return ARCHIVE_FATAL;
	}
	/* A name that is no text, a link that can't be followed: the next member is there all the same. */
	return ARCHIVE_OK;
}

int packed_data(struct packed *p, const void **data, size_t *length, int64_t *at)
{
	*data = NULL;
	*length = 0;
	*at = 0;
	return in_time(p) ? archive_read_data_block(p->archive, data, length, at) : ARCHIVE_FATAL;
}

char *packed_error(const struct packed *p)
{
	const char *why = archive_error_string(p->archive);

	return g_strchomp(g_strdup(why ? why : "no reason given"));	/* some end with a new line */
}
