/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's image at its address, its globals where its symbols say, and the drivers. */
#include <string.h>
#include "sample.h"

/* What a kernel calls itself; the branches are public knowledge, from the builds' own strings. */
static const struct { unsigned build; bool revision_first; const char *branch; } build_labs[] = {
	{ 2600, false, "xpsp_sp3_gdr.100216-1514" },
	{ 7601, true, "amd64fre.win7sp1_ldr_escrow.190820-1700" },
	{ 9600, true, "amd64fre.winblue_ltsb_escrow.200903-1603" },
	{ 14393, false, "amd64fre.rs1_release.210107-1130" },
	{ 17763, false, "amd64fre.rs5_release.180914-1434" },
	{ 18362, false, "amd64fre.19h1_release.190318-1202" },
	{ 19041, false, "amd64fre.vb_release.191206-1406" },
	{ 20348, false, "amd64fre.fe_release.210507-1500" },
	{ 22000, false, "amd64fre.co_release.210604-1628" },
};

static const char *const kernel_exports[] = {
	"ExAllocatePoolWithTag", "ExFreePoolWithTag", "IoCreateDevice", "IoDeleteDevice", "IofCompleteRequest", "KeBugCheckEx",
	"KeWaitForSingleObject", "MmGetSystemRoutineAddress", "NtClose", "NtCreateFile", "ObReferenceObjectByHandle",
	"PsGetCurrentProcessId", "PsSetCreateProcessNotifyRoutine", "RtlInitUnicodeString", "ZwClose", NULL
};

/* ---- the image */

static void map_kernel_page(struct sample *s, uint64_t rva)
{
	uint64_t va = s->kernel_base + (rva & ~(uint64_t)PAGE_MASK);
	const struct executable_section *section = executable_section_at(s->kernel, (uint32_t)rva);
	uint64_t bits = !section ? PTE_KERNEL_CODE | PTE_NX : section->protection == MM_EXECUTE_READ ? PTE_KERNEL_CODE :
			section->protection == MM_WRITECOPY ? PTE_KERNEL_DATA : PTE_KERNEL_CODE | PTE_NX;

	if (memory_mapped(s->memory, ROOT(s), va))
		return;
	memory_map_new(s->memory, ROOT(s), va, bits);
	memory_write(s->memory, ROOT(s), va, s->kernel->bytes + (rva & ~(uint64_t)PAGE_MASK), PAGE_SIZE);
}

uint64_t kernel_global(struct sample *s, uint64_t rva)
{
	if (!rva)
		return 0;
	map_kernel_page(s, rva);
	return s->kernel_base + rva;
}

void kernel_set(struct sample *s, uint64_t rva, uint64_t value, unsigned width)
{
	if (rva)
		memory_put(s->memory, ROOT(s), kernel_global(s, rva), value, width);
}

/* Where the symbols leave room: the last of them, and which pages of the read-only part have some. */
#define READ_ONLY_END 0x101000u
struct extent { uint64_t last, data; bool used[READ_ONLY_END / PAGE_SIZE + 1]; };

static void visit_symbol(void *user, const char *name, uint64_t *rva)
{
	struct extent *e = user;

	(void)name;
	e->last = MAX(e->last, *rva);
	if (*rva < READ_ONLY_END)
		e->used[*rva / PAGE_SIZE] = e->used[*rva / PAGE_SIZE + 1] = true;
}

/* Two free pages, near the front, where debuggers look for the debug directory. */
static uint32_t free_tables(const struct extent *e)
{
	uint32_t page = 2;

	while (page * PAGE_SIZE < READ_ONLY_END && (e->used[page] || e->used[page + 1]))
		page++;
	return page * PAGE_SIZE;
}

static void map_large(struct sample *s)
{
	const uint64_t large = UINT64_C(2) << 20;

	for (uint64_t at = 0; at < s->kernel_size; at += large) {
		uint64_t pa = memory_large_frame(s->memory);
		if (!pa || (s->kernel_base & (large - 1)))
			item_fail(s->machine, "large pages for the kernel need more ram=, and a base= of whole 2 MiB");
		memory_map_large(s->memory, s->kernel_base + at, pa, PTE_VALID | PTE_WRITABLE | PTE_ACCESSED | PTE_DIRTY | PTE_GLOBAL);
		memcpy(s->memory->bytes + pa, s->kernel->bytes + at, MIN(large, s->kernel_size - at));
	}
}

