/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE	/* memmem */
#endif
#include "remains.h"
#include <stdio.h>
#include <string.h>

#define KERNEL_MINIMUM 0x600000u	/* bytes of a kernel's image; drivers are smaller */
#define MAX_NAMES 16			/* kernels named in the dump */

struct name { char guid_age[42]; char pdb[32]; unsigned count; };

struct remains {
	struct name names[MAX_NAMES];
	unsigned n;
	uint64_t base, size;	/* of the largest image in the kernel's half */
	uint32_t timestamp;
	pa_t shared;
	uint32_t build;		/* of NtBuildLabEx */
};

/* CodeView: "RSDS", GUID, age, the PDB's name. */
static void look_for_names(struct remains *r, const uint8_t *page)
{
	static const char *const kernels[] = { "ntkrnlmp.pdb", "ntoskrnl.pdb", "ntkrnlpa.pdb", "ntkrpamp.pdb" };
	const uint8_t *at = page, *end = page + PAGE_SIZE;

	while ((at = memmem(at, (size_t)(end - at), "RSDS", 4)) && end - at >= 24 + 13) {
		struct bytes b = { at + 4, 20, false };
		struct name name = { .count = 1 };
		const char *pdb = (const char *)at + 24;
		at += 4;
		for (size_t i = 0; i < G_N_ELEMENTS(kernels); i++)
			if (!memcmp(pdb, kernels[i], strlen(kernels[i]) + 1))
				g_strlcpy(name.pdb, kernels[i], sizeof(name.pdb));
		if (!name.pdb[0])
			continue;
		uint32_t a = bytes_u32(&b);
		uint16_t c = bytes_u16(&b), d = bytes_u16(&b);
		const uint8_t *rest = bytes_take(&b, 8);
		g_snprintf(name.guid_age, sizeof(name.guid_age), "%08X%04X%04X%02X%02X%02X%02X%02X%02X%02X%02X%X", a, c, d, rest[0], rest[1], rest[2], rest[3],
			   rest[4], rest[5], rest[6], rest[7], bytes_u32(&b));
		unsigned i = 0;
		while (i < r->n && strcmp(r->names[i].guid_age, name.guid_age))
			i++;
		if (i < r->n)
			r->names[i].count++;
		else if (r->n < MAX_NAMES)
			r->names[r->n++] = name;
	}
}

static void look_for_image(struct remains *r, const uint8_t *page)
{
	struct bytes b = { page, PAGE_SIZE, false };
	uint32_t nt = (uint32_t)bytes_at(&b, 0x3c, 4);

	if (memcmp(page, "MZ", 2) || nt < 0x40 || nt > PAGE_SIZE - 0x100 || memcmp(page + nt, "PE\0\0\x64\x86", 6))
		return;
	uint64_t base = bytes_at(&b, nt + 24 + 24, 8), size = bytes_at(&b, nt + 24 + 56, 4);
	if (base >> 47 != 0x1ffff || base & PAGE_MASK || size < KERNEL_MINIMUM || size > 0x8000000 || size <= r->size)
		return;
	r->base = base;
	r->size = size;
	r->timestamp = (uint32_t)bytes_at(&b, nt + 8, 4);
}

/* KUSER_SHARED_DATA: the version, since Windows 10 the build (ntddk.h: NtBuildNumber, zero before), and a root like C:\Windows. */
static bool is_shared_data(const uint8_t *page)
{
	struct bytes b = { page, PAGE_SIZE, false };
	uint64_t root = bytes_at(&b, 0x30, 8), major = bytes_at(&b, 0x26c, 4), minor = bytes_at(&b, 0x270, 4), build = bytes_at(&b, 0x260, 4) & 0xffff;

	return (root & G_GUINT64_CONSTANT(0x0000ffffffffff00)) == G_GUINT64_CONSTANT(0x0000005c003a0000) && (root & 0xff) >= 'A' && (root & 0xff) <= 'Z' &&
	       (major == 6 || (major == 10 && build >= 6000)) && minor < 5;
}

