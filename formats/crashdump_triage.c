/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Triage ("small") dumps: no physical memory, but copies of what the crash is about.
 *
 * _TRIAGE_DUMP64 and _TRIAGE_DUMP32 follow the header and name everything by offsets
 * in the file. Lists are read as far as they lie in the file; what does not is noted.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memmem */
#endif
#include <string.h>
#include "crashdump.h"
#include "layout.h"
#include "text.h"
#include "limit.h"

#define MAX_DRIVERS limit32(triage_drivers)
#define MAX_UNLOADED limit32(triage_unloaded)
#define MAX_BLOCKS limit32(triage_blocks)
#define MAX_NAME FIXED_dump_name			/* UTF-16 units of a driver's name */

/* The fields that 32- and 64-bit dumps have at the same offset, and those they don't. */
enum {
	UNLOADED_DRIVERS = 0x18, PRCB = 0x1c, PROCESS = 0x20, THREAD = 0x24, CALL_STACK = 0x28, CALL_STACK_SIZE = 0x2c,
	DRIVER_LIST = 0x30, DRIVER_COUNT = 0x34, STRING_POOL = 0x38, STRING_POOL_SIZE = 0x3c, TOP_OF_STACK = 0x48,
};

/* Where the copied objects have what: 0 unknown. */
struct object_offsets {
	uint32_t process_size, process_parent, process_peb, process_dtb, thread_size, thread_process, prcb_size, prcb_thread, prcb_number;
	bool stated;			/* by the dump itself */
};

struct triage {
	struct crashdump *dump;
	struct image *image;
	struct image_triage *out;
	struct bytes head;
	unsigned word;			/* bytes of a pointer */
	struct object_offsets offsets;
};

static uint32_t field(struct triage *t, unsigned offset)
{
	return (uint32_t)bytes_at(&t->head, offset, 4);
}

static uint32_t late_field(struct triage *t, unsigned offset32, unsigned offset64)
{
	return field(t, t->dump->is_64bit ? offset64 : offset32);
}

static bool is_kernel_address(struct triage *t, uint64_t va)
{
	return t->dump->is_64bit ? va >> 47 == 0x1ffff : va >= 0x80000000u && va <= 0xffffffffu;
}

static char *driver_name(struct triage *t, uint64_t offset)
{
	struct bytes b = file_slice(t->image->file, offset, 4);
	uint32_t units = bytes_u32(&b);
	struct bytes text = file_slice(t->image->file, offset + 4, 2 * (uint64_t)MIN(units, MAX_NAME));

	if (b.bad || text.bad || units > MAX_NAME) {
		image_note(t->image, FAULT_IMPLAUSIBLE, 0, "triage dump: driver name at 0x%" G_GINT64_MODIFIER
			   "x: length %u, above %u or past the end of the file", offset, units, MAX_NAME);
		return g_strdup("");
	}
	return text_from_utf16(text.p, text.n, TRUE);
}

static uint64_t driver_base(struct triage *t, struct bytes *entry)
{
	return bytes_at(entry, t->word + (t->word == 8 ? 0x30 : 0x18), t->word);
}

/* A name behind the headers, and a page of the kernel's half: drivers begin there. */
static bool is_driver_entry(struct triage *t, uint64_t offset, unsigned stride)
{
	struct bytes entry = file_slice(t->image->file, offset, stride);
	const uint64_t name = bytes_at(&entry, 0, 4), base = driver_base(t, &entry);

	return !entry.bad && name > t->dump->header_size && name < t->image->file->size && is_kernel_address(t, base) && !(base & PAGE_MASK);
}

