/* SPDX-License-Identifier: Apache-2.0 */
/* The other readers against a tiny dump of their format, whole and with each defect, and all of them cut off and threaded. */
#include <fcntl.h>
#include "format_checks.h"
#include "limit.h"

START_TEST(lime)
{
	struct image *image = opened(sample_lime());
	GByteArray *a;

	has_128(image);
	ck_assert_str_eq(image->facts.format, "lime");
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	put_text(a = sample_lime(), 32 + 2 * PAGE_SIZE, "XXXX");
	image = opened(a);			/* without its magic, but of just the right length */
	has_128(image);
	ck_assert(noted(image, "LiME header 1"));
	image_close(image);
	put_text(a = sample_lime(), 32 + 2 * PAGE_SIZE, "XXXXXXXXXXXXXXXXXXX");
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "LiME header 1"));
	image_close(image);
	g_byte_array_set_size(a = sample_lime(), 32 + PAGE_SIZE);
	image = opened(a);
	HAS_RANGES(image, 1, 1);
	ck_assert_uint_eq(image->bytes_missing, PAGE_SIZE);
	image_close(image);
	put_le(a = sample_lime(), 16, 0, 8);	/* headers that lie, each with a next one */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "below its first"));
	image_close(image);
	put_le(a = sample_lime(), 16, UINT64_MAX, 8);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "longer than what is left"));
	image_close(image);
	put_le(a = sample_lime(), 8, 3, 8);
	put_le(a, 16, 1, 8);
	image = opened(a);
	HAS_RANGES(image, 8, 1);
	ck_assert(noted(image, "its range is left out"));
	image_close(image);

	a = sample_lime();			/* headers that are lost: a middle one, the last one, one behind which nothing is */
	GByteArray *third = sample_lime();
	put_le(third, 8, 16 * PAGE_SIZE, 8);
	put_le(third, 16, 18 * PAGE_SIZE - 1, 8);
	put(a, a->len, third->data, 32 + 2 * PAGE_SIZE);
	g_byte_array_unref(third);
	memset(a->data + 32 + 2 * PAGE_SIZE, 0, 32);
	image = opened(a);
	HAS_RANGES(image, 1, 2, 16, 2);
	ck_assert(noted(image, "its range is left out") && !all_harmless(image));
	image_close(image);
	memset((a = sample_lime())->data + 32 + 2 * PAGE_SIZE, 0, 32);
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "the ranges before it are used") && !all_harmless(image));
	image_close(image);
	memset((a = sample_lime())->data + 32 + 2 * PAGE_SIZE, 0, 32 + PAGE_SIZE);
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert(noted(image, "the ranges before it are used") && all_harmless(image));
	image_close(image);

	ck_assert(limit_set("lime_search=1", NULL));	/* the first is looked for what follows in 8 KiB of 12, the second in the rest */
	put_le(a = sample_lime(), 16, UINT64_MAX, 8);
	image = opened(a);
	has_128(image);
	ck_assert(!image_limit_note(image));
	image_close(image);
	put_le(a = sample_lime(), 16, UINT64_MAX, 8);
	put_le(a, 32 + 2 * PAGE_SIZE + 16, UINT64_MAX, 8);
	image = opened(a);
	ck_assert(image_limit_note(image) && strstr(image_limit_note(image), "lime_search"));
	image_close(image);
}
END_TEST

/* How many pages a search is told. */
static unsigned pages_told(struct image *image)
{
	uint8_t scratch[PAGE_SIZE];
	unsigned n = 0;

	EACH_PAGE(image, scratch, page, pa)
		ck_assert(++n < 1000);
	return n;
}