static void build_strings(struct sample *s)
{
	g_autofree char *lab = NULL;
	struct item *kernel = description_item(s->description, "kernel");

	for (size_t i = 0; i < G_N_ELEMENTS(build_labs); i++)
		if (build_labs[i].build == s->build)
			lab = build_labs[i].revision_first ? g_strdup_printf("%u.%u.%s", s->build, s->revision, build_labs[i].branch) :
						       g_strdup_printf("%u.1.%s", s->build, build_labs[i].branch);
	if (s->of_family && s->build >= 6000) {	/* the same branch, another flavour */
		const char *rest = lab ? strstr(lab, "amd64fre") : NULL;
		g_autofree char *other = g_strdup_printf("%u.%u.%s%s", s->build, s->build < 10240 ? s->revision : 1,
							 s->width == 4 ? "x86fre" : s->memory->paging == PAGING_ARM64 ? "arm64fre" : "amd64fre",
							 rest ? rest + strlen("amd64fre") : ".sample");
		g_free(g_steal_pointer(&lab));
		lab = g_steal_pointer(&other);
	} else if (s->of_family) {	/* no revision, no flavour */
		g_free(g_steal_pointer(&lab));
		lab = g_strdup_printf("%u.%s", s->build, s->build == 2600 ? build_labs[0].branch : "srv03_sp2_gdr.100216-1301");
	}
	if (!lab)
		lab = g_strdup_printf("%u.%u.amd64fre.sample", s->build, s->build < 10000 ? s->revision : 1);
	const char *text = item_text(kernel, "lab", lab);
	for (size_t i = 0; i <= strlen(text); i++) {
		kernel_set(s, s->layout->symbol.NtBuildLab ? s->layout->symbol.NtBuildLab + i : 0, (uint8_t)text[i], 1);
		kernel_set(s, s->layout->symbol.NtBuildLabEx ? s->layout->symbol.NtBuildLabEx + i : 0, (uint8_t)text[i], 1);
	}
	SET_GLOBAL(s, NtBuildNumber, 0xf0000000u | s->build, 4);
	SET_GLOBAL(s, NtBuildQfe, s->revision, 4);
	SET_GLOBAL(s, CmNtCSDVersion, s->build == 7601 ? 0x100 : s->build == 2600 ? 0x300 : 0, 4);
}

static void list_heads(struct sample *s)
{
	const uint64_t heads[] = {
		s->layout->symbol.PsActiveProcessHead, s->layout->symbol.PsLoadedModuleList, s->layout->symbol.HandleTableListHead,
		s->layout->symbol.MmProcessList, s->layout->symbol.MiSessionWsList, s->layout->symbol.CmCallbackListHead,
		s->layout->symbol.CallbackListHead, s->layout->symbol.KeBugCheckCallbackListHead,
		s->layout->symbol.KeBugCheckReasonCallbackListHead, s->layout->symbol.IopNotifyShutdownQueueHead,
		s->layout->symbol.IopNotifyLastChanceShutdownQueueHead, s->layout->symbol.IopFsNotifyChangeQueueHead,
		s->layout->symbol.PopRegisteredPowerSettingCallbacks,
		s->layout->symbol.CmpHiveListHead,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(heads); i++)
		if (heads[i])
			list_init(s, ROOT(s), kernel_global(s, heads[i]));
}

/* symbols=NAME:RVA,…: globals that a family has no symbols of. */
void kernel_place(struct sample *s)
{
	struct item *item = description_item(s->description, "kernel");
	g_auto(GStrv) list = g_strsplit(item_text(item, "symbols", ""), ",", -1);

	for (unsigned i = 0; list[i]; i++) {
		char *colon = strchr(list[i], ':');
		if (colon)
			*colon++ = '\0';
		if (!colon || !layout_set_symbol(s->layout, list[i], g_ascii_strtoull(colon, NULL, 0)))
			item_fail(item, "symbols: NAME:RVA");
	}
}

/* bytes=RVA:HEX: something of the kernel's that nothing here knows of. */
static void kernel_bytes(struct sample *s, struct item *item)
{
	const char *text = item_text(item, "bytes", NULL), *colon = text ? strchr(text, ':') : NULL;
	uint64_t rva = text ? g_ascii_strtoull(text, NULL, 0) : 0;

	if (text && (!colon || !rva || rva >= s->kernel_size))
		item_fail(item, "bytes: RVA:HEX");
	for (; colon && colon[1] && colon[2]; colon += 2)
		kernel_set(s, rva++, (uint64_t)g_ascii_xdigit_value(colon[1]) << 4 | (uint64_t)g_ascii_xdigit_value(colon[2]), 1);
}

