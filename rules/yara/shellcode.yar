/* SPDX-License-Identifier: Apache-2.0 */
/* What position-independent code does that compiled code does not. The metadata: see injected_images.yar. */

rule api_resolver_by_hash
{
	meta:
		description = "code that walks the loaded modules and finds functions by a rotated hash of their names"
		severity = "high"
		attack = "T1055"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1027/007/"
	strings:
		/* cld; and rsp, -16; call; push r9, r8, rdx, rcx, rsi; xor rdx, rdx; mov rdx, gs:[rdx+60h] */
		$block_x64 = { FC 48 83 E4 F0 E8 ?? ?? 00 00 41 51 41 50 52 51 56 48 31 D2 65 48 8B 52 60 }
		/* cld; call; pushad; mov ebp, esp; xor; mov reg, fs:[reg+30h] */
		$block_x86 = { FC E8 ?? 00 00 00 60 89 E5 31 (C0 64 8B 50 | D2 64 8B 52) 30 }
		/* the older one: cld; call; pushad; mov ebp, [esp+24h]; mov eax, [ebp+3ch] */
		$block_x86_old = { 60 8B 6C 24 24 8B 45 3C 8B (54 05 78 | 7C 05 78) 01 (EA | EF) }
		/* lodsb; cmp al, 'a'; jl; sub al, 20h; ror r9d, 13; add r9d, eax */
		$loop_x64 = { AC 3C 61 7C 02 2C 20 41 C1 C9 0D 41 01 C1 }
		$loop_x86 = { AC 3C 61 7C 02 2C 20 C1 CF 0D 01 C7 }
		/* lodsb; test al, al; je; ror edi, 13; add edi, eax */
		$loop_x86_old = { AC (38 E0 | 84 C0) 74 ?? C1 CF 0D 01 C7 EB }
	condition:
		any of them
}

rule api_hash_calls
{
	meta:
		description = "calls of Windows functions named by their ror-13 hash"
		severity = "high"
		attack = "T1055"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1027/007/"
	strings:
		/* mov r10d, hash; call rbp */
		$load_library_x64 = { 41 BA 4C 77 26 07 FF D5 }
		$virtual_alloc_x64 = { 41 BA 58 A4 53 E5 FF D5 }
		$startup_x64 = { 41 BA 29 80 6B 00 FF D5 }
		$connect_x64 = { 41 BA 99 A5 74 61 FF D5 }
		$internet_open_x64 = { 41 BA 3A 56 79 A7 FF D5 }
		$exit_x64 = { 41 BA F0 B5 A2 56 FF D5 }
		$win_exec_x64 = { 41 BA 31 8B 6F 87 FF D5 }
		/* push hash; call ebp */
		$load_library_x86 = { 68 4C 77 26 07 FF D5 }
		$virtual_alloc_x86 = { 68 58 A4 53 E5 FF D5 }
		$startup_x86 = { 68 29 80 6B 00 FF D5 }
		$connect_x86 = { 68 99 A5 74 61 FF D5 }
		$internet_open_x86 = { 68 3A 56 79 A7 FF D5 }
		$exit_x86 = { 68 F0 B5 A2 56 FF D5 }
		$win_exec_x86 = { 68 31 8B 6F 87 FF D5 }
	condition:
		any of them
}