/* NtBuildLabEx: "19041.1.amd64fre.vb_release.191206-1406" */
static uint32_t build_of_lab(const uint8_t *page)
{
	const char *at = memmem(page, PAGE_SIZE, ".amd64fre.", 10);
	uint32_t build = 0, weight = 1;

	if (!at || at == (const char *)page)
		return 0;
	for (at--; at > (const char *)page && g_ascii_isdigit(*at); at--)	/* the revision */
		;
	if (*at != '.')
		return 0;
	for (at--; at >= (const char *)page && g_ascii_isdigit(*at) && weight < 1000000; at--, weight *= 10)
		build += (uint32_t)(*at - '0') * weight;
	return build >= 6000 && build <= 65535 ? build : 0;
}

static void look(struct kernel *k, struct remains *r)
{
	g_autofree uint8_t *scratch = g_malloc(PAGE_SIZE);

	EACH_PAGE(k->image, scratch, page, pa) {
		look_for_names(r, page);
		look_for_image(r, page);
		if (!r->build)
			r->build = build_of_lab(page);
		if (!r->shared.v && is_shared_data(page))
			r->shared.v = pa;
	}
}

/* ---- by the globals of a crash dump's header */

struct search { struct kernel *kernel; char *guid_age; uint64_t base; unsigned found; };

static void try_kernel(void *user, const char *guid_age, const char *version, const char *family)
{
	struct search *s = user;
	const struct image_facts *facts = &s->kernel->image->facts;
	unsigned build = 0;

	(void)family;
	/* Loading one takes a while: those of other builds are passed over. */
	if (facts->os_build && (sscanf(version, "%*u.%*u.%5u", &build) != 1 || build != facts->os_build))
		return;
	AUTO(layout) layout = layout_builtin(guid_age);
	if (!layout || !layout->symbol.PsLoadedModuleList || !layout->symbol.PsActiveProcessHead)
		return;
	uint64_t base = facts->loaded_module_list.v - layout->symbol.PsLoadedModuleList;
	if (base & PAGE_MASK || base + layout->symbol.PsActiveProcessHead != facts->active_process_head.v ||
	    (facts->kdbg.v && layout->symbol.KdDebuggerDataBlock && base + layout->symbol.KdDebuggerDataBlock != facts->kdbg.v) ||
	    (s->kernel->base.v && s->kernel->base.v != base))
		return;
	if (!s->found++) {
		s->guid_age = g_strdup(guid_age);
		s->base = base;
	}
}

bool remains_identify(struct kernel *k, char **like)
{
	const struct image_facts *facts = &k->image->facts;
	struct remains r = { .n = 0 };
	struct search search = { .kernel = k };
	unsigned best = 0;

	look(k, &r);
	for (unsigned i = 1; i < r.n; i++)
		if (r.names[i].count > r.names[best].count)
			best = i;
	if (!k->guid_age && r.n) {
		k->guid_age = g_strdup(r.names[best].guid_age);
		k->pdb_name = g_strdup(r.names[best].pdb);
	}
	if (facts->loaded_module_list.v && facts->active_process_head.v && (!k->guid_age || !k->base.v))
		layout_builtin_each(try_kernel, &search);
	/* Two revisions may have the same globals at the same places. */
	if (!k->guid_age && search.found == 1)
		k->guid_age = g_steal_pointer(&search.guid_age);
	if (!k->base.v && search.found)
		k->base.v = search.base;
	if (!k->base.v && r.base) {
		k->base.v = r.base;
		k->size = (uint32_t)r.size;
		k->timestamp = r.timestamp;
	}
	k->shared_data = r.shared;
	if (!k->build)
		k->build = facts->os_build ? facts->os_build : r.build;
	*like = search.guid_age;
	return k->guid_age || k->shared_data.v || k->build;
}