/* patch=RVA:HEX,RVA:HEX…: written over a driver. */
static void driver_patch(struct sample *s, const struct sample_driver *driver, struct item *item)
{
	const char *text = item_text(item, "patch", NULL);
	g_auto(GStrv) patches = g_strsplit(text ? text : "", ",", -1);

	for (unsigned i = 0; patches[i]; i++) {
		const char *colon = strchr(patches[i], ':');
		uint64_t rva = g_ascii_strtoull(patches[i], NULL, 0);
		if (!colon || !rva || rva >= driver->size)
			item_fail(item, "patch: RVA:HEX");
		for (; colon[1] && colon[2]; colon += 2)
			memory_put(s->memory, ROOT(s), driver->base + rva++,
				   (uint64_t)g_ascii_xdigit_value(colon[1]) << 4 | (uint64_t)g_ascii_xdigit_value(colon[2]), 1);
	}
}

/* What a driver imports it has from the kernel. */
static void bind_driver(struct sample *s, const struct sample_driver *driver)
{
	for (guint i = 0; i < driver->executable->imports->len; i++) {
		const struct executable_import *import = &g_array_index(driver->executable->imports, struct executable_import, i);
		uint32_t rva = executable_export(s->kernel, import->name);
		if (rva)
			memory_put(s->memory, ROOT(s), driver->base + import->rva, s->kernel_base + rva, 8);
	}
}

static void put_code(struct sample *s, uint32_t rva, uint64_t value, unsigned width)
{
	for (unsigned i = 0; i < width; i++)
		s->kernel->bytes[rva + i] = (uint8_t)(value >> 8 * i);
}

/* mov or lea of an address in the kernel into the first register, and a return. */
static void load_address(struct sample *s, uint32_t at, uint64_t rva)
{
	if (s->memory->paging == PAGING_ARM64) {
		uint32_t pages = (uint32_t)((rva >> 12) - (at >> 12));
		put_code(s, at, 0x90000000u | (pages & 3) << 29 | (pages >> 2 & 0x7ffff) << 5, 4);
		put_code(s, at + 4, 0x91000000u | (uint32_t)(rva & PAGE_MASK) << 10, 4);
		put_code(s, at + 8, 0xd65f03c0u, 4);
	} else if (s->width == 4) {
		put_code(s, at, 0xb8, 1);
		put_code(s, at + 1, s->kernel_base + rva, 4);
		put_code(s, at + 5, 0xccccc3, 3);
	} else {
		put_code(s, at, 0x0d8d48, 3);
		put_code(s, at + 3, rva - at - 7, 4);
		put_code(s, at + 7, 0xccccc3, 3);
	}
}

/* The functions that register callbacks name the arrays these are put into: the one of images by a jump to another function. */
static const char *const setters[] = { "PsSetCreateProcessNotifyRoutine", "PsSetCreateThreadNotifyRoutine", "PsSetLoadImageNotifyRoutine" };

static void write_setters(struct sample *s)
{
	const uint64_t arrays[G_N_ELEMENTS(setters)] = {
		s->layout->symbol.PspCreateProcessNotifyRoutine, s->layout->symbol.PspCreateThreadNotifyRoutine, s->layout->symbol.PspLoadImageNotifyRoutine,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(setters); i++) {
		uint32_t at = executable_export(s->kernel, setters[i]), behind = at + 0x20;
		if (i < 2) {
			load_address(s, at, arrays[i]);
			continue;
		}
		if (s->memory->paging == PAGING_ARM64)
			put_code(s, at, 0x14000000u | (behind - at) / 4, 4);
		else
			put_code(s, at, UINT64_C(0xcccc00000000e9) | (uint64_t)(behind - at - 5) << 8, 7);
		load_address(s, behind, arrays[i]);
	}
}

