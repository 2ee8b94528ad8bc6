/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF cores of machines: QEMU's dump-guest-memory, virsh dump --memory-only,
 * VirtualBox's dumpvmcore. PT_LOAD segments hold physical memory as it was and are
 * mapped; the notes hold the processors' registers.
 */
#include <elf.h>
#include <string.h>
#include "cpu_notes.h"
#include "format.h"
#include "limit.h"

#define MAX_SEGMENTS limit32(elf_segments)

/* Offsets of the fields by class: [0] 32-bit, [1] 64-bit. */
struct elf {
	struct image *image;
	bool is_64bit;
	uint64_t headers, count, size;	/* the program headers: where, how many, of what size */
};

struct program_header { uint32_t type; uint64_t offset, paddr, file_size, memory_size; };

static bool elf_match(const struct file *file)
{
	return file->size >= EI_NIDENT && !memcmp(file->map, ELFMAG, SELFMAG);
}

static bool read_header(struct elf *elf, GError **error)
{
	struct bytes b = file_slice(elf->image->file, 0, elf->is_64bit ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr));
	uint16_t type = (uint16_t)bytes_at(&b, 16, 2), machine = (uint16_t)bytes_at(&b, 18, 2);
	const char *what = NULL;
	struct image_facts *facts = &elf->image->facts;

	elf->headers = elf->is_64bit ? bytes_at(&b, 32, 8) : bytes_at(&b, 28, 4);
	elf->size = bytes_at(&b, elf->is_64bit ? 54 : 42, 2);
	elf->count = bytes_at(&b, elf->is_64bit ? 56 : 44, 2);
	if (elf->count == PN_XNUM) {	/* the true count is in sh_info of section 0 */
		uint64_t sections = elf->is_64bit ? bytes_at(&b, 40, 8) : bytes_at(&b, 32, 4);
		struct bytes section =
			file_slice(elf->image->file, sections, elf->is_64bit ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
		elf->count = bytes_at(&section, elf->is_64bit ? 44 : 28, 4);
		if (section.bad)
			what = "e_phnum is PN_XNUM, but section 0 is past the end of the file";
	}
	if (b.bad)
		what = "the file ends within its header";
	else if (elf->image->file->map[EI_DATA] != ELFDATA2LSB)
		what = "it is big-endian (EI_DATA): no machine Windows runs on";
	else if (type != ET_CORE)
		what = "e_type is not 4: a program or library, no core";
	else if (machine != EM_X86_64 && machine != EM_386 && machine != EM_AARCH64)
		what = "e_machine is not x86-64 (62), i386 (3) or AArch64 (183)";
	else if (elf->size < (elf->is_64bit ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		what = elf->is_64bit ? "e_phentsize is below 56, a program header's size" : "e_phentsize is below 32, a program header's size";
	else if (!elf->count)
		what = "e_phnum is 0: it has no segments";
	if (what) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "ELF file (e_type at 0x10 is %u, e_machine at 0x12 %u, e_phentsize at 0x%x %" G_GUINT64_FORMAT ", e_phnum at 0x%x %" G_GUINT64_FORMAT
			    "): %s", type, machine, elf->is_64bit ? 54 : 42, elf->size, elf->is_64bit ? 56 : 44, elf->count, what);
		return false;
	}
	/* A 32-bit core may be of a 64-bit or PAE guest's firmware: only the wide machines are certain. */
	facts->architecture = machine == EM_X86_64 ? ARCH_X64 : machine == EM_AARCH64 ? ARCH_ARM64 : ARCH_UNKNOWN;
	return true;
}

static struct program_header program_header(struct elf *elf, uint64_t i, bool *bad)
{
	struct bytes b = file_slice(elf->image->file, elf->headers + i * elf->size, elf->size);
	struct program_header h = { .type = (uint32_t)bytes_at(&b, 0, 4) };

	if (elf->is_64bit) {
		h.offset = bytes_at(&b, 8, 8);
		h.paddr = bytes_at(&b, 24, 8);
		h.file_size = bytes_at(&b, 32, 8);
		h.memory_size = bytes_at(&b, 40, 8);
	} else {
		h.offset = bytes_at(&b, 4, 4);
		h.paddr = bytes_at(&b, 12, 4);
		h.file_size = bytes_at(&b, 16, 4);
		h.memory_size = bytes_at(&b, 20, 4);
	}
	*bad = b.bad;
	return h;
}

