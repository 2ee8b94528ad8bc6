/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver objects, the functions they answer requests with, and their devices. Found in the
 * object manager's \Driver and \FileSystem and by their pool blocks.
 */
#include "driver_set.h"
#include "limit.h"
#include "plugin.h"
#include "pool.h"

enum {
	DUMP, ADDRESS, PHYSICAL, NAME, SERVICE, START, SIZE, MODULE, LOADER_ENTRY, INIT, START_IO, UNLOAD, FAST_IO, DEVICES,
	IN_DIRECTORY, IN_POOL,
};
enum { IRP_DUMP, IRP_DRIVER, IRP_NUMBER, IRP_FUNCTION, IRP_ADDRESS, IRP_MODULE, IRP_PLACEMENT };
enum { DEVICE_DUMP, DEVICE_DRIVER, DEVICE_ADDRESS, DEVICE_NAME, DEVICE_TYPE, DEVICE_ATTACHED, DEVICE_ATTACHED_DRIVER };

static const struct table driver_objects = {
	.name = "driver_objects", .key = "driver_object_id", .doc = "_DRIVER_OBJECTs, however found",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the _DRIVER_OBJECT" },
		[PHYSICAL] = { "physical_address", COL_ADDRESS, "of the same, where its pool block was found" },
		[NAME] = { "name", COL_TEXT, "DriverName, e.g. \\Driver\\disk" },
		[SERVICE] = { "service", COL_TEXT, "key of the service that loaded it" },
		[START] = { "start", COL_ADDRESS, "DriverStart: base of its image" },
		[SIZE] = { "size", COL_INT, "DriverSize" },
		[MODULE] = { "module", COL_TEXT, "kernel module its image is; NULL: none" },
		[LOADER_ENTRY] = { "loader_entry", COL_ADDRESS, "DriverSection" },
		[INIT] = { "driver_init", COL_ADDRESS, "" },
		[START_IO] = { "start_io", COL_ADDRESS, "" },
		[UNLOAD] = { "unload", COL_ADDRESS, "" },
		[FAST_IO] = { "fast_io_dispatch", COL_ADDRESS, "" },
		[DEVICES] = { "devices", COL_INT, "device objects of it" },
		[IN_DIRECTORY] = { "in_directory", COL_BOOL, "in the object manager's \\Driver or \\FileSystem" },
		[IN_POOL] = { "in_pool_scan", COL_BOOL, "found by its pool block" },
	},
};

static const char *const irp_indices[] = { "address", NULL };

