/* SPDX-License-Identifier: Apache-2.0 */
/* What each global holds, so far as that can be told. */
#include <string.h>
#include "globals.h"
#include "segment_heap.h"
#include "text.h"

#define OBJECT_PROCESS 3u	/* dispatcher header types */
#define UNLOADED_MAX 50u	/* MI_UNLOADED_DRIVERS */
#define BIG_PAGES_EMPTY 256u	/* entries of a table without one in use: hashes put them all over it */

/* A pointer, or what is as wide as one. */
static uint64_t image(const struct globals *g, uint32_t rva)
{
	return evidence_image(g->e, rva, g->e->width);
}

static bool pointer(const struct globals *g, uint64_t va, uint64_t *out)
{
	return evidence_pointer(g->e, va) && evidence_spend(g->e, 1) && !read_pointer(g->e->space, (va_t){ va }, out);
}

static bool guest(const struct globals *g, uint64_t va, void *to, size_t n)
{
	return evidence_pointer(g->e, va) && evidence_spend(g->e, 1) && !space_read(g->e->space, (va_t){ va }, to, n, NULL);
}

static enum verdict yes_or_no(bool yes)
{
	return yes ? CONFIRMED : CONTRADICTED;
}

/* A field of a structure in guest memory. */
static bool field(const struct globals *g, uint64_t va, struct field f, uint64_t *out)
{
	uint64_t v = 0;

	if (!f.size || f.size > 8 || !guest(g, va + f.offset, &v, f.size))
		return false;
	*out = f.bits ? v >> f.bit & ((f.bits < 64 ? UINT64_C(1) << f.bits : 0) - 1) : v;
	return true;
}

/* The text of a _UNICODE_STRING, if it is all ASCII and short; else "". */
static void name_at(const struct globals *g, uint64_t va, char out[64])
{
	struct { uint16_t length, room; } string;
	uint16_t text[63];
	uint64_t buffer;

	out[0] = 0;
	if (!guest(g, va, &string, sizeof(string)) || (string.length & 1) || string.length > string.room ||
	    string.length > sizeof(text) || !pointer(g, va + g->e->width, &buffer) || !guest(g, buffer, text, string.length))
		return;
	for (unsigned i = 0; i < string.length / 2u; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e) {
			out[0] = 0;
			return;
		}
		out[i] = (char)text[i];
		out[i + 1] = 0;
	}
}

/* Lists -------------------------------------------------------------------- */

static enum verdict process_head(struct globals *g, uint32_t rva)
{
	return yes_or_no(rva == g->e->process_head);
}

static enum verdict module_head(struct globals *g, uint32_t rva)
{
	return yes_or_no(rva == g->e->module_head);
}

static int by_rva(const void *a, const void *b)
{
	uint32_t l = *(const uint32_t *)a, r = *(const uint32_t *)b;

	return (l > r) - (l < r);
}

static enum verdict list_head(struct globals *g, uint32_t rva)
{
	const GArray *heads = g->e->heads;

	return yes_or_no(heads->len && bsearch(&rva, heads->data, heads->len, sizeof(rva), by_rva));
}

/* A list whose entries are packets of a driver's registration: the pointer behind the links leads to a device (3) or
 * driver (4) object. An empty one could be any. */
static enum verdict packet_list(struct globals *g, uint32_t rva, uint16_t wanted)
{
	uint64_t first = image(g, rva), object;
	uint16_t type;

	if (list_head(g, rva) != CONFIRMED)
		return CONTRADICTED;
	if (first == g->e->kernel->base.v + rva)
		return SILENT;
	return yes_or_no(pointer(g, first + 2 * g->e->width, &object) && guest(g, object, &type, 2) && type == wanted);
}

static enum verdict shutdown_list(struct globals *g, uint32_t rva)
{
	return packet_list(g, rva, 3);
}

static enum verdict file_system_list(struct globals *g, uint32_t rva)
{
	return packet_list(g, rva, 4);
}

/* The registry's callbacks: the function is behind the links, 16 bytes of a cookie and flags, and a context. */
static enum verdict registry_list(struct globals *g, uint32_t rva)
{
	uint64_t first = image(g, rva), function;

	if (list_head(g, rva) != CONFIRMED)
		return CONTRADICTED;
	if (first == g->e->kernel->base.v + rva)
		return SILENT;
	return yes_or_no(pointer(g, first + 3 * g->e->width + 16, &function) && evidence_in_module(g->e, function));
}

