/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A complete plugin, to start yours from. It asks each process's PEB whether a debugger is attached:
 *
 *	cc -std=gnu11 -fPIC -shared -I/usr/local/include/memsieve $(pkg-config --cflags glib-2.0) -o debugging.so debugging.c
 *	memsieve analyze --plugin ./debugging.so --rules . DUMP
 *
 * The rule beside it (debugged_process.sql) makes findings of what this puts down: facts here, judgements there.
 */
#include <memsieve/plugin.h>

/* A table is declared once. CREATE TABLE, INSERT, the view v_debugging and `memsieve tables` come from this. */
enum { PROCESS, PEB, BEING_DEBUGGED, GLOBAL_FLAG };

static const struct table debugging = {
	.name = "debugging", .doc = "what each process's PEB says of debuggers",
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[PEB] = { "peb", COL_ADDRESS, "" },
		[BEING_DEBUGGED] = { "being_debugged", COL_BOOL, "PEB.BeingDebugged, what IsDebuggerPresent() answers" },
		[GLOBAL_FLAG] = { "global_flag", COL_INT, "PEB.NtGlobalFlag; 0x70: its heap was made under a debugger" },
	},
};

/* Called once a process, on several threads; rows come out in process order all the same. */
static bool run_process(struct context *c, GError **error)
{
	(void)error;	/* for what ends the analysis (a full disk), never for what a dump lacks */
	if (!c->user || !c->process->peb.v)
		return true;
	struct object peb = object_at(c->user, c->process->peb.v);
	struct row *row = row_new(c, &debugging);

	row_address(row, PEB, peb.va.v);
	/* A field that can't be read leaves its column NULL, and a row in diagnostics that says why. */
	PUT(row, BEING_DEBUGGED, peb, peb.BeingDebugged);
	PUT(row, GLOBAL_FLAG, peb, peb.NtGlobalFlag);
	return true;
}

static const struct plugin plugin_debugging = {
	.name = "debugging",
	.doc = "processes that are being debugged",
	.fills = { &debugging },
	.needs = { "processes" },	/* tables, never plugins */
	.needs_user_memory = true,
	.needs_layout = true,
	.run_process = run_process,
};
MEMSIEVE_PLUGIN(plugin_debugging);
