/* SPDX-License-Identifier: Apache-2.0 */
/* A few pages of physical memory with page tables over them, for tests of what walks kernel memory. */
#ifndef MEMSIEVE_TESTS_MAPPED_MEMORY_H
#define MEMSIEVE_TESTS_MAPPED_MEMORY_H
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>
#include "layout.h"
#include "space.h"

#define MEMORY_PAGES 512u

struct mapped_memory {
	uint8_t *bytes;			/* physical memory from 0 */
	unsigned next;			/* free page */
	uint64_t dtb;
	char *path;
	struct image *image;
	struct layout *layout;
	struct space *space;
};

static inline void memory_put(struct mapped_memory *m, uint64_t pa, uint64_t value, unsigned width)
{
	memcpy(m->bytes + pa, &value, width);
}

static inline uint64_t memory_page(struct mapped_memory *m)
{
	g_assert_cmpuint(m->next, <, MEMORY_PAGES);
	return (uint64_t)m->next++ * PAGE_SIZE;
}

/* The layout of a build, to which the test may then add. */
static inline void memory_init(struct mapped_memory *m, unsigned build)
{
	memset(m, 0, sizeof(*m));
	m->bytes = g_malloc0((gsize)MEMORY_PAGES * PAGE_SIZE);
	m->next = 1;
	m->dtb = memory_page(m);
	m->layout = layout_family(build, 0, LAYOUT_X64);
	g_assert_nonnull(m->layout);
}

/* Where the entry of `va` stands in the tables, making what is missing; shift 12 for pages, 21 for large ones. */
static inline uint64_t memory_entry(struct mapped_memory *m, uint64_t va, unsigned last)
{
	uint64_t table = m->dtb;

	for (unsigned shift = 39; ; shift -= 9) {
		uint64_t at = table + (va >> shift & 511) * 8, entry;
		if (shift == last)
			return at;
		memcpy(&entry, m->bytes + at, 8);
		if (!(entry & 1)) {
			entry = memory_page(m) | 3;
			memory_put(m, at, entry, 8);
		}
		table = entry & UINT64_C(0xffffffffff000);
	}
}

static inline void memory_map(struct mapped_memory *m, uint64_t va, uint64_t pa)
{
	memory_put(m, memory_entry(m, va, 12), pa | 3, 8);
}

/* A fresh page at va; its physical address. */
static inline uint64_t memory_map_new(struct mapped_memory *m, uint64_t va)
{
	uint64_t pa = memory_page(m);

	memory_map(m, va, pa);
	return pa;
}

/* Written as a raw dump and opened: from here on the bytes are what they are. */
static inline void memory_open_all(struct mapped_memory *m, gsize size)
{
	GError *error = NULL;
	int fd = g_file_open_tmp("memsieve-XXXXXX", &m->path, &error);

	g_assert_no_error(error);
	close(fd);
	g_assert_true(g_file_set_contents(m->path, (char *)m->bytes, (gssize)size, &error));
	m->image = image_open(m->path, false, &error);
	g_assert_no_error(error);
	m->space = space_create(m->image, m->layout, PAGING_X64, (pa_t){ m->dtb });
}

static inline void memory_open(struct mapped_memory *m)
{
	memory_open_all(m, (gsize)MEMORY_PAGES * PAGE_SIZE);
}

static inline void memory_clear(struct mapped_memory *m)
{
	space_destroy(m->space);
	image_close(m->image);
	layout_destroy(m->layout);
	g_unlink(m->path);
	g_free(m->path);
	g_free(m->bytes);
}
#endif
