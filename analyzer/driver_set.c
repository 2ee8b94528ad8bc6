/* SPDX-License-Identifier: Apache-2.0 */
#include "driver_set.h"
#include <string.h>
#include "big_pool.h"
#include "bytes.h"
#include "image_remains.h"
#include "pe_space.h"
#include "pool.h"
#include "limit.h"

#define PE_OFFSET 0x3cu		/* IMAGE_DOS_HEADER.e_lfanew */
#define PE_SUBSYSTEM 0x5cu	/* IMAGE_OPTIONAL_HEADER.Subsystem, from the signature */
#define NATIVE 1u		/* IMAGE_SUBSYSTEM_NATIVE */

/* The first page of an image that runs without a subsystem: drivers, the kernel, and the session manager. */
static bool native_image(const uint8_t *page, uint64_t pa)
{
	uint32_t at;

	(void)pa;
	if (page[0] != 'M' || page[1] != 'Z')
		return false;
	memcpy(&at, page + PE_OFFSET, sizeof(at));
	return at <= PAGE_SIZE - PE_SUBSYSTEM - 2 && !memcmp(page + at, "PE\0", 4) &&
	       (page[at + PE_SUBSYSTEM] | page[at + PE_SUBSYSTEM + 1] << 8) == NATIVE;
}

static const struct sweep_pattern native_images = { SWEEP_PAGE, "", 0, 0, native_image };

static const struct sweep_pattern debug_records = { SWEEP_SIGNATURE, "RSDS", 0, 0, NULL };

const struct sweep_pattern *const driver_set_sweeps[] = { &pool_driver, &pool_loader_entry, &native_images, &debug_records, NULL };

#define IO_TYPE_DRIVER 4	/* ntddk.h: the first word of a _DRIVER_OBJECT */
#define MAX_IMAGE (UINT64_C(1) << 30)
#define WINDOWS_8 9200u
#define LAYOUT_SLOTS 64u	/* addresses that are looked at to tell whether an image was loaded */
/* Windows has some hundreds: what has more was written by somebody. */
#define MAX_DRIVERS limit32(drivers)

static int compare_found(const void *a, const void *b)
{
	const struct driver_found *x = a, *y = b;

	return (x->va.v > y->va.v) - (x->va.v < y->va.v);
}

static void add_directory(struct context *c, const char *name, const char *table, GArray *out)
{
	bool more;
	va_t directory = object_lookup(c->kernel, c->space, (va_t){ 0 }, name);
	g_autoptr(GArray) list = object_directory_list(c->space, directory, &more);

	if (more)
		context_note(c, FAULT_LIMIT, directory, table, "the object manager's \\%s has more entries than are taken: some are left out", name);
	for (guint i = 0; i < list->len; i++) {
		struct driver_found found = { { g_array_index(list, uint64_t, i) }, { 0 }, true };
		struct object driver = object_at(c->space, found.va.v);
		int16_t type = 0;
		/* Devices live there too. */
		if (!READ(driver, driver_object.Type, &type) && type == IO_TYPE_DRIVER)
			g_array_append_val(out, found);
	}
}

/*
 * Windows makes a driver object and its extension in one piece, and lets the first point to the second. What points elsewhere is a copy
 * of another driver's object: it lies in pool, but the I/O manager never made it.
 */
static bool is_itself(struct context *c, va_t va)
{
	const struct layout *l = c->kernel->layout;
	struct object driver = object_at(c->space, va.v);
	uint64_t extension = 0;

	return READ(driver, driver_object.DriverExtension, &extension) || !extension || !l->driver_object.size_ ||
	       extension == va.v + l->driver_object.size_;
}

