/* SPDX-License-Identifier: Apache-2.0 */
/*
 * User-mode minidumps (MDMP): a directory of streams, each a list about one process,
 * and its memory by virtual address. Layouts are those of minidumpapiset.h.
 *
 * Streams are read as far as they lie in the file: one that is cut off or whose count
 * lies gives what it has, and a note.
 */
#include <string.h>
#include "format.h"
#include "text.h"
#include "limit.h"

#define MAX_STREAMS limit32(minidump_streams)
#define MAX_NAME ((unsigned)FIXED_dump_name)			/* UTF-16 units */
#define NAME_OVERHEAD 32u	/* of memory, for each name: the empty ones of a million entries take some, too */
#define MAX_ENTRIES limit32(minidump_entries)

enum stream {
	THREAD_LIST = 3, MODULE_LIST = 4, MEMORY_LIST = 5, EXCEPTION = 6, SYSTEM_INFO = 7, THREAD_EX_LIST = 8, MEMORY64_LIST = 9,
	COMMENT_A = 10, COMMENT_W = 11, HANDLE_DATA = 12, UNLOADED_MODULES = 14, MISC_INFO = 15, MEMORY_INFO = 16,
	THREAD_INFO = 17, THREAD_NAMES = 24,
};

struct minidump {
	struct image *image;
	struct image_minidump *out;
	uint64_t names;			/* bytes of names so far */
	enum stream stream;		/* being read, for messages */
};

static bool minidump_match(const struct file *file)
{
	return file->size >= 4 && !memcmp(file->map, "MDMP", 4);
}

/* Is there room for one more name? */
static bool may_name(const struct minidump *m)
{
	return m->names <= limit(minidump_names);
}

static char *count_name(struct minidump *m, char *name)
{
	m->names += strlen(name) + NAME_OVERHEAD;
	if (!may_name(m))
		image_note(m->image, FAULT_LIMIT, 0, "minidump: its names take more than %" G_GUINT64_FORMAT " bytes: the rest is left out",
			   limit(minidump_names));
	return name;
}

/* MINIDUMP_STRING: length in bytes, UTF-16. NULL when there is none or it is not within the file. */
static char *string_at(struct minidump *m, uint32_t rva)
{
	struct bytes b = file_slice(m->image->file, rva, 4);
	uint32_t length = bytes_u32(&b);
	struct bytes text = file_slice(m->image->file, (uint64_t)rva + 4, MIN(length, 2 * MAX_NAME));

	if (!rva || b.bad || text.bad || !may_name(m))
		return NULL;
	return count_name(m, text_from_utf16(text.p, text.n, TRUE));
}

/*
 * The entries of a list: `b` stands at the first one. The count is not believed
 * beyond the stream's own bytes.
 */
static uint32_t entries(struct minidump *m, struct bytes b, uint64_t count, unsigned size)
{
	uint64_t room = b.bad || !size ? 0 : b.n / size;

	if (count > room || count > MAX_ENTRIES) {
		image_note(m->image, b.bad || count > room ? FAULT_NOT_IN_DUMP : FAULT_LIMIT, 0,
			   "minidump: stream %u has %" G_GUINT64_FORMAT
			   " entries of %u bytes, room for %" G_GUINT64_FORMAT,
			   m->stream, count, size, MIN(room, MAX_ENTRIES));
		count = MIN(room, MAX_ENTRIES);
	}
	return (uint32_t)count;
}

/* A list whose count stands before its entries. */
static uint32_t counted_entries(struct minidump *m, struct bytes *b, unsigned size)
{
	uint32_t count = bytes_u32(b);

	return entries(m, *b, count, size);
}

/* A list with a header of its own size, entries of a size of their own: later versions append fields. */
static uint32_t sized_entries(struct minidump *m, struct bytes *b, unsigned count_width, unsigned smallest, uint32_t *size)
{
	struct bytes head = *b;
	uint32_t header_size = bytes_u32(&head);

	*size = bytes_u32(&head);
	uint64_t count = bytes_le(&head, count_width);
	bytes_take(b, header_size);
	if (head.bad || *size < smallest || header_size < 8 + count_width) {
		image_note(m->image, FAULT_IMPLAUSIBLE, 0,
			   "minidump: stream %u: SizeOfHeader %u, SizeOfEntry %u: below %u and %u: not read", m->stream,
			   header_size, *size, 8 + count_width, smallest);
		return 0;
	}
	return entries(m, *b, count, *size);
}

