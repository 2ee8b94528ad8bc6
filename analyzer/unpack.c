/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* O_TMPFILE */
#endif
#include "unpack.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>
#include "dump_like.h"
#include "packed.h"
#include "text.h"

#define FLAT_HEADER 4096	/* makedumpfile pads its stream header to this */
#define CHECK_EVERY (G_GUINT64_CONSTANT(64) << 20)

enum packing { PACKING_NONE, PACKING_ARCHIVE, PACKING_FLATTENED };

static enum packing packing_of(const struct file *file)
{
	/* "makedumpfile", then its type and version, both 1, big-endian */
	if (file->size >= FLAT_HEADER && !memcmp(file->map, "makedumpfile\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1", 32))
		return PACKING_FLATTENED;
	return packed_is(file) ? PACKING_ARCHIVE : PACKING_NONE;
}

/* The temporary file being written. */
struct output {
	const char *path, *directory;
	uint64_t packed_size;
	int fd;
	uint64_t size, limit, written, checked;
	int64_t until;		/* of packed_clock() */
};

/* What is told of a dump that comes out all the same: of one layer after the other. */
static G_GNUC_PRINTF(2, 3) void tell(char **told, const char *format, ...)
{
	char *before = *told;
	va_list args;

	va_start(args, format);
	g_autofree char *more = g_strdup_vprintf(format, args);
	va_end(args);
	*told = before ? g_strconcat(before, "; ", more, NULL) : g_steal_pointer(&more);
	g_free(before);
}

uint64_t unpack_bound(uint64_t packed_size)
{
	return UNPACK_FREE < UNPACK_MAX && packed_size < (UNPACK_MAX - UNPACK_FREE) / UNPACK_RATIO ? UNPACK_FREE + packed_size * UNPACK_RATIO : UNPACK_MAX;
}

static bool output_open(struct output *o, const char *path, uint64_t packed_size, int64_t until, GError **error)
{
	const char *directory = g_getenv("TMPDIR");

	*o = (struct output){ .path = path, .packed_size = packed_size, .until = until, .directory = directory && *directory ? directory : "/var/tmp" };
	o->limit = unpack_bound(packed_size);
	o->fd = open(o->directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (o->fd < 0) {	/* a file system without O_TMPFILE */
		g_autofree char *name = g_build_filename(o->directory, "memsieve-XXXXXX", NULL);
		o->fd = g_mkstemp_full(name, O_RDWR | O_CLOEXEC, 0600);
		if (o->fd >= 0)
			unlink(name);
	}
	if (o->fd < 0)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO,
			    "no temporary file to unpack to in %s (TMPDIR): %s", o->directory, g_strerror(errno));
	return o->fd >= 0;
}

static bool output_room(struct output *o, uint64_t length, GError **error)
{
	struct statvfs st;

	o->written += length;
	if (o->checked && o->written - o->checked < CHECK_EVERY)
		return true;
	o->checked = o->written;
	if (!fstatvfs(o->fd, &st) && (uint64_t)st.f_bavail * st.f_frsize < UNPACK_RESERVE) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "unpacking needs more room than %s (TMPDIR) has",
			    o->directory);
		return false;
	}
	return true;
}

