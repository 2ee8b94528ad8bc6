/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and the sections made of them: file object, control area with its subsections,
 * segment, prototype PTEs, and the pages that are resident. Every process that maps a
 * file shares them.
 */
#include <string.h>
#include "sample.h"

/* Sorted: a system call's number is its place here, see kernel.c. */
const char *const ntdll_exports[] = {
	"LdrInitializeThunk", "LdrLoadDll", "NtAllocateVirtualMemory", "NtClose", "NtCreateFile", "NtCreateSection", "NtMapViewOfSection",
	"NtProtectVirtualMemory", "NtQuerySystemInformation", "NtReadFile", "NtWriteFile", "NtWriteVirtualMemory", "RtlAllocateHeap",
	"RtlExitUserThread", "RtlFreeHeap", "RtlInitUnicodeString", "RtlUserThreadStart", NULL
};
static const char *const kernel32_exports[] = {
	"BaseThreadInitThunk", "CloseHandle", "CreateFileW", "CreateProcessW", "CreateRemoteThread", "ExitProcess", "GetModuleHandleW",
	"GetProcAddress", "LoadLibraryA", "LoadLibraryW", "ReadFile", "VirtualAlloc", "VirtualProtect", "WriteFile", "WriteProcessMemory", NULL
};
static const char *const dll_exports[] = { "DllCanUnloadNow", "DllGetClassObject", "DllMain", NULL };
static const char *const kernel32_imports[] = { "ntdll.dll!NtClose", "ntdll.dll!NtCreateFile", "ntdll.dll!RtlAllocateHeap", NULL };
static const char *const program_imports[] = {
	"kernel32.dll!CloseHandle", "kernel32.dll!CreateFileW", "kernel32.dll!ExitProcess", "kernel32.dll!ReadFile",
	"ntdll.dll!NtQuerySystemInformation", "ntdll.dll!RtlInitUnicodeString", NULL
};

/* C:\x and \x are the same: files are named below the volume. */
const char *below_volume(const char *path)
{
	return g_ascii_isalpha(path[0]) && path[1] == ':' ? path + 2 : path;
}

static struct item *file_item(struct sample *s, const char *path)
{
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (item_is(item, "file") && !g_ascii_strcasecmp(below_volume(item_required(item, "path")), path))
			return item;
	}
	return NULL;
}

static uint64_t create_file_object(struct sample *s, const char *path, struct item *item)
{
	uint64_t object = object_alloc(s, OBJECT_FILE, s->layout->file_object.size_, NULL, 0);

	SET(s, object, file_object.Type, 5);
	SET(s, object, file_object.Size, s->layout->file_object.size_);
	SET(s, object, file_object.DeviceObject, s->volume);
	put_string(s, object + OFFSET(s, file_object.FileName), path);
	SET(s, object, file_object.DeletePending, item && item_flag(item, "delete-pending"));
	SET(s, object, file_object.ReadAccess, 1);
	SET(s, object, file_object.SharedRead, 1);
	SET(s, object, file_object.SharedDelete, 1);
	SET(s, object, file_object.Flags, 0x44042);
	return object;
}

/*
 * Entries that aren't valid carry InvalidPteMask where the machine has one, so that a
 * processor that speculates past the valid bit (L1TF) reads no memory. Where an entry has
 * such a bit of its own it stands as it is, and SwizzleBit (4) says so.
 */
uint64_t invalid_pte(const struct sample *s, uint64_t pte)
{
	if (!s->invalid_pte_mask)
		return pte;
	return pte & s->invalid_pte_mask ? pte | 0x10 : pte | s->invalid_pte_mask;
}

/*
 * Which file loads where: as with address space randomisation, a place for each file until
 * the next boot. Programs lie apart from libraries, and 32-bit ones below 4 GiB.
 */
