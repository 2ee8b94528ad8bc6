/* SPDX-License-Identifier: Apache-2.0 */
/* Process objects: the active list, and what each says of itself. */
#include <string.h>
#include "plugin.h"
#include "text.h"
#include "walk.h"

enum {
	DUMP, EPROCESS, PHYSICAL, PID, PPID, NAME, IMAGE_PATH, PEB_IMAGE_PATH, COMMAND_LINE, CURRENT_DIRECTORY, CREATE_TIME,
	EXIT_TIME, EXIT_STATUS, SESSION_ID, WOW64, PEB, PEB32, DTB, USER_DTB, SECTION_BASE, IMAGE_BASE, ACTIVE_THREADS,
	HANDLE_COUNT, USER_SID, INTEGRITY, PROTECTION, IN_ACTIVE, IN_CID, IN_POOL, IN_THREADS, IN_SESSION,
};

static const char *const indices[] = { "pid", NULL };

static const struct table processes = {
	.name = "processes", .key = "process_id", .doc = "process objects, however found", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[EPROCESS] = { "eprocess", COL_ADDRESS, "of the _EPROCESS" },
		[PHYSICAL] = { "physical_address", COL_ADDRESS, "of the _EPROCESS" },
		[PID] = { "pid", COL_INT, "UniqueProcessId" },
		[PPID] = { "ppid", COL_INT, "InheritedFromUniqueProcessId" },
		[NAME] = { "name", COL_TEXT, "ImageFileName, at most 15 characters" },
		[IMAGE_PATH] = { "image_path", COL_TEXT, "the kernel's view: the section's file object" },
		[PEB_IMAGE_PATH] = { "peb_image_path", COL_TEXT, "what the process says: ProcessParameters.ImagePathName" },
		[COMMAND_LINE] = { "command_line", COL_TEXT, "" },
		[CURRENT_DIRECTORY] = { "current_directory", COL_TEXT, "" },
		[CREATE_TIME] = { "create_time", COL_TIME, "" },
		[EXIT_TIME] = { "exit_time", COL_TIME, "NULL while it lives" },
		[EXIT_STATUS] = { "exit_status", COL_INT, "" },
		[SESSION_ID] = { "session_id", COL_INT, "" },
		[WOW64] = { "wow64", COL_BOOL, "a 32-bit process" },
		[PEB] = { "peb", COL_ADDRESS, "" },
		[PEB32] = { "peb32", COL_ADDRESS, "of a 32-bit process" },
		[DTB] = { "dtb", COL_ADDRESS, "physical address of its page-table root" },
		[USER_DTB] = { "user_dtb", COL_ADDRESS, "its root while in user mode, where the kernel is shadowed" },
		[SECTION_BASE] = { "section_base", COL_ADDRESS, "EPROCESS.SectionBaseAddress" },
		[IMAGE_BASE] = { "image_base", COL_ADDRESS, "PEB.ImageBaseAddress" },
		[ACTIVE_THREADS] = { "active_threads", COL_INT, "" },
		[HANDLE_COUNT] = { "handle_count", COL_INT, "" },
		[USER_SID] = { "user_sid", COL_TEXT, "" },
		[INTEGRITY] = { "integrity_level", COL_TEXT, "" },
		[PROTECTION] = { "protection", COL_TEXT, "protected process type and signer" },
		[IN_ACTIVE] = { "in_active_list", COL_BOOL, "linked from PsActiveProcessHead" },
		[IN_CID] = { "in_cid_table", COL_BOOL, "in PspCidTable" },
		[IN_POOL] = { "in_pool_scan", COL_BOOL, "found by its pool block" },
		[IN_THREADS] = { "in_thread_scan", COL_BOOL, "owner of a thread" },
		[IN_SESSION] = { "in_session_list", COL_BOOL, "in its session's list" },
	},
};

static bool run(struct context *c, GError **error)
{
	struct object head = kernel_object(c->kernel, c->space, PsActiveProcessHead), proc;

	(void)error;
	WALK_LIST(c, "processes", proc, head, eprocess.ActiveProcessLinks) {
		struct row *row = row_new(c, &processes);
		row_address(row, EPROCESS, proc.va.v);
		PUT(row, PID, proc, eprocess.UniqueProcessId);
	}
	return true;
}

const struct plugin plugin_processes = {
	.name = "processes",
	.doc = "process objects and what each says of itself",
	.fills = { &processes },
	.needs_layout = true,
	.run = run,
};
