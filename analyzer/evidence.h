/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a dump says about its kernel without any layout: the globals and the structures
 * that give themselves away by what points at them.
 *
 * The list of processes is the list head in the kernel's data whose entries all carry a
 * process name at one distance, the first of them "System"; an entry's object is where a
 * dispatcher header of type process lies at one distance before all entries. The list of
 * modules is the one that has an entry for the kernel itself.
 */
#ifndef MEMSIEVE_EVIDENCE_H
#define MEMSIEVE_EVIDENCE_H
#include "kdbg.h"
#include "kernel.h"

/* One instance of a structure, as bytes: zeros where a page is missing. */
struct instance {
	uint64_t va;
	uint8_t *bytes;		/* INSTANCE_SIZE of them, owned */
	unsigned process;	/* index of the process it belongs to */
};
#define INSTANCE_SIZE 0x1800u

GArray *instances_create(void);
/* Read and add one; false when its first page isn't there. */
bool instances_add(GArray *instances, struct space *space, uint64_t va, unsigned process);
static inline const struct instance *instance_at(const GArray *instances, guint i)
{
	return &g_array_index(instances, struct instance, i);
}
/* An integer of an instance; 0 past its end. */
uint64_t instance_value(const struct instance *instance, unsigned offset, unsigned width);

struct evidence {
	struct kernel *kernel;
	struct space *space;
	unsigned width;			/* of a pointer: 4 or 8 */
	uint8_t *image;			/* the kernel's, zeros where a page is missing */
	uint32_t size;
	GArray *data;			/* struct range of RVAs: what the kernel writes to */
	GArray *code;			/* struct range of RVAs: what it runs */
	GHashTable *exports;		/* name → RVA */
	struct kdbg kdbg;
	GArray *heads;			/* uint32_t: RVAs of list heads in data, empty lists too */
	uint32_t process_head, module_head;	/* RVAs, 0: not found */
	unsigned links, name, pid;	/* offsets within _EPROCESS */
	GArray *processes;		/* struct instance, System first */
	GArray *modules;		/* struct range of addresses: loaded drivers */
	uint32_t build, revision;	/* 0: not known */
	char *build_lab;		/* the text itself, or NULL */
	uint32_t build_lab_rva;
	uint64_t looks;			/* at what the image leads to, that are left of kernel_looks */
	bool cut;			/* there were none, or no time was left: not all was looked at */
};

/* Never NULL; what was not found is 0 or empty. */
struct evidence *evidence_create(struct kernel *kernel);
void evidence_destroy(struct evidence *evidence);
DEFINE_AUTO(evidence, evidence_destroy)

/* Take a number of looks off those that are left, about a read of memory each; false: there are none. */
bool evidence_spend(struct evidence *evidence, uint64_t looks);
/* A quadword of the kernel's image; 0 outside. */
uint64_t evidence_image(const struct evidence *e, uint64_t rva, unsigned width);
/* An address in the kernel's image as an RVA; 0: it isn't. */
uint32_t evidence_rva(const struct evidence *e, uint64_t va);
/* Does va lie in the kernel or a loaded driver? */
bool evidence_in_module(const struct evidence *e, uint64_t va);
/* Could it be a pointer into the kernel's half? The first is of 64-bit machines alone. */
bool evidence_kernel_pointer(uint64_t va);
bool evidence_pointer(const struct evidence *e, uint64_t va);
/* A value of the debugger's data block that is an address or a size. */
uint64_t evidence_kdbg(const struct evidence *e, unsigned offset);
bool evidence_user_pointer(uint64_t va);
/* A time of this machine's life, up to when the dump was taken? */
bool evidence_time(const struct evidence *e, uint64_t filetime);
/* The links of the circular list at head (of a kernel whose pointers are those of `space`), in order, at most limit; entries beyond a break are
 * reached backwards. An array of uint64_t. */
GArray *evidence_list(struct space *space, uint64_t head, unsigned limit);
#endif
