/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of the defences made to return at once. The metadata is explained in injected_images.yar. */

rule amsi_patch
{
	meta:
		description = "AMSI made to answer that its arguments are invalid, or that all is clean"
		severity = "high"
		attack = "T1562.001"
		memory = "unshared"
		module = "amsi.dll"
		reference = "https://attack.mitre.org/techniques/T1562/001/"
	strings:
		/* mov eax, E_INVALIDARG; ret, or ret 18h in 32 bits */
		$invalid_argument = { B8 57 00 07 80 (C3 | C2 18 00) }
		/* the same number in two additions */
		$in_two_steps = { 31 C0 05 78 01 19 7F 05 DF FE ED 00 C3 }
		/* padding, xor rax, rax; ret with the wide prefix that compilers leave out */
		$success = { (CC CC | 90 90) 48 (31 | 33) C0 C3 }
	condition:
		any of them
}

rule amsi_patcher
{
	meta:
		description = "code that carries the patch for AMSI and the function's name"
		severity = "high"
		attack = "T1562.001"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1562/001/"
	strings:
		$function = "AmsiScanBuffer" ascii wide
		$patch = { B8 57 00 07 80 (C3 | C2 18 00) }
	condition:
		all of them
}

rule etw_patch
{
	meta:
		description = "event tracing made to do nothing in this process"
		severity = "medium"
		attack = "T1562.006"
		memory = "unshared"
		module = "ntdll.dll"
		reference = "https://attack.mitre.org/techniques/T1562/006/"
	strings:
		/* a function that is only: xor rax, rax; ret; with the wide prefix that compilers leave out */
		$wide = { (CC CC | 90 90) 48 (31 | 33) C0 C3 }
	condition:
		any of them
}