/* Pages of zeros become holes, but for those that overwrite (records of a flattened stream may). */
static bool output_write(struct output *o, uint64_t at, const uint8_t *data, size_t length, GError **error)
{
	static const uint8_t zeros[PAGE_SIZE];
	uint64_t old_size = o->size;

	if (at > o->limit || length > o->limit - at) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "unpacks to more than %" G_GUINT64_FORMAT " bytes, the bound for %" G_GUINT64_FORMAT
			    " packed ones: unpack it by other means if that is meant",
			    o->limit, o->packed_size);
		return false;
	}
	o->size = MAX(o->size, at + length);
	while (length) {
		size_t n = MIN(length, PAGE_SIZE - (at & PAGE_MASK));
		if (at >= old_size && !memcmp(data, zeros, n)) {
			data += n;
			at += n;
			length -= n;
			continue;
		}
		while (n < length && (at < old_size || memcmp(data + n, zeros, MIN(length - n, PAGE_SIZE))))
			n += MIN(length - n, PAGE_SIZE);
		if (!output_room(o, n, error))
			return false;
		for (size_t done = 0; done < n; ) {
			ssize_t wrote = pwrite(o->fd, data + done, n - done, (off_t)(at + done));
			if (wrote < 0 && errno == EINTR)
				continue;
			if (wrote <= 0) {
				g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "unpacking to %s (TMPDIR): %s",
					    o->directory, g_strerror(errno));
				return false;
			}
			done += (size_t)wrote;
		}
		data += n;
		at += n;
		length -= n;
	}
	return true;
}

static struct file *output_finish(struct output *o, GError **error)
{
	if (!o->size || ftruncate(o->fd, (off_t)o->size) < 0) {
		g_set_error(error, MEMSIEVE_ERROR, o->size ? MEMSIEVE_ERROR_IO : MEMSIEVE_ERROR_FORMAT, "%s: %s", o->path,
			    o->size ? g_strerror(errno) : "nothing is packed in it");
		close(o->fd);
		return NULL;
	}
	return file_adopt(o->fd, o->path, error);
}

static void late(const struct output *o, char **bound, GError **error)
{
	static const char *const why = "unpacking took more processor time than it may (unpack_seconds, unpack_seconds_gib)";

	if (o->size)
		tell(bound, "%s: %" G_GUINT64_FORMAT " bytes had come out of it", why, o->size);
	else
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "%s: unpack it by other means", why);
}

static char *member_name(struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry);
	g_autofree char *valid = name ? text_from_bytes(name, strlen(name)) : g_strdup("a file without a name");

	return text_escape(valid);
}

/* A VMware machine's state lies beside its memory, which is the dump. */
static bool is_state_of(const char *memory, const char *member)
{
	g_autofree char *a = g_ascii_strdown(memory, -1), *b = g_ascii_strdown(member, -1);

	return g_str_has_suffix(a, ".vmem") && (g_str_has_suffix(b, ".vmss") || g_str_has_suffix(b, ".vmsn"));
}

/* One dump is taken of an archive: are others left in it? */
static void tell_others(const struct file *file, uint64_t taken, const char *taken_name, int64_t until, char **bound)
{
	g_autofree char *first = NULL;
	struct packed p;
	struct archive_entry *entry;
	unsigned others = 0;
	uint64_t i = 0;

	for (bool open = packed_open(&p, file, until); open && packed_next(&p, &entry) == ARCHIVE_OK; i++) {
		if (i == taken || archive_entry_size(entry) < PAGE_SIZE)
			continue;
		g_autofree char *name = member_name(entry);
		if (is_state_of(taken_name, name) || !dump_like_member(&p, entry, ""))
			continue;
		if (!others++)
			first = g_steal_pointer(&name);
	}
	packed_close(&p);
	if (others)
		tell(bound, "of the archive's files the largest is taken, %s: %u others look like dumps and are left, the first is %s", taken_name, others, first);
}

