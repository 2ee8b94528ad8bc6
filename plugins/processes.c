/* SPDX-License-Identifier: Apache-2.0 */
/* Process objects, by all that know of them, and what each says of itself. */
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "paging.h"
#include "plugin.h"
#include "process_set.h"
#include "rescue_user.h"
#include "text.h"
#include "token.h"

enum {
	DUMP, EPROCESS, PHYSICAL, PID, PPID, NAME, IMAGE_PATH, PEB_IMAGE_PATH, COMMAND_LINE, CURRENT_DIRECTORY, CREATE_TIME,
	EXIT_TIME, EXIT_STATUS, SESSION_ID, WOW64, PEB, PEB32, DTB, USER_DTB, SECTION_BASE, IMAGE_BASE, ACTIVE_THREADS,
	HANDLE_COUNT, USER_SID, INTEGRITY, PROTECTION, IN_ACTIVE, IN_CID, IN_POOL, IN_THREADS, IN_SESSION,
	DERIVED,
	IN_TABLES, IN_CSRSS, IN_HANDLES, STATE, JOB, EXITED_TOKEN, IN_FRAMES, TOKEN, DEBUG_PORT, IMAGE_BASE32, PEB32_IMAGE_PATH, CALLBACK_TABLE, SECTION_AREA, PICO,
};

static const char *const indices[] = { "pid", NULL };

static const char *const processes_rest_on[] = {
	"_EPROCESS.UniqueProcessId", "_EPROCESS.ActiveProcessLinks", "_EPROCESS.ImageFileName", "_EPROCESS.CreateTime",
	"_EPROCESS.InheritedFromUniqueProcessId", "_EPROCESS.Peb", "_KPROCESS.DirectoryTableBase", NULL
};

static const struct table processes = {
	.name = "processes", .key = "process_id", .doc = "process objects, however found", .indices = indices,
	.rests_on = processes_rest_on,
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
		[SESSION_ID] = { "session_id", COL_INT, "of the session that it is in; where that can't be read, of its token" },
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
		[IN_THREADS] = { "in_thread_scan", COL_BOOL, "owner of a thread, of PspCidTable or in a pool block" },
		[IN_SESSION] = { "in_session_list", COL_BOOL, "in its session's list" },
		[DERIVED] = COLUMN_DERIVED,
		[IN_TABLES] = { "in_handle_table_list", COL_BOOL, "owner of a handle table of HandleTableListHead" },
		[IN_CSRSS] = { "in_csrss_handles", COL_BOOL, "a csrss.exe has a handle to it" },
		[IN_HANDLES] = { "in_handle_tables", COL_BOOL, "another process has a handle to it" },
		[STATE] = { "state", COL_TEXT, "live or exited; what is left of freed ones is in `remnants`" },
		[EXITED_TOKEN] = { "exited_token", COL_JSON, "groups and privileges that the token of an exited process still has; "
				   "those of live ones are in `groups` and `privileges`" },
		[IN_FRAMES] = { "in_frame_database", COL_BOOL, "owner of a page-table root, by MmPfnDatabase" },
		[JOB] = { "job", COL_ADDRESS, "the _EJOB it is in; NULL: in none" },
		[TOKEN] = { "token", COL_ADDRESS, "the _TOKEN it acts with: each process has one of its own" },
		[DEBUG_PORT] = { "debug_port", COL_ADDRESS, "the _DEBUG_OBJECT of the debugger that is attached; NULL: none is" },
		[IMAGE_BASE32] = { "image_base32", COL_ADDRESS, "PEB32.ImageBaseAddress, of a 32-bit process" },
		[PEB32_IMAGE_PATH] = { "peb32_image_path", COL_TEXT, "ProcessParameters.ImagePathName of its 32-bit PEB" },
		[CALLBACK_TABLE] = { "kernel_callback_table", COL_ADDRESS, "PEB.KernelCallbackTable: functions that win32k calls, a table of user32; NULL: none yet" },
		[SECTION_AREA] = { "section_control_area", COL_ADDRESS, "of the section it was made from: vads.control_area at its image" },
		[PICO] = { "pico", COL_BOOL, "a process of another system's program, which a driver runs (WSL 1)" },
	},
};

