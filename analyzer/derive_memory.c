/* SPDX-License-Identifier: Apache-2.0 */
/* Where the fields of VAD nodes and of the control areas behind them are. */
#include <string.h>
#include "derive.h"

#define PROCESSES_MAX 12u
#define NODES_MAX 160u		/* of one process */
#define PROTECTION_EXECUTE_WRITECOPY 7u
#define VAD_TYPE_IMAGE 2u
#define VAD_BLOCK_MAX 0x800u	/* no node, area or file is larger */
#define AREA_MOST 0x400u	/* where nothing tells how large they are */

/* The tree ------------------------------------------------------------------ */

/* Before Windows 8.1 nodes begin with the parent, since with the children. */
static bool parent_first(const struct derive *d)
{
	return d->layout->eprocess.VadRoot.size > 8;
}

static void collect_nodes(struct derive *d, unsigned process)
{
	const struct instance *s = instance_at(d->e->processes, process);
	unsigned at = d->layout->eprocess.VadRoot.offset, first = parent_first(d) ? 8 : 0;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GArray) queue = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t root = instance_value(s, at + (parent_first(d) ? 16 : 0), 8), child;

	g_array_append_val(queue, root);
	for (guint i = 0; i < queue->len && i < NODES_MAX; i++) {
		uint64_t node = g_array_index(queue, uint64_t, i);

		if ((node & 15) || !g_hash_table_add(seen, g_memdup2(&node, sizeof(node))) || !instances_add(d->nodes, d->e->space, node, process))
			continue;
		for (unsigned j = 0; j < 2; j++) {
			child = instance_value(instance_at(d->nodes, d->nodes->len - 1), first + 8 * j, 8);
			if (evidence_kernel_pointer(child))
				g_array_append_val(queue, child);
		}
	}
}

uint64_t derive_image_base(const struct derive *d, unsigned process)
{
	const struct field *f = &d->layout->eprocess.SectionBaseAddress;
	uint64_t base = f->size ? instance_value(instance_at(d->e->processes, process), f->offset, d->e->width) : 0;

	return evidence_user_pointer(base) && !evidence_pointer(d->e, base) && !(base & 0xffff) ? base : 0;
}

bool derive_at_image(const struct derive *d, const struct instance *s, unsigned at)
{
	uint64_t base = derive_image_base(d, s->process);

	return base && (uint32_t)(base >> 12) == (uint32_t)instance_value(s, at, 4);
}

bool derive_is_short(struct derive *d, const struct instance *s)
{
	char tag[4];

	/* The pool header's tag: 12 bytes before the block, on 32-bit machines 4. */
	return !space_read(d->e->space, (va_t){ s->va - (d->e->width == 8 ? 12 : 4) }, tag, 4, NULL) && !memcmp(tag, "VadS", 4);
}

/* _MMVAD_SHORT --------------------------------------------------------------- */

/* In each process some node begins where the program is mapped. */
float derive_probe_start(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, last = G_MAXUINT;
	const struct instance *s;
	bool hit = true;

	FOR_INSTANCES(d, s) {
		if (!derive_image_base(d, s->process))
			continue;
		if (s->process != last) {
			if (last != G_MAXUINT)
				*(hit ? &good : &bad) += 1;
			last = s->process;
			hit = false;
		}
		hit |= derive_at_image(d, s, at);
	}
	if (last != G_MAXUINT)
		*(hit ? &good : &bad) += 1;
	return derive_share(good, bad, 2);
}

uint32_t derive_image_pages(struct derive *d, const struct instance *s)
{
	uint64_t base = derive_image_base(d, s->process);
	struct space *user = derive_user(d, s->process);
	uint32_t header, size;

	if (!user || space_read(user, (va_t){ base + 0x3c }, &header, 4, NULL) || header > 0xf00 ||
	    space_read(user, (va_t){ base + header + 0x50 }, &size, 4, NULL))
		return 0;
	return (size + PAGE_MASK) / PAGE_SIZE;
}

