/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structures that are one of a few forms: which form a dump has, its process objects and VADs tell. A form that no
 * prior has is taken from the nearest family that has it.
 */
#include <string.h>
#include "derive.h"
#include "paging.h"

#define PROCESS_NAME "P\0r\0o\0c\0e\0s\0s\0"

struct layout *derive_donor(struct derive *d, bool (*fits)(struct derive *d, const struct layout *layout))
{
	g_auto(GStrv) names = layout_families(d->e->build, d->e->revision, paging_machine(d->e->kernel->paging));

	for (char **name = names; *name; name++) {
		struct layout *layout = layout_family_named(*name);

		if (layout && layout->pointer_size == d->layout->pointer_size && fits(d, layout)) {
			g_debug("form taken from %s", *name);
			return layout;
		}
		layout_destroy(layout);
	}
	return NULL;
}

/* Until Windows Vista the header names its type: an object whose name is "Process". */
static bool is_process_type(struct derive *d, const struct layout *l, uint64_t type)
{
	struct { uint16_t length, room; uint32_t pad; uint64_t buffer; } name;
	char text[14];

	return evidence_kernel_pointer(type) && !(type & 7) && l->object_type.Name.size &&
	       !space_read(d->e->space, (va_t){ type + l->object_type.Name.offset }, &name, sizeof(name), NULL) && name.length == sizeof(text) &&
	       !space_read(d->e->space, (va_t){ name.buffer }, text, sizeof(text), NULL) && !memcmp(text, PROCESS_NAME, sizeof(text));
}

/* Do the headers of process objects make sense? Since Windows 7 a byte is the type's index, the same for all; since
 * Windows 10 it is mixed with a byte of the address. */
static bool header_fits(struct derive *d, const struct layout *l)
{
	unsigned good = 0, bad = 0;
	int index = -1;

	if (!l->object_header.Body.size || l->object_header.Body.offset > 0x60)
		return false;
	for (guint i = 0; i < d->e->processes->len && i < 32; i++) {
		uint64_t header = instance_at(d->e->processes, i)->va - l->object_header.Body.offset, type;
		uint8_t bytes[0x60];
		bool ok;

		if (space_read(d->e->space, (va_t){ header }, bytes, l->object_header.Body.offset, NULL))
			continue;
		if (l->object_header.Type.size) {
			memcpy(&type, bytes + MIN(l->object_header.Type.offset, 0x58), 8);
			ok = is_process_type(d, l, type);
		} else if (l->object_header.TypeIndex.size == 1 && l->object_header.InfoMask.size == 1) {
			uint8_t mixed = bytes[MIN(l->object_header.TypeIndex.offset, 0x5f)];

			mixed ^= d->e->build >= 10000 ? (uint8_t)(header >> 8) : 0;
			if (index < 0)
				index = mixed;
			ok = mixed == index && !(bytes[MIN(l->object_header.InfoMask.offset, 0x5f)] & 0x80) &&
			     (d->e->build >= 10000 || (mixed > 1 && mixed < 0x40));
		} else {
			return false;
		}
		*(ok ? &good : &bad) += 1;
	}
	return good && good > 4 * bad;
}

/* The header where its first byte is so far before the body, and where the mask of the optional ones before it is within. */
struct header_form { unsigned body, mask; };

#define HEADER_LEAST 0x20u	/* of every Windows it has 0x18 (32-bit) or 0x30 bytes */
#define HEADER_MOST 0x80u
#define MASK_BITS 7u
#define MASK_PADDING 0x80u	/* the block begins anywhere below */

static uint32_t optional_headers(const struct layout *l, uint8_t mask)
{
	const uint32_t size[MASK_BITS] = {
		l->object_header_creator_info.size_, l->object_header_name_info.size_, l->object_header_handle_info.size_,
		l->object_header_quota_info.size_, l->object_header_process_info.size_, l->object_header_audit_info.size_,
		l->object_header_extended_info.size_,
	};
	uint32_t sum = 0;

	for (unsigned i = 0; i < MASK_BITS; i++)
		sum += mask >> i & 1 ? size[i] : 0;
	return sum;
}

/*
 * Of how many processes the pool block, of which the tag tells, begins where by this form it does? All are of one type
 * (two bytes before the mask; since Windows 10 mixed with a byte of the header's address).
 */