/* _PS_PROTECTION: who protects, and how much (ntddk.h, PS_PROTECTED_TYPE and PS_PROTECTED_SIGNER). */
static char *protection_text(uint8_t level)
{
	static const char *const types[] = { "", "Light", "Full" };
	static const char *const signers[] = {
		"None", "Authenticode", "CodeGen", "Antimalware", "Lsa", "Windows", "WinTcb", "WinSystem", "App",
	};
	unsigned type = level & 7, signer = level >> 4;

	if (!level || type >= G_N_ELEMENTS(types) || signer >= G_N_ELEMENTS(signers))
		return level ? g_strdup_printf("0x%02x", level) : NULL;
	return g_strdup_printf("%s-%s", signers[signer], types[type]);
}

/* 0: not known. */
static uint64_t section_control_area(struct context *c, const struct object *proc)
{
	uint64_t section = 0, segment = 0, area = 0;

	if (READ(*proc, eprocess.SectionObject, &section) || !section)
		return 0;
	struct object object = object_at(c->space, section), u1 = MEMBER(object, section.u1);
	if (u1.va.v && !read_pointer(c->space, u1.va, &area))
		return area & ~UINT64_C(3);	/* u1.ControlArea shares its low bits with flags */
	if (READ(object, section_object.Segment, &segment))
		return 0;
	struct object old = object_at(c->space, segment);
	return READ(old, segment.ControlArea, &area) ? 0 : area;
}

/* The file behind the process's section, of that control area: what was really started, whatever the PEB says. */
static enum fault image_path(struct context *c, const struct object *proc, uint64_t area, char **out)
{
	uint64_t file = 0;
	enum fault fault;

	if (!READ(*proc, eprocess.ImageFilePointer, &file) && file && !read_file_name(c->space, (va_t){ file }, out))
		return FAULT_NONE;
	struct object control = object_at(c->space, area), pointer = MEMBER(control, control_area.FilePointer);
	if (area && pointer.va.v && !read_pointer(c->space, pointer.va, &file) && fast_ref(c->space, file) &&
	    !read_file_name(c->space, (va_t){ fast_ref(c->space, file) }, out))
		return FAULT_NONE;
	/* What the kernel wrote down for auditing when the process was made. */
	struct object audit = MEMBER(*proc, eprocess.SeAuditProcessCreationInfo);
	uint64_t information = 0;
	if ((fault = READ(audit, se_audit_process_creation_info.ImageFileName, &information)))
		return fault;
	struct object name = object_at(c->space, information), text = MEMBER(name, object_name_information.Name);
	if (!information || (fault = read_unicode_string(&text, 0xfffe, out)))
		return information ? fault : FAULT_NONE;
	if (!**out)
		g_clear_pointer(out, g_free);
	return FAULT_NONE;
}

static void put_string(struct row *row, int column, const struct object *string, const char *what)
{
	g_autofree char *text = NULL;
	enum fault fault = string->va.v ? read_unicode_string(string, 0xfffe, &text) : FAULT_NO_FIELD;

	if (fault)
		row_fault(row, column, fault, string->va, what);
	row_text(row, column, text);
}

/* PEB.KernelCallbackTable has stood there, in 64 and in 32 bits, since Windows 2000. */
enum { PEB_CALLBACK_TABLE = 0x58, PEB_CALLBACK_TABLE_32 = 0x2c };

static void put_peb(struct row *row, struct space *user, struct process *process)
{
	struct object peb = object_at(user, process->peb.v);
	uint64_t parameters_va = 0, table = 0;

	if (!read_pointer(user, (va_t){ process->peb.v + (space_pointer_size(user) == 8 ? PEB_CALLBACK_TABLE : PEB_CALLBACK_TABLE_32) }, &table) && table)
		row_address(row, CALLBACK_TABLE, table);
	PUT_READ(row, IMAGE_BASE, peb, peb.ImageBaseAddress, &process->image_base.v);
	enum fault fault = READ(peb, peb.ProcessParameters, &parameters_va);
	if (fault || !parameters_va) {
		fault = fault ? fault : FAULT_IMPLAUSIBLE;
		row_fault(row, COMMAND_LINE, fault, peb.va, "_PEB.ProcessParameters");
		row_fault(row, PEB_IMAGE_PATH, fault, peb.va, "_PEB.ProcessParameters");
		row_fault(row, CURRENT_DIRECTORY, fault, peb.va, "_PEB.ProcessParameters");
		return;
	}
	struct object parameters = object_at(user, parameters_va);
	struct object line = MEMBER(parameters, rtl_user_process_parameters.CommandLine);
	struct object path = MEMBER(parameters, rtl_user_process_parameters.ImagePathName);
	struct object directory = MEMBER(parameters, rtl_user_process_parameters.CurrentDirectory), dos = MEMBER(directory, curdir.DosPath);
	put_string(row, COMMAND_LINE, &line, "_RTL_USER_PROCESS_PARAMETERS.CommandLine");
	put_string(row, PEB_IMAGE_PATH, &path, "_RTL_USER_PROCESS_PARAMETERS.ImagePathName");
	put_string(row, CURRENT_DIRECTORY, &dos, "_RTL_USER_PROCESS_PARAMETERS.CurrentDirectory");
}

