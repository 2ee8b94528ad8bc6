/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows crash dumps: PAGEDU64 of 64-bit machines, PAGEDUMP of 32-bit ones.
 *
 * Offsets are those of _DUMP_HEADER64 and _DUMP_HEADER32, as documented by the
 * headers of Windows' debuggers and by public readers. A header is a claim: where
 * one contradicts the file, what can be read is read and a note says so.
 */
#include "crashdump.h"
#include <string.h>
#include "text.h"

enum field {
	MAJOR_VERSION, MINOR_VERSION, DIRECTORY_TABLE_BASE, LOADED_MODULES, ACTIVE_PROCESSES, MACHINE, PROCESSORS,
	BUGCHECK, PARAMETER1, PARAMETER2, PARAMETER3, PARAMETER4, KDBG, NUMBER_OF_PAGES, EXCEPTION_CODE, EXCEPTION_ADDRESS,
	EXCEPTION_PARAMETERS, DUMP_TYPE, REQUIRED_SPACE, SYSTEM_TIME, UPTIME, PRODUCT, SUITE, ATTRIBUTES, FIELDS
};

/* [0] 32-bit, [1] 64-bit */
static const struct { uint16_t offset, width; } fields[2][FIELDS] = {
	{
		[MAJOR_VERSION] = { 0x08, 4 }, [MINOR_VERSION] = { 0x0c, 4 }, [DIRECTORY_TABLE_BASE] = { 0x10, 4 },
		[LOADED_MODULES] = { 0x18, 4 }, [ACTIVE_PROCESSES] = { 0x1c, 4 }, [MACHINE] = { 0x20, 4 },
		[PROCESSORS] = { 0x24, 4 }, [BUGCHECK] = { 0x28, 4 }, [PARAMETER1] = { 0x2c, 4 }, [PARAMETER2] = { 0x30, 4 },
		[PARAMETER3] = { 0x34, 4 }, [PARAMETER4] = { 0x38, 4 }, [KDBG] = { 0x60, 4 }, [NUMBER_OF_PAGES] = { 0x68, 4 },
		[EXCEPTION_CODE] = { 0x7d0, 4 }, [EXCEPTION_ADDRESS] = { 0x7dc, 4 }, [EXCEPTION_PARAMETERS] = { 0x7e0, 4 },
		[DUMP_TYPE] = { 0xf88, 4 },
		[REQUIRED_SPACE] = { 0xfa0, 8 }, [SYSTEM_TIME] = { 0xfc0, 8 }, [UPTIME] = { 0xfb8, 8 }, [PRODUCT] = { 0xf94, 4 },
		[SUITE] = { 0xf98, 4 }, [ATTRIBUTES] = { 0x8a0, 4 },
	}, {
		[MAJOR_VERSION] = { 0x08, 4 }, [MINOR_VERSION] = { 0x0c, 4 }, [DIRECTORY_TABLE_BASE] = { 0x10, 8 },
		[LOADED_MODULES] = { 0x20, 8 }, [ACTIVE_PROCESSES] = { 0x28, 8 }, [MACHINE] = { 0x30, 4 },
		[PROCESSORS] = { 0x34, 4 }, [BUGCHECK] = { 0x38, 4 }, [PARAMETER1] = { 0x40, 8 }, [PARAMETER2] = { 0x48, 8 },
		[PARAMETER3] = { 0x50, 8 }, [PARAMETER4] = { 0x58, 8 }, [KDBG] = { 0x80, 8 }, [NUMBER_OF_PAGES] = { 0x90, 8 },
		[EXCEPTION_CODE] = { 0xf00, 4 }, [EXCEPTION_ADDRESS] = { 0xf10, 8 }, [EXCEPTION_PARAMETERS] = { 0xf18, 4 },
		[DUMP_TYPE] = { 0xf98, 4 },
		[REQUIRED_SPACE] = { 0xfa0, 8 }, [SYSTEM_TIME] = { 0xfa8, 8 }, [UPTIME] = { 0x1030, 8 }, [PRODUCT] = { 0x1040, 4 },
		[SUITE] = { 0x1044, 4 }, [ATTRIBUTES] = { 0x1050, 4 },
	},
};

#define COMMENT_SIZE 128
#define STATUS_BREAKPOINT 0x80000003u

