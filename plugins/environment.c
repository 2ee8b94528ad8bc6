/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables of each process. */
#include <string.h>
#include "limit.h"
#include "plugin.h"
#include "text.h"

enum { PROCESS, NAME, VALUE };

static const struct table environment = {
	.name = "environment", .doc = "environment variables of each process",
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[VALUE] = { "value", COL_TEXT, "" },
	},
};

/* NAME=VALUE strings one after the other, an empty one ends them (false: it isn't there). A name may start with '=' (=C:). */
static bool put_block(struct context *c, const uint8_t *block, size_t bytes)
{
	size_t n = bytes / 2, at = 0;

	while (at < n) {
		size_t end = at;
		while (end < n && (block[2 * end] | block[2 * end + 1]))
			end++;
		if (end == at)
			return true;
		g_autofree char *text = text_from_utf16(block + 2 * at, 2 * (end - at), TRUE);
		const char *equals = *text ? strchr(text + 1, '=') : NULL;
		if (equals) {
			g_autofree char *name = g_strndup(text, (gsize)(equals - text));
			struct row *row = row_new(c, &environment);
			row_text(row, NAME, name);
			row_text(row, VALUE, equals + 1);
		}
		at = end + 1;
	}
	return false;
}

static bool run_process(struct context *c, GError **error)
{
	struct process *process = c->process;
	uint64_t parameters_va = 0, block_va = 0, size = 0;

	(void)error;
	if (!c->user || !process->peb.v)
		return true;
	struct object peb = object_at(c->user, process->peb.v), parameters;
	enum fault fault = READ(peb, peb.ProcessParameters, &parameters_va);
	parameters = object_at(c->user, parameters_va);
	if (!fault)
		fault = READ(parameters, rtl_user_process_parameters.Environment, &block_va);
	if (fault || !block_va) {
		if (fault)
			context_note(c, fault, peb.va, "environment", "the environment block can't be found");
		return true;
	}
	/* Before Windows Vista the block's size is not told: its pages are. */
	if (READ(parameters, rtl_user_process_parameters.EnvironmentSize, &size) || !size)
		size = 65536;
	bool cut = size > limit(environment_bytes);
	if (cut) {
		context_note(c, FAULT_LIMIT, (va_t){ block_va }, "environment", "the environment has more than %" G_GUINT64_FORMAT " bytes, the rest is left out",
			     limit(environment_bytes));
		size = limit(environment_bytes);
	}
	g_autofree uint8_t *block = g_malloc0(size + PAGE_SIZE);
	size_t got = 0;
	while (got < size) {	/* up to the first page that is missing */
		size_t n = MIN(size - got, PAGE_SIZE - (size_t)((block_va + got) & PAGE_MASK));
		if ((fault = space_read(c->user, (va_t){ block_va + got }, block + got, n, NULL)))
			break;
		got += n;
	}
	if (!put_block(c, block, got) && (fault || !cut))
		context_note(c, fault ? fault : FAULT_IMPLAUSIBLE, (va_t){ block_va + got }, "environment", "the environment block ends early");
	return true;
}

const struct plugin plugin_environment = {
	.name = "environment",
	.doc = "environment variables",
	.fills = { &environment },
	.needs = { "processes", "vads" },
	.needs_layout = true,
	.needs_user_memory = true,
	.run_process = run_process,
};