/* RTL_USER_PROCESS_PARAMETERS.ImagePathName of 32-bit processes, as ntdll's symbols have had it since Windows XP. */
enum { PARAMETERS32_IMAGE_PATH = 0x38 };

static void put_peb32(struct row *row, struct space *user, const struct process *process)
{
	struct object peb = object_at(user, process->peb32.v);
	uint32_t base = 0, parameters = 0;
	g_autofree char *path = NULL;

	if (!READ(peb, peb32.ImageBaseAddress, &base))
		row_address(row, IMAGE_BASE32, base);
	if (!READ(peb, peb32.ProcessParameters, &parameters) && parameters &&
	    !read_unicode_string32(user, (va_t){ (uint64_t)parameters + PARAMETERS32_IMAGE_PATH }, 0xfffe, &path) && *path)
		row_text(row, PEB32_IMAGE_PATH, path);
}

/* A page-table root that leads to the kernel is one; a smeared or wiped one isn't. */
static bool usable(struct context *c, struct space *user)
{
	struct page page;
	uint8_t scratch[PAGE_SIZE];

	if (!c->kernel->physical_only && !c->kernel->rescue)
		return !space_page(user, c->kernel->base, &page) && page_resident(&page);
	/* Every root maps itself through one entry of the kernel's half (PAE's has four entries, and none of these). */
	const uint8_t *root = image_page(c->image, user->dtb, scratch);
	if (paging_is_32bit(c->kernel->paging))
		return root != NULL;
	for (unsigned i = 256; root && i < 512; i++) {
		uint64_t entry;
		memcpy(&entry, root + 8 * i, 8);
		if ((entry & 1) && (entry & UINT64_C(0x000ffffffffff000)) == user->dtb.v)
			return true;
	}
	return false;
}

static void put_wow64(struct context *c, struct row *row, const struct object *proc, struct process *process)
{
	uint64_t wow = 0, peb32 = 0;

	if (HAS(*proc, eprocess.WoW64Process)) {	/* Windows 10: a structure of its own */
		if (!READ(*proc, eprocess.WoW64Process, &wow) && wow) {
			struct object w = object_at(c->space, wow);
			(void)!READ(w, ewow64process.Peb, &peb32);
		}
	} else if (!READ(*proc, eprocess.Wow64Process, &wow) && wow) {
		/* The 32-bit PEB itself before Windows 8.1, a structure that starts with it since. */
		peb32 = wow;
		if (space_is_kernel(c->space, (va_t){ wow })) {
			struct object w = object_at(c->space, wow);
			if (READ(w, ewow64process.Peb, &peb32))
				(void)!read_pointer(c->space, w.va, &peb32);
		}
	}
	process->wow64 = wow != 0;
	process->peb32.v = peb32;
	/* A derived layout may lack it: then whether it is one isn't known. 32-bit Windows has no such processes. */
	if (space_pointer_size(c->space) == 8 && !HAS(*proc, eprocess.WoW64Process) && !HAS(*proc, eprocess.Wow64Process))
		row_fault(row, WOW64, FAULT_NO_FIELD, proc->va, "_EPROCESS.WoW64Process");
	else
		row_int(row, WOW64, process->wow64);
	if (peb32)
		row_address(row, PEB32, peb32);
}

