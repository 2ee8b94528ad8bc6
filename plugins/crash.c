/* SPDX-License-Identifier: Apache-2.0 */
/* Why the machine (or process) stopped, as the dump's header says. */
#include "kobject.h"
#include "processor.h"

enum { DUMP, CODE, NAME, P1, P2, P3, P4, EXCEPTION, IP, THREAD, PROCESS, UPTIME, REGISTERS, SECONDARY, COMMENT, EXCEPTION_AT, EXCEPTION_INFORMATION, LIVE };

static const struct table crash = {
	.name = "crash", .doc = "why the machine stopped, as the dump's header says",
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[CODE] = { "bugcheck_code", COL_INT, "" },
		[NAME] = { "bugcheck_name", COL_TEXT, "as in bugcodes.h" },
		[P1] = { "parameter1", COL_ADDRESS, "" },
		[P2] = { "parameter2", COL_ADDRESS, "" },
		[P3] = { "parameter3", COL_ADDRESS, "" },
		[P4] = { "parameter4", COL_ADDRESS, "" },
		[EXCEPTION] = { "exception_code", COL_INT, "of the exception record, or, where that holds what the kernel puts there at every bugcheck, a breakpoint, "
				"of the parameters of codes that say what was raised before (KMODE_EXCEPTION_NOT_HANDLED and its kin); NULL: none" },
		[IP] = { "instruction_pointer", COL_ADDRESS, "of the context record" },
		[THREAD] = { "thread", COL_ADDRESS, "_ETHREAD that ran" },
		[PROCESS] = { "process_id", COL_PROCESS, "in whose memory it ran: the thread's own, or the one it was attached to" },
		[UPTIME] = { "uptime", COL_REAL, "seconds" },
		[REGISTERS] = { "registers", COL_JSON, "of the context record, by name" },
		[SECONDARY] = { "secondary_data", COL_JSON, "blobs at the end of the dump: GUID, offset, size" },
		[COMMENT] = { "comment", COL_TEXT, "" },
		[EXCEPTION_AT] = { "exception_address", COL_ADDRESS, "as exception_code" },
		[LIVE] = { "live", COL_BOOL, "a live dump: the machine went on, and the code is why it was taken; NULL: there is no code" },
		[EXCEPTION_INFORMATION] = { "exception_information", COL_JSON, "its ExceptionInformation, as far as it is used and known" },
	},
};

