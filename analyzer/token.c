/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"
#include "limit.h"
#include <string.h>

/* SID_MAX_SUB_AUTHORITIES, winnt.h. */
#define MAX_SUB_AUTHORITIES 15

enum fault process_token(struct space *space, va_t eprocess, va_t *out)
{
	struct object process = object_at(space, eprocess.v);
	uint64_t value = 0;
	enum fault fault = READ(process, eprocess.Token, &value);

	if (fault)
		return fault;
	out->v = fast_ref(space, value);
	return out->v ? FAULT_NONE : FAULT_IMPLAUSIBLE;
}

enum fault read_sid(struct space *space, va_t at, char **out)
{
	struct object sid = object_at(space, at.v);
	uint8_t revision = 0, count = 0, authority[6];
	uint64_t value = 0;
	uint8_t subs[4 * MAX_SUB_AUTHORITIES];
	enum fault fault;

	if ((fault = READ(sid, sid.Revision, &revision)) || (fault = READ(sid, sid.SubAuthorityCount, &count)))
		return fault;
	if (revision != 1 || !count || count > MAX_SUB_AUTHORITIES)
		return FAULT_IMPLAUSIBLE;
	struct object id = MEMBER(sid, sid.IdentifierAuthority), sub = MEMBER(sid, sid.SubAuthority);
	if (!id.va.v || !sub.va.v)
		return FAULT_NO_FIELD;
	if ((fault = space_read(space, id.va, authority, sizeof(authority), NULL)) ||
	    (fault = space_read(space, sub.va, subs, 4u * count, NULL)))
		return fault;
	for (int i = 0; i < 6; i++)	/* the one number in Windows that is big-endian */
		value = value << 8 | authority[i];
	GString *text = g_string_new("S-1-");
	/* As ConvertSidToStringSid does: in hex once it no longer fits 32 bits. */
	g_string_append_printf(text, value >> 32 ? "0x%" G_GINT64_MODIFIER "x" : "%" G_GUINT64_FORMAT, value);
	struct bytes b = { subs, 4u * count, false };
	for (unsigned i = 0; i < count; i++)
		g_string_append_printf(text, "-%u", bytes_u32(&b));
	*out = g_string_free(text, FALSE);
	return FAULT_NONE;
}

static void group_clear(void *group)
{
	g_free(((struct token_group *)group)->sid);
}

static void groups_fault(struct token_info *out, enum fault fault, va_t at)
{
	if (out->groups_fault)
		return;
	out->groups_fault = fault;
	out->groups_fault_at = at;
}

/* The i-th of the array; the user is the first. */
static enum fault read_group(struct space *space, uint64_t array, uint32_t i, struct token_group *out)
{
	struct object entry = object_at(space, array + (uint64_t)i * space->layout->sid_and_attributes.size_);
	uint64_t sid = 0;
	enum fault fault;

	if ((fault = READ(entry, sid_and_attributes.Sid, &sid)) || (fault = READ(entry, sid_and_attributes.Attributes, &out->attributes)))
		return fault;
	return read_sid(space, (va_t){ sid }, &out->sid);
}

enum fault token_user(struct space *space, va_t at, char **out)
{
	struct object token = object_at(space, at.v);
	struct token_group user = { NULL, 0 };
	uint64_t array = 0;
	enum fault fault;

	if ((fault = READ(token, token.UserAndGroups, &array)) || (fault = read_group(space, array, 0, &user)))
		return fault;
	*out = user.sid;
	return FAULT_NONE;
}

static void read_groups(const struct object *token, struct token_info *out)
{
	const struct layout *l = token->space->layout;
	uint32_t count = 0, level = UINT32_MAX;
	uint64_t array = 0;
	enum fault fault;

	if ((fault = READ(*token, token.UserAndGroupCount, &count)) || (fault = READ(*token, token.UserAndGroups, &array)) ||
	    (fault = l->sid_and_attributes.size_ ? FAULT_NONE : FAULT_NO_FIELD) ||
	    (fault = !count ? FAULT_IMPLAUSIBLE : count > limit(token_groups) ? FAULT_LIMIT : FAULT_NONE)) {
		groups_fault(out, fault, token->va);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct token_group group = { NULL, 0 };
		if ((fault = read_group(token->space, array, i, &group))) {
			groups_fault(out, fault, (va_t){ array + (uint64_t)i * l->sid_and_attributes.size_ });
			continue;
		}
		if (!i)
			out->user_sid = g_strdup(group.sid);
		g_array_append_val(out->groups, group);
	}
	/* The level is one of the groups; which one, the token says. */
	if (!READ(*token, token.IntegrityLevelIndex, &level) && level < out->groups->len && !out->groups_fault)
		out->integrity_level = sid_integrity_level(g_array_index(out->groups, struct token_group, level).sid);
	for (guint i = 0; i < out->groups->len && !out->integrity_level; i++)
		out->integrity_level = sid_integrity_level(g_array_index(out->groups, struct token_group, i).sid);
}

