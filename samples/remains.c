/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only looks like a process: objects whose memory was given back (`remnant`), and copies of a live one that somebody
 * planted to mislead whoever searches pool (`decoy`).
 */
#include <string.h>
#include "sample.h"

#define U G_GUINT64_FORMAT

static void put_name(struct sample *s, uint64_t object, const char *name)
{
	char text[15] = "";

	g_strlcpy(text, name, sizeof(text));
	memory_write(s->memory, ROOT(s), object + OFFSET(s, eprocess.ImageFileName), text, sizeof(text));
}

/* Nothing but its block tells that it is gone. */
static void remnant(struct sample *s, struct item *item)
{
	uint64_t at = object_alloc(s, OBJECT_PROCESS, s->layout->eprocess.size_, NULL, 0), root = memory_frame(s->memory, 0, 0, false);

	SET(s, at + OFFSET(s, kprocess.Header), dispatcher_header.Type, 3);
	SET(s, at, kprocess.DirectoryTableBase, root);
	list_init(s, ROOT(s), at + OFFSET(s, eprocess.ThreadListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.ThreadListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.ProfileListHead));
	list_init(s, ROOT(s), at + OFFSET(s, eprocess.ActiveProcessLinks));
	SET(s, at, eprocess.UniqueProcessId, item_number(item, "pid", 0));
	SET(s, at, eprocess.InheritedFromUniqueProcessId, item_number(item, "ppid", 4));
	SET(s, at, eprocess.CreateTime, item_time(item, "create", s->boot_time + 10000000));
	put_name(s, at, item_required(item, "name"));
	pool_free(s, object_block(s, at));
}

/* What is copied: an object of this kind, of so many bytes. */
struct original { uint64_t at, size; enum object_kind kind; };

static struct original find_original(struct sample *s, struct item *item)
{
	const char *type = item_text(item, "type", "process");
	uint64_t of = item_number(item, "of", 4);

	for (guint i = 0; i < s->processes->len; i++) {
		const struct sample_process *p = s->processes->pdata[i];
		if (!strcmp(type, "process") && p->pid == of)
			return (struct original){ p->eprocess, s->layout->eprocess.size_, OBJECT_PROCESS };
		for (guint t = 0; t < p->threads->len && !strcmp(type, "thread"); t++)
			if (g_array_index(p->threads, struct sample_thread, t).tid == of)
				return (struct original){ g_array_index(p->threads, struct sample_thread, t).ethread, s->layout->ethread.size_, OBJECT_THREAD };
	}
	for (guint i = 0; i < s->drivers->len && !strcmp(type, "driver"); i++) {
		const struct sample_driver *d = s->drivers->pdata[i];
		if (!strcmp(d->name, item_text(item, "name", "")) && d->object)
			return (struct original){ d->object, s->layout->driver_object.size_, OBJECT_DRIVER };
	}
	item_fail(item, "of: there is no such %s", type);
}

/* All of an object in another block; what names its own address in the header (the type's index) is made right. */
static void decoy(struct sample *s, struct item *item)
{
	struct original original = find_original(s, item);
	uint64_t at = object_alloc(s, original.kind, original.size, NULL, 0);
	g_autofree uint8_t *bytes = g_malloc(original.size);

	memory_read(s->memory, ROOT(s), original.at, bytes, original.size);
	memory_write(s->memory, ROOT(s), at, bytes, original.size);
	if (original.kind == OBJECT_THREAD)
		SET(s, at + OFFSET(s, ethread.Cid), client_id.UniqueThread, item_number(item, "tid", 0));
	if (original.kind != OBJECT_PROCESS)
		return;
	SET(s, at, eprocess.UniqueProcessId, item_number(item, "pid", 4));
	put_name(s, at, item_text(item, "name", "decoy.exe"));
	if (!item_flag(item, "consistent"))
		return;
	/* Made up with care: its lists are empty, as those of a process that is just being made. */
	list_init(s, ROOT(s), at + OFFSET(s, eprocess.ThreadListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.ThreadListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.ProfileListHead));
	list_init(s, ROOT(s), at + OFFSET(s, kprocess.Header) + OFFSET(s, dispatcher_header.WaitListHead));
}

void remains_init(struct sample *s)
{
	struct item *item;

	for (guint i = 0; (item = description_next(s->description, &i, "remnant")); )
		remnant(s, item);
	for (guint i = 0; (item = description_next(s->description, &i, "decoy")); )
		decoy(s, item);
}

void remains_lines(struct sample *s, GPtrArray *lines)
{
	struct item *item;

	for (guint i = 0; (item = description_next(s->description, &i, "remnant")); )
		g_ptr_array_add(lines, g_strdup_printf("remnants|process|%" U "|%.14s|%d", item_number(item, "pid", 0), item_text(item, "name", ""), 1));
	/* Its block is in use, but it is no process. Driver objects leave no remnants. */
	for (guint i = 0; (item = description_next(s->description, &i, "decoy")); ) {
		const char *type = item_text(item, "type", "process");
		if (!strcmp(type, "process"))
			g_ptr_array_add(lines, g_strdup_printf("remnants|process|%" U "|%.14s|0", item_number(item, "pid", 4), item_text(item, "name", "decoy.exe")));
		else if (!strcmp(type, "thread"))
			g_ptr_array_add(lines, g_strdup_printf("remnants|thread|%" U "||0", item_number(item, "tid", 0)));
	}
}
