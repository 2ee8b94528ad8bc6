/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Windows kernel of a dump: where it is, which it is, and its address space.
 *
 * kernel_find looks in this order: what the dump's headers say; the registers a
 * hypervisor saved; the low stub that starts processors (PROCESSOR_START_BLOCK, in
 * the first MiB of an x64 machine); page-table roots that map themselves, anywhere.
 * Each candidate is believed only when it leads to a kernel image of its machine (PE
 * with an RSDS record of ntkrnl*, ntkrpa* or ntoskrnl).
 */
#ifndef MEMSIEVE_KERNEL_H
#define MEMSIEVE_KERNEL_H
#include "object.h"

struct kernel {
	struct image *image;
	enum paging paging;
	pa_t dtb;			/* of the System process, once a layout is known */
	va_t base;
	uint32_t size, timestamp;
	char *pdb_name;
	char *guid_age;
	char *found_by;			/* "crash dump header", "low stub", "self-mapping page table" … */
	struct layout *layout;		/* NULL: unknown kernel */
	char *unread_symbols;		/* why a PDB among the symbols, which may be this kernel's, can't be read; or NULL. It is noted of the image, too */
	bool physical_only;		/* no kernel image: `space` reads by physical address, kernel addresses lead nowhere */
	struct space *space;		/* a prototype: threads clone it */
	struct rescue *rescue;		/* of the space, where page tables are missing; or NULL */
	pa_t shared_data;		/* KUSER_SHARED_DATA, where it was found by itself; 0: at its fixed address */
	va_t system_process;		/* EPROCESS of System, 0 unknown */
	uint32_t build;			/* NtBuildNumber, low bits */
	uint32_t major, minor;		/* from KUSER_SHARED_DATA */
	char *build_lab;		/* NtBuildLab(Ex) */
	uint64_t system_time;		/* FILETIME, KUSER_SHARED_DATA */
	uint64_t memory_total;		/* bytes that the machine has by Windows' own account (KUSER_SHARED_DATA), 0 unknown */
	uint32_t product_type, suite_mask;	/* as in OSVERSIONINFOEX: the header's, else KUSER_SHARED_DATA's; 0 unknown */
	char *system_root;		/* e.g. C:\Windows */
	uint8_t object_header_cookie;
	uint64_t invalid_pte_mask;	/* recovered from page tables, where no symbol tells where it is; else 0 */
};

/* What the user said about layouts. */
struct layout_options {
	const char *const *symbol_directories;	/* --symbols, NULL-terminated or NULL */
	const char *layout_file;		/* --layout */
};

/* NULL and *error when no Windows kernel is there. A kernel whose layout is not known is
 * returned with layout NULL. */
struct kernel *kernel_find(struct image *image, const struct layout_options *options, GError **error);
/* KUSER_SHARED_DATA as the kernel sees it. */
va_t kernel_shared_data(const struct kernel *kernel);
/* The machine's, by how its memory is paged; what the dump's header says where nothing is translated. */
enum architecture kernel_architecture(const struct kernel *kernel);
/* "10.0.19041", the caller's; NULL: no build is known. A small dump states the build alone, which tells the version. */
char *kernel_version(const struct kernel *kernel);
/* Bytes of physical memory that the machine had, however much of it the dump holds: what the dump's header says, else Windows; 0 unknown. */
uint64_t kernel_memory_total(const struct kernel *kernel);
/* "workstation", "domain controller", "server", or NULL. */
const char *kernel_product(const struct kernel *kernel);
void kernel_destroy(struct kernel *kernel);
DEFINE_AUTO(kernel, kernel_destroy)

/* The address of a global, e.g. kernel_symbol(k, PsActiveProcessHead); 0 when not known. */
#define kernel_symbol(k, s) ((va_t){ (k)->layout && (k)->layout->symbol.s ? (k)->base.v + (k)->layout->symbol.s : 0 })
/* An object at a global, in a given space. */
#define kernel_object(k, space_, s) object_at((space_), kernel_symbol(k, s).v)
#endif
