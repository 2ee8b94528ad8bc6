/* SPDX-License-Identifier: Apache-2.0 */
/* Files, mutants and symbolic links by the pool blocks they live in: those that handles and directories lead to, and
 * those that nothing leads to. */
#include "pool.h"

enum {
	FILE_DUMP, FILE_ADDRESS, FILE_PHYSICAL, FILE_PATH, FILE_DELETE_PENDING, FILE_READ, FILE_WRITE, FILE_DELETE,
	FILE_SHARED_READ, FILE_SHARED_WRITE, FILE_SHARED_DELETE, FILE_HANDLES,
};
enum {
	MUTANT_DUMP, MUTANT_ADDRESS, MUTANT_PHYSICAL, MUTANT_NAME, MUTANT_DIRECTORY, MUTANT_OWNER, MUTANT_ABANDONED,
	MUTANT_HANDLES,
};
enum { LINK_DUMP, LINK_ADDRESS, LINK_PHYSICAL, LINK_NAME, LINK_DIRECTORY, LINK_TARGET, LINK_CREATE_TIME };

static const struct table files = {
	.name = "files", .key = "file_id", .doc = "file objects, by their pool blocks",
	.columns = {
		[FILE_DUMP] = { "dump_id", COL_DUMP, "" },
		[FILE_ADDRESS] = { "address", COL_ADDRESS, "of the _FILE_OBJECT" },
		[FILE_PHYSICAL] = { "physical_address", COL_ADDRESS, "of the same" },
		[FILE_PATH] = { "path", COL_TEXT, "device and name" },
		[FILE_DELETE_PENDING] = { "delete_pending", COL_BOOL, "" },
		[FILE_READ] = { "read_access", COL_BOOL, "" },
		[FILE_WRITE] = { "write_access", COL_BOOL, "" },
		[FILE_DELETE] = { "delete_access", COL_BOOL, "" },
		[FILE_SHARED_READ] = { "shared_read", COL_BOOL, "" },
		[FILE_SHARED_WRITE] = { "shared_write", COL_BOOL, "" },
		[FILE_SHARED_DELETE] = { "shared_delete", COL_BOOL, "" },
		[FILE_HANDLES] = { "handle_count", COL_INT, "" },
	},
};

static const struct table mutants = {
	.name = "mutants", .doc = "mutant objects with names, by their pool blocks",
	.columns = {
		[MUTANT_DUMP] = { "dump_id", COL_DUMP, "" },
		[MUTANT_ADDRESS] = { "address", COL_ADDRESS, "of the _KMUTANT" },
		[MUTANT_PHYSICAL] = { "physical_address", COL_ADDRESS, "of the same" },
		[MUTANT_NAME] = { "name", COL_TEXT, "" },
		[MUTANT_DIRECTORY] = { "directory", COL_TEXT, "of the object manager that the name stands in" },
		[MUTANT_OWNER] = { "owner_thread", COL_ADDRESS, "the _KTHREAD that holds it" },
		[MUTANT_ABANDONED] = { "abandoned", COL_BOOL, "" },
		[MUTANT_HANDLES] = { "handle_count", COL_INT, "" },
	},
};

static const struct table symbolic_links = {
	.name = "symbolic_links", .doc = "the object manager's symbolic links, by their pool blocks",
	.columns = {
		[LINK_DUMP] = { "dump_id", COL_DUMP, "" },
		[LINK_ADDRESS] = { "address", COL_ADDRESS, "of the _OBJECT_SYMBOLIC_LINK" },
		[LINK_PHYSICAL] = { "physical_address", COL_ADDRESS, "of the same" },
		[LINK_NAME] = { "name", COL_TEXT, "" },
		[LINK_DIRECTORY] = { "directory", COL_TEXT, "of the object manager that the name stands in" },
		[LINK_TARGET] = { "target", COL_TEXT, "" },
		[LINK_CREATE_TIME] = { "create_time", COL_TIME, "" },
	},
};

static const struct sweep_pattern *const sweeps[] = { &pool_file, &pool_mutant, &pool_symbolic_link, NULL };

/* First bytes, ntddk.h: IO_TYPE_FILE; MutantObject of KOBJECTS. */
#define IO_TYPE_FILE 5
#define DISPATCHER_MUTANT 2

static void put_handle_count(struct context *c, struct row *row, int column, va_t body)
{
	struct object header = object_header_of(c->space, body);

	PUT(row, column, header, object_header.HandleCount);
}

static void put_directory(struct context *c, struct row *row, int column, va_t body)
{
	g_autofree char *directory = NULL;
	enum fault fault = object_directory(c->space, body, &directory);

	if (fault && fault != FAULT_NO_FIELD)
		row_fault(row, column, fault, body, "the directory that its name stands in");
	row_text(row, column, directory);
}