/* KBUGCHECK_(REASON_)CALLBACK_RECORD: a function in a module behind the links. */
static enum verdict bugcheck_list(struct globals *g, uint32_t rva)
{
	uint64_t first = image(g, rva), function;

	if (list_head(g, rva) != CONFIRMED)
		return CONTRADICTED;
	if (first == g->e->kernel->base.v + rva)
		return SILENT;
	return yes_or_no(pointer(g, first + 2 * g->e->width, &function) && evidence_in_module(g->e, function));
}

static enum verdict handle_table_head(struct globals *g, uint32_t rva)
{
	const struct layout *l = g->layout;
	uint64_t first = image(g, rva), code = 0;

	if (list_head(g, rva) != CONFIRMED || first == g->e->kernel->base.v + rva || !l->handle_table.HandleTableList.size)
		return CONTRADICTED;
	return yes_or_no(field(g, first - l->handle_table.HandleTableList.offset, l->handle_table.TableCode, &code) &&
			 evidence_pointer(g->e, code) && (code & PAGE_MASK & ~7u) == 0);
}

/* Processes and objects ------------------------------------------------------ */

static enum verdict system_process(struct globals *g, uint32_t rva)
{
	return yes_or_no(g->pid == 4 && image(g, rva) == g->process);
}

static enum verdict idle_process(struct globals *g, uint32_t rva)
{
	uint64_t idle = image(g, rva);
	char head[4], name[5];

	/* It is static: a part of the kernel's image, or allocated once. */
	if (!guest(g, idle, head, 4) || head[0] != OBJECT_PROCESS || !guest(g, idle + g->e->name, name, 5))
		return CONTRADICTED;
	return yes_or_no(!memcmp(name, "Idle", 5));
}

/* Does the table's entry for a process's id lead to it? Entries of Windows 8 and later keep 44 bits of the address. */
static enum verdict cid_table(struct globals *g, uint32_t rva)
{
	uint64_t table = image(g, rva), code, entry;
	unsigned w = g->e->width, size = g->layout->handle_table_entry.size_ ? g->layout->handle_table_entry.size_ : 2 * w;
	uint64_t per_page = PAGE_SIZE / size, pointers = PAGE_SIZE / w, page = g->pid / 4 / per_page;

	if (!g->process || (table & 7) || !field(g, table, g->layout->handle_table.TableCode, &code) || (code & 7) > 2)
		return CONTRADICTED;
	for (unsigned level = code & 7; level; level--)
		if (!pointer(g, (code & ~UINT64_C(7)) + w * (level == 2 ? page / pointers : page % pointers), &code))
			return CONTRADICTED;
	if (!pointer(g, (code & ~UINT64_C(7)) + g->pid / 4 % per_page * size, &entry))
		return CONTRADICTED;
	return yes_or_no((entry & ~UINT64_C(7)) == g->process ||
			 (uint64_t)((int64_t)entry >> 16 & ~INT64_C(15)) == g->process ||
			 ((entry >> 20) << 4 | UINT64_C(0xffff000000000000)) == g->process);
}

static enum verdict object_type(struct globals *g, uint32_t rva, const char *wanted)
{
	uint64_t type = image(g, rva);
	char name[64];

	if (!evidence_pointer(g->e, type) || (type & (2 * g->e->width - 1)))
		return CONTRADICTED;
	name_at(g, type + g->layout->object_type.Name.offset, name);
	return yes_or_no(!strcmp(name, wanted));
}

static enum verdict type_table(struct globals *g, uint32_t rva)
{
	const struct layout *l = g->layout;
	unsigned good = 0, w = g->e->width;

	/* Slots 0 and 1 are no types; a type knows its own slot. Before Windows 7 headers name their types by address. */
	if (!l->object_type.Index.size || !l->object_header.TypeIndex.size || !evidence_pointer(g->e, image(g, rva + 2 * w)) ||
	    !evidence_pointer(g->e, image(g, rva + 3 * w)))
		return CONTRADICTED;
	for (unsigned i = 2; i < 24; i++) {
		uint64_t type = image(g, rva + w * i), index;
		char name[64];

		if (!evidence_pointer(g->e, type) || !field(g, type, l->object_type.Index, &index) || index != i)
			break;
		name_at(g, type + l->object_type.Name.offset, name);
		if (!*name)
			break;
		if (!strcmp(name, "Process"))
			g->process_type = (int)i;
		good++;
	}
	return yes_or_no(good >= 6);
}

