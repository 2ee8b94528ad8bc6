/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arrays of callbacks on processes, threads and images look alike and are in another
 * order in nearly every kernel. Which is which is told by the exported functions that
 * put entries into them, whose code names the array; that of processes also by entries of a form that
 * the others lack; else by the kernels of the family, if
 * they all agree. Else only the fullest, if one is, is taken to be that of processes.
 */
#include <string.h>
#include "globals.h"

#define SLOTS 64u
#define ARRAYS_MAX 8u
#define CODE_MAX 0x180u		/* bytes of a function that are looked through */
#define FUNCTIONS_MAX 512u	/* and functions, those that it calls and that these call included */

enum { PROCESS, THREAD, IMAGE, KINDS };

struct array { uint32_t rva; unsigned used; };

/* A reference to an _EX_CALLBACK_ROUTINE_BLOCK, {rundown, function, context}, in a pool block tagged Cbrb. */
static bool is_callback(const struct globals *g, uint64_t ref, uint64_t *function)
{
	unsigned w = g->e->width, low = 2 * w - 1;	/* of an _EX_FAST_REF */
	uint64_t block = ref & ~(uint64_t)low;
	char tag[4];

	/* The tag is the second half of the pool header's first quadword (x64), or of its eight bytes. */
	return evidence_pointer(g->e, ref) && (ref & low) && evidence_spend(g->e, 1) &&
	       !space_read(g->e->space, (va_t){ block - (w == 8 ? 12 : 4) }, tag, 4, NULL) && !memcmp(tag, "Cbrb", 4) &&
	       !read_pointer(g->e->space, (va_t){ block + w }, function) && evidence_pointer(g->e, *function);
}

static bool is_array(const struct globals *g, uint32_t rva, unsigned *used)
{
	unsigned w = g->e->width;
	uint64_t function, ref = evidence_image(g->e, rva, w);

	if (!is_callback(g, ref, &function) || (rva >= w && is_callback(g, evidence_image(g->e, rva - w, w), &function)))
		return false;
	*used = 0;
	for (unsigned i = 0; i < SLOTS; i++) {
		ref = evidence_image(g->e, rva + w * i, w);
		/* Where another array follows closely its entries are no less valid. */
		if (ref && !is_callback(g, ref, &function))
			break;
		*used += ref != 0;
	}
	return true;
}

static unsigned find_arrays(const struct globals *g, struct array *out)
{
	unsigned n = 0;

	for (guint i = 0; i < g->e->data->len; i++) {
		const struct range *r = &g_array_index(g->e->data, struct range, i);

		for (uint32_t rva = (uint32_t)r->start; rva + 8 <= r->start + r->length && n < ARRAYS_MAX; rva += g->e->width)
			if (is_array(g, rva, &out[n].used)) {
				/* A gap within an array doesn't begin another. */
				if (n && rva - out[n - 1].rva < (g->e->build < 6000 ? 8 : SLOTS) * g->e->width)
					continue;
				out[n++].rva = rva;
			}
	}
	return n;
}

/* Code ------------------------------------------------------------------------ */

static bool is_arm64(const struct globals *g)
{
	return g->e->space->paging == PAGING_ARM64;
}

static uint32_t word(const struct globals *g, uint32_t rva)
{
	return (uint32_t)evidence_image(g->e, rva, 4);
}

static int32_t signed_bits(uint32_t value, unsigned bits)
{
	return (int32_t)(value << (32 - bits)) >> (32 - bits);
}

/* What address does the instruction here load? As an RVA; 0: none. */
static uint32_t loaded_address(const struct globals *g, uint32_t rva)
{
	uint32_t v = word(g, rva);

	if (is_arm64(g)) {	/* adrp x, page; add x, x, #within */
		uint32_t next = word(g, rva + 4);
		int32_t pages = signed_bits((v >> 5 & 0x7ffff) << 2 | (v >> 29 & 3), 21);
		bool pair = (v & 0x9f000000) == 0x90000000 && (next & 0xffc00000) == 0x91000000 && (next >> 5 & 31) == (v & 31);
		return pair ? (rva & ~(uint32_t)PAGE_MASK) + (uint32_t)pages * PAGE_SIZE + (next >> 10 & 0xfff) : 0;
	}
	if (g->e->width == 4)	/* the operand itself */
		return evidence_rva(g->e, v);
	/* lea r64, [rip + relative] */
	return (v & 0xf8) == 0x48 && (v >> 8 & 0xff) == 0x8d && (v >> 16 & 0xc7) == 5 ? rva + 7 + word(g, rva + 3) : 0;
}

