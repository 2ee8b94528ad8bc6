/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The view `timeline`: everything in a case that carries a time, each with its source.
 *
 * It is made of the tables and columns that this case has, so that an older case has one too.
 * What a linker wrote into a PE header is in it, and says that it is no event of the machine.
 */
#include "store_private.h"
#include <string.h>

/* Unix seconds as the case writes times. */
#define FROM_UNIX(column) "strftime('%Y-%m-%dT%H:%M:%S', " column ", 'unixepoch') || '.0000000Z'"
/* A linker's stamp: 1990 to 2038, and none that is known to be the hash of a reproducible build. Windows itself is built so since 10
 * (the kernel since 17763): where nobody knows, that is what it may be. */
#define PLAUSIBLE(column, reproducible) \
	column " BETWEEN 631152000 AND 2147483647 AND coalesce(" reproducible ", (SELECT os_build LIKE '10.%' FROM dumps o WHERE o.dump_id = x.dump_id)) = 0"
#define PROCESS "coalesce(p.name, '?') || coalesce(' (' || p.pid || ')', '')"

static const struct part {
	const char *table, *columns;	/* what must be there; of others `dumps` and `processes` */
	const char *sql;		/* time, event, subject, detail, source, dump_id, process_id */
} parts[] = {
	{ "processes", "create_time",
	  "SELECT p.create_time, 'process created', " PROCESS ", p.command_line, 'processes.create_time', p.dump_id, p.process_id"
	  " FROM processes p WHERE p.create_time IS NOT NULL" },
	{ "processes", "exit_time",
	  "SELECT p.exit_time, 'process exited', " PROCESS ", p.image_path, 'processes.exit_time', p.dump_id, p.process_id"
	  " FROM processes p WHERE p.exit_time IS NOT NULL" },
	{ "threads", "create_time,win32_start_address",
	  "SELECT t.create_time, 'thread created', " PROCESS ", 'tid ' || t.tid || coalesce(printf(', starts at 0x%x', t.win32_start_address), ''),"
	  " 'threads.create_time', p.dump_id, p.process_id FROM threads t JOIN processes p USING (process_id) WHERE t.create_time IS NOT NULL" },
	{ "threads", "exit_time",
	  "SELECT t.exit_time, 'thread exited', " PROCESS ", 'tid ' || t.tid, 'threads.exit_time', p.dump_id, p.process_id"
	  " FROM threads t JOIN processes p USING (process_id) WHERE t.exit_time IS NOT NULL" },
	{ "modules", "load_time,path,base",
	  "SELECT m.load_time, 'image loaded', " PROCESS ", coalesce(m.path, m.name, m.mapped_path) || printf(' at 0x%x', m.base),"
	  " 'modules.load_time', p.dump_id, p.process_id FROM modules m JOIN processes p USING (process_id) WHERE m.load_time IS NOT NULL" },
	{ "images", "timestamp,reproducible,path,base,same_as",
	  "SELECT " FROM_UNIX("x.timestamp") ", 'PE timestamp', coalesce(x.path, x.original_filename, '?'),"
	  " coalesce('in ' || p.name || ' (' || p.pid || ')', 'in the kernel') || printf(' at 0x%x', x.base), 'images.timestamp: written by"
	  " the linker, no event of this machine', x.dump_id, x.process_id FROM images x LEFT JOIN processes p USING (process_id)"
	  " WHERE x.same_as IS NULL AND " PLAUSIBLE("x.timestamp", "x.reproducible") },
	{ "drivers", "timestamp,name,path",
	  "SELECT " FROM_UNIX("x.timestamp") ", 'PE timestamp', coalesce(x.name, '?'), x.path, 'drivers.timestamp: written by the linker,"
	  " no event of this machine', x.dump_id, NULL FROM drivers x WHERE " PLAUSIBLE("x.timestamp", "NULL") },
	{ "unloaded_drivers", "unload_time,name,start",
	  "SELECT u.unload_time, 'driver unloaded', u.name, printf('was at 0x%x', u.start), 'unloaded_drivers.unload_time', u.dump_id, NULL"
	  " FROM unloaded_drivers u WHERE u.unload_time IS NOT NULL" },
	{ "remnants", "create_time,type",
	  "SELECT r.create_time, r.type || ' created', coalesce(r.name, r.type) || coalesce(' (' || coalesce(r.tid, r.pid) || ')', ''),"
	  " 'its memory was given back', 'remnants.create_time', r.dump_id, NULL FROM remnants r WHERE r.create_time IS NOT NULL" },
	{ "remnants", "exit_time,type",
	  "SELECT r.exit_time, r.type || ' exited', coalesce(r.name, r.type) || coalesce(' (' || coalesce(r.tid, r.pid) || ')', ''),"
	  " 'its memory was given back', 'remnants.exit_time', r.dump_id, NULL FROM remnants r WHERE r.exit_time IS NOT NULL" },
	/* Nothing stopped where a live dump was taken, or a tool wrote the header. */
	{ "crash", "bugcheck_code,bugcheck_name,live",
	  "SELECT d.system_time, 'crash', coalesce(c.bugcheck_name, printf('bugcheck 0x%x', c.bugcheck_code)), d.path, 'dumps.system_time',"
	  " d.dump_id, c.process_id FROM crash c JOIN dumps d USING (dump_id) WHERE d.system_time IS NOT NULL"
	  " AND c.bugcheck_code <> 0 AND coalesce(c.live, d.format = 'windows-live') IS NOT 1" },
	{ "crash", "uptime",
	  "SELECT strftime('%Y-%m-%dT%H:%M:%f', d.system_time, '-' || c.uptime || ' seconds') || '0000Z', 'boot', coalesce(d.computer_name, d.path),"
	  " NULL, 'dumps.system_time less crash.uptime', d.dump_id, NULL FROM crash c JOIN dumps d USING (dump_id)"
	  " WHERE d.system_time IS NOT NULL AND c.uptime IS NOT NULL" },
	{ "processes", "create_time",
	  "SELECT p.create_time, 'boot', coalesce(d.computer_name, d.path), 'the System process was made', 'processes.create_time of pid 4',"
	  " p.dump_id, p.process_id FROM processes p JOIN dumps d USING (dump_id) WHERE p.pid = 4 AND p.create_time IS NOT NULL" },
	{ "dumps", "system_time",
	  "SELECT d.system_time, 'dump taken', coalesce(d.computer_name, d.path), d.path, 'dumps.system_time', d.dump_id, NULL FROM dumps d"
	  " WHERE d.system_time IS NOT NULL" },
};

static bool is_there(struct store *store, const struct part *part)
{
	g_auto(GStrv) columns = g_strsplit(part->columns, ",", -1);

	for (char **c = columns; *c; c++) {
		g_autofree char *known = store_value(store, "SELECT 1 FROM pragma_table_info(?) WHERE name = ?", part->table, *c, NULL);
		if (!known)
			return false;
	}
	return true;
}

char *store_timeline_sql(struct store *store, const char *create)
{
	GString *sql = g_string_new(create);
	const char *join = "(time, event, subject, detail, source, dump_id, process_id) AS ";

	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (is_there(store, &parts[i])) {
			g_string_append_printf(sql, "%s%s", join, parts[i].sql);
			join = "\nUNION ALL ";
		}
	return g_string_free(sql, FALSE);
}

bool store_make_timeline(struct store *store, GError **error)
{
	g_autofree char *wanted = store_timeline_sql(store, "CREATE VIEW timeline");
	g_autofree char *has = store_value(store, "SELECT sql FROM sqlite_schema WHERE name = 'timeline'", NULL);

	store->timeline_stale = false;
	return !g_strcmp0(wanted, has) || (store_script(store, "DROP VIEW IF EXISTS timeline", error) && store_script(store, wanted, error));
}