GArray *driver_set_find(struct context *c, const char *table)
{
	AUTO(object_types) types = object_types_load(c->kernel, c->space);
	g_autoptr(GArray) objects = pool_objects(c, &pool_driver, types, "Driver", IO_TYPE_DRIVER, 0xffff);
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct driver_found));
	guint kept = 0;

	if (!object_lookup(c->kernel, c->space, (va_t){ 0 }, "Driver").v)
		context_note(c, FAULT_UNMAPPED, kernel_symbol(c->kernel, ObpRootDirectoryObject), table,
			     "the object manager's \\Driver can't be found: drivers come from their pool blocks alone");
	add_directory(c, "Driver", table, out);
	add_directory(c, "FileSystem", table, out);
	for (guint i = 0; i < objects->len; i++) {
		const struct pool_object *o = &g_array_index(objects, struct pool_object, i);
		struct driver_found found = { o->va, o->pa, false };
		if (!o->va.v || o->freed || (!o->typed && types->count) || !is_itself(c, o->va))
			continue;
		if (out->len >= MAX_DRIVERS) {
			context_note(c, FAULT_LIMIT, o->va, table, "more than %" G_GUINT32_FORMAT " driver objects: the rest is left out", MAX_DRIVERS);
			break;
		}
		g_array_append_val(out, found);
	}
	g_array_sort(out, compare_found);
	for (guint i = 0; i < out->len; i++) {	/* one row an object, with all its sources */
		struct driver_found *found = &g_array_index(out, struct driver_found, i);
		struct driver_found *last = kept ? &g_array_index(out, struct driver_found, kept - 1) : NULL;
		if (last && last->va.v == found->va.v) {
			last->in_directory |= found->in_directory;
			last->pa.v = last->pa.v ? last->pa.v : found->pa.v;
		} else {
			g_array_index(out, struct driver_found, kept++) = *found;
		}
	}
	g_array_set_size(out, kept);
	return out;
}

static void loaded_clear(void *data)
{
	struct loaded_driver *d = data;

	g_free(d->name);
	g_free(d->path);
	g_free(d->pdb_name);
	g_free(d->pdb_guid_age);
}

static int compare_loaded(const void *a, const void *b)
{
	const struct loaded_driver *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	if (x->in_pool_scan != y->in_pool_scan)
		return x->in_pool_scan ? -1 : 1;
	if (x->in_driver_objects != y->in_driver_objects)
		return x->in_driver_objects ? -1 : 1;
	return (x->entry.v > y->entry.v) - (x->entry.v < y->entry.v);
}

/* Does an image start there still? Its headers may be gone (discarded or wiped), its first page is not. `sessions`: or NULL. */
static bool image_at(struct context *c, uint64_t base, uint64_t size, struct session_spaces *sessions)
{
	struct page page;

	if (!base || (base & PAGE_MASK) || !size || size > MAX_IMAGE || (size & PAGE_MASK) || !space_is_kernel(c->space, (va_t){ base }))
		return false;
	return !space_page(c->space, (va_t){ base }, &page) || (sessions && session_spaces_find(sessions, (va_t){ base }) != c->space);
}

