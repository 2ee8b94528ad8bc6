/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual address descriptors of one process, as a sorted set.
 *
 * A fact many plugins build on, so it is core: the plugin `vads` writes it into
 * the table, page tables ask it for prototype PTEs, the scanners for regions.
 */
#ifndef MEMSIEVE_VAD_H
#define MEMSIEVE_VAD_H
#include "space.h"

/* _MI_VAD_TYPE; VadNone covers private and mapped memory alike. */
enum vad_type {
	VAD_NONE, VAD_DEVICE_PHYSICAL_MEMORY, VAD_IMAGE_MAP, VAD_AWE, VAD_WRITE_WATCH, VAD_LARGE_PAGES,
	VAD_ROTATE_PHYSICAL, VAD_LARGE_PAGE_SECTION,
};

struct vad {
	va_t node;
	char tag[5];			/* of the pool block: VadS, Vad, VadF … or empty */
	va_t start, end;		/* end: last byte */
	enum vad_type type;
	uint32_t protection;		/* PAGE_…, as the region was made */
	bool is_private, mem_commit, protection_known, commit_known;
	uint64_t commit_charge;
	va_t control_area, file_object, subsection;
	va_t first_prototype_pte, last_prototype_pte;
	bool is_image, file_delete_pending, has_file;
	char *file_path;		/* UTF-8 or NULL */
	/* page counts, see SCHEMA.md */
	uint64_t pages, pages_present, pages_paged_out, pages_executable, pages_writable, pages_writable_executable,
		 pages_private_image, pages_executable_private_image, pages_zero;
	bool counted, orphan;		/* orphan: no node leads to it any more */
	enum fault private_image_fault;	/* why pages_private_image may lack some */
	enum fault fault;		/* what kept a part of the node from being read */
	enum fault file_fault;
	va_t fault_at;
};

struct vad_set {
	GArray *vads;			/* struct vad, sorted by start */
};

/* The descriptor that va lies in, or NULL. */
const struct vad *vad_find(const struct vad_set *set, va_t va);
/* "private", "mapped", "image" … as vads.type. */
const char *vad_type_name(const struct vad *vad);
#endif
