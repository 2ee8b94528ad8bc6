/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 32-bit kernels: where the fields of VAD nodes, of control areas and file objects behind them, of tokens and handle
 * tables are. What tells them is the same as of 64-bit ones (derive_memory.c, derive_security.c), in other widths and in
 * forms that these lost.
 */
#include <string.h>
#include "derive.h"

#define W 4u			/* of a pointer */
#define PROCESSES_MAX 12u
#define NODES_MAX 160u		/* of one process */
#define AREAS_MAX 128u
#define TABLES_MAX 64u
#define PROTECTION_EXECUTE_WRITECOPY 7u
#define VAD_TYPE_IMAGE 2u
#define NODE_MOST 0x80u
#define AREA_MOST 0x200u
#define SYSTEM_LUID 0x3e7u
#define GROUPS_MAX 1024u

static uint32_t value(const struct instance *s, unsigned at)
{
	return (uint32_t)instance_value(s, at, W);
}

static bool read_word(struct derive *d, uint64_t va, uint32_t *out)
{
	return evidence_pointer(d->e, va) && !(va & (W - 1)) && !space_read(d->e->space, (va_t){ va }, out, W, NULL);
}

static const struct instance *process_of(const struct derive *d, const struct instance *s)
{
	return instance_at(d->e->processes, s->process);
}

/* The tree ------------------------------------------------------------------------ */

/* Where a node's two children stand, one behind the other. */
static unsigned children_at(const struct layout *l)
{
	if (l->mmvad_short.LeftChild.size)
		return l->mmvad_short.LeftChild.offset;
	/* Windows 8's nodes begin with the parent, later ones with the children. */
	return l->eprocess.VadRoot.size > W ? l->mm_avl_node.LeftChild.offset : l->rtl_balanced_node.Left.offset;
}

static void collect_nodes(struct derive *d, unsigned process)
{
	const struct field *tree = &d->layout->eprocess.VadRoot;
	g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);
	g_autoptr(GArray) queue = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	/* A table is a node itself, the tree on its right. */
	uint32_t root = value(instance_at(d->e->processes, process), tree->offset + (tree->size > W ? 2 * W : 0));

	g_array_append_val(queue, root);
	for (guint i = 0; i < queue->len && i < NODES_MAX; i++) {
		uint32_t node = g_array_index(queue, uint32_t, i);

		if ((node & 7) || !g_hash_table_add(seen, GUINT_TO_POINTER(node)) || !instances_add(d->nodes, d->e->space, node, process))
			continue;
		for (unsigned j = 0; j < 2; j++) {
			uint32_t child = value(instance_at(d->nodes, d->nodes->len - 1), children_at(d->layout) + W * j);
			if (evidence_pointer(d->e, child))
				g_array_append_val(queue, child);
		}
	}
}

/* SizeOfImage tells where it ends. */
static int is_end(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t pages, start = value(s, d->anchor), end = value(s, at);

	if (at == d->anchor || !derive_at_image(d, s, d->anchor))
		return -1;
	pages = derive_image_pages(d, s);
	return pages ? end - start + 1 == pages : end > start && end - start < 0x10000;
}

static float probe_end(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_end);
}

static unsigned bits_of(const struct field *f, uint32_t word)
{
	return f->bits ? word >> (f->bit & 31) & (uint32_t)((UINT64_C(1) << MIN(f->bits, 32)) - 1) : 0;
}

