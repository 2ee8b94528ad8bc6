/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMware: a .vmem is guest memory region after region; the .vmss (suspend) or .vmsn
 * (snapshot) beside it says where each region lies. Older snapshots hold the memory themselves.
 *
 * The state file is a list of named groups; a group is a list of tags (flags, length
 * of the name, name, up to three indices, data). Facts of the layout: Volatility's
 * vmware layer, LeechCore.
 */
#include <errno.h>
#include <string.h>
#include "format.h"
#include "limit.h"

#define GROUP_SIZE 80
#define MAX_GROUPS limit32(vmware_groups)
#define MAX_REGIONS FIXED_vmware_regions
#define MAX_TAGS limit32(vmware_tags)
#define MAX_CPUS FIXED_vmware_processors
#define HOLE (G_GUINT64_CONSTANT(3) << 30)	/* where memory below 4 GiB ends, as VMware lays it out */
#define ABOVE_HOLE (G_GUINT64_CONSTANT(4) << 30)
#define PAGE_ADDRESS G_GUINT64_CONSTANT(0x0000fffffffff000)

struct region { uint64_t page, file_page, pages; unsigned have; };

struct vmware {
	struct region regions[MAX_REGIONS];
	uint32_t count;			/* regionsCount */
	bool has_count;
	bool cut;			/* a group has more tags than were read */
	uint64_t memory, memory_size;	/* an inline "Memory" tag's data */
	bool compressed;
	uint64_t cr3[MAX_CPUS];
	unsigned cpus;
};

struct tag {
	const uint8_t *name;
	unsigned name_length, indices;
	uint32_t index[3];
	uint64_t value;			/* of data up to 8 bytes */
	uint64_t data, length;		/* where larger data stands in the file */
	bool compressed;
};

static bool is_state(const struct file *file)
{
	static const uint32_t magics[] = { 0xbed2bed0, 0xbad1bad1, 0xbed2bed2, 0xbed3bed3 };
	struct bytes b = file_slice(file, 0, 12);
	uint32_t magic = bytes_u32(&b);

	for (size_t i = 0; !b.bad && i < G_N_ELEMENTS(magics); i++)
		if (magic == magics[i])
			return true;
	return false;
}

/* The path without what a packer appended, if it ends in `suffix`. */
static char *stem(const struct image *image, const char *suffix)
{
	static const char *const packers[] = { ".gz", ".xz", ".zst", ".bz2", ".lz4", ".zip" };
	g_autofree char *path = g_strdup(image->container->path);

	if (image->container != image->file)
		for (size_t i = 0; i < G_N_ELEMENTS(packers); i++)
			if (g_str_has_suffix(path, packers[i])) {
				path[strlen(path) - strlen(packers[i])] = 0;
				break;
			}
	size_t n = strlen(path), m = strlen(suffix);
	return n > m && !g_ascii_strcasecmp(path + n - m, suffix) ? g_strndup(path, n - m) : NULL;
}

static bool vmware_match(const struct file *file)
{
	/* A raw image may have any name but this one. Packed ones are seen by their container's name in open. */
	static const char *const names[] = { ".vmem",	  ".vmem.gz",  ".vmem.xz", ".vmem.zst",
					     ".vmem.bz2", ".vmem.lz4", ".vmem.zip" };

	if (is_state(file))
		return true;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		size_t n = strlen(file->path), m = strlen(names[i]);
		if (file->size >= PAGE_SIZE && n > m && !g_ascii_strcasecmp(file->path + n - m, names[i]))
			return true;
	}
	return false;
}

/* One tag off the cursor; false at the end of the group. `end` is where the cursor's bytes end in the file. */
static bool next_tag(struct bytes *b, uint64_t end, unsigned word, struct tag *tag)
{
	uint8_t flags = bytes_u8(b), size = flags & 0x3f;

	*tag = (struct tag){ .name_length = bytes_u8(b), .indices = flags >> 6 };
	if (b->bad || (!flags && !tag->name_length))
		return false;
	tag->name = bytes_take(b, tag->name_length);
	for (unsigned i = 0; i < tag->indices; i++)
		tag->index[i] = bytes_u32(b);
	if (size < 62) {
		struct bytes value = bytes_slice(*b, 0, size);
		tag->length = size;
		tag->value = size <= 8 ? bytes_le(&value, size) : 0;
		bytes_take(b, size);
		return !b->bad;
	}
	/* Long data: its size here and in memory (they differ when it is compressed), then padding up to it. */
	tag->length = bytes_le(b, word);
	tag->compressed = bytes_le(b, word) != tag->length;
	bytes_take(b, bytes_u16(b));
	if (b->bad)
		return false;
	tag->data = end - b->n;
	bytes_take(b, (size_t)MIN(tag->length, b->n));
	return true;
}

