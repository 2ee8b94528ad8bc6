/* SPDX-License-Identifier: Apache-2.0 */
/* Names as in ATT&CK for Enterprise. */
#include "attack.h"
#include <glib.h>
#include <string.h>

static const struct { const char *id, *name; } techniques[] = {
	{ "T1003", "OS Credential Dumping" },
	{ "T1003.001", "LSASS Memory" },
	{ "T1014", "Rootkit" },
	{ "T1027", "Obfuscated Files or Information" },
	{ "T1027.002", "Software Packing" },
	{ "T1036", "Masquerading" },
	{ "T1036.003", "Rename Legitimate Utilities" },
	{ "T1036.005", "Match Legitimate Resource Name or Location" },
	{ "T1036.009", "Break Process Trees" },
	{ "T1055", "Process Injection" },
	{ "T1055.001", "Dynamic-link Library Injection" },
	{ "T1055.002", "Portable Executable Injection" },
	{ "T1055.003", "Thread Execution Hijacking" },
	{ "T1055.004", "Asynchronous Procedure Call" },
	{ "T1055.005", "Thread Local Storage" },
	{ "T1055.011", "Extra Window Memory Injection" },
	{ "T1055.012", "Process Hollowing" },
	{ "T1055.013", "Process Doppelgänging" },
	{ "T1055.015", "ListPlanting" },
	{ "T1056.004", "Credential API Hooking" },
	{ "T1059", "Command and Scripting Interpreter" },
	{ "T1059.001", "PowerShell" },
	{ "T1068", "Exploitation for Privilege Escalation" },
	{ "T1070", "Indicator Removal" },
	{ "T1070.004", "File Deletion" },
	{ "T1106", "Native API" },
	{ "T1112", "Modify Registry" },
	{ "T1129", "Shared Modules" },
	{ "T1134", "Access Token Manipulation" },
	{ "T1134.001", "Token Impersonation/Theft" },
	{ "T1134.002", "Create Process with Token" },
	{ "T1134.004", "Parent PID Spoofing" },
	{ "T1140", "Deobfuscate/Decode Files or Information" },
	{ "T1211", "Exploitation for Defense Evasion" },
	{ "T1218", "System Binary Proxy Execution" },
	{ "T1543.003", "Windows Service" },
	{ "T1547.006", "Kernel Modules and Extensions" },
	{ "T1562", "Impair Defenses" },
	{ "T1562.001", "Disable or Modify Tools" },
	{ "T1562.006", "Indicator Blocking" },
	{ "T1564", "Hide Artifacts" },
	{ "T1574", "Hijack Execution Flow" },
	{ "T1574.001", "DLL" },
	{ "T1574.002", "DLL Side-Loading" },
	{ "T1574.013", "KernelCallbackTable" },
	{ "T1620", "Reflective Code Loading" },
};

const char *attack_name(const char *id)
{
	for (size_t i = 0; id && i < G_N_ELEMENTS(techniques); i++)
		if (!strcmp(techniques[i].id, id))
			return techniques[i].name;
	return NULL;
}
