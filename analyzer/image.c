/* SPDX-License-Identifier: Apache-2.0 */
#include "image.h"
#include "page_file.h"
#include <errno.h>
#include <string.h>
#include "format.h"
#include "limit.h"
#include "unpack.h"

const char *architecture_name(enum architecture architecture)
{
	static const char *const names[] = {
		[ARCH_X64] = "x64", [ARCH_X86] = "x86", [ARCH_X86_PAE] = "x86-pae", [ARCH_ARM64] = "arm64",
	};

	return (unsigned)architecture < G_N_ELEMENTS(names) ? names[architecture] : NULL;
}

static void note_free(void *data)
{
	struct image_note *note = data;

	g_free(note->message);
	g_free(note);
}

bool image_note_harms(const struct image_note *note)
{
	return !note->harmless && (note->fault == FAULT_NOT_IN_DUMP || note->fault == FAULT_IMPLAUSIBLE || note->fault == FAULT_LIMIT);
}

static struct image_note *keep_note(struct image *image, struct image_note note)
{
	struct image_note *kept = g_memdup2(&note, sizeof(note));

	g_ptr_array_add(image->notes, kept);
	return kept;
}

/* One more than are kept: the note that counts these does as much harm as the worst of them. */
static void count_note(struct image *image, const struct image_note *note)
{
	if (!image->notes_beyond)
		image->notes_beyond = keep_note(image, (struct image_note){ .fault = FAULT_IMPLAUSIBLE, .harmless = true });
	image->notes_counted++;
	image->harm_counted += image_note_harms(note);
	if (image->harm_counted) {
		image->notes_beyond->harmless = false;
		image->notes_beyond->fault = FAULT_LIMIT;
	}
	g_free(image->notes_beyond->message);
	image->notes_beyond->message = g_strdup_printf("more than %u notes on how the file is read: %u others are left out, %u of them on what could not be read (image_notes)",
						       limit32(image_notes), image->notes_counted, image->harm_counted);
}

/*
 * Remarks don't push out what was lost: so many of each are kept. That a limit bit is kept in any case: no reader says so more than
 * a few times.
 */
static G_GNUC_PRINTF(3, 0) void add_note(struct image *image, struct image_note note, const char *format, va_list ap)
{
	uint32_t *kept = &image->notes_kept[image_note_harms(&note)];

	if (*kept >= limit(image_notes) && note.fault != FAULT_LIMIT) {
		count_note(image, &note);
		return;
	}
	++*kept;
	note.message = g_strdup_vprintf(format, ap);
	keep_note(image, note);
}

void image_note(struct image *image, enum fault fault, uint64_t address, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_note(image, (struct image_note){ .fault = fault, .address = address }, format, ap);
	va_end(ap);
}

void image_remark(struct image *image, uint64_t address, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	add_note(image, (struct image_note){ .fault = FAULT_IMPLAUSIBLE, .address = address, .harmless = true }, format, ap);
	va_end(ap);
}

const char *image_limit_note(const struct image *image)
{
	for (guint i = 0; i < image->notes->len; i++) {
		const struct image_note *note = g_ptr_array_index(image->notes, i);
		if (note->fault == FAULT_LIMIT && note != image->notes_beyond)
			return note->message;
	}
	return NULL;
}

void image_add_missing(struct image *image, uint64_t start, uint64_t length)
{
	if (!image->bytes_missing)
		image->first_missing = start;
	/* Crafted ranges may sum up to 2^64, which is not nothing. */
	image->bytes_missing += MIN(length, UINT64_MAX - image->bytes_missing);
}

/* Cut a range to the address space and, where pages are mapped, to the file. */
static bool clip(struct image *image, bool encoded, uint64_t start, uint64_t *length, uint64_t offset)
{
	if (*length > UINT64_MAX - start)
		*length = UINT64_MAX - start;
	if (encoded)
		return *length > 0;
	uint64_t there = offset < image->file->size ? image->file->size - offset : 0;
	if (*length > there) {
		image_add_missing(image, start + there, *length - there);
		*length = there;
	}
	return *length > 0;
}

#define PHYSICAL_END (UINT64_C(1) << 52)	/* neither x86 nor ARM addresses more */

