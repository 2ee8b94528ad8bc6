/* SPDX-License-Identifier: Apache-2.0 */
/* The pass over physical memory: what it finds, what it leaves, where the kernel maps it; and the objects in what it found. */
#include <check.h>
#include <stdlib.h>
#include "hash.h"
#include "mapped_memory.h"
#include "page_frames.h"
#include "pool.h"
#include "segment_heap.h"
#include "sweep.h"

#define BASE UINT64_C(0xffffc00000000000)

static const struct sweep_pattern small = { SWEEP_POOL, "Abcd", 0x40, 0x100, NULL };
static const struct sweep_pattern any = { SWEEP_POOL, "Abcd", 0, 0, NULL };
static const struct sweep_pattern other = { SWEEP_POOL, "Wxyz", 0, 0, NULL };

static bool starts_with_mz(const uint8_t *page, uint64_t pa)
{
	(void)pa;
	return page[0] == 'M' && page[1] == 'Z';
}

static const struct sweep_pattern headers = { SWEEP_PAGE, "", 0, 0, starts_with_mz };
static const struct sweep_pattern *const patterns[] = { &small, &any, &other, &headers, NULL };

static struct mapped_memory m;

/* A pool header as Windows 8.1 and later lay it out. */
static void put_header(uint64_t pa, const char *tag, unsigned size, unsigned type)
{
	memory_put(&m, pa + 2, size / 16 | type << 8, 2);
	memcpy(m.bytes + pa + 4, tag, 4);
}

static const struct sweep_hit *hit(const GArray *hits, guint i)
{
	return &g_array_index(hits, struct sweep_hit, i);
}

START_TEST(finds_blocks)
{
	memory_init(&m, 19041);
	put_header(0x100010, "Abcd", 0x40, 2);
	put_header(0x100ff0, "Abcd", 0x200, 2);		/* at a page's end */
	put_header(0x180000, "Abc\xe4", 0x80, 2);	/* protected */
	put_header(0x17fff0, "Abcd", 0x30, 0);		/* free, and too small for one of the two */
	put_header(0x190008, "Abcd", 0x40, 2);		/* no header starts there */
	put_header(0x1a0000, "Abcd", 0, 2);		/* no block is that small */
	memcpy(m.bytes + 0x1b0000, "MZ", 2);
	memcpy(m.bytes + 0x1c0010, "MZ", 2);
	memory_open(&m);
	for (int threads = 1; threads <= 3; threads++) {
		AUTO(sweep) s = sweep_run(m.image, m.layout, patterns, threads, NULL, NULL);
		const GArray *all = sweep_hits(s, &any), *some = sweep_hits(s, &small);
		ck_assert_uint_eq(all->len, 4);
		ck_assert_uint_eq(hit(all, 0)->pa.v, 0x100010);
		ck_assert_uint_eq(hit(all, 1)->pa.v, 0x100ff0);
		ck_assert_uint_eq(hit(all, 1)->size, 0x200);
		ck_assert(!hit(all, 1)->freed);
		ck_assert_uint_eq(hit(all, 2)->pa.v, 0x17fff0);
		ck_assert(hit(all, 2)->freed);
		ck_assert_uint_eq(hit(all, 3)->pa.v, 0x180000);
		ck_assert_uint_eq(some->len, 2);
		ck_assert_uint_eq(hit(some, 0)->pa.v, 0x100010);
		ck_assert_uint_eq(hit(some, 1)->pa.v, 0x180000);
		ck_assert_uint_eq(sweep_hits(s, &other)->len, 0);
		ck_assert_uint_eq(sweep_hits(s, &headers)->len, 1);
		ck_assert_uint_eq(hit(sweep_hits(s, &headers), 0)->pa.v, 0x1b0000);
		ck_assert_uint_eq(sweep_total(s), 7);
		ck_assert(!sweep_cut_short(s));
	}
	memory_clear(&m);
}
END_TEST

