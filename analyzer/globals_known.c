/* SPDX-License-Identifier: Apache-2.0 */
/* What each global holds, so far as that can be told. */
#include <string.h>
#include "globals.h"
#include "text.h"

#define PER_PAGE 256u		/* handle table entries of 16 bytes on a page */
#define POINTERS 512u		/* to such pages on one */
#define OBJECT_PROCESS 3u	/* dispatcher header types */
#define UNLOADED_MAX 50u	/* MI_UNLOADED_DRIVERS */

static uint64_t image(const struct globals *g, uint32_t rva)
{
	return evidence_image(g->e, rva, 8);
}

static bool guest(const struct globals *g, uint64_t va, void *to, size_t n)
{
	return evidence_kernel_pointer(va) && !space_read(g->e->space, (va_t){ va }, to, n, NULL);
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
	struct { uint16_t length, room; uint32_t pad; uint64_t buffer; } string;
	uint16_t text[63];

	out[0] = 0;
	if (!guest(g, va, &string, sizeof(string)) || (string.length & 1) || string.length > string.room ||
	    string.length > sizeof(text) || !guest(g, string.buffer, text, string.length))
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
	return yes_or_no(guest(g, first + 0x10, &object, 8) && guest(g, object, &type, 2) && type == wanted);
}

static enum verdict shutdown_list(struct globals *g, uint32_t rva)
{
	return packet_list(g, rva, 3);
}

static enum verdict file_system_list(struct globals *g, uint32_t rva)
{
	return packet_list(g, rva, 4);
}

/* The registry's callbacks: the function is behind the links, a cookie, a flag, and a context. */
static enum verdict registry_list(struct globals *g, uint32_t rva)
{
	uint64_t first = image(g, rva), function;

	if (list_head(g, rva) != CONFIRMED)
		return CONTRADICTED;
	if (first == g->e->kernel->base.v + rva)
		return SILENT;
	return yes_or_no(guest(g, first + 0x28, &function, 8) && evidence_in_module(g->e, function));
}

/* KBUGCHECK_(REASON_)CALLBACK_RECORD: a function in a module behind the links. */
static enum verdict bugcheck_list(struct globals *g, uint32_t rva)
{
	uint64_t first = image(g, rva), function;

	if (list_head(g, rva) != CONFIRMED)
		return CONTRADICTED;
	if (first == g->e->kernel->base.v + rva)
		return SILENT;
	return yes_or_no(guest(g, first + 0x10, &function, 8) && evidence_in_module(g->e, function));
}

static enum verdict handle_table_head(struct globals *g, uint32_t rva)
{
	const struct layout *l = g->layout;
	uint64_t first = image(g, rva), code = 0;

	if (list_head(g, rva) != CONFIRMED || first == g->e->kernel->base.v + rva || !l->handle_table.HandleTableList.size)
		return CONTRADICTED;
	return yes_or_no(field(g, first - l->handle_table.HandleTableList.offset, l->handle_table.TableCode, &code) &&
			 evidence_kernel_pointer(code) && (code & PAGE_MASK & ~7u) == 0);
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
	uint64_t table = image(g, rva), code, entry, page = g->pid / 4 / PER_PAGE;

	if (!g->process || (table & 7) || !field(g, table, g->layout->handle_table.TableCode, &code) || (code & 7) > 2)
		return CONTRADICTED;
	for (unsigned level = code & 7; level; level--)
		if (!guest(g, (code & ~UINT64_C(7)) + 8 * (level == 2 ? page / POINTERS : page % POINTERS), &code, 8))
			return CONTRADICTED;
	if (!guest(g, (code & ~UINT64_C(7)) + g->pid / 4 % PER_PAGE * 16, &entry, 8))
		return CONTRADICTED;
	return yes_or_no((entry & ~UINT64_C(7)) == g->process ||
			 (uint64_t)((int64_t)entry >> 16 & ~INT64_C(15)) == g->process ||
			 ((entry >> 20) << 4 | UINT64_C(0xffff000000000000)) == g->process);
}

static enum verdict object_type(struct globals *g, uint32_t rva, const char *wanted)
{
	uint64_t type = image(g, rva);
	char name[64];

	if (!evidence_kernel_pointer(type) || (type & 15))
		return CONTRADICTED;
	name_at(g, type + g->layout->object_type.Name.offset, name);
	return yes_or_no(!strcmp(name, wanted));
}

static enum verdict type_table(struct globals *g, uint32_t rva)
{
	const struct layout *l = g->layout;
	unsigned good = 0;