static void put_handle_count(struct context *c, struct row *row, const struct object *proc)
{
	uint64_t table_va = 0;
	uint32_t count;

	if (READ(*proc, eprocess.ObjectTable, &table_va) || !table_va)
		return;		/* gone with the process */
	struct object table = object_at(c->space, table_va);
	struct object list = MEMBER(table, handle_table.FreeLists);
	enum fault fault = READ(table, handle_table.HandleCount, &count);
	if (fault == FAULT_NO_FIELD)	/* newer kernels count in the list of free entries */
		fault = READ(list, handle_table_free_list.HandleCount, &count);
	if (fault)
		row_fault(row, HANDLE_COUNT, fault, table.va, "_HANDLE_TABLE.HandleCount");
	else
		row_int(row, HANDLE_COUNT, count);
}

static enum fault token_session(const struct object *proc, uint32_t *id)
{
	uint64_t token = 0;
	enum fault fault = READ(*proc, eprocess.Token, &token);
	struct object at = object_at(proc->space, fast_ref(proc->space, token));

	return fault ? fault : READ(at, token.SessionId, id);
}

static void put_user_side(struct context *c, struct row *row, const struct object *proc, struct process *process, bool gone)
{
	AUTO(space) user = space_of_process(c->space, c->kernel->paging, process->dtb);
	uint64_t session = 0;

	user->rescue = process->rescue;
	process->user_readable = process->rescue || (process->dtb.v && usable(c, user));
	if (!READ(*proc, eprocess.Session, &session) && session) {
		/* Session space is mapped in the tables of the session's processes alone. */
		struct object in_user = object_at(user, session), in_kernel = object_at(c->space, session);
		uint32_t id;
		enum fault fault = READ(in_user, mm_session_space.SessionId, &id);
		/* Build 26100 has another structure there, which is published nowhere; a process is put into its token's session. */
		if (!fault || !READ(in_kernel, mm_session_space.SessionId, &id) || !token_session(proc, &id))
			row_int(row, SESSION_ID, id);
		else
			row_fault(row, SESSION_ID, fault, in_user.va, "_MM_SESSION_SPACE.SessionId");
	}
	process->user_readable &= !gone;
	if (gone || !process->peb.v || c->image->facts.no_user_memory)
		return;
	if (!process->user_readable) {
		row_fault(row, COMMAND_LINE, FAULT_NOT_IN_DUMP, (va_t){ process->dtb.v }, "the process's page tables");
		return;
	}
	put_peb(row, user, process);
	if (process->wow64 && process->peb32.v)
		put_peb32(row, user, process);
}

static void put_exited_token(struct row *row, const struct token_info *token)
{
	json_t *sids = json_array(), *luids = json_array(), *detail = json_pack("{s:o, s:o}", "groups", sids, "privileges", luids);

	for (guint i = 0; i < token->groups->len; i++)
		json_array_append_new(sids, json_string(g_array_index(token->groups, struct token_group, i).sid));
	for (unsigned luid = 0; luid < 64; luid++)
		if (token->present >> luid & 1)
			json_array_append_new(luids, json_integer(luid));
	char *text = json_dumps(detail, JSON_COMPACT);
	row_text(row, EXITED_TOKEN, text);
	free(text);
	json_decref(detail);
}

static void put_token(struct context *c, struct row *row, const struct object *proc, bool exited)
{
	struct token_info token;
	va_t at;

	if (process_token(c->space, proc->va, &at) || !at.v)
		return;		/* the plugin `tokens` says why */
	row_address(row, TOKEN, at.v);
	token_read(c->space, at, &token);
	row_text(row, USER_SID, token.user_sid);
	row_text(row, INTEGRITY, token.integrity_level);
	if (exited && token.groups->len)
		put_exited_token(row, &token);
	token_info_clear(&token);
}

/* The process is to be filled; takes it and `rescue`, which may be NULL. */
static struct row *put_process(struct context *c, const struct object *proc, struct process *process, struct rescue *rescue)
{
	struct row *row = row_new(c, &processes);
	struct object pcb = MEMBER(*proc, eprocess.Pcb);
	uint64_t exit = 0, user_dtb = 0, job = 0, debug_port = 0;
	char name[17] = "";
	struct page page;
	uint8_t level;
	uint32_t threads = 0, pico = 0;
	bool gone = false;
	g_autofree char *path = NULL;
	enum fault fault;