void image_add_range(struct image *image, pa_t start, uint64_t length, uint64_t offset)
{
	if (!clip(image, image->format->read_page, start.v, &length, offset))
		return;
	const uint64_t room = start.v < PHYSICAL_END ? PHYSICAL_END - start.v : 0;
	if (length > room) {
		image_note(image, FAULT_IMPLAUSIBLE, start.v + room, "memory at 0x%" G_GINT64_MODIFIER "x-0x%" G_GINT64_MODIFIER
			   "x: what lies above 52 bits is no physical memory and left out", start.v, start.v + (length - 1));
		length = room;
	}
	if (!length)
		return;
	if (image->segments->len) {
		struct segment *last = &g_array_index(image->segments, struct segment, image->segments->len - 1);
		if (last->start + last->length == start.v && last->offset + last->length == offset) {
			last->length += length;
			return;
		}
	}
	struct segment s = { start.v, length, offset };
	g_array_append_val(image->segments, s);
}

void image_add_virtual(struct image *image, va_t start, uint64_t length, uint64_t offset)
{
	if (!clip(image, false, start.v, &length, offset))
		return;
	if (!image->virtual_segments)
		image->virtual_segments = g_array_new(FALSE, FALSE, sizeof(struct segment));
	struct segment s = { start.v, length, offset };
	g_array_append_val(image->virtual_segments, s);
}

/* One end of a segment, by position; of those at one position ends come first. */
struct edge { uint64_t at; guint segment; bool begins; };

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->at != y->at ? (x->at > y->at) - (x->at < y->at) : (int)x->begins - (int)y->begins;
}

static int compare_numbers(const void *a, const void *b, void *data)
{
	(void)data;
	return (GPOINTER_TO_UINT(a) > GPOINTER_TO_UINT(b)) - (GPOINTER_TO_UINT(a) < GPOINTER_TO_UINT(b));
}

/*
 * Almost every dump is in order already and costs one comparison a segment; else one sweep over the ends of all, with the segments
 * around each position in a tree by number.
 */
uint64_t segments_settle(GArray **segments, uint64_t *first_overlap)
{
	GArray *in = *segments;
	bool ordered = true;

	for (guint i = 1; i < in->len && ordered; i++) {
		const struct segment *a = &g_array_index(in, struct segment, i - 1), *b = a + 1;
		ordered = b->start >= a->start && b->start - a->start >= a->length;
	}
	if (ordered)
		return 0;

	GArray *edges = g_array_sized_new(FALSE, FALSE, sizeof(struct edge), 2 * in->len);
	for (guint i = 0; i < in->len; i++) {
		const struct segment *s = &g_array_index(in, struct segment, i);
		struct edge ends[2] = { { s->start, i, true }, { s->start + s->length, i, false } };
		g_array_append_vals(edges, ends, 2);
	}
	g_array_sort(edges, compare_edges);
	GTree *around = g_tree_new_full(compare_numbers, NULL, NULL, NULL);
	GArray *out = g_array_sized_new(FALSE, FALSE, sizeof(struct segment), in->len);
	uint64_t overlap = 0;
	for (guint i = 0; i + 1 < edges->len; i++) {
		const struct edge *e = &g_array_index(edges, struct edge, i);
		if (e->begins)
			g_tree_insert(around, GUINT_TO_POINTER(e->segment), NULL);
		else
			g_tree_remove(around, GUINT_TO_POINTER(e->segment));
		uint64_t length = e[1].at - e->at;
		GTreeNode *first = g_tree_node_first(around);
		if (!length || !first)
			continue;
		const struct segment *s = &g_array_index(in, struct segment, GPOINTER_TO_UINT(g_tree_node_key(first)));
		struct segment piece = { e->at, length, s->offset + (e->at - s->start) };
		struct segment *last = out->len ? &g_array_index(out, struct segment, out->len - 1) : NULL;
		if (last && last->start + last->length == piece.start && last->offset + last->length == piece.offset)
			last->length += length;
		else
			g_array_append_val(out, piece);
		GTreeNode *second = g_tree_node_next(first);
		if (!second)
			continue;
		/* ELF cores written with paging name the same bytes for each mapping: that is no lie. */
		const struct segment *o = &g_array_index(in, struct segment, GPOINTER_TO_UINT(g_tree_node_key(second)));
		if (o->offset - o->start == s->offset - s->start)
			continue;
		if (!overlap)
			*first_overlap = e->at;
		overlap += length;
	}
	g_tree_destroy(around);
	g_array_free(edges, TRUE);
	g_array_free(in, TRUE);
	*segments = out;
	return overlap;
}

