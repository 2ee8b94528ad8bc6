/* SPDX-License-Identifier: Apache-2.0 */
/* A sample machine while it is built, and what its parts need of each other. */
#ifndef MEMSIEVE_SAMPLES_SAMPLE_H
#define MEMSIEVE_SAMPLES_SAMPLE_H
#include "description.h"
#include "layout.h"
#include "memory.h"
#include "portable_executable.h"
#include "random.h"

enum object_kind {
	OBJECT_TYPE, OBJECT_DIRECTORY, OBJECT_SYMBOLIC_LINK, OBJECT_TOKEN, OBJECT_JOB, OBJECT_PROCESS, OBJECT_THREAD,
	OBJECT_EVENT, OBJECT_MUTANT, OBJECT_SEMAPHORE, OBJECT_SECTION, OBJECT_FILE, OBJECT_DEVICE, OBJECT_DRIVER,
	OBJECT_KEY, OBJECT_KINDS
};

/* Memory management's five bits of protection. */
enum { MM_READONLY = 1, MM_EXECUTE, MM_EXECUTE_READ, MM_READWRITE, MM_WRITECOPY, MM_EXECUTE_READWRITE, MM_EXECUTE_WRITECOPY, MM_GUARD = 0x10 };

struct pool {
	uint64_t next;			/* first free byte, or at a page's start */
	unsigned previous;		/* size of the block before it on its page, in headers */
	bool paged;
};

/* A pool allocation of a page and more. */
struct sample_block { uint64_t va, size; char tag[4]; bool paged, freed; };

/* A file on the machine's disk that something maps. */
struct sample_file {
	char *path;			/* below the volume: \Windows\System32\ntdll.dll */
	uint64_t file_object;
	struct executable *executable;	/* images */
	uint64_t control_area, subsection, segment, prototypes;
	uint64_t pages;			/* of the section */
	uint64_t *frames;		/* physical address of each page of the section, 0: not resident */
	uint64_t base;			/* where images load, the same in every process */
	bool image;
};

struct sample_driver {
	const char *name, *path;
	uint64_t base, size, entry;	/* entry: its KLDR_DATA_TABLE_ENTRY */
	uint64_t object;		/* its _DRIVER_OBJECT, 0: none */
	bool session;			/* in session space */
	struct executable *executable;
};

struct sample_vad {
	uint64_t node;			/* the _MMVAD's address */
	uint64_t start, end;		/* end: last byte */
	uint8_t protection;		/* MM_… */
	bool is_private, mem_commit, image;
	uint64_t commit;
	const struct sample_file *file;	/* its section; NULL with prototypes: backed by the page file */
	bool unbound;		/* an image that nobody loaded: its import slots are as the file has them */
};

struct sample_thread { uint64_t ethread, tid, teb; bool unlinked, no_cid, untagged; const char *calls; };	/* calls: of the description */

struct sample_process {
	struct item *item;
	uint64_t pid, eprocess, root, user_root, peb, peb32, image_base, section_base, section;
	uint64_t heap, heap_next, heap_end;	/* user memory for what the loader keeps */
	uint64_t low_heap_next;			/* the same below 4 GiB, for 32-bit processes */
	uint64_t stacks;			/* where the next one goes */
	uint64_t tebs;
	bool kernel_only, wow64, exited, hidden;
	GArray *vads;				/* struct sample_vad */
	GArray *threads;			/* struct sample_thread */
	GArray *modules;			/* struct user_module, of user.c */
	struct sample_file *main_image;
};

struct sample {
	struct description *description;
	struct item *machine;
	struct layout *layout;
	struct memory *memory;
	uint64_t seed;
	unsigned build, revision;
	bool of_family;				/* of a kernel that no table has, with structures of a family */
	unsigned width;				/* of a pointer: 4 or 8 */
	unsigned pte_width;			/* of a page-table entry */
	uint64_t time, boot_time;
	uint64_t kernel_base, kernel_size;
	struct executable *kernel;
	uint64_t invalid_pte_mask;
	bool kernel_shadow;			/* KVAS */
	uint8_t cookie;				/* ObHeaderCookie */
	struct pool nonpaged, paged;
	GArray *big;				/* struct sample_block */
	bool segment_heap;			/* pool blocks are chunks of one */
	uint64_t heap_key;			/* that hides their headers */
	uint64_t tss;				/* of `descriptors` */
	uint64_t paged_start;			/* MmPagedPoolStart */
	uint64_t system_space;			/* kernel addresses for stacks and whole pages */
	uint64_t driver_space;
	uint64_t types[OBJECT_KINDS];
	GArray *untyped;			/* struct untyped, of pool.c: objects that are older than their types */
	uint64_t root_directory, device_directory, driver_directory, named_objects;
	uint64_t volume;			/* device object of \Device\HarddiskVolume3 */
	uint64_t handle_table, cid_count;	/* PspCidTable's */
	uint64_t prcb, kdbg, low_stub;
	unsigned prcb_size;		/* the structure's, where that is known, or the room there is for it */
	uint64_t sessions[16];
	uint64_t session_tables, session_driver;	/* page tables of a session's images; which session has them */
	uint64_t shared_data;			/* physical, of KUSER_SHARED_DATA */
	uint64_t current_process, current_thread, next_thread;
	GPtrArray *files, *drivers, *processes;
};