/* CodeView RSDS record: GUID, age, name. */
static void read_codeview(struct minidump *m, struct minidump_module *module, uint32_t size, uint32_t rva)
{
	struct bytes b = file_slice(m->image->file, rva, size);

	if (b.bad || size < 24 || memcmp(b.p, "RSDS", 4))
		return;
	bytes_take(&b, 4);
	const uint8_t *g = bytes_take(&b, 16);
	uint32_t age = bytes_u32(&b);
	g_snprintf(module->pdb_guid_age, sizeof(module->pdb_guid_age),
		   "%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%02X%X", g[3], g[2], g[1], g[0], g[5],
		   g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15], age);
	if (may_name(m))
		module->pdb_name = count_name(m, text_from_bytes(b.p, MIN(b.n, MAX_NAME)));
}

/* Addresses of 32-bit processes are written sign-extended. What the system is stands in the first stream that is read. */
static uint64_t address_in(const struct minidump *m, uint64_t value)
{
	return m->image->facts.architecture == ARCH_X86 ? (uint32_t)value : value;
}

static void read_modules(struct minidump *m, struct bytes b)
{
	uint32_t count = counted_entries(m, &b, 108);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * 108, 108);
		struct minidump_module module = {
			.base = address_in(m, bytes_at(&e, 0, 8)),
			.size = bytes_at(&e, 8, 4),
			.checksum = (uint32_t)bytes_at(&e, 0x0c, 4),
			.timestamp = (uint32_t)bytes_at(&e, 0x10, 4),
			.name = string_at(m, (uint32_t)bytes_at(&e, 0x14, 4)),
		};
		if (bytes_at(&e, 0x18, 4) == 0xfeef04bd)	/* VS_FIXEDFILEINFO.dwSignature */
			module.file_version = bytes_at(&e, 0x20, 4) << 32 | bytes_at(&e, 0x24, 4);
		read_codeview(m, &module, (uint32_t)bytes_at(&e, 0x4c, 4), (uint32_t)bytes_at(&e, 0x50, 4));
		g_array_append_val(m->out->modules, module);
	}
}

static void read_unloaded(struct minidump *m, struct bytes b)
{
	uint32_t size, count = sized_entries(m, &b, 4, 24, &size);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * size, size);
		struct minidump_unloaded_module module = {
			.base = address_in(m, bytes_at(&e, 0, 8)),
			.size = bytes_at(&e, 8, 4),
			.checksum = (uint32_t)bytes_at(&e, 0x0c, 4),
			.timestamp = (uint32_t)bytes_at(&e, 0x10, 4),
			.name = string_at(m, (uint32_t)bytes_at(&e, 0x14, 4)),
		};
		g_array_append_val(m->out->unloaded_modules, module);
	}
}

static void read_context(struct minidump *m, uint32_t size, uint32_t rva, uint64_t *ip, uint64_t *sp)
{
	static const struct { uint16_t ip, sp; uint8_t width; } offsets[] = {
		[ARCH_X64] = { 0xf8, 0x98, 8 }, [ARCH_X86] = { 0xb8, 0xc4, 4 }, [ARCH_ARM64] = { 0x108, 0x100, 8 },
	};
	enum architecture a = m->image->facts.architecture;
	struct bytes b = file_slice(m->image->file, rva, size);

	if (b.bad || (unsigned)a >= G_N_ELEMENTS(offsets) || !offsets[a].width)
		return;
	*ip = bytes_at(&b, offsets[a].ip, offsets[a].width);
	*sp = bytes_at(&b, offsets[a].sp, offsets[a].width);
}

