/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel memory: pool blocks with their headers, objects with theirs, and the small
 * structures everything is made of. */
#include <string.h>
#include "sample.h"

/* The namespaces' types, in the order of their indices; 2 is the first, as on Windows 7 and later. */
static const struct { const char *name, *tag; bool paged; } kinds[OBJECT_KINDS] = {
	[OBJECT_TYPE] = { "Type", "ObjT", false },
	[OBJECT_DIRECTORY] = { "Directory", "Dire", true },
	[OBJECT_SYMBOLIC_LINK] = { "SymbolicLink", "Symb", true },
	[OBJECT_TOKEN] = { "Token", "Toke", true },
	[OBJECT_JOB] = { "Job", "Job ", false },
	[OBJECT_PROCESS] = { "Process", "Proc", false },
	[OBJECT_THREAD] = { "Thread", "Thre", false },
	[OBJECT_EVENT] = { "Event", "Even", false },
	[OBJECT_MUTANT] = { "Mutant", "Muta", false },
	[OBJECT_SEMAPHORE] = { "Semaphore", "Sema", false },
	[OBJECT_SECTION] = { "Section", "Sect", true },
	[OBJECT_FILE] = { "File", "File", false },
	[OBJECT_DEVICE] = { "Device", "Devi", false },
	[OBJECT_DRIVER] = { "Driver", "Driv", false },
	[OBJECT_KEY] = { "Key", "Key ", true },
};

/* ---- fields */

void put_field(struct sample *s, uint64_t root, uint64_t at, struct field field, uint64_t value)
{
	if (!field.size)
		return;
	if (field.bits) {
		uint64_t mask = field.bits < 64 ? (UINT64_C(1) << field.bits) - 1 : UINT64_MAX;
		uint64_t old = memory_get(s->memory, root, at + field.offset, field.size);
		value = (old & ~(mask << field.bit)) | (value & mask) << field.bit;
	}
	memory_put(s->memory, root, at + field.offset, value, field.size);
}

uint64_t get_field(struct sample *s, uint64_t root, uint64_t at, struct field field)
{
	uint64_t value = field.size ? memory_get(s->memory, root, at + field.offset, field.size) : 0;

	return field.bits ? value >> field.bit & (field.bits < 64 ? (UINT64_C(1) << field.bits) - 1 : UINT64_MAX) : value;
}

uint16_t *utf16(const char *text, size_t *bytes)
{
	glong units = 0;
	uint16_t *wide = g_utf8_to_utf16(text, -1, NULL, &units, NULL);

	if (!wide)
		g_error("builder: \"%s\" is no UTF-8", text);
	*bytes = ((size_t)units + 1) * 2;
	return wide;
}

void put_string(struct sample *s, uint64_t at, const char *text)
{
	size_t bytes;
	g_autofree uint16_t *wide = utf16(text, &bytes);
	uint64_t buffer = pool_alloc(s, bytes, "Strg", true);

	memory_write(s->memory, ROOT(s), buffer, wide, bytes);
	SET(s, at, unicode_string.Length, bytes - 2);
	SET(s, at, unicode_string.MaximumLength, bytes);
	SET(s, at, unicode_string.Buffer, buffer);
}

/* ---- lists */

void list_init(struct sample *s, uint64_t root, uint64_t head)
{
	SET_USER(s, root, head, list_entry.Flink, head);
	SET_USER(s, root, head, list_entry.Blink, head);
}

void list_append(struct sample *s, uint64_t root, uint64_t head, uint64_t entry)
{
	uint64_t last = get_field(s, root, head, s->layout->list_entry.Blink);

	SET_USER(s, root, entry, list_entry.Flink, head);
	SET_USER(s, root, entry, list_entry.Blink, last);
	SET_USER(s, root, last, list_entry.Flink, entry);
	SET_USER(s, root, head, list_entry.Blink, entry);
}

void list_remove(struct sample *s, uint64_t root, uint64_t entry)
{
	uint64_t next = get_field(s, root, entry, s->layout->list_entry.Flink);
	uint64_t previous = get_field(s, root, entry, s->layout->list_entry.Blink);

	SET_USER(s, root, previous, list_entry.Flink, next);
	SET_USER(s, root, next, list_entry.Blink, previous);
	list_init(s, root, entry);
}

