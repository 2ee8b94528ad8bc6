/* SPDX-License-Identifier: Apache-2.0 */
#include "guess.h"
#include <string.h>
#include "limit.h"
#include "paging.h"

#define CONFIDENCE 40u			/* as of a family that nothing in the kernel confirms */
#define DISPATCHER_PROCESS 3		/* KOBJECTS of ntddk.h */
#define LINKED 4u			/* what it counts that a process is linked to another one */
#define LATEST 19041u			/* of families that fit alike, those nearest to this build first: most machines ran it */
#define YEAR_2001 UINT64_C(126227808000000000)
#define YEAR_2100 UINT64_C(157469184000000000)

/* A page that a process object begins in; what lies on the next one isn't looked at, as nobody knows where that is. */
struct candidate { uint64_t va; unsigned at; uint8_t page[PAGE_SIZE]; };

struct candidates {
	GPtrArray *all[2];		/* struct candidate, of 32-bit and 64-bit machines */
	GHashTable *addresses;
};

static uint64_t load(const uint8_t *at, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = width; i--; )
		v = v << 8 | at[i];
	return v;
}

static bool kernel_pointer(uint64_t v, unsigned width)
{
	return width == 8 ? v >= UINT64_C(0xff00000000000000) && v < UINT64_C(0xfffffffffffff000) : v >= 0x80000000u && v < 0xfffff000u;
}

/* KPROCESS: a dispatcher header of type process, three pointers long (four on 32-bit machines), then an empty list. */
static void look(struct candidates *c, const uint8_t *page, unsigned width)
{
	unsigned head = width == 8 ? 0x18 : 0x10;
	GPtrArray *out = c->all[width == 8];

	for (unsigned at = 0; at + 0x40 <= PAGE_SIZE && out->len < FIXED_guess_processes; at += 8) {
		if ((page[at] & 0x7f) != DISPATCHER_PROCESS)
			continue;
		uint64_t next = load(page + at + head, width);
		if (next != load(page + at + head + width, width) || (next & PAGE_MASK) != at + head || !kernel_pointer(next, width))
			continue;
		struct candidate *candidate = g_new(struct candidate, 1);
		candidate->va = next - head;
		candidate->at = at;
		memcpy(candidate->page, page, PAGE_SIZE);
		g_ptr_array_add(out, candidate);
		g_hash_table_add(c->addresses, g_memdup2(&candidate->va, sizeof(candidate->va)));
	}
}

static void find_candidates(struct image *image, struct candidates *c)
{
	g_autofree uint8_t *scratch = g_malloc(PAGE_SIZE);

	EACH_PAGE(image, scratch, page, pa) {
		look(c, page, 8);
		look(c, page, 4);
	}
}

/* A field of the object; false: the build has none, or it lies on the next page. */
static bool field_of(const struct candidate *c, const struct field *field, unsigned width, uint64_t *value)
{
	if (!field->size || c->at + field->offset + width > PAGE_SIZE)
		return false;
	*value = load(c->page + c->at + field->offset, width);
	return true;
}

static bool has_name(const struct candidate *c, const struct field *field)
{
	const uint8_t *name = c->page + c->at + field->offset;
	unsigned n = 0;

	if (!field->size || c->at + field->offset + 16 > PAGE_SIZE)
		return false;
	while (n < 15 && name[n] > 0x20 && name[n] < 0x7f)
		n++;
	return n > 1 && (n == 15 || !name[n] || name[n] == ' ');
}