static void read_threads(struct minidump *m, struct bytes b)
{
	unsigned size = m->stream == THREAD_EX_LIST ? 64 : 48;
	uint32_t count = counted_entries(m, &b, size);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * size, size);
		struct minidump_thread thread = {
			.tid = (uint32_t)bytes_at(&e, 0, 4),
			.suspend_count = (uint32_t)bytes_at(&e, 4, 4),
			.priority = (uint32_t)bytes_at(&e, 0x0c, 4),
			.teb = address_in(m, bytes_at(&e, 0x10, 8)),
			.stack_start = address_in(m, bytes_at(&e, 0x18, 8)),
			.stack_size = bytes_at(&e, 0x20, 4),
		};
		read_context(m, (uint32_t)bytes_at(&e, 0x28, 4), (uint32_t)bytes_at(&e, 0x2c, 4),
			     &thread.instruction_pointer, &thread.stack_pointer);
		if (thread.stack_size)
			image_add_virtual(m->image, (va_t){ thread.stack_start }, thread.stack_size, bytes_at(&e, 0x24, 4));
		g_array_append_val(m->out->threads, thread);
	}
}

struct place { uint32_t tid, index; };

static int by_tid(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

/* Where the threads are that lists about threads speak of, which may be in any order. */
static GArray *sort_threads(const struct minidump *m)
{
	const GArray *threads = m->out->threads;
	GArray *places = g_array_sized_new(FALSE, FALSE, sizeof(struct place), threads->len);

	for (guint i = 0; i < threads->len; i++) {
		struct place place = { g_array_index(threads, struct minidump_thread, i).tid, i };
		g_array_append_val(places, place);
	}
	g_array_sort(places, by_tid);
	return places;
}

static struct minidump_thread *find_thread(const struct minidump *m, const GArray *places, uint32_t tid)
{
	const struct place wanted = { .tid = tid };
	guint n;

	return g_array_binary_search((GArray *)places, &wanted, by_tid, &n) ?
	       &g_array_index(m->out->threads, struct minidump_thread, g_array_index(places, struct place, n).index) : NULL;
}

static void read_thread_info(struct minidump *m, struct bytes b)
{
	uint32_t size, count = sized_entries(m, &b, 4, 64, &size);
	g_autoptr(GArray) places = sort_threads(m);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * size, size);
		struct minidump_thread *thread = find_thread(m, places, (uint32_t)bytes_at(&e, 0, 4));
		if (!thread)
			continue;
		thread->has_info = true;
		thread->exit_status = (uint32_t)bytes_at(&e, 0x0c, 4);
		thread->create_time = bytes_at(&e, 0x10, 8);
		thread->exit_time = bytes_at(&e, 0x18, 8);
		thread->start_address = address_in(m, bytes_at(&e, 0x30, 8));
	}
}

static void read_thread_names(struct minidump *m, struct bytes b)
{
	uint32_t count = counted_entries(m, &b, 12);
	g_autoptr(GArray) places = sort_threads(m);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * 12, 12);
		struct minidump_thread *thread = find_thread(m, places, (uint32_t)bytes_at(&e, 0, 4));
		uint64_t rva = bytes_at(&e, 4, 8);
		if (thread && !thread->name && rva <= UINT32_MAX)
			thread->name = string_at(m, (uint32_t)rva);
	}
}

static void read_memory(struct minidump *m, struct bytes b)
{
	uint32_t count = counted_entries(m, &b, 16);

	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = bytes_u64(&b), size = bytes_u32(&b), rva = bytes_u32(&b);
		image_add_virtual(m->image, (va_t){ address_in(m, start) }, size, rva);
	}
}

/* One range after the other from BaseRva on. */
static void read_memory64(struct minidump *m, struct bytes b)
{
	uint64_t count = bytes_u64(&b), rva = bytes_u64(&b);
	uint32_t n = entries(m, b, count, 16);

	for (uint32_t i = 0; i < n; i++) {
		uint64_t start = bytes_u64(&b), size = bytes_u64(&b);
		image_add_virtual(m->image, (va_t){ address_in(m, start) }, size, rva);
		if (size > UINT64_MAX - rva)
			break;
		rva += size;
	}
}

static void read_regions(struct minidump *m, struct bytes b)
{
	uint32_t size, count = sized_entries(m, &b, 8, 48, &size);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * size, size);
		struct minidump_region region = {
			.base = address_in(m, bytes_at(&e, 0, 8)),
			.allocation_base = address_in(m, bytes_at(&e, 8, 8)),
			.allocation_protect = (uint32_t)bytes_at(&e, 0x10, 4),
			.size = bytes_at(&e, 0x18, 8),
			.state = (uint32_t)bytes_at(&e, 0x20, 4),
			.protect = (uint32_t)bytes_at(&e, 0x24, 4),
			.type = (uint32_t)bytes_at(&e, 0x28, 4),
		};
		g_array_append_val(m->out->regions, region);
	}
}