/* Where does it call or jump to? 0: nowhere. */
static uint32_t branch_target(const struct globals *g, uint32_t rva)
{
	uint32_t v = word(g, rva), to;

	if (is_arm64(g))
		to = (v & 0x7c000000) == 0x14000000 ? rva + 4 * (uint32_t)signed_bits(v & 0x3ffffff, 26) : 0;
	else
		to = (v & 0xfe) == 0xe8 ? rva + 5 + word(g, rva + 1) : 0;
	return to < g->e->size ? to : 0;
}

/* What stands between functions; a return, which on ARM64 nothing may follow. */
static bool is_end(const struct globals *g, uint32_t rva)
{
	return is_arm64(g) ? word(g, rva) == 0xd65f03c0 : (word(g, rva) & 0xffff) == 0xcccc;
}

/* Does the code at rva, or what it calls or jumps to, load the address of one of the arrays? */
static int named_by_code(const struct globals *g, uint32_t rva, const struct array *arrays, unsigned n, unsigned depth, unsigned *budget)
{
	unsigned step = is_arm64(g) ? 4 : 1;
	uint32_t end = 0;

	if (!*budget)
		return -1;
	--*budget;
	for (; end < CODE_MAX && !is_end(g, rva + end); end += step)
		for (unsigned a = 0; a < n; a++)
			if (loaded_address(g, rva + end) == arrays[a].rva)
				return (int)a;
	for (uint32_t i = 0; depth && *budget && i < end; i += step) {
		uint32_t to = branch_target(g, rva + i);
		int found = to ? named_by_code(g, to, arrays, n, depth - 1, budget) : -1;

		if (found >= 0)
			return found;
	}
	return -1;
}

/* Exported functions that put entries into an array or take them out (ntddk.h): one will do. */
static const char *const users[KINDS][3] = {
	{ "PsSetCreateProcessNotifyRoutine", "PsSetCreateProcessNotifyRoutineEx", "PsSetCreateProcessNotifyRoutineEx2" },
	{ "PsSetCreateThreadNotifyRoutine", "PsRemoveCreateThreadNotifyRoutine", "PsSetCreateThreadNotifyRoutineEx" },
	{ "PsSetLoadImageNotifyRoutine", "PsRemoveLoadImageNotifyRoutine", "PsSetLoadImageNotifyRoutineEx" },
};

/* The array that the code names for each kind, -1: none. What two kinds' code names is believed of neither. */
static void ask_code(const struct globals *g, const struct array *arrays, unsigned n, int kinds[KINDS])
{
	for (unsigned k = 0; k < KINDS; k++) {
		kinds[k] = -1;
		for (unsigned i = 0; i < G_N_ELEMENTS(users[k]) && kinds[k] < 0; i++) {
			uint32_t code = GPOINTER_TO_UINT(g_hash_table_lookup(g->e->exports, users[k][i]));
			unsigned budget = FUNCTIONS_MAX;
			kinds[k] = code ? named_by_code(g, code, arrays, n, 2, &budget) : -1;
		}
	}
	for (unsigned k = 0; k < KINDS; k++)
		for (unsigned j = 0; j < k; j++)
			if (kinds[k] >= 0 && kinds[k] == kinds[j])
				kinds[k] = kinds[j] = -1;
}

/*
 * The block's context says which form of the function was registered: of processes 2 (…RoutineEx) and 6 (…RoutineEx2), of threads
 * and images at most 1. -1: no array, or more than one, has such.
 */
#define CONTEXT_EX 2u

