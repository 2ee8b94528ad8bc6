#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each attack on images is found at its place as the technique that it is; what looks like one has nothing above low.
. "$(dirname "$0")/common.sh"
set -e
needs sqlite3

cat >"$work/description" <<'END'
# One process for each attack on images, and beside it what looks like it and is none: nothing of medium severity there.
machine build=10.0.19041.1466 ram=10M time=2024-03-01T09:15:27.1234567Z computer=SAMPLE-IMAGES
file path=C:\Windows\System32\helper.dll exports=HelpA,HelpB imports=ntdll.dll!NtClose,kernel32.dll!ReadFile base=0x7ffb10000000
file path=C:\Windows\System32\res.dll exports=ResA imports=ntdll.dll!NtClose base=0x7ffb10020000
file path=C:\Users\alice\AppData\Local\Temp\evil.dll exports=EvilA base=0x7ffb10030000
file path=C:\Users\alice\AppData\Local\Temp\ghost.exe delete-pending
file path=C:\Users\alice\AppData\Local\Temp\tls.dll exports=A tls=0x20000040 base=0x7ffb10040000
file path=C:\Windows\System32\tlsok.dll exports=A tls=0x7ffb10051040 base=0x7ffb10050000
file path=C:\Users\alice\packed.dll exports=A entry=0x6010 code-name=UPX0 code-writable base=0x7ffb10060000
# Most of a page of code is other code.
process name=stomped.exe pid=1000 ppid=4 path=C:\Windows\System32\stomped.exe
 image file=C:\Windows\System32\helper.dll patch=0x1100:82b70eee7f1a5039bef07ec2347f066ed08f5dc7512447e3404300026b6e545594a065685d64c4980bb8d4544a8721a99a01ad219eb59cf6a15ef6f15a1d830bb7ce09d6bbc004e7175c643c7decb0b580ec37bc9712dd2e6aaeb94bae8d2f9fa29c5a284c9ef7521829cf1079b080e9d74a1c10fcab6a4243d33656debe4c1ed79648e856e8f9a2f58c95f0ce4b39c15bffad5c2dfb8bb820b6119cba8ff88796ae5b05f280a68ced93b6b28cb0d1b358e6baab485565b9f49028d557d79a8a0e6451e15c705c15f173541b4438a25cf76312d4eeb3c2246879bf00b3cf8ed13abf129a3097ad96b442d6d1bdef4850c3f465442eb300c337a648a6c0dbdd73fc95f5c2c451859afe80d40aa39dfb9249f40c3ee37d961445c806f58c7cf2127dfa894f9296fcf33c08409990ac970dedb3b843120181e9376107dbdaf6c5f3c86497ee219b01dd92f19f4954f4fea94ed9182375882b200daadb23cff9193f3e70384495e04c5d5ed352226d1637c2248f1d3ccc4405dd2ea1fafab4bf1c46964d947086207882914478bee8c75b4309ae2b122e3fe87ac7ecf5a5370fc41b4ddb723b2afb6c47c0b57894aab2c5c145b797ddb9126e5cca203112105f676414faf6b200daf099dba5eeec33624f5124bfc5f04d82388e52927810f610b0bca11e0be9f14f3ca695e87a5311660c7628cdba9f5eefb99022ef537b596a16dc8a03ec1fe7d2561711b3302479fb2ff11b7c19fecb1e1882d0e49c1a13635bce60772ba0372c52266d08e1b7f9d8c043069de5723b479ff72c86cea0434229f17d2bdb7d8d1ffc7f186692bf3224d7a0c20092430ee2490918da8936c342a4219c564686fea59211200e0e3e1942b6df840876db40b967a9b706535330895749e4dedb3caaa2e474ecde57e21852f2fb003540d61a6a001078f6b5c9ed6e678d669bb67bbbb47f1ffdcdb249497afac3133056cb329066a5f4f02e65