	context_add_process(c, process, row);
	process->eprocess = proc->va;
	process->rescue = rescue;
	row_address(row, EPROCESS, proc->va.v);
	if (!space_page(c->space, proc->va, &page) && page_resident(&page)) {
		process->physical.v = page.pa.v + (proc->va.v - page.va.v);
		row_address(row, PHYSICAL, process->physical.v);
	}
	PUT_READ(row, PID, *proc, eprocess.UniqueProcessId, &process->pid);
	PUT_READ(row, PPID, *proc, eprocess.InheritedFromUniqueProcessId, &process->ppid);
	struct object name_at = MEMBER(*proc, eprocess.ImageFileName);
	unsigned length = MIN(c->kernel->layout->eprocess.ImageFileName.size, 16u);
	if (name_at.va.v && !(fault = space_read(c->space, name_at.va, name, MIN(length, 15u), NULL)))
		process->name = text_from_bytes(name, MIN(length, 15u));
	else
		row_fault(row, NAME, name_at.va.v ? fault : FAULT_NO_FIELD, name_at.va, "_EPROCESS.ImageFileName");
	row_text(row, NAME, process->name);
	PUT(row, CREATE_TIME, *proc, eprocess.CreateTime);
	if (PUT_READ(row, EXIT_TIME, *proc, eprocess.ExitTime, &exit) && exit) {
		process->exited = true;
		PUT(row, EXIT_STATUS, *proc, eprocess.ExitStatus);
	}
	row_text(row, STATE, process->exited ? "exited" : "live");
	if (!READ(*proc, eprocess.Job, &job) && job)
		row_address(row, JOB, job);
	if (!READ(*proc, eprocess.DebugPort, &debug_port) && debug_port)
		row_address(row, DEBUG_PORT, debug_port);
	uint64_t area = section_control_area(c, proc);
	if (area)
		row_address(row, SECTION_AREA, area);
	if (!READ(*proc, eprocess.PicoCreated, &pico))
		row_int(row, PICO, pico != 0);
	if ((fault = image_path(c, proc, area, &path)) && fault != FAULT_NO_FIELD)
		row_fault(row, IMAGE_PATH, fault, proc->va, "the process's section and file");
	row_text(row, IMAGE_PATH, path);
	/* An exited process has no address space: what its fields still say of one is stale. */
	if (process->exited && !READ(*proc, eprocess.ActiveThreads, &threads) && !threads)
		gone = true;
	if (!gone)
		PUT_READ(row, PEB, *proc, eprocess.Peb, &process->peb.v);
	put_wow64(c, row, proc, process);
	if (!READ(pcb, kprocess.DirectoryTableBase, &process->dtb.v)) {
		process->dtb = paging_dtb(c->kernel->paging, process->dtb.v);
		row_address(row, DTB, process->dtb.v);
	}
	if (!READ(pcb, kprocess.UserDirectoryTableBase, &user_dtb) && user_dtb > PAGE_MASK)
		row_address(row, USER_DTB, paging_dtb(c->kernel->paging, user_dtb).v);
	PUT(row, SECTION_BASE, *proc, eprocess.SectionBaseAddress);
	PUT(row, ACTIVE_THREADS, *proc, eprocess.ActiveThreads);
	put_handle_count(c, row, proc);
	struct object protection = MEMBER(*proc, eprocess.Protection);
	if (!READ(protection, ps_protection.Level, &level)) {
		g_autofree char *text = protection_text(level);
		row_text(row, PROTECTION, text);
	}
	put_token(c, row, proc, process->exited);
	put_user_side(c, row, proc, process, gone);
	if (path && strlen(path) > FIXED_process_path)
		row_note(row, FAULT_LIMIT, proc->va, "the image's path is too long to be kept (process_path): `modules` doesn't have it");
	else
		process->image_path = g_steal_pointer(&path);
	return row;
}

