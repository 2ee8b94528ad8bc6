/* SPDX-License-Identifier: Apache-2.0 */
#include "vad_tree.h"
#include <string.h>
#include "limit.h"
#include "pool.h"
#include "room.h"

/* Is a process's tree an _MM_AVL_TABLE? From Windows 2003 to 8; before and after a pointer to the topmost node. */
static bool in_table(const struct layout *l)
{
	return l->eprocess.VadRoot.size > l->pointer_size;
}

/* The node's two children; the build's fields decide which structure links them. */
static enum fault children(const struct object *node, uint64_t *left, uint64_t *right)
{
	enum fault fault;

	if (HAS(*node, mmvad_short.LeftChild)) {	/* up to Windows 7 */
		if ((fault = READ(*node, mmvad_short.LeftChild, left)))
			return fault;
		return READ(*node, mmvad_short.RightChild, right);
	}
	struct object link = MEMBER(*node, mmvad_short.VadNode);
	if (!link.va.v)
		return FAULT_NO_FIELD;
	if (HAS(link, rtl_balanced_node.Left) && !in_table(node->space->layout)) {
		if ((fault = READ(link, rtl_balanced_node.Left, left)))
			return fault;
		return READ(link, rtl_balanced_node.Right, right);
	}
	if ((fault = READ(link, mm_avl_node.LeftChild, left)))
		return fault;
	return READ(link, mm_avl_node.RightChild, right);
}

static enum fault tree_root(const struct object *proc, uint64_t *root)
{
	struct object tree = MEMBER(*proc, eprocess.VadRoot), sentinel;

	if (!tree.va.v)
		return FAULT_NO_FIELD;
	if (!in_table(proc->space->layout))
		return read_pointer(proc->space, tree.va, root);
	/* The table's embedded node is a sentinel: the tree hangs on its right. */
	sentinel = MEMBER(tree, mm_avl_table.BalancedRoot);
	if (HAS(sentinel, mmaddress_node.RightChild))
		return READ(sentinel, mmaddress_node.RightChild, root);
	return READ(sentinel, mm_avl_node.RightChild, root);
}

/* A page that the dump lacks may be zeros in it (a raw image). No node is: it has a protection, and a parent or children. */
static bool is_blank(const struct object *node)
{
	uint8_t bytes[0x40];
	const size_t size = MIN(node->space->layout->mmvad_short.size_, sizeof(bytes));

	return size && !space_read(node->space, node->va, bytes, size, NULL) && bytes_are_zero(bytes, size);
}

static enum fault read_range(const struct object *node, struct vad *vad)
{
	uint64_t start, end, high = 0;
	enum fault fault;

	if ((fault = READ(*node, mmvad_short.StartingVpn, &start)) || (fault = READ(*node, mmvad_short.EndingVpn, &end)))
		return fault;
	if (!READ(*node, mmvad_short.StartingVpnHigh, &high))
		start |= high << 32;
	if (HAS(*node, mmvad_short.EndingVpnHigh) && !READ(*node, mmvad_short.EndingVpnHigh, &high))
		end |= high << 32;
	if (start > end || end >> 52 || (!end && is_blank(node)))
		return FAULT_IMPLAUSIBLE;
	vad->start.v = start * PAGE_SIZE;
	vad->end.v = end * PAGE_SIZE + PAGE_MASK;
	/* User memory only: a node that claims the kernel's half is smeared. */
	return space_is_kernel(node->space, vad->end) ? FAULT_IMPLAUSIBLE : FAULT_NONE;
}

/* Windows XP has a bit for each type. */
static enum fault old_type(const struct object *flags, uint32_t *out)
{
	const struct layout *l = flags->space->layout;
	const struct { struct field field; enum vad_type type; } bits[] = {
		{ l->mmvad_flags.ImageMap, VAD_IMAGE_MAP }, { l->mmvad_flags.PhysicalMapping, VAD_DEVICE_PHYSICAL_MEMORY },
		{ l->mmvad_flags.UserPhysicalPages, VAD_AWE }, { l->mmvad_flags.WriteWatch, VAD_WRITE_WATCH },
		{ l->mmvad_flags.LargePages, VAD_LARGE_PAGES },
	};

	*out = VAD_NONE;
	for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
		uint32_t bit = 0;
		enum fault fault = object_read(flags, bits[i].field, &bit, sizeof(bit));
		if (fault)
			return fault;
		if (bit && *out == VAD_NONE)
			*out = bits[i].type;
	}
	return FAULT_NONE;
}

static enum fault read_flags(const struct object *node, struct vad *vad)
{
	struct object flags = MEMBER(*node, mmvad_short.u), flags1 = MEMBER(*node, mmvad_short.u1);
	uint32_t type = 0, protection, is_private = 0, commit_bit = 0;
	uint64_t commit = 0, high = 0;
	enum fault fault;

