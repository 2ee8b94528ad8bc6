/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules: PsLoadedModuleList, and what lies in memory though no list leads to it. */
#include "driver_set.h"
#include "plugin.h"
#include "walk.h"

enum { DUMP, BASE, SIZE, ENTRY, NAME, PATH, IN_LIST, IN_POOL, TIMESTAMP, CHECKSUM };

static const struct table drivers = {
	.name = "drivers", .key = "driver_id", .doc = "kernel modules",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[BASE] = { "base", COL_ADDRESS, "" },
		[SIZE] = { "size", COL_INT, "SizeOfImage" },
		[ENTRY] = { "entry_point", COL_ADDRESS, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[PATH] = { "path", COL_TEXT, "" },
		[IN_LIST] = { "in_loaded_list", COL_BOOL, "linked from PsLoadedModuleList" },
		[IN_POOL] = { "in_pool_scan", COL_BOOL, "its loader entry was found by its pool block" },
		[TIMESTAMP] = { "timestamp", COL_INT, "TimeDateStamp of its PE header, where the dump lists it" },
		[CHECKSUM] = { "checksum", COL_INT, "of its PE header, where the dump lists it" },
	},
};

/* _KLDR_DATA_TABLE_ENTRY; kernels before Windows 10 have it in their symbols only by its
 * user-mode twin, whose first fields are the same. */
struct entry_layout {
	struct field base, size, entry, full_name, base_name;
};

static struct entry_layout entry_layout(const struct layout *l)
{
	if (l->kldr_data_table_entry.DllBase.size)
		return (struct entry_layout){
			l->kldr_data_table_entry.DllBase, l->kldr_data_table_entry.SizeOfImage,
			l->kldr_data_table_entry.EntryPoint, l->kldr_data_table_entry.FullDllName, l->kldr_data_table_entry.BaseDllName,
		};
	return (struct entry_layout){
		l->ldr_data_table_entry.DllBase, l->ldr_data_table_entry.SizeOfImage,
		l->ldr_data_table_entry.EntryPoint, l->ldr_data_table_entry.FullDllName, l->ldr_data_table_entry.BaseDllName,
	};
}

static void put_driver(struct context *c, const struct entry_layout *l, const struct object *entry, GArray *images)
{
	struct row *row = row_new(c, &drivers);
	struct object name = object_member(entry, l->base_name), path = object_member(entry, l->full_name);
	g_autofree char *name_text = NULL, *path_text = NULL;
	uint64_t base = 0, size = 0;
	enum fault fault;

	bool known = row_or_fault(row, BASE, entry, l->base, "_KLDR_DATA_TABLE_ENTRY.DllBase", &base, sizeof(base));
	known = row_or_fault(row, SIZE, entry, l->size, "_KLDR_DATA_TABLE_ENTRY.SizeOfImage", &size, sizeof(size)) && known;
	row_field(row, ENTRY, entry, l->entry, "_KLDR_DATA_TABLE_ENTRY.EntryPoint");
	if ((fault = read_unicode_string(&name, 1024, &name_text)))
		row_fault(row, NAME, fault, name.va, "_KLDR_DATA_TABLE_ENTRY.BaseDllName");
	row_text(row, NAME, name_text);
	if ((fault = read_unicode_string(&path, 4096, &path_text)))
		row_fault(row, PATH, fault, path.va, "_KLDR_DATA_TABLE_ENTRY.FullDllName");
	row_text(row, PATH, path_text);
	row_int(row, IN_LIST, 1);
	row_int(row, IN_POOL, 0);
	for (guint i = 0; i < images->len; i++) {
		struct loaded_driver *image = &g_array_index(images, struct loaded_driver, i);
		if (image->entry.v == entry->va.v)
			row_int(row, IN_POOL, 1);
		/* The same image, by whatever entry: listed, so no news. */
		if (known && image->base - base < MAX(size, 1))
			image->base = 0;
	}
	if (known)
		context_add_driver(c, base, size, name_text);
}

static void put_unlisted(struct context *c, const struct loaded_driver *image)
{
	struct row *row = row_new(c, &drivers);

	row_address(row, BASE, image->base);
	row_int(row, SIZE, (int64_t)image->size);
	row_address(row, ENTRY, image->entry_point);
	row_text(row, NAME, image->name);
	row_text(row, PATH, image->path);
	row_int(row, IN_LIST, 0);
	row_int(row, IN_POOL, image->in_pool_scan);
	context_add_driver(c, image->base, image->size, image->name);
}

static bool run(struct context *c, GError **error)
{
	struct object head = kernel_object(c->kernel, c->space, PsLoadedModuleList), entry;
	g_autoptr(GArray) images = driver_set_images(c, "drivers");
	uint64_t last = 0;

	(void)error;
	if (!head.va.v)
		context_note(c, FAULT_NO_FIELD, c->kernel->base, "drivers", "PsLoadedModuleList is not known");
	struct entry_layout l = entry_layout(c->kernel->layout);
	/* Both structures begin with the links of this list. */
	WALK_LIST(c, "drivers", entry, head, ldr_data_table_entry.InLoadOrderLinks)
		put_driver(c, &l, &entry, images);
	for (guint i = 0; i < images->len; i++) {
		const struct loaded_driver *image = &g_array_index(images, struct loaded_driver, i);
		if (image->base && image->base != last)
			put_unlisted(c, image);
		last = image->base ? image->base : last;
	}
	return true;
}

const struct plugin plugin_drivers = {
	.name = "drivers",
	.doc = "kernel modules",
	.fills = { &drivers },
	.sweeps = driver_set_sweeps,
	.needs_layout = true,
	.run = run,
};