/* bugcodes.h */
static const struct bugcheck { uint32_t code; const char *name; } names[] = {
	{ 0x01, "APC_INDEX_MISMATCH" }, { 0x0a, "IRQL_NOT_LESS_OR_EQUAL" }, { 0x18, "REFERENCE_BY_POINTER" }, { 0x19, "BAD_POOL_HEADER" },
	{ 0x1a, "MEMORY_MANAGEMENT" }, { 0x1e, "KMODE_EXCEPTION_NOT_HANDLED" }, { 0x24, "NTFS_FILE_SYSTEM" }, { 0x34, "CACHE_MANAGER" },
	{ 0x3b, "SYSTEM_SERVICE_EXCEPTION" }, { 0x3d, "INTERRUPT_EXCEPTION_NOT_HANDLED" }, { 0x44, "MULTIPLE_IRP_COMPLETE_REQUESTS" },
	{ 0x4a, "IRQL_GT_ZERO_AT_SYSTEM_SERVICE" }, { 0x4e, "PFN_LIST_CORRUPT" }, { 0x50, "PAGE_FAULT_IN_NONPAGED_AREA" },
	{ 0x51, "REGISTRY_ERROR" }, { 0x65, "MEMORY1_INITIALIZATION_FAILED" }, { 0x74, "BAD_SYSTEM_CONFIG_INFO" },
	{ 0x77, "KERNEL_STACK_INPAGE_ERROR" }, { 0x7a, "KERNEL_DATA_INPAGE_ERROR" }, { 0x7b, "INACCESSIBLE_BOOT_DEVICE" },
	{ 0x7e, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED" }, { 0x7f, "UNEXPECTED_KERNEL_MODE_TRAP" }, { 0x80, "NMI_HARDWARE_FAILURE" },
	{ 0x8e, "KERNEL_MODE_EXCEPTION_NOT_HANDLED" }, { 0x9c, "MACHINE_CHECK_EXCEPTION" }, { 0x9f, "DRIVER_POWER_STATE_FAILURE" },
	{ 0xa0, "INTERNAL_POWER_ERROR" }, { 0xa5, "ACPI_BIOS_ERROR" }, { 0xbe, "ATTEMPTED_WRITE_TO_READONLY_MEMORY" },
	{ 0xc1, "SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION" }, { 0xc2, "BAD_POOL_CALLER" }, { 0xc4, "DRIVER_VERIFIER_DETECTED_VIOLATION" },
	{ 0xc5, "DRIVER_CORRUPTED_EXPOOL" }, { 0xc9, "DRIVER_VERIFIER_IOMANAGER_VIOLATION" },
	{ 0xce, "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS" }, { 0xd1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL" },
	{ 0xd8, "DRIVER_USED_EXCESSIVE_PTES" }, { 0xda, "SYSTEM_PTE_MISUSE" }, { 0xe2, "MANUALLY_INITIATED_CRASH" },
	{ 0xe4, "WORKER_INVALID" }, { 0xea, "THREAD_STUCK_IN_DEVICE_DRIVER" }, { 0xef, "CRITICAL_PROCESS_DIED" },
	{ 0xf4, "CRITICAL_OBJECT_TERMINATION" }, { 0xf7, "DRIVER_OVERRAN_STACK_BUFFER" }, { 0xfc, "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY" },
	{ 0xfe, "BUGCODE_USB_DRIVER" }, { 0x101, "CLOCK_WATCHDOG_TIMEOUT" }, { 0x109, "CRITICAL_STRUCTURE_CORRUPTION" },
	{ 0x10d, "WDF_VIOLATION" }, { 0x10e, "VIDEO_MEMORY_MANAGEMENT_INTERNAL" }, { 0x113, "VIDEO_DXGKRNL_FATAL_ERROR" },
	{ 0x116, "VIDEO_TDR_FAILURE" }, { 0x119, "VIDEO_SCHEDULER_INTERNAL_ERROR" },
	{ 0x124, "WHEA_UNCORRECTABLE_ERROR" }, { 0x12b, "FAULTY_HARDWARE_CORRUPTED_PAGE" }, { 0x133, "DPC_WATCHDOG_VIOLATION" },
	{ 0x139, "KERNEL_SECURITY_CHECK_FAILURE" }, { 0x13a, "KERNEL_MODE_HEAP_CORRUPTION" }, { 0x144, "BUGCODE_USB3_DRIVER" },
	{ 0x149, "REFS_FILE_SYSTEM" }, { 0x14f, "PDC_WATCHDOG_TIMEOUT" }, { 0x154, "UNEXPECTED_STORE_EXCEPTION" },
	{ 0x162, "KERNEL_AUTO_BOOST_INVALID_LOCK_RELEASE" }, { 0x18b, "SECURE_KERNEL_ERROR" }, { 0x19c, "WIN32K_POWER_WATCHDOG_TIMEOUT" },
	{ 0x1c7, "STORE_DATA_STRUCTURE_CORRUPTION" }, { 0x1c8, "MANUALLY_INITIATED_POWER_BUTTON_HOLD" }, { 0x1ca, "SYNTHETIC_WATCHDOG_TIMEOUT" },
	{ 0x1d3, "WFP_INVALID_OPERATION" }, { 0xc0000218, "STATUS_CANNOT_LOAD_REGISTRY_FILE" },
	{ 0xc000021a, "WINLOGON_FATAL_ERROR" }, { 0xc0000221, "STATUS_IMAGE_CHECKSUM_MISMATCH" },
	{ 0x1000007e, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED_M" }, { 0x1000007f, "UNEXPECTED_KERNEL_MODE_TRAP_M" },
	{ 0x1000008e, "KERNEL_MODE_EXCEPTION_NOT_HANDLED_M" }, { 0x100000ea, "THREAD_STUCK_IN_DEVICE_DRIVER_M" },
	{ 0xdeaddead, "MANUALLY_INITIATED_CRASH1" },
};

/* Those of live dumps: the machine goes on. The first three are used for nothing else, though their names don't say so. */
static const struct bugcheck live_dumps[] = {
	{ 0x117, "VIDEO_TDR_TIMEOUT_DETECTED" }, { 0x141, "VIDEO_ENGINE_TIMEOUT_DETECTED" }, { 0x142, "VIDEO_TDR_APPLICATION_BLOCKED" },
	{ 0x156, "WINSOCK_DETECTED_HUNG_CLOSESOCKET_LIVEDUMP" }, { 0x15c, "PDC_WATCHDOG_TIMEOUT_LIVEDUMP" },
	{ 0x15d, "SOC_SUBSYSTEM_FAILURE_LIVEDUMP" }, { 0x15e, "BUGCODE_NDIS_DRIVER_LIVE_DUMP" },
	{ 0x15f, "CONNECTED_STANDBY_WATCHDOG_TIMEOUT_LIVEDUMP" }, { 0x161, "LIVE_SYSTEM_DUMP" },
	{ 0x165, "CLUSTER_CSV_STATUS_IO_TIMEOUT_LIVEDUMP" }, { 0x166, "CLUSTER_RESOURCE_CALL_TIMEOUT_LIVEDUMP" },
	{ 0x167, "CLUSTER_CSV_SNAPSHOT_DEVICE_INFO_TIMEOUT_LIVEDUMP" }, { 0x168, "CLUSTER_CSV_STATE_TRANSITION_TIMEOUT_LIVEDUMP" },
	{ 0x169, "CLUSTER_CSV_VOLUME_ARRIVAL_LIVEDUMP" }, { 0x16a, "CLUSTER_CSV_VOLUME_REMOVAL_LIVEDUMP" },
	{ 0x16b, "CLUSTER_CSV_CLUSTER_WATCHDOG_LIVEDUMP" }, { 0x16f, "CLUSTER_CSV_STATE_TRANSITION_INTERVAL_TIMEOUT_LIVEDUMP" },
	{ 0x179, "CLUSTER_CLUSPORT_STATUS_IO_TIMEOUT_LIVEDUMP" }, { 0x17c, "PDC_LOCK_WATCHDOG_LIVEDUMP" },
	{ 0x17d, "PDC_UNEXPECTED_REVOCATION_LIVEDUMP" }, { 0x180, "WVR_LIVEDUMP_REPLICATION_IOCONTEXT_TIMEOUT" },
	{ 0x181, "WVR_LIVEDUMP_STATE_TRANSITION_TIMEOUT" }, { 0x182, "WVR_LIVEDUMP_RECOVERY_IOCONTEXT_TIMEOUT" },
	{ 0x183, "WVR_LIVEDUMP_APP_IO_TIMEOUT" }, { 0x184, "WVR_LIVEDUMP_MANUALLY_INITIATED" }, { 0x185, "WVR_LIVEDUMP_STATE_FAILURE" },
	{ 0x186, "WVR_LIVEDUMP_CRITICAL_ERROR" }, { 0x188, "CLUSTER_CSVFS_LIVEDUMP" }, { 0x190, "WIN32K_CRITICAL_FAILURE_LIVEDUMP" },
	{ 0x193, "VIDEO_DXGKRNL_LIVEDUMP" }, { 0x195, "SMB_SERVER_LIVEDUMP" }, { 0x198, "UFX_LIVEDUMP" }, { 0x19d, "CLUSTER_SVHDX_LIVEDUMP" },
	{ 0x19f, "PDC_PRIVILEGE_CHECK_LIVEDUMP" }, { 0x1a1, "WIN32K_CALLOUT_WATCHDOG_LIVEDUMP" },
	{ 0x1a3, "CALL_HAS_NOT_RETURNED_WATCHDOG_TIMEOUT_LIVEDUMP" }, { 0x1a4, "DRIPS_SW_HW_DIVERGENCE_LIVEDUMP" },
	{ 0x1a5, "USB_DRIPS_BLOCKER_SURPRISE_REMOVAL_LIVEDUMP" }, { 0x1a6, "BLUETOOTH_ERROR_RECOVERY_LIVEDUMP" },
	{ 0x1a7, "SMB_REDIRECTOR_LIVEDUMP" }, { 0x1a8, "VIDEO_DXGKRNL_BLACK_SCREEN_LIVEDUMP" }, { 0x1a9, "DIRECTED_FX_TRANSITION_LIVEDUMP" },
	{ 0x1b0, "VIDEO_MINIPORT_FAILED_LIVEDUMP" }, { 0x1b8, "VIDEO_MINIPORT_BLACK_SCREEN_LIVEDUMP" },
	{ 0x1c4, "DRIVER_VERIFIER_DETECTED_VIOLATION_LIVEDUMP" }, { 0x1c5, "IO_THREADPOOL_DEADLOCK_LIVEDUMP" },
	{ 0x1c9, "USER_MODE_HEALTH_MONITOR_LIVEDUMP" }, { 0x1cc, "EXRESOURCE_TIMEOUT_LIVEDUMP" }, { 0x1d1, "TELEMETRY_ASSERTS_LIVEDUMP" },
	{ 0x1d4, "UCMUCSI_LIVEDUMP" },
};

static const char *name_of(const struct bugcheck *all, size_t n, uint32_t code)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].code == code)
			return all[i].name;
	return NULL;
}

