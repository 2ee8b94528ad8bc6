/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for what a plugin keeps of all processes (or drivers) until the run ends. A process may take an eighth of what the others left, so that
 * there is some for the next, however many are hostile. For several threads.
 */
#ifndef MEMSIEVE_ROOM_H
#define MEMSIEVE_ROOM_H
#include <glib.h>
#include <stdint.h>

struct room;

struct room *room_create(uint64_t bytes);
void room_destroy(struct room *room);
/* How many bytes a process may keep: they are taken at once, what it doesn't need is given back. */
uint64_t room_take(struct room *room);
void room_give(struct room *room, uint64_t bytes);
#endif