static enum verdict cookie(struct globals *g, uint32_t rva)
{
	return g->cookie < 0 ? CONTRADICTED : yes_or_no(evidence_image(g->e, rva, 1) == (uint64_t)g->cookie);
}

/* For each mask of optional headers, how far the last of them is below the object header. */
static enum verdict mask_to_offset(struct globals *g, uint32_t rva)
{
	const struct layout *l = g->layout;
	const uint32_t sizes[] = {
		l->object_header_creator_info.size_, l->object_header_name_info.size_, l->object_header_handle_info.size_,
		l->object_header_quota_info.size_,
	};

	if (!sizes[0] || !sizes[1] || !sizes[2] || !sizes[3])
		return CONTRADICTED;
	for (unsigned mask = 0; mask < 16; mask++) {
		uint32_t sum = 0;
		for (unsigned i = 0; i < 4; i++)
			sum += mask >> i & 1 ? sizes[i] : 0;
		if (evidence_image(g->e, rva + mask, 1) != sum)
			return CONTRADICTED;
	}
	return CONFIRMED;
}

static enum verdict process_type(struct globals *g, uint32_t rva)
{
	return object_type(g, rva, "Process");
}

static enum verdict thread_type(struct globals *g, uint32_t rva)
{
	return object_type(g, rva, "Thread");
}

/* An object whose type is Directory; by its own name's lack only the debugger block tells it from others. */
static enum verdict root_directory(struct globals *g, uint32_t rva)
{
	uint64_t object = image(g, rva), bucket;
	unsigned used = 0, w = g->e->width;

	if (object & (2 * w - 1))
		return CONTRADICTED;
	for (unsigned i = 0; i < 4; i++) {
		if (!pointer(g, object + w * i, &bucket) || (bucket && !evidence_pointer(g->e, bucket)))
			return CONTRADICTED;
		used += bucket != 0;
	}
	return used ? CONFIRMED : SILENT;
}

/* The build --------------------------------------------------------------------- */

static enum verdict build_number(struct globals *g, uint32_t rva)
{
	uint64_t v = evidence_image(g->e, rva, 4);

	return yes_or_no((v & 0xffff) == g->e->build && v >> 28 >= 0xc);
}

static enum verdict build_lab(struct globals *g, uint32_t rva)
{
	g_autofree char *build = g_strdup_printf("%u.", g->e->build);
	char text[16] = "";

	for (unsigned i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)evidence_image(g->e, rva + i, 1);
	/* "19041.1.amd64fre.vb_release…"; XP and 2003 have no revision: "2600.xpsp_sp3…". */
	char next = g_str_has_prefix(text, build) ? text[strlen(build)] : 0;
	return yes_or_no(g_ascii_isdigit(next) || (g->e->build < 6000 && g_ascii_isalpha(next)));
}

/* NtBuildLabEx has the same text and the flavour, so the one that isn't NtBuildLab. */
static enum verdict build_lab_ex(struct globals *g, uint32_t rva)
{
	return rva == g->layout->symbol.NtBuildLab ? CONTRADICTED : build_lab(g, rva);
}

/* DBGKD_GET_VERSION64. */
static enum verdict version_block(struct globals *g, uint32_t rva)
{
	uint64_t base = g->e->kernel->base.v;

	return yes_or_no(evidence_image(g->e, rva + 2, 2) == g->e->build &&
			 evidence_image(g->e, rva + 0x10, 8) == (g->e->width == 4 ? (uint64_t)(int32_t)base : base));
}

static enum verdict debugger_data(struct globals *g, uint32_t rva)
{
	return yes_or_no(rva && rva == g->e->kdbg.rva);
}

static enum verdict image_base(struct globals *g, uint32_t rva)
{
	return yes_or_no(image(g, rva) == g->e->kernel->base.v);
}

/* Memory ------------------------------------------------------------------------ */

/* UNLOADED_DRIVERS, which symbols don't tell of: a name, where it began and ended, and when. */
static enum verdict unloaded_drivers(struct globals *g, uint32_t rva)
{
	uint64_t array = image(g, rva), start, end;
	unsigned good = 0, w = g->e->width, size = 4 * w + 8;
	char name[64];