# The program and its headers were written over in place.
process name=overwritten.exe pid=1004 ppid=4 path=C:\Windows\System32\overwritten.exe image-patch=0x88:00000001,0x1100:82b70eee7f1a5039bef07ec2347f066ed08f5dc7512447e3404300026b6e545594a065685d64c4980bb8d4544a8721a99a01ad219eb59cf6a15ef6f15a1d830bb7ce09d6bbc004e7175c643c7decb0b580ec37bc9712dd2e6aaeb94bae8d2f9fa29c5a284c9ef7521829cf1079b080e9d74a1c10fcab6a4243d33656debe4c1ed79648e856e8f9a2f58c95f0ce4b39c15bffad5c2dfb8bb820b6119cba8ff88796ae5b05f280a68ced93b6b28cb0d1b358e6baab485565b9f49028d557d79a8a0e6451e15c705c15f173541b4438a25cf76312d4eeb3c2246879bf00b3cf8ed13abf129a3097ad96b442d6d1bdef4850c3f465442eb300c337a648a6c0dbdd73fc95f5c2c451859afe80d40aa39dfb9249f40c3ee37d961445c806f58c7cf2127dfa894f9296fcf33c08409990ac970dedb3b843120181e9376107dbdaf6c5f3c86497ee219b01dd92f19f4954f4fea94ed9182375882b200daadb23cff9193f3e70384495e04c5d5ed352226d1637c2248f1d3ccc4405dd2ea1fafab4bf1c46964d947086207882914478bee8c75b4309ae2b122e3fe87ac7ecf5a5370fc41b4ddb723b2afb6c47c0b57894aab2c5c145b797ddb9126e5cca203112105f676414faf6b200daf099dba5eeec33624f5124bfc5f04d82388e52927810f610b0bca11e0be9f14f3ca695e87a5311660c7628cdba9f5eefb99022ef537b596a16dc8a03ec1fe7d2561711b3302479fb2ff11b7c19fecb1e1882d0e49c1a13635bce60772ba0372c52266d08e1b7f9d8c043069de5723b479ff72c86cea0434229f17d2bdb7d8d1ffc7f186692bf3224d7a0c20092430ee2490918da8936c342a4219c564686fea59211200e0e3e1942b6df840876db40b967a9b706535330895749e4dedb3caaa2e474ecde57e21852f2fb003540d61a6a001078f6b5c9ed6e678d669bb67bbbb47f1ffdcdb249497afac3133056cb329066a5f4f02e65
# Another program in private memory at the base that the process says it has; its own isn't mapped any more.
process name=hollow.exe pid=1100 ppid=4 path=C:\Windows\System32\hollow.exe hollowed image-base=0x400000
 vad start=0x400000 pages=8 protect=PAGE_EXECUTE_READWRITE content=pe:payload.exe
 thread tid=1900 start=0x401000
# Its own is still mapped, but its PEB names another base.
process name=moved.exe pid=1104 ppid=4 path=C:\Windows\System32\moved.exe image-base=0x400000
 vad start=0x400000 pages=8 protect=PAGE_EXECUTE_READWRITE content=pe:payload.exe
 thread tid=1904 start=0x401000
# Another file is mapped there.
process name=remapped.exe pid=1108 ppid=4 path=C:\Windows\System32\remapped.exe image-base=0x7ffb10030000
 image file=C:\Users\alice\AppData\Local\Temp\evil.dll list=none
 thread tid=2000 start=0x7ffb10031000
# The file is to be deleted; the file isn't the one that the process says it is.
process name=ghost.exe pid=1200 ppid=4 path=C:\Users\alice\AppData\Local\Temp\ghost.exe
process name=herpa.exe pid=1204 ppid=4 path=C:\Users\alice\AppData\Local\Temp\herpa.exe peb-path=C:\Windows\System32\svchost.exe
# Unlinked, its slots filled; and one that was mapped to read its resources.
process name=unlinked.exe pid=1300 ppid=4 path=C:\Windows\System32\unlinked.exe
 image file=C:\Windows\System32\helper.dll unlisted
process name=reader.exe pid=1308 ppid=4 path=C:\Windows\System32\reader.exe
 image file=C:\Windows\System32\res.dll unlisted unbound
