/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the reading of all of a dump's memory takes, all else left out: tests/bench/read [-t | -s] [-j N] DUMP. Every page is asked
 * for as the sweep does it, from as many threads, and every byte is looked at, which costs what memory costs; with -t one byte of each
 * page, which is what reading by itself costs; with -s it is the sweep itself, for all that the plugins look for, and no hash beside it.
 * Prints bytes, seconds, and processor seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "kernel.h"
#include "plugin.h"
#include "sweep.h"

#define CHUNK (UINT64_C(4) << 20)

struct work { bool touch; struct image *image; GArray *chunks; gint next; uint64_t bytes, sum; GMutex lock; };

static void *read_chunks(void *data)
{
	struct work *w = data;
	uint8_t scratch[PAGE_SIZE];
	uint64_t bytes = 0, sum = 0;

	for (;;) {
		guint i = (guint)g_atomic_int_add(&w->next, 1);
		if (i >= w->chunks->len)
			break;
		struct range r = g_array_index(w->chunks, struct range, i);
		for (uint64_t at = r.start; at < r.start + r.length; at += PAGE_SIZE) {
			const uint8_t *page = image_page(w->image, (pa_t){ at }, scratch);
			if (!page)
				continue;
			if (w->touch) {
				sum ^= page[0];
			} else {
				for (unsigned n = 0; n < PAGE_SIZE; n += 8) {
					uint64_t word;
					__builtin_prefetch(page + PAGE_SIZE + n);	/* as the sweep does it */
					memcpy(&word, page + n, 8);
					sum ^= word;
				}
			}
			bytes += PAGE_SIZE;
		}
	}
	g_mutex_lock(&w->lock);
	w->bytes += bytes;
	w->sum ^= sum;
	g_mutex_unlock(&w->lock);
	return NULL;
}

static uint64_t sweep_alone(struct image *image, const struct layout *layout, int jobs)
{
	g_autoptr(GPtrArray) patterns = g_ptr_array_new();
	struct range r = { 0, 0 };
	uint64_t bytes = 0;

	for (const struct plugin *const *plugin = plugins; *plugin; plugin++)
		for (const struct sweep_pattern *const *s = (*plugin)->sweeps; s && *s; s++)
			g_ptr_array_add(patterns, (void *)*s);
	g_ptr_array_add(patterns, NULL);
	sweep_destroy(sweep_run(image, layout, (const struct sweep_pattern *const *)patterns->pdata, jobs, NULL, NULL));
	for (pa_t at = { 0 }; image_next_range(image, at, &r); at.v = r.start + r.length)
		bytes += r.length;
	return bytes;
}

int main(int argc, char **argv)
{
	GError *error = NULL;
	bool touch = argc > 2 && !strcmp(argv[1], "-t");
	bool sweep = argc > 2 && !strcmp(argv[1], "-s");

	argv += touch || sweep;
	argc -= touch || sweep;
	bool given = argc == 4 && !strcmp(argv[1], "-j");
	guint jobs = given ? (guint)atoi(argv[2]) : g_get_num_processors();

	if (argc != 2 && !given)
		return 2;
	gint64 begun = g_get_monotonic_time();
	struct work w = { .touch = touch, .image = image_open(argv[argc - 1], false, &error), .chunks = g_array_new(FALSE, FALSE, sizeof(struct range)) };
	if (!w.image) {
		fprintf(stderr, "%s\n", error->message);
		return 1;
	}
	if (sweep) {
		AUTO(kernel) kernel = kernel_find(w.image, &(struct layout_options){ NULL, NULL }, NULL);
		if (!kernel || !kernel->layout)
			return 1;
		begun = g_get_monotonic_time();
		clock_t used = clock();
		w.bytes = sweep_alone(w.image, kernel->layout, (int)jobs);
		printf("%" G_GUINT64_FORMAT " %.6f %.6f\n", w.bytes, (double)(g_get_monotonic_time() - begun) / 1e6, (double)(clock() - used) / CLOCKS_PER_SEC);
		g_clear_pointer(&kernel, kernel_destroy);
		g_array_free(w.chunks, TRUE);
		image_close(w.image);
		return 0;
	}
	clock_t used = clock();
	struct range r = { 0, 0 };
	for (pa_t at = { 0 }; image_next_range(w.image, at, &r); at.v = r.start + r.length)
		for (uint64_t from = r.start; from < r.start + r.length; from += CHUNK) {
			struct range chunk = { from, MIN(CHUNK, r.start + r.length - from) };
			g_array_append_val(w.chunks, chunk);
		}
	GThread *threads[64];
	jobs = CLAMP(jobs, 1, G_N_ELEMENTS(threads));
	for (guint i = 0; i < jobs; i++)
		threads[i] = g_thread_new("read", read_chunks, &w);
	for (guint i = 0; i < jobs; i++)
		g_thread_join(threads[i]);
	printf("%" G_GUINT64_FORMAT " %.6f %.6f %016" G_GINT64_MODIFIER "x\n", w.bytes, (double)(g_get_monotonic_time() - begun) / 1e6,
	       (double)(clock() - used) / CLOCKS_PER_SEC, w.sum);
	g_array_free(w.chunks, TRUE);
	image_close(w.image);
	return 0;
}
