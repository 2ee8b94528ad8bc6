/* SPDX-License-Identifier: Apache-2.0 */
#include "core_tables.h"

const struct table table_dumps = {
	.name = "dumps", .key = "dump_id", .doc = "the dumps of the case",
	.columns = {
		[DUMPS_PATH] = { "path", COL_TEXT, "as given on the command line" },
		[DUMPS_SIZE] = { "size", COL_INT, "bytes of the file" },
		[DUMPS_SHA256] = { "sha256", COL_TEXT, "of the file" },
		[DUMPS_FORMAT] = { "format", COL_TEXT, "raw, windows-full, …" },
		[DUMPS_FORMAT_DETAIL] = { "format_detail", COL_TEXT, "what else the header says of the format" },
		[DUMPS_ARCHITECTURE] = { "architecture", COL_TEXT, "x64, x86, x86-pae, arm64" },
		[DUMPS_PHYSICAL_MEMORY] = { "physical_memory", COL_INT, "bytes of physical memory present" },
		[DUMPS_OS_BUILD] = { "os_build", COL_TEXT, "e.g. 10.0.19041" },
		[DUMPS_OS_BUILD_LAB] = { "os_build_lab", COL_TEXT, "NtBuildLab" },
		[DUMPS_SYSTEM_TIME] = { "system_time", COL_TIME, "the machine's clock when the dump was taken" },
		[DUMPS_KERNEL_BASE] = { "kernel_base", COL_ADDRESS, "of ntoskrnl" },
		[DUMPS_KERNEL_GUID_AGE] = { "kernel_guid_age", COL_TEXT, "of its PDB, as in a symbol path" },
		[DUMPS_DTB] = { "dtb", COL_ADDRESS, "physical address of the kernel's page-table root" },
		[DUMPS_LAYOUT_SOURCE] = { "layout_source", COL_TEXT, "where structure offsets came from" },
		[DUMPS_COMPUTER_NAME] = { "computer_name", COL_TEXT, "COMPUTERNAME of the system's processes" },
		[DUMPS_KERNEL_FOUND_BY] = { "kernel_found_by", COL_TEXT, "what led to the kernel" },
		[DUMPS_MEMORY_TOTAL] = { "memory_total", COL_INT, "bytes of physical memory that the machine had: the header's, else Windows' own account; NULL: not known" },
		[DUMPS_USER_MEMORY] = { "user_memory", COL_BOOL, "0: a dump of the kernel's memory, without the pages of programs" },
		[DUMPS_PROCESSORS] = { "processors", COL_INT, "that the header, or what a hypervisor saved of them, tells of; NULL: not known" },
		[DUMPS_PRODUCT_TYPE] = { "product_type", COL_TEXT, "workstation, domain controller, server: the header's, else KUSER_SHARED_DATA.NtProductType" },
		[DUMPS_SUITE_MASK] = { "suite_mask", COL_INT, "VER_SUITE_… bits: the header's, else KUSER_SHARED_DATA.SuiteMask" },
		[DUMPS_SYSTEM_ROOT] = { "system_root", COL_TEXT, "KUSER_SHARED_DATA.NtSystemRoot" },
	},
};

const struct table table_memory_ranges = {
	.name = "memory_ranges", .doc = "the physical ranges a dump really holds",
	.columns = {
		[RANGES_DUMP] = { "dump_id", COL_DUMP, "" },
		[RANGES_START] = { "start", COL_ADDRESS, "physical address" },
		[RANGES_LENGTH] = { "length", COL_INT, "bytes" },
	},
};

const struct table table_page_files = {
	.name = "page_files", .doc = "the machine's page files that were given with the dump: what is paged out was read from them",
	.columns = {
		[PAGE_FILES_DUMP] = { "dump_id", COL_DUMP, "" },
		[PAGE_FILES_NUMBER] = { "number", COL_INT, "as Windows numbers them, _MMPTE_SOFTWARE.PageFileLow" },
		[PAGE_FILES_PATH] = { "path", COL_TEXT, "as given on the command line" },
		[PAGE_FILES_SIZE] = { "size", COL_INT, "bytes" },
		[PAGE_FILES_SHA256] = { "sha256", COL_TEXT, "" },
	},
};

