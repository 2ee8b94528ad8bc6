/* SPDX-License-Identifier: Apache-2.0 */
/* Implants of well-known frameworks, by what has been published of them. The metadata: see injected_images.yar. */

rule cobalt_strike_beacon_configuration
{
	meta:
		description = "the configuration of a Cobalt Strike beacon"
		severity = "critical"
		attack = "T1071"
		reference = "https://attack.mitre.org/software/S0154/"
	strings:
		/* The first settings as (number, type, length, value): 1, short, 2; 2, short, 2; 3, int, 4.
		 * Plain, and under the keys 0x69 (version 3) and 0x2e (version 4). */
		$plain = { 00 01 00 01 00 02 ?? ?? 00 02 00 01 00 02 ?? ?? 00 03 00 02 00 04 }
		$version3 = { 69 68 69 68 69 6B ?? ?? 69 6B 69 68 69 6B ?? ?? 69 6A 69 6B 69 6D }
		$version4 = { 2E 2F 2E 2F 2E 2C ?? ?? 2E 2C 2E 2F 2E 2C ?? ?? 2E 2D 2E 2C 2E 2A }
	condition:
		any of them
}

rule cobalt_strike_beacon_strings
{
	meta:
		description = "messages and format strings of a Cobalt Strike beacon"
		severity = "critical"
		attack = "T1071"
		reference = "https://attack.mitre.org/software/S0154/"
	strings:
		$ = "could not spawn %s: %d"
		$ = "Could not kill %d: %d"
		$ = "Could not connect to pipe (%s): %d"
		$ = "Started service %s on %s"
		$ = "%s as %s\\%s: %d"
		$ = "%d is an x64 process (can't inject x86 content)"
		$ = "%d is an x86 process (can't inject x64 content)"
		$ = "could not create remote thread in %d: %d"
		$ = "Failed to impersonate token from %d (%u)"
		$ = "I'm already in SMB mode"
		$ = "kerberos ticket purge failed: %08x"
		$ = "IEX (New-Object Net.Webclient).DownloadString('http://127.0.0.1:%u/')"
		$ = "powershell -nop -exec bypass -EncodedCommand \"%s\""
		$ = "beacon.x64.dll"
		$ = "%%IMPORT%%"
	condition:
		3 of them
}

rule cobalt_strike_default_pipes
{
	meta:
		description = "a pipe name that Cobalt Strike uses unless told otherwise"
		severity = "high"
		attack = "T1559"
		reference = "https://attack.mitre.org/software/S0154/"
	strings:
		$artifact = /\\\\\.\\pipe\\MSSE-(%d|[0-9]{1,5})-server/ ascii wide
		$smb = /\\pipe\\msagent_(%x|[0-9a-f]{2,4})\x00/ ascii wide
		$post = /\\\\\.\\pipe\\postex_(ssh_)?(%04x|[0-9a-f]{4})\x00/ ascii wide
		$status = /\\\\[^\x00\\]{1,64}\\pipe\\status_[0-9a-f]{2}\x00/ ascii wide
	condition:
		any of them
}

rule meterpreter
{
	meta:
		description = "Metasploit's Meterpreter"
		severity = "critical"
		attack = "T1059"
		reference = "https://github.com/rapid7/metasploit-framework"
	strings:
		$server_x64 = "metsrv.x64.dll"
		$server_x86 = "metsrv.x86.dll"
		$server = { 6D 65 74 73 72 76 2E 64 6C 6C 00 }	/* metsrv.dll */
		$placeholder = "METERPRETER_TRANSPORT_"
		$agent = "METERPRETER_UA"
		$extension1 = "ext_server_stdapi"
		$extension2 = "ext_server_priv"
		$command1 = "stdapi_sys_process_"
		$command2 = "stdapi_fs_"
		$command3 = "core_channel_open"
		$command4 = "core_transport_"
		$command5 = "priv_elevate_getsystem"
		$command6 = "priv_passwd_get_sam_hashes"
	condition:
		any of ($server*) or $placeholder or $agent or 2 of ($extension*, $command*)
}

rule sliver
{
	meta:
		description = "an implant of the Sliver framework"
		severity = "critical"
		attack = "T1071"
		reference = "https://attack.mitre.org/software/S0633/"
	strings:
		$package = "github.com/bishopfox/sliver/"
		$protocol = "sliverpb."
		$implant = "/sliver/implant/"
		$request1 = "InvokeSpawnDllReq"
		$request2 = "ExecuteAssemblyReq"
		$request3 = "ImpersonateReq"
		$request4 = "ProcessDumpReq"
		$request5 = "PortfwdReq"
	condition:
		$package or $implant or ($protocol and any of ($request*)) or 4 of ($request*)
}

rule havoc_demon
{
	meta:
		description = "the Demon agent of the Havoc framework, or its KaynLdr loader"
		severity = "critical"
		attack = "T1620"
		memory = "unshared"
		reference = "https://github.com/HavocFramework/Havoc"
	strings:
		/* hashes, as immediates: ntdll.dll, LdrLoadDll, NtAllocateVirtualMemory, NtProtectVirtualMemory
		 * (the latter three as case-folding and as plain loaders have them) */
		$ntdll = { 53 17 E6 70 }
		$load = { 43 6A 45 9E }
		$allocate = { EC B8 83 F7 }
		$protect = { 88 28 E9 50 }
		$load2 = { 23 DB 07 03 }
		$allocate2 = { 4C C3 93 67 }
		$protect2 = { C8 62 29 08 }
		$name = "demon.x64.dll"
	condition:
		$name or ($ntdll and (($load and $allocate and $protect) or ($load2 and $allocate2 and $protect2)))
}

rule brute_ratel_badger
{
	meta:
		description = "a badger of Brute Ratel C4"
		severity = "critical"
		attack = "T1071"
		reference = "https://attack.mitre.org/software/S1063/"
	strings:
		$key = "bYXJm/3#M?:XyMBF"
		$api1 = "BadgerDispatchW"
		$api2 = "BadgerAtoi"
		$api3 = "BadgerDispatch"
		$api4 = "BadgerMemcpy"
		$api5 = "BadgerStrlen"
		$library = "badger_x64.dll"
	condition:
		$key or $library or 3 of ($api*)
}

rule covenant_grunt
{
	meta:
		description = "a Grunt of the Covenant framework"
		severity = "critical"
		attack = "T1071"
		reference = "https://github.com/cobbr/Covenant"
	strings:
		$ = "GruntStager" ascii wide
		$ = "GruntExecutor" ascii wide
		$ = "ExecuteGrunt" ascii wide
		$ = "CovenantCertHash" ascii wide
	condition:
		2 of them
}
