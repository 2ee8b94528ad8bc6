/* SPDX-License-Identifier: Apache-2.0 */
#include "handles.h"
#include <string.h>
#include "limit.h"

#define MAX_LEVEL 2

enum fault handle_walk_init(struct handle_walk *w, struct space *space, va_t table)
{
	struct object t = object_at(space, table.v);
	uint64_t code = 0;
	uint32_t size = space->layout->handle_table_entry.size_;
	enum fault fault;

	memset(w, 0, sizeof(*w));
	w->space = space;
	if (size != 16 && size != 8)
		return FAULT_NO_FIELD;
	if ((fault = READ(t, handle_table.TableCode, &code)))
		return fault;
	w->level = code & 7;
	w->base = code & ~UINT64_C(7);
	if (w->level > MAX_LEVEL || !space_is_kernel(space, (va_t){ w->base }))
		return FAULT_IMPLAUSIBLE;
	if (w->level && (fault = space_read(space, (va_t){ w->base }, w->top, PAGE_SIZE, NULL)))
		return fault;
	w->seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return FAULT_NONE;
}

void handle_walk_deinit(struct handle_walk *w)
{
	if (w->seen)
		g_hash_table_destroy(w->seen);
	w->seen = NULL;
}

static void note_bad(struct handle_walk *w, uint64_t at, enum fault fault)
{
	if (!w->bad_pages++) {
		w->first_bad.v = at;
		w->fault = fault;
	}
}

static uint64_t pointer_in(const struct handle_walk *w, const uint8_t *page, uint64_t index)
{
	unsigned width = space_pointer_size(w->space);
	uint64_t value = 0;

	memcpy(&value, page + index * width, width);
	return value;
}

/* Pages of entries that a table of this many levels can have. */
static uint64_t page_count(const struct handle_walk *w)
{
	uint64_t per_page = PAGE_SIZE / space_pointer_size(w->space);

	return w->level == 0 ? 1 : w->level == 1 ? per_page : per_page * per_page;
}

/* The address of a page of entries, 0: there is none. Moves w->page on over what its upper level lacks. */
static uint64_t page_at(struct handle_walk *w)
{
	uint64_t per_page = PAGE_SIZE / space_pointer_size(w->space);

	if (w->level == 0)
		return w->base;
	if (w->level == 1)
		return pointer_in(w, w->top, w->page);
	uint64_t middle = pointer_in(w, w->top, w->page / per_page);
	if (middle && middle != w->middle_at) {
		enum fault fault = space_read(w->space, (va_t){ middle }, w->middle, PAGE_SIZE, NULL);
		if (fault)
			note_bad(w, middle, fault);
		w->middle_at = fault ? 0 : middle;
		if (fault)
			middle = 0;
	}
	if (!middle) {
		w->page |= per_page - 1;
		return 0;
	}
	return pointer_in(w, w->middle, w->page % per_page);
}

static bool load(struct handle_walk *w)
{
	uint64_t pages = page_count(w);

	for (; w->page < pages; w->page++) {
		uint64_t at = page_at(w);
		if (!at)
			continue;
		if (g_hash_table_contains(w->seen, &at)) {
			note_bad(w, at, FAULT_IMPLAUSIBLE);
			continue;
		}
		enum fault fault = space_read(w->space, (va_t){ at }, w->entries, PAGE_SIZE, NULL);
		if (fault) {
			note_bad(w, at, fault);
			continue;
		}
		uint64_t *key = g_new(uint64_t, 1);
		*key = at;
		g_hash_table_add(w->seen, key);
		w->loaded = true;
		w->entry = w->page == 0;	/* no handle is 0 */
		return true;
	}
	return false;
}

static uint64_t field_of(const uint8_t *entry, unsigned entry_size, struct field field)
{
	uint64_t value = 0;

	if (!field.size || field.size > 8 || field.offset + field.size > entry_size)
		return 0;
	memcpy(&value, entry + field.offset, field.size);
	if (field.bits && field.bits < 64)
		value = value >> field.bit & ((UINT64_C(1) << field.bits) - 1);
	return value;
}

/* The first entry of each page is the kernel's own: it may point to audit data and says -2 (EX_ADDITIONAL_INFO_SIGNATURE). */
static bool reserved(const uint8_t *entry, unsigned size)
{
	int32_t signature = 0;

	memcpy(&signature, entry + size / 2, sizeof(signature));
	return signature == -2;
}

/*
 * Up to Windows 7 the pointer stands there, with attributes in its three low bits.
 * Since then it is a bit field of a kernel address without its low bits (zeros: objects lie at multiples of 16, on 32 bits
 * of 8) and, on 64 bits, its upper ones (all ones): of 44 bits since Windows 8.1, of 41 in Windows 8, whose addresses are shorter.
 */
static bool decode(const struct handle_walk *w, const uint8_t *entry, struct handle_entry *out)
{
	const struct layout *l = w->space->layout;
	unsigned size = l->handle_table_entry.size_;

	if (l->handle_table_entry.ObjectPointerBits.size) {
		struct field field = l->handle_table_entry.ObjectPointerBits;
		uint64_t bits = field_of(entry, size, field);
		bool narrow = space_pointer_size(w->space) == 4;
		if (!bits || field.bits > (narrow ? 29 : 59))
			return false;
		out->object.v = narrow ? bits << 3 : bits << 4 | G_MAXUINT64 << (field.bits + 4);
		out->granted_access = (uint32_t)field_of(entry, size, l->handle_table_entry.GrantedAccessBits);
	} else {
		out->object.v = field_of(entry, size, l->handle_table_entry.Object) & ~UINT64_C(7);
		out->granted_access = (uint32_t)field_of(entry, size, l->handle_table_entry.GrantedAccess) & 0x1ffffff;
		if (!space_is_kernel(w->space, out->object))
			return false;	/* free entries hold the next free handle */
	}
	return true;
}

bool handle_walk_next(struct handle_walk *w, struct handle_entry *out)
{
	unsigned size = w->space->layout->handle_table_entry.size_, per_page = PAGE_SIZE / size;

	for (;;) {
		if (!w->loaded && !load(w))
			return false;
		while (w->entry < per_page) {
			unsigned i = w->entry++;
			if (w->visited++ >= limit(handle_entries)) {
				w->fault = FAULT_LIMIT;
				return false;
			}
			const uint8_t *entry = w->entries + i * size;
			if ((!i && reserved(entry, size)) || !decode(w, entry, out))
				continue;
			out->value = (w->page * per_page + i) * 4;
			return true;
		}
		w->loaded = false;
		w->page++;
	}
}