static uint64_t place_image(struct sample *s, const struct executable *x)
{
	uint64_t region, last = 0;

	if (!x->is_64bit)
		region = x->dll ? 0x74000000 + (random_of(s->seed, "dll32", 0) % 0x100 << 16) : 0x00400000;
	else if (s->build < 9600)
		region = x->dll ? UINT64_C(0x7fefc000000) + (random_of(s->seed, "dll", 0) % 0x200 << 16) :
				  UINT64_C(0x13f000000) + (random_of(s->seed, "exe", 0) % 0x80 << 16);
	else
		region = x->dll ? UINT64_C(0x7ff800000000) + (random_of(s->seed, "dll", 0) % 0x70000 << 16) :
				  UINT64_C(0x7ff600000000) + (random_of(s->seed, "exe", 0) % 0x10000 << 16);
	for (guint i = 0; i < s->files->len; i++) {
		const struct sample_file *other = s->files->pdata[i];
		if (other->executable && other->executable->is_64bit == x->is_64bit && other->executable->dll == x->dll)
			last = MAX(last, other->base + other->executable->size);
	}
	return last ? ((last + 0xffff) & ~UINT64_C(0xffff)) + 0x10000 : region;
}

/* file … pe=PATH [flat]: a file of this machine, from the description's folder. */
static void load_executable(struct sample *s, struct sample_file *f, struct item *item)
{
	const char *text = item_text(item, "pe", NULL), *why;
	g_autofree char *folder = g_path_get_dirname(s->description->name), *path = g_path_is_absolute(text) ? g_strdup(text) : g_build_filename(folder, text, NULL);

	item_required(item, "base");
	f->base = item_number(item, "base", 0);
	f->executable = (item_flag(item, "flat") ? executable_load_flat : executable_load)(path, f->base, &why);
	if (!f->executable)
		item_fail(item, "%s: %s", path, why);
	f->pages = f->executable->size / PAGE_SIZE;
}

static void create_executable(struct sample *s, struct sample_file *f, struct item *item, bool wow64)
{
	if (item_has(item, "pe")) {
		load_executable(s, f, item);
		return;
	}
	const char *name = strrchr(f->path, '\\') ? strrchr(f->path, '\\') + 1 : f->path, *exports = item_text(item, "exports", NULL);
	const char *imports = item_text(item, "imports", NULL);
	bool dll = g_str_has_suffix(name, ".dll") || g_str_has_suffix(name, ".DLL");
	bool narrow = wow64 || s->width == 4;
	bool ntdll = !g_ascii_strcasecmp(name, "ntdll.dll"), kernel32 = !g_ascii_strcasecmp(name, "kernel32.dll");
	g_auto(GStrv) export_list = exports ? g_strsplit(exports, ",", -1) : NULL;
	g_auto(GStrv) import_list = imports ? g_strsplit(imports, ",", -1) : NULL;
	struct executable_spec spec = {
		.name = name, .pdb = item_text(item, "pdb", NULL), .is_64bit = !narrow, .dll = dll, .native = ntdll,
		.arm64 = s->memory->paging == PAGING_ARM64,
		.exports = export_list ? (const char *const *)export_list : ntdll ? ntdll_exports : kernel32 ? kernel32_exports :
			   dll ? dll_exports : NULL,
		.imports = import_list ? (const char *const *)import_list : ntdll ? NULL : kernel32 ? kernel32_imports : program_imports,
		.company = item_text(item, "company", g_str_has_prefix(f->path, "\\Windows\\") ? "Microsoft Corporation" : NULL),
		.product = item_text(item, "product", NULL), .version = item_text(item, "version", s->layout->version),
		.seed = s->seed + (wow64 ? 32 : 0), .timestamp = (uint32_t)item_number(item, "timestamp", 0),
		.text_pages = (uint32_t)item_number(item, "text", 0), .pointer = (uint32_t)item_number(item, "pointer", 0),
		.guard = (uint32_t)item_number(item, "guard", 0), .stubs = item_text(item, "stubs", NULL),
		.tls = item_number(item, "tls", 0), .entry = (uint32_t)item_number(item, "entry", 0), .code_name = item_text(item, "code-name", NULL),
		.code_writable = item_flag(item, "code-writable"), .reproducible = item_flag(item, "reproducible"),
	};

	/* Where it goes depends on what it is, and its header says where it went. */
	struct executable shape = { .is_64bit = !narrow, .dll = dll };
	spec.base = f->base = item_number(item, "base", place_image(s, &shape));
	f->executable = executable_create(&spec);
	f->pages = f->executable->size / PAGE_SIZE;
}

static const struct executable_section *section_of_page(const struct sample_file *f, uint64_t n)
{
	return f->executable ? executable_section_at(f->executable, (uint32_t)(n * PAGE_SIZE)) : NULL;
}

