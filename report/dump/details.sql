SELECT finding_id AS finding, detail FROM findings WHERE dump_id = :dump_id ORDER BY finding_id;
