/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An access token: who a process (or a thread) acts as.
 *
 *	struct token_info token;
 *	va_t at;
 *	enum fault fault = process_token(space, eprocess, &at);
 *	if (!fault)
 *		token_read(space, at, &token); … token_info_clear(&token);
 */
#ifndef MEMSIEVE_TOKEN_H
#define MEMSIEVE_TOKEN_H
#include "object.h"

struct token_group {
	char *sid;
	uint32_t attributes;		/* SE_GROUP_… */
};

struct token_info {
	char *user_sid;			/* the first of the groups, owned, or NULL */
	const char *integrity_level;	/* "low", "medium", "high", "system" …, or NULL */
	GArray *groups;			/* struct token_group: the user first, then its groups */
	uint64_t present, enabled, enabled_by_default;	/* privileges, bit n for LUID n */
	enum fault groups_fault, privileges_fault;	/* why the above is (partly) missing */
	va_t groups_fault_at, privileges_fault_at;
};

/* The primary token of a process. */
enum fault process_token(struct space *space, va_t eprocess, va_t *out) G_GNUC_WARN_UNUSED_RESULT;
/* Reads what is there; *out is always valid and to be cleared. */
void token_read(struct space *space, va_t token, struct token_info *out);
/* Whose it is alone: the SID, which the caller frees. */
enum fault token_user(struct space *space, va_t token, char **out) G_GNUC_WARN_UNUSED_RESULT;
void token_info_clear(struct token_info *info);

/* A _SID as S-1-…, which the caller frees. */
enum fault read_sid(struct space *space, va_t sid, char **out) G_GNUC_WARN_UNUSED_RESULT;
/* The name everybody knows a SID by ("NT AUTHORITY\SYSTEM"), NULL when there is none. */
const char *sid_name(const char *sid);
/* The level that an S-1-16-… SID stands for, NULL for others. */
const char *sid_integrity_level(const char *sid);
/* "SeDebugPrivilege" of 20; NULL for numbers without a name. */
const char *privilege_name(unsigned luid);
#endif
