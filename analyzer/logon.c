/* SPDX-License-Identifier: Apache-2.0 */
#include "logon.h"
#include <string.h>
#include "limit.h"
#include "token.h"

/* A person's SID: an account of a machine or domain (S-1-5-21-…), or of Entra ID (S-1-12-1-…). */
static bool is_person(const char *sid)
{
	return g_str_has_prefix(sid, "S-1-5-21-") || g_str_has_prefix(sid, "S-1-12-1-");
}

#define VISTA 6000u

enum presence { NOBODYS, SYSTEMS, PERSONS, UNKNOWN };	/* of a process: it has exited; … */

/*
 * Who a process tells of. Session 0 has services alone since Vista (learn.microsoft.com, "Session Zero Guidelines for UMDF Drivers"), some under
 * accounts as persons have: they run on when all users have logged off.
 */
static enum presence presence_of(const struct kernel *k, va_t eprocess)
{
	struct object process = object_at(k->space, eprocess.v), token;
	uint64_t exited = 0;
	uint32_t session = 0;
	g_autofree char *user = NULL;
	va_t at;

	if (!READ(process, eprocess.ExitTime, &exited) && exited)
		return NOBODYS;
	if (process_token(k->space, eprocess, &at) || token_user(k->space, at, &user))
		return UNKNOWN;
	if (!is_person(user))
		return SYSTEMS;
	token = object_at(k->space, at.v);
	if (k->build < VISTA)
		return PERSONS;
	return READ(token, token.SessionId, &session) ? UNKNOWN : session ? PERSONS : SYSTEMS;
}

/* NULL: it can't be told. */
static const char *logon_words(const struct kernel *k)
{
	if (!k->layout || !k->layout->eprocess.ActiveProcessLinks.size)
		return NULL;
	const uint64_t head = kernel_symbol(k, PsActiveProcessHead).v, links = k->layout->eprocess.ActiveProcessLinks.offset;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	uint64_t at = head, next = 0;
	unsigned systems = 0, unknown = 0;	/* one of these may be a person's */

	if (!head)
		return NULL;
	for (uint64_t n = 0; n < limit(list_entries); n++, at = next) {
		if (at != head) {
			enum presence presence = presence_of(k, (va_t){ at - links });
			if (presence == PERSONS)
				return "users were logged on";
			systems += presence == SYSTEMS;
			unknown += presence == UNKNOWN;
		}
		if (read_pointer(k->space, (va_t){ at }, &next))
			return NULL;
		if (next == head)
			return systems && !unknown ? "nobody was logged on: as fast startup writes it" : NULL;
		if (!g_hash_table_add(seen, g_memdup2(&next, sizeof(next))))	/* it goes round without its head */
			return NULL;
	}
	return NULL;
}

char *logon_detail(const struct image *image, const struct kernel *k)
{
	const char *detail = image->facts.detail, *users = k && !strcmp(image->facts.format, "hibernation") ? logon_words(k) : NULL;

	return users && detail ? g_strconcat(detail, ", ", users, NULL) : g_strdup(users ? users : detail);
}
