/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"
#include <stddef.h>
#include <string.h>

#define SYMBOL(s)
#define FIELD(f) #f,
#define STRUCT(s, nt, ...) static const char *const s##_members[] = { __VA_ARGS__ };
#include "layout.def"
#undef FIELD
#undef STRUCT

struct type {
	const char *name;
	const char *const *members;
	size_t count;
	size_t size, fields;	/* where its size_ and its first field lie in struct layout */
};

/* The fields follow size_; struct field is aligned no stricter than it. */
#define STRUCT(s, nt, ...) \
	{ nt, s##_members, G_N_ELEMENTS(s##_members), offsetof(struct layout, s.size_), \
	  offsetof(struct layout, s.size_) + sizeof(uint32_t) },
static const struct type types[] = {
#include "layout.def"
};
#undef STRUCT
#undef SYMBOL

#define STRUCT(s, nt, ...) \
	G_STATIC_ASSERT(sizeof(((struct layout *)0)->s) == \
			(sizeof(uint32_t) + sizeof(struct field) * G_N_ELEMENTS(s##_members) + 3) / 4 * 4);
#define SYMBOL(s)
#include "layout.def"
#undef STRUCT
#undef SYMBOL
G_STATIC_ASSERT(_Alignof(struct field) <= _Alignof(uint32_t));

#define STRUCT(s, nt, ...)
#define SYMBOL(s) { #s, offsetof(struct layout, symbol.s) },
static const struct symbol {
	const char *name;
	size_t place;
} symbols[] = {
#include "layout.def"
};
#undef STRUCT
#undef SYMBOL

/* Name -> struct type or struct symbol. Windows types begin with '_' and no symbol
 * of ours does, but the two are kept apart all the same. */
static GHashTable *type_names, *symbol_names;

static void names_init(void)
{
	static gsize done;

	if (!g_once_init_enter(&done))
		return;
	type_names = g_hash_table_new(g_str_hash, g_str_equal);
	symbol_names = g_hash_table_new(g_str_hash, g_str_equal);
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
		g_hash_table_insert(type_names, (gpointer)types[i].name, (gpointer)&types[i]);
	for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++)
		g_hash_table_insert(symbol_names, (gpointer)symbols[i].name, (gpointer)&symbols[i]);
	g_once_init_leave(&done, 1);
}

static const struct type *find_type(const char *name)
{
	names_init();
	return g_hash_table_lookup(type_names, name);
}

static void *at(struct layout *layout, size_t place)
{
	return (char *)layout + place;
}

struct layout *layout_create(void)
{
	return g_new0(struct layout, 1);
}

struct layout *layout_copy(const struct layout *layout)
{
	struct layout *copy = g_memdup2(layout, sizeof(*layout));

	copy->origin = g_strdup(layout->origin);
	copy->guid_age = g_strdup(layout->guid_age);
	copy->version = g_strdup(layout->version);
	copy->base = g_strdup(layout->base);
	return copy;
}

void layout_destroy(struct layout *layout)
{
	if (!layout)
		return;
	g_free(layout->origin);
	g_free(layout->guid_age);
	g_free(layout->version);
	g_free(layout->base);
	g_free(layout);
}

bool layout_set_field(struct layout *layout, const char *type, const char *member, struct field field)
{
	const struct type *t = find_type(type);

	for (size_t i = 0; t && i < t->count; i++) {
		if (strcmp(t->members[i], member))
			continue;
		((struct field *)at(layout, t->fields))[i] = field;
		return true;
	}
	return false;
}

bool layout_set_size(struct layout *layout, const char *type, uint32_t size)
{
	const struct type *t = find_type(type);

	if (!t)
		return false;
	*(uint32_t *)at(layout, t->size) = size;
	return true;
}

bool layout_set_symbol(struct layout *layout, const char *name, uint64_t rva)
{
	const struct symbol *s;

	names_init();
	s = g_hash_table_lookup(symbol_names, name);
	if (!s)
		return false;
	*(uint64_t *)at(layout, s->place) = rva;
	return true;
}

void layout_visit_fields(struct layout *layout, layout_visit_fn visit, void *user)
{
	for (size_t t = 0; t < G_N_ELEMENTS(types); t++) {
		struct field *fields = at(layout, types[t].fields);

		for (size_t i = 0; i < types[t].count; i++)
			visit(user, types[t].name, types[t].members[i], &fields[i]);
	}
}

void layout_visit_sizes(struct layout *layout, layout_visit_size_fn visit, void *user)
{
	for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
		visit(user, types[t].name, at(layout, types[t].size));
}

void layout_visit_symbols(struct layout *layout, layout_visit_symbol_fn visit, void *user)
{
	for (size_t i = 0; i < G_N_ELEMENTS(symbols); i++)
		visit(user, symbols[i].name, at(layout, symbols[i].place));
}

/* Where members lie one after the other, those that have no name lie before the one that has. */
static void fill_before(struct layout *layout, struct field known, struct field *const *members, unsigned n)
{
	unsigned width = layout->pointer_size;

	for (unsigned i = 0; known.size && i < n; i++)
		if (!members[i]->size && known.offset >= (n - i) * width)
			*members[i] = (struct field){ .offset = known.offset - (n - i) * width, .size = (uint16_t)width, .derived = known.derived };
}

enum { X64_PRCB = 0x180 };

void layout_finish(struct layout *layout)
{
	struct field *root = &layout->kprocess.DirectoryTableBase;
	struct field *const routines[] = { &layout->kapc.KernelRoutine, &layout->kapc.RundownRoutine, &layout->kapc.NormalRoutine };

	if (root->size == 2 * layout->pointer_size)
		root->size = (uint16_t)layout->pointer_size;
	fill_before(layout, layout->kapc.NormalContext, routines, G_N_ELEMENTS(routines));
	/* x64 kernels find the current thread at gs:[188h], which is KPRCB.CurrentThread: the block is at 0x180. */
	if (layout->pointer_size == 8 && layout->kpcr.IdtBase.size && layout->kpcr.CurrentPrcb.size && !layout->kpcr.Prcb.size)
		layout->kpcr.Prcb = (struct field){ .offset = X64_PRCB, .size = UINT16_MAX, .derived = layout->kpcr.IdtBase.derived };
}

struct confidence { const char *const *fields; unsigned least; };

static void weigh(void *user, const char *type, const char *member, struct field *field)
{
	struct confidence *c = user;
	size_t n = strlen(type);

	if (!field->size || !field->derived || (c->least && c->least <= field->derived))
		return;
	for (const char *const *f = c->fields; *f; f++)
		if (!strncmp(*f, type, n) && (*f)[n] == '.' && !strcmp(*f + n + 1, member))
			c->least = field->derived;
}

unsigned layout_confidence(struct layout *layout, const char *const *fields)
{
	struct confidence c = { fields, 0 };

	layout_visit_fields(layout, weigh, &c);
	return c.least;
}