	if (!evidence_pointer(g->e, array))
		return CONTRADICTED;
	for (unsigned i = 0; i < UNLOADED_MAX; i++) {
		if (!pointer(g, array + i * size + 2 * w, &start) || !pointer(g, array + i * size + 3 * w, &end))
			return CONTRADICTED;
		if (!start)
			break;
		name_at(g, array + i * size, name);
		if (!*name || end <= start || (start & PAGE_MASK) || !evidence_pointer(g->e, start))
			return CONTRADICTED;
		good++;
	}
	return good ? CONFIRMED : SILENT;
}

static enum verdict last_unloaded(struct globals *g, uint32_t rva)
{
	uint64_t n = evidence_image(g->e, rva, 4);

	return n && n <= UNLOADED_MAX && rva == g->layout->symbol.MmUnloadedDrivers + 8 ? CONFIRMED : n > UNLOADED_MAX ? CONTRADICTED : SILENT;
}

static enum verdict pfn_database(struct globals *g, uint32_t rva)
{
	uint64_t v = image(g, rva);

	return yes_or_no(evidence_pointer(g->e, v) && !(v & (g->e->width == 4 ? PAGE_MASK : 0xffffffu)));
}

static enum verdict paged_pool(struct globals *g, uint32_t rva)
{
	uint64_t v = image(g, rva);

	return yes_or_no(evidence_pointer(g->e, v) && !(v & PAGE_MASK));
}

/* Where the page tables map themselves: an address whose translation is the root. */
static enum verdict pte_base(struct globals *g, uint32_t rva)
{
	uint64_t v = image(g, rva), index, self;
	struct page page;

	if (g->e->width == 4 || !evidence_kernel_pointer(v) || (v & UINT64_C(0x7fffffffff)) || !evidence_spend(g->e, 1))
		return CONTRADICTED;
	index = v >> 39 & 0x1ff;
	self = v | index << 30 | index << 21 | index << 12;
	return yes_or_no(!space_page(g->e->space, (va_t){ self }, &page) && page.pa.v == g->e->space->dtb.v);
}

static enum verdict system_range(struct globals *g, uint32_t rva)
{
	if (g->e->width == 4)
		return yes_or_no(image(g, rva) >= 0x80000000u && !(image(g, rva) & 0xfffff));
	return yes_or_no(image(g, rva) >= UINT64_C(0xffff000000000000) && !(image(g, rva) & UINT64_C(0xffffffff)));
}

static enum verdict highest_user(struct globals *g, uint32_t rva)
{
	uint64_t v = image(g, rva);

	if (g->e->width == 4)
		return yes_or_no((v & 0xffff) == 0xffff && v >= 0x7ffe0000u);
	return yes_or_no((v & 0xffff) == 0xffff && v >> 40 && v >> 47 == 0);
}

/* PHYSICAL_MEMORY_DESCRIPTOR: a count of runs, of pages, then the runs. */
static enum verdict physical_memory(struct globals *g, uint32_t rva)
{
	uint64_t at = image(g, rva), runs, pages, first_pages;
	unsigned w = g->e->width;

	return yes_or_no(pointer(g, at, &runs) && pointer(g, at + w, &pages) && pointer(g, at + 3 * w, &first_pages) &&
			 (runs & UINT32_MAX) - 1 < 256 && pages && first_pages);
}

static enum verdict big_pages(struct globals *g, uint32_t rva)
{
	uint64_t table = image(g, rva), count = image(g, rva + g->e->width), va = 0;
	unsigned good = 0;

	if (!evidence_pointer(g->e, table) || !count || count > 1 << 24 || (count & (count - 1)) || !g->layout->pool_tracker_big_pages.size_)
		return CONTRADICTED;
	for (unsigned i = 0; i < count && i < 4096; i++) {
		if (!field(g, table + i * g->layout->pool_tracker_big_pages.size_, g->layout->pool_tracker_big_pages.Va, &va))
			return CONTRADICTED;
		/* Bit 0: the slot is free. */
		if (!(va & ~UINT64_C(1))) {
			if (!good && i >= BIG_PAGES_EMPTY)
				break;
			continue;
		}
		if (!evidence_pointer(g->e, va) || (va & PAGE_MASK & ~1u))
			return CONTRADICTED;
		good++;
	}
	return yes_or_no(good);
}

static enum verdict big_pages_size(struct globals *g, uint32_t rva)
{
	return yes_or_no(g->layout->symbol.PoolBigPageTable && rva == g->layout->symbol.PoolBigPageTable + g->e->width);
}

/* Processors ---------------------------------------------------------------------- */

