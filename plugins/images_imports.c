/* SPDX-License-Identifier: Apache-2.0 */
/* Import slots, and where they lead. */
#include <string.h>
#include "images.h"

#define BOUND_SLOTS 64u		/* looked at to tell whether an image is bound */

static const char *file_name(const char *path)
{
	const char *slash = path ? strrchr(path, '\\') : NULL;

	return slash ? slash + 1 : path;
}

const char *module_at(const struct context *c, uint64_t va)
{
	if (!c->process || space_is_kernel(c->space, (va_t){ va })) {
		const char *name = context_driver_at(c, (va_t){ va });
		return name && *name ? name : NULL;
	}
	const struct module *m = process_module_at(c->process, (va_t){ va });
	return !m ? NULL : m->name && *m->name ? m->name : file_name(m->mapped_path);
}

/* A slot of the image; its width follows from the image. */
static enum fault read_slot(struct pe *pe, uint32_t rva, uint64_t *value)
{
	*value = 0;
	return pe_read(pe, rva, value, pe_slot_size(pe));
}

/* Not an RVA of a name and no ordinal, and no delay-load thunk. */
bool slot_is_address(const struct subject *s, uint64_t value)
{
	uint64_t top = s->facts->is_64bit ? UINT64_C(1) << 63 : UINT64_C(1) << 31;

	if (value < 0x10000 || value < s->size || value - s->base < s->size)
		return false;
	return s->c->process ? !(value & top) || (!s->facts->is_64bit && (value & ~top) > UINT16_MAX) :
	       s->facts->is_64bit ? (value >> 47) == 0x1ffff : space_is_kernel(s->c->space, (va_t){ value });
}

int imports_bound(struct subject *s)
{
	const GArray *slots = s->content ? s->content->fixups->slots : NULL;
	unsigned looked = 0;
	uint64_t value;

	if (slots) {
		unsigned width = pe_slot_size(s->facts);
		for (guint i = 0; i < slots->len; i++) {
			const struct image_span *span = &g_array_index(slots, struct image_span, i);
			for (uint32_t at = 0; at + width <= span->length && looked < BOUND_SLOTS; at += width)
				if (!read_slot(s->pe, span->rva + at, &value)) {
					looked++;
					if (slot_is_address(s, value))
						return 1;
				}
		}
		return looked ? 0 : -1;
	}
	const GArray *imports = pe_imports(s->facts, NULL);
	for (guint i = 0; imports && i < imports->len && looked < BOUND_SLOTS; i++)
		if (!read_slot(s->pe, g_array_index(imports, struct pe_import, i).iat_rva, &value)) {
			looked++;
			if (slot_is_address(s, value))
				return 1;
		}
	return looked ? 0 : -1;
}

static void put_import(struct subject *s, const struct pe_import *import, enum fault fault, uint64_t value, const char *module)
{
	struct row *row = row_new(s->c, &table_image_imports);

	row_ref(row, M_IMAGE, s->ordinal);
	row_text(row, M_DLL, import->dll);
	row_text(row, M_NAME, import->name);
	if (import->kind == PE_IMPORT_BY_ORDINAL)
		row_int(row, M_ORDINAL, import->ordinal);
	row_int(row, M_DELAY, import->delay);
	row_address(row, M_IAT, s->base + import->iat_rva);
	if (fault) {
		row_fault(row, M_TARGET, fault, (va_t){ s->base + import->iat_rva }, "an import slot");
		return;
	}
	if (!slot_is_address(s, value) && value - s->base >= s->size)
		return;		/* not bound */
	row_address(row, M_TARGET, value);
	row_text(row, M_TARGET_MODULE, module);
}

/* The first mapping's view of the image, to compare slots with. */
struct first_view {
	struct space *space;	/* NULL: there is none */
	uint64_t base;
};

static void put_each(struct subject *s, const struct first_view *first)
{
	enum fault fault;
	const GArray *imports = pe_imports(s->facts, &fault);
	unsigned width = pe_slot_size(s->facts);

	if (!imports || !affordable(s, imports->len))
		return;
	for (guint i = 0; i < imports->len && !context_cancelled(s->c); i++) {
		const struct pe_import *import = &g_array_index(imports, struct pe_import, i);
		uint64_t value = 0, theirs = 0;
		enum fault unread = read_slot(s->pe, import->iat_rva, &value);
		const char *module = unread ? NULL : module_at(s->c, value);
		if (first) {
			if (unread || module ? unread || import->delay : !slot_is_address(s, value))
				continue;
			bool known = first->space && !space_read(first->space, (va_t){ first->base + import->iat_rva }, &theirs, width, NULL);
			if (known ? theirs == value : module != NULL)
				continue;
		}
		put_import(s, import, unread, value, module);
	}
	if (!first && fault)
		context_note(s->c, fault, (va_t){ s->base }, "image_imports", "not all imports of the image can be read");
}

/* Do both processes have the same in all slots? */
static bool same_slots(struct subject *s, const struct first_view *first)
{
	const GArray *slots = s->content->fixups->slots;

	for (guint i = 0; i < slots->len; i++) {
		const struct image_span *span = &g_array_index(slots, struct image_span, i);
		uint8_t ours[512], theirs[512];
		for (uint32_t at = 0; at < span->length; at += sizeof(ours)) {
			uint32_t n = MIN(span->length - at, (uint32_t)sizeof(ours));
			if (pe_read(s->pe, span->rva + at, ours, n))
				continue;
			if (!first->space || space_read(first->space, (va_t){ first->base + span->rva + at }, theirs, n, NULL) ||
			    memcmp(ours, theirs, n))
				return false;
		}
	}
	return true;
}

void put_imports(struct subject *s)
{
	if (s->first) {
		put_each(s, NULL);
		return;
	}
	const struct mapping *m = &g_array_index(s->content->mappings, struct mapping, 0);
	const struct vad *vad = &g_array_index(m->process->vads.vads, struct vad, m->vad);
	AUTO(space) space = process_space(m->process, s->c->kernel, s->c->space);
	struct first_view first = { space, vad->start.v };
	if (!same_slots(s, &first))
		put_each(s, &first);
}
