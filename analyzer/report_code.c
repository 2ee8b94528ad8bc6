/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence bytes as instructions. */
#include <capstone/capstone.h>
#include <string.h>
#include "listing.h"
#include "report.h"

#define MAX_INSTRUCTIONS 48
/* The longest an instruction can be, of x86. */
#define LONGEST 15

/* Strings are no code, whatever they disassemble to. */
static bool is_text(const uint8_t *bytes, size_t length)
{
	size_t printable = 0;

	for (size_t i = 0; i < length; i++)
		printable += (bytes[i] >= 0x20 && bytes[i] < 0x7f) || !bytes[i];
	return printable * 10 >= length * 9;
}

static bool open_machine(const char *machine, csh *handle)
{
	bool arm = !strcmp(machine, "arm64");
	cs_mode mode = arm ? CS_MODE_ARM : !strcmp(machine, "x64") ? CS_MODE_64 : CS_MODE_32;

	if (cs_open(arm ? CS_ARCH_ARM64 : CS_ARCH_X86, mode, handle) != CS_ERR_OK)
		return false;
	/* What is no instruction is shown as bytes, and the next is tried. */
	cs_option(*handle, CS_OPT_SKIPDATA, CS_OPT_ON);
	return true;
}

void report_disassemble(GString *json, const char *machine, uint64_t address, const uint8_t *bytes, size_t length)
{
	cs_insn *list = NULL;
	csh handle;

	if (!length || is_text(bytes, length) || !open_machine(machine, &handle)) {
		g_string_append(json, "null");
		return;
	}
	/* With zeros behind them, so that an instruction the bytes end within is seen to be one, and not taken for several others. */
	g_autofree uint8_t *padded = g_malloc0(length + LONGEST);
	memcpy(padded, bytes, length);
	size_t n = cs_disasm(handle, padded, length + LONGEST, address, MAX_INSTRUCTIONS, &list);
	g_string_append_c(json, '[');
	for (size_t i = 0; i < n && list[i].address - address < length; i++) {
		size_t left = length - (size_t)(list[i].address - address);
		bool cut = list[i].size > left;
		g_autofree char *text = cut ? g_strdup("…") : g_strdup_printf("%s%s%s", list[i].mnemonic, *list[i].op_str ? " " : "", list[i].op_str);
		g_string_append_printf(json, "%s[\"%" G_GINT64_MODIFIER "x\", \"", i ? ", " : "", list[i].address);
		for (unsigned b = 0; b < MIN(list[i].size, left) && b < sizeof(list[i].bytes); b++)
			g_string_append_printf(json, "%02x", list[i].bytes[b]);
		g_string_append(json, "\", ");
		json_append_string(json, text);
		g_string_append_c(json, ']');
	}
	g_string_append_c(json, ']');
	if (list)
		cs_free(list, n);
	cs_close(&handle);
}