static bool is_named(const struct tag *tag, const char *name)
{
	return tag->name_length == strlen(name) && !memcmp(tag->name, name, tag->name_length);
}

static void take_memory_tag(struct vmware *v, const struct tag *tag)
{
	static const char *const parts[] = { "regionPPN", "regionPageNum", "regionSize" };

	if (is_named(tag, "regionsCount")) {
		v->count = (uint32_t)MIN(tag->value, UINT32_MAX);
		v->has_count = true;
	}
	if (is_named(tag, "Memory") && tag->data && tag->length > v->memory_size) {
		v->memory = tag->data;
		v->memory_size = tag->length;
		v->compressed = tag->compressed;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++)
		if (is_named(tag, parts[i]) && tag->indices == 1 && tag->index[0] < MAX_REGIONS) {
			struct region *r = &v->regions[tag->index[0]];
			uint64_t *fields[] = { &r->page, &r->file_page, &r->pages };
			*fields[i] = tag->value & UINT32_MAX;
			r->have |= 1u << i;
		}
}

/* CR64[processor][register]: control registers. */
static void take_cpu_tag(struct vmware *v, const struct tag *tag)
{
	if (!is_named(tag, "CR64") || tag->indices != 2 || tag->index[0] >= MAX_CPUS || tag->index[1] != 3)
		return;
	v->cr3[tag->index[0]] = tag->value;
	v->cpus = MAX(v->cpus, tag->index[0] + 1);
}

static bool read_state(const struct file *file, struct vmware *v, GError **error)
{
	struct bytes head = file_slice(file, 0, 12);
	uint32_t magic = bytes_u32(&head), groups;
	unsigned word = (magic & 0xf) == 0 ? 4 : 8, n = 0;	/* n of all groups: they may be one another's */
	bool found = false;

	bytes_u32(&head);
	groups = bytes_u32(&head);
	if (head.bad || groups == 0 || groups > MAX_GROUPS) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "%s: VMware state: the number of groups at 0x8 is %u, not within 1-%u", file->path, groups,
			    MAX_GROUPS);
		return false;
	}
	for (uint32_t i = 0; i < groups; i++) {
		struct bytes group = file_slice(file, 12 + (uint64_t)i * GROUP_SIZE, GROUP_SIZE);
		uint64_t at = bytes_at(&group, 64, 8);
		bool memory = !group.bad && !memcmp(group.p, "memory", sizeof("memory"));
		bool cpu = !group.bad && !memcmp(group.p, "cpu", sizeof("cpu"));
		if (!memory && !cpu)
			continue;
		/* The group's size is not believed: inline memory makes it wrong in some versions. Tags end by themselves. */
		struct bytes tags = file_slice(file, at, at < file->size ? file->size - at : 0);
		struct tag tag;
		for (; n < MAX_TAGS && next_tag(&tags, file->size, word, &tag); n++) {
			if (memory)
				take_memory_tag(v, &tag);
			else
				take_cpu_tag(v, &tag);
		}
		v->cut |= n == MAX_TAGS;
		found |= memory;
	}
	if (!found)
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "%s: VMware state: none of its %u groups is \"memory\"", file->path, groups);
	return found;
}

/* Memory without a map: below the hole as it is, the rest above 4 GiB. */
static void add_unmapped(struct image *image, uint64_t offset, uint64_t length)
{
	image_add_range(image, (pa_t){ 0 }, MIN(length, HOLE), offset);
	if (length > HOLE)
		image_add_range(image, (pa_t){ ABOVE_HOLE }, length - HOLE, offset + HOLE);
}

static bool usable_region(const struct region *r)
{
	return r->have == 7 && r->pages;
}