	if (HAS(*node, mmvad_short.LeftChild))	/* up to Windows 7: u1 is the parent */
		flags1.va.v = 0;
	if ((fault = READ(flags, mmvad_flags.Protection, &protection)))
		return fault;
	if ((fault = HAS(flags, mmvad_flags.ImageMap) ? old_type(&flags, &type) : READ(flags, mmvad_flags.VadType, &type)) ||
	    (fault = READ(flags, mmvad_flags.PrivateMemory, &is_private)))
		return fault;
	vad->protection = protection_from_mm(protection);
	vad->protection_known = true;
	vad->type = (enum vad_type)type;
	vad->is_private = is_private;
	if (flags1.va.v && HAS(flags1, mmvad_flags1.CommitCharge)) {
		vad->commit_known = !READ(flags1, mmvad_flags1.CommitCharge, &commit);
		if (vad->commit_known && !READ(*node, mmvad_short.CommitChargeHigh, &high))
			commit |= high << (node->space->layout->mmvad_flags1.CommitCharge.bits & 63);
	} else {
		vad->commit_known = !READ(flags, mmvad_flags.CommitCharge, &commit);
	}
	if (READ(flags, mmvad_flags.MemCommit, &commit_bit) && flags1.va.v)
		(void)!READ(flags1, mmvad_flags1.MemCommit, &commit_bit);
	vad->mem_commit = commit_bit;
	/* MM_MAX_COMMIT: what no one charges for (images, mapped files). */
	vad->commit_charge = commit == UINT64_C(0x7ffffffffffff) || commit == 0x7fffffff || commit == 0x7ffff ? 0 : commit;
	return FAULT_NONE;
}

/* The section behind a mapped or image VAD: control area, file, prototype PTEs. */
static void read_section(const struct object *node, struct vad *vad)
{
	uint64_t subsection = 0, area = 0, file = 0;
	uint8_t pending = 0, image = 0;
	enum fault fault;

	(void)!READ(*node, mmvad.FirstPrototypePte, &vad->first_prototype_pte.v);
	(void)!READ(*node, mmvad.LastContiguousPte, &vad->last_prototype_pte.v);
	if (HAS(*node, mmvad.ControlArea)) {	/* before Windows Vista */
		if ((fault = READ(*node, mmvad.ControlArea, &area)))
			goto missing;
		vad->subsection.v = area;	/* its first one follows it */
	} else {
		if ((fault = READ(*node, mmvad.Subsection, &subsection)))
			goto missing;
		vad->subsection.v = subsection;
		struct object sub = object_at(node->space, subsection);
		if (!subsection)
			return;
		if ((fault = space_is_kernel(node->space, sub.va) ? READ(sub, subsection.ControlArea, &area) : FAULT_IMPLAUSIBLE))
			goto missing;
	}
	if (!area)
		return;
	if ((fault = space_is_kernel(node->space, (va_t){ area }) ? FAULT_NONE : FAULT_IMPLAUSIBLE))
		goto missing;
	vad->control_area.v = area;
	struct object control = object_at(node->space, area), flags = MEMBER(control, control_area.u);
	if (!READ(flags, mmsection_flags.Image, &image))
		vad->is_image = image;
	struct object pointer = MEMBER(control, control_area.FilePointer);
	if ((fault = pointer.va.v ? read_pointer(node->space, pointer.va, &file) : FAULT_NO_FIELD))
		goto missing;
	file = fast_ref(node->space, file);
	if (!file)
		return;	/* backed by the page file */
	vad->has_file = true;
	vad->file_object.v = file;
	struct object object = object_at(node->space, file);
	if (!READ(object, file_object.DeletePending, &pending))
		vad->file_delete_pending = pending != 0;
	vad->file_fault = read_file_name(node->space, object.va, &vad->file_path);
	return;
missing:
	vad->file_fault = fault;
}

static bool read_node(struct context *c, const struct object *node, struct vad *vad, bool note)
{
	enum fault fault = read_range(node, vad);

	if (fault) {
		if (fault == FAULT_UNMAPPED)	/* a link that leads nowhere is no link */
			fault = FAULT_IMPLAUSIBLE;
		if (note)
			context_note(c, fault, node->va, "vads", "a node of the VAD tree can't be read or has no sane range");
		return false;
	}
	vad->node = node->va;
	(void)!read_pool_tag(node->space, node->va, vad->tag);
	vad->fault = read_flags(node, vad);
	/* VadS and VadF are _MMVAD_SHORTs: there is nothing past them. */
	if (!vad->fault && !vad->is_private && !g_str_equal(vad->tag, "VadS") && !g_str_equal(vad->tag, "VadF"))
		read_section(node, vad);
	return true;
}

