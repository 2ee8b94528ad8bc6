/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drivers by the traces that loading leaves: driver objects (in the object manager's directories and by their pool
 * blocks), loader entries that no list leads to, and the headers of images.
 */
#ifndef MEMSIEVE_DRIVER_SET_H
#define MEMSIEVE_DRIVER_SET_H
#include "plugin.h"
#include "session_spaces.h"

/* For the `sweeps` of a plugin that calls one of these. */
extern const struct sweep_pattern *const driver_set_sweeps[];

struct driver_found {
	va_t va;		/* of the _DRIVER_OBJECT */
	pa_t pa;		/* of the same, where its pool block was found; else 0 */
	bool in_directory;	/* in \Driver or \FileSystem */
};

/* struct driver_found by address. Why some may be missing goes into diagnostics under `table`. */
GArray *driver_set_find(struct context *context, const char *table);

/* A kernel image that some trace tells of. */
struct loaded_driver {
	va_t entry;		/* _KLDR_DATA_TABLE_ENTRY, or 0 */
	va_t driver_object;	/* or 0 */
	uint64_t base, size, entry_point;
	char *name, *path;	/* or NULL */
	char *pdb_name, *pdb_guid_age;	/* of a debug record that told of it, else NULL */
	bool in_pool_scan;	/* the loader entry was found by its pool block */
	bool in_driver_objects;	/* a driver object says that its image is there */
	bool listed;		/* for the caller's use */
	bool in_image_scan;	/* its header was found in memory, and its code is mapped to run */
	bool maybe_file;	/* … as all memory there is, and nothing tells that it was loaded, rather than read as a file */
	bool in_debug_scan;	/* its debug record was, and its code is */
};

struct driver_range { uint64_t base, size; };

/* struct loaded_driver, one a trace, by base (of one base, loader entries first): loader entries in allocated pool, the images of
 * driver objects, and images by their headers. Each image starts in memory that the kernel maps. */
GArray *driver_set_images(struct context *context, struct session_spaces *sessions, const char *table);
/*
 * More of them, into `images` (as of driver_set_images; it stays sorted): debug records (CodeView, "RSDS") in kernel memory
 * that belong to none of these and to none of `known` (struct driver_range), with code beside them that is mapped to run. No header
 * says where such an image begins: it is taken for what is mapped without a gap, or for the pool allocation it lies in.
 */
void driver_set_records(struct context *context, const GArray *known, GArray *images, const char *table);
#endif