/* Is the page at `offset` of the file a processor's page-table root? Windows' map themselves. */
static bool root_at(const struct image *image, uint64_t offset, uint64_t root)
{
	struct bytes page = file_slice(image->file, offset, PAGE_SIZE);

	for (unsigned i = 256; i < 512 && !page.bad; i++) {
		uint64_t entry = bytes_at(&page, 8 * i, 8);
		if ((entry & 1) && (entry & PAGE_ADDRESS) == root)
			return true;
	}
	return false;
}

/* Do the regions put a processor's root elsewhere than where it is, which is where memory without regions has it? */
static bool regions_lie(const struct image *image, const struct vmware *v, uint64_t offset)
{
	unsigned used = 0;

	for (unsigned n = 0; n < MAX_REGIONS; n++)
		used += usable_region(&v->regions[n]);
	for (unsigned i = 0; used && i < v->cpus; i++) {
		uint64_t root = v->cr3[i] & PAGE_ADDRESS;
		bool mapped = false;
		for (unsigned n = 0; n < MAX_REGIONS && !mapped; n++) {
			const struct region *r = &v->regions[n];
			if (usable_region(r) && root / PAGE_SIZE >= r->page && root / PAGE_SIZE - r->page < r->pages)
				mapped = root_at(image, offset + (r->file_page + root / PAGE_SIZE - r->page) * PAGE_SIZE, root);
		}
		if (root && !mapped && root_at(image, offset + (root >= ABOVE_HOLE ? root - ABOVE_HOLE + HOLE : root), root))
			return true;
	}
	return false;
}

static void add_regions(struct image *image, const struct vmware *v, uint64_t offset, uint64_t length)
{
	unsigned used = 0, lacking = 0, last = 0;
	uint64_t named = 0;		/* pages */
	bool lie = regions_lie(image, v, offset);

	for (unsigned i = 0; i < MAX_REGIONS; i++) {
		const struct region *r = &v->regions[i];
		if (usable_region(r)) {
			if (!lie)
				image_add_range(image, (pa_t){ r->page * PAGE_SIZE }, r->pages * PAGE_SIZE, offset + r->file_page * PAGE_SIZE);
			named += r->pages;
			used++;
		} else if (r->have || i < v->count) {
			lacking++;
			last = i;
		}
	}
	if (lacking) {
		unsigned have = v->regions[last].have;
		image_note(image, FAULT_IMPLAUSIBLE, 0, "VMware state: regionsCount is %u, %u regions are whole; %u are left out, the last, %u, for want of its %s",
			   v->count, used, lacking, last, !(have & 1) ? "regionPPN" : !(have & 2) ? "regionPageNum" : "regionSize");
	}
	if (v->cut)
		image_note(image, FAULT_LIMIT, 0, "VMware state: its groups have more than %u tags: the rest is left out", MAX_TAGS);
	if (v->count > MAX_REGIONS)
		image_note(image, FAULT_LIMIT, 0, "VMware state: regionsCount is %u, above %u", v->count, MAX_REGIONS);
	if (used && !lie && length / PAGE_SIZE > named)
		image_note(image, FAULT_NOT_IN_DUMP, 0, "VMware state: its regions have %" G_GUINT64_FORMAT " pages, the memory %" G_GUINT64_FORMAT ": where the others lie is not known, they are left out",
			   named, length / PAGE_SIZE);
	if (used && !lie)
		return;
	if (lie)
		image_remark(image, 0, "VMware state: where its regions put CR3 of a processor is no page-table root, and there is one where memory without "
			     "regions has it: they are not used");
	else if (length > HOLE)
		image_note(image, FAULT_IMPLAUSIBLE, HOLE,
			   "VMware state: no memory regions, and the memory is larger than 3 GiB: taken to go on at "
			   "4 GiB above the hole");
	add_unmapped(image, offset, length);
}

