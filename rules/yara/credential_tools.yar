/* SPDX-License-Identifier: Apache-2.0 */
/* Tools that take credentials, loaded into a process. The metadata is explained in injected_images.yar. */

rule mimikatz
{
	meta:
		description = "Mimikatz"
		severity = "critical"
		attack = "T1003.001"
		reference = "https://attack.mitre.org/software/S0002/"
	strings:
		$ = "sekurlsa::" ascii wide nocase
		$ = "kuhl_m_sekurlsa" ascii wide
		$ = "kuhl_m_kerberos" ascii wide
		$ = "kuhl_m_lsadump" ascii wide
		$ = "kuhl_m_privilege" ascii wide
		$ = "kiwi_passwords" ascii wide
		$ = "gentilkiwi" ascii wide
		$ = "mimikatz(" wide
		$ = "A La Vie, A L'Amour" ascii wide
		$ = "ERROR mimikatz_" wide
		$ = "mimidrv.sys" wide
	condition:
		3 of them
}

rule rubeus
{
	meta:
		description = "Rubeus, a tool for Kerberos abuse"
		severity = "critical"
		attack = "T1558"
		reference = "https://attack.mitre.org/software/S1071/"
	strings:
		$type_library = "658C8B7F-3664-4A95-9572-A3E5871DFC06" ascii wide nocase
		$namespace = "Rubeus.Commands"
		$action1 = "[*] Action: Kerberoasting" wide
		$action2 = "[*] Action: AS-REP roasting" wide
		$action3 = "[*] Action: Import Ticket" wide
		$action4 = "[*] Action: S4U" wide
		$action5 = "[*] Action: Dump Kerberos Ticket Data" wide
	condition:
		$type_library or $namespace or 2 of ($action*)
}

rule lsass_dumper
{
	meta:
		description = "code that names both LSASS and the function that writes a process's memory into a file"
		severity = "medium"
		attack = "T1003.001"
		memory = "private"
		reference = "https://attack.mitre.org/techniques/T1003/001/"
	strings:
		$lsass = "lsass.exe" ascii wide nocase fullword
		$dump = "MiniDumpWriteDump" ascii wide fullword
		$privilege = "SeDebugPrivilege" ascii wide fullword
	condition:
		all of them
}
