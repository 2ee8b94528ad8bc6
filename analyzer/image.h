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
	GArray *parts;		/* of a sparse file: struct range, what is filled; else NULL */
	volatile int lost;	/* pages that could not be read, set from the SIGBUS handler; of an unpacked one those of the packed one too */
};

/* Bytes [start, start + length), of physical memory or of a file. */
struct range { uint64_t start, length; };

struct file *file_open(const char *path, GError **error);
/* The same of an open descriptor, which is the file's from now on (closed on failure too). */
struct file *file_adopt(int fd, const char *path, GError **error);
void file_close(struct file *file);
/* The whole file, or the part that offset and length name (bad when not within). */
struct bytes file_bytes(const struct file *file);
struct bytes file_slice(const struct file *file, uint64_t offset, uint64_t length);
/*
 * The first part at or after `at` that the file system holds bytes of; false: none. What lies between such parts are the holes of
 * a sparse file: zeros that cost nothing to write and hours to read.
 */
bool file_next_filled(const struct file *file, uint64_t at, struct range *out);
/* Nothing but zeros from there to its end? Holes are not read. */
bool file_only_zeros(const struct file *file, uint64_t at);
/* The bytes of all those parts. */
uint64_t file_filled(const struct file *file);

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
	uint32_t exception_code;	/* of the exception record, with what follows */
	uint64_t exception_address;
	unsigned exception_parameters;	/* used of the following */
	uint64_t exception_information[15];
	uint64_t instruction_pointer;	/* of the context record */
	uint64_t stack_pointer;
	char *registers;		/* JSON: {"rax": "0x…", …} of the context record, owned */
	uint32_t product_type, suite_mask;	/* as in OSVERSIONINFOEX; product 1 is a workstation */
	uint32_t service_pack;
	uint32_t dump_type, dump_attributes;	/* DUMP_HEADER.DumpType, .Attributes (DUMP_FILE_ATTRIBUTES) */
#define DUMP_ATTRIBUTE_LIVE 0x10u		/* LiveDumpGeneratedDump */
	uint64_t memory_total;		/* bytes of physical memory the machine had */
	char *secondary_data;		/* JSON: [{"guid": …, "offset": …, "size": …}], owned */
	char *comment;			/* owned */
	bool no_user_memory;		/* a kernel-only dump: user pages are known to be absent */
	GArray *cpus;			/* struct image_cpu, or NULL */
};

/* A driver, as a triage dump lists it. */
struct image_driver {
	char *name;			/* a path or a name, never NULL */
	uint64_t base, size, entry_point;
	uint32_t timestamp, checksum;	/* of its PE header */
};

struct image_unloaded_driver {
	char *name;			/* at most 12 characters are kept by Windows */
	uint64_t start, end;
};

/* A copy of a kernel object in the file; length 0: there is none. */
struct image_copy {
	uint64_t va;			/* where it was in memory, 0: not known */
	uint64_t offset, length;
};

/* What a triage (small) dump carries beside its header. Copies whose address is
 * known are virtual segments too. */
struct image_triage {
	GArray *drivers;		/* struct image_driver */
	GArray *unloaded_drivers;	/* struct image_unloaded_driver */
	struct image_copy kdbg, prcb, process, thread, call_stack;
	/* The current process and thread, by the offsets that the KDBG block gives and by checks
	 * on the bytes: this works for builds without symbols. Where identified is false
	 * the process fields are not to be believed. */
	bool identified;
	uint32_t pid, ppid, tid;
	uint32_t owner_pid;		/* the thread's process: another than pid where it was attached to that one */
	char *process_name;		/* ImageFileName, or NULL */
	pa_t process_dtb;
	uint32_t pid_offset, ppid_offset, name_offset, peb_offset;	/* within the _EPROCESS */
};

/* A user-mode minidump (MDMP): one process, as MiniDumpWriteDump saw it. Names are NULL where there are none. */
struct minidump_module {
	char *name;			/* the path */
	uint64_t base, size;
	uint32_t timestamp, checksum;
	uint64_t file_version;		/* of VS_FIXEDFILEINFO: four 16-bit parts, 0 unknown */
	char *pdb_name;
	char pdb_guid_age[42];		/* GUID and age as in a symbol path, or "" */
};

struct minidump_unloaded_module { char *name; uint64_t base, size; uint32_t timestamp, checksum; };

/* MEMORY_BASIC_INFORMATION64 */
struct minidump_region {
	uint64_t base, allocation_base, size;
	uint32_t allocation_protect, state, protect, type;
};

