/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin is one file that fills tables from the dump and from what others filled.
 * It never names another plugin: the order follows from the tables.
 *
 * Either `run` is called once a dump, or `run_process` once a process, on several
 * threads; rows come out in process order whatever the number of threads.
 */
#ifndef MEMSIEVE_PLUGIN_H
#define MEMSIEVE_PLUGIN_H
#include "kernel.h"
#include "process.h"
#include "sweep.h"
#include "table.h"

#define MEMSIEVE_PLUGIN_ABI 2

struct context {
	struct image *image;
	const struct kernel *kernel;
	struct space *space;		/* the kernel's address space, this thread's own */
	struct process *process;	/* run_process: the process at hand, else NULL */
	struct space *user;		/* run_process: its address space, or NULL when there is none */
	const GPtrArray *processes;	/* struct process *, in the order of the table */
	const GArray *drivers;		/* of context_driver_at */
	const struct sweep *sweep;	/* what plugins' patterns found in physical memory: sweep_hits() */
	const struct options *options;
	struct rows *rows;		/* of row_new */
	struct pipeline *pipeline;
	void *kept;			/* of context_keep */
	volatile int stop;		/* its time is over: ask context_cancelled */
	gint64 deadline;		/* monotonic, where nobody else watches the clock; 0: somebody does */
	gint64 half;			/* monotonic: half of the plugin's time is over; 0: not known */
	struct worker *worker;		/* the crew's who runs it; NULL: nobody else is at work */
};

/* What a dump may hold. */
enum dump_kind {
	DUMP_OF_MACHINE = 1,	/* physical memory with a kernel in it */
	DUMP_TRIAGE = 2,	/* a small dump: pieces of kernel memory by virtual address */
	DUMP_OF_PROCESS = 4,	/* a user-mode minidump */
};

struct plugin {
	const char *name, *doc;
	const struct table *fills[12];	/* no two plugins fill the same table; NULL-terminated */
	const char *needs[12];		/* tables that must be complete before; NULL-terminated */
	const char *adds_to[12];	/* tables of other plugins that it fills for kinds of dump they don't read */
	unsigned kinds;			/* enum dump_kind, or-ed; 0: DUMP_OF_MACHINE */
	/* What it looks for in all of physical memory, NULL-terminated, or NULL: see sweep.h. */
	const struct sweep_pattern *const *sweeps;
	bool needs_user_memory;		/* skipped, and said so, for dumps that hold the kernel's alone */
	bool needs_layout;		/* skipped, and said so, when the kernel's layout is not known */
	bool (*run)(struct context *context, GError **error);
	bool (*run_process)(struct context *context, GError **error);
	/* Before run_process on the first process, and after the last; both may be NULL. Called by one thread. */
	bool (*begin)(struct context *context, GError **error);
	bool (*end)(struct context *context, GError **error);
};

/* NULL-terminated; generated from PLUGINS in Makefile.am. */
extern const struct plugin *const plugins[];

/* A shared object given by --plugin exports these two. */
#define MEMSIEVE_PLUGIN(p) \
	extern const unsigned memsieve_plugin_abi; \
	const unsigned memsieve_plugin_abi = MEMSIEVE_PLUGIN_ABI; \
	extern const struct plugin *const memsieve_plugin; \
	const struct plugin *const memsieve_plugin = &(p)

/* A new process and its row; only for the plugin that fills `processes`. Takes the process. */
void context_add_process(struct context *context, struct process *process, struct row *row);
/* A table of another plugin (of adds_to), and a column of it, by name; NULL and -1: there is none. */
const struct table *context_table(const struct context *context, const char *name);
int table_column(const struct table *table, const char *name);
enum dump_kind image_kind(const struct image *image);
/* Why something is missing, when it is no one column of a row. Goes into diagnostics. */
void context_note(struct context *context, enum fault fault, va_t at, const char *table, const char *format, ...)
	G_GNUC_PRINTF(5, 6);
/* Has the user interrupted? Long loops ask. */
bool context_cancelled(const struct context *context);
/* Is half of the plugin's time over, or all? What but adds to what was found asks, so that there is time to tell of it. */
bool context_half_over(const struct context *context);
/* The kernel-mode module an address lies in, by the table `drivers`; NULL when none. */
const char *context_driver_at(const struct context *context, va_t va);
/* The image it lies in; false: in none. */
bool context_driver_image(const struct context *context, va_t va, uint64_t *base, uint64_t *size);
/*
 * Where a pointer of the kernel's leads: "expected", into the kernel or the module that holds `expected` (0: into any
 * module), "other", into another one, "nowhere", into none.
 */
const char *context_placement(const struct context *context, va_t pointer, va_t expected);
/* The n-th of them by base; false when there are no more. */
bool context_driver(const struct context *context, guint n, uint64_t *base, uint64_t *size, const char **name);
void context_add_driver(struct context *context, uint64_t base, uint64_t size, const char *name);
/* One that the kernel's list doesn't have; and whether an address lies in such a one. */
void context_add_unlisted_driver(struct context *context, uint64_t base, uint64_t size, const char *name);
bool context_driver_unlisted(const struct context *context, va_t va);

/* `thing` as the plugin keeps it for one dump, shared by its calls; freed with `destroy`. */
void context_keep(struct context *context, void *data, GDestroyNotify destroy);
void *context_kept(const struct context *context);
#endif
