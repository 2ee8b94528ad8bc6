/* SPDX-License-Identifier: Apache-2.0 */
/* How a batch is seen: a table that is drawn over on a terminal, or one JSON object a line. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "batch.h"
#include "listing.h"
#include "text.h"

#define REDRAW_US 200000
#define MAX_SHOWN 32	/* workers in the table */

struct view {
	bool json;
	unsigned lines;		/* of the table as it stands on the terminal */
	gint64 drawn;
};

static char *base_name(const struct batch_item *item)
{
	g_autofree char *base = g_path_get_basename(item->path);

	return terminal_text(base);
}

static char *duration(double seconds)
{
	unsigned s = (unsigned)(seconds + 0.5);

	if (s < 60)
		return g_strdup_printf("%u s", s);
	if (s < 3600)
		return g_strdup_printf("%u min %02u s", s / 60, s % 60);
	return g_strdup_printf("%u h %02u min", s / 3600, s / 60 % 60);
}

void batch_view_begin(struct batch *batch, bool json)
{
	struct view *view = g_new0(struct view, 1);

	view->json = json;
	batch->view = view;
}

/* ---- JSON */

static void append_member(GString *s, const char *name, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_string_append_printf(s, ", \"%s\": ", name);
	json_append_string(s, valid);
}

static void append_counts(GString *s, const struct batch *batch)
{
	struct batch_counts n = batch_count(batch);

	g_string_append_printf(s, ", \"dumps\": %u, \"done\": %u, \"complete\": %u, \"partial\": %u, \"failed\": %u, \"running\": %u, \"waiting\": %u,"
			       " \"before\": %u, \"bytes\": %" G_GUINT64_FORMAT, batch->items->len, n.done, n.complete, n.partial, n.failed, n.running,
			       n.waiting, n.before, n.bytes);
}

static void json_event(const struct batch *batch, const char *event, const struct batch_item *item)
{
	g_autoptr(GString) s = g_string_new("{\"event\": ");
	g_autoptr(GDateTime) t = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(t, "%Y-%m-%dT%H:%M:%SZ");

	json_append_string(s, event);
	append_member(s, "time", time);
	if (item) {
		append_member(s, "dump", item->path);
		append_member(s, "name", item->name);
		g_string_append_printf(s, ", \"size\": %" G_GUINT64_FORMAT, item->size);
		append_member(s, "status", batch_state_name(item->state));
		if (item->attempts > 1)
			g_string_append_printf(s, ", \"attempt\": %u", item->attempts);
		if (item->pid)
			g_string_append_printf(s, ", \"pid\": %d", (int)item->pid);
		if (item->state >= BATCH_COMPLETE)
			g_string_append_printf(s, ", \"seconds\": %.3f", item->seconds);
		if (item->message)
			append_member(s, "message", item->message);
	} else {
		append_counts(s, batch);
		g_string_append_printf(s, ", \"elapsed\": %.3f", (double)(g_get_monotonic_time() - batch->started) / 1e6);
	}
	puts(g_string_append_c(s, '}')->str);
	fflush(stdout);
}

/* ---- on a terminal */

static void wipe(struct view *view)
{
	if (view->lines)
		printf("\033[%uA\033[J", view->lines);
	view->lines = 0;
}

/* Not wider than the terminal, or drawing over it would leave lines behind. */
static void line(struct view *view, const char *text)
{
	struct winsize size;
	int width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col - 1 : 79;
	const char *p = text;

	for (int i = 0; *p && i < width; i++)
		p = g_utf8_next_char(p);
	printf("%.*s\n", (int)(p - text), text);
	view->lines++;
}

static void draw(struct batch *batch)
{
	struct view *view = batch->view;
	struct batch_counts n = batch_count(batch);
	double elapsed = (double)(g_get_monotonic_time() - batch->started) / 1e6;
	g_autofree char *so_far = duration(elapsed), *left = NULL;
	unsigned shown = 0;

	wipe(view);
	if (n.bytes_done && n.bytes > n.bytes_done)
		left = duration(elapsed * (double)(n.bytes - n.bytes_done) / (double)n.bytes_done);
	g_autofree char *head = g_strdup_printf("%u of %u dumps done, %u partial, %u failed, %u left; %s%s%s", n.done, batch->items->len, n.partial, n.failed,
						n.running + n.waiting, so_far, left ? ", about another " : "", left ? left : "");
	line(view, head);
	for (guint i = 0; i < batch->items->len && shown < MAX_SHOWN; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (item->state != BATCH_RUNNING)
			continue;
		g_autofree char *name = base_name(item), *stage = terminal_text(item->stage);
		g_autofree char *time = duration((double)(g_get_monotonic_time() - item->started) / 1e6);
		char *space = strrchr(stage, ' ');
		if (space)
			*space = 0;
		g_autofree char *text = g_strdup_printf("  %-36s %-16s %3s %%  %s", name, stage, space ? space + 1 : "0", time);
		line(view, text);
		shown++;
	}
	fflush(stdout);
	view->drawn = g_get_monotonic_time();
}