/* _DUMP_DRIVER_ENTRY: an offset of the name, then a KLDR_DATA_TABLE_ENTRY, of which Windows fills some fields. */
static void read_drivers(struct triage *t)
{
	uint64_t list = field(t, DRIVER_LIST), at;
	uint32_t count = field(t, DRIVER_COUNT), pool = field(t, STRING_POOL), odd = 0;
	unsigned w = t->word, stride = w == 8 ? 0x90 : 0x4c;

	if (!count || (!list && !pool))
		return;
	/* The string pool follows the list: builds that pad the entry tell so by it, and a wrong offset of the list is found by it. */
	if (pool > list && (pool - list) / count >= stride && (pool - list) / count <= stride + 0x40 && (pool - list) % count == 0)
		stride = (unsigned)((pool - list) / count);
	const uint64_t length = (uint64_t)count * stride;
	if (!is_driver_entry(t, list, stride) && pool > length && is_driver_entry(t, pool - length, stride)) {
		image_remark(t->image, 0, "triage dump: DriverListOffset at 0x%x is 0x%" G_GINT64_MODIFIER "x, no driver's entry is there: the list of %u ends at the string pool and begins at 0x%" G_GINT64_MODIFIER "x",
			     t->dump->header_size + DRIVER_LIST, list, count, pool - length);
		list = pool - length;
	}
	if (pool > list && (pool - list) / stride < count) {
		const uint32_t most = (uint32_t)((pool - list) / stride);
		if (!is_driver_entry(t, list + (uint64_t)most * stride, stride)) {
			image_remark(t->image, 0, "triage dump: DriverCount at 0x%x is %u, but after %u drivers the string pool begins, at 0x%x: the list ends there",
				     t->dump->header_size + DRIVER_COUNT, count, most, pool);
			count = most;
		}
	}
	if (count > MAX_DRIVERS) {
		image_note(t->image, FAULT_LIMIT, 0, "triage dump: DriverCount at 0x%x is %u, above %u",
			   t->dump->header_size + DRIVER_COUNT, count, MAX_DRIVERS);
		count = MAX_DRIVERS;
	}
	at = list;
	for (uint32_t i = 0; i < count; i++, at += stride) {
		struct bytes b = file_slice(t->image->file, at, stride);
		if (b.bad) {
			image_note(t->image, FAULT_NOT_IN_DUMP, 0,
				   "triage dump: %u drivers at 0x%x: the file ends at number %u", count, (unsigned)list, i);
			break;
		}
		if (!is_driver_entry(t, at, stride)) {
			odd++;
			continue;
		}
		struct bytes entry = bytes_slice(b, w, stride - w);	/* the KLDR_DATA_TABLE_ENTRY */
		struct image_driver driver = {
			.name = driver_name(t, bytes_at(&b, 0, 4)),
			.base = driver_base(t, &b),
			.entry_point = bytes_at(&entry, w == 8 ? 0x38 : 0x1c, w),
			.size = bytes_at(&entry, w == 8 ? 0x40 : 0x20, 4),
			.checksum = (uint32_t)bytes_at(&entry, w == 8 ? 0x78 : 0x40, 4),
			.timestamp = (uint32_t)bytes_at(&entry, w == 8 ? 0x80 : 0x44, 4),
		};
		g_array_append_val(t->out->drivers, driver);
	}
	if (odd)
		image_note(t->image, FAULT_IMPLAUSIBLE, 0, "triage dump: %u of %u entries of the driver list at 0x%x, of 0x%x bytes each, are no driver's: no name, or no page of the kernel's half begins them",
			   odd, count, (unsigned)list, stride);
}

/* _DUMP_UNLOADED_DRIVERS: a count, then { UNICODE_STRING Name, WCHAR DriverName[12], StartAddress, EndAddress }. */
static void read_unloaded(struct triage *t)
{
	uint64_t at = field(t, UNLOADED_DRIVERS);
	unsigned w = t->word;

	if (!at)
		return;
	struct bytes b = file_slice(t->image->file, at, w);
	uint32_t count = bytes_u32(&b);
	if (b.bad || count > MAX_UNLOADED) {
		image_note(t->image, FAULT_IMPLAUSIBLE, 0,
			   "triage dump: number of unloaded drivers at 0x%" G_GINT64_MODIFIER
			   "x is %u, above %u or past the end of the file",
			   at, count, MAX_UNLOADED);
		count = b.bad ? 0 : MAX_UNLOADED;
	}
	at += w;
	for (uint32_t i = 0; i < count; i++) {
		struct bytes e = file_slice(t->image->file, at, 2 * w + 24 + 2 * w);
		uint16_t length = (uint16_t)bytes_at(&e, 0, 2);
		if (e.bad) {
			image_note(t->image, FAULT_NOT_IN_DUMP, 0,
				   "triage dump: %u unloaded drivers: the file ends at number %u", count, i);
			return;
		}
		struct image_unloaded_driver driver = {
			.name = text_from_utf16(e.p + 2 * w, MIN(length, 24), TRUE),
			.start = bytes_at(&e, 2 * w + 24, w),
			.end = bytes_at(&e, 2 * w + 24 + w, w),
		};
		g_array_append_val(t->out->unloaded_drivers, driver);
		at += 2 * w + 24 + 2 * w;
	}
}

