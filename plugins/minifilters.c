/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File system minifilters and the operations they see.
 *
 * _FLT_FILTER is in no symbols of the kernel's and changes with fltmgr; what never changed is
 * what it is made of: its name and altitude as two strings one after the other, a driver object
 * soon after, and somewhere a pointer to the FLT_OPERATION_REGISTRATION array (fltKernel.h)
 * that ends with IRP_MJ_OPERATION_END. So each pool block with its tag is searched for these.
 */
#include <string.h>
#include "pool.h"
#include "limit.h"

enum { DUMP, ADDRESS, NAME, ALTITUDE, DRIVER_OBJECT, DRIVER, MODULE };
enum {
	OPERATION_DUMP, OPERATION_FILTER, OPERATION_NUMBER, OPERATION_NAME, OPERATION_PRE, OPERATION_PRE_MODULE, OPERATION_POST,
	OPERATION_POST_MODULE, OPERATION_PRE_PLACEMENT, OPERATION_POST_PLACEMENT,
};

static const struct table minifilters = {
	.name = "minifilters", .key = "minifilter_id", .doc = "file system minifilters",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the _FLT_FILTER" },
		[NAME] = { "name", COL_TEXT, "" },
		[ALTITUDE] = { "altitude", COL_TEXT, "where in the stack it stands; the greater, the farther from the file system" },
		[DRIVER_OBJECT] = { "driver_object", COL_ADDRESS, "" },
		[DRIVER] = { "driver", COL_TEXT, "the driver object's name" },
		[MODULE] = { "module", COL_TEXT, "kernel module its image is; NULL: none" },
	},
};