static bool crashdump_match(const struct file *file)
{
	return file->size >= 8 && (!memcmp(file->map, "PAGEDU64", 8) || !memcmp(file->map, "PAGEDUMP", 8));
}

/* A field; 0 where Windows left it unset, that is, filled with "PAGE". */
static uint64_t get(struct crashdump *dump, enum field field)
{
	unsigned width = fields[dump->is_64bit][field].width;
	uint64_t value = bytes_at(&dump->header, fields[dump->is_64bit][field].offset, width);

	return value == (width == 8 ? G_GUINT64_CONSTANT(0x4547415045474150) : 0x45474150) ? 0 : value;
}

/* CONTEXT.ContextFlags (0x30 on x64, 0 on ARM64) says which machine's record it is: CONTEXT_AMD64, CONTEXT_ARM64. Where it says both or
 * neither it is the header's. */
static enum architecture context_architecture(struct crashdump *dump)
{
	const bool arm64 = (bytes_at(&dump->header, 0x348, 4) >> 20 & 0x1ff) == 4, x64 = (bytes_at(&dump->header, 0x348 + 0x30, 4) >> 20 & 0x1ff) == 1;

	return !dump->is_64bit || arm64 == x64 ? dump->image->facts.architecture : arm64 ? ARCH_ARM64 : ARCH_X64;
}

/* Kernel addresses of 32-bit machines are kept as they are, not sign-extended. */
static void read_machine(struct crashdump *dump)
{
	struct image_facts *facts = &dump->image->facts;
	uint32_t machine = (uint32_t)get(dump, MACHINE);
	uint64_t dtb = get(dump, DIRECTORY_TABLE_BASE);

	switch (machine) {
	case 0x8664: facts->architecture = ARCH_X64; break;
	case 0xaa64: facts->architecture = ARCH_ARM64; break;
	case 0x014c:
		facts->architecture = bytes_at(&dump->header, 0x5c, 1) == 1 ? ARCH_X86_PAE : ARCH_X86;
		break;
	}
	bool wide = facts->architecture == ARCH_X64 || facts->architecture == ARCH_ARM64;
	if (facts->architecture == ARCH_UNKNOWN || wide != dump->is_64bit) {
		facts->architecture = dump->is_64bit ? ARCH_X64 : ARCH_X86_PAE;
		facts->architecture = context_architecture(dump);
		image_remark(dump->image, 0,
			   "crash dump header: MachineImageType at 0x%x is 0x%x, not 0x8664 (x64), 0xaa64 (ARM64) or, of a "
			   "PAGEDUMP, 0x14c (x86): taken for %s", fields[dump->is_64bit][MACHINE].offset, machine,
			   architecture_name(facts->architecture));
	}
	/* Windows writes the register: PCID bits below (x64), an ASID above (ARM64), flags (PAE). */
	if (facts->architecture == ARCH_X64)
		facts->dtb.v = dtb & G_GUINT64_CONSTANT(0x000ffffffffff000);
	else if (facts->architecture == ARCH_ARM64)
		facts->dtb.v = dtb & G_GUINT64_CONSTANT(0x0000fffffffff000);
	else
		facts->dtb.v = dtb & (facts->architecture == ARCH_X86_PAE ? 0xffffffe0u : 0xfffff000u);
}

/* Registers in a CONTEXT record; source: winnt.h. The first two are the instruction and the stack pointer. */
struct context_register { const char *name; uint16_t offset; uint8_t width; };

static const struct context_register registers_x64[] = {
	{ "rip", 0xf8, 8 }, { "rsp", 0x98, 8 }, { "rbp", 0xa0, 8 }, { "rax", 0x78, 8 }, { "rbx", 0x90, 8 }, { "rcx", 0x80, 8 },
	{ "rdx", 0x88, 8 }, { "rsi", 0xa8, 8 }, { "rdi", 0xb0, 8 }, { "r8", 0xb8, 8 }, { "r9", 0xc0, 8 }, { "r10", 0xc8, 8 },
	{ "r11", 0xd0, 8 }, { "r12", 0xd8, 8 }, { "r13", 0xe0, 8 }, { "r14", 0xe8, 8 }, { "r15", 0xf0, 8 },
	{ "eflags", 0x44, 4 }, { "cs", 0x38, 2 }, { "ss", 0x42, 2 }, { NULL, 0, 0 },
};

