#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# samples/tiny/patches-19041: each way to lead code elsewhere is found at its very address, with what it is and where it leads; what security
# products and single flipped bits do stays low.
. "$(dirname "$0")/common.sh"
set -e
needs sqlite3

"$mksample" "$srcdir/samples/tiny/patches-19041.txt" "$work/dump"
"$memsieve" analyze -q -o "$work/case.db" "$work/dump"
sqlite3 "$work/case.db" >"$work/found" <<'END'
SELECT p.pid, printf('%x', x.address), x.length, x.kind, x.function, x.function_offset, printf('%x', x.target), x.target_module
	FROM image_patches x JOIN images i USING (image_id) JOIN processes p USING (process_id) WHERE i.path NOT LIKE '%\wow64.dll' ORDER BY p.pid, x.address;
SELECT p.pid, f.severity, f.attack, f.rule, printf('%x', f.address) FROM findings f JOIN processes p USING (process_id)
	WHERE f.rule IN ('modified_image_code', 'pointer_hooked', 'import_table_hooked', 'module_stomping') AND f.title NOT LIKE '% of wow64.dll %' ORDER BY p.pid, f.address;
END
cat >"$work/expected" <<'END'
1100|7ffb10001040|5|inline_hook|A01jmp|0|7ffb20000100|
1100|7ffb10001084|5|inline_hook|A02mid|4|7ffb20000200|
1100|7ffb100010c0|6|inline_hook|A03pushret|0|20000300|
1100|7ffb10001100|12|inline_hook|A04movjmp|0|20000400|
1100|7ffb10001140|14|inline_hook|A05ripjmp|0|20000500|
1100|7ffb10001180|1|breakpoint|A06int3|0|0|
1100|7ffb100011c0|1|return|A07ret|0|0|
1100|7ffb10001200|3|return|A08xorret|0|0|
1100|7ffb10001244|5|inline_hook|A09call|4|7ffb20000900|
1100|7ffb10001280|8|inline_hook|A10jz|0|7ffb20000a00|
1100|7ffb100012c0|16|inline_hook|A11xchg|0|20000b00|
1100|7ffb10001300|25|inline_hook|A12xor|0|20000c00|
1100|7ffb10001340|13|inline_hook|A13r11|0|20000d00|
1100|7ffb10001380|5|inline_hook|A14tramp|0|20000e00|
1100|7ffb100013c0|13|inline_hook|A15pushhi|0|20000f00|
1100|7ffb10001400|96|patch|A16partial|0|0|
1100|7ffb1000147b|7|inline_hook|A18hotpatch|-5|7ffb20000120|
1100|7ffb100014c0|18|inline_hook|A19add|0|20000130|
1100|7ffb10001500|12|inline_hook|A20retf|0|20000000|
1100|7ffb10001540|9|inline_hook|A21leajmp|0|7ffb20000150|
1100|7ffb10001580|12|inline_hook|A22memjmp|0|0|
1100|7ffb100015c0|12|inline_hook|A23pushreg|0|20000170|
1100|7ffb10001600|11|inline_hook|A24nops|0|7ffb20000180|
1100|7ffb10001640|13|inline_hook|A25endbr|0|7ffb20000190|
1100|7ffb10001680|14|inline_hook|A26callpop|0|7ffb20000685|
1100|7ffb100016c0|2|patch|A27ud2|0|0|
1100|7ffb10001700|12|inline_hook|A28jrcx|0|7ffb200001c0|
1100|7ffb10022e01|11|inline_hook|Gamma|7489|20000e00|
1104|74101040|5|inline_hook|W01jmp|0|21000100|
1104|7410107b|7|inline_hook|W02hotpatch|-5|21000200|
1104|741010c0|6|inline_hook|W03pushret|0|21000300|
1104|74101100|7|inline_hook|W04movjmp|0|21000400|
1104|74101145|5|inline_hook|W05mid|5|21000500|
1104|74101180|6|inline_hook|W06memjmp|0|21000600|
1104|741011c0|3|return|W07ret|0|0|
1104|74101200|1|breakpoint|W08int3|0|0|
1104|74101240|5|inline_hook|W09call|0|21000900|
1104|74101280|7|inline_hook|W10far|0|21000a00|
1104|741012c0|12|inline_hook|W11xor|0|21000b00|
1104|74103004|4|import_hook|kernel32.dll!WriteFile||21000f00|
1200|7ffb10004800|8|pointer_hook|||20000100|
1200|7ffb10004c00|8|pointer_hook|__guard_check_icall_fptr||20000200|
1204|74104800|4|pointer_hook|||21000100|
1204|74104c04|4|pointer_hook|__guard_dispatch_icall_fptr||21000200|
1300|7ffb10031080|1|patch|AmsiScanBuffer|0|0|
1304|7ffb10031080|6|return|AmsiScanBuffer|0|0|
1400|7ffb10001040|5|inline_hook|A01jmp|0|7ffb10041040|product.dll
1400|7ffb10001080|5|inline_hook|A02mid|0|7ffb10041040|product.dll
1400|7ffb100010c0|5|inline_hook|A03pushret|0|7ffb10041040|product.dll
1400|7ffb10004800|8|pointer_hook|||7ffb10041040|product.dll
1404|7ffb10021040|1|patch|Alpha|0|0|
1100|high|T1056.004|modified_image_code|7ffb10001040
1100|high|T1056.004|modified_image_code|7ffb10001084
1100|high|T1056.004|modified_image_code|7ffb100010c0
1100|high|T1056.004|modified_image_code|7ffb10001100
1100|high|T1056.004|modified_image_code|7ffb10001140
1100|medium|T1574|modified_image_code|7ffb10001180
1100|medium|T1574|modified_image_code|7ffb100011c0
1100|medium|T1574|modified_image_code|7ffb10001200
1100|high|T1056.004|modified_image_code|7ffb10001244
1100|high|T1056.004|modified_image_code|7ffb10001280
1100|high|T1056.004|modified_image_code|7ffb100012c0
1100|high|T1056.004|modified_image_code|7ffb10001300
1100|high|T1056.004|modified_image_code|7ffb10001340
1100|high|T1056.004|modified_image_code|7ffb10001380
1100|high|T1056.004|modified_image_code|7ffb100013c0
1100|high|T1055|modified_image_code|7ffb10001400
1100|high|T1056.004|modified_image_code|7ffb1000147b
1100|high|T1056.004|modified_image_code|7ffb100014c0
1100|high|T1056.004|modified_image_code|7ffb10001500
1100|high|T1056.004|modified_image_code|7ffb10001540
1100|medium|T1056.004|modified_image_code|7ffb10001580
1100|high|T1056.004|modified_image_code|7ffb100015c0
1100|high|T1056.004|modified_image_code|7ffb10001600
1100|high|T1056.004|modified_image_code|7ffb10001640
1100|high|T1056.004|modified_image_code|7ffb10001680
1100|medium|T1574|modified_image_code|7ffb100016c0
1100|high|T1056.004|modified_image_code|7ffb10001700
1100|high|T1056.004|modified_image_code|7ffb10022e01
1104|high|T1056.004|modified_image_code|74101040
1104|high|T1056.004|modified_image_code|7410107b
1104|high|T1056.004|modified_image_code|741010c0
1104|high|T1056.004|modified_image_code|74101100
1104|high|T1056.004|modified_image_code|74101145
1104|high|T1056.004|modified_image_code|74101180
1104|medium|T1574|modified_image_code|741011c0
1104|medium|T1574|modified_image_code|74101200
1104|high|T1056.004|modified_image_code|74101240
1104|high|T1056.004|modified_image_code|74101280
1104|high|T1056.004|modified_image_code|741012c0
1104|high|T1056.004|import_table_hooked|74103004
1200|high|T1056.004|pointer_hooked|7ffb10004800
1200|high|T1056.004|pointer_hooked|7ffb10004c00
1204|high|T1056.004|pointer_hooked|74104800
1204|high|T1056.004|pointer_hooked|74104c04
1300|medium|T1562.001|modified_image_code|7ffb10031080
1304|high|T1562.001|modified_image_code|7ffb10031080
1400|low|T1056.004|modified_image_code|7ffb10001040
1400|low|T1056.004|pointer_hooked|7ffb10004800
1404|low|T1574|modified_image_code|7ffb10021040
END
diff -u "$work/expected" "$work/found"