/* At ValidOffset. */
static bool has_mark(const struct file *file, uint32_t offset)
{
	struct bytes valid = file_slice(file, offset, 4);

	return !valid.bad && !memcmp(valid.p, "TRGD", 4);
}

/* _TRIAGE_DATA_BLOCK: Address (8 bytes in both), Offset, Size. The first block's bytes follow the list. */
static void read_blocks(struct triage *t)
{
	const uint32_t list = late_field(t, 0x60, 0x78), count = late_field(t, 0x64, 0x7c), mark = field(t, 8);
	const uint64_t end = MAX(field(t, 4), t->image->file->size);	/* SizeOfDump */
	struct bytes first = file_slice(t->image->file, list, 16);
	const uint64_t data = bytes_at(&first, 8, 4);
	const bool impossible = list + 16 * (uint64_t)count > end;
	uint32_t n = count;

	if (!list)
		return;
	if (count > MAX_BLOCKS && !impossible)
		image_note(t->image, FAULT_LIMIT, 0, "triage dump: DataBlocksCount is %u, above %u", count, MAX_BLOCKS);
	n = MIN(n, MAX_BLOCKS);
	for (uint32_t i = 0; i < n; i++) {
		const uint64_t at = list + 16 * (uint64_t)i;
		struct bytes b = file_slice(t->image->file, at, 16);
		uint64_t va = bytes_u64(&b), offset = bytes_u32(&b), size = bytes_u32(&b);
		const bool ended = i && (at == data || (at >= mark && has_mark(t->image->file, mark)));
		if (ended && (impossible || b.bad || offset + size > end)) {
			image_remark(t->image, 0, "triage dump: DataBlocksCount is %u, but after %u the list has met what follows it, at 0x%" G_GINT64_MODIFIER "x: it ends there",
				     count, i, at);
			break;
		}
		if (b.bad) {
			image_note(t->image, FAULT_NOT_IN_DUMP, 0,
				   "triage dump: %u data blocks at 0x%x: the file ends at number %u", count, list, i);
			break;
		}
		if (offset + size > end) {
			image_note(t->image, FAULT_IMPLAUSIBLE, 0,
				   "triage dump: DataBlocksCount is %u, number %u has %" G_GUINT64_FORMAT " bytes at 0x%" G_GINT64_MODIFIER
				   "x, the dump 0x%" G_GINT64_MODIFIER "x: the list is read up to there",
				   count, i, size, offset, end);
			break;
		}
		if (!t->dump->is_64bit)
			va = (uint32_t)va;	/* Windows sign-extends it */
		image_add_virtual(t->image, (va_t){ va }, size, offset);
	}
}

/* A kernel object's copy, cut to the file. */
static struct image_copy copy_at(struct triage *t, uint32_t offset, uint64_t length)
{
	struct image_copy copy = { 0 };

	if (offset && offset < t->image->file->size)
		copy = (struct image_copy){ .offset = offset, .length = MIN(length, t->image->file->size - offset) };
	return copy;
}

static uint64_t copy_value(struct triage *t, const struct image_copy *copy, uint64_t offset, unsigned width)
{
	struct bytes b = file_slice(t->image->file, copy->offset, copy->length);

	return bytes_at(&b, offset, width);
}

/* A 16-bit field of KDDEBUGGER_DATA64 (wdbgexts.h; the same layout in 32-bit dumps). */
static uint16_t kdbg_offset(struct triage *t, unsigned offset)
{
	return (uint16_t)copy_value(t, &t->out->kdbg, offset, 2);
}