static const struct table minifilter_operations = {
	.name = "minifilter_operations", .doc = "functions that minifilters are called with",
	.columns = {
		[OPERATION_DUMP] = { "dump_id", COL_DUMP, "" },
		[OPERATION_FILTER] = { "minifilter_id", COL_REF, "", "minifilters" },
		[OPERATION_NUMBER] = { "number", COL_INT, "IRP_MJ_… of wdm.h and fltKernel.h" },
		[OPERATION_NAME] = { "operation", COL_TEXT, "" },
		[OPERATION_PRE] = { "pre_operation", COL_ADDRESS, "called before" },
		[OPERATION_PRE_MODULE] = { "pre_module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[OPERATION_POST] = { "post_operation", COL_ADDRESS, "called after" },
		[OPERATION_POST_MODULE] = { "post_module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[OPERATION_PRE_PLACEMENT] = { "pre_placement", COL_TEXT, "expected: in the filter's own driver; other: in another module; nowhere: in none" },
		[OPERATION_POST_PLACEMENT] = { "post_placement", COL_TEXT, "the same of post_operation" },
	},
};

static const struct sweep_pattern pool_filter = { SWEEP_POOL, "FMfl", 0x100, 0, NULL };
static const struct sweep_pattern *const sweeps[] = { &pool_filter, NULL };

#define MAX_OPERATIONS ((unsigned)FIXED_minifilter_operations)
#define OPERATION_END 0x80
#define OPERATION_SIZE 32u	/* 20 on 32 bits */
#define IO_TYPE_DRIVER 4

static const char *operation_name(uint8_t number)
{
	static const char *const major[] = {
		"IRP_MJ_CREATE", "IRP_MJ_CREATE_NAMED_PIPE", "IRP_MJ_CLOSE", "IRP_MJ_READ", "IRP_MJ_WRITE", "IRP_MJ_QUERY_INFORMATION",
		"IRP_MJ_SET_INFORMATION", "IRP_MJ_QUERY_EA", "IRP_MJ_SET_EA", "IRP_MJ_FLUSH_BUFFERS", "IRP_MJ_QUERY_VOLUME_INFORMATION",
		"IRP_MJ_SET_VOLUME_INFORMATION", "IRP_MJ_DIRECTORY_CONTROL", "IRP_MJ_FILE_SYSTEM_CONTROL", "IRP_MJ_DEVICE_CONTROL",
		"IRP_MJ_INTERNAL_DEVICE_CONTROL", "IRP_MJ_SHUTDOWN", "IRP_MJ_LOCK_CONTROL", "IRP_MJ_CLEANUP", "IRP_MJ_CREATE_MAILSLOT",
		"IRP_MJ_QUERY_SECURITY", "IRP_MJ_SET_SECURITY", "IRP_MJ_POWER", "IRP_MJ_SYSTEM_CONTROL", "IRP_MJ_DEVICE_CHANGE",
		"IRP_MJ_QUERY_QUOTA", "IRP_MJ_SET_QUOTA", "IRP_MJ_PNP",
	};
	/* fltKernel.h numbers these down from -1. */
	static const char *const pseudo[] = {
		"IRP_MJ_ACQUIRE_FOR_SECTION_SYNCHRONIZATION", "IRP_MJ_RELEASE_FOR_SECTION_SYNCHRONIZATION", "IRP_MJ_ACQUIRE_FOR_MOD_WRITE",
		"IRP_MJ_RELEASE_FOR_MOD_WRITE", "IRP_MJ_ACQUIRE_FOR_CC_FLUSH", "IRP_MJ_RELEASE_FOR_CC_FLUSH", "IRP_MJ_QUERY_OPEN",
		NULL, NULL, NULL, NULL, NULL, "IRP_MJ_FAST_IO_CHECK_IF_POSSIBLE", "IRP_MJ_NETWORK_QUERY_OPEN", "IRP_MJ_MDL_READ",
		"IRP_MJ_MDL_READ_COMPLETE", "IRP_MJ_PREPARE_MDL_WRITE", "IRP_MJ_MDL_WRITE_COMPLETE", "IRP_MJ_VOLUME_MOUNT",
		"IRP_MJ_VOLUME_DISMOUNT",
	};

	if (number < G_N_ELEMENTS(major))
		return major[number];
	return 255u - number < G_N_ELEMENTS(pseudo) ? pseudo[255u - number] : NULL;
}

struct operation {
	uint8_t number;
	uint64_t functions[2];		/* called before and after */
};

/*
 * The registrations at va, up to their end: {number, flags, before, after, reserved}; 0: that is no such array. *early: why what was read is
 * not all of it.
 */
static unsigned read_operations(struct context *c, uint64_t va, struct operation out[MAX_OPERATIONS], enum fault *early)
{
	const unsigned w = space_pointer_size(c->space), size = 8 + 3 * w;

	for (unsigned n = 0;; n++) {
		uint8_t entry[OPERATION_SIZE];
		struct bytes b = { entry, size, false };
		if ((*early = space_read(c->space, (va_t){ va + n * size }, entry, size, NULL)) || entry[0] == OPERATION_END)
			return n;
		if (n == MAX_OPERATIONS) {
			*early = FAULT_LIMIT;
			return n;
		}
		struct operation o = { entry[0], { bytes_at(&b, 8, w), bytes_at(&b, 8 + w, w) } };
		if (!operation_name(o.number) || entry[1] || entry[2] || entry[3] || bytes_at(&b, 8 + 2 * w, w) || !(o.functions[0] | o.functions[1]))
			return 0;
		for (int i = 0; i < 2; i++)
			if (o.functions[i] && !space_is_kernel(c->space, (va_t){ o.functions[i] }))
				return 0;
		out[n] = o;
	}
}

static bool is_altitude(const char *text)
{
	return text && *text && strspn(text, "0123456789.") == strlen(text);
}

#define MAX_NAME 512u
#define MAX_ALTITUDE 128u	/* both in bytes */

struct filter {
	char *name, *altitude;
	enum fault name_fault, altitude_fault;
	uint64_t driver;
	uint32_t after;			/* where the search for operations goes on */
};

/* A string whose text isn't there: what else it says is what a string would. */
static bool is_string(const struct object *string, unsigned max)
{
	uint16_t length, room;
	uint64_t buffer;

	return !READ(*string, unicode_string.Length, &length) && !READ(*string, unicode_string.MaximumLength, &room) &&
	       !READ(*string, unicode_string.Buffer, &buffer) && length && !(length & 1) && length <= max && length <= room &&
	       space_is_kernel(string->space, (va_t){ buffer });
}

/* The flags that stand before it take as much as a pointer, or none, for alignment. */
static uint64_t driver_behind(struct context *c, uint64_t va)
{
	const unsigned w = space_pointer_size(c->space);

	for (unsigned skip = 0; skip <= 2 * w; skip += w) {
		uint64_t at = 0;
		int16_t type = 0;
		if (read_pointer(c->space, (va_t){ va + skip }, &at))
			break;
		struct object driver = object_at(c->space, at);
		if (space_is_kernel(c->space, driver.va) && !READ(driver, driver_object.Type, &type) && type == IO_TYPE_DRIVER)
			return at;
	}
	return 0;
}

/* Two strings, of which the second is an altitude, and the driver object behind the flags. */
static bool find_filter(struct context *c, const struct pool_object *o, uint32_t size, struct filter *out)
{
	const unsigned w = space_pointer_size(c->space);

	for (uint32_t at = 3 * w; at + 6 * w <= size; at += w) {
		struct object name = object_at(c->space, o->va.v + at), altitude = object_at(c->space, o->va.v + at + 2 * w);
		struct filter f = { .after = at + 4 * w };
		g_autofree char *first = NULL, *second = NULL;
		f.altitude_fault = read_unicode_string(&altitude, MAX_ALTITUDE, &second);
		if (f.altitude_fault ? !is_string(&altitude, MAX_ALTITUDE) : !is_altitude(second))
			continue;
		f.name_fault = read_unicode_string(&name, MAX_NAME, &first);
		if (f.name_fault ? !is_string(&name, MAX_NAME) : !*first)
			continue;
		f.driver = driver_behind(c, o->va.v + f.after);
		/* Without its text a string says little: then the driver object must. */
		if ((f.name_fault || f.altitude_fault) && !f.driver)
			continue;
		f.name = g_steal_pointer(&first);
		f.altitude = g_steal_pointer(&second);
		*out = f;
		return true;
	}
	return false;
}

static void put_operations(struct context *c, const struct pool_object *o, uint32_t size, uint32_t from, va_t image, int64_t ordinal)
{
	const unsigned w = space_pointer_size(c->space);
	struct operation operations[MAX_OPERATIONS];

	for (uint32_t at = from; at + w <= size; at += w) {
		uint64_t pointer = 0;
		enum fault early;
		if (read_pointer(c->space, (va_t){ o->va.v + at }, &pointer) || !space_is_kernel(c->space, (va_t){ pointer }))
			continue;
		unsigned n = read_operations(c, pointer, operations, &early);
		for (unsigned i = 0; i < n; i++) {
			const uint64_t *functions = operations[i].functions;
			struct row *row = row_new(c, &minifilter_operations);
			row_ref(row, OPERATION_FILTER, ordinal);
			row_int(row, OPERATION_NUMBER, operations[i].number);
			row_text(row, OPERATION_NAME, operation_name(operations[i].number));
			if (functions[0]) {
				row_address(row, OPERATION_PRE, functions[0]);
				row_text(row, OPERATION_PRE_MODULE, context_driver_at(c, (va_t){ functions[0] }));
				row_text(row, OPERATION_PRE_PLACEMENT, context_placement(c, (va_t){ functions[0] }, image));
			}
			if (functions[1]) {
				row_address(row, OPERATION_POST, functions[1]);
				row_text(row, OPERATION_POST_MODULE, context_driver_at(c, (va_t){ functions[1] }));
				row_text(row, OPERATION_POST_PLACEMENT, context_placement(c, (va_t){ functions[1] }, image));
			}
		}
		if (n && early)
			context_note(c, early, (va_t){ pointer }, "minifilter_operations", "the operations of a filter go on: %s", early == FAULT_LIMIT ?
				     "the rest is left out (minifilter_operations)" : "the rest can't be read");
		if (n)
			return;
	}
}

static void put_filter(struct context *c, const struct pool_object *o)
{
	/* A block that goes on past its page is read so far as it is mapped. */
	uint32_t size = MIN(o->block, 2 * PAGE_SIZE) - c->kernel->layout->pool_header.size_;
	struct filter f;
	uint64_t start = 0;

	if (!find_filter(c, o, size, &f))
		return;
	struct row *row = row_new(c, &minifilters);
	row_address(row, ADDRESS, o->va.v);
	if (f.name_fault)
		row_fault(row, NAME, f.name_fault, o->va, "_FLT_FILTER.Name");
	row_text(row, NAME, f.name);
	if (f.altitude_fault)
		row_fault(row, ALTITUDE, f.altitude_fault, o->va, "_FLT_FILTER.DefaultAltitude");
	row_text(row, ALTITUDE, f.altitude);
	if (f.driver) {
		struct object driver = object_at(c->space, f.driver), name = MEMBER(driver, driver_object.DriverName);
		g_autofree char *text = NULL;
		row_address(row, DRIVER_OBJECT, f.driver);
		if (!read_unicode_string(&name, 1024, &text))
			row_text(row, DRIVER, text);
		if (!READ(driver, driver_object.DriverStart, &start))
			row_text(row, MODULE, context_driver_at(c, (va_t){ start }));
	}
	put_operations(c, o, size, f.after, (va_t){ start }, row_ordinal(row));
	g_free(f.name);
	g_free(f.altitude);
}

static bool run(struct context *c, GError **error)
{
	g_autoptr(GArray) blocks = pool_blocks(c, &pool_filter);

	(void)error;
	for (guint i = 0; i < blocks->len && !context_cancelled(c); i++) {
		const struct pool_object *o = &g_array_index(blocks, struct pool_object, i);
		if (o->va.v && !o->freed)
			put_filter(c, o);
	}
	return true;
}

const struct plugin plugin_minifilters = {
	.name = "minifilters",
	.doc = "file system minifilters and the operations they see",
	.fills = { &minifilters, &minifilter_operations },
	.needs = { "drivers" },
	.sweeps = sweeps,
	.needs_layout = true,
	.run = run,
};
