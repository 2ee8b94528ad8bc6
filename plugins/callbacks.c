/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the kernel calls when something happens: process, thread and image notifications,
 * registry, object, bugcheck, shutdown, power-setting and file-system callbacks.
 *
 * Sources of the structures: wdm.h and ntifs.h for KBUGCHECK_CALLBACK_RECORD and
 * KBUGCHECK_REASON_CALLBACK_RECORD; the others are in no symbols and are as public
 * write-ups (and Volatility 3's callbacks symbols) give them, for 64 bits the same from Windows 7 to 11.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "pool.h"
#include "symbolize.h"
#include "walk.h"
#include "limit.h"

enum { DUMP, TYPE, ADDRESS, MODULE, SYMBOL_NAME, DETAIL, PLACEMENT };

static const char *const indices[] = { "address", NULL };

static const struct table callbacks = {
	.name = "callbacks", .doc = "functions the kernel calls on events", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[TYPE] = { "type", COL_TEXT, "process, thread, image, registry, object, bugcheck, bugcheck_reason, shutdown, "
			   "last_chance_shutdown, filesystem_registration, logon_session, debug_print, nmi, power_setting" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the function" },
		[MODULE] = { "module", COL_TEXT, "kernel module it lies in; NULL: in none" },
		[SYMBOL_NAME] = { "symbol", COL_TEXT, "the nearest export of the module below it, where one is near" },
		[DETAIL] = { "detail", COL_JSON, "where it is registered, and with what" },
		[PLACEMENT] = { "placement", COL_TEXT, "expected: in a kernel module, of the driver that registered it where that is known; "
				"other: in another one; nowhere: in none" },
	},
};

/* PSP_MAX_CREATE_PROCESS_NOTIFY and its like: 64 since Vista, of images since Windows 10 and updates of 8.1 (PsSetLoadImageNotifyRoutine). */
#define NOTIFY_SLOTS 64
#define NOTIFY_SLOTS_ONCE 8
#define REGISTRY_SLOTS 100	/* of CmpCallBackVector: CM_REG_MAX_CALLBACKS (mimidrv, kkll_m_notify.h) */
#define MAX_CHAIN limit32(callback_chain)
#define SERVER_2003 3790u
#define VISTA 6000u
#define WINDOWS_7 7600u
#define WINDOWS_8 9200u
#define WINDOWS_10 10240u

/* Takes detail. */
static struct row *put_registration(struct context *c, const char *type, json_t *detail)
{
	struct row *row = row_new(c, &callbacks);

	row_text(row, TYPE, type);
	char *text = json_dumps(detail, JSON_COMPACT);
	row_text(row, DETAIL, text);
	free(text);
	json_decref(detail);
	return row;
}

/* The same with its function. `owner`: an address in the module that registered it, 0 where nothing tells. */
static void put_owned(struct context *c, const char *type, uint64_t address, uint64_t owner, json_t *detail)
{
	g_autofree char *symbol = symbolizer_name(context_kept(c), (va_t){ address });
	struct row *row = put_registration(c, type, detail);

	row_address(row, ADDRESS, address);
	row_text(row, MODULE, context_driver_at(c, (va_t){ address }));
	row_text(row, SYMBOL_NAME, symbol);
	row_text(row, PLACEMENT, context_placement(c, (va_t){ address }, (va_t){ owner }));
}

static void put(struct context *c, const char *type, uint64_t address, json_t *detail)
{
	put_owned(c, type, address, 0, detail);
}

static json_t *hex(uint64_t value)
{
	g_autofree char *text = g_strdup_printf("0x%" G_GINT64_MODIFIER "x", value);

	return json_string(text);
}

/* JSON wants valid UTF-8, which all our text is; NULL where there is none. */
static void set_text(json_t *detail, const char *key, const char *text)
{
	if (text)
		json_object_set_new(detail, key, json_string(text));
}

/* What the build has at most, and no more than there is up to the next of the arrays. */
static unsigned slots_of(struct context *c, va_t array)
{
	const struct kernel *k = c->kernel;
	if (array.v == kernel_symbol(k, CmpCallBackVector).v)
		return REGISTRY_SLOTS;
	const va_t all[] = { kernel_symbol(k, PspCreateProcessNotifyRoutine), kernel_symbol(k, PspCreateThreadNotifyRoutine), kernel_symbol(k, PspLoadImageNotifyRoutine) };
	uint64_t slots = k->build && k->build < VISTA ? NOTIFY_SLOTS_ONCE : NOTIFY_SLOTS;

	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		if (all[i].v > array.v)
			slots = MIN(slots, (all[i].v - array.v) / space_pointer_size(c->space));
	return (unsigned)slots;
}

/* By its pool tag; where that can't be read, too. */
static bool may_be_callback(struct context *c, uint64_t block)
{
	char tag[4];

	return space_read(c->space, (va_t){ block - (space_pointer_size(c->space) == 8 ? 12 : 4) }, tag, sizeof(tag), NULL) || !memcmp(tag, "Cbrb", sizeof(tag));
}

/* An array of _EX_CALLBACK: fast references to _EX_CALLBACK_ROUTINE_BLOCK {rundown, function, context}. */
static void notify_routines(struct context *c, va_t array, const char *type, const char *what)
{
	const unsigned width = space_pointer_size(c->space), slots = slots_of(c, array);
	const bool doubtful = c->kernel->build && c->kernel->build < WINDOWS_10 && array.v == kernel_symbol(c->kernel, PspLoadImageNotifyRoutine).v;

	for (unsigned slot = 0; array.v && slot < slots; slot++) {
		va_t at = { array.v + slot * width };
		uint64_t reference = 0, function = 0, registration = 0;
		enum fault fault = read_pointer(c->space, at, &reference);
		if (fault) {
			context_note(c, fault, at, "callbacks", "%s can't be read from slot %u on", what, slot);
			return;
		}
		uint64_t block = fast_ref(c->space, reference);
		if (!block)
			continue;
		if (doubtful && slot >= NOTIFY_SLOTS_ONCE && !may_be_callback(c, block))
			return;
		fault = read_pointer(c->space, (va_t){ block + width }, &function);
		json_t *detail = json_pack("{s:s, s:i, s:o}", "array", what, "slot", (int)slot, "block", hex(block));
		/* Somebody is registered, but who can't be told: a page that is missing from a raw image reads as zeros. */
		if (fault || !function) {
			row_fault(put_registration(c, type, detail), ADDRESS, fault ? fault : FAULT_IMPLAUSIBLE, (va_t){ block + width },
				  "_EX_CALLBACK_ROUTINE_BLOCK.Function");
			continue;
		}
		/* For processes this says which of the three forms of the routine it is. */
		if (!read_pointer(c->space, (va_t){ block + 2 * width }, &registration))
			json_object_set_new(detail, "context", hex(registration));
		put(c, type, function, detail);
	}
}

/* Lists whose structure is in no symbols: entries lead to each other's links, wherever in them those are. Heads that were never initialised are zero. */
static bool list_in_use(struct context *c, va_t head, const char *what)
{
	uint64_t links[2] = { 0, 0 };
	enum fault fault = head.v ? space_read(c->space, head, links, 2 * space_pointer_size(c->space), NULL) : FAULT_NONE;

	if (fault)
		context_note(c, fault, head, "callbacks", "%s can't be read", what);
	return !fault && (links[0] || links[1]);
}

#define WALK_CALLBACKS(c_, what_, obj_, head_) \
	for (__attribute__((cleanup(walk_clear))) struct walk walk_ = { .context = (c_), .table = "callbacks", .what = (what_), \
		.head = object_at((c_)->space, (head_).v), .at = (head_).v, .done = !list_in_use((c_), (head_), (what_)) }; \
		walk_next(&walk_, &(obj_)); )

/* A pointer at a fixed place in a structure that has no symbols, before or behind its links. */
static uint64_t pointer_in(struct context *c, const struct object *object, int offset, const char *what)
{
	uint64_t value = 0;
	va_t at = { object->va.v + (uint64_t)(int64_t)offset };
	enum fault fault = read_pointer(c->space, at, &value);

	if (fault)
		context_note(c, fault, at, "callbacks", "%s: an entry can't be read", what);
	return value;
}

static char *text_at(struct context *c, uint64_t va)
{
	struct object string = object_at(c->space, va);
	char *text = NULL;

	return read_unicode_string(&string, 512, &text) ? NULL : text;
}

/*
 * Since Vista CallbackListHead: {list, two 32-bit counts, 64-bit cookie, context, function, altitude}; of Vista's x64 they lie a pointer farther on.
 * Before it CmpCallBackVector, an array as those of processes (Volatility 3, _list_registry_callbacks_legacy).
 */
static void registry(struct context *c)
{
	static const char what[] = "CallbackListHead";
	const unsigned width = space_pointer_size(c->space), at = 3 * width + 16 + (width == 8 && c->kernel->build && c->kernel->build < WINDOWS_7 ? width : 0);
	struct object entry;

	notify_routines(c, kernel_symbol(c->kernel, CmpCallBackVector), "registry", "CmpCallBackVector");
	WALK_CALLBACKS(c, what, entry, kernel_symbol(c->kernel, CallbackListHead)) {
		uint64_t function = pointer_in(c, &entry, at, what);
		g_autofree char *altitude = text_at(c, entry.va.v + at + width);
		if (!function)
			continue;
		json_t *detail = json_pack("{s:s, s:o}", "list", what, "entry", hex(entry.va.v));
		set_text(detail, "altitude", altitude);
		put(c, "registry", function, detail);
	}
}

/* _OBJECT_TYPE.CallbackList: {list, operations and enabled of 32 bits, registration, type, before, after};
 * a registration is {version, count, context, altitude}. */
static void objects(struct context *c)
{
	AUTO(object_types) types = object_types_load(c->kernel, c->space);
	unsigned width = space_pointer_size(c->space);

	if (!types->count && c->kernel->layout->object_type.CallbackList.size)
		context_note(c, FAULT_NO_FIELD, kernel_symbol(c->kernel, ObTypeIndexTable), "callbacks",
			     "the types of objects can't be read: whom they call is not known");
	for (unsigned i = 0; i < OBJECT_TYPES; i++) {
		struct object type = object_at(c->space, types->at[i].v), head = MEMBER(type, object_type.CallbackList), entry;
		if (!types->name[i] || !head.va.v)
			continue;
		WALK_CALLBACKS(c, "_OBJECT_TYPE.CallbackList", entry, head.va) {
			uint32_t operations[2] = { 0, 0 };
			uint64_t registration = pointer_in(c, &entry, 2 * width + 8, "_OBJECT_TYPE.CallbackList");
			g_autofree char *altitude = registration ? text_at(c, registration + 2 * width) : NULL;
			if (space_read(c->space, (va_t){ entry.va.v + 2 * width }, operations, sizeof(operations), NULL))
				continue;
			for (unsigned after = 0; after < 2; after++) {
				uint64_t function = pointer_in(c, &entry, (4 + after) * width + 8, "_OBJECT_TYPE.CallbackList");
				if (!function)
					continue;
				json_t *detail = json_pack("{s:s, s:s, s:o, s:I, s:b}", "object_type", types->name[i], "called",
							   after ? "after" : "before", "entry", hex(entry.va.v), "operations",
							   (json_int_t)operations[0], "enabled", operations[1] & 1);
				set_text(detail, "altitude", altitude);
				put(c, "object", function, detail);
			}
		}
	}
}

/* wdm.h: KBUGCHECK_CALLBACK_RECORD {list, routine, buffer, length, component, checksum, state},
 * KBUGCHECK_REASON_CALLBACK_RECORD {list, routine, component, checksum, reason, state}. */
static void bugcheck(struct context *c, va_t head, const char *type, const char *what, bool reason)
{
	unsigned width = space_pointer_size(c->space);
	struct object entry;

	WALK_CALLBACKS(c, what, entry, head) {
		uint64_t function = pointer_in(c, &entry, 2 * width, what), component = pointer_in(c, &entry, (reason ? 3 : 5) * width, what);
		char name[33] = "";
		uint32_t number = 0;
		if (!function)
			continue;
		json_t *detail = json_pack("{s:s, s:o}", "list", what, "entry", hex(entry.va.v));
		if (component && space_read_sparse(c->space, (va_t){ component }, name, sizeof(name) - 1) && *name &&
		    g_utf8_validate(name, -1, NULL))
			set_text(detail, "component", name);
		if (reason && !space_read(c->space, (va_t){ entry.va.v + 5 * width }, &number, sizeof(number), NULL))
			json_object_set_new(detail, "reason", json_integer(number));
		put(c, type, function, detail);
	}
}

/* _SHUTDOWN_PACKET {list, device}: its driver's IRP_MJ_SHUTDOWN is called. */
#define IRP_MJ_SHUTDOWN 0x10

static void shutdown_queue(struct context *c, va_t head, const char *type, const char *what)
{
	unsigned width = space_pointer_size(c->space);
	struct object entry;

	WALK_CALLBACKS(c, what, entry, head) {
		struct object device = object_at(c->space, pointer_in(c, &entry, 2 * space_pointer_size(c->space), what));
		uint64_t driver_at = 0, function = 0, start = 0;
		enum fault fault = READ(device, device_object.DriverObject, &driver_at);
		struct object driver = object_at(c->space, driver_at), functions = MEMBER(driver, driver_object.MajorFunction);
		struct object name = MEMBER(driver, driver_object.DriverName);
		if (!fault)
			fault = read_pointer(c->space, (va_t){ functions.va.v + IRP_MJ_SHUTDOWN * width }, &function);
		if (fault) {
			context_note(c, fault, device.va, "callbacks", "%s: a device's driver can't be read", what);
			continue;
		}
		g_autofree char *text = text_at(c, name.va.v);
		json_t *detail = json_pack("{s:s, s:o, s:o}", "list", what, "entry", hex(entry.va.v), "device", hex(device.va.v));
		set_text(detail, "driver", text);
		if (READ(driver, driver_object.DriverStart, &start))
			start = 0;
		put_owned(c, type, function, start, detail);
	}
}

/* _NOTIFICATION_PACKET {list, driver, routine}. */
static void file_systems(struct context *c)
{
	static const char what[] = "IopFsNotifyChangeQueueHead";
	struct object entry;

	WALK_CALLBACKS(c, what, entry, kernel_symbol(c->kernel, IopFsNotifyChangeQueueHead)) {
		struct object driver = object_at(c->space, pointer_in(c, &entry, 2 * space_pointer_size(c->space), what));
		struct object name = MEMBER(driver, driver_object.DriverName);
		uint64_t function = pointer_in(c, &entry, 3 * space_pointer_size(c->space), what), start = 0;
		g_autofree char *text = text_at(c, name.va.v);
		if (!function)
			continue;
		json_t *detail = json_pack("{s:s, s:o, s:o}", "list", what, "entry", hex(entry.va.v), "driver_object", hex(driver.va.v));
		set_text(detail, "driver", text);
		if (READ(driver, driver_object.DriverStart, &start))
			start = 0;
		put_owned(c, "filesystem_registration", function, start, detail);
	}
}

/* RtlpDebugPrintCallbackList: {32-bit lock, rundown, function, list} (WinObjEx64, RTL_CALLBACK_REGISTER; DbgpInsertDebugPrintCallback of Windows 7 and 10). */
static void debug_print(struct context *c)
{
	static const char what[] = "RtlpDebugPrintCallbackList";
	struct object entry;

	WALK_CALLBACKS(c, what, entry, kernel_symbol(c->kernel, RtlpDebugPrintCallbackList)) {
		const int width = (int)space_pointer_size(c->space);
		uint64_t function = pointer_in(c, &entry, -width, what);
		if (function)
			put(c, "debug_print", function, json_pack("{s:s, s:o}", "list", what, "entry", hex(entry.va.v - 3 * (uint64_t)width)));
	}
}

/* Single chains of {next, function, …}: SeFileSystemNotifyRoutinesHead, KiNmiCallbackListHead; with a context behind it SeFileSystemNotifyRoutinesExHead
 * (SeRegisterLogonSessionTerminatedRoutineEx of Windows 8.1 to 11). */
static void chain(struct context *c, va_t head, const char *type, const char *what, bool has_context)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	uint64_t at = 0;
	enum fault unread = head.v ? read_pointer(c->space, head, &at) : FAULT_NONE;

	if (unread)
		context_note(c, unread, head, "callbacks", "%s can't be read", what);
	if (at && (!space_is_kernel(c->space, (va_t){ at }) || at % space_pointer_size(c->space))) {
		context_note(c, FAULT_UNMAPPED, head, "callbacks", "%s holds 0x%" G_GINT64_MODIFIER "x, which is no address of an entry", what, at);
		return;
	}
	while (at) {
		struct object entry = object_at(c->space, at);
		uint64_t function = 0, context = 0;
		enum fault fault = g_hash_table_size(seen) >= MAX_CHAIN ? FAULT_LIMIT : FAULT_NONE;
		if (!g_hash_table_add(seen, g_memdup2(&at, sizeof(at))))
			fault = FAULT_IMPLAUSIBLE;
		if (!fault && !(fault = read_pointer(c->space, (va_t){ at + space_pointer_size(c->space) }, &function)))
			fault = read_pointer(c->space, (va_t){ at }, &at);
		if (fault) {
			context_note(c, fault, entry.va, "callbacks", "%s: the chain ends early", what);
			return;
		}
		json_t *detail = json_pack("{s:s, s:o}", "list", what, "entry", hex(entry.va.v));
		if (has_context && !read_pointer(c->space, (va_t){ entry.va.v + 2 * space_pointer_size(c->space) }, &context))
			json_object_set_new(detail, "context", hex(context));
		put(c, type, function, detail);
	}
}