enum {
	KDBG_KERNEL_BASE = 0x18, KDBG_NT_BUILD_LAB = 0x208, KDBG_PROCESSOR_BLOCK = 0x218, KDBG_KTHREAD_PROCESS = 0x2a0, KDBG_EPROCESS_SIZE = 0x2a8,
	KDBG_EPROCESS_PEB = 0x2aa, KDBG_EPROCESS_PARENT = 0x2ac, KDBG_EPROCESS_DTB = 0x2ae, KDBG_PRCB_SIZE = 0x2b0,
	KDBG_PRCB_THREAD = 0x2b4, KDBG_PRCB_NUMBER = 0x2be, KDBG_ETHREAD_SIZE = 0x2c0,
};

static bool is_kdbg(struct triage *t, uint32_t offset, uint32_t size)
{
	struct bytes b = file_slice(t->image->file, offset, size);

	return offset && size >= KDBG_NT_BUILD_LAB && !b.bad && !memcmp(b.p + 0x10, "KDBG", 4);
}

/* The block by its tag, where the header doesn't lead to it: DBGKD_DEBUG_DATA_HEADER64 has its size behind the tag. */
static bool find_kdbg(struct triage *t, uint32_t *offset, uint32_t *size)
{
	const struct file *file = t->image->file;
	struct bytes rest = file_slice(file, t->dump->header_size, MIN(file->size, UINT32_MAX) - t->dump->header_size);
	const uint8_t *found;
	uint64_t looks = 0;

	while (!rest.bad && (found = memmem(rest.p, rest.n, "KDBG", 4))) {
		if (looks++ == limit(triage_tags)) {
			image_note(t->image, FAULT_LIMIT, 0, "triage dump: the tag of the debugger data block stands in more than %" G_GUINT64_FORMAT
				   " places: the others are not looked at (triage_tags)", limit(triage_tags));
			break;
		}
		const uint32_t at = (uint32_t)(found - file->map) - 0x10, length = (uint32_t)bytes_at(&rest, (size_t)(found - rest.p) + 4, 4);
		if (length <= PAGE_SIZE && is_kdbg(t, at, length)) {
			image_remark(t->image, 0, "triage dump: the debugger data block is not at 0x%x, where its header has it, but at 0x%x", *offset, at);
			*offset = at;
			*size = length;
			return true;
		}
		rest = bytes_slice(rest, (size_t)(found - rest.p) + 4, rest.n - (size_t)(found - rest.p) - 4);
	}
	return false;
}

static void read_kdbg(struct triage *t)
{
	struct image_facts *facts = &t->image->facts;
	uint32_t offset = late_field(t, 0x58, 0x70), size = late_field(t, 0x5c, 0x74);

	if (!is_kdbg(t, offset, size) && !find_kdbg(t, &offset, &size))
		return;
	t->out->kdbg = copy_at(t, offset, size);
	t->out->kdbg.va = facts->kdbg.v;
	facts->kernel_base.v = copy_value(t, &t->out->kdbg, KDBG_KERNEL_BASE, 8);
	if (!t->dump->is_64bit)
		facts->kernel_base.v = (uint32_t)facts->kernel_base.v;
}

static struct layout *family(const struct triage *t)
{
	const struct image_facts *facts = &t->image->facts;

	return layout_family(facts->os_build, 0, !t->dump->is_64bit ? LAYOUT_X86 : facts->architecture == ARCH_ARM64 ? LAYOUT_ARM64 : LAYOUT_X64);
}

/*
 * What the debugger data block says, which is right for builds nobody knows; where it ends before that (until Windows XP) or is
 * lost, what is known of the build.
 */
