/* SPDX-License-Identifier: Apache-2.0 */
/* Who each process acts as: the groups and privileges of its primary token. */
#include "plugin.h"
#include "token.h"

enum { GROUP_PROCESS, GROUP_SID, GROUP_ATTRIBUTES, GROUP_NAME, GROUP_DERIVED };
enum { PRIVILEGE_PROCESS, PRIVILEGE_NAME, PRIVILEGE_PRESENT, PRIVILEGE_ENABLED, PRIVILEGE_DEFAULT, PRIVILEGE_LUID, PRIVILEGE_DERIVED };

static const char *const group_indices[] = { "sid", NULL };

static const char *const groups_rest_on[] = {
	"_EPROCESS.Token", "_TOKEN.UserAndGroups", "_TOKEN.UserAndGroupCount", NULL
};

static const struct table groups = {
	.name = "groups", .doc = "security identifiers in the tokens of live processes, the user first", .indices = group_indices,
	.rests_on = groups_rest_on,
	.columns = {
		[GROUP_PROCESS] = { "process_id", COL_PROCESS, "" },
		[GROUP_SID] = { "sid", COL_TEXT, "S-1-…" },
		[GROUP_ATTRIBUTES] = { "attributes", COL_INT, "SE_GROUP_… of winnt.h" },
		[GROUP_NAME] = { "name", COL_TEXT, "of a well-known SID" },
		[GROUP_DERIVED] = COLUMN_DERIVED,
	},
};

static const char *const privileges_rest_on[] = {
	"_EPROCESS.Token", "_TOKEN.Privileges", NULL
};

static const struct table privileges = {
	.name = "privileges", .doc = "privileges in the tokens of live processes, present or enabled ones",
	.rests_on = privileges_rest_on,
	.columns = {
		[PRIVILEGE_PROCESS] = { "process_id", COL_PROCESS, "" },
		[PRIVILEGE_NAME] = { "name", COL_TEXT, "e.g. SeDebugPrivilege" },
		[PRIVILEGE_PRESENT] = { "present", COL_BOOL, "the token holds it" },
		[PRIVILEGE_ENABLED] = { "enabled", COL_BOOL, "in use; without being present, it was put there by hand" },
		[PRIVILEGE_DEFAULT] = { "enabled_by_default", COL_BOOL, "" },
		[PRIVILEGE_LUID] = { "luid", COL_INT, "its number" },
		[PRIVILEGE_DERIVED] = COLUMN_DERIVED,
	},
};

static void put_groups(struct context *c, const struct token_info *token)
{
	for (guint i = 0; i < token->groups->len; i++) {
		const struct token_group *group = &g_array_index(token->groups, struct token_group, i);
		struct row *row = row_new(c, &groups);
		row_text(row, GROUP_SID, group->sid);
		row_int(row, GROUP_ATTRIBUTES, group->attributes);
		row_text(row, GROUP_NAME, sid_name(group->sid));
	}
	if (token->groups_fault)
		context_note(c, token->groups_fault, token->groups_fault_at, "groups", "some of the token's groups can't be read");
}

static void put_privileges(struct context *c, const struct token_info *token)
{
	for (unsigned luid = 0; luid < 64; luid++) {
		uint64_t bit = UINT64_C(1) << luid;
		if (!((token->present | token->enabled) & bit))
			continue;
		struct row *row = row_new(c, &privileges);
		row_text(row, PRIVILEGE_NAME, privilege_name(luid));
		row_int(row, PRIVILEGE_PRESENT, (token->present & bit) != 0);
		row_int(row, PRIVILEGE_ENABLED, (token->enabled & bit) != 0);
		row_int(row, PRIVILEGE_DEFAULT, (token->enabled_by_default & bit) != 0);
		row_int(row, PRIVILEGE_LUID, luid);
	}
	if (token->privileges_fault)
		context_note(c, token->privileges_fault, token->privileges_fault_at, "privileges", "the token's privileges can't be read");
}

static bool run_process(struct context *c, GError **error)
{
	struct token_info token;
	va_t at = { 0 };
	enum fault fault = process_token(c->space, c->process->eprocess, &at);

	(void)error;
	if (c->process->exited)	/* it acts no more; whose it was stands in processes.user_sid */
		return true;
	if (fault) {
		context_note(c, fault, c->process->eprocess, "groups", "the process has no readable token");
		return true;
	}
	token_read(c->space, at, &token);
	put_groups(c, &token);
	put_privileges(c, &token);
	token_info_clear(&token);
	return true;
}

const struct plugin plugin_tokens = {
	.name = "tokens",
	.doc = "groups and privileges of processes' tokens",
	.fills = { &groups, &privileges },
	.needs = { "processes" },
	.needs_layout = true,
	.run_process = run_process,
};