/* ---- the segment heap */

/*
 * A chunk of variable size begins with _HEAP_VS_CHUNK_HEADER, the same from 17763 to 22000 by the public symbols: what it costs, its
 * size and that of the one before it in 16 bytes, whether it is allocated. The key of the heaps (RtlpHpHeapGlobals.HeapKey) and its
 * own address hide that.
 */
#define CHUNK_HEADER 16u

static void chunk_header(struct sample *s, uint64_t at, unsigned size, unsigned previous, bool allocated)
{
	uint64_t bits = 1 | (uint64_t)size << 16 | (uint64_t)previous << 32 | (uint64_t)allocated << 48;

	memory_put(s->memory, ROOT(s), at, bits ^ at ^ s->heap_key, 8);
	memory_put(s->memory, ROOT(s), at + 8, allocated ? (at >> 12 & 0xff) ^ (s->heap_key & 0xff) : 0, 4);
}

static void segment_heap_init(struct sample *s)
{
	s->segment_heap = item_flag(s->machine, "segment-heap");
	if (!s->segment_heap)
		return;
	if (!s->layout->symbol.RtlpHpHeapGlobals)
		item_fail(s->machine, "segment-heap: this build's symbols tell nothing of it");
	s->heap_key = random_of(s->seed, "heap", 0);
	SET_GLOBAL(s, RtlpHpHeapGlobals, s->heap_key, 8);
	kernel_set(s, s->layout->symbol.RtlpHpHeapGlobals + 8, random_of(s->seed, "heap", 1), 8);
}

/* ---- pool */

/* Where the kernel's kinds of memory lie: fixed until Windows 8.1, drawn at boot since. */
void pool_init(struct sample *s)
{
	if (s->width == 4) {
		s->paged_start = s->build < 6000 ? 0xe1000000u : 0x88000000u + (random_of(s->seed, "paged", 1) % 0x40 << 21);
		s->nonpaged.next = s->build < 6000 ? 0x81b00000u : 0x84800000u + (random_of(s->seed, "nonpaged", 1) % 0x10 << 21);
		s->system_space = s->build < 6000 ? 0xf7000000u : 0x92000000u;
		s->driver_space = s->build < 6000 ? 0xf8000000u : 0x8f000000u;
		if (s->paged_start == s->driver_space)
			s->paged_start -= 2u << 20;
		s->paged.next = s->paged_start;
	} else if (s->build < 9600) {
		s->nonpaged.next = UINT64_C(0xfffffa8001800000);
		s->paged.next = UINT64_C(0xfffff8a000000000);
		s->system_space = UINT64_C(0xfffff88002000000);
		s->driver_space = UINT64_C(0xfffff88000c00000);
	} else if (s->build < 14393) {
		s->nonpaged.next = UINT64_C(0xffffe00000000000);
		s->paged.next = UINT64_C(0xffffc00000000000);
		s->system_space = UINT64_C(0xffffd00000000000);
		s->driver_space = UINT64_C(0xfffff80000a00000);
	} else {
		/* One 512 GiB slot each, none of them the page tables' own. */
		static const char *const labels[] = { "nonpaged", "paged", "system" };
		uint64_t *const to[] = { &s->nonpaged.next, &s->paged.next, &s->system_space };
		for (unsigned i = 0; i < 3; i++) {
			uint64_t slot = 0x110 + 0x28 * i + random_of(s->seed, labels[i], 0) % 0x20;
			if (slot == s->memory->self_map)
				slot++;
			*to[i] = UINT64_C(0xffff000000000000) | slot << 39 | (random_of(s->seed, labels[i], 1) % 0x4000) << 24;
		}
		s->driver_space = (s->kernel_base & ~UINT64_C(0x1fffffff)) + 0x40000000 + (random_of(s->seed, "drivers", 0) % 0x1000 << 16);
	}
	s->paged.paged = true;
	segment_heap_init(s);
}