static void read_handles(struct minidump *m, struct bytes b)
{
	uint32_t size, count = sized_entries(m, &b, 4, 32, &size);

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = bytes_slice(b, (uint64_t)i * size, size);
		struct minidump_handle handle = {
			.handle = bytes_at(&e, 0, 8),
			.type = string_at(m, (uint32_t)bytes_at(&e, 8, 4)),
			.name = string_at(m, (uint32_t)bytes_at(&e, 0x0c, 4)),
			.attributes = (uint32_t)bytes_at(&e, 0x10, 4),
			.granted_access = (uint32_t)bytes_at(&e, 0x14, 4),
			.handle_count = (uint32_t)bytes_at(&e, 0x18, 4),
			.pointer_count = (uint32_t)bytes_at(&e, 0x1c, 4),
		};
		g_array_append_val(m->out->handles, handle);
	}
}

static void read_system(struct minidump *m, struct bytes b)
{
	struct image_facts *facts = &m->image->facts;
	uint16_t machine = (uint16_t)bytes_at(&b, 0, 2);

	facts->architecture = machine == 9 ? ARCH_X64 : machine == 0 ? ARCH_X86 : machine == 12 ? ARCH_ARM64 : ARCH_UNKNOWN;
	facts->processors = (uint32_t)bytes_at(&b, 6, 1);
	facts->product_type = (uint32_t)bytes_at(&b, 7, 1);
	facts->os_major = (uint32_t)bytes_at(&b, 8, 4);
	facts->os_build = (uint32_t)bytes_at(&b, 0x10, 4);
	facts->suite_mask = (uint32_t)bytes_at(&b, 0x1c, 2);
	uint32_t service_pack = (uint32_t)bytes_at(&b, 0x18, 4);
	if (b.bad)
		image_note(m->image, FAULT_NOT_IN_DUMP, 0, "minidump: the system info stream has less than %u bytes", 0x1e);
	else if (!m->out->service_pack)
		m->out->service_pack = string_at(m, service_pack);
}

static void read_misc(struct minidump *m, struct bytes b)
{
	uint32_t flags = (uint32_t)bytes_at(&b, 4, 4), pid = (uint32_t)bytes_at(&b, 8, 4),
		 created = (uint32_t)bytes_at(&b, 0x0c, 4);

	if (b.bad)
		return;
	if (flags & 1)		/* MINIDUMP_MISC1_PROCESS_ID */
		m->out->pid = pid;
	if (flags & 2)		/* MINIDUMP_MISC1_PROCESS_TIMES */
		m->out->create_time = created;
}

static void read_exception(struct minidump *m, struct bytes b)
{
	struct image_facts *facts = &m->image->facts;

	m->out->exception_tid = (uint32_t)bytes_at(&b, 0, 4);
	facts->exception_code = (uint32_t)bytes_at(&b, 8, 4);
	facts->exception_address = address_in(m, bytes_at(&b, 0x18, 8));
	facts->exception_parameters = (unsigned)MIN(bytes_at(&b, 0x20, 4), G_N_ELEMENTS(facts->exception_information));
	for (unsigned i = 0; i < facts->exception_parameters; i++)
		facts->exception_information[i] = bytes_at(&b, 0x28 + 8 * i, 8);
	read_context(m, (uint32_t)bytes_at(&b, 0xa0, 4), (uint32_t)bytes_at(&b, 0xa4, 4), &facts->instruction_pointer,
		     &facts->stack_pointer);
}

static void read_comment(struct minidump *m, struct bytes b)
{
	if (m->image->facts.comment)
		return;
	m->image->facts.comment = m->stream == COMMENT_W ? text_from_utf16(b.p, MIN(b.n, 2 * MAX_NAME), TRUE) :
				  text_from_bytes(b.p, MIN(b.n, MAX_NAME));
}

