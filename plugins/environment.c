/* SPDX-License-Identifier: Apache-2.0 */
/* Environment variables of each process; of a 32-bit process on a 64-bit machine also those that its 32-bit PEB leads to, which its program sees. */
#include <string.h>
#include "limit.h"
#include "plugin.h"
#include "text.h"

enum { PROCESS, NAME, VALUE, WOW64 };

static const struct table environment = {
	.name = "environment", .doc = "environment variables of each process",
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[VALUE] = { "value", COL_TEXT, "" },
		[WOW64] = { "wow64", COL_BOOL, "of its 32-bit PEB, which a 32-bit program sees; told where that is another block than the 64-bit PEB's" },
	},
};

/* NAME=VALUE strings one after the other, an empty one ends them (false: it isn't there). A name may start with '=' (=C:). */
static bool put_block(struct context *c, const uint8_t *block, size_t bytes, bool wow64)
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
			row_int(row, WOW64, wow64);
		}
		at = end + 1;
	}
	return false;
}

/* A block and its size. Before Windows Vista that is not told: its pages are; 0. */
struct block { uint64_t va, size; };

static enum fault find_block(struct context *c, struct block *block)
{
	struct object peb = object_at(c->user, c->process->peb.v), parameters;
	uint64_t parameters_va = 0;
	enum fault fault = READ(peb, peb.ProcessParameters, &parameters_va);

	*block = (struct block){ 0 };
	if (fault)
		return fault;
	parameters = object_at(c->user, parameters_va);
	if (READ(parameters, rtl_user_process_parameters.EnvironmentSize, &block->size))
		block->size = 0;
	return READ(parameters, rtl_user_process_parameters.Environment, &block->va);
}

/* RTL_USER_PROCESS_PARAMETERS of 32-bit Windows XP to 11. */
enum { PARAMETERS32_ENVIRONMENT = 0x48, PARAMETERS32_ENVIRONMENT_SIZE = 0x290 };
#define VISTA 6000u

static enum fault find_block32(struct context *c, struct block *block)
{
	struct object peb = object_at(c->user, c->process->peb32.v);
	uint32_t parameters = 0, va = 0, size = 0;
	enum fault fault = READ(peb, peb32.ProcessParameters, &parameters);

	*block = (struct block){ 0 };
	if (fault || !parameters)
		return fault;
	const bool told = !(c->kernel->build && c->kernel->build < VISTA) &&
			  !space_read(c->user, (va_t){ (uint64_t)parameters + PARAMETERS32_ENVIRONMENT_SIZE }, &size, sizeof(size), NULL);
	fault = space_read(c->user, (va_t){ (uint64_t)parameters + PARAMETERS32_ENVIRONMENT }, &va, sizeof(va), NULL);
	block->va = GUINT32_FROM_LE(va);
	block->size = told ? GUINT32_FROM_LE(size) : 0;
	return fault;
}

static void read_block(struct context *c, const struct block *b, bool wow64)
{
	uint64_t size = b->size ? b->size : 65536;
	const bool cut = size > limit(environment_bytes);
	enum fault fault = FAULT_NONE;
	size_t got = 0;

	if (cut) {
		context_note(c, FAULT_LIMIT, (va_t){ b->va }, "environment", "the environment has more than %" G_GUINT64_FORMAT " bytes, the rest is left out",
			     limit(environment_bytes));
		size = limit(environment_bytes);
	}
	g_autofree uint8_t *bytes = g_malloc0(size + PAGE_SIZE);
	while (got < size) {	/* up to the first page that is missing */
		size_t n = MIN(size - got, PAGE_SIZE - (size_t)((b->va + got) & PAGE_MASK));
		if ((fault = space_read(c->user, (va_t){ b->va + got }, bytes + got, n, NULL)))
			break;
		got += n;
	}
	if (!put_block(c, bytes, got, wow64) && (fault || !cut))
		context_note(c, fault ? fault : FAULT_IMPLAUSIBLE, (va_t){ b->va + got }, "environment", "the environment block ends early");
}

static bool run_process(struct context *c, GError **error)
{
	const struct process *process = c->process;
	struct block block = { 0 }, block32 = { 0 };
	enum fault fault;

	(void)error;
	if (!c->user)
		return true;
	if (process->peb.v && (fault = find_block(c, &block)))
		context_note(c, fault, process->peb, "environment", "the environment block can't be found");
	if (process->wow64 && process->peb32.v && (fault = find_block32(c, &block32)))
		context_note(c, fault, process->peb32, "environment", "the 32-bit environment block can't be found");
	/* Who takes the last value of a name, as in a dictionary, gets what the process was started with. */
	if (block32.va && block32.va != block.va)
		read_block(c, &block32, true);
	if (block.va)
		read_block(c, &block, false);
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