/*
 * Power settings (PoRegisterPowerSettingCallback). A registration is {list, tag "PSet", …, setting, …, function, context, device}; of
 * Windows 10 it has a second setting behind the first, so that the function lies two pointers farther on, at 0x50 instead of 0x40. Which form
 * it is a registration tells itself: both settings are the same (but of programs known to need another one), and where the first form has its
 * function the second has the end of the setting, which is no address. Of 32 bits the first form is known (WDBGARK: function at 0x28). One
 * whose setting has no value yet hangs on PopRegisteredPowerSettingCallbacks, the others on a list of the setting's, which
 * nothing in the symbols leads to: so the pool blocks are looked at, too.
 */
#define POWER_TAG "PSet"
#define GUID_SIZE 16u
#define POWER_SECOND 16u		/* by so much the second form is longer */

static const struct sweep_pattern pool_power_setting = { SWEEP_POOL, POWER_TAG, 0x38, 0x90, NULL };
static const struct sweep_pattern *const sweeps[] = { &pool_power_setting, NULL };

static void power_setting(struct context *c, va_t at, const char *found, GHashTable *done)
{
	const unsigned width = space_pointer_size(c->space), setting_at = width == 8 ? 0x24 : 0x14;
	unsigned function_at = width == 8 ? 0x40 : 0x28;
	uint8_t raw[0x70], *guid = raw + setting_at;
	struct bytes b = { raw, sizeof(raw), false };
	uint64_t back = 0;

	if (g_hash_table_contains(done, &at.v) || space_read(c->space, at, raw, function_at + 3 * width, NULL) ||
	    memcmp(raw + 2 * width, POWER_TAG, 4))
		return;
	const uint64_t next = bytes_at(&b, 0, width);
	const bool second = !memcmp(guid, guid + GUID_SIZE, GUID_SIZE) || (width == 8 && !space_is_kernel(c->space, (va_t){ bytes_at(&b, function_at, width) }));
	/* What was unregistered is linked no more. */
	if (read_pointer(c->space, (va_t){ next + width }, &back) || back != at.v)
		return;
	if (second && width != 8) {
		context_note(c, FAULT_NO_FIELD, at, "callbacks", "a registration for a power setting has the form of 32-bit Windows 10, which is not known");
		return;
	}
	if (second && space_read(c->space, at, raw, (function_at += POWER_SECOND) + 3 * width, NULL))
		return;
	const uint64_t function = bytes_at(&b, function_at, width), context = bytes_at(&b, function_at + width, width), device = bytes_at(&b, function_at + 2 * width, width);
	if (!function)
		return;
	g_hash_table_add(done, g_memdup2(&at.v, sizeof(at.v)));
	g_autofree char *setting = g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
						   guid[3], guid[2], guid[1], guid[0], guid[5], guid[4], guid[7], guid[6], guid[8], guid[9],
						   guid[10], guid[11], guid[12], guid[13], guid[14], guid[15]);
	json_t *detail = json_pack("{s:s, s:o, s:s, s:o}", "found", found, "entry", hex(at.v), "setting", setting, "context", hex(context));
	uint64_t driver_at = 0, start = 0;
	struct object device_at = object_at(c->space, device), driver;
	if (device && !READ(device_at, device_object.DriverObject, &driver_at)) {
		driver = object_at(c->space, driver_at);
		if (READ(driver, driver_object.DriverStart, &start))
			start = 0;
		json_object_set_new(detail, "device", hex(device));
	}
	put_owned(c, "power_setting", function, start, detail);
}

