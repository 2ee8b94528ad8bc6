/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVML's compressed images: LiME's header with a magic of its own and version 2, behind it the range as a snappy frame stream (chunks
 * of at most 64 KiB), then eight bytes that say how long the stream is. Ranges under LiME's own header (version 1) may stand between.
 */
#include <snappy-c.h>
#include <string.h>
#include "format.h"
#include "limit.h"

#define HEADER_SIZE 32u
#define MAGIC 0x4c4d5641u		/* "AVML" */
#define MAGIC_LIME 0x4c694d45u
#define CHUNK_MAX 65536u
#define SLOT_BITS 9u
#define CACHE_SLOTS (1u << SLOT_BITS)	/* chunks kept uncompressed: 32 MiB */

enum { CHUNK_COMPRESSED = 0x00, CHUNK_STORED = 0x01, CHUNK_SKIPPABLE = 0x80, CHUNK_IDENTIFIER = 0xff };

/*
 * Of one range, sorted by address at last. `offset` is where the data begins, behind its checksum, and `length` what it has in the file;
 * `size` bytes of memory, from `skip` of what it unpacks to: of a chunk that others lie over there may be several pieces.
 */
struct chunk { uint64_t start, offset, length : 24, skip : 16, size : 17, compressed : 1; };

struct slot { guint chunk; uint8_t *data; };	/* chunk + 1; 0 empty */

struct avml {
	struct image *image;
	GArray *chunks;
	bool cut;			/* there are more chunks than are taken */
	GMutex lock;			/* of the cache */
	struct slot cache[CACHE_SLOTS];
};

struct range_header { uint32_t magic, version; uint64_t first, last; bool bad; };

static struct range_header header_at(const struct file *file, uint64_t at)
{
	struct bytes b = file_slice(file, at, HEADER_SIZE);
	struct range_header h = { .magic = bytes_u32(&b), .version = bytes_u32(&b), .first = bytes_u64(&b), .last = bytes_u64(&b) };

	h.bad = b.bad;
	return h;
}

static bool avml_match(const struct file *file)
{
	struct range_header h = header_at(file, 0);

	/* LiME's version 1 first, then compressed ranges: AVML writes small files so. */
	if (h.bad || (h.magic == MAGIC_LIME && h.last < h.first))
		return false;
	if (h.magic == MAGIC)
		return true;
	uint64_t next = HEADER_SIZE + (h.last - h.first) + 1;
	return h.magic == MAGIC_LIME && next > HEADER_SIZE && next < file->size && header_at(file, next).magic == MAGIC;
}

static void add_chunk(struct avml *a, uint64_t start, uint64_t offset, uint64_t length, uint64_t size, bool compressed)
{
	struct chunk c = { .start = start, .offset = offset, .length = length & 0xffffff, .size = size & 0x1ffff, .compressed = compressed };

	if (a->chunks->len < limit32(avml_chunks)) {
		g_array_append_val(a->chunks, c);
		return;
	}
	if (!a->cut)
		image_note(a->image, FAULT_LIMIT, start, "AVML: more than %u chunks: the rest is left out", limit32(avml_chunks));
	a->cut = true;
}

static bool unpacked_length(struct bytes data, uint64_t *length)
{
	size_t n = 0;

	if (snappy_uncompressed_length((const char *)data.p, data.n, &n) != SNAPPY_OK)
		return false;
	*length = n;
	return true;
}

/* False: `data` is no snappy block, or not one of `size` bytes. */
static bool unpack(struct bytes data, uint8_t *to, size_t size)
{
	size_t n = size;

	return snappy_uncompress((const char *)data.p, data.n, (char *)to, &n) == SNAPPY_OK && n == size;
}