/* Memory by its place in the file, or the other way round. */
static void turn(GArray *segments)
{
	for (guint i = 0; i < segments->len; i++) {
		struct segment *s = &g_array_index(segments, struct segment, i);
		*s = (struct segment){ s->offset, s->length, s->start };
	}
}

/*
 * A byte of the file is at one address alone: a header of 50 MB whose million ranges all name the whole file would make
 * terabytes of it, which take hours.
 */
static void settle_in_file(struct image *image, GArray **segments)
{
	uint64_t first = 0;

	turn(*segments);
	uint64_t twice = segments_settle(segments, &first);
	turn(*segments);
	segments_settle(segments, &first);	/* in order of addresses again */
	if (twice)
		image_note(image, FAULT_IMPLAUSIBLE, 0, "the header gives %" G_GUINT64_FORMAT " bytes of the file, from 0x%" G_GINT64_MODIFIER
			   "x on, to more than one address: they are at the lowest", twice, first);
}

/* Memory that its format packs is bounded as packed dumps are: sets of 23 bytes each make 64 KiB in a hibernation file, and pack well themselves. */
static void bound_packed(struct image *image)
{
	const uint64_t most = unpack_bound(image->container->size);
	uint64_t bytes = 0;

	for (guint i = 0; i < image->segments->len; i++) {
		struct segment *s = &g_array_index(image->segments, struct segment, i);
		if (s->length <= most - bytes) {
			bytes += s->length;
			continue;
		}
		s->length = (most - bytes) & ~(uint64_t)PAGE_MASK;
		image_note(image, FAULT_LIMIT, s->start + s->length, "more memory than %" G_GUINT64_FORMAT " bytes, the bound for %" G_GUINT64_FORMAT
			   " packed ones: what lies above is left out", most, image->container->size);
		g_array_set_size(image->segments, s->length ? i + 1 : i);
		break;
	}
}

#define HONEST_RATIO 20u	/* memory packs 3 to 20 times */

static uint64_t count_filled(struct image *image)
{
	struct range range = { 0, 0 };
	uint64_t bytes = 0;

	for (pa_t at = { 0 }; image_next_filled(image, at, &range); at.v = range.start + range.length)
		bytes += range.length;
	return bytes;
}

void image_settle(struct image *image)
{
	uint64_t first = 0, twice = segments_settle(&image->segments, &first);

	if (twice)
		image_note(image, FAULT_IMPLAUSIBLE, first,
			   "the header lists %" G_GUINT64_FORMAT " bytes of physical memory more than once: what it lists first is used",
			   twice);
	if (image->format->read_page)
		bound_packed(image);
	else
		settle_in_file(image, &image->segments);
	if (image->virtual_segments) {
		segments_settle(&image->virtual_segments, &first);	/* that triage dumps hold virtual memory twice is normal */
		settle_in_file(image, &image->virtual_segments);
	}
	image->bytes_present = 0;
	for (guint i = 0; i < image->segments->len; i++)
		image->bytes_present += g_array_index(image->segments, struct segment, i).length;
	image->bytes_filled = count_filled(image);
	if (image->format->read_page)	/* that it packs a thousand to one gives it no more time */
		image->bytes_filled = MIN(image->bytes_filled, HONEST_RATIO * file_filled(image->container));
}

void image_add_file(struct image *image, struct file *file)
{
	g_ptr_array_add(image->files, file);
}

struct image *image_open(const char *path, bool plain, GError **error)
{
	g_autofree char *damage = NULL, *bound = NULL;
	struct file *container = file_open(path, error);
	struct file *file = plain || !container ? container : unpack(container, &damage, &bound, error);