static void power_settings(struct context *c)
{
	static const char what[] = "PopRegisteredPowerSettingCallbacks";
	g_autoptr(GHashTable) done = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GArray) blocks = pool_blocks(c, &pool_power_setting);
	struct object entry;

	WALK_CALLBACKS(c, what, entry, kernel_symbol(c->kernel, PopRegisteredPowerSettingCallbacks))
		power_setting(c, entry.va, what, done);
	for (guint i = 0; i < blocks->len && !context_cancelled(c); i++) {
		const struct pool_object *o = &g_array_index(blocks, struct pool_object, i);
		if (o->va.v && !o->freed)
			power_setting(c, o->va, "its pool block", done);
	}
}

/*
 * Lists that this Windows has somewhere, but where is not known. Symbols of the very kernel leave out only what it lacks, besides what
 * no kernel does without.
 */
static void note_unknown(struct context *c)
{
	const struct kernel *k = c->kernel;
	const bool guessed = k->layout->source == LAYOUT_FAMILY || k->layout->source == LAYOUT_DERIVED, vista = !k->build || k->build >= VISTA;
	/* KiNmiCallbackListHead came with 2003, the registry's list, in place of its array, and those of power settings and debug prints with Vista,
	 * SeFileSystemNotifyRoutinesExHead with Windows 8: built-in tables were made without it, so that symbols of the very kernel alone tell. */
	const struct { const char *name; va_t at; bool has; } lists[] = {
#define LIST(s, has) { #s, kernel_symbol(k, s), has }
		LIST(PspCreateProcessNotifyRoutine, true), LIST(PspCreateThreadNotifyRoutine, true), LIST(PspLoadImageNotifyRoutine, true),
		LIST(CmpCallBackVector, guessed && !vista), LIST(CallbackListHead, guessed && vista), LIST(KeBugCheckCallbackListHead, guessed), LIST(KeBugCheckReasonCallbackListHead, guessed),
		LIST(IopNotifyShutdownQueueHead, guessed), LIST(IopNotifyLastChanceShutdownQueueHead, guessed),
		LIST(IopFsNotifyChangeQueueHead, guessed), LIST(PopRegisteredPowerSettingCallbacks, guessed && vista),
		LIST(RtlpDebugPrintCallbackList, guessed && vista), LIST(SeFileSystemNotifyRoutinesHead, guessed),
		LIST(SeFileSystemNotifyRoutinesExHead, guessed && (!k->build || k->build >= WINDOWS_8)),
		LIST(KiNmiCallbackListHead, guessed && (!k->build || k->build >= SERVER_2003)),
#undef LIST
	};
	g_autoptr(GString) unknown = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
		if (lists[i].has && !lists[i].at.v)
			g_string_append_printf(unknown, "%s%s", unknown->len ? ", " : "", lists[i].name);
	if (unknown->len)
		context_note(c, FAULT_NO_FIELD, k->base, "callbacks", "where these are is not known: %s", unknown->str);
}