/* Where the list can't be followed to a process, a neighbour that links to it, as it does to the neighbour, shows it on the list. */
static bool linked(const struct context *c, const struct object *proc)
{
	struct object links = MEMBER(*proc, eprocess.ActiveProcessLinks);
	uint64_t next = 0, before = 0, back;

	if (!links.va.v || READ(links, list_entry.Flink, &next) || READ(links, list_entry.Blink, &before) || next == links.va.v)
		return false;
	struct object after = object_at(c->space, next), ahead = object_at(c->space, before);
	enum fault fault = READ(after, list_entry.Blink, &back);
	if (!fault && back != links.va.v)
		return false;
	if (READ(ahead, list_entry.Flink, &back))
		return !fault;
	return back == links.va.v;
}

static void put(struct context *c, const struct process_found *found, struct rescue *rescue)
{
	static const int columns[PROCESS_SOURCES] = {
		[SOURCE_ACTIVE] = IN_ACTIVE, [SOURCE_CID] = IN_CID, [SOURCE_POOL] = IN_POOL, [SOURCE_THREADS] = IN_THREADS,
		[SOURCE_SESSION] = IN_SESSION, [SOURCE_TABLES] = IN_TABLES, [SOURCE_CSRSS] = IN_CSRSS, [SOURCE_HANDLES] = IN_HANDLES,
		[SOURCE_FRAMES] = IN_FRAMES,
	};
	struct object proc = object_at(c->space, found->va.v);
	struct row *row = put_process(c, &proc, process_create(), rescue);

	for (unsigned i = 0; i < PROCESS_SOURCES; i++)
		if (found->asked >> i & 1)
			row_int(row, columns[i], found->in >> i & 1);
	if (!(found->asked >> SOURCE_ACTIVE & 1) && (c->kernel->rescue || c->image->bytes_missing) && linked(c, &proc))
		row_int(row, IN_ACTIVE, 1);
}

/* Is the root of any process's page tables missing, though the pages of processes should be there? */
static bool tables_lost(struct context *c, const GArray *owners)
{
	bool lost = c->kernel->rescue || c->image->bytes_missing || c->kernel->physical_only;
	uint8_t scratch[PAGE_SIZE];

	for (guint i = 0; i < owners->len && !lost; i++) {
		pa_t dtb = g_array_index(owners, struct rescue_owner, i).dtb;
		lost = dtb.v && !image_page(c->image, dtb, scratch);
	}
	return lost;
}

static void note_half_over(struct context *c)
{
	if (context_half_over(c))
		context_note(c, FAULT_TIMEOUT, (va_t){ 0 }, "processes", "half of the time was over before the handles and sessions of all processes, and page "
			     "tables that are lost, were looked through: a process that only they lead to is missing");
}

/*
 * What can be told of user memory whose page tables are not in the dump: for each process object in its order a struct rescue * or
 * NULL. NULL: nothing is lost, or nothing helps.
 */
static GPtrArray *rescue_all(struct context *c, const GArray *objects)
{
	g_autoptr(GArray) owners = g_array_new(FALSE, TRUE, sizeof(struct rescue_owner));
	unsigned helped = 0;

	if (c->kernel->paging != PAGING_X64 || c->image->facts.no_user_memory || c->space->layout->pointer_size != 8)
		return NULL;
	for (guint i = 0; i < objects->len; i++) {
		struct object proc = g_array_index(objects, struct object, i), pcb = MEMBER(proc, eprocess.Pcb);
		struct rescue_owner owner = { .pid = 0 };
		uint64_t exit = 0;
		if (READ(proc, eprocess.ExitTime, &exit) || !exit) {
			(void)!READ(pcb, kprocess.DirectoryTableBase, &owner.dtb.v);
			(void)!READ(proc, eprocess.Peb, &owner.peb.v);
			(void)!READ(proc, eprocess.SectionBaseAddress, &owner.section_base.v);
			(void)!READ(proc, eprocess.UniqueProcessId, &owner.pid);
		}
		owner.dtb = paging_dtb(c->kernel->paging, owner.dtb.v);
		g_array_append_val(owners, owner);
	}
	if (!tables_lost(c, owners))
		return NULL;
	bool cut;
	GPtrArray *all = rescue_user(c, owners, &cut);
	g_ptr_array_set_free_func(all, (GDestroyNotify)rescue_destroy);
	for (guint i = 0; i < all->len; i++)
		helped += g_ptr_array_index(all, i) != NULL;
	if (cut)
		context_note(c, FAULT_LIMIT, (va_t){ 0 }, "processes", "page tables of processes that could be found again are more than are looked for or kept (rescue_pages, "
			     "rescue_tables or rescue_looks)");
	context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "processes", "page tables of processes are missing: of %u of %u processes some were found again by pages that "
		     "tell their own addresses", helped, all->len);
	return all;
}

