/* SPDX-License-Identifier: Apache-2.0 */
/* Access tokens: who a process runs as. */
#include <string.h>
#include "sample.h"

/* SE_GROUP_… attributes of a group that counts, of a logon's, of the integrity label. */
enum { GROUP_ENABLED = 0x7, GROUP_OWNER = 0xf, GROUP_LABEL = 0x60 };

#define PRIVILEGES_SYSTEM UINT64_C(0x0000000ff2ffffbc)	/* nearly all: 2-36 without those long gone */
#define PRIVILEGES_USER UINT64_C(0x0000000602880000)	/* 19, 23, 25, 33, 34 */
#define PRIVILEGES_ENABLED UINT64_C(0x0000000000800000)	/* SeChangeNotifyPrivilege, 23 */

static size_t sid_bytes(struct item *item, const char *text, uint8_t out[68])
{
	g_auto(GStrv) parts = g_strsplit(text, "-", -1);
	unsigned n = g_strv_length(parts);

	if (n < 4 || n > 18 || strcmp(parts[0], "S"))
		item_fail(item, "\"%s\" is no SID like S-1-5-18", text);
	memset(out, 0, 68);
	out[0] = (uint8_t)g_ascii_strtoull(parts[1], NULL, 10);
	out[1] = (uint8_t)(n - 3);
	out[7] = (uint8_t)g_ascii_strtoull(parts[2], NULL, 10);
	for (unsigned i = 3; i < n; i++) {
		uint32_t part = GUINT32_TO_LE((uint32_t)g_ascii_strtoull(parts[i], NULL, 10));
		memcpy(out + 8 + 4 * (i - 3), &part, 4);
	}
	return 8 + 4 * (n - 3);
}

void token_facts(struct item *item, uint64_t pid, unsigned session, const char **user, const char **integrity)
{
	*user = item_text(item, "user", session && pid != 4 ? "S-1-5-21-1004336348-1177238915-682003330-1001" : "S-1-5-18");
	*integrity = item_text(item, "integrity", g_str_has_prefix(*user, "S-1-5-21-") ? "medium" : "system");
}

/* Before Vista: an array of LUID_AND_ATTRIBUTES. */
static void old_privileges(struct sample *s, uint64_t token, uint64_t present, uint64_t enabled)
{
	uint64_t array = pool_alloc(s, 64 * 12, "SePr", true);
	unsigned n = 0;

	for (unsigned luid = 0; luid < 64; luid++) {
		if (!(present >> luid & 1))
			continue;
		memory_put(s->memory, ROOT(s), array + 12 * n, luid, 8);
		memory_put(s->memory, ROOT(s), array + 12 * n++ + 8,
			   (enabled >> luid & 1 ? 2 : 0) | ((enabled & PRIVILEGES_ENABLED) >> luid & 1), 4);
	}
	SET(s, token, token.Privileges, array);
	SET(s, token, token.PrivilegeCount, n);
}

uint64_t token_create(struct sample *s, struct item *item, uint64_t pid, unsigned session)
{
	const char *user, *level;
	token_facts(item, pid, session, &user, &level);
	bool system = !strcmp(user, "S-1-5-18");
	const char *groups = item_text(item, "groups", system ? "S-1-5-32-544,S-1-1-0,S-1-5-11" : "S-1-1-0,S-1-5-32-545,S-1-5-4,S-1-5-11");
	static const struct { const char *name, *sid; } levels[] = {
		{ "untrusted", "S-1-16-0" }, { "low", "S-1-16-4096" }, { "medium", "S-1-16-8192" }, { "high", "S-1-16-12288" },
		{ "system", "S-1-16-16384" },
	};
	const char *label = NULL;
	g_auto(GStrv) list = g_strsplit(groups, ",", -1);
	bool labelled = HAS_FIELD(s, token.IntegrityLevelIndex);	/* since Vista */
	unsigned count = g_strv_length(list) + 1 + labelled, size = s->layout->sid_and_attributes.size_;
	uint64_t token = object_alloc(s, OBJECT_TOKEN, s->layout->token.size_ + (size_t)count * size, NULL, 0);
	uint64_t entries = token + s->layout->token.size_;
	uint64_t present = item_number(item, "privileges", system ? PRIVILEGES_SYSTEM : PRIVILEGES_USER);
	uint64_t enabled = item_number(item, "enabled", system ? present : PRIVILEGES_ENABLED);

	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
		if (!strcmp(levels[i].name, level))
			label = levels[i].sid;
	if (!label)
		item_fail(item, "integrity: \"%s\" is none of untrusted, low, medium, high, system", level);
	memory_write(s->memory, ROOT(s), token + OFFSET(s, token.TokenSource), system ? "*SYSTEM*" : "User32 \0", 8);
	SET(s, token, token.TokenId, 0x10000 + pid);
	SET(s, token, token.AuthenticationId, system ? 0x3e7 : 0x2f3a4);
	SET(s, token, token.SessionId, session);
	SET(s, token, token.TokenType, 1);
	SET(s, token, token.UserAndGroupCount, count);
	SET(s, token, token.UserAndGroups, entries);
	SET(s, token, token.IntegrityLevelIndex, count - 1);
	uint64_t privileges = token + OFFSET(s, token.Privileges);
	if (HAS_FIELD(s, token.PrivilegeCount)) {
		old_privileges(s, token, present, enabled);
	} else {
		SET(s, privileges, sep_token_privileges.Present, present);
		SET(s, privileges, sep_token_privileges.Enabled, enabled);
		SET(s, privileges, sep_token_privileges.EnabledByDefault, enabled & PRIVILEGES_ENABLED);
	}
	for (unsigned i = 0; i < count; i++) {
		uint8_t bytes[68];
		const char *text = i == 0 ? user : labelled && i + 1 == count ? label : list[i - 1];
		size_t length = sid_bytes(item, text, bytes);
		uint64_t sid = pool_alloc(s, length, "SeSi", true);
		memory_write(s->memory, ROOT(s), sid, bytes, length);
		SET(s, entries + (uint64_t)i * size, sid_and_attributes.Sid, sid);
		SET(s, entries + (uint64_t)i * size, sid_and_attributes.Attributes,
		    i == 0 ? 0 : labelled && i + 1 == count ? GROUP_LABEL : !strcmp(text, "S-1-5-32-544") ? GROUP_OWNER : GROUP_ENABLED);
	}
	return token;
}
