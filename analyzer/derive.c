/* SPDX-License-Identifier: Apache-2.0 */
#include "derive.h"
#include <stdio.h>
#include <string.h>
#include "paging.h"

#define CANDIDATES_MAX 24u
#define PROBES_MAX 32u
#define FIELDS_MAX 96u

/* What was found, field by field, for who wants to know: G_MESSAGES_DEBUG=all. */
struct namer { const struct field *field; char name[96]; };

static void find_name(void *user, const char *type, const char *member, struct field *field)
{
	struct namer *n = user;

	if (field == n->field)
		g_snprintf(n->name, sizeof(n->name), "%s.%s", type, member);
}

static void tell(struct derive *d, const char *what, struct field *f, unsigned at, float score)
{
	struct namer n = { f, "" };

	if (g_log_writer_default_would_drop(G_LOG_LEVEL_DEBUG, G_LOG_DOMAIN))
		return;
	layout_visit_fields(d->layout, find_name, &n);
	g_debug("%s %s: 0x%x to 0x%x, %.2f", what, n.name, f->offset, at, (double)score);
}

/* Fitting one structure ---------------------------------------------------- */

struct place {		/* a probe at an offset that it likes */
	unsigned probe, at;
	int shift;
	float score, total;
	int before;	/* index of the place before it in the best row that ends here, -1: none */
};

static struct field *field_of(struct layout *layout, size_t place)
{
	return (struct field *)(void *)((char *)layout + place);
}

/* What a step from one shift to the next costs: members are put in more often than taken out, and seldom. */
static float step_cost(int from, int to)
{
	if (from == to)
		return 0;
	return 0.6f + 0.0015f * (float)ABS(to - from) + (to < from ? 0.5f : 0);
}

static void candidates(struct derive *d, const struct probe *probe, unsigned index, unsigned limit, GArray *out)
{
	struct place found[CANDIDATES_MAX];
	unsigned old = field_of(d->layout, probe->field)->offset, n = 0;

	for (unsigned at = 0; at + probe->step <= limit; at += probe->step) {
		float score = probe->score(d, at);
		struct place place = { index, at, (int)at - (int)old, score, 0, -1 };

		if (score < probe->least)
			continue;
		if (n < CANDIDATES_MAX) {
			found[n++] = place;
			continue;
		}
		/* Full: the one that moved farthest makes room. */
		unsigned worst = 0;
		for (unsigned i = 1; i < n; i++)
			if (ABS(found[i].shift) > ABS(found[worst].shift))
				worst = i;
		if (ABS(place.shift) < ABS(found[worst].shift)) {
			memmove(found + worst, found + worst + 1, (n - worst - 1) * sizeof(*found));
			found[n - 1] = place;
		}
	}
	g_array_append_vals(out, found, n);
}

/* The best row of places, at most one a probe: a chain in the order of the probes. Returns what it is worth. */
static float choose(GArray *places, const struct probe *probes, struct place *chosen)
{
	int best = -1;

	for (guint i = 0; i < places->len; i++) {
		struct place *p = &g_array_index(places, struct place, i);
		float worth = p->score * p->score * (float)probes[p->probe].weight;

		p->total = worth - step_cost(0, p->shift);
		for (guint j = 0; j < i; j++) {
			const struct place *q = &g_array_index(places, struct place, j);
			float total = q->total + worth - step_cost(q->shift, p->shift);

			if (q->probe == p->probe)
				break;
			/* Two fields never share a place; out of order they are only across builds. */
			if (q->at == p->at)
				continue;
			if (q->at > p->at)
				total -= 2;
			if (total > p->total) {
				p->total = total;
				p->before = (int)j;
			}
		}
		if (best < 0 || p->total > g_array_index(places, struct place, best).total)
			best = (int)i;
	}
	float worth = best >= 0 ? g_array_index(places, struct place, best).total : 0;
	for (; best >= 0; best = g_array_index(places, struct place, best).before)
		chosen[g_array_index(places, struct place, best).probe] = g_array_index(places, struct place, best);
	return worth;
}

struct members {
	const char *type;
	struct field *fields[FIELDS_MAX];
	unsigned n;
};

static void collect(void *user, const char *type, const char *member, struct field *field)
{
	struct members *m = user;

	(void)member;
	if (!strcmp(type, m->type) && field->size && m->n < FIELDS_MAX)
		m->fields[m->n++] = field;
}