static const struct context_register registers_x86[] = {
	{ "eip", 0xb8, 4 }, { "esp", 0xc4, 4 }, { "ebp", 0xb4, 4 }, { "eax", 0xb0, 4 }, { "ebx", 0xa4, 4 }, { "ecx", 0xac, 4 },
	{ "edx", 0xa8, 4 }, { "esi", 0xa0, 4 }, { "edi", 0x9c, 4 }, { "eflags", 0xc0, 4 }, { "cs", 0xbc, 2 }, { "ss", 0xc8, 2 },
	{ NULL, 0, 0 },
};

static const struct context_register registers_arm64[] = {
	{ "pc", 0x108, 8 }, { "sp", 0x100, 8 }, { "fp", 0xf0, 8 }, { "lr", 0xf8, 8 }, { "x0", 0x8, 8 }, { "x1", 0x10, 8 },
	{ "x2", 0x18, 8 }, { "x3", 0x20, 8 }, { "x4", 0x28, 8 }, { "x5", 0x30, 8 }, { "x6", 0x38, 8 }, { "x7", 0x40, 8 },
	{ "x8", 0x48, 8 }, { "x9", 0x50, 8 }, { "x10", 0x58, 8 }, { "x11", 0x60, 8 }, { "x12", 0x68, 8 }, { "x13", 0x70, 8 },
	{ "x14", 0x78, 8 }, { "x15", 0x80, 8 }, { "x16", 0x88, 8 }, { "x17", 0x90, 8 }, { "x18", 0x98, 8 }, { "x19", 0xa0, 8 },
	{ "x20", 0xa8, 8 }, { "x21", 0xb0, 8 }, { "x22", 0xb8, 8 }, { "x23", 0xc0, 8 }, { "x24", 0xc8, 8 }, { "x25", 0xd0, 8 },
	{ "x26", 0xd8, 8 }, { "x27", 0xe0, 8 }, { "x28", 0xe8, 8 }, { "cpsr", 0x4, 4 }, { NULL, 0, 0 },
};

/* The CONTEXT record, whose layout is the machine's. One that Windows didn't fill is made of "PAGE". */
static void read_context(struct crashdump *dump)
{
	struct image_facts *facts = &dump->image->facts;
	const enum architecture machine = context_architecture(dump);
	const struct context_register *r = machine == ARCH_X64 ? registers_x64 : machine == ARCH_ARM64 ? registers_arm64 : registers_x86;
	const unsigned record = dump->is_64bit ? 0x348 : 0x320;
	const uint64_t filler = dump->is_64bit ? G_GUINT64_CONSTANT(0x4547415045474150) : 0x45474150;
	uint64_t pc = bytes_at(&dump->header, record + r[0].offset, r[0].width), sp = bytes_at(&dump->header, record + r[1].offset, r[1].width);

	facts->instruction_pointer = pc == filler ? 0 : pc;
	facts->stack_pointer = sp == filler ? 0 : sp;
	if (!facts->instruction_pointer || !facts->stack_pointer)
		return;
	g_autoptr(GString) text = g_string_new("{");
	for (; r->name; r++)
		g_string_append_printf(text, "%s\"%s\":\"0x%" G_GINT64_MODIFIER "x\"", text->len > 1 ? "," : "", r->name,
				       bytes_at(&dump->header, record + r->offset, r->width));
	facts->registers = g_string_free(g_string_append_c(g_steal_pointer(&text), '}'), FALSE);
}