/* Build the machine that a description tells of. Ends the program on a mistake in it. */
struct sample *sample_create(struct description *description);
void sample_destroy(struct sample *sample);

/* -- changes.c */
void changes_apply(struct sample *sample);

/* -- pool.c: kernel memory and objects */
#define ROOT(s) ((s)->memory->system_root)
void pool_init(struct sample *sample);
/* A block of pool, zeroed: the address behind its header (or of whole pages, for large ones). */
uint64_t pool_alloc(struct sample *sample, size_t size, const char *tag, bool paged);
/* Given back: what was written to it stays. */
void pool_free(struct sample *sample, uint64_t block);
/* Somebody wrote over its tag. */
void pool_untag(struct sample *sample, uint64_t block);
/* The block that an object made by object_alloc lies in. */
uint64_t object_block(struct sample *sample, uint64_t object);
/* Mapped kernel pages; the one before them is not mapped. */
uint64_t kernel_pages(struct sample *sample, unsigned pages);
uint64_t object_alloc(struct sample *sample, enum object_kind kind, size_t size, const char *name, uint64_t directory);
void objects_init(struct sample *sample);
void directory_add(struct sample *sample, uint64_t directory, uint64_t object, const char *name);
uint64_t sample_object_header(const struct sample *sample, uint64_t object);
uint64_t directory_alloc(struct sample *sample, const char *name, uint64_t parent);