process name=masked.exe pid=1304 ppid=4 path=C:\Windows\System32\masked.exe
 image file=C:\Users\alice\AppData\Local\Temp\evil.dll as=C:\Windows\System32\version.dll
# A mapped image's header: all of its start, and its signatures alone.
process name=header.exe pid=1400 ppid=4 path=C:\Windows\System32\header.exe
 image file=C:\Windows\System32\helper.dll patch=0x0:0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
process name=signature.exe pid=1404 ppid=4 path=C:\Windows\System32\signature.exe
 image file=C:\Windows\System32\helper.dll patch=0x0:0000,0x80:0000
# A callback that lies in private memory, and one of the image itself.
process name=tls.exe pid=1500 ppid=4 path=C:\Windows\System32\tls.exe
 image file=C:\Users\alice\AppData\Local\Temp\tls.dll
 vad start=0x20000000 pages=1 protect=PAGE_EXECUTE_READ content=random valid=1
process name=tlsok.exe pid=1504 ppid=4 path=C:\Windows\System32\tlsok.exe
 image file=C:\Windows\System32\tlsok.dll
# A packed image: that is no attack.
process name=packed.exe pid=1600 ppid=4 path=C:\Windows\System32\packed.exe
 image file=C:\Users\alice\packed.dll
# A copy of a page of code that is as it was, and a program of the component store under its other name.
process name=copied.exe pid=1604 ppid=4 path=C:\Windows\System32\copied.exe
 image file=C:\Windows\System32\helper.dll patch=0x1100:48
END
"$mksample" "$work/description" "$work/dump"
"$memsieve" analyze -q -o "$work/case.db" "$work/dump"
sqlite3 "$work/case.db" >"$work/found" <<'END'
SELECT p.pid, f.rule, f.severity, f.attack, printf('0x%x', f.address), f.length FROM findings f JOIN processes p USING (process_id) WHERE f.severity <> 'info' AND f.rule <> 'yara_hit' ORDER BY p.pid, f.rule, f.address;
END
cat >"$work/expected" <<'END'
1000|module_stomping|high|T1055|0x7ffb10001100|700
1004|module_stomping|high|T1055.012|0x7ff63c891100|700
1100|executable_private_memory|low|T1055|0x400000|32768
1100|hollowed_process|critical|T1055.012|0x400000|32768
1100|thread_outside_image|high|T1055.003|0x401000|1
1104|executable_private_memory|low|T1055|0x400000|32768
1104|hollowed_process|critical|T1055.012|0x400000|32768
1104|thread_outside_image|high|T1055.003|0x401000|1
1104|unlinked_module|high|T1574|0x7ff63c8d0000|32768
1108|hollowed_process|critical|T1055.012|0x7ffb10030000|32768
1108|module_name_mismatch|high|T1036.005|0x7ffb10030000|32768
1108|unlinked_module|high|T1574|0x7ff63c8f0000|32768
1200|image_file_deleted|high|T1055|0x7ff63c910000|32768
1204|module_name_mismatch|high|T1036.005|0x7ff63c930000|32768
1204|process_path_mismatch|high|T1055|0x7ff63c930000|32768
1300|unlinked_module|high|T1574|0x7ffb10000000|32768
1304|module_name_mismatch|high|T1036.005|0x7ffb10030000|32768
1308|unlinked_module|low|T1574|0x7ffb10020000|32768
1400|wiped_header|medium|T1620|0x7ffb10000000|32768
1404|wiped_header|medium|T1620|0x7ffb10000000|32768
1500|executable_private_memory|medium|T1055|0x20000000|4096
1500|tls_callback_outside_image|high|T1055.005|0x20000040|1
END
diff -u "$work/expected" "$work/found"

# A mapped image whose headers are not in the dump at all: the section object has what they said, tables the rest.
for build in 6.1.7601.17514-x86 6.1.7601.24540 6.3.9600.20144 10.0.14393.5291 10.0.19041.1466 10.0.22000.1219; do
	case $build in
	*-x86) base=0x10000000 machine=332 ;;
	*) base=0x7ffb10000000 machine=34404 ;;
	esac
	case $build in 6.1.7601.24540) base=0x7fefc000000 ;; esac
	cat >"$work/description" <<END