	if (!file) {
		file_close(container);
		return NULL;
	}
	struct image *image = g_new0(struct image, 1);
	image->files = g_ptr_array_new_with_free_func((GDestroyNotify)file_close);
	image_add_file(image, container);
	if (file != container)
		image_add_file(image, file);
	image->file = file;
	image->container = container;
	image->plain = plain;
	image->slot_seed = (uint64_t)g_random_int() << 32 | g_random_int();
	image->segments = g_array_new(FALSE, FALSE, sizeof(struct segment));
	image->notes = g_ptr_array_new_with_free_func(note_free);
	if (damage)
		image_note(image, FAULT_NOT_IN_DUMP, 0, "%s", damage);
	if (bound)
		image_note(image, FAULT_LIMIT, 0, "%s", bound);
	for (const struct format *const *f = formats; *f; f++)
		if (plain ? (*f)->plain && file->size >= PAGE_SIZE : (*f)->match(file)) {
			image->format = *f;
			break;
		}
	if (!image->format) {
		g_autoptr(GString) known = g_string_new(NULL);
		const char *what = NULL, *less = damage ? damage : bound;
		for (const struct format *const *f = formats; *f; f++) {
			g_string_append_printf(known, "%s%s", known->len ? ", " : "", (*f)->doc);
			what = !what && (*f)->other ? (*f)->other(file) : what;
		}
		if (what)
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "%s: no memory dump, but %s (--raw: plain memory that only begins so)", path, what);
		else
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT, "%s: %s%sno memory dump: %" G_GUINT64_FORMAT " bytes are less than a page; "
				    "looked for %s", path, less ? less : "", less ? ": " : "", file->size, known->str);
		image_close(image);
		return NULL;
	}
	if (!image->format->open(image, error)) {
		const char *bit = image_limit_note(image);
		g_prefix_error(error, "%s: %s%s", path, bit ? bit : "", bit ? ": " : "");
		image_close(image);
		return NULL;
	}
	if (image->bytes_missing)
		image_note(image, FAULT_NOT_IN_DUMP, image->first_missing,
			   /* Nothing tells a file that was cut off from one that lost a piece within it. */
			   "%s: %" G_GUINT64_FORMAT " bytes of the memory its header lists are missing%s",
			   image->missing_why ? image->missing_why : "the file is too short", image->bytes_missing,
			   image->missing_why ? "" : ", the last ones unless it lost others: then all behind those is misplaced");
	image_settle(image);
	return image;
}

static void driver_clear(void *driver)
{
	g_free(((struct image_driver *)driver)->name);
}

static void unloaded_driver_clear(void *driver)
{
	g_free(((struct image_unloaded_driver *)driver)->name);
}

struct image_triage *image_triage_create(void)
{
	struct image_triage *triage = g_new0(struct image_triage, 1);

	triage->drivers = g_array_new(FALSE, TRUE, sizeof(struct image_driver));
	g_array_set_clear_func(triage->drivers, driver_clear);
	triage->unloaded_drivers = g_array_new(FALSE, TRUE, sizeof(struct image_unloaded_driver));
	g_array_set_clear_func(triage->unloaded_drivers, unloaded_driver_clear);
	return triage;
}

static void triage_destroy(struct image_triage *triage)
{
	if (!triage)
		return;
	g_array_free(triage->drivers, TRUE);
	g_array_free(triage->unloaded_drivers, TRUE);
	g_free(triage->process_name);
	g_free(triage);
}

static void module_clear(void *data)
{
	struct minidump_module *module = data;

	g_free(module->name);
	g_free(module->pdb_name);
}

static void unloaded_module_clear(void *data)
{
	g_free(((struct minidump_unloaded_module *)data)->name);
}

static void thread_clear(void *data)
{
	g_free(((struct minidump_thread *)data)->name);
}

static void handle_clear(void *data)
{
	struct minidump_handle *handle = data;

	g_free(handle->type);
	g_free(handle->name);
}

static GArray *array_of(size_t size, GDestroyNotify clear)
{
	GArray *array = g_array_new(FALSE, TRUE, (guint)size);

	if (clear)
		g_array_set_clear_func(array, clear);
	return array;
}

struct image_minidump *image_minidump_create(void)
{
	struct image_minidump *m = g_new0(struct image_minidump, 1);

	m->modules = array_of(sizeof(struct minidump_module), module_clear);
	m->unloaded_modules = array_of(sizeof(struct minidump_unloaded_module), unloaded_module_clear);
	m->regions = array_of(sizeof(struct minidump_region), NULL);
	m->threads = array_of(sizeof(struct minidump_thread), thread_clear);
	m->handles = array_of(sizeof(struct minidump_handle), handle_clear);
	return m;
}

static void minidump_destroy(struct image_minidump *m)
{
	if (!m)
		return;
	g_array_free(m->modules, TRUE);
	g_array_free(m->unloaded_modules, TRUE);
	g_array_free(m->regions, TRUE);
	g_array_free(m->threads, TRUE);
	g_array_free(m->handles, TRUE);
	g_free(m->service_pack);
	g_free(m);
}

