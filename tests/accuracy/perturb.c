/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perturb DUMP [SEED [COUNT [FAMILY]]]: how well structures are derived from a dump whose layout is known.
 *
 * The prior is the dump's own layout (or that family's) with members taken out of its structures at random: seen from there,
 * they were put into the dump's. What is derived is held against the truth field by field: right, wrong (an offset that
 * isn't the field's, and no word of doubt), lost (said to be unknown). Prints the sums and which fields were wrong or lost
 * how often; MAX_WRONG in the environment is how many wrong fields there may be for exit status 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "derive.h"
#include "image.h"
#include "kernel.h"

/* Structures within others: what is put into the first moves the fields of the second. */
static const struct { const char *type, *outer; } changed[] = {
	{ "_KPROCESS", "_EPROCESS" }, { "_EPROCESS", NULL }, { "_KTHREAD", "_ETHREAD" }, { "_ETHREAD", NULL }, { "_TOKEN", NULL },
	{ "_HANDLE_TABLE", NULL }, { "_CONTROL_AREA", NULL },
};

static uint64_t state;

static uint32_t chance(uint32_t below)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33) % below;
}

struct shift { const char *type; unsigned at, by; bool free; uint32_t size; };

static void check_free(void *user, const char *type, const char *member, struct field *f)
{
	struct shift *s = user;

	(void)member;
	if (strcmp(type, s->type) || !f->size || (!strcmp(member, "Pcb") || !strcmp(member, "Tcb")))
		return;
	s->free &= f->offset + f->size <= s->at || f->offset >= s->at + s->by;
}

static void move(void *user, const char *type, const char *member, struct field *f)
{
	const struct shift *s = user;

	if (!strcmp(type, s->type) && f->size && f->offset >= s->at + s->by && strcmp(member, "Pcb") && strcmp(member, "Tcb"))
		f->offset = (uint16_t)(f->offset - s->by);
}

static void find_size(void *user, const char *type, uint32_t *size)
{
	struct shift *s = user;

	if (!strcmp(type, s->type))
		s->size = *size;
}

static void shrink(void *user, const char *type, uint32_t *size)
{
	const struct shift *s = user;

	if (!strcmp(type, s->type) && *size > s->by)
		*size -= s->by;
}

static bool take_out(struct layout *l, const char *type, const char *outer)
{
	static const unsigned sizes[] = { 8, 8, 16, 16, 24, 32, 32, 48, 64, 96 };
	struct shift s = { .type = type };
	unsigned start = !strcmp(type, "_EPROCESS") ? l->kprocess.size_ : !strcmp(type, "_ETHREAD") ? l->kthread.size_ : 8;

	layout_visit_sizes(l, find_size, &s);
	for (unsigned tries = 0; tries < 64; tries++) {
		s.by = sizes[chance(G_N_ELEMENTS(sizes))];
		s.at = start + chance((s.size > start ? s.size - start : 8) / 8) * 8;
		s.free = true;
		layout_visit_fields(l, check_free, &s);
		if (!s.free || s.at + s.by > s.size)
			continue;
		g_debug("taken out of %s: 0x%x bytes at 0x%x", type, s.by, s.at);
		layout_visit_fields(l, move, &s);
		layout_visit_sizes(l, shrink, &s);
		if (outer) {
			s.type = outer;
			s.at = 8;
			layout_visit_fields(l, move, &s);
			layout_visit_sizes(l, shrink, &s);
		}
		return true;
	}
	return false;
}

struct tally { unsigned wrong, lost, weak; };
struct comparison {
	struct layout *truth;
	GHashTable *names;	/* field → struct tally * */
	unsigned right, wrong, lost, weak;
};
struct lookup { const char *type, *member; struct field *found; };

static void look(void *user, const char *type, const char *member, struct field *field)
{
	struct lookup *l = user;

	if (!strcmp(type, l->type) && !strcmp(member, l->member))
		l->found = field;
}

static void compare(void *user, const char *type, const char *member, struct field *f)
{
	struct comparison *c = user;
	struct lookup l = { type, member, NULL };
	struct tally *t;
	char name[96];

	layout_visit_fields(c->truth, look, &l);
	const struct field *true_one = l.found;
	bool same = f->offset == true_one->offset && f->bit == true_one->bit && f->bits == true_one->bits;
	if (f->size && same) {
		c->right += true_one->size != 0;
		return;
	}
	if (!f->size && !true_one->size)
		return;
	g_snprintf(name, sizeof(name), "%s.%s", type, member);
	t = g_hash_table_lookup(c->names, name);
	if (!t)
		g_hash_table_insert(c->names, g_strdup(name), t = g_new0(struct tally, 1));
	if (!f->size) {
		t->lost++;
		c->lost++;
	} else if (f->derived && f->derived < 60) {
		t->weak++;
		c->weak++;
	} else {
		t->wrong++;
		c->wrong++;
		g_debug("wrong: %s at 0x%x, is 0x%x (%u)", name, f->offset, true_one->size ? true_one->offset : 0u, f->derived);
	}
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	AUTO(image) image = argc > 1 ? image_open(argv[1], false, &error) : NULL;
	AUTO(kernel) k = image ? kernel_find(image, NULL, &error) : NULL;
	uint64_t seed = argc > 2 ? g_ascii_strtoull(argv[2], NULL, 0) : 1, count = argc > 3 ? g_ascii_strtoull(argv[3], NULL, 0) : 10;

	if (!k || !k->layout || k->layout->source != LAYOUT_BUILTIN) {
		fprintf(stderr, "perturb: %s\n", error ? error->message : "no dump of a kernel that is built in");
		return 2;
	}
	AUTO(evidence) e = evidence_create(k);
	struct comparison c = { k->layout, g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free), 0, 0, 0, 0 };
	for (uint64_t i = 0; i < count; i++) {
		AUTO(layout) prior = argc > 4 ? layout_family_named(argv[4]) : layout_copy(k->layout);
		if (!prior)
			return 2;
		state = seed + i;
		if (argc <= 4) {
			g_free(prior->origin);
			prior->origin = g_strdup(k->layout->version);
		}
		g_debug("seed %u", (unsigned)(seed + i));
		for (size_t t = 0; t < G_N_ELEMENTS(changed); t++)
			for (unsigned n = chance(4); n; n--)
				take_out(prior, changed[t].type, changed[t].outer);
		struct layout *const one = prior;
		AUTO(layout) l = derive_layout(e, &one, 1);
		if (!l) {
			c.lost += 1000;
			continue;
		}
		layout_visit_fields(l, compare, &c);
	}
	g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(c.names), (GCompareFunc)strcmp);
	for (GList *n = names; n; n = n->next) {
		const struct tally *t = g_hash_table_lookup(c.names, n->data);
		printf("  %-44s wrong %3u  weak %3u  lost %3u\n", (char *)n->data, t->wrong, t->weak, t->lost);
	}
	printf("%s: right %u, wrong %u, weakly wrong %u, lost %u\n", k->layout->version, c.right, c.wrong, c.weak, c.lost);
	g_hash_table_destroy(c.names);
	const char *most = g_getenv("MAX_WRONG");
	return most && c.wrong > strtoul(most, NULL, 10);
}
