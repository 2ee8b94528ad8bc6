-- With what the page tables say, for dumps that hold user memory.
.mode list
SELECT 'vads', pid, printf('0x%x', start_address), printf('0x%x', end_address), type, v.protection, private_memory, commit_charge,
	file_path, pages, pages_present, pages_paged_out, pages_executable, pages_private_image
	FROM vads v JOIN processes USING (process_id);