static int compare_vads(const void *a, const void *b)
{
	const struct vad *x = a, *y = b;

	if (x->start.v != y->start.v)
		return x->start.v < y->start.v ? -1 : 1;
	return (x->node.v > y->node.v) - (x->node.v < y->node.v);
}

struct vad_pool {
	GMutex lock;
	GHashTable *by_parent;		/* node → GArray of nodes (uint64_t) that name it their parent; NULL: nobody asked yet */
	struct room *room;
};

/* Add it, which takes its text over, if there is room. */
static bool add_vad(GArray *vads, struct vad *vad, uint64_t *room)
{
	uint64_t bytes = sizeof(*vad) + (vad->file_path ? strlen(vad->file_path) + 1 : 0);

	if (vads->len >= limit(vad_nodes) || bytes > *room) {
		g_free(vad->file_path);
		return false;
	}
	*room -= bytes;
	g_array_append_vals(vads, vad, 1);
	return true;
}

bool vad_tree_read(struct context *c, struct process *process, struct vad_pool *pool, GArray *lost)
{
	struct object proc = object_at(c->space, process->eprocess.v);
	g_autoptr(GArray) stack = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GArray *vads = process->vads.vads;
	uint64_t root = 0, room;
	enum fault fault = tree_root(&proc, &root);
	bool whole = true, full = false;

	if (fault) {
		context_note(c, fault, proc.va, "vads", "the root of the VAD tree can't be read");
		return false;
	}
	room = pool ? room_take(pool->room) : limit(vad_bytes);
	if (root)
		g_array_append_val(stack, root);
	while (stack->len) {
		struct object node = object_at(c->space, g_array_index(stack, uint64_t, stack->len - 1));
		g_array_set_size(stack, stack->len - 1);
		if (g_hash_table_contains(seen, &node.va.v)) {
			context_note(c, FAULT_IMPLAUSIBLE, node.va, "vads", "the VAD tree has a loop: a node is reached twice");
			whole = false;
			continue;
		}
		uint64_t *key = g_memdup2(&node.va.v, sizeof(uint64_t)), left = 0, right = 0;
		g_hash_table_add(seen, key);
		struct vad vad = { .node = node.va };
		if (!read_node(c, &node, &vad, true)) {
			whole = false;
			if (lost)
				g_array_append_val(lost, node.va.v);
			continue;	/* its links are no better than its range */
		}
		if ((full = !add_vad(vads, &vad, &room)))
			break;
		if ((fault = children(&node, &left, &right))) {
			context_note(c, fault, node.va, "vads", "a VAD node's children can't be read");
			whole = false;
			continue;
		}
		if (right)
			g_array_append_val(stack, right);
		if (left)
			g_array_append_val(stack, left);
	}
	if (pool)
		room_give(pool->room, room);
	if (full && vads->len >= limit(vad_nodes))
		context_note(c, FAULT_LIMIT, proc.va, "vads", "the VAD tree has more than %" G_GUINT64_FORMAT " nodes", limit(vad_nodes));
	else if (full)
		context_note(c, FAULT_LIMIT, proc.va, "vads", "the VAD tree takes more memory than is left for it: %u nodes were read", vads->len);
	g_array_sort(vads, compare_vads);
	return whole;
}

/* Nodes that no node leads to ---------------------------------------------- */

/* pooltag.txt: "Mm virtual address descriptors". */
static const struct sweep_pattern pool_vads[] = {
	{ SWEEP_POOL, "Vad ", 0x50, 0x100, NULL }, { SWEEP_POOL, "VadS", 0x50, 0x100, NULL }, { SWEEP_POOL, "VadF", 0x50, 0x100, NULL },
	{ SWEEP_POOL, "Vadl", 0x50, 0x180, NULL }, { SWEEP_POOL, "Vadm", 0x50, 0x180, NULL },
};
const struct sweep_pattern *const vad_tree_sweeps[] = { &pool_vads[0], &pool_vads[1], &pool_vads[2], &pool_vads[3], &pool_vads[4], NULL };

struct vad_pool *vad_pool_create(void)
{
	struct vad_pool *pool = g_new0(struct vad_pool, 1);

	g_mutex_init(&pool->lock);
	pool->room = room_create(limit(vad_bytes));
	return pool;
}

void vad_pool_destroy(struct vad_pool *pool)
{
	if (pool->by_parent)
		g_hash_table_destroy(pool->by_parent);
	room_destroy(pool->room);
	g_mutex_clear(&pool->lock);
	g_free(pool);
}

/* The low bits of the pointer carry the node's balance. */
static enum fault parent(const struct object *node, uint64_t *out)
{
	enum fault fault;