/* A program's node is an image, execute-writecopy, not private; those tagged VadS are private. */
static float flags_share(struct derive *d, const struct layout *l, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint32_t word = value(s, at);
		bool program = derive_at_image(d, s, d->anchor), private = bits_of(&l->mmvad_flags.PrivateMemory, word);
		bool image = l->mmvad_flags.ImageMap.size ? bits_of(&l->mmvad_flags.ImageMap, word) : bits_of(&l->mmvad_flags.VadType, word) == VAD_TYPE_IMAGE;

		if (!program && !derive_is_short(d, s))
			continue;
		bool ok = program ? image && !private && bits_of(&l->mmvad_flags.Protection, word) == PROTECTION_EXECUTE_WRITECOPY : !image && private;
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_flags(struct derive *d, unsigned at)
{
	return flags_share(d, d->layout, at);
}

static unsigned find_flags(struct derive *d, const struct layout *l)
{
	for (unsigned at = d->anchor + W; at < NODE_MOST / 2; at += W)
		if (flags_share(d, l, at) >= 0.95f)
			return at;
	return 0;
}

static bool flags_fit(struct derive *d, const struct layout *l)
{
	return l->mmvad_flags.Protection.bits && find_flags(d, l);
}

/* The form of another family, where the flags have the prior's nowhere; what they hold beside that is not told. */
static void derive_flags(struct derive *d)
{
	struct layout *l = d->layout;

	d->instances = d->nodes;
	if (!d->nodes->len || !l->mmvad_flags.Protection.bits || (l->mmvad_short.u.size && probe_flags(d, l->mmvad_short.u.offset) >= 0.95f))
		return;
	d->misfits += 4;
	if (d->checking)
		return;
	AUTO(layout) donor = derive_donor(d, flags_fit);
	if (!donor)
		return;
	l->mmvad_short.u = donor->mmvad_short.u;
	l->mmvad_short.u.offset = (uint16_t)find_flags(d, donor);
	l->mmvad_short.u.derived = 90;
	if (donor->mmvad.u.size || l->mmvad.u.size)
		l->mmvad.u = l->mmvad_short.u;
	memcpy(&l->mmvad_flags, &donor->mmvad_flags, sizeof(l->mmvad_flags));
	l->mmvad_flags.Protection.derived = l->mmvad_flags.VadType.derived = l->mmvad_flags.PrivateMemory.derived = 90;
	d->moved++;
}

/* Sections ------------------------------------------------------------------------ */

/* A control area's segment names it back. */
static bool is_area(struct derive *d, uint32_t area)
{
	uint32_t words[32], back;

	if (!evidence_pointer(d->e, area) || (area & 7) || space_read(d->e->space, (va_t){ area }, words, sizeof(words), NULL))
		return false;
	for (unsigned i = 0; i < G_N_ELEMENTS(words); i++)
		if (read_word(d, words[i], &back) && back == area)
			return true;
	return false;
}

static uint32_t area_of(struct derive *d, uint32_t pointer, bool by_subsection)
{
	uint32_t area = pointer;

	if (by_subsection && !read_word(d, pointer + d->layout->subsection.ControlArea.offset, &area))
		return 0;
	return is_area(d, area) ? area : 0;
}

static int names_area(struct derive *d, const struct instance *s, unsigned at)
{
	return derive_at_image(d, s, d->anchor) ? area_of(d, value(s, at), false) != 0 : -1;
}

static float probe_area(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_area);
}

/* The parent's pointer to its child looks like a subsection's to its area; it stands before. */
static int names_subsection(struct derive *d, const struct instance *s, unsigned at)
{
	return derive_at_image(d, s, d->anchor) ? at > d->anchor && area_of(d, value(s, at), true) != 0 : -1;
}

static float probe_subsection(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_subsection);
}

static int names_prototypes(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t entry = 0;

	return derive_at_image(d, s, d->anchor) ? read_word(d, value(s, at), &entry) && entry && !evidence_pointer(d->e, entry) : -1;
}

static float probe_prototypes(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_prototypes);
}

static void collect_areas(struct derive *d)
{
	const struct field *subsection = &d->layout->mmvad.Subsection, *own = &d->layout->mmvad.ControlArea;
	const struct field *f = subsection->size ? subsection : own;
	g_autoptr(GHashTable) seen = g_hash_table_new(g_direct_hash, g_direct_equal);

	for (guint i = 0; f->size && i < d->nodes->len && d->areas->len < AREAS_MAX; i++) {
		const struct instance *s = instance_at(d->nodes, i);
		uint32_t area = derive_is_short(d, s) ? 0 : area_of(d, value(s, f->offset), f == subsection);

		if (area && g_hash_table_add(seen, GUINT_TO_POINTER(area)))
			instances_add(d->areas, d->e->space, area, derive_at_image(d, s, d->anchor));
	}
}

static int names_segment(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t back;

	return read_word(d, value(s, at), &back) && back == (uint32_t)s->va;
}

