/* SPDX-License-Identifier: Apache-2.0 */
#include "limit.h"
#include <string.h>
#include "error.h"

uint64_t limit_values[LIMITS] = {
#define LIMIT(name, value, unit, what, reason) [LIMIT_##name] = UINT64_C(value),
#include "limits.def"
};

const struct limit_info limit_infos[LIMITS] = {
#define LIMIT(name, value, unit, what, reason) [LIMIT_##name] = { #name, unit, what, reason, UINT64_C(value) },
#include "limits.def"
};

const struct limit_info limit_fixed[] = {
#define FIXED(name, value, unit, what, reason) { #name, unit, what, reason, UINT64_C(value) },
#include "limits.def"
	{ NULL, NULL, NULL, NULL, 0 }
};

/* Libraries that get no memory end the program: with less than this no analysis of anything comes to its end. */
#define MEMORY_BYTES_LEAST (UINT64_C(64) << 20)

bool limit_set(const char *assignment, GError **error)
{
	const char *equals = strchr(assignment, '=');
	size_t length = equals ? (size_t)(equals - assignment) : strlen(assignment);

	for (unsigned i = 0; i < LIMITS; i++) {
		const char *name = limit_infos[i].name, *units = "KMGT", *unit;
		char *end = NULL;
		if (strlen(name) != length || strncmp(name, assignment, length))
			continue;
		uint64_t value = equals && g_ascii_isdigit(equals[1]) ? g_ascii_strtoull(equals + 1, &end, 10) : 0;
		unsigned shift = 0;
		if (value && *end && (unit = strchr(units, *end))) {
			shift = 10 * (unsigned)(unit - units + 1);
			end++;
		}
		if (!value || *end || value > (uint64_t)INT64_MAX >> shift) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "--limit %s: a number from 1 on is needed", assignment);
			return false;
		}
		value <<= shift;
		if (i == LIMIT_memory_bytes && value < MEMORY_BYTES_LEAST) {
			g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "--limit %s: nothing can be analysed in less than 64M", assignment);
			return false;
		}
		limit_values[i] = value;
		return true;
	}
	g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_USAGE, "--limit %s: there is no such limit (see `memsieve limits`)", assignment);
	return false;
}

gboolean limit_option(const char *option, const char *assignment, void *unused, GError **error)
{
	(void)option;
	(void)unused;
	return limit_set(assignment, error);
}
