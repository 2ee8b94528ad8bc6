/* SPDX-License-Identifier: Apache-2.0 */
/* The resource tree: type, name, language; three levels, whatever the image claims. */
#include "pe_private.h"

enum {
	DIRECTORY_SIZE = 16, ENTRY_SIZE = 8, DATA_ENTRY_SIZE = 16,
	LEVELS = 3,
	ENTRIES_MAX = 65536,		/* of all directories, visited more than once or not */
	IS_NAME = 1u << 31,		/* of an entry's first word: an offset of text, else a number */
	IS_DIRECTORY = 1u << 31,	/* of its second word */
};

struct resource_walk {
	struct pe *pe;
	uint32_t root;
	uint32_t visited;
	GHashTable *directories;	/* offsets of those walked: each is entered once */
	GArray *found;
	const uint32_t *only_type;	/* stop at the first of this type */
	enum fault first;
};

const char *pe_resource_type_name(uint32_t type)
{
	static const char *const names[] = {
		[1] = "RT_CURSOR", [2] = "RT_BITMAP", [3] = "RT_ICON", [4] = "RT_MENU", [5] = "RT_DIALOG",
		[6] = "RT_STRING", [7] = "RT_FONTDIR", [8] = "RT_FONT", [9] = "RT_ACCELERATOR", [10] = "RT_RCDATA",
		[11] = "RT_MESSAGETABLE", [12] = "RT_GROUP_CURSOR", [14] = "RT_GROUP_ICON", [16] = "RT_VERSION",
		[17] = "RT_DLGINCLUDE", [19] = "RT_PLUGPLAY", [20] = "RT_VXD", [21] = "RT_ANICURSOR",
		[22] = "RT_ANIICON", [23] = "RT_HTML", [24] = "RT_MANIFEST",
	};
	return type < G_N_ELEMENTS(names) ? names[type] : NULL;
}

/* A name: its length in characters, then UTF-16. */
static enum fault read_name(struct resource_walk *w, uint32_t offset, const char **name)
{
	uint8_t buffer[PE_MAX_NAME];
	struct bytes b = { buffer, 2, false };
	enum fault fault;
	uint32_t at, length;

	if (!pe_element(w->root, offset, 1, &at))
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(w->pe, at, buffer, 2);
	if (fault != FAULT_NONE)
		return fault;
	length = 2u * bytes_u16(&b);
	if (!pe_element(at, 2, 1, &at))
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(w->pe, at, buffer, MIN(length, sizeof buffer));
	if (fault != FAULT_NONE)
		return fault;
	*name = pe_keep_utf16(w->pe, buffer, MIN(length, sizeof buffer));
	return *name && length <= sizeof buffer ? FAULT_NONE : FAULT_LIMIT;
}

static enum fault read_data(struct resource_walk *w, uint32_t offset, struct pe_resource *resource)
{
	uint8_t buffer[DATA_ENTRY_SIZE];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault;
	uint32_t at;

	if (!pe_element(w->root, offset, 1, &at))
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(w->pe, at, buffer, sizeof buffer);
	if (fault != FAULT_NONE)
		return fault;
	resource->rva = bytes_u32(&b);
	resource->size = bytes_u32(&b);
	resource->code_page = bytes_u32(&b);
	return FAULT_NONE;
}

/* An open directory of the walk; the entry to be read next, and what stands above it. */
struct level { uint32_t offset, next, count; struct pe_resource above; };

static enum fault open_directory(struct resource_walk *w, uint32_t offset, const struct pe_resource *above,
				 struct level *level)
{
	uint8_t buffer[DIRECTORY_SIZE];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault;
	uint32_t at;

	if (!g_hash_table_add(w->directories, GUINT_TO_POINTER(offset)) || !pe_element(w->root, offset, 1, &at))
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(w->pe, at, buffer, sizeof buffer);
	if (fault != FAULT_NONE)
		return fault;
	bytes_take(&b, 12);
	*level = (struct level){ .offset = offset, .above = *above };
	level->count = bytes_u16(&b);
	level->count += bytes_u16(&b);
	return FAULT_NONE;
}

