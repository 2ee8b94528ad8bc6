-- The dumps, with counts.
SELECT d.dump_id AS id, d.computer_name AS name, d.path, d.os_build AS build, d.os_build_lab AS lab, d.architecture AS arch, d.system_time AS time, d.format,
       d.format_detail, d.physical_memory AS memory, d.size, d.sha256, d.layout_source AS layout, d.system_root,
       (SELECT r.status FROM runs r WHERE r.dump_id = d.dump_id ORDER BY r.run_id DESC LIMIT 1) AS status,
       (SELECT r.message FROM runs r WHERE r.dump_id = d.dump_id ORDER BY r.run_id DESC LIMIT 1) AS message,
       (SELECT count(*) FROM processes p WHERE p.dump_id = d.dump_id) AS processes,
       (SELECT count(*) FROM drivers v WHERE v.dump_id = d.dump_id) AS drivers,
       (SELECT sum(g.occurrences) FROM diagnostics g WHERE g.dump_id = d.dump_id AND g.fault <> 'no_field') AS not_read,
       (SELECT iif(g.plugin = 'memsieve', '', coalesce(g.table_name || coalesce('.' || g.column_name, '') || ': ', '')) || g.message FROM diagnostics g WHERE g.dump_id = d.dump_id AND g.fault IN ('not_in_dump', 'implausible', 'limit', 'timeout', 'unmapped') AND g.message <> ''
        ORDER BY g.plugin = 'memsieve' DESC, g.fault IN ('not_in_dump', 'implausible', 'limit', 'timeout') DESC, g.occurrences DESC, g.rowid LIMIT 1) AS why,
       (SELECT c.bugcheck_name FROM crash c WHERE c.dump_id = d.dump_id AND coalesce(c.live, d.format = 'windows-live') IS NOT 1) AS bugcheck
FROM dumps d WHERE :dump_id IS NULL OR d.dump_id = :dump_id ORDER BY d.dump_id;
