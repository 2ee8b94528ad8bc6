/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu_notes.h"
#include "limit.h"
#include <string.h>

#define MAX_CPUS limit32(dump_processors)
#define NT_VBOXCORE 0xb00
#define NT_VBOXCPU 0xb01

static void add(struct cpu_notes *all, struct image_cpu cpu)
{
	struct image *image = all->image;

	if (!image->facts.cpus)
		image->facts.cpus = g_array_new(FALSE, FALSE, sizeof(struct image_cpu));
	if (image->facts.cpus->len < MAX_CPUS) {
		g_array_append_val(image->facts.cpus, cpu);
		return;
	}
	if (!all->cpus_cut)
		image_note(image, FAULT_LIMIT, 0, "registers of more than %u processors: the rest is left out (dump_processors)", MAX_CPUS);
	all->cpus_cut = true;
}

/* QEMU's QEMUCPUState (target/i386/arch_dump.c): version, size, 16 registers, rip, rflags,
 * 10 segments of 24 bytes, cr[5]. A version or size that is not its own is not it. */
static void add_qemu(struct cpu_notes *all, struct bytes d)
{
	uint32_t version = (uint32_t)bytes_at(&d, 0, 4), size = (uint32_t)bytes_at(&d, 4, 4);
	struct image_cpu cpu = { .cr3 = bytes_at(&d, 416, 8), .rip = bytes_at(&d, 136, 8), .rsp = bytes_at(&d, 56, 8) };

	if (!d.bad && version == 1 && size >= 432)
		add(all, cpu);
}

/* VirtualBox's DBGFCORECPU (include/VBox/vmm/dbgfcorefmt.h): 18 registers, 6 selectors of 24 bytes, cr0, cr2, cr3. */
static void add_virtualbox(struct cpu_notes *all, struct bytes d)
{
	struct image_cpu cpu = { .cr3 = bytes_at(&d, 304, 8), .rip = bytes_at(&d, 112, 8), .rsp = bytes_at(&d, 120, 8) };

	if (!d.bad)
		add(all, cpu);
}

void cpu_notes_read(struct cpu_notes *all, struct bytes notes)
{
	const uint64_t left = limit(note_bytes) - all->bytes;

	/* Any number of headers may lead to the same notes, and a hole is one of empty ones. */
	if (notes.n > left) {
		if (!all->cut)
			image_note(all->image, FAULT_LIMIT, 0, "notes of more than %" G_GUINT64_FORMAT " bytes: the rest is left out (note_bytes)", limit(note_bytes));
		all->cut = true;
		notes.n = (size_t)left;
	}
	all->bytes += notes.n;
	while (notes.n >= 12) {
		uint32_t name_size = bytes_u32(&notes), data_size = bytes_u32(&notes), type = bytes_u32(&notes);
		const uint8_t *name = bytes_take(&notes, ((size_t)name_size + 3) & ~(size_t)3);
		struct bytes data = bytes_slice(notes, 0, data_size);
		if (!name || data.bad)
			break;
		if (name_size >= 4 && !memcmp(name, "QEMU", 4) && type == 0) {
			all->writer = "QEMU";
			add_qemu(all, data);
		} else if (name_size >= 5 && (!memcmp(name, "VBCPU", 5) || !memcmp(name, "VBCORE", MIN(name_size, 6)))) {
			all->writer = "VirtualBox";
			if (type == NT_VBOXCPU)
				add_virtualbox(all, data);
		}
		bytes_take(&notes, MIN(notes.n, ((size_t)data_size + 3) & ~(size_t)3));
	}
}
