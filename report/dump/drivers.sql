-- limit: 5000
SELECT printf('0x%x', v.base) AS base, v.size, v.name, v.path, v.in_loaded_list, v.in_pool_scan FROM drivers v WHERE v.dump_id = :dump_id ORDER BY v.driver_id;