# Headers that are gone.
machine build=$build ram=6M
file path=C:\\Windows\\System32\\helper.dll exports=HelpA,HelpB imports=ntdll.dll!NtClose,kernel32.dll!ReadFile base=$base information
process name=host.exe pid=1000 ppid=4 path=C:\\Windows\\System32\\host.exe
 image file=C:\\Windows\\System32\\helper.dll
output format=full
defect kind=hole pid=1000 va=$base
END
	"$mksample" "$work/description" "$work/dump"
	rm -f "$work/case.db"
	"$memsieve" analyze -q -o "$work/case.db" "$work/dump" || [ $? = 3 ]	# 3: a page is missing
	sqlite3 "$work/case.db" >"$work/found" <<'END'
SELECT header_state, rebuilt_from, machine, is_dll, printf('0x%x', entry_point - base), (SELECT group_concat(printf('0x%x 0x%x 0x%x %x', virtual_address, virtual_size, raw_offset,
	characteristics >> 28 & 15), ', ') FROM image_sections s WHERE s.image_id = i.image_id), (SELECT count(*) FROM image_imports m WHERE m.image_id = i.image_id),
	(SELECT count(*) FROM image_exports m WHERE m.image_id = i.image_id) FROM images i WHERE path LIKE '%helper.dll';
END
	echo "absent|section_object,imports,exports,protections|$machine|1|0x1000|0x1000 0x2000 0x1000 6, 0x3000 0x2000 0x3000 4, 0x5000 0x1000 0x5000 c, 0x6000 0x1000 0x6000 4, 0x7000 0x1000 0x7000 4|2|2" >"$work/expected"
	diff -u "$work/expected" "$work/found" || { echo "FAIL build $build"; exit 1; }
done

# A time stamp that is a hash is no time: where the debug directory says so, and where nobody says but Windows is built like that.
for build in 10.0.19041.1466 6.1.7601.24540; do
	for output in full triage; do
		cat >"$work/description" <<END
# Times of linkers.
machine build=$build ram=6M time=2024-03-01T09:15:27.1234567Z
crash code=0xd1
driver name=stamped.sys timestamp=0x60000000
driver name=hashed.sys timestamp=0x61000000 reproducible
file path=C:\\Users\\a\\stamped.dll exports=A timestamp=0x62000000
file path=C:\\Users\\a\\hashed.dll exports=B timestamp=0x63000000 reproducible
process name=host.exe pid=1000 ppid=4 path=C:\\Windows\\System32\\host.exe
 image file=C:\\Users\\a\\stamped.dll
 image file=C:\\Users\\a\\hashed.dll
 thread tid=1004 current
output format=$output
END
		"$mksample" "$work/description" "$work/dump"
		rm -f "$work/case.db"
		"$memsieve" analyze -q -o "$work/case.db" "$work/dump" || [ $? = 3 ]
		sqlite3 "$work/case.db" "SELECT group_concat(subject || ' ' || substr(time, 1, 10), ', ') FROM (SELECT DISTINCT subject, time FROM timeline WHERE event = 'PE timestamp' AND
			(subject LIKE '%stamped%' OR subject LIKE '%hashed%') ORDER BY time)" >"$work/found"
		case $build-$output in
		*-full) echo 'stamped.sys 2021-01-14, \Device\HarddiskVolume3\Users\a\stamped.dll 2022-02-06' ;;
		10*) echo ;;
		*) echo 'stamped.sys 2021-01-14, hashed.sys 2021-07-27' ;;	# nothing says what they are
		esac >"$work/expected"
		diff -u "$work/expected" "$work/found" || { echo "FAIL time stamps of $build, $output"; exit 1; }
	done
done
# In a case of before the column, too.
sqlite3 "$work/case.db" "DROP VIEW timeline; DROP VIEW v_images; ALTER TABLE images DROP COLUMN reproducible"
[ "$("$memsieve" query "$work/case.db" timeline -s 'event=PE%' -f jsonl | grep -c stamped.sys)" = 1 ]