/* Memory where addresses end. */
START_TEST(last_page)
{
	const uint64_t second = 32 + 2 * PAGE_SIZE;
	GByteArray *a = sample_lime();

	put_le(a, second + 8, UINT64_MAX - PAGE_MASK, 8);
	put_le(a, second + 16, UINT64_MAX, 8);
	struct image *image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert_uint_eq(pages_told(image), 2);
	ck_assert(noted(image, "above 52 bits"));
	image_close(image);

	put_le(a = sample_lime(), 8, (UINT64_C(1) << 52) - PAGE_SIZE, 8);
	put_le(a, 16, (UINT64_C(1) << 52) + PAGE_MASK, 8);
	image = opened(a);
	HAS_RANGES(image, 8, 1, (UINT64_C(1) << 40) - 1, 1);
	ck_assert_uint_eq(pages_told(image), 2);
	ck_assert(noted(image, "above 52 bits"));
	image_close(image);

	image = opened(sample_minidump());	/* virtual memory ends nowhere else */
	const unsigned told = pages_told(image);
	const struct segment last = { UINT64_MAX - 2 * PAGE_SIZE + 1, 2 * PAGE_SIZE - 1, 0 }, part = { UINT64_MAX - PAGE_SIZE / 2, PAGE_SIZE / 2, 0 };
	const guint n = image->virtual_segments->len;
	g_array_append_val(image->virtual_segments, last);
	ck_assert_uint_le(pages_told(image), told + 2);
	g_array_set_size(image->virtual_segments, n);
	g_array_append_val(image->virtual_segments, part);
	ck_assert_uint_le(pages_told(image), told + 1);
	image_close(image);
}
END_TEST

static unsigned count_noted(const struct image *image, const char *word)
{
	unsigned n = 0;

	for (guint i = 0; i < image->notes->len; i++)
		n += !!strstr(((struct image_note *)g_ptr_array_index(image->notes, i))->message, word);
	return n;
}

/* A reader that would say the same of a million headers. */
START_TEST(many_notes)
{
	struct image *image = opened(sample_lime());

	for (unsigned i = 0; i < 1500; i++)
		image_remark(image, i, "remark %u", i);
	ck_assert_uint_eq(image->notes->len, 1001);
	ck_assert(noted(image, "500 others are left out, 0 of them"));
	ck_assert(!image_note_harms(image->notes_beyond) && !image_limit_note(image));
	image_note(image, FAULT_NO_FIELD, 0, "no field");
	ck_assert(!image_note_harms(image->notes_beyond));
	for (unsigned i = 0; i < 1000; i++)		/* what was lost has room of its own */
		image_note(image, FAULT_NOT_IN_DUMP, i, "not there");
	ck_assert_uint_eq(image->notes->len, 2001);
	ck_assert(!image_note_harms(image->notes_beyond) && image->notes_beyond->fault == FAULT_IMPLAUSIBLE);
	image_note(image, FAULT_NOT_IN_DUMP, 0, "not there");
	ck_assert_uint_eq(image->notes->len, 2001);
	ck_assert(noted(image, "502 others are left out, 1 of them"));
	ck_assert(image_note_harms(image->notes_beyond) && image->notes_beyond->fault == FAULT_LIMIT);
	image_note(image, FAULT_LIMIT, 0, "a limit");
	ck_assert_str_eq(image_limit_note(image), "a limit");
	image_close(image);
}
END_TEST

/* The notes of an ELF core: any number of headers may lead to them, and they to any number of processors. */
START_TEST(elf_notes)
{
	struct image *image;
	GByteArray *a;

	put_le(a = sample_elf(), 64 + 3 * 56, 4, 4);	/* a header of page 2 leads to the notes, too */
	put_le(a, 64 + 3 * 56 + 8, 0x120, 8);
	put_le(a, 64 + 3 * 56 + 32, 0x1cc, 8);
	image = opened(a);
	ck_assert_uint_eq(image->facts.cpus->len, 2);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	put_le(a = sample_elf(), 64 + 56, 4, 4);	/* three headers, with more than the limit has room for from the second on */
	put_le(a, 64 + 56 + 8, 0x120, 8);
	put_le(a, 64 + 56 + 32, 0x1cc, 8);
	put_le(a, 64 + 3 * 56, 4, 4);
	put_le(a, 64 + 3 * 56 + 8, 0x120, 8);
	put_le(a, 64 + 3 * 56 + 32, 0x1cc, 8);
	g_autofree void *bytes = g_memdup2(a->data, a->len);
	const guint size = a->len;
	ck_assert(limit_set("dump_processors=1", NULL));
	image = opened(a);
	ck_assert_uint_eq(image->facts.cpus->len, 1);
	ck_assert_uint_eq(count_noted(image, "dump_processors"), 1);
	image_close(image);
	ck_assert(limit_set("note_bytes=500", NULL));
	image = opened(g_byte_array_append(g_byte_array_new(), bytes, size));
	ck_assert_uint_eq(image->facts.cpus->len, 1);
	ck_assert_uint_eq(count_noted(image, "note_bytes"), 1);
	ck_assert(!noted(image, "dump_processors"));
	image_close(image);
}
END_TEST