void image_close(struct image *image)
{
	if (!image)
		return;
	if (image->format && image->format->close)
		image->format->close(image);
	g_array_free(image->segments, TRUE);
	if (image->virtual_segments)
		g_array_free(image->virtual_segments, TRUE);
	triage_destroy(image->triage);
	minidump_destroy(image->minidump);
	g_ptr_array_free(image->notes, TRUE);
	if (image->page_files)
		g_ptr_array_free(image->page_files, TRUE);
	g_free(image->facts.detail);
	g_free(image->facts.secondary_data);
	g_free(image->facts.registers);
	g_free(image->facts.comment);
	if (image->facts.cpus)
		g_array_free(image->facts.cpus, TRUE);
	g_ptr_array_free(image->files, TRUE);
	g_free(image);
}

/* Index of the last segment that starts at or before `at`, or -1. */
static gssize segment_at(const GArray *segments, uint64_t at)
{
	guint low = 0, high = segments->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(segments, struct segment, mid).start <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return (gssize)low - 1;
}

static const struct segment *segment_of(const GArray *segments, uint64_t at)
{
	gssize i = segment_at(segments, at);

	if (i < 0)
		return NULL;
	const struct segment *s = &g_array_index(segments, struct segment, i);
	return at - s->start < s->length ? s : NULL;
}

static enum fault read_mapped(const struct file *file, const GArray *segments, uint64_t at, uint8_t *to, size_t length)
{
	while (length) {
		const struct segment *s = segment_of(segments, at);
		if (!s)
			return FAULT_NOT_IN_DUMP;
		size_t n = (size_t)MIN((uint64_t)length, s->length - (at - s->start));
		memcpy(to, file->map + s->offset + (at - s->start), n);
		to += n;
		at += n;	/* may wrap to 0: no segment lies there unless it is real */
		length -= n;
	}
	return FAULT_NONE;
}

/* What has no physical memory is addressed by virtual address. */
static const GArray *memory_of(const struct image *image)
{
	return image->segments->len || !image->virtual_segments ? image->segments : image->virtual_segments;
}

static enum fault read_page_file(const struct image *image, pa_t pa, uint8_t *to, size_t length)
{
	while (length) {
		size_t n = MIN(length, PAGE_SIZE - (size_t)(pa.v & PAGE_MASK));
		const uint8_t *bytes = page_file_bytes(image, pa);
		if (!bytes)
			return FAULT_NOT_IN_DUMP;
		memcpy(to, bytes, n);
		to += n;
		pa.v += n;
		length -= n;
	}
	return FAULT_NONE;
}

enum fault image_read(struct image *image, pa_t pa, void *buffer, size_t length)
{
	if (page_file_holds(image, pa))
		return read_page_file(image, pa, buffer, length);
	if (!image->format->read_page)
		return read_mapped(image->file, memory_of(image), pa.v, buffer, length);

	uint8_t page[PAGE_SIZE], *to = buffer;
	while (length) {
		size_t in = pa.v & PAGE_MASK, n = MIN(length, PAGE_SIZE - in);
		if (!segment_of(memory_of(image), pa.v))
			return FAULT_NOT_IN_DUMP;
		enum fault fault = image->format->read_page(image, pa.v / PAGE_SIZE, page);
		if (fault)
			return fault;
		memcpy(to, page + in, n);
		to += n;
		pa.v += n;
		length -= n;
	}
	return FAULT_NONE;
}

const uint8_t *image_page(struct image *image, pa_t pa, void *scratch)
{
	pa.v &= ~(uint64_t)PAGE_MASK;
	if (page_file_holds(image, pa))
		return page_file_bytes(image, pa);
	const struct segment *s = segment_of(memory_of(image), pa.v);
	if (!s)
		return NULL;
	if (!image->format->read_page && s->length - (pa.v - s->start) >= PAGE_SIZE)
		return image->file->map + s->offset + (pa.v - s->start);
	if (!scratch)
		return NULL;
	if (image->format->read_page)
		return image->format->read_page(image, pa.v / PAGE_SIZE, scratch) ? NULL : scratch;
	return read_mapped(image->file, memory_of(image), pa.v, scratch, PAGE_SIZE) ? NULL : scratch;
}

enum fault image_read_virtual(struct image *image, va_t va, void *buffer, size_t length)
{
	if (!image->virtual_segments)
		return FAULT_NOT_IN_DUMP;
	return read_mapped(image->file, image->virtual_segments, va.v, buffer, length);
}

