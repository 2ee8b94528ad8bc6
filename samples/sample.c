/* SPDX-License-Identifier: Apache-2.0 */
/* A machine from its description: the order in which its parts need each other. */
#include "sample.h"
#include "paging.h"
#include <stdio.h>
#include <string.h>

struct choice { const char *wanted; char *guid_age, *version; };

static void visit_kernel(void *user, const char *guid_age, const char *version, const char *family)
{
	struct choice *c = user;

	(void)family;
	if (!c->guid_age && version && (!g_ascii_strcasecmp(c->wanted, guid_age) || !strcmp(c->wanted, version))) {
		c->guid_age = g_strdup(guid_age);
		c->version = g_strdup(version);
	}
}

/* A kernel of which structures alone are known: its globals are put where there is room. */
static void place_symbols(struct layout *l)
{
	static const char *const names[] = {
		"KdDebuggerDataBlock", "PsActiveProcessHead", "PsLoadedModuleList", "PsInitialSystemProcess", "PspCidTable",
		"HandleTableListHead", "ObpRootDirectoryObject", "PsProcessType", "PsThreadType", "NtBuildNumber", "NtBuildLab",
		"KeNumberProcessors", "KiProcessorBlock", "KdVersionBlock", "MmUnloadedDrivers", "MmLastUnloadedDriver", "MmPfnDatabase",
		"MmSystemRangeStart", "MmHighestUserAddress", "MmPhysicalMemoryBlock", "MmPagedPoolStart", "MmSizeOfPagedPoolInBytes",
		"PspCreateProcessNotifyRoutine", "PspCreateProcessNotifyRoutineCount", "PspCreateThreadNotifyRoutine",
		"PspCreateThreadNotifyRoutineCount", "PspLoadImageNotifyRoutine", "PspLoadImageNotifyRoutineCount",
		"KeBugCheckCallbackListHead", "KiBugCheckData", "CmNtCSDVersion", "KeBootTime",
	};
	/* Those that came with object types by index (Windows 7), and with their obfuscation (10). */
	static const char *const indexed[] = { "ObTypeIndexTable", "ObpInfoMaskToOffset" };
	uint64_t rva = 0x110000;
	unsigned build = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++, rva += 0x540)
		layout_set_symbol(l, names[i], rva);
	for (size_t i = 0; i < G_N_ELEMENTS(indexed) && l->object_header.TypeIndex.size; i++, rva += 0x840)
		layout_set_symbol(l, indexed[i], rva);
	if (sscanf(l->version, "%*u.%*u.%u", &build) == 1 && build >= 10240)
		layout_set_symbol(l, "ObHeaderCookie", rva + 3);
}

static bool choose_family(struct sample *s, const char *name)
{
	s->layout = layout_family_named(name);
	if (!s->layout)
		return false;
	s->layout->version = g_strndup(name, strcspn(name, "-"));
	/* No kernel has it, so nobody can know it. */
	s->layout->guid_age = g_strdup_printf("%016" G_GINT64_MODIFIER "X%016" G_GINT64_MODIFIER "X1", random_of(0, name, 1), random_of(0, name, 2));
	place_symbols(s->layout);
	s->of_family = true;
	return true;
}