/* Read the level's next entry into *resource (what names it) and *target (where it leads). */
static enum fault next_entry(struct resource_walk *w, unsigned depth, struct level *level,
			     struct pe_resource *resource, uint32_t *target)
{
	uint8_t buffer[ENTRY_SIZE];
	struct bytes b = { buffer, sizeof buffer, false };
	enum fault fault;
	uint32_t at, name;

	*resource = level->above;
	if (!pe_element(w->root, (uint64_t)level->offset + DIRECTORY_SIZE + (uint64_t)level->next++ * ENTRY_SIZE, 1, &at))
		return FAULT_IMPLAUSIBLE;
	fault = pe_read(w->pe, at, buffer, sizeof buffer);
	if (fault != FAULT_NONE)
		return fault;
	name = bytes_u32(&b);
	*target = bytes_u32(&b);
	if (depth == 2)
		resource->language = name;
	else if (!(name & IS_NAME))
		*(depth ? &resource->id : &resource->type) = name;
	else if (!w->only_type)		/* a name that can't be read doesn't cost its data */
		pe_note(&w->first, read_name(w, name & ~IS_NAME, depth ? &resource->name : &resource->type_name));
	else if (!depth)
		resource->type_name = "";
	return FAULT_NONE;
}

static enum fault walk(struct resource_walk *w)
{
	struct level levels[LEVELS];
	struct pe_resource none = { 0 };
	unsigned depth = 0;
	enum fault fault = open_directory(w, 0, &none, &levels[0]);

	if (fault != FAULT_NONE)
		return fault;
	for (;;) {
		struct pe_resource resource;
		uint32_t target;

		if (levels[depth].next == levels[depth].count) {
			if (!depth--)
				return FAULT_NONE;
			continue;
		}
		if (w->visited++ == ENTRIES_MAX)
			return FAULT_LIMIT;
		fault = next_entry(w, depth, &levels[depth], &resource, &target);
		if (fault != FAULT_NONE) {
			/* The entries after it lie further off the same way. */
			pe_note(&w->first, fault);
			levels[depth].next = levels[depth].count;
			continue;
		}
		if (w->only_type && !depth && (resource.type_name || resource.type != *w->only_type))
			continue;
		if (!(target & IS_DIRECTORY)) {
			fault = read_data(w, target, &resource);
			if (fault == FAULT_NONE) {
				g_array_append_val(w->found, resource);
				if (w->only_type)
					return FAULT_NONE;
			}
		} else if (depth + 1 < LEVELS) {
			fault = open_directory(w, target & ~IS_DIRECTORY, &resource, &levels[depth + 1]);
			if (fault == FAULT_NONE)
				depth++;
		} else {
			fault = FAULT_IMPLAUSIBLE;
		}
		pe_note(&w->first, fault);
	}
}

static enum fault walk_resources(struct pe *pe, const uint32_t *only_type, GArray *found)
{
	struct resource_walk w = {
		.pe = pe, .root = pe->directories[PE_DIRECTORY_RESOURCE].rva, .found = found, .only_type = only_type,
	};

	if (!w.root)
		return FAULT_NONE;
	w.directories = g_hash_table_new(NULL, NULL);
	pe_note(&w.first, walk(&w));
	g_hash_table_unref(w.directories);
	return w.first;
}

static enum fault parse_resources(struct pe *pe, const void **value)
{
	GArray *resources = pe_new_array(pe, sizeof(struct pe_resource));

	*value = resources;
	return walk_resources(pe, NULL, resources);
}

const GArray *pe_resources(struct pe *pe, enum fault *fault)
{
	return pe_part(pe, PE_PART_RESOURCES, parse_resources, fault);
}

bool pe_first_resource(struct pe *pe, uint32_t type, struct pe_resource *resource, enum fault *fault)
{
	g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof *resource);

	*fault = walk_resources(pe, &type, found);
	if (!found->len)
		return false;
	*resource = g_array_index(found, struct pe_resource, 0);
	*fault = FAULT_NONE;	/* trouble elsewhere in the tree is not this resource's */
	return true;
}
