/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of limits.def by name: limit(vad_nodes), FIXED_services. Set before threads start, read-only after. */
#ifndef MEMSIEVE_LIMIT_H
#define MEMSIEVE_LIMIT_H
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum limit {
#define LIMIT(name, value, unit, what, reason) LIMIT_##name,
#include "limits.def"
	LIMITS
};

enum {
#define FIXED(name, value, unit, what, reason) FIXED_##name = value,
#include "limits.def"
};

extern uint64_t limit_values[LIMITS];
#define limit(name) (limit_values[LIMIT_##name])
/* For what is counted in 32 bits. */
#define limit32(name) ((uint32_t)MIN(limit(name), UINT32_MAX))

struct limit_info {
	const char *name, *unit, *what, *reason;
	uint64_t value;		/* unless overridden */
};
extern const struct limit_info limit_infos[LIMITS];
/* The fixed ones, up to one without a name. */
extern const struct limit_info limit_fixed[];

/* "NAME=VALUE", from 1 on; the value may end in K, M, G or T (powers of 1024). */
bool limit_set(const char *assignment, GError **error);
/* The same as GOptionArgFunc. */
gboolean limit_option(const char *option, const char *assignment, void *unused, GError **error);
/* What a limit with a share for each GiB allows for a dump of that size. */
#define limit_for(name, bytes) (limit(name) + (uint64_t)((double)limit(name##_gib) * (double)(bytes) / (1 << 30)))
#endif