/* The number of the largest plain member: an archive's other files are notes and hashes, or else are told. */
static uint64_t largest_member(const struct file *file, int64_t until, char **damage, char **bound)
{
	struct packed p;
	struct archive_entry *entry;
	g_autofree char *name = NULL;
	int64_t best_size = -1;
	uint64_t best = 0, i = 0, large = 0;
	int r = ARCHIVE_FATAL;

	for (bool open = packed_open(&p, file, until); open && (r = packed_next(&p, &entry)) == ARCHIVE_OK; i++) {
		large += archive_entry_size(entry) >= PAGE_SIZE;
		if (archive_entry_filetype(entry) == AE_IFREG && archive_entry_size(entry) > best_size) {
			best_size = archive_entry_size(entry);
			best = i;
			g_free(name);
			name = member_name(entry);
		}
	}
	if (p.bound == PACKED_MEMBERS)
		tell(bound, "the archive has more than %" G_GUINT64_FORMAT " files (archive_members): the largest of the first ones is taken", i);
	else if (i && !p.bound && r != ARCHIVE_EOF) {	/* where none was found, unpacking it fails alike */
		g_autofree char *why = packed_error(&p);
		tell(damage, "the archive is damaged behind file %" G_GUINT64_FORMAT ": the largest up to there is taken: %s", i, why);
	}
	packed_close(&p);
	if (name && large > 1)
		tell_others(file, best, name, until, bound);
	return best;
}

/*
 * What libarchive takes for the end of a packed stream: anything that begins no other one (a damaged one of several), and a gzip stream whose
 * checksum it doesn't ask for. `crc` is of what came out.
 */
static void check_end(const struct packed *p, const struct output *o, uint32_t crc, char **damage)
{
	const uint64_t size = p->file->size;
	const int64_t taken = archive_filter_bytes(p->archive, -1);

	if (taken > 0 && (uint64_t)taken < size && !file_only_zeros(p->file, (uint64_t)taken)) {
		tell(damage, "the packed file is damaged: %" G_GUINT64_FORMAT " of its bytes, behind what unpacks to %" G_GUINT64_FORMAT ", are no packed data",
		     size - (uint64_t)taken, o->size);
		return;
	}
	struct bytes trailer = file_slice(p->file, taken > 8 ? (uint64_t)taken - 8 : 0, 8);
	const uint32_t said = bytes_u32(&trailer), length = bytes_u32(&trailer);
	/* Of several in a row the last one's is of the last part alone; bgzip's is empty. */
	if (archive_filter_code(p->archive, 0) == ARCHIVE_FILTER_GZIP && (said || length) && length == (uint32_t)o->size && said != crc)
		tell(damage, "the packed file is damaged: its checksum is 0x%08x, that of what came out 0x%08x", said, crc);
}

/* A damaged archive still has what came out before the damage; *damage says why it ended. */
static bool archive_copy(struct packed *p, struct output *o, uint64_t member, char **damage, char **bound, GError **error)
{
	g_autofree char *why = NULL;
	struct archive_entry *entry;
	const void *data;
	size_t length;
	int64_t at;
	int r = ARCHIVE_OK;
	uLong crc = crc32(0, NULL, 0);

	for (uint64_t i = 0; i <= member && r == ARCHIVE_OK; i++)
		r = packed_next(p, &entry);
	while (r == ARCHIVE_OK || r == ARCHIVE_WARN) {
		r = packed_data(p, &data, &length, &at);
		if (r == ARCHIVE_WARN && !why)		/* a wrong checksum: it comes with the last bytes */
			why = packed_error(p);
		if (length && !output_write(o, (uint64_t)at, data, length, error))
			return false;
		if (length && !p->zip)
			crc = crc32_z(crc, data, length);
	}
	if (p->bound == PACKED_LATE) {
		late(o, bound, error);
		return o->size;
	}
	if (p->bound == PACKED_DIRECTORY) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "the archive's directory is longer than that of %" G_GUINT64_FORMAT
			    " files (archive_members): unpack it by other means if that is meant", limit(archive_members));
		return false;
	}
	if (r == ARCHIVE_EOF && !why) {
		if (!p->zip)
			check_end(p, o, (uint32_t)crc, damage);
		return true;
	}
	why = why ? why : packed_error(p);
	if (!o->size) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "the packed file is damaged: %s", why);
		return false;
	}
	tell(damage, "the packed file is damaged, %" G_GUINT64_FORMAT " bytes came out of it: %s", o->size, why);
	return true;
}

