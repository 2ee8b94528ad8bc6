/* SPDX-License-Identifier: Apache-2.0 */
/* Where the fields of _TOKEN and _HANDLE_TABLE are. */
#include <string.h>
#include "derive.h"

#define SYSTEM_LUID 0x3e7u
#define GROUPS_MAX 1024u

/* _TOKEN --------------------------------------------------------------------- */

static const struct instance *process_of(const struct derive *d, const struct instance *s)
{
	return instance_at(d->e->processes, s->process);
}

static bool is_sid(struct derive *d, uint64_t va, uint8_t sid[12])
{
	return evidence_kernel_pointer(va) && !space_read(d->e->space, (va_t){ va }, sid, 12, NULL) && sid[0] == 1 && sid[1] <= 15 &&
	       !sid[2] && !sid[3] && !sid[4] && !sid[5] && !sid[6] && sid[7] && sid[7] <= 18;
}

/* How many _SID_AND_ATTRIBUTES stand at va, at most max. */
static unsigned count_sids(struct derive *d, uint64_t va, unsigned max)
{
	uint64_t pair[2];
	uint8_t sid[12];
	unsigned n = 0;

	while (n < max && !space_read(d->e->space, (va_t){ va + 16 * n }, pair, 16, NULL) && is_sid(d, pair[0], sid))
		n++;
	return n;
}

