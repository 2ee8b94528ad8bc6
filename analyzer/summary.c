/* SPDX-License-Identifier: Apache-2.0 */
#include "summary.h"
#include <stdio.h>
#include "text.h"

static char *one(struct store *store, const char *sql, int64_t dump_id)
{
	g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, dump_id);

	char *value = store_value(store, sql, id, NULL);
	char *safe = text_escape(value ? value : "");
	g_free(value);
	return safe;
}

static void line(struct store *store, const char *label, const char *sql, int64_t dump_id)
{
	g_autofree char *value = one(store, sql, dump_id);

	if (*value)
		printf("  %-10s %s\n", label, value);
}

/* Each row's one column, a line each. */
static void lines(struct store *store, const char *label, const char *sql, int64_t dump_id)
{
	AUTO(cursor) cursor = cursor_open(store, sql, NULL);

	if (cursor)
		cursor_bind_int(cursor, "dump_id", dump_id);
	for (; cursor && cursor_next(cursor, NULL); label = "") {
		g_autofree char *safe = text_escape(cursor_text(cursor, 0) ? cursor_text(cursor, 0) : "");
		printf("  %-10s %s\n", label, safe);
	}
}

static void details(struct store *store, int64_t id)
{
	lines(store, "worst", "SELECT severity || ': ' || title FROM findings WHERE dump_id = :dump_id AND severity IN ('critical', 'high')"
	      " ORDER BY severity = 'critical' DESC, confidence DESC, finding_id LIMIT 10", id);
	lines(store, "why", "SELECT fault || ', ' || plugin || coalesce(', ' || table_name || coalesce('.' || column_name, ''), '') || ': ' || sum(occurrences) || ' times'"
	      " || coalesce(', e.g. ' || nullif(max(message), ''), '') FROM diagnostics WHERE dump_id = :dump_id"
	      " GROUP BY fault, plugin, table_name, column_name ORDER BY sum(occurrences) DESC LIMIT 20", id);
	lines(store, "plugins", "SELECT printf('%-16s %-8s %8d rows %8.3f s', plugin, x.status, row_count, seconds) || coalesce('  ' || nullif(x.message, ''), '')"
	      " FROM plugin_runs x JOIN runs r USING (run_id) WHERE r.run_id = (SELECT max(run_id) FROM runs WHERE dump_id = :dump_id) ORDER BY x.rowid", id);
}

void summary_print(const char *case_path, const struct result *result, bool verbose)
{
	g_autoptr(GError) error = NULL;
	struct store *store = store_open_readonly(case_path, &error);
	int64_t id = result->dump_id;

	if (!store)
		return;
	g_autofree char *path = one(store, "SELECT path FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id);
	printf("%s\n", path);
	line(store, "machine", "SELECT coalesce(computer_name || ', ', '') || 'Windows ' || coalesce(os_build, '?') || ', ' || architecture ||"
	     " coalesce(', ' || substr(system_time, 1, 19) || 'Z', '') || iif(physical_memory, ', ' || (physical_memory >> 20) || ' MiB', '') || ', layout ' ||"
	     " coalesce(layout_source, 'unknown') FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id);
	line(store, "dump", "SELECT format || coalesce(', ' || format_detail, '') FROM dumps WHERE dump_id = CAST(? AS INTEGER)", id);
	/* Small dumps and minidumps have virtual memory alone, and their ranges are of that. */
	line(store, "memory", "SELECT printf('%d bytes%s in %d ranges', iif(physical_memory, physical_memory, coalesce(sum(length), 0)),"
	     " iif(physical_memory OR length IS NULL, '', ' of virtual memory'), count(length)) ||"
	     " iif(physical_memory AND memory_total, printf(', %.1f %% of the machine''s %d', min(100.0, 100.0 * physical_memory / memory_total), memory_total), '') ||"
	     " iif(user_memory, '', '; user memory absent: the dump holds the kernel''s memory alone')"
	     " FROM dumps d LEFT JOIN memory_ranges r USING (dump_id) WHERE dump_id = CAST(? AS INTEGER) GROUP BY dump_id", id);
	line(store, "facts", "SELECT (SELECT count(*) FROM processes p WHERE p.dump_id = d.dump_id) || ' processes, ' ||"
	     " (SELECT count(*) FROM threads JOIN processes p USING (process_id) WHERE p.dump_id = d.dump_id) || ' threads, ' ||"
	     " (SELECT count(*) FROM vads JOIN processes p USING (process_id) WHERE p.dump_id = d.dump_id) || ' VADs, ' ||"
	     " (SELECT count(*) FROM modules JOIN processes p USING (process_id) WHERE p.dump_id = d.dump_id) || ' modules, ' ||"
	     " (SELECT count(*) FROM drivers x WHERE x.dump_id = d.dump_id) || ' drivers, ' ||"
	     " (SELECT count(*) FROM yara_matches y WHERE y.dump_id = d.dump_id) || ' YARA matches'"
	     " FROM dumps d WHERE dump_id = CAST(? AS INTEGER)", id);
	line(store, "findings", "SELECT coalesce(group_concat(n || ' ' || severity, ', '), 'none') FROM (SELECT count(*) AS n, severity FROM findings"
	     " WHERE dump_id = CAST(? AS INTEGER) GROUP BY severity ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1"
	     " WHEN 'medium' THEN 2 WHEN 'low' THEN 3 ELSE 4 END)", id);
	line(store, "not read", "SELECT group_concat(n || ' ' || fault, ', ') FROM (SELECT sum(occurrences) AS n, fault FROM diagnostics"
	     " WHERE dump_id = CAST(? AS INTEGER) GROUP BY fault ORDER BY n DESC)", id);
	if (verbose)
		details(store, id);
	if (result->outcome == OUTCOME_PARTIAL)
		puts("  This run is partial: the tables diagnostics and plugin_runs say what is missing.");
	g_print("  sqlite3 '%s' \"SELECT severity, title FROM findings WHERE dump_id = %" G_GINT64_FORMAT
	       " ORDER BY confidence DESC\"\n", case_path, id);
	store_close(store);
}