/* In this order: contexts need the machine, what is said of threads needs the threads. */
static const struct { enum stream stream; void (*read)(struct minidump *m, struct bytes b); } readers[] = {
	{ SYSTEM_INFO, read_system }, { MISC_INFO, read_misc }, { MODULE_LIST, read_modules }, { UNLOADED_MODULES, read_unloaded },
	{ THREAD_LIST, read_threads }, { THREAD_EX_LIST, read_threads }, { THREAD_INFO, read_thread_info },
	{ THREAD_NAMES, read_thread_names }, { MEMORY64_LIST, read_memory64 }, { MEMORY_LIST, read_memory },
	{ MEMORY_INFO, read_regions }, { HANDLE_DATA, read_handles }, { EXCEPTION, read_exception }, { COMMENT_A, read_comment },
	{ COMMENT_W, read_comment },
};

/* The stream's bytes, as far as they are in the file; bad when there is no such stream. */
static struct bytes find_stream(struct minidump *m, uint64_t directory, uint32_t count, enum stream stream)
{
	const struct file *file = m->image->file;

	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = file_slice(file, directory + 12 * (uint64_t)i, 12);
		uint32_t type = bytes_u32(&e), size = bytes_u32(&e), rva = bytes_u32(&e);
		if (e.bad || type != stream)
			continue;
		if (rva >= file->size || size > file->size - rva)
			image_note(m->image, FAULT_NOT_IN_DUMP, 0,
				   "minidump: stream %u: %u bytes at 0x%x: the file has %" G_GUINT64_FORMAT, stream,
				   size, rva, file->size);
		return rva < file->size ? file_slice(file, rva, MIN(size, file->size - rva)) :
					  (struct bytes){ .bad = true };
	}
	return (struct bytes){ .bad = true };
}

static bool minidump_open(struct image *image, GError **error)
{
	struct minidump m = { .image = image };
	struct bytes head = file_slice(image->file, 0, 32);
	uint32_t version = (uint32_t)bytes_at(&head, 4, 4), count = (uint32_t)bytes_at(&head, 8, 4);
	uint32_t directory = (uint32_t)bytes_at(&head, 0xc, 4);

	image->facts.format = "minidump";
	if (head.bad || (version & 0xffff) != 0xa793 || count == 0 || directory >= image->file->size ||
	    image->file->size - directory < 12) {
		g_set_error(
			error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			"minidump header: version at 0x4 is 0x%x (its low half must be 0xa793), "
			"NumberOfStreams at 0x8 is %u (at least 1), StreamDirectoryRva at 0xc is 0x%x (the file has %" G_GUINT64_FORMAT
			" bytes)",
			version, count, directory, image->file->size);
		return false;
	}
	m.out = image->minidump = image_minidump_create();
	m.out->timestamp = (uint32_t)bytes_at(&head, 0x14, 4);
	m.out->flags = bytes_at(&head, 0x18, 8);
	/* A time_t as a FILETIME */
	image->facts.system_time = m.out->timestamp ? (m.out->timestamp + G_GUINT64_CONSTANT(11644473600)) * 10000000 : 0;
	image->facts.detail = g_strdup_printf("MINIDUMP_TYPE 0x%" G_GINT64_MODIFIER "x", m.out->flags);
	uint64_t room = (image->file->size - directory) / 12;
	if (count > MAX_STREAMS || count > room) {
		image_note(image, FAULT_IMPLAUSIBLE, 0,
			   "minidump header: NumberOfStreams at 0x8 is %u, above %" G_GUINT64_FORMAT, count,
			   MIN(room, MAX_STREAMS));
		count = (uint32_t)MIN(room, MAX_STREAMS);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(readers); i++) {
		m.stream = readers[i].stream;
		struct bytes b = find_stream(&m, directory, count, m.stream);
		if (b.bad && m.stream == SYSTEM_INFO)
			image_note(image, FAULT_NOT_IN_DUMP, 0, "minidump: none of its %u streams says on what machine and Windows the process ran", count);
		/* MEMORY_LIST repeats the stacks of THREAD_LIST: it is fine to list memory twice. */
		if (!b.bad && (m.stream != THREAD_EX_LIST || !m.out->threads->len))
			readers[i].read(&m, b);
	}
	return true;
}

const struct format format_minidump = {
	.name = "minidump",
	.doc = "a user-mode minidump (MDMP)",
	.match = minidump_match,
	.open = minidump_open,
};