/* DumpIt freezes the machine and writes this where a bugcheck's code would stand. */
#define CODE_OF_DUMPIT 0x5454414d	/* MATT */

static void put_bugcheck(struct row *row, const struct image_facts *f)
{
	const char *why_live = name_of(live_dumps, G_N_ELEMENTS(live_dumps), f->bugcheck_code);

	row_int(row, CODE, f->bugcheck_code);
	row_text(row, NAME, why_live ? why_live : name_of(names, G_N_ELEMENTS(names), f->bugcheck_code));
	row_int(row, LIVE, why_live || f->bugcheck_code == CODE_OF_DUMPIT || f->dump_attributes & DUMP_ATTRIBUTE_LIVE);
	for (int i = 0; i < 4; i++)
		row_address(row, P1 + i, f->bugcheck_parameters[i]);
}

static const struct process *process_at(const struct context *c, uint64_t eprocess)
{
	for (guint i = 0; i < c->processes->len; i++) {
		const struct process *process = g_ptr_array_index(c->processes, i);
		if (process->eprocess.v == eprocess)
			return process;
	}
	return NULL;
}

/* KTHREAD.ApcState names the process that a thread is attached to (KeStackAttachProcess), else its own: what small dumps hold, too. */
static const struct process *process_of(struct context *c, va_t thread)
{
	struct object ethread = object_at(c->space, thread.v), tcb = MEMBER(ethread, ethread.Tcb), state = MEMBER(tcb, kthread.ApcState);
	uint64_t eprocess = 0;
	const struct process *process = READ(state, kapc_state.Process, &eprocess) ? NULL : process_at(c, eprocess);

	return process || read_thread_process(&ethread, &eprocess) ? process : process_at(c, eprocess);
}