static float probe_end(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	if (at == d->anchor)
		return 0;
	FOR_INSTANCES(d, s) {
		uint32_t start = (uint32_t)instance_value(s, d->anchor, 4), end = (uint32_t)instance_value(s, at, 4), pages;

		if (!derive_at_image(d, s, d->anchor))
			continue;
		/* Hollowed processes differ: not all must agree. */
		pages = derive_image_pages(d, s);
		*((pages ? end - start + 1 == pages : end >= start && end - start < 0x10000) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_high(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;
	bool high = false;

	FOR_INSTANCES(d, s) {
		uint8_t v = (uint8_t)instance_value(s, at, 1);
		uint64_t base = derive_image_base(d, s->process);

		if (derive_at_image(d, s, d->anchor)) {
			*(v == (uint8_t)(base >> 44) ? &good : &bad) += 1;
			high |= v != 0;
		} else if (v > 8) {	/* 47 bits of user memory */
			bad++;
		}
		if (derive_hopeless(good, bad))
			return 0;
	}
	return high ? derive_share(good, bad, 2) : 0;
}

static unsigned bits_of(const struct field *f, uint64_t word)
{
	return (unsigned)(word >> f->bit & ((UINT64_C(1) << (f->bits & 63)) - 1));
}

/* The flags of a program's node: an image, execute-writecopy, not private; those tagged VadS are private. Without such
 * nodes there is nothing to be said against them. */
static float flags_share(struct derive *d, const struct layout *l, unsigned at)
{
	unsigned good = 0, bad = 0, images = 0;
	const struct instance *s;

	if (!l->mmvad_flags.Protection.bits || !l->mmvad_flags.VadType.bits || !l->mmvad_flags.PrivateMemory.bits)
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t word = instance_value(s, at, l->mmvad_flags.Protection.size > 4 ? 8 : 4);
		bool ok;

		images += derive_at_image(d, s, d->anchor);
		if (derive_at_image(d, s, d->anchor))
			ok = bits_of(&l->mmvad_flags.Protection, word) == PROTECTION_EXECUTE_WRITECOPY &&
			     bits_of(&l->mmvad_flags.VadType, word) == VAD_TYPE_IMAGE && !bits_of(&l->mmvad_flags.PrivateMemory, word);
		else if (derive_is_short(d, s))
			ok = bits_of(&l->mmvad_flags.PrivateMemory, word) && bits_of(&l->mmvad_flags.VadType, word) != VAD_TYPE_IMAGE;
		else
			continue;
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return images ? derive_share(good, bad, 2) : 1;
}

static float probe_flags(struct derive *d, unsigned at)
{
	return flags_share(d, d->layout, at);
}

/* Where the flags may be: where they are thought to be, else behind what a node begins with. */
#define FLAGS_FIRST 0x18u
#define FLAGS_END 0x58u	/* or where the node ends, if that is known */

static unsigned find_flags(struct derive *d, const struct layout *l)
{
	unsigned old = d->layout->mmvad_short.u.offset, step = l->mmvad_flags.Protection.size > 4 ? 8 : 4;

	if (old && flags_share(d, l, old) >= 0.95f)
		return old;
	for (unsigned at = FLAGS_FIRST; at < MAX(FLAGS_END, d->node_size); at += step)
		if (flags_share(d, l, at) >= 0.95f)
			return at;
	return 0;
}

static bool flags_fit(struct derive *d, const struct layout *l)
{
	return parent_first(d) == (l->eprocess.VadRoot.size > 8) && find_flags(d, l);
}

/* The form of another family that all nodes agree with. */
static bool take_flags(struct derive *d)
{
	struct layout *l = d->layout;
	AUTO(layout) donor = derive_donor(d, flags_fit);

	if (!donor)
		return false;
	l->mmvad_short.u = donor->mmvad_short.u;
	l->mmvad_short.u.offset = (uint16_t)find_flags(d, donor);
	l->mmvad_short.u.derived = 90;
	if (l->mmvad.u.size)
		l->mmvad.u = l->mmvad_short.u;
	memcpy(&l->mmvad_flags, &donor->mmvad_flags, sizeof(l->mmvad_flags));
	l->mmvad_flags.Protection.derived = l->mmvad_flags.VadType.derived = l->mmvad_flags.PrivateMemory.derived = 90;
	d->moved++;
	return true;
}

/* Bits of the flags that moved within them. What a field of n bits holds in a program's node, in one tagged VadS,
 * and in any other tells how well it may lie at a bit. */
struct bits_sought {
	uint8_t bits;
	bool (*right)(struct derive *d, const struct instance *s, unsigned value, bool image, bool private);
};

static bool right_type(struct derive *d, const struct instance *s, unsigned value, bool image, bool private)
{
	(void)d;
	(void)s;
	return image ? value == VAD_TYPE_IMAGE : !private || value != VAD_TYPE_IMAGE;
}

static bool right_protection(struct derive *d, const struct instance *s, unsigned value, bool image, bool private)
{
	(void)d;
	(void)s;
	return image ? value == PROTECTION_EXECUTE_WRITECOPY : !private || (value && (value & 7) != PROTECTION_EXECUTE_WRITECOPY);
}

static bool right_private(struct derive *d, const struct instance *s, unsigned value, bool image, bool private)
{
	(void)d;
	(void)s;
	return value == private && (!image || !value);
}

/* The bit nearest to `near` at which the field may lie, in the word at an offset; -1: none. */
static int find_bit(struct derive *d, unsigned at, unsigned word_bits, const struct bits_sought *sought, int near)
{
	int best = -1;

	for (unsigned bit = 0; bit + sought->bits <= word_bits; bit++) {
		unsigned good = 0, bad = 0, images = 0;
		const struct instance *s;

		FOR_INSTANCES(d, s) {
			bool image = derive_at_image(d, s, d->anchor), private = !image && derive_is_short(d, s);
			unsigned value = (unsigned)(instance_value(s, at, word_bits / 8) >> bit & ((1u << sought->bits) - 1));

			images += image;
			*(sought->right(d, s, value, image, private) ? &good : &bad) += 1;
			if (bad > 8 && bad * 8 > good)
				break;
		}
		if (images >= 2 && derive_share(good, bad, 8) >= 0.95f && (best < 0 || ABS((int)bit - near) < ABS(best - near)))
			best = (int)bit;
	}
	return best;
}

static void set_bits(struct field *f, int bit, unsigned bits, unsigned size)
{
	*f = (struct field){ .offset = 0, .size = (uint16_t)size, .bit = (uint8_t)bit, .bits = (uint8_t)bits, .derived = 80 };
}

/* Where the fields within the flags are, when the prior's aren't right for any place of the flags. */
static void derive_flags(struct derive *d)
{
	static const struct bits_sought type = { 3, right_type }, protection = { 5, right_protection }, private = { 1, right_private };
	struct layout *l = d->layout;
	unsigned old = l->mmvad_short.u.offset, word = parent_first(d) ? 64 : 32;

	for (unsigned step = 0; step < MAX(0x40, d->node_size); step += 4) {
		unsigned at = step ? 0x14 + step : old;
		int t, p, v;

		if (!at || (t = find_bit(d, at, word, &type, l->mmvad_flags.VadType.bit)) < 0 ||
		    (p = find_bit(d, at, word, &protection, t + (l->mmvad_flags.Protection.bit - l->mmvad_flags.VadType.bit))) < 0 ||
		    (v = find_bit(d, at, word, &private, l->mmvad_flags.PrivateMemory.bit)) < 0)
			continue;
		set_bits(&l->mmvad_flags.VadType, t, 3, word / 8);
		set_bits(&l->mmvad_flags.Protection, p, 5, word / 8);
		set_bits(&l->mmvad_flags.PrivateMemory, v, 1, word / 8);
		l->mmvad_short.u.offset = (uint16_t)at;
		l->mmvad_short.u.size = (uint16_t)(word / 8);
		l->mmvad_short.u.derived = 80;
		if (l->mmvad.u.size)
			l->mmvad.u = l->mmvad_short.u;
		/* Others of its bits moved nobody knows where. */
		memset(&l->mmvad_flags.NoChange, 0, sizeof(struct field));
		memset(&l->mmvad_flags.PrivateFixup, 0, sizeof(struct field));
		memset(&l->mmvad_flags.Enclave, 0, sizeof(struct field));
		memset(&l->mmvad_flags.Graphics, 0, sizeof(struct field));
		memset(&l->mmvad_flags.DeleteInProgress, 0, sizeof(struct field));
		d->moved += 3;
		return;
	}
	/* A wrong protection is worse than none. */
	memset(&l->mmvad_flags.VadType, 0, sizeof(struct field));
	memset(&l->mmvad_flags.Protection, 0, sizeof(struct field));
	memset(&l->mmvad_flags.PrivateMemory, 0, sizeof(struct field));
	d->lost += 3;
}

/* _MMVAD ---------------------------------------------------------------------- */

/* A control area's segment names it back. */
static bool is_area(struct derive *d, uint64_t area)
{
	uint64_t back, words[32];

	if (!evidence_kernel_pointer(area) || (area & 7) || space_read(d->e->space, (va_t){ area }, words, sizeof(words), NULL))
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
		if (derive_read(d, words[i], &back) && back == area)
			return true;
	return false;
}

/* A subsection names its control area; 0: it is none. */
static uint64_t control_area(struct derive *d, uint64_t subsection)
{
	uint64_t area;

	return derive_read(d, subsection + d->layout->subsection.ControlArea.offset, &area) && is_area(d, area) ? area : 0;
}

/* The control area of a node: by its subsection; until Windows 2003 the node names it itself. */
static uint64_t area_of(struct derive *d, const struct instance *s)
{
	const struct field *subsection = &d->layout->mmvad.Subsection, *own = &d->layout->mmvad.ControlArea;
	uint64_t area;

	if (subsection->size)
		return control_area(d, instance_value(s, subsection->offset, 8));
	area = own->size ? instance_value(s, own->offset, 8) : 0;
	return is_area(d, area) ? area : 0;
}

static int names_area(struct derive *d, const struct instance *s, unsigned at)
{
	return derive_at_image(d, s, d->anchor) ? is_area(d, instance_value(s, at, 8)) : -1;
}

static float probe_area(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_area);
}

static int names_subsection(struct derive *d, const struct instance *s, unsigned at)
{
	return derive_at_image(d, s, d->anchor) ? control_area(d, instance_value(s, at, 8)) != 0 : -1;
}

static float probe_subsection(struct derive *d, unsigned at)
{
	/* The parent's pointer to its child looks like a subsection's to its area. */
	return at <= d->anchor ? 0 : derive_share_of(d, at, 2, names_subsection);
}

/* Prototype PTEs: what they look like depends; that they are there doesn't. */
static float probe_prototypes(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t v = instance_value(s, at, 8), pte;

		if (!derive_at_image(d, s, d->anchor))
			continue;
		*(derive_read(d, v, &pte) && pte && !evidence_kernel_pointer(pte) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* _CONTROL_AREA ---------------------------------------------------------------- */

static void collect_areas(struct derive *d)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (guint i = 0; i < d->nodes->len && d->areas->len < 128; i++) {
		const struct instance *s = instance_at(d->nodes, i);
		uint64_t area = derive_is_short(d, s) ? 0 : area_of(d, s);

		if (area && g_hash_table_add(seen, g_memdup2(&area, sizeof(area))))
			instances_add(d->areas, d->e->space, area, derive_at_image(d, s, d->anchor));
	}
}

/* An area's first subsection follows it. */
static uint64_t area_size(struct derive *d)
{
	const struct field *f = &d->layout->mmvad.Subsection;
	uint64_t least = 0;

	for (guint i = 0; f->size && i < d->nodes->len; i++) {
		const struct instance *s = instance_at(d->nodes, i);
		uint64_t subsection = instance_value(s, f->offset, 8), area;

		if (!derive_at_image(d, s, d->anchor))
			continue;
		area = control_area(d, subsection);
		if (area && subsection > area && (!least || subsection - area < least))
			least = subsection - area;
	}
	return least;
}

static float probe_segment(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;
	uint64_t back;

	FOR_INSTANCES(d, s) {
		*(derive_read(d, instance_value(s, at, 8), &back) && back == s->va ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_file(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;
	uint16_t head[2];

	FOR_INSTANCES(d, s) {
		uint64_t file = instance_value(s, at, 8) & ~UINT64_C(15);

		if (!file && !s->process)
			continue;
		*(evidence_kernel_pointer(file) && !space_read(d->e->space, (va_t){ file }, head, 4, NULL) && derive_is_file(head) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_section_flags(struct derive *d, unsigned at)
{
	const struct field *image = &d->layout->mmsection_flags.Image, *file = &d->layout->mmsection_flags.File;
	unsigned good = 0, bad = 0;
	const struct instance *s;

	if (!image->bits || !file->bits)
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t word = instance_value(s, at, 4);

		/* All of those whose flags say image are files; a program's area is an image. */
		if (s->process || bits_of(image, word))
			*(bits_of(image, word) && bits_of(file, word) && !(word >> 28 == 0xf) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* _FILE_OBJECT ------------------------------------------------------------------ */

#define IO_TYPE_DEVICE 3u	/* wdm.h: what a DEVICE_OBJECT begins with */

/* A path within its volume. */
static int is_file_name(struct derive *d, const struct instance *s, unsigned at)
{
	uint64_t length = instance_value(s, at, 2), room = instance_value(s, at + 2, 2), buffer = instance_value(s, at + 8, 8);
	uint16_t first;

	return length && !(length & 1) && room >= length && evidence_kernel_pointer(buffer) &&
	       !space_read(d->e->space, (va_t){ buffer }, &first, 2, NULL) && first == '\\';
}

static float probe_file_name(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_file_name);
}

static int names_device(struct derive *d, const struct instance *s, unsigned at)
{
	uint64_t device = instance_value(s, at, 8);
	uint16_t type;

	return evidence_kernel_pointer(device) && !(device & 15) && !space_read(d->e->space, (va_t){ device }, &type, 2, NULL) && type == IO_TYPE_DEVICE;
}

static float probe_device(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_device);
}

/* _SECTION_OBJECT_POINTERS: one of the three is the control area that names the file. */
static int names_section_pointers(struct derive *d, const struct instance *s, unsigned at)
{
	const struct field *file = &d->layout->control_area.FilePointer;
	uint64_t pointers = instance_value(s, at, 8), area[3], back;
	bool ok = false;

	if (!evidence_kernel_pointer(pointers) || (pointers & 7) || space_read(d->e->space, (va_t){ pointers }, area, sizeof(area), NULL))
		return false;
	for (unsigned i = 0; i < 3; i++)
		ok |= area[i] && derive_read(d, area[i] + file->offset, &back) && (back & ~UINT64_C(15)) == s->va;
	return ok;
}

static float probe_section_pointers(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_section_pointers);
}

/* The files of the control areas. Each says its size itself. */
static void derive_files(struct derive *d)
{
	static const struct probe file[] = {
		{ FIELD_OF(file_object.DeviceObject), probe_device, 8, 3, 0.8f },
		{ FIELD_OF(file_object.SectionObjectPointer), probe_section_pointers, 8, 3, 0.8f },
		{ FIELD_OF(file_object.FileName), probe_file_name, 8, 4, 0.8f },
	};
	const struct field *f = &d->layout->control_area.FilePointer;
	unsigned size = 0;

	for (guint i = 0; f->size && i < d->areas->len && d->files->len < 64; i++)
		instances_add(d->files, d->e->space, instance_value(instance_at(d->areas, i), f->offset, 8) & ~UINT64_C(15), 0);
	if (d->files->len)
		size = (unsigned)instance_value(instance_at(d->files, 0), 2, 2);
	derive_expect_size(d, d->layout->file_object.size_, size);
	derive_fit(d, "_FILE_OBJECT", d->files, CLAMP(size, 0x100, VAD_BLOCK_MAX), file, G_N_ELEMENTS(file));
}

void derive_commit(struct derive *d, const struct field *old_flags, const struct field *old)
{
	const struct layout *l = d->layout;
	struct field *f = &d->layout->mmvad_short.u1;
	unsigned at, good = 0, bad = 0, some = 0;
	const struct instance *s;

	if (!old->size || old->offset < old_flags->offset || !l->mmvad_short.u.size)
		return;
	at = (unsigned)l->mmvad_short.u.offset + old->offset - old_flags->offset;
	if (f->size && f->offset == at)
		return;
	/* Whatever else follows the flags moved nobody knows how far. */
	*f = d->layout->mmvad_short.EventList = (struct field){ 0 };
	if (!l->mmvad_short.StartingVpn.size || !l->mmvad_short.EndingVpn.size)
		return;
	d->instances = d->nodes;
	FOR_INSTANCES(d, s) {
		uint64_t pages = instance_value(s, l->mmvad_short.EndingVpn.offset, 4) - instance_value(s, l->mmvad_short.StartingVpn.offset, 4) + 1;
		uint64_t charge = bits_of(&l->mmvad_flags1.CommitCharge, instance_value(s, at, old->size));

		if (!derive_is_short(d, s))
			continue;
		*(charge <= (uint32_t)pages ? &good : &bad) += 1;
		some += charge != 0;
	}
	if (!some || derive_share(good, bad, 2) < 0.95f)
		return;
	*f = *old;
	f->offset = (uint16_t)at;
	f->derived = 70;
}

static unsigned block_size(struct derive *d, const char *tag)
{
	return (unsigned)MIN(derive_block_size(d, d->nodes, tag), VAD_BLOCK_MAX);
}

/* Page numbers have 8 bytes until Windows 7 and 4 since Windows 8: where the second stands right behind the first, that tells. */
static void set_width(struct field *start, struct field *end)
{
	unsigned distance = end->offset > start->offset ? end->offset - start->offset : 0;

	if (start->size && end->size && (distance == 4 || distance == 8))
		start->size = end->size = (uint16_t)MIN(start->size, distance);
}

void derive_memory(struct derive *d)
{
	static const struct probe start = { FIELD_OF(mmvad_short.StartingVpn), derive_probe_start, 4, 4, 0.7f };
	static const struct probe node[] = {
		{ FIELD_OF(mmvad_short.StartingVpn), derive_probe_start, 4, 4, 0.7f },
		{ FIELD_OF(mmvad_short.EndingVpn), probe_end, 4, 4, 0.7f },
		{ FIELD_OF(mmvad_short.StartingVpnHigh), probe_high, 1, 3, 0.8f },
		{ FIELD_OF(mmvad_short.EndingVpnHigh), probe_high, 1, 3, 0.8f },
	};
	static const struct probe whole[] = {
		{ FIELD_OF(mmvad.StartingVpn), derive_probe_start, 4, 4, 0.7f },
		{ FIELD_OF(mmvad.EndingVpn), probe_end, 4, 4, 0.7f },
		{ FIELD_OF(mmvad.ControlArea), probe_area, 8, 4, 0.7f },
		{ FIELD_OF(mmvad.Subsection), probe_subsection, 8, 4, 0.7f },
		{ FIELD_OF(mmvad.FirstPrototypePte), probe_prototypes, 8, 2, 0.7f },
		{ FIELD_OF(mmvad.LastContiguousPte), probe_prototypes, 8, 2, 0.7f },
	};
	static const struct probe area[] = {
		{ FIELD_OF(control_area.Segment), probe_segment, 8, 4, 0.8f },
		{ FIELD_OF(control_area.FilePointer), probe_file, 8, 4, 0.8f },
		{ FIELD_OF(control_area.u), probe_section_flags, 4, 2, 0.8f },
	};
	const struct field flags = d->layout->mmvad_short.u, commit = d->layout->mmvad_short.u1;
	unsigned taken = 0, size;

	if (!d->layout->eprocess.VadRoot.size)
		return;
	for (guint i = 1; i < d->e->processes->len && taken < PROCESSES_MAX; i++) {
		guint before = d->nodes->len;
		if (derive_image_base(d, i))
			collect_nodes(d, i);
		taken += d->nodes->len > before;
	}
	d->anchor = d->checking ? d->layout->mmvad_short.StartingVpn.offset : derive_find(d, d->nodes, 0x80, &start);
	size = block_size(d, "VadS");
	d->node_size = MAX(size, 0x80);
	derive_expect_size(d, (d->layout->mmvad_short.size_ + 15) & ~15u, size);
	derive_fit(d, "_MMVAD_SHORT", d->nodes, d->node_size, node, G_N_ELEMENTS(node));
	if (d->nodes->len && probe_flags(d, d->layout->mmvad_short.u.offset) < 0.9f) {
		d->misfits += 4;
		if (!d->checking && !take_flags(d))
			derive_flags(d);
	}
	if (!d->checking)
		derive_commit(d, &flags, &commit);
	if (!d->checking)
		set_width(&d->layout->mmvad_short.StartingVpn, &d->layout->mmvad_short.EndingVpn);
	size = block_size(d, "Vad ");
	derive_expect_size(d, (d->layout->mmvad.size_ + 15) & ~15u, size);
	derive_fit(d, "_MMVAD", d->nodes, MAX(size, 0xc0), whole, G_N_ELEMENTS(whole));
	if (!d->checking)
		set_width(&d->layout->mmvad.StartingVpn, &d->layout->mmvad.EndingVpn);
	collect_areas(d);
	size = (unsigned)MIN(area_size(d), VAD_BLOCK_MAX);
	derive_expect_size(d, d->layout->control_area.size_, size);
	derive_fit(d, "_CONTROL_AREA", d->areas, size ? MAX(size, 0x100) : AREA_MOST, area, G_N_ELEMENTS(area));
	derive_files(d);
}
