/* SPDX-License-Identifier: Apache-2.0 */
/* Windows' two ways to write page protection: the memory manager's five bits
 * (MM_READONLY …, in software PTEs and VADs) and the PAGE_… constants of winnt.h. */
#include "space.h"

/* MmProtectToValue: the low three bits choose, the high two modify. */
uint32_t protection_from_mm(unsigned mm)
{
	static const uint32_t base[8] = {
		PAGE_NOACCESS, PAGE_READONLY, PAGE_EXECUTE, PAGE_EXECUTE_READ,
		PAGE_READWRITE, PAGE_WRITECOPY, PAGE_EXECUTE_READWRITE, PAGE_EXECUTE_WRITECOPY,
	};
	static const uint32_t modifier[4] = { 0, PAGE_NOCACHE, PAGE_GUARD, PAGE_WRITECOMBINE };

	mm &= 0x1f;
	if (!(mm & 7))		/* MM_ZERO_ACCESS and its variants, MM_NOACCESS, MM_DECOMMIT */
		return PAGE_NOACCESS;
	return base[mm & 7] | modifier[mm >> 3];
}

bool protection_executable(uint32_t p)
{
	return p & (PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY);
}

bool protection_writable(uint32_t p)
{
	return p & (PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY);
}

char *protection_name(uint32_t p)
{
	static const char *const names[] = {
		"PAGE_NOACCESS", "PAGE_READONLY", "PAGE_READWRITE", "PAGE_WRITECOPY", "PAGE_EXECUTE", "PAGE_EXECUTE_READ",
		"PAGE_EXECUTE_READWRITE", "PAGE_EXECUTE_WRITECOPY", "PAGE_GUARD", "PAGE_NOCACHE", "PAGE_WRITECOMBINE",
	};
	GString *s = g_string_new(NULL);

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (p >> i & 1)
			g_string_append_printf(s, "%s%s", s->len ? "|" : "", names[i]);
	return g_string_free(s, FALSE);
}