static int ask_contexts(const struct globals *g, const struct array *arrays, unsigned n)
{
	const unsigned w = g->e->width;
	int found = -1;

	for (unsigned a = 0; a < n; a++) {
		bool extended = false;

		for (unsigned i = 0; i < SLOTS && !extended; i++) {
			uint64_t ref = evidence_image(g->e, arrays[a].rva + w * i, w), function, context;
			if (ref && !is_callback(g, ref, &function))
				break;
			extended = ref && !read_pointer(g->e->space, (va_t){ (ref & ~(uint64_t)(2 * w - 1)) + 2 * w }, &context) &&
				   (context == CONTEXT_EX || context == (CONTEXT_EX | 4));
		}
		if (extended && found >= 0)
			return -1;
		if (extended)
			found = (int)a;
	}
	return found;
}

static uint64_t *symbol_of(struct layout *l, unsigned kind)
{
	return kind == PROCESS ? &l->symbol.PspCreateProcessNotifyRoutine :
	       kind == THREAD ? &l->symbol.PspCreateThreadNotifyRoutine : &l->symbol.PspLoadImageNotifyRoutine;
}

static unsigned rank(struct layout *l, unsigned kind)
{
	unsigned n = 0;

	for (unsigned k = 0; k < KINDS; k++)
		n += *symbol_of(l, k) < *symbol_of(l, kind);
	return n;
}

/* The order that all siblings have them in. */
static bool family_order(struct layout *const *siblings, size_t n, unsigned order[KINDS])
{
	for (unsigned k = 0; k < KINDS; k++) {
		for (size_t i = 0; i < n; i++) {
			if (!*symbol_of(siblings[i], k) || (i && rank(siblings[i], k) != order[k]))
				return false;
			order[k] = rank(siblings[i], k);
		}
	}
	return n > 1;
}

static bool same_functions(const struct globals *g, uint32_t a, uint32_t b)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t one = 0, other = 0;
		unsigned w = g->e->width;
		bool first = is_callback(g, evidence_image(g->e, a + w * i, w), &one);
		bool second = is_callback(g, evidence_image(g->e, b + w * i, w), &other);

		if (first != second || one != other)
			return false;
		if (!first)
			break;
	}
	return true;
}

void globals_callbacks(struct globals *g, struct layout *const *siblings, size_t n)
{
	struct array arrays[ARRAYS_MAX];
	unsigned found = find_arrays(g, arrays), order[KINDS], best = 0;
	int named[KINDS], process;
	bool tie = false, any = false;

	ask_code(g, arrays, found, named);
	process = ask_contexts(g, arrays, found);
	/* The two must not contradict each other. */
	if (named[PROCESS] < 0 && process >= 0 && process != named[THREAD] && process != named[IMAGE])
		named[PROCESS] = process;
	for (unsigned k = 0; k < KINDS; k++) {
		*symbol_of(g->layout, k) = named[k] >= 0 ? arrays[named[k]].rva : 0;
		any |= named[k] >= 0;
	}
	if (!any && found == KINDS && family_order(siblings, n, order)) {
		for (unsigned k = 0; k < KINDS; k++)
			*symbol_of(g->layout, k) = arrays[order[k]].rva;
		return;
	}
	for (unsigned a = 1; a < found; a++) {
		tie = arrays[a].used == arrays[best].used || (tie && arrays[a].used < arrays[best].used);
		if (arrays[a].used > arrays[best].used)
			best = a;
	}
	if (named[PROCESS] >= 0)
		best = (unsigned)named[PROCESS];
	else if (!found || tie || any)
		return;
	*symbol_of(g->layout, PROCESS) = arrays[best].rva;
	/* Where the other two name the same functions it doesn't matter which is which. */
	if (found == KINDS && named[THREAD] < 0 && named[IMAGE] < 0 && same_functions(g, arrays[(best + 1) % KINDS].rva, arrays[(best + 2) % KINDS].rva)) {
		*symbol_of(g->layout, THREAD) = arrays[(best + 1) % KINDS].rva;
		*symbol_of(g->layout, IMAGE) = arrays[(best + 2) % KINDS].rva;
	}
}
