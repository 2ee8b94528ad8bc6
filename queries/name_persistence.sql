-- query: name_persistence
-- about: where a name turns up across the dumps of the case: as process, module, driver, handle
-- parameter: name %: LIKE pattern for the name or path
-- Paths are shown without the volume's number, which is the machine's own.
SELECT kind, iif(name LIKE '\device\harddiskvolume%', ltrim(substr(name, 23), '0123456789'), name) AS name, count(DISTINCT dump_id) AS dumps,
       count(*) AS times, min(time) AS first, max(time) AS last, group_concat(DISTINCT machine) AS machines
FROM (
  SELECT 'process' AS kind, lower(coalesce(p.image_path, p.name)) AS name, p.dump_id, p.create_time AS time, coalesce(d.computer_name, d.path) AS machine
  FROM processes p JOIN dumps d USING (dump_id) WHERE coalesce(p.image_path, '') || ' ' || coalesce(p.name, '') LIKE '%' || coalesce(:name, '') || '%'
  UNION ALL
  SELECT 'module', lower(coalesce(m.path, m.mapped_path, m.name)), p.dump_id, m.load_time, coalesce(d.computer_name, d.path)
  FROM modules m JOIN processes p USING (process_id) JOIN dumps d USING (dump_id)
  WHERE coalesce(m.path, m.mapped_path, m.name) LIKE '%' || coalesce(:name, '') || '%'
  UNION ALL
  SELECT 'driver', lower(v.name), v.dump_id, NULL, coalesce(d.computer_name, d.path)
  FROM drivers v JOIN dumps d USING (dump_id) WHERE v.name LIKE '%' || coalesce(:name, '') || '%'
  UNION ALL
  -- names of objects are many: only when asked for
  SELECT 'handle of type ' || h.type, lower(h.name), p.dump_id, NULL, coalesce(d.computer_name, d.path)
  FROM handles h JOIN processes p USING (process_id) JOIN dumps d USING (dump_id)
  WHERE coalesce(:name, '') NOT IN ('', '%') AND h.name LIKE '%' || :name || '%')
GROUP BY 1, 2
HAVING :dump_id IS NULL OR max(dump_id = :dump_id) -- of one dump: the names that it has, wherever they turn up
ORDER BY dumps DESC, 1, 2;
