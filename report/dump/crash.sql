SELECT c.bugcheck_name AS name, printf('0x%x', c.bugcheck_code) AS code, printf('0x%x', c.parameter1) AS parameter1, printf('0x%x', c.parameter2) AS parameter2,
       printf('0x%x', c.parameter3) AS parameter3, printf('0x%x', c.parameter4) AS parameter4, printf('0x%x', c.exception_code) AS exception,
       printf('0x%x', c.instruction_pointer) AS ip, printf('0x%x', c.thread) AS thread, c.process_id AS process, c.uptime, c.registers, c.comment,
       coalesce(c.live, d.format = 'windows-live') AS live
FROM crash c JOIN dumps d USING (dump_id) WHERE c.dump_id = :dump_id;