	/* Slots 0 and 1 are no types; a type knows its own slot. */
	if (!l->object_type.Index.size || !evidence_kernel_pointer(image(g, rva + 16)) || !evidence_kernel_pointer(image(g, rva + 24)))
		return CONTRADICTED;
	for (unsigned i = 2; i < 24; i++) {
		uint64_t type = image(g, rva + 8 * i), index;
		char name[64];

		if (!evidence_kernel_pointer(type) || !field(g, type, l->object_type.Index, &index) || index != i)
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
	uint64_t object = image(g, rva), buckets[4];
	unsigned used = 0;

	if ((object & 15) || !guest(g, object, buckets, sizeof(buckets)))
		return CONTRADICTED;
	for (unsigned i = 0; i < G_N_ELEMENTS(buckets); i++) {
		if (buckets[i] && !evidence_kernel_pointer(buckets[i]))
			return CONTRADICTED;
		used += buckets[i] != 0;
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
	return yes_or_no(g_str_has_prefix(text, build) && g_ascii_isdigit(text[strlen(build)]));
}

/* NtBuildLabEx has the same text and the flavour, so the one that isn't NtBuildLab. */
static enum verdict build_lab_ex(struct globals *g, uint32_t rva)
{
	return rva == g->layout->symbol.NtBuildLab ? CONTRADICTED : build_lab(g, rva);
}

/* DBGKD_GET_VERSION64. */
static enum verdict version_block(struct globals *g, uint32_t rva)
{
	return yes_or_no(evidence_image(g->e, rva + 2, 2) == g->e->build && image(g, rva + 0x10) == g->e->kernel->base.v);
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
	uint64_t array = image(g, rva), range[2];
	unsigned good = 0;
	char name[64];

	if (!evidence_kernel_pointer(array))
		return CONTRADICTED;
	for (unsigned i = 0; i < UNLOADED_MAX; i++) {
		if (!guest(g, array + i * 0x28 + 0x10, range, sizeof(range)))
			return CONTRADICTED;
		uint64_t start = range[0], end = range[1];
		if (!start)
			break;
		name_at(g, array + i * 0x28, name);
		if (!*name || end <= start || (start & PAGE_MASK) || !evidence_kernel_pointer(start))
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

	return yes_or_no(evidence_kernel_pointer(v) && !(v & PAGE_MASK) && (v & UINT64_C(0xffffff)) == 0);
}

/* Where the page tables map themselves: an address whose translation is the root. */
static enum verdict pte_base(struct globals *g, uint32_t rva)
{
	uint64_t v = image(g, rva), index, self;
	struct page page;

	if (!evidence_kernel_pointer(v) || (v & UINT64_C(0x7fffffffff)))
		return CONTRADICTED;
	index = v >> 39 & 0x1ff;
	self = v | index << 30 | index << 21 | index << 12;
	return yes_or_no(!space_page(g->e->space, (va_t){ self }, &page) && page.pa.v == g->e->space->dtb.v);
}

static enum verdict system_range(struct globals *g, uint32_t rva)
{
	return yes_or_no(image(g, rva) >= UINT64_C(0xffff000000000000) && !(image(g, rva) & UINT64_C(0xffffffff)));
}

static enum verdict highest_user(struct globals *g, uint32_t rva)
{
	uint64_t v = image(g, rva);

	return yes_or_no((v & 0xffff) == 0xffff && v >> 40 && v >> 47 == 0);
}

/* PHYSICAL_MEMORY_DESCRIPTOR: a count of runs, of pages, then the runs. */
static enum verdict physical_memory(struct globals *g, uint32_t rva)
{
	uint64_t block[4];

	return yes_or_no(guest(g, image(g, rva), block, sizeof(block)) && (block[0] & UINT32_MAX) - 1 < 256 && block[1] && block[3]);
}

static enum verdict big_pages(struct globals *g, uint32_t rva)
{
	uint64_t table = image(g, rva), count = image(g, rva + 8), va = 0;
	unsigned good = 0;

	if (!evidence_kernel_pointer(table) || !count || count > 1 << 24 || (count & (count - 1)) || !g->layout->pool_tracker_big_pages.size_)
		return CONTRADICTED;
	for (unsigned i = 0; i < count && i < 4096; i++) {
		if (!field(g, table + i * g->layout->pool_tracker_big_pages.size_, g->layout->pool_tracker_big_pages.Va, &va))
			return CONTRADICTED;
		/* Bit 0: the slot is free. */
		if (!(va & ~UINT64_C(1)))
			continue;
		if (!evidence_kernel_pointer(va) || (va & PAGE_MASK & ~1u))
			return CONTRADICTED;
		good++;
	}
	return yes_or_no(good);
}

static enum verdict big_pages_size(struct globals *g, uint32_t rva)
{
	return yes_or_no(g->layout->symbol.PoolBigPageTable && rva == g->layout->symbol.PoolBigPageTable + 8);
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

	/* A KPCR's CurrentPrcb, and it lies 0x180 before; the PRCB knows its thread. */
	if ((prcb & PAGE_MASK) != 0x180 || !guest(g, prcb - 0x180 + 0x20, &self, 8) || self != prcb)
		return CONTRADICTED;
	return yes_or_no(field(g, prcb, g->layout->kprcb.CurrentThread, &thread) && evidence_kernel_pointer(thread));
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

/* KSERVICE_TABLE_DESCRIPTOR: the table of offsets (28 bits, signed; then how many arguments), a counter that is
 * 0, how many there are, and the arguments' table. */
static bool is_service_descriptor(const struct globals *g, uint32_t rva)
{
	uint32_t table = evidence_rva(g->e, image(g, rva)), n = (uint32_t)image(g, rva + 16), good = 0;

	if (!table || image(g, rva + 8) || image(g, rva + 16) > 0x400 || n < 0x80 || !evidence_rva(g->e, image(g, rva + 24)))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		int32_t entry = (int32_t)evidence_image(g->e, table + 4 * i, 4);
		good += in_code(g, (uint32_t)((int64_t)table + (entry >> 4)));
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

static enum verdict boot_time(struct globals *g, uint32_t rva)
{
	return yes_or_no(evidence_time(g->e, image(g, rva)) && image(g, rva) <= g->e->kernel->system_time);
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
