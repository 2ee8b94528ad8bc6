/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an analysis of the dump should find, from the description and from what was laid
 * out: one line a row, fields separated by bars, as tests/golden compares it. It knows
 * nothing of how the analyzer comes to its rows. `expect` lines of the description are
 * passed on as they are.
 */
#include <string.h>
#include "sample.h"
#include "text.h"
#include "writers.h"

struct truth { struct sample *sample; GPtrArray *lines; bool kernel_only; };

static void line(struct truth *t, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void line(struct truth *t, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_ptr_array_add(t->lines, g_strdup_vprintf(format, arguments));
	va_end(arguments);
}

#define X G_GINT64_MODIFIER "x"
#define U G_GUINT64_FORMAT

static const char *session_text(char buffer[16], const struct sample_process *p)
{
	if (p->kernel_only)
		return "";
	g_snprintf(buffer, 16, "%u", (unsigned)item_number(p->item, "session", 0));
	return buffer;
}

static void process_line(struct truth *t, const struct sample_process *p)
{
	struct sample *s = t->sample;
	struct item *item = p->item;
	const char *path = item_text(item, "path", NULL), *image = item_text(item, "peb-path", path), *user, *integrity;
	bool in_user = !p->kernel_only && !p->exited && !t->kernel_only;
	char session[16];
	g_autofree char *device = path ? g_strconcat("\\Device\\HarddiskVolume3", below_volume(path), NULL) : g_strdup("");
	g_autofree char *created = text_from_filetime(GET(s, p->eprocess, eprocess.CreateTime));
	g_autofree char *ended = p->exited ? text_from_filetime(GET(s, p->eprocess, eprocess.ExitTime)) : g_strdup("");
	g_autofree char *name = g_strndup(item_text(item, "name", "System"), 14);

	const struct sample_process *owner = token_owner(s, p);
	token_facts(owner->item, owner->pid, owner->item ? (unsigned)item_number(owner->item, "session", 0) : 0, &user, &integrity);
	line(t, "processes|%" U "|%" U "|%s|%s|%s|%s|%s|%d|%s|%s|%u|%s|%s|%d", p->pid, item_number(item, "ppid", 0), name, device,
	     in_user ? image : "", in_user ? item_text(item, "cmdline", image) : "", session_text(session, p), p->wow64, created, ended,
	     p->threads->len, user, HAS_FIELD(s, token.IntegrityLevelIndex) ? integrity : "", !p->hidden);
}

struct counts { uint64_t pages, present, paged_out, executable, private_image; };

static void count_page(struct truth *t, const struct sample_process *p, const struct sample_vad *v, uint64_t n, struct counts *c)
{
	const struct sample *s = t->sample;
	uint64_t pte = memory_pte(s->memory, p->root, v->start + n * PAGE_SIZE);
	unsigned mm = pte >> (s->memory->paging == PAGING_ARM64 ? 1 : 5) & 7;
	/* Where pages can't be kept from execution, what was asked for counts. */
	bool meant = v->image || v->protection == MM_EXECUTE || (v->protection & 7) == MM_EXECUTE_READ ||
		     (v->protection & 7) == MM_EXECUTE_READWRITE;

	if (!pte)
		return;
	c->pages++;
	if (pte & PTE_VALID) {
		c->present++;
		c->executable += s->memory->paging == PAGING_X86 ? meant : !(pte & PTE_NX);
		c->private_image += v->file && (pte & PTE_FRAME) != v->file->frames[n];
		return;
	}
	if (s->pte_width == 4 && (pte & PTE_PROTOTYPE) && pte >> 12 != 0xfffff) {
		/* It has no protection of its own. The one form of an image's is that of resources, which nobody runs. */
		c->executable += meant && !v->image;
		c->present += v->file && v->file->frames[n];
		return;
	}
	c->executable += mm == MM_EXECUTE || mm == MM_EXECUTE_READ || mm == MM_EXECUTE_READWRITE || mm == MM_EXECUTE_WRITECOPY;
	if (pte & PTE_PROTOTYPE)
		c->present += v->file && v->file->frames[n];
	else if (pte & PTE_TRANSITION)
		c->present++;
	else
		c->paged_out += (pte & ~s->invalid_pte_mask) >> (s->pte_width == 4 ? 12 : 32) != 0;
}

static const char *protection_text(uint8_t mm)
{
	static const char *const names[8] = {
		[MM_READONLY] = "PAGE_READONLY", [MM_EXECUTE] = "PAGE_EXECUTE", [MM_EXECUTE_READ] = "PAGE_EXECUTE_READ",
		[MM_READWRITE] = "PAGE_READWRITE", [MM_WRITECOPY] = "PAGE_WRITECOPY",
		[MM_EXECUTE_READWRITE] = "PAGE_EXECUTE_READWRITE", [MM_EXECUTE_WRITECOPY] = "PAGE_EXECUTE_WRITECOPY",
	};

	return mm == 0x18 ? "PAGE_NOACCESS" : names[mm & 7];
}

/* Who knows of a process or thread: told where the page frame database is, which is asked last. */
static void source_lines(struct truth *t, const struct sample_process *p)
{
	bool threads = false, live = !p->exited;

	if (!item_flag(t->sample->machine, "frames"))
		return;
	for (guint i = 0; i < p->threads->len; i++) {
		const struct sample_thread *thread = &g_array_index(p->threads, struct sample_thread, i);
		threads |= !thread->no_cid || !thread->untagged;
		line(t, "thread_sources|%" U "|%d|%d|%d", thread->tid, !thread->unlinked, !thread->no_cid, !thread->untagged);
	}
	line(t, "sources|%" U "|%d|%d|%d|%d|%s|%d|1", p->pid, !p->hidden, !item_flag(p->item, "no-cid"), !item_flag(p->item, "untagged"), threads,
	     p->kernel_only || p->exited || !HAS_FIELD(t->sample, mm_session_space.ProcessList) ? "" : item_flag(p->item, "no-session") ? "0" : "1",
	     live && !item_flag(p->item, "no-table"));
}

static void vad_lines(struct truth *t, const struct sample_process *p)
{
	for (guint i = 0; i < p->vads->len; i++) {
		const struct sample_vad *v = &g_array_index(p->vads, struct sample_vad, i);
		struct counts c = { 0 };
		for (uint64_t n = 0; n < (v->end + 1 - v->start) / PAGE_SIZE; n++)
			count_page(t, p, v, n, &c);
		g_autofree char *counts = t->kernel_only ? g_strdup("") :
			g_strdup_printf("|%" U "|%" U "|%" U "|%" U "|%" U, c.pages, c.present, c.paged_out, c.executable, c.private_image);
		line(t, "vads|%" U "|0x%" X "|0x%" X "|%s|%s%s|%d|%" U "|%s%s%s", p->pid, v->start, v->end,
		     v->image ? "image" : v->is_private ? "private" : "mapped", v->image ? "PAGE_EXECUTE_WRITECOPY" : protection_text(v->protection),
		     v->protection & MM_GUARD && v->protection != 0x18 ? "|PAGE_GUARD" : "", v->is_private, v->commit,
		     v->file && v->file->path ? "\\Device\\HarddiskVolume3" : "", v->file && v->file->path ? v->file->path : "", counts);
	}
}

static void thread_lines(struct truth *t, const struct sample_process *p)
{
	for (guint i = 0; i < p->threads->len; i++) {
		const struct sample_thread *thread = &g_array_index(p->threads, struct sample_thread, i);
		line(t, "threads|%" U "|%" U "|0x%" X "|0x%" X "|%s%.0" X, p->pid, thread->tid,
		     GET(t->sample, thread->ethread, ethread.StartAddress), GET(t->sample, thread->ethread, ethread.Win32StartAddress),
		     thread->teb ? "0x" : "", thread->teb);
	}
}

/* kind: environment, or environment32 of a 32-bit PEB. */
static void environment_lines(struct truth *t, const struct sample_process *p, const char *kind)
{
	line(t, "%s|%" U "|COMPUTERNAME|%s", kind, p->pid, item_text(t->sample->machine, "computer", "SAMPLE"));
	line(t, "%s|%" U "|OS|Windows_NT", kind, p->pid);
	line(t, "%s|%" U "|Path|C:\\Windows\\system32;C:\\Windows", kind, p->pid);
	line(t, "%s|%" U "|SystemRoot|C:\\Windows", kind, p->pid);
	for (guint i = 0; i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		for (guint j = 0; item_is(item, "env") && j < item->attributes->len; j++) {
			const struct attribute *a = &g_array_index(item->attributes, struct attribute, j);
			line(t, "%s|%" U "|%s|%s", kind, p->pid, a->key, a->value);
		}
	}
}

static void handle_lines(struct truth *t, const struct sample_process *p)
{
	uint64_t next = 4;

	for (guint i = 0; p->item && !p->exited && i < p->item->children->len; i++) {
		struct item *item = p->item->children->pdata[i];
		if (!item_is(item, "handle"))
			continue;
		uint64_t value = item_number(item, "value", next);
		line(t, "handles|%" U "|%" U "|%s|0x%x", p->pid, value, item_text(item, "type", ""), (unsigned)item_number(item, "access", 0x1f0003));
		next = value + 4;
	}
}

/* True: nothing of it has a name, or says how large it is; what is left is its debug record, in what is mapped without a gap. */
static bool driver_source_line(struct truth *t, const struct sample_driver *d)
{
	struct sample *s = t->sample;
	struct item *item = NULL, *other;
	uint64_t end = d->base;

	for (guint i = 0; (other = description_next(s->description, &i, "driver")); )
		if (!strcmp(item_text(other, "name", ""), d->name))
			item = other;
	bool listed = !item_flag(item, "unlinked"), tagged = !item_flag(item, "untagged"), header = !item_flag(item, "headerless");
	bool object = d->object && (tagged || !item_flag(item, "no-directory")), record = !listed && !tagged && !header && !object;
	if (object)
		line(t, "driver_objects|\\Driver\\%.*s|0x%" X, (int)strcspn(d->name, "."), d->name, d->base);
	line(t, "driver_sources|%s|%d|%d|%d|%d|%s", record ? "" : d->name, listed, tagged, object, header, record ? "1" : "");
	if (!record)
		return false;
	while (memory_mapped(s->memory, s->memory->system_root, end))
		end += PAGE_SIZE;
	line(t, "drivers||0x%" X "|%" U "|", d->base, end - d->base);
	return true;
}

/* Its headers are there, and all know of it; nobody looks for headers there. */
static void session_line(struct truth *t, const struct sample_driver *d)
{
	line(t, "session_images|%s|intact|1|1|1||0", d->name);
}

static void kernel_lines(struct truth *t)
{
	struct sample *s = t->sample;
	g_autofree char *time = text_from_filetime(s->time);

	line(t, "dumps|%u|%s|0x%" X "|%s|0x%" X, s->build, time, s->kernel_base, s->layout->guid_age, s->memory->system_root);
	for (guint i = 0; i < s->drivers->len; i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		if (d->session)
			session_line(t, d);
		if (item_flag(s->machine, "frames") && driver_source_line(t, d))
			continue;
		line(t, "drivers|%s|0x%" X "|%" U "|%s", d->name, d->base, d->size, d->path);
	}
}

/* The way to the crash: where its thread was, and what `calls` left on its stack. */
static void stack_lines(struct truth *t, struct item *crash)
{
	struct sample *s = t->sample;

	if (!item_text(crash, "rip", NULL))
		line(t, "crash_stack|0|ntoskrnl.exe+0x%x", (unsigned)s->kernel->entry_point);
	for (guint i = 0; i < s->processes->len; i++) {
		const struct sample_process *p = s->processes->pdata[i];
		for (guint n = 0; n < p->threads->len; n++) {
			const struct sample_thread *thread = &g_array_index(p->threads, struct sample_thread, n);
			g_auto(GStrv) calls = g_strsplit(thread->ethread == s->current_thread ? thread->calls : "", ",", -1);
			for (unsigned c = 0; calls[c]; c++)
				line(t, "crash_stack|%u|%s", c + 1, calls[c]);
		}
	}
}

/* What the header of a crash dump says of the crash. */
static void crash_line(struct truth *t, const char *format, bool live)
{
	struct item *crash = description_item(t->sample->description, "crash");

	for (const struct writer *w = crash_writers; w->format; w++)
		if (!strcmp(w->format, format)) {
			line(t, "crash|0x%" X "|0x%" X "|0x%" X "|0x%" X "|0x%" X, item_number(crash, "code", live ? 0x161 : 0xe2),
			     item_number(crash, "p1", 0), item_number(crash, "p2", 0), item_number(crash, "p3", 0), item_number(crash, "p4", 0));
			stack_lines(t, crash);
		}
}

static void unloaded_line(struct truth *t, struct item *item)
{
	uint64_t start = item_number(item, "start", 0);
	g_autofree char *time = text_from_filetime(item_time(item, "time", t->sample->boot_time));

	line(t, "unloaded_drivers|%s|0x%" X "|0x%" X "|%s", item_text(item, "name", ""), start, start + item_number(item, "size", 0x9000), time);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char *sample_truth(struct sample *s)
{
	struct truth t = { s, g_ptr_array_new_with_free_func(g_free), false };
	struct item *output = description_item(s->description, "output");
	static const char *const kernel_formats[] = { "kernel", "bitmap-kernel", "automatic", "debugger-kernel" };
	GString *text = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(kernel_formats); i++)
		t.kernel_only |= !strcmp(item_text(output, "format", "raw"), kernel_formats[i]) && !item_flag(output, "live") && !item_flag(output, "active");
	kernel_lines(&t);
	for (guint i = 0; i < s->processes->len; i++) {
		const struct sample_process *p = s->processes->pdata[i];
		process_line(&t, p);
		thread_lines(&t, p);
		source_lines(&t, p);
		handle_lines(&t, p);
		vad_lines(&t, p);
		if (p->kernel_only || p->exited || t.kernel_only)
			continue;
		environment_lines(&t, p, "environment");
		if (p->wow64)
			environment_lines(&t, p, "environment32");
		user_module_lines(p, t.lines);
	}
	integrity_lines(s, t.lines);
	remains_lines(s, t.lines);
	crash_line(&t, item_text(output, "format", "raw"), item_flag(output, "live"));
	for (guint i = 0; i < s->description->items->len; i++) {
		struct item *item = s->description->items->pdata[i];
		if (item_is(item, "unloaded"))
			unloaded_line(&t, item);
		if (item_is(item, "callback"))
			line(&t, "callbacks|%s|%s", item_text(item, "type", ""), item_text(item, "function", ""));
		for (guint j = 0; item_is(item, "expect") && j < item->attributes->len; j++) {
			struct attribute *a = &g_array_index(item->attributes, struct attribute, j);
			a->used = true;
			line(&t, "%s%s%s", a->key, a->value ? "=" : "", a->value ? a->value : "");
		}
	}
	g_ptr_array_sort(t.lines, compare);
	for (guint i = 0; i < t.lines->len; i++)
		g_string_append_printf(text, "%s\n", (char *)t.lines->pdata[i]);
	g_ptr_array_free(t.lines, TRUE);
	return g_string_free(text, FALSE);
}
