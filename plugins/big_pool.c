/* SPDX-License-Identifier: Apache-2.0 */
/* Pool allocations of a page and more, by the kernel's own table of them. */
#include "big_pool.h"

enum { DUMP, ADDRESS, SIZE, TAG, POOL_TYPE, FREED };

static const char *const indices[] = { "tag", NULL };

static const struct table big_pool = {
	.name = "big_pool", .doc = "pool allocations of a page and more", .indices = indices,
	.columns = {
		[DUMP] = { "dump_id", COL_DUMP, "" },
		[ADDRESS] = { "address", COL_ADDRESS, "" },
		[SIZE] = { "size", COL_INT, "bytes" },
		[TAG] = { "tag", COL_TEXT, "four characters; others than ASCII's are dots" },
		[POOL_TYPE] = { "pool_type", COL_INT, "POOL_TYPE of wdm.h; NULL: the table doesn't say" },
		[FREED] = { "freed", COL_BOOL, "left of one that was given back" },
	},
};

static bool run(struct context *c, GError **error)
{
	bool missing = false;
	enum fault fault;
	va_t at;
	g_autoptr(GArray) list = big_pool_list(c, NULL, &fault, &at, &missing);

	(void)error;
	if (!list) {
		context_note(c, fault, at, "big_pool", "PoolBigPageTable can't be read");
		return true;
	}
	if (missing)
		context_note(c, FAULT_UNMAPPED, at, "big_pool", "parts of PoolBigPageTable can't be read");
	for (guint i = 0; i < list->len && !context_cancelled(c); i++) {
		const struct big_allocation *b = &g_array_index(list, struct big_allocation, i);
		struct row *row = row_new(c, &big_pool);
		char tag[5] = "";
		for (unsigned k = 0; k < 4; k++)
			tag[k] = g_ascii_isprint(b->tag[k]) ? b->tag[k] : '.';
		row_address(row, ADDRESS, b->va.v);
		row_int(row, SIZE, (int64_t)b->size);
		row_text(row, TAG, tag);
		if (c->kernel->layout->pool_tracker_big_pages.PoolType.size)
			row_int(row, POOL_TYPE, b->pool_type);
		row_int(row, FREED, b->freed);
	}
	return true;
}

const struct plugin plugin_big_pool = {
	.name = "big_pool",
	.doc = "pool allocations of a page and more",
	.fills = { &big_pool },
	.needs_layout = true,
	.run = run,
};
