/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images that each process unloaded last, as ntdll keeps them for debuggers (RtlpUnloadEventTrace).
 *
 * Where it keeps them is told by RtlGetUnloadEventTrace, which it exports and whose whole code is `lea rax, [trace]; ret`
 * (`mov eax, trace; ret` on 32 bits, `adrp x0, page; add x0, x0, offset; ret` on ARM64). RTL_UNLOAD_EVENT_TRACE is public
 * (learn.microsoft.com, RtlGetUnloadEventTrace): base, size, sequence, timestamp, checksum, 32 characters of name, and since Vista
 * version. That page says 64 of them; Windows writes to a ring of 16 (LdrpRecordUnloadEvent of Windows 7 to 11; RTL_UNLOAD_EVENT_TRACE_NUMBER of
 * 2003's nturtl.h), behind which other things lie.
 */
#include <string.h>
#include "limit.h"
#include "pe_space.h"
#include "plugin.h"
#include "text.h"

enum { PROCESS, BASE, SIZE, NAME, SEQUENCE, TIMESTAMP, CHECKSUM, WOW64 };

static const struct table unloaded_modules = {
	.name = "unloaded_modules", .doc = "images that processes unloaded, the last 16",
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[BASE] = { "base", COL_ADDRESS, "where it was" },
		[SIZE] = { "size", COL_INT, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[SEQUENCE] = { "sequence", COL_INT, "counts up" },
		[TIMESTAMP] = { "timestamp", COL_INT, "TimeDateStamp of its PE header" },
		[CHECKSUM] = { "checksum", COL_INT, "of its PE header" },
		[WOW64] = { "wow64", COL_BOOL, "by the 32-bit loader" },
	},
};

#define ENTRIES 16u		/* RTL_UNLOAD_EVENT_TRACE_NUMBER */
#define NAME_BYTES 64u
#define VISTA 6000u
#define MAX_SIZE (UINT32_C(1) << 31)

/* adrp and add of one register, and ret. */
static bool decode_arm64(uint64_t at, const uint32_t code[3], uint64_t *address)
{
	const uint32_t page = (code[0] >> 5 & 0x7ffff) << 2 | (code[0] >> 29 & 3);

	if ((code[0] & 0x9f00001f) != 0x90000000 || (code[1] & 0xffc003ff) != 0x91000000 || code[2] != 0xd65f03c0)
		return false;
	*address = (at & ~UINT64_C(0xfff)) + ((uint64_t)((int64_t)((uint64_t)page << 43) >> 43) << 12) + (code[1] >> 10 & 0xfff);
	return true;
}

/* The trace by the code of the function that returns it; FAULT_NO_FIELD: its code is another. */
static enum fault trace_of(struct pe *pe, uint32_t function, unsigned width, uint64_t *trace)
{
	static const uint8_t lea[] = { 0x48, 0x8d, 0x05 };
	uint8_t code[12];
	struct bytes b = { code, sizeof(code), false };
	enum fault fault = pe_read(pe, function, code, sizeof(code));

	*trace = 0;
	if (fault)
		return fault;
	const uint32_t words[] = { (uint32_t)bytes_at(&b, 0, 4), (uint32_t)bytes_at(&b, 4, 4), (uint32_t)bytes_at(&b, 8, 4) };
	const int32_t distance = (int32_t)bytes_at(&b, 3, 4);
	if (width == 4 && code[0] == 0xb8 && code[5] == 0xc3)
		*trace = bytes_at(&b, 1, 4);
	else if (width != 4 && !memcmp(code, lea, sizeof(lea)) && code[7] == 0xc3)
		*trace = pe->base + function + 7 + (uint64_t)(int64_t)distance;
	else if (width == 4 || !decode_arm64(pe->base + function, words, trace))
		return FAULT_NO_FIELD;
	return FAULT_NONE;
}

/* 0: this ntdll has none, or keeps it elsewhere. */
static enum fault find_trace(struct context *c, const struct module *ntdll, uint64_t *trace)
{
	struct pe_space at = { c->user, { ntdll->base } };
	AUTO_PE pe = pe_space_open(&at, (uint32_t)MIN(ntdll->size, UINT32_MAX & ~PAGE_MASK));
	enum fault fault;
	const GArray *exports = pe_exports(pe, &fault);

	*trace = 0;
	for (guint i = 0; exports && i < exports->len; i++) {
		const struct pe_export *e = &g_array_index(exports, struct pe_export, i);
		if (!e->name || !e->rva || e->forwarder || strcmp(e->name, "RtlGetUnloadEventTrace"))
			continue;
		fault = trace_of(pe, e->rva, ntdll->wow64 ? 4 : space_pointer_size(c->user), trace);
		if (*trace - ntdll->base >= ntdll->size)
			*trace = 0;
		return fault;
	}
	return pe->fault ? pe->fault : fault;
}

static void put_trace(struct context *c, uint64_t trace, bool wow64)
{
	const bool versions = !c->kernel->build || c->kernel->build >= VISTA;
	const unsigned width = wow64 ? 4 : space_pointer_size(c->user), size = (width == 4 ? 84 : 96) + (versions ? 8 : 0);
	uint8_t raw[104];

	for (unsigned i = 0; i < ENTRIES; i++) {
		va_t at = { trace + i * size };
		enum fault fault = space_read(c->user, at, raw, size, NULL);
		struct bytes b = { raw, size, false };
		if (fault) {
			context_note(c, fault, at, "unloaded_modules", "the trace of unloaded images can't be read from entry %u on", i);
			return;
		}
		uint64_t base = bytes_at(&b, 0, width), length = bytes_at(&b, width, width);
		/* The first that was never used ends it; what else stands there is no trace. */
		if (!base || (base & PAGE_MASK) || !length || length > MAX_SIZE)
			return;
		unsigned n = 0;
		while (n < NAME_BYTES && (raw[2 * width + 12 + n] || raw[2 * width + 13 + n]))
			n += 2;
		g_autofree char *name = text_from_utf16(raw + 2 * width + 12, n, FALSE);
		struct row *row = row_new(c, &unloaded_modules);
		row_address(row, BASE, base);
		row_int(row, SIZE, (int64_t)length);
		row_text(row, NAME, name);
		row_int(row, SEQUENCE, (int64_t)bytes_at(&b, 2 * width, 4));
		row_int(row, TIMESTAMP, (int64_t)bytes_at(&b, 2 * width + 4, 4));
		row_int(row, CHECKSUM, (int64_t)bytes_at(&b, 2 * width + 8, 4));
		row_int(row, WOW64, wow64);
	}
}

/* Processes, of which one note tells. */
struct unknown {
	gint paged_out;		/* code of ntdll that nobody runs often is, and for all processes at once */
	gint other_code;	/* which one Windows has in all of them, too */
};

static bool begin(struct context *c, GError **error)
{
	(void)error;
	context_keep(c, g_new0(struct unknown, 1), g_free);
	return true;
}

static bool end(struct context *c, GError **error)
{
	const struct unknown *unknown = context_kept(c);

	(void)error;
	if (unknown->paged_out)
		context_note(c, FAULT_PAGED_OUT, (va_t){ 0 }, "unloaded_modules", "of %d processes ntdll's exports, or its code, are paged out: what they unloaded is "
			     "not known", unknown->paged_out);
	if (unknown->other_code)
		context_note(c, FAULT_NO_FIELD, (va_t){ 0 }, "unloaded_modules", "in %d processes RtlGetUnloadEventTrace has other code than known: what they unloaded is "
			     "not known", unknown->other_code);
	return true;
}

static bool run_process(struct context *c, GError **error)
{
	unsigned ntdlls = 0;
	bool told = false;

	(void)error;
	for (guint i = 0; c->user && i < c->process->modules->len && !context_cancelled(c); i++) {
		const struct module *m = &g_array_index(c->process->modules, struct module, i);
		if (!m->in_load_order || !m->name || g_ascii_strcasecmp(m->name, "ntdll.dll"))
			continue;
		if (ntdlls++ == FIXED_ntdlls) {
			context_note(c, FAULT_LIMIT, (va_t){ m->base }, "unloaded_modules", "more than %u images are listed as ntdll.dll (ntdlls): the others are not asked", (unsigned)FIXED_ntdlls);
			break;
		}
		uint64_t trace;
		enum fault fault = find_trace(c, m, &trace);
		struct unknown *unknown = context_kept(c);
		if (fault == FAULT_PAGED_OUT && !told)
			g_atomic_int_inc(&unknown->paged_out);
		else if (fault == FAULT_NO_FIELD && !told)
			g_atomic_int_inc(&unknown->other_code);
		else if (fault && !told)
			context_note(c, fault, (va_t){ m->base }, "unloaded_modules", "ntdll's exports, or its code, can't be read: what was unloaded is not known");
		told |= fault != FAULT_NONE;
		if (trace)
			put_trace(c, trace, m->wow64);
	}
	return true;
}

const struct plugin plugin_unloaded_modules = {
	.name = "unloaded_modules",
	.doc = "images that processes unloaded",
	.fills = { &unloaded_modules },
	.needs = { "modules" },
	.needs_user_memory = true,
	.needs_layout = true,
	.begin = begin,
	.run_process = run_process,
	.end = end,
};
