/* SPDX-License-Identifier: Apache-2.0 */
/* Event tracing sessions: who logs, where to, and whether it still does. */
#include "plugin.h"
#include "limit.h"

enum { DUMP, ADDRESS, LOGGER_ID, NAME, LOG_FILE, MODE, BUFFER_SIZE, ACCEPTS, STATUS, START_TIME, EVENTS_LOST, THREAD };

static const struct table etw_sessions = {
	.name = "etw_sessions", .doc = "event tracing sessions of the machine",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[ADDRESS] = { "address", COL_ADDRESS, "of the _WMI_LOGGER_CONTEXT" },
		[LOGGER_ID] = { "logger_id", COL_INT, "" },
		[NAME] = { "name", COL_TEXT, "" },
		[LOG_FILE] = { "log_file", COL_TEXT, "NULL: none; buffered in memory or delivered in real time, see mode" },
		[MODE] = { "mode", COL_INT, "EVENT_TRACE_…_MODE of evntrace.h" },
		[BUFFER_SIZE] = { "buffer_size", COL_INT, "of one buffer" },
		[ACCEPTS] = { "accepts_events", COL_BOOL, "0: it was stopped, or silenced" },
		[STATUS] = { "status", COL_INT, "NTSTATUS" },
		[START_TIME] = { "start_time", COL_TIME, "" },
		[EVENTS_LOST] = { "events_lost", COL_INT, "" },
		[THREAD] = { "thread", COL_ADDRESS, "_ETHREAD that writes its buffers" },
	},
};

/* Sessions of one machine: 64 until 64 more could be configured. */
#define LOGGERS 64u
#define MAX_LOGGERS limit32(etw_loggers)

/* The array of pointers to sessions: the host silo's since Windows 10, before it a global. 0: not known. */
static va_t find_loggers(struct context *c, unsigned *count)
{
	va_t global = kernel_symbol(c->kernel, WmipLoggerContext), pointer = kernel_symbol(c->kernel, EtwpHostSiloState);
	uint64_t state_at = 0, array = 0;
	uint32_t max = 0;

	*count = LOGGERS;
	if (!pointer.v || !c->kernel->layout->etw_silodriverstate.size_)
		return global;
	enum fault fault = read_pointer(c->space, pointer, &state_at);
	if (fault || !state_at) {
		if (fault)
			context_note(c, fault, pointer, "etw_sessions", "EtwpHostSiloState can't be read");
		return (va_t){ 0 };
	}
	struct object state = object_at(c->space, state_at);
	if (HAS(state, etw_silodriverstate.WmipLoggerContext))	/* the array itself */
		return MEMBER(state, etw_silodriverstate.WmipLoggerContext).va;
	if ((fault = READ(state, etw_silodriverstate.EtwpLoggerContext, &array))) {
		context_note(c, fault, state.va, "etw_sessions", "_ETW_SILODRIVERSTATE can't be read");
		return (va_t){ 0 };
	}
	if (!READ(state, etw_silodriverstate.MaxLoggers, &max) && max)
		*count = MIN(max, MAX_LOGGERS);
	if (max > MAX_LOGGERS)
		context_note(c, FAULT_LIMIT, state.va, "etw_sessions", "room for %u sessions: only %u are looked at", max, MAX_LOGGERS);
	return (va_t){ array };
}

static void put_text(struct row *row, int column, const struct object *string, const char *what)
{
	g_autofree char *text = NULL;
	enum fault fault = string->va.v ? read_unicode_string(string, 2048, &text) : FAULT_NONE;

	if (fault)
		row_fault(row, column, fault, string->va, what);
	else if (text && *text)
		row_text(row, column, text);
}

static void put_session(struct context *c, uint64_t at)
{
	struct object session = object_at(c->space, at);
	struct object name = MEMBER(session, wmi_logger_context.LoggerName), file = MEMBER(session, wmi_logger_context.LogFileName);
	struct row *row = row_new(c, &etw_sessions);
	uint32_t accepts = 0;

	row_address(row, ADDRESS, at);
	PUT(row, LOGGER_ID, session, wmi_logger_context.LoggerId);
	put_text(row, NAME, &name, "_WMI_LOGGER_CONTEXT.LoggerName");
	put_text(row, LOG_FILE, &file, "_WMI_LOGGER_CONTEXT.LogFileName");
	PUT(row, MODE, session, wmi_logger_context.LoggerMode);
	PUT(row, BUFFER_SIZE, session, wmi_logger_context.BufferSize);
	if (PUT_READ(row, ACCEPTS, session, wmi_logger_context.AcceptNewEvents, &accepts))
		row_int(row, ACCEPTS, accepts != 0);
	PUT(row, STATUS, session, wmi_logger_context.LoggerStatus);
	PUT(row, START_TIME, session, wmi_logger_context.StartTime);
	PUT(row, EVENTS_LOST, session, wmi_logger_context.EventsLost);
	PUT(row, THREAD, session, wmi_logger_context.LoggerThread);
}

static bool run(struct context *c, GError **error)
{
	unsigned count;
	va_t loggers = find_loggers(c, &count);

	(void)error;
	if (!kernel_symbol(c->kernel, WmipLoggerContext).v && !kernel_symbol(c->kernel, EtwpHostSiloState).v)
		context_note(c, FAULT_NO_FIELD, c->kernel->base, "etw_sessions", "where tracing sessions are kept is not known");
	for (unsigned i = 0; loggers.v && i < count; i++) {
		va_t at = { loggers.v + i * space_pointer_size(c->space) };
		uint64_t session = 0;
		enum fault fault = read_pointer(c->space, at, &session);
		if (fault) {
			context_note(c, fault, at, "etw_sessions", "the list of sessions can't be read from %u on", i);
			break;
		}
		/* A free slot holds 1. */
		if (space_is_kernel(c->space, (va_t){ session }) && !(session & 1))
			put_session(c, session);
	}
	return true;
}

const struct plugin plugin_etw_sessions = {
	.name = "etw_sessions",
	.doc = "event tracing sessions",
	.fills = { &etw_sessions },
	.needs_layout = true,
	.run = run,
};