static void block_header(struct sample *s, uint64_t at, unsigned previous, unsigned size, unsigned type, const char *tag)
{
	uint32_t value;

	memcpy(&value, tag, 4);
	SET(s, at, pool_header.PreviousSize, previous);
	SET(s, at, pool_header.BlockSize, size);
	SET(s, at, pool_header.PoolType, type);
	SET(s, at, pool_header.PoolTag, GUINT32_FROM_LE(value));
}

/* Whole pages, without a header. */
static uint64_t large_block(struct sample *s, struct pool *pool, size_t pages)
{
	uint64_t at;

	if (pool->next & PAGE_MASK) {
		if (s->segment_heap)
			chunk_header(s, pool->next, (PAGE_SIZE - (pool->next & PAGE_MASK)) / 16, pool->previous, false);
		else
			block_header(s, pool->next, pool->previous, (PAGE_SIZE - (pool->next & PAGE_MASK)) / s->layout->pool_header.size_, 0, "Free");
		pool->next = (pool->next | PAGE_MASK) + 1;
	}
	at = pool->next;
	for (size_t i = 0; i < pages; i++)
		memory_map_new(s->memory, ROOT(s), at + i * PAGE_SIZE, PTE_KERNEL_DATA);
	pool->next += pages * PAGE_SIZE;
	return at;
}

uint64_t pool_alloc(struct sample *s, size_t size, const char *tag, bool paged)
{
	struct pool *pool = paged ? &s->paged : &s->nonpaged;
	/* Blocks are multiples of a header's size, 16 bytes or, of 32 bits, 8. */
	unsigned header = s->layout->pool_header.size_, total = (unsigned)(size + 2 * header - 1) & ~(header - 1);
	unsigned used = pool->next & PAGE_MASK, chunk = s->segment_heap ? CHUNK_HEADER : 0;

	if (size > PAGE_SIZE - 2 * header - chunk) {
		struct sample_block block = { large_block(s, pool, (size + PAGE_MASK) / PAGE_SIZE), (size + PAGE_MASK) & ~(size_t)PAGE_MASK, "", paged, false };
		memcpy(block.tag, tag, 4);
		g_array_append_val(s->big, block);
		return block.va;
	}
	if (used && used + total + chunk > PAGE_SIZE) {
		if (chunk)
			chunk_header(s, pool->next, (PAGE_SIZE - used) / 16, pool->previous, false);
		else
			block_header(s, pool->next, pool->previous, (PAGE_SIZE - used) / header, 0, "Free");
		pool->next += PAGE_SIZE - used;
		used = 0;
	}
	if (!used) {
		memory_map_new(s->memory, ROOT(s), pool->next, PTE_KERNEL_DATA);
		pool->previous = 0;
	}
	/* PoolType of a block in use: nonpaged 2, paged 3; one less before Vista. */
	uint64_t at = pool->next + chunk;
	if (chunk)
		chunk_header(s, pool->next, (total + chunk) / 16, pool->previous, true);
	/* The size of the block before it, and the pool's number, mean nothing in a segment heap. */
	block_header(s, at, chunk ? 0 : pool->previous, total / header, (paged ? 3 : 2) - (s->build < 6000), tag);
	pool->previous = (total + chunk) / header;
	pool->next += total + chunk;
	return at + header;
}

void pool_free(struct sample *s, uint64_t block)
{
	uint64_t at = block - s->layout->pool_header.size_;

	/* The segment heap leaves the pool's own header as it was. */
	if (s->segment_heap)
		chunk_header(s, at - CHUNK_HEADER, (unsigned)GET(s, at, pool_header.BlockSize) + 1, 0, false);
	else
		SET(s, at, pool_header.PoolType, 0);
}

void pool_untag(struct sample *s, uint64_t block)
{
	SET(s, block - s->layout->pool_header.size_, pool_header.PoolTag, 0x20202020);
}

uint64_t kernel_pages(struct sample *s, unsigned pages)
{
	uint64_t at = s->system_space + PAGE_SIZE;

	for (unsigned i = 0; i < pages; i++)
		memory_map_new(s->memory, ROOT(s), at + i * PAGE_SIZE, PTE_KERNEL_DATA);
	s->system_space = at + pages * PAGE_SIZE;
	return at;
}

/* ---- objects */