/* The protection a prototype PTE carries for page n of a section. */
static uint8_t page_protection(const struct sample_file *f, uint64_t n)
{
	const struct executable_section *section = section_of_page(f, n);

	return section ? section->protection : MM_READONLY;
}

static uint64_t valid_prototype(uint64_t frame, uint8_t protection)
{
	bool executable = protection == MM_EXECUTE || protection == MM_EXECUTE_READ || protection == MM_EXECUTE_READWRITE ||
			  protection == MM_EXECUTE_WRITECOPY;
	bool writable = protection == MM_READWRITE || protection == MM_EXECUTE_READWRITE;

	return frame | PTE_VALID | PTE_ACCESSED | PTE_DIRTY | (executable ? 0 : PTE_NX) | (writable ? PTE_WRITE | PTE_WRITABLE : 0) |
	       (protection == MM_WRITECOPY || protection == MM_EXECUTE_WRITECOPY ? PTE_COPY_ON_WRITE : 0);
}

static void create_section(struct sample *s, struct sample_file *f)
{
	const struct layout *l = s->layout;
	unsigned subsections = f->executable ? f->executable->section_count + 1 : 1;

	f->control_area = pool_alloc(s, l->control_area.size_ + (size_t)subsections * l->subsection.size_,
				     f->image ? "MmCi" : "MmCa", false);
	f->subsection = f->control_area + l->control_area.size_;
	f->segment = pool_alloc(s, l->segment.size_, "MmSm", true);
	f->prototypes = pool_alloc(s, f->pages * s->pte_width, "MmSt", true);
	f->frames = g_new0(uint64_t, f->pages);
	SET(s, f->control_area, control_area.Segment, f->segment);
	SET(s, f->control_area, control_area.NumberOfSectionReferences, 1);
	if (f->file_object)
		SET(s, f->control_area, control_area.FilePointer, f->file_object | (s->build < 6000 ? 0 : 4));	/* a fast reference since Vista */
	uint64_t flags = f->control_area + OFFSET(s, control_area.u);
	SET(s, flags, mmsection_flags.Image, f->image);
	SET(s, flags, mmsection_flags.File, f->file_object != 0);
	SET(s, flags, mmsection_flags.Commit, !f->file_object);
	SET(s, f->segment, segment.ControlArea, f->control_area);
	SET(s, f->segment, segment.TotalNumberOfPtes, f->pages);
	SET(s, f->segment, segment.SizeOfSegment, f->pages * PAGE_SIZE);
	SET(s, f->segment, segment.BasedAddress, f->base);
	SET(s, f->segment, segment.PrototypePte, f->prototypes);
	for (unsigned i = 0; i < subsections; i++) {
		uint64_t at = f->subsection + (uint64_t)i * l->subsection.size_;
		const struct executable_section *section = f->executable && i ? &f->executable->sections[i - 1] : NULL;
		uint64_t first = section ? section->rva / PAGE_SIZE : 0;
		SET(s, at, subsection.ControlArea, f->control_area);
		SET(s, at, subsection.SubsectionBase, f->prototypes + s->pte_width * first);
		SET(s, at, subsection.NextSubsection, i + 1 < subsections ? at + l->subsection.size_ : 0);
		SET(s, at, subsection.PtesInSubsection, section ? section->size / PAGE_SIZE : f->executable ? 1 : f->pages);
		SET(s, at, subsection.StartingSector, first * 8);
	}
	if (f->file_object) {
		uint64_t pointers = pool_alloc(s, l->section_object_pointers.size_, "MmSp", false);
		SET(s, f->file_object, file_object.SectionObjectPointer, pointers);
		if (f->image)
			SET(s, pointers, section_object_pointers.ImageSectionObject, f->control_area);
		else
			SET(s, pointers, section_object_pointers.DataSectionObject, f->control_area);
	}
}