START_TEST(finds_signatures_and_roots)
{
	static const struct sweep_pattern records = { SWEEP_SIGNATURE, "RSDS", 0, 0, NULL };
	static const struct sweep_pattern *const some[] = { &records, &page_roots, NULL };

	memory_init(&m, 19041);
	memcpy(m.bytes + 0x100ffc, "RSDS", 4);		/* at a page's end */
	memcpy(m.bytes + 0x100024, "RSDS", 4);
	memcpy(m.bytes + 0x100042, "RSDS", 4);		/* at no multiple of four */
	memory_put(&m, 0x120000 + 8 * 0x1ed, 0x120063, 8);
	memory_put(&m, 0x130000 + 8 * 0x1f0, 0x130062, 8);	/* not valid */
	memory_put(&m, 0x140000 + 8 * 0x0f0, 0x140063, 8);	/* in the half that programs have */
	memory_put(&m, 0x150000 + 8 * 511, UINT64_C(0x8000000000150863), 8);
	memory_open(&m);
	AUTO(sweep) s = sweep_run(m.image, m.layout, some, 2, NULL, NULL);
	const GArray *found = sweep_hits(s, &records), *roots = sweep_hits(s, &page_roots);
	ck_assert_uint_eq(found->len, 2);
	ck_assert_uint_eq(hit(found, 0)->pa.v, 0x100024);
	ck_assert_uint_eq(hit(found, 1)->pa.v, 0x100ffc);
	ck_assert_uint_eq(roots->len, 2);
	ck_assert_uint_eq(hit(roots, 0)->pa.v, 0x120000);
	ck_assert_uint_eq(hit(roots, 1)->pa.v, 0x150000);
	memory_clear(&m);
}
END_TEST

/* Memory that is nothing but headers: the first hits are kept, the same for any number of threads. */
START_TEST(too_many)
{
	static const struct sweep_pattern *const one[] = { &any, NULL };
	unsigned copies = (SWEEP_MAX_HITS + 1000) / (MEMORY_PAGES * PAGE_SIZE / 16) + 1;
	struct mapped_memory big;

	memory_init(&big, 19041);
	big.bytes = g_realloc(big.bytes, (gsize)copies * MEMORY_PAGES * PAGE_SIZE);
	for (gsize at = 0; at < (gsize)copies * MEMORY_PAGES * PAGE_SIZE; at += 16) {
		memset(big.bytes + at, 0, 16);
		memcpy(big.bytes + at + 2, "\x04\x02" "Abcd", 6);
	}
	memory_open_all(&big, (gsize)copies * MEMORY_PAGES * PAGE_SIZE);
	for (int threads = 1; threads <= 3; threads += 2) {
		AUTO(sweep) s = sweep_run(big.image, big.layout, one, threads, NULL, NULL);
		const GArray *hits = sweep_hits(s, &any);
		ck_assert_uint_eq(hits->len, SWEEP_MAX_HITS);
		ck_assert_uint_eq(hit(hits, hits->len - 1)->pa.v, (SWEEP_MAX_HITS - 1) * UINT64_C(16));
		ck_assert(sweep_cut_short(s));
	}
	memory_clear(&big);
}
END_TEST

START_TEST(without_a_layout)
{
	memory_init(&m, 19041);
	put_header(0x100010, "Abcd", 0x40, 2);
	memcpy(m.bytes + 0x1b0000, "MZ", 2);
	memory_open(&m);
	AUTO(sweep) s = sweep_run(m.image, NULL, patterns, 1, NULL, NULL);
	ck_assert_uint_eq(sweep_hits(s, &any)->len, 0);
	ck_assert_uint_eq(sweep_hits(s, &headers)->len, 1);
	memory_clear(&m);
}
END_TEST

START_TEST(stops_when_told)
{
	volatile int stop = 1;

	memory_init(&m, 19041);
	put_header(0x100010, "Abcd", 0x40, 2);
	memory_open(&m);
	AUTO(sweep) s = sweep_run(m.image, m.layout, patterns, 2, NULL, &stop);
	ck_assert_uint_eq(sweep_total(s), 0);
	memory_clear(&m);
}
END_TEST

/* The sweep waits for the hash and the hash for nobody: the result is the same, and both end. */
START_TEST(keeps_pace_with_the_hash)
{
	volatile int stop = 1;

	memory_init(&m, 19041);
	put_header(0x100010, "Abcd", 0x40, 2);
	memory_open(&m);
	struct hasher *hasher = hasher_start(m.image->container);
	hasher_wait(hasher, m.image->container->size, PAGE_SIZE, NULL);
	AUTO(sweep) s = sweep_run(m.image, m.layout, patterns, 2, hasher, NULL);
	ck_assert_uint_eq(sweep_hits(s, &any)->len, 1);
	hasher_wait(hasher, UINT64_MAX, 1, &stop);	/* a place that is never reached */
	g_autofree char *sha256 = hasher_finish(hasher);
	g_autofree char *whole = g_compute_checksum_for_data(G_CHECKSUM_SHA256, m.image->container->map, m.image->container->size);
	ck_assert_str_eq(sha256, whole);
	memory_clear(&m);
}
END_TEST

