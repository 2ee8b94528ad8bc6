/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arrays of callbacks on processes, threads and images look alike and are in another
 * order in nearly every kernel. Which is which is told by the exported functions that
 * put entries into them, whose code names the array; else by the kernels of the family, if
 * they all agree. Else only the fullest, if one is, is taken to be that of processes.
 */
#include <string.h>
#include "globals.h"

#define SLOTS 64u
#define ARRAYS_MAX 8u
#define CODE_MAX 0x180u		/* bytes of a function that are looked through */

enum { PROCESS, THREAD, IMAGE, KINDS };

struct array { uint32_t rva; unsigned used; };

/* A reference to an _EX_CALLBACK_ROUTINE_BLOCK, {rundown, function, context}, in a pool block tagged Cbrb. */
static bool is_callback(const struct globals *g, uint64_t ref, uint64_t *function)
{
	unsigned w = g->e->width, low = 2 * w - 1;	/* of an _EX_FAST_REF */
	uint64_t block = ref & ~(uint64_t)low;
	char tag[4];

	/* The tag is the second half of the pool header's first quadword (x64), or of its eight bytes. */
	return evidence_pointer(g->e, ref) && (ref & low) &&
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

/* Does the code at rva, or what it calls or jumps to, load the address of one of the arrays? */
static int named_by_code(const struct globals *g, uint32_t rva, const struct array *arrays, unsigned n, unsigned depth)
{
	for (uint32_t i = 0; i < CODE_MAX; i++) {
		uint8_t op = (uint8_t)evidence_image(g->e, rva + i, 1), rex = (uint8_t)evidence_image(g->e, rva + i - 1, 1);
		uint32_t relative = (uint32_t)evidence_image(g->e, rva + i + 2, 4);

		/* x86 has the address itself for an operand. */
		for (unsigned a = 0; g->e->width == 4 && a < n; a++)
			if (evidence_image(g->e, rva + i, 4) == g->e->kernel->base.v + arrays[a].rva)
				return (int)a;
		/* lea r64, [rip + relative] */
		if (op == 0x8d && (rex & 0xf8) == 0x48 && (evidence_image(g->e, rva + i + 1, 1) & 0xc7) == 5)
			for (unsigned a = 0; a < n; a++)
				if (rva + i + 6 + relative == arrays[a].rva)
					return (int)a;
		if (op == 0xcc && rex == 0xcc)	/* between functions */
			break;
	}
	for (uint32_t i = 0; depth && i < CODE_MAX; i++) {
		uint8_t op = (uint8_t)evidence_image(g->e, rva + i, 1);
		uint32_t to = rva + i + 5 + (uint32_t)evidence_image(g->e, rva + i + 1, 4);

		if ((op == 0xe8 || op == 0xe9) && to < g->e->size) {
			int found = named_by_code(g, to, arrays, n, depth - 1);
			if (found >= 0)
				return found;
		}
		if (op == 0xcc && evidence_image(g->e, rva + i + 1, 1) == 0xcc)
			break;
	}
	return -1;
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
	static const char *const setters[KINDS] = {
		"PsSetCreateProcessNotifyRoutine", "PsSetCreateThreadNotifyRoutine", "PsSetLoadImageNotifyRoutine",
	};
	struct array arrays[ARRAYS_MAX];
	unsigned found = find_arrays(g, arrays), order[KINDS], best = 0;
	bool tie = false;

	for (unsigned k = 0; k < KINDS; k++) {
		uint32_t code = GPOINTER_TO_UINT(g_hash_table_lookup(g->e->exports, setters[k]));
		int named = code ? named_by_code(g, code, arrays, found, 2) : -1;

		*symbol_of(g->layout, k) = named >= 0 ? arrays[named].rva : 0;
	}
	for (unsigned k = 0; k < KINDS; k++)
		if (*symbol_of(g->layout, k))
			return;
	if (found == KINDS && family_order(siblings, n, order)) {
		for (unsigned k = 0; k < KINDS; k++)
			*symbol_of(g->layout, k) = arrays[order[k]].rva;
		return;
	}
	for (unsigned a = 1; a < found; a++) {
		tie = arrays[a].used == arrays[best].used || (tie && arrays[a].used < arrays[best].used);
		if (arrays[a].used > arrays[best].used)
			best = a;
	}
	if (!found || tie)
		return;
	*symbol_of(g->layout, PROCESS) = arrays[best].rva;
	/* Where the other two name the same functions it doesn't matter which is which. */
	if (found == KINDS && same_functions(g, arrays[(best + 1) % KINDS].rva, arrays[(best + 2) % KINDS].rva)) {
		*symbol_of(g->layout, THREAD) = arrays[(best + 1) % KINDS].rva;
		*symbol_of(g->layout, IMAGE) = arrays[(best + 2) % KINDS].rva;
	}
}