void kernel_init(struct sample *s)
{
	struct item *item = description_item(s->description, "kernel");
	struct extent extent = { 0 };
	uint64_t base = UINT64_C(0xfffff80000000000);

	layout_visit_symbols(s->layout, visit_symbol, &extent);
	/* Windows 7 loads the kernel low; then by chance, in whole large pages since 19041. */
	base += s->build < 9600 ? 0x2800000 + (random_of(s->seed, "kernel", 0) % 0x400 << 12) :
		s->build < 19041 ? (random_of(s->seed, "kernel", 0) % 0x800000 << 12) + 0x10000000 :
		(random_of(s->seed, "kernel", 0) % 0x4000 << 21) + 0x10000000;
	if (s->width == 4)
		base = s->build < 6000 ? 0x804d7000u : 0x81800000u + (random_of(s->seed, "kernel", 0) % 0x400 << 12);
	s->kernel_base = item_number(item, "base", base);
	s->kernel_size = item_number(item, "size", (extent.last + 0x9000) & ~UINT64_C(0xfff));
	if (s->kernel_size < extent.last + 0x5000)
		item_fail(item, "size: the symbols reach to 0x%" G_GINT64_MODIFIER "x", extent.last);
	const uint64_t data[] = { s->layout->symbol.PsActiveProcessHead, s->layout->symbol.PsLoadedModuleList,
				  s->layout->symbol.KdDebuggerDataBlock, s->layout->symbol.ObTypeIndexTable };
	extent.data = extent.last;
	for (size_t i = 0; i < G_N_ELEMENTS(data); i++)
		extent.data = data[i] ? MIN(extent.data, data[i]) : extent.data;
	g_autoptr(GPtrArray) exports = g_ptr_array_new();
	for (size_t i = 0; kernel_exports[i]; i++)
		g_ptr_array_add(exports, (gpointer)kernel_exports[i]);
	for (size_t i = 1; i < G_N_ELEMENTS(setters) && item_flag(item, "setters"); i++)
		g_ptr_array_add(exports, (gpointer)setters[i]);
	g_ptr_array_add(exports, NULL);
	struct executable_spec spec = {
		.name = "ntoskrnl.exe",
		.pdb = item_text(item, "pdb", s->width == 8 ? "ntkrnlmp.pdb" : s->memory->paging == PAGING_X86_PAE ? "ntkrpamp.pdb" : "ntoskrnl.pdb"),
		.guid_age = item_text(item, "guid", s->layout->guid_age), .exports = (const char *const *)exports->pdata,
		.company = "Microsoft Corporation", .product = "Microsoft\302\256 Windows\302\256 Operating System",
		.version = s->layout->version, .base = s->kernel_base, .seed = s->seed, .size = (uint32_t)s->kernel_size,
		.timestamp = (uint32_t)item_number(item, "timestamp", 0),
		.data = (uint32_t)(extent.data & ~UINT64_C(0xfff)), .code = READ_ONLY_END, .tables = free_tables(&extent),
		.is_64bit = s->width == 8, .arm64 = s->memory->paging == PAGING_ARM64, .native = true,
		.data_exports = { { "NtBuildNumber", s->of_family ? (uint32_t)s->layout->symbol.NtBuildNumber : 0 } },
	};
	s->kernel = executable_create(&spec);
	if (item_flag(item, "setters"))
		write_setters(s);
	if (item_flag(item, "large-pages"))
		map_large(s);
	/* Headers, tables, the first code, resources; the rest where something asks for it. */
	const uint64_t first[] = { 0, spec.tables, spec.tables + PAGE_SIZE, spec.code, s->kernel_size - 0x2000 };
	for (size_t i = 0; i < G_N_ELEMENTS(first); i++)
		map_kernel_page(s, first[i]);
	list_heads(s);
	build_strings(s);
	kernel_bytes(s, item);
	POINT_GLOBAL(s, PsNtosImageBase, s->kernel_base);
	POINT_GLOBAL(s, PsNtosImageEnd, s->kernel_base + s->kernel_size);
	SET_GLOBAL(s, KeBootTime, s->boot_time, 8);
	if (s->width == 4) {
		SET_GLOBAL(s, MmSystemRangeStart, 0x80000000u, 4);
		SET_GLOBAL(s, MmHighestUserAddress, 0x7ffeffffu, 4);
		SET_GLOBAL(s, MmPfnDatabase, s->build < 6000 ? 0x80c86000u : 0x83800000u, 4);
		return;
	}
	SET_GLOBAL(s, MmSystemRangeStart, s->build < 10240 ? UINT64_C(0xffff080000000000) : UINT64_C(0xffff800000000000), 8);
	SET_GLOBAL(s, MmHighestUserAddress, s->build < 9600 ? UINT64_C(0x7fffffeffff) : UINT64_C(0x7ffffffeffff), 8);
	SET_GLOBAL(s, MmPfnDatabase, s->build < 9600 ? UINT64_C(0xfffffa8000000000) : UINT64_C(0xffffaa8000000000), 8);
	uint64_t self = s->memory->self_map;
	SET_GLOBAL(s, MmPteBase, s->memory->levels == 5 ? UINT64_C(0xfe00000000000000) | self << 48 :
		   UINT64_C(0xffff000000000000) | self << 39, 8);
	if (s->layout->symbol.MiState && HAS_FIELD(s, mi_system_information.Hardware) &&
	    HAS_FIELD(s, mi_hardware_state.InvalidPteMask)) {
		uint64_t rva = s->layout->symbol.MiState + OFFSET(s, mi_system_information.Hardware) +
			       OFFSET(s, mi_hardware_state.InvalidPteMask);
		kernel_set(s, rva, s->invalid_pte_mask, 8);
	}
}

