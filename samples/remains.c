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

/* All of a process and the headers before it, in another block; what names its own address (the type's index) is made right. */
static void decoy(struct sample *s, struct item *item)
{
	uint64_t of = item_number(item, "of", 4), from = 0, size = s->layout->eprocess.size_;

	for (guint i = 0; i < s->processes->len; i++) {
		const struct sample_process *p = s->processes->pdata[i];
		if (p->pid == of)
			from = p->eprocess;
	}
	if (!from)
		item_fail(item, "of: there is no such process");
	uint64_t at = object_alloc(s, OBJECT_PROCESS, size, NULL, 0);
	g_autofree uint8_t *bytes = g_malloc(size);
	memory_read(s->memory, ROOT(s), from, bytes, size);
	memory_write(s->memory, ROOT(s), at, bytes, size);
	SET(s, at, eprocess.UniqueProcessId, item_number(item, "pid", of));
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
	/* Its block is in use, but it is no process. */
	for (guint i = 0; (item = description_next(s->description, &i, "decoy")); )
		g_ptr_array_add(lines, g_strdup_printf("remnants|process|%" U "|%.14s|%d", item_number(item, "pid", item_number(item, "of", 4)),
						       item_text(item, "name", "decoy.exe"), 0));
}