static struct rescue *taken(GPtrArray *rescues, guint i)
{
	return rescues ? g_steal_pointer(&rescues->pdata[i]) : NULL;
}

/*
 * Where an object lies by its own account: an empty list head points to itself. For dumps whose
 * kernel page tables are lost. 0: it doesn't say, or says what can't be.
 */
static va_t own_address(const struct object *proc)
{
	struct object pcb = MEMBER(*proc, eprocess.Pcb), header = MEMBER(pcb, kprocess.Header);
	struct object heads[] = { MEMBER(pcb, kprocess.ProfileListHead), MEMBER(header, dispatcher_header.WaitListHead) };

	for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
		uint64_t next, back, offset = heads[i].va.v - proc->va.v;
		if (heads[i].va.v && !READ(heads[i], list_entry.Flink, &next) && !READ(heads[i], list_entry.Blink, &back) && next == back &&
		    (next >> 63 || proc->space->layout->pointer_size == 4) && ((next - offset) & PAGE_MASK) == (proc->va.v & PAGE_MASK))
			return (va_t){ next - offset };
	}
	return (va_t){ 0 };
}

/* Objects by physical address alone. */
static void put_physical(struct context *c, const GArray *candidates)
{
	g_autoptr(GHashTable) done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GArray) objects = g_array_new(FALSE, FALSE, sizeof(struct object)), addresses = g_array_new(FALSE, FALSE, sizeof(va_t));

	for (guint i = 0; i < candidates->len && !context_cancelled(c); i++) {
		const struct process_candidate *p = &g_array_index(candidates, struct process_candidate, i);
		struct object proc = object_at(c->space, p->object.pa.v);
		va_t own = own_address(&proc);
		if (p->object.freed || !p->dtb.v || !own.v || !g_hash_table_add(done, g_memdup2(&own.v, sizeof(own.v))))
			continue;
		g_array_append_val(objects, proc);
		g_array_append_val(addresses, own);
	}
	g_autoptr(GPtrArray) rescues = rescue_all(c, objects);
	note_half_over(c);
	for (guint i = 0; i < objects->len && !context_cancelled(c); i++) {
		const struct object *proc = &g_array_index(objects, struct object, i);
		struct process *process = process_create();
		struct row *row = put_process(c, proc, process, taken(rescues, i));
		process->eprocess = g_array_index(addresses, va_t, i);
		row_address(row, EPROCESS, process->eprocess.v);
		row_address(row, PHYSICAL, proc->va.v);
		row_int(row, IN_POOL, 1);
	}
}

static bool run(struct context *c, GError **error)
{
	g_autoptr(GArray) candidates = process_candidates(c);

	(void)error;
	if (c->image->facts.no_user_memory)
		context_note(c, FAULT_NOT_IN_DUMP, (va_t){ 0 }, "processes", "skipped: user memory not in dump: command lines and what else a PEB says");
	if (c->kernel->physical_only) {
		put_physical(c, candidates);
		return true;
	}
	g_autoptr(GArray) found = process_set_find(c, candidates), objects = g_array_new(FALSE, FALSE, sizeof(struct object));
	for (guint i = 0; i < found->len; i++) {
		struct object proc = object_at(c->space, g_array_index(found, struct process_found, i).va.v);
		g_array_append_val(objects, proc);
	}
	g_autoptr(GPtrArray) rescues = rescue_all(c, objects);
	note_half_over(c);
	for (guint i = 0; i < found->len && !context_cancelled(c); i++)
		put(c, &g_array_index(found, struct process_found, i), taken(rescues, i));
	if (!c->processes->len && c->image->bytes_present && !context_cancelled(c))
		context_note(c, FAULT_IMPLAUSIBLE, (va_t){ 0 }, "processes", "no process was found, and no machine runs without: the page tables or the objects are not as they were");
	return true;
}

const struct plugin plugin_processes = {
	.name = "processes",
	.doc = "process objects and what each says of itself",
	.fills = { &processes },
	.sweeps = process_set_sweeps,
	.needs_layout = true,
	.run = run,
};