static bool unpack_archive(const struct file *file, struct output *o, char **damage, char **bound, GError **error)
{
	uint64_t member = !memcmp(file->map, "PK", 2) ? largest_member(file, o->until, damage, bound) : 0;
	struct packed p;
	bool ok = packed_open(&p, file, o->until);

	if (ok)
		ok = archive_copy(&p, o, member, damage, bound, error);
	else
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "no memory to unpack");
	packed_close(&p);
	return ok;
}

static uint64_t big_endian(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* Records of an offset, a length and the bytes to put there, up to one of -1. */
static bool unpack_flattened(const struct file *packed, struct output *o, char **damage, char **bound, GError **error)
{
	uint64_t at = FLAT_HEADER;

	for (unsigned n = 0; ; n++) {
		if (n % 1024 == 0 && packed_clock() > o->until) {	/* asking costs more than a record may */
			late(o, bound, error);
			return o->size;
		}
		struct range filled;
		/* A hole, of a stream that was packed itself, is records of nothing. */
		const bool more = file_next_filled(packed, at, &filled);
		if (!more || filled.start >= at + 16)
			at += ((more ? filled.start : packed->size) - at) / 16 * 16;
		struct bytes head = file_slice(packed, at, 16);
		uint64_t offset = head.bad ? 0 : big_endian(head.p), length = head.bad ? 0 : big_endian(head.p + 8);
		if (!head.bad && offset == UINT64_MAX)
			return true;
		struct bytes data = file_slice(packed, at + 16, MIN(length, packed->size - MIN(at + 16, packed->size)));
		if (length > INT64_MAX || offset > INT64_MAX) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
				    "flattened dump: record at 0x%" G_GINT64_MODIFIER "x: offset 0x%" G_GINT64_MODIFIER
				    "x, length 0x%" G_GINT64_MODIFIER "x: negative",
				    at, offset, length);
			return false;
		}
		if (!head.bad && !output_write(o, offset, data.p, data.n, error))
			return false;
		if (head.bad || data.n < length) {	/* what came before the cut is used */
			tell(damage, "flattened dump: the stream ends at 0x%" G_GINT64_MODIFIER "x, within a record", at);
			return true;
		}
		at += 16 + length;
	}
}

static struct file *unpack_once(const struct file *packed, enum packing packing, uint64_t outermost_size, int64_t until,
				char **damage, char **bound, GError **error)
{
	struct output o;

	if (!output_open(&o, packed->path, outermost_size, until, error)) {
		g_prefix_error(error, "%s: ", packed->path);
		return NULL;
	}
	if (!(packing == PACKING_ARCHIVE ? unpack_archive : unpack_flattened)(packed, &o, damage, bound, error)) {
		g_prefix_error(error, "%s: ", packed->path);
		close(o.fd);
		return NULL;
	}
	struct file *file = output_finish(&o, error);
	if (!file && *bound)
		g_prefix_error(error, "%s: ", *bound);
	return file;
}

struct file *unpack(struct file *packed, char **damage, char **bound, GError **error)
{
	/* All layers together: what one of them holds for nothing is work for the next. */
	const int64_t until = packed_clock() + (int64_t)MIN(limit_for(unpack_seconds, file_filled(packed)), 1u << 30) * G_USEC_PER_SEC;
	struct file *file = packed;
	enum packing packing;

	*damage = *bound = NULL;
	for (unsigned depth = 0; file && (packing = packing_of(file)) != PACKING_NONE; depth++) {
		struct file *outer = file;
		if (depth == UNPACK_DEPTH) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "%s: packed more than %" G_GUINT64_FORMAT " times over",
				    packed->path, UNPACK_DEPTH);
			file = NULL;
		} else {
			file = unpack_once(outer, packing, packed->size, until, damage, bound, error);
			if (file)	/* what was zeros in its place is in what came out */
				file->lost = outer->lost;
		}
		if (outer != packed)
			file_close(outer);
	}
	return file;
}
