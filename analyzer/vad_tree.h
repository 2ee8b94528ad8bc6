/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a process's tree of virtual address descriptors. Three shapes: Windows 7
 * (_MMADDRESS_NODE within an _MM_AVL_TABLE), 8 (_MM_AVL_NODE), 8.1 and later
 * (_RTL_BALANCED_NODE below an _RTL_AVL_TREE).
 */
#ifndef MEMSIEVE_VAD_TREE_H
#define MEMSIEVE_VAD_TREE_H
#include "plugin.h"

/*
 * Fill the process's set: sorted by start, without page counts. What breaks the tree is noted; false then, and the addresses
 * (uint64_t) of nodes that can't be read are added to `lost`, which may be NULL. What `pool` has told of other processes leaves
 * less room for this one; NULL: there are none.
 */
struct vad_pool;
bool vad_tree_read(struct context *context, struct process *process, struct vad_pool *pool, GArray *lost);

/*
 * Of a broken tree: nodes in pool blocks that say that a node of it, also one of those lost, is their parent, and fit between the others. `sweeps` of
 * the plugin must have vad_tree_sweeps; one vad_pool serves all processes and threads. The set stays sorted.
 */
extern const struct sweep_pattern *const vad_tree_sweeps[];
struct vad_pool *vad_pool_create(void);
void vad_pool_destroy(struct vad_pool *pool);
void vad_tree_add_orphans(struct context *context, struct process *process, struct vad_pool *pool, const GArray *lost);
#endif
