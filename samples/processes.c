/* SPDX-License-Identifier: Apache-2.0 */
/* Process objects and the lists they are on. */
#include <string.h>
#include "sample.h"

static uint64_t session_of(struct sample *s, unsigned id)
{
	if (id >= G_N_ELEMENTS(s->sessions))
		g_error("builder: session %u", id);
	if (!s->sessions[id]) {
		unsigned pages = (s->layout->mm_session_space.size_ + PAGE_MASK) / PAGE_SIZE;
		uint64_t session = s->sessions[id] = kernel_pages(s, MAX(pages, 1));
		SET(s, session, mm_session_space.SessionId, id);
		if (HAS_FIELD(s, mm_session_space.ProcessList))
			list_init(s, ROOT(s), session + OFFSET(s, mm_session_space.ProcessList));
	}
	return s->sessions[id];
}

static void image_names(struct sample *s, struct sample_process *p, const char *path)
{
	g_autofree char *device = g_strconcat("\\Device\\HarddiskVolume3", below_volume(path), NULL);
	uint64_t information = pool_alloc(s, s->layout->object_name_information.size_, "SeOn", true);

	put_string(s, information + OFFSET(s, object_name_information.Name), device);
	SET(s, p->eprocess + OFFSET(s, eprocess.SeAuditProcessCreationInfo), se_audit_process_creation_info.ImageFileName, information);
}

/* The process's root while in user mode: its own half alone (kernel virtual address shadow). */
static void shadow(struct sample *s, struct sample_process *p)
{
	uint64_t root = memory_frame(s->memory, 0, 0, false);

	memcpy(s->memory->bytes + root, s->memory->bytes + p->root, 256 * 8);
	p->user_root = root;
	SET(s, p->eprocess, kprocess.UserDirectoryTableBase, root | 1);
}

static void kernel_part(struct sample *s, struct sample_process *p, unsigned number)
{
	struct item *item = p->item;
	uint64_t at = p->eprocess;
	unsigned session = (unsigned)item_number(item, "session", 0);
	const char *name = item_text(item, "name", "System"), *path = item_text(item, "path", NULL);
	uint64_t created = s->boot_time + (number ? UINT64_C(70000000) * number + random_of(s->seed, "create", p->pid) % 10000000 : 0);

	SET(s, at + OFFSET(s, kprocess.Header), dispatcher_header.Type, 3);
	SET(s, at + OFFSET(s, kprocess.Header), dispatcher_header.Size, s->layout->kprocess.size_ / 4);
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.Header) + OFFSET(s, dispatcher_header.WaitListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.ThreadListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.ProfileListHead));
	list_init(s, ROOT(s), at + OFFSET(s, eprocess.ThreadListHead));
	/* With KVAS the low bits of CR3 carry the PCID: 2 in the kernel, 1 in user mode. */
	SET(s, at, kprocess.DirectoryTableBase, p->root | (s->kernel_shadow ? 2 : 0));
	SET(s, at, eprocess.UniqueProcessId, p->pid);
	SET(s, at, eprocess.InheritedFromUniqueProcessId, item_number(item, "ppid", 0));
	SET(s, at, eprocess.CreateTime, item_time(item, "create", created));
	if (p->exited) {
		SET(s, at, eprocess.ExitTime, item_time(item, "exit", created + 600000000));
		SET(s, at, eprocess.ExitStatus, item_number(item, "status", 0));
		SET(s, at, eprocess.ProcessExiting, 1);
		SET(s, at, eprocess.ProcessDelete, 1);
	} else {
		SET(s, at, eprocess.ExitStatus, 0x103);
	}
	char short_name[15] = "";
	g_strlcpy(short_name, name, sizeof(short_name));
	memory_write(s->memory, ROOT(s), at + OFFSET(s, eprocess.ImageFileName), short_name, sizeof(short_name));
	SET(s, at, eprocess.Token, token_create(s, item, p->pid, session) | (2 * s->width - 1));
	if (item_flag(item, "debugger"))
		SET(s, at, eprocess.DebugPort, pool_alloc(s, 0x70, "DbgO", false));
	SET(s, at, eprocess.PicoCreated, item_flag(item, "pico"));
	SET(s, at, eprocess.Minimal, p->kernel_only && p->pid != 4 && s->build >= 10240);
	SET(s, at, eprocess.HighestUserAddress, s->width == 4 ? 0x7ffeffffu : s->build < 9600 ? UINT64_C(0x7fffffeffff) : UINT64_C(0x7ffffffeffff));
	SET(s, at, eprocess.Protection, item_number(item, "protection", p->pid == 4 ? 0x72 : 0));
	if (path)
		image_names(s, p, path);
	if (!p->kernel_only) {
		uint64_t space = session_of(s, session);
		session_map(s, p->root, session);
		SET(s, at, eprocess.Session, space);
		if (HAS_FIELD(s, mm_session_space.ProcessList) && !p->exited && !item_flag(item, "no-session"))
			list_append(s, ROOT(s), space + OFFSET(s, mm_session_space.ProcessList), at + OFFSET(s, eprocess.SessionProcessLinks));
	}
	if (!p->hidden)
		list_append(s, ROOT(s), GLOBAL(s, PsActiveProcessHead), at + OFFSET(s, eprocess.ActiveProcessLinks));
	else
		list_init(s, ROOT(s), at + OFFSET(s, eprocess.ActiveProcessLinks));
	if (s->layout->symbol.MmProcessList && s->layout->eprocess.MmProcessLinks.size)
		list_append(s, ROOT(s), GLOBAL(s, MmProcessList), at + OFFSET(s, eprocess.MmProcessLinks));
	if (!item_flag(item, "no-cid"))
		handle_table_put(s, s->handle_table, p->pid, at, 0, true);
}

