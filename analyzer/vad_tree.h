/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a process's tree of virtual address descriptors. Three shapes: Windows 7
 * (_MMADDRESS_NODE within an _MM_AVL_TABLE), 8 (_MM_AVL_NODE), 8.1 and later
 * (_RTL_BALANCED_NODE below an _RTL_AVL_TREE).
 */
#ifndef MEMSIEVE_VAD_TREE_H
#define MEMSIEVE_VAD_TREE_H
#include "plugin.h"

/* Fill the process's set: sorted by start, without page counts. What breaks the tree is noted. */
void vad_tree_read(struct context *context, struct process *process);
#endif
