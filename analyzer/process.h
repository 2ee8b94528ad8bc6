/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a dump, as the plugins share them. Made by the plugin that fills
 * `processes`, read-only after; what later plugins add is said at each field. */
#ifndef MEMSIEVE_PROCESS_H
#define MEMSIEVE_PROCESS_H
#include "vad.h"

/* A loaded image as the loader or the VADs tell of it; filled by the plugin `modules`. */
struct module {
	uint64_t base, size;
	char *name, *path;	/* the loader's, or NULL */
	const char *mapped_path;	/* the file object's, or NULL: its VAD's or the process's, which stay as long */
	int vad;		/* index into vads, or -1 */
	bool wow64, in_load_order, in_memory_order, in_init_order;
};

/* The ids that a process's rows in one table have: some that its plugin made may have been dropped. */
struct row_base {
	int64_t first, count;
};

struct process {
	int64_t id;		/* process_id */
	va_t eprocess;
	pa_t physical;
	uint64_t pid, ppid;
	char *name;
	char *image_path;	/* of its section's file, or NULL */
	pa_t dtb;
	va_t peb, peb32;
	va_t image_base;	/* PEB.ImageBaseAddress */
	bool wow64, exited, minimal;
	bool user_readable;	/* its page tables can be used */
	struct rescue *rescue;	/* what is known of its own memory where its page tables are lost, or NULL */
	struct vad_set vads;	/* by the plugin `vads` */
	GArray *modules;	/* struct module, by the plugin `modules` */
	GArray *module_spans;	/* of process_sort_modules */
	GHashTable *bases;	/* table name → where this process's rows there are (struct row_base *) */
};

struct kernel;

/* The process's address space, for one thread; `kernel_space` is that thread's own and outlives it. */
struct space *process_space(const struct process *process, const struct kernel *kernel, struct space *kernel_space);

/* Once all modules are known: so that process_module_at finds them. */
void process_sort_modules(struct process *process);
/* The module an address lies in, or NULL. Where several claim it, the one that begins last; of those that begin together, the first listed. */
const struct module *process_module_at(const struct process *process, va_t va);

struct process *process_create(void);
/* The same process, for as long as this one stays; without its VADs, without its modules. */
struct process *process_twin(const struct process *process, bool no_vads, bool no_modules);
void process_destroy(struct process *process);
#endif
