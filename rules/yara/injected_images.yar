/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows images where the loader did not put them, and what loads them.
 *
 * Of the metadata, rules/sql/yara_hit.sql reads: severity, attack, description;
 * memory: "private": a match counts only in memory that may be executed and is no mapped
 * image and no driver; "unshared": and in an image that has executable pages of its own;
 * module: only in the mapping of that file.
 */

rule pe_image_in_private_memory
{
	meta:
		description = "an executable image that no file mapping accounts for"
		severity = "medium"
		attack = "T1620"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1620/"
	strings:
		$dos_stub = "This program cannot be run in DOS mode"
		$dos_stub_borland = "This program must be run under Win32"
	condition:
		/* At the start of the region, or anywhere by the DOS stub that linkers leave. */
		(uint16(0) == 0x5A4D and uint32(0x3C) < 0x1000 and uint32(uint32(0x3C)) == 0x00004550) or
		for any i in (1..16): (
			i <= #dos_stub and
			uint16(@dos_stub[i] - 0x4E) == 0x5A4D and
			uint32(@dos_stub[i] - 0x4E + 0x3C) < 0x1000 and
			uint32(@dos_stub[i] - 0x4E + uint32(@dos_stub[i] - 0x4E + 0x3C)) == 0x00004550
		) or
		for any i in (1..16): (
			i <= #dos_stub_borland and
			uint16(@dos_stub_borland[i] - 0x50) == 0x5A4D and
			uint32(@dos_stub_borland[i] - 0x50 + 0x3C) < 0x1000 and
			uint32(@dos_stub_borland[i] - 0x50 + uint32(@dos_stub_borland[i] - 0x50 + 0x3C)) == 0x00004550
		)
}

rule executable_dos_header
{
	meta:
		description = "a DOS header that is code: it calls the image's own loader"
		severity = "high"
		attack = "T1620"
		reference = "https://attack.mitre.org/techniques/T1620/"
	strings:
		/* dec ebp; pop edx; push edx; inc ebp; call $+5; pop: and with push r10 in long mode */
		$x86_ar = { 4D 5A 52 45 E8 00 00 00 00 (58 | 59 | 5A | 5B | 5D | 5E | 5F) }
		$x86_call = { 4D 5A E8 00 00 00 00 (58 | 59 | 5A | 5B | 5D | 5E | 5F) }
		$x64_ar = { 4D 5A 41 52 55 48 89 E5 }
	condition:
		any of them
}

rule reflective_loader_hashes
{
	meta:
		description = "the module and function hashes of the common reflective DLL loader"
		severity = "high"
		attack = "T1620"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1620/"
	strings:
		/* ror-13 hashes, as immediates: kernel32.dll, ntdll.dll, LoadLibraryA, GetProcAddress,
		 * VirtualAlloc, NtFlushInstructionCache */
		$kernel32 = { 5B BC 4A 6A }
		$ntdll = { 5D 68 FA 3C }
		$load_library = { 8E 4E 0E EC }
		$get_proc_address = { AA FC 0D 7C }
		$virtual_alloc = { 54 CA AF 91 }
		$flush = { B8 0A 4C 53 }
	condition:
		4 of them
}

rule reflective_loader_export
{
	meta:
		description = "a DLL that exports its own reflective loader"
		severity = "high"
		attack = "T1620"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1620/"
	strings:
		$x86 = "_ReflectiveLoader@4"
		$plain = { 00 52 65 66 6C 65 63 74 69 76 65 4C 6F 61 64 65 72 00 }	/* "ReflectiveLoader" of its own */
		$dos_stub = "This program cannot be run in DOS mode"
		$rich = "Rich"
		/* the export directory: "….dll", then the name */
		$module = { 2E 64 6C 6C 00 52 65 66 6C 65 63 74 69 76 65 4C 6F 61 64 65 72 }
		$module_x86 = { 2E 64 6C 6C 00 5F 52 65 66 6C 65 63 74 69 76 65 4C 6F 61 64 65 72 40 34 }
	condition:
		any of ($module*) or (($x86 or $plain) and ($dos_stub or $rich in (0x40..0x400)))
}

rule srdi_bootstrap
{
	meta:
		description = "the bootstrap that turns a DLL into shellcode (sRDI)"
		severity = "high"
		attack = "T1620"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1620/"
	strings:
		/* call $+5; pop rcx; mov r8, rcx; … mov edx, hash; add r8, …; mov r9d, length */
		$x64 = { E8 00 00 00 00 59 49 89 C8 [0-7] BA ?? ?? ?? ?? 49 81 C0 ?? ?? ?? ?? 41 B9 }
		/* call $+5; pop eax; push ebp; mov ebp, esp; mov edx, eax; add eax, … */
		$x86 = { E8 00 00 00 00 58 55 89 E5 89 C2 05 ?? ?? ?? ?? 81 C2 }
	condition:
		any of them
}

rule donut_loader
{
	meta:
		description = "the entry of the Donut loader, which runs images and .NET assemblies from memory"
		severity = "high"
		attack = "T1620"
		memory = "unshared"
		reference = "https://attack.mitre.org/software/S0695/"
	strings:
		/* pop ecx; xor eax, eax; dec eax (a REX prefix in long mode); js */
		$both = { 59 31 C0 48 0F 88 ?? ?? 00 00 }
		$libraries = "ole32;oleaut32;wininet;mscoree;shell32"
	condition:
		any of them
}