/* A LiME file of holes, whose headers are looked for: what there is of it is read in a moment. */
START_TEST(lime_holes)
{
	GByteArray *a = sample_lime();
	g_autofree char *path = path_of("dump");

	put_le(a, 16, (UINT64_C(1) << 50) - 1, 8);
	g_byte_array_set_size(a, 32 + 2 * PAGE_SIZE);
	write_as("dump", a);
	ck_assert(!truncate(path, (off_t)1 << 43));
	struct image *image = image_open(path, false, NULL);
	ck_assert(image);
	has_page(image, 1, 1);
	ck_assert_uint_gt(image->bytes_missing, 0);
	image_close(image);
}
END_TEST

/* No step between numbers sends all of them to a few slots. */
START_TEST(slots)
{
	struct image *image = opened(sample_lime());

	for (unsigned shift = 0; shift < 40; shift++) {
		bool used[1 << 10] = { false };
		unsigned n = 0;
		for (uint64_t i = 0; i < 1 << 10; i++) {
			bool *slot = &used[image_slot(image, i << shift, 10)];
			n += !*slot;
			*slot = true;
		}
		ck_assert_msg(shift ? n > 64 : n == 1 << 10, "steps of 1 << %u: %u slots, seed 0x%" G_GINT64_MODIFIER "x", shift, n, image->slot_seed);
	}
	image_close(image);
}
END_TEST