struct minidump_thread {
	uint32_t tid, suspend_count, priority;
	uint64_t teb, stack_start, stack_size;	/* the stack's saved part */
	uint64_t instruction_pointer, stack_pointer;
	bool has_info;			/* the fields below are from the thread info list */
	uint64_t start_address, create_time, exit_time;
	uint32_t exit_status;
	char *name;
};

struct minidump_handle {
	uint64_t handle;
	char *type, *name;
	uint32_t attributes, granted_access, handle_count, pointer_count;
};

struct image_minidump {
	uint64_t flags;			/* MINIDUMP_TYPE */
	uint32_t timestamp;		/* time_t of the dump */
	uint32_t pid;			/* 0 unknown */
	uint32_t create_time;		/* time_t of the process, 0 unknown */
	char *service_pack;
	uint32_t exception_tid;		/* 0: no exception */
	GArray *modules;		/* struct minidump_module */
	GArray *unloaded_modules;	/* struct minidump_unloaded_module */
	GArray *regions;		/* struct minidump_region, in address order as written */
	GArray *threads;		/* struct minidump_thread */
	GArray *handles;		/* struct minidump_handle */
};

#define IMAGE_PLAIN "by --raw"		/* facts.detail, and dumps.format_detail, of an image that was opened so */

/* Something a reader noticed that belongs into `diagnostics`. */
struct image_note { enum fault fault; uint64_t address; char *message; bool harmless; };

/* A piece of physical (or, in triage dumps, virtual) memory and where it stands in the file. */
struct segment { uint64_t start, length, offset; };

struct format;

struct image {
	GPtrArray *files;		/* struct file *: all that it is made of, closed with it; image_lost asks each */
	struct file *file;		/* of them: what is read */
	struct file *container;		/* the file as it was given, whose size and hash count; same as file unless packed */
	const struct format *format;
	void *format_data;		/* the format's own, freed by its close */
	struct image_facts facts;
	GArray *segments;		/* struct segment by physical address, sorted, disjoint */
	GArray *virtual_segments;	/* struct segment by virtual address (triage dumps), sorted, or NULL */
	bool plain;			/* opened as plain memory because the user says so */
	struct image_triage *triage;	/* triage dumps, else NULL */
	struct image_minidump *minidump;	/* user-mode minidumps, else NULL: they have virtual memory alone */
	GPtrArray *notes;		/* struct image_note * */
	struct image_note *notes_beyond;	/* the one of them that counts what is not kept, or NULL */
	uint32_t notes_kept[2];		/* that do no harm, and that do */
	uint32_t notes_counted, harm_counted;	/* how many those are; which of them image_note_harms() */
	GPtrArray *page_files;		/* struct file * of files, by Windows' number, or NULL: see page_file.h */
	uint64_t bytes_present;
	uint64_t bytes_filled;		/* of them (or of virtual memory, where there is nothing else), what image_next_filled tells, as far as packing is honest: what limits that grow with the dump go by */
	uint64_t bytes_missing, first_missing;	/* listed by the header, past the end of the file */
	uint64_t damaged;		/* the lowest address, plus 1, of what unpacked to bytes of another checksum than the file says: see image_damaged */
	int64_t search_until;		/* monotonic time at which EACH_PAGE tells no more pages and spaces have no more steps, 0: never */
	uint32_t searched;		/* looks so far, to ask for the time now and then */
	bool search_ended;		/* that time has come */
	const char *missing_why;	/* in words, where it is not that the file is too short; static */
	uint64_t slot_seed;		/* see image_slot */
};

/*
 * Open a dump whatever its format. NULL and *error: not readable, or no format
 * knows it, or its format knows it to be broken beyond use. Plain: its bytes are those of memory, whatever they look like,
 * packed ones too: the first page of a raw image is the machine's, and an attacker may have made it any format's header.
 */
struct image *image_open(const char *path, bool plain, GError **error);
void image_close(struct image *image);
DEFINE_AUTO(image, image_close)

/* For formats, while opening: one more file that what they tell rests on. It is the image's from now on. */
void image_add_file(struct image *image, struct file *file);
/* For formats, while opening: physical memory at `start` stands at `offset` of the
 * file (offset is ignored by formats with read_page). What lies past the end of
 * the file is cut off and noted. */
void image_add_range(struct image *image, pa_t start, uint64_t length, uint64_t offset);
/* The same for what the format itself sees to be missing of what the header lists. */
void image_add_missing(struct image *image, uint64_t start, uint64_t length);
/*
 * Make segments sorted and disjoint. Where a lying header lists memory twice, what it listed first wins, as in the file order a
 * debugger reads. Returns how many bytes are listed twice at different offsets, and where the first is.
 */