/* The chunks of a range of `size` bytes whose stream begins at `at`; where the stream ends. What was not there is added to bytes_missing. */
static uint64_t read_stream(struct avml *a, uint64_t at, uint64_t start, uint64_t size)
{
	const struct file *file = a->image->file;
	uint64_t done = 0;

	while (done < size) {
		struct bytes head = file_slice(file, at, 4);
		uint8_t type = bytes_u8(&head);
		uint64_t stored = bytes_le(&head, 3), length;
		struct bytes data = file_slice(file, at + 4, stored);
		if (head.bad || data.bad || (type > CHUNK_STORED && type < CHUNK_SKIPPABLE)) {
			image_note(a->image, head.bad || data.bad ? FAULT_NOT_IN_DUMP : FAULT_IMPLAUSIBLE, start + done,
				   "AVML: the chunk at 0x%" G_GINT64_MODIFIER "x (type 0x%x, %" G_GUINT64_FORMAT " bytes) is %s: %" G_GUINT64_FORMAT
				   " bytes of its range are left out", at, type, stored, head.bad || data.bad ? "past the end of the file" : "of no known type", size - done);
			break;
		}
		at += 4 + stored;
		if (type > CHUNK_STORED)
			continue;
		bytes_take(&data, 4);		/* a checksum */
		length = data.n;
		if (data.bad || (type == CHUNK_COMPRESSED && !unpacked_length(data, &length)) || !length || length > CHUNK_MAX || length > size - done) {
			image_note(a->image, FAULT_IMPLAUSIBLE, start + done, "AVML: the chunk at 0x%" G_GINT64_MODIFIER "x gives %" G_GUINT64_FORMAT
				   " bytes, not within 1-%" G_GUINT64_FORMAT ": the rest of its range is left out", at - 4 - stored, length,
				   MIN(size - done, CHUNK_MAX));
			break;
		}
		add_chunk(a, start + done, at - data.n, data.n, length, type == CHUNK_COMPRESSED);
		done += length;
	}
	if (done < size)
		image_add_missing(a->image, start + done, size - done);
	if (done & ~(uint64_t)PAGE_MASK)
		image_add_range(a->image, (pa_t){ start }, done & ~(uint64_t)PAGE_MASK, start);
	return at;
}

static uint64_t read_stored(struct avml *a, uint64_t at, uint64_t start, uint64_t size)
{
	uint64_t there = at < a->image->file->size ? MIN(size, a->image->file->size - at) : 0;

	for (uint64_t done = 0; done < there; done += CHUNK_MAX)
		add_chunk(a, start + done, at + done, MIN(CHUNK_MAX, there - done), MIN(CHUNK_MAX, there - done), false);
	if (there < size)
		image_add_missing(a->image, start + there, size - there);
	if (there & ~(uint64_t)PAGE_MASK)
		image_add_range(a->image, (pa_t){ start }, there & ~(uint64_t)PAGE_MASK, start);
	return at + there;
}

/* As segments, for segments_settle: the chunk's number, and how far into what it unpacks to. */
#define SEGMENT_SHIFT 16

/* Sort the chunks and make them disjoint; where ranges lie over each other, the first in the file has the memory. */
static void settle_chunks(struct avml *a)
{
	GArray *in = a->chunks, *segments;
	uint64_t first = 0;
	bool ordered = true;

	for (guint i = 1; i < in->len && ordered; i++) {
		const struct chunk *c = &g_array_index(in, struct chunk, i);
		ordered = c->start >= c[-1].start + c[-1].size;
	}
	if (ordered)
		return;
	segments = g_array_sized_new(FALSE, FALSE, sizeof(struct segment), in->len);
	for (guint i = 0; i < in->len; i++) {
		const struct chunk *c = &g_array_index(in, struct chunk, i);
		struct segment s = { c->start, c->size, (uint64_t)i << SEGMENT_SHIFT };
		g_array_append_val(segments, s);
	}
	const uint64_t twice = segments_settle(&segments, &first);
	a->chunks = g_array_sized_new(FALSE, FALSE, sizeof(struct chunk), in->len);
	for (guint i = 0; i < segments->len; i++) {
		const struct segment *s = &g_array_index(segments, struct segment, i);
		/* Full chunks that follow each other have become one. */
		for (uint64_t done = 0; done < s->length; ) {
			const uint64_t at = s->offset + done;
			struct chunk c = g_array_index(in, struct chunk, at >> SEGMENT_SHIFT);
			c.start = s->start + done;
			c.skip = at & 0xffff;
			c.size = MIN((uint64_t)(c.size - c.skip), s->length - done) & 0x1ffff;
			g_array_append_val(a->chunks, c);
			done += c.size;
		}
	}
	g_array_free(segments, TRUE);
	g_array_free(in, TRUE);
	if (twice)
		image_note(a->image, FAULT_IMPLAUSIBLE, first, "AVML: the headers list %" G_GUINT64_FORMAT
			   " bytes of physical memory more than once: what they list first is used", twice);
}