uint64_t sample_object_header(const struct sample *s, uint64_t object)
{
	return object - s->layout->object_header.Body.offset;
}

/*
 * Optional headers lie below the object header, nearest first: creator (1), name (2),
 * handle (4), quota (8).
 */
uint64_t object_alloc(struct sample *s, enum object_kind kind, size_t size, const char *name, uint64_t directory)
{
	bool quota = kind == OBJECT_PROCESS || kind == OBJECT_THREAD || kind == OBJECT_FILE;
	bool creator = kind == OBJECT_TYPE;
	size_t name_size = name ? s->layout->object_header_name_info.size_ : 0;
	size_t quota_size = quota ? s->layout->object_header_quota_info.size_ : 0;
	size_t creator_size = creator ? s->layout->object_header_creator_info.size_ : 0;
	size_t before = quota_size + name_size + creator_size;
	char tag[5];

	memcpy(tag, kinds[kind].tag, 5);
	if (s->build < 9600)	/* the protected bit; gone since Windows 8 */
		tag[3] = (char)(tag[3] | 0x80);
	uint64_t block = pool_alloc(s, before + OFFSET(s, object_header.Body) + size, tag, kinds[kind].paged);
	uint64_t header = block + before, object = header + OFFSET(s, object_header.Body);
	unsigned index = (unsigned)kind + 2;

	if (HAS_FIELD(s, object_header.NameInfoOffset)) {	/* before Windows 7: distances, and the type by its address */
		const uint64_t untyped[2] = { header, kind };
		SET(s, header, object_header.NameInfoOffset, name ? creator_size + name_size : 0);
		SET(s, header, object_header.QuotaInfoOffset, quota ? before : 0);
		SET(s, header, object_header.Flags, creator ? 4 : 0);
		SET(s, header, object_header.Type, s->types[kind]);
		if (!s->types[kind])
			g_array_append_vals(s->untyped, untyped, 1);
	}
	SET(s, header, object_header.PointerCount, s->build < 9600 ? 3 : 0x8001);
	SET(s, header, object_header.HandleCount, 1);
	if (s->layout->symbol.ObHeaderCookie)
		index ^= s->cookie ^ (unsigned)(header >> 8 & 0xff);
	SET(s, header, object_header.TypeIndex, index & 0xff);
	SET(s, header, object_header.InfoMask, (creator ? 1 : 0) | (name ? 2 : 0) | (quota ? 8 : 0));
	if (name) {
		uint64_t info = header - creator_size - name_size;
		SET(s, info, object_header_name_info.Directory, directory);
		put_string(s, info + OFFSET(s, object_header_name_info.Name), name);
		SET(s, info, object_header_name_info.ReferenceCount, 2);
	}
	if (quota)
		SET(s, block, object_header_quota_info.PagedPoolCharge, 0x1000);
	if (creator)
		list_init(s, ROOT(s), header - creator_size + OFFSET(s, object_header_creator_info.TypeList));
	if (directory)
		directory_add(s, directory, object, name);
	if (s->types[kind])
		SET(s, s->types[kind], object_type.TotalNumberOfObjects, GET(s, s->types[kind], object_type.TotalNumberOfObjects) + 1);
	return object;
}

/* The farthest optional header is the quota's, then the name's, then the creator's. */
uint64_t object_block(struct sample *s, uint64_t object)
{
	const struct layout *l = s->layout;
	uint64_t header = sample_object_header(s, object), mask = GET(s, header, object_header.InfoMask);

	if (HAS_FIELD(s, object_header.NameInfoOffset))
		return header - MAX(GET(s, header, object_header.QuotaInfoOffset), GET(s, header, object_header.NameInfoOffset));
	return header - (mask & 1 ? l->object_header_creator_info.size_ : 0) - (mask & 2 ? l->object_header_name_info.size_ : 0) -
	       (mask & 8 ? l->object_header_quota_info.size_ : 0);
}

#define HASH_BUCKETS 37