static void choose_kernel(struct sample *s)
{
	struct choice choice = { item_required(s->machine, "build"), NULL, NULL };

	const char *symbols = item_text(s->machine, "symbols", NULL);

	if (symbols) {		/* structures of a family that has no kernels, globals of another's */
		struct layout *structures = layout_family_named(choice.wanted);
		choice.version = g_strdup(choice.wanted);
		choice.wanted = symbols;
		if (!structures)
			item_fail(s->machine, "build: no family has this name: %s", choice.version);
		g_autofree char *version = choice.version;
		choice.version = NULL;
		layout_builtin_each(visit_kernel, &choice);
		AUTO(layout) other = choice.guid_age ? layout_builtin(choice.guid_age) : NULL;
		if (!other || sscanf(version, "%*u.%*u.%u.%u", &s->build, &s->revision) != 2)
			item_fail(s->machine, "symbols: no built-in kernel has this version: %s", symbols);
		s->layout = structures;
		s->layout->symbol = other->symbol;
		g_free(s->layout->version);
		s->layout->version = g_strdup(version);
		s->layout->guid_age = choice.guid_age;
		g_free(choice.version);
		return;
	}
	layout_builtin_each(visit_kernel, &choice);
	if (!choice.guid_age && choose_family(s, choice.wanted)) {
		if (sscanf(s->layout->version, "%*u.%*u.%u.%u", &s->build, &s->revision) != 2)
			item_fail(s->machine, "build: \"%s\" is no version", s->layout->version);
		return;
	}
	if (!choice.guid_age)
		item_fail(s->machine, "build: no built-in kernel or family has this GUID and age, version or name: %s", choice.wanted);
	s->layout = layout_builtin(choice.guid_age);
	if (!s->layout->version)
		s->layout->version = g_strdup(choice.version);
	if (sscanf(choice.version, "%*u.%*u.%u.%u", &s->build, &s->revision) != 2)
		item_fail(s->machine, "build: \"%s\" is no version", choice.version);
	g_free(choice.guid_age);
	g_free(choice.version);
}

/* Symbols before Windows 10 lack _KLDR_DATA_TABLE_ENTRY; the part that is written here never changed. */
static void complete_layout(struct layout *l)
{
	const uint16_t w = (uint16_t)l->pointer_size;

	/* Public headers have these cut short. */
	if (!l->driver_extension.size_)
		l->driver_extension.size_ = 0x50;
	if (!l->kprcb.size_)
		l->kprcb.size_ = 0xb000;
	if (!l->kpcr.Prcb.size)
		l->kpcr.Prcb = (struct field){ .offset = 0x180, .size = 0xb000 };
	if (l->kldr_data_table_entry.size_)
		return;
	/* Three pairs of links (of which two are something else here), then three pointers and two strings. */
	l->kldr_data_table_entry.size_ = w == 8 ? 0xa0 : 0x58;
	l->kldr_data_table_entry.InLoadOrderLinks = (struct field){ .offset = 0, .size = 2 * w };
	l->kldr_data_table_entry.DllBase = (struct field){ .offset = 6 * w, .size = w };
	l->kldr_data_table_entry.EntryPoint = (struct field){ .offset = 7 * w, .size = w };
	l->kldr_data_table_entry.SizeOfImage = (struct field){ .offset = 8 * w, .size = 4 };
	l->kldr_data_table_entry.FullDllName = (struct field){ .offset = 9 * w, .size = 2 * w };
	l->kldr_data_table_entry.BaseDllName = (struct field){ .offset = 11 * w, .size = 2 * w };
	l->kldr_data_table_entry.LoadCount = (struct field){ .offset = 13 * w + 4, .size = 2 };
	l->kldr_data_table_entry.CheckSum = (struct field){ .offset = w == 8 ? 0x78 : 0x40, .size = 4 };
}

