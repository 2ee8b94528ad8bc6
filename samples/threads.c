/* SPDX-License-Identifier: Apache-2.0 */
/* Thread objects, their kernel stacks, and the lists they are on. */
#include <string.h>
#include "sample.h"

/* An address: 0x…, MODULE!EXPORT or MODULE+0x…; kernel modules too. */
uint64_t process_address(struct sample *s, const struct sample_process *p, struct item *item, const char *text)
{
	size_t n = strcspn(text, "!+");
	g_autofree char *module = g_strndup(text, n);

	if (g_str_has_prefix(text, "0x"))
		return g_ascii_strtoull(text, NULL, 0);
	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		if (!g_ascii_strcasecmp(d->name, module) && text[n] == '+')
			return d->base + g_ascii_strtoull(text + n + 1, NULL, 0);
	}
	for (guint i = 0; i < p->vads->len; i++) {
		const struct sample_vad *v = &g_array_index(p->vads, struct sample_vad, i);
		if (!v->image || g_ascii_strcasecmp(strrchr(v->file->path, '\\') + 1, module))
			continue;
		if (text[n] == '+')
			return v->start + g_ascii_strtoull(text + n + 1, NULL, 0);
		uint32_t rva = text[n] == '!' ? executable_export(v->file->executable, text + n + 1) : v->file->executable->entry_point;
		if (rva)
			return v->start + rva;
	}
	item_fail(item, "\"%s\": no such module or export in process %" G_GUINT64_FORMAT, text, p->pid);
}

static uint64_t user_thread_start(const struct sample_process *p, unsigned width)
{
	for (guint i = 0; i < p->vads->len; i++) {
		const struct sample_vad *v = &g_array_index(p->vads, struct sample_vad, i);
		if (v->image && (v->file->executable->is_64bit || width == 4) && g_str_has_suffix(v->file->path, "\\ntdll.dll"))
			return v->start + executable_export(v->file->executable, "RtlUserThreadStart");
	}
	return 0;
}

/* Whose memory it has: the process of that pid, which was described before, or its own. */
static uint64_t attached_to(struct sample *s, const struct sample_process *p, struct item *item)
{
	if (!item_has(item, "attached"))
		return p->eprocess;
	for (guint i = 0; i < s->processes->len; i++) {
		const struct sample_process *other = s->processes->pdata[i];
		if (other->pid == item_number(item, "attached", 0))
			return other->eprocess;
	}
	item_fail(item, "attached: no process before this one has that pid");
}