START_TEST(vmrs)
{
	struct image *image = opened(sample_vmrs());
	uint64_t value = 0;
	GByteArray *a;

	has_128(image);
	ck_assert_str_eq(image->facts.format, "hyperv");
	ck_assert_str_eq(image->facts.detail, "saved state, store version 4.0");
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);

	put_le(a = sample_vmrs(), 0, 0, 4);	/* one header is enough */
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "header 0"));
	image_close(image);
	put_le(a = sample_vmrs(), SAMPLE_VMRS_BLOCK, 0x1001, 4);	/* a piece that is longer than a page */
	image = opened(a);
	ck_assert(image_read(image, (pa_t){ PAGE_SIZE }, &value, 8) == FAULT_IMPLAUSIBLE);
	has_page(image, 8, 8);
	image_close(image);
	put_le(a = sample_vmrs(), SAMPLE_VMRS_BLOCK + 16, 0x1ffff, 4);	/* not that long in the file */
	image = opened(a);
	ck_assert(image_read(image, (pa_t){ 2 * PAGE_SIZE }, &value, 8) == FAULT_NOT_IN_DUMP);
	image_close(image);
	a = sample_vmrs();			/* one block ends with the file */
	g_byte_array_set_size(a, a->len - 1);
	image = opened(a);
	HAS_RANGES(image, 8, 1);
	ck_assert_uint_eq(image->bytes_missing, 2 * PAGE_SIZE);
	image_close(image);
	put_le(a = sample_vmrs(), SAMPLE_VMRS_BLOCK, 0xfffffffc, 4);	/* four bytes, then a pattern that doesn't begin with a page */
	put_le(a, SAMPLE_VMRS_BLOCK + 4, 4, 4);
	put_le(a, SAMPLE_VMRS_BLOCK + 8, 4, 4);
	put_le(a, SAMPLE_VMRS_BLOCK + 12, 0xaabbccdd, 4);
	put_le(a, SAMPLE_VMRS_BLOCK + 16, 0xfffffffd, 4);
	put_le(a, SAMPLE_VMRS_BLOCK + 20, UINT64_C(0x8877665544332211), 8);
	put_le(a, SAMPLE_VMRS_BLOCK + 28, 2, 4);
	image = opened(a);
	ck_assert(!image_read(image, (pa_t){ PAGE_SIZE }, &value, 8));
	ck_assert_uint_eq(value, UINT64_C(0x44332211aabbccdd));
	ck_assert(!image_read(image, (pa_t){ 2 * PAGE_SIZE }, &value, 8));
	ck_assert_uint_eq(value, UINT64_C(0x4433221188776655));
	image_close(image);
	a = sample_vmrs();			/* a block in pieces of a byte */
	for (unsigned i = 0; i < 8192; i++) {
		put_le(a, SAMPLE_VMRS_BLOCK + 13 * i, 0xfffffffc, 4);
		put_le(a, SAMPLE_VMRS_BLOCK + 13 * i + 4, 1, 4);
		put_le(a, SAMPLE_VMRS_BLOCK + 13 * i + 8, 1, 5);
	}
	put_le(a, SAMPLE_VMRS_SIZE, 13 * 8192, 4);
	image = opened(a);
	ck_assert(image_read(image, (pa_t){ 2 * PAGE_SIZE }, &value, 8) == FAULT_IMPLAUSIBLE);
	image_close(image);
	a = sample_vmrs();			/* more bytes than are behind it */
	put_le(a, SAMPLE_VMRS_SIZE, a->len, 4);
	image = opened(a);
	HAS_RANGES(image, 8, 1);
	has_page(image, 8, 8);
	image_close(image);
	a = sample_vmrs();			/* all of them, those of the other block too */
	put_le(a, SAMPLE_VMRS_SIZE, a->len, 4);
	put_le(a, SAMPLE_VMRS_SIZE + 4, 0, 8);
	image = opened(a);
	lacks_page(image, 8);
	ck_assert(noted(image, "1 blocks can't have bytes of their own"));
	image_close(image);
	put_le(a = sample_vmrs(), SAMPLE_VMRS_KEYS + 10 + 2, 5, 4);
	refused("dump", a, "none names memory");
	put_le(a = sample_vmrs(), 0x2000, 1, 4);
	refused("dump", a, "of 0 tables of keys");
	put_le(a = sample_vmrs(), 0x2004, UINT32_MAX, 4);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "room for 227"));
	image_close(image);
	put_le(a = sample_vmrs(), SAMPLE_VMRS_KEYS + 10 + 21 + 16 + 4 + 8, UINT64_MAX, 8);	/* pages */
	image = opened(a);
	HAS_RANGES(image, 8, 1);
	ck_assert(noted(image, "RamMemoryBlock0"));
	image_close(image);
	put_text(a = sample_vmrs(), SAMPLE_VMRS_KEYS + 10 + 21, "Lost");	/* a map that is lost: nothing else tells of its memory */
	image = opened(a);
	HAS_RANGES(image, 8, 1);
	ck_assert(noted(image, "of 2 blocks of memory 1 are in no RamMemoryBlock") && !all_harmless(image));
	image_close(image);
	put_le(a = sample_vmrs(), SAMPLE_VMRS_KEYS + 10 + 21 + 16 + 4 + 8, UINT64_C(1) << 39, 8);
	image = opened(a);
	HAS_RANGES(image, 1, 512);
	image_close(image);
}
END_TEST