/* ---- drivers */

/* irp=NUMBER:DRIVER+0x…,…: functions that requests of a driver go to instead; of drivers before it. */
static void driver_irps(struct sample *s, struct item *item, uint64_t majors)
{
	g_auto(GStrv) all = g_strsplit(item_text(item, "irp", ""), ",", -1);

	for (unsigned i = 0; all[i]; i++) {
		const char *colon = strchr(all[i], ':');
		uint64_t number = g_ascii_strtoull(all[i], NULL, 0);
		if (!colon || number >= 28)
			item_fail(item, "irp: NUMBER:DRIVER+0x…");
		memory_put(s->memory, ROOT(s), majors + s->width * number, sample_address(s, item, colon + 1), s->width);
	}
}

static uint64_t driver_object(struct sample *s, const struct sample_driver *driver, struct item *item, bool named)
{
	g_autofree char *service = g_strndup(driver->name, strcspn(driver->name, "."));
	g_autofree char *full = g_strdup_printf("\\Driver\\%s", service);
	uint64_t extension_size = MAX(s->layout->driver_extension.size_, OFFSET(s, driver_extension.ServiceKeyName) + 2 * s->width);
	uint64_t object = object_alloc(s, OBJECT_DRIVER, s->layout->driver_object.size_ + extension_size, named ? service : NULL, named ? s->driver_directory : 0);
	uint64_t extension = object + s->layout->driver_object.size_, majors = object + OFFSET(s, driver_object.MajorFunction);

	SET(s, object, driver_object.Type, 4);
	SET(s, object, driver_object.Size, s->layout->driver_object.size_);
	SET(s, object, driver_object.Flags, 0x12);
	SET(s, object, driver_object.DriverStart, driver->base);
	SET(s, object, driver_object.DriverSize, driver->size);
	SET(s, object, driver_object.DriverSection, driver->entry);
	SET(s, object, driver_object.DriverExtension, extension);
	SET(s, object, driver_object.DriverInit, driver->base + driver->executable->entry_point);
	put_string(s, object + OFFSET(s, driver_object.DriverName), full);
	put_string(s, extension + OFFSET(s, driver_extension.ServiceKeyName), service);
	/* Create, close and device control are its own; the rest is the kernel's "invalid device request". */
	for (unsigned i = 0; i < 28 && HAS_FIELD(s, driver_object.MajorFunction); i++) {
		bool own = i == 0 || i == 2 || i == 14;
		memory_put(s->memory, ROOT(s), majors + s->width * i,
			   own ? driver->base + driver->executable->entry_point + 64 * (i + 1) : s->kernel_base + s->kernel->entry_point + 64,
			   s->width);
	}
	if (HAS_FIELD(s, driver_object.MajorFunction))
		driver_irps(s, item, majors);
	return object;
}

/*
 * Images of a session (win32k.sys) lie in a part of the kernel's half that only the session's processes have: its page tables
 * are made under a root of their own, in a slot that programs would have, which each of those processes then gets.
 */
#define SESSION_SLOT UINT64_C(1)

static uint64_t session_index(const struct sample *s)
{
	uint64_t index = s->build < 10240 ? 0x1f2 : 0x189;

	return index + (index == s->memory->self_map);
}

static uint64_t session_view(uint64_t va)
{
	return (va & ((UINT64_C(1) << 39) - 1)) | SESSION_SLOT << 39;
}

void session_map(struct sample *s, uint64_t root, unsigned session)
{
	if (s->session_tables && session == s->session_driver)
		memcpy(s->memory->bytes + root + 8 * session_index(s), s->memory->bytes + s->session_tables + 8 * SESSION_SLOT, 8);
}

static void map_driver(struct sample *s, const struct sample_driver *driver, bool relocations)
{
	uint64_t root = driver->session ? s->session_tables : ROOT(s);

	for (uint32_t rva = 0; rva < driver->size; rva += PAGE_SIZE) {
		const struct executable_section *section = executable_section_at(driver->executable, rva);
		uint64_t bits = !section || section->protection == MM_READONLY ? PTE_KERNEL_CODE | PTE_NX :
				section->protection == MM_EXECUTE_READ ? PTE_KERNEL_CODE : PTE_KERNEL_DATA;
		if (section && !strcmp(section->name, ".reloc") && !relocations)
			continue;	/* discarded once it was loaded */
		uint64_t va = driver->session ? session_view(driver->base + rva) : driver->base + rva;
		memory_map_new(s->memory, root, va, bits);
		memory_write(s->memory, root, va, driver->executable->bytes + rva, PAGE_SIZE);
	}
}