float derive_share_of(struct derive *d, unsigned at, unsigned enough, check_fn check)
{
	unsigned good = 0, bad = 0;
	const struct instance *s;

	FOR_INSTANCES(d, s) {
		int ok = check(d, s, at);

		if (ok >= 0)
			*(ok ? &good : &bad) += 1;
		if (derive_hopeless(good, bad))
			return 0;
	}
	return derive_share(good, bad, enough);
}

float derive_probe_pid(struct derive *d, unsigned at)
{
	return at == d->e->pid;
}

float derive_probe_links(struct derive *d, unsigned at)
{
	return at == d->e->links;
}

float derive_probe_name(struct derive *d, unsigned at)
{
	return at == d->e->name;
}

static int by_offset(const void *a, const void *b)
{
	const struct field *x = *(struct field *const *)a, *y = *(struct field *const *)b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return (x > y) - (x < y);
}

struct anchor { unsigned old; int shift; };

static bool is_taken(const struct place *chosen, size_t n, unsigned at)
{
	for (size_t j = 0; j < n; j++)
		if (chosen[j].score > 0 && chosen[j].at == at)
			return true;
	return false;
}

/*
 * A probe that is content elsewhere alone, where nothing else of the row lies: members change their places across others
 * between revisions. What it likes is where the field is; liking more than one place it says no more than that the
 * neighbours' shift isn't to be believed. A place that it likes less by a tenth is none.
 */
static void choose_strays(const GArray *places, const struct probe *probes, size_t n, unsigned *rivals, struct place *chosen)
{
	for (unsigned probe = 0; probe < n; probe++) {
		const struct place *best = NULL;
		unsigned liked = 0;

		if (chosen[probe].score > 0 || probes[probe].weight < 3)
			continue;
		for (guint i = 0; i < places->len; i++) {
			const struct place *p = &g_array_index(places, struct place, i);
			if (p->probe == probe && !is_taken(chosen, n, p->at) && (!best || p->score > best->score))
				best = p;
		}
		for (guint i = 0; best && i < places->len; i++) {
			const struct place *p = &g_array_index(places, struct place, i);
			liked += p->probe == probe && p->score > best->score - 0.1f && !is_taken(chosen, n, p->at);
		}
		if (liked != 1 || best->score < 0.9f)
			continue;
		chosen[probe] = *best;
		rivals[probe] = 0;
	}
}

/* Two can't have one place: who likes more places gives way. */
static void settle_places(size_t n, const unsigned *rivals, struct place *chosen)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (chosen[i].score > 0 && chosen[j].score > 0 && chosen[i].at == chosen[j].at)
				chosen[rivals[i] > rivals[j] ? i : j].score = 0;
}

/* Did a neighbour, of those that were found, move as far? The probes are in the order of the prior. */
static bool moved_alike(const struct place *chosen, size_t n, size_t p)
{
	size_t below = p, above = p + 1;

	while (below && chosen[below - 1].score <= 0)
		below--;
	while (above < n && chosen[above].score <= 0)
		above++;
	return (below && chosen[below - 1].shift == chosen[p].shift) || (above < n && chosen[above].shift == chosen[p].shift);
}

#define DOUBTFUL 50	/* confidence of what was found in one of several places, by itself */

/* Fields that have no probe, by the anchors around them. */
static void move_others(struct derive *d, struct members *m, const bool *probed, const bool *denied, const struct anchor *anchors,
			unsigned n, bool changed)
{
	const struct anchor end = { d->end.old, d->end.shift };

	for (unsigned i = 0; i < m->n; i++) {
		struct field *f = m->fields[i];
		const struct anchor *below = NULL, *above = NULL;

		if (probed[i] || !f->offset)	/* what a structure begins with stays there */
			continue;
		for (unsigned a = 0; a < n; a++) {
			if (anchors[a].old <= f->offset && (!below || anchors[a].old >= below->old))
				below = &anchors[a];
			if (anchors[a].old >= f->offset && (!above || anchors[a].old < above->old))
				above = &anchors[a];
		}
		if (!above && d->end.known)
			above = &end;
		/* The structure's start doesn't move. */
		int low = below ? below->shift : 0;
		bool known = !above || above->shift == low || (above->old == f->offset);
		if (above && above->old == f->offset)
			low = above->shift;
		/* Beyond the last that is known anything may have happened, where other things have. */
		if (!above && (changed || d->moved))
			known = false;
		/* Its probe likes other places. */
		known &= !denied[i];
		if (!known) {
			tell(d, "lost", f, f->offset, 0);
			*f = (struct field){ 0 };
			d->lost++;
			continue;
		}
		if (low || changed || d->foreign) {
			f->offset = (uint16_t)(f->offset + low);
			f->derived = above ? (d->foreign ? 50 : 80) : 30;
		} else if (!above) {	/* nothing speaks against it, and nothing for it */
			f->derived = 55;
		}
	}
}