START_TEST(avml)
{
	struct image *image = opened(sample_avml());
	uint8_t page[PAGE_SIZE];
	GByteArray *a;

	has_128(image);
	ck_assert_str_eq(image->facts.format, "avml");
	ck_assert_uint_eq(image->notes->len, 0);
	ck_assert(!image_lost(image, NULL));
	image_close(image);

	a = sample_avml();			/* a byte that is another: read as it is, and told */
	a->data[32 + 10 + 8 + 3] = 0x33;
	image = opened(a);
	ck_assert(!image_lost(image, NULL));
	ck_assert(!image_read(image, (pa_t){ PAGE_SIZE }, page, 8) && page[0] == 0x33);
	g_autoptr(GError) damaged = NULL;
	ck_assert(image_lost(image, &damaged) && strstr(damaged->message, "memory from 0x1000 on is damaged"));
	image_close(image);
	put_le(a = sample_avml(), 32 + 10 + 8 + 2 + 10, 9000, 2);	/* a copy from before the beginning */
	image = opened(a);
	ck_assert(image_read(image, (pa_t){ PAGE_SIZE }, page, 8) == FAULT_IMPLAUSIBLE);
	has_page(image, 8, 8);
	image_close(image);
	put_le(a = sample_avml(), 32 + 10 + 8, 0x7fffff, 3);		/* a block that says it is 8 MiB */
	image = opened(a);
	ck_assert(noted(image, "gives"));
	lacks_page(image, 1);
	image_close(image);
	a = sample_avml();
	g_byte_array_set_size(a, a->len - 100);
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert_uint_eq(image->bytes_missing, PAGE_SIZE);
	image_close(image);
	put_le(a = sample_avml(), 16, 0, 8);
	refused("dump", a, "AVML header at 0x0");

	a = sample_lime();			/* LiME's ranges and AVML's in one file */
	g_byte_array_set_size(a, 32 + 2 * PAGE_SIZE);
	GByteArray *b = sample_avml();
	put_le(b, 8, 16 * PAGE_SIZE, 8);
	put_le(b, 16, 18 * PAGE_SIZE - 1, 8);
	put(a, a->len, b->data, b->len);
	g_byte_array_unref(b);
	image = opened(a);
	HAS_RANGES(image, 1, 2, 8, 1, 16, 2);
	has_page(image, 1, 1);
	has_page(image, 17, 2);
	image_close(image);

	/* Pages 2 and 3 stored behind, and before, what has pages 1 and 2 in one chunk: the first in the file has page 2. */
	for (unsigned before = 0; before < 2; before++) {
		GByteArray *stored = sample_lime();
		g_byte_array_set_size(stored, 32 + 2 * PAGE_SIZE);
		put_le(stored, 8, 2 * PAGE_SIZE, 8);
		put_le(stored, 16, 4 * PAGE_SIZE - 1, 8);
		put_page(stored, 32, 0x22);
		put_page(stored, 32 + PAGE_SIZE, 3);
		b = sample_avml();
		a = before ? stored : b;
		put(a, a->len, before ? b->data : stored->data, before ? b->len : stored->len);
		g_byte_array_unref(before ? b : stored);
		image = opened(a);
		HAS_RANGES(image, 1, 3, 8, 1);
		ck_assert(noted(image, "4096 bytes of physical memory more than once"));
		has_page(image, 1, 1);
		has_page(image, 2, before ? 0x22 : 2);
		has_page(image, 3, 3);
		has_page(image, 8, 8);
		image_close(image);
	}
}
END_TEST

START_TEST(vmware)
{
	struct image *image = open_as("lone.vmem", sample_vmem());
	GByteArray *a;

	HAS_RANGES(image, 0, 3);
	ck_assert_str_eq(image->facts.format, "vmware");
	image_close(image);

	write_as("with.vmss", sample_vmss());
	image = open_as("with.vmem", sample_vmem());
	HAS_RANGES(image, 0, 2, 16, 1);
	has_page(image, 16, 16);
	ck_assert_uint_eq(image->facts.cpus->len, 2);
	ck_assert_uint_eq(g_array_index(image->facts.cpus, struct image_cpu, 1).cr3, 0x1ad001);
	image_close(image);

	image = open_as("packed.vmem.gz", sample_packed(sample_vmem(), "gzip"));
	HAS_RANGES(image, 0, 3);
	image_close(image);
	write_as("packed.vmsn", sample_vmss());
	image = open_as("packed.vmem.gz", sample_packed(sample_vmem(), "gzip"));
	HAS_RANGES(image, 0, 2, 16, 1);
	image_close(image);

	write_as("more.vmss", sample_vmss());		/* a page that its regions don't have */
	put_page(a = sample_vmem(), 3 * PAGE_SIZE, 7);
	image = open_as("more.vmem", a);
	HAS_RANGES(image, 0, 2, 16, 1);
	ck_assert(noted(image, "its regions have 3 pages, the memory 4") && !all_harmless(image));
	image_close(image);

	image = open_as("inline.vmsn", sample_vmsn());
	HAS_RANGES(image, 0, 2, 16, 1);
	has_page(image, 16, 16);
	image_close(image);

	/* A bound of all groups: a thousand of them may be one and the same. They have two and seven tags. */
	g_autofree char *tags = g_strdup_printf("vmware_tags=%" G_GUINT64_FORMAT, limit(vmware_tags));
	write_as("many.vmss", sample_vmss());
	ck_assert(limit_set("vmware_tags=8", NULL));
	image = open_as("many.vmem", sample_vmem());
	ck_assert(noted(image, "its groups have more than 8 tags"));
	image_close(image);
	ck_assert(limit_set(tags, NULL));

	put_le(a = sample_vmss(), 8, 5000, 4);
	write_as("broken.vmss", a);
	image = open_as("broken.vmem", sample_vmem());
	HAS_RANGES(image, 0, 3);
	ck_assert(noted(image, "number of groups"));
	image_close(image);
	refused("alone.vmss", sample_vmss(), "no memory itself");
	write_as("given.vmem", sample_vmem());		/* the state itself, whose memory lies beside it */
	image = open_as("given.vmss", sample_vmss());
	HAS_RANGES(image, 0, 2, 16, 1);
	has_page(image, 16, 16);
	ck_assert(noted(image, "given.vmem"));
	image_close(image);
}
END_TEST