rule peb_module_walk
{
	meta:
		description = "code that reaches the list of loaded modules through the PEB"
		severity = "medium"
		attack = "T1055"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1106/"
	strings:
		/* mov reg, gs:[60h]; mov reg, [reg+18h] (Ldr); mov reg, [reg+10h, 20h or 30h] (one of its lists) */
		$x64 = {
			65 48 8B (04 | 0C | 14 | 1C | 2C | 34 | 3C) 25 60 00 00 00 [0-24]
			(48 | 4C) 8B ?? 18 [0-24]
			(48 | 49 | 4C | 4D) 8B ?? (10 | 20 | 30)
		}
		$x64_r8 = {
			65 4C 8B (04 | 0C | 14 | 1C | 24 | 2C | 34 | 3C) 25 60 00 00 00 [0-24]
			(49 | 4D) 8B ?? 18 [0-24]
			(48 | 49 | 4C | 4D) 8B ?? (10 | 20 | 30)
		}
		/* the same with an index register, which saves the zeros */
		$x64_index = {
			65 48 8B (40 | 41 | 42 | 43 | 46 | 47 | 48 | 49 | 4A | 4B | 50 | 51 | 52 | 53 | 58 | 5B | 70 | 72 | 76 | 78) 60
			[0-8] 48 8B ?? 18 [0-8] 48 8B ?? (10 | 20 | 30)
		}
		/* mov reg, fs:[30h]; mov reg, [reg+0ch] (Ldr); mov reg, [reg+0ch, 14h or 1ch] */
		$x86_eax = { 64 A1 30 00 00 00 [0-16] 8B ?? 0C [0-16] 8B ?? (0C | 14 | 1C) }
		$x86 = { 64 8B (0D | 15 | 1D | 35 | 3D) 30 00 00 00 [0-16] 8B ?? 0C [0-16] 8B ?? (0C | 14 | 1C) }
		$x86_index = {
			64 8B (40 | 41 | 42 | 43 | 46 | 47 | 48 | 49 | 50 | 51 | 52 | 53 | 58 | 5B | 70 | 71 | 72 | 76 | 78) 30
			[0-8] 8B ?? 0C [0-8] 8B ?? (0C | 14 | 1C)
		}
	condition:
		any of them
}

rule position_by_fpu
{
	meta:
		description = "code that asks the FPU where it is: the start of a self-decoding payload"
		severity = "medium"
		attack = "T1027"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1027/"
	strings:
		/* fnstenv [esp-0ch]; … pop reg; then sub ecx, ecx or xor ecx, ecx; mov cl, n: the decoder's count */
		$fnstenv_pop = { D9 74 24 F4 [0-10] (58 | 5A | 5B | 5D | 5E | 5F) [0-12] (29 | 2B | 31 | 33) C9 [0-8] (B1 | 66 B9) }
		$count_first = { (29 | 2B | 31 | 33) C9 [0-6] (B1 | 66 B9) [1-12] D9 74 24 F4 [0-8] (58 | 5A | 5B | 5D | 5E | 5F) }
	condition:
		any of them
}

rule decoder_by_call_pop
{
	meta:
		description = "code that finds its own address by a call and decodes what follows"
		severity = "medium"
		attack = "T1027"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1027/"
	strings:
		/* call $+4 into its own last byte (inc or dec), then pop */
		$call4 = { E8 FF FF FF FF C? (58 | 59 | 5A | 5B | 5D | 5E | 5F) }
		/* xor rcx, rcx; sub rcx, -n; lea rax, [rip-17]; mov rbx, key; xor [rax+27h], rbx; sub rax, -8; loop */
		$xor_x64 = { 48 31 C9 48 81 E9 ?? FF FF FF 48 8D 05 EF FF FF FF 48 BB [8] 48 31 58 27 48 2D F8 FF FF FF E2 F4 }
	condition:
		any of them
}

rule egg_hunter
{
	meta:
		description = "code that searches the whole address space for the rest of itself"
		severity = "high"
		attack = "T1055"
		memory = "unshared"
		reference = "https://attack.mitre.org/techniques/T1055/"
	strings:
		/* or dx, 0fffh; inc edx; push edx; push 2 or 43h; pop eax; int 2eh; cmp al, 5 */
		$int2e = { 66 81 CA FF 0F 42 52 6A (02 | 43) 58 CD 2E 3C 05 5A 74 EF B8 }
		/* or cx, 0fffh … the handler form: push … fs:[0] */
		$seh = { EB 21 59 B8 ?? ?? ?? ?? 51 6A FF 33 DB 64 89 23 6A 02 59 8B FB F3 AF 75 07 FF E7 66 81 CB FF 0F }
	condition:
		any of them
}

rule heavens_gate
{
	meta:
		description = "32-bit code that switches to long mode by itself"
		severity = "high"
		attack = "T1055"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1106/"
	strings:
		/* push 33h; call $+5; add dword [esp], 5; retf */
		$to_long = { 6A 33 E8 00 00 00 00 83 04 24 05 CB }
		/* call $+5; mov dword [rsp+4], 23h; add dword [rsp], 0dh; retf */
		$back = { E8 00 00 00 00 C7 44 24 04 23 00 00 00 83 04 24 0D CB }
	condition:
		any of them
}
