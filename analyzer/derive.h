/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structure offsets checked against a dump, and found anew where they have moved.
 *
 * The layout of a kernel near by is the prior. For a field that gives itself away by what
 * it holds there is a probe: how many of the structures in the dump look right if the
 * field lay at an offset? Where each probe is content with the prior's offset, the
 * prior is right. Else the structure is fitted: to each probe an offset, such that the scores
 * are high and the field's neighbours moved by the same distance, since what changes a
 * structure is a member put in or taken out. Fields without a probe move with the
 * probed ones on both sides; where these moved differently the field is not known.
 */
#ifndef MEMSIEVE_DERIVE_H
#define MEMSIEVE_DERIVE_H
#include <stddef.h>
#include "evidence.h"

struct derive {
	struct evidence *e;
	struct layout *layout;		/* the copy of the prior that is corrected */
	bool checking;			/* only count what doesn't fit */
	bool foreign;			/* the prior is of another build */
	const GArray *instances;		/* of the structure at hand */
	GPtrArray *users;		/* struct space * of each process in e->processes, made when asked for */
	GArray *threads;		/* struct instance */
	GArray *nodes;			/* struct instance: VAD nodes */
	GArray *areas;			/* struct instance: control areas; process 1: of an image, else 0 */
	GArray *files;			/* struct instance: file objects; process 0 */
	GArray *tokens, *tables;	/* struct instance */
	/* What is known of the end of the structure about to be fitted: by how much it moved. */
	struct { bool known; unsigned old; int shift; } end;
	unsigned node_size;		/* VAD nodes have so many bytes at most */
	unsigned anchor;		/* an offset found ahead of a fit, for probes that rest on it */
	unsigned fields, misfits, moved, lost;
	float worth;			/* how well the structures could be fitted */
};

/* The part of the instances, 0 to 1, for which the field may lie at this offset. */
typedef float (*probe_fn)(struct derive *d, unsigned at);

struct probe {
	size_t field;		/* FIELD_OF(eprocess.Peb) */
	probe_fn score;
	uint8_t step;		/* alignment of the field */
	uint8_t weight;		/* how much a hit says: 1 something, 2 much, 4 nearly all */
	float least;		/* a score below that is none */
};
#define FIELD_OF(f) offsetof(struct layout, f)

/* The size of the structure about to be fitted, where the dump tells it (0: it doesn't) and in the prior. */
void derive_expect_size(struct derive *d, uint32_t prior, uint64_t found);
/* What the pool's headers say most of the instances (of those with the tag, if one is given) have, without the header
 * and in units of two pointers; 0: they don't agree. */
uint64_t derive_block_size(struct derive *d, const GArray *instances, const char *tag);
/* Fit one structure, whose instances are `instances` (its fields lie below limit). */
void derive_fit(struct derive *d, const char *type, const GArray *instances, unsigned limit, const struct probe *probes, size_t n);

/* The offset that a probe likes best, of those the one nearest to where the prior has the field. */
unsigned derive_find(struct derive *d, const GArray *instances, unsigned limit, const struct probe *probe);
/* Of those that had a say, the good ones; 0 when fewer than `enough` are good. */
static inline float derive_share(unsigned good, unsigned bad, unsigned enough)
{
	return good >= MAX(enough, 1u) ? (float)good / (float)(good + bad) : 0;
}
/* Nothing can come of it any more. */
static inline bool derive_hopeless(unsigned good, unsigned bad)
{
	return bad > 6 && bad > good;
}
/* Of the instances those that a check accepts; those of which it knows nothing (-1) have no say. */
typedef int (*check_fn)(struct derive *d, const struct instance *s, unsigned at);
float derive_share_of(struct derive *d, unsigned at, unsigned enough, check_fn check);
/* What a file object begins with: its type (IO_TYPE_FILE of wdm.h) and its size, which has been 0xb8 to 0xd8. */
static inline bool derive_is_file(const uint16_t head[2])
{
	return head[0] == 5 && head[1] >= 0x80 && head[1] < 0x400 && !(head[1] & 7);
}
/* What the evidence says of _EPROCESS before anything is derived. */
float derive_probe_pid(struct derive *d, unsigned at);
float derive_probe_links(struct derive *d, unsigned at);
float derive_probe_name(struct derive *d, unsigned at);
#define FOR_INSTANCES(d, s) \
	for (guint i_ = 0; i_ < (d)->instances->len && ((s) = instance_at((d)->instances, i_)); i_++)

/* One structure after the other, by `subjects`, with what they share made before and destroyed after; what was found out is in *d. */
void derive_run(struct derive *d, struct evidence *e, struct layout *layout, bool checking, bool foreign, void (*subjects)(struct derive *));

/* Where a process's program is mapped, 0 unknown; is this its VAD node, if that begins with its number of a page at `at`? */
uint64_t derive_image_base(const struct derive *d, unsigned process);
bool derive_at_image(const struct derive *d, const struct instance *s, unsigned at);
/* SizeOfImage of the node's program, in pages; 0: it can't be read. */
uint32_t derive_image_pages(struct derive *d, const struct instance *s);
/* In each process some node begins where the program is mapped. */
float derive_probe_start(struct derive *d, unsigned at);
/* Is that VAD node of private memory alone, by its pool tag? */
bool derive_is_short(struct derive *d, const struct instance *s);
/*
 * Commit charge stands in the word behind the flags; where these moved, it did. What it holds of private memory
 * is no more than there is, and of some it is something. Both fields are those of the prior.
 */
void derive_commit(struct derive *d, const struct field *old_flags, const struct field *old);

/* The subjects, in the order in which each needs those before. */
void derive_processes(struct derive *d);
void derive_threads(struct derive *d);
void derive_memory(struct derive *d);
void derive_security(struct derive *d);
void derive_objects(struct derive *d);

/* The nearest family that `fits` accepts, of any build: for a structure that has but a few forms. NULL: none. */
struct layout *derive_donor(struct derive *d, bool (*fits)(struct derive *d, const struct layout *layout));

/* The user half of a process, or NULL. */
struct space *derive_user(struct derive *d, unsigned process);
/* A quadword of the kernel's memory; false: not there. */
bool derive_read(struct derive *d, uint64_t va, uint64_t *out);

/* Is that family (by its name) of the kernel's build? */
bool derive_same_build(const struct evidence *e, const char *family);

/*
 * What fits the dump of these priors best, corrected where it doesn't fit: LAYOUT_FAMILY when
 * nothing had to be, else LAYOUT_DERIVED. NULL: the dump has too little evidence.
 */
struct layout *derive_layout(struct evidence *e, struct layout *const *priors, size_t n);
/* Does nothing in a 32-bit kernel's structures contradict a family? */
bool derive_narrow_fits(struct evidence *e, const struct layout *prior);
/* A 32-bit kernel's that fits none of its priors, from the one with which most can be found; NULL without priors. */
struct layout *derive_narrow(struct evidence *e, struct layout *const *priors, size_t n);
/* The part of it that is behind processes and threads. */
void derive_narrow_memory(struct derive *d);
#endif