START_TEST(elf_core)
{
	struct image *image = opened(sample_elf());
	GByteArray *a;

	has_128(image);
	ck_assert_str_eq(image->facts.format, "elf");
	ck_assert_uint_eq(image->notes->len, 0);
	ck_assert_uint_eq(image->facts.cpus->len, 1);
	const struct image_cpu *cpu = &g_array_index(image->facts.cpus, struct image_cpu, 0);
	ck_assert_uint_eq(cpu->cr3, 0x1ad000);
	ck_assert_uint_eq(cpu->rip, 0x6666);
	ck_assert_uint_eq(cpu->rsp, 0x5555);
	image_close(image);

	a = sample_elf();		/* bytes of the file at two addresses */
	put_le(a, 64 + 3 * 56 + 8, 0x400, 8);
	put_le(a, 64 + 3 * 56 + 24, 32 * PAGE_SIZE, 8);
	put_le(a, 64 + 3 * 56 + 32, 2 * PAGE_SIZE, 8);
	put_le(a, 64 + 3 * 56 + 40, 2 * PAGE_SIZE, 8);
	image = opened(a);
	has_128(image);
	ck_assert(noted(image, "to more than one address"));
	image_close(image);
	a = sample_elf();		/* two ranges that are not there and have 2^64 bytes together */
	for (unsigned i = 2; i < 4; i++) {
		put_le(a, 64 + i * 56 + 8, UINT64_C(1) << 40, 8);
		put_le(a, 64 + i * 56 + 32, UINT64_C(1) << 63, 8);
		put_le(a, 64 + i * 56 + 40, UINT64_C(1) << 63, 8);
	}
	image = opened(a);
	HAS_RANGES(image, 1, 2);
	ck_assert_uint_eq(image->bytes_missing, UINT64_MAX);
	ck_assert_uint_eq(image->first_missing, 8 * PAGE_SIZE);
	ck_assert(noted(image, "are missing"));
	image_close(image);
	put_le(a = sample_elf(), 64 + 2 * 56 + 40, 3 * PAGE_SIZE, 8);	/* less of it in the file than in memory */
	image = opened(a);
	has_128(image);
	ck_assert_uint_eq(image->bytes_missing, 2 * PAGE_SIZE);
	ck_assert_uint_eq(image->first_missing, 9 * PAGE_SIZE);
	ck_assert(noted(image, "less of a segment than its p_memsz says") && !all_harmless(image));
	image_close(image);
	a = sample_elf();		/* registers of a device, as VirtualBox writes them: no memory that is missing */
	put_le(a, 64 + 3 * 56, 1, 4);
	put_le(a, 64 + 3 * 56 + 8, a->len, 8);
	put_le(a, 64 + 3 * 56 + 24, 0xfec00000, 8);
	put_le(a, 64 + 3 * 56 + 32, 0, 8);
	put_le(a, 64 + 3 * 56 + 40, PAGE_SIZE, 8);
	image = opened(a);
	ck_assert_uint_eq(image->bytes_missing, 0);
	ck_assert_uint_eq(image->notes->len, 0);
	image_close(image);
	put_le(a = sample_elf(), 56, 500, 2);	/* more headers than the file has */
	image = opened(a);
	has_page(image, 8, 8);
	image_close(image);
	put_le(a = sample_elf(), 16, 2, 2);
	refused("dump", a, "e_type");
	put_le(a = sample_elf(), 18, 8, 2);
	refused("dump", a, "e_machine");
	put_le(a = sample_elf(), 32, UINT64_MAX, 8);
	refused("dump", a, "PT_LOAD");
}
END_TEST