static void thread_create(struct sample *s, struct sample_process *p, struct item *item, unsigned number)
{
	const struct layout *l = s->layout;
	bool kernel = p->kernel_only;
	g_autofree char *entry = p->main_image ? g_strdup(strrchr(p->main_image->path, '\\') + 1) : NULL;
	const char *start = item_text(item, "start", kernel ? "ntoskrnl.exe+0x101080" : entry ? entry : "ntdll.dll!RtlUserThreadStart");
	uint64_t created = GET(s, p->eprocess, eprocess.CreateTime) + 10000 * (number + 1), at, stack, stack_pages = 2;
	struct sample_thread thread = { 0, item_number(item, "tid", s->next_thread), 0, item_flag(item, "unlinked"), item_flag(item, "no-cid"),
					item_flag(item, "untagged"), item_text(item, "calls", "") };

	s->next_thread = MAX(s->next_thread, thread.tid + 4);
	at = thread.ethread = object_alloc(s, OBJECT_THREAD, l->ethread.size_, NULL, 0);
	SET(s, at + OFFSET(s, kthread.Header), dispatcher_header.Type, 6);
	SET(s, at + OFFSET(s, kthread.Header), dispatcher_header.Size, l->kthread.size_ / 4);
	list_init(s, ROOT(s), at + OFFSET(s, kthread.Header) + OFFSET(s, dispatcher_header.WaitListHead));
	stack = kernel_pages(s, (unsigned)stack_pages);
	uint64_t base = stack + stack_pages * PAGE_SIZE;
	SET(s, at, kthread.InitialStack, base - 0x200);
	SET(s, at, kthread.StackBase, base);
	SET(s, at, kthread.StackLimit, stack);
	SET(s, at, kthread.KernelStack, base - 0x600);
	g_auto(GStrv) calls = g_strsplit(thread.calls, ",", -1);
	for (unsigned i = 0; calls[i]; i++)	/* return addresses, with something else between them */
		memory_put(s->memory, ROOT(s), base - 0x600 + 2 * s->width * (i + 1), process_address(s, p, item, calls[i]), s->width);
	if (item_has(item, "rip")) {	/* where it left user mode: a trap frame on top of its stack */
		uint64_t frame = base - 0x400;
		SET(s, at, kthread.TrapFrame, frame);
		uint64_t rip = process_address(s, p, item, item_required(item, "rip"));
		SET(s, frame, ktrap_frame.SegCs, s->width == 4 ? 0x1b : 0x33);
		SET(s, frame, ktrap_frame.Rip, rip);	/* one of the two, as the build has it */
		SET(s, frame, ktrap_frame.Eip, rip);
		SET(s, frame, ktrap_frame.Rsp, p->stacks);
		SET(s, frame, ktrap_frame.HardwareEsp, p->stacks);
	}
	SET(s, at, kthread.State, item_number(item, "state", 5));		/* Waiting */
	SET(s, at, kthread.WaitReason, item_number(item, "wait", 6));		/* UserRequest */
	SET(s, at, kthread.WaitMode, !kernel);
	SET(s, at, kthread.PreviousMode, !kernel);
	SET(s, at, kthread.Priority, 8);
	SET(s, at, kthread.BasePriority, 8);
	SET(s, at, kthread.Process, p->eprocess);
	uint64_t apc = at + OFFSET(s, kthread.ApcState);
	list_init(s, ROOT(s), apc + OFFSET(s, kapc_state.ApcListHead));
	list_init(s, ROOT(s), apc + OFFSET(s, kapc_state.ApcListHead) + 2 * s->width);
	const uint64_t attached = attached_to(s, p, item);
	SET(s, apc, kapc_state.Process, attached);
	list_append(s, ROOT(s), p->eprocess + OFFSET(s, kprocess.ThreadListHead), at + OFFSET(s, kthread.ThreadListEntry));
	SET(s, at, ethread.CreateTime, item_time(item, "create", created) << (HAS_FIELD(s, ethread.NestedFaultCount) ? 3 : 0));
	SET(s, at, ethread.ExitStatus, 0x103);
	uint64_t win32_start = process_address(s, p, item, start), user_start = user_thread_start(p, s->width);
	uint64_t system_start = item_has(item, "kernel-start") ? process_address(s, p, item, item_required(item, "kernel-start")) : user_start;
	SET(s, at, ethread.StartAddress, !kernel && system_start ? system_start : win32_start);
	SET(s, at, ethread.Win32StartAddress, item_number(item, "lpc", win32_start));
	SET(s, at, ethread.LpcReceivedMsgIdValid, item_has(item, "lpc"));
	SET(s, at + OFFSET(s, ethread.Cid), client_id.UniqueProcess, p->pid);
	SET(s, at + OFFSET(s, ethread.Cid), client_id.UniqueThread, thread.tid);
	SET(s, at, ethread.ThreadsProcess, p->eprocess);
	SET(s, at, ethread.SystemThread, kernel);
	if (HAS_FIELD(s, kthread.MiscFlags) && kernel && s->build < 9600)
		SET(s, at, ethread.CrossThreadFlags, 0x10);	/* a system thread's */
	list_append(s, ROOT(s), p->eprocess + OFFSET(s, eprocess.ThreadListHead), at + OFFSET(s, ethread.ThreadListEntry));
	if (!kernel) {
		thread.teb = user_teb(s, p, thread.tid);
		SET(s, at, kthread.Teb, thread.teb);
	}
	if (thread.unlinked) {
		list_remove(s, ROOT(s), at + OFFSET(s, kthread.ThreadListEntry));
		list_remove(s, ROOT(s), at + OFFSET(s, ethread.ThreadListEntry));
	}
	if (thread.untagged)
		pool_untag(s, object_block(s, at));
	if (!thread.no_cid)
		handle_table_put(s, s->handle_table, thread.tid, at, 0, true);
	g_array_append_val(p->threads, thread);
	if (!s->current_thread || (item && item_flag(item, "current"))) {
		s->current_thread = at;
		s->current_process = attached;
	}
}

void threads_init(struct sample *s, struct sample_process *p)
{
	unsigned n = 0;

	for (guint i = 0; p->item && i < p->item->children->len; i++)
		if (item_is(p->item->children->pdata[i], "thread"))
			thread_create(s, p, p->item->children->pdata[i], n++);
	if (!n)
		thread_create(s, p, NULL, n++);
	SET(s, p->eprocess, eprocess.ActiveThreads, n);
}
