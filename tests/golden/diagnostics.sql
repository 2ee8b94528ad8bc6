.mode list
SELECT 'diagnostics', table_name, column_name, fault, pid, message, occurrences FROM diagnostics LEFT JOIN processes USING (process_id);