START_TEST(not_mine)
{
	GByteArray *a = g_byte_array_new();

	put_text(a, 0, "\x89PNG\r\n\x1a\n");
	put_le(a, 8191, 0, 1);
	refused("dump", a, "no memory dump, but a PNG image");
	g_autofree char *path = path_of("dump");
	AUTO(image) plain = image_open(path, true, NULL);	/* a machine's first page may be anything */
	ck_assert_str_eq(plain->facts.format, "raw");
	ck_assert_str_eq(plain->facts.detail, IMAGE_PLAIN);
	HAS_RANGES(plain, 0, 2);
	ck_assert(noted(plain, "PNG image"));
	a = g_byte_array_new();
	put_le(a, 99, 0, 1);	/* less than a page */
	refused("dump", a, "looked for a Windows crash dump");
	a = g_byte_array_new();
	put_page(a, 0, 77);
	put_le(a, PAGE_SIZE + 9, 0, 1);
	struct image *image = opened(a);
	ck_assert_str_eq(image->facts.format, "raw");
	HAS_RANGES(image, 0, 1);
	has_page(image, 0, 77);
	ck_assert(noted(image, "10 bytes"));
	image_close(image);
}
END_TEST

#define MIB (UINT64_C(1) << 20)

/* A file of 16 MiB that begins with `data` and has pages elsewhere; the rest is holes. */
static struct image *open_sparse(GByteArray *data)
{
	static const uint64_t at[] = { MIB, MIB + (32 << 10), MIB + (256 << 10), 9 * MIB };
	g_autofree char *path = path_of("dump");
	uint8_t page[PAGE_SIZE];
	int fd;

	write_as("dump", data);
	ck_assert((fd = g_open(path, O_WRONLY, 0)) >= 0 && !ftruncate(fd, 16 * MIB));
	memset(page, 7, sizeof(page));
	for (size_t i = 0; i < G_N_ELEMENTS(at); i++)
		ck_assert(pwrite(fd, page, sizeof(page), (off_t)at[i]) == (ssize_t)sizeof(page));
	close(fd);
	struct image *image = image_open(path, false, NULL);
	ck_assert(image && image->file->parts);
	return image;
}

/* No page with anything in it is left out, and few of the others are told. */
static void tells_what_is_there(struct image *image)
{
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	uint8_t scratch[PAGE_SIZE];
	struct range r;
	unsigned full = 0;

	EACH_PAGE(image, scratch, bytes, pa)
		ck_assert(bytes && g_hash_table_add(told, g_memdup2(&pa, sizeof(pa))));
	for (pa_t at = { 0 }; image_next_range(image, at, &r); at.v = r.start + r.length)
		for (uint64_t pa = r.start; pa + PAGE_SIZE <= r.start + r.length; pa += PAGE_SIZE) {
			const uint8_t *page = image_page(image, (pa_t){ pa }, scratch);
			bool something = page && !bytes_are_zero(page, PAGE_SIZE);
			full += something;
			ck_assert(!something || g_hash_table_contains(told, &pa));
		}
	ck_assert(full >= 4 && g_hash_table_size(told) < 64);
	ck_assert(image->bytes_present > 15 * MIB && image->bytes_filled == g_hash_table_size(told) * PAGE_SIZE);
}

