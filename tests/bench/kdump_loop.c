/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same through libkdumpfile by itself, one context, one page after the other: what tests/bench/read is held against.
 * tests/bench/kdump_loop CACHE_SIZE DUMP; a cache size of 0 is the library's own.
 */
#include <fcntl.h>
#include <libkdumpfile/kdumpfile.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	kdump_attr_t pages = { .type = KDUMP_BITMAP };
	kdump_addr_t at = 0;
	uint64_t bytes = 0, sum = 0;
	uint8_t page[4096];

	if (argc != 3)
		return 2;
	double begun = now();
	kdump_ctx_t *ctx = kdump_new();
	int fd = open(argv[2], O_RDONLY), cache = atoi(argv[1]);
	if (!ctx || fd < 0 || (cache && kdump_set_number_attr(ctx, "cache.size", (kdump_num_t)cache)) || kdump_open_fd(ctx, fd) ||
	    kdump_get_typed_attr(ctx, KDUMP_ATTR_FILE_PAGEMAP, &pages)) {
		fprintf(stderr, "%s\n", ctx ? kdump_get_err(ctx) : "no memory");
		return 1;
	}
	for (; kdump_bmp_find_set(pages.val.bitmap, &at) == KDUMP_OK; at++) {
		size_t length = sizeof(page);
		if (kdump_read(ctx, KDUMP_MACHPHYSADDR, at * sizeof(page), page, &length) != KDUMP_OK)
			continue;
		for (unsigned n = 0; n < sizeof(page); n += 8) {
			uint64_t word;
			memcpy(&word, page + n, 8);
			sum ^= word;
		}
		bytes += sizeof(page);
	}
	printf("%llu %.6f %016llx\n", (unsigned long long)bytes, now() - begun, (unsigned long long)sum);
	kdump_free(ctx);
	return 0;
}