START_TEST(maps_frames)
{
	va_t va[4];

	memory_init(&m, 19041);
	put_header(0x100010, "Abcd", 0x40, 2);
	put_header(0x180020, "Abcd", 0x40, 2);
	put_header(0x1f0000, "Abcd", 0x40, 2);
	memory_map(&m, BASE + 0x5000, 0x100000);
	memory_map(&m, BASE + UINT64_C(0x40005000), 0x100000);		/* once more */
	memory_map(&m, 0x7ff600000000, 0x1f0000);			/* a process's, not the kernel's */
	memory_put(&m, memory_entry(&m, BASE + UINT64_C(0x80000000), 21), 0x0 | 0x83, 8);	/* a large page over the first 2 MiB */
	memory_open(&m);
	AUTO(sweep) s = sweep_run(m.image, m.layout, patterns, 1, NULL, NULL);
	ck_assert_uint_eq(sweep_addresses(s, (pa_t){ 0x100010 }, va, 4), 0);	/* nobody asked yet */
	ck_assert(sweep_map(s, m.space, NULL));
	ck_assert_uint_eq(sweep_addresses(s, (pa_t){ 0x100010 }, va, 4), 3);
	ck_assert_uint_eq(va[0].v, BASE + 0x5010);
	ck_assert_uint_eq(va[1].v, BASE + UINT64_C(0x40005010));
	ck_assert_uint_eq(va[2].v, BASE + UINT64_C(0x80100010));
	ck_assert_uint_eq(sweep_addresses(s, (pa_t){ 0x100010 }, va, 1), 1);
	ck_assert_uint_eq(sweep_addresses(s, (pa_t){ 0x180020 }, va, 4), 1);
	ck_assert_uint_eq(va[0].v, BASE + UINT64_C(0x80180020));
	ck_assert_uint_eq(sweep_addresses(s, (pa_t){ 0x1f0000 }, va, 4), 1);
	ck_assert_uint_eq(sweep_addresses(s, (pa_t){ 0x101000 }, va, 4), 0);
	memory_clear(&m);
}
END_TEST

/* Page tables whose every entry leads to themselves have no end. */
START_TEST(endless_tables)
{
	memory_init(&m, 19041);
	put_header(0x100010, "Abcd", 0x40, 2);
	for (unsigned i = 256; i < 512; i++)
		memory_put(&m, m.dtb + 8 * i, m.dtb | 3, 8);
	memory_open(&m);
	AUTO(sweep) s = sweep_run(m.image, m.layout, patterns, 1, NULL, NULL);
	ck_assert(!sweep_map(s, m.space, NULL));
	memory_clear(&m);
}
END_TEST

/* ---- objects */

#define PROCESS_TYPE 7
#define COOKIE 0x5a

/* A process object in a block at pa, with a quota header before its own. va 0: none maps it. Its body's offset. */
static uint64_t put_process(uint64_t pa, uint64_t va, unsigned pool_type, uint64_t pid, const char *name, uint64_t exit_time)
{
	const struct layout *l = m.layout;
	uint64_t header = l->pool_header.size_ + l->object_header_quota_info.size_, body = header + l->object_header.Body.offset;
	uint64_t list = l->eprocess.ThreadListHead.offset;

	put_header(pa, "Proc", 0xb00, pool_type);
	memory_put(&m, pa + header + l->object_header.PointerCount.offset, strcmp(name, "released.exe") != 0, 8);
	memory_put(&m, pa + header + l->object_header.InfoMask.offset, 8, 1);
	memory_put(&m, pa + header + l->object_header.TypeIndex.offset, (PROCESS_TYPE ^ COOKIE ^ (va + header) >> 8) & 0xff, 1);
	pa += body;
	memory_put(&m, pa, 3, 1);	/* ProcessObject */
	memory_put(&m, pa + l->kprocess.DirectoryTableBase.offset, 0x1000, 8);
	memory_put(&m, pa + l->eprocess.UniqueProcessId.offset, pid, 8);
	memory_put(&m, pa + l->eprocess.CreateTime.offset, UINT64_C(133511515429337618), 8);
	memory_put(&m, pa + l->eprocess.ExitTime.offset, exit_time, 8);
	memory_put(&m, pa + list, va + body + list, 8);
	memory_put(&m, pa + list + 8, va + body + list, 8);
	memcpy(m.bytes + pa + l->eprocess.ImageFileName.offset, name, strlen(name));
	return body;
}