static void add_driver(struct sample *s, const char *name, const char *path, const struct executable *kernel, struct item *item)
{
	struct sample_driver *driver = g_new0(struct sample_driver, 1);
	bool library = g_str_has_suffix(name, ".dll");
	const char *imports = item_text(item, "imports", NULL), *exports = item_text(item, "exports", NULL);
	g_auto(GStrv) import_list = imports ? g_strsplit(imports, ",", -1) : NULL, export_list = exports ? g_strsplit(exports, ",", -1) : NULL;

	driver->name = name;
	driver->path = path;
	if (kernel) {
		driver->base = s->kernel_base;
		driver->size = s->kernel_size;
	} else {
		if (item && item_has(item, "session")) {
			if (s->memory->paging != PAGING_X64)
				item_fail(item, "session: of x64 machines with four levels of page tables");
			driver->session = true;
			s->session_driver = item_number(item, "session", 1);
			if (!s->session_tables)
				s->session_tables = memory_frame(s->memory, 0, 0, false);
		}
		uint64_t session_base = UINT64_C(0xffff000040000000) + (session_index(s) << 39) + ((uint64_t)s->drivers->len << 24);
		struct executable_spec spec = {
			.name = name, .version = s->layout->version, .seed = s->seed, .text_pages = (uint32_t)item_number(item, "text", 1),
			.base = item_number(item, "base", driver->session ? session_base : s->driver_space), .is_64bit = s->width == 8, .native = true, .dll = library,
			.arm64 = s->memory->paging == PAGING_ARM64,
			.timestamp = (uint32_t)item_number(item, "timestamp", 0), .reproducible = item_flag(item, "reproducible"),
			.company = item_text(item, "company", "Microsoft Corporation"),
			.pointer = (uint32_t)item_number(item, "pointer", 0),
			.imports = (const char *const *)import_list, .exports = (const char *const *)export_list,
		};
		driver->executable = executable_create(&spec);
		driver->base = spec.base;
		driver->size = driver->executable->size;
		if (!driver->session)
			s->driver_space = ((driver->base + driver->size + 0xffff) & ~UINT64_C(0xffff)) + 0x10000;
		map_driver(s, driver, spec.pointer && !item_flag(item, "discarded"));
		if (!driver->session) {
			bind_driver(s, driver);
			driver_patch(s, driver, item);
		}
	}
	uint64_t entry = driver->entry = pool_alloc(s, s->layout->kldr_data_table_entry.size_, "MmLd", false);
	const struct executable *x = kernel ? kernel : driver->executable;
	SET(s, entry, kldr_data_table_entry.DllBase, driver->base);
	SET(s, entry, kldr_data_table_entry.EntryPoint, driver->base + x->entry_point);
	SET(s, entry, kldr_data_table_entry.SizeOfImage, driver->size);
	SET(s, entry, kldr_data_table_entry.LoadCount, 1);
	SET(s, entry, kldr_data_table_entry.CheckSum, x->checksum);
	SET(s, entry, kldr_data_table_entry.TimeDateStamp, x->timestamp);
	put_string(s, entry + OFFSET(s, kldr_data_table_entry.FullDllName), path);
	put_string(s, entry + OFFSET(s, kldr_data_table_entry.BaseDllName), name);
	uint64_t links = entry + OFFSET(s, kldr_data_table_entry.InLoadOrderLinks);
	if (item && item_flag(item, "unlinked"))
		list_init(s, ROOT(s), links);
	else
		list_append(s, ROOT(s), GLOBAL(s, PsLoadedModuleList), links);
	if (!kernel && !library && !(item && item_flag(item, "no-object")))
		driver->object = driver_object(s, driver, item, !(item && item_flag(item, "no-directory")));
	/* What is done to hide it. */
	if (item && item_flag(item, "untagged")) {
		pool_untag(s, entry);
		if (driver->object)
			pool_untag(s, object_block(s, driver->object));
	}
	for (uint32_t at = 0; item && item_flag(item, "headerless") && at < PAGE_SIZE; at += 8)
		memory_put(s->memory, ROOT(s), driver->base + at, 0, 8);
	g_ptr_array_add(s->drivers, driver);
}