static void find_offsets(struct triage *t)
{
	struct object_offsets *o = &t->offsets;

	if (t->out->kdbg.length >= KDBG_ETHREAD_SIZE + 2) {
		*o = (struct object_offsets){
			.process_size = kdbg_offset(t, KDBG_EPROCESS_SIZE), .process_parent = kdbg_offset(t, KDBG_EPROCESS_PARENT),
			.process_peb = kdbg_offset(t, KDBG_EPROCESS_PEB), .process_dtb = kdbg_offset(t, KDBG_EPROCESS_DTB),
			.thread_size = kdbg_offset(t, KDBG_ETHREAD_SIZE), .thread_process = kdbg_offset(t, KDBG_KTHREAD_PROCESS),
			.prcb_size = kdbg_offset(t, KDBG_PRCB_SIZE), .prcb_thread = kdbg_offset(t, KDBG_PRCB_THREAD),
			.prcb_number = kdbg_offset(t, KDBG_PRCB_NUMBER), .stated = true,
		};
		return;
	}
	AUTO(layout) l = family(t);
	if (!l)
		return;
	*o = (struct object_offsets){
		.process_size = l->eprocess.size_, .process_parent = l->eprocess.InheritedFromUniqueProcessId.offset,
		.process_peb = l->eprocess.Peb.offset, .process_dtb = l->kprocess.DirectoryTableBase.offset,
		.thread_size = l->ethread.size_, .thread_process = l->kthread.ApcState.offset + l->kapc_state.Process.offset,
		.prcb_size = l->kprcb.Number.offset + 4, .prcb_thread = l->kprcb.CurrentThread.offset, .prcb_number = l->kprcb.Number.offset,
	};
}

enum { PROCESS_OBJECT = 3, THREAD_OBJECT = 6 };		/* _DISPATCHER_HEADER.Type, of KOBJECTS */

/* Is there an id of a process, followed by two pointers into the kernel, ActiveProcessLinks? */
static uint64_t process_id_at(struct triage *t, struct bytes *process, uint32_t o)
{
	unsigned w = t->word;
	uint64_t pid = bytes_at(process, o, w);

	return pid & 3 || pid > G_MAXUINT32 || !is_kernel_address(t, bytes_at(process, o + w, w)) || !is_kernel_address(t, bytes_at(process, o + 2 * w, w)) ? 0 : pid;
}

/*
 * Attached (KeStackAttachProcess), a thread has another process's memory, which is the one that is copied, and its Cid still names its own. That
 * they belong together the process's ProfileListHead tells, which leads to itself unless somebody profiles: by where the thread says that the process
 * is. Where the ids are only the build's layout says.
 */
static bool identify_attached(struct triage *t, struct bytes *process, struct bytes *thread)
{
	const unsigned w = t->word;
	const uint64_t at = bytes_at(thread, t->offsets.thread_process, w);
	AUTO(layout) l = family(t);
	const uint32_t head = l ? l->kprocess.ProfileListHead.offset : 0;

	if (!head || l->eprocess.InheritedFromUniqueProcessId.offset != t->offsets.process_parent || !is_kernel_address(t, at) ||
	    bytes_at(process, head, w) != at + head || bytes_at(process, head + w, w) != at + head)
		return false;
	const uint32_t cid = l->ethread.Cid.offset;
	const uint64_t pid = process_id_at(t, process, l->eprocess.UniqueProcessId.offset), owner = bytes_at(thread, cid, w), tid = bytes_at(thread, cid + w, w);
	if (!pid || !owner || !tid || (owner | tid) & 3 || owner > G_MAXUINT32 || tid > G_MAXUINT32)
		return false;
	t->out->pid = (uint32_t)pid;
	t->out->owner_pid = (uint32_t)owner;
	t->out->tid = (uint32_t)tid;
	t->out->pid_offset = l->eprocess.UniqueProcessId.offset;
	return true;
}

/*
 * UniqueProcessId stands right before ActiveProcessLinks in every build, and the
 * thread's Cid (process, thread) repeats it: an id followed by two kernel pointers that
 * the thread confirms is it. ImageFileName comes after the parent's id, and is the
 * first aligned run of 2-14 printable characters with a NUL behind it.
 */
