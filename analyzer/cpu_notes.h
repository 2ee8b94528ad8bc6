/* SPDX-License-Identifier: Apache-2.0 */
/* The processors' registers that hypervisors put into the notes of an ELF core or a kdump. */
#ifndef MEMSIEVE_CPU_NOTES_H
#define MEMSIEVE_CPU_NOTES_H
#include "image.h"

/* Adds a struct image_cpu for each processor found in a PT_NOTE segment's bytes to facts.cpus.
 * The writer ("QEMU", "VirtualBox") as far as the notes tell, or NULL. */
const char *cpu_notes_read(struct image *image, struct bytes notes);
#endif