static void put_exception(struct row *row, uint32_t code, uint64_t address, const uint64_t *information, unsigned n)
{
	g_autoptr(GString) json = g_string_new("[");

	row_int(row, EXCEPTION, code);
	if (address)
		row_address(row, EXCEPTION_AT, address);
	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(json, "%s\"0x%" G_GINT64_MODIFIER "x\"", i ? "," : "", information[i]);
	g_string_append_c(json, ']');
	if (n)
		row_text(row, EXCEPTION_INFORMATION, json->str);
}

/* What was raised before a bugcheck, as the reference of bugcheck codes has it: the first parameter is the exception's code, the second where
 * it was raised; of KMODE_EXCEPTION_NOT_HANDLED the others are the exception's own first two, which an access violation has. */
static void put_exception_before(struct row *row, const struct image_facts *f)
{
	enum { KMODE = 0x1e, SERVICE = 0x3b, THREAD_NOT_HANDLED = 0x7e, KERNEL_MODE = 0x8e, MINIDUMP_BIT = 0x10000000 };
	const uint64_t *p = f->bugcheck_parameters;
	uint32_t bugcheck = f->bugcheck_code & ~(uint32_t)MINIDUMP_BIT, code = (uint32_t)p[0];
	bool violation = code == 0xc0000005 || code == 0xc0000006;

	if (code && (bugcheck == KMODE || bugcheck == SERVICE || bugcheck == THREAD_NOT_HANDLED || bugcheck == KERNEL_MODE))
		put_exception(row, code, p[1], p + 2, bugcheck == KMODE && violation ? 2 : 0);
}

static bool run(struct context *c, GError **error)
{
	const struct image_facts *f = &c->image->facts;
	const struct image_triage *triage = c->image->triage;

	(void)error;
	if (!f->is_crash && !c->image->minidump)
		return true;	/* nothing crashed: a dump of a living machine */
	if (c->image->minidump && !f->exception_code)
		return true;
	struct row *row = row_new(c, &crash);
	if (f->is_crash)
		put_bugcheck(row, f);
	if (f->exception_code)
		put_exception(row, f->exception_code, f->exception_address, f->exception_information, f->exception_parameters);
	else
		put_exception_before(row, f);
	if (f->instruction_pointer)
		row_address(row, IP, f->instruction_pointer);
	va_t thread = { triage ? triage->thread.va : 0 };
	if (c->kernel && c->kernel->layout && f->stack_pointer && !thread.v)
		thread = processor_thread(c, f->stack_pointer, "crash");
	if (thread.v)
		row_address(row, THREAD, thread.v);
	/* A small dump's and a minidump's one process is the one that ran. */
	if (triage || c->image->minidump)
		row_process(row, c->processes->len == 1 ? g_ptr_array_index(c->processes, 0) : NULL);
	else if (thread.v)
		row_process(row, process_of(c, thread));
	if (f->uptime)
		row_real(row, UPTIME, (double)f->uptime / 1e7);
	row_text(row, REGISTERS, f->registers);
	row_text(row, SECONDARY, f->secondary_data);
	row_text(row, COMMENT, f->comment);
	return true;
}

const struct plugin plugin_crash = {
	.name = "crash",
	.doc = "bugcheck, exception and what else the header says",
	.fills = { &crash },
	.needs = { "processes" },
	.kinds = DUMP_OF_MACHINE | DUMP_TRIAGE | DUMP_OF_PROCESS,
	.run = run,
};