static float probe_segment(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_segment);
}

/* A file object says its size: 0x70 to 0x80 bytes. */
static int names_file(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t file = value(s, at) & ~7u;
	uint16_t head[2];

	if (!file && !s->process)
		return -1;
	return evidence_pointer(d->e, file) && !space_read(d->e->space, (va_t){ file }, head, sizeof(head), NULL) && head[0] == 5 &&
	       head[1] >= 0x60 && head[1] < 0x200 && !(head[1] & 3);
}

static float probe_file(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_file);
}

/* A path within its volume. */
static int is_file_name(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t length = (uint32_t)instance_value(s, at, 2), room = (uint32_t)instance_value(s, at + 2, 2), buffer = value(s, at + W);
	uint16_t first;

	return length && !(length & 1) && room >= length && evidence_pointer(d->e, buffer) &&
	       !space_read(d->e->space, (va_t){ buffer }, &first, 2, NULL) && first == '\\';
}

static float probe_file_name(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_file_name);
}

/* wdm.h: a DEVICE_OBJECT begins with type 3. */
static int names_device(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t device = value(s, at);
	uint16_t type;

	return evidence_pointer(d->e, device) && !(device & 7) && !space_read(d->e->space, (va_t){ device }, &type, sizeof(type), NULL) && type == 3;
}

static float probe_device(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_device);
}

static void derive_sections(struct derive *d)
{
	static const struct probe area[] = {
		{ FIELD_OF(control_area.Segment), probe_segment, 4, 4, 0.8f }, { FIELD_OF(control_area.FilePointer), probe_file, 4, 4, 0.8f },
	};
	static const struct probe file[] = {
		{ FIELD_OF(file_object.DeviceObject), probe_device, 4, 3, 0.8f }, { FIELD_OF(file_object.FileName), probe_file_name, 4, 4, 0.8f },
	};
	const struct field *f = &d->layout->control_area.FilePointer;

	collect_areas(d);
	derive_fit(d, "_CONTROL_AREA", d->areas, AREA_MOST, area, G_N_ELEMENTS(area));
	for (guint i = 0; f->size && i < d->areas->len && d->files->len < TABLES_MAX; i++)
		instances_add(d->files, d->e->space, value(instance_at(d->areas, i), f->offset) & ~7u, 0);
	derive_expect_size(d, d->layout->file_object.size_, d->files->len ? instance_value(instance_at(d->files, 0), 2, 2) : 0);
	derive_fit(d, "_FILE_OBJECT", d->files, 0x100, file, G_N_ELEMENTS(file));
}

/* Tokens -------------------------------------------------------------------------- */

static bool is_sid(struct derive *d, uint32_t va, uint8_t sid[12])
{
	return evidence_pointer(d->e, va) && !space_read(d->e->space, (va_t){ va }, sid, 12, NULL) && sid[0] == 1 && sid[1] <= 15 &&
	       !sid[2] && !sid[3] && !sid[4] && !sid[5] && !sid[6] && sid[7] && sid[7] <= 18;
}

/* How many _SID_AND_ATTRIBUTES stand at va, at most max. */
static unsigned count_sids(struct derive *d, uint32_t va, unsigned max)
{
	uint32_t sid_at;
	uint8_t sid[12];
	unsigned n = 0;

	while (n < max && read_word(d, va + 2 * W * n, &sid_at) && is_sid(d, sid_at, sid))
		n++;
	return n;
}

static int names_groups(struct derive *d, const struct instance *s, unsigned at)
{
	return count_sids(d, value(s, at), 2) == 2;
}

static float probe_groups(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, names_groups);
}

static int is_group_count(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t n = value(s, at);

	return n > 1 && n < GROUPS_MAX && count_sids(d, value(s, d->anchor), n + 1) == n;
}

static float probe_group_count(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_group_count);
}

/* The index of S-1-16-… among the groups. */
static int is_integrity(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t n = value(s, at), sid_at;
	uint8_t sid[12];

	return n && n < GROUPS_MAX && read_word(d, value(s, d->anchor) + 2 * W * n, &sid_at) && is_sid(d, sid_at, sid) && sid[7] == 16;
}