static void put_file(struct context *c, const struct pool_object *o)
{
	struct object file = object_at(c->space, o->va.v);
	struct row *row = row_new(c, &files);
	g_autofree char *path = NULL;
	enum fault fault = read_file_name(c->space, o->va, &path);

	row_address(row, FILE_ADDRESS, o->va.v);
	row_address(row, FILE_PHYSICAL, o->pa.v);
	if (fault)
		row_fault(row, FILE_PATH, fault, o->va, "_FILE_OBJECT.FileName");
	row_text(row, FILE_PATH, path);
	PUT(row, FILE_DELETE_PENDING, file, file_object.DeletePending);
	PUT(row, FILE_READ, file, file_object.ReadAccess);
	PUT(row, FILE_WRITE, file, file_object.WriteAccess);
	PUT(row, FILE_DELETE, file, file_object.DeleteAccess);
	PUT(row, FILE_SHARED_READ, file, file_object.SharedRead);
	PUT(row, FILE_SHARED_WRITE, file, file_object.SharedWrite);
	PUT(row, FILE_SHARED_DELETE, file, file_object.SharedDelete);
	put_handle_count(c, row, FILE_HANDLES, o->va);
}

static void put_mutant(struct context *c, const struct pool_object *o)
{
	struct object mutant = object_at(c->space, o->va.v);
	g_autofree char *name = NULL;
	enum fault fault = read_object_name(c->space, o->va, &name);

	/* Without a name it says nothing, and there are thousands. */
	if (!fault && (!name || !*name))
		return;
	struct row *row = row_new(c, &mutants);
	row_address(row, MUTANT_ADDRESS, o->va.v);
	row_address(row, MUTANT_PHYSICAL, o->pa.v);
	if (fault)
		row_fault(row, MUTANT_NAME, fault, o->va, "the object's name");
	row_text(row, MUTANT_NAME, name);
	put_directory(c, row, MUTANT_DIRECTORY, o->va);
	PUT(row, MUTANT_OWNER, mutant, kmutant.OwnerThread);
	PUT(row, MUTANT_ABANDONED, mutant, kmutant.Abandoned);
	put_handle_count(c, row, MUTANT_HANDLES, o->va);
}

static void put_link(struct context *c, const struct pool_object *o)
{
	struct object link = object_at(c->space, o->va.v), target = MEMBER(link, object_symbolic_link.LinkTarget);
	g_autofree char *name = NULL, *text = NULL;
	enum fault fault = read_object_name(c->space, o->va, &name), target_fault = FAULT_NO_FIELD;

	if (target.va.v)
		target_fault = read_unicode_string(&target, 4096, &text);
	/* A type index is one byte, and links have no other mark: what has neither name nor target is chance. */
	if ((fault || !name) && target_fault)
		return;
	struct row *row = row_new(c, &symbolic_links);
	row_address(row, LINK_ADDRESS, o->va.v);
	row_address(row, LINK_PHYSICAL, o->pa.v);
	if (fault)
		row_fault(row, LINK_NAME, fault, o->va, "the object's name");
	row_text(row, LINK_NAME, name);
	put_directory(c, row, LINK_DIRECTORY, o->va);
	if (target_fault && target_fault != FAULT_NO_FIELD)
		row_fault(row, LINK_TARGET, target_fault, target.va, "_OBJECT_SYMBOLIC_LINK.LinkTarget");
	row_text(row, LINK_TARGET, text);
	PUT(row, LINK_CREATE_TIME, link, object_symbolic_link.CreationTime);
}

static void each(struct context *c, const struct object_types *types, const struct sweep_pattern *pattern, const char *type,
		 uint32_t first, uint32_t mask, void (*put)(struct context *, const struct pool_object *))
{
	g_autoptr(GArray) objects = pool_objects(c, pattern, types, type, first, mask);

	for (guint i = 0; i < objects->len && !context_cancelled(c); i++) {
		const struct pool_object *o = &g_array_index(objects, struct pool_object, i);
		if (o->va.v && !o->freed && (o->typed || !types->count))
			put(c, o);
	}
}

static bool run(struct context *c, GError **error)
{
	AUTO(object_types) types = object_types_load(c->kernel, c->space);

	(void)error;
	each(c, types, &pool_file, "File", IO_TYPE_FILE, 0xffff, put_file);
	each(c, types, &pool_mutant, "Mutant", DISPATCHER_MUTANT, 0x7f, put_mutant);
	each(c, types, &pool_symbolic_link, "SymbolicLink", 0, 0, put_link);
	return true;
}

const struct plugin plugin_objects = {
	.name = "objects",
	.doc = "files, mutants and symbolic links, by their pool blocks",
	.fills = { &files, &mutants, &symbolic_links },
	.sweeps = sweeps,
	.needs_layout = true,
	.run = run,
};
