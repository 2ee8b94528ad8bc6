/* SPDX-License-Identifier: Apache-2.0 */
/* System calls made past ntdll and its hooks. The metadata is explained in injected_images.yar. */

rule direct_system_call
{
	meta:
		description = "a system call stub outside ntdll"
		severity = "medium"
		attack = "T1106"
		memory = "private"
		stub = "system call"
		reference = "https://attack.mitre.org/techniques/T1106/"
	strings:
		/* mov r10, rcx; mov eax, number; syscall; ret: as in ntdll, and in the encoding that assemblers choose */
		$plain = { (4C 8B D1 | 49 89 CA) B8 ?? ?? 00 00 0F 05 C3 }
		/* with the test of SharedUserData.SystemCall, as copied from ntdll since Windows 10 */
		$copied = { 4C 8B D1 B8 ?? ?? 00 00 F6 04 25 08 03 FE 7F 01 75 03 0F 05 C3 }
		/* the number out of a variable or a register */
		$variable = { (4C 8B D1 | 49 89 CA) 8B 05 ?? ?? ?? ?? 0F 05 C3 }
		$register = { (4C 8B D1 | 49 89 CA) (89 C8 | 8B C1 | 44 89 C0 | 44 89 D8 | 41 8B C3) 0F 05 C3 }
	condition:
		any of them
}

rule indirect_system_call
{
	meta:
		description = "a stub that sets up a system call and jumps to the syscall instruction within ntdll"
		severity = "medium"
		attack = "T1106"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1106/"
	strings:
		/* mov r10, rcx; … mov eax, number; jmp r11 (or another high register) */
		$jump = { (4C 8B D1 | 49 89 CA) B8 ?? ?? 00 00 41 FF (E3 | E4 | E5 | E6 | E7) }
		$variable = { (4C 8B D1 | 49 89 CA) 8B 05 ?? ?? ?? ?? (FF 25 ?? ?? ?? ?? C3 | 41 FF E3) }
		/* restore the arguments, mov r10, rcx; jmp r11: the stub that SysWhispers generates */
		$generated = { 48 83 C4 28 48 8B 4C 24 08 48 8B 54 24 10 4C 8B 44 24 18 4C 8B 4C 24 20 49 89 CA (0F 05 C3 | 41 FF) }
	condition:
		any of them
}