START_TEST(processes)
{
	static const struct sweep_pattern *const sweeps[] = { &pool_process, NULL };
	const uint64_t ended = UINT64_C(133511516629337618);

	memory_init(&m, 19041);
	uint64_t body = put_process(0x100000, BASE, 2, 4, "System", 0);
	put_process(0x101000, BASE + 0x1000, 2, 1234 * 4, "gone.exe", ended);
	put_process(0x102000, BASE + 0x2000, 0, 8, "freed.exe", ended);
	put_process(0x103000, 0, 2, 12, "unmapped.exe", ended);
	put_process(0x104000, BASE, 2, 16, "moved.exe", 0);		/* its links are of another place */
	put_process(0x105000, BASE + 0x5000, 2, 17, "odd.exe", 0);	/* no id is odd */
	put_process(0x106000, BASE + 0x6000, 2, 20, "\x01\x02", 0);
	put_process(0x107000, BASE + 0x7000, 2, 24, "released.exe", ended);	/* nobody refers to it */
	for (unsigned i = 0; i < 8; i++)
		if (i != 3)
			memory_map(&m, BASE + i * PAGE_SIZE, 0x100000 + i * PAGE_SIZE);
	/* The table of types: this one has a name. */
	uint64_t types = memory_map_new(&m, BASE + 0x10000), type = memory_map_new(&m, BASE + 0x11000);
	for (unsigned i = 2; i <= PROCESS_TYPE; i++)
		memory_put(&m, types + 8 * i, BASE + 0x11000 + (i == PROCESS_TYPE ? 0 : 0x400), 8);
	memory_put(&m, type + m.layout->object_type.Index.offset, PROCESS_TYPE, 1);
	memory_put(&m, type + m.layout->object_type.Name.offset, 14 | 16 << 16, 4);
	memory_put(&m, type + m.layout->object_type.Name.offset + m.layout->unicode_string.Buffer.offset, BASE + 0x11800, 8);
	for (unsigned i = 0; i < 7; i++)
		memory_put(&m, type + 0x800 + 2 * i, (uint64_t)"Process"[i], 2);
	memory_put(&m, types + 0x900, COOKIE, 1);
	m.layout->symbol.ObTypeIndexTable = 0x10000;
	m.layout->symbol.ObHeaderCookie = 0x10900;
	memory_open(&m);

	struct kernel kernel = { .image = m.image, .layout = m.layout, .base = { BASE }, .object_header_cookie = COOKIE };
	AUTO(sweep) s = sweep_run(m.image, m.layout, sweeps, 1, NULL, NULL);
	ck_assert(sweep_map(s, m.space, NULL));
	struct context c = { .image = m.image, .kernel = &kernel, .space = m.space, .sweep = s };
	g_autoptr(GArray) found = process_candidates(&c);
	static const struct { uint64_t pid; enum pool_state state; unsigned page; bool mapped; } expected[] = {
		{ 12, POOL_REMNANT, 3, false }, { 4, POOL_LIVE, 0, true }, { 1234 * 4, POOL_EXITED, 1, true }, { 8, POOL_REMNANT, 2, true },
		{ 16, POOL_REMNANT, 4, true }, { 24, POOL_REMNANT, 7, true },
	};
	ck_assert_uint_eq(found->len, G_N_ELEMENTS(expected));
	for (guint i = 0; i < found->len; i++) {
		const struct process_candidate *p = &g_array_index(found, struct process_candidate, i);
		ck_assert_uint_eq(p->pid, expected[i].pid);
		ck_assert_int_eq(p->state, expected[i].state);
		ck_assert_uint_eq(p->object.pa.v, 0x100000 + expected[i].page * PAGE_SIZE + body);
		ck_assert_uint_eq(p->object.va.v, expected[i].mapped ? BASE + expected[i].page * PAGE_SIZE + body : 0);
	}
	ck_assert_ptr_nonnull(process_candidate_at(found, (va_t){ BASE + body }));
	ck_assert_ptr_null(process_candidate_at(found, (va_t){ BASE + 0x2000 + body }));
	memory_clear(&m);
}
END_TEST