static void unloaded_drivers(struct sample *s)
{
	/* MI_UNLOADED_DRIVERS of them. _UNLOADED_DRIVERS is in few symbols: name, start, end, time. */
	const unsigned slots = 50, w = s->width, size = 4 * w + 8;
	unsigned n = 0;
	uint64_t table = pool_alloc(s, slots * size, "MmDT", false);

	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (!item_is(item, "unloaded") || n == slots)
			continue;
		uint64_t at = table + n++ * size, start = item_number(item, "start", 0);
		put_string(s, at, item_required(item, "name"));
		memory_put(s->memory, ROOT(s), at + 2 * w, start, w);
		memory_put(s->memory, ROOT(s), at + 3 * w, start + item_number(item, "size", 0x9000), w);
		memory_put(s->memory, ROOT(s), at + 4 * w, item_time(item, "time", s->boot_time), 8);
	}
	POINT_GLOBAL(s, MmUnloadedDrivers, table);
	SET_GLOBAL(s, MmLastUnloadedDriver, n, 4);
}

/* ---- system services */

/*
 * Numbers are those that ntdll's stubs load: each function's place among its exports. An entry is the routine's distance from the table,
 * shifted left by four; until Vista its address, of which bit 0 says that arguments are on the stack.
 */
static void set_service(struct sample *s, unsigned number, int64_t routine)
{
	const uint64_t table = s->layout->symbol.KiServiceTable;

	if (s->width == 8 && s->build < 6000)
		kernel_set(s, table + 8 * number, (s->kernel_base + (uint64_t)routine) | (number & 1), 8);
	else
		kernel_set(s, table + 4 * number, (uint64_t)(routine - (int64_t)table) << 4 & 0xffffffff, 4);
}

static void services_init(struct sample *s)
{
	const uint64_t table = s->layout->symbol.KiServiceTable, descriptor = s->layout->symbol.KeServiceDescriptorTable;
	unsigned count = 0;

	for (; table && ntdll_exports[count]; count++) {
		uint32_t exported = executable_export(s->kernel, ntdll_exports[count]);
		set_service(s, count + 1, exported ? exported : s->kernel->entry_point + 64 * (count + 0x40));
	}
	if (!table)
		return;
	set_service(s, 0, s->kernel->entry_point);
	kernel_set(s, s->layout->symbol.KiServiceLimit, count + 1, 4);
	kernel_set(s, descriptor, s->kernel_base + table, 8);
	kernel_set(s, descriptor ? descriptor + 0x10 : 0, count + 1, 8);
}

void drivers_init(struct sample *s)
{
	add_driver(s, "ntoskrnl.exe", "\\SystemRoot\\system32\\ntoskrnl.exe", s->kernel, NULL);
	add_driver(s, "hal.dll", "\\SystemRoot\\system32\\hal.dll", NULL, NULL);
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (!item_is(item, "driver"))
			continue;
		const char *name = item_required(item, "name");
		g_autofree char *path = g_strdup_printf("\\SystemRoot\\System32\\drivers\\%s", name);
		add_driver(s, name, g_intern_string(item_text(item, "path", path)), NULL, item);
	}
	unloaded_drivers(s);
	services_init(s);
}

/* ---- callbacks */

uint64_t sample_address(struct sample *s, struct item *item, const char *where)
{
	g_autofree char *module = g_strndup(where, strcspn(where, "+"));
	uint64_t offset = strchr(where, '+') ? g_ascii_strtoull(strchr(where, '+') + 1, NULL, 0) : 0;

	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *driver = s->drivers->pdata[i];
		if (!g_ascii_strcasecmp(driver->name, module))
			return driver->base + offset;
	}
	if (g_str_has_prefix(where, "0x"))
		return g_ascii_strtoull(where, NULL, 0);
	item_fail(item, "\"%s\" is no driver of this machine, and no 0x… address", where);
}

/* Entries as plugins/callbacks.c describes them. */
static void add_registry_callback(struct sample *s, struct item *item)
{
	const unsigned w = s->width, at = 3 * w + 16 + (w == 8 && s->build < 7600 ? w : 0);
	const uint64_t head = s->layout->symbol.CallbackListHead, entry = pool_alloc(s, at + 3 * w, "CMcb", true);

	if (!head)
		item_fail(item, "type: this kernel's symbols don't say where the registry's are");
	list_append(s, ROOT(s), kernel_global(s, head), entry);
	memory_put(s->memory, ROOT(s), entry + 2 * w + 8, 0x1d0000000000001, 8);		/* the cookie */
	memory_put(s->memory, ROOT(s), entry + at, sample_address(s, item, item_required(item, "function")), w);
	put_string(s, entry + at + w, item_text(item, "altitude", "320000"));
}

