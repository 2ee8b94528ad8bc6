/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System service tables: where each system call leads.
 *
 * On x64 the tables hold 32-bit offsets from the table itself, shifted left by four; the
 * low bits tell the number of arguments on the stack. Before Vista they hold addresses there, of which bit 0 says that there are such
 * (the kernel's KiSystemServiceStart: the Windows Research Kernel's trap.asm for amd64). On x86 they hold addresses. Their names come from the machine
 * itself: what the kernel exports is known by its address; each Nt function that ntdll
 * (win32u) exports loads its number first. Where both are known they must agree.
 */
#include <string.h>
#include "pe_space.h"
#include "plugin.h"
#include "limit.h"

enum { DUMP, TABLE_NAME, NUMBER, FUNCTION, ADDRESS, MODULE, PLACEMENT };

static const struct table ssdt = {
	.name = "ssdt", .doc = "system service tables",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[TABLE_NAME] = { "table_name", COL_TEXT, "KiServiceTable or W32pServiceTable" },
		[NUMBER] = { "number", COL_INT, "of the system call; those of win32k start at 4096" },
		[FUNCTION] = { "function", COL_TEXT, "as ntdll or win32u export it" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the routine that is called" },
		[MODULE] = { "module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[PLACEMENT] = { "placement", COL_TEXT, "expected: in the table's own module; other: in another one; nowhere: in none" },
	},
};

/* Bits 0 to 11 of a system call's number choose the entry, 12 and 13 the table. */
#define MAX_SERVICES ((unsigned)FIXED_services)
#define WIN32K_FIRST 4096u
/* How many processes are asked for names: each has its own copy, and one may be hooked; and how many of its images. */
#define NAME_SOURCES 8
#define NAME_IMAGES 2	/* ntdll and win32u; a loader's list can hold thousands of entries named so */

struct names {
	char *name[2 * MAX_SERVICES];	/* by number, of the stubs */
	GHashTable *exported;		/* address → name, of the kernel's own Nt functions */
	GHashTable *addresses;		/* and the other way round */
};

static void names_destroy(struct names *names)
{
	for (size_t i = 0; i < G_N_ELEMENTS(names->name); i++)
		g_free(names->name[i]);
	g_hash_table_destroy(names->exported);
	g_hash_table_destroy(names->addresses);
	g_free(names);
}

/* Names known by address. Both tables share the keys and values of one. */
static void kernel_exports(struct names *names, struct context *c)
{
	struct pe_space at = { c->space, c->kernel->base };
	AUTO_PE pe = pe_space_open(&at, 0);
	const GArray *exports = pe_exports(pe, NULL);

	names->exported = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	names->addresses = g_hash_table_new(g_str_hash, g_str_equal);
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		if (!e->name || strncmp(e->name, "Nt", 2) || e->forwarder || !e->rva)
			continue;
		uint64_t address = c->kernel->base.v + e->rva;
		if (g_hash_table_contains(names->exported, &address))
			continue;
		uint64_t *key = g_memdup2(&address, sizeof(address));
		char *name = g_strdup(e->name);
		g_hash_table_insert(names->exported, key, name);
		g_hash_table_insert(names->addresses, name, key);
	}
}

/* The number a stub loads: mov r10, rcx; mov eax, imm32. On x86 the latter alone. */
static bool stub_number(struct pe *pe, uint32_t rva, uint32_t *number)
{
	static const uint8_t moves[2][4] = { { 0x4c, 0x8b, 0xd1, 0xb8 }, { 0x49, 0x89, 0xca, 0xb8 } };
	bool narrow = pe->machine == PE_MACHINE_I386;
	uint8_t code[8];

	if (pe_read(pe, rva, code, sizeof(code)) || (narrow ? code[0] != 0xb8 : memcmp(code, moves[0], 4) && memcmp(code, moves[1], 4)))
		return false;
	memcpy(number, code + (narrow ? 1 : 4), 4);
	return true;
}

static void names_of(struct names *names, struct space *space, uint64_t base)
{
	struct pe_space at = { space, { base } };
	AUTO_PE pe = pe_space_open(&at, 0);
	const GArray *exports = pe_exports(pe, NULL);

	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		uint32_t number;
		/* Each stub is exported as Zw… too. */
		if (!e->name || strncmp(e->name, "Nt", 2) || !stub_number(pe, e->rva, &number) || number >= G_N_ELEMENTS(names->name) ||
		    names->name[number])
			continue;
		names->name[number] = g_strdup(e->name);
	}
}

static struct names *find_names(struct context *c)
{
	struct names *names = g_new0(struct names, 1);
	unsigned sources = 0;

	kernel_exports(names, c);
	for (guint i = 0; i < c->processes->len && sources < NAME_SOURCES && !context_cancelled(c); i++) {
		const struct process *process = g_ptr_array_index(c->processes, i);
		unsigned used = 0;
		if (!process->user_readable)
			continue;
		AUTO(space) space = process_space(process, c->kernel, c->space);
		for (guint m = 0; m < process->modules->len && used < NAME_IMAGES; m++) {
			const struct module *module = &g_array_index(process->modules, struct module, m);
			if (module->wow64 || !module->name ||
			    (g_ascii_strcasecmp(module->name, "ntdll.dll") && g_ascii_strcasecmp(module->name, "win32u.dll")))
				continue;
			names_of(names, space, module->base);
			used++;
		}
		sources += used > 0;
	}
	return names;
}

static bool has_addresses(const struct context *c)
{
	return c->kernel->build && c->kernel->build < 6000;
}

/* Where an entry stands, and where it leads. */
static va_t entry_at(const struct context *c, va_t table, uint32_t i)
{
	return (va_t){ table.v + (uint64_t)i * (space_pointer_size(c->space) == 8 && has_addresses(c) ? 8 : 4) };
}