static const struct table driver_irps = {
	.name = "driver_irps", .doc = "functions that drivers answer requests with", .indices = irp_indices,
	.columns = {
		[IRP_DUMP] = { "dump_id", COL_DUMP, "" },
		[IRP_DRIVER] = { "driver_object_id", COL_REF, "", "driver_objects" },
		[IRP_NUMBER] = { "number", COL_INT, "index into MajorFunction" },
		[IRP_FUNCTION] = { "function", COL_TEXT, "IRP_MJ_…" },
		[IRP_ADDRESS] = { "address", COL_ADDRESS, "" },
		[IRP_MODULE] = { "module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[IRP_PLACEMENT] = { "placement", COL_TEXT, "expected: in the driver or the kernel; other: in another module; nowhere: in none" },
	},
};

static const struct table devices = {
	.name = "devices", .doc = "device objects of drivers",
	.columns = {
		[DEVICE_DUMP] = { "dump_id", COL_DUMP, "" },
		[DEVICE_DRIVER] = { "driver_object_id", COL_REF, "", "driver_objects" },
		[DEVICE_ADDRESS] = { "address", COL_ADDRESS, "of the _DEVICE_OBJECT" },
		[DEVICE_NAME] = { "name", COL_TEXT, "" },
		[DEVICE_TYPE] = { "type", COL_INT, "FILE_DEVICE_… of ntddk.h" },
		[DEVICE_ATTACHED] = { "attached_device", COL_ADDRESS, "the device attached above it" },
		[DEVICE_ATTACHED_DRIVER] = { "attached_driver", COL_TEXT, "and that one's driver" },
	},
};

#define IO_TYPE_DEVICE 3	/* ntddk.h */
#define MAJOR_FUNCTIONS 28

/* IRP_MJ_… of wdm.h, in order. */
static const char *const major_names[MAJOR_FUNCTIONS] = {
	"IRP_MJ_CREATE", "IRP_MJ_CREATE_NAMED_PIPE", "IRP_MJ_CLOSE", "IRP_MJ_READ", "IRP_MJ_WRITE", "IRP_MJ_QUERY_INFORMATION",
	"IRP_MJ_SET_INFORMATION", "IRP_MJ_QUERY_EA", "IRP_MJ_SET_EA", "IRP_MJ_FLUSH_BUFFERS", "IRP_MJ_QUERY_VOLUME_INFORMATION",
	"IRP_MJ_SET_VOLUME_INFORMATION", "IRP_MJ_DIRECTORY_CONTROL", "IRP_MJ_FILE_SYSTEM_CONTROL", "IRP_MJ_DEVICE_CONTROL",
	"IRP_MJ_INTERNAL_DEVICE_CONTROL", "IRP_MJ_SHUTDOWN", "IRP_MJ_LOCK_CONTROL", "IRP_MJ_CLEANUP", "IRP_MJ_CREATE_MAILSLOT",
	"IRP_MJ_QUERY_SECURITY", "IRP_MJ_SET_SECURITY", "IRP_MJ_POWER", "IRP_MJ_SYSTEM_CONTROL", "IRP_MJ_DEVICE_CHANGE",
	"IRP_MJ_QUERY_QUOTA", "IRP_MJ_SET_QUOTA", "IRP_MJ_PNP",
};

static void put_irps(struct context *c, const struct object *driver, va_t image, int64_t ordinal)
{
	struct object functions = MEMBER(*driver, driver_object.MajorFunction);
	unsigned width = space_pointer_size(c->space);

	for (unsigned i = 0; functions.va.v && i < MAJOR_FUNCTIONS; i++) {
		struct row *row = row_new(c, &driver_irps);
		va_t at = { functions.va.v + i * width };
		uint64_t address = 0;
		enum fault fault = read_pointer(c->space, at, &address);
		row_ref(row, IRP_DRIVER, ordinal);
		row_int(row, IRP_NUMBER, i);
		row_text(row, IRP_FUNCTION, major_names[i]);
		if (fault) {
			row_fault(row, IRP_ADDRESS, fault, at, "_DRIVER_OBJECT.MajorFunction");
			continue;
		}
		row_address(row, IRP_ADDRESS, address);
		row_text(row, IRP_MODULE, context_driver_at(c, (va_t){ address }));
		row_text(row, IRP_PLACEMENT, context_placement(c, (va_t){ address }, image));
	}
}

static char *driver_name(const struct object *driver)
{
	struct object name = MEMBER(*driver, driver_object.DriverName);
	char *text = NULL;

	return name.va.v && !read_unicode_string(&name, 1024, &text) ? text : NULL;
}

static void put_device(struct context *c, const struct object *device, int64_t ordinal)
{
	struct row *row = row_new(c, &devices);
	g_autofree char *name = NULL;
	uint64_t attached_at = 0, driver_at = 0;

	row_ref(row, DEVICE_DRIVER, ordinal);
	row_address(row, DEVICE_ADDRESS, device->va.v);
	if (!read_object_name(c->space, device->va, &name))
		row_text(row, DEVICE_NAME, name);
	PUT(row, DEVICE_TYPE, *device, device_object.DeviceType);
	if (READ(*device, device_object.AttachedDevice, &attached_at) || !attached_at)
		return;
	row_address(row, DEVICE_ATTACHED, attached_at);
	struct object attached = object_at(c->space, attached_at);
	if (!READ(attached, device_object.DriverObject, &driver_at)) {
		struct object driver = object_at(c->space, driver_at);
		g_autofree char *text = driver_name(&driver);
		row_text(row, DEVICE_ATTACHED_DRIVER, text);
	}
}

/* The addresses of a driver's devices. */
static GArray *list_devices(struct context *c, const struct object *driver)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t at = 0;
	enum fault fault = READ(*driver, driver_object.DeviceObject, &at);

	while (!fault && at) {
		struct object device = object_at(c->space, at);
		int16_t type = 0;
		if (out->len >= limit(driver_devices))
			fault = FAULT_LIMIT;
		else if (!g_hash_table_add(seen, g_memdup2(&at, sizeof(at))) ||
			 (!(fault = READ(device, device_object.Type, &type)) && type != IO_TYPE_DEVICE))
			fault = FAULT_IMPLAUSIBLE;
		if (fault)
			break;
		g_array_append_val(out, at);
		fault = READ(device, device_object.NextDevice, &at);
	}
	if (fault)
		context_note(c, fault, (va_t){ at ? at : driver->va.v }, "devices", "the list of a driver's devices is broken");
	return out;
}

