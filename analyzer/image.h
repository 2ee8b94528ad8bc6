/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dump opened: physical memory as sorted ranges over a file.
 *
 * An image is read by many threads at once. Formats whose pages stand in the
 * file as they were in memory name file ranges (image_add_range) and are mapped,
 * so that a page is looked at without a copy; formats that encode pages give
 * read_page. Consumers never know which.
 */
#ifndef MEMSIEVE_IMAGE_H
#define MEMSIEVE_IMAGE_H
#include <glib.h>
#include "bytes.h"
#include "error.h"

/* Distinct types, so that one can't be passed for the other. */
typedef struct { uint64_t v; } va_t;
typedef struct { uint64_t v; } pa_t;

#define PAGE_SIZE 4096u
#define PAGE_MASK (PAGE_SIZE - 1)

enum architecture { ARCH_UNKNOWN, ARCH_X64, ARCH_X86, ARCH_X86_PAE, ARCH_ARM64 };
const char *architecture_name(enum architecture architecture);	/* as in dumps.architecture */

/* A file mapped for reading. It may shrink or fail while mapped: reads of lost
 * pages give zeros and file_lost() tells. */
struct file {
	char *path;
	int fd;
	const uint8_t *map;
	uint64_t size;
	volatile int lost;	/* pages that could not be read, set from the SIGBUS handler */
};

struct file *file_open(const char *path, GError **error);
void file_close(struct file *file);
/* The whole file, or the part that offset and length name (bad when not within). */
struct bytes file_bytes(const struct file *file);
struct bytes file_slice(const struct file *file, uint64_t offset, uint64_t length);

/* Physical memory [start, start + length). */
struct range { uint64_t start, length; };

/* One processor's state, where a format carries it. */
struct image_cpu { uint64_t cr3, rip, rsp; };

/* What the file's headers say; 0 or NULL where they say nothing. Not yet believed. */
struct image_facts {
	const char *format;		/* dumps.format, static: "raw", "windows-full" … */
	char *detail;			/* dumps.format_detail, owned */
	enum architecture architecture;
	pa_t dtb;
	va_t loaded_module_list;	/* PsLoadedModuleList */
	va_t active_process_head;	/* PsActiveProcessHead */
	va_t kdbg;			/* KdDebuggerDataBlock */
	va_t kernel_base;
	uint32_t os_major, os_build;
	uint32_t processors;
	uint64_t system_time;		/* FILETIME, UTC */
	uint64_t uptime;		/* in 100 ns */
	bool is_crash;			/* the bugcheck fields below are from a header */
	uint32_t bugcheck_code;
	uint64_t bugcheck_parameters[4];
	uint32_t exception_code;
	uint64_t instruction_pointer;
	char *secondary_data;		/* JSON, owned */
	char *comment;			/* owned */
	bool no_user_memory;		/* a kernel-only dump: user pages are known to be absent */
	GArray *cpus;			/* struct image_cpu, or NULL */
};

/* Something a reader noticed that belongs into `diagnostics`. */
struct image_note { enum fault fault; uint64_t address; char *message; };

/* A piece of physical (or, in triage dumps, virtual) memory and where it stands in the file. */
struct segment { uint64_t start, length, offset; };

struct format;

struct image {
	struct file *file;
	const struct format *format;
	void *format_data;		/* the format's own, freed by its close */
	struct image_facts facts;
	GArray *segments;		/* struct segment by physical address, sorted, disjoint */
	GArray *virtual_segments;	/* struct segment by virtual address (triage dumps), sorted, or NULL */
	GPtrArray *notes;		/* struct image_note * */
	uint64_t bytes_present;
};

/*
 * Open a dump whatever its format. NULL and *error: not readable, or no format
 * knows it, or its format knows it to be broken beyond use.
 */
struct image *image_open(const char *path, GError **error);
void image_close(struct image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(struct image, image_close)

/* For formats, while opening: physical memory at `start` stands at `offset` of the
 * file (offset is ignored by formats with read_page). What lies past the end of
 * the file is cut off and noted. */
void image_add_range(struct image *image, pa_t start, uint64_t length, uint64_t offset);
/* The same for virtual memory (triage dumps). */
void image_add_virtual(struct image *image, va_t start, uint64_t length, uint64_t offset);
void image_note(struct image *image, enum fault fault, uint64_t address, const char *format, ...)
	G_GNUC_PRINTF(4, 5);

/* Read exactly length bytes of physical memory. FAULT_NOT_IN_DUMP when any is absent. */
enum fault image_read(struct image *image, pa_t pa, void *buffer, size_t length)
	G_GNUC_WARN_UNUSED_RESULT;
/*
 * The page that pa lies in: a pointer to PAGE_SIZE bytes, into the mapped file or
 * into `scratch` (PAGE_SIZE bytes of the caller's); NULL when it is not in the dump.
 */
const uint8_t *image_page(struct image *image, pa_t pa, void *scratch);
/* The bytes of virtual memory the dump carries directly (triage), else FAULT_NOT_IN_DUMP. */
enum fault image_read_virtual(struct image *image, va_t va, void *buffer, size_t length)
	G_GNUC_WARN_UNUSED_RESULT;
/* The first present range at or after pa, coalesced; false when there is none. */
bool image_next_range(struct image *image, pa_t pa, struct range *out);
/* True (and *error) when the file shrank or failed while it was read. */
bool image_lost(const struct image *image, GError **error);
#endif
