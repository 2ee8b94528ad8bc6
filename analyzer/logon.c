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

/* Has the process not exited? Then its user, whom the caller frees, or NULL: that can't be read. */
static bool is_running(struct space *space, va_t eprocess, char **user)
{
	struct object process = object_at(space, eprocess.v);
	uint64_t exited = 0;
	va_t at;

	*user = NULL;
	if (!READ(process, eprocess.ExitTime, &exited) && exited)
		return false;
	(void)(process_token(space, eprocess, &at) || token_user(space, at, user));
	return true;
}

/* NULL: it can't be told. */
static const char *logon_words(const struct kernel *k)
{
	if (!k->layout || !k->layout->eprocess.ActiveProcessLinks.size)
		return NULL;
	const uint64_t head = kernel_symbol(k, PsActiveProcessHead).v, links = k->layout->eprocess.ActiveProcessLinks.offset;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	uint64_t at = head, next = 0;
	unsigned users = 0, unknown = 0;	/* one of these may be a person's */

	if (!head)
		return NULL;
	for (uint64_t n = 0; n < limit(list_entries); n++, at = next) {
		if (at != head) {
			g_autofree char *user = NULL;
			bool running = is_running(k->space, (va_t){ at - links }, &user);
			if (user && is_person(user))
				return "users were logged on";
			users += user != NULL;
			unknown += running && !user;
		}
		if (read_pointer(k->space, (va_t){ at }, &next))
			return NULL;
		if (next == head)
			return users && !unknown ? "nobody was logged on: as fast startup writes it" : NULL;
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
