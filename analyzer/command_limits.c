/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve limits: how much of what a dump can size or repeat is taken, and why. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include "command.h"
#include "limit.h"
#include "pipeline.h"

static void append(json_t *list, const struct limit_info *l, bool fixed)
{
	json_array_append_new(list, json_pack("{s:s, s:I, s:s, s:s, s:s, s:b}", "name", l->name, "value", (json_int_t)l->value, "unit", l->unit,
					      "what", l->what, "reason", l->reason, "fixed", fixed));
}

static int run(int argc, char **argv)
{
	bool json;
	int status;

	if (!command_listing_options(&argc, &argv, NULL, "What is bounded, how far, and why; --limit of analyze sets another bound.", NULL, &json, &status))
		return status;
	if (json) {
		json_t *list = json_array();
		for (unsigned i = 0; i < LIMITS; i++)
			append(list, &limit_infos[i], false);
		for (const struct limit_info *l = limit_fixed; l->name; l++)
			append(list, l, true);
		return command_print_json(list, OUTCOME_COMPLETE);
	}
	for (unsigned i = 0; i < LIMITS; i++) {
		const struct limit_info *l = &limit_infos[i];
		printf("%-24s %13" PRIu64 " %-10s %s: %s\n", l->name, l->value, l->unit, l->what, l->reason);
	}
	for (const struct limit_info *l = limit_fixed; l->name; l++)
		printf("%-24s %13" PRIu64 " %-10s %s: %s (fixed)\n", l->name, l->value, l->unit, l->what, l->reason);
	return OUTCOME_COMPLETE;
}

const struct command command_limits = {
	.name = "limits",
	.usage = "limits",
	.doc = "what is bounded, how far, and why",
	.run = run,
	.prints = true,
};
