.mode list
SELECT 'vads', pid, printf('0x%x', start_address), printf('0x%x', end_address), type, v.protection, private_memory, commit_charge,
	file_path FROM vads v JOIN processes USING (process_id);
