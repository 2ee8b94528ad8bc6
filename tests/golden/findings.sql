-- Findings that matter, by rule and process.
.mode list
SELECT DISTINCT 'findings', rule, pid FROM findings LEFT JOIN processes USING (process_id)
	WHERE severity IN ('medium', 'high', 'critical');