static bool identify_copies(struct triage *t, bool typed)
{
	struct image_triage *out = t->out;
	unsigned w = t->word;
	struct bytes process = file_slice(t->image->file, out->process.offset, out->process.length);
	struct bytes thread = file_slice(t->image->file, out->thread.offset, out->thread.length);
	const uint32_t parent = t->offsets.process_parent;

	if (!out->process.length || !out->thread.length || parent < 4 * w || parent + w > process.n)
		return false;
	if (typed && (process.p[0] != PROCESS_OBJECT || thread.p[0] != THREAD_OBJECT))
		return false;
	for (uint32_t o = 4 * w; o + 3 * w <= parent && !out->identified; o += w) {
		uint64_t pid = process_id_at(t, &process, o);
		for (uint32_t c = 0; pid && c + 2 * w <= thread.n; c += w) {
			uint64_t tid = bytes_at(&thread, c + w, w);
			if (bytes_at(&thread, c, w) != pid || !tid || tid & 3 || tid > G_MAXUINT32)
				continue;
			out->identified = true;
			out->pid = out->owner_pid = (uint32_t)pid;
			out->tid = (uint32_t)tid;
			out->pid_offset = o;
			break;
		}
	}
	if (!out->identified && !(out->identified = identify_attached(t, &process, &thread)))
		return false;
	out->ppid = (uint32_t)bytes_at(&process, parent, w);
	out->ppid_offset = parent;
	out->peb_offset = t->offsets.process_peb;
	out->process_dtb.v = bytes_at(&process, t->offsets.process_dtb, w) & ~(uint64_t)(w == 8 ? PAGE_MASK : 31);
	for (uint32_t o = parent + w; o + 15 <= process.n && !out->process_name; o += w) {
		unsigned n = 0;
		while (n < 15 && process.p[o + n] >= 0x20 && process.p[o + n] < 0x7f)
			n++;
		if (n >= 2 && n < 15 && !process.p[o + n]) {
			out->process_name = text_from_bytes(process.p + o, 15);
			out->name_offset = o;
		}
	}
	return true;
}

/*
 * Process, thread and stack follow each other, each at a multiple of 8, and the processor's block comes before them or after them:
 * where an offset is wrong, the others lead to what it is of.
 */
static void identify(struct triage *t)
{
	struct image_triage *out = t->out;
	const struct object_offsets *sizes = &t->offsets;
	const uint32_t process = field(t, PROCESS), thread = field(t, THREAD);
	const uint32_t process_size = (sizes->process_size + 7) & ~7u, thread_size = (sizes->thread_size + 7) & ~7u;
	const uint32_t before_stack = field(t, CALL_STACK) - thread_size, behind_prcb = field(t, PRCB) + ((sizes->prcb_size + 7) & ~7u);
	const struct { uint32_t process, thread; } places[] = {
		{ process, thread }, { thread - process_size, thread }, { process, process + process_size },
		{ before_stack - process_size, before_stack }, { behind_prcb, behind_prcb + process_size },
	};
	bool known = false;

	for (size_t i = 0; i < G_N_ELEMENTS(places) && !known && process_size && thread_size; i++) {
		out->process = copy_at(t, places[i].process, sizes->process_size);
		out->thread = copy_at(t, places[i].thread, sizes->thread_size);
		known = identify_copies(t, true);
		if (known && i)
			image_remark(t->image, 0, "triage dump: ProcessOffset and ThreadOffset at 0x%x are 0x%x and 0x%x: the process and its thread are at 0x%x and 0x%x",
				     t->dump->header_size + PROCESS, process, thread, places[i].process, places[i].thread);
	}
	if (!known) {
		out->process = copy_at(t, process, sizes->process_size);
		out->thread = copy_at(t, thread, sizes->thread_size);
		(void)identify_copies(t, false);
	}
}

/* The addresses of the copies: the PRCB names the thread, the thread its process, and KiProcessorBlock, when
 * it is among the blocks, the PRCB. */