static enum fault read_entry(const struct context *c, struct space *space, va_t table, uint32_t i, uint64_t *address)
{
	const va_t at = entry_at(c, table, i);
	const bool wide = space_pointer_size(space) == 8;
	int32_t entry = 0;
	enum fault fault = wide && has_addresses(c) ? space_read(space, at, address, sizeof(*address), NULL) : space_read(space, at, &entry, sizeof(entry), NULL);

	if (!fault && wide && has_addresses(c))
		*address &= ~UINT64_C(1);
	else
		*address = !wide ? (uint32_t)entry : table.v + (uint64_t)(int64_t)(entry >> 4);
	return fault;
}

/* Do the stubs' numbers lead to what the kernel exports by their names? A hook may differ; where most do, or none can
 * be compared, the stubs are not believed. */
static bool names_agree(struct context *c, const struct names *names, va_t table, uint32_t count)
{
	unsigned agree = 0, differ = 0;

	for (uint32_t i = 0; i < count && i < MAX_SERVICES; i++) {
		const uint64_t *address = names->name[i] ? g_hash_table_lookup(names->addresses, names->name[i]) : NULL;
		uint64_t leads;
		if (!address || read_entry(c, c->space, table, i, &leads))
			continue;
		if (leads == *address)
			agree++;
		else
			differ++;
	}
	return agree > differ;
}

static void put_table(struct context *c, struct space *space, va_t table, uint32_t count, const char *name, uint32_t first,
		      const struct names *names, bool stubs)
{
	if (!count || count > MAX_SERVICES) {
		context_note(c, FAULT_IMPLAUSIBLE, table, "ssdt", "%s: %u entries", name, count);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct row *row = row_new(c, &ssdt);
		va_t at = entry_at(c, table, i);
		uint64_t address;
		enum fault fault = read_entry(c, space, table, i, &address);
		const char *function = stubs ? names->name[first + i] : NULL;
		row_text(row, TABLE_NAME, name);
		row_int(row, NUMBER, first + i);
		/* An entry that leads elsewhere is still the one the stub is for. */
		if (!function && !fault)
			function = g_hash_table_lookup(names->exported, &address);
		row_text(row, FUNCTION, function);
		if (fault) {
			row_fault(row, ADDRESS, fault, at, "the entry");
			continue;
		}
		row_address(row, ADDRESS, address);
		row_text(row, MODULE, context_driver_at(c, (va_t){ address }));
		row_text(row, PLACEMENT, context_placement(c, (va_t){ address }, table));
	}
}

/*
 * The second descriptor of KeServiceDescriptorTableShadow {base, counters, limit, arguments}: win32k's, which
 * only processes of a session map.
 */
static void put_win32k(struct context *c, const struct names *names, bool stubs)
{
	va_t shadow = kernel_symbol(c->kernel, KeServiceDescriptorTableShadow);
	unsigned w = space_pointer_size(c->space);
	uint64_t base = 0;
	uint32_t limit = 0;
	enum fault fault = shadow.v ? read_pointer(c->space, (va_t){ shadow.v + 4 * w }, &base) : FAULT_NO_FIELD;

	if (!fault)
		fault = space_read(c->space, (va_t){ shadow.v + 6 * w }, &limit, sizeof(limit), NULL);
	if (fault)
		context_note(c, fault, shadow, "ssdt", "KeServiceDescriptorTableShadow %s: where win32k's services are is not known",
			     shadow.v ? "can't be read" : "is not known");
	if (fault || !base)	/* 0: no win32k is loaded */
		return;
	for (guint i = 0; i <= c->processes->len; i++) {
		int32_t entry;
		/* The kernel's own view first: some builds map it there. */
		const struct process *process = i ? g_ptr_array_index(c->processes, i - 1) : NULL;
		if (process && !process->user_readable)
			continue;
		AUTO(space) own = process ? process_space(process, c->kernel, c->space) : NULL;
		struct space *space = own ? own : c->space;
		if (space_read(space, (va_t){ base }, &entry, sizeof(entry), NULL))
			continue;
		put_table(c, space, (va_t){ base }, limit, "W32pServiceTable", WIN32K_FIRST, names, stubs);
		return;
	}
	context_note(c, FAULT_UNMAPPED, (va_t){ base }, "ssdt", "W32pServiceTable is in no process's memory");
}

static bool run(struct context *c, GError **error)
{
	va_t table = kernel_symbol(c->kernel, KiServiceTable), limit = kernel_symbol(c->kernel, KiServiceLimit);
	uint32_t count = 0;

	(void)error;
	if (c->kernel->paging == PAGING_ARM64 || c->kernel->paging == PAGING_NONE) {
		context_note(c, FAULT_NO_FIELD, table, "ssdt", "service tables are read for x64 and x86 alone");
		return true;
	}
	if (!table.v || !limit.v) {
		context_note(c, FAULT_NO_FIELD, c->kernel->base, "ssdt", "KiServiceTable is not known");
		return true;
	}
	enum fault fault = space_read(c->space, limit, &count, sizeof(count), NULL);
	if (fault) {
		context_note(c, fault, limit, "ssdt", "KiServiceLimit can't be read");
		return true;
	}
	struct names *names = find_names(c);
	bool stubs = names_agree(c, names, table, count);
	put_table(c, c->space, table, count, "KiServiceTable", 0, names, stubs);
	put_win32k(c, names, stubs);
	names_destroy(names);
	return true;
}

const struct plugin plugin_ssdt = {
	.name = "ssdt",
	.doc = "where each system call leads",
	.fills = { &ssdt },
	.needs = { "drivers", "modules" },
	.needs_layout = true,
	.run = run,
};