static void put_driver(struct context *c, const struct driver_found *found)
{
	struct row *row = row_new(c, &driver_objects);
	struct object driver = object_at(c->space, found->va.v), name = MEMBER(driver, driver_object.DriverName);
	uint64_t start = 0, extension_at = 0;
	g_autofree char *name_text = NULL, *service_text = NULL;
	enum fault fault;

	row_address(row, ADDRESS, found->va.v);
	if (found->pa.v)
		row_address(row, PHYSICAL, found->pa.v);
	if ((fault = read_unicode_string(&name, 1024, &name_text)))
		row_fault(row, NAME, fault, name.va, "_DRIVER_OBJECT.DriverName");
	row_text(row, NAME, name_text);
	if (PUT_READ(row, START, driver, driver_object.DriverStart, &start))
		row_text(row, MODULE, context_driver_at(c, (va_t){ start }));
	PUT(row, SIZE, driver, driver_object.DriverSize);
	PUT(row, LOADER_ENTRY, driver, driver_object.DriverSection);
	PUT(row, INIT, driver, driver_object.DriverInit);
	PUT(row, START_IO, driver, driver_object.DriverStartIo);
	PUT(row, UNLOAD, driver, driver_object.DriverUnload);
	PUT(row, FAST_IO, driver, driver_object.FastIoDispatch);
	if (!READ(driver, driver_object.DriverExtension, &extension_at) && extension_at) {
		struct object extension = object_at(c->space, extension_at);
		struct object service = MEMBER(extension, driver_extension.ServiceKeyName);
		if ((fault = read_unicode_string(&service, 1024, &service_text)))
			row_fault(row, SERVICE, fault, service.va, "_DRIVER_EXTENSION.ServiceKeyName");
		row_text(row, SERVICE, service_text);
	}
	row_int(row, IN_DIRECTORY, found->in_directory);
	if (pool_scannable(c))
		row_int(row, IN_POOL, found->pa.v != 0);
	g_autoptr(GArray) list = list_devices(c, &driver);
	row_int(row, DEVICES, list->len);
	int64_t ordinal = row_ordinal(row);	/* the row may be written and gone once others are made */
	for (guint i = 0; i < list->len; i++) {
		struct object device = object_at(c->space, g_array_index(list, uint64_t, i));
		put_device(c, &device, ordinal);
	}
	put_irps(c, &driver, (va_t){ start }, ordinal);
}

static bool run(struct context *c, GError **error)
{
	g_autoptr(GArray) found = driver_set_find(c, "driver_objects");

	(void)error;
	for (guint i = 0; i < found->len && !context_cancelled(c); i++)
		put_driver(c, &g_array_index(found, struct driver_found, i));
	return true;
}

const struct plugin plugin_driver_objects = {
	.name = "driver_objects",
	.doc = "driver objects, what they answer requests with, and their devices",
	.fills = { &driver_objects, &driver_irps, &devices },
	.needs = { "drivers" },
	.sweeps = driver_set_sweeps,
	.needs_layout = true,
	.run = run,
};