static bool run(struct context *c, GError **error)
{
	const struct kernel *k = c->kernel;

	(void)error;
	context_keep(c, symbolizer_create(c, "callbacks"), (GDestroyNotify)symbolizer_destroy);
	note_unknown(c);
	notify_routines(c, kernel_symbol(k, PspCreateProcessNotifyRoutine), "process", "PspCreateProcessNotifyRoutine");
	notify_routines(c, kernel_symbol(k, PspCreateThreadNotifyRoutine), "thread", "PspCreateThreadNotifyRoutine");
	notify_routines(c, kernel_symbol(k, PspLoadImageNotifyRoutine), "image", "PspLoadImageNotifyRoutine");
	registry(c);
	objects(c);
	bugcheck(c, kernel_symbol(k, KeBugCheckCallbackListHead), "bugcheck", "KeBugCheckCallbackListHead", false);
	bugcheck(c, kernel_symbol(k, KeBugCheckReasonCallbackListHead), "bugcheck_reason", "KeBugCheckReasonCallbackListHead", true);
	shutdown_queue(c, kernel_symbol(k, IopNotifyShutdownQueueHead), "shutdown", "IopNotifyShutdownQueueHead");
	shutdown_queue(c, kernel_symbol(k, IopNotifyLastChanceShutdownQueueHead), "last_chance_shutdown",
		       "IopNotifyLastChanceShutdownQueueHead");
	file_systems(c);
	power_settings(c);
	debug_print(c);
	chain(c, kernel_symbol(k, SeFileSystemNotifyRoutinesHead), "logon_session", "SeFileSystemNotifyRoutinesHead", false);
	chain(c, kernel_symbol(k, SeFileSystemNotifyRoutinesExHead), "logon_session", "SeFileSystemNotifyRoutinesExHead", true);
	chain(c, kernel_symbol(k, KiNmiCallbackListHead), "nmi", "KiNmiCallbackListHead", false);
	return true;
}

const struct plugin plugin_callbacks = {
	.name = "callbacks",
	.doc = "functions the kernel calls on events",
	.fills = { &callbacks },
	.needs = { "drivers" },
	.sweeps = sweeps,
	.needs_layout = true,
	.run = run,
};