static void read_copies(struct triage *t)
{
	struct image_triage *out = t->out;

	out->prcb = copy_at(t, field(t, PRCB), t->offsets.prcb_size);
	out->call_stack = copy_at(t, field(t, CALL_STACK), field(t, CALL_STACK_SIZE));
	out->call_stack.va = bytes_at(&t->head, TOP_OF_STACK, t->word);
	/* A family's offsets are believed where the process and its thread, found by them, confirm each other. */
	const bool believed = t->offsets.stated || out->identified;
	uint64_t thread = believed && out->prcb.length ? copy_value(t, &out->prcb, t->offsets.prcb_thread, t->word) : 0;
	uint64_t process = believed && out->thread.length ? copy_value(t, &out->thread, t->offsets.thread_process, t->word) : 0;
	if (is_kernel_address(t, thread))
		out->thread.va = thread;
	if (is_kernel_address(t, process))
		out->process.va = process;
	const struct image_copy *copies[] = { &out->call_stack, &out->kdbg, &out->process, &out->thread };
	for (size_t i = 0; i < G_N_ELEMENTS(copies); i++)
		if (copies[i]->length && copies[i]->va)
			image_add_virtual(t->image, (va_t){ copies[i]->va }, copies[i]->length, copies[i]->offset);
	uint32_t page = late_field(t, 0x50, 0x68), page_size = late_field(t, 0x54, 0x6c);
	uint64_t page_va = bytes_at(&t->head, t->dump->is_64bit ? 0x60 : 0x4c, t->word);
	if (page && page_size && page_va)
		image_add_virtual(t->image, (va_t){ page_va }, page_size, page);
}

/* The PRCB's own address, from KiProcessorBlock. The blocks are not sorted yet. */
static void locate_prcb(struct triage *t)
{
	struct image_triage *out = t->out;
	GArray *blocks = t->image->virtual_segments;

	if (!out->kdbg.length || !out->prcb.length || !blocks)
		return;
	uint32_t number = (uint32_t)copy_value(t, &out->prcb, t->offsets.prcb_number, 4);
	uint64_t slot = copy_value(t, &out->kdbg, KDBG_PROCESSOR_BLOCK, 8);
	if (!t->dump->is_64bit)
		slot = (uint32_t)slot;
	slot += (uint64_t)number * t->word;
	for (guint i = 0; number < 4096 && i < blocks->len; i++) {
		const struct segment *s = &g_array_index(blocks, struct segment, i);
		if (slot < s->start || slot - s->start > s->length || s->length - (slot - s->start) < t->word)
			continue;
		struct bytes b = file_slice(t->image->file, s->offset + (slot - s->start), t->word);
		uint64_t va = bytes_le(&b, t->word);
		if (!is_kernel_address(t, va))
			continue;
		out->prcb.va = va;
		image_add_virtual(t->image, (va_t){ va }, out->prcb.length, out->prcb.offset);
		return;
	}
}

bool crashdump_is_triage(const struct crashdump *dump)
{
	struct bytes head = file_slice(dump->image->file, dump->header_size, 0x10);
	const uint32_t size = (uint32_t)bytes_at(&head, 4, 4), offset = (uint32_t)bytes_at(&head, 8, 4);

	/* The mark ends the dump, before secondary data. */
	return !head.bad && offset > dump->header_size && offset < size && has_mark(dump->image->file, offset);
}

bool crashdump_triage(struct crashdump *dump, GError **error)
{
	struct image *image = dump->image;
	struct triage t = { .dump = dump, .image = image, .word = dump->is_64bit ? 8 : 4 };
	unsigned head_size = dump->is_64bit ? 0x80 : 0x68;

	t.head = file_slice(image->file, dump->header_size, head_size);
	if (t.head.bad) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "triage dump: the file has %" G_GUINT64_FORMAT " bytes, its headers alone have %u",
			    image->file->size, dump->header_size + head_size);
		return false;
	}
	t.out = image->triage = image_triage_create();
	image->facts.service_pack = field(&t, 0);
	read_drivers(&t);
	read_unloaded(&t);
	read_kdbg(&t);
	read_blocks(&t);
	find_offsets(&t);
	identify(&t);
	read_copies(&t);
	locate_prcb(&t);
	/* SizeOfDump: what the kernel wrote at the crash; secondary data was appended to it. */
	uint32_t size = field(&t, 4);
	if (size > image->file->size)
		image->bytes_missing = MAX(image->bytes_missing, size - image->file->size);
	if (field(&t, 8) < image->file->size && !has_mark(image->file, field(&t, 8)))
		image_note(image, FAULT_IMPLAUSIBLE, 0,
			   "triage dump: ValidOffset at 0x%x is 0x%x: no \"TRGD\" there: the dump was "
			   "not written to its end",
			   dump->header_size + 8, field(&t, 8));
	crashdump_secondary_data(dump, size);
	return true;
}