static enum verdict processors(struct globals *g, uint32_t rva)
{
	uint64_t n = evidence_image(g->e, rva, 4);

	return n && n <= 2048 ? SILENT : CONTRADICTED;
}

static enum verdict processor_block(struct globals *g, uint32_t rva)
{
	uint64_t prcb = image(g, rva), thread, self;
	unsigned within = g->e->width == 4 ? 0x120 : 0x180, alignment = g->e->width == 4 ? 0x100 : PAGE_SIZE;

	/* A KPCR's pointer to its PRCB, which lies within it at that place; the PRCB knows its thread. */
	if (((prcb - within) & (alignment - 1)) || !pointer(g, prcb - within + 0x20, &self) || self != prcb)
		return CONTRADICTED;
	return yes_or_no(field(g, prcb, g->layout->kprcb.CurrentThread, &thread) && evidence_pointer(g->e, thread));
}

/* Services ----------------------------------------------------------------------- */

static bool in_code(const struct globals *g, uint32_t rva)
{
	for (guint i = 0; i < g->e->code->len; i++) {
		const struct range *r = &g_array_index(g->e->code, struct range, i);
		if (rva >= r->start && rva - r->start < r->length)
			return true;
	}
	return false;
}

/* KSERVICE_TABLE_DESCRIPTOR: the table, a counter that is 0, how many entries there are, and the arguments' table. Entries are
 * offsets (28 bits, signed; then how many arguments), on 32 bits addresses. */
static bool is_service_descriptor(const struct globals *g, uint32_t rva)
{
	const unsigned w = g->e->width;
	uint32_t table = evidence_rva(g->e, image(g, rva)), n = (uint32_t)image(g, rva + 2 * w), good = 0;

	if (!table || image(g, rva + w) || image(g, rva + 2 * w) > 0x400 || n < 0x80 || !evidence_rva(g->e, image(g, rva + 3 * w)) || !evidence_spend(g->e, n))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		int32_t entry = (int32_t)evidence_image(g->e, table + 4 * i, 4);
		good += in_code(g, w == 4 ? evidence_rva(g->e, (uint32_t)entry) : (uint32_t)((int64_t)table + (entry >> 4)));
	}
	return good * 10 >= n * 9;
}

static enum verdict service_descriptor(struct globals *g, uint32_t rva)
{
	return yes_or_no(is_service_descriptor(g, rva));
}

static enum verdict service_shadow(struct globals *g, uint32_t rva)
{
	return yes_or_no(rva != g->layout->symbol.KeServiceDescriptorTable && is_service_descriptor(g, rva));
}

/* The header of the pool block that a process object lies in, and the block's size with it; 0: it can't be told. */
static uint32_t process_block(const struct globals *g, uint64_t process, va_t *header)
{
	const struct layout *l = g->layout;
	uint64_t object = process - l->object_header.Body.offset, mask, size;

	if (!field(g, object, l->object_header.InfoMask, &mask))
		return 0;
	header->v = object - l->pool_header.size_ - (mask & 1 ? l->object_header_creator_info.size_ : 0) -
		    (mask & 2 ? l->object_header_name_info.size_ : 0) - (mask & 4 ? l->object_header_handle_info.size_ : 0) -
		    (mask & 8 ? l->object_header_quota_info.size_ : 0);
	return field(g, header->v, l->pool_header.BlockSize, &size) ? (uint32_t)size * l->pool_header.size_ : 0;
}

#define HEAP_LOOKS 6u	/* that the state of a block takes at most */

/* The keys of the segment heap: by them the chunks of processes are in use, and as large as their blocks. */
static enum verdict heap_globals(struct globals *g, uint32_t rva)
{
	const struct segment_heap heap = { true, image(g, rva), image(g, rva + 8) };
	unsigned good = 0, bad = 0;

	if (g->e->width != 8 || g->e->build < 17763 || !heap.heap_key || !heap.lfh_key)
		return CONTRADICTED;
	for (guint i = 0; i < g->e->processes->len && good < 4 && bad < 2; i++) {
		va_t header;
		uint32_t size = process_block(g, instance_at(g->e->processes, i)->va, &header);
		bool used = size && evidence_spend(g->e, HEAP_LOOKS) && segment_heap_state(&heap, g->e->space, header, size) == BLOCK_USED;
		good += used;
		bad += !used;
	}
	return yes_or_no(good >= 2 && good > bad);
}

