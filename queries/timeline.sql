-- query: timeline
-- about: all that carries a time, in order: processes, threads, images, drivers, crash and boot, each with its source
-- parameter: since 0: from this time on, e.g. 2024-01-31T05:00
-- parameter: until 9: up to this time
-- parameter: event %: LIKE pattern for the event, e.g. process%
SELECT t.time, t.event, t.subject, t.detail, t.source, coalesce(d.computer_name, d.path) AS machine, t.dump_id
FROM timeline t JOIN dumps d USING (dump_id)
WHERE (:dump_id IS NULL OR t.dump_id = :dump_id) AND t.time >= CAST(coalesce(:since, 0) AS TEXT) AND t.time < CAST(coalesce(:until, 9) AS TEXT) AND t.event LIKE coalesce(:event, '%')
ORDER BY t.time, t.dump_id;
