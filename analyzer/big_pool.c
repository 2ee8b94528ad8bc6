/* SPDX-License-Identifier: Apache-2.0 */
#include "big_pool.h"
#include <string.h>
#include "limit.h"

static uint64_t field_at(const uint8_t *entry, struct field field)
{
	uint64_t value = 0;

	memcpy(&value, entry + field.offset, MIN(field.size, 8u));
	if (field.bits && field.bits < 64)
		value = value >> field.bit & ((UINT64_C(1) << field.bits) - 1);
	return value;
}

/* A symbol file may say anything. */
static bool within(struct field field, uint32_t size)
{
	return (uint32_t)field.offset + field.size <= size;
}

static int compare(const void *a, const void *b)
{
	const struct big_allocation *x = a, *y = b;

	if (x->va.v != y->va.v)
		return x->va.v < y->va.v ? -1 : 1;
	return memcmp(x->tag, y->tag, 4);
}

static void add(GArray *out, const struct layout *l, struct space *space, const uint8_t *entry, const char *only)
{
	uint64_t va = field_at(entry, l->pool_tracker_big_pages.Va);
	struct big_allocation big = { .va = { va & ~UINT64_C(1) }, .freed = va & 1 };
	uint32_t tag = (uint32_t)field_at(entry, l->pool_tracker_big_pages.Key) & 0x7fffffff;

	/* An entry that was never used is 0, or freed without an address. */
	if ((only && memcmp(&tag, only, 4)) || !big.va.v || (big.va.v & PAGE_MASK) || !space_is_kernel(space, big.va))
		return;
	/* Until Windows Vista pages are counted. */
	big.size = l->pool_tracker_big_pages.NumberOfBytes.size ? field_at(entry, l->pool_tracker_big_pages.NumberOfBytes) :
		   field_at(entry, l->pool_tracker_big_pages.NumberOfPages) * PAGE_SIZE;
	big.pool_type = l->pool_tracker_big_pages.PoolType.size ? (uint32_t)field_at(entry, l->pool_tracker_big_pages.PoolType) : 0;
	memcpy(big.tag, &tag, 4);
	if (big.size && big.size < UINT64_C(1) << 47)
		g_array_append_val(out, big);
}

GArray *big_pool_list(const struct context *c, const char *only, enum fault *fault, va_t *at, bool *missing)
{
	const struct layout *l = c->kernel->layout;
	va_t table_at = kernel_symbol(c->kernel, PoolBigPageTable), count_at = kernel_symbol(c->kernel, PoolBigPageTableSize);
	struct field amount = l->pool_tracker_big_pages.NumberOfBytes.size ? l->pool_tracker_big_pages.NumberOfBytes :
			      l->pool_tracker_big_pages.NumberOfPages;
	uint32_t size = l->pool_tracker_big_pages.size_, per_read;
	unsigned w = space_pointer_size(c->space);
	uint64_t table = 0, count = 0;
	uint8_t raw[PAGE_SIZE];

	*missing = false;
	*at = table_at;
	*fault = FAULT_NO_FIELD;
	if (!table_at.v || !count_at.v || size < 2 * w + 4 || size > 64 || l->pool_tracker_big_pages.Va.size != w ||
	    l->pool_tracker_big_pages.Key.size != 4 || (amount.size != w && amount.size != 4) ||
	    !within(l->pool_tracker_big_pages.Va, size) || !within(l->pool_tracker_big_pages.Key, size) || !within(amount, size) || !within(l->pool_tracker_big_pages.PoolType, size))
		return NULL;
	if ((*fault = read_pointer(c->space, table_at, &table)) || (*fault = read_pointer(c->space, count_at, &count)))
		return NULL;
	*at = (va_t){ table };
	/* Not set up yet (a kernel that stopped early). */
	*fault = FAULT_NONE;
	if (!table || !count)
		return g_array_new(FALSE, FALSE, sizeof(struct big_allocation));
	*fault = count > limit(big_pool_entries) ? FAULT_LIMIT : FAULT_IMPLAUSIBLE;
	if (!space_is_kernel(c->space, *at) || count > limit(big_pool_entries) || (table & (2 * w - 1)))
		return NULL;
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct big_allocation));
	per_read = PAGE_SIZE / size;
	for (uint64_t i = 0; i < count && !context_cancelled(c); i += per_read) {
		uint32_t n = (uint32_t)MIN(per_read, count - i);
		if (space_read(c->space, (va_t){ table + i * size }, raw, (size_t)n * size, NULL)) {
			*missing = true;
			continue;
		}
		for (uint32_t k = 0; k < n; k++)
			add(out, l, c->space, raw + k * size, only);
	}
	g_array_sort(out, compare);
	*fault = FAULT_NONE;
	return out;
}
