/* SPDX-License-Identifier: Apache-2.0 */
/* memsieve limits: how much of what a dump can size or repeat is taken, and why. */
#include <inttypes.h>
#include <stdio.h>
#include "command.h"
#include "limit.h"
#include "pipeline.h"

static int run(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		g_printerr("usage: memsieve limits\n");
		return OUTCOME_USAGE;
	}
	for (unsigned i = 0; i < LIMITS; i++) {
		const struct limit_info *l = &limit_infos[i];
		printf("%-20s %12" PRIu64 " %-8s %s: %s\n", l->name, l->value, l->unit, l->what, l->reason);
	}
	return OUTCOME_COMPLETE;
}

const struct command command_limits = {
	.name = "limits",
	.usage = "limits",
	.doc = "what is bounded, how far, and why",
	.run = run,
};