void derive_expect_size(struct derive *d, uint32_t prior, uint64_t found)
{
	d->end.known = prior && found && found < 0x4000 && found > prior / 2;
	d->end.old = prior;
	d->end.shift = (int)found - (int)prior;
}

static void apply(struct derive *d, const char *type, const struct probe *probes, size_t n, const struct place *chosen,
		  const unsigned *rivals, const bool *liked)
{
	struct members m = { .type = type };
	struct anchor anchors[PROBES_MAX];
	bool probed[FIELDS_MAX] = { false }, denied[FIELDS_MAX] = { false }, changed = false;
	unsigned anchored = 0;

	layout_visit_fields(d->layout, collect, &m);
	qsort(m.fields, m.n, sizeof(*m.fields), by_offset);
	for (size_t p = 0; p < n; p++) {
		const struct field *f = field_of(d->layout, probes[p].field);
		if (chosen[p].score > 0) {
			anchors[anchored++] = (struct anchor){ f->offset, chosen[p].shift };
			changed |= chosen[p].shift != 0;
		}
	}
	for (unsigned i = 0; i < m.n; i++)
		for (size_t p = 0; p < n; p++) {
			bool own = m.fields[i] == field_of(d->layout, probes[p].field);
			probed[i] |= own && chosen[p].score > 0;
			denied[i] |= own && chosen[p].score <= 0 && liked[p];
		}
	changed |= d->end.known && d->end.shift;
	move_others(d, &m, probed, denied, anchors, anchored, changed);
	for (size_t p = 0; p < n; p++) {
		struct field *f = field_of(d->layout, probes[p].field);
		int confidence = (int)(chosen[p].score * 100) - 8 * (int)MIN(rivals[p], 5);

		if (chosen[p].score <= 0)
			continue;
		/* Nothing but the probe speaks for this place, and it would have another as soon; or it looks at a byte alone. */
		if ((rivals[p] && chosen[p].shift && !moved_alike(chosen, n, p)) || (d->foreign && probes[p].step == 1 && probes[p].weight <= 2))
			confidence = MIN(confidence, DOUBTFUL);
		tell(d, rivals[p] ? "found, with rivals," : "found", f, chosen[p].at, chosen[p].score);
		if (chosen[p].shift) {
			f->offset = (uint16_t)chosen[p].at;
			d->moved++;
		}
		if (changed || d->foreign)
			f->derived = (uint8_t)CLAMP(confidence, 20, 100);
	}
}

/* Does each probe that has an opinion like the place it has? */
static void check(struct derive *d, const struct probe *probes, size_t n, unsigned limit)
{
	for (size_t p = 0; p < n; p++) {
		const struct field *f = field_of(d->layout, probes[p].field);

		if (!f->size)
			continue;
		d->fields++;
		if (probes[p].score(d, f->offset) >= probes[p].least)
			continue;
		/* It may be content nowhere: nothing in this dump shows the field. What a weak one likes
		 * elsewhere is chance. */
		for (unsigned at = 0; probes[p].weight > 2 && at + probes[p].step <= limit; at += probes[p].step)
			if (probes[p].score(d, at) >= probes[p].least) {
				d->misfits += probes[p].weight;
				tell(d, "misfit", field_of(d->layout, probes[p].field), at, probes[p].score(d, at));
				break;
			}
	}
}

static int by_prior(const void *a, const void *b, void *layout)
{
	const struct probe *x = a, *y = b;
	unsigned l = field_of(layout, x->field)->offset, r = field_of(layout, y->field)->offset;

	return l != r ? (l < r ? -1 : 1) : (x->field > y->field) - (x->field < y->field);
}