static bool avml_open(struct image *image, GError **error)
{
	struct avml *a = image->format_data = g_new0(struct avml, 1);
	const struct file *file = image->file;
	unsigned n = 0, compressed = 0;
	uint64_t at = 0;

	a->image = image;
	a->chunks = g_array_new(FALSE, FALSE, sizeof(struct chunk));
	g_mutex_init(&a->lock);
	image->facts.format = "avml";
	for (; at < file->size && n < limit32(lime_ranges); n++) {
		struct range_header h = header_at(file, at);
		uint64_t size = h.last - h.first + 1;
		if (h.bad || (h.magic != MAGIC && h.magic != MAGIC_LIME) || h.last < h.first || !size || h.first >> 52 || h.first & PAGE_MASK) {
			if (!n) {
				g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "AVML header at 0x0: magic 0x%x, 0x%" G_GINT64_MODIFIER "x-0x%"
					    G_GINT64_MODIFIER "x: no range of memory", h.magic, h.first, h.last);
				return false;
			}
			image_note(image, FAULT_NOT_IN_DUMP, 0, "AVML header %u at 0x%" G_GINT64_MODIFIER "x: magic 0x%x, 0x%" G_GINT64_MODIFIER "x-0x%"
				   G_GINT64_MODIFIER "x: no range of memory, the ranges before it are used", n, at, h.magic, h.first, h.last);
			break;
		}
		if (h.magic == MAGIC_LIME) {
			at = read_stored(a, at + HEADER_SIZE, h.first, size);
			continue;
		}
		compressed++;
		if (h.version != 2)
			image_remark(image, h.first, "AVML header %u at 0x%" G_GINT64_MODIFIER "x: version %u, not 2: read as 2", n, at, h.version);
		uint64_t begins = at + HEADER_SIZE, end = read_stream(a, begins, h.first, size);
		struct bytes tail = file_slice(file, end, 8);
		uint64_t said = bytes_u64(&tail);
		/* A stream that is not as it says: where it should end, the next range may be whole. */
		if (!tail.bad && said != end - begins)
			image_remark(image, h.first, "AVML: the stream at 0x%" G_GINT64_MODIFIER "x has %" G_GUINT64_FORMAT " bytes, behind it stands %"
				     G_GUINT64_FORMAT, begins, end - begins, said);
		at = end + 8;
	}
	if (!image->segments->len) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "AVML: %u headers, none has a page that is in the file", n);
		return false;
	}
	if (n == limit32(lime_ranges) && at < file->size)
		image_note(image, FAULT_LIMIT, 0, "AVML: more than %u ranges: the rest is left out", n);
	settle_chunks(a);
	image->facts.detail = g_strdup_printf("version 2, %u of %u ranges compressed", compressed, n);
	return true;
}

static void avml_close(struct image *image)
{
	struct avml *a = image->format_data;

	if (!a)
		return;
	for (unsigned i = 0; i < CACHE_SLOTS; i++)
		g_free(a->cache[i].data);
	g_array_free(a->chunks, TRUE);
	g_mutex_clear(&a->lock);
	g_free(a);
}