static unsigned count_blocks(struct derive *d, struct header_form form)
{
	const struct layout *l = d->layout;
	unsigned good = 0, bad = 0;
	int type = -1;

	for (guint i = 0; i < d->e->processes->len && i < 32 && !derive_hopeless(good, bad); i++) {
		uint64_t header = instance_at(d->e->processes, i)->va - form.body;
		uint8_t bytes[3], mask, tag[4];

		if (space_read(d->e->space, (va_t){ header + form.mask - 2 }, bytes, sizeof(bytes), NULL))
			continue;
		mask = bytes[2];
		bytes[0] ^= d->e->build >= 10000 ? (uint8_t)(header >> 8) : 0;
		if (type < 0)
			type = bytes[0];
		header -= optional_headers(l, mask) + l->pool_header.size_;
		/* The last letter's upper bit: protected, until Windows 7. */
		bool ok = bytes[0] == type && !(mask & MASK_PADDING) && !space_read(d->e->space, (va_t){ header + l->pool_header.PoolTag.offset }, tag, 4, NULL) &&
			  !memcmp(tag, "Pro", 3) && (tag[3] & 0x7f) == 'c';
		*(ok ? &good : &bad) += 1;
	}
	return good > 1 && good > bad ? good : 0;
}

/* All headers alike, of another length than any family has. */
static bool find_form(struct derive *d, struct header_form *out)
{
	for (out->body = HEADER_LEAST; out->body <= HEADER_MOST; out->body += 8)
		for (out->mask = 0x10; out->mask < out->body; out->mask++)
			if (count_blocks(d, *out))
				return true;
	return false;
}

static bool is_padded(struct derive *d, struct header_form form)
{
	uint8_t mask = 0;

	return space_read(d->e->space, (va_t){ instance_at(d->e->processes, 0)->va - form.body + form.mask }, &mask, 1, NULL) || (mask & MASK_PADDING);
}

/* Is a family's form contradicted by where the blocks begin? Where no form has them (the tags were wiped) nothing is. */
static bool blocks_contradict(struct derive *d, const struct layout *l, struct header_form *other)
{
	const struct header_form own = { l->object_header.Body.offset, l->object_header.InfoMask.offset };

	if (!l->object_header.InfoMask.size || !l->pool_header.size_ || count_blocks(d, own) || is_padded(d, own) || !find_form(d, other))
		return false;
	return other->body != own.body || other->mask != own.mask;
}

/*
 * The header's members by that form. TypeIndex, a byte of flags, InfoMask and Flags stand together, the counts before them and
 * two pointers behind them since Windows 7.
 */
static void take_form(struct derive *d, struct header_form form)
{
	struct layout *l = d->layout;
	int by = (int)form.mask - l->object_header.InfoMask.offset, end = (int)form.body - l->object_header.Body.offset;

	l->object_header.TypeIndex.offset = (uint16_t)(l->object_header.TypeIndex.offset + by);
	l->object_header.Flags.offset = (uint16_t)(l->object_header.Flags.offset + by);
	l->object_header.InfoMask.offset = (uint16_t)form.mask;
	l->object_header.Body.offset = (uint16_t)form.body;
	l->object_header.TypeIndex.derived = l->object_header.Flags.derived = l->object_header.InfoMask.derived = l->object_header.Body.derived = 80;
	l->object_header.size_ = (uint32_t)((int)l->object_header.size_ + end);
	/* What else is in it isn't seen. */
	l->object_header.ObjectCreateInfo = l->object_header.SecurityDescriptor = (struct field){ 0 };
	l->object_header.PointerCount = l->object_header.HandleCount = (struct field){ 0 };
	d->moved += 4;
	d->lost += 4;
}

/* Types ----------------------------------------------------------------------- */

#define FIRST_TYPE 2u		/* of ObTypeIndexTable's slots: 0 and 1 are for none and for objects that are gone */
#define TYPES_SEEN 6u		/* so many are enough to know the table by */
#define TYPE_MOST 0x80u
#define TABLES_MAX 65536u	/* rows of pointers that are looked at; kernels have some hundreds */

/* Letters alone: "Type", "Directory", "SymbolicLink" … */
static bool is_type_name(struct derive *d, uint64_t va)
{
	struct { uint16_t length, room; uint32_t pad; uint64_t buffer; } string;
	uint16_t text[32];

	if (space_read(d->e->space, (va_t){ va }, &string, sizeof(string), NULL) || string.length < 6 || string.length > sizeof(text) ||
	    (string.length & 1) || string.room < string.length || !evidence_kernel_pointer(string.buffer) ||
	    space_read(d->e->space, (va_t){ string.buffer }, text, string.length, NULL))
		return false;
	for (unsigned i = 0; i < string.length / 2u; i++)
		if (text[i] > 0x7e || !g_ascii_isalpha((char)text[i]))
			return false;
	return true;
}

static uint64_t type_at(struct derive *d, uint32_t table, unsigned slot)
{
	uint64_t type = evidence_image(d->e, table + 8 * slot, 8);

	return evidence_kernel_pointer(type) && !(type & 15) ? type : 0;
}

