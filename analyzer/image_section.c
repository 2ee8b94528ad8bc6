/* SPDX-License-Identifier: Apache-2.0 */
#include "image_section.h"
#include <string.h>
#include "object.h"
#include "paging.h"

enum {
	SECTOR = 512,
	PLACES = PE_MAX_SECTIONS + 1,	/* the first subsection is the headers' */
};

/* What the prototype PTE of a section's first page allows. */
static uint32_t characteristics_of(const struct view *view, uint32_t index)
{
	enum paging paging = view->space->paging;
	unsigned width = paging_entry_size(paging), mm;
	uint64_t pte = 0;

	if (space_read(view->space, (va_t){ view->vad->first_prototype_pte.v + (uint64_t)index * width }, &pte, width, NULL))
		return PE_SECTION_READ;
	if (pte & 1) {		/* valid: what the processor reads */
		struct paging_rights rights = paging_leaf_rights(paging, pte);
		return PE_SECTION_READ | (rights.executable ? PE_SECTION_EXECUTE | PE_SECTION_CODE : 0) |
		       (rights.writable || rights.copy_on_write ? PE_SECTION_WRITE : 0);
	}
	if (!paging_protection(paging, pte, &mm))
		return PE_SECTION_READ;
	/* MM_EXECUTE is 2, what is writable has 4 (MM_READWRITE, MM_WRITECOPY and the same with MM_EXECUTE). */
	return PE_SECTION_READ | (mm & 2 ? PE_SECTION_EXECUTE | PE_SECTION_CODE : 0) | (mm & 4 ? PE_SECTION_WRITE : 0);
}

/* The _SUBSECTIONs follow each other: the headers', then one for each section. */
static void read_subsections(const struct view *view, struct image_section *out)
{
	struct space *kernel = view->space;
	const struct vad *vad = view->vad;
	unsigned width = paging_entry_size(kernel->paging);
	uint64_t at = vad->control_area.v + kernel->layout->control_area.size_;
	struct pe_section *last = NULL;

	for (unsigned i = 0; i < PLACES && at && space_is_kernel(kernel, (va_t){ at }); i++) {
		struct object subsection = object_at(kernel, at);
		uint64_t area, base, next = 0;
		uint32_t pages, sector = 0;
		if (READ(subsection, subsection.ControlArea, &area) || area != vad->control_area.v || READ(subsection, subsection.SubsectionBase, &base) ||
		    READ(subsection, subsection.PtesInSubsection, &pages))
			break;
		(void)!READ(subsection, subsection.StartingSector, &sector);
		uint64_t index = (base - vad->first_prototype_pte.v) / width;
		if (base < vad->first_prototype_pte.v || index >= view_pages(view) || pages > view_pages(view) - index ||
		    index + pages > UINT32_MAX / PAGE_SIZE)	/* no image is larger */
			break;
		/* Up to the next one's bytes of the file, as far as the pages go. */
		if (last && sector * (uint64_t)SECTOR > last->raw_offset)
			last->raw_size = (uint32_t)MIN(last->virtual_size, sector * (uint64_t)SECTOR - last->raw_offset);
		struct pe_section section = {
			.number = out->sections->len, .virtual_address = (uint32_t)index * PAGE_SIZE, .virtual_size = pages * PAGE_SIZE,
			.raw_offset = sector < UINT32_MAX / SECTOR ? sector * SECTOR : 0, .characteristics = characteristics_of(view, (uint32_t)index),
		};
		if (i && pages && index) {
			section.raw_size = section.raw_offset ? section.virtual_size : 0;
			g_array_append_val(out->sections, section);
			last = &g_array_index(out->sections, struct pe_section, out->sections->len - 1);
		}
		if (READ(subsection, subsection.NextSubsection, &next) || next <= at)
			break;
		at = next;
	}
}

/* _SEGMENT.u2 leads to _SECTION_IMAGE_INFORMATION, which begins _MI_SECTION_IMAGE_INFORMATION. */
static void read_information(const struct view *view, struct image_section *out)
{
	struct object area = object_at(view->space, view->vad->control_area.v);
	uint64_t segment_at, at, transfer, based;
	uint16_t machine, characteristics;

	if (READ(area, control_area.Segment, &segment_at))
		return;
	struct object segment = object_at(view->space, segment_at);
	if (READ(segment, segment.u2, &at) || !space_is_kernel(view->space, (va_t){ at }))
		return;
	struct object information = object_at(view->space, at);
	if (READ(information, section_image_information.Machine, &machine) || READ(information, section_image_information.ImageCharacteristics, &characteristics) ||
	    (machine != PE_MACHINE_I386 && machine != PE_MACHINE_AMD64 && machine != PE_MACHINE_ARM64 && machine != PE_MACHINE_ARMNT) ||
	    !(characteristics & PE_FILE_EXECUTABLE_IMAGE))
		return;
	out->machine = machine;
	out->characteristics = characteristics;
	(void)!READ(information, section_image_information.CheckSum, &out->checksum);
	if (!READ(information, section_image_information.TransferAddress, &transfer) && !READ(segment, segment.BasedAddress, &based) &&
	    transfer > based && transfer - based < (uint64_t)view_pages(view) * PAGE_SIZE)
		out->entry_point = (uint32_t)(transfer - based);
}

bool image_section_read(const struct view *view, struct image_section *out)
{
	*out = (struct image_section){ .sections = g_array_new(FALSE, TRUE, sizeof(struct pe_section)) };
	if (!view->vad->control_area.v || !view->space->layout)
		return false;
	read_subsections(view, out);
	read_information(view, out);
	return out->machine || out->sections->len;
}

void image_section_clear(struct image_section *section)
{
	g_clear_pointer(&section->sections, g_array_unref);
}

bool image_section_apply(const struct image_section *section, struct pe *pe)
{
	bool used = false;

	if (!pe->has_file_header && section->machine) {
		pe->machine = section->machine;
		pe->is_64bit = section->machine == PE_MACHINE_AMD64 || section->machine == PE_MACHINE_ARM64;
		pe->characteristics = section->characteristics;
		used = true;
	}
	if (!pe->has_optional_header && section->machine) {
		pe->entry_point = section->entry_point;
		pe->checksum = section->checksum;
		used = true;
	}
	if (!pe_has_sections(pe) && section->sections->len) {
		g_array_set_size(pe->sections, 0);
		g_array_append_vals(pe->sections, section->sections->data, section->sections->len);
		used = true;
	}
	if (used && !pe->size_of_image)
		pe->size_of_image = pe->size_limit;
	pe->rebuilt |= used;
	return used;
}