/* The last chunk that begins at or before pa. */
static const struct chunk *chunk_at(const struct avml *a, uint64_t pa)
{
	guint low = 0, high = a->chunks->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(a->chunks, struct chunk, mid).start <= pa)
			low = mid + 1;
		else
			high = mid;
	}
	const struct chunk *c = low ? &g_array_index(a->chunks, struct chunk, low - 1) : NULL;
	return c && pa - c->start < c->size ? c : NULL;
}

/* ---- checksums: CRC-32C, as snappy's frames have it */

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_processor(uint32_t crc, const uint8_t *p, size_t n)
{
	for (uint64_t word; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		crc = (uint32_t)__builtin_ia32_crc32di(crc, word);
	}
	for (; n; n--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *p, size_t n)
{
	static uint32_t table[256];
	static gsize made;

	if (g_once_init_enter(&made)) {
		for (uint32_t i = 0; i < G_N_ELEMENTS(table); i++) {
			table[i] = i;
			for (unsigned bit = 0; bit < 8; bit++)
				table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0);
		}
		g_once_init_leave(&made, 1);
	}
	for (; n; n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

/* Masked, so that a checksum of what has checksums in it tells something. */
static uint32_t checksum_of(const uint8_t *p, size_t n)
{
#ifdef __x86_64__
	const uint32_t crc = ~(__builtin_cpu_supports("sse4.2") ? crc32c_by_processor : crc32c_by_table)(UINT32_MAX, p, n);
#else
	const uint32_t crc = ~crc32c_by_table(UINT32_MAX, p, n);
#endif

	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Bytes of one chunk, from `from` of what it unpacks to. */
static enum fault read_chunk(struct avml *a, const struct chunk *c, uint64_t from, uint8_t *to, size_t length)
{
	struct bytes data = file_slice(a->image->file, c->offset, c->length);
	guint number = (guint)(c - (const struct chunk *)(const void *)a->chunks->data);
	struct slot *slot = &a->cache[image_slot(a->image, number, SLOT_BITS)];

	if (!c->compressed) {
		memcpy(to, data.p + from, length);
		return FAULT_NONE;
	}
	g_mutex_lock(&a->lock);
	bool cached = slot->chunk == number + 1;
	if (cached)
		memcpy(to, slot->data + from, length);
	g_mutex_unlock(&a->lock);
	if (cached)
		return FAULT_NONE;
	/* Outside the lock: threads that want the same chunk do it twice, none waits. */
	uint64_t size = 0;
	if (!unpacked_length(data, &size) || size > CHUNK_MAX || size < c->skip + c->size)
		return FAULT_IMPLAUSIBLE;
	uint8_t *bytes = g_malloc(size);
	if (!unpack(data, bytes, size)) {
		g_free(bytes);
		return FAULT_IMPLAUSIBLE;
	}
	struct bytes said = file_slice(a->image->file, c->offset - 4, 4);
	if (bytes_u32(&said) != checksum_of(bytes, size))	/* most of its bytes may be as they were */
		image_damaged(a->image, c->start);
	memcpy(to, bytes + from, length);
	g_mutex_lock(&a->lock);
	uint8_t *old = slot->data;
	*slot = (struct slot){ number + 1, bytes };
	g_mutex_unlock(&a->lock);
	g_free(old);
	return FAULT_NONE;
}

static enum fault avml_read_page(struct image *image, uint64_t pfn, void *page)
{
	struct avml *a = image->format_data;
	uint64_t pa = pfn * PAGE_SIZE;

	for (size_t done = 0; done < PAGE_SIZE; ) {
		const struct chunk *c = chunk_at(a, pa + done);
		if (!c)
			return FAULT_NOT_IN_DUMP;
		uint64_t from = pa + done - c->start;
		size_t n = (size_t)MIN(PAGE_SIZE - done, c->size - from);
		enum fault fault = read_chunk(a, c, c->skip + from, (uint8_t *)page + done, n);
		if (fault)
			return fault;
		done += n;
	}
	return FAULT_NONE;
}

const struct format format_avml = {
	.name = "avml",
	.doc = "a compressed AVML image",
	.match = avml_match,
	.open = avml_open,
	.close = avml_close,
	.read_page = avml_read_page,
};
