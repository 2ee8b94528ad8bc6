/* SPDX-License-Identifier: Apache-2.0 */
/* What each process has open: its handle table, all levels. */
#include "handles.h"
#include "kobject.h"
#include "limit.h"
#include "plugin.h"

enum {
	PROCESS, HANDLE, OBJECT, TYPE, GRANTED_ACCESS, NAME, DIRECTORY,
	DERIVED,
};

static const char *const indices[] = { "object", NULL };

static const char *const handles_rest_on[] = {
	"_EPROCESS.ObjectTable", "_HANDLE_TABLE.TableCode", "_OBJECT_HEADER.TypeIndex", NULL
};

static const struct table handles = {
	.name = "handles", .doc = "handles of processes", .indices = indices,
	.rests_on = handles_rest_on,
	.columns = {
		[PROCESS] = { "process_id", COL_PROCESS, "" },
		[HANDLE] = { "handle", COL_INT, "its value" },
		[OBJECT] = { "object", COL_ADDRESS, "of the object's body" },
		[TYPE] = { "type", COL_TEXT, "of the object: File, Key, Process …" },
		[GRANTED_ACCESS] = { "granted_access", COL_INT, "access mask" },
		[NAME] = { "name", COL_TEXT, "a path for files and keys, name and pid for processes, else the object's own" },
		[DIRECTORY] = { "directory", COL_TEXT, "of the object manager that the name stands in" },
		[DERIVED] = COLUMN_DERIVED,
	},
};

static void put(struct context *c, const struct object_types *types, const struct handle_entry *entry)
{
	struct row *row = row_new(c, &handles);
	struct field field = c->space->layout->object_header.Body;
	va_t body = { entry->object.v + field.offset };
	g_autofree char *name = NULL, *directory = NULL;
	enum fault fault;

	row_int(row, HANDLE, (int64_t)entry->value);
	row_int(row, GRANTED_ACCESS, entry->granted_access);
	if (!field.size) {
		row_fault(row, OBJECT, FAULT_NO_FIELD, entry->object, "_OBJECT_HEADER.Body");
		return;
	}
	row_address(row, OBJECT, body.v);
	const char *type = object_type_of(types, c->space, body, &fault);
	if (!type) {
		row_fault(row, TYPE, fault, entry->object, "_OBJECT_HEADER.TypeIndex");
		return;
	}
	row_text(row, TYPE, type);
	if ((fault = object_describe(c->space, body, type, &name)))
		row_fault(row, NAME, fault, body, "the object's name");
	else if (name && *name)
		row_text(row, NAME, name);
	/* Only what has a name of its own can be looked up in a directory. */
	if (name && (fault = object_directory(c->space, body, &directory)) && fault != FAULT_NO_FIELD)
		row_fault(row, DIRECTORY, fault, body, "the directory that its name stands in");
	row_text(row, DIRECTORY, directory);
}

static bool begin(struct context *c, GError **error)
{
	struct object_types *types = object_types_load(c->kernel, c->space);

	(void)error;
	if (!types->count)
		context_note(c, FAULT_NO_FIELD, kernel_symbol(c->kernel, ObTypeIndexTable), "handles",
			     "the types of objects can't be read: handles come without type and name");
	context_keep(c, types, (GDestroyNotify)object_types_destroy);
	return true;
}

static bool run_process(struct context *c, GError **error)
{
	struct object process = object_at(c->space, c->process->eprocess.v);
	g_autofree struct handle_walk *walk = g_new0(struct handle_walk, 1);
	struct handle_entry entry;
	uint64_t table = 0;
	enum fault fault = READ(process, eprocess.ObjectTable, &table);

	(void)error;
	if (!fault && !table)	/* gone with the process */
		return true;
	if (!fault)
		fault = handle_walk_init(walk, c->space, (va_t){ table });
	if (fault) {
		context_note(c, fault, table ? (va_t){ table } : process.va, "handles", "the handle table can't be read");
		return true;
	}
	while (!context_cancelled(c) && handle_walk_next(walk, &entry))
		put(c, context_kept(c), &entry);
	if (walk->fault == FAULT_LIMIT)
		context_note(c, FAULT_LIMIT, (va_t){ table }, "handles", "more than %" G_GUINT64_FORMAT " entries: the rest is not listed", limit(handle_entries));
	else if (walk->fault)
		context_note(c, walk->fault, walk->first_bad, "handles",
			     "%" G_GUINT64_FORMAT " pages of the handle table can't be read", walk->bad_pages);
	handle_walk_deinit(walk);
	return true;
}

const struct plugin plugin_handles = {
	.name = "handles",
	.doc = "what each process has open",
	.fills = { &handles },
	.needs = { "processes" },
	.needs_layout = true,
	.begin = begin,
	.run_process = run_process,
};
