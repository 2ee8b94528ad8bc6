/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"
#include <glib.h>
#include <stdio.h>
#include <unistd.h>

#define INTERVAL_US 100000

static struct {
	bool on;
	const char *stage;
	uint64_t done, total, bytes, total_bytes;
	gint64 started, shown;
	int report;	/* a descriptor, 0: none */
} p;

static void show(bool force)
{
	gint64 now = g_get_monotonic_time();

	if ((!p.on && !p.report) || (!force && now - p.shown < INTERVAL_US))
		return;
	p.shown = now;
	if (p.report) {
		dprintf(p.report, "%s %.0f\n", p.stage ? p.stage : "", p.total ? 100.0 * (double)p.done / (double)p.total : 0);
		return;
	}
	double seconds = (double)(now - p.started) / 1e6;
	uint64_t bytes = __atomic_load_n(&p.bytes, __ATOMIC_RELAXED);
	double rate = seconds > 0.05 ? (double)bytes / seconds : 0;
	char left[32] = "";
	if (rate > 0 && bytes < p.total_bytes)
		g_snprintf(left, sizeof(left), ", %.0f s left", (double)(p.total_bytes - bytes) / rate + 0.5);
	fprintf(stderr, "\r\033[K%-14s %3.0f %%  %.0f MB/s%s", p.stage ? p.stage : "",
		p.total ? 100.0 * (double)p.done / (double)p.total : 0, rate / 1e6, left);
	fflush(stderr);
}

void progress_begin(bool enabled, uint64_t total_bytes)
{
	p.on = enabled && isatty(STDERR_FILENO);
	p.started = g_get_monotonic_time();
	p.shown = 0;
	p.bytes = p.done = p.total = 0;
	p.total_bytes = total_bytes;
}

void progress_stage(const char *stage)
{
	p.stage = stage;
	p.done = p.total = 0;
	show(true);
}

void progress_step(uint64_t done, uint64_t total)
{
	p.done = done;
	p.total = total;
	show(false);
}

void progress_bytes(uint64_t done)
{
	__atomic_store_n(&p.bytes, done, __ATOMIC_RELAXED);
}

void progress_end(void)
{
	if (p.on)
		fputs("\r\033[K", stderr);
	p.on = false;
}

void progress_report(int fd)
{
	p.report = fd;
}