bool image_has(const struct image *image, pa_t pa)
{
	return segment_of(memory_of(image), pa.v);
}

/* Index of the segment that `at` lies in, or else of the first one above; their number: there is none. */
static guint segment_from(const GArray *segments, uint64_t at)
{
	gssize i = segment_at(segments, at);

	if (i < 0 || at - g_array_index(segments, struct segment, i).start >= g_array_index(segments, struct segment, i).length)
		i++;
	return (guint)i;
}

bool image_next(const struct image *image, pa_t pa, pa_t *out)
{
	const GArray *segments = memory_of(image);
	guint i = segment_from(segments, pa.v);

	if (i >= segments->len)
		return false;
	out->v = MAX(pa.v, g_array_index(segments, struct segment, i).start);
	return true;
}

bool image_next_range(struct image *image, pa_t pa, struct range *out)
{
	const GArray *segments = memory_of(image);
	guint i = segment_from(segments, pa.v);

	if (i >= segments->len)
		return false;
	const struct segment *s = &g_array_index(segments, struct segment, i);
	out->start = MAX(pa.v, s->start);
	uint64_t end = s->start + s->length;
	for (i++; i < segments->len; i++) {
		s = &g_array_index(segments, struct segment, i);
		if (s->start != end)
			break;
		end += s->length;
	}
	out->length = end - out->start;
	return true;
}

/* What is filled of a segment from `skip` on, up to the next hole, as an offset into it. File: NULL where pages are encoded. */
static bool filled_part(const struct file *file, const struct segment *s, uint64_t skip, struct range *out)
{
	if (!file) {	/* encoded: no holes */
		*out = (struct range){ skip, s->length - skip };
		return true;
	}
	if (!file_next_filled(file, s->offset + skip, out) || out->start - s->offset >= s->length)
		return false;
	out->start -= s->offset;
	out->length = MIN(out->length, s->length - out->start);
	return true;
}

bool image_next_filled(struct image *image, pa_t pa, struct range *out)
{
	const struct file *file = image->format->read_page ? NULL : image->file;
	const GArray *segments = memory_of(image);
	struct range part;

	for (guint i = (guint)MAX(segment_at(segments, pa.v), 0); i < segments->len; i++) {
		const struct segment *s = &g_array_index(segments, struct segment, i);
		uint64_t skip = pa.v > s->start ? pa.v - s->start : 0;
		if (skip >= s->length || !filled_part(file, s, skip, &part))
			continue;
		uint64_t start = s->start + part.start, end = start + part.length, page = start & ~(uint64_t)PAGE_MASK;
		/* The rest of the first page may lie in a hole, or in the segment before. */
		out->start = page == start || (page >= pa.v && segment_of(segments, page)) ? page : page + PAGE_SIZE;
		if (out->start >= end || out->start < page)	/* behind it, or behind the last page of all addresses */
			continue;
		out->length = MIN((end - 1) | PAGE_MASK, s->start + (s->length - 1)) - out->start + 1;
		return true;
	}
	return false;
}

bool image_search_ask(struct image *image)
{
	/* Asking for the time takes a tenth of what a page takes: of each so many looks, whatever their addresses. */
	if (image->search_until && !image->search_ended && !(image->searched++ & 0xff))
		image->search_ended = g_get_monotonic_time() > image->search_until;
	return image_search_over(image);
}

const uint8_t *image_search_page(struct image *image, pa_t pa, void *scratch)
{
	return image_search_ask(image) ? NULL : image_page(image, pa, scratch);
}

void image_damaged(struct image *image, uint64_t address)
{
	uint64_t now = __atomic_load_n(&image->damaged, __ATOMIC_RELAXED);

	while ((!now || address + 1 < now) && !__atomic_compare_exchange_n(&image->damaged, &now, address + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

bool image_lost(const struct image *image, GError **error)
{
	const uint64_t damaged = __atomic_load_n(&image->damaged, __ATOMIC_RELAXED);

	for (guint i = 0; i < image->files->len; i++) {
		const struct file *file = g_ptr_array_index(image->files, i);
		if (!file->lost)
			continue;
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO,
			    "%s: %d pages of the file could not be read: it shrank or its disk fails", file->path, file->lost);
		return true;
	}
	if (damaged)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_IO, "%s: memory from 0x%" G_GINT64_MODIFIER "x on is damaged: parts of it have another checksum than the file says, "
			    "and are read as they are", image->container->path, damaged - 1);
	return damaged;
}
