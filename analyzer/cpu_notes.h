/* SPDX-License-Identifier: Apache-2.0 */
/* The processors' registers that hypervisors put into the notes of an ELF core or a kdump. */
#ifndef MEMSIEVE_CPU_NOTES_H
#define MEMSIEVE_CPU_NOTES_H
#include "image.h"

/* All notes of a dump: where an image begins all is 0 but for it. */
struct cpu_notes {
	struct image *image;
	const char *writer;		/* "QEMU", "VirtualBox" as far as the notes tell, or NULL */
	uint64_t bytes;			/* read so far */
	bool cut, cpus_cut;		/* there are more notes, or processors, than are taken */
};

/* Adds a struct image_cpu for each processor found in a PT_NOTE segment's bytes to facts.cpus. */
void cpu_notes_read(struct cpu_notes *all, struct bytes notes);
#endif