void derive_fit(struct derive *d, const char *type, const GArray *instances, unsigned limit, const struct probe *given, size_t n)
{
	struct place chosen[PROBES_MAX] = { { 0 } };
	unsigned rivals[PROBES_MAX] = { 0 };
	bool liked[PROBES_MAX] = { false };
	struct probe probes[PROBES_MAX] = { { 0 } };
	g_autoptr(GArray) places = NULL;
	size_t known = 0;

	if (!instances->len || n > PROBES_MAX) {
		d->end.known = false;
		return;
	}
	d->instances = instances;
	limit = MIN(limit, INSTANCE_SIZE - 16);
	if (d->checking) {
		check(d, given, n, limit);
		if (d->end.known && d->end.shift)
			d->misfits += 4;
		d->end.known = false;
		return;
	}
	for (size_t p = 0; p < n; p++)
		if (field_of(d->layout, given[p].field)->size)
			probes[known++] = given[p];
	g_qsort_with_data(probes, (gint)known, sizeof(*probes), by_prior, d->layout);
	places = g_array_new(FALSE, FALSE, sizeof(struct place));
	for (size_t p = 0; p < known; p++) {
		guint before = places->len;
		candidates(d, &probes[p], (unsigned)p, limit, places);
		rivals[p] = places->len > before ? places->len - before - 1 : 0;
		liked[p] = places->len > before;
	}
	d->worth += choose(places, probes, chosen);
	settle_places(known, rivals, chosen);
	choose_strays(places, probes, known, rivals, chosen);
	d->fields += (unsigned)known;
	apply(d, type, probes, known, chosen, rivals, liked);
	d->end.known = false;
}

unsigned derive_find(struct derive *d, const GArray *instances, unsigned limit, const struct probe *probe)
{
	unsigned old = field_of(d->layout, probe->field)->offset, best = old;
	float best_score = 0;

	d->instances = instances;
	for (unsigned at = 0; instances->len && at + probe->step <= MIN(limit, INSTANCE_SIZE - 16); at += probe->step) {
		float score = probe->score(d, at);

		if (score < probe->least)
			continue;
		if (score > best_score + 0.05f ||
		    (score > best_score - 0.05f && ABS((int)at - (int)old) < ABS((int)best - (int)old))) {
			best = at;
			best_score = score;
		}
	}
	return best;
}

/* Whole layouts ------------------------------------------------------------ */

uint64_t derive_block_size(struct derive *d, const GArray *instances, const char *tag)
{
	const struct layout *l = d->layout;
	unsigned agree = 0, all = 0;
	uint64_t size = 0;

	if (!l->pool_header.size_ || !l->pool_header.BlockSize.bits)
		return 0;
	for (guint i = 0; i < instances->len; i++) {
		uint64_t at = instance_at(instances, i)->va - l->pool_header.size_, word = 0, n;
		char found[4];

		if (space_read(d->e->space, (va_t){ at + l->pool_header.BlockSize.offset }, &word, l->pool_header.BlockSize.size, NULL))
			continue;
		if (tag && (space_read(d->e->space, (va_t){ at + l->pool_header.PoolTag.offset }, found, 4, NULL) || memcmp(found, tag, 4)))
			continue;
		all++;
		n = (word >> l->pool_header.BlockSize.bit & ((1u << l->pool_header.BlockSize.bits) - 1)) * 2 * d->e->width;
		n = n > l->pool_header.size_ ? n - l->pool_header.size_ : 0;
		if (n == size)
			agree++;
		else if (agree)
			agree--;
		else
			size = n, agree = 1;
	}
	return agree * 2 > all ? size : 0;
}

bool derive_read(struct derive *d, uint64_t va, uint64_t *out)
{
	return evidence_kernel_pointer(va) && !(va & 7) && !space_read(d->e->space, (va_t){ va }, out, 8, NULL);
}

struct space *derive_user(struct derive *d, unsigned process)
{
	const struct field *f = &d->layout->kprocess.DirectoryTableBase;
	struct space *space;

	if (process >= d->e->processes->len || !f->size)
		return NULL;
	if (process >= d->users->len)
		g_ptr_array_set_size(d->users, (gint)d->e->processes->len);
	space = g_ptr_array_index(d->users, process);
	if (!space) {
		uint64_t dtb = instance_value(instance_at(d->e->processes, process), f->offset, d->e->width);
		space = space_create(d->e->kernel->image, NULL, d->e->space->paging, paging_dtb(d->e->space->paging, dtb));
		space->kernel = d->e->space;
		g_ptr_array_index(d->users, process) = space;
	}
	return space;
}

static void destroy_space(gpointer space)
{
	space_destroy(space);
}

void derive_run(struct derive *d, struct evidence *e, struct layout *layout, bool checking, bool foreign, void (*subjects)(struct derive *))
{
	*d = (struct derive){ .e = e, .layout = layout, .checking = checking, .foreign = foreign };
	d->users = g_ptr_array_new_with_free_func(destroy_space);
	d->threads = instances_create();
	d->nodes = instances_create();
	d->areas = instances_create();
	d->files = instances_create();
	d->tokens = instances_create();
	d->tables = instances_create();
	subjects(d);
	g_ptr_array_unref(d->users);
	g_array_unref(d->threads);
	g_array_unref(d->nodes);
	g_array_unref(d->areas);
	g_array_unref(d->files);
	g_array_unref(d->tokens);
	g_array_unref(d->tables);
}