static void read_header(struct crashdump *dump)
{
	struct image_facts *facts = &dump->image->facts;
	static const struct { uint64_t max; enum field field; const char *name; } bounds[] = {
		{ 4096, PROCESSORS, "NumberProcessors" },
		{ G_GUINT64_CONSTANT(1) << 40, NUMBER_OF_PAGES, "PhysicalMemoryBlock.NumberOfPages" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(bounds); i++)
		if (get(dump, bounds[i].field) > bounds[i].max)
			image_remark(dump->image, 0,
				   "crash dump header: %s at 0x%x is %" G_GUINT64_FORMAT ", above %" G_GUINT64_FORMAT
				   ": not believed",
				   bounds[i].name, fields[dump->is_64bit][bounds[i].field].offset,
				   get(dump, bounds[i].field), bounds[i].max);
	read_machine(dump);
	read_context(dump);
	facts->os_major = (uint32_t)get(dump, MAJOR_VERSION);
	facts->os_build = (uint32_t)get(dump, MINOR_VERSION);
	facts->loaded_module_list.v = get(dump, LOADED_MODULES);
	facts->active_process_head.v = get(dump, ACTIVE_PROCESSES);
	facts->kdbg.v = get(dump, KDBG);
	facts->processors = get(dump, PROCESSORS) <= bounds[0].max ? (uint32_t)get(dump, PROCESSORS) : 0;
	facts->is_crash = true;
	facts->bugcheck_code = (uint32_t)get(dump, BUGCHECK);
	for (unsigned i = 0; i < 4; i++)
		facts->bugcheck_parameters[i] = get(dump, PARAMETER1 + i);
	facts->exception_code = (uint32_t)get(dump, EXCEPTION_CODE);
	facts->exception_address = get(dump, EXCEPTION_ADDRESS);
	facts->exception_parameters = facts->exception_code ? (unsigned)MIN(get(dump, EXCEPTION_PARAMETERS), G_N_ELEMENTS(facts->exception_information)) : 0;
	for (unsigned i = 0; i < facts->exception_parameters; i++)
		facts->exception_information[i] = dump->is_64bit ? bytes_at(&dump->header, 0xf20 + 8 * i, 8) : bytes_at(&dump->header, 0x7e4 + 4 * i, 4);
	if (!facts->instruction_pointer)
		facts->instruction_pointer = facts->exception_address;
	/*
	 * Where nothing was raised, and where something was that led to the bugcheck, the kernel puts a breakpoint at the context's instruction pointer
	 * there (all small dumps of Windows 10 and 11 have it), and so do debuggers (dbgeng). One that was raised has parameters.
	 */
	if (facts->exception_code == STATUS_BREAKPOINT && !facts->exception_parameters)
		facts->exception_code = 0;
	facts->system_time = get(dump, SYSTEM_TIME);
	facts->uptime = get(dump, UPTIME);
	facts->product_type = (uint32_t)get(dump, PRODUCT);
	facts->suite_mask = (uint32_t)get(dump, SUITE);
	facts->dump_type = (uint32_t)get(dump, DUMP_TYPE);
	facts->dump_attributes = (uint32_t)get(dump, ATTRIBUTES);
	if (get(dump, NUMBER_OF_PAGES) <= bounds[1].max)
		facts->memory_total = get(dump, NUMBER_OF_PAGES) * PAGE_SIZE;
	dump->required_space = get(dump, REQUIRED_SPACE);

	struct bytes comment = bytes_slice(dump->header, dump->is_64bit ? 0xfb0 : 0x820, COMMENT_SIZE);
	if (!comment.bad && comment.p[0] && memcmp(comment.p, "PAGEPAGE", 8))
		facts->comment = text_from_bytes(comment.p, COMMENT_SIZE);
}

/* The type by what follows the header, which is harder to get wrong than DumpType; where they agree, DumpType. */
static uint32_t check_type(struct crashdump *dump)
{
	const struct image *image = dump->image;
	uint32_t type = image->facts.dump_type;
	const uint64_t total = image->facts.memory_total;
	bool known = type >= DUMP_FULL && type <= DUMP_COMPLETE, bitmap = crashdump_is_bitmap(dump),
	     table = crashdump_is_range_table(dump), room = total && image->file->size >= dump->header_size + total;

	if (!bitmap && !table && crashdump_is_triage(dump))
		return DUMP_TRIAGE;
	/* Small dumps that were cut short have no end to be known by. */
	if ((type == DUMP_HEADER_ONLY || type == DUMP_TRIAGE) && !bitmap && !table && !room)
		return type;
	known = known && type != DUMP_HEADER_ONLY && type != DUMP_TRIAGE;
	if (known && (bitmap || table) != (type == DUMP_FULL))
		return type;
	if (bitmap)
		return image->file->map[dump->header_size] == 'F' ? DUMP_BITMAP_FULL : DUMP_BITMAP_KERNEL;
	if (table)
		return DUMP_KERNEL;
	/* What needs a bitmap and has none may be a full dump, if the file has room for all of memory. */
	return !known || room ? DUMP_FULL : type;
}

/* Compare what the header promised with what the file has. */
static void check_space(struct crashdump *dump)
{
	struct image *image = dump->image;
	uint64_t blobs_end = crashdump_secondary_data(dump, MIN(dump->end, image->file->size));

	if (dump->required_space && dump->expected &&
	    (dump->required_space < dump->expected || dump->required_space > MAX(dump->expected, image->file->size)))
		image_remark(image, 0,
			   "crash dump header: RequiredDumpSpace at 0xfa0 is %" G_GUINT64_FORMAT
			   ", the header and the pages it "
			   "lists take %" G_GUINT64_FORMAT ", the file has %" G_GUINT64_FORMAT,
			   dump->required_space, dump->expected, image->file->size);
	if (blobs_end < image->file->size)
		image_remark(image, 0,
			   "%" G_GUINT64_FORMAT " bytes at 0x%" G_GINT64_MODIFIER
			   "x of the file belong to no page and no secondary data",
			   image->file->size - blobs_end, blobs_end);
}

static const struct { const char *format, *words; bool kernel_only; } types[] = {
	[DUMP_FULL] = { "windows-full", "full", false },
	[DUMP_SUMMARY] = { "windows-kernel", "kernel summary", true },
	[DUMP_HEADER_ONLY] = { "windows-header", "header only", true },
	[DUMP_TRIAGE] = { "windows-triage", "triage", true },
	[DUMP_BITMAP_FULL] = { "windows-bitmap-full", "bitmap full", false },
	[DUMP_BITMAP_KERNEL] = { "windows-bitmap-kernel", "bitmap kernel", true },
	[DUMP_AUTOMATIC] = { "windows-bitmap-kernel", "automatic", true },
	[DUMP_KERNEL] = { "windows-kernel", "kernel, by a debugger", true },
	[DUMP_KERNEL_USER] = { "windows-kernel-user", "kernel and user, by a debugger", false },
	[DUMP_COMPLETE] = { "windows-complete", "complete, by a debugger", false },
};

/* Kernel dumps leave user pages out; live and active ones need not. No header bit says
 * it, so the page tables of the listed processes are asked which of the pages they name are here. */
static void tell_user_memory(struct image *image)
{
	struct image_facts *facts = &image->facts;

	image_settle(image);
	int evidence = image->bytes_present == facts->memory_total ? 1 : crashdump_user_memory(image);	/* all of memory has that of programs */
	bool live = facts->dump_attributes & DUMP_ATTRIBUTE_LIVE || facts->bugcheck_code == 0x161 /* LIVE_SYSTEM_DUMP */;
	bool filtered = facts->dump_attributes & DUMP_ATTRIBUTE_FILTER;
	const bool kernel_only = types[facts->dump_type].kernel_only;

	facts->no_user_memory = evidence < 0 ? kernel_only && !live && !filtered : !evidence;
	if (!kernel_only && facts->no_user_memory) {
		image_remark(image, 0, "crash dump header: DumpType is %u (%s), but hardly any page that programs' page tables name is there: read as a dump of the kernel",
			     facts->dump_type, types[facts->dump_type].words);
		facts->format = facts->dump_type == DUMP_BITMAP_FULL ? "windows-bitmap-kernel" : "windows-kernel";
	}
	if (facts->dump_type != DUMP_BITMAP_KERNEL && facts->dump_type != DUMP_AUTOMATIC)
		return;
	if (live)
		facts->format = "windows-live";
	else if (!facts->no_user_memory)
		facts->format = "windows-active";
}

/* Is it worth asking? Of a dump that was cut short, where programs' pages may be what is missing, the type alone tells. */
static bool may_lack_user_memory(const struct image *image)
{
	const uint32_t type = image->facts.dump_type;

	return type != DUMP_FULL && type != DUMP_HEADER_ONLY && type != DUMP_TRIAGE && (types[type].kernel_only || !image->bytes_missing);
}

static bool read_pages(struct crashdump *dump, GError **error)
{
	uint32_t type = dump->image->facts.dump_type;

	if (type == DUMP_FULL)
		return crashdump_runs(dump, error);
	if (crashdump_is_bitmap(dump))
		return crashdump_bitmap(dump, error);
	if (crashdump_is_range_table(dump))
		return crashdump_range_table(dump, error);
	if (type == DUMP_AUTOMATIC || type == DUMP_COMPLETE)
		return crashdump_runs(dump, error);
	g_set_error(
		error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
		"crash dump: DumpType at 0x%x is %u, but there is no bitmap (SDMPDUMP, FDMPDUMP) and no range table (RDMP) "
		"at 0x%x",
		fields[dump->is_64bit][DUMP_TYPE].offset, type, dump->header_size);
	return false;
}

/* The signature says how wide the header is; MachineImageType, which stands elsewhere in each, knows better. */
static bool is_64bit(struct image *image)
{
	struct bytes head = file_slice(image->file, 0, 0x38);
	uint64_t narrow = bytes_at(&head, 0x20, 4), wide = bytes_at(&head, 0x30, 4);
	bool said = !memcmp(image->file->map, "PAGEDU64", 8), is = said;

	if (!said && narrow != 0x14c && (wide == 0x8664 || wide == 0xaa64))
		is = true;
	if (said && narrow == 0x14c && wide != 0x8664 && wide != 0xaa64)	/* a PsLoadedModuleList that ends so isn't aligned */
		is = false;
	if (is != said && !head.bad)
		image_remark(image, 0, "crash dump header: the signature is %s, but where a %s-bit header has MachineImageType is 0x%x: read as that",
			     said ? "PAGEDU64" : "PAGEDUMP", is ? "64" : "32", (unsigned)(is ? wide : narrow));
	return head.bad ? said : is;
}

static bool crashdump_open(struct image *image, GError **error)
{
	struct image_facts *facts = &image->facts;
	struct crashdump dump = { .image = image, .is_64bit = is_64bit(image) };

	dump.header_size = dump.is_64bit ? 0x2000 : 0x1000;
	dump.header = file_slice(image->file, 0, dump.header_size);
	if (dump.header.bad) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump: the file has %" G_GUINT64_FORMAT " bytes, its header alone has %u",
			    image->file->size, dump.header_size);
		return false;
	}
	read_header(&dump);
	uint32_t type = check_type(&dump);
	if (type != facts->dump_type) {
		image_remark(image, 0,
			   "crash dump header: DumpType at 0x%x is 0x%x, what follows the header is of type %u (%s): "
			   "read as that",
			   fields[dump.is_64bit][DUMP_TYPE].offset, facts->dump_type, type, types[type].words);
		facts->dump_type = type;
	}
	facts->format = types[facts->dump_type].format;
	facts->no_user_memory = types[facts->dump_type].kernel_only;
	facts->detail = g_strdup_printf("DumpType %u (%s)%s%s", facts->dump_type, types[facts->dump_type].words,
					facts->dump_attributes & DUMP_ATTRIBUTE_LIVE ? ", live" : "",
					facts->dump_attributes & DUMP_ATTRIBUTE_FILTER ? ", active" : "");
	if (facts->dump_attributes & DUMP_ATTRIBUTE_ENCRYPTED) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "crash dump header: Attributes at 0x%x is 0x%x: the dump is "
			    "encrypted (EncryptedDumpData) and must be decrypted first",
			    fields[dump.is_64bit][ATTRIBUTES].offset, facts->dump_attributes);
		return false;
	}

	switch (facts->dump_type) {
	case DUMP_HEADER_ONLY:
		image_note(image, FAULT_NOT_IN_DUMP, 0, "the dump is a header alone: it holds no memory");
		dump.end = dump.header_size;
		break;
	case DUMP_TRIAGE:
		return crashdump_triage(&dump, error);
	default:
		if (!read_pages(&dump, error))
			return false;
	}
	check_space(&dump);
	if (may_lack_user_memory(image))
		tell_user_memory(image);
	return true;
}

/* A wrong DirectoryTableBase gave no evidence, or that of other tables. */
static void crashdump_kernel_found(struct image *image)
{
	if (may_lack_user_memory(image))
		tell_user_memory(image);
}

const struct format format_crashdump = {
	.name = "crashdump",
	.doc = "a Windows crash dump (PAGEDU64, PAGEDUMP)",
	.match = crashdump_match,
	.open = crashdump_open,
	.kernel_found = crashdump_kernel_found,
};