/* Windows XP and 2003 have an array of LUID_AND_ATTRIBUTES: the number, 4 bytes of zero, SE_PRIVILEGE_… */
static void read_old_privileges(const struct object *token, struct token_info *out)
{
	uint32_t count = 0;
	uint64_t array = 0;
	uint8_t entry[12];
	enum fault fault;

	out->privileges_fault_at = token->va;
	if (!(fault = READ(*token, token.PrivilegeCount, &count)) && !(fault = READ(*token, token.Privileges, &array)) && count > 64)
		fault = FAULT_IMPLAUSIBLE;
	for (uint32_t i = 0; i < count && !fault; i++) {
		out->privileges_fault_at.v = array + i * sizeof(entry);
		if ((fault = space_read(token->space, out->privileges_fault_at, entry, sizeof(entry), NULL)))
			break;
		struct bytes b = { entry, sizeof(entry), false };
		uint64_t luid = bytes_at(&b, 0, 8), attributes = bytes_at(&b, 8, 4);
		if (luid >= 64)
			fault = FAULT_IMPLAUSIBLE;
		else
			out->present |= UINT64_C(1) << luid;
		if (!fault && (attributes & 2))		/* SE_PRIVILEGE_ENABLED */
			out->enabled |= UINT64_C(1) << luid;
		if (!fault && (attributes & 1))		/* SE_PRIVILEGE_ENABLED_BY_DEFAULT */
			out->enabled_by_default |= UINT64_C(1) << luid;
	}
	if ((out->privileges_fault = fault))
		out->present = out->enabled = out->enabled_by_default = 0;
}

void token_read(struct space *space, va_t at, struct token_info *out)
{
	struct object token = object_at(space, at.v), privileges = MEMBER(token, token.Privileges);

	memset(out, 0, sizeof(*out));
	out->groups = g_array_new(FALSE, TRUE, sizeof(struct token_group));
	g_array_set_clear_func(out->groups, group_clear);
	read_groups(&token, out);
	if (HAS(token, token.PrivilegeCount)) {
		read_old_privileges(&token, out);
		return;
	}
	if ((out->privileges_fault = READ(privileges, sep_token_privileges.Present, &out->present)) ||
	    (out->privileges_fault = READ(privileges, sep_token_privileges.Enabled, &out->enabled)) ||
	    (out->privileges_fault = READ(privileges, sep_token_privileges.EnabledByDefault, &out->enabled_by_default))) {
		out->privileges_fault_at = privileges.va;
		out->present = out->enabled = out->enabled_by_default = 0;
	}
}

void token_info_clear(struct token_info *info)
{
	g_free(info->user_sid);
	if (info->groups)
		g_array_free(info->groups, TRUE);
	memset(info, 0, sizeof(*info));
}