static enum verdict boot_time(struct globals *g, uint32_t rva)
{
	uint64_t time = evidence_image(g->e, rva, 8);

	return yes_or_no(evidence_time(g->e, time) && time <= g->e->kernel->system_time);
}

static enum verdict silent(struct globals *g, uint32_t rva)
{
	(void)g;
	(void)rva;
	return SILENT;
}

const struct global globals[] = {
	{ "PsActiveProcessHead", process_head, 8, KDBG_ACTIVE_PROCESSES },
	{ "PsLoadedModuleList", module_head, 8, KDBG_LOADED_MODULES },
	{ "KdDebuggerDataBlock", debugger_data, 8, 0 },
	{ "PsInitialSystemProcess", system_process, 8, 0 },
	{ "PspCidTable", cid_table, 8, KDBG_CID_TABLE },
	{ "NtBuildLab", build_lab, 0, KDBG_BUILD_LAB },
	{ "NtBuildNumber", build_number, 4, 0 },
	{ "KiProcessorBlock", processor_block, 8, KDBG_PROCESSORS },
	{ "ObpRootDirectoryObject", root_directory, 0, KDBG_ROOT_DIRECTORY },
	{ "MmUnloadedDrivers", unloaded_drivers, 8, KDBG_UNLOADED_DRIVERS },
	{ "MmLastUnloadedDriver", last_unloaded, 0, KDBG_LAST_UNLOADED },
	{ "MmPfnDatabase", pfn_database, 0, KDBG_PFN_DATABASE, true },
	{ "MmPteBase", pte_base, 8, 0 },
	{ "MmHighestUserAddress", highest_user, 0, KDBG_HIGHEST_USER_ADDRESS },
	{ "MmSystemRangeStart", system_range, 0, KDBG_SYSTEM_RANGE },
	{ "MmPagedPoolStart", paged_pool, 0, KDBG_PAGED_POOL_START, true },
	{ "MmPhysicalMemoryBlock", physical_memory, 0, KDBG_PHYSICAL_MEMORY },
	{ "KeBugCheckCallbackListHead", bugcheck_list, 0, KDBG_BUGCHECK_CALLBACKS, true },
	{ "KiBugCheckData", silent, 0, KDBG_BUGCHECK_DATA },
	{ "CmNtCSDVersion", silent, 0, KDBG_CSD_VERSION },
	{ "MmSizeOfPagedPoolInBytes", silent, 0, KDBG_PAGED_POOL_SIZE },
	{ "PsProcessType", process_type, 8, 0 },
	{ "PsThreadType", thread_type, 8, 0 },
	{ "KeNumberProcessors", processors, 0, 0 },
	{ "KdVersionBlock", version_block, 8, 0 },
	{ "PsIdleProcess", idle_process, 8, 0 },
	{ "ObTypeIndexTable", type_table, 8, 0 },
	{ "HandleTableListHead", handle_table_head, 8, 0 },
	{ "ObpInfoMaskToOffset", mask_to_offset, 8, 0 },
	{ "ObHeaderCookie", cookie, 1, 0, true },
	{ "KeServiceDescriptorTable", service_descriptor, 8, 0 },
	{ "KeServiceDescriptorTableShadow", service_shadow, 8, 0 },
	{ "PoolBigPageTable", big_pages, 8, 0 },
	{ "PoolBigPageTableSize", big_pages_size, 8, 0 },
	{ "RtlpHpHeapGlobals", heap_globals, 8, 0 },
	{ "CallbackListHead", registry_list, 0, 0, true },
	{ "CmCallbackListHead", registry_list, 0, 0, true },
	{ "KeBugCheckReasonCallbackListHead", bugcheck_list, 0, 0, true },
	{ "IopNotifyShutdownQueueHead", shutdown_list, 0, 0, true },
	{ "IopNotifyLastChanceShutdownQueueHead", shutdown_list, 0, 0, true },
	{ "IopFsNotifyChangeQueueHead", file_system_list, 0, 0, true },
	{ "PopRegisteredPowerSettingCallbacks", list_head, 0, 0, true },
	{ "CmpHiveListHead", list_head, 0, 0, true },
	{ "MmProcessList", list_head, 0, 0, true },
	{ "NtBuildLabEx", build_lab_ex, 0, 0, true },
	{ "PsNtosImageBase", image_base, 0, 0, true },
	{ "KeBootTime", boot_time, 0, 0, true },
};
const size_t globals_count = G_N_ELEMENTS(globals);
