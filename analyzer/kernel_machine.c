/* SPDX-License-Identifier: Apache-2.0 */
/* What the header's words and the kernel's own come to: the machine's Windows, edition, memory, architecture. */
#include "kernel.h"

/* The version each build begins; source: Microsoft's table of operating system versions. */
char *kernel_version(const struct kernel *k)
{
	static const struct { uint32_t build, major, minor; } first[] = {
		{ 10240, 10, 0 }, { 9600, 6, 3 }, { 9200, 6, 2 }, { 7600, 6, 1 }, { 6000, 6, 0 }, { 3790, 5, 2 }, { 2600, 5, 1 }, { 0, 0, 0 },
	};
	uint32_t build = k->build ? k->build : k->image->facts.os_build, major = k->major, minor = k->minor;

	for (size_t i = 0; !major && first[i].build; i++)
		if (build >= first[i].build) {
			major = first[i].major;
			minor = first[i].minor;
		}
	if (!build)
		return NULL;
	return major ? g_strdup_printf("%u.%u.%u", major, minor, build) : g_strdup_printf("%u", build);
}

uint64_t kernel_memory_total(const struct kernel *k)
{
	uint64_t said = k->image->facts.memory_total;

	/* A header that has less than its own dump is not believed. */
	return said >= k->image->bytes_present ? said : k->memory_total;
}

const char *kernel_product(const struct kernel *k)
{
	static const char *const names[] = { NULL, "workstation", "domain controller", "server" };	/* winnt.h, VER_NT_… */

	return k->product_type < G_N_ELEMENTS(names) ? names[k->product_type] : NULL;
}

enum architecture kernel_architecture(const struct kernel *k)
{
	switch (k->paging) {
	case PAGING_X64: case PAGING_X64_LA57:
		return ARCH_X64;
	case PAGING_X86:
		return ARCH_X86;
	case PAGING_X86_PAE:
		return ARCH_X86_PAE;
	case PAGING_ARM64:
		return ARCH_ARM64;
	default:
		return k->image->facts.architecture ? k->image->facts.architecture : ARCH_X64;
	}
}