START_TEST(holes)
{
	GByteArray *a = g_byte_array_new();
	struct range r = { 0, 0 };
	struct image *image = open_sparse(a);

	for (unsigned i = 0; i < 3; i++) {
		static const struct range expected[] = { { MIB, 36 << 10 }, { MIB + (256 << 10), PAGE_SIZE }, { 9 * MIB, PAGE_SIZE } };
		ck_assert(image_next_filled(image, (pa_t){ r.start + r.length }, &r));
		ck_assert(r.start == expected[i].start && r.length == expected[i].length);
	}
	ck_assert(!image_next_filled(image, (pa_t){ r.start + r.length }, &r));
	tells_what_is_there(image);
	image->search_until = 1;	/* long ago: whatever the pages' addresses, nothing is told any more */
	uint8_t scratch[PAGE_SIZE];
	EACH_PAGE(image, scratch, page, pa)
		ck_abort_msg("page 0x%lx of a search whose time is over", (unsigned long)pa);
	ck_assert(image->search_ended);
	image_close(image);

	/* A LiME range's bytes begin behind its header: each page lies in two of the file. */
	a = g_byte_array_new();
	put_text(a, 0, "EMiL");
	put_le(a, 4, 1, 4);
	put_le(a, 8, MIB, 8);
	put_le(a, 16, MIB + 16 * MIB - 33, 8);
	put_le(a, 24, 0, 8);
	image = open_sparse(a);
	tells_what_is_there(image);
	pa_t first = { 0 };
	ck_assert(image_has(image, (pa_t){ MIB }) && !image_has(image, (pa_t){ MIB - 1 }) && image_next(image, first, &first) && first.v == MIB);
	ck_assert(image_next(image, (pa_t){ MIB + 5 }, &first) && first.v == MIB + 5 && !image_next(image, (pa_t){ 64 * MIB }, &first));
	image_close(image);
}
END_TEST

static void *read_all(void *data)
{
	struct image *image = data;
	uint8_t scratch[PAGE_SIZE];
	uint64_t sum = 0, value;

	for (int i = 0; i < 200; i++) {
		struct range r;
		for (pa_t at = { 0 }; image_next_range(image, at, &r); at.v = r.start + r.length)
			for (uint64_t p = r.start; p < r.start + r.length; p += PAGE_SIZE) {
				const uint8_t *page = image_page(image, (pa_t){ p }, scratch);
				if (!page)
					return NULL;
				memcpy(&value, page + 80, 8);
				sum += value;
			}
	}
	return GSIZE_TO_POINTER(sum);
}

START_TEST(threads)
{
	GByteArray *(*const makers[])(void) = { sample_kdump, sample_hibernation, sample_full64 };

	for (size_t m = 0; m < G_N_ELEMENTS(makers); m++) {
		struct image *image = opened(makers[m]());
		void *expected = read_all(image);
		GThread *readers[4];
		ck_assert(expected != NULL);
		for (int i = 0; i < 4; i++)
			readers[i] = g_thread_new("read", read_all, image);
		for (int i = 0; i < 4; i++)
			ck_assert(g_thread_join(readers[i]) == expected);
		image_close(image);
	}
}
END_TEST

/* Each sample cut off at many lengths: opened or refused with a word, and read without harm. */
START_TEST(truncated)
{
	for (const struct sample *s = samples; s->name; s++) {
		GByteArray *whole = s->make();
		for (unsigned i = 1; i < 40; i++) {
			GByteArray *a = g_byte_array_new();
			g_autofree char *path = path_of("cut");
			g_autoptr(GError) error = NULL;
			g_byte_array_append(a, whole->data, whole->len * i / 40);
			write_as("cut", a);
			struct image *image = image_open(path, false, &error);
			ck_assert(!image == !!error);
			if (image)
				read_all(image);
			image_close(image);
		}
		g_byte_array_unref(whole);
	}
}
END_TEST

/* With a folder: write the samples there, as seeds of the fuzz target. */
int main(int argc, char **argv)
{
	const struct test_case cases[] = {
		{ "lime", lime }, { "avml", avml }, { "vmrs", vmrs }, { "vmware", vmware }, { "elf", elf_core },
		{ "not mine", not_mine }, { "threads", threads },
		{ "truncated", truncated }, { "holes", holes }, { "last page", last_page }, { "many notes", many_notes }, { "ELF notes", elf_notes },
		{ "LiME holes", lime_holes }, { "slots", slots },
	};

	for (const struct sample *s = samples; argc == 2 && s->name; s++) {
		g_autofree char *path = g_build_filename(argv[1], s->name, NULL);
		GByteArray *data = s->make();
		if (!g_file_set_contents(path, (const char *)data->data, data->len, NULL))
			return EXIT_FAILURE;
		g_byte_array_unref(data);
	}
	return argc == 2 ? EXIT_SUCCESS : run_cases("formats", cases, G_N_ELEMENTS(cases));
}