const struct table table_runs = {
	.name = "runs", .key = "run_id", .doc = "each time a dump was analysed",
	.columns = {
		[RUNS_DUMP] = { "dump_id", COL_DUMP, "" },
		[RUNS_TOOL_VERSION] = { "tool_version", COL_TEXT, "" },
		[RUNS_COMMAND_LINE] = { "command_line", COL_TEXT, "" },
		[RUNS_STARTED_AT] = { "started_at", COL_TEXT, "UTC" },
		[RUNS_FINISHED_AT] = { "finished_at", COL_TEXT, "UTC; NULL: the run did not finish" },
		[RUNS_STATUS] = { "status", COL_TEXT, "complete, partial, failed" },
		[RUNS_RULES_SHA256] = { "rules_sha256", COL_TEXT, "of all rules used, in their order" },
		[RUNS_LIBRARY_VERSIONS] = { "library_versions", COL_JSON, "" },
		[RUNS_MESSAGE] = { "message", COL_TEXT, "why it is not complete" },
		[RUNS_SANDBOX] = { "sandbox", COL_TEXT, "what confined it: landlock+seccomp, landlock, seccomp, none" },
	},
};

const struct table table_plugin_runs = {
	.name = "plugin_runs", .doc = "what each plugin did in a run",
	.columns = {
		[PLUGIN_RUNS_RUN] = { "run_id", COL_REF, "", "runs" },
		[PLUGIN_RUNS_PLUGIN] = { "plugin", COL_TEXT, "" },
		[PLUGIN_RUNS_STATUS] = { "status", COL_TEXT, "ok, partial, failed, skipped" },
		[PLUGIN_RUNS_ROW_COUNT] = { "row_count", COL_INT, "rows written" },
		[PLUGIN_RUNS_SECONDS] = { "seconds", COL_REAL, "elapsed" },
		[PLUGIN_RUNS_MESSAGE] = { "message", COL_TEXT, "" },
	},
};

const struct table table_diagnostics = {
	.name = "diagnostics", .doc = "what could not be read, and why",
	.columns = {
		{ "dump_id", COL_DUMP, "" },
		{ "plugin", COL_TEXT, "who noticed" },
		{ "table_name", COL_TEXT, "where it would have gone" },
		{ "row_id", COL_INT, "the row there, the last where it stands for several; NULL: it is of the table as a whole" },
		{ "column_name", COL_TEXT, "the column that is NULL for it" },
		{ "fault", COL_TEXT, "unmapped, paged_out, not_in_dump, no_field, implausible, limit, timeout" },
		{ "address", COL_ADDRESS, "that could not be read" },
		{ "process_id", COL_PROCESS, "" },
		{ "message", COL_TEXT, "" },
		{ "occurrences", COL_INT, "how often, where rows were not written one by one" },
	},
};

static const char *const finding_indices[] = { "severity", "rule", NULL };

const struct table table_findings = {
	.name = "findings", .key = "finding_id", .doc = "judgements made from the facts by the SQL rules",
	.indices = finding_indices,
	.columns = {
		[FINDINGS_DUMP] = { "dump_id", COL_DUMP, "" },
		[FINDINGS_PROCESS] = { "process_id", COL_PROCESS, "NULL: the kernel's or the machine's" },
		[FINDINGS_RULE] = { "rule", COL_TEXT, "name of the rule" },
		[FINDINGS_SEVERITY] = { "severity", COL_TEXT, "info, low, medium, high, critical" },
		[FINDINGS_CONFIDENCE] = { "confidence", COL_INT, "0-100" },
		[FINDINGS_ATTACK] = { "attack", COL_TEXT, "MITRE ATT&CK technique" },
		[FINDINGS_ADDRESS] = { "address", COL_ADDRESS, "" },
		[FINDINGS_LENGTH] = { "length", COL_INT, "bytes" },
		[FINDINGS_TITLE] = { "title", COL_TEXT, "one sentence that stands alone" },
		[FINDINGS_DETAIL] = { "detail", COL_JSON, "every fact the judgement rests on" },
	},
};

const struct table table_failed_dumps = {
	.name = "failed_dumps", .doc = "files of a batch that could not be analysed",
	.columns = {
		{ "path", COL_TEXT, "" },
		{ "size", COL_INT, "bytes" },
		{ "message", COL_TEXT, "why" },
		{ "failed_at", COL_TIME, "when" },
	},
};

const struct table *const core_tables[] = {
	&table_dumps, &table_memory_ranges, &table_page_files, &table_runs, &table_plugin_runs, &table_diagnostics, &table_findings,
	&table_failed_dumps, NULL
};
