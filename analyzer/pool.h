/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel objects by the pool blocks they live in: what the sweep's pool hits hold, live
 * ones and what is left of those long gone.
 *
 * A plugin that wants them names the patterns in its `sweeps`:
 *
 *	static const struct sweep_pattern *const sweeps[] = { &pool_process, NULL };
 *	…
 *	g_autoptr(GArray) found = process_candidates(c);
 */
#ifndef MEMSIEVE_POOL_H
#define MEMSIEVE_POOL_H
#include "kobject.h"
#include "plugin.h"

extern const struct sweep_pattern pool_process, pool_thread, pool_driver, pool_device, pool_file, pool_mutant, pool_symbolic_link,
	pool_loader_entry;

/* What lies in a pool block that a pattern named. */
struct pool_object {
	pa_t header;		/* of the pool header; of a block without one (big_pool.h), of its start */
	pa_t pa;		/* of the object (its body), so far as the block is contiguous */
	va_t va;		/* of the same; 0: the kernel maps it nowhere, it is a remnant */
	uint32_t block;		/* bytes of the block with its header */
	bool freed;		/* the pool header says so */
	bool typed;		/* the object header's type index is the one of `type` */
};

/* Are the pool's and the objects' headers known? Else what is in no pool block can't be told. */
bool pool_scannable(const struct context *context);
/*
 * The blocks that hold an object of this type (struct pool_object), by physical address.
 * `first` are the bytes that each object's body starts with, under `mask` (as little-endian
 * numbers; mask 0: no such bytes are known, and then the type index must be right).
 */
GArray *pool_objects(const struct context *context, const struct sweep_pattern *pattern, const struct object_types *types,
		     const char *type, uint32_t first, uint32_t mask);
/* The same for what has no object header: it follows the pool header. */
GArray *pool_blocks(const struct context *context, const struct sweep_pattern *pattern);

/* The bytes of an object: by its address, else physically, up to the end of the page then. */
struct pool_bytes {
	uint8_t *data;
	size_t size, have;	/* bytes past `have` are zeros and not known */
};
struct pool_bytes pool_read(const struct context *context, const struct pool_object *object, size_t size);
void pool_bytes_clear(struct pool_bytes *bytes);
/* One field of them; false when it is not there. */
bool pool_field(const struct pool_bytes *bytes, uint32_t base, struct field field, uint64_t *out);

enum pool_state {
	POOL_LIVE,
	POOL_EXITED,		/* still an object, but it has run to its end */
	POOL_REMNANT,		/* its memory is free: belongs to nobody */
};

struct process_candidate {
	struct pool_object object;
	uint64_t pid, ppid;
	char name[16];		/* printable ASCII */
	uint64_t create_time, exit_time;	/* FILETIME */
	pa_t dtb;		/* 0 in remnants, mostly */
	enum pool_state state;
};

struct thread_candidate {
	struct pool_object object;
	uint64_t tid, pid;
	va_t process;		/* _EPROCESS */
	uint64_t create_time, exit_time;
	enum pool_state state;
};

/* Needs &pool_process (&pool_thread) in the plugin's sweeps. struct process_candidate (struct thread_candidate) by virtual,
 * then physical address: first those that are mapped nowhere. */
GArray *process_candidates(const struct context *context);
GArray *thread_candidates(const struct context *context);
/* The one at that address that is no remnant, or NULL. For in_pool_scan. */
const struct process_candidate *process_candidate_at(const GArray *candidates, va_t eprocess);
const struct thread_candidate *thread_candidate_at(const GArray *candidates, va_t ethread);
#endif
