/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

struct room {
	GMutex lock;
	uint64_t left;
};

struct room *room_create(uint64_t bytes)
{
	struct room *room = g_new0(struct room, 1);

	g_mutex_init(&room->lock);
	room->left = bytes;
	return room;
}

void room_destroy(struct room *room)
{
	g_mutex_clear(&room->lock);
	g_free(room);
}

uint64_t room_take(struct room *room)
{
	g_mutex_lock(&room->lock);
	uint64_t bytes = room->left / 8;
	room->left -= bytes;
	g_mutex_unlock(&room->lock);
	return bytes;
}

void room_give(struct room *room, uint64_t bytes)
{
	g_mutex_lock(&room->lock);
	room->left += bytes;
	g_mutex_unlock(&room->lock);
}
