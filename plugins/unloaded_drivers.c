/* SPDX-License-Identifier: Apache-2.0 */
/* The drivers unloaded last, as the kernel remembers them. */
#include "plugin.h"

enum { DUMP, NAME, START, END, UNLOAD_TIME };

static const struct table unloaded_drivers = {
	.name = "unloaded_drivers", .doc = "drivers that were unloaded, the last 50",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[START] = { "start", COL_ADDRESS, "where it was" },
		[END] = { "end", COL_ADDRESS, "first address past it" },
		[UNLOAD_TIME] = { "unload_time", COL_TIME, "" },
	},
};

/* MI_UNLOADED_DRIVERS: the array is used as a ring. */
#define ENTRIES 50

/* _UNLOADED_DRIVERS is in few symbols and never changed: {name, start, end, time}. */
struct entry_layout {
	unsigned size, start, end, time;
};

static struct entry_layout entry_layout(const struct space *space)
{
	return space_pointer_size(space) == 8 ? (struct entry_layout){ 40, 16, 24, 32 } : (struct entry_layout){ 24, 8, 12, 16 };
}

static va_t find_array(struct context *c)
{
	va_t at = kernel_symbol(c->kernel, MmUnloadedDrivers);
	uint64_t array = 0;

	if (!at.v) {	/* later kernels keep it with the rest of the memory manager's state */
		struct object state = kernel_object(c->kernel, c->space, MiState);
		at = MEMBER(state, mi_system_information.UnloadedDrivers).va;
	}
	if (!at.v) {
		context_note(c, FAULT_NO_FIELD, c->kernel->base, "unloaded_drivers", "where unloaded drivers are kept is not known");
		return at;
	}
	enum fault fault = read_pointer(c->space, at, &array);
	if (fault)
		context_note(c, fault, at, "unloaded_drivers", "MmUnloadedDrivers can't be read");
	return (va_t){ array };	/* 0: none was unloaded since boot */
}

static bool run(struct context *c, GError **error)
{
	struct entry_layout l = entry_layout(c->space);
	unsigned width = space_pointer_size(c->space);
	va_t array = find_array(c);

	(void)error;
	for (unsigned i = 0; array.v && i < ENTRIES; i++) {
		va_t at = { array.v + i * l.size };
		struct object name = object_at(c->space, at.v);
		uint8_t raw[40];
		enum fault fault = space_read(c->space, at, raw, l.size, NULL);
		struct bytes b = { raw, l.size, false };
		if (fault) {
			context_note(c, fault, at, "unloaded_drivers", "the list can't be read from entry %u on", i);
			break;
		}
		uint64_t start = bytes_at(&b, l.start, width), end = bytes_at(&b, l.end, width), time = bytes_at(&b, l.time, 8);
		if (!start && !end && !time)
			continue;
		struct row *row = row_new(c, &unloaded_drivers);
		g_autofree char *text = NULL;
		if ((fault = read_unicode_string(&name, 512, &text)))
			row_fault(row, NAME, fault, at, "the name");
		row_text(row, NAME, text);
		row_address(row, START, start);
		row_address(row, END, end);
		row_time(row, UNLOAD_TIME, time);
	}
	return true;
}

const struct plugin plugin_unloaded_drivers = {
	.name = "unloaded_drivers",
	.doc = "drivers that were unloaded",
	.fills = { &unloaded_drivers },
	.needs_layout = true,
	.run = run,
};