/* Fields by the names of layout.def. A field this build lacks is left alone. */
void put_field(struct sample *sample, uint64_t root, uint64_t at, struct field field, uint64_t value);
uint64_t get_field(struct sample *sample, uint64_t root, uint64_t at, struct field field);
#define SET(s, at, field, value) put_field((s), ROOT(s), (at), (s)->layout->field, (value))
#define SET_USER(s, root, at, field, value) put_field((s), (root), (at), (s)->layout->field, (value))
#define GET(s, at, field) get_field((s), ROOT(s), (at), (s)->layout->field)
#define EACH_ITEM(s, it, kind) \
	struct item *it = NULL; \
	for (guint i_##it = 0; (it = description_next((s)->description, &i_##it, (kind))); )

#define HAS_FIELD(s, field) ((s)->layout->field.size != 0)
#define OFFSET(s, field) ((s)->layout->field.offset)
/* A _UNICODE_STRING whose text is in paged pool. */
void put_string(struct sample *sample, uint64_t at, const char *text);
/* UTF-16 with its NUL; *bytes counts it. */
uint16_t *utf16(const char *text, size_t *bytes);
void list_init(struct sample *sample, uint64_t root, uint64_t head);
void list_append(struct sample *sample, uint64_t root, uint64_t head, uint64_t entry);
void list_remove(struct sample *sample, uint64_t root, uint64_t entry);

/* -- kernel.c: the kernel's image and globals; processors.c: low stub, shared data, PCR, KDBG */
/* Before the kernel is made. */
void kernel_place(struct sample *sample);
void kernel_init(struct sample *sample);
/* The address of a global, its page mapped; 0 when the build lacks it. */
#define GLOBAL(s, name) kernel_global((s), (s)->layout->symbol.name)
uint64_t kernel_global(struct sample *sample, uint64_t rva);
void kernel_set(struct sample *sample, uint64_t rva, uint64_t value, unsigned width);
#define SET_GLOBAL(s, name, value, width) kernel_set((s), (s)->layout->symbol.name, (value), (width))
#define POINT_GLOBAL(s, name, value) SET_GLOBAL(s, name, value, (s)->width)
/* KUSER_SHARED_DATA in the kernel's half. */
uint64_t shared_data_address(const struct sample *sample);
/* An address as the debugger's structures have it: sign-extended to 64 bits. */
uint64_t wide_address(const struct sample *sample, uint64_t va);
void drivers_init(struct sample *sample);
/* The process sees what its session has of its own. */
void session_map(struct sample *sample, uint64_t root, unsigned session);
void callbacks_init(struct sample *sample);
/* What an item's value names: DRIVER+0x… or an address 0x…. */
uint64_t sample_address(struct sample *sample, struct item *item, const char *where);
/* The same of a process's modules: MODULE!EXPORT or MODULE+0x…. */
uint64_t process_address(struct sample *sample, const struct sample_process *process, struct item *item, const char *where);

void processors_init(struct sample *sample);
void processors_finish(struct sample *sample);
/* The kernel's data that nothing else asked for. Last, so that nobody's frames change. */
void kernel_finish(struct sample *sample);

/* -- handles.c */
uint64_t handle_table_create(struct sample *sample, uint64_t process, uint64_t pid);
void handle_table_put(struct sample *sample, uint64_t table, uint64_t handle, uint64_t object, uint32_t access, bool cid);
void handles_add(struct sample *sample, struct sample_process *process, uint64_t table);

/* -- sections.c: files and the sections made of them */
extern const char *const ntdll_exports[];
struct sample_file *file_get(struct sample *sample, const char *path, bool image, bool wow64);
struct sample_file *section_of_page_file(struct sample *sample, uint64_t pages, uint8_t protection);
uint64_t section_object(struct sample *sample, const struct sample_file *file);

/* -- vads.c: a process's memory */
const char *below_volume(const char *path);
void vads_from_items(struct sample *sample, struct sample_process *process);
struct sample_vad *vad_add(struct sample *sample, struct sample_process *process, uint64_t start, uint64_t pages,
			   uint8_t protection, const struct sample_file *file);
void vad_map_image(struct sample *sample, struct sample_process *process, const struct sample_vad *vad);
void vads_finish(struct sample *sample, struct sample_process *process);
uint64_t user_pte_bits(uint8_t protection);
uint64_t invalid_pte(const struct sample *sample, uint64_t pte);
/* Where an entry that isn't valid has its protection. */
uint64_t software_protection(const struct sample *sample, uint8_t protection);
/* Software entries: of a prototype PTE's address, of a subsection's, of a place in the page file; "ask the VAD". */
uint64_t prototype_pte(const struct sample *sample, uint64_t at, uint8_t protection);
uint64_t subsection_pte(const struct sample *sample, uint64_t at, uint8_t protection);
uint64_t page_file_pte(const struct sample *sample, uint64_t page, uint8_t protection);
uint64_t lookup_needed_pte(const struct sample *sample, uint8_t protection);
/* Two digits a byte. */
GByteArray *parse_hex(struct item *item, const char *text);
uint8_t protection_parse(struct item *item, const char *key, const char *otherwise);

/* -- processes.c, tokens.c, threads.c, user.c */
void processes_init(struct sample *sample);
/* Whose token a process acts with: its own, unless token-of= says another's. */
const struct sample_process *token_owner(const struct sample *sample, const struct sample_process *process);
/* Who it runs as, and its integrity level. */
void token_facts(struct item *item, uint64_t pid, unsigned session, const char **user, const char **integrity);
uint64_t token_create(struct sample *sample, struct item *item, uint64_t pid, unsigned session);
void threads_init(struct sample *sample, struct sample_process *process);
void user_init(struct sample *sample, struct sample_process *process);
/* A line of the truth for each module, in the form of truth.c. */
void user_module_lines(const struct sample_process *process, GPtrArray *lines);
void user_modules(struct sample *sample, struct sample_process *process);
uint64_t user_alloc(struct sample *sample, struct sample_process *process, size_t size, bool low);
void user_stack(struct sample *sample, struct sample_process *process, uint64_t *base, uint64_t *limit, uint64_t *allocation);
uint64_t user_teb(struct sample *sample, struct sample_process *process, uint64_t tid);

/* -- frames.c: the page frame database; integrity.c: timers, descriptors, APCs, tracing sessions, minifilters, large pool */
void frames_init(struct sample *sample);
/* Before the kernel's image is made: it is as large as its globals ask for. */
void integrity_place(struct sample *sample);
void integrity_init(struct sample *sample);
/* Lines of the truth, in the form of truth.c. */
void integrity_lines(struct sample *sample, GPtrArray *lines);

/* -- remains.c: what is left of objects, and what only looks like one */
void remains_init(struct sample *sample);
void remains_lines(struct sample *sample, GPtrArray *lines);

/* -- defects.c */
void defects_apply(struct sample *sample);

/* -- writers.c and the others: the dump as a file */
/* What an analysis should find; the caller frees it. */
char *sample_truth(struct sample *sample);
bool sample_write(struct sample *sample, const char *path, GError **error);
#endif