	if (HAS(*node, mmvad_short.LeftChild)) {	/* Windows 7 */
		fault = READ(*node, mmvad_short.u1, out);
	} else {
		struct object link = MEMBER(*node, mmvad_short.VadNode);
		if (!link.va.v)
			return FAULT_NO_FIELD;
		fault = HAS(link, rtl_balanced_node.ParentValue) ? READ(link, rtl_balanced_node.ParentValue, out) : READ(link, mm_avl_node.u1, out);
	}
	*out &= ~UINT64_C(7);
	return fault;
}

static void array_free(gpointer array)
{
	g_array_unref(array);
}

static void read_pool(struct context *c, struct vad_pool *pool)
{
	pool->by_parent = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, array_free);
	for (size_t p = 0; p < G_N_ELEMENTS(pool_vads) && c->sweep; p++) {
		g_autoptr(GArray) blocks = pool_blocks(c, &pool_vads[p]);
		for (guint i = 0; i < blocks->len; i++) {
			const struct pool_object *o = &g_array_index(blocks, struct pool_object, i);
			struct object node = object_at(c->space, o->va.v);
			uint64_t above = 0;
			if (!o->va.v || o->freed || parent(&node, &above) || !above)
				continue;
			GArray *children = g_hash_table_lookup(pool->by_parent, &above);
			if (!children) {
				children = g_array_new(FALSE, FALSE, sizeof(uint64_t));
				g_hash_table_insert(pool->by_parent, g_memdup2(&above, sizeof(above)), children);
			}
			g_array_append_val(children, o->va.v);
		}
	}
}

struct covered {
	va_t start, end;	/* end: last byte */
};

/* Ranges that don't overlap, in a GTree: one that does is found as equal. */
static gint compare_ranges(gconstpointer a, gconstpointer b, gpointer none)
{
	const struct covered *x = a, *y = b;

	(void)none;
	return x->end.v < y->start.v ? -1 : x->start.v > y->end.v;
}

static void add_range(GTree *ranges, va_t start, va_t end)
{
	struct covered *range = g_new(struct covered, 1);

	range->start = start;
	range->end = end;
	g_tree_insert(ranges, range, range);
}

/* What the set covers; its VADs, sorted, may overlap. */
static GTree *cover(const GArray *vads)
{
	GTree *ranges = g_tree_new_full(compare_ranges, NULL, g_free, NULL);
	va_t start = { 0 }, end = { 0 };

	for (guint i = 0; i < vads->len; i++) {
		const struct vad *v = &g_array_index(vads, struct vad, i);
		if (i && v->start.v <= end.v) {
			end.v = MAX(end.v, v->end.v);
			continue;
		}
		if (i)
			add_range(ranges, start, end);
		start = v->start;
		end = v->end;
	}
	if (vads->len)
		add_range(ranges, start, end);
	return ranges;
}

void vad_tree_add_orphans(struct context *c, struct process *process, struct vad_pool *pool, const GArray *lost)
{
	GArray *vads = process->vads.vads;
	g_autoptr(GArray) from = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	guint found = 0;
	bool full = false;

	g_mutex_lock(&pool->lock);
	if (!pool->by_parent)
		read_pool(c, pool);
	g_mutex_unlock(&pool->lock);
	for (guint i = 0; i < vads->len; i++)
		g_array_append_val(from, g_array_index(vads, struct vad, i).node.v);
	/* A node that is not in the dump still has an address, which its children know. */
	g_array_append_vals(from, lost->data, lost->len);
	GTree *ranges = cover(vads);
	uint64_t room = room_take(pool->room);
	for (guint i = 0; i < from->len && !full; i++) {
		const GArray *children = g_hash_table_lookup(pool->by_parent, &g_array_index(from, uint64_t, i));
		for (guint k = 0; children && k < children->len && !full && !context_cancelled(c); k++) {
			struct object node = object_at(c->space, g_array_index(children, uint64_t, k));
			struct vad vad = { .node = node.va, .orphan = true };
			/* Those of the tree overlap themselves. */
			if (read_range(&node, &vad) || g_tree_lookup(ranges, &(struct covered){ vad.start, vad.end }) || !read_node(c, &node, &vad, false))
				continue;
			if ((full = !add_vad(vads, &vad, &room)))
				break;
			add_range(ranges, vad.start, vad.end);
			g_array_append_val(from, vad.node.v);
			found++;
		}
	}
	g_tree_destroy(ranges);
	room_give(pool->room, room);
	if (full)
		context_note(c, FAULT_LIMIT, process->eprocess, "vads", "more nodes that the broken tree lost than there is room for: %u were read", found);
	g_array_sort(vads, compare_vads);
	if (found)
		context_note(c, FAULT_IMPLAUSIBLE, process->eprocess, "vads", "%u nodes that the broken tree lost were found by their pool blocks", found);
}