static void all_subjects(struct derive *d)
{
	derive_processes(d);
	derive_threads(d);
	derive_memory(d);
	derive_security(d);
	derive_objects(d);
}

static bool probed_type(const char *type)
{
	static const char *const probed[] = {
		"_KPROCESS", "_EPROCESS", "_KTHREAD", "_ETHREAD", "_MMVAD_SHORT", "_MMVAD", "_MMVAD_FLAGS", "_CONTROL_AREA", "_TOKEN",
		"_HANDLE_TABLE", "_FILE_OBJECT",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(probed); i++)
		if (!strcmp(probed[i], type))
			return true;
	return false;
}

/* Structures no probe looks into, and which an update of a build doesn't change without changing its name. */
static bool is_stable(const char *type)
{
	static const char *const stable[] = {
		"_LIST_ENTRY", "_UNICODE_STRING", "_STRING", "_EX_FAST_REF", "_CLIENT_ID", "_DISPATCHER_HEADER", "_POOL_HEADER", "_CURDIR",
		"_NT_TIB", "_SID", "_SID_AND_ATTRIBUTES", "_SEP_TOKEN_PRIVILEGES", "_OBJECT_HEADER", "_RTL_BALANCED_NODE", "_RTL_AVL_TREE",
		"_PEB", "_PEB32", "_PEB_LDR_DATA", "_RTL_USER_PROCESS_PARAMETERS", "_LDR_DATA_TABLE_ENTRY", "_KLDR_DATA_TABLE_ENTRY",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(stable); i++)
		if (!strcmp(stable[i], type))
			return true;
	return false;
}

/* What is derived says nothing of a field the probes never saw: such a field keeps the prior's offset, of another build at
 * a low confidence, of this one, whose structures aren't quite the dump's, at a middling one. */
static void mark_unseen(void *user, const char *type, const char *member, struct field *field)
{
	const bool *foreign = user;

	(void)member;
	if (field->size && !field->derived && (*foreign || (!probed_type(type) && !is_stable(type))))
		field->derived = *foreign ? 40 : 55;
}

bool derive_same_build(const struct evidence *e, const char *family)
{
	unsigned major, minor, build;

	return family && sscanf(family, "%5u.%5u.%5u", &major, &minor, &build) == 3 &&
	       (build == e->build || (build == 19041 && e->build > 19041 && e->build <= 19045) ||
		(build == 18362 && e->build == 18363) || (build == 6001 && (e->build == 6002 || e->build == 6003)) || (build == 22621 && e->build == 22631) ||
		(build == 26100 && e->build == 26200));
}

struct layout *derive_layout(struct evidence *e, struct layout *const *priors, size_t n)
{
	unsigned best_misfits = G_MAXUINT;
	float best_worth = -1;
	const struct layout *best = NULL;
	struct derive d;

	if (!e->processes->len)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		AUTO(layout) copy = layout_copy(priors[i]);
		bool own = derive_same_build(e, copy->origin);

		derive_run(&d, e, copy, own, !own, all_subjects);
		g_debug("prior %s: %u misfits, worth %.1f", priors[i]->origin, d.misfits, (double)d.worth);
		/* Across builds the one with which most can be found; it is fitted anyway. */
		if (own ? d.misfits < best_misfits : d.worth > best_worth) {
			best_misfits = d.misfits;
			best_worth = d.worth;
			best = priors[i];
		}
	}
	if (!best)
		return NULL;
	struct layout *layout = layout_copy(best);
	bool foreign = !derive_same_build(e, best->origin);
	layout->confidence = 100;
	layout->base = g_strdup(best->origin);
	if (!best_misfits && !foreign) {
		layout->source = LAYOUT_FAMILY;
		return layout;
	}
	derive_run(&d, e, layout, false, foreign, all_subjects);
	layout->source = LAYOUT_DERIVED;
	layout_visit_fields(layout, mark_unseen, &foreign);
	g_free(layout->origin);
	layout->origin = g_strdup_printf("family %s, %u fields moved, %u unknown", best->origin, d.moved, d.lost);
	layout->confidence = foreign ? 60 : 80;
	return layout;
}
