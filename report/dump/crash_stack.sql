-- limit: 500
SELECT s.position, printf('0x%x', s.address) AS address, printf('0x%x', s.value) AS value, s.module, printf('0x%x', s.offset) AS offset, s.symbol, s.after_call
FROM crash_stack s WHERE s.dump_id = :dump_id ORDER BY s.position;