/* How well a process object makes sense by a layout; 0: it doesn't. */
static unsigned fits(const struct candidates *all, const struct candidate *c, const struct layout *l)
{
	unsigned w = l->pointer_size, good = 1;
	uint64_t pid, parent, dtb, link[2], value;
	const struct field *links = &l->eprocess.ActiveProcessLinks;
	struct field back = { .offset = links->offset + w, .size = links->size };
	const struct field *pointers[] = { &l->eprocess.Token, &l->eprocess.ObjectTable, &l->eprocess.VadRoot, &l->eprocess.ThreadListHead, &l->eprocess.SectionObject };

	if (!field_of(c, &l->eprocess.UniqueProcessId, w, &pid) || !pid || pid & 3 || pid > 0x7fffffff || !has_name(c, &l->eprocess.ImageFileName) ||
	    !field_of(c, links, w, &link[0]) || !field_of(c, &back, w, &link[1]) || !kernel_pointer(link[0], w) || !kernel_pointer(link[1], w) ||
	    !field_of(c, &l->kprocess.DirectoryTableBase, w, &dtb) || !dtb || dtb >> 52 || dtb & 0x1c)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t other = link[i] - links->offset;
		good += other != c->va && g_hash_table_contains(all->addresses, &other) ? LINKED : 0;
	}
	if (field_of(c, &l->eprocess.InheritedFromUniqueProcessId, w, &parent))
		good += !(parent & 3) && parent <= 0x7fffffff && parent != pid;
	if (field_of(c, &l->eprocess.CreateTime, 8, &value))
		good += value > YEAR_2001 && value < YEAR_2100;
	if (field_of(c, &l->eprocess.ExitTime, 8, &value))
		good += !value || (value > YEAR_2001 && value < YEAR_2100);
	if (field_of(c, &l->eprocess.Peb, w, &value))
		good += !(value & PAGE_MASK) && !kernel_pointer(value, w) && !(value >> 56);
	for (size_t i = 0; i < G_N_ELEMENTS(pointers); i++)
		if (field_of(c, pointers[i], w, &value))
			good += kernel_pointer(value, w);
	return good;
}

static void mark(void *user, const char *type, const char *member, struct field *field)
{
	(void)user;
	(void)type;
	(void)member;
	if (field->size)
		field->derived = CONFIDENCE;
}

/* PAE's roots are four entries, and lie within a page. */
static enum paging paging_of(const struct candidates *all, const struct layout *l, enum layout_machine machine)
{
	if (machine != LAYOUT_X86)
		return machine == LAYOUT_ARM64 ? PAGING_ARM64 : PAGING_X64;
	for (guint i = 0; i < all->all[0]->len; i++) {
		uint64_t dtb;
		const struct candidate *c = g_ptr_array_index(all->all[0], i);
		if (fits(all, c, l) && field_of(c, &l->kprocess.DirectoryTableBase, 4, &dtb) && dtb & PAGE_MASK)
			return PAGING_X86_PAE;
	}
	return PAGING_X86;
}

static void try_families(const struct candidates *all, enum layout_machine machine, struct guess *guess, unsigned *best)
{
	const GPtrArray *objects = all->all[machine != LAYOUT_X86];
	g_auto(GStrv) names = objects->len ? layout_families(LATEST, 0, machine) : NULL;

	for (char **name = names; name && *name; name++) {
		struct layout *layout = layout_family_named(*name);
		unsigned score = 0, n = 0;
		for (guint i = 0; layout && i < objects->len; i++) {
			unsigned good = fits(all, g_ptr_array_index(objects, i), layout);
			score += good;
			n += good > 0;
		}
		if (score <= *best) {
			layout_destroy(layout);
			continue;
		}
		layout_destroy(guess->layout);
		*guess = (struct guess){ layout, paging_of(all, layout, machine), n };
		*best = score;
	}
}

bool guess_layout(struct image *image, struct guess *guess)
{
	static const enum layout_machine machines[] = { LAYOUT_X64, LAYOUT_ARM64, LAYOUT_X86 };
	struct candidates all = { { g_ptr_array_new_with_free_func(g_free), g_ptr_array_new_with_free_func(g_free) },
				  g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL) };
	unsigned best = 0;

	*guess = (struct guess){ NULL, PAGING_NONE, 0 };
	find_candidates(image, &all);
	for (size_t i = 0; i < G_N_ELEMENTS(machines); i++)
		try_families(&all, machines[i], guess, &best);
	g_ptr_array_unref(all.all[0]);
	g_ptr_array_unref(all.all[1]);
	g_hash_table_destroy(all.addresses);
	struct layout *l = guess->layout;
	if (!l)
		return false;
	layout_visit_fields(l, mark, NULL);
	l->source = LAYOUT_DERIVED;
	l->confidence = CONFIDENCE;
	l->base = g_strdup(l->origin);
	g_free(l->origin);
	l->origin = g_strdup_printf("family %s, by its %u process objects alone", l->base, guess->processes);
	g_clear_pointer(&l->version, g_free);
	return true;
}