/*
 * The bytes that a segment has in the file. p_filesz above p_memsz is in no honest core, nor is one below it where p_memsz
 * ends right where the next segment begins: p_memsz is right if the next segment, or the end of the file, stands where it ends or behind it.
 */
static uint64_t size_there(struct elf *elf, uint64_t i, const struct program_header *h)
{
	const uint64_t size = elf->image->file->size, headers_end = elf->headers + elf->count * elf->size;
	bool bad = true;
	const struct program_header next = i + 1 < elf->count ? program_header(elf, i + 1, &bad) : (struct program_header){ 0 };
	const uint64_t limit = !bad && next.type == PT_LOAD && next.offset > h->offset && next.offset < size ? next.offset : size;
	const uint64_t room = h->offset < limit ? limit - h->offset : 0;

	if (!h->memory_size || h->memory_size == h->file_size || h->memory_size > room || h->offset < headers_end)
		return h->file_size;
	if (h->file_size > room || !h->file_size || h->memory_size == room) {
		image_remark(elf->image, h->paddr, "ELF core: program header %" G_GUINT64_FORMAT ": p_filesz is 0x%" G_GINT64_MODIFIER
			     "x, p_memsz 0x%" G_GINT64_MODIFIER "x, and so much is there at p_offset 0x%" G_GINT64_MODIFIER "x: read", i, h->file_size,
			     h->memory_size, h->offset);
		return h->memory_size;
	}
	return h->file_size;
}

static bool elf_open(struct image *image, GError **error)
{
	struct elf elf = { .image = image, .is_64bit = image->file->map[EI_CLASS] == ELFCLASS64 };
	struct cpu_notes notes = { .image = image };
	uint64_t loads = 0, lacking;
	bool bad = false;

	image->facts.format = "elf";
	if (!read_header(&elf, error))
		return false;
	if (elf.count > MAX_SEGMENTS) {
		image_note(image, FAULT_LIMIT, 0, "ELF core: %" G_GUINT64_FORMAT " program headers, above %u",
			   elf.count, MAX_SEGMENTS);
		elf.count = MAX_SEGMENTS;
	}
	for (uint64_t i = 0; i < elf.count; i++) {
		struct program_header h = program_header(&elf, i, &bad);
		if (bad) {
			image_note(image, FAULT_NOT_IN_DUMP, 0,
				   "ELF core: %" G_GUINT64_FORMAT " program headers at 0x%" G_GINT64_MODIFIER
				   "x: the file ends at number %" G_GUINT64_FORMAT,
				   elf.count, elf.headers, i);
			break;
		}
		if (h.type == PT_NOTE) {
			uint64_t there = h.offset < image->file->size ? image->file->size - h.offset : 0;
			cpu_notes_read(&notes, file_slice(image->file, h.offset, MIN(h.file_size, there)));
		}
		if (h.type == PT_LOAD)
			h.file_size = size_there(&elf, i, &h);
		/* Without a physical address (-1): a virtual mapping of something else. */
		/* What has nothing in the file is no memory to VirtualBox, but a device's. */
		if (h.type != PT_LOAD || !h.file_size || h.paddr == (elf.is_64bit ? UINT64_MAX : UINT32_MAX))
			continue;
		image_add_range(image, (pa_t){ h.paddr }, h.file_size, h.offset);
		lacking = h.memory_size > h.file_size ? h.memory_size - h.file_size : 0;
		if (lacking && h.paddr <= UINT64_MAX - h.file_size) {	/* QEMU's dump-guest-memory of a part, say */
			image_add_missing(image, h.paddr + h.file_size, lacking);
			image->missing_why = "the core has less of a segment than its p_memsz says";
		}
		loads++;
	}
	if (!image->segments->len) {
		g_set_error(error, MEMSIEVE_ERROR, MEMSIEVE_ERROR_FORMAT,
			    "ELF core: of %" G_GUINT64_FORMAT " program headers %" G_GUINT64_FORMAT
			    " are PT_LOAD with a physical address, none within the file (%" G_GUINT64_FORMAT " bytes)",
			    elf.count, loads, image->file->size);
		return false;
	}
	if (image->facts.cpus)
		image->facts.processors = image->facts.cpus->len;
	image->facts.detail =
		g_strdup_printf("%s-bit%s%s", elf.is_64bit ? "64" : "32", notes.writer ? ", by " : "", notes.writer ? notes.writer : "");
	return true;
}

const struct format format_elf = {
	.name = "elf",
	.doc = "an ELF core of a machine",
	.match = elf_match,
	.open = elf_open,
};