static bool are_names(struct derive *d, uint32_t table, unsigned at)
{
	for (unsigned i = FIRST_TYPE; i < FIRST_TYPE + TYPES_SEEN; i++)
		if (!type_at(d, table, i) || !is_type_name(d, type_at(d, table, i) + at))
			return false;
	return true;
}

/* A type knows its slot. */
static bool are_indices(struct derive *d, uint32_t table, unsigned at)
{
	uint8_t index;

	for (unsigned i = FIRST_TYPE; i < FIRST_TYPE + TYPES_SEEN; i++)
		if (space_read(d->e->space, (va_t){ type_at(d, table, i) + at }, &index, 1, NULL) || index != i)
			return false;
	return true;
}

/* ObTypeIndexTable with types whose names and numbers are so far from their start, at `*name` and `*index` where `known`. */
static bool find_types(struct derive *d, bool known, unsigned *name, unsigned *index)
{
	unsigned tables = 0;

	for (guint r = 0; r < d->e->data->len; r++) {
		const struct range *range = &g_array_index(d->e->data, struct range, r);

		for (uint32_t table = (uint32_t)range->start; table + 8 * (FIRST_TYPE + TYPES_SEEN) <= range->start + range->length; table += 8) {
			bool all = true;
			for (unsigned i = FIRST_TYPE + TYPES_SEEN; all && i-- > FIRST_TYPE; )
				all = type_at(d, table, i) != 0;
			if (all && ++tables > TABLES_MAX)
				return false;
			if (all && known && are_names(d, table, *name) && are_indices(d, table, *index))
				return true;
			for (unsigned n = 0; all && !known && n < TYPE_MOST; n += 8) {
				if (!are_names(d, table, n))
					continue;
				for (unsigned k = n + 16; k < TYPE_MOST + 16; k++)
					if (are_indices(d, table, k)) {
						*name = n;
						*index = k;
						return true;
					}
			}
		}
	}
	return false;
}

static void derive_types(struct derive *d)
{
	struct layout *l = d->layout;
	unsigned name = l->object_type.Name.offset, index = l->object_type.Index.offset;

	/* Until Windows Vista there is no such table. */
	if (!l->object_type.Name.size || !l->object_type.Index.size || find_types(d, true, &name, &index) || !find_types(d, false, &name, &index))
		return;
	d->misfits += 4;
	if (d->checking)
		return;
	if (l->object_type.TotalNumberOfObjects.size) {
		l->object_type.TotalNumberOfObjects.offset = (uint16_t)(l->object_type.TotalNumberOfObjects.offset + index - l->object_type.Index.offset);
		l->object_type.TotalNumberOfObjects.derived = 50;
	}
	l->object_type.Name.offset = (uint16_t)name;
	l->object_type.Index.offset = (uint16_t)index;
	l->object_type.Name.derived = l->object_type.Index.derived = 90;
	/* What is behind moved nobody knows how far. */
	l->object_type.Key = l->object_type.CallbackList = (struct field){ 0 };
	d->moved += 2;
	d->lost += 2;
}

/* What belongs together: the header, the optional ones, types and directories. */
#define TAKE(s) memcpy(&d->layout->s, &donor->s, sizeof(donor->s))

static void derive_headers(struct derive *d)
{
	struct header_form form;

	if (blocks_contradict(d, d->layout, &form)) {
		d->misfits += 4;
		if (!d->checking)
			take_form(d, form);
		return;
	}
	if (header_fits(d, d->layout)) {
		if (!d->checking && d->foreign)
			d->layout->object_header.TypeIndex.derived = d->layout->object_header.InfoMask.derived = 90;
		return;
	}
	d->misfits += 4;
	if (d->checking)
		return;
	AUTO(layout) donor = derive_donor(d, header_fits);
	if (!donor)
		return;
	TAKE(object_header);
	TAKE(object_header_name_info);
	TAKE(object_header_creator_info);
	TAKE(object_header_handle_info);
	TAKE(object_header_quota_info);
	TAKE(object_header_process_info);
	TAKE(object_header_audit_info);
	TAKE(object_header_extended_info);
	TAKE(object_type);
	TAKE(object_directory);
	TAKE(object_directory_entry);
	TAKE(object_symbolic_link);
	/* Which lie behind what the header's form shows, and moved more often than it. */
	d->layout->object_type.CallbackList = d->layout->object_type.Key = (struct field){ 0 };
	d->moved++;
	d->lost += 2;
}

void derive_objects(struct derive *d)
{
	if (!d->e->processes->len)
		return;
	derive_headers(d);
	derive_types(d);
}
