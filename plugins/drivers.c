/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel modules: PsLoadedModuleList, and what lies in memory though no list leads to it. */
#include "driver_set.h"
#include "plugin.h"
#include "walk.h"

#define MAX_IMAGE (UINT64_C(1) << 30)

enum { DUMP, BASE, SIZE, ENTRY, NAME, PATH, IN_LIST, IN_POOL, TIMESTAMP, CHECKSUM, IN_OBJECTS, IN_IMAGES, WRITABLE, IN_RECORDS, PDB_NAME, PDB_GUID_AGE };

static const struct table drivers = {
	.name = "drivers", .key = "driver_id", .doc = "kernel modules",
	.indices = (const char *const[]){ "dump_id, base", NULL },
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[BASE] = { "base", COL_ADDRESS, "" },
		[SIZE] = { "size", COL_INT, "SizeOfImage" },
		[ENTRY] = { "entry_point", COL_ADDRESS, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[PATH] = { "path", COL_TEXT, "" },
		[IN_LIST] = { "in_loaded_list", COL_BOOL, "linked from PsLoadedModuleList; NULL: that is broken, and it may lie in the gap" },
		[IN_POOL] = { "in_pool_scan", COL_BOOL, "its loader entry was found by its pool block" },
		[TIMESTAMP] = { "timestamp", COL_INT, "TimeDateStamp of its PE header, where the dump lists it" },
		[CHECKSUM] = { "checksum", COL_INT, "of its PE header, where the dump lists it" },
		[IN_OBJECTS] = { "in_driver_objects", COL_BOOL, "a driver object says that its image is there" },
		[IN_IMAGES] = { "in_image_scan", COL_BOOL, "its header was found in memory, and code mapped to run; NULL: it lies in session space" },
		[IN_RECORDS] = { "in_debug_scan", COL_BOOL, "its debug record was found in memory, code mapped to run beside it, and no other "
				 "trace: base and size are of what is mapped there; NULL: it was not looked for" },
		[PDB_NAME] = { "pdb_name", COL_TEXT, "of that record" },
		[PDB_GUID_AGE] = { "pdb_guid_age", COL_TEXT, "of that record" },
		[WRITABLE] = { "pages_writable_executable", COL_INT, "pages of its image that can be both written and run" },
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

/* What the page tables allow, whatever the image's header asked for. */
static void put_writable(struct session_spaces *sessions, struct row *row, uint64_t base, uint64_t size)
{
	va_t cursor = { base }, last = { base + (size - 1) };
	struct space *own;
	struct page page;
	int64_t pages = 0;
	bool any = false;

	if (!base || !size || last.v < base || size > MAX_IMAGE)
		return;
	own = session_spaces_find(sessions, cursor);
	while (cursor.v >= base && cursor.v <= last.v && space_next_page(own, &cursor, last, &page)) {
		any |= page_resident(&page);
		uint64_t from = MAX(page.va.v, base), to = MIN(page.va.v + (page.size - 1), last.v);
		if (page_resident(&page) && page.writable && page.executable)
			pages += (int64_t)((to - from) / PAGE_SIZE + 1);
	}
	if (any)
		row_int(row, WRITABLE, pages);
}

/* Headers are looked for where the kernel's own page tables lead, not in session space. */
static void put_traces(struct context *c, struct row *row, uint64_t base, bool pool, bool objects, bool headers)
{
	struct page page;

	row_int(row, IN_POOL, pool);
	row_int(row, IN_OBJECTS, objects);
	if (headers || !base || !space_page(c->space, (va_t){ base }, &page))
		row_int(row, IN_IMAGES, headers);
}

static void put_driver(struct context *c, const struct entry_layout *l, const struct object *entry, GArray *images,
		       GArray *ranges, struct session_spaces *sessions)
{
	struct row *row = row_new(c, &drivers);
	struct object name = object_member(entry, l->base_name), path = object_member(entry, l->full_name);
	g_autofree char *name_text = NULL, *path_text = NULL;
	bool pool = false, objects = false, headers = false;
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
	for (guint i = 0; i < images->len; i++) {
		struct loaded_driver *image = &g_array_index(images, struct loaded_driver, i);
		pool |= image->entry.v == entry->va.v && image->in_pool_scan;
		objects |= known && image->base == base && image->in_driver_objects;
		headers |= known && image->base == base && image->in_image_scan;
		/* The same image, by whatever trace: listed, so no news. */
		if (known && image->base - base < MAX(size, 1))
			image->listed = true;
	}
	put_traces(c, row, base, pool, objects, headers);
	put_writable(sessions, row, base, size);
	if (known) {
		struct driver_range range = { base, size };
		g_array_append_val(ranges, range);
		context_add_driver(c, base, size, name_text);
	}
}

/* The `n` traces of one image. Of a list that is not whole it may lie in the gap, unless its neighbours there are linked past its entry. */
static void put_unlisted(struct context *c, const struct loaded_driver *traces, guint n, struct session_spaces *sessions, bool whole)
{
	struct row *row = row_new(c, &drivers);
	bool pool = false, objects = false, headers = false, record = false;

	for (guint i = 0; i < n; i++) {
		whole |= traces[i].entry.v && walk_passed_over(c->space, traces[i].entry);
		pool |= traces[i].in_pool_scan;
		objects |= traces[i].in_driver_objects;
		headers |= traces[i].in_image_scan;
		record |= traces[i].in_debug_scan;
	}
	if (record) {
		row_int(row, IN_RECORDS, 1);
		row_text(row, PDB_NAME, traces->pdb_name);
		row_text(row, PDB_GUID_AGE, traces->pdb_guid_age);
	}
	row_address(row, BASE, traces->base);
	row_int(row, SIZE, (int64_t)traces->size);
	row_address(row, ENTRY, traces->entry_point);
	row_text(row, NAME, traces->name);
	row_text(row, PATH, traces->path);
	if (whole)
		row_int(row, IN_LIST, 0);
	put_traces(c, row, traces->base, pool, objects, headers);
	put_writable(sessions, row, traces->base, traces->size);
	context_add_unlisted_driver(c, traces->base, traces->size, traces->name);
}

static bool run(struct context *c, GError **error)
{
	struct object head = kernel_object(c->kernel, c->space, PsLoadedModuleList), entry;
	AUTO(session_spaces) sessions = session_spaces_create(c);
	g_autoptr(GArray) images = driver_set_images(c, sessions, "drivers"), ranges = g_array_new(FALSE, FALSE, sizeof(struct driver_range));

	(void)error;
	if (!head.va.v)
		context_note(c, FAULT_NO_FIELD, c->kernel->base, "drivers", "PsLoadedModuleList is not known");
	struct entry_layout l = entry_layout(c->kernel->layout);
	/* Both structures begin with the links of this list. */
	struct field links = c->kernel->layout->ldr_data_table_entry.InLoadOrderLinks;
	struct walk walk = { .context = c, .table = "drivers", .what = "ldr_data_table_entry.InLoadOrderLinks", .head = head,
			     .link = links.offset, .at = head.va.v, .done = !links.size || !head.va.v };
	bool whole = !walk.done;
	while (walk_next(&walk, &entry))
		put_driver(c, &l, &entry, images, ranges, sessions);
	whole &= !walk.broken;
	walk_clear(&walk);
	driver_set_records(c, ranges, images, "drivers");
	for (guint i = 0, n; i < images->len; i += n) {
		const struct loaded_driver *image = &g_array_index(images, struct loaded_driver, i);
		bool maybe_file = image->maybe_file;
		for (n = 1; i + n < images->len && image[n].base == image->base; n++)
			maybe_file &= image[n].maybe_file;
		if (!image->listed && !maybe_file)
			put_unlisted(c, image, n, sessions, whole);
	}
	return true;
}

const struct plugin plugin_drivers = {
	.name = "drivers",
	.doc = "kernel modules",
	.fills = { &drivers },
	.needs = { "processes" },	/* those of sessions have what the kernel's own page tables have not */
	.sweeps = driver_set_sweeps,
	.needs_layout = true,
	.run = run,
};