static void create_memory(struct sample *s)
{
	static const struct { const char *name; enum paging paging; unsigned width; } modes[] = {
		{ "4", PAGING_X64, 8 }, { "5", PAGING_X64_LA57, 8 }, { "x86", PAGING_X86, 4 }, { "pae", PAGING_X86_PAE, 4 },
		{ "arm64", PAGING_ARM64, 8 },
	};
	const char *wanted = item_text(s->machine, "paging", s->layout->pointer_size == 4 ? "pae" :
					     g_str_has_suffix(item_text(s->machine, "build", ""), "-arm64") ? "arm64" : "4");
	enum paging paging = PAGING_NONE;
	uint64_t ram = item_number(s->machine, "ram", 8 << 20), gap_start = 0, gap_end = 0;
	const char *gap = item_text(s->machine, "gap", NULL);
	/* Windows drew the place of the page tables first in 10.0.14393; before, it was this. */
	unsigned self_map = s->build < 14393 ? 0x1ed : 0x101 + (unsigned)(random_of(s->seed, "self", 0) % 0xe0);

	s->width = s->layout->pointer_size;
	for (size_t i = 0; i < G_N_ELEMENTS(modes); i++)
		if (!strcmp(modes[i].name, wanted) && modes[i].width == s->width)
			paging = modes[i].paging;
	if (paging == PAGING_NONE)
		item_fail(s->machine, "paging: 4 or 5 levels or arm64; x86 or pae of a 32-bit kernel");
	s->pte_width = paging_entry_size(paging);
	if (ram < 2 << 20 || ram > UINT64_C(16) << 30 || ram % PAGE_SIZE)
		item_fail(s->machine, "ram: 2M to 16G");
	if (gap && (sscanf(gap, "%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x", &gap_start, &gap_end) != 2 || gap_end < gap_start))
		item_fail(s->machine, "gap: START-END in hexadecimal");
	s->memory = memory_create(ram, paging, (unsigned)item_number(s->machine, "self-map", self_map), s->seed, gap_start, gap_end);
}

struct sample *sample_create(struct description *description)
{
	struct sample *s = g_new0(struct sample, 1);

	s->description = description;
	s->machine = description_item(description, "machine");
	if (!s->machine)
		item_fail(NULL, "%s: there is no machine line", description->name);
	choose_kernel(s);
	s->seed = item_number(s->machine, "seed", random_of(0, s->layout->guid_age, 0) & 0xffff);
	s->time = item_time(s->machine, "time", UINT64_C(133537293270000000));	/* 2024-02-29T10:02:07Z */
	s->boot_time = item_time(s->machine, "boot", s->time - UINT64_C(36000000000) * 5);
	s->kernel_shadow = item_flag(s->machine, "kvas");
	s->invalid_pte_mask = item_number(s->machine, "invalid-pte-mask", 0);
	s->next_thread = 0x1000;
	s->untyped = g_array_new(FALSE, FALSE, 2 * sizeof(uint64_t));
	s->big = g_array_new(FALSE, FALSE, sizeof(struct sample_block));
	s->files = g_ptr_array_new();
	s->drivers = g_ptr_array_new();
	s->processes = g_ptr_array_new();
	complete_layout(s->layout);
	s->width = s->layout->pointer_size;
	integrity_place(s);
	kernel_place(s);
	changes_apply(s);
	create_memory(s);
	kernel_init(s);
	pool_init(s);
	objects_init(s);
	processors_init(s);
	drivers_init(s);
	callbacks_init(s);
	processes_init(s);
	remains_init(s);
	integrity_init(s);
	processors_finish(s);
	kernel_finish(s);
	frames_init(s);
	defects_apply(s);
	return s;
}

void sample_destroy(struct sample *s)
{
	for (guint i = 0; i < s->files->len; i++) {
		struct sample_file *f = s->files->pdata[i];
		executable_destroy(f->executable);
		g_free(f->frames);
		g_free(f->path);
		g_free(f);
	}
	for (guint i = 0; i < s->drivers->len; i++) {
		struct sample_driver *d = s->drivers->pdata[i];
		executable_destroy(d->executable);
		g_free(d);
	}
	for (guint i = 0; i < s->processes->len; i++) {
		struct sample_process *p = s->processes->pdata[i];
		g_array_free(p->vads, TRUE);
		g_array_free(p->threads, TRUE);
		if (p->modules)
			g_array_free(p->modules, TRUE);
		g_free(p);
	}
	g_array_free(s->untyped, TRUE);
	g_array_free(s->big, TRUE);
	g_ptr_array_free(s->files, TRUE);
	g_ptr_array_free(s->drivers, TRUE);
	g_ptr_array_free(s->processes, TRUE);
	executable_destroy(s->kernel);
	memory_destroy(s->memory);
	layout_destroy(s->layout);
	g_free(s);
}