void directory_add(struct sample *s, uint64_t directory, uint64_t object, const char *name)
{
	uint64_t entry = pool_alloc(s, s->layout->object_directory_entry.size_, "ObDi", true);
	unsigned hash = 0;

	for (const char *p = name; *p; p++)
		hash += (hash << 1) + (hash >> 1) + (unsigned)g_ascii_toupper(*p);
	uint64_t bucket = directory + OFFSET(s, object_directory.HashBuckets) + s->width * (hash % HASH_BUCKETS);
	SET(s, entry, object_directory_entry.ChainLink, memory_get(s->memory, ROOT(s), bucket, s->width));
	SET(s, entry, object_directory_entry.Object, object);
	memory_put(s->memory, ROOT(s), bucket, entry, s->width);
}

uint64_t directory_alloc(struct sample *s, const char *name, uint64_t parent)
{
	return object_alloc(s, OBJECT_DIRECTORY, s->layout->object_directory.size_, name, parent);
}

static void types_init(struct sample *s)
{
	uint64_t table = s->layout->symbol.ObTypeIndexTable, directory = directory_alloc(s, "ObjectTypes", s->root_directory);

	/* Entry 1 is a trap for freed objects. */
	if (table)
		kernel_set(s, table + s->width, s->build < 14393 ? 0xbad0b0b0 : s->system_space, s->width);
	for (unsigned i = 0; i < OBJECT_KINDS; i++) {
		uint64_t type = object_alloc(s, OBJECT_TYPE, s->layout->object_type.size_, kinds[i].name, directory);
		uint32_t key;
		memcpy(&key, kinds[i].tag, 4);
		list_init(s, ROOT(s), type + OFFSET(s, object_type.TypeList));
		put_string(s, type + OFFSET(s, object_type.Name), kinds[i].name);
		SET(s, type, object_type.Index, i + 2);
		SET(s, type, object_type.Key, GUINT32_FROM_LE(key));
		if (HAS_FIELD(s, object_type.CallbackList))
			list_init(s, ROOT(s), type + OFFSET(s, object_type.CallbackList));
		if (table)
			kernel_set(s, table + s->width * (i + 2), type, s->width);
		s->types[i] = type;
	}
	for (guint i = 0; i < s->untyped->len; i++) {
		const uint64_t *untyped = (const uint64_t *)(void *)s->untyped->data + 2 * i;
		SET(s, untyped[0], object_header.Type, s->types[untyped[1]]);
	}
	POINT_GLOBAL(s, PsProcessType, s->types[OBJECT_PROCESS]);
	POINT_GLOBAL(s, PsThreadType, s->types[OBJECT_THREAD]);
}

void objects_init(struct sample *s)
{
	const struct layout *l = s->layout;

	s->cookie = l->symbol.ObHeaderCookie ? (uint8_t)(random_of(s->seed, "cookie", 0) | 1) : 0;
	SET_GLOBAL(s, ObHeaderCookie, s->cookie, 1);
	/* Where an optional header lies below the object header, by the bits up to its own. */
	const uint32_t sizes[] = {
		l->object_header_creator_info.size_, l->object_header_name_info.size_, l->object_header_handle_info.size_,
		l->object_header_quota_info.size_, l->object_header_process_info.size_,
	};
	for (unsigned mask = 0; mask < 32; mask++) {
		uint32_t offset = 0;
		for (unsigned bit = 0; bit < G_N_ELEMENTS(sizes); bit++)
			offset += mask >> bit & 1 ? sizes[bit] : 0;
		kernel_set(s, l->symbol.ObpInfoMaskToOffset ? l->symbol.ObpInfoMaskToOffset + mask : 0, offset, 1);
	}
	s->root_directory = directory_alloc(s, "\\", 0);
	POINT_GLOBAL(s, ObpRootDirectoryObject, s->root_directory);
	types_init(s);
	s->device_directory = directory_alloc(s, "Device", s->root_directory);
	s->driver_directory = directory_alloc(s, "Driver", s->root_directory);
	s->volume = object_alloc(s, OBJECT_DEVICE, l->device_object.size_, "HarddiskVolume3", s->device_directory);
	SET(s, s->volume, device_object.Type, 3);
	SET(s, s->volume, device_object.Size, l->device_object.size_);
	SET(s, s->volume, device_object.DeviceType, 7);	/* FILE_DEVICE_DISK */
}