/* The state file beside a .vmem, or NULL. One that is broken is noted and not used. */
static bool find_state(struct image *image, const char *base, struct vmware *v)
{
	static const char *const suffixes[] = { ".vmss", ".vmsn", ".VMSS", ".VMSN" };

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		g_autofree char *path = g_strconcat(base, suffixes[i], NULL);
		g_autoptr(GError) error = NULL;
		struct file *state = g_file_test(path, G_FILE_TEST_IS_REGULAR) ? file_open(path, &error) : NULL;
		struct vmware found = { 0 };
		if (!state && !error)
			continue;
		bool good = state && is_state(state);
		if (state && !good)
			g_set_error(&error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
				    "%s: no VMware state: its signature is unknown", path);
		good = good && read_state(state, &found, &error);
		if (state)
			image_add_file(image, state);
		if (good) {
			*v = found;
			image->facts.detail = g_strdup_printf("with %s", suffixes[i]);
			return true;
		}
		image_note(image, FAULT_IMPLAUSIBLE, 0, "%s", error->message);
	}
	return false;
}

static void add_cpus(struct image *image, const struct vmware *v)
{
	if (!v->cpus)
		return;
	image->facts.cpus = g_array_new(FALSE, FALSE, sizeof(struct image_cpu));
	for (unsigned i = 0; i < v->cpus; i++) {
		struct image_cpu cpu = { .cr3 = v->cr3[i] };
		g_array_append_val(image->facts.cpus, cpu);
	}
	image->facts.processors = v->cpus;
}

static bool open_memory(struct image *image)
{
	struct vmware v = { 0 };
	g_autofree char *base = stem(image, ".vmem");
	uint64_t length = image->file->size & ~(uint64_t)PAGE_MASK;

	if (base && find_state(image, base, &v)) {
		add_regions(image, &v, 0, length);
		add_cpus(image, &v);
		return true;
	}
	image->facts.detail = g_strdup("without .vmss or .vmsn");
	if (length > HOLE)
		image_note(image, FAULT_IMPLAUSIBLE, HOLE,
			   "a .vmem larger than 3 GiB without its .vmss or .vmsn: what lies past 3 GiB of the file is "
			   "taken to go on at 4 GiB of physical memory; put the state file beside it to be certain");
	add_unmapped(image, 0, length);
	return true;
}

/* The .vmem beside a state file that was given itself; NULL: there is none. */
static struct file *memory_beside(const struct image *image)
{
	static const char *const states[] = { ".vmss", ".vmsn" }, *const memories[] = { ".vmem", ".VMEM" };

	for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
		g_autofree char *base = stem(image, states[i]);
		for (size_t n = 0; base && n < G_N_ELEMENTS(memories); n++) {
			g_autofree char *path = g_strconcat(base, memories[n], NULL);
			struct file *file = g_file_test(path, G_FILE_TEST_IS_REGULAR) ? file_open(path, NULL) : NULL;
			if (file && file->size >= PAGE_SIZE)
				return file;
			file_close(file);
		}
	}
	return NULL;
}

/* A state file given itself: its own memory, or the .vmem's beside it. */
static bool open_state(struct image *image, GError **error)
{
	struct vmware v = { 0 };

	if (!read_state(image->file, &v, error))
		return false;
	if (v.memory_size >= PAGE_SIZE && !v.compressed) {
		image->facts.detail = g_strdup("inline memory");
		add_regions(image, &v, v.memory, v.memory_size & ~(uint64_t)PAGE_MASK);
		add_cpus(image, &v);
		return true;
	}
	struct file *memory = memory_beside(image);
	if (!memory) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    v.compressed ? "VMware state: its inline memory is compressed: not readable, and there is no .vmem beside it" :
					   "VMware state: it holds no memory itself, and there is no .vmem beside it");
		return false;
	}
	image_add_file(image, memory);
	image->file = memory;
	image_remark(image, 0, "VMware state: the memory is read from %s beside it, %" G_GUINT64_FORMAT " bytes; the SHA-256 is that of the file given",
		     memory->path, memory->size);
	image->facts.detail = g_strdup("with .vmem");
	add_regions(image, &v, 0, memory->size & ~(uint64_t)PAGE_MASK);
	add_cpus(image, &v);
	return true;
}

static bool vmware_open(struct image *image, GError **error)
{
	image->facts.format = "vmware";
	return is_state(image->file) ? open_state(image, error) : open_memory(image);
}

const struct format format_vmware = {
	.name = "vmware",
	.doc = "VMware memory (.vmem, with its .vmss or .vmsn)",
	.match = vmware_match,
	.open = vmware_open,
};
