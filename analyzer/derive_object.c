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

/* What belongs together: the header, the optional ones, types and directories. */
#define TAKE(s) memcpy(&d->layout->s, &donor->s, sizeof(donor->s))

void derive_objects(struct derive *d)
{
	if (!d->e->processes->len)
		return;
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