const struct sample_process *token_owner(const struct sample *s, const struct sample_process *p)
{
	uint64_t of = p->item ? item_number(p->item, "token-of", 0) : 0;

	for (guint i = 0; of && i < s->processes->len; i++)
		if (((const struct sample_process *)s->processes->pdata[i])->pid == of)
			return s->processes->pdata[i];
	return p;
}

static void process_create(struct sample *s, struct item *item, unsigned number)
{
	struct sample_process *p = g_new0(struct sample_process, 1);

	p->item = item;
	p->pid = item_number(item, "pid", 4);
	p->kernel_only = !item || !item_has(item, "path");
	p->wow64 = item_flag(item, "wow64");
	p->exited = item_has(item, "exit") || item_flag(item, "exited");
	p->hidden = item_flag(item, "hidden");
	p->vads = g_array_new(FALSE, TRUE, sizeof(struct sample_vad));
	p->threads = g_array_new(FALSE, TRUE, sizeof(struct sample_thread));
	if (!p->pid || p->pid % 4)
		item_fail(item, "pid: a multiple of 4");
	for (guint i = 0; i < s->processes->len; i++)
		if (((struct sample_process *)s->processes->pdata[i])->pid == p->pid)
			item_fail(item, "pid: there is a process %" G_GUINT64_FORMAT " already", p->pid);
	p->root = p->pid == 4 ? s->memory->system_root : memory_new_root(s->memory);
	p->eprocess = object_alloc(s, OBJECT_PROCESS, s->layout->eprocess.size_, NULL, 0);
	if (item_flag(item, "untagged"))
		pool_untag(s, object_block(s, p->eprocess));
	g_ptr_array_add(s->processes, p);
	kernel_part(s, p, number);
	if (p->pid == 4)
		POINT_GLOBAL(s, PsInitialSystemProcess, p->eprocess);
	if (p->exited)
		return;
	if (!p->kernel_only)
		user_init(s, p);
	else if (item)
		vads_from_items(s, p);
	threads_init(s, p);
	if (!p->kernel_only)
		user_modules(s, p);
	vads_finish(s, p);
	if (s->kernel_shadow && p->pid != 4)
		shadow(s, p);
}

void processes_init(struct sample *s)
{
	bool system = false;
	unsigned number = 0;

	/* PspCidTable belongs to no process. */
	s->handle_table = handle_table_create(s, 0, 0);
	POINT_GLOBAL(s, PspCidTable, s->handle_table);
	for (guint i = 0; i < s->description->items->len; i++)
		system |= item_is(s->description->items->pdata[i], "process") && item_number(s->description->items->pdata[i], "pid", 0) == 4;
	if (!system)
		process_create(s, NULL, number++);
	for (guint i = 0; i < s->description->items->len; i++)
		if (item_is(s->description->items->pdata[i], "process"))
			process_create(s, s->description->items->pdata[i], number++);
	/* token-of=PID: the token of another process was put into this one. */
	for (guint i = 0; i < s->processes->len; i++) {
		struct sample_process *p = s->processes->pdata[i];
		const struct sample_process *owner = token_owner(s, p);
		if (owner != p)
			SET(s, p->eprocess, eprocess.Token, GET(s, owner->eprocess, eprocess.Token));
	}
	/* Handles may name any process: when all are there. */
	for (guint i = 0; i < s->processes->len; i++) {
		struct sample_process *p = s->processes->pdata[i];
		if (p->exited)
			continue;
		uint64_t table = handle_table_create(s, p->eprocess, p->pid);
		SET(s, p->eprocess, eprocess.ObjectTable, table);
		if (item_flag(p->item, "no-table"))
			list_remove(s, ROOT(s), table + OFFSET(s, handle_table.HandleTableList));
		handles_add(s, p, table);
	}
}