uint64_t segments_settle(GArray **segments, uint64_t *first_overlap);
/* Puts the ranges into order and counts bytes_present and bytes_filled. Done after open; a format that reads memory while it opens does it itself, when all ranges are named. */
void image_settle(struct image *image);
/* Empty ones, for image->triage and image->minidump. */
struct image_triage *image_triage_create(void);
struct image_minidump *image_minidump_create(void);
/* The same for virtual memory (triage dumps). */
void image_add_virtual(struct image *image, va_t start, uint64_t length, uint64_t offset);
void image_note(struct image *image, enum fault fault, uint64_t address, const char *format, ...)
	G_GNUC_PRINTF(4, 5);
/* A lie of a header that cost nothing, since the file itself shows what is true: the analysis is complete all the same. */
void image_remark(struct image *image, uint64_t address, const char *format, ...)
	G_GNUC_PRINTF(3, 4);
/* Does it tell that the analysis is not complete? */
bool image_note_harms(const struct image_note *note);
/* What was said of the first limit that bit, or NULL. */
const char *image_limit_note(const struct image *image);

/*
 * Read exactly length bytes of physical memory. An image that has virtual memory alone (triage
 * dumps, minidumps) is addressed by virtual address here too. FAULT_NOT_IN_DUMP when any is absent. */
enum fault image_read(struct image *image, pa_t pa, void *buffer, size_t length)
	G_GNUC_WARN_UNUSED_RESULT;
/*
 * The page that pa lies in: a pointer to PAGE_SIZE bytes, into the mapped file or
 * into `scratch` (PAGE_SIZE bytes of the caller's); NULL when it is not in the dump.
 * Without scratch: NULL too when there is nothing to point into.
 */
const uint8_t *image_page(struct image *image, pa_t pa, void *scratch);
/* The bytes of virtual memory the dump carries directly (triage), else FAULT_NOT_IN_DUMP. */
enum fault image_read_virtual(struct image *image, va_t va, void *buffer, size_t length)
	G_GNUC_WARN_UNUSED_RESULT;
/* Does it hold that byte? And the first one at or after pa that it holds; false when there is none. */
bool image_has(const struct image *image, pa_t pa);
bool image_next(const struct image *image, pa_t pa, pa_t *out);
/* The first present range at or after pa, coalesced, which takes as long as there are pieces of it; false when there is none. */
bool image_next_range(struct image *image, pa_t pa, struct range *out);
/*
 * The same for who looks for something in all pages: ranges begin with a page, what lies in large holes of a sparse file, which is
 * all zero, is left out, and ranges that adjoin are told one by one. A page that lies partly in a hole is told whole.
 */
bool image_next_filled(struct image *image, pa_t pa, struct range *out);
/* image_page() for such a search: NULL, too, when its time is over. */
const uint8_t *image_search_page(struct image *image, pa_t pa, void *scratch);
/* Ask the clock, now and then, whether its time is over. Each look into memory does: what a format packs may take a millisecond to unpack. */
bool image_search_ask(struct image *image);
static inline bool image_search_over(const struct image *image)
{
	return image->search_until && image->search_ended;
}

/*
 * For each such page: `page` is PAGE_SIZE bytes at `pa`. Scratch as of image_page. What counts is how far it is into the range: the last
 * one of virtual memory may end where addresses do.
 */
#define EACH_PAGE(image, scratch, page, pa)                                                                                  \
	for (struct range range_ = { 0, 0 }; !image_search_over(image) && image_next_filled(image, (pa_t){ range_.start + range_.length }, &range_);) \
		for (uint64_t pa = range_.start; pa - range_.start < range_.length && !image_search_over(image); pa += PAGE_SIZE) \
			for (const uint8_t *page = image_search_page(image, (pa_t){ pa }, scratch); page; page = NULL)
/*
 * Which of 1 << bits slots of a cache what has this number goes to. So many that follow each other have one each, as most that are read
 * together do; how they are turned is another way for each image: nobody can choose a dump's pages so that all of them go to one
 * slot and each is unpacked whenever it is read.
 */
static inline unsigned image_slot(const struct image *image, uint64_t number, unsigned bits)
{
	uint64_t turn = ((number >> bits) ^ image->slot_seed) * UINT64_C(0x9e3779b97f4a7c15);

	turn = (turn ^ turn >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return (unsigned)(number + (turn >> (64 - bits))) & ((1u << bits) - 1);
}

/* Memory at this address unpacks to bytes of another checksum than the file says; it is read as it is. By any thread. */
void image_damaged(struct image *image, uint64_t address);
/* True (and *error) when a file shrank or failed while it was read: what was lost of it was taken for zeros; or where memory is damaged. */
bool image_lost(const struct image *image, GError **error);
#endif