/* Before Windows 10 its symbols name the structure only by its user-mode twin, whose first fields are the same. */
static void read_entry(struct context *c, va_t at, struct loaded_driver *d)
{
	const struct layout *l = c->kernel->layout;
	bool own = l->kldr_data_table_entry.DllBase.size;
#define ENTRY_FIELD(f) (own ? l->kldr_data_table_entry.f : l->ldr_data_table_entry.f)
	struct object entry = object_at(c->space, at.v);
	struct object name = object_member(&entry, ENTRY_FIELD(BaseDllName)), path = object_member(&entry, ENTRY_FIELD(FullDllName));
	uint64_t size = 0;

	d->entry = at;
	if (object_read(&entry, ENTRY_FIELD(DllBase), &d->base, sizeof(d->base)) ||
	    object_read(&entry, ENTRY_FIELD(SizeOfImage), &size, sizeof(size)) ||
	    object_read(&entry, ENTRY_FIELD(EntryPoint), &d->entry_point, sizeof(d->entry_point)))
		d->base = 0;
#undef ENTRY_FIELD
	d->size = (size + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
	if (read_unicode_string(&name, 1024, &d->name))
		d->name = NULL;
	if (read_unicode_string(&path, 4096, &d->path))
		d->path = NULL;
}

/* Is the code there to run? */
static bool runs(struct context *c, const struct pe *pe)
{
	for (guint i = 0; i < pe->sections->len; i++) {
		const struct pe_section *section = &g_array_index(pe->sections, struct pe_section, i);
		uint32_t pages = MIN(section->virtual_size / PAGE_SIZE + 1, 64u);
		struct page page;
		if (!(section->characteristics & PE_SECTION_EXECUTE))
			continue;
		for (uint32_t n = 0; n < pages; n++)	/* some may be paged out */
			if (!space_page(c->space, (va_t){ pe->base + section->virtual_address + n * PAGE_SIZE }, &page) &&
			    page_resident(&page) && page.executable)
				return true;
	}
	return false;
}

static bool mapped(struct context *c, uint64_t va, struct page *page)
{
	return space_is_kernel(c->space, (va_t){ va }) && !space_page(c->space, (va_t){ va }, page) && page->state != PAGE_ABSENT;
}

/* The large allocation that the address lies in; NULL: none. They are sorted, and don't overlap but for what is left of freed ones. */
static const struct big_allocation *allocation_at(const GArray *big, va_t at)
{
	guint low = 0, high = big->len;

	while (low < high) {
		guint mid = low + (high - low) / 2;
		if (g_array_index(big, struct big_allocation, mid).va.v <= at.v)
			low = mid + 1;
		else
			high = mid;
	}
	for (guint n = 0; low && n < 4; n++) {
		const struct big_allocation *b = &g_array_index(big, struct big_allocation, --low);
		if (!b->freed && at.v - b->va.v < b->size)
			return b;
	}
	return NULL;
}

/*
 * Does it say nothing that a page may be run? Without NX all may; up to Windows 7 all nonpaged pool may, and what drivers made for it allocate
 * later (learn.microsoft.com, "No-Execute (NX) Nonpaged Pool"). `big`: as of big_pool_list, or NULL.
 */
static bool runs_anyway(struct context *c, const GArray *big, va_t at)
{
	return c->space->without_nx || c->kernel->build < WINDOWS_8 || (big && allocation_at(big, at));
}

/* An address of the image's width; false: it can't be read, or is zero. */
static bool read_slot(struct pe *pe, uint64_t rva, uint64_t *value)
{
	*value = 0;
	return rva < UINT32_MAX && !pe_read(pe, (uint32_t)rva, value, pe_slot_size(pe)) && *value;
}

/*
 * Was it loaded, rather than read as a file is? Then import slots hold addresses in the kernel instead of RVAs. Without any that tell, where a file has its
 * sections closer together than memory: then zeros follow the headers on their page, and in the file the first section.
 */
static bool is_loaded(struct context *c, struct pe *pe)
{
	const struct pe_directory *iat = &pe->directories[PE_DIRECTORY_IAT];
	const GArray *imports = iat->rva ? NULL : pe_imports(pe, NULL);
	const guint width = pe_slot_size(pe), slots = iat->rva ? iat->size / width : imports ? imports->len : 0;
	const struct pe_section *first = pe->sections->len ? &g_array_index(pe->sections, struct pe_section, 0) : NULL;
	uint8_t header[PAGE_SIZE];
	unsigned looked = 0, fit = 0;
	struct page page;
	uint64_t value;

	for (guint i = 0; i < MIN(slots, LAYOUT_SLOTS); i++)
		if (read_slot(pe, iat->rva ? iat->rva + (uint64_t)i * width : g_array_index(imports, struct pe_import, i).iat_rva, &value)) {
			looked++;
			fit += mapped(c, value, &page);
		}
	/* Of a file, what stands there leads into the kernel by chance alone; of an image, whoever owns it may have written over some. */
	if (looked)
		return fit * 4 > looked;
	if (!first || first->virtual_address < PAGE_SIZE || first->raw_offset >= PAGE_SIZE || pe_read(pe, 0, header, sizeof(header)))
		return false;
	return pe->size_of_headers < PAGE_SIZE && bytes_are_zero(header + pe->size_of_headers, PAGE_SIZE - pe->size_of_headers);
}

/* Addresses of a hit; of a page that is mapped more often than is looked at that is said, once. */
static unsigned addresses_of(struct context *c, const struct sweep_hit *hit, va_t out[FIXED_frame_addresses], bool *cut, const char *table)
{
	va_t at[FIXED_frame_addresses + 1];
	unsigned n = sweep_addresses(c->sweep, hit->pa, at, G_N_ELEMENTS(at));

	if (n > FIXED_frame_addresses && !*cut)
		context_note(c, FAULT_LIMIT, at[n - 1], table, "a page with an image's header or debug record has more addresses than are looked at: the rest is left out "
			     "(frame_addresses)");
	*cut |= n > FIXED_frame_addresses;
	n = MIN(n, FIXED_frame_addresses);
	memcpy(out, at, n * sizeof(*at));
	return n;
}

/* Images by their headers, wherever the kernel maps these. */
static void add_headers(struct context *c, GArray *out, const char *table)
{
	const GArray *hits = sweep_hits(c->sweep, &native_images);
	enum fault fault;
	va_t big_at;
	bool missing, cut = false;
	g_autoptr(GArray) big = big_pool_list(c, NULL, &fault, &big_at, &missing);

	for (guint i = 0; i < hits->len && out->len < MAX_DRIVERS && !context_cancelled(c); i++) {
		va_t at[FIXED_frame_addresses];
		unsigned n = addresses_of(c, &g_array_index(hits, struct sweep_hit, i), at, &cut, table);
		for (unsigned k = 0; k < n; k++) {
			struct pe_space where = { c->space, at[k] };
			AUTO_PE pe = pe_space_open(&where, 0);
			struct loaded_driver d = { .base = at[k].v, .size = pe->size_of_image, .in_image_scan = true };
			d.size = (d.size + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
			if (!pe->has_section_table || !image_at(c, d.base, d.size, NULL) || !runs(c, pe))
				continue;
			d.maybe_file = runs_anyway(c, big, at[k]) && !is_loaded(c, pe);
			d.entry_point = pe->entry_point ? d.base + pe->entry_point : 0;
			d.name = g_strdup(pe_export_dll(pe));
			g_array_append_val(out, d);
		}
	}
}

GArray *driver_set_images(struct context *c, struct session_spaces *sessions, const char *table)
{
	GArray *out = g_array_new(FALSE, TRUE, sizeof(struct loaded_driver));
	g_autoptr(GArray) entries = pool_blocks(c, &pool_loader_entry), drivers = driver_set_find(c, table);

	g_array_set_clear_func(out, loaded_clear);
	for (guint i = 0; i < entries->len && out->len < MAX_DRIVERS; i++) {
		const struct pool_object *o = &g_array_index(entries, struct pool_object, i);
		struct loaded_driver d = { .in_pool_scan = true };
		if (!o->va.v || o->freed)
			continue;
		read_entry(c, o->va, &d);
		if (!d.name || !*d.name || !image_at(c, d.base, d.size, sessions)) {
			loaded_clear(&d);
			continue;
		}
		g_array_append_val(out, d);
	}
	for (guint i = 0; i < drivers->len && out->len < MAX_DRIVERS; i++) {
		struct object driver = object_at(c->space, g_array_index(drivers, struct driver_found, i).va.v);
		struct object name = MEMBER(driver, driver_object.DriverName);
		struct loaded_driver d = { .driver_object = driver.va, .in_driver_objects = true };
		uint32_t size = 0;
		if (READ(driver, driver_object.DriverStart, &d.base) || READ(driver, driver_object.DriverSize, &size))
			continue;
		d.size = ((uint64_t)size + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
		if (!image_at(c, d.base, d.size, sessions))
			continue;
		if (READ(driver, driver_object.DriverInit, &d.entry_point))
			d.entry_point = 0;
		if (read_unicode_string(&name, 1024, &d.name))
			d.name = NULL;
		g_array_append_val(out, d);
	}
	add_headers(c, out, table);
	if (out->len >= MAX_DRIVERS)
		context_note(c, FAULT_LIMIT, (va_t){ 0 }, table, "more than %u traces of drivers: the rest is left out", MAX_DRIVERS);
	g_array_sort(out, compare_loaded);
	return out;
}

/* ---- debug records */

/* IMAGE_DEBUG_TYPE_CODEVIEW's record: "RSDS", GUID, age, name of the PDB. */
enum { RECORD_GUID = 4, RECORD_AGE = 20, RECORD_NAME = 24, RECORD_NAME_MAX = 260 };

/* A record as linkers write it; false: these four letters are of something else. */
static bool read_record(struct context *c, va_t at, struct loaded_driver *d)
{
	uint8_t raw[RECORD_NAME + RECORD_NAME_MAX + 1] = { 0 };
	size_t room = sizeof(raw) - 1;
	struct bytes b = { raw, RECORD_NAME, false };
	const char *name = (const char *)raw + RECORD_NAME;

	/* It may end with the last page that is there. */
	if (space_read(c->space, at, raw, room, NULL) &&
	    space_read(c->space, at, raw, room = MIN(room, PAGE_SIZE - (at.v & PAGE_MASK)), NULL))
		return false;
	size_t length = room > RECORD_NAME ? strnlen(name, room - RECORD_NAME) : 0;
	if (length < 5 || length == room - RECORD_NAME || g_ascii_strcasecmp(name + length - 4, ".pdb") || !g_utf8_validate(name, (gssize)length, NULL))
		return false;
	for (size_t i = 0; i < length; i++)
		if ((uint8_t)name[i] < ' ')
			return false;
	uint64_t age = bytes_at(&b, RECORD_AGE, 4);
	if (!age || age > UINT16_MAX || !(bytes_at(&b, RECORD_GUID, 8) | bytes_at(&b, RECORD_GUID + 8, 8)))
		return false;
	d->pdb_name = g_strdup(name);
	d->pdb_guid_age = g_strdup_printf("%08X%04X%04X%02X%02X%02X%02X%02X%02X%02X%02X%X", (unsigned)bytes_at(&b, 4, 4), (unsigned)bytes_at(&b, 8, 2),
					  (unsigned)bytes_at(&b, 10, 2), raw[12], raw[13], raw[14], raw[15], raw[16], raw[17], raw[18], raw[19], (unsigned)age);
	return true;
}

/* What is mapped around the record without a gap. False: none of it runs. */
static bool find_run(struct context *c, va_t at, const GArray *big, struct loaded_driver *d)
{
	uint64_t first = at.v & ~(uint64_t)PAGE_MASK, end = first + PAGE_SIZE, low = 0, high = UINT64_MAX;
	bool executable = false, constant = false;
	struct page page;

	const struct big_allocation *b = big ? allocation_at(big, at) : NULL;
	if (b) {
		low = b->va.v;
		high = (b->va.v + b->size + PAGE_MASK) & ~(uint64_t)PAGE_MASK;
	}
	for (uint64_t n = 0; n < limit(driver_run) && first > low && mapped(c, first - PAGE_SIZE, &page); n++)
		first -= PAGE_SIZE;
	for (uint64_t n = 0; n < limit(driver_run) && end < high && mapped(c, end, &page); n++)
		end += PAGE_SIZE;
	for (uint64_t va = first; va < end && !executable; va += PAGE_SIZE)
		executable = mapped(c, va, &page) && page_resident(&page) && page.executable;
	if (!executable || end - first > MAX_IMAGE)
		return false;
	d->base = first;
	d->size = end - first;
	/* Data that is read by chance beside code (a file in pool that can be run, as Windows 7's) has no constant pages. */
	constant = mapped(c, at.v, &page) && !page.writable;
	if (!constant) {
		struct image_remains remains;
		constant = image_remains_find(c->space, first, (uint32_t)(end - first), &remains);
		image_remains_clear(&remains);
	}
	return constant;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct driver_range *x = a, *y = b;

	return (x->base > y->base) - (x->base < y->base);
}

/* All that is accounted for, sorted and without overlaps. */
static GArray *merge_ranges(const GArray *known, const GArray *images)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(struct driver_range));
	guint kept = 0;

	g_array_append_vals(out, known->data, known->len);
	for (guint i = 0; i < images->len; i++) {
		const struct loaded_driver *d = &g_array_index(images, struct loaded_driver, i);
		struct driver_range range = { d->base, d->size };
		g_array_append_val(out, range);
	}
	g_array_sort(out, compare_ranges);
	for (guint i = 0; i < out->len; i++) {
		struct driver_range range = g_array_index(out, struct driver_range, i);
		struct driver_range *last = kept ? &g_array_index(out, struct driver_range, kept - 1) : NULL;
		range.size = MIN(range.size, UINT64_MAX - range.base);
		if (last && range.base - last->base <= last->size)
			last->size = MAX(last->size, range.base + range.size - last->base);
		else
			g_array_index(out, struct driver_range, kept++) = range;
	}
	g_array_set_size(out, kept);
	return out;
}

/* Of a range and an address: 0 where the one holds the other. */
static int compare_within(const void *element, const void *address)
{
	const struct driver_range *range = element;
	uint64_t va = *(const uint64_t *)address;

	return va < range->base ? 1 : va - range->base >= range->size ? -1 : 0;
}

static bool accounted_for(uint64_t va, GArray *ranges)
{
	return g_array_binary_search(ranges, &va, compare_within, NULL);
}

void driver_set_records(struct context *c, const GArray *known, GArray *images, const char *table)
{
	const GArray *hits = sweep_hits(c->sweep, &debug_records);
	enum fault fault;
	va_t at[FIXED_frame_addresses], big_at;
	bool missing, cut = false;
	g_autoptr(GArray) big = big_pool_list(c, NULL, &fault, &big_at, &missing), ranges = merge_ranges(known, images);
	const guint before = images->len;
	uint64_t looked = 0;

	for (guint i = 0; i < hits->len && images->len < MAX_DRIVERS && looked < limit(driver_records) && !context_cancelled(c); i++) {
		unsigned n = addresses_of(c, &g_array_index(hits, struct sweep_hit, i), at, &cut, table);
		for (unsigned k = 0; k < n; k++) {
			struct loaded_driver d = { .in_debug_scan = true };
			bool again = accounted_for(at[k].v, ranges) || !read_record(c, at[k], &d);
			if (again)
				continue;
			looked++;
			for (guint f = before; f < images->len && !again; f++)	/* of one that was found just now */
				again = at[k].v - g_array_index(images, struct loaded_driver, f).base < g_array_index(images, struct loaded_driver, f).size;
			if (!again && find_run(c, at[k], big, &d) && !accounted_for(d.base, ranges))
				g_array_append_val(images, d);
			else
				loaded_clear(&d);
		}
	}
	if (looked >= limit(driver_records))
		context_note(c, FAULT_LIMIT, (va_t){ 0 }, table, "more than %" G_GUINT64_FORMAT " debug records that belong to no known driver: the rest is left out",
			     limit(driver_records));
	g_array_sort(images, compare_loaded);
}
