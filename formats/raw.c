/* SPDX-License-Identifier: Apache-2.0 */
/* Raw images: byte n of the file is byte n of physical memory. They have no
 * header, so this reader takes what no other claims; whether a Windows kernel
 * lies in it is for the analysis to find. */
#include <string.h>
#include "format.h"

/* Signatures of files that are certainly something else: a clear word now is
 * better than a search through gigabytes that finds nothing. */
static const struct { const char *bytes; unsigned length; const char *what; } others[] = {
	{ "\xff\xd8\xff", 3, "a JPEG image" },
	{ "\x89PNG\r\n\x1a\n", 8, "a PNG image" },
	{ "GIF8", 4, "a GIF image" },
	{ "%PDF-", 5, "a PDF document" },
	{ "SQLite format 3", 16, "an SQLite database: a case is asked with `memsieve query`" },
	{ "MZ", 2, "a Windows program" },
	{ "regf", 4, "a registry hive" },
	{ "ElfFile", 8, "a Windows event log" },
	{ "EVF\x09\x0d\x0a\xff", 8, "an EnCase disk image" },
	{ "KDMV", 4, "a VMware disk image" },
	{ "QFI\xfb", 4, "a QEMU disk image" },
	{ "vhdxfile", 8, "a Hyper-V disk image" },
	{ "makedumpfile", 12, "a flattened kdump of a type or version that isn't known" },
	{ "PAGEDU", 6, "a crash dump of a kind that isn't known" },
	{ "7z\xbc\xaf\x27\x1c", 6, "a 7-Zip archive: unpack it first" },
	{ "Rar!", 4, "a RAR archive: unpack it first" },
	/* What hypervisors save of running guests, and how to have it as a dump. */
	{ "\x7fVirtualBox SavedState", 22, "a saved state of VirtualBox: start the machine and take `VBoxManage debugvm NAME dumpvmcore`" },
	{ "QEVM", 4, "a saved state of QEMU: load it and take `dump-guest-memory`" },
	{ "LibvirtQemudSave", 16, "a saved state of libvirt: restore it and take `virsh dump --memory-only`" },
	{ "\xeb\x52\x90NTFS    ", 11, "an NTFS disk" },
};

static const char *raw_other(const struct file *file)
{
	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (file->size >= others[i].length && !memcmp(file->map, others[i].bytes, others[i].length))
			return others[i].what;
	return NULL;
}

static bool raw_match(const struct file *file)
{
	return file->size >= PAGE_SIZE && !raw_other(file);
}

static bool raw_open(struct image *image, GError **error)
{
	(void)error;
	const char *other = raw_other(image->file);
	if (other)
		image_remark(image, 0, "the file begins as %s does: read as plain memory, as --raw says", other);
	if (image->plain)
		image->facts.detail = g_strdup(IMAGE_PLAIN);
	image->facts.format = "raw";
	image_add_range(image, (pa_t){ 0 }, image->file->size & ~(uint64_t)PAGE_MASK, 0);
	if (image->file->size & PAGE_MASK)
		image_note(image, FAULT_IMPLAUSIBLE, image->file->size & ~(uint64_t)PAGE_MASK,
			   "the file is no whole number of pages: its last %u bytes are left out",
			   (unsigned)(image->file->size & PAGE_MASK));
	return true;
}

const struct format format_raw = {
	.name = "raw",
	.doc = "a raw memory image",
	.match = raw_match,
	.plain = true,
	.other = raw_other,
	.open = raw_open,
};