/* file … information: what the memory manager keeps of the headers. */
static void create_information(struct sample *s, struct sample_file *f, struct item *item)
{
	const struct executable *x = f->executable;

	if (!x || !item || !item_flag(item, "information"))
		return;
	unsigned size = s->layout->mi_section_image_information.size_;
	uint64_t at = pool_alloc(s, size ? size : s->layout->section_image_information.size_, "MmIm", true);
	SET(s, at, section_image_information.TransferAddress, f->base + x->entry_point);
	SET(s, at, section_image_information.ImageCharacteristics, 0x22 | (x->dll ? 0x2000 : 0) | (x->is_64bit ? 0 : 0x100));
	SET(s, at, section_image_information.Machine, x->arm64 ? 0xaa64 : x->is_64bit ? 0x8664 : 0x14c);
	SET(s, at, section_image_information.CheckSum, x->checksum);
	SET(s, f->segment, segment.u2, at);
}

static void set_prototype(struct sample *s, struct sample_file *f, uint64_t n, uint64_t pte)
{
	memory_put(s->memory, ROOT(s), f->prototypes + s->pte_width * n, memory_encode(s->memory, pte), s->pte_width);
}

/*
 * Resident pages: all of an image but its relocations (never read again, so they are
 * still in the file), the resources on their way out; every other page of a mapped file.
 */
static void fill_section(struct sample *s, struct sample_file *f)
{
	for (uint64_t n = 0; n < f->pages; n++) {
		const struct executable_section *section = section_of_page(f, n);
		uint8_t protection = page_protection(f, n);
		bool in_file = section ? !strcmp(section->name, ".reloc") : !f->executable && n % 2;	/* names of loaded ones are empty */
		if (in_file) {	/* _MMPTE_SUBSECTION */
			uint64_t at = f->subsection;
			for (unsigned i = 0; section && i < f->executable->section_count; i++)
				if (section == &f->executable->sections[i])
					at += (uint64_t)(i + 1) * s->layout->subsection.size_;
			set_prototype(s, f, n, subsection_pte(s, at, protection));
			continue;
		}
		uint64_t frame = f->frames[n] = memory_frame(s->memory, n ? f->frames[n - 1] : 0, 0, true);
		uint8_t *page = s->memory->bytes + frame;
		if (f->executable)
			memcpy(page, f->executable->bytes + n * PAGE_SIZE, PAGE_SIZE);
		else
			for (unsigned i = 0; i < PAGE_SIZE; i++)
				page[i] = (uint8_t)"0123456789abcdef"[random_of(s->seed, f->path, n * PAGE_SIZE + i) & 15];
		if (section && !strcmp(section->name, ".rsrc"))
			set_prototype(s, f, n, invalid_pte(s, frame | software_protection(s, protection) | PTE_TRANSITION));
		else
			set_prototype(s, f, n, valid_prototype(frame, protection));
	}
}

struct sample_file *file_get(struct sample *s, const char *path, bool image, bool wow64)
{
	path = below_volume(path);
	for (guint i = 0; i < s->files->len; i++) {
		struct sample_file *f = s->files->pdata[i];
		if (f->path && f->image == image && !g_ascii_strcasecmp(f->path, path))
			return f;
	}
	struct sample_file *f = g_new0(struct sample_file, 1);
	struct item *item = file_item(s, path);
	f->path = g_strdup(path);
	f->image = image;
	f->file_object = create_file_object(s, path, item);
	if (image)
		create_executable(s, f, item, wow64);
	else
		f->pages = item_number(item, "pages", 4);
	create_section(s, f);
	create_information(s, f, item);
	fill_section(s, f);
	g_ptr_array_add(s->files, f);
	return f;
}

/* A section of the page file: pages are zero until somebody writes to them. */
struct sample_file *section_of_page_file(struct sample *s, uint64_t pages, uint8_t protection)
{
	struct sample_file *f = g_new0(struct sample_file, 1);

	f->pages = pages;
	create_section(s, f);
	for (uint64_t n = 0; n < pages; n++)
		set_prototype(s, f, n, software_protection(s, protection));
	g_ptr_array_add(s->files, f);
	return f;
}

uint64_t section_object(struct sample *s, const struct sample_file *f)
{
	bool old = s->layout->section_object.size_ != 0;
	uint64_t object = object_alloc(s, OBJECT_SECTION, old ? s->layout->section_object.size_ : s->layout->section.size_, NULL, 0);

	SET(s, object, section_object.Segment, f->segment);
	if (!old) {
		SET(s, object, section.u1, f->control_area);
		SET(s, object, section.SizeOfSection, f->pages * PAGE_SIZE);
		SET(s, object, section.StartingVpn, f->base / PAGE_SIZE);
	}
	return object;
}