#define HEAP_KEY UINT64_C(0x1234567890abcdef)
#define LFH_KEY UINT64_C(0xfedcba0987654321)
#define SEGMENT (BASE + 0x100000)

/* Blocks of the segment heap: chunks of variable size, and those of a bucket, by its bitmap. */
START_TEST(segment_heap)
{
	struct segment_heap heap;

	memory_init(&m, 19041);
	uint64_t globals = memory_map_new(&m, BASE), chunks = memory_map_new(&m, BASE + 0x1000);
	memory_put(&m, globals + 0x40, HEAP_KEY, 8);
	memory_put(&m, globals + 0x48, LFH_KEY, 8);
	m.layout->symbol.RtlpHpHeapGlobals = 0x40;
	/* Sizes: 0x200 bytes with both headers, in use; as many, given back; one that is none. */
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = BASE + 0x1000 + 0x200 * i, bits = UINT64_C(0x20) << 16 | (uint64_t)(i == 0) << 48 | (uint64_t)(i == 2) << 60;
		memory_put(&m, chunks + 0x200 * i, bits ^ at ^ HEAP_KEY, 8);
	}
	/* A segment whose pages 4 and 5 are a bucket of blocks of 0x60 bytes from 0x80 on; of its blocks 0 and 40 are in use. */
	uint64_t segment = memory_map_new(&m, SEGMENT), subsegment = memory_map_new(&m, SEGMENT + 0x4000);
	memory_put(&m, segment + 0x10, SEGMENT ^ (BASE + 0x500) ^ HEAP_KEY ^ UINT64_C(0xa2e64eada2e64ead), 8);
	memory_put(&m, segment + 4 * 0x20 + 0x18, 0xf, 1);
	memory_put(&m, segment + 5 * 0x20 + 0x18, 0x7, 1);
	memory_put(&m, segment + 5 * 0x20 + 0x1f, 1, 1);
	memory_put(&m, subsegment + 0x22, 80, 2);
	memory_put(&m, subsegment + 0x28, (uint32_t)(0x60 | 0x80 << 16) ^ (uint32_t)LFH_KEY ^ (uint32_t)((SEGMENT + 0x4000) >> 12), 4);
	memory_put(&m, subsegment + 0x30, 1, 8);
	memory_put(&m, subsegment + 0x38, UINT64_C(1) << (80 - 64), 8);
	memory_open(&m);
	struct kernel kernel = { .image = m.image, .layout = m.layout, .base = { BASE } };
	segment_heap_init(&heap, &kernel, m.space);
	ck_assert(heap.known);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ BASE + 0x1010 }, 0x1f0), BLOCK_USED);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ BASE + 0x1210 }, 0x1f0), BLOCK_FREE);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ BASE + 0x1410 }, 0x1f0), BLOCK_UNKNOWN);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ BASE + 0x1010 }, 0x100), BLOCK_UNKNOWN);	/* the chunk is larger */
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x4080 }, 0x60), BLOCK_USED);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x40e0 }, 0x50), BLOCK_FREE);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x4080 + 40 * 0x60 }, 0x60), BLOCK_USED);	/* counted from the page before */
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x4080 + 41 * 0x60 }, 0x60), BLOCK_FREE);
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x4090 }, 0x60), BLOCK_UNKNOWN);		/* no block begins there */
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x4080 }, 0x70), BLOCK_UNKNOWN);	/* larger than the bucket's */
	ck_assert_int_eq(segment_heap_state(&heap, m.space, (va_t){ SEGMENT + 0x5000 + 0x80 + 0x1000 }, 0x60), BLOCK_UNKNOWN);
	memory_clear(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sweep");
	TCase *tests = tcase_create("sweep");

	tcase_add_test(tests, finds_blocks);
	tcase_add_test(tests, finds_signatures_and_roots);
	tcase_add_test(tests, segment_heap);
	tcase_add_test(tests, too_many);
	tcase_add_test(tests, without_a_layout);
	tcase_add_test(tests, stops_when_told);
	tcase_add_test(tests, keeps_pace_with_the_hash);
	tcase_add_test(tests, maps_frames);
	tcase_add_test(tests, endless_tables);
	tcase_add_test(tests, processes);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
