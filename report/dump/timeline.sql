-- limit: 50000
SELECT t.time, t.event, t.subject, t.detail, t.source, t.process_id AS process FROM timeline t
WHERE t.dump_id = :dump_id AND t.event <> 'PE timestamp'
  AND (:all OR t.event NOT IN ('thread created', 'thread exited', 'image loaded') OR EXISTS (SELECT 1 FROM findings f WHERE f.process_id = t.process_id))
ORDER BY t.time;
