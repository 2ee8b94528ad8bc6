-- query: machines
-- about: the dumps of the case: what they are, how well they were read, and what was found
SELECT d.dump_id, coalesce(d.computer_name, d.path) AS machine, d.os_build AS build, d.architecture AS arch, d.system_time, d.format, d.physical_memory >> 20 AS mib,
       (SELECT r.status FROM runs r WHERE r.dump_id = d.dump_id ORDER BY r.run_id DESC LIMIT 1) AS status,
       (SELECT count(*) FROM processes p WHERE p.dump_id = d.dump_id) AS processes,
       (SELECT count(*) FROM drivers v WHERE v.dump_id = d.dump_id) AS drivers,
       (SELECT count(*) FROM findings f WHERE f.dump_id = d.dump_id AND f.severity = 'critical') AS critical,
       (SELECT count(*) FROM findings f WHERE f.dump_id = d.dump_id AND f.severity = 'high') AS high,
       (SELECT count(*) FROM findings f WHERE f.dump_id = d.dump_id AND f.severity = 'medium') AS medium,
       (SELECT count(*) FROM findings f WHERE f.dump_id = d.dump_id AND f.severity = 'low') AS low,
       (SELECT sum(g.occurrences) FROM diagnostics g WHERE g.dump_id = d.dump_id) AS not_read, d.path, d.sha256
FROM dumps d WHERE :dump_id IS NULL OR d.dump_id = :dump_id
ORDER BY d.dump_id;