/* Security identifiers in Windows, learn.microsoft.com (well-known SIDs). */
const char *sid_name(const char *sid)
{
	static const struct { const char *sid, *name; } known[] = {
		{ "S-1-0-0", "NULL SID" }, { "S-1-1-0", "Everyone" }, { "S-1-2-0", "LOCAL" }, { "S-1-2-1", "CONSOLE LOGON" },
		{ "S-1-3-0", "CREATOR OWNER" }, { "S-1-3-4", "OWNER RIGHTS" }, { "S-1-5-1", "NT AUTHORITY\\DIALUP" },
		{ "S-1-5-2", "NT AUTHORITY\\NETWORK" }, { "S-1-5-3", "NT AUTHORITY\\BATCH" },
		{ "S-1-5-4", "NT AUTHORITY\\INTERACTIVE" }, { "S-1-5-6", "NT AUTHORITY\\SERVICE" },
		{ "S-1-5-7", "NT AUTHORITY\\ANONYMOUS LOGON" }, { "S-1-5-11", "NT AUTHORITY\\Authenticated Users" },
		{ "S-1-5-12", "NT AUTHORITY\\RESTRICTED" }, { "S-1-5-13", "NT AUTHORITY\\TERMINAL SERVER USER" },
		{ "S-1-5-14", "NT AUTHORITY\\REMOTE INTERACTIVE LOGON" }, { "S-1-5-15", "NT AUTHORITY\\This Organization" },
		{ "S-1-5-18", "NT AUTHORITY\\SYSTEM" }, { "S-1-5-19", "NT AUTHORITY\\LOCAL SERVICE" },
		{ "S-1-5-20", "NT AUTHORITY\\NETWORK SERVICE" }, { "S-1-5-33", "NT AUTHORITY\\WRITE RESTRICTED" },
		{ "S-1-5-113", "NT AUTHORITY\\Local account" },
		{ "S-1-5-114", "NT AUTHORITY\\Local account and member of Administrators group" },
		{ "S-1-5-32-544", "BUILTIN\\Administrators" }, { "S-1-5-32-545", "BUILTIN\\Users" },
		{ "S-1-5-32-546", "BUILTIN\\Guests" }, { "S-1-5-32-547", "BUILTIN\\Power Users" },
		{ "S-1-5-32-551", "BUILTIN\\Backup Operators" }, { "S-1-5-32-555", "BUILTIN\\Remote Desktop Users" },
		{ "S-1-5-32-556", "BUILTIN\\Network Configuration Operators" },
		{ "S-1-5-32-558", "BUILTIN\\Performance Monitor Users" }, { "S-1-5-32-559", "BUILTIN\\Performance Log Users" },
		{ "S-1-5-32-562", "BUILTIN\\Distributed COM Users" }, { "S-1-5-32-568", "BUILTIN\\IIS_IUSRS" },
		{ "S-1-5-32-573", "BUILTIN\\Event Log Readers" }, { "S-1-5-32-578", "BUILTIN\\Hyper-V Administrators" },
		{ "S-1-5-32-580", "BUILTIN\\Remote Management Users" }, { "S-1-5-64-10", "NT AUTHORITY\\NTLM Authentication" },
		{ "S-1-5-80-0", "NT SERVICE\\ALL SERVICES" },
		{ "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", "NT SERVICE\\TrustedInstaller" },
		{ "S-1-15-2-1", "APPLICATION PACKAGE AUTHORITY\\ALL APPLICATION PACKAGES" },
		{ "S-1-16-0", "Mandatory Label\\Untrusted" }, { "S-1-16-4096", "Mandatory Label\\Low" },
		{ "S-1-16-8192", "Mandatory Label\\Medium" }, { "S-1-16-8448", "Mandatory Label\\Medium Plus" },
		{ "S-1-16-12288", "Mandatory Label\\High" }, { "S-1-16-16384", "Mandatory Label\\System" },
		{ "S-1-16-20480", "Mandatory Label\\Protected Process" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (!strcmp(sid, known[i].sid))
			return known[i].name;
	return NULL;
}

/* SECURITY_MANDATORY_…_RID, winnt.h. */
const char *sid_integrity_level(const char *sid)
{
	if (strncmp(sid, "S-1-16-", 7))
		return NULL;
	guint64 rid = g_ascii_strtoull(sid + 7, NULL, 10);
	return rid < 0x1000 ? "untrusted" : rid < 0x2000 ? "low" : rid < 0x2100 ? "medium" : rid < 0x3000 ? "medium_plus" :
		rid < 0x4000 ? "high" : rid < 0x5000 ? "system" : "protected_process";
}

/* SE_…_PRIVILEGE, wdm.h: the low part of each privilege's LUID, and the name winnt.h gives it. */
const char *privilege_name(unsigned luid)
{
	static const char *const names[] = {
		[2] = "SeCreateTokenPrivilege", [3] = "SeAssignPrimaryTokenPrivilege", [4] = "SeLockMemoryPrivilege",
		[5] = "SeIncreaseQuotaPrivilege", [6] = "SeMachineAccountPrivilege", [7] = "SeTcbPrivilege",
		[8] = "SeSecurityPrivilege", [9] = "SeTakeOwnershipPrivilege", [10] = "SeLoadDriverPrivilege",
		[11] = "SeSystemProfilePrivilege", [12] = "SeSystemtimePrivilege", [13] = "SeProfileSingleProcessPrivilege",
		[14] = "SeIncreaseBasePriorityPrivilege", [15] = "SeCreatePagefilePrivilege", [16] = "SeCreatePermanentPrivilege",
		[17] = "SeBackupPrivilege", [18] = "SeRestorePrivilege", [19] = "SeShutdownPrivilege", [20] = "SeDebugPrivilege",
		[21] = "SeAuditPrivilege", [22] = "SeSystemEnvironmentPrivilege", [23] = "SeChangeNotifyPrivilege",
		[24] = "SeRemoteShutdownPrivilege", [25] = "SeUndockPrivilege", [26] = "SeSyncAgentPrivilege",
		[27] = "SeEnableDelegationPrivilege", [28] = "SeManageVolumePrivilege", [29] = "SeImpersonatePrivilege",
		[30] = "SeCreateGlobalPrivilege", [31] = "SeTrustedCredManAccessPrivilege", [32] = "SeRelabelPrivilege",
		[33] = "SeIncreaseWorkingSetPrivilege", [34] = "SeTimeZonePrivilege", [35] = "SeCreateSymbolicLinkPrivilege",
		[36] = "SeDelegateSessionUserImpersonatePrivilege",
	};

	return luid < G_N_ELEMENTS(names) ? names[luid] : NULL;
}