static void say(struct batch *batch, const char *event, const struct batch_item *item)
{
	g_autofree char *name = item ? base_name(item) : NULL, *message = item && item->message ? terminal_text(item->message) : NULL;

	if (!strcmp(event, "failed") || !strcmp(event, "retry") || !strcmp(event, "duplicate")) {
		wipe(batch->view);
		if (!strcmp(event, "failed"))
			printf("failed: %s: %s\n", name, message ? message : "");
		else if (!strcmp(event, "retry"))
			printf("once more: %s: its worker was killed\n", name);
		else
			printf("the same dump is in the case already: %s\n", name);
	}
	batch_view_refresh(batch, true);
}

void batch_view_event(struct batch *batch, const char *event, const struct batch_item *item)
{
	const struct view *view = batch->view;

	if (!view)
		return;
	if (view->json)
		json_event(batch, event, item);
	else
		say(batch, event, item);
}

void batch_view_refresh(struct batch *batch, bool now)
{
	const struct view *view = batch->view;

	if (view && !view->json && (now || g_get_monotonic_time() - view->drawn > REDRAW_US))
		draw(batch);
}

/* ---- the end, and --status */

static void print_item(const struct batch *batch, const struct batch_item *item)
{
	g_autofree char *path = terminal_text(item->path), *message = terminal_text(item->message ? item->message : ""), *log = batch_file(batch, item, ".log");

	printf("  %-9s %s%s%s\n", batch_state_name(item->state), path, *message ? ": " : "", message);
	if (item->state == BATCH_FAILED && g_file_test(log, G_FILE_TEST_EXISTS))
		g_print("  %-9s log: %s\n", "", log);
}

static void print_summary(const struct batch *batch, bool all)
{
	struct batch_counts n = batch_count(batch);
	double seconds = (double)(g_get_monotonic_time() - batch->started) / 1e6;
	g_autofree char *time = duration(seconds);

	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (item->state == BATCH_FAILED || (all && item->state != BATCH_COMPLETE))
			print_item(batch, item);
	}
	printf("%u dumps: %u complete, %u partial, %u failed", batch->items->len, n.complete, n.partial, n.failed);
	if (n.running + n.waiting)
		printf(", %u running, %u waiting", n.running, n.waiting);
	if (n.before && !all)
		printf(" (%u done before)", n.before);
	if (!all && n.bytes_done && seconds > 0)
		printf("; %s, %.0f MB/s", time, (double)n.bytes_done / 1e6 / seconds);
	putchar('\n');
}

void batch_view_end(struct batch *batch)
{
	struct view *view = batch->view;

	if (!view)
		return;
	batch->view = NULL;
	if (view->json) {
		json_event(batch, "end", NULL);
	} else {
		wipe(view);
		print_summary(batch, false);
		if (batch->case_path && batch_count(batch).done)
			g_print("memsieve query '%s' triage\n", batch->case_path);
	}
	g_free(view);
}

void batch_say_failed(const struct batch *batch)
{
	for (guint i = 0; i < batch->items->len; i++) {
		const struct batch_item *item = g_ptr_array_index(batch->items, i);
		if (item->state != BATCH_FAILED)
			continue;
		g_autofree char *path = terminal_text(item->path), *message = terminal_text(item->message ? item->message : "failed");
		g_printerr("memsieve: %s: %s\n", path, message);
	}
}

void batch_view_status(const struct batch *batch, bool json)
{
	if (!json) {
		print_summary(batch, true);
		return;
	}
	for (guint i = 0; i < batch->items->len; i++)
		json_event(batch, "dump", g_ptr_array_index(batch->items, i));
	json_event(batch, "status", NULL);
}
