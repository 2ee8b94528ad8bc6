-- rule: unusual_section_name
-- severity: info
-- confidence: 40
-- attack: T1027.002
-- title: {name} ({pid}): {file} has sections that compilers don't make: {sections}
-- Names that compilers, linkers and the SDK give to sections; what else there is came from a packer, a protector or by hand.
WITH usual (name) AS (VALUES ('.text'), ('.textbss'), ('.rdata'), ('.data'), ('.data1'), ('.pdata'), ('.xdata'), ('.rsrc'), ('.reloc'), ('.idata'), ('.edata'),
  ('.didat'), ('.didata'), ('.tls'), ('.tls$'), ('.bss'), ('.CRT'), ('.crt'), ('.00cfg'), ('.gfids'), ('.giats'), ('.gehcont'), ('.retplne'), ('.voltbl'), ('.debug'),
  ('.ndata'), ('.orpc'), ('.sdata'), ('.srdata'), ('.sbss'), ('.shared'), ('.SHARED'), ('.mrdata'), ('.detourc'), ('.detourd'), ('.qtmetad'), ('.rodata'), ('.init'), ('.fini'),
  ('.cormeta'), ('.drectve'), ('.eh_fram'), ('.ctors'), ('.dtors'), ('.buildid'), ('.sxdata'), ('.wpp_sf'), ('.imrsiv'), ('.impl'), ('.proxy'), ('.RPC'), ('.rpc'), ('.nep'),
  ('.hexpthk'), ('.a64xrm'), ('.fptable'), ('.managed'), ('.hydrate'), ('.stub'), ('.apiset'), ('malloc_h'), ('.gxfg'), ('.msvcjmc'), ('.itext'), ('.CLR_UEF'), ('CPADinfo'), ('LZMADEC'), ('prot'), ('.symtab'), ('.zdebug'), ('CODE'), ('DATA'), ('BSS'), ('INIT'), ('INITDATA'),
  ('GFIDS'), ('KVASCODE'), ('RETPOL'), ('POOLCODE'), ('POOLMI'), ('CFGRO'), ('ALMOSTRO'), ('NONPAGED'), ('NONPAGE'), ('PROTDATA'), ('RT_CODE'), ('RT'), ('MSSMIXED'), ('CONST'),
  ('GEHCONT'), ('MINIEX'), ('SANONTCP'), ('fothk'), ('Shared'), ('shared'), ('_RDATA'), ('_TEXT'), ('_DATA'), ('minATL'), ('ATL'), ('RPCTEXT'), ('RT_BSS'), ('RT_CONST'), ('RT_DATA'), ('RT_RDATA'), ('RT_VMOLD'))
SELECT p.process_id, p.name, p.pid, i.base + min(s.virtual_address) AS address, max(s.virtual_address + s.virtual_size) - min(s.virtual_address) AS length,
       group_concat(s.name, ', ') AS sections, coalesce(json_extract('[' || replace(json_quote(i.path), '\\', '","') || ']', '$[#-1]'), printf('0x%x', i.base)) AS file,
       json_object('image', printf('0x%x', i.base), 'path', i.path, 'sections', json_group_array(s.name), 'entropy', max(s.entropy)) AS detail
FROM images i JOIN processes p USING (process_id) JOIN image_sections s USING (image_id)
WHERE p.dump_id = :dump_id AND i.same_as IS NULL AND i.header_state = 'intact'
  AND s.name NOT IN (SELECT name FROM usual) AND s.name NOT LIKE 'PAGE%' AND s.name NOT LIKE '/%' AND s.name NOT LIKE '.debug%' AND s.name NOT LIKE '.text$%'
GROUP BY i.image_id
ORDER BY i.image_id;