static void add_object_callback(struct sample *s, struct item *item)
{
	const unsigned w = s->width;
	const uint64_t type = s->types[OBJECT_PROCESS], head = type + OFFSET(s, object_type.CallbackList);
	const uint64_t entry = pool_alloc(s, 6 * w + 8, "ObCa", false), registration = pool_alloc(s, 4 * w, "ObRg", false);

	if (!HAS_FIELD(s, object_type.CallbackList))
		item_fail(item, "type: this kernel has none");
	if (!get_field(s, ROOT(s), head, s->layout->list_entry.Flink))
		list_init(s, ROOT(s), head);
	list_append(s, ROOT(s), head, entry);
	memory_put(s->memory, ROOT(s), entry + 2 * w, 3, 4);		/* handles that are made, and duplicated */
	memory_put(s->memory, ROOT(s), entry + 2 * w + 4, 1, 4);
	memory_put(s->memory, ROOT(s), entry + 2 * w + 8, registration, w);
	memory_put(s->memory, ROOT(s), entry + 3 * w + 8, type, w);
	memory_put(s->memory, ROOT(s), entry + 4 * w + 8, sample_address(s, item, item_required(item, "function")), w);
	memory_put(s->memory, ROOT(s), registration, 0x10100, 4);	/* version, and one operation */
	put_string(s, registration + 2 * w, item_text(item, "altitude", "320000"));
}

void callbacks_init(struct sample *s)
{
	const struct { const char *type; uint64_t array, count; } arrays[] = {
		{ "process", s->layout->symbol.PspCreateProcessNotifyRoutine, s->layout->symbol.PspCreateProcessNotifyRoutineCount },
		{ "thread", s->layout->symbol.PspCreateThreadNotifyRoutine, s->layout->symbol.PspCreateThreadNotifyRoutineCount },
		{ "image", s->layout->symbol.PspLoadImageNotifyRoutine, s->layout->symbol.PspLoadImageNotifyRoutineCount },
		{ "registry", s->layout->symbol.CmpCallBackVector, 0 },
	};

	EACH_ITEM(s, one, "callback") {
		const char *type = item_required(one, "type");
		if (!strcmp(type, "object"))
			add_object_callback(s, one);
		else if (!strcmp(type, "registry") && s->build >= 6000)
			add_registry_callback(s, one);
	}
	for (size_t t = 0; t < G_N_ELEMENTS(arrays); t++) {
		unsigned n = 0;
		for (unsigned i = 0; arrays[t].array && i < 64; i++)
			kernel_set(s, arrays[t].array + s->width * i, 0, s->width);
		for (guint i = 0; i < s->description->items->len; i++) {
			struct item *item = s->description->items->pdata[i];
			if (!item_is(item, "callback") || strcmp(item_required(item, "type"), arrays[t].type))
				continue;
			/* _EX_CALLBACK_ROUTINE_BLOCK: rundown protection, Function, Context; in few symbols. */
			const unsigned w = s->width;
			uint64_t block = pool_alloc(s, 3 * w, "Cbrb", true);
			memory_put(s->memory, ROOT(s), block, 0x20, w);
			memory_put(s->memory, ROOT(s), block + w, sample_address(s, item, item_required(item, "function")), w);
			kernel_set(s, arrays[t].array + w * n++, block | (2 * w - 1), w);
		}
		kernel_set(s, arrays[t].count, n, 4);
	}
}

/* Lists that nobody is in: their heads are there, as all of a kernel's data is. */
void kernel_finish(struct sample *s)
{
	const struct layout *l = s->layout;
	const uint64_t heads[] = {
		l->symbol.CallbackListHead, l->symbol.KeBugCheckCallbackListHead, l->symbol.KeBugCheckReasonCallbackListHead,
		l->symbol.IopNotifyShutdownQueueHead, l->symbol.IopNotifyLastChanceShutdownQueueHead, l->symbol.IopFsNotifyChangeQueueHead,
		l->symbol.PopRegisteredPowerSettingCallbacks, l->symbol.RtlpDebugPrintCallbackList, l->symbol.SeFileSystemNotifyRoutinesHead,
		l->symbol.SeFileSystemNotifyRoutinesExHead, l->symbol.KiNmiCallbackListHead, l->symbol.KeServiceDescriptorTableShadow,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(heads); i++)
		(void)kernel_global(s, heads[i]);
}