/* An array of SIDs; the first is the user. */
static float probe_groups(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t groups = instance_value(s, at, 8);

		*(evidence_kernel_pointer(groups) && !(groups & 7) && count_sids(d, groups, 2) == 2 ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* As many SIDs as it says. */
static float probe_group_count(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t n = instance_value(s, at, 4), groups = instance_value(s, d->anchor, 8);

		*(n > 1 && n < GROUPS_MAX && count_sids(d, groups, (unsigned)n) == n &&
		  count_sids(d, groups, (unsigned)n + 1) == n ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* The index of the integrity level, S-1-16-…, among the groups. */
static float probe_integrity(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t n = instance_value(s, at, 4), groups = instance_value(s, d->anchor, 8), sid_at;
		uint8_t sid[12];

		*(n && n < GROUPS_MAX && derive_read(d, groups + 16 * n, &sid_at) && is_sid(d, sid_at, sid) && sid[7] == 16 ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

/* Until Windows 2003 a pointer to an array of _LUID_AND_ATTRIBUTES: a number of 2 to 36, and attributes in few bits. */
static int names_privileges(struct derive *d, const struct instance *s, unsigned at)
{
	uint64_t array = instance_value(s, at, 8);
	uint32_t first[3];

	if (!array)
		return -1;
	return evidence_kernel_pointer(array) && !(array & 3) && !space_read(d->e->space, (va_t){ array }, first, sizeof(first), NULL) &&
	       first[0] > 1 && first[0] <= 36 && !first[1] && !(first[2] & 0x7ffffff8);
}

/* _SEP_TOKEN_PRIVILEGES: present, enabled, enabled by default, a bit for each of the numbers 2 to 36. */
static float probe_privileges(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, earlier = 0;
	const struct instance *s;

	if (!d->layout->sep_token_privileges.Enabled.size)
		return derive_share_of(d, at, 2, names_privileges);
	FOR_INSTANCES(d, s) {
		uint64_t present = instance_value(s, at, 8), enabled = instance_value(s, at + 8, 8), standard = instance_value(s, at + 16, 8);

		/* SeChangeNotify (23) is everybody's. */
		bool ok = (present >> 23 & 1) && !(present & 3) && !(present >> 37) && !(enabled & ~present) && !(standard & ~present);
		*(ok ? &good : &bad) += 1;
		/* Enabled and by default are privileges alike: the first mask is the one before which is none. */
		uint64_t before = at >= 8 ? instance_value(s, at - 8, 8) : 0;
		earlier += ok && (before >> 23 & 1) && !(before & 3) && !(before >> 37) && !(present & ~before);
		if (derive_hopeless(good, bad))
			return 0;
	}
	return 2 * earlier > good ? 0 : derive_share(good, bad, 2);
}

static float probe_logon(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	if (instance_value(instance_at(d->instances, 0), at, 8) != SYSTEM_LUID)
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t luid = instance_value(s, at, 8);
		*(luid && luid < UINT64_C(1) << 32 ? &good : &bad) += 1;
	}
	return derive_share(good, bad, 2);
}

static float probe_session(struct derive *d, unsigned at)
{
	const struct field *f = &d->layout->eprocess.Session;
	unsigned id_at = d->layout->mm_session_space.SessionId.offset, good = 0, bad = 0;
	const struct instance *s;
	bool differ = false;

	if (!f->size)
		return 0;
	FOR_INSTANCES(d, s) {
		uint64_t space = instance_value(process_of(d, s), f->offset, 8);
		uint32_t id;

		if (!space || space_read(d->e->space, (va_t){ space + id_at }, &id, 4, NULL))
			continue;
		*(instance_value(s, at, 4) == id ? &good : &bad) += 1;
		differ |= id != 0;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return differ ? derive_share(good, bad, 2) : 0;
}

static void derive_tokens(struct derive *d)
{
	static const struct probe groups = { FIELD_OF(token.UserAndGroups), probe_groups, 8, 4, 0.8f };
	static const struct probe token[] = {
		{ FIELD_OF(token.AuthenticationId), probe_logon, 8, 3, 0.9f },
		{ FIELD_OF(token.Privileges), probe_privileges, 8, 4, 0.8f },
		{ FIELD_OF(token.SessionId), probe_session, 4, 3, 0.8f },
		{ FIELD_OF(token.UserAndGroupCount), probe_group_count, 4, 4, 0.8f },
		{ FIELD_OF(token.UserAndGroups), probe_groups, 8, 4, 0.8f },
		{ FIELD_OF(token.IntegrityLevelIndex), probe_integrity, 4, 3, 0.8f },
	};
	const struct field *f = &d->layout->eprocess.Token;

	for (guint i = 0; f->size && i < d->e->processes->len && d->tokens->len < 64; i++)
		instances_add(d->tokens, d->e->space, instance_value(instance_at(d->e->processes, i), f->offset, 8) & ~UINT64_C(15), i);
	d->anchor = d->checking ? d->layout->token.UserAndGroups.offset : derive_find(d, d->tokens, 0x400, &groups);
	derive_fit(d, "_TOKEN", d->tokens, 0x400, token, G_N_ELEMENTS(token));
}

/* _HANDLE_TABLE ---------------------------------------------------------------- */

/* How a handle entry names its object: the address itself until Windows 7, then its bits without the low ones and the upper
 * ones, at bit 23 in Windows 8 and at bit 20 since. 0: free entries hold small numbers. */
static uint64_t entry_object(const struct layout *l, uint64_t entry)
{
	const struct field *f = &l->handle_table_entry.ObjectPointerBits;

	if (!(entry >> 32))
		return 0;
	if (!f->size)
		return entry & ~UINT64_C(7);
	return f->bits && f->bits <= 59 && f->bit + f->bits <= 64 ? entry >> f->bit << 4 | G_MAXUINT64 << (f->bits + 4) : 0;
}

/* Of a page of entries those that are used, and those that name something by that form. False: no page of them. */
static bool count_entries(struct derive *d, const struct layout *l, uint64_t page, unsigned *used, unsigned *named)
{
	uint64_t entries[32], any;

	if (!evidence_kernel_pointer(page) || (page & 15) || space_read(d->e->space, (va_t){ page }, entries, sizeof(entries), NULL))
		return false;
	/* The first is never used; free ones hold small numbers. */
	for (unsigned i = 2; i < G_N_ELEMENTS(entries); i += 2) {
		uint64_t object = entry_object(l, entries[i]);

		*used += object != 0;
		*named += object && derive_read(d, object, &any);
	}
	return true;
}

/* Layouts of each form there is, of any build. */
static const struct field entry_forms[] = {
	{ 0, 0, 0, 0, 0 }, { .size = 8, .bit = 23, .bits = 41 }, { .size = 8, .bit = 20, .bits = 44 },
};

/* Does a page of handle entries name objects, by any of the forms? */
static bool has_entries(struct derive *d, uint64_t page, bool *empty)
{
	bool any = false;

	*empty = false;
	for (size_t i = 0; i < G_N_ELEMENTS(entry_forms) && !any; i++) {
		struct layout form = { .pointer_size = 8 };
		unsigned used = 0, named = 0;

		form.handle_table_entry.ObjectPointerBits = entry_forms[i];
		if (!count_entries(d, &form, page, &used, &named))
			return false;
		*empty = !used;
		any = named && named * 3 >= used * 2;
	}
	return any;
}

/* The first page of entries of a table, 0: it has none yet. False: there is no such code. */
static bool first_page(struct derive *d, const struct instance *s, unsigned at, uint64_t *page)
{
	uint64_t code = instance_value(s, at, 8);

	*page = code & ~UINT64_C(7);
	if (!*page || (code & 7) > 2)
		return false;
	for (unsigned level = code & 7; level; level--)
		if (!derive_read(d, *page, page))
			return false;
	return true;
}

/* Do all tables' entries name objects by this layout's form? */
static bool entries_fit(struct derive *d, const struct layout *l)
{
	const struct field *code = &d->layout->handle_table.TableCode;
	unsigned used = 0, named = 0;

	for (guint i = 0; code->size && i < d->tables->len; i++) {
		uint64_t page;
		if (first_page(d, instance_at(d->tables, i), code->offset, &page))
			count_entries(d, l, page, &used, &named);
	}
	return l->handle_table_entry.size_ && named && named * 3 >= used * 2;
}

/* The form of another family, where the prior's isn't that of the dump. */
static void derive_entries(struct derive *d)
{
	struct layout *l = d->layout;

	if (!d->tables->len || !l->handle_table.TableCode.size || entries_fit(d, l))
		return;
	d->misfits += 4;
	if (d->checking)
		return;
	AUTO(layout) donor = derive_donor(d, entries_fit);
	if (!donor)
		return;
	memcpy(&l->handle_table_entry, &donor->handle_table_entry, sizeof(l->handle_table_entry));
	l->handle_table_entry.Object.derived = l->handle_table_entry.ObjectPointerBits.derived = 90;
	l->handle_table_entry.GrantedAccess.derived = l->handle_table_entry.GrantedAccessBits.derived = 90;
	d->moved++;
}

/* A page of entries, or of pointers to such, as the low bits tell. */
static float probe_table_code(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t page;
		bool empty = false, ok = first_page(d, s, at, &page);

		/* The owner is full of pointers, too. */
		if (ok && page == process_of(d, s)->va)
			ok = false;
		else if (ok && !page)
			empty = true;
		else if (ok)
			ok = has_entries(d, page, &empty);
		if (empty)	/* nothing was ever opened: no sign either way */
			continue;
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_next_handle(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t n = instance_value(s, at, 4);
		*(n && !(n & 0x3ff) && n < 0x4000000 ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_quota_process(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t owner = instance_value(s, at, 8);
		if (!owner && !s->process)
			continue;
		*(owner == process_of(d, s)->va ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_table_pid(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		*(instance_value(s, at, 4) == instance_value(process_of(d, s), d->e->pid, 4) ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

static float probe_table_list(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;
	uint64_t back;

	FOR_INSTANCES(d, s) {
		uint64_t flink = instance_value(s, at, 8);
		bool ok = derive_read(d, flink + 8, &back) && back == s->va + at && flink != s->va + at;
		*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 2);
}

#define COUNTED_PAGES 8u

/* Entries of a table that name objects, 0: they can't be counted. Those of a table of two levels on its first pages. */
static unsigned count_handles(struct derive *d, const struct instance *s)
{
	const struct field *f = &d->layout->handle_table.TableCode;
	uint64_t code = f->size ? instance_value(s, f->offset, 8) : 0, base = code & ~UINT64_C(7), pages[COUNTED_PAGES] = { base };
	uint64_t entries[PAGE_SIZE / 8];
	unsigned n = 0;

	if ((code & 7) > 1 || !evidence_kernel_pointer(base) || ((code & 7) && space_read(d->e->space, (va_t){ base }, pages, sizeof(pages), NULL)))
		return 0;
	for (unsigned p = 0; p < COUNTED_PAGES && pages[p]; p++) {
		if (p == COUNTED_PAGES - 1 || space_read(d->e->space, (va_t){ pages[p] }, entries, sizeof(entries), NULL))
			return 0;
		/* The first of a page is never used. Free ones hold small numbers; granted access is behind. */
		for (unsigned i = 2; i < G_N_ELEMENTS(entries); i += 2)
			n += entries[i] >> 32 != 0;
	}
	return n;
}

static float handle_counts(struct derive *d, unsigned at)
{
	unsigned good = 0, bad = 0, n;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		uint64_t said = instance_value(s, at, 4);

		/* Counting is dear: only what can be a count is compared. */
		if (said > 4096) {
			bad++;
		} else if (said && (n = count_handles(d, s))) {
			*(n == said ? &good : &bad) += 1;
		}
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, 3);
}

static float probe_handle_count(struct derive *d, unsigned at)
{
	return handle_counts(d, at);
}

/* Since Windows 8 each of its free lists counts; the first has all of them on most machines. */
static float probe_free_lists(struct derive *d, unsigned at)
{
	const struct field *count = &d->layout->handle_table_free_list.HandleCount;

	return count->size ? handle_counts(d, at + count->offset) : 0;
}

static void derive_tables(struct derive *d)
{
	static const struct probe table[] = {
		{ FIELD_OF(handle_table.TableCode), probe_table_code, 8, 4, 0.6f },
		{ FIELD_OF(handle_table.NextHandleNeedingPool), probe_next_handle, 4, 2, 0.8f },
		{ FIELD_OF(handle_table.QuotaProcess), probe_quota_process, 8, 4, 0.8f },
		{ FIELD_OF(handle_table.UniqueProcessId), probe_table_pid, 4, 4, 0.8f },
		{ FIELD_OF(handle_table.HandleTableList), probe_table_list, 8, 4, 0.8f },
		{ FIELD_OF(handle_table.HandleCount), probe_handle_count, 4, 3, 0.8f },
		{ FIELD_OF(handle_table.FreeLists), probe_free_lists, 8, 3, 0.8f },
	};
	const struct field *f = &d->layout->eprocess.ObjectTable;

	for (guint i = 0; f->size && i < d->e->processes->len && d->tables->len < 64; i++)
		instances_add(d->tables, d->e->space, instance_value(instance_at(d->e->processes, i), f->offset, 8), i);
	derive_expect_size(d, (d->layout->handle_table.size_ + 15) & ~15u, derive_block_size(d, d->tables, NULL));
	derive_fit(d, "_HANDLE_TABLE", d->tables, 0x100, table, G_N_ELEMENTS(table));
	derive_entries(d);
}

void derive_security(struct derive *d)
{
	derive_tokens(d);
	derive_tables(d);
}