static float probe_integrity(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_integrity);
}

/* Present, enabled, by default: a bit for each of the numbers 2 to 36. Until Windows 2003 a pointer to an array of them. */
static int is_privileges(struct derive *d, const struct instance *s, unsigned at)
{
	uint64_t present = instance_value(s, at, 8), enabled = instance_value(s, at + 8, 8), before = at >= 8 ? instance_value(s, at - 8, 8) : 0;
	uint32_t first[3], array = value(s, at);

	if (!d->layout->sep_token_privileges.Enabled.size)
		return evidence_pointer(d->e, array) && !(array & 3) && !space_read(d->e->space, (va_t){ array }, first, sizeof(first), NULL) &&
		       first[0] > 1 && first[0] <= 36 && !first[1] && !(first[2] & 0x7ffffff8);
	bool earlier = (before >> 23 & 1) && !(before & 3) && !(before >> 37) && !(present & ~before);
	return (present >> 23 & 1) && !(present & 3) && !(present >> 37) && !(enabled & ~present) && !earlier;
}

static float probe_privileges(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_privileges);
}

static int is_logon(struct derive *d, const struct instance *s, unsigned at)
{
	uint64_t luid = instance_value(s, at, 8);

	(void)d;
	return s->process ? luid && luid <= UINT32_MAX : luid == SYSTEM_LUID;
}

static float probe_logon(struct derive *d, unsigned at)
{
	return value(instance_at(d->instances, 0), at) == SYSTEM_LUID ? derive_share_of(d, at, 2, is_logon) : 0;
}

static void derive_tokens(struct derive *d)
{
	static const struct probe groups = { FIELD_OF(token.UserAndGroups), probe_groups, 4, 4, 0.8f };
	static const struct probe token[] = {
		{ FIELD_OF(token.AuthenticationId), probe_logon, 8, 3, 0.9f }, { FIELD_OF(token.Privileges), probe_privileges, 4, 4, 0.8f },
		{ FIELD_OF(token.UserAndGroupCount), probe_group_count, 4, 4, 0.8f }, { FIELD_OF(token.UserAndGroups), probe_groups, 4, 4, 0.8f },
		{ FIELD_OF(token.IntegrityLevelIndex), probe_integrity, 4, 3, 0.8f },
	};
	const struct field *f = &d->layout->eprocess.Token;

	for (guint i = 0; f->size && i < d->e->processes->len && d->tokens->len < TABLES_MAX; i++)
		instances_add(d->tokens, d->e->space, value(instance_at(d->e->processes, i), f->offset) & ~7u, i);
	d->anchor = d->checking ? d->layout->token.UserAndGroups.offset : derive_find(d, d->tokens, 0x200, &groups);
	derive_fit(d, "_TOKEN", d->tokens, 0x200, token, G_N_ELEMENTS(token));
}

/* Handle tables ------------------------------------------------------------------- */

static int is_quota_process(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t owner = value(s, at);

	return !owner && !s->process ? -1 : owner == (uint32_t)process_of(d, s)->va;
}

static float probe_quota_process(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_quota_process);
}

static int is_table_pid(struct derive *d, const struct instance *s, unsigned at)
{
	return value(s, at) == value(process_of(d, s), d->e->pid);
}

static float probe_table_pid(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_table_pid);
}

static int is_table_list(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t back;

	return value(s, at) != (uint32_t)s->va + at && read_word(d, value(s, at) + W, &back) && back == (uint32_t)s->va + at;
}

static float probe_table_list(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_table_list);
}

/* A page of entries of 8 bytes, the first never used, the others a pointer to something (its low bits flags), or none. */
static int is_table_code(struct derive *d, const struct instance *s, unsigned at)
{
	uint32_t code = value(s, at), page = code & ~7u, entries[64], any;
	unsigned used = 0, named = 0;

	if ((code & 7) > 2 || !page || page == (uint32_t)process_of(d, s)->va)
		return false;
	for (unsigned level = code & 7; level; level--)
		if (!read_word(d, page, &page))
			return false;
	if (!page)	/* nothing was ever opened */
		return -1;
	if (!evidence_pointer(d->e, page) || (page & 7) || space_read(d->e->space, (va_t){ page }, entries, sizeof(entries), NULL))
		return false;
	for (unsigned i = 2; i < G_N_ELEMENTS(entries); i += 2) {
		used += evidence_pointer(d->e, entries[i]);
		named += read_word(d, entries[i] & ~7u, &any);
	}
	return !used ? -1 : named * 3 >= used * 2;
}

