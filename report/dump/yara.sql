-- limit: 20000
SELECT y.process_id AS process, printf('0x%x', y.address) AS address, y.length, y.rule, y.string_identifier AS string
FROM yara_matches y WHERE y.dump_id = :dump_id ORDER BY y.match_id;