static float probe_table_code(struct derive *d, unsigned at)
{
	return derive_share_of(d, at, 2, is_table_code);
}

static void derive_tables(struct derive *d)
{
	static const struct probe table[] = {
		{ FIELD_OF(handle_table.TableCode), probe_table_code, 4, 4, 0.6f }, { FIELD_OF(handle_table.QuotaProcess), probe_quota_process, 4, 4, 0.8f },
		{ FIELD_OF(handle_table.UniqueProcessId), probe_table_pid, 4, 4, 0.8f }, { FIELD_OF(handle_table.HandleTableList), probe_table_list, 4, 4, 0.8f },
	};
	const struct field *f = &d->layout->eprocess.ObjectTable;

	for (guint i = 0; f->size && i < d->e->processes->len && d->tables->len < TABLES_MAX; i++)
		instances_add(d->tables, d->e->space, value(instance_at(d->e->processes, i), f->offset), i);
	derive_expect_size(d, (d->layout->handle_table.size_ + 7) & ~7u, derive_block_size(d, d->tables, NULL));
	derive_fit(d, "_HANDLE_TABLE", d->tables, 0xc0, table, G_N_ELEMENTS(table));
}

void derive_narrow_memory(struct derive *d)
{
	static const struct probe start = { FIELD_OF(mmvad_short.StartingVpn), derive_probe_start, 4, 4, 0.7f };
	static const struct probe node[] = {
		{ FIELD_OF(mmvad_short.StartingVpn), derive_probe_start, 4, 4, 0.7f }, { FIELD_OF(mmvad_short.EndingVpn), probe_end, 4, 4, 0.7f },
		{ FIELD_OF(mmvad_short.u), probe_flags, 4, 4, 0.95f },
	};
	static const struct probe whole[] = {
		{ FIELD_OF(mmvad.StartingVpn), derive_probe_start, 4, 4, 0.7f }, { FIELD_OF(mmvad.EndingVpn), probe_end, 4, 4, 0.7f },
		{ FIELD_OF(mmvad.u), probe_flags, 4, 4, 0.95f }, { FIELD_OF(mmvad.ControlArea), probe_area, 4, 4, 0.7f },
		{ FIELD_OF(mmvad.Subsection), probe_subsection, 4, 4, 0.7f },
		{ FIELD_OF(mmvad.FirstPrototypePte), probe_prototypes, 4, 2, 0.7f }, { FIELD_OF(mmvad.LastContiguousPte), probe_prototypes, 4, 2, 0.7f },
	};
	const struct field flags = d->layout->mmvad_short.u, commit = d->layout->mmvad_short.u1;
	unsigned taken = 0;

	for (guint i = 1; d->layout->eprocess.VadRoot.size && i < d->e->processes->len && taken < PROCESSES_MAX; i++) {
		guint before = d->nodes->len;
		if (derive_image_base(d, i))
			collect_nodes(d, i);
		taken += d->nodes->len > before;
	}
	d->anchor = d->checking ? d->layout->mmvad_short.StartingVpn.offset : derive_find(d, d->nodes, NODE_MOST, &start);
	derive_expect_size(d, (d->layout->mmvad_short.size_ + 7) & ~7u, derive_block_size(d, d->nodes, "VadS"));
	derive_fit(d, "_MMVAD_SHORT", d->nodes, NODE_MOST, node, G_N_ELEMENTS(node));
	derive_flags(d);
	if (!d->checking)
		derive_commit(d, &flags, &commit);
	derive_expect_size(d, (d->layout->mmvad.size_ + 7) & ~7u, derive_block_size(d, d->nodes, "Vad "));
	derive_fit(d, "_MMVAD", d->nodes, NODE_MOST, whole, G_N_ELEMENTS(whole));
	derive_sections(d);
	derive_tokens(d);
	derive_tables(d);
}
